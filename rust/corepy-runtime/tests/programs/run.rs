//! Programs on the reference interpreter: results, faults with their exact messages, races of every kind.

use crate::lanes::generate::{Shape, generate};
use crate::lanes::guarded::{Edge, Guarded, numbers, shapes, tell_of};
use crate::lanes::{
    Random, indices, number, program, read_indices, read_singles, run, singles, tensor, values,
};
use corepy_runtime::Scalar;
use corepy_runtime::backends::{Argument, Fault, LaneFault, LaunchError, Options};
use corepy_runtime::program::{Type, Value};
use std::sync::Arc;

const SAXPY: &str = "
.kernel saxpy
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

fn fault(text: &str, arguments: &[Argument], options: &Options) -> LaneFault {
    match run(text, arguments, options) {
        Err(LaunchError::Fault(fault)) => *fault,
        other => panic!("{other:?}"),
    }
}

fn blocks(lanes: i64, block: i64) -> Options {
    Options { block: [block, 1, 1], ..Options::lanes(lanes) }
}

#[test]
fn saxpy() {
    for (lanes, n) in [(0, 0), (1, 1), (1000, 1000), (1024, 700), (256, 256), (257, 257)] {
        let x: Vec<f32> = (0..n).map(|i| i as f32 * 0.1).collect();
        let y: Vec<f32> = (0..n).map(|i| 7.0 - i as f32).collect();
        let (tx, ty) = (singles(&x), singles(&y));
        let arguments =
            [Argument::Number(Scalar::from_f64(0.3)), Argument::Tensor(tx), Argument::Tensor(ty.clone())];
        run(SAXPY, &arguments, &Options::lanes(lanes)).unwrap();
        let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| 0.3f32.mul_add(*x, *y)).collect();
        assert_eq!(read_singles(&ty), expected);
    }
}

#[test]
fn views_need_no_copy() {
    let memory = singles(&(0..60).map(|i| i as f32).collect::<Vec<_>>());
    // A transposed matrix with every second column, backwards.
    let view = memory.view(4 * 8, &[3, 5], &[-8, 40]);
    let before: Vec<f32> = read_singles(&view);
    let text = "
.kernel k
.buffer m: inout f32[:, :]
    ldg.f32 v, m[%gid.y, %gid.x]
    mul.f32 v, v, -1
    stg.f32 m[%gid.y, %gid.x], v
    exit";
    let options = Options { lanes: [5, 3, 1], block: [2, 2, 1], ..Options::lanes(1) };
    run(text, &[Argument::Tensor(view.clone())], &options).unwrap();
    assert_eq!(read_singles(&view), before.iter().map(|v| -v).collect::<Vec<_>>());
    assert_eq!(read_singles(&memory).iter().filter(|v| **v < 0.0).count(), 15);
    assert_eq!(read_singles(&memory)[1], 1.0);
}

#[test]
fn special_registers() {
    let text = "
.kernel k
.buffer out: out i64[:, :, :, :]
    stg.i64 out[%gid.z, %gid.y, %gid.x, 0], %lane.x
    stg.i64 out[%gid.z, %gid.y, %gid.x, 1], %lane.y
    stg.i64 out[%gid.z, %gid.y, %gid.x, 2], %lane.z
    stg.i64 out[%gid.z, %gid.y, %gid.x, 3], %block.x
    stg.i64 out[%gid.z, %gid.y, %gid.x, 4], %block.y
    stg.i64 out[%gid.z, %gid.y, %gid.x, 5], %block.z
    mul.i64 sizes, %lanes.x, 1000000
    mad.i64 sizes, %blocks.x, 10000, sizes
    mad.i64 sizes, %grid.x, 100, sizes
    mad.i64 sizes, %lanes.z, 10, sizes
    add.i64 sizes, %blocks.z, sizes
    stg.i64 out[%gid.z, %gid.y, %gid.x, 6], sizes
    exit";
    let (lanes, block) = ([5i64, 4, 3], [2i64, 3, 2]);
    let out = indices(&vec![-1; 5 * 4 * 3 * 7]).view(0, &[3, 4, 5, 7], &[1120, 280, 56, 8]);
    run(text, &[Argument::Tensor(out.clone())], &Options { lanes, block, ..Options::lanes(1) }).unwrap();
    let got = read_indices(&out);
    for (flat, found) in got.chunks(7).enumerate() {
        let flat = flat as i64;
        let gid = [flat % 5, flat / 5 % 4, flat / 20];
        let mut expected: Vec<i64> = (0..3).map(|a| gid[a] % block[a]).collect();
        expected.extend((0..3).map(|a| gid[a] / block[a]));
        expected.push(2_000_000 + 3 * 10_000 + 5 * 100 + 2 * 10 + 2);
        assert_eq!(found, expected);
    }
}

