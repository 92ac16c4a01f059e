"""Memory shared with other objects: buffers in and out, pickles, lifetimes."""

from __future__ import annotations

import array
import copy
import ctypes
import gc
import hashlib
import io
import mmap
import pickle
import re
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import corepy as cp
from ops.dtypes import BY_NAME, DTYPES

# ---------------------------------------------------------------------- zero-copy matrix

NATIVE = [d.name for d in DTYPES if d.format]
LAYOUTS = ("C", "F", "strided", "reversed", "broadcast")
ARRAY_CODES = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I",
    "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
CTYPES = {
    "bool": ctypes.c_bool, "int8": ctypes.c_int8, "int16": ctypes.c_int16, "int32": ctypes.c_int32,
    "int64": ctypes.c_int64, "uint8": ctypes.c_uint8, "uint16": ctypes.c_uint16,
    "uint32": ctypes.c_uint32, "uint64": ctypes.c_uint64, "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}  # fmt: skip


def numbers(dtype: str, n: int) -> np.ndarray[Any, Any]:
    """n elements of a dtype that differ where the dtype allows."""
    return (np.arange(n) % 2 == 0) if dtype == "bool" else np.arange(n).astype(dtype)


def lay_out(a: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    """24 elements in a layout, as a view of `a` where NumPy can."""
    match layout:
        case "C":
            return a.reshape(2, 3, 4)
        case "F":
            return a.reshape(4, 3, 2).T
        case "strided":
            return a.reshape(4, 6)[::2, 1::2]
        case "reversed":
            return a.reshape(4, 6)[::-1, ::-1]
        case _:
            return np.broadcast_to(a[:4], (3, 4))


def from_numpy(dtype: str, layout: str) -> Any:
    return lay_out(numbers(dtype, 24), layout)


def from_array(dtype: str, layout: str) -> Any:
    code = ARRAY_CODES.get(dtype)
    return array.array(code, numbers(dtype, 24).tolist()) if code and layout == "C" else None


def from_bytearray(dtype: str, layout: str) -> Any:
    return bytearray(range(24)) if dtype == "uint8" and layout == "C" else None


def from_mmap(dtype: str, layout: str) -> Any:
    if dtype != "uint8" or layout != "C":
        return None
    pages = mmap.mmap(-1, mmap.PAGESIZE)
    pages[:24] = bytes(range(24))
    return pages


def from_memoryview(dtype: str, layout: str) -> Any:
    fmt = BY_NAME[dtype].format
    if layout in ("broadcast", "F") or dtype in ("float16", "complex64", "complex128"):
        # Only another exporter can give a memoryview this layout or this format.
        return from_numpy(dtype, layout).data
    flat = memoryview(bytearray(numbers(dtype, 24).tobytes()))
    match layout:
        case "C":
            return flat.cast(fmt, (2, 3, 4))
        case "strided":
            return flat.cast(fmt)[1::2]
        case _:
            return flat.cast(fmt)[::-1]


def from_ctypes(dtype: str, layout: str) -> Any:
    kind = CTYPES.get(dtype)
    if kind is None or layout != "C":
        return None
    flat = (kind * 24)(*numbers(dtype, 24).tolist())
    return ctypes.cast(flat, ctypes.POINTER(kind * 4 * 3 * 2)).contents


EXPORTERS: dict[str, Callable[[str, str], Any]] = {
    "numpy": from_numpy,
    "array": from_array,
    "bytearray": from_bytearray,
    "memoryview": from_memoryview,
    "ctypes": from_ctypes,
    "mmap": from_mmap,
}
MATRIX = [
    (name, dtype, layout)
    for name, build in EXPORTERS.items()
    for dtype in NATIVE
    for layout in LAYOUTS
    if build(dtype, layout) is not None
]


def test_the_matrix_has_every_combination_that_exists() -> None:
    counts = {name: sum(m[0] == name for m in MATRIX) for name in EXPORTERS}
    assert len(NATIVE) == 14
    assert counts == {"numpy": 70, "array": 10, "bytearray": 1, "memoryview": 70, "ctypes": 11, "mmap": 1}


@pytest.mark.parametrize(("exporter", "dtype", "layout"), MATRIX)
def test_import_is_without_a_copy(exporter: str, dtype: str, layout: str) -> None:
    source = EXPORTERS[exporter](dtype, layout)
    expected = np.asarray(source)
    for t in (
        cp.asarray(source),
        cp.asarray(source, copy=False),
        cp.asarray(source, dtype=getattr(cp, dtype)),
    ):
        back = np.asarray(t)
        assert t.dtype is getattr(cp, dtype)
        assert t.shape == expected.shape
        assert t.strides == expected.strides
        assert back.__array_interface__["data"][0] == expected.__array_interface__["data"][0]
        assert t.readonly == memoryview(source).readonly
        assert back.tobytes() == expected.tobytes()
        assert t.tolist() == expected.tolist()
    if not t.readonly:
        where = (0,) * expected.ndim
        expected[where] = expected[where] == 0
        assert t.tolist() == expected.tolist()
    copied = cp.asarray(source, copy=True)
    assert not np.shares_memory(np.asarray(copied), expected)
    assert not copied.readonly
    assert copied.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", NATIVE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_export_is_without_a_copy(dtype: str, layout: str) -> None:
    source = from_numpy(dtype, layout)
    t = cp.asarray(source)
    view = memoryview(t)
    assert view.shape == t.shape
    assert view.strides == t.strides
    assert view.format == BY_NAME[dtype].format
    assert view.itemsize == t.itemsize
    assert view.nbytes == t.nbytes
    assert view.readonly == t.readonly
    assert view.obj is t
    assert np.shares_memory(np.asarray(t), source)
    assert np.asarray(t).dtype == source.dtype
    assert np.asarray(view).tobytes() == source.tobytes()


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1, 1)])
def test_small_and_empty_buffers_go_both_ways(shape: tuple[int, ...]) -> None:
    source = np.full(shape, 2.5)
    t = cp.asarray(source)
    assert t.shape == shape
    assert np.asarray(t).shape == shape
    assert memoryview(t).tolist() == source.tolist()
    assert cp.asarray(memoryview(t)).tolist() == source.tolist()


