"""Every operation once, with several dtypes and layouts, small: what `make memcheck` watches.

Valgrind runs this some fifty times slower than usual, so the sizes are those at which code paths
change and no more. Results are compared with nothing; the other tests do that.
"""

from __future__ import annotations

import contextlib
import copy
import operator
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import corepy as cp
from ops.dtypes import DTYPES
from ops.table import BINARY, FUNCTIONS, REDUCTIONS, UNARY

c: Any = cp
ALL = [getattr(cp, d.name) for d in DTYPES]
# One dtype of each size and kind.
SOME = [
    cp.bool,
    cp.int8,
    cp.uint16,
    cp.int32,
    cp.uint64,
    cp.float32,
    cp.float64,
    cp.complex64,
    cp.complex128,
    cp.bfloat16,
]
REFUSED = (
    TypeError,
    ValueError,
    IndexError,
    OverflowError,
    BufferError,
    ZeroDivisionError,
    NotImplementedError,
    MemoryError,
    cp.lanes.ParseError,
    cp.lanes.LaneFault,
)


def tensors(dtype: Any) -> Iterator[Any]:
    """Around a register's width and the block of 1,024 elements; strided, crossed, reversed, empty, over bytes."""
    for n in (0, 1, 7, 33, 1025):
        yield c.astype(c.arange(n) % 3 + 1, dtype)
    m = c.astype(c.reshape(c.arange(6 * 70) % 5 + 1, (6, 70)), dtype)
    yield from (m, m.mT, m[::-2, 1::3], c.broadcast_to(m[0], (3, 70)), c.zeros((), dtype=dtype))


