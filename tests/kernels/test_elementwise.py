"""Every elementwise operation, dtype and layout against NumPy."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corepy as cp
from inputs import Array, bits, layouts, special
from ops.dtypes import DTYPE_SETS, PROMOTION
from ops.table import BINARY, UNARY, Elementwise
from oracles import ELEMENTWISE

SIZES = (0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 1023, 1024, 1025)
ROWS = {row.name: row for row in (*UNARY, *BINARY)}
COMPARISONS = {
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}
CASES = [(row.name, t) for row in ROWS.values() for t in DTYPE_SETS[row.dtypes]]


def ulps(out: Array, expected: Array) -> float:
    """Largest error in units of the expected value's last place; NaN and infinities must agree."""
    if out.dtype.kind == "c":
        # Normwise: a complex operation's error is bounded relative to the magnitude.
        real = np.dtype(f"f{out.dtype.itemsize // 2}")
        for a, b in ((out.real, expected.real), (out.imag, expected.imag)):
            assert np.array_equal(np.isfinite(a), np.isfinite(b)), (out, expected)
        finite = np.isfinite(out.real) & np.isfinite(out.imag)
        size = np.abs(expected[finite]).astype(real)
        error = np.abs(out[finite].astype(np.complex128) - expected[finite].astype(np.complex128))
        return float(np.max(error / np.spacing(np.maximum(size, np.finfo(real).tiny)), initial=0.0))
    same = (out == expected) | (np.isnan(out) & np.isnan(expected))
    assert np.array_equal(np.isfinite(out) | same, np.isfinite(expected) | same), (out, expected)
    with np.errstate(all="ignore"):
        error = np.abs(out.astype(np.longdouble) - expected.astype(np.longdouble)) / np.spacing(
            np.abs(expected)
        )
    return float(np.max(np.where(same, 0.0, error), initial=0.0))


def right_operand(row: Elementwise, dtype: str, n: int) -> Array:
    b = special(dtype, n, seed=7)[::-1].copy()
    kind = ELEMENTWISE[row.name].right
    if kind == "nonzero" and b.dtype.kind in "iu":
        b[b == 0] = 3
    elif kind == "exponent":
        top = 7 if b.dtype.kind in "iu" else 5
        b = (np.arange(n) % top).astype(b.dtype)
        if b.dtype.kind != "u" and b.dtype.kind != "i":
            b[::3] *= -1
    elif kind == "shift":
        b = (np.arange(n) % (8 * b.dtype.itemsize + 3)).astype(b.dtype)
        if b.dtype.kind == "i":
            b[::5] = -1
    return b


def check(name: str, dtype: str, out: cp.Tensor, *operands: Array) -> None:
    row = ROWS[name]
    with np.errstate(all="ignore"):
        expected = np.asarray(ELEMENTWISE[name].oracle(*operands))
    got = np.asarray(out)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype, (got.dtype, expected.dtype)
    kind = np.dtype(dtype).kind
    if kind in ELEMENTWISE[name].exact or got.dtype.kind == "b":
        if bits(got) != bits(expected):
            bad = np.flatnonzero(
                [bits(g) != bits(e) for g, e in zip(got.ravel(), expected.ravel(), strict=True)]
            )
            at = bad[0]
            shown = [o.ravel()[at if o.size > 1 else 0] for o in operands]
            pytest.fail(
                f"{name} {dtype} at {at}: {shown} -> {got.ravel()[at]!r}, not {expected.ravel()[at]!r}"
            )
        return
    # The oracle is itself a few ulp off in the dtypes that it does not round correctly.
    bound = dict(row.ulp).get(dtype, 0.5) + 4.0
    assert ulps(got, expected) <= bound


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_contiguous_sizes(name: str, dtype: str) -> None:
    row = ROWS[name]
    function = getattr(cp, name)
    for n in SIZES:
        a = finite_if_complex(special(dtype, n))
        if row.arity == 1:
            check(name, dtype, function(cp.asarray(a)), a)
            continue
        b = finite_if_complex(right_operand(row, dtype, n))
        check(name, dtype, function(cp.asarray(a), cp.asarray(b)), a, b)
        if n:
            check(name, dtype, function(cp.asarray(a), cp.asarray(b[:1])), a, b[:1])
            check(name, dtype, function(cp.asarray(a[:1]), cp.asarray(b)), a[:1], b)


