//! Several tensors joined into one.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::layout::{self, Dims};
use crate::ops::{common_dtype, copy};
use crate::tensor::Tensor;
use crate::trace;
use std::borrow::Borrow;

/// The dtype that all tensors promote to.
fn joined_dtype(op: &'static str, tensors: &[impl Borrow<Tensor>]) -> Result<DType> {
    let (first, rest) = tensors.split_first().ok_or(Error::NothingToJoin { op })?;
    rest.iter()
        .try_fold(first.borrow().dtype(), |dtype, tensor| common_dtype(op, dtype, tensor.borrow().dtype()))
}

/// Tensors joined along an existing axis, or flattened where there is none.
pub fn concat<T: Borrow<Tensor>>(tensors: &[T], axis: Option<i64>) -> Result<Tensor> {
    let operands = || tensors.iter().map(Borrow::borrow);
    let describe = |call: &mut trace::Call| _ = call.operands(operands()).kernel("copy");
    trace::operation("concat", describe, || concat_untraced(tensors, axis))
}

fn concat_untraced<T: Borrow<Tensor>>(tensors: &[T], axis: Option<i64>) -> Result<Tensor> {
    const OP: &str = "concat";
    let dtype = joined_dtype(OP, tensors)?;
    let each = || tensors.iter().map(Borrow::<Tensor>::borrow);
    let too_large = || Error::TooLarge { op: OP, shape: "(too many,)".to_owned(), dtype: dtype.name() };
    let Some(axis) = axis else {
        let sizes = each().map(|t| t.size() as i64);
        let total = sizes.clone().try_fold(0i64, i64::checked_add).ok_or_else(too_large)?;
        let out = Tensor::empty(OP, &[total], dtype)?;
        let mut done = 0;
        // The strides of an empty tensor may overflow in a wider dtype.
        let parts = each().filter(|t| t.size() > 0).map(|tensor| {
            let strides = layout::contiguous_strides(tensor.shape(), dtype.itemsize());
            let part = out.view(done * dtype.itemsize() as i64, tensor.shape(), &strides);
            done += tensor.size() as i64;
            (part, tensor)
        });
        copy::transfer_all(parts)?;
        return Ok(out);
    };
    let first: &Tensor = tensors[0].borrow();
    if first.ndim() == 0 {
        return Err(Error::NeedsAxes { op: OP, needed: 1, ndim: 0 });
    }
    let axis = layout::normalize_axis(OP, axis, first.ndim())?;
    let mut total = 0i64;
    for tensor in each() {
        let fits = tensor.ndim() == first.ndim()
            && (0..first.ndim()).all(|a| a == axis || tensor.shape()[a] == first.shape()[a]);
        if !fits {
            let (a, b) = (layout::show(first.shape()), layout::show(tensor.shape()));
            return Err(Error::ShapeMismatch { op: OP, a, b, axis });
        }
        total = total.checked_add(tensor.shape()[axis]).ok_or_else(too_large)?;
    }
    let mut shape = Dims::new(first.shape());
    shape[axis] = total;
    let out = Tensor::empty(OP, &shape, dtype)?;
    let mut done = 0;
    let parts = each().map(|tensor| {
        let part = out.view(done * out.strides()[axis], tensor.shape(), out.strides());
        done += tensor.shape()[axis];
        (part, tensor)
    });
    copy::transfer_all(parts)?;
    Ok(out)
}

/// Tensors of one shape joined along a new axis.
pub fn stack<T: Borrow<Tensor>>(tensors: &[T], axis: i64) -> Result<Tensor> {
    let operands = || tensors.iter().map(Borrow::borrow);
    let describe = |call: &mut trace::Call| _ = call.operands(operands()).kernel("copy");
    trace::operation("stack", describe, || stack_untraced(tensors, axis))
}

fn stack_untraced<T: Borrow<Tensor>>(tensors: &[T], axis: i64) -> Result<Tensor> {
    const OP: &str = "stack";
    let dtype = joined_dtype(OP, tensors)?;
    let each = || tensors.iter().map(Borrow::<Tensor>::borrow);
    let first: &Tensor = tensors[0].borrow();
    let axis = layout::normalize_axis(OP, axis, first.ndim() + 1)?;
    if let Some(other) = each().find(|t| t.shape() != first.shape()) {
        let (a, b) = (layout::show(first.shape()), layout::show(other.shape()));
        return Err(Error::ShapeMismatch { op: OP, a, b, axis });
    }
    let mut shape = first.shape().to_vec();
    shape.insert(axis, tensors.len() as i64);
    let out = Tensor::empty(OP, &shape, dtype)?;
    let mut strides = out.strides().to_vec();
    let step = strides.remove(axis);
    let parts =
        each().enumerate().map(|(i, tensor)| (out.view(i as i64 * step, tensor.shape(), &strides), tensor));
    copy::transfer_all(parts)?;
    Ok(out)
}
