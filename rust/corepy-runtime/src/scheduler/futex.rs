//! Sleeping until a word in memory changes: a futex on Linux, a condition variable elsewhere.

#[cfg(target_os = "linux")]
pub use system::{wait, wake};

#[cfg(not(target_os = "linux"))]
pub use portable::{wait, wake};

#[cfg(target_os = "linux")]
mod system {
    use std::sync::atomic::AtomicU32;

    /// Sleeps while `word` is `expected`; may return without a reason.
    pub fn wait(word: &AtomicU32, expected: u32) {
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let forever = std::ptr::null::<libc::timespec>();
        // SAFETY: the word is alive, and the kernel only reads it.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, forever) };
    }

    /// Wakes the thread that sleeps on `word`, which has changed.
    pub fn wake(word: &AtomicU32) {
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the kernel uses the word's address alone.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 1) };
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod portable {
    use crate::lock::{Condition, Lock};
    use std::sync::atomic::{AtomicU32, Ordering};

    static LOCK: Lock<()> = Lock::new(());
    static CHANGED: Condition = Condition::new();

    pub fn wait(word: &AtomicU32, expected: u32) {
        let guard = LOCK.lock();
        if word.load(Ordering::SeqCst) == expected {
            drop(CHANGED.wait(guard));
        }
    }

    pub fn wake(_: &AtomicU32) {
        let _guard = LOCK.lock();
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::time::Duration;

    fn check(wait: fn(&AtomicU32, u32), wake: fn(&AtomicU32)) {
        let word = AtomicU32::new(7);
        // Another value already: no sleep.
        wait(&word, 6);
        let awake = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::SeqCst) == 7 {
                    wait(&word, 7);
                }
                awake.store(true, Ordering::SeqCst);
            });
            std::thread::sleep(Duration::from_millis(20));
            assert!(!awake.load(Ordering::SeqCst));
            word.store(8, Ordering::SeqCst);
            wake(&word);
        });
        assert!(awake.into_inner());
    }

    #[test]
    fn a_sleeper_wakes_when_its_word_changes() {
        check(super::wait, super::wake);
        check(super::portable::wait, super::portable::wake);
    }
}
