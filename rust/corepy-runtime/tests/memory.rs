//! The pool and the arena under stress: patterns, threads that free what others allocate, limits, nesting.

use corepy_runtime::lock::Lock;
use std::ptr::NonNull;
use std::sync::mpsc;
use std::time::Instant;

use corepy_runtime::error::Error;
use corepy_runtime::memory::arena::{self, with_arena};
use corepy_runtime::memory::pool;

/// Runs a test alone, because it reads statistics of the process, and on a thread of its own, so that
/// what the thread holds is given back before the next one begins.
fn alone(test: impl FnOnce() + Send) {
    static ALONE: Lock<()> = Lock::new(());
    let _alone = ALONE.lock();
    std::thread::scope(|scope| scope.spawn(test).join()).unwrap();
}

/// Runs `work` on `count` threads, and waits until they have ended, their thread-local values included.
fn on_threads(count: usize, work: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn({
                    let work = &work;
                    move || work(number)
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A block filled with a pattern that follows from its address and length.
struct Filled {
    block: NonNull<u8>,
    bytes: usize,
}
// SAFETY: the block has one owner.
unsafe impl Send for Filled {}

impl Filled {
    fn new(bytes: usize) -> Filled {
        let block = pool::allocate(bytes).expect("memory");
        assert_eq!(block.addr().get() % 64, 0);
        let filled = Filled { block, bytes };
        for i in filled.places() {
            // SAFETY: the place is inside the block.
            unsafe { block.add(i).write(filled.pattern(i)) };
        }
        filled
    }

    /// The first and last 300 bytes, and some of each page between.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let bytes = self.bytes;
        (0..bytes.min(300))
            .chain((300..bytes.saturating_sub(300)).step_by(1021))
            .chain(bytes.saturating_sub(300)..bytes)
    }

    fn pattern(&self, i: usize) -> u8 {
        ((self.block.addr().get() >> 6) ^ self.bytes ^ i.wrapping_mul(31)) as u8
    }

    fn check(&self) {
        for i in self.places() {
            // SAFETY: the place is inside the block.
            assert_eq!(unsafe { self.block.add(i).read() }, self.pattern(i), "byte {i} of {}", self.bytes);
        }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.check();
        // SAFETY: allocated with this length, released here alone.
        unsafe { pool::release(self.block, self.bytes) };
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    /// Mostly small, some around the borders between front, back and mappings.
    fn bytes(&mut self) -> usize {
        match self.next(20) {
            0 => (32 << 10) - 2 + self.next(5),
            1 => (128 << 10) - 2 + self.next(5),
            2 => (130 << 10) + self.next(1 << 20),
            3 => (2 << 20) - 2 + self.next(5),
            4..8 => self.next(40 << 10),
            _ => self.next(1500),
        }
    }
}

#[test]
fn every_size_is_usable_and_distinct() {
    alone(|| {
        let sizes = (0..2000).chain((2000..300_000).step_by(997)).chain([1 << 20, (2 << 20) + 1, 5 << 20]);
        let blocks: Vec<Filled> = sizes.map(Filled::new).collect();
        let mut spans: Vec<(usize, usize)> = blocks.iter().map(|b| (b.block.addr().get(), b.bytes)).collect();
        spans.sort_unstable();
        assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1.max(1) <= pair[1].0), "blocks overlap");
    });
}

#[test]
fn threads_allocate_and_free_what_others_allocated() {
    alone(|| {
        let before = pool::stats().in_use;
        let threads = 4;
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::channel::<Filled>()).unzip();
        let ends: Vec<_> =
            receivers.into_iter().map(|receiver| Lock::new(Some((receiver, senders.clone())))).collect();
        drop(senders);
        on_threads(threads, |number| {
            let (receiver, senders) = ends[number].lock().take().unwrap();
            let mut random = Random(0x9e37_79b9 + number as u64);
            let mut kept = Vec::new();
            for _ in 0..15_000 {
                match random.next(10) {
                    0..4 => kept.push(Filled::new(random.bytes())),
                    4..7 if !kept.is_empty() => drop(kept.swap_remove(random.next(kept.len()))),
                    7 | 8 if !kept.is_empty() => {
                        let block = kept.swap_remove(random.next(kept.len()));
                        // A thread that has ended refuses it, and it is freed here.
                        drop(senders[random.next(threads)].send(block));
                    }
                    _ => kept.extend(receiver.try_iter().take(8)),
                }
                if random.next(5000) == 0 {
                    pool::trim();
                }
                if kept.len() > 200 {
                    kept.truncate(50);
                }
            }
        });
        drop(ends);
        assert_eq!(pool::stats().in_use, before, "blocks are lost or counted twice");
    });
}

