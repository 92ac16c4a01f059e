"""Functions that rearrange tensors, against NumPy: views share memory, copies do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corepy as cp
from inputs import Array

DTYPES = ("bool", "int8", "uint16", "int64", "float32", "complex128")


def same(out: cp.Tensor, expected: Any) -> None:
    expected = np.asarray(expected)
    assert out.shape == expected.shape
    assert out.dtype.name == expected.dtype.name
    np.testing.assert_array_equal(np.asarray(out), expected)


def address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def same_view(out: cp.Tensor, t: cp.Tensor, expected: Array, n: Array) -> None:
    """The same values at the same places as NumPy's view."""
    same(out, expected)
    # NumPy makes a scalar where there are no axes.
    if not expected.size or not isinstance(expected, np.ndarray):
        return
    assert address(np.asarray(out)) - address(np.asarray(t)) == address(expected) - address(n)
    for axis, extent in enumerate(expected.shape):
        assert extent == 1 or out.strides[axis] == expected.strides[axis]


@st.composite
def pairs(
    draw: st.DrawFn, least: int = 0, most: int = 5, extents: int = 4, values: tuple[int, ...] = ()
) -> Any:
    """An array and a tensor with the same values in the same strided layout, each over memory of its own."""
    extent = st.sampled_from(values) if values else st.integers(0, extents)
    shape = draw(st.lists(extent, min_size=least, max_size=most))
    steps = [draw(st.sampled_from((1, 1, 2, -1))) for _ in shape]
    wide = [abs(step) * e for step, e in zip(steps, shape, strict=True)]
    order = draw(st.permutations(range(len(shape))))
    n = (np.arange(np.prod(wide, dtype=int)) % 251).astype(draw(st.sampled_from(DTYPES))).reshape(wide)
    t = cp.asarray(n.copy())
    cut = tuple(slice(None, None, step) for step in steps)
    return n[(..., *cut)].transpose(order), cp.permute_dims(t[cut], tuple(order))


@given(pairs(values=(1, 2, 3, 4, 6)), st.data())
def test_reshape_is_a_view_exactly_where_numpy_has_one(
    pair: tuple[Array, cp.Tensor], data: st.DataObject
) -> None:
    n, t = pair
    rest = n.size
    shape = []
    while rest > 1:
        extent = data.draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0]))
        shape.append(extent)
        rest //= extent
    shape += data.draw(st.lists(st.just(1), max_size=2))
    shape = list(data.draw(st.permutations(shape)))
    given_shape = list(shape)
    if shape and data.draw(st.booleans()):
        given_shape[data.draw(st.integers(0, len(shape) - 1))] = -1
    expected = n.reshape(shape)
    to = tuple(given_shape)
    out = cp.reshape(t, to)
    same(out, expected)
    try:
        viewed = n.reshape(shape, copy=False)
    except ValueError:
        with pytest.raises(ValueError, match="copy=False, but shape"):
            cp.reshape(t, to, copy=False)
        assert not np.shares_memory(np.asarray(out), np.asarray(t))
    else:
        same_view(cp.reshape(t, to, copy=False), t, viewed, n)
        same_view(out, t, viewed, n)
    copied = cp.reshape(t, to, copy=True)
    same(copied, expected)
    assert not np.shares_memory(np.asarray(copied), np.asarray(t))
    assert not copied.readonly


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 0), (1, 0, 7), 0])
def test_empty_tensors_reshape_to_empty_ones(shape: Any) -> None:
    for start in ((0,), (2, 0), (0, 5, 1)):
        out = cp.reshape(cp.zeros(start), shape)
        assert out.shape == (shape if isinstance(shape, tuple) else (shape,))
    assert cp.reshape(cp.zeros((0, 4)), (-1, 4)).shape == (0, 4)
    assert cp.reshape(cp.zeros((0, 4)), -1).shape == (0,)


