//! Reference-counted memory of tensors: a block of the pool or of another allocator, or memory that
//! somebody else owns.

use crate::memory::allocator::{self, Allocator};
use crate::memory::pool;
use std::any::Any;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

/// Bytes of the header in front of a pool block's data: a cache line, so that data stays aligned.
const HEADER: usize = 64;

enum Owner {
    /// The header is the start of a pool block of this many bytes.
    Pool { block_bytes: usize },
    /// The data are a block of this allocator; the header is a block of the pool of its own.
    Allocator(&'static dyn Allocator),
    /// The header is a box of its own; dropping the guard lets the memory go.
    Imported { _guard: Box<dyn Any + Send + Sync>, name: String },
}

#[repr(align(64))]
struct Header {
    count: AtomicUsize,
    data: *mut u8,
    bytes: usize,
    owner: Owner,
}

/// A shared handle to the memory behind one or more tensors.
pub struct Storage(NonNull<Header>);

// SAFETY: the count is atomic, the guard is Send + Sync, and element memory is only ever reached
// through raw pointers by code that makes no assumption about its contents.
unsafe impl Send for Storage {}
// SAFETY: as above; no method hands out a reference to element memory.
unsafe impl Sync for Storage {}

const _: () = assert!(size_of::<Header>() <= HEADER && align_of::<Header>() == HEADER);

impl Storage {
    /// Memory for `bytes` bytes from the pool or the allocator that is installed in its place, or
    /// `None` when memory is exhausted.
    #[inline]
    pub fn allocate(bytes: usize) -> Option<Storage> {
        if let Some(allocator) = allocator::installed() {
            return Storage::allocate_from(allocator, bytes);
        }
        let block_bytes = bytes.checked_add(HEADER)?;
        let block = pool::allocate(block_bytes)?;
        let header = block.cast::<Header>();
        // SAFETY: the block is at least HEADER bytes, aligned to 64, and nobody else has it.
        unsafe {
            header.write(Header {
                count: AtomicUsize::new(1),
                data: block.as_ptr().add(HEADER),
                bytes,
                owner: Owner::Pool { block_bytes },
            });
        }
        Some(Storage(header))
    }

    /// `bytes` bytes of an allocator's memory, which may be one that the processor cannot reach.
    #[cold]
    pub fn allocate_from(allocator: &'static dyn Allocator, bytes: usize) -> Option<Storage> {
        let header = pool::allocate(HEADER)?;
        let Some(data) = allocator.allocate(bytes) else {
            // SAFETY: allocated above with this size.
            unsafe { pool::release(header, HEADER) };
            return None;
        };
        let header = header.cast::<Header>();
        let owner = Owner::Allocator(allocator);
        // SAFETY: the block is HEADER bytes, aligned to 64, and nobody else has it.
        unsafe { header.write(Header { count: AtomicUsize::new(1), data: data.as_ptr(), bytes, owner }) };
        Some(Storage(header))
    }

    /// Memory that lives as long as `guard`; `name` says in messages whose it is.
    pub fn import(data: *mut u8, bytes: usize, guard: Box<dyn Any + Send + Sync>, name: String) -> Storage {
        let header = Box::new(Header {
            count: AtomicUsize::new(1),
            data,
            bytes,
            owner: Owner::Imported { _guard: guard, name },
        });
        Storage(NonNull::from(Box::leak(header)))
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the header lives as long as any handle; only its count is ever changed.
        unsafe { self.0.as_ref() }
    }

    /// First byte of the memory.
    #[inline]
    pub fn data(&self) -> *mut u8 {
        self.header().data
    }

    /// How many bytes the memory has.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.header().bytes
    }

    /// Whose memory it is, for messages.
    pub fn owner(&self) -> &str {
        match &self.header().owner {
            Owner::Pool { .. } | Owner::Allocator(_) => "corepy",
            Owner::Imported { name, .. } => name,
        }
    }

    /// How many handles there are.
    pub fn handles(&self) -> usize {
        self.header().count.load(Ordering::Relaxed)
    }
}

impl Clone for Storage {
    #[inline]
    fn clone(&self) -> Storage {
        // A handle exists, so the count cannot be at 0; order does not matter for an increment.
        self.header().count.fetch_add(1, Ordering::Relaxed);
        Storage(self.0)
    }
}

impl Drop for Storage {
    #[inline]
    fn drop(&mut self) {
        if self.header().count.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        fence(Ordering::Acquire);
        match self.header().owner {
            Owner::Pool { block_bytes } => {
                // SAFETY: the last handle is going; the block came from the pool with this size, and
                // a pool owner has nothing to drop.
                unsafe { pool::release(self.0.cast(), block_bytes) };
            }
            Owner::Allocator(allocator) => {
                let (data, bytes) = (NonNull::new(self.data()), self.bytes());
                // SAFETY: the last handle is going; both blocks came with these sizes from where they go.
                unsafe {
                    if let Some(data) = data {
                        allocator.release(data, bytes);
                    }
                    pool::release(self.0.cast(), HEADER);
                }
            }
            Owner::Imported { .. } => {
                // SAFETY: the last handle is going, and the header came from Box::leak.
                drop(unsafe { Box::from_raw(self.0.as_ptr()) });
            }
        }
    }
}
