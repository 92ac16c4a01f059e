"""Tables of costs: what tune keeps, which are believed, and that none changes a bit."""

from __future__ import annotations

import json
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
ELEMENTS = {name: set(row) for name, row in cp.config()["tuning"]["elements"].items()}

# Digests of operations of every class, long enough for threads and for stores past the caches.
DIGESTS = """
import hashlib, sys
import corepy as cp
x = cp.asarray(memoryview(bytes(range(256)) * 4096).cast("I"))
f = cp.reshape(cp.astype(x, cp.float32) * 1.1e-3 - 7.0, (512, -1))
d = cp.astype(f, cp.float64)
out = [f + f, d.sqrt(), cp.sum(f), cp.sum(d), cp.sum(d, axis=0), cp.sum(f, axis=1), cp.cumulative_sum(d, axis=0),
       cp.cumulative_sum(cp.reshape(d, (-1,))), cp.exact_sum(d), cp.concat([f, f.mT.copy().mT]), f.mT.copy(),
       cp.astype(f, cp.int32) // 3, d ** 3, f @ f.mT, cp.var(d), cp.max(f, axis=0), f[f > 0],
       cp.cumulative_sum(f, axis=1), cp.cumulative_sum(cp.reshape(f, (-1, 4)), axis=0),
       cp.cumulative_sum(cp.reshape(d, (2, -1)), axis=1), cp.cumulative_sum(f[:, :3], axis=0), cp.cumulative_prod(f[::3, 5::7], axis=1),
       cp.where(f > 0, f, -f), cp.argmax(f, axis=1), cp.prod(d, axis=0), cp.std(f, axis=1), cp.all(f != 3.0),
       cp.vecdot(f, f), cp.exact_sum(cp.concat([d * 1e30, -1e30 * d]), axis=0), cp.take(f, x[::99] % 512, axis=0),
       cp.arange(300000, dtype=cp.float32) / 7.0, f[::2, ::3] + d[1::2, 1::3], cp.astype(f[:, ::2], cp.int8)]
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


def content(text: str) -> list[tuple[str, str]]:
    """Names and values of the lines behind the first."""
    lines = [line.split("=") for line in text.splitlines()[1:]]
    return [(name, value) for name, value in lines]


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
    lines = {name.strip(): value.strip() for name, value in content(table.read_text())}
    assert list(lines) == ["processor", "processors", "level", *COSTS, "dtype", *ELEMENTS]
    assert lines["level"] == cp.simd_level()
    dtypes = lines["dtype"].split()
    for name, taken in ELEMENTS.items():
        numbers = dict(zip(dtypes, lines[name].split(), strict=True))
        assert {dtype for dtype, number in numbers.items() if number != "-"} == taken, name
    # Nothing of writing it is left.
    assert list(table.parent.iterdir()) == [table]
    text = run("-m", "corepy", "info", XDG_CACHE_HOME=cache).stdout
    assert re.search(rf"tuning +measured on this machine \({re.escape(str(table))}\)", text)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("table 2", "table 1", "it is of version 1, not 2"),
        ("corepy tuning", "another", "it is no tuning table"),
        ("level += ", "level = sse9", "its level is sse9"),
        ("processors += ", "processors = 7", "its processors is 7"),
        ("processor += ", "processor = Z80 ", "its processor is Z80"),
        ("third_bytes += ", "third_bytes = -", "third_bytes is -"),
        ("third_bytes += ", "third_bytes = x", "third_bytes is x"),
        ("third_bytes += .*", "third_bytes = 1e99", "third_bytes is 1e99, not a number from"),
        ("third_bytes", "fourth_bytes", "it has no line for third_bytes in its place"),
        ("move_memory_ns +=", "more = 1\nmove_memory_ns =", "it has no line for move_memory_ns in its place"),
        ("dtype += +bool +int8", "dtype = int8 bool", "its dtypes are others"),
        ("dtype +=.*", "dtype = bool", "its dtypes are others"),
        ("arithmetic += +[0-9.]+", "arithmetic = nan", "arithmetic of bool is nan, not a number"),
        ("arithmetic += +[0-9.]+", "arithmetic = -", "arithmetic of bool is -, not a number"),
        ("arithmetic += +[0-9.]+", "arithmetic = 0", "arithmetic of bool is 0, not a number"),
        ("division += +-", "division = 0.5", "division of bool is 0.5, not -"),
        ("division +=.*", "division = - -", "division of int16 is nothing, not -"),
        ("(division .*)", "\\1 -", "division has more numbers than there are dtypes"),
        ("root +=", "square =", "it has no line for root in its place"),
    ],
)
def test_a_wrong_table_is_ignored_with_a_warning(
    table: Path, tmp_path: Path, old: str, new: str, why: str
) -> None:
    broken = tmp_path / "table"
    text = table.read_text()
    changed, count = re.subn(old, new, text, count=1)
    assert count == 1 and changed != text
    broken.write_text(changed)
    used, warned = source(COREPY_TUNING=str(broken))
    assert used == "shipped"
    assert f"RuntimeWarning: the tuning table {broken} is ignored: {why}" in warned


def test_files_that_are_no_text(table: Path, tmp_path: Path) -> None:
    broken = tmp_path / "table"
    for content, why in (
        (b"", "it is no tuning table"),
        (b"\xff\xfe\x00", "it is no text"),
        (table.read_bytes()[:-30], "multiply_add of"),
        (table.read_bytes()[: table.read_bytes().index(b"multiply_add")], "it has no line for multiply_add"),
        (table.read_bytes()[: table.read_bytes().index(b"sum ") + 40], "sum of int16 is "),
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
    assert "there is no such file; tune() makes it" in source(COREPY_TUNING=str(tmp_path / "none"))[1]


def test_no_table_changes_a_bit(table: Path, tmp_path: Path) -> None:
    expected = run("-c", DIGESTS, COREPY_TUNING="off")
    assert expected.returncode == 0, expected.stderr
    text = table.read_text()
    (dtypes,) = (value.split() for name, value in content(text) if name.strip() == "dtype")
    absurd = tmp_path / "table"
    # Threads and stores past the caches at once, or never; every cache tiny or endless.
    low = {"hand_off_hot_ns": "20", "hand_off_cold_ns": "1000", "past_caches_bytes": "1048576"}
    low |= {"second_bytes": "16384", "third_bytes": "16384"}
    high = {"hand_off_hot_ns": "1e5", "hand_off_cold_ns": "1e7", "past_caches_bytes": "1e15"}
    high |= {"second_bytes": "1e12", "third_bytes": "1e15"}
    for single, moved, element in ((low, "10", "10000"), (low, "0.0001", "0.0001"), (high, "10", "10000"),
                                   (high, "0.0001", "0.0001"), (low, "10", "0.0001"), (low, "0.0001", "1")):  # fmt: skip
        lines = text.splitlines()[:4] + [f"{name} = {single.get(name, moved)}" for name in COSTS]
        lines.append("dtype = " + " ".join(dtypes))
        for name, taken in ELEMENTS.items():
            lines.append(f"{name} = " + " ".join(element if dtype in taken else "-" for dtype in dtypes))
        absurd.write_text("\n".join(lines) + "\n")
        for threads in ("1", "2", "5"):
            got = run("-c", DIGESTS, COREPY_TUNING=str(absurd), COREPY_NUM_THREADS=threads)
            assert got.stderr.strip() == "measured on this machine", got.stderr
            assert got.stdout == expected.stdout, (single, moved, element, threads)


def test_numbers_of_a_table_are_those_in_use(table: Path) -> None:
    code = "import json, corepy as cp; print(json.dumps(cp.config()['tuning']))"
    done = run("-c", code, COREPY_TUNING=str(table))
    found = json.loads(done.stdout)
    lines = {name.strip(): value.split() for name, value in content(table.read_text())}
    for name, value in found["costs"].items():
        assert [value] == lines[name]
    for name, row in found["elements"].items():
        numbers = dict(zip(lines["dtype"], lines[name], strict=True))
        assert row == {dtype: number for dtype, number in numbers.items() if number != "-"}


def test_what_the_shipped_table_was_measured_on() -> None:
    for level in cp.simd_levels():
        code = "import json, corepy as cp; cp.show_config(); print(json.dumps(cp.config()['tuning']))"
        done = run("-c", code, COREPY_TUNING="off", COREPY_SIMD=level)
        *text, last = done.stdout.splitlines()
        found = json.loads(last)
        assert found["source"] == "shipped" and found["shipped_for"]["level"] == level
        assert found["shipped_for"]["processor"] and found["shipped_for"]["processors"] > 0
        (line,) = (line for line in text if line.split()[:1] == ["tuning"])
        assert found["shipped_for"]["processor"] in line and level in line and "corepy tune" in line


def test_the_command_prints_every_number(table: Path) -> None:
    done = run("-m", "corepy", "tune", "--seconds", "0", COREPY_TUNING="off")
    shown = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in shown if len(line) == 2] == COSTS
    dtypes = next(line for line in shown if line[0] == "bool")
    rows = {line[0]: line[1:] for line in shown if line[0] in ELEMENTS}
    for name, taken in ELEMENTS.items():
        numbers = dict(zip(dtypes, rows[name], strict=True))
        assert {dtype for dtype, number in numbers.items() if number != "-"} == taken
        assert all(1e-4 <= float(numbers[dtype]) <= 1e4 for dtype in taken), name
    assert done.stdout.endswith("kept nowhere, as COREPY_TUNING is off or there is no home for it\n")


@pytest.mark.parametrize(
    ("load", "note"), [(0.2, ""), (3.14, "note: load 3.1; "), (None, "")], ids=["rests", "busy", "unknown"]
)
def test_the_command_tells_of_a_busy_machine(load: float | None, note: str) -> None:
    code = f"""
