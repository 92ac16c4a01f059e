//! The scheduler under stress: claims, stops, panics, many callers, nesting, resizing, fork, interrupts.

use corepy_runtime::lock::{Guard, Lock};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use corepy_runtime::error::Error;
use corepy_runtime::memory::{arena, pool};
use corepy_runtime::scheduler::{self, Flow, OwnThreads, run};

/// More than any hand-off costs: workers are woken.
const DEAR: f64 = 1e9;
/// Less than any hand-off: the caller stays alone.
const CHEAP: f64 = 1.0;

/// Tests change settings of the process, so they run one after the other.
fn alone() -> Guard<'static, ()> {
    static ALONE: Lock<()> = Lock::new(());
    ALONE.lock()
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Runs `tiles` tiles and checks that each ran exactly once.
fn check_once(tiles: usize, cost: f64) {
    let counts: Vec<AtomicU32> = (0..tiles).map(|_| AtomicU32::new(0)).collect();
    run(tiles, cost, &|tile| {
        counts[tile].fetch_add(1, Ordering::Relaxed);
        Flow::Continue
    })
    .unwrap();
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{tiles} tiles");
}

/// Runs until a worker takes part; the pool starts in the background.
fn warm_up() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if threads_taking_part(8, Duration::from_micros(200)).len() > 1 {
            return;
        }
    }
    panic!("no worker takes part");
}

fn threads_taking_part(tiles: usize, time: Duration) -> HashSet<ThreadId> {
    let seen = Lock::new(HashSet::new());
    run(tiles, DEAR, &|_| {
        seen.lock().insert(std::thread::current().id());
        spin(time);
        Flow::Continue
    })
    .unwrap();
    seen.into_inner()
}

#[test]
fn every_tile_runs_once() {
    let _alone = alone();
    for threads in [1, 2, 3, 7] {
        scheduler::set_num_threads(threads).unwrap();
        assert_eq!(scheduler::threads(), threads as usize);
        for cost in [CHEAP, 20_000.0, DEAR] {
            for tiles in [0, 1, 2, 3, 5, 7, 8, 63, 64, 65, 1000, 4097] {
                for _ in 0..5 {
                    check_once(tiles, cost);
                }
            }
        }
    }
}

#[test]
fn results_of_workers_are_visible_to_the_caller() {
    let _alone = alone();
    scheduler::set_num_threads(3).unwrap();
    for round in 0..2000_u64 {
        let mut out = [0_u64; 64];
        struct Shared(*mut u64);
        // SAFETY: each tile writes its own element.
        unsafe impl Sync for Shared {}
        impl Shared {
            fn at(&self, index: usize) -> *mut u64 {
                // SAFETY: the index is below the array's length.
                unsafe { self.0.add(index) }
            }
        }
        let shared = Shared(out.as_mut_ptr());
        run(64, DEAR, &|tile| {
            // SAFETY: the array has 64 elements and outlives the run.
            unsafe { *shared.at(tile) = round + tile as u64 };
            Flow::Continue
        })
        .unwrap();
        assert!(out.iter().enumerate().all(|(i, &v)| v == round + i as u64));
    }
}

#[test]
fn workers_take_part_and_no_more_than_asked_for() {
    let _alone = alone();
    scheduler::set_num_threads(4).unwrap();
    warm_up();
    for threads in [2, 3] {
        let _own = OwnThreads::new(threads).unwrap();
        for _ in 0..50 {
            let inside = AtomicUsize::new(0);
            let most = AtomicUsize::new(0);
            run(64, DEAR, &|_| {
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                spin(Duration::from_micros(20));
                inside.fetch_sub(1, Ordering::SeqCst);
                Flow::Continue
            })
            .unwrap();
            assert!(most.load(Ordering::SeqCst) <= threads as usize);
        }
    }
    let _own = OwnThreads::new(1).unwrap();
    assert_eq!(threads_taking_part(32, Duration::from_micros(20)).len(), 1);
}

