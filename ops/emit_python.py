"""The Python side of the table: native functions and methods, the package's names, stubs, errors."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from ops.dtypes import DTYPE_SETS, DTYPES
from ops.emit_c import NOTICE
from ops.emit_rust import camel
from ops.errors import ERROR_CLASSES
from ops.habits import (
    ARRAY_API,
    ATTRIBUTES,
    KEYWORDS,
    NAMES,
    NEEDLESS_ATTRIBUTES,
    NEEDLESS_NAMES,
    PLANNED,
    PLANNED_ATTRIBUTES,
    POSITIONS,
    Keyword,
)
from ops.table import BINARY, ELEMENTWISE, FUNCTIONS, REDUCTIONS, UNARY, Elementwise, Function, Reduction

# Operators whose row has a Python operator but that no row of its own: (method, module function).
_UNARY_OPERATORS = {"pos", "neg", "abs", "invert"}
_COMPARISONS = {"eq", "ne", "lt", "le", "gt", "ge"}


# Annotations whose values are converted before the function runs; any other is an object.
_RUST_TYPES = {
    "bool": "bool",
    "int": "i64",
    "float": "f64",
    "bool | None": "Option<bool>",
    "int | None": "Option<i64>",
}

# Python names in the table that are keywords of Rust.
_RUST_KEYWORDS = {"type", "where"}


def rust_name(name: str) -> str:
    """The name as a Rust identifier, which PyO3 gives to Python without the prefix."""
    return f"r#{name}" if name in _RUST_KEYWORDS else name


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: str  # positional | either | keyword | variadic
    annotation: str
    default: str | None

    @property
    def rust(self) -> str:
        if self.kind == "variadic":
            return "&Bound<'py, PyTuple>"
        if self.annotation in _RUST_TYPES:
            return f"Argument<{_RUST_TYPES[self.annotation]}>"
        return "&Bound<'py, PyAny>" if self.default is None else "Option<&Bound<'py, PyAny>>"

    @property
    def rust_name(self) -> str:
        return rust_name(self.name)

    @property
    def rust_default(self) -> str | None:
        """What PyO3 fills in: a literal for typed parameters, None for objects."""
        if self.default is None or self.annotation not in _RUST_TYPES:
            return None if self.default is None else "None"
        value = self.default.lower() if self.default in ("True", "False") else self.default
        if value != "None" and "Option" in self.rust:
            value = f"Some({value})"
        return f"Argument::Given({value})"


def parameters(signature: str) -> list[Parameter]:
    function = ast.parse(f"def f({signature}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    a = function.args
    found: list[Parameter] = []

    def add(arg: ast.arg, kind: str, default: ast.expr | None) -> None:
        assert arg.annotation is not None, signature
        found.append(Parameter(arg.arg, kind, ast.unparse(arg.annotation), None if default is None else ast.unparse(default)))

    front = a.posonlyargs + a.args
    defaults: list[ast.expr | None] = [None] * (len(front) - len(a.defaults)) + list(a.defaults)
    for i, (arg, default) in enumerate(zip(front, defaults, strict=True)):
        add(arg, "positional" if i < len(a.posonlyargs) else "either", default)
    if a.vararg:
        add(a.vararg, "variadic", None)
    for arg, default in zip(a.kwonlyargs, a.kw_defaults, strict=True):
        add(arg, "keyword", default)
    return found


def text_signature(params: list[Parameter], first: str = "", rust: bool = False) -> str:
    """The parameter list without annotations; `rust` writes PyO3's defaults instead of Python's."""
    parts = [first] if first else []
    kinds = [p.kind for p in params]
    for i, p in enumerate(params):
        if p.kind == "keyword" and "variadic" not in kinds and (i == 0 or kinds[i - 1] != "keyword"):
            parts.append("*")
        default = p.rust_default if rust else p.default
        name = ("*" if p.kind == "variadic" else "") + (p.rust_name if rust else p.name)
        parts.append(name + ("" if default is None else f"={default}"))
        if p.kind == "positional" and (i + 1 == len(kinds) or kinds[i + 1] != "positional"):
            parts.append("/")
    return "(" + ", ".join(parts) + ")"


def _wrap(text: str) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= 96:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def _example(text: str) -> list[str]:
    if not text:
        return []
    expression, *result = text.split("\n")
    return ["", "Examples", "--------", ">>> import corepy as cp", f">>> {expression}", *result]


def accuracy(bounds: tuple[tuple[str, float], ...], condition: str = "") -> str:
    """The bounds in words, dtypes of one bound together."""
    dtypes: dict[float, list[str]] = {}
    for dtype, bound in bounds:
        dtypes.setdefault(bound, []).append(dtype)
    parts = [f"{bound:g} ulp in {', '.join(names)}" for bound, names in dtypes.items()]
    return f"Error at most {'; '.join(parts)}{f', {condition}' if condition else ''}."


def docstring(row: Elementwise | Reduction | Function) -> str:
    lines = _wrap(row.doc)
    if isinstance(row, Elementwise):
        one = row.arity == 1
        compute = {
            "promote": "Computes in the operand's dtype" if one else "Operands are promoted to their common dtype",
            "floating": "Computes in the operand's dtype, float64 for integers and bool"
            if one
            else "Operands are promoted to their common dtype, integers and bool to float64",
            "bool": "Elements are taken as truth values" if one else "Operands are taken as truth values",
        }[row.compute]
        result = {"same": "the result has that dtype", "bool": "the result is bool", "real": "the result has that dtype, or a complex one's real part"}[row.result]
        accepts = ", ".join(DTYPE_SETS[row.dtypes]) if row.compute == "promote" else "every dtype but float16 and bfloat16"
        lines += [""] + (
            _wrap(f"Shapes broadcast. {compute}; {result}. Takes {accepts}. Python scalars take the other operand's dtype.")
            if not one
            else _wrap(f"{compute}; {result}. Takes {accepts}.")
        )
        if row.ulp:
            lines += [""] + _wrap(accuracy(row.ulp))
        raises = "Raises TypeError for other dtypes, NotImplementedError for float16 and bfloat16" + (", ValueError where shapes do not broadcast." if row.arity > 1 else ".")
        lines += [""] + _wrap(raises)
    if isinstance(row, Reduction):
        axis = "axis is one axis; None flattens first." if row.axes == "one" else "axis is one axis or several; None reduces all."
        lines += [""] + _wrap(f"{axis} keepdims leaves the reduced axes in the result with extent 1.")
        result = {
            "sum": "Integers and bool give int64, unsigned ones uint64; dtype converts each element first.",
            "index": "The result is int64.",
            "bool": "The result is bool.",
            "floating": "The result has the operand's dtype; float64 for integers and bool.",
            "same": "The result has the operand's dtype.",
        }[row.result]
        lines += [""] + _wrap(result)
        if row.ulp:
            lines += [""] + _wrap(accuracy(row.ulp, row.condition))
        lines += [""] + _wrap("Raises AxisError for an axis out of range or given twice, TypeError for a dtype that it does not take.")
    if row.notes:
        lines += [""] + _wrap(row.notes)
    return "\n".join(lines + _example(row.example))


def _doc_attribute(text: str, indent: str) -> str:
    return f'{indent}#[doc = r#"{text}"#]'


_REDUCTION_PARAMETERS = {
    "axis, keepdims": "axis: int | tuple[int, ...] | None = None, keepdims: bool = False",
    "axis, dtype, keepdims": "axis: int | tuple[int, ...] | None = None, dtype: DTypeLike | None = None, keepdims: bool = False",
    "axis, correction, keepdims": "axis: int | tuple[int, ...] | None = None, correction: float = 0.0, keepdims: bool = False",
}


def signature(row: Elementwise | Reduction | Function) -> str:
    if isinstance(row, Elementwise):
        return "x: ArrayLike, /" if row.arity == 1 else "x1: ArrayLike, x2: ArrayLike, /"
    if isinstance(row, Reduction):
        rest = _REDUCTION_PARAMETERS[row.parameters]
        if row.axes == "one":
            rest = rest.replace("int | tuple[int, ...] | None", "int | None", 1)
        return f"x: ArrayLike, /, *, {rest}"
    return row.signature


def returns(row: Elementwise | Reduction | Function) -> str:
    return row.returns if isinstance(row, Function) else "Tensor"


def is_method(row: Elementwise | Reduction | Function) -> bool:
    return isinstance(row, Reduction) or row.method


ROWS: tuple[Elementwise | Reduction | Function, ...] = (*ELEMENTWISE, *REDUCTIONS, *FUNCTIONS)


def _call(row: Elementwise | Reduction | Function, params: list[Parameter], first: str) -> str:
    names = [first] + [p.rust_name for p in params[1:]]
    if isinstance(row, Elementwise):
        kind = "unary" if row.arity == 1 else "binary"
        return f"elementwise::{kind}(py, {kind.capitalize()}::{camel(row.name)}, {', '.join(names)})"
    if isinstance(row, Reduction):
        given = ", ".join(p.name for p in params[1:])
        rest = "" if row.parameters.count(",") == 3 else ", ..Parameters::default()"
        return f"reduction::reduce(py, Reduce::{camel(row.name)}, {first}, Parameters {{ {given}{rest} }})"
    return f"functions::{row.category}::{rust_name(row.name)}(py{''.join(', ' + n for n in (names if params else []))})"


def _result(row: Elementwise | Reduction | Function) -> str:
    return {"Tensor": "PyResult<Bound<'py, PyTensor>>", "None": "PyResult<()>"}.get(returns(row), "PyResult<Bound<'py, PyAny>>")


def _rust_params(params: list[Parameter]) -> str:
    # An axis of a reduction stays an object, since PyO3 would convert it before the op is known.
    return "".join(f", {p.rust_name}: {p.rust}" for p in params)


def _read_typed(row: Elementwise | Reduction | Function, params: list[Parameter], indent: str) -> str:
    """Statements that turn converted arguments into their values, or fail naming the operation."""
    typed = [p for p in params if p.rust.startswith("Argument<")]
    return "".join(f'{indent}let {p.rust_name} = {p.rust_name}.read(py, "{row.name}", "{p.name}")?;\n' for p in typed)


def _object_axis(row: Elementwise | Reduction | Function, params: list[Parameter]) -> list[Parameter]:
    if not isinstance(row, Reduction):
        return params
    return [Parameter(p.name, p.kind, "object", p.default) if p.name == "axis" else p for p in params]


# Positional parameters that take several values, and what those are.
_GATHERS = {"shape": "Integers", "axes": "Integers", "arrays": "Tensors"}


def foreign_keywords(row: Elementwise | Reduction | Function) -> list[Keyword]:
    """Keywords of others' functions that are explained for this one, and not merely unknown."""
    own = {p.name for p in parameters(signature(row))}
    known = {*own, row.name, type(row).__name__.lower()}
    return list({k.name: k for k in reversed(KEYWORDS) if k.beside in known and k.name not in own}.values())


