//! The buffer protocol (PEP 3118): other objects' memory as tensors, tensors' memory for others.

use crate::argument::type_name;
use crate::enter::{enter, error};
use crate::tensor::PyTensor;
use corepy_runtime::{DType, Dims, Error, Storage, Tensor, dtype, layout, ops};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, CString, c_int, c_long};
use std::sync::OnceLock;

/// The operation that errors of a tensor's own buffers name.
const EXPORT: &str = "buffer";

/// A buffer that another object exports; dropping it lets the exporter go.
///
/// Boxed, because exporters of one axis point `shape` and `strides` into the struct itself.
struct Export(Box<ffi::Py_buffer>);

// SAFETY: the struct is only read until it is dropped, and dropping takes the GIL first.
unsafe impl Send for Export {}
// SAFETY: as above.
unsafe impl Sync for Export {}

impl Export {
    fn request(op: &'static str, object: &Bound<'_, PyAny>, flags: c_int) -> PyResult<Export> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: the GIL is held, and the struct is zeroed and stays where it is.
        match unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut *view, flags) } {
            0 => Ok(Export(view)),
            _ => Err(no_buffer(op, object, PyErr::fetch(object.py()))),
        }
    }

    /// A slice of one of the struct's arrays of `ndim` numbers, or `None` where it is null.
    fn numbers(&self, array: *const ffi::Py_ssize_t) -> Option<Dims> {
        if array.is_null() {
            return None;
        }
        // SAFETY: the protocol gives arrays of ndim numbers; ndim has been checked.
        let values = unsafe { std::slice::from_raw_parts(array, self.0.ndim as usize) };
        Some(values.iter().map(|&v| v as i64).collect())
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // The last handle may go on any thread, with or without the GIL. Without an interpreter to
        // go back to, the exporter's memory is left to the end of the process.
        Python::try_attach(|_| {
            // SAFETY: the GIL is held; PyObject_GetBuffer filled the struct, and it is released once.
            unsafe { ffi::PyBuffer_Release(&mut *self.0) }
        });
    }
}

/// The error where an exporter gives no buffer: its own, but that of NumPy for a dtype that the protocol
/// does not have.
#[cold]
fn no_buffer(op: &'static str, object: &Bound<'_, PyAny>, own: PyErr) -> PyErr {
    let py = object.py();
    let class = type_name(object);
    if class == "numpy.ndarray"
        && own.is_instance_of::<PyValueError>(py)
        && let Ok(dtype) = object.getattr("dtype").and_then(|dtype| dtype.str())
    {
        return error(py, Error::ArrayDtype { op, class, dtype: dtype.to_string() });
    }
    own
}

/// Whether an object exports a buffer.
#[inline]
pub fn exports(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the GIL is held and the object is alive.
    unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
}

const SWAPPED: &str = "data in the other byte order";

/// The tensor over an exporter's memory, and why its elements cannot be used where they are, if they cannot.
pub fn as_it_lies(op: &'static str, object: &Bound<'_, PyAny>) -> PyResult<(Tensor, Option<&'static str>)> {
    let (tensor, swapped) = view(op, object)?;
    // A scalar of NumPy is a value, not memory that somebody might want to share.
    let value = tensor.ndim() == 0
        && tensor.is_read_only()
        && tensor.storage().owner().strip_prefix("numpy.").is_some_and(|class| class != "ndarray");
    let why = match (swapped, tensor.is_aligned(), value) {
        (true, _, _) => Some(SWAPPED),
        (_, false, _) => Some("unaligned data"),
        (_, _, true) => Some("a scalar"),
        _ => None,
    };
    Ok((tensor, why))
}

/// The tensor over an exporter's memory; a copy where the elements cannot be used as they lie, or
/// where `copy` is true.
pub fn import(op: &'static str, object: &Bound<'_, PyAny>, copy: Option<bool>) -> PyResult<Tensor> {
    let py = object.py();
    let (tensor, why) = as_it_lies(op, object)?;
    let why = match why {
        None if copy == Some(true) => "",
        None => return Ok(tensor),
        Some(why) => why,
    };
    if copy == Some(false) {
        return Err(error(py, Error::NeedsCopy { op, why: why.into() }));
    }
    enter(py, tensor.size() * tensor.itemsize(), || {
        let out = ops::copy::copy(&tensor)?;
        if why == SWAPPED {
            swap_bytes(&out);
        }
        Ok(out)
    })
}

