"""The Rust side of lane programs: types, instructions and messages."""

from __future__ import annotations

from ops.dtypes import BY_NAME
from ops.emit_c import NOTICE
from ops.emit_docs import cell
from ops.emit_rust import camel, head
from ops.lanes import (
    COMBINES,
    FAULTS,
    FOREIGN,
    INSTRUCTIONS,
    SYNTAX,
    TYPES,
    VERIFY,
    Message,
    absent,
    lane_types,
    mnemonics,
    type_set,
)
from ops.messages import attribute
from ops.table import UNARY

_READS = {"T": "Own", "S": "Source", "W": "Wide", "b1": "Truth", "i64": "Index", "f32": "Single"}


def _set(types: tuple[str, ...]) -> str:
    names = [t for t, _ in TYPES]
    return f"TypeSet({sum(1 << names.index(t) for t in types):#x})"


def _slots(operands: str) -> str:
    found = []
    for word in operands.split():
        if word.startswith(">"):
            found.append(f"Slot::Write(Of::{_READS[word[1:]]})")
        elif word in _READS:
            found.append(f"Slot::Read(Of::{_READS[word]})")
        else:
            found.append(f"Slot::{camel(word)}")
    return "&[" + ", ".join(found) + "]"


def _messages(name: str, doc: str, rows: tuple[Message, ...]) -> list[str]:
    out = [f"/// {doc}; `Display` is the exact message.\n#[derive(Clone, Debug, PartialEq, thiserror::Error)]\npub enum {name} {{"]
    for row in rows:
        out.append(f'    {attribute(row.text)}\n    {row.name} {{ {row.fields} }},')
    out.append("}\n")
    if any(row.rule for row in rows):
        out.append(f"impl {name} {{\n    /// Every rule, once.\n    pub const RULES: &[&str] = &[" + ", ".join(f'"{r}"' for r in dict.fromkeys(row.rule for row in rows)) + "];\n")
        out.append("    /// The name of the rule.\n    pub fn rule(&self) -> &'static str {\n        match self {")
        out += [f'            {name}::{row.name} {{ .. }} => "{row.rule}",' for row in rows]
        out.append("        }\n    }\n}\n")
    return out


def lanes() -> str:
    out = [head("Lane programs: types, instructions and messages."), "use super::dtypes::DType;\nuse super::ops::{Binary, Unary};\n"]
    out.append("/// A type of lane programs. Registers hold none of the storage types, which come last.\n#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]\n#[repr(u8)]\npub enum Type {")
    out += [f"    {t.capitalize()} = {i}," for i, (t, _) in enumerate(TYPES)]
    out.append("}\n")
    out.append(f"impl Type {{\n    pub const ALL: [Type; {len(TYPES)}] = [" + ", ".join(f"Type::{t.capitalize()}" for t, _ in TYPES) + "];")
    out.append(f"    const NAMES: [&'static str; {len(TYPES)}] = [" + ", ".join(f'"{t}"' for t, _ in TYPES) + "];")
    out.append(f"    const DTYPES: [DType; {len(TYPES)}] = [" + ", ".join(f"DType::{camel(d)}" for _, d in TYPES) + "];")
    out.append("    /// Its name in programs.\n    #[inline]\n    pub const fn name(self) -> &'static str { Self::NAMES[self as usize] }")
    out.append("    /// The dtype of the tensors whose elements it stands for.\n    #[inline]\n    pub const fn dtype(self) -> DType { Self::DTYPES[self as usize] }\n}\n")
    assert all(d in BY_NAME for _, d in TYPES)
    out.append("/// A set of types, one bit each.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub struct TypeSet(pub u16);\n")
    out.append(f"/// Types that a register can have.\npub const REGISTER_TYPES: TypeSet = {_set(type_set('real_or_bool'))};")
    out.append(f"/// Types that a buffer's elements can have.\npub const MEMORY_TYPES: TypeSet = {_set(type_set('storage'))};\n")
    out.append("/// An operation that folds many values into one.\n#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]\n#[repr(u8)]\npub enum Combine {")
    out += [f"    {c.mnemonic.capitalize()} = {i}," for i, c in enumerate(COMBINES)]
    out.append("}\n")
    rows = mnemonics()
    out.append(f"impl Combine {{\n    pub const ALL: [Combine; {len(COMBINES)}] = [" + ", ".join(f"Combine::{c.mnemonic.capitalize()}" for c in COMBINES) + "];")
    out.append(f"    const NAMES: [&'static str; {len(COMBINES)}] = [" + ", ".join(f'"{c.mnemonic}"' for c in COMBINES) + "];")
    out.append(f"    const BINARY: [Binary; {len(COMBINES)}] = [" + ", ".join(f"Binary::{camel(rows[c.mnemonic].name)}" for c in COMBINES) + "];")
    out.append("    /// Its name in programs.\n    #[inline]\n    pub const fn name(self) -> &'static str { Self::NAMES[self as usize] }")
    out.append("    /// The elementwise operation that folds two values.\n    #[inline]\n    pub const fn binary(self) -> Binary { Self::BINARY[self as usize] }\n}\n")
    out.append("/// An instruction that is no elementwise operation.\n#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]\n#[repr(u8)]\npub enum Own {")
    out += [f"    {camel(i.mnemonic)}," for i in INSTRUCTIONS]
    out.append("}\n")
    out.append("/// What an instruction does, without its types and operands.\n#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]\npub enum Opcode { Unary(Unary), Binary(Binary), Own(Own) }\n")
    out.append("/// The type of an operand: the instruction's, its second one, the register type of a storage type, or a fixed one.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum Of { Own, Source, Wide, Truth, Index, Single }\n")
    out.append("/// One operand of an instruction.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum Slot { Write(Of), Read(Of), Global, Shared, Buffer, Axis, Label, Message, Condition }\n")
    out.append("/// What follows a mnemonic: nothing, a type, two types, or a combine operation and a type.\n#[derive(Clone, Copy, PartialEq, Eq, Debug)]\npub enum Suffix { None, Type, Types, Combine(&'static [(Combine, TypeSet)]) }\n")
    out.append("/// One instruction: how it is written and what it takes.\n#[derive(Clone, Copy, Debug)]\npub struct Row { pub mnemonic: &'static str, pub opcode: Opcode, pub suffix: Suffix, pub types: TypeSet, pub slots: &'static [Slot] }\n")
    table: dict[str, str] = {}
    for mnemonic, r in rows.items():
        arity = "Unary" if r in UNARY else "Binary"
        result = "Slot::Write(Of::Truth)" if r.result == "bool" else "Slot::Write(Of::Own)"
        slots = ", ".join([result] + ["Slot::Read(Of::Own)"] * r.arity)
        table[mnemonic] = f"opcode: Opcode::{arity}({arity}::{camel(r.name)}), suffix: Suffix::Type, types: {_set(lane_types(r))}, slots: &[{slots}]"
    for i in INSTRUCTIONS:
        types = "TypeSet(0)"
        if i.suffix == "C.T":
            pairs = [(c.mnemonic, getattr(c, i.types)) for c in COMBINES if getattr(c, i.types)]
            suffix = "Suffix::Combine(&[" + ", ".join(f"(Combine::{m.capitalize()}, {_set(type_set(t))})" for m, t in pairs) + "])"
        else:
            suffix = {"": "Suffix::None", "T": "Suffix::Type", "T.S": "Suffix::Types"}[i.suffix]
            types = _set(type_set(i.types)) if i.types else types
        table[i.mnemonic] = f"opcode: Opcode::Own(Own::{camel(i.mnemonic)}), suffix: {suffix}, types: {types}, slots: {_slots(i.operands)}"
    out.append(f"/// Every instruction, sorted by mnemonic.\npub static ROWS: [Row; {len(table)}] = [")
    out += [f'    Row {{ mnemonic: "{m}", {table[m]} }},' for m in sorted(table)]
    out.append("];\n")
    out.append("/// Elementary functions that no operation computes.\npub static ABSENT: &[&str] = &[" + ", ".join(f'"{m}"' for m in absent()) + "];\n")
    foreign = ", ".join(f'("{theirs}", "{ours}")' for theirs, ours in FOREIGN)
    out.append(f"/// What other languages call an instruction, and what it is called here.\npub static FOREIGN: &[(&str, &str)] = &[{foreign}];\n")
    out += _messages("Syntax", "Why a text is no program", SYNTAX)
    out += _messages("Violation", "What the verifier refuses", VERIFY)
    out += _messages("Fault", "What ends a launch while it runs", FAULTS)
    return "\n".join(out)


