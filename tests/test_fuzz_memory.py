"""Memory that others describe, drawn at random: buffers, arrays of NumPy and DLPack structs.

Either the description is refused by a documented exception, or the tensor has NumPy's elements.
"""

from __future__ import annotations

import ctypes
import math
import os
import struct
from collections.abc import Sequence
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import corepy as cp
from forged import Exporter, Forged
from ops.dtypes import DTYPES

# `make fuzz` asks for many more, at random.
EXAMPLES = os.environ.get("COREPY_FUZZ_EXAMPLES")
fuzzed = settings(max_examples=int(EXAMPLES or 150), derandomize=EXAMPLES is None)

REFUSED = (TypeError, ValueError, BufferError)
BYTES = 64  # that a forged description lies over
WORD = (-(2**63), 2**63 - 1)

extents = st.one_of(st.integers(0, 4), st.sampled_from([-1, 8, 64, 2**31, 2**62, *WORD]))
strides = st.one_of(st.integers(-24, 24), st.sampled_from([8, 16, -8, 2**31, 2**61, *WORD]))


def reach(shape: Sequence[int], steps: Sequence[int], itemsize: int) -> tuple[int, int]:
    """The first byte that a description addresses, counted from its pointer, and the one past the last."""
    ends = [step * (extent - 1) for extent, step in zip(shape, steps, strict=True)]
    return sum(min(e, 0) for e in ends), sum(max(e, 0) for e in ends) + itemsize


def same(t: Any, expected: Any) -> None:
    assert t.shape == expected.shape
    assert np.array_equal(np.asarray(t), expected, equal_nan=expected.dtype.kind in "fc")


# ------------------------------------------------------------------------------- buffers

formats = st.one_of(
    st.tuples(st.sampled_from(["", "@", "=", "<", ">", "!", "^", "&"]), st.sampled_from([*"?bBhHiIlLqQnNefdgcsPOxuw", "Zf", "Zd", "F", "D", "2i", "T{i:a:}", ""])).map("".join),
    st.text(max_size=6),
)  # fmt: skip


GOOD = [
    (order + code, size)
    for order in ("", "<", ">", "=")
    for code, size in (
        ("?", 1),
        ("b", 1),
        ("H", 2),
        ("e", 2),
        ("i", 4),
        ("f", 4),
        ("q", 8),
        ("d", 8),
        ("Zd", 16),
    )
]


@fuzzed
@given(
    element=st.sampled_from(GOOD) | st.tuples(st.none() | formats, st.integers(-9, 33)),
    shape=st.lists(extents, max_size=3),
    steps=st.none() | st.lists(strides, min_size=3, max_size=3),
    lost=st.sampled_from([None, None, None, None, "shape", "memory", "axes", "suboffsets", "length"]),
    offset=st.integers(0, 16),
    readonly=st.booleans(),
)
def test_buffers(element: tuple[str | None, int], shape: list[int], steps: list[int] | None, lost: str | None, offset: int, readonly: bool) -> None:  # fmt: skip
    format, itemsize = element
    ndim = len(shape)
    steps = None if steps is None else steps[:ndim]
    size = math.prod(shape)
    fields: dict[str, Any] = {"itemsize": itemsize, "readonly": int(readonly), "ndim": ndim}
    # A C string ends at the first NUL.
    fields["format"] = None if format is None else format.encode(errors="surrogatepass").split(b"\0")[0]
    contiguous = [itemsize * math.prod(shape[i + 1 :]) for i in range(ndim)]
    low, high = reach(shape, steps or contiguous, itemsize)
    fits = min(shape, default=0) < 0 or size == 0 or (offset + low >= 0 and offset + high <= BYTES)
    true_length = size * itemsize
    fields["len"] = true_length if abs(true_length) < 2**63 else 8
    match lost:
        case "shape" if ndim:
            fields["shape"] = None
            assume(ndim > 1 or (steps is None and offset + true_length <= BYTES and true_length >= 0))
        case "memory":
            fields["buf"] = 0
        case "axes":
            fields["ndim"] = -1 if readonly else 65
        case "suboffsets":
            pass
        case "length":
            fields["len"] = fields["len"] + 1
    # A lie about memory that is mapped nowhere near cannot be found out by anyone.
    addresses_end = 2**57
    assume(fits or lost in ("memory", "axes", "length") or abs(low) > addresses_end or high > addresses_end)
    given_shape = fields.pop("shape", shape)
    exporter = Exporter(given_shape, steps, (0,) * max(1, ndim) if lost == "suboffsets" else None, **fields)
    if "buf" not in fields:
        exporter.view.buf += offset
    try:
        try:
            t: Any = cp.asarray(exporter.object)
        except REFUSED as refused:
            assert "[asarray] " in str(refused)  # noqa: PT017 (most descriptions are refused, not all)
            return
        assert (
            lost not in ("axes", "length")
            and (lost != "suboffsets" or ndim == 0)
            and (lost != "memory" or not size)
        )
        dtype = np.dtype(t.dtype.name)
        if 0 < t.size < 10_000:
            # NumPy over the same bytes; the byte order is the format's.
            wide = dtype.newbyteorder(">") if format and format[0] in ">!" else dtype
            first = (ctypes.c_uint8 * BYTES).from_buffer(exporter.memory)
            flat = np.frombuffer(first, np.uint8)
            expected = np.ndarray(t.shape, wide, flat, offset, steps if given_shape is not None else None)
            same(t, expected.astype(dtype))
            assert dtype.itemsize == itemsize
            assert np.dtype(struct_format(fields["format"])) == wide
        del t
    finally:
        exporter.close()


