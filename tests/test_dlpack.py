"""DLPack, both ways: NumPy as the other side, and capsules made by hand."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import corepy as cp
from forged import Forged, OldProducer, Producer
from ops.dtypes import DTYPES

DLPACK_NUMPY = [d.name for d in DTYPES if d.name != "bfloat16"]
LAYOUTS = ("C", "F", "strided", "reversed", "broadcast")


def lay_out(dtype: str, layout: str) -> np.ndarray[Any, Any]:
    """Elements that differ where the dtype allows, in a layout."""
    a = np.arange(24).astype(dtype)
    match layout:
        case "C":
            return a.reshape(2, 3, 4)
        case "F":
            return a.reshape(4, 3, 2).T
        case "strided":
            return a.reshape(4, 6)[::2, 1::2]
        case "reversed":
            return a.reshape(4, 6)[::-1, ::-1]
        case _:
            return np.broadcast_to(a[:4], (3, 4))


class Held(np.ndarray[Any, Any]):
    """An array that can be watched."""


def watched() -> tuple[Held, Any]:
    a = np.arange(1000.0).view(Held)
    return a, weakref.ref(a)


@pytest.mark.parametrize("dtype", DLPACK_NUMPY)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_dlpack_from_numpy(dtype: str, layout: str) -> None:
    a = lay_out(dtype, layout)
    t = cp.from_dlpack(a)
    assert t.dtype is getattr(cp, dtype)
    assert t.shape == a.shape
    assert t.strides == a.strides
    assert t.readonly == (not a.flags.writeable)
    assert np.shares_memory(np.asarray(t), a)
    assert t.tolist() == a.tolist()
    copied = cp.from_dlpack(a, copy=True)
    assert not np.shares_memory(np.asarray(copied), a)
    assert copied.tolist() == a.tolist()
    assert not copied.readonly


@pytest.mark.parametrize("dtype", DLPACK_NUMPY)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_dlpack_to_numpy(dtype: str, layout: str) -> None:
    t = cp.asarray(lay_out(dtype, layout))
    a = np.from_dlpack(t)
    assert a.dtype == np.dtype(dtype)
    assert a.shape == t.shape
    assert a.strides == t.strides
    assert a.flags.writeable == (not t.readonly)
    assert np.shares_memory(a, np.asarray(t))
    assert a.tolist() == t.tolist()
    copied = np.from_dlpack(t, copy=True)
    assert not np.shares_memory(copied, np.asarray(t))
    assert copied.tolist() == t.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1)])
def test_dlpack_of_small_and_empty(shape: tuple[int, ...]) -> None:
    t = cp.ones(shape)
    assert np.from_dlpack(t).tolist() == t.tolist()
    assert cp.from_dlpack(np.ones(shape)).tolist() == t.tolist()


def test_dlpack_of_bfloat16_goes_round() -> None:
    t = cp.asarray([1.0, 2.5], dtype=cp.bfloat16)
    back = cp.from_dlpack(t)
    assert back.dtype is cp.bfloat16
    assert back.tolist() == [1.0, 2.5]
    t[0] = 7.0
    assert back.tolist() == [7.0, 2.5]


def test_dlpack_device_and_options() -> None:
    t = cp.zeros(2)
    assert t.__dlpack_device__() == (1, 0)
    assert "dltensor_versioned" in repr(t.__dlpack__(max_version=(1, 0)))
    assert "dltensor_versioned" in repr(t.__dlpack__(max_version=(2, 3)))
    for version in (None, (0, 8)):
        assert '"dltensor"' in repr(t.__dlpack__(max_version=version))
    assert t.__dlpack__(stream=None, dl_device=(1, 0), copy=False)
    with pytest.raises(ValueError, match=r"^\[__dlpack__\] the cpu has no streams: stream is None, not 1$"):
        t.__dlpack__(stream=1)
    with pytest.raises(BufferError, match="only device"):
        t.__dlpack__(dl_device=(2, 0))
    assert cp.from_dlpack(t, device="cpu").tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="device"):
        cp.from_dlpack(t, device="cuda")
    with pytest.raises(TypeError, match=r"^\[from_dlpack\] list has no __dlpack__$"):
        cp.from_dlpack([1])  # type: ignore[arg-type]


def test_dlpack_refuses_what_it_cannot_say() -> None:
    read_only = cp.asarray(b"ab")
    with pytest.raises(BufferError, match="read-only"):
        read_only.__dlpack__()
    assert np.from_dlpack(read_only).flags.writeable is False
    assert read_only.__dlpack__(copy=True)
    odd = cp.asarray(
        np.zeros(3, [("x", "f4"), ("y", "f8")])["y"].copy().view(np.uint8).reshape(3, 8)[:, :1].copy()
    )
    assert np.from_dlpack(odd).shape == (3, 1)
    packed = np.zeros(3, np.dtype([("x", "<i4"), ("y", "<i2")]))[
        "x"
    ]  # strides of 6 bytes, of 4-byte elements
    view = cp.asarray(packed.view()) if packed.flags.aligned else None
    if view is not None:
        with pytest.raises(BufferError, match=r"strides \(6,\) are no multiples|not aligned"):
            view.__dlpack__()


def test_old_producers_are_read_only() -> None:
    t = cp.asarray([1.0, 2.0])
    back = cp.from_dlpack(OldProducer(t.__dlpack__()))
    assert back.readonly
    assert back.tolist() == [1.0, 2.0]
    copied = cp.from_dlpack(OldProducer(t.__dlpack__()), copy=True)
    assert not copied.readonly
    del t
    assert back.tolist() == [1.0, 2.0]
    assert np.from_dlpack(OldProducer(cp.asarray([3]).__dlpack__())).tolist() == [3]


def test_a_capsule_is_used_once() -> None:
    capsule = cp.asarray([1.0]).__dlpack__(max_version=(1, 0))
    assert cp.from_dlpack(Producer(capsule)).tolist() == [1.0]
    assert "used_dltensor_versioned" in repr(capsule)
    with pytest.raises(
        BufferError, match=r"^\[from_dlpack\] the capsule holds no DLPack tensor, or has been used$"
    ):
        cp.from_dlpack(Producer(capsule))
    with pytest.raises(TypeError, match="returned int, not a capsule"):
        cp.from_dlpack(Producer(3))
    with pytest.raises(BufferError, match="device 2"):
        cp.from_dlpack(Producer(None, (2, 0)))


def test_dlpack_lifetimes() -> None:
    a, alive = watched()
    t = cp.from_dlpack(a)
    capsule = t.__dlpack__(max_version=(1, 0))
    unused = t[3:].__dlpack__()
    again = np.from_dlpack(t)
    del a, t
    gc.collect()
    assert alive() is not None
    del capsule, unused
    assert again.tolist() == np.arange(1000.0).tolist()
    del again
    gc.collect()
    assert alive() is None


def test_a_capsule_by_hand() -> None:
    forged = Forged()
    t = forged.load()
    assert t.tolist() == list(range(8))
    assert not t.readonly
    view = t[2:]
    del t
    assert forged.deleted == 0
    del view
    assert forged.deleted == 1
    forged = Forged([2, 2], [4, -1], byte_offset=8, flags=1)
    t = forged.load()
    assert t.tolist() == [[1.0, 0.0], [5.0, 4.0]]
    assert t.readonly
    assert Forged([3, 0], [1 << 62, 1 << 62]).load().tolist() == [[], [], []]
    assert Forged([1], [1 << 62]).load().tolist() == [0.0]
    assert Forged([], None).load().item() == 0.0
    assert Forged([1], None, data=0).managed.array.data is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shape": [-1]}, "negative extent"),
        ({"shape": [1 << 62, 1 << 62]}, "2**63"),
        ({"shape": [4], "strides": [1 << 62]}, "leaves the address space"),
        ({"shape": [1 << 40, 1], "strides": [1 << 59, 1]}, "leave"),
        ({"shape": [1 << 30, 2], "strides": [1 << 29, -(1 << 59)]}, "leaves the address space"),
        ({"ndim": 65}, "65 axes"),
        ({"ndim": -1}, "-1 axes"),
        ({"ndim": 1, "shape": [8], "data": 0}, "without memory"),
        ({"byte_offset": 3}, "not aligned"),
        ({"byte_offset": (1 << 64) - 1}, "without memory"),
        ({"code": 2, "bits": 80}, "code 2 of 80 bits and 1 lane is no dtype"),
        ({"lanes": 4}, "4 lanes"),
        ({"code": 3}, "is no dtype"),
        ({"device_type": 2}, "device 2"),
        ({"major": 2}, "DLPack version 2 is not version 1"),
    ],
)
def test_hostile_capsules_are_refused(fields: dict[str, Any], message: str) -> None:
    forged = Forged(**fields)
    with pytest.raises((BufferError, ValueError)) as caught:
        forged.load()
    assert str(caught.value).startswith("[from_dlpack] ")
    assert message in str(caught.value)
    # Refused before it was taken over, or taken over and given back once.
    assert forged.deleted == ("used" in repr(forged.capsule))


def test_a_shape_that_is_missing() -> None:
    forged = Forged()
    forged.managed.array.shape = None
    with pytest.raises(BufferError, match="without a shape"):
        forged.load()


def test_objects_with_dlpack_alone_are_arrays() -> None:
    t = cp.asarray([1.0, 2.0])
    for producer in (Producer(t.__dlpack__(max_version=(1, 0))), OldProducer(t.__dlpack__())):
        assert cp.asarray(producer).tolist() == [1.0, 2.0]  # type: ignore[arg-type]
    nested = [Producer(t.__dlpack__(max_version=(1, 0))), [3.0, 4.0]]
    assert cp.asarray(nested).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert (t + Producer(t.__dlpack__(max_version=(1, 0)))).tolist() == [2.0, 4.0]  # type: ignore[arg-type]
