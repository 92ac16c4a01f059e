//! Memory of the runtime: the pool that tensors live in, the arena for scratch, and anonymous mappings.

pub mod allocator;
pub mod arena;
pub mod limits;
pub mod list;
pub mod pool;
pub mod reserve;
mod size_classes;
pub mod tuning;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Alignment of every block and scratch: a cache line, and the widest vector of any level.
pub const ALIGN: usize = 64;

/// Size of a huge page on x86-64 and on aarch64 with 4 KiB pages.
pub const HUGE_PAGE: usize = 2 << 20;

/// Size of a page of the running kernel.
pub fn page_size() -> usize {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    match PAGE.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: sysconf reads a constant of the system.
            let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            let size = usize::try_from(size).unwrap_or(4096);
            PAGE.store(size, Ordering::Relaxed);
            size
        }
        size => size,
    }
}

/// `bytes` rounded up to a multiple of `unit`, a power of two; None where that does not fit.
fn round_up(bytes: usize, unit: usize) -> Option<usize> {
    Some(bytes.checked_add(unit - 1)? & !(unit - 1))
}

/// Maps `bytes` of zeroed private memory at a multiple of `align`, a power of two; None when the
/// system refuses. `bytes` is rounded up to whole pages, here and in [`unmap`] alike.
pub(crate) fn map(bytes: usize, align: usize) -> Option<NonNull<u8>> {
    let page = page_size();
    let bytes = round_up(bytes.max(1), page)?;
    let first = map_anywhere(bytes)?;
    if first.addr().get() & (align - 1) == 0 {
        return Some(first);
    }
    // The kernel chose an address that does not fit: map more and give the ends back.
    // SAFETY: the mapping was made above and nothing refers to it.
    unsafe { unmap(first, bytes) };
    let longer = bytes.checked_add(align)?;
    let base = map_anywhere(longer)?;
    let before = base.addr().get().wrapping_neg() & (align - 1);
    let after = longer - before - bytes;
    // SAFETY: `before + bytes + after` is the length of the mapping, so both ends and the block lie inside.
    unsafe {
        let block = base.add(before);
        if before > 0 {
            unmap(base, before);
        }
        if after > 0 {
            unmap(block.add(bytes), after);
        }
        Some(block)
    }
}

fn map_anywhere(bytes: usize) -> Option<NonNull<u8>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
    let at =
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0) };
    if at == libc::MAP_FAILED { None } else { NonNull::new(at.cast()) }
}

/// Gives a mapping, or whole pages of one, back to the system.
///
/// # Safety
/// The pages come from [`map`] and nothing refers to them any more.
pub(crate) unsafe fn unmap(at: NonNull<u8>, bytes: usize) {
    let bytes = round_up(bytes.max(1), page_size()).unwrap_or(bytes);
    // munmap of pages that are mapped fails only where splitting a mapping would exceed the
    // kernel's count of mappings; the memory then stays mapped, which harms nobody.
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(at.as_ptr().cast(), bytes) };
}

/// Asks for huge pages on a mapping of our own.
pub(crate) fn advise_huge(at: NonNull<u8>, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the advice changes how the pages are backed, never what they hold.
    unsafe {
        libc::madvise(at.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (at, bytes);
}

/// Unwinds with an [`Error::OutOfMemory`] as its payload, for whoever catches panics to raise: scratch
/// and lists of loops are asked for where no result could say so.
#[cold]
#[inline(never)]
fn refuse(bytes: usize) -> ! {
    let error = Error::OutOfMemory { op: "scratch", bytes, shape: format!("({bytes},)"), dtype: "uint8" };
    // Not `panic!`: the library prints nothing, and the panic hook would.
    std::panic::resume_unwind(Box::new(error))
}

/// Reads a number of bytes with an optional binary suffix: `0`, `65536`, `512K`, `64M`, `2G`.
pub fn parse_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 10),
        b'm' | b'M' => (&text[..text.len() - 1], 20),
        b'g' | b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<usize>().ok()?.checked_mul(1 << shift).filter(|&n| isize::try_from(n).is_ok())
}

/// The value of an environment variable that holds a number of bytes; None when it is not set.
fn bytes_setting(
    name: &'static str,
    valid: impl Fn(usize) -> bool,
    description: &'static str,
) -> Result<Option<usize>> {
    let Some(value) = crate::settings::value(name) else { return Ok(None) };
    match parse_bytes(&value) {
        Some(bytes) if valid(bytes) => Ok(Some(bytes)),
        _ => Err(Error::Setting { name, value, valid: description.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_with_suffixes() {
        for (text, bytes) in
            [("0", 0), ("65536", 65536), ("512K", 512 << 10), ("64m", 64 << 20), (" 2G ", 2 << 30)]
        {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in
            ["", "K", "-1", "1.5G", "1T", "10 MB", "99999999999999999999", "9999999999999G", "+1", "0x10"]
        {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn mappings_are_aligned_and_zeroed() {
        for (bytes, align) in [(1, 4096), (1 << 20, 1 << 20), (HUGE_PAGE + 5, HUGE_PAGE), (3 << 20, 8 << 20)]
        {
            let at = map(bytes, align).unwrap();
            assert_eq!(at.addr().get() % align, 0);
            // SAFETY: the mapping is `bytes` long and unmapped once, at the end.
            unsafe {
                assert_eq!(*at.as_ptr(), 0);
                assert_eq!(*at.as_ptr().add(bytes - 1), 0);
                *at.as_ptr().add(bytes - 1) = 1;
                unmap(at, bytes);
            }
        }
        assert!(map(isize::MAX as usize, 4096).is_none());
        assert!(map(usize::MAX, 4096).is_none());
    }
}
