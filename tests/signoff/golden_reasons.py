"""Why a change of golden's source changes no result that it promises: by file and change.

A reason is for a change that no test can tell, or that changes only how fast, or when, a result is
reached. Their number is capped.
"""

__all__ = ["REASONS"]

_LEAKY = "Activation.LEAKY_RELU: lambda x, a, b: np.where(x < 0, a * x, x),"
_ELU = "Activation.ELU: lambda x, a, b: np.where(x < 0, a * np.expm1(np.minimum(x, 0.0)), x),"
_JOINED = "return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)"
_CLIPPED = "nodes = np.rint(np.clip(np.ldexp(ends, out.frac + GUARD), -2.0 ** 52, 2.0 ** 52)"
REASONS = {
    "curves": {
        f"{_CLIPPED} | 52 -> 53": "any bound will do that is out of range and fits a word",
    },
    "functions": {
        f"{_LEAKY} | x < 0 -> x <= 0": "at 0 both sides are 0",
        f"{_ELU} | x < 0 -> x <= 0": "at 0 both sides are 0",
    },
    "lengths": {
        "if values.ndim > 1 and not single: | 1 -> 2": "records have one axis or three, never two",
    },
    "reads": {
        f"{_JOINED} | 1 -> 0": "one part joined is that part",
        f"{_JOINED} | 0 -> -1": "of one part the first is the last",
    },
}
