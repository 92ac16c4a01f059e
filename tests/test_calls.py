"""Calls in the manner of NumPy and PyTorch: errors say what to write, and names say what to use."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
import traceback
from typing import Any

import numpy as np
import pytest

import corepy as cp
from ops.emit_python import (
    ROWS,
    absent_attributes,
    absent_names,
    foreign_keywords,
    is_method,
    parameters,
    signature,
)
from ops.habits import ARRAY_API, ATTRIBUTES, NAMES

X = cp.asarray([[1.0, 2.0], [3.0, 4.0]])
CALLS = {
    "X.mean(0)": "[mean] takes 0 positional arguments, not 1: write axis=0",
    "X.sum(0, 1)": "[sum] takes 0 positional arguments, not 2: write axis=(0, 1)",
    "X.sum(0, 'float32')": "[sum] takes 0 positional arguments, not 2: write axis=0, dtype='float32'",
    "X.min(0, None, None, 1)": "[min] takes 0 positional arguments, not 4: the keywords are axis, keepdims",
    "cp.sum(X, 0)": "[sum] takes 1 positional argument, not 2: write axis=0",
    "cp.max(X, X)": "[max] takes 1 positional argument, not 2: the keywords are axis, keepdims",
    "cp.argmax(X, -1)": "[argmax] takes 1 positional argument, not 2: write axis=-1",
    "cp.zeros(2, 3)": "[zeros] takes 1 positional argument, not 2: write zeros((2, 3))",
    "cp.ones(2, 3, 4, dtype=cp.int8)": "[ones] takes 1 positional argument, not 3: write ones((2, 3, 4))",
    "cp.zeros((2, 3), cp.int8)": "[zeros] takes 1 positional argument, not 2: write dtype=corepy.int8",
    "cp.zeros(2, int)": "[zeros] takes 1 positional argument, not 2: write dtype=int",
    "cp.full((2,), 1, 'int8')": "[full] takes 2 positional arguments, not 3: write dtype='int8'",
    "cp.full(2, 3, 7)": "[full] takes 2 positional arguments, not 3: the keywords are dtype, device",
    "cp.asarray([1], np.int8)": "[asarray] takes 1 positional argument, not 2: write dtype=int8",
    "cp.eye(3, 3, 1)": "[eye] takes 2 positional arguments, not 3: write k=1",
    "X.reshape(4, 1)": "[reshape] takes 1 positional argument, not 2: write reshape((4, 1))",
    "cp.reshape(X, -1, 2)": "[reshape] takes 2 positional arguments, not 3: write reshape(x, (-1, 2))",
    "X.permute_dims(1, 0)": "[permute_dims] takes 1 positional argument, not 2: write permute_dims((1, 0))",
    "cp.concat(X, X)": "[concat] takes 1 positional argument, not 2: write concat([x1, x2])",
    "cp.concat([X, X], 0)": "[concat] takes 1 positional argument, not 2: write axis=0",
    "cp.stack([X, X], dim=1)": "[stack] has no parameter dim: write axis=1",
    "cp.flip(X, 0)": "[flip] takes 1 positional argument, not 2: write axis=0",
    "cp.take(X, [0], 0)": "[take] takes 2 positional arguments, not 3: write axis=0",
    "cp.std(X, ddof=1)": "[std] has no parameter ddof: write correction=1",
    "X.var(unbiased=True)": "[var] has no parameter unbiased: write correction=1 for True, correction=0 for False",
    "X.sum(dim=0)": "[sum] has no parameter dim: write axis=0",
    "X.any(axes=(0, 1))": "[any] has no parameter axes: write axis=(0, 1)",
    "X.max(axis=0, keepdim=True)": "[max] has no parameter keepdim: write keepdims=True",
    "X.mean(dtype='float32')": "[mean] has no parameter dtype: convert first, with astype",
    "cp.sum(X, out=X)": "[sum] has no parameter out: assign the result, out[...] = ...",
    "cp.add(X, X, out=X)": "[add] has no parameter out: assign the result, out[...] = ..., or use an operator in place, x += y",
    "cp.round(X, decimals=2)": "[round] has no parameter decimals: write round(x * 10**2) / 10**2",
    "cp.diff(X, 2)": "[diff] takes 1 positional argument, not 2: write n=2",
    "X.diff(2, 0)": "[diff] takes 0 positional arguments, not 2: write n=2, axis=0",
    "cp.round(X, 2)": "[round] takes 1 positional argument, not 2: it takes x",
    "cp.zeros(3, order='F')": "[zeros] has no parameter order: new tensors are in row-major order",
    "cp.zeros(3, color='red')": "[zeros] has no parameter color: it takes shape, dtype, device",
    "cp.broadcast_arrays(x=X)": "[broadcast_arrays] has no parameter x: it takes *arrays",
    "cp.sqrt()": "[sqrt] called without x",
    "cp.where(X > 0)": "[where] called without x1, x2",
    "X.squeeze()": "[squeeze] called without axis",
    "X.astype(dtype='int8')": "[astype] takes dtype by its position, not by name",
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_errors_say_what_to_write(call: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(CALLS[call])}$") as caught:
        eval(call)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_function_explains_its_calls(row: Any) -> None:
    params = parameters(signature(row))
    if not params:
        return
    function = getattr(cp, row.name)
    many = [object()] * 9
    if all(p.kind != "variadic" for p in params):
        with pytest.raises(TypeError, match=rf"^\[{row.name}\] takes \d positional arguments?, not 9: "):
            function(*many)
    with pytest.raises(TypeError, match=rf"^\[{row.name}\] has no parameter blue: it takes "):
        function(blue=1)
    for k in foreign_keywords(row):
        with pytest.raises(TypeError, match=rf"^\[{row.name}\] has no parameter {k.name}: "):
            function(**{k.name: "x"})
    if is_method(row) and len(params) > 1:
        with pytest.raises(TypeError, match=rf"^\[{row.name}\] has no parameter blue: it takes "):
            getattr(X, row.name)(blue=1)


def test_what_stands_for_functions_of_arrays_with_nan() -> None:
    """The errors' texts are run as they are."""
    a = np.asarray([[3.0, np.nan, -1.5], [np.nan, 0.25, 8.0]])
    names = {"x": cp.asarray(a), **{name: getattr(cp, name) for name in cp.__all__}}
    for name in ("nansum", "nanmean", "nanstd", "nanvar", "nanmin", "nanmax"):
        text = NAMES[name].split(", or ")[0]
        assert eval(text, names).item() == pytest.approx(getattr(np, name)(a), rel=1e-15), name
    along = NAMES["nanmean"].split("along an axis ")[1].replace("...", "0")
    assert np.allclose(np.asarray(eval(along, names)), np.nanmean(a, axis=0), rtol=1e-15)
    x, weights = cp.asarray([1.0, 5.0, 2.0]), cp.asarray([1.0, 2.0, 5.0])
    names |= {"x": x, "weights": weights}
    assert eval(NAMES["ptp"], names).item() == 4.0
    assert [eval(t, names).item() for t in NAMES["average"].split(", or ")] == [8 / 3, 21 / 8]


