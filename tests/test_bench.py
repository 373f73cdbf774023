"""The benchmark's figures that are not measured, its cycle model, and its writers."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import document, markdown
from bench.chart import Axis, Series, chart
from bench.cores import array_text
from bench.deepbench import scaled_units
from bench.model import COLS, POSTS, best_array, post_multipliers, shape_network
from bench.published import MACHINES, ROWS
from bench.store import Store, surroundings
from golden.network import Cell
from hw.engine import make_layout
from hw.program import make_program

# Busy multipliers in per cent as published beside the times (Brainwave: the paper's own column;
# the others from the same peaks), and the distance of two steps in Brainwave's cycles.
BUSY = {
    "GRU 2816": (74.8, None, None, 3.3), "GRU 2560": (61.9, 30.5, 8.0, 3.3),
    "GRU 2048": (41.2, 30.0, 6.8, 3.0), "GRU 1536": (23.3, 29.0, 5.2, 2.8),
    "GRU 1024": (10.4, 26.7, 3.6, 2.6), "GRU 512": (0.5, 16, 0.1, 0.5),
    "LSTM 2048": (47.2, 32.3, 6.9, 2.6), "LSTM 1536": (27.1, 31.5, 2.7, 2.5),
    "LSTM 1024": (11.8, 29.3, 3.8, 1.8), "LSTM 512": (2.8, 15.4, 1.1, 0.7),
    "LSTM 256": (0.8, 7.7, 0.6, 0.6)}
CYCLES = {"GRU 2816": 662, "GRU 1024": 632, "GRU 512": 3250, "LSTM 2048": 740, "LSTM 256": 708}


def test_deepbench_rows():
    """The rows of DeepBench's server set at batch 1 that the Brainwave paper has."""
    assert [(row.name, row.steps) for row in ROWS] == [
        ("GRU 2816", 750), ("GRU 2560", 375), ("GRU 2048", 375), ("GRU 1536", 375),
        ("GRU 1024", 1500), ("GRU 512", 1), ("LSTM 2048", 25), ("LSTM 1536", 50),
        ("LSTM 1024", 25), ("LSTM 512", 25), ("LSTM 256", 150)]
    assert ROWS[0].macs == 3 * 2816 * (2816 + 2816) and ROWS[-1].macs == 4 * 256 * 512
    for machine in MACHINES.values():  # multipliers, clock and peak are one statement
        assert 2e-6 * machine.multipliers * machine.clock_mhz == pytest.approx(
            machine.peak_tflops, rel=0.005)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_published_utilisation(row):
    for key, busy in zip(MACHINES, BUSY[row.name], strict=True):
        got = row.utilisation(key)
        assert (got is None) == (busy is None) == (key not in row.times_ms)
        assert busy is None or 100 * got == pytest.approx(busy, abs=0.06 if busy != 16 else 0.6)
    if row.name in CYCLES:
        assert row.cycles("brainwave") == pytest.approx(CYCLES[row.name], abs=1)


@pytest.mark.parametrize("cell,units,multipliers", [
    (Cell.LSTM, 12, 40), (Cell.GRU, 9, 24), (Cell.GRU, 33, 64), (Cell.LSTM, 20, 300)])