#[test]
fn loops_branches_and_calls() {
    // Collatz steps by a branch back, sums by a loop with continue and break, through a subroutine.
    let text = "
.kernel k
.buffer out: out i64[:, :]
    bra main
collatz:
    mov.i64 steps, 0
    mov.i64 v, start
again:
    setle.i64 p, v, 1
    bra p, over
    rem.i64 odd, v, 2
    seteq.i64 even, odd, 0
    mad.i64 up, v, 3, 1
    shr.i64 down, v, 1
    sel.i64 v, even, down, up
    add.i64 steps, steps, 1
    bra again
over:
    ret
main:
    mov.i64 start, %gid
    call collatz
    stg.i64 out[%gid, 0], steps
    mov.i64 sum, 0
    loop i, %gid
        rem.i64 r, i, 3
        seteq.i64 p, r, 0
        continue p
        setgt.i64 p, i, 10
        break p
        loop j, i
            add.i64 sum, sum, j
        endloop
        mov.i64 start, i
        call collatz
        add.i64 sum, sum, steps
    endloop
    stg.i64 out[%gid, 1], sum
    exit";
    let out = indices(&[0; 80]).view(0, &[40, 2], &[16, 8]);
    run(text, &[Argument::Tensor(out.clone())], &blocks(40, 16)).unwrap();
    let collatz = |start: i64| {
        let (mut v, mut steps) = (start, 0);
        while v > 1 {
            v = if v % 2 == 0 { v / 2 } else { 3 * v + 1 };
            steps += 1;
        }
        steps
    };
    for (gid, found) in (0..40).zip(read_indices(&out).chunks(2)) {
        let sum: i64 = (0..gid)
            .filter(|i| i % 3 != 0)
            .take_while(|i| *i <= 10)
            .map(|i| i * (i - 1) / 2 + collatz(i))
            .sum();
        assert_eq!(found, [collatz(gid), sum], "lane {gid}");
    }
}

#[test]
fn a_loop_reads_its_count_once_and_may_run_never() {
    let text = "
.kernel k
.param n: i64
.buffer out: out i64[:]
    mov.i64 count, n
    mov.i64 rounds, 0
    loop i, count
        mov.i64 count, 0
        add.i64 rounds, rounds, 1
    endloop
    stg.i64 out[0], rounds
    exit";
    for (n, rounds) in [(3, 3), (1, 1), (0, 0), (-5, 0), (i64::MIN, 0)] {
        let out = indices(&[7]);
        run(text, &[number(n), Argument::Tensor(out.clone())], &Options::lanes(1)).unwrap();
        assert_eq!(read_indices(&out), [rounds]);
    }
}

#[test]
fn shared_memory_barriers_and_reductions() {
    // Reversal of each block through shared memory, its sum, running sum, and the sum of what is left after
    // some lanes have exited.
    let text = "
.kernel k
.buffer x: in f32[:]
.buffer y: out f32[:, :]
.shared t: f32[8]
.shared u: i8[3]
    ldg.f32 v, x[%gid]
    sts.f32 t[%lane], v
    barrier
    sub.i64 from, %lanes, %lane
    sub.i64 from, from, 1
    lds.f32 r, t[from]
    reduce.add.f32 sum, v
    scan.add.f32 running, v
    stg.f32 y[%gid, 0], r
    stg.f32 y[%gid, 1], sum
    stg.f32 y[%gid, 2], running
    lds.i8 zero, u[2]
    assert p, \"shared memory starts at zero\"
    rem.i64 odd, %gid, 2
    setne.i64 q, odd, 0
    bra !q, on
    exit
on:
    reduce.max.f32 most, v
    stg.f32 y[%gid, 3], most
    exit";
    let text = text.replace("    assert p", "    seteq.i8 p, zero, 0\n    assert p");
    // 21 lanes in blocks of 8: the last one is cut off.
    let x: Vec<f32> = (0..21).map(|i| (i * i % 17) as f32 + 0.25).collect();
    let y = singles(&[-1.0; 84]).view(0, &[21, 4], &[16, 4]);
    run(&text, &[Argument::Tensor(singles(&x)), Argument::Tensor(y.clone())], &blocks(21, 8)).unwrap();
    let got = read_singles(&y);
    for i in 0..21 {
        let block = &x[i / 8 * 8..(i / 8 * 8 + 8).min(21)];
        let lane = i % 8;
        assert_eq!(got[4 * i], block.get(7 - lane).copied().unwrap_or(0.0), "reversed {i}");
        assert_eq!(got[4 * i + 1], block.iter().sum::<f32>());
        assert_eq!(got[4 * i + 2], block[..=lane].iter().sum::<f32>());
        let even = block.iter().step_by(2).copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(got[4 * i + 3], if i % 2 == 0 { even } else { -1.0 });
    }
}

