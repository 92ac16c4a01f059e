//! corepy._native: the Python bindings of the runtime.

#![warn(unsafe_op_in_unsafe_fn)]

mod absent;
mod argument;
mod blocks;
mod buffer;
mod calls;
mod decimal;
mod dlpack;
mod dtype;
mod element;
mod elementwise;
mod enter;
mod exit;
mod export;
mod format;
mod functions;
#[rustfmt::skip]
#[allow(clippy::all)]
mod generated;
mod index;
mod lanes;
mod operand;
mod reduction;
mod sequence;
mod tensor;
mod threads;

use corepy_runtime::memory::reserve::WithReserve;
use pyo3::prelude::*;
use std::alloc::System;

/// Python code goes on after a MemoryError, whose message must not end the process.
#[global_allocator]
static HEAP: WithReserve<System> = WithReserve(System);

/// Reads every environment variable, so that a bad value fails the import and not a later call.
fn check_environment() -> corepy_runtime::Result<()> {
    corepy_runtime::kernels::level::choose_from_environment()?;
    corepy_runtime::memory::pool::settings()?;
    corepy_runtime::memory::arena::settings()?;
    corepy_runtime::scheduler::settings()?;
    corepy_runtime::trace::settings()?;
    Ok(())
}

/// Uses the table of costs that is kept for this machine, and warns of one that cannot be used.
fn load_costs(py: Python<'_>) -> PyResult<()> {
    use corepy_runtime::scheduler::tuning::{self, Found, Place};
    if let (Place::File(path), Found::Ignored(why)) = tuning::load() {
        let text = format!("the tuning table {} is ignored: {why}", path.display());
        // No NUL: paths and what files hold come from others.
        let text = std::ffi::CString::new(text.replace('\0', "?"))?;
        PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyRuntimeWarning>(), &text, 1)?;
    }
    Ok(())
}

#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    enter::install();
    check_environment().map_err(|e| enter::error(py, e))?;
    load_costs(py)?;
    m.add_class::<tensor::PyTensor>()?;
    absent::register(&py.get_type::<tensor::PyTensor>())?;
    let empty = corepy_runtime::Tensor::empty("Tensor", &[], corepy_runtime::DType::Bool);
    let empty = empty.map_err(|e| enter::error(py, e))?;
    calls::wrap_methods(&tensor::PyTensor::object(py, empty)?)?;
    m.add_class::<dtype::PyDType>()?;
    m.add_class::<functions::information::FloatInfo>()?;
    m.add_class::<functions::information::IntegerInfo>()?;
    m.add_class::<threads::Threads>()?;
    m.add_class::<functions::printing::PrintOptions>()?;
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    dtype::register(m)?;
    m.add_function(wrap_pyfunction!(export::_rebuild, m)?)?;
    m.add_function(wrap_pyfunction!(absent::_missing_name, m)?)?;
    m.add_function(wrap_pyfunction!(enter::_panic, m)?)?;
    m.add_function(wrap_pyfunction!(threads::_set_own_threads, m)?)?;
    m.add_function(wrap_pyfunction!(threads::_register_with_threadpoolctl, m)?)?;
    exit::register(m)?;
    lanes::register(m)?;
    generated::functions::register(m)
}
