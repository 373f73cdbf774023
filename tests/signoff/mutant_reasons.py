"""Why a mutant that no run tells and no proof reaches is the same core: by case and mutant.

Each reason is from the text of the core, or from numbers that bound what comes there. The runs must
not tell such a mutant; their number is capped.
"""

__all__ = ["MOST_REASONS", "REASONS"]

MOST_REASONS = 25       # of 4,200
_SECOND = "net.post0.combine.second"
REASONS = {
    "array of gru-4": {
        "cnot1 net.array.lane1 $procmux$4405.A[23] line 1561":
            "a part is held for four cycles, the recurrent columns of a pass but one, before it is "
            "captured: the bit is inverted in each of them or in none, an even number of times",
        "cnot1 net.array.lane0 $procmux$4429.B[0] line 1469":
            "a part's lowest bit: the candidate rows of lane 0, of neurons 2 and 6, have even "
            "biases and lose 4 or 5 bits, so that no carry comes of it",
    },
    "row words and tags of lstm-peephole": {
        "cnot0 net.post0 $procmux$17007.Y[2] line 3943":
            "the operation of a tag that is not valid: each register that keeps a value, each "
            "count and each write asks whether its tag is valid as well",
        "cnot1 net.post0 $procdff$18219.D[15] line 3811":
            "where h of a sequence's very last neuron goes, to place 7 instead of 5: place 7 is "
            "read by nothing, and what place 5 holds is masked in the next sequence's first step",
    },
    "requantiser of gru-gru-gru": {
        "const0 net.post0.requantise $reduce_or$core.v:7525$3361.A[8] line 7525":
            "a sum of 2**25 and more behind its shift: no row's weights and biases let it come "
            "beyond 1,741,373",
        "const1 net.post0.requantise_first $reduce_and$core.v:7615$3398.A[4] line 7615":
            "a part of -2**21 and less behind its shift: no row lets it come beyond 999,560",
    },
    "functions of lstm-peephole": {
        f"cnot1 {_SECOND} $procdff$17990.Q[13] (out[13]) line 9747":
            "asks for bit 12 of a softplus, whose largest value, over all 2**18 arguments, is "
            "2048; the other function of the unit is of an operation that this core does not have",
        f"const1 {_SECOND} $reduce_and$core.v:9599$8504.Y[0] line 9599":
            "the clip behind the unit's lines: simulated for both functions and all 2**18 "
            "arguments, no value differs",
        f"const0 {_SECOND} $procdff$18047.Q[0] (offset_q1[0]) line 9633":
            "arguments of the unit are multiples of 64, or the largest one: simulated for all "
            "4,097 of them, no value differs",
    },
    "combination of gru-4": {
        "const1 net.post0.combine $procdff$4734.D[20] line 5861":
            "results of the linear layer go into the vector memory as well, to places 9 and 10, "
            "which no phase reads",
        "const0 net.post0.combine $logic_not$core.v:5783$1420.A[1] line 5783":
            "the candidate's row takes the place of r once r has been used, in the same cycle, and "
            "the next neuron's r comes before it is used again",
        "const1 net.post0.combine $not$core.v:5831$1468.Y[0] line 5831":
            "the lowest bit of a new h that is clipped below: z is between 15 and 32753 for all "
            "2**18 arguments, so that h is between the candidate and the old h, and never clipped",
    },
    "sequencer of bidirectional": {
        "cnot1 net.sequencer $procdff$8620.Q[0] (row_source0[0]) line 9719":
            "the bit is inverted in each cycle, for a source of 2 or 3, and matters where a pass "
            "ends with another one of its phase behind it: that of the GRU, of 14 cycles",
        "inv net.sequencer $procdff$8619.D[3] line 9721":
            "the bit is inverted in each cycle, and matters where a pass ends with another one of "
            "its phase behind it: their passes have 8 or 14 cycles",
    },
    "drain of bidirectional": {
        "const0 net.drain $procmux$7985.A[0] line 2412":
            "results of the linear layer go into the vector memory as well, to places 14, 15 and "
            "0, which only the other sweep reads, masked in its first step and written in it",
        "inv net.drain $procmux$8180.A[0] line 2234":
            "whether a step's last result into the sequence memory is in a phase, inverted with "
            "each pass but the first: it matters in the fifth one of the LSTMs",
        "inv net.drain $procdff$8943.Q[0] (tag[3]) line 2035":
            "the same, inverted in each cycle: it matters in the last row of the fifth pass of the "
            "LSTMs, 36 cycles behind the first one's load",
    },
    "sequence loader of bidirectional": {
        "const1 net.loader $and$core.v:3390$2010.Y[0] line 3390":
            "where a sequence ends in the memories is taken over in each cycle, not as it begins "
            "to run alone: its first sweep takes it in the next cycle, when no word has come, and "
            "the second one reads and writes nothing at bases that hang on it",
    },
    "loader of lstm2": {
        "const0 net.loader $procmux$4720.S[0] line 3313":
            "the end flag of bank 1 is not reset: it is read as that bank's step starts, which is "
            "once the bank has been filled, and its flag written",
    },
    "output of tokens-argmax": {
        "const0 net.output.buffer memory.write__data[14] (w_data[14]) line 3258":
            "results lie between -7278 and 5743, by intervals of h over the nine tokens with any "
            "r: without bit 14 all negative ones are less by 2**14, and the order is the same",
    },
    "weights of loaded": {
        "cnot0 net.weights.group1 memory.WR_EN[3] line 9188":
            "bit 3 is written in all cycles, to the word that is loaded next, or, when all 73 are "
            "there, behind the end of the memory",
    },
    "engine of bidirectional": {
        "const1 net $and$core.v:481$68.Y[0] line 481":
            "the vector memory is written in all cycles, in the bank that the step writes: to the "
            "place of the neuron whose rows come, before its own result, or behind a sweep's last "
            "neuron and by the linear layer to places that only the other sweep reads, masked in "
            "its first step and written in it",
    },
}