def _rust_bool(value: bool) -> str:
    return str(value).lower()


def _call_facts(row: Elementwise | Reduction | Function) -> str:
    params = parameters(signature(row))
    positional = [p for p in params if p.kind in ("positional", "either")]
    keywords = [p for p in params if p.kind == "keyword"]
    if row.name in POSITIONS:
        keywords.sort(key=lambda p: POSITIONS[row.name].index(p.name))
    variadic = "".join(f"*{p.name}" for p in params if p.kind == "variadic")
    gathers = _GATHERS.get(positional[-1].name, "Nothing") if positional else "Nothing"
    many = any(p.name == "axis" and "tuple" in p.annotation for p in keywords)
    own = ", ".join(f'Parameter {{ name: "{p.name}", required: {_rust_bool(p.default is None)}, only: {_rust_bool(p.kind == "positional")} }}' for p in positional)
    foreign = ", ".join(
        f'Foreign {{ name: "{k.name}", instead: "{k.instead}", neutral: {"None" if k.neutral is None else f"Some({k.neutral})"} }}' for k in foreign_keywords(row)
    )
    names = ", ".join(f'"{p.name}"' for p in keywords)
    return (
        f'    Call {{ op: "{row.name}", positional: &[{own}], variadic: "{variadic}", gathers: Gathers::{gathers},'
        f" keywords: &[{names}], many_axes: {_rust_bool(many)}, foreign: &[{foreign}] }},"
    )


