//! The arena: a thread-local bump allocator for scratch that lives no longer than one scope.
//!
//! ```
//! use corepy_runtime::memory::arena::with_arena;
//! let sum = with_arena(|arena| {
//!     let partial = arena.scratch(1024); // 64-byte aligned, not initialised
//!     partial.as_ptr().addr() % 64
//! });
//! assert_eq!(sum, 0);
//! ```
//!
//! What must not compile follows, each after its twin that does and differs in that one thing, so that
//! no other mistake can pass for it. Scratch cannot outlive its scope as a result,
//!
//! ```
//! use corepy_runtime::memory::arena::with_arena;
//! let address = with_arena(|arena| arena.scratch(64).as_ptr().addr());
//! ```
//! ```compile_fail
//! use corepy_runtime::memory::arena::with_arena;
//! let scratch = with_arena(|arena| arena.scratch(64));
//! ```
//!
//! nor in a variable outside, as itself or as the counters in it;
//!
//! ```
//! use corepy_runtime::memory::arena::with_arena;
//! let mut kept = 0;
//! with_arena(|arena| kept = arena.counters(8).len());
//! ```
//! ```compile_fail
//! use corepy_runtime::memory::arena::with_arena;
//! let mut kept = None;
//! with_arena(|arena| kept = Some(arena.scratch(8)));
//! ```
//! ```compile_fail
//! use corepy_runtime::memory::arena::with_arena;
//! let mut kept: &[std::sync::atomic::AtomicUsize] = &[];
//! with_arena(|arena| kept = arena.counters(8));
//! ```
//!
//! no scope can be kept open,
//!
//! ```compile_fail
//! use corepy_runtime::memory::arena::{Arena, with_arena};
//! let mut kept: Option<&Arena> = None;
//! with_arena(|arena| kept = Some(arena));
//! ```
//!
//! and no other thread can take scratch from it.
//!
//! ```
//! use corepy_runtime::memory::arena::with_arena;
//! with_arena(|arena| std::thread::scope(|s| { let _ = arena; s.spawn(|| with_arena(|own| own.scratch(64).len())); }));
//! ```
//! ```compile_fail
//! use corepy_runtime::memory::arena::with_arena;
//! with_arena(|arena| std::thread::scope(|s| { let _ = arena; s.spawn(|| arena.scratch(64).len()); }));
//! ```

use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::allocator::{self, Allocator};
use super::{ALIGN, bytes_setting, map, page_size, pool, refuse, round_up, unmap};
use crate::error::Result;
use crate::lock::{Guard, Lock};
use crate::scheduler::fork;

/// Enough for the packed panels of a matmul or the tiles of a lane program, and half of a second-level cache.
pub const DEFAULT_SIZE: usize = 1 << 20;
const SMALLEST: usize = 4 << 10;
const LARGEST: usize = 1 << 30;

/// What the arenas of all threads hold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Scratch in use now, in arenas and overflows.
    pub used: usize,
    /// Size of the arenas of the threads that have one.
    pub capacity: usize,
    /// The most that each thread has used, overflows included; above `capacity`, a larger
    /// `COREPY_ARENA_SIZE` would have avoided overflows.
    pub peak: usize,
    /// Requests that did not fit and went to the pool (or the allocator in its place), of threads that have ended too.
    pub overflows: u64,
}

/// What the environment sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of each thread's arena.
    pub size: usize,
}

/// Reads the settings again from the environment, and says what is wrong with them.
pub fn settings() -> Result<Settings> {
    const VALID: &str = "a number of bytes from 4K to 1G, with K, M or G after it if need be";
    let size = bytes_setting("COREPY_ARENA_SIZE", |n| (SMALLEST..=LARGEST).contains(&n), VALID)?;
    Ok(Settings { size: size.unwrap_or(DEFAULT_SIZE) })
}

/// Size of the arenas; threads that race here compute the same value, so none waits for another.
pub(super) fn size() -> usize {
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    match SIZE.load(Relaxed) {
        0 => {
            fork::register();
            let size = settings().map_or(DEFAULT_SIZE, |settings| settings.size);
            SIZE.store(size, Relaxed);
            size
        }
        size => size,
    }
}

