//! DLPack version 1, both ways (https://dmlc.github.io/dlpack/latest/c_api.html).

use crate::argument::{Argument, check_stream, pair, show, type_name};
use crate::buffer::Parts;
use crate::enter::{enter, error};
use crate::tensor::PyTensor;
use corepy_runtime::{DType, Dims, Error, Kind, Tensor, layout, ops};
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict};
use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

pub const CPU: i32 = 1;
const MAJOR: u32 = 1;
const READ_ONLY: u64 = 1;
const IS_COPIED: u64 = 2;

/// Names of capsules: a consumer renames what it takes over, so that the destructor leaves it.
const LEGACY: &CStr = c"dltensor";
const VERSIONED: &CStr = c"dltensor_versioned";
const USED_LEGACY: &CStr = c"used_dltensor";
const USED_VERSIONED: &CStr = c"used_dltensor_versioned";

#[repr(C)]
struct Device {
    kind: i32,
    id: i32,
}

#[repr(C)]
#[derive(Clone, Copy, PartialEq)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct Array {
    data: *mut c_void,
    device: Device,
    ndim: i32,
    dtype: DataType,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct Legacy {
    array: Array,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Legacy)>,
}

#[repr(C)]
struct Versioned {
    major: u32,
    minor: u32,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    array: Array,
}

// The layout of the C structs on 64-bit machines.
const _: () = assert!(size_of::<Array>() == 48 && size_of::<Legacy>() == 64 && size_of::<Versioned>() == 80);

/// What an exported capsule owns; the managed struct comes first, so that its address is the box's.
#[repr(C)]
struct Owned<M> {
    managed: M,
    shape: Dims,
    strides: Dims,
    tensor: Tensor,
}

/// What can be handed out as a capsule.
trait Managed: Sized {
    const NAME: &'static CStr;
    const USED: &'static CStr;
    fn new(array: Array, flags: u64, deleter: unsafe extern "C" fn(*mut Self)) -> Self;
    fn array(&self) -> &Array;
    fn array_mut(&mut self) -> &mut Array;
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)>;
}

impl Managed for Legacy {
    const NAME: &'static CStr = LEGACY;
    const USED: &'static CStr = USED_LEGACY;
    fn new(array: Array, _flags: u64, deleter: unsafe extern "C" fn(*mut Self)) -> Self {
        Legacy { array, context: std::ptr::null_mut(), deleter: Some(deleter) }
    }
    fn array(&self) -> &Array {
        &self.array
    }
    fn array_mut(&mut self) -> &mut Array {
        &mut self.array
    }
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.deleter
    }
}

impl Managed for Versioned {
    const NAME: &'static CStr = VERSIONED;
    const USED: &'static CStr = USED_VERSIONED;
    fn new(array: Array, flags: u64, deleter: unsafe extern "C" fn(*mut Self)) -> Self {
        let context = std::ptr::null_mut();
        Versioned { major: MAJOR, minor: 0, context, deleter: Some(deleter), flags, array }
    }
    fn array(&self) -> &Array {
        &self.array
    }
    fn array_mut(&mut self) -> &mut Array {
        &mut self.array
    }
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.deleter
    }
}

fn type_of(dtype: DType) -> DataType {
    let code = match dtype {
        DType::Bool => 6,
        DType::Bfloat16 => 4,
        _ => match dtype.kind() {
            Kind::Signed => 0,
            Kind::Unsigned => 1,
            Kind::Floating => 2,
            _ => 5,
        },
    };
    DataType { code, bits: 8 * dtype.itemsize() as u8, lanes: 1 }
}

/// Frees an exported struct. It needs no GIL: whatever the tensor holds on to takes care of itself.
unsafe extern "C" fn release<M: Managed>(managed: *mut M) {
    // SAFETY: consumers call the deleter once, with the struct that `capsule` boxed.
    drop(unsafe { Box::from_raw(managed.cast::<Owned<M>>()) });
}

