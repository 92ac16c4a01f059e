"""asarray of Python objects: dtype discovery, nested sequences, ragged and hostile ones."""

from __future__ import annotations

import array
import re
import signal
from collections import UserList, deque
from collections.abc import Sequence
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corepy as cp
from ops.dtypes import DTYPES

INTEGERS = [d.name for d in DTYPES if d.kind in "iu"]


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@pytest.mark.parametrize(
    "obj",
    [
        True, 3, -3, 2.5, 1 - 2j, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, float("nan"), -0.0,
        [], [[]], [[], []], (), [()], [[[]], [[]]],
        [True, False], [True, 2], [1, 2.5], [1, 2.5, 1j], [True, 1.5], [False, 2j], [1, True], [1.5, True, 3],
        [2**63, 2**64 - 1], [1, 2**63], [-1, 2**63], [2**63, 1.5], [2**53 + 1, 1.0], [2**63, True],
        [[1, 2], [3, 4]], ((1, 2), (3, 4)), [(1, 2.5), [3, 4]], [[[1.5]], [[2]]],
        range(5), [range(3), range(3)], deque([1, 2]), UserList([1.5, 2]), [UserList([1]), (2,)],
        [Level.LOW, Level.HIGH], Level.HIGH,
    ],
    ids=repr,
)  # fmt: skip
def test_discovery_is_numpys(obj: Any) -> None:
    expected = np.asarray(list(obj) if isinstance(obj, deque | UserList) else obj)
    if isinstance(obj, list) and any(isinstance(x, UserList) for x in obj):
        expected = np.asarray([list(x) for x in obj])
    t = cp.asarray(obj)
    assert t.dtype.name == expected.dtype.name
    assert t.shape == expected.shape
    assert repr(t.tolist()) == repr(expected.tolist())
    assert not t.readonly


@pytest.mark.parametrize(
    "obj",
    [
        [np.float32(1), np.float32(2)], [np.float32(1), 2], [np.float32(1), True], [np.float32(1), 2.5],
        [np.int8(1), np.uint8(200)], [np.uint8(200), np.int8(-1)], [np.uint64(2**63), np.int8(-1)],
        [np.bool_(True), np.int16(3)], [np.float16(1), np.float16(2)], [np.complex64(1j), np.float32(2)],
        [np.complex64(1j), np.float64(2)], [np.float64(1), np.float32(2)], [np.int64(3), 4, np.int32(5)],
        [np.array([1, 2], np.int8), np.array([3, 4], np.int16)], [np.array([1, 2]), [3, 4]],
        [[3.5, 4], np.array([1, 2])], [np.zeros((2, 3)), np.ones((2, 3))[:, ::-1]],
        [np.array(3), np.array(4.5)],
        [np.array([1, 2], ">i4"), [3, 4]], [array.array("d", [1, 2]), [3, 4]], [memoryview(b"ab"), b"cd"],
        [bytearray(b"ab"), [300, 4]], [np.zeros((0, 2)), np.zeros((0, 2))],
    ],
    ids=repr,
)  # fmt: skip
def test_arrays_and_numpy_scalars_inside_sequences(obj: Any) -> None:
    rows = [list(x) if isinstance(x, bytes | bytearray | memoryview) else x for x in obj]
    expected = np.asarray(rows)
    if all(isinstance(x, bytes | memoryview) for x in obj):
        expected = expected.astype(np.uint8)
    t = cp.asarray(obj)
    assert t.dtype.name == expected.dtype.name
    assert t.tolist() == expected.tolist()
    inner = cp.asarray([cp.asarray(x) for x in obj])
    assert inner.dtype is t.dtype
    assert inner.tolist() == t.tolist()


def test_storage_dtypes_meet_only_themselves() -> None:
    half = cp.asarray([1.5], dtype=cp.float16)
    assert cp.asarray([half, half]).dtype is cp.float16
    brain = cp.asarray(1.5, dtype=cp.bfloat16)
    assert cp.asarray([brain, brain]).tolist() == [1.5, 1.5]
    with pytest.raises(TypeError, match=r"^\[asarray\] float16 and float64 have no common dtype$"):
        cp.asarray([half, [1.0]])
    assert cp.asarray([half, [1.0]], dtype=cp.float32).tolist() == [[1.5], [1.0]]


