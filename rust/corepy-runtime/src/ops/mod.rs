//! The operations: each file plans one class of them and runs its kernels.

pub mod copy;
pub mod create;
pub mod cumulative;
pub mod difference;
pub mod elementwise;
mod exact_sum;
pub mod gather;
pub mod iterate;
pub mod join;
pub mod matmul;
mod probe;
pub mod reduce;
mod reduce_cut;
mod reduce_plan;
mod reduce_rows;
mod reduce_run;
mod reduce_runs;
pub mod select;
pub mod stage;
pub mod tune;
pub mod views;

use crate::dtype::{DType, Kind, promote};
use crate::error::{Error, Result};
use crate::layout::{self, Dims};
use crate::memory::list::List;
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use iterate::Layout;
use stage::Operand;

/// An operand of an operation: a tensor, or one element for every place.
#[derive(Clone, Copy)]
pub enum Arg<'a> {
    Tensor(&'a Tensor),
    Scalar(Scalar),
}

impl<'a> From<&'a Tensor> for Arg<'a> {
    fn from(tensor: &'a Tensor) -> Arg<'a> {
        Arg::Tensor(tensor)
    }
}

impl From<Scalar> for Arg<'_> {
    fn from(scalar: Scalar) -> Self {
        Arg::Scalar(scalar)
    }
}

impl Arg<'_> {
    #[inline]
    pub fn dtype(&self) -> DType {
        match self {
            Arg::Tensor(tensor) => tensor.dtype(),
            Arg::Scalar(scalar) => scalar.dtype(),
        }
    }

    #[inline]
    pub fn shape(&self) -> &[i64] {
        match self {
            Arg::Tensor(tensor) => tensor.shape(),
            Arg::Scalar(_) => &[],
        }
    }

    /// Bytes of the elements.
    #[inline]
    pub fn bytes(&self) -> usize {
        match self {
            Arg::Tensor(tensor) => tensor.size() * tensor.itemsize(),
            Arg::Scalar(scalar) => scalar.dtype().itemsize(),
        }
    }

    pub(crate) fn tensor(&self) -> Option<&Tensor> {
        match self {
            Arg::Tensor(tensor) => Some(tensor),
            Arg::Scalar(_) => None,
        }
    }

    pub(crate) fn layout(&self) -> Layout<'_> {
        match self {
            Arg::Tensor(tensor) => Layout::of(tensor),
            Arg::Scalar(scalar) => Layout::single(scalar.dtype().itemsize()),
        }
    }

    /// The operand for a kernel that takes `computed`; it is valid while this argument is.
    pub(crate) fn operand(&self, computed: DType) -> Operand {
        match self {
            Arg::Tensor(tensor) => Operand::new(tensor, computed),
            Arg::Scalar(scalar) => {
                Operand { data: scalar.as_ptr().cast_mut(), stored: scalar.dtype(), computed, aligned: true }
            }
        }
    }
}

/// The dtype in which operands of a moving operation meet: any they share, else the promoted one.
pub(crate) fn common_dtype(op: &'static str, a: DType, b: DType) -> Result<DType> {
    if a == b {
        return Ok(a);
    }
    for dtype in [a, b] {
        if !dtype.computes() {
            return Err(Error::StorageDtype { op, dtype: dtype.name() });
        }
    }
    promote(a, b).ok_or_else(|| Error::NoPromotion { op, a: a.name(), b: b.name() })
}

/// Fails where a result may not be stored in a tensor of another dtype: only down in precision, never
/// to a simpler kind of number.
pub(crate) fn check_storable(op: &'static str, from: DType, to: DType) -> Result<()> {
    let rank = |dtype: DType| match dtype.kind() {
        Kind::Bool => 0,
        Kind::Signed | Kind::Unsigned => 1,
        Kind::Floating => 2,
        Kind::Complex => 3,
    };
    if rank(from) <= rank(to) {
        return Ok(());
    }
    Err(Error::InPlaceDtype { op, from: from.name(), to: to.name() })
}

/// The order of axes in memory, slowest first, that all operands of the result's shape share, where
/// it is not C order.
pub(crate) fn shared_order(shape: &[i64], operands: &[Option<&Tensor>]) -> Option<List<usize>> {
    let full = || operands.iter().flatten().filter(|t| t.shape() == shape);
    if shape.len() < 2 || full().all(|t| t.is_contiguous()) {
        return None;
    }
    let mut shared: Option<Dims> = None;
    for tensor in full() {
        let strides = tensor.strides();
        let mut order: Dims = (0..shape.len() as i64).filter(|&a| shape[a as usize] != 1).collect();
        if order.iter().any(|&a| strides[a as usize] == 0) {
            return None;
        }
        order.sort_by_key(|&a| std::cmp::Reverse(strides[a as usize].unsigned_abs()));
        if order.is_sorted() || shared.as_ref().is_some_and(|s| *s != order) {
            return None;
        }
        shared = Some(order);
    }
    // Axes of extent 1 may stand anywhere.
    let ones = (0..shape.len()).filter(|&a| shape[a] == 1);
    Some(ones.chain(shared?.iter().map(|&a| a as usize)).collect())
}

/// A new tensor in the order of memory that the operands share.
pub(crate) fn empty_as(
    op: &'static str,
    shape: &[i64],
    dtype: DType,
    operands: &[Option<&Tensor>],
) -> Result<Tensor> {
    match shared_order(shape, operands) {
        None => Tensor::empty(op, shape, dtype),
        Some(order) => Tensor::empty_ordered(op, shape, dtype, &order),
    }
}

/// The index of the element that is number `flat` in row-major order, as messages show it.
pub(crate) fn show_index(shape: &[i64], flat: usize) -> String {
    let mut rest = flat as i64;
    let mut index = Dims::zeros(shape.len());
    for (place, &extent) in index.iter_mut().zip(shape).rev() {
        *place = rest % extent.max(1);
        rest /= extent.max(1);
    }
    match index[..] {
        [one] => one.to_string(),
        _ => layout::show(&index),
    }
}
