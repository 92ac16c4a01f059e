//! Whether and how many workers an operation wakes: its estimated cost against what handing over costs.

use super::threads;
use super::tuning::{self, Class, Cost, Table};
use crate::dtype::DType;
use std::time::Instant;

// Measured with `timings` in tests/scheduler.rs on two processors of an AMD EPYC (Zen 5) under KVM, 16 tiles, one
// worker; medians in us, serial against parallel:
//
//   work   polling worker   sleeping worker
//      5       6.1 / 3.5       6.1 / 15.6
//     10      11.1 / 6.0      11.1 / 20
//     20      21.0 / 11.0     21.1 / 31
//     50      50.9 / 26.0     51.0 / 45
//    100     101.0 / 51.3    101.1 / 70
//    200     201.0 / 120     201.2 / 122
//    500     501.0 / 276     501.3 / 280
//
// (The polling column from 200 on wakes the worker too: it has stopped polling during the serial run
// before.) A polling worker begins 0.2 us after the operation is published; a sleeping one after 25 to
// 31 us, of which the caller spends 11 us on waking it. The thresholds lie where parallel wins clearly,
// so that an estimate that is wrong by a factor of two still costs nothing.

/// Serial time above which a worker that polls is given a part: 5 us as shipped. Most of it is
/// there for estimates that are wrong, whatever handing over takes.
#[inline]
pub fn hot_ns() -> f64 {
    4_000.0 + 4.0 * tuning::get(Cost::HandOffHotNs)
}

/// Serial time above which sleeping workers are woken: some 56 us as shipped. Operations that come alone
/// find their data in no near cache and take two to four times what is estimated: the sum of 1,000,000
/// float64, 77 us, took 310 us on one thread and 170 to 220 with the worker.
#[inline]
pub fn cold_ns() -> f64 {
    2.0 * tuning::get(Cost::HandOffColdNs)
}

/// Serial time of operations in close succession after which workers are woken for the next one of
/// them, though it alone would not pay: 25 times the caller's cost of waking one, which is lost where
/// no more follow. With `a + b` on 300,000 float32 again and again, 39 us serial, this is 21 us.
#[inline]
pub fn burst_ns() -> f64 {
    8.0 * tuning::get(Cost::HandOffColdNs)
}

/// Longest pause between operations in close succession: half of the time that a worker polls.
pub const PAUSE_NS: u64 = 50_000;
/// Serial time that each thread should have at least, so that entering, claiming and leaving, some
/// 0.5 us and more with many threads, stay small: 2.6 us as shipped.
#[inline]
pub fn share_ns() -> f64 {
    2_000.0 + 2.0 * tuning::get(Cost::HandOffHotNs)
}

/// Whether an operation that reads and writes so many bytes stores its results past the caches: from
/// 36 MiB on as shipped. Two
/// threads of an AMD EPYC (Zen 5) with 32 MiB of level-3 cache and results that alternate between two
/// blocks, medians in us of kernels that store as usual / past the caches:
///
///   MB read and written        12           24           36           60           120          360
///   two arrays added       60 / 97     170 / 200    397 / 343    707 / 541   1621 / 1282  5189 / 4206
///   one array copied (MB)       8           16           24           40            80          240
///                          39 / 97     115 / 198    333 / 295    432 / 391   1053 / 948   3959 / 3131
#[inline]
pub fn is_past_caches(bytes: usize) -> bool {
    bytes as f64 >= tuning::get(Cost::PastCachesBytes)
}

/// The number of three that is for as many bytes: where they lie in the second-level cache, in the third, in
/// memory.
#[inline]
fn by_level(table: &Table, bytes: usize, numbers: [Cost; 3]) -> f64 {
    let bytes = bytes as f64;
    let beyond = |cost| usize::from(bytes > table.get(cost));
    table.get(numbers[beyond(Cost::SecondBytes) + beyond(Cost::ThirdBytes)])
}

/// Estimated ns to read or write one byte on one thread, of as many as an operation moves.
#[inline]
pub fn byte_ns(bytes: usize) -> f64 {
    let numbers = [Cost::MoveSecondNs, Cost::MoveThirdNs, Cost::MoveMemoryNs];
    by_level(tuning::in_use(), bytes, numbers)
}

/// The same for operations that write little.
#[inline]
pub fn read_byte_ns(bytes: usize) -> f64 {
    let numbers = [Cost::ReadSecondNs, Cost::ReadThirdNs, Cost::ReadMemoryNs];
    by_level(tuning::in_use(), bytes, numbers)
}

/// Estimated ns for the arithmetic of one element.
#[inline]
pub fn class_ns(class: Class, dtype: DType) -> f64 {
    tuning::in_use().element(class, dtype)
}

/// Estimated ns for one of `size` elements on one thread, for each of which an operation reads and writes
/// `bytes`: its arithmetic, or moving its bytes where that takes longer, as processors do both at once.
#[inline]
pub fn element_ns(class: Class, dtype: DType, bytes: usize, size: usize) -> f64 {
    class_ns(class, dtype).max(bytes as f64 * byte_ns(bytes.saturating_mul(size)))
}

/// The same for operations that write little.
#[inline]
pub fn read_ns(class: Class, dtype: DType, bytes: usize, size: usize) -> f64 {
    class_ns(class, dtype).max(bytes as f64 * read_byte_ns(bytes.saturating_mul(size)))
}

