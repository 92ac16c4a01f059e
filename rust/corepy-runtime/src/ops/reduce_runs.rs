//! Reductions whose elements lie in runs: neighbouring results take their runs in turn, as memory has them.

use crate::kernels::{BLOCK, STRIPES};
use crate::memory::arena::with_arena;
use crate::ops::iterate::Cursor;
use crate::ops::reduce_cut::Cut;
use crate::ops::reduce_plan::A;
use crate::ops::reduce_run::{Job, Kernels, Units, blocks_state, whole};
use crate::scheduler;

/// Bytes of a unit's state: half of a first-level cache of 32 KiB.
const STATE_BYTES: usize = 16 << 10;
/// Results of a unit that are not cut further for the threads.
const NARROW: usize = 16;

/// Units of neighbouring results.
pub(super) struct Runs<'a> {
    job: &'a Job,
    cut: Cut<'a>,
}

impl<'a> Runs<'a> {
    /// Nothing where elements lie otherwise, or the family has no kernel for runs.
    pub fn of(job: &'a Job) -> Option<Runs<'a>> {
        let lane = job.kernels.lane_bytes.max(job.centers.as_ref().map_or(0, |c| c.lane_bytes));
        let reduced = &job.plan.reduced;
        let inner = reduced.last()?;
        let kernels = job.kernels.runs.is_some() && job.centers.as_ref().is_none_or(|c| c.runs.is_some());
        if !kernels || job.count != 1 || reduced.len() < 2 || job.n <= BLOCK || !job.direct(inner) {
            return None;
        }
        let kept = &job.plan.kept;
        let nearest = (0..kept.len()).min_by_key(|&i| kept[i].strides[A].unsigned_abs())?;
        let extent = kept[nearest].extent as usize;
        let rest = kept.iter().map(|l| l.extent as usize).product::<usize>() / extent;
        let most = (STATE_BYTES / (STRIPES * lane)).max(1);
        let mut across = extent.div_ceil(most);
        // More units where there are too few for the threads, but not narrow ones, whose calls cost more
        // than what they add: 100 x 100 x 100 of float32 took 67 us in one piece, 86 in strips of 8.
        let threads = scheduler::threads();
        if threads > 1 && across * rest < 2 * threads {
            across = (2 * threads).min(extent / NARROW).max(across);
        }
        Some(Runs { job, cut: Cut::new(job, nearest, extent.div_ceil(across)) })
    }

    /// Adds elements first ... first + count - 1, at most a block that the first of them starts, of
    /// `units` results to their states.
    ///
    /// # Safety
    /// They lie inside the operand seen from `base`; `state` and `centers` have room for the units.
    unsafe fn block(
        &self,
        kernels: &Kernels,
        base: *const u8,
        centers: *const u8,
        units: usize,
        (first, count): (usize, usize),
        state: *mut u8,
    ) {
        let Some(add) = kernels.runs else { return };
        let [outer @ .., middle, inner] = &self.job.plan.reduced[..] else { return };
        let (length, rows) = (inner.extent as usize, middle.extent as usize);
        let mut done = 0;
        while done < count {
            let (row, column) = ((first + done) / length, (first + done) % length);
            let (plane, place) = (row / rows, row % rows);
            let offsets = Cursor::new(outer, plane).offsets;
            let start = offsets[A] + middle.strides[A] * place as i64 + inner.strides[A] * column as i64;
            let left = count - done;
            // Whole runs as far as there are, or the part of one.
            let (runs, n) = match column == 0 && left >= length {
                true => ((left / length).min(rows - place), length),
                false => (1, left.min(length - column)),
            };
            // SAFETY: `runs` runs of n elements of each unit.
            unsafe {
                add(
                    state,
                    base.wrapping_offset(start as isize).cast(),
                    centers.cast(),
                    units,
                    self.cut.along.strides[A] as isize,
                    runs,
                    middle.strides[A] as isize,
                    n,
                    done,
                )
            };
            done += runs * n;
        }
    }
}

impl Units for Runs<'_> {
    fn cut(&self) -> &Cut<'_> {
        &self.cut
    }

    unsafe fn state(
        &self,
        kernels: &Kernels,
        unit: usize,
        blocks: std::ops::Range<usize>,
        centers: *const u8,
        state: *mut u8,
    ) -> bool {
        let base = self.cut.place(unit).operands[0];
        let units = self.cut.width_of(unit);
        with_arena(|arena| {
            blocks_state(arena, kernels, units, blocks, self.job.n, state, |first, count, leaf| {
                // SAFETY: elements of the operand; a state of as many units.
                unsafe { self.block(kernels, base, centers, units, (first, count), leaf) };
                false
            })
        })
    }

    unsafe fn finish(&self, unit: usize, state: *mut u8) {
        let Some(finish) = self.job.kernels.finish_runs else { return };
        let units = self.cut.width_of(unit);
        // SAFETY: a whole state, as the caller promises, and the unit's own results.
        unsafe { self.cut.write(unit, |out| finish(out, state, units, self.job.divisor)) };
    }

    unsafe fn centers(&self, kernels: &Kernels, unit: usize, to: *mut u8, state: *mut u8) {
        let Some(finish) = kernels.finish_runs else { return };
        // SAFETY: as the caller promises.
        unsafe { finish(to, state, self.cut.width_of(unit), self.job.n as f64) };
    }

    fn is_staged(&self) -> bool {
        false
    }

    fn kernel(&self, _: bool) -> &'static str {
        "runs"
    }

    fn whole(&self, units: std::ops::Range<usize>) {
        whole(self, self.job, units);
    }
}
