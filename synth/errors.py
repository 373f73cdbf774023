"""What can go wrong in synthesis; each message is one line with the object and the remedy."""

__all__ = ["SynthError", "ToolMissing", "DoesNotFit"]


class SynthError(RuntimeError):
    """A tool refused the design, or gave back something that cannot be used."""


class ToolMissing(SynthError):
    """A program is neither on PATH nor installed as a Python package."""


class DoesNotFit(SynthError):
    """The design needs more of a resource than the device has."""
