//! Reductions whose elements lie in runs: neighbouring results take their runs in turn, as memory has them.

use crate::kernels::{self, BLOCK, STRIPES};
use crate::memory::arena::with_arena;
use crate::memory::list::List;
use crate::ops::iterate::Cursor;
use crate::ops::reduce_plan::{A, Loop, OUT};
use crate::ops::reduce_run::{Job, Kernels, Place, Tree, Units, whole};
use crate::scheduler;

/// Bytes of a unit's state: half of a first-level cache of 32 KiB.
const STATE_BYTES: usize = 16 << 10;
/// Results of a unit that are not cut further for the threads.
const NARROW: usize = 16;

/// Units of neighbouring results.
pub(super) struct Runs<'a> {
    job: &'a Job,
    /// The kept loop whose results are a unit.
    along: Loop,
    /// The other kept loops.
    rest: List<Loop>,
    width: usize,
    /// Units along the loop.
    across: usize,
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
        let mut rest = kept.clone();
        let along = rest.remove(nearest);
        let extent = along.extent as usize;
        let most = (STATE_BYTES / (STRIPES * lane)).max(1);
        let mut across = extent.div_ceil(most);
        // More units where there are too few for the threads, but not narrow ones, whose calls cost more
        // than what they add: 100 x 100 x 100 of float32 took 67 us in one piece, 86 in strips of 8.
        let threads = scheduler::threads();
        if threads > 1 && across * rest.iter().map(|l| l.extent as usize).product::<usize>() < 2 * threads {
            across = (2 * threads).min(extent / NARROW).max(across);
        }
        let width = extent.div_ceil(across);
        Some(Runs { job, along, rest, width, across: extent.div_ceil(width) })
    }

    fn place(&self, unit: usize) -> Place {
        let cursor = Cursor::new(&self.rest, unit / self.across);
        self.job.origin().offset(&cursor.offsets).step(&self.along, unit % self.across * self.width)
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
                    self.along.strides[A] as isize,
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
    fn count(&self) -> usize {
        self.across * self.rest.iter().map(|l| l.extent as usize).product::<usize>()
    }

    fn columns(&self) -> usize {
        self.width
    }

    fn columns_of(&self, unit: usize) -> usize {
        self.width.min(self.along.extent as usize - unit % self.across * self.width)
    }

    unsafe fn state(
        &self,
        kernels: &Kernels,
        unit: usize,
        blocks: std::ops::Range<usize>,
        centers: *const u8,
        state: *mut u8,
    ) -> bool {
        let base = self.place(unit).operands[0];
        let units = self.columns_of(unit);
        with_arena(|arena| {
            let mut tree = Tree::new(arena, kernels, units, blocks.len(), state);
            for block in blocks {
                let first = block * BLOCK;
                let count = (self.job.n - first).min(BLOCK);
                // SAFETY: elements of the operand; a state of as many units.
                unsafe { self.block(kernels, base, centers, units, (first, count), tree.leaf()) };
                tree.push();
            }
            tree.close();
        });
        false
    }

    unsafe fn finish(&self, unit: usize, state: *mut u8) {
        let Some(finish) = self.job.kernels.finish_runs else { return };
        let out = self.place(unit).out;
        let units = self.columns_of(unit);
        let written = self.job.written;
        let stride = self.along.strides[OUT];
        with_arena(|arena| {
            let together = stride == written.itemsize() as i64;
            let to = if together { out } else { arena.scratch(units * written.itemsize()).as_ptr() };
            // SAFETY: a whole state, as the caller promises, and the unit's own results.
            unsafe {
                finish(to.cast(), state.cast(), units, self.job.divisor);
                if !together {
                    kernels::scatter(written)(out, to, units, stride as isize);
                }
            }
        });
    }

    unsafe fn centers(&self, kernels: &Kernels, unit: usize, to: *mut u8, state: *mut u8) {
        let Some(finish) = kernels.finish_runs else { return };
        // SAFETY: as the caller promises.
        unsafe { finish(to, state, self.columns_of(unit), self.job.n as f64) };
    }

    unsafe fn decide(&self, unit: usize, value: u8) {
        let place = self.place(unit);
        for result in 0..self.columns_of(unit) {
            // SAFETY: the unit's own results, which are bool.
            unsafe { place.step(&self.along, result).out.write(value) };
        }
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
