//! The tile interpreter against the reference interpreter, bit for bit, faults and their messages included.

mod lanes;

use corepy_runtime::backends::{Argument, LaunchError, Options, launch};
use corepy_runtime::kernels::level;
use corepy_runtime::program::{ArgumentKind, Program, Value};
use corepy_runtime::scheduler::OwnThreads;
use lanes::generate::{Shape, generate};
use lanes::{Random, assert_untouched, canonical, guarded, values};
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
