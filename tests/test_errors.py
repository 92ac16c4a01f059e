"""The error catalogue: the exact message of every entry, provoked from Python, and no other text."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corepy as cp
from forged import Exporter, Forged, OldProducer, Producer
from ops.errors import ERRORS
from ops.messages import plain as fields_alone

ROOT = Path(__file__).resolve().parent.parent
BY_NAME = {e.name: e for e in ERRORS}

# Arguments of wrong types are the point here, so nothing is annotated.
c: Any = cp
I3: Any = cp.asarray([1, 2, 3])
F23: Any = cp.zeros((2, 3))
HALF: Any = cp.zeros(2, dtype=cp.float16)
FROZEN: Any = cp.asarray(bytes(2))
ODD: Any = cp.asarray(np.zeros(17, np.uint8)[1:].view("f8"))

DTYPES = "bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64, complex64, complex128"
KINDS = "bool, signed integer, unsigned integer, integral, real floating, complex floating, numeric"


_PANICS_IN = "rust/corepy-python/src/enter.rs"
_BEFORE = (ROOT / _PANICS_IN).read_text().partition("panic!(")[0]
PANICS_AT = f"{_PANICS_IN}:{_BEFORE.count(chr(10)) + 1}:{len(_BEFORE) - _BEFORE.rfind(chr(10))}"


class Refused(Exception):
    """What a process of its own has raised: the class's name and the message."""


def exporter(**fields: Any) -> None:
    """Reads a buffer made by hand."""
    described = Exporter(**fields)
    try:
        c.asarray(described.object)
    finally:
        described.close()


def in_process(code: str = "import corepy", **environment: str) -> None:
    """Runs code in a process of its own, and raises what it raises."""
    code = f"try:\n{textwrap.indent(code, ' ')}\nexcept Exception as e:\n print(type(e).__name__, e, sep='|', end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=True
    )  # fmt: skip
    raise Refused(done.stdout)


# Each with 1 GiB for all that comes of it: an iterator without end, and a text of every element.
LIMITED = """\
import itertools, resource
import corepy as cp
x = cp.zeros(1)
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
"""
ENDLESS = LIMITED + "cp.stack(itertools.repeat(x))"
PRINT_ALL = LIMITED + "cp.set_printoptions(threshold=2**63 - 1)\nrepr(cp.broadcast_to(x, (2**40,)))"


