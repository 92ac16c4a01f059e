//! The worker threads: they help with operations, poll for more for a short time, and sleep.
//!
//! A counter, the epoch, is raised whenever an operation is published. A worker that polls it finds
//! the next operation within a microsecond; after a while it sleeps, and only work that pays for it
//! wakes it.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::cost::Help;
use super::{MAX_THREADS, affinity, cgroup, fork, fp_state, futex, in_tile, operation};
use crate::lock::{Guard, Lock};

/// How long a worker polls after work: a few times what waking it costs, which bounds the loss where
/// no work comes. With reading the clock it stays below 100 us.
const POLL: Duration = Duration::from_micros(95);

/// After a system that refuses threads, another try is worth its cost only after a while.
const RETRY: Duration = Duration::from_secs(1);

/// Address space of a worker's stack; scratch lies in the arena.
const STACK: usize = 2 << 20;

#[repr(align(128))]
struct Line<T>(T);

/// Raised whenever an operation is published.
static EPOCH: Line<AtomicU32> = Line(AtomicU32::new(0));
/// Workers that are polling now.
static POLLING: Line<AtomicUsize> = Line(AtomicUsize::new(0));

/// What each worker does; it sleeps on its own word while that says `ASLEEP`. Who changes it from
/// there, and nobody else, wakes the worker.
static STATES: [AtomicU32; MAX_THREADS - 1] = [const { AtomicU32::new(ABSENT) }; MAX_THREADS - 1];
const ABSENT: u32 = 0;
const AWAKE: u32 = 1;
const ASLEEP: u32 = 2;

/// Each worker's thread, and the processor that it was kept off when it was woken last.
static THREADS: [AtomicI32; MAX_THREADS - 1] = [const { AtomicI32::new(0) }; MAX_THREADS - 1];
static KEPT_OFF: [AtomicUsize; MAX_THREADS - 1] = [const { AtomicUsize::new(usize::MAX) }; MAX_THREADS - 1];

/// Workers that woken workers are to wake: the caller pays for one, and each wakes two more.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// Workers from this number on end when they have no work.
static ALLOWED: AtomicUsize = AtomicUsize::new(0);
/// Workers that may poll at once: as many as there are processors besides the caller's.
static MAX_POLLING: AtomicUsize = AtomicUsize::new(0);
/// Where the caller ran that woke workers last.
static CALLER_PROCESSOR: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Held while threads are made and given up; holds when the system last refused one.
static CHANGING: Lock<Option<Instant>> = Lock::new(None);

/// Workers that would see a new operation at once.
#[inline]
pub fn polling() -> usize {
    POLLING.0.load(Ordering::Relaxed)
}

/// Calls workers to an operation that has just been published; `most` is the most that could ever be asked for.
pub fn call(help: Help, most: usize) {
    // A worker says that it sleeps and then looks at the epoch once more: either it is seen asleep
    // below, or it sees the operation.
    EPOCH.0.fetch_add(1, Ordering::SeqCst);
    if !help.wake {
        return;
    }
    let (mut awake, mut absent) = (0, false);
    for state in &STATES[..most] {
        match state.load(Ordering::SeqCst) {
            AWAKE => awake += 1,
            ABSENT => absent = true,
            _ => {}
        }
    }
    // Those that are on their way to being woken do not have to be woken again.
    let missing = help.workers.saturating_sub(awake + WANTED.load(Ordering::Relaxed));
    if missing == 0 {
        return;
    }
    CALLER_PROCESSOR.store(affinity::current().unwrap_or(usize::MAX), Ordering::Relaxed);
    if missing > 1 {
        WANTED.fetch_add(missing - 1, Ordering::SeqCst);
    }
    wake_one();
    if absent {
        start(most);
    }
}

/// Wakes a worker that sleeps, if one does.
fn wake_one() {
    for (number, state) in STATES.iter().enumerate().take(ALLOWED.load(Ordering::Relaxed)) {
        if state.load(Ordering::Relaxed) == ASLEEP
            && state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        {
            keep_off(number, THREADS[number].load(Ordering::Relaxed));
            return futex::wake(state);
        }
    }
    WANTED.store(0, Ordering::Relaxed);
}

/// Keeps a worker off the caller's processor, if it is not the one that it is kept off already.
fn keep_off(number: usize, thread: i32) {
    let caller = CALLER_PROCESSOR.load(Ordering::Relaxed);
    if KEPT_OFF[number].swap(caller, Ordering::Relaxed) != caller {
        affinity::keep_off(thread, caller);
    }
}

/// Makes the first of the workers that are missing, which makes the others. The caller does not wait
/// for another thread that is changing them: it works alone.
#[cold]
fn start(most: usize) {
    let Some(mut refused) = CHANGING.try_lock() else { return };
    if refused.is_some_and(|at| at.elapsed() < RETRY) {
        return;
    }
    fork::register();
    ALLOWED.fetch_max(most, Ordering::SeqCst);
    // The new threads inherit the mask: signals are for the threads of the interpreter, and a worker
    // that took one would leave a sleeping main thread asleep.
    let _blocked = BlockedSignals::new();
    spawn(most, true, &mut refused);
}