def call_facts() -> str:
    """Facts about calls, and an entry for each function and then for each method."""
    methods = [i for i, row in enumerate(ROWS) if is_method(row)]
    count = len(ROWS) + len(methods)
    out = [f"//! What errors about calls say of each function, and the entries of all.\n//! {NOTICE}\n"]
    out.append("use crate::calls::{Call, Entry, Foreign, Gathers, Native, Parameter, explained};\n")
    out += [f"pub static CALLS: [Call; {len(ROWS)}] = [", *(_call_facts(row) for row in ROWS), "];\n"]
    out.append(f"pub static ENTRIES: [Entry; {count}] = [")
    out += [f"    Entry::new(&CALLS[{i}], false)," for i in range(len(ROWS))]
    out += [f"    Entry::new(&CALLS[{i}], true)," for i in methods]
    out.append("];\n")
    out.append(f"pub static EXPLAINED: [Native; {count}] = [" + ", ".join(f"explained::<{i}>" for i in range(count)) + "];\n")
    return "\n".join(out)


def _explained(use: dict[str, str], needless: dict[str, str], planned: list[str], there: set[str]) -> list[tuple[str, str]]:
    """Names that do not exist, each with the end of the error about it, sorted for a binary search."""
    found = dict.fromkeys(planned, "it is not in corepy yet")
    found |= {name: f"use {instead}" for name, instead in use.items()} | needless
    return sorted((name, text) for name, text in found.items() if name not in there)


