"""Cache misses of one call of a case: `python -m benchmarks.cache_misses "sum float32 1,000,000"`.

By the processor's counters (`perf stat`) where the machine has them, else by simulation (`valgrind
--tool=cachegrind`, one thread, level x86-64-v3 at most). Two runs of different length are subtracted, so
that the start of Python and the making of the inputs do not count.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.limits import caches
from benchmarks.one import find

ROOT = Path(__file__).resolve().parent.parent
COUNTERS = (
    "instructions",
    "cache-references",
    "cache-misses",
    "L1-dcache-loads",
    "L1-dcache-load-misses",
    "dTLB-load-misses",
)
# Both runs start alike: threads of OpenBLAS that spin, and the order of Python's sets, differ by a million
# instructions from run to run, which the calls of a small case do not have.
ALIKE = {"OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def one(name: str, calls: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.one", name, "--calls", str(calls)]


def run(command: list[str], environment: dict[str, str]) -> str:
    answer = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **ALIKE, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{answer.stderr[-2000:]}")
    return answer.stderr


def by_counters(name: str, calls: int) -> dict[str, float] | None:
    """Counts of `calls` calls by `perf stat`, or None where a counter is not there."""
    command = ["perf", "stat", "-x", ",", "-e", ",".join(COUNTERS)]
    found = {}
    for line in run([*command, *one(name, calls)], {}).splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            found[fields[2].partition(":")[0]] = float(fields[0])
    return found if {"instructions", "cache-misses"} <= set(found) else None


def by_simulation(name: str, calls: int) -> dict[str, float]:
    """Counts of `calls` calls by cachegrind, which knows a first and a last level."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", f"--cachegrind-out-file={folder}/out"]
        text = run([*command, *one(name, calls)], {"COREPY_NUM_THREADS": "1"})
    rows = re.findall(r"==\d+==\s+([ID1L][\w ]*?)\s*:\s+([\d,]+)", text)
    return {" ".join(label.split()): float(count.replace(",", "")) for label, count in rows}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cache_misses", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("case")
    parser.add_argument("--calls", type=int, default=20)
    arguments = parser.parse_args()
    name, calls = find(arguments.case).name, arguments.calls
    more = counted = None
    if shutil.which("perf"):
        counted = by_counters(name, calls)
        more = by_counters(name, 2 * calls) if counted else None
    how = "perf stat"
    if counted is None or more is None:
        if not shutil.which("valgrind"):
            raise SystemExit("this machine has neither the counters nor valgrind")
        how = f"cachegrind, one thread; this machine's caches are {caches()}"
        counted, more = by_simulation(name, calls), by_simulation(name, 2 * calls)
    print(f"{name}, one call, by {how}")
    for label, count in more.items():
        if label in counted and not label.endswith("rate"):
            print(f"{label:24} {(count - counted[label]) / calls:16,.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
