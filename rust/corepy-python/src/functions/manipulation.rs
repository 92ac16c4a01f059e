//! Manipulation functions: other shapes and orders of one tensor, and several joined.

use crate::argument::{collect, read_integers, wrong_type};
use crate::enter::{enter, error};
use crate::exit::{Reading, leave_if_over};
use crate::operand;
use crate::tensor::PyTensor;
use corepy_runtime::ops::{join, views};
use corepy_runtime::{Error, Result, Tensor};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

type Out<'py> = PyResult<Bound<'py, PyTensor>>;

/// A view of an argument that stands for a tensor.
#[inline]
fn view<'py>(
    py: Python<'py>,
    op: &'static str,
    x: &Bound<'py, PyAny>,
    f: impl FnOnce(&Tensor) -> Result<Tensor> + Send,
) -> Out<'py> {
    let x = operand::tensor(op, x)?;
    let out = enter(py, 0, || f(&x))?;
    PyTensor::object(py, out)
}

pub fn reshape<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    shape: &Bound<'py, PyAny>,
    copy: Option<bool>,
) -> Out<'py> {
    const OP: &str = "reshape";
    let shape = read_integers(OP, "shape", shape)?;
    let x = operand::tensor(OP, x)?;
    // Only a copy touches elements.
    let bytes = if copy == Some(true) || !x.is_contiguous() { 2 * x.size() * x.itemsize() } else { 0 };
    let out = enter(py, bytes, || views::reshape(OP, &x, &shape, copy))?;
    PyTensor::object(py, out)
}

pub fn permute_dims<'py>(py: Python<'py>, x: &Bound<'py, PyAny>, axes: &Bound<'py, PyAny>) -> Out<'py> {
    const OP: &str = "permute_dims";
    let axes = read_integers(OP, "axes", axes)?;
    view(py, OP, x, |x| views::permute_dims(OP, x, &axes))
}

pub fn matrix_transpose<'py>(py: Python<'py>, x: &Bound<'py, PyAny>) -> Out<'py> {
    const OP: &str = "matrix_transpose";
    view(py, OP, x, |x| views::matrix_transpose(OP, x))
}

/// `matrix_transpose` of a tensor, under the name that the caller goes by.
pub fn matrix_transpose_of<'py>(py: Python<'py>, op: &'static str, x: &Tensor) -> Out<'py> {
    let out = enter(py, 0, || views::matrix_transpose(op, x))?;
    PyTensor::object(py, out)
}

pub fn broadcast_to<'py>(py: Python<'py>, x: &Bound<'py, PyAny>, shape: &Bound<'py, PyAny>) -> Out<'py> {
    const OP: &str = "broadcast_to";
    let shape = read_integers(OP, "shape", shape)?;
    view(py, OP, x, |x| x.broadcast_to(OP, &shape))
}

pub fn broadcast_arrays<'py>(py: Python<'py>, arrays: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    const OP: &str = "broadcast_arrays";
    let arrays = collect(py, OP, "tensors", arrays.iter().map(|a| operand::tensor(OP, &a)))?;
    let common = enter(py, 0, || views::common_shape(OP, arrays.iter().map(Tensor::shape)))?;
    let list = PyList::empty(py);
    for tensor in &arrays {
        list.append(PyTensor::object(py, enter(py, 0, || tensor.broadcast_to(OP, &common))?)?)?;
    }
    Ok(list.into_any())
}

pub fn squeeze<'py>(py: Python<'py>, x: &Bound<'py, PyAny>, axis: &Bound<'py, PyAny>) -> Out<'py> {
    const OP: &str = "squeeze";
    let axes = read_integers(OP, "axis", axis)?;
    view(py, OP, x, |x| views::squeeze(OP, x, &axes))
}

pub fn expand_dims<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    axis: Option<&Bound<'py, PyAny>>,
) -> Out<'py> {
    const OP: &str = "expand_dims";
    let axes = axis.map_or_else(|| Ok(vec![0]), |axis| read_integers(OP, "axis", axis))?;
    view(py, OP, x, |x| views::expand_dims(OP, x, &axes))
}

pub fn flip<'py>(py: Python<'py>, x: &Bound<'py, PyAny>, axis: Option<&Bound<'py, PyAny>>) -> Out<'py> {
    const OP: &str = "flip";
    let axes = axis.map(|axis| read_integers(OP, "axis", axis)).transpose()?;
    view(py, OP, x, |x| views::flip(OP, x, axes.as_deref()))
}

pub fn moveaxis<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    source: &Bound<'py, PyAny>,
    destination: &Bound<'py, PyAny>,
) -> Out<'py> {
    const OP: &str = "moveaxis";
    let source = read_integers(OP, "source", source)?;
    let destination = read_integers(OP, "destination", destination)?;
    view(py, OP, x, |x| views::moveaxis(OP, x, &source, &destination))
}

/// Tensors that are read between two looks at signals: an iterator may have no end.
const POLL: usize = 1 << 12;

/// The tensors of a sequence.
fn read_arrays(op: &'static str, arrays: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    let py = arrays.py();
    let items = arrays.try_iter().map_err(|why| match why.is_instance_of::<PyTypeError>(py) {
        true => wrong_type(op, "arrays", "a sequence of tensors", arrays),
        false => why,
    })?;
    let _reading = Reading::new(py);
    let mut out = Vec::new();
    // No collect(), which asks hostile objects how many there will be, and aborts without memory.
    for item in items {
        let tensor = operand::tensor(op, &item?)?;
        if out.try_reserve(1).is_err() {
            return Err(error(py, Error::TooManyToJoin { op, n: out.len() }));
        }
        out.push(tensor);
        if out.len() % POLL == 0 {
            leave_if_over(py);
            py.check_signals()?;
        }
    }
    Ok(out)
}

/// What joining touches: each tensor's elements twice, and about a cache line of its own.
fn bytes(arrays: &[Tensor]) -> usize {
    let each = |a: &Tensor| (a.size() * a.itemsize()).saturating_mul(2).saturating_add(64);
    arrays.iter().fold(0, |all, a| all.saturating_add(each(a)))
}

pub fn concat<'py>(py: Python<'py>, arrays: &Bound<'py, PyAny>, axis: Option<i64>) -> Out<'py> {
    let arrays = read_arrays("concat", arrays)?;
    let out = enter(py, bytes(&arrays), || join::concat(&arrays, axis))?;
    PyTensor::object(py, out)
}

pub fn stack<'py>(py: Python<'py>, arrays: &Bound<'py, PyAny>, axis: i64) -> Out<'py> {
    let arrays = read_arrays("stack", arrays)?;
    let out = enter(py, bytes(&arrays), || join::stack(&arrays, axis))?;
    PyTensor::object(py, out)
}