def test_numpys_functions_call_the_methods() -> None:
    for name in ("sum", "prod", "mean", "var", "std", "min", "max", "any", "all", "argmin", "argmax"):
        for options in ({}, {"axis": 0}, {"axis": 1, "keepdims": True}):
            if name.startswith("arg") and "keepdims" in options:
                continue
            got = getattr(np, name)(X, **options)
            assert isinstance(got, cp.Tensor), name
            assert np.array_equal(np.asarray(got), getattr(np, name)(np.asarray(X), **options)), name
    assert np.sum(X, dtype=np.float32).dtype == cp.float32
    with pytest.raises(TypeError, match=r"^\[std\] has no parameter ddof: write correction=1$"):
        np.std(X, ddof=1)
    with pytest.raises(TypeError, match=r"^\[sum\] has no parameter out: "):
        np.sum(X, out=np.zeros(()))
    assert np.array_equal(np.transpose(X), np.asarray(X).T)


def test_arguments_that_ask_for_nothing_are_let_through() -> None:
    assert X.sum(axis=0, out=None, dim=None).tolist() == [4.0, 6.0]
    assert cp.std(X, ddof=0, correction=1).item() == cp.std(X, correction=1).item()
    assert cp.zeros(2, order=None).tolist() == [0.0, 0.0]
    with pytest.raises(cp.AxisError, match=r"^\[sum\] axis 7 is out of range"):
        X.sum(axis=7, out=None)
    with pytest.raises(TypeError, match=r"^\[sum\] axis takes integers, not str$"):
        X.sum(axis="0", out=None)


