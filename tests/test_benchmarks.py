"""The benchmark suite: its table, its check of results, its verdicts, and what its comparison calls slower."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as program
from benchmarks import cases, compare, measure, report, steady
from benchmarks.limits import Limits
from benchmarks.peers import peers
from benchmarks.steady import ALLOWED, CASE_SECONDS, Scaling, Steady

ROOT = Path(__file__).resolve().parent.parent


def row(name: str, median: float, spread: float = 0.01, numpy: float = 1e-3) -> dict[str, Any]:
    def times(m: float) -> dict[str, float]:
        return {"median": m, "q1": m * (1 - spread), "q3": m * (1 + spread)}

    return {"name": name, "times": {"corepy": times(median), "numpy": times(numpy)}}


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (row("a", 1e-3), row("a", 1.2e-3), "slower"),
        (row("a", 1e-3), row("a", 1.05e-3), ""),  # below the tolerance
        (row("a", 1e-3, 0.15), row("a", 1.2e-3, 0.15), ""),  # within the spread
        (row("a", 1e-3), row("a", 1.2e-3, numpy=1.2e-3), ""),  # the machine became slower
        (row("a", 1e-3), row("a", 1.5e-3, numpy=1.2e-3), "slower"),
        (row("a", 1.2e-3), row("a", 1e-3), "faster"),
        (row("a", 1e-3), row("a", 1e-3, numpy=0.5e-3), ""),  # only NumPy became faster
    ],
)
def test_change(old: dict[str, Any], new: dict[str, Any], verdict: str) -> None:
    found = compare.change(old, new)
    assert found is not None and found.verdict == verdict


def test_comparison_as_a_program(tmp_path: Path) -> None:
    about = {"cpu": "x", "cores": 2, "level": "portable", "threads": {}, "python": "3", "versions": {}}
    assert compare.differences(
        {"machine": {**about, "scaling": 1.03}}, {"machine": {**about, "scaling": 2.0}}
    ) == ["all processors did 1.03 and 2.00 times the work of one"]
    assert compare.differences({"machine": {**about, "scaling": 1.8}}, {"machine": about}) == []
    old = {"machine": about, "rows": [row("gone", 1.0), row("kept", 1e-3), row("worse", 1e-3)]}
    new = {"machine": {**about, "level": "x86-64-v3"}, "rows": [row("kept", 1e-3), row("worse", 2e-3)]}
    for name, written in (("old", old), ("new", new)):
        (tmp_path / name).write_text(json.dumps(written))
    command = [sys.executable, str(ROOT / "benchmarks" / "compare.py"), "old", "new"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 1, answer.stderr
    lines = answer.stdout.splitlines()
    assert lines[0] == "not alike: level: portable and x86-64-v3"
    assert lines[1].startswith("slower: worse") and "2.00 times as long" in lines[1]
    assert lines[2] == "1 slower, 0 faster, 1 within the spread"
    assert lines[3] == "no longer timed: gone"
    answer = subprocess.run([*command[:2], "none", "new"], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 2 and answer.stderr.startswith("no report: ") and "'none'" in answer.stderr
    for text in ("# no report", "[]", '{"rows": []}', ""):
        (tmp_path / "text").write_text(text)
        answer = subprocess.run([*command[:2], "old", "text"], cwd=tmp_path, capture_output=True, text=True)
        assert answer.returncode == 2 and answer.stderr.startswith("no report: 'text'"), text
        assert "Traceback" not in answer.stderr


def test_a_report_says_when_processors_were_shared_all_the_time() -> None:
    about = {"scaling": 1.03, "waited": 0.0, "cores": 2, "threads": {"corepy": 2}}
    first, warning = report._disturbed(about, [])
    assert "all 2 processors do 1.03 times the work of one" in first
    assert warning.startswith("- **The processors were shared all the time**")
    for apart in ({"scaling": 1.9}, {"threads": {"corepy": 1}}):
        assert len(report._disturbed({**about, **apart}, [])) == 1


def test_a_case_that_lost_its_time_is_named() -> None:
    lost = {**row("lost", 1.0), "times": {}, "absent": {"corepy": "no such function"}}
    old, new = ({"rows": rows} for rows in ([row("lost", 1.0), row("kept", 1.0)], [lost, row("kept", 1.0)]))
    assert compare.no_longer(old, new) == ["lost"]
    assert compare.no_longer(new, new) == []


def test_all_results_are_compared() -> None:
    """But for sums that are not exact beside an exact one, fused operations, and programs without results."""
    free = {case.name for case in cases.table() if not np.isfinite(case.rtol)}
    assert free == {
        "lanes warm launch of an empty program",
        "lanes parse, verify, decode of 100 instructions",
    }
    for case in cases.table():
        alike = {"exact_sum": ("sum",), "lanes mandelbrot": ("numba",)}
        allowed = [who for start, who in alike.items() if case.name.startswith(start)]
        assert not case.unlike or [case.unlike] == allowed, case.name
    exact = cases.Case("exact", "reductions", "a", {}, unlike=("sum",))
    measure.check(exact, "sum", 1.0, 2.0)
    with pytest.raises(AssertionError):
        measure.check(exact, "fsum", 1.0, np.nextafter(1.0, 2.0))


def test_sums_are_as_ill_conditioned_as_they_are_called() -> None:
    rng = np.random.default_rng(1)
    chosen = [case.inputs["a"] for case in cases.table() if case.inputs and case.name.startswith("exact_sum")]
    assert [given.condition for given in chosen] == [1e8, 1e30, 1e300, 1e30, 1e30]
    for given in chosen:
        made = given.make(rng).real.astype(np.float64)
        found = math.fsum(np.abs(made)) / abs(math.fsum(made))
        assert found == pytest.approx(given.condition, rel=0.01)


def test_products_are_of_numbers_that_differ() -> None:
    """A product of ones is right whatever was multiplied."""
    rng = np.random.default_rng(1)
    chosen = [case for case in cases.table() if case.name.startswith(("prod ", "cumulative_prod "))]
    assert len(chosen) == 4
    for case in chosen:
        made = case.inputs["a"].make(rng)
        assert set(np.unique(made)) == {-1, 1} and case.rtol == 0.0


def test_claims_about_several_cases_have_verdicts() -> None:
    rows = [
        row(f"add float32 {n:,}", seconds) for n, seconds in ((10**6, 1e-3), (10**7, 1e-2), (10**8, 0.13))
    ]
    rows += [
        row(f"sum float32 {n:,}", seconds) for n, seconds in ((10**6, 1e-3), (10**7, 1e-2), (10**8, 0.1))
    ]
    rows += [{**row(f"max float32 {n}", 1e-3), "ratios": {"numpy": n}} for n in (1.0, 1.9, 2.0)]
    linear, also_linear, most = report.claims(rows)
    assert "1.30 times" in linear and linear.endswith("**LOW**")
    assert "1.00 times" in also_linear and "LOW" not in also_linear
    assert "1 of 3" in most and most.endswith("**LOW**")
    assert report.claims([]) == []


def test_every_small_case_runs_and_agrees() -> None:
    """With NumPy, at sizes that cost nothing."""
    both = peers(only=("corepy", "numpy"))
    chosen = [case for case in cases.table() if case.size <= 3_000 and case.text_of("numpy")]
    assert len(chosen) > 40
    for case in chosen:
        made = measure.make_inputs(case)
        sides = {who: measure.runner(case, both[who], made) for who in both}
        ours = both["corepy"].read(sides["corepy"].timed(2))
        measure.check(case, "numpy", sides["numpy"].timed(2), ours)


def test_the_loop_calls_as_often_as_asked() -> None:
    seen: list[int] = []
    case = cases.Case("counted", "elementwise", "a.append(1) or len(a)", {"a": cases.Input((3,))})
    side = measure.runner(case, peers(only=("numpy",))["numpy"], {"a": seen})
    assert side.timed(7) == 7 and len(seen) == 7


def test_results_that_differ_are_refused() -> None:
    exact = cases.Case("exact", "elementwise", "a", {})
    close = cases.Case("close", "elementwise", "a", {}, rtol=1e-3)
    a = np.array([1.0, np.nan, 3.0])
    measure.check(exact, "numpy", a, a.copy())
    measure.check(close, "numpy", a * 1.0001, a)
    for case, wrong in ((exact, a + [0, 0, 1e-15]), (close, a * 1.01), (exact, a[:2])):
        with pytest.raises(AssertionError):
            measure.check(case, "numpy", wrong, a)


@pytest.mark.parametrize(
    ("ratio", "goal", "expected"),
    [(2.0, 1.5, "met"), (1.4, 1.5, "LOW"), (0.9, 1.5, "BELOW"), (1.1, None, ""), (0.9, None, "BELOW"),
     (0.6, 0.5, "met"), (0.4, 0.5, "BELOW"), (0.95, 0.9, "met")],
)  # fmt: skip
def test_verdicts(ratio: float, goal: float | None, expected: str) -> None:
    assert measure.verdict(ratio, goal) == expected


def test_a_measured_row() -> None:
    case = next(case for case in cases.table() if case.name == "add float32 1,000")
    points = [
        {"pattern": "add", "past_the_cache": False, "threads": 1, "bytes": n, "best": 1e11, "median": 1e11}
        for n in (4_096, 65_536)
    ]
    limits = Limits(points, {}, {})
    found = measure.measure(case, peers(only=("corepy", "numpy")), limits, "portable", 0.0, 5)
    assert found["pattern"] == "add" and found["bytes"] == 12_000
    assert found["absent"] == {"torch": "not installed"}
    ours = found["times"]["corepy"]
    assert ours["rounds"] == 5 and 0 < ours["min"] <= ours["q1"] <= ours["median"] <= ours["q3"]
    assert found["share"] == pytest.approx(12_000 / 1e11 / ours["median"])


def test_one_disturbed_slice_does_not_make_the_others_short(monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(c for c in cases.table() if c.name == "add float32 1")
    calls, counts = 0, []

    def timed(run: measure.Timed, count: int) -> tuple[float, Any]:
        nonlocal calls
        calls, result = calls + 1, run(1)
        # Three single calls, then the first slice of many, which is held up.
        held_up = calls == 4
        counts.append(count)
        return (1e-3 if held_up else 1e-5), result

    monkeypatch.setattr(measure, "slice_seconds", timed)
    measure.measure(case, peers(only=("corepy",)), None, "portable", 0.0, 5)
    assert counts[:3] == [1, 1, 1]
    assert set(counts[3:]) == {round(measure.SLICE_SECONDS / 1e-5)}


def test_limits_between_sizes() -> None:
    points = [
        {"pattern": "read", "past_the_cache": False, "threads": t, "bytes": n, "best": rate, "median": rate}
        for t, n, rate in ((1, 4_096, 8e10), (1, 16_384, 2e10), (2, 4_096, 4e10), (2, 16_384, 3e10))
    ]
    limits = Limits(points, {"portable": [{"dtype": "float32", "threads": 1, "best": 5.0}]}, {})
    assert [limits.rate("read", size) for size in (1, 1 << 30)] == pytest.approx([8e10, 3e10])
    assert limits.rate("read", 8_192, threads=1) == pytest.approx(4e10)
    assert limits.operations("portable", "float32") == 5.0 and limits.operations("v9", "float32") == 0.0


class Machine:
    """Scales as the list says, one moment after the other, and has a clock that only waiting moves."""

    def __init__(self, scaling: list[float], measuring: float = 1.0) -> None:
        self.scaling, self.measuring, self.time, self.rows = iter(scaling), measuring, 0.0, 0

    def now(self) -> float:
        self.time += 0.6
        return next(self.scaling)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def measure(self) -> dict[str, Any]:
        self.time += self.measuring
        self.rows += 1
        return {"row": self.rows}

    def steady(self) -> Steady:
        return Steady(self.now, clock=lambda: self.time, sleep=self.sleep)


def test_cases_are_measured_while_the_machine_is_itself() -> None:
    good, bad = 2.0, 1.0
    assert bad < ALLOWED * good
    at_start = [bad, good]
    quiet = Machine([*at_start, good, good])
    waiting = quiet.steady()
    assert waiting.measured(quiet.measure) == {"row": 1, "steady": True}
    assert waiting.waited == 0.0
    # It waits for a good moment, and measures again where the row began in one but did not end in one.
    shared = Machine([*at_start, bad, bad, good, bad, good, good])
    waiting = shared.steady()
    assert waiting.measured(shared.measure) == {"row": 2, "steady": True}
    assert waiting.waited > 0.0
    # Not for ever.
    never = Machine(at_start + 100 * [bad])
    waiting = never.steady()
    assert waiting.measured(never.measure) == {"row": 1, "steady": False}
    assert waiting.waited < CASE_SECONDS + 2.0


def test_scaling_is_of_what_threads_do_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scaling = Scaling(4)
    monkeypatch.setattr(steady, "work", lambda: time.sleep(0.01))
    assert scaling() > 2.5
    one = threading.Lock()

    def in_turn() -> None:
        with one:
            time.sleep(0.01)

    monkeypatch.setattr(steady, "work", in_turn)
    assert 0.8 < scaling() < 1.5


def test_threads_that_do_not_sleep_are_noticed() -> None:
    assert measure.settle()
    go_on = True

    def spin() -> None:
        large = bytes(8 << 20)
        while go_on:
            hashlib.sha256(large)  # without the interpreter's lock

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        assert not measure.settle()
    finally:
        go_on = False
        thread.join()


def test_an_interrupted_run_reports_what_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written: dict[str, Any] = {}

    def one_case(case: cases.Case, *rest: Any) -> dict[str, Any]:
        # A busy machine has a case measured again.
        if case.name != "add float32 1":
            raise KeyboardInterrupt
        return measure.measure(case, *rest)

    def kept(found: dict[str, Any], folder: Path) -> list[Path]:
        written.update(found)
        return [folder / "report.md"]

    monkeypatch.setattr(program, "measure", one_case)
    monkeypatch.setattr(program, "write", kept)
    monkeypatch.setattr(program, "import_seconds", lambda rounds: [0.01])
    monkeypatch.setattr(program, "peers", lambda: peers(only=("corepy", "numpy")))
    choice = ["--only", "add float32 1", "--quick", "--without-limits", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *choice])
    assert program.main() == 130
    assert [row["name"] for row in written["rows"]] == ["add float32 1"]
    left = written["machine"]["interrupted"]
    assert left > 0 and f"interrupted: {left} more were to follow" in report.markdown(written, [])
    assert "interrupted after 1 of" in capsys.readouterr().err


def test_a_folder_that_cannot_be_is_said_before_measuring(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "benchmarks", "--only", "add float32 1", "--out", str(tmp_path / "file")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 2 and answer.stderr.startswith("no folder for the report: ")
    assert answer.stdout == ""
