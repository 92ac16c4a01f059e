"""Fixed inputs for tests and golden digests: the same on every machine and NumPy version."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

SPECIAL_FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, float("inf"), float("-inf"), float("nan"),
    5e-324, -5e-324, 1e-45, 1.17549435e-38, 2.2250738585072014e-308, 3.4028234663852886e38,
    1.7976931348623157e308, 16777217.0, 9007199254740993.0, 0.1, 1 / 3, 2.0**63, -(2.0**63), 4294967296.5,
)  # fmt: skip


def words(n: int, seed: int) -> npt.NDArray[np.uint64]:
    """n pseudo-random 64-bit words: splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed * 1_000_003)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def plain(dtype: str, n: int, seed: int = 0) -> Array:
    """Ordinary values: floats of mixed sign and magnitude, integers over the whole range."""
    raw = words(2 * n, seed)
    if dtype == "bool":
        return (raw[:n] & np.uint64(1)).astype(np.bool_)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        return raw[:n].astype(kind)
    mantissa = (raw[:n] >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    exponent = (raw[n:] >> np.uint64(60)).astype(np.int64) - 8
    floats = np.ldexp(mantissa, exponent)
    if kind.kind == "c":
        return (floats + 1j * floats[::-1]).astype(kind)
    return floats.astype(kind)


def special(dtype: str, n: int, seed: int = 0) -> Array:
    """As `plain`, with every special value of the dtype among the first elements."""
    out = plain(dtype, n, seed)
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        some = [0, 1, limits.max, limits.min, limits.max - 1, 2, 3, 7]
        some += [-1, -2, -7] if kind.kind == "i" else []
    elif kind.kind in "fc":
        some = list(SPECIAL_FLOATS)
    else:
        some = [False, True]
    with np.errstate(over="ignore"):
        for i, value in enumerate(some[:n]):
            out[i] = kind.type(value)
    return out


def layouts(array: Array) -> Iterator[tuple[str, Array]]:
    """The same logical values in every memory layout that NumPy can make of them."""
    yield "contiguous", np.ascontiguousarray(array)
    wide = np.zeros(tuple(2 * e for e in array.shape), array.dtype)
    step = tuple(slice(None, None, 2) for _ in array.shape)
    wide[step] = array
    yield "strided", wide[step]
    back = tuple(slice(None, None, -1) for _ in array.shape)
    yield "reversed", np.ascontiguousarray(array[back])[back]
    raw = np.zeros(array.nbytes + 1, np.uint8)
    shifted = np.frombuffer(raw.data, array.dtype, array.size, 1).reshape(array.shape)
    shifted[...] = array
    yield "misaligned", shifted
    if array.ndim > 1:
        yield "fortran", np.asfortranarray(array)
        order = (*range(1, array.ndim), 0)
        yield "permuted", np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def bits(array: Array) -> bytes:
    """The bytes of the elements in C order, every NaN the same."""
    array = np.array(array, order="C", copy=True)
    if array.dtype.kind == "f":
        array[np.isnan(array)] = np.nan
    elif array.dtype.kind == "c":
        for part in (array.real, array.imag):
            part[np.isnan(part)] = np.nan
    return array.tobytes()
