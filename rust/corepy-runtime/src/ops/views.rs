//! Views: other shapes, orders and parts of a tensor over the same memory.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::layout::{self, Dims};
use crate::ops::copy;
use crate::scalar::Scalar;
use crate::tensor::Tensor;

/// What a basic index does with one axis of a tensor, or adds to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// The element at an index, which may count from the back; the axis goes.
    At(i64),
    /// `count` elements from `start` on, `step` apart, all inside the axis.
    Slice { start: i64, step: i64, count: i64 },
    /// Every element.
    All,
    /// A new axis of extent 1; takes none of the tensor's.
    New,
}

/// An index counted from the front, or the error for one that is out of range.
#[inline]
pub fn wrap_index(op: &'static str, index: i64, axis: usize, extent: i64) -> Result<i64> {
    let counted = if index < 0 { index.wrapping_add(extent) } else { index };
    if counted < 0 || counted >= extent {
        return Err(Error::IndexRange { op, index: index.into(), axis, extent: extent as usize });
    }
    Ok(counted)
}

/// The index that a tensor without axes holds. An unsigned one beyond 63 bits becomes the largest
/// index, which is out of range for any axis.
pub fn index_value(x: &Tensor) -> i64 {
    let mut bytes = [0; 16];
    // SAFETY: a tensor without axes has one element, of itemsize() bytes.
    unsafe { x.data().copy_to_nonoverlapping(bytes.as_mut_ptr(), x.itemsize()) };
    let read = Scalar::new(x.dtype(), &bytes);
    let mut held = [0; 8];
    if x.dtype() == DType::Uint64 {
        held.copy_from_slice(read.bytes());
        return i64::try_from(u64::from_ne_bytes(held)).unwrap_or(i64::MAX);
    }
    held.copy_from_slice(read.cast(DType::Int64).bytes());
    i64::from_ne_bytes(held)
}

/// The part of a tensor that a basic index picks. Axes beyond the picks stay whole.
#[inline]
pub fn basic(op: &'static str, x: &Tensor, picks: &[Pick]) -> Result<Tensor> {
    let (shape, strides) = (x.shape(), x.strides());
    let (mut taken, mut dropped) = (0, 0);
    for pick in picks {
        taken += usize::from(*pick != Pick::New);
        dropped += usize::from(matches!(pick, Pick::At(_)));
    }
    if taken > shape.len() {
        return Err(Error::TooManyIndices { op, given: taken, ndim: shape.len() });
    }
    let ndim = shape.len() + (picks.len() - taken) - dropped;
    if ndim > layout::MAX_AXES {
        return Err(Error::TooManyAxes { op, ndim });
    }
    let (mut to_shape, mut to_strides) = (Dims::zeros(ndim), Dims::zeros(ndim));
    let (mut offset, mut axis, mut out) = (0i64, 0, 0);
    // One bit for each axis of the result.
    let mut added = 0u64;
    for pick in picks {
        match *pick {
            Pick::New => {
                to_shape[out] = 1;
                added |= 1 << out;
                out += 1;
                continue;
            }
            Pick::At(index) => offset += wrap_index(op, index, axis, shape[axis])? * strides[axis],
            Pick::All => {
                (to_shape[out], to_strides[out]) = (shape[axis], strides[axis]);
                out += 1;
            }
            Pick::Slice { start, step, count } => {
                to_shape[out] = count;
                // The step of a slice without a second element may be any number.
                to_strides[out] = if count > 1 { step * strides[axis] } else { strides[axis] };
                if count > 0 {
                    offset += start * strides[axis];
                }
                out += 1;
            }
        }
        axis += 1;
    }
    to_shape[out..].copy_from_slice(&shape[axis..]);
    to_strides[out..].copy_from_slice(&strides[axis..]);
    if added != 0 {
        strides_of_added(&to_shape, &mut to_strides, added, x.itemsize());
    }
    Ok(x.view(offset, &to_shape, &to_strides))
}

