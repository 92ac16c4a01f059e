"""Calls of everything public with arguments that no caller should give; `--call N` repeats one.

Runs in a process of its own, which tests/test_junk.py starts: whatever happens to it is told there.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import copy
import ctypes
import decimal
import fractions
import inspect
import io
import itertools
import json
import math
import mmap
import operator
import os
import pickle
import random
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

for folder in (Path(__file__).resolve().parent.parent, Path(__file__).resolve().parent):
    sys.path.insert(0, str(folder))

import numpy as np  # noqa: E402 (the folders come first)

import corepy as cp  # noqa: E402
from forged import Exporter, Forged, OldProducer, Producer  # noqa: E402
from ops.table import ELEMENTWISE, FUNCTIONS, REDUCTIONS  # noqa: E402

c: Any = cp
native: Any = sys.modules["corepy._native"]

# What a call may raise, as documented, besides what the hostile objects below raise.
DOCUMENTED = (
    TypeError, ValueError, IndexError, OverflowError, MemoryError, BufferError, ZeroDivisionError,
    NotImplementedError, AttributeError, KeyError, OSError, RecursionError,
)  # fmt: skip
# Memory for all that the process does beyond what it holds at the start.
MEMORY = 1 << 30
# Seconds after which a call is stopped, as Ctrl-C would.
LIMIT = 0.3
# The text of the call under way, for whoever finds the process dead.
JOURNAL = 1 << 14


class Mine(Exception):
    """What hostile objects raise."""


class TimeUp(Exception):
    """Raised by the signal that ends a long call."""


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
            if len(inspect.stack(0)) > 60:
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


# ------------------------------------------------------------------------------- calls


def plausible(r: random.Random, name: str) -> Any:
    """What a parameter of this name takes, so that the other arguments are looked at too."""
    match name:
        case "axis" | "source" | "destination" | "axes":
            return r.choice([None, 0, -1, 1, (0,), (0, 1), (-1, 0), ()])
        case "dtype" | "type" | "to" | "from_":
            return r.choice([None, *DTYPES, "float32", float])
        case "shape":
            return r.choice([*SHAPES[:-3], -1, (-1, 2), (3, -1)])
        case "copy" | "keepdims" | "endpoint":
            return r.choice([True, False, None])
        case "device":
            return r.choice([None, "cpu"])
        case "stream" | "modulo":
            return None
        case "n" | "k" | "num" | "n_rows" | "n_cols" | "start" | "stop" | "step" | "correction":
            return r.choice([0, 1, 2, 5, -1, 1.5])
        case "key":
            return r.choice([0, -1, ..., None, slice(None), (0, ...), [0, 0], True, (slice(None), None)])
        case "arrays":
            return [tensor(r) for _ in range(r.randrange(4))]
        case "max_version" | "dl_device":
            return r.choice([None, (1, 0), (0, 8), (1, 2)])
    return tensor(r) if r.random() < 0.8 else r.choice([1, 2.5, True, [1, 2, 3]])


def given(r: random.Random, parameters: list[inspect.Parameter] | None) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for a signature, most of them plausible; or any number of any arguments."""
    if parameters is None or r.random() < 0.08:
        words = r.sample(["axis", "dtype", "copy", "x", "", "keepdims"], 1) if r.random() < 0.2 else []
        return [junk(r) for _ in range(r.randrange(4))], {word: junk(r) for word in words}
    good = r.choice([0.2, 0.6, 0.85])
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for p in parameters:
        value = plausible(r, p.name) if r.random() < good else junk(r)
        if p.kind is p.VAR_POSITIONAL:
            args += [junk(r) if r.random() > good else tensor(r) for _ in range(r.randrange(4))]
        elif p.kind is p.KEYWORD_ONLY:
            if r.random() < 0.5:
                kwargs[p.name] = value
        elif p.default is p.empty or r.random() < 0.6:
            args.append(value)
        else:
            break
    return args, kwargs


def parameters_of(target: Any, bound: bool = False) -> list[inspect.Parameter] | None:
    try:
        found = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return None
    return found[1:] if bound else found


# Not called: what ends or changes the process on purpose, and Python's own machinery of classes.
LEFT_OUT = {"__class__", "__init_subclass__", "__subclasshook__", "__new__", "__dir__"}
BINARY = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
)
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
KEYED = ("__getitem__", "__setitem__", "__delitem__", "__contains__")

Target = tuple[str, Callable[[random.Random], tuple[Any, list[Any], dict[str, Any]]]]