@pytest.mark.parametrize("dtype", NATIVE)
def test_other_byte_order_is_copied(dtype: str) -> None:
    source = numbers(dtype, 24).reshape(2, 3, 4).astype(np.dtype(dtype).newbyteorder(">"))[::-1, :, ::2]
    t = cp.asarray(source)
    assert t.tolist() == source.tolist()
    assert not t.readonly
    if source.itemsize > 1:
        assert not np.shares_memory(np.asarray(t), source)
        with pytest.raises(
            ValueError, match=r"^\[asarray\] copy=False, but data in the other byte order needs a copy$"
        ):
            cp.asarray(source, copy=False)
    else:
        assert np.shares_memory(np.asarray(t), source)


@pytest.mark.parametrize("dtype", ["int16", "int64", "float16", "float64", "complex64", "complex128"])
def test_unaligned_data_are_copied(dtype: str) -> None:
    raw = bytearray(1 + 5 * np.dtype(dtype).itemsize)
    source = np.frombuffer(raw, dtype=dtype, offset=1)
    source[...] = np.arange(5)
    assert not source.flags.aligned
    t = cp.asarray(source)
    assert t.tolist() == source.tolist()
    assert not np.shares_memory(np.asarray(t), source)
    with pytest.raises(ValueError, match=r"^\[asarray\] copy=False, but unaligned data needs a copy$"):
        cp.asarray(source, copy=False)
    assert cp.asarray(source, copy=True, dtype=cp.complex128).tolist() == source.astype(complex).tolist()


def test_overlapping_windows_are_read() -> None:
    a = np.arange(10.0)
    windows = np.lib.stride_tricks.sliding_window_view(a, 4)
    t = cp.asarray(windows)
    assert t.strides == (8, 8)
    assert t.readonly
    assert t.tolist() == windows.tolist()


def test_bytes_are_read_only_uint8() -> None:
    t = cp.asarray(b"abc")
    assert t.dtype is cp.uint8
    assert t.tolist() == [97, 98, 99]
    assert t.readonly
    with pytest.raises(ValueError, match=r"^\[.*\] the tensor is read-only: its memory belongs to bytes$"):
        t += 1
    with pytest.raises(ValueError, match="its memory belongs to bytes"):
        t[0] = 1
    assert t.copy().readonly is False


