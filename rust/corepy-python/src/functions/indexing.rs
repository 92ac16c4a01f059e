//! Functions that pick elements: take and where.

use crate::enter::{enter, error};
use crate::operand::{self, Operand, pair};
use crate::tensor::PyTensor;
use corepy_runtime::ops::{gather, select};
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
    let bytes = indices.size().saturating_mul(2 * x.itemsize());
    let out = enter(py, bytes, || gather::take(&x, &indices, axis))?;
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
    let bytes = condition.size().saturating_add(x1.bytes()).saturating_add(x2.bytes());
    let out = enter(py, bytes, || select::where_(&condition, x1, x2))?;
    PyTensor::object(py, out)
}