/// Turns the byte order of every element of a tensor that nobody else has seen.
fn swap_bytes(own: &Tensor) {
    let (low, high) = own.address_range();
    let bytes = high - low;
    // SAFETY: a copy is dense, so this is its memory, which no other thread and no other object knows.
    let bytes = unsafe { std::slice::from_raw_parts_mut(low as *mut u8, bytes) };
    match own.dtype().real_part().itemsize() {
        2 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|b| b.reverse()),
        4 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|b| b.reverse()),
        8 => bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|b| b.reverse()),
        _ => {}
    }
}

/// The tensor over an exporter's memory as it lies, and whether its byte order is the other one.
fn view(op: &'static str, object: &Bound<'_, PyAny>) -> PyResult<(Tensor, bool)> {
    let py = object.py();
    let owner = type_name(object);
    if matches!(owner.as_str(), "numpy.datetime64" | "numpy.timedelta64" | "numpy.void") {
        return Err(error(py, Error::NotNumbers { op, class: owner }));
    }
    let export = Export::request(op, object, ffi::PyBUF_RECORDS_RO)?;
    let buffer = &*export.0;
    let format = match buffer.format.is_null() {
        true => "B".into(),
        // SAFETY: the protocol gives a string that ends in NUL and lives as long as the export.
        false => unsafe { CStr::from_ptr(buffer.format) }.to_string_lossy(),
    };
    let (dtype, swapped) =
        parse_format(op, &owner, &format, buffer.itemsize as i64).map_err(|e| error(py, e))?;
    if !(0..=layout::MAX_AXES as c_int).contains(&buffer.ndim) {
        return Err(error(py, Error::BufferAxes { op, class: owner, ndim: buffer.ndim.into() }));
    }
    let shape = match export.numbers(buffer.shape) {
        Some(shape) => shape,
        None if buffer.ndim == 0 => Dims::zeros(0),
        None if buffer.ndim == 1 => Dims::new(&[buffer.len as i64 / dtype.itemsize() as i64]),
        None => return Err(error(py, Error::BufferShape { op, class: owner, ndim: buffer.ndim.into() })),
    };
    let (size, bytes) = layout::checked_size(op, &shape, dtype).map_err(|e| error(py, e))?;
    if bytes != buffer.len as usize {
        let (shape, bytes) = (layout::show(&shape), buffer.len as i64);
        return Err(error(py, Error::BufferSize { op, class: owner, bytes, shape, dtype: dtype.name() }));
    }
    if export.numbers(buffer.suboffsets).is_some_and(|s| s.iter().any(|&offset| offset >= 0)) {
        return Err(error(py, Error::Suboffsets { op, class: owner }));
    }
    let strides = match export.numbers(buffer.strides) {
        Some(strides) if size > 0 => strides,
        _ => layout::contiguous_strides(&shape, dtype.itemsize()),
    };
    let parts = Parts { data: buffer.buf.cast(), dtype, shape, strides, read_only: buffer.readonly != 0 };
    let tensor = parts.tensor(Box::new(export), owner.clone());
    Ok((tensor.ok_or_else(|| error(py, Error::AddressSpace { op, class: owner }))?, swapped))
}

/// Addresses that a process can have: 57 bits with five levels of page tables, the most of any CPU.
const ADDRESSES: i64 = 1 << 57;

/// A tensor's description as somebody else gave it.
pub struct Parts {
    pub data: *mut u8,
    pub dtype: DType,
    pub shape: Dims,
    pub strides: Dims,
    pub read_only: bool,
}

