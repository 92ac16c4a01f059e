//! Products of vectors and matrices.

use crate::elementwise;
use crate::enter::{enter, error};
use crate::operand::{self, Operand};
use crate::tensor::PyTensor;
use corepy_runtime::ops::elementwise::Arg;
use corepy_runtime::ops::{copy, matmul as product, reduce, views};
use corepy_runtime::{Binary, DType, Error, Family, Result, Tensor, dtype, layout, trace};
use pyo3::prelude::*;

/// The dtype that two operands are multiplied in.
fn common_dtype(op: &'static str, a: DType, b: DType) -> Result<DType> {
    for dtype in [a, b] {
        if !dtype.computes() {
            return Err(Error::StorageDtype { op, dtype: dtype.name() });
        }
    }
    let common = dtype::promote(a, b).ok_or_else(|| Error::NoPromotion { op, a: a.name(), b: b.name() })?;
    if !dtype::NUMERIC.contains(common) {
        return Err(Error::DtypeRefused { op, dtype: common.name(), accepted: dtype::NUMERIC.names });
    }
    Ok(common)
}

fn converted(op: &'static str, x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype { Ok(x.clone()) } else { copy::astype(x, dtype, op) }
}

/// About how much work a product is, in bytes of memory traffic that take as long.
fn work(a: &Tensor, b: &Tensor) -> usize {
    let columns = if b.ndim() > 1 { b.shape()[b.ndim() - 1] as usize } else { 1 };
    (a.size().saturating_mul(columns)).max(b.size()).saturating_mul(a.itemsize())
}

/// An operand of `matmul`: anything but a number.
fn matrix(op: &'static str, x: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    match Operand::read(op, x)? {
        Operand::Tensor(tensor) => Ok(tensor.get().0.clone()),
        Operand::Weak(_) => Err(scalar_refused(x.py(), op)),
    }
}

#[cold]
fn scalar_refused(py: Python<'_>, op: &'static str) -> PyErr {
    error(py, Error::ScalarProduct { op })
}

fn matmul_tensors(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    trace::operation(op, |call| _ = call.operands([a, b]), || matmul_promoted(op, a, b))
}

fn matmul_promoted(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    for x in [a, b] {
        if x.ndim() == 0 {
            return Err(Error::NeedsAxes { op, needed: 1, ndim: 0 });
        }
    }
    let dtype = common_dtype(op, a.dtype(), b.dtype())?;
    if a.dtype() != b.dtype() {
        // Nothing is converted for operands that do not fit.
        product::batch_shape(op, a, b)?;
    }
    let (a, b) = (converted(op, a, dtype)?, converted(op, b, dtype)?);
    if a.ndim() > 1 || b.ndim() > 1 {
        return product::matmul(op, &a, &b);
    }
    if a.shape() != b.shape() {
        let (x, y) = (a.size(), b.size());
        return Err(Error::MatmulShapes { op, a: layout::show(a.shape()), b: layout::show(b.shape()), x, y });
    }
    reduce::vecdot(op, Family::Dot, &a, &b)
}

fn matmul_of<'py>(
    py: Python<'py>,
    op: &'static str,
    a: &Tensor,
    b: &Tensor,
) -> PyResult<Bound<'py, PyTensor>> {
    let out = enter(py, work(a, b), || matmul_tensors(op, a, b))?;
    PyTensor::object(py, out)
}

pub fn matmul<'py>(
    py: Python<'py>,
    x1: &Bound<'py, PyAny>,
    x2: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTensor>> {
    matmul_of(py, "matmul", &matrix("matmul", x1)?, &matrix("matmul", x2)?)
}

pub fn dot<'py>(
    py: Python<'py>,
    x1: &Bound<'py, PyAny>,
    x2: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "dot";
    let (first, second) = (Operand::read(OP, x1)?, Operand::read(OP, x2)?);
    if let (Operand::Tensor(a), Operand::Tensor(b)) = (&first, &second) {
        let (a, b) = (&a.get().0, &b.get().0);
        if a.ndim() > 2 || b.ndim() > 2 {
            return Err(error(py, Error::DotAxes { op: OP, a: a.ndim(), b: b.ndim() }));
        }
        if a.ndim() > 0 && b.ndim() > 0 {
            return matmul_of(py, OP, a, b);
        }
        common_dtype(OP, a.dtype(), b.dtype()).map_err(|e| error(py, e))?;
    }
    // Without axes on one side, as in NumPy.
    elementwise::binary(py, Binary::Multiply, x1, x2)
}

