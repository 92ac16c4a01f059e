"""repr, str and format: NumPy's layout, shortest digits that read back, any size."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import corepy as cp
from inputs import special
from ops.dtypes import DTYPES

INF, NAN = float("inf"), float("nan")
NUMPY = [d.name for d in DTYPES if d.name != "bfloat16"]


def oracle(a: Any) -> str:
    """What repr should be, by NumPy's own printing."""
    with np.printoptions(floatmode="unique", threshold=1000, edgeitems=3, linewidth=75):
        body = np.array2string(a, separator=", ", prefix="Tensor(", suffix=")")
    shape = "(" + ", ".join(map(str, a.shape)) + ("," if a.ndim == 1 else "") + ")"
    facts = f"shape={shape}, dtype={a.dtype.name})"
    text = f"Tensor({body},"
    last = text.rsplit("\n", 1)[-1]
    return text + (" " if len(last) + 1 + len(facts) <= 75 else "\n       ") + facts


NUMBER = re.compile(r"\d[\d.]*(?:e[+-]\d+)?")


def assert_same(text: str, expected: str, dtype: str) -> None:
    """The same text but for digits beyond the shortest.

    In scientific notation NumPy fills a column up with further digits of each number (1e-45 is
    9.9999999999999998e-46 beside a number of seventeen digits); here they are zeros.
    """
    assert re.sub(r"\d", "0", text) == re.sub(r"\d", "0", expected)
    kind = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    if kind.startswith("float"):
        ours, theirs = NUMBER.findall(text), NUMBER.findall(expected)
        with np.errstate(over="ignore", under="ignore"):
            assert [np.dtype(kind).type(x) for x in ours] == [np.dtype(kind).type(x) for x in theirs]
    else:
        assert text == expected


def oracle_str(a: Any) -> str:
    with np.printoptions(floatmode="unique", threshold=1000, edgeitems=3, linewidth=75):
        return np.array2string(a, separator=" ")


def test_the_documented_form() -> None:
    t = cp.asarray([[1.0, 2.0], [3.0, 4.0]], dtype=cp.float32)
    assert repr(t) == "Tensor([[1., 2.],\n        [3., 4.]], shape=(2, 2), dtype=float32)"
    assert str(t) == "[[1. 2.]\n [3. 4.]]"
    assert repr(cp.asarray([True, False])) == "Tensor([ True, False], shape=(2,), dtype=bool)"
    assert repr(cp.asarray([1, -20, 300])) == "Tensor([  1, -20, 300], shape=(3,), dtype=int64)"
    assert repr(cp.asarray([1 + 2j, -0.5])) == "Tensor([ 1. +2.j, -0.5+0.j], shape=(2,), dtype=complex128)"
    assert repr(cp.asarray(2.5)) == "Tensor(2.5, shape=(), dtype=float64)"
    assert repr(cp.zeros((0, 3), dtype=cp.int8)) == "Tensor([], shape=(0, 3), dtype=int8)"
    assert (
        repr(cp.asarray([0.1, 1 / 3]))
        == "Tensor([0.1               , 0.3333333333333333], shape=(2,), dtype=float64)"
    )


@pytest.mark.parametrize("dtype", NUMPY)
@pytest.mark.parametrize(
    "shape",
    [
        (),
        (1,),
        (7,),
        (40,),
        (1000,),
        (1001,),
        (3, 4),
        (1, 1, 1),
        (2, 3, 4),
        (30, 40),
        (5, 6, 7, 8),
        (0,),
        (2, 0),
    ],
)
def test_every_dtype_and_shape_prints_as_numpy_does(dtype: str, shape: tuple[int, ...]) -> None:
    n = int(np.prod(shape))
    with np.errstate(invalid="ignore"):
        odd = special(dtype, n, 3).reshape(shape)
    for a in (odd, np.arange(n).astype(dtype).reshape(shape)):
        for view in (a, a.T, a[..., ::-1] if shape else a):
            t = cp.asarray(view, copy=True)
            assert_same(repr(t), oracle(view), view.dtype.name)
            if shape:
                assert_same(str(t), oracle_str(view), view.dtype.name)
            else:
                assert str(t) == str(t.item())


