"""Times one case in all libraries, interleaved: medians with spread, results compared and used."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import FLOOR, NAMES, Case
from benchmarks.limits import Limits
from benchmarks.peers import Peer

# A slice lasts at least this long, so that the clock's resolution and its call do not show.
SLICE_SECONDS = 2e-3
# Before a slice, at most: the threads of the library before may spin while they wait for more work,
# GNU's OpenMP for some 8 ms, OpenBLAS for 100, on processors that the next library needs.
TASKS = Path("/proc/self/task")
SETTLE_SECONDS = 250e-3
# What it takes on the average, for the number of rounds.
TYPICAL_SETTLE_SECONDS = 4e-3
# Then untimed calls, until the caches, the branch predictors and the library's own threads are awake.
WARM_SECONDS = 1e-3
# Slices that say how many calls one has; the quickest counts, as a disturbed one would make all short.
ESTIMATES = 3

Timed = Callable[[int], Any]


@dataclass(frozen=True)
class Runner:
    """One library's side of a case: `timed(count)` calls it that often and returns the last result."""

    peer: Peer
    timed: Timed
    inputs: Mapping[str, Any]


def runner(case: Case, peer: Peer, made: Mapping[str, Any]) -> Runner:
    """The loop over the case's text, over the library's own copies of the inputs."""
    text = case.text_of(peer.name)
    if text is None:
        raise LookupError(f"{peer.name} takes no part in {case.name}")
    inputs = {}
    for name, array in made.items():
        own = peer.own(array)
        view = case.inputs[name].view
        inputs[name] = own if view == "x" else eval(view, {"x": own})
    scope: dict[str, Any] = {**NAMES, **case.names, **inputs, "xp": peer.namespace, "inputs": inputs}
    loop = f"def timed(count):\n result = None\n for _ in range(count):\n  result = {text}\n return result\n"
    exec(compile(loop, f"<{case.name}>", "exec"), scope)
    return Runner(peer, scope["timed"], inputs)


def make_inputs(case: Case) -> dict[str, Any]:
    rng = np.random.default_rng(case.key)
    return {name: given.make(rng) for name, given in case.inputs.items()}


def check(case: Case, who: str, got: Any, expected: Any) -> None:
    """Raises where a library's result is another's by more than the case allows."""
    if who in case.unlike:
        return
    got, expected = np.asarray(got), np.asarray(expected)
    if got.size != expected.size:
        raise AssertionError(f"{case.name}: {who} has {got.size} elements, expected {expected.size}")
    if case.rtol == float("inf"):
        return
    got, expected = got.ravel(), expected.ravel()
    if case.rtol == 0.0:
        same = np.array_equal(got, expected, equal_nan=got.dtype.kind in "fc" and expected.dtype.kind in "fc")
    else:
        finite = np.abs(expected[np.isfinite(expected)])
        scale = float(np.max(finite, initial=1e-30))
        same = bool(np.allclose(got, expected, rtol=case.rtol, atol=case.rtol * scale, equal_nan=True))
    if not same:
        raise AssertionError(f"{case.name}: the results of {who} differ")


def traffic(case: Case, runners: Mapping[str, Runner], result: Any) -> tuple[str, int]:
    """Which pattern of `limits` the case is, and the bytes it has to read and write."""
    views = runners["numpy"].inputs if "numpy" in runners else runners["corepy"].inputs
    read = sum(int(np.asarray(view).nbytes) for view in views.values() if not isinstance(view, list))
    written = int(np.asarray(result).nbytes)
    if read * 10 < written:
        return "write", written
    if written * 10 < read:
        return "read", read
    return ("add" if read >= 1.5 * written else "copy"), read + written


def settle() -> bool:
    """Waits until this process's other threads sleep; false where they do not."""
    me = str(threading.get_native_id())
    end = time.perf_counter() + SETTLE_SECONDS
    while time.perf_counter() < end:
        time.sleep(5e-4)
        if not any(runs(task) for task in TASKS.iterdir() if task.name != me):
            return True
    return False


def runs(task: Path) -> bool:
    try:
        # The name, in parentheses, may hold anything.
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "R"
    except OSError:  # it has ended
        return False


def slice_seconds(timed: Timed, count: int) -> tuple[float, Any]:
    start = time.perf_counter()
    result = timed(count)
    return (time.perf_counter() - start) / count, result


def summary(times: list[float]) -> dict[str, Any]:
    first, middle, third = statistics.quantiles(times, n=4, method="inclusive")
    return {"median": middle, "q1": first, "q3": third, "min": min(times), "rounds": len(times)}


def verdict(ratio: float, goal: float | None, floor: float = FLOOR) -> str:
    """`met`, `LOW` below the goal, `BELOW` under the floor that nothing may fall through."""
    if goal is not None and ratio >= goal:
        return "met"
    floor = min(floor, goal) if goal is not None else floor
    if ratio < floor:
        return "BELOW"
    return "LOW" if goal is not None else ""


