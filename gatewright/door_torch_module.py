"""A live PyTorch module as a float network: ``from_torch``. PyTorch is the caller's.

The module is followed on a short sequence; what comes out describes its state dict, and the rest is
the way of a state dict in a file.
"""

import copy
import sys
import warnings
from dataclasses import replace

import numpy as np

from golden.network import FloatNetwork
from golden.reference import Batch

from .door_check import SEQUENCES, judge, random_batch
from .door_torch import Description, line_of
from .door_torch_trace import WrongLayout, trace
from .doors import import_lowered
from .errors import ImportRefused, quote
from .onnx_check import float_outputs

__all__ = ["from_torch"]

LENGTHS = (5, 7)
MAX_SIZES = 4
_SIZED = {"RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell", "Linear"}


def _inputs(torch, module, steps: int) -> list:
    """Inputs that a module may take, the likelier first: (tensor, axis of the steps)."""
    parts = [(type(part).__name__, part) for part in module.modules()]
    if any(kind == "Embedding" for kind, _ in parts):
        ids = torch.zeros(steps, dtype=torch.int64)
        return [(ids[None], 1), (ids[:, None], 0), (ids, 0)]
    sizes = dict.fromkeys(getattr(part, "input_size", getattr(part, "in_features", None))
                          for kind, part in parts if kind in _SIZED)
    found = []
    for size in list(sizes)[:MAX_SIZES]:
        x = torch.zeros(steps, size)
        found += [(x[None], 1), (x[:, None], 0), (x, 0)]
    return found


def _words(torch, module) -> tuple:
    """(words of the line, which of ``_inputs`` fits)."""
    crashes, refusals = [], []
    for choice, (_, time) in enumerate(_inputs(torch, module, 1)):
        try:
            with warnings.catch_warnings(action="ignore"):
                found = [trace(torch, module, _inputs(torch, module, steps)[choice][0], time)
                         for steps in LENGTHS]
        except WrongLayout as error:
            refusals.append(error)
        except ImportRefused:
            raise
        except Exception as error:         # whatever the module itself raises on such an input
            crashes.append(ImportRefused(
                "the module", f"does not run on a short sequence ({type(error).__name__}: "
                f"{str(error)[:120]})", "its forward must take one tensor: (batch, time, "
                "features), or (batch, time) token ids"))
        else:
            if found[0] == found[1]:
                return found[0], choice
            raise ImportRefused("the module", "does something else at other sequence lengths",
                                "use y[:, -1] for the last step")
    refusals.append(ImportRefused("the module", "has no recurrent layer", "Gatewright builds "
                                  "networks with nn.RNN, nn.GRU or nn.LSTM"))
    raise (crashes + refusals)[0]


def from_torch(module, *, name: str | None = None, states: bool = False) -> FloatNetwork:
    """Read a live PyTorch module, as it is in ``eval`` mode.

    Parameters
    ----------
    module : torch.nn.Module
        Of nn.RNN, nn.GRU, nn.LSTM, nn.Linear, nn.Embedding, activations and dropout in series, in
        an nn.Sequential or with a forward of its own, which takes one tensor. It is not changed.
    name : str or None
        The network's name; made from the class if None.
    states : bool
        Make the initial states inputs h0 and c0, the last ones outputs hn and cn.

    Returns
    -------
    FloatNetwork
        Its input is (batch, time, features), or (batch, time) token ids, whatever the module's is.
        The first note gives the largest difference from the module itself, on random data.

    Raises
    ------
    ImportRefused
        If the module holds what is not supported; the message names it.
    GatewrightError
        If the network computes something else than the module.
    """
    torch = sys.modules.get("torch")       # whoever has a module has it loaded
    if torch is None or not isinstance(module, torch.nn.Module):
        raise ImportRefused("from_torch", f"got {quote(type(module).__name__)}, not a "
                            "torch.nn.Module", "for files use import_model")
    kind = type(module).__name__
    try:
        module = copy.deepcopy(module).cpu().float().eval()
    except Exception as error:
        raise ImportRefused(f"module {quote(kind)}", f"cannot be copied ({str(error)[:120]})",
                            "detach its tensors from the training first") from None
    words, choice = _words(torch, module)
    cells = [part for part in module.modules() if type(part).__name__ == "RNN"]
    functions = {part.nonlinearity for part in cells}
    if len(functions) > 1:
        raise ImportRefused(f"module {quote(kind)}", "has nn.RNNs of different nonlinearity",
                            "use one for all of them")
    tensors = {key: value.numpy() for key, value in module.state_dict().items()}
    description = Description(
        layers=words, nonlinearity=functions.pop() if functions else None, states=states,
        tokens=any(type(part).__name__ == "Embedding" for part in module.modules()))
    made, notes = line_of(tensors, description, where="the module",
                          producer=f"PyTorch {torch.__version__} module")
    network = import_lowered(made, f"module {quote(kind)}", name or kind)
    worst = _difference(torch, module, network, choice)
    if _inputs(torch, module, 1)[choice][1] == 0:
        notes = ("The module takes time on its first axis; the network's data is "
                 "(batch, time, features).", *notes)
    return replace(network, notes=(
        f"Largest difference from the module itself {worst:.2g}, over {SEQUENCES} random "
        "sequences.", *notes, *network.notes))


def _difference(torch, module, network: FloatNetwork, choice: int) -> float:
    """Largest difference between a network and its module, which is run in float64 if it can be."""
    batch = random_batch(network)
    steps = batch.x.shape[1]
    like, time = _inputs(torch, module, steps)[choice]
    batch = Batch(x=batch.x)               # the module starts from zeros
    found = []
    for kind in (torch.float64, torch.float32):
        try:
            module = module.to(kind)
            with torch.no_grad():
                for x in batch.x:
                    x = torch.as_tensor(x).reshape(like.shape)
                    y = module(x if x.dtype == torch.int64 else x.to(kind))
                    while isinstance(y, (tuple, list)):
                        y = y[0]
                    found.append(y.numpy())
            break
        except RuntimeError:               # the module itself makes tensors of float32
            found = []
    binding = next(b for b in network.outputs if b.kind == "y")
    ours = float_outputs(network, batch)[binding.name]
    worst = max(float(np.abs(a.ravel() - b.ravel()).max())
                for a, b in zip(ours, found, strict=True))
    judge(network, batch, worst, "the module")
    return worst
