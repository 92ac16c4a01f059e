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
mod operation;
mod workers;

use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::trace;
use operation::{Operation, Slot};

/// What a tile says about those that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    /// No further tile is needed. Tiles that other threads have begun are finished.
    Stop,
}

/// Most threads that can be asked for.
pub const MAX_THREADS: usize = 1024;

/// Least time between two calls of the interrupt hook; Ctrl-C is answered within this and one tile.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

struct Local {
    /// Threads of `with threads(n)`; 0 where none is open.
    threads: Cell<usize>,
    /// A tile of a parallel operation is running on this thread.
    in_tile: Cell<bool>,
    interruptible: Cell<bool>,
}

thread_local! {
    static LOCAL: Local = const {
        Local { threads: Cell::new(0), in_tile: Cell::new(false), interruptible: Cell::new(false) }
    };
}

/// Runs `f` for tile indices 0 to `tiles - 1`, each at most once, and exactly once unless some tile
/// says [`Flow::Stop`]. `cost_ns` is the estimated time of all tiles on one thread; it decides whether
/// workers are woken. A run inside a tile of a parallel run is serial.
///
/// # Errors
/// [`Error::Interrupted`] when the interrupt hook asks to stop; some tiles have then not run.
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
        f(0);
    }
    Ok(())
}

fn run_many(tiles: usize, cost_ns: f64, f: &(dyn Fn(usize) -> Flow + Sync)) -> Result<()> {
    LOCAL.with(|local| {
        if cost_ns >= cost::HOT_NS && !local.in_tile.get() {
            let threads = threads();
            let help = cost::help(cost_ns, tiles, threads, workers::polling());
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
    // A run inside a tile leaves the polling to the run around it.
    let mut poll = Poll::new(local.interruptible.get() && !local.in_tile.get());
    for tile in 0..tiles {
        if tile > 0 {
            poll.check()?;
        }
        if f(tile) == Flow::Stop {
            break;
        }
    }
    Ok(())
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
    slot.publish(&operation, help.workers, || {
        workers::call(help, threads - 1);
        let mut poll = Poll::new(local.interruptible.get());
        let mut first = true;
        while let Some(tile) = operation.claim() {
            if !first {
                poll.check().inspect_err(|_| operation.stop())?;
            }
            first = false;
            let _in_tile = InTile::enter(local);
            if f(tile) == Flow::Stop {
                operation.stop();
            }
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

// ---------------------------------------------------------------------------------------------
// Interrupts

static HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the function that says whether the user wants operations of interruptible threads to stop.
/// It is called by those threads between tiles, at most every 50 ms, and may run user code.
pub fn set_interrupt_hook(hook: fn() -> bool) {
    HOOK.store(hook as *mut (), Ordering::Release);
}

/// Says whether operations that the calling thread starts may be interrupted, and returns what held before.
pub fn interruptible(may: bool) -> bool {
    LOCAL.with(|local| local.interruptible.replace(may))
}

/// Whether the interrupt hook asks to stop, for loops outside [`run`]; the caller keeps the interval.
pub fn interrupted() -> bool {
    let hook = HOOK.load(Ordering::Acquire);
    if hook.is_null() {
        return false;
    }
    // SAFETY: only `set_interrupt_hook` writes the pointer, from a function of this type.
    let hook: fn() -> bool = unsafe { std::mem::transmute(hook) };
    hook()
}

/// Calls the hook at most once an interval.
struct Poll {
    last: Option<Instant>,
}

impl Poll {
    fn new(interruptible: bool) -> Poll {
        let wanted = interruptible && !HOOK.load(Ordering::Relaxed).is_null();
        Poll { last: wanted.then(Instant::now) }
    }

    #[inline]
    fn check(&mut self) -> Result<()> {
        let Some(last) = self.last else { return Ok(()) };
        // Reading the clock takes some 25 ns, which no tile notices.
        if last.elapsed() < POLL_INTERVAL {
            return Ok(());
        }
        if interrupted() {
            return Err(Error::Interrupted {});
        }
        self.last = Some(Instant::now());
        Ok(())
    }
}

// ---------------------------------------------------------------------------------------------
// Number of threads

/// Threads of the process; 0 until first asked for.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// What the environment sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Threads that an operation may use, the caller's included.
    pub threads: usize,
}

/// Reads the settings from the environment, says what is wrong with them, and installs the fork
/// handlers; called when the library is loaded.
pub fn settings() -> Result<Settings> {
    fork::register();
    let Some(value) = std::env::var_os("COREPY_NUM_THREADS") else {
        return Ok(Settings { threads: default_threads() });
    };
    let value = value.to_string_lossy().into_owned();
    match value.trim().parse() {
        Ok(threads) if (1..=MAX_THREADS).contains(&threads) => Ok(Settings { threads }),
        _ => Err(Error::Setting {
            name: "COREPY_NUM_THREADS",
            value,
            valid: format!("a whole number from 1 to {MAX_THREADS}"),
        }),
    }
}

fn default_threads() -> usize {
    cgroup::processors().min(MAX_THREADS)
}

/// Threads that an operation started by the calling thread may use, itself included.
#[inline]
pub fn threads() -> usize {
    match LOCAL.with(|local| local.threads.get()) {
        0 => process_threads(),
        own => own,
    }
}

/// Threads that operations of the process may use, whatever the calling thread has set for itself.
#[inline]
pub fn process_threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => first_threads(),
        threads => threads,
    }
}

/// Threads that race here compute the same value, so none waits for another across a fork.
#[cold]
fn first_threads() -> usize {
    let threads = settings().map_or_else(|_| default_threads(), |settings| settings.threads);
    match THREADS.compare_exchange(0, threads, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => threads,
        Err(set) => set,
    }
}

fn checked_threads(op: &'static str, n: i64) -> Result<usize> {
    usize::try_from(n).ok().filter(|n| (1..=MAX_THREADS).contains(n)).ok_or(Error::Threads { op, n })
}

/// Sets the number of threads for the whole process.
pub fn set_num_threads(n: i64) -> Result<()> {
    let threads = checked_threads("set_num_threads", n)?;
    if THREADS.swap(threads, Ordering::Relaxed) > threads {
        workers::shrink(threads - 1);
    }
    Ok(())
}

/// Sets the number of threads for operations that the calling thread starts (None: as the process),
/// and returns what held before, which restores it.
pub fn set_own_threads(n: Option<i64>) -> Result<Option<i64>> {
    let threads = n.map_or(Ok(0), |n| checked_threads("threads", n))?;
    let before = LOCAL.with(|local| local.threads.replace(threads));
    Ok((before > 0).then_some(before as i64))
}

/// Holds a number of threads for the calling thread, and restores the one before when dropped.
#[must_use = "the number before is restored when the guard is dropped"]
pub struct OwnThreads {
    before: usize,
    not_send: std::marker::PhantomData<*const ()>,
}

impl OwnThreads {
    pub fn new(n: i64) -> Result<OwnThreads> {
        let threads = checked_threads("threads", n)?;
        let before = LOCAL.with(|local| local.threads.replace(threads));
        Ok(OwnThreads { before, not_send: std::marker::PhantomData })
    }
}

impl Drop for OwnThreads {
    fn drop(&mut self) {
        LOCAL.with(|local| local.threads.set(self.before));
    }
}
