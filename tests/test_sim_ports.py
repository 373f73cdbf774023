"""Ports of a core as its manifest lists them, and elements in words of any width."""

import numpy as np
import pytest
from sim_standin import emit

from sim.ports import pack, read_ports, unpack

MANIFEST = emit()[1]


def wide(elements: int = 3, *, posts: int = 1, **widths) -> dict:
    """The stand-in's manifest with output words of several elements."""
    widths = {"m_axis_tdata": 16 * elements, "trace_h_data": 12 * posts,
              "trace_c_data": 16 * posts} | widths
    ports = [port | {"width": widths.get(port["name"], port["width"])}
             for port in MANIFEST["ports"]]
    if elements > 1:
        ports.append({"name": "m_axis_tkeep", "direction": "out",
                      "width": widths.get("m_axis_tkeep", elements)})
    return MANIFEST | {"ports": ports, "posts": posts,
                       "stream": {"input_elements": 1, "output_elements": elements}}


@pytest.mark.parametrize("width", [1, 5, 16, 18, 31, 32, 33, 47, 48])
@pytest.mark.parametrize("many", [1, 2, 3, 7, 40])
def test_pack_and_unpack(width, many):
    """Against integers of Python, at places that cross every border between limbs."""
    rng = np.random.default_rng(width * 100 + many)
    codes = rng.integers(-(1 << (width - 1)), 1 << (width - 1), size=(20, many))
    exact = [sum((code % (1 << width)) << (k * width) for k, code in enumerate(row))
             for row in codes.tolist()]
    words = pack(codes, width)
    assert words.shape == (20, -(-width * many // 64))
    assert [sum(limb << (64 * k) for k, limb in enumerate(row)) for row in words.tolist()] == exact
    assert (unpack(words, width, many) == codes).all()
    assert (unpack(words, width, many, signed=False) == codes % (1 << width)).all()
    for at in (1, 16, 63, 64, 77):
        limbs = -(-(at + width * many + 5) // 64)
        around = [word << at | (1 << at) - 1 | 0b10110 << (at + width * many) for word in exact]
        shifted = np.array([[word >> (64 * k) & ((1 << 64) - 1) for k in range(limbs + 1)]
                            for word in around], np.uint64)
        assert (unpack(shifted, width, many, at=at) == codes).all()


def test_elements():
    ports = read_ports(wide(3, posts=2))
    assert ports.element_width("m_axis_tdata") == 16 and ports.elements["m_axis_tkeep"] == 3
    assert ports.element_width("trace_h_data") == 12 and ports.element_width("trace_c_data") == 16
    words = np.array([[(5 << 12 | 0xFFF)]], np.uint64)
    assert ports.unpack("trace_h_data", words).tolist() == [[-1, 5]]
    assert ports.unpack("m_axis_tkeep", np.array([[0b110]], np.uint64)).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize(("manifest", "message"), [
    (wide(3, m_axis_tkeep=2), r"^Port 'm_axis_tkeep' must be out of 3 bit\(s\), not out of 2$"),
    (wide(3, m_axis_tdata=47), r"^Port 'm_axis_tdata' must have 1 to 48 bits for each of 3"),
    (wide(1, posts=5, trace_h_data=12), r"^Port 'trace_h_data' must have 1 to 48 bits for each"),
    (wide(1, m_axis_tdata=49), r"for each of 1 element\(s\), not 49$"),
    (wide(3) | {"ports": MANIFEST["ports"]}, r"^The manifest must list the port 'm_axis_tkeep'"),
    (MANIFEST | {"ports": wide(3)["ports"]}, r"must not list the port 'm_axis_tkeep'"),
], ids=["keep", "rest", "posts", "long", "no_keep", "keep_of_one"])
def test_ports_wrong(manifest, message):
    with pytest.raises(ValueError, match=message):
        read_ports(manifest)


def test_pack_inputs_wrong():
    ports = read_ports(MANIFEST)
    assert ports.pack_inputs(np.array([[-1], [65535]])).tolist() == [[65535], [65535]]
    for code in (65536, -32769):
        with pytest.raises(ValueError, match=r"^Input words must fit 16 bits an element"):
            ports.pack_inputs(np.array([[0], [code]]))
    with pytest.raises(ValueError, match=r"^Input words must have 1 element\(s\), not 2$"):
        ports.pack_inputs(np.zeros((3, 2), np.int64))
