//! The second pass of exact sums: what the compensated pass did not prove is added up exactly.

use crate::dtype::{DType, Kind};
use crate::error::Result;
use crate::generated::ops::Family;
use crate::layout::Dims;
use crate::ops::reduce::Work;
use crate::scheduler::tuning::Class;
use crate::scheduler::{self, Flow, cost};
use crate::tensor::Tensor;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Results up to which each is computed by all threads together.
const FEW: usize = 16;
/// Results that one tile looks at, which takes some microseconds.
const TILE: usize = 1 << 12;

/// Computes the results that the first pass has left as NaN. `out` is contiguous, and nobody else has
/// seen it yet; `reduced` has the reduced axes of `x` as bits.
pub(super) fn settle(op: &'static str, out: &Tensor, x: &Tensor, reduced: u64, n: usize) -> Result<()> {
    let work = Work { op, family: Family::Superaccumulator, computed: out.dtype(), n, divisor: n as f64 };
    let again = |index: usize| -> Result<()> {
        if !is_nan(out, index) {
            return Ok(());
        }
        let elements = elements_of(x, reduced, index);
        let result = out.view((index * out.itemsize()) as i64, &[], &[]);
        work.run(&result, [&elements, &elements], 1, u64::MAX)
    };
    if out.size() <= FEW {
        return (0..out.size()).try_for_each(again);
    }
    // NaN is the exception.
    let unproven = AtomicUsize::new(0);
    scheduler::run(out.size().div_ceil(TILE), out.size() as f64, &|i| {
        let tile = i * TILE..out.size().min((i + 1) * TILE);
        unproven.fetch_add(tile.filter(|&index| is_nan(out, index)).count(), Ordering::Relaxed);
        Flow::Continue
    })?;
    let unproven = unproven.into_inner();
    if unproven == 0 {
        return Ok(());
    }
    let each =
        cost::class_ns(Class::Superaccumulator, out.dtype()) + cost::class_ns(Class::Strided, x.dtype());
    let cost = (unproven * n) as f64 * each;
    let tile = (out.size() / unproven).clamp(1, TILE);
    scheduler::run(out.size().div_ceil(tile), cost, &|i| {
        match (i * tile..out.size().min((i + 1) * tile)).try_for_each(again) {
            Ok(()) => Flow::Continue,
            // The run that was stopped has said so to the scheduler.
            Err(_) => Flow::Stop,
        }
    })
}

/// Whether a result, or a part of it, is NaN.
fn is_nan(out: &Tensor, index: usize) -> bool {
    let parts = if out.dtype().kind() == Kind::Complex { 2 } else { 1 };
    let single = matches!(out.dtype(), DType::Float32 | DType::Complex64);
    (index * parts..(index + 1) * parts).any(|part| {
        // SAFETY: the part of a result, which is contiguous and aligned; no other thread writes it.
        unsafe {
            match single {
                true => out.data().cast::<f32>().add(part).read().is_nan(),
                false => out.data().cast::<f64>().add(part).read().is_nan(),
            }
        }
    })
}

/// The elements that result number `index` is made of.
fn elements_of(x: &Tensor, reduced: u64, index: usize) -> Tensor {
    let is_reduced = |axis: &usize| reduced >> axis & 1 == 1;
    let mut offset = 0;
    let mut rest = index as i64;
    for axis in (0..x.ndim()).rev().filter(|axis| !is_reduced(axis)) {
        let extent = x.shape()[axis];
        offset += rest % extent * x.strides()[axis];
        rest /= extent;
    }
    let axes = || (0..x.ndim()).filter(is_reduced);
    let shape: Dims = axes().map(|axis| x.shape()[axis]).collect();
    let strides: Dims = axes().map(|axis| x.strides()[axis]).collect();
    x.view(offset, &shape, &strides)
}
