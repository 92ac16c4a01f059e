//! Arguments that stand for a tensor: tensors, Python scalars, and whatever asarray takes.

use crate::enter::error;
use crate::tensor::PyTensor;
use corepy_runtime::ops::elementwise::Arg;
use corepy_runtime::scheduler::fp_state;
use corepy_runtime::{DType, Error, Kind, Scalar, Tensor};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt};

/// A Python scalar: it takes the dtype of what it meets, as long as its kind allows.
#[derive(Clone, Copy, Debug)]
pub enum Weak {
    Bool(bool),
    Int(i128),
    /// An integer beyond 128 bits as the nearest float; infinite beyond those.
    Huge(f64),
    Float(f64),
    Complex(f64, f64),
}

/// An argument that stands for a tensor.
pub enum Operand<'py> {
    Tensor(Bound<'py, PyTensor>),
    Weak(Weak),
}

impl Weak {
    /// The scalar of a Python number, or `None` when the object is not one.
    pub fn read(object: &Bound<'_, PyAny>) -> PyResult<Option<Weak>> {
        if let Ok(value) = object.cast::<PyBool>() {
            return Ok(Some(Weak::Bool(value.is_true())));
        }
        if let Ok(value) = object.cast::<PyFloat>() {
            return Ok(Some(Weak::Float(value.value())));
        }
        if object.cast::<PyInt>().is_ok() {
            return match object.extract::<i64>() {
                Ok(value) => Ok(Some(Weak::Int(value as i128))),
                // Too large for any integer dtype, but a float dtype may still take it.
                Err(_) => match object.extract::<i128>() {
                    Ok(value) => Ok(Some(Weak::Int(value))),
                    Err(_) => Ok(Some(Weak::Huge(huge(object)?))),
                },
            };
        }
        if let Ok(value) = object.cast::<PyComplex>() {
            return Ok(Some(Weak::Complex(value.real(), value.imag())));
        }
        Ok(None)
    }

    /// The dtype of the scalar beside a tensor of `other`, as in NumPy 2.
    pub fn dtype_beside(self, other: DType) -> DType {
        let other_kind = other.kind();
        match self {
            Weak::Bool(_) => other,
            Weak::Int(_) | Weak::Huge(_) if other_kind == Kind::Bool => DType::Int64,
            Weak::Int(_) | Weak::Huge(_) => other,
            Weak::Float(_) if matches!(other_kind, Kind::Floating | Kind::Complex) => other,
            Weak::Float(_) => DType::Float64,
            Weak::Complex(..) if other_kind == Kind::Complex => other,
            Weak::Complex(..) if other == DType::Float32 => DType::Complex64,
            Weak::Complex(..) => DType::Complex128,
        }
    }

    /// The dtype of the scalar alone.
    pub fn default_dtype(self) -> DType {
        match self {
            Weak::Bool(_) => DType::Bool,
            Weak::Int(value) if value > i64::MAX as i128 && value <= u64::MAX as i128 => DType::Uint64,
            Weak::Int(_) | Weak::Huge(_) => DType::Int64,
            Weak::Float(_) => DType::Float64,
            Weak::Complex(..) => DType::Complex128,
        }
    }

    /// Whether an integer value lies outside what an integer dtype holds.
    pub fn out_of_range(self, dtype: DType) -> bool {
        let value = match self {
            Weak::Int(value) => value,
            Weak::Huge(_) => return dtype.is_integer(),
            _ => return false,
        };
        let bits = 8 * dtype.itemsize() as u32;
        match dtype.kind() {
            Kind::Signed => value < -(1i128 << (bits - 1)) || value >= 1i128 << (bits - 1),
            Kind::Unsigned => value < 0 || value >= 1i128 << bits,
            _ => false,
        }
    }

