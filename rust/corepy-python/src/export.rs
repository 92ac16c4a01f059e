//! Tensors as Python objects: numbers, lists, copies, pickles.

use crate::argument::{Argument, type_name};
use crate::buffer;
use crate::element::{self, Value};
use crate::enter::{enter, error};
use crate::operand::Operand;
use crate::tensor::PyTensor;
use corepy_runtime::{Binary, DType, Dims, Error, Reduce, Tensor, layout, ops};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;
use std::ffi::c_char;

/// Elements of a list that are made between two looks at signals: some milliseconds of work.
const CHUNK: usize = 1 << 17;

/// The one element of a tensor.
fn only(py: Python<'_>, op: &'static str, tensor: &Tensor) -> PyResult<Value> {
    element::only(tensor).ok_or_else(|| error(py, Error::SizeOne { op, shape: layout::show(tensor.shape()) }))
}

/// The list of a tensor's axes from one on; `left` counts elements down to the next look at signals.
fn nested<'py>(
    py: Python<'py>,
    tensor: &Tensor,
    axis: usize,
    at: *const u8,
    left: &mut usize,
) -> PyResult<Bound<'py, PyAny>> {
    let (extent, stride) = (tensor.shape()[axis] as usize, tensor.strides()[axis]);
    let last = axis + 1 == tensor.ndim();
    // Lists count too: there may be many though there is no element.
    *left = left.saturating_sub(if last { extent + 1 } else { 1 });
    if *left == 0 {
        py.check_signals()?;
        *left = CHUNK;
    }
    if last {
        // SAFETY: `at` is the address of this row's first element.
        return unsafe {
            element::list(py, at, tensor.dtype(), extent, stride, CHUNK, || py.check_signals())
        };
    }
    let rows = element::empty_list(py)?;
    for i in 0..extent {
        let row = at.wrapping_offset((i as i64 * stride) as isize);
        rows.append(nested(py, tensor, axis + 1, row, left)?)?;
    }
    Ok(rows.into_any())
}

/// A copy in memory of its own.
fn copied<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyTensor>> {
    let out = enter(py, tensor.size() * tensor.itemsize(), || ops::copy::copy(tensor))?;
    PyTensor::object(py, out)
}

/// The elements of a tensor in C order as a tensor of bytes.
fn as_bytes(py: Python<'_>, tensor: &Tensor) -> PyResult<Tensor> {
    let bytes = tensor.size() * tensor.itemsize();
    let plain = enter(py, bytes, || ops::copy::contiguous(tensor))?;
    Ok(plain.view_as(0, DType::Uint8, &[bytes as i64], &[1]))
}

/// A bytes-like object with the bytes of a tensor, made by two functions of its type: one makes it,
/// one gives its memory.
fn bytes_object<'py>(
    py: Python<'py>,
    bytes: &Tensor,
    make: unsafe extern "C" fn(*const c_char, ffi::Py_ssize_t) -> *mut ffi::PyObject,
    memory: unsafe extern "C" fn(*mut ffi::PyObject) -> *mut c_char,
) -> PyResult<Bound<'py, PyAny>> {
    struct Room(*mut u8);
    // SAFETY: the memory of an object that nobody else knows yet.
    unsafe impl Sync for Room {}
    impl Room {
        fn at(&self) -> *mut u8 {
            self.0
        }
    }
    let n = bytes.size();
    // SAFETY: without bytes to copy the object is made with room for as many; null with an exception set.
    let object = unsafe { Bound::from_owned_ptr_or_err(py, make(std::ptr::null(), n as ffi::Py_ssize_t)) }?;
    // SAFETY: an object of the type.
    let room = Room(unsafe { memory(object.as_ptr()) }.cast());
    // SAFETY: n contiguous bytes, and room for them.
    enter(py, n, || unsafe { ops::copy::copy_bytes(room.at(), bytes.data(), n) })?;
    Ok(object)
}

