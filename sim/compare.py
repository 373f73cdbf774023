"""Exact comparison of what the harness logged with what golden expects, as it arrives.

Every log keeps its order, and within a (signal, layer) all neurons of a step are written before
the first of the next step. So each group of H records is one step, whose addresses must be each
neuron once: a record that is lost or written twice cannot hide.
"""

import numpy as np

from .ports import read_ports
from .stimulus import Stimulus

__all__ = ["Checker", "check_trace_map"]

RANK = {"c": 0, "h": 1}  # of one step: c comes before the h that is made of it
NEIGHBOURS = 2  # neurons shown on each side of a difference
SAID = {"value": "is", "tlast": "has tlast", "tkeep": "is the last that tkeep shows of its word:"}


def check_trace_map(entries: list, stimulus: Stimulus) -> None:
    """ValueError unless the manifest's trace and golden's name the same signals and sizes."""
    mapped = {(e["signal"], e["layer"]): e["units"] for e in entries}
    golden = {key: stimulus.sequences[0].trace[key].shape[1] for key in stimulus.keys}
    if not golden or mapped != golden or len(mapped) != len(entries):
        raise ValueError(f"The manifest's trace must name golden's signals and sizes {golden}, "
                         f"not {mapped}")
    for entry in entries:
        rows = sum(1 if entry["last_only"] else s.steps for s in stimulus.sequences)
        got = len(stimulus.rows((entry["signal"], entry["layer"]))[0])
        if got != rows:
            raise ValueError(f"Golden's {entry['signal']} of layer {entry['layer']} must have "
                             f"{rows} rows, not {got}")


class _Signal:
    """One (signal, layer): expected rows, and the actual ones as far as they are complete."""

    def __init__(self, entry: dict, stimulus: Stimulus):
        self.entry = entry
        self.expected, self.sequence, self.step = stimulus.rows((entry["signal"], entry["layer"]))
        if entry.get("reverse"):  # the records come from a sequence's last step to its first
            last = np.array([s.steps for s in stimulus.sequences])[self.sequence] - 1
            self.step = last - self.step
        self.actual = np.zeros_like(self.expected)
        self.done = 0  # complete rows
        self.pending = (np.zeros(0, np.int64), np.zeros(0, np.int64))  # neurons, values


def _word_ends(stimulus: Stimulus, many: int) -> np.ndarray:
    """Which expected output elements are the last of their word, bool; see ``Checker``."""
    units, ends = stimulus.output_units, []
    for sequence in stimulus.sequences:
        n = np.arange(len(sequence.outputs))
        if many > 1:
            place = n % units
            results = units * (sequence.steps if stimulus.output_every_step else 1)
            ends.append((n >= results) | (place % many == many - 1) | (place == units - 1))
        else:
            ends.append(n >= 0)
    return np.concatenate(ends)


