//! Arguments in memory that tells when something beside them is touched: pages that nobody may read or write lie
//! directly behind a buffer's last byte or before its first one, and every other byte around it is a canary.

use super::{Random, canonical, edges, values};
use corepy_runtime::backends::Argument;
use corepy_runtime::lock::Lock;
use corepy_runtime::memory::ALIGN;
use corepy_runtime::memory::allocator::{self, Allocator};
use corepy_runtime::memory::arena;
use corepy_runtime::program::{ArgumentKind, Mode, Program, Type};
use corepy_runtime::{Dims, Scalar, Storage, Tensor};
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// On which side of its elements a buffer has the page that nobody may touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    Below,
    Above,
}

/// Pages of which the first and the last one cannot be touched.
pub struct Pages {
    start: *mut u8,
    bytes: usize,
    page: usize,
}

// SAFETY: memory that the pages' owner shares as any other.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Room for `bytes` bytes.
    pub fn new(bytes: usize) -> Pages {
        // SAFETY: asks the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let bytes = bytes.next_multiple_of(page).max(page) + 2 * page;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, and the part of it that is to be used.
        let start = unsafe {
            let start = libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED, "no memory for a test");
            let access = libc::PROT_READ | libc::PROT_WRITE;
            assert_eq!(libc::mprotect(start.cast::<u8>().add(page).cast(), bytes - 2 * page, access), 0);
            start.cast()
        };
        Pages { start, bytes, page }
    }

    /// The first byte that may be touched.
    pub fn first(&self) -> *mut u8 {
        self.start.wrapping_add(self.page)
    }

    /// How many bytes may be touched.
    pub fn len(&self) -> usize {
        self.bytes - 2 * self.page
    }

    fn area(&self) -> &[u8] {
        // SAFETY: mapped and readable; tests look at it while nothing runs.
        unsafe { std::slice::from_raw_parts(self.first(), self.len()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping of `new`.
        unsafe { libc::munmap(self.start.cast(), self.bytes) };
    }
}

pub const CANARY: u8 = 0xa5;
/// Least bytes of canaries on the side that has no page of its own.
const SIDE: usize = 192;

/// A buffer and all bytes around it.
struct Region {
    pages: Arc<Pages>,
    /// The bytes before a launch.
    before: Vec<u8>,
    /// What lies in `elements` may change where the program stores; in gaps between elements nothing may.
    elements: Range<usize>,
    has_gaps: bool,
    tensor: Tensor,
    read_only: bool,
}

pub struct Guarded {
    pub arguments: Vec<Argument>,
    regions: Vec<Region>,
}

/// Shape of each buffer of a program that `generate` has made.
pub fn shapes(program: &Program, lanes: [i64; 3], random: &mut Random) -> Vec<Vec<i64>> {
    let shape = |name: &str, axes: usize, random: &mut Random| match (name.as_bytes()[0], axes) {
        (b'y', 1) => vec![lanes[0]],
        (b'y', _) => vec![lanes[2], lanes[1], lanes[0]],
        (b'w', _) => vec![lanes[0] + random.below(2) as i64],
        (_, axes) => (0..axes).map(|_| 1 + random.below(9) as i64).collect(),
    };
    program.buffers().iter().map(|b| shape(&b.name, b.axes, random)).collect()
}

/// Random values for every param.
pub fn numbers(program: &Program, random: &mut Random) -> Vec<Argument> {
    let number = |ty: Type, random: &mut Random| {
        let mut bytes = [0u8; 8];
        random.pick(&edges(ty)).store(ty, &mut bytes);
        Argument::Number(Scalar::new(ty.dtype(), &bytes))
    };
    program.params().iter().map(|p| number(p.ty, random)).collect()
}

impl Guarded {
    /// Tensors of these shapes with random values and layouts; what they hold does not depend on the edge.
    pub fn new(
        program: &Program,
        shapes: &[Vec<i64>],
        params: &[Argument],
        random: &mut Random,
        edge: Edge,
    ) -> Guarded {
        let mut regions: Vec<Region> = Vec::new();
        let mut argument = |kind: ArgumentKind| match kind {
            ArgumentKind::Param(i) => params[usize::from(i)].clone(),
            ArgumentKind::Buffer(i) => {
                let buffer = &program.buffers()[usize::from(i)];
                let read_only = buffer.mode == Mode::In;
                regions.push(region(buffer.ty, &shapes[usize::from(i)], read_only, random, edge));
                Argument::Tensor(regions.last().unwrap().tensor.clone())
            }
        };
        let arguments = program.arguments().iter().map(|&kind| argument(kind)).collect();
        Guarded { arguments, regions }
    }

    /// Everything is as it was before a launch.
    pub fn restore(&self) {
        for region in &self.regions {
            // SAFETY: the pages are as long as what was copied from them.
            unsafe { region.pages.first().copy_from(region.before.as_ptr(), region.before.len()) };
        }
    }

    /// Nothing has changed that is no element of a buffer, or of one that is only read.
    pub fn assert_untouched(&self, about: &dyn std::fmt::Debug) {
        for (number, region) in self.regions.iter().enumerate() {
            let Region { pages, before, elements, .. } = region;
            let now = pages.area();
            let (start, end) = (elements.start, elements.end);
            let outside = now[..start] == before[..start] && now[end..] == before[end..];
            assert!(outside, "{about:?}: bytes beside buffer {number} were written");
            if region.read_only {
                assert!(now == before, "{about:?}: buffer {number}, which is only read, was written");
            } else if region.has_gaps {
                let (mut now, item) = (now.to_vec(), region.tensor.itemsize());
                for place in offsets_from(&region.tensor, pages.first()) {
                    now[place..place + item].copy_from_slice(&before[place..place + item]);
                }
                assert!(now == *before, "{about:?}: bytes between elements of buffer {number} were written");
            }
        }
    }

    /// The bits of every element of every buffer, with one NaN for all.
    pub fn elements(&self, program: &Program) -> Vec<Vec<u64>> {
        let found = program.buffers().iter().zip(&self.regions);
        found
            .map(|(b, r)| values(b.ty, &r.tensor).into_iter().map(|v| canonical(v).bits()).collect())
            .collect()
    }
}

/// Strides of a layout, the place of the first element from the lowest byte, and the bytes that it spans.
fn layout(shape: &[i64], item: i64, random: &mut Random) -> (Vec<i64>, i64, i64) {
    let axes = shape.len();
    let mut order: Vec<usize> = (0..axes).rev().collect();
    let (turned, wide, back) = (random.chance(10), random.chance(10), random.chance(10));
    if turned {
        order.reverse();
    }
    let mut strides = vec![0; axes];
    let mut stride = if wide { 3 * item } else { item };
    for axis in order {
        strides[axis] = stride;
        stride *= shape[axis].max(1);
    }
    let last: i64 = shape.iter().zip(&strides).map(|(extent, stride)| (extent - 1).max(0) * stride).sum();
    let bytes = if shape.contains(&0) { 0 } else { last + item };
    if back {
        strides.iter_mut().for_each(|stride| *stride = -*stride);
    }
    (strides, if back { last } else { 0 }, bytes)
}

fn region(ty: Type, shape: &[i64], read_only: bool, random: &mut Random, edge: Edge) -> Region {
    let item = ty.bytes();
    let (strides, first, bytes) = layout(shape, item as i64, random);
    // A byte off the edge no element is aligned.
    let off = usize::from(random.chance(10));
    let pages = Arc::new(Pages::new(bytes as usize + SIDE + off));
    let start = match edge {
        Edge::Below => off,
        Edge::Above => pages.len() - bytes as usize - off,
    };
    // SAFETY: the pages' own bytes.
    unsafe { pages.first().write_bytes(CANARY, pages.len()) };
    let storage = Storage::import(pages.first(), pages.len(), Box::new(pages.clone()), "test".to_owned());
    let data = pages.first().wrapping_add(start + first as usize);
    // SAFETY: shape and strides address `bytes` bytes from `start` on, which the storage keeps.
    let tensor = unsafe {
        Tensor::from_parts(storage, data, ty.dtype(), Dims::new(shape), Dims::new(&strides), read_only)
    };
    let choices = edges(ty.in_register());
    let places = offsets_from(&tensor, pages.first());
    for &place in &places {
        let mut element = [0u8; 8];
        random.pick(&choices).store(ty, &mut element);
        // SAFETY: an element of the tensor, of any alignment.
        unsafe { pages.first().add(place).copy_from_nonoverlapping(element.as_ptr(), item) };
    }
    let has_gaps = places.len() * item < bytes as usize;
    let before = pages.area().to_vec();
    Region { pages, before, elements: start..start + bytes as usize, has_gaps, tensor, read_only }
}

fn offsets_from(tensor: &Tensor, from: *mut u8) -> Vec<usize> {
    super::places(tensor).map(|place| place.addr() - from.addr()).collect()
}

/// Memory each block of which ends, or begins, at a page that nobody may touch.
struct Walled;

static BLOCKS: Lock<Vec<(usize, Pages)>> = Lock::new(Vec::new());

impl Allocator for Walled {
    fn name(&self) -> &'static str {
        "walled"
    }

    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>> {
        let bytes = bytes.next_multiple_of(ALIGN);
        let pages = Pages::new(bytes);
        // SAFETY: the pages' own bytes; what nobody has written is no number that happens to be right.
        unsafe { pages.first().write_bytes(CANARY, pages.len()) };
        let mut blocks = BLOCKS.lock();
        let start = if blocks.len().is_multiple_of(2) { pages.len() - bytes } else { 0 };
        let block = NonNull::new(pages.first().wrapping_add(start))?;
        blocks.push((block.addr().get(), pages));
        Some(block)
    }

    unsafe fn release(&self, block: NonNull<u8>, bytes: usize) {
        let mut blocks = BLOCKS.lock();
        let place = blocks.iter().position(|(start, _)| *start == block.addr().get());
        let (start, pages) = blocks.swap_remove(place.expect("a block is released once"));
        let start = start - pages.first().addr();
        let end = start + bytes.next_multiple_of(ALIGN);
        let beside = [&pages.area()[..start], &pages.area()[end..]].concat();
        assert!(beside.iter().all(|&byte| byte == CANARY), "bytes beside a block of scratch were written");
    }
}

