"""The bundled examples: found in a clone and in an installed wheel alike."""

from pathlib import Path

from .errors import GatewrightError, quote

__all__ = ["DEFAULT", "EXAMPLES", "example_dir"]

EXAMPLES = ("digits_lstm", "digits_gru", "digits_rnn")
DEFAULT = "digits_lstm"  # what `gatewright run` takes without arguments

_HERE = Path(__file__).resolve().parent
# A wheel carries copies inside the package; in a clone (or an editable install) they lie beside it.
_PLACES = (_HERE / "example_files", _HERE.parent / "examples")


def example_dir(name: str = DEFAULT) -> Path:
    """Folder of an example: model.onnx, calib_inputs.npy, inputs.npy, labels.npy, card.json.

    Parameters
    ----------
    name : str
        One of ``EXAMPLES``.

    Raises
    ------
    GatewrightError
        If there is no such example, or its files were not installed.
    """
    if name not in EXAMPLES:
        raise GatewrightError(f"example {quote(name)}", "there is none of that name",
                              f"choose {', '.join(EXAMPLES)}")
    for place in _PLACES:
        if (place / name / "model.onnx").is_file():
            return place / name
    raise GatewrightError(f"example {quote(name)}", f"its files are not in {_PLACES[0]}",
                          "install gatewright again, or run it from a clone")
