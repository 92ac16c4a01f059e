"""Lane programs at their limits: the largest ones, memory that is not there, forks while one is prepared."""

from __future__ import annotations

import subprocess
import sys

import pytest

SET_UP = """
import os, resource, signal, threading, time
import corepy as cp

def program(*lines):
    return cp.lanes.parse(".kernel k\\n" + "\\n".join(lines) + "\\nexit")

def limit(spare):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + spare,) * 2)
"""


def run(code: str, seconds: int = 60) -> str:
    """What a process of its own prints; it dies where it takes too long or too much."""
    done = subprocess.run(
        [sys.executable, "-c", SET_UP + code], capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout


@pytest.mark.parametrize(
    "lines",
    [
        # One polynomial; loads that stores may change; registers that are forgotten one after the other.
        '".buffer x: inout f32[:]", "cvt.f32.i64 v, %gid", "cvt.f32.i64 w, %lane", *["fma.f32 v, v, w, 1"] * 60_000, "stg.f32 x[%gid], v"',
        '".buffer x: inout f32[:]", *[f"ldg.f32 r{i}, x[%gid]" for i in range(1000)], *["stg.f32 x[%gid], 1"] * 60_000',
        '".buffer x: inout f32[:]", "mov.b1 p, true", *[s for i in range(1000) for s in (f"mov.i8 r{i}, 0", f"bra p, l{i}", "bra rest", f"l{i}:")], "rest:", *[s for i in range(30_000) for s in ("bra p, m%d" % i, "m%d:" % i)]',
    ],
    ids=["chain", "loads", "branches"],
)  # fmt: skip
def test_the_largest_programs_are_ready_soon(lines: str) -> None:
    """Work that grows with the square of a program's length would take hours or gigabytes here."""
    code = f"""
resource.setrlimit(resource.RLIMIT_AS, (4 << 30,) * 2)
program({lines}).launch(cp.zeros(300, dtype=cp.float32), lanes=300)
"""
    run(code)


@pytest.mark.parametrize(
    ("prepared", "act", "op"),
    [
        ("text = '.kernel k\\n' + 'mov.i64 a, 1\\n' * 60_000", "cp.lanes.parse(text)", "parse"),
        ("text = '.kernel k\\n' + '.param p: i8\\n' * 600_000", "cp.lanes.parse(text)", "parse"),
        ("b = cp.lanes.Builder('k')\nfor _ in range(60_000): b.emit('fence')", "b.build()", "Builder"),
        ("p = program(*['mov.i64 a, 1'] * 60_000)", "p.launch(lanes=1)", "launch"),
        ("p = program(*[f'mov.i64 r{i}, 1' for i in range(1000)])", "p.launch(lanes=1024, block=1024, backend='reference')", "launch"),
        # What the race checker remembers of each element, and of those that several lanes read.
        ("x = cp.zeros(1 << 22, dtype=cp.int8); p = program('.buffer x: inout i8[:]', 'stg.i8 x[%gid], 1')",
         "p.launch(x, lanes=len(x), check_races=True)", "check_races"),
        ("x = cp.zeros(1 << 20, dtype=cp.int8); p = program('.buffer x: inout i8[:]', 'ldg.i8 v, x[%gid]', 'sub.i64 i, %grid, %gid', 'sub.i64 i, i, 1', 'ldg.i8 v, x[i]')",
         "p.launch(x, lanes=len(x), check_races=True)", "check_races"),
    ],
    ids=["instructions", "declarations", "builder", "decoded", "registers", "races", "readers"],
)  # fmt: skip
def test_memory_that_is_not_there_is_an_error(prepared: str, act: str, op: str) -> None:
    spare = (100 if op == "check_races" else 8) << 20
    code = f"""
{prepared}
limit({spare})
try:
    {act}
except MemoryError as e:
    print(e)
"""
    assert run(code).startswith(f"[{op}] cannot allocate ")


def test_a_fork_while_another_thread_prepares_a_program() -> None:
    """In the child the thread does not exist: nobody may wait for it."""
    code = """
ended = []
for attempt in range(4):
    # What is known of lanes that part is found in rounds, one a branch: some 50 ms.
    p = program(".param q: b1", f"setlt.i64 p0, %gid, {attempt + 100}", *[f"mov.b1 p{i + 1}, q" for i in range(500)],
        *[s for i in range(500) for s in (f"bra p{i}, l{i}", f"mov.b1 p{i + 1}, q", f"l{i}:")], *[f"mov.b1 z, p{i}" for i in range(500)])
    launch = lambda: p.launch(True, lanes=100_000)
    thread = threading.Thread(target=launch)
    thread.start()
    time.sleep(0.002 * attempt)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        launch()
        os._exit(0)
    ended.append(os.waitpid(child, 0)[1])
    thread.join()
print(ended)
"""
    assert run(code, 120) == "[0, 0, 0, 0]\n"