def targets() -> list[Target]:
    """Everything public, each as a name and a maker of a call."""
    found: list[Target] = []

    def add(name: str, make: Callable[[random.Random], tuple[Any, list[Any], dict[str, Any]]]) -> None:
        found.append((name, make))

    def function(name: str, target: Any) -> None:
        parameters = parameters_of(target)
        add(name, lambda r: (target, *given(r, parameters)))

    def method(label: str, name: str, owner: Callable[[random.Random], Any], parameters: Any) -> None:
        if name in KEYED:

            def make(r: random.Random) -> tuple[Any, list[Any], dict[str, Any]]:
                key = plausible(r, "key") if r.random() < 0.4 else junk(r)
                value = (
                    [plausible(r, "value") if r.random() < 0.5 else junk(r)] if name == "__setitem__" else []
                )
                return getattr(owner(r), name), [key, *value], {}
        else:

            def make(r: random.Random) -> tuple[Any, list[Any], dict[str, Any]]:
                return getattr(owner(r), name), *given(r, parameters)

        add(f"{label}.{name}", make)

    def methods(label: str, kind: Any, owner: Callable[[random.Random], Any]) -> None:
        for name in dir(kind):
            if name in LEFT_OUT:
                continue
            attribute = inspect.getattr_static(kind, name)
            if callable(getattr(kind, name, None)):
                method(label, name, owner, parameters_of(getattr(kind, name), bound=True))
            elif not callable(attribute):
                add(f"{label}.{name}", lambda r, name=name: (getattr, [owner(r), name], {}))
                add(f"set {label}.{name}", lambda r, name=name: (setattr, [owner(r), name, junk(r)], {}))
                add(f"del {label}.{name}", lambda r, name=name: (delattr, [owner(r), name], {}))

    for name in dir(cp):
        target = getattr(cp, name)
        if (
            callable(target)
            and not name.startswith("_")
            and not (isinstance(target, type) and issubclass(target, BaseException))
        ):
            function(name, target)
    function("_rebuild", native._rebuild)
    methods("Tensor", cp.Tensor, tensor)
    methods("DType", cp.DType, lambda r: r.choice(DTYPES))
    methods("finfo", type(cp.finfo(cp.float32)), lambda r: cp.finfo(r.choice(DTYPES[9:])))
    methods("iinfo", type(cp.iinfo(cp.int8)), lambda r: cp.iinfo(r.choice(DTYPES[1:9])))
    methods("threads", cp.threads, lambda r: cp.threads(r.randrange(1, 4)))
    rows = type(iter(cp.zeros(1)))
    methods("rows", rows, lambda r: iter(c.zeros(r.choice([s for s in SHAPES if s]))))

    for name in BINARY:
        for prefix in ("", "i"):
            act = getattr(
                operator, prefix + name.rstrip("_") + ("_" if name.endswith("_") and not prefix else "")
            )
            for mine_first in (True, False):

                def make(r: random.Random, act: Any = act, mine_first: bool = mine_first) -> Any:
                    sides = [tensor(r), junk(r)]
                    return act, sides if mine_first else sides[::-1], {}

                add(f"{prefix}{name}{'' if mine_first else ' reflected'}", make)
    for name in COMPARE:
        compare = getattr(operator, name)
        add(name, lambda r, act=compare: (act, r.sample([tensor(r), junk(r)], 2), {}))
    add("pow of three", lambda r: (pow, [tensor(r), junk(r), junk(r)], {}))
    add("divmod", lambda r: (divmod, r.sample([tensor(r), junk(r)], 2), {}))
    for act in (
        bool,
        int,
        float,
        complex,
        len,
        iter,
        hash,
        repr,
        str,
        list,
        bytes,
        bytearray,
        memoryview,
        operator.index,
        copy.copy,
        copy.deepcopy,
        np.asarray,
        abs,
        round,
        math.floor,
        sorted,
        set,
        sum,
        any,
        max,
    ):
        add(f"Python's {act.__name__}", lambda r, act=act: (act, [tensor(r)], {}))
    add("format", lambda r: (format, [tensor(r), r.choice([*TEXTS, ".3e", "d", "s", ">10"])], {}))
    add(
        "np.asarray with options",
        lambda r: (
            np.asarray,
            [tensor(r)],
            {"dtype": r.choice([None, "f4", "S3", object, "M8[s]"]), "copy": r.choice([None, True, False])},
        ),
    )
    add(
        "numpy ufunc",
        lambda r: (r.choice([np.add, np.sqrt, np.matmul]), [tensor(r), junk(r)][: r.randrange(1, 3)], {}),
    )
    add("pickle", lambda r: (lambda t, n: pickle.loads(pickle.dumps(t, n)), [tensor(r), r.randrange(6)], {}))
    add(
        "with threads",
        lambda r: (with_threads, [plausible(r, "n") if r.random() < 0.5 else junk(r), tensor(r)], {}),
    )
    add(
        "consume rows",
        lambda r: (lambda t: [x.sum() for x, _ in zip(t, range(5), strict=False)], [tensor(r)], {}),
    )
    names = {name for name, _ in found}
    for row in (*ELEMENTWISE, *REDUCTIONS, *FUNCTIONS):
        assert row.name in names, row.name
    return found


# What takes any object, and looks into it.
DEEP = {
    "asarray", "Tensor", "from_dlpack", "result_type", "full", "arange", "linspace", "concat", "stack", "where", "take", "_rebuild",
    "reshape", "astype", "zeros", "isdtype", "Tensor.__getitem__", "Tensor.__setitem__", "Tensor.__contains__", "sum",
}  # fmt: skip