def test_a_read_only_array_stays_so() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    t = cp.asarray(a)
    with pytest.raises(ValueError, match=r"read-only: its memory belongs to numpy\.ndarray$"):
        t[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        t[1:][0] = 1.0
    assert np.asarray(t).flags.writeable is False


def test_numpy_scalars_are_values() -> None:
    for scalar in (
        np.float32(1.5),
        np.int8(-3),
        np.bool_(True),
        np.float16(2),
        np.complex64(1j),
        np.float64(2),
    ):
        t = cp.asarray(scalar)
        assert t.shape == ()
        assert t.dtype is getattr(cp, scalar.dtype.name)
        assert t.item() == scalar.item()
        assert not t.readonly


@given(hnp.arrays(np.int32, hnp.array_shapes(max_dims=5, max_side=6)), st.data())
def test_any_view_goes_both_ways(a: Any, data: st.DataObject) -> None:
    view = a[data.draw(hnp.basic_indices(a.shape, allow_ellipsis=True, allow_newaxis=True))]
    view = np.asarray(view).transpose(data.draw(st.permutations(range(np.ndim(view)))))
    t = cp.asarray(view)
    assert t.shape == view.shape
    assert t.tolist() == view.tolist()
    back = np.asarray(t)
    assert back.tolist() == view.tolist()
    assert not view.size or np.shares_memory(back, view)
    assert np.from_dlpack(t).tolist() == view.tolist()
    assert cp.asarray(memoryview(t)).tolist() == view.tolist()


def test_buffers_behind_pointers_are_refused() -> None:
    testing = pytest.importorskip("_testbuffer")
    flags = testing.ND_PIL
    indirect = testing.ndarray([1, 2, 3, 4], shape=[2, 2], format="i", flags=flags)
    with pytest.raises(BufferError):
        cp.asarray(indirect)
    direct = testing.ndarray([1, 2, 3, 4], shape=[2, 2], format="i")
    assert cp.asarray(direct).tolist() == [[1, 2], [3, 4]]
    assert cp.asarray(testing.ndarray([1, 2, 3], shape=[3], strides=[-4], offset=8, format="i")).tolist() == [
        3,
        2,
        1,
    ]
    many = testing.ndarray([1], shape=[1] * 64, format="q")
    assert cp.asarray(many).shape == (1,) * 64
    with pytest.raises(TypeError, match='holds elements \\(format "2i"\\), which is no dtype'):
        cp.asarray(testing.ndarray([(1, 2)], shape=[1], format="2i"))


# ------------------------------------------------------------------------------- formats


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: (ctypes.c_long * 2)(1, -2), [1, -2]),
        (lambda: (ctypes.c_ulong * 2)(1, 2), [1, 2]),
        (lambda: array.array("l", [1, -2]), [1, -2]),
        (lambda: array.array("L", [1, 2]), [1, 2]),
        (lambda: memoryview(bytes(8)).cast("n"), [0]),
        (lambda: memoryview(bytes(8)).cast("N"), [0]),
        (lambda: memoryview(bytes(8)).cast("@q"), [0]),
        (lambda: (ctypes.c_int32.__ctype_be__ * 2)(1, -2), [1, -2]),
        (lambda: (ctypes.c_double.__ctype_be__ * 2)(1.5, -2.5), [1.5, -2.5]),
        (lambda: np.array([1, 2], np.longlong), [1, 2]),
    ],
)
def test_formats_of_native_and_fixed_sizes(make: Callable[[], Any], expected: list[Any]) -> None:
    assert cp.asarray(make()).tolist() == expected


class Pair(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_double))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: array.array("u", "ab"), "array.array holds text (format 'w'), which is no dtype"),
        (
            lambda: (ctypes.c_char * 3)(),
            "holds characters (format '<c'), not numbers: convert it with bytes() first",
        ),
        (lambda: (Pair * 2)(), "which is no dtype"),
        (lambda: (ctypes.c_longdouble * 2)(), "which is no dtype"),
        (lambda: (ctypes.c_void_p * 2)(), "which is no dtype"),
        (lambda: np.zeros(2, [("x", "i4")]), "which is no dtype"),
        (lambda: np.array(["a"]), "which is no dtype"),
        (lambda: np.array([None]), "which is no dtype"),
        (lambda: np.datetime64("2020-01-01"), "numpy.datetime64 holds no numbers"),
    ],
)
def test_formats_that_are_no_dtype(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        cp.asarray(make())
    text = str(caught.value).replace('"', "'")
    assert text.startswith("[asarray] ")
    assert message.replace("'w'", "'u'") in text.replace("'w'", "'u'")


def test_a_released_memoryview_raises_its_own_error() -> None:
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(ValueError, match="released"):
        cp.asarray(view)


# ------------------------------------------------------------------------ export requests


class Request(ctypes.Structure):
    """Py_buffer of the stable ABI."""

    _fields_ = (
        ("buf", ctypes.c_void_p), ("obj", ctypes.c_void_p), ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p), ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
        ("strides", ctypes.POINTER(ctypes.c_ssize_t)), ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)),
        ("internal", ctypes.c_void_p),
    )  # fmt: skip


