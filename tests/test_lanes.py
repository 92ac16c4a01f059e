"""Lane programs from Python: what a program is, what launches take, and what they do to memory."""

from __future__ import annotations

import copy
import ctypes
import doctest
import gc
import inspect
import os
import pickle
import re
import subprocess
import sys
import threading
import weakref
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corepy as cp
from forged import Forged, OldProducer
from inputs import plain
from lane_backends import every_backend
from ops.lanes import TYPES

c: Any = cp

SAXPY = """
.kernel saxpy                  ; y = a*x + y
.param  a: f32
.buffer x: in    f32[:]
.buffer y: inout f32[:]

    dim.i64    n, x, 0
    setge.i64  done, %gid, n
    bra        done, end
    ldg.f32    u, x[%gid]
    ldg.f32    v, y[%gid]
    fma.f32    v, a, u, v
    stg.f32    y[%gid], v
end:
    exit
"""
FILL = ".kernel fill\n.param v: {0}\n.buffer x: out {0}[:]\n stg.{0} x[%gid], v\n exit"


def saxpy() -> cp.lanes.Program:
    return cp.lanes.parse(SAXPY)


# ---- programs


def test_what_a_program_says_of_itself() -> None:
    p = saxpy()
    assert type(p) is cp.lanes.Program
    assert (p.name, len(p)) == ("saxpy", 8)
    assert p.text.startswith(".kernel saxpy\n.param a: f32\n.buffer x: in f32[:]\n")
    # Of the text by the Python package blake3.
    assert p.digest == "cedb8f983fdd91054a0ec26b4c063a7e5dcf0ee0db89926ae54866b63d83a618"
    assert repr(p) == "<lane program saxpy(a: f32, x: in f32[:], y: inout f32[:]), 8 instructions>"
    assert repr(p[2, 3]) == "<saxpy over (2, 3, 1) lanes>"
    a, x, y = p.arguments
    assert (a.name, a.kind, a.dtype, a.ndim) == ("a", "param", cp.float32, 0)
    assert (x.name, x.kind, x.dtype, x.ndim) == ("x", "in", cp.float32, 1)
    assert (y.name, y.kind, repr(y)) == ("y", "inout", "<argument y: inout f32[:]>")
    for name in ("name", "arguments", "text", "digest"):
        with pytest.raises(AttributeError):
            setattr(p, name, 1)
    with pytest.raises(TypeError):
        type(p)()
    # What `p[lanes]` gives are no elements, of which there would be no end.
    for walk in (iter, list, lambda p: 3 in p, reversed):
        with pytest.raises(TypeError):
            walk(c.lanes.parse(SAXPY))
    assert weakref.ref(p)() is p


def test_programs_are_their_canonical_text() -> None:
    p, same = saxpy(), cp.lanes.parse(SAXPY.replace("%gid", "%gid.x").replace("    ", "\t"))
    other = cp.lanes.parse(SAXPY.replace("a, u, v", "u, a, v"))
    assert p == same and hash(p) == hash(same) and p.digest == same.digest
    assert p != other and p.digest != other.digest
    assert p != p.text and (p == 3) is False
    assert {p: 1}[same] == 1
    assert cp.lanes.parse(p.text) == p
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(p, protocol))
        assert again == p and again.text == p.text
    assert copy.copy(p) == copy.deepcopy(p) == p


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "saxpy.lanes"
    path.write_bytes(SAXPY.replace("\n", "\r\n").encode())
    for spelled in (path, str(path), os.fsencode(path)):
        assert cp.lanes.load(spelled) == saxpy()
    path.write_text(".kernel k\n  7")
    with pytest.raises(cp.lanes.ParseError) as caught:
        cp.lanes.load(path)
    assert (caught.value.filename, caught.value.lineno, caught.value.offset) == (str(path), 2, 3)
    with pytest.raises(FileNotFoundError):
        cp.lanes.load(tmp_path / "none")
    path.write_bytes(b".kernel \xff")
    with pytest.raises(UnicodeDecodeError):
        cp.lanes.load(path)
    for wrong in (3, None, 1.5):
        with pytest.raises(TypeError):
            c.lanes.load(wrong)


