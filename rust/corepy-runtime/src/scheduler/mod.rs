//! The scheduler: runs the tiles of one operation on the caller and, where it pays, on worker threads.
//!
//! An operation is a counter that tiles are claimed from. The caller claims from the first tile on and
//! could finish alone; workers only help, so that busy, dead or forked workers cannot hang it. Which
//! thread runs a tile never shows in a result: that is the duty of whoever cuts an operation into tiles.

mod affinity;
pub mod cgroup;
pub mod cost;
pub mod fork;
pub mod fp_state;
mod futex;
mod operation;
pub mod panics;
mod stop;
mod threads;
pub mod tuning;
mod workers;

use crate::error::Result;
use crate::trace;
use operation::{Operation, Slot};
use std::cell::Cell;
pub use stop::{Pace, interruptible, is_stopped, poll, set_interrupt_hook, stop_other_threads};
pub use threads::{
    MAX_THREADS, OwnThreads, Settings, has_own_threads, process_threads, set_num_threads, set_own_threads,
    settings, threads,
};

/// What a tile says about those that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// No further tile is needed. Tiles that other threads have begun are finished.
    Stop,
}

/// What the scheduler keeps for each thread.
struct Local {
    /// Threads of `with threads(n)`; 0 where none is open.
    threads: Cell<usize>,
    /// A tile of a parallel operation is running on this thread.
    in_tile: Cell<bool>,
    /// On a worker: whether the operation that it helps with has been given up; null elsewhere.
    watched: Cell<*const std::sync::atomic::AtomicBool>,
    /// Whether the interrupt hook may be asked, and when it was last, in nanoseconds.
    interruptible: Cell<bool>,
    asked: Cell<u64>,
    /// The hook has said stop, and the operation has not ended yet.
    interrupted: Cell<bool>,
    /// Short operations in close succession.
    burst: Cell<cost::Burst>,
    /// This thread goes on when all others are told to stop.
    exempt: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            threads: Cell::new(0),
            in_tile: Cell::new(false),
            watched: Cell::new(std::ptr::null()),
            interruptible: Cell::new(false),
            asked: Cell::new(0),
            interrupted: Cell::new(false),
            burst: Cell::new(cost::Burst::NONE),
            exempt: Cell::new(false),
        }
    };
}

/// Runs `f` for tile indices 0 to `tiles - 1`, each at most once, and exactly once unless some tile
/// says [`Flow::Stop`]. `cost_ns` is the estimated time of all tiles on one thread; it decides whether
/// workers are woken. A run inside a tile of a parallel run is serial.
///
/// A tile that takes longer than some milliseconds calls [`poll`] on its way, and on an error ends
/// with [`Flow::Stop`]: the run then returns that error.
///
/// # Errors
/// [`Error::Interrupted`] when the operation is to stop; some tiles have then not run.
///
/// # Panics
/// A panic of a tile, on whichever thread, stops the others and is resumed here with its payload.
#[inline]
pub fn run(tiles: usize, cost_ns: f64, f: &(dyn Fn(usize) -> Flow + Sync)) -> Result<()> {
    if trace::enabled() {
        return trace::tiled(tiles, f, &|f| run_tiles(tiles, cost_ns, f));
    }
    run_tiles(tiles, cost_ns, f)
}

#[inline]
fn run_tiles(tiles: usize, cost_ns: f64, f: &(dyn Fn(usize) -> Flow + Sync)) -> Result<()> {
    if tiles > 1 {
        return run_many(tiles, cost_ns, f);
    }
    if tiles == 1 {
        return LOCAL.with(|local| {
            // Operations that are a sequence of many short runs stop here.
            local.poll()?;
            f(0);
            local.outcome()
        });
    }
    Ok(())
}

fn run_many(tiles: usize, cost_ns: f64, f: &(dyn Fn(usize) -> Flow + Sync)) -> Result<()> {
    LOCAL.with(|local| {
        if cost_ns >= cost::hot_ns() && !local.in_tile.get() {
            let threads = threads();
            let polling = workers::polling();
            let wakes = threads > 1 && polling == 0 && cost_ns < cost::cold_ns() && {
                let mut burst = local.burst.get();
                let wakes = burst.goes_on(cost_ns);
                local.burst.set(burst);
                wakes
            };
            let help = cost::help(cost_ns, tiles, threads, polling, wakes);
            // Every slot taken means that as many other callers keep the workers busy.
            if help.workers > 0
                && let Some(slot) = operation::claim()
            {
                return run_parallel(local, slot, help, threads, tiles, f);
            }
        }
        run_serial(local, tiles, f)
    })
}

fn run_serial(local: &Local, tiles: usize, f: &(dyn Fn(usize) -> Flow + Sync)) -> Result<()> {
    for tile in 0..tiles {
        local.poll()?;
        if f(tile) == Flow::Stop {
            return local.outcome();
        }
    }
    local.outcome()
}

fn run_parallel(
    local: &Local,
    slot: Slot,
    help: cost::Help,
    threads: usize,
    tiles: usize,
    f: &(dyn Fn(usize) -> Flow + Sync),
) -> Result<()> {
    let operation = Operation::new(tiles, f);
    // Before anyone sees the operation, so that the caller has a tile whatever else the machine does.
    let mut next = operation.claim();
    slot.publish(&operation, help.workers, || {
        workers::call(help, threads - 1);
        while let Some(tile) = next {
            let done = local.poll().map(|()| {
                let _in_tile = InTile::enter(local);
                f(tile)
            });
            match done.and_then(|flow| local.outcome().map(|()| flow)) {
                Ok(Flow::Continue) => {}
                Ok(Flow::Stop) => operation.stop(),
                Err(error) => {
                    operation.cancel();
                    return Err(error);
                }
            }
            next = operation.claim();
        }
        Ok(())
    })
}

/// Marks the thread as inside a tile of a parallel run.
struct InTile<'a>(&'a Cell<bool>);

impl<'a> InTile<'a> {
    #[inline]
    fn enter(local: &'a Local) -> InTile<'a> {
        local.in_tile.set(true);
        InTile(&local.in_tile)
    }
}

impl Drop for InTile<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Marks a worker as inside a tile for as long as it helps.
fn in_tile<R>(f: impl FnOnce() -> R) -> R {
    LOCAL.with(|local| {
        let _in_tile = InTile::enter(local);
        f()
    })
}
