//! Lane programs for Python: parsing, launching, building, and what there is to run them.

mod builder;
mod failure;
mod given;
mod program;

use crate::argument::wrong_type;
use crate::enter::enter;
use corepy_runtime::backends;
use corepy_runtime::memory::reserve;
use corepy_runtime::program::{Program, memory_to_read};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::sync::Arc;

/// Bytes of memory that a byte of a program's text makes the parser and the verifier touch, roughly.
const TOUCHED: usize = 32;

/// Reads and verifies a program; `filename` is what a ParseError says.
#[pyfunction]
#[pyo3(signature = (text, filename, /), text_signature = "(text, filename, /)")]
fn _parse(text: &Bound<'_, PyAny>, filename: &str) -> PyResult<program::PyProgram> {
    let py = text.py();
    let text = match text.cast::<PyString>() {
        Ok(text) => text.to_str()?,
        Err(_) => return Err(wrong_type("parse", "text", "a string", text)),
    };
    let parsed = enter(py, text.len().saturating_mul(TOUCHED), || {
        // An instruction has four characters at least, and an end of its line.
        reserve::ensure("parse", memory_to_read(text.len(), text.len() / 5))?;
        Ok(Program::parse(text))
    })?;
    let program = parsed.map_err(|failed| failure::of_text(py, failed, filename))?;
    Ok(program::PyProgram::new(Arc::new(program)))
}

/// One way to run programs.
///
/// name: by which launches choose it. available: whether it can be used here; reason says why not, and is
/// empty otherwise. description: what it is, in a few words.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> [b.available for b in cp.lanes.backends() if b.name == "reference"]
/// [True]
#[pyclass(name = "Backend", module = "corepy.lanes", frozen, get_all)]
pub struct PyBackend {
    name: &'static str,
    available: bool,
    reason: String,
    description: &'static str,
}

#[pymethods]
impl PyBackend {
    fn __repr__(&self) -> String {
        let state =
            if self.available { "available".to_owned() } else { format!("not here: {}", self.reason) };
        format!("<backend {}, {state}>", self.name)
    }
}

/// Every backend that this build has, those that cannot be used here included.
#[pyfunction]
#[pyo3(text_signature = "()")]
fn _backends(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let found = backends::all().iter().map(|backend| {
        let backends::Capabilities { description, reason, .. } = backend.capabilities();
        PyBackend { name: backend.name(), available: reason.is_empty(), reason, description }
    });
    let found: Vec<Bound<'_, PyBackend>> = found.map(|b| Bound::new(py, b)).collect::<PyResult<_>>()?;
    PyTuple::new(py, found)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<program::PyProgram>()?;
    m.add_class::<program::Launcher>()?;
    m.add_class::<program::PyArgument>()?;
    m.add_class::<builder::PyBuilder>()?;
    m.add_class::<PyBackend>()?;
    m.add_function(wrap_pyfunction!(_parse, m)?)?;
    m.add_function(wrap_pyfunction!(_backends, m)?)
}