/// Gives new axes of extent 1 the stride that keeps a C-ordered tensor C-ordered.
fn strides_of_added(shape: &[i64], strides: &mut [i64], added: u64, itemsize: usize) {
    let mut stride = itemsize as i64;
    for axis in (0..shape.len()).rev() {
        if added >> axis & 1 == 1 {
            strides[axis] = stride;
        }
        stride = strides[axis].saturating_mul(shape[axis].max(1));
    }
}

/// The shape with its -1, if any, filled in so that it has `size` elements.
pub fn resolve_shape(op: &'static str, x: &Tensor, to: &[i64]) -> Result<Dims> {
    let mut shape = Dims::new(to);
    let unknown = to.iter().position(|&e| e == -1);
    if let Some(axis) = unknown {
        shape[axis] = 1;
        if shape.contains(&-1) {
            return Err(Error::ReshapeUnknown { op, to: layout::show(to) });
        }
    }
    let (known, _) = match layout::checked_size(op, &shape, DType::Bool) {
        Err(Error::NegativeExtent { .. }) => {
            return Err(Error::NegativeExtent { op, shape: layout::show(to) });
        }
        // A shape beyond 2**63 elements is one that no tensor fits.
        Err(Error::TooLarge { .. }) => return Err(size_error(op, x, to)),
        other => other?,
    };
    if let Some(axis) = unknown {
        if known == 0 && x.size() == 0 {
            return Err(Error::ReshapeAny { op, to: layout::show(to) });
        }
        if known == 0 || !x.size().is_multiple_of(known) {
            return Err(size_error(op, x, to));
        }
        shape[axis] = (x.size() / known) as i64;
        return Ok(shape);
    }
    if known != x.size() {
        return Err(size_error(op, x, to));
    }
    Ok(shape)
}

fn size_error(op: &'static str, x: &Tensor, to: &[i64]) -> Error {
    Error::ReshapeSize { op, size: x.size(), from: layout::show(x.shape()), to: layout::show(to) }
}

/// The elements in row-major order in another shape. `copy`: None for a view when possible, true
/// for new memory always, false for an error where a view is impossible.
pub fn reshape(op: &'static str, x: &Tensor, to: &[i64], copy: Option<bool>) -> Result<Tensor> {
    let shape = resolve_shape(op, x, to)?;
    // Strides of the result are those of a dense tensor when it is empty, and these may overflow.
    layout::checked_size(op, &shape, x.dtype())?;
    let source = match copy {
        Some(true) if x.is_contiguous() => copy::astype(x, x.dtype(), op)?,
        Some(true) => copy::contiguous_for(op, x)?,
        _ => x.clone(),
    };
    if source.is_contiguous() {
        return Ok(source.view(0, &shape, &layout::contiguous_strides(&shape, x.itemsize())));
    }
    if let Some(strides) = layout::reshape_strides(source.shape(), source.strides(), &shape, x.itemsize()) {
        return Ok(source.view(0, &shape, &strides));
    }
    if copy == Some(false) {
        let why = format!("shape {} over strides {}", layout::show(&shape), layout::show(x.strides()));
        return Err(Error::NeedsCopy { op, why });
    }
    let dense = copy::contiguous_for(op, x)?;
    Ok(dense.view(0, &shape, &layout::contiguous_strides(&shape, x.itemsize())))
}

/// The axes in another order.
pub fn permute_dims(op: &'static str, x: &Tensor, axes: &[i64]) -> Result<Tensor> {
    if axes.len() != x.ndim() {
        return Err(Error::AxesCount { op, given: axes.len(), ndim: x.ndim() });
    }
    let order = layout::normalize_axes(op, axes, x.ndim())?;
    Ok(permuted(x, &order))
}

fn permuted(x: &Tensor, order: &[usize]) -> Tensor {
    let shape: Dims = order.iter().map(|&a| x.shape()[a]).collect();
    let strides: Dims = order.iter().map(|&a| x.strides()[a]).collect();
    x.view(0, &shape, &strides)
}

