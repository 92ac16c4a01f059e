"""repr, str, format and their options: NumPy's text to the last character, for any size."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import corepy as cp
from inputs import special
from ops.dtypes import DTYPES

INF, NAN = float("inf"), float("nan")
NUMPY = [d.name for d in DTYPES if d.name != "bfloat16"]


def oracle(a: Any, **options: Any) -> str:
    """What repr should be, by NumPy's own printing."""
    width = options.get("linewidth", 75)
    with np.printoptions(**{"threshold": 1000, "edgeitems": 3, "linewidth": width, **options}):
        body = np.array2string(a, separator=", ", prefix="Tensor(", suffix=")")
    shape = "(" + ", ".join(map(str, a.shape)) + ("," if a.ndim == 1 else "") + ")"
    facts = f"shape={shape}, dtype={a.dtype.name})"
    text = f"Tensor({body},"
    last = text.rsplit("\n", 1)[-1]
    return text + (" " if len(last) + 1 + len(facts) <= width else "\n       ") + facts


def oracle_str(a: Any) -> str:
    with np.printoptions(threshold=1000, edgeitems=3, linewidth=75):
        return np.array2string(a, separator=" ")


def assert_same(text: str, expected: str, dtype: str) -> None:
    assert text == expected, dtype


def test_the_documented_form() -> None:
    t = cp.asarray([[1.0, 2.0], [3.0, 4.0]], dtype=cp.float32)
    assert repr(t) == "Tensor([[1., 2.],\n        [3., 4.]], shape=(2, 2), dtype=float32)"
    assert str(t) == "[[1. 2.]\n [3. 4.]]"
    assert repr(cp.asarray([True, False])) == "Tensor([ True, False], shape=(2,), dtype=bool)"
    assert repr(cp.asarray([1, -20, 300])) == "Tensor([  1, -20, 300], shape=(3,), dtype=int64)"
    assert repr(cp.asarray([1 + 2j, -0.5])) == "Tensor([ 1. +2.j, -0.5+0.j], shape=(2,), dtype=complex128)"
    assert repr(cp.asarray(2.5)) == "Tensor(2.5, shape=(), dtype=float64)"
    assert repr(cp.zeros((0, 3), dtype=cp.int8)) == "Tensor([], shape=(0, 3), dtype=int8)"
    assert repr(cp.asarray([0.1, 1 / 3])) == "Tensor([0.1       , 0.33333333], shape=(2,), dtype=float64)"
    assert repr(cp.asarray(1 / 3)) == "Tensor(0.33333333, shape=(), dtype=float64)"


@pytest.mark.parametrize("dtype", NUMPY)
@pytest.mark.parametrize(
    "shape",
    [
        (),
        (1,),
        (7,),
        (40,),
        (1000,),
        (1001,),
        (3, 4),
        (1, 1, 1),
        (2, 3, 4),
        (30, 40),
        (5, 6, 7, 8),
        (0,),
        (2, 0),
    ],
)
def test_every_dtype_and_shape_prints_as_numpy_does(dtype: str, shape: tuple[int, ...]) -> None:
    n = int(np.prod(shape))
    with np.errstate(invalid="ignore"):
        odd = special(dtype, n, 3).reshape(shape)
    for a in (odd, np.arange(n).astype(dtype).reshape(shape)):
        for view in (a, a.T, a[..., ::-1] if shape else a):
            t = cp.asarray(view, copy=True)
            assert_same(repr(t), oracle(view), view.dtype.name)
            if shape:
                assert_same(str(t), oracle_str(view), view.dtype.name)
            else:
                assert str(t) == f"{t}"


@pytest.mark.parametrize(
    "values",
    [
        [0.0], [-0.0, 0.0], [NAN], [NAN, 1.5], [INF, -1.0], [-INF, 100.25], [NAN, INF, -INF], [1e8],
        [1e8 - 1], [99999999.0, 1.0], [1e-4], [9.9e-5], [1e-5, 1.0], [1000.0, 1.0], [1001.0, 1.0],
        [1e300, 1e-300], [1e10, 1.5], [1e10, NAN], [-1e10, INF],
        [5e-324], [1.7976931348623157e308], [0.1 + 0.2, 0.3], [123456.789, 0.0], [-1.5, 22.25, 333.125],
        [1e100, 1e5], [1e16, 1e15], [2.0**53 + 2], [0.0001, 0.0999],
    ],
    ids=repr,
)  # fmt: skip
def test_floats_print_as_numpys(values: list[float]) -> None:
    for dtype in ("float64", "float32", "float16"):
        with np.errstate(over="ignore", under="ignore"):
            a = np.array(values).astype(dtype)
            assert_same(repr(cp.asarray(a)), oracle(a), a.dtype.name)
            b = (a.astype(complex) * (1 - 2j) if dtype == "float64" else a).astype("complex128")
        with np.errstate(invalid="ignore", over="ignore", under="ignore"):
            c = b.astype("complex64")
        assert_same(repr(cp.asarray(b)), oracle(b), b.dtype.name)
        assert_same(repr(cp.asarray(c)), oracle(c), c.dtype.name)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "complex64", "complex128", "int64", "uint8", "bool"]
)
@given(data=st.data())
def test_random_arrays_print_as_numpys(dtype: str, data: st.DataObject) -> None:
    a = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, max_side=9, min_side=0)))
    assert_same(repr(cp.asarray(a)), oracle(a), a.dtype.name)


