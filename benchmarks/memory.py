"""What memory costs: page faults, fresh outputs, refused requests, the arena, and long runs.

    python -m benchmarks.memory            all but the long runs
    python -m benchmarks.memory --arena    the arena's part of a strided sum, in instructions (needs valgrind)
    python -m benchmarks.memory --soak     100,000 create-and-drop cycles and the work of 1,000 forks

It ends with status 1 when a figure misses its goal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import corepy as cp

MISSED: list[str] = []


def report(what: str, figure: str, goal: str, met: bool) -> None:
    print(f"{what:58}  {figure:30}  goal {goal:14}  {'met' if met else 'MISSED'}")
    if not met:
        MISSED.append(what)


def state() -> str:
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    return (
        f"corepy {cp.__version__}, level {cp.simd_level()}, {cp.get_num_threads()} threads, "
        f"NumPy {np.__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors, load {load}"
    )


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def page_faults() -> None:
    """Faults of a warm call: its output is a block that was touched before.

    The interpreter and the kernel take one now and then, so that it is the median that has to be 0.
    """
    a = cp.ones(1_000_000, dtype=cp.float32)
    x = np.ones(1_000_000, dtype=np.float32)

    def per_call(call: Callable[[], object]) -> tuple[float, str]:
        for _ in range(10):
            call()
        counts = []
        for _ in range(1000):
            before = faults()
            call()
            counts.append(faults() - before)
        seen = sum(count > 0 for count in counts)
        return statistics.median(counts), f"{statistics.median(counts):.0f} (1 or more in {seen} of 1,000)"

    (ours, shown), (_, theirs) = per_call(lambda: a + a), per_call(lambda: x + x)
    report(
        "page faults a call, warm a + b, 1,000,000 float32",
        f"{shown}; NumPy {theirs}",
        "0",
        ours == 0,
    )


def against_numpy(n: int, goal: float, rounds: int = 41) -> None:
    """`add` with a fresh output, interleaved with NumPy's."""
    x, y = np.arange(n, dtype=np.float32), np.ones(n, dtype=np.float32)
    a, b = cp.asarray(x), cp.asarray(y)
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        c = cp.add(a, b)
        middle = time.perf_counter_ns()
        z = np.add(x, y)
        theirs.append(time.perf_counter_ns() - middle)
        ours.append(middle - start)
        if c[-1].item() != z[-1]:
            raise AssertionError("wrong result")
        del c, z
    mine, other = statistics.median(ours) / 1e6, statistics.median(theirs) / 1e6
    spread = (statistics.quantiles(ours)[2] - statistics.quantiles(ours)[0]) / 1e6
    report(
        f"add of {n:,} float32, fresh output, against NumPy",
        f"{other / mine:.2f}x ({mine:.2f} ms +- {spread:.2f} to {other:.2f})",
        f"{goal:.1f}x",
        other / mine >= goal,
    )


def refusals() -> None:
    """Requests that nobody can meet are refused at once, and the process goes on."""
    slowest = 0.0
    for shape in ((10**7, 10**7), (2**40, 2**40), (2**58,), (10**11,)):
        start = time.perf_counter()
        try:
            cp.empty(shape)
        except (MemoryError, ValueError) as error:
            if str(shape) not in str(error):
                raise AssertionError(f"{error} does not name {shape}") from error
        else:
            raise AssertionError(f"{shape} was not refused")
        slowest = max(slowest, time.perf_counter() - start)
    report("slowest refusal of an absurd request", f"{slowest * 1e3:.2f} ms", "50 ms", slowest < 0.05)


# ---- the arena's part of a reduction

ROOT = Path(__file__).resolve().parent.parent


def test_program() -> str:
    """The Rust test that sums, which has the lines that the extension is stripped of."""
    command = "cargo test --release --locked --quiet --package corepy-runtime --test scratch --no-run"
    built = subprocess.run(
        [*command.split(), "--message-format=json"], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ).stdout
    programs = (json.loads(line).get("executable") for line in built.splitlines() if line.startswith("{"))
    return str(next(program for program in programs if program))


