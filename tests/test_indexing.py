"""Indexing for reading and writing, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import corepy as cp
from inputs import Array

DTYPES = ("bool", "int8", "uint16", "int64", "float32", "float64", "complex128")
Key = Any


def same(out: cp.Tensor, expected: Any) -> None:
    expected = np.asarray(expected)
    assert out.shape == expected.shape
    assert out.dtype.name == expected.dtype.name
    np.testing.assert_array_equal(np.asarray(out), expected)


def address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


@st.composite
def pairs(draw: st.DrawFn, least: int = 0, extents: int = 5, dtypes: tuple[str, ...] = DTYPES) -> Any:
    """An array and a tensor with the same values in the same strided layout, each over memory of its own."""
    shape = draw(st.lists(st.integers(0, extents), min_size=least, max_size=4))
    steps = [draw(st.sampled_from((1, 2, -1, -2))) for _ in shape]
    wide = [abs(step) * extent for step, extent in zip(steps, shape, strict=True)]
    order = draw(st.permutations(range(len(shape))))
    base = (np.arange(np.prod(wide, dtype=int)) % 251).astype(draw(st.sampled_from(dtypes)))
    n = base.reshape(wide)
    t = cp.asarray(n.copy())
    cut = tuple(slice(None, None, step) for step in steps)
    return n[(..., *cut)].transpose(order), cp.permute_dims(t[cut], tuple(order))


def slices(extent: int) -> st.SearchStrategy[slice]:
    bound = st.none() | st.integers(-extent - 2, extent + 2)
    step = st.none() | st.sampled_from((1, 2, 3, -1, -2, -3, 2**62, -(2**62)))
    return st.builds(slice, bound, bound, step)


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...], advanced: bool) -> tuple[Key, Key]:
    """A key as NumPy and as corepy take it."""
    ours: list[Any] = []
    theirs: list[Any] = []
    common = draw(st.sampled_from([(), (1,), (2,), (3,), (2, 3), (3, 1)])) if advanced else ()

    def add(theirs_: Any, ours_: Any) -> None:
        theirs.append(theirs_)
        ours.append(ours_)

    def array(a: Array) -> None:
        # An empty list says nothing of its kind and of axes after the first empty one.
        form = draw(st.sampled_from(("numpy", "tensor", "list" if a.size else "numpy")))
        add(a, {"numpy": lambda: a, "tensor": lambda: cp.asarray(a), "list": lambda: a.tolist()}[form]())

    axis = 0
    ellipsis = False
    while axis < len(shape) or draw(st.integers(0, 3)) == 0:
        kinds = ["new", "stop"]
        if axis < len(shape):
            kinds += ["slice", "slice", "whole"]
            if shape[axis]:
                kinds += ["at"]
                if advanced:
                    kinds += ["index", "index"]
            if advanced:
                kinds += ["mask", "mask2", "mask0"]
        if not ellipsis:
            kinds.append("ellipsis")
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "new":
            if len(ours) > 8:
                break
            add(None, None)
        elif kind == "ellipsis":
            ellipsis = True
            add(..., ...)
            axis += draw(st.integers(0, len(shape) - axis))
        elif kind == "slice":
            s = draw(slices(shape[axis]))
            add(s, s)
            axis += 1
        elif kind == "whole":
            add(slice(None), slice(None))
            axis += 1
        elif kind == "at":
            at = draw(st.integers(-shape[axis], shape[axis] - 1))
            add(at, draw(st.sampled_from((at, np.int32(at)))))
            axis += 1
        elif kind == "index":
            own = tuple(draw(st.sampled_from((e, 1))) for e in common)
            own = own[draw(st.integers(0, len(own))) :]
            size = int(np.prod(own, dtype=int))
            values = draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=size, max_size=size))
            array(np.array(values, draw(st.sampled_from(("int64", "int8", "int32")))).reshape(own))
            axis += 1
        else:
            covered = {"mask": 1, "mask2": 2, "mask0": 0}[kind]
            if axis + covered > len(shape):
                continue
            own = shape[axis : axis + covered]
            size = int(np.prod(own, dtype=int))
            array(np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool).reshape(own))
            axis += covered
    if ellipsis:
        # So that the ellipsis stands for the axes that it was drawn with.
        for _ in range(axis, len(shape)):
            add(slice(None), slice(None))
    if len(ours) == 1 and draw(st.booleans()):
        return theirs[0], ours[0]
    return tuple(theirs), tuple(ours)


def read(n: Array, key: Key) -> Any:
    """What NumPy reads, or None where it refuses the key."""
    try:
        return n[key]
    except (IndexError, ValueError):
        return None


@given(pairs(), st.data())
def test_basic_keys_are_views_of_the_same_elements(
    pair: tuple[Array, cp.Tensor], data: st.DataObject
) -> None:
    n, t = pair
    theirs, ours = data.draw(keys(n.shape, advanced=False))
    expected = read(n, theirs)
    if expected is None:
        with pytest.raises(IndexError):
            t[ours]
        return
    out = t[ours]
    same(out, expected)
    if isinstance(expected, np.ndarray) and expected.size:
        view = np.asarray(out)
        assert address(view) - address(np.asarray(t)) == address(expected) - address(n)
        for axis, extent in enumerate(expected.shape):
            assert extent == 1 or out.strides[axis] == expected.strides[axis]


@given(pairs(), st.data())
def test_any_key_reads_what_numpy_reads(pair: tuple[Array, cp.Tensor], data: st.DataObject) -> None:
    n, t = pair
    theirs, ours = data.draw(keys(n.shape, advanced=True))
    expected = read(n, theirs)
    if expected is None:
        with pytest.raises((IndexError, ValueError)):
            t[ours]
        return
    same(t[ours], expected)


@given(pairs(dtypes=("int64", "float32", "uint8")), st.data())
def test_any_key_writes_what_numpy_writes(pair: tuple[Array, cp.Tensor], data: st.DataObject) -> None:
    n, t = pair
    theirs, ours = data.draw(keys(n.shape, advanced=True))
    picked = read(n, theirs)
    if picked is None:
        with pytest.raises((IndexError, ValueError)):
            t[ours] = 1
        return
    shape = np.shape(picked)
    kind = data.draw(st.sampled_from(("scalar", "full", "stretched", "list", "wide")))
    if kind == "scalar":
        value: Any = 77
    else:
        own = tuple(data.draw(st.sampled_from((e, 1))) if kind == "stretched" else e for e in shape)
        own = own[data.draw(st.integers(0, len(own))) :] if kind == "stretched" else own
        own = (1, *own) if kind == "wide" and own else own
        value = (np.arange(np.prod(own, dtype=int)) + 100).astype(n.dtype).reshape(own)
    n = n.copy()
    try:
        n[theirs] = value
    except TypeError:
        # NumPy alone refuses a value with leading axes of extent 1 under a mask.
        assume(False)
    ours_value: Any = value
    if kind == "list" and value.size:
        ours_value = value.tolist()
    elif kind != "scalar":
        ours_value = cp.asarray(value)
    t[ours] = ours_value
    same(t, n)


@given(pairs(least=1, dtypes=("int64", "uint8")), st.data())
def test_overlapping_assignment_acts_as_if_copied_first(
    pair: tuple[Array, cp.Tensor], data: st.DataObject
) -> None:
    n, t = pair
    n = n.copy()
    extent = n.shape[0]
    low = data.draw(st.integers(0, extent))
    count = data.draw(st.integers(0, extent - low))
    to = data.draw(st.integers(0, extent - count))
    flip = data.draw(st.booleans())
    source = slice(low, low + count)
    n[to : to + count] = (n[source][::-1] if flip else n[source]).copy()
    t[to : to + count] = t[source][::-1] if flip else t[source]
    same(t, n)


def test_indices_and_masks_that_overlap_their_target() -> None:
    t = cp.asarray([3, 2, 1, 0])
    t[t] = cp.asarray([10, 20, 30, 40])
    assert t.tolist() == [40, 30, 20, 10]
    mask = cp.asarray([True, False, True, False])
    mask[mask] = False
    assert mask.tolist() == [False] * 4
    t = cp.asarray([0, 1, 2, 3])
    t[cp.asarray([1, 2, 3])] = t[:3]
    assert t.tolist() == [0, 0, 1, 2]
    t[t >= 1] = t[::-1][:2]
    assert t.tolist() == [0, 0, 2, 1]


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 63, 64, 65, 1023, 1024, 1025, 20_000, 300_000])
@pytest.mark.parametrize("dtype", ["bool", "int16", "float32", "float64", "complex128"])
def test_masks_and_indices_of_every_size(n: int, dtype: str) -> None:
    a = (np.arange(n) * 7 % 1009).astype(dtype)
    t = cp.asarray(a.copy())
    for mask in (np.arange(n) % 3 == 0, np.zeros(n, bool), np.ones(n, bool), np.arange(n) >= n - 1):
        same(t[cp.asarray(mask)], a[mask])
        b = a.copy()
        b[mask] = 1
        u = cp.asarray(a.copy())
        u[cp.asarray(mask)] = True
        same(u, b)
        b[mask] = b[::-1][mask]
        u[cp.asarray(mask)] = u[::-1][cp.asarray(mask)]
        same(u, b)
    if n:
        index = (np.arange(2 * n) * 31 % (2 * n)) - n
        same(t[cp.asarray(index)], a[index])
        same(cp.take(t, cp.asarray(index)), a[index])


def test_index_tensors_keep_every_bit() -> None:
    payloads = np.array([0x7FF8DEADBEEF0001, 0xFFF0000000000001, 0x8000000000000000, 1], np.uint64)
    t = cp.asarray(payloads.view(np.float64))
    out = np.asarray(t[cp.asarray([2, 0, 1, 3])])
    assert out.view(np.uint64).tolist() == payloads[[2, 0, 1, 3]].tolist()
    out = np.asarray(t[cp.asarray([True, True, False, True])])
    assert out.view(np.uint64).tolist() == payloads[[0, 1, 3]].tolist()


def test_writes_go_through_views() -> None:
    t = cp.zeros((3, 4))
    t[1][2] = 5
    t[:, ::-1][2, 0] = 6
    t.T[0] = [7, 8, 9]
    view = t[None, ..., 3]
    view += 1
    assert t.tolist() == [[7.0, 0.0, 0.0, 1.0], [8.0, 0.0, 5.0, 1.0], [9.0, 0.0, 0.0, 7.0]]


def test_scalars_are_weak_and_checked() -> None:
    t = cp.zeros(3, dtype=cp.float32)
    t[0] = 1
    t[1] = True
    t[2] = 0.1
    assert t.tolist() == [1.0, 1.0, float(np.float32(0.1))]
    h = cp.zeros(2, dtype=cp.float16)
    h[...] = 1.5
    assert h.astype(cp.float64).tolist() == [1.5, 1.5]
    u = cp.zeros(2, dtype=cp.uint64)
    u[0] = 2**64 - 1
    assert u.tolist() == [2**64 - 1, 0]
    u[:] = [2**64 - 1, 2**63]
    assert u.tolist() == [2**64 - 1, 2**63]


@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [
        ("int8", 128, OverflowError),
        ("int8", -129, OverflowError),
        ("int8", [1, 128], OverflowError),
        ("uint8", -1, OverflowError),
        ("uint64", 2**64, OverflowError),
        ("int64", 1.0, TypeError),
        ("int64", 1j, TypeError),
        ("float64", 1j, TypeError),
        ("bool", 1, TypeError),
        ("int64", [1.0, 2.0], TypeError),
        ("float32", "no", TypeError),
        ("float32", None, TypeError),
        ("float32", object(), TypeError),
    ],
)
def test_values_that_do_not_fit_change_nothing(dtype: str, value: Any, kind: type[Exception]) -> None:
    for key in (0, slice(None), ..., [0, 1], [True, False]):
        t = cp.zeros(2, dtype=getattr(cp, dtype))
        with pytest.raises(kind):
            t[key] = value
        assert not any(t.tolist())


X = cp.zeros((2, 3))
ERRORS = [
    (2, IndexError, "index 2 is out of range for axis 0 with 2 elements"),
    ((0, -4), IndexError, "index -4 is out of range for axis 1 with 3 elements"),
    ((slice(None), 3), IndexError, "index 3 is out of range for axis 1 with 3 elements"),
    ((0, 0, 0), IndexError, "3 indices for a tensor with 2 axes"),
    (([0], slice(None), 0), IndexError, "3 indices for a tensor with 2 axes"),
    ((..., ...), IndexError, "a key has at most one ellipsis (...), not 2"),
    (2**64, IndexError, "index 18446744073709551616 does not fit 64 bits and is out of range for any axis"),
    (-(2**64), IndexError, "index -18446744073709551616 does not fit 64 bits and is out of range for any axis"),
    (1.0, IndexError, "float is no index: use integers, slices, ..., None, masks (bool) or tensors of integers"),
    ("a", IndexError, "str is no index: use integers, slices, ..., None, masks (bool) or tensors of integers"),
    (cp.zeros(2), IndexError, "a tensor of float64 is no index: use integers, slices, ..., None, masks (bool) or tensors of integers"),
    ([0.5], IndexError, "list is no index: use integers, slices, ..., None, masks (bool) or tensors of integers"),
    ([0, 2], IndexError, "index 2 is out of range for axis 0 with 2 elements"),
    ((None, [[0, -3]]), IndexError, "index -3 is out of range for axis 0 with 2 elements"),
    ((0, [5]), IndexError, "index 5 is out of range for axis 1 with 3 elements"),
    ([True], IndexError, "a mask of shape (1,) does not fit shape (2, 3)"),
    ((0, [True, False]), IndexError, "a mask of shape (2,) does not fit shape (2, 3)"),
    (slice(0, 2, 0), ValueError, "the step is 0"),
    (slice(0, 1.5), TypeError, "slice indices must be integers or None or have an __index__ method"),
    (([0, 1], [0, 1, 2]), ValueError, "shapes (2,) and (3,) do not broadcast: axis 0 has 2 and 3"),
    ((None,) * 63, IndexError, None),
]  # fmt: skip


@pytest.mark.parametrize(("key", "kind", "text"), ERRORS, ids=lambda v: repr(v)[:40])
def test_errors_name_the_index(key: Key, kind: type[Exception], text: str | None) -> None:
    if text is None:
        kind, text = ValueError, "65 axes are more than the 64 that a tensor can have"
    with pytest.raises(kind) as raised:
        X[key]
    assert str(raised.value) == f"[getitem] {text}"
    with pytest.raises(kind) as raised:
        X[key] = 1
    assert str(raised.value) == f"[setitem] {text}"


def test_indices_beyond_the_signed_range_do_not_wrap() -> None:
    t = cp.asarray([1, 2, 3])
    for bad in (2**64 - 1, 2**63):
        index = cp.asarray(np.array([bad], np.uint64))
        with pytest.raises(IndexError, match=f"index {bad} is out of range"):
            t[index]
        with pytest.raises(IndexError, match="out of range"):
            t[index[0]]
        with pytest.raises(IndexError, match="out of range"):
            t[index] = 1


def test_a_wrong_index_writes_nothing() -> None:
    t = cp.zeros(4)
    with pytest.raises(IndexError, match="index 9 is out of range"):
        t[cp.asarray([0, 1, 9, 2])] = 1
    assert t.tolist() == [0.0] * 4


def test_values_that_do_not_broadcast_are_named() -> None:
    t = cp.zeros((2, 3))
    with pytest.raises(ValueError) as raised:
        t[0] = [1, 2]
    assert str(raised.value) == "[setitem] shape (2,) does not broadcast to (3,)"
    with pytest.raises(ValueError) as raised:
        t[t == 0] = [1, 2]
    assert str(raised.value) == "[setitem] shape (2,) does not broadcast to (6,)"


def test_read_only_tensors_say_why() -> None:
    t = cp.broadcast_to(cp.zeros(3), (2, 3))
    expected = "[setitem] the tensor is read-only: its memory belongs to a broadcast view, whose elements share memory"
    for key in (0, (0, 0), ..., [0], t == 0):
        with pytest.raises(ValueError) as raised:
            t[key] = 1
        assert str(raised.value) == expected
    assert t[0].readonly and t[..., None].readonly and not t[[0]].readonly


class Index:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> int:
        if isinstance(self.value, Exception):
            raise self.value
        return int(self.value)


def test_objects_with_index_are_integers() -> None:
    t = cp.asarray([[1, 2], [3, 4]])
    assert t[Index(1), Index(-1)].item() == 4
    assert t[Index(0) : Index(1)].tolist() == [[1, 2]]
    assert t[cp.asarray(1), cp.asarray(0, dtype=cp.uint8)].item() == 3
    with pytest.raises(ZeroDivisionError, match="mine"):
        t[Index(ZeroDivisionError("mine"))]
    with pytest.raises(ValueError, match="mine"):
        t[Index(ValueError("mine")) :]


def test_empty_lists_are_indices() -> None:
    t = cp.zeros((2, 3))
    assert t[[]].shape == (0, 3)
    assert t[:, []].shape == (2, 0)
    assert t[[[]]].shape == (1, 0, 3)
    t[[]] = 5
    t[:, :0] = []
    t[:0, 0] = []
    with pytest.raises(ValueError, match="does not broadcast"):
        t[:0] = []
    assert not np.asarray(t).any()


def test_deleting_is_refused() -> None:
    t: Any = cp.zeros(3)
    with pytest.raises((TypeError, NotImplementedError)):
        del t[0]


@given(pairs(least=1), st.data())
def test_take_is_numpys(pair: tuple[Array, cp.Tensor], data: st.DataObject) -> None:
    n, t = pair
    axis = data.draw(st.integers(-n.ndim, n.ndim - 1))
    extent = n.shape[axis]
    shape = data.draw(st.sampled_from([(0,), (1,), (5,), (2, 3), ()]))
    if not extent and np.prod(shape):
        shape = (0,)
    size = int(np.prod(shape, dtype=int))
    values = data.draw(st.lists(st.integers(-extent, max(extent - 1, -extent)), min_size=size, max_size=size))
    index = np.array(values, np.int64).reshape(shape)
    same(cp.take(t, cp.asarray(index), axis=axis), np.take(n, index, axis=axis))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: cp.take(X, [0]), ValueError, "axis can be left out for one axis only, not for 2"),
        (lambda: cp.take(X, [0], axis=2), IndexError, "axis 2 is out of range for a tensor with 2 axes"),
        (lambda: cp.take(X, [3], axis=1), IndexError, "index 3 is out of range for axis 1 with 3 elements"),
        (
            lambda: cp.take(X, [0.0], axis=1),
            IndexError,
            "indices are integers or a mask of bool, not float64",
        ),
    ],
)
def test_take_errors(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value) == f"[take] {text}"


@given(pairs(extents=3, dtypes=("int64", "float32")), st.data())
def test_where_is_numpys(pair: tuple[Array, cp.Tensor], data: st.DataObject) -> None:
    n, t = pair
    mask = np.arange(n.size).reshape(n.shape) % 3 == 0
    same(
        cp.where(cp.asarray(mask), t, t[..., ::-1] if n.ndim else t),
        np.where(mask, n, n[..., ::-1] if n.ndim else n),
    )
    same(cp.where(cp.asarray(mask), t, 5), np.where(mask, n, 5))
    same(cp.where(cp.asarray(mask), 2.5, t), np.where(mask, 2.5, n))
    same(cp.where(True, t, 0), n)
    one = data.draw(st.sampled_from((0, 1)))
    same(cp.where(one, 1, 2.5), np.where(one, 1, 2.5))
