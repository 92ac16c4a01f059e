//! Tensors of every memory layout for tests, and elements read and written without the kernels.
#![allow(dead_code, reason = "each test file uses its own part")]

use corepy_runtime::layout::contiguous_strides;
use corepy_runtime::{DType, Dims, Storage, Tensor};

/// Writes a number as one element.
pub fn put(at: *mut u8, dtype: DType, value: f64) {
    // SAFETY: callers pass the address of an element.
    unsafe {
        match dtype {
            DType::Bool => at.write((value != 0.0) as u8),
            DType::Int8 => at.cast::<i8>().write_unaligned(value as i8),
            DType::Int16 => at.cast::<i16>().write_unaligned(value as i16),
            DType::Int32 => at.cast::<i32>().write_unaligned(value as i32),
            DType::Int64 => at.cast::<i64>().write_unaligned(value as i64),
            DType::Uint8 => at.write(value as u8),
            DType::Uint16 => at.cast::<u16>().write_unaligned(value as u16),
            DType::Uint32 => at.cast::<u32>().write_unaligned(value as u32),
            DType::Uint64 => at.cast::<u64>().write_unaligned(value as u64),
            DType::Float16 => at.cast::<half::f16>().write_unaligned(half::f16::from_f64(value)),
            DType::Bfloat16 => at.cast::<half::bf16>().write_unaligned(half::bf16::from_f64(value)),
            DType::Float32 => at.cast::<f32>().write_unaligned(value as f32),
            DType::Float64 => at.cast::<f64>().write_unaligned(value),
            DType::Complex64 => at.cast::<[f32; 2]>().write_unaligned([value as f32, 0.0]),
            DType::Complex128 => at.cast::<[f64; 2]>().write_unaligned([value, 0.0]),
        }
    }
}

/// Reads one element, of complex ones the real part.
pub fn get(at: *const u8, dtype: DType) -> f64 {
    // SAFETY: callers pass the address of an element.
    unsafe {
        match dtype {
            DType::Bool => (at.read() != 0) as u8 as f64,
            DType::Int8 => at.cast::<i8>().read_unaligned() as f64,
            DType::Int16 => at.cast::<i16>().read_unaligned() as f64,
            DType::Int32 => at.cast::<i32>().read_unaligned() as f64,
            DType::Int64 => at.cast::<i64>().read_unaligned() as f64,
            DType::Uint8 => at.read() as f64,
            DType::Uint16 => at.cast::<u16>().read_unaligned() as f64,
            DType::Uint32 => at.cast::<u32>().read_unaligned() as f64,
            DType::Uint64 => at.cast::<u64>().read_unaligned() as f64,
            DType::Float16 => at.cast::<half::f16>().read_unaligned().to_f64(),
            DType::Bfloat16 => at.cast::<half::bf16>().read_unaligned().to_f64(),
            DType::Float32 | DType::Complex64 => at.cast::<f32>().read_unaligned() as f64,
            DType::Float64 | DType::Complex128 => at.cast::<f64>().read_unaligned(),
        }
    }
}

/// Address of the element at a flat row-major index of a shape that the tensor broadcasts to.
pub fn address(t: &Tensor, shape: &[i64], flat: usize) -> *mut u8 {
    let mut rest = flat as i64;
    let mut offset = 0;
    for back in 1..=shape.len() {
        let extent = shape[shape.len() - back];
        let place = rest % extent;
        rest /= extent;
        if back <= t.ndim() && t.shape()[t.ndim() - back] != 1 {
            offset += place * t.strides()[t.ndim() - back];
        }
    }
    t.data().wrapping_offset(offset as isize)
}

/// All elements in row-major order, stretched to a shape.
pub fn values_in(t: &Tensor, shape: &[i64]) -> Vec<f64> {
    let size: i64 = shape.iter().product();
    (0..size as usize).map(|i| get(address(t, shape, i), t.dtype())).collect()
}

