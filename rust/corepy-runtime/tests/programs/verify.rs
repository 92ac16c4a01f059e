//! Every rule of the verifier, by a program that breaks it, with the exact message.

use corepy_runtime::program::{Builder, Literal, Program, ProgramError, Term, Type, Violation};
use std::collections::BTreeSet;

const HEAD: &str = "
.kernel k
.param a: f32
.param n: i64
.param p: b1
.buffer x: in f32[:]
.buffer y: inout f32[:, :]
.buffer z: out f32[:]
.buffer h: inout bf16[:]
.shared t: f32[4, 4]

";

/// The head has 11 lines, so that the first line of a body is 12.
const CASES: &[(&str, &str, &str)] = &[
    (
        "mul3.f32 u, a, a | exit",
        "opcode",
        "[k] line 12: mul3.f32 u, a, a: mul3 is not an instruction: did you mean mul?",
    ),
    (
        "red.mul.f32 y[0, 0], a | exit",
        "opcode",
        "[k] line 12: red.mul.f32 y[0, 0], a: red has no mul; it has add, min, max, and, or, xor",
    ),
    (
        "scan.xor.i32 u, 1 | exit",
        "opcode",
        "[k] line 12: scan.xor.i32 u, 1: scan has no xor; it has add, mul, min, max",
    ),
    ("add u, a, a | exit", "type", "[k] line 12: add u, a, a: add is written add.type"),
    (
        "add.f32.f32 u, a, a | exit",
        "type",
        "[k] line 12: add.f32.f32 u, a, a: add.f32.f32 is written add.type",
    ),
    ("exit.f32 | exit", "type", "[k] line 12: exit.f32: exit.f32 is written exit"),
    ("cvt.f32 u, n | exit", "type", "[k] line 12: cvt.f32 u, n: cvt.f32 is written cvt.to.from"),
    (
        "red.add y[0, 0], a | exit",
        "type",
        "[k] line 12: red.add y[0, 0], a: red.add is written red.operation.type",
    ),
    (
        "add.f99 u, a, a | exit",
        "type",
        "[k] line 12: add.f99 u, a, a: f99 is not a type, as b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16 are",
    ),
    (
        "add.f16 u, a, a | exit",
        "type",
        "[k] line 12: add.f16 u, a, a: add does not take f16; it takes i8, i16, i32, i64, u8, u16, u32, u64, f32, f64",
    ),
    (
        "red.add.f32 y[0, 0], a | exit",
        "type",
        "[k] line 12: red.add.f32 y[0, 0], a: red.add does not take f32; it takes i8, i16, i32, i64, u8, u16, u32, u64",
    ),
    (
        "pow.i32 u, 2, 3 | exit",
        "type",
        "[k] line 12: pow.i32 u, 2, 3: pow does not take i32; it takes f32, f64",
    ),
    (
        "div.i32 u, 2, 3 | exit",
        "type",
        "[k] line 12: div.i32 u, 2, 3: div does not take i32; it takes f32, f64",
    ),
    ("dim.i32 u, x, 0 | exit", "type", "[k] line 12: dim.i32 u, x, 0: dim does not take i32; it takes i64"),
    (
        "cvt.f32.bf16 u, a | exit",
        "type",
        "[k] line 12: cvt.f32.bf16 u, a: cvt.f32 does not take bf16; it takes b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64",
    ),
    (
        "mov.bf16 u, a | exit",
        "type",
        "[k] line 12: mov.bf16 u, a: mov does not take bf16; it takes b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64",
    ),
    ("add.f32 u, a | exit", "operand-count", "[k] line 12: add.f32 u, a: add takes 3 operands, not 2"),
    (
        "add.f32 u, a, a, a | exit",
        "operand-count",
        "[k] line 12: add.f32 u, a, a, a: add takes 3 operands, not 4",
    ),
    ("bra | exit", "operand-count", "[k] line 12: bra: bra takes 1 or 2 operands, not 0"),
    ("bra p, l, l | exit", "operand-count", "[k] line 12: bra p, l, l: bra takes 1 or 2 operands, not 3"),
    ("exit p | exit", "operand-count", "[k] line 12: exit p: exit takes 0 operands, not 1"),
    ("break p, p | exit", "operand-count", "[k] line 12: break p, p: break takes 0 or 1 operand, not 2"),
    ("loop i | exit", "operand-count", "[k] line 12: loop i: loop takes 2 operands, not 1"),
    (
        "add.f32 x, a, a | exit",
        "operand-type",
        "[k] line 12: add.f32 x, a, a: operand 1 is to be a register, not buffer x",
    ),
    (
        "add.f32 1.5, a, a | exit",
        "operand-type",
        "[k] line 12: add.f32 1.5, a, a: operand 1 is to be a register, not 1.5",
    ),
    (
        "add.f32 x[0], a, a | exit",
        "operand-type",
        "[k] line 12: add.f32 x[0], a, a: operand 1 is to be a register, not an element of x",
    ),
    (
        "add.f32 u, a, n | exit",
        "operand-type",
        "[k] line 12: add.f32 u, a, n: operand 3 is to be a value of f32, not param n of i64",
    ),
    (
        "add.f32 u, a, x | exit",
        "operand-type",
        "[k] line 12: add.f32 u, a, x: operand 3 is to be a value of f32, not buffer x",
    ),
    (
        "add.f32 u, a, x[0] | exit",
        "operand-type",
        "[k] line 12: add.f32 u, a, x[0]: operand 3 is to be a value of f32, not an element of x",
    ),
    (
        "add.f32 u, %gid, a | exit",
        "operand-type",
        "[k] line 12: add.f32 u, %gid.x, a: operand 2 is to be a value of f32, not special register %gid.x of i64",
    ),
    (
        "add.f32 u, a, \"text\" | exit",
        "operand-type",
        "[k] line 12: add.f32 u, a, \"text\": operand 3 is to be a value of f32, not a message",
    ),
    (
        "add.f32 u, a, !p | exit",
        "operand-type",
        "[k] line 12: add.f32 u, a, !p: operand 3 is to be a value of f32, not !p",
    ),
    (
        "add.f32 u, a, p | exit",
        "operand-type",
        "[k] line 12: add.f32 u, a, p: operand 3 is to be a value of f32, not param p of b1",
    ),
    (
        "sel.f32 u, a, a, a | exit",
        "operand-type",
        "[k] line 12: sel.f32 u, a, a, a: operand 2 is to be a value of b1, not param a of f32",
    ),
    (
        "bra a, l | exit",
        "operand-type",
        "[k] line 12: bra a, l: operand 1 is to be a value of b1, not param a of f32",
    ),
    ("bra 1, l | exit", "immediate", "[k] line 12: bra 1, l: 1 is not a value of b1"),
    ("bra p, 7 | exit", "operand-type", "[k] line 12: bra p, 7: operand 2 is to be a label, not 7"),
    ("bra x | exit", "operand-type", "[k] line 12: bra x: operand 1 is to be a label, not buffer x"),
    (
        "stg.f32 x, a | exit",
        "operand-type",
        "[k] line 12: stg.f32 x, a: operand 1 is to be an element of a buffer, not buffer x",
    ),
    (
        "stg.f32 t[0, 0], a | exit",
        "operand-type",
        "[k] line 12: stg.f32 t[0, 0], a: operand 1 is to be a buffer, not an element of t",
    ),
    (
        "sts.f32 y[0, 0], a | exit",
        "operand-type",
        "[k] line 12: sts.f32 y[0, 0], a: operand 1 is to be an element of a shared array, not an element of y",
    ),
    (
        "dim.i64 u, t, 0 | exit",
        "operand-type",
        "[k] line 12: dim.i64 u, t, 0: operand 2 is to be a buffer, not shared array t",
    ),
    (
        "dim.i64 u, 5, 0 | exit",
        "operand-type",
        "[k] line 12: dim.i64 u, 5, 0: operand 2 is to be a buffer, not 5",
    ),
    (
        "dim.i64 u, x, n | exit",
        "operand-type",
        "[k] line 12: dim.i64 u, x, n: operand 3 is to be the number of an axis, not param n of i64",
    ),
    (
        "assert p, p | exit",
        "operand-type",
        "[k] line 12: assert p, p: operand 2 is to be a message, not param p of b1",
    ),
    (
        "stg.f32 y[a, 0], a | exit",
        "operand-type",
        "[k] line 12: stg.f32 y[a, 0], a: operand 1 is to be a value of i64, not param a of f32",
    ),
    ("add.i32 u, 1.5, 2 | exit", "immediate", "[k] line 12: add.i32 u, 1.5, 2: 1.5 is not a value of i32"),
    ("add.i8 u, 300, 2 | exit", "immediate", "[k] line 12: add.i8 u, 300, 2: 300 is not a value of i8"),
    ("add.f32 u, true, 2 | exit", "immediate", "[k] line 12: add.f32 u, true, 2: true is not a value of f32"),
    ("mov.b1 u, 1 | exit", "immediate", "[k] line 12: mov.b1 u, 1: 1 is not a value of b1"),
    ("loop i, 1.5 | exit", "immediate", "[k] line 12: loop i, 1.5: 1.5 is not a value of i64"),
    (
        "mov.f32 u, a | mov.f64 u, 1.0 | exit",
        "register-type",
        "[k] line 13: mov.f64 u, 1.0: register u is f64 here and f32 on line 12",
    ),
    (
        "add.f32 u, u, a | exit",
        "unwritten",
        "[k] line 12: add.f32 u, u, a: register u is read before it is written",
    ),
    (
        "add.f32 u, w, a | exit",
        "unwritten",
        "[k] line 12: add.f32 u, w, a: register w is read before it is written",
    ),
    (
        "bra p, over | mov.f32 u, a | over: | mov.f32 v, u | exit",
        "unwritten",
        "[k] line 15: mov.f32 v, u: register u is read before it is written",
    ),
    (
        "loop i, n | mov.f32 u, a | endloop | mov.f32 v, u | exit",
        "unwritten",
        "[k] line 15: mov.f32 v, u: register u is read before it is written",
    ),
    (
        "loop i, n | endloop | mov.i64 j, i | exit",
        "unwritten",
        "[k] line 14: mov.i64 j, i: register i is read before it is written",
    ),
    (
        "loop i, n | break p | endloop | mov.i64 j, i | exit",
        "unwritten",
        "[k] line 15: mov.i64 j, i: register i is read before it is written",
    ),
    (
        "mov.i64 i, 3 | loop i, n | endloop | mov.i64 j, i | exit",
        "unwritten",
        "[k] line 15: mov.i64 j, i: register i is read before it is written",
    ),
    (
        "call s | mov.i64 j, i | exit | s: | loop i, n | ret | endloop | exit",
        "unwritten",
        "[k] line 13: mov.i64 j, i: register i is read before it is written",
    ),
    (
        "call s | mov.f32 v, u | exit | s: | bra p, e | mov.f32 u, a | e: | ret | exit",
        "unwritten",
        "[k] line 13: mov.f32 v, u: register u is read before it is written",
    ),
    ("mov.i64 n, 3 | exit", "read-only", "[k] line 12: mov.i64 n, 3: n is a param and cannot be written"),
    (
        "mov.i64 %gid, 3 | exit",
        "read-only",
        "[k] line 12: mov.i64 %gid.x, 3: %gid.x is a special register and cannot be written",
    ),
    (
        "loop i, n | mov.i64 i, 3 | endloop | exit",
        "read-only",
        "[k] line 13: mov.i64 i, 3: i is a loop counter and cannot be written",
    ),
    (
        "loop i, n | loop i, n | endloop | endloop | exit",
        "read-only",
        "[k] line 13: loop i, n: i is a loop counter and cannot be written",
    ),
    (
        "loop i, n | call s | endloop | exit | s: | mov.i64 i, 0 | ret | exit",
        "read-only",
        "[k] line 17: mov.i64 i, 0: i is a loop counter and cannot be written",
    ),
    ("loop n, 3 | endloop | exit", "read-only", "[k] line 12: loop n, 3: n is a param and cannot be written"),
    (
        "stg.f32 x[0], a | exit",
        "store-to-in",
        "[k] line 12: stg.f32 x[0], a: x is an in buffer and cannot be stored to",
    ),
    (
        "ldg.f32 u, z[0] | exit",
        "load-from-out",
        "[k] line 12: ldg.f32 u, z[0]: z is an out buffer and cannot be loaded from",
    ),
    (
        "red.max.f32 z[0], a | exit",
        "red-needs-inout",
        "[k] line 12: red.max.f32 z[0], a: z is an out buffer, and red needs an inout buffer",
    ),
    (
        "red.max.f32 x[0], a | exit",
        "red-needs-inout",
        "[k] line 12: red.max.f32 x[0], a: x is an in buffer, and red needs an inout buffer",
    ),
    (
        "ldg.f32 u, x[0, 0] | exit",
        "rank",
        "[k] line 12: ldg.f32 u, x[0, 0]: x has rank 1, and the access has rank 2",
    ),
    (
        "stg.f32 y[0], a | exit",
        "rank",
        "[k] line 12: stg.f32 y[0], a: y has rank 2, and the access has rank 1",
    ),
    (
        "sts.f32 t[0], a | exit",
        "rank",
        "[k] line 12: sts.f32 t[0], a: t has rank 2, and the access has rank 1",
    ),
    ("dim.i64 u, x, 1 | exit", "rank", "[k] line 12: dim.i64 u, x, 1: x has rank 1 and no axis 1"),
    ("dim.i64 u, x, -1 | exit", "rank", "[k] line 12: dim.i64 u, x, -1: x has rank 1 and no axis -1"),
    ("dim.i64 u, x, 1.5 | exit", "rank", "[k] line 12: dim.i64 u, x, 1.5: x has rank 1 and no axis 1.5"),
    ("ldg.f64 u, x[0] | exit", "type", "[k] line 12: ldg.f64 u, x[0]: x holds f32, not f64"),
    ("ldg.f32 u, h[0] | exit", "type", "[k] line 12: ldg.f32 u, h[0]: h holds bf16, not f32"),
    ("sts.f64 t[0, 0], 1.0 | exit", "type", "[k] line 12: sts.f64 t[0, 0], 1.0: t holds f32, not f64"),
    ("bra nowhere | exit", "label", "[k] line 12: bra nowhere: there is no label nowhere"),
    ("call nowhere | exit", "label", "[k] line 12: call nowhere: there is no label nowhere"),
    ("l: | exit | l: | exit | exit", "label", "[k] line 14: l:: label l stands on line 12 already"),
    ("exit | l:", "label", "[k] line 13: l:: no instruction follows label l"),
    ("x: | exit | exit", "name", "[k] line 12: x:: x is a buffer already, on line 6"),
    (
        "mov.f32 l, a | l: | exit | exit",
        "operand-type",
        "[k] line 12: mov.f32 l, a: operand 1 is to be a register, not label l",
    ),
    ("ldg.f32 u, w[0] | exit", "name", "[k] line 12: ldg.f32 u, w[0]: there is no buffer w"),
    ("lds.f32 u, w[0] | exit", "name", "[k] line 12: lds.f32 u, w[0]: there is no shared array w"),
    ("dim.i64 u, w, 0 | exit", "name", "[k] line 12: dim.i64 u, w, 0: there is no buffer w"),
    (
        "loop i, n | l: | endloop | bra l | exit",
        "loop-jump",
        "[k] line 15: bra l: label l is inside the loop on line 12",
    ),
    (
        "loop i, n | bra l | endloop | l: | exit | exit",
        "loop-jump",
        "[k] line 13: bra l: label l is outside of the loop on line 12",
    ),
    (
        "loop i, n | loop j, n | bra l | endloop | l: | endloop | exit",
        "loop-jump",
        "[k] line 14: bra l: label l is outside of the loop on line 13",
    ),
    (
        "loop i, n | loop j, n | l: | exit | endloop | bra l | endloop | exit",
        "loop-jump",
        "[k] line 17: bra l: label l is inside the loop on line 13",
    ),
    (
        "call l | exit | loop i, n | l: | ret | endloop | exit | exit",
        "loop-jump",
        "[k] line 12: call l: label l is inside the loop on line 14",
    ),
    ("call s | s: | ret | exit", "ret-outside", "[k] line 14: ret: ret outside of a subroutine"),
    (
        "call s | bra p, m | exit | s: | mov.f32 u, a | m: | ret | exit",
        "ret-outside",
        "[k] line 18: ret: ret outside of a subroutine",
    ),
    (
        "call s | call t2 | exit | s: | bra p, t2 | ret | t2: | ret | exit",
        "subroutine-jump",
        "[k] line 19: ret: subroutine s and subroutine t2 share this instruction",
    ),
    (
        "bra p, m | exit | s: | m: | ret | exit",
        "ret-outside",
        "[k] line 16: ret: ret outside of a subroutine",
    ),
    ("loop i, n | exit", "unbalanced-loop", "[k] line 12: loop i, n: loop without endloop"),
    ("endloop | exit", "unbalanced-loop", "[k] line 12: endloop: endloop outside of a loop"),
    ("break | exit", "unbalanced-loop", "[k] line 12: break: break outside of a loop"),
    ("continue p | exit", "unbalanced-loop", "[k] line 12: continue p: continue outside of a loop"),
    (
        "call s | exit | s: | call r | ret | r: | call s | ret | exit",
        "recursion",
        "[k] line 18: call s: subroutine s calls itself: s -> r -> s",
    ),
    (
        "call s | exit | s: | call s | ret | exit",
        "recursion",
        "[k] line 15: call s: subroutine s calls itself: s -> s",
    ),
    (
        "m: | call m | exit | exit",
        "recursion",
        "[k] line 13: call m: the main body calls itself: the main body -> the main body",
    ),
    (
        "exit | s: | call s | ret | exit",
        "recursion",
        "[k] line 14: call s: subroutine s calls itself: s -> s",
    ),
    (
        "call s | m: | exit | s: | bra m",
        "subroutine-jump",
        "[k] line 14: exit: the main body and subroutine s share this instruction",
    ),
    ("ret | exit", "ret-outside", "[k] line 12: ret: ret outside of a subroutine"),
    ("bra p, l | exit | l: | ret | exit", "ret-outside", "[k] line 15: ret: ret outside of a subroutine"),
    (
        "mov.f32 u, a",
        "falls-off",
        "[k] line 12: mov.f32 u, a: the program runs off its end after this instruction",
    ),
    (
        "bra p, l | l: | bra p, l",
        "falls-off",
        "[k] line 14: bra p, l: the program runs off its end after this instruction",
    ),
    ("exit | fence", "falls-off", "[k] line 13: fence: the program runs off its end after this instruction"),
    (
        "loop i, n | exit | endloop",
        "falls-off",
        "[k] line 14: endloop: the program runs off its end after this instruction",
    ),
];

