"""How many registers stand between two points of the engine: for the clock, or for few cycles."""

from dataclasses import dataclass

__all__ = ["DEEP", "FLAT", "PIPELINES", "SHALLOW", "Pipeline", "pipeline_named"]


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Registers of each kind on the way round the recurrence.

    Parameters
    ----------
    name : str
    ram : int, 1 or 2
        Cycles from a memory's address to its data.
    vector : int, 0 to 2
        The same for the memories of x and h; 0 asks for memories that read without a clock.
    broadcast : int, 0 or 1
        Registers between vector memory and multipliers, and between weight memory and multipliers.
    multiplier : int, 1 to 4
        Cycles of a product.
    tree : int, 0 to 2
        Registers of a lane's adder tree: none, one behind all levels, one behind each.
    stage : int, 0 or 1
        Registers at each place of the element-wise pipeline and the drain that can do without.
    result : int, 0 to 4
        Cycles of the product that is a neuron's result.
    start : int, 0 or 1
        Cycles from a step's last input word to its start.
    output : int, 0 or 3
        Cycles from a result's write to its word at the output port; 0: in the same cycle.
    """

    name: str
    ram: int
    vector: int
    broadcast: int
    multiplier: int
    tree: int
    stage: int
    result: int
    start: int
    output: int


# One operation a cycle: what the fabric's clock asks for.
DEEP = Pipeline(name="deep", ram=2, vector=2, broadcast=1, multiplier=4, tree=2, stage=1, result=4,
                start=1, output=3)
# Few cycles round the recurrence, at a lower clock: for small nets whose pass is shorter than the
# deep pipeline.
SHALLOW = Pipeline(name="shallow", ram=1, vector=0, broadcast=0, multiplier=1, tree=1, stage=0,
                   result=1, start=1, output=3)
# Few cycles from port to port as well: for an answer to each input, not for many in a row.
FLAT = Pipeline(name="flat", ram=1, vector=0, broadcast=0, multiplier=1, tree=0, stage=0, result=0,
                start=0, output=0)
PIPELINES = {pipeline.name: pipeline for pipeline in (DEEP, SHALLOW, FLAT)}


def pipeline_named(name: str) -> Pipeline:
    """The pipeline of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    if name not in PIPELINES:
        raise ValueError(f"Pipeline must be one of {', '.join(PIPELINES)}, not {name!r}")
    return PIPELINES[name]
