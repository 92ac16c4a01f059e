//! The text of programs: positions of parse errors, the canonical form, the round trip, mutated text.

use crate::lanes::Random;
use crate::lanes::generate::{Shape, generate};
use corepy_runtime::program::{Builder, Flow, Mode, Program, ProgramError, Term, Type, parse};

fn parse_error(text: &str) -> String {
    let error = parse(text).expect_err(text);
    let line = text.lines().nth(error.line as usize - 1).unwrap_or("");
    assert_eq!(error.text, line);
    error.to_string()
}

#[test]
fn parse_errors_say_where_and_what() {
    for (text, message) in [
        ("", "line 1, column 1: expected .kernel and a name, found the end of the text"),
        ("; nothing\n\n", "line 3, column 1: expected .kernel and a name, found the end of the text"),
        ("add.f32 a, b, c", "line 1, column 1: expected .kernel and a name, found `add`"),
        ("  .param a: f32", "line 1, column 3: expected .kernel and a name, found `.`"),
        (".kernel", "line 1, column 8: expected a name, found the end of the line"),
        (".kernel 7", "line 1, column 9: expected a name, found `7`"),
        (".kernel nan", "line 1, column 9: expected a name, found `nan`"),
        (".kernel k k", "line 1, column 11: expected the end of the line, found `k`"),
        (".kernel k\n.kernel j", "line 2, column 2: expected param, buffer or shared, found `kernel`"),
        (".kernel k\n.", "line 2, column 2: expected param, buffer or shared, found the end of the line"),
        (".kernel k\n.param", "line 2, column 7: expected a name, found the end of the line"),
        (".kernel k\n.param a f32", "line 2, column 10: expected `:`, found `f32`"),
        (".kernel k\n.param a: ; f32", "line 2, column 16: expected a type, found the end of the line"),
        (".kernel k\n.buffer x: f32[:]", "line 2, column 12: expected in, out or inout, found `f32`"),
        (".kernel k\n.buffer x: in f32", "line 2, column 18: expected `[`, found the end of the line"),
        (".kernel k\n.buffer x: in f32[]", "line 2, column 19: expected `:`, one for each axis, found `]`"),
        (".kernel k\n.buffer x: in f32[: :]", "line 2, column 21: expected `,` or `]`, found `:`"),
        (".kernel k\n.buffer x: in f32[:,]", "line 2, column 21: expected `:`, one for each axis, found `]`"),
        (".kernel k\n.shared t: f32[]", "line 2, column 16: expected an extent, found `]`"),
        (".kernel k\n.shared t: f32[4 4]", "line 2, column 18: expected `,` or `]`, found `4`"),
        (
            ".kernel k\nexit\n.param a: f32",
            "line 3, column 1: declarations stand before the first instruction and label",
        ),
        (
            ".kernel k\nl:\n.param a: f32",
            "line 3, column 1: declarations stand before the first instruction and label",
        ),
        (".kernel k\n  7", "line 2, column 3: expected an instruction, a label or a declaration, found `7`"),
        (".kernel k\nl: exit", "line 2, column 4: expected the end of the line, found `exit`"),
        (".kernel k\nadd. a, b", "line 2, column 6: expected a type, found `a`"),
        (".kernel k\nadd.f32 a b", "line 2, column 11: expected `,` or the end of the line, found `b`"),
        (".kernel k\nadd.f32 a,", "line 2, column 11: expected an operand, found the end of the line"),
        (".kernel k\nadd.f32 a,,", "line 2, column 11: expected an operand, found `,`"),
        (".kernel k\nbra !7, l", "line 2, column 6: expected a name after `!`, found `7`"),
        (".kernel k\nbra !!p, l", "line 2, column 6: expected a name after `!`, found `!`"),
        (".kernel k\nadd.f32 a, 1.", "line 2, column 12: 1. is not a number"),
        (".kernel k\nadd.f32 a, 1.5x", "line 2, column 12: 1.5x is not a number"),
        (".kernel k\nadd.f32 a, -", "line 2, column 12: - is not a number"),
        (".kernel k\nadd.f32 a, -x", "line 2, column 12: -x is not a number"),
        (".kernel k\nadd.f32 a, 0xe+1", "line 2, column 15: expected `,` or the end of the line, found `+`"),
        (".kernel k\nadd.f32 a, +1", "line 2, column 12: expected an operand, found `+`"),
        (
            ".kernel k\nadd.i64 a, %tid, 1",
            "line 2, column 12: expected %gid, %lane, %block, %lanes, %blocks or %grid, found `%tid`",
        ),
        (".kernel k\nadd.i64 a, %gid.w, 1", "line 2, column 17: expected x, y or z, found `w`"),
        (".kernel k\nldg.f32 a, x[", "line 2, column 14: expected an index, found the end of the line"),
        (".kernel k\nldg.f32 a, x[]", "line 2, column 14: expected an index, found `]`"),
        (
            ".kernel k\nldg.f32 a, x[i; j]",
            "line 2, column 19: expected `,` or `]`, found the end of the line",
        ),
        (".kernel k\nldg.f32 a, x[y[0]]", "line 2, column 15: expected `,` or `]`, found `[`"),
        (".kernel k\nassert p, \"text", "line 2, column 11: the message has no closing quote"),
        (".kernel k\nassert p, \"a\\", "line 2, column 13: the message has no closing quote"),
        (
            ".kernel k\nassert p, \"a\\q\"",
            "line 2, column 13: \\q is no escape; there are \\\" \\\\ \\n \\t \\r \\u{hex}",
        ),
        (
            ".kernel k\nassert p, \"\\u{d800}\"",
            "line 2, column 12: \\u is no escape; there are \\\" \\\\ \\n \\t \\r \\u{hex}",
        ),
        (".kernel k\nassert p, \"é\" \u{1f600}", "line 2, column 15: unexpected character '😀'"),
        (".kernel k\r\nadd\u{a0}", "line 2, column 4: unexpected character '\\u{a0}'"),
        (
            ".kernel k\nbra a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "line 2, column 7: expected `,` or the end of the line, found `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...`",
        ),
        (
            ".kernel k\nbra %aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "line 2, column 5: expected %gid, %lane, %block, %lanes, %blocks or %grid, found `%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...`",
        ),
    ] {
        assert_eq!(parse_error(text), message, "{text:?}");
    }
}

