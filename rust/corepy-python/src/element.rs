//! Elements as Python objects.

use corepy_runtime::{DType, Tensor};
use half::{bf16, f16};
use num_complex::{Complex32, Complex64};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// The value of one element, exact for every dtype.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Complex(f64, f64),
}

/// Calls a macro with the Rust type of a dtype's elements and the function that makes their value.
macro_rules! with_element {
    ($dtype:expr, $call:ident) => {
        match $dtype {
            DType::Bool => $call!(u8, |v| Value::Bool(v != 0)),
            DType::Int8 => $call!(i8, |v| Value::Int(v as i64)),
            DType::Int16 => $call!(i16, |v| Value::Int(v as i64)),
            DType::Int32 => $call!(i32, |v| Value::Int(v as i64)),
            DType::Int64 => $call!(i64, |v| Value::Int(v)),
            DType::Uint8 => $call!(u8, |v| Value::Uint(v as u64)),
            DType::Uint16 => $call!(u16, |v| Value::Uint(v as u64)),
            DType::Uint32 => $call!(u32, |v| Value::Uint(v as u64)),
            DType::Uint64 => $call!(u64, |v| Value::Uint(v)),
            DType::Float16 => $call!(f16, |v| Value::Float(v.to_f64())),
            DType::Bfloat16 => $call!(bf16, |v| Value::Float(v.to_f64())),
            DType::Float32 => $call!(f32, |v| Value::Float(v as f64)),
            DType::Float64 => $call!(f64, |v| Value::Float(v)),
            DType::Complex64 => $call!(Complex32, |v| Value::Complex(v.re as f64, v.im as f64)),
            DType::Complex128 => $call!(Complex64, |v| Value::Complex(v.re, v.im)),
        }
    };
}

/// Tells a closure's parameter, which keeps it inline where a function pointer would not.
fn typed<T, F: Fn(T) -> Value>(make: F) -> F {
    make
}

/// Reads the element at an address.
///
/// # Safety
/// One element of the dtype lies there, at any alignment.
pub unsafe fn read(at: *const u8, dtype: DType) -> Value {
    macro_rules! one {
        ($type:ty, $value:expr) => {{
            // SAFETY: as the caller promises.
            typed::<$type, _>($value)(unsafe { at.cast::<$type>().read_unaligned() })
        }};
    }
    with_element!(dtype, one)
}

/// The element of a tensor that has exactly one.
pub fn only(tensor: &Tensor) -> Option<Value> {
    // SAFETY: with one element, every index is 0, and it lies at the data pointer.
    (tensor.size() == 1).then(|| unsafe { read(tensor.data(), tensor.dtype()) })
}

impl Value {
    /// A new reference to the Python object of the value; null with an exception set when there is
    /// no memory.
    #[inline(always)]
    fn new_reference(self, _py: Python<'_>) -> *mut ffi::PyObject {
        // SAFETY: the GIL is held; each function returns a new reference or null.
        unsafe {
            match self {
                Value::Bool(v) => ffi::PyBool_FromLong(v as std::ffi::c_long),
                Value::Int(v) => ffi::PyLong_FromLongLong(v),
                Value::Uint(v) => ffi::PyLong_FromUnsignedLongLong(v),
                Value::Float(v) => ffi::PyFloat_FromDouble(v),
                Value::Complex(re, im) => ffi::PyComplex_FromDoubles(re, im),
            }
        }
    }

    /// The Python object of the value.
    pub fn object(self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        // SAFETY: a new reference or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(py, self.new_reference(py)) }
    }

    pub fn is_true(self) -> bool {
        match self {
            Value::Bool(v) => v,
            Value::Int(v) => v != 0,
            Value::Uint(v) => v != 0,
            Value::Float(v) => v != 0.0,
            Value::Complex(re, im) => re != 0.0 || im != 0.0,
        }
    }
}

/// A list without elements. PyO3's own panics where there is no memory, as between many lists there may be.
pub fn empty_list(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    // SAFETY: the GIL is held; a new reference or null with an exception set.
    let list = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyList_New(0)) }?;
    Ok(list.cast_into()?)
}

/// A list of `n` elements that lie `stride` bytes apart. `pause` is called after each `piece` of them.
///
/// # Safety
/// The elements lie there, at any alignment.
pub unsafe fn list<'py>(
    py: Python<'py>,
    at: *const u8,
    dtype: DType,
    n: usize,
    stride: i64,
    piece: usize,
    mut pause: impl FnMut() -> PyResult<()>,
) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: the GIL is held; a new reference or null with an exception set.
    let list = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyList_New(n as ffi::Py_ssize_t)) }?;
    let paused = n > piece;
    if paused {
        // Code that runs in a pause could find a list with empty places by way of the garbage collector.
        // SAFETY: a list that nobody else knows; its destructor takes it tracked or not.
        unsafe { ffi::PyObject_GC_UnTrack(list.as_ptr().cast()) };
    }
    let mut first = 0;
    loop {
        let end = n.min(first + piece);
        // SAFETY: as the caller promises; the list has n places.
        unsafe { fill(&list, at, dtype, first..end, stride) }?;
        if end == n {
            break;
        }
        first = end;
        pause()?;
    }
    if paused {
        // SAFETY: untracked above; every place has its element.
        unsafe { ffi::PyObject_GC_Track(list.as_ptr().cast()) };
    }
    Ok(list)
}

/// Fills places of a list.
///
/// # Safety
/// As for `list`; the list has the places, which are empty.
unsafe fn fill(
    list: &Bound<'_, PyAny>,
    at: *const u8,
    dtype: DType,
    places: std::ops::Range<usize>,
    stride: i64,
) -> PyResult<()> {
    let py = list.py();
    macro_rules! fill {
        ($type:ty, $value:expr) => {{
            let make = typed::<$type, _>($value);
            for i in places.clone() {
                let place = at.wrapping_offset(i as isize * stride as isize).cast::<$type>();
                // SAFETY: an element lies there, as the caller promises.
                let value = unsafe { place.read_unaligned() };
                let object = make(value).new_reference(py);
                if object.is_null() {
                    return Err(PyErr::fetch(py));
                }
                // SAFETY: the list has the place, and the call takes over the reference.
                unsafe { ffi::PyList_SetItem(list.as_ptr(), i as ffi::Py_ssize_t, object) };
            }
        }};
    }
    with_element!(dtype, fill);
    Ok(())
}
