//! The tile interpreter where it takes short cuts: values read and written in place, indices that rise with the lane,
//! sums on several threads, lanes that have parted. `run` holds what it leaves against the reference interpreter.

use crate::lanes::{indices, number, program, read_indices, read_singles, run, singles, tensor, values};
use corepy_runtime::Tensor;
use corepy_runtime::backends::{Argument, LaunchError, Options, launch};
use corepy_runtime::program::{Type, Value};
use corepy_runtime::scheduler::OwnThreads;

fn run_blocks(text: &str, arguments: &[Argument], lanes: i64, block: i64) -> Result<(), LaunchError> {
    run(text, arguments, &Options { block: [block, 1, 1], ..Options::lanes(lanes) })
}

/// Values that differ from lane to lane.
fn counted(n: i64) -> Tensor {
    singles(&(0..n).map(|i| (i % 97) as f32 * 0.25 - 3.0).collect::<Vec<_>>())
}

fn tensors(all: &[&Tensor]) -> Vec<Argument> {
    all.iter().map(|&t| Argument::Tensor(t.clone())).collect()
}

#[test]
fn a_value_that_was_loaded_stays_what_it_was() {
    for text in [
        // Stored over, by the lane itself and, after a barrier, by another one, and used again.
        ".kernel k\n.buffer y: inout f32[:]\nldg.f32 v, y[%gid]\nadd.f32 w, v, 1\nstg.f32 y[%gid], w\n\
         mul.f32 w, v, v\nstg.f32 y[%gid], w\nexit",
        ".kernel k\n.buffer y: inout f32[:]\nldg.f32 v, y[%gid]\nbarrier\nseteq.i64 p, %lane, 3\nbra p, s\nbra u\ns:\n\
         sub.i64 k, %gid, 3\nstg.f32 y[k], 1000\nexit\nu:\nbra e\ne:\nadd.f32 w, v, 0.5\nseteq.i64 q, %lane, 0\n\
         bra q, out\nstg.f32 y[%gid], w\nout:\nexit",
        // Two lanes' groups load it at different times.
        ".kernel k\n.buffer y: inout f32[:]\nrem.i64 r, %gid, 3\nloop i, 4\nseteq.i64 p, r, i\nbra !p, on\n\
         ldg.f32 v, y[%gid]\nmul.f32 w, v, 2\nstg.f32 y[%gid], w\non:\nendloop\nexit",
        // One register for a value that crosses a barrier, to which lanes come by two ways, and for another one.
        ".kernel k\n.buffer y: inout f32[:]\nrem.i64 r, %gid, 2\nseteq.i64 p, r, 1\nbra p, l\nb:\ncvt.f32.i64 v, %gid\n\
         barrier\nadd.f32 w, v, 1\nmov.f32 v, 7\nmul.f32 w, w, v\nstg.f32 y[%gid], w\nexit\nl:\nbra b",
        // A polynomial, in place and not.
        ".kernel k\n.buffer y: inout f32[:]\nldg.f32 v, y[%gid]\nmov.f32 s, 0.5\nfma.f32 s, s, v, 1\n\
         fma.f32 s, v, s, -2\nfma.f32 s, s, v, 0.25\nstg.f32 y[%gid], s\nexit",
        ".kernel k\n.buffer y: inout f32[:]\nldg.f32 v, y[%gid]\nsetlt.f32 p, v, 4\nmov.f32 s, v\nbra p, e\n\
         fma.f32 s, s, v, 1\nfma.f32 s, v, s, -2\ne:\nfma.f32 s, s, v, 1\nfma.f32 s, v, s, -2\nstg.f32 y[%gid], s\nexit",
    ] {
        for (lanes, block) in [(8, 8), (1000, 256), (5000, 100)] {
            run_blocks(text, &tensors(&[&counted(lanes)]), lanes, block).unwrap();
        }
    }
}

