//! dtype objects: one per dtype, for the life of the process.

use crate::argument::show;
use crate::enter::error;
use corepy_runtime::{DType, Error, Kind, dtype};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt, PyString, PyType};

/// The type of a tensor's elements.
///
/// `corepy.bool`, `corepy.int8` ... `corepy.complex128` are its only instances, and `DType(name)` is one of
/// them. They are hashable, compare equal to themselves alone, and pickle by name.
///
/// name: a name, another library's dtype of that name, or one of Python's bool, int, float, complex. Raises
/// TypeError for others.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> cp.float32
/// corepy.float32
/// >>> cp.float32.itemsize
/// 4
#[pyclass(name = "DType", module = "corepy", frozen, eq, hash, from_py_object)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PyDType(pub DType);

#[pymethods]
impl PyDType {
    #[new]
    #[pyo3(signature = (name, /), text_signature = "(name, /)")]
    fn new<'py>(py: Python<'py>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDType>> {
        object(py, parse("DType", name)?)
    }

    /// Name as in the Array API standard.
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Bytes of an element.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.itemsize()
    }

    /// Kind of number: "bool", "signed integer", "unsigned integer", "real floating" or
    /// "complex floating".
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind() {
            Kind::Bool => "bool",
            Kind::Signed => "signed integer",
            Kind::Unsigned => "unsigned integer",
            Kind::Floating => "real floating",
            Kind::Complex => "complex floating",
        }
    }

    fn __repr__(&self) -> String {
        format!("corepy.{}", self.0.name())
    }

    /// A global's name: pickle and copy then give back the one object of this dtype.
    fn __reduce__(&self) -> &'static str {
        self.0.name()
    }
}

static OBJECTS: PyOnceLock<Vec<Py<PyDType>>> = PyOnceLock::new();

/// The object of a dtype.
pub fn object(py: Python<'_>, dtype: DType) -> PyResult<Bound<'_, PyDType>> {
    let objects = OBJECTS.get_or_try_init(py, || {
        dtype::ALL.iter().map(|&d| Py::new(py, PyDType(d))).collect::<PyResult<_>>()
    })?;
    Ok(objects[dtype.number()].bind(py).clone())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    for dtype in dtype::ALL {
        m.add(dtype.name(), object(m.py(), dtype)?)?;
    }
    Ok(())
}

/// The dtype that an argument names: a dtype object, its name, a Python number type, or another
/// library's dtype of the same name.
pub fn parse(op: &'static str, given: &Bound<'_, PyAny>) -> PyResult<DType> {
    if let Ok(own) = given.cast::<PyDType>() {
        return Ok(own.get().0);
    }
    let py = given.py();
    let name = if let Ok(text) = given.cast::<PyString>() {
        Some(text.to_string_lossy().into_owned())
    } else if let Ok(class) = given.cast::<PyType>() {
        let builtin = [
            (py.get_type::<PyBool>(), "bool"),
            (py.get_type::<PyInt>(), "int64"),
            (py.get_type::<PyFloat>(), "float64"),
            (py.get_type::<PyComplex>(), "complex128"),
        ];
        match builtin.iter().find(|(b, _)| b.is(class)) {
            Some((_, name)) => Some((*name).to_owned()),
            None => class.name().ok().map(|n| n.to_string_lossy().into_owned()),
        }
    } else {
        given.getattr("name").ok().and_then(|n| n.extract::<String>().ok())
    };
    name.as_deref().and_then(DType::from_name).ok_or_else(|| {
        let names: Vec<&str> = dtype::ALL.iter().map(|d| d.name()).collect();
        error(py, Error::NotDtype { op, given: show(given), dtypes: names.join(", ") })
    })
}

/// As `parse`, with None for an argument that was left out.
pub fn parse_optional(op: &'static str, given: Option<&Bound<'_, PyAny>>) -> PyResult<Option<DType>> {
    given.map(|g| parse(op, g)).transpose()
}