def absent_names() -> list[tuple[str, str]]:
    return _explained(NAMES, NEEDLESS_NAMES, [*ARRAY_API, *PLANNED], set(_public_names()))


def absent_attributes() -> list[tuple[str, str]]:
    methods = {row.name for row in ROWS if is_method(row)}
    return _explained(ATTRIBUTES, NEEDLESS_ATTRIBUTES, PLANNED_ATTRIBUTES, methods)


def names() -> str:
    out = [f"//! Names of other libraries that corepy does not have, and what to use instead.\n//! {NOTICE}\n"]
    for name, entries in (("NAMES", absent_names()), ("ATTRIBUTES", absent_attributes())):
        out.append(f"pub static {name}: [(&str, &str); {len(entries)}] = [")
        out += [f'    ("{key}", "{text}"),' for key, text in entries]
        out.append("];\n")
    return "\n".join(out)


def native_functions() -> str:
    out = [f"//! The native functions with their signatures and docstrings.\n//! {NOTICE}\n"]
    out.append("use crate::argument::Argument;\nuse crate::reduction::Parameters;\nuse crate::tensor::PyTensor;\nuse crate::{calls, elementwise, functions, reduction};\nuse corepy_runtime::{Binary, Reduce, Unary};\nuse pyo3::prelude::*;\nuse pyo3::types::PyTuple;\n")
    for row in ROWS:
        params = _object_axis(row, parameters(signature(row)))
        first = params[0].rust_name if params else ""
        out.append(_doc_attribute(docstring(row), ""))
        out.append("#[pyfunction]")
        out.append(f'#[pyo3(signature = {text_signature(params, rust=True)}, text_signature = "{text_signature(params)}")]')
        out.append(f"fn {rust_name(row.name)}<'py>(py: Python<'py>{_rust_params(params)}) -> {_result(row)} {{\n{_read_typed(row, params, '    ')}    {_call(row, params, first)}\n}}\n")
    out.append("pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {")
    # With its path, because the function `std` shares the crate's name.
    out += [f'    m.add("{row.name}", calls::wrap(wrap_pyfunction!(self::{rust_name(row.name)}, m)?, {i})?)?;' for i, row in enumerate(ROWS)]
    out.append("    Ok(())\n}\n")
    return "\n".join(out)


