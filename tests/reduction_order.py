"""The reduction order, transcribed slowly and exactly: the oracle for the bits of ordered reductions.

Standard library only; float64 arithmetic is Python's float. Elements are numbered in row-major order
of the reduced axes. Block b is elements 1,024 b to 1,024 b + 1,023. Stripe s of a block combines its
elements with i mod 16 = s in rising order. The blocks' 16-vectors are combined stripe by stripe in a
binary tree whose left subtree is the largest power of two of blocks below the total; the stripes
fold by +8, +4, +2, +1. An absent stripe is -0.0 in a sum and 1 in a product.

Functions take a list of floats (or complex numbers) and a dtype name, and return the result as a
Python number that the dtype holds exactly.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar

BLOCK = 1024
STRIPES = 16

Pair = tuple[float, float]
State = TypeVar("State")


def round32(x: float) -> float:
    """The nearest float32."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", x))[0])
    except OverflowError:
        return math.copysign(math.inf, x)


def rounded(x: float, dtype: str) -> float:
    """The value in the dtype, or in the parts of a complex one."""
    return round32(x) if dtype in ("float32", "complex64") else x


def _finite(*values: float) -> bool:
    return all(math.isfinite(v) for v in values)


def _float(exact: Fraction, zero: float) -> float:
    """The nearest float64 of an exact value; `zero` has the sign that a zero gets."""
    if exact == 0:
        return zero
    try:
        nearest = float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
    return math.copysign(nearest, 1.0 if exact > 0 else -1.0)


def fma(a: float, b: float, c: float) -> float:
    """a * b + c, rounded once."""
    if not _finite(a, b, c):
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        # Both terms vanish, or they cancel: the sum of zeros has their sign if they agree, else +0.
        product = math.copysign(0.0, math.copysign(1.0, a) * math.copysign(1.0, b))
        return product + c if a == 0 or b == 0 else 0.0
    return _float(exact, 0.0)


def divide(a: float, b: float) -> float:
    """IEEE 754 division, which Python refuses for zero."""
    if b != 0 or math.isnan(a) or math.isnan(b):
        return a / b
    if a == 0:
        return math.nan
    return math.copysign(math.inf, math.copysign(1.0, a) * math.copysign(1.0, b))


def two_sum(a: float, b: float) -> Pair:
    """The rounded sum and its error (Knuth)."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def two_product(a: float, b: float) -> Pair:
    """The rounded product and its error."""
    p = a * b
    return p, fma(a, b, -p)


def pair_value(s: float, c: float) -> float:
    """s + c, or s where c is 0 or not finite."""
    return s if c == 0 or not math.isfinite(c) else s + c


def pair_quotient(s: float, c: float, n: float) -> float:
    """(s + c) / n: the quotient of s with the remainder divided again; the quotient alone where that
    correction is 0 or not finite."""
    q = divide(s, n)
    return pair_value(q, divide(fma(-q, n, s) + c, n))


def tree(
    count: int,
    absent: State,
    step: Callable[[State, int], State],
    merge: Callable[[State, State], State],
) -> State:
    """Combines elements 0 to count - 1 in the order."""

    def block(b: int) -> list[State]:
        stripes = [absent] * STRIPES
        for i in range(b * BLOCK, min((b + 1) * BLOCK, count)):
            stripes[i % STRIPES] = step(stripes[i % STRIPES], i)
        return stripes

    def subtree(first: int, blocks: int) -> list[State]:
        if blocks == 1:
            return block(first)
        left = 1
        while left * 2 < blocks:
            left *= 2
        a, b = subtree(first, left), subtree(first + left, blocks - left)
        return [merge(x, y) for x, y in zip(a, b, strict=True)]

    stripes = subtree(0, -(-count // BLOCK))
    for half in (8, 4, 2, 1):
        for s in range(half):
            stripes[s] = merge(stripes[s], stripes[s + half])
    return stripes[0]


def _total(terms: Sequence[Sequence[Pair]], compensated: bool) -> Pair:
    """The sum of each element's terms (value, known error): s and c."""

    def step(state: Pair, i: int) -> Pair:
        s, c = state
        for value, known in terms[i]:
            s, error = two_sum(s, value)
            if compensated:
                c = c + (error + known)
        return s, c

    def merge(a: Pair, b: Pair) -> Pair:
        s, error = two_sum(a[0], b[0])
        return (s, (a[1] + b[1]) + error) if compensated else (s, 0.0)

    return tree(len(terms), (-0.0, 0.0), step, merge)


def _is_double(dtype: str) -> bool:
    return dtype in ("float64", "complex128")


def _real_total(x: Sequence[float], dtype: str) -> Pair:
    return _total([[(v, 0.0)] for v in x], _is_double(dtype))


def _quotient(total: Pair, n: float, dtype: str) -> float:
    s, c = total
    return pair_quotient(s, c, n) if _is_double(dtype) else divide(s, n)


def _by_parts(
    f: Callable[[Sequence[float], str], float], x: Sequence[complex], dtype: str
) -> float | complex:
    if dtype.startswith("complex"):
        z = [complex(v) for v in x]
        return complex(f([v.real for v in z], dtype), f([v.imag for v in z], dtype))
    return f([v.real for v in x], dtype)


def _sum(x: Sequence[float], dtype: str) -> float:
    return rounded(pair_value(*_real_total(x, dtype)), dtype) if x else 0.0


def _mean(x: Sequence[float], dtype: str) -> float:
    return rounded(_quotient(_real_total(x, dtype), float(len(x)), dtype), dtype) if x else math.nan


def sum_of(x: Sequence[complex], dtype: str) -> float | complex:
    """The sum; of complex numbers part by part."""
    return _by_parts(_sum, x, dtype)


