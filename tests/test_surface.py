"""The public surface: names, signatures, docstrings and their examples, stubs."""

from __future__ import annotations

import doctest
import inspect
import pickle
import subprocess
import sys
from copy import copy, deepcopy

import numpy as np
import pytest

import corepy as cp
import typed_use
from ops.dtypes import DTYPES, PROMOTION
from ops.emit_python import ROWS, docstring, is_method, parameters, signature, text_signature

NAMES = [row.name for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_signatures_are_those_of_the_table(row: object) -> None:
    params = parameters(signature(row))  # type: ignore[arg-type]
    function = getattr(cp, row.name)  # type: ignore[attr-defined]
    assert str(inspect.signature(function)) == text_signature(params).replace("(*, ", "(*, ")
    assert inspect.getdoc(function) == inspect.cleandoc(docstring(row))  # type: ignore[arg-type]
    if is_method(row):  # type: ignore[arg-type]
        method = inspect.signature(getattr(cp.Tensor, row.name))  # type: ignore[attr-defined]
        assert list(method.parameters)[1:] == [p.name for p in params[1:]]
        bound = inspect.signature(getattr(cp.zeros((2, 2)), row.name))  # type: ignore[attr-defined]
        assert [p.kind for p in bound.parameters.values()] == [
            p.kind for p in list(inspect.signature(function).parameters.values())[1:]
        ]


def test_every_callable_of_the_module_and_class_has_a_signature() -> None:
    for name in cp.__all__:
        thing = getattr(cp, name)
        if callable(thing) and not (isinstance(thing, type) and issubclass(thing, BaseException)):
            inspect.signature(thing)
    for name, member in vars(cp.Tensor).items():
        if callable(member) and not name.startswith("__"):
            inspect.signature(member)
            assert member.__doc__, name


@pytest.mark.parametrize("name", [*NAMES, "Tensor", "DType", "threads", "printoptions"])
def test_docstring_examples_run(name: str) -> None:
    thing = getattr(cp, name)
    text = inspect.getdoc(thing)
    assert text
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert examples.examples, f"{name} has no example"
    report: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(examples, out=report.append)
    assert result.failed == 0, "".join(report)


def test_all_lists_what_there_is() -> None:
    assert sorted(cp.__all__) == list(cp.__all__)
    for name in cp.__all__:
        assert hasattr(cp, name)
    public = {n for n, thing in vars(cp).items() if not n.startswith("_") and not inspect.ismodule(thing)}
    assert public <= set(cp.__all__)


def test_import_does_not_bring_numpy() -> None:
    code = "import sys, corepy; assert 'numpy' not in sys.modules; print(len(corepy.__all__))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
def test_dtype_objects(dtype: object) -> None:
    name = dtype.name  # type: ignore[attr-defined]
    one = getattr(cp, name)
    assert repr(one) == str(one) == f"corepy.{name}"
    assert one.itemsize == dtype.itemsize  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(one)) is one
    assert copy(one) is one and deepcopy(one) is one
    assert {one: 1}[getattr(cp, name)] == 1
    assert [d.name for d in DTYPES if getattr(cp, d.name) == one] == [name]
    assert one != name and one is not None
    with pytest.raises(AttributeError):
        one.name = "x"
    assert cp.DType(name) is cp.DType(one) is one


def test_classes_have_the_signatures_that_they_are_called_by() -> None:
    shown = {
        c.__name__: str(inspect.signature(c))
        for c in (cp.DType, cp.finfo_object, cp.iinfo_object, cp.threads)
    }
    assert shown == {
        "DType": "(name, /)",
        "finfo_object": "(type, /)",
        "iinfo_object": "(type, /)",
        "threads": "(n, /)",
    }
    assert cp.DType("float32") is cp.DType(np.dtype("f4")) is cp.DType(np.float32) is cp.float32
    assert cp.DType(float) is cp.float64
    assert (
        cp.finfo_object(cp.float32) == cp.finfo(cp.float32) and type(cp.finfo(cp.float32)) is cp.finfo_object
    )
    assert cp.iinfo_object("int8") == cp.iinfo(cp.int8)
    with pytest.raises(TypeError, match=r"^\[DType\] 'f4' is not a dtype; the dtypes are bool, "):
        cp.DType("f4")
    with pytest.raises(TypeError, match=r"^\[iinfo\] does not take float32; it takes int8, "):
        cp.iinfo_object(cp.float32)


def test_docstrings_state_a_bound_once() -> None:
    for row in ROWS:
        text = docstring(row)
        assert text.count("Error at most") + text.count("Within ") <= 1, row.name
        assert text.count("condition numbers") <= 1, row.name
    assert (
        "Error at most 1 ulp in float32, float64, complex64, complex128, for condition numbers"
        in docstring(next(row for row in ROWS if row.name == "sum")).replace("\n", " ")
    )


def test_promotion_is_symmetric_and_numpys() -> None:
    for (a, b), to in PROMOTION.items():
        assert PROMOTION[b, a] == to
        assert np.result_type(np.dtype(a), np.dtype(b)) == np.dtype(to), (a, b)
        assert cp.result_type(getattr(cp, a), getattr(cp, b)) == getattr(cp, to)


@pytest.mark.parametrize("bad", ["float33", "f4", 7, None.__class__, object()])
def test_a_wrong_dtype_lists_the_valid_ones(bad: object) -> None:
    with pytest.raises(TypeError, match=r"is not a dtype; the dtypes are bool, int8"):
        cp.zeros(3, dtype=bad)


def test_what_the_type_checker_accepts_runs() -> None:
    assert all(isinstance(t, cp.Tensor) for t in (*typed_use.accepted(), typed_use.lane_programs()))


def test_tensor_is_unhashable_and_weakly_referable() -> None:
    import weakref

    t = cp.zeros(3)
    with pytest.raises(TypeError, match="unhashable"):
        hash(t)
    assert weakref.ref(t)() is t
    assert (t == None) is False  # noqa: E711


def test_constants() -> None:
    import math

    assert cp.pi == math.pi and cp.e == math.e and cp.inf == math.inf
    assert math.isnan(cp.nan) and cp.newaxis is None
    assert cp.__array_api_version__ == "2025.12"
    assert cp.zeros(1).__array_namespace__(api_version="2025.12") is cp
    with pytest.raises(ValueError, match=r"2030\.01"):
        cp.zeros(1).__array_namespace__(api_version="2030.01")
