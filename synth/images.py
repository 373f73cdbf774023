"""Memory contents moved from Verilog assignments to image files.

Yosys takes 10 s to read 4096 rows of ``mem[0] = 128'h...;`` and 0.1 s to read the same rows with
``$readmemh``; the memories that come out are equal.
"""

import re

__all__ = ["split_images"]

_ROW = re.compile(r"[ \t]*(\w+|\\\S+ )\[(\d+)\] = \d+'h([0-9a-f]+);\n")
_BLOCK = re.compile(r"([ \t]*)initial begin\n((?:[ \t]*(?:\w+|\\\S+ )\[\d+\] = "
                    r"\d+'h[0-9a-f]+;\n)+)[ \t]*end\n")


def split_images(verilog: str, *, rows_at_least: int = 64) -> tuple[str, dict[str, str]]:
    """Replace each ``initial`` block that does nothing but fill one memory by ``$readmemh``.

    Parameters
    ----------
    verilog : str
        As Amaranth writes it; a block of any other shape stays as it is.
    rows_at_least : int
        Smaller blocks stay too.

    Returns
    -------
    (str, dict of str to str)
        The text, and the image files' contents by their names "image_0.hex", ...
    """
    images: dict[str, str] = {}

    def moved(block: re.Match) -> str:
        rows = _ROW.findall(block.group(2))
        names = {name for name, _, _ in rows}
        if len(rows) < rows_at_least or len(names) != 1:
            return block.group(0)
        file = f"image_{len(images)}.hex"
        images[file] = "".join(f"@{int(address):x} {word}\n" for _, address, word in rows)
        return f'{block.group(1)}initial $readmemh("{file}", {names.pop()});\n'

    return _BLOCK.sub(moved, verilog), images
