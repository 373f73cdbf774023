"""Tensors that are not what they say, or say what cannot be; groups 18 to 27."""

import numpy as np
import onnx_models as build
import pytest
from bad_files import IMPORT, QUANTISE, edited, place, poked, refused, rows, run, weight
from onnx import TensorProto, helper, numpy_helper

SHAPES = {0: (1, 12, 4), 1: (1, 12, 3), 2: (1, 24)}
TYPES = ["UNDEFINED", "STRING", "BFLOAT16", "COMPLEX64", "COMPLEX128", "UINT32", "UINT64",
         "FLOAT8E4M3FN", "FLOAT8E5M2", "UINT4", "INT4"]


def _type(name):
    return lambda: weight(0, data_type=TensorProto.DataType.Value(name))


def _initial(value):
    net = build.Net()
    net.cell("GRU", net.input("x", [4, 1, 4]), 4, 3, h=net.const([[[0, value, 0]]], np.float32))
    net.nodes[-1].output[:] = ["Y", ""]
    net.output("Y")
    return net


def _table(value):
    net = build.char_model(layers=1)
    values = numpy_helper.to_array(net.inits[0]).copy()
    values[6, 1] = value
    net.inits[0] = numpy_helper.from_array(values, net.inits[0].name)
    return net


def _sparse(model):
    values = numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "at")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1, 12, 4]))


def _again(model):
    model.graph.initializer.append(model.graph.initializer[1])


def _segment(model):
    model.graph.initializer[0].segment.begin = 0


def _both(model):
    model.graph.initializer[0].float_data.extend([0.0] * 48)


def _typed(model):
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].float_data.extend([0.5] * 47)


def _no_raw(model):
    model.graph.initializer[0].ClearField("raw_data")


def _scaled(scale):
    """A Gemm behind the cell whose factors are legal each, and absurd together."""
    def head(net, name):
        name = net.op("MatMul", name, net.const(np.full((3, 2), 1e15), np.float32))
        net.op("Mul", name, net.const(scale, np.float64))
    return build.headed(head)


def _wide_identity():
    """A tanh and a relu behind 60,000 values: as a layer it would be a matrix of 29 GB."""
    def head(net, name):
        name = net.op("MatMul", name, net.const(np.ones((3, 60000)), np.float32))
        net.op("Relu", net.op("Tanh", name))
    return build.headed(head)


def _shared(count, units):
    """Layers in series that share one matrix: small in the file, a copy each in memory."""
    net = build.Net()
    x = net.input("x", [2, 1, units])
    given = net.weight(1, units, units), net.weight(1, units, units)
    for _ in range(count):
        x = net.op("Squeeze", net.op("RNN", x, *given, hidden_size=units), net.ints(1))
    net.output(x)
    return net


def _bombs(op, shape, count):
    """Tensors that are legal each, and too many."""
    net = build.bare("GRU")
    names = []
    for _ in range(count):
        target = net.ints(*shape)
        names.append(net.op(op, *([target] if op == "ConstantOfShape" else ["Y", target])))
    net.outputs.clear()
    net.output(net.op("Concat", "Y", *(
        net.op("Slice", name, net.ints(0, 0, 0, 0), net.ints(4, 1, 1, 3)) for name in names),
        axis=0))
    return net


