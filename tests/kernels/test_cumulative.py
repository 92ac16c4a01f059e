"""Running totals and differences: the order of ARCHITECTURE.md bit for bit, and what NumPy gives."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import corepy as cp
import reduction_order
from inputs import Array, bits, layouts, plain, special
from ops.dtypes import DTYPE_SETS

KINDS = ("sum", "prod")
FLOATS = ("float32", "float64", "complex64", "complex128")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
SIZES = (
    1,
    2,
    3,
    7,
    8,
    9,
    15,
    16,
    17,
    1023,
    1024,
    1025,
    2048,
    2049,
    3077,
    7 * 1024,
    8 * 1024,
    8 * 1024 + 1,
    9500,
    17_000,
)
# Lines side by side, from fewer than a vector has lanes to more, long and short.
SHAPES = ((5, 3), (3, 5), (9, 8), (7, 1030), (17, 2100), (2, 8300), (1030, 2), (2100, 3), (1100, 7), (1030, 9), (1025, 70), (40, 600), (3, 50, 4), (2, 1100, 2))  # fmt: skip


def function(kind: str) -> Callable[..., cp.Tensor]:
    found: Callable[..., cp.Tensor] = getattr(cp, f"cumulative_{kind}")
    return found


def same(got: Any, want: Any) -> bool:
    """The same bits, NaN aside."""
    if isinstance(want, complex):
        return same(got.real, want.real) and same(got.imag, want.imag)
    if math.isnan(want):
        return math.isnan(got)
    return struct.pack("d", got) == struct.pack("d", want)


def inputs(dtype: str, n: int, kind: str) -> list[Array]:
    """Ordinary values, wild ones and special ones; products stay in range but in the last."""
    tame = plain(dtype, n, seed=n + 1)
    if kind == "prod":
        size = np.abs(tame)
        near = np.where(size > 0, tame / np.where(size > 0, size, 1), 1).astype(dtype)
        tame = (near * (1 + plain("float64", n, seed=3) * 1e-3)).astype(dtype)
    wild = (tame * np.exp2(plain("float64", n, seed=5) % 20)).astype(dtype) if kind == "sum" else -tame
    with_zeros = tame.copy()
    with_zeros[: n // 2 : 3] = -0.0 if kind == "sum" else 1
    out = [tame, wild, with_zeros, np.full(n, -0.0, dtype), special(dtype, n)[::-1]]
    if kind == "prod" and dtype.startswith("complex"):
        # Which products of infinities are NaN depends on the last bit of what they meet.
        out.pop()
    return out


def transcribed(values: Array, kind: str) -> list[Any]:
    oracle = getattr(reduction_order, f"cumulative_{kind}_of")
    found: list[Any] = oracle(values.tolist(), values.dtype.name)
    return found


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_line_has_the_bits_of_the_order(kind: str, dtype: str, n: int) -> None:
    for values in inputs(dtype, n, kind):
        want = transcribed(values, kind)
        got = function(kind)(cp.asarray(values)).tolist()
        wrong = [i for i, (a, b) in enumerate(zip(got, want, strict=True)) if not same(a, b)]
        assert not wrong, (wrong[:3], got[wrong[0]], want[wrong[0]])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_axis_has_the_bits_of_its_lines(kind: str, dtype: str, shape: tuple[int, ...]) -> None:
    for values in inputs(dtype, math.prod(shape), kind)[::2]:
        array = np.ascontiguousarray(values).reshape(shape)
        for axis in range(len(shape)):
            got = np.asarray(function(kind)(cp.asarray(array), axis=axis))
            assert got.shape == shape
            lines, results = np.moveaxis(array, axis, -1), np.moveaxis(got, axis, -1)
            places = list(np.ndindex(*lines.shape[:-1]))
            for place in {places[0], places[len(places) // 2], places[-1], places[len(places) // 3]}:
                one = np.asarray(function(kind)(cp.asarray(np.ascontiguousarray(lines[place]))))
                assert bits(np.ascontiguousarray(results[place])) == bits(one), (axis, place)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("kind", KINDS)
def test_layouts_and_threads_do_not_change_a_bit(kind: str, dtype: str) -> None:
    for shape in ((3, 40_000), (40_000, 3), (300, 5, 70), (1, 150_000), (2100, 130)):
        array = special(dtype, math.prod(shape), seed=2)[::-1].reshape(shape)
        array = np.ascontiguousarray(array)
        for axis in range(len(shape)):
            with cp.threads(1):
                want = bits(np.asarray(function(kind)(cp.asarray(array), axis=axis)))
            for layout, view in layouts(array):
                for threads in (1, 2, 5):
                    with cp.threads(threads):
                        got = function(kind)(cp.asarray(view), axis=axis)
                    assert bits(np.asarray(got)) == want, (shape, axis, layout, threads)


@pytest.mark.parametrize("dtype", DTYPE_SETS["any"])
@pytest.mark.parametrize("kind", KINDS)
def test_against_numpy(kind: str, dtype: str) -> None:
    theirs = getattr(np, f"cumulative_{kind}")
    for shape in ((0,), (1,), (5,), (3000,), (4, 0), (0, 4), (6, 7), (3, 1200, 2), (1200, 9)):
        array = plain(dtype, math.prod(shape), seed=3).reshape(shape)
        if kind == "prod" and array.dtype.kind in "fc":
            array = (array / np.abs(array)).astype(dtype)
        wide = {"f": np.longdouble, "c": np.clongdouble}.get(array.dtype.kind)
        for axis in (*range(len(shape)), -1, *([None] if len(shape) == 1 else [])):
            for initial in (False, True):
                target = {"b": np.int64, "i": np.int64, "u": np.uint64}.get(array.dtype.kind, array.dtype)
                want = theirs(array.astype(wide or target), axis=axis, include_initial=initial).astype(target)
                got = np.asarray(function(kind)(cp.asarray(array), axis=axis, include_initial=initial))
                assert got.shape == want.shape and got.dtype == want.dtype
                if wide is None:
                    assert np.array_equal(got, want), (shape, axis)
                else:
                    size = np.max(np.abs(want), initial=1.0)
                    eps = float(np.finfo(got.dtype).eps) * (1000 if kind == "prod" else 2)
                    assert np.allclose(got, want, rtol=eps, atol=eps * size), (shape, axis)


def test_long_sums_stay_accurate() -> None:
    # Added up plainly these are off by 1e-11.
    n = 3_000_000
    values = np.full(n, 0.1)
    got = np.asarray(cp.cumulative_sum(cp.asarray(values)))
    exact = np.array([math.fsum([0.1] * i) for i in (1, 1000, 1025)])
    assert np.array_equal(got[[0, 999, 1024]], exact)
    assert got[-1] == math.fsum(values)
    single = np.asarray(cp.cumulative_sum(cp.asarray(values.astype(np.float32))))
    assert single[-1] == np.float32(math.fsum(values.astype(np.float32).astype(np.float64)))


@pytest.mark.parametrize("kind", KINDS)
def test_dtypes_and_numbers(kind: str) -> None:
    act = function(kind)
    assert act(cp.asarray([200, 100, 2], dtype=cp.uint8)).dtype == cp.uint64
    assert act(cp.asarray([True, True])).dtype == cp.int64
    for dtype in ("int8", "uint16", "float32", "float64", "complex64", "int64"):
        values = [200.7, 100.2, 3.9]
        want = getattr(np, f"cumulative_{kind}")(np.asarray(values[1:]).astype(dtype), dtype=dtype)
        got = act(cp.asarray(values[1:]), dtype=dtype)
        assert got.dtype.name == dtype
        assert np.allclose(np.asarray(got), want, rtol=1e-6), dtype
    assert act(cp.asarray([0.5, 2.0, 0.0]), dtype=cp.bool).tolist() == (
        [True, True, True] if kind == "sum" else [True, True, False]
    )
    # NumPy takes a number for a line of one.
    assert act(cp.asarray(3.0)).tolist() == [3.0]
    assert act(3, include_initial=True).tolist() == ([0, 3] if kind == "sum" else [1, 3])
    assert cp.asarray([[1, 2], [3, 4]]).cumulative_sum(axis=0).tolist() == [[1, 2], [4, 6]]


@pytest.mark.parametrize("kind", KINDS)
def test_errors(kind: str) -> None:
    act, name = function(kind), f"cumulative_{kind}"
    with pytest.raises(ValueError, match=rf"\[{name}\] axis can be left out for one axis only, not for 2"):
        act(cp.zeros((2, 3)))
    with pytest.raises(cp.AxisError, match=rf"\[{name}\] axis 2 is out of range for a tensor with 2 axes"):
        act(cp.zeros((2, 3)), axis=2)
    with pytest.raises(cp.AxisError):
        act(3.0, axis=1)
    with pytest.raises(TypeError, match=rf"\[{name}\] complex64 does not convert to float32"):
        act(cp.zeros(3, dtype=cp.complex64), dtype=cp.float32)
    for broken in ({"dtype": cp.float16}, {}):
        with pytest.raises(NotImplementedError, match=rf"\[{name}\] does not compute in float16"):
            act(cp.zeros(3, dtype=cp.float16 if not broken else cp.float32), **broken)
    with pytest.raises(TypeError):
        act(cp.zeros(3), 0)


def test_infinities_in_running_sums() -> None:
    for dtype in ("float32", "float64"):
        x = np.ones(5000, dtype)
        x[10], x[2000] = np.inf, -np.inf
        got = np.asarray(cp.cumulative_sum(cp.asarray(x)))
        assert got[9] == 10 and np.all(got[10:2000] == np.inf) and np.all(np.isnan(got[2000:]))
        minus = np.full(2100, -0.0, dtype)
        assert np.all(np.signbit(np.asarray(cp.cumulative_sum(cp.asarray(minus)))))


@pytest.mark.parametrize("dtype", DTYPE_SETS["any"])
def test_diff_against_numpy(dtype: str) -> None:
    for shape in ((0,), (1,), (2,), (3000,), (4, 0), (6, 7), (3, 40, 2)):
        array = special(dtype, math.prod(shape), seed=3).reshape(shape)
        edge = plain(dtype, math.prod(shape), seed=4).reshape(shape)[:2]
        for axis in (*range(len(shape)), -1):
            for n in (0, 1, 2, 5, 10_000):
                with np.errstate(all="ignore"):
                    want = np.diff(array, n=n, axis=axis)
                for _, view in layouts(array):
                    got = np.asarray(cp.diff(cp.asarray(view), n=n, axis=axis))
                    assert got.dtype == want.dtype and got.shape == want.shape
                    assert bits(got) == bits(want), (shape, axis, n)
        with np.errstate(all="ignore"):
            want = np.diff(array, axis=0, prepend=edge, append=edge[::-1])
        got = cp.diff(cp.asarray(array), axis=0, prepend=cp.asarray(edge), append=cp.asarray(edge[::-1]))
        assert bits(np.asarray(got)) == bits(want), shape
        assert got.shape == want.shape


def test_diff_with_edges() -> None:
    x = cp.asarray([[1, 4], [9, 16]], dtype=cp.int16)
    assert cp.diff(x, prepend=0).tolist() == [[1, 3], [9, 7]]
    # A number takes the dtype of the tensor, as in arithmetic.
    assert cp.diff(x, prepend=0).dtype == cp.int16
    assert cp.diff(x, append=0.5).dtype == cp.float64
    assert cp.diff(x, axis=0, append=cp.asarray(20)).tolist() == [[8, 12], [11, 4]]
    assert x.diff(n=0).tolist() == x.tolist()
    assert cp.diff(cp.asarray([1, 2], dtype=cp.int8), prepend=cp.asarray([0.5])).tolist() == [0.5, 1.0]
    assert cp.diff([1.0, 4.0, 9.0], n=2).tolist() == [2.0]
    with pytest.raises(ValueError, match=r"\[diff\] n is how often differences are taken, 0 or more, not -1"):
        cp.diff(x, n=-1)
    with pytest.raises(ValueError, match=r"\[diff\] needs at least 1 axis, not 0"):
        cp.diff(cp.asarray(1))
    with pytest.raises(cp.AxisError, match=r"\[diff\] axis 2 is out of range"):
        cp.diff(x, axis=2)
    with pytest.raises(ValueError, match=r"\[diff\] shapes \(2, 2\) and \(3, 1\) differ outside axis 1"):
        cp.diff(x, prepend=cp.zeros((3, 1), dtype=cp.int16))
    with pytest.raises(ValueError, match=r"\[diff\] shapes \(2, 2\) and \(2,\) differ"):
        cp.diff(x, prepend=cp.zeros(2, dtype=cp.int16))
    with pytest.raises(OverflowError, match=r"\[diff\] 40000 does not fit int16"):
        cp.diff(x, prepend=40_000)
    with pytest.raises(NotImplementedError, match=r"\[diff\] does not compute in bfloat16"):
        cp.diff(cp.zeros(3, dtype=cp.bfloat16))