impl Parts {
    /// The tensor over memory that `guard` keeps, or `None` where a null pointer or an overflow shows
    /// that the description cannot be true. The shape's size has been checked.
    pub fn tensor(mut self, guard: Box<dyn std::any::Any + Send + Sync>, owner: String) -> Option<Tensor> {
        let (mut low, mut high) = (0i64, 0i64);
        if self.shape.contains(&0) {
            self.data = std::ptr::without_provenance_mut(64);
        } else {
            if self.data.is_null() {
                return None;
            }
            high = self.dtype.itemsize() as i64;
            for (&extent, stride) in self.shape.iter().zip(self.strides.iter_mut()) {
                if extent == 1 {
                    // The stride of a lone element says nothing and can be any number.
                    if stride.unsigned_abs() > 1 << 47 {
                        *stride = self.dtype.itemsize() as i64;
                    }
                    continue;
                }
                let reach = stride.checked_mul(extent - 1)?;
                let end = if reach < 0 { &mut low } else { &mut high };
                *end = end.checked_add(reach)?;
            }
            let base = i64::try_from(self.data as usize).ok()?;
            if base.checked_add(low)? <= 0 {
                return None;
            }
            if base.checked_add(high)? > ADDRESSES {
                return None;
            }
        }
        let start = self.data.wrapping_offset(low as isize);
        let storage = Storage::import(start, (high - low) as usize, guard, owner);
        // SAFETY: the exporter promises that shape and strides address its memory, which the guard
        // keeps; the storage spans exactly what they address.
        Some(unsafe {
            Tensor::from_parts(storage, self.data, self.dtype, self.shape, self.strides, self.read_only)
        })
    }
}

/// What formats mean that are no dtype, by how they end.
const KINDS: [(&str, &str); 10] = [
    ("w", "text"),
    ("u", "text"),
    ("s", "byte strings"),
    ("p", "byte strings"),
    ("x", "raw bytes"),
    ("}", "records"),
    ("O", "Python objects"),
    ("Zg", "complex numbers of long double"),
    ("g", "long double"),
    ("P", "pointers"),
];

/// The dtype of a format of the struct module, with NumPy's and ctypes' complex codes, and whether
/// its byte order is not this machine's.
fn parse_format(op: &'static str, class: &str, format: &str, itemsize: i64) -> Result<(DType, bool), Error> {
    let (order, code) = match format.as_bytes().first() {
        Some(b'@' | b'=' | b'<' | b'>' | b'!' | b'^') => format.split_at(1),
        _ => ("@", format),
    };
    let native = matches!(order, "@" | "^");
    let long = if native { size_of::<c_long>() } else { 4 };
    let dtype = match code {
        "?" => DType::Bool,
        "b" => DType::Int8,
        "h" => DType::Int16,
        "i" => DType::Int32,
        "l" if long == 4 => DType::Int32,
        "l" | "q" => DType::Int64,
        "n" if native => DType::Int64,
        "B" => DType::Uint8,
        "H" => DType::Uint16,
        "I" => DType::Uint32,
        "L" if long == 4 => DType::Uint32,
        "L" | "Q" => DType::Uint64,
        "N" if native => DType::Uint64,
        "e" => DType::Float16,
        "f" => DType::Float32,
        "d" => DType::Float64,
        "Zf" | "F" => DType::Complex64,
        "Zd" | "D" => DType::Complex128,
        "c" => return Err(Error::Characters { op, class: class.to_owned(), format: format.to_owned() }),
        _ => {
            let what = KINDS.iter().find(|(end, _)| code.ends_with(end)).map_or("elements", |kind| kind.1);
            return Err(Error::BufferFormat { op, class: class.to_owned(), what, format: format.to_owned() });
        }
    };
    if itemsize != dtype.itemsize() as i64 {
        let (class, format) = (class.to_owned(), format.to_owned());
        return Err(Error::BufferItemsize { op, class, format, itemsize });
    }
    let swapped = match order {
        "<" => cfg!(target_endian = "big"),
        ">" | "!" => cfg!(target_endian = "little"),
        _ => false,
    };
    Ok((dtype, swapped && dtype.itemsize() > 1))
}

/// The bytes of an exporter that lie in one piece, whatever its format.
pub fn import_bytes(op: &'static str, object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let export = Export::request(op, object, ffi::PyBUF_SIMPLE)?;
    let buffer = &*export.0;
    let (shape, strides) = (Dims::new(&[buffer.len as i64]), Dims::new(&[1]));
    let read_only = buffer.readonly != 0;
    let parts = Parts { data: buffer.buf.cast(), dtype: DType::Uint8, shape, strides, read_only };
    let owner = type_name(object);
    parts
        .tensor(Box::new(export), owner.clone())
        .ok_or_else(|| error(object.py(), Error::AddressSpace { op, class: owner }))
}