#[test]
fn red_on_buffers_and_shared_memory() {
    let text = "
.kernel k
.buffer bins: inout i32[:]
.buffer low: inout f64[:]
.shared t: u8[4]
    rem.i64 b, %gid, 5
    red.add.i32 bins[b], 1
    cvt.f64.i64 v, %gid
    neg.f64 v, v
    red.min.f64 low[0], v
    red.max.f64 low[1], v
    redsh.or.u8 t[0], 5
    redsh.xor.u8 t[1], 1
    redsh.add.u8 t[2], 100
    barrier
    seteq.i64 first, %lane, 0
    bra !first, end
    lds.u8 a, t[0]
    lds.u8 c, t[2]
    cvt.i32.u8 sum, c
    red.max.i32 bins[5], sum
    seteq.u8 p, a, 5
    assert p, \"or\"
    lds.u8 a, t[1]
    seteq.u8 p, a, 0
    assert p, \"xor\"
end:
    exit";
    let bins = tensor(Type::I32, &[6], &[Value::new(Type::I32, 0); 6]);
    let low = tensor(Type::F64, &[2], &[Value::double(5.0), Value::double(-1e9)]);
    run(text, &[Argument::Tensor(bins.clone()), Argument::Tensor(low.clone())], &blocks(64, 32)).unwrap();
    let counts: Vec<i128> = values(Type::I32, &bins).into_iter().map(Value::to_integer).collect();
    // 32 * 100 wraps to 128.
    assert_eq!(counts, [13, 13, 13, 13, 12, 128]);
    let low: Vec<u64> = values(Type::F64, &low).into_iter().map(Value::bits).collect();
    assert_eq!(low, [(-63f64).to_bits(), (-0f64).to_bits()]);
}

#[test]
fn storage_types_and_truth_values_in_memory() {
    let text = "
.kernel k
.buffer h: inout f16[:]
.buffer b: inout bf16[:]
.buffer q: inout b1[:]
    ldg.f16 u, h[%gid]
    add.f32 u, u, 0.0009765625
    stg.f16 h[%gid], u
    ldg.bf16 v, b[%gid]
    mul.f32 v, v, 1.00390625
    stg.bf16 b[%gid], v
    ldg.b1 p, q[%gid]
    not.b1 p, p
    stg.b1 q[%gid], p
    exit";
    let one = |ty| tensor(ty, &[3], &[1.0, 2.0, 70_000.0].map(Value::single));
    let (h, b) = (one(Type::F16), one(Type::Bf16));
    let q = tensor(Type::U8, &[3], &[0, 1, 2].map(|v| Value::new(Type::U8, v)));
    let q = q.view_as(0, Type::B1.dtype(), &[3], &[1]);
    run(text, &[h.clone(), b.clone(), q.clone()].map(Argument::Tensor), &Options::lanes(3)).unwrap();
    let read = |ty, t| values(ty, t).into_iter().map(Value::to_single).collect::<Vec<_>>();
    assert_eq!(read(Type::F16, &h), [1.0 + 2f32.powi(-10), 2.0, f32::INFINITY]);
    assert_eq!(read(Type::Bf16, &b), [1.0, 2.0, 70_656.0]);
    // Any byte but 0 is true; what is stored is 0 or 1.
    let bytes = values(Type::U8, &q.view_as(0, Type::U8.dtype(), &[3], &[1]));
    assert_eq!(bytes.into_iter().map(Value::bits).collect::<Vec<_>>(), [1, 0, 0]);
}

const HEAD: &str =
    ".kernel k\n.param n: i64\n.buffer x: in f32[:, :]\n.buffer y: inout i64[:]\n.shared t: i64[4, 2]\n";