#[pymethods]
impl PyTensor {
    /// The element of a tensor with one element, as a Python scalar.
    ///
    /// Raises ValueError for any other size.
    ///
    /// Examples
    /// --------
    /// >>> import corepy as cp
    /// >>> cp.asarray([2.5]).item()
    /// 2.5
    #[pyo3(text_signature = "($self)")]
    fn item<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        only(py, "item", &self.0)?.object(py)
    }

    /// The elements as nested lists of Python scalars; a scalar where there are no axes.
    ///
    /// Examples
    /// --------
    /// >>> import corepy as cp
    /// >>> cp.asarray([[1, 2], [3, 4]]).tolist()
    /// [[1, 2], [3, 4]]
    #[pyo3(text_signature = "($self)")]
    fn tolist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.0.ndim() == 0 {
            return only(py, "tolist", &self.0)?.object(py);
        }
        nested(py, &self.0, 0, self.0.data(), &mut CHUNK.clone())
    }

    /// A copy in memory of its own, with the same order of axes in memory.
    ///
    /// Examples
    /// --------
    /// >>> import corepy as cp
    /// >>> a = cp.zeros(2)
    /// >>> b = a.copy()
    /// >>> b[0] = 1.0
    /// >>> a.tolist()
    /// [0.0, 0.0]
    #[pyo3(text_signature = "($self)")]
    fn copy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        copied(py, &self.0)
    }

    fn __copy__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTensor>> {
        copied(py, &self.0)
    }

    fn __deepcopy__<'py>(
        &self,
        py: Python<'py>,
        _memo: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyTensor>> {
        copied(py, &self.0)
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        element::only(&self.0)
            .map(Value::is_true)
            .ok_or_else(|| error(py, Error::Truth { op: "bool", shape: layout::show(self.0.shape()) }))
    }

    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let object = only(py, "int", &self.0)?.object(py)?;
        // SAFETY: the GIL is held; a new reference or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyNumber_Long(object.as_ptr())) }
    }

    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        match only(py, "float", &self.0)? {
            Value::Complex(..) => {
                let (op, from) = ("float", self.0.dtype().name());
                Err(error(py, Error::ComplexToReal { op, from, to: "float" }))
            }
            value => value.object(py)?.extract(),
        }
    }

    fn __complex__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (re, im) = match only(py, "complex", &self.0)? {
            Value::Complex(re, im) => (re, im),
            value => (value.object(py)?.extract()?, 0.0),
        };
        Value::Complex(re, im).object(py)
    }

    fn __index__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match element::only(&self.0) {
            // Axes are refused, so that bytes(t) is the elements of t and never that many zeros.
            Some(value @ (Value::Int(_) | Value::Uint(_))) if self.0.ndim() == 0 => value.object(py),
            _ => {
                let (shape, dtype) = (layout::show(self.0.shape()), self.0.dtype().name());
                Err(error(py, Error::TensorAsIndex { op: "index", shape, dtype }))
            }
        }
    }

    fn __contains__(slf: &Bound<'_, Self>, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        if Operand::read_for_operator("equal", value)?.is_none() {
            return Ok(false);
        }
        let equal = crate::elementwise::binary(py, Binary::Equal, slf.as_any(), value)?;
        let found = crate::reduction::reduce(py, Reduce::Any, equal.as_any(), Default::default())?;
        found.get().__bool__(py)
    }

    /// Pickled as bytes in C order, out of band where the protocol and the pickler allow it.
    fn __reduce_ex__<'py>(
        slf: &Bound<'py, Self>,
        py: Python<'py>,
        protocol: Argument<i64>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let protocol = protocol.read(py, "__reduce_ex__", "protocol")?;
        static REBUILD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let rebuild = REBUILD.get_or_try_init(py, || {
            Ok::<_, PyErr>(py.import("corepy._native")?.getattr("_rebuild")?.unbind())
        })?;
        let tensor = &slf.get().0;
        let bytes = as_bytes(py, tensor)?;
        let read_only = bytes.is_read_only();
        // What was writable must be so again: bytes are not, bytearrays are.
        let buffer = match (protocol >= 5, read_only) {
            (true, _) => {
                py.import("pickle")?.getattr("PickleBuffer")?.call1((PyTensor::object(py, bytes)?,))?
            }
            (false, true) => bytes_object(py, &bytes, ffi::PyBytes_FromStringAndSize, ffi::PyBytes_AsString)?,
            (false, false) => {
                bytes_object(py, &bytes, ffi::PyByteArray_FromStringAndSize, ffi::PyByteArray_AsString)?
            }
        };
        let dtype = crate::dtype::object(py, tensor.dtype())?;
        let shape = PyTuple::new(py, tensor.shape())?;
        (rebuild.bind(py), (buffer, dtype, shape)).into_pyobject(py)
    }
}

/// The tensor of a pickle.
#[pyfunction]
#[pyo3(signature = (buffer, dtype, shape, /), text_signature = "(buffer, dtype, shape, /)")]
pub fn _rebuild<'py>(
    py: Python<'py>,
    buffer: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    shape: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "pickle";
    if !buffer::exports(buffer) {
        return Err(error(py, Error::PickleBuffer { op: OP, class: type_name(buffer) }));
    }
    let dtype = crate::dtype::parse(OP, dtype)?;
    let shape = crate::argument::read_integers(OP, "shape", shape)?;
    let (size, bytes) = layout::checked_size(OP, &shape, dtype).map_err(|e| error(py, e))?;
    let data = buffer::import_bytes(OP, buffer)?;
    if data.size() != bytes {
        let (shape, dtype) = (layout::show(&shape), dtype.name());
        return Err(error(py, Error::PickleSize { op: OP, bytes: data.size(), shape, dtype }));
    }
    let strides: Dims = layout::contiguous_strides(&shape, dtype.itemsize());
    let tensor = data.view_as(0, dtype, &shape, &strides);
    if tensor.is_aligned() {
        return PyTensor::object(py, tensor);
    }
    let copy = enter(py, size * dtype.itemsize(), || ops::copy::copy(&tensor))?;
    PyTensor::object(py, copy)
}