/// Frees what a capsule holds, unless a consumer has taken it over.
unsafe extern "C" fn destroy<M: Managed>(capsule: *mut ffi::PyObject) {
    // SAFETY: Python calls this with the capsule, which is valid under its name until it is used.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, M::NAME.as_ptr()) == 1 {
            release(ffi::PyCapsule_GetPointer(capsule, M::NAME.as_ptr()).cast::<M>());
        }
    }
}

/// A capsule that owns a tensor.
fn capsule<M: Managed>(py: Python<'_>, tensor: Tensor, flags: u64) -> PyResult<Bound<'_, PyAny>> {
    const OP: &str = "__dlpack__";
    // Elements that are not aligned are copied when they come in.
    debug_assert!(tensor.is_aligned());
    let itemsize = tensor.itemsize() as i64;
    let mut strides = Dims::new(tensor.strides());
    for (stride, &extent) in strides.iter_mut().zip(tensor.shape()) {
        if *stride % itemsize != 0 && extent > 1 {
            let strides = layout::show(tensor.strides());
            return Err(error(py, Error::ExportStrides { op: OP, strides, itemsize }));
        }
        *stride /= itemsize;
    }
    let array = Array {
        data: tensor.data().cast(),
        device: Device { kind: CPU, id: 0 },
        ndim: tensor.ndim() as i32,
        dtype: type_of(tensor.dtype()),
        shape: std::ptr::null_mut(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    };
    let shape = Dims::new(tensor.shape());
    let mut owned = Box::new(Owned { managed: M::new(array, flags, release::<M>), shape, strides, tensor });
    let (shape, strides) = (owned.shape.as_mut_ptr(), owned.strides.as_mut_ptr());
    let array = owned.managed.array_mut();
    (array.shape, array.strides) = (shape, strides);
    let pointer = Box::into_raw(owned);
    // SAFETY: the GIL is held; the name is static; the destructor fits the pointer.
    let made = unsafe {
        let capsule = ffi::PyCapsule_New(pointer.cast(), M::NAME.as_ptr(), Some(destroy::<M>));
        Bound::from_owned_ptr_or_err(py, capsule)
    };
    if made.is_err() {
        // SAFETY: no capsule owns the box.
        drop(unsafe { Box::from_raw(pointer) });
    }
    made
}

#[pymethods]
impl PyTensor {
    /// A DLPack capsule of the tensor's memory.
    ///
    /// Versioned where max_version is (1, 0) or more, with the read-only flag. Raises BufferError for
    /// a read-only tensor in a capsule without version, and for any device but the cpu.
    #[pyo3(
        signature = (*, stream=None, max_version=None, dl_device=None, copy=Argument::Given(None)),
        text_signature = "($self, *, stream=None, max_version=None, dl_device=None, copy=None)"
    )]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        max_version: Option<&Bound<'py, PyAny>>,
        dl_device: Option<&Bound<'py, PyAny>>,
        copy: Argument<Option<bool>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        const OP: &str = "__dlpack__";
        check_stream(OP, stream)?;
        if let Some(given) = dl_device
            && pair(OP, "dl_device", given)? != (CPU.into(), 0)
        {
            return Err(error(py, Error::OnlyDevice { op: OP, given: show(given) }));
        }
        let max_version = max_version.map(|given| pair(OP, "max_version", given)).transpose()?;
        let copy = copy.read(py, OP, "copy")?;
        let versioned = max_version.is_some_and(|(major, _)| major >= MAJOR.into());
        let tensor = match copy {
            Some(true) => enter(py, self.0.size() * self.0.itemsize(), || ops::copy::copy(&self.0))?,
            _ => self.0.clone(),
        };
        if versioned {
            let read_only = if tensor.is_read_only() { READ_ONLY } else { 0 };
            let copied = if copy == Some(true) { IS_COPIED } else { 0 };
            return capsule::<Versioned>(py, tensor, read_only | copied);
        }
        if tensor.is_read_only() {
            return Err(error(py, Error::ExportVersion { op: OP }));
        }
        capsule::<Legacy>(py, tensor, 0)
    }

    /// DLPack's device: (1, 0), the cpu.
    #[pyo3(text_signature = "($self)")]
    fn __dlpack_device__(&self) -> (i32, i32) {
        (CPU, 0)
    }
}