/// Runs `f` so that what this thread takes as scratch are such blocks: registers, masks, shared memory.
pub fn walled<R>(f: impl FnOnce() -> R) -> R {
    arena::with_arena(|outer| {
        outer.scratch(arena::settings().expect("the tests' own settings").size);
        allocator::install(Some(&Walled));
        let done = f();
        allocator::install(None);
        done
    })
}

/// What runs now, for the message of a launch that touches a page.
static SEED: AtomicU64 = AtomicU64::new(0);

/// Says on standard error which seed it was when the process dies of touching a page.
pub fn tell_of(seed: u64) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    SEED.store(seed, Ordering::Relaxed);
    INSTALLED.get_or_init(|| {
        let handler: extern "C" fn(libc::c_int) = died;
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: the handler makes only calls that a handler may make.
            unsafe { libc::signal(signal, handler as libc::sighandler_t) };
        }
    });
}

extern "C" fn died(signal: libc::c_int) {
    let mut text = *b"a page beside a buffer was touched, seed                     \n";
    let (mut rest, mut at) = (SEED.load(Ordering::Relaxed), text.len() - 2);
    loop {
        text[at] = b'0' + (rest % 10) as u8;
        (rest, at) = (rest / 10, at - 1);
        if rest == 0 {
            break;
        }
    }
    // SAFETY: both may be called here; the access is then tried again and ends the process.
    unsafe {
        libc::write(2, text.as_ptr().cast(), text.len());
        libc::signal(signal, libc::SIG_DFL);
    }
}