def weight(name: str) -> int:
    """How often a target comes round: seldom where there is little to do wrong."""
    if name in DEEP:
        return 24
    return 1 if name.startswith(("set ", "del ")) or "." in name else 4


def with_threads(n: Any, t: Any) -> Any:
    with c.threads(n):
        return c.sum(t)


# ------------------------------------------------------------------------------- the run


def shown(value: Any) -> str:
    """A value for the journal, without running any of its code where it is hostile."""
    kind = type(value)
    if kind in (int, float, bool, str, type(None), complex, slice):
        return repr(value)[:80] if kind is not int or abs(value) < 10**60 else "a huge int"
    if kind is cp.Tensor:
        return f"Tensor{tuple(value.shape)[:5]}:{value.dtype.name}"
    if kind in (list, tuple):
        return f"{kind.__name__} of {list.__len__(value) if kind is list else tuple.__len__(value)}"
    if kind.__name__ == "Hostile":
        return f"Hostile({kind.__mro__[1].__name__}: {', '.join(n for n in vars(kind) if n in SPECIAL)})"
    return kind.__name__


class Run:
    def __init__(self, seed: int, journal: Path | None) -> None:
        self.seed = seed
        self.targets = [target for target in targets() for _ in range(weight(target[0]))]
        if journal is None:
            self.journal = mmap.mmap(-1, JOURNAL)
        else:
            # A mapped file keeps what was written when the process dies.
            journal.write_bytes(bytes(JOURNAL))
            with journal.open("r+b") as file:
                self.journal = mmap.mmap(file.fileno(), JOURNAL)
        self.outcomes: Counter[str] = Counter()
        self.per_target: Counter[str] = Counter()
        self.undocumented: list[str] = []
        # What is printed because no caller is there to raise it to.
        sys.unraisablehook = lambda unraisable: self.undocumented.append(
            f"{self.text}\nunraisable: {unraisable.exc_value!r}"
        )

    def call(self, i: int, loud: bool = False) -> None:
        r = random.Random(f"{self.seed}/{i}")
        # Each target in turn, so that none depends on luck.
        name, make = self.targets[i % len(self.targets)]
        self.write(f"call {i} (seed {self.seed}): {name}, making its arguments")
        try:
            act, args, kwargs = make(r)
        except Mine:
            return
        text = ", ".join([shown(a) for a in args] + [f"{k}={shown(v)}" for k, v in kwargs.items()])
        self.write(f"call {i} (seed {self.seed}): {name}({text})")
        if loud:
            print(name, text, flush=True)
        self.per_target[name] += 1
        outcome = "returned"
        try:
            # Again and again: whoever calls a hostile method may swallow what it raises.
            signal.setitimer(signal.ITIMER_REAL, LIMIT, LIMIT)
            try:
                value = act(*args, **kwargs)
                if isinstance(value, cp.Tensor) and value.nbytes < 1 << 20:
                    repr(value)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except (Mine, TimeUp, StopIteration) as error:
            outcome = type(error).__name__
        except cp.InternalError:
            self.undocumented.append(f"{self.text}\n{traceback.format_exc()}")
        except DOCUMENTED as error:
            outcome = type(error).__name__
        except BaseException:
            self.undocumented.append(f"{self.text}\n{traceback.format_exc()}")
        self.outcomes[outcome] += 1

    def write(self, text: str) -> None:
        self.text = text
        raw = text.encode(errors="backslashreplace")[: JOURNAL - 1]
        self.journal[: len(raw) + 1] = raw + b"\0"

    def settle(self) -> None:
        """The library still works, and what calls have set is put back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        cp.set_num_threads(2)
        cp.set_allocator("pool")
        cp.set_printoptions(precision=8, threshold=1000, edgeitems=3, linewidth=75, suppress=False)
        assert cp.sum(cp.arange(100_000)).item() == 4_999_950_000
        assert (cp.asarray([5e-324]) * 1.0).item() == 5e-324
        KEPT.clear()


def raise_time_up(_number: int, _frame: object) -> None:
    raise TimeUp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--call", type=int, help="makes this one call alone, and shows it")
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    signal.signal(signal.SIGALRM, raise_time_up)
    # Numbers of processors and pool sizes differ; what is mapped now is not to be counted.
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    run = Run(options.seed, options.journal)
    calls = range(options.first, options.first + options.calls) if options.call is None else [options.call]
    for done, i in enumerate(calls):
        run.call(i, loud=options.call is not None)
        if done % 500 == 499:
            run.settle()
    run.settle()
    found = {
        "outcomes": run.outcomes,
        "targets": run.per_target,
        "undocumented": run.undocumented,
        "all": len({name for name, _ in run.targets}),
    }
    if options.result:
        options.result.write_text(json.dumps(found))
    else:
        print(json.dumps({**found, "targets": len(run.per_target)}, indent=1))
    # Hostile objects are left as they are: their methods may do anything when the interpreter ends.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
