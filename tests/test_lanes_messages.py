"""Every message of lane programs from Python: what a text, a rule or a running lane can have wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

import corepy as cp
from lane_backends import every_backend
from ops.lanes import FAULTS, SYNTAX, VERIFY, Message, absent
from ops.messages import plain

HEAD = """\
.kernel k
.param a: f32
.param n: i64
.param p: b1
.buffer x: in f32[:]
.buffer y: inout i32[:, :]
.buffer z: out f32[:]
.shared t: f32[4]
"""
FIRST = HEAD.count("\n") + 1

# For each row: a text, the place (line and column), and the message.
TEXTS: dict[str, tuple[str, tuple[int, int], str]] = {
    "Expected": (".kernel k\n  7", (2, 3), "expected an instruction, a label or a declaration, found `7`"),
    "Character": (".kernel k\n  add\u00e9", (2, 6), "unexpected character '\u00e9'"),
    "Number": (".kernel k\n mov.f32 u, 1.5x", (2, 13), "1.5x is not a number"),
    "Unclosed": ('.kernel k\n assert p, "text', (2, 12), "the message has no closing quote"),
    "Escape": ('.kernel k\n assert p, "a\\q"', (2, 14), '\\q is no escape; there are \\" \\\\ \\n \\t \\r \\u{hex}'),
    "TooLong": (".kernel k\n" + "l:\n" * 262_145, (262_146, 1), "262145 labels and instructions are more than 262144"),
    "FileName": ("programs/saxpy.lanes", (1, 1), "expected the text of a program, found the name of a file, which load reads"),
    "Late": (".kernel k\n exit\n.param a: f32", (3, 1), "declarations stand before the first instruction and label"),
}  # fmt: skip

# For each row: instructions or declarations behind those above, the number of the line among them, and the message.
RULES: dict[str, tuple[str, int, str]] = {
    "UnknownOpcode": ("mul3.f32 u, a, a | exit", 1, "mul3 is not an instruction: did you mean mul?"),
    "AbsentOpcode": (f"{absent()[0] if absent() else 'exp'}.f32 u, a | exit", 1, f"{(absent() or ('exp',))[0]} is not available: corepy has no such operation yet"),
    "UnknownCombine": ("red.mul.i32 y[0, 0], 1 | exit", 1, "red has no mul; it has add, min, max, and, or, xor"),
    "Suffix": ("add u, a, a | exit", 1, "add is written add.type"),
    "UnknownType": ("add.float32 u, a, a | exit", 1, "float32 is not a type, as b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16 are: write f32"),
    "TypeRefused": ("div.i32 u, 2, 3 | exit", 1, "div does not take i32; it takes f32, f64"),
    "ElementType": ("ldg.f64 u, x[0] | exit", 1, "x holds f32, not f64"),
    "OperandCount": ("add.f32 u, a | exit", 1, "add takes 3 operands, not 2"),
    "OperandKind": ("add.f32 u, a, n | exit", 1, "operand 3 is to be a value of f32, not param n of i64"),
    "Immediate": ("mov.i8 u, 300 | exit", 1, "300 is not a value of i8"),
    "RegisterType": ("mov.f32 u, a | mov.f64 u, 1.0 | exit", 2, f"register u is f64 here and f32 on line {FIRST}"),
    "Unwritten": ("bra p, l | mov.f32 u, a | l: | mov.f32 v, u | exit", 4, "register u is read before it is written"),
    "ReadOnly": ("mov.i64 n, 3 | exit", 1, "n is a param and cannot be written"),
    "StoreToIn": ("stg.f32 x[0], a | exit", 1, "x is an in buffer and cannot be stored to"),
    "LoadFromOut": ("ldg.f32 u, z[0] | exit", 1, "z is an out buffer and cannot be loaded from"),
    "RedNeedsInout": ("red.max.f32 z[0], a | exit", 1, "z is an out buffer, and red needs an inout buffer"),
    "Rank": ("ldg.f32 u, x[0, 0] | exit", 1, "x has rank 1, and the access has rank 2"),
    "Axis": ("dim.i64 u, x, 1 | exit", 1, "x has rank 1 and no axis 1"),
    "UnknownLabel": ("bra nowhere | exit", 1, "there is no label nowhere"),
    "RepeatedLabel": ("l: | exit | l: | exit", 3, f"label l stands on line {FIRST} already"),
    "LabelAtEnd": ("exit | l:", 2, "no instruction follows label l"),
    "RepeatedName": ("x: | exit", 1, "x is a buffer already, on line 5"),
    "UnknownName": ("ldg.f32 u, w[0] | exit", 1, "there is no buffer w"),
    "DeclaredType": (".shared s: f16[1] | exit", 1, "shared array s cannot hold f16"),
    "DeclaredAxes": (".buffer s: in f32[:, :, :, :, :, :, :] | exit", 1, "s has 7 axes; 1 to 6 are possible"),
    "DeclaredExtent": (".shared s: f32[0] | exit", 1, "extent 0 of s is not a whole number above 0"),
    "LoopJump": ("bra p, l | loop i, n | l: | endloop | exit", 1, f"label l is inside the loop on line {FIRST + 1}"),
    "SubroutineJump": ("call s | call r | exit | s: | bra q | r: | q: | ret", 8, "subroutine s and subroutine r share this instruction"),
    "OpenLoop": ("loop i, n | exit", 1, "loop without endloop"),
    "NoLoop": ("break p | exit", 1, "break outside of a loop"),
    "Recursion": ("call s | exit | s: | call r | ret | r: | call s | ret", 7, "subroutine s calls itself: s -> r -> s"),
    "Return": ("ret | exit", 1, "ret outside of a subroutine"),
    "FallsOff": ("exit | fence", 2, "the program runs off its end after this instruction"),
    "Empty": ("", 2 - FIRST, "the program has no instructions"),
    "Limit": (".shared s: f64[6144] | exit", 1, "49168 bytes of shared memory are more than 49152"),
}  # fmt: skip

# For each row: the body of a program with `.buffer x: inout i64[:]`, its options, the first instruction that
# faults by its line in the body, the lane, and the message.
LANES: dict[str, tuple[str, dict[str, Any], int, tuple[int, int, int], str]] = {
    "OutOfBounds": ("stg.i64 x[%gid], 1 | exit", {}, 1, (4, 0, 0), "index 4 is out of bounds for x with shape (4,)"),
    "ZeroDivision": ("sub.i64 d, %gid, 3 | rem.i64 q, 7, d | exit", {}, 2, (3, 0, 0), "integer division by zero"),
    "Exponent": ("pow.f64 q, 2, 0.25 | exit", {}, 1, (0, 0, 0), "exponent 0.25: only whole numbers and 0.5 are supported"),
    "Assertion": ('setlt.i64 p, %gid, 2 | assert p, "more than two: \\"three\\"" | exit', {}, 2, (2, 0, 0), 'assertion failed: more than two: "three"'),
    "Barrier": ("setlt.i64 p, %lane, 3 | bra p, l | barrier | exit | l: | reduce.add.i64 s, %gid | exit", {"block": 4}, 6, (0, 0, 0), "waits here, while lane (3, 0, 0) waits at line {at3}: barrier"),
    "StepLimit": ("loop i, 10 | endloop | exit", {"step_limit": 8}, 2, (0, 0, 0), "the step limit of 8 is used up"),
    "Race": ("stg.i64 x[0], %gid | exit", {"check_races": True}, 1, (1, 0, 0), "x[0] is accessed by lane (0, 0, 0) on line {at1} and by this lane, without a barrier between them"),
}  # fmt: skip


def described(row: Message) -> re.Pattern[str]:
    """What a row's messages look like, whatever the fields hold."""
    text = (
        plain(row.text)
        .replace('\\\\\\"', '\\"')
        .replace("\\\\\\\\", "\\\\")
        .replace("\\\\", "\\")
        .replace("{{", "\0")
        .replace("}}", "\1")
    )
    pattern = re.sub(r"\\\{\w+(?::\\\?)?\\\}", "(?s:.+)", re.escape(text))
    return re.compile(pattern.replace("\0", r"\{").replace("\1", r"\}"))


