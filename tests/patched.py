"""A package with one of its source files changed, imported beside the real one."""

import importlib
import importlib.abc
import importlib.util
import sys
from contextlib import contextmanager
from pathlib import Path

__all__ = ["edited", "patched", "source_of"]


def source_of(module: str) -> Path:
    """The file of a module, which is not imported for that."""
    package, _, name = module.rpartition(".")
    return Path(importlib.util.find_spec(package).origin).with_name(f"{name}.py")


def edited(module: str, old: str, new: str) -> str:
    """The text of a module with ``old`` replaced by ``new``.

    Raises
    ------
    ValueError
        Unless ``old`` is there, once.
    """
    text = source_of(module).read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{module} must hold the text {old!r} once, not {text.count(old)} times")
    return text.replace(old, new)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads one module, from a text."""

    def __init__(self, module: str, text: str):
        self._module, self._text = module, text

    def find_spec(self, name, path, target=None):
        if name != self._module:
            return None
        return importlib.util.spec_from_loader(name, self, origin=str(source_of(name)))

    def get_source(self, fullname):
        return self._text


@contextmanager
def patched(module: str, text: str, *, also=()):
    """Within this context the package of a module is imported anew, the module from a text.

    Who imported the package before keeps the real one.

    Parameters
    ----------
    module : str
        As "package.module".
    text : str
    also : tuple of str
        Other packages and modules that are imported anew, since they import this one.
    """
    fresh = (module.partition(".")[0], *also)

    def ours():
        return [name for name in sys.modules
                if any(name == one or name.startswith(f"{one}.") for one in fresh)]

    source_of(module)  # imports the package, or tells that there is none
    kept = {name: sys.modules.pop(name) for name in ours()}
    finder = _Finder(module, text)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ours():
            del sys.modules[name]
        sys.modules |= kept
