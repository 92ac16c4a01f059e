//! Measures what operations and hand-offs cost on this machine.

use crate::dtype::{ALL, DType};
use crate::error::{Error, Result};
use crate::generated::ops::{Binary, Reduce};
use crate::ops::probe::Probe;
use crate::ops::{Arg, create, elementwise, reduce};
use crate::scalar::Scalar;
use crate::scheduler::tuning::{self, Cost, Place, ROWS, Table};
use crate::scheduler::{self, Flow};
use crate::tensor::Tensor;
use std::time::{Duration, Instant};

const OP: &str = "tune";
/// Parts of the time for hand-offs, for moving bytes, for both ways of storing and for elements.
const SHARES: [u32; 4] = [2, 2, 3, 9];
/// How often everything about elements and bytes is measured, from beginning to end: what disturbs one
/// measurement, a clock that has not risen yet or a neighbour's work, is over at the next.
const ROUNDS: u32 = 4;
/// Bytes that an addition reads and writes where both ways of storing are compared, in eighths of the
/// third-level cache.
const COMPARED: [usize; 6] = [3, 6, 9, 12, 24, 48];
/// Bytes of the largest operand.
const LARGEST: usize = 64 << 20;

/// Measures for about `seconds`, uses what was found from then on and, unless tables are off, keeps it
/// for later processes. Says in which file.
pub fn tune(seconds: f64) -> Result<Option<String>> {
    if !(0.0..=600.0).contains(&seconds) {
        return Err(Error::TuneSeconds { op: OP, seconds });
    }
    let place = tuning::place();
    if let Place::File(path) = &place {
        tuning::check_storable(OP, path)?;
    }
    let before = tuning::in_use();
    let measured = measure(Duration::from_secs_f64(seconds) / SHARES.iter().sum());
    // Parts of it are measured with tables of their own.
    tuning::choose(before);
    let table = measured?;
    let path = match place {
        Place::Off => None,
        Place::File(path) => {
            tuning::store(OP, &table, &path)?;
            Some(path.display().to_string())
        }
    };
    tuning::choose(tuning::keep(table));
    Ok(path)
}

fn measure(part: Duration) -> Result<Table> {
    let mut table = tuning::shipped().table.clone();
    let [hand_offs, bytes, stores, elements] = SHARES.map(|share| part * share);
    cache_sizes(&mut table);
    let mut hand_off = HandOff::default();
    hand_off.sample(hand_offs / 3)?;
    let own = scheduler::OwnThreads::new(1)?;
    cost_of_bytes(&mut table, bytes)?;
    cost_of_elements(&mut table, elements)?;
    drop(own);
    hand_off.sample(hand_offs / 3)?;
    past_caches(&mut table, stores)?;
    hand_off.sample(hand_offs / 3)?;
    hand_off.settle(&mut table);
    Ok(table)
}

/// Half of what the system says of each cache: operands share it with results, code and other programs.
fn cache_sizes(table: &mut Table) {
    for (cost, level) in [(Cost::SecondBytes, 2), (Cost::ThirdBytes, 3)] {
        if let Some(bytes) = cache_size(level) {
            table.set(cost, (bytes / 2) as f64);
        }
    }
    // Without a third level nothing lies in it.
    let third = table.get(Cost::ThirdBytes).max(table.get(Cost::SecondBytes));
    table.set(Cost::ThirdBytes, third);
}

/// Bytes of the first processor's cache of a level; None where the system does not say.
fn cache_size(level: usize) -> Option<usize> {
    let read = |index: usize, what: &str| {
        std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}")).ok()
    };
    let found = (0..8).find(|&index| {
        read(index, "level").is_some_and(|text| text.trim() == level.to_string())
            && read(index, "type").is_some_and(|text| text.trim() != "Instruction")
    })?;
    let size = read(found, "size")?;
    size.trim().strip_suffix('K')?.parse::<usize>().ok()?.checked_mul(1024)
}