def body(text: str) -> str:
    lines = text.split(" | ") if text else []
    return HEAD + "".join(line + "\n" for line in lines)


def test_every_row_has_a_case() -> None:
    for rows, cases in ((SYNTAX, TEXTS), (VERIFY, RULES), (FAULTS, LANES)):
        names = {row.name for row in rows}
        assert names - {"BadName"} == set(cases)
    assert {row.rule for row in VERIFY} >= {"opcode", "type", "limit"}


@pytest.mark.parametrize("row", SYNTAX, ids=lambda row: row.name)
def test_texts_that_are_none(row: Message) -> None:
    text, (line, column), message = TEXTS[row.name]
    with pytest.raises(cp.lanes.ParseError) as caught:
        cp.lanes.parse(text)
    e = caught.value
    assert e.msg == message
    assert (e.filename, e.lineno, e.offset) == ("<lanes>", line, column)
    assert e.text == text.split("\n")[line - 1]
    assert str(e) == f"{message} (<lanes>, line {line})"
    if row.name != "Escape":  # the row's text is Rust's, with its own escapes
        assert described(row).fullmatch(message)


def test_texts_without_end() -> None:
    with pytest.raises(cp.lanes.ParseError) as caught:
        cp.lanes.parse(";" * 8_388_609)
    assert caught.value.msg == "8388609 bytes of text are more than 8388608"
    assert (caught.value.lineno, caught.value.offset, caught.value.text) == (1, 1, "")
    # Of names that a text spells out once more in each access, the canonical one may be the longer.
    long = "loop i, 1\n" * 16 + "mov.i64 k, %gid\n" * 65_000 + "endloop\n" * 16 + "exit"
    with pytest.raises(
        cp.lanes.VerifyError, match=r"^\[k\] line 1: \.kernel k: \d+ bytes of text are more than 8388608$"
    ):
        cp.lanes.parse(
            f".kernel k\n{long.replace('loop i', 'loop i{}').format(*range(16))}".replace(
                "k, %gid", "k" * 60 + ", %gid"
            )
        )


