"""The named configurations that every part of the sign-off runs on.

Small networks with random weights and, mostly, tables of random lines: smooth ones mask errors.
Together they have every cell, every stream and array form, and every device family.
"""

from dataclasses import replace

from gatewright.campaign_check import Case
from gatewright.campaign_networks import Config

__all__ = ["SMOKE", "WIDE_RANGE", "case_of"]

SEQUENCES = ((3, 1), (3, 2), (2, 5), (1, 17), (2, 30))
_PLAIN = ((-1,), False, False)


def _config(*layers, **fields) -> Config:
    """Layers as (cell, units), (cell, units, function) or with True at the end: last step only."""
    full = []
    for cell, units, *rest in layers:
        function = next((word for word in rest if isinstance(word, str)), "identity")
        full.append((cell, units, function, True in rest))
    return Config(layers=tuple(full), **{"batches": SEQUENCES, "random_table": True,
                                         "resets": 10} | fields)


SMOKE = {
    "lstm": _config(("lstm", 7), ("linear", 3, True), seed=101, inputs=3, lanes=4),
    "lstm2": _config(("lstm", 6), ("lstm", 5), seed=102, inputs=4, lanes=5, act_width=12,
                     weight_width=6, cell_width=20, loads=True, returns=True),
    "lstm-peephole": _config(("lstm", 6), seed=103, inputs=2, lanes=4, special=1),
    "gru": _config(("gru", 9), ("linear", 2, "tanh"), seed=104, inputs=5, lanes=3, cols=2),
    "gru-before": _config(("gru_reset_before", 6), ("linear", 3), seed=105, inputs=3, lanes=6,
                          posts=2, cols=2, act_width=10),
    "rnn-relu": _config(("rnn", 11, "relu"), ("linear", 4, True), seed=106, inputs=6, lanes=8,
                        weight_width=12, operand_width=18),
    "bidirectional": _config(
        ("lstm", 5), ("lstm", 5), ("gru", 4), ("linear", 3), seed=107, inputs=3, lanes=4,
        links=(_PLAIN, ((-1,), True, False), ((0, 1), False, False), ((2,), False, False)),
        max_steps=32),
    "tokens-argmax": _config(("gru", 6), ("linear", 5), seed=108, inputs=4, tokens=9, argmax=True,
                             lanes=4),
    "shallow-wide": _config(("lstm", 5), seed=109, inputs=4, lanes=20, cols=5, posts=5, wide=True,
                            pipeline="shallow"),
    "packed": _config(("lstm", 8), ("linear", 3), seed=110, inputs=3, lanes=8, pack=True),
    "ecp5": _config(("lstm", 8), ("linear", 3), seed=111, inputs=3, lanes=8, family="ecp5"),
    "ice40": _config(("gru", 7), ("linear", 3, True), seed=112, inputs=4, lanes=4,
                     operand_width=16, load_weights=True, family="ice40"),
}

# Seeds of weights that let sums and values use their whole range, where those above do not: what
# code coverage runs on. Of most networks some high bits never change, whatever comes in.
_SEEDS = {"lstm": 304, "lstm-peephole": 298, "gru": 207, "gru-before": 200, "bidirectional": 343,
          "tokens-argmax": 261, "shallow-wide": 203, "packed": 212, "ecp5": 214, "ice40": 226}
WIDE_RANGE = {name: replace(config, seed=_SEEDS.get(name, config.seed))
              for name, config in SMOKE.items()}
# With 5 neurons each of its products knows two weights at most, and most of their bits stand still.
WIDE_RANGE["shallow-wide"] = replace(WIDE_RANGE["shallow-wide"],
                                     layers=(("lstm", 15, "identity", False),))


def case_of(name: str, **core) -> Case:
    """A named configuration with its core, its sequences, and all that golden says of them.

    Parameters
    ----------
    name : str
        In ``SMOKE``.
    core : keywords of ``gatewright.campaign_check.Case``
    """
    return Case(SMOKE[name], **core)
