"""The Rust side of the table: dtypes, promotion, op metadata, errors, the C ABI."""

from __future__ import annotations

import re

from ops import abi
from ops.cost_classes import CLASSES, COSTS, LEAST, MOST, VERSION, shipped
from ops.dtypes import DTYPE_SETS, DTYPES, PROMOTION
from ops.emit_c import NOTICE, families, struct_sizes
from ops.errors import ERRORS
from ops.lanes import COMBINES
from ops.messages import attribute
from ops.table import BINARY, KERNEL_REDUCTIONS, REDUCTIONS, UNARY, Elementwise

_RUST_TYPES = {
    "void *": "*mut u8",
    "const void *": "*const u8",
    "int64_t *": "*mut i64",
    "const int64_t *": "*const i64",
    "uint64_t *": "*mut u64",
    "const uint64_t *": "*const u64",
    "double *": "*mut f64",
    "size_t ": "usize",
    "ptrdiff_t ": "isize",
    "double ": "f64",
    "int64_t ": "i64",
    "uint32_t ": "u32",
    "uint64_t ": "u64",
}


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def head(what: str) -> str:
    return f"//! {what}\n//! {NOTICE}\n\n"


def dtypes() -> str:
    out = [head("The dtypes and the promotion table.")]
    out.append("/// Element type of a tensor; the number is the dtype's place in every kernel table.")
    out.append("#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]\n#[repr(u8)]\npub enum DType {")
    out += [f"    {camel(d.name)} = {i}," for i, d in enumerate(DTYPES)]
    out.append("}\n")
    out.append("/// What kind of number a dtype holds.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum Kind { Bool, Signed, Unsigned, Floating, Complex }\n")
    out.append("/// Facts of one dtype.\npub struct Info { pub name: &'static str, pub kind: Kind, pub itemsize: usize, pub format: &'static str, pub computes: bool }\n")
    kinds = {"b": "Bool", "i": "Signed", "u": "Unsigned", "f": "Floating", "c": "Complex"}
    out.append(f"pub const DTYPES: usize = {len(DTYPES)};")
    out.append("pub const ALL: [DType; DTYPES] = [" + ", ".join(f"DType::{camel(d.name)}" for d in DTYPES) + "];")
    out.append("pub static INFO: [Info; DTYPES] = [")
    out += [f'    Info {{ name: "{d.name}", kind: Kind::{kinds[d.kind]}, itemsize: {d.itemsize}, format: "{d.format}", computes: {str(d.compute).lower()} }},' for d in DTYPES]
    out.append("];\n")
    out.append("/// PROMOTION[a][b] is the dtype number that two arrays compute in; 255 where there is none.\npub static PROMOTION: [[u8; DTYPES]; DTYPES] = [")
    number = {d.name: i for i, d in enumerate(DTYPES)}
    for a in DTYPES:
        row = [str(number[PROMOTION[a.name, b.name]]) if (a.name, b.name) in PROMOTION else "255" for b in DTYPES]
        out.append(f"    [{', '.join(row)}], // {a.name}")
    out.append("];\n")
    out.append("/// Named sets of dtypes, bit i for dtype number i.")
    for name, members in DTYPE_SETS.items():
        bits = sum(1 << number[m] for m in members)
        out.append(f'pub const {name.upper()}: DTypeSet = DTypeSet {{ bits: {bits:#x}, names: "{", ".join(members)}" }};')
    out.append("\n/// A set of dtypes with its members' names for messages.\n#[derive(Clone, Copy, Debug)]\npub struct DTypeSet { pub bits: u32, pub names: &'static str }\n")
    return "\n".join(out)


