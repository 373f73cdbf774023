"""Random networks for the campaign, straight in integers: no float network stands behind them.

Weights fill their range and sums overshoot the tables and formats often, so that every saturation
and every rounding is met. All follows from a ``Config``, which is a line of JSON.

Dimensions: B sequences, T steps, I inputs, H units, G gates (rows per unit).
"""

from dataclasses import replace

import numpy as np

from golden import tables
from golden.cells import Place
from golden.fixed import Fixed
from golden.functions import PLAIN, Activation, Function
from golden.model import Codes
from golden.network import GATES, Cell, IntLayer, IntNetwork
from golden.tables import TanhTable
from hw.engine import make_layout
from hw.families import FAMILIES
from hw.pipeline import pipeline_named
from hw.program import make_program

from .campaign_cells import specialise
from .campaign_config import Config
from .campaign_links import draw_links

__all__ = ["Config", "draw", "make_codes", "make_network", "make_table"]

MAX_ACCUMULATOR = 48    # bits, as the quantiser's
MAX_SHIFT = 20          # from accumulator to pre-activation, as the quantiser's
MAX_MULTIPLIERS = 320   # bounds the time to compile a core
MAX_WEIGHT_WORDS = 9000
LONGEST = 40            # steps of a sequence that is stored
MAX_TRACED = 3_000_000  # values of h a configuration holds in memory
MAX_PRODUCTS = 120_000_000  # multipliers times cycles, about: bounds the time to simulate


def _codes(rng, shape, width: int) -> np.ndarray:
    """Signed codes of one of five kinds: uniform, only the ends, normal, small, sparse."""
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    kind = rng.choice(5, p=(0.4, 0.15, 0.25, 0.1, 0.1))
    uniform = rng.integers(low, high, size=shape, endpoint=True)
    if kind == 1:
        return rng.choice(np.array([low, high]), size=shape)
    if kind == 2:
        return np.clip(np.rint(rng.normal(size=shape) * high / 3), low, high).astype(np.int64)
    if kind == 3:
        return uniform >> min(3, width - 1)
    return uniform if kind == 0 else uniform * (rng.random(shape) < 0.2)


