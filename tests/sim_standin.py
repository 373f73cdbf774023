"""A small core with the ports of a generated one, and its golden: for tests of the bench itself.

Layer 0 ("acc"): h[j] = saturate8(h[j] + x[0] + j), c[j] = wrap16(c[j] + x[1] - j), 3 neurons.
Layer 1 ("head"), last step only: y[k] = h[0] + h[1] + h[2] + k, 2 neurons, traced and not sent.
Each step takes two words x[0], x[1] and sends h. x[0] is the low byte of its word; the next four
bits name a fault that the core commits in this step.
"""

import numpy as np
from amaranth import *
from amaranth.back import verilog
from amaranth.lib import enum

from sim import Sequence, Stimulus

H, UNITS_HEAD = 3, 2
C_START = [0x15A5, 0x15A6, 0x15A7]  # initial c: constants that stand out in the Verilog text


class Fault(enum.Enum, shape=4):
    NONE = 0
    DROP_WORD = 1
    EXTRA_WORD = 2
    EARLY_LAST = 3
    NO_RECORD = 4
    TWO_RECORDS = 5
    HANG = 6
    WRONG_H = 7
    DROP_VALID = 8
    STATUS = 9
    LATE = 10
    WRONG_HEAD = 11
    WRONG_WORD = 12
    SILENT = 13


class StandIn(Elaboratable):
    """A step takes 15 + work cycles, the last of a sequence 2 more."""

    def __init__(self, *, work: int = 5):
        self.work = work
        shapes = {
            "s_axis_tdata": 16, "s_axis_tvalid": 1, "s_axis_tready": 1, "s_axis_tlast": 1,
            "m_axis_tdata": 16, "m_axis_tvalid": 1, "m_axis_tready": 1, "m_axis_tlast": 1,
            "trace_step": 1, "trace_h_valid": 1, "trace_h_index": 4, "trace_h_data": 12,
            "trace_c_valid": 1, "trace_c_index": 4, "trace_c_data": 16,
            "status_errors": 16, "status_saturations": 32, "idle": 1}
        self.ports = {name: Signal(width, name=name) for name, width in shapes.items()}

    def elaborate(self, platform):
        m = Module()
        p = self.ports
        x = Array(Signal(signed(8 if k == 0 else 16), name=f"x_{k}") for k in range(2))
        h = Array(Signal(signed(8), name=f"h_{j}") for j in range(H))
        c = Array(Signal(signed(16), init=C_START[j], name=f"c_{j}") for j in range(H))
        idx, wait, last, fault = Signal(4), Signal(range(self.work + 1)), Signal(), Signal(Fault)
        head = sum(h)
        total = Signal(signed(11))
        m.d.comb += total.eq(h[idx] + x[0] + idx)
        sent = Signal(8)
        with m.FSM():
            with m.State("LOAD"):
                m.d.comb += [p["s_axis_tready"].eq(1), p["idle"].eq(1)]
                with m.If(p["s_axis_tvalid"]):
                    m.d.sync += [x[idx[0]].eq(p["s_axis_tdata"]), last.eq(p["s_axis_tlast"]),
                                 idx.eq(idx + 1)]
                    with m.If(idx == 0):
                        m.d.sync += fault.eq(p["s_axis_tdata"][8:12])
                    with m.Else():
                        m.next = "START"
            with m.State("START"):
                m.d.comb += p["trace_step"].eq(1)
                m.d.sync += [idx.eq(0), wait.eq(0)]
                m.next = "WAIT"
                with m.If(fault == Fault.HANG):
                    m.next = "HANG"
            with m.State("HANG"):
                pass
            with m.State("WAIT"):
                m.d.sync += wait.eq(wait + 1)
                with m.If(wait == self.work - 1):
                    m.next = "LATE"
                    with m.If(fault != Fault.LATE):
                        m.next = "C"
            with m.State("LATE"):
                m.next = "C"
            with m.State("C"):
                m.d.sync += c[idx].eq(c[idx] + x[1] - idx)
                m.next = "H"
            with m.State("H"):
                over, under = total > 127, total < -128
                flip = (fault == Fault.WRONG_H) & (idx == 1)
                m.d.sync += h[idx].eq(Mux(over, 127, Mux(under, -128, total)) ^ flip)
                m.d.sync += p["status_saturations"].eq(p["status_saturations"] + (over | under))
                m.d.comb += [p["trace_c_valid"].eq(1), p["trace_c_index"].eq(idx + 4),
                             p["trace_c_data"].eq(c[idx])]
                m.next = "RECORD"
            with m.State("RECORD"):
                m.d.comb += [
                    p["trace_h_valid"].eq((fault != Fault.NO_RECORD) | (idx != 1)),
                    p["trace_h_index"].eq(Mux((fault == Fault.TWO_RECORDS) & (idx == 2), 1, idx)),
                    p["trace_h_data"].eq(h[idx])]
                m.d.sync += idx.eq(idx + 1)
                m.next = "C"
                with m.If(idx == H - 1):
                    m.d.sync += [idx.eq(0), sent.eq(0)]
                    m.next = "SEND"
                    with m.If(last):
                        m.next = "HEAD"
                    with m.Elif(fault == Fault.SILENT):
                        m.d.sync += idx.eq(0)
                        m.next = "LOAD"
            with m.State("HEAD"):
                m.d.comb += [p["trace_h_valid"].eq(1), p["trace_h_index"].eq(idx + 8),
                             p["trace_h_data"].eq(head + idx + (fault == Fault.WRONG_HEAD))]
                m.d.sync += idx.eq(idx + 1)
                with m.If(idx == UNITS_HEAD - 1):
                    m.d.sync += idx.eq(0)
                    m.next = "SEND"
            with m.State("SEND"):
                words = Signal(4)
                m.d.comb += words.eq(Mux(fault == Fault.EXTRA_WORD, H + 1, H))
                skip = (fault == Fault.DROP_WORD) & (idx == 1)
                early = Mux(fault == Fault.EARLY_LAST, idx == H - 2, idx == words - 1)
                m.d.sync += sent.eq(sent + 1)
                blink = (fault == Fault.DROP_VALID) & (sent == 1)
                m.d.comb += [p["m_axis_tvalid"].eq(~skip & ~blink),
                             p["m_axis_tdata"].eq(h[Mux(idx < H, idx, 0)]
                                                  + ((fault == Fault.WRONG_WORD) & (idx == 2))),
                             p["m_axis_tlast"].eq(last & early)]
                with m.If(fault == Fault.STATUS):
                    m.d.sync += p["status_errors"].eq(4)
                with m.If(p["m_axis_tready"] & ~blink | skip):
                    m.d.sync += [idx.eq(idx + 1), sent.eq(0)]
                    with m.If(idx == words - 1):
                        m.d.sync += idx.eq(0)
                        m.next = "LOAD"
                        with m.If(last):
                            m.d.sync += [v.eq(0) for v in h]
                            m.d.sync += [v.eq(C_START[j]) for j, v in enumerate(c)]
        return m


