//! Names that users of other libraries expect and corepy does not have: errors that say what to use.

use crate::enter::error;
use crate::generated::names::{ATTRIBUTES, NAMES};
use crate::tensor::PyTensor;
use corepy_runtime::Error;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyType};

fn found<'a>(table: &'a [(&str, &'a str)], name: &str) -> Option<&'a str> {
    table.binary_search_by_key(&name, |entry| entry.0).ok().map(|place| table[place].1)
}

/// The module's `__getattr__`: Python calls it for a name that the module does not have.
#[pyfunction]
#[pyo3(signature = (name, /), text_signature = "(name, /)")]
pub fn _missing_name<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    if let Some(instead) = found(&NAMES, name) {
        return Err(error(py, Error::AbsentName { name: name.to_owned(), instead }));
    }
    let unknown = error(py, Error::UnknownName { name: name.to_owned() });
    // With both fields set, a traceback proposes the name that is most like it.
    unknown.value(py).setattr("name", name)?;
    unknown.value(py).setattr("obj", py.import("corepy")?)?;
    Err(unknown)
}

/// An attribute that Tensor does not have. A descriptor and no `__getattr__`, which would make every
/// lookup of an attribute that is there slower.
#[pyclass(module = "corepy", frozen)]
pub struct Absent {
    name: &'static str,
    instead: &'static str,
}

#[pymethods]
impl Absent {
    fn __get__(&self, object: &Bound<'_, PyAny>, owner: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        let _ = owner;
        let owner = if object.is_none() { "type object 'corepy.Tensor'" } else { "'corepy.Tensor' object" };
        let Absent { name, instead } = *self;
        Err(error(object.py(), Error::AbsentAttribute { owner, name, instead }))
    }

    fn __repr__(&self) -> String {
        format!("<no attribute: {}>", self.instead)
    }
}

#[pymethods]
impl PyTensor {
    /// The attributes that there are.
    fn __dir__<'py>(slf: &Bound<'py, Self>, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let all = py.get_type::<PyAny>().call_method1("__dir__", (slf,))?;
        let there = PyList::empty(py);
        for name in all.try_iter()? {
            let name = name?.cast_into::<PyString>()?;
            if found(&ATTRIBUTES, &name.to_string()).is_none() {
                there.append(name)?;
            }
        }
        Ok(there)
    }
}

/// Adds the absent attributes to the class.
pub fn register(tensor: &Bound<'_, PyType>) -> PyResult<()> {
    for (name, instead) in ATTRIBUTES {
        tensor.setattr(name, Bound::new(tensor.py(), Absent { name, instead })?)?;
    }
    Ok(())
}
