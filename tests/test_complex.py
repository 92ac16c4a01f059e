"""real, imag and conj: functions that copy, attributes that are views."""

from __future__ import annotations

import numpy as np
import pytest

import corepy as cp
from inputs import bits, layouts, special
from ops.dtypes import DTYPE_SETS

COMPLEX = {"complex64": "float32", "complex128": "float64"}


@pytest.mark.parametrize("dtype", COMPLEX)
def test_attributes_are_views_of_the_parts(dtype: str) -> None:
    a = special(dtype, 7 * 33).reshape(7, 33)
    for layout, view in layouts(a):
        z = cp.asarray(view)
        for name in ("real", "imag"):
            part = getattr(z, name)
            assert part.dtype == getattr(cp, COMPLEX[dtype]) and part.shape == z.shape, layout
            assert part.strides == z.strides
            assert bits(np.asarray(part)) == bits(np.asarray(getattr(view, name))), layout
            assert bits(np.asarray(cp.sum(part, axis=0))) == bits(np.asarray(cp.sum(part + 0.0, axis=0)))
            assert np.shares_memory(np.asarray(part), np.asarray(z)), layout


def test_writing_through_the_parts_reaches_the_tensor() -> None:
    z = cp.zeros((2, 3), dtype=cp.complex64)
    z.real[...] = 1.5
    z.imag[1] = cp.asarray([1, 2, 3])
    real = z.real
    real += 1
    assert z.tolist() == [[2.5, 2.5, 2.5], [2.5 + 1j, 2.5 + 2j, 2.5 + 3j]]
    x = cp.zeros(3)
    x.real[1] = 4.0
    assert x.tolist() == [0.0, 4.0, 0.0]
    frozen = cp.broadcast_to(cp.asarray(1j), (2, 2))
    for part in (frozen.real, frozen.imag, cp.asarray(np.frombuffer(bytes(16), complex)).imag):
        assert part.readonly
        with pytest.raises(ValueError, match="read-only"):
            part[...] = 0
    with pytest.raises(AttributeError):
        z.real = 1.0  # type: ignore[misc]


def test_functions_copy() -> None:
    z = cp.asarray([1 + 2j, 3 - 4j])
    for out in (cp.real(z), cp.imag(z), cp.conj(z), z.conj()):
        out[0] = 9
    assert z.tolist() == [1 + 2j, 3 - 4j]
    x = cp.asarray([1, 2])
    cp.real(x)[0] = 5
    cp.conj(x)[0] = 5
    assert x.tolist() == [1, 2]
    assert cp.real(2 + 1j).item() == 2.0 and cp.conj(3).dtype == cp.int64


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_small_and_empty(shape: tuple[int, ...]) -> None:
    z = cp.full(shape, 1 - 2j)
    for name, expected in (("real", 1.0), ("imag", -2.0)):
        for part in (getattr(z, name), getattr(cp, name)(z)):
            assert part.shape == shape and part.dtype == cp.float64
            assert part.tolist() == np.full(shape, expected).tolist()


def test_zeros_and_nan_keep_their_signs() -> None:
    z = np.array([complex(0.0, -0.0), complex(-0.0, 0.0), complex(-np.nan, np.inf)])
    out = np.asarray(cp.conj(cp.asarray(z)))
    assert np.signbit(out.real).tolist() == np.signbit(z.real).tolist()
    assert np.signbit(out.imag).tolist() == (~np.signbit(z.imag)).tolist()


@pytest.mark.parametrize("dtype", ["float64", "int8", "bool"])
def test_imag_takes_complex_alone(dtype: str) -> None:
    x = cp.zeros(2, dtype=getattr(cp, dtype))
    for call in (lambda: cp.imag(x), lambda: x.imag):
        with pytest.raises(
            TypeError, match=rf"^\[imag\] does not take {dtype}; it takes complex64, complex128$"
        ):
            call()


def test_bool_is_no_number() -> None:
    accepted = ", ".join(DTYPE_SETS["numeric"])
    for function in (cp.real, cp.conj):
        with pytest.raises(TypeError, match=rf"does not take bool; it takes {accepted}$"):
            function(cp.asarray([True]))
    assert cp.asarray([True]).real.tolist() == [True]
