"""Simulation: the generated Verilog under Verilator and cocotb, compared with golden."""

from .build import Simulator, ToolMissing, find_simulator
from .stimulus import Sequence, Stimulus
from .verify import SimulationError, VerifyResult, verify

__all__ = ["Sequence", "SimulationError", "Simulator", "Stimulus", "ToolMissing", "VerifyResult",
           "find_simulator", "verify"]