/// One thread's arena. Atomics are written by the owner alone and read by `stats`.
struct Record {
    base: NonNull<u8>,
    capacity: usize,
    offset: Cell<usize>,
    /// Scopes that are open; only the innermost may bump.
    depth: Cell<u32>,
    used: AtomicUsize,
    peak: AtomicUsize,
    overflows: AtomicU64,
}

/// Overflows of threads that have ended or could have no arena.
static ENDED_OVERFLOWS: AtomicU64 = AtomicU64::new(0);

struct Entry(*const Record);
// SAFETY: through an entry only atomics and the constant capacity are read, under the registry's
// lock, which the owner takes before it frees the record.
unsafe impl Send for Entry {}
static REGISTRY: Lock<Vec<Entry>> = Lock::new(Vec::new());

fn registry() -> Guard<'static, Vec<Entry>> {
    REGISTRY.lock()
}

thread_local! {
    // Without a destructor, so that opening a scope pays for no registration.
    static RECORD: Cell<*const Record> = const { Cell::new(std::ptr::null()) };
    static SETTLED: Cell<bool> = const { Cell::new(false) };
    static END: End = const { End };
}

/// Frees the arena when its thread ends.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        let record = RECORD.replace(std::ptr::null());
        if !record.is_null() {
            let mut registry = registry();
            registry.retain(|entry| !std::ptr::eq(entry.0, record));
            // SAFETY: made by `Box::into_raw`; this thread's pointer and the registry's entry are gone,
            // and no scope is open when a thread's values are destroyed.
            unsafe { free_record(record) };
        }
    }
}

/// # Safety
/// `record` came from `Box::into_raw` and nothing refers to it or its memory any more.
unsafe fn free_record(record: *const Record) {
    // SAFETY: the caller's promise.
    let record = unsafe { Box::from_raw(record.cast_mut()) };
    ENDED_OVERFLOWS.fetch_add(record.overflows.load(Relaxed), Relaxed);
    // SAFETY: the arena's own mapping, of this length.
    unsafe { unmap(record.base, record.capacity) };
}

/// Makes this thread's arena; null where the system refuses memory or the thread is ending.
#[cold]
fn make_record() -> *const Record {
    if SETTLED.replace(true) || END.try_with(|_| ()).is_err() {
        return std::ptr::null();
    }
    let Some(capacity) = round_up(size(), page_size()) else { return std::ptr::null() };
    let Some(base) = map(capacity, page_size()) else {
        // Every scope overflows until memory is there again.
        SETTLED.set(false);
        return std::ptr::null();
    };
    let record = Record {
        base,
        capacity,
        offset: Cell::new(0),
        depth: Cell::new(0),
        used: AtomicUsize::new(0),
        peak: AtomicUsize::new(0),
        overflows: AtomicU64::new(0),
    };
    let record: *const Record = Box::into_raw(Box::new(record));
    registry().push(Entry(record));
    RECORD.set(record);
    record
}

/// A scope of the calling thread's arena, open for as long as [`with_arena`] runs.
pub struct Arena {
    record: *const Record,
    /// Where the scope began.
    mark: usize,
    depth: u32,
    /// Scratch that did not fit.
    overflow: Cell<*mut Overflow>,
    overflow_bytes: Cell<usize>,
}

/// Header of a block that scratch overflowed into.
#[repr(C, align(64))]
struct Overflow {
    next: *mut Overflow,
    bytes: usize,
    /// Where the block came from; None for the pool.
    allocator: Option<&'static dyn Allocator>,
}
const HEADER: usize = size_of::<Overflow>();

/// Memory of a scope: 64-byte aligned, not initialised, given back when the scope ends.
#[derive(Clone, Copy)]
pub struct Scratch<'a> {
    at: NonNull<u8>,
    bytes: usize,
    scope: PhantomData<&'a Arena>,
}

impl Scratch<'_> {
    pub fn as_ptr(&self) -> *mut u8 {
        self.at.as_ptr()
    }

    /// Bytes that were asked for.
    pub fn len(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
}

