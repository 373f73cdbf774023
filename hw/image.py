"""Memory contents of a program: weights in reading order, one word a cycle; a word for each row."""

from dataclasses import dataclass

import numpy as np
from amaranth.utils import bits_for

from .program import Phase, Program

__all__ = ["RowFormat", "embedding_image", "load_words", "row_format", "row_image",
           "weight_image"]


def _words(codes, width: int) -> list:
    """Rows of codes (words, elements) to unsigned words, element 0 lowest."""
    mask = (1 << width) - 1
    words = []
    for row in codes.tolist():
        word = 0
        for code in reversed(row):
            word = (word << width) | (code & mask)
        words.append(word)
    return words


def _phase_weights(phase: Phase, lanes: int, cols: int) -> np.ndarray:
    """(cycles, lanes * cols): column k of lane l stands at l * cols + k; padding is zero."""
    padded = []
    for segment in phase.segments:
        rows, length = segment.weights.shape
        full = np.zeros((phase.passes(lanes) * lanes, segment.words(cols) * cols), dtype=np.int64)
        full[:rows, :length] = segment.weights
        padded.append(full)
    full = np.concatenate(padded, axis=1)
    # (pass, lane, word, col) -> (pass, word, lane, col)
    blocks = full.reshape(phase.passes(lanes), lanes, -1, cols).transpose(0, 2, 1, 3)
    return blocks.reshape(-1, lanes * cols)


def weight_image(program: Program) -> list:
    """The weight memory, ``program.weight_bits`` a word, in reading order."""
    codes = np.concatenate([_phase_weights(phase, program.lanes, program.cols)
                            for phase in program.phases])
    if (packing := program.packing) is None:
        return _words(codes, program.network.weight_width)
    pairs = codes.reshape(len(codes), program.lanes // 2, 2, program.cols)
    return _words(packing.pack(pairs[:, :, 0], pairs[:, :, 1]).reshape(len(codes), -1),
                  packing.word_width)


def load_words(program: Program) -> list:
    """The weight memory as it travels over the input stream: pieces of each word, lowest first."""
    width = program.input_width
    mask = (1 << width) - 1
    return [(word >> (k * width)) & mask for word in weight_image(program)
            for k in range(program.pieces)]


def embedding_image(program: Program) -> list:
    """The token table: ceil(E / cols) words a token, ``cols * act_width`` bits a word."""
    table = program.network.embedding
    tokens, width = table.shape
    words = -(-width // program.cols)
    full = np.zeros((tokens, words * program.cols), dtype=np.int64)
    full[:, :width] = table
    return _words(full.reshape(tokens * words, program.cols), program.network.act_width)


@dataclass(frozen=True, kw_only=True)
class RowFormat:
    """Layout of a row's word: what turns its sum into a pre-activation.

    pre = saturate((sum * 2**lift + bias) >> (base_shift + shift)); half of the last place that is
    kept is in the bias already, so that rounding costs no adder.

    Parameters
    ----------
    lift : int
        Left shift of every sum; above zero where some row's shift is negative.
    base_shift : int
        Right shift that all rows share.
    shift_width : int
        Bits of each row's own shift on top; 0 if all rows agree.
    bias_width : int
    split : bool
        A second bias is there, for the recurrent part of split rows.
    peephole_width : int
        Bits of each row's weight of its neuron's cell state; 0 without peepholes.
    peephole_shift : int
        Left shift of that product on top of the lifted sum.
    """

    lift: int
    base_shift: int
    shift_width: int
    bias_width: int
    split: bool
    peephole_width: int = 0
    peephole_shift: int = 0

    @property
    def width(self) -> int:
        return self.shift_width + self.bias_width * (1 + self.split) + self.peephole_width


def _shifts(program: Program) -> np.ndarray:
    return np.concatenate([phase.shift for phase in program.phases])


def _biases(program: Program, fmt_lift: int):
    """(bias, split bias) of every row at the lifted scale, rounding constant included."""
    right = _shifts(program) + fmt_lift
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    bias = np.concatenate([phase.bias for phase in program.phases])
    split = np.concatenate([phase.split_bias for phase in program.phases])
    return (bias << fmt_lift) + half, (split << fmt_lift) + half


def _peepholes(program: Program, fmt_lift: int) -> tuple:
    """(codes of every row in one scale, left shift to the lifted sums): zeros where there is none.
    """
    lifts = [phase.peephole_lift for phase in program.phases if phase.peephole is not None]
    common = fmt_lift - max(lifts, default=fmt_lift)
    codes = [np.zeros_like(phase.bias) if phase.peephole is None
             else phase.peephole << (fmt_lift - phase.peephole_lift - common)
             for phase in program.phases]
    return np.concatenate(codes), common


def row_format(program: Program) -> RowFormat:
    """The smallest layout that holds every row of the program."""
    shifts = _shifts(program)
    lift = max(0, -int(shifts.min()), *(phase.peephole_lift for phase in program.phases
                                        if phase.peephole is not None))
    biases = np.concatenate(_biases(program, lift))
    spread = int(shifts.max() - shifts.min())
    width = max(bits_for(int(biases.min()), True), bits_for(int(biases.max()), True))
    codes, common = _peepholes(program, lift)
    peepholes = {} if not program.peepholes else {
        "peephole_width": max(bits_for(int(codes.min()), True), bits_for(int(codes.max()), True)),
        "peephole_shift": common}
    return RowFormat(lift=lift, base_shift=int(shifts.min()) + lift,
                     shift_width=bits_for(spread) if spread else 0, bias_width=width,
                     split=any(phase.split for phase in program.phases), **peepholes)


def row_image(program: Program, post: int) -> list:
    """The row memory of a post: bias lowest, then the second bias, the weight of c, the row's
    shift.
    """
    fmt = row_format(program)
    mask = (1 << fmt.bias_width) - 1
    bias, split = _biases(program, fmt.lift)
    words = []
    shifts = _shifts(program) + fmt.lift - fmt.base_shift
    own = slice(post, None, program.posts)
    codes, _ = _peepholes(program, fmt.lift)
    for b, s, p, shift in zip(bias[own].tolist(), split[own].tolist(), codes[own].tolist(),
                              shifts[own].tolist(), strict=True):
        word = b & mask
        if fmt.split:
            word |= (s & mask) << fmt.bias_width
        if fmt.peephole_width:
            place = fmt.width - fmt.shift_width - fmt.peephole_width
            word |= (p & ((1 << fmt.peephole_width) - 1)) << place
        words.append(word | shift << (fmt.width - fmt.shift_width))
    return words
