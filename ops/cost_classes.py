"""What a table of costs holds: single numbers, and classes of operations with a cost for each dtype."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ops.abi import CUMULATIVE_DTYPES
from ops.dtypes import DTYPE_SETS, DTYPES

# Raised whenever a line of the file changes its meaning.
VERSION = 2
SHIPPED = Path(__file__).resolve().parent / "costs"


@dataclass(frozen=True)
class Cost:
    """One number of a machine."""

    name: str
    least: float  # between what it is believed
    most: float
    doc: str


@dataclass(frozen=True)
class Class:
    """Operations that cost about the same: ns an element, of elements in the second-level cache."""

    name: str
    dtypes: tuple[str, ...]
    doc: str


COSTS = (
    Cost("hand_off_hot_ns", 20, 1e5, "How much longer two threads take for a tile each than one for its own, where the worker polls"),
    Cost("hand_off_cold_ns", 1e3, 1e7, "How much longer they take where the worker sleeps"),
    Cost("second_bytes", 1 << 14, 1e12, "Bytes of an operation up to which they count as lying in the second-level cache"),
    Cost("third_bytes", 1 << 14, 1e15, "Bytes of an operation up to which they count as lying in the third-level cache"),
    Cost("past_caches_bytes", 1 << 20, 1e15, "Bytes of an operation from which on its results are stored past the caches"),
    Cost("move_second_ns", 1e-4, 10, "Reading or writing a byte in the second-level cache, by operations that do both"),
    Cost("move_third_ns", 1e-4, 10, "The same in the third-level cache"),
    Cost("move_memory_ns", 1e-4, 10, "The same in memory"),
    Cost("read_second_ns", 1e-4, 10, "Reading a byte in the second-level cache, by operations that write little"),
    Cost("read_third_ns", 1e-4, 10, "The same in the third-level cache"),
    Cost("read_memory_ns", 1e-4, 10, "The same in memory"),
)
# Between what the cost of an element is believed.
LEAST, MOST = 1e-4, 1e4


def _class(name: str, dtypes: str, doc: str) -> Class:
    return Class(name, tuple(DTYPE_SETS[dtypes]), doc)


CLASSES = (
    _class("arithmetic", "any", "Additions, logic, bits, rounding: a vector every cycle or two"),
    _class("comparison", "any", "Comparisons and predicates"),
    _class("multiplication", "numeric", "Products"),
    _class("division", "floating", "Quotients"),
    _class("root", "floating", "Square roots"),
    _class("magnitude", "numeric", "Absolute values"),
    _class("sign", "numeric", "Signs; of complex numbers a quotient by the absolute value"),
    _class("shift", "integer", "Shifts"),
    _class("floor_division", "real", "Quotients rounded down, and remainders"),
    _class("power", "numeric", "Powers: a loop over the bits of an exponent"),
    _class("selection", "storage", "Either of two elements by a condition"),
    _class("cast_from", "storage", "Conversions from a dtype"),
    _class("cast_to", "storage", "Conversions to a dtype; one takes the longer of both"),
    _class("strided", "storage", "Elements gathered from, or scattered to, places one stride apart"),
    _class("taken", "storage", "Elements at indices, in the third-level cache"),
    _class("masked", "storage", "Elements under a mask, a half of which is set"),
    _class("sum", "any", "Sums and means"),
    _class("exact_sum", "floating", "The first pass of an exact sum"),
    _class("superaccumulator", "floating", "The second pass of an exact sum"),
    _class("prod", "any", "Products of many"),
    _class("var", "real_floating", "Variances, both passes"),
    _class("extremum", "real_or_bool", "The smallest or largest"),
    _class("decision", "any", "Whether any or all are set"),
    _class("index", "real_or_bool", "The index of the smallest or largest"),
    _class("count", "any", "How many are set"),
    _class("dot", "numeric", "Sums of products"),
    _class("short_group", "any", "A sum's result beside its elements, of at most 16"),
    _class("long_group", "any", "A sum's result beside its elements, of more than 16"),
    Class("running_total", CUMULATIVE_DTYPES, "Running totals"),
    Class("block_total", CUMULATIVE_DTYPES, "The totals of blocks that threads begin running totals with"),
    _class("multiply_add", "numeric", "A multiply-add of a matrix product"),
)


@dataclass(frozen=True)
class Table:
    """A table that `python -m corepy tune` wrote, to be shipped for its SIMD level."""

    level: str
    processor: str
    processors: int
    costs: tuple[float, ...]
    elements: tuple[tuple[float | None, ...], ...]


def read(path: Path) -> Table:
    lines = iter(path.read_text().splitlines())
    assert next(lines) == f"corepy tuning table {VERSION}", path

    def value(name: str) -> str:
        found, text = next(lines).split("=", 1)
        assert found.strip() == name, (path, found, name)
        return text.strip()

    processor, processors, level = value("processor"), int(value("processors")), value("level")
    costs = tuple(float(value(cost.name)) for cost in COSTS)
    assert value("dtype").split() == [d.name for d in DTYPES], path
    elements = []
    for row in CLASSES:
        given = value(row.name).split()
        assert [d.name for d, v in zip(DTYPES, given, strict=True) if v != "-"] == [
            d.name for d in DTYPES if d.name in row.dtypes
        ], (path, row.name)
        elements.append(tuple(None if v == "-" else float(v) for v in given))
    assert not list(lines), path
    assert path.stem == level, path
    return Table(level, processor, processors, costs, tuple(elements))


def shipped() -> list[Table]:
    """One for each SIMD level, narrowest first."""
    return [read(SHIPPED / f"{level}.txt") for level in ("portable", "x86-64-v3", "x86-64-v4")]
