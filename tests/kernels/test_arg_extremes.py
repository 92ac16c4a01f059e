"""argmin and argmax: the lowest index of ties, zeros of both signs, NaN, at every place that kernels treat apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import corepy as cp

SIZES = (1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 129, 1023, 1024, 1025, 2047, 2048, 2049, 4100)
CALLS = [(cp.argmax, np.argmax, 1), (cp.argmin, np.argmin, -1)]


def places(n: int) -> list[int]:
    return sorted({0, 1, n // 3, n // 2, n - 17, n - 2, n - 1} & set(range(n)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int32", "int64", "uint64"])
@pytest.mark.parametrize("n", SIZES)
def test_one_best_anywhere_and_ties(dtype: str, n: int) -> None:
    noise = np.random.default_rng(n).integers(20, 60, n).astype(dtype)
    for ours, theirs, sign in CALLS:
        assert ours(cp.asarray(noise)).item() == int(theirs(noise))
        for place in places(n):
            a = noise.copy()
            a[place] = 100 if sign > 0 else 3
            assert ours(cp.asarray(a)).item() == place
            a[-1] = a[place]
            assert ours(cp.asarray(a)).item() == place
            assert ours(cp.asarray(np.stack([a, noise])), axis=1).tolist()[0] == place


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", SIZES)
def test_nan_zeros_and_infinities(dtype: str, n: int) -> None:
    noise: Any = np.random.default_rng(n).standard_normal(n).astype(dtype)
    zeros = np.where(np.arange(n) % 3 == 1, -0.0, 0.0).astype(dtype)
    for ours, _, sign in CALLS:
        assert ours(cp.asarray(zeros)).item() == 0
        assert ours(cp.asarray(-zeros)).item() == 0
        for place in places(n):
            a = zeros - sign  # all are worse than a zero
            a[place:] = zeros[place:]
            assert ours(cp.asarray(a)).item() == place
            a = noise.copy()
            a[place] = sign * np.inf
            assert ours(cp.asarray(a)).item() == place
            a[:] = np.full(n, -sign * np.inf)
            assert ours(cp.asarray(a)).item() == 0
            a = noise.copy()
            a[place:] = np.nan
            a[0] = np.inf * sign if place else np.nan
            assert ours(cp.asarray(a)).item() == place
