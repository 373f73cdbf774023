"""A core's gates in the place of its Verilog: synthesis and the second runner, put together."""

from pathlib import Path

from sim.build import Simulator
from sim.fast import FastSimulator
from sim.models import block_models
from synth.gates import Gates

__all__ = ["gate_simulator"]


def gate_simulator(gates: Gates, manifest: dict, folder: Path, *,
                   simulator: Simulator | None = None) -> FastSimulator:
    """The netlist with models of all its cells, ready to run.

    Parameters
    ----------
    gates : Gates
    manifest : dict
        Of the core.
    folder : Path
        For the build; made if absent.
    simulator : Simulator or None
        From ``find_simulator``, where many are built.

    Raises
    ------
    ToolMissing, SimulationError
        Nothing to build with; a cell has no model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Yosys has models of every block of iCE40, but of none of ECP5's.
    blocks = block_models(gates.family) if gates.family == "ecp5" else ""
    rtl = folder / "gates_with_models.v"
    rtl.write_text(gates.verilog + gates.models + blocks, encoding="utf-8")
    # Optimised it would take minutes to compile, and run for a second instead of some.
    return FastSimulator(rtl, manifest | {"primitives": ()}, folder, simulator=simulator,
                         optimise=False)
