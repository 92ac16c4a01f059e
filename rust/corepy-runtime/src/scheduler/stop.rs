//! Stopping operations before their end: for the user's Ctrl-C, or because the process exits.

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{LOCAL, Local};
use crate::error::{Error, Result};

/// Least time between two calls of the interrupt hook, in nanoseconds; Ctrl-C is answered within this
/// and what a tile does between two polls.
const INTERVAL: u64 = 50_000_000;

static HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Set when the operations of all threads but one are to stop for good.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Sets the function that says whether the user wants operations of interruptible threads to stop.
/// It is called by those threads between tiles, at most every 50 ms, and may run user code.
pub fn set_interrupt_hook(hook: fn() -> bool) {
    HOOK.store(hook as *mut (), Ordering::Release);
}

/// Says whether operations that the calling thread starts may be interrupted, and returns what held
/// before. An interrupt that has been answered is over.
pub fn interruptible(may: bool) -> bool {
    LOCAL.with(|local| {
        if may {
            local.asked.set(now());
        }
        local.interrupted.set(false);
        local.interruptible.replace(may)
    })
}

/// Stops every operation in progress or begun later, except those of the calling thread; `false`
/// lets them run again.
pub fn stop_other_threads(stop: bool) {
    LOCAL.with(|local| local.exempt.set(stop));
    STOPPED.store(stop, Ordering::SeqCst);
}

/// Whether the calling thread's operations are stopped for good.
#[inline]
pub fn is_stopped() -> bool {
    STOPPED.load(Ordering::SeqCst) && !LOCAL.with(|local| local.exempt.get())
}

/// Whether to go on, for loops that [`run`](super::run) does not see: inside a tile or around runs. It
/// costs a few ns, and calls the interrupt hook at most every 50 ms.
///
/// # Errors
/// [`Error::Interrupted`] when the operation is to stop.
#[inline]
pub fn poll() -> Result<()> {
    LOCAL.with(Local::poll)
}

/// Polls once in a while in loops whose steps are short.
pub struct Pace {
    left: usize,
}

impl Pace {
    /// Bytes that are touched between two polls: at a cache miss for each, some milliseconds.
    const BYTES: usize = 1 << 18;

    #[allow(clippy::new_without_default)]
    pub fn new() -> Pace {
        Pace { left: Pace::BYTES }
    }

    /// Counts a step over some bytes.
    ///
    /// # Errors
    /// As of [`poll`].
    #[inline]
    pub fn step(&mut self, bytes: usize) -> Result<()> {
        if bytes < self.left {
            self.left -= bytes;
            return Ok(());
        }
        self.left = Pace::BYTES;
        poll()
    }
}

/// Nanoseconds of a clock that is exact to some milliseconds and takes 5 ns to read; the exact one takes 25.
fn now() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time to a local; it cannot fail for a clock that every system has.
    unsafe { libc::clock_gettime(CLOCK, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

impl Local {
    #[inline]
    pub(super) fn poll(&self) -> Result<()> {
        self.outcome()?;
        if self.interruptible.get() { self.ask() } else { Ok(()) }
    }

    /// The error of a stop that has been noticed.
    #[inline]
    pub(super) fn outcome(&self) -> Result<()> {
        let watched = self.watched.get();
        let stop = if watched.is_null() {
            self.interrupted.get() || (STOPPED.load(Ordering::Relaxed) && !self.exempt.get())
        } else {
            // SAFETY: set by a worker that is inside an operation, for as long as it is.
            unsafe { (*watched).load(Ordering::Relaxed) }
        };
        if stop { Err(Error::Interrupted {}) } else { Ok(()) }
    }

    fn ask(&self) -> Result<()> {
        if now().wrapping_sub(self.asked.get()) < INTERVAL {
            return Ok(());
        }
        let hook = HOOK.load(Ordering::Acquire);
        if hook.is_null() {
            return Ok(());
        }
        // SAFETY: only `set_interrupt_hook` writes the pointer, from a function of this type.
        let hook: fn() -> bool = unsafe { std::mem::transmute(hook) };
        // Before as well: the hook may run operations, which are not to ask at once.
        self.asked.set(now());
        let wanted = hook();
        self.asked.set(now());
        // What the hook ran may itself have been interrupted, and has ended.
        self.interrupted.set(wanted);
        self.outcome()
    }
}
