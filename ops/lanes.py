"""Lane programs as data: their types, instructions beside the elementwise ones, and messages.

The elementwise instructions are the rows of `table.py` that have a mnemonic; this file adds what no
tensor operation is: moves, memory, control flow and block-wide instructions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.dtypes import DTYPE_SETS
from ops.table import BINARY, UNARY, Elementwise

# A type's name in programs and the dtype whose elements it computes with. Storage types come last:
# no register holds them.
TYPES = (
    ("b1", "bool"),
    ("i8", "int8"),
    ("i16", "int16"),
    ("i32", "int32"),
    ("i64", "int64"),
    ("u8", "uint8"),
    ("u16", "uint16"),
    ("u32", "uint32"),
    ("u64", "uint64"),
    ("f32", "float32"),
    ("f64", "float64"),
    ("f16", "float16"),
    ("bf16", "bfloat16"),
)

# Sets of types by name: those of dtypes.py, cut to the types of programs, and two more.
_OWN_SETS = {"half": ("float16", "bfloat16"), "int64": ("int64",)}


def type_set(name: str) -> tuple[str, ...]:
    """The types of a named set, in the order of TYPES."""
    dtypes = _OWN_SETS.get(name) or DTYPE_SETS[name]
    return tuple(t for t, dtype in TYPES if dtype in dtypes)


@dataclass(frozen=True)
class Combine:
    """An operation that folds many values into one: red, redsh, reduce and scan take these."""

    mnemonic: str  # of the elementwise operation that folds two
    red: str  # types that red and redsh take; empty: none
    reduce: str
    scan: str


# red takes what cannot show its order, so no float add. b1 has no atomic update in memory.
COMBINES = (
    Combine("add", "integer", "real", "real"),
    Combine("mul", "", "real", "real"),
    Combine("min", "real", "real", "real"),
    Combine("max", "real", "real", "real"),
    Combine("and", "integer", "bool_or_integer", ""),
    Combine("or", "integer", "bool_or_integer", ""),
    Combine("xor", "integer", "bool_or_integer", ""),
)


@dataclass(frozen=True)
class Instruction:
    """An instruction that is no elementwise operation.

    Operands, in order: `>T` writes a register of the instruction's type, `T` reads a value of it; in
    place of T also S (the second type), W (T, or f32 where T is a storage type), b1, i64 and f32.
    `global` and `shared` are accesses, `buffer` a buffer's name, `axis` the number of one of its axes,
    `label` a label, `message` a text, `condition` an optional b1 value that `!` may negate.
    """

    mnemonic: str
    suffix: str  # what follows the mnemonic: "" | T | T.S | C.T (a combine operation, then a type)
    types: str  # set of types; of C.T instructions the field of Combine that holds it
    operands: str
    group: str
    doc: str


INSTRUCTIONS = (
    Instruction("mov", "T", "real_or_bool", ">T T", "move", "Copies a value; every bit is kept."),
    Instruction("cvt", "T.S", "real_or_bool", ">T S", "move", "Converts to T from S: float to integer truncates and saturates, NaN gives 0; integers wrap; to b1 is != 0; from b1 gives 0 or 1; to a float rounds to nearest even."),
    Instruction("ldg", "T", "storage", ">W global", "global", "Loads an element of a buffer. f16 and bf16 give f32; any byte but 0 is true."),
    Instruction("stg", "T", "storage", "global W", "global", "Stores an element of a buffer. f16 and bf16 round an f32 to nearest even."),
    Instruction("dim", "T", "int64", ">T buffer axis", "global", "The extent of a buffer's axis."),
    Instruction("lds", "T", "real_or_bool", ">T shared", "shared", "Loads an element of a shared array."),
    Instruction("sts", "T", "real_or_bool", "shared T", "shared", "Stores an element of a shared array; the block sees it after the next barrier."),
    Instruction("red", "C.T", "red", "global T", "combine", "Updates an element of a buffer atomically, without a result."),
    Instruction("redsh", "C.T", "red", "shared T", "combine", "Updates an element of a shared array atomically, without a result."),
    Instruction("fma", "T", "real_floating", ">T T T T", "arithmetic", "a * b + c, rounded once."),
    Instruction("mad", "T", "integer", ">T T T T", "arithmetic", "a * b + c, wrapping."),
    Instruction("rnd", "T", "half", ">f32 f32", "rounding", "Rounds an f32 to the values of a storage type, ties to even."),
    Instruction("sel", "T", "real_or_bool", ">T b1 T T", "select", "The second operand where the first is true, else the third; every bit is kept."),
    Instruction("bra", "", "", "condition label", "branch", "Goes on at a label."),
    Instruction("loop", "", "", ">i64 i64", "loop", "Runs the body for a counter from 0 to n - 1; n is read once."),
    Instruction("endloop", "", "", "", "loop", "Ends the body of the innermost loop."),
    Instruction("break", "", "", "condition", "loop", "Leaves the innermost loop."),
    Instruction("continue", "", "", "condition", "loop", "Goes on at the innermost loop's endloop."),
    Instruction("call", "", "", "label", "call", "Runs a subroutine, which shares the registers."),
    Instruction("ret", "", "", "", "call", "Ends a subroutine."),
    Instruction("barrier", "", "", "", "block", "Waits for all lanes of the block that have not exited; what they stored can then be loaded."),
    Instruction("reduce", "C.T", "reduce", ">T T", "block", "Folds the values of the block's lanes and gives every lane the result."),
    Instruction("scan", "C.T", "scan", ">T T", "block", "Folds the values of the block's lanes up to and with each lane."),
    Instruction("exit", "", "", "", "end", "Ends the lane."),
    Instruction("assert", "", "", "b1 message", "end", "A false value is a fault."),
    Instruction("fence", "", "", "", "end", "Orders a lane's own accesses; they are ordered already."),
)  # fmt: skip

# Elementary functions that programs know by name. Those without a row in the op table are refused by name.
ELEMENTARY = (
    "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin",
    "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh",
    "acosh", "atanh", "pow", "atan2", "hypot", "sigmoid",
)  # fmt: skip


def mnemonics() -> dict[str, Elementwise]:
    """The elementwise instructions by mnemonic."""
    found: dict[str, Elementwise] = {}
    for row in UNARY + BINARY:
        if row.mnemonic:
            assert row.mnemonic not in found, row.mnemonic
            found[row.mnemonic] = row
    own = {i.mnemonic for i in INSTRUCTIONS}
    assert not own & found.keys(), own & found.keys()
    return found


def lane_types(row: Elementwise) -> tuple[str, ...]:
    """The types that an elementwise instruction takes: elementary functions are for floats alone."""
    return type_set("real_floating" if row.mnemonic in ELEMENTARY else row.dtypes)


def absent() -> tuple[str, ...]:
    """Elementary functions that no row of the op table computes."""
    return tuple(m for m in ELEMENTARY if m not in mnemonics())


@dataclass(frozen=True)
class Message:
    name: str  # Rust variant
    rule: str  # what the error's `rule` says; of parse errors and faults unused
    text: str  # {field} is filled in
    fields: str = ""  # "name: rust type, ..."


# What other languages call an instruction, where it is not a letter or two away.
FOREIGN = (
    ("atom", "red"), ("atomic", "red"), ("bar", "barrier"), ("branch", "bra"), ("brk", "break"), ("cast", "cvt"), ("cmp", "seteq"),
    ("goto", "bra"), ("halt", "exit"), ("jmp", "bra"), ("jump", "bra"), ("ld", "ldg"), ("load", "ldg"), ("mod", "rem"), ("move", "mov"),
    ("return", "ret"), ("select", "sel"), ("setp", "seteq"), ("st", "stg"), ("store", "stg"), ("sync", "barrier"), ("syncthreads", "barrier"),
)  # fmt: skip

# Why a text is no program.
SYNTAX = (
    Message("Expected", "", "expected {expected}, found {found}", "expected: &'static str, found: String"),
    Message("Character", "", "unexpected character {character:?}", "character: char"),
    Message("Number", "", "{text} is not a number", "text: String"),
    Message("Unclosed", "", "the message has no closing quote"),
    Message("Escape", "", "\\\\{escape} is no escape; there are \\\\\\\" \\\\\\\\ \\\\n \\\\t \\\\r \\\\u{{hex}}", "escape: String"),
    Message("TooLong", "", "{count} {what} are more than {limit}", "count: usize, what: &'static str, limit: usize"),
    Message("FileName", "", "expected the text of a program, found the name of a file, which load reads"),
    Message("Late", "", "declarations stand before the first instruction and label"),
)  # fmt: skip

# What the verifier refuses, one rule a check.
VERIFY = (
    Message("UnknownOpcode", "opcode", "{opcode} is not an instruction{instead}", "opcode: String, instead: String"),
    Message("AbsentOpcode", "opcode", "{opcode} is not available: corepy has no such operation yet", "opcode: String"),
    Message("UnknownCombine", "opcode", "{opcode} has no {combine}; it has {known}", "opcode: &'static str, combine: String, known: String"),
    Message("Suffix", "type", "{opcode} is written {form}", "opcode: String, form: String"),
    Message("UnknownType", "type", f"{{given}} is not a type, as {', '.join(name for name, _ in TYPES)} are{{instead}}", "given: String, instead: String"),
    Message("TypeRefused", "type", "{opcode} does not take {given}; it takes {accepted}", "opcode: String, given: &'static str, accepted: String"),
    Message("ElementType", "type", "{name} holds {held}, not {given}", "name: String, held: &'static str, given: &'static str"),
    Message("OperandCount", "operand-count", "{opcode} takes {needed}, not {given}", "opcode: String, needed: &'static str, given: usize"),
    Message("OperandKind", "operand-type", "operand {number} is to be {needed}, not {given}", "number: usize, needed: String, given: String"),
    Message("Immediate", "immediate", "{text} is not a value of {needed}", "text: String, needed: &'static str"),
    Message("RegisterType", "register-type", "register {name} is {given} here and {other} on line {line}", "name: String, given: &'static str, other: &'static str, line: u32"),
    Message("Unwritten", "unwritten", "register {name} is read before it is written", "name: String"),
    Message("ReadOnly", "read-only", "{name} is {what} and cannot be written", "name: String, what: &'static str"),
    Message("StoreToIn", "store-to-in", "{buffer} is an in buffer and cannot be stored to", "buffer: String"),
    Message("LoadFromOut", "load-from-out", "{buffer} is an out buffer and cannot be loaded from", "buffer: String"),
    Message("RedNeedsInout", "red-needs-inout", "{buffer} is an {mode} buffer, and red needs an inout buffer", "buffer: String, mode: &'static str"),
    Message("Rank", "rank", "{name} has rank {axes}, and the access has rank {given}", "name: String, axes: usize, given: usize"),
    Message("Axis", "rank", "{name} has rank {axes} and no axis {given}", "name: String, axes: usize, given: String"),
    Message("UnknownLabel", "label", "there is no label {name}", "name: String"),
    Message("RepeatedLabel", "label", "label {name} stands on line {line} already", "name: String, line: u32"),
    Message("LabelAtEnd", "label", "no instruction follows label {name}", "name: String"),
    Message("RepeatedName", "name", "{name} is {what} already, on line {line}", "name: String, what: &'static str, line: u32"),
    Message("UnknownName", "name", "there is no {what} {name}", "name: String, what: &'static str"),
    Message("BadName", "name", "{name:?} is not a name", "name: String"),
    Message("DeclaredType", "declaration", "{what} {name} cannot hold {given}", "what: &'static str, name: String, given: String"),
    Message("DeclaredAxes", "declaration", "{name} has {axes|axis|axes}; 1 to 6 are possible", "name: String, axes: usize"),
    Message("DeclaredExtent", "declaration", "extent {given} of {name} is not a whole number above 0", "name: String, given: String"),
    Message("LoopJump", "loop-jump", "label {name} is {place} the loop on line {line}", "name: String, place: &'static str, line: u32"),
    Message("SubroutineJump", "subroutine-jump", "{first} and {second} share this instruction", "first: String, second: String"),
    Message("OpenLoop", "unbalanced-loop", "loop without endloop"),
    Message("NoLoop", "unbalanced-loop", "{opcode} outside of a loop", "opcode: &'static str"),
    Message("Recursion", "recursion", "{name} calls itself: {path}", "name: String, path: String"),
    Message("Return", "ret-outside", "ret outside of a subroutine"),
    Message("FallsOff", "falls-off", "the program runs off its end after this instruction"),
    Message("Empty", "falls-off", "the program has no instructions"),
    Message("Limit", "limit", "{count} {what} are more than {limit}", "count: u64, what: &'static str, limit: u64"),
)  # fmt: skip

# What ends a launch while it runs.
FAULTS = (
    Message("OutOfBounds", "", "index {index} is out of bounds for {array} with shape {shape}", "array: String, index: String, shape: String"),
    Message("ZeroDivision", "", "integer division by zero"),
    Message("Exponent", "", "exponent {exponent}: only whole numbers and 0.5 are supported", "exponent: f64"),
    Message("Assertion", "", "assertion failed: {message}", "message: String"),
    Message("Barrier", "", "waits here, while lane {lane} waits at line {line}: {instruction}", "lane: String, line: u32, instruction: String"),
    Message("StepLimit", "", "the step limit of {limit} is used up", "limit: u64"),
    Message("Race", "", "{element} is accessed by lane {first} on line {line} and by this lane, without a barrier between them", "element: String, first: String, line: u32"),
)  # fmt: skip