#[test]
fn one_thread_frees_all_that_another_allocates() {
    alone(|| {
        let before = pool::stats();
        let (sender, receiver) = mpsc::sync_channel::<Filled>(100);
        let ends = Lock::new((Some(sender), Some(receiver)));
        on_threads(2, |number| {
            if number == 0 {
                let sender = ends.lock().0.take().unwrap();
                (0..100_000).for_each(|i| sender.send(Filled::new(1 + i % 700)).unwrap());
            } else {
                let receiver = ends.lock().1.take().unwrap();
                receiver.iter().for_each(drop);
            }
        });
        let after = pool::stats();
        assert_eq!(after.in_use, before.in_use);
        // 70 MB went through; the memory went round instead of growing.
        assert!(after.mappings <= before.mappings + 12, "{before:?} {after:?}");
    });
}

#[test]
fn statistics_count_blocks() {
    alone(|| {
        pool::trim();
        let before = pool::stats();
        let large = 10 << 20;
        let block = pool::allocate(large).unwrap();
        let during = pool::stats();
        assert_eq!(during.in_use, before.in_use + large);
        assert!(during.peak >= during.in_use && during.mappings == before.mappings + 1);
        // SAFETY: allocated above with this length; released once.
        unsafe { pool::release(block, large) };
        let after = pool::stats();
        assert_eq!(
            (after.in_use, after.cached, after.peak),
            (before.in_use, before.cached + large, during.peak)
        );
        // The same block comes back, without the faults of a fresh one.
        let again = pool::allocate(large - 1).unwrap();
        assert_eq!(again, block);
        assert!(pool::stats().faults_saved > after.faults_saved);
        assert_eq!(pool::stats().cached, before.cached);
        // SAFETY: as above.
        unsafe { pool::release(again, large - 1) };
        assert!(pool::trim() >= large);
        assert_eq!(pool::stats().mappings, before.mappings);
        let small: Vec<_> = (0..10_000).map(|_| pool::allocate(100).unwrap()).collect();
        assert_eq!(pool::stats().in_use, before.in_use + 10_000 * 128);
        for block in small {
            // SAFETY: as above.
            unsafe { pool::release(block, 100) };
        }
        assert_eq!(pool::stats().in_use, before.in_use);
        assert!(pool::stats().cached >= 10_000 * 128);
        pool::trim();
        assert_eq!(pool::stats().mappings, before.mappings);
    });
}

#[test]
fn a_thread_that_ends_gives_its_blocks_back() {
    alone(|| {
        pool::trim();
        let before = pool::stats();
        for _ in 0..50 {
            std::thread::spawn(|| {
                let blocks: Vec<Filled> = (0..100).map(|i| Filled::new(i * 50)).collect();
                drop(blocks);
            })
            .join()
            .unwrap();
        }
        assert_eq!(pool::stats().in_use, before.in_use);
        pool::trim();
        let after = pool::stats();
        assert_eq!((after.cached, after.mappings), (before.cached, before.mappings));
    });
}

/// Runs one test of this file in a process of its own, with an environment variable set.
fn in_process(test: &str, variable: &str, value: &str) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(variable, value)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_limit_holds() {
    in_process("child_with_a_limit_of_32_mib", "COREPY_POOL_LIMIT", "32M");
    in_process("child_without_a_cache", "COREPY_POOL_LIMIT", "0");
    in_process("child_with_a_bad_limit", "COREPY_POOL_LIMIT", "lots");
    in_process("child_with_a_small_arena", "COREPY_ARENA_SIZE", "64K");
    in_process("child_with_a_bad_arena", "COREPY_ARENA_SIZE", "1");
}

#[test]
#[ignore = "run by the_limit_holds"]
fn child_with_a_limit_of_32_mib() {
    assert_eq!(pool::settings().unwrap().limit, 32 << 20);
    let mut random = Random(7);
    let mut blocks = Vec::new();
    for _ in 0..2000 {
        blocks.push(Filled::new(random.bytes().max(200 << 10) + random.next(3 << 20)));
        if blocks.len() > 30 {
            blocks.swap_remove(random.next(30));
        }
        let stats = pool::stats();
        assert!(stats.cached <= stats.limit, "{stats:?}");
    }
    drop(blocks);
    let stats = pool::stats();
    assert_eq!(stats.in_use, 0);
    // What was freed last is kept, at the expense of older blocks.
    let block = Filled::new(20 << 20);
    let at = block.block;
    drop(block);
    assert_eq!(Filled::new(20 << 20).block, at);
    // More than the limit is never kept.
    let mappings = pool::stats().mappings;
    drop(Filled::new(33 << 20));
    assert_eq!(pool::stats().mappings, mappings);
}

