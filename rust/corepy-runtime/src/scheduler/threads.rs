//! How many threads operations use: the process's number, and that of a calling thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{LOCAL, cgroup, fork, workers};
use crate::error::{Error, Result};

/// Most threads that can be asked for.
pub const MAX_THREADS: usize = 1024;

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
    let Some(value) = crate::settings::value("COREPY_NUM_THREADS") else {
        return Ok(Settings { threads: default_threads() });
    };
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

/// Whether the calling thread has set a number of threads for itself.
pub fn has_own_threads() -> bool {
    LOCAL.with(|local| local.threads.get() > 0)
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
