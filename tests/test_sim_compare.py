"""The comparison by itself, fed with records as a core would write them."""

from dataclasses import replace

import numpy as np
import pytest
from sim_standin import emit, golden

from sim.compare import Checker, check_trace_map

LENGTHS = [2, 1, 5]
ENTRIES = emit()[1]["trace"]


def logs(stimulus):
    """What a right core writes: {"h": (index, data), "c": ..., "out": (data, last)}."""
    records = {"h": [], "c": []}
    base = {(e["signal"], e["layer"]): e["base"] for e in ENTRIES}
    for sequence in stimulus.sequences:
        for step in range(sequence.steps):
            for key, values in sequence.trace.items():
                if len(values) == sequence.steps or step == sequence.steps - 1:
                    row = values[step if len(values) == sequence.steps else 0]
                    records[key[0]] += [(base[key] + j, v) for j, v in enumerate(row.tolist())]
    return {signal: tuple(np.array(column) for column in zip(*rows, strict=True))
            for signal, rows in records.items()} | {"out": stimulus.flat("outputs")}


def feed(checker, written, pieces=1):
    """Hand the logs over in a number of pieces."""
    parts = {log: list(zip(*(np.array_split(column, pieces) for column in columns), strict=True))
             for log, columns in written.items()}
    for piece in range(pieces):
        for signal in "ch":
            checker.trace(signal, *parts[signal][piece])
        checker.output(*parts["out"][piece])
    return checker.finish(100)


def without(columns, at):
    return tuple(np.delete(column, at, axis=0) for column in columns)


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 40])
def test_equal(pieces):
    stimulus = golden(LENGTHS)
    checker = Checker(stimulus, ENTRIES)
    assert feed(checker, logs(stimulus), pieces) is None
    assert checker.words == stimulus.words == 8 * 9 + 3 * 2
    assert checker.mismatches == 0


@pytest.mark.parametrize("pieces", [1, 5, 40])
@pytest.mark.parametrize("log", ["h", "c", "out"])
def test_every_single_value_matters(log, pieces):
    """A change of the lowest bit anywhere is found."""
    stimulus = golden([2, 3])
    column = 0 if log == "out" else 1
    for at in range(len(logs(stimulus)[log][column])):
        written = logs(stimulus)
        written[log][column][at] ^= 1
        checker = Checker(stimulus, ENTRIES)
        difference = feed(checker, written, pieces)
        assert difference["kind"] == "value"
        assert difference["signal"] == ("output" if log == "out" else log)
        assert difference["actual"] == difference["expected"] ^ 1
        assert checker.mismatches == 1


@pytest.mark.parametrize("log", ["h", "c", "out"])
def test_every_single_record_matters(log):
    """A record that is left out, or written twice, is found wherever it is."""
    stimulus = golden([2, 3])
    count = len(logs(stimulus)[log][0])
    for at in range(count):
        written = logs(stimulus)
        written[log] = without(written[log], at)
        assert feed(Checker(stimulus, ENTRIES), written, 3) is not None
        written = logs(stimulus)
        written[log] = tuple(np.insert(c, at, c[at]) for c in written[log])
        assert feed(Checker(stimulus, ENTRIES), written, 3) is not None


def test_same_values_missing():
    """Words that are all equal: only the count can tell that one is lost."""
    stimulus = golden([4])
    sequence = stimulus.sequences[0]
    sequence.outputs[:] = 0
    for values in sequence.trace.values():
        values[:] = 0
    written = logs(stimulus)
    written["h"] = without(written["h"], 4)
    difference = feed(Checker(stimulus, ENTRIES), written)
    assert difference["kind"] == "missing_record"
    assert (difference["step"], difference["neuron"]) == (1, 1)
    written = logs(stimulus)
    written["out"] = (written["out"][0][1:], written["out"][1][1:])
    assert feed(Checker(stimulus, ENTRIES), written)["kind"] == "no_output"


def test_first_of_several():
    """The earliest step wins, then the lower layer, then c before h."""
    stimulus = golden([3])
    written = logs(stimulus)
    written["out"][0][0] ^= 1
    written["h"][1][3] ^= 1
    written["c"][1][4] ^= 1
    difference = feed(Checker(stimulus, ENTRIES), written)
    assert (difference["step"], difference["signal"]) == (0, "output")
    written["out"][0][0] ^= 1
    difference = feed(Checker(stimulus, ENTRIES), written)
    assert (difference["step"], difference["signal"], difference["neuron"]) == (1, "c", 1)
    assert {(e["signal"], e["step"], e["neuron"]) for e in difference["around"]} == {
        ("c", 1, 0), ("c", 1, 2), ("c", 0, 1), ("h", 1, 1)}


