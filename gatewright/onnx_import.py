"""An ONNX file as a float network: ``import_onnx``."""

from pathlib import Path

import numpy as np

from golden.network import Cell, Final, FloatNetwork

from .errors import GatewrightError, ImportRefused, quote
from .identifiers import identifier, unique_identifiers
from .onnx_cells import LARGEST
from .onnx_file import ModelFile, open_model
from .onnx_graph import Graph, batch_probes, probes
from .onnx_lengths import bind_lengths, fixed_lengths
from .onnx_node import ProbeRefused
from .onnx_result import Chain, bind_input, bind_outputs, bind_states, build_chain
from .onnx_trace import Trace, trace

__all__ = ["import_onnx"]


def import_onnx(path: Path | str, *, name: str | None = None,
                weights: dict | None = None) -> FloatNetwork:
    """Read a trained recurrent network.

    Parameters
    ----------
    path : Path or str
        A file with RNN, GRU or LSTM nodes, an embedding in front or not, linear layers anywhere;
        for any number of sequences at once, which a core takes one after another.
    name : str or None
        The network's name; made from the file's name if None.
    weights : dict of str to array, or None
        Values of graph inputs that are weights (or constant states), by the inputs' names.

    Raises
    ------
    ImportRefused
        In one line: what is wrong with the file, or what in it is not supported.
    """
    try:
        file = open_model(path)
        graph = Graph(file, weights)
        with np.errstate(all="ignore"):    # what overflows is refused by name
            return _network(file, *_trace(graph), name or Path(path).stem)
    except GatewrightError as error:
        text = str(error)
        raise ImportRefused(text if text.startswith(quote(path, 200))
                            else f"{quote(path, 200)}: {text}") from None
    except Exception as error:             # a damaged file must never end in a traceback
        raise ImportRefused(quote(path, 200), "cannot be read as a network "
                            f"({type(error).__name__}: {str(error)[:160]})",
                            "export the model again") from error


def _trace(graph: Graph) -> tuple:
    """(Trace, Chain) of the first probe that goes through."""
    found, refusals = _tried(graph, probes(graph.inputs), 1)
    # where a recurrent node runs several sequences at once, one of them tells what is computed
    for batch in sorted({refusal.batch for refusal in refusals
                         if isinstance(refusal, ProbeRefused)} - {1}):
        if found is None:
            found, more = _tried(graph, batch_probes(graph.inputs, batch), batch)
            refusals += more
    if found is not None:
        return found
    # a batch taken for time is refused for that alone: another refusal tells more
    raise next((e for e in refusals if not isinstance(e, ProbeRefused)), refusals[0])


def _tried(graph: Graph, attempts: list, batch: int) -> tuple:
    """((Trace, Chain) or None, refusals) of attempts to fix the open dimensions."""
    refusals = []
    for attempt in attempts:
        try:
            walks = [trace(graph, sizes, batch) for sizes in attempt]
            chains = [build_chain(walk) for walk in walks]
            if len({chain.signature for chain in chains}) > 1:
                raise ImportRefused("the graph", "does something else at other sequence lengths",
                                    "export it with a fixed length")
            return (walks[0], chains[0]), refusals
        except ImportRefused as error:
            refusals.append(error)
    return None, refusals


def _notes(file: ModelFile, walk: Trace, chain: Chain) -> tuple:
    notes = list(dict.fromkeys(file.notes))
    reset_before = [d for d in chain.drafts if d.cell is Cell.GRU_RESET_BEFORE]
    if reset_before and file.model.producer_name == "pytorch":
        notes.append(
            f"SUSPICIOUS: {len(reset_before)} GRU node(s) written by PyTorch say "
            "linear_before_reset=0, which torch.nn.GRU never means: onnxscript before 0.7 writes "
            "it by mistake, and the file then computes other numbers than the trained module. "
            "Compare with the module's own outputs, or export again with dynamo=False.")
    for draft in chain.drafts:
        if draft.inserted and draft.cell is Cell.LINEAR:
            notes.append(f"An element-wise {draft.activation} behind a recurrent layer or the "
                         "input became a linear layer with a diagonal matrix.")
    notes += _of_heads(chain)
    if walk.batch > 1:
        notes.append(f"The file runs {walk.batch} sequences at once; the core takes them one after "
                     "another.")
        if chain.root.view.shape[0] == 1:
            notes.append(f"SUSPICIOUS: each of them is one step long. If {walk.batch} was meant as "
                         "their length, the file was exported with batch and time exchanged "
                         "(PyTorch: batch_first).")
    used = {chain.root.name} | {use[0] for use in walk.states} | set(walk.lengths)
    unused = walk.graph.unused + [i.name for i in walk.graph.inputs if i.name not in used]
    if unused:
        names = ", ".join(quote(name) for name in unused[:6])
        notes.append(f"Graph inputs that nothing reads: {names}.")
    return tuple(notes)


def _of_heads(chain: Chain) -> list:
    """What the words of the hardware are, where they are not simply the graph's result."""
    if len(chain.heads) == 1:
        return [f"The graph ends in {chain.final}; the hardware outputs what goes into it."
                ] * (chain.final is not Final.NONE)
    parts = []
    for head in chain.heads:
        words = f"{head.start} to {head.start + head.width - 1}" if head.width > 1 else head.start
        parts.append(f"{'words' if head.width > 1 else 'word'} {words} "
                     f"{'are' if head.width > 1 else 'is'} {quote(head.name)}"
                     + (f" in front of its {head.final}" * (head.final is not Final.NONE))
                     + " (only the last step's count)" * (head.last and not chain.last))
    return ["The graph has several results, which leave as one: " + ", ".join(parts) + "."]


def _network(file: ModelFile, walk: Trace, chain: Chain, name: str) -> FloatNetwork:
    on_chain = set(map(id, chain.drafts))
    if any(id(draft) not in on_chain for _, _, draft, _ in walk.states):
        raise ImportRefused("the graph", "has a recurrent layer beside the chain of layers that "
                            "makes the result", "only layers in series are supported")
    names = unique_identifiers([d.name or f"{d.cell}_{k}" for k, d in enumerate(chain.drafts)])
    # A layer that reads the one before says nothing.
    reads = [() if places == (k - 1,) else places for k, places in enumerate(chain.reads)]
    layers = tuple(draft.layer(*given) for draft, *given
                   in zip(chain.drafts, names, chain.last_only, reads))
    for layer in layers:
        parts = (layer.w, layer.bias_x, layer.bias_h, *(() if layer.r is None else (layer.r,)))
        if not all(np.all(np.abs(part) <= LARGEST) for part in parts):     # NaN is not, either
            raise ImportRefused(f"layer {quote(layer.name)}", "has weights that overflow when the "
                                "scales around it are multiplied in", "scale the data outside")
    return FloatNetwork(
        name=identifier(name), source=f"{quote(file.path.name, 100)[1:-1]}, {file.producer}",
        model_sha256=file.digest.hexdigest(), layers=layers, embedding=walk.embedding,
        input=bind_input(walk, chain), state_inputs=bind_states(walk, chain),
        outputs=bind_outputs(walk, chain), final=chain.final, notes=_notes(file, walk, chain),
        last_step_only=chain.last, lengths=bind_lengths(walk),
        fixed_lengths=fixed_lengths(walk))