def test_backends() -> None:
    found = cp.lanes.backends()
    assert [b.name for b in found] == ["reference", "tile", "llvm", "cuda"]
    assert all(b.available for b in found[:2])
    for b in found:
        assert b.available == (not b.reason)
        assert b.description and b.name in repr(b)
    with pytest.raises(AttributeError):
        c.lanes.backends()[0].name = "x"


@pytest.mark.parametrize("name", [n for n in cp.lanes.__all__ if not n.endswith(("Error", "Fault"))])
def test_docstring_examples_run(name: str) -> None:
    thing = getattr(cp.lanes, name)
    tests = doctest.DocTestFinder(recurse=True).find(thing, name, globs={})
    assert any(t.examples for t in tests) or name in ("Launcher",), f"{name} has no example"
    report: list[str] = []
    for test in tests:
        assert doctest.DocTestRunner(verbose=False).run(test, out=report.append).failed == 0, "".join(report)


def test_the_page_runs() -> None:
    flags = doctest.IGNORE_EXCEPTION_DETAIL
    page = Path(__file__).resolve().parent.parent / "docs/lanes.md"
    found = doctest.testfile(str(page), module_relative=False, optionflags=flags)
    assert found.failed == 0 and found.attempted >= 6


def test_every_member_is_documented() -> None:
    assert sorted(cp.lanes.__all__, key=str) == sorted(cp.lanes.__all__)
    for name in cp.lanes.__all__:
        thing = getattr(cp.lanes, name)
        assert inspect.getdoc(thing) or name == "Launcher", name
        for member, value in vars(thing).items() if isinstance(thing, type) else ():
            if callable(value) and not member.startswith("_"):
                assert value.__doc__, (name, member)
                inspect.signature(value)


def test_the_import_stays_light() -> None:
    code = "import sys, corepy; assert not {'typing', 'dataclasses', 'numpy', 'argparse'} & sys.modules.keys() - before"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; before = set(sys.modules); {code}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# ---- what launches take


@every_backend
def test_memory_of_all_kinds_is_written_in_place(backend: str) -> None:
    x = cp.asarray([1.0, 2.0, 3.0], dtype=cp.float32)
    expected = [12.0, 14.0, 16.0]
    numpy = np.full(3, 10, np.float32)
    own = cp.full(3, 10, dtype=cp.float32)
    places: list[tuple[Any, Any]] = [
        (own, own),
        (numpy, numpy),
        (floats := array("f", [10, 10, 10]), floats),
        (raw := bytearray(array("f", [10, 10, 10]).tobytes()), memoryview(raw).cast("f")),
        (threes := (ctypes.c_float * 3)(10, 10, 10), threes),
    ]
    for given, seen in places:
        y = memoryview(raw).cast("f") if given is raw else given
        saxpy().launch(2, x, y, lanes=3, backend=backend)
        assert list(np.asarray(seen)) == expected, type(given)
    wide = np.full((3, 2), 10, np.float32)
    saxpy()[3](2.0, x, wide[::-1, 1], backend=backend)
    assert wide.tolist() == [[10, 16], [10, 14], [10, 12]]
    transposed = cp.full((2, 3), 10, dtype=cp.float32)
    saxpy()[3](2.0, x, transposed[0], backend=backend)
    assert transposed.tolist() == [expected, [10] * 3]


