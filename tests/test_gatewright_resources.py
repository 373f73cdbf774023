"""Lists of multipliers and memories against the engine itself, and Yosys' own choice of blocks."""

import pytest
from amaranth import Fragment

from gatewright import resources
from gatewright.device_blocks import dsp_blocks, ram_blocks
from hw import blocks, ecp5, ice40
from hw.engine import Engine, make_layout
from hw.families import FAMILIES
from hw.pipeline import DEEP, FLAT, SHALLOW
from hw.program import make_program
from tests.networks import make_batch, make_integer, make_network

NETWORKS = {
    "rnn": make_network(("rnn", 6, "relu"), ("linear", 3, "last"), inputs=3),
    "lstm": make_network(("lstm", 9), ("linear", 4), inputs=5),
    "gru": make_network(("gru", 12), inputs=7, returns=True, loads=True),
    "reset_before": make_network(("gru_reset_before", 5), ("lstm", 4), inputs=2),
    "deep": make_network(("gru", 6), ("rnn", 8), ("lstm", 20), inputs=4),
    "tokens": make_network(("lstm", 8), embedding=(40, 6)),
    "both": make_network(("lstm", 6), ("lstm", 6, "reverse", (-1,)), ("gru", 5, (0, 1)),
                         ("gru", 5, "reverse", (0, 1)), ("linear", 3, (2, 3)), inputs=5),
    "both_tokens": make_network(("gru", 6), ("gru", 6, "reverse", (-1,)),
                                ("linear", 3, "final", (0, 1)), embedding=(40, 6)),
    "peepholes": make_network(("lstm", 9, {"peephole": 1.0, "clip": 1.0}),
                              ("lstm", 5, {"coupled": True}), ("gru", 3), inputs=5),
    "pools": make_network(("gru", 6), ("mean", 6, (0,)), ("max", 6, (0,)),
                          ("linear", 3, "last", (1, 2)), inputs=5),
    "functions": make_network(("lstm", 5, {"functions": ["sigmoid", "softplus", "relu"]}),
                              ("gru", 4, {"functions": ["softsign", "elu"]}), inputs=3),
    "first_function": make_network(("rnn", 5, {"functions": ["softsign"]}), ("lstm", 3), inputs=3),
    "linear": make_network(("linear", 30, "tanh"), inputs=10),
}
INTEGERS = {name: make_integer(network, make_batch(network, 4, 6))[0]
            for name, network in NETWORKS.items()}
ARRAYS = {
    "1x1": {"lanes": 1}, "3x2": {"lanes": 3, "cols": 2}, "9x1": {"lanes": 9, "argmax": True},
    "17x8": {"lanes": 17, "cols": 8, "pipeline": SHALLOW},
    "12x4, 2 posts": {"lanes": 12, "cols": 4, "posts": 2, "argmax": True},
    "12x2, 4 posts": {"lanes": 12, "cols": 2, "posts": 4, "wide": True},
    "20x5, 5 posts": {"lanes": 20, "cols": 5, "posts": 5, "wide": True, "pipeline": SHALLOW},
    "6x12, 3 posts": {"lanes": 6, "cols": 12, "posts": 3, "pipeline": SHALLOW},
    "20x5, 5 posts, flat": {"lanes": 20, "cols": 5, "posts": 5, "wide": True, "pipeline": FLAT},
    "10x2, packed": {"lanes": 10, "cols": 2, "pack": True},
    "18x3, 3 posts, packed": {"lanes": 18, "cols": 3, "posts": 3, "pack": True,
                              "pipeline": SHALLOW},
}


@pytest.fixture
def built(monkeypatch):
    """Elaborate an engine and list its memories and multipliers, by what their makers are asked."""
    memories, products = [], []
    ram, multiplier, spram = (cls.__init__ for cls in (blocks.Ram, blocks.Multiplier,
                                                       ice40.SpramRam))

    def note_ram(self, *, width, depth, cols=1, writable=True, latency=DEEP.ram, **more):
        memories.append((width, depth, cols, not writable, latency))
        ram(self, width=width, depth=depth, cols=cols, writable=writable, latency=latency, **more)

    def note_spram(self, *, width, depth):
        memories.append((width, depth, 1, False, DEEP.ram))
        spram(self, width=width, depth=depth)

    def note_multiplier(self, a_width, b_width, **more):
        products.append((a_width, b_width))
        multiplier(self, a_width, b_width, **more)

    monkeypatch.setattr(blocks.Ram, "__init__", note_ram)
    monkeypatch.setattr(ice40.SpramRam, "__init__", note_spram)
    monkeypatch.setattr(blocks.Multiplier, "__init__", note_multiplier)
    # A memory of elements is made of others, which are not the engine's own.
    monkeypatch.setattr(ecp5.Ram, "_elements", lambda self, m: None)

    def elaborate(layout):
        memories.clear()
        products.clear()
        Fragment.get(Engine(layout), None)
        return sorted(memories), sorted(products)

    return elaborate


# Each network on each array; over these, each family with every network and every array.
CASES = [(name, array, list(FAMILIES)[(row + column) % len(FAMILIES)])
         for row, name in enumerate(NETWORKS) for column, array in enumerate(ARRAYS)]


@pytest.mark.parametrize(("name", "array", "family"), CASES)
def test_lists_are_the_engine(built, name, array, family, protect=False):
    layout = make_layout(make_program(INTEGERS[name], load_weights=family == "ice40",
                                      **ARRAYS[array]), family=FAMILIES[family], protect=protect)
    memories, products = built(layout)
    assert sorted((m.width, m.depth, m.cols, m.contents, m.latency)
                  for m in resources.memories(layout)) == memories
    assert sorted(resources.products(layout)) == products


