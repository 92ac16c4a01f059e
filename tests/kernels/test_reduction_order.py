"""Float reductions have, bit for bit, the order that ARCHITECTURE.md describes."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import corepy as cp
import reduction_order
from inputs import Array, plain, special

SIZES = (0, 1, 2, 15, 16, 17, 40, 1023, 1024, 1025, 2048, 2049, 3 * 1024 + 5, 7 * 1024, 11_000)
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")


def same(got: Any, expected: Any) -> bool:
    """The same bits, NaN aside."""
    if isinstance(expected, complex):
        return same(got.real, expected.real) and same(got.imag, expected.imag)
    if math.isnan(expected):
        return math.isnan(got)
    return struct.pack("d", got) == struct.pack("d", expected)


def inputs(dtype: str, n: int, name: str) -> list[Array]:
    """Ordinary values, values of wild magnitudes, and special ones (products stay in range)."""
    tame = plain(dtype, n, seed=n + 1)
    if name == "prod":
        size = np.abs(tame)
        tame = np.where(size > 0, tame / np.where(size > 0, size, 1), 1).astype(dtype)
        tame = (tame * (1 + plain("float64", n, seed=3) * 1e-3)).astype(dtype)
        return [tame, -tame]
    wild = (tame * np.exp2(plain("float64", n, seed=5) % 20)).astype(dtype)
    with_zeros = tame.copy()
    with_zeros[::3] = -0.0
    out = [tame, wild, with_zeros, np.full(n, -0.0, dtype)]
    if name in ("sum", "mean"):
        out.append(special(dtype, n)[::-1])
    return out


def check(name: str, dtype: str, got: cp.Tensor, expected: Any, n: int) -> None:
    assert same(got.item(), expected), f"{name} {dtype} n={n}: {got.item()!r}, not {expected!r}"


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std"])
def test_reductions(name: str, dtype: str, n: int) -> None:
    if name in ("var", "std") and dtype in COMPLEX:
        pytest.skip("var and std are for real dtypes")
    oracle: Callable[..., Any] = getattr(reduction_order, f"{name}_of")
    for values in inputs(dtype, n, name):
        expected = oracle(values.tolist(), dtype)
        check(name, dtype, getattr(cp, name)(cp.asarray(values)), expected, n)
        # The same elements as a column: the kernel for outer axes has to agree.
        column = cp.asarray(np.stack([values, values[::-1]], axis=1))
        check(name, dtype, getattr(cp, name)(column, axis=0)[0], expected, n)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
def test_products(dtype: str, n: int) -> None:
    a, b = plain(dtype, n, seed=n), plain(dtype, n, seed=n + 9)
    x, y = cp.asarray(a), cp.asarray(b)
    vecdot = reduction_order.vecdot_of(a.tolist(), b.tolist(), dtype)
    dot = reduction_order.dot_of(a.tolist(), b.tolist(), dtype)
    check("vecdot", dtype, cp.vecdot(x, y), vecdot, n)
    check("dot", dtype, cp.dot(x, y), dot, n)
    check("matmul", dtype, cp.matmul(x, y), dot, n)


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_and_columns_of_every_width(dtype: str) -> None:
    for cols in (1, 2, 3, 7, 8, 15, 16, 17, 31, 64, 65, 300):
        values = plain(dtype, 2100 * cols, seed=cols).reshape(2100, cols)
        got = np.asarray(cp.sum(cp.asarray(values), axis=0))
        variance = np.asarray(cp.var(cp.asarray(values), axis=0))
        for j in {0, cols // 2, cols - 1}:
            column = values[:, j].tolist()
            assert same(float(got[j]), reduction_order.sum_of(column, dtype)), (cols, j)
            assert same(float(variance[j]), reduction_order.var_of(column, dtype)), (cols, j)


def shifted(values: Array) -> cp.Tensor:
    """The same elements in memory that no element is aligned in."""
    memory = np.empty(values.nbytes + 1, np.uint8)
    view = memory[1:].view(values.dtype) if values.size else values
    view = view.reshape(values.shape)
    view[...] = values
    return cp.asarray(view)


def agrees(name: str, dtype: str, got: cp.Tensor, columns: Array) -> None:
    """Results against the definition, of every column of a few and of some of many."""
    oracle: Callable[..., Any] = getattr(reduction_order, f"{name}_of")
    results = np.asarray(got).reshape(-1)
    for j in {0, 1 % len(results), len(results) // 2, len(results) - 1}:
        expected = oracle(columns[:, j].tolist(), dtype)
        assert same(results[j].item(), expected), (name, dtype, columns.shape, j)


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std"])
def test_few_rows(name: str, dtype: str) -> None:
    if name in ("var", "std") and dtype in COMPLEX:
        pytest.skip("var and std are for real dtypes")
    reduce = getattr(cp, name)
    for rows in (*range(1, 35), 47, 48, 49, 63, 64, 65, 70, 100, 127, 128, 129):
        for cols in (1, 3, 8, 15, 33, 67):
            for values in inputs(dtype, rows * cols, name):
                matrix = values.reshape(rows, cols)
                got = reduce(cp.asarray(matrix), axis=0)
                agrees(name, dtype, got, matrix)
                bits = np.asarray(got).tobytes()
                turned = reduce(cp.asarray(matrix[::-1])[::-1, :], axis=0)
                if not np.isnan(np.asarray(got)).any():
                    assert np.asarray(turned).tobytes() == bits, (rows, cols)
                    assert np.asarray(reduce(shifted(matrix), axis=0)).tobytes() == bits
            wide = plain(dtype, rows * 700, seed=rows).reshape(rows, 700)
            if cols == 3:
                serial = reduce(cp.asarray(wide), axis=0)
                for threads in (2, 3, 7):
                    with cp.threads(threads):
                        shared = reduce(cp.asarray(wide), axis=0)
                    assert np.asarray(shared).tobytes() == np.asarray(serial).tobytes()


RUNS = [
    ((300, 2, 1, 7), (0, 2, 3)),
    ((400, 3, 3), (0, 2)),
    ((60, 5, 24), (0, 2)),
    ((25, 4, 100), (0, 2)),
    ((3, 3, 500), (0, 2)),
    ((70, 33, 16), (0, 2)),
    ((65, 2, 17), (0, 2)),
    ((9, 3, 5, 31), (0, 1, 3)),
]


@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEX])
@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std"])
def test_runs(name: str, dtype: str) -> None:
    if name in ("var", "std") and dtype in COMPLEX:
        pytest.skip("var and std are for real dtypes")
    reduce = getattr(cp, name)
    for shape, axis in RUNS:
        kept = [i for i in range(len(shape)) if i not in axis]
        for flat in inputs(dtype, math.prod(shape), name):
            values = flat.reshape(shape)
            columns = values.transpose(*axis, *kept).reshape(math.prod(shape[i] for i in axis), -1)
            got = reduce(cp.asarray(values), axis=axis)
            agrees(name, dtype, got, columns)
            bits = np.asarray(got).tobytes()
            if np.isnan(np.asarray(got)).any():
                continue
            gaps = np.concatenate([values, values], axis=-1)[..., : shape[-1]]
            backward = np.ascontiguousarray(values[::-1])[::-1]
            for other in (cp.asarray(gaps), cp.asarray(backward), shifted(values)):
                for threads in (1, 2, 3, 7):
                    with cp.threads(threads):
                        assert np.asarray(reduce(other, axis=axis)).tobytes() == bits, shape


@pytest.mark.parametrize("name", ["var", "std"])
def test_deviations_from_an_infinite_mean(name: str) -> None:
    # The sum of these overflows, and every deviation is infinite.
    reduce = getattr(cp, name)
    for n in (2, 3, 7, 8, 15, 17, 31, 33, 100, 1030):
        values = np.full((40, n), 1.7e308)
        for matrix in (values, values[:3], np.asfortranarray(values), values[:, ::-1]):
            agrees(name, "float64", reduce(cp.asarray(matrix), axis=1), matrix.T)
    for shape, axis in RUNS:
        values = np.full(shape, 1.7e308)
        assert np.all(np.asarray(reduce(cp.asarray(values), axis=axis)) == math.inf), shape


@pytest.mark.parametrize("dtype", FLOATS)
def test_exact_sums_of_runs(dtype: str) -> None:
    for shape, axis in RUNS[1:5]:
        values = inputs(dtype, math.prod(shape), "sum")[1].reshape(shape)
        got = np.asarray(cp.exact_sum(cp.asarray(values), axis=axis)).reshape(-1)
        for j in range(shape[1]):
            exact = math.fsum(np.asarray(values[:, j], np.float64).ravel().tolist())
            assert got[j] == np.dtype(dtype).type(exact)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "complex64", "complex128", "int8", "uint16", "int64"]
)
def test_products_along_any_axis(dtype: str) -> None:
    # Along the last axis of contiguous operands they are single groups, tested above.
    rng = np.random.default_rng(11)
    shapes = [(3, 5), (17, 8), (50, 70), (64, 64), (49, 130), (200, 33), (1024, 40), (1030, 20), (2500, 9)]
    for shape in [*shapes, (30, 7, 11), (2, 60, 70), (40, 1, 33)]:
        first, second = (rng.uniform(-100, 100, (2, *shape)) * rng.choice([1, 1e4], shape)).astype(dtype)
        if dtype.startswith("c"):
            second = second * np.asarray(1 - 2j, dtype)
        for axis in range(len(shape)):
            moved = [np.ascontiguousarray(np.moveaxis(x, axis, -1)) for x in (first, second)]
            bits = np.asarray(cp.vecdot(*map(cp.asarray, moved))).tobytes()
            forms = (
                lambda x: x,
                np.asfortranarray,
                lambda x: np.repeat(x, 2, -1)[..., ::2],
                lambda x: x[::-1].copy()[::-1],
            )
            for k, form in enumerate(forms):
                a, b = cp.asarray(form(first)), cp.asarray(forms[k * 3 % 4](second))
                assert np.asarray(cp.vecdot(a, b, axis=axis)).tobytes() == bits, (shape, axis, k)
                with cp.threads(1):
                    assert np.asarray(cp.vecdot(a, b, axis=axis)).tobytes() == bits, (shape, axis, k)
            row = cp.broadcast_to(cp.asarray(second[:1]), shape)
            whole = cp.asarray(np.ascontiguousarray(np.broadcast_to(second[:1], shape)))
            a = cp.asarray(first)
            assert (
                np.asarray(cp.vecdot(a, row, axis=axis)).tobytes()
                == np.asarray(cp.vecdot(a, whole, axis=axis)).tobytes()
            )


def test_what_cannot_be_beaten_ends_a_search() -> None:
    for n in (1, 5, 1000, 1024, 1025, 5000, 300_000):
        for place in {0, n // 2, n - 1}:
            values = np.zeros(n)
            values[place] = np.nan
            mask = np.zeros(n, bool)
            mask[place] = True
            for first in {place, n - 1}:
                values[first] = np.nan
                mask[first] = True
                for x in (values, values.astype("f4"), np.repeat(values, 2)[::2]):
                    a = cp.asarray(x)
                    assert int(cp.argmax(a)) == int(cp.argmin(a)) == place, (n, place)
                for x in (mask, np.repeat(mask, 2)[::2]):
                    assert int(cp.argmax(cp.asarray(x))) == int(cp.argmin(cp.asarray(~x))) == place, (
                        n,
                        place,
                    )
                    assert bool(cp.max(cp.asarray(x))) and not bool(cp.min(cp.asarray(~x)))
            assert (
                int(cp.argmax(cp.asarray(~np.zeros(n, bool))))
                == 0
                == int(cp.argmax(cp.asarray(np.zeros(n, bool))))
            )
            assert bool(cp.min(cp.asarray(~np.zeros(n, bool)))) and not bool(
                cp.max(cp.asarray(np.zeros(n, bool)))
            )


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"])
def test_means_of_integers_have_the_bits_of_their_floats(dtype: str) -> None:
    rng = np.random.default_rng(12)
    for shape in [(1,), (7,), (1000,), (3000,), (40, 9), (17, 1100), (6, 10, 33)]:
        high = 2 if dtype == "bool" else np.iinfo(dtype).max
        values = rng.integers(0, high, shape, endpoint=dtype != "bool").astype(dtype)
        if np.issubdtype(dtype, np.signedinteger):
            values = values * rng.choice([-1, 1], shape).astype(dtype)
        x, floats = cp.asarray(values), cp.asarray(values.astype("float64"))
        axes = [None, *range(-1, len(shape)), *([(0, 1), (0, 2)] if len(shape) == 3 else [])]
        for axis in axes:
            for keepdims in (False, True):
                got = cp.mean(x, axis=axis, keepdims=keepdims)
                want = cp.mean(floats, axis=axis, keepdims=keepdims)
                assert (got.dtype, got.shape) == (want.dtype, want.shape)
                assert np.asarray(got).tobytes() == np.asarray(want).tobytes(), (shape, axis)
    assert np.isnan(float(cp.mean(cp.asarray(np.zeros(0, dtype)))))
