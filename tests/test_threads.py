"""Threads: their number, who holds the GIL, panics, the floating-point state, threadpoolctl, affinity."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import mmap
import os
import platform
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

import corepy as cp
from corepy import _native

T = TypeVar("T")


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own; one that hangs fails."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("COREPY_NUM")} | environment
    code = textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)


def output(script: str, **environment: str) -> str:
    done = python(script, **environment)
    assert done.returncode == 0 and done.stderr == "", (done.returncode, done.stderr)
    return done.stdout.strip()


# ---- settings

NUMBER = "import corepy as cp; print(cp.get_num_threads())"


def test_the_environment_sets_the_number() -> None:
    assert output(NUMBER, COREPY_NUM_THREADS="3") == "3"
    assert output(NUMBER, COREPY_NUM_THREADS=" 1024 ") == "1024"


@pytest.mark.parametrize(
    "name", ["COREPY_NUM_THREADS", "COREPY_SIMD", "COREPY_POOL_LIMIT", "COREPY_ARENA_SIZE"]
)
def test_an_empty_setting_is_none(name: str) -> None:
    for empty in ("", "  "):
        assert output(NUMBER, **{name: empty}) == output(NUMBER)


@pytest.mark.parametrize("value", ["0", "-1", "1025", "two", "1.5", "99999999999999999999"])
def test_a_bad_number_is_an_error_that_lists_the_valid_ones(value: str) -> None:
    done = python(NUMBER, COREPY_NUM_THREADS=value)
    expected = f'ValueError: COREPY_NUM_THREADS="{value}" is not valid: a whole number from 1 to 1024'
    assert done.stderr.strip().splitlines()[-1] == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs an affinity mask")
def test_affinity_bounds_the_number() -> None:
    script = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {NUMBER}"
    assert output(script) == "1"
    assert 1 <= int(output(NUMBER)) <= len(os.sched_getaffinity(0))


def test_set_num_threads_holds_for_all_threads() -> None:
    before = cp.get_num_threads()
    try:
        cp.set_num_threads(5)
        assert in_thread(cp.get_num_threads) == 5
        for wrong in (0, -1, 1025, 2**62):
            with pytest.raises(ValueError, match=f"1 to 1024, not {wrong}"):
                cp.set_num_threads(wrong)
        assert cp.get_num_threads() == 5
    finally:
        cp.set_num_threads(before)


def in_thread(f: Callable[[], T]) -> T:
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(f()))
    thread.start()
    thread.join()
    return results[0]


# ---- with cp.threads(n)


def test_threads_nest_and_hold_for_the_calling_thread() -> None:
    outside = cp.get_num_threads()
    with cp.threads(7) as seven:
        assert cp.get_num_threads() == 7
        assert in_thread(cp.get_num_threads) == outside

        def fail() -> None:
            with cp.threads(2):
                assert cp.get_num_threads() == 2
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert cp.get_num_threads() == 7
        with seven, cp.threads(3), seven:
            assert cp.get_num_threads() == 7
        assert cp.get_num_threads() == 7
    assert cp.get_num_threads() == outside
    for wrong in (0, -1, 1025):
        with pytest.raises(ValueError, match="the number of threads is 1 to 1024"):
            cp.threads(wrong)


def test_one_object_serves_several_threads_at_once() -> None:
    shared = cp.threads(5)
    together = threading.Barrier(8)
    wrong: list[tuple[int, int]] = []

    def work(own: int) -> None:
        with cp.threads(own):
            for _ in range(50):
                together.wait()
                with shared:
                    together.wait()
                    if cp.get_num_threads() != 5:
                        wrong.append((own, cp.get_num_threads()))
                if cp.get_num_threads() != own:
                    wrong.append((own, cp.get_num_threads()))

    workers = [threading.Thread(target=work, args=(10 + i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_a_block_is_left_by_the_thread_that_entered_it() -> None:
    block = cp.threads(3)
    with block:

        def leave() -> str:
            with pytest.raises(ValueError, match="__exit__ without __enter__") as caught:
                block.__exit__(None, None, None)
            return str(caught.value)

        in_thread(leave)
        assert cp.get_num_threads() == 3


def test_a_generator_leaves_its_number_set_while_it_waits() -> None:
    outside = cp.get_num_threads()

    def numbers() -> Iterator[int]:
        with cp.threads(9):
            yield cp.get_num_threads()

    generator = numbers()
    assert next(generator) == 9
    assert cp.get_num_threads() == 9
    generator.close()
    assert cp.get_num_threads() == outside

    async def task() -> int:
        with cp.threads(4):
            return cp.get_num_threads()

    assert asyncio.run(task()) == 4
    assert cp.get_num_threads() == outside


def test_generators_may_end_in_any_order() -> None:
    outside = cp.get_num_threads()

    def numbers(n: int) -> Iterator[None]:
        with cp.threads(n):
            yield

    for order in itertools.permutations(range(3)):
        open_ones = [numbers(11 + i) for i in range(3)]
        for generator in open_ones:
            next(generator)
        left = [11, 12, 13]
        for i in order:
            open_ones[i].close()
            left.remove(11 + i)
            assert cp.get_num_threads() == (left[-1] if left else outside), order


# ---- several Python threads


def test_two_python_threads_compute_at_once() -> None:
    # A sum that would take a minute lets other threads run, and one of them sums too.
    script = """
        import os, threading
        import corepy as cp
        long = cp.broadcast_to(cp.ones(1), (2**40,))
        begun = threading.Barrier(3)
        def work():
            begun.wait()
            cp.sum(long)
            print("ended")
        for _ in range(2):
            threading.Thread(target=work, daemon=True).start()
        begun.wait()
        # Both are inside and neither ends; this thread goes on.
        for _ in range(100):
            assert cp.sum(cp.ones(2**20)).item() == 2**20
        print("both")
        os._exit(0) if print(end="", flush=True) is None else None
    """
    assert output(script) == "both"


def test_eight_threads_get_the_bits_of_one() -> None:
    n = 300_007
    x = cp.astype(cp.arange(n), cp.float32) * 0.1
    m = cp.reshape(x[:90_000], (300, 300))

    def digest() -> list[object]:
        return [
            cp.sum(x).item(),
            cp.var(x).item(),
            cp.sum(cp.sqrt(x) * 3 + x).item(),
            cp.sum(m @ m.mT, axis=0).tolist(),
            cp.max(x[::-3]).item(),
        ]

    with cp.threads(1):
        expected = digest()
    results: list[list[object]] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        results.extend(digest() for _ in range(20))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 160
    assert all(result == expected for result in results)


# ---- panics


@pytest.mark.parametrize("on_worker", [False, True])
def test_a_panic_is_an_exception_with_its_place_and_the_pool_survives(on_worker: bool) -> None:
    with cp.threads(3):
        for _ in range(20):
            with pytest.raises(cp.InternalError) as caught:
                _native._panic(on_worker)
            message = str(caught.value)
            assert message.startswith(
                "[runtime] a panic that was asked for (rust/corepy-python/src/enter.rs:"
            )
            assert cp.sum(cp.ones(2**21)).item() == 2**21


def test_a_panic_prints_nothing() -> None:
    script = """
        import corepy as cp
        from corepy import _native
        for on_worker in (False, True):
            with cp.threads(2):
                try:
                    _native._panic(on_worker)
                except cp.InternalError:
                    print("caught")
    """
    assert output(script) == "caught\ncaught"


# ---- floating-point state


class Mxcsr:
    """Reads and writes the control register of x86 by machine code in a page of its own."""

    def __init__(self) -> None:
        self.page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        # stmxcsr [rdi]; ret, and at 16: ldmxcsr [rdi]; ret
        self.page.write(b"\x0f\xae\x1f\xc3".ljust(16, b"\x90") + b"\x0f\xae\x17\xc3")
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.page))
        kind = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint32))
        self.store, self.load = kind(start), kind(start + 16)

    @property
    def value(self) -> int:
        word = ctypes.c_uint32()
        self.store(ctypes.byref(word))
        return word.value

    @value.setter
    def value(self, new: int) -> None:
        self.load(ctypes.byref(ctypes.c_uint32(new)))


FTZ, DAZ, UP, DOWN, ZERO = 1 << 15, 1 << 6, 2 << 13, 1 << 13, 3 << 13
FLAGS = 0x3F


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the register of x86")
@pytest.mark.parametrize("state", [FTZ | DAZ, UP, DOWN, ZERO, FTZ | DAZ | UP])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_callers_floating_point_state_changes_no_bit(state: int, threads: int) -> None:
    register = Mxcsr()
    small = cp.full(400_003, 1e-310)
    x = cp.linspace(0.1, 1.7, 300_000)
    x32 = cp.astype(x, cp.float32)
    m = cp.reshape(x32[:40_000], (200, 200))
    values = [1e-310, 0.1, 1.7] * 30_000

    def digest() -> list[bytes]:
        results = [
            small * 0.5, small + small, cp.sum(small), x / 3.0, cp.sum(x), cp.var(x32), cp.mean(x32), cp.sqrt(x32),
            m @ m, x32 @ x32, cp.astype(x, cp.float32), cp.asarray(values) * 3.0, cp.linspace(0.0, 0.7, 1001),
            small[:7] * 0.5, x[:5] / 3.0, cp.asarray([0.1, 1e-310], dtype=cp.float32), cp.full(3, 0.1, dtype=cp.float32),
            x[:3] * 1e-310, x32[:3] * 0.1, cp.full(2, 0.1, dtype=cp.float16), cp.asarray([2**53 + 1, 0.5, 2**63 - 1]),
            cp.asarray([[2**53 + 1], [0.5], [2**60 + 1]]), cp.asarray([2**53 + 1, 2**53 + 3], dtype=cp.float64),
            cp.asarray([2**62 + 1]) + 0.5, cp.prod(x[:100]), x[:9] ** 0.5,
        ]  # fmt: skip
        return [bytes(memoryview(r).cast("B")) if r.ndim else bytes(cp.reshape(r, (1,))) for r in results]

    original = register.value
    with cp.threads(threads):
        expected = digest()
        register.value = (original & ~FLAGS) | state
        try:
            # The state is on: Python's own arithmetic shows it.
            tiny, third = 1e-310, 1.0
            shows = (
                (tiny * 1.0 == 0.0)
                if state & FTZ
                else ((third / 3.0 * 3.0 - 1.0) != 0.0 or third / 3.0 != 1 / 3)
            )
            found = digest()
            after = register.value
        finally:
            register.value = original
    assert shows or state in (DOWN, ZERO)
    assert found == expected
    assert after & ~FLAGS == (original & ~FLAGS) | state


# ---- threadpoolctl


def test_importing_corepy_does_not_import_threadpoolctl() -> None:
    assert (
        output(
            "import sys, corepy; print('threadpoolctl' in sys.modules, 'corepy._threadpoolctl' in sys.modules)"
        )
        == "False False"
    )


@pytest.mark.parametrize(
    "imports", ["import corepy as cp, threadpoolctl", "import threadpoolctl, corepy as cp"]
)
def test_threadpoolctl_sees_and_limits_the_threads(imports: str) -> None:
    pytest.importorskip("threadpoolctl")
    script = f"""
        {imports}
        import threading
        cp.set_num_threads(6)
        own = lambda: [lib for lib in threadpoolctl.threadpool_info() if lib["internal_api"] == "corepy"]
        (found,) = own()
        assert found["user_api"] == "corepy" and found["num_threads"] == 6, found
        assert found["version"] == cp.__version__ and "_native" in found["filepath"], found
        with threadpoolctl.threadpool_limits(2, user_api="corepy"):
            assert cp.get_num_threads() == 2 and own()[0]["num_threads"] == 2
            numbers = []
            thread = threading.Thread(target=lambda: numbers.append(cp.get_num_threads()))
            thread.start(); thread.join()
            assert numbers == [6], "limits hold for the calling thread"
        assert cp.get_num_threads() == 6
        # The limit has left nothing behind.
        cp.set_num_threads(4)
        assert cp.get_num_threads() == 4
        with threadpoolctl.threadpool_limits(1):
            assert cp.get_num_threads() == 1
        print(threadpoolctl.__spec__.loader is threadpoolctl.__loader__, cp.get_num_threads())
    """
    assert output(script) == "True 4"


def test_without_threadpoolctl_its_import_fails_as_ever() -> None:
    script = """
        import sys, corepy
        class Hide:
            def find_spec(self, name, path=None, target=None):
                if name == "threadpoolctl":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(1, Hide())
        for _ in range(2):
            try:
                import threadpoolctl
            except ModuleNotFoundError as error:
                print(error.name)
    """
    assert output(script) == "threadpoolctl\nthreadpoolctl"