def test_dlpack_is_written_in_place_where_it_may_be() -> None:
    class Exporter:
        """Numbers that can be had by DLPack alone."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __dlpack__(self, **options: Any) -> Any:
            return self.inner.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.inner.__dlpack_device__()

    x = cp.asarray([1.0, 2.0], dtype=cp.float32)
    y = np.ones(2, np.float32)
    saxpy()[2](1, Exporter(x), Exporter(y))
    assert y.tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match=r"\[saxpy\] y is an inout buffer, and the tensor is read-only"):
        saxpy()[2](1, x, OldProducer(Forged(bits=32, shape=[2], versioned=False).capsule))


@every_backend
@pytest.mark.parametrize(("name", "dtype"), [t for t in TYPES if t[0] not in ("f16", "bf16")])
def test_params_of_every_type(name: str, dtype: str, backend: str) -> None:
    p = cp.lanes.parse(FILL.format(name))

    def stored(value: Any) -> Any:
        out = cp.zeros(1, dtype=dtype)
        p.launch(value, out, lanes=1, backend=backend)
        return out.item()

    if name == "b1":
        assert stored(True) is True and stored(np.bool_(False)) is False
        for wrong in (1, 1.0, np.int8(1), 2**70):
            with pytest.raises(TypeError, match=r"^\[fill\] param v of b1 does not take a number of \w+$"):
                stored(wrong)
        return
    for wrong in (True, np.bool_(True), 1j, np.complex64(1)):
        with pytest.raises(TypeError, match=rf"^\[fill\] param v of {name} does not take a number of \w+$"):
            stored(wrong)
    if name[0] == "f":
        kind = np.dtype(dtype).type
        for value in (
            1,
            -2,
            0.1,
            1e300,
            -0.0,
            float("inf"),
            2**24 + 1,
            2**53 + 1,
            2**64 - 1,
            2**63 + 1025,
            np.float16(0.1),
            np.int8(-3),
        ):
            with np.errstate(over="ignore"):
                assert stored(value) == kind(value), value
        assert np.isnan(stored(float("nan")))
        # Rounded once, whatever its size: 2**127 + 2**103 is halfway between two float32.
        for value, nearest in (
            (2**100 + 1, 2.0**100), (2**127 + 2**103, 2.0**127), (2**127 + 2**103 + 1, 2.0**127 + 2.0**104), (2**128 - 2**103 - 1, 2.0**128 - 2.0**104),
            (2**128 - 2**103, np.inf), (10**400, np.inf), (-(10**400), -np.inf), (-(2**127) - 2**103 - 1, -(2.0**127) - 2.0**104),
        ):  # fmt: skip
            assert stored(value) == (
                nearest if name == "f32" else kind(value) if abs(value) < 2**1000 else nearest
            ), value
        return
    limits = np.iinfo(dtype)
    for value in (
        0,
        1,
        int(limits.min),
        int(limits.max),
        float(limits.max // 2),
        np.int16(7),
        np.float32(3),
        5.0,
    ):
        assert stored(value) == value
    for wrong in (
        int(limits.min) - 1,
        int(limits.max) + 1,
        0.5,
        2**100,
        -(2**200),
        float("inf"),
        float("nan"),
        1e30,
        2.0**127,
    ):
        with pytest.raises(ValueError, match=rf"^\[fill\] \S+ does not fit param v of {name}$"):
            stored(wrong)


def test_lanes_and_blocks() -> None:
    p = cp.lanes.parse(
        ".kernel where\n.buffer x: out i64[:, :, :]\n mul.i64 v, %lane.y, 10\n add.i64 v, v, %lane.x\n mul.i64 w, %block.z, 100\n add.i64 v, v, w\n stg.i64 x[%gid.z, %gid.y, %gid.x], v\n exit"
    )
    z, y, x = np.indices((3, 4, 5))
    expected = x % 4 + 10 * (y % 2) + 100 * (z // 2)
    for lanes in ((5, 4, 3), [5, 4, 3], (np.int64(5), np.int8(4), 3)):
        out = cp.zeros((3, 4, 5), dtype=cp.int64)
        c.lanes.Program.launch(p, out, lanes=lanes, block=(4, 2, 2))
        assert np.array_equal(np.asarray(out), expected)
        p[tuple(lanes)](out[::1], block=(4, 2, 2))
    out = cp.zeros((1, 1, 3), dtype=cp.int64)
    p.launch(out, lanes=3, block=2)
    p.launch(out, lanes=(3,), block=(2,))
    p.launch(out, lanes=(3, 1), block=(2, 1))
    p[3](out, block=2)
    assert out.tolist() == [[[0, 1, 0]]]
    p.launch(cp.zeros((0, 1, 1), dtype=cp.int64), lanes=0)
    p.launch(cp.zeros((0, 1, 1), dtype=cp.int64), lanes=(2**62, 0, 2**62))


def test_defaults_are_as_documented() -> None:
    signature = inspect.signature(cp.lanes.Program.launch)
    assert (
        str(signature)
        == "(self, /, *args, lanes, block=256, backend='auto', check_races=False, step_limit=None)"
    )
    p = cp.lanes.parse(".kernel k\n.buffer x: out i64[:]\n stg.i64 x[%gid], %lanes\n exit")
    x = cp.zeros(2, dtype=cp.int64)
    p[2](x)
    assert x.tolist() == [256, 256]
    p[2](x, block=256, backend="auto", check_races=False, step_limit=None)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"lanes": None}, TypeError, "[saxpy] a launch needs lanes: write p[lanes](a, x, y), or p.launch(a, x, y, lanes=lanes)"),
        ({"lanes": 1.0}, TypeError, "[launch] lanes takes an integer or a tuple of integers, not float"),
        ({"lanes": True}, TypeError, "[launch] lanes takes an integer or a tuple of integers, not True"),
        ({"lanes": (4, True)}, TypeError, "[launch] lanes takes integers, not True"),
        ({"lanes": 1, "block": False}, TypeError, "[launch] block takes an integer or a tuple of integers, not False"),
        ({"lanes": 1, "block": [True]}, TypeError, "[launch] block takes integers, not True"),
        ({"lanes": 1, "step_limit": True}, TypeError, "[launch] step_limit takes an integer or None, not True"),
        ({"lanes": "3"}, TypeError, "[launch] lanes takes an integer or a tuple of integers, not str"),
        ({"lanes": (1, "3")}, TypeError, "[launch] lanes takes integers, not str"),
        ({"lanes": 2**63}, ValueError, "[launch] lanes is 9223372036854775808, which does not fit 64 bits"),
        ({"lanes": 1, "block": {}}, TypeError, "[launch] block takes an integer or a tuple of integers, not dict"),
        ({"lanes": 1, "check_races": 1}, TypeError, "[launch] check_races takes a bool, not int"),
        ({"lanes": 1, "step_limit": 1.5}, TypeError, "[launch] step_limit takes an integer or None, not float"),
        ({"lanes": 1, "step_limit": 2**64}, ValueError, "[launch] step_limit is 18446744073709551616, which does not fit 64 bits"),
        ({"lanes": 1, "backend": b"tile"}, TypeError, "[launch] backend takes a string, not bytes"),
        ({}, TypeError, "[saxpy] a launch needs lanes: write p[lanes](a, x, y), or p.launch(a, x, y, lanes=lanes)"),
        ({"lanes": 1, "blocks": 1}, TypeError, "[saxpy] a launch takes no blocks by name: write p[lanes](a, x, y); by name go lanes, block, backend, check_races, step_limit"),
    ],
)  # fmt: skip
def test_wrong_options(options: Any, kind: type[Exception], text: str) -> None:
    x = cp.zeros(1, dtype=cp.float32)
    with pytest.raises(kind) as caught:
        saxpy().launch(1, x, cp.zeros(1, dtype=cp.float32), **options)
    assert str(caught.value) == text


def test_names_of_arguments_are_read_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    class Name(str):
        def __str__(self) -> str:
            raise RuntimeError("not to be called")

    text = "[saxpy] a launch takes no x by name: write p[lanes](a, x, y); by name go block, backend"
    with pytest.raises(TypeError, match=re.escape(text)):
        saxpy()[1](**{Name("x"): 1})
    assert capfd.readouterr().err == ""


def test_a_refused_launch_writes_nothing() -> None:
    x = cp.zeros(4, dtype=cp.float32)
    for args in ((1, x, x), (1, x), (None, x, x), (1, x, [1, 2]), (1, x[:2], cp.zeros(4))):
        with pytest.raises((TypeError, ValueError)):
            saxpy().launch(*args, lanes=4)
    assert x.tolist() == [0, 0, 0, 0]


def test_objects_are_let_go() -> None:
    """A launch keeps nothing of what it was given, whether it succeeds or not."""
    held = np.ones(3, np.float32)
    count = sys.getrefcount(held)
    raw = bytearray(12)
    for y in (memoryview(raw).cast("f"), held):
        saxpy()[3](1, np.ones(3, np.float32), y)
        with pytest.raises(TypeError):
            saxpy()[3](y, held, y)
        with pytest.raises(ValueError, match="share memory"):
            saxpy()[3](1, held, held)
        with pytest.raises(cp.lanes.LaneFault):
            cp.lanes.parse(".kernel k\n.buffer x: out f32[:]\n stg.f32 x[9], 1\n exit")[3](y)
    del y
    gc.collect()
    raw.append(1)  # no export is left
    assert sys.getrefcount(held) == count


class Launches:
    """An exporter that launches a program while its buffer is asked for."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __dlpack_device__(self) -> Any:
        saxpy()[3](1, np.ones(3, np.float32), np.ones(3, np.float32))
        return self.inner.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        with pytest.raises(TypeError):
            saxpy()[3](1, None, self.inner)
        return self.inner.__dlpack__(**options)


