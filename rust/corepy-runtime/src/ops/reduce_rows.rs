//! Reductions over outer axes: strips of neighbouring columns, whose rows are reduced together.

use crate::kernels::{self, BLOCK, STRIPES};
use crate::memory::arena::with_arena;
use crate::memory::tuning::{self, Class};
use crate::ops::iterate::Cursor;
use crate::ops::reduce_cut::Cut;
use crate::ops::reduce_plan::{A, Operand};
use crate::ops::reduce_run::{Job, Kernels, Slot, Units, blocks_state, whole};
use crate::scheduler;

/// Bytes of a strip's state: a quarter of a second-level cache of 512 KiB.
const STATE_BYTES: usize = 128 << 10;
/// Elements of a strip that has no state, as its rows are one block: some 20 us.
const FEW_ELEMENTS: usize = 256 << 10;
/// The same where they are copied together first.
const FEW_STAGED_ELEMENTS: usize = 64 << 10;
/// Columns that kernels of such strips take at a time.
const FEW_TOGETHER: usize = 64;
/// Columns below which a strip no longer fills cache lines and registers.
const NARROW: usize = 128;
/// Bytes of a row below which rows with gaps are slower than copying them together first.
const SHORT_ROW: i64 = 64;

/// Units of neighbouring columns, whose rows are reduced together.
pub(super) struct Strips<'a> {
    job: &'a Job,
    cut: Cut<'a>,
    /// Rows must be copied together even where a block of them has one stride.
    apart: bool,
    staged: bool,
    /// The rows are one block: strips have no state, totals stay in registers.
    few: bool,
}