/// Runs `f` with a scope of this thread's arena. Scopes nest, and each gives back what it took.
#[inline]
pub fn with_arena<R>(f: impl for<'a> FnOnce(&'a Arena) -> R) -> R {
    f(&Arena::open())
}

impl Arena {
    #[inline]
    fn open() -> Arena {
        let mut record = RECORD.get();
        if record.is_null() {
            record = make_record();
        }
        let (mut mark, mut depth) = (0, 0);
        // SAFETY: null or this thread's record, which lives until the thread ends.
        if let Some(record) = unsafe { record.as_ref() } {
            mark = record.offset.get();
            depth = record.depth.get() + 1;
            record.depth.set(depth);
        }
        Arena { record, mark, depth, overflow: Cell::new(std::ptr::null_mut()), overflow_bytes: Cell::new(0) }
    }

    /// Scratch of `bytes` bytes. Where even the pool has no memory, unwinds with an
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) as its payload, for whoever catches panics to raise.
    #[inline]
    pub fn scratch(&self, bytes: usize) -> Scratch<'_> {
        match self.try_scratch(bytes) {
            Some(scratch) => scratch,
            None => refuse(bytes),
        }
    }

    /// `count` counters at 0, which tiles may share.
    pub fn counters(&self, count: usize) -> &[AtomicUsize] {
        let bytes = count.saturating_mul(size_of::<AtomicUsize>());
        let at = self.scratch(bytes).as_ptr();
        // SAFETY: scratch of this many bytes, aligned to 64, which nothing else has while the scope is
        // open; zero bytes are counters at 0.
        unsafe {
            at.write_bytes(0, bytes);
            std::slice::from_raw_parts(at.cast(), count)
        }
    }

    /// Scratch of `bytes` bytes, or None where even the pool has no memory.
    #[inline]
    pub fn try_scratch(&self, bytes: usize) -> Option<Scratch<'_>> {
        // SAFETY: null or this thread's record, which lives until the thread ends.
        if let Some(record) = unsafe { self.record.as_ref() }
            // An outer scope must not bump above an inner one's mark, which the inner one resets to.
            && record.depth.get() == self.depth
            && let Some(needed) = round_up(bytes, ALIGN)
        {
            let offset = record.offset.get();
            if needed <= record.capacity - offset {
                record.offset.set(offset + needed);
                add_used(record, needed);
                // SAFETY: offset + needed <= capacity, so the block lies inside the mapping.
                let at = unsafe { record.base.add(offset) };
                return Some(Scratch { at, bytes, scope: PhantomData });
            }
        }
        self.overflow(bytes)
    }

    #[cold]
    #[inline(never)]
    fn overflow(&self, bytes: usize) -> Option<Scratch<'_>> {
        let whole = round_up(bytes, ALIGN)?.checked_add(HEADER)?;
        let allocator = allocator::installed();
        let block = match allocator {
            None => pool::allocate(whole)?,
            Some(allocator) => allocator.allocate(whole)?,
        };
        let header = block.cast::<Overflow>();
        // SAFETY: the block is ours, 64-byte aligned and longer than the header.
        let at = unsafe {
            header.write(Overflow { next: self.overflow.get(), bytes: whole, allocator });
            block.add(HEADER)
        };
        self.overflow.set(header.as_ptr());
        self.overflow_bytes.set(self.overflow_bytes.get() + (whole - HEADER));
        // SAFETY: null or this thread's record, which lives until the thread ends.
        match unsafe { self.record.as_ref() } {
            Some(record) => {
                record.overflows.store(record.overflows.load(Relaxed) + 1, Relaxed);
                add_used(record, whole - HEADER);
            }
            None => {
                ENDED_OVERFLOWS.fetch_add(1, Relaxed);
            }
        }
        Some(Scratch { at, bytes, scope: PhantomData })
    }
}

#[inline]
fn add_used(record: &Record, bytes: usize) {
    let used = record.used.load(Relaxed) + bytes;
    record.used.store(used, Relaxed);
    if used > record.peak.load(Relaxed) {
        record.peak.store(used, Relaxed);
    }
}

