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

/// Runs a generated program on both backends; a failure says what to look at.
fn compare(seed: u64, shape: &Shape, threads: i64) {
    let mut random = Random::new(seed);
    let program = Arc::new(generate(&mut random, shape));
    let flat = program.buffers().iter().any(|b| b.name.starts_with('y') && b.axes == 1);
    let (lanes, block) = if flat {
        let block = *random.pick(&[1, 3, 16, 64, 100, 256, 700]);
        let lanes = 1 + random.below(if seed.is_multiple_of(5) { 2600 } else { 130 }) as i64;
        ([lanes, 1, 1], [block, 1, 1])
    } else {
        let block = *random.pick(&[[2, 2, 2], [1, 1, 1], [4, 1, 3], [16, 16, 1], [3, 5, 2]]);
        (*random.pick(&[[5, 3, 2], [1, 7, 1], [17, 18, 2], [30, 2, 3]]), block)
    };
    let step_limit = (!random.chance(30)).then(|| random.below(40));
    let step_limit = if shape.faults { step_limit } else { Some(100_000) };
    let options = Options { lanes, block, step_limit, check_races: false };
    let data = random.bits();
    let expected = outcome(&program, data, lanes, &options, "reference");
    let _threads = OwnThreads::new(threads).unwrap();
    let got = outcome(&program, data, lanes, &options, "tile");
    if got != expected {
        if let (Ok(a), Ok(b)) = (&expected, &got) {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                if let Some(at) = (0..a.len()).find(|&k| a[k] != b[k]) {
                    eprintln!("buffer {i} differs at {at}: {:?} expected, {:?} found", a[at], b[at]);
                }
            }
        } else {
            eprintln!("expected {:?}\nfound {:?}", expected.as_ref().err(), got.as_ref().err());
        }
        panic!("seed {seed} {options:?} threads {threads} {}\n{}", level::in_use().name, program.text());
    }
}

#[test]
fn random_programs_have_the_bits_and_the_faults_of_the_reference() {
    let _alone = alone();
    let from: u64 = std::env::var("COREPY_LANES_SEED").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    let count: u64 = std::env::var("COREPY_LANES_COUNT").ok().and_then(|v| v.parse().ok()).unwrap_or(300);
    let levels = level::available();
    for seed in from..from + count {
        level::choose(levels[seed as usize % levels.len()]).unwrap();
        let shape = match seed % 4 {
            0 => Shape::default(),
            1 => Shape { faults: true, ..Shape::default() },
            2 => Shape { faults: seed % 8 == 2, ..Shape::small() },
            _ => Shape { blocks: false, faults: seed % 8 == 3, ..Shape::default() },
        };
        compare(seed, &shape, [1, 2, 4][seed as usize % 3]);
    }
}
