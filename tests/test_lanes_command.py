"""`python -m corepy lanes`: what it prints, what it changes, and how it ends."""

from __future__ import annotations

import contextlib
import io
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import corepy as cp
from corepy.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
GOOD = """\
; A comment in front.
.kernel k ; of the kernel


.param a: f32
.buffer x: inout f32[:]
; of the body
ldg.f32 v, x[%gid] ; of a line
; before the loop
loop i, 3
; in the loop
  mul.f32 v, v, a
\tassert true, "no ; comment \\" here;" ; but here
endloop
l:
stg.f32 x[%gid], v


exit
; at the end

"""
FORMATTED = """\
; A comment in front.
.kernel k  ; of the kernel

.param a: f32
.buffer x: inout f32[:]
    ; of the body
    ldg.f32 v, x[%gid.x]  ; of a line
    ; before the loop
    loop i, 3
        ; in the loop
        mul.f32 v, v, a
        assert true, "no ; comment \\" here;"  ; but here
    endloop
l:
    stg.f32 x[%gid.x], v

    exit
; at the end
"""


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def call(*arguments: str | Path, given: str = "") -> Done:
    """The command in this process, as `main` runs it."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.StringIO(given)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["lanes", *map(str, arguments)])
    except SystemExit as usage:
        code = int(usage.code or 0)
    finally:
        sys.stdin = before
    return Done(code, out.getvalue(), err.getvalue())


def test_the_command_as_a_process(good: Path) -> None:
    command = [sys.executable, "-m", "corepy", "lanes"]
    done = subprocess.run([*command, "check", str(good)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, call("check", good).stdout, "")
    done = subprocess.run([*command, "fmt", "-"], input="exit", capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "-:1:1: error: expected .kernel and a name, found `exit`\nexit\n^\n"


def test_ctrl_c_ends_a_run_without_a_traceback(tmp_path: Path) -> None:
    endless = tmp_path / "endless.lanes"
    endless.write_text(".kernel k\n.buffer x: inout f32[:]\nagain:\nbra again\nexit\n")
    code = f"""