@pytest.mark.parametrize("d", DTYPES, ids=lambda d: d.name)
def test_every_dtype_can_be_asked_for(d: Any) -> None:
    dtype = getattr(cp, d.name)
    values = [[0, 1, True], [False, 1, 0]]
    t = cp.asarray(values, dtype=dtype)
    assert t.dtype is dtype
    assert t.tolist() == values
    assert cp.asarray(1, dtype=dtype).item() == 1
    assert cp.asarray([], dtype=dtype).dtype is dtype
    assert cp.asarray([np.array([1, 0, 1], ">i2")], dtype=dtype).tolist() == [[1, 0, 1]]
    if d.kind in "iufb":
        with pytest.raises(TypeError, match="complex") if d.kind != "b" else _nothing():
            cp.asarray([1, 1j], dtype=dtype)
    if d.kind in "fc":
        assert cp.asarray([1, 0.5, True], dtype=dtype).tolist() == [1, 0.5, 1]


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_held_against_their_range(name: str) -> None:
    info, dtype = np.iinfo(name), getattr(cp, name)
    low, high = int(info.min), int(info.max)
    for values in ([low, high], [[high], [low]], (low, 0, high)):
        assert cp.asarray(values, dtype=dtype).tolist() == np.asarray(values, dtype=name).tolist()
    for value in (low - 1, high + 1, 2**64, -(2**63) - 1, 2**200, -(10**30)):
        shown = str(value) if abs(value) < 2**127 else hex(value)
        for obj in (value, [0, value], [[0, 1], [1, value]], [0.0, value]):
            with pytest.raises(OverflowError) as caught:
                cp.asarray(obj, dtype=dtype)
            assert re.fullmatch(r"\[asarray\] \S+ does not fit " + name, str(caught.value))
            assert shown[:30] in str(caught.value)


@pytest.mark.parametrize("name", INTEGERS)
def test_floats_truncate_to_integers(name: str) -> None:
    dtype = getattr(cp, name)
    values = [1.5, 0.99, -0.5, 100, 2.0, True]
    assert cp.asarray(values, dtype=dtype).tolist() == np.asarray(values, dtype=name).tolist()
    with pytest.raises(ValueError, match=rf"^\[asarray\] NaN does not convert to {name}$"):
        cp.asarray([1.5, float("nan")], dtype=dtype)
    for value in (float("inf"), -float("inf"), 1e25, -1e300):
        with pytest.raises(OverflowError, match=rf"does not fit {name}$"):
            cp.asarray([value], dtype=dtype)


def test_integers_beyond_every_dtype() -> None:
    with pytest.raises(
        OverflowError,
        match=r"^\[asarray\] 18446744073709551616 does not fit int64 or uint64: give a floating dtype$",
    ):
        cp.asarray(2**64)
    for obj in ([1, 2**64], [1.5, 2**64], [2**64, 1j], [[-(2**63) - 1]], 10**5000):
        with pytest.raises(OverflowError, match="give a floating dtype"):
            cp.asarray(obj)
    assert cp.asarray([2**64, -(2**70)], dtype=cp.float64).tolist() == [2.0**64, -(2.0**70)]
    assert cp.asarray([2**64], dtype=cp.complex128).tolist() == [2.0**64]
    assert cp.asarray([2**64], dtype=cp.bool).tolist() == [True]
    with pytest.raises(OverflowError, match=r"\.\.\. does not fit float64$"):
        cp.asarray([10**400], dtype=cp.float64)


def test_rounding_to_small_floats_is_one_rounding() -> None:
    values = [
        0.1,
        1 / 3,
        65504.0,
        65520.0,
        1e-8,
        2**-25,
        2**-24 * 1.5,
        1 + 2**-11,
        1 + 2**-11 + 2**-40,
        1e300,
    ]
    with np.errstate(over="ignore"):
        assert cp.asarray(values, dtype=cp.float16).tolist() == np.asarray(values, np.float16).tolist()
        assert cp.asarray(values, dtype=cp.float32).tolist() == np.asarray(values, np.float32).tolist()