@pytest.mark.parametrize("row", [row for row in VERIFY if row.name != "BadName"], ids=lambda row: row.name)
def test_rules(row: Message) -> None:
    if row.name == "AbsentOpcode" and not absent():
        pytest.skip("every elementary function has an operation")
    lines, number, message = RULES[row.name]
    text = body(lines)
    line = FIRST - 1 + number
    with pytest.raises(cp.lanes.VerifyError) as caught:
        cp.lanes.parse(text)
    e = caught.value
    assert (e.kernel, e.line, e.rule) == ("k", line, row.rule)
    assert e.instruction == text.split("\n")[line - 1]
    assert str(e) == f"[k] line {line}: {e.instruction}: {message}"
    assert described(row).fullmatch(message)


# What is written, and what is suggested; nothing where nothing is near.
MEANT = {
    "ad.f32": "add", "fadd.f32": "add", "mult.f32": "mul", "load.f32": "ldg", "store.f32": "stg", "mvo.i64": "mov", "sqr.f32": "sqrt",
    "brarrier": "barrier", "en_loop": "endloop", "setp.f32": "seteq", "exitt": "exit", "jmp": "bra",
    "a": "", "zzz.f32": "", "q" * 100: "", "": "", "\u00e4dd.f32": "",
}  # fmt: skip


@pytest.mark.parametrize(("written", "meant"), MEANT.items())
def test_an_opcode_that_is_none_has_the_nearest_suggested(written: str, meant: str) -> None:
    mnemonic = written.split(".")[0]
    hint = f": did you mean {meant}?" if meant else ""
    with pytest.raises(cp.lanes.VerifyError) as caught:
        cp.lanes.Builder("k").emit(written)
    assert str(caught.value) == f"[k] line 3: {written}: {mnemonic} is not an instruction{hint}"
    assert caught.value.rule == "opcode"
    if written.isascii() and written:
        with pytest.raises(cp.lanes.VerifyError) as caught:
            cp.lanes.parse(f".kernel k\n{written}")
        assert str(caught.value) == f"[k] line 2: {written}: {mnemonic} is not an instruction{hint}"