@given(pairs(least=1), st.data())
def test_permutations_are_views(pair: tuple[Array, cp.Tensor], data: st.DataObject) -> None:
    n, t = pair
    order = data.draw(st.permutations(range(n.ndim)))
    signed = tuple(axis - n.ndim if data.draw(st.booleans()) else axis for axis in order)
    same_view(cp.permute_dims(t, signed), t, n.transpose(order), n)
    same_view(t.permute_dims(signed), t, n.transpose(order), n)
    if n.ndim >= 2:
        same_view(cp.matrix_transpose(t), t, np.matrix_transpose(n), n)
        same_view(t.mT, t, n.mT, n)
    if n.ndim == 2:
        same_view(t.T, t, n.T, n)
    count = data.draw(st.integers(0, n.ndim))
    source = data.draw(st.permutations(range(n.ndim)))[:count]
    target = [axis - n.ndim for axis in data.draw(st.permutations(range(n.ndim)))[:count]]
    expected = np.moveaxis(n, source, target)
    same_view(cp.moveaxis(t, tuple(source), tuple(target)), t, expected, n)
    same_view(cp.moveaxis(t, order[0], -1), t, np.moveaxis(n, order[0], -1), n)


@given(pairs(values=(0, 1, 2)), st.data())
def test_axes_of_extent_one_come_and_go(pair: tuple[Array, cp.Tensor], data: st.DataObject) -> None:
    n, t = pair
    ones = [axis for axis, extent in enumerate(n.shape) if extent == 1]
    axes = tuple(data.draw(st.lists(st.sampled_from(ones), unique=True))) if ones else ()
    same_view(cp.squeeze(t, axes), t, np.squeeze(n, axes), n)
    count = data.draw(st.integers(0, 3))
    ndim = n.ndim + count
    places = tuple(data.draw(st.permutations(range(ndim)))[:count])
    places = tuple(axis - ndim if data.draw(st.booleans()) else axis for axis in places)
    same_view(cp.expand_dims(t, axis=places), t, np.expand_dims(n, places), n)
    same_view(cp.expand_dims(t), t, np.expand_dims(n, 0), n)