SIMPLE, WRITABLE, FORMAT, ND, STRIDES = 0, 1, 4, 8, 0x18
C, F, ANY = 0x38, 0x58, 0x98


def request(t: Any, flags: int) -> Request:
    view = Request()
    get = ctypes.pythonapi.PyObject_GetBuffer
    get.argtypes = (ctypes.py_object, ctypes.POINTER(Request), ctypes.c_int)
    get(t, view, flags)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return view


def test_requests_get_what_they_ask_for() -> None:
    t = cp.asarray(np.arange(6.0).reshape(2, 3))
    view = request(t, SIMPLE)
    assert (view.len, view.itemsize, view.ndim, view.format) == (48, 8, 1, None)
    assert not view.shape
    assert not view.strides
    view = request(t, ND)
    assert view.ndim == 2
    assert view.shape[:2] == [2, 3]
    assert not view.strides
    view = request(t, STRIDES | FORMAT | WRITABLE)
    assert (view.readonly, view.format) == (0, b"d")
    assert view.strides[:2] == [24, 8]
    for flags in (C, ANY):
        assert request(t, flags).strides[:2] == [24, 8]
    assert request(t.T, F).strides[:2] == [8, 24]
    assert request(t.T, ANY).strides[:2] == [8, 24]


@pytest.mark.parametrize(
    ("make", "flags", "message"),
    [
        (lambda: cp.asarray(b"ab"), WRITABLE, "read-only: its memory belongs to bytes"),
        (lambda: cp.zeros((2, 3)).T, C, "C order was asked for, but the strides are (8, 24)"),
        (lambda: cp.zeros((2, 3)), F, "Fortran order was asked for"),
        (lambda: cp.zeros((4, 3))[::2], ANY, "one piece was asked for"),
        (lambda: cp.zeros(4)[::2], SIMPLE, "no strides"),
        (lambda: cp.zeros(4)[::2], ND, "no strides"),
        (lambda: cp.zeros(4, dtype=cp.bfloat16), STRIDES | FORMAT, "no format for bfloat16"),
    ],
)
def test_requests_that_cannot_be_met(make: Callable[[], Any], flags: int, message: str) -> None:
    t = make()
    before = sys.getrefcount(t)
    with pytest.raises(BufferError) as caught:
        request(t, flags)
    assert str(caught.value).startswith("[buffer] ")
    assert message in str(caught.value)
    del caught
    assert sys.getrefcount(t) == before


def test_bytes_of_any_dtype_are_written(tmp_path: Path) -> None:
    t = cp.asarray([1.0, 2.0, -3.0], dtype=cp.bfloat16)
    raw = bytes.fromhex("803f004040c0")
    path = tmp_path / "data"
    with path.open("wb") as f:
        assert f.write(t) == 6
    assert path.read_bytes() == raw
    assert hashlib.sha256(t).digest() == hashlib.sha256(raw).digest()
    into = cp.zeros(2, dtype=cp.int16)
    assert io.BytesIO(b"\x01\x00\x02\x00").readinto(into) == 4  # type: ignore[arg-type]
    assert into.tolist() == [1, 2]
    with pytest.raises(BufferError, match="bfloat16"):
        memoryview(t)


def test_numpy_gets_elements_or_an_error_and_never_an_array_of_objects() -> None:
    t = cp.asarray([1.0, 2.0], dtype=cp.bfloat16)
    for convert in (np.asarray, np.array, lambda x: np.asarray(x, dtype=np.float32), lambda x: x.__array__()):
        with pytest.raises(
            TypeError, match=r"^\[__array__\] NumPy has no bfloat16: convert with astype first$"
        ):
            convert(t)
    t = t.astype(cp.float32)
    shared = t.__array__()
    t[0] = 9
    assert shared.dtype == np.float32 and shared.tolist() == [9.0, 2.0]
    assert t.__array__(np.float64).dtype == np.float64
    copied = t.__array__(copy=True)
    t[0] = 1
    assert copied.tolist() == [9.0, 2.0]