def test_explicit_bool_is_truth() -> None:
    values = [0, 2, -1, 0.0, 0.5, float("nan"), 0j, 1e-300j, 2**100, True]
    assert cp.asarray(values, dtype=cp.bool).tolist() == [bool(v) for v in values]


# ---------------------------------------------------------------------------------- ragged


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ([[1, 2], [3]], "[1] has shape (1,), expected (2,)"),
        ([[1, 2], [3, 4, 5]], "[1] has shape (3,), expected (2,)"),
        ([[[1, 2, 3]], [[1, 2]]], "[1][0] has shape (2,), expected (3,)"),
        ([1, [2, 3]], "[1] has shape (2,), expected ()"),
        ([[2, 3], 1], "[1] has shape (), expected (2,)"),
        ([[1.0, 2.0], [3.0, [4.0]]], "[1][1] has shape (1,), expected ()"),
        ([[], [1]], "[1] has shape (1,), expected (0,)"),
        ([[1], []], "[1] has shape (0,), expected (1,)"),
        ([1, []], "[1] has shape (0,), expected ()"),
        ([[[1], [2]], [[3], 4]], "[1][1] has shape (), expected (1,)"),
        ([[[1, 2]], [3]], "[1][0] has shape (), expected (2,)"),
        ([np.zeros(2), np.zeros(3)], "[1] has shape (3,), expected (2,)"),
        ([np.zeros((2, 3)), np.zeros(2)], "[1] has shape (2,), expected (2, 3)"),
        ([np.zeros((2, 3)), [[1, 2, 3], [1, 2]]], "[1][1] has shape (2,), expected (3,)"),
        ([[1, 2], b"abc"], "[1] has shape (3,), expected (2,)"),
        ([1, np.zeros(1)], "[1] has shape (1,), expected ()"),
        ([[[1, 2], [3, 4]], [[1, 2], [3, 4], [5, 6]]], "[1] has shape (3, 2), expected (2, 2)"),
        ([[]] + [[0.0]], "[1] has shape (1,), expected (0,)"),
    ],
    ids=repr,
)
def test_ragged_sequences_name_the_place(obj: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        cp.asarray(obj)
    assert str(caught.value) == f"[asarray] ragged: {message}"
    with pytest.raises(ValueError, match="ragged"):
        cp.add(obj, 1)


def test_ragged_late_in_a_long_list() -> None:
    rows: list[Any] = [[1.0, 2.0]] * 5000
    rows[4321] = [1.0]
    with pytest.raises(ValueError, match=r"^\[asarray\] ragged: \[4321\] has shape \(1,\), expected \(2,\)$"):
        cp.asarray(rows)


# ------------------------------------------------------------------------- what is no data


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ("text", "str holds no numbers that a tensor could be made of"),
        (None, "NoneType holds no numbers that a tensor could be made of"),
        ({1: 2}, "dict holds no numbers that a tensor could be made of"),
        ({1, 2}, "set holds no numbers that a tensor could be made of"),
        ((x for x in [1]), "generator holds no numbers that a tensor could be made of"),
        (Fraction(1, 2), "fractions.Fraction holds no numbers that a tensor could be made of"),
        (float, "type holds no numbers that a tensor could be made of"),
        (cp.Tensor, "type holds no numbers that a tensor could be made of"),
        (np.ndarray, "type holds no numbers that a tensor could be made of"),
        ([1, None], "[1] is a NoneType, which is no number"),
        ([[1, 2], [3, "4"]], "[1][1] is a str, which is no number: '4'"),
        (["ab", "cd"], "[0] is a str, which is no number: 'ab'"),
        (["x" * 41], "[0] is a str, which is no number: '" + "x" * 40 + "'..."),
        ([{}], "[0] is a dict, which is no number"),
    ],
)
def test_what_holds_no_numbers(obj: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        cp.asarray(obj)
    assert str(caught.value) == f"[asarray] {message}"


class Table:
    """As a data frame: no buffer, but `__array__`."""

    def __init__(self, array_: Any) -> None:
        self.array = array_

    def __array__(self) -> Any:
        return self.array

    def __len__(self) -> int:
        return 99

    def __getitem__(self, key: object) -> Any:
        raise KeyError(key)


def test_objects_with_array() -> None:
    a = np.arange(3.0)
    t = cp.asarray(Table(a))  # type: ignore[arg-type]
    assert np.shares_memory(np.asarray(t), a)
    assert cp.asarray([Table(a), a]).tolist() == [[0, 1, 2]] * 2


# ----------------------------------------------------------------------------------- copy


@pytest.mark.parametrize("obj", [1.5, True, [1], (1, 2), [[1.5]], range(3)])
def test_copy_false_refuses_python_objects(obj: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"^\[asarray\] copy=False, but a {type(obj).__name__} needs a copy$"
    ):
        cp.asarray(obj, copy=False)
    assert cp.asarray(obj, copy=True).tolist() == cp.asarray(obj).tolist()


def test_copy_of_tensors() -> None:
    t = cp.asarray([1.0, 2.0])
    assert cp.asarray(t) is t
    assert cp.asarray(t, copy=False, dtype=cp.float64) is t
    assert cp.Tensor(t) is t
    copied = cp.asarray(t, copy=True)
    assert copied is not t
    assert not np.shares_memory(np.asarray(copied), np.asarray(t))
    converted = cp.asarray(t, dtype=cp.float32)
    assert converted.dtype is cp.float32
    assert cp.asarray(t, dtype=cp.float32, copy=True).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"^\[asarray\] copy=False, but float64 to float32 needs a copy$"):
        cp.asarray(t, dtype=cp.float32, copy=False)
    with pytest.raises(ValueError, match=r"^\[asarray\] copy=False, but float64 to int8 needs a copy$"):
        cp.asarray(np.zeros(2), dtype=cp.int8, copy=False)
    with pytest.raises(TypeError, match=r"^\[asarray\] complex128 does not convert to float64"):
        cp.asarray(np.zeros(2, complex), dtype=cp.float64)
    a = np.arange(3.0)
    for same in (cp.asarray(a, dtype=cp.float64, copy=True), cp.asarray(a, copy=True)):
        assert not np.shares_memory(np.asarray(same), a)


