"""matmul, dot and vecdot: shapes, dtypes, values and bits that do not depend on the shapes around them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corepy as cp
from inputs import Array, bits, layouts, plain
from ops.dtypes import DTYPE_SETS, PROMOTION

NUMERIC = DTYPE_SETS["numeric"]


def small(dtype: str, shape: tuple[int, ...], seed: int = 0) -> Array:
    """Whole numbers whose products and sums are exact in every dtype."""
    size = int(np.prod(shape, dtype=int))
    values = ((np.arange(size) * 7 + seed * 5) % 5).reshape(shape)
    out = values.astype(dtype)
    if out.dtype.kind == "c":
        out = out + 1j * ((values + seed) % 3)
    if out.dtype.kind != "u":
        out = out - np.array(2, out.dtype)
    return out.astype(dtype)


def check(out: cp.Tensor, expected: Any) -> None:
    expected = np.asarray(expected)
    assert out.shape == expected.shape
    assert out.dtype.name == expected.dtype.name
    np.testing.assert_array_equal(np.asarray(out), expected)


extent = st.integers(0, 5)


@given(st.data())
def test_shapes_broadcast_as_in_numpy(data: st.DataObject) -> None:
    rows, inner, columns = (data.draw(extent) for _ in range(3))
    outer = tuple(data.draw(st.lists(st.integers(0, 3), max_size=3)))
    first = tuple(data.draw(st.sampled_from((e, 1))) for e in outer)
    second = tuple(data.draw(st.sampled_from((e, 1))) for e in outer)[data.draw(st.integers(0, len(outer))) :]
    a_shape = (inner,) if data.draw(st.booleans()) else (*first, rows, inner)
    b_shape = (inner,) if data.draw(st.booleans()) else (*second, inner, columns)
    dtype = data.draw(st.sampled_from(NUMERIC))
    a, b = small(dtype, a_shape), small(dtype, b_shape, 1)
    expected = np.matmul(a, b)
    ours = cp.asarray(a), cp.asarray(b)
    check(cp.matmul(*ours), expected)
    check(ours[0] @ ours[1], expected)
    check(ours[0].matmul(ours[1]), expected)
    if a.ndim <= 2 and b.ndim <= 2:
        check(cp.dot(*ours), np.dot(a, b))
        check(ours[0].dot(ours[1]), np.dot(a, b))


@pytest.mark.parametrize("first", NUMERIC)
@pytest.mark.parametrize("second", NUMERIC)
def test_operands_are_promoted(first: str, second: str) -> None:
    a, b = small(first, (3, 4)), small(second, (4, 2), 1)
    to = PROMOTION[first, second]
    out = cp.asarray(a) @ cp.asarray(b)
    assert out.dtype.name == to
    check(out, a.astype(to) @ b.astype(to))
    vectors = cp.vecdot(cp.asarray(a[0]), cp.asarray(b[:, 0]))
    assert vectors.dtype.name == to
    check(vectors, np.vecdot(a[0].astype(to), b[:, 0].astype(to)))
    check(cp.dot(cp.asarray(a[0]), cp.asarray(b[:, 0])), np.dot(a[0].astype(to), b[:, 0].astype(to)))


@pytest.mark.parametrize("dtype", NUMERIC)
def test_layouts_do_not_show(dtype: str) -> None:
    a, b = plain(dtype, 15 * 33).reshape(15, 33), plain(dtype, 33 * 17, 3).reshape(33, 17)
    with np.errstate(all="ignore"):
        first = bits(np.asarray(cp.asarray(a) @ cp.asarray(b)))
        for name, left in layouts(a):
            for other, right in layouts(b):
                out = cp.asarray(left) @ cp.asarray(right)
                assert bits(np.asarray(out)) == first, (name, other)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_an_element_depends_on_its_row_and_column_alone(dtype: str) -> None:
    k = 700
    a, b = plain(dtype, 70 * k).reshape(70, k), plain(dtype, k * 50, 5).reshape(k, 50)
    whole = np.asarray(cp.asarray(a) @ cp.asarray(b))
    for rows, columns in ((1, 1), (1, 50), (70, 1), (3, 5), (17, 33)):
        part = np.asarray(cp.asarray(a[-rows:]) @ cp.asarray(b[:, -columns:]))
        assert bits(part) == bits(whole[-rows:, -columns:]), (rows, columns)
    row = np.asarray(cp.asarray(a[9]) @ cp.asarray(b))
    assert bits(row) == bits(whole[9])
    column = np.asarray(cp.asarray(a) @ cp.asarray(b[:, 9]))
    assert bits(column) == bits(whole[:, 9])
    batch = np.asarray(cp.asarray(np.stack([a, a])) @ cp.asarray(b))
    assert bits(batch[1]) == bits(whole)
    with cp.threads(1):
        assert bits(np.asarray(cp.asarray(a) @ cp.asarray(b))) == bits(whole)


def rounded(dtype: str, x: Array) -> list[Fraction]:
    return [Fraction(float(v)) for v in x.astype(dtype)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 2, 15, 16, 17, 1023, 1024, 1025, 5000])
def test_vecdot_is_within_one_ulp(dtype: str, n: int) -> None:
    a, b = plain(dtype, n, 1), plain(dtype, n, 2)
    exact = sum((x * y for x, y in zip(rounded(dtype, a), rounded(dtype, b), strict=True)), Fraction(0))
    for out in (
        cp.vecdot(cp.asarray(a), cp.asarray(b)),
        cp.dot(cp.asarray(a), cp.asarray(b)),
        cp.asarray(a) @ cp.asarray(b),
    ):
        value = np.asarray(out)[()]
        assert value.dtype == dtype
        assert abs(Fraction(float(value)) - exact) <= Fraction(float(np.spacing(np.abs(value))))


def test_vecdot_survives_cancellation() -> None:
    a = cp.asarray([1e16, 1.0, -1e16])
    assert cp.vecdot(a, cp.ones(3)).item() == 1.0
    b = cp.asarray([1.0 + 2.0**-52, 1.0])
    assert cp.vecdot(b, cp.asarray([1.0 + 2.0**-52, -(1.0 + 2.0**-51)])).item() == 2.0**-104


def test_vecdot_refuses_shapes_before_it_converts() -> None:
    # Neither operand could be converted: as float64 each has more bytes than any machine.
    a = cp.broadcast_to(cp.ones(1, dtype=cp.int8), (3, 2**50))
    b = cp.broadcast_to(cp.ones(1, dtype=cp.float32), (2, 2**50))
    with pytest.raises(ValueError, match=r"^\[vecdot\] shapes \(3,\) and \(2,\) do not broadcast"):
        cp.vecdot(a, b)


@given(st.data())
def test_vecdot_axes_broadcast(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    axis = data.draw(st.integers(-len(shape), -1))
    drop = data.draw(st.integers(0, len(shape) + axis))
    other = list(shape[drop:])
    for i in range(len(other)):
        if i != len(other) + axis and data.draw(st.booleans()):
            other[i] = 1
    dtype = data.draw(st.sampled_from(("int64", "float32", "complex128", "uint8")))
    a, b = small(dtype, shape), small(dtype, tuple(other), 1)
    for left, right in ((a, b), (b, a)):
        check(cp.vecdot(cp.asarray(left), cp.asarray(right), axis=axis), np.vecdot(left, right, axis=axis))
    if a.ndim == b.ndim:
        out = cp.vecdot(cp.asarray(a), cp.asarray(b), axis=axis + a.ndim)
        check(out, np.vecdot(a, b, axis=axis))


def test_only_vecdot_conjugates() -> None:
    a, b = cp.asarray([1 + 2j, 3j]), cp.asarray([2 - 1j, 1 + 1j])
    assert cp.vecdot(a, b).item() == np.vdot([1 + 2j, 3j], [2 - 1j, 1 + 1j])
    assert cp.dot(a, b).item() == (a @ b).item() == np.dot([1 + 2j, 3j], [2 - 1j, 1 + 1j])


def test_dot_without_axes_multiplies() -> None:
    a = cp.asarray([1, 2, 3])
    check(cp.dot(a, 2), np.array([2, 4, 6]))
    check(cp.dot(2.5, a), np.array([2.5, 5.0, 7.5]))
    check(cp.dot(a, cp.asarray(3)), np.array([3, 6, 9]))
    assert cp.dot(2, 3).item() == 6


def test_sequences_are_operands() -> None:
    a = cp.asarray([[1, 2], [3, 4]])
    check(a @ [1, 1], np.array([3, 7]))
    check([1, 1] @ a, np.array([4, 6]))
    check(np.array([1, 1]) @ a, np.array([4, 6]))
    check(cp.matmul([[1.5]], [[2]]), np.array([[3.0]]))


def test_in_place_product() -> None:
    a = cp.asarray([[1.0, 2.0], [3.0, 4.0]])
    same = a
    a @= cp.asarray([[0, 1], [1, 0]])
    assert a is same and a.tolist() == [[2.0, 1.0], [4.0, 3.0]]
    a @= a
    assert a.tolist() == [[8.0, 5.0], [20.0, 13.0]]
    f = cp.eye(2, dtype=cp.float32)
    f @= cp.full((2, 2), 2.0)
    assert f.dtype == cp.float32 and f.tolist() == [[2.0, 2.0], [2.0, 2.0]]


class Other:
    def __matmul__(self, other: object) -> str:
        return "left"

    def __rmatmul__(self, other: object) -> str:
        return "right"


def test_unknown_operands_are_left_to_themselves() -> None:
    a: Any = cp.eye(2)
    assert a @ Other() == "right" and Other() @ a == "left"
    with pytest.raises(TypeError, match="unsupported operand"):
        a @ object()


EYE, V = cp.eye(2), cp.zeros(2)
NAMES = ", ".join(NUMERIC)


def in_place(a: Any, b: Any) -> None:
    a @= b


ERRORS = [
    (lambda: EYE @ 2, ValueError, "[matmul] a number has no axes to multiply along: use multiply or *"),
    (lambda: 2.5 @ EYE, ValueError, "[matmul] a number has no axes to multiply along: use multiply or *"),
    (lambda: cp.matmul(EYE, 1j), ValueError, "[matmul] a number has no axes to multiply along: use multiply or *"),
    (lambda: EYE @ cp.asarray(2.0), ValueError, "[matmul] needs at least 1 axis, not 0"),
    (lambda: EYE @ cp.zeros((3, 2)), ValueError, "[matmul] shapes (2, 2) and (3, 2) do not fit: 2 columns against 3 rows"),
    (lambda: EYE @ cp.zeros(3), ValueError, "[matmul] shapes (2, 2) and (3,) do not fit: 2 columns against 3 rows"),
    (lambda: cp.zeros(3) @ EYE, ValueError, "[matmul] shapes (3,) and (2, 2) do not fit: 3 columns against 2 rows"),
    (lambda: V @ cp.zeros(3), ValueError, "[matmul] shapes (2,) and (3,) do not fit: 2 columns against 3 rows"),
    (lambda: cp.dot(V, cp.zeros(3)), ValueError, "[dot] shapes (2,) and (3,) do not fit: 2 columns against 3 rows"),
    (lambda: cp.zeros((2, 1, 1)) @ cp.zeros((3, 1, 1)), ValueError, None),
    (lambda: cp.dot(EYE, cp.zeros((2, 2, 2))), ValueError, "[dot] takes tensors with at most 2 axes, not 2 and 3: use matmul"),
    (lambda: EYE.astype(cp.bool) @ EYE.astype(cp.bool), TypeError, f"[matmul] does not take bool; it takes {NAMES}"),
    (lambda: cp.vecdot(V.astype(cp.bool), V.astype(cp.bool)), TypeError, f"[vecdot] does not take bool; it takes {NAMES}"),
    (lambda: EYE.astype(cp.float16) @ EYE, NotImplementedError, "[matmul] does not compute in float16, which is for storage: convert with astype first"),
    (lambda: cp.dot(V, V.astype(cp.bfloat16)), NotImplementedError, "[dot] does not compute in bfloat16, which is for storage: convert with astype first"),
    (lambda: cp.vecdot(V, cp.zeros(3)), ValueError, "[vecdot] vectors along axis -1 have 2 and 3 elements"),
    (lambda: cp.vecdot(cp.zeros((2, 1)), cp.zeros((2, 3)), axis=-1), ValueError, "[vecdot] vectors along axis -1 have 1 and 3 elements"),
    (lambda: cp.vecdot(EYE, V, axis=-2), cp.AxisError, "[vecdot] axis -2 is out of range for a tensor with 1 axis"),
    (lambda: cp.vecdot(EYE, V, axis=1), ValueError, "[vecdot] axis 1 is not the same one of tensors with 2 and 1 axis: count it from the back"),
    (lambda: cp.vecdot(EYE, EYE, axis=2), cp.AxisError, "[vecdot] axis 2 is out of range for a tensor with 2 axes"),
    (lambda: cp.vecdot(V, 1), cp.AxisError, "[vecdot] axis -1 is out of range for a tensor with 0 axes"),
    (lambda: cp.vecdot(cp.zeros((2, 4)), cp.zeros((3, 4))), ValueError, "[vecdot] shapes (2,) and (3,) do not broadcast: axis 0 has 2 and 3"),
    (lambda: in_place(cp.eye(2), cp.zeros(2)), ValueError, "[matmul] a product of shape (2,) cannot be stored in shape (2, 2)"),
    (lambda: in_place(cp.eye(2, dtype=cp.int8), EYE), TypeError, "[matmul] float64 cannot be stored in int8: convert it first"),
    (lambda: in_place(cp.broadcast_to(V, (2, 2)), EYE), ValueError, "[matmul] the tensor is read-only: its memory belongs to a broadcast view, whose elements share memory"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_error_messages(call: Any, kind: type[Exception], text: str | None) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert text is None or str(raised.value) == text