const SAXPY: &str = "
.kernel saxpy                  ; y = a*x + y
.param  a: f32
.buffer x: in    f32[:]
.buffer y: inout f32[:]

    dim.i64    n, x, 0
    setge.i64  done, %gid, n
    bra        done, end
    ldg.f32    u, x[%gid]
    ldg.f32    v, y[%gid]
    fma.f32    v, a, u, v
    stg.f32    y[%gid], v
end:
    exit
";

#[test]
fn the_canonical_text() {
    let program = Program::parse(SAXPY).unwrap();
    let expected = ".kernel saxpy
.param a: f32
.buffer x: in f32[:]
.buffer y: inout f32[:]

    dim.i64 n, x, 0
    setge.i64 done, %gid.x, n
    bra done, end
    ldg.f32 u, x[%gid.x]
    ldg.f32 v, y[%gid.x]
    fma.f32 v, a, u, v
    stg.f32 y[%gid.x], v
end:
    exit
";
    assert_eq!(program.text(), expected);
    // Of that text by the Python package blake3.
    assert_eq!(program.digest(), "cedb8f983fdd91054a0ec26b4c063a7e5dcf0ee0db89926ae54866b63d83a618");
    assert_eq!(program.show(5), "fma.f32 v, a, u, v");
    // Lines are those of the text that was parsed, and no part of the identity.
    let again = Program::parse(program.text()).unwrap();
    assert_eq!((program.line(0), again.line(0)), (7, 6));
    assert_eq!(again, program);
    assert_eq!(again.digest(), program.digest());
    let other = Program::parse(&SAXPY.replace("fma.f32    v, a, u, v", "fma.f32 v, u, a, v")).unwrap();
    assert_ne!(other, program);
    assert_ne!(other.digest(), program.digest());
}

