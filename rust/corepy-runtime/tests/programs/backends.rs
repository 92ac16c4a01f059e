//! Random programs on every backend, with several block sizes, numbers of threads and SIMD levels: the bits and the
//! fault of the reference. `COREPY_FUZZ_PROGRAMS` says how many, `COREPY_FUZZ_SEED` where to begin.

use crate::lanes::Random;
use crate::lanes::generate::{Shape, generate};
use crate::lanes::guarded::{assert_untouched, guarded};
use corepy_runtime::backends::{self, Backend, LaneFault, LaunchError, Options};
use corepy_runtime::kernels::level;
use corepy_runtime::program::Program;
use corepy_runtime::scheduler::{MAX_THREADS, set_own_threads};
use std::sync::Arc;

/// What a run leaves: the elements of all buffers, or a fault, after which they are unspecified.
#[derive(PartialEq, Debug)]
enum Outcome {
    Elements(Vec<Vec<u64>>),
    Fault(Box<LaneFault>),
}

/// One launch of a program, the same whenever it is asked for.
#[derive(Clone, Copy, Debug)]
struct Setting {
    seed: u64,
    options: Options,
    threads: usize,
}

fn outcome(program: &Arc<Program>, setting: Setting, backend: &str) -> Outcome {
    let Setting { seed, options, threads } = setting;
    let guarded = guarded(program, options.lanes, &mut Random::new(seed));
    set_own_threads(Some(threads as i64)).unwrap();
    let done = backends::launch(program, &guarded.arguments, &options, backend);
    set_own_threads(None).unwrap();
    assert_untouched(&guarded, seed);
    match done {
        Ok(()) => Outcome::Elements(guarded.elements(program)),
        Err(LaunchError::Fault(fault)) => Outcome::Fault(fault),
        Err(refused) => panic!("seed {seed}: {refused}"),
    }
}

fn others() -> Vec<&'static dyn Backend> {
    let usable = |b: &&dyn Backend| b.name() != "reference" && b.capabilities().reason.is_empty();
    backends::all().iter().copied().filter(usable).collect()
}

/// The shortest text that can be had by leaving out lines and still shows a difference.
fn shrunk(program: &Arc<Program>, differs: impl Fn(&Arc<Program>) -> bool) -> Arc<Program> {
    let mut best = program.clone();
    let mut size = program.text().lines().count() / 2;
    while size > 0 {
        let mut from = 0;
        loop {
            let lines: Vec<&str> = best.text().lines().collect();
            if from >= lines.len() {
                break;
            }
            let kept: Vec<&str> = [&lines[..from], &lines[(from + size).min(lines.len())..]].concat();
            match Program::parse(&kept.join("\n")).map(Arc::new) {
                Ok(shorter) if differs(&shorter) => best = shorter,
                _ => from += size,
            }
        }
        size /= 2;
    }
    best
}

fn setting(seed: u64, program: &Program, random: &mut Random) -> Setting {
    let flat = program.buffers().iter().any(|b| b.name.starts_with('y') && b.axes == 1);
    // Few lanes and many; blocks of one lane, of a part of a register, of odd sizes, and the largest.
    let lanes = match (flat, random.below(10)) {
        (true, 0) => [3000 + random.below(2000) as i64, 1, 1],
        (true, _) => [1 + random.below(300) as i64, 1, 1],
        (false, _) => [1 + random.below(9) as i64, 1 + random.below(5) as i64, 1 + random.below(4) as i64],
    };
    let block = match flat {
        true => [*random.pick(&[1, 3, 16, 64, 100, 256, 700, 1024]), 1, 1],
        false => *random.pick(&[[2, 2, 2], [4, 3, 1], [1, 1, 8], [8, 8, 4], [8, 1, 1]]),
    };
    let threads = *random.pick(&[1, 2, 3]).min(&MAX_THREADS);
    // Sometimes too few steps.
    let step_limit = Some(if random.chance(5) { random.below(30) } else { 10_000 });
    Setting { seed, options: Options { lanes, block, step_limit, check_races: false }, threads }
}

#[test]
fn random_programs_have_the_bits_and_the_fault_of_the_reference() {
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or);
    let (first, count) = (number("COREPY_FUZZ_SEED", 1), number("COREPY_FUZZ_PROGRAMS", 300));
    let levels = level::available();
    let mut faults = 0;
    for seed in first..first + count {
        let mut random = Random::new(seed);
        let shape = Shape {
            statements: 5 + random.below(40),
            subroutines: random.below(3),
            blocks: random.chance(70),
            faults: seed % 3 == 0,
        };
        let program = Arc::new(generate(&mut random, &shape));
        let setting = setting(seed, &program, &mut random);
        // Tests beside this one see it too, and have the same results at every level.
        level::choose(levels[random.below(levels.len() as u64) as usize]).unwrap();
        let expected = outcome(&program, setting, "reference");
        faults += u64::from(matches!(expected, Outcome::Fault(_)));
        for backend in others() {
            if outcome(&program, setting, backend.name()) == expected {
                continue;
            }
            let differs =
                |p: &Arc<Program>| outcome(p, setting, backend.name()) != outcome(p, setting, "reference");
            let small = shrunk(&program, differs);
            panic!(
                "{} differs from the reference, {setting:?}\n{:?}\n{:?}\n{}",
                backend.name(),
                outcome(&small, setting, backend.name()),
                outcome(&small, setting, "reference"),
                small.text()
            );
        }
    }
    // The generator makes programs of both kinds.
    assert!(count < 100 || (count / 20..count / 2).contains(&faults), "{faults} of {count} fault");
}
