//! The tensor: a typed, strided view of reference-counted memory.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::layout::{self, Dims};
use crate::scalar::Scalar;
use crate::storage::Storage;

const CONTIGUOUS: u8 = 1;
const READ_ONLY: u8 = 2;
const ALIGNED: u8 = 4;
const BROADCAST: u8 = 8;

/// A view of memory as elements of one dtype. Cloning shares the memory.
#[derive(Clone)]
pub struct Tensor {
    storage: Storage,
    data: *mut u8,
    size: usize,
    dtype: DType,
    flags: u8,
    shape: Dims,
    strides: Dims,
}

// SAFETY: Storage is Send + Sync; the data pointer points into it and is never turned into a
// reference to elements.
unsafe impl Send for Tensor {}
// SAFETY: as above.
unsafe impl Sync for Tensor {}

impl Tensor {
    /// A C-ordered tensor whose elements are not set.
    #[inline]
    pub fn empty(op: &'static str, shape: &[i64], dtype: DType) -> Result<Tensor> {
        let (size, bytes) = layout::checked_size(op, shape, dtype)?;
        let storage = allocate(op, bytes, shape, dtype)?;
        Ok(Tensor {
            data: storage.data(),
            storage,
            size,
            dtype,
            flags: CONTIGUOUS | ALIGNED,
            strides: layout::contiguous_strides(shape, dtype.itemsize()),
            shape: Dims::new(shape),
        })
    }

    /// As `empty`, with the shape of a contiguous tensor.
    #[inline]
    pub fn empty_like(op: &'static str, like: &Tensor, dtype: DType) -> Result<Tensor> {
        if dtype.itemsize() != like.dtype.itemsize() || !like.is_contiguous() {
            return Tensor::empty(op, &like.shape, dtype);
        }
        let storage = allocate(op, like.size * dtype.itemsize(), &like.shape, dtype)?;
        Ok(Tensor {
            data: storage.data(),
            storage,
            size: like.size,
            dtype,
            flags: CONTIGUOUS | ALIGNED,
            shape: like.shape.clone(),
            strides: like.strides.clone(),
        })
    }

    /// Whether both have the same extents.
    #[inline]
    pub fn has_shape_of(&self, other: &Tensor) -> bool {
        self.shape == other.shape
    }

    /// A dense tensor whose elements are not set, its axes in memory from slowest to fastest in the
    /// given order.
    pub fn empty_ordered(op: &'static str, shape: &[i64], dtype: DType, order: &[usize]) -> Result<Tensor> {
        let (size, bytes) = layout::checked_size(op, shape, dtype)?;
        let storage = allocate(op, bytes, shape, dtype)?;
        let mut strides = Dims::zeros(shape.len());
        let mut stride = dtype.itemsize() as i64;
        for &axis in order.iter().rev() {
            strides[axis] = stride;
            stride *= shape[axis].max(1);
        }
        let contiguous = layout::is_contiguous(shape, &strides, dtype.itemsize());
        Ok(Tensor {
            data: storage.data(),
            storage,
            size,
            dtype,
            flags: ALIGNED | if contiguous { CONTIGUOUS } else { 0 },
            shape: Dims::new(shape),
            strides,
        })
    }

    /// A tensor without axes that holds one element.
    pub fn from_scalar(op: &'static str, scalar: &Scalar) -> Result<Tensor> {
        let tensor = Tensor::empty(op, &[], scalar.dtype())?;
        // SAFETY: the new tensor holds exactly one element of the scalar's dtype.
        unsafe { tensor.data.copy_from_nonoverlapping(scalar.as_ptr(), scalar.dtype().itemsize()) };
        Ok(tensor)
    }

    /// A tensor over memory that the caller has checked: every element that shape and strides
    /// address lies inside `storage`.
    ///
    /// # Safety
    /// `data`, `shape` and `strides` must address only bytes that `storage` keeps alive.
    pub unsafe fn from_parts(
        storage: Storage,
        data: *mut u8,
        dtype: DType,
        shape: Dims,
        strides: Dims,
        read_only: bool,
    ) -> Tensor {
        let size = if shape.contains(&0) { 0 } else { shape.iter().product::<i64>() as usize };
        let mut flags = if read_only { READ_ONLY } else { 0 };
        if layout::is_contiguous(&shape, &strides, dtype.itemsize()) {
            flags |= CONTIGUOUS;
        }
        if is_aligned(data, &shape, &strides, dtype) {
            flags |= ALIGNED;
        }
        Tensor { storage, data, size, dtype, flags, shape, strides }
    }

    /// Another view of the same memory, `offset` bytes from this one's first element.
    pub fn view(&self, offset: i64, shape: &[i64], strides: &[i64]) -> Tensor {
        self.view_as(offset, self.dtype, shape, strides)
    }