@pytest.mark.parametrize(("name", "array", "family"), CASES[::13])
def test_lists_are_the_protected_engine(built, name, array, family):
    test_lists_are_the_engine(built, name, array, family, protect=True)


# What Yosys 0.70 made of memories on their own, by (contents, element bits, words, elements):
# beside each, how many blocks (Xilinx: of 18 Kb).
CHOSEN = {
    "gowin": [((1, 64, 2000, 1), 8), ((1, 64, 100, 1), 2), ((1, 64, 64, 1), 0),
              ((1, 36, 64, 1), 1), ((1, 32, 64, 1), 0), ((1, 27, 2000, 1), 3),
              ((1, 8, 7776, 1), 4), ((1, 18, 7776, 1), 8), ((1, 8, 256, 1), 0),
              ((0, 16, 64, 1), 0), ((0, 16, 100, 1), 1), ((0, 32, 40, 1), 1), ((0, 32, 32, 1), 0),
              ((0, 18, 64, 1), 0), ((0, 16, 32, 16), 0), ((0, 16, 64, 16), 8),
              ((0, 16, 64, 2), 1)],
    "xc7": [((1, 16, 512, 1), 0), ((1, 18, 512, 1), 1), ((1, 27, 2000, 1), 3),
            ((1, 27, 1000, 1), 2), ((1, 64, 256, 1), 0), ((1, 64, 394, 1), 2),
            ((1, 8, 1024, 1), 0), ((1, 8, 2000, 1), 1), ((0, 16, 128, 1), 0), ((0, 16, 200, 1), 1),
            ((0, 32, 64, 1), 0), ((0, 32, 100, 1), 1), ((0, 16, 64, 16), 0), ((0, 16, 128, 4), 2)],
    "xcup": [((1, 32, 416, 1), 1), ((1, 16, 512, 1), 0), ((0, 16, 128, 1), 0),
             ((0, 16, 200, 1), 1), ((0, 32, 128, 1), 1), ((0, 16, 64, 4), 0),
             ((0, 16, 128, 2), 1)],
    "ice40": [((1, 16, 64, 1), 0), ((1, 16, 80, 1), 1), ((1, 27, 42, 1), 0), ((1, 27, 394, 1), 4),
              ((1, 32, 2000, 1), 16), ((1, 8, 1000, 1), 2), ((0, 16, 4, 1), 0),
              ((0, 16, 8, 1), 1), ((0, 17, 32, 1), 2), ((0, 16, 32, 2), 2)],
    "ecp5": [((0, 16, 32, 1), 0), ((0, 16, 32, 16), 0), ((1, 128, 32, 1), 0)],
}


@pytest.mark.parametrize(("family", "memory", "want"), [
    (family, *case) for family, cases in CHOSEN.items() for case in cases])
def test_chosen_blocks(family, memory, want):
    contents, width, depth, cols = memory
    made = resources.Memory(name="memory", width=width, depth=depth, cols=cols,
                            contents=bool(contents))
    assert ram_blocks(made, family, named=False) == {"bram": want}


@pytest.mark.parametrize(("width", "depth", "cols", "want"), [
    (64, 1952, 1, 8), (27, 394, 1, 2), (16, 256, 1, 1), (16, 256, 4, 4), (16, 32, 1, 0),
    (32, 2049, 1, 8), (8, 16384, 1, 8), (64, 17000, 1, 68)])
def test_ecp5_blocks(width, depth, cols, want):
    made = resources.Memory(name="memory", width=width, depth=depth, cols=cols)
    assert ram_blocks(made, "ecp5", named=True) == {"bram": want}


@pytest.mark.parametrize(("name", "want"), [("weights", {"spram": 1}), ("cells", {"bram": 4})])
def test_ice40_blocks(name, want):
    """States are read and written in the same cycle, which a single-port memory cannot do."""
    made = resources.Memory(name=name, width=16, depth=1024)
    assert ram_blocks(made, "ice40", named=True) == want


# What Yosys 0.70 made of products of two widths; a MULT9X9 is half a block.
MULTIPLIED = {
    "ecp5": {(18, 8): 1, (8, 18): 1, (18, 18): 1, (5, 5): 1, (24, 16): 2, (19, 16): 1,
             (27, 8): 2},
    "ice40": {(16, 16): 1, (18, 8): 1, (17, 16): 1, (18, 16): 2, (18, 18): 3, (24, 16): 2,
              (18, 3): 1, (8, 4): 1, (6, 4): 0, (5, 5): 0},
    "gowin": {(18, 8): 1, (18, 18): 1, (10, 8): 1, (9, 8): 0.5, (6, 4): 0.5, (18, 3): 0,
              (24, 16): 2, (24, 8): 1.5, (16, 24): 2, (19, 16): 1, (20, 16): 1, (22, 16): 2,
              (27, 16): 2},
    "xc7": {(18, 8): 1, (18, 24): 1, (25, 16): 1, (27, 16): 2, (5, 5): 1},
    "xcup": {(18, 8): 1, (27, 16): 1, (18, 18): 1},
}


@pytest.mark.parametrize(("family", "pair", "want"), [
    (family, *case) for family, cases in MULTIPLIED.items() for case in cases.items()])
def test_dsp_blocks(family, pair, want):
    assert dsp_blocks(*pair, family) == want
