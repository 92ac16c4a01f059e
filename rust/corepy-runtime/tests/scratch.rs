//! Where operations take memory from: results from the allocator of tensors, all else from the arena, and
//! nothing from the Rust heap.

mod layouts;

use corepy_runtime::lock::{Guard, Lock};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use corepy_runtime::generated::ops::REDUCTIONS;
use corepy_runtime::memory::allocator::{self, Allocator};
use corepy_runtime::memory::{arena, pool, tuning};
use corepy_runtime::ops::copy::{astype, contiguous, copy};
use corepy_runtime::ops::elementwise::binary;
use corepy_runtime::ops::matmul::matmul;
use corepy_runtime::ops::reduce::{reduce, vecdot};
use corepy_runtime::ops::{Arg, gather};
use corepy_runtime::scheduler::OwnThreads;
use corepy_runtime::{Binary, DType, Error, Family, Reduce, Result, Tensor};
use layouts::{layouts, plain};

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

/// The pool, with a count of the blocks that it has given out.
struct CountingPool;
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

impl Allocator for CountingPool {
    fn name(&self) -> &'static str {
        "counting"
    }
    fn allocate(&self, bytes: usize) -> Option<NonNull<u8>> {
        BLOCKS.fetch_add(1, Relaxed);
        pool::allocate(bytes)
    }
    unsafe fn release(&self, block: NonNull<u8>, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { pool::release(block, bytes) }
    }
}

/// Counts are those of the process: one test at a time.
fn alone() -> Guard<'static, ()> {
    static ALONE: Lock<()> = Lock::new(());
    ALONE.lock()
}

fn filled(shape: &[i64], dtype: DType) -> Tensor {
    plain(dtype, shape, &|i| (i % 7) as f64)
}

/// Tensors of a few axes and orders, for operations that stage, cast, gather and share out.
fn operands() -> Vec<Tensor> {
    let turned = |t: &Tensor| {
        let (shape, strides): (Vec<_>, Vec<_>) = (t.shape().to_vec(), t.strides().to_vec());
        t.view(
            0,
            &shape.into_iter().rev().collect::<Vec<_>>(),
            &strides.into_iter().rev().collect::<Vec<_>>(),
        )
    };
    let mut all = Vec::new();
    for shape in [
        &[200_000_i64][..],
        &[700, 300],
        &[3, 50_000],
        &[60_000, 5],
        &[3000, 512],
        &[30, 40, 50],
        &[7, 20, 6, 50],
    ] {
        for dtype in [DType::Bool, DType::Int16, DType::Float32, DType::Float64] {
            let tensor = filled(shape, dtype);
            all.push(turned(&tensor));
            all.push(tensor);
        }
    }
    all
}

/// Allocations on the Rust heap in a warm call: the fewest of several, since waking a worker that has
/// parked meanwhile takes some.
fn fewest(mut call: impl FnMut(), tries: usize) -> usize {
    call();
    let mut fewest = usize::MAX;
    for _ in 0..tries {
        let before = HEAP.load(Relaxed);
        call();
        fewest = fewest.min(HEAP.load(Relaxed) - before);
        if fewest == 0 {
            break;
        }
    }
    fewest
}

#[test]
fn warm_calls_take_nothing_from_the_rust_heap() {
    let _alone = alone();
    // With more threads than processors workers do not stay awake.
    for (threads, tries) in [(1, 1), (2, 1000)] {
        let _threads = OwnThreads::new(threads).unwrap();
        for x in operands() {
            let what = format!("{x:?} {:?} on {threads} threads", x.strides());
            let check = |op: &str, call: &dyn Fn() -> Result<Tensor>| {
                let count = fewest(|| drop(call().unwrap()), tries);
                assert_eq!(count, 0, "{op} of {what}");
            };
            let arg = Arg::Tensor(&x);
            if x.dtype() != DType::Bool {
                check("add", &|| binary(Binary::Add, arg, arg));
                let row = x.view(0, &x.shape()[x.ndim() - 1..], &x.strides()[x.ndim() - 1..]);
                check("add of a row", &|| binary(Binary::Add, arg, Arg::Tensor(&row)));
            }
            for axis in 0..x.ndim() {
                for op in [Reduce::Sum, Reduce::Any, Reduce::Max, Reduce::Argmax] {
                    check(REDUCTIONS[op as usize].name, &|| reduce(op, &x, Some(&[axis]), false, None, 0.0));
                }
            }
            for op in [Reduce::Sum, Reduce::Any] {
                check(REDUCTIONS[op as usize].name, &|| reduce(op, &x, None, true, None, 0.0));
            }
            check("copy", &|| copy(&x));
            check("contiguous", &|| contiguous(&x));
            check("astype", &|| astype(&x, DType::Complex64, "astype"));
            if x.ndim() > 1 && x.dtype() == DType::Float64 {
                let back: Vec<i64> = x.shape()[..x.ndim() - 2].to_vec();
                let (m, k) = (x.shape()[x.ndim() - 2], x.shape()[x.ndim() - 1]);
                if m * k <= 250_000 {
                    let right = filled(&[&back[..], &[k, 40]].concat(), DType::Float64);
                    check("matmul", &|| matmul("matmul", &x, &right));
                    let vector = filled(&[2 * k], DType::Float64).view(0, &[k], &[16]);
                    check("matmul with a vector", &|| matmul("matmul", &x, &vector));
                }
            }
        }
    }
}

