"""The Builder: the same programs as from text, and errors at the call that makes them."""

from __future__ import annotations

import math
from typing import Any

import pytest

import corepy as cp

c: Any = cp
Builder = cp.lanes.Builder


def test_everything_that_a_text_can_say() -> None:
    b = Builder("everything")
    assert b.param("a", "f32") is b
    b.param("n", cp.int64).param("p", "b1")
    b.buffer("x", "in", cp.float16).buffer("y", "inout", "i32", 2).buffer("z", "out", cp.bool, 6)
    b.shared("s", "f64", 7).shared("t", cp.float32, (4, 5)).shared("r", "u8", [2])
    assert len(b) == 0 and bool(b) and repr(b) == "<builder of everything, 0 labels and instructions>"
    b.emit("ldg.f16", "u", "x[%gid]").emit("fma.f32", "u", "u", "a", 0.1).emit("mov.f32", "w", -0.0)
    b.emit("mov.f32", "w", math.inf).emit("mov.f32", "w", math.nan).emit("mov.f64", "d", 1e-320)
    b.emit("mov.u64", "k", 2**64 - 1).emit("mov.i8", "m", -128).emit("mov.b1", "q", True).emit(
        "mov.f64", "d", 10**40
    )
    b.emit("mov.f32", "w", 3).emit("mov.i64", "i", "0xff").emit("mov.f32", "w", "0x1.8p3")
    b.emit("cvt.i32.f32", "v", "u").emit("stg.i32", "y[%gid.x, 3]", "v").emit("red.add.i32", "y[0, i]", 1)
    b.emit("sts.f64", "s[%lane]", "d").emit("barrier").emit("lds.f64", "d", "s[0]")
    b.emit("loop", "j", "n").emit("break", "!p").emit("continue", "q").emit("continue").emit("endloop")
    b.emit("bra", "p", "end").emit("call", "sub").emit("reduce.max.f32", "w", "w").emit(
        "scan.add.i64", "i", "i"
    )
    b.label("end").emit("assert", "p", 'with "quotes", \\ and\n lines').emit("assert", "q", "!p").emit("exit")
    b.label("sub").emit("dim.i64", "i", "x", 0).emit("ret")
    p = b.build()
    assert len(p) == len(b) - 2 == 33
    again = cp.lanes.parse(b.text)
    assert again == p == cp.lanes.parse(p.text) == b.build()
    for line in (
        ".buffer z: out b1[:, :, :, :, :, :]", ".shared t: f32[4, 5]", "    mov.f32 w, -0.0", "    mov.f32 w, inf", "    mov.u64 k, 18446744073709551615",
        '    assert p, "with \\"quotes\\", \\\\ and\\n lines"', '    assert q, "!p"', "        break !p", "    mov.f32 w, 12.0", "    ldg.f16 u, x[%gid.x]",
        "    mov.f32 w, 3.0", "    mov.i64 i, 255", "    fma.f32 u, u, a, 0.1", "    mov.f64 d, 1e-320", "    mov.f64 d, 1e40",
    ):  # fmt: skip
        assert line in p.text.split("\n"), line


def test_a_builder_goes_on_after_build_and_declares_at_any_time() -> None:
    b = Builder("k").emit("exit")
    first = b.build()
    b.param("a", "f32").label("l").emit("bra", "l")
    second = b.build()
    assert (len(first), len(second)) == (1, 2) and first != second
    assert [a.name for a in second.arguments] == ["a"]


def test_what_a_built_program_computes() -> None:
    b = Builder("sum").buffer("x", "in", cp.float32).buffer("out", "out", cp.float32)
    p = (
        b.emit("ldg.f32", "v", "x[%gid]")
        .emit("reduce.add.f32", "v", "v")
        .emit("seteq.i64", "p", "%lane", 0)
        .emit("bra", "!p", "end")
        .emit("stg.f32", "out[%block]", "v")
        .label("end")
        .emit("exit")
        .build()
    )
    out = cp.zeros(3, dtype=cp.float32)
    p[10](cp.arange(10, dtype=cp.float32), out, block=4)
    assert out.tolist() == [6.0, 22.0, 17.0]