pub fn vecdot<'py>(
    py: Python<'py>,
    x1: &Bound<'py, PyAny>,
    x2: &Bound<'py, PyAny>,
    axis: i64,
) -> PyResult<Bound<'py, PyTensor>> {
    const OP: &str = "vecdot";
    let (a, b) = (operand::tensor(OP, x1)?, operand::tensor(OP, x2)?);
    let vecdot = || {
        let (a_axis, b_axis) = vector_axes(OP, &a, &b, axis)?;
        let dtype = common_dtype(OP, a.dtype(), b.dtype())?;
        let (x, y) = (a.shape()[a_axis], b.shape()[b_axis]);
        if x != y {
            return Err(Error::VectorLengths { op: OP, axis, x, y });
        }
        let (a, b) = (views::axis_last(&a, a_axis), views::axis_last(&b, b_axis));
        // Nothing is converted for operands that do not fit.
        let outer = layout::broadcast_shapes(OP, &a.shape()[..a.ndim() - 1], &b.shape()[..b.ndim() - 1])?;
        let shape: Vec<i64> = outer.iter().copied().chain([x]).collect();
        let (a, b) = (converted(OP, &a, dtype)?, converted(OP, &b, dtype)?);
        reduce::vecdot(OP, Family::Vecdot, &a.broadcast_to(OP, &shape)?, &b.broadcast_to(OP, &shape)?)
    };
    let out = enter(py, a.size().max(b.size()).saturating_mul(a.itemsize()), || {
        trace::operation(OP, |call| _ = call.operands([&a, &b]), vecdot)
    })?;
    PyTensor::object(py, out)
}

/// The axis of each operand. Counted from the back it is the same one after broadcasting; counted
/// from the front only where both have as many.
fn vector_axes(op: &'static str, a: &Tensor, b: &Tensor, axis: i64) -> Result<(usize, usize)> {
    let fewest = a.ndim().min(b.ndim());
    if axis >= 0 && a.ndim() != b.ndim() && (axis as u64) < a.ndim().max(b.ndim()) as u64 {
        return Err(Error::VectorAxis { op, axis, a: a.ndim(), b: b.ndim() });
    }
    let back = fewest - layout::normalize_axis(op, axis, fewest)?;
    Ok((a.ndim() - back, b.ndim() - back))
}

/// The other side of `@`; `None` for objects that the operator leaves to that side.
fn other_side(py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    match Operand::read_for_operator("matmul", other)? {
        None => Ok(None),
        Some(Operand::Tensor(tensor)) => Ok(Some(tensor.get().0.clone())),
        Some(Operand::Weak(_)) => Err(scalar_refused(py, "matmul")),
    }
}

#[pymethods]
impl PyTensor {
    fn __matmul__(slf: &Bound<'_, Self>, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match other_side(py, other)? {
            None => Ok(py.NotImplemented()),
            Some(other) => Ok(matmul_of(py, "matmul", &slf.get().0, &other)?.into_any().unbind()),
        }
    }

    fn __rmatmul__(slf: &Bound<'_, Self>, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match other_side(py, other)? {
            None => Ok(py.NotImplemented()),
            Some(other) => Ok(matmul_of(py, "matmul", &other, &slf.get().0)?.into_any().unbind()),
        }
    }

    /// The product replaces the elements, so it has the tensor's shape and a kind of number that
    /// its dtype holds.
    fn __imatmul__(slf: &Bound<'_, Self>, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        const OP: &str = "matmul";
        let own = &slf.get().0;
        let other = matrix(OP, other)?;
        let multiply = || {
            own.check_writable(OP)?;
            let out = matmul_tensors(OP, own, &other)?;
            if out.shape() != own.shape() {
                let (from, to) = (layout::show(out.shape()), layout::show(own.shape()));
                return Err(Error::ProductShape { op: OP, from, to });
            }
            copy::copy_into(OP, own, Arg::Tensor(&out))
        };
        enter(py, work(own, &other), || {
            trace::operation(OP, |call| _ = call.operands([own, &other]), multiply)
        })
    }
}
