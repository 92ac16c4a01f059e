"""Floor division and remainder of integers against Python's, where the quotient is hardest to round."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import corepy as cp
from ops.dtypes import DTYPE_SETS

INTEGERS = [name for name in DTYPE_SETS["integer"] if name != "bool"]
BLOCK = 128  # elements that the kernels check together


def pairs(dtype: str, seed: int = 1) -> Iterator[tuple[int, int]]:
    """Whole multiples and their neighbours, powers of two and theirs, and any numbers of any size."""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    lowest, highest, bits = int(limits.min), int(limits.max), limits.bits
    powers = {0, 1, 7, 8, 15, 16, 23, 24, 25, 31, 32, 50, 51, 52, 53, 62, 63, 64} & set(range(bits + 1))
    near = {sign * 2**k + d for k in powers for sign in (1, -1) for d in (-1, 0, 1)} | {lowest, highest}
    edges = sorted(v for v in near if lowest <= v <= highest)
    for a in edges:
        yield from ((a, b) for b in edges if b)
    for _ in range(1_000):
        b = int(rng.integers(1, highest, dtype=np.uint64)) >> int(rng.integers(0, bits - 1)) or 1
        b *= -1 if lowest and rng.random() < 0.5 else 1
        k = int(rng.integers(0, 1 << 62)) % (highest // abs(b) + 1)
        for a in (k * b - 1, k * b, k * b + 1, -k * b + 1, -k * b):
            if lowest <= a <= highest:
                yield a, b


def wrapped(value: int, dtype: str) -> int:
    """Only the smallest integer by -1 leaves its dtype."""
    limits = np.iinfo(dtype)
    return (value - int(limits.min)) % (1 << limits.bits) + int(limits.min)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_hard_pair(dtype: str) -> None:
    both = list(pairs(dtype))
    # Sorted by size, so that whole blocks are small, and shuffled, so that blocks are mixed.
    for order in (sorted(both, key=lambda p: max(abs(p[0]), abs(p[1]))), both[::7] + both[::3]):
        a, b = (cp.asarray(np.array(column, dtype)) for column in zip(*order, strict=True))
        assert (a // b).tolist() == [wrapped(x // y, dtype) for x, y in order]
        assert (a % b).tolist() == [wrapped(x % y, dtype) for x, y in order]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_every_scalar(dtype: str) -> None:
    both = list(pairs(dtype, seed=2))
    numbers = np.array([p[0] for p in both[::11]], dtype)
    divisors = np.array([p[1] for p in both[::13]], dtype)
    for y in [int(v) for v in divisors[::17]]:
        got = (
            cp.asarray(numbers) // cp.asarray(np.array(y, dtype)),
            cp.asarray(numbers) % cp.asarray(np.array(y, dtype)),
        )
        assert got[0].tolist() == [wrapped(int(x) // y, dtype) for x in numbers]
        assert got[1].tolist() == [wrapped(int(x) % y, dtype) for x in numbers]
    for x in [int(v) for v in numbers[::17]]:
        got = (
            cp.asarray(np.array(x, dtype)) // cp.asarray(divisors),
            cp.asarray(np.array(x, dtype)) % cp.asarray(divisors),
        )
        assert got[0].tolist() == [wrapped(x // int(y), dtype) for y in divisors]
        assert got[1].tolist() == [wrapped(x % int(y), dtype) for y in divisors]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("n", [1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 3])
def test_a_zero_anywhere(dtype: str, n: int) -> None:
    a, b = np.full(n, 7, dtype), np.full(n, 2, dtype)
    for place in {0, n // 2, n - 1}:
        b[place] = 0
        for operation in (cp.floor_divide, cp.remainder):
            with pytest.raises(ZeroDivisionError):
                operation(cp.asarray(a), cp.asarray(b))
        b[place] = 2
    assert cp.floor_divide(cp.asarray(a), cp.asarray(b)).tolist() == [3] * n


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_all_numbers_of_a_byte_by_each(dtype: str) -> None:
    limits = np.iinfo(dtype)
    numbers = list(range(int(limits.min), int(limits.max) + 1))
    a = cp.asarray(np.array(numbers, dtype))
    for d in numbers:
        if d:
            assert (a // d).tolist() == [wrapped(x // d, dtype) for x in numbers], d
            assert (a % d).tolist() == [wrapped(x % d, dtype) for x in numbers], d
