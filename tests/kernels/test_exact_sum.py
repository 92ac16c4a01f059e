"""exact_sum is the rounded exact sum: against fractions and math.fsum, for data made to be hard."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import corepy as cp
from inputs import Array, bits, layouts

SIZES = (1, 2, 3, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025, 3000, 20_000)
INF = math.inf
MAX = float(np.finfo(np.float64).max)
TINY = 5e-324


def rounded(exact: Fraction, dtype: str) -> float:
    """The nearest float, ties to even; beyond the range an infinity."""
    digits, least, largest = (53, -1074, 1024) if dtype == "float64" else (24, -149, 128)
    if exact == 0:
        return 0.0
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unit = Fraction(2) ** max(exponent - digits + 1, least)
    whole = round(size / unit)  # half to even
    nearest = whole * unit
    value = INF if nearest >= Fraction(2) ** largest else float(nearest)
    return -value if exact < 0 else value


def expected(values: Array) -> float:
    """The definition, for any real values."""
    numbers = [float(v) for v in values]
    if any(math.isnan(v) for v in numbers) or {INF, -INF} <= set(numbers):
        return math.nan
    infinite = [v for v in numbers if math.isinf(v)]
    if infinite:
        return infinite[0]
    if numbers and all(v == 0 and math.copysign(1, v) < 0 for v in numbers):
        return -0.0
    return rounded(sum(map(Fraction, numbers), Fraction(0)), values.dtype.name)


def same(got: object, want: float) -> bool:
    assert isinstance(got, float)
    return (math.isnan(got) and math.isnan(want)) or (
        got == want and math.copysign(1, got) == math.copysign(1, want)
    )


def hard(n: int, kind: str, dtype: str, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed * 1000 + n)
    x = rng.standard_normal(n)
    top, bottom = (900, -1074) if dtype == "float64" else (100, -149)
    if kind == "wide":
        x = np.ldexp(x, rng.integers(bottom, top, n))
    elif kind in ("cancelling", "nothing"):
        half = np.ldexp(rng.standard_normal(n // 2), rng.integers(-60, 60, n // 2))
        rest = np.ldexp(rng.standard_normal(n - 2 * (n // 2)), -90)
        x = np.concatenate([half, -half, rest if kind == "cancelling" else rest * 0])
    elif kind == "overflowing":
        x = rng.choice([MAX, -MAX, 1.0] if dtype == "float64" else [3.4e38, -3.4e38, 1.0], n)
    elif kind == "subnormal":
        x = np.ldexp(rng.integers(-5, 6, n).astype(float), bottom)
    elif kind == "ties":
        x = rng.choice([1.0, -1.0, 2.0**-24, 2.0**-53, -(2.0**-53), 2.0**-54], n)
    values = np.asarray(x, dtype=dtype)
    values = np.where(np.isfinite(values), values, np.sign(values) * np.finfo(dtype).max).astype(dtype)
    if kind == "cancelling":
        values[n // 2 : 2 * (n // 2)] = -values[: n // 2]
    rng.shuffle(values)
    return values


KINDS = ("plain", "wide", "cancelling", "nothing", "overflowing", "subnormal", "ties")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_against_fractions(kind: str, dtype: str) -> None:
    for n in SIZES if dtype == "float64" or kind != "wide" else SIZES[:-1]:
        values = hard(n, kind, dtype)
        got = cp.exact_sum(cp.asarray(values))
        assert got.dtype.name == dtype
        assert same(got.item(), expected(values)), n


def test_rounding_of_the_oracle() -> None:
    for values in ([1.0, 2.0**-53], [1.0, 2.0**-53, TINY], [MAX, 2.0**969], [MAX, 2.0**970], [TINY, TINY]):
        exact = sum(map(Fraction, values), Fraction(0))
        try:
            want = math.fsum(values)
        except OverflowError:
            want = INF
        assert rounded(exact, "float64") == want
    assert rounded(Fraction(1) + Fraction(2) ** -24, "float32") == 1.0
    assert rounded(Fraction(2) ** -150, "float32") == 0.0


@given(
    st.lists(
        st.one_of(
            st.floats(width=64),
            st.sampled_from([1e308, -1e308, TINY, -TINY, -0.0, 0.0, 2.0**-53, 1.0, -1.0, INF, -INF, MAX]),
        ),
        max_size=40,
    ),
    st.sampled_from([1, 30]),
)
@example([1e308, 1e308, -1e308], 1)
@example([MAX, 2.0**970], 1)
@example([MAX, 2.0**970, -TINY], 1)
def test_any_values_at_all(values: list[float], times: int) -> None:
    array = np.array(values * times, dtype=np.float64)
    assert same(cp.exact_sum(cp.asarray(array)).item(), expected(array))
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    assert same(cp.exact_sum(cp.asarray(single)).item(), expected(single))


def test_large_sums_against_fsum() -> None:
    # Large enough for threads, and for the table of the superaccumulator to fill up many times.
    for kind in ("plain", "cancelling", "nothing", "wide"):
        values = hard(300_001, kind, "float64")
        assert cp.exact_sum(cp.asarray(values)).item() == math.fsum(values), kind
    ones = np.full(300_001, 1.9999999999999998)
    ones[-1] = -ones[:-1].sum()
    assert cp.exact_sum(cp.asarray(ones)).item() == math.fsum(ones)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_spreads_of_exponents(dtype: str) -> None:
    # Elements are added up by how far their exponents lie apart, 42 bits a step.
    part = "float64" if dtype in ("float64", "complex128") else "float32"
    digits, least, most = (53, -1074, 1023) if part == "float64" else (24, -149, 127)
    rng = np.random.default_rng(5)

    def drawn(n: int, spread: int, lowest: int, left: float) -> Array:
        """Twins of both signs, some of which overflow on the way, and `left`, which is their sum."""
        twins = np.ldexp(1 + rng.random(n // 2), rng.integers(lowest, lowest + spread + 1, n // 2)).astype(
            part
        )
        twins = np.where(np.isfinite(twins), twins, np.finfo(part).max).astype(part)
        values = np.concatenate([twins, -twins, np.array([left], part)])
        rng.shuffle(values)
        return values

    borders = {bins * 42 - digits + more for bins in range(1, 11) for more in range(-3, 2)}
    for spread in sorted(s for s in borders | {0, most - least} if 0 <= s <= most - least):
        lowest = (least, most - spread, int(rng.integers(least, most - spread + 1)))
        for low, n in zip(lowest, (2046, 2048, 20_010), strict=True):
            left = [math.ldexp(sign, low) for sign in (1.0, -1.0)]
            parts = [
                drawn(n, spread, low, left[0]),
                drawn(n, min(spread, 20), max(low - 300, least), left[1]),
            ]
            array = parts[0] if dtype == part else (parts[0] + 1j * parts[1]).astype(dtype)
            for threads in (1, 2, 3):
                with cp.threads(threads):
                    got = cp.exact_sum(cp.asarray(array)).item()
                assert isinstance(got, float | complex)
                assert got.real == left[0], (spread, low, n, threads)
                assert dtype == part or got.imag == left[1], (spread, low, n, threads)
        some = parts[0][: 1 + rng.integers(3000)]
        assert same(cp.exact_sum(cp.asarray(some)).item(), expected(some)), spread


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_parts_do_not_mix(dtype: str) -> None:
    # Each part has what only the exact pass can tell beside what the other part must not see.
    part = "float64" if dtype == "complex128" else "float32"
    for n in (65, 1000, 5000, 70_000):
        hard_part = np.resize(np.array([1, 2.0**-60, -1, -(2.0**-60)], part), n)
        hard_part[-(n % 4) or n :] = 0
        hard_part[n // 2] += part == "float64"
        for value, want in ((-0.0, -0.0), (0.0, 0.0), (INF, INF), (math.nan, math.nan), (TINY, None)):
            other = np.full(n, value, part)
            for swapped in (False, True):
                array = np.empty(n, dtype)
                array.real, array.imag = (other, hard_part) if swapped else (hard_part, other)
                got = cp.exact_sum(cp.asarray(array)).item()
                assert isinstance(got, complex)
                exact = [got.imag, got.real] if swapped else [got.real, got.imag]
                assert same(exact[0], expected(hard_part)), (n, value, swapped)
                assert same(exact[1], expected(other) if want is None else want), (n, value, swapped)


def test_the_order_does_not_matter() -> None:
    for values in itertools.permutations([1e308, 1e308, -1e308, 1.0]):
        assert cp.exact_sum(cp.asarray(values)).item() == 1e308
    values = hard(5000, "cancelling", "float64")
    rng = np.random.default_rng(1)
    results = set()
    for _ in range(10):
        rng.shuffle(values)
        results.add(cp.exact_sum(cp.asarray(values)).item())
    assert results == {math.fsum(values)}


def test_special_values() -> None:
    def total(*values: float) -> object:
        return cp.exact_sum(cp.asarray(values, dtype=cp.float64)).item()

    assert same(total(), 0.0) and same(total(-0.0), -0.0) and same(total(-0.0, -0.0), -0.0)
    assert same(total(-0.0, 0.0), 0.0) and same(total(1.0, -1.0), 0.0) and same(total(-TINY, TINY, -0.0), 0.0)
    assert same(total(INF, 1e308, 1e308), INF) and same(total(-INF, 1.0), -INF)
    assert same(total(INF, -INF), math.nan) and same(total(math.nan, INF), math.nan)
    assert same(total(MAX, MAX), INF) and same(total(MAX, MAX, -INF), -INF)
    for n in (1000, 100_000):
        many = np.full(n, -0.0)
        assert same(cp.exact_sum(cp.asarray(many)).item(), -0.0)
        many[n // 2] = 0.0
        assert same(cp.exact_sum(cp.asarray(many)).item(), 0.0)
        many[0], many[-1] = INF, -INF
        assert same(cp.exact_sum(cp.asarray(many)).item(), math.nan)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(4, 1100, 3), (2100, 40), (3, 5000), (20, 30, 20)])
def test_every_axis_and_layout(dtype: str, shape: tuple[int, ...]) -> None:
    part = "float64" if dtype in ("float64", "complex128") else "float32"
    n = math.prod(shape)
    array = hard(n, "cancelling", part, 3)
    if dtype.startswith("complex"):
        array = (array + 1j * hard(n, "plain", part, 4)).astype(dtype)
    # The second half of each axis takes the first one back: sums of 0, which no first pass proves.
    array = array.reshape(shape)
    half = shape[0] // 2
    array[half : 2 * half] = -array[:half]
    array = np.ascontiguousarray(array)
    for axis in (None, *range(len(shape)), (0, len(shape) - 1)):
        axes = tuple(range(len(shape))) if axis is None else (axis,) if isinstance(axis, int) else axis
        last = np.moveaxis(array, axes, range(len(shape) - len(axes), len(shape)))
        kept = last.shape[: len(shape) - len(axes)]
        flat = last.reshape(*kept, -1)
        got = np.asarray(cp.exact_sum(cp.asarray(array), axis=axis))
        assert got.shape == kept and got.dtype == array.dtype
        rng = np.random.default_rng(0)
        for place in rng.permutation(list(np.ndindex(*kept)))[:30]:
            values = flat[tuple(place)] if kept else flat
            result = got[tuple(place)] if kept else got[()]
            for component in ("real", "imag") if dtype.startswith("complex") else ("real",):
                assert same(float(getattr(result, component)), expected(getattr(values, component)))
        for layout, view in layouts(array):
            for threads in (1, 3):
                with cp.threads(threads):
                    again = cp.asarray(view).exact_sum(axis=axis)
                assert bits(np.asarray(again)) == bits(got), (axis, layout, threads)


def test_what_it_takes() -> None:
    assert cp.exact_sum([1.5, 2.5]).item() == 4.0
    assert cp.exact_sum(cp.ones((2, 3)), axis=1, keepdims=True).shape == (2, 1)
    assert cp.exact_sum(cp.zeros((0, 3)), axis=0).tolist() == [0.0] * 3
    assert cp.exact_sum(cp.zeros((0, 3)), axis=1).shape == (0,)
    assert cp.exact_sum(cp.asarray(2.5)).item() == 2.5
    for dtype in (cp.int64, cp.bool, cp.uint8):
        with pytest.raises(TypeError, match=r"\[exact_sum\] does not take"):
            cp.exact_sum(cp.zeros(3, dtype=dtype))
    with pytest.raises(NotImplementedError, match="float16"):
        cp.exact_sum(cp.zeros(3, dtype=cp.float16))