fn violation(text: &str) -> Box<corepy_runtime::program::VerifyError> {
    match Program::parse(text) {
        Err(ProgramError::Verify(error)) => error,
        other => panic!("{other:?} for\n{text}"),
    }
}

#[test]
fn every_rule_of_the_body_with_its_message() {
    for (body, rule, message) in CASES {
        let error = violation(&format!("{HEAD}{}\n", body.replace(" | ", "\n")));
        assert_eq!((error.rule(), error.to_string().as_str()), (*rule, *message));
        let line = message.split("line ").nth(1).and_then(|rest| rest.split(':').next());
        assert_eq!(line, Some(error.line.to_string().as_str()));
        assert_eq!(error.kernel, "k");
    }
}

#[test]
fn functions_that_nothing_computes_are_refused_by_name() {
    for name in corepy_runtime::generated::lanes::ABSENT {
        let error = violation(&format!("{HEAD}{name}.f32 u, a\nexit\n"));
        assert_eq!(error.rule(), "opcode");
        let message = format!(
            "[k] line 12: {name}.f32 u, a: {name} is not available: corepy has no such operation yet"
        );
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn every_rule_of_the_declarations_with_its_message() {
    for (declaration, message) in [
        (".param a: f16", "param a cannot hold f16"),
        (
            ".param a: f99",
            "f99 is not a type, as b1, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, f16, bf16 are",
        ),
        (".shared a: bf16[4]", "shared array a cannot hold bf16"),
        (".buffer a: in f32[:, :, :, :, :, :, :]", "a has 7 axes; 1 to 6 are possible"),
        (".shared a: i8[1, 1, 1, 1, 1, 1, 1]", "a has 7 axes; 1 to 6 are possible"),
        (".shared a: i8[4, 0]", "extent 0 of a is not a whole number above 0"),
        (".shared a: i8[-4]", "extent -4 of a is not a whole number above 0"),
        (".shared a: i8[1.5]", "extent 1.5 of a is not a whole number above 0"),
        (
            ".shared a: i8[9223372036854775808]",
            "extent 9223372036854775808 of a is not a whole number above 0",
        ),
        (".shared a: i8[49153]", "49153 bytes of shared memory are more than 49152"),
        (".shared a: f64[6145]", "49160 bytes of shared memory are more than 49152"),
        (
            ".shared a: f64[4611686018427387904, 4611686018427387904]",
            "18446744073709551615 bytes of shared memory are more than 49152",
        ),
        (".param b: i8", "b is a param already, on line 2"),
        (".shared b: i8[1]", "b is a param already, on line 2"),
    ] {
        let error = violation(&format!(".kernel k\n.param b: f32\n{declaration}\n\n    exit\n"));
        assert_eq!(error.to_string(), format!("[k] line 3: {declaration}: {message}"));
    }
    // The second array starts where its elements are aligned: 8 + 49144 bytes are too many by 8.
    let error = violation(".kernel k\n.shared a: i8[1]\n.shared b: f64[6144]\nexit\n");
    assert_eq!(
        error.to_string(),
        "[k] line 3: .shared b: f64[6144]: 49160 bytes of shared memory are more than 49152"
    );
    let fits = Program::parse(".kernel k\n.shared a: i8[1]\n.shared b: f64[6143]\nexit\n").unwrap();
    assert_eq!((fits.shared()[1].offset, fits.shared_bytes()), (8, 49_152));
}

#[test]
fn limits() {
    let error = violation(".kernel k\n");
    assert_eq!(error.to_string(), "[k] line 1: .kernel k: the program has no instructions");
    let long = |n: usize| format!(".kernel k\n{}exit\n", "fence\n".repeat(n - 1));
    assert_eq!(Program::parse(&long(65_536)).unwrap().code().steps().len(), 65_536);
    assert_eq!(
        violation(&long(65_537)).to_string(),
        "[k] line 1: .kernel k: 65537 instructions are more than 65536"
    );
    // Each level calls the next one twice.
    let mut nested = ".kernel k\ncall s0\nexit\n".to_owned();
    for level in 0..40 {
        nested += &format!("s{level}:\ncall s{}\ncall s{}\nret\n", level + 1, level + 1);
    }
    nested += "s40:\nret\n";
    assert_eq!(
        violation(&nested).to_string(),
        "[k] line 1: .kernel k: 4398046511103 instructions with calls inlined are more than 65536"
    );
    let registers = |n: usize| {
        let writes: String = (0..n).map(|i| format!("mov.i8 r{i}, 1\n")).collect();
        format!(".kernel k\n{writes}exit\n")
    };
    assert_eq!(Program::parse(&registers(1024)).unwrap().registers().len(), 1024);
    assert_eq!(
        violation(&registers(1025)).to_string(),
        "[k] line 1026: mov.i8 r1024, 1: 1025 registers are more than 1024"
    );
}

#[test]
fn long_chains_need_no_stack() {
    let mut chain = ".kernel k\ncall s0\nexit\n".to_owned();
    for i in 0..20_000 {
        chain += &format!("s{i}:\ncall s{}\nret\n", i + 1);
    }
    chain += "s20000:\nret\n";
    assert_eq!(Program::parse(&chain).unwrap().code().steps().len(), 40_003);
    let mut cycle = chain.replace("s20000:\nret\n", "s20000:\ncall s5\nret\n");
    let error = violation(&cycle);
    assert_eq!(error.rule(), "recursion");
    assert_eq!(
        error.what.to_string(),
        "subroutine s5 calls itself: s5 -> s6 -> s7 -> s8 -> ... -> s19999 -> s20000 -> s5"
    );
    cycle.clear();
    for i in 0..1024 {
        cycle += &format!("loop i{i}, 2\n");
    }
    let deep = format!(".kernel k\n{cycle}{}exit\n", "endloop\n".repeat(1024));
    let program = Program::parse(&deep).unwrap();
    assert_eq!(program.code().deepest(), 1024);
    assert_eq!(Program::parse(program.text()).unwrap(), program);
}

/// What only a builder can say.
#[test]
fn names_and_accesses_of_a_builder_are_checked() {
    for bad in ["", "a b", "1a", "nan", "é", "a.b"] {
        let mut b = Builder::new("k");
        b.param(bad, Type::F32).emit("exit", []);
        assert_eq!(b.build().unwrap_err().what, Violation::BadName { name: bad.to_owned() });
        let mut b = Builder::new("k");
        b.emit("mov.f32", [Term::name(bad), Term::float(1.0)]).emit("exit", []);
        assert_eq!(b.build().unwrap_err().rule(), "name");
        let mut b = Builder::new("k");
        b.label(bad).emit("exit", []);
        assert_eq!(b.build().unwrap_err().rule(), "name");
        let mut b = Builder::new(bad);
        b.emit("exit", []);
        assert_eq!(b.build().unwrap_err().rule(), "name");
        let mut b = Builder::new("k");
        b.emit(format!("add.{bad}"), []);
        assert!(["type", "operand-count"].contains(&b.build().unwrap_err().rule()));
    }
    let mut b = Builder::new("k");
    b.buffer("x", corepy_runtime::program::Mode::In, Type::F32, 2);
    let nested = Term::access("x", [Term::access("x", []), Term::integer(0)]);
    b.emit("ldg.f32", [Term::name("v"), nested]).emit("exit", []);
    assert_eq!(
        b.build().unwrap_err().to_string(),
        "[k] line 4: ldg.f32 v, x[x[], 0]: operand 2 is to be a value of i64, not an element of x"
    );
}

#[test]
fn every_rule_has_a_program_that_breaks_it() {
    let mut broken: BTreeSet<&str> = CASES.iter().map(|(_, rule, _)| *rule).collect();
    // These are in the tests of their own above.
    broken.extend(["declaration", "limit"]);
    assert_eq!(broken, Violation::RULES.iter().copied().collect());
}

#[test]
fn what_is_allowed() {
    for body in [
        // Two loops, one counter; a counter that was a register before.
        "mov.i64 i, 3 | loop i, i | endloop | loop i, n | mov.i64 j, i | endloop | exit",
        // Written on both ways.
        "bra p, l | mov.f32 u, a | bra m | l: | mov.f32 u, 1 | m: | mov.f32 v, u | exit",
        // Written before the loop, read after it.
        "mov.f32 u, a | loop i, n | add.f32 u, u, a | endloop | mov.f32 v, u | exit",
        // An endless loop; code that nothing reaches.
        "l: | bra l | add.f32 v, a, a | exit",
        // A subroutine that stands first, is called in a loop, and leaves loops of its own.
        "bra main | s: | loop j, 4 | bra p, out | continue | ret | out: | break !p | exit | endloop | ret | main: | loop i, n | call s | break | endloop | exit",
        // Two names of one subroutine.
        "call s | call r | exit | s: | r: | ret",
        // A subroutine that nothing calls.
        "exit | s: | ret",
        // Immediates of every kind.
        "mov.f32 u, inf | mov.f32 u, -0x1p-149 | mov.f32 u, nan | mov.f32 u, 7 | mov.b1 q, true | sel.f32 u, false, a, 0xff | exit",
        "ldg.bf16 u, h[3] | add.f32 u, u, a | rnd.f16 u, u | stg.bf16 h[%gid], u | red.max.f32 y[0, n], u | exit",
    ] {
        let text = format!("{HEAD}{}\n", body.replace(" | ", "\n"));
        let program = Program::parse(&text).unwrap_or_else(|e| panic!("{e} in\n{text}"));
        let again = Program::parse(program.text()).unwrap();
        assert_eq!(again, program);
        assert_eq!(again.text(), program.text());
        assert_eq!(again.digest(), program.digest());
    }
    assert!(Literal::new("1.5").is_some());
}
