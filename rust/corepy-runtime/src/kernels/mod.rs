//! The C++ kernels: one table per SIMD level, of which one is in use, chosen when it is first needed.

pub mod level;

use crate::dtype::DType;
use crate::generated::abi;
pub use crate::generated::abi::{BLOCK, MOST_VECTORS, PANEL, STRIPES};
use crate::generated::ops::{Binary, Cumulative, Family, Unary};

/// Which operand of a binary kernel is one element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    VectorVector = 0,
    VectorScalar = 1,
    ScalarVector = 2,
}

impl Form {
    /// The form's name in the log of operations.
    pub fn name(self) -> &'static str {
        match self {
            Form::VectorVector => "vv",
            Form::VectorScalar => "vs",
            Form::ScalarVector => "sv",
        }
    }
}

/// The kernels of the level in use.
#[inline]
pub fn table() -> &'static abi::kernels {
    level::in_use().table
}

/// The kernel of a one-operand operation, or `None` where the op takes no such dtype.
#[inline]
pub fn unary(op: Unary, dtype: DType) -> Option<abi::unary> {
    table().unary[op as usize][dtype.number()]
}

/// The kernel of a two-operand operation, or `None` where the op takes no such dtype.
#[inline]
pub fn binary(op: Binary, dtype: DType, form: Form) -> Option<abi::binary> {
    table().binary[op as usize][dtype.number()][form as usize]
}

/// The kernels that store past the caches, or `None` where there is none. Their output overlaps no operand.
pub mod streamed {
    use super::{Binary, DType, Form, Unary, abi, table};

    pub fn unary(op: Unary, dtype: DType) -> Option<abi::unary> {
        table().unary_streamed[op as usize][dtype.number()]
    }

    pub fn binary(op: Binary, dtype: DType, form: Form) -> Option<abi::binary> {
        table().binary_streamed[op as usize][dtype.number()][form as usize]
    }

    pub fn cast(from: DType, to: DType) -> Option<abi::cast> {
        table().cast_streamed[from.number()][to.number()]
    }
}

/// The kernels of a reduction family; its functions are `None` where it takes no such dtype.
#[inline]
pub fn reduction(family: Family, dtype: DType) -> &'static abi::reduction {
    &table().reductions[family as usize][dtype.number()]
}

/// The kernels of running totals; its functions are `None` where they are kept in another dtype.
#[inline]
pub fn cumulative(op: Cumulative, dtype: DType) -> &'static abi::cumulative {
    &table().cumulative[op as usize][dtype.number()]
}

macro_rules! filled {
    ($slot:expr) => {
        // A level whose table has an empty slot here is refused when it is loaded.
        $slot.expect("a loaded kernel table has no empty slot")
    };
}

/// Converts elements; every pair of dtypes has one.
#[inline]
pub fn cast(from: DType, to: DType) -> abi::cast {
    filled!(table().cast[from.number()][to.number()])
}

/// Strided to contiguous, by element width.
#[inline]
pub fn gather(dtype: DType) -> abi::gather {
    filled!(table().gather[dtype.width()])
}

/// Contiguous to strided, by element width.
#[inline]
pub fn scatter(dtype: DType) -> abi::scatter {
    filled!(table().scatter[dtype.width()])
}

/// Rows of contiguous bytes to rows.
#[inline]
pub fn copy_rows() -> abi::copy_rows {
    filled!(table().copy_rows)
}

/// Rows to columns, by element width.
#[inline]
pub fn transpose(dtype: DType) -> abi::transpose {
    filled!(table().transpose[dtype.width()])
}

/// Sets elements to one value, by element width.
#[inline]
pub fn fill(dtype: DType) -> abi::fill {
    filled!(table().fill[dtype.width()])
}

/// Elements of either of two operands by a mask, by element width.
#[inline]
pub fn select(dtype: DType) -> abi::select {
    filled!(table().select[dtype.width()])
}

/// Elements at indices, by element width.
#[inline]
pub fn take(dtype: DType) -> abi::take {
    filled!(table().take[dtype.width()])
}

/// Elements whose mask is set, by element width.
#[inline]
pub fn compress(dtype: DType) -> abi::compress {
    filled!(table().compress[dtype.width()])
}

/// Makes negative indices count from the front, and finds those out of range.
#[inline]
pub fn wrap_indices() -> abi::wrap_indices {
    filled!(table().wrap_indices)
}

/// Counts the bytes of a mask that are set.
#[inline]
pub fn count_mask() -> abi::count_mask {
    filled!(table().count_mask)
}

/// Lists the positions of the bytes of a mask that are set.
#[inline]
pub fn mask_positions() -> abi::mask_positions {
    filled!(table().mask_positions)
}

/// Evenly spaced integers.
#[inline]
pub fn ramp_integer() -> abi::ramp_integer {
    filled!(table().ramp_integer)
}

/// Evenly spaced floats.
#[inline]
pub fn ramp_float() -> abi::ramp_float {
    filled!(table().ramp_float)
}
