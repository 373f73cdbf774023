"""The second opinion on the arithmetic: a slice of it, and that it finds a changed rounding."""

from collections.abc import Callable

import numpy as np
import pytest

from golden import curves, fixed, model, pool, tables
from golden.fixed import round_shift
from tests.signoff import arithmetic
from tests.signoff.configurations import SMOKE
from tests.signoff.second_opinion import FEATURES, NUMBERS, of_network, of_numbers


def _half_even(values, shift) -> np.ndarray:
    """``round_shift`` as it is not: ties to even."""
    values, shift = np.asarray(values, dtype=np.int64), np.asarray(shift, dtype=np.int64)
    result = round_shift(values, shift)
    tie = (shift > 0) & ((result << np.maximum(shift, 0)) - values == 1 << np.maximum(shift - 1, 0))
    return result - (tie & (result % 2 == 1))


def _half_away(values, shift) -> np.ndarray:
    return np.where(np.asarray(values) < 0, -round_shift(-np.asarray(values), shift),
                    round_shift(values, shift))


def _truncated(values, shift) -> np.ndarray:
    values, shift = np.asarray(values, dtype=np.int64), np.asarray(shift, dtype=np.int64)
    return np.where(shift > 0, values >> np.maximum(shift, 0), round_shift(values, shift))


def _wrapped(values, width: int) -> np.ndarray:
    top = 1 << (width - 1)
    return (np.asarray(values, dtype=np.int64) + top) % (2 * top) - top


def _symmetric(values, width: int) -> np.ndarray:
    top = (1 << (width - 1)) - 1
    return np.clip(np.asarray(values, dtype=np.int64), -top, top)


def _replace(monkeypatch, name: str, by: Callable):
    """In every module of golden that uses it."""
    for module in (curves, fixed, model, pool, tables):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, by)


@pytest.mark.parametrize("name", ["round_shift and saturate", "quantise"])
def test_numbers(name):
    opinion = of_numbers(name)
    assert opinion.failure is None and opinion.compared > 40_000


@pytest.mark.parametrize("name", [*list(SMOKE)[::3], "gru-before"])
def test_named(name):
    opinion = of_network(SMOKE[name])
    assert opinion.failure is None and opinion.compared > 4_000


def test_drawn():
    opinions = [of_network(config) for config in arithmetic.drawn(1, 0, 8)]
    assert [opinion.failure for opinion in opinions] == [None] * 8
    assert sum(opinion.compared for opinion in opinions) > 20_000
    assert sum(opinion.clipped for opinion in opinions) > 500


FAULTS = {"half to even": ("round_shift", _half_even), "half away": ("round_shift", _half_away),
          "truncated": ("round_shift", _truncated), "wrapped": ("saturate", _wrapped),
          "no lowest code": ("saturate", _symmetric)}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(fault, monkeypatch):
    """By the numbers, and by a network: golden's functions with one of them changed."""
    name, changed = FAULTS[fault]
    _replace(monkeypatch, name, changed)
    assert of_numbers("round_shift and saturate").failure
    failure = of_network(SMOKE["lstm"]).failure
    assert failure and "apytypes: sequence" in failure and "golden" in failure


def test_quantise_half_up_is_found(monkeypatch):
    monkeypatch.setattr(fixed, "quantise", lambda values, fmt: np.clip(
        np.floor(np.ldexp(values, fmt.frac) + 0.5), fmt.min, fmt.max).astype(np.int64))
    assert "quantise to" in of_numbers("quantise").failure


def test_records(tmp_path):
    """A claim holds only for enough networks of every kind."""
    record = arithmetic.measure({"name": "quantise", "numbers": "quantise"}, tmp_path, None,
                                {"seed": 1})
    assert record["failure"] is None and record["networks"] == 0
    few = {"quantise": record}
    assert not arithmetic.claims(few)[0].passed and "peepholes" in arithmetic.section(few)
    many = few | {"drawn 0 to 49": record | {"networks": 300, "values": 10 ** 6,
                                             "met": list(FEATURES)}}
    assert arithmetic.claims(many)[0].passed and "none is missing" in arithmetic.section(many)
    assert set(NUMBERS) | set(SMOKE) < {case["name"] for case in arithmetic.cases(False)}
