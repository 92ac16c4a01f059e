//! Creation functions.

pub use super::convert::{asarray, from_dlpack};

use crate::argument::{check_device, read_integers, wrong_type};
use crate::dtype::parse_optional;
use crate::enter::{enter, error};
use crate::index::stored_scalar;
use crate::operand::{self, Operand, Weak};
use crate::tensor::PyTensor;
use corepy_runtime::ops::elementwise::Arg;
use corepy_runtime::ops::{copy, create};
use corepy_runtime::{DType, Error, Result, Scalar, Tensor, dtype};
use pyo3::prelude::*;

type Out<'py> = PyResult<Bound<'py, PyTensor>>;
type Given<'a, 'py> = Option<&'a Bound<'py, PyAny>>;

/// dtype and device of a new tensor; the dtype is `default` where none is given.
fn options(op: &'static str, dtype: Given, device: Given, default: DType) -> PyResult<DType> {
    check_device(op, device)?;
    Ok(parse_optional(op, dtype)?.unwrap_or(default))
}

/// Bytes that a shape takes, for the decision about the GIL only.
fn bytes(shape: &[i64], dtype: DType) -> usize {
    shape.iter().fold(dtype.itemsize(), |all, &extent| all.saturating_mul(extent.max(0) as usize))
}

fn made<'py>(py: Python<'py>, bytes: usize, f: impl FnOnce() -> Result<Tensor> + Send) -> Out<'py> {
    let out = enter(py, bytes, f)?;
    PyTensor::object(py, out)
}

fn filled<'py>(py: Python<'py>, op: &'static str, shape: &[i64], value: Scalar) -> Out<'py> {
    made(py, bytes(shape, value.dtype()), || create::full(op, shape, &value))
}

pub fn empty<'py>(
    py: Python<'py>,
    shape: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    const OP: &str = "empty";
    let shape = read_integers(OP, "shape", shape)?;
    let dtype = options(OP, dtype, device, DType::Float64)?;
    made(py, 0, || Tensor::empty(OP, &shape, dtype))
}

pub fn zeros<'py>(
    py: Python<'py>,
    shape: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    const OP: &str = "zeros";
    let shape = read_integers(OP, "shape", shape)?;
    let dtype = options(OP, dtype, device, DType::Float64)?;
    filled(py, OP, &shape, Scalar::from_bool(false).cast(dtype))
}

pub fn ones<'py>(
    py: Python<'py>,
    shape: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    const OP: &str = "ones";
    let shape = read_integers(OP, "shape", shape)?;
    let dtype = options(OP, dtype, device, DType::Float64)?;
    filled(py, OP, &shape, Scalar::from_bool(true).cast(dtype))
}

pub fn full<'py>(
    py: Python<'py>,
    shape: &Bound<'py, PyAny>,
    fill_value: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    const OP: &str = "full";
    let shape = read_integers(OP, "shape", shape)?;
    check_device(OP, device)?;
    full_of(py, OP, &shape, fill_value, parse_optional(OP, dtype)?)
}

/// A tensor of one value, or of a tensor stretched to the shape.
fn full_of<'py>(
    py: Python<'py>,
    op: &'static str,
    shape: &[i64],
    value: &Bound<'py, PyAny>,
    dtype: Option<DType>,
) -> Out<'py> {
    match Operand::read(op, value)? {
        Operand::Weak(weak) => {
            let dtype = dtype.unwrap_or(weak.default_dtype());
            filled(py, op, shape, stored_scalar(op, weak, dtype).map_err(|e| error(py, e))?)
        }
        Operand::Tensor(value) => {
            let value = &value.get().0;
            let dtype = dtype.unwrap_or(value.dtype());
            made(py, bytes(shape, dtype), || {
                let out = Tensor::empty(op, shape, dtype)?;
                copy::copy_into(op, &out, Arg::Tensor(value))?;
                Ok(out)
            })
        }
    }
}

pub fn eye<'py>(
    py: Python<'py>,
    n_rows: i64,
    n_cols: Option<i64>,
    k: i64,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    let dtype = options("eye", dtype, device, DType::Float64)?;
    let columns = n_cols.unwrap_or(n_rows);
    made(py, bytes(&[n_rows, columns], dtype), || create::eye(n_rows, columns, k, dtype))
}

