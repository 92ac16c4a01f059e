//! One element of any dtype, held by value.

use crate::dtype::DType;

/// An element with its dtype; aligned for every kernel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Scalar {
    bytes: [u8; 16],
    dtype: DType,
}

impl Scalar {
    /// The element that lies at `bytes`, which holds at least the dtype's itemsize.
    pub fn new(dtype: DType, bytes: &[u8]) -> Scalar {
        let mut held = [0; 16];
        held[..dtype.itemsize()].copy_from_slice(&bytes[..dtype.itemsize()]);
        Scalar { bytes: held, dtype }
    }

    pub fn from_bool(value: bool) -> Scalar {
        Scalar::new(DType::Bool, &[value as u8])
    }

    pub fn from_i64(value: i64) -> Scalar {
        Scalar::new(DType::Int64, &value.to_ne_bytes())
    }

    pub fn from_u64(value: u64) -> Scalar {
        Scalar::new(DType::Uint64, &value.to_ne_bytes())
    }

    pub fn from_f64(value: f64) -> Scalar {
        Scalar::new(DType::Float64, &value.to_ne_bytes())
    }

    pub fn from_complex(re: f64, im: f64) -> Scalar {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&re.to_ne_bytes());
        bytes[8..].copy_from_slice(&im.to_ne_bytes());
        Scalar { bytes, dtype: DType::Complex128 }
    }

    /// The value of this scalar converted by the cast kernels (see the `cast` function type).
    #[inline]
    pub fn cast(&self, to: DType) -> Scalar {
        if to == self.dtype {
            return *self;
        }
        let mut out = Scalar { bytes: [0; 16], dtype: to };
        let kernel = crate::kernels::cast(self.dtype, to);
        // SAFETY: both sides are one element in 16 bytes aligned to 16.
        unsafe { kernel(out.bytes.as_mut_ptr(), self.bytes.as_ptr(), 1) };
        out
    }

    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    #[inline]
    pub fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// The bytes of the element.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.dtype.itemsize()]
    }
}