/// Estimated ns for the conversion of one element.
#[inline]
pub fn cast_ns(from: DType, to: DType) -> f64 {
    class_ns(Class::CastFrom, from).max(class_ns(Class::CastTo, to))
}

/// Work of a tile: several times what claiming it costs, some 20 ns and more where many threads do.
pub const TILE_NS: f64 = 8_000.0;
/// The least work of a tile, where there is little work in all.
pub const LEAST_TILE_NS: f64 = 1_000.0;
/// Work of a tile that has something to prepare before its first element.
pub const LONG_TILE_NS: f64 = 20_000.0;
/// The most work of a tile: Ctrl-C waits for one, and is answered within 100 ms.
pub const LONGEST_TILE_NS: f64 = 20e6;

/// Parts of `work` that take `ns` each in a tile of about `tile_ns`; at least one.
#[inline]
pub fn tile(ns: f64, tile_ns: f64) -> usize {
    // Float to integer saturates, and NaN gives 0.
    ((tile_ns / ns) as usize).max(1)
}

/// Elements of a tile, of `size` that take `ns` each: four tiles a thread at least, so that the last ones even
/// out.
#[inline]
pub fn elements(ns: f64, size: usize) -> usize {
    let even = size / (4 * threads());
    even.clamp(tile(ns, LEAST_TILE_NS), tile(ns, TILE_NS))
}

/// The help an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Help {
    /// Workers that may take part.
    pub workers: usize,
    /// Whether parked ones are woken; else only those that poll see the operation.
    pub wake: bool,
}

/// Operations of one thread that follow one another closely and are too short to wake workers for.
#[derive(Clone, Copy)]
pub struct Burst {
    /// Their serial time so far.
    serial_ns: f64,
    /// When the last one began, and its serial time.
    began: Option<(Instant, f64)>,
}

impl Burst {
    pub const NONE: Burst = Burst { serial_ns: 0.0, began: None };

    /// Counts an operation; whether it is worth waking workers for, as more are likely to follow.
    pub fn goes_on(&mut self, cost_ns: f64) -> bool {
        let now = Instant::now();
        let close = self.began.is_some_and(|(began, last_ns)| {
            // An estimate may be wrong by a factor of two.
            now.duration_since(began).as_nanos() as f64 <= 2.0 * last_ns + PAUSE_NS as f64
        });
        self.serial_ns = if close { self.serial_ns + cost_ns } else { cost_ns };
        self.began = Some((now, cost_ns));
        let wake = self.serial_ns > burst_ns();
        if wake {
            // Should the workers fall asleep again, as much has to follow before they are woken.
            self.serial_ns = 0.0;
        }
        wake
    }
}

/// Help for an operation of `tiles` tiles and `cost_ns` nanoseconds on `threads` threads, when
/// `polling` workers are waiting for one. `wakes` says to wake others, whatever the cost.
#[inline]
pub fn help(cost_ns: f64, tiles: usize, threads: usize, polling: usize, wakes: bool) -> Help {
    let wake = wakes || cost_ns >= cold_ns();
    let available = if wake { threads.saturating_sub(1) } else { polling.min(threads.saturating_sub(1)) };
    // Float to integer saturates, and NaN gives 0.
    let worth = (cost_ns / share_ns()) as usize;
    Help { workers: available.min(tiles.saturating_sub(1)).min(worth.saturating_sub(1)), wake }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn bursts_wake_after_a_while_and_pauses_end_them() {
        let mut burst = Burst::NONE;
        let count = (burst_ns() / 20_000.0) as usize;
        let woke: Vec<bool> = (0..3 * count).map(|_| burst.goes_on(20_000.0)).collect();
        // A machine that stops in between begins a new burst.
        if woke.iter().any(|&w| w) {
            assert!(!woke[..count].iter().any(|&w| w));
        }
        for _ in 0..20 {
            std::thread::sleep(Duration::from_micros(200));
            assert!(!burst.goes_on(20_000.0));
        }
    }

    #[test]
    fn small_work_stays_on_the_caller() {
        assert_eq!(help(f64::NAN, 100, 8, 7, false).workers, 0);
        assert_eq!(help(-1.0, 100, 8, 7, false).workers, 0);
        assert_eq!(help(share_ns(), 100, 8, 7, false).workers, 0);
        assert_eq!(help(cold_ns() - 1.0, 100, 8, 0, false), Help { workers: 0, wake: false });
        assert_eq!(help(1e9, 1, 8, 7, false).workers, 0);
        assert_eq!(help(1e9, 100, 1, 0, false).workers, 0);
    }

    #[test]
    fn help_is_bounded_by_tiles_threads_and_worth() {
        assert_eq!(help(1e9, 3, 8, 0, false), Help { workers: 2, wake: true });
        assert_eq!(help(1e9, 100, 8, 0, false), Help { workers: 7, wake: true });
        assert_eq!(help(f64::INFINITY, 100, 8, 0, false).workers, 7);
        assert_eq!(help(4.0 * share_ns(), 100, 8, 7, false), Help { workers: 3, wake: false });
        assert_eq!(help(4.0 * share_ns(), 100, 8, 1, false), Help { workers: 1, wake: false });
    }
}
