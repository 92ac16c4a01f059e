"""corepy against NumPy, interleaved in one process: medians, spread, and the ratio of the medians.

`python benchmarks/against_numpy.py [--only TEXT] [--rounds N] [--json FILE]`. A ratio above 1 means
that corepy is faster. Results are compared before anything is timed, and every timed result is used.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import corepy as cp

# A round lasts at least this long, so that the clock's resolution and its call do not show.
ROUND_SECONDS = 2e-3


@dataclass(frozen=True)
class Case:
    name: str
    numpy: Callable[[], Any]
    corepy: Callable[[], Any]
    rtol: float = 1e-5
    goal: float = 0.0


def cases() -> Iterator[Case]:
    rng = np.random.default_rng(1)

    def pair(shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
        a = (rng.standard_normal(shape) * 100).astype(dtype)
        return a, cp.asarray(a)

    for n, goal in (
        (1, 2.0),
        (10, 0.9),
        (1_000, 0.9),
        (10_000, 0.9),
        (100_000, 0.9),
        (1_000_000, 0.9),
        (10_000_000, 0.9),
    ):
        (a, x), (b, y) = pair((n,), "float32"), pair((n,), "float32")
        yield Case(f"a + b float32 {n:,}", lambda a=a, b=b: a + b, lambda x=x, y=y: x + y, goal=goal)
    for n, goal in (
        (1, 4.0),
        (10, 0.9),
        (1_000, 0.9),
        (10_000, 0.9),
        (100_000, 0.9),
        (1_000_000, 0.9),
        (10_000_000, 0.9),
    ):
        a, x = pair((n,), "float32")
        yield Case(f"a.sum() float32 {n:,}", lambda a=a: a.sum(), lambda x=x: x.sum(), 1e-2, goal)
        yield Case(f"sum(a) float32 {n:,}", lambda a=a: np.sum(a), lambda x=x: cp.sum(x), 1e-2, goal)
    for dtype in ("float64", "int32"):
        for n in (1, 1_000, 100_000, 10_000_000):
            (a, x), (b, y) = pair((n,), dtype), pair((n,), dtype)
            yield Case(f"a + b {dtype} {n:,}", lambda a=a, b=b: a + b, lambda x=x, y=y: x + y, goal=0.9)
            yield Case(f"a.sum() {dtype} {n:,}", lambda a=a: a.sum(), lambda x=x: x.sum(), 1e-2, 0.9)
    for shape in ((100_000, 8), (20_000, 512)):
        for dtype in ("float32", "float64"):
            a, x = pair(shape, dtype)
            goal = 1.0 if dtype == "float32" else 0.0
            yield Case(
                f"sum axis 0 {dtype} {shape}",
                lambda a=a: a.sum(axis=0),
                lambda x=x: x.sum(axis=0),
                1e-2,
                goal,
            )
            yield Case(
                f"sum axis 1 {dtype} {shape}", lambda a=a: a.sum(axis=1), lambda x=x: x.sum(axis=1), 1e-1
            )
    for n in (2, 32, 256, 1_000):
        (a, x), (b, y) = pair((n, n), "float32"), pair((n, n), "float32")
        yield Case(
            f"matmul float32 {n}",
            lambda a=a, b=b: a @ b,
            lambda x=x, y=y: x @ y,
            1e-2,
            0.5 if n == 1_000 else 0.0,
        )
    (a, x), (b, y) = pair((1_000, 1_000), "float64"), pair((1_000, 1_000), "float64")
    yield Case("matmul float64 1000", lambda: a @ b, lambda: x @ y, 1e-2)
    v, w = pair((1_000,), "float32")
    m, k = pair((1_000, 1_000), "float32")
    yield Case("matvec float32 1000", lambda: m @ v, lambda: k @ w, 1e-2)
    yield Case(
        "a + row float32 (100000, 8)", *_broadcast(pair((100_000, 8), "float32"), pair((8,), "float32"))
    )
    yield Case(
        "a + column float32 (1000, 1000)",
        *_broadcast(pair((1_000, 1_000), "float32"), pair((1_000, 1), "float32")),
    )
    yield Case("a.T + b.T float32 1000", lambda: m.T + m.T, lambda: k.T + k.T)
    yield Case(
        "a.T copied float32 1000", lambda: m.T.copy(order="C"), lambda: cp.reshape(k.T, (-1,), copy=True)
    )
    yield Case(
        "astype float32 to float64 1,000,000", lambda: m.astype(np.float64), lambda: k.astype(cp.float64)
    )
    yield Case("max float32 1,000,000", lambda: m.max(), lambda: k.max())
    yield Case("argmax float32 1,000,000", lambda: m.argmax(), lambda: k.argmax())
    yield Case("std float64 1,000,000", lambda a=a: a.std(), lambda x=x: x.std())
    mask = m > 0
    z = cp.asarray(mask)
    yield Case("mask float32 1,000,000", lambda: m[mask], lambda: k[z])
    yield Case("where float32 1,000,000", lambda: np.where(mask, m, m), lambda: cp.where(z, k, k))
    index = rng.integers(0, 1_000, 1_000)
    i = cp.asarray(index)
    yield Case(
        "take rows float32 1,000,000", lambda: np.take(m, index, axis=0), lambda: cp.take(k, i, axis=0)
    )
    flat, numbers = m.ravel(), m.ravel().tolist()
    owned = cp.asarray(flat)
    yield Case("asarray of a list of 1,000,000", lambda: np.asarray(numbers), lambda: cp.asarray(numbers))
    yield Case("tolist of 1,000,000", lambda: flat.tolist(), lambda: owned.tolist())


def _broadcast(
    first: tuple[Any, Any], second: tuple[Any, Any]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return (lambda: first[0] + second[0]), (lambda: first[1] + second[1])


def time_of(function: Callable[[], Any], count: int) -> float:
    result = None
    start = time.perf_counter()
    for _ in range(count):
        result = function()
    elapsed = time.perf_counter() - start
    if result is None:
        raise AssertionError("the result is not used")
    return elapsed / count


def measure(case: Case, rounds: int) -> dict[str, Any]:
    expected, got = np.asarray(case.numpy()).ravel(), np.asarray(case.corepy()).ravel()
    scale = float(np.max(np.abs(expected), initial=1e-30))
    if not np.allclose(expected, got, rtol=case.rtol, atol=case.rtol * scale):
        raise AssertionError(f"{case.name}: the results differ")
    counts = {}
    for who in ("numpy", "corepy"):
        function = getattr(case, who)
        once = min(time_of(function, 1) for _ in range(3))
        counts[who] = max(1, min(100_000, round(ROUND_SECONDS / max(once, 1e-9))))
    times: dict[str, list[float]] = {"numpy": [], "corepy": []}
    for i in range(rounds):
        for who in ("numpy", "corepy") if i % 2 else ("corepy", "numpy"):
            times[who].append(time_of(getattr(case, who), counts[who]))
    medians = {who: statistics.median(t) for who, t in times.items()}
    spread = {
        who: (statistics.quantiles(t, n=4)[2] - statistics.quantiles(t, n=4)[0]) / medians[who]
        for who, t in times.items()
    }
    return {
        "name": case.name,
        "numpy_s": medians["numpy"],
        "corepy_s": medians["corepy"],
        "numpy_spread": spread["numpy"],
        "corepy_spread": spread["corepy"],
        "ratio": medians["numpy"] / medians["corepy"],
        "best_ratio": min(times["numpy"]) / min(times["corepy"]),
        "goal": case.goal,
    }


def import_times(rounds: int = 15) -> tuple[float, float]:
    """Median seconds to start a bare interpreter, and one that imports corepy as well."""

    def run(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", code], check=True)
        return time.perf_counter() - start

    pairs = [(run("pass"), run("import corepy")) for _ in range(rounds)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def processor() -> str:
    """The CPU's model name, as the kernel tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def show(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:8.2f} {unit}"
    return f"{seconds / 1e-9:8.1f} ns"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="run the cases whose name holds this text")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", default="", help="also write the figures to this file")
    arguments = parser.parse_args()
    machine = {
        "cpu": processor(),
        "level": cp.simd_level(),
        "threads": cp.get_num_threads(),
        "corepy": cp.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    print(", ".join(f"{k} {v}" for k, v in machine.items()))
    columns = f"{'NumPy':>11} {'spread':>6}  {'corepy':>11} {'spread':>6}  {'ratio':>6} {'best':>6}"
    print(f"{'case':42} {columns}  goal")
    rows = []
    for case in cases():
        if arguments.only not in case.name:
            continue
        row = measure(case, arguments.rounds)
        rows.append(row)
        verdict = (
            ""
            if not row["goal"]
            else f"{row['goal']:.1f}x {'met' if row['ratio'] >= row['goal'] else 'MISSED'}"
        )
        print(
            f"{row['name']:42} {show(row['numpy_s'])} {row['numpy_spread']:6.0%}"
            f"  {show(row['corepy_s'])} {row['corepy_spread']:6.0%}"
            f"  {row['ratio']:5.2f}x {row['best_ratio']:5.2f}x  {verdict}",
            flush=True,
        )
    bare, imported = import_times()
    print(
        f"import corepy beyond a bare interpreter: {show(imported - bare)} ({show(bare)} to {show(imported)})"
    )
    if arguments.json:
        figures = {"machine": machine, "rows": rows, "import_s": imported - bare}
        Path(arguments.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