#[test]
fn immediates_messages_and_loops_in_canonical_form() {
    let text = ".kernel k
.shared t: i8[0x10, 2]
mov.i8 a, -0x80
mov.u64 b, 0xffffffffffffffff
mov.f32 c, 16777217
mov.f64 d, 0x1.8p3
mov.f32 c, 1e-45
mov.f64 d, 1e22
mov.f64 d, -inf
mov.f32 c, 100000000000000000000000
mov.f32 c, -0
mov.i64 e, -0
assert true, \"a \\\"b\\\" \\\\ ; \\u{1b}\\u{2028} é\t\"
loop i, 3
loop j, %lanes.z
break true
endloop
l:
endloop
exit
";
    let program = Program::parse(text).unwrap();
    let expected = ".kernel k
.shared t: i8[16, 2]

    mov.i8 a, -128
    mov.u64 b, 18446744073709551615
    mov.f32 c, 16777216.0
    mov.f64 d, 12.0
    mov.f32 c, 1e-45
    mov.f64 d, 1e22
    mov.f64 d, -inf
    mov.f32 c, 1e23
    mov.f32 c, -0.0
    mov.i64 e, 0
    assert true, \"a \\\"b\\\" \\\\ ; \\u{1b}\\u{2028} é\\t\"
    loop i, 3
        loop j, %lanes.z
            break true
        endloop
l:
    endloop
    exit
";
    assert_eq!(program.text(), expected);
    assert_eq!(Program::parse(expected).unwrap(), program);
}

#[test]
fn a_builder_makes_what_the_parser_makes() {
    let gid = || {
        Term::from(corepy_runtime::program::Special { what: corepy_runtime::program::Place::Gid, axis: 0 })
    };
    let name = |name: &str| Term::name(name);
    let mut b = Builder::new("saxpy");
    b.param("a", Type::F32).buffer("x", Mode::In, Type::F32, 1).buffer("y", Mode::Inout, Type::F32, 1);
    b.emit("dim.i64", [name("n"), name("x"), Term::integer(0)]);
    b.emit("setge.i64", [name("done"), gid(), name("n")]).emit("bra", [name("done"), name("end")]);
    b.emit("ldg.f32", [name("u"), Term::access("x", [gid()])]);
    b.emit("ldg.f32", [name("v"), Term::access("y", [gid()])]);
    b.emit("fma.f32", [name("v"), name("a"), name("u"), name("v")]);
    b.emit("stg.f32", [Term::access("y", [gid()]), name("v")]).label("end").emit("exit", []);
    assert_eq!((b.len(), b.is_empty()), (9, false));
    let built = b.build().unwrap();
    assert_eq!(built, Program::parse(SAXPY).unwrap());
    assert_eq!(built.line(7), 14);
    assert_eq!(built.text().lines().nth(13), Some("    exit"));
}

#[test]
fn calls_are_inlined_and_jumps_resolved() {
    let text = "
.kernel k
.param p: b1
    bra main
twice:
    loop i, 2
        continue p
        bra p, out
    endloop
    ret
main:
    loop j, 3
        call twice
        break !p
    endloop
    call twice
    exit
out2:
    exit
out:
    ret
";
    // The subroutine jumps out of its loop.
    let error = Program::parse(text).unwrap_err();
    assert_eq!(error.to_string(), "[k] line 8: bra p, out: label out is outside of the loop on line 6");
    let program = Program::parse(&text.replace("bra p, out", "break p")).unwrap();
    let steps: Vec<(u32, Flow, Option<u32>, u32)> =
        program.code().steps().iter().map(|s| (s.instruction, s.flow, s.inside, s.depth)).collect();
    assert_eq!(
        steps,
        [
            (0, Flow::Jump(1), None, 0),
            (6, Flow::Loop { exit: 10 }, None, 0),
            (7, Flow::Jump(3), Some(1), 1),
            (1, Flow::Loop { exit: 7 }, Some(1), 1),
            (2, Flow::Branch(6), Some(3), 2),
            (3, Flow::Branch(7), Some(3), 2),
            (4, Flow::Again { start: 3 }, Some(3), 2),
            (5, Flow::Jump(8), Some(1), 1),
            (8, Flow::Branch(10), Some(1), 1),
            (9, Flow::Again { start: 1 }, Some(1), 1),
            (10, Flow::Jump(11), None, 0),
            (1, Flow::Loop { exit: 15 }, None, 0),
            (2, Flow::Branch(14), Some(11), 1),
            (3, Flow::Branch(15), Some(11), 1),
            (4, Flow::Again { start: 11 }, Some(11), 1),
            (5, Flow::Jump(16), None, 0),
            (11, Flow::Exit, None, 0),
        ]
    );
}

