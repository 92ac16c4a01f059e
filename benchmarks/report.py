"""Writes a report: `report.json` with everything, `report.md` to read, and the plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.limits import Limits, table
from benchmarks.peers import OWN, TITLES
from benchmarks.steady import ALLOWED

# A load average above this at the start means that other programs ran; the suite itself has not begun.
BUSY = 0.7

GROUPS = {
    "elementwise": "Elementwise",
    "layouts": "Layouts of `a + b`, 1,000,000 elements of float32",
    "reductions": "Reductions over everything",
    "axes": "Reductions along axes",
    "moves": "Copies, conversions, selections",
    "chains": "Chains of operations",
    "products": "Matrix products",
    "lanes": "Lane programs",
}


def spell(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def spread(times: dict[str, Any]) -> float:
    """Half of the distance between the quartiles, relative to the median."""
    half: float = (times["q3"] - times["q1"]) / 2 / times["median"]
    return half


def _time(row: dict[str, Any], who: str) -> str:
    if who in row["times"]:
        times = row["times"][who]
        return f"{spell(times['median'])} ±{spread(times):.0%}"
    return str(row["absent"].get(who, ""))


def _ratio(row: dict[str, Any], who: str) -> str:
    if who not in row["ratios"]:
        return ""
    text = f"{row['ratios'][who]:.2f}x"
    goal = row["goals"].get(who)
    if goal is not None:
        text += f" of {goal:.2g}x"
    mark = row["verdicts"].get(who, "")
    return f"**{text} {mark}**" if mark in ("LOW", "BELOW") else text


def _share(row: dict[str, Any]) -> str:
    if "share" not in row:
        return ""
    text = f"{row['share']:.0%} of {row['limit']}"
    if "limit" in row["goals"]:
        text += f", goal {row['goals']['limit']:.0%}"
        if row["verdicts"].get("limit") == "LOW":
            text = f"**{text} LOW**"
    return text


def _group(rows: list[dict[str, Any]]) -> list[str]:
    others = ("torch", "numexpr", "numba", "fsum", *OWN, "clock")
    compared = [
        "numpy",
        *(w for w in others if any(w in {**r["times"], **r["absent"], **r["ratios"]} for r in rows)),
    ]
    head = (
        ["case", "corepy"] + [cell for who in compared for cell in (TITLES[who], "ratio")] + ["of the limit"]
    )
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in rows:
        cells = [row["name"] + (f" ({row['note']})" if row["note"] else ""), _time(row, "corepy")]
        for who in compared:
            cells += [_time(row, who), _ratio(row, who)]
        lines.append("| " + " | ".join([*cells, _share(row)]) + " |")
    return lines


# How far the time of an element may grow from 1,000,000 elements to 100,000,000.
GROWTH = 1.2
# Reductions of which most are to be this many times as fast as NumPy's.
SEARCHES = ("max ", "min ", "any ", "all ", "argmax ")
TWICE = 2.0


def claims(rows: list[dict[str, Any]]) -> list[str]:
    """Goals about several cases, as far as they were measured: growth is linear, most searches take half."""
    by_name = {row["name"]: row["times"]["corepy"]["median"] for row in rows if "corepy" in row["times"]}
    lines = []
    for name in ("add float32", "sum float32"):
        sizes = (1_000_000, 10_000_000, 100_000_000)
        small, middle, large = (by_name.get(f"{name} {n:,}") for n in sizes)
        if small and middle and large:
            grown = large / small / 100
            lines.append(
                f"- `{name}`: 100,000,000 elements take {grown:.2f} times as long an element as"
                f" 1,000,000, and {large / middle / 10:.2f} times as long as 10,000,000 (1.00 is linear, goal"
                f" within 20 %; the first step leaves the caches){_low(grown <= GROWTH)}"
            )
    ratios = [row["ratios"].get("numpy") for row in rows if row["name"].startswith(SEARCHES)]
    known = [ratio for ratio in ratios if ratio is not None]
    if known:
        fast = sum(ratio >= TWICE for ratio in known)
        lines.append(
            f"- {fast} of {len(known)} cases of max, min, any, all and argmax take half of NumPy's time or"
            f" less (goal: most){_low(2 * fast > len(known))}"
        )
    return lines


def _low(met: bool) -> str:
    return "." if met else ": **LOW**"


def _missed(rows: list[dict[str, Any]]) -> list[str]:
    """Rows below a goal or the floor, the worst first."""
    found = []
    for row in rows:
        for who, mark in row["verdicts"].items():
            if mark not in ("LOW", "BELOW"):
                continue
            has = row["share"] if who == "limit" else row["ratios"][who]
            goal = row["goals"].get(who, 1.0)
            title = "the limit" if who == "limit" else TITLES[who]
            best = "" if who == "limit" else f"{row['best'][who]:.2f}"
            found.append(
                (has / goal, f"| {row['name']} | {title} | {has:.2f} | {best} | {goal:.2g} | {mark} |")
            )
    if not found:
        return ["Every goal is met."]
    head = ["| case | against | ratio | of the best times | goal | |", "|---|---|---:|---:|---:|---|"]
    return head + [text for _, text in sorted(found)]


def _disturbed(about: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """What the rows say of work that was not the case's own."""
    found = [
        f"- all {about['cores']} processors do {about['scaling']:.2f} times the work of one at best;"
        f" {about['waited']:.0f} s were spent where they did less, on waiting and on measuring again"
    ]
    if about["scaling"] < ALLOWED * about["threads"]["corepy"]:
        found.append(
            "- **The processors were shared all the time**, so that no case had them to itself: times of"
            " libraries with several threads, and ratios to them, say little."
        )
    for key, what in (("steady", "the processors did less"), ("settled", "other threads of the process ran")):
        names = [row["name"] for row in rows if not row[key]]
        if names:
            found.append(f"- **{len(names)} cases were measured while {what}**: {', '.join(names)}")
    return found


