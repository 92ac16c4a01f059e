//! The loops of a reduction: which axes are kept, which are reduced, in which order they are walked.

use crate::dtype::DType;
use crate::memory::list::List;
use crate::ops::iterate::Axis;
use crate::tensor::Tensor;

/// An operand's elements as stored, and as the kernels take them.
#[derive(Clone, Copy)]
pub(super) struct Operand {
    pub data: *const u8,
    pub stored: DType,
    pub computed: DType,
    pub aligned: bool,
}

impl Operand {
    pub fn new(tensor: &Tensor, computed: DType) -> Operand {
        Operand { data: tensor.data(), stored: tensor.dtype(), computed, aligned: tensor.is_aligned() }
    }

    pub fn casts(&self) -> bool {
        self.stored != self.computed
    }

    pub fn itemsize(&self) -> i64 {
        self.stored.itemsize() as i64
    }
}

/// One loop; strides of the output and of the two operands.
pub(super) type Loop = Axis<3>;

/// Places of the strides in a loop.
pub(super) const OUT: usize = 0;
pub(super) const A: usize = 1;

/// Kept and reduced loops, each outermost first, neither empty; neighbours that are one loop in
/// memory are joined.
pub(super) struct Plan {
    pub kept: List<Loop>,
    pub reduced: List<Loop>,
    /// Bytes from each operand's first element to where the walk starts.
    pub start: [i64; 3],
    /// The kept loop along which the first operand's memory runs, where rows along it are the better
    /// way through the memory.
    pub columns: Option<usize>,
}

impl Plan {
    /// `numbered`: the elements' numbers matter, so that reduced loops keep their order. Else they are
    /// walked in the order of memory.
    pub fn new(out: &Tensor, operands: [&Tensor; 2], reduced: u64, numbered: bool) -> Plan {
        let [a, b] = operands;
        let item = [out.itemsize() as i64, a.itemsize() as i64, b.itemsize() as i64];
        let mut plan = Plan { kept: List::zeros(0), reduced: List::zeros(0), start: [0; 3], columns: None };
        let mut out_stride = item[OUT];
        // The output is C-ordered: the strides of its axes follow from the kept extents.
        for axis in (0..a.ndim()).rev() {
            let extent = a.shape()[axis];
            if extent == 1 {
                continue;
            }
            let is_reduced = reduced >> axis & 1 == 1;
            let mut each = Loop { extent, strides: [0, a.strides()[axis], b.strides()[axis]] };
            if is_reduced {
                if !numbered && each.strides[A] < 0 {
                    for k in 0..3 {
                        plan.start[k] += each.strides[k] * (extent - 1);
                        each.strides[k] = -each.strides[k];
                    }
                }
                plan.reduced.push(each);
            } else {
                each.strides[OUT] = out_stride;
                out_stride *= extent;
                plan.kept.push(each);
            }
        }
        plan.kept.reverse();
        plan.reduced.reverse();
        if !numbered {
            plan.reduced.sort_by_key(|l| std::cmp::Reverse(l.strides[A].unsigned_abs()));
        }
        plan.kept.merge(Loop::with_inner);
        plan.reduced.merge(Loop::with_inner);
        plan.choose_columns();
        if plan.kept.is_empty() {
            plan.kept.push(Loop { extent: 1, strides: [item[OUT], 0, 0] });
        }
        if plan.reduced.is_empty() {
            plan.reduced.push(Loop { extent: 1, strides: [0, item[1], item[2]] });
        }
        plan
    }

    /// Rows pay where the memory of the first operand runs faster along a kept loop than along the
    /// innermost reduced one. A stride of 0 runs nowhere.
    fn choose_columns(&mut self) {
        let run = |l: &Loop| l.strides[A].unsigned_abs();
        let along = self.reduced.last().map_or(u64::MAX, run);
        let candidates = (0..self.kept.len()).filter(|&i| run(&self.kept[i]) > 0);
        let Some(nearest) = candidates.min_by_key(|&i| run(&self.kept[i])) else { return };
        if self.reduced.is_empty() || run(&self.kept[nearest]) >= along {
            return;
        }
        let columns = &mut self.kept[nearest];
        if columns.strides[A] < 0 {
            for k in 0..3 {
                self.start[k] += columns.strides[k] * (columns.extent - 1);
                columns.strides[k] = -columns.strides[k];
            }
        }
        self.columns = Some(nearest);
    }
}
