//! Whether and how many workers an operation wakes: its estimated cost against what handing over costs.

// Measured with `timings` in tests/scheduler.rs on two processors of an AMD EPYC (Zen 5) under KVM, 16 tiles, one
// worker; medians in us, serial against parallel:
//
//   work   polling worker   parked worker
//      5       6.1 / 3.5       6.1 / 13.5
//     10      10.8 / 5.9      10.8 / 18.4
//     20      21.0 / 11.0     21.0 / 28
//     50      50.9 / 26.0     50.9 / 44
//    100     101.0 / 51.2    101.0 / 76
//    200     201.0 / 120     201.0 / 127
//    500     501.0 / 278     501.0 / 283
//
// (The polling column from 200 on wakes the worker too: it has stopped polling during the serial run
// before.) A polling worker begins 0.2 us after the operation is published; a parked one after 30 to
// 60 us, of which the caller spends 8 us on waking it. The thresholds lie where parallel wins clearly,
// so that an estimate that is wrong by a factor of two still costs nothing.

/// Serial time above which a worker that polls is given a part.
pub const HOT_NS: f64 = 8_000.0;
/// Serial time above which parked workers are woken.
pub const COLD_NS: f64 = 100_000.0;
/// Serial time that each thread should have at least, so that entering, claiming and leaving, some
/// 0.5 us and more with many threads, stay small.
pub const SHARE_NS: f64 = 4_000.0;

/// The help an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Help {
    /// Workers that may take part.
    pub workers: usize,
    /// Whether parked ones are woken; else only those that poll see the operation.
    pub wake: bool,
}

/// Help for an operation of `tiles` tiles and `cost_ns` nanoseconds on `threads` threads, when
/// `polling` workers are waiting for one.
#[inline]
pub fn help(cost_ns: f64, tiles: usize, threads: usize, polling: usize) -> Help {
    let wake = cost_ns >= COLD_NS;
    let available = if wake { threads.saturating_sub(1) } else { polling.min(threads.saturating_sub(1)) };
    // Float to integer saturates, and NaN gives 0.
    let worth = (cost_ns / SHARE_NS) as usize;
    Help { workers: available.min(tiles.saturating_sub(1)).min(worth.saturating_sub(1)), wake }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_work_stays_on_the_caller() {
        assert_eq!(help(f64::NAN, 100, 8, 7).workers, 0);
        assert_eq!(help(-1.0, 100, 8, 7).workers, 0);
        assert_eq!(help(SHARE_NS, 100, 8, 7).workers, 0);
        assert_eq!(help(COLD_NS - 1.0, 100, 8, 0), Help { workers: 0, wake: false });
        assert_eq!(help(1e9, 1, 8, 7).workers, 0);
        assert_eq!(help(1e9, 100, 1, 0).workers, 0);
    }

    #[test]
    fn help_is_bounded_by_tiles_threads_and_worth() {
        assert_eq!(help(1e9, 3, 8, 0), Help { workers: 2, wake: true });
        assert_eq!(help(1e9, 100, 8, 0), Help { workers: 7, wake: true });
        assert_eq!(help(f64::INFINITY, 100, 8, 0).workers, 7);
        assert_eq!(help(4.0 * SHARE_NS, 100, 8, 7), Help { workers: 3, wake: false });
        assert_eq!(help(4.0 * SHARE_NS, 100, 8, 1), Help { workers: 1, wake: false });
    }
}
