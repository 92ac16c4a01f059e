//! Indexing: `t[key]` and `t[key] = value`.

use crate::argument::{show_integer, type_name};
use crate::enter::{enter, error};
use crate::functions::convert;
use crate::operand::Weak;
use crate::tensor::PyTensor;
use corepy_runtime::ops::elementwise::Arg;
use corepy_runtime::ops::views::{self, Pick};
use corepy_runtime::ops::{copy, gather};
use corepy_runtime::{DType, Error, Kind, Scalar, Tensor, layout};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PySlice, PyTuple};

const GET: &str = "getitem";
const SET: &str = "setitem";

/// One part of a key.
enum Item<'py> {
    At(i64),
    Slice(Bound<'py, PySlice>),
    New,
    Ellipsis,
    /// Truth values over as many axes as it has.
    Mask(Tensor),
    /// Integers into one axis.
    Index(Tensor),
}

/// What a key picks from a tensor.
enum Selection {
    View(Tensor),
    /// Elements of a view whose mask, over its leading axes, is true.
    Mask {
        view: Tensor,
        mask: Tensor,
    },
    /// Elements of a view at index tensors; `axes` are the indexed tensor's own for the view's.
    Indices {
        view: Tensor,
        indices: Vec<Option<Tensor>>,
        axes: Vec<usize>,
    },
}

#[pymethods]
impl PyTensor {
    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTensor>> {
        let (py, x) = (slf.py(), &slf.get().0);
        if let Some(view) = quick(GET, x, key)? {
            return PyTensor::object(py, view);
        }
        let out = match select(GET, x, key)? {
            Selection::View(view) => view,
            Selection::Mask { view, mask } => {
                let bytes = mask.size().saturating_add(view.size() * view.itemsize());
                enter(py, bytes, || gather::mask(&view, &mask))?
            }
            Selection::Indices { view, indices, axes } => {
                let bytes = gathered_bytes(&view, &indices);
                enter(py, bytes, || {
                    let given: Vec<Option<&Tensor>> = indices.iter().map(Option::as_ref).collect();
                    gather::index(&view, &given).map_err(|e| own_axis(e, &axes))
                })?
            }
        };
        PyTensor::object(py, out)
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = key;
        Err(error(py, Error::NoDeletion { op: "delitem" }))
    }

    fn __setitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, x) = (slf.py(), &slf.get().0);
        x.check_writable(SET).map_err(|e| error(py, e))?;
        let selection = match quick(SET, x, key)? {
            Some(view) => Selection::View(view),
            None => select(SET, x, key)?,
        };
        let value = Value::read(x.dtype(), value)?;
        match selection {
            Selection::View(view) => {
                enter(py, 2 * view.size() * view.itemsize(), || copy::copy_into(SET, &view, value.arg()))
            }
            Selection::Mask { view, mask } => {
                let bytes = mask.size().saturating_add(view.size() * view.itemsize());
                enter(py, bytes, || gather::mask_assign(&view, &mask, value.arg()))
            }
            Selection::Indices { view, indices, axes } => {
                let bytes = gathered_bytes(&view, &indices);
                enter(py, bytes, || {
                    let given: Vec<Option<&Tensor>> = indices.iter().map(Option::as_ref).collect();
                    gather::index_assign(&view, &given, value.arg()).map_err(|e| own_axis(e, &axes))
                })
            }
        }
    }
}

/// Parts of a key, and axes of a tensor, up to which keys are read without allocating.
const QUICK: usize = 8;