def native_methods() -> str:
    out = [f"//! The methods and operators of Tensor that follow from the op table.\n//! {NOTICE}\n"]
    out.append("use crate::argument::Argument;\nuse crate::reduction::Parameters;\nuse crate::tensor::PyTensor;\nuse crate::{elementwise, functions, reduction};\nuse corepy_runtime::{Binary, Reduce, Unary};\nuse pyo3::prelude::*;\n")
    out.append("#[pymethods]\nimpl PyTensor {")
    for row in ROWS:
        if not is_method(row):
            continue
        params = _object_axis(row, parameters(signature(row)))
        rest = params[1:]
        out.append(_doc_attribute(docstring(row), "    "))
        first = "slf.as_any()"
        own = [Parameter("$self", "positional", "object", None)] + rest
        # self counts as positional-only, so a "/" after it alone is left to Python.
        text = text_signature(own) if rest else "($self)"
        out.append(f'    #[pyo3(signature = {text_signature(rest, rust=True)}, text_signature = "{text}")]')
        out.append(f"    fn {rust_name(row.name)}<'py>(slf: &Bound<'py, Self>, py: Python<'py>{_rust_params(rest)}) -> {_result(row)} {{\n{_read_typed(row, rest, '        ')}        {_call(row, params, first)}\n    }}\n")
    for op in UNARY:
        if op.operator:
            assert op.operator in _UNARY_OPERATORS
            out.append(f"    fn __{op.operator}__<'py>(slf: &Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {{\n        elementwise::unary(py, Unary::{camel(op.name)}, slf.as_any())\n    }}\n")
    for op in BINARY:
        if not op.operator:
            continue
        call = f"elementwise::operator(py, Binary::{camel(op.name)}, slf, other"
        modulo = ", modulo: Option<&Bound<'py, PyAny>>" if op.operator == "pow" else ""
        refuse = f"elementwise::refuse_modulo(py, Binary::{camel(op.name)}, modulo)?;\n        " if modulo else ""
        head = f"<'py>(slf: &Bound<'py, Self>, py: Python<'py>, other: &Bound<'py, PyAny>{modulo}) -> PyResult<"
        out.append(f"    fn __{op.operator}__{head}Py<PyAny>> {{\n        {refuse}{call}, false)\n    }}\n")
        if op.operator in _COMPARISONS:
            continue
        out.append(f"    fn __r{op.operator}__{head}Py<PyAny>> {{\n        {refuse}{call}, true)\n    }}\n")
        out.append(f"    fn __i{op.operator}__{head}()> {{\n        {refuse}elementwise::in_place(py, Binary::{camel(op.name)}, slf, other)\n    }}\n")
    out.append("}\n")
    return "\n".join(out)


_CONSTANTS = {"e": "2.718281828459045", "inf": 'float("inf")', "nan": 'float("nan")', "newaxis": "None", "pi": "3.141592653589793"}
# Named tuples that functions give, and the module that has them: imported on first use, since `typing`,
# which makes them, takes longer to import than all of corepy.
_RECORDS = {"corepy.memory": ("ArenaStats", "MemoryStats")}
# Modules that `import corepy` brings along.
_MODULES = ("lanes",)
_CLASSES = ("DType", "Tensor", "finfo_object", "iinfo_object", "printoptions", "threads")


def _native_names() -> list[str]:
    return [*_CLASSES, *(d.name for d in DTYPES), *(row.name for row in ROWS)]


def _public_names() -> list[str]:
    errors = [c.name for c in ERROR_CLASSES if not c.module]
    return sorted({*_native_names(), *errors, *_CONSTANTS, *_MODULES, "__version__", "__array_api_version__"})


def package() -> str:
    errors = sorted(c.name for c in ERROR_CLASSES if not c.module)
    every = _public_names()
    names = [n for n in every if n in {*_native_names(), "__version__"}]
    out = [
        '"""corepy: a tensor runtime for Python. `import corepy as cp`; the API is the Python Array API standard.',
        "",
        NOTICE,
        '"""',
        "",
        f"from corepy import {', '.join(_MODULES)}",
        "from corepy._native import (",
        *(f"    {n}," for n in (*names, "_missing_name", "_register_with_threadpoolctl")),
        ")",
        "from corepy.errors import " + ", ".join(errors),
        "",
        *(f"{name} = {value}" for name, value in _CONSTANTS.items()),
        '__array_api_version__ = "2025.12"',
        "",
        "# Not a plain definition: type checkers would take every name for one that exists.",
        'globals()["__getattr__"] = _missing_name',
        "_register_with_threadpoolctl()",
        "del _register_with_threadpoolctl",
        "",
        "__all__ = [",
        *(f'    "{n}",' for n in every),
        "]",
        "",
    ]
    return "\n".join(out)