/// A struct taken over from a capsule; dropping it calls its deleter.
struct Taken<M: Managed>(NonNull<M>);

// SAFETY: the struct is only read until it is dropped, and its deleter is called with the GIL.
unsafe impl<M: Managed> Send for Taken<M> {}
// SAFETY: as above.
unsafe impl<M: Managed> Sync for Taken<M> {}

impl<M: Managed> Drop for Taken<M> {
    fn drop(&mut self) {
        // Deleters of Python libraries may expect the GIL. Without an interpreter the memory is left to
        // the end of the process.
        Python::try_attach(|_| {
            // SAFETY: the struct is ours since the capsule was renamed, and this is the one call.
            unsafe {
                if let Some(deleter) = self.0.as_ref().deleter() {
                    deleter(self.0.as_ptr());
                }
            }
        });
    }
}

/// Whether an object has `__dlpack__`; a class, whose method it would be, has not.
pub fn exports(object: &Bound<'_, PyAny>) -> bool {
    object.get_type().hasattr(intern!(object.py(), "__dlpack__")).unwrap_or(false)
}

pub fn from_dlpack<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    device: Option<&Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "from_dlpack";
    crate::argument::check_device(OP, device)?;
    if !exports(x) {
        return Err(error(py, Error::NoDlpack { op: OP, class: type_name(x) }));
    }
    PyTensor::object(py, import(OP, x, device.is_some(), copy)?)
}

/// The kind of device that an object says its elements are on.
pub fn device(op: &'static str, object: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = object.py();
    let device = object.call_method0(intern!(py, "__dlpack_device__"))?;
    match device.extract::<(i64, i64)>() {
        Ok((kind, _)) => Ok(kind),
        Err(_) => {
            let class = type_name(object);
            Err(error(py, Error::DlpackDevice { op, class, given: show(&device) }))
        }
    }
}

/// The tensor of an object with `__dlpack__`. `transfer`: elements on another device may be copied.
pub fn import(
    op: &'static str,
    object: &Bound<'_, PyAny>,
    transfer: bool,
    copy: Option<bool>,
) -> PyResult<Tensor> {
    let py = object.py();
    let owner = type_name(object);
    let kind = device(op, object)?;
    if kind != i64::from(CPU) && !transfer {
        return Err(error(py, Error::DlpackElsewhere { op, kind }));
    }
    let options = PyDict::new(py);
    options.set_item(intern!(py, "max_version"), (MAJOR, 0))?;
    if let Some(copy) = copy {
        options.set_item(intern!(py, "copy"), copy)?;
    }
    if transfer {
        options.set_item(intern!(py, "dl_device"), (CPU, 0))?;
    }
    let method = object.getattr(intern!(py, "__dlpack__"))?;
    let given = match method.call((), Some(&options)) {
        // Producers from before version 1 take no options; only those that can do without get here.
        Err(e) if kind == i64::from(CPU) && is_old_producer(py, &e) => method.call0()?,
        given => given?,
    };
    let given = given.cast_into::<PyCapsule>().map_err(|refused| {
        error(py, Error::NoCapsule { op, class: owner.clone(), given: type_name(&refused.into_inner()) })
    })?;
    let (tensor, flags) = if is_valid(&given, VERSIONED) {
        let managed = pointer::<Versioned>(&given)?;
        // SAFETY: a valid capsule of this name holds such a struct, whose first fields never change.
        let (major, flags) = unsafe { (managed.as_ref().major, managed.as_ref().flags) };
        if major != MAJOR {
            return Err(error(py, Error::DlpackVersion { op, major }));
        }
        (take::<Versioned>(op, &given, managed, flags & READ_ONLY != 0, owner)?, flags)
    } else if is_valid(&given, LEGACY) {
        // Such a capsule cannot say whether it may be written, so it may not, as in NumPy.
        (take::<Legacy>(op, &given, pointer::<Legacy>(&given)?, true, owner)?, 0)
    } else {
        return Err(error(py, Error::DlpackCapsule { op }));
    };
    if copy == Some(true) && flags & IS_COPIED == 0 {
        return enter(py, tensor.size() * tensor.itemsize(), || ops::copy::copy(&tensor));
    }
    Ok(tensor)
}