def _layer(rng, config: Config, idx: int, x: Fixed, inputs: int, formats: tuple) -> IntLayer:
    """Layer ``idx``; formats: of gate and pre."""
    cell, units, activation, last_only = config.layers[idx]
    cell, activation, (gate, pre) = Cell(cell), Activation(activation), formats
    rows, linear = len(GATES[cell]) * units, not cell.recurrent
    reads, reverse, final = config.link(idx)
    own = {"reads": reads, "reverse": reverse, "reads_final": final}
    bounded = (cell not in (Cell.RNN, Cell.LINEAR, Cell.PRODUCT)
               or activation in (Activation.SIGMOID, Activation.TANH))
    h = gate if bounded else Fixed(width=config.act_width,
                                   frac=int(config.act_width - rng.integers(0, 8)))
    own_pre = pre if bounded else Fixed(width=pre.width, frac=h.frac)
    if cell.pools:
        none = np.zeros(units, dtype=np.int64)
        return IntLayer(name=f"l{idx}", cell=cell, units=units, activation=activation,
                        w=np.zeros((units, inputs), dtype=np.int64), r=None, bias_x=none,
                        bias_h=none, acc_frac=none + x.frac, x=x, h=x, last_only=True,
                        pre=Fixed(width=pre.width, frac=x.frac), **own)
    if cell is Cell.PRODUCT:
        function, factor = Function(activation=activation), h
        own["places"] = (Place(function=function, pre=own_pre, out=factor),)
        shift = max(1, int(config.act_width + rng.integers(-4, 4)))
        h = Fixed(width=config.act_width, frac=2 * factor.frac - shift)
    w = _codes(rng, (rows, inputs), config.weight_width)
    r = None if linear else _codes(rng, (rows, units), config.weight_width)
    spare = max(0, config.operand_width - config.act_width)
    shifts = [0, 0]
    if not linear and spare:
        shifts[rng.integers(2)] = int(rng.integers(0, spare, endpoint=True))
    zeros = np.zeros(rows, dtype=np.int64)
    layer = IntLayer(
        name=f"l{idx}", cell=cell, units=units, activation=activation, w=w, r=r, bias_x=zeros,
        bias_h=zeros, acc_frac=zeros, x=x, h=h, pre=own_pre, x_shift=shifts[0],
        h_shift=shifts[1], last_only=bool(last_only), **own)
    if layer.acc_bound.bit_length() + 3 > MAX_ACCUMULATOR:  # bias and sign need room too
        layer = replace(layer, x_shift=0, h_shift=0)

    # Deviation of a row's sum, and the shift that makes of it a chosen part of the table's range.
    power = np.square(w.astype(np.float64)).sum(axis=1) * 4.0 ** layer.x_shift
    if r is not None:
        power = power + np.square(r.astype(np.float64)).sum(axis=1) * 4.0 ** layer.h_shift
    spread = np.log2(np.maximum(np.sqrt(power), 1.0)) + config.act_width - 2
    part = rng.integers(-4, 2)
    own = rng.integers(-2, 3, size=rows) if rng.random() < 0.7 else 0
    shift = np.rint(spread).astype(np.int64) - (pre.width - 1) - part + own
    shift = np.clip(shift, -8, MAX_SHIFT)
    scale = rng.choice([0.0, 0.1, 1.0, 3.0]) * np.exp2(shift + pre.width - 3.0)
    limit = float(1 << (MAX_ACCUMULATOR - 4))
    bias = [np.clip(np.rint(rng.normal(size=rows) * scale), -limit, limit).astype(np.int64)
            for _ in range(2)]
    if cell is Cell.GRU:
        bias[1][:2 * units] = 0
    else:
        bias[1][:] = 0
    return replace(layer, bias_x=bias[0], bias_h=bias[1], acc_frac=shift + own_pre.frac)


def make_network(config: Config) -> IntNetwork:
    """The integer network of a configuration.

    Raises
    ------
    ValueError
        If its sums do not fit the accumulator, or a function has no lines.
    """
    rng = np.random.default_rng([config.seed, 1])
    act = config.act_width
    gate, pre_frac = Fixed(width=act, frac=act - 1), max(act, 10) - 3
    pre = Fixed(width=pre_frac + 5, frac=pre_frac)
    whole = rng.integers(0, 8) if rng.random() < 0.8 else rng.integers(-6, 12)
    cell = Fixed(width=config.cell_width, frac=int(config.cell_width - 1 - whole))
    x = Fixed(width=act, frac=int(act - rng.integers(0, 8)))
    embedding = _codes(rng, (config.tokens, config.inputs), act) if config.tokens else None
    layers = []
    for idx in range(len(config.layers)):
        reads = config.link(idx)[0]
        inputs = sum(layers[read].units if read >= 0 else config.inputs for read in reads)
        read = layers[reads[0]].h if reads[0] >= 0 else x
        layers.append(_layer(rng, config, idx, read, inputs, (gate, pre)))
        if config.special and layers[-1].places == () and not layers[-1].cell.pools:
            layers[-1] = specialise(layers[-1], (config.special, idx), formats=(gate, pre, cell),
                                    weight_width=config.weight_width)
    network = IntNetwork(
        name="net", model_sha256="0" * 64, layers=tuple(layers), embedding=embedding,
        act_width=act, weight_width=config.weight_width, gate=gate, pre=pre, cell=cell,
        loads_state=config.loads, returns_state=config.returns,
        last_step_only=config.last_step_only, max_steps=config.max_steps)
    if network.acc_width > MAX_ACCUMULATOR:
        raise ValueError(f"Sums must fit {MAX_ACCUMULATOR} bits, not {network.acc_width}")
    return network