#[test]
fn lanes_that_do_not_run_do_not_fault() {
    // Where a divisor is 0, an exponent has no power or an index lies outside, the lane goes round it.
    let text = ".kernel k\n.buffer n: inout i32[:]\n.buffer f: inout f64[:]\n\
        rem.i64 r, %gid, 3\nsub.i64 d, r, 1\ncvt.i32.i64 d32, d\nseteq.i64 p, d, 0\nldg.i32 a, n[%gid]\n\
        ldg.f64 b, f[%gid]\ncvt.f64.i64 e, d\nadd.f64 e, e, 0.25\nsel.f64 e, p, e, 2\n\
        sel.i64 k, p, 1152921504606846976, %gid\nbra p, skip\nfloordiv.i32 a, a, d32\nrem.i32 c, 100, d32\nadd.i32 a, a, c\n\
        pow.f64 b, b, e\nldg.i32 c, n[k]\nadd.i32 a, a, c\nskip:\nadd.i32 a, a, 1\nstg.f64 f[%gid], b\n\
        stg.i32 n[%gid], a\nexit";
    for (lanes, block) in [(9i64, 4), (1000, 256), (3000, 100)] {
        let n = tensor(
            Type::I32,
            &[lanes],
            &(0..lanes).map(|i| Value::integer(Type::I32, i128::from(i * 7919 % 1000))).collect::<Vec<_>>(),
        );
        let f = tensor(
            Type::F64,
            &[lanes],
            &(0..lanes).map(|i| Value::double(i as f64 / 8.0)).collect::<Vec<_>>(),
        );
        run_blocks(text, &tensors(&[&n, &f]), lanes, block).unwrap();
    }
    // The lowest of those that do.
    let text = text
        .replace("sel.f64 e, p, e, 2", "setgt.i64 q, %gid, 40\nsel.f64 e, q, e, 2")
        .replace("bra p, skip", "bra false, skip");
    let (n, f) = (
        tensor(Type::I32, &[50], &[Value::new(Type::I32, 5); 50]),
        tensor(Type::F64, &[50], &[Value::double(2.0); 50]),
    );
    run_blocks(&text, &tensors(&[&n, &f]), 50, 64).unwrap_err();
}

#[test]
fn a_divisor_that_all_lanes_share_stops_the_lowest_that_runs() {
    let text = ".kernel k\n.param d: i64\n.param first: i64\n.buffer y: out i64[:]\n\
        rem.i64 r, %gid, 5\nsetlt.i64 p, %gid, first\nbra p, e\nseteq.i64 q, r, 2\nbra q, e\nfloordiv.i64 r, r, d\n\
        e:\nstg.i64 y[%gid], r\nexit";
    for (divisor, first, lowest) in
        [(3, 0, None), (0, 0, Some(0)), (0, 1, Some(1)), (0, 7, Some(8)), (0, 300, Some(300))]
    {
        let y = indices(&[0; 400]);
        let arguments = [number(divisor), number(first), Argument::Tensor(y)];
        let done = run_blocks(text, &arguments, 400, 64);
        let stopped = match done {
            Err(LaunchError::Fault(fault)) => Some(fault.lane[0]),
            done => {
                done.unwrap();
                None
            }
        };
        assert_eq!(stopped, lowest);
    }
}

#[test]
fn any_layout_alignment_and_index() {
    // Twice and half the lane, backwards, the same for all, by way of registers that wrap around on their way.
    let text = ".kernel k\n.buffer x: in f32[:]\n.buffer h: in f16[:]\n.buffer q: in b1[:]\n.buffer y: inout f32[:]\n\
        .buffer z: out bf16[:]\n\
        dim.i64 n, y, 0\nsub.i64 last, n, 1\nsub.i64 back, last, %gid\nldg.f32 a, x[back]\nldg.f32 b, y[%gid]\n\
        add.i64 big, %gid, 9223372036854775807\nadd.i64 k, big, 9223372036854775807\nadd.i64 k, k, 2\n\
        ldg.f16 c, h[k]\nmul.i64 even, %gid, 2\nrem.i64 odd, even, n\nldg.f32 d, x[odd]\nldg.b1 p, q[%gid]\n\
        ldg.f32 e, x[7]\nfma.f32 a, a, b, c\nfma.f32 a, a, d, e\nsel.f32 a, p, a, b\nstg.f32 y[%gid], a\n\
        stg.bf16 z[back], a\nexit";
    let n = 700i64;
    let bytes = |count: i64| {
        let values: Vec<Value> = (0..count).map(|i| Value::new(Type::U8, (i * 37 % 251) as u64)).collect();
        tensor(Type::U8, &[count], &values)
    };
    for (offset, stride) in [(0, 4), (1, 4), (4 * (n - 1), -4), (3, 12), (0, 0)] {
        let far = bytes(4 * 12 * n);
        let x = far.view_as(offset, Type::F32.dtype(), &[n], &[stride]);
        let x = if stride == 0 { x.into_read_only() } else { x };
        for (y_offset, y_stride) in [(0, 4), (1, 4), (4 * n, -4), (2, 9)] {
            let own = bytes(16 * n);
            let y = own.view_as(y_offset, Type::F32.dtype(), &[n], &[y_stride]);
            let h = bytes(4 * n).view_as(offset.min(1), Type::F16.dtype(), &[n], &[2]);
            let q = bytes(n).view_as(0, Type::B1.dtype(), &[n], &[1]);
            let z = bytes(8 * n).view_as(y_offset % 4, Type::Bf16.dtype(), &[n], &[2 + y_offset % 3]);
            run_blocks(text, &tensors(&[&x, &h, &q, &y, &z]), n, 64).unwrap();
        }
    }
    for text in [
        "add.i64 k, %gid, 9223372036854775800 | stg.i64 y[k], 1 | exit",
        "sub.i64 k, %gid, 20 | stg.i64 y[k], 1 | exit",
        "sub.i64 k, 20, %gid | stg.i64 y[k], 1 | exit",
        "mul.i64 k, %gid, 4611686018427387904 | stg.i64 y[k], 1 | exit",
        "mul.i64 k, %gid, -9223372036854775808 | seteq.i64 p, %gid, 1 | bra p, e | stg.i64 y[k], 1 | e: | exit",
        "add.i64 k, %gid, 9223372036854775800 | setlt.i64 p, k, 0 | bra p, e | stg.i64 y[%gid], 1 | e: | exit",
        "add.i64 k, %gid, 9223372036854775800 | setge.i64 p, -5, k | bra !p, e | stg.i64 y[%gid], 1 | e: | exit",
    ] {
        let text = format!(".kernel k\n.buffer y: inout i64[:]\n{}\n", text.replace(" | ", "\n"));
        // Lanes that store to one element race, and the answer is then the race or the fault.
        _ = run_blocks(&text, &tensors(&[&indices(&[0; 64])]), 64, 16);
    }
}