def emit(work: int = 5) -> tuple:
    """Verilog text and manifest of the stand-in."""
    core = StandIn(work=work)
    text = verilog.convert(core, name="standin", ports=list(core.ports.values()),
                           emit_src=False, strip_internal_attrs=True)
    inputs = ("s_axis_tdata", "s_axis_tvalid", "s_axis_tlast", "m_axis_tready")
    ports = [{"name": name, "direction": "in", "width": 1} for name in ("clk", "rst")]
    ports += [{"name": name, "direction": "in" if name in inputs else "out",
               "width": len(signal)} for name, signal in core.ports.items()]
    trace = [{"signal": "h", "layer": 0, "name": "acc", "base": 0, "units": H,
              "last_only": False},
             {"signal": "c", "layer": 0, "name": "acc", "base": 4, "units": H,
              "last_only": False},
             {"signal": "h", "layer": 1, "name": "head", "base": 8, "units": UNITS_HEAD,
              "last_only": True}]
    return text, {"name": "standin", "ports": ports, "trace": trace, "lanes": 1, "cols": 1,
                  "posts": 1, "stream": {"input_elements": 1, "output_elements": 1},
                  "cycles_per_step": 15 + work, "macs_per_step": 6}


def golden(lengths: list, *, work: int = 5, seed: int = 1, fault: Fault = Fault.NONE,
           at: tuple = (0, 0), **fields) -> Stimulus:
    """Random sequences of the given lengths; ``fault`` is ordered in (sequence, step) ``at``."""
    rng = np.random.default_rng(seed)
    sequences, saturations = [], 0
    for number, steps in enumerate(lengths):
        x = np.stack((rng.integers(-60, 70, steps), rng.integers(-3000, 3000, steps)), axis=1)
        h, c = np.zeros(H, np.int64), np.array(C_START)
        rows = {"h": [], "c": []}
        for x0, x1 in x:
            exact = h + x0 + np.arange(H)
            h = np.clip(exact, -128, 127)
            saturations += int((h != exact).sum())
            c = (c + x1 - np.arange(H) + 32768) % 65536 - 32768
            rows["h"].append(h)
            rows["c"].append(c)
        words = x.copy()
        words[:, 0] &= 0xFF
        if number == at[0]:
            words[at[1], 0] |= fault.value << 8
        hs = np.array(rows["h"])
        sequences.append(Sequence(
            steps=steps, inputs=words.reshape(-1), outputs=hs.reshape(-1),
            trace={("h", 0): hs, ("c", 0): np.array(rows["c"]),
                   ("h", 1): hs[-1:].sum(axis=1, keepdims=True) + np.arange(UNITS_HEAD)}))
    return Stimulus(**{
        "sequences": tuple(sequences), "expected_saturations": saturations, "output_units": H,
        "predicted_cycles": sum(lengths) * (15 + work) + 2 * len(lengths), **fields})
