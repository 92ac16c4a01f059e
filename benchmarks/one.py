"""Runs one case in corepy alone, for profilers: `python -m benchmarks.one CASE --calls N | --seconds S`."""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks.cases import Case, table
from benchmarks.measure import make_inputs, runner
from benchmarks.peers import peers


def find(name: str) -> Case:
    """The case of that name, or the only one whose name holds it."""
    rows = table()
    found = [case for case in rows if case.name == name] or [case for case in rows if name in case.name]
    if len(found) != 1:
        which = ", ".join(repr(case.name) for case in found[:8])
        raise SystemExit(f"{len(found)} cases are named like {name!r}{': ' if found else ''}{which}")
    return found[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("case")
    parser.add_argument("--calls", type=int, default=0, help="run it this often")
    parser.add_argument("--seconds", type=float, default=2.0, help="or for this long")
    arguments = parser.parse_args()
    case = find(arguments.case)
    side = runner(case, peers(only=("corepy",))["corepy"], make_inputs(case))
    calls, end = 0, time.perf_counter() + arguments.seconds
    while calls < arguments.calls if arguments.calls else time.perf_counter() < end:
        step = min(50, arguments.calls - calls) if arguments.calls else 50
        side.timed(step)
        calls += step
    print(f"{case.name}: {calls} calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())