def test_unknown_address():
    stimulus = golden([2])
    written = logs(stimulus)
    written["h"][0][2] = 77
    difference = feed(Checker(stimulus, ENTRIES), written)
    assert difference["kind"] == "unexpected_record"
    assert "address 77" in difference["message"]


def test_extra_record():
    stimulus = golden([2])
    for count in (1, 3):
        written = logs(stimulus)
        written["c"] = tuple(np.concatenate((c, c[:count])) for c in written["c"])
        assert feed(Checker(stimulus, ENTRIES), written)["kind"] == "extra_record"


def test_nothing_written():
    difference = Checker(golden([2]), ENTRIES).finish(123)
    assert difference["kind"] == "no_output"
    assert "no output word at all came, then nothing moved for 123 cycles" in difference["message"]


def test_trace_map_wrong():
    stimulus = golden([2, 3])
    with pytest.raises(ValueError, match=r"must name golden's signals and sizes"):
        check_trace_map([], stimulus)
    with pytest.raises(ValueError, match=r"must name golden's signals and sizes"):
        check_trace_map([*ENTRIES, ENTRIES[0]], stimulus)
    with pytest.raises(ValueError, match=r"must have 2 rows, not 5"):
        check_trace_map([e | {"last_only": True} for e in ENTRIES], stimulus)
    with pytest.raises(ValueError, match=r"addresses 2 to 3 of layer 1 must be free"):
        Checker(stimulus, [e | {"base": 2} if e["layer"] else e for e in ENTRIES])


def test_words_beyond_the_signed_range():
    """An argmax of ten classes fills 4 bits: 9 arrives as the signed code -7; 8 is not -8 + 1."""
    stimulus = golden([4])
    sequence = replace(stimulus.sequences[0], outputs=np.array([9, 8, 7, 0]))
    stimulus = replace(stimulus, sequences=(sequence,), output_units=1)
    right = logs(stimulus) | {"out": (np.array([-7, -8, 7, 0]), stimulus.flat("outputs")[1])}
    assert feed(Checker(stimulus, ENTRIES, output_width=4), right) is None
    for at in range(4):
        wrong = right | {"out": (right["out"][0].copy(), right["out"][1])}
        wrong["out"][0][at] ^= 1
        difference = feed(Checker(stimulus, ENTRIES, output_width=4), wrong)
        assert (difference["kind"], difference["word"]) == ("value", at)


# ---- several values to a record, several elements to a word --------------------------------------

