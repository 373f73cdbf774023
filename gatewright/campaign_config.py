"""What a configuration of the campaign is: a line of JSON from which all the rest follows."""

import json
from dataclasses import asdict, dataclass, fields

__all__ = ["Config"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One configuration of the campaign.

    Parameters
    ----------
    seed : int
        Of weights, data, pauses and resets.
    layers : tuple of (cell, units, activation, last_only)
    links : tuple of (reads, reverse, final), one a layer
        See ``campaign_links``. Empty: each layer reads the one before, forward.
    max_steps : int
        As in ``IntNetwork``.
    inputs : int
        I; width of the embedding if there is one.
    tokens : int
        Rows of the embedding; 0: none.
    loads, returns, last_step_only : bool
        As in ``IntNetwork``.
    act_width, weight_width, cell_width, operand_width : int
        As in ``QuantOptions``.
    lanes, cols, posts, pipeline, wide, pack, argmax, load_weights, family
        As in ``hw.emit.generate``.
    random_table : bool
        A table of random lines in place of tanh's, whose smooth contents mask errors.
    batches : tuple of (B, T)
        Sequences; they are sent in a random order.
    resets : int
        Runs that a reset cuts off in mid-sequence.
    special : int
        Seed of what is out of the ordinary in the cells; 0: nothing is.
    """

    seed: int
    layers: tuple
    inputs: int
    tokens: int = 0
    loads: bool = False
    returns: bool = False
    last_step_only: bool = False
    act_width: int = 16
    weight_width: int = 8
    cell_width: int = 16
    operand_width: int = 18
    lanes: int = 16
    cols: int = 1
    posts: int = 1
    pipeline: str = "deep"
    wide: bool = False
    pack: bool = False
    argmax: bool = False
    load_weights: bool = False
    family: str = "portable"
    random_table: bool = False
    batches: tuple = ((1, 1),)
    resets: int = 0
    links: tuple = ()
    max_steps: int = 0
    special: int = 0

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """ValueError unless ``text`` is what ``to_json`` writes."""
        try:
            values = json.loads(text)
            known = {field.name for field in fields(cls)}
            if not isinstance(values, dict) or not set(values) <= known:
                raise ValueError(f"its keys must be among {sorted(known)}")
            for name in {"layers", "batches"} & set(values):
                values[name] = tuple(map(tuple, values[name]))
            values["links"] = tuple((tuple(reads), reverse, final)
                                    for reads, reverse, final in values.get("links", ()))
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"A configuration must be JSON as the campaign writes it, "
                             f"not {text!r}: {error}") from None

    def to_json(self) -> str:
        """One line; values that are the default are left out."""
        default = {field.name: field.default for field in fields(self)}
        return json.dumps({name: value for name, value in asdict(self).items()
                           if value != default[name]}, separators=(",", ":"))

    @property
    def core(self) -> dict:
        """Keywords of ``hw.emit.generate``."""
        return {name: getattr(self, name) for name in (
            "lanes", "cols", "posts", "pipeline", "wide", "pack", "argmax", "load_weights",
            "family")}

    def link(self, idx: int) -> tuple:
        """(reads, reverse, final) of a layer."""
        return self.links[idx] if self.links else ((idx - 1,), False, False)

    @property
    def title(self) -> str:
        """The configuration in a few words."""
        cells = "+".join(("<" if self.link(idx)[1] else "") + f"{cell}{units}"
                         + ("!" if last else "") + (str(list(self.link(idx)[0])) if self.links
                                                    else "")
                         for idx, (cell, units, _, last) in enumerate(self.layers))
        words = " ".join(word for word in ("wide", "pack", "special") if getattr(self, word))
        return (f"{cells} I{self.inputs} W{self.weight_width}A{self.act_width} "
                f"{self.lanes}x{self.cols}/{self.posts} {self.pipeline} {self.family} {words}"
                ).rstrip()
