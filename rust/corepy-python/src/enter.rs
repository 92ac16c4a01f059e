//! The only way from Python into the runtime: GIL, floating-point state, panics, errors.

use corepy_runtime::{Error, Result};
use pyo3::exceptions::{
    PyBufferError, PyIndexError, PyMemoryError, PyNotImplementedError, PyOverflowError, PyRuntimeError,
    PyTypeError, PyValueError, PyZeroDivisionError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that an operation may touch before releasing the GIL pays. Release and take again cost
/// about 50 ns alone and up to a switch interval when others wait; 256 KiB take some 10 us.
const RELEASE_BYTES: usize = 256 * 1024;

/// Runs `f`, which touches about `bytes` bytes, in the runtime.
#[inline]
pub fn enter<R: Send>(py: Python<'_>, bytes: usize, f: impl FnOnce() -> Result<R> + Send) -> PyResult<R> {
    if bytes < RELEASE_BYTES {
        guarded(f).map_err(|e| error(py, e))
    } else {
        py.detach(|| guarded(f)).map_err(|e| error(py, e))
    }
}

#[inline]
fn guarded<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(internal(panic)))
}

#[cold]
fn internal(panic: Box<dyn std::any::Any + Send>) -> Error {
    let what = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast::<&'static str>()
            .map_or_else(|_| "a panic without a message".into(), |t| t.to_string()),
    };
    Error::Internal { op: "runtime", what }
}

/// The Python exception of an error of the catalogue.
#[cold]
pub fn error(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    match error.class() {
        "ValueError" => PyValueError::new_err(message),
        "TypeError" => PyTypeError::new_err(message),
        "IndexError" => PyIndexError::new_err(message),
        "MemoryError" => PyMemoryError::new_err(message),
        "BufferError" => PyBufferError::new_err(message),
        "OverflowError" => PyOverflowError::new_err(message),
        "ZeroDivisionError" => PyZeroDivisionError::new_err(message),
        "NotImplementedError" => PyNotImplementedError::new_err(message),
        own => own_error(py, own, message),
    }
}

/// An exception of a class declared in corepy.errors.
fn own_error(py: Python<'_>, class: &'static str, message: String) -> PyErr {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("corepy.errors").map(Bound::unbind));
    let found = module.and_then(|m| Ok(m.bind(py).getattr(class)?.cast_into::<PyType>()?));
    match found {
        Ok(class) => PyErr::from_type(class, message),
        Err(_) => PyRuntimeError::new_err(message),
    }
}

/// `TypeError` with the catalogue's form, for what only the bindings can find.
#[cold]
pub fn type_error(py: Python<'_>, op: &'static str, what: String) -> PyErr {
    error(py, Error::Type { op, what })
}

/// `ValueError` with the catalogue's form, for what only the bindings can find.
#[cold]
pub fn value_error(py: Python<'_>, op: &'static str, what: String) -> PyErr {
    error(py, Error::Value { op, what })
}
