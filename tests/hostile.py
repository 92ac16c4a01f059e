"""Arguments that no caller should give: extreme numbers, wrong objects, lies, and objects that strike back.

Everything is drawn from a random generator that the caller seeds, so that a call can be made again.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import decimal
import fractions
import inspect
import io
import itertools
import math
import mmap
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import corepy as cp
from forged import Exporter, Forged, OldProducer, Producer

c: Any = cp

# What a call may raise, as documented, besides what the hostile objects below raise.
DOCUMENTED = (
    TypeError, ValueError, IndexError, OverflowError, MemoryError, BufferError, ZeroDivisionError,
    NotImplementedError, AttributeError, KeyError, OSError, RecursionError, cp.lanes.ParseError, cp.lanes.LaneFault,
)  # fmt: skip


class Mine(Exception):
    """What hostile objects raise."""


# ------------------------------------------------------------------------------- plain junk

INTEGERS = (
    0, 1, -1, 2, 3, 7, 63, 64, 65, 255, 256, 1000, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32,
    2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 2**100, -(2**100), 10**400,
)  # fmt: skip
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.5, 3.0, math.nan, math.inf, -math.inf, 5e-324, 1e308, 2.0**63, 2.0**64)
TEXTS = (
    "",
    "a",
    "int8",
    "float64",
    "cpu",
    "cuda",
    "bool",
    "same",
    "\ud800",
    "\0",
    "x" * 2000,
    "2025.12",
    ".2f",
    "1",
)
DTYPES = [getattr(cp, name) for name in (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16",
    "float32", "float64", "complex64", "complex128",
)]  # fmt: skip
SHAPES = (
    (),
    (0,),
    (1,),
    (3,),
    (4,),
    (2, 3),
    (3, 2),
    (2, 0, 3),
    (1, 1, 1),
    (2, 2, 2),
    (1,) * 64,
    (17,),
    (1030,),
    (5, 7, 3),
)


def tensor(r: random.Random) -> Any:
    """A good tensor of some dtype and layout."""
    shape = r.choice(SHAPES)
    t = c.zeros(shape, dtype=r.choice(DTYPES))
    if t.size and r.random() < 0.5:
        t[...] = True
    kind = r.randrange(12)
    if kind == 0:
        return c.broadcast_to(t, (2, *shape)) if t.ndim < 64 else t
    if kind == 1:
        return c.flip(t)
    if kind == 2 and t.ndim >= 2:
        return t.mT
    if kind == 3 and t.ndim:
        return t[::2]
    if kind == 4:
        return c.asarray(bytes(r.randrange(9)))
    if kind == 5:
        return c.asarray(bytearray(r.randrange(9)))
    if kind == 6 and r.random() < 0.2:
        return c.broadcast_to(
            c.zeros(1, dtype=r.choice(DTYPES)), r.choice([(2**40,), (2**20, 2**20), (2, 2**57)])
        )
    if kind == 7:
        return c.asarray([True, False, True])
    if kind == 8:
        return c.asarray([0, -1, 2])
    return t


def array_of_numpy(r: random.Random) -> Any:
    kind = r.randrange(12)
    shape = r.choice(SHAPES[:-3])
    if kind < 4:
        return np.zeros(
            shape, r.choice(["?", "i1", "u8", "f2", "f4", "f8", "c8", "c16", ">i4", ">f8", "longdouble"])
        )
    match kind:
        case 4:
            return np.array([object(), 1, None])
        case 5:
            return np.array(["text", "b"])
        case 6:
            return np.zeros(3, [("a", "i1"), ("b", "f8")])["b"]
        case 7:
            return np.zeros((2, 2), "M8[s]")
        case 8:
            return np.broadcast_to(np.float32(1), (2, 3))
        case 9:
            return np.ma.masked_array([1, 2], [True, False])
        case 10:
            return np.zeros(4)[::-1]
    return r.choice(
        [
            np.float64(2.5),
            np.int8(3),
            np.bool_(True),
            np.datetime64("2020"),
            np.str_("a"),
            np.void(b"ab"),
            np.complex64(1j),
            np.longdouble(1),
        ]
    )


def released() -> memoryview:
    view = memoryview(bytearray(8))
    view.release()
    return view


def buffer(r: random.Random) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: b"", lambda: b"abc", lambda: bytearray(8), lambda: memoryview(bytes(8)).cast("d"),
        lambda: memoryview(bytes(12)).cast("B", (3, 4)), lambda: memoryview(bytearray(8))[::2], released,
        lambda: array.array("h", [1, 2]), lambda: array.array("u", "ab"), lambda: (ctypes.c_char * 3)(),
        lambda: (ctypes.c_void_p * 2)(), lambda: (ctypes.c_double * 0)(), lambda: (ctypes.c_int * 2 * 3)(),
        lambda: pickle.PickleBuffer(bytearray(4)), lambda: mmap.mmap(-1, 64), lambda: io.BytesIO(b"abcd").getbuffer(),
    ]  # fmt: skip
    return r.choice(makers)()


def forged(r: random.Random) -> Any:
    """A memory description that cannot be true, but of which nobody could read a wrong byte."""
    lies: list[dict[str, Any]] = [
        {"ndim": -1}, {"ndim": 65}, {"shape": None, "ndim": 2}, {"len": 9}, {"len": -8}, {"itemsize": 0}, {"itemsize": -8},
        {"format": b"\xff"}, {"format": None}, {"format": b""}, {"buf": 0}, {"shape": (-1,)}, {"shape": (2**62, 2)},
        {"shape": (2, 2**63 - 1)}, {"strides": (2**62,)}, {"suboffsets": (0,)}, {"shape": (0,), "strides": (2**62,)},
    ]  # fmt: skip
    if r.random() < 0.5:
        return Exporter(**r.choice(lies)).object
    capsules: list[dict[str, Any]] = [
        {"ndim": -5}, {"ndim": 2**31 - 1}, {"shape": [-1]}, {"shape": [2**62, 2**62]}, {"data": 0}, {"code": 200}, {"bits": 7},
        {"lanes": 0}, {"lanes": 65535}, {"device_type": 2}, {"device_type": -1}, {"byte_offset": 2**64 - 1}, {"byte_offset": 1},
        {"strides": [2**62]}, {"shape": [3, 0], "strides": [2**62, 2**62]}, {},
    ]  # fmt: skip
    made = Forged(**r.choice(capsules), versioned=r.random() < 0.5, deleter=r.random() < 0.5)
    KEPT.append(made)
    return (Producer if r.random() < 0.5 else OldProducer)(made.capsule)


# Forged capsules: their memory is Python's, which must outlive the tensors made over it.
KEPT: list[Any] = []


def nested(r: random.Random, depth: int) -> Any:
    out: Any = junk(r, 0) if r.random() < 0.5 else 1
    for _ in range(depth):
        out = [out] if r.random() < 0.9 else (out,)
    return out


def sequence(r: random.Random, depth: int) -> Any:
    match r.randrange(12):
        case 0:
            return nested(r, r.choice([2, 63, 64, 65, 1000]))
        case 1:
            own: list[Any] = [1, 2]
            own[r.randrange(2)] = own
            return own
        case 2:
            first: list[Any] = []
            second = [first, 1]
            first.append(second)
            return first
        case 3:
            return [[1, 2], [3]]
        case 4:
            return r.choice([[], [[]], [[], [1]], (), ((), ())])
        case 5:
            return {1: 2}
        case 6:
            return range(r.randrange(5))
        case 7:
            return iter([1, 2, 3])
        case 8:
            return [r.choice(INTEGERS) for _ in range(r.randrange(4))]
        case 9:
            return tuple(r.randrange(-2, 4) for _ in range(r.randrange(4)))
    items = [junk(r, depth - 1) for _ in range(r.randrange(4))]
    return items if r.random() < 0.5 else tuple(items)


def cut(r: random.Random) -> slice:
    def end() -> Any:
        return r.choice([None, 0, 1, -1, 2, 2**63, -(2**64), 1.5, "a"]) if r.random() < 0.8 else junk(r, 0)

    return slice(end(), end(), end())


def other(r: random.Random) -> Any:
    return r.choice([
        None, Ellipsis, NotImplemented, object(), type, int, list, cp.Tensor, cp, len, lambda: 1, {1, 2}, ValueError("x"),
        decimal.Decimal("1.5"), fractions.Fraction(1, 3), np.dtype("f4"), np.float32, cp.finfo(cp.float32), 1j, complex(math.nan, math.inf),
    ])  # fmt: skip


# ------------------------------------------------------------------------------- hostile objects

SPECIAL = (
    "__len__", "__getitem__", "__index__", "__int__", "__float__", "__complex__", "__bool__", "__iter__", "__next__", "__eq__",
    "__hash__", "__lt__", "__repr__", "__str__", "__array__", "__array_interface__", "__array_struct__", "__dlpack__",
    "__dlpack_device__", "__buffer__", "__getattr__", "__contains__", "__radd__", "__rmatmul__", "__array_namespace__", "name",
    "__length_hint__", "__format__", "__class__", "__array_priority__", "__array_ufunc__", "shape", "dtype", "__reduce_ex__",
)  # fmt: skip
# Methods that together make an object that corepy looks into.
ROLES = (
    ("__len__", "__getitem__"), ("__len__", "__getitem__", "__iter__"), ("__index__",), ("__float__", "__index__"), ("__array__",),
    ("__dlpack__", "__dlpack_device__"), ("__dlpack__", "__dlpack_device__"), ("name",), ("__bool__", "__complex__", "__int__"),
    ("__iter__", "__next__"), ("__repr__",), ("__str__", "__repr__", "name"), ("__radd__", "__rmatmul__", "__eq__", "__hash__"), (),
)  # fmt: skip
BASES = (*[object] * 10, list, tuple, int, float, complex, str, bytes, bytearray, dict, np.ndarray, type)


def behaviour(r: random.Random, name: str, shared: list[Any]) -> Callable[..., Any]:
    """What one special method does: raises, lies, returns junk, changes things, comes back in."""

    def raises(*_a: Any, **_k: Any) -> Any:
        raise Mine(name)

    kind = r.randrange(14)
    if kind < 3:
        return raises
    if kind == 3:
        error = r.choice(DOCUMENTED)
        return lambda *_a, **_k: (_ for _ in ()).throw(error(name))
    if kind == 4:
        value = junk(r, 0)
        return lambda *_a, **_k: value
    if kind == 5:
        return lambda self, *_a, **_k: self
    if kind == 6:

        def mutates(*_a: Any, **_k: Any) -> Any:
            with contextlib.suppress(BufferError, ValueError):
                r.choice(
                    [
                        shared.clear,
                        lambda: shared.append(shared),
                        lambda: shared.extend([1] * 100),
                        shared.reverse,
                    ]
                )()
            return r.choice([0, 1, 2, (1, 0), 1.5])

        return mutates
    if kind == 7:

        def comes_back(self: Any, *_a: Any, **_k: Any) -> Any:
            if len(inspect.stack(0)) > 20:
                return 1
            return r.choice([c.asarray, c.sum, c.zeros, c.result_type])(r.choice([self, shared, 3]))

        return comes_back
    if kind == 8:
        return lambda *_a, **_k: next(COUNTER)
    if kind == 9:
        good = {
            "__len__": 3, "__getitem__": 1.5, "__index__": 2, "__int__": 2, "__float__": 2.5, "__bool__": True, "__hash__": 1,
            "__eq__": True, "__dlpack_device__": (1, 0), "__array__": np.zeros(3), "name": "int8", "__repr__": "r", "__class__": list,
            "__iter__": iter([1, 2]), "__array_namespace__": cp, "__length_hint__": 2, "shape": (2,), "dtype": cp.int8,
        }  # fmt: skip
        value = good.get(name, 1)
        return lambda *_a, **_k: value
    if kind == 10:
        huge = r.choice([2**62, 2**63, -1, 2**100, math.nan])
        return lambda *_a, **_k: huge
    if kind == 11:
        return lambda *_a, **_k: memoryview(bytearray(8))
    if kind == 12:
        capsule = c.zeros(3).__dlpack__(max_version=r.choice([None, (1, 0)]))
        return lambda *_a, **_k: capsule
    alternating = itertools.cycle([1, Mine, 3, "x", -1])
    return lambda *_a, **_k: next(alternating)


COUNTER = itertools.count()


def hostile(r: random.Random) -> Any:
    shared: list[Any] = [1, 2, 3]
    base = r.choice(BASES)
    methods: dict[str, Any] = {}
    for name in {*r.choice(ROLES), *r.sample(SPECIAL, r.randrange(3))}:
        does = behaviour(r, name, shared)
        as_attribute = name in (
            "name",
            "__array_interface__",
            "__array_struct__",
            "__class__",
            "__array_priority__",
            "shape",
            "dtype",
        )
        methods[name] = property(does) if as_attribute else does
    if r.random() < 0.05:
        methods["__module__"] = r.choice([3, None, "\ud800"])
    made = type("Hostile", (base,), methods)
    if base is type:
        return made
    try:
        if base in (list, tuple):
            own = made([1, 2, 3])
        elif base is np.ndarray:
            own = made((2,))
        elif base in (bytes, bytearray):
            own = made(b"12345678")
        else:
            own = made()
    except Exception:
        return made
    shared[r.randrange(3)] = own
    return shared if r.random() < 0.4 else own


def junk(r: random.Random, depth: int = 2) -> Any:
    """Any object at all."""
    kind = r.randrange(100)
    if kind < 12:
        return r.choice(INTEGERS)
    if kind < 20:
        return r.choice(FLOATS)
    if kind < 26:
        return r.choice(TEXTS)
    if kind < 42:
        return tensor(r)
    if kind < 50:
        return array_of_numpy(r)
    if kind < 56:
        return buffer(r)
    if kind < 59:
        return forged(r)
    if kind < 63:
        return r.choice(DTYPES)
    if kind < 67:
        return cut(r)
    if kind < 68 or depth <= 0:
        return other(r)
    if kind < 76:
        return sequence(r, depth)
    return hostile(r)
