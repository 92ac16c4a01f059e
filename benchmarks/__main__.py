"""`python -m benchmarks`: corepy against NumPy, PyTorch and numexpr, with a report of it.

Ratios above 1 mean that corepy is faster. `--only TEXT` runs the cases whose name holds it.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import corepy as cp
from benchmarks import limits as machine_limits
from benchmarks.cases import select
from benchmarks.machine import describe, import_seconds
from benchmarks.measure import measure
from benchmarks.peers import OWN, TITLES, peers
from benchmarks.report import write
from benchmarks.steady import Scaling, Steady

REPORT = Path(__file__).resolve().parent / "report"
IMPORT_GOAL = 15e-3


def show(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-9:.1f} ns"


def line(row: dict[str, Any]) -> str:
    """One row as text for the terminal."""
    times = row["times"]
    if "corepy" not in times:
        return f"{row['name']:48} {row['absent'].get('corepy', '')}"
    ours = times["corepy"]
    text = (
        f"{row['name']:48} {show(ours['median']):>10} +-{(ours['q3'] - ours['q1']) / 2 / ours['median']:4.0%}"
    )
    for who, ratio in row["ratios"].items():
        goal = row["goals"].get(who)
        text += f"  {TITLES[who]} {ratio:6.2f}x" + (f" of {goal:g}x" if goal else "")
        text += f" {row['verdicts'][who]}" if row["verdicts"].get(who) not in (None, "", "met") else ""
    if "share" in row:
        text += f"  limit {row['share']:4.0%}"
    if not row["steady"]:
        text += "  on shared processors"
    if not row["settled"]:
        text += "  beside other threads"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="cases whose name holds it"
    )
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds: a minute or two")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--out", type=Path, default=REPORT, help="folder for the report")
    parser.add_argument("--without-limits", action="store_true", help="do not measure the machine's limits")
    arguments = parser.parse_args()
    cases = select(arguments.only, arguments.quick)
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not cases:
        print(f"no case is named like {', '.join(arguments.only)}; --list names all", file=sys.stderr)
        return 2
    try:
        # Before minutes of measuring.
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"no folder for the report: {error}", file=sys.stderr)
        return 2
    libraries = peers()
    about = describe(libraries)
    print(
        f"{about['cpu']}, {about['cores']} cores, level {about['level']}, load {about['load_at_start']:.1f}"
    )
    print(
        ", ".join(f"{TITLES[who]} {version}" for who, version in about["versions"].items() if who not in OWN)
    )
    limits = None
    if not arguments.without_limits:
        print("measuring the machine's limits", flush=True)
        limits = machine_limits.measure(tuple(cp.simd_levels()), cp.get_num_threads(), arguments.quick)
    rows = []
    start = time.monotonic()
    steady = Steady(Scaling(cp.get_num_threads()))
    try:
        for number, case in enumerate(cases, 1):
            # A budget of half a second a case keeps the whole run below ten minutes.
            rounds, budget = (11, 0.15) if arguments.quick else (25, 0.5)
            row = steady.measured(
                functools.partial(measure, case, libraries, limits, about["level"], budget, rounds)
            )
            rows.append(row)
            left = (time.monotonic() - start) / number * (len(cases) - number)
            print(f"[{number:3}/{len(cases)}, {left:3.0f} s left] {line(row)}", flush=True)
    except KeyboardInterrupt:
        # What was measured is worth a report; the code is that of shells, 128 and the signal.
        print(f"interrupted after {len(rows)} of {len(cases)} cases", file=sys.stderr)
        if not rows:
            return 130
    about["interrupted"] = len(cases) - len(rows)
    imports = import_seconds(5 if arguments.quick else 15)
    about["seconds"] = time.monotonic() - start
    about["scaling"] = steady.best
    about["waited"] = steady.waited
    imported = statistics.median(imports)
    report: dict[str, Any] = {
        "machine": about,
        "limits": limits.as_json() if limits else None,
        "rows": rows,
        "import": {"median": imported, "goal": IMPORT_GOAL},
    }
    print(f"import corepy: {show(imported)}, goal below {show(IMPORT_GOAL)}")
    for path in write(report, arguments.out):
        print(f"wrote {path}")
    return 130 if about["interrupted"] else 0


if __name__ == "__main__":
    sys.exit(main())
