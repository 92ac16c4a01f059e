//! Where a mask is true, and integers of any dtype as indices.

use crate::dtype::DType;
use crate::error::Result;
use crate::generated::ops::Binary;
use crate::ops::elementwise::{self, Arg};
use crate::ops::{copy, create, gather, views};
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// For each axis of a mask the int64 indices of its true elements, in row-major order.
pub fn nonzero(op: &'static str, mask: &Tensor) -> Result<Vec<Tensor>> {
    let flat = views::reshape(op, mask, &[mask.size() as i64], None)?;
    let number = |value: i64| Scalar::from_i64(value);
    let every = create::arange(&number(0), &number(mask.size() as i64), &number(1), DType::Int64)?;
    let positions = gather::mask(op, &every, &flat)?;
    if mask.ndim() == 1 {
        return Ok(vec![positions]);
    }
    let mut below = 1i64;
    let mut found = Vec::with_capacity(mask.ndim());
    for &extent in mask.shape().iter().rev() {
        // There is no position in a mask with an axis of extent 0.
        let extent = extent.max(1);
        let row = elementwise::binary(Binary::FloorDivide, Arg::Tensor(&positions), Arg::Scalar(number(below)))?;
        found.push(elementwise::binary(Binary::Remainder, Arg::Tensor(&row), Arg::Scalar(number(extent)))?);
        below = below.saturating_mul(extent);
    }
    found.reverse();
    Ok(found)
}

/// Integers as int64 indices. What only uint64 holds becomes the largest index, out of range for
/// any axis, where a conversion would wrap it to a negative one.
pub fn as_indices(op: &'static str, x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::Int64 => Ok(x.clone()),
        DType::Uint64 => {
            let largest = Arg::Scalar(Scalar::from_u64(i64::MAX as u64));
            let bounded = elementwise::binary(Binary::Minimum, Arg::Tensor(x), largest)?;
            copy::astype(&bounded, DType::Int64, op)
        }
        _ => copy::astype(x, DType::Int64, op),
    }
}