/// Makes the first worker that is missing among `most`; false where none is or none can be had.
fn spawn(most: usize, makes_others: bool, refused: &mut Option<Instant>) -> bool {
    let Some(number) = STATES[..most].iter().position(|s| s.load(Ordering::Relaxed) == ABSENT) else {
        return false;
    };
    STATES[number].store(AWAKE, Ordering::SeqCst);
    let builder = std::thread::Builder::new().name(format!("corepy-{number}")).stack_size(STACK);
    let made = builder.spawn(move || {
        let worker = Worker(number);
        if makes_others {
            MAX_POLLING.store(cgroup::processors() - 1, Ordering::Relaxed);
            let mut refused = CHANGING.lock();
            while spawn(most.min(ALLOWED.load(Ordering::SeqCst)), false, &mut refused) {}
        }
        worker.work();
    });
    if made.is_err() {
        STATES[number].store(ABSENT, Ordering::SeqCst);
        *refused = Some(Instant::now());
    }
    made.is_ok()
}

/// Allows no more than `count` workers: the others end when they have no work.
pub fn shrink(count: usize) {
    let _held = CHANGING.lock();
    ALLOWED.store(count, Ordering::SeqCst);
    for state in STATES.iter().skip(count) {
        if state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            futex::wake(state);
        }
    }
}

/// Signals blocked on this thread but for faults; those from before are restored when it is dropped.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> BlockedSignals {
        // SAFETY: the sets are initialised by the calls, which change this thread's mask only.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut all);
            for fault in
                [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT]
            {
                libc::sigdelset(&mut all, fault);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
            BlockedSignals(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the mask that held before, on the same thread.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

/// A worker thread, by its number.
struct Worker(usize);

impl Drop for Worker {
    fn drop(&mut self) {
        STATES[self.0].store(ABSENT, Ordering::SeqCst);
    }
}

impl Worker {
    fn is_surplus(&self) -> bool {
        self.0 >= ALLOWED.load(Ordering::SeqCst)
    }

    /// Helps, polls and sleeps, for as long as there is to be a worker of this number.
    fn work(self) {
        let _fp_state = fp_state::Guard::new();
        let thread = affinity::this_thread();
        THREADS[self.0].store(thread, Ordering::Relaxed);
        KEPT_OFF[self.0].store(usize::MAX, Ordering::Relaxed);
        keep_off(self.0, thread);
        loop {
            let seen = EPOCH.0.load(Ordering::SeqCst);
            in_tile(operation::help_all);
            if self.is_surplus() {
                // Under the lock, so that a worker of this number is either wanted or missing.
                let _held = CHANGING.lock();
                if self.is_surplus() {
                    drop(self);
                    return;
                }
            }
            if !poll(seen) {
                self.sleep(seen);
            }
        }
    }

    fn sleep(&self, seen: u32) {
        let state = &STATES[self.0];
        state.store(ASLEEP, Ordering::SeqCst);
        if (EPOCH.0.load(Ordering::SeqCst) != seen || self.is_surplus())
            && state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        {
            return;
        }
        while state.load(Ordering::SeqCst) == ASLEEP {
            futex::wait(state, ASLEEP);
        }
        for _ in 0..2 {
            let less = |wanted: usize| wanted.checked_sub(1);
            if WANTED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                wake_one();
            }
        }
    }
}

/// Waits for the epoch to move on; whether it did.
fn poll(seen: u32) -> bool {
    struct Polling;
    impl Drop for Polling {
        fn drop(&mut self) {
            POLLING.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let others = POLLING.0.fetch_add(1, Ordering::Relaxed);
    let _polling = Polling;
    if others >= MAX_POLLING.load(Ordering::Relaxed) {
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

struct ForkCell(UnsafeCell<Option<Guard<'static, Option<Instant>>>>);
// SAFETY: touched by the forking thread alone, between taking the lock and dropping it.
unsafe impl Sync for ForkCell {}
static HELD: ForkCell = ForkCell(UnsafeCell::new(None));
static HOLDING: AtomicBool = AtomicBool::new(false);

pub fn before_fork() {
    let guard = CHANGING.lock();
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
    if child {
        STATES.iter().for_each(|state| state.store(ABSENT, Ordering::Relaxed));
        POLLING.0.store(0, Ordering::Relaxed);
        WANTED.store(0, Ordering::Relaxed);
        operation::after_fork();
    }
    drop(held);
}

#[cfg(test)]
mod tests {
    use super::super::{Flow, run, set_num_threads};
    use super::*;

    #[test]
    fn workers_sleep_when_no_work_comes_and_none_is_lost_count_of() {
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
        let count = |what| STATES.iter().filter(|s| s.load(Ordering::SeqCst) == what).count();
        while count(AWAKE) + polling() > 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "{} workers are awake", count(AWAKE));
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(count(ASLEEP) <= ALLOWED.load(Ordering::SeqCst));
    }
}