def test_launches_within_the_reading_of_arguments() -> None:
    y = np.ones(3, np.float32)
    saxpy()[3](1, np.ones(3, np.float32), Launches(y))
    assert y.tolist() == [2.0] * 3


# ---- what launches do


@every_backend
def test_against_numpy_over_sizes_layouts_and_blocks(backend: str) -> None:
    p = saxpy()
    for n in (0, 1, 2, 3, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025, 2500):
        for block in (1, 7, 64, 256, 1024):
            x, y = plain("float32", n, 1), plain("float32", n, 2)
            expected = (x.astype(np.float64) * 1.5 + y.astype(np.float64)).astype(
                np.float32
            )  # exact, then rounded
            wide = np.zeros((n, 3), np.float32)
            wide[:, 1] = y
            for out, view in ((y, y), (wide, wide[:, 1])):
                p.launch(1.5, x[::-1].copy()[::-1], view, lanes=n, block=block, backend=backend)
                assert np.array_equal(view, expected), (n, block)
                assert out is y or not wide[:, [0, 2]].any()


@every_backend
def test_faults_have_fields_and_pickle(backend: str) -> None:
    p = cp.lanes.parse(
        "\n\n.kernel k\n.buffer x: out f32[:, :]\n mul.i64 i, %gid.x, 2\n\n stg.f32 x[%gid.y, i], 1\n exit"
    )
    with pytest.raises(cp.lanes.LaneFault) as caught:
        p.launch(cp.zeros((4, 9), dtype=cp.float32), lanes=(7, 4), block=(4, 2), backend=backend)
    e = caught.value
    assert isinstance(e, RuntimeError) and not isinstance(e, cp.lanes.RaceError)
    assert (e.kernel, e.line, e.instruction) == ("k", 7, "stg.f32 x[%gid.y, i], 1.0")
    assert (e.lane, e.block) == ((5, 0, 0), (1, 0, 0))
    assert (e.buffer, e.index, e.shape) == ("x", (0, 10), (4, 9))
    assert str(e) == (
        "[k] line 7: stg.f32 x[%gid.y, i], 1.0: lane (5, 0, 0) of block (1, 0, 0): index (0, 10) is out of bounds for x with shape (4, 9)"
    )
    again = pickle.loads(pickle.dumps(e))
    assert (type(again), str(again), vars(again)) == (type(e), str(e), vars(e))
    with pytest.raises(cp.lanes.LaneFault) as caught:
        cp.lanes.parse('.kernel k\n assert false, "no"\n exit').launch(lanes=1, backend=backend)
    assert (caught.value.buffer, caught.value.index, caught.value.shape) == (None, None, None)