fn faulty(body: &str, lanes: i64, block: i64, step_limit: Option<u64>) -> LaneFault {
    let x = singles(&[1.0; 6]).view(0, &[2, 3], &[12, 4]);
    let arguments = [number(3), Argument::Tensor(x), Argument::Tensor(indices(&[0; 8]))];
    let text = format!("{HEAD}{}\n", body.replace(" | ", "\n"));
    fault(&text, &arguments, &Options { step_limit, ..blocks(lanes, block) })
}

#[test]
fn faults_with_their_messages() {
    for (body, limit, message) in [
        (
            "ldg.f32 u, x[1, n] | exit",
            None,
            "[k] line 6: ldg.f32 u, x[1, n]: lane (0, 0, 0) of block (0, 0, 0): index (1, 3) is out of bounds for x with shape (2, 3)",
        ),
        (
            "ldg.f32 u, x[-1, 0] | exit",
            None,
            "[k] line 6: ldg.f32 u, x[-1, 0]: lane (0, 0, 0) of block (0, 0, 0): index (-1, 0) is out of bounds for x with shape (2, 3)",
        ),
        (
            "stg.i64 y[%gid], n | exit",
            None,
            "[k] line 6: stg.i64 y[%gid.x], n: lane (8, 0, 0) of block (2, 0, 0): index 8 is out of bounds for y with shape (8,)",
        ),
        (
            "red.add.i64 y[9223372036854775807], n | exit",
            None,
            "[k] line 6: red.add.i64 y[9223372036854775807], n: lane (0, 0, 0) of block (0, 0, 0): index 9223372036854775807 is out of bounds for y with shape (8,)",
        ),
        (
            "sts.i64 t[%lane, 2], n | exit",
            None,
            "[k] line 6: sts.i64 t[%lane.x, 2], n: lane (0, 0, 0) of block (0, 0, 0): index (0, 2) is out of bounds for t with shape (4, 2)",
        ),
        (
            "sub.i64 d, n, %gid | floordiv.i64 q, n, d | exit",
            None,
            "[k] line 7: floordiv.i64 q, n, d: lane (3, 0, 0) of block (0, 0, 0): integer division by zero",
        ),
        (
            "rem.u8 q, 1, 0 | exit",
            None,
            "[k] line 6: rem.u8 q, 1, 0: lane (0, 0, 0) of block (0, 0, 0): integer division by zero",
        ),
        (
            "pow.f64 q, 2, 1.25 | exit",
            None,
            "[k] line 6: pow.f64 q, 2.0, 1.25: lane (0, 0, 0) of block (0, 0, 0): exponent 1.25: only whole numbers and 0.5 are supported",
        ),
        (
            "setlt.i64 p, %gid, 5 | assert p, \"too \\\"far\\\"\" | exit",
            None,
            "[k] line 7: assert p, \"too \\\"far\\\"\": lane (5, 0, 0) of block (1, 0, 0): assertion failed: too \"far\"",
        ),
        (
            "l: | bra l",
            Some(10),
            "[k] line 7: bra l: lane (0, 0, 0) of block (0, 0, 0): the step limit of 10 is used up",
        ),
        (
            "loop i, n | endloop | exit",
            Some(1),
            "[k] line 7: endloop: lane (0, 0, 0) of block (0, 0, 0): the step limit of 1 is used up",
        ),
        (
            "l: | bra false, l | call s | setlt.i64 p, %gid, 6 | bra p, e | bra s2 | s2: | loop i, 1000000000 | endloop | e: | exit | s: | ret",
            Some(7),
            "[k] line 14: endloop: lane (6, 0, 0) of block (1, 0, 0): the step limit of 7 is used up",
        ),
        (
            "setlt.i64 p, %lane, 2 | bra p, a | barrier | exit | a: | reduce.add.i64 s, n | exit",
            None,
            "[k] line 11: reduce.add.i64 s, n: lane (0, 0, 0) of block (0, 0, 0): waits here, while lane (2, 0, 0) waits at line 8: barrier",
        ),
        (
            "rem.i64 r, %lane, 2 | seteq.i64 p, r, 0 | loop i, 3 | bra p, m | setlt.i64 q, i, 1 | continue q | m: | barrier | endloop | exit",
            None,
            "[k] line 13: barrier: lane (0, 0, 0) of block (0, 0, 0): waits here, while lane (1, 0, 0) waits at line 13: barrier, in another iteration",
        ),
        (
            "setlt.i64 p, %lane, 2 | bra p, a | call s | exit | a: | call s | exit | s: | barrier | ret",
            None,
            "[k] line 14: barrier: lane (0, 0, 0) of block (0, 0, 0): waits here, while lane (2, 0, 0) waits at line 14: barrier, in another call",
        ),
    ] {
        assert_eq!(faulty(body, 12, 4, limit).to_string(), message);
    }
}

