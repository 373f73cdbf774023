"""How many registers stand between two points of the engine: for the clock, or for few cycles."""

from dataclasses import dataclass

__all__ = ["DEEP", "PIPELINES", "SHALLOW", "Pipeline", "pipeline_named"]


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
    tree : int
        Levels of a lane's adder tree that share a register; 0: one register behind all of them.
    stage : int, 0 or 1
        Registers at each place of the element-wise pipeline and the drain that can do without.
    """

    name: str
    ram: int
    vector: int
    broadcast: int
    multiplier: int
    tree: int
    stage: int


# One operation a cycle: what the fabric's clock asks for.
DEEP = Pipeline(name="deep", ram=2, vector=2, broadcast=1, multiplier=4, tree=1, stage=1)
# Few cycles round the recurrence, at a lower clock: for small nets whose pass is shorter than the
# deep pipeline.
SHALLOW = Pipeline(name="shallow", ram=1, vector=0, broadcast=0, multiplier=1, tree=0, stage=0)
PIPELINES = {pipeline.name: pipeline for pipeline in (DEEP, SHALLOW)}


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
