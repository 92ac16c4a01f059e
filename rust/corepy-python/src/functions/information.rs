//! What dtypes are and how they promote; what the machine has and how much of it is used.

pub use super::configuration::{config, show_config};
use crate::argument::{show, wrong_type};
use crate::dtype::{self, PyDType};
use crate::enter::{enter, error};
use crate::operand::Weak;
use crate::tensor::PyTensor;
use corepy_runtime::dtype::{INTEGER, promote};
use corepy_runtime::kernels::level;
use corepy_runtime::{DType, Error, Kind, scheduler};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple};

type Any<'py> = PyResult<Bound<'py, PyAny>>;

/// The dtype of an argument that is a dtype or something with elements.
fn dtype_of(op: &'static str, given: &Bound<'_, PyAny>) -> PyResult<DType> {
    if let Ok(tensor) = given.cast::<PyTensor>() {
        return Ok(tensor.get().0.dtype());
    }
    dtype::parse(op, given)
}

pub fn result_type<'py>(py: Python<'py>, arrays_and_dtypes: &Bound<'py, PyTuple>) -> Any<'py> {
    const OP: &str = "result_type";
    let mut common: Option<DType> = None;
    let mut scalars = Vec::new();
    for (i, given) in arrays_and_dtypes.iter().enumerate() {
        // Some tenths of a millisecond apart.
        if i % 4096 == 4095 {
            py.check_signals()?;
        }
        if let Some(weak) = Weak::read(&given)? {
            scalars.push(weak);
            continue;
        }
        let own = if super::convert::is_array_like(&given) {
            super::convert::to_tensor(OP, &given)?.dtype()
        } else {
            dtype_of(OP, &given)?
        };
        common = Some(match common {
            None => own,
            Some(so_far) => promote(so_far, own)
                .ok_or_else(|| error(py, Error::NoPromotion { op: OP, a: so_far.name(), b: own.name() }))?,
        });
    }
    // Scalars come last: they are weak beside whatever has a dtype.
    for weak in scalars {
        common = Some(common.map_or_else(|| weak.default_dtype(), |so_far| weak.dtype_beside(so_far)));
    }
    let common = common.ok_or_else(|| error(py, Error::NoArguments { op: OP }))?;
    Ok(dtype::object(py, common)?.into_any())
}

pub fn can_cast<'py>(py: Python<'py>, from_: &Bound<'py, PyAny>, to: &Bound<'py, PyAny>) -> Any<'py> {
    const OP: &str = "can_cast";
    let (from, to) = (dtype_of(OP, from_)?, dtype::parse(OP, to)?);
    Ok(PyBool::new(py, promote(from, to) == Some(to)).to_owned().into_any())
}

const KINDS: [&str; 7] = [
    "bool",
    "signed integer",
    "unsigned integer",
    "integral",
    "real floating",
    "complex floating",
    "numeric",
];

fn is_kind(dtype: DType, name: &str) -> bool {
    match dtype.kind() {
        Kind::Bool => name == "bool",
        Kind::Signed => matches!(name, "signed integer" | "integral" | "numeric"),
        Kind::Unsigned => matches!(name, "unsigned integer" | "integral" | "numeric"),
        Kind::Floating => matches!(name, "real floating" | "numeric"),
        Kind::Complex => matches!(name, "complex floating" | "numeric"),
    }
}

/// Whether a dtype is of one kind: a dtype or the name of a set of them.
fn matches_kind(dtype: DType, kind: &Bound<'_, PyAny>) -> PyResult<bool> {
    const OP: &str = "isdtype";
    if let Ok(name) = kind.cast::<PyString>() {
        let (py, name) = (kind.py(), name.to_string_lossy().into_owned());
        if !KINDS.contains(&name.as_str()) {
            let (kind, kinds) = (show(kind), KINDS.join(", "));
            return Err(error(py, Error::KindUnknown { op: OP, kind, kinds }));
        }
        return Ok(is_kind(dtype, &name));
    }
    match kind.cast::<PyDType>() {
        Ok(own) => Ok(own.get().0 == dtype),
        Err(_) => Err(wrong_type(OP, "kind", "a dtype, a string or a tuple of them", kind)),
    }
}

pub fn isdtype<'py>(py: Python<'py>, dtype: &Bound<'py, PyAny>, kind: &Bound<'py, PyAny>) -> Any<'py> {
    let dtype = dtype::parse("isdtype", dtype)?;
    // Tuples may hold tuples, as deep as the caller likes: a list of what is left takes no stack. Every
    // kind is read, so that a wrong one is found whatever stands before it.
    let (mut left, mut matches) = (vec![kind.clone()], false);
    while let Some(kind) = left.pop() {
        match kind.cast::<PyTuple>() {
            Ok(kinds) => left.extend(kinds.iter().rev()),
            Err(_) => matches |= matches_kind(dtype, &kind)?,
        }
    }
    Ok(PyBool::new(py, matches).to_owned().into_any())
}

/// Limits of a floating-point dtype; for a complex one, of its parts. Calling the class is calling finfo.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> cp.finfo(cp.float32).eps
/// 1.1920928955078125e-07
#[pyclass(name = "finfo_object", module = "corepy", frozen, eq)]
#[derive(PartialEq)]
pub struct FloatInfo {
    dtype: DType,
    mantissa_bits: i32,
    max_exponent: i32,
}

