"""Pickles with changed bytes, read by an unpickler that reaches corepy's reconstructor alone."""

from __future__ import annotations

import copyreg
import importlib
import io
import math
import os
import pickle
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corepy as cp
from ops.dtypes import DTYPES

# `make fuzz` asks for many more, at random.
EXAMPLES = os.environ.get("COREPY_FUZZ_EXAMPLES")
fuzzed = settings(max_examples=int(EXAMPLES or 150), derandomize=EXAMPLES is None)

# What the unpickler itself raises for bytes that are no pickle, and what is documented.
REFUSED = (
    pickle.UnpicklingError, EOFError, ImportError, struct.error, TypeError, ValueError, IndexError, KeyError,
    AttributeError, OverflowError, MemoryError, BufferError, RecursionError, NotImplementedError,
)  # fmt: skip
_rebuild: Any = importlib.import_module("corepy._native")._rebuild
ALLOWED = {("corepy", d.name) for d in DTYPES} | {("corepy._native", "_rebuild"), ("builtins", "bytearray")}


class Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


@pytest.fixture(scope="module", autouse=True)
def little_memory() -> Iterator[None]:
    """A changed length may ask for any amount of memory: 2 GiB beyond what is held are enough."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def tensors() -> list[Any]:
    out: list[Any] = [
        cp.asarray([1, 2, 3]),
        cp.asarray(2.5),
        cp.zeros((2, 0, 3)),
        cp.asarray(b"abc"),
        cp.asarray([True, False]),
    ]
    out += [cp.astype(cp.arange(6), getattr(cp, d.name)) for d in DTYPES]
    out += [cp.reshape(cp.arange(12.0), (3, 4)).mT, cp.broadcast_to(cp.asarray([1j, 2]), (3, 2))]
    return out


PAYLOADS = [pickle.dumps(t, protocol) for t in tensors() for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]


def consistent(t: cp.Tensor) -> None:
    """Everything that a tensor says of itself fits, and its elements can be read."""
    assert t.size == math.prod(t.shape)
    assert t.nbytes == t.size * t.dtype.itemsize
    assert repr(t)
    assert len(memoryview(pickle.dumps(t))) > 0
    # Without elements there can still be billions of empty lists.
    if math.prod(e for e in t.shape if e) < 10_000:
        assert len(np.ravel(np.asarray(t.tolist(), object))) == t.size


# One change: where (as a part of the payload's length), what, and the byte or bytes.
changes = st.tuples(
    st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "insert", "delete", "cut", "repeat"]), st.binary(min_size=1, max_size=8)
)  # fmt: skip


def changed(payload: bytes, change: tuple[float, str, bytes]) -> bytes:
    where, kind, new = change
    at = int(where * len(payload))
    match kind:
        case "set":
            return payload[:at] + new + payload[at + len(new) :]
        case "insert":
            return payload[:at] + new + payload[at:]
        case "delete":
            return payload[:at] + payload[at + len(new) :]
        case "cut":
            return payload[:at]
    return payload[:at] + payload[at : at + len(new)] * 2 + payload[at + len(new) :]


@fuzzed
@given(st.sampled_from(PAYLOADS), st.lists(changes, min_size=1, max_size=4))
def test_changed_pickles(payload: bytes, several: list[tuple[float, str, bytes]]) -> None:
    for change in several:
        payload = changed(payload, change)
    try:
        t = Restricted(io.BytesIO(payload)).load()
    except REFUSED:
        return
    if isinstance(t, cp.Tensor):
        consistent(t)


@pytest.mark.parametrize("number", range(0, len(PAYLOADS), 7))
def test_every_byte_changed(number: int) -> None:
    """Each byte of some payloads in turn, to eight other values."""
    payload = PAYLOADS[number]
    for at in range(len(payload)):
        for bit in range(8):
            other = payload[:at] + bytes([payload[at] ^ 1 << bit]) + payload[at + 1 :]
            try:
                t = Restricted(io.BytesIO(other)).load()
            except REFUSED:
                continue
            if isinstance(t, cp.Tensor):
                consistent(t)


extents = st.one_of(st.integers(-1, 9), st.sampled_from([2**31, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63)]))


@fuzzed
@given(
    raw=st.binary(max_size=80),
    writable=st.booleans(),
    dtype=st.sampled_from([d.name for d in DTYPES]),
    shape=st.lists(extents, max_size=4) | st.just([1] * 64) | st.just([1] * 65),
    given_as=st.sampled_from(["tuple", "list", "one"]),
    offset=st.integers(0, 7),
)
def test_the_reconstructor(
    raw: bytes, writable: bool, dtype: str, shape: list[int], given_as: str, offset: int
) -> None:
    memory = memoryview(bytearray(raw) if writable else raw)[offset:]
    kinds: dict[str, Any] = {
        "tuple": tuple(shape),
        "list": shape,
        "one": shape[0] if len(shape) == 1 else tuple(shape),
    }
    own = getattr(cp, dtype)
    good = (
        all(0 <= e < 2**63 for e in shape)
        and len(shape) <= 64
        and math.prod(shape) * own.itemsize == len(memory)
    )
    # Extents that only a 0 among them makes fit are refused as everywhere.
    good = good and math.prod(e for e in shape if e) * own.itemsize < 2**63
    try:
        t = _rebuild(memory, own, kinds[given_as])
    except (ValueError, BufferError) as refused:
        assert not good, refused  # noqa: PT017 (most are refused, not all)
        return
    assert good
    assert t.shape == tuple(shape)
    assert t.dtype is own
    assert bytes(np.asarray(cp.reshape(t, -1)).tobytes() if dtype != "bfloat16" else memory) == bytes(memory)
    consistent(t)


@pytest.mark.parametrize("arguments", [
    (), (b"",), (b"", cp.int8), (3, cp.int8, (1,)), (b"a", "int9", (1,)), (b"a", None, (1,)), (b"a", cp.int8, None), (b"a", cp.int8, "1"),
    (b"a", cp.int8, (1.0,)), (b"a", cp.int8, ((1,),)), (b"a", cp.int8, (None,)), (b"a", cp.int8, (1,), 4), (memoryview(bytes(9))[::2], cp.int8, (5,)),
    (cp.asarray([1]), cp.int8, (7,)), (np.zeros((2, 2)).T[:1], cp.float64, (2,)), (cp.zeros(2, dtype=cp.bfloat16), cp.int8, (5,)),
])  # fmt: skip
def test_the_reconstructor_refuses(arguments: tuple[Any, ...]) -> None:
    with pytest.raises((TypeError, ValueError, BufferError)):
        _rebuild(*arguments)


def test_what_a_pickle_names() -> None:
    """A pickle reaches the reconstructor and the dtypes, and nothing else of corepy."""
    for t in tensors():
        function, arguments = t.__reduce_ex__(5)
        assert function is _rebuild
        assert Restricted(io.BytesIO(pickle.dumps(t))).load().tolist() == t.tolist()
        assert isinstance(arguments[0], pickle.PickleBuffer)
    assert cp.Tensor not in copyreg.dispatch_table
