"""Products of a matrix with a few vectors: the bits of the wide product, in every layout, however shared out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import corepy as cp

# Beside a matrix this wide, rows and columns are packed; a few vectors are multiplied as they lie.
WIDE = 40
VECTORS = [1, 2, 3, 4, 5, 8, 9]
# Rows and depth around a vector's lanes, the squares that are transposed, and panels of 256.
SHAPES = [(1, 1), (3, 31), (17, 255), (64, 256), (65, 257), (33, 700), (5, 3000), (300, 40), (130, 1024)]


def values(dtype: str, shape: tuple[int, ...], special: bool) -> NDArray[np.generic]:
    rng = np.random.default_rng(sum(shape) + special)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    real = rng.standard_normal((2, *shape))
    if special:
        # Mostly zeros of either sign and numbers whose products underflow; infinities are rare.
        list_ = np.array([0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e30, 3e-39, np.inf, np.nan])
        weights = np.array([4, 4, 4, 4, 4, 4, 2, 2, 0.01, 0.01])
        real = rng.choice(list_, (2, *shape), p=weights / weights.sum())
    parts = real.astype(np.dtype(dtype).type(0).real.dtype)
    if np.dtype(dtype).kind != "c":
        return parts[0].astype(dtype)
    return np.ascontiguousarray(np.moveaxis(parts, 0, -1)).view(dtype)[..., 0]


def bits(array: NDArray[np.generic]) -> bytes:
    array = np.ascontiguousarray(array)
    if array.dtype.kind in "iu":
        return array.tobytes()
    real = array.view(array.real.dtype)
    return np.where(np.isnan(real), real.dtype.type(np.nan), real).tobytes()


def layouts(array: NDArray[np.generic]) -> Iterator[tuple[str, cp.Tensor]]:
    """The same matrix as it may lie in memory."""
    rows, columns = array.shape
    yield "rows", cp.asarray(array)
    yield "columns", cp.asarray(np.ascontiguousarray(array.T)).T
    yield "reversed", cp.asarray(np.ascontiguousarray(array[::-1, ::-1]))[::-1, ::-1]
    yield "spread", cp.asarray(np.repeat(np.repeat(array, 2, 0), 3, 1))[::2, ::3]
    wide = np.zeros((rows, columns + 5), array.dtype)
    wide[:, 3:-2] = array
    yield "part of wider rows", cp.asarray(wide)[:, 3:-2]
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
    yield "unaligned", cp.asarray(np.frombuffer(raw.data, array.dtype, array.size, 1).reshape(array.shape))


FLOATS = ["float32", "float64", "complex64", "complex128"]
CASES = [(dtype, special) for dtype in FLOATS for special in (False, True)]
CASES += [("int8", False), ("int32", False), ("uint64", False)]


@pytest.mark.parametrize(("dtype", "special"), CASES)
def test_bits_are_those_of_the_wide_product(dtype: str, special: bool) -> None:
    for m, k in SHAPES:
        a, b = values(dtype, (m, k), special), values(dtype, (k, WIDE), special)
        wide = np.asarray(cp.matmul(cp.asarray(a), cp.asarray(b)))
        turned = np.asarray(cp.matmul(cp.asarray(b.T.copy()), cp.asarray(a.T.copy())))
        for name, matrix in layouts(a):
            for n in VECTORS:
                for side, vectors in layouts(b[:, :n]):
                    got = np.asarray(cp.matmul(matrix, vectors))
                    assert bits(got) == bits(wide[:, :n]), (m, k, n, name, side)
            for side, vectors in layouts(b[:, :5]):
                got = np.asarray(cp.matmul(vectors.T, matrix.T))
                assert bits(got) == bits(turned[:5]), (m, k, name, side)
            column = cp.matmul(matrix, cp.asarray(b)[:, 7])
            assert bits(np.asarray(column)) == bits(wide[:, 7]), (m, k, name)
            row = cp.matmul(cp.asarray(b)[:, 7], matrix.T)
            assert bits(np.asarray(row)) == bits(turned[7]), (m, k, name)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize(("m", "k"), [(8, 20000), (1, 100000), (1000, 300), (20000, 9), (129, 4096)])
def test_threads_do_not_show(dtype: str, m: int, k: int) -> None:
    a, x = values(dtype, (m, k), False), values(dtype, (k, 3), False)
    results = set()
    for threads in (1, 2, 3, 7):
        with cp.threads(threads):
            for matrix in (cp.asarray(a), cp.asarray(np.asfortranarray(a).T.copy()).T):
                one = cp.matmul(matrix, cp.asarray(x)[:, 1])
                three = cp.matmul(matrix, cp.asarray(x))
                beside = cp.matmul(cp.asarray(x).T, matrix.T)
                results.add((bits(np.asarray(one)), bits(np.asarray(three)), bits(np.asarray(beside))))
                assert bits(np.asarray(one)) == bits(np.asarray(three)[:, 1])
    assert len(results) == 1


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_nothing_to_multiply(shape: tuple[int, int]) -> None:
    a = cp.zeros(shape, dtype="float32")
    assert cp.matmul(a, cp.ones(shape[1], dtype="float32")).tolist() == [0.0] * shape[0]
    assert cp.matmul(cp.ones(shape[0], dtype="float32"), a).tolist() == [0.0] * shape[1]
    assert cp.matmul(a, cp.ones((shape[1], 2), dtype="float32")).tolist() == [[0.0, 0.0]] * shape[0]


def test_repeated_rows_and_one_element_axes() -> None:
    rng = np.random.default_rng(5)
    row = rng.standard_normal((1, 600)).astype(np.float32)
    x = rng.standard_normal(600).astype(np.float32)
    repeated = cp.matmul(cp.broadcast_to(cp.asarray(row), (70, 600)), cp.asarray(x))
    assert set(repeated.tolist()) == set(cp.matmul(cp.asarray(row), cp.asarray(x)).tolist())
    same = cp.matmul(cp.asarray(row), cp.broadcast_to(cp.asarray(x[:1]), (600,)))
    assert same.tolist() == cp.matmul(cp.asarray(row), cp.asarray(np.full(600, x[0]))).tolist()
