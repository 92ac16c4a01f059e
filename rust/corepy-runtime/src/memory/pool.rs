//! The pool: a size-class cache of 64-byte-aligned blocks that tensor data lives in.
//!
//! A block of at most 128 KiB is carved from a chunk of 1 MiB; a larger one is a mapping of its own,
//! with huge pages advised from 2 MiB on. A freed block of at most 32 KiB goes to the front, a short
//! list per class that belongs to the thread and takes no lock; others, and what overflows, go to
//! the back, which all threads share.
//!
//! The limit holds for everything free that the pool could give back: each front reserves its
//! full budget out of it (a thread that finds no budget left has no front), large blocks that no
//! longer fit push the least recently used ones out, and a chunk without a live block is unmapped
//! when it does not fit. Free blocks of a chunk that also has live ones cannot be given back.

use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicBool, AtomicIsize, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};

use super::size_classes::{
    CAPACITIES, FRONT_BUDGET, FRONT_CLASSES, FRONT_MAX, LARGE_CLASSES, SIZES, SMALL_CLASSES, SMALL_MAX,
    large_class_size, large_size, small_class, small_size,
};
use super::{HUGE_PAGE, advise_huge, bytes_setting, limits, map, page_size, unmap};
use crate::error::Result;
use crate::lock::{Guard, Lock};
use crate::scheduler::{cgroup, fork};

/// Chunks are this long and aligned to it, so that a block's address gives its chunk.
const CHUNK: usize = 1 << 20;
/// Room for the chunk's header, before its first block.
const CHUNK_HEADER: usize = 64;
/// A thread's change of `in_use` is published when it exceeds this, so that a small allocation
/// writes to memory of its own thread only; `peak` is exact to this much for each thread.
const FOLD: isize = 64 << 10;

/// What the pool holds, in bytes of blocks, which are up to a quarter larger than the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of the blocks that are allocated now.
    pub in_use: usize,
    /// Bytes of free blocks kept for reuse.
    pub cached: usize,
    /// The most that `in_use` has been.
    pub peak: usize,
    /// Bytes that may be cached.
    pub limit: usize,
    /// Mappings that are alive: chunks and large blocks.
    pub mappings: usize,
    /// Page faults that the reuse of large blocks has spared.
    pub faults_saved: u64,
}

/// What the environment sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of free blocks kept for reuse.
    pub limit: usize,
}

static CACHED: AtomicUsize = AtomicUsize::new(0); // free blocks in the back
static RESERVED: AtomicUsize = AtomicUsize::new(0); // budgets of the fronts
static USED: AtomicIsize = AtomicIsize::new(0); // published part of in_use
static PEAK: AtomicUsize = AtomicUsize::new(0);
static MAPPINGS: AtomicUsize = AtomicUsize::new(0);
static FAULTS_SAVED: AtomicU64 = AtomicU64::new(0);

/// Reads the settings again from the environment, and says what is wrong with them.
pub fn settings() -> Result<Settings> {
    Ok(Settings { limit: read_limit()? })
}

fn read_limit() -> Result<usize> {
    const VALID: &str = "a number of bytes, with K, M or G after it if need be (0 keeps nothing)";
    Ok(bytes_setting("COREPY_POOL_LIMIT", |_| true, VALID)?.unwrap_or_else(default_limit))
}

fn default_limit() -> usize {
    let memory = cgroup::memory_limit();
    usize::try_from(memory / 8).unwrap_or(usize::MAX).min(1 << 30)
}

/// The limit in force. Threads that race here compute the same value, so none waits for another:
/// a fork can then never leave the child with an initialisation that nobody finishes.
fn limit() -> usize {
    static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
    match LIMIT.load(Relaxed) {
        usize::MAX => {
            fork::register();
            let limit = read_limit().unwrap_or_else(|_| default_limit());
            LIMIT.store(limit, Relaxed);
            limit
        }
        limit => limit,
    }
}

/// A free block; the link lives in the block itself.
struct Block {
    next: *mut Block,
}

// ---------------------------------------------------------------------------------------------
// The front