#[test]
fn a_fault_has_fields() {
    let fault = faulty("ldg.f32 u, x[1, n] | exit", 12, 4, None);
    assert_eq!(
        (fault.kernel.as_str(), fault.line, fault.instruction.as_str()),
        ("k", 6, "ldg.f32 u, x[1, n]")
    );
    assert_eq!((fault.lane, fault.block), ([0; 3], [0; 3]));
    let access = fault.access.unwrap();
    assert_eq!((access.buffer.as_str(), access.index, access.shape), ("x", vec![1, 3], vec![2, 3]));
    assert_eq!(faulty("stg.i64 y[%gid], n | exit", 12, 4, None).block, [2, 0, 0]);
}

#[test]
fn the_fault_of_the_earliest_interval_and_the_lowest_lane() {
    // Lane 1 fails after the barrier, lane 3 before it.
    let body = "seteq.i64 p, %lane, 3 | bra !p, a | assert false, \"before\" | a: | barrier | seteq.i64 p, %lane, 1 | bra !p, b | assert false, \"after\" | b: | exit";
    let found = faulty(body, 8, 4, None);
    assert_eq!((found.lane, found.what), ([3, 0, 0], Fault::Assertion { message: "before".to_owned() }));
    // Lane 2 of block 0 and lane 0 of block 1.
    let body = "setlt.i64 p, %gid, 2 | assert p, \"low\" | exit";
    assert_eq!(faulty(body, 8, 4, None).lane, [2, 0, 0]);
    // Some lanes have met at a reduction, which is a place to meet too.
    let body = "reduce.max.i64 m, %lane | setlt.i64 p, %lane, 2 | assert p, \"later\" | exit";
    assert_eq!(faulty(body, 8, 4, None).lane, [2, 0, 0]);
    // A step limit counts what lanes do, each for itself.
    let body = "loop i, %gid | endloop | exit";
    assert_eq!(faulty(body, 12, 4, Some(4)).lane, [6, 0, 0]);
}