/// A number: a Python scalar, or what gives one through `__index__` or `__float__`.
fn read_number(op: &'static str, what: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Weak> {
    if let Some(weak) = Weak::read(given)? {
        return Ok(weak);
    }
    if let Ok(integer) = given.extract::<i64>() {
        return Ok(Weak::Int(integer.into()));
    }
    if let Ok(integer) = given.extract::<u64>() {
        return Ok(Weak::Int(integer.into()));
    }
    given.extract::<f64>().map(Weak::Float).map_err(|_| wrong_type(op, what, "a number", given))
}

/// The number as an int64, uint64, float64 or complex128.
fn number(py: Python<'_>, op: &'static str, weak: Weak) -> PyResult<Scalar> {
    let weak = if let Weak::Bool(value) = weak { Weak::Int(value.into()) } else { weak };
    weak.scalar(op, weak.default_dtype()).map_err(|e| error(py, e))
}

pub fn arange<'py>(
    py: Python<'py>,
    start: &Bound<'py, PyAny>,
    stop: Given<'_, 'py>,
    step: Given<'_, 'py>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    const OP: &str = "arange";
    let dtype = {
        check_device(OP, device)?;
        parse_optional(OP, dtype)?
    };
    let first = number(py, OP, read_number(OP, "start", start)?)?;
    let last = stop.map(|stop| number(py, OP, read_number(OP, "stop", stop)?)).transpose()?;
    let step =
        step.map_or_else(|| Ok(Scalar::from_i64(1)), |step| number(py, OP, read_number(OP, "step", step)?))?;
    let (start, stop) = match last {
        Some(stop) => (first, stop),
        None => (Scalar::from_i64(0), first),
    };
    let given = [start.dtype(), stop.dtype(), step.dtype()];
    if given.contains(&DType::Complex128) {
        return Err(error(py, Error::ComplexRange { op: OP }));
    }
    let default = if given.contains(&DType::Float64) {
        DType::Float64
    } else if given[..2].contains(&DType::Uint64) {
        DType::Uint64
    } else {
        DType::Int64
    };
    // The length is the runtime's to find; any that takes long is worth releasing the GIL for.
    made(py, usize::MAX, || create::arange(&start, &stop, &step, dtype.unwrap_or(default)))
}

pub fn linspace<'py>(
    py: Python<'py>,
    start: &Bound<'py, PyAny>,
    stop: &Bound<'py, PyAny>,
    num: i64,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
    endpoint: bool,
) -> Out<'py> {
    const OP: &str = "linspace";
    let (start, stop) = (read_number(OP, "start", start)?, read_number(OP, "stop", stop)?);
    let complex = matches!(start, Weak::Complex(..)) || matches!(stop, Weak::Complex(..));
    let default = if complex { DType::Complex128 } else { DType::Float64 };
    let dtype = options(OP, dtype, device, default)?;
    if dtype.computes() && !dtype::FLOATING.contains(dtype) {
        let accepted = dtype::FLOATING.names;
        return Err(error(py, Error::DtypeRefused { op: OP, dtype: dtype.name(), accepted }));
    }
    let (start, stop) = (number(py, OP, start)?, number(py, OP, stop)?);
    made(py, bytes(&[num], dtype), || create::linspace(&start, &stop, num, dtype, endpoint))
}

/// Shape and dtype of the tensor that another one shall be like.
fn like(op: &'static str, x: &Bound<'_, PyAny>, dtype: Given, device: Given) -> PyResult<(Tensor, DType)> {
    let x = operand::tensor(op, x)?;
    let dtype = options(op, dtype, device, x.dtype())?;
    Ok((x, dtype))
}

pub fn empty_like<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    const OP: &str = "empty_like";
    let (x, dtype) = like(OP, x, dtype, device)?;
    made(py, 0, || Tensor::empty(OP, x.shape(), dtype))
}

pub fn zeros_like<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    let (x, dtype) = like("zeros_like", x, dtype, device)?;
    filled(py, "zeros_like", x.shape(), Scalar::from_bool(false).cast(dtype))
}

pub fn ones_like<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    let (x, dtype) = like("ones_like", x, dtype, device)?;
    filled(py, "ones_like", x.shape(), Scalar::from_bool(true).cast(dtype))
}

pub fn full_like<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    fill_value: &Bound<'py, PyAny>,
    dtype: Given<'_, 'py>,
    device: Given<'_, 'py>,
) -> Out<'py> {
    let (x, dtype) = like("full_like", x, dtype, device)?;
    full_of(py, "full_like", x.shape(), fill_value, Some(dtype))
}
