"""COREPY_LOG: one line for each operation, true to what happened, whole, and nothing when it is off."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

import corepy as cp

KEYS = [
    "op",
    "dtype",
    "shape",
    "layout",
    "result",
    "path",
    "kernel",
    "access",
    "tiles",
    "threads",
    "us",
    "arena_peak",
    "outcome",
    "pid",
    "tid",
]

SET_UP = """
import corepy as cp
f4, f8 = cp.float32, cp.float64
small = cp.ones(5, dtype=f4)
m = cp.ones((512, 512), dtype=f4)
row = cp.ones(512, dtype=f4)
wide = cp.ones((512, 1024), dtype=f4)
tall = cp.ones((4096, 7), dtype=f4)
u8 = cp.ones((512, 512), dtype=cp.uint8)
many = cp.ones((100, 3, 3), dtype=f4)
"""

F4 = "float32"
# code; op, dtypes, shapes, layouts, result, path, kernel, access
CASES = [
    ("small + small", "add", [F4, F4], [(5,), (5,)], "contiguous;contiguous", "float32(5,)", "straight", "vv", "none"),
    ("small * 2", "multiply", [F4, F4], [(5,), ()], "contiguous;scalar", "float32(5,)", "straight", "vs", "none"),
    ("2 - small", "subtract", [F4, F4], [(), (5,)], "scalar;contiguous", "float32(5,)", "straight", "sv", "none"),
    ("-small", "negative", [F4], [(5,)], "contiguous", "float32(5,)", "straight", "v", "none"),
    ("small == small", "equal", [F4, F4], [(5,), (5,)], "contiguous;contiguous", "bool(5,)", "straight", "vv", "none"),
    ("m + m", "add", [F4, F4], [(512, 512)] * 2, "contiguous;contiguous", "float32(512,512)", "runs", "vv", "direct,direct,direct"),
    ("m + 1", "add", [F4, F4], [(512, 512), ()], "contiguous;scalar", "float32(512,512)", "runs", "vs", "direct,direct,single"),
    ("m + row", "add", [F4, F4], [(512, 512), (512,)], "contiguous;broadcast", "float32(512,512)", "runs", "vv", "direct,direct,direct"),
    ("m + m.T", "add", [F4, F4], [(512, 512)] * 2, "contiguous;transposed", "float32(512,512)", "crossed", "vv", "direct,direct,crossed"),
    ("wide[:, ::2] + 1", "add", [F4, F4], [(512, 512), ()], "strided;scalar", "float32(512,512)", "runs", "vs", "direct,strided,single"),
    ("tall[:, :5] * 2", "multiply", [F4, F4], [(4096, 5), ()], "strided;scalar", "float32(4096,5)", "blocks", "vs", "direct,offsets,single"),
    ("m + u8", "add", [F4, "uint8"], [(512, 512)] * 2, "contiguous;contiguous", "float32(512,512)", "runs", "vv", "direct,direct,converted"),
    ("m.__iadd__(1)", "add", [F4, F4], [(512, 512), ()], "contiguous;scalar", "none", "runs", "vs", "direct,direct,single"),
    ("cp.sqrt(m)", "sqrt", [F4], [(512, 512)], "contiguous", "float32(512,512)", "runs", "v", "direct,direct"),
    ("cp.where(m > 0, m, row)", "where", ["bool", F4, F4], [(512, 512), (512, 512), (512,)], "contiguous;contiguous;broadcast", "float32(512,512)", "runs", "select", "direct,direct,direct,direct"),
    ("small.sum()", "sum", [F4], [(5,)], "contiguous", "float32()", "straight", "each", "none"),
    ("m.sum(axis=0)", "sum", [F4], [(512, 512)], "contiguous", "float32(512,)", "direct", "columns", "none"),
    ("m.sum(axis=1)", "sum", [F4], [(512, 512)], "contiguous", "float32(512,)", "direct", "each", "none"),
    ("m[:9].sum(axis=0)", "sum", [F4], [(9, 512)], "contiguous", "float32(512,)", "direct", "columns", "none"),
    ("wide[:, ::2].sum()", "sum", [F4], [(512, 512)], "strided", "float32()", "gathered", "blocks", "none"),
    ("wide[:, ::2].mean(axis=1)", "mean", [F4], [(512, 512)], "strided", "float32(512,)", "gathered", "each", "none"),
    ("m.argmax()", "argmax", [F4], [(512, 512)], "contiguous", "int64()", "direct", "blocks", "none"),
    ("m.T.var(axis=0)", "var", [F4], [(512, 512)], "transposed", "float32(512,)", "direct", "each", "none"),
    ("m @ m", "matmul", [F4, F4], [(512, 512)] * 2, "contiguous;contiguous", "float32(512,512)", "tall", "gemm", "none"),
    ("m[:4] @ m", "matmul", [F4, F4], [(4, 512), (512, 512)], "contiguous;contiguous", "float32(4,512)", "vector", "vector", "none"),
    ("m[:9] @ m", "matmul", [F4, F4], [(9, 512), (512, 512)], "contiguous;contiguous", "float32(9,512)", "wide", "gemm", "none"),
    ("m @ row", "matmul", [F4, F4], [(512, 512), (512,)], "contiguous;contiguous", "float32(512,)", "vector", "vector", "none"),
    ("row @ row", "matmul", [F4, F4], [(512,), (512,)], "contiguous;contiguous", "float32()", "straight", "each", "none"),
    ("many[0] @ many[0]", "matmul", [F4, F4], [(3, 3)] * 2, "contiguous;contiguous", "float32(3,3)", "small", "small", "none"),
    ("many @ many", "matmul", [F4, F4], [(100, 3, 3)] * 2, "contiguous;contiguous", "float32(100,3,3)", "batch", "small", "none"),
    ("m @ cp.astype(m, f8)", "matmul", [F4, "float64"], [(512, 512)] * 2, "contiguous;contiguous", "float64(512,512)", "runs+tall", "cast+gemm", "direct,direct"),
    ("small.astype(f8)", "astype", [F4], [(5,)], "contiguous", "float64(5,)", "straight", "cast", "none"),
    ("m.astype(cp.int16)", "astype", [F4], [(512, 512)], "contiguous", "int16(512,512)", "runs", "cast", "direct,direct"),
    ("cp.reshape(m.T, (-1,))", "reshape", [F4], [(512, 512)], "transposed", "float32(512,512)", "crossed", "transpose", "direct,direct"),
    ("m.__setitem__(0, row)", "setitem", [F4, F4], [(512,), (512,)], "contiguous;contiguous", "none", "straight", "copy", "none"),
    ("m.__setitem__(0, 1.0)", "setitem", [F4, F4], [(512,), ()], "contiguous;scalar", "none", "straight", "fill", "none"),
    ("m[m > 0]", "getitem", [F4, "bool"], [(512, 512)] * 2, "contiguous;contiguous", "float32(262144,)", "compacted", "compress", "none"),
    ("cp.take(row, cp.asarray([3, 4]))", "take", [F4, "int64"], [(512,), (2,)], "contiguous;contiguous", "float32(2,)", "gathered", "take", "none"),
    ("row.__setitem__(cp.asarray([3, 4]), 2.0)", "setitem", [F4, F4, "int64"], [(512,), (), (2,)], "contiguous;scalar;contiguous", "none", "scattered", "copy", "none"),
    ("cp.concat([row] * 6)", "concat", [F4] * 4 + ["+2"], [(512,)] * 4, "contiguous;" * 4 + "+2", "float32(3072,)", "straight", "copy", "none"),
    ("cp.zeros((3, 2))", "zeros", ["float64"], [(3, 2)], "contiguous", "float64(3,2)", "straight", "fill", "none"),
    ("cp.arange(10)", "arange", ["int64"], [(10,)], "contiguous", "int64(10,)", "runs", "ramp", "none"),
    # Operations that are made of others write one line.
    ("cp.asarray([1, 2]) < cp.asarray([1, 2], dtype=cp.uint64)", "less", ["int64", "uint64"], [(2,), (2,)], "contiguous;contiguous", "bool(2,)", "straight+runs", "cast+vv+vs+select", "direct,direct,single,direct"),
]  # fmt: skip


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    names = {k: v for k, v in os.environ.items() if not k.startswith("COREPY_") or k == "COREPY_SIMD"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=names | environment
    )


def parse(line: str) -> dict[str, str]:
    head, *pairs = line.split(" ")
    assert head == "corepy:"
    found = dict(pair.split("=", 1) for pair in pairs)
    assert list(found) == KEYS, line
    assert float(found["us"]) >= 0 and int(found["arena_peak"]) >= 0
    return found


def logged(code: str, **environment: str) -> list[dict[str, str]]:
    done = run(code, COREPY_LOG="debug", **environment)
    assert done.returncode == 0, done.stderr
    return [parse(line) for line in done.stderr.splitlines()]


@pytest.fixture(scope="module")
def lines() -> dict[str, dict[str, str]]:
    """The last line of each case, all of them from one process."""
    body = "".join(
        f"print('case', {i}, file=sys.stderr, flush=True)\n{case[0]}\n" for i, case in enumerate(CASES)
    )
    done = run(f"import sys\n{SET_UP}\n{body}", COREPY_LOG="debug", COREPY_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = {}
    current = ""
    for line in done.stderr.splitlines():
        if line.startswith("case "):
            current = CASES[int(line[5:])][0]
        elif current:
            found[current] = parse(line)
    return found


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_line_says_what_ran(case: tuple[object, ...], lines: dict[str, dict[str, str]]) -> None:
    code, op, dtypes, shapes, layout, result, path, kernel, access = case
    line = lines[str(code)]
    assert (line["op"], line["dtype"].split(";")) == (op, dtypes)
    shown = [ast.literal_eval(shape) for shape in line["shape"].split(";") if not shape.startswith("+")]
    assert shown == shapes
    assert (line["layout"], line["result"]) == (layout, result)
    assert (line["path"], line["kernel"], line["access"]) == (path, kernel, access)
    assert line["outcome"] == "ok"
    assert 1 <= int(line["threads"]) <= 2
    if path == "straight":
        assert (line["tiles"], line["threads"]) == ("1", "1")


def test_tiles_and_threads() -> None:
    code = "import corepy as cp\na = cp.ones(1 << 22, dtype=cp.float32)\nfor _ in range(20): a + a\n"
    one = logged(code, COREPY_NUM_THREADS="1")[1:]
    assert {line["threads"] for line in one} == {"1"}
    assert len({line["tiles"] for line in one}) == 1
    # A tile takes some 8 us by the costs in use, of adding or of moving 12 bytes an element in memory.
    table = cp.config()["tuning"]
    assert float(table["costs"]["third_bytes"]) < 12 << 22
    adding, moving = (
        float(table["elements"]["arithmetic"]["float32"]),
        float(table["costs"]["move_memory_ns"]),
    )
    tile = 8_000 / max(adding, 12 * moving)
    assert int(one[0]["tiles"]) == pytest.approx((1 << 22) / tile, rel=0.1)
    two = logged(code, COREPY_NUM_THREADS="2")[1:]
    assert {line["tiles"] for line in two} == {one[0]["tiles"]}
    if len(os.sched_getaffinity(0)) > 1:
        assert "2" in {line["threads"] for line in two}
    assert {line["threads"] for line in two} <= {"1", "2"}


def test_arena_peak_is_that_of_the_operation_alone() -> None:
    code = """
