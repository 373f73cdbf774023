"""Place and route of generated cores: clock and area on a device, with open tools."""

from .errors import DoesNotFit, SynthError, ToolMissing
from .flow import place_and_route, place_and_route_seeds
from .targets import TARGETS, Target, target_named
from .tools import TOOLS, find_tool, warm

__all__ = ["TARGETS", "TOOLS", "DoesNotFit", "SynthError", "Target", "ToolMissing", "find_tool",
           "place_and_route", "place_and_route_seeds", "target_named", "warm"]