#[test]
fn sums_of_many_tiles_on_many_threads() {
    let text = ".kernel k\n.buffer few: inout i32[:]\n.buffer many: inout u8[:, :]\n.buffer low: inout f64[:]\n\
        .buffer all: inout i64[:]\n.buffer bits: inout u16[:]\n\
        mul.i64 k, %gid, 7919\nrem.i64 b, k, 5\nred.add.i32 few[b], 3\nrem.i64 r, k, 300\nrem.i64 c, k, 301\n\
        red.add.u8 many[r, c], 1\ncvt.f64.i64 v, k\nneg.f64 v, v\nred.min.f64 low[1], v\nred.max.f64 low[b], v\n\
        red.add.i64 all[0], %gid\nand.i64 s, %gid, 15\ncvt.u16.i64 m, k\nred.xor.u16 bits[s], m\nexit";
    // Two kinds of updates of one element are a race, so `low` sees the second kind elsewhere.
    let text = text.replace("red.max.f64 low[b], v\n", "");
    for (lanes, threads, unaligned) in [(300i64, 1, 0), (60_000, 4, 0), (60_000, 4, 1)] {
        let _threads = OwnThreads::new(threads).unwrap();
        let zeros =
            |bytes: i64| tensor(Type::U8, &[bytes + 8], &vec![Value::new(Type::U8, 0); bytes as usize + 8]);
        let few = zeros(20).view_as(unaligned, Type::I32.dtype(), &[5], &[4]);
        let many = zeros(301 * 300).view_as(0, Type::U8.dtype(), &[300, 301], &[301, 1]);
        let low = zeros(16).view_as(0, Type::F64.dtype(), &[2], &[8]);
        let all = zeros(8).view_as(0, Type::I64.dtype(), &[1], &[8]);
        let bits = zeros(32).view_as(0, Type::U16.dtype(), &[16], &[2]);
        run_blocks(&text, &tensors(&[&few, &many, &low, &all, &bits]), lanes, 256).unwrap();
    }
}

