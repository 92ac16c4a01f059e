//! Functions of the op table that are neither elementwise nor reductions, by category.

pub mod conversion;
pub mod convert;
pub mod creation;
pub mod indexing;
pub mod information;
pub mod linear;
pub mod manipulation;
pub mod memory;

use crate::enter::{error, type_error, value_error};
use corepy_runtime::{Error, layout};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// As many values as the user's sequence has: memory that they do not fit is a MemoryError, where
/// `collect` would end the process. `kind` is what they are, for its message.
pub fn collect<T>(
    py: Python<'_>,
    op: &'static str,
    kind: &'static str,
    values: impl Iterator<Item = PyResult<T>>,
) -> PyResult<Vec<T>> {
    let mut all = Vec::new();
    for value in values {
        if all.try_reserve(1).is_err() {
            let shape = layout::show(&[all.len() as i64 + 1]);
            let bytes = 2 * all.len() * size_of::<T>();
            return Err(error(py, Error::OutOfMemory { op, bytes, shape, dtype: kind }));
        }
        all.push(value?);
    }
    Ok(all)
}

/// One integer or a sequence of integers (a shape, axes).
pub fn read_integers(op: &'static str, what: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    let py = given.py();
    let read = |item: Bound<'_, PyAny>| read_integer(op, what, &item);
    if let Ok(sequence) = given.cast::<PyTuple>() {
        return collect(py, op, "int64", sequence.iter().map(read));
    }
    if let Ok(sequence) = given.cast::<pyo3::types::PyList>() {
        return collect(py, op, "int64", sequence.iter().map(read));
    }
    Ok(vec![read_integer(op, what, given)?])
}

/// One integer: an int, or an object with `__index__`.
pub fn read_integer(op: &'static str, what: &str, given: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = given.py();
    given.extract::<i64>().map_err(|error| {
        if error.is_instance_of::<pyo3::exceptions::PyOverflowError>(py) {
            return value_error(py, op, format!("{what} does not fit 64 bits"));
        }
        if !error.is_instance_of::<pyo3::exceptions::PyTypeError>(py) {
            return error;
        }
        let class = given.get_type().name().map_or_else(|_| "object".to_owned(), |n| n.to_string());
        type_error(py, op, format!("{what} takes integers, not {class}"))
    })
}

/// Fails unless a device argument is None or "cpu".
pub fn check_device(op: &'static str, device: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let Some(device) = device else { return Ok(()) };
    if device.extract::<&str>().is_ok_and(|name| name == crate::tensor::DEVICE) {
        return Ok(());
    }
    let shown = device.repr().map_or_else(|_| "that".to_owned(), |r| r.to_string());
    Err(value_error(device.py(), op, format!("device {shown} is not one of: 'cpu'")))
}