    /// As `view`, with elements of another dtype (a complex tensor's parts).
    pub fn view_as(&self, offset: i64, dtype: DType, shape: &[i64], strides: &[i64]) -> Tensor {
        let data = self.data.wrapping_offset(offset as isize);
        if cfg!(debug_assertions) && !shape.contains(&0) {
            let (low, high) = layout::byte_range(shape, strides, dtype.itemsize());
            let start = data as i64 - self.storage.data() as i64;
            assert!(start + low >= 0 && start + high <= self.storage.bytes() as i64, "view outside storage");
        }
        // SAFETY: callers derive shape and strides from this tensor's own by slicing, permuting or
        // broadcasting; debug builds check the range.
        let mut out = unsafe {
            Tensor::from_parts(
                self.storage.clone(),
                data,
                dtype,
                Dims::new(shape),
                Dims::new(strides),
                self.is_read_only(),
            )
        };
        out.flags |= self.flags & BROADCAST;
        out
    }

    /// A read-only view stretched to a shape.
    pub fn broadcast_to(&self, op: &'static str, shape: &[i64]) -> Result<Tensor> {
        layout::checked_size(op, shape, self.dtype)?;
        let strides = layout::broadcast_strides(&self.shape, &self.strides, shape)
            .ok_or_else(|| Error::BroadcastTo { op, a: layout::show(&self.shape), b: layout::show(shape) })?;
        let mut view = self.view(0, shape, &strides);
        view.flags |= READ_ONLY | BROADCAST;
        Ok(view)
    }

    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    #[inline]
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Bytes from one element to the next along each axis.
    #[inline]
    pub fn strides(&self) -> &[i64] {
        &self.strides
    }

    #[inline]
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Address of the element at index 0 of every axis.
    #[inline]
    pub fn data(&self) -> *mut u8 {
        self.data
    }

    #[inline]
    pub fn itemsize(&self) -> usize {
        self.dtype.itemsize()
    }

    /// Whether the elements lie in C order without gaps.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.flags & CONTIGUOUS != 0
    }

    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.flags & READ_ONLY != 0
    }

    /// Whether every element lies at a multiple of the dtype's alignment.
    #[inline]
    pub fn is_aligned(&self) -> bool {
        self.flags & ALIGNED != 0
    }

    /// Contiguous and aligned: a kernel can read it as it lies.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.flags & (CONTIGUOUS | ALIGNED) == CONTIGUOUS | ALIGNED
    }

    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The same view, refusing writes.
    pub fn into_read_only(mut self) -> Tensor {
        self.flags |= READ_ONLY;
        self
    }

    /// Fails when the tensor must not be written.
    #[inline]
    pub fn check_writable(&self, op: &'static str) -> Result<()> {
        if !self.is_read_only() {
            return Ok(());
        }
        let owner = if self.flags & BROADCAST != 0 {
            "a broadcast view, whose elements share memory".to_owned()
        } else {
            self.storage.owner().to_owned()
        };
        Err(Error::ReadOnly { op, owner })
    }

    /// Lowest and one past the highest address that the elements occupy.
    pub fn address_range(&self) -> (usize, usize) {
        let (low, high) = layout::byte_range(&self.shape, &self.strides, self.itemsize());
        let base = self.data as i64;
        ((base + low) as usize, (base + high) as usize)
    }

    /// Whether the two tensors' address ranges meet.
    pub fn may_overlap(&self, other: &Tensor) -> bool {
        let (a, b) = (self.address_range(), other.address_range());
        a.0 < b.1 && b.0 < a.1
    }

    /// Whether both address the same elements in the same order.
    pub fn is_same_view(&self, other: &Tensor) -> bool {
        self.data == other.data
            && self.dtype == other.dtype
            && self.shape == other.shape
            && self.strides == other.strides
    }
}

/// What it is, not its elements: they may be a billion.
impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor(shape={}, dtype={})", layout::show(&self.shape), self.dtype.name())
    }
}

#[inline]
fn allocate(op: &'static str, bytes: usize, shape: &[i64], dtype: DType) -> Result<Storage> {
    Storage::allocate(bytes).ok_or_else(|| Error::OutOfMemory {
        op,
        bytes,
        shape: layout::show(shape),
        dtype: dtype.name(),
    })
}

fn is_aligned(data: *const u8, shape: &[i64], strides: &[i64], dtype: DType) -> bool {
    let mask = dtype.alignment() as i64 - 1;
    let bits = shape.iter().zip(strides).filter(|&(&e, _)| e > 1).fold(data as i64, |all, (_, &s)| all | s);
    bits & mask == 0 || shape.contains(&0)
}