#[test]
#[ignore = "run by the_limit_holds"]
fn child_without_a_cache() {
    drop((0..500).map(|i| Filled::new(i * 1000)).collect::<Vec<_>>());
    let stats = pool::stats();
    assert_eq!((stats.in_use, stats.cached, stats.limit, stats.mappings), (0, 0, 0, 0));
}

#[test]
#[ignore = "run by the_limit_holds"]
fn child_with_a_bad_limit() {
    let error = pool::settings().unwrap_err();
    assert!(
        matches!(&error, Error::Setting { name: "COREPY_POOL_LIMIT", value, .. } if value == "lots"),
        "{error}"
    );
    assert!(error.to_string().starts_with("COREPY_POOL_LIMIT=\"lots\" is not valid: a number of bytes"));
    // The default holds until the error is reported.
    drop(Filled::new(1000));
    assert!(pool::stats().limit > 0);
}

#[test]
fn refused_sizes_are_none() {
    alone(|| {
        for bytes in [usize::MAX, usize::MAX - 63, isize::MAX as usize, 1 << 62, (1 << 62) + 1, 1 << 50] {
            assert_eq!(pool::allocate(bytes), None, "{bytes}");
        }
    });
}

#[test]
fn large_blocks_are_aligned_for_huge_pages() {
    alone(|| {
        for bytes in [2 << 20, 3 << 20, 100 << 20] {
            let block = pool::allocate(bytes).unwrap();
            assert_eq!(block.addr().get() % (2 << 20), 0);
            // SAFETY: allocated above with this length; released once.
            unsafe { pool::release(block, bytes) };
        }
    });
}

#[test]
fn arena_scopes_nest_and_give_back() {
    alone(|| {
        with_arena(|arena| arena.scratch(1).len());
        let before = arena::stats();
        let first = with_arena(|outer| {
            let a = outer.scratch(100);
            let b = outer.scratch(0);
            let c = outer.scratch(1);
            assert!([a, b, c].iter().all(|s| s.as_ptr().addr() % 64 == 0));
            assert_eq!((a.len(), b.is_empty(), c.is_empty()), (100, true, false));
            assert!(c.as_ptr().addr() >= a.as_ptr().addr() + 128);
            assert_eq!(arena::stats().used, before.used + 192);
            // SAFETY: the scratch is 100 bytes long.
            unsafe { a.as_ptr().write_bytes(7, 100) };
            let inner_address = with_arena(|inner| {
                let d = inner.scratch(1000);
                // SAFETY: the scratch is 1000 bytes long.
                unsafe { d.as_ptr().write_bytes(9, 1000) };
                d.as_ptr().addr()
            });
            let e = outer.scratch(1000);
            assert_eq!(e.as_ptr().addr(), inner_address, "the inner scope's memory is used again");
            // SAFETY: `e` is 1000 bytes long, `a` 100.
            unsafe {
                e.as_ptr().write_bytes(1, 1000);
                assert!((0..100).all(|i| *a.as_ptr().add(i) == 7));
            }
            a.as_ptr().addr()
        });
        assert_eq!(arena::stats().used, before.used);
        assert_eq!(arena::stats().overflows, before.overflows);
        with_arena(|arena| assert_eq!(arena.scratch(64).as_ptr().addr(), first));
    });
}

#[test]
fn an_outer_scope_keeps_what_it_takes_inside_an_inner_one() {
    alone(|| {
        with_arena(|outer| {
            let mut late = Vec::new();
            with_arena(|inner| {
                for i in 0..10_u8 {
                    // SAFETY: each scratch is 300 bytes long.
                    unsafe {
                        let scratch = outer.scratch(300);
                        scratch.as_ptr().write_bytes(i, 300);
                        late.push(scratch);
                        inner.scratch(300).as_ptr().write_bytes(200, 300);
                    }
                }
            });
            // SAFETY: the scratch is long enough, and of an open scope.
            unsafe { outer.scratch(100_000).as_ptr().write_bytes(100, 100_000) };
            for (i, scratch) in late.iter().enumerate() {
                // SAFETY: the scope that gave the scratch is open.
                assert!((0..300).all(|k| unsafe { *scratch.as_ptr().add(k) } == i as u8));
            }
        });
    });
}

