"""Memory: statistics, limits, allocators, refused requests, and that long runs stay flat."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

import corepy as cp
from benchmarks.memory import costs, cycle, fork_and_work, resident
from corepy.memory import ArenaStats, MemoryStats

LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")


def child(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def test_memory_stats_follow_tensors() -> None:
    cp.trim_memory()
    before = cp.memory_stats()
    a = cp.empty(10_000_000, dtype=cp.uint8)
    during = cp.memory_stats()
    assert 10_000_000 <= during.in_use - before.in_use <= 1.25 * 10_000_000 + 64
    assert during.mappings == before.mappings + 1
    assert during.peak >= during.in_use
    del a
    after = cp.memory_stats()
    assert after.in_use == before.in_use
    assert after.cached - before.cached == during.in_use - before.in_use
    b = cp.empty(9_999_000, dtype=cp.uint8)
    assert cp.memory_stats().faults_saved > after.faults_saved
    del b
    assert cp.trim_memory() >= 10_000_000
    assert cp.memory_stats().cached <= before.cached
    assert cp.memory_stats()._fields == ("in_use", "cached", "peak", "limit", "mappings", "faults_saved")
    assert all(type(value) is int for value in cp.memory_stats())
    assert isinstance(cp.memory_stats(), MemoryStats)


def test_arena_stats_are_zero_between_operations() -> None:
    a = cp.reshape(cp.arange(600_000, dtype=cp.float32), (600, 1000))
    for work in (
        lambda: cp.sum(a[:, ::2], axis=1),
        lambda: cp.var(a.T, axis=0),
        lambda: a @ a.T,
        lambda: a.T + 1,
        lambda: cp.take(a, cp.asarray([5, 3]), axis=1),
        lambda: a[a > 5],
    ):
        work()
        stats = cp.arena_stats()
        assert stats.used == 0
        assert stats.peak > 0
        assert stats.capacity > 0
    assert cp.arena_stats()._fields == ("used", "capacity", "peak", "overflows")
    assert isinstance(cp.arena_stats(), ArenaStats)


def test_arena_overflows_are_counted() -> None:
    code = """