/// The last two axes exchanged.
pub fn matrix_transpose(op: &'static str, x: &Tensor) -> Result<Tensor> {
    let ndim = x.ndim();
    if ndim < 2 {
        return Err(Error::NeedsAxes { op, needed: 2, ndim });
    }
    let (mut shape, mut strides) = (Dims::new(x.shape()), Dims::new(x.strides()));
    shape.swap(ndim - 2, ndim - 1);
    strides.swap(ndim - 2, ndim - 1);
    Ok(x.view(0, &shape, &strides))
}

/// The axis moved to the end.
pub fn axis_last(x: &Tensor, axis: usize) -> Tensor {
    if axis + 1 == x.ndim() {
        return x.clone();
    }
    let order: Vec<usize> = (0..x.ndim()).filter(|&a| a != axis).chain([axis]).collect();
    permuted(x, &order)
}

/// Axes moved to other places; the rest keep their order.
pub fn moveaxis(op: &'static str, x: &Tensor, source: &[i64], destination: &[i64]) -> Result<Tensor> {
    if source.len() != destination.len() {
        let (source_count, destination_count) = (source.len(), destination.len());
        return Err(Error::MoveCounts { op, source_count, destination_count });
    }
    let source = layout::normalize_axes(op, source, x.ndim())?;
    let destination = layout::normalize_axes(op, destination, x.ndim())?;
    let mut order = vec![usize::MAX; x.ndim()];
    for (&from, &to) in source.iter().zip(&destination) {
        order[to] = from;
    }
    let mut rest = (0..x.ndim()).filter(|axis| !source.contains(axis));
    for place in order.iter_mut().filter(|p| **p == usize::MAX) {
        *place = rest.next().unwrap_or_default();
    }
    Ok(permuted(x, &order))
}

/// Without the given axes, each of which has extent 1.
pub fn squeeze(op: &'static str, x: &Tensor, axes: &[i64]) -> Result<Tensor> {
    let axes = layout::normalize_axes(op, axes, x.ndim())?;
    if let Some(&axis) = axes.iter().find(|&&a| x.shape()[a] != 1) {
        let (shape, extent) = (layout::show(x.shape()), x.shape()[axis]);
        return Err(Error::SqueezeExtent { op, axis, shape, extent });
    }
    let kept: Vec<usize> = (0..x.ndim()).filter(|a| !axes.contains(a)).collect();
    Ok(permuted(x, &kept))
}

/// With new axes of extent 1 at the given places of the result.
pub fn expand_dims(op: &'static str, x: &Tensor, axes: &[i64]) -> Result<Tensor> {
    let ndim = x.ndim() + axes.len();
    if ndim > layout::MAX_AXES {
        return Err(Error::TooManyAxes { op, ndim });
    }
    let mut picks = vec![Pick::All; ndim];
    for axis in layout::normalize_axes(op, axes, ndim)? {
        picks[axis] = Pick::New;
    }
    basic(op, x, &picks)
}

/// With the order along axes reversed; None reverses all.
pub fn flip(op: &'static str, x: &Tensor, axes: Option<&[i64]>) -> Result<Tensor> {
    let axes = match axes {
        Some(axes) => layout::normalize_axes(op, axes, x.ndim())?,
        None => (0..x.ndim()).collect(),
    };
    let mut strides = Dims::new(x.strides());
    let mut offset = 0;
    for axis in axes {
        let extent = x.shape()[axis];
        if extent > 1 {
            offset += (extent - 1) * strides[axis];
            strides[axis] = -strides[axis];
        }
    }
    // Nothing to point at in an empty tensor; the other end of one axis may lie outside memory.
    Ok(x.view(if x.size() == 0 { 0 } else { offset }, x.shape(), &strides))
}