def error_classes() -> str:
    out = ['"""The exception classes of corepy\'s own.', "", NOTICE, '"""', "", "from __future__ import annotations", ""]
    for c in ERROR_CLASSES:
        doc = _wrap(c.doc)
        text = [f'"""{doc[0]}', *doc[1:]]
        text = [f'{text[0]}"""'] if len(doc) == 1 else [*text, '"""']
        out += ["", f"class {c.name}({', '.join(c.bases)}):", *(f"    {line}" for line in text), ""]
        if c.fields:
            # Attributes and no arguments, so that instances pickle as any exception does.
            out += [*(f"    {name}: {kind} = {default}" for name, kind, default in c.fields), ""]
    return "\n".join(out)


# Of lane programs; corepy.lanes gives the classes to users.
_LANE_CLASSES = ("Argument", "Backend", "Builder", "Launcher", "Program")
_LANE_OPTIONS = "block: builtins.int | tuple[builtins.int, ...] = 256, backend: str = 'auto', check_races: builtins.bool = False, step_limit: builtins.int | None = None"
_LANE_STUBS = f'''@final
class Argument:
    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def dtype(self) -> DType: ...
    @property
    def ndim(self) -> builtins.int: ...

@final
class Backend:
    @property
    def name(self) -> str: ...
    @property
    def available(self) -> builtins.bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def description(self) -> str: ...

@final
class Builder:
    def __new__(cls, name: str, /) -> Builder: ...
    def param(self, name: str, type: str | DType, /) -> Builder: ...
    def buffer(self, name: str, mode: str, type: str | DType, axes: builtins.int = 1, /) -> Builder: ...
    def shared(self, name: str, type: str | DType, extents: builtins.int | Sequence[builtins.int], /) -> Builder: ...
    def label(self, name: str, /) -> Builder: ...
    def emit(self, opcode: str, /, *operands: str | builtins.bool | builtins.int | builtins.float) -> Builder: ...
    def build(self) -> Program: ...
    @property
    def text(self) -> str: ...
    def __len__(self) -> builtins.int: ...
    def __bool__(self) -> builtins.bool: ...

@final
class Launcher:
    def __call__(self, *args: Tensor | Scalar | Buffer | SupportsDLPack, {_LANE_OPTIONS}) -> None: ...

@final
class Program:
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> tuple[Argument, ...]: ...
    @property
    def text(self) -> str: ...
    @property
    def digest(self) -> str: ...
    def launch(self, *args: Tensor | Scalar | Buffer | SupportsDLPack, lanes: builtins.int | tuple[builtins.int, ...], {_LANE_OPTIONS}) -> None: ...
    def __call__(self, *args: Never, **kwargs: Never) -> NoReturn: ...
    def __getitem__(self, lanes: builtins.int | tuple[builtins.int, ...], /) -> Launcher: ...
    def __len__(self) -> builtins.int: ...
    def __eq__(self, other: object, /) -> builtins.bool: ...
    def __hash__(self) -> builtins.int: ...
    def __reduce__(self) -> tuple[Any, ...]: ...'''

