//! The worker threads: one rayon pool, and the job that its threads stay in while work keeps coming.
//!
//! A worker polls a counter, the epoch, for a short time after work and finds the next operation
//! within a microsecond; then its job ends, and rayon parks the thread.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rayon::ThreadPool;

use super::cost::Help;
use super::{affinity, cgroup, fork, fp_state, in_tile, operation};

/// How long a worker polls after work: a few times what waking it costs, which bounds the loss where
/// no work comes.
const POLL: Duration = Duration::from_micros(100);

/// After a system that refuses threads, another try is worth its cost only after a while.
const RETRY: Duration = Duration::from_secs(1);

#[repr(align(128))]
struct Line<T>(T);

/// Raised whenever an operation is published.
static EPOCH: Line<AtomicU64> = Line(AtomicU64::new(0));
/// Jobs that run or are on their way.
static JOBS: Line<AtomicUsize> = Line(AtomicUsize::new(0));
/// Workers that are polling now.
static POLLING: Line<AtomicUsize> = Line(AtomicUsize::new(0));
/// Raised when threads are given up; a job that is older ends as soon as it is idle.
static POOL_NUMBER: AtomicUsize = AtomicUsize::new(0);
/// Workers that may poll at once: as many as there are processors besides the caller's.
static MAX_POLLING: AtomicUsize = AtomicUsize::new(0);
/// A thread that makes the pool is on its way.
static BUILDING: AtomicBool = AtomicBool::new(false);

/// Where the caller ran that woke workers last.
static CALLER_PROCESSOR: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Workers {
    pool: Option<ThreadPool>,
    /// Threads of the pool.
    count: usize,
    refused: Option<Instant>,
}

static WORKERS: Mutex<Workers> = Mutex::new(Workers { pool: None, count: 0, refused: None });

/// Workers that would see a new operation at once.
#[inline]
pub fn polling() -> usize {
    POLLING.0.load(Ordering::Relaxed)
}

/// Calls workers to an operation that has just been published; `most` is the most that could ever be asked for.
pub fn call(help: Help, most: usize) {
    EPOCH.0.fetch_add(1, Ordering::SeqCst);
    // A job that ends takes itself off the count before it looks at the epoch for the last time: it
    // is either not counted here, or it sees the operation.
    if !help.wake || JOBS.0.load(Ordering::SeqCst) >= help.workers {
        return;
    }
    let mut missing = 0;
    let reserve = |jobs: usize| {
        missing = help.workers.saturating_sub(jobs);
        (missing > 0).then_some(jobs + missing)
    };
    if JOBS.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, reserve).is_ok() {
        CALLER_PROCESSOR.store(affinity::current().unwrap_or(usize::MAX), Ordering::Relaxed);
        wake(missing, most);
    }
}

/// Starts `jobs` jobs, which are counted already.
fn wake(jobs: usize, most: usize) {
    let workers = match WORKERS.try_lock() {
        Ok(workers) => workers,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        // Another caller is changing the pool: this one works alone.
        Err(TryLockError::WouldBlock) => return uncount(jobs),
    };
    match &workers.pool {
        Some(pool) if workers.count >= most => {
            let number = POOL_NUMBER.load(Ordering::Relaxed);
            pool.spawn(move || job(jobs, number));
        }
        _ if workers.refused.is_some_and(|at| at.elapsed() < RETRY) => uncount(jobs),
        _ => {
            drop(workers);
            // Making a thread takes 15 us and more: one other thread makes them all.
            if BUILDING.swap(true, Ordering::Relaxed) {
                return uncount(jobs);
            }
            fork::register();
            let builder = std::thread::Builder::new().name("corepy-start".into());
            if builder.spawn(move || build(jobs, most)).is_err() {
                uncount(jobs);
                BUILDING.store(false, Ordering::Relaxed);
                lock().refused = Some(Instant::now());
            }
        }
    }
}

fn uncount(jobs: usize) {
    JOBS.0.fetch_sub(jobs, Ordering::SeqCst);
}

fn lock() -> MutexGuard<'static, Workers> {
    WORKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a pool of `count` threads in place of a smaller one, and starts the jobs.
