"""Cases of lane programs: each a launch from Python, beside what NumPy and others need for the same."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import corepy as cp
from benchmarks.cases import Case, Input

FOLDER = Path(__file__).resolve().parent.parent / "examples/lanes"


def example(name: str) -> cp.lanes.Program:
    return cp.lanes.load(FOLDER / f"{name}.lanes")


# ---- programs that are no examples

EMPTY = ".kernel empty\n.buffer a: in f32[:]\n.buffer b: in f32[:]\n.buffer c: out f32[:]\n    exit\n"

EXPRESSION = """
.kernel expression             ; sqrt(a*b + a)/b
.buffer a: in f32[:]
.buffer b: in f32[:]
.buffer out: out f32[:]
    ldg.f32 u, a[%gid]
    ldg.f32 v, b[%gid]
    mul.f32 w, u, v
    add.f32 w, w, u
    sqrt.f32 w, w
    div.f32 w, w, v
    stg.f32 out[%gid], w
    exit
"""

DEGREE = 64
# Small enough that no power of an input between 0.5 and 1.5 outgrows float32's digits.
COEFFICIENTS = [float(np.float32((-1) ** i / (i + 1))) for i in range(DEGREE + 1)]

POLYNOMIAL = f"""
.kernel polynomial             ; Horner's rule
.buffer x: in f32[:]
.buffer out: out f32[:]
    ldg.f32 v, x[%gid]
    mov.f32 r, {COEFFICIENTS[0]!r}
{"".join(f"    fma.f32 r, r, v, {c!r}{chr(10)}" for c in COEFFICIENTS[1:])}
    stg.f32 out[%gid], r
    exit
"""

HISTOGRAM = """
.kernel histogram              ; of int64, as np.bincount counts them without a conversion
.buffer values: in i64[:]
.buffer counts: inout i64[:]
    ldg.i64 bin, values[%gid]
    red.add.i64 counts[bin], 1
    exit
"""

# 100 instructions of all kinds; `fresh` gives each its own name, so that nothing is found in a cache.
_BODY = """\
    ldg.f32 u, x[%gid]
    setgt.f32 p, u, 0.5
    bra p, l{0}
    mul.f32 u, u, 1.5
    add.f32 u, u, a
l{0}:
    loop i{0}, 3
        fma.f32 u, u, a, 0.25
        sqrt.f32 w, u
        max.f32 u, u, w
    endloop
    stg.f32 x[%gid], u
"""
HUNDRED = (
    ".kernel {name}\n.param a: f32\n.buffer x: inout f32[:]\n"
    + "".join(_BODY.format(i) for i in range(9))
    + "    exit\n"
)
_numbers = itertools.count()


def fresh(x: Any) -> Any:
    """Reads, verifies and decodes a program that nobody has seen, and runs it on one lane."""
    cp.lanes.parse(HUNDRED.replace("{name}", f"k{next(_numbers)}"))[1](0.5, x)
    return x


# ---- what others do


def horner(x: Any, out: Any) -> Any:
    """In place, which is faster than NumPy's polyval."""
    out[...] = np.float32(COEFFICIENTS[0])
    for c in COEFFICIENTS[1:]:
        np.multiply(out, x, out=out)
        np.add(out, np.float32(c), out=out)
    return out


def mandelbrot_masks(out: Any, step: float, limit: int) -> Any:
    """The example with masks: points that have left are taken out of the arrays."""
    f = np.float32
    height, width = out.shape
    line: Callable[[int, float], Any] = lambda n, start: (  # noqa: E731
        np.arange(n).astype(f).astype(np.float64) * float(f(step)) + start
    ).astype(f)
    cx, cy = np.broadcast_arrays(line(width, -2.25)[None, :], line(height, -1.5)[:, None])
    cx, cy, place = cx.ravel().copy(), cy.ravel().copy(), np.arange(out.size)
    x, y = np.zeros_like(cx), np.zeros_like(cy)
    counts = out.reshape(-1)
    counts[...] = limit
    for n in range(limit):
        xx, yy = x * x, y * y
        gone = xx + yy > f(4)
        if gone.any():
            counts[place[gone]] = n
            stay = ~gone
            cx, cy, place, x, y, xx, yy = (v[stay] for v in (cx, cy, place, x, y, xx, yy))
        xy = x * y
        x, y = xx - yy + cx, xy + xy + cy
    return out


_compiled: list[Any] = []


def mandelbrot_numba(out: Any, step: float, limit: int) -> Any:
    """The same steps, compiled and parallel."""
    if not _compiled:
        numba = importlib.import_module("numba")
        f = np.float32

        def kernel(out: Any, step: Any, limit: int) -> None:
            height, width = out.shape
            for row in numba.prange(height):
                cy = f(np.float64(f(row)) * np.float64(step) - 1.5)
                for column in range(width):
                    cx = f(np.float64(f(column)) * np.float64(step) - 2.25)
                    x, y, n = f(0), f(0), 0
                    while n < limit:
                        xx, yy = x * x, y * y
                        if xx + yy > f(4):
                            break
                        xy = x * y
                        x, y, n = xx - yy + cx, xy + xy + cy, n + 1
                    out[row, column] = n

        _compiled.append(numba.njit(parallel=True)(kernel))
    _compiled[0](out, np.float32(step), limit)
    return out


def counted(program: cp.lanes.Program, values: Any, counts: Any) -> Any:
    counts[...] = 0
    program[values.size](values, counts)
    return counts


def in_parts(program: cp.lanes.Program, parts: int, *arrays: Any) -> Any:
    """The launch in so many smaller ones, over the same memory."""
    size = arrays[0].shape[0] // parts
    for i in range(parts):
        program[size](*(a[i * size : (i + 1) * size] for a in arrays))
    return arrays[-1]