# A call on a builder of `.kernel k`, `.param a: f32` and `fence`, and what it raises at once.
AT_ONCE: list[tuple[str, type[Exception], str]] = [
    ('emit("mul3.f32", "u", "a", "a")', cp.lanes.VerifyError, "[k] line 5: mul3.f32 u, a, a: mul3 is not an instruction: did you mean mul?"),
    ('emit("add", "u", "a", "a")', cp.lanes.VerifyError, "[k] line 5: add u, a, a: add is written add.type"),
    ('emit("add.f99", "u")', cp.lanes.VerifyError, "[k] line 5: add.f99 u: f99 is not a type, as b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16 are"),
    ('emit("div.i8", "u")', cp.lanes.VerifyError, "[k] line 5: div.i8 u: div does not take i8; it takes f32, f64"),
    ('emit("red.mul.i8", "x[0]", 1)', cp.lanes.VerifyError, "[k] line 5: red.mul.i8 x[0], 1: red has no mul; it has add, min, max, and, or, xor"),
    ('emit("add.f32", "u", "a")', cp.lanes.VerifyError, "[k] line 5: add.f32 u, a: add takes 3 operands, not 2"),
    ('emit("bra")', cp.lanes.VerifyError, "[k] line 5: bra: bra takes 1 or 2 operands, not 0"),
    ('emit("add.i8", "u", "a", 300)', cp.lanes.VerifyError, "[k] line 5: add.i8 u, a, 300: 300 is not a value of i8"),
    ('emit("mov.i64", "u", 2**63)', cp.lanes.VerifyError, "[k] line 5: mov.i64 u, 9223372036854775808: 9223372036854775808 is not a value of i64"),
    ('emit("mov.b1", "u", 1)', cp.lanes.VerifyError, "[k] line 5: mov.b1 u, 1: 1 is not a value of b1"),
    ('emit("mov.i8", "u", True)', cp.lanes.VerifyError, "[k] line 5: mov.i8 u, true: true is not a value of i8"),
    ('emit("mov.i8", "%gid", 1)', cp.lanes.VerifyError, "[k] line 5: mov.i8 %gid.x, 1: %gid.x is a special register and cannot be written"),
    ('emit("mov.i8", "u", "%gid")', cp.lanes.VerifyError, "[k] line 5: mov.i8 u, %gid.x: operand 2 is to be a value of i8, not special register %gid.x of i64"),
    ('emit("mov.i8", 7, 1)', cp.lanes.VerifyError, "[k] line 5: mov.i8 7, 1: operand 1 is to be a register, not 7"),
    ('emit("mov.i8", "u", "x[0]")', cp.lanes.VerifyError, "[k] line 5: mov.i8 u, x[0]: operand 2 is to be a value of i8, not an element of x"),
    ('emit("ldg.i8", "u", "x")', cp.lanes.VerifyError, "[k] line 5: ldg.i8 u, x: operand 2 is to be an element of a buffer, not x"),
    ('emit("sts.i8", "s", 1)', cp.lanes.VerifyError, "[k] line 5: sts.i8 s, 1: operand 1 is to be an element of a shared array, not s"),
    ('emit("bra", 1, "l")', cp.lanes.VerifyError, "[k] line 5: bra 1, l: 1 is not a value of b1"),
    ('emit("bra", 1)', cp.lanes.VerifyError, "[k] line 5: bra 1: operand 1 is to be a label, not 1"),
    ('emit("bra", "x[0]", "l")', cp.lanes.VerifyError, "[k] line 5: bra x[0], l: operand 1 is to be a value of b1, not an element of x"),
    ('emit("dim.i64", "u", 1, 0)', cp.lanes.VerifyError, "[k] line 5: dim.i64 u, 1, 0: operand 2 is to be a buffer, not 1"),
    ('emit("dim.i64", "u", "x", "n")', cp.lanes.VerifyError, "[k] line 5: dim.i64 u, x, n: operand 3 is to be the number of an axis, not n"),
    ('emit("assert", "p", 1)', cp.lanes.VerifyError, "[k] line 5: assert p, 1: operand 2 is to be a message, not 1"),
    ('label("7")', cp.lanes.VerifyError, '[k] line 5: 7:: "7" is not a name'),
    ('param("b", "f16")', cp.lanes.VerifyError, "[k] line 3: .param b: f16: param b cannot hold f16"),
    ('param("b", cp.complex64)', cp.lanes.VerifyError, "[k] line 3: .param b: complex64: complex64 is not a type, as b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16 are"),
    ('param("a", "f32")', cp.lanes.VerifyError, "[k] line 3: .param a: f32: a is a param already, on line 2"),
    ('buffer("x y", "in", "f32")', cp.lanes.VerifyError, '[k] line 3: .buffer x y: in f32[:]: "x y" is not a name'),
    ('buffer("x", "in", "f32", 7)', cp.lanes.VerifyError, "[k] line 3: .buffer x: in f32[:, :, :, :, :, :, :]: x has 7 axes; 1 to 6 are possible"),
    ('buffer("x", "in", "f32", -1)', cp.lanes.VerifyError, "[k] line 3: .buffer x: in f32[]: x has 0 axes; 1 to 6 are possible"),
    ('shared("s", "f32", (4, 0))', cp.lanes.VerifyError, "[k] line 3: .shared s: f32[4, 0]: extent 0 of s is not a whole number above 0"),
    ('shared("s", "f64", 6145)', cp.lanes.VerifyError, "[k] line 3: .shared s: f64[6145]: 49160 bytes of shared memory are more than 49152"),
    ('shared("s", "f64", ())', cp.lanes.VerifyError, "[k] line 3: .shared s: f64[]: s has 0 axes; 1 to 6 are possible"),
    ('buffer("x", "io", "f32")', ValueError, "[Builder] mode 'io' is not one of: 'in', 'out', 'inout'"),
    ('buffer("x", None, "f32")', ValueError, "[Builder] mode None is not one of: 'in', 'out', 'inout'"),
    ('emit("mov.i8", "u", [])', TypeError, "[Builder] operand takes a string, an integer, a float or a bool, not list"),
    ('emit("mov.i8", "u", None)', TypeError, "[Builder] operand takes a string, an integer, a float or a bool, not NoneType"),
    ("emit(7)", TypeError, "[Builder] opcode takes a string, not int"),
    ('param(None, "f32")', TypeError, "[Builder] name takes a string, not NoneType"),
    ('param("b", float)', TypeError, "[Builder] type takes a type's name or a dtype, not type"),
    ('shared("s", "f32", "4")', TypeError, "[Builder] extents takes integers, not str"),
    ('buffer("x", "in", "f32", 1.5)', TypeError, "[Builder] axes takes an integer, not float"),
    ('emit("mov.i8", "u", "x[")', cp.lanes.ParseError, "expected an index, found the end of the line (<operand>, line 1)"),
    ('emit("mov.i8", "u", "1 2")', cp.lanes.ParseError, "expected the end of the line, found `2` (<operand>, line 1)"),
    ('emit("mov.i8", "u", "")', cp.lanes.ParseError, "expected an operand, found the end of the line (<operand>, line 1)"),
    ('emit("mov.i8", "u", "a ; b")', cp.lanes.ParseError, ""),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "text"), AT_ONCE, ids=[call for call, _, _ in AT_ONCE])