def markdown(report: dict[str, Any], plots: list[str]) -> str:
    about, rows, imports = report["machine"], report["rows"], report["import"]
    build = about["build"]
    busy = []
    if about["load_at_start"] > BUSY:
        busy = [
            "- **The machine was busy with other work.** Libraries whose threads spin while they wait"
            " suffer most."
        ]
    caches = ", ".join(f"{name} {size >> 10:,} KiB" for name, size in about["caches"].items())
    threads = ", ".join(f"{TITLES[w]} {n}" for w, n in about["threads"].items() if w not in (*OWN, "fsum"))
    versions = ", ".join(f"{TITLES[w]} {v}" for w, v in about["versions"].items() if w not in OWN)
    lines = [
        "# corepy's benchmark report",
        "",
        "Times are medians with half of the distance between the quartiles. A ratio is the peer's time over"
        " corepy's, the median over pairs of neighbouring measurements: above 1 corepy is faster."
        " `4.10x of 3.5x` is a ratio of 4.10 where the goal is 3.5. LOW is below the case's goal, BELOW is"
        " under the floor, which is 1 unless a goal is lower. All libraries run interleaved in one process,"
        " each on memory of its own, and their results were compared.",
        "",
        "The last column is the least time that the machine's bandwidth for this pattern and size (for"
        " products: its peak of multiply-adds) allows, over the time taken. Small cases are calls, and far"
        " from it.",
        "",
        f"- {about['cpu']}, {about['cores']} cores; {caches} (first core's); {about['memory'] >> 30} GiB;"
        f" {about['system']}; load {about['load_at_start']:.1f} at the start",
        f"- level {about['level']}; threads: {threads}",
        f"- {versions}, Python {about['python']}",
        f"- build {build['commit']}, library {build['library']} of {int(build['library_bytes']):,} bytes;"
        f" {build['rustc']}; {build['compiler']}",
        f"- import corepy: {imports['median'] * 1e3:.1f} ms (goal: below {imports['goal'] * 1e3:.0f} ms)",
        f"- {len(rows)} cases in {about['seconds']:.0f} s"
        + (f"; **interrupted: {about['interrupted']} more were to follow**" * (about["interrupted"] > 0)),
        *busy,
        *_disturbed(about, rows),
        "",
        "## Below a goal",
        "",
        *_missed(rows),
        "",
    ]
    if about_several := claims(rows):
        lines += ["## Of several cases", "", *about_several, ""]
    if report["limits"]:
        lines += ["## The machine's limits", "", *table(Limits(**report["limits"])), ""]
    if plots:
        lines += [
            "## Plots",
            "",
            "Throughput counts the bytes that a case has to move. Points are medians, bands go from quartile"
            " to quartile. Grey curves are the machine's limit with one thread and with all; an upright"
            " line is where one core's cache of that name is full. Both axes are logarithmic. On the left,"
            " where throughput rises with the size, a call takes about the same time whatever the size.",
            "",
        ]
    for name in plots:
        lines += [f"![{name}]({name})", ""]
    for group, title in GROUPS.items():
        chosen = [row for row in rows if row["group"] == group]
        if chosen:
            lines += [f"## {title}", "", *_group(chosen), ""]
    return "\n".join(lines)


def write(report: dict[str, Any], folder: Path) -> list[Path]:
    """Writes all files of the report and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    figures = folder / "report.json"
    figures.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    try:
        from benchmarks.plots import draw
    except ImportError as error:
        # Without matplotlib the figures are still worth having.
        print(f"no plots: {error}")
        plots = []
    else:
        plots = draw(report, folder)
    text = folder / "report.md"
    text.write_text(markdown(report, [path.name for path in plots]), encoding="utf-8")
    return [figures, text, *plots]