def test_errors_of_the_arguments_themselves_stay() -> None:
    class Hostile:
        def __index__(self) -> int:
            raise TypeError("mine")

        def __repr__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(
        TypeError, match=r"^\[zeros\] takes 1 positional argument, not 2: write dtype=\.\.\.$"
    ):
        cp.zeros(2, Hostile())
    with pytest.raises(TypeError, match=r"^\[sum\] has no parameter dim: write axis=\.\.\.$"):
        X.sum(dim=Hostile())
    with pytest.raises(
        TypeError, match=r"^\[concat\] takes 1 positional argument, not 2: write axis=\.\.\.$"
    ):
        cp.concat([X], "x" * 1000)
    with pytest.raises(ZeroDivisionError):
        cp.floor_divide(cp.asarray([1]), 0)


def test_functions_and_methods_stay_what_they_were() -> None:
    assert inspect.isbuiltin(cp.sum) and cp.sum.__name__ == cp.sum.__qualname__ == "sum"
    assert pickle.loads(pickle.dumps(cp.sum)) is cp.sum
    assert pickle.loads(pickle.dumps(X.sum))().item() == 10.0
    assert cp.Tensor.sum(X).item() == 10.0
    assert type(cp.Tensor.sum) is type(str.upper) and cp.Tensor.sum.__objclass__ is cp.Tensor
    with pytest.raises(TypeError, match="Tensor"):
        cp.Tensor.sum(3)
    importlib.reload(cp)
    assert cp.sum(X).item() == 10.0


@pytest.mark.parametrize(("name", "text"), absent_names())
def test_absent_names(name: str, text: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(cp, name)
    assert str(caught.value) == f"module 'corepy' has no attribute '{name}': {text}"
    assert not hasattr(cp, name) and name not in dir(cp)


@pytest.mark.parametrize(("name", "text"), absent_attributes())
def test_absent_attributes(name: str, text: str) -> None:
    for owner, what in ((X, "'corepy.Tensor' object"), (cp.Tensor, "type object 'corepy.Tensor'")):
        with pytest.raises(AttributeError) as caught:
            getattr(owner, name)
        assert str(caught.value) == f"{what} has no attribute '{name}': {text}"
        assert not hasattr(owner, name)
    assert name not in dir(X)


def test_names_in_the_hints_exist() -> None:
    for name, instead in NAMES.items():
        first = re.match(r"\w+", instead)
        assert first
        word = first.group()
        assert word in ("x", "t", "where") or hasattr(cp, word), (name, instead)
    for name, instead in ATTRIBUTES.items():
        first = re.match(r"\w+", instead)
        assert first
        word = first.group()
        assert word in ("t", "bytes", "file", "memoryview", "numpy") or hasattr(X, word), (name, instead)


def test_the_array_api_is_there_or_planned() -> None:
    absent = dict(absent_names())
    for name in ARRAY_API:
        assert hasattr(cp, name) or absent[name].startswith(("it is not in corepy yet", "use ")), name


def test_other_names_are_plainly_unknown() -> None:
    with pytest.raises(AttributeError, match=r"^module 'corepy' has no attribute 'zeroes'$") as caught:
        cp.zeroes  # noqa: B018
    assert "zeros" in "".join(traceback.format_exception(caught.value)) or caught.value.name == "zeroes"
    with pytest.raises(AttributeError, match="no attribute 'sums'"):
        X.sums  # noqa: B018
    with pytest.raises(AttributeError):
        X.transpose = 1
