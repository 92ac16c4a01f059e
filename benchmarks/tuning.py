"""Shipped costs against those that `tune` measures: the same cases in two processes that take turns.

`python -m benchmarks.tuning [TABLE] [--rounds N]`. TABLE is a file that `python -m corepy tune` has written;
without one this machine is measured first. A ratio above 1 means that the measured table is faster. Judge it
on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

# Of every class some that are near the size where threads begin to pay, and some that caches do not hold.
CASES = """
a + b                          | float32   | 30_000 100_000 1_000_000 10_000_000
a / b                          | float64   | 10_000 100_000 1_000_000
cp.sqrt(a)                     | float64   | 10_000 100_000
a // b                         | int32     | 10_000 100_000
a ** b                         | float32   | 3_000 30_000
cp.where(a > b, a, b)          | float64   | 30_000 1_000_000
cp.astype(a, cp.float32)       | int64     | 100_000 10_000_000
a[::3] + b[::3]                | float32   | 30_000 1_000_000
cp.sum(a)                      | float32   | 100_000 1_000_000 10_000_000
cp.sum(a)                      | float64   | 30_000 100_000 1_000_000
cp.max(a)                      | int8      | 1_000_000
cp.std(a)                      | float64   | 30_000 1_000_000
cp.exact_sum(a)                | float64   | 100_000
cp.cumulative_sum(a)           | float64   | 300_000 10_000_000
cp.reshape(a, (100, -1)).mT + 0| float32   | 100_000 1_000_000
cp.sum(cp.reshape(a, (-1, 100)), axis=0) | float32 | 100_000 1_000_000
cp.reshape(a, (100, -1)) @ cp.reshape(b, (-1, 100)) | float32 | 10_000 100_000
"""

# Reads the number of a case and gives the least and the median of a turn's times.
WORKER = """
import sys, time, statistics
import corepy as cp
cases = {cases!r}
kept = {{}}
for line in sys.stdin:
    number = int(line)
    code, dtype, size = cases[number]
    if number not in kept:
        kept[number] = (compile(code, "case", "eval"),
                        {{"cp": cp, "a": cp.astype(cp.arange(size) % 7 + 2, getattr(cp, dtype)),
                         "b": cp.astype(cp.arange(size) % 3 + 1, getattr(cp, dtype))}})
    call, names = kept[number]
    times, end = [], time.perf_counter() + 0.01
    # The first calls find workers asleep and memory with the other process.
    for turn in range(10_000):
        began = time.perf_counter()
        result = eval(call, names)
        took = time.perf_counter() - began
        if turn >= 3:
            times.append(took)
            if began > end:
                break
    print(statistics.median(times), flush=True)
"""


def cases() -> list[tuple[str, str, int]]:
    rows = [line.split("|") for line in CASES.strip().splitlines()]
    return [(code.strip(), dtype.strip(), int(size)) for code, dtype, sizes in rows for size in sizes.split()]


def worker(table: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER.format(cases=cases())]
    environment = os.environ | {"COREPY_TUNING": table}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def turn(process: subprocess.Popen[str], number: int) -> float:
    given: IO[str] | None = process.stdin
    answer: IO[str] | None = process.stdout
    assert given is not None and answer is not None
    print(number, file=given, flush=True)
    return float(answer.readline())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", help="a file that `python -m corepy tune` has written")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = given.table
        if table is None:
            environment = os.environ | {"XDG_CACHE_HOME": folder}
            environment.pop("COREPY_TUNING", None)
            subprocess.run(
                [sys.executable, "-m", "corepy", "tune"], env=environment, check=True, stdout=subprocess.PIPE
            )
            (table,) = map(str, (Path(folder) / "corepy").iterdir())
        processes = [worker("off"), worker(table)]
        print(f"load {os.getloadavg()[0]:.1f}; us with the shipped table, with the measured one, ratio")
        for number, (code, dtype, size) in enumerate(cases()):
            pairs = [[turn(process, number) for process in processes] for _ in range(given.rounds)]
            shipped, measured = (statistics.median(times) * 1e6 for times in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            name = f"{code} {dtype} {size:,}"
            print(f"{name:75} {shipped:>10.1f} {measured:>10.1f} {ratio:>6.2f}")
        for process in processes:
            process.communicate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
