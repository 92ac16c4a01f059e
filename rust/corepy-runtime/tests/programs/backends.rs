//! Random programs and the examples on every backend, with several block sizes, at every SIMD level, with one, some
//! and too many threads, in memory that ends at a page which nobody may touch: the bits and the fault of the reference.
//! `COREPY_FUZZ_PROGRAMS` says how many random ones, `COREPY_FUZZ_SEED` where to begin, `COREPY_FUZZ_BLOCKS` with how
//! many block sizes each: with 3, a size comes up in more than a third of the programs.

use crate::lanes::generate::{Shape, generate};
use crate::lanes::guarded::{Edge, Guarded, numbers, shapes, tell_of, walled};
use crate::lanes::{Random, number};
use corepy_runtime::Scalar;
use corepy_runtime::backends::{self, Argument, Backend, LaneFault, LaunchError, Options};
use corepy_runtime::kernels::level;
use corepy_runtime::lock::{Guard, Lock};
use corepy_runtime::program::Program;
use corepy_runtime::scheduler::tuning::{self, ROWS, Table};
use corepy_runtime::scheduler::{MAX_THREADS, OwnThreads};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What a run leaves: the elements of all buffers, or a fault, after which they are unspecified.
#[derive(PartialEq, Debug)]
enum Outcome {
    Elements(Vec<Vec<u64>>),
    Fault(Box<LaneFault>),
}

/// One way to run a program.
#[derive(Clone, Copy, Debug)]
struct Way {
    backend: &'static str,
    block: [i64; 3],
    level: &'static str,
    threads: usize,
    edge: Edge,
}

/// The shapes of a program's buffers, and its params.
type Given = (Vec<Vec<i64>>, Vec<Argument>);

/// A launch, the same whenever it is asked for.
struct Case<'a> {
    seed: u64,
    lanes: [i64; 3],
    step_limit: Option<u64>,
    /// Whether the calling thread's registers and shared memory lie at such pages too.
    walled: bool,
    given: &'a dyn Fn(&Program) -> Given,
}

impl Case<'_> {
    fn memory(&self, program: &Program, edge: Edge) -> Guarded {
        let (shapes, params) = (self.given)(program);
        Guarded::new(program, &shapes, &params, &mut Random::new(self.seed), edge)
    }

    fn outcome(&self, program: &Arc<Program>, memory: &Guarded, way: Way) -> Outcome {
        let options =
            Options { lanes: self.lanes, block: way.block, step_limit: self.step_limit, check_races: false };
        tell_of(self.seed);
        memory.restore();
        // Tests beside this one see it too, and have the same results at every level.
        level::choose(way.level).unwrap();
        let done = {
            let _threads = OwnThreads::new(way.threads as i64).unwrap();
            let launch = || backends::launch(program, &memory.arguments, &options, way.backend);
            if self.walled { walled(launch) } else { launch() }
        };
        memory.assert_untouched(&(self.seed, way));
        match done {
            Ok(()) => Outcome::Elements(memory.elements(program)),
            Err(LaunchError::Fault(fault)) => Outcome::Fault(fault),
            Err(refused) => panic!("seed {}: {refused}", self.seed),
        }
    }

    fn once(&self, program: &Arc<Program>, way: Way) -> Outcome {
        self.outcome(program, &self.memory(program, way.edge), way)
    }

    /// Runs a program in every way with these block sizes; the answer is how many ways that were, and whether
    /// the reference has a fault.
    fn check(&self, program: &Arc<Program>, blocks: &[[i64; 3]]) -> (u64, bool) {
        let edges = [Edge::Below, Edge::Above];
        let memory = edges.map(|edge| self.memory(program, edge));
        let levels = level::available();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut ways, mut faults) = (0, false);
        for &block in blocks {
            let reference =
                Way { backend: "reference", block, level: levels[0], threads: 1, edge: Edge::Above };
            let expected = self.outcome(program, &memory[1], reference);
            faults |= matches!(expected, Outcome::Fault(_));
            for backend in others() {
                for &level in &levels {
                    for threads in [1, 2, (cores + 1).clamp(3, MAX_THREADS)] {
                        // Each way at both edges, for one program or the next.
                        let side = ((self.seed + ways) % 2) as usize;
                        let way = Way { backend: backend.name(), block, level, threads, edge: edges[side] };
                        ways += 1;
                        if self.outcome(program, &memory[side], way) != expected {
                            self.tell_difference(program, way, reference);
                        }
                    }
                }
            }
        }
        (ways, faults)
    }

    fn tell_difference(&self, program: &Arc<Program>, way: Way, reference: Way) -> ! {
        // Lines that are left out may make a program long; what has been found by then is short enough.
        let until = Instant::now() + Duration::from_secs(20);
        let differs =
            |p: &Arc<Program>| Instant::now() < until && self.once(p, way) != self.once(p, reference);
        let small = shrunk(program, differs);
        panic!(
            "seed {} with {:?} lanes, {way:?} differs from the reference\n{:?}\n{:?}\n{}",
            self.seed,
            self.lanes,
            self.once(&small, way),
            self.once(&small, reference),
            small.text()
        );
    }
}

/// The level in use and the table of costs are the process's: one test at a time.
fn alone() -> Guard<'static, ()> {
    static ALONE: Lock<()> = Lock::new(());
    ALONE.lock()
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

/// Costs with which every launch of more than one tile wakes other threads, and every tile is claimed by itself.
fn dear() -> &'static Table {
    static DEAR: OnceLock<Table> = OnceLock::new();
    DEAR.get_or_init(|| {
        let mut table = tuning::shipped().table.clone();
        for row in &ROWS {
            for dtype in
                corepy_runtime::generated::dtypes::ALL.into_iter().filter(|&d| row.dtypes.contains(d))
            {
                table.set_element(row.class, dtype, f64::INFINITY);
            }
        }
        table
    })
}