def test_half_precision_digits_are_the_shortest_that_read_back() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    halves = bits.view(np.float16)
    halves = halves[np.isfinite(halves)]
    for start in range(0, len(halves), 4001):
        a = halves[start : start + 900]
        assert_same(repr(cp.asarray(a)), oracle(a), a.dtype.name)


def test_bfloat16_digits_read_back_and_are_the_shortest() -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    exact = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    finite = np.isfinite(exact)
    bits, exact = bits[finite], exact[finite]

    def nearest(x: float) -> int:
        """bfloat16 of a float: the float32 nearest to it, rounded to even from its bits."""
        word = int(np.float32(x).view(np.uint32))
        return (word + 0x7FFF + ((word >> 16) & 1)) >> 16

    for i in [*range(0, 600, 7), *range(600, len(bits), 397)]:
        t = cp.asarray(float(exact[i]), dtype=cp.bfloat16)
        assert t.item() == float(exact[i])
        text = repr(t).removeprefix("Tensor(").split(", shape")[0]
        assert nearest(float(text)) == bits[i], text
        digits = text.split("e")[0].replace(".", "").strip("-0")
        if len(digits) > 1:
            shorter = f"{float(exact[i]):.{len(digits) - 2}e}"
            assert nearest(float(shorter)) != bits[i], (text, shorter)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_seventeen_digits_read_back(dtype: str) -> None:
    a = special(dtype, 900, 5)
    with cp.printoptions(precision=17):
        text = repr(cp.asarray(a)).removeprefix("Tensor([").split("]")[0]
    read = np.array([float(word) for word in text.replace("\n", "").split(",")]).astype(dtype)
    assert np.array_equal(read, a, equal_nan=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_a_number_without_axes_prints_all_its_digits(dtype: str) -> None:
    with np.errstate(over="ignore", under="ignore"):
        values = np.array([0.1, 1 / 3, -2.5, 0.0, -0.0, 1e-7, 123.456, NAN, INF, -INF]).astype(dtype)
    if values.dtype.kind == "c":
        values = values[:7] * (1 - 0.5j)
    for value in values:
        t = cp.asarray(np.array(value))
        assert str(t) == f"{t}" == str(value).replace("e-07", "e-07")
        exact = complex(value) if values.dtype.kind == "c" else float(value)
        assert repr(t.item()) == repr(exact)
        assert repr(t.tolist()) == repr(exact)
        assert f"{t:.20f}" == f"{exact:.20f}"
    assert str(cp.asarray(0.1, dtype=cp.bfloat16)) == "0.1"
    assert str(cp.asarray(7)) == "7" and str(cp.asarray(True)) == "True"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_halves_and_powers_of_two_print_as_numpys(dtype: str) -> None:
    """Where the interval that reads back is lopsided, and where a cut falls in the middle of two digits."""
    info = np.finfo(dtype)
    powers = np.ldexp(np.ones(1), np.arange(info.minexp - info.nmant, info.maxexp)).astype(dtype)
    near = [powers, np.nextafter(powers, dtype and np.array(0, dtype)), powers + powers * info.eps]
    for a in (np.concatenate(near), np.arange(1, 2000, dtype=dtype) / np.array(1024, dtype)):
        for start in range(0, len(a), 50):
            part = a[start : start + 50]
            assert repr(cp.asarray(part)) == oracle(part)
            for one in part[::7]:
                assert repr(cp.asarray(one[None])) == oracle(one[None])
    ties = np.array([0.5, 1.5, 2.5, 0.125, 0.375, 1 + 2.0**-9, 2.0**-9, 3 * 2.0**-10, 1 + 2.0**-10]).astype(
        dtype
    )
    for precision in range(9):
        with cp.printoptions(precision=precision):
            assert repr(cp.asarray(ties)) == oracle(ties, precision=precision)


@given(
    data=st.data(),
    precision=st.integers(0, 20),
    suppress=st.booleans(),
    threshold=st.integers(0, 200),
    edgeitems=st.integers(1, 5),
    linewidth=st.integers(20, 200),
)
def test_options_act_as_numpys(data: st.DataObject, **options: Any) -> None:
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64", "complex64", "complex128", "int16"]))
    a = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, max_side=9, min_side=0)))
    with cp.printoptions(**options):
        assert repr(cp.asarray(a)) == oracle(a, **options)