#[test]
fn cheap_work_stays_on_the_caller() {
    let _alone = alone();
    scheduler::set_num_threads(4).unwrap();
    warm_up();
    let caller = std::thread::current().id();
    for cost in [0.0, CHEAP, -1.0, f64::NAN] {
        let order = Lock::new(Vec::new());
        run(100, cost, &|tile| {
            assert_eq!(std::thread::current().id(), caller);
            order.lock().push(tile);
            Flow::Continue
        })
        .unwrap();
        assert_eq!(order.into_inner(), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn stop_leaves_tiles_undone_and_runs_none_twice() {
    let _alone = alone();
    for threads in [1, 2, 3, 7] {
        scheduler::set_num_threads(threads).unwrap();
        for cost in [CHEAP, DEAR] {
            for at in [0, 1, 17, 999] {
                let counts: Vec<AtomicU32> = (0..100_000).map(|_| AtomicU32::new(0)).collect();
                run(counts.len(), cost, &|tile| {
                    counts[tile].fetch_add(1, Ordering::Relaxed);
                    // The thread that stops may lose its processor on the way: the others must not
                    // get to the end meanwhile.
                    if tile > 50_000 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    if tile == at { Flow::Stop } else { Flow::Continue }
                })
                .unwrap();
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) <= 1));
                // Claims are in order, so all up to the stop have run; and it did stop.
                assert!(counts[..=at].iter().all(|count| count.load(Ordering::Relaxed) == 1));
                let ran: u32 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
                assert!((ran as usize) < counts.len(), "all ran, with a stop at {at}");
            }
        }
    }
}

#[test]
fn panics_reach_the_caller_with_their_payload_and_the_pool_survives() {
    let _alone = alone();
    for threads in [1, 3] {
        scheduler::set_num_threads(threads).unwrap();
        if threads > 1 {
            warm_up();
        }
        let caller = std::thread::current().id();
        let mut on_worker = 0;
        for round in 0..300 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                run(64, DEAR, &|_| {
                    spin(Duration::from_micros(5));
                    let here = std::thread::current().id();
                    // In odd rounds workers alone fail, if any takes part.
                    if round % 2 == 0 || here != caller {
                        resume_unwind(Box::new((round, here)));
                    }
                    Flow::Continue
                })
            }));
            if let Err(payload) = result {
                let (of, thread) = *payload.downcast::<(i32, ThreadId)>().unwrap();
                assert_eq!(of, round);
                on_worker += i32::from(thread != caller);
            } else {
                assert!(round % 2 == 1);
            }
            check_once(100, DEAR);
        }
        assert!(threads == 1 || on_worker > 0, "no panic happened on a worker");
    }
    let result = catch_unwind(|| run(10, DEAR, &|_| panic!("the text of a panic")));
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "the text of a panic");
}

#[test]
fn many_callers_at_once() {
    let _alone = alone();
    scheduler::set_num_threads(3).unwrap();
    let total = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let total = &total;
            scope.spawn(move || {
                for round in 0..3000_usize {
                    let tiles = 1 + (round * 7 + caller) % 40;
                    let sum = AtomicU64::new(0);
                    run(tiles, if round % 3 == 0 { 30_000.0 } else { DEAR }, &|tile| {
                        sum.fetch_add(1 << (tile % 40), Ordering::Relaxed);
                        Flow::Continue
                    })
                    .unwrap();
                    assert_eq!(sum.load(Ordering::Relaxed), (1 << tiles) - 1);
                    total.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(total.load(Ordering::Relaxed), 8 * 3000);
}

#[test]
fn more_callers_than_slots() {
    let _alone = alone();
    scheduler::set_num_threads(2).unwrap();
    #[allow(clippy::disallowed_types)] // The threads are the test's own.
    let barrier = std::sync::Barrier::new(24);
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..50 {
                    check_once(20, DEAR);
                }
            });
        }
    });
}