def measure(
    case: Case, peers: Mapping[str, Peer], limits: Limits | None, level: str, budget: float, rounds: int
) -> dict[str, Any]:
    """The row of one case: every library's times, ratios to corepy, and the share of the machine's limit."""
    row: dict[str, Any] = {"name": case.name, "group": case.group, "text": case.text, "dtype": case.dtype}
    row |= {"size": case.size, "series": case.series, "goals": dict(case.goals), "note": case.note}
    row |= {"times": {}, "absent": {}, "ratios": {}, "best": {}, "verdicts": {}, "settled": True}
    made = make_inputs(case)
    runners: dict[str, Runner] = {}
    for peer in peers.values():
        if case.text_of(peer.name) is not None:
            runners[peer.name] = runner(case, peer, made)
    wanted = ("numpy", *case.others, *case.texts)
    absent = {n: "not installed" for n in wanted if n not in peers and case.text_of(n) is not None}
    row["absent"] = absent
    del made
    results: dict[str, Any] = {}
    for who in tuple(runners):
        try:
            results[who] = runners[who].timed(1)
        except AttributeError as error:
            # The library, or this build of corepy, has no such function.
            if "has no attribute" not in str(error):
                raise
            absent[who] = "no such function"
            del runners[who]
    if "corepy" not in runners:
        return row
    expected = runners["corepy"].peer.read(results["corepy"])
    for who, result in results.items():
        check(case, who, runners[who].peer.read(result), expected)
    pattern, moved = traffic(case, runners, expected)
    results.clear()

    counts, warm, cost = {}, {}, 0.0
    for who, side in runners.items():
        once = max(1e-9, min(slice_seconds(side.timed, 1)[0] for _ in range(3)))
        counts[who] = max(1, min(200_000, round(SLICE_SECONDS / once)))
        # The first estimate holds for a cold library; a second one for a warm one.
        once = max(1e-9, min(slice_seconds(side.timed, counts[who])[0] for _ in range(ESTIMATES)))
        counts[who] = max(1, min(200_000, round(SLICE_SECONDS / once)))
        warm[who] = min(counts[who], max(1, round(WARM_SECONDS / once))) if once < SLICE_SECONDS else 0
        cost += once * (counts[who] + warm[who]) + TYPICAL_SETTLE_SECONDS
    rounds = max(5, min(rounds, round(budget / cost)))
    times: dict[str, list[float]] = {who: [] for who in runners}
    order = list(runners)
    last: dict[str, Any] = {}
    settled = True
    gc.collect()
    gc.disable()
    try:
        for i in range(rounds):
            # Each library follows each other one in turn.
            turn = order[i % len(order) :] + order[: i % len(order)]
            for who in turn if i % 2 else reversed(turn):
                settled = settle() and settled
                if warm[who]:
                    runners[who].timed(warm[who])
                seconds, last[who] = slice_seconds(runners[who].timed, counts[who])
                times[who].append(seconds)
                if i < rounds - 1 or counts[who] == 0:
                    last[who] = None
    finally:
        gc.enable()
    for who, result in last.items():
        check(case, who, runners[who].peer.read(result), expected)

    row["times"] = {who: summary(t) for who, t in times.items()}
    row["settled"] = settled
    for who in order:
        if who == "corepy":
            continue
        # Of pairs taken within milliseconds, so that a load that comes and goes hits both sides.
        pairs = [theirs / ours for theirs, ours in zip(times[who], times["corepy"], strict=True)]
        row["ratios"][who] = statistics.median(pairs)
        row["best"][who] = min(times[who]) / min(times["corepy"])
        floor = who == "numpy" or who in case.goals
        row["verdicts"][who] = verdict(row["ratios"][who], case.goals.get(who), case.floor) if floor else ""
    if case.within:
        ours = row["times"]["corepy"]
        row["goals"]["clock"] = 1.0
        row["ratios"]["clock"], row["best"]["clock"] = case.within / ours["median"], case.within / ours["min"]
        row["verdicts"]["clock"] = verdict(row["ratios"]["clock"], 1.0)
    row |= {"pattern": pattern, "bytes": moved, "operations": case.operations}
    if limits is not None:
        row |= against_limits(case, row, limits, level)
    return row


def against_limits(case: Case, row: dict[str, Any], limits: Limits, level: str) -> dict[str, Any]:
    """What the memory and the arithmetic units would need at least, over what corepy needed."""
    memory = row["bytes"] / limits.rate(row["pattern"], row["bytes"])
    peak = limits.operations(level, "float64" if case.dtype in ("float64", "complex128") else "float32")
    # Only these are made of multiply-adds, and only they come near that limit.
    arithmetic = case.operations / peak if peak and case.group in ("products", "lanes") else 0.0
    share = max(memory, arithmetic) / row["times"]["corepy"]["median"]
    found: dict[str, Any] = {"limit": "arithmetic" if arithmetic > memory else row["pattern"], "share": share}
    if "limit" in case.goals:
        found["verdicts"] = {
            **row["verdicts"],
            "limit": "met" if share >= case.goals["limit"] else "LOW",
        }
    return found
