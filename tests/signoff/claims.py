"""A line of the test plan."""

from dataclasses import dataclass

__all__ = ["Claim", "failures"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is claimed, and what was seen of it.

    Parameters
    ----------
    claim : str
        What a user may rely on.
    check : str
        What was done to find it wrong.
    figure : str
        What was seen, in numbers made from the records.
    stage : str
        "V1", "V2" or "V3": when a configuration has to pass it.
    passed : bool
    """

    claim: str
    check: str
    figure: str
    stage: str
    passed: bool


def failures(records: dict) -> dict:
    """Name -> failure in words, of the records that have one."""
    return {name: record["failure"] for name, record in records.items()
            if record["failure"] is not None}
