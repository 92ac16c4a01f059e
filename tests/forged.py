"""Memory descriptions made by hand: DLPack capsules and buffers that say whatever a test wants."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

import corepy as cp

# ------------------------------------------------------------------------------- DLPack


class Array(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("array", Array),
    )  # fmt: skip


class Legacy(ctypes.Structure):
    _fields_ = (("array", Array), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


class Producer:
    """An object with DLPack's methods, which gives a capsule and a device as told."""

    def __init__(self, capsule: Any, device: Any = (1, 0)) -> None:
        self.capsule, self.device = capsule, device

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> Any:
        return self.device


class OldProducer(Producer):
    """One from before DLPack 1, whose method takes no options."""

    def __dlpack__(self) -> Any:  # type: ignore[override]
        return self.capsule


class Forged:
    """A capsule made by hand over eight doubles, with some fields changed."""

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        *,
        versioned: bool = True,
        deleter: bool = True,
        **fields: int,
    ) -> None:
        self.memory = np.arange(8.0)
        shape = [8] if shape is None else shape
        self.shape = (ctypes.c_int64 * len(shape))(*shape)
        self.strides = (ctypes.c_int64 * len(strides))(*strides) if strides else None
        self.deleted = 0
        self.deleter = DELETER(self.delete)
        self.managed: Versioned | Legacy
        if versioned:
            self.managed = Versioned(major=fields.pop("major", 1), flags=fields.pop("flags", 0))
        else:
            self.managed = Legacy()
        if deleter:
            self.managed.deleter = ctypes.cast(self.deleter, ctypes.c_void_p)
        self.managed.array = Array(
            data=self.memory.ctypes.data, device_type=1, ndim=len(shape), code=2, bits=64, lanes=1,
            shape=ctypes.addressof(self.shape), strides=ctypes.addressof(self.strides) if self.strides else 0,
        )  # fmt: skip
        for name, value in fields.items():
            setattr(self.managed.array, name, value)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype = ctypes.py_object
        new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        self.name = b"dltensor_versioned" if versioned else b"dltensor"
        self.capsule = new(ctypes.addressof(self.managed), self.name, None)

    def delete(self, _managed: Any) -> None:
        self.deleted += 1

    def load(self) -> Any:
        return cp.from_dlpack(Producer(self.capsule))


# ------------------------------------------------------------------------------- buffers


class Buffer(ctypes.Structure):
    """Py_buffer."""

    _fields_ = (
        ("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p),
    )  # fmt: skip


class _Slot(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_int), ("function", ctypes.c_void_p))


class _Spec(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("basicsize", ctypes.c_int), ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint), ("slots", ctypes.POINTER(_Slot)),
    )  # fmt: skip


# What exporters of the class below describe, and their number of buffers that are out.
_DESCRIPTIONS: dict[int, Exporter] = {}

_GET = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(Buffer), ctypes.c_int)
_RELEASE = ctypes.PYFUNCTYPE(None, ctypes.py_object, ctypes.POINTER(Buffer))


@_GET
def _get_buffer(exporter: Any, view: Any, flags: int) -> int:
    # An int's reference count is the caller's to keep.
    described = _DESCRIPTIONS[id(exporter)]
    ctypes.memmove(view, ctypes.byref(described.view), ctypes.sizeof(Buffer))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(exporter))
    view.contents.obj = id(exporter)
    described.out += 1
    described.asked = flags
    return 0


@_RELEASE
def _release_buffer(exporter: Any, view: Any) -> None:
    _DESCRIPTIONS[id(exporter)].out -= 1


def _exporting_class() -> Any:
    """A class with a C-level buffer, which Python classes can have from 3.12 on only."""
    bf_getbuffer, bf_releasebuffer = 1, 2  # numbers of the stable ABI
    slots = (_Slot * 3)(
        _Slot(bf_getbuffer, ctypes.cast(_get_buffer, ctypes.c_void_p)),
        _Slot(bf_releasebuffer, ctypes.cast(_release_buffer, ctypes.c_void_p)),
        _Slot(0, None),
    )
    spec = _Spec(b"forged.Exporter", object.__basicsize__, 0, 0, slots)
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, (ctypes.POINTER(_Spec),)
    return make(ctypes.byref(spec))


_CLASS = _exporting_class()


class Exporter:
    """Describes `object`, an exporter of a buffer over 64 bytes, with some fields changed.

    `shape`, `strides` and `suboffsets` are sequences or None for null pointers.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = (8,),
        strides: Sequence[int] | None = None,
        suboffsets: Sequence[int] | None = None,
        **fields: Any,
    ) -> None:
        self.memory = (ctypes.c_uint8 * 64)(*range(64))
        self.out = 0
        self.asked = 0
        self.arrays = [
            None if given is None else (ctypes.c_ssize_t * max(1, len(given)))(*given)
            for given in (shape, strides, suboffsets)
        ]
        at = [0 if array is None else ctypes.addressof(array) for array in self.arrays]
        size = 1
        for extent in shape or ():
            size *= extent
        described = {
            "buf": ctypes.addressof(self.memory), "len": 8 * size & (2**63 - 1), "itemsize": 8, "readonly": 0,
            "ndim": len(shape or ()), "format": b"d", "shape": at[0], "strides": at[1], "suboffsets": at[2],
        } | fields  # fmt: skip
        self.view = Buffer(**described)
        self.object = _CLASS()
        _DESCRIPTIONS[id(self.object)] = self

    def close(self) -> None:
        """To be called when no buffer is out."""
        assert self.out == 0
        del _DESCRIPTIONS[id(self.object)]