#[test]
fn arena_overflows_into_the_pool_and_counts() {
    alone(|| {
        with_arena(|_| ());
        let (before, pool_before) = (arena::stats(), pool::stats().in_use);
        with_arena(|arena| {
            for bytes in [(1 << 20) + 1, 5 << 20, 700 << 10, 600 << 10, 1] {
                let scratch = arena.scratch(bytes);
                assert_eq!(scratch.as_ptr().addr() % 64, 0);
                // SAFETY: the scratch is `bytes` long.
                unsafe { scratch.as_ptr().write_bytes(3, bytes) };
            }
            let during = arena::stats();
            assert_eq!(during.overflows, before.overflows + 3);
            assert!(during.used >= before.used + (7 << 20) && during.peak >= during.used);
            assert!(pool::stats().in_use > pool_before);
        });
        assert_eq!(arena::stats().used, before.used);
        assert_eq!(pool::stats().in_use, pool_before);
        // A scope that unwinds gives back as well.
        let caught = std::panic::catch_unwind(|| {
            with_arena(|arena| {
                arena.scratch(1000);
                arena.scratch(2 << 20);
                std::panic::resume_unwind(Box::new(1));
            })
        });
        assert!(caught.is_err());
        assert_eq!((arena::stats().used, pool::stats().in_use), (before.used, pool_before));
    });
}

#[test]
fn scratch_that_nobody_has_is_an_error_and_not_an_abort() {
    alone(|| {
        for bytes in [usize::MAX, isize::MAX as usize, 1 << 50] {
            assert!(with_arena(|arena| arena.try_scratch(bytes).is_none()));
            let payload =
                std::panic::catch_unwind(|| with_arena(|arena| arena.scratch(bytes).len())).unwrap_err();
            let error = *payload.downcast::<Error>().unwrap();
            assert_eq!(error.class(), "MemoryError");
            assert!(error.to_string().contains(&bytes.to_string()), "{error}");
        }
        assert_eq!(with_arena(|arena| arena.scratch(10).len()), 10);
    });
}

#[test]
fn arenas_of_threads_are_their_own_and_end_with_them() {
    alone(|| {
        with_arena(|_| ());
        let before = arena::stats();
        on_threads(8, |number| {
            for round in 0..200_usize {
                with_arena(|arena| {
                    let mut taken = Vec::new();
                    for i in 0..10 {
                        let (bytes, value) =
                            ((round * 37 + i * 30_011) % 300_000 + 1, (number * 16 + i) as u8);
                        let scratch = arena.scratch(bytes);
                        // SAFETY: the scratch is `bytes` long.
                        unsafe { scratch.as_ptr().write_bytes(value, bytes) };
                        taken.push((scratch, value));
                    }
                    for (scratch, value) in taken {
                        // SAFETY: both ends are inside the scratch, whose scope is open.
                        unsafe {
                            assert_eq!(*scratch.as_ptr(), value);
                            assert_eq!(*scratch.as_ptr().add(scratch.len() - 1), value);
                        }
                    }
                });
            }
            assert!(arena::stats().capacity >= before.capacity + (1 << 20));
        });
        let after = arena::stats();
        assert_eq!((after.used, after.capacity), (before.used, before.capacity));
        assert!(after.overflows > before.overflows, "overflows of threads that ended are still counted");
    });
}

#[test]
#[ignore = "run by the_limit_holds"]
fn child_with_a_small_arena() {
    with_arena(|arena| {
        arena.scratch(64 << 10);
        assert_eq!(arena::stats().overflows, 0);
        arena.scratch(1);
        assert_eq!((arena::stats().overflows, arena::stats().capacity), (1, 64 << 10));
    });
}

#[test]
#[ignore = "run by the_limit_holds"]
fn child_with_a_bad_arena() {
    let error = arena::settings().unwrap_err();
    assert!(matches!(&error, Error::Setting { name: "COREPY_ARENA_SIZE", .. }), "{error}");
    assert_eq!(with_arena(|arena| arena.scratch(10).len()), 10);
    assert_eq!(arena::stats().capacity, 1 << 20);
}

/// `cargo test --release --test memory timings -- --ignored --nocapture`
#[test]
#[ignore = "prints timings; judge them on a quiet machine"]
fn timings() {
    let rounds = 2_000_000;
    for bytes in [64, 1000, 30_000, 100_000, 1 << 20, 16 << 20] {
        let rounds = if bytes > 32 << 10 { rounds / 20 } else { rounds };
        let mut best = f64::MAX;
        for _ in 0..7 {
            let start = Instant::now();
            for _ in 0..rounds {
                let block = pool::allocate(std::hint::black_box(bytes)).unwrap();
                // SAFETY: allocated above with this length; released once.
                unsafe { pool::release(std::hint::black_box(block), std::hint::black_box(bytes)) };
            }
            best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
        }
        println!("pool: allocate and release {bytes} bytes: {best:.1} ns");
    }
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..rounds {
            with_arena(|arena| std::hint::black_box(arena.scratch(std::hint::black_box(4096)).as_ptr()));
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    println!("arena: a scope with one scratch: {best:.1} ns");
}
