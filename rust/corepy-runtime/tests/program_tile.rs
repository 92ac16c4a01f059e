//! The tile interpreter against the reference interpreter, bit for bit, faults and their messages included.

mod lanes;

use corepy_runtime::Tensor;
use corepy_runtime::backends::{Argument, LaunchError, Options, launch};
use corepy_runtime::kernels::level;
use corepy_runtime::program::{ArgumentKind, Program, Type, Value};
use corepy_runtime::scheduler::OwnThreads;
use lanes::generate::{Shape, generate};
use lanes::{Random, assert_untouched, canonical, guarded, indices, run, singles, tensor, values};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The SIMD level is the process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a launch leaves: the buffers' values, or its error.
type Outcome = Result<Vec<Vec<Value>>, LaunchError>;

fn outcome(program: &Arc<Program>, seed: u64, lanes: [i64; 3], options: &Options, backend: &str) -> Outcome {
    let guarded = guarded(program, lanes, &mut Random::new(seed));
    let done = launch(program, &guarded.arguments, options, backend);
    assert_untouched(&guarded, seed);
    done?;
    let tensors = guarded.arguments.iter().zip(program.arguments());
    Ok(tensors
        .filter_map(|(argument, kind)| match (argument, kind) {
            (Argument::Tensor(tensor), ArgumentKind::Buffer(i)) => {
                let ty = program.buffers()[usize::from(*i)].ty;
                Some(values(ty, tensor).into_iter().map(canonical).collect())
            }
            _ => None,
        })
        .collect())
}

/// A launch of a program, by which two backends are compared.
struct Case {
    lanes: [i64; 3],
    options: Options,
    data: u64,
    threads: i64,
}

impl Case {
    /// What the tile interpreter does differently.
    fn difference(&self, program: &Arc<Program>) -> Option<String> {
        let run = |backend| outcome(program, self.data, self.lanes, &self.options, backend);
        let expected = run("reference");
        let _threads = OwnThreads::new(self.threads).unwrap();
        let got = run("tile");
        match (&expected, &got) {
            _ if got == expected => None,
            (Ok(a), Ok(b)) => {
                let places = a.iter().zip(b).enumerate().filter_map(|(i, (a, b))| {
                    let at = (0..a.len()).find(|&k| a[k] != b[k])?;
                    Some(format!("buffer {i} differs at {at}: {:?}, not {:?}", b[at], a[at]))
                });
                Some(places.collect::<Vec<_>>().join("; "))
            }
            _ => Some(format!("{:?}, not {:?}", got.err(), expected.err())),
        }
    }

    /// The program without the lines that the difference does not need.
    fn shrink(&self, program: &Arc<Program>) -> Arc<Program> {
        let mut least = program.clone();
        loop {
            let lines: Vec<&str> = least.text().lines().collect();
            let smaller = (1..lines.len()).rev().find_map(|left_out| {
                let kept = lines.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, line)| *line);
                let shorter = Arc::new(Program::parse(&kept.collect::<Vec<_>>().join("\n")).ok()?);
                self.difference(&shorter).is_some().then_some(shorter)
            });
            match smaller {
                Some(shorter) => least = shorter,
                None => return least,
            }
        }
    }
}

/// Runs a generated program on both backends; what differs is shown with the shortest text that still does.
fn compare(seed: u64, shape: &Shape, threads: i64) {
    let mut random = Random::new(seed);
    let program = Arc::new(generate(&mut random, shape));
    let flat = program.buffers().iter().any(|b| b.name.starts_with('y') && b.axes == 1);
    let (lanes, block) = if flat {
        let block = *random.pick(&[1, 3, 16, 64, 100, 256, 700]);
        let lanes = 1 + random.below(if seed.is_multiple_of(5) { 2600 } else { 130 }) as i64;
        ([lanes, 1, 1], [block, 1, 1])
    } else {
        let block = *random.pick(&[[2, 2, 2], [1, 1, 1], [4, 1, 3], [16, 16, 1], [3, 5, 2], [8, 1, 1]]);
        (*random.pick(&[[5, 3, 2], [1, 7, 1], [17, 18, 2], [30, 2, 3]]), block)
    };
    let step_limit = (!random.chance(30)).then(|| random.below(40));
    let step_limit = if shape.faults { step_limit } else { Some(100_000) };
    let options = Options { lanes, block, step_limit, check_races: false };
    let case = Case { lanes, options, data: random.bits(), threads };
    if let Some(difference) = case.difference(&program) {
        let least = case.shrink(&program);
        let level = level::in_use().name;
        let shown = case.difference(&least).unwrap_or(difference);
        panic!("seed {seed}, {options:?}, {threads} threads, {level}: {shown}\n{}", least.text());
    }
}

/// `make fuzz-lanes` runs more of them.
#[test]
fn random_programs_have_the_bits_and_the_faults_of_the_reference() {
    let _alone = alone();
    let setting = |name, otherwise| {
        std::env::var(name)
            .map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
    };
    let (from, count) = (setting("COREPY_LANES_SEED", 0), setting("COREPY_LANES_COUNT", 600));
    let levels = level::available();
    for seed in from..from + count {
        level::choose(levels[seed as usize % levels.len()]).unwrap();
        let shape = match seed / 3 % 4 {
            0 => Shape::default(),
            1 => Shape { faults: true, ..Shape::default() },
            2 => Shape { faults: seed % 8 == 2, ..Shape::small() },
            _ => Shape { blocks: false, faults: seed % 8 == 3, ..Shape::default() },
        };
        compare(seed, &shape, [1, 2, 4][(seed / 12) as usize % 3]);
    }
}

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
    let _alone = alone();
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
fn any_layout_alignment_and_index() {
    let _alone = alone();
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
    let _alone = alone();
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

#[test]
fn lanes_that_go_round_forever_keep_no_other_from_its_fault() {
    let _alone = alone();
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
    let _alone = alone();
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
