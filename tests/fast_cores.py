"""A core from a golden run, proved by the second runner: words, states, saturations, cycles."""

import gatewright as gw
from gatewright.steps import stimulus
from sim.fast import FastResult, FastSimulator


def prove(quantised, result, folder, *, pauses: bool = True, **array) -> FastResult:
    """Fails unless the core equals golden, without and with pauses; the run without them."""
    core = gw.generate(quantised, **array)
    folder.mkdir(parents=True, exist_ok=True)
    rtl = folder / f"{core.name}.v"
    rtl.write_text(core.verilog)
    wanted = stimulus(core, result)
    with FastSimulator(rtl, core.manifest, folder, optimise=False) as simulator:
        plain = simulator.run(wanted, seed=1)
        assert plain.passed, plain.difference["message"]
        assert plain.cycles == wanted.predicted_cycles
        if pauses:
            paused = simulator.run(wanted, seed=2, pauses=True, resets=(plain.cycles // 2,))
            assert paused.passed, paused.difference["message"]
    assert plain.words == wanted.words > 0
    return plain