fn build(jobs: usize, count: usize) {
    block_signals();
    let processors = cgroup::processors();
    MAX_POLLING.store(processors - 1, Ordering::Relaxed);
    let mut workers = lock();
    let mut old = None;
    if workers.pool.is_none() || workers.count < count {
        let built = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .thread_name(|index| format!("corepy-{index}"))
            // Jobs catch panics of tiles; without a handler rayon would abort on any other.
            .panic_handler(|_| {})
            .build();
        match built {
            Ok(pool) => {
                old = workers.pool.replace(pool);
                workers.count = count;
                workers.refused = None;
                POOL_NUMBER.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => workers.refused = Some(Instant::now()),
        }
    }
    match &workers.pool {
        Some(pool) => {
            let number = POOL_NUMBER.load(Ordering::Relaxed);
            pool.spawn(move || job(jobs, number));
        }
        None => uncount(jobs),
    }
    BUILDING.store(false, Ordering::Relaxed);
    drop(workers);
    // Tells its threads to end and waits for none.
    drop(old);
}

/// Gives up a pool of more than `count` threads; the next operation that needs one makes it.
pub fn shrink(count: usize) {
    let mut workers = lock();
    let old = if workers.count > count { workers.pool.take() } else { None };
    if old.is_some() {
        workers.count = 0;
        POOL_NUMBER.fetch_add(1, Ordering::Relaxed);
    }
    drop(workers);
    drop(old);
}

/// Signals are for the threads of the interpreter: a worker that took one would leave a sleeping
/// main thread asleep. Threads that the caller makes inherit the mask. Faults stay deliverable.
fn block_signals() {
    // SAFETY: the set is initialised by sigfillset, and the calls change this thread's mask only.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT] {
            libc::sigdelset(&mut set, fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

/// Uncounts a job that unwinds.
struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        uncount(1);
    }
}

/// What a worker does: starts the other jobs that were asked for, then helps and polls.
fn job(mut jobs: usize, number: usize) {
    // Each job starts half of the rest, so that the caller pays for waking one thread only.
    while jobs > 1 {
        let other = jobs / 2;
        jobs -= other;
        rayon::spawn(move || job(other, number));
    }
    let _fp_state = fp_state::Guard::new();
    let counted = Counted;
    let caller = CALLER_PROCESSOR.load(Ordering::Relaxed);
    if affinity::current() == Some(caller) {
        affinity::avoid(caller);
    }
    loop {
        let seen = EPOCH.0.load(Ordering::SeqCst);
        in_tile(operation::help_all);
        if poll(seen, number) {
            continue;
        }
        affinity::avoid(CALLER_PROCESSOR.load(Ordering::Relaxed));
        JOBS.0.fetch_sub(1, Ordering::SeqCst);
        if EPOCH.0.load(Ordering::SeqCst) == seen {
            std::mem::forget(counted);
            return;
        }
        JOBS.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Waits for the epoch to move on; whether it did.
fn poll(seen: u64, number: usize) -> bool {
    struct Polling;
    impl Drop for Polling {
        fn drop(&mut self) {
            POLLING.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let others = POLLING.0.fetch_add(1, Ordering::Relaxed);
    let _polling = Polling;
    if others >= MAX_POLLING.load(Ordering::Relaxed) || number != POOL_NUMBER.load(Ordering::Relaxed) {
        return EPOCH.0.load(Ordering::Relaxed) != seen;
    }
    let start = Instant::now();
    loop {
        for _ in 0..32 {
            if EPOCH.0.load(Ordering::Relaxed) != seen {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() >= POLL {
            return false;
        }
    }
}

struct ForkCell(UnsafeCell<Option<MutexGuard<'static, Workers>>>);
// SAFETY: touched by the forking thread alone, between taking the lock and dropping it.
unsafe impl Sync for ForkCell {}
static HELD: ForkCell = ForkCell(UnsafeCell::new(None));
static HOLDING: AtomicBool = AtomicBool::new(false);

pub fn before_fork() {
    let guard = lock();
    // SAFETY: the lock just taken keeps other forking threads out.
    unsafe { *HELD.0.get() = Some(guard) };
    HOLDING.store(true, Ordering::Relaxed);
}

/// Releases the lock; in the child, forgets the threads that do not exist there.
pub fn after_fork(child: bool) {
    if !HOLDING.swap(false, Ordering::Relaxed) {
        return;
    }
    // SAFETY: this thread took the lock in `before_fork` and still holds it.
    let held = unsafe { (*HELD.0.get()).take() };
    let Some(mut workers) = held else { return };
    if child {
        // Dropping it would talk to threads through locks that they may have held.
        std::mem::forget(workers.pool.take());
        workers.count = 0;
        JOBS.0.store(0, Ordering::Relaxed);
        POLLING.0.store(0, Ordering::Relaxed);
        BUILDING.store(false, Ordering::Relaxed);
        operation::after_fork();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flow, run, set_num_threads};
    use super::*;

    #[test]
    fn jobs_end_when_no_work_comes_and_none_is_lost_count_of() {
        std::thread::scope(|scope| {
            for caller in 0..4 {
                scope.spawn(move || {
                    for round in 0..2000 {
                        if caller == 0 && round % 20 == 0 {
                            set_num_threads([2, 5, 3, 1][round / 20 % 4]).unwrap();
                        }
                        let tile = |tile| {
                            if caller == 1 && tile == 7 {
                                std::panic::resume_unwind(Box::new(()));
                            }
                            Flow::Continue
                        };
                        let outcome = std::panic::catch_unwind(|| run(16, 1e9, &tile));
                        assert_eq!(outcome.is_err(), caller == 1);
                    }
                });
            }
        });
        let start = Instant::now();
        while JOBS.0.load(Ordering::SeqCst) + polling() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "{} jobs", JOBS.0.load(Ordering::SeqCst));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
