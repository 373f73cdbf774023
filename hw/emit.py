"""From a program to Verilog text, byte for byte the same for the same program."""

import hashlib
import os
import re
from dataclasses import dataclass

from amaranth.back import verilog
from amaranth.lib.wiring import Flow

from golden.network import IntNetwork
from golden.tables import TanhTable

from .engine import Engine, make_layout
from .families import family_named
from .layout import Layout
from .manifest import make_manifest
from .pipeline import pipeline_named
from .program import make_program

__all__ = ["Core", "generate", "to_verilog"]


@dataclass(frozen=True, kw_only=True)
class Core:
    """A generated core.

    Parameters
    ----------
    name : str
        Module name.
    layout : Layout
        Program, schedule and widths.
    verilog : str
    manifest : dict
        JSON-able; ``hw.manifest`` describes the fields.
    """

    name: str
    layout: Layout
    verilog: str
    manifest: dict

    @property
    def verilog_sha256(self) -> str:
        return hashlib.sha256(self.verilog.encode()).hexdigest()


def _ports(engine: Engine) -> list:
    ports = [{"name": "clk", "direction": "in", "width": 1},
             {"name": "rst", "direction": "in", "width": 1}]
    for path, member, value in engine.signature.flatten(engine):
        ports.append({"name": "__".join(map(str, path)), "width": len(value),
                      "direction": "in" if member.flow is Flow.In else "out"})
    return ports


def to_verilog(elaboratable, name: str) -> str:
    """Verilog text by the Yosys that Amaranth brings, never by one of the system.

    Another Yosys would write other bytes; nothing of this machine (paths, lines) is in the text.
    """
    chosen = os.environ.get("AMARANTH_USE_YOSYS")
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    try:
        return verilog.convert(elaboratable, name=name, emit_src=False,
                               strip_internal_attrs=True)
    finally:
        if chosen is None:
            del os.environ["AMARANTH_USE_YOSYS"]
        else:
            os.environ["AMARANTH_USE_YOSYS"] = chosen


def generate(network: IntNetwork, *, lanes: int, cols: int = 1, posts: int = 1,
             argmax: bool = False, load_weights: bool = False, pipeline: str = "deep",
             wide: bool = False, pack: bool = False, protect: bool = False,
             name: str | None = None,
             family: str = "portable", table: TanhTable | None = None) -> Core:
    """Lay a network out, time it, and write its Verilog.

    Parameters
    ----------
    network : IntNetwork
    lanes, cols, posts : int
        The array; see ``make_program``.
    argmax : bool
        Output the index of the largest result instead of the results.
    load_weights : bool
        Take the weights over the input stream after a reset, for memories without contents.
    pipeline : str
        "deep": registers everywhere, for the clock. "shallow": few cycles round the recurrence,
        for small nets, at a lower clock; from plain Verilog in every family.
    wide : bool
        Input words hold ``cols`` elements and output words ``posts`` results, not one.
    pack : bool
        Two lanes share a multiplier, exactly; for weights of up to 8 bits and multipliers of 18.
    protect : bool
        Tell of upsets: an output ``status_faults``, and both streams stop at a fault until a reset.
        The same cycles and the same words.
    name : str or None
        Module name; the network's own by default.
    family : str
        "portable": Verilog that every tool reads. Another name of ``hw.families``: blocks of that
        device family instantiated, for a higher clock; the same cycles and the same words.
    table : TanhTable or None
        In place of the network's own; see ``make_program``.

    Returns
    -------
    Core

    Raises
    ------
    ValueError
        If the array, the pipeline, the name or the family is not legal.
    """

    name = network.name if name is None else name
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(f"Name must be a lower-case identifier, not {name!r}")
    program = make_program(network, lanes=lanes, cols=cols, posts=posts, argmax=argmax,
                           load_weights=load_weights, pipeline=pipeline_named(pipeline),
                           wide=wide, pack=pack, table=table)
    layout = make_layout(program, family=family_named(family), protect=protect)
    engine = Engine(layout)
    core = Core(name=name, layout=layout, verilog=to_verilog(engine, name), manifest={})
    core.manifest.update(make_manifest(core, _ports(engine)))
    return core
