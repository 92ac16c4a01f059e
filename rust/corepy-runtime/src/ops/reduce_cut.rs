//! The results of a reduction, cut into units of neighbouring ones.

use crate::kernels;
use crate::memory::arena::with_arena;
use crate::memory::list::List;
use crate::ops::iterate::Cursor;
use crate::ops::reduce_plan::{Loop, OUT};
use crate::ops::reduce_run::{Job, Place};

pub(super) struct Cut<'a> {
    job: &'a Job,
    /// The kept loop whose results are units.
    pub along: Loop,
    /// The other kept loops.
    rest: List<Loop>,
    /// Most results of a unit.
    pub width: usize,
    /// Units along the loop.
    across: usize,
}

impl<'a> Cut<'a> {
    /// Cuts a kept loop, by its number, into units of `width` results and one of the rest.
    pub fn new(job: &'a Job, number: usize, width: usize) -> Cut<'a> {
        let mut rest = job.plan.kept.clone();
        let along = rest.remove(number);
        Cut { job, along, rest, width, across: (along.extent as usize).div_ceil(width) }
    }

    /// How many units there are.
    pub fn count(&self) -> usize {
        self.across * self.rest.iter().map(|l| l.extent as usize).product::<usize>()
    }

    /// Results of a unit.
    pub fn width_of(&self, unit: usize) -> usize {
        self.width.min(self.along.extent as usize - unit % self.across * self.width)
    }

    /// Where a unit begins.
    pub fn place(&self, unit: usize) -> Place {
        let cursor = Cursor::new(&self.rest, unit / self.across);
        self.job.origin().offset(&cursor.offsets).step(&self.along, unit % self.across * self.width)
    }

    /// Has `write` put a unit's results side by side, and takes them to where they belong.
    ///
    /// # Safety
    /// `write` writes as many results as the unit has, and nothing else writes them meanwhile.
    pub unsafe fn write(&self, unit: usize, write: impl FnOnce(*mut u8)) {
        let (out, written) = (self.place(unit).out, self.job.written);
        let stride = self.along.strides[OUT];
        if stride == written.itemsize() as i64 {
            return write(out);
        }
        let count = self.width_of(unit);
        with_arena(|arena| {
            let together = arena.scratch(count * written.itemsize()).as_ptr();
            write(together);
            // SAFETY: the results just written, and the unit's own places.
            unsafe { kernels::scatter(written)(out, together, count, stride as isize) };
        });
    }

    /// Writes one value to all of a unit's results, which are bool.
    ///
    /// # Safety
    /// Nothing else writes the unit's results meanwhile.
    pub unsafe fn decide(&self, unit: usize, value: u8) {
        let place = self.place(unit);
        for result in 0..self.width_of(unit) {
            // SAFETY: the unit's own results.
            unsafe { place.step(&self.along, result).out.write(value) };
        }
    }
}