# ------------------------------------------------------------------------------ lifetimes


class Held(np.ndarray[Any, Any]):
    """An array that can be watched."""


def watched() -> tuple[Held, Any]:
    a = np.arange(1000.0).view(Held)
    return a, weakref.ref(a)


def test_the_exporter_lives_as_long_as_any_view() -> None:
    a, alive = watched()
    t = cp.asarray(a)
    row = t[10:20]
    del a, t
    gc.collect()
    assert alive() is not None
    assert row.tolist() == list(map(float, range(10, 20)))
    del row
    gc.collect()
    assert alive() is None


def test_the_exporter_is_released_once() -> None:
    data = bytearray(16)
    before = sys.getrefcount(data)
    for _ in range(100):
        t = cp.asarray(data)
        views = [t[i:] for i in range(8)]
        with pytest.raises(BufferError):
            data.append(1)
        del t, views
    assert sys.getrefcount(data) == before
    data.append(1)


def test_refused_imports_leave_no_reference() -> None:
    a = np.zeros(3, [("x", "i4")])
    swapped = np.zeros(3, ">f8")
    before = sys.getrefcount(a), sys.getrefcount(swapped)
    for _ in range(50):
        with pytest.raises(TypeError):
            cp.asarray(a)
        with pytest.raises(ValueError):
            cp.asarray(swapped, copy=False)
    assert (sys.getrefcount(a), sys.getrefcount(swapped)) == before


def test_a_live_export_keeps_the_memory() -> None:
    t = cp.asarray([1.0, 2.0, 3.0])
    alive = weakref.ref(t)
    view = memoryview(t)
    array_ = np.asarray(t)
    del t
    gc.collect()
    assert alive() is not None
    assert view.tolist() == [1.0, 2.0, 3.0]
    del view
    array_[0] = 5.0
    assert array_.tolist() == [5.0, 2.0, 3.0]
    del array_
    gc.collect()
    assert alive() is None


def test_the_last_view_may_go_on_another_thread() -> None:
    a, alive = watched()
    box = [cp.asarray(a)]
    del a
    thread = threading.Thread(target=box.clear)
    thread.start()
    thread.join()
    gc.collect()
    assert alive() is None


def test_tensors_that_outlive_the_interpreter_do_no_harm() -> None:
    import subprocess

    code = (
        "import corepy as cp, array, sys, threading\n"
        "sys.keep = cp.asarray(array.array('d', [1, 2]))\n"
        "class Late:\n"
        "    def __init__(self, t): self.t = t\n"
        "    def __del__(self): self.t.tolist()\n"
        "late = Late(cp.asarray(bytearray(8)))\n"
        "cp.kept = cp.from_dlpack(sys.keep)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# -------------------------------------------------------------------------------- pickles


def tensors() -> Iterator[tuple[str, Any]]:
    for d in DTYPES:
        yield d.name, cp.asarray([[0, 1, 1], [1, 0, 1]], dtype=getattr(cp, d.name))
    base = cp.asarray(np.arange(24.0).reshape(4, 6))
    yield "transposed", base.T
    yield "strided", base[::2, ::-3]
    yield "broadcast", cp.broadcast_to(base[0], (3, 6))
    yield "scalar", cp.asarray(2.5)
    yield "empty", cp.zeros((3, 0, 2), dtype=cp.int16)
    yield "large", cp.asarray(np.arange(200_000, dtype=np.int32).reshape(1000, 200).T)


@pytest.mark.parametrize(("name", "t"), list(tensors()))
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_go_round(name: str, t: Any, protocol: int) -> None:
    back = pickle.loads(pickle.dumps(t, protocol))
    assert (back.shape, back.dtype) == (t.shape, t.dtype)
    assert back.tolist() == t.tolist()
    assert not back.readonly
    if back.size:
        back[...] = True


@pytest.mark.parametrize(("name", "t"), list(tensors()))
def test_pickles_out_of_band(name: str, t: Any) -> None:
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(t, 5, buffer_callback=buffers.append)
    assert len(buffers) == 1
    assert len(data) < 250
    assert buffers[0].raw().nbytes == t.nbytes
    back = pickle.loads(data, buffers=buffers)
    assert back.tolist() == t.tolist()
    assert back.dtype is t.dtype
    raw = [bytearray(b"x" + b.raw())[0:] for b in buffers]
    unaligned = [memoryview(r)[1:] for r in raw]
    assert pickle.loads(data, buffers=unaligned).tolist() == t.tolist()


def test_pickles_out_of_band_share_memory() -> None:
    t = cp.asarray([1.0, 2.0])
    buffers: list[pickle.PickleBuffer] = []
    back = pickle.loads(pickle.dumps(t, 5, buffer_callback=buffers.append), buffers=buffers)
    t[0] = 5.0
    assert back.tolist() == [5.0, 2.0]


def test_pickles_of_read_only_memory_stay_read_only() -> None:
    t = cp.asarray(b"abc")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(t, protocol))
        assert back.readonly
        assert back.tolist() == [97, 98, 99]