#[test]
fn nested_runs_are_serial_inside_a_tile() {
    let _alone = alone();
    scheduler::set_num_threads(3).unwrap();
    warm_up();
    for _ in 0..200 {
        let count = AtomicUsize::new(0);
        run(16, DEAR, &|_| {
            let here = std::thread::current().id();
            let before = AtomicUsize::new(0);
            run(16, DEAR, &|inner| {
                assert_eq!(std::thread::current().id(), here);
                assert_eq!(before.fetch_add(1, Ordering::Relaxed), inner);
                run(3, DEAR, &|_| {
                    count.fetch_add(1, Ordering::Relaxed);
                    Flow::Continue
                })
                .unwrap();
                Flow::Continue
            })
            .unwrap();
            Flow::Continue
        })
        .unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 16 * 16 * 3);
    }
}

#[test]
fn the_number_of_threads_changes_while_operations_run() {
    let _alone = alone();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    check_once(50, DEAR);
                }
            });
        }
        for round in 0..300 {
            scheduler::set_num_threads([1, 2, 3, 7, 5][round % 5]).unwrap();
            check_once(30, DEAR);
            std::thread::sleep(Duration::from_micros(300));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn numbers_of_threads_are_checked_and_nest() {
    let _alone = alone();
    scheduler::set_num_threads(5).unwrap();
    for n in [0, -1, 1025, i64::MIN, i64::MAX] {
        assert_eq!(scheduler::set_num_threads(n), Err(Error::Threads { op: "set_num_threads", n }));
        assert_eq!(OwnThreads::new(n).err(), Some(Error::Threads { op: "threads", n }));
        assert!(scheduler::set_own_threads(Some(n)).is_err());
    }
    {
        let _outer = OwnThreads::new(2).unwrap();
        assert_eq!(scheduler::threads(), 2);
        {
            let _inner = OwnThreads::new(1024).unwrap();
            assert_eq!(scheduler::threads(), 1024);
            assert_eq!(scheduler::process_threads(), 5);
            std::thread::spawn(|| assert_eq!(scheduler::threads(), 5)).join().unwrap();
        }
        assert_eq!(scheduler::threads(), 2);
        scheduler::set_num_threads(3).unwrap();
        assert_eq!(scheduler::threads(), 2);
    }
    assert_eq!(scheduler::threads(), 3);
    assert_eq!(scheduler::set_own_threads(Some(4)), Ok(None));
    assert_eq!(scheduler::set_own_threads(Some(6)), Ok(Some(4)));
    assert_eq!(scheduler::set_own_threads(None), Ok(Some(6)));
    assert_eq!(scheduler::threads(), 3);
}

static ASKED: AtomicUsize = AtomicUsize::new(0);
static ANSWER: AtomicBool = AtomicBool::new(false);

fn hook() -> bool {
    ASKED.fetch_add(1, Ordering::SeqCst);
    // What a signal handler of the user may do. Where it takes long it is asked itself: a signal is
    // answered once.
    let answer = ANSWER.swap(false, Ordering::SeqCst);
    check_once(10, DEAR);
    ANSWER.store(answer, Ordering::SeqCst);
    answer
}

#[test]
fn interrupts_stop_interruptible_threads_only() {
    let _alone = alone();
    scheduler::set_interrupt_hook(hook);
    for threads in [1, 3] {
        scheduler::set_num_threads(threads).unwrap();
        let ran = AtomicUsize::new(0);
        let slow = |_: usize| {
            ran.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(2));
            Flow::Continue
        };
        ANSWER.store(true, Ordering::SeqCst);
        ASKED.store(0, Ordering::SeqCst);
        run(100, DEAR, &slow).unwrap();
        assert_eq!((ran.load(Ordering::Relaxed), ASKED.load(Ordering::SeqCst)), (100, 0));

        assert!(!scheduler::interruptible(true));
        let start = Instant::now();
        assert_eq!(run(100_000, DEAR, &slow), Err(Error::Interrupted {}));
        assert!(start.elapsed() < Duration::from_millis(1000));
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
        // What belongs to the same operation stops as well, without asking again.
        assert_eq!(run(3, CHEAP, &|_| Flow::Continue), Err(Error::Interrupted {}));
        assert_eq!(run(1, CHEAP, &|_| Flow::Continue), Err(Error::Interrupted {}));
        assert!(scheduler::interruptible(true));
        // Short operations are not asked about.
        check_once(1000, CHEAP);
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);

        // The user says go on: at most once in 50 ms.
        ANSWER.store(false, Ordering::SeqCst);
        ASKED.store(0, Ordering::SeqCst);
        let start = Instant::now();
        run(200, DEAR, &slow).unwrap();
        let asked = ASKED.load(Ordering::SeqCst) as u128;
        // The clock that this is measured with may be 10 ms behind.
        assert!(asked >= 1 && asked <= start.elapsed().as_millis() / 40, "{asked}");
        assert!(scheduler::interruptible(false));
    }
    assert_eq!(Error::Interrupted {}.class(), "KeyboardInterrupt");
}