def _operands(words: str) -> str:
    names = {">": "d", "global": "buffer[i, ...]", "shared": "array[i, ...]", "condition": "[p | !p]", "message": '"text"'}
    found: list[str] = []
    values = iter("abcdef")
    for word in words.split():
        if word.startswith(">"):
            found.append(names[">"])
        elif word in _READS:
            found.append(next(values))
        else:
            found.append(names.get(word, word))
    return ", ".join(found)


def page() -> str:
    """The table of instructions for the docs."""
    out = ["# Instructions of lane programs", "", f"<!-- {NOTICE} -->", ""]
    out += ["How programs are written and checked: [lanes.md](lanes.md).", ""]
    out += ["## Elementwise", "", "The operations of tensors, with their bits.", ""]
    out += ["| instruction | types | what |", "|---|---|---|"]
    for mnemonic, r in mnemonics().items():
        operands = ", ".join(["d", *"ab"[: r.arity]])
        result = " The result is b1." if r.result == "bool" else ""
        out.append(f"| `{mnemonic}.T {operands}` | {', '.join(lane_types(r))} | {cell(f'`{r.name}`: {r.doc}{result}')} |")
    for group in dict.fromkeys(i.group for i in INSTRUCTIONS):
        out += ["", f"## {group.capitalize()}", "", "| instruction | types | what |", "|---|---|---|"]
        for i in (row for row in INSTRUCTIONS if row.group == group):
            name = i.mnemonic
            types = ", ".join(type_set(i.types)) if i.types and i.suffix != "C.T" else ""
            if i.suffix == "C.T":
                pairs = [(c.mnemonic, getattr(c, i.types)) for c in COMBINES if getattr(c, i.types)]
                by_types: dict[str, list[str]] = {}
                for mnemonic, taken in pairs:
                    by_types.setdefault(taken, []).append(mnemonic)
                types = "; ".join(f"{' '.join(ms)}: {', '.join(type_set(t))}" for t, ms in by_types.items())
            suffix = {"": "", "T": ".T", "T.S": ".T.S", "C.T": ".op.T"}[i.suffix]
            written = f"{name}{suffix} {_operands(i.operands)}".strip()
            out.append(f"| `{written}` | {types} | {i.doc} |".replace("[p | !p]", "[p \\| !p]"))
    if absent():
        out += ["", "## Not available", "", "Elementary functions that corepy does not compute yet; the verifier refuses them by name:"]
        out += [", ".join(f"`{m}`" for m in absent()) + "."]
    return "\n".join(out) + "\n"


def files() -> dict[str, str]:
    return {"rust/corepy-runtime/src/generated/lanes.rs": lanes(), "docs/lane-instructions.md": page()}
