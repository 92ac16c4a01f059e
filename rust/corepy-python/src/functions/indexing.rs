//! Functions that pick elements: take and where.

use crate::enter::{enter, error, value_error};
use crate::operand::{self, Operand, pair};
use crate::tensor::PyTensor;
use corepy_runtime::ops::{gather, positions, select};
use corepy_runtime::{Error, layout};
use pyo3::prelude::*;

pub fn take<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    indices: &Bound<'py, PyAny>,
    axis: Option<i64>,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "take";
    let x = operand::tensor(OP, x)?;
    let indices = operand::tensor(OP, indices)?;
    if !indices.dtype().is_integer() {
        let accepted = corepy_runtime::dtype::INTEGER.names;
        return Err(error(py, Error::DtypeRefused { op: OP, dtype: indices.dtype().name(), accepted }));
    }
    if axis.is_none() && x.ndim() != 1 {
        let what = format!("axis may be left out only for a tensor with one axis, not {}", x.ndim());
        return Err(value_error(py, OP, what));
    }
    let axis = layout::normalize_axis(OP, axis.unwrap_or(0), x.ndim()).map_err(|e| error(py, e))?;
    let rows = x.size() / (x.shape()[axis] as usize).max(1);
    let bytes = indices.size().saturating_mul(rows).saturating_mul(2 * x.itemsize());
    let out = enter(py, bytes, || gather::take(OP, &x, &positions::as_indices(OP, &indices)?, axis))?;
    PyTensor::object(py, out)
}

pub fn r#where<'py>(
    py: Python<'py>,
    condition: &Bound<'py, PyAny>,
    x1: &Bound<'py, PyAny>,
    x2: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "where";
    let condition = operand::tensor(OP, condition)?;
    let (x1, x2) = (Operand::read(OP, x1)?, Operand::read(OP, x2)?);
    let mut own = None;
    let (x1, x2) = pair(OP, &x1, &x2, &mut own).map_err(|e| error(py, e))?;
    let bytes = condition.size() + x1.bytes() + x2.bytes();
    let out = enter(py, bytes, || select::where_(&condition, x1, x2))?;
    PyTensor::object(py, out)
}