def finite_if_complex(a: Array) -> Array:
    """Complex infinities and NaN have no agreed oracle; their real parts are tested as reals."""
    if a.dtype.kind != "c":
        return a
    a = a.copy()
    a[~np.isfinite(a) | (np.abs(a) > 1e15) | ((np.abs(a) < 1e-15) & (a != 0))] = 2 - 3j
    return a


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_layouts_have_the_bits_of_contiguous(name: str, dtype: str) -> None:
    row = ROWS[name]
    function = getattr(cp, name)
    shape = (5, 7, 37)
    n = 5 * 7 * 37
    a = special(dtype, n).reshape(shape)
    operands = [a] if row.arity == 1 else [a, right_operand(row, dtype, n).reshape(shape)]
    expected = bits(np.asarray(function(*map(cp.asarray, operands))))
    if row.arity == 1:
        for layout, x in layouts(a):
            assert bits(np.asarray(function(cp.asarray(x)))) == expected, layout
        return
    # Every layout meets every position: with a contiguous other side, and with another layout.
    left, right = list(layouts(operands[0])), list(layouts(operands[1]))
    for (first, x), (second, y) in zip(left, right[1:] + right[:1], strict=True):
        for layout, p, q in ((first, x, operands[1]), (second, operands[0], y), (f"{first} {second}", x, y)):
            assert bits(np.asarray(function(cp.asarray(p), cp.asarray(q)))) == expected, layout


