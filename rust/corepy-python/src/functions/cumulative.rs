//! Running sums and products, and their inverse, differences.

use crate::enter::{enter, error};
use crate::operand::{self, Operand};
use crate::tensor::PyTensor;
use corepy_runtime::ops::{cumulative, difference};
use corepy_runtime::{Cumulative, Tensor};
use pyo3::prelude::*;

type Out<'py> = PyResult<Bound<'py, PyTensor>>;

fn running<'py>(
    py: Python<'py>,
    op: &'static str,
    kind: Cumulative,
    x: &Bound<'py, PyAny>,
    axis: Option<i64>,
    dtype: Option<&Bound<'py, PyAny>>,
    include_initial: bool,
) -> Out<'py> {
    let dtype = crate::dtype::parse_optional(op, dtype)?;
    let x = operand::tensor(op, x)?;
    // At least as many bytes are written as are read; a complex128 each is the most.
    let bytes = x.size().saturating_mul(x.itemsize() + 16);
    let out = enter(py, bytes, || cumulative::cumulative(kind, &x, axis, dtype, include_initial))?;
    PyTensor::object(py, out)
}

pub fn cumulative_sum<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    axis: Option<i64>,
    dtype: Option<&Bound<'py, PyAny>>,
    include_initial: bool,
) -> Out<'py> {
    running(py, "cumulative_sum", Cumulative::Sum, x, axis, dtype, include_initial)
}

pub fn cumulative_prod<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    axis: Option<i64>,
    dtype: Option<&Bound<'py, PyAny>>,
    include_initial: bool,
) -> Out<'py> {
    running(py, "cumulative_prod", Cumulative::Prod, x, axis, dtype, include_initial)
}

/// What is joined to `x`: a tensor, or a number, which takes the dtype that it takes in arithmetic.
fn beside(op: &'static str, x: &Tensor, other: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    match Operand::read(op, other)? {
        Operand::Tensor(tensor) => Ok(tensor.get().0.clone()),
        Operand::Weak(weak) => weak
            .scalar(op, weak.dtype_beside(x.dtype()))
            .and_then(|scalar| Tensor::from_scalar(op, &scalar.cast(weak.dtype_beside(x.dtype()))))
            .map_err(|e| error(other.py(), e)),
    }
}

pub fn diff<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    axis: i64,
    n: i64,
    prepend: Option<&Bound<'py, PyAny>>,
    append: Option<&Bound<'py, PyAny>>,
) -> Out<'py> {
    const OP: &str = "diff";
    let x = operand::tensor(OP, x)?;
    let prepend = prepend.map(|other| beside(OP, &x, other)).transpose()?;
    let append = append.map(|other| beside(OP, &x, other)).transpose()?;
    // Each time is a subtraction; those of many times are as long together.
    let times = usize::try_from(n).unwrap_or(0).clamp(1, x.size().max(1));
    let each = |t: &Tensor| t.size().saturating_mul(3 * t.itemsize());
    let others = prepend.as_ref().map_or(0, each).saturating_add(append.as_ref().map_or(0, each));
    let bytes = each(&x).saturating_add(others).saturating_mul(times);
    let out = enter(py, bytes, || difference::diff(&x, axis, n, prepend.as_ref(), append.as_ref()))?;
    PyTensor::object(py, out)
}