/// The view for a key of integers, slices, None and one ellipsis; `None` for any other key.
#[inline]
fn quick(op: &'static str, x: &Tensor, key: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    let py = key.py();
    let view = |picks: &[Pick]| enter(py, 0, || views::basic(op, x, picks)).map(Some);
    if let Ok(index) = key.cast_exact::<PyInt>() {
        return view(&[Pick::At(read_index(op, index.as_any())?)]);
    }
    if let Ok(slice) = key.cast_exact::<PySlice>()
        && let Some(&extent) = x.shape().first()
    {
        return view(&[read_slice(op, slice, extent)?]);
    }
    let Ok(keys) = key.cast_exact::<PyTuple>() else { return Ok(None) };
    if keys.len() > QUICK || x.ndim() > QUICK {
        return Ok(None);
    }
    let mut picks = [Pick::All; 2 * QUICK];
    let (mut filled, mut axis, mut ellipsis) = (0, 0, false);
    for (place, item) in keys.iter_borrowed().enumerate() {
        if item.cast_exact::<PyInt>().is_ok() {
            picks[filled] = Pick::At(read_index(op, &item)?);
        } else if let Ok(slice) = item.cast_exact::<PySlice>() {
            // Too many of them: an error, which is found where all keys are read.
            let Some(&extent) = x.shape().get(axis) else { return Ok(None) };
            picks[filled] = read_slice(op, &slice, extent)?;
        } else if item.is_none() {
            picks[filled] = Pick::New;
            filled += 1;
            continue;
        } else if item.cast::<PyEllipsis>().is_ok() && !ellipsis {
            ellipsis = true;
            // How many axes it stands for depends on what follows: integers and slices take one each.
            let Some(rest) = axes_taken(keys, place + 1) else { return Ok(None) };
            if axis + rest > x.ndim() {
                return Ok(None);
            }
            let whole = x.ndim() - axis - rest;
            filled += whole;
            axis += whole;
            continue;
        } else {
            return Ok(None);
        }
        filled += 1;
        axis += 1;
        if axis > x.ndim() {
            return Ok(None);
        }
    }
    view(&picks[..filled])
}

/// How many axes the parts of a key from `first` on take; `None` where some are not basic.
fn axes_taken(keys: &Bound<'_, PyTuple>, first: usize) -> Option<usize> {
    let mut taken = 0;
    for item in keys.iter_borrowed().skip(first) {
        if item.cast_exact::<PyInt>().is_ok() || item.cast_exact::<PySlice>().is_ok() {
            taken += 1;
        } else if !item.is_none() {
            return None;
        }
    }
    Some(taken)
}

/// What any key picks.
fn select(op: &'static str, x: &Tensor, key: &Bound<'_, PyAny>) -> PyResult<Selection> {
    let py = key.py();
    let items = read_key(op, x.ndim(), key)?;
    let advanced = items.iter().any(|i| matches!(i, Item::Mask(_) | Item::Index(_)));
    let lone_mask = advanced
        && items.iter().filter(|i| matches!(i, Item::Mask(_) | Item::Index(_) | Item::At(_))).count() == 1;
    let mut picks = Vec::with_capacity(items.len());
    // For each axis of the view: the axis of `x` it comes from, and the indices into it.
    let (mut axes, mut indices) = (Vec::new(), Vec::new());
    let mut axis = 0;
    for item in items {
        match item {
            Item::At(index) if !advanced => {
                picks.push(Pick::At(index));
                axis += 1;
            }
            // Beside index tensors an integer is one of them: it decides where their axes go.
            Item::At(index) => {
                let extent = x.shape()[axis];
                let index = views::wrap_index(op, index, axis, extent).map_err(|e| error(py, e))?;
                let index = Tensor::from_scalar(op, &Scalar::from_i64(index)).map_err(|e| error(py, e))?;
                picks.push(Pick::All);
                axes.push(axis);
                indices.push(Some(index));
                axis += 1;
            }
            Item::Slice(slice) => {
                picks.push(read_slice(op, &slice, x.shape()[axis])?);
                axes.push(axis);
                indices.push(None);
                axis += 1;
            }
            Item::New => {
                picks.push(Pick::New);
                axes.push(axis);
                indices.push(None);
            }
            Item::Ellipsis => unreachable!("read_key replaces it by whole slices"),
            Item::Index(index) => {
                picks.push(Pick::All);
                axes.push(axis);
                indices.push(Some(index));
                axis += 1;
            }
            // Without axes of its own a mask adds one, which it keeps or leaves empty.
            Item::Mask(mask) if mask.ndim() == 0 => {
                let positions = enter(py, 0, || {
                    let mask = mask.view(0, &[1], &[mask.itemsize() as i64]);
                    gather::mask_indices(&mask)
                })?;
                picks.push(Pick::New);
                axes.push(axis);
                indices.extend(positions.into_iter().map(Some));
            }
            Item::Mask(mask) => {
                let covered = &x.shape()[axis..axis + mask.ndim()];
                if covered != mask.shape() {
                    let (mask, shape) = (layout::show(mask.shape()), layout::show(x.shape()));
                    return Err(error(py, Error::MaskShape { op, mask, shape }));
                }
                if lone_mask && axes.is_empty() {
                    // What follows the mask does not touch the axes under it.
                    picks.extend(std::iter::repeat_n(Pick::All, mask.ndim()));
                    axes.extend(axis..axis + mask.ndim());
                    indices.push(Some(mask.clone()));
                    indices.extend(std::iter::repeat_n(None, mask.ndim() - 1));
                } else {
                    let positions = enter(py, mask.size(), || gather::mask_indices(&mask))?;
                    picks.extend(std::iter::repeat_n(Pick::All, mask.ndim()));
                    axes.extend(axis..axis + mask.ndim());
                    indices.extend(positions.into_iter().map(Some));
                }
                axis += mask.ndim();
            }
        }
    }
    let view = enter(py, 0, || views::basic(op, x, &picks))?;
    if !advanced {
        return Ok(Selection::View(view));
    }
    if let Some(Some(mask)) = indices.first()
        && mask.dtype() == DType::Bool
    {
        return Ok(Selection::Mask { view, mask: mask.clone() });
    }
    indices.resize(view.ndim(), None);
    axes.extend(axis..x.ndim());
    Ok(Selection::Indices { view, indices, axes })
}