def test_errors_at_once(call: str, kind: type[Exception], text: str) -> None:
    b = Builder("k").param("a", "f32").emit("fence")
    before = b.text
    if not text:
        # A comment behind an operand is one.
        eval(f"b.{call}", {"b": b})
        assert b.text == before + "    mov.i8 u, a\n"
        return
    with pytest.raises(kind) as caught:
        eval(f"b.{call}", {"b": b, "cp": cp})
    assert type(caught.value) is kind and str(caught.value) == text
    assert b.text == before, "what is wrong is not added"
    assert len(b.emit("exit").build()) == 2


@pytest.mark.parametrize("wrong", ["", "a b", "7", "nan", "\u00e9", "\0"])
def test_names_of_kernels(wrong: str) -> None:
    with pytest.raises(cp.lanes.VerifyError, match="is not a name"):
        Builder(wrong)
    with pytest.raises(TypeError, match=r"^\[Builder\] name takes a string, not int$"):
        c.lanes.Builder(7)


def test_build_checks_everything_else() -> None:
    with pytest.raises(
        cp.lanes.VerifyError, match=r"^\[k\] line 1: \.kernel k: the program has no instructions$"
    ):
        Builder("k").build()
    b = Builder("k").buffer("x", "in", "f32").emit("stg.f32", "x[0]", "v").emit("exit")
    with pytest.raises(
        cp.lanes.VerifyError,
        match=r"^\[k\] line 4: stg\.f32 x\[0\], v: x is an in buffer and cannot be stored to$",
    ):
        b.build()
    assert b.text.split("\n")[3] == "    stg.f32 x[0], v"
