"""Tables of costs: what tune keeps, which are believed, and that none changes a bit."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import corepy as cp

ROOT = Path(__file__).resolve().parent.parent
COSTS = list(cp.config()["tuning"]["costs"])

# Digests of operations of every class, long enough for threads and for stores past the caches.
DIGESTS = """
import hashlib, sys
import corepy as cp
x = cp.asarray(memoryview(bytes(range(256)) * 4096).cast("I"))
f = cp.reshape(cp.astype(x, cp.float32) * 1.1e-3 - 7.0, (512, -1))
d = cp.astype(f, cp.float64)
out = [f + f, d.sqrt(), cp.sum(f), cp.sum(d), cp.sum(d, axis=0), cp.sum(f, axis=1), cp.cumulative_sum(d, axis=0),
       cp.cumulative_sum(cp.reshape(d, (-1,))), cp.exact_sum(d), cp.concat([f, f.mT.copy().mT]), f.mT.copy(),
       cp.astype(f, cp.int32) // 3, d ** 3, f @ f.mT, cp.var(d), cp.max(f, axis=0), f[f > 0]]
for t in out:
    print(hashlib.sha256(bytes(memoryview(cp.reshape(t, (-1,), copy=True)))).hexdigest())
print(cp.config()["tuning"]["source"], file=sys.stderr)
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k != "COREPY_TUNING"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env=kept | environment)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of this machine, measured in no time."""
    cache = tmp_path_factory.mktemp("cache")
    done = run("-m", "corepy", "tune", "--seconds", "0", XDG_CACHE_HOME=str(cache))
    assert done.returncode == 0, done.stderr
    (found,) = (cache / "corepy").iterdir()
    assert f"kept in {found}" in done.stdout
    assert stat.S_ISREG(found.stat().st_mode)
    return found


def source(**environment: str) -> tuple[str, str]:
    done = run("-c", "import corepy as cp; print(cp.config()['tuning']['source'])", **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def test_a_table_is_kept_and_used(table: Path) -> None:
    cache = str(table.parent.parent)
    assert source(XDG_CACHE_HOME=cache) == ("measured on this machine", "")
    assert source(XDG_CACHE_HOME="/nonexistent", COREPY_TUNING=str(table)) == ("measured on this machine", "")
    assert source(XDG_CACHE_HOME=cache, COREPY_TUNING="off") == ("shipped", "")
    assert source(XDG_CACHE_HOME="/nonexistent") == ("shipped", "")
    assert source(XDG_CACHE_HOME="", HOME="") == ("shipped", "")
    lines = dict(line.split(" = ") for line in table.read_text().splitlines()[1:])
    assert list(lines) == ["processor", "processors", "level", *COSTS]
    assert lines["level"] == cp.simd_level()
    # Nothing of writing it is left.
    assert list(table.parent.iterdir()) == [table]
    text = run("-m", "corepy", "info", XDG_CACHE_HOME=cache).stdout
    assert re.search(rf"tuning +measured on this machine \({re.escape(str(table))}\)", text)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("table 1", "table 0", "it is of version 0, not 1"),
        ("corepy tuning", "another", "it is no tuning table"),
        ("level = ", "level = sse9", "its level is sse9"),
        ("processors = ", "processors = 7", "its processors is 7"),
        ("processor = ", "processor = Z80 ", "its processor is Z80"),
        ("root_ns = ", "root_ns = -", "root_ns is -"),
        ("root_ns = ", "root_ns = x", "root_ns is x"),
        ("root_ns", "square_ns", "it has no line for root_ns in its place"),
        ("power_ns = ", "more = 1\npower_ns = ", "it has no line for power_ns in its place"),
    ],
)
def test_a_wrong_table_is_ignored_with_a_warning(
    table: Path, tmp_path: Path, old: str, new: str, why: str
) -> None:
    broken = tmp_path / "table"
    text = table.read_text()
    assert old in text
    broken.write_text(text.replace(old, new, 1))
    used, warned = source(COREPY_TUNING=str(broken))
    assert used == "shipped"
    assert f"RuntimeWarning: the tuning table {broken} is ignored: {why}" in warned


def test_files_that_are_no_text(table: Path, tmp_path: Path) -> None:
    broken = tmp_path / "table"
    for content, why in (
        (b"", "it is no tuning table"),
        (b"\xff\xfe\x00", "it is no text"),
        (table.read_bytes()[:-30], "it has no line for"),
        (table.read_bytes() + b"x\n", "it goes on behind its end"),
        (bytes(20_000), "it has 20000 bytes"),
    ):
        broken.write_bytes(content)
        used, warned = source(COREPY_TUNING=str(broken))
        assert used == "shipped" and why in warned, (content[:9], warned)
    assert "it is no file" in source(COREPY_TUNING=str(tmp_path))[1]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "it is no file" in source(COREPY_TUNING=str(pipe))[1]
    assert "there is no such file" in source(COREPY_TUNING=str(tmp_path / "none"))[1]


def test_no_table_changes_a_bit(table: Path, tmp_path: Path) -> None:
    expected = run("-c", DIGESTS, COREPY_TUNING="off")
    assert expected.returncode == 0, expected.stderr
    lines = table.read_text().splitlines()
    absurd = tmp_path / "table"
    low = {"hand_off_hot_ns": "20", "hand_off_cold_ns": "1000", "past_caches_bytes": "1048576"}
    high = {"hand_off_hot_ns": "1e5", "hand_off_cold_ns": "1e7", "past_caches_bytes": "1e15"}
    for thresholds, cost in ((low, "10"), (low, "0.001"), (high, "10"), (high, "0.001")):
        costs = [f"{name} = {thresholds.get(name, cost)}" for name in COSTS]
        absurd.write_text("\n".join(lines[:4] + costs) + "\n")
        got = run("-c", DIGESTS, COREPY_TUNING=str(absurd))
        assert got.stderr.strip() == "measured on this machine", got.stderr
        assert got.stdout == expected.stdout, (thresholds, cost)


def test_tune_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import corepy as cp; print(cp.tune(seconds=0.0)); print(cp.config()['tuning']['source'])"
    done = run("-c", code, COREPY_TUNING="off")
    assert done.stdout.split("\n")[:2] == ["None", "measured on this machine"], done.stderr
    for seconds in (-1.0, 601.0, float("nan")):
        with pytest.raises(ValueError, match=r"\[tune\] seconds is 0 to 600"):
            cp.tune(seconds=seconds)
    done = run("-m", "corepy", "tune", "--seconds", "0", COREPY_TUNING="/dev/null/table")
    assert done.returncode == 1 and "cannot be written" in done.stderr


def test_ctrl_c_ends_it() -> None:
    code = """
import signal, time
import corepy as cp
signal.setitimer(signal.ITIMER_REAL, 0.3)
signal.signal(signal.SIGALRM, signal.default_int_handler)
began = time.monotonic()
before = cp.config()["tuning"]["costs"]
try:
    cp.tune(seconds=100.0)
except KeyboardInterrupt:
    print(time.monotonic() - began < 5, cp.config()["tuning"]["costs"] == before)
"""
    assert run("-c", code, COREPY_TUNING="off").stdout.split() == ["True", "True"]
