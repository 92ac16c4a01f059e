//! The one lock there is: a mutex that can be counted. clippy.toml bans the others, so that a count of none says that
//! a call takes no lock.

#![allow(clippy::disallowed_types)]

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// Whether locks are counted: a load that is never contended, where a count always kept would be a line that all
/// threads write.
static COUNTING: AtomicBool = AtomicBool::new(false);
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// A value that one thread at a time may use. A panic of a thread that has it leaves it to the next one as it is.
#[derive(Default)]
pub struct Lock<T>(Mutex<T>);

/// The value, for as long as this lives.
pub type Guard<'a, T> = MutexGuard<'a, T>;

impl<T> Lock<T> {
    pub const fn new(value: T) -> Lock<T> {
        Lock(Mutex::new(value))
    }

    /// Waits until no other thread has the value.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        count();
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, unless another thread has it.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        count();
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The value, which nobody else can have any more; not counted, as nothing is locked.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}

/// Wakes threads that have given up a lock until something changes.
#[derive(Debug, Default)]
pub struct Condition(Condvar);

impl Condition {
    pub const fn new() -> Condition {
        Condition(Condvar::new())
    }

    /// Gives the lock up until somebody notifies, or for no reason; then takes it again.
    pub fn wait<'a, T>(&self, guard: Guard<'a, T>) -> Guard<'a, T> {
        count();
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[inline]
fn count() {
    if COUNTING.load(Ordering::Relaxed) {
        TAKEN.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many locks all threads together take while `f` runs. One caller at a time.
pub fn taken_during(f: impl FnOnce()) -> u64 {
    let before = TAKEN.load(Ordering::Relaxed);
    COUNTING.store(true, Ordering::SeqCst);
    f();
    COUNTING.store(false, Ordering::SeqCst);
    TAKEN.load(Ordering::Relaxed) - before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_survive_panics_and_refuse_a_second_holder() {
        let lock = Lock::new(1);
        std::thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let mut held = lock.lock();
                *held = 2;
                std::panic::resume_unwind(Box::new(()));
            });
            assert!(panicked.join().is_err());
        });
        assert_eq!(*lock.lock(), 2);
        let held = lock.try_lock().unwrap();
        assert!(lock.try_lock().is_none());
        drop(held);
        *lock.try_lock().unwrap() += 1;
        assert_eq!(lock.into_inner(), 3);
    }
}
