"""What NumPy, or exact arithmetic where NumPy decides otherwise, says of every elementwise operation.

One row an operation: adding one to the op table adds one here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """oracle: the function on NumPy arrays of the compute dtype. exact: kinds that agree bit for
    bit (NaN aside); others agree within the ulp bound of the op table. right: the second operand's
    inputs where not every value is meaningful."""

    oracle: Callable[..., Any]
    exact: str = "biufc"
    right: str = "special"  # special | nonzero | exponent | shift


def _ordered(pick: Callable[..., Any], zero_sign: bool) -> Callable[..., Any]:
    """minimum or maximum with -0 below +0, which NumPy leaves open."""

    def oracle(a: Any, b: Any) -> Any:
        out = pick(a, b)
        if a.dtype.kind == "f":
            zeros = (a == 0) & (b == 0)
            negative = (np.signbit(a) | np.signbit(b)) if zero_sign else (np.signbit(a) & np.signbit(b))
            out = np.where(zeros, np.where(negative, -0.0, 0.0).astype(out.dtype), out)
        return out

    return oracle


def _shift_left(a: Any, b: Any) -> Any:
    width = 8 * a.dtype.itemsize
    inside = (b >= 0) & (b < width)
    return np.where(inside, np.left_shift(a, np.where(inside, b, 0).astype(a.dtype)), 0).astype(a.dtype)


def _shift_right(a: Any, b: Any) -> Any:
    width = 8 * a.dtype.itemsize
    inside = (b >= 0) & (b < width)
    out = np.where(a < 0, -1, 0) if a.dtype.kind == "i" else np.zeros_like(a)
    return np.where(inside, np.right_shift(a, np.where(inside, b, 0).astype(a.dtype)), out).astype(a.dtype)


def _exact_floor(a: Any, b: Any) -> Any:
    """floor(a / b) of finite floats. Where not every integer is a float, the quotient is already whole
    to within rounding, and the nearest float is the answer."""
    quotient = Fraction(float(a)) / Fraction(float(b))
    whole: int | Fraction = math.floor(quotient)
    if abs(whole) > 2 ** np.finfo(a.dtype).nmant:
        whole = quotient
    if whole == 0:
        return math.copysign(0.0, math.copysign(1.0, a) * math.copysign(1.0, b))
    try:
        return float(whole)
    except OverflowError:
        return math.inf if whole > 0 else -math.inf


def _floor_divide(a: Any, b: Any) -> Any:
    """Exact for finite floats, where NumPy is off by a unit of large quotients; else NumPy's, with the
    Array API's table for infinite dividends and zero divisors."""
    out = np.asarray(np.floor_divide(a, b))
    if a.dtype.kind != "f":
        return out
    a, b = np.broadcast_arrays(a, b)
    signs = np.where(np.signbit(a) != np.signbit(b), -1.0, 1.0)
    out = np.where(np.isinf(a) & np.isfinite(b), np.inf * signs, out)
    out = np.where((b == 0) & (a != 0) & ~np.isnan(a), np.inf * signs, out).astype(a.dtype)
    for i in np.flatnonzero(np.isfinite(a) & np.isfinite(b) & (b != 0)):
        out.flat[i] = a.dtype.type(_exact_floor(a.flat[i], b.flat[i]))
    return out


def _sign(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.sign(x)
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)


def _identity_on_integers(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: x.copy() if x.dtype.kind in "biu" else function(x).astype(x.dtype)


ELEMENTWISE: dict[str, Row] = {
    "positive": Row(np.positive),
    "negative": Row(np.negative),
    "abs": Row(np.abs, exact="biuf"),
    "sqrt": Row(np.sqrt, exact="f"),
    "square": Row(np.square, exact="biuf"),
    "sign": Row(_sign, exact="biuf"),
    "conj": Row(np.conjugate),
    "real": Row(lambda x: np.array(x.real)),
    "imag": Row(lambda x: np.array(x.imag)),
    "floor": Row(_identity_on_integers(np.floor)),
    "ceil": Row(_identity_on_integers(np.ceil)),
    "trunc": Row(_identity_on_integers(np.trunc)),
    "round": Row(_identity_on_integers(np.round)),
    "isnan": Row(np.isnan),
    "isinf": Row(np.isinf),
    "isfinite": Row(np.isfinite),
    "logical_not": Row(np.logical_not),
    "bitwise_invert": Row(np.invert),
    "add": Row(np.add),
    "subtract": Row(np.subtract),
    "multiply": Row(np.multiply, exact="biuf"),
    "divide": Row(np.divide, exact="f"),
    "floor_divide": Row(_floor_divide, right="nonzero"),
    "remainder": Row(np.remainder, right="nonzero"),
    "pow": Row(np.power, exact="iu", right="exponent"),
    "minimum": Row(_ordered(np.minimum, True)),
    "maximum": Row(_ordered(np.maximum, False)),
    "equal": Row(np.equal),
    "not_equal": Row(np.not_equal),
    "less": Row(np.less),
    "less_equal": Row(np.less_equal),
    "greater": Row(np.greater),
    "greater_equal": Row(np.greater_equal),
    "logical_and": Row(np.logical_and),
    "logical_or": Row(np.logical_or),
    "logical_xor": Row(np.logical_xor),
    "bitwise_and": Row(np.bitwise_and),
    "bitwise_or": Row(np.bitwise_or),
    "bitwise_xor": Row(np.bitwise_xor),
    "bitwise_left_shift": Row(_shift_left, right="shift"),
    "bitwise_right_shift": Row(_shift_right, right="shift"),
}