struct List {
    head: Cell<*mut Block>,
    // Atomic so that `stats` may read it from another thread; written by the owner alone.
    count: AtomicU32,
}

struct Front {
    lists: [List; FRONT_CLASSES],
    /// The part of `in_use` that is not yet published; negative where this thread frees what others allocated.
    used: AtomicIsize,
}

/// Whether this thread has a front: not asked yet, yes or refused, or given back for good.
const UNKNOWN: u8 = 0;
const SETTLED: u8 = 1;

thread_local! {
    // Without a destructor, so that the hot path pays for no registration.
    static FRONT: Cell<*const Front> = const { Cell::new(std::ptr::null()) };
    static FRONT_STATE: Cell<u8> = const { Cell::new(UNKNOWN) };
    static FRONT_END: FrontEnd = const { FrontEnd };
}

/// Gives the front back when its thread ends.
struct FrontEnd;

impl Drop for FrontEnd {
    fn drop(&mut self) {
        let front = FRONT.replace(std::ptr::null());
        if front.is_null() {
            return;
        }
        let mut registry = registry();
        registry.retain(|entry| !std::ptr::eq(entry.0, front));
        // SAFETY: the front was made by `Box::into_raw`; this thread's pointer and the registry's
        // entry, the only ways to it, are gone.
        let front = unsafe { Box::from_raw(front.cast_mut()) };
        // Under the lock, so that `stats` never misses what is on its way.
        flush(&front);
        publish(front.used.load(Relaxed));
        RESERVED.fetch_sub(FRONT_BUDGET, Relaxed);
    }
}

struct Entry(*const Front);
// SAFETY: through an entry only the atomics of a front are read, under the registry's lock, which
// the owner takes before it frees the front.
unsafe impl Send for Entry {}

static REGISTRY: Lock<Vec<Entry>> = Lock::new(Vec::new());

fn registry() -> Guard<'static, Vec<Entry>> {
    REGISTRY.lock()
}

/// This thread's front, made on first use; None where the limit leaves no room or the thread ends.
fn front() -> Option<&'static Front> {
    let current = FRONT.get();
    if current.is_null() && FRONT_STATE.get() == UNKNOWN {
        FRONT_STATE.set(SETTLED);
        return make_front();
    }
    // SAFETY: the pointer is null or this thread's front, which lives until the thread ends; nothing
    // keeps the reference for longer than one call into the pool.
    unsafe { current.as_ref() }
}

#[cold]
fn make_front() -> Option<&'static Front> {
    // Fronts take at most half of the limit, so that the back keeps some.
    let room = limit() / 2;
    RESERVED
        .fetch_update(Relaxed, Relaxed, |reserved| {
            reserved.checked_add(FRONT_BUDGET).filter(|&sum| sum <= room)
        })
        .ok()?;
    if FRONT_END.try_with(|_| ()).is_err() {
        RESERVED.fetch_sub(FRONT_BUDGET, Relaxed);
        return None;
    }
    let lists =
        [const { List { head: Cell::new(std::ptr::null_mut()), count: AtomicU32::new(0) } }; FRONT_CLASSES];
    let made: *const Front = Box::into_raw(Box::new(Front { lists, used: AtomicIsize::new(0) }));
    registry().push(Entry(made));
    FRONT.set(made);
    // SAFETY: as in `front`.
    unsafe { made.as_ref() }
}

impl List {
    fn pop(&self) -> Option<NonNull<Block>> {
        let block = NonNull::new(self.head.get())?;
        // SAFETY: a block on the list is free, and its first bytes hold the link that `push` wrote.
        self.head.set(unsafe { (*block.as_ptr()).next });
        self.count.store(self.count.load(Relaxed).wrapping_sub(1), Relaxed);
        Some(block)
    }