/// The shortest time of one call, in nanoseconds, of as many as `budget` has room for.
fn shortest(budget: Duration, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    /// Calls that are timed together are this long at least, so that the clock's own time does not show.
    const LEAST: Duration = Duration::from_micros(5);
    let end = Instant::now() + budget;
    let (mut best, mut count) = (f64::INFINITY, 1u32);
    // The first call finds code and memory cold.
    call()?;
    loop {
        scheduler::poll()?;
        let began = Instant::now();
        for _ in 0..count {
            call()?;
        }
        let took = began.elapsed();
        best = best.min(took.as_nanos() as f64 / f64::from(count));
        if began + took >= end {
            return Ok(best);
        }
        if took < LEAST {
            count = count.saturating_mul(2).min(1 << 16);
        }
    }
}

fn operand(bytes: usize) -> Result<Tensor> {
    create::full(OP, &[(bytes / size_of::<f32>()) as i64], &Scalar::from_f64(3.0).cast(DType::Float32))
}

/// What reading and writing a byte costs in the caches and in memory: an addition, and looking for a
/// zero, which is the quickest of all reductions.
fn cost_of_bytes(table: &mut Table, budget: Duration) -> Result<()> {
    let (second, third) = (table.get(Cost::SecondBytes) as usize, table.get(Cost::ThirdBytes) as usize);
    let sizes = [second / 2, third / 2, (8 * third).clamp(second, 3 * LARGEST)];
    let moved = [Cost::MoveSecondNs, Cost::MoveThirdNs, Cost::MoveMemoryNs];
    let read = [Cost::ReadSecondNs, Cost::ReadThirdNs, Cost::ReadMemoryNs];
    let mut best = [[f64::INFINITY; 2]; 3];
    for _ in 0..ROUNDS {
        for (bytes, best) in sizes.into_iter().zip(&mut best) {
            let each = budget / (6 * ROUNDS);
            let (a, b) = (operand(bytes / 3)?, operand(bytes / 3)?);
            let add = || elementwise::binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b)).map(drop);
            best[0] = best[0].min(shortest(each, add)? / bytes as f64);
            drop((a, b));
            let bytes = bytes.min(2 * LARGEST);
            let x = operand(bytes)?;
            let all = || reduce::reduce(Reduce::All, &x, None, false, None, 0.0).map(drop);
            best[1] = best[1].min(shortest(each, all)? / bytes as f64);
        }
    }
    for (place, best) in best.into_iter().enumerate() {
        table.set(moved[place], best[0]);
        table.set(read[place], best[1]);
    }
    Ok(())
}

/// What an element costs each class.
fn cost_of_elements(table: &mut Table, budget: Duration) -> Result<()> {
    let probe = Probe::new(OP)?;
    let cells = || {
        ROWS.iter().flat_map(|row| {
            ALL.into_iter().filter(|&dtype| row.dtypes.contains(dtype)).map(|dtype| (row.class, dtype))
        })
    };
    let each = budget / (ROUNDS * cells().count() as u32);
    let mut best = vec![f64::INFINITY; cells().count()];
    for _ in 0..ROUNDS {
        for ((class, dtype), best) in cells().zip(&mut best) {
            let call = probe.call(class, dtype).ok_or_else(|| Error::Internal {
                op: OP,
                what: format!("nothing to measure for {class:?} of {}", dtype.name()),
            })?;
            let ns = shortest(each, || {
                call.run();
                Ok(())
            })?;
            *best = best.min(ns / call.elements as f64);
        }
    }
    for ((class, dtype), best) in cells().zip(best) {
        table.set_element(class, dtype, probe.beside(table, class, dtype, best));
    }
    Ok(())
}

/// How long after an operation is published a second thread works on it: two tiles that spin are over
/// that much later than one. Sampled at several times, as what else the machine does shows here most of all.
#[derive(Default)]
struct HandOff([Vec<f64>; 2]);

