"""The DeepBench RNN inference rows at batch 1, and what was published for them.

The rows are those of DeepBench's ``inference_server_set`` (code/kernels/rnn_problems.h) that the
Brainwave paper reports. Operations are counted as that paper counts them: the products with x and
with h, X = H, two operations each, 4·G·H²·T in all; DeepBench itself counts the products with h
alone, which would halve every utilisation here.
"""

from dataclasses import dataclass

from golden.network import GATES, Cell

__all__ = ["MACHINES", "ROWS", "Machine", "Row"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """An accelerator with published times.

    Parameters
    ----------
    key, name : str
    multipliers : int
        Multiply-accumulate units: peak / (2 · clock).
    clock_mhz, peak_tflops : float
    source : str
        Of the times.
    checked : bool
        False: the times are as they are commonly quoted, not read in the paper's own table by us;
        they agree with the totals that its text gives.
    """

    key: str
    name: str
    multipliers: int
    clock_mhz: float
    peak_tflops: float
    source: str
    checked: bool


_PAPER = "Zhao et al., Serving RNNs Efficiently with a Spatial Accelerator (MLSys 2019)"
MACHINES = {machine.key: machine for machine in (
    Machine(key="brainwave", name="Brainwave, Stratix 10", multipliers=96_000, clock_mhz=250.0,
            peak_tflops=48.0, checked=False, source=(
                "Fowers et al., A Configurable Cloud-Scale DNN Processor for Real-Time AI (ISCA "
                "2018): DeepBench times; 96,000 multiply-accumulate units, of few bits")),
    Machine(key="plasticine", name="Plasticine (simulated)", multipliers=24_500,
            clock_mhz=1000.0, peak_tflops=49.0, checked=False,
            source=f"{_PAPER}: simulation of 8-bit arithmetic at 1 GHz, 49 TFLOPS at most"),
    Machine(key="v100", name="Tesla V100, cuDNN", multipliers=5_120, clock_mhz=1530.0,
            peak_tflops=15.7, checked=False, source=f"{_PAPER}, measured there; fp32 peak"),
    Machine(key="titan_xp", name="Titan Xp, cuDNN 6", multipliers=3_840, clock_mhz=1582.0,
            peak_tflops=12.15, checked=True,
            source="DeepBench's own results, inference/server/DeepBench_NV_TitanXp.xlsx; fp32"),
)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A DeepBench row at batch 1.

    Parameters
    ----------
    cell : Cell
    units : int
        H; as many inputs.
    steps : int
        T.
    times_ms : dict of machine key to float
        Of the whole sequence.
    """

    cell: Cell
    units: int
    steps: int
    times_ms: dict

    @property
    def name(self) -> str:
        """As "LSTM 256"."""
        return f"{self.cell.upper()} {self.units}"

    @property
    def macs(self) -> int:
        """Multiplications of a step."""
        return 2 * len(GATES[self.cell]) * self.units ** 2

    def utilisation(self, key: str) -> float | None:
        """Published operations over the machine's peak; None where no time was published."""
        time = self.times_ms.get(key)
        return time and 2 * self.macs * self.steps / (time * 1e9) / MACHINES[key].peak_tflops

    def cycles(self, key: str) -> float | None:
        """Clock cycles a step."""
        time = self.times_ms.get(key)
        return time and time * 1e3 * MACHINES[key].clock_mhz / self.steps


def _row(cell: Cell, units: int, steps: int, *times) -> Row:
    return Row(cell=cell, units=units, steps=steps, times_ms={
        key: time for key, time in zip(MACHINES, times, strict=True) if time is not None})


# Milliseconds, in the order of MACHINES.
ROWS = (
    _row(Cell.GRU, 2816, 750, 1.987, None, None, 177.8),
    _row(Cell.GRU, 2560, 375, 0.993, 1.9733, 23.57, 74.62),
    _row(Cell.GRU, 2048, 375, 0.954, 1.2833, 17.70, 51.59),
    _row(Cell.GRU, 1536, 375, 0.951, 0.7463, 13.12, 31.73),
    _row(Cell.GRU, 1024, 1500, 3.792, 1.4430, 33.77, 59.26),
    _row(Cell.GRU, 512, 1, 0.013, 0.0004, 0.39, 0.053),
    _row(Cell.LSTM, 2048, 25, 0.074, 0.1060, 1.55, 5.272),
    _row(Cell.LSTM, 1536, 50, 0.145, 0.1224, 4.38, 6.198),
    _row(Cell.LSTM, 1024, 25, 0.074, 0.0292, 0.71, 1.872),
    _row(Cell.LSTM, 512, 25, 0.077, 0.0139, 0.60, 1.258),
    _row(Cell.LSTM, 256, 150, 0.425, 0.0419, 1.69, 1.994),
)
