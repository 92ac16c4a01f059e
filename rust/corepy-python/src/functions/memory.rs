//! What memory is in use, and where new memory comes from.

use crate::argument::wrong_type;
use crate::enter::enter;
use corepy_runtime::memory::{allocator, arena, pool};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyInt, PyString, PyTuple};

type Any<'py> = PyResult<Bound<'py, PyAny>>;

/// A named tuple of the module `corepy.memory`.
fn named<'py, const N: usize>(py: Python<'py>, class: &str, values: [u64; N]) -> Any<'py> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("corepy.memory").map(Bound::unbind))?;
    module.bind(py).getattr(class)?.call1(PyTuple::new(py, values)?)
}

pub fn memory_stats(py: Python<'_>) -> Any<'_> {
    let pool::Stats { in_use, cached, peak, limit, mappings, faults_saved } =
        enter(py, 0, || Ok(pool::stats()))?;
    let [in_use, cached, peak, limit, mappings] = [in_use, cached, peak, limit, mappings].map(|n| n as u64);
    named(py, "MemoryStats", [in_use, cached, peak, limit, mappings, faults_saved])
}

pub fn arena_stats(py: Python<'_>) -> Any<'_> {
    let arena::Stats { used, capacity, peak, overflows } = enter(py, 0, || Ok(arena::stats()))?;
    named(py, "ArenaStats", [used as u64, capacity as u64, peak as u64, overflows])
}

pub fn trim_memory(py: Python<'_>) -> Any<'_> {
    // Giving a gigabyte back takes some ten milliseconds.
    let bytes = enter(py, usize::MAX, || Ok(pool::trim()))?;
    Ok(PyInt::new(py, bytes).into_any())
}

pub fn get_allocator(py: Python<'_>) -> Any<'_> {
    Ok(PyString::new(py, allocator::name()).into_any())
}

pub fn set_allocator(py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<()> {
    const OP: &str = "set_allocator";
    let Ok(text) = name.cast::<PyString>() else {
        return Err(wrong_type(OP, "name", "a string", name));
    };
    // Whatever is no valid text is no valid name either.
    let text = text.to_string_lossy();
    enter(py, 0, || allocator::choose(OP, &text))
}