def struct_format(format: bytes | None) -> str:
    """A format of the struct module as NumPy's type string."""
    text = "B" if format is None else format.decode()
    order, code = (text[0], text[1:]) if text[0] in "@=<>!^" else ("@", text)
    order = ">" if order == "!" else order
    if code in ("Zf", "Zd", "F", "D"):
        return (
            order.replace("@", "=").replace("^", "=")
            + {"f": "c8", "F": "c8", "d": "c16", "D": "c16"}[code[-1]]
        )
    kind = {"?": "b"}.get(code) or ("f" if code in "efd" else "i" if code.islower() else "u")
    size = struct.calcsize(("@" if order in "@^" else order) + code)
    return order.replace("@", "=").replace("^", "=") + (f"{kind}{size}" if code != "?" else "?")


@fuzzed
@given(st.data())
def test_arrays_of_numpy(data: st.DataObject) -> None:
    """Every dtype that NumPy has, nested and structured ones too, and views of them."""
    plain = st.one_of(hnp.scalar_dtypes(), hnp.array_dtypes(max_size=3), hnp.nested_dtypes(max_itemsize=64))
    a = data.draw(
        hnp.arrays(data.draw(plain), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    )
    a = a[data.draw(hnp.basic_indices(a.shape, allow_newaxis=True, allow_ellipsis=True))]
    if a.dtype.names and data.draw(st.booleans()):
        a = a[data.draw(st.sampled_from(a.dtype.names))]
    try:
        t = cp.asarray(a)
    except REFUSED:
        known = {d.name for d in DTYPES} - {"bfloat16"}
        assert a.dtype.name not in known or a.dtype.names
        return
    assert t.dtype.name == a.dtype.name
    same(t, np.asarray(a))


@fuzzed
@given(
    st.binary(max_size=48),
    st.sampled_from(
        ["c", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "n", "N", "f", "d", "?", "e", "P"]
    ),
    st.lists(st.integers(1, 4), max_size=3),
)
def test_views_of_bytes(raw: bytes, format: str, shape: list[int]) -> None:
    # Bytes that are no truth values are nobody's truth values.
    raw = bytes(b & 1 for b in raw) if format == "?" else raw
    try:
        view = memoryview(raw).cast(format, tuple(shape)) if shape else memoryview(raw).cast(format)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        assume(False)
    try:
        t = cp.asarray(view)
    except TypeError:
        assert format in "cP"
        return
    assert t.readonly
    same(t, np.asarray(view))


# ------------------------------------------------------------------------------- DLPack

CODES = {(0, 8): "i1", (0, 16): "i2", (0, 32): "i4", (0, 64): "i8", (1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (1, 64): "u8",
         (2, 16): "f2", (2, 32): "f4", (2, 64): "f8", (4, 16): "bfloat16", (5, 64): "c8", (5, 128): "c16", (6, 8): "?"}  # fmt: skip


@fuzzed
@given(
    kind=st.sampled_from(list(CODES)) | st.tuples(st.integers(0, 255), st.sampled_from([0, 1, 7, 8, 16, 32, 64, 80, 128, 255])),
    lanes=st.sampled_from([1] * 6 + [0, 2, 65535]),
    shape=st.lists(extents, max_size=3),
    steps=st.none() | st.lists(st.integers(-4, 4) | st.sampled_from([2**58, 2**62, *WORD]), min_size=3, max_size=3),
    axes=st.sampled_from([None] * 6 + [-1, -(2**31), 65, 2**31 - 1]),
    lost=st.sampled_from([None] * 4 + ["shape", "memory"]),
    device=st.sampled_from([1] * 8 + [0, 2, -1, 2**31 - 1]),
    byte_offset=st.sampled_from([0, 0, 0, 8, 16, 3, 2**63, 2**64 - 1]),
    versioned=st.booleans(),
    major=st.sampled_from([1] * 6 + [0, 2, 2**32 - 1]),
    flags=st.sampled_from([0, 1, 2, 3, 2**64 - 1]),
    deleter=st.booleans(),
)  # fmt: skip
def test_dlpack_structs(kind: tuple[int, int], lanes: int, shape: list[int], steps: list[int] | None, axes: int | None, lost: str | None, device: int, byte_offset: int, versioned: bool, major: int, flags: int, deleter: bool) -> None:  # fmt: skip
    ndim = len(shape)
    code, bits = kind
    itemsize = bits // 8
    steps = None if steps is None else steps[:ndim]
    size = math.prod(shape)
    contiguous = [math.prod(shape[i + 1 :]) for i in range(ndim)]
    low, high = reach(shape, [s * itemsize for s in steps or contiguous], itemsize)
    good = min(shape, default=0) >= 0 and kind in CODES and lanes == 1 and axes is None and device == 1
    good = good and (not versioned or major == 1) and not (lost == "shape" and ndim)
    good = good and math.prod(e for e in shape if e) * itemsize < 2**63
    inside = byte_offset + low >= 0 and byte_offset + high <= BYTES
    # As above: what lies outside can be found out only where no address can be.
    assume(
        not good
        or size == 0
        or inside
        or lost == "memory"
        or byte_offset > 2**57
        or high > 2**57
        or low < -(2**57)
    )
    fields = {"code": code, "bits": bits, "lanes": lanes, "device_type": device, "byte_offset": byte_offset}
    if versioned:
        fields |= {"major": major, "flags": flags}
    # Longer than any number of axes that is accepted.
    forged = Forged(
        [*shape, *[1] * 65],
        [*steps, *[1] * 65] if steps else None,
        versioned=versioned,
        deleter=deleter,
        **fields,
    )
    forged.managed.array.ndim = ndim if axes is None else axes
    raw = np.frombuffer(forged.memory, np.uint8)
    raw[:] = np.arange(BYTES) % 2  # good truth values too
    if lost == "shape":
        forged.managed.array.shape = None
    if lost == "memory":
        forged.managed.array.data = None
    try:
        t = forged.load()
    except REFUSED as refused:
        assert str(refused).startswith("[from_dlpack] ")  # noqa: PT017 (as above)
        aligned = byte_offset % max(1, min(itemsize, 8)) == 0
        assert not (good and inside and aligned and lost is None and size > 0 and CODES[kind] != "?")
        assert forged.deleted == int(deleter and b"used" in repr(forged.capsule).encode())
        return
    assert good
    assert forged.deleted == 0
    assert t.readonly == (bool(flags & 1) if versioned else True)
    # With strides of 0 there may be more elements than anybody can look at.
    if 0 < t.size < 10_000 and t.dtype != cp.bfloat16:
        dtype = np.dtype(CODES[kind])
        spaced = None if steps is None else [s * itemsize for s in steps]
        same(t, np.ndarray(shape, dtype, raw, byte_offset, spaced))
    del t
    assert forged.deleted == int(deleter)


@pytest.mark.parametrize("name", [b"dltensor", b"dltensor_versioned", b"used_dltensor", b"", b"other", None])
def test_capsules_of_other_names(name: bytes | None) -> None:
    """Only the two names say what lies behind the pointer."""
    forged = Forged(versioned=name == b"dltensor_versioned")
    new = ctypes.pythonapi.PyCapsule_New
    forged.capsule = new(ctypes.addressof(forged.managed), name, None)
    if name in (b"dltensor", b"dltensor_versioned"):
        assert forged.load().tolist() == list(range(8))
    else:
        with pytest.raises(BufferError, match="holds no DLPack tensor"):
            forged.load()