_STUB_HEAD = '''"""Types of the native module.

{notice}
"""

import builtins
from collections.abc import Iterator, Sequence
from types import EllipsisType, TracebackType
from typing import Any, ClassVar, Never, NoReturn, Protocol, SupportsIndex, TypeAlias, final

from typing_extensions import Buffer, CapsuleType

{records}

__all__ = [
{names}
]

__version__: str

Scalar: TypeAlias = builtins.bool | builtins.int | builtins.float | complex
ArrayLike: TypeAlias = Tensor | Scalar | Sequence[Any] | Buffer | SupportsDLPack
DTypeLike: TypeAlias = NamedDType | str | type[Any]
Device: TypeAlias = str
Key: TypeAlias = SupportsIndex | slice | EllipsisType | None | ArrayLike | tuple[Any, ...]

class SupportsDLPack(Protocol):
    def __dlpack__(self, *, stream: Any = ..., max_version: Any = ..., dl_device: Any = ..., copy: Any = ...) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]: ...

class NamedDType(Protocol):
    @property
    def name(self) -> str: ...

@final
class DType:
    def __new__(cls, name: DTypeLike, /) -> DType: ...
    @property
    def name(self) -> str: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def kind(self) -> str: ...

@final
class finfo_object:
    def __new__(cls, type: DTypeLike | Tensor, /) -> finfo_object: ...
    @property
    def bits(self) -> builtins.int: ...
    @property
    def eps(self) -> builtins.float: ...
    @property
    def max(self) -> builtins.float: ...
    @property
    def min(self) -> builtins.float: ...
    @property
    def smallest_normal(self) -> builtins.float: ...
    @property
    def dtype(self) -> DType: ...

@final
class iinfo_object:
    def __new__(cls, type: DTypeLike | Tensor, /) -> iinfo_object: ...
    @property
    def bits(self) -> builtins.int: ...
    @property
    def max(self) -> builtins.int: ...
    @property
    def min(self) -> builtins.int: ...
    @property
    def dtype(self) -> DType: ...

@final
class printoptions:
    def __new__(cls, precision: builtins.int | None = None, threshold: builtins.int | None = None, edgeitems: builtins.int | None = None, linewidth: builtins.int | None = None, suppress: builtins.bool | None = None) -> printoptions: ...
    def __enter__(self) -> printoptions: ...
    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /) -> None: ...

@final
class threads:
    def __new__(cls, n: builtins.int, /) -> threads: ...
    def __enter__(self) -> threads: ...
    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /) -> None: ...

{lanes}

@final
class Tensor:
    __array_ufunc__: ClassVar[None]
    def __new__(cls, obj: ArrayLike, /, *, dtype: DTypeLike | None = None, device: Device | None = None, copy: builtins.bool | None = None) -> Tensor: ...
    @property
    def shape(self) -> tuple[builtins.int, ...]: ...
    @property
    def dtype(self) -> DType: ...
    @property
    def ndim(self) -> builtins.int: ...
    @property
    def size(self) -> builtins.int: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def nbytes(self) -> builtins.int: ...
    @property
    def strides(self) -> tuple[builtins.int, ...]: ...
    @property
    def device(self) -> Device: ...
    @property
    def readonly(self) -> builtins.bool: ...
    @property
    def T(self) -> Tensor: ...
    @property
    def mT(self) -> Tensor: ...
    @property
    def real(self) -> Tensor: ...
    @property
    def imag(self) -> Tensor: ...
    def copy(self) -> Tensor: ...
    def item(self) -> Scalar: ...
    def tolist(self) -> Any: ...
    def to_device(self, device: Device, /, *, stream: Any = None) -> Tensor: ...
    def __array__(self, dtype: Any = None, *, copy: builtins.bool | None = None) -> Any: ...
    def __array_namespace__(self, *, api_version: str | None = None) -> Any: ...
    def __dlpack__(self, *, stream: Any = None, max_version: tuple[builtins.int, builtins.int] | None = None, dl_device: tuple[builtins.int, builtins.int] | None = None, copy: builtins.bool | None = None) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]: ...
    def __buffer__(self, flags: builtins.int, /) -> memoryview: ...
    def __len__(self) -> builtins.int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __contains__(self, value: object, /) -> builtins.bool: ...
    def __getitem__(self, key: Key, /) -> Tensor: ...
    def __setitem__(self, key: Key, value: ArrayLike, /) -> None: ...
    def __bool__(self) -> builtins.bool: ...
    def __int__(self) -> builtins.int: ...
    def __float__(self) -> builtins.float: ...
    def __complex__(self) -> complex: ...
    def __index__(self) -> builtins.int: ...
    def __copy__(self) -> Tensor: ...
    def __deepcopy__(self, memo: Any, /) -> Tensor: ...
    def __reduce_ex__(self, protocol: SupportsIndex, /) -> tuple[Any, ...]: ...
    def __sizeof__(self) -> builtins.int: ...
    def __divmod__(self, other: ArrayLike, /) -> tuple[Tensor, Tensor]: ...
    def __rdivmod__(self, other: ArrayLike, /) -> tuple[Tensor, Tensor]: ...
    def __matmul__(self, other: ArrayLike, /) -> Tensor: ...
    def __rmatmul__(self, other: ArrayLike, /) -> Tensor: ...
    def __imatmul__(self, other: ArrayLike, /) -> Tensor: ...
'''