#[test]
fn random_programs_survive_the_round_trip() {
    for seed in 0..400 {
        let program = generate(&mut Random::new(seed), &Shape::default());
        let again =
            Program::parse(program.text()).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", program.text()));
        assert_eq!(again.text(), program.text(), "seed {seed}");
        assert_eq!(again.digest(), program.digest());
        assert_eq!(again.instructions(), program.instructions());
        assert_eq!(again.registers(), program.registers());
        assert_eq!(again.code(), program.code());
        // A built program has the lines of its own text.
        for i in 0..program.instructions().len() {
            assert_eq!(program.line(i), again.line(i));
            let line = program.text().lines().nth(program.line(i) as usize - 1);
            assert_eq!(line.map(str::trim), Some(program.show(i).as_str()));
        }
    }
}

/// Text with pieces removed, repeated, exchanged or replaced.
fn mutate(text: &str, random: &mut Random) -> String {
    const PIECES: &[&str] = &[
        "%gid",
        "!",
        "[",
        "]",
        ",",
        ".",
        ":",
        "\"",
        "\\",
        ";",
        "\n",
        "\r",
        "-",
        "0x",
        "1e",
        "nan",
        "inf",
        "true",
        "9223372036854775808",
        "-1",
        "loop i, 3\n",
        "endloop\n",
        "break\n",
        "call l\n",
        "ret\n",
        "exit\n",
        "bra l\n",
        "l:\n",
        ".param a: f32\n",
        "f32",
        "i64",
        "b1",
        "bf16",
        "é",
        "\u{2028}",
        "\0",
        "barrier\n",
        "reduce.add.f32",
    ];
    let mut text = text.to_owned();
    for _ in 0..1 + random.below(2) {
        let place = |random: &mut Random, text: &str| {
            let mut at = random.below(text.len() as u64 + 1) as usize;
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let from = place(random, &text);
        let mut to = (from + random.below(24) as usize).min(text.len());
        while !text.is_char_boundary(to) {
            to += 1;
        }
        match random.below(8) {
            0 => text.replace_range(from..to, ""),
            1 => text.insert_str(from, PIECES[random.below(PIECES.len() as u64) as usize]),
            2 => {
                let piece = text[from..to].to_owned();
                if text.len() < 20_000 {
                    text.insert_str(to, &piece);
                }
            }
            3 => {
                // Exchange two lines.
                let mut lines: Vec<&str> = text.lines().collect();
                if !lines.is_empty() {
                    let (a, b) = (random.below(lines.len() as u64), random.below(lines.len() as u64));
                    lines.swap(a as usize, b as usize);
                }
                text = lines.join("\n");
            }
            4..=6 => {
                // One word for another.
                let words: Vec<&str> = text
                    .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .filter(|w| !w.is_empty())
                    .collect();
                if !words.is_empty() {
                    let (a, b) = (*random.pick(&words), *random.pick(&words));
                    if let Some((at, _)) = text.match_indices(a).nth(random.below(5) as usize) {
                        let (a, b) = (a.len(), b.to_owned());
                        text.replace_range(at..at + a, &b);
                    }
                }
            }
            _ => {
                let end = (from + 1 + random.below(3) as usize).min(text.len());
                if text.is_char_boundary(end) {
                    text.replace_range(from..end, PIECES[random.below(PIECES.len() as u64) as usize]);
                }
            }
        }
    }
    text
}

#[test]
fn mutated_and_random_text_is_an_error_or_a_program() {
    let mut random = Random::new(7);
    let mut counts = [0usize; 3];
    let texts: Vec<String> =
        (0..60).map(|seed| generate(&mut Random::new(seed), &Shape::small()).text().to_owned()).collect();
    for i in 0..10_000 {
        let text = if i % 50 == 49 {
            let bytes: Vec<u8> = (0..random.below(300)).map(|_| random.below(256) as u8).collect();
            format!(".kernel k\n{}", String::from_utf8_lossy(&bytes))
        } else {
            mutate(&texts[random.below(texts.len() as u64) as usize], &mut random)
        };
        match Program::parse(&text) {
            Ok(program) => {
                counts[0] += 1;
                assert_eq!(Program::parse(program.text()).unwrap(), program, "{text}");
                program.graph();
            }
            Err(ProgramError::Parse(error)) => {
                counts[1] += 1;
                assert!(error.column as usize <= error.text.chars().count() + 1);
            }
            Err(ProgramError::Verify(error)) => {
                counts[2] += 1;
                let last = text.lines().count() as u32;
                assert!((1..=last).contains(&error.line), "{error} in\n{text}");
            }
        }
    }
    assert!(counts.iter().all(|&c| c > 500), "{counts:?}");
}
