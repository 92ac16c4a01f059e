"""THE table of cases: what is timed, on which inputs, in which libraries, with which goals.

A case is a text that every library runs, over `xp` (its namespace) and its own inputs `a`, `b`, ...; where a library
spells it otherwise, `texts` says how. A goal is a ratio: the peer's time over corepy's. The tests through pytest, the
profilers and the report all read this table.
"""

from __future__ import annotations

import operator
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import corepy as cp

# To DRAM and back: 12 bytes an element of `a + b` in float32 leave the second-level cache of most machines at
# 100,000 and the third-level cache at 3,000,000.
SWEEP = (1, 10, 100, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
POINTS = (1, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
QUICK = (1, 1_000, 100_000, 1_000_000, 10_000_000)
BEYOND = (30_000_000, 100_000_000)  # 100,000,000 elements of float32 are 400 MB

# No ratio may fall below it. A case whose goal is lower has that goal as its floor.
FLOOR = 1.0


@dataclass(frozen=True)
class Input:
    """An array as NumPy makes it, and the view of it that the case works on."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    kind: str = "positive"
    view: str = "x"
    # For `ill` and `wide`: the sum of the magnitudes over the magnitude of the sum.
    condition: float = 0.0

    def make(self, rng: np.random.Generator) -> Any:
        """The array before the view. `positive` sums do not cancel; only `zeros` and `ones` are constant."""
        if self.kind == "positive":
            if self.dtype == "bool":
                return rng.integers(0, 2, self.shape, dtype=np.uint8).astype(bool)
            if np.issubdtype(self.dtype, np.integer):
                return rng.integers(1, 100, self.shape).astype(self.dtype)
            if np.issubdtype(self.dtype, np.complexfloating):
                return (rng.random(self.shape) + 1j * rng.random(self.shape)).astype(self.dtype)
            return (rng.random(self.shape, dtype=np.float32) + 0.5).astype(self.dtype)
        if self.kind == "signed":
            return (rng.random(self.shape) * 200 - 100).astype(self.dtype)
        if self.kind in ("ill", "wide"):
            parts = [
                _ill_conditioned(rng, self.shape[0], self.condition, self.kind == "wide")
                for _ in range(1 + np.issubdtype(self.dtype, np.complexfloating))
            ]
            return (parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]).astype(self.dtype)
        if self.kind == "shifted":
            return (rng.standard_normal(self.shape) + 1e8).astype(self.dtype)
        if self.kind == "small":
            return rng.integers(0, self.shape[0], self.shape).astype(self.dtype)
        if self.kind == "list":
            return (rng.random(self.shape) + 0.5).tolist()
        if self.kind == "bytes":
            return rng.integers(0, 256, self.shape).astype(self.dtype)
        if self.kind == "signs":
            return rng.choice([-1, 1], self.shape).astype(self.dtype)
        if self.kind in ("zeros", "ones"):
            return np.full(self.shape, self.kind == "ones", dtype=self.dtype)
        raise ValueError(self.kind)


def _ill_conditioned(rng: np.random.Generator, n: int, condition: float, wide: bool) -> Any:
    """Numbers whose sum is smaller by `condition` than the sum of their magnitudes; `wide` ones are of
    nearly every exponent."""
    half = rng.random((n - 1) // 2) + 0.5
    if wide:
        # No sum on the way overflows, which math.fsum could not do.
        half = np.ldexp(half, rng.integers(-1020, 1000, len(half)))
    # An element of its own: added to another, it would be rounded away.
    left = np.zeros(n - 2 * len(half))
    left[0] = 2 * float(half.sum()) / condition
    rest = np.concatenate([half, -half, left])
    rng.shuffle(rest)
    return rest


@dataclass(frozen=True)
class Case:
    name: str
    group: str
    text: str
    inputs: Mapping[str, Input]
    goals: Mapping[str, float] = field(default_factory=dict)
    # What else runs it; corepy and NumPy always do unless `texts` says None.
    texts: Mapping[str, str | None] = field(default_factory=dict)
    others: tuple[str, ...] = ("torch",)
    # How far results may lie apart, relative to the largest; 0 means equal.
    rtol: float = 0.0
    # Whose results may lie further apart, and are not compared.
    unlike: tuple[str, ...] = ()
    # Arithmetic operations of one call, for the roofline; 0 leaves the case out of it.
    operations: float = 0.0
    dtype: str = "float32"
    size: int = 0
    # The line of a plot that the case is a point of.
    series: str = ""
    quick: bool = False
    note: str = ""
    # What the text may name besides.
    names: Mapping[str, Any] = field(default_factory=dict)
    # The most seconds that a call may take; 0 sets no such goal.
    within: float = 0.0
    # No ratio to NumPy may fall below it, unless a goal is lower.
    floor: float = FLOOR

    def text_of(self, peer: str) -> str | None:
        """What a library runs, or None when it takes no part."""
        if peer not in ("corepy", "numpy", *self.others) and peer not in self.texts:
            return None
        return self.texts.get(peer, self.text)

    @property
    def key(self) -> int:
        """Seeds the inputs: the same in every run and in every library."""
        return zlib.crc32(self.name.encode())


# What a text may name besides `xp` and its inputs.
NAMES = {"iadd": operator.iadd}


def spelled(n: int | tuple[int, ...]) -> str:
    return f"{n:,}" if isinstance(n, int) else " x ".join(f"{i:,}" for i in n)


def binary(
    sign: str,
    name: str,
    dtype: str,
    sizes: Iterable[int],
    goals: Mapping[int, Mapping[str, float]],
    quick: bool = True,
) -> Iterator[Case]:
    for n in sizes:
        # PyTorch divides integers into float32, everybody else into float64.
        narrow = name == "divide" and dtype == "int32"
        yield Case(
            f"{name} {dtype} {n:,}",
            "elementwise",
            f"a {sign} b",
            {"a": Input((n,), dtype), "b": Input((n,), dtype)},
            goals=goals.get(n, {}),
            texts={"torch": None} if dtype == "uint64" else {},  # PyTorch has no arithmetic of it
            rtol=1e-7 if narrow else 0.0,
            operations=n,
            dtype=dtype,
            size=n,
            series=f"{name} {dtype}",
            quick=quick and n in QUICK,
            note="PyTorch's result is float32" if narrow else "",
        )


ARITHMETIC = {
    1: {"numpy": 2.0, "torch": 3.0},
    1_000: {"numpy": 1.2, "torch": 2.0},
    10_000: {"numpy": 1.3, "torch": 1.2},
    100_000: {"numpy": 1.5, "torch": 1.0, "limit": 0.85},
    1_000_000: {"numpy": 1.5, "torch": 1.1, "limit": 0.85},
    10_000_000: {"numpy": 1.8, "torch": 1.8, "limit": 0.85},
}


def elementwise() -> Iterator[Case]:
    for dtype in ("float32", "float64", "int32"):
        sizes = SWEEP + (BEYOND if dtype == "float32" else ())
        yield from binary("+", "add", dtype, sizes, ARITHMETIC)
        yield from binary("*", "multiply", dtype, POINTS, ARITHMETIC, quick=False)
        yield from binary("/", "divide", dtype, POINTS, ARITHMETIC, quick=dtype == "float32")
    for dtype in ("bool", "int8", "int16", "int64", "uint8", "uint64", "complex64", "complex128"):
        operation, sign = ("bitwise_or", "|") if dtype == "bool" else ("add", "+")
        yield from binary(sign, operation, dtype, (1_000_000,), {})
    million = 1_000_000
    for name, text, dtype, kind in (
        ("subtract", "a - b", "float32", "positive"),
        ("multiply", "a * b", "complex64", "positive"),
        ("divide", "a / b", "complex128", "positive"),
        ("maximum", "xp.maximum(a, b)", "float32", "signed"),
        ("minimum", "xp.minimum(a, b)", "float64", "signed"),
        ("less", "a < b", "float32", "signed"),
        ("less", "a < b", "float64", "signed"),
        ("equal", "a == b", "int32", "positive"),
        ("equal", "a == b", "uint8", "positive"),
        ("floor_divide", "a // b", "int8", "positive"),
        ("floor_divide", "a // b", "int32", "positive"),
        ("floor_divide", "a // b", "int64", "positive"),
        ("floor_divide", "a // b", "float64", "positive"),
        ("remainder", "a % b", "int32", "positive"),
        ("remainder", "a % b", "int64", "positive"),
        ("remainder", "a % b", "float32", "positive"),
        ("bitwise_and", "a & b", "int32", "positive"),
        ("bitwise_left_shift", "a << (b & 7)", "int32", "positive"),
        ("logical_and", "xp.logical_and(a, b)", "bool", "positive"),
    ):
        yield Case(
            f"{name} {dtype} {million:,}",
            "elementwise",
            text,
            {"a": Input((million,), dtype, kind), "b": Input((million,), dtype, kind)},
            rtol=1e-5 if "complex" in dtype or name == "remainder" else 0.0,
            operations=million,
            dtype=dtype,
            size=million,
            quick=name in ("less", "floor_divide"),
        )
    for name, text, dtype in (
        ("sqrt", "xp.sqrt(a)", "float32"),
        ("sqrt", "xp.sqrt(a)", "float64"),
        ("negative", "-a", "float32"),
        ("abs", "abs(a)", "int32"),
        ("abs", "abs(a)", "complex64"),
        ("floor", "xp.floor(a)", "float32"),
        ("round", "xp.round(a)", "float64"),
        ("sign", "xp.sign(a)", "float32"),
        ("square", "xp.square(a)", "float32"),
        ("power of 3", "a ** 3", "float64"),
        ("isnan", "xp.isnan(a)", "float32"),
        ("floor_divide by 7", "a // 7", "uint8"),
        ("floor_divide by 7", "a // 7", "int32"),
        ("remainder by 7", "a % 7", "int64"),
        ("logical_not", "xp.logical_not(a)", "bool"),
        ("bitwise_invert", "~a", "int64"),
    ):
        yield Case(
            f"{name} {dtype} {million:,}",
            "elementwise",
            text,
            {"a": Input((million,), dtype)},
            # PyTorch's square root is not rounded correctly.
            rtol=1e-6 if name in ("power of 3", "abs", "sqrt") else 0.0,
            operations=million,
            dtype=dtype,
            size=million,
            quick=name == "sqrt",
        )
    yield Case(
        f"where float32 {million:,}",
        "elementwise",
        "xp.where(m, a, b)",
        {"m": Input((million,), "bool"), "a": Input((million,)), "b": Input((million,))},
        size=million,
        quick=True,
    )


def layouts() -> Iterator[Case]:
    square = (1_000, 1_000)
    goals = {"numpy": 1.2, "torch": 1.0}
    flat = Input((1_000_000,))
    matrix = Input(square)
    turned = Input(square, view="x.T")
    no_torch: dict[str, str | None] = {"torch": None}  # PyTorch has no negative strides
    for name, text, inputs, these, texts in (
        ("scalar", "a + 2.5", {"a": flat}, {}, {}),
        ("row, 1,000 x 1,000", "a + b", {"a": matrix, "b": Input((1_000,))}, goals, {}),
        ("column, 1,000 x 1,000", "a + b", {"a": matrix, "b": Input((1_000, 1))}, goals, {}),
        ("row, 100,000 x 8", "a + b", {"a": Input((100_000, 8)), "b": Input((8,))}, {}, {}),
        ("column, 100,000 x 8", "a + b", {"a": Input((100_000, 8)), "b": Input((100_000, 1))}, {}, {}),
        ("row + column, 1,000 x 1,000", "a + b", {"a": Input((1_000,)), "b": Input((1_000, 1))}, {}, {}),
        ("a.T + b.T, 1,000 x 1,000", "a + b", {"a": turned, "b": turned}, goals, {}),
        ("a + b.T, 1,000 x 1,000", "a + b", {"a": matrix, "b": turned}, goals, {}),
        ("a + b.T, 4,000 x 4,000", "a + b", {"a": Input((4_000,) * 2), "b": Input((4_000,) * 2, view="x.T")}, {}, {}),
        ("every second", "a + b", {"a": Input((2_000_000,), view="x[::2]"), "b": flat}, {}, {}),
        ("every third", "a + b", {"a": Input((3_000_000,), view="x[::3]"), "b": flat}, {}, {}),
        ("a channel of uint8", "a + b", {"a": Input((1_000_000, 3), "uint8", view="x[:, 1]"), "b": Input((1_000_000,), "uint8")}, {}, {}),
        ("every eighth", "a + b", {"a": Input((8_000_000,), view="x[::8]"), "b": flat}, {}, {}),
        ("reversed", "a + b", {"a": Input((1_000_000,), view="x[::-1]"), "b": flat}, {}, no_torch),
        ("both reversed", "a + b", {"a": Input((1_000_000,), view="x[::-1]"), "b": Input((1_000_000,), view="x[::-1]")}, {}, no_torch),
        ("inner part, 1,000 x 1,000", "a + b", {"a": Input((1_002, 1_002), view="x[1:-1, 1:-1]"), "b": matrix}, {}, {}),
        ("one element off", "a + b", {"a": Input((1_000_001,), view="x[1:]"), "b": flat}, {}, {}),
        ("with float64", "a + b", {"a": flat, "b": Input((1_000_000,), "float64")}, {}, {}),
        ("int32 with float64", "a + b", {"a": Input((1_000_000,), "int32"), "b": Input((1_000_000,), "float64")}, {}, {}),
        ("int8 with int64", "a + b", {"a": Input((1_000_000,), "int8"), "b": Input((1_000_000,), "int64")}, {}, {}),
        ("in place", "iadd(a, b)", {"a": flat, "b": Input((1_000_000,), kind="zeros")}, {}, {}),
        ("in place, a column of 100,000 x 8", "iadd(a, b)", {"a": Input((100_000, 8), view="x[:, 3]"), "b": Input((100_000,), kind="zeros")}, {}, {}),
    ):
        yield Case(
            f"add layout: {name}",
            "layouts",
            text,
            inputs,
            goals=these,
            texts=texts,
            operations=1_000_000,
            size=1_000_000,
            quick=bool(these),
        )


# A peer's float32 sum of 10,000,000 elements may be this far off; along an outer axis NumPy adds one by one.
SUM_RTOL = {"float32": 1e-3, "float64": 1e-9}


def whole_reductions() -> Iterator[Case]:
    wide = cp.simd_level() == "x86-64-v4"
    sum_goals: dict[str, dict[int, dict[str, float]]] = {
        "float32": {
            1: {"numpy": 4.0},
            10_000: {"numpy": 3.0, "torch": 1.2},
            1_000_000: {"numpy": 3.5, "torch": 1.0, "limit": 0.85},
            10_000_000: {"numpy": 2.0, "torch": 1.0, "limit": 0.85},
        },
        "float64": {1: {"numpy": 4.0}, 1_000_000: {"numpy": 2.5 if wide else 1.8, "torch": 0.9}},
        "int32": {1: {"numpy": 4.0}, 1_000_000: {"numpy": 4.0, "torch": 1.5}},
    }

    def row(
        name: str, text: str, dtype: str, n: int, goals: Mapping[str, float] = {}, **more: Any
    ) -> Case:  # a Mapping is never written to
        return Case(
            f"{name} {dtype} {n:,}",
            "reductions",
            text,
            {"a": Input((n,), dtype, more.pop("kind", "positive"))},
            goals=goals,
            rtol=more.pop("rtol", SUM_RTOL.get(dtype, 0.0)),
            operations=more.pop("operations", n),
            dtype=dtype,
            size=n,
            series=f"{name} {dtype}",
            quick=more.pop("quick", True) and n in QUICK,
            **more,
        )

    for dtype, goals in sum_goals.items():
        for n in SWEEP + (BEYOND if dtype == "float32" else ()):
            yield row("sum", "a.sum()", dtype, n, goals.get(n, {}))
    for n in POINTS:
        yield row("mean", "a.mean()", "float32", n, sum_goals["float32"].get(n, {}) if n > 1 else {})
    for dtype in ("int8", "uint8", "int64", "bool"):
        yield row("sum", "a.sum()", dtype, 1_000_000, quick=False)
    for dtype in ("complex64", "complex128"):
        yield row("sum", "a.sum()", dtype, 1_000_000, rtol=1e-4, quick=False)
    free = {"numpy": 1.0, "torch": 1.0}
    for n in POINTS:
        yield row("max", "a.max()", "float32", n, free, kind="signed")
        yield row("argmax", "a.argmax()", "float32", n, free, kind="signed")
        for dtype in ("float64", "int32"):
            yield row("min", "a.min()", dtype, n, free, kind="signed", rtol=0.0, quick=False)
        # All elements have to be looked at.
        yield row("any", "a.any()", "bool", n, free, kind="zeros")
        yield row("all", "a.all()", "bool", n, free, kind="ones", quick=False)
    yield row("any, first is true", "a.any()", "bool", 10_000_000, free, kind="ones", operations=0, quick=False)
    yield row(
        "argmax, first is true", "a.argmax()", "bool", 10_000_000, {"numpy": 1.0}, kind="ones", operations=0, quick=False,
        texts={"torch": None},
    )
    for dtype in ("float64", "int32", "int64"):
        for name in ("argmax", "argmin"):
            yield row(name, f"a.{name}()", dtype, 1_000_000, free, kind="signed", rtol=0.0, quick=False)
    for dtype in ("float32", "uint8", "bool"):
        yield row(
            "count_nonzero", "xp.count_nonzero(a)", dtype, 1_000_000, rtol=0.0, quick=False
        )
    # Their product is exact in whatever order.
    signs: dict[str, Any] = {"rtol": 0.0, "kind": "signs", "quick": False}
    yield row("prod", "a.prod()", "float32", 1_000_000, **signs)
    yield row("prod", "a.prod()", "float64", 1_000_000, **signs)
    torch_std: dict[str, Any] = {"texts": {"torch": "a.std(correction=0)"}}
    for dtype in ("float32", "float64"):
        for n in (1_000, 1_000_000, 10_000_000):
            share = {"limit": 0.75} if n > 1_000 else {}
            yield row("std", "a.std()", dtype, n, {"numpy": 2.0, "torch": 1.0, **share}, **torch_std)
    yield row(
        "std of mean 1e8", "a.std()", "float64", 1_000_000, {"numpy": 2.0}, kind="shifted", rtol=1e-5, quick=False,
        **torch_std,
    )


def axis_reductions() -> Iterator[Case]:
    sums = {"numpy": 1.2, "torch": 1.0, "limit": 0.75}
    shapes: tuple[tuple[tuple[int, ...], int | tuple[int, ...]], ...] = (
        ((100_000, 8), 0),
        ((100_000, 8), 1),
        ((8, 100_000), 0),
        ((8, 100_000), 1),
        ((300_000, 3), 1),
        ((20_000, 512), 0),
        ((20_000, 512), 1),
        ((1_000, 1_000), 0),
        ((1_000, 1_000), 1),
        ((500, 500), 0),
        ((500, 500), 1),
        ((100, 10_000), 0),
        ((100, 100, 100), 1),
        ((100, 100, 100), 2),
        ((100, 100, 100), (0, 2)),
        ((100, 100, 100), (0, 1)),
    )

    def row(name: str, text: str, dtype: str, shape: tuple[int, ...], axis: Any, **more: Any) -> Case:
        n = int(np.prod(shape))
        return Case(
            f"{name} {dtype} {spelled(shape)} axis {axis}",
            "axes",
            text,
            {"a": Input(shape, dtype, more.pop("kind", "positive"), more.pop("view", "x"))},
            operations=n,
            dtype=dtype,
            size=n,
            rtol=more.pop("rtol", SUM_RTOL.get(dtype, 0.0)),
            **more,
        )

    for shape, axis in shapes:
        for dtype in ("float32", "float64"):
            yield row("sum", f"a.sum(axis={axis})", dtype, shape, axis, goals=sums, quick=dtype == "float32")
    few = {"numpy": 1.2, "torch": 1.0}
    yield row(
        "sum of every third", "a.sum(axis=0)", "float32", (3_000_000,), 0, view="x[::3]", quick=False,
        goals={"numpy": 1.0},
    )
    yield row("sum", "a.sum(axis=1)", "int32", (100_000, 8), 1, goals=few, quick=False)
    yield row(
        "max", "a.max(axis=1)", "uint8", (100_000, 16), 1, goals=few, quick=False, rtol=0.0,
        texts={"torch": "xp.amax(a, dim=1)"},
    )
    for axis in (0, 1):
        square = (1_000, 1_000)
        yield row("sum", f"a.sum(axis={axis})", "int32", square, axis, goals=sums)
        yield row("sum of a.T", f"a.sum(axis={axis})", "float32", square, axis, view="x.T", goals=sums)
        yield row("mean", f"a.mean(axis={axis})", "float32", square, axis, goals=sums)
        for name, theirs in (("max", "amax"), ("argmax", "argmax")):
            for shape in (square, (100_000, 8), (20_000, 512)):
                yield row(
                    name, f"a.{name}(axis={axis})", "float32", shape, axis, kind="signed", rtol=0.0, quick=shape == square,
                    goals={"numpy": 1.0, "torch": 1.0}, texts={"torch": f"xp.{theirs}(a, dim={axis})"},
                )
        yield row("any", f"a.any(axis={axis})", "bool", square, axis, kind="zeros", goals={"numpy": 1.0})
        for dtype in ("float32", "float64"):
            yield row(
                "std", f"a.std(axis={axis})", dtype, square, axis, quick=dtype == "float32",
                goals={"numpy": 2.0, "torch": 1.0, "limit": 0.75}, texts={"torch": f"a.std(dim={axis}, correction=0)"},
            )
    yield row(
        "mean", "a.mean(axis=(0, 1))", "uint8", (100, 512, 512), (0, 1), quick=False, rtol=1e-12,
        goals={"numpy": 1.2, "torch": 1.0}, texts={"torch": "a.mean(dim=(0, 1), dtype=xp.float64)"},
    )
    for dtype in ("float32", "float64"):
        yield row(
            "vecdot", "xp.vecdot(a, a, axis=0)", dtype, (20_000, 512), 0, quick=False, rtol=1e-3,
            goals={"numpy": 1.0}, texts={"torch": "xp.linalg.vecdot(a, a, dim=0)"},
        )
    yield row("vecdot", "xp.vecdot(a, a)", "float32", (1_000_000,), 0, texts={"torch": "xp.dot(a, a)"})
    yield row("vecdot", "xp.vecdot(a, a)", "float64", (1_000_000,), 0, texts={"torch": "xp.dot(a, a)"})


def running() -> Iterator[Case]:
    def row(name: str, dtype: str, shape: tuple[int, ...], axis: int, theirs: str | None, **more: Any) -> Case:
        n = int(np.prod(shape))
        one = len(shape) == 1
        return Case(
            f"{name} {dtype} {spelled(n) if one else f'{spelled(shape)} axis {axis}'}",
            "reductions" if one else "axes",
            f"xp.{name}(a, axis={axis})",
            {"a": Input(shape, dtype, more.pop("kind", "positive"))},
            goals={"numpy": 1.0},
            texts={"torch": theirs and f"xp.{theirs}(a, dim={axis})"},
            rtol=more.pop("rtol", SUM_RTOL.get(dtype, 0.0)),
            operations=n,
            dtype=dtype,
            size=n,
            series=f"{name} {dtype}" if one else "",
            quick=one and n in QUICK and dtype == "float64",
            **more,
        )

    for dtype in ("float64", "float32", "int64"):
        for n in POINTS:
            yield row("cumulative_sum", dtype, (n,), 0, "cumsum")
        for shape in ((1_000, 1_000), (100_000, 8), (300_000, 3)):
            for axis in (0, 1):
                yield row("cumulative_sum", dtype, shape, axis, "cumsum")
    for dtype in ("float64", "int64"):
        yield row("cumulative_prod", dtype, (1_000_000,), 0, "cumprod", kind="signs", rtol=0.0)
    for dtype in ("float64", "float32"):
        for n in POINTS:
            yield row("diff", dtype, (n,), 0, "diff")


def exact_sums() -> Iterator[Case]:
    n = 1_000_000
    for dtype, kind, condition, slowest in (
        ("float64", "ill", 1e8, 3.0),
        ("float64", "ill", 1e30, 30.0),
        ("float64", "wide", 1e300, 30.0),
        ("float32", "ill", 1e30, 30.0),
        ("complex128", "ill", 1e30, 30.0),
    ):
        goals = {"sum": 1 / slowest}
        texts: dict[str, str | None] = {"numpy": None, "sum": "xp.sum(a)"}
        if dtype != "complex128":
            goals["fsum"] = 50.0
            texts["fsum"] = "xp.fsum(a)"
        name = "all exponents" if kind == "wide" else f"condition {condition:.0e}"
        yield Case(
            f"exact_sum {dtype} {n:,}, {name}",
            "reductions",
            "xp.exact_sum(a)",
            {"a": Input((n,), dtype, kind, condition=condition)},
            goals=goals,
            texts=texts,
            others=(),
            unlike=("sum",),
            operations=n,
            dtype=dtype,
            size=n,
            note="only math.fsum is as exact",
        )


def moves() -> Iterator[Case]:
    million = 1_000_000
    flat = Input((million,))
    for n in POINTS:
        yield Case(
            f"copy float32 {n:,}", "moves", "a.copy()", {"a": Input((n,))}, texts={"torch": "a.clone()"}, size=n,
            series="copy float32", quick=n in QUICK,
        )
    for n, goals in ((1_000, {}), (4_000, {"numpy": 2.0, "torch": 1.0})):
        for dtype in ("float32", "float64", "uint8"):
            yield Case(
                f"copy of a.T {dtype} {n:,} x {n:,}",
                "moves",
                "xp.reshape(a, (-1,), copy=True)",
                {"a": Input((n, n), dtype, view="x.T")},
                goals=goals if dtype == "float32" else {},
                texts={"torch": "a.reshape(-1)"},
                dtype=dtype,
                size=n * n,
                quick=dtype == "float32",
            )
    for n in (million, 10_000_000):
        for source, target in (("float32", "float64"), ("float64", "float32")):
            goals = {"numpy": 1.2, "torch": 1.0} if source == "float32" else {}
            yield _astype(n, source, target, goals)
    for source, target in (
        ("float32", "int32"),
        ("int32", "float32"),
        ("int64", "float64"),
        ("float64", "int64"),
        ("bool", "float32"),
        ("uint8", "float32"),
        ("float32", "float16"),
        ("float16", "float32"),
        ("int64", "int8"),
        ("float32", "bool"),
    ):
        yield _astype(million, source, target, {})
    pair = {"a": flat, "b": flat}
    theirs = {"numpy": 1.2, "torch": 1.0}
    yield Case("concat 2 x 1,000,000 float32", "moves", "xp.concat((a, b))", pair, goals=theirs, size=million, quick=True)
    square = {"a": Input((1_000, 1_000)), "b": Input((1_000, 1_000))}
    yield Case("concat axis 1 float32 1,000 x 1,000", "moves", "xp.concat((a, b), axis=1)", square, goals=theirs, size=million)
    yield Case("stack 2 x 1,000,000 float32", "moves", "xp.stack((a, b))", pair, size=million)
    yield Case(
        "copy of a reversed float32 1,000,000", "moves", "xp.reshape(a, (-1,), copy=True)",
        {"a": Input((million,), view="x[::-1]")}, texts={"torch": None}, size=million,
    )
    yield Case("zeros float32 1,000,000", "moves", "xp.zeros(1_000_000, dtype=xp.float32)", {}, size=million)
    yield Case("full float32 1,000,000", "moves", "xp.full((1_000_000,), 2.5, dtype=xp.float32)", {}, size=million)
    yield Case("arange int64 1,000,000", "moves", "xp.arange(1_000_000)", {}, dtype="int64", size=million)
    yield Case("mask float32 1,000,000", "moves", "a[m]", {"a": flat, "m": Input((million,), "bool")}, size=million, quick=True)
    rows = {"a": Input((1_000, 1_000)), "i": Input((1_000,), "int64", "small")}
    yield Case(
        "take rows float32 1,000 x 1,000", "moves", "xp.take(a, i, axis=0)", rows,
        texts={"torch": "xp.index_select(a, 0, i)"}, size=million,
    )
    elements = {"a": flat, "i": Input((million,), "int64", "small")}
    yield Case("take elements float32 1,000,000", "moves", "xp.take(a, i)", elements, size=million)
    numbers: dict[str, Any] = {"a": Input((million,), kind="list")}
    yield Case(
        "asarray of a list of 1,000,000", "moves", "xp.asarray(a, dtype=xp.float64)", numbers, dtype="float64", size=million
    )
    yield Case("tolist float64 1,000,000", "moves", "a.tolist()", {"a": Input((million,), "float64")}, dtype="float64", size=million)


def _astype(n: int, source: str, target: str, goals: Mapping[str, float]) -> Case:
    ours = f"a.astype(xp.{'bool' if target == 'bool' else target})"
    return Case(
        f"astype {source} to {target} {n:,}",
        "moves",
        ours,
        {"a": Input((n,), source)},
        goals=goals,
        texts={"torch": f"a.to(xp.{target})"},
        dtype=source,
        size=n,
        quick=bool(goals),
    )


def chains() -> Iterator[Case]:
    for n in (1_000, 100_000, 1_000_000, 10_000_000):
        for name, text, theirs, count in (
            ("a * b + c", "a * b + c", "a * b + c", 2),
            ("sqrt(a * a + b * b)", "xp.sqrt(a * a + b * b)", "sqrt(a * a + b * b)", 4),
            ("(a - b) / (a + b) * c", "(a - b) / (a + b) * c", "(a - b) / (a + b) * c", 4),
        ):
            yield Case(
                f"chain {name} float32 {n:,}",
                "chains",
                text,
                {"a": Input((n,)), "b": Input((n,)), "c": Input((n,))},
                texts={"numexpr": f"xp.evaluate({theirs!r}, local_dict=inputs)"},
                others=("torch", "numexpr"),
                rtol=1e-5,
                operations=float(count * n),
                size=n,
                series=f"chain {name}",
                quick=n in QUICK,
            )


def products() -> Iterator[Case]:
    for n in (2, 32, 256, 1_000):
        yield Case(
            f"matmul float32 {n:,}", "products", "a @ b", {"a": Input((n, n)), "b": Input((n, n))},
            goals={"numpy": 0.5} if n == 1_000 else {}, rtol=1e-4, operations=2.0 * n**3, size=n * n, quick=n != 256,
        )
    for name, text, shapes, dtype, operations in (
        ("matmul float64 1,000", "a @ b", ((1_000, 1_000), (1_000, 1_000)), "float64", 2e9),
        ("matrix by vector float32 1,000", "a @ b", ((1_000, 1_000), (1_000,)), "float32", 2e6),
        ("matrix by vector float64 1,000", "a @ b", ((1_000, 1_000), (1_000,)), "float64", 2e6),
        *(
            (f"{name} {dtype}", "a @ b", shapes, dtype, operations)
            for name, shapes, operations in (
                ("vector by matrix 1,000", ((1_000,), (1_000, 1_000)), 2e6),
                ("matrix by vector 1,024", ((1_024, 1_024), (1_024,)), 2.1e6),
                ("vector by matrix 100,000 x 8", ((100_000,), (100_000, 8)), 1.6e6),
                ("matrix 1,000 by 2 vectors", ((1_000, 1_000), (1_000, 2)), 4e6),
                ("matrix 1,000 by 4 vectors", ((1_000, 1_000), (1_000, 4)), 8e6),
                ("2 vectors by matrix 10,000 x 100", ((2, 10_000), (10_000, 100)), 4e6),
            )
            for dtype in ("float32", "float64")
        ),
        *(
            (f"a.T by vector {dtype} 1,000", "a.T @ b", ((1_000, 1_000), (1_000,)), dtype, 2e6)
            for dtype in ("float32", "float64")
        ),
        ("matmul float32 1,000 x (32, 32)", "a @ b", ((1_000, 32, 32), (1_000, 32, 32)), "float32", 65.536e6),
        ("matmul float32 (10,000, 64) x (64, 64)", "a @ b", ((10_000, 64), (64, 64)), "float32", 81.92e6),
    ):
        yield Case(
            name, "products", text, {"a": Input(shapes[0], dtype), "b": Input(shapes[1], dtype)}, rtol=1e-4,
            operations=operations, dtype=dtype, size=int(np.prod(shapes[0])), quick=False,
            # The floor for products is the goal that there is: half of a tuned BLAS.
            goals={"numpy": 0.5} if name == "matmul float64 1,000" else {},
        )


def table() -> list[Case]:
    """Every case, in the order of the report."""
    from benchmarks import lanes  # which makes cases itself

    groups = (
        elementwise,
        layouts,
        whole_reductions,
        exact_sums,
        running,
        axis_reductions,
        moves,
        chains,
        products,
        lanes.cases,
    )
    rows = [case for group in groups for case in group()]
    names = [case.name for case in rows]
    if len(set(names)) != len(names):
        raise ValueError(f"names appear twice: {sorted({n for n in names if names.count(n) > 1})}")
    return rows


def select(only: Iterable[str] = (), quick: bool = False) -> list[Case]:
    """The cases whose name holds one of the texts; all of them when there is no text."""
    wanted = tuple(only)
    rows = [case for case in table() if not wanted or any(text in case.name for text in wanted)]
    return [case for case in rows if case.quick] if quick else rows
