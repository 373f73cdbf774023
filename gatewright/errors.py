"""The one kind of exception a user may see: what is wrong, why, and what to do, in one line."""

__all__ = ["GatewrightError", "ImportRefused", "DataRefused", "quote"]


def _printable(text: str) -> str:
    """Text with every character that a terminal might obey written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quote(name, limit: int = 60) -> str:
    """A name from a file, safe to print: quoted, escaped, cut to ``limit`` characters."""
    text = _printable(str(name)[:limit + 1]) or "(no name)"
    return f"'{text if len(text) <= limit else text[:limit - 3] + '...'}'"


class GatewrightError(Exception):
    """Something the user has to change.

    Parameters
    ----------
    what : str
        The object: a file, a node, an option. Alone, it is the whole message.
    reason : str
        What is wrong with it.
    remedy : str
        What to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, reason: str = "", remedy: str = ""):
        text = str(what)
        if reason:
            text += f": {reason}"
        if remedy:
            text += f"; {remedy}"
        super().__init__(_printable(" ".join(text.split())))


class ImportRefused(GatewrightError):
    """A model file that cannot be read, or that holds what the engine does not compute."""


class DataRefused(GatewrightError):
    """Data that does not fit the network."""
