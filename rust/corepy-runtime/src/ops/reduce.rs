//! Reductions: dtypes, result shapes, and the straight path for small contiguous tensors.
//!
//! Elements are numbered in logical row-major order of the reduced axes, and the kernels combine them
//! in an order that depends on those numbers alone. Nothing in this file or in `reduce_plan` and
//! `reduce_run` can therefore change a bit: neither the path taken, nor where work is cut, nor how
//! many threads there are.

use crate::dtype::{self, DType, Kind};
use crate::error::{Error, Result};
use crate::generated::ops::{FAMILY_COSTS, FAMILY_DTYPES, Family, REDUCTIONS, Reduce, Reduction, ResultRule};
use crate::kernels::{self, BLOCK};
use crate::layout::{self, Dims};
use crate::ops::copy;
use crate::ops::elementwise;
use crate::ops::exact_sum;
use crate::ops::reduce_plan::{Operand, Plan};
use crate::ops::reduce_run::{Job, Kernels};
use crate::scheduler::cost;
use crate::scheduler::tuning::Class;
use crate::tensor::Tensor;
use crate::trace;

/// Elements up to which contiguous ones go straight to the kernel, whatever the reduction costs: at most a few
/// hundred ns of work.
const STRAIGHT: usize = 64;

/// Reduces the elements along `axes` (of the tensor, each once; `None` for all) to one each.
pub fn reduce(
    op: Reduce,
    x: &Tensor,
    axes: Option<&[usize]>,
    keepdims: bool,
    dtype: Option<DType>,
    correction: f64,
) -> Result<Tensor> {
    let name = REDUCTIONS[op as usize].name;
    let describe = |call: &mut trace::Call| _ = call.operands([x]).kernel("each");
    trace::operation(name, describe, || reduce_untraced(op, x, axes, keepdims, dtype, correction))
}

fn reduce_untraced(
    op: Reduce,
    x: &Tensor,
    axes: Option<&[usize]>,
    keepdims: bool,
    dtype: Option<DType>,
    correction: f64,
) -> Result<Tensor> {
    let row = &REDUCTIONS[op as usize];
    let computed = computed_dtype(row, x.dtype(), dtype)?;
    let written = written_dtype(row, computed);
    let (reduced, shape, n) = divide_shape(x, axes, keepdims);
    let out = Tensor::empty(row.name, &shape, written)?;
    if out.size() > 0 {
        if n == 0 && row.empty_is_error {
            return Err(Error::EmptyReduction { op: row.name, shape: layout::show(x.shape()) });
        }
        let divisor = match row.family {
            Family::Var | Family::Std => n as f64 - correction,
            _ => n as f64,
        };
        if row.family == Family::Mean && n > 0 && is_summed_exactly(x.dtype(), n) {
            // The float64 sum would have the same value and no error, and so the same quotient: converting
            // the elements took ten times as long.
            let sum = &REDUCTIONS[Reduce::Sum as usize];
            let (family, computed) = (sum.family, x.dtype());
            let sums = out.view_as(0, written_dtype(sum, computed), out.shape(), out.strides());
            Work { op: row.name, family, computed, n, divisor }.run(&sums, [x, x], 1, reduced)?;
            elementwise::divide_to(&out, &sums, divisor)?;
            return Ok(out);
        }
        let work = Work { op: row.name, family: row.family, computed, n, divisor };
        work.run(&out, [x, x], 1, reduced)?;
        if row.family == Family::ExactSum {
            exact_sum::settle(row.name, &out, x, reduced, n)?;
        }
    }
    match dtype {
        Some(wanted) if wanted != written => copy::astype(&out, wanted, row.name),
        _ => Ok(out),
    }
}

/// The sums of products along the last axis of two tensors of one shape and dtype; `family` is
/// `Vecdot`, which conjugates the first, or `Dot`.
pub fn vecdot(op: &'static str, family: Family, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let describe = |call: &mut trace::Call| _ = call.operands([a, b]).kernel("each");
    trace::operation(op, describe, || vecdot_untraced(op, family, a, b))
}

fn vecdot_untraced(op: &'static str, family: Family, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let dtype = a.dtype();
    if dtype != b.dtype() || a.shape() != b.shape() {
        return Err(Error::Internal {
            op,
            what: "operands of a dot product differ in shape or dtype".to_owned(),
        });
    }
    check_computes(op, dtype)?;
    if !FAMILY_DTYPES[family as usize].contains(dtype) {
        let accepted = FAMILY_DTYPES[family as usize].names;
        return Err(Error::DtypeRefused { op, dtype: dtype.name(), accepted });
    }
    let Some((&last, shape)) = a.shape().split_last() else {
        return Err(Error::NeedsAxes { op, needed: 1, ndim: 0 });
    };
    let out = Tensor::empty(op, shape, dtype)?;
    if out.size() > 0 {
        let n = last as usize;
        let work = Work { op, family, computed: dtype, n, divisor: n as f64 };
        work.run(&out, [a, b], 2, 1 << shape.len())?;
    }
    Ok(out)
}