/// All elements in row-major order.
pub fn values(t: &Tensor) -> Vec<f64> {
    values_in(t, t.shape())
}

/// Memory that nobody else has, full of a byte that no test expects.
fn memory(bytes: usize) -> Storage {
    let storage = Storage::allocate(bytes.max(1)).unwrap();
    // SAFETY: the storage has that many bytes.
    unsafe { storage.data().write_bytes(0xa5, bytes.max(1)) };
    storage
}

/// A tensor over its own memory with the given offset and strides, set from `f` of the flat index.
pub fn strided(
    dtype: DType,
    shape: &[i64],
    strides: &[i64],
    shift: usize,
    f: &dyn Fn(usize) -> f64,
) -> Tensor {
    let (mut low, mut high) = (0, dtype.itemsize() as i64);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = stride * (extent - 1).max(0);
        if reach < 0 {
            low += reach;
        } else {
            high += reach;
        }
    }
    let storage = memory((high - low) as usize + shift);
    let data = storage.data().wrapping_add(shift).wrapping_offset(-low as isize);
    // SAFETY: the storage spans the range of the layout.
    let t = unsafe { Tensor::from_parts(storage, data, dtype, Dims::new(shape), Dims::new(strides), false) };
    for i in 0..t.size() {
        put(address(&t, shape, i), dtype, f(i));
    }
    t
}

pub fn plain(dtype: DType, shape: &[i64], f: &dyn Fn(usize) -> f64) -> Tensor {
    strided(dtype, shape, &contiguous_strides(shape, dtype.itemsize()), 0, f)
}

/// The same elements in many layouts, by name.
pub fn layouts(dtype: DType, shape: &[i64], f: &dyn Fn(usize) -> f64) -> Vec<(&'static str, Tensor)> {
    let itemsize = dtype.itemsize() as i64;
    let c = contiguous_strides(shape, dtype.itemsize()).to_vec();
    let mut fortran = vec![0; shape.len()];
    let mut stride = itemsize;
    for axis in 0..shape.len() {
        fortran[axis] = stride;
        stride *= shape[axis].max(1);
    }
    let scaled = |by: i64| c.iter().map(|s| s * by).collect::<Vec<_>>();
    let mut mixed = scaled(1);
    if let Some(last) = mixed.last_mut() {
        *last = -*last;
    }
    let mut odd = c.clone();
    let mut stride = 2 * itemsize + 1;
    for axis in (0..shape.len()).rev() {
        odd[axis] = stride;
        stride = stride * shape[axis].max(1) + 1;
    }
    let padded: Vec<i64> =
        c.iter().enumerate().map(|(a, s)| s * if a + 1 == c.len() { 1 } else { 3 }).collect();
    vec![
        ("C", strided(dtype, shape, &c, 0, f)),
        ("F", strided(dtype, shape, &fortran, 0, f)),
        ("reversed", strided(dtype, shape, &scaled(-1), 0, f)),
        ("last axis reversed", strided(dtype, shape, &mixed, 0, f)),
        ("every third", strided(dtype, shape, &scaled(3), 0, f)),
        ("padded rows", strided(dtype, shape, &padded, 0, f)),
        ("misaligned", strided(dtype, shape, &c, 1, f)),
        ("misaligned stride", strided(dtype, shape, &odd, 3, f)),
    ]
}

/// Shapes around the edges of vectors, blocks and tiles, with short and long innermost axes.
pub const SHAPES: &[&[i64]] = &[
    &[],
    &[1],
    &[0],
    &[7],
    &[1023],
    &[1024],
    &[1025],
    &[2, 3],
    &[3, 0, 2],
    &[1, 5, 1],
    &[5, 67],
    &[70, 130],
    &[300, 3],
    &[3, 300],
    &[2, 3, 4, 5],
    &[2, 1, 3, 2, 2, 3],
    &[40, 5, 33],
];