impl<'a> Strips<'a> {
    pub fn new(job: &'a Job, column: usize) -> Strips<'a> {
        let columns = &job.plan.kept[column];
        let extent = columns.extent as usize;
        let reduced = &job.plan.reduced;
        let item = job.operands[0].itemsize();
        let row = item * columns.extent;
        let gaps = reduced.last().is_some_and(|l| l.strides[A] != row);
        // Kernels take both operands of a product with one distance between rows.
        let unlike = job.count == 2 && reduced.iter().any(|l| l.strides[A] != l.strides[A + 1]);
        let apart = !job.direct(columns) || (row < SHORT_ROW && gaps) || unlike;
        let staged = apart || reduced.len() > 1;
        let lane = job.kernels.lane_bytes.max(job.centers.as_ref().map_or(0, |c| c.lane_bytes));
        let levels = job.blocks().ilog2() as usize + 2;
        // Of the arena, all states on the way up a strip's tree have three quarters, gathered rows the rest.
        let share = tuning::share(Class::Reduction);
        let (stack_bytes, staged_bytes) = (share / 4 * 3, share / 4);
        let few = job.n <= BLOCK;
        let mut most = match few {
            true => (if staged { FEW_STAGED_ELEMENTS } else { FEW_ELEMENTS }) / job.n,
            false => STATE_BYTES.min(stack_bytes / levels) / (STRIPES * lane),
        };
        if staged {
            let bytes = |o: &Operand| o.stored.itemsize() + if o.casts() { o.computed.itemsize() } else { 0 };
            let each: usize = job.operands[..job.count].iter().map(bytes).sum();
            // Strips without states have all of it.
            let room = if few { share } else { staged_bytes };
            most = most.min(room / (BLOCK.min(job.n) * each)) / 16 * 16;
        }
        let mut across = extent.div_ceil(most.max(16));
        // More strips where the blocks of the rows do not suffice for the threads: as many for each, where
        // there are enough.
        let threads = scheduler::threads();
        if job.blocks() < threads {
            let most = extent / NARROW;
            across =
                across.max((2 * threads).min(if most < threads { most } else { most / threads * threads }));
        }
        let even = extent.div_ceil(across);
        let fits = !staged || even.next_multiple_of(FEW_TOGETHER) <= most;
        let together = if few && fits { FEW_TOGETHER } else { 16 };
        let width = even.next_multiple_of(together).min(extent);
        Strips { job, cut: Cut::new(job, column, width), apart, staged, few }
    }

    /// Rows of one block: there is no state.
    fn few(&self, unit: usize) {
        let job = self.job;
        let base = self.cut.place(unit).operands;
        let columns = self.cut.width_of(unit);
        with_arena(|arena| {
            let slots = Slot::pair(job, arena, if self.staged { job.n * columns } else { 0 });
            // SAFETY: rows of the operands, and the slots have room for them; the unit's own results.
            unsafe {
                let (a, step) = self.rows(0, base[0], 0, job.n, columns, &slots[0]);
                let b = match job.count {
                    2 => self.rows(1, base[1], 0, job.n, columns, &slots[1]).0,
                    _ => std::ptr::null(),
                };
                self.cut.write(unit, |out| {
                    (job.kernels.columns)(out, a, b, job.n, step, columns, job.divisor);
                });
            }
        });
    }

    /// Rows first ... first + count - 1 of `columns` elements of operand `k`, and the bytes from one to the
    /// next, which are the same for both operands.
    ///
    /// # Safety
    /// They lie inside the operand seen from `base`, and the slot has room for them.
    unsafe fn rows(
        &self,
        k: usize,
        base: *const u8,
        first: usize,
        count: usize,
        columns: usize,
        slot: &Slot,
    ) -> (*const u8, isize) {
        let operand = &self.job.operands[k];
        let reduced = &self.job.plan.reduced;
        let Some((inner, outer)) = reduced.split_last() else { return (base, 0) };
        let extent = inner.extent as usize;
        let mut cursor = Cursor::new(outer, first / extent);
        let mut row = first % extent;
        let at = |offsets: &[i64; 3], row: usize| {
            base.wrapping_offset((offsets[A + k] + inner.strides[A + k] * row as i64) as isize)
        };
        if !self.apart && row + count <= extent {
            return (at(&cursor.offsets, row), inner.strides[A + k] as isize);
        }
        let gather = kernels::gather(operand.stored);
        let bytes = columns * operand.stored.itemsize();
        let mut start = at(&cursor.offsets, row);
        for i in 0..count {
            // SAFETY: one row of the operand; the slot has room for `count`.
            unsafe {
                gather(
                    slot.stored.wrapping_add(i * bytes),
                    start,
                    columns,
                    self.cut.along.strides[A + k] as isize,
                )
            };
            row += 1;
            start = start.wrapping_offset(inner.strides[A + k] as isize);
            if row == extent {
                row = 0;
                cursor.forward();
                start = at(&cursor.offsets, 0);
            }
        }
        if operand.casts() {
            // SAFETY: the elements just gathered; scratch is aligned.
            unsafe {
                kernels::cast(operand.stored, operand.computed)(slot.computed, slot.stored, count * columns)
            };
        }
        (slot.computed, (columns * operand.computed.itemsize()) as isize)
    }
}

impl Units for Strips<'_> {
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
        let job = self.job;
        let base = self.cut.place(unit).operands;
        let columns = self.cut.width_of(unit);
        with_arena(|arena| {
            let room = if self.staged { BLOCK.min(job.n) * columns } else { 0 };
            let slots = Slot::pair(job, arena, room);
            blocks_state(arena, kernels, columns, blocks, job.n, state, |first, count, leaf| {
                // SAFETY: rows of the operand; the slot has room for a block of them.
                let (a, stride) = unsafe { self.rows(0, base[0], first, count, columns, &slots[0]) };
                let b = match job.count {
                    // SAFETY: the same of the other operand.
                    2 => unsafe { self.rows(1, base[1], first, count, columns, &slots[1]).0 },
                    _ => centers,
                };
                // SAFETY: `count` rows of `columns` elements, and a state of as many columns.
                unsafe { (kernels.rows)(leaf, a, b, count, stride, columns, first) != 0 }
            })
        })
    }

    unsafe fn finish(&self, unit: usize, state: *mut u8) {
        let (job, columns) = (self.job, self.cut.width_of(unit));
        // SAFETY: a whole state, as the caller promises, and the unit's own results.
        unsafe { self.cut.write(unit, |out| (job.kernels.finish)(out, state, columns, job.divisor)) };
    }

    unsafe fn centers(&self, kernels: &Kernels, unit: usize, to: *mut u8, state: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { (kernels.finish)(to, state, self.cut.width_of(unit), self.job.n as f64) };
    }

    fn is_staged(&self) -> bool {
        self.staged
    }

    fn kernel(&self, _: bool) -> &'static str {
        if self.few { "columns" } else { "rows" }
    }

    fn whole(&self, units: std::ops::Range<usize>) {
        let job = self.job;
        if self.few {
            return units.for_each(|unit| self.few(unit));
        }
        whole(self, job, units);
    }
}
