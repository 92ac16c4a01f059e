//! Blocks for tensor data.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::NonNull;

#[inline]
pub fn allocate(bytes: usize) -> Option<NonNull<u8>> {
    let layout = Layout::from_size_align(bytes.max(1), 64).ok()?;
    // SAFETY: the layout is not empty.
    NonNull::new(unsafe { alloc(layout) })
}

/// # Safety
/// The block came from `allocate` with the same size and is not used afterwards.
#[inline]
pub unsafe fn release(block: NonNull<u8>, bytes: usize) {
    // SAFETY: as the caller promises; the layout is that of `allocate`.
    unsafe { dealloc(block.as_ptr(), Layout::from_size_align_unchecked(bytes.max(1), 64)) };
}