def instructions(program: str, calls: int) -> tuple[int, int]:
    """Instructions of a process with that many sums: those on lines of the arena, and all."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "callgrind.out"
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={file}"]
        subprocess.run(
            [*tool, program, "--exact", "warm_strided_sums", "--ignored", "--test-threads=1"],
            check=True,
            capture_output=True,
            # valgrind knows no AVX-512.
            env={**os.environ, "COREPY_SIMD": "x86-64-v3", "CALLS": str(calls)},
        )
        return costs(file.read_text())


def costs(text: str) -> tuple[int, int]:
    """Self cost of lines of memory/arena.rs, inlined ones included, and of all lines."""
    names: dict[str, str] = {}
    file, arena, total, skip = "", 0, 0, False
    for line in text.splitlines():
        if match := re.match(r"(fl|fi|fe)=\((\d+)\)(?: (.*))?$", line):
            if match[3]:
                names[match[2]] = match[3]
            file = names[match[2]]
        elif match := re.match(r"cfi=\((\d+)\)(?: (.*))?$|cfl=\((\d+)\)(?: (.*))?$", line):
            number, name = match[1] or match[3], match[2] or match[4]
            if name:
                names[number] = name
        elif line.startswith("calls="):
            skip = True  # the next line is what the callee cost, which it counts itself
        elif re.match(r"[+*-]?\d* \d+$|\* \d+$", line):
            if not skip:
                cost = int(line.rsplit(" ", 1)[1])
                total += cost
                if file.endswith("memory/arena.rs"):
                    arena += cost
            skip = False
    return arena, total


def arena() -> None:
    if not shutil.which("valgrind"):
        print("the arena's part of a strided sum: skipped, there is no valgrind")
        return
    program = test_program()
    few, many = instructions(program, 3), instructions(program, 23)
    arena_part, whole = (many[0] - few[0]) / 20, (many[1] - few[1]) / 20
    report(
        "arena's part of a warm strided sum, 1,000,000 float32",
        f"{100 * arena_part / whole:.3f} % ({arena_part:,.0f} of {whole:,.0f})",
        "at most 1 %",
        0 < arena_part <= 0.01 * whole,
    )


# ---- long runs


def resident() -> int:
    """Resident bytes that are this process's own."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon")


def cycle(i: int) -> None:
    """Tensors of many sizes, made by every class of operations, and dropped."""
    n = 1 + i * 7919 % 3000
    a = cp.reshape(cp.arange(4 * n, dtype=cp.float32), (4, n))
    b = a.T + 1.0
    c = cp.concat([b, cp.astype(b, cp.float64)], axis=1)
    total = cp.sum(c, axis=0) + cp.max(c)
    product = a[:, : n // 2 + 1] @ b[: n // 2 + 1]
    masked = a[a > float(n)]
    taken = cp.take(b, cp.asarray([0, n - 1]), axis=0)
    listed = cp.asarray(cp.any(c, axis=1).tolist()[:5])
    if i % 50 == 0:
        large = cp.zeros((200 + i % 7 * 100, 1000))
        large += 1.0
    if total.size + product.size + masked.size + taken.size + listed.size == 0:
        raise AssertionError("nothing was computed")


def flat(what: str, cycles: int, work: Callable[[int], None], room: int) -> None:
    """After a tenth of the cycles the resident memory no longer grows."""
    marks = []
    start = time.monotonic()
    for i in range(cycles):
        work(i)
        if (i + 1) % max(cycles // 10, 1) == 0:
            marks.append(resident())
    stats = cp.memory_stats()
    print(f"  RssAnon in MiB after each tenth: {' '.join(f'{m / 2**20:.2f}' for m in marks)}")
    print(f"  {time.monotonic() - start:.0f} s; {stats}; {cp.arena_stats()}")
    growth = max(marks[1:]) - marks[0]
    report(what, f"{growth / 1024:+.0f} KiB since the first tenth", f"{room >> 10} KiB", growth <= room)


def fork_and_work(i: int) -> None:
    """A child that computes, which its parent does too meanwhile."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            a = cp.ones((300, 300))
            ok = (a @ a)[0, 0].item() == 300.0 and cp.sum(cp.ones(1_000_000)).item() == 1e6
            cp.trim_memory()
            status = 0 if ok else 2
        finally:
            os._exit(status)
    cycle(i)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise AssertionError(f"child {i} ended with {status}")


def soak(cycles: int, forks: int) -> None:
    flat(f"{cycles:,} create-and-drop cycles", cycles, cycle, 2 << 20)
    with cp.threads(4):
        flat(f"{cycles // 10:,} cycles on 4 threads", cycles // 10, cycle, 2 << 20)
    flat(f"the work of {forks:,} forks", forks, fork_and_work, 2 << 20)
    used = cp.arena_stats().used
    report("scratch in use after it", f"{used} bytes", "0", used == 0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arena", action="store_true")
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--cycles", type=int, default=100_000)
    parser.add_argument("--forks", type=int, default=1_000)
    chosen = parser.parse_args()
    print(state())
    if chosen.soak:
        soak(chosen.cycles, chosen.forks)
    elif chosen.arena:
        arena()
    else:
        page_faults()
        against_numpy(10_000_000, 1.5)
        refusals()
        arena()
    return 1 if MISSED else 0


if __name__ == "__main__":
    sys.exit(main())