def attempt(act: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Refusals have their own paths, which are to be watched too."""
    with contextlib.suppress(*REFUSED):
        return act(*args, **options)


def elementwise() -> None:
    for dtype in ALL:
        few = list(tensors(dtype))
        for row in UNARY:
            for x in few:
                attempt(getattr(c, row.name), x)
        for row in BINARY:
            act = getattr(c, row.name)
            for x in few[1:]:
                attempt(act, x, x)
                attempt(act, x, 2)
            attempt(act, few[5], few[5][0])
            attempt(act, few[5], c.ones((6, 70), dtype=c.complex64))
            if row.operator:
                target = c.asarray(few[4], copy=True)
                attempt(getattr(target, f"__i{row.operator}__", act), few[4])


def reductions() -> None:
    for dtype in ALL:
        for x in tensors(dtype):
            for row in REDUCTIONS:
                act = getattr(c, row.name)
                attempt(act, x)
                if x.ndim == 2:
                    attempt(act, x, axis=0)
                    attempt(act, x, axis=1, keepdims=True)
    # Long enough for the tree of blocks and for worker threads.
    long = c.arange(300_000.0)
    for row in REDUCTIONS:
        getattr(c, row.name)(long)


def functions() -> None:
    used: set[str] = set()

    def call(name: str, *args: Any, **options: Any) -> Any:
        used.add(name)
        return attempt(getattr(c, name), *args, **options)

    for dtype in SOME:
        x = c.astype(c.reshape(c.arange(24), (4, 6)), dtype)
        for name in ("empty", "zeros", "ones"):
            call(name, (3, 5), dtype=dtype)
            call(name + "_like", x)
        call("full", (2, 3), 1, dtype=dtype)
        call("full", (2, 3), c.ones(3))
        call("full_like", x, 1)
        call("eye", 3, 5, k=1, dtype=dtype)
        call("arange", 1, 9, 2, dtype=dtype)
        call("linspace", 0, 1, 9, dtype=dtype)
        call("asarray", [[1, 0], [0, 1]], dtype=dtype)
        call("from_dlpack", x)
        for to in ALL:
            call("astype", x, to)
        call(
            "where",
            x > 3 if dtype in SOME[:-1] and c.isdtype(dtype, "integral") else c.ones((4, 6), dtype=c.bool),
            x,
            x,
        )
        call("reshape", x.mT, (3, 8))
        call("permute_dims", x, (1, 0))
        call("matrix_transpose", x)
        call("broadcast_to", x, (2, 4, 6))
        call("broadcast_arrays", x, x[0])
        call("squeeze", x[:1], 0)
        call("expand_dims", x, axis=1)
        call("flip", x)
        call("moveaxis", x, 0, -1)
        call("concat", [x, x], axis=1)
        call("stack", [x, x], axis=-1)
        call("take", x, c.asarray([0, -1, 2]), axis=1)
        for name in ("cumulative_sum", "cumulative_prod"):
            call(name, x, axis=0)
            call(name, x.mT, axis=1, include_initial=True)
            call(name, c.astype(c.arange(9000), dtype))
        call("diff", x, n=2, prepend=0, append=x)
        call("take", x, c.asarray([9]), axis=1)
        for a, b in (
            (x, x.mT),
            (x[0], x[0]),
            (x, x[0]),
            (c.ones((40, 300), dtype=dtype), c.ones((300, 20), dtype=dtype)),
            (c.ones((2, 3, 4), dtype=dtype), x),
        ):
            call("matmul", a, b)
        call("dot", x[0], x[0])
        call("vecdot", x, x)
        call("result_type", x, c.int8, 2)
        call("can_cast", dtype, c.float64)
        call("isdtype", dtype, ("numeric", c.bool))
        call("finfo", dtype)
        call("iinfo", dtype)
    for row in FUNCTIONS:
        # Those that take nothing; others must stand above.
        if row.name not in used and not row.signature:
            call(row.name)
    call("set_num_threads", c.get_num_threads())
    call("set_printoptions", precision=8)
    call("set_allocator", "nothing")
    call("tune", seconds=-1.0)
    missing = {row.name for row in FUNCTIONS} - used
    assert not missing, f"not called: {missing}"


def indexing() -> None:
    for dtype in SOME:
        x = c.astype(c.reshape(c.arange(60), (3, 4, 5)), dtype)
        mask = c.reshape(c.arange(60) % 2 == 0, (3, 4, 5))
        index = c.asarray([0, 2, -1])
        for key in (
            0,
            ...,
            (slice(None), 1),
            (0, ..., None, slice(None, None, -1)),
            mask,
            mask[:, :, 0],
            index,
            (index, index),
            (slice(None), index),
            [0, 1],
            True,
            9,
            "a",
        ):
            attempt(operator.getitem, x, key)
            target = x.copy()
            attempt(operator.setitem, target, key, 1)
            attempt(operator.setitem, target, key, x[0, 0, 0])
        x[1:] = x[:-1]


def objects() -> None:
    deep: list[Any] = []
    deep.append(deep)
    for value in (
        [],
        [[1, 2], [3]],
        [1, "a"],
        deep,
        [2**70],
        [1.5, None],
        "text",
        object(),
        b"abc",
        bytearray(8),
        memoryview(bytes(16)).cast("d"),
        range(3),
    ):
        attempt(c.asarray, value)
    for dtype in ALL:
        x = c.astype(c.reshape(c.arange(6), (2, 3)), dtype)
        for t in (x, x.mT, x[0, 0], x[:, :0]):
            for act in (repr, str, bytes, list, copy.copy, copy.deepcopy, bool, float, int, hash, len, iter):
                attempt(act, t)
            attempt(t.tolist)
            attempt(memoryview, t)
            attempt(t.__dlpack__)
            attempt(lambda t=t: c.from_dlpack(t, copy=True))
            for protocol in (2, 5):
                pickle.loads(pickle.dumps(t, protocol))
        attempt(format, x[0, 0], ".2f")
    with c.threads(1):
        c.sum(c.ones(10))


def lanes() -> None:
    """Every example and every kind of refusal, on every backend."""
    for path in sorted((Path(__file__).resolve().parent.parent / "examples/lanes").glob("*.lanes")):
        p = c.lanes.load(path)
        for backend in (b.name for b in c.lanes.backends() if b.available):
            for extents in ((8, 8), (3, 2), (0, 1)):
                args = [
                    3 if a.kind == "param" else c.zeros((8, 8)[: a.ndim], dtype=a.dtype) for a in p.arguments
                ]
                for options in ({}, {"block": (4, 4)}, {"check_races": True}, {"step_limit": 2}):
                    attempt(p.launch, *args, lanes=extents, backend=backend, **options)
                attempt(p.launch, *args[1:], lanes=extents, backend=backend)
                attempt(p.launch, *args[::-1], lanes=9, backend=backend)
        attempt(c.lanes.parse, p.text[: len(p.text) // 2])
        attempt(c.lanes.parse, p.text.replace("f32", "f99"))
        pickle.loads(pickle.dumps(p))
        repr((p, p.arguments, p[3], hash(p)))
    b = c.lanes.Builder("k").param("a", "f32").buffer("x", "out", c.float32, 2).shared("s", "i8", (2, 3))
    b.label("l").emit("mov.f32", "v", 1.5).emit("assert", True, "text")
    for wrong in (
        ("mul.f99",),
        ("add.f32", "a"),
        ("mov.f32", "v", "x["),
        ("mov.f32", "v", []),
        ("mov.f64", "w", 10**50),
    ):
        attempt(b.emit, *wrong)
    attempt(b.build)
    b.emit("exit").build()


def main() -> None:
    parts = [elementwise, reductions, functions, indexing, objects, lanes]
    # The heap is the part that Valgrind knows by the byte; the pool is the one that is used.
    for allocator in ("system", "pool"):
        c.set_allocator(allocator)
        for part in parts:
            part()
            print(allocator, part.__name__, flush=True)
    c.trim_memory()


if __name__ == "__main__":
    main()