# ---- the table


def cases() -> Iterator[Case]:
    vector_add = example("vector_add")
    names: dict[str, Any] = {"p": vector_add}
    goals = {256: 1 / 6, 1_024: 1 / 6, 4_096: 1 / 4, 16_384: 1 / 3, 1_000_000: 1 / 1.3}
    for n in (256, 1_024, 4_096, 16_384, 100_000, 1_000_000, 10_000_000):
        yield Case(
            f"lanes vector_add {n:,}", "lanes", f"p[{n}](a, b, c) or c",
            {"a": Input((n,)), "b": Input((n,)), "c": Input((n,), kind="zeros")},
            goals={"numpy": goals[n]} if n in goals else {}, floor=0.0, within=5e-6 if n == 1_024 else 0.0,
            texts={"numpy": "xp.add(a, b, out=c)"}, others=(), names=names, size=n, series="lanes vector_add", quick=n in (1_024, 1_000_000),
        )
    n = 16_000_000
    yield Case(
        f"lanes vector_add {n:,} against 16 times 1,000,000", "lanes", f"p[{n}](a, b, c) or c",
        {"a": Input((n,)), "b": Input((n,)), "c": Input((n,), kind="zeros")},
        goals={"parts": 1 / 1.3}, floor=0.0, texts={"numpy": "xp.add(a, b, out=c)", "parts": "in_parts(p, 16, a, b, c)"}, others=(),
        names={"p": vector_add, "in_parts": in_parts}, size=n, note="growth: 0.77 is linear within 30 %",
    )
    expression = {"p": cp.lanes.parse(EXPRESSION)}
    for n in (1_000_000, 10_000_000):
        yield Case(
            f"lanes sqrt(a*b + a)/b {n:,}", "lanes", f"p[{n}](a, b, out) or out",
            {"a": Input((n,)), "b": Input((n,)), "out": Input((n,), kind="zeros")},
            goals={"numpy": 2.0, "numexpr": 1.5},
            texts={"numpy": "xp.sqrt(a*b + a)/b", "numexpr": "xp.evaluate('sqrt(a*b + a)/b', local_dict=inputs)"},
            others=(), names=expression, rtol=1e-6, size=n, quick=n == 1_000_000,
        )
    n = 1_000_000
    yield Case(
        f"lanes polynomial of degree {DEGREE} {n:,}", "lanes", f"p[{n}](x, out) or out",
        {"x": Input((n,)), "out": Input((n,), kind="zeros")},
        goals={"numpy": 8.0, "limit": 0.3}, texts={"numpy": "horner(x, out)"}, others=(),
        names={"p": cp.lanes.parse(POLYNOMIAL), "horner": horner}, rtol=1e-4, operations=2.0 * DEGREE * n, size=n, quick=True,
    )
    side, limit = 1_000, 200
    step = 3.0 / side
    picture = f"(out, {step!r}, {limit})"
    yield Case(
        f"lanes mandelbrot {side:,} x {side:,}, {limit} rounds", "lanes", f"p[{side}, {side}](-2.25, -1.5, {step!r}, {limit}, out) or out",
        {"out": Input((side, side), "int32", "zeros")},
        goals={"numpy": 8.0}, texts={"numpy": "masks" + picture, "numba": "compiled" + picture}, others=(),
        names={"p": example("mandelbrot"), "masks": mandelbrot_masks, "compiled": mandelbrot_numba},
        dtype="int32", size=side * side, rtol=0.0, unlike=("numba",), note="numba's fused operations may count a point differently",
    )
    n = 10_000_000
    for dtype, program in (("int64", cp.lanes.parse(HISTOGRAM)), ("uint8", example("histogram"))):
        yield Case(
            f"lanes histogram of {dtype} {n:,}", "lanes", "counted(p, values, counts)",
            {"values": Input((n,), dtype, "bytes"), "counts": Input((256,), "int64", "zeros")},
            goals={"numpy": 2.0}, texts={"numpy": "xp.bincount(values, minlength=256)"}, others=(),
            names={"p": program, "counted": counted}, dtype=dtype, size=n,
        )
    matmul = example("matmul")
    n, strip = 512, 16
    yield Case(
        f"lanes tiled matmul float32 {n}", "lanes", f"p[{n}, {n}](a, b, c, block=(16, 16)) or c[:{strip}]",
        {"a": Input((n, n)), "b": Input((n, n)), "c": Input((n, n), kind="zeros")},
        # The reference takes 20 seconds for all rows.
        goals={"reference": 50.0 * strip / n}, floor=0.0,
        texts={"numpy": f"(a @ b)[:{strip}]", "reference": f"p[{n}, {strip}](a, b, c, block=(16, 16), backend='reference') or c[:{strip}]"},
        others=(), names={"p": matmul}, rtol=1e-4, size=n * n,
        note=f"the reference computes {strip} of the {n} rows, so that {50 * strip / n:.2f} is 50 times its speed",
    )
    yield Case(
        "lanes warm launch of an empty program", "lanes", "p[1](a, b, c) or c",
        {"a": Input((1,)), "b": Input((1,)), "c": Input((1,), kind="zeros")},
        goals={"numpy": 1 / 3}, floor=0.0, texts={"numpy": "xp.add(a, b, out=c)"}, others=(), names={"p": cp.lanes.parse(EMPTY)},
        rtol=float("inf"), size=1, quick=True,
    )
    yield Case(
        "lanes parse, verify, decode of 100 instructions", "lanes", "fresh(x)", {"x": Input((1,))}, within=300e-6,
        texts={"numpy": None}, others=(), names={"fresh": fresh}, rtol=float("inf"), size=1, quick=True,
    )