def test_options_nest_and_belong_to_their_thread() -> None:
    default = {"precision": 8, "threshold": 1000, "edgeitems": 3, "linewidth": 75, "suppress": False}
    t = cp.asarray([1 / 3])
    assert cp.get_printoptions() == default
    elsewhere: list[str] = []
    with cp.printoptions(precision=3) as outer:
        assert str(t) == "[0.333]"
        with cp.printoptions(suppress=True), outer:
            assert cp.get_printoptions() == default | {"precision": 3, "suppress": True}
        with pytest.raises(KeyError), cp.printoptions(precision=1):
            raise KeyError
        assert str(t) == "[0.333]"
        other = threading.Thread(target=lambda: elsewhere.append(str(t)))
        other.start()
        other.join()
    assert elsewhere == ["[0.33333333]"]
    cp.set_printoptions(precision=2)
    try:
        assert str(t) == "[0.33]"
        with cp.printoptions(linewidth=40):
            assert cp.get_printoptions() == default | {"precision": 2, "linewidth": 40}
        cp.set_printoptions(threshold=sys.maxsize)
        assert cp.get_printoptions() == default | {"precision": 2, "threshold": sys.maxsize}
        assert "..." not in repr(cp.zeros((3, 2000)))
    finally:
        cp.set_printoptions(8, 1000)
    assert cp.get_printoptions() == default
    with pytest.raises(ValueError, match=r"__exit__ without __enter__"):
        cp.printoptions().__exit__(None, None, None)


def test_one_printoptions_serves_several_threads_at_once() -> None:
    shared, together = cp.printoptions(precision=3), threading.Barrier(4)
    found: dict[int, list[int]] = {}

    def work(own: int) -> None:
        def precision() -> int:
            together.wait()
            return int(cp.get_printoptions()["precision"])

        with cp.printoptions(precision=own):
            before = precision()
            # Entered and left in the same order by all, which is not the order of a stack.
            for turn in range(10, 14):
                together.wait()
                if turn == own:
                    shared.__enter__()
            inside = precision()
            for turn in range(10, 14):
                together.wait()
                if turn == own:
                    shared.__exit__(None, None, None)
            found[own] = [before, inside, precision()]

    threads = [threading.Thread(target=work, args=(own,)) for own in range(10, 14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {own: [own, 3, own] for own in range(10, 14)}
    with shared, concurrent.futures.ThreadPoolExecutor(1) as other:
        raised = other.submit(shared.__exit__, None, None, None).exception()
        assert str(raised) == "[printoptions] __exit__ without __enter__"
        assert cp.get_printoptions()["precision"] == 3


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("precision", -1, 0), ("threshold", -5, 0), ("edgeitems", -1, 0), ("linewidth", 0, 1)],
)
def test_options_out_of_range(name: str, value: int, least: int) -> None:
    for function in (cp.set_printoptions, cp.printoptions):
        text = rf"^\[{function.__name__}\] {name} is at least {least}, not {value}$"
        with pytest.raises(ValueError, match=text):
            function(**{name: value})


def test_a_matrix_shows_the_edges_that_were_asked_for() -> None:
    with cp.printoptions(edgeitems=40, threshold=0):
        assert repr(cp.zeros((100, 100))) == oracle(np.zeros((100, 100)), edgeitems=40, threshold=0)
    with cp.printoptions(edgeitems=0, threshold=0):
        assert str(cp.zeros((3, 3))) == "[...]"


def test_a_billion_elements() -> None:
    start = time.perf_counter()
    t = cp.broadcast_to(cp.asarray([1.5, -2.0]), (500_000_000, 2))
    row = "[ 1.5, -2. ]"
    rows = f",\n{' ' * 8}".join([row, row, row, "...", row, row, row])
    assert repr(t) == f"Tensor([{rows}], shape=(500000000, 2), dtype=float64)"
    many = cp.broadcast_to(cp.asarray(1), (2,) * 30)
    assert len(repr(many)) < 100_000
    assert "..." in repr(many)
    assert len(repr(cp.broadcast_to(cp.asarray(1), (3,) * 37))) < 100_000
    assert len(repr(cp.broadcast_to(cp.asarray(1.5), (7, 8, 9, 10, 11, 12, 13)))) < 200_000
    assert repr(cp.zeros((1,) * 64)).count("[") == 64
    assert time.perf_counter() - start < 1


def test_format() -> None:
    assert f"{cp.asarray(2.5):.3f}" == "2.500"
    assert f"{cp.asarray([[7]]):>5d}" == "    7"
    assert f"{cp.asarray(2.5)}" == "2.5"
    assert f"{cp.asarray([2.5, 1.0])}" == "[2.5 1. ]"
    assert f"{cp.asarray([2.5])}" == "[2.5]"
    assert f"{cp.asarray(1 + 2j):.1f}" == "1.0+2.0j"
    assert f"{cp.asarray(1.5, dtype=cp.bfloat16):.2f}" == "1.50"
    with pytest.raises(
        TypeError, match=r"^\[format\] format \"\.2f\" needs a tensor with one element, not shape \(2,\)$"
    ):
        f"{cp.zeros(2):.2f}"
    with pytest.raises(ValueError, match="format code"):
        f"{cp.asarray(1.5):d}"


def test_bools_of_any_byte_print_as_truth() -> None:
    t = cp.asarray(np.array([0, 1, 2, 255], np.uint8).view(np.bool_))
    assert t.tolist() == [False, True, True, True]
    assert repr(t) == "Tensor([False,  True,  True,  True], shape=(4,), dtype=bool)"
