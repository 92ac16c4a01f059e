//! A value that is made when it is first asked for, without a lock. Waiting for the thread that makes it, as
//! `OnceLock` does, would never end in the child of a fork, where that thread does not exist.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicPtr, Ordering};

pub struct Once<T> {
    /// Null, or from `Box::into_raw`.
    made: AtomicPtr<T>,
    owns: PhantomData<T>,
}

// SAFETY: a value may be made by one thread, read by others, and dropped by yet another one.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    pub const fn new() -> Once<T> {
        Once { made: AtomicPtr::new(std::ptr::null_mut()), owns: PhantomData }
    }

    /// The value. Threads that come at the same time may each make one; the first that is done stays.
    #[inline]
    pub fn get_or_make(&self, make: impl FnOnce() -> T) -> &T {
        // SAFETY: what is not null stays as it is for as long as `self` lives.
        match unsafe { self.made.load(Ordering::Acquire).as_ref() } {
            Some(made) => made,
            None => self.keep(make()),
        }
    }

    #[cold]
    fn keep(&self, value: T) -> &T {
        let own = Box::into_raw(Box::new(value));
        let kept = self.made.compare_exchange(std::ptr::null_mut(), own, Ordering::AcqRel, Ordering::Acquire);
        let kept = match kept {
            Ok(_) => own,
            Err(earlier) => {
                // SAFETY: from `Box::into_raw` above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(own) });
                earlier
            }
        };
        // SAFETY: as in `get_or_make`.
        unsafe { &*kept }
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        let made = *self.made.get_mut();
        if !made.is_null() {
            // SAFETY: from `Box::into_raw`, and no reference outlives `self`.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

impl<T> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn one_value_stays_and_all_are_dropped() {
        let shared = Arc::new(7);
        let once = Once::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        assert_eq!(**once.get_or_make(|| shared.clone()), 7);
                    }
                });
            }
        });
        assert_eq!(Arc::strong_count(&shared), 2);
        once.get_or_make(|| unreachable!("there is one"));
        drop(once);
        assert_eq!(Arc::strong_count(&shared), 1);
        drop(Once::<String>::new());
    }

    #[test]
    fn making_may_fail() {
        let once = Once::new();
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            once.get_or_make(|| std::panic::resume_unwind(Box::new(())));
        }));
        assert!(failed.is_err());
        assert_eq!(*once.get_or_make(|| 3), 3);
    }
}
