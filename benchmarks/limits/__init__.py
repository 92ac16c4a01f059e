"""The machine's limits: bandwidth over size, peak multiply-adds, hand-off latency, measured by `limits.cpp`.

`python -m benchmarks.limits` prints them.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("limits.cpp")
BUILD = Path(__file__).resolve().parents[2] / "build" / "limits"

# The compiler's name of each level. A pass over memory must not become a call of memset or memcpy.
LEVELS = {
    "portable": "x86-64",
    "x86-64-v3": "x86-64-v3",
    "x86-64-v4": "x86-64-v4",
    "aarch64": "armv8-a",
}
FLAGS = ("-std=c++20", "-O2", "-ffp-contract=fast", "-fno-tree-loop-distribute-patterns", "-pthread")

PATTERNS = {
    "read": "one array read",
    "write": "one array written",
    "copy": "one array read, one written",
    "add": "two arrays read, one written",
}


@dataclass(frozen=True)
class Limits:
    """Measured: `bandwidth` in bytes a second, `peak` in operations a second, `handoff` in seconds."""

    bandwidth: list[dict[str, Any]]
    peak: dict[str, list[dict[str, Any]]]
    handoff: dict[str, float]

    def curve(
        self, pattern: str, threads: int | None = None, past_the_cache: bool | None = None
    ) -> list[tuple[int, float]]:
        """The best rate at each size, over all threads and kinds of stores unless these are given."""
        best: dict[int, float] = {}
        for point in self.bandwidth:
            if point["pattern"] != pattern or (threads is not None and point["threads"] != threads):
                continue
            if past_the_cache is not None and point["past_the_cache"] != past_the_cache:
                continue
            # Rounded to whole vectors, a size is a little below its power of two.
            size = 1 << round(math.log2(point["bytes"]))
            best[size] = max(best.get(size, 0.0), point["best"])
        return sorted(best.items())

    def rate(self, pattern: str, size: float, threads: int | None = None) -> float:
        """Bytes a second for a working set of `size` bytes, interpolated between the sizes measured."""
        curve = self.curve(pattern, threads)
        size = min(max(size, curve[0][0]), curve[-1][0])
        for (x0, y0), (x1, y1) in itertools.pairwise(curve):
            if size <= x1:
                part = math.log(size / x0) / math.log(x1 / x0)
                return math.exp(math.log(y0) * (1 - part) + math.log(y1) * part)
        return curve[-1][1]

    def operations(self, level: str, dtype: str) -> float:
        """Peak operations a second of all threads, a multiply-add counted as two."""
        found = [p["best"] for p in self.peak.get(level, ()) if p["dtype"] == dtype]
        return max(found, default=0.0)

    def as_json(self) -> dict[str, Any]:
        return {"bandwidth": self.bandwidth, "peak": self.peak, "handoff": self.handoff}


def caches() -> dict[str, int]:
    """Bytes of the first processor's data caches, as the kernel tells them; empty where it does not."""
    found: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        if (index / "type").read_text().strip() == "Instruction":
            continue
        text = (index / "size").read_text().strip()
        size = int(text.rstrip("KMG")) << {"K": 10, "M": 20, "G": 30}.get(text[-1], 0)
        found[f"L{(index / 'level').read_text().strip()}"] = size
    return found


def program(level: str) -> Path:
    """The program for a level, compiled when its source is newer."""
    path = BUILD / f"limits-{level}"
    if not path.exists() or path.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CXX", "g++")
        command = [compiler, *FLAGS, f"-march={LEVELS[level]}", str(SOURCE), "-o", str(path)]
        subprocess.run(command, check=True)
    return path


def run(level: str, seconds: float, largest: int, threads: int, parts: str) -> dict[str, Any]:
    command = [str(program(level)), str(seconds), str(largest), str(threads), parts]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def measure(levels: tuple[str, ...], threads: int, quick: bool = False) -> Limits:
    """Everything, with the widest level's loads and stores for bandwidth; 15 s, or 3 s when quick."""
    levels = tuple(
        level for level in levels if level != "portable" or platform.machine() in ("x86_64", "AMD64")
    )
    seconds, largest = (0.001, 1 << 27) if quick else (0.004, 1 << 28)
    widest = run(levels[-1], seconds, largest, threads, "bandwidth handoff")
    peak = {level: run(level, seconds, 0, threads, "peak")["peak"] for level in levels}
    return Limits(widest["bandwidth"], peak, widest.get("handoff", {}))


def table(limits: Limits) -> list[str]:
    """Markdown: bandwidth in each cache and in DRAM, peaks, hand-off."""
    sizes = {name: size // 2 for name, size in caches().items()}
    sizes["DRAM"] = max(point["bytes"] for point in limits.bandwidth)
    threads = sorted({point["threads"] for point in limits.bandwidth})
    lines = [
        "GB/s, best of seven; the working set is half of the cache for each thread, or beyond all caches."
        " Bytes that the program asks for are counted, not lines fetched before they are overwritten.",
        "",
        "| pattern | stores | "
        + " | ".join(f"{name}, {t} thread{'s' * (t > 1)}" for t in threads for name in sizes)
        + " |",
        "|---|---|" + "---:|" * (len(sizes) * len(threads)),
    ]
    for pattern, meaning in PATTERNS.items():
        for past_the_cache in (False, True):
            if past_the_cache and pattern == "read":
                continue
            cells = []
            for t in threads:
                for name, size in sizes.items():
                    # L1 and L2 belong to a core each; what is behind them is shared.
                    own = size * (t if name in ("L1", "L2") else 1)
                    curve = limits.curve(pattern, t, past_the_cache)
                    cells.append(min(curve, key=lambda p: abs(math.log(p[0] / own)))[1])
            stores = "" if pattern == "read" else "non-temporal" if past_the_cache else "ordinary"
            lines.append(f"| {meaning} | {stores} | " + " | ".join(f"{c / 1e9:.0f}" for c in cells) + " |")
    lines += ["", "| level | dtype | threads | peak GFLOP/s (multiply-add is two) |", "|---|---|---:|---:|"]
    for level, points in limits.peak.items():
        lines += [f"| {level} | {p['dtype']} | {p['threads']} | {p['best'] / 1e9:.0f} |" for p in points]
    if limits.handoff:
        polling, asleep = limits.handoff["polling"], limits.handoff["asleep"]
        lines += [
            "",
            f"Hand-off to another thread, median: {polling * 1e9:.0f} ns when it polls,"
            f" {asleep * 1e6:.1f} us when it sleeps in a futex.",
        ]
    return lines