def test_options() -> None:
    assert cp.asarray([1], device="cpu").device == "cpu"
    with pytest.raises(ValueError, match="device"):
        cp.asarray([1], device="gpu")
    assert cp.asarray([1], dtype="float32").dtype is cp.float32  # type: ignore[arg-type]
    assert cp.asarray([1], dtype=float).dtype is cp.float64  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is not a dtype"):
        cp.asarray([1], dtype="text")  # type: ignore[arg-type]


def test_astype_of_anything() -> None:
    t = cp.asarray([1.7, -1.7])
    assert cp.astype(t, cp.int32).tolist() == [1, -1]
    assert t.astype(cp.float64, copy=False) is t
    assert t.astype(cp.float64) is not t
    assert cp.astype([1, 2], cp.float32).dtype is cp.float32
    assert cp.astype(3, cp.float32).item() == 3.0
    with pytest.raises(TypeError, match=r"^\[astype\] complex128 does not convert to int8"):
        cp.asarray([1j]).astype(cp.int8)
    with pytest.raises(ValueError, match="device"):
        t.astype(cp.int8, device="gpu")


# --------------------------------------------------------------------------------- hostile


def test_depth() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert cp.asarray(deep).shape == (1,) * 64
    with pytest.raises(
        ValueError, match=r"^\[asarray\] sequences are nested more than 64 deep: does one contain itself\?$"
    ):
        cp.asarray([deep])
    nested: Any = np.zeros((1,) * 60)
    for _ in range(5):
        nested = [nested]
    with pytest.raises(ValueError, match="65 axes"):
        cp.asarray(nested)


def test_a_list_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="does one contain itself"):
        cp.asarray(loop)
    loop = [1.0]
    loop.append(loop)
    with pytest.raises(ValueError, match="ragged"):
        cp.asarray(loop)
    two: list[Any] = []
    two += [two, two]
    with pytest.raises(ValueError, match="does one contain itself"):
        cp.asarray(two)