class Checker:
    """Compares one pass.

    Parameters
    ----------
    stimulus : Stimulus
    entries : list of dict
        ``manifest["trace"]``.
    output_width : int or None
        Bits of an output element. They come as signed codes; where golden expects one beyond their
        range (the index of an argmax), the bits are read without a sign.
    output_elements : int
        The most that an output word holds: those of a result fill words from the lowest place on,
        each result begins a new word, and behind the results a last state is a word of its own.

    ``words`` counts the values that were compared, ``mismatches`` those that differ; the first
    difference, in order of sequence, step, layer and neuron, is a dict with a ``message``.
    """

    def __init__(self, stimulus: Stimulus, entries: list, *, output_width: int | None = None,
                 output_elements: int = 1):
        check_trace_map(entries, stimulus)
        if output_elements > 1 and not stimulus.output_units:
            raise ValueError("The stimulus must tell its output units where an output word holds "
                             f"{output_elements} of them")
        self.stimulus, self._output_width = stimulus, output_width
        self._many = output_elements
        self.words = self.mismatches = 0
        self.signals = [_Signal(e, stimulus) for e in
                        sorted(entries, key=lambda e: (e["layer"], e["signal"]))]
        # One place behind all addresses stands for whatever lies beyond.
        end = max((e["base"] + e["units"] for e in entries), default=0)
        self._owner = {signal: np.full(end + 1, -1) for signal in "hc"}
        for number, item in enumerate(self.signals):
            base, units = item.entry["base"], item.entry["units"]
            owner = self._owner[item.entry["signal"]]
            if base < 0 or (owner[base:base + units] >= 0).any():
                raise ValueError(f"Trace addresses {base} to {base + units - 1} of layer "
                                 f"{item.entry['layer']} must be free and not negative")
            owner[base:base + units] = number
        self._words, self._last = stimulus.flat("outputs")
        self._ends = _word_ends(stimulus, output_elements)
        self._out_sequence = np.repeat(np.arange(len(stimulus.sequences)),
                                       [len(s.outputs) for s in stimulus.sequences])
        self._out_start = np.cumsum([0] + [len(s.outputs) for s in stimulus.sequences])
        self.outputs = 0  # output elements received
        self._found = []  # ((sequence, step, layer, rank), difference); a prefix sorts first

    @classmethod
    def of_core(cls, stimulus: Stimulus, manifest: dict) -> "Checker":
        """For the core that the manifest describes."""
        ports = read_ports(manifest)
        return cls(stimulus, manifest["trace"],
                   output_width=ports.element_width("m_axis_tdata"),
                   output_elements=ports.elements["m_axis_tdata"])

    # ---- feeding ----------------------------------------------------------------------------
    def trace(self, signal: str, index: np.ndarray, data: np.ndarray) -> None:
        """Take records of ``trace_h`` or ``trace_c``, in order.

        Parameters
        ----------
        index : int64 (n,)
        data : int64 (n,) or (n, P)
            Values: number k of a record belongs to address index * P + k. Only the first need be
            one that the manifest maps, since a last group may be short.
        """
        many = data.shape[1] if data.ndim == 2 else 1
        index = (index[:, None] * many + np.arange(many)).reshape(-1)
        owner = self._owner[signal][np.minimum(index, len(self._owner[signal]) - 1)]
        bad = np.flatnonzero(owner[::many] < 0) * many
        if len(bad):
            address = int(index[bad[0]])
            self._add((), kind="unexpected_record", signal=signal, actual=address, message=(
                f"trace_{signal} wrote address {address}, which the manifest does not map"))
        for number in np.unique(owner[owner >= 0]):
            item, mine = self.signals[number], owner == number
            item.pending = (np.concatenate((item.pending[0], index[mine] - item.entry["base"])),
                            np.concatenate((item.pending[1], data.reshape(-1)[mine])))
            self._rows(item)

    def output(self, data: np.ndarray, last: np.ndarray, keep: np.ndarray | None = None) -> None:
        """Take output words, in order.

        Parameters
        ----------
        data : int64 (n,) or (n, E)
            Signed codes.
        last : bool (n,)
        keep : bool (n, E) or None
            Elements that there are; None: all.
        """
        ends = np.ones(len(last), bool)
        if keep is not None:
            count = keep.sum(axis=1)
            holes = (count == 0) | (keep != (np.arange(self._many) < count[:, None])).any(axis=1)
            if holes.any():
                self._holes(keep, int(np.argmax(holes)))
            ends = np.zeros_like(keep)
            ends[np.arange(len(keep)), count - 1] = True
            data, last, ends = data[keep], (ends & last[:, None])[keep], ends[keep]
        data = data.reshape(-1)
        start, room = self.outputs, len(self._words) - self.outputs
        self.outputs += len(data)
        if len(data) > room:
            self._add((len(self.stimulus.sequences),), kind="extra_word", signal="output",
                      actual=int(data[room]), message=(
                f"the core sent more than the {len(self._words)} expected output words; "
                f"the first one too many is {int(data[room])}"))
            data, last, ends = data[:room], last[:room], ends[:room]
        words, flags, word_ends = (a[start:start + len(data)]
                                   for a in (self._words, self._last, self._ends))
        if self._output_width is not None:
            unsigned = words >= 1 << (self._output_width - 1)
            data = np.where(unsigned, data & ((1 << self._output_width) - 1), data)
        self.words += len(data)
        wrong = np.flatnonzero(data != words)
        self.mismatches += len(wrong)
        for kind, places, actual in (("value", wrong, data),
                                     ("tlast", np.flatnonzero(last != flags), last),
                                     ("tkeep", np.flatnonzero(ends != word_ends), ends)):
            if len(places):
                self._output_difference(kind, start, int(places[0]), data, actual)

    def _rows(self, item: _Signal) -> None:
        units = item.entry["units"]
        rows = len(item.pending[0]) // units
        if not rows:
            return
        neurons, values = (p[:rows * units].reshape(rows, units) for p in item.pending)
        item.pending = tuple(p[rows * units:] for p in item.pending)
        whole = (np.sort(neurons, axis=1) == np.arange(units)).all(axis=1)
        broken = int(np.argmin(whole)) if not whole.all() else None
        good = rows if broken is None else broken
        fits = min(good, len(item.expected) - item.done)
        first = item.done
        ordered = np.zeros((fits, units), np.int64)
        np.put_along_axis(ordered, neurons[:fits], values[:fits], axis=1)
        item.actual[first:first + fits] = ordered
        item.done += fits
        self.words += ordered.size
        wrong = ordered != item.expected[first:first + fits]
        self.mismatches += int(wrong.sum())
        if wrong.any():
            row, neuron = np.argwhere(wrong)[0].tolist()
            self._trace_difference(item, first + row, neuron)
        if item.done == len(item.expected) and good > fits:
            self._add((len(self.stimulus.sequences),), kind="extra_record",
                      **self._name(item), message=(
                f"{self._where(item)} was written for more than the expected "
                f"{len(item.expected)} steps"))
        elif broken is not None:
            self._missing(item, neurons[broken])

    # ---- naming -----------------------------------------------------------------------------
    def _add(self, place: tuple, **difference) -> None:
        self._found.append((place, difference))

    @staticmethod
    def _name(item: _Signal) -> dict:
        return {"signal": item.entry["signal"], "layer": item.entry["layer"],
                "layer_name": item.entry["name"]}

    @staticmethod
    def _where(item: _Signal) -> str:
        return f"{item.entry['signal']} of layer {item.entry['layer']} ({item.entry['name']})"

    def _row_place(self, item: _Signal, row: int) -> dict:
        return {"sequence": int(item.sequence[row]), "step": int(item.step[row])}

    def _trace_difference(self, item: _Signal, row: int, neuron: int) -> None:
        place = self._row_place(item, row)
        expected, actual = int(item.expected[row, neuron]), int(item.actual[row, neuron])
        self._add((place["sequence"], place["step"], item.entry["layer"],
                   RANK[item.entry["signal"]]), kind="value", **place, **self._name(item),
                  neuron=neuron, expected=expected, actual=actual,
                  around=lambda: self._around(item, row, neuron), message=(
            f"sequence {place['sequence']}, step {place['step']}, neuron {neuron}: "
            f"{self._where(item)} is {actual}, expected {expected}"))

    def _around(self, item: _Signal, row: int, neuron: int) -> list:
        """Neighbours, the step before, and the other signal of the neuron, as far as known."""
        def entry(of, r, n):
            return {"signal": of.entry["signal"], "step": int(of.step[r]), "neuron": n,
                    "expected": int(of.expected[r, n]), "actual": int(of.actual[r, n])}

        around = [entry(item, row, n) for n in range(neuron - NEIGHBOURS, neuron + NEIGHBOURS + 1)
                  if n != neuron and 0 <= n < item.entry["units"]]
        if row and item.sequence[row - 1] == item.sequence[row]:
            around.append(entry(item, row - 1, neuron))
        return around + [entry(other, row, neuron) for other in self.signals
                         if other.entry["layer"] == item.entry["layer"] and other is not item
                         and row < other.done]

    def _missing(self, item: _Signal, neurons: np.ndarray) -> None:
        row, units = item.done, item.entry["units"]
        place = (self._row_place(item, row) if row < len(item.expected)
                 else {"sequence": len(self.stimulus.sequences), "step": 0})
        count = np.bincount(neurons, minlength=units)
        lost, twice = np.flatnonzero(count == 0).tolist(), np.flatnonzero(count > 1).tolist()
        text = f"no record of neuron {lost[0]}"
        if twice:
            text += f", neuron {twice[0]} was written twice before it"
        self._add((place["sequence"], place["step"], item.entry["layer"],
                   RANK[item.entry["signal"]]), kind="missing_record", **place,
                  **self._name(item), neuron=lost[0],
                  message=f"sequence {place['sequence']}, step {place['step']}: "
                          f"{self._where(item)} has {text}")

    def _holes(self, keep: np.ndarray, at: int) -> None:
        """Word ``at`` of those at hand does not hold its elements from the lowest place on."""
        word = min(self.outputs + int(keep[:at].sum()), len(self._words) - 1)
        sequence = int(self._out_sequence[word])
        bits = "".join("01"[int(bit)] for bit in keep[at, ::-1])
        self._add((sequence,), kind="tkeep", signal="output", sequence=sequence, message=(
            f"sequence {sequence}, output word {word - int(self._out_start[sequence])} comes in a "
            f"word with tkeep {bits}, which must be ones from the lowest place on"))

    def _output_difference(self, kind: str, start: int, at: int, data, actuals) -> None:
        word = start + at
        sequence = int(self._out_sequence[word])
        k = word - int(self._out_start[sequence])
        place = {"sequence": sequence, "step": None, "layer": None, "neuron": None, "word": k}
        text = f"sequence {sequence}, output word {k}"
        units, steps = self.stimulus.output_units, self.stimulus.sequences[sequence].steps
        if units and k < units * (steps if self.stimulus.output_every_step else 1):
            step = k // units if self.stimulus.output_every_step else steps - 1
            place |= {"step": step, "neuron": k % units}
            text += f" (step {step}, neuron {k % units})"
        expects = {"value": self._words, "tlast": self._last, "tkeep": self._ends}[kind]
        expected, actual = int(expects[word]), int(actuals[at])
        around = [{"signal": "output", "word": k + d, "expected": int(self._words[word + d]),
                   "actual": int(data[at + d])}
                  for d in range(-NEIGHBOURS, NEIGHBOURS + 1)
                  if d and 0 <= at + d < len(data)
                  and 0 <= k + d < len(self.stimulus.sequences[sequence].outputs)]
        step = steps if place["step"] is None else place["step"]
        self._add((sequence, step, 1 << 30, k), kind=kind, **place, signal="output",
                  expected=expected, actual=actual, around=around, message=(
            f"{text} {SAID[kind]} {actual}, expected {expected}"))

    # ---- results ----------------------------------------------------------------------------
    def first(self) -> dict | None:
        """The first difference found so far; None if everything equal."""
        found = min(self._found, key=lambda entry: entry[0], default=((), None))[1]
        if found and callable(found.get("around")):  # late: more of the step is known by now
            found["around"] = found["around"]()
        return found

    def finish(self, quiet_cycles: int) -> dict | None:
        """First difference after the core fell silent: what is still missing is one, too."""
        for item in self.signals:
            if item.done < len(item.expected):
                self._missing(item, item.pending[0])
            elif len(item.pending[0]):
                self._add((len(self.stimulus.sequences),), kind="extra_record",
                          **self._name(item), message=(
                    f"{self._where(item)} has {len(item.pending[0])} record(s) too many"))
        if self.outputs < len(self._words):
            came = (f"only {self.outputs} of {len(self._words)} output words"
                    if self.outputs else "no output word at all")
            behind = self.first()
            sequence = int(self._out_sequence[self.outputs])
            self._add((), kind="no_output", signal="output", sequence=sequence,
                      expected=len(self._words), actual=self.outputs, message=(
                f"{came} came, then nothing moved for {quiet_cycles} cycles"
                + (f"; {behind['message']}" if behind else "")))
        return self.first()