    fn push(&self, block: NonNull<Block>) {
        // SAFETY: the caller gives a free block of at least 64 bytes.
        unsafe { (*block.as_ptr()).next = self.head.get() };
        self.head.set(block.as_ptr());
        self.count.store(self.count.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// Publishes a change of `in_use`.
fn publish(change: isize) {
    let now = USED.fetch_add(change, Relaxed).wrapping_add(change);
    if change > 0 {
        PEAK.fetch_max(usize::try_from(now).unwrap_or(0), Relaxed);
    }
}

/// Counts a small block in or out.
#[inline]
fn count(front: &Front, change: isize) {
    let used = front.used.load(Relaxed).wrapping_add(change);
    if used.unsigned_abs() > FOLD as usize {
        front.used.store(0, Relaxed);
        publish(used);
    } else {
        front.used.store(used, Relaxed);
    }
}

/// Moves every block of a front to the back.
fn flush(front: &Front) {
    for (class, list) in front.lists.iter().enumerate() {
        if !list.head.get().is_null() {
            give_small(class, std::iter::from_fn(|| list.pop()));
        }
    }
}

// ---------------------------------------------------------------------------------------------
// The back, small blocks

/// Header of a chunk. A chunk is on its class's list while it has a block to give.
#[repr(C)]
struct Chunk {
    next: *mut Chunk,
    previous: *mut Chunk,
    free: *mut Block,
    live: u32,   // blocks given out: in use or in a front
    carved: u32, // blocks that have been given out at least once
}
const _: () = assert!(size_of::<Chunk>() <= CHUNK_HEADER);

#[repr(align(64))]
struct SmallBack {
    head: *mut Chunk,
    tail: *mut Chunk,
}
// SAFETY: the chunks that the pointers lead to are reached under the class's lock only.
unsafe impl Send for SmallBack {}

static SMALL: [Lock<SmallBack>; SMALL_CLASSES] =
    [const { Lock::new(SmallBack { head: std::ptr::null_mut(), tail: std::ptr::null_mut() }) };
        SMALL_CLASSES];

impl SmallBack {
    const fn capacity(size: usize) -> u32 {
        ((CHUNK - CHUNK_HEADER) / size) as u32
    }

    /// # Safety
    /// `chunk` is a chunk of this class that is on no list.
    unsafe fn link(&mut self, chunk: *mut Chunk, at_head: bool) {
        // SAFETY: the caller's promise; neighbours are chunks of this class under the same lock.
        unsafe {
            let (previous, next) =
                if at_head { (std::ptr::null_mut(), self.head) } else { (self.tail, std::ptr::null_mut()) };
            (*chunk).previous = previous;
            (*chunk).next = next;
            if previous.is_null() {
                self.head = chunk
            } else {
                (*previous).next = chunk
            }
            if next.is_null() { self.tail = chunk } else { (*next).previous = chunk }
        }
    }

    /// # Safety
    /// `chunk` is on this list.
    unsafe fn unlink(&mut self, chunk: *mut Chunk) {
        // SAFETY: the caller's promise; neighbours are chunks of this class under the same lock.
        unsafe {
            let (previous, next) = ((*chunk).previous, (*chunk).next);
            if previous.is_null() {
                self.head = next
            } else {
                (*previous).next = next
            }
            if next.is_null() { self.tail = previous } else { (*next).previous = previous }
        }
    }

    fn take(&mut self, size: usize) -> Option<NonNull<Block>> {
        if self.head.is_null() {
            let chunk = map(CHUNK, CHUNK)?.cast::<Chunk>().as_ptr();
            MAPPINGS.fetch_add(1, Relaxed);
            // SAFETY: a fresh mapping, zeroed, which is a valid empty header.
            unsafe { self.link(chunk, true) };
        }
        let chunk = self.head;
        // SAFETY: a chunk on the list has a free or an uncarved block, which lies inside the chunk.
        unsafe {
            let block = if (*chunk).free.is_null() {
                let offset = CHUNK_HEADER + (*chunk).carved as usize * size;
                (*chunk).carved += 1;
                chunk.cast::<u8>().add(offset).cast::<Block>()
            } else {
                let block = (*chunk).free;
                (*chunk).free = (*block).next;
                CACHED.fetch_sub(size, Relaxed);
                block
            };
            (*chunk).live += 1;
            if (*chunk).live == Self::capacity(size) {
                self.unlink(chunk);
            }
            NonNull::new(block)
        }
    }

    /// Takes a block back; the chunk to unmap, where that leaves one that the limit has no room for.
    ///
    /// # Safety
    /// `block` was given out by this class and nothing refers to it any more.
    unsafe fn give(&mut self, block: NonNull<Block>, size: usize, limit: usize) -> Option<NonNull<u8>> {
        let chunk = block.as_ptr().map_addr(|at| at & !(CHUNK - 1)).cast::<Chunk>();
        // SAFETY: chunks are aligned to their length, so the masked address is the block's chunk.
        unsafe {
            (*block.as_ptr()).next = (*chunk).free;
            (*chunk).free = block.as_ptr();
            let cached = CACHED.fetch_add(size, Relaxed).wrapping_add(size);
            if (*chunk).live == Self::capacity(size) {
                self.link(chunk, true);
            }
            (*chunk).live -= 1;
            if (*chunk).live > 0 {
                return None;
            }
            self.unlink(chunk);
            if cached.saturating_add(RESERVED.load(Relaxed)) > limit {
                CACHED.fetch_sub((*chunk).carved as usize * size, Relaxed);
                return NonNull::new(chunk.cast());
            }
            // Empty chunks are used last, so that they stay whole.
            self.link(chunk, false);
            None
        }
    }

    /// Takes the empty chunks off the list, linked through `next`.
    fn take_empty(&mut self, size: usize) -> *mut Chunk {
        let mut empty = std::ptr::null_mut();
        let mut chunk = self.head;
        while !chunk.is_null() {
            // SAFETY: the list holds chunks of this class; an empty one is reached by nobody else.
            unsafe {
                let next = (*chunk).next;
                if (*chunk).live == 0 {
                    self.unlink(chunk);
                    CACHED.fetch_sub((*chunk).carved as usize * size, Relaxed);
                    (*chunk).next = empty;
                    empty = chunk;
                }
                chunk = next;
            }
        }
        empty
    }
}

fn small(class: usize) -> Guard<'static, SmallBack> {
    SMALL[class].lock()
}

fn give_small(class: usize, blocks: impl Iterator<Item = NonNull<Block>>) {
    let (size, limit) = (small_size(class), limit());
    let mut back = small(class);
    for block in blocks {
        // SAFETY: blocks of a front, or released by the user, are of this class and free.
        if let Some(chunk) = unsafe { back.give(block, size, limit) } {
            MAPPINGS.fetch_sub(1, Relaxed);
            // SAFETY: the chunk is off the list and none of its blocks is live.
            unsafe { unmap(chunk, CHUNK) };
        }
    }
}

// ---------------------------------------------------------------------------------------------
// The back, large blocks

/// A free block, in the block itself: free memory needs no other, whatever the Rust heap has left.
struct Free {
    newer: *mut Free,
    older: *mut Free,
    /// When it came; in a block that is on its way out, its length.
    since: u64,
}

/// Free blocks of a class.
#[derive(Clone, Copy)]
struct Class {
    newest: *mut Free,
    oldest: *mut Free,
}

struct Large {
    classes: [Class; LARGE_CLASSES],
    clock: u64,
}
// SAFETY: the blocks are free and owned by the list.
unsafe impl Send for Large {}

static LARGE: Lock<Large> = Lock::new(Large {
    classes: [Class { newest: std::ptr::null_mut(), oldest: std::ptr::null_mut() }; LARGE_CLASSES],
    clock: 0,
});

fn large() -> Guard<'static, Large> {
    LARGE.lock()
}

impl Class {
    /// # Safety
    /// The block is free, of this class and on no list.
    unsafe fn push(&mut self, block: NonNull<Free>, since: u64) {
        let free = Free { newer: std::ptr::null_mut(), older: self.newest, since };
        // SAFETY: the caller's promise; blocks on the list are free, and hold their links.
        unsafe {
            block.write(free);
            match self.newest.as_mut() {
                Some(newest) => newest.newer = block.as_ptr(),
                None => self.oldest = block.as_ptr(),
            }
        }
        self.newest = block.as_ptr();
    }