CASES = [
    *((f"{word} in {'WRB'[k]}", lambda k=k, v=v: poked(k, v), f"'const_{k}': is {word} at index .*"
       "weights must be finite") for k in range(3) for word, v in (("nan", np.nan),
                                                                   ("inf", np.inf))),
    ("-inf in a GRU", lambda: poked(1, -np.inf, kind="GRU"), "is -inf at index"),
    ("nan in a state", lambda: _initial(np.nan), r"initial_h 'const_0': is nan at index \[0, 0, 1"),
    ("inf in an embedding", lambda: _table(np.inf), r"'emb.weight': is inf at index \[6, 1\]"),
    ("3e38 in W", lambda: poked(0, 3e38), r"'const_0': holds values up to 3e\+38; no number"),
    ("-3e38 in B", lambda: poked(2, -3e38), r"'const_2': holds values up to 3e\+38"),
    ("1e15 times 1e9", lambda: _scaled(1e9), "weights that overflow"),
    ("1e15 times nan", lambda: _scaled(np.nan), "is nan at index"),
    ("raw data short", lambda: weight(0, raw_data=bytes(188)), "188 bytes, not 192"),
    ("raw data long", lambda: weight(0, raw_data=bytes(196)), "196 bytes, not 192"),
    ("no data", lambda: edited(_no_raw), "0 values, not 48"),
    ("floats short", lambda: edited(_typed), "47 values, not 48"),
    ("both data", lambda: edited(_both), "holds its values twice"),
    ("segments", lambda: edited(_segment), "stored in segments"),
    ("2^30 x 2^10", lambda: weight(0, dims=[1 << 30, 1 << 10]), "1099511627776 elements, more"),
    ("2^62 x 2^62", lambda: weight(0, dims=[1 << 62, 1 << 62]), "elements, more than"),
    ("product that wraps to 48", lambda: weight(0, dims=[1 << 32, 1 << 32, 48]), "elements, more"),
    ("negative dimension", lambda: weight(0, dims=[1, -12, -4]), r"dimensions \[1, -12, -4\]"),
    ("dimension -1", lambda: weight(0, dims=[1, -1, 4]), r"dimensions \[1, -1, 4\]"),
    ("zero rows", lambda: weight(0, np.zeros((1, 0, 4), np.float32)), "no dimension may be zero"),
    ("zero inputs", lambda: weight(0, np.zeros((1, 12, 0), np.float32)), "no dimension may be ze"),
    ("empty bias", lambda: weight(2, np.zeros((1, 0), np.float32)), "no dimension may be zero"),
    ("nine axes", lambda: weight(0, dims=[1] * 9), "at most 8, none negative"),
    *((f"type {name}", _type(name), f"'const_0': has type {name}; export it as float32")
      for name in TYPES),
    ("type 99", lambda: weight(0, data_type=99), "has type 99"),
    *((f"{dtype} weights", lambda d=dtype: weight(0, np.ones((1, 12, 4), d)),
       f"has type {dtype}; weights must be floats")
      for dtype in ("int8", "uint8", "int32", "int64", "bool")),
    ("int32 as int64", lambda: weight(0, data_type=TensorProto.INT64), "192 bytes, not 384"),
    ("twice", lambda: edited(_again), "initialiser 'const_1': is there twice"),
    ("sparse", lambda: edited(_sparse), "sparse initialisers; export dense weights"),
    ("tensors without end", lambda: _bombs("ConstantOfShape", (1, 1 << 10, 1 << 12, 1), 60),
     "elements of all tensors to more"),
    ("tensors of data without end", lambda: _bombs("Expand", (4, 1 << 9, 1 << 9, 3), 60),
     "elements of all tensors to more"),
    ("matrix of a wide tanh", _wide_identity, "elements of all tensors to more"),
    ("one matrix in 60 layers", lambda: _shared(60, 1000), "elements of all tensors to more"),
]


@rows(CASES)
def test_weights(tmp_path, make, said):
    place(tmp_path, make())
    refused(tmp_path, said, *IMPORT)


ODD = {
    "all zero": lambda: weight(0, np.zeros((1, 12, 4), np.float32)),
    "denormal": lambda: weight(1, np.full((1, 12, 3), 1e-44, np.float32)),
    "1e17": lambda: poked(0, 1e17), "float16": lambda: weight(0, np.ones((1, 12, 4), np.float16)),
    "float64": lambda: weight(0, np.full((1, 12, 4), 1e-300)),
    "one weight of 1e9": lambda: poked(0, 1e9),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_weights_have_a_format_or_a_refusal(tmp_path, name):
    """Legal numbers, however odd: the scale stays finite, nothing divides by zero."""
    place(tmp_path, ODD[name](), np.random.default_rng(1).normal(size=(6, 4, 1, 4)))
    run(tmp_path, *IMPORT, status=0)
    if name == "1e17":
        refused(tmp_path, "quantisation: ", *QUANTISE)
    else:
        assert "accumulator" in run(tmp_path, *QUANTISE, status=0).out


@pytest.mark.parametrize("what", ["weights", "nodes"])
def test_what_nothing_reads_costs_little(tmp_path, what):
    net = build.bare()
    for _ in range(2 if what == "weights" else 20_000):
        if what == "weights":
            net.weight(1 << 20)
        else:
            net.op("Identity", "Y")
    place(tmp_path, net)
    assert "lstm" in run(tmp_path, *IMPORT, status=0).out


def _loop_without_end():
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["s"], ["t"])],
        "body", [helper.make_tensor_value_info(*info, []) for info in (
            ("i", TensorProto.INT64), ("c", TensorProto.BOOL), ("s", TensorProto.FLOAT))],
        [helper.make_tensor_value_info(*info, []) for info in (
            ("d", TensorProto.BOOL), ("t", TensorProto.FLOAT))])
    net = build.bare("GRU")
    net.op("Loop", net.const(1 << 60, np.int64), net.const(True), net.const(0, np.float32),
           body=body)
    return net


def _huge():
    net = build.bare("GRU")
    net.op("ConstantOfShape", net.ints(1 << 20, 1 << 20))
    return net


@pytest.mark.parametrize("make", [_loop_without_end, _huge])
def test_what_nothing_reads_is_not_run(tmp_path, make):
    """By onnxruntime neither, which checks the import and would run all of the file."""
    place(tmp_path, make())
    assert "float check: at most" in run(tmp_path, *IMPORT, status=0).out


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.BOOL, TensorProto.COMPLEX64, 99,
                                  TensorProto.UNDEFINED])
def test_type_of_the_input(tmp_path, kind):
    net = build.bare()
    net.inputs[0].type.tensor_type.elem_type = kind
    place(tmp_path, net)
    refused(tmp_path, "graph input 'x': has (the|a) type .*float32 values or int64", *IMPORT)
