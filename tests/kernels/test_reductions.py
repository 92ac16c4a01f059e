"""Reductions against exact arithmetic and NumPy, over all axes and layouts."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corepy as cp
from inputs import Array, bits, layouts, plain, special
from ops.dtypes import DTYPE_SETS
from ops.table import REDUCTIONS

SIZES = (1, 2, 15, 16, 17, 31, 33, 1023, 1024, 1025, 2047, 2049, 5000, 70_001)
FLOATS = ("float32", "float64")
ORDERED = {"sum", "exact_sum", "prod", "mean", "var", "std"}
CASES = [
    (r.name, t)
    for r in REDUCTIONS
    for t in DTYPE_SETS["any" if r.result == "floating" and r.dtypes == "floating" else r.dtypes]
]
REAL_ONLY = {"var", "std"}


def exact_sum(values: Array) -> Fraction:
    return sum((Fraction(float(v)) for v in values.ravel()), Fraction(0))


def within_one_ulp(got: float, exact: Fraction, dtype: str) -> bool:
    kind = np.dtype(dtype).type
    nearest = kind(float(exact)) if dtype == "float64" else kind(np.float64(float(exact)))
    return abs(Fraction(float(got)) - exact) <= Fraction(float(np.spacing(np.abs(nearest))))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_sum_and_mean_are_within_one_ulp(dtype: str, n: int) -> None:
    values = plain(dtype, n, seed=n)
    x = cp.asarray(values)
    exact = exact_sum(values)
    assert within_one_ulp(cp.sum(x).item(), exact, dtype)
    assert within_one_ulp(cp.mean(x).item(), exact / n, dtype)


@pytest.mark.parametrize(("dtype", "condition"), [("float32", 1e6), ("float64", 1e11)])
def test_ill_conditioned_sums_are_within_one_ulp(dtype: str, condition: float) -> None:
    for seed in range(5):
        half = plain(dtype, 3000, seed)
        small = (plain("float64", 3000, seed + 50) / condition).astype(dtype)
        values = np.concatenate([half, -half, small])[
            np.argsort(plain("float64", 9000, seed + 99), kind="stable")
        ]
        assert within_one_ulp(cp.sum(cp.asarray(values)).item(), exact_sum(values), dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_variance_does_not_cancel(dtype: str) -> None:
    base = 1e8 if dtype == "float64" else 1e4
    values = (plain("float64", 10_001, 4) + base).astype(dtype)
    exact = [Fraction(float(v)) for v in values]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    got = cp.var(cp.asarray(values)).item()
    assert abs(Fraction(got) - variance) <= 2 * Fraction(
        float(np.spacing(np.dtype(dtype).type(float(variance))))
    )
    root = cp.std(cp.asarray(values)).item()
    assert root == pytest.approx(math.sqrt(float(variance)), rel=4 * float(np.finfo(dtype).eps))
    one_less = cp.var(cp.asarray(values), correction=1.0).item()
    assert one_less == pytest.approx(
        float(variance) * len(exact) / (len(exact) - 1), rel=8 * float(np.finfo(dtype).eps)
    )


def test_variance_of_few_is_within_its_bound() -> None:
    # Few elements, whose mean is rounded at its worst, as far from zero as the bound reaches.
    rng = np.random.default_rng(7)
    for n in (2, 3, 4, 5, 9) * 100:
        deviations = rng.standard_normal(n)
        deviations -= deviations.mean()
        values = 4.5e7 * deviations.std() + deviations
        exact = [Fraction(float(v)) for v in values]
        mean = sum(exact) / n
        variance = sum((v - mean) ** 2 for v in exact) / n
        got = Fraction(cp.var(cp.asarray(values)).item())
        assert abs(got - variance) <= 2 * Fraction(math.ulp(float(variance))), values


@pytest.mark.parametrize(
    ("name", "dtype"), [c for c in CASES if not (c[0] in REAL_ONLY and c[1].startswith("complex"))]
)
def test_against_numpy_over_every_axis(name: str, dtype: str) -> None:
    a = plain(dtype, 3 * 5 * 67, seed=1).reshape(3, 5, 67)
    if name == "prod":
        a = (np.clip(a.real, -2, 2) if a.dtype.kind in "fc" else a).astype(dtype)
    row = next(r for r in REDUCTIONS if r.name == name)
    axes: list[tuple[int, ...] | int | None] = [None, *range(3), -1]
    if row.axes == "many":
        axes += [*combinations(range(3), 2), (0, 1, 2), (2, 0), ()]
    function = getattr(cp, name)
    for axis in axes:
        for keepdims in (False, True):
            with np.errstate(all="ignore"):
                expected = numpy_result(name, a, axis, keepdims)
            got = np.asarray(function(cp.asarray(a), axis=axis, keepdims=keepdims))
            assert got.shape == expected.shape, (axis, keepdims)
            assert got.dtype == expected.dtype
            if name in ORDERED and got.dtype.kind in "fc":
                eps = np.finfo(got.dtype).eps
                scale = np.max(np.abs(expected), initial=1.0)
                tolerance = (500 if name == "prod" else 50) * eps
                assert np.allclose(got, expected, rtol=tolerance, atol=tolerance * scale), axis
            else:
                assert np.array_equal(got, expected), axis


def numpy_result(name: str, a: Array, axis: tuple[int, ...] | int | None, keepdims: bool) -> Array:
    """NumPy's answer, computed in a wider type and given corepy's result dtype."""
    wide = {"f": np.longdouble, "c": np.clongdouble}.get(a.dtype.kind)
    if name == "count_nonzero":
        return np.asarray(np.count_nonzero(a, axis=axis, keepdims=keepdims), dtype=np.int64)
    if name == "exact_sum":
        assert wide is not None
        return np.asarray(np.sum(a.astype(wide), axis=axis, keepdims=keepdims)).astype(a.dtype)
    if name in ("sum", "prod"):
        if wide is None:
            target = np.uint64 if a.dtype.kind == "u" else np.int64
            return np.asarray(getattr(np, name)(a, axis=axis, keepdims=keepdims, dtype=target))
        return np.asarray(getattr(np, name)(a.astype(wide), axis=axis, keepdims=keepdims)).astype(a.dtype)
    if name in ("mean", "var", "std"):
        target = a.dtype if wide is not None else np.dtype(np.float64)
        return np.asarray(
            getattr(np, name)(a.astype(wide or np.longdouble), axis=axis, keepdims=keepdims)
        ).astype(target)
    if name in ("argmin", "argmax"):
        return np.asarray(getattr(np, name)(a, axis=axis, keepdims=keepdims), dtype=np.int64)
    return np.asarray(getattr(np, name)(a, axis=axis, keepdims=keepdims))


@pytest.mark.parametrize(
    ("name", "dtype"), [c for c in CASES if not (c[0] in REAL_ONLY and c[1].startswith("complex"))]
)
def test_layouts_have_the_bits_of_contiguous(name: str, dtype: str) -> None:
    row = next(r for r in REDUCTIONS if r.name == name)
    function = getattr(cp, name)
    for shape in ((7, 130, 9), (2100, 5), (3, 2100)):
        a = special(dtype, math.prod(shape), seed=2)[::-1].reshape(shape)
        a = np.ascontiguousarray(a)
        for axis in (
            None,
            *range(len(shape)),
            *(combinations(range(len(shape)), 2) if row.axes == "many" else ()),
        ):
            expected = bits(np.asarray(function(cp.asarray(a), axis=axis)))
            for layout, y in layouts(a):
                assert bits(np.asarray(function(cp.asarray(y), axis=axis))) == expected, (layout, shape, axis)


@pytest.mark.parametrize("name", ["min", "max"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_min_and_max_order_zeros_and_propagate_nan(name: str, dtype: str) -> None:
    function = getattr(cp, name)
    for n in (2, 17, 1500):
        for place in {0, 1, n // 2, n - 1}:
            zeros = np.full(n, 0.0 if name == "min" else -0.0, dtype)
            zeros[place] = -zeros[place]
            assert np.signbit(np.asarray(function(cp.asarray(zeros)))[()]) == (name == "min")
            values = plain(dtype, n)
            values[place] = np.nan
            assert np.isnan(function(cp.asarray(values)).item())
            assert getattr(cp, "arg" + name)(cp.asarray(values)).item() == place
            assert getattr(cp, "arg" + name)(cp.asarray(zeros)).item() == 0


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=80),
    st.sampled_from(["int8", "uint16", "int64", "float32", "float64"]),
)
def test_arg_reductions_give_the_lowest_index(values: list[int], dtype: str) -> None:
    a = np.abs(np.array(values)).astype(dtype) if dtype.startswith("u") else np.array(values).astype(dtype)
    a = np.tile(a, 30)
    assert cp.argmin(cp.asarray(a)).item() == int(np.argmin(a))
    assert cp.argmax(cp.asarray(a)).item() == int(np.argmax(a))


def test_empty_reductions() -> None:
    nothing = cp.zeros((0, 3))
    assert cp.sum(nothing).item() == 0.0 and not np.signbit(cp.sum(nothing).item())
    assert cp.sum(nothing, axis=0).tolist() == [0.0] * 3
    assert cp.prod(nothing, axis=0).tolist() == [1.0] * 3
    assert cp.sum(nothing, axis=1).shape == (0,)
    assert cp.any(nothing).item() is False and cp.all(nothing).item() is True
    assert cp.count_nonzero(nothing).item() == 0
    assert math.isnan(cp.mean(nothing).item()) and math.isnan(cp.var(nothing).item())
    for name in ("min", "max", "argmin", "argmax"):
        with pytest.raises(
            ValueError, match=rf"\[{name}\] shape \(0, 3\) has no elements along the reduced axes"
        ):
            getattr(cp, name)(nothing, axis=0)
        assert getattr(cp, name)(nothing, axis=1).shape == (0,)


def test_signed_zero_sums() -> None:
    for dtype in (cp.float32, cp.float64):
        minus = cp.asarray([-0.0, -0.0], dtype=dtype)
        assert np.signbit(cp.sum(minus).item())
        assert not np.signbit(cp.sum(cp.asarray([-0.0, 0.0], dtype=dtype)).item())


def test_infinities_and_nan_in_sums() -> None:
    inf = float("inf")
    for dtype in (cp.float32, cp.float64):
        assert cp.sum(cp.asarray([1.0, inf, 2.0], dtype=dtype)).item() == inf
        assert math.isnan(cp.sum(cp.asarray([inf, -inf], dtype=dtype)).item())
        assert math.isnan(cp.sum(cp.asarray([1.0, float("nan")], dtype=dtype)).item())
    big = np.finfo(np.float64).max
    assert cp.sum(cp.asarray([big, big])).item() == inf
    assert cp.sum(cp.asarray([3e38, 3e38], dtype=cp.float32)).item() == inf


def test_dtype_converts_each_element_first() -> None:
    a = cp.asarray([200, 100], dtype=cp.uint8)
    assert cp.sum(a).dtype == cp.uint64 and cp.sum(a).item() == 300
    assert cp.sum(a, dtype=cp.uint8).item() == 44
    assert cp.sum(a, dtype=cp.int8).item() == np.array([200, 100]).astype(np.int8).sum(dtype=np.int8)
    assert cp.sum(cp.asarray([1.7, 1.7]), dtype=cp.int32).item() == 2
    # 2**24 + 1 rounds to 2**24 in float32 before it is added.
    assert cp.sum(cp.asarray([16777217, 2]), dtype=cp.float32).item() == 16777218.0


@pytest.mark.parametrize("name", ["any", "all"])
def test_early_exit_still_answers(name: str) -> None:
    n = 3_000_000
    for place in (0, 1023, 1024, n // 2, n - 1):
        a = np.full(n, name == "all")
        a[place] = name == "any"
        assert getattr(cp, name)(cp.asarray(a)).item() is (name == "any")
    assert getattr(cp, name)(cp.asarray(np.full(n, name == "all"))).item() is (name == "all")


def test_axis_errors() -> None:
    x = cp.zeros((2, 3))
    with pytest.raises(cp.AxisError, match=r"\[sum\] axis 2 is out of range for a tensor with 2 axes"):
        cp.sum(x, axis=2)
    with pytest.raises(cp.AxisError, match=r"\[sum\] axis -1 is given twice"):
        cp.sum(x, axis=(1, -1))
    with pytest.raises(TypeError, match="argmin"):
        cp.argmin(x, axis=(0, 1))
    with pytest.raises(TypeError, match=r"\[var\] does not take complex64"):
        cp.var(cp.zeros(3, dtype=cp.complex64))
    with pytest.raises(NotImplementedError, match="float16"):
        cp.sum(cp.zeros(3, dtype=cp.float16))
