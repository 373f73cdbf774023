"""The list of what has to be refused: 63 groups, each with the cases that stand for it."""

import ast
import importlib
from pathlib import Path

import pytest

# Where a feature becomes legal, the group names the test that it works instead.
# Kind of file, then rows or tests of tests/test_bad_files_KIND.py; elsewhere the file's whole name.
GROUPS = {
    1: "container: empty, one byte",
    2: "container: random, zeros, text, JSON, HTML, XML, git-LFS, zip, HDF5, pickle, gzip",
    3: "container: cut in half, cut by one byte, junk behind, zeros behind, twice",
    4: "container: no graph, no nodes, no opset, no outputs", 5: "container: opset 999",
    6: "container: opset 1", 7: "container: two opsets", 8: "container: IR 999, IR 0",
    9: "container: 400 deep, 20 million nodes",
    10: "external: parent, grandparent, down and up, absolute", 11: "external: symlink, below",
    12: "external: hard link", 13: "external: missing, empty",
    14: "external: pipe, symlink to a device, folder",
    15: "external: length 2^40, offset -4, offset x", 16: "external: offset beyond the end",
    17: "external: key __class__, test_tensors_anywhere_in_the_file",
    18: "weights: nan in W, inf in R, nan in a state, inf in an embedding",
    19: "weights: 3e38 in W, all zero, denormal", 20: "weights: raw data short, raw data long",
    21: "weights: 2^30 x 2^10, 2^62 x 2^62, product that wraps to 48",
    22: "weights: negative dimension, dimension -1", 23: "weights: zero rows, zero inputs",
    24: "weights: float16, float64, type BFLOAT16, type STRING, int8 weights",
    25: "weights: twice, both data", 26: "weights: sparse",
    27: "weights: test_what_nothing_reads_costs_little, test_what_nothing_reads_is_not_run",
    28: "cells: W of three gates, R of W's shape, B of one half, proj_size, as torch exports it",
    29: "cells: hidden_size missing, hidden_size -1, hidden_size 4, hidden_size 65536",
    30: "cells: X of three values, X of two axes", 31: "cells: open values, open batch, "
        "batch and values open",
    32: "features: two directions, forward",
    33: "features: bidirectional, with the weights of one, no such direction, "
        "two directions, reverse",
    34: "cells: direction sideways", 35: "cells: layout 2, layout in opset 13",
    36: "features: clip nan, clip -1.0", 37: "features: input_forget 2",
    38: "features: affine without its factor, unknown function, endless factor, "
        "too few functions",
    39: "cells: two activations, unknown activation, lower-case activations",
    40: "features: short peepholes, peepholes of a GRU",
    41: "features: lengths 5 of 4, lengths in floats",
    42: "features: state computed from data", 43: "cells: W at run time, W computed from data",
    44: "cells: no bias", 45: "cells: reset before, reset after, reset 2",
    46: "cells: Y_h alone, Y_c alone, renamed, four outputs, output twice",
    47: "cells: hidden_size 3.0, unknown attribute, hidden_size twice",
    48: "graph: Conv, Loop, If, Scan, three at once, unrolled, 900 steps",
    49: "graph: foreign LSTM, LSTM as a function",
    50: "graph: 1 nodes in a ring, 3000 nodes in a ring, input twice, output that is a constant",
    51: "names: test_names_reach_no_file_of_ours",
    52: "graph: QDQ weights, scale 0.0, QDQ weights, scale nan, QDQ, zero point of another type",
    53: "graph: transpose between layers, wrong axis squeezed, batch axis kept",
    54: "options: test_ranges_that_no_accumulator_holds",
    55: "options: test_ranges_that_no_accumulator_holds",
    56: "container: missing, folder, pipe, link to a device, test_words_that_look_like_options",
    57: "folders: file, foreign, link, /proc/none, test_disk_is_full, test_no_permission",
    58: "test_end_to_end: test_stopped", 59: "test_end_to_end: test_two_runs_into_one_folder",
    60: "options: syntax, key twice, dashes, weight_width 1, weight_width 65, test_number, "
        "test_flag",
    61: "options: test_network_too_large_for_every_device",
    62: "data: no sequence, nan, pickled objects, CSV, test_archive_that_unpacks_to_too_much, "
        "test_data_without_a_range",
    63: "test_hw_engine_streams: test_short_step, test_cut_sequence_counted_once, "
        "test_stuck_output, test_last_among_states",
}


def _names(kind: str) -> set:
    """Tests of a file, and the rows of its tables."""
    if kind.startswith("test_"):               # not imported: it may need a simulator to
        tree = ast.parse((Path(__file__).parent / f"{kind}.py").read_text())
        return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    module = importlib.import_module(f"test_bad_files_{kind}")
    found = {name for name in vars(module) if name.startswith("test_")}
    for table in vars(module).values():
        if isinstance(table, dict):
            found |= {key for key in table if isinstance(key, str)}
        elif isinstance(table, list):
            found |= {row[0] for row in table if isinstance(row, tuple)}
    return found


@pytest.mark.parametrize("group", range(1, 64))
def test_group(group):
    kind, _, listed = GROUPS[group].partition(": ")
    known, missing, rest = _names(kind), [], listed
    while rest:                                # a row's own name may hold a comma
        parts = rest.split(", ")
        names = [", ".join(parts[:n]) for n in range(len(parts), 0, -1)]
        name = next((name for name in names if name in known), parts[0])
        missing += [] if name in known else [name]
        rest = rest[len(name) + 2:]
    assert not missing


def test_there_are_many():
    kinds = ("container", "external", "weights", "cells", "features", "graph", "data")
    assert sum(len(_names(kind)) for kind in kinds) > 300
