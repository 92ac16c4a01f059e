//! Reductions as functions and methods.

use crate::enter::{enter, error};
use crate::operand;
use crate::tensor::PyTensor;
use corepy_runtime::generated::ops::REDUCTIONS;
use corepy_runtime::{Error, Reduce, Tensor, layout, ops};
use pyo3::prelude::*;

/// Optional parameters of a reduction, as Python gave them.
#[derive(Default)]
pub struct Parameters<'a, 'py> {
    pub axis: Option<&'a Bound<'py, PyAny>>,
    pub dtype: Option<&'a Bound<'py, PyAny>>,
    pub correction: f64,
    pub keepdims: bool,
}

/// A reduction of any argument that stands for a tensor.
#[inline]
pub fn reduce<'py>(
    py: Python<'py>,
    op: Reduce,
    x: &Bound<'py, PyAny>,
    given: Parameters<'_, 'py>,
) -> PyResult<Bound<'py, PyTensor>> {
    if let Ok(x) = x.cast_exact::<PyTensor>() {
        return reduce_tensor(py, op, &x.get().0, given);
    }
    reduce_tensor(py, op, &operand::tensor(REDUCTIONS[op as usize].name, x)?, given)
}

fn reduce_tensor<'py>(
    py: Python<'py>,
    op: Reduce,
    x: &Tensor,
    given: Parameters<'_, 'py>,
) -> PyResult<Bound<'py, PyTensor>> {
    let row = &REDUCTIONS[op as usize];
    let axes = given.axis.map(|axis| read_axes(py, row.name, axis, x.ndim())).transpose()?;
    if row.one_axis
        && let Some(given) = axes.as_ref().map(Vec::len).filter(|&n| n != 1)
    {
        return Err(error(py, Error::OneAxis { op: row.name, given }));
    }
    let dtype = crate::dtype::parse_optional(row.name, given.dtype)?;
    let out = enter(py, x.size() * x.itemsize(), || {
        ops::reduce::reduce(op, x, axes.as_deref(), given.keepdims, dtype, given.correction)
    })?;
    Bound::new(py, PyTensor(out))
}

/// Axes from an integer or a tuple of integers, counted from the front.
pub fn read_axes(
    py: Python<'_>,
    op: &'static str,
    given: &Bound<'_, PyAny>,
    ndim: usize,
) -> PyResult<Vec<usize>> {
    let axes = crate::argument::read_integers(op, "axis", given)?;
    layout::normalize_axes(op, &axes, ndim).map_err(|e| error(py, e))
}