def test_pickles_that_lie_are_refused() -> None:
    rebuild = cp.zeros(2).__reduce_ex__(5)[0]
    assert f"{rebuild.__module__}.{rebuild.__qualname__}" == "corepy._native._rebuild"
    assert rebuild(bytes(8), cp.int32, (2,)).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"^\[pickle\] 7 bytes for shape \(2,\) of int32$"):
        rebuild(bytes(7), cp.int32, (2,))
    with pytest.raises(ValueError, match="negative extent"):
        rebuild(bytes(8), cp.int32, (-2,))
    with pytest.raises(ValueError, match=r"2\*\*63"):
        rebuild(b"", cp.int32, (1 << 40, 1 << 40))
    with pytest.raises(ValueError, match="65 axes"):
        rebuild(b"\0", cp.int8, (1,) * 65)
    with pytest.raises(TypeError, match="no buffer"):
        rebuild(3, cp.int32, (2,))
    with pytest.raises(TypeError, match="is not a dtype"):
        rebuild(bytes(8), "text", (2,))
    with pytest.raises(BufferError):
        rebuild(memoryview(bytes(8))[::2], cp.int32, (1,))


def test_copies_own_their_memory() -> None:
    t = cp.asarray(np.arange(6.0).reshape(2, 3)).T
    for other in (t.copy(), copy.copy(t), copy.deepcopy(t), copy.deepcopy([t])[0]):
        assert other.tolist() == t.tolist()
        assert not np.shares_memory(np.asarray(other), np.asarray(t))
    read_only = cp.asarray(b"ab")
    assert not copy.copy(read_only).readonly


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.array(["a"]), 'holds text (format "1w")'),
        (np.array([b"ab"]), 'holds byte strings (format "2s")'),
        (np.zeros(2, "V3"), 'holds raw bytes (format "3x")'),
        (np.zeros(2, [("x", "i4")]), 'holds records (format "T{i:x:}")'),
        (np.array([None]), 'holds Python objects (format "O")'),
        (np.zeros(2, np.longdouble), 'holds long double (format "g")'),
        (np.zeros(2, np.clongdouble), 'holds complex numbers of long double (format "Zg")'),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.dtype),
)
def test_arrays_of_no_dtype_are_named(array: Any, what: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"[asarray] numpy.ndarray {what}, which is no dtype")):
        cp.asarray(array)
    with pytest.raises(TypeError, match=re.escape(f"[add] numpy.ndarray {what}")):
        cp.add(array, 1)


@pytest.mark.parametrize("dtype", ["M8[ns]", "m8[s]"])
def test_times_are_named_by_their_dtype(dtype: str) -> None:
    array = np.zeros(2, dtype)
    text = f"[asarray] numpy.ndarray has dtype {array.dtype}, which is none of corepy's: convert it first"
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        cp.asarray(array)
    assert cp.asarray(array.view("i8")).tolist() == [0, 0]


def test_elements_are_not_deleted() -> None:
    t = cp.asarray([1, 2])
    for key in (0, slice(None), cp.asarray([True, False])):
        with pytest.raises(TypeError, match=r"^\[delitem\] elements of a tensor cannot be deleted"):
            del t[key]  # type: ignore[attr-defined]
    assert t.tolist() == [1, 2]