def ops() -> str:
    out = [head("Metadata of every operation."), "use super::costs::Class;\nuse super::dtypes::{self, DType, DTypeSet};\n"]
    out.append("/// Dtype of the result, given the compute dtype.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum ResultRule { Same, Bool, Real, Sum, Index, Floating }\n")
    out.append("/// Dtype of the computation, given the promoted dtype.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum ComputeRule { Promote, Floating, Bool }\n")
    out.append("/// What the fault index of a kernel means.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum Fault { None, ZeroDivision, Exponent }\n")
    out.append("/// One elementwise operation.\npub struct Elementwise { pub name: &'static str, pub mnemonic: &'static str, pub dtypes: DTypeSet, pub result: ResultRule, pub compute: ComputeRule, pub fault: Fault, pub commutative: bool, pub comparison: bool, pub cost: Class }\n")

    def enum(name: str, doc: str, rows: list[str]) -> None:
        out.append(f"/// {doc}\n#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]\n#[repr(u8)]\npub enum {name} {{")
        out.extend(f"    {camel(r)} = {i}," for i, r in enumerate(rows))
        out.append("}\n")
        out.append(f"impl {name} {{\n    pub const COUNT: usize = {len(rows)};\n    pub const ALL: [{name}; {len(rows)}] = [" + ", ".join(f"{name}::{camel(r)}" for r in rows) + "];\n}\n")

    def table(name: str, rows: tuple[Elementwise, ...]) -> None:
        out.append(f"pub static {name}: [Elementwise; {len(rows)}] = [")
        for r in rows:
            fault = camel(r.fault) if r.fault else "None"
            out.append(
                f'    Elementwise {{ name: "{r.name}", mnemonic: "{r.mnemonic}", dtypes: dtypes::{r.dtypes.upper()}, result: ResultRule::{camel(r.result)},'
                f" compute: ComputeRule::{camel(r.compute)}, fault: Fault::{fault}, commutative: {str('commutative' in r.sets).lower()}, comparison: {str('comparison' in r.sets).lower()}, cost: Class::{camel(r.cost)} }},"
            )
        out.append("];\n")

    enum("Unary", "Elementwise operations of one operand.", [r.name for r in UNARY])
    table("UNARY", UNARY)
    enum("Binary", "Elementwise operations of two operands.", [r.name for r in BINARY])
    table("BINARY", BINARY)
    enum("Cumulative", "Running totals.", list(abi.CUMULATIVE))
    out.append(f"/// The dtypes that running totals are kept in.\npub const CUMULATIVE_DTYPES: [DType; {len(abi.CUMULATIVE_DTYPES)}] = [{', '.join(f'DType::{camel(d)}' for d in abi.CUMULATIVE_DTYPES)}];\n")
    enum("Family", "Reduction kernel families.", list(families()))
    enum("Reduce", "Reductions.", [r.name for r in REDUCTIONS])
    out.append("/// One reduction.\npub struct Reduction { pub name: &'static str, pub family: Family, pub dtypes: DTypeSet, pub result: ResultRule, pub one_axis: bool, pub empty_is_error: bool }\n")
    out.append(f"pub static REDUCTIONS: [Reduction; {len(REDUCTIONS)}] = [")
    for r in REDUCTIONS:
        out.append(
            f'    Reduction {{ name: "{r.name}", family: Family::{camel(r.family)}, dtypes: dtypes::{r.dtypes.upper()}, result: ResultRule::{camel(r.result)},'
            f" one_axis: {str(r.axes == 'one').lower()}, empty_is_error: {str(r.empty == 'error').lower()} }},"
        )
    out.append("];")
    out.append("/// The dtypes each family has kernels for.")
    out.append(f"pub static FAMILY_DTYPES: [DTypeSet; {len(families())}] = [")
    by_family = {r.family: r.dtypes for r in reversed(KERNEL_REDUCTIONS)}
    out += [f"    dtypes::{by_family[f].upper()}," for f in families()]
    out.append("];\n")
    out.append("/// The class that each family's elements cost as much as.")
    out.append(f"pub static FAMILY_COSTS: [Class; {len(families())}] = [")
    costs = {r.family: r.cost for r in reversed(KERNEL_REDUCTIONS)}
    out += [f"    Class::{camel(costs[f])}," for f in families()]
    out.append("];\n")
    return "\n".join(out)


def costs() -> str:
    out = [head("What tables of costs hold, and the shipped ones."), "use super::dtypes::{DTYPES, DTypeSet};\n"]
    out.append(f"/// The version of the file's format.\npub const VERSION: u32 = {VERSION};\n")
    out.append("/// One number of a machine.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum Cost {")
    out += [f"    /// {c.doc}.\n    {camel(c.name)}," for c in COSTS]
    out.append("}\n")
    out.append("/// A number's name, and between what it is believed.\npub struct Line { pub cost: Cost, pub name: &'static str, pub least: f64, pub most: f64 }\n")
    out.append(f"pub const COSTS: usize = {len(COSTS)};\npub static LINES: [Line; COSTS] = [")
    out += [f'    Line {{ cost: Cost::{camel(c.name)}, name: "{c.name}", least: {float(c.least)!r}, most: {float(c.most)!r} }},' for c in COSTS]
    out.append("];\n")
    out.append("/// Operations that cost about the same: ns an element, of elements in the second-level cache.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\n#[repr(u8)]\npub enum Class {")
    out += [f"    /// {c.doc}.\n    {camel(c.name)}," for c in CLASSES]
    out.append("}\n")
    out.append("/// A class's name, and the dtypes that it has a cost for.\npub struct Row { pub class: Class, pub name: &'static str, pub dtypes: DTypeSet }\n")
    out.append(f"pub const CLASSES: usize = {len(CLASSES)};\n/// Between what the cost of an element is believed.\npub const LEAST: f64 = {LEAST!r};\npub const MOST: f64 = {MOST!r};\npub static ROWS: [Row; CLASSES] = [")
    for c in CLASSES:
        bits = sum(1 << i for i, d in enumerate(DTYPES) if d.name in c.dtypes)
        out.append(f'    Row {{ class: Class::{camel(c.name)}, name: "{c.name}", dtypes: DTypeSet {{ bits: {bits:#x}, names: "{", ".join(c.dtypes)}" }} }},')
    out.append("];\n")
    out.append("/// A number for each line, and for each class and dtype that it takes; 0 for the others.\n#[derive(Clone, Debug, PartialEq)]\npub struct Table { pub costs: [f64; COSTS], pub elements: [[f64; DTYPES]; CLASSES] }\n")
    out.append("/// A table that comes with corepy, and what it was measured on.\npub struct Shipped { pub level: &'static str, pub processor: &'static str, pub processors: usize, pub table: Table }\n")
    tables = shipped()
    out.append(f"/// One for each SIMD level.\npub static SHIPPED: [Shipped; {len(tables)}] = [")
    for t in tables:
        out.append(f'    Shipped {{ level: "{t.level}", processor: "{t.processor}", processors: {t.processors}, table: Table {{')
        out.append(f"        costs: [{', '.join(map(repr, t.costs))}],\n        elements: [")
        for c, row in zip(CLASSES, t.elements, strict=True):
            out.append(f"            [{', '.join(repr(v or 0.0) for v in row)}], // {c.name}")
        out.append("        ],\n    } },")
    out.append("];\n")
    return "\n".join(out)


