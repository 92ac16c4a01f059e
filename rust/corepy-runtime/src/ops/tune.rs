//! Measures what operations and hand-offs cost on this machine.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::generated::ops::{Binary, Reduce, Unary};
use crate::ops::{Arg, create, elementwise, reduce};
use crate::scalar::Scalar;
use crate::scheduler::tuning::{self, Cost, Place, Table};
use crate::scheduler::{self, Flow};
use crate::tensor::Tensor;
use std::time::{Duration, Instant};

const OP: &str = "tune";
/// Bytes of each operand and result of operations in the second-level cache, in the third, in neither.
const SECOND: usize = 64 << 10;
const THIRD: usize = 2 << 20;
const MEMORY: usize = 32 << 20;
/// Bytes that an addition reads and writes where both ways of storing are compared.
const COMPARED: [usize; 5] = [12 << 20, 24 << 20, 48 << 20, 96 << 20, 192 << 20];
/// Measurements that share the time.
const PARTS: u32 = 21;

/// Measures for about `seconds`, uses what was found from then on and, unless tables are off, keeps it
/// for later processes. Says in which file.
pub fn tune(seconds: f64) -> Result<Option<String>> {
    if !(0.0..=600.0).contains(&seconds) {
        return Err(Error::TuneSeconds { op: OP, seconds });
    }
    let before = tuning::in_use();
    let measured = measure(Duration::from_secs_f64(seconds) / PARTS);
    // Parts of it are measured with tables of their own.
    tuning::choose(before);
    let table = measured?;
    let path = match tuning::place() {
        Place::Off => None,
        Place::File(path) => {
            tuning::store(OP, &table, &path)?;
            Some(path.display().to_string())
        }
    };
    tuning::choose(table);
    Ok(path)
}

/// The shortest time of one call, in nanoseconds, of as many calls as `budget` has room for.
fn shortest(budget: Duration, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    // The first call finds code and memory cold.
    call()?;
    let end = Instant::now() + budget;
    let mut best = f64::INFINITY;
    for _ in 0..100_000 {
        scheduler::poll()?;
        let began = Instant::now();
        call()?;
        best = best.min(began.elapsed().as_nanos() as f64);
        if Instant::now() >= end {
            break;
        }
    }
    Ok(best)
}

fn operand(dtype: DType, bytes: usize) -> Result<Tensor> {
    let value = Scalar::from_f64(3.0).cast(dtype);
    create::full(OP, &[(bytes / dtype.itemsize()) as i64], &value)
}

/// The time of `a op b`, operands of `bytes` bytes each.
fn binary(op: Binary, dtype: DType, bytes: usize, budget: Duration) -> Result<f64> {
    let (a, b) = (operand(dtype, bytes)?, operand(dtype, bytes)?);
    shortest(budget, || elementwise::binary(op, Arg::Tensor(&a), Arg::Tensor(&b)).map(drop))
}

fn measure(budget: Duration) -> Result<Table> {
    let mut table = Table::default();
    hand_off(&mut table, budget)?;
    let own = scheduler::OwnThreads::new(1)?;
    one_thread(&mut table, budget)?;
    drop(own);
    past_caches(&mut table, budget)?;
    Ok(table)
}

/// What one thread takes.
fn one_thread(table: &mut Table, budget: Duration) -> Result<()> {
    for (cost, bytes) in [(Cost::MoveSecond, SECOND), (Cost::MoveThird, THIRD), (Cost::MoveMemory, MEMORY)] {
        let ns = binary(Binary::Add, DType::Float32, bytes, budget)?;
        table.set(cost, ns / (3 * bytes) as f64);
    }
    for (cost, dtype) in [
        (Cost::SumSingle, DType::Float32),
        (Cost::SumDouble, DType::Float64),
        (Cost::SumInteger, DType::Int32),
    ] {
        let x = operand(dtype, 4 * SECOND)?;
        let ns = shortest(budget, || reduce::reduce(Reduce::Sum, &x, None, false, None, 0.0).map(drop))?;
        table.set(cost, ns / (4 * SECOND) as f64);
    }
    let moves = table.get(Cost::MoveSecond);
    let elements = (SECOND / 8) as f64;
    let x = operand(DType::Float64, SECOND)?;
    let root = shortest(budget, || elementwise::unary(Unary::Sqrt, &x).map(drop))?;
    table.set(Cost::Root, root / elements - 16.0 * moves);
    let division = binary(Binary::FloorDivide, DType::Int64, SECOND, budget)?;
    table.set(Cost::IntegerDivision, division / elements - 24.0 * moves);
    let power = binary(Binary::Pow, DType::Float64, SECOND, budget)?;
    table.set(Cost::Power, power / elements - 24.0 * moves);
    Ok(())
}

/// How long after an operation is published a second thread works on it: two tiles that spin are over
/// that much later than one.
fn hand_off(table: &mut Table, budget: Duration) -> Result<()> {
    if scheduler::threads() < 2 {
        return Ok(());
    }
    let spun = |tile: Duration, pause: Duration| {
        let mut times = Vec::with_capacity(64);
        let end = Instant::now() + budget;
        while times.len() < 64 && (times.len() < 5 || Instant::now() < end) {
            std::thread::sleep(pause);
            let began = Instant::now();
            scheduler::run(2, f64::INFINITY, &|_| {
                let tile_began = Instant::now();
                while tile_began.elapsed() < tile {
                    std::hint::spin_loop();
                }
                Flow::Continue
            })?;
            times.push(began.elapsed().saturating_sub(tile).as_nanos() as f64);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    };
    table.set(Cost::HandOffHot, spun(Duration::from_micros(20), Duration::ZERO)?);
    // Far longer than a worker polls, and than one takes to wake.
    table.set(Cost::HandOffCold, spun(Duration::from_micros(300), Duration::from_millis(1))?);
    Ok(())
}

/// The size from which on an addition on all threads is faster where it stores past the caches.
fn past_caches(table: &mut Table, budget: Duration) -> Result<()> {
    let mut from = f64::INFINITY;
    for bytes in COMPARED.into_iter().rev() {
        let (a, b) = (operand(DType::Float32, bytes / 3)?, operand(DType::Float32, bytes / 3)?);
        let mut times = [Vec::new(), Vec::new()];
        // Results alternate between blocks, as those of most programs do.
        let mut kept = elementwise::binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b))?;
        let end = Instant::now() + 2 * budget;
        while times[1].len() < 64 && (times[1].len() < 3 || Instant::now() < end) {
            for (threshold, times) in [0.0, f64::INFINITY].into_iter().zip(&mut times) {
                let mut tried = table.clone();
                tried.set(Cost::PastCaches, threshold);
                tuning::choose(tried);
                for turn in 0..2 {
                    scheduler::poll()?;
                    let began = Instant::now();
                    kept = elementwise::binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b))?;
                    if turn == 1 {
                        times.push(began.elapsed());
                    }
                }
            }
        }
        drop(kept);
        let [past, usual] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        if past > usual {
            break;
        }
        from = bytes as f64;
    }
    table.set(Cost::PastCaches, from);
    Ok(())
}