import corepy as cp
a = cp.reshape(cp.arange(600_000, dtype=cp.float32), (600, 1000))
assert cp.sum(a.T, axis=0).tolist() == cp.sum(a, axis=1).tolist()
assert (a @ a.T).shape == (600, 600)
stats = cp.arena_stats()
print(stats.used, stats.overflows > 0, stats.capacity % 4096, stats.capacity // 4096 <= cp.get_num_threads())
"""
    done = child(code, COREPY_ARENA_SIZE="4K")
    assert done.stdout.split() == ["0", "True", "0", "True"], done.stderr


@pytest.mark.parametrize(
    ("name", "value", "valid"),
    [
        (
            "COREPY_POOL_LIMIT",
            value,
            "a number of bytes, with K, M or G after it if need be (0 keeps nothing)",
        )
        for value in ("lots", "-1", "1.5G", "0x10", "99999999999999999999")
    ]
    + [
        ("COREPY_ARENA_SIZE", value, "a number of bytes from 4K to 1G, with K, M or G after it if need be")
        for value in ("0", "4095", "2G", "1T", "x")
    ],
)
def test_bad_settings_fail_the_import(name: str, value: str, valid: str) -> None:
    done = child("import corepy", **{name: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f'ValueError: {name}="{value}" is not valid: {valid}'


@pytest.mark.parametrize("text", ["0", "3M", "1g", "65536"])
def test_the_pool_keeps_to_its_limit(text: str) -> None:
    units = {"M": 2**20, "G": 2**30}
    limit = int(text.rstrip("Mg")) * units.get(text[-1].upper(), 1)
    code = """
import corepy as cp
for n in [10, 1000, 100_000, 700_000, 5_000_000] * 5:
    cp.ones(n)
print(*cp.memory_stats())
"""
    done = child(code, COREPY_POOL_LIMIT=text)
    _in_use, cached, _peak, shown, _mappings, _saved = map(int, done.stdout.split())
    assert shown == limit
    assert cached <= limit


def test_allocators_can_be_chosen_at_any_time() -> None:
    assert cp.get_allocator() == "pool"
    a = cp.arange(100_000)
    try:
        cp.set_allocator("system")
        assert cp.get_allocator() == "system"
        before = cp.memory_stats()
        b = a * 2
        small = cp.asarray([1, 2, 3])
        # A header in the pool, the elements elsewhere.
        assert cp.memory_stats().in_use - before.in_use <= 1024
        assert cp.sum(b).item() == 2 * cp.sum(a).item()
        assert memoryview(small).tolist() == [1, 2, 3]
        with pytest.raises(MemoryError, match=r"^\[empty\] cannot allocate 800000000000000 bytes"):
            cp.empty((10**7, 10**7))
        del a
        cp.set_allocator("pool")
        c = b + 1
        del b, small
        assert c[-1].item() == 199_999
    finally:
        cp.set_allocator("pool")
    assert cp.set_allocator.__doc__


@pytest.mark.parametrize("name", ["cuda", "", "Pool", "\ud800"])
def test_unknown_allocators_are_refused(name: str) -> None:
    with pytest.raises(ValueError) as caught:
        cp.set_allocator(name)
    if name.isascii():
        assert str(caught.value) == f"[set_allocator] allocator \"{name}\" is not one of: 'pool', 'system'"
    assert cp.get_allocator() == "pool"


def test_allocators_are_named_by_text() -> None:
    with pytest.raises(TypeError, match=r"^\[set_allocator\] name"):
        cp.set_allocator(3)  # type: ignore[arg-type]


ABSURD = [
    ((10**7, 10**7), "float64", 8 * 10**14),
    ((2**58,), "float64", 2**61),
    ((2**62,), "uint8", 2**62),
    ((3, 2**50), "complex128", 3 * 2**54),
]


@pytest.mark.parametrize(("shape", "dtype", "size"), ABSURD)
def test_absurd_requests_are_refused_at_once(shape: tuple[int, ...], dtype: str, size: int) -> None:
    start = time.monotonic()
    shown = re.escape(str(shape))
    for op in ("empty", "zeros", "ones"):
        with pytest.raises(MemoryError) as caught:
            getattr(cp, op)(shape, dtype=dtype)
        assert str(caught.value).endswith(f"] cannot allocate {size} bytes for shape {shape} of {dtype}")
    stretched = cp.broadcast_to(cp.zeros(1, dtype=dtype), shape)
    with pytest.raises(MemoryError, match=rf"^\[negative\] .* {shown} of " if dtype != "uint8" else shown):
        cp.negative(stretched)
    with pytest.raises(MemoryError, match=rf"^\[copy\] .* {shown} of "):
        stretched.copy()
    with pytest.raises((MemoryError, ValueError), match=r"^\[concat\] "):
        cp.concat([stretched, stretched])
    # Generous: another process may have the processor.
    assert time.monotonic() - start < 5
    assert (cp.ones(3) + 1).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("shape", [(2**40, 2**40), (2**63 - 1, 2), (2**60,), (0, 2**62, 2**62)])
def test_sizes_beyond_64_bits_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        cp.empty(shape)
    assert str(caught.value) == f"[empty] shape {shape} of float64 needs more than 2**63 - 1 bytes"


def test_more_than_the_machine_has_is_refused() -> None:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    swap = re.search(r"SwapFree: +(\d+)", meminfo.read_text()) if meminfo.exists() else None
    bytes_ = pages * size + (int(swap[1]) * 1024 if swap else 0) + 2**20
    text = rf"\[empty\] cannot allocate {bytes_} bytes for shape \({bytes_},\) of uint8"
    with pytest.raises(MemoryError, match=text):
        cp.empty(bytes_, dtype=cp.uint8)


# Each operation works on more and more, until memory is exhausted; then a little of it works again.
EXHAUST = """
import resource, sys
import corepy as cp

spare = int(sys.argv[1])
row = [1.5] * 1000
cp.arena_stats()  # imports what it needs
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + spare, used + spare))

