//! Shapes and strides: their storage, and the rules that turn one layout into another.

use crate::error::{Error, Result};
use crate::memory::list::List;

/// The most axes that a tensor can have.
pub const MAX_AXES: usize = 64;

/// Extents or strides: inline up to 4 axes.
pub type Dims = List<i64>;

/// A shape as Python writes it: `()`, `(3,)`, `(2, 3)`.
pub fn show(shape: &[i64]) -> String {
    match shape {
        [one] => format!("({one},)"),
        many => {
            let parts: Vec<String> = many.iter().map(|e| e.to_string()).collect();
            format!("({})", parts.join(", "))
        }
    }
}

/// Number of elements and of bytes of a shape.
///
/// Fails for a negative extent, more than 64 axes, and a byte count beyond 2**63 - 1 (axes of
/// extent 0 aside, so that the strides of empty tensors cannot overflow either).
#[inline]
pub fn checked_size(op: &'static str, shape: &[i64], dtype: crate::DType) -> Result<(usize, usize)> {
    if shape.len() > MAX_AXES {
        return Err(Error::TooManyAxes { op, ndim: shape.len() });
    }
    let mut bytes: i64 = dtype.itemsize() as i64;
    let mut empty = false;
    for &extent in shape {
        if extent < 0 {
            return Err(Error::NegativeExtent { op, shape: show(shape) });
        }
        if extent == 0 {
            empty = true;
            continue;
        }
        bytes = bytes.checked_mul(extent).ok_or_else(|| Error::TooLarge {
            op,
            shape: show(shape),
            dtype: dtype.name(),
        })?;
    }
    if empty {
        return Ok((0, 0));
    }
    Ok((bytes as usize / dtype.itemsize(), bytes as usize))
}

/// Strides in bytes of a C-ordered tensor.
#[inline]
pub fn contiguous_strides(shape: &[i64], itemsize: usize) -> Dims {
    let mut strides = Dims::zeros(shape.len());
    let mut stride = itemsize as i64;
    for axis in (0..shape.len()).rev() {
        strides[axis] = stride;
        stride *= shape[axis].max(1);
    }
    strides
}

/// Whether the elements lie in C order without gaps.
#[inline]
pub fn is_contiguous(shape: &[i64], strides: &[i64], itemsize: usize) -> bool {
    let mut expected = itemsize as i64;
    for axis in (0..shape.len()).rev() {
        let extent = shape[axis];
        if extent == 0 {
            return true;
        }
        if extent != 1 {
            if strides[axis] != expected {
                return shape.contains(&0);
            }
            expected *= extent;
        }
    }
    true
}

/// The common shape of two shapes.
pub fn broadcast_shapes(op: &'static str, a: &[i64], b: &[i64]) -> Result<Dims> {
    if a == b {
        return Ok(Dims::new(a));
    }
    let ndim = a.len().max(b.len());
    let mut shape = Dims::zeros(ndim);
    for back in 1..=ndim {
        let x = if back <= a.len() { a[a.len() - back] } else { 1 };
        let y = if back <= b.len() { b[b.len() - back] } else { 1 };
        shape[ndim - back] = if x == y || y == 1 {
            x
        } else if x == 1 {
            y
        } else {
            return Err(Error::Broadcast {
                op,
                a: show(a),
                b: show(b),
                axis: ndim - back,
                x: x as usize,
                y: y as usize,
            });
        };
    }
    Ok(shape)
}

/// Strides of a tensor stretched to a shape that it broadcasts to, or `None` where it does not.
pub fn broadcast_strides(from: &[i64], strides: &[i64], to: &[i64]) -> Option<Dims> {
    if from.len() > to.len() {
        return None;
    }
    let added = to.len() - from.len();
    let mut out = Dims::zeros(to.len());
    for (axis, (&extent, &stride)) in from.iter().zip(strides).enumerate() {
        if extent == to[added + axis] {
            out[added + axis] = stride;
        } else if extent != 1 {
            return None;
        }
    }
    Some(out)
}