fn race(body: &str) -> Option<LaneFault> {
    let arguments = [
        number(3),
        Argument::Tensor(singles(&[0.0; 6]).view(0, &[2, 3], &[12, 4])),
        Argument::Tensor(indices(&[0; 64])),
    ];
    let text = format!("{HEAD}{}\n", body.replace(" | ", "\n"));
    match run(&text, &arguments, &blocks(8, 4)) {
        Ok(()) => None,
        Err(LaunchError::Fault(fault)) => {
            assert!(matches!(fault.what, Fault::Race { .. }), "{fault}");
            Some(*fault)
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn races_of_every_kind_are_found() {
    for (body, lanes, lines, element) in [
        // store/store, in one block and in two
        ("stg.i64 y[0], n | exit", [[0, 0, 0], [1, 0, 0]], [6, 6], "y[0]"),
        ("stg.i64 y[%lane], n | exit", [[0, 0, 0], [4, 0, 0]], [6, 6], "y[0]"),
        // store/load, load/store
        (
            "stg.i64 y[%gid], n | add.i64 k, %gid, 7 | rem.i64 k, k, 8 | ldg.i64 v, y[k] | exit",
            [[0, 0, 0], [1, 0, 0]],
            [6, 9],
            "y[0]",
        ),
        (
            "add.i64 k, %gid, 1 | ldg.i64 v, y[k] | stg.i64 y[%gid], n | exit",
            [[0, 0, 0], [1, 0, 0]],
            [7, 8],
            "y[1]",
        ),
        // load/red, red/load, store/red
        ("ldg.i64 v, y[5] | red.add.i64 y[5], v | exit", [[0, 0, 0], [1, 0, 0]], [7, 6], "y[5]"),
        (
            "bra here | here: | red.add.i64 y[5], n | seteq.i64 p, %gid, 2 | bra !p, e | ldg.i64 v, y[5] | e: | exit",
            [[0, 0, 0], [2, 0, 0]],
            [8, 11],
            "y[5]",
        ),
        (
            "seteq.i64 p, %gid, 1 | bra p, s | red.add.i64 y[5], n | exit | s: | stg.i64 y[5], n | exit",
            [[0, 0, 0], [1, 0, 0]],
            [8, 11],
            "y[5]",
        ),
        // two different reds
        (
            "seteq.i64 p, %gid, 6 | bra p, s | red.add.i64 y[5], n | exit | s: | red.max.i64 y[5], n | exit",
            [[0, 0, 0], [6, 0, 0]],
            [8, 11],
            "y[5]",
        ),
        // a missing barrier, and one that orders a block but not the next one
        (
            "sts.i64 t[%lane, 0], n | sub.i64 k, 3, %lane | lds.i64 v, t[k, 0] | exit",
            [[1, 0, 0], [2, 0, 0]],
            [8, 6],
            "t[2, 0]",
        ),
        (
            "stg.i64 y[%lane], n | barrier | sub.i64 k, 3, %lane | ldg.i64 v, y[k] | exit",
            [[0, 0, 0], [4, 0, 0]],
            [6, 6],
            "y[0]",
        ),
        // a reduction orders values, not memory
        (
            "stg.i64 y[%gid], n | reduce.add.i64 s, n | add.i64 k, %gid, 1 | rem.i64 k, k, 4 | ldg.i64 v, y[k] | exit",
            [[1, 0, 0], [0, 0, 0]],
            [6, 10],
            "y[1]",
        ),
        // stored again by the first lane after a barrier, while another reads what it stored before
        (
            "stg.i64 y[%gid], n | barrier | stg.i64 y[%gid], n | rem.i64 k, %gid, 4 | ldg.i64 v, y[0] | exit",
            [[0, 0, 0], [1, 0, 0]],
            [8, 10],
            "y[0]",
        ),
    ] {
        let found = race(body).unwrap_or_else(|| panic!("no race in {body}"));
        let pair = found.race.clone().unwrap();
        assert_eq!((pair.lanes, pair.lines), (lanes, lines), "{found}");
        assert_eq!((found.lane, found.line), (lanes[1], lines[1]));
        let access = found.access.clone().unwrap();
        let index: Vec<String> = access.index.iter().map(i64::to_string).collect();
        assert_eq!(format!("{}[{}]", access.buffer, index.join(", ")), element);
    }
    assert_eq!(
        race("stg.i64 y[0], n | exit").unwrap().to_string(),
        "[k] line 6: stg.i64 y[0], n: lane (1, 0, 0) of block (0, 0, 0): y[0] is accessed by lane (0, 0, 0) on line 6 and by this lane, without a barrier between them"
    );
}

#[test]
fn what_is_no_race() {
    for body in [
        // own elements; loads by all; equal reds by all; other elements
        "stg.i64 y[%gid], n | ldg.i64 v, y[%gid] | red.add.i64 y[%gid], v | stg.i64 y[%gid], v | exit",
        "ldg.i64 v, y[0] | exit",
        "red.add.i64 y[0], n | red.add.i64 y[0], 1 | exit",
        "mul.i64 k, %gid, 2 | stg.i64 y[k], n | add.i64 k, k, 1 | stg.i64 y[k], n | exit",
        // ordered by a barrier, in one block: another red, a load, a store
        "mul.i64 b, %block, 8 | red.add.i64 y[b], n | barrier | red.max.i64 y[b], n | barrier | ldg.i64 v, y[b] | barrier | bra over | over: | seteq.i64 p, %lane, 2 | bra !p, e | stg.i64 y[b], v | e: | exit",
        // shared memory is each block's own
        "sts.i64 t[%lane, 0], n | barrier | sub.i64 k, 3, %lane | lds.i64 v, t[k, 0] | barrier | sts.i64 t[k, 0], v | exit",
        "redsh.add.i64 t[0, 0], n | barrier | lds.i64 v, t[0, 0] | exit",
    ] {
        assert_eq!(race(body), None, "{body}");
    }
    // A fault goes before a race.
    let body = "stg.i64 y[0], n | setlt.i64 p, %gid, 7 | assert p, \"end\" | exit";
    let found = faulty(body, 8, 4, None);
    assert_eq!((found.lane, found.race), ([7, 0, 0], None));
}

#[test]
fn random_programs_run_to_their_end_without_races() {
    for seed in 0..250 {
        let mut random = Random::new(seed);
        let shape = Shape { faults: seed % 3 == 0, ..Shape::default() };
        let program = Arc::new(generate(&mut random, &shape));
        let flat = program.buffers().iter().any(|b| b.name.starts_with('y') && b.axes == 1);
        let lanes = if flat { [1 + random.below(70) as i64, 1, 1] } else { [5, 3, 2] };
        let block = if flat { [16, 1, 1] } else { [2, 2, 2] };
        let (shapes, params) = (shapes(&program, lanes, &mut random), numbers(&program, &mut random));
        let edge = if seed % 2 == 0 { Edge::Below } else { Edge::Above };
        let guarded = Guarded::new(&program, &shapes, &params, &mut random, edge);
        tell_of(seed);
        let options = Options { lanes, block, step_limit: Some(10_000), check_races: true };
        let done = corepy_runtime::backends::launch(&program, &guarded.arguments, &options, "reference");
        guarded.assert_untouched(&seed);
        match done {
            Ok(()) => {}
            Err(LaunchError::Fault(fault)) if shape.faults && fault.race.is_none() => {}
            Err(error) => panic!("seed {seed}: {error}\n{}", program.text()),
        }
    }
}

#[test]
fn a_program_is_loaded_once_and_launched_often() {
    let program = program(SAXPY);
    let backend = corepy_runtime::backends::find("k", "reference").unwrap();
    let ready = backend.load(&program).unwrap();
    let x = backend.allocate("test", &[3], Type::F32.dtype()).unwrap();
    let y = backend.allocate("test", &[3], Type::F32.dtype()).unwrap();
    backend.copy("test", &singles(&[1.0, 2.0, 3.0]), &x).unwrap();
    backend.copy("test", &singles(&[0.5; 3]), &y).unwrap();
    for _ in 0..3 {
        let arguments =
            [Argument::Number(Scalar::from_f64(2.0)), x.clone().into_argument(), y.clone().into_argument()];
        let launch = corepy_runtime::backends::Launch::new(&program, &arguments, &Options::lanes(3)).unwrap();
        ready.launch(&launch).unwrap();
    }
    backend.synchronise().unwrap();
    assert_eq!(read_singles(&y), [6.5, 12.5, 18.5]);
    let capabilities = backend.capabilities();
    assert!(capabilities.checks_races && !capabilities.automatic && capabilities.reason.is_empty());
    assert!(corepy_runtime::backends::find("k", "auto").is_ok());
}

trait IntoArgument {
    fn into_argument(self) -> Argument;
}

impl IntoArgument for corepy_runtime::Tensor {
    fn into_argument(self) -> Argument {
        Argument::Tensor(self)
    }
}

/// The race checker forgets most of what it has seen: against all pairs of accesses.
#[test]
fn races_against_all_pairs() {
    use corepy_runtime::backends::reference::races::{Event, Kind, Races};
    use corepy_runtime::program::Combine;
    const KINDS: [Kind; 4] = [Kind::Load, Kind::Store, Kind::Red(Combine::Add), Kind::Red(Combine::Max)];
    let mut random = Random::new(21);
    let mut found = [0; 2];
    for _ in 0..20_000 {
        // Mostly one kind, so that many orders are free of races.
        let usual = *random.pick(&KINDS);
        let mut races = Races::default();
        let mut all: Vec<Event> = Vec::new();
        let (mut first, mut expected) = (false, false);
        'events: for block in 0..1 + random.below(3) as i64 {
            for interval in 0..1 + random.below(3) as u32 {
                // In one interval the lanes may come by several times: reductions are no barriers.
                for lane in (0..3).chain(0..3) {
                    if !random.chance(30) {
                        continue;
                    }
                    let kind = if random.chance(85) { usual } else { *random.pick(&KINDS) };
                    let event = Event { block, interval, lane, kind, instruction: all.len() as u32 };
                    first = races.access((0, 7), event).unwrap().is_some();
                    expected = all.iter().any(|earlier| {
                        let ordered =
                            earlier.block == block && (earlier.interval != interval || earlier.lane == lane);
                        let alike = earlier.kind == kind && kind != Kind::Store;
                        !ordered && !alike
                    });
                    assert_eq!(first, expected, "{all:?} {event:?}");
                    all.push(event);
                    if first {
                        break 'events;
                    }
                }
            }
        }
        found[usize::from(first && expected)] += 1;
    }
    assert!(found.iter().all(|&n| n > 2000), "{found:?}");
}
