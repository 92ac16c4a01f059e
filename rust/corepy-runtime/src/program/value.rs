//! Types of lane programs and values of these types.

pub use crate::generated::lanes::{Type, TypeSet};
use half::{bf16, f16};

impl Type {
    /// The type of a name, or `None`.
    pub fn from_name(name: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|t| t.name() == name)
    }

    /// The type of the registers that hold its elements: `f32` for `f16` and `bf16`, else itself.
    #[inline]
    pub const fn in_register(self) -> Type {
        match self {
            Type::F16 | Type::Bf16 => Type::F32,
            other => other,
        }
    }

    /// Bytes of an element.
    #[inline]
    pub fn bytes(self) -> usize {
        self.dtype().itemsize()
    }

    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, Type::F32 | Type::F64 | Type::F16 | Type::Bf16)
    }

    #[inline]
    pub const fn is_signed(self) -> bool {
        matches!(self, Type::I8 | Type::I16 | Type::I32 | Type::I64)
    }

    #[inline]
    pub const fn is_integer(self) -> bool {
        self.is_signed() || matches!(self, Type::U8 | Type::U16 | Type::U32 | Type::U64)
    }

    /// The smallest and the largest value of an integer type.
    pub fn range(self) -> (i128, i128) {
        let bits = 8 * self.bytes() as u32;
        if self.is_signed() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
    }
}

impl TypeSet {
    #[inline]
    pub const fn contains(self, ty: Type) -> bool {
        self.0 >> ty as u16 & 1 == 1
    }

    /// The members' names, for messages.
    pub fn names(self) -> String {
        let names: Vec<_> = Type::ALL.into_iter().filter(|&t| self.contains(t)).map(Type::name).collect();
        names.join(", ")
    }
}

/// A value of a register type: its bits, which are 0 above the type's width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Value {
    ty: Type,
    bits: u64,
}

impl Value {
    /// The value that has these bits; those above the type's width are cut off.
    ///
    /// # Panics
    /// For a storage type, which no register holds.
    #[inline]
    pub fn new(ty: Type, bits: u64) -> Value {
        assert!(ty == ty.in_register(), "{} is a storage type", ty.name());
        let width = if ty == Type::B1 { 1 } else { 8 * ty.bytes() as u32 };
        Value { ty, bits: bits & (u64::MAX >> (64 - width)) }
    }

    pub fn truth(value: bool) -> Value {
        Value { ty: Type::B1, bits: value as u64 }
    }

    /// An integer, wrapped to an integer type.
    #[inline]
    pub fn integer(ty: Type, value: i128) -> Value {
        debug_assert!(ty.is_integer());
        Value::new(ty, value as u64)
    }

    pub fn index(value: i64) -> Value {
        Value { ty: Type::I64, bits: value as u64 }
    }

    pub fn single(value: f32) -> Value {
        Value { ty: Type::F32, bits: u64::from(value.to_bits()) }
    }

    pub fn double(value: f64) -> Value {
        Value { ty: Type::F64, bits: value.to_bits() }
    }

    #[inline]
    pub fn ty(self) -> Type {
        self.ty
    }

    #[inline]
    pub fn bits(self) -> u64 {
        self.bits
    }

    /// Of a `b1`: whether it is true.
    #[inline]
    pub fn is_true(self) -> bool {
        debug_assert_eq!(self.ty, Type::B1);
        self.bits != 0
    }

    /// Of an integer or a `b1`: the number.
    #[inline]
    pub fn to_integer(self) -> i128 {
        let spare = 64 - 8 * self.ty.bytes() as u32;
        if self.ty.is_signed() {
            i128::from((self.bits << spare) as i64 >> spare)
        } else {
            i128::from(self.bits)
        }
    }

    /// Of an `i64`: the number.
    #[inline]
    pub fn to_index(self) -> i64 {
        debug_assert_eq!(self.ty, Type::I64);
        self.bits as i64
    }

    /// Of an `f32`: the number.
    #[inline]
    pub fn to_single(self) -> f32 {
        debug_assert_eq!(self.ty, Type::F32);
        f32::from_bits(self.bits as u32)
    }

    /// Of a float: the number, which `f64` holds exactly.
    #[inline]
    pub fn to_double(self) -> f64 {
        debug_assert!(self.ty.is_float());
        if self.ty == Type::F32 { f64::from(self.to_single()) } else { f64::from_bits(self.bits) }
    }

    /// The value that an element of a buffer with these bytes has in a register.
    ///
    /// # Panics
    /// Where there are fewer bytes than an element has.
    pub fn load(element: Type, bytes: &[u8]) -> Value {
        let mut held = [0; 8];
        held[..element.bytes()].copy_from_slice(&bytes[..element.bytes()]);
        let bits = u64::from_ne_bytes(if cfg!(target_endian = "big") {
            let mut moved = [0; 8];
            moved[8 - element.bytes()..].copy_from_slice(&held[..element.bytes()]);
            moved
        } else {
            held
        });
        match element {
            Type::B1 => Value::truth(bits != 0),
            Type::F16 => Value::single(f16::from_bits(bits as u16).to_f32()),
            Type::Bf16 => Value::single(bf16::from_bits(bits as u16).to_f32()),
            other => Value::new(other, bits),
        }
    }

    /// Writes the value as an element of a buffer, rounded to nearest even for a storage type.
    ///
    /// # Panics
    /// Where there are fewer bytes than an element has.
    pub fn store(self, element: Type, bytes: &mut [u8]) {
        debug_assert_eq!(self.ty, element.in_register());
        let bits = match element {
            Type::F16 => u64::from(f16::from_f32(self.to_single()).to_bits()),
            Type::Bf16 => u64::from(bf16::from_f32(self.to_single()).to_bits()),
            _ => self.bits,
        };
        let size = element.bytes();
        let held = bits.to_ne_bytes();
        let from = if cfg!(target_endian = "big") { 8 - size } else { 0 };
        bytes[..size].copy_from_slice(&held[from..from + size]);
    }
}

/// As the canonical text of a program writes it: decimal integers, the shortest floats that read back.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ty {
            Type::B1 => write!(f, "{}", self.is_true()),
            Type::F32 if self.to_single().is_nan() => f.write_str("nan"),
            Type::F64 if self.to_double().is_nan() => f.write_str("nan"),
            Type::F32 => write!(f, "{:?}", self.to_single()),
            Type::F64 => write!(f, "{:?}", self.to_double()),
            _ => write!(f, "{}", self.to_integer()),
        }
    }
}