def grouped(stimulus, posts):
    """Records of so many values each; those of units that do not exist are 99."""
    base = {(e["signal"], e["layer"]): e["base"] for e in ENTRIES}
    records = {"h": [], "c": []}
    for sequence in stimulus.sequences:
        for step in range(sequence.steps):
            for key, values in sequence.trace.items():
                if len(values) == sequence.steps or step == sequence.steps - 1:
                    row = values[step if len(values) == sequence.steps else 0].tolist()
                    row += [99] * (-len(row) % posts)
                    records[key[0]] += [(base[key] // posts + k // posts, row[k:k + posts])
                                        for k in range(0, len(row), posts)]
    return {signal: tuple(map(np.array, zip(*rows, strict=True)))
            for signal, rows in records.items()}


def words_of(stimulus, many):
    """Output words of so many elements: (data, last, keep); what is not kept is 99."""
    data, last, keep = [], [], []
    for sequence in stimulus.sequences:
        units = stimulus.output_units
        for begin in range(0, len(sequence.outputs), units):
            result = sequence.outputs[begin:begin + units].tolist()
            for k in range(0, units, many):
                part = result[k:k + many]
                data.append(part + [99] * (many - len(part)))
                keep.append([j < len(part) for j in range(many)])
                last.append(False)
        last[-1] = True
    return np.array(data), np.array(last), np.array(keep)


@pytest.mark.parametrize("posts", [1, 2, 4])
@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_records_of_several_values(posts, pieces):
    stimulus = golden(LENGTHS)
    written = grouped(stimulus, posts) | {"out": stimulus.flat("outputs")}
    checker = Checker(stimulus, ENTRIES)
    assert feed(checker, written, pieces) is None
    assert checker.words == stimulus.words
    known = {(e["signal"], e["base"] + k) for e in ENTRIES for k in range(e["units"])}
    for signal in "hc":
        index, data = (column.copy() for column in written[signal])
        for record, k in np.ndindex(data.shape):
            data[record, k] ^= 1
            difference = feed(Checker(stimulus, ENTRIES), written | {signal: (index, data)})
            # a unit that does not exist may be anything
            assert (difference is not None) == ((signal, index[record] * posts + k) in known)
            data[record, k] ^= 1
        for at in range(len(index)):
            assert feed(Checker(stimulus, ENTRIES), written | {
                signal: without(written[signal], at)}) is not None


def test_unknown_group():
    stimulus = golden([2])
    for address, named in ((3, 12), (77, 308)):
        written = grouped(stimulus, 4) | {"out": stimulus.flat("outputs")}
        written["h"][0][1] = address
        difference = feed(Checker(stimulus, ENTRIES), written)
        assert difference["kind"] == "unexpected_record"
        assert f"address {named}," in difference["message"]


def outputs(stimulus, words, many, pieces=1):
    """The difference that output words make, everything else being right."""
    checker = Checker(stimulus, ENTRIES, output_elements=many)
    for signal in "hc":
        checker.trace(signal, *logs(stimulus)[signal])
    for part in zip(*(np.array_split(column, pieces) for column in words), strict=True):
        checker.output(*part)
    return checker.finish(100)


@pytest.mark.parametrize("many", [2, 3, 5])
@pytest.mark.parametrize("pieces", [1, 4])
def test_words_of_several_elements(many, pieces):
    stimulus = golden(LENGTHS)
    words = words_of(stimulus, many)
    assert outputs(stimulus, words, many, pieces) is None
    data, last, keep = words
    for at in np.ndindex(data.shape):
        wrong = data.copy()
        wrong[at] ^= 1
        difference = outputs(stimulus, (wrong, last, keep), many, pieces)
        assert (difference is not None) == keep[at]
        assert not keep[at] or difference["kind"] == "value"
    for word in range(len(data)):
        assert outputs(stimulus, (data, last ^ (np.arange(len(data)) == word), keep), many,
                       pieces)["kind"] == "tlast"
        assert outputs(stimulus, without(words, word), many, pieces) is not None


def test_every_tkeep_matters():
    """No other bits of tkeep pass, whatever stands in the word."""
    stimulus = golden([2, 1])
    for sequence in stimulus.sequences:
        sequence.outputs[:] = 7
    many = 2
    data, last, keep = words_of(stimulus, many)
    data[:] = 7
    for word in range(len(data)):
        for bits in range(1 << many):
            other = keep.copy()
            other[word] = [bits >> k & 1 for k in range(many)]
            if (other == keep).all():
                continue
            difference = outputs(stimulus, (data, last, other), many)
            assert difference["signal"] == "output"
            assert "tkeep" in difference["message"] or difference["kind"] == "tlast", (word, bits)
    other = keep.copy()
    other[0] = False, True
    assert "comes in a word with tkeep 10, which must be" in outputs(
        stimulus, (data, last, other), many)["message"]


def test_states_are_words_of_their_own():
    """Behind the results each element is a word: a packed one is found by tkeep alone."""
    stimulus = golden([2])
    (sequence,) = stimulus.sequences
    sequence = replace(sequence, outputs=np.concatenate([sequence.outputs, [4, 5]]))
    stimulus = replace(stimulus, sequences=(sequence,))
    data = np.array([[*sequence.outputs[:2]], [sequence.outputs[2], 0],
                     [*sequence.outputs[3:5]], [sequence.outputs[5], 0], [4, 0], [5, 0]])
    keep = np.array([[1, 1], [1, 0], [1, 1], [1, 0], [1, 0], [1, 0]], bool)
    last = np.arange(6) == 5
    assert outputs(stimulus, (data, last, keep), 2) is None
    data[4], keep[4] = (4, 5), True
    difference = outputs(stimulus, (data[:5], last[1:], keep[:5]), 2)
    assert (difference["kind"], difference["word"]) == ("tkeep", 6)


def test_word_structure_unknown_wrong():
    with pytest.raises(ValueError, match="must tell its output units where an output word holds 2"):
        Checker(golden([2], output_units=None), ENTRIES, output_elements=2)