    /// What came last.
    fn pop(&mut self) -> Option<NonNull<Free>> {
        let block = NonNull::new(self.newest)?;
        // SAFETY: blocks on the list are free, and hold their links.
        unsafe {
            self.newest = block.read().older;
            match self.newest.as_mut() {
                Some(newest) => newest.newer = std::ptr::null_mut(),
                None => self.oldest = std::ptr::null_mut(),
            }
        }
        Some(block)
    }

    /// What came first.
    fn pop_oldest(&mut self) -> Option<NonNull<Free>> {
        let block = NonNull::new(self.oldest)?;
        // SAFETY: blocks on the list are free, and hold their links.
        unsafe {
            self.oldest = block.read().newer;
            match self.oldest.as_mut() {
                Some(oldest) => oldest.older = std::ptr::null_mut(),
                None => self.newest = std::ptr::null_mut(),
            }
        }
        Some(block)
    }
}

impl Large {
    /// Takes the block that has been free for longest.
    fn evict(&mut self) -> Option<(NonNull<Free>, usize)> {
        let oldest = |class: &Class| {
            // SAFETY: null, or a block on the list, which holds its links.
            unsafe { class.oldest.as_ref() }.map_or(u64::MAX, |block| block.since)
        };
        let number = (0..LARGE_CLASSES).min_by_key(|&number| oldest(&self.classes[number]))?;
        let block = self.classes[number].pop_oldest()?;
        let size = large_class_size(number);
        CACHED.fetch_sub(size, Relaxed);
        Some((block, size))
    }
}

fn unmap_large(block: NonNull<u8>, size: usize) {
    MAPPINGS.fetch_sub(1, Relaxed);
    // SAFETY: every caller owns the block: it came from the user's release or off the free list.
    unsafe { unmap(block, size) };
}

fn allocate_large(bytes: usize) -> Option<NonNull<u8>> {
    let (size, class) = large_size(bytes, limit())?;
    let reused = class.and_then(|class| large().classes[class].pop());
    let block = match reused {
        Some(block) => {
            CACHED.fetch_sub(size, Relaxed);
            FAULTS_SAVED.fetch_add(faults(size), Relaxed);
            block.cast()
        }
        None => {
            let align = if size >= HUGE_PAGE { HUGE_PAGE } else { page_size() };
            let fresh = || if limits::fits(size) { map(size, align) } else { None };
            let block = fresh().or_else(|| {
                trim();
                fresh()
            })?;
            MAPPINGS.fetch_add(1, Relaxed);
            if size >= HUGE_PAGE {
                advise_huge(block, size);
            }
            block
        }
    };
    publish(size as isize);
    Some(block)
}

/// Page faults that touching a fresh mapping would take.
fn faults(size: usize) -> u64 {
    const ASK: u8 = 0;
    const HUGE: u8 = 1;
    const PLAIN: u8 = 2;
    static PAGES: AtomicU8 = AtomicU8::new(ASK);
    if PAGES.load(Relaxed) == ASK {
        let enabled = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
        let huge = enabled.is_ok_and(|text| !text.contains("[never]"));
        PAGES.store(if huge { HUGE } else { PLAIN }, Relaxed);
    }
    let page = page_size();
    let (huge, rest) =
        if PAGES.load(Relaxed) == HUGE { (size / HUGE_PAGE, size % HUGE_PAGE) } else { (0, size) };
    (huge + rest.div_ceil(page)) as u64
}

fn release_large(block: NonNull<u8>, bytes: usize) {
    let limit = limit();
    let Some((size, class)) = large_size(bytes, limit) else { return };
    publish((size as isize).wrapping_neg());
    let Some(class) = class else { return unmap_large(block, size) };
    let mut back = large();
    back.clock += 1;
    let now = back.clock;
    // SAFETY: the user gives the block up; it is of this class.
    unsafe { back.classes[class].push(block.cast(), now) };
    let mut cached = CACHED.fetch_add(size, Relaxed).wrapping_add(size);
    // What was used last is the likeliest to be used next: the others go first.
    let mut evicted: *mut Free = std::ptr::null_mut();
    while cached.saturating_add(RESERVED.load(Relaxed)) > limit {
        let Some((block, size)) = back.evict() else { break };
        let free = Free { newer: evicted, older: std::ptr::null_mut(), since: size as u64 };
        // SAFETY: the block is off the list, and nobody else has it.
        unsafe { block.write(free) };
        evicted = block.as_ptr();
        cached = CACHED.load(Relaxed);
    }
    // Unmapping takes long: others need not wait for it.
    drop(back);
    while let Some(block) = NonNull::new(evicted) {
        // SAFETY: linked above.
        let Free { newer, since, .. } = unsafe { block.read() };
        evicted = newer;
        unmap_large(block.cast(), since as usize);
    }
}

// ---------------------------------------------------------------------------------------------
// What users call

/// A block of at least `bytes` bytes, aligned to 64, not initialised; None when the system refuses.
#[inline]
pub fn allocate(bytes: usize) -> Option<NonNull<u8>> {
    if bytes <= FRONT_MAX {
        let class = small_class(bytes);
        // SAFETY: the pointer is null or this thread's front.
        if let Some(front) = unsafe { FRONT.get().as_ref() }
            && let Some(block) = front.lists[class].pop()
        {
            count(front, SIZES[class] as isize);
            return Some(block.cast());
        }
    }
    allocate_from_back(bytes)
}

#[cold]
#[inline(never)]
fn allocate_from_back(bytes: usize) -> Option<NonNull<u8>> {
    if bytes > SMALL_MAX {
        return allocate_large(bytes);
    }
    let class = small_class(bytes);
    let size = small_size(class);
    limit(); // settles the environment and the fork handlers before the first lock
    let front = if bytes <= FRONT_MAX { front() } else { None };
    let take = || {
        let mut back = small(class);
        let block = back.take(size)?;
        if let Some(front) = front {
            // Half the front at once, from chunks that exist: the lock is then taken rarely, and
            // blocks go straight back when they are freed.
            for _ in 1..CAPACITIES[class] / 2 {
                if back.head.is_null() {
                    break;
                }
                match back.take(size) {
                    Some(more) => front.lists[class].push(more),
                    None => break,
                }
            }
        }
        Some(block)
    };
    let block = take().or_else(|| {
        trim();
        take()
    })?;
    match front {
        Some(front) => count(front, size as isize),
        None => publish(size as isize),
    }
    Some(block.cast())
}

/// Gives a block back; any thread may.
///
/// # Safety
/// `block` came from [`allocate`] with the same `bytes`, is released once, and is not used after.
#[inline]
pub unsafe fn release(block: NonNull<u8>, bytes: usize) {
    if bytes <= FRONT_MAX {
        let class = small_class(bytes);
        // SAFETY: the pointer is null or this thread's front.
        if let Some(front) = unsafe { FRONT.get().as_ref() } {
            let list = &front.lists[class];
            if list.count.load(Relaxed) < CAPACITIES[class] {
                list.push(block.cast());
                count(front, -(SIZES[class] as isize));
                return;
            }
        }
    }
    release_to_back(block, bytes);
}

#[cold]
#[inline(never)]
fn release_to_back(block: NonNull<u8>, bytes: usize) {
    if bytes > SMALL_MAX {
        return release_large(block, bytes);
    }
    let class = small_class(bytes);
    let size = small_size(class);
    let front = if bytes <= FRONT_MAX { front() } else { None };
    match front {
        Some(front) => {
            // Half of a full front goes to the back, so that a thread that only frees takes the
            // lock rarely too.
            let list = &front.lists[class];
            if list.count.load(Relaxed) >= CAPACITIES[class] {
                let mut surplus = CAPACITIES[class].div_ceil(2);
                give_small(
                    class,
                    std::iter::from_fn(|| {
                        surplus = surplus.checked_sub(1)?;
                        list.pop()
                    }),
                );
            }
            list.push(block.cast());
            count(front, -(size as isize));
        }
        None => {
            give_small(class, std::iter::once(block.cast()));
            publish(-(size as isize));
        }
    }
}

/// Gives what is cached back to the system and says how many bytes that were: the large blocks, the
/// chunks without a live block, the calling thread's front. Fronts of other threads stay.
pub fn trim() -> usize {
    let before = CACHED.load(Relaxed);
    let mut flushed = 0;
    // SAFETY: the pointer is null or this thread's front.
    if let Some(front) = unsafe { FRONT.get().as_ref() } {
        flushed = front_bytes(front);
        flush(front);
    }
    for class in 0..SMALL_CLASSES {
        let mut chunk = small(class).take_empty(small_size(class));
        while let Some(empty) = NonNull::new(chunk) {
            MAPPINGS.fetch_sub(1, Relaxed);
            // SAFETY: `take_empty` took the chunk off the list; none of its blocks is live.
            unsafe {
                chunk = (*chunk).next;
                unmap(empty.cast(), CHUNK);
            }
        }
    }
    loop {
        let Some((block, size)) = large().evict() else { break };
        unmap_large(block.cast(), size);
    }
    (before + flushed).saturating_sub(CACHED.load(Relaxed))
}

fn front_bytes(front: &Front) -> usize {
    front
        .lists
        .iter()
        .zip(&SIZES)
        .map(|(list, &size)| list.count.load(Relaxed) as usize * size as usize)
        .sum()
}

/// What the pool holds now. While other threads allocate, the numbers are near one moment, not of one.
pub fn stats() -> Stats {
    let registry = registry();
    let mut used = USED.load(Relaxed);
    let mut cached = CACHED.load(Relaxed);
    for entry in registry.iter() {
        // SAFETY: a front that is registered lives, and its owner takes this lock before it ends.
        let front = unsafe { &*entry.0 };
        used = used.wrapping_add(front.used.load(Relaxed));
        cached = cached.wrapping_add(front_bytes(front));
    }
    drop(registry);
    let in_use = usize::try_from(used).unwrap_or(0);
    let peak = PEAK.fetch_max(in_use, Relaxed).max(in_use);
    Stats {
        in_use,
        cached,
        peak,
        limit: limit(),
        mappings: MAPPINGS.load(Relaxed),
        faults_saved: FAULTS_SAVED.load(Relaxed),
    }
}

// ---------------------------------------------------------------------------------------------
// Fork

/// The locks of the pool in the order they are taken: fronts, small classes rising, large.
struct Held {
    registry: Guard<'static, Vec<Entry>>,
    _small: [Guard<'static, SmallBack>; SMALL_CLASSES],
    _large: Guard<'static, Large>,
}

struct ForkCell(UnsafeCell<Option<Held>>);
// SAFETY: touched by the forking thread alone, between taking the registry's lock and dropping it.
unsafe impl Sync for ForkCell {}
static HELD: ForkCell = ForkCell(UnsafeCell::new(None));
static HOLDING: AtomicBool = AtomicBool::new(false);

/// Takes every lock of the pool, so that no list is half changed in the child.
pub(crate) fn before_fork() {
    let registry = registry();
    let held = Held { registry, _small: std::array::from_fn(small), _large: large() };
    // SAFETY: the locks just taken keep other forking threads out.
    unsafe { *HELD.0.get() = Some(held) };
    HOLDING.store(true, Relaxed);
}

/// Releases the locks; in the child, forgets the fronts of the threads that do not exist there.
pub(crate) fn after_fork(child: bool) {
    if !HOLDING.swap(false, Relaxed) {
        return;
    }
    // SAFETY: this thread took the locks in `before_fork` and still holds them.
    let held = unsafe { (*HELD.0.get()).take() };
    let Some(mut held) = held else { return };
    if child {
        let own = FRONT.get();
        held.registry.retain(|entry| {
            if std::ptr::eq(entry.0, own) {
                return true;
            }
            // The owner may have been in the middle of a change, so its blocks are left where they are.
            // SAFETY: fronts in the registry live; only the atomic is read.
            publish(unsafe { (*entry.0).used.load(Relaxed) });
            RESERVED.fetch_sub(FRONT_BUDGET, Relaxed);
            false
        });
    }
}
