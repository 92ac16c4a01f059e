"""What dtypes are and how they promote; SIMD levels and threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import corepy as cp
from ops.dtypes import DTYPES, PROMOTION

COMPUTE = [d.name for d in DTYPES if d.compute]


def dtype(name: str) -> cp.DType:
    found = getattr(cp, name)
    assert isinstance(found, cp.DType)
    return found


@pytest.mark.parametrize("a", COMPUTE)
def test_result_type_of_dtypes_tensors_and_scalars(a: str) -> None:
    for b in COMPUTE:
        expected = dtype(PROMOTION[a, b])
        assert cp.result_type(dtype(a), dtype(b)) is expected
        assert cp.result_type(cp.zeros(1, dtype=dtype(a)), dtype(b)) is expected
        assert cp.result_type(np.zeros(1, a), cp.zeros((2, 2), dtype=dtype(b))) is expected
    for scalar in (True, 3, 2.5, 1j):
        theirs = np.result_type(np.dtype(a), scalar)
        assert cp.result_type(dtype(a), scalar).name == theirs.name
        assert cp.result_type(scalar, dtype(a)).name == theirs.name
        assert (
            (cp.zeros(1, dtype=dtype(a)) * scalar).dtype.name == theirs.name
            if a != "bool" or scalar is not True
            else True
        )


def test_result_type_of_many() -> None:
    assert cp.result_type(cp.int8, cp.uint8, cp.uint16) is cp.int32
    assert cp.result_type(cp.int8, 1.0, 1j) is cp.complex128
    assert cp.result_type(1, 1.0) is cp.float64
    assert cp.result_type(True) is cp.bool
    assert cp.result_type(1j, cp.float32, 1) is cp.complex64
    assert cp.result_type([1, 2], cp.int8) is cp.int64
    assert cp.result_type(cp.float16, cp.float16) is cp.float16


@pytest.mark.parametrize("a", COMPUTE)
def test_can_cast_follows_promotion(a: str) -> None:
    for b in COMPUTE:
        expected = PROMOTION[a, b] == b
        assert cp.can_cast(dtype(a), dtype(b)) is expected
        assert cp.can_cast(cp.zeros(1, dtype=dtype(a)), dtype(b)) is expected
    assert cp.can_cast(cp.float16, cp.float16)


KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


@pytest.mark.parametrize("row", DTYPES, ids=lambda d: d.name)
def test_isdtype_knows_every_kind(row: Any) -> None:
    own = dtype(row.name)
    for kind, letters in KINDS.items():
        assert cp.isdtype(own, kind) is (row.kind in letters)
        assert cp.isdtype(own, (kind, "bool")) is (row.kind in letters + "b")
    for other in DTYPES:
        assert cp.isdtype(own, dtype(other.name)) is (other.name == row.name)
    assert cp.isdtype(own, (cp.int8, own, ("bool",)))
    assert cp.isdtype(own, ()) is False
    assert cp.isdtype(dtype=own, kind="numeric") is (row.kind != "b")


FINFO = {
    "float16": "float16", "float32": "float32", "float64": "float64", "complex64": "float32", "complex128": "float64",
}  # fmt: skip


@pytest.mark.parametrize("name", FINFO)
def test_finfo_is_numpys(name: str) -> None:
    theirs = np.finfo(name)
    for ours in (cp.finfo(dtype(name)), cp.finfo(cp.zeros(2, dtype=dtype(name)))):
        assert ours.bits == theirs.bits
        assert ours.dtype is dtype(FINFO[name])
        for field in ("eps", "max", "min", "smallest_normal"):
            value = getattr(ours, field)
            assert type(value) is float
            assert value == float(getattr(theirs, field)), field
    assert cp.finfo(dtype(name)) == cp.finfo(dtype(FINFO[name])) != cp.finfo(cp.bfloat16)


def test_finfo_of_bfloat16() -> None:
    info = cp.finfo(cp.bfloat16)
    assert (info.bits, info.eps, info.smallest_normal) == (16, 2.0**-7, 2.0**-126)
    assert info.max == -info.min == (2 - 2**-7) * 2.0**127
    assert repr(info) == (
        "finfo(dtype=bfloat16, bits=16, eps=0.0078125, max=3.3895313892515355e+38,"
        " min=-3.3895313892515355e+38, smallest_normal=1.1754943508222875e-38)"
    )


@pytest.mark.parametrize("name", [d.name for d in DTYPES if d.kind in "iu"])
def test_iinfo_is_numpys(name: str) -> None:
    theirs = np.iinfo(name)
    for ours in (cp.iinfo(dtype(name)), cp.iinfo(cp.zeros(2, dtype=dtype(name)))):
        assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)
        assert ours.dtype is dtype(name)
    assert (
        repr(cp.iinfo(dtype(name)))
        == f"iinfo(dtype={name}, bits={theirs.bits}, max={theirs.max}, min={theirs.min})"
    )


def test_info_objects_do_not_change() -> None:
    info: Any = cp.finfo(cp.float32)
    with pytest.raises(AttributeError):
        info.eps = 1.0
    with pytest.raises(TypeError):
        type(info)()


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: cp.result_type(), ValueError, "[result_type] takes at least one argument"),
    (lambda: cp.result_type(cp.float16, cp.float32), TypeError, "[result_type] float16 and float32 have no common dtype"),
    (lambda: cp.isdtype(cp.int8, "integer"), ValueError, "[isdtype] kind 'integer' is not one of bool, signed integer, unsigned integer, integral, real floating, complex floating, numeric"),
    (lambda: cp.isdtype(cp.int8, (cp.int8, "no")), ValueError, "[isdtype] kind 'no' is not one of bool, signed integer, unsigned integer, integral, real floating, complex floating, numeric"),
    (lambda: cp.isdtype(cp.int8, 3), TypeError, "[isdtype] kind takes a dtype, a string or a tuple of them, not int"),
    (lambda: cp.finfo(cp.int8), TypeError, "[finfo] does not take int8; it takes float16, bfloat16, float32, float64, complex64, complex128"),
    (lambda: cp.iinfo(cp.float32), TypeError, "[iinfo] does not take float32; it takes int8, int16, int32, int64, uint8, uint16, uint32, uint64"),
    (lambda: cp.iinfo(cp.bool), TypeError, "[iinfo] does not take bool; it takes int8, int16, int32, int64, uint8, uint16, uint32, uint64"),
    (lambda: cp.set_num_threads(0), ValueError, "[set_num_threads] the number of threads is 1 to 1024, not 0"),
    (lambda: cp.set_num_threads(1025), ValueError, "[set_num_threads] the number of threads is 1 to 1024, not 1025"),
    (lambda: cp.threads(0), ValueError, "[threads] the number of threads is 1 to 1024, not 0"),
    (lambda: cp.threads(-5), ValueError, "[threads] the number of threads is 1 to 1024, not -5"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=[text[:30] for _, _, text in ERRORS])
def test_error_messages(call: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value) == text


def test_simd_levels() -> None:
    levels = cp.simd_levels()
    assert isinstance(levels, tuple)
    assert levels[0] == "portable" and cp.simd_level() in levels


def test_threads_nest_and_restore() -> None:
    before = cp.get_num_threads()
    outer = cp.threads(3)
    with outer as entered:
        assert entered is outer and cp.get_num_threads() == 3
        with cp.threads(1), outer:
            assert cp.get_num_threads() == 3
        assert cp.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError, match="mine"), cp.threads(2):
            raise ZeroDivisionError(f"mine: {cp.get_num_threads()}")
        assert cp.get_num_threads() == 3
    assert cp.get_num_threads() == before
    with pytest.raises(ValueError) as raised:
        outer.__exit__(None, None, None)
    assert str(raised.value) == "[threads] __exit__ without __enter__"


def test_threads_hold_for_the_calling_thread_only() -> None:
    process = cp.get_num_threads()
    seen: list[int] = []
    with cp.threads(5):
        thread = threading.Thread(target=lambda: seen.append(cp.get_num_threads()))
        thread.start()
        thread.join()
        assert cp.get_num_threads() == 5
    assert seen == [process]


def test_set_num_threads_holds_for_the_process() -> None:
    before = cp.get_num_threads()
    try:
        cp.set_num_threads(7)
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(cp.get_num_threads()))
        thread.start()
        thread.join()
        assert seen == [7] and cp.get_num_threads() == 7
        with cp.threads(2):
            cp.set_num_threads(4)
            assert cp.get_num_threads() == 2
        assert cp.get_num_threads() == 4
    finally:
        cp.set_num_threads(before)


def test_the_environment_sets_the_threads() -> None:
    code = "import corepy as cp; print(cp.get_num_threads())"
    env = {**os.environ, "COREPY_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "3", done.stderr


def test_version() -> None:
    assert cp.__version__.count(".") == 2