import corepy as cp
a = cp.ones((600, 600), dtype=cp.float32)
for _ in range(3):
    a @ a
    a + a
    a[:, ::2] + 1
peak = cp.arena_stats().peak if hasattr(cp, "arena_stats") else None
print(peak)
"""
    done = run(code, COREPY_LOG="debug", COREPY_NUM_THREADS="1")
    lines = [parse(line) for line in done.stderr.splitlines()][1:]
    peaks = [int(line["arena_peak"]) for line in lines]
    products, sums, strided = peaks[::3], peaks[1::3], peaks[2::3]
    # The whole packed right side is 600 x 600 of float32 at least.
    assert len(set(products)) == 1 and products[0] >= 600 * 600 * 4
    assert sums == [0, 0, 0]
    # A block of 1,024 gathered float32, and room for one scalar.
    assert len(set(strided)) == 1 and 4096 <= strided[0] < 8192
    if done.stdout.strip() != "None":
        assert int(done.stdout) == products[0]


def test_failures_are_named() -> None:
    code = """
import corepy as cp
a = cp.asarray([1, 2])
for f in (lambda: a // cp.asarray([1, 0]), lambda: a + cp.ones(3), lambda: a.argmax() + cp.zeros((0, 2)).max()):
    try:
        f()
    except Exception as e:
        print(type(e).__name__)
a + a
"""
    done = run(code, COREPY_LOG="debug")
    assert done.stdout.split() == ["ZeroDivisionError", "ValueError", "ValueError"]
    failed = [parse(line) for line in done.stderr.splitlines() if "outcome=ok" not in line]
    assert [(line["op"], line["outcome"], line["result"]) for line in failed] == [
        ("floor_divide", "ZeroDivisionError", "none"),
        ("add", "ValueError", "none"),
        ("max", "ValueError", "none"),
    ]
    assert parse(done.stderr.splitlines()[-1])["op"] == "add"


@pytest.mark.parametrize("b", ["(4, 2)", "(4,)", "(5, 3, 2)"])
def test_operands_that_do_not_fit_are_not_converted_first(b: str) -> None:
    code = f"""
import corepy as cp
a, b = cp.ones((2, 2, 3), dtype=cp.float32), cp.ones({b})
try:
    a @ b
except ValueError:
    print("refused")
"""
    done = run(code, COREPY_LOG="debug")
    assert done.stdout == "refused\n"
    line = parse(done.stderr.splitlines()[-1])
    assert (line["op"], line["kernel"], line["outcome"]) == ("matmul", "none", "ValueError")


def test_launches() -> None:
    names = [b.name for b in cp.lanes.backends() if b.available]
    code = f"""
import corepy as cp
p = cp.lanes.parse(".kernel k\\n.param a: f32\\n.buffer x: in f32[:]\\n.buffer y: out f32[:, :]\\n ldg.f32 v, x[%gid]\\n stg.f32 y[0, %gid], v\\n exit")
x, y = cp.ones(5, dtype=cp.float32), cp.ones((5, 3), dtype=cp.float32).T
for backend in {names}:
    p.launch(1, x, y, lanes=5, backend=backend)
    try:
        p.launch(1, x, y, lanes=9, backend=backend)
    except cp.lanes.LaneFault:
        pass
"""
    found = [line for line in logged(code) if line["op"] == "launch"]
    assert [(line["path"], line["outcome"]) for line in found] == [
        (name, outcome) for name in names for outcome in ("ok", "LaneFault")
    ]
    for line in found:
        assert (line["dtype"], line["shape"], line["layout"]) == (
            "float32;float32",
            "(5,);(3,5)",
            "contiguous;transposed",
        )
        assert (line["result"], line["kernel"]) == ("none", "none")


def test_views_write_no_line() -> None:
    assert [
        line["op"]
        for line in logged("import corepy as cp\na = cp.zeros((4, 4)); a.T; a[1]; a[::2]; cp.flip(a)")
    ] == ["zeros"]


def test_lines_of_threads_stay_whole() -> None:
    code = """
import threading, corepy as cp
a = cp.ones((300, 300), dtype=cp.float32)
def work():
    for _ in range(200):
        a + a; a.sum(axis=0); a.T + a
threads = [threading.Thread(target=work) for _ in range(6)]
for t in threads: t.start()
for t in threads: t.join()
"""
    lines = logged(code)[1:]
    assert len(lines) == 6 * 200 * 3
    assert len({line["tid"] for line in lines}) == 6
    for op, path in (("add", "runs"), ("sum", "direct"), ("add", "crossed")):
        assert sum((line["op"], line["path"]) == (op, path) for line in lines) == 1200


def test_both_sides_of_a_fork_log() -> None:
    code = """
import os, corepy as cp
a = cp.ones(1 << 20, dtype=cp.float32)
a + a
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        for _ in range(100): a * a
        os._exit(0)
    children.append(pid)
for _ in range(100): a - a
for pid in children: assert os.waitpid(pid, 0)[1] == 0
"""
    lines = logged(code)[2:]
    by_process: dict[str, set[str]] = {}
    for line in lines:
        by_process.setdefault(line["pid"], set()).add(line["op"])
    assert len(lines) == 400
    assert sorted(map(sorted, by_process.values())) == [["multiply"]] * 3 + [["subtract"]]


@pytest.mark.parametrize("value", [None, "", "  "])
def test_off_writes_nothing(value: str | None) -> None:
    environment = {} if value is None else {"COREPY_LOG": value}
    done = run("import corepy as cp; (cp.ones(10000) + 1).sum(); print(cp.config()['log'])", **environment)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "off", "")


@pytest.mark.parametrize("value", ["1", "info", "DEBUG", "debug,x", "off"])
def test_other_values_fail_the_import(value: str) -> None:
    done = run("import corepy", COREPY_LOG=value)
    assert done.returncode == 1
    message = f'ValueError: COREPY_LOG="{value}" is not valid: debug writes a line for each operation; leave it empty for none'
    assert done.stderr.splitlines()[-1] == message


def test_a_closed_standard_error_harms_nobody() -> None:
    done = run(
        "import os; os.close(2)\nimport corepy as cp\nprint((cp.ones(10000) + 1).sum().item())",
        COREPY_LOG="debug",
    )
    assert (done.returncode, done.stdout.strip()) == (0, "20000.0")


# What the operation writes waits in a pipe of 4 KiB (fcntl 1031 sets a pipe's size).
FULL_PIPE = """
import fcntl, os, threading, time
import corepy as cp
reading, writing = os.pipe()
fcntl.fcntl(writing, 1031, 4096)
os.dup2(writing, 2)
os.close(writing)
a, long = cp.ones(4), cp.ones(1 << 20)
"""


def test_a_thread_of_the_process_may_read_the_log() -> None:
    # Writing to the full pipe lets go of the GIL, which the reader needs to empty it.
    code = """
found = []
def read():
    while not found or b"op=sqrt" not in found[-1]:
        found.append(os.read(reading, 4096))
reader = threading.Thread(target=read)
reader.start()
workers = [threading.Thread(target=lambda: [x + x for _ in range(40)]) for x in (a, a, long)]
for worker in workers: worker.start()
for worker in workers: worker.join()
cp.sqrt(a)
reader.join()
print(b"".join(found).count(b"op=add"))
"""
    done = run(FULL_PIPE + code, COREPY_LOG="debug")
    assert (done.returncode, done.stdout.strip()) == (0, "120"), done.stderr


def test_the_process_ends_though_nobody_reads_the_log() -> None:
    code = """
def work():
    while True: a + a; long + long
for _ in range(4): threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
"""
    done = run(FULL_PIPE + code, COREPY_LOG="debug")
    assert (done.returncode, done.stdout) == (0, "")
