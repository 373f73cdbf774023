"""What the counters of a bench and of the core say once every value was equal."""

from .stimulus import Stimulus

__all__ = ["VIOLATIONS", "counters_difference"]

VIOLATIONS = (
    "m_axis_tvalid fell before the word was accepted",
    "m_axis_tdata changed before the word was accepted",
    "m_axis_tlast changed before the word was accepted",
    "m_axis_tkeep changed before the word was accepted",
    "a log of the harness overflowed",
)

def counters_difference(stimulus: Stimulus, *, violations: int, accepted: int, steps: int,
                        errors: int, saturations: int, idle: int,
                        expected_errors: int = 0, faults: int = 0) -> dict | None:
    """What the counters say once all values were equal; None if they are as they should be.

    Parameters
    ----------
    violations : int
        Bit k: ``VIOLATIONS[k]`` was seen.
    accepted, steps : int
        Input words taken, steps started.
    errors, saturations, idle, faults : int
        The core's status ports.
    expected_errors : int
        Words of the input that break the protocol.
    """
    words = sum(len(sequence.inputs) for sequence in stimulus.sequences)
    seen = "; ".join(text for bit, text in enumerate(VIOLATIONS) if violations >> bit & 1)
    for kind, actual, expected, text in (
            ("protocol", violations, 0, f"output stream: {seen}"),
            ("input", accepted, words, "input words accepted"),
            ("steps", steps, int(stimulus.starts.sum()), "steps started (trace_step)"),
            ("status", errors, expected_errors, "status_errors at the end"),
            ("status", faults, 0, "status_faults at the end"),
            ("status", saturations, stimulus.expected_saturations,
             "status_saturations at the end"),
            ("status", idle, 1, "idle at the end")):
        if expected is not None and actual != expected:
            return {"kind": kind, "signal": text.split(" ")[0], "expected": expected,
                    "actual": actual, "message": f"{text}: is {actual}, expected {expected}"}
    return None
