"""The ONNX package's own tests of RNN, GRU and LSTM, run by its own runner, at its own tolerance.

In golden with words wide enough for it; and each test's network as a core, word by word.
"""

import re
import unittest
import warnings

import numpy as np
import onnx_models as build
import pytest
from onnx.backend.test import BackendTest

from gatewright.backend import HARDWARE, WIDE, GatewrightBackend
from gatewright.errors import GatewrightError
from golden.fixed import Fixed
from golden.network import Activation
from golden.quantise import QuantOptions
from golden.tables import EXHAUSTIVE, activate, line_error, make_table
from tests import operator_scores as operators


@pytest.fixture(scope="module")
def suite():
    """The runner's test cases; building them takes some seconds."""
    with warnings.catch_warnings():        # of other operators' data
        warnings.simplefilter("ignore")
        runner = BackendTest(GatewrightBackend, __name__)
    runner.include(r"^test_((simple_)?rnn|gru|lstm)_.*_cpu$")
    return runner.test_cases["OnnxBackendNodeModelTest"]


def test_there_are_eighteen(suite):
    found = {name.removesuffix("_cpu") for name in unittest.TestLoader().getTestCaseNames(suite)
             if re.search("rnn|gru|lstm", name) and name.endswith("_cpu")}
    assert found == set(operators.NAMES) and len(found) == 18


@pytest.mark.parametrize("name", operators.NAMES)
def test_node_test(suite, name):
    result = unittest.TestResult()
    suite(f"{name}_cpu").run(result)
    assert result.testsRun == 1 and not result.skipped
    faults = [text for _, text in (*result.errors, *result.failures)]
    assert not faults, faults[0]


@pytest.mark.parametrize("name", operators.NAMES)
def test_node_test_as_a_core(name):
    case = operators.cases()[name]
    prepared = GatewrightBackend.prepare(case.model, options=HARDWARE, array={"lanes": 4})
    (inputs, expected), = case.data_sets
    outputs = prepared.run(inputs)
    assert [a.shape for a in outputs] == [b.shape for b in expected]
    # every result and every h of every sequence and step
    assert prepared.last.words >= sum(a.size for a in outputs) + expected[0].size > 0


def test_document_is_current():
    text = operators.DOCUMENT.read_text(encoding="utf-8")
    assert text == operators.document(text), "run: python -m tests.operator_scores"


def test_backend_says_what_it_cannot_do():
    model = build.headed(lambda net, h: net.op("Erf", h)).model()
    with pytest.raises(GatewrightError, match="1 unsupported node"):
        GatewrightBackend.run_model(model, [np.zeros((5, 1, 4), np.float32)])
    assert not GatewrightBackend.supports_device("CUDA")
    with pytest.raises(GatewrightError, match="quantised for golden alone"):
        GatewrightBackend.run_model(build.bare().model(), [np.zeros((4, 1, 4), np.float32)],
                                    array={"lanes": 4})


def test_wide_words_are_for_golden_alone():
    with pytest.raises(ValueError, match="^weight_width must be 2 to 16 bits, not 24$"):
        QuantOptions(weight_width=24)
    with pytest.raises(ValueError, match="^act_width must be 4 to 26 bits, not 27$"):
        QuantOptions(act_width=27, golden_only=True)
    net = build.Net()
    x, c = net.input("x", [4, 1, 4]), net.const(np.full((1, 1, 3), 3000.0), np.float32)
    net.cell("LSTM", x, 4, 3, h=net.const(np.zeros((1, 1, 3)), np.float32), c=c)
    net.nodes[-1].output[:] = ["Y", "", ""]
    net.output("Y")
    with pytest.raises(GatewrightError, match="the sum f.c . i.g needs 65 bits for a cell state"):
        GatewrightBackend.run_model(net.model(), [np.zeros((4, 1, 4), np.float32)])


@pytest.mark.parametrize("act_width", [10, 12, 14])
def test_line_error_is_the_largest_there_is(act_width):
    """Against every code; small tables are tried exhaustively, large ones by this bound."""
    pre = Fixed(width=act_width + 2, frac=act_width - 3)
    table = make_table(pre, Fixed(width=act_width, frac=act_width - 1))
    assert pre.width < EXHAUSTIVE
    arg = np.arange(1 << table.arg_bits)
    idx, offset = arg >> table.offset_bits, arg & ((1 << table.offset_bits) - 1)
    value = (table.base[idx] << table.offset_bits) + table.slope[idx] * offset
    exact = np.tanh(arg / 2.0 ** (pre.frac + 1)) * 2.0 ** table.out.frac
    largest = np.abs(value / 2.0 ** (table.offset_bits + 3) - exact).max()
    assert line_error(table) == pytest.approx(largest, abs=1e-9)


def test_the_wide_table():
    pre, out = Fixed(width=29, frac=23), Fixed(width=26, frac=25)
    table = make_table(pre, out)
    assert line_error(table) < 1 and table.reach == 16
    sample = np.random.default_rng(1).integers(pre.min, pre.max, 200_000)
    got = activate(sample, table, Activation.TANH)
    exact = np.clip(np.rint(np.tanh(sample * pre.step) * 2.0 ** 25), out.min, out.max)
    assert np.abs(got - exact).max() <= 1
    got = activate(sample, table, Activation.SIGMOID)
    exact = np.clip(np.rint(0.5 * (1 + np.tanh(sample * pre.step / 2)) * 2.0 ** 25), 0, out.max)
    assert np.abs(got - exact).max() <= 1
    assert WIDE.act_width == out.width