def mean_of(x: Sequence[complex], dtype: str) -> float | complex:
    """The mean; of complex numbers part by part."""
    return _by_parts(_mean, x, dtype)


def _variance(x: Sequence[float], dtype: str, correction: float) -> float:
    """In float64, before it is rounded to the dtype."""
    divisor = len(x) - correction
    if not x or not divisor > 0:
        return math.nan
    center = _quotient(_real_total(x, dtype), float(len(x)), dtype)
    deviations = [v - center for v in x]
    double = _is_double(dtype)
    terms = [[two_product(d, d) if double else (d * d, 0.0)] for d in deviations]
    return _quotient(_total(terms, double), divisor, dtype)


def var_of(x: Sequence[float], dtype: str, correction: float = 0.0) -> float:
    """The variance, in two passes about the float64 mean."""
    return rounded(_variance(x, dtype, correction), dtype)


def std_of(x: Sequence[float], dtype: str, correction: float = 0.0) -> float:
    """The square root of the variance, rounded once."""
    variance = _variance(x, dtype, correction)
    return variance if math.isnan(variance) else rounded(math.sqrt(variance), dtype)


def _complex_product(a: complex, b: complex) -> complex:
    """Plain multiplication; 1 + 0i leaves the other factor as it is."""
    for one, other in ((a, b), (b, a)):
        if one.real == 1.0 and one.imag == 0.0 and math.copysign(1.0, one.imag) > 0:
            return other
    return complex(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


def prod_of(x: Sequence[complex], dtype: str) -> float | complex:
    """The product, in float64 and not compensated."""
    if dtype.startswith("complex"):
        z = [complex(v) for v in x]
        if not z:
            return complex(1.0, 0.0)
        p = tree(len(z), complex(1.0, 0.0), lambda s, i: _complex_product(s, z[i]), _complex_product)
        return complex(rounded(p.real, dtype), rounded(p.imag, dtype))
    r = [v.real for v in x]
    if not r:
        return 1.0
    return rounded(tree(len(r), 1.0, lambda s, i: s * r[i], lambda a, b: a * b), dtype)


def _dot(a: Sequence[complex], b: Sequence[complex], dtype: str, conjugate: bool) -> float | complex:
    double = _is_double(dtype)

    def term(x: float, y: float) -> Pair:
        return two_product(x, y) if double else (x * y, 0.0)

    def total(terms: list[list[Pair]]) -> float:
        return rounded(pair_value(*_total(terms, double)), dtype) if terms else 0.0

    if not dtype.startswith("complex"):
        return total([[term(x.real, y.real)] for x, y in zip(a, b, strict=True)])
    both = [(complex(x), complex(y)) for x, y in zip(a, b, strict=True)]
    sign = 1.0 if conjugate else -1.0
    real = [[term(x.real, y.real), term(sign * x.imag, y.imag)] for x, y in both]
    imag = [[term(x.real, y.imag), term(-sign * x.imag, y.real)] for x, y in both]
    return complex(total(real), total(imag))


def vecdot_of(a: Sequence[complex], b: Sequence[complex], dtype: str) -> float | complex:
    """The sum of products, the first operand conjugated. Each part of a complex one adds two real
    products an element: first that with the first operand's real part."""
    return _dot(a, b, dtype, conjugate=True)


def dot_of(a: Sequence[complex], b: Sequence[complex], dtype: str) -> float | complex:
    """As vecdot_of, without conjugation."""
    return _dot(a, b, dtype, conjugate=False)


def _running(
    values: Sequence[complex],
    absent: State,
    step: Callable[[State, complex], State],
    none: State,
    absorb: Callable[[State, State], State],
    emit: Callable[[State, State], complex],
) -> list[complex]:
    """Left to right inside a block, on top of a carry that earlier blocks' totals are added to."""
    out: list[complex] = []
    carry = none
    for first in range(0, len(values), BLOCK):
        running = absent
        for value in values[first : first + BLOCK]:
            running = step(running, value)
            out.append(emit(carry, running))
        carry = absorb(carry, running)
    return out


def _running_sum(values: Sequence[float], dtype: str) -> list[complex]:
    compensated = dtype in ("float64", "complex128")

    def step(state: Pair, value: complex) -> Pair:
        s, error = two_sum(state[0], value.real)
        return s, state[1] + error if compensated else 0.0

    def merge(a: Pair, b: Pair) -> Pair:
        s, error = two_sum(a[0], b[0])
        return s, (a[1] + b[1]) + error

    def emit(carry: Pair, running: Pair) -> complex:
        if compensated:
            return pair_value(*merge(carry, running))
        return rounded(pair_value(*carry) + running[0], dtype)

    return _running(values, (-0.0, 0.0), step, (-0.0, 0.0), merge, emit)


def cumulative_sum_of(values: Sequence[complex], dtype: str) -> list[complex]:
    if dtype.startswith("complex"):
        real = _running_sum([v.real for v in values], dtype)
        imag = _running_sum([v.imag for v in values], dtype)
        return [complex(a.real, b.real) for a, b in zip(real, imag, strict=True)]
    return _running_sum([v.real for v in values], dtype)


def cumulative_prod_of(values: Sequence[complex], dtype: str) -> list[complex]:
    if dtype.startswith("complex"):

        def emit(carry: complex, running: complex) -> complex:
            product = _complex_product(carry, running)
            return complex(rounded(product.real, dtype), rounded(product.imag, dtype))

        return _running(values, 1 + 0j, _complex_product, 1 + 0j, _complex_product, emit)

    def product(a: complex, b: complex) -> complex:
        return a.real * b.real

    return _running(values, 1.0, product, 1.0, product, lambda a, b: rounded(product(a, b).real, dtype))