def errors() -> str:
    out = [head("Every error that corepy raises on purpose.")]
    out.append("/// An error with the values it is about; `Display` is the exact message.\n#[derive(Clone, Debug, PartialEq, thiserror::Error)]\npub enum Error {")
    for e in ERRORS:
        fields = []
        for part in filter(None, (p.strip() for p in e.fields.split(","))):
            fields.append("op: &'static str" if part == "op" else part)
        out.append(f"    {attribute(e.message)}")
        out.append(f"    {e.name} {{ {', '.join(fields)} }},")
    out.append("}\n")
    out.append("impl Error {\n    /// Name of the Python exception class.\n    pub fn class(&self) -> &'static str {\n        match self {")
    out += [f'            Error::{e.name} {{ .. }} => "{e.python}",' for e in ERRORS]
    out.append("        }\n    }\n}\n")
    return "\n".join(out)


def _parameters(text: str) -> str:
    found = []
    for p in text.split(","):
        match = re.fullmatch(r"(.*?[ *])(\w+)", p.strip())
        assert match, p
        kind, name = match.groups()
        found.append(f"{'in_' if name == 'in' else name}: {_RUST_TYPES[kind]}")
    return ", ".join(found)


def abi_bindings() -> str:
    out = [head("The C ABI of the kernels."), "#![allow(non_camel_case_types)]\n"]
    results = {"void": "", "uint64_t": " -> u64"}
    for name, value in (
        ("ABI_VERSION: u32", abi.VERSION),
        ("DTYPES: usize", len(DTYPES)),
        ("UNARY_OPS: usize", len(UNARY)),
        ("BINARY_OPS: usize", len(BINARY)),
        ("REDUCE_OPS: usize", len(families())),
        ("CUMULATIVE_OPS: usize", len(abi.CUMULATIVE)),
        ("FORMS: usize", len(abi.FORMS)),
        ("WIDTHS: usize", len(abi.WIDTHS)),
        ("LANE_WIDTHS: usize", len(abi.LANE_WIDTHS)),
        ("MULTIPLY_ADD_FORMS: usize", len(abi.MULTIPLY_ADD_FORMS)),
        ("COMBINE_OPS: usize", len(COMBINES)),
        ("BLOCK: usize", abi.BLOCK),
        ("STRIPES: usize", abi.STRIPES),
        ("PANEL: usize", abi.PANEL),
        ("MOST_VECTORS: usize", abi.MOST_VECTORS),
    ):
        out.append(f"pub const {name} = {value};")
    out.append("")
    for f in abi.FUNCTIONS:
        out.append(f"/// {f.doc}\npub type {f.name} = unsafe extern \"C\" fn({_parameters(f.parameters)}){results[f.result]};\n")
    structs = {s.name for s in abi.STRUCTS}
    plain = {"uint32_t": "u32", "size_t": "usize"}
    for s in abi.STRUCTS:
        out.append(f"/// {s.doc}\n#[repr(C)]\n#[derive(Clone)]\npub struct {s.name} {{")
        for kind, name, extents in s.fields:
            rust = plain.get(kind) or (kind if kind in structs else f"Option<{kind}>")
            for e in reversed(extents):
                rust = f"[{rust}; {e}]"
            out.append(f"    pub {name}: {rust},")
        out.append("}\n")
    for name, value in struct_sizes().items():
        if "." in name:
            struct, fieldname = name.split(".")
            out.append(f"const _: () = assert!(std::mem::offset_of!({struct}, {fieldname}) == {value});")
        else:
            out.append(f"const _: () = assert!(size_of::<{name}>() == {value});")
    return "\n".join(out) + "\n"


def files() -> dict[str, str]:
    base = "rust/corepy-runtime/src/generated"
    return {
        f"{base}/mod.rs": head("What ops/generate.py writes for the runtime.") + "pub mod abi;\npub mod costs;\npub mod dtypes;\npub mod errors;\npub mod lanes;\npub mod ops;\n",
        f"{base}/dtypes.rs": dtypes(),
        f"{base}/ops.rs": ops(),
        f"{base}/costs.rs": costs(),
        f"{base}/errors.rs": errors(),
        f"{base}/abi.rs": abi_bindings(),
    }