#[test]
fn a_long_tile_that_polls_is_interrupted_on_whichever_thread_it_runs() {
    let _alone = alone();
    scheduler::set_interrupt_hook(hook);
    scheduler::set_num_threads(3).unwrap();
    warm_up();
    let caller = std::thread::current().id();
    // None: the tiles of workers and of the caller are long; else one of them.
    for long_on_caller in [None, Some(true), Some(false)] {
        ANSWER.store(true, Ordering::SeqCst);
        scheduler::interruptible(true);
        let start = Instant::now();
        let result = run(3, DEAR, &|_| {
            let is_caller = std::thread::current().id() == caller;
            if long_on_caller.is_some_and(|on_caller| on_caller != is_caller) {
                // Time for the others to take the other tiles.
                spin(Duration::from_millis(1));
                return Flow::Continue;
            }
            // Nested runs poll by themselves.
            while start.elapsed() < Duration::from_secs(20) {
                spin(Duration::from_micros(10));
                if run(2, CHEAP, &|_| Flow::Continue).is_err() {
                    assert!(scheduler::poll().is_err());
                    return Flow::Stop;
                }
            }
            Flow::Continue
        });
        let elapsed = start.elapsed();
        scheduler::interruptible(false);
        // Without a worker, or with workers that took all tiles, there may be no long tile.
        if elapsed > Duration::from_millis(40) {
            assert_eq!(result, Err(Error::Interrupted {}), "{long_on_caller:?}");
        }
        assert!(elapsed < Duration::from_secs(5), "{long_on_caller:?}: {elapsed:?}");
        check_once(100, DEAR);
    }
}

#[test]
fn when_others_are_stopped_the_one_who_stopped_them_goes_on() {
    let _alone = alone();
    scheduler::set_num_threads(2).unwrap();
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    begun.fetch_add(1, Ordering::SeqCst);
                    run(usize::MAX / 2, DEAR, &|_| {
                        spin(Duration::from_micros(20));
                        Flow::Continue
                    })
                })
            })
            .collect();
        while begun.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        assert!(!scheduler::is_stopped());
        scheduler::stop_other_threads(true);
        for other in others {
            assert_eq!(other.join().unwrap(), Err(Error::Interrupted {}));
        }
        assert!(scope.spawn(scheduler::is_stopped).join().unwrap());
        assert!(!scheduler::is_stopped());
        check_once(100, DEAR);
        scheduler::stop_other_threads(false);
        scope.spawn(|| check_once(100, DEAR)).join().unwrap();
    });
}

