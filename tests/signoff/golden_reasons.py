"""Why a change of golden's source changes no result that it promises: by file and change.

A reason is for a change that no test can tell, or that changes only how fast, or when, a result is
reached. Their number is capped.
"""

__all__ = ["REASONS"]

_JOINED = "return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)"
REASONS = {
    "reads": {
        f"{_JOINED} | 1 -> 0": "one part joined is that part",
        f"{_JOINED} | 0 -> -1": "of one part the first is the last",
    },
}