def _stub_signature(row: Elementwise | Reduction | Function, method: bool) -> str:
    params = parameters(signature(row))
    parts = ["self"] if method else []
    params = params[1:] if method else params
    kinds = [p.kind for p in params]
    for i, p in enumerate(params):
        if p.kind == "keyword" and "variadic" not in kinds and (i == 0 or kinds[i - 1] != "keyword"):
            parts.append("*")
        annotation = re.sub(r"\b(bool|int|float)\b", r"builtins.\1", p.annotation)
        text = ("*" if p.kind == "variadic" else "") + f"{p.name}: {annotation}"
        parts.append(text if p.default is None else f"{text} = {p.default}")
        if p.kind == "positional" and (i + 1 == len(kinds) or kinds[i + 1] != "positional"):
            parts.append("/")
    result = re.sub(r"\b(bool|int|float)\b", r"builtins.\1", returns(row))
    return f"def {row.name}({', '.join(parts)}) -> {result}: ..."


def stubs() -> str:
    names = sorted([*_CLASSES, *_LANE_CLASSES, "_backends", "_parse", *(d.name for d in DTYPES), *(row.name for row in ROWS), "__version__", "_missing_name", "_panic", "_rebuild", "_register_with_threadpoolctl", "_set_own_threads"])
    records = "\n".join(f"from {module} import {', '.join(classes)}" for module, classes in _RECORDS.items())
    out = [_STUB_HEAD.format(notice=NOTICE, records=records, lanes=_LANE_STUBS, names="\n".join(f'    "{n}",' for n in names)).rstrip("\n")]
    out += [f"    {_stub_signature(row, method=True)}" for row in ROWS if is_method(row)]
    for op in (*UNARY, *BINARY):
        if not op.operator:
            continue
        if op.arity == 1:
            out.append(f"    def __{op.operator}__(self) -> Tensor: ...")
        elif op.operator in _COMPARISONS:
            ignore = "  # type: ignore[override]" if op.operator in {"eq", "ne"} else ""
            out.append(f"    def __{op.operator}__(self, other: ArrayLike, /) -> Tensor: ...{ignore}")
        else:
            # The third operand of pow() exists for __pow__ and __rpow__ alone.
            modulo = ", modulo: None = None" if op.operator == "pow" else ""
            for prefix, rest in (("", modulo), ("r", modulo), ("i", "")):
                ignore = "  # type: ignore[misc]" if rest != modulo else ""
                out.append(f"    def __{prefix}{op.operator}__(self, other: ArrayLike{rest}, /) -> Tensor: ...{ignore}")
    out.append("    __hash__: ClassVar[None]  # type: ignore[assignment]")
    out.append("")
    out += [f"{d.name}: DType" for d in DTYPES]
    out.append("")
    out += [_stub_signature(row, method=False) for row in ROWS]
    out.append("def _backends() -> tuple[Backend, ...]: ...")
    out.append("def _parse(text: str, filename: str, /) -> Program: ...")
    out.append("def _panic(on_worker: builtins.bool, /) -> None: ...")
    out.append("def _register_with_threadpoolctl() -> None: ...")
    out.append("def _set_own_threads(n: builtins.int, /) -> None: ...")
    out.append("def _rebuild(buffer: Buffer, dtype: DType, shape: tuple[builtins.int, ...], /) -> Tensor: ...")
    out.append("def _missing_name(name: str, /) -> Any: ...")
    return "\n".join(out) + "\n"


def files() -> dict[str, str]:
    base = "rust/corepy-python/src/generated"
    return {
        f"{base}/mod.rs": f"//! What ops/generate.py writes for the bindings.\n//! {NOTICE}\n\npub mod calls;\npub mod functions;\npub mod methods;\npub mod names;\n",
        f"{base}/calls.rs": call_facts(),
        f"{base}/names.rs": names(),
        ".ci/stubtest_absent.txt": "".join(f"corepy._native.Tensor.{name}\n" for name, _ in absent_attributes()),
        f"{base}/functions.rs": native_functions(),
        f"{base}/methods.rs": native_methods(),
        "python/corepy/__init__.py": package(),
        "python/corepy/_native.pyi": stubs(),
        "python/corepy/errors.py": error_classes(),
    }
