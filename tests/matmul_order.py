"""The definition of matmul's bits, written out in exact arithmetic: slow, and an oracle for every path.

k is cut into panels of 256. A panel's total is one chain of fused multiply-adds from +0 in rising k,
each rounded once to the element's type; panel totals are added in rising order. A complex step is
re = fma(-ai, bi, fma(ar, br, re)), im = fma(ai, br, fma(ar, bi, im)). Integers wrap.

Only the standard library is used. Matrices are sequences of rows of int, float or complex.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

PANEL = 256

# Bits of the significand (the leading one included) and exponent of the smallest subnormal.
_FORMATS = {"float32": (24, -149, 128), "float64": (53, -1074, 1024)}
_PARTS = {"complex64": "float32", "complex128": "float64"}
_INTEGERS = {f"{sign}int{bits}": (sign == "", bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}


def round_to(exact: Fraction, dtype: str) -> float:
    """A non-zero exact value rounded to nearest, ties to even; beyond the largest number, infinity."""
    precision, smallest, overflow = _FORMATS[dtype]
    magnitude = abs(exact)
    # Exponent e with 2**e <= magnitude < 2**(e + 1): the bit lengths give it or one more.
    e = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** e:
        e -= 1
    step = Fraction(2) ** max(e - precision + 1, smallest)
    # round() of a Fraction takes ties to even.
    rounded = round(magnitude / step) * step
    result = math.inf if rounded >= Fraction(2) ** overflow else float(rounded)
    return -result if exact < 0 else result


def fma(a: float, b: float, c: float, dtype: str) -> float:
    """a * b + c, rounded once."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        if math.isfinite(a) and math.isfinite(b):
            return c  # whatever the product, which may overflow in Python's own arithmetic
        if 0.0 in (a, b):
            return math.nan
        product = a * b
        return product + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact:
        return round_to(exact, dtype)
    # An exact zero is -0 only where both terms are.
    product_sign = math.copysign(1.0, a) * math.copysign(1.0, b)
    product_is_zero = a == 0.0 or b == 0.0
    if product_is_zero and c == 0.0 and product_sign < 0 and math.copysign(1.0, c) < 0:
        return -0.0
    return 0.0


def add(a: float, b: float, dtype: str) -> float:
    """a + b, rounded once."""
    return fma(a, 1.0, b, dtype)


def _wrap(value: int, dtype: str) -> int:
    signed, bits = _INTEGERS[dtype]
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def _chain(row: Sequence[Any], column: Sequence[Any], dtype: str) -> Any:
    """One panel's total."""
    if dtype in _INTEGERS:
        return _wrap(sum(a * b for a, b in zip(row, column, strict=True)), dtype)
    if dtype in _FORMATS:
        total = 0.0
        for a, b in zip(row, column, strict=True):
            total = fma(a, b, total, dtype)
        return total
    part = _PARTS[dtype]
    re = im = 0.0
    for a, b in zip(row, column, strict=True):
        re = fma(-a.imag, b.imag, fma(a.real, b.real, re, part), part)
        im = fma(a.imag, b.real, fma(a.real, b.imag, im, part), part)
    return complex(re, im)


def _plus(a: Any, b: Any, dtype: str) -> Any:
    if dtype in _INTEGERS:
        return _wrap(a + b, dtype)
    if dtype in _FORMATS:
        return add(a, b, dtype)
    part = _PARTS[dtype]
    return complex(add(a.real, b.real, part), add(a.imag, b.imag, part))


def element(row: Sequence[Any], column: Sequence[Any], dtype: str) -> Any:
    """The element of a product that belongs to a row of the left and a column of the right factor."""
    result = _chain(row[:PANEL], column[:PANEL], dtype)
    for first in range(PANEL, len(row), PANEL):
        end = first + PANEL
        result = _plus(result, _chain(row[first:end], column[first:end], dtype), dtype)
    return result


def matmul(a: Sequence[Sequence[Any]], b: Sequence[Sequence[Any]], dtype: str) -> list[list[Any]]:
    """The product of two matrices whose elements are exactly representable in the dtype."""
    columns = list(zip(*b, strict=True))
    return [[element(row, column, dtype) for column in columns] for row in a]


def bits(value: Any, dtype: str) -> int:
    """An element's bits as an integer, every NaN as one."""
    if dtype in _INTEGERS:
        return int(value) & ((1 << _INTEGERS[dtype][1]) - 1)
    if dtype in _PARTS:
        part = _PARTS[dtype]
        width = 8 * struct.calcsize("f" if part == "float32" else "d")
        return bits(value.real, part) | bits(value.imag, part) << width
    if math.isnan(value):
        return -1
    code, integer = ("<f", "<I") if dtype == "float32" else ("<d", "<Q")
    return int(struct.unpack(integer, struct.pack(code, value))[0])
