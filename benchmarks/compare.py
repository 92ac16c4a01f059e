"""Names what got slower between two reports: `python -m benchmarks.compare OLD.json NEW.json`.

A case counts as slower, or faster, when its quartiles do not overlap and its median moved by more than the
tolerance, as it is and also relative to NumPy in the same runs, so that a busier machine alone does not
count. The exit status is 1 when anything got slower.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOLERANCE = 0.07
# Below it one run had processors that the other shared.
SCALING = 0.8


@dataclass(frozen=True)
class Change:
    name: str
    old: float
    new: float
    # New over old, and the same divided by what NumPy's time did.
    raw: float
    relative: float
    verdict: str


def change(old: dict[str, Any], new: dict[str, Any], tolerance: float = TOLERANCE) -> Change | None:
    """What became of one case; None when one report has no time for it."""
    before, after = old["times"].get("corepy"), new["times"].get("corepy")
    if before is None or after is None:
        return None
    raw = after["median"] / before["median"]
    control = (old["times"].get("numpy"), new["times"].get("numpy"))
    drift = control[1]["median"] / control[0]["median"] if control[0] and control[1] else 1.0
    relative = raw / drift
    verdict = ""
    if after["q1"] > before["q3"] and min(raw, relative) > 1 + tolerance:
        verdict = "slower"
    elif after["q3"] < before["q1"] and max(raw, relative) < 1 / (1 + tolerance):
        verdict = "faster"
    return Change(new["name"], before["median"], after["median"], raw, relative, verdict)


def compare(old: dict[str, Any], new: dict[str, Any], tolerance: float = TOLERANCE) -> list[Change]:
    """All cases that both reports have, the most slowed down first."""
    before = {row["name"]: row for row in old["rows"]}
    pairs = [(before[row["name"]], row) for row in new["rows"] if row["name"] in before]
    found = [change(a, b, tolerance) for a, b in pairs]
    return sorted((c for c in found if c is not None), key=lambda c: -c.relative)


def no_longer(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Cases of which only the old report has a time of corepy: left out, or a function that is gone."""
    kept = {row["name"] for row in new["rows"] if "corepy" in row["times"]}
    return [row["name"] for row in old["rows"] if "corepy" in row["times"] and row["name"] not in kept]


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What makes the two reports hard to compare."""
    a, b = old["machine"], new["machine"]
    keys = ("cpu", "cores", "level", "threads", "python")
    found = [f"{key}: {a[key]} and {b[key]}" for key in keys if a[key] != b[key]]
    scaled = [about.get("scaling") for about in (a, b)]
    if None not in scaled and min(scaled) < SCALING * max(scaled):
        found.append("all processors did {:.2f} and {:.2f} times the work of one".format(*scaled))
    theirs = {who for who in a["versions"] if who not in ("corepy", "sum")} & set(b["versions"])
    return found + [
        f"{who}: {a['versions'][who]} and {b['versions'][who]}"
        for who in sorted(theirs)
        if a["versions"][who] != b["versions"][who]
    ]


def read(path: Path) -> dict[str, Any]:
    """A report.json; what is none is a ValueError that names the file."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error
    if not isinstance(report, dict) or not {"machine", "rows"} <= report.keys():
        raise ValueError(f"'{path}' is not the report.json of a run")
    return report


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="what a median may move, 0.07 for 7 %%"
    )
    arguments = parser.parse_args()
    try:
        old, new = (read(path) for path in (arguments.old, arguments.new))
    except (OSError, ValueError) as error:
        print(f"no report: {error}", file=sys.stderr)
        return 2
    for text in differences(old, new):
        print(f"not alike: {text}")
    changes = compare(old, new, arguments.tolerance)
    if not changes:
        print("the reports have no case in common", file=sys.stderr)
        return 2
    for verdict in ("slower", "faster"):
        chosen = [c for c in changes if c.verdict == verdict]
        for c in chosen if verdict == "slower" else reversed(chosen):
            print(
                f"{verdict}: {c.name:48} {c.old * 1e6:12.3f} us to {c.new * 1e6:12.3f} us,"
                f" {c.raw:.2f} times as long ({c.relative:.2f} relative to NumPy)"
            )
    counts = {v: sum(c.verdict == v for c in changes) for v in ("slower", "faster", "")}
    print(f"{counts['slower']} slower, {counts['faster']} faster, {counts['']} within the spread")
    if lost := no_longer(old, new):
        print(f"no longer timed: {', '.join(lost)}")
    return 1 if counts["slower"] else 0


if __name__ == "__main__":
    sys.exit(main())
