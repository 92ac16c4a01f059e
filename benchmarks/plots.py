"""Draws a report: throughput over size with the machine's limits, the roofline, the ratios.

`python -m benchmarks.plots report.json` draws it again.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt

from benchmarks.limits import PATTERNS, Limits, caches
from benchmarks.peers import TITLES

matplotlib.use("Agg")

COLOURS = {
    "corepy": "#c1121f", "numpy": "#1d4ed8", "torch": "#b45309", "numexpr": "#15803d", "numba": "#7c3aed",
    "fsum": "#0e7490", "sum": "#be185d", "parts": "#4d7c0f", "reference": "#6b7280", "clock": "#111827",
}  # fmt: skip
MARKS = {
    "corepy": "o", "numpy": "s", "torch": "^", "numexpr": "D", "numba": "v",
    "fsum": "P", "sum": "X", "parts": "h", "reference": "p", "clock": "*",
}  # fmt: skip
LIMIT = "#6b7280"

# File, title, and the series that are its panels.
SWEEPS = (
    ("elementwise.png", "Elementwise", ("add float32", "add float64", "add int32")),
    ("multiply.png", "Multiplication", ("multiply float32", "multiply float64", "multiply int32")),
    ("divide.png", "Division", ("divide float32", "divide float64", "divide int32")),
    ("sums.png", "Sums", ("sum float32", "sum float64", "sum int32", "mean float32")),
    ("extremes.png", "Order does not matter", ("max float32", "argmax float32", "min int32", "any bool")),
    ("copies.png", "Copies", ("copy float32",)),
    (
        "chains.png",
        "Chains",
        ("chain a * b + c", "chain sqrt(a * a + b * b)", "chain (a - b) / (a + b) * c"),
    ),
)  # fmt: skip


def _size(elements: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if elements >= size:
            return f"{elements / size:g}{unit}"
    return f"{elements:g}"


def _cache(axes: Any, name: str, position: float) -> None:
    """A line where one core's cache of that name is full."""
    axes.axvline(position, color="#d1d5db", linewidth=0.9, zorder=0)
    axes.text(position, 0.985, f"{name} ", color=LIMIT, fontsize=8, ha="right", va="top",
              transform=axes.get_xaxis_transform())  # fmt: skip


def _panel(axes: Any, rows: list[dict[str, Any]], limits: Limits | None) -> None:
    """Throughput over size of one series, in bytes that the case has to move."""
    rows = sorted((row for row in rows if "bytes" in row), key=lambda row: row["size"])
    sizes = [row["size"] for row in rows]
    for who, colour in COLOURS.items():
        points = [(row["size"], row["bytes"], row["times"][who]) for row in rows if who in row["times"]]
        if not points:
            continue
        x = [point[0] for point in points]
        rates = [[moved / times[k] / 1e9 for _, moved, times in points] for k in ("median", "q3", "q1")]
        axes.plot(x, rates[0], color=colour, marker=MARKS[who], markersize=4, linewidth=1.6,
                  label=TITLES[who], zorder=3 if who == "corepy" else 2)  # fmt: skip
        axes.fill_between(x, rates[1], rates[2], color=colour, alpha=0.2, linewidth=0)
    if limits is not None and rows:
        each = rows[-1]["bytes"] / rows[-1]["size"]
        pattern = rows[-1]["pattern"]
        for threads, style in ((1, ":"), (None, "--")):
            curve = [(size / each, rate / 1e9) for size, rate in limits.curve(pattern, threads)]
            curve = [(x, y) for x, y in curve if x <= sizes[-1] * 1.5]
            label = f"limit: {PATTERNS[pattern]}, {'all threads' if threads is None else '1 thread'}"
            axes.plot(*zip(*curve, strict=True), color=LIMIT, linestyle=style, linewidth=1.3, label=label)
        for name, size in caches().items():
            if sizes[0] < size / each < sizes[-1]:
                _cache(axes, name, size / each)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [_size(size) for size in sizes], fontsize=7, rotation=60)
    axes.minorticks_off()
    axes.set_xlabel("elements")
    axes.set_ylabel("GB/s")
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.6)