impl HandOff {
    /// Work of each tile, and the pause before: a worker polls for 100 us, and sleeps for certain after ten times
    /// that.
    const KINDS: [(Cost, Duration, Duration); 2] = [
        (Cost::HandOffHotNs, Duration::from_micros(20), Duration::ZERO),
        (Cost::HandOffColdNs, Duration::from_micros(300), Duration::from_millis(1)),
    ];

    fn sample(&mut self, budget: Duration) -> Result<()> {
        if scheduler::threads() < 2 {
            return Ok(());
        }
        let end = Instant::now() + budget;
        for round in 0..200 {
            if round > 0 && Instant::now() >= end {
                break;
            }
            for ((_, tile, pause), times) in Self::KINDS.iter().zip(&mut self.0) {
                for _ in 0..16 {
                    std::thread::sleep(*pause);
                    let began = Instant::now();
                    scheduler::run(2, f64::INFINITY, &|_| {
                        let tile_began = Instant::now();
                        while tile_began.elapsed() < *tile {
                            std::hint::spin_loop();
                        }
                        Flow::Continue
                    })?;
                    times.push(began.elapsed().saturating_sub(*tile).as_nanos() as f64);
                }
            }
        }
        Ok(())
    }

    fn settle(self, table: &mut Table) {
        for ((cost, ..), mut times) in Self::KINDS.into_iter().zip(self.0) {
            times.sort_by(f64::total_cmp);
            // Four samples of five may have met other programs.
            if let Some(&ns) = times.get(times.len() / 5) {
                table.set(cost, ns);
            }
        }
    }
}

/// The size from which on an addition on all threads stores past the caches: that with which both ways, each
/// where it is taken, lose least over all sizes. A single size that was disturbed moves it by one.
fn past_caches(table: &mut Table, budget: Duration) -> Result<()> {
    let with = |threshold: f64| {
        let mut tried = table.clone();
        tried.set(Cost::PastCachesBytes, threshold);
        tuning::keep(tried)
    };
    let ways = [with(0.0), with(f64::INFINITY)];
    let eighth = table.get(Cost::ThirdBytes) as usize / 4;
    let sizes = COMPARED.map(|eighths| (eighth * eighths).clamp(1 << 20, 3 * LARGEST));
    let mut times = sizes.map(|_| [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (bytes, times) in sizes.into_iter().zip(&mut times) {
            let (a, b) = (operand(bytes / 3)?, operand(bytes / 3)?);
            // Results alternate between blocks, as those of most programs do.
            let mut kept = elementwise::binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b))?;
            let end = Instant::now() + budget / (ROUNDS * COMPARED.len() as u32);
            let mut count = 0;
            while count == 0 || (count < 64 && Instant::now() < end) {
                count += 1;
                for (way, times) in ways.into_iter().zip(&mut *times) {
                    tuning::choose(way);
                    // A result stored past the caches leaves its block outside: both blocks have to be back.
                    for turn in 0..4 {
                        scheduler::poll()?;
                        let began = Instant::now();
                        kept = elementwise::binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b))?;
                        if turn >= 2 {
                            times.push(began.elapsed().as_nanos() as f64);
                        }
                    }
                }
            }
            drop(kept);
        }
    }
    let typical = times.map(|ways| {
        ways.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 3]
        })
    });
    let loss = |from: usize| -> f64 {
        let each = |(place, [past, usual]): (usize, &[f64; 2])| {
            (if place < from { usual } else { past }) / past.min(*usual)
        };
        typical.iter().enumerate().map(each).sum()
    };
    let mut best = sizes.len();
    for from in (0..sizes.len()).rev() {
        // Sizes between which neither way wins are left to ordinary stores.
        if loss(from) < loss(best) - 0.01 {
            best = from;
        }
    }
    table.set(Cost::PastCachesBytes, sizes.get(best).map_or(f64::INFINITY, |&bytes| bytes as f64));
    Ok(())
}