def test_names_of_dtypes_are_no_types() -> None:
    known = "b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16"
    for given, meant in (("float32", "f32"), ("bool", "b1"), ("bfloat16", "bf16"), ("uint8", "u8")):
        text = f"{given} is not a type, as {known} are: write {meant}"
        for program in (f".param a: {given}\nexit", f"mov.{given} v, 1\nexit"):
            with pytest.raises(cp.lanes.VerifyError) as caught:
                cp.lanes.parse(f".kernel k\n{program}")
            assert str(caught.value).endswith(f": {text}")


def test_numbers_have_their_nouns() -> None:
    for emit, text in (
        (("neg.i64",), "neg takes 2 operands, not 0"),
        (("loop", "i"), "loop takes 2 operands, not 1"),
        (("exit", 1), "exit takes 0 operands, not 1"),
        (("bra",), "bra takes 1 or 2 operands, not 0"),
        (("break", "p", "q"), "break takes 0 or 1 operand, not 2"),
        (("call",), "call takes 1 operand, not 0"),
    ):
        with pytest.raises(cp.lanes.VerifyError) as caught:
            cp.lanes.Builder("k").emit(*emit)
        assert str(caught.value).endswith(text)
    p = cp.lanes.parse(".kernel k\n.param a: i64\n exit")
    with pytest.raises(TypeError, match=r"^\[k\] takes 1 argument \(a\), not 0$"):
        p[1]()


def test_names_that_are_none() -> None:
    with pytest.raises(cp.lanes.VerifyError) as caught:
        cp.lanes.Builder("7")
    assert str(caught.value) == '[7] line 1: .kernel 7: "7" is not a name'
    assert caught.value.rule == "name"


