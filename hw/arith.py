"""The Amaranth twins of ``golden.fixed``: the only places where hardware narrows or bounds a
number.
"""

from amaranth import *

__all__ = ["bound", "round_shift", "saturate"]


def round_shift(value, shift: int) -> Value:
    """floor(v / 2**shift + 1/2) of a signed value; a negative shift multiplies, exactly."""
    value = Value.cast(value)
    if not value.shape().signed:
        raise TypeError(f"Value must be signed, not {value.shape()!r}")
    if shift <= 0:
        return value.shift_left(-shift)
    # One bit more than the sum needs: Amaranth widens the addition by itself.
    return (value + C(1 << (shift - 1), signed(shift + 1))) >> shift


def saturate(value, width: int) -> tuple:
    """Clip a signed value to ``width`` bits.

    Returns
    -------
    (Value, Value)
        The clipped value, signed(width), and one bit that tells whether clipping changed it.
    """
    value = Value.cast(value)
    if not value.shape().signed:
        raise TypeError(f"Value must be signed, not {value.shape()!r}")
    if len(value) <= width:
        return (value | C(0, signed(width))).as_signed(), C(0)
    # Bit tests on the top bits, not comparators: no carry chain behind the adder before it.
    top, sign = value[width - 1:], value[-1]
    clipped = ~(top.all() | ~top.any())
    edge = Cat((~sign).replicate(width - 1), sign)
    return Mux(clipped, edge, value[:width]).as_signed(), clipped


def bound(value, limit) -> Value:
    """Clip a signed value to [-limit, limit], in its own width; ``limit`` is not negative."""
    value, limit = Value.cast(value), Value.cast(limit)
    if not value.shape().signed:
        raise TypeError(f"Value must be signed, not {value.shape()!r}")
    return Mux(value > limit, limit, Mux(value < -limit, -limit, value))[:len(value)].as_signed()