/// The first index rises with the lane and is far below 0 in lane 0, the second is each lane's own; lane 1001 is left out.
#[test]
fn lanes_that_do_not_run_read_nothing_outside() {
    const COLUMNS: i64 = 65_536;
    let text = ".kernel k\n.buffer x: in f32[:, :]\n.buffer y: out f32[:]\nseteq.i64 a, %gid, 1000\n\
        seteq.i64 b, %gid, 1002\nor.b1 a, a, b\nsub.i64 r, %gid, 1000\nmul.i64 s, r, 31\nmul.i64 c, %gid, %gid\n\
        rem.i64 c, c, 65536\nbra !a, end\nldg.f32 v, x[s, c]\nstg.f32 y[%gid], v\nend:\nexit";
    let x = Tensor::empty("test", &[64, COLUMNS], Type::F32.dtype()).unwrap();
    let y = counted(1024);
    for (lane, value) in [(1000, 5f32), (1002, 7.0)] {
        let place = (lane - 1000) * 31 * COLUMNS + lane * lane % COLUMNS;
        // SAFETY: an element of the tensor, which is contiguous.
        unsafe { x.data().cast::<f32>().add(place as usize).write(value) };
    }
    let options = Options { block: [1024, 1, 1], ..Options::lanes(1024) };
    launch(&program(text), &tensors(&[&x, &y]), &options, "tile").unwrap();
    assert_eq!((read_singles(&y)[1000], read_singles(&y)[1002]), (5.0, 7.0));
}

/// An axis of one element may have any stride.
#[test]
fn strides_that_no_index_uses() {
    let text = ".kernel k\n.buffer x: inout i32[:, :]\n.buffer y: inout i32[:, :]\nsub.i64 i, %gid, 5\nseteq.i64 p, i, 0\n\
        bra !p, end\nred.add.i32 x[i, 2], 3\nldg.i32 v, y[i, i]\nadd.i32 v, v, 1\nstg.i32 y[i, i], v\nend:\nexit";
    for stride in [1i64 << 62, -(1 << 62), i64::MAX, i64::MIN + 1] {
        let four = || tensor(Type::I32, &[4], &[0; 4].map(|_| Value::new(Type::I32, 7)));
        let x = four().view_as(0, Type::I32.dtype(), &[1, 4], &[stride, 4]);
        let y = four().view_as(4, Type::I32.dtype(), &[1, 1], &[stride, stride]);
        run_blocks(text, &tensors(&[&x, &y]), 40, 16).unwrap();
        assert_eq!(values(Type::I32, &x)[2].bits(), 10);
        assert_eq!(values(Type::I32, &y)[0].bits(), 8);
    }
}

/// Threads keep sums of their own, which they add to elements that some lane has named and to no other.
#[test]
fn elements_without_an_update_keep_every_bit() {
    let text = ".kernel k\n.buffer x: inout f32[:]\ncvt.f32.i64 v, %gid\nred.min.f32 x[1], v\nexit";
    let bits = [0x7fc1_2345, 0x4000_0000, 0xffa0_0001, 0x8000_0000];
    let x = tensor(Type::F32, &[4], &bits.map(|b| Value::new(Type::F32, b)));
    let _threads = OwnThreads::new(4).unwrap();
    let arguments = [Argument::Tensor(x.clone())];
    launch(&program(text), &arguments, &Options::lanes(200_000), "tile").unwrap();
    let left: Vec<u64> = values(Type::F32, &x).iter().map(|v| v.bits()).collect();
    assert_eq!(left, [0x7fc1_2345, 0, 0xffa0_0001, 0x8000_0000]);
}