/// Few lanes and many, so that there is one tile or several.
fn lanes_of(program: &Program, flat: bool, random: &mut Random) -> [i64; 3] {
    // Lanes that see each other are a tile for each block; all others are some hundred lanes at least.
    let alone = !program.shared().is_empty();
    match (flat, random.below(100)) {
        (true, chance) if chance < if alone { 3 } else { 20 } => [1100 + random.below(3000) as i64, 1, 1],
        (true, _) => [1 + random.below(300) as i64, 1, 1],
        (false, _) => [1 + random.below(9) as i64, 1 + random.below(5) as i64, 1 + random.below(4) as i64],
    }
}

/// Some block sizes: one lane, a part of a register, odd ones, the largest.
fn blocks_of(flat: bool, count: usize, random: &mut Random) -> Vec<[i64; 3]> {
    let mut all = match flat {
        true => [1, 3, 16, 64, 100, 256, 700, 1024].map(|width| [width, 1, 1]).to_vec(),
        false => vec![[2, 2, 2], [4, 3, 1], [1, 1, 8], [8, 8, 4], [8, 1, 1]],
    };
    while all.len() > count {
        all.swap_remove(random.below(all.len() as u64) as usize);
    }
    all
}

#[test]
fn random_programs_have_the_bits_and_the_fault_of_the_reference() {
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(or);
    let (first, count) = (number("COREPY_FUZZ_SEED", 1), number("COREPY_FUZZ_PROGRAMS", 300));
    let blocks = number("COREPY_FUZZ_BLOCKS", 3) as usize;
    let _alone = alone();
    let tables = [&tuning::shipped().table, dear()];
    let (mut ways, mut faults) = (0, 0);
    for seed in first..first + count {
        let mut random = Random::new(seed);
        let shape = Shape {
            statements: 5 + random.below(40),
            subroutines: random.below(3),
            blocks: random.chance(70),
            faults: seed % 3 == 0,
        };
        let program = Arc::new(generate(&mut random, &shape));
        let flat = program.buffers().iter().any(|b| b.name.starts_with('y') && b.axes == 1);
        let lanes = lanes_of(&program, flat, &mut random);
        // Sometimes too few steps.
        let step_limit = Some(if random.chance(5) { random.below(30) } else { 10_000 });
        let given = |program: &Program| {
            let mut random = Random::new(!seed);
            (shapes(program, lanes, &mut random), numbers(program, &mut random))
        };
        tuning::choose(tables[(seed / 4 % 2) as usize]);
        let case = Case { seed, lanes, step_limit, walled: seed % 4 == 1, given: &given };
        let (run, fault) = case.check(&program, &blocks_of(flat, blocks, &mut random));
        ways += run;
        faults += u64::from(fault);
    }
    tuning::choose(tables[0]);
    println!("{count} programs in {ways} ways, {faults} with a fault");
    // The generator makes programs of both kinds.
    assert!(count < 100 || (count / 20..count / 2).contains(&faults), "{faults} of {count} fault");
}

#[test]
fn the_examples_stay_within_their_buffers() {
    let _alone = alone();
    let float = |v: f64| Argument::Number(Scalar::from_f64(v));
    let row = |n: i64| vec![vec![n]; 3];
    let squares: &[[i64; 3]] = &[[16, 8, 1], [5, 3, 1], [64, 16, 1]];
    let rows: &[[i64; 3]] = &[[256, 1, 1], [1024, 1, 1], [33, 1, 1]];
    type Launch = (&'static str, [i64; 3], &'static [[i64; 3]], Vec<Vec<i64>>, Vec<Argument>);
    let mut cases: Vec<Launch> = Vec::new();
    for n in [1, 15, 64, 259, 2500] {
        cases.push(("vector_add", [n, 1, 1], rows, row(n), vec![]));
        cases.push(("saxpy", [n + 70, 1, 1], rows, row(n), vec![float(0.3)]));
        cases.push(("histogram", [n, 1, 1], rows, vec![vec![n], vec![256]], vec![]));
        cases.push(("block_sum", [n, 1, 1], rows, vec![vec![n], vec![n]], vec![]));
        let lanes = [(n + 1023) / 1024 * 1024, 1, 1];
        cases.push(("bitonic_sort", lanes, &[[1024, 1, 1]], vec![vec![n]], vec![]));
    }
    for (w, h) in [(1, 1), (33, 20), (64, 16), (70, 5)] {
        let region = vec![float(-2.25), float(-1.0), float(0.09), number(40)];
        cases.push(("mandelbrot", [w, h, 1], squares, vec![vec![h, w]], region));
        cases.push(("life", [w, h, 1], squares, vec![vec![h, w], vec![h, w]], vec![]));
        let lanes = [(w + 15) / 16 * 16, (h + 15) / 16 * 16, 1];
        let matrices = vec![vec![h, 21], vec![21, w], vec![h, w]];
        cases.push(("matmul", lanes, &[[16, 16, 1]], matrices, vec![]));
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/lanes");
    for (seed, (name, lanes, blocks, shapes, params)) in (0..).zip(cases) {
        let text = std::fs::read_to_string(format!("{folder}/{name}.lanes")).unwrap();
        let program = crate::lanes::program(&text);
        let given = |_: &Program| (shapes.clone(), params.clone());
        let case = Case { seed, lanes, step_limit: None, walled: seed % 2 == 1, given: &given };
        let (_, fault) = case.check(&program, blocks);
        assert!(!fault, "{name} with {lanes:?} lanes");
    }
}
