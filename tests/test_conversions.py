"""Tensors as Python numbers and lists, membership, weak references."""

from __future__ import annotations

import gc
import operator
import pickle
import signal
import weakref
from typing import Any

import numpy as np
import pytest

import corepy as cp
from ops.dtypes import DTYPES


def test_conversions_of_one_element() -> None:
    for t in (cp.asarray(3), cp.asarray([3]), cp.asarray([[3]], dtype=cp.uint8)):
        assert (bool(t), int(t), float(t), complex(t)) == (True, 3, 3.0, 3 + 0j)
        assert t.item() == 3
    assert range(10)[cp.asarray(3)] == 3
    assert int(cp.asarray(-2.7)) == -2
    assert int(cp.asarray(2**64 - 1, dtype=cp.uint64)) == 2**64 - 1
    assert float(cp.asarray(1.5, dtype=cp.float16)) == 1.5
    assert complex(cp.asarray(1 - 2j)) == 1 - 2j
    assert type(cp.asarray(True).item()) is bool
    assert type(cp.asarray(1.5, dtype=cp.bfloat16).item()) is float
    assert not bool(cp.asarray(-0.0))
    assert bool(cp.asarray(float("nan")))
    assert bool(cp.asarray(1e-300j))


def test_conversions_that_are_refused() -> None:
    for t in (cp.zeros(2), cp.zeros(0), cp.zeros((2, 2), dtype=cp.int8)):
        shape = str(t.shape).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(
            ValueError,
            match=rf"^\[bool\] needs a tensor with one element, not shape {shape}: use any\(\) or all\(\)$",
        ):
            bool(t)
        for op, call in (("int", int), ("float", float), ("complex", complex), ("item", cp.Tensor.item)):
            with pytest.raises(
                ValueError, match=rf"^\[{op}\] needs a tensor with one element, not shape {shape}$"
            ):
                call(t)
        with pytest.raises(TypeError, match=r"^\[index\] an index needs one integer"):
            range(3)[t]
    for t in (cp.asarray(1.0), cp.asarray(True), cp.asarray(1j)):
        with pytest.raises(
            TypeError, match=r"^\[index\] an index needs one integer without axes, not shape \(\) of "
        ):
            range(3)[t]
    with pytest.raises(TypeError, match=r"^\[float\] complex128 does not convert to float"):
        float(cp.asarray(1j))
    with pytest.raises(TypeError):
        int(cp.asarray(1j))
    with pytest.raises(ValueError, match="NaN"):
        int(cp.asarray(float("nan")))
    with pytest.raises(OverflowError):
        int(cp.asarray(float("inf")))


@pytest.mark.parametrize("d", DTYPES, ids=lambda d: d.name)
def test_tolist_gives_python_scalars(d: Any) -> None:
    t = cp.asarray([[0, 1], [1, 0], [1, 1]], dtype=getattr(cp, d.name))
    kind = {"b": bool, "i": int, "u": int, "f": float, "c": complex}[d.kind]
    rows = t.tolist()
    assert all(type(x) is kind for row in rows for x in row)
    assert rows == [[0, 1], [1, 0], [1, 1]]
    assert t[:, ::-1].T.tolist() == [[1, 0, 1], [0, 1, 1]]
    assert t[0, 1].tolist() == 1
    assert cp.zeros((2, 0), dtype=t.dtype).tolist() == [[], []]
    assert cp.zeros((0, 2), dtype=t.dtype).tolist() == []


def test_tolist_is_exact_at_the_limits() -> None:
    for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        info = np.iinfo(dtype)
        limits = [int(info.min), int(info.max)]
        assert cp.asarray(np.array(limits, dtype)).tolist() == limits
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    assert repr(cp.asarray(halves).tolist()) == repr(halves.tolist())


def test_long_lists_are_made_in_pieces() -> None:
    a = np.arange((1 << 20) * 2 + 5, dtype=np.int32)
    assert cp.asarray(a).tolist() == a.tolist()
    assert cp.asarray(a)[::-2].tolist() == a[::-2].tolist()
    assert gc.is_tracked(cp.asarray(a).tolist())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers are for POSIX")