@pytest.mark.parametrize("name", [r.name for r in BINARY])
@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 1), (1, 4)),
        ((2, 3, 40), (40,)),
        ((2, 3, 40), (3, 1)),
        ((), (5,)),
        ((0, 3), (1, 3)),
        ((2000, 3), (3,)),
    ],
)
def test_broadcasting(name: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    row = ROWS[name]
    for dtype in ("int32", "float32", "bool"):
        if dtype not in DTYPE_SETS[row.dtypes]:
            continue
        a = special(dtype, int(np.prod(shapes[0], dtype=int))).reshape(shapes[0])
        b = right_operand(row, dtype, int(np.prod(shapes[1], dtype=int))).reshape(shapes[1])
        check(name, dtype, getattr(cp, name)(cp.asarray(a), cp.asarray(b)), a, b)
        if a.size and name != "pow" and ELEMENTWISE[name].right == "special":
            check(name, dtype, getattr(cp, name)(cp.asarray(b), cp.asarray(a)), b, a)


@pytest.mark.parametrize("name", [r.name for r in BINARY if r.operator and "comparison" not in r.sets])
def test_operators_and_in_place(name: str) -> None:
    row = ROWS[name]
    dtype = "float64" if "float64" in DTYPE_SETS[row.dtypes] else "int64"
    a, b = special(dtype, 100), right_operand(row, dtype, 100)
    if name in ("floor_divide", "remainder"):
        a, b = np.abs(a), np.where(b == 0, 2, b).astype(dtype)
    expected = bits(np.asarray(getattr(cp, name)(cp.asarray(a), cp.asarray(b))))
    x, y = cp.asarray(a.copy()), cp.asarray(b)
    assert bits(np.asarray(getattr(x, f"__{row.operator}__")(y))) == expected
    assert bits(np.asarray(getattr(y, f"__r{row.operator}__")(x))) == expected
    assert bits(np.asarray(getattr(x, name)(y))) == expected
    assert getattr(x, f"__i{row.operator}__")(y) is x
    assert bits(np.asarray(x)) == expected


scalars = st.one_of(
    st.booleans(), st.integers(-100, 100), st.floats(width=32), st.complex_numbers(max_magnitude=100)
)


@given(st.sampled_from(sorted(DTYPE_SETS["numeric"])), scalars)
def test_python_scalars_are_weak(dtype: str, scalar: Any) -> None:
    a = special(dtype, 20)
    with np.errstate(all="ignore"):
        try:
            expected = np.add(a, scalar)
        except OverflowError:
            with pytest.raises(OverflowError):
                cp.add(cp.asarray(a), scalar)
            return
    kinds = {bool: "b", int: "i", float: "f", complex: "c"}
    if kinds[type(scalar)] == "f" and a.dtype.kind in "iu":
        expected = a.astype(np.float64) + scalar
    if kinds[type(scalar)] == "c" and a.dtype.kind in "iu":
        expected = a.astype(np.complex128) + scalar
    got = np.asarray(cp.add(cp.asarray(a), scalar))
    assert got.dtype == expected.dtype
    assert bits(got) == bits(expected)
    assert bits(np.asarray(scalar + cp.asarray(a))) == bits(expected)


def test_mixed_dtypes_are_computed_in_the_promoted_one() -> None:
    for first in DTYPE_SETS["numeric"]:
        for second in DTYPE_SETS["numeric"]:
            a, b = special(first, 50), special(second, 50, seed=3)
            to = PROMOTION[first, second]
            with np.errstate(all="ignore"):
                expected = np.add(a.astype(to), b.astype(to))
            got = np.asarray(cp.asarray(a) + cp.asarray(b))
            assert got.dtype == expected.dtype, (first, second)
            assert bits(got) == bits(expected), (first, second)


@pytest.mark.parametrize("dtype", list(DTYPE_SETS["integer"]))
@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
def test_integer_division_by_zero_names_the_first_place(name: str, dtype: str) -> None:
    a = np.ones((3, 40), dtype)
    b = a.copy()
    b[1, 7] = b[2, 3] = 0
    for layout, y in layouts(b):
        with pytest.raises(
            ZeroDivisionError, match=rf"\[{name}\] integer division by zero at index \(1, 7\)"
        ):
            getattr(cp, name)(cp.asarray(a), cp.asarray(y))
        assert layout
    with pytest.raises(ZeroDivisionError):
        getattr(cp, name)(cp.asarray(a), 0)


@pytest.mark.parametrize("dtype", DTYPE_SETS["storage"])
@pytest.mark.parametrize("to", DTYPE_SETS["storage"])
def test_astype(dtype: str, to: str) -> None:
    if "bfloat16" in (dtype, to):
        pytest.skip("NumPy has no bfloat16; its conversions are tested below")
    a = special(dtype, 1100)
    x = cp.asarray(a)
    if dtype.startswith("complex") and not to.startswith("complex"):
        if to == "bool":
            assert np.array_equal(np.asarray(x.astype(cp.bool)), a != 0)
            return
        with pytest.raises(TypeError, match="imaginary part would be lost"):
            x.astype(getattr(cp, to))
        return
    with np.errstate(all="ignore"):
        expected = a.astype(to)
        if a.dtype.kind == "f" and expected.dtype.kind in "iu":
            # Out of range is undefined in NumPy; ours saturates, and NaN gives 0.
            limits = np.iinfo(to)
            whole = np.trunc(a.astype(np.longdouble))
            low, high = np.longdouble(limits.min), np.longdouble(limits.max)
            inside = (whole >= low) & (whole <= high)
            expected = np.where(inside, a, 0).astype(to)
            expected[whole < low] = limits.min
            expected[whole > high] = limits.max
    for layout, y in layouts(a):
        got = np.asarray(cp.astype(cp.asarray(y), getattr(cp, to)))
        assert got.dtype == np.dtype(to)
        assert bits(got) == bits(expected), layout


@pytest.mark.parametrize("dtype", list(DTYPE_SETS["real_or_bool"]))
def test_bfloat16_is_the_upper_half_of_float32(dtype: str) -> None:
    a = special(dtype, 1100)
    x = cp.asarray(a).astype(cp.bfloat16)
    assert x.dtype == cp.bfloat16
    # Exact rounding to 8 bits of precision, to even, by the bits of the nearest doubles.
    with np.errstate(all="ignore"):
        wide = a.astype(np.longdouble)
    back = np.asarray(x.astype(cp.float64))
    for value, got in zip(wide.tolist() if dtype == "bool" else wide, back, strict=True):
        value = np.longdouble(value)
        if np.isnan(value):
            assert np.isnan(got)
            continue
        if np.isinf(value) or value == 0:
            assert got == float(value)
            continue
        exponent = max(int(np.floor(np.log2(np.abs(value)))), -126)
        if np.ldexp(np.longdouble(1), exponent + 1) <= np.abs(value):
            exponent += 1
        elif np.abs(value) < np.ldexp(np.longdouble(1), exponent) and exponent > -126:
            exponent -= 1
        rounded = np.ldexp(np.rint(np.ldexp(value, 7 - exponent)), exponent - 7)
        if np.abs(rounded) >= np.ldexp(np.longdouble(1), 128):
            assert np.isinf(got) and (got > 0) == (value > 0)
        else:
            assert got == float(rounded), value
    assert bits(np.asarray(x.astype(cp.float32).astype(cp.bfloat16).astype(cp.float64))) == bits(back)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_storage_dtypes_refuse_arithmetic_by_name(dtype: str) -> None:
    x = cp.zeros(3, dtype=getattr(cp, dtype))
    for row in ROWS.values():
        operands = [x] * row.arity
        with pytest.raises(NotImplementedError, match=rf"\[{row.name}\] does not compute in {dtype}"):
            getattr(cp, row.name)(*operands)


def test_where_keeps_all_bits() -> None:
    nan = np.array([0x7FC00001, 0xFF800001, 0x80000000], np.uint32).view(np.float32)
    mask = np.array([True, False, True])
    got = np.asarray(cp.where(cp.asarray(mask), cp.asarray(nan), cp.asarray(-nan)))
    assert got.tobytes() == np.where(mask, nan, -nan).tobytes()
    for dtype in DTYPE_SETS["any"]:
        a, b = special(dtype, 500), special(dtype, 500, seed=5)
        mask = special("bool", 500, seed=9)
        assert (
            np.asarray(cp.where(cp.asarray(mask), cp.asarray(a), cp.asarray(b))).tobytes()
            == np.where(mask, a, b).tobytes()
        )


@pytest.mark.parametrize("signed", ["int8", "int16", "int32", "int64"])
def test_signed_and_uint64_compare_by_value(signed: str) -> None:
    limits = np.iinfo(signed)
    low = np.array([limits.min, -1, 0, 1, limits.max - 1, limits.max], signed)
    high = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1, limits.max], np.uint64)
    for a, b in ((low[:, None], high), (high[:, None], low)):
        for name, short in COMPARISONS.items():
            expected = [[getattr(operator, short)(x, y) for y in b.tolist()] for x in a.ravel().tolist()]
            assert getattr(cp, name)(cp.asarray(a), cp.asarray(b)).tolist() == expected, name
    assert not (cp.asarray(2**63, dtype=cp.uint64) == cp.asarray(2**63 - 1)).item()


def test_operands_too_large_to_convert_are_memory_errors() -> None:
    top = cp.broadcast_to(cp.asarray([True]), (2**63 - 1,))
    for call in (
        lambda: top.astype(cp.complex128),
        lambda: cp.asarray(top, dtype=cp.float32),
        lambda: cp.where(top, top, top),
        lambda: cp.concat([top, top]),
        lambda: cp.concat([top, top], axis=None),
        lambda: cp.stack([top, top]),
        lambda: cp.vecdot(cp.zeros((1, 1), dtype=cp.complex128), top[None, :1].broadcast_to((2**59, 1))),
        lambda: top[cp.broadcast_to(cp.asarray([True]), (2**62,))],
    ):
        with pytest.raises((MemoryError, ValueError, IndexError), match=r"^\["):
            call()
    empty = cp.broadcast_to(cp.asarray([True]), (0, 2**63 - 1))
    assert cp.concat([empty, cp.asarray([1j])], axis=None).tolist() == [1j]