@pytest.mark.parametrize(
    "values",
    [
        [0.0], [-0.0, 0.0], [NAN], [NAN, 1.5], [INF, -1.0], [-INF, 100.25], [NAN, INF, -INF], [1e8],
        [1e8 - 1], [99999999.0, 1.0], [1e-4], [9.9e-5], [1e-5, 1.0], [1000.0, 1.0], [1001.0, 1.0],
        [1e300, 1e-300], [1e10, 1.5], [1e10, NAN], [-1e10, INF],
        [5e-324], [1.7976931348623157e308], [0.1 + 0.2, 0.3], [123456.789, 0.0], [-1.5, 22.25, 333.125],
        [1e100, 1e5], [1e16, 1e15], [2.0**53 + 2], [0.0001, 0.0999],
    ],
    ids=repr,
)  # fmt: skip
def test_floats_print_as_numpys(values: list[float]) -> None:
    for dtype in ("float64", "float32", "float16"):
        with np.errstate(over="ignore", under="ignore"):
            a = np.array(values).astype(dtype)
            assert_same(repr(cp.asarray(a)), oracle(a), a.dtype.name)
            b = (a.astype(complex) * (1 - 2j) if dtype == "float64" else a).astype("complex128")
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            c = b.astype("complex64")
        assert_same(repr(cp.asarray(b)), oracle(b), b.dtype.name)
        assert_same(repr(cp.asarray(c)), oracle(c), c.dtype.name)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "complex64", "complex128", "int64", "uint8", "bool"]
)
@given(data=st.data())
def test_random_arrays_print_as_numpys(dtype: str, data: st.DataObject) -> None:
    a = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, max_side=9, min_side=0)))
    assert_same(repr(cp.asarray(a)), oracle(a), a.dtype.name)


def test_half_precision_digits_are_the_shortest_that_read_back() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    halves = bits.view(np.float16)
    halves = halves[np.isfinite(halves)]
    for start in range(0, len(halves), 4001):
        a = halves[start : start + 900]
        assert_same(repr(cp.asarray(a)), oracle(a), a.dtype.name)


def test_bfloat16_digits_read_back_and_are_the_shortest() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    exact = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    finite = np.isfinite(exact)
    bits, exact = bits[finite], exact[finite]

    def nearest(x: float) -> int:
        """bfloat16 of a float: the float32 nearest to it, rounded to even from its bits."""
        word = int(np.float32(x).view(np.uint32))
        return (word + 0x7FFF + ((word >> 16) & 1)) >> 16

    for i in [*range(0, 600, 7), *range(600, len(bits), 397)]:
        t = cp.asarray(float(exact[i]), dtype=cp.bfloat16)
        assert t.item() == float(exact[i])
        text = repr(t).removeprefix("Tensor(").split(", shape")[0]
        assert nearest(float(text)) == bits[i], text
        digits = text.split("e")[0].replace(".", "").strip("-0")
        if len(digits) > 1:
            shorter = f"{float(exact[i]):.{len(digits) - 2}e}"
            assert nearest(float(shorter)) != bits[i], (text, shorter)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_digits_read_back(dtype: str) -> None:
    a = special(dtype, 900, 5)
    text = repr(cp.asarray(a)).removeprefix("Tensor([").split("]")[0]
    read = np.array([float(word) for word in text.replace("\n", "").split(",")]).astype(dtype)
    assert np.array_equal(read, a, equal_nan=True)


def test_a_billion_elements() -> None:
    start = time.perf_counter()
    t = cp.broadcast_to(cp.asarray([1.5, -2.0]), (500_000_000, 2))
    row = "[ 1.5, -2. ]"
    rows = f",\n{' ' * 8}".join([row, row, row, "...", row, row, row])
    assert repr(t) == f"Tensor([{rows}], shape=(500000000, 2), dtype=float64)"
    many = cp.broadcast_to(cp.asarray(1), (2,) * 30)
    assert len(repr(many)) < 100_000
    assert "..." in repr(many)
    assert len(repr(cp.broadcast_to(cp.asarray(1), (3,) * 37))) < 100_000
    assert len(repr(cp.broadcast_to(cp.asarray(1.5), (7, 8, 9, 10, 11, 12, 13)))) < 200_000
    assert repr(cp.zeros((1,) * 64)).count("[") == 64
    assert time.perf_counter() - start < 1


def test_format() -> None:
    assert f"{cp.asarray(2.5):.3f}" == "2.500"
    assert f"{cp.asarray([[7]]):>5d}" == "    7"
    assert f"{cp.asarray(2.5)}" == "2.5"
    assert f"{cp.asarray([2.5, 1.0])}" == "[2.5 1. ]"
    assert f"{cp.asarray([2.5])}" == "[2.5]"
    assert f"{cp.asarray(1 + 2j):.1f}" == "1.0+2.0j"
    assert f"{cp.asarray(1.5, dtype=cp.bfloat16):.2f}" == "1.50"
    with pytest.raises(
        TypeError, match=r"^\[format\] format \"\.2f\" needs a tensor with one element, not shape \(2,\)$"
    ):
        f"{cp.zeros(2):.2f}"
    with pytest.raises(ValueError, match="format code"):
        f"{cp.asarray(1.5):d}"


def test_bools_of_any_byte_print_as_truth() -> None:
    t = cp.asarray(np.array([0, 1, 2, 255], np.uint8).view(np.bool_))
    assert t.tolist() == [False, True, True, True]
    assert repr(t) == "Tensor([False,  True,  True,  True], shape=(4,), dtype=bool)"