def test_best_array(cell, units, multipliers):
    """No array with powers of two of cols and posts is faster than the one that is found."""
    network = shape_network(cell, units, units)
    rows = (4 if cell is Cell.LSTM else 3) * units
    post = post_multipliers(cell)
    (best,) = best_array(cell, units, 5, [multipliers])

    def cycles(**array):
        return make_layout(make_program(network, **array)).schedule.total_cycles([5])

    assert post >= 3 and multipliers >= (
        best.array["lanes"] * best.array["cols"] + post * best.array.get("posts", 1))
    assert cycles(**best.array) == best.total and best.exposed < best.cycles < best.total
    assert best.total == min(
        cycles(lanes=lanes, cols=cols, posts=posts, wide=wide)
        for posts in POSTS for cols in COLS for wide in (False, True)
        for lanes in range(posts, min((multipliers - post * posts) // cols, rows + 4 * posts) + 1,
                           posts))


def test_model_of_a_row():
    """LSTM 256 on as many multipliers as Brainwave had takes a tenth of its cycles."""
    row = ROWS[-1]
    (best,) = best_array(row.cell, row.units, row.steps, [MACHINES["brainwave"].multipliers])
    assert best.exposed < best.cycles < best.total / row.steps < row.cycles("brainwave") / 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_scaled_net(row):
    """The small net has at most Brainwave's work for each multiplier, and one unit more has more.
    """
    gates = 4 if row.cell is Cell.LSTM else 3
    units, most = scaled_units(row, 256), row.macs / MACHINES["brainwave"].multipliers
    assert 2 * gates * units ** 2 / 256 <= most < 2 * gates * (units + 1) ** 2 / 256


@pytest.mark.parametrize("array,text", [
    ({"lanes": 16, "cols": 1}, "16"), ({"lanes": 16, "cols": 4, "posts": 2}, "16×4, posts 2"),
    ({"lanes": 16, "pack": True, "wide": False, "pipeline": "deep"}, "16, packed"),
    ({"lanes": 8, "pipeline": "shallow", "wide": True}, "8, shallow, wide")])
def test_array_text(array, text):
    assert array_text(array) == text


def test_markdown():
    text = markdown.table(["net", "<array", "cycles"], [["a", "b", "1"]])
    assert text == "| net | array | cycles |\n|---|---|--:|\n| a | b | 1 |"
    with pytest.raises(ValueError, match="3 cells"):
        markdown.table(["net", "<array", "cycles"], [["a", "b"]])
    assert markdown.pair([2048, 2048]) == "2,048"
    assert markdown.pair([2048, 2049]) == "2,048, measured 2,049"
    assert markdown.pair([2048, None]) == "2,048, measured nothing"
    assert markdown.share(0.9985) == "99.9 %" and markdown.share(None) == "–"
    assert markdown.count(1234.5) == "1,234" and markdown.count(1.25, 1) == "1.2"


def test_chart():
    axes = Axis(label="M/P", low=1, high=100, log=True), Axis(label="busy", low=0, high=100)
    series = [Series(name="ours & <theirs>", points=[(1, 0), (10, 50), (100, 100)], line=True),
              Series(name="b", points=[(10, 50)])]
    text = chart("t", *axes, series)
    assert text == chart("t", *axes, series)
    root = ElementTree.fromstring(text)
    kinds = [child.tag.partition("}")[2] for child in root]
    assert kinds.count("circle") == 3 + 1 and kinds.count("polyline") == 1  # one in the legend
    (joined,) = [child for child in root if child.tag.endswith("polyline")]
    (x0, y0), (x1, y1), (x2, y2) = [tuple(map(float, point.split(",")))
                                    for point in joined.get("points").split()]
    assert (x1, y1) == pytest.approx(((x0 + x2) / 2, (y0 + y2) / 2), abs=0.11)
    assert x0 < x2 and y0 > y2
    assert "ours & <theirs>" in [child.text for child in root]
    assert [t for _, t in axes[0].ticks()] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [t for _, t in axes[1].ticks()] == ["0", "20", "40", "60", "80", "100"]


def test_chart_wrong():
    for low, high, log in ((1, 1, False), (0, 1, True)):
        with pytest.raises(ValueError, match="must rise"):
            Axis(label="x", low=low, high=high, log=log)
    axis = Axis.around("x", [1, 2])
    with pytest.raises(ValueError, match="at most 6 series"):
        chart("t", axis, axis, [Series(name=str(k), points=[]) for k in range(7)])


def test_store(tmp_path):
    path = tmp_path / "new" / "results.json"
    store = Store(path)
    for name in ("b", "gone", "a"):
        store.put("grid", name, {"failure": None, "name": name, "where": {"commit": name}})
    store.arrange("grid", ["a", "b", "c"])
    again = Store(path)
    assert list(again.records("grid")) == ["a", "b"] and again.records("cpu") == {}
    assert again.records("grid")["b"] == {"failure": None, "name": "b", "where": {"commit": "b"}}
    again.put("cpu", "other run", {"where": {"commit": "a"}})
    store.put("grid", "b", {"where": {"commit": "b"}})
    assert list(Store(path).records("cpu")) == ["other run"]
    assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]
    data = json.loads(path.read_text())
    assert sorted(place["commit"] for place in data["places"].values()) == ["a", "b"]
    for text in ("", "[]", json.dumps(data | {"format": 0}), '{"format": 1, "parts": {}}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="format 1"):
            Store(path)


def _place(commit: str = "abc") -> dict:
    return {"where": {**surroundings(), "commit": commit, "date": "2001-02-03"}}


def _simulated(step: int, **more) -> dict:
    return {"failure": None, "words": 4321, "multipliers": 16, "macs": 32768, "sequences": 2,
            "steps": 5, "step": [step, step], "exposed": [0, 0], "total": [9000, 9000],
            "alone": [2400, 2400], "utilisation": 32768 / 16 / step, "verilog_sha256": "0", **more}


def _resource(used: int) -> dict:
    return {"used": used, "available": 1000, "share": used / 1000, "cell": "x"}


def _routed(fmax, **more) -> dict:
    runs = [] if fmax is None else [{"seed": k, "fmax_mhz": fmax - k, "reported_mhz": fmax}
                                    for k in range(5)]
    return _simulated(2048) | {
        "target": "ecp5-25f", "form": "vendor", "net": "LSTM 64→64", "array": "16", "goal": 175,
        "goal_luts": 1890, "fmax_mhz": fmax, "datasheet_limit_mhz": 225.0,
        "seeds": {"runs": runs}, "lut": _resource(900), "ff": _resource(901),
        "wrapper_lut": 0, "bram": _resource(56), "dsp": _resource(20), "warnings": ["a doubt"],
        "tool_versions": {"yosys": "0.70"}, **_place(), **more}


def _times(*values) -> dict:
    return {kind: {"median_us": value, "p99_us": 2 * value}
            for kind, value in zip(("step", "sequence"), values, strict=True)}


PARTS = {
    "grid": {"LSTM 64→64 on 16": _simulated(2048) | _place(),
             "GRU 8→8 on 4": {"failure": "h differs", **_place("def")}},
    "deepbench": {
        "model: LSTM 256": {"failure": None, **_place(), "machines": {
            "brainwave": {"array": {"lanes": 1024, "cols": 64, "posts": 8, "wide": True},
                          "cycles": 63, "exposed": 55, "utilisation": 0.0867}}},
        "same M/P: LSTM 256": _simulated(2048, array={"lanes": 16}, net="LSTM 13→13") | _place(),
        "full: GRU 2816": {"failure": None, "skipped": "47,579,136 weights", **_place()}},
    "routed": {"one": _routed(180.0), "two": _routed(None, target="xc7a35t", goal=None),
               "three": {**_routed(150.0), "refused": "the core does not fit"}},
    "cpu": {"LSTM 64→64": {"failure": None, "load": 0.5, "onnxruntime": _times(8.5, 1.1),
                           "torch": None, **_place()},
            "LSTM 10→64": {"failure": None, "load": 0.5, "onnxruntime": _times(8.1, 1.0),
                           "torch": _times(50.0, 3.0), **_place()}},
    "speed": {"LSTM 64→64 on 16": {
        "failure": None, "load": 0.1, "lanes": 16, "library": 4.4e6, "cocotb": 2.0e5,
        **_place(), **dict.fromkeys(
            ("import_s", "quantise_s", "generate_s", "golden_sequences", "golden_steps",
             "cocotb_build_s", "library_build_s", "library_to_cocotb", "library_steps"), 2.5)}}}


def _line(text: str, *starts: str) -> list:
    """Cells of the one table line that starts so."""
    (found,) = [line for line in text.splitlines()
                if line.startswith("| " + " | ".join(starts) + " |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_document():
    """Every table shows what its records say, and failures as failures."""
    text = document.document(PARTS, {"utilisation": "<svg/>", "times": None, "clocks": None})
    assert _line(text, "LSTM 64→64", "16", "2,048.0")[2:] == [
        "2,048.0", "2,048", "0", "100.0 %", "2,400", "9,000", "10", "4,321"]
    assert "FAILED: h differs" in _line(text, "GRU 8→8", "4")[-1]
    assert "1 equal in every word" in text and "abc, def" in text
    assert _line(text, "LSTM 256, T 150")[1:] == [
        "5.5", "0.8 %", "**8.7 %**", "708", "63", "55", "1024×64, posts 8, wide"]
    assert "GRU 2816 (47,579,136 weights)" in text and "simulation in 5 of the 6 cores" in text
    assert _line(text, "`ecp5-25f`", "vendor", "LSTM 64→64", "16", "**180.0**")[5:] == [
        "180.0, 179.0, 178.0, 177.0, 176.0", "225", "175 (reached)",
        "900 (90%); goal 1,890 (reached)", "901 (90%)", "56 (6%)", "20 (2%)", "11.38"]
    assert _line(text, "`xc7a35t`", "vendor")[-1] == "–"
    assert "the core does not fit" in text
    ours = _line(text, "LSTM 64→64", "`ecp5-25f`, 16 lanes, 180.0 MHz")
    assert ours[2:] == ["**11.38**", "13.33", "8.50 (17.00)", "not installed", "1.10 (2.20)",
                        "not installed", "0.7 / 0.1"]
    assert _line(text, "LSTM 10→64", "not routed yet")[-1] == "–"
    assert _line(text, "cycles a second, cocotb bench attached")[1:] == [
        "200,000", "300,000 (not reached)"]
    assert _line(text, "cycles a second, library")[1:] == ["4,400,000", "3,000,000 (reached)"]
    assert _line(text, "library / cocotb")[1] == "2.5"
    assert "up to 0.5 processes" in text and "busy with other" not in text
    assert "![utilisation](utilisation.svg)" in text and "times.svg" not in text


def test_written_again(tmp_path):
    """The same results give the same bytes; the charts hold every published point."""
    store = Store(tmp_path / "benchmarks.json")
    for part, records in PARTS.items():
        for name, record in records.items():
            store.put(part, name, record)
    first = {path.name: path.read_bytes() for path in document.write_document(store, tmp_path)}
    assert set(first) == {"benchmarks.md", "utilisation.svg", "times.svg", "clocks.svg"}
    again = Store(tmp_path / "benchmarks.json")
    assert first == {path.name: path.read_bytes()
                     for path in document.write_document(again, tmp_path / "other")}
    root = ElementTree.fromstring(first["utilisation.svg"])
    shapes = [child.tag for child in root if re.search("circle|polygon", child.tag)]
    published = sum(len(row.times_ms) for row in ROWS)
    assert len(shapes) == published + 1 + 1 + (2 + len(MACHINES))  # model, simulated, legend
    assert json.loads((tmp_path / "benchmarks.json").read_text())["format"] == 1


def test_docs_are_the_results(tmp_path):
    """What stands in docs is what the results file beside it says, and nothing else."""
    docs = Path(__file__).parents[1] / "docs"
    assert (docs / "benchmarks.json").is_file()
    written = document.write_document(Store(docs / "benchmarks.json"), tmp_path)
    assert {path.name for path in written} >= {"benchmarks.md", "utilisation.svg"}
    for path in written:
        assert path.read_bytes() == (docs / path.name).read_bytes(), (
            f"{path.name} is not what benchmarks.json says: python -m bench --render")