def test_errors_pickle_and_can_be_made() -> None:
    with pytest.raises(cp.lanes.ParseError) as syntax:
        cp.lanes.parse(".kernel k\n  add.f32 a,,b")
    e: Any = pickle.loads(pickle.dumps(syntax.value))
    assert (e.filename, e.lineno, e.offset, e.text) == ("<lanes>", 2, 13, "  add.f32 a,,b")
    with pytest.raises(cp.lanes.VerifyError) as rule:
        cp.lanes.parse(".kernel k\n  add.f32 a, b")
    e = pickle.loads(pickle.dumps(rule.value))
    assert (e.kernel, e.line, e.instruction, e.rule) == ("k", 2, "add.f32 a, b", "operand-count")
    assert issubclass(cp.lanes.ParseError, SyntaxError) and issubclass(cp.lanes.VerifyError, ValueError)
    assert issubclass(cp.lanes.RaceError, cp.lanes.LaneFault)
    for kind in (cp.lanes.ParseError, cp.lanes.VerifyError, cp.lanes.LaneFault, cp.lanes.RaceError):
        assert kind("text").args == ("text",)
    assert cp.lanes.RaceError("text").lanes == ((0, 0, 0), (0, 0, 0))


@every_backend
def test_no_byte_outside_of_a_buffer_changes(backend: str) -> None:
    """Canaries on both sides, for indices in and out of bounds."""
    p = cp.lanes.parse(".kernel k\n.param at: i64\n.buffer x: out f32[:, :]\n stg.f32 x[at, at], 5\n exit")
    for at in (-(2**63), -3, -1, 0, 2, 3, 4, 2**31, 2**62, 2**63 - 1):
        memory = np.full((12, 10), 7, np.float32)
        inner = memory[4:8, 3:6]
        if 0 <= at < 3:
            p.launch(at, inner, lanes=1, backend=backend)
            assert memory[4 + at, 3 + at] == 5
        else:
            with pytest.raises(cp.lanes.LaneFault) as caught:
                p.launch(at, inner, lanes=1, backend=backend)
            assert (caught.value.index, caught.value.shape) == ((at, at), (4, 3))
            assert (memory == 7).all()
        assert (memory != 7).sum() == (0 <= at < 3)


@every_backend
def test_threads_launch_one_program(backend: str) -> None:
    p, failures = saxpy(), []

    def work(seed: int) -> None:
        x, y = plain("float32", 700, seed), plain("float32", 700, seed + 50)
        expected = (x.astype(np.float64) * 0.5 + y.astype(np.float64)).astype(np.float32)
        for _ in range(20):
            out = y.copy()
            p.launch(0.5, x, out, lanes=700, backend=backend)
            if not np.array_equal(out, expected):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures


def test_launches_after_a_fork() -> None:
    code = """
import os, numpy as np, corepy as cp
p = cp.lanes.parse(".kernel k\\n.buffer x: inout f32[:]\\n ldg.f32 v, x[%gid]\\n add.f32 v, v, 1\\n stg.f32 x[%gid], v\\n exit")
x = np.zeros(100_000, np.float32)
p[len(x)](x)
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        p[len(x)](x)
        os._exit(0 if (x == 2).all() else 3)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
p[len(x)](x)
assert codes == [0, 0, 0] and (x == 2).all(), codes
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