@given(pairs(), st.data())
def test_flip_is_a_view(pair: tuple[Array, cp.Tensor], data: st.DataObject) -> None:
    n, t = pair
    axes: Any = data.draw(st.none() | st.permutations(range(n.ndim)).map(lambda p: tuple(p[: len(p) // 2])))
    same_view(cp.flip(t, axis=axes), t, np.flip(n, axes), n)
    if n.ndim:
        same_view(cp.flip(t, axis=-1), t, np.flip(n, -1), n)


@given(pairs(values=(0, 1, 2, 3)), st.data())
def test_broadcasting_is_read_only_and_shares_memory(
    pair: tuple[Array, cp.Tensor], data: st.DataObject
) -> None:
    n, t = pair
    shape = tuple(data.draw(st.sampled_from((e, 3))) if e == 1 else e for e in n.shape)
    shape = tuple(data.draw(st.lists(st.integers(0, 3), max_size=2))) + shape
    out = cp.broadcast_to(t, shape)
    same_view(out, t, np.broadcast_to(n, shape), n)
    assert out.readonly and not t.readonly
    other = cp.zeros(tuple(data.draw(st.sampled_from((e, 1))) for e in shape))
    both = cp.broadcast_arrays(t, other, 1.0)
    assert isinstance(both, list)
    for one, expected in zip(both, np.broadcast_arrays(n, np.asarray(other), 1.0), strict=True):
        same(one, expected)
        assert one.readonly
    assert cp.broadcast_arrays() == []


@given(st.data())
def test_concat_and_stack_are_numpys(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts = []
    for k in range(data.draw(st.integers(1, 4))):
        own = list(shape)
        own[axis] = data.draw(st.integers(0, 4))
        dtype = data.draw(st.sampled_from(("int8", "uint8", "int64", "float32", "bool", "complex64")))
        part = (np.arange(np.prod(own, dtype=int)) * 3 + k).astype(dtype).reshape(own)
        parts.append(part[..., ::-1] if data.draw(st.booleans()) else part)
    ours = [cp.asarray(p) for p in parts]
    dtype = np.result_type(*parts)
    same(cp.concat(ours, axis=axis), np.concatenate(parts, axis=axis).astype(dtype))
    same(cp.concat(tuple(ours), axis=None), np.concatenate(parts, axis=None).astype(dtype))
    equal = [p[tuple(slice(0, min(q.shape[a] for q in parts)) for a in range(p.ndim))] for p in parts]
    place = data.draw(st.integers(-len(shape) - 1, len(shape)))
    same(cp.stack([cp.asarray(p) for p in equal], axis=place), np.stack(equal, axis=place).astype(dtype))


def test_concat_joins_along_the_first_axis_by_default() -> None:
    a = cp.asarray([[1, 2]])
    assert cp.concat([a, a]).tolist() == [[1, 2], [1, 2]]
    assert cp.concat([a, [[3.5, 4.5]]], axis=1).tolist() == [[1.0, 2.0, 3.5, 4.5]]
    assert cp.concat([cp.ones(2, dtype=cp.float16)] * 2).dtype == cp.float16
    assert cp.stack([a[0], a[0]]).shape == (2, 2)


T23 = cp.zeros((2, 3))
ERRORS = [
    (lambda: cp.reshape(T23, 5), ValueError, "[reshape] shape (2, 3) has 6 elements and does not fit shape (5,)"),
    (lambda: cp.reshape(T23, (-1, 4)), ValueError, "[reshape] shape (2, 3) has 6 elements and does not fit shape (-1, 4)"),
    (lambda: cp.reshape(T23, (-1, -1)), ValueError, "[reshape] shape (-1, -1) has more than one -1"),
    (lambda: cp.reshape(T23, (0, -1)), ValueError, "[reshape] shape (2, 3) has 6 elements and does not fit shape (0, -1)"),
    (lambda: cp.reshape(T23[:0], (0, -1)), ValueError, "[reshape] no elements fit shape (0, -1) with any extent in place of -1"),
    (lambda: cp.reshape(T23, (-2, -3)), ValueError, "[reshape] shape (-2, -3) has a negative extent"),
    (lambda: cp.reshape(T23, (2**62, 2**62)), ValueError, f"[reshape] shape (2, 3) has 6 elements and does not fit shape ({2**62}, {2**62})"),
    (lambda: cp.reshape(T23, (2.0, 3)), TypeError, "[reshape] shape takes integers, not float"),
    (lambda: cp.reshape(T23, 2**64), ValueError, "[reshape] shape is 18446744073709551616, which does not fit 64 bits"),
    (lambda: cp.reshape(T23.T, 6, copy=False), ValueError, "[reshape] copy=False, but shape (6,) over strides (8, 24) needs a copy"),
    (lambda: cp.reshape(T23, (1,) * 63 + (2, 3)), ValueError, "[reshape] 65 axes are more than the 64 that a tensor can have"),
    (lambda: cp.permute_dims(T23, (0,)), ValueError, "[permute_dims] 1 axis given for a tensor with 2"),
    (lambda: cp.permute_dims(T23, (0, 2)), cp.AxisError, "[permute_dims] axis 2 is out of range for a tensor with 2 axes"),
    (lambda: cp.permute_dims(T23, (0, -2)), cp.AxisError, "[permute_dims] axis -2 is given twice"),
    (lambda: cp.matrix_transpose(cp.zeros(2)), ValueError, "[matrix_transpose] needs at least 2 axes, not 1"),
    (lambda: cp.zeros(2).mT, ValueError, "[mT] needs at least 2 axes, not 1"),
    (lambda: cp.zeros((2, 2, 2)).T, ValueError, "[T] needs a tensor with 2 axes, not 3; use mT or permute_dims(axes)"),
    (lambda: cp.broadcast_to(T23, (2, 4)), ValueError, "[broadcast_to] shape (2, 3) does not broadcast to (2, 4)"),
    (lambda: cp.broadcast_to(T23, 3), ValueError, "[broadcast_to] shape (2, 3) does not broadcast to (3,)"),
    (lambda: cp.broadcast_to(T23, (-1, 2, 3)), ValueError, "[broadcast_to] shape (-1, 2, 3) has a negative extent"),
    (lambda: cp.broadcast_to(T23, (2**62, 2, 3)), ValueError, f"[broadcast_to] shape ({2**62}, 2, 3) of float64 needs more than 2**63 - 1 bytes"),
    (lambda: cp.broadcast_arrays(T23, cp.zeros(2)), ValueError, "[broadcast_arrays] shapes (2, 3) and (2,) do not broadcast: axis 1 has 3 and 2"),
    (lambda: cp.squeeze(T23, 0), ValueError, "[squeeze] axis 0 of shape (2, 3) has 2 elements, not 1"),
    (lambda: cp.squeeze(T23, 2), cp.AxisError, "[squeeze] axis 2 is out of range for a tensor with 2 axes"),
    (lambda: cp.expand_dims(T23, axis=4), IndexError, "[expand_dims] axis 4 is out of range for a tensor with 3 axes"),
    (lambda: cp.expand_dims(T23, axis=(0, -4)), cp.AxisError, "[expand_dims] axis -4 is given twice"),
    (lambda: cp.expand_dims(cp.zeros((1,) * 64)), ValueError, "[expand_dims] 65 axes are more than the 64 that a tensor can have"),
    (lambda: cp.flip(T23, axis=2), cp.AxisError, "[flip] axis 2 is out of range for a tensor with 2 axes"),
    (lambda: cp.flip(T23, axis=(0, 0)), cp.AxisError, "[flip] axis 0 is given twice"),
    (lambda: cp.moveaxis(T23, (0, 1), 0), ValueError, "[moveaxis] cannot move 2 axes to 1 place"),
    (lambda: cp.moveaxis(T23, 0, 5), cp.AxisError, "[moveaxis] axis 5 is out of range for a tensor with 2 axes"),
    (lambda: cp.concat([]), ValueError, "[concat] needs at least one tensor"),
    (lambda: cp.stack(()), ValueError, "[stack] needs at least one tensor"),
    (lambda: cp.concat([T23, cp.zeros((3, 2))]), ValueError, "[concat] shapes (2, 3) and (3, 2) differ outside axis 0"),
    (lambda: cp.concat([cp.zeros(2), T23]), ValueError, "[concat] shapes (2,) and (2, 3) differ outside axis 0"),
    (lambda: cp.concat([cp.zeros(())]), ValueError, "[concat] needs at least 1 axis, not 0"),
    (lambda: cp.concat([T23], axis=2), cp.AxisError, "[concat] axis 2 is out of range for a tensor with 2 axes"),
    (lambda: cp.concat(3), TypeError, "[concat] arrays takes a sequence of tensors, not int"),  # type: ignore[arg-type]
    (lambda: cp.stack([cp.zeros(2), cp.zeros(3)]), ValueError, "[stack] shapes (2,) and (3,) differ outside axis 0"),
    (lambda: cp.stack([T23], axis=3), cp.AxisError, "[stack] axis 3 is out of range for a tensor with 3 axes"),
    (lambda: cp.concat([cp.zeros(1, dtype=cp.float16), cp.zeros(1)]), NotImplementedError, "[concat] does not compute in float16, which is for storage: convert with astype first"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[text[:50] for _, _, text in ERRORS])
def test_error_messages(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value) == text


def test_views_of_read_only_tensors_are_read_only() -> None:
    t = cp.broadcast_to(cp.zeros((1, 3)), (2, 3))
    views = (
        t.T,
        t[0],
        t[..., None],
        cp.reshape(t[0], (3, 1)),
        cp.flip(t),
        cp.expand_dims(t),
        cp.moveaxis(t, 0, 1),
    )
    assert all(view.readonly for view in views)
    assert not cp.reshape(t, 6).readonly
    assert not cp.concat([t, t]).readonly


def test_a_view_keeps_the_memory_alive() -> None:
    view = cp.reshape(cp.arange(1000), (10, 100))[3:5, ::-1].T
    filler = [cp.zeros(1000) for _ in range(50)]
    assert view[0].tolist() == [399, 499]
    assert len(filler) == 50


def test_many_axes() -> None:
    t = cp.reshape(cp.arange(4), (2, 2) + (1,) * 62)
    assert t.ndim == 64
    assert cp.flip(t).shape == t.shape
    assert cp.permute_dims(t, tuple(reversed(range(64)))).shape[-2:] == (2, 2)
    assert cp.reshape(t, -1).tolist() == [0, 1, 2, 3]
    assert cp.squeeze(t, tuple(range(2, 64))).tolist() == [[0, 1], [2, 3]]
