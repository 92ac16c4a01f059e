//! A Rust heap that keeps a little aside, so that an error can still be made when memory is exhausted.
//!
//! Memory that a user's data asks for comes from the pool and the arena, whose failure is an error. What
//! remains for the Rust heap is small and bounded: messages, boxes, lists of operands. Rust ends the
//! process where such an allocation fails; with this allocator it takes a piece of the reserve.

use super::limits;
use crate::error::{Error, Result};
use crate::layout;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Enough for some hundred messages at once.
const BYTES: usize = 64 << 10;
/// The largest request that the reserve serves: 64 operands of a few hundred bytes.
const LARGEST: usize = 16 << 10;

/// An allocator with the reserve behind it.
pub struct WithReserve<A>(pub A);

#[repr(align(64))]
struct Area(UnsafeCell<[u8; BYTES]>);
// SAFETY: pieces of it are given to one owner each.
unsafe impl Sync for Area {}

static AREA: Area = Area(UnsafeCell::new([0; BYTES]));
/// Pieces that are out (upper half) and bytes that are given out from the front (lower half): one word,
/// so that the last piece that comes back makes the whole area free again.
static STATE: AtomicUsize = AtomicUsize::new(0);
const PIECE: usize = 1 << 32;

fn take(layout: Layout) -> *mut u8 {
    if layout.size() > LARGEST || layout.align() > 64 {
        return std::ptr::null_mut();
    }
    let bytes = layout.size().next_multiple_of(64);
    let fits = |state: usize| ((state % PIECE) + bytes <= BYTES).then_some(state + PIECE + bytes);
    match STATE.fetch_update(Ordering::Acquire, Ordering::Relaxed, fits) {
        Ok(before) => AREA.0.get().cast::<u8>().wrapping_add(before % PIECE),
        Err(_) => std::ptr::null_mut(),
    }
}

fn is_inside(at: *mut u8) -> bool {
    at.addr().wrapping_sub(AREA.0.get().addr()) < BYTES
}

fn give_back() {
    let after = |state: usize| Some(if state / PIECE == 1 { 0 } else { state - PIECE });
    let _ = STATE.fetch_update(Ordering::Release, Ordering::Relaxed, after);
}

// SAFETY: blocks are those of the allocator inside, or pieces of the area, aligned to 64, each out once.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WithReserve<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let block = unsafe { self.0.alloc(layout) };
        if block.is_null() { take(layout) } else { block }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_inside(block) {
            return give_back();
        }
        // SAFETY: the caller's promise; the block is not of the area.
        unsafe { self.0.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !is_inside(block) {
            // SAFETY: the caller's promise; the block is not of the area.
            let longer = unsafe { self.0.realloc(block, layout, size) };
            if !longer.is_null() {
                return longer;
            }
        }
        // SAFETY: the caller promises that the size suits the alignment; both blocks hold what is copied.
        unsafe {
            let other = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !other.is_null() {
                other.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            other
        }
    }
}

/// Fails unless the heap has room for so many bytes more. Asked before work that makes many small objects of what a
/// user gives, none of which could fail by itself.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn ensure(op: &'static str, bytes: usize) -> Result<()> {
    let mut room = Vec::<u8>::new();
    if limits::fits(bytes) && room.try_reserve_exact(bytes).is_ok() {
        // Else the compiler could do without the memory.
        std::hint::black_box(room.as_ptr());
        return Ok(());
    }
    Err(exhausted(op, bytes))
}

/// The error where the heap has no room for so many bytes.
pub fn exhausted(op: &'static str, bytes: usize) -> Error {
    Error::OutOfMemory { op, bytes, shape: layout::show(&[bytes as i64]), dtype: "uint8" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_refused() {
        ensure("test", 0).unwrap();
        ensure("test", 1 << 20).unwrap();
        for bytes in [1 << 50, usize::MAX] {
            assert!(matches!(ensure("test", bytes), Err(Error::OutOfMemory { op: "test", .. })));
        }
    }

    /// Never has memory.
    struct Exhausted;
    // SAFETY: it gives out nothing.
    unsafe impl GlobalAlloc for Exhausted {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            std::ptr::null_mut()
        }
        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
            panic!("nothing was given out");
        }
    }

    #[test]
    fn pieces_are_apart_and_come_back() {
        let heap = WithReserve(Exhausted);
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        for _ in 0..3 {
            let mut pieces = Vec::new();
            for i in 0_u8..20 {
                let size = 1 + usize::from(i) * 130;
                // SAFETY: sizes are not 0, and what is written lies inside.
                unsafe {
                    let mut piece = heap.alloc(layout(size, 16));
                    assert!(!piece.is_null() && piece.addr() % 64 == 0);
                    piece.write_bytes(i, size);
                    piece = heap.realloc(piece, layout(size, 16), size + 100);
                    assert_eq!(*piece.add(size - 1), i);
                    piece.write_bytes(i, size + 100);
                    pieces.push((piece, size + 100, i));
                }
            }
            for &(piece, size, i) in &pieces {
                // SAFETY: inside the piece.
                unsafe { assert!((0..size).all(|k| *piece.add(k) == i)) };
            }
            // SAFETY: as above.
            unsafe {
                assert!(heap.alloc(layout(LARGEST + 1, 8)).is_null());
                let mut full = Vec::new();
                while let Some(piece) = std::ptr::NonNull::new(heap.alloc(layout(LARGEST, 8))) {
                    full.push(piece);
                    assert!(full.len() < 5);
                }
                full.iter().for_each(|piece| heap.dealloc(piece.as_ptr(), layout(LARGEST, 8)));
                pieces.iter().for_each(|&(piece, size, _)| heap.dealloc(piece, layout(size, 16)));
            }
            assert_eq!(STATE.load(Ordering::Relaxed), 0);
        }
    }
}