def make_table(config: Config, network: IntNetwork) -> TanhTable:
    """The network's table, or one of random lines: none leaves [0, 1), and none meets the next.

    Like tanh they are 0 at 0, so that units that only fill up a last group stay there, and come
    near 1 at the end, so that the widest base tells how wide a sum may be.
    """
    if not config.random_table:
        return tables.make_table(network.pre, network.gate)
    rng = np.random.default_rng([config.seed, 4])
    top = 1 << (network.gate.frac + tables.GUARD)
    log2_segments = int(rng.integers(1, min(9, network.pre.frac + 3), endpoint=True))
    base = rng.integers(0, top, size=1 << log2_segments)
    base[0], base[-1] = 0, rng.integers(top // 2, top)
    return TanhTable(pre=network.pre, out=network.gate, log2_segments=log2_segments, base=base,
                     slope=rng.integers(0, top - base))


def make_codes(config: Config, network: IntNetwork) -> list:
    """Inputs and states of each batch, a list of ``Codes``."""
    rng = np.random.default_rng([config.seed, 2])
    made = []
    for sequences, steps in config.batches:
        if config.tokens:
            codes = Codes(x=rng.integers(0, config.tokens, size=(sequences, steps, 1)))
        else:
            codes = Codes(x=np.stack([_codes(rng, (steps, config.inputs), config.act_width)
                                      for _ in range(sequences)]))
        for idx in network.recurrent if config.loads else ():
            layer = network.layers[idx]
            codes.h0[idx] = _codes(rng, (sequences, layer.units), layer.h.width)
            if layer.cell is Cell.LSTM:
                codes.c0[idx] = _codes(rng, (sequences, layer.units), config.cell_width)
        made.append(codes)
    return made


def _size(rng, most: int) -> int:
    """1 to ``most``: as often below the square root as above it."""
    return int(np.exp(rng.uniform(0, np.log(most + 1))) if rng.random() < 0.5
               else rng.integers(1, most, endpoint=True))


def _layers(rng, cell: str | None, units: int) -> tuple:
    """Layers, the first recurrent one a ``cell`` if that is given, of up to ``units`` units."""
    cells = [c for c in Cell if c.recurrent]
    few = (units + 1) // 2
    layers = []
    if rng.random() < 0.1:
        layers.append((Cell.LINEAR, _size(rng, few), rng.choice(PLAIN), False))
    for _ in range(rng.choice([1, 2, 3], p=(0.5, 0.3, 0.2))):
        kind, cell = Cell(cell or rng.choice(cells)), None
        function = (rng.choice([Activation.TANH, Activation.RELU]) if kind is Cell.RNN
                    else Activation.IDENTITY)
        layers.append((kind, _size(rng, units), function, False))
        if rng.random() < 0.05:
            layers.append((Cell.LINEAR, _size(rng, few), rng.choice(PLAIN), False))
    heads, last = rng.choice(3, p=(0.3, 0.5, 0.2)), bool(rng.random() < 0.5)
    for _ in range(heads):
        layers.append((Cell.LINEAR, _size(rng, few), rng.choice(PLAIN), last))
    return tuple((str(kind), int(size), str(function), last)
                 for kind, size, function, last in layers)


def _array(rng, multipliers: int, most_posts: int) -> dict:
    """Lanes, cols and posts that go together: one of the last two is a power of two of the other,
    and posts divides lanes."""
    posts = 1 + _size(rng, most_posts - 1) if rng.random() < 0.5 else 1
    while posts * posts // (posts & -posts) > multipliers:  # not even with the fewest cols
        posts -= 1
    cols = [posts * k for k in (1, 1, 2, 4, 8, 16)] + [posts // k for k in (2, 4, 8)
                                                    if posts % k == 0]
    cols = int(rng.choice([c for c in cols if c * posts <= multipliers]))
    slots = max(1, min(100, multipliers // cols) // posts)
    return {"lanes": posts * _size(rng, slots), "cols": cols, "posts": posts}


def _draw(rng, seed: int, cell: str | None, units: int, multipliers: int, posts: int,
          branches: float) -> Config:
    array = _array(rng, multipliers, posts)
    family = str(rng.choice(list(FAMILIES))) if rng.random() < 0.3 else "portable"
    # A vendor's blocks have the deep pipeline's registers inside: the others have none of them.
    few = rng.random() / (0.3 if family == "portable" else 0.05)
    widths = {"act_width": int(rng.integers(4, 18, endpoint=True)),
              "weight_width": int(rng.integers(2, 16, endpoint=True)),
              "cell_width": int(rng.integers(8, 24, endpoint=True)),
              "operand_width": int(rng.choice([16, 18, 18, 27]))}
    if pack := bool(array["lanes"] % 2 == 0 and rng.random() < 0.2):
        widths |= {"weight_width": int(rng.integers(2, 8, endpoint=True)), "operand_width": 18}
    layers, links = _layers(rng, cell, units), ()
    if branches and rng.random() < branches:
        layers, links = draw_links(rng, layers)
    return Config(
        seed=seed, layers=layers, links=links,
        max_steps=LONGEST if any(reverse for _, reverse, _ in links) else 0,
        inputs=_size(rng, (units + 1) // 2),
        tokens=_size(rng, units) if rng.random() < 0.15 else 0,
        loads=bool(rng.random() < 0.25), returns=bool(rng.random() < 0.25),
        last_step_only=bool(rng.random() < 0.2), argmax=bool(rng.random() < 0.2),
        load_weights=bool(rng.random() < 0.1), wide=bool(rng.random() < 0.4), pack=pack,
        pipeline="deep" if few >= 1 else "shallow" if few < 0.6 else "flat", family=family,
        random_table=bool(rng.random() < 0.4), **array, **widths)


def draw(seed: int, index: int, *, cell: str | None = None, units: int = 70,
         cycles: int = 3_000_000, steps: int = 40_000,
         multipliers: int = MAX_MULTIPLIERS, posts: int = 12, special: bool = False,
         branches: float = 0.4) -> Config:
    """Configuration ``index`` of campaign ``seed``: always the same.

    Parameters
    ----------
    cell : str or None
        Of the first recurrent layer; None: any.
    units : int
        The largest layer.
    cycles, steps : int
        Clock cycles and network steps, about, of the run without pauses.
    multipliers : int, at least 16
    posts : int, at least 2
        The largest array, the most posts: bound the time to compile.
    special : bool
        Cells that are out of the ordinary.
    branches : float
        Share of networks that are more than a chain of forward layers.
    """
    rng = np.random.default_rng([seed, index])
    while True:
        config = _draw(rng, int(rng.integers(1 << 31)), cell, units, multipliers, posts, branches)
        if special:
            config = replace(config, special=int(rng.integers(1, 1 << 31)))
        core = config.core
        del core["family"]
        try:
            network = make_network(config)
            program = make_program(network, **core | {"pipeline": pipeline_named(config.pipeline)})
        except ValueError:  # sums that are too wide, or branches that cannot meet
            continue
        interval = make_layout(program).schedule.interval
        if program.weight_words > MAX_WEIGHT_WORDS:
            continue
        cycles = min(cycles, MAX_PRODUCTS // (config.lanes * config.cols + 16))
        total = min(steps, cycles // interval, MAX_TRACED // program.n_units)
        long = int(rng.integers(100, 500))
        short = ((3, 1), (3, 2), (2, int(rng.integers(3, 6))), (1, int(rng.integers(6, 20))))
        left = max(total - 30, 30)
        tall = (int(rng.integers(20, 60)), left // 3)
        if config.max_steps:
            tall, long = (min(tall[0], LONGEST), tall[1]), min(long, LONGEST)
        many = [(max(1, t // n), min(n, t)) for n, t in (tall, (long, left - left // 3))]
        batches = short + tuple((b, t) for b, t in many if t)
        if config.max_steps:
            most = max(steps for _, steps in batches)
            config = replace(config, max_steps=int(most + rng.choice([0, 0, 1, 5])))
        return replace(config, batches=batches, resets=int(rng.integers(10, 30)))