/// Every reduction of the op table, over every set of axes of every layout: its scratch comes from the
/// arena, which nothing of it is left in, and of the allocator of tensors it asks for its results alone.
#[test]
fn all_scratch_of_reductions_comes_from_the_arena() {
    let _alone = alone();
    static COUNTING: CountingPool = CountingPool;
    allocator::install(Some(&COUNTING));
    arena::with_arena(|_| ());
    let mut most = 0;
    let mut calls = 0;
    for (number, row) in REDUCTIONS.iter().enumerate() {
        for x in operands() {
            for axes in 0..1_usize << x.ndim() {
                let axes: Vec<usize> = (0..x.ndim()).filter(|axis| axes >> axis & 1 == 1).collect();
                let axes = if axes.is_empty() { None } else { Some(&axes[..]) };
                if row.one_axis && axes.is_some_and(|axes| axes.len() > 1) {
                    continue;
                }
                let op = Reduce::ALL[number];
                let before = arena::stats();
                let blocks = BLOCKS.load(Relaxed);
                match reduce(op, &x, axes, false, None, 0.0) {
                    Ok(_) => {}
                    Err(Error::DtypeRefused { .. }) => continue,
                    Err(other) => panic!("{other}"),
                }
                calls += 1;
                let after = arena::stats();
                let overflows = after.overflows - before.overflows;
                let what = format!("{} of {x:?} {:?} over {axes:?}", row.name, x.strides());
                assert_eq!(after.used, 0, "{what}");
                assert_eq!(overflows, 0, "{what}");
                // The result, and nothing more.
                assert_eq!(BLOCKS.load(Relaxed) - blocks, 1, "{what}");
                most = most.max(after.peak);
            }
        }
    }
    assert!(calls > 1000 && most > 100_000, "{calls} calls took {most} bytes");
    allocator::install(None);
}

/// What does not fit the arena comes from the allocator of tensors, and is counted.
#[test]
fn every_class_gives_its_scratch_back() {
    let _alone = alone();
    static COUNTING: CountingPool = CountingPool;
    allocator::install(Some(&COUNTING));
    let wide = filled(&[900, 700], DType::Float64);
    let turned = wide.view(0, &[700, 900], &[8, 5600]);
    let deep = filled(&[3, 4, 5, 2, 3, 4], DType::Int32);
    let mask = filled(&[900, 700], DType::Bool);
    let places = plain(DType::Int64, &[5000], &|i| (i * 37 % 700) as f64);
    let narrow = places.view(0, &[2500], &[16]);
    // Results of each call, beside which there may be as many blocks as overflows are counted.
    type Call<'a> = (&'a str, usize, Box<dyn Fn() -> Result<Tensor> + 'a>);
    let calls: [Call; 9] = [
        ("add", 1, Box::new(|| binary(Binary::Add, Arg::Tensor(&wide), Arg::Tensor(&contiguous(&wide)?)))),
        ("add of six axes", 1, Box::new(|| binary(Binary::Add, Arg::Tensor(&deep), Arg::Tensor(&deep)))),
        ("copy", 1, Box::new(|| contiguous(&turned))),
        ("astype", 1, Box::new(|| astype(&turned, DType::Float32, "astype"))),
        ("matmul", 1, Box::new(|| matmul("matmul", &turned, &wide))),
        ("vecdot", 1, Box::new(|| vecdot("vecdot", Family::Vecdot, &turned, &turned))),
        ("take", 1, Box::new(|| gather::take(&wide, &places, Some(1)))),
        ("take at strided places", 2, Box::new(|| gather::take(&turned, &narrow, Some(0)))),
        ("mask", 1, Box::new(|| gather::mask(&wide, &mask))),
    ];
    for threads in [1, 3] {
        let _threads = OwnThreads::new(threads).unwrap();
        for (name, results, call) in &calls {
            drop(call().unwrap());
            let (before, blocks) = (arena::stats(), BLOCKS.load(Relaxed));
            drop(call().unwrap());
            let after = arena::stats();
            let overflows = (after.overflows - before.overflows) as usize;
            assert_eq!(after.used, 0, "{name} on {threads} threads");
            assert_eq!(BLOCKS.load(Relaxed) - blocks, results + overflows, "{name} on {threads} threads");
            // Packed rows or columns that tiles share are no thread's own.
            assert!(overflows == 0 || *name == "matmul", "{name}: {overflows} overflows");
        }
    }
    allocator::install(None);
    let most = tuning::SHARES.iter().map(|row| row.bytes).max();
    assert!(most <= Some(arena::settings().unwrap().size));
}