fn check_computes(op: &'static str, dtype: DType) -> Result<()> {
    if dtype.computes() { Ok(()) } else { Err(Error::StorageDtype { op, dtype: dtype.name() }) }
}

/// The dtype that elements are converted to before they are reduced.
fn computed_dtype(row: &Reduction, stored: DType, wanted: Option<DType>) -> Result<DType> {
    check_computes(row.name, stored)?;
    let computed = match wanted {
        Some(wanted) => {
            check_computes(row.name, wanted)?;
            if stored.kind() == Kind::Complex && !matches!(wanted.kind(), Kind::Complex | Kind::Bool) {
                return Err(Error::ComplexToReal { op: row.name, from: stored.name(), to: wanted.name() });
            }
            wanted
        }
        None if row.result == ResultRule::Floating
            && !matches!(stored.kind(), Kind::Floating | Kind::Complex) =>
        {
            DType::Float64
        }
        None => stored,
    };
    if row.dtypes.contains(computed) {
        return Ok(computed);
    }
    // Where integers are converted, all of them are accepted beside what the kernels take.
    let accepted = match row.result {
        ResultRule::Floating if row.dtypes.bits == dtype::REAL_FLOATING.bits => dtype::REAL_OR_BOOL.names,
        _ => row.dtypes.names,
    };
    Err(Error::DtypeRefused { op: row.name, dtype: stored.name(), accepted })
}

/// Whether no sum of `n` elements, nor of fewer, exceeds 2^53, up to which float64 has all integers.
fn is_summed_exactly(dtype: DType, n: usize) -> bool {
    let integer = matches!(dtype.kind(), Kind::Bool | Kind::Signed | Kind::Unsigned);
    integer && dtype.itemsize() <= 4 && n <= 1 << (53 - 8 * dtype.itemsize())
}

/// The dtype that the kernels write.
fn written_dtype(row: &Reduction, computed: DType) -> DType {
    match row.result {
        ResultRule::Bool => DType::Bool,
        ResultRule::Index => DType::Int64,
        ResultRule::Sum => match computed.kind() {
            Kind::Bool | Kind::Signed => DType::Int64,
            Kind::Unsigned => DType::Uint64,
            _ => computed,
        },
        _ => computed,
    }
}

/// The reduced axes as bits, the result's shape, and how many elements one result is made of.
#[inline]
fn divide_shape(x: &Tensor, axes: Option<&[usize]>, keepdims: bool) -> (u64, Dims, usize) {
    let shape = x.shape();
    let reduced = match axes {
        None => u64::MAX,
        Some(axes) => axes.iter().fold(0, |bits, &axis| bits | 1 << axis),
    };
    let is_reduced = |axis: usize| reduced >> axis & 1 == 1;
    let mut n = 1usize;
    for (axis, &extent) in shape.iter().enumerate() {
        if is_reduced(axis) {
            // At most the tensor's size, unless that is 0: then the loops never run.
            n = n.saturating_mul(extent as usize);
        }
    }
    let kept = shape.iter().enumerate().filter_map(|(axis, &extent)| match is_reduced(axis) {
        true => keepdims.then_some(1),
        false => Some(extent),
    });
    (reduced, kept.collect(), n)
}

/// Elements that any, all and the extremes of bool look at before anything is planned: some 20 ns.
const EARLY: usize = 4 * BLOCK;
/// The same of searches for an index, which go on from there more slowly.
const EARLY_INDEX: usize = 128;

pub(super) struct Work {
    pub op: &'static str,
    pub family: Family,
    pub computed: DType,
    pub n: usize,
    pub divisor: f64,
}

impl Work {
    /// Reduces `count` operands of one shape to `out`, which is contiguous and not empty.
    #[inline]
    pub fn run(&self, out: &Tensor, operands: [&Tensor; 2], count: usize, reduced: u64) -> Result<()> {
        let [a, b] = operands;
        let dense = |t: &Tensor| t.dtype() == self.computed && t.is_contiguous();
        // Below the cost of handing work over, contiguous elements go straight to the kernel.
        let straight = dense(a)
            && dense(b)
            && (out.size() == 1 || reduces_trailing(a.ndim(), reduced))
            && (a.size() <= STRAIGHT || self.ns(a.size(), count) * (a.size() as f64) < cost::hot_ns());
        if straight || self.n == 0 {
            let Some(each) = kernels::reduction(self.family, self.computed).each else {
                return Err(self.no_kernel());
            };
            let stride = (self.n * self.computed.itemsize()) as isize;
            let second = if count == 2 { b.data().cast_const() } else { std::ptr::null() };
            // SAFETY: out holds `out.size()` results; the operands hold as many groups of n elements,
            // one after the other. With n = 0 no element is read.
            unsafe { each(out.data(), a.data(), second, out.size(), stride, stride, self.n, self.divisor) };
            return Ok(());
        }
        if out.size() == 1 && dense(a) && self.is_decided_early(out, a) {
            return Ok(());
        }
        self.plan_and_run(out, operands, count, reduced)
    }