def _sweeps(report: dict[str, Any], limits: Limits | None, folder: Path) -> list[Path]:
    drawn = []
    for file, title, names in SWEEPS:
        series = {name: [row for row in report["rows"] if row["series"] == name] for name in names}
        series = {name: rows for name, rows in series.items() if sum("bytes" in row for row in rows) > 1}
        if not series:
            continue
        columns = len(series) if len(series) < 4 else 2
        lines = len(series) // columns
        size = (max(7.0, 5.0 * columns), 5.4 * lines)
        figure, grid = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
        for axes, (name, rows) in zip(grid.flat, series.items(), strict=False):
            _panel(axes, rows, limits)
            axes.set_title(name, fontsize=10)
            axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        figure.suptitle(f"{title}: throughput over size, median and quartiles")
        drawn.append(_save(figure, folder / file))
    return drawn


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _limits(limits: Limits, folder: Path) -> Path:
    figure, grid = plt.subplots(1, 2, figsize=(12, 5.2), sharey=True, layout="constrained")
    threads = sorted({point["threads"] for point in limits.bandwidth})
    colours = dict(zip(PATTERNS, ("#1d4ed8", "#c1121f", "#15803d", "#b45309"), strict=True))
    for axes, count in zip(grid, threads, strict=False):
        for pattern, colour in colours.items():
            for past_the_cache, style in ((False, "-"), (True, "--")):
                curve = limits.curve(pattern, count, past_the_cache)
                if curve:
                    label = pattern + (", non-temporal" if past_the_cache else "")
                    x, y = zip(*curve, strict=True)
                    axes.plot(x, [v / 1e9 for v in y], style, color=colour, linewidth=1.5, label=label)
        for name, size in caches().items():
            _cache(axes, name, size)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = [1 << n for n in range(12, 30, 2)]
        axes.set_xticks(ticks, [f"{t >> 20} MiB" if t >> 20 else f"{t >> 10} KiB" for t in ticks], fontsize=8)
        axes.set_yticks([10, 20, 50, 100, 200, 500, 1000], ["10", "20", "50", "100", "200", "500", "1000"])
        axes.minorticks_off()
        axes.set_title(f"{count} thread{'s' * (count > 1)}", fontsize=10)
        axes.set_xlabel("working set of all threads")
        axes.grid(axis="y", color="#e5e7eb", linewidth=0.6)
    grid[0].set_ylabel("GB/s")
    figure.legend(*grid[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=7)
    figure.suptitle("The machine's limits: bandwidth, best of seven")
    return _save(figure, folder / "limits.png")


def _roofline(report: dict[str, Any], limits: Limits, folder: Path) -> Path | None:
    """Operations a second over operations a byte, of cases that outlast their call."""
    rows = [r for r in report["rows"] if r.get("operations", 0) >= 1e5 and r.get("bytes", 0) >= 1e5]
    if not rows:
        return None
    figure, axes = plt.subplots(figsize=(10, 6.5), layout="constrained")
    level = report["machine"]["level"]
    first, last = 2.0**-8, 2.0**8
    labels = []
    peaks = {dtype: limits.operations(level, dtype) for dtype in ("float32", "float64")}
    for size, name in ((1 << 28, "DRAM"), (1 << 23, "8 MiB, L3"), (1 << 20, "1 MiB, L2")):
        rate, roof = limits.rate("read", size), peaks["float32"]
        axes.plot(
            [first, roof / rate], [first * rate / 1e9, roof / 1e9], color=LIMIT, linewidth=1.1, linestyle="--"
        )
        labels.append((first, first * rate / 1e9, f"{name}: {rate / 1e9:.0f} GB/s read"))
    for dtype, peak in peaks.items():
        axes.axhline(peak / 1e9, color=LIMIT, linewidth=1.1)
        axes.text(last, peak / 1e9 * 1.06, f"{dtype} multiply-add: {peak / 1e9:.0f} GFLOP/s", fontsize=8,
                  color=LIMIT, ha="right")  # fmt: skip
    groups = {
        "elementwise": "#1d4ed8", "layouts": "#7c3aed", "reductions": "#c1121f", "axes": "#b45309",
        "chains": "#15803d", "products": "#111827",
    }  # fmt: skip
    for group, colour in groups.items():
        chosen = [row for row in rows if row["group"] == group]
        if chosen:
            axes.scatter(
                [row["operations"] / row["bytes"] for row in chosen],
                [row["operations"] / row["times"]["corepy"]["median"] / 1e9 for row in chosen],
                s=[8 + 14 * (row["bytes"] > 3e7) for row in chosen], color=colour, alpha=0.65,
                label=group, zorder=3,
            )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(first, last)
    axes.set_xlabel("operations a byte that has to be moved")
    axes.set_ylabel("10^9 operations a second")
    axes.legend(fontsize=8, loc="lower right", title="large dots: beyond 30 MB")
    axes.grid(color="#e5e7eb", linewidth=0.5)
    axes.set_title(f"Roofline, {level}, {report['machine']['threads']['corepy']} threads")
    # A roof rises by one decade a decade; at which angle is known once the axes have their place.
    figure.canvas.draw()
    (x0, y0), (x1, y1) = axes.transData.transform([(first, 1.0), (2 * first, 2.0)])
    for x, y, text in labels:
        axes.annotate(
            text, (x, y), xytext=(8, 10), textcoords="offset points", fontsize=8, color=LIMIT,
            rotation=math.degrees(math.atan2(y1 - y0, x1 - x0)), rotation_mode="anchor",
        )  # fmt: skip
    return _save(figure, folder / "roofline.png")


def _ratios(report: dict[str, Any], folder: Path) -> list[Path]:
    """Ratios of the cases that are no point of a series, the lowest first, a figure a group."""
    drawn = []
    for group in dict.fromkeys(row["group"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["group"] == group and row["ratios"]]
        rows = [
            row for row in rows if not row["series"] or sum(r["series"] == row["series"] for r in rows) == 1
        ]
        if not rows:
            continue
        rows.sort(key=lambda row: -min(row["ratios"].values()))
        figure, axes = plt.subplots(figsize=(9, 1.2 + 0.21 * len(rows)), layout="constrained")
        for who, colour in COLOURS.items():
            chosen = [(y, row) for y, row in enumerate(rows) if who in row["ratios"]]
            if chosen:
                x, y = [row["ratios"][who] for _, row in chosen], [y for y, _ in chosen]
                axes.scatter(x, y, color=colour, marker=MARKS[who], s=22, label=TITLES[who], zorder=3)
            chosen = [(y, row) for y, row in chosen if who in row["goals"]]
            if chosen:
                x, y = [row["goals"][who] for _, row in chosen], [y for y, _ in chosen]
                axes.scatter(x, y, color=colour, marker="|", s=60, linewidth=1.2, zorder=2)
        axes.axvline(1.0, color="#111827", linewidth=1)
        axes.set_xscale("log", base=2)
        low, high = axes.get_xlim()
        ticks = [2.0**n for n in range(-6, 12) if low <= 2.0**n <= high]
        axes.set_xticks(ticks, [f"{t:g}x" if t >= 1 else f"1/{1 / t:g}x" for t in ticks], fontsize=8)
        axes.minorticks_off()
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows], fontsize=7)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.grid(color="#e5e7eb", linewidth=0.5)
        axes.set_title(
            f"{group}: their time over corepy's; right of 1 corepy is faster, strokes are goals", fontsize=9
        )
        # Beside the axes, where it hides no point.
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        drawn.append(_save(figure, folder / f"ratios_{group}.png"))
    return drawn


def draw(report: dict[str, Any], folder: Path) -> list[Path]:
    """Writes every plot that the report has figures for."""
    limits = Limits(**report["limits"]) if report["limits"] else None
    drawn = _sweeps(report, limits, folder)
    if limits is not None:
        drawn.append(_limits(limits, folder))
        roofline = _roofline(report, limits, folder)
        drawn += [roofline] if roofline else []
    return drawn + _ratios(report, folder)


if __name__ == "__main__":
    source = Path(sys.argv[1])
    for path in draw(json.loads(source.read_text(encoding="utf-8")), source.parent):
        print(path)