/// The parts of a key, its ellipsis replaced by whole slices.
fn read_key<'py>(op: &'static str, ndim: usize, key: &Bound<'py, PyAny>) -> PyResult<Vec<Item<'py>>> {
    let py = key.py();
    let mut items = match key.cast::<PyTuple>() {
        Ok(keys) => keys.iter().map(|k| read_item(op, &k)).collect::<PyResult<Vec<_>>>()?,
        Err(_) => vec![read_item(op, key)?],
    };
    let taken: usize = items
        .iter()
        .map(|item| match item {
            Item::At(_) | Item::Slice(_) | Item::Index(_) => 1,
            Item::Mask(mask) => mask.ndim(),
            Item::New | Item::Ellipsis => 0,
        })
        .sum();
    if taken > ndim {
        return Err(error(py, Error::TooManyIndices { op, given: taken, ndim }));
    }
    let mut ellipses = (0..items.len()).filter(|&i| matches!(items[i], Item::Ellipsis));
    if let Some(place) = ellipses.next() {
        if ellipses.next().is_some() {
            return Err(error(py, Error::EllipsisTwice { op, given: 2 + ellipses.count() }));
        }
        let whole = PySlice::full(py);
        items.splice(place..=place, (taken..ndim).map(|_| Item::Slice(whole.clone())));
    }
    Ok(items)
}

fn read_item<'py>(op: &'static str, key: &Bound<'py, PyAny>) -> PyResult<Item<'py>> {
    if key.cast_exact::<PyInt>().is_ok() {
        return read_index(op, key).map(Item::At);
    }
    if let Ok(slice) = key.cast::<PySlice>() {
        return Ok(Item::Slice(slice.clone()));
    }
    if key.is_none() {
        return Ok(Item::New);
    }
    if key.cast::<PyEllipsis>().is_ok() {
        return Ok(Item::Ellipsis);
    }
    if let Ok(tensor) = key.cast::<PyTensor>() {
        return array_item(op, &tensor.get().0, key);
    }
    if let Ok(mask) = key.cast::<PyBool>() {
        let mask = Tensor::from_scalar(op, &Scalar::from_bool(mask.is_true()));
        return mask.map(Item::Mask).map_err(|e| error(key.py(), e));
    }
    let sequence = key.cast::<PyList>().is_ok() || key.cast::<PyTuple>().is_ok();
    if !sequence {
        match key.extract::<i64>() {
            Ok(index) => return Ok(Item::At(index)),
            Err(failed) if failed.is_instance_of::<PyTypeError>(key.py()) => {}
            Err(_) => return read_index(op, key).map(Item::At),
        }
        if !convert::is_array_like(key) {
            return Err(no_index(op, key));
        }
    }
    let tensor = convert::to_tensor(op, key)?;
    if sequence && tensor.size() == 0 && tensor.dtype() == DType::Float64 {
        // An empty list has no elements that could tell their kind.
        let empty = Tensor::empty(op, tensor.shape(), DType::Int64);
        return empty.map(Item::Index).map_err(|e| error(key.py(), e));
    }
    array_item(op, &tensor, key)
}

fn array_item<'py>(op: &'static str, array: &Tensor, key: &Bound<'py, PyAny>) -> PyResult<Item<'py>> {
    match array.dtype().kind() {
        Kind::Bool => Ok(Item::Mask(array.clone())),
        Kind::Signed | Kind::Unsigned if array.ndim() == 0 => Ok(Item::At(views::index_value(array))),
        Kind::Signed | Kind::Unsigned => Ok(Item::Index(array.clone())),
        _ => Err(no_index(op, key)),
    }
}