/// Forks, and says whether `work` returned true in the child, within a minute; a child that hangs is a panic here.
fn in_child(work: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs code of this process, whose locks the handlers have put in order, and
    // ends with _exit.
    unsafe {
        match libc::fork() {
            0 => {
                libc::alarm(60);
                let good = catch_unwind(AssertUnwindSafe(work)).unwrap_or(false);
                libc::_exit(i32::from(!good));
            }
            child => {
                assert!(child > 0);
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                assert!(libc::WIFEXITED(status), "the child hangs or crashes: {status:#x}");
                libc::WEXITSTATUS(status) == 0
            }
        }
    }
}

#[test]
fn a_forked_child_computes_with_threads_of_its_own() {
    let _alone = alone();
    scheduler::set_num_threads(3).unwrap();
    warm_up();
    for _ in 0..20 {
        let before = scheduler::fork::generation();
        assert!(in_child(|| {
            check_once(100, DEAR);
            warm_up();
            // A child of the child as well.
            scheduler::fork::generation() == before + 1
                && in_child(|| {
                    warm_up();
                    true
                })
        }));
        assert_eq!(scheduler::fork::generation(), before);
        check_once(100, DEAR);
    }
    warm_up();
}

#[test]
fn forks_while_other_threads_work_and_allocate() {
    let _alone = alone();
    scheduler::set_num_threads(3).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 1..4_usize {
            let done = &done;
            scope.spawn(move || {
                let mut round = seed;
                while !done.load(Ordering::Relaxed) {
                    round += 1;
                    run(8, DEAR, &|tile| {
                        arena::with_arena(|arena| {
                            let bytes = 64 << ((round + tile) % 14);
                            let scratch = arena.scratch(bytes);
                            let block = pool::allocate(bytes).unwrap();
                            // SAFETY: both are `bytes` long; the block is released once.
                            unsafe {
                                scratch.as_ptr().write_bytes(1, bytes);
                                block.as_ptr().write_bytes(2, bytes);
                                pool::release(block, bytes);
                            }
                        });
                        Flow::Continue
                    })
                    .unwrap();
                    if round % 64 == 0 {
                        scheduler::set_num_threads([2, 3, 4][round / 64 % 3]).unwrap();
                        pool::trim();
                    }
                }
            });
        }
        for _ in 0..100 {
            assert!(in_child(|| {
                for bytes in [1, 5000, 40_000, 200_000, 5 << 20] {
                    let block = pool::allocate(bytes).unwrap();
                    // SAFETY: `bytes` long, released once.
                    unsafe {
                        block.as_ptr().write_bytes(3, bytes);
                        pool::release(block, bytes);
                    }
                }
                pool::trim();
                check_once(50, DEAR);
                arena::with_arena(|arena| arena.scratch(100).len()) == 100 && arena::stats().used == 0
            }));
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_fork_in_the_middle_of_an_operation_is_an_error_in_the_child() {
    let _alone = alone();
    scheduler::set_num_threads(2).unwrap();
    warm_up();
    let caller = std::thread::current().id();
    let parent = std::process::id();
    let status = Lock::new(None);
    let result = run(64, DEAR, &|_| {
        spin(Duration::from_micros(50));
        if std::thread::current().id() == caller && std::process::id() == parent {
            let mut status = status.lock();
            if status.is_none() {
                // SAFETY: the child returns from `run` and ends with _exit below.
                let child = unsafe { libc::fork() };
                assert!(child >= 0);
                *status = Some(child);
            }
        }
        Flow::Continue
    });
    let child = status.into_inner().unwrap();
    // SAFETY: plain system calls.
    unsafe {
        if child == 0 {
            let good = matches!(result, Err(Error::Internal { .. })) && {
                check_once(64, DEAR);
                true
            };
            libc::_exit(i32::from(!good));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status}");
    }
    result.unwrap();
    check_once(64, DEAR);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn workers_keep_subnormals_whatever_the_thread_that_made_them_does() {
    let _alone = alone();
    scheduler::set_num_threads(3).unwrap();
    // A thread inherits the state of the one that makes it.
    let set = |word: u32| {
        // SAFETY: FTZ and DAZ, with every exception masked, or the default.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, readonly)) }
    };
    scheduler::set_num_threads(1).unwrap();
    set(0x9fc0);
    scheduler::set_num_threads(3).unwrap();
    let outcome = catch_unwind(|| {
        warm_up();
        let caller = std::thread::current().id();
        let tiny = std::hint::black_box(f32::MIN_POSITIVE);
        for _ in 0..50 {
            run(16, DEAR, &|_| {
                spin(Duration::from_micros(20));
                let half = tiny * std::hint::black_box(0.5);
                assert!(std::hint::black_box(half) > 0.0 || std::thread::current().id() == caller);
                Flow::Continue
            })
            .unwrap();
        }
        let _state = scheduler::fp_state::Guard::new();
        assert!(std::hint::black_box(std::hint::black_box(tiny) * 0.5) > 0.0);
    });
    let mut after = 0_u32;
    // SAFETY: stores the 32-bit register to a local.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut after, options(nostack)) };
    set(0x1f80);
    outcome.unwrap();
    assert_eq!(after & !0x3f, 0x9f80 | 0x40, "the caller's state came back");
}

/// Figures for the table in `scheduler/cost.rs`: `cargo test --release --test scheduler -- --ignored --nocapture`.
#[test]
#[ignore = "prints timings; judge them on a quiet machine"]
fn timings() {
    let _alone = alone();
    let threads = scheduler::cgroup::processors().max(2) as i64;
    scheduler::set_num_threads(threads).unwrap();
    warm_up();
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    // Hand-off: from publishing to a worker's first instruction in a tile.
    for (name, pause, rounds) in [("hot", Duration::ZERO, 5000), ("cold", Duration::from_millis(3), 150)] {
        let mut times = Vec::new();
        let mut callers = Vec::new();
        for _ in 0..rounds {
            std::thread::sleep(pause);
            let start = Instant::now();
            let first = AtomicU64::new(0);
            let caller = std::thread::current().id();
            let begun = AtomicU64::new(0);
            run(2, DEAR, &|_| {
                if std::thread::current().id() == caller {
                    let now = start.elapsed();
                    begun.fetch_max(now.as_nanos() as u64, Ordering::Relaxed);
                    while first.load(Ordering::Relaxed) == 0
                        && start.elapsed() < now + Duration::from_millis(1)
                    {
                        std::hint::spin_loop();
                    }
                } else {
                    first.store(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
                }
                Flow::Continue
            })
            .unwrap();
            callers.push(begun.load(Ordering::Relaxed) as f64);
            if first.load(Ordering::Relaxed) > 0 {
                times.push(first.load(Ordering::Relaxed) as f64);
            }
        }
        println!(
            "{name}: a worker starts after {:.2} us in {} of {rounds} runs, the caller after {:.2} us",
            median(times.clone()) / 1e3,
            times.len(),
            median(callers) / 1e3
        );
    }
    // Gain: time of a run of `work` us in 16 tiles against the same on the caller alone.
    for (name, pause, rounds) in [("hot", Duration::ZERO, 500), ("cold", Duration::from_millis(1), 100)] {
        for work in [5_u64, 10, 20, 50, 100, 200, 500] {
            let tile = Duration::from_nanos(work * 1000 / 16);
            let (mut serial, mut parallel) = (Vec::new(), Vec::new());
            for _ in 0..rounds {
                for (times, cost) in [(&mut serial, CHEAP), (&mut parallel, DEAR)] {
                    std::thread::sleep(pause);
                    let start = Instant::now();
                    run(16, cost, &|_| {
                        spin(tile);
                        Flow::Continue
                    })
                    .unwrap();
                    times.push(start.elapsed().as_nanos() as f64 / 1e3);
                }
            }
            println!(
                "{name}: {work} us of work: serial {:.1} us, parallel {:.1} us",
                median(serial),
                median(parallel)
            );
        }
    }
}
