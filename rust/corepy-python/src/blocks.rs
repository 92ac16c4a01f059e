//! `with` blocks that change a setting of the calling thread, and set it back whatever order they end in.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The object of a `with` statement, which several threads may use at once and a thread several times.
#[derive(Clone, Copy, PartialEq)]
pub struct Block(u64);

impl Block {
    pub fn new() -> Block {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Block(COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The blocks that are open on a thread, the outermost first, each with the setting that held before it.
pub struct Open<T>(RefCell<Vec<(Block, T)>>);

impl<T> Open<T> {
    pub const fn new() -> Open<T> {
        Open(RefCell::new(Vec::new()))
    }

    pub fn enter(&self, block: Block, before: T) {
        self.0.borrow_mut().push((block, before));
    }

    /// Ends a block: None where it is not open on this thread. What is to hold again is inside, unless
    /// a block that was entered later is still open (generators and coroutines end in any order): that
    /// one sets it back.
    pub fn leave(&self, block: Block) -> Option<Option<T>> {
        let mut open = self.0.borrow_mut();
        let at = open.iter().rposition(|(own, _)| *own == block)?;
        let (_, before) = open.remove(at);
        let Some((_, later)) = open.get_mut(at) else { return Some(Some(before)) };
        *later = before;
        Some(None)
    }
}