#[cold]
fn no_index(op: &'static str, key: &Bound<'_, PyAny>) -> PyErr {
    let given = match key.cast::<PyTensor>() {
        Ok(tensor) => format!("a tensor of {}", tensor.get().0.dtype().name()),
        Err(_) => type_name(key),
    };
    error(key.py(), Error::NotIndex { op, given })
}

#[inline]
fn read_index(op: &'static str, key: &Bound<'_, PyAny>) -> PyResult<i64> {
    key.extract::<i64>().map_err(|failed| {
        if failed.is_instance_of::<PyOverflowError>(key.py()) {
            return error(key.py(), Error::IndexTooLarge { op, index: show_integer(key) });
        }
        failed
    })
}

#[inline]
fn read_slice(op: &'static str, slice: &Bound<'_, PySlice>, extent: i64) -> PyResult<Pick> {
    let found = slice.indices(extent as isize).map_err(|failed| {
        let py = slice.py();
        // Python's own texts; what an object's __index__ raises goes through as it is.
        let text = |class: &str| match failed.get_type(py).name() {
            Ok(name) if name == class => failed.value(py).str().ok(),
            _ => None,
        };
        if text("ValueError").is_some_and(|t| t == "slice step cannot be zero") {
            return error(py, Error::ZeroStep { op });
        }
        if text("TypeError").is_some_and(|t| t.to_string_lossy().starts_with("slice indices must be")) {
            return error(py, Error::SliceType { op });
        }
        failed
    })?;
    Ok(Pick::Slice { start: found.start as i64, step: found.step as i64, count: found.slicelength as i64 })
}

/// About how many bytes an index of tensors moves.
fn gathered_bytes(view: &Tensor, indices: &[Option<Tensor>]) -> usize {
    let most = indices.iter().flatten().map(Tensor::size).max().unwrap_or(0);
    let rest: i64 = indices.iter().zip(view.shape()).filter(|(i, _)| i.is_none()).map(|(_, &e)| e).product();
    most.saturating_mul(rest as usize).saturating_mul(view.itemsize())
}

/// The error with the axis of the indexed tensor in place of the view's.
fn own_axis(error: Error, axes: &[usize]) -> Error {
    match error {
        Error::IndexRange { op, index, axis, extent } => {
            Error::IndexRange { op, index, axis: axes.get(axis).copied().unwrap_or(axis), extent }
        }
        other => other,
    }
}

/// The right-hand side of an assignment.
enum Value {
    Tensor(Tensor),
    Scalar(Scalar),
}

impl Value {
    /// The value of any object that is to be stored as `dtype`.
    fn read(dtype: DType, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        let py = object.py();
        if let Ok(tensor) = object.cast::<PyTensor>() {
            return Ok(Value::Tensor(tensor.get().0.clone()));
        }
        if let Some(weak) = Weak::read(object)? {
            return stored_scalar(SET, weak, dtype).map(Value::Scalar).map_err(|e| error(py, e));
        }
        let tensor = convert::to_tensor(SET, object)?;
        let sequence = object.cast::<PyList>().is_ok() || object.cast::<PyTuple>().is_ok();
        if sequence && tensor.dtype().is_integer() && dtype.is_integer() && tensor.dtype() != dtype {
            // Again with the dtype to store, which finds integers that it does not hold.
            return convert::from_object(SET, object, Some(dtype), None).map(Value::Tensor);
        }
        if sequence && tensor.size() == 0 {
            // An empty list has no elements that could tell their kind.
            return Tensor::empty(SET, tensor.shape(), dtype).map(Value::Tensor).map_err(|e| error(py, e));
        }
        Ok(Value::Tensor(tensor))
    }

    fn arg(&self) -> Arg<'_> {
        match self {
            Value::Tensor(tensor) => Arg::Tensor(tensor),
            Value::Scalar(scalar) => Arg::Scalar(*scalar),
        }
    }
}

/// A Python scalar as an element of a dtype, which must hold numbers of its kind.
pub fn stored_scalar(op: &'static str, weak: Weak, dtype: DType) -> Result<Scalar, Error> {
    if weak.dtype_beside(dtype) != dtype {
        return Err(Error::InPlaceDtype { op, from: weak.default_dtype().name(), to: dtype.name() });
    }
    weak.scalar(op, dtype)
}
