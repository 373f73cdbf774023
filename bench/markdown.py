"""Markdown tables and numbers, one way for all parts."""

__all__ = ["busy", "count", "pair", "share", "table"]


def table(columns: list, rows: list) -> str:
    """A table; the first column to the left, figures to the right.

    Parameters
    ----------
    columns : list of str
        A name that begins with "<" is set to the left.
    rows : list of list of str
        Each as long as ``columns``.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"A row must have {len(columns)} cells, not {row!r}")
    left = [k == 0 or name.startswith("<") for k, name in enumerate(columns)]
    lines = ["| " + " | ".join(name.lstrip("<") for name in columns) + " |",
             "|" + "".join("---|" if side else "--:|" for side in left)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def count(value, digits: int = 0) -> str:
    """A number with thousands apart; "–" for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def share(value) -> str:
    """As "99.8 %"; "–" for None."""
    return "–" if value is None else f"{value:.1%}".replace("%", " %")


def pair(values) -> str:
    """[predicted, measured] as one number where they are equal, else as both."""
    predicted, measured = values
    if predicted == measured:
        return f"{predicted:,}"
    return f"{predicted:,}, measured {'nothing' if measured is None else f'{measured:,}'}"


def busy(records) -> str:
    """A sentence on the machine's load while times were taken: "load" and "where" of records."""
    load = max((record["load"] for record in records), default=0.0)
    cores = min((record["where"]["cores"] for record in records), default=1)
    slow = " **It was busy with other work: times are too long.**" if load > cores else ""
    return f"Load of the machine meanwhile: up to {load:g} processes on {cores} cores.{slow}"
