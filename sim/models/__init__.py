"""Behaviour of vendor blocks, one Verilog file a device family, for cores that instantiate them."""

from pathlib import Path

__all__ = ["block_models", "with_models"]


def block_models(family: str) -> str:
    """Verilog of a family's models; empty where there are none."""
    models = Path(__file__).with_name(f"{family}.v")
    return models.read_text(encoding="utf-8") if models.is_file() else ""


def with_models(rtl: Path, manifest: dict, folder: Path) -> Path:
    """The core's file, or one in ``folder`` with its family's models behind it.

    Parameters
    ----------
    rtl : Path
    manifest : dict
        "primitives" and "family"; a core of plain Verilog needs neither.
    folder : Path
        Made if absent.

    Raises
    ------
    ValueError
        If there is no model of a block.
    """
    primitives = manifest.get("primitives", ())
    if not primitives:
        return rtl
    text = block_models(manifest["family"])
    missing = [name for name in primitives if f"module {name} " not in text]
    if missing:
        raise ValueError(f"Family {manifest['family']!r} must have models of {missing}")
    folder.mkdir(parents=True, exist_ok=True)
    joined = folder / "core_with_models.v"
    joined.write_text(rtl.read_text(encoding="utf-8") + "\n" + text, encoding="utf-8")
    return joined