fn is_old_producer(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyTypeError>(py) && !error.is_instance_of::<PyAttributeError>(py)
}

fn is_valid(capsule: &Bound<'_, PyCapsule>, name: &'static CStr) -> bool {
    // SAFETY: the GIL is held and the object is a capsule.
    unsafe { ffi::PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) == 1 }
}

fn pointer<M: Managed>(capsule: &Bound<'_, PyCapsule>) -> PyResult<NonNull<M>> {
    // SAFETY: the GIL is held; null with an exception set where the name does not fit.
    let pointer = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), M::NAME.as_ptr()) };
    NonNull::new(pointer.cast()).ok_or_else(|| PyErr::fetch(capsule.py()))
}

/// The tensor of a capsule's struct, which is taken over once it has been checked. A capsule that is
/// refused keeps its name, and so its destructor frees it.
fn take<M: Managed + 'static>(
    op: &'static str,
    capsule: &Bound<'_, PyCapsule>,
    managed: NonNull<M>,
    read_only: bool,
    owner: String,
) -> PyResult<Tensor> {
    let py = capsule.py();
    // SAFETY: the capsule is alive and holds such a struct.
    let array = unsafe { managed.as_ref() }.array();
    let mut parts = check(op, array, &owner).map_err(|e| error(py, e))?;
    parts.read_only = read_only;
    let aligned = (parts.data as usize).is_multiple_of(parts.dtype.alignment());
    if !aligned && !parts.shape.contains(&0) {
        return Err(error(py, Error::ImportUnaligned { op, class: owner }));
    }
    // SAFETY: the GIL is held and the name is static.
    if unsafe { ffi::PyCapsule_SetName(capsule.as_ptr(), M::USED.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    parts
        .tensor(Box::new(Taken(managed)), owner.clone())
        .ok_or_else(|| error(py, Error::AddressSpace { op, class: owner }))
}

/// The parts of somebody else's struct, as far as they can be checked.
fn check(op: &'static str, array: &Array, owner: &str) -> Result<Parts, Error> {
    if array.device.kind != CPU {
        return Err(Error::DlpackElsewhere { op, kind: array.device.kind.into() });
    }
    let (given, ndim) = (array.dtype, array.ndim);
    let Some(dtype) = corepy_runtime::dtype::ALL.into_iter().find(|&d| type_of(d) == given) else {
        let DataType { code, bits, lanes } = given;
        return Err(Error::DlpackDtype { op, code, bits, lanes });
    };
    if !(0..=layout::MAX_AXES as i32).contains(&ndim) {
        return Err(Error::DlpackAxes { op, ndim });
    }
    let numbers = |array: *const i64| match array.is_null() || ndim == 0 {
        true => None,
        // SAFETY: the producer gives arrays of ndim numbers.
        false => Some(Dims::new(unsafe { std::slice::from_raw_parts(array, ndim as usize) })),
    };
    let shape = match numbers(array.shape) {
        Some(shape) => shape,
        None if ndim == 0 => Dims::zeros(0),
        None => return Err(Error::DlpackShape { op, ndim }),
    };
    let (size, _) = layout::checked_size(op, &shape, dtype)?;
    let mut strides = match numbers(array.strides) {
        Some(strides) if size > 0 => strides,
        _ => layout::contiguous_strides(&shape, dtype.itemsize()),
    };
    if !array.strides.is_null() && size > 0 {
        for (stride, &extent) in strides.iter_mut().zip(shape.iter()) {
            match stride.checked_mul(dtype.itemsize() as i64) {
                Some(bytes) => *stride = bytes,
                None if extent == 1 => *stride = dtype.itemsize() as i64,
                None => return Err(Error::AddressSpace { op, class: owner.to_owned() }),
            }
        }
    }
    let end = (array.data as u64).checked_add(array.byte_offset);
    let (false, Some(address)) = (array.data.is_null() && size > 0, end) else {
        return Err(Error::DlpackMemory { op });
    };
    let data = array.data.cast::<u8>().with_addr(address as usize);
    Ok(Parts { data, dtype, shape, strides, read_only: false })
}
