"""What the bench drives and what it expects: input words, output words, every h and c.

Dimensions: B sequences, T steps (may differ from sequence to sequence), H units of a layer,
E elements of an input word.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["FORMAT", "RUN", "Sequence", "Stimulus"]

RUN = "GATEWRIGHT_SIM_RUN"  # environment of the simulator: the folder of the run
FORMAT = 3  # of the two files; raised when their fields change


def _int64(name: str, values, ndim: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, not {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), not shape {array.shape}")
    return np.ascontiguousarray(array, dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """One sequence: what goes in, and what golden says must come out.

    Parameters
    ----------
    steps : int > 0
        T.
    inputs : int64 (n_in, E), or (n_in,) where E is 1
        Words of the input stream in order, as their elements: weights, then initial states (h of
        all layers, then c; element 0 of a word each), if the core loads them, then the words of
        each step. Signed codes or token ids.
    outputs : int64 (n_out,)
        Expected elements of the output stream in order, in whatever words they come: results, then
        last states if any.
    trace : dict of (signal, layer) to int64 (T, H)
        Expected values of signal "h" or "c" of a layer at each step; (1, H) for a layer that is
        evaluated on the last step only.
    """

    steps: int
    inputs: np.ndarray
    outputs: np.ndarray
    trace: dict

    def __post_init__(self):
        if not isinstance(self.steps, (int, np.integer)) or self.steps < 1:
            raise ValueError(f"Steps must be a positive integer, not {self.steps!r}")
        object.__setattr__(self, "steps", int(self.steps))
        inputs = np.asarray(self.inputs)
        inputs = _int64("Inputs", inputs[:, None] if inputs.ndim == 1 else inputs, 2)
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "outputs", _int64("Outputs", self.outputs, 1))
        if not len(self.inputs) or not len(self.outputs):
            raise ValueError("A sequence must have input words and expected output words, "
                             f"not {len(self.inputs)} and {len(self.outputs)}")
        trace = {}
        for (signal, layer), values in self.trace.items():
            if signal not in ("h", "c"):
                raise ValueError(f"A traced signal must be 'h' or 'c', not {signal!r}")
            values = _int64(f"Trace of {signal} of layer {layer}", values, 2)
            if len(values) not in (1, self.steps):
                raise ValueError(f"Trace of {signal} of layer {layer} must have {self.steps} "
                                 f"rows, or 1 if last-step only, not {len(values)}")
            trace[signal, int(layer)] = values
        object.__setattr__(self, "trace", trace)


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """All sequences of a run, in the order in which they are sent, and what is predicted of them.

    Parameters
    ----------
    sequences : tuple of Sequence, at least one
    predicted_cycles : int or None
        Clock cycles from the one that accepts the first input word of the first sequence to the
        one that accepts the last output word of the last, both counted, when nothing pauses.
        None: not predicted, so not compared.
    expected_saturations : int or None
        Final value of ``status_saturations`` after all sequences; None: not compared.
    output_units : int or None
        Elements of one result y, to name the place of a wrong one; may be None only where an output
        word holds no more than one.
    output_every_step : bool
        Whether a result leaves at each step or only after the last one.
    sweeps : tuple of bool
        The core's walks over a sequence: True for one of the last step alone. Most cores have one,
        over all steps.
    """

    sequences: tuple
    predicted_cycles: int | None = None
    expected_saturations: int | None = None
    output_units: int | None = None
    output_every_step: bool = True
    sweeps: tuple = (False,)
    keys: tuple = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "sequences", tuple(self.sequences))
        object.__setattr__(self, "sweeps", tuple(bool(single) for single in self.sweeps))
        if not self.sequences:
            raise ValueError("A stimulus must hold at least one sequence, not 0: "
                             "nothing compared proves nothing")
        keys = tuple(sorted(self.sequences[0].trace, key=lambda key: (key[1], key[0])))
        object.__setattr__(self, "keys", keys)
        for idx, sequence in enumerate(self.sequences):
            if set(sequence.trace) != set(keys):
                raise ValueError(f"Sequence {idx} must trace the same signals as sequence 0")
            many = self.sequences[0].inputs.shape[1]
            if sequence.inputs.shape[1] != many:
                raise ValueError(f"Sequence {idx} must have input words of {many} element(s), "
                                 f"not {sequence.inputs.shape[1]}")
            for key in keys:
                units = self.sequences[0].trace[key].shape[1]
                if sequence.trace[key].shape[1] != units:
                    raise ValueError(f"Sequence {idx}: trace {key} must have {units} units, "
                                     f"not {sequence.trace[key].shape[1]}")

    @classmethod
    def from_batch(cls, *, steps: int, inputs, outputs, trace: dict, **fields) -> "Stimulus":
        """Sequences of one length.

        Parameters
        ----------
        steps : int
            T.
        inputs : int64 (B, n_in) or (B, n_in, E)
        outputs : int64 (B, n_out)
        trace : dict of (signal, layer) to int64 (B, T, H), or (B, 1, H) if last-step only
        fields
            The other parameters of ``Stimulus``.
        """
        inputs = np.asarray(inputs)
        outputs = _int64("Outputs", outputs, 2)
        for name, values in [("outputs", outputs), *trace.items()]:
            if len(values) != len(inputs):
                raise ValueError(f"{name} must cover {len(inputs)} sequences, not {len(values)}")
        return cls(sequences=tuple(
            Sequence(steps=steps, inputs=inputs[b], outputs=outputs[b],
                     trace={key: values[b] for key, values in trace.items()})
            for b in range(len(inputs))), **fields)

    @property
    def steps(self) -> int:
        """Steps of all sequences together."""
        return sum(sequence.steps for sequence in self.sequences)

    @property
    def starts(self) -> np.ndarray:
        """Steps that the core starts, int64 (sequences, sweeps)."""
        steps = np.array([sequence.steps for sequence in self.sequences])[:, None]
        return np.where(np.array(self.sweeps), 1, steps)

    @property
    def words(self) -> int:
        """Values that a pass compares: output elements and every traced h and c."""
        return sum(len(sequence.outputs) + sum(v.size for v in sequence.trace.values())
                   for sequence in self.sequences)

    def flat(self, part: str) -> tuple:
        """All sequences in a row, and where each of them ends.

        Parameters
        ----------
        part : "inputs" or "outputs"

        Returns
        -------
        words : int64 (N, E) of inputs, (N,) of outputs
        last : bool (N,)
        """
        words = [getattr(sequence, part) for sequence in self.sequences]
        last = np.zeros(sum(map(len, words)), dtype=bool)
        last[np.cumsum([len(w) for w in words]) - 1] = True
        return np.concatenate(words), last

    def rows(self, key: tuple) -> tuple:
        """Expected trace of a (signal, layer) over all sequences.

        Returns
        -------
        values : int64 (R, H)
        sequence, step : int64 (R,)
            Where each row belongs.
        """
        traces = [sequence.trace[key] for sequence in self.sequences]
        owner = np.repeat(np.arange(len(traces)), [len(t) for t in traces])
        steps = [np.arange(s.steps - len(t), s.steps)
                 for s, t in zip(self.sequences, traces, strict=True)]
        return np.concatenate(traces), owner, np.concatenate(steps)

    def save(self, folder: Path) -> None:
        """Write ``stimulus.npz`` and ``stimulus.json``, from which ``load`` makes an equal one."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"steps": np.array([s.steps for s in self.sequences])}
        for part in ("inputs", "outputs"):
            arrays[part] = self.flat(part)[0]
            arrays[f"{part}_count"] = np.array([len(getattr(s, part)) for s in self.sequences])
        for signal, layer in self.keys:
            values, owner, _ = self.rows((signal, layer))
            arrays[f"{signal}{layer}"] = values
            arrays[f"{signal}{layer}_count"] = np.bincount(owner, minlength=len(self.sequences))
        np.savez(folder / "stimulus.npz", **arrays)
        (folder / "stimulus.json").write_text(json.dumps({
            "format": FORMAT, "trace": [list(key) for key in self.keys],
            "predicted_cycles": self.predicted_cycles,
            "expected_saturations": self.expected_saturations,
            "output_units": self.output_units, "output_every_step": self.output_every_step,
            "sweeps": list(self.sweeps),
        }, indent=1))

    @classmethod
    def load(cls, folder: Path) -> "Stimulus":
        """Read what ``save`` wrote; ValueError if the files have another format version."""
        folder = Path(folder)
        info = json.loads((folder / "stimulus.json").read_text())
        if info.pop("format") != FORMAT:
            raise ValueError(f"{folder}: stimulus format must be {FORMAT}; generate it again")
        keys = [tuple(key) for key in info.pop("trace")]
        with np.load(folder / "stimulus.npz", allow_pickle=False) as arrays:
            def parts(name):
                return np.split(arrays[name], np.cumsum(arrays[f"{name}_count"])[:-1])
            traces = {key: parts(f"{key[0]}{key[1]}") for key in keys}
            sequences = tuple(
                Sequence(steps=steps, inputs=inputs, outputs=outputs,
                         trace={key: values[idx] for key, values in traces.items()})
                for idx, (steps, inputs, outputs) in enumerate(zip(
                    arrays["steps"].tolist(), parts("inputs"), parts("outputs"), strict=True)))
        return cls(sequences=sequences, **info)