    /// The value as an element of a dtype that its kind allows.
    pub fn scalar(self, op: &'static str, dtype: DType) -> Result<Scalar, Error> {
        if self.out_of_range(dtype) || matches!(self, Weak::Huge(value) if value.is_infinite()) {
            let shown = match self {
                Weak::Int(value) => value.to_string(),
                _ => "an integer beyond 128 bits".to_owned(),
            };
            return Err(Error::DoesNotFit { op, value: shown, dtype: dtype.name() });
        }
        // Rounding to a narrow dtype follows the thread's floating-point state.
        let narrow = matches!(dtype, DType::Float16 | DType::Bfloat16 | DType::Float32 | DType::Complex64);
        let _state = narrow.then(fp_state::Guard::new);
        Ok(match self {
            Weak::Bool(value) => Scalar::from_bool(value),
            Weak::Int(value) if dtype.is_integer() && value < 0 => Scalar::from_i64(value as i64),
            Weak::Int(value) if dtype.is_integer() => Scalar::from_u64(value as u64),
            Weak::Int(value) => Scalar::from_f64(value as f64),
            Weak::Huge(value) | Weak::Float(value) => Scalar::from_f64(value),
            Weak::Complex(re, im) => Scalar::from_complex(re, im),
        }
        .cast(dtype))
    }

    /// A tensor without axes of the scalar's own dtype.
    pub fn tensor(self, op: &'static str) -> Result<Tensor, Error> {
        Tensor::from_scalar(op, &self.scalar(op, self.default_dtype())?)
    }
}

/// The float nearest to an integer, infinite where none is.
fn huge(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    match object.extract::<f64>() {
        Err(failed) if failed.is_instance_of::<PyOverflowError>(object.py()) => {
            Ok(if object.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        value => value,
    }
}

impl<'py> Operand<'py> {
    /// The operand of any argument; what is no tensor and no scalar goes through asarray.
    #[inline]
    pub fn read(op: &'static str, object: &Bound<'py, PyAny>) -> PyResult<Operand<'py>> {
        if let Ok(tensor) = object.cast_exact::<PyTensor>() {
            return Ok(Operand::Tensor(tensor.clone()));
        }
        if let Some(weak) = Weak::read(object)? {
            return Ok(Operand::Weak(weak));
        }
        let tensor = crate::functions::convert::to_tensor(op, object)?;
        Ok(Operand::Tensor(Bound::new(object.py(), PyTensor(tensor))?))
    }

    /// As `read` for an operator's other side: `None` for objects that the operator leaves to the
    /// other side, which are all but tensors, scalars, sequences and buffers.
    #[inline]
    pub fn read_for_operator(op: &'static str, object: &Bound<'py, PyAny>) -> PyResult<Option<Operand<'py>>> {
        if let Ok(tensor) = object.cast_exact::<PyTensor>() {
            return Ok(Some(Operand::Tensor(tensor.clone())));
        }
        if let Some(weak) = Weak::read(object)? {
            return Ok(Some(Operand::Weak(weak)));
        }
        if !crate::functions::convert::is_array_like(object) {
            return Ok(None);
        }
        Operand::read(op, object).map(Some)
    }
}

/// Two operands as the runtime's arguments; a scalar takes the dtype that the other side gives it.
pub fn pair<'a>(
    op: &'static str,
    a: &'a Operand<'_>,
    b: &'a Operand<'_>,
    own: &'a mut Option<Tensor>,
) -> Result<(Arg<'a>, Arg<'a>), Error> {
    match (a, b) {
        (Operand::Tensor(a), Operand::Tensor(b)) => Ok((Arg::Tensor(&a.get().0), Arg::Tensor(&b.get().0))),
        (Operand::Tensor(a), Operand::Weak(b)) => {
            let a = &a.get().0;
            Ok((Arg::Tensor(a), Arg::Scalar(b.scalar(op, b.dtype_beside(a.dtype()))?)))
        }
        (Operand::Weak(a), Operand::Tensor(b)) => {
            let b = &b.get().0;
            Ok((Arg::Scalar(a.scalar(op, a.dtype_beside(b.dtype()))?), Arg::Tensor(b)))
        }
        (Operand::Weak(a), Operand::Weak(b)) => {
            let second = b.scalar(op, b.dtype_beside(a.default_dtype()))?;
            let first = a.scalar(op, a.dtype_beside(second.dtype()))?;
            let first = own.insert(Tensor::from_scalar(op, &first)?);
            Ok((Arg::Tensor(first), Arg::Scalar(second)))
        }
    }
}

/// The tensor of an argument; scalars become tensors without axes.
pub fn tensor(op: &'static str, object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    match Operand::read(op, object)? {
        Operand::Tensor(tensor) => Ok(tensor.get().0.clone()),
        Operand::Weak(weak) => weak.tensor(op).map_err(|e| error(object.py(), e)),
    }
}