impl Drop for Arena {
    #[inline]
    fn drop(&mut self) {
        if !self.overflow.get().is_null() {
            self.free_overflow();
        }
        // SAFETY: null or this thread's record, which lives until the thread ends.
        if let Some(record) = unsafe { self.record.as_ref() } {
            let taken = record.offset.get() - self.mark + self.overflow_bytes.get();
            record.used.store(record.used.load(Relaxed) - taken, Relaxed);
            record.offset.set(self.mark);
            record.depth.set(self.depth - 1);
        }
    }
}

impl Arena {
    #[cold]
    fn free_overflow(&self) {
        let mut next = self.overflow.replace(std::ptr::null_mut());
        while let Some(header) = NonNull::new(next) {
            // SAFETY: `overflow` wrote the header into a block of that many bytes of that allocator;
            // scratch cannot outlive the scope that ends here.
            unsafe {
                let Overflow { next: following, bytes, allocator } = header.read();
                next = following;
                match allocator {
                    None => pool::release(header.cast(), bytes),
                    Some(allocator) => allocator.release(header.cast(), bytes),
                }
            }
        }
    }
}

/// What the arenas hold, summed over all threads.
pub fn stats() -> Stats {
    let mut stats = Stats { used: 0, capacity: 0, peak: 0, overflows: 0 };
    let registry = registry();
    for entry in registry.iter() {
        // SAFETY: a registered record lives, and its owner takes this lock before it frees it.
        let record = unsafe { &*entry.0 };
        stats.used += record.used.load(Relaxed);
        stats.capacity += record.capacity;
        stats.peak += record.peak.load(Relaxed);
        stats.overflows += record.overflows.load(Relaxed);
    }
    stats.overflows += ENDED_OVERFLOWS.load(Relaxed);
    stats
}

/// Measures the most scratch that the calling thread holds from now on, what it holds already included.
pub(crate) struct Peak {
    /// The thread's peak so far, which holds again at the end if nothing exceeds it.
    before: usize,
    not_send: PhantomData<*const ()>,
}

impl Peak {
    pub fn begin() -> Peak {
        // SAFETY: null or this thread's record, which lives until the thread ends.
        let record = unsafe { RECORD.get().as_ref() };
        let before = record.map_or(0, |record| record.peak.swap(record.used.load(Relaxed), Relaxed));
        Peak { before, not_send: PhantomData }
    }

    pub fn reached(&self) -> usize {
        // SAFETY: as above.
        unsafe { RECORD.get().as_ref() }.map_or(0, |record| record.peak.load(Relaxed))
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        // SAFETY: as above.
        if let Some(record) = unsafe { RECORD.get().as_ref() } {
            record.peak.store(record.peak.load(Relaxed).max(self.before), Relaxed);
        }
    }
}

struct ForkCell(UnsafeCell<Option<Guard<'static, Vec<Entry>>>>);
// SAFETY: touched by the forking thread alone, between taking the registry's lock and dropping it.
unsafe impl Sync for ForkCell {}
static HELD: ForkCell = ForkCell(UnsafeCell::new(None));
static HOLDING: AtomicBool = AtomicBool::new(false);

/// Takes the registry's lock.
pub(crate) fn before_fork() {
    let guard = registry();
    // SAFETY: the lock just taken keeps other forking threads out.
    unsafe { *HELD.0.get() = Some(guard) };
    HOLDING.store(true, Relaxed);
}

/// Releases the lock; in the child, frees the arenas of the threads that do not exist there.
pub(crate) fn after_fork(child: bool) {
    if !HOLDING.swap(false, Relaxed) {
        return;
    }
    // SAFETY: this thread took the lock in `before_fork` and still holds it.
    let held = unsafe { (*HELD.0.get()).take() };
    let Some(mut registry) = held else { return };
    if child {
        let own = RECORD.get();
        registry.retain(|entry| {
            let keep = std::ptr::eq(entry.0, own);
            if !keep {
                // SAFETY: the owner does not exist in this process, and nobody else keeps scratch of its arena.
                unsafe { free_record(entry.0) };
            }
            keep
        });
    }
}
