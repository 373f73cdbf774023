"""A quantised network as one file: JSON and arrays in an .npz, never pickled objects."""

import io
import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from golden.cells import Place
from golden.fixed import Fixed
from golden.functions import Function
from golden.network import (
    Activation,
    Binding,
    Cell,
    Final,
    FloatLayer,
    FloatNetwork,
    Initial,
    IntLayer,
    IntNetwork,
)
from golden.quantise import Method, QuantOptions, Rounding

from .errors import GatewrightError, quote

__all__ = ["load_networks", "save_networks"]

FORMAT = 3  # raised when the fields change
_ENUMS = {"cell": Cell, "activation": Activation, "final": Final, "method": Method,
          "rounding": Rounding}
_RECORDS = {"Fixed": Fixed, "Binding": Binding, "Initial": Initial, "FloatLayer": FloatLayer,
            "FloatNetwork": FloatNetwork, "IntLayer": IntLayer, "IntNetwork": IntNetwork,
            "QuantOptions": QuantOptions, "Function": Function, "Place": Place}


def _pack(value, arrays: list):
    """A record as plain data; arrays go to the list, their place stays."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    kind = type(value).__name__
    if kind in _RECORDS:
        return {"record": kind, "fields": {f.name: _pack(getattr(value, f.name), arrays)
                                           for f in fields(value)}}
    if isinstance(value, tuple):
        return {"tuple": [_pack(item, arrays) for item in value]}
    return value


def _unpack(value, arrays, name: str = ""):
    if isinstance(value, dict):
        if "array" in value:
            return arrays[f"a{value['array']}"]
        if "tuple" in value:
            return tuple(_unpack(item, arrays) for item in value["tuple"])
        made = _RECORDS[value["record"]]
        return made(**{k: _unpack(v, arrays, k) for k, v in value["fields"].items()})
    return _ENUMS[name](value) if name in _ENUMS and isinstance(value, str) else value


def save_networks(path: Path, network: FloatNetwork, integer: IntNetwork,
                  options: QuantOptions) -> None:
    """Write both networks and the options that lie between them."""
    arrays: list = []
    head = {"format": FORMAT, "float": _pack(network, arrays), "integer": _pack(integer, arrays),
            "options": _pack(options, arrays)}
    np.savez_compressed(path, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8),
                        **{f"a{k}": array for k, array in enumerate(arrays)})


def load_networks(path: Path) -> tuple:
    """(FloatNetwork, IntNetwork, QuantOptions) from what ``save_networks`` wrote."""
    remedy = "make the folder again with 'gatewright quantise'"
    try:
        # By way of memory: NumPy leaves a damaged archive open.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            if head.get("format") != FORMAT:
                raise GatewrightError(quote(path, 200), f"has format {head.get('format')!r}, not "
                                      f"{FORMAT}", remedy)
            return tuple(_unpack(head[part], file) for part in ("float", "integer", "options"))
    except FileNotFoundError:
        raise GatewrightError(quote(path.parent, 200), "holds no quantised network (network.npz)",
                              remedy) from None
    except GatewrightError:
        raise
    except Exception as error:  # a damaged file can fail in any of the layers below
        raise GatewrightError(quote(path, 200), f"cannot be read ({type(error).__name__})",
                              remedy) from None
