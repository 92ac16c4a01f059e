"""The operations page of the docs."""

from __future__ import annotations

from ops.dtypes import DTYPE_SETS, DTYPES, PROMOTION
from ops.emit_c import NOTICE
from ops.emit_python import accuracy, parameters, signature, text_signature
from ops.table import BINARY, FUNCTIONS, REDUCTIONS, UNARY, Elementwise, Function, Reduction


def _short(names: tuple[str, ...]) -> str:
    sets = {v: k.replace("_", " ") for k, v in DTYPE_SETS.items()}
    return sets.get(names, ", ".join(names))


def _call(row: Elementwise | Reduction | Function) -> str:
    return f"`{row.name}{text_signature(parameters(signature(row)))}`"


def cell(*texts: str) -> str:
    """Texts as one cell of a table, whose columns a bare bar would end."""
    return " ".join(text for text in texts if text).replace("|", r"\|")


def _elementwise(rows: tuple[Elementwise, ...]) -> list[str]:
    out = ["| function | operator | lane instruction | dtypes | what |", "|---|---|---|---|---|"]
    for r in rows:
        operator = f"`__{r.operator}__`" if r.operator else ""
        mnemonic = f"`{r.mnemonic}`" if r.mnemonic else ""
        what = cell(r.doc, r.notes, accuracy(r.ulp) if r.ulp else "")
        out.append(f"| {_call(r)} | {operator} | {mnemonic} | {_short(DTYPE_SETS[r.dtypes])} | {what} |".replace("  ", " "))
    return [*out, ""]


def page() -> str:
    out = ["# Operations", "", f"<!-- {NOTICE} -->", ""]
    out += ["Every elementwise function and reduction is also a method of `Tensor`; `real` and `imag` are attributes", "there. `float16` and `bfloat16` are for storage: they convert, copy and index, and arithmetic on them is refused by name.", "Where no error is stated, results are exact or correctly rounded, or the text says how they come about. `help(cp.sum)`", "has an example and the errors raised.", ""]
    out += ["## Elementwise, one operand", "", *_elementwise(UNARY)]
    out += ["## Elementwise, two operands", "", *_elementwise(BINARY)]
    out += ["## Reductions", "", "| function | dtypes | what |", "|---|---|---|"]
    for r in REDUCTIONS:
        what = cell(r.doc, r.notes, accuracy(r.ulp, r.condition) if r.ulp else "")
        out.append(f"| {_call(r)} | {_short(DTYPE_SETS[r.dtypes])} | {what} |")
    for category in dict.fromkeys(f.category for f in FUNCTIONS):
        out += ["", f"## {category.capitalize()}", "", "| function | method | what |", "|---|---|---|"]
        out += [f"| {_call(f)} | {'yes' if f.method else ''} | {cell(f.doc, f.notes)} |".replace("  ", " ") for f in FUNCTIONS if f.category == category]
    computing = [d for d in DTYPES if d.compute]
    out += ["", "## Promotion", "", "The dtype that two tensors compute in:", ""]
    out += ["| | " + " | ".join(d.name for d in computing) + " |", "|---" * (len(computing) + 1) + "|"]
    out += [f"| **{a.name}** | " + " | ".join(PROMOTION[a.name, b.name] for b in computing) + " |" for a in computing]
    return "\n".join(out) + "\n"


def files() -> dict[str, str]:
    return {"docs/operations.md": page()}