/// The most that the arena of a thread of its own holds during a call, and how often it overflows.
fn peak(call: impl Fn() -> Result<Tensor> + Sync) -> (usize, u64) {
    let measure = || {
        let _threads = OwnThreads::new(1).unwrap();
        let before = arena::stats();
        drop(call().unwrap());
        let after = arena::stats();
        (after.peak - before.peak, after.overflows - before.overflows)
    };
    std::thread::scope(|scope| scope.spawn(measure).join().unwrap())
}

#[test]
fn classes_keep_to_their_share_of_the_arena() {
    let _alone = alone();
    let turned = |t: &Tensor| {
        let (e, s) = (t.shape(), t.strides());
        t.view(0, &[e[1], e[0]], &[s[1], s[0]])
    };
    for dtype in [DType::Bool, DType::Int16, DType::Float32, DType::Float64, DType::Complex128] {
        let x = filled(&[1500, 700], dtype);
        let y = turned(&filled(&[700, 1500], DType::Int32));
        let deep = filled(&[70, 3, 5, 40], dtype).view(0, &[40, 5, 3, 70], &{
            let item = dtype.itemsize() as i64;
            [item, 40 * item, 200 * item, 600 * item]
        });
        let places = plain(DType::Int32, &[3000], &|i| (i * 37 % 700) as f64);
        let mask = filled(&[1500, 700], DType::Bool);
        let mut found: Vec<(tuning::Class, &str, (usize, u64))> = Vec::new();
        let mut run =
            |class, name, call: &(dyn Fn() -> Result<Tensor> + Sync)| found.push((class, name, peak(call)));
        use tuning::Class::{Copy, Elementwise, Gather, Matmul, Reduction};
        run(Elementwise, "equal", &|| binary(Binary::Equal, Arg::Tensor(&x), Arg::Tensor(&y)));
        run(Elementwise, "equal", &|| binary(Binary::Equal, Arg::Tensor(&deep), Arg::Tensor(&deep)));
        run(Copy, "contiguous", &|| contiguous(&turned(&x)));
        run(Copy, "contiguous", &|| contiguous(&deep));
        run(Copy, "astype", &|| astype(&turned(&x), DType::Complex64, "astype"));
        run(Gather, "take", &|| gather::take(&x, &places, Some(1)));
        run(Gather, "index", &|| gather::index(&x, &[Some(&places), Some(&places)]));
        run(Gather, "mask", &|| gather::mask(&x, &mask));
        for axes in [None, Some(&[0][..]), Some(&[1][..])] {
            run(Reduction, "sum", &|| reduce(Reduce::Sum, &x, axes, false, None, 0.0));
            run(Reduction, "count_nonzero", &|| {
                reduce(Reduce::CountNonzero, &turned(&x), axes, false, None, 0.0)
            });
            run(Reduction, "any", &|| reduce(Reduce::Any, &deep, axes, false, None, 0.0));
        }
        // Rows of one block that are copied together and cast, of many columns and of a few.
        let item = dtype.itemsize() as i64;
        for rows in [1000, 700, 100] {
            let apart = x.view(0, &[rows, 350], &[700 * item, 2 * item]);
            for to in [DType::Float64, DType::Complex128] {
                if dtype != DType::Complex128 || to == dtype {
                    run(Reduction, "sum of a block", &|| {
                        reduce(Reduce::Sum, &apart, Some(&[0]), false, Some(to), 0.0)
                    });
                }
            }
        }
        if dtype != DType::Bool {
            run(Matmul, "matmul", &|| matmul("matmul", &x, &turned(&x)));
            run(Matmul, "matmul of few rows", &|| {
                matmul("matmul", &x.view(0, &[9, 700], x.strides()), &turned(&x))
            });
        }
        for (class, name, (peak, overflows)) in found {
            if class != Matmul {
                assert!(
                    peak <= tuning::SHARES[class as usize].bytes && overflows == 0,
                    "{name} of {dtype:?}: {peak}"
                );
            }
        }
    }
}

#[test]
fn layouts_of_the_other_tests_leave_nothing_in_the_arena() {
    let _alone = alone();
    for (name, x) in layouts(DType::Float32, &[6, 33, 70], &|i| i as f64) {
        for op in Reduce::ALL {
            // Refused dtypes are errors, which leave nothing either.
            let _ = reduce(op, &x, Some(&[1]), false, None, 0.0);
            assert_eq!(arena::stats().used, 0, "{name}");
        }
    }
}

/// `python -m benchmarks.memory --arena` runs it under callgrind, with two numbers of calls.
#[test]
#[ignore = "work for a profiler"]
fn warm_strided_sums() {
    let calls: usize = std::env::var("CALLS").unwrap().parse().unwrap();
    let _threads = OwnThreads::new(1).unwrap();
    // Every second column of rows that lie apart: 1,000,000 elements, gathered block by block.
    let x = plain(DType::Float32, &[1000, 2048], &|_| 1.0).view(0, &[1000, 1000], &[8192, 8]);
    for _ in 0..calls {
        let sum = reduce(Reduce::Sum, &x, None, false, None, 0.0).unwrap();
        // SAFETY: one element of float32.
        assert_eq!(unsafe { *sum.data().cast::<f32>() }, 1e6);
    }
}
