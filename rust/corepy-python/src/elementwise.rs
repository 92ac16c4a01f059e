//! Elementwise functions, methods and operators.

use crate::enter::{enter, error};
use crate::operand::{Operand, Weak, pair};
use crate::tensor::PyTensor;
use corepy_runtime::generated::ops::{BINARY, UNARY};
use corepy_runtime::ops::elementwise as run;
use corepy_runtime::ops::elementwise::Arg;
use corepy_runtime::{Binary, Error, Scalar, Tensor, Unary};
use pyo3::prelude::*;

/// A function or method of one operand.
#[inline]
pub fn unary<'py>(py: Python<'py>, op: Unary, x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTensor>> {
    if let Ok(x) = x.cast_exact::<PyTensor>() {
        return unary_of(py, op, &x.get().0);
    }
    unary_of(py, op, &crate::operand::tensor(UNARY[op as usize].name, x)?)
}

#[inline]
fn unary_of<'py>(py: Python<'py>, op: Unary, x: &Tensor) -> PyResult<Bound<'py, PyTensor>> {
    let out = enter(py, x.size() * x.itemsize(), || run::unary(op, x))?;
    Bound::new(py, PyTensor(out))
}

/// A function or method of two operands.
#[inline]
pub fn binary<'py>(
    py: Python<'py>,
    op: Binary,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTensor>> {
    if let (Ok(a), Ok(b)) = (a.cast_exact::<PyTensor>(), b.cast_exact::<PyTensor>()) {
        return binary_of(py, op, Arg::Tensor(&a.get().0), Arg::Tensor(&b.get().0));
    }
    let name = BINARY[op as usize].name;
    binary_operands(py, op, &Operand::read(name, a)?, &Operand::read(name, b)?)
}

fn binary_operands<'py>(
    py: Python<'py>,
    op: Binary,
    a: &Operand<'py>,
    b: &Operand<'py>,
) -> PyResult<Bound<'py, PyTensor>> {
    let row = &BINARY[op as usize];
    if row.comparison
        && let Some(constant) = beyond_range(op, a, b)
    {
        let ((Operand::Tensor(t), _) | (_, Operand::Tensor(t))) = (a, b) else {
            unreachable!("one side is a tensor")
        };
        let t = &t.get().0;
        let out = enter(py, t.size(), || {
            corepy_runtime::ops::create::full(row.name, t.shape(), &Scalar::from_bool(constant))
        })?;
        return Bound::new(py, PyTensor(out));
    }
    let mut own = None;
    let (a, b) = pair(row.name, a, b, &mut own).map_err(|e| error(py, e))?;
    binary_of(py, op, a, b)
}

/// The one result of comparing integers with a Python integer that their dtype cannot hold.
fn beyond_range(op: Binary, a: &Operand<'_>, b: &Operand<'_>) -> Option<bool> {
    let (tensor, value, scalar_first) = match (a, b) {
        (Operand::Tensor(t), Operand::Weak(w)) => (t, *w, false),
        (Operand::Weak(w), Operand::Tensor(t)) => (t, *w, true),
        _ => return None,
    };
    let is_positive = match value {
        Weak::Int(number) => number > 0,
        Weak::Huge(number) => number > 0.0,
        _ => return None,
    };
    if !value.out_of_range(tensor.get().0.dtype()) {
        return None;
    }
    let tensor_is_less = is_positive != scalar_first;
    Some(match op {
        Binary::Equal => false,
        Binary::NotEqual => true,
        Binary::Less | Binary::LessEqual => tensor_is_less,
        _ => !tensor_is_less,
    })
}

#[inline]
fn binary_of<'py>(py: Python<'py>, op: Binary, a: Arg<'_>, b: Arg<'_>) -> PyResult<Bound<'py, PyTensor>> {
    let bytes = a.bytes() + b.bytes();
    let out = enter(py, bytes, || run::binary(op, a, b))?;
    Bound::new(py, PyTensor(out))
}

/// An operator; NotImplemented where the other side is nothing that corepy knows.
#[inline]
pub fn operator<'py>(
    py: Python<'py>,
    op: Binary,
    own: &Bound<'py, PyTensor>,
    other: &Bound<'py, PyAny>,
    reflected: bool,
) -> PyResult<Py<PyAny>> {
    if let Ok(other) = other.cast_exact::<PyTensor>() {
        let (a, b) = if reflected { (other, own) } else { (own, other) };
        return Ok(binary_of(py, op, Arg::Tensor(&a.get().0), Arg::Tensor(&b.get().0))?.into_any().unbind());
    }
    let Some(other) = Operand::read_for_operator(BINARY[op as usize].name, other)? else {
        return Ok(py.NotImplemented());
    };
    let own = Operand::Tensor(own.clone());
    let (a, b) = if reflected { (&other, &own) } else { (&own, &other) };
    Ok(binary_operands(py, op, a, b)?.into_any().unbind())
}

/// Fails where the built-in pow() was given its third argument.
#[inline]
pub fn refuse_modulo(py: Python<'_>, op: Binary, modulo: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    match modulo {
        None => Ok(()),
        Some(_) => Err(error(py, Error::Modulus { op: BINARY[op as usize].name })),
    }
}

/// An in-place operator: own op= other.
pub fn in_place<'py>(
    py: Python<'py>,
    op: Binary,
    own: &Bound<'py, PyTensor>,
    other: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let out = &own.get().0;
    let name = BINARY[op as usize].name;
    let other = Operand::read(name, other)?;
    let arg = match &other {
        Operand::Tensor(other) => Arg::Tensor(&other.get().0),
        Operand::Weak(weak) => {
            Arg::Scalar(weak.scalar(name, weak.dtype_beside(out.dtype())).map_err(|e| error(py, e))?)
        }
    };
    enter(py, 2 * out.size() * out.itemsize(), || run::binary_into(op, out, arg))
}

#[pymethods]
impl PyTensor {
    fn __divmod__(slf: &Bound<'_, Self>, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        quotient_and_remainder(py, slf, other, false)
    }

    fn __rdivmod__(slf: &Bound<'_, Self>, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        quotient_and_remainder(py, slf, other, true)
    }
}

fn quotient_and_remainder<'py>(
    py: Python<'py>,
    own: &Bound<'py, PyTensor>,
    other: &Bound<'py, PyAny>,
    reflected: bool,
) -> PyResult<Py<PyAny>> {
    let quotient = operator(py, Binary::FloorDivide, own, other, reflected)?;
    if quotient.is(py.NotImplemented()) {
        return Ok(quotient);
    }
    let remainder = operator(py, Binary::Remainder, own, other, reflected)?;
    Ok((quotient, remainder).into_pyobject(py)?.into_any().unbind())
}
