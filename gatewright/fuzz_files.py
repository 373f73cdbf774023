"""Files that are almost right: valid models, arrays and options, changed by a drawn hand."""

import io
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from synth import TARGETS

from .examples import EXAMPLES, example_dir
from .options import Options

__all__ = ["bases", "write_case"]

_WHOLE = (0, 1, -1, 2, 3, 5, 7, 64, 255, 1 << 16, (1 << 31) - 1, -1 << 31, 1 << 40, (1 << 63) - 1,
          -1 << 63)
_REAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 3e38, -3e38, 1e300, float("nan"), float("inf"))
_TEXT = ("", "x", "Y", "\n", "é☃", "../../up", "a" * 5000, "endmodule", "reverse", "bidirectional",
         "Relu", "HardSigmoid", "Loop", "LSTM", "GRU", "com.microsoft", "location")
_DTYPES = ("f2", "f4", "f8", "i1", "i4", "i8", "u8", "?", "c8", "U3", "O", "M8[s]", "V4", "f16")


@dataclass(frozen=True, kw_only=True)
class Base:
    """A valid model, and valid data for it: (n, T, I) numbers or (n, T) token ids."""

    model: bytes
    data: np.ndarray


def _small(kind: str, *, tokens: int = 0, states: bool = False, opened: bool = False,
           layers: int = 1, plain: bool = True) -> Base:
    """A batch-first network as exporters write it: T = 4, I = 3, H = 2, O = 3.

    Without ``plain`` with everything around the cells that an exporter could put there.
    """
    rng, gates = np.random.default_rng(5), {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    nodes, inits, inputs, width = [], [], [], 3

    def const(name, values, dtype=np.float32):
        inits.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def weight(name, *shape):
        return const(name, rng.normal(0, 0.6, shape))

    dims = ["batch", "time"] if opened else [1, 4]
    if tokens:
        inputs.append(helper.make_tensor_value_info("x", TensorProto.INT64, dims))
        nodes.append(helper.make_node("Gather", [weight("table", tokens, 3), "x"], ["e"]))
    else:
        inputs.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [*dims, 3]))
    nodes.append(helper.make_node("Transpose", ["e" if tokens else "x"], ["t"], perm=[1, 0, 2]))
    last = "t"
    if not plain:
        nodes += [helper.make_node("Mul", ["t", weight("gain", 3)], ["u"]),
                  helper.make_node("Sub", ["u", weight("mean", 1, 1, 3)], ["v"]),
                  helper.make_node("Concat", ["v", "u"], ["uv"], axis=2),
                  helper.make_node("Slice", ["uv", *(const(f"cut{k}", [n], np.int64) for k, n
                                                     in enumerate((0, 3, 2)))], ["cut"])]
        last = "cut"
    for k in range(layers):
        rows, start = gates * 2, []
        for name in (("h", "c") if kind == "LSTM" else ("h",)) if states else ():
            inputs.append(helper.make_tensor_value_info(f"{name}{k}", TensorProto.FLOAT, [1, 1, 2]))
            start.append(f"{name}{k}")
        given = [weight(f"W{k}", 1, rows, width), weight(f"R{k}", 1, rows, 2),
                 weight(f"B{k}", 1, 2 * rows)]
        extra = {"linear_before_reset": 1} if kind == "GRU" else {}
        nodes.append(helper.make_node(kind, [last, *given, *([""] if start else []), *start],
                                      [f"y{k}"], f"cell{k}", hidden_size=2, **extra))
        nodes.append(helper.make_node("Squeeze", [f"y{k}", const(f"one{k}", [1], np.int64)],
                                      [f"s{k}"]))
        last, width = f"s{k}", 2
    nodes.append(helper.make_node("Gather", [last, const("end", -1, np.int64)], ["g"], axis=0))
    nodes.append(helper.make_node("Gemm", ["g", weight("M", 3, 2), weight("b", 3)],
                                  ["out" if plain else "lin"], transB=1))
    if not plain:
        nodes += [helper.make_node("Tanh", ["lin"], ["tanh"]),
                  helper.make_node("Shape", ["tanh"], ["shape"]),
                  helper.make_node("Reshape", ["tanh", "shape"], ["same"]),
                  helper.make_node("MatMul", ["same", weight("N", 3, 3)], ["mat"]),
                  helper.make_node("Add", [weight("c", 3), "mat"], ["sum"]),
                  helper.make_node("Softmax", ["sum"], ["out"], axis=1)]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3])]
    graph = helper.make_graph(nodes, "small", inputs, outputs, inits)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    data = rng.integers(0, tokens, (5, 4)) if tokens else rng.normal(size=(5, 4, 3))
    return Base(model=model.SerializeToString(), data=data)


