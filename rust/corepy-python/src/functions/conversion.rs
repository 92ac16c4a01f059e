//! Conversion between dtypes.

use crate::enter::enter;
use crate::operand;
use crate::tensor::PyTensor;
use corepy_runtime::ops;
use pyo3::prelude::*;

pub fn astype<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    copy: bool,
    device: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "astype";
    crate::argument::check_device(OP, device)?;
    let dtype = crate::dtype::parse(OP, dtype)?;
    if !copy
        && let Ok(own) = x.cast_exact::<PyTensor>()
        && own.get().0.dtype() == dtype
    {
        return Ok(own.clone());
    }
    let x = operand::tensor(OP, x)?;
    if !copy && x.dtype() == dtype {
        return PyTensor::object(py, x);
    }
    let bytes = x.size().saturating_mul(x.itemsize() + dtype.itemsize());
    PyTensor::object(py, enter(py, bytes, || ops::copy::astype(&x, dtype, OP))?)
}
