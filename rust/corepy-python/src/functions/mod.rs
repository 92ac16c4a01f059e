//! Functions of the op table that are neither elementwise nor reductions, by category.

pub mod configuration;
pub mod conversion;
pub mod convert;
pub mod creation;
pub mod indexing;
pub mod information;
pub mod linear;
pub mod manipulation;
pub mod printing;

use crate::enter::{type_error, value_error};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// One integer or a sequence of integers (a shape, axes).
pub fn read_integers(op: &'static str, what: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    if let Ok(sequence) = given.cast::<PyTuple>() {
        return sequence.iter().map(|item| read_integer(op, what, &item)).collect();
    }
    if let Ok(sequence) = given.cast::<pyo3::types::PyList>() {
        return sequence.iter().map(|item| read_integer(op, what, &item)).collect();
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