    /// Estimated ns for one of `size` elements of each operand on one thread, its part of a result included.
    fn ns(&self, size: usize, count: usize) -> f64 {
        let class = FAMILY_COSTS[self.family as usize];
        let element = cost::read_ns(class, self.computed, count * self.computed.itemsize(), size);
        let group = if self.n <= kernels::STRIPES { Class::ShortGroup } else { Class::LongGroup };
        element + cost::class_ns(group, self.computed) / self.n.max(1) as f64
    }

    /// The result once a kernel says that no further element can change it.
    #[inline]
    fn decided(&self) -> Option<u8> {
        match (self.family, self.computed) {
            (Family::Any, _) | (Family::Max, DType::Bool) => Some(1),
            (Family::All, _) | (Family::Min, DType::Bool) => Some(0),
            _ => None,
        }
    }

    /// Whether the first elements decide the one result, which is then written: planning and sharing
    /// out take longer than looking at them.
    fn is_decided_early(&self, out: &Tensor, a: &Tensor) -> bool {
        let index = matches!(self.family, Family::Argmin | Family::Argmax);
        let decided = self.decided();
        if decided.is_none() && !(index && matches!(self.computed.kind(), Kind::Bool | Kind::Floating)) {
            return false;
        }
        let Some(each) = kernels::reduction(self.family, self.computed).each else { return false };
        let first = self.n.min(if index { EARLY_INDEX } else { EARLY });
        let null = std::ptr::null();
        // SAFETY: out holds one result, the operand `n` elements one after the other.
        unsafe {
            each(out.data(), a.data(), null, 1, 0, 0, first, self.divisor);
            match decided {
                Some(value) => out.data().read() == value,
                None => {
                    let found = out.data().cast::<i64>().read() as usize;
                    self.beats_all(a.data().add(found * self.computed.itemsize()))
                }
            }
        }
    }

    /// Whether no element can take the place of this one: a NaN, or the bool that argmin or argmax looks for.
    ///
    /// # Safety
    /// It is an element of the dtype that is computed.
    unsafe fn beats_all(&self, element: *const u8) -> bool {
        // SAFETY: as the caller promises; a bool may be any byte.
        unsafe {
            match self.computed {
                DType::Bool => (element.read() != 0) == (self.family == Family::Argmax),
                DType::Float32 => element.cast::<f32>().read_unaligned().is_nan(),
                DType::Float64 => element.cast::<f64>().read_unaligned().is_nan(),
                _ => false,
            }
        }
    }

    #[cold]
    fn no_kernel(&self) -> Error {
        Error::Internal { op: self.op, what: format!("no kernel reduces {}", self.computed.name()) }
    }

    fn plan_and_run(&self, out: &Tensor, operands: [&Tensor; 2], count: usize, reduced: u64) -> Result<()> {
        let kernels = Kernels::of(self.family, self.computed).ok_or_else(|| self.no_kernel())?;
        let centers = match self.family {
            Family::Var | Family::Std => {
                Some(Kernels::of(Family::Center, self.computed).ok_or_else(|| self.no_kernel())?)
            }
            _ => None,
        };
        let numbered = match self.family {
            Family::Argmin | Family::Argmax => true,
            Family::Min | Family::Max | Family::Any | Family::All | Family::CountNonzero => false,
            Family::ExactSum | Family::Superaccumulator => false,
            _ => matches!(self.computed.kind(), Kind::Floating | Kind::Complex),
        };
        let plan = Plan::new(out, operands, reduced, numbered);
        Job {
            kernels,
            centers,
            decided: self.decided(),
            operands: operands.map(|t| Operand::new(t, self.computed)),
            count,
            out: out.data(),
            written: out.dtype(),
            n: self.n,
            divisor: self.divisor,
            ns: self.ns(operands[0].size(), count),
            plan,
        }
        .run()
    }
}

/// Whether the reduced axes are the last ones.
#[inline]
fn reduces_trailing(ndim: usize, reduced: u64) -> bool {
    let all = if ndim == 64 { u64::MAX } else { (1 << ndim) - 1 };
    let kept = !reduced & all;
    // Ones from bit 0 up to the last kept axis.
    kept & kept.wrapping_add(1) == 0
}