def _full(kind: str, **attributes) -> Base:
    """Both directions, three sequences at once with lengths of their own, behind a normalisation.

    B = 3, T = 4, I = 3, H = 2; all that the operator takes is there.
    """
    rng, rows = np.random.default_rng(6), {"GRU": 3, "LSTM": 4}[kind] * 2
    inits = [numpy_helper.from_array(rng.normal(0, 0.5, shape).astype(np.float32), name)
             for name, shape in (("W", (2, rows, 3)), ("R", (2, rows, 2)), ("B", (2, 2 * rows)),
                                 ("h", (1, 2, 2)), ("P", (2, 6)), ("gain", 3), ("shift", 3),
                                 ("mean", 3))]
    inits += [numpy_helper.from_array(np.ones(3, np.float32), "variance"),
              numpy_helper.from_array(np.array([3, 2, 2]), "state")]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3, 4]),
              helper.make_tensor_value_info("lengths", TensorProto.INT32, [3])]
    cell = ["t", "W", "R", "B", "lengths", "h0"] + (["h0", "P"] if kind == "LSTM" else [])
    nodes = [helper.make_node("BatchNormalization", ["x", "gain", "shift", "mean", "variance"],
                              ["n"]),
             helper.make_node("Transpose", ["n"], ["t"], perm=[0, 2, 1]),
             helper.make_node("Expand", ["h", "state"], ["h0"]),
             helper.make_node(kind, cell, ["y", "last"], "cell", hidden_size=2, layout=1,
                              direction="bidirectional", **attributes)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 4, 2, 2]),
               helper.make_tensor_value_info("last", TensorProto.FLOAT, [3, 2, 2])]
    graph = helper.make_graph(nodes, "full", inputs, outputs, inits)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return Base(model=model.SerializeToString(), data=rng.normal(size=(2, 3, 3, 4)))


@cache
def bases() -> dict:
    """Name to Base: small networks, and the bundled examples."""
    found = {"rnn": _small("RNN"), "gru": _small("GRU", layers=2, opened=True),
             "lstm": _small("LSTM", states=True), "around": _small("GRU", plain=False),
             "tokens": _small("LSTM", tokens=6),
             "open": _small("RNN", tokens=6, opened=True, states=True),
             "full lstm": _full("LSTM", clip=1.5, input_forget=1),
             "full gru": _full("GRU", linear_before_reset=1,
                               activations=["Sigmoid", "Softsign"] * 2)}
    for name in EXAMPLES:
        folder = example_dir(name)
        found[name] = Base(model=(folder / "model.onnx").read_bytes(),
                           data=np.load(folder / "calib_inputs.npy")[:5])
    return found


def mutate_bytes(rng: random.Random, data: bytes) -> bytes:
    """Flipped, removed, repeated and inserted bytes; now and then a cut."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
        at, size = rng.randrange(len(made) + 1), rng.randrange(1, 9)
        action = rng.randrange(6)
        if action == 0:
            del made[at:at + size]
        elif action == 1:
            made[at:at] = made[at:at + size]
        elif action == 2:
            made[at:at] = rng.randbytes(size)
        elif action == 3 and rng.random() < 0.2:
            del made[at:]
        elif at < len(made):
            made[at] ^= 1 << rng.randrange(8)
    return bytes(made)


def _fields(message, found: list) -> list:
    """(message, field descriptor) of every field that is set, below ``message`` too."""
    for field, value in message.ListFields():
        found.append((message, field))
        if field.message_type is not None:
            for part in value if field.is_repeated else [value]:
                _fields(part, found)
    return found


def _value(rng: random.Random, field, strings: list):
    """A value for a scalar field: an awkward one, or one from elsewhere in the model."""
    kind = field.cpp_type
    if field.enum_type is not None:
        return rng.choice([value.number for value in field.enum_type.values])
    if field.type == field.TYPE_BYTES:
        return rng.choice((b"", b"\xff" * 8, rng.randbytes(rng.randrange(64)), b"Tanh", b"reverse"))
    if kind == field.CPPTYPE_STRING:
        return rng.choice(_TEXT) if rng.random() < 0.5 else rng.choice(strings)
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return rng.choice(_REAL)
    bits = 31 if kind in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 63
    low = 0 if kind in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64) else -1 << bits
    return min(max(rng.choice(_WHOLE), low), (1 << bits) - 1)


def _edit(rng: random.Random, model: onnx.ModelProto) -> None:
    """Change one field of one message."""
    fields = _fields(model, [])
    if not fields:                             # an edit before this one took everything
        return
    strings = [value for message, field in fields if field.type == field.TYPE_STRING
               for value in (getattr(message, field.name) if field.is_repeated
                             else [getattr(message, field.name)])] or [""]
    message, field = rng.choice(fields)
    if rng.random() < 0.1:                     # one that may not be set yet
        field = rng.choice(message.DESCRIPTOR.fields)
    name, value = field.name, getattr(message, field.name)
    if field.is_repeated:
        size, action = len(value), rng.randrange(4)
        if action == 0 and size:
            del value[rng.randrange(size)]
        elif action == 1 and size > 1:         # swapped, or one twice
            parts = [copy for copy in value]
            parts[rng.randrange(size)] = parts[rng.randrange(size)]
            rng.shuffle(parts)
            copies = type(message)(**{name: parts})
            message.ClearField(name)
            getattr(message, name).extend(getattr(copies, name))
        elif field.message_type is not None:
            like = [part for other, held in fields if held.message_type is field.message_type
                    for part in (getattr(other, held.name) if held.is_repeated
                                 else [getattr(other, held.name)])]
            copied = rng.choice(like).SerializeToString() if like else b""
            value.add().MergeFromString(copied)        # it may be a part of what it is copied from
        elif size and action == 2:
            value[rng.randrange(size)] = _value(rng, field, strings)
        else:
            value.append(_value(rng, field, strings))
    elif field.message_type is not None or rng.random() < 0.2:
        message.ClearField(name)
    elif field.type == field.TYPE_BYTES and value and rng.random() < 0.7:
        setattr(message, name, mutate_bytes(rng, value))
    else:
        setattr(message, name, _value(rng, field, strings))


def mutate_model(rng: random.Random, data: bytes) -> bytes:
    """A model with a few fields changed, or a few bytes."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, data)
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        _edit(rng, model)
    return model.SerializeToString()