#[pymethods]
impl FloatInfo {
    #[new]
    #[pyo3(signature = (r#type, /), text_signature = "(type, /)")]
    fn new(py: Python<'_>, r#type: &Bound<'_, PyAny>) -> PyResult<FloatInfo> {
        FloatInfo::of(py, r#type)
    }

    /// Bits of a number.
    #[getter]
    fn bits(&self) -> usize {
        8 * self.dtype.itemsize()
    }

    /// Difference between 1.0 and the next larger number.
    #[getter]
    fn eps(&self) -> f64 {
        2f64.powi(-self.mantissa_bits)
    }

    /// Largest finite number.
    #[getter]
    fn max(&self) -> f64 {
        // (2 - eps) * 2**max_exponent, in an order that does not overflow on the way.
        (2.0 - self.eps()) * 2f64.powi(self.max_exponent)
    }

    /// Smallest finite number.
    #[getter]
    fn min(&self) -> f64 {
        -self.max()
    }

    /// Smallest positive number with full precision.
    #[getter]
    fn smallest_normal(&self) -> f64 {
        2f64.powi(1 - self.max_exponent)
    }

    /// The dtype itself, or that of a complex dtype's parts.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDType>> {
        dtype::object(py, self.dtype)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let show =
            |value: f64| PyFloat::new(py, value).repr().map(|text| text.to_string_lossy().into_owned());
        Ok(format!(
            "finfo(dtype={}, bits={}, eps={}, max={}, min={}, smallest_normal={})",
            self.dtype.name(),
            self.bits(),
            show(self.eps())?,
            show(self.max())?,
            show(self.min())?,
            show(self.smallest_normal())?
        ))
    }
}

impl FloatInfo {
    fn of(py: Python<'_>, r#type: &Bound<'_, PyAny>) -> PyResult<FloatInfo> {
        const OP: &str = "finfo";
        let dtype = dtype_of(OP, r#type)?.real_part();
        let (mantissa_bits, max_exponent) = match dtype {
            DType::Float16 => (10, 15),
            DType::Bfloat16 => (7, 127),
            DType::Float32 => (23, 127),
            DType::Float64 => (52, 1023),
            _ => {
                let accepted = "float16, bfloat16, float32, float64, complex64, complex128";
                return Err(error(py, Error::DtypeRefused { op: OP, dtype: dtype.name(), accepted }));
            }
        };
        Ok(FloatInfo { dtype, mantissa_bits, max_exponent })
    }
}

pub fn finfo<'py>(py: Python<'py>, r#type: &Bound<'py, PyAny>) -> Any<'py> {
    Ok(Bound::new(py, FloatInfo::of(py, r#type)?)?.into_any())
}

/// Limits of an integer dtype. Calling the class is calling iinfo.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> cp.iinfo(cp.uint8).max
/// 255
#[pyclass(name = "iinfo_object", module = "corepy", frozen, eq)]
#[derive(PartialEq)]
pub struct IntegerInfo {
    dtype: DType,
}

#[pymethods]
impl IntegerInfo {
    #[new]
    #[pyo3(signature = (r#type, /), text_signature = "(type, /)")]
    fn new(py: Python<'_>, r#type: &Bound<'_, PyAny>) -> PyResult<IntegerInfo> {
        IntegerInfo::of(py, r#type)
    }

    /// Bits of a number.
    #[getter]
    fn bits(&self) -> usize {
        8 * self.dtype.itemsize()
    }

    /// Largest number.
    #[getter]
    fn max(&self) -> u64 {
        let signed = self.dtype.kind() == Kind::Signed;
        u64::MAX >> (64 - self.bits() + usize::from(signed))
    }

    /// Smallest number.
    #[getter]
    fn min(&self) -> i64 {
        if self.dtype.kind() == Kind::Signed { i64::MIN >> (64 - self.bits()) } else { 0 }
    }

    /// The dtype.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDType>> {
        dtype::object(py, self.dtype)
    }

    fn __repr__(&self) -> String {
        format!(
            "iinfo(dtype={}, bits={}, max={}, min={})",
            self.dtype.name(),
            self.bits(),
            self.max(),
            self.min()
        )
    }
}

impl IntegerInfo {
    fn of(py: Python<'_>, r#type: &Bound<'_, PyAny>) -> PyResult<IntegerInfo> {
        const OP: &str = "iinfo";
        let dtype = dtype_of(OP, r#type)?;
        if !dtype.is_integer() {
            return Err(error(
                py,
                Error::DtypeRefused { op: OP, dtype: dtype.name(), accepted: INTEGER.names },
            ));
        }
        Ok(IntegerInfo { dtype })
    }
}

pub fn iinfo<'py>(py: Python<'py>, r#type: &Bound<'py, PyAny>) -> Any<'py> {
    Ok(Bound::new(py, IntegerInfo::of(py, r#type)?)?.into_any())
}

pub fn simd_levels(py: Python<'_>) -> Any<'_> {
    Ok(PyTuple::new(py, level::available())?.into_any())
}

pub fn simd_level(py: Python<'_>) -> Any<'_> {
    Ok(PyString::new(py, level::in_use().name).into_any())
}

pub fn get_num_threads(py: Python<'_>) -> Any<'_> {
    Ok(PyInt::new(py, scheduler::threads()).into_any())
}

pub fn set_num_threads(py: Python<'_>, n: i64) -> PyResult<()> {
    enter(py, 0, || scheduler::set_num_threads(n))
}

/// Costs are measured for about as long; the GIL is released, and Ctrl-C stops it.
pub fn tune(py: Python<'_>, seconds: f64) -> PyResult<Bound<'_, PyAny>> {
    let path = crate::enter::enter(py, usize::MAX, || corepy_runtime::ops::tune::tune(seconds))?;
    Ok(path.into_pyobject(py)?)
}
