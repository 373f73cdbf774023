"""Memory images: decoded back to the weights, biases and shifts that they were made from."""

from dataclasses import replace

import numpy as np
import pytest
from networks import make_batch, make_integer, make_network

from hw.image import embedding_image, load_words, row_format, row_image, weight_image
from hw.program import make_program

NETWORKS = {
    "lstm": (("lstm", 6), ("linear", 3, "last")),
    "gru": (("gru", 5), ("gru", 3)),
    "gru_reset_before": (("gru_reset_before", 5),),
    "mixed": (("rnn", 7), ("lstm", 3), ("gru_reset_before", 2), ("linear", 4)),
}
ARRAYS = [(4, 1, 1), (1, 1, 1), (7, 2, 1), (3, 4, 1), (40, 8, 1), (12, 3, 3), (8, 2, 4)]


def build(name: str, lanes: int, cols: int, posts: int = 1, **options):
    net = make_network(*NETWORKS[name])
    integer, _ = make_integer(net, make_batch(net, 2, 3), **options)
    return make_program(integer, lanes=lanes, cols=cols, posts=posts)


def signed(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def split_word(word: int, width: int, count: int) -> list:
    assert 0 <= word < 1 << (width * count)
    return [signed(word >> (k * width), width) for k in range(count)]


def gate_major(phase, rows) -> list:
    """Rows in groups of a neuron for each post, back to the order of ``GATES``."""
    gates, posts = phase.rows_per_unit, phase.posts
    return [rows[(j // posts * gates + k) * posts + j % posts]
            for k in range(gates) for j in range(phase.units)]


@pytest.mark.parametrize("width", [2, 8, 13])
@pytest.mark.parametrize(("lanes", "cols", "posts"), ARRAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_decoded(name, lanes, cols, posts, width):
    """Every word taken apart gives back every matrix of every layer, and zeros as padding."""
    program = build(name, lanes, cols, posts, weight_width=width)
    words = weight_image(program)
    assert len(words) == program.weight_words
    queue = iter(words)
    found = {}
    for number, phase in enumerate(program.phases):
        rows = {k: [[] for _ in range(phase.rows)] for k in range(len(phase.segments))}
        for first in range(0, phase.rows, lanes):
            for k, segment in enumerate(phase.segments):
                length = segment.weights.shape[1]
                for column in range(0, length, cols):
                    codes = split_word(next(queue), width, lanes * cols)
                    for lane in range(lanes):
                        part = codes[lane * cols:(lane + 1) * cols]
                        used = min(cols, length - column)
                        if first + lane >= phase.rows:
                            used = 0
                        else:
                            rows[k][first + lane] += part[:used]
                        assert not any(part[used:])
        found[number] = [gate_major(phase, matrix) for matrix in rows.values()]
    assert next(queue, None) is None

    for idx, layer in enumerate(program.network.layers):
        phases = [k for k, phase in enumerate(program.phases) if phase.layer == idx]
        swapped = idx > 0 and layer.r is not None
        # A reset-before candidate's vectors are both new: x first, whatever the layer.
        matrices = [[], []]
        for k in phases:
            ordered = found[k]
            if swapped and program.phases[k].op.name != "CANDIDATE":
                ordered = ordered[::-1]
            for matrix, rows in zip(matrices, ordered, strict=False):
                matrix += rows
        assert matrices[0] == layer.w.tolist()
        assert matrices[1] == ([] if layer.r is None else layer.r.tolist())


@pytest.mark.parametrize(("name", "lanes", "cols"), [("mixed", 4, 1), ("gru", 7, 2)])
def test_one_weight_one_word(name, lanes, cols):
    """A flipped bit of one weight is a flipped bit of one word, wherever the weight lies."""
    program = build(name, lanes, cols)
    words = weight_image(program)
    rng = np.random.default_rng(3)
    places = set()
    for idx, layer in enumerate(program.network.layers):
        for field in ("w", "r"):
            matrix = getattr(layer, field)
            if matrix is None:
                continue
            for _ in range(6):
                row, column = (int(rng.integers(n)) for n in matrix.shape)
                changed = matrix.copy()
                changed[row, column] ^= 1
                layers = list(program.network.layers)
                layers[idx] = replace(layer, **{field: changed})
                other = weight_image(make_program(replace(program.network, layers=tuple(layers)),
                                                  lanes=lanes, cols=cols))
                wrong = [k for k, pair in enumerate(zip(words, other, strict=True))
                         if pair[0] != pair[1]]
                assert len(wrong) == 1
                assert (words[wrong[0]] ^ other[wrong[0]]).bit_count() == 1
                places.add(wrong[0])
    assert len(places) > 6


@pytest.mark.parametrize("scale", [1.0, 300.0, 0.01], ids=["usual", "lifted", "fine"])
@pytest.mark.parametrize(("name", "posts"), [*((name, 1) for name in NETWORKS), ("lstm", 3),
                                             ("gru", 5)])
def test_rows_decoded(name, posts, scale):
    """Bias, half of the last place, second bias and shift of every row, back from its word."""
    net = make_network(*NETWORKS[name], scale=scale)
    integer, _ = make_integer(net, make_batch(net, 2, 3))
    program = make_program(integer, lanes=4 * posts, cols=posts, posts=posts)
    fmt = row_format(program)
    # Rows in the phases' order: each post's turn after the other's.
    words = [word for turn in zip(*(row_image(program, k) for k in range(posts)), strict=True)
             for word in turn]
    assert (fmt.lift > 0) == (scale == 300.0)
    assert fmt.split == ("gru" in [str(layer.cell) for layer in integer.layers])
    number = 0
    for idx, layer in enumerate(integer.layers):
        decoded = []
        for phase in (p for p in program.phases if p.layer == idx):
            rows = []
            for _ in range(phase.rows):
                word = words[number]
                assert 0 <= word < 1 << fmt.width
                number += 1
                shift = word >> (fmt.width - fmt.shift_width) if fmt.shift_width else 0
                shift += fmt.base_shift - fmt.lift
                half = 2 ** (shift + fmt.lift - 1) if shift + fmt.lift > 0 else 0
                biases = [(signed(word >> (k * fmt.bias_width), fmt.bias_width) - half)
                          / 2 ** fmt.lift for k in range(2 if fmt.split else 1)]
                rows.append((biases[0], biases[1] if fmt.split else 0, shift))
            decoded += gate_major(phase, rows)
        assert [row[0] for row in decoded] == layer.bias_x.tolist()
        assert [row[1] for row in decoded] == layer.bias_h.tolist()
        assert [row[2] for row in decoded] == (layer.acc_frac - layer.pre.frac).tolist()
    assert number == len(words)


@pytest.mark.parametrize("name", NETWORKS)
def test_short_groups_cost_no_shifter(name):
    """Rows that only fill a group up are shifted by what other rows are shifted by."""
    plain, filled = (row_format(build(name, 4 * posts, posts, posts)) for posts in (1, 4))
    assert (filled.lift, filled.base_shift, filled.shift_width) == (
        plain.lift, plain.base_shift, plain.shift_width)
    assert plain.base_shift > 0


@pytest.mark.parametrize("cols", [1, 2, 4])
def test_embedding_decoded(cols):
    net = make_network(("gru", 3), embedding=(7, 5))
    integer, _ = make_integer(net, make_batch(net, 2, 3), act_width=11)
    words = embedding_image(make_program(integer, lanes=4, cols=cols))
    per_token = -(-5 // cols)
    assert len(words) == 7 * per_token
    for token, row in enumerate(integer.embedding.tolist()):
        codes = []
        for word in words[token * per_token:(token + 1) * per_token]:
            codes += split_word(word, 11, cols)
        assert codes == row + [0] * (per_token * cols - 5)


@pytest.mark.parametrize(("lanes", "cols", "width"), [(4, 1, 8), (3, 2, 5), (1, 1, 2), (9, 4, 13)])
def test_load_words(lanes, cols, width):
    """Pieces of the input stream's width put together again are the memory."""
    net = make_network(("lstm", 3))
    integer, _ = make_integer(net, make_batch(net, 2, 3), weight_width=width, act_width=9)
    program = make_program(integer, lanes=lanes, cols=cols, load_weights=True)
    pieces, words = load_words(program), weight_image(program)
    assert len(pieces) == program.load_words == len(words) * program.pieces
    assert program.pieces == -(-lanes * cols * width // 9)
    assert all(0 <= piece < 1 << 9 for piece in pieces)
    for k, word in enumerate(words):
        own = pieces[k * program.pieces:(k + 1) * program.pieces]
        assert sum(piece << (9 * j) for j, piece in enumerate(own)) == word


@pytest.mark.parametrize("posts", [1, 4])
def test_peepholes_decoded(posts):
    """The weight of c in each row's word, at the scale of the row's lifted sum."""
    net = make_network(("lstm", 5, {"peephole": 1.0}), ("gru", 3), ("lstm", 4, {
        "peephole": 300.0, "coupled": True}), inputs=3)
    integer, _ = make_integer(net, make_batch(net, 2, 3))
    program = make_program(integer, lanes=4 * posts, cols=posts, posts=posts)
    fmt = row_format(program)
    words = [word for turn in zip(*(row_image(program, k) for k in range(posts)), strict=True)
             for word in turn]
    place, number, found = fmt.width - fmt.shift_width - fmt.peephole_width, 0, 0
    for phase in program.phases:
        layer = integer.layers[phase.layer]
        for k in range(phase.rows):
            weight = signed(words[number] >> place & ((1 << fmt.peephole_width) - 1),
                            fmt.peephole_width)
            number += 1
            unit = k // (posts * phase.rows_per_unit) * posts + k % posts
            gate = phase.row_gates[k // posts % phase.rows_per_unit]
            if layer.peephole is None or gate == 2 or unit >= layer.units:
                assert weight == 0
                continue
            # Times c, both have fmt.lift more fractional bits than the row's sum.
            code = int(layer.peephole[min(gate, 2), unit])
            scale = fmt.lift - layer.peephole_lift - fmt.peephole_shift
            assert weight == code << scale
            found += weight != 0
    assert number == len(words) and found > 20
