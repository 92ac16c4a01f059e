//! Element types: facts, sets and promotion, read from the generated tables.

pub use crate::generated::dtypes::{
    ALL, ANY, BOOL, BOOL_OR_INTEGER, COMPLEX, DType, DTypeSet, FLOATING, INTEGER, Info, Kind, NUMERIC, REAL,
    REAL_FLOATING, REAL_OR_BOOL, SIGNED, STORAGE,
};
use crate::generated::dtypes::{INFO, PROMOTION};

impl DType {
    /// The dtype's place in every kernel table.
    #[inline]
    pub const fn number(self) -> usize {
        self as usize
    }

    /// The dtype with a number, or `None`.
    #[inline]
    pub fn from_number(number: usize) -> Option<DType> {
        ALL.get(number).copied()
    }

    /// The dtype of a name, or `None`.
    pub fn from_name(name: &str) -> Option<DType> {
        ALL.into_iter().find(|d| d.name() == name)
    }

    /// Name as in the Array API.
    #[inline]
    pub fn name(self) -> &'static str {
        INFO[self.number()].name
    }

    /// Bytes of an element.
    #[inline]
    pub fn itemsize(self) -> usize {
        INFO[self.number()].itemsize
    }

    /// log2 of the itemsize: the element's place in the tables of moves.
    #[inline]
    pub fn width(self) -> usize {
        self.itemsize().trailing_zeros() as usize
    }

    /// Alignment that a kernel may assume of the element: that of its real part for complex dtypes.
    #[inline]
    pub fn alignment(self) -> usize {
        if self.kind() == Kind::Complex { self.itemsize() / 2 } else { self.itemsize() }
    }

    /// What kind of number it holds.
    #[inline]
    pub fn kind(self) -> Kind {
        INFO[self.number()].kind
    }

    /// Format of the buffer protocol (PEP 3118); empty where there is none.
    #[inline]
    pub fn format(self) -> &'static str {
        INFO[self.number()].format
    }

    /// False for dtypes that only store: float16 and bfloat16.
    #[inline]
    pub fn computes(self) -> bool {
        INFO[self.number()].computes
    }

    /// The dtype of a complex dtype's parts; any other dtype itself.
    pub fn real_part(self) -> DType {
        match self {
            DType::Complex64 => DType::Float32,
            DType::Complex128 => DType::Float64,
            other => other,
        }
    }

    /// Whether the elements are integers (bool is not).
    #[inline]
    pub fn is_integer(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }
}

impl DTypeSet {
    /// Whether a dtype is in the set.
    #[inline]
    pub const fn contains(self, dtype: DType) -> bool {
        self.bits >> (dtype as u32) & 1 == 1
    }
}

/// The dtype that elements of two dtypes are computed in, or `None` where there is none.
#[inline]
pub fn promote(a: DType, b: DType) -> Option<DType> {
    if a == b {
        return Some(a);
    }
    DType::from_number(PROMOTION[a.number()][b.number()] as usize)
}