import signal, sys
from corepy.__main__ import main
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
sys.exit(main(["lanes", "run", {str(endless)!r}, "--lanes", "3", "--arg", "x=zeros:3"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.lanes"
    path.write_text(GOOD)
    return path


def test_check(good: Path, tmp_path: Path) -> None:
    done = call("check", good)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{good}: <lane program k(a: f32, x: inout f32[:]), 7 instructions>\n"
    syntax, rule = tmp_path / "syntax.lanes", tmp_path / "rule.lanes"
    syntax.write_text(".kernel k\n\tadd.f32 a,,b ; c\n")
    rule.write_bytes(b".kernel k\r\n\r\n\tadd.f32 a, b\r\n")
    done = call("check", syntax, good, rule, tmp_path / "none")
    assert done.returncode == 2
    assert done.stdout.startswith(f"{good}: <lane program k(")
    assert done.stderr.split("\n") == [
        f"{syntax}:2:12: error: expected an operand, found `,`",
        "\tadd.f32 a,,b ; c",
        "\t" + " " * 10 + "^",
        f"{rule}:3:2: error: add takes 3 operands, not 2 [operand-count]",
        "\tadd.f32 a, b",
        "\t^",
        f"{tmp_path}/none: error: No such file or directory",
        "",
    ]
    assert call("check", rule).returncode == 1
    done = call("check", "-", given=GOOD)
    assert (done.returncode, done.stdout[:3]) == (0, "-: ")
    (tmp_path / "latin.lanes").write_bytes(b".kernel \xff")
    assert call("check", tmp_path / "latin.lanes").returncode == 2


def test_fmt(good: Path, tmp_path: Path) -> None:
    done = call("fmt", "--check", good)
    assert (done.returncode, done.stdout) == (1, f"{good}: would be changed\n")
    assert good.read_text() == GOOD
    done = call("fmt", good)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{good}: changed\n", "")
    assert good.read_text() == FORMATTED
    assert cp.lanes.parse(FORMATTED) == cp.lanes.parse(GOOD)
    for command in ("--check",), ():
        done = call("fmt", *command, good)
        assert (done.returncode, done.stdout) == (0, "")
    done = call("fmt", "-", given=GOOD)
    assert (done.returncode, done.stdout) == (0, FORMATTED)
    wrong = tmp_path / "wrong.lanes"
    wrong.write_text(".kernel k\n  exit p")
    done = call("fmt", wrong, good)
    assert done.returncode == 1 and "exit takes 0 operands, not 1 [operand-count]" in done.stderr
    assert wrong.read_text() == ".kernel k\n  exit p"
    windows = tmp_path / "windows.lanes"
    windows.write_bytes(b".kernel k ; a\r\n ; b\r\n exit\r\n")
    assert call("fmt", windows).returncode == 0
    assert windows.read_bytes() == b".kernel k  ; a\n    ; b\n    exit\n"


def test_formatting_keeps_the_program_and_every_comment() -> None:
    from corepy._lanes_command import formatted

    for path in sorted((ROOT / "examples/lanes").glob("*.lanes")):
        text = path.read_text()
        program = cp.lanes.parse(text)
        squeezed = re.sub(r"(?m)^ +", "", text)
        for given in (text, squeezed, text.replace("\n", "\n\n"), text.replace("%gid.x", "%gid")):
            assert cp.lanes.parse(given) == program
            new = formatted(given, program)
            assert cp.lanes.parse(new) == program and formatted(new, program) == new
            assert re.findall(";.*", new) == re.findall(";.*", given)
        assert formatted(text, program) == formatted(squeezed, program) == text


def test_run(good: Path, tmp_path: Path) -> None:
    vector_add = ROOT / "examples/lanes/vector_add.lanes"
    command = [
        "run",
        vector_add,
        "--lanes",
        "1024",
        "--arg",
        "a=random:float32:1024",
        "--arg",
        "b=ones:1024",
        "--arg",
        "c=zeros:1024",
    ]
    done = call(*command, "--repeat", "3")
    assert (done.returncode, done.stderr) == (0, "")
    head, times, out = done.stdout.splitlines()
    assert head == "vector_add: 1,024 lanes in blocks of 256, backend auto"
    assert re.fullmatch(r"first launch \S+ [mu]?s, then \S+ [mu]?s \(median of 3\), best \S+ [mu]?s", times)
    found = re.fullmatch(r"c: float32\[1024\], (\S+) to (\S+), digest [0-9a-f]{16}", out)
    assert found and 1 <= float(found[1]) < 1.1 and 1.9 < float(found[2]) < 2
    assert call(*command).stdout.splitlines()[2] == out, "the same for one seed"
    assert call(*command, "--seed", "1").stdout.splitlines()[2] != out
    assert "median" not in call(*command, "--repeat", "0").stdout
    for backend in (b.name for b in cp.lanes.backends() if b.available):
        assert call(*command, "--backend", backend, "--repeat", "0").stdout.splitlines()[2] == out
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", matrix)
    np.save(tmp_path / "b.npy", np.asfortranarray(np.eye(3, dtype=np.float32)[:, ::-1] * 2))
    matmul = ROOT / "examples/lanes/matmul.lanes"
    done = call(
        "run",
        matmul,
        "--lanes",
        "16x16",
        "--block",
        "16x16",
        "--arg",
        f"a={tmp_path / 'a.npy'}",
        "--arg",
        f"b={tmp_path / 'b.npy'}",
        "--arg",
        "c=zeros:2x3",
        "--repeat",
        "0",
    )
    assert done.stdout.splitlines()[0] == "matmul: 16 x 16 lanes in blocks of 16 x 16, backend auto"
    assert done.stdout.splitlines()[2].startswith("c: float32[2, 3], 0.0 to 10.0, digest ")
    done = call("run", "-", "--lanes", "3", "--arg", "a=0x10", "--arg", "x=arange:3", given=GOOD)
    assert "x: float32[3], 0.0 to 8192.0" in done.stdout


def test_run_faults(tmp_path: Path) -> None:
    path = tmp_path / "f.lanes"
    path.write_text(".kernel f\n.buffer x: inout i64[:]\n\tstg.i64 x[%gid], 1 ; here\n\texit\n")
    done = call("run", path, "--lanes", "9", "--arg", "x=zeros:4")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.split("\n") == [
        f"{path}:3:2: fault: lane (4, 0, 0) of block (0, 0, 0): index 4 is out of bounds for x with shape (4,)",
        "\tstg.i64 x[%gid], 1 ; here",
        "\t^",
        "",
    ]
    path.write_text(".kernel f\n.buffer x: inout i64[:]\nldg.i64 v, x[0]\nstg.i64 x[%lane], v\nexit\n")
    done = call("run", path, "--lanes", "9", "--arg", "x=zeros:9", "--check-races")
    assert done.returncode == 1
    assert (
        done.stderr.split("\n")[0]
        == f"{path}:3:1: race: lane (1, 0, 0) of block (0, 0, 0): x[0] is accessed by lane (0, 0, 0) on line 4 and by this lane, without a barrier between them"
    )
    assert done.stderr.split("\n")[3:] == [
        f"{path}:4:1: note: the access of lane (0, 0, 0)",
        "stg.i64 x[%lane], v",
        "^",
        "",
    ]
    path.write_text(".kernel f\ntop:\nbra top\n")
    done = call("run", path, "--lanes", "1", "--step-limit", "1000")
    assert (
        done.returncode == 1
        and ":3:1: fault: lane (0, 0, 0) of block (0, 0, 0): the step limit of 1000 is used up" in done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arg", "a=1"], "error: --arg x=random:8 is missing"),
        (["--arg", "a=1", "--arg", "x=zeros:3", "--arg", "y=1"], "error: no argument is named y: k takes a, x"),
        (["--arg", "a"], "error: --arg a: write name=value"),
        (["--arg", "a=1", "--arg", "a=2"], "error: --arg a=2: given twice"),
        (["--arg", "a=one", "--arg", "x=zeros:3"], "error: --arg a=one: a is a param of float32: write a number"),
        (["--arg", "a=1", "--arg", "x=zeroes:3"], "error: --arg x=zeroes:3: write zeros, ones, arange or random with a shape, as in random:8, or a .npy file"),
        (["--arg", "a=1", "--arg", "x=zeros:3,4"], "error: --arg x=zeros:3,4: 3,4 is not a shape"),
        (["--arg", "a=1", "--arg", "x=zeros:f99:3"], "error: [DType] 'f99' is not a dtype; the dtypes are "),
        (["--arg", "a=1", "--arg", "x=zeros:float64:3"], "error: [k] buffer x is of float32 and does not take a tensor of float64: tensors are not converted"),
        (["--arg", "a=1", "--arg", "x=zeros:-3"], "error: [zeros] shape (-3,) has a negative extent"),
        (["--arg", "a=1", "--arg", "x=random:-3"], "error: shape (-3,) has a negative extent"),
        (["--arg", "a=1", "--arg", "x=zeros:f64:3"], "error: [k] buffer x is of float32 and does not take a tensor of float64: tensors are not converted"),
        (["--arg", "=1"], "error: --arg =1: write name=value"),
        (["--arg", "a=1", "--arg", "x=random:99999999999999"], "error: [empty] cannot allocate 799999999999992 bytes"),
        (["--arg", "a=1", "--arg", "x=none.npy"], "error: --arg x=none.npy: No such file or directory"),
        (["--arg", "a=1", "--arg", "x=zeros:3", "--backend", "gpu"], 'error: [k] there is no backend "gpu" here'),
        (["--arg", "a=1", "--arg", "x=zeros:3", "--block", "2000"], "error: [k] block (2000, 1, 1): extents"),
        (["--arg", "a=1", "--arg", "x=zeros:3", "--lanes", "1x1x1x1"], "argument --lanes: 1x1x1x1 is not one to three extents, as in 64x64"),
    ],
)  # fmt: skip
def test_wrong_calls(arguments: list[str], message: str, good: Path) -> None:
    done = call("run", good, "--lanes", "3", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and "Traceback" not in done.stderr


def test_files_that_are_no_programs(tmp_path: Path) -> None:
    for content, code, message in (
        (b"", 1, ":1:1: error: expected .kernel and a name, found the end of the text\n\n^"),
        (b".kernel k\n\xff\xfe", 2, ": error: not a text in UTF-8: byte 0xff at offset 10"),
        (b"\x00\x01", 1, ":1:1: error: unexpected character '\\0'"),
    ):
        path = tmp_path / "some.lanes"
        path.write_bytes(content)
        for command in (["check"], ["fmt"], ["fmt", "--check"], ["run", "--lanes", "1"]):
            done = call(*command, path)
            assert (done.returncode, done.stdout) == (code, ""), command
            assert done.stderr.startswith(f"{path}{message}"), command
            assert "Traceback" not in done.stderr
    done = call("check", tmp_path)
    assert (done.returncode, done.stderr) == (2, f"{tmp_path}: error: Is a directory\n")


def test_usage() -> None:
    assert call().returncode == 2
    assert call("nothing").returncode == 2
    done = call("run", "--help")
    assert done.returncode == 0 and "random:float32:1024" in done.stdout


@pytest.mark.parametrize("dtype", ["?", "i1", "<i2", "<i4", "<i8", "u1", "<u2", "<u4", "<u8", "<f4", "<f8"])
def test_files_of_numpy(dtype: str, tmp_path: Path) -> None:
    from corepy._lanes_arguments import read_npy

    for shape in ((), (0,), (3,), (2, 3), (2, 0, 3), (4, 3, 2)):
        for order in "CF":
            a = np.asarray(np.arange(int(np.prod(shape))).reshape(shape).astype(dtype), order=order)
            np.save(tmp_path / "a.npy", a)
            t = read_npy(tmp_path / "a.npy")
            assert t.shape == shape and np.asarray(t).dtype == a.dtype
            assert np.array_equal(np.asarray(t), a)


def test_files_that_are_none(tmp_path: Path) -> None:
    from corepy._lanes_arguments import read_npy

    path = tmp_path / "a.npy"
    np.save(path, np.arange(5.0))
    whole = path.read_bytes()
    for raw in (
        b"",
        b"\x93NUMPY",
        whole[:40],
        whole[:-1],
        whole + b"x",
        whole.replace(b"<f8", b">f8"),
        whole.replace(b"<f8", b"|O8"),
        whole.replace(b"descr", b"dexcr"),
        whole.replace(b"(5,)", b"(-5,)"),
        whole.replace(b"{", b"["),
    ):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"a\.npy: "):
            read_npy(path)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"a\.npy: "):
            read_npy(path)


def test_random_arguments_of_any_size() -> None:
    """Python draws at most 2**31 bits at once."""
    from corepy._lanes_arguments import _random

    x = np.asarray(_random(cp.bool, (1 << 25) + 1, random.Random(1)))
    assert x.size == (1 << 25) + 1 and 0.49 < x.mean() < 0.51 and x[-1000:].any()
