"""The ports of a core: what they must be, and how elements travel in their words.

Values are handled as limbs: an unsigned word of any width is a row of uint64, the lowest first.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["LONGEST", "STATUS", "Ports", "pack", "read_ports", "unpack"]

LONGEST = 48  # bits of an element
STATUS = ("status_errors", "status_saturations", "status_faults", "idle")

_PORTS = {  # direction and, where fixed, width of each port that a core must have
    "clk": ("in", 1), "rst": ("in", 1),
    "s_axis_tdata": ("in", None), "s_axis_tvalid": ("in", 1),
    "s_axis_tready": ("out", 1), "s_axis_tlast": ("in", 1),
    "m_axis_tdata": ("out", None), "m_axis_tvalid": ("out", 1),
    "m_axis_tready": ("in", 1), "m_axis_tlast": ("out", 1),
    "trace_step": ("out", 1),
    "trace_h_valid": ("out", 1), "trace_h_index": ("out", None),
    "trace_h_data": ("out", None),
    "trace_c_valid": ("out", 1), "trace_c_index": ("out", None),
    "trace_c_data": ("out", None),
    "status_errors": ("out", None), "status_saturations": ("out", None),
    "idle": ("out", 1),
}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports of one core.

    Parameters
    ----------
    directions : dict of str to "in" or "out"
    widths : dict of str to int
    elements : dict of str to int
        Of the ports that hold several, all of one width: elements of a word of ``s_axis_tdata``
        and ``m_axis_tdata``, bits of ``m_axis_tkeep`` where an output word holds several, values
        of a record of ``trace_h_data`` and ``trace_c_data``.
    """

    directions: dict
    widths: dict
    elements: dict

    def element_width(self, port: str) -> int:
        """Bits of an element of a port."""
        return self.widths[port] // self.elements.get(port, 1)

    def unpack(self, port: str, words: np.ndarray, *, at: int = 0) -> np.ndarray:
        """What a port held, at bit ``at`` of words (n, k) of limbs: elements int64 (n, E)."""
        return unpack(words, self.element_width(port), self.elements.get(port, 1), at=at,
                      signed=port.endswith("data"))

    def pack_inputs(self, words: np.ndarray) -> np.ndarray:
        """Words of the input stream, int64 (n, E) elements each, as limbs (n, k).

        Raises
        ------
        ValueError
            If an element fits neither as a signed nor as an unsigned number.
        """
        width, many = self.element_width("s_axis_tdata"), self.elements["s_axis_tdata"]
        if words.shape[1] != many:
            raise ValueError(f"Input words must have {many} element(s), not {words.shape[1]}")
        if words.max() >= 1 << width or words.min() < -(1 << (width - 1)):
            raise ValueError(f"Input words must fit {width} bits an element, "
                             f"not {int(words.min())} to {int(words.max())}")
        return pack(words, width)


def read_ports(manifest: dict) -> Ports:
    """Ports that a manifest lists; ValueError names one that is missing or wrong."""
    ports = {port["name"]: (port["direction"], port["width"]) for port in manifest["ports"]}
    stream, posts = manifest["stream"], manifest["posts"]
    elements = {"s_axis_tdata": stream["input_elements"],
                "m_axis_tdata": stream["output_elements"],
                "trace_h_data": posts, "trace_c_data": posts}
    wanted = dict(_PORTS)
    if elements["m_axis_tdata"] > 1:
        elements["m_axis_tkeep"] = elements["m_axis_tdata"]
        wanted["m_axis_tkeep"] = "out", elements["m_axis_tkeep"]
    if "status_faults" in ports:     # of a protected core
        wanted["status_faults"] = "out", None
    for name, (direction, width) in wanted.items():
        if name not in ports:
            raise ValueError(f"The manifest must list the port {name!r}; generate the core again "
                             "with its trace ports")
        found = ports[name]
        if found != (direction, found[1] if width is None else width):
            raise ValueError(f"Port {name!r} must be {direction} of {width or 'some'} bit(s), "
                             f"not {found[0]} of {found[1]}")
    for name in ports:
        if name not in wanted:
            raise ValueError(f"The manifest must not list the port {name!r}: "
                             "the bench does not drive it")
    for name, many in (elements | {"trace_h_index": 1, "trace_c_index": 1}).items():
        width = ports[name][1]
        if width % many or not 1 <= width // many <= LONGEST:
            raise ValueError(f"Port {name!r} must have 1 to {LONGEST} bits for each of {many} "
                             f"element(s), not {width!r}")
    return Ports(directions={name: found[0] for name, found in ports.items()},
                 widths={name: found[1] for name, found in ports.items()}, elements=elements)


def pack(elements: np.ndarray, width: int) -> np.ndarray:
    """Elements int64 (n, E), their lowest ``width`` bits, as words: limbs uint64 (n, k)."""
    many = elements.shape[1]
    words = np.zeros((len(elements), -(-many * width // 64)), np.uint64)
    codes = elements.astype(np.uint64) & np.uint64((1 << width) - 1)
    for k in range(many):
        limb, shift = divmod(k * width, 64)
        words[:, limb] |= codes[:, k] << np.uint64(shift)
        if shift + width > 64:
            words[:, limb + 1] |= codes[:, k] >> np.uint64(64 - shift)
    return words


def unpack(words: np.ndarray, width: int, many: int = 1, *, at: int = 0,
           signed: bool = True) -> np.ndarray:
    """Elements int64 (n, many) of ``width`` < 64 bits that begin at bit ``at`` of the words.

    Parameters
    ----------
    words : uint64 (n, k)
    """
    elements = np.empty((len(words), many), np.uint64)
    for k in range(many):
        limb, shift = divmod(at + k * width, 64)
        # The element's bits are moved to the top: what lies above them falls out.
        over = shift + width - 64
        if over > 0:
            elements[:, k] = (words[:, limb] >> np.uint64(shift) << np.uint64(64 - width)
                              | words[:, limb + 1] << np.uint64(64 - over))
        else:
            elements[:, k] = words[:, limb] << np.uint64(-over)
    if signed:
        return elements.view(np.int64) >> np.int64(64 - width)
    return (elements >> np.uint64(64 - width)).view(np.int64)
