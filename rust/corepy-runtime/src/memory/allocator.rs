//! Where the memory of new tensors comes from: the pool, the system's heap, or an allocator of one's own.
//!
//! A block goes back to where it came from, so that the choice can change at any time. Scratch that does
//! not fit the arena comes from the same place as tensors.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{ALIGN, limits, pool, round_up};
use crate::error::{Error, Result};

/// Hands out blocks of memory and takes them back, on any thread.
///
/// One that is installed for tensors gives memory that the processor can reach. Memory of a device is
/// given to one tensor at a time, by [`Storage::allocate_from`](crate::storage::Storage::allocate_from),
/// which keeps nothing of its own in the block.
pub trait Allocator: Sync {
    /// What the user calls it.
    fn name(&self) -> &'static str;

    /// A block of at least `bytes` bytes, aligned to [`ALIGN`], not initialised; None where there is none.
    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>>;

    /// Takes a block back.
    ///
    /// # Safety
    /// The block came from `allocate` of this allocator with the same `bytes`, is released once, and is
    /// not used after.
    unsafe fn release(&self, block: NonNull<u8>, bytes: usize);
}

/// The pool, which keeps freed blocks for reuse.
pub struct Pool;

impl Allocator for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>> {
        pool::allocate(bytes)
    }

    unsafe fn release(&self, block: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { pool::release(block, bytes) }
    }
}

/// The C library's heap, which every tool that watches memory knows.
pub struct System;

impl Allocator for System {
    fn name(&self) -> &'static str {
        "system"
    }

    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>> {
        let bytes = round_up(bytes.max(1), ALIGN)?;
        if !limits::fits(bytes) {
            return None;
        }
        // SAFETY: the length is a multiple of the alignment, a power of two.
        NonNull::new(unsafe { libc::aligned_alloc(ALIGN, bytes) }.cast())
    }

    unsafe fn release(&self, block: NonNull<u8>, _: usize) {
        // SAFETY: the caller's promise: from aligned_alloc.
        unsafe { libc::free(block.as_ptr().cast()) }
    }
}

/// Null for the pool, which has no call through a table.
static INSTALLED: AtomicPtr<&'static dyn Allocator> = AtomicPtr::new(std::ptr::null_mut());

/// What the user may choose by name.
static CHOICES: [&dyn Allocator; 2] = [&Pool, &System];

/// The allocator of new tensors; None for the pool.
#[inline]
pub fn installed() -> Option<&'static dyn Allocator> {
    // SAFETY: null, or a reference that `install` has leaked.
    unsafe { INSTALLED.load(Ordering::Acquire).as_ref() }.copied()
}

/// Name of the allocator of new tensors.
pub fn name() -> &'static str {
    installed().map_or(Pool.name(), Allocator::name)
}

/// Makes new tensors come from `allocator` (None: the pool). Keeps two words for ever.
pub fn install(allocator: Option<&'static dyn Allocator>) {
    let entry = allocator.map_or(std::ptr::null_mut(), |allocator| Box::into_raw(Box::new(allocator)));
    INSTALLED.store(entry, Ordering::Release);
}

/// Chooses the allocator of new tensors by name.
pub fn choose(op: &'static str, name: &str) -> Result<()> {
    let Some(number) = CHOICES.iter().position(|choice| choice.name() == name) else {
        let valid: Vec<String> = CHOICES.iter().map(|choice| format!("'{}'", choice.name())).collect();
        return Err(Error::Allocator { op, name: name.to_owned(), valid: valid.join(", ") });
    };
    let entry = if number == 0 { std::ptr::null_mut() } else { (&raw const CHOICES[number]).cast_mut() };
    INSTALLED.store(entry, Ordering::Release);
    Ok(())
}
