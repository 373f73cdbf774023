"""What the layers of a campaign's network read, and which of them go backwards.

A *link* is (reads, reverse, final) of a layer, as ``IntLayer`` has them.
"""

from golden.network import Activation, Cell

__all__ = ["draw_links", "without_layer"]

SHAPES = {"plain": 0.2, "both": 0.4, "reverse": 0.1, "parallel": 0.15, "residual": 0.15}
PRODUCT, POOL, FINAL = 0.2, 0.4, 0.5     # how often there is one where there could be


class _Linker:
    """Layers one behind the other; ``group`` are those that the next one reads."""

    def __init__(self, rng):
        self.rng, self.layers, self.links, self.group = rng, [], [], (-1,)

    def put(self, layer: tuple, reads: tuple, *, reverse: bool = False,
            final: bool = False) -> int:
        self.layers.append(layer)
        self.links.append((reads, reverse, final))
        return len(self.layers) - 1

    def recurrent(self, layer: tuple) -> None:
        """A layer, or both directions of one, or a branch beside it, or one that is gone round."""
        rng, reads = self.rng, self.group
        shape = str(rng.choice(list(SHAPES), p=list(SHAPES.values())))
        first = self.put(layer, reads, reverse=shape == "reverse")
        self.group = (first,)
        if shape in ("both", "parallel"):
            second = layer
            if rng.random() < 0.4:
                kind = Cell(rng.choice([cell for cell in Cell if cell.recurrent]))
                function = Activation.TANH if kind is Cell.RNN else Activation.IDENTITY
                second = str(kind), int(rng.integers(1, layer[1], endpoint=True)), \
                    str(function), False
            other = self.put(second, reads, reverse=shape == "both")
            self.group = (first, other) if rng.random() < 0.7 else (other, first)
        elif shape == "residual":
            self.group = (*(k for k in reads if k >= 0), first)
        if rng.random() < PRODUCT:
            product = "product", int(rng.integers(1, layer[1], endpoint=True)), "identity", False
            self.group = (self.put(product, self.group),)

    def linear(self, layer: tuple) -> None:
        """A layer of every step, or the first or a later one of the last step."""
        rng, reads = self.rng, self.group
        first_once = layer[3] and min(reads) >= 0 and not self.layers[reads[0]][3]
        if first_once and rng.random() < POOL:
            reads = tuple(self.put((str(rng.choice(["mean", "max"])), self.layers[k][1],
                                    "identity", True), (k,)) for k in reads)
            first_once = False
        final = bool(first_once and rng.random() < FINAL)
        self.group = (self.put(layer, reads, final=final),)


def draw_links(rng, layers: tuple) -> tuple:
    """(layers, links): a chain of layers with directions, branches, products and pools.

    Parameters
    ----------
    rng : numpy Generator
    layers : tuple of (cell, units, activation, last_only), last-step layers at the end
    """
    linker = _Linker(rng)
    for layer in layers:
        (linker.recurrent if Cell(layer[0]).recurrent else linker.linear)(layer)
    if len(linker.group) > 1 or linker.links[linker.group[0]][1]:
        # The results of one layer leave, in the order of time.
        linker.linear(("linear", int(rng.integers(1, 9)), "identity", bool(rng.random() < 0.5)))
    return tuple(linker.layers), tuple(linker.links)


def without_layer(layers: tuple, links: tuple, idx: int) -> tuple:
    """(layers, links) without a layer: its readers read what it has read."""
    kept = []
    for number, (reads, reverse, final) in enumerate(links):
        if number != idx:
            reads = dict.fromkeys(k for read in reads
                                  for k in (links[idx][0] if read == idx else (read,)))
            kept.append((tuple(k - (k > idx) for k in reads), reverse, final))
    return layers[:idx] + layers[idx + 1:], tuple(kept)