def mutate_array(rng: random.Random, data: np.ndarray) -> bytes:
    """A .npy or .npz file of a changed array, or with changed bytes."""
    array = data
    if rng.random() < 0.6:
        action = rng.randrange(6)
        if action == 0:
            shape = [rng.choice((0, 1, 2, 3, 4, 5)) for _ in range(rng.randrange(5))]
            array = np.zeros(shape)
        elif action == 1:
            with np.errstate(all="ignore"):
                array = array.astype(rng.choice(_DTYPES), casting="unsafe")
        elif action == 2:
            array = array.astype("f8")
            array.flat[rng.randrange(array.size)] = rng.choice(_REAL)
        elif action == 3:
            with np.errstate(all="ignore"):
                array = array * rng.choice(_REAL)
        elif action == 4:
            array = array.transpose(rng.sample(range(array.ndim), array.ndim))
        else:
            array = array[:rng.randrange(2)] if rng.random() < 0.5 else array[..., :1]
    file = io.BytesIO()
    if rng.random() < 0.25:
        keys = rng.choice((("x",), ("arr_0",), ("a", "b"), ("x", "h0", "c0")))
        np.savez_compressed(file, **dict.fromkeys(keys, array))
    else:
        np.save(file, array, allow_pickle=True)
    return mutate_bytes(rng, file.getvalue()) if rng.random() < 0.5 else file.getvalue()


def mutate_toml(rng: random.Random) -> bytes:
    """A few options with values of any kind, or with changed bytes."""
    values = [*map(str, _WHOLE), *map(str, _REAL), "8", "12", "16", "true", "false", '"minmax"',
              '"nearest"', '"é"', "[]", "[1, [2]]", '["up5k"]', "{a = 1}", "2026-01-01", "0x1F",
              *(f'["{name}"]' for name in TARGETS)]
    names = [*Options.model_fields, "lines", "[table]", "a.b", '"quoted key"']
    lines = [f"{rng.choice(names)} = {rng.choice(values)}" for _ in range(rng.randrange(1, 4))]
    data = ("\n".join(lines) + "\n").encode()
    return mutate_bytes(rng, data) if rng.random() < 0.3 else data


def write_case(seed: int, index: int, folder: Path) -> tuple:
    """Case ``index`` of ``seed``, always the same: files into ``folder``.

    Returns
    -------
    tuple of list of str
        The words of the commands to run, until one is refused.
    """
    rng = random.Random(f"{seed}/{index}")
    base = bases()[rng.choices(list(bases()), weights=(3, 3, 3, 4, 3, 3, 4, 4, 1, 1, 2))[0]]
    model, array = folder / "model.onnx", folder / "c.npy"
    model.write_bytes(base.model)
    np.save(array, base.data)
    words = ["quantise", "model.onnx", "--calibration", "c.npy", "--out", "out"]
    golden = ["golden", "out", "--inputs", "c.npy"]
    kind = rng.choices(("model", "data", "options"), weights=(8, 3, 1))[0]
    if kind == "model":
        model.write_bytes(mutate_model(rng, base.model))
        return (["import", "model.onnx"],) if rng.random() < 0.5 else (words, golden)
    if kind == "data":
        array.write_bytes(mutate_array(rng, base.data))
        return words, golden
    (folder / "o.toml").write_bytes(mutate_toml(rng))
    return ([*words, "--config", "o.toml"],)