#[test]
fn places_on_the_axes_of_a_block() {
    // Rows, columns, values for a row or a column, planes turned round, one index for all beside them, conversions; the
    // grid leaves a part of the last blocks empty, and the buffers may end before it.
    let text = ".kernel k\n.param end: i64\n.buffer x: in f32[:, :, :]\n.buffer h: in f16[:, :]\n.buffer y: inout f32[:, :, :]\n\
        .buffer n: inout i32[:]\n.shared t: f32[4, 8, 16]\n\
        setge.i64 out, %gid.x, end\nbra out, e\n\
        ldg.f32 a, x[%gid.z, %gid.y, %gid.x]\nldg.f32 b, x[1, %gid.y, 2]\nldg.f32 c, x[%gid.z, 0, %gid.x]\n\
        ldg.f32 d, x[%gid.z, 1, 1]\nldg.f16 f, h[%gid.x, %gid.y]\nldg.f32 g, x[%lane.z, %lane.y, %lane.x]\n\
        fma.f32 a, b, c, a\nfma.f32 a, d, f, a\nadd.f32 a, a, g\n\
        sts.f32 t[%lane.z, %lane.y, %lane.x], a\n\
        lds.f32 b, t[%lane.z, %lane.y, %lane.x]\nmul.f32 b, b, 0.5\n\
        red.add.i32 n[%lane.y], 1\n\
        ldg.f32 old, y[%gid.z, %gid.y, %gid.x]\nadd.f32 b, b, old\nstg.f32 y[%gid.z, %gid.y, %gid.x], b\ne:\nexit";
    // Without shared memory a tile has many blocks.
    let many = text
        .replace(".shared t: f32[4, 8, 16]\n", "")
        .replace("sts.f32 t[%lane.z, %lane.y, %lane.x], a\n", "")
        .replace("lds.f32 b, t[%lane.z, %lane.y, %lane.x]", "mov.f32 b, a");
    for (lanes, block) in [
        ([16, 8, 4], [16, 8, 4]),
        ([40, 9, 5], [16, 8, 4]),
        ([33, 20, 1], [8, 8, 1]),
        ([20, 7, 6], [4, 1, 4]),
        ([5, 6, 7], [1, 4, 2]),
        ([31, 3, 2], [3, 2, 1]),
    ] {
        for (end, short, turned) in [(1000i64, 0, false), (1000, 0, true), (11, 0, false), (1000, 1, false)] {
            let [w, h, d]: [i64; 3] = lanes;
            let count = w.max(16) * h.max(8) * d.max(4);
            let floats = || counted(count);
            let (shape, strides) =
                ([d.max(4), h.max(8) - short, w.max(16)], [4 * w.max(16) * h.max(8), 4 * w.max(16), 4]);
            let x = floats().view(0, &shape, &strides);
            let y = floats().view(0, &shape, &strides);
            let (x, y) = if turned {
                let back = [-strides[0], 4, 4 * h.max(8)];
                let first = strides[0] * (shape[0] - 1);
                (floats().view(first, &shape, &back), floats().view(first, &shape, &back))
            } else {
                (x, y)
            };
            let half = counted(w.max(16) * h.max(8)).view_as(
                0,
                Type::F16.dtype(),
                &[w.max(16), h.max(8)],
                &[2 * h.max(8), 2],
            );
            let n = tensor(Type::I32, &[8], &[Value::new(Type::I32, 0); 8]);
            let mut arguments = vec![number(end)];
            arguments.extend(tensors(&[&x, &half, &y, &n]));
            for text in [text, &many] {
                let done = run(text, &arguments, &Options { lanes, block, ..Options::lanes(1) });
                assert_eq!(done.is_err(), short > 0 && h >= 8, "{lanes:?}");
            }
        }
    }
}

#[test]
fn counting_at_indices_that_are_loaded() {
    // With and without another reader of the index, at an index that is the loop's own, and with lanes that have left.
    for body in [
        "ldg.i64 k, x[%gid]\nred.add.u16 n[k], 3\nexit",
        "ldg.i64 k, x[%gid]\nred.add.u16 n[k], 3\nstg.i64 y[%gid], k\nexit",
        "loop i, 3\nldg.i64 k, x[%gid]\nred.add.u16 n[k], 3\nendloop\nexit",
        "rem.i64 r, %gid, 3\nseteq.i64 p, r, 1\nbra p, e\nldg.i64 k, x[%gid]\nred.add.u16 n[k], 65535\ne:\nexit",
        "ldg.i64 k, x[%gid]\nred.xor.u16 n[k], 3\nexit",
        "ldg.i64 k, x[%gid]\nrem.i64 v, %gid, 7\ncvt.u16.i64 w, v\nred.add.u16 n[k], w\nexit",
    ] {
        let text = format!(
            ".kernel k\n.buffer x: in i64[:]\n.buffer y: out i64[:]\n.buffer n: inout u16[:]\n{body}"
        );
        for (lanes, threads, bad, back) in [
            (1i64, 1, None, false),
            (1000, 1, None, false),
            (1000, 1, Some(999), false),
            (1000, 1, Some(999), true),
            (1000, 1, None, true),
            (40_000, 2, None, true),
            (40_000, 2, None, false),
            (40_000, 2, Some(30_017), false),
        ] {
            let _threads = OwnThreads::new(threads).unwrap();
            let x: Vec<i64> = (0..lanes).map(|i| if Some(i) == bad { 9 } else { i * 7919 % 9 }).collect();
            let x = indices(&x);
            let x = if back && threads > 1 { x.view(8 * (lanes - 1), &[lanes], &[-8]) } else { x };
            let y = indices(&vec![0; lanes as usize]);
            let n = tensor(Type::U16, &[18], &[Value::new(Type::U16, 65_000); 18]);
            let n = if back { n.view(2, &[9], &[4]) } else { n.view(0, &[9], &[2]) };
            // The bad index is that of a lane that has left, or not.
            _ = run_blocks(&text, &tensors(&[&x, &y, &n]), lanes, 256);
        }
    }
}