def matrix(n):
    return cp.broadcast_to(cp.ones((1, 1000)), (n // 1000 + 1, 1000))

OPERATIONS = {
    "elementwise": lambda n: matrix(n) + 1.0,
    "conversion": lambda n: cp.astype(matrix(n), cp.complex128),
    "copy": lambda n: matrix(n).T.copy(),
    "reduction": lambda n: cp.sum(cp.broadcast_to(cp.ones(1), (n, 3)), axis=1),
    "reduction of rows": lambda n: cp.var(cp.broadcast_to(cp.ones(1), (3, n)), axis=0),
    "matmul": lambda n: cp.broadcast_to(cp.ones(1), (n, 2)) @ cp.ones((2, 3)),
    "batch": lambda n: cp.broadcast_to(cp.ones(1), (n, 2, 2)) @ cp.ones((2, 2)),
    "concat": lambda n: cp.concat([matrix(n // 8)] * 8),
    "gather": lambda n: cp.take(cp.ones(9), cp.broadcast_to(cp.asarray([8]), (n,))),
    "mask": lambda n: matrix(n)[cp.broadcast_to(cp.asarray([True]), (n // 1000 + 1, 1000))],
    "assignment": lambda n: cp.ones(3).__setitem__(cp.broadcast_to(cp.asarray([0]), (n,)), 1.0),
    "creation": lambda n: cp.arange(n),
    "asarray of a list": lambda n: cp.asarray([row] * (n // 1000)),
    "asarray of a list of tensors": lambda n: cp.asarray([cp.ones(1000)] * (n // 1000)),
    "tolist": lambda n: cp.broadcast_to(cp.ones(1), (n,)).tolist(),
    "small tensors": lambda n: [cp.ones(100) for _ in range(n // 100)],
}

refused = 0
for name, operation in OPERATIONS.items():
    held = []
    n = 1000
    while True:
        try:
            held.append(operation(n))
        except MemoryError as error:
            text = str(error)
            assert not text or (text.startswith("[") and (" bytes for shape" in text or " 1 byte for shape" in text)), text
            refused += 1
            break
        n *= 2
        assert n < 2**45, name
    held.clear()
    operation(1000)
    assert cp.arena_stats().used == 0, name
assert cp.sum(cp.ones(1000)).item() == 1000.0
print(refused, "of", len(OPERATIONS))
"""


@LINUX
@pytest.mark.parametrize("run", range(20))
def test_an_exhausted_address_space_is_an_error(run: int) -> None:
    """Every operation class under RLIMIT_AS, with another limit in each run."""
    spare = (8 << 20) + run * (3 << 20) + run * 12_345
    done = child(EXHAUST, str(spare), COREPY_NUM_THREADS=str(1 + run % 2))
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr[-2000:])
    assert done.stdout == "16 of 16\n"


@LINUX
def test_a_warm_call_takes_no_page_fault() -> None:
    a = cp.ones(1_000_000, dtype=cp.float32)

    def faults() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(20):
            a + a
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    # A worker that starts late, or the interpreter, may take some in between.
    assert min(faults() for _ in range(20)) == 0


@LINUX
def test_long_runs_stay_flat() -> None:
    """The short form of `make soak`."""
    for i in range(1000):
        cycle(i)
    before = resident()
    for i in range(3000):
        cycle(i)
    assert resident() - before < 4 << 20
    assert cp.arena_stats().used == 0


@LINUX
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forks_leave_nothing_behind() -> None:
    for i in range(10):
        fork_and_work(i)
    before = resident()
    for i in range(40):
        fork_and_work(i)
    assert resident() - before < 4 << 20


def test_callgrind_costs_are_read() -> None:
    """The reader of the benchmark: inlined files, compressed names, calls that are not self cost."""
    text = """
fl=(1) /x/memory/arena.rs
fn=(1) open
10 5
+1 7
fi=(2) /x/ops/reduce.rs
12 100
cfi=(1)
cfn=(1)
calls=1 10
* 999
fe=(1)
-2 3
"""
    assert costs(text) == (15, 115)
