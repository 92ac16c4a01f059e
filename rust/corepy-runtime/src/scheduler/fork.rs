//! What happens to locks and threads when the process forks.
//!
//! Locks are taken before the fork in the order: workers, arena registry, pool front registry, small
//! classes rising, large blocks. No code holds a later one while it takes an earlier one. Parent and
//! child release them. The child's generation is one higher than its parent's: it forgets, without
//! dropping, the threads that only the parent has.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::workers;
use crate::memory::{arena, pool};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Counts the forks between the first process and this one.
#[inline]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Installs the handlers, once for the process.
pub fn register() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.load(Ordering::Relaxed) && !REGISTERED.swap(true, Ordering::Relaxed) {
        // It fails for want of memory alone, and then forks stay as they are without handlers.
        // SAFETY: the handlers are functions without arguments that live as long as the process.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    }
}

extern "C" fn prepare() {
    workers::before_fork();
    arena::before_fork();
    pool::before_fork();
}

extern "C" fn parent() {
    pool::after_fork(false);
    arena::after_fork(false);
    workers::after_fork(false);
}

extern "C" fn child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    pool::after_fork(true);
    arena::after_fork(true);
    workers::after_fork(true);
}