def interrupted() -> None:
    """A long sum, into which a signal comes that Python's own handler of Ctrl-C answers."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        cp.sum(cp.broadcast_to(cp.zeros(1), (2**42,)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Shrinks(list[Any]):
    """A sequence that loses an item while it is read."""

    def __len__(self) -> int:
        return 3


class Nowhere:
    def __dlpack__(self, **_options: Any) -> Any:
        raise AssertionError("not reached")

    def __dlpack_device__(self) -> Any:
        return "cpu"


PyBUF_WRITABLE, PyBUF_C_CONTIGUOUS = 0x1, 0x38


def request_buffer(t: Any, flags: int, room: bytes | None = bytes(256)) -> None:
    """Asks for a buffer as a C library does."""
    request = ctypes.pythonapi.PyObject_GetBuffer
    request.restype, request.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p, ctypes.c_int)
    request(t, room, flags)


def set_to(t: Any, key: Any, value: Any) -> None:
    t[key] = value


def add_to(t: Any, value: Any) -> None:
    t += value


def multiply_matrix(t: Any, value: Any) -> None:
    t @= value


KERNEL = c.lanes.parse(
    ".kernel k\n.param n: i8\n.buffer x: in f32[:]\n.buffer y: inout f32[:, :]\n.buffer z: out f32[:]\n exit"
)
F4: Any = cp.zeros(4, dtype=cp.float32)
F22: Any = cp.zeros((2, 2), dtype=cp.float32)


def launch(n: Any = 1, x: Any = F4, y: Any = F22, z: Any = None, **options: Any) -> None:
    z = c.zeros(4, dtype=c.float32) if z is None else z
    KERNEL.launch(n, x, y, z, **{"lanes": 1, **options})


def unwritable() -> None:
    before = os.environ.get("COREPY_TUNING")
    os.environ["COREPY_TUNING"] = "/dev/null/table"
    try:
        c.tune(seconds=0.0)
    finally:
        os.environ.pop("COREPY_TUNING")
        if before is not None:
            os.environ["COREPY_TUNING"] = before


# For each entry of the catalogue: calls, and the whole message of each.
CASES: dict[str, list[tuple[Callable[[], Any], str]]] = {
    "Broadcast": [
        (lambda: F23 + c.zeros(4), "[add] shapes (2, 3) and (4,) do not broadcast: axis 1 has 3 and 4"),
        (lambda: c.broadcast_arrays(c.zeros(2), I3), "[broadcast_arrays] shapes (2,) and (3,) do not broadcast: axis 0 has 2 and 3"),
    ],
    "BroadcastTo": [
        (lambda: c.broadcast_to(I3, (2,)), "[broadcast_to] shape (3,) does not broadcast to (2,)"),
        (lambda: set_to(I3, slice(0, 2), [1, 2, 3]), "[setitem] shape (3,) does not broadcast to (2,)"),
    ],
    "Axis": [
        (lambda: c.sum(F23, axis=2), "[sum] axis 2 is out of range for a tensor with 2 axes"),
        (lambda: c.flip(I3, axis=-2), "[flip] axis -2 is out of range for a tensor with 1 axis"),
    ],
    "AxisTwice": [(lambda: c.sum(F23, axis=(0, -2)), "[sum] axis -2 is given twice")],
    "AxesCount": [(lambda: c.permute_dims(F23, (0,)), "[permute_dims] 1 axis given for a tensor with 2")],
    "TooManyAxes": [(lambda: c.zeros((1,) * 65), "[zeros] 65 axes are more than the 64 that a tensor can have")],
    "DtypeRefused": [
        (lambda: c.bitwise_and(1.5, 2.5), "[bitwise_and] does not take float64; it takes bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64"),
        (lambda: c.iinfo(c.float32), "[iinfo] does not take float32; it takes int8, int16, int32, int64, uint8, uint16, uint32, uint64"),
    ],
    "StorageDtype": [(lambda: HALF + HALF, "[add] does not compute in float16, which is for storage: convert with astype first")],
    "NoPromotion": [(lambda: c.result_type(c.float16, c.int8), "[result_type] float16 and int8 have no common dtype")],
    "InPlaceDtype": [(lambda: add_to(c.asarray([1]), 1.5), "[add] float64 cannot be stored in int64: convert it first")],
    "ComplexToReal": [(lambda: c.astype(c.asarray(1j), c.int8), "[astype] complex128 does not convert to int8: the imaginary part would be lost")],
    "ReadOnly": [
        (lambda: set_to(FROZEN, 0, 1), "[setitem] the tensor is read-only: its memory belongs to bytes"),
        (lambda: add_to(FROZEN, 1), "[add] the tensor is read-only: its memory belongs to bytes"),
    ],
    "ZeroDivision": [(lambda: I3 // c.asarray([1, 0, 0]), "[floor_divide] integer division by zero at index 1")],
    "NegativeExponent": [(lambda: I3 ** c.asarray([1, 1, -2]), "[pow] integers to a negative power are not integers: exponent -2 at index 2")],
    "Exponent": [(lambda: c.asarray([1.0, 2.0]) ** c.asarray([2.0, 0.25]), "[pow] exponent 0.25 at index 1: only whole numbers and 0.5 are supported")],
    "TuneSeconds": [(lambda: c.tune(seconds=-1.0), "[tune] seconds is 0 to 600, not -1.0")],
    "TuningFile": [(unwritable, '[tune] "/dev/null/table" cannot be written: File exists (os error 17)')],
    "DifferenceOrder": [(lambda: c.diff(c.zeros(3), n=-1), "[diff] n is how often differences are taken, 0 or more, not -1")],
    "EmptyReduction": [(lambda: c.max(c.zeros((2, 0)), axis=1), "[max] shape (2, 0) has no elements along the reduced axes, and max has no value for none")],
    "ReshapeSize": [(lambda: c.reshape(F23, (4, 2)), "[reshape] shape (2, 3) has 6 elements and does not fit shape (4, 2)")],
    "ReshapeUnknown": [(lambda: c.reshape(F23, (-1, -1)), "[reshape] shape (-1, -1) has more than one -1")],
    "ReshapeAny": [(lambda: c.reshape(c.zeros((0, 3)), (0, -1)), "[reshape] no elements fit shape (0, -1) with any extent in place of -1")],
    "NegativeExtent": [(lambda: c.zeros((2, -3)), "[zeros] shape (2, -3) has a negative extent")],
    "NeedsCopy": [(lambda: c.asarray([1], copy=False), "[asarray] copy=False, but a list needs a copy")],
    "TooLarge": [(lambda: c.empty((2**40, 2**40)), "[empty] shape (1099511627776, 1099511627776) of float64 needs more than 2**63 - 1 bytes")],
    "OutOfMemory": [(lambda: c.empty((10**7, 10**7)), "[empty] cannot allocate 800000000000000 bytes for shape (10000000, 10000000) of float64")],
    "IndexRange": [
        (lambda: I3[3], "[getitem] index 3 is out of range for axis 0 with 3 elements"),
        (lambda: F23[:, [0, -4]], "[getitem] index -4 is out of range for axis 1 with 3 elements"),
        (lambda: c.take(I3, c.asarray([1, 2**64 - 1], dtype=c.uint64)), "[take] index 18446744073709551615 is out of range for axis 0 with 3 elements"),
    ],
    "TooManyIndices": [(lambda: I3[0, 0], "[getitem] 2 indices for a tensor with 1 axis")],
    "MaskShape": [(lambda: I3[c.asarray([True, False])], "[getitem] a mask of shape (2,) does not fit shape (3,)")],
    "SizeOne": [(lambda: I3.item(), "[item] needs a tensor with one element, not shape (3,)")],
    "MatmulShapes": [(lambda: F23 @ F23, "[matmul] shapes (2, 3) and (2, 3) do not fit: 3 columns against 2 rows")],
    "NeedsAxes": [(lambda: c.matrix_transpose(I3), "[matrix_transpose] needs at least 2 axes, not 1")],
    "ShapeMismatch": [(lambda: c.concat([F23, c.zeros((2, 4))]), "[concat] shapes (2, 3) and (2, 4) differ outside axis 0")],
    "NothingToJoin": [(lambda: c.stack([]), "[stack] needs at least one tensor")],
    "TooManyToJoin": [(lambda: in_process(ENDLESS), "[stack] no memory for more than 8388608 tensors")],
    "PrintMemory": [(lambda: in_process(PRINT_ALL), "[repr] no memory for the text of 1099511627776 elements: lower threshold or edgeitems")],
    "PrintOption": [(lambda: c.set_printoptions(precision=-1), "[set_printoptions] precision is at least 0, not -1")],
    "Allocator": [(lambda: c.set_allocator("heap"), "[set_allocator] allocator \"heap\" is not one of: 'pool', 'system'")],
    "Threads": [
        (lambda: c.set_num_threads(0), "[set_num_threads] the number of threads is 1 to 1024, not 0"),
        (lambda: c.threads(1025), "[threads] the number of threads is 1 to 1024, not 1025"),
    ],
    "Positional": [(lambda: c.zeros(2, 3), "[zeros] takes 1 positional argument, not 2: write zeros((2, 3))")],
    "UnknownKeyword": [(lambda: c.std(I3, ddof=1), "[std] has no parameter ddof: write correction=1")],
    "PositionalOnly": [(lambda: c.sqrt(x=I3), "[sqrt] takes x by its position, not by name")],
    "MissingArgument": [(lambda: c.where(True), "[where] called without x1, x2")],
    "AbsentName": [(lambda: c.array, "module 'corepy' has no attribute 'array': use asarray(data, copy=True), or asarray(data), which shares memory where it can")],
    "UnknownName": [(lambda: c.zeroes, "module 'corepy' has no attribute 'zeroes'")],
    "AbsentAttribute": [(lambda: I3.ravel, "'corepy.Tensor' object has no attribute 'ravel': use reshape(-1)")],
    "Setting": [
        (lambda: in_process(COREPY_NUM_THREADS="none"), 'COREPY_NUM_THREADS="none" is not valid: a whole number from 1 to 1024'),
    ],
    "ArgumentType": [
        (lambda: c.sum(I3, keepdims="yes"), "[sum] keepdims takes a bool, not str"),
        (lambda: c.sum(I3, axis=0.0), "[sum] axis takes integers, not float"),
        (lambda: c.astype(I3, c.int8, copy=2), "[astype] copy takes a bool, not int"),
        (lambda: c.asarray(I3, copy="no"), "[asarray] copy takes a bool or None, not str"),
        (lambda: c.var(I3, correction="1"), "[var] correction takes a number, not str"),
        (lambda: c.eye(2.0), "[eye] n_rows takes an integer, not float"),
        (lambda: c.take(F23, I3, axis="0"), "[take] axis takes an integer or None, not str"),
        (lambda: c.set_num_threads("2"), "[set_num_threads] n takes an integer, not str"),
        (lambda: c.threads(None), "[threads] n takes an integer, not NoneType"),
        (lambda: c.arange("3"), "[arange] start takes a number, not str"),
        (lambda: c.concat(3), "[concat] arrays takes a sequence of tensors, not int"),
        (lambda: c.isdtype(c.int8, 3), "[isdtype] kind takes a dtype, a string or a tuple of them, not int"),
        (lambda: I3.sum(keepdims=1), "[sum] keepdims takes a bool, not int"),
        (lambda: I3.__dlpack__(max_version="1.0"), "[__dlpack__] max_version takes a pair of integers, not '1.0'"),
        (lambda: I3.__dlpack__(dl_device=(1,)), "[__dlpack__] dl_device takes a pair of integers, not (1,)"),
        (lambda: I3.__dlpack__(copy=0), "[__dlpack__] copy takes a bool or None, not int"),
        (lambda: I3.__array__(copy=0), "[__array__] copy takes a bool or None, not int"),
        (lambda: I3.__array_namespace__(api_version=2025), "[__array_namespace__] api_version takes a string or None, not int"),
        (lambda: I3.__format__(3), "[format] spec takes a string, not int"),
        (lambda: I3.__reduce_ex__("5"), "[__reduce_ex__] protocol takes an integer, not str"),
    ],
    "IntegerTooLarge": [
        (lambda: c.zeros(2**64), "[zeros] shape is 18446744073709551616, which does not fit 64 bits"),
        (lambda: c.set_num_threads(2**70), "[set_num_threads] n is 1180591620717411303424, which does not fit 64 bits"),
        (lambda: c.eye(-(2**63) - 1), "[eye] n_rows is -9223372036854775809, which does not fit 64 bits"),
        (lambda: c.sum(I3, axis=-(2**200)), "[sum] axis is -0x1000000000000000000000000000000000000..., which does not fit 64 bits"),
    ],
    "NotDtype": [(lambda: c.zeros(2, dtype="int7"), f"[zeros] 'int7' is not a dtype; the dtypes are {DTYPES}")],
    "Device": [(lambda: c.zeros(2, device="cuda"), "[zeros] device 'cuda' is not one of: 'cpu'")],
    "Stream": [
        (lambda: I3.to_device("cpu", stream=3), "[to_device] the cpu has no streams: stream is None, not 3"),
        (lambda: I3.__dlpack__(stream=-1), "[__dlpack__] the cpu has no streams: stream is None, not -1"),
    ],
    "NoArguments": [(lambda: c.result_type(), "[result_type] takes at least one argument")],
    "DoesNotFit": [
        (lambda: c.asarray([300], dtype=c.int8), "[asarray] 300 does not fit int8"),
        (lambda: c.asarray([1], dtype=c.int8) + 128, "[add] 128 does not fit int8"),
        (lambda: c.var(I3, correction=10**400), "[var] 0x1b4ec7f91973ff3cb1ccf26fbc177c38db6e54... does not fit float64"),
    ],
    "NoIntegerDtype": [(lambda: c.asarray(2**64), "[asarray] 18446744073709551616 does not fit int64 or uint64: give a floating dtype")],
    "KindUnknown": [(lambda: c.isdtype(c.int8, "integer"), f"[isdtype] kind 'integer' is not one of {KINDS}")],
    "ApiVersion": [
        (lambda: I3.__array_namespace__(api_version="2030.01"), '[__array_namespace__] Array API version "2030.01" is not one of 2021.12, 2022.12, 2023.12, 2024.12, 2025.12'),
    ],
    "ExitWithoutEnter": [(lambda: c.threads(1).__exit__(None, None, None), "[threads] __exit__ without __enter__")],
    "NoNumbers": [(lambda: c.asarray(object()), "[asarray] object holds no numbers that a tensor could be made of")],
    "NoNumber": [
        (lambda: c.asarray([[1], ["2"]]), "[asarray] [1][0] is a str, which is no number: '2'"),
        (lambda: c.asarray([None]), "[asarray] [0] is a NoneType, which is no number"),
    ],
    "Ragged": [(lambda: c.asarray([[1, 2], [3]]), "[asarray] ragged: [1] has shape (1,), expected (2,)")],
    "NestedTooDeep": [(lambda: c.asarray(nested(65)), "[asarray] sequences are nested more than 64 deep: does one contain itself?")],
    "SequenceChanged": [(lambda: c.asarray(Shrinks([1, 2])), "[asarray] a sequence changed its length while it was read")],
    "NanToInteger": [(lambda: c.asarray(float("nan"), dtype=c.int8), "[asarray] NaN does not convert to int8")],
    "ComplexRange": [(lambda: c.arange(1j), "[arange] complex numbers have no order to count in")],
    "ZeroStep": [
        (lambda: c.arange(0, 3, 0), "[arange] the step is 0"),
        (lambda: c.arange(0.0, 3.0, 0.0), "[arange] the step is 0"),
        (lambda: I3[::0], "[getitem] the step is 0"),
    ],
    "RangeLength": [(lambda: c.arange(0, float("nan")), "[arange] start 0.0, stop NaN and step 1.0 have no finite number of elements")],
    "IndexTooLarge": [(lambda: I3[2**64], "[getitem] index 18446744073709551616 does not fit 64 bits and is out of range for any axis")],
    "NoDeletion": [(lambda: I3.__delitem__(0), "[delitem] elements of a tensor cannot be deleted: index those to keep")],
    "NotIndex": [
        (lambda: I3["x"], "[getitem] str is no index: use integers, slices, ..., None, masks (bool) or tensors of integers"),
        (lambda: I3[c.zeros(1)], "[getitem] a tensor of float64 is no index: use integers, slices, ..., None, masks (bool) or tensors of integers"),
    ],
    "IndexDtype": [(lambda: c.take(I3, c.zeros(1)), "[take] indices are integers or a mask of bool, not float64")],
    "EllipsisTwice": [(lambda: I3[..., ..., ...], "[getitem] a key has at most one ellipsis (...), not 3")],
    "SliceType": [(lambda: I3["a":"b"], "[getitem] slice indices must be integers or None or have an __index__ method")],
    "OneAxis": [(lambda: c.argmin(F23, axis=(0, 1)), "[argmin] axis is one integer or None, not 2 axes")],
    "AxisNeeded": [(lambda: c.take(F23, c.asarray([0])), "[take] axis can be left out for one axis only, not for 2")],
    "MoveCounts": [(lambda: c.moveaxis(F23, (0, 1), 0), "[moveaxis] cannot move 2 axes to 1 place")],
    "SqueezeExtent": [(lambda: c.squeeze(F23, 1), "[squeeze] axis 1 of shape (2, 3) has 3 elements, not 1")],
    "TransposeAxes": [(lambda: I3.T, "[T] needs a tensor with 2 axes, not 1; use mT or permute_dims(axes)")],
    "NoLength": [
        (lambda: len(c.zeros(())), "[len] a tensor without axes has no length"),
        (lambda: iter(c.zeros(())), "[iter] a tensor without axes has no length"),
    ],
    "ScalarProduct": [(lambda: I3 @ 3, "[matmul] a number has no axes to multiply along: use multiply or *")],
    "DotAxes": [(lambda: c.dot(c.zeros((1, 1, 1)), I3), "[dot] takes tensors with at most 2 axes, not 3 and 1: use matmul")],
    "VectorLengths": [(lambda: c.vecdot(I3, c.zeros(2)), "[vecdot] vectors along axis -1 have 3 and 2 elements")],
    "VectorAxis": [(lambda: c.vecdot(I3, F23, axis=0), "[vecdot] axis 0 is not the same one of tensors with 1 and 2 axes: count it from the back")],
    "ProductShape": [(lambda: multiply_matrix(c.zeros((2, 2)), c.zeros(2)), "[matmul] a product of shape (2,) cannot be stored in shape (2, 2)")],
    "Modulus": [(lambda: pow(I3, 2, 5), "[pow] a modulus is not supported: take the remainder of the power")],
    "Truth": [(lambda: bool(I3), "[bool] needs a tensor with one element, not shape (3,): use any() or all()")],
    "TensorAsIndex": [(lambda: [1][c.asarray(0.0)], "[index] an index needs one integer without axes, not shape () of float64")],
    "FormatSize": [(lambda: f"{I3:.2f}", '[format] format ".2f" needs a tensor with one element, not shape (3,)')],
    "NumpyBfloat16": [(lambda: np.asarray(c.zeros(2, dtype=c.bfloat16)), "[__array__] NumPy has no bfloat16: convert with astype first")],
    "PickleBuffer": [(lambda: c._native._rebuild(3, c.int8, (3,)), "[pickle] int is no buffer")],
    "PickleSize": [(lambda: c._native._rebuild(b"1234567", c.int32, (2,)), "[pickle] 7 bytes for shape (2,) of int32")],
    "NotNumbers": [(lambda: c.asarray(np.datetime64("2020-01-01")), "[asarray] numpy.datetime64 holds no numbers")],
    "Characters": [(lambda: c.asarray((ctypes.c_char * 3)()), '[asarray] tests.test_errors.c_char_Array_3 holds characters (format "<c"), not numbers: convert it with bytes() first')],
    "BufferFormat": [(lambda: exporter(format=b"T{d:x:}"), '[asarray] forged.Exporter holds records (format "T{d:x:}"), which is no dtype')],
    "ArrayDtype": [(lambda: c.asarray(np.array(["2020-01-01"], "M8[D]")), "[asarray] numpy.ndarray has dtype datetime64[D], which is none of corepy's: convert it first")],
    "BufferItemsize": [(lambda: exporter(itemsize=4), '[asarray] forged.Exporter has format "d" and elements of 4 bytes')],
    "BufferAxes": [(lambda: exporter(ndim=-1), "[asarray] the buffer of forged.Exporter has -1 axes: there are 0 to 64")],
    "BufferShape": [(lambda: exporter(shape=None, ndim=2), "[asarray] the buffer of forged.Exporter has 2 axes and no shape")],
    "BufferSize": [(lambda: exporter(len=9), "[asarray] the buffer of forged.Exporter has 9 bytes for shape (8,) of float64")],
    "Suboffsets": [(lambda: exporter(suboffsets=(0,)), "[asarray] the buffer of forged.Exporter lies behind pointers (suboffsets)")],
    "AddressSpace": [
        (lambda: exporter(buf=0), "[asarray] the memory of forged.Exporter leaves the address space"),
        (lambda: exporter(strides=(1 << 60,)), "[asarray] the memory of forged.Exporter leaves the address space"),
        (lambda: Forged([4], [1 << 62]).load(), "[from_dlpack] the memory of forged.Producer leaves the address space"),
    ],
    "NullBuffer": [(lambda: request_buffer(I3, 0, room=None), "[buffer] the request comes without a Py_buffer to fill")],
    "ExportReadOnly": [(lambda: request_buffer(FROZEN, PyBUF_WRITABLE), "[buffer] a writable buffer was asked for, but the tensor is read-only: its memory belongs to bytes")],
    "ExportFormat": [(lambda: memoryview(c.zeros(2, dtype=c.bfloat16)), "[buffer] the buffer protocol has no format for bfloat16")],
    "ExportOrder": [(lambda: request_buffer(F23.T, PyBUF_C_CONTIGUOUS), "[buffer] a buffer in C order was asked for, but the strides are (8, 24): make a copy first")],
    "ExportStrides": [
        (lambda: c.asarray(np.zeros(2, [("a", "c16"), ("b", "f8")])["a"]).__dlpack__(), "[__dlpack__] strides (24,) are no multiples of the itemsize 16: make a copy first"),
    ],
    "ExportVersion": [(lambda: FROZEN.__dlpack__(), "[__dlpack__] the tensor is read-only, which a capsule without version cannot say: ask for max_version=(1, 0)")],
    "OnlyDevice": [(lambda: I3.__dlpack__(dl_device=(2, 0)), "[__dlpack__] the cpu, (1, 0), is the only device, not (2, 0)")],
    "NoDlpack": [(lambda: c.from_dlpack([1]), "[from_dlpack] list has no __dlpack__")],
    "DlpackDevice": [
        (lambda: c.from_dlpack(Nowhere()), "[from_dlpack] __dlpack_device__ of tests.test_errors.Nowhere returned 'cpu', not a pair of integers"),
        (lambda: c.from_dlpack(Producer(None, (1, 2, 3))), "[from_dlpack] __dlpack_device__ of forged.Producer returned (1, 2, 3), not a pair of integers"),
    ],
    "DlpackElsewhere": [
        (lambda: c.from_dlpack(Producer(None, (2, 0))), "[from_dlpack] the elements are on DLPack device 2, not on the cpu (1)"),
        (lambda: Forged(device_type=10).load(), "[from_dlpack] the elements are on DLPack device 10, not on the cpu (1)"),
    ],
    "NoCapsule": [(lambda: c.from_dlpack(OldProducer(3)), "[from_dlpack] __dlpack__ of forged.OldProducer returned int, not a capsule")],
    "DlpackCapsule": [(lambda: twice(I3.__dlpack__()), "[from_dlpack] the capsule holds no DLPack tensor, or has been used")],
    "DlpackVersion": [(lambda: Forged(major=2).load(), "[from_dlpack] DLPack version 2 is not version 1")],
    "DlpackDtype": [(lambda: Forged(bits=80).load(), "[from_dlpack] DLPack type code 2 of 80 bits and 1 lane is no dtype")],
    "DlpackAxes": [(lambda: Forged(ndim=-1).load(), "[from_dlpack] a DLPack tensor of -1 axes: there are 0 to 64")],
    "DlpackShape": [(lambda: without_shape(), "[from_dlpack] a DLPack tensor of 1 axis without a shape")],
    "DlpackMemory": [(lambda: Forged(data=0).load(), "[from_dlpack] a DLPack tensor without memory")],
    "ImportUnaligned": [(lambda: Forged(byte_offset=3).load(), "[from_dlpack] the elements of forged.Producer are not aligned")],
    "LaneArguments": [
        (lambda: KERNEL.launch(1, F4, lanes=1), "[k] takes 4 arguments (n, x, y, z), not 2"),
        (lambda: KERNEL[1](), "[k] takes 4 arguments (n, x, y, z), not 0"),
    ],
    "LaneCall": [
        (lambda: KERNEL(1, F4), "[k] a launch needs lanes: write p[lanes](n, x, y, z), or p.launch(n, x, y, z, lanes=lanes)"),
        (lambda: KERNEL.launch(1, F4), "[k] a launch needs lanes: write p[lanes](n, x, y, z), or p.launch(n, x, y, z, lanes=lanes)"),
        (lambda: c.lanes.parse(".kernel none\nexit")(), "[none] a launch needs lanes: write p[lanes](), or p.launch(lanes=lanes)"),
    ],
    "LaneKeyword": [
        (lambda: KERNEL[4](n=1), "[k] a launch takes no n by name: write p[lanes](n, x, y, z); by name go block, backend, check_races, step_limit"),
        (lambda: KERNEL.launch(1, lane=4), "[k] a launch takes no lane by name: write p[lanes](n, x, y, z); by name go lanes, block, backend, check_races, step_limit"),
    ],
    "EmitLine": [
        (lambda: c.lanes.Builder("k").emit("mov.i64 v, 1"), "[Builder] emit takes an opcode and each operand by itself, not \"mov.i64 v, 1\": write emit('mov.i64', 'v', '1')"),
        (lambda: c.lanes.Builder("k").emit("ldg.f32 v, x[i, 0]"), "[Builder] emit takes an opcode and each operand by itself, not \"ldg.f32 v, x[i, 0]\": write emit('ldg.f32', 'v', 'x[i, 0]')"),
        (lambda: c.lanes.Builder("k").emit("assert p, \"it's \\\", x\""), "[Builder] emit takes an opcode and each operand by itself, not \"assert p, \\\"it's \\\\\\\", x\\\"\": write emit('assert', 'p', 'it\\'s \\\", x')"),
        (lambda: c.lanes.Builder("k").emit(" exit"), "[Builder] emit takes an opcode and each operand by itself, not \" exit\": write emit('exit')"),
    ],
    "LaneNeedsTensor": [
        (lambda: launch(x=1.5), "[k] x is a buffer: needs a tensor of float32, not a number"),
        (lambda: launch(x=[1.5]), "[k] x is a buffer: needs a tensor of float32, not list"),
        (lambda: launch(x="text"), "[k] x is a buffer: needs a tensor of float32, not str"),
        (lambda: launch(y=None), "[k] y is a buffer: needs a tensor of float32, not NoneType"),
    ],
    "LaneNeedsNumber": [
        (lambda: launch(n=cp.zeros(())), "[k] n is a param: needs a number for i8, not a tensor"),
        (lambda: launch(n=np.zeros(1)), "[k] n is a param: needs a number for i8, not a tensor"),
        (lambda: launch(n="1"), "[k] n is a param: needs a number for i8, not str"),
        (lambda: launch(n=None), "[k] n is a param: needs a number for i8, not NoneType"),
    ],
    "LaneKind": [
        (lambda: launch(n=True), "[k] param n of i8 does not take a number of bool"),
        (lambda: launch(n=1j), "[k] param n of i8 does not take a number of complex128"),
        (lambda: launch(n=np.complex64(1)), "[k] param n of i8 does not take a number of complex64"),
    ],
    "LaneDtype": [
        (lambda: launch(x=cp.zeros(3)), "[k] buffer x is of float32 and does not take a tensor of float64: tensors are not converted"),
        (lambda: launch(y=bytearray(4)), "[k] buffer y is of float32 and does not take a tensor of uint8: tensors are not converted"),
    ],
    "LaneNumber": [
        (lambda: launch(n=128), "[k] 128 does not fit param n of i8"),
        (lambda: launch(n=-(2**200)), "[k] -0x1000000000000000000000000000000000000... does not fit param n of i8"),
        (lambda: launch(n=0.5), "[k] 0.5 does not fit param n of i8"),
        (lambda: launch(n=np.float16("nan")), "[k] NaN does not fit param n of i8"),
    ],
    "LaneRank": [(lambda: launch(x=F22), "[k] buffer x has rank 1 and does not take a tensor of shape (2, 2)")],
    "LaneCopy": [
        (lambda: launch(x=np.zeros(3, ">f4")), "[k] buffer x takes memory as it lies, and data in the other byte order would need a copy"),
        (lambda: launch(x=np.zeros(9, np.uint8)[1:].view("f4")), "[k] buffer x takes memory as it lies, and unaligned data would need a copy"),
    ],
    "LaneDevice": [(lambda: launch(x=Producer(None, (2, 0))), "[k] buffer x takes memory of the cpu (1), not of DLPack device 2")],
    "LaneReadOnly": [
        (lambda: launch(y=c.broadcast_to(c.zeros(1, dtype=c.float32), (2, 2))), "[k] y is an inout buffer, and the tensor is read-only: its memory belongs to corepy"),
        (lambda: launch(z=memoryview(bytes(8)).cast("f")), "[k] z is an out buffer, and the tensor is read-only: its memory belongs to memoryview"),
    ],
    "LaneSelfOverlap": [
        (lambda: launch(z=np.lib.stride_tricks.as_strided(np.zeros(1, "f4"), (3,), (0,))), "[k] z is an out buffer, and elements of the tensor share memory"),
    ],
    "LaneOverlap": [
        (lambda: launch(x=F4, z=F4), "[k] the tensors of z and x share memory, and z is an out buffer"),
        (lambda: launch(x=F22[0], y=F22), "[k] the tensors of y and x share memory, and y is an inout buffer"),
    ],
    "LaneGrid": [
        (lambda: launch(lanes=-1), "[k] lanes (-1, 1, 1): extents are 0 or more, at most 2**62 in all"),
        (lambda: launch(lanes=(2**31, 2**31, 2)), "[k] lanes (2147483648, 2147483648, 2): extents are 0 or more, at most 2**62 in all"),
    ],
    "LaneBlock": [
        (lambda: launch(block=0), "[k] block (0, 1, 1): extents are 1 or more, at most 1024 in all"),
        (lambda: launch(block=(32, 33)), "[k] block (32, 33, 1): extents are 1 or more, at most 1024 in all"),
    ],
    "LaneExtents": [
        (lambda: launch(lanes=()), "[k] lanes has 1 to 3 extents, not 0"),
        (lambda: launch(block=(1, 1, 1, 1)), "[k] block has 1 to 3 extents, not 4"),
        (lambda: KERNEL[1, 1, 1, 1], "[k] lanes has 1 to 3 extents, not 4"),
    ],
    "LaneSteps": [(lambda: launch(step_limit=-1), "[k] step_limit is 0 or more, not -1")],
    "LaneBackend": [
        (lambda: launch(backend="gpu"), f'[k] there is no backend "gpu" here; there are {", ".join(b.name for b in c.lanes.backends() if b.available)}'),
    ],
    "LaneBackendAbsent": [
        (partial(launch, backend=b.name), f'[k] backend "{b.name}" cannot be used here: {b.reason}') for b in c.lanes.backends() if not b.available
    ],
    "BufferMode": [(lambda: c.lanes.Builder("k").buffer("x", "io", "f32"), "[Builder] mode 'io' is not one of: 'in', 'out', 'inout'")],
    "Interrupted": [(interrupted, "")],
    "Internal": [(lambda: c._native._panic(False), f"[runtime] a panic that was asked for ({PANICS_AT})")],
}  # fmt: skip


def nested(depth: int) -> list[Any]:
    out: list[Any] = []
    for _ in range(depth):
        out = [out]
    return out


def twice(capsule: Any) -> None:
    c.from_dlpack(Producer(capsule))
    c.from_dlpack(Producer(capsule))


def without_shape() -> None:
    forged = Forged()
    forged.managed.array.shape = None
    forged.load()


def described(name: str) -> re.Pattern[str]:
    """What the messages of an entry look like, whatever its fields hold."""
    row = BY_NAME[name]
    types = dict(field.split(": ") for field in row.fields.split(", ") if ": " in field)

    def field(found: re.Match[str]) -> str:
        kind = types.get(found[1], "op")
        return {"op": r"[\w ]+", "f64": r"\S+", "String": "(?s:.*)", "&'static str": ".+"}.get(kind, r"-?\d+")

    return re.compile(re.sub(r"\\\{(\w+)(?::\\\?)?\\\}", field, re.escape(fields_alone(row.message))))


def test_every_entry_is_provoked() -> None:
    assert set(CASES) == set(BY_NAME)


@pytest.mark.parametrize(
    ("name", "call", "text"), [(name, call, text) for name, cases in CASES.items() for call, text in cases]
)
def test_messages(name: str, call: Callable[[], Any], text: str) -> None:
    with pytest.raises(BaseException) as caught:
        call()
    kind, found = type(caught.value).__name__, str(caught.value)
    if isinstance(caught.value, Refused):
        kind, found = found.split("|", 1)
    assert found == text
    assert kind == BY_NAME[name].python
    assert described(name).fullmatch(text)


def test_entries_differ_in_more_than_their_fields() -> None:
    texts = [re.sub(r"\{.*?\}", "{}", fields_alone(e.message)) for e in ERRORS]
    assert len(set(texts)) == len(texts)


def test_no_message_is_written_anywhere_else() -> None:
    """Exceptions come from the catalogue alone: nothing else in the sources makes one with a text."""
    made = re.compile(r"::new_err\((?!\(\)|message\))")
    sources = [
        p
        for crate in ("corepy-runtime", "corepy-python")
        for p in (ROOT / "rust" / crate / "src").rglob("*.rs")
    ]
    assert len(sources) > 40
    found = [
        f"{p.name}: {line.strip()}"
        for p in sources
        for line in p.read_text().splitlines()
        if made.search(line)
    ]
    assert not found


def test_every_entry_is_used() -> None:
    text = "".join(p.read_text() for p in (ROOT / "rust").rglob("src/**/*.rs") if "generated" not in p.parts)
    unused = [e.name for e in ERRORS if not re.search(rf"Error::{e.name}\b", text)]
    assert not unused


@pytest.mark.parametrize(
    "call",
    [
        "cp.empty((2**31, 0)).tolist()",
        "cp.broadcast_to(x, (2**28,)).tolist()",
        "list(cp.broadcast_to(x, (2**31,)))",
    ],
)
def test_python_objects_without_memory(call: str) -> None:
    """What Python itself has no memory for is its own MemoryError."""
    with pytest.raises(Refused) as caught:
        in_process(LIMITED + call)
    assert str(caught.value) == "MemoryError|"