/// A dtype's format as a C string; null where it has none.
fn format_of(dtype: DType) -> *const std::ffi::c_char {
    static FORMATS: OnceLock<Vec<CString>> = OnceLock::new();
    let formats = FORMATS
        .get_or_init(|| dtype::ALL.iter().map(|d| CString::new(d.format()).unwrap_or_default()).collect());
    let format = &formats[dtype.number()];
    if format.is_empty() { std::ptr::null() } else { format.as_ptr() }
}

/// Whether the elements lie in Fortran order without gaps.
pub fn is_fortran(tensor: &Tensor) -> bool {
    let mut expected = tensor.itemsize() as i64;
    tensor.size() == 0
        || tensor.shape().iter().zip(tensor.strides()).all(|(&extent, &stride)| {
            let fits = extent == 1 || stride == expected;
            expected = expected.saturating_mul(extent);
            fits
        })
}

/// Why a request cannot be met, or `None` where it can.
fn refusal(tensor: &Tensor, flags: c_int) -> Option<Error> {
    let asks = |flag: c_int| flags & flag == flag;
    if asks(ffi::PyBUF_WRITABLE) && tensor.is_read_only() {
        return Some(Error::ExportReadOnly { op: EXPORT, owner: tensor.storage().owner().to_owned() });
    }
    if asks(ffi::PyBUF_FORMAT) && tensor.dtype().format().is_empty() {
        return Some(Error::ExportFormat { op: EXPORT, dtype: tensor.dtype().name() });
    }
    let (c, fortran) = (tensor.is_contiguous(), is_fortran(tensor));
    let (fits, order) = if asks(ffi::PyBUF_C_CONTIGUOUS) {
        (c, "C order")
    } else if asks(ffi::PyBUF_F_CONTIGUOUS) {
        (fortran, "Fortran order")
    } else if asks(ffi::PyBUF_ANY_CONTIGUOUS) {
        (c || fortran, "one piece")
    } else if asks(ffi::PyBUF_STRIDES) {
        (true, "")
    } else {
        (c, "C order (no strides)")
    };
    (!fits).then(|| Error::ExportOrder { op: EXPORT, order, strides: layout::show(tensor.strides()) })
}

#[pymethods]
impl PyTensor {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(error(slf.py(), Error::NullBuffer { op: EXPORT }));
        }
        let tensor = &slf.get().0;
        if let Some(refusal) = refusal(tensor, flags) {
            // SAFETY: the caller gives a struct to fill; a failed request leaves its object null.
            unsafe { (*view).obj = std::ptr::null_mut() };
            return Err(error(slf.py(), refusal));
        }
        let asks = |flag: c_int| flags & flag == flag;
        // The arrays lie in the Tensor object, which never moves and which the view keeps alive.
        let shape: *mut ffi::Py_ssize_t = tensor.shape().as_ptr().cast_mut().cast();
        let strides: *mut ffi::Py_ssize_t = tensor.strides().as_ptr().cast_mut().cast();
        let (null, has_axes) = (std::ptr::null_mut(), tensor.ndim() > 0);
        // SAFETY: the caller gives a struct to fill, and holds the GIL.
        let view = unsafe { &mut *view };
        view.buf = tensor.data().cast();
        view.len = (tensor.size() * tensor.itemsize()) as ffi::Py_ssize_t;
        view.itemsize = tensor.itemsize() as ffi::Py_ssize_t;
        view.readonly = tensor.is_read_only() as c_int;
        view.format =
            if asks(ffi::PyBUF_FORMAT) { format_of(tensor.dtype()).cast_mut() } else { std::ptr::null_mut() };
        // Without PyBUF_ND the buffer is a run of bytes, which counts as one axis.
        view.ndim = if asks(ffi::PyBUF_ND) { tensor.ndim() as c_int } else { 1 };
        view.shape = if asks(ffi::PyBUF_ND) && has_axes { shape } else { null };
        view.strides = if asks(ffi::PyBUF_STRIDES) && has_axes { strides } else { null };
        view.suboffsets = null;
        view.internal = std::ptr::null_mut();
        view.obj = slf.into_ptr();
        Ok(())
    }
}