@every_backend
@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.name)
def test_faults(row: Message, backend: str) -> None:
    lines, options, number, lane, message = LANES[row.name]
    text = ".kernel k\n.buffer x: inout i64[:]\n" + lines.replace(" | ", "\n")
    message = re.sub(r"\{at(\d)\}", lambda m: str(2 + int(m[1])), message)
    block = options.get("block", 2)
    kind = cp.lanes.RaceError if row.name == "Race" else cp.lanes.LaneFault
    with pytest.raises(kind) as caught:
        cp.lanes.parse(text).launch(
            cp.zeros(4, dtype=cp.int64), lanes=8, backend=backend, **{"block": 2, **options}
        )
    e = caught.value
    assert type(e) is kind
    assert (e.kernel, e.line, e.lane, e.block) == ("k", 2 + number, lane, (lane[0] // block, 0, 0))
    assert str(e) == f"[k] line {e.line}: {e.instruction}: lane {lane} of block {e.block}: {message}"
    assert described(row).fullmatch(message)
    access = row.name in ("OutOfBounds", "Race")
    assert (e.buffer, e.shape) == (("x", (4,)) if access else (None, None))
    assert (e.index is None) != access
    if isinstance(e, cp.lanes.RaceError):
        assert (e.lanes, e.lines) == (((0, 0, 0), (1, 0, 0)), (3, 3))


# Two lanes of one block, or of two; what each kind of planted race does to x[0], and whether it is one.
RACES = {
    "store and store": ("stg.i64 x[0], %gid", True),
    "store and load": ("bra p, l | stg.i64 x[0], 1 | exit | l: | ldg.i64 v, x[0]", True),
    "load and store": ("bra !p, l | stg.i64 x[0], 1 | exit | l: | ldg.i64 v, x[0]", True),
    "store and red": ("bra p, l | stg.i64 x[0], 1 | exit | l: | red.add.i64 x[0], 1", True),
    "load and red": ("bra p, l | ldg.i64 v, x[0] | exit | l: | red.add.i64 x[0], 1", True),
    "two different reds": ("bra p, l | red.add.i64 x[0], 1 | exit | l: | red.max.i64 x[0], 1", True),
    "loads": ("ldg.i64 v, x[0]", False),
    "one red": ("red.add.i64 x[0], 1", False),
    "elements of their own": ("stg.i64 x[%gid], 1 | ldg.i64 v, x[%gid]", False),
    "shared without a barrier": ("sts.i64 t[%lane], 1 | sub.i64 o, 1, %lane | lds.i64 v, t[o]", True),
    "shared with a barrier": ("sts.i64 t[%lane], 1 | barrier | sub.i64 o, 1, %lane | lds.i64 v, t[o]", False),
    "shared with a reduction": ("sts.i64 t[%lane], 1 | reduce.add.i64 s, 1 | sub.i64 o, 1, %lane | lds.i64 v, t[o]", True),
    "a barrier of one block": ("stg.i64 x[0], %gid | barrier | stg.i64 x[0], 1", True),
    "store, barrier, load": ("bra p, l | stg.i64 x[0], 1 | l: | barrier | ldg.i64 v, x[0]", False),
}  # fmt: skip


@every_backend
@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("blocks", [1, 2])
def test_races(name: str, blocks: int, backend: str) -> None:
    lines, races = RACES[name]
    text = ".kernel k\n.buffer x: inout i64[:]\n.shared t: i64[2]\nseteq.i64 p, %gid, 1\n"
    p = cp.lanes.parse(text + lines.replace(" | ", "\n") + "\nexit")
    x = cp.zeros(2, dtype=cp.int64)
    shared = "shared" in name
    if blocks == 2 and shared:
        races = False  # each block has its own
        if "o," in lines:
            p = cp.lanes.parse(p.text.replace("o, 1, %lane.x", "o, 0, %lane.x"))
    elif blocks == 2 and name == "store, barrier, load":
        races = True
    if races:
        with pytest.raises(cp.lanes.RaceError) as caught:
            p.launch(x, lanes=2, block=2 // blocks, check_races=True, backend=backend)
        assert set(caught.value.lanes) == {(0, 0, 0), (1, 0, 0)}
        assert caught.value.buffer == ("t" if shared else "x")
    else:
        p.launch(x, lanes=2, block=2 // blocks, check_races=True, backend=backend)


@every_backend
def test_of_a_fault_and_a_race_the_fault_is_reported(backend: str) -> None:
    p = cp.lanes.parse(".kernel k\n.buffer x: inout i64[:]\nstg.i64 x[0], 1\nstg.i64 x[%gid], 1\nexit")
    with pytest.raises(cp.lanes.LaneFault) as caught:
        p.launch(cp.zeros(5, dtype=cp.int64), lanes=9, check_races=True, backend=backend)
    assert type(caught.value) is cp.lanes.LaneFault and caught.value.lane == (5, 0, 0)


@every_backend
def test_the_step_limit_counts_for_each_lane(backend: str) -> None:
    p = cp.lanes.parse(
        ".kernel k\n.buffer x: out i64[:]\nmov.i64 i, 0\ntop:\nadd.i64 i, i, 1\nstg.i64 x[%gid], i\nsetle.i64 p, i, %gid\nbra p, top\nexit"
    )
    x = cp.zeros(6, dtype=cp.int64)
    # Lane g goes back g times.
    p.launch(x, lanes=6, step_limit=5, backend=backend)
    assert x.tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(cp.lanes.LaneFault, match="the step limit of 4 is used up") as caught:
        p.launch(x, lanes=6, step_limit=4, backend=backend)
    assert (caught.value.lane, caught.value.line) == ((5, 0, 0), 8)
    cp.lanes.parse(".kernel k\nloop i, 3\nendloop\nexit").launch(lanes=1, step_limit=2, backend=backend)
    p.launch(x[:1], lanes=1, step_limit=0, backend=backend)