/// Elements that all threads update at the same time: in copies of their own, which they add up again and again, or all in
/// one place where elements are too many, too far apart, or seen by others.
#[test]
fn no_update_is_lost_between_threads() {
    let cores = std::thread::available_parallelism().map_or(2, usize::from) as i64;
    // Loops that never run make every tile look so long that a thread takes one at a time.
    let long = "loop a, 0\nloop b, 0\nloop c, 0\nfence\nendloop\nendloop\nendloop\n";
    // Elements, how far apart, and how many launches.
    for (bins, stride, before, rounds) in [
        (1i64, 1i64, "", 20),
        (1_200, 1, "", 20),
        (200, 1, long, 40),
        (9_000, 1, "", 20),
        (100, 2, "", 20),
        (100, 1, "seteq.i64 p, %gid, -1\nbra !p, on\nstg.i64 n[0], 0\non:\n", 20),
    ] {
        // A value that all lanes share, and one of each lane's own.
        for (value, each) in [("1", 1), ("two", 2)] {
            let text = format!(
                ".kernel k\n.buffer x: in i64[:]\n.buffer n: inout i64[:]\n{before}\
                 rem.i64 r, %gid, 3\nadd.i64 two, r, 2\nsub.i64 two, two, r\n\
                 ldg.i64 k, x[%gid]\nred.add.i64 n[k], {value}\nexit"
            );
            let program = program(&text);
            let lanes = 120_000i64;
            let x = indices(&(0..lanes).map(|i| i % bins).collect::<Vec<_>>());
            for threads in [2, cores + 1] {
                let _threads = OwnThreads::new(threads).unwrap();
                let n = indices(&vec![0; (bins * stride) as usize]).view(0, &[bins], &[8 * stride]);
                for _ in 0..rounds {
                    let options = Options { block: [256, 1, 1], ..Options::lanes(lanes) };
                    launch(&program, &tensors(&[&x, &n]), &options, "tile").unwrap();
                }
                let times = |bin: i64| (lanes - bin + bins - 1) / bins;
                let expected: Vec<i64> = (0..bins).map(|bin| rounds * each * times(bin)).collect();
                assert!(read_indices(&n) == expected, "{bins} elements, {threads} threads: {text}");
            }
        }
    }
}

#[test]
fn lanes_that_go_round_forever_keep_no_other_from_its_fault() {
    // Lane 1 stays at lower steps than lane 0, which is to fail.
    let text = ".kernel k\nseteq.i64 p, %lane, 1\nl:\nbra p, l\nassert false, \"reached\"\nexit";
    for block in [2, 64] {
        let error = run_blocks(text, &[], 200, block).unwrap_err();
        assert!(error.to_string().ends_with("lane (0, 0, 0) of block (0, 0, 0): assertion failed: reached"));
    }
    // A lower block fails while higher ones go round.
    let text = ".kernel k\nmov.i64 i, 0\nsetge.i64 p, %block, 1\nw:\nadd.i64 i, i, 1\nsetlt.i64 q, i, 100000\nbra q, w\n\
        l:\nbra p, l\nassert p, \"reached\"\nexit";
    let _threads = OwnThreads::new(2).unwrap();
    let error = run_blocks(text, &[], 1024 * 64, 1024).unwrap_err();
    assert!(error.to_string().ends_with("lane (0, 0, 0) of block (0, 0, 0): assertion failed: reached"));
}

#[test]
fn more_registers_than_the_arena_holds() {
    let mut text = ".kernel k\n.buffer x: in f64[:]\n.buffer y: out f64[:]\n".to_owned();
    for i in 0..1000 {
        text += &format!("ldg.f64 r{i}, x[%gid]\nadd.f64 r{i}, r{i}, {i}\n");
    }
    text += "mov.f64 s, 0\n";
    for i in 0..1000 {
        text += &format!(
            "rem.i64 k, %gid, 3\nseteq.i64 p, k, 1\nbra p, l{i}\nadd.f64 s, s, r{i}\nl{i}:\nfence\n"
        );
    }
    text += "stg.f64 y[%gid], s\nexit";
    let n = 2100i64;
    let x = tensor(Type::F64, &[n], &(0..n).map(|i| Value::double(i as f64 * 0.5)).collect::<Vec<_>>());
    let y = tensor(Type::F64, &[n], &vec![Value::double(0.0); n as usize]);
    for threads in [1, 2] {
        let _threads = OwnThreads::new(threads).unwrap();
        run_blocks(&text, &tensors(&[&x, &y]), n, 256).unwrap();
    }
}