import os, sys
from corepy.__main__ import main
def average():
    load = {load}
    if load is None:
        raise OSError
    return load, 0.0, 0.0
os.getloadavg = average
sys.exit(main(["tune", "--seconds", "0"]))
"""
    done = run("-c", code, COREPY_TUNING="off")
    assert done.returncode == 0 and done.stderr.startswith(note) and bool(done.stderr) == bool(note)


def test_tune_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import corepy as cp; print(cp.tune(seconds=0.0)); print(cp.config()['tuning']['source'])"
    done = run("-c", code, COREPY_TUNING="off")
    assert done.stdout.split("\n")[:2] == ["None", "measured on this machine"], done.stderr
    for seconds in (-1.0, 601.0, float("nan")):
        with pytest.raises(ValueError, match=r"\[tune\] seconds is 0 to 600"):
            cp.tune(seconds=seconds)
    done = run("-m", "corepy", "tune", "--seconds", "0", COREPY_TUNING="/dev/null/table")
    assert done.returncode == 1 and "cannot be written" in done.stderr


def test_what_cannot_be_written_is_said_before_measuring() -> None:
    code = """
import time
import corepy as cp
before = cp.config()["tuning"]["costs"]
began = time.monotonic()
try:
    cp.tune(seconds=60.0)
except OSError as error:
    early = time.monotonic() - began < 10
    print(early, "cannot be written" in str(error), cp.config()["tuning"]["costs"] == before)
"""
    assert run("-W", "ignore", "-c", code, COREPY_TUNING="/proc/table").stdout.split() == ["True"] * 3


def test_ctrl_c_leaves_the_table_that_was_kept(table: Path, tmp_path: Path) -> None:
    kept = tmp_path / "table.txt"
    kept.write_text(table.read_text())
    code = """
import signal
import corepy as cp
signal.setitimer(signal.ITIMER_REAL, 0.3)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    cp.tune(seconds=60.0)
except KeyboardInterrupt:
    print(cp.config()["tuning"]["source"])
"""
    assert run("-c", code, COREPY_TUNING=str(kept)).stdout == "measured on this machine\n"
    assert kept.read_text() == table.read_text() and list(tmp_path.iterdir()) == [kept]


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
