//! Differences of neighbours along an axis.

use crate::dtype::{DType, promote};
use crate::error::{Error, Result};
use crate::generated::ops::Binary;
use crate::layout::{self, Dims};
use crate::ops::{copy, elementwise, join};
use crate::tensor::Tensor;
use crate::trace;

const OP: &str = "diff";

/// Each element less the one before it along `axis`, `n` times over; of bools, whether they differ.
/// `prepend` and `append` are joined to `x` first; one without axes stands for one element a line.
pub fn diff(
    x: &Tensor,
    axis: i64,
    n: i64,
    prepend: Option<&Tensor>,
    append: Option<&Tensor>,
) -> Result<Tensor> {
    trace::operation(OP, |call| _ = call.operands([x]), || untraced(x, axis, n, prepend, append))
}

fn untraced(
    x: &Tensor,
    axis: i64,
    n: i64,
    prepend: Option<&Tensor>,
    append: Option<&Tensor>,
) -> Result<Tensor> {
    if n < 0 {
        return Err(Error::DifferenceOrder { op: OP, n });
    }
    if n == 0 {
        // As in NumPy, whatever else is given.
        return copy::astype(x, x.dtype(), OP);
    }
    if x.ndim() == 0 {
        return Err(Error::NeedsAxes { op: OP, needed: 1, ndim: 0 });
    }
    let axis = layout::normalize_axis(OP, axis, x.ndim())?;
    let mut dtype = x.dtype();
    for other in prepend.iter().chain(append.iter()) {
        dtype = promote(dtype, other.dtype()).ok_or_else(|| Error::NoPromotion {
            op: OP,
            a: dtype.name(),
            b: other.dtype().name(),
        })?;
    }
    if !dtype.computes() {
        return Err(Error::StorageDtype { op: OP, dtype: dtype.name() });
    }
    let mut line = match prepend.is_some() || append.is_some() {
        true => joined(x, axis, dtype, prepend, append)?,
        false => x.clone(),
    };
    for _ in 0..n {
        let extent = line.shape()[axis];
        line = of_neighbours(&line, axis)?;
        if extent <= 1 {
            break;
        }
    }
    Ok(line)
}

/// `x` between what is put before and behind it.
fn joined(
    x: &Tensor,
    axis: usize,
    dtype: DType,
    prepend: Option<&Tensor>,
    append: Option<&Tensor>,
) -> Result<Tensor> {
    let mut one = Dims::new(x.shape());
    one[axis] = 1;
    let piece = |other: &Tensor| -> Result<Tensor> {
        if other.ndim() == 0 {
            return other.broadcast_to(OP, &one);
        }
        let outside =
            |t: &Tensor| (0..t.ndim()).filter(|&a| a != axis).map(|a| t.shape()[a]).collect::<Dims>();
        if other.ndim() != x.ndim() || outside(other) != outside(x) {
            let (a, b) = (layout::show(x.shape()), layout::show(other.shape()));
            return Err(Error::ShapeMismatch { op: OP, a, b, axis });
        }
        Ok(other.clone())
    };
    let mut pieces = Vec::with_capacity(3);
    for each in [prepend, Some(x), append].into_iter().flatten() {
        let each = if std::ptr::eq(each, x) { x.clone() } else { piece(each)? };
        pieces.push(if each.dtype() == dtype { each } else { copy::astype(&each, dtype, OP)? });
    }
    join::concat(&pieces, Some(axis as i64))
}

/// All but the first less all but the last along an axis.
fn of_neighbours(x: &Tensor, axis: usize) -> Result<Tensor> {
    let mut shape = Dims::new(x.shape());
    shape[axis] = (shape[axis] - 1).max(0);
    let later = match shape[axis] {
        0 => x.view(0, &shape, x.strides()),
        _ => x.view(x.strides()[axis], &shape, x.strides()),
    };
    let earlier = x.view(0, &shape, x.strides());
    let op = if x.dtype() == DType::Bool { Binary::NotEqual } else { Binary::Subtract };
    elementwise::binary(op, (&later).into(), (&earlier).into())
}