class Shrinking(Sequence[Any]):
    """A sequence inside a list whose reading changes that list."""

    def __init__(self, change: Any, items: Any = (1.0, 2.0)) -> None:
        self.change, self.items = change, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: Any) -> Any:
        self.change()
        return self.items[i]


@pytest.mark.parametrize("at", [0, 1, 5])
def test_lists_that_shrink_while_they_are_read(at: int) -> None:
    rows: list[Any] = [[1.0, 2.0] for _ in range(10)]
    rows[at] = Shrinking(rows.clear)
    with pytest.raises(ValueError, match=r"^\[asarray\] a sequence changed its length while it was read$"):
        cp.asarray(rows)


def test_lists_that_grow_while_they_are_read() -> None:
    rows: list[Any] = [[1.0, 2.0] for _ in range(10)]
    rows[3] = Shrinking(lambda: rows.extend([[1.0, 2.0]] * 1000))
    assert cp.asarray(rows).shape == (10, 2)


def test_inner_lists_that_change_while_they_are_read() -> None:
    inner: list[Any] = [1.0] * 100
    rows: list[Any] = [[1.0] * 100, Shrinking(lambda: inner.__delitem__(slice(50, None)), [1.0] * 100), inner]
    with pytest.raises(ValueError, match=r"ragged|changed its length"):
        cp.asarray(rows)


class Liar(Sequence[Any]):
    def __init__(self, length: int, have: int) -> None:
        self.length, self.have = length, have

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, i: Any) -> Any:
        if i >= self.have:
            raise IndexError(i)
        return float(i)


def test_sequences_that_lie_about_their_length() -> None:
    with pytest.raises((IndexError, ValueError)):
        cp.asarray(Liar(10, 5))
    with pytest.raises((IndexError, ValueError)):
        cp.asarray(Liar(1 << 60, 5))
    assert cp.asarray(Liar(3, 5)).tolist() == [0.0, 1.0, 2.0]


class Angry(Sequence[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: Any) -> Any:
        raise RuntimeError("no")


def test_errors_of_the_callers_own_objects_come_through() -> None:
    with pytest.raises(RuntimeError, match=r"^no$"):
        cp.asarray([[1, 2, 3], Angry()])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_an_interrupt_stops_a_long_reading() -> None:
    row: Any = [1.0] * 1000
    for _ in range(3):
        row = [row] * 1000

    def stop(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(TimeoutError):
            cp.asarray(row)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ------------------------------------------------------------------------------ properties

SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.complex_numbers())
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@given(st.data(), SHAPES)
def test_nested_lists_of_mixed_scalars(data: st.DataObject, shape: list[int]) -> None:
    def build(axes: list[int]) -> Any:
        if not axes:
            return data.draw(SCALARS)
        return [build(axes[1:]) for _ in range(axes[0])]

    obj = build(shape)
    expected = np.asarray(obj)
    t = cp.asarray(obj)
    assert t.dtype.name == expected.dtype.name
    assert t.shape == expected.shape
    assert repr(t.tolist()) == repr(expected.tolist())


@given(st.lists(SCALARS, max_size=70), st.integers(0, 69), SCALARS)
def test_a_change_of_kind_at_any_place(items: list[Any], place: int, other: Any) -> None:
    for values in ([items[0]] * len(items) if items else [], items):
        values = [*values[:place], other, *values[place:]]
        expected = np.asarray(values)
        t = cp.asarray(values)
        assert t.dtype.name == expected.dtype.name
        assert repr(t.tolist()) == repr(expected.tolist())


def test_long_lists_of_every_kind() -> None:
    n = 200_001  # more than three of the pieces between two looks at signals
    for values in ([True] * n, list(range(n)), [i * 0.5 for i in range(n)], [1j] * n, [2**63] * n):
        for obj in (values, tuple(values), [values, values]):
            assert np.asarray(cp.asarray(obj)).tobytes() == np.asarray(obj).tobytes()
    mixed: list[Any] = list(range(n))
    mixed[-1] = 0.5
    assert cp.asarray(mixed).tolist() == [float(x) for x in mixed]