def test_long_lists_are_not_seen_before_they_are_complete() -> None:
    t = cp.zeros(3_000_000) + 0.5
    seen, stop = [], False

    def look(*_: object) -> None:
        # An empty place of a list would be a null pointer here.
        seen.append(
            sum(len(o) for o in gc.get_objects() if type(o) is list and len(o) == t.size and o[-1] == 0.5)
        )
        if stop:
            raise KeyError("stopped")

    def until_stopped() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        for _ in range(1000):
            t.tolist()

    before = signal.signal(signal.SIGALRM, look)
    try:
        for delay in (0.002, 0.005, 0.01, 0.02):
            signal.setitimer(signal.ITIMER_REAL, delay)
            assert t.tolist()[-1] == 0.5
        stop = True
        with pytest.raises(KeyError, match="stopped"):
            until_stopped()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers are for POSIX")
@pytest.mark.parametrize("shape", [(2_000_000, 0), (2_000_000, 0, 3), (2000, 1000, 0, 3), (2_000_000, 1)])
def test_signals_are_handled_while_lists_of_lists_are_made(shape: tuple[int, ...]) -> None:
    t = cp.zeros(shape)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    before = signal.signal(signal.SIGALRM, count)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        t.tolist()
        during = calls
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # Some may come directly before and after the call.
    assert during > 3


def test_contains() -> None:
    t = cp.asarray([[1.0, 2.0], [3.0, float("nan")]])
    assert 2 in t
    assert 2.0 in t
    assert 5 not in t
    assert float("nan") not in t
    assert None not in t
    assert "text" not in t
    assert [1.0, 2.0] in t
    assert 1 not in cp.zeros(0)
    assert 300 not in cp.asarray([1, 2], dtype=cp.int8)


def test_tensors_can_be_referred_to_weakly() -> None:
    t = cp.zeros(2)
    ref = weakref.ref(t)
    assert ref() is t
    del t
    assert ref() is None


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("read_only", [False, True])
def test_pickles_of_one_byte_hold_the_byte(
    dtype: str, shape: tuple[int, ...], protocol: int, read_only: bool
) -> None:
    # bytes() and bytearray() take an object with __index__ for a length.
    for value in (0, 1, 77):
        t = cp.asarray(np.full(shape, value, dtype))
        t = cp.broadcast_to(t, shape) if read_only else t
        back = pickle.loads(pickle.dumps(t, protocol=protocol))
        assert (back.shape, back.dtype, back.tolist()) == (t.shape, t.dtype, t.tolist())


def test_bytes_of_a_tensor_are_its_elements() -> None:
    assert bytes(cp.asarray([5], dtype=cp.uint8)) == b"\x05"
    assert bytearray(cp.asarray([[5]], dtype=cp.int8)) == b"\x05"
    with pytest.raises(
        TypeError, match=r"^\[index\] an index needs one integer without axes, not shape \(1,\) of int64$"
    ):
        operator.index(cp.asarray([1]))


def test_integers_beyond_128_bits_are_floats_or_out_of_range() -> None:
    huge = 2**1000
    assert (cp.asarray([1.0]) + huge).tolist() == [float(huge)]
    assert cp.full(1, -huge, dtype=cp.float64).tolist() == [-float(huge)]
    for n in (2**100, huge, 10**5000):
        for t in (cp.asarray([1]), cp.asarray([2**64 - 1], dtype=cp.uint64)):
            assert (t < n).item() and (t != n).item() and (n > t).item() and (t > -n).item()
            assert not (t >= n).item() and not (t == n).item() and not (-n > t).item()
    for n in (huge, 10**5000, -(10**5000)):
        with pytest.raises(OverflowError, match=r"^\[add\] an integer beyond 128 bits does not fit int64$"):
            cp.asarray([1]) + n
    with pytest.raises(OverflowError, match=r"^\[add\] an integer beyond 128 bits does not fit float32$"):
        cp.zeros(1, dtype=cp.float32) + 10**5000
    with pytest.raises(OverflowError, match=r"^\[add\] 1267650600228229401496703205376 does not fit int8$"):
        cp.zeros(1, dtype=cp.int8) + 2**100


def test_pow_takes_no_modulus() -> None:
    with pytest.raises(
        TypeError, match=r"^\[pow\] a modulus is not supported: take the remainder of the power$"
    ):
        pow(cp.asarray([2]), 2, 3)  # type: ignore[arg-type]
    assert pow(cp.asarray([2]), 2, None).tolist() == [4]
