//! asarray: tensors from whatever holds numbers.

use crate::argument::type_name;
pub use crate::dlpack::from_dlpack;
use crate::enter::{enter, error};
use crate::sequence::Reader;
use crate::tensor::PyTensor;
use crate::{buffer, dlpack};
use corepy_runtime::{DType, Error, Tensor, ops};
use pyo3::prelude::*;
use pyo3::types::{PyComplex, PyFloat, PyInt, PyList, PyTuple};

pub fn asarray<'py>(
    py: Python<'py>,
    obj: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "asarray";
    crate::argument::check_device(OP, device)?;
    let dtype = crate::dtype::parse_optional(OP, dtype)?;
    if let Ok(own) = obj.cast_exact::<PyTensor>()
        && copy != Some(true)
        && dtype.is_none_or(|d| d == own.get().0.dtype())
    {
        return Ok(own.clone());
    }
    PyTensor::object(py, from_object(OP, obj, dtype, copy)?)
}

/// The tensor of any argument, as asarray without options makes it.
pub fn to_tensor(op: &'static str, object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    from_object(op, object, None, None)
}

/// Whether an operator takes an object as a tensor: lists, tuples, buffers, DLPack.
pub fn is_array_like(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || buffer::exports(object)
        || dlpack::exports(object)
}

/// The tensor of an object. `copy`: true always copies, false refuses to, None copies where it must.
pub fn from_object(
    op: &'static str,
    object: &Bound<'_, PyAny>,
    dtype: Option<DType>,
    copy: Option<bool>,
) -> PyResult<Tensor> {
    let py = object.py();
    // A conversion copies anyway; one copy is enough.
    let first = if dtype.is_some() && copy == Some(true) { None } else { copy };
    let Some(found) = existing(op, object, first)? else {
        if copy == Some(false) {
            let why = format!("a {}", type_name(object));
            return Err(error(py, Error::NeedsCopy { op, why }));
        }
        return Reader::new(py, op, dtype).read(object);
    };
    let own = object.cast::<PyTensor>().is_ok();
    let to = dtype.unwrap_or(found.dtype());
    if to == found.dtype() {
        // What is no tensor yet has been copied already where `first` says so.
        let again = copy == Some(true) && (own || first.is_none());
        if !again {
            return Ok(found);
        }
    } else if copy == Some(false) {
        let why = format!("{} to {}", found.dtype().name(), to.name());
        return Err(error(py, Error::NeedsCopy { op, why }));
    }
    enter(py, found.size().saturating_mul(found.itemsize().max(to.itemsize())), || {
        ops::copy::astype(&found, to, op)
    })
}

/// The tensor of an object that holds elements in memory, or `None` for sequences and scalars.
pub fn existing(op: &'static str, object: &Bound<'_, PyAny>, copy: Option<bool>) -> PyResult<Option<Tensor>> {
    if let Ok(tensor) = object.cast_exact::<PyTensor>() {
        return Ok(Some(tensor.get().0.clone()));
    }
    if object.is_exact_instance_of::<PyList>()
        || object.is_exact_instance_of::<PyTuple>()
        || is_scalar(object)
    {
        return Ok(None);
    }
    if buffer::exports(object) {
        return buffer::import(op, object, copy).map(Some);
    }
    if dlpack::exports(object) {
        return dlpack::import(op, object, false, copy).map(Some);
    }
    // Data frames and other holders of NumPy arrays.
    if !object.is_instance_of::<pyo3::types::PyType>()
        && let Ok(method) = object.getattr(pyo3::intern!(object.py(), "__array__"))
    {
        let array = method.call0()?;
        if buffer::exports(&array) {
            return buffer::import(op, &array, copy).map(Some);
        }
    }
    Ok(None)
}

/// Whether an object is a Python number, NumPy's subclasses of them included.
pub fn is_scalar(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyFloat>()
        || object.is_instance_of::<PyInt>()
        || object.is_instance_of::<PyComplex>()
}