/// Strides of a view with another shape of the same size, or `None` where only a copy will do.
pub fn reshape_strides(shape: &[i64], strides: &[i64], to: &[i64], itemsize: usize) -> Option<Dims> {
    if shape.contains(&0) {
        return Some(contiguous_strides(to, itemsize));
    }
    // Axes of extent 1 say nothing about where elements lie.
    let old: List<(i64, i64)> =
        shape.iter().zip(strides).map(|(&e, &s)| (e, s)).filter(|&(e, _)| e != 1).collect();
    let mut out = Dims::zeros(to.len());
    let mut from = 0;
    let mut axis = 0;
    while axis < to.len() {
        if to[axis] == 1 {
            axis += 1;
            continue;
        }
        // The smallest group of old axes and of new axes with the same number of elements.
        let (first_old, first_new) = (from, axis);
        let (mut have, mut want) = (old[from].0, to[axis]);
        from += 1;
        axis += 1;
        while have != want {
            if have < want {
                have *= old[from].0;
                from += 1;
            } else {
                want *= to[axis];
                axis += 1;
            }
        }
        let group = &old[first_old..from];
        if group.windows(2).any(|pair| pair[0].1 != pair[1].1.checked_mul(pair[1].0).unwrap_or(0)) {
            return None;
        }
        let mut stride = group[group.len() - 1].1;
        for new in (first_new..axis).rev() {
            out[new] = stride;
            stride = stride.saturating_mul(to[new]);
        }
    }
    // Axes of extent 1 get the stride that keeps a C-ordered tensor C-ordered.
    let mut stride = itemsize as i64;
    for new in (0..to.len()).rev() {
        if to[new] == 1 {
            out[new] = stride;
        }
        stride = out[new].saturating_mul(to[new]);
    }
    Some(out)
}

/// An axis counted from the front, from one that may count from the back.
#[inline]
pub fn normalize_axis(op: &'static str, axis: i64, ndim: usize) -> Result<usize> {
    let counted = if axis < 0 { axis.wrapping_add(ndim as i64) } else { axis };
    if counted < 0 || counted >= ndim as i64 {
        return Err(Error::Axis { op, axis, ndim });
    }
    Ok(counted as usize)
}

/// Several axes counted from the front, each at most once, in the order given.
pub fn normalize_axes(op: &'static str, axes: &[i64], ndim: usize) -> Result<Vec<usize>> {
    let mut seen = [false; MAX_AXES];
    axes.iter()
        .map(|&axis| {
            let counted = normalize_axis(op, axis, ndim)?;
            if std::mem::replace(&mut seen[counted], true) {
                return Err(Error::AxisTwice { op, axis });
            }
            Ok(counted)
        })
        .collect()
}

/// The lowest and one past the highest byte offset that a layout touches, relative to its data
/// pointer; (0, 0) when it is empty.
pub fn byte_range(shape: &[i64], strides: &[i64], itemsize: usize) -> (i64, i64) {
    if shape.contains(&0) {
        return (0, 0);
    }
    let (mut low, mut high) = (0i64, itemsize as i64);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = stride.saturating_mul(extent - 1);
        if reach < 0 {
            low = low.saturating_add(reach);
        } else {
            high = high.saturating_add(reach);
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshape_is_a_view_where_strides_allow() {
        let view = |shape: &[i64], strides: &[i64], to: &[i64]| {
            reshape_strides(shape, strides, to, 8).map(|d| d.to_vec())
        };
        assert_eq!(view(&[6], &[8], &[2, 3]), Some(vec![24, 8]));
        assert_eq!(view(&[2, 3], &[24, 8], &[6]), Some(vec![8]));
        assert_eq!(view(&[2, 3], &[8, 16], &[6]), None);
        assert_eq!(view(&[4], &[16], &[2, 2]), Some(vec![32, 16]));
        assert_eq!(view(&[4], &[-8], &[2, 2]), Some(vec![-16, -8]));
        assert_eq!(view(&[1, 4], &[999, 8], &[2, 1, 2]), Some(vec![16, 16, 8]));
        assert_eq!(view(&[1], &[8], &[]), Some(vec![]));
        assert_eq!(view(&[], &[], &[1, 1]), Some(vec![8, 8]));
        assert_eq!(view(&[0, 3], &[24, 8], &[3, 0]), Some(vec![8, 8]));
        assert_eq!(view(&[3, 4], &[0, 8], &[12]), None);
        assert_eq!(view(&[3, 4], &[0, 0], &[12]), Some(vec![0]));
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        use crate::DType;
        assert_eq!(checked_size("t", &[2, 3], DType::Int32).unwrap(), (6, 24));
        assert_eq!(checked_size("t", &[], DType::Int32).unwrap(), (1, 4));
        assert_eq!(checked_size("t", &[0, 5], DType::Int32).unwrap(), (0, 0));
        assert!(checked_size("t", &[1 << 60, 2], DType::Float64).is_err());
        assert!(checked_size("t", &[0, 1 << 62, 1 << 62], DType::Float64).is_err());
        assert!(checked_size("t", &[-1], DType::Int8).is_err());
        assert!(checked_size("t", &[1; 65], DType::Int8).is_err());
    }

    #[test]
    fn contiguity_ignores_axes_of_one_element() {
        assert!(is_contiguous(&[1, 3], &[7, 8], 8));
        assert!(is_contiguous(&[0, 3], &[1, 1], 8));
        assert!(is_contiguous(&[3, 0], &[1, 1], 8));
        assert!(!is_contiguous(&[3, 2], &[8, 24], 8));
        assert!(!is_contiguous(&[3], &[-8], 8));
    }
}