/// The common shape of any number of shapes.
pub fn common_shape<'a>(op: &'static str, shapes: impl IntoIterator<Item = &'a [i64]>) -> Result<Dims> {
    let mut common = Dims::zeros(0);
    for shape in shapes {
        common = layout::broadcast_shapes(op, &common, shape)?;
    }
    Ok(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[i64]) -> Tensor {
        let t = Tensor::empty("test", shape, DType::Int64).unwrap();
        for i in 0..t.size() {
            // SAFETY: the tensor is new, C-ordered, and has t.size() elements of 8 bytes.
            unsafe { t.data().cast::<i64>().add(i).write(i as i64) };
        }
        t
    }

    fn values(t: &Tensor) -> Vec<i64> {
        let mut out = Vec::new();
        let mut index = vec![0i64; t.ndim()];
        for _ in 0..t.size() {
            let offset: i64 = index.iter().zip(t.strides()).map(|(i, s)| i * s).sum();
            // SAFETY: the index lies inside the shape of a view of a tensor of int64.
            out.push(unsafe { t.data().offset(offset as isize).cast::<i64>().read() });
            for axis in (0..t.ndim()).rev() {
                index[axis] += 1;
                if index[axis] < t.shape()[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        out
    }

    fn message(result: Result<Tensor>) -> String {
        result.err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn basic_indices_pick_the_elements_they_name() {
        let x = counted(&[3, 4]);
        let row = basic("t", &x, &[Pick::At(-1)]).unwrap();
        assert_eq!((row.shape(), values(&row)), (&[4i64][..], vec![8, 9, 10, 11]));
        let one = basic("t", &x, &[Pick::At(1), Pick::At(2)]).unwrap();
        assert_eq!((one.ndim(), values(&one)), (0, vec![6]));
        let back =
            basic("t", &x, &[Pick::Slice { start: 2, step: -2, count: 2 }, Pick::New, Pick::At(0)]).unwrap();
        assert_eq!((back.shape(), values(&back)), (&[2i64, 1][..], vec![8, 0]));
        let none = basic("t", &x, &[Pick::All, Pick::Slice { start: 4, step: 1, count: 0 }]).unwrap();
        assert_eq!((none.shape(), none.size(), none.data()), (&[3i64, 0][..], 0, x.data()));
        let far = basic("t", &x, &[Pick::Slice { start: 0, step: i64::MAX, count: 1 }]).unwrap();
        assert_eq!(values(&far), vec![0, 1, 2, 3]);
    }

    #[test]
    fn basic_indices_out_of_range_are_named() {
        let x = counted(&[3, 4]);
        let cases: [(&[Pick], &str); 4] = [
            (&[Pick::All, Pick::At(4)], "[t] index 4 is out of range for axis 1 with 4 elements"),
            (&[Pick::At(-4)], "[t] index -4 is out of range for axis 0 with 3 elements"),
            (
                &[Pick::At(i64::MIN)],
                "[t] index -9223372036854775808 is out of range for axis 0 with 3 elements",
            ),
            (&[Pick::At(0), Pick::At(0), Pick::At(0)], "[t] 3 indices for a tensor with 2 axes"),
        ];
        for (picks, expected) in cases {
            assert_eq!(message(basic("t", &x, picks)), expected);
        }
        assert_eq!(
            message(basic("t", &x, &[Pick::New; 63])),
            "[t] 65 axes are more than the 64 that a tensor can have"
        );
    }

    #[test]
    fn new_axes_keep_a_contiguous_tensor_contiguous() {
        let x = counted(&[3, 4]);
        for axis in -3..3 {
            let y = expand_dims("t", &x, &[axis]).unwrap();
            assert!(y.is_contiguous());
            assert_eq!(y.strides(), &layout::contiguous_strides(y.shape(), 8)[..]);
        }
        assert_eq!(expand_dims("t", &x, &[0, -1]).unwrap().shape(), &[1, 3, 4, 1]);
        assert_eq!(
            message(expand_dims("t", &x, &[3])),
            "[t] axis 3 is out of range for a tensor with 3 axes"
        );
        assert_eq!(message(expand_dims("t", &x, &[0, -4])), "[t] axis -4 is given twice");
    }

    #[test]
    fn reshape_resolves_one_unknown_extent() {
        let x = counted(&[2, 6]);
        assert_eq!(reshape("t", &x, &[3, -1], None).unwrap().shape(), &[3, 4]);
        assert_eq!(reshape("t", &x, &[-1], None).unwrap().data(), x.data());
        let empty = counted(&[0, 5]);
        assert_eq!(reshape("t", &empty, &[7, 0], None).unwrap().shape(), &[7, 0]);
        assert_eq!(reshape("t", &empty, &[-1, 5], None).unwrap().shape(), &[0, 5]);
        let cases: [(&Tensor, &[i64], &str); 6] = [
            (&x, &[5], "[t] shape (2, 6) has 12 elements and does not fit shape (5,)"),
            (&x, &[-1, -1], "[t] shape (-1, -1) has more than one -1"),
            (&x, &[-1, 5], "[t] shape (2, 6) has 12 elements and does not fit shape (-1, 5)"),
            (&empty, &[-1, 0], "[t] no elements fit shape (-1, 0) with any extent in place of -1"),
            (&x, &[-2, -6], "[t] shape (-2, -6) has a negative extent"),
            (
                &x,
                &[i64::MAX, 2],
                "[t] shape (2, 6) has 12 elements and does not fit shape (9223372036854775807, 2)",
            ),
        ];
        for (x, to, expected) in cases {
            assert_eq!(message(reshape("t", x, to, None)), expected);
        }
    }

    #[test]
    fn reshape_without_copy_is_refused_where_strides_do_not_allow() {
        let x = permute_dims("t", &counted(&[2, 3]), &[1, 0]).unwrap();
        assert_eq!(
            message(reshape("t", &x, &[6], Some(false))),
            "[t] copy=False, but shape (6,) over strides (8, 24) needs a copy"
        );
        let split = reshape("t", &x, &[3, 1, 2], Some(false)).unwrap();
        assert_eq!(values(&split), vec![0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn axes_move_and_go() {
        let x = counted(&[2, 3, 4]);
        assert_eq!(moveaxis("t", &x, &[0], &[-1]).unwrap().shape(), &[3, 4, 2]);
        assert_eq!(moveaxis("t", &x, &[0, 1], &[-1, -2]).unwrap().shape(), &[4, 3, 2]);
        assert_eq!(message(moveaxis("t", &x, &[0], &[0, 1])), "[t] cannot move 1 axis to 2 places");
        assert_eq!(axis_last(&x, 0).shape(), &[3, 4, 2]);
        assert_eq!(matrix_transpose("t", &x).unwrap().shape(), &[2, 4, 3]);
        assert_eq!(message(matrix_transpose("t", &counted(&[2]))), "[t] needs at least 2 axes, not 1");
        assert_eq!(message(permute_dims("t", &x, &[0, 1])), "[t] 2 axes given for a tensor with 3");
        let y = counted(&[1, 3, 1]);
        assert_eq!(squeeze("t", &y, &[0, -1]).unwrap().shape(), &[3]);
        assert_eq!(message(squeeze("t", &y, &[1])), "[t] axis 1 of shape (1, 3, 1) has 3 elements, not 1");
    }

    #[test]
    fn flip_reverses() {
        let x = counted(&[2, 3]);
        assert_eq!(values(&flip("t", &x, None).unwrap()), vec![5, 4, 3, 2, 1, 0]);
        assert_eq!(values(&flip("t", &x, Some(&[-1])).unwrap()), vec![2, 1, 0, 5, 4, 3]);
        assert_eq!(flip("t", &counted(&[0, 3]), None).unwrap().size(), 0);
    }
}
