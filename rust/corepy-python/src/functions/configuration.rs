//! What the library found and chose, as plain Python values.

use corepy_runtime::config::{self, Value};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString};

fn object<'py>(py: Python<'py>, value: Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::None => py.None().into_bound(py),
        Value::Number(number) => PyInt::new(py, number).into_any(),
        Value::Text(text) => PyString::new(py, &text).into_any(),
        Value::List(values) => {
            let items = values.into_iter().map(|value| object(py, value)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Value::Table(entries) => {
            let table = PyDict::new(py);
            for (name, value) in entries {
                table.set_item(name, object(py, value)?)?;
            }
            table.into_any()
        }
    })
}

pub fn config(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let table = PyDict::new(py);
    for (name, value) in config::facts() {
        table.set_item(name, object(py, value)?)?;
    }
    let crates = env!("COREPY_DEPENDENCIES").split(';').filter_map(|entry| entry.split_once('='));
    let crates = crates.map(|(name, version)| (name.to_owned(), version.into())).collect();
    table.set_item("dependencies", object(py, Value::Table(crates))?)?;
    Ok(table.into_any())
}

/// Printing is left to Python, which knows where its output goes.
pub fn show_config(py: Python<'_>) -> PyResult<()> {
    py.import("corepy._configuration")?.call_method0("show").map(|_| ())
}
