//! A warm launch decodes nothing, takes nothing from the Rust heap and takes no lock.

#[path = "programs/lanes/mod.rs"]
mod lanes;

use corepy_runtime::backends::{Argument, Options, launch, tile};
use corepy_runtime::lock;
use corepy_runtime::program::Program;
use corepy_runtime::scheduler::OwnThreads;
use corepy_runtime::{DType, Scalar, Tensor};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what the Rust heap is asked for, on any thread.
struct Counting;
static HEAP: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator, and a count.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HEAP.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HEAP.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn zeros(n: i64, dtype: DType) -> Argument {
    let out = Tensor::empty("test", &[n], dtype).unwrap();
    // SAFETY: the tensor's own memory.
    unsafe { out.data().write_bytes(0, out.size() * dtype.itemsize()) };
    Argument::Tensor(out)
}

/// Allocations and locks of a warm launch: the fewest of several, since the first ones start workers, which get memory.
fn fewest(program: &Arc<Program>, arguments: &[Argument], options: &Options) -> (usize, u64) {
    launch(program, arguments, options, "tile").unwrap();
    let decoded = tile::decoded_steps();
    let mut fewest = (usize::MAX, u64::MAX);
    for _ in 0..200 {
        let before = HEAP.load(Relaxed);
        let locks = lock::taken_during(|| launch(program, arguments, options, "auto").unwrap());
        fewest = fewest.min((HEAP.load(Relaxed) - before, locks));
        if fewest == (0, 0) {
            break;
        }
    }
    assert_eq!(tile::decoded_steps(), decoded, "a warm launch decodes");
    fewest
}

#[test]
fn warm_launches_decode_allocate_and_lock_nothing() {
    let straight = ".kernel k\n.param a: f32\n.buffer x: in f32[:]\n.buffer y: inout f32[:]\n\
        ldg.f32 u, x[%gid]\n ldg.f32 v, y[%gid]\n fma.f32 v, a, u, v\n stg.f32 y[%gid], v\n exit";
    // Lanes part, meet, call, fold into sums, go by way of shared memory.
    let all = ".kernel k\n.param a: f32\n.buffer x: in f32[:]\n.buffer y: inout f32[:]\n.buffer n: inout i64[:]\n\
        .shared t: f32[256]\n\
        rem.i64 r, %gid, 7\n ldg.f32 u, x[%gid]\n loop i, r\n add.f32 u, u, a\n setgt.i64 p, i, 3\n break p\n\
        endloop\n call s\n sts.f32 t[%lane], u\n barrier\n xor.i64 k, %lane, 1\n lds.f32 v, t[k]\n\
        reduce.add.f32 sum, v\n add.f32 v, v, sum\n red.add.i64 n[r], 1\n stg.f32 y[%gid], v\n exit\n\
        s:\n seteq.i64 q, r, 2\n bra q, e\n mul.f32 u, u, 2\ne:\n ret";
    for (text, sums) in [(straight, false), (all, true)] {
        let program = lanes::program(text);
        for lanes in [1i64, 256, 1000, 102_400] {
            let mut arguments = vec![Argument::Number(Scalar::from_f64(0.5))];
            arguments.extend([zeros(lanes, DType::Float32), zeros(lanes, DType::Float32)]);
            if sums {
                arguments.push(zeros(7, DType::Int64));
            }
            for threads in [1, 2] {
                let _threads = OwnThreads::new(threads).unwrap();
                let lanes_rounded = if sums { (lanes + 255) / 256 * 256 } else { lanes };
                if lanes_rounded != lanes {
                    continue;
                }
                let count = fewest(&program, &arguments, &Options::lanes(lanes));
                assert_eq!(count, (0, 0), "{lanes} lanes on {threads} threads of\n{text}");
            }
        }
    }
    // The programs of one text share what was decoded, though they are two.
    let (one, other) = (lanes::program(straight), lanes::program(straight));
    let arguments =
        [Argument::Number(Scalar::from_f64(0.5)), zeros(9, DType::Float32), zeros(9, DType::Float32)];
    launch(&one, &arguments, &Options::lanes(9), "tile").unwrap();
    let decoded = tile::decoded_steps();
    launch(&other, &arguments, &Options::lanes(9), "tile").unwrap();
    assert_eq!(tile::decoded_steps(), decoded);
}
