//! Operations in flight: the descriptor on the caller's stack, and the slots that show it to workers.
//!
//! A worker may look at a descriptor only between entering its slot, which a closed slot refuses, and
//! leaving it. The caller closes the slot and waits until everyone has left before it returns, so the
//! descriptor outlives every look.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Flow, LOCAL, fork, panics};
use crate::error::{Error, Result};
use crate::lock::Lock;

type Tile<'a> = &'a (dyn Fn(usize) -> Flow + Sync);

/// One call of `run`.
pub struct Operation<'a> {
    next: Counter,
    tiles: usize,
    f: Tile<'a>,
    /// Set when the operation's result is no longer wanted: tiles may end early.
    cancelled: AtomicBool,
    /// The first panic on a worker, and where it happened.
    panic: Lock<Option<Panic>>,
}

struct Panic {
    payload: Box<dyn Any + Send>,
    place: Option<panics::Place>,
}

/// On its own pair of cache lines (the processor fetches two at a time): every thread writes it.
#[repr(align(128))]
struct Counter(AtomicUsize);

impl<'a> Operation<'a> {
    pub fn new(tiles: usize, f: Tile<'a>) -> Operation<'a> {
        let (next, cancelled) = (Counter(AtomicUsize::new(0)), AtomicBool::new(false));
        Operation { next, tiles, f, cancelled, panic: Lock::new(None) }
    }

    /// The next tile that nobody has; None when there is none.
    #[inline]
    pub fn claim(&self) -> Option<usize> {
        // Each thread fails here once, so the counter cannot wrap.
        let tile = self.next.0.fetch_add(1, Ordering::Relaxed);
        (tile < self.tiles).then_some(tile)
    }

    /// Leaves the remaining tiles undone.
    pub fn stop(&self) {
        self.next.0.fetch_max(self.tiles, Ordering::Relaxed);
    }

    /// Leaves the remaining tiles undone, and lets those that workers have begun end early.
    pub fn cancel(&self) {
        self.stop();
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Runs tiles until there are none, on a worker.
    fn help(&self) {
        let _watched = Watched::new(&self.cancelled);
        let work = || {
            while let Some(tile) = self.claim() {
                if (self.f)(tile) == Flow::Stop {
                    self.stop();
                }
            }
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
            self.cancel();
            let mut first = self.panic.lock();
            match *first {
                None => *first = Some(Panic { payload, place: panics::take_place() }),
                Some(_) => {
                    drop(first);
                    panics::discard(payload);
                }
            }
        }
    }
}

/// Shows a worker, while it helps, whether what it does is still wanted.
struct Watched;

impl Watched {
    fn new(cancelled: &AtomicBool) -> Watched {
        LOCAL.with(|local| local.watched.set(cancelled));
        Watched
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        LOCAL.with(|local| local.watched.set(std::ptr::null()));
    }
}

/// Operations of this many callers are shown to workers at once; further callers work alone.
const SLOTS: usize = 16;
/// Set in a slot's state while its operation may be entered; the bits below count who is inside.
const OPEN: u32 = 1 << 31;

#[repr(align(128))]
struct Shared {
    claimed: AtomicBool,
    state: AtomicU32,
    /// Workers that may be inside at once.
    limit: AtomicU32,
    operation: AtomicPtr<()>,
}

static SHARED: [Shared; SLOTS] = [const {
    Shared {
        claimed: AtomicBool::new(false),
        state: AtomicU32::new(0),
        limit: AtomicU32::new(0),
        operation: AtomicPtr::new(std::ptr::null_mut()),
    }
}; SLOTS];

/// A slot that this caller owns.
pub struct Slot(&'static Shared);

/// A slot that nobody uses; None where all are taken.
pub fn claim() -> Option<Slot> {
    SHARED
        .iter()
        .find(|shared| {
            !shared.claimed.load(Ordering::Relaxed)
                && shared.claimed.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })
        .map(Slot)
}

impl Slot {
    /// Shows the operation to at most `workers` workers at once while `work` runs on the caller, and
    /// returns when nobody looks at it any more.
    pub fn publish(
        self,
        operation: &Operation<'_>,
        workers: usize,
        work: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let generation = fork::generation();
        let shared = self.0;
        shared.limit.store(workers as u32, Ordering::Relaxed);
        shared.operation.store(std::ptr::from_ref(operation).cast_mut().cast(), Ordering::Relaxed);
        // Added, not stored: a worker that is being refused may be counted for a moment.
        shared.state.fetch_or(OPEN, Ordering::Release);
        let mut outcome = catch_unwind(AssertUnwindSafe(work));
        if outcome.is_err() {
            operation.cancel();
        }
        if fork::generation() == generation {
            shared.state.fetch_and(!OPEN, Ordering::Relaxed);
            let waited = catch_unwind(AssertUnwindSafe(|| wait_until_empty(&shared.state, operation)));
            outcome = outcome.and_then(|done| waited.map(|waited| done.and(waited)));
        }
        if fork::generation() != generation {
            // The process forked in the middle, in the interrupt hook or in a tile, and this is the
            // child: what workers had begun will never be finished. The slots are new.
            let what = "the process was forked in the middle of this operation".to_string();
            return outcome
                .unwrap_or_else(|payload| resume_unwind(payload))
                .and(Err(Error::Internal { op: "run", what }));
        }
        shared.claimed.store(false, Ordering::Release);
        // A worker that panics cancels first, so that nothing is locked where none did.
        let cancelled = operation.cancelled.load(Ordering::Relaxed);
        let worker_panic = if cancelled { operation.panic.lock().take() } else { None };
        match (outcome, worker_panic) {
            (Ok(result), None) => result,
            (Ok(_), Some(Panic { payload, place })) => {
                panics::set_place(place);
                resume_unwind(payload)
            }
            (Err(payload), other) => {
                if let Some(other) = other {
                    panics::discard(other.payload);
                }
                resume_unwind(payload)
            }
        }
    }
}

/// Waits for workers to finish the tiles they have begun, and cancels them where the caller is to stop.
fn wait_until_empty(state: &AtomicU32, operation: &Operation<'_>) -> Result<()> {
    // Acquire: what the workers wrote is seen after this.
    for _ in 0..256 {
        if state.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        std::hint::spin_loop();
    }
    // A worker may have lost its processor: give ours away. Beyond a millisecond the tile itself is
    // long, and 50 us more do not show.
    let start = Instant::now();
    let mut outcome = Ok(());
    while state.load(Ordering::Acquire) != 0 {
        if start.elapsed() < Duration::from_millis(1) {
            std::thread::yield_now();
            continue;
        }
        std::thread::sleep(Duration::from_micros(50));
        if outcome.is_ok() {
            outcome = super::poll().inspect_err(|_| operation.cancel());
        }
    }
    outcome
}

/// Leaves a slot when dropped.
struct Inside(&'static Shared);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.state.fetch_sub(1, Ordering::Release);
    }
}

impl Shared {
    fn enter(&'static self) -> Option<Inside> {
        let admits = |state: u32| state & OPEN != 0 && (state & !OPEN) < self.limit.load(Ordering::Relaxed);
        if !admits(self.state.load(Ordering::Relaxed)) {
            return None;
        }
        // Acquire: the operation's pointer was written before the slot was opened.
        let before = self.state.fetch_add(1, Ordering::Acquire);
        let inside = Inside(self);
        admits(before).then_some(inside)
    }
}

/// Helps with every operation that has room, on a worker.
pub fn help_all() {
    for shared in &SHARED {
        if let Some(_inside) = shared.enter() {
            let operation = shared.operation.load(Ordering::Relaxed).cast::<Operation<'_>>();
            // SAFETY: the slot was open when this thread entered, so its caller is inside `publish`
            // and stays there, with the operation alive, until `_inside` is dropped.
            unsafe { (*operation).help() };
        }
    }
}

/// Frees the slots of callers that do not exist in a forked child.
pub fn after_fork() {
    for shared in &SHARED {
        shared.state.store(0, Ordering::Relaxed);
        shared.claimed.store(false, Ordering::Relaxed);
    }
}
