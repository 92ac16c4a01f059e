"""Creation functions, against NumPy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corepy as cp
from ops.dtypes import DTYPES

ALL = [d.name for d in DTYPES]
NUMPYS = [name for name in ALL if name != "bfloat16"]
SHAPES: list[Any] = [(), 0, 5, (0,), (3, 4), (2, 0, 3), (1025,), (1,) * 64]


def same(out: cp.Tensor, expected: Any) -> None:
    assert out.shape == expected.shape
    assert out.dtype.name == expected.dtype.name
    np.testing.assert_array_equal(np.asarray(out), expected)


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_constants_of_every_shape_and_dtype(name: str, shape: Any) -> None:
    ours, theirs = getattr(cp, name), getattr(np, name)
    assert ours(shape).dtype == cp.float64
    for dtype in NUMPYS:
        out, expected = ours(shape, dtype=getattr(cp, dtype)), theirs(shape, dtype=dtype)
        if name == "empty":
            assert (out.shape, out.dtype.name) == (expected.shape, dtype)
            assert out.strides == expected.strides or not out.size
        else:
            same(out, expected)
        like = getattr(cp, f"{name}_like")(out)
        assert (like.shape, like.dtype) == (out.shape, out.dtype)
        assert getattr(cp, f"{name}_like")(out, dtype=cp.int8).dtype == cp.int8
    half = ours(shape, dtype=cp.bfloat16)
    assert half.dtype == cp.bfloat16
    if name == "ones":
        assert set(np.asarray(half.astype(cp.float32)).ravel()) <= {1.0}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (True, "bool"),
        (7, "int64"),
        (2**63, "uint64"),
        (-(2**63), "int64"),
        (2.5, "float64"),
        (1 - 2j, "complex128"),
    ],
)
def test_full_has_the_dtype_of_its_value(value: Any, dtype: str) -> None:
    same(cp.full((2, 3), value), np.full((2, 3), value, dtype=dtype))
    same(cp.full(3, np.asarray(value, dtype)[()]), np.full(3, value, dtype=dtype))
    same(cp.full_like(cp.zeros(2, dtype=getattr(cp, dtype)), value), np.full(2, value, dtype=dtype))
    same(cp.full((), value), np.full((), value, dtype=dtype))


def test_full_converts_to_its_dtype_within_the_kind() -> None:
    same(cp.full(2, 1, dtype=cp.float32), np.full(2, 1, np.float32))
    same(cp.full(2, 0.1, dtype=cp.float32), np.full(2, 0.1, np.float32))
    same(cp.full(2, 1.5, dtype=cp.complex64), np.full(2, 1.5, np.complex64))
    same(cp.full(2, float("nan")), np.full(2, np.nan))
    same(cp.full((2, 2), cp.asarray([1, 2])), np.full((2, 2), [1, 2]))
    assert cp.full(3, -0.0).tolist() == [-0.0] * 3 and np.signbit(np.asarray(cp.full(3, -0.0))).all()


@given(st.integers(0, 6), st.none() | st.integers(0, 6), st.integers(-8, 8))
def test_eye_is_numpys(rows: int, columns: int | None, k: int) -> None:
    for dtype in ("float64", "int8", "bool", "complex64"):
        same(cp.eye(rows, columns, k=k, dtype=getattr(cp, dtype)), np.eye(rows, columns, k=k, dtype=dtype))
    same(cp.eye(rows, columns, k=k), np.eye(rows, columns, k=k))
    for far in (2**63 - 1, -(2**63)):
        assert not np.asarray(cp.eye(3, k=far)).any()


whole = st.integers(-(2**63), 2**63 - 1) | st.integers(-20, 20)


@given(whole, st.integers(-1000, 1000), st.integers(1, 50) | st.integers(-50, -1))
def test_integer_ranges_are_pythons(start: int, length: int, step: int) -> None:
    stop = start + length
    if not -(2**63) <= stop < 2**63:
        return
    assert cp.arange(start, stop, step).tolist() == list(range(start, stop, step))
    assert cp.arange(start, stop, step).dtype == cp.int64


def test_integer_ranges_at_the_limits() -> None:
    assert cp.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert cp.arange(-5).tolist() == cp.arange(0).tolist() == []
    assert cp.arange(2**63 - 3, 2**63 - 1).tolist() == [2**63 - 3, 2**63 - 2]
    assert cp.arange(-(2**63), 2**63 - 1, 2**62).tolist() == list(range(-(2**63), 2**63 - 1, 2**62))
    out = cp.arange(2**63, 2**64 - 1, 2**61)
    assert out.dtype == cp.uint64 and out.tolist() == list(range(2**63, 2**64 - 1, 2**61))
    assert cp.arange(10, dtype=cp.uint8).tolist() == list(range(10))
    assert cp.arange(np.int32(3), np.int64(7)).tolist() == [3, 4, 5, 6]
    assert cp.arange(True).tolist() == [0]
    assert cp.arange(3000, dtype=cp.float32).tolist() == [float(i) for i in range(3000)]
    assert cp.arange(3, dtype=cp.complex64).tolist() == [0, 1, 2]
    assert cp.arange(3, dtype=cp.bfloat16).astype(cp.float64).tolist() == [0, 1, 2]


floats = st.floats(-1e6, 1e6)


@given(floats, floats, st.floats(0.01, 100) | st.floats(-100, -0.01))
def test_float_ranges_round_each_element_twice(start: float, stop: float, step: float) -> None:
    if abs((stop - start) / step) > 5000:
        stop = start + 50 * step
    out = cp.arange(start, stop, step)
    count = max(0, int(np.ceil((stop - start) / step)))
    assert out.dtype == cp.float64
    assert out.tolist() == [start + i * step for i in range(count)]


@given(floats, floats, st.integers(0, 200), st.booleans())
def test_linspace_ends_where_it_should(start: float, stop: float, num: int, endpoint: bool) -> None:
    out = cp.linspace(start, stop, num, endpoint=endpoint)
    assert out.shape == (num,) and out.dtype == cp.float64
    expected = np.linspace(start, stop, num, endpoint=endpoint)
    np.testing.assert_allclose(np.asarray(out), expected, rtol=1e-15, atol=1e-15 * max(abs(start), abs(stop)))
    if num:
        assert out[0].item() == start
    if endpoint and num > 1:
        assert out[-1].item() == stop
    between = num - 1 if endpoint else num
    for i, value in enumerate(out.tolist()):
        exact = Fraction(start) + i * (Fraction(stop) - Fraction(start)) / max(between, 1)
        assert abs(Fraction(value) - exact) <= Fraction(2**-51) * max(
            abs(Fraction(start)), abs(Fraction(stop))
        )


def test_linspace_dtypes() -> None:
    same(cp.linspace(0, 1, 5, dtype=cp.float32), np.linspace(0, 1, 5, dtype=np.float32))
    same(cp.linspace(0, 1j, 5), np.linspace(0, 1j, 5))
    same(cp.linspace(1 + 1j, 3 - 1j, 4, dtype=cp.complex64, endpoint=False), np.linspace(1 + 1j, 3 - 1j, 4, dtype=np.complex64, endpoint=False))  # fmt: skip
    assert cp.linspace(0, 10, 1).tolist() == [0.0]
    assert cp.linspace(0, 10, 0).tolist() == []
    extreme = cp.linspace(-1.7e308, 1.7e308, 3).tolist()
    assert extreme == [-1.7e308, 0.0, 1.7e308]
    long = np.asarray(cp.linspace(0.0, 1.0, 100_001))
    assert (np.diff(long) > 0).all()


def test_devices() -> None:
    assert cp.zeros(2, device="cpu").device == "cpu"
    for call in (cp.zeros, cp.ones, cp.empty, cp.arange):
        with pytest.raises(ValueError) as raised:
            call(2, device="cuda")
        assert str(raised.value) == f"[{call.__name__}] device 'cuda' is not one of: 'cpu'"


HUGE = 2**62
ERRORS = [
    (lambda: cp.zeros(-1), ValueError, "[zeros] shape (-1,) has a negative extent"),
    (lambda: cp.empty((2, -3)), ValueError, "[empty] shape (2, -3) has a negative extent"),
    (lambda: cp.ones((1,) * 65), ValueError, "[ones] 65 axes are more than the 64 that a tensor can have"),
    (lambda: cp.zeros((HUGE, 4)), ValueError, f"[zeros] shape ({HUGE}, 4) of float64 needs more than 2**63 - 1 bytes"),
    (lambda: cp.zeros((0, HUGE, 4)), ValueError, f"[zeros] shape (0, {HUGE}, 4) of float64 needs more than 2**63 - 1 bytes"),
    (lambda: cp.zeros(2.0), TypeError, "[zeros] shape takes integers, not float"),  # type: ignore[arg-type]
    (lambda: cp.zeros("3"), TypeError, "[zeros] shape takes integers, not str"),  # type: ignore[arg-type]
    (lambda: cp.zeros(2**64), ValueError, "[zeros] shape is 18446744073709551616, which does not fit 64 bits"),
    (lambda: cp.full(2, "x"), TypeError, None),  # type: ignore[arg-type]
    (lambda: cp.full(2, 1.5, dtype=cp.int8), TypeError, "[full] float64 cannot be stored in int8: convert it first"),
    (lambda: cp.full(2, 300, dtype=cp.int8), OverflowError, "[full] 300 does not fit int8"),
    (lambda: cp.full_like(cp.zeros(2), 1j), TypeError, "[full_like] complex128 cannot be stored in float64: convert it first"),
    (lambda: cp.full((2, 2), cp.zeros(3)), ValueError, "[full] shape (3,) does not broadcast to (2, 2)"),
    (lambda: cp.eye(-1), ValueError, "[eye] shape (-1, -1) has a negative extent"),
    (lambda: cp.arange(0, 5, 0), ValueError, "[arange] the step is 0"),
    (lambda: cp.arange(0.0, 5.0, 0.0), ValueError, "[arange] the step is 0"),
    (lambda: cp.arange(1j), TypeError, "[arange] complex numbers have no order to count in"),
    (lambda: cp.arange("a"), TypeError, "[arange] start takes a number, not str"),  # type: ignore[arg-type]
    (lambda: cp.arange(3, dtype=cp.bool), TypeError, None),
    (lambda: cp.arange(0, float("inf")), ValueError, "[arange] start 0.0, stop inf and step 1.0 have no finite number of elements"),
    (lambda: cp.arange(0, float("nan")), ValueError, "[arange] start 0.0, stop NaN and step 1.0 have no finite number of elements"),
    (lambda: cp.linspace(0, 1, -1), ValueError, "[linspace] shape (-1,) has a negative extent"),
    (lambda: cp.linspace(0, 1, 3, dtype=cp.int64), TypeError, "[linspace] does not take int64; it takes float32, float64, complex64, complex128"),
    (lambda: cp.linspace(0, 1j, 3, dtype=cp.float64), TypeError, "[linspace] complex128 does not convert to float64: the imaginary part would be lost"),
    (lambda: cp.zeros(2, device="gpu"), ValueError, "[zeros] device 'gpu' is not one of: 'cpu'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_error_messages(call: Any, kind: type[Exception], text: str | None) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert text is None or str(raised.value) == text
    assert str(raised.value).startswith("[")


def test_memory_that_there_is_not_is_an_error() -> None:
    with pytest.raises(MemoryError) as raised:
        cp.zeros(2**50)
    assert (
        str(raised.value)
        == "[zeros] cannot allocate 9007199254740992 bytes for shape (1125899906842624,) of float64"
    )
    assert cp.zeros(3).tolist() == [0.0] * 3
