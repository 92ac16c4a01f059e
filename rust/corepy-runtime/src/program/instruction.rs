//! Verified instructions: every name is resolved, every operand has its type.

use super::syntax::Special;
use super::value::{Type, Value};
use crate::generated::lanes::Combine;
use crate::generated::ops::{Binary, Unary};

/// A register, by its place in [`super::Program::registers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Register(pub u16);

/// A label, by its place in [`super::Program::labels`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Label(pub u32);

/// A value that an instruction reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    Register(Register),
    /// By its place in [`super::Program::params`].
    Param(u16),
    Special(Special),
    Constant(Value),
}

/// An element of a buffer or of a shared array: which one, and an `i64` index an axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Access {
    /// Place in [`super::Program::buffers`] or [`super::Program::shared`].
    pub array: u16,
    pub index: Box<[Operand]>,
}

/// A `b1` value, or its opposite.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Condition {
    pub value: Operand,
    pub negated: bool,
}

/// One instruction. `ty` is its type; where an instruction has none, its operands are `i64` or `b1`.
#[derive(Clone, PartialEq, Debug)]
pub enum Instruction {
    /// An elementwise operation of one operand; predicates give `b1`.
    Unary {
        op: Unary,
        ty: Type,
        to: Register,
        from: Operand,
    },
    /// An elementwise operation of two operands; comparisons give `b1`.
    Binary {
        op: Binary,
        ty: Type,
        to: Register,
        left: Operand,
        right: Operand,
    },
    Move {
        ty: Type,
        to: Register,
        from: Operand,
    },
    Convert {
        ty: Type,
        source: Type,
        to: Register,
        from: Operand,
    },
    /// `a * b + c`, rounded once.
    Fma {
        ty: Type,
        to: Register,
        a: Operand,
        b: Operand,
        c: Operand,
    },
    /// `a * b + c`, wrapping.
    Mad {
        ty: Type,
        to: Register,
        a: Operand,
        b: Operand,
        c: Operand,
    },
    /// An `f32` rounded to the values of a storage type.
    Round {
        storage: Type,
        to: Register,
        from: Operand,
    },
    Select {
        ty: Type,
        to: Register,
        condition: Operand,
        a: Operand,
        b: Operand,
    },
    /// `ty` is that of the buffer's elements and may be a storage type.
    Load {
        ty: Type,
        to: Register,
        access: Access,
    },
    Store {
        ty: Type,
        access: Access,
        from: Operand,
    },
    Extent {
        to: Register,
        buffer: u16,
        axis: u8,
    },
    LoadShared {
        ty: Type,
        to: Register,
        access: Access,
    },
    StoreShared {
        ty: Type,
        access: Access,
        from: Operand,
    },
    Combine {
        op: Combine,
        ty: Type,
        access: Access,
        from: Operand,
    },
    CombineShared {
        op: Combine,
        ty: Type,
        access: Access,
        from: Operand,
    },
    Branch {
        condition: Option<Condition>,
        label: Label,
    },
    Loop {
        counter: Register,
        count: Operand,
    },
    EndLoop,
    Break {
        condition: Option<Condition>,
    },
    Continue {
        condition: Option<Condition>,
    },
    Call {
        label: Label,
    },
    Return,
    Barrier,
    Reduce {
        op: Combine,
        ty: Type,
        to: Register,
        from: Operand,
    },
    Scan {
        op: Combine,
        ty: Type,
        to: Register,
        from: Operand,
    },
    Exit,
    Assert {
        condition: Operand,
        message: String,
    },
    Fence,
}

/// The register that an instruction writes, by reference as the instruction is given.
macro_rules! written {
    ($instruction:expr) => {
        match $instruction {
            Unary { to, .. }
            | Binary { to, .. }
            | Move { to, .. }
            | Convert { to, .. }
            | Fma { to, .. }
            | Mad { to, .. }
            | Round { to, .. }
            | Select { to, .. }
            | Load { to, .. }
            | Extent { to, .. }
            | LoadShared { to, .. }
            | Reduce { to, .. }
            | Scan { to, .. }
            | Loop { counter: to, .. } => Some(to),
            _ => None,
        }
    };
}

/// Calls `f` with every value that an instruction reads, in the order of the text, by reference as the instruction is
/// given; `iter` is how lists are walked then.
macro_rules! each_read {
    ($instruction:expr, $iter:ident, $f:expr) => {{
        let mut f = $f;
        match $instruction {
            Unary { from, .. }
            | Move { from, .. }
            | Convert { from, .. }
            | Round { from, .. }
            | Reduce { from, .. }
            | Scan { from, .. } => f(from),
            Binary { left, right, .. } => {
                f(left);
                f(right);
            }
            Fma { a, b, c, .. } | Mad { a, b, c, .. } => {
                f(a);
                f(b);
                f(c);
            }
            Select { condition, a, b, .. } => {
                f(condition);
                f(a);
                f(b);
            }
            Load { access, .. } | LoadShared { access, .. } => access.index.$iter().for_each(f),
            Store { access, from, .. }
            | StoreShared { access, from, .. }
            | Combine { access, from, .. }
            | CombineShared { access, from, .. } => {
                access.index.$iter().for_each(&mut f);
                f(from);
            }
            Branch { condition, .. } | Break { condition } | Continue { condition } => {
                if let Some(Condition { value, .. }) = condition {
                    f(value);
                }
            }
            Loop { count, .. } => f(count),
            Assert { condition, .. } => f(condition),
            Extent { .. } | EndLoop | Call { .. } | Return | Barrier | Exit | Fence => {}
        }
    }};
}

impl Instruction {
    /// The register that it writes.
    pub fn writes(&self) -> Option<Register> {
        use Instruction::*;
        written!(self).copied()
    }

    /// The register that it writes, to be replaced.
    pub fn writes_mut(&mut self) -> Option<&mut Register> {
        use Instruction::*;
        written!(self)
    }

    /// Calls `f` with every value that it reads, in the order of the text.
    pub fn for_each_read(&self, mut f: impl FnMut(Operand)) {
        use Instruction::*;
        each_read!(self, iter, |operand: &Operand| f(*operand));
    }

    /// The same with each value to be replaced.
    pub fn for_each_read_mut(&mut self, f: impl FnMut(&mut Operand)) {
        use Instruction::*;
        each_read!(self, iter_mut, f);
    }

    /// Whether the lanes of a block meet at it.
    #[inline]
    pub fn is_block_wide(&self) -> bool {
        matches!(self, Instruction::Barrier | Instruction::Reduce { .. } | Instruction::Scan { .. })
    }

    /// Whether the instruction that follows in the text can be the next one.
    pub(super) fn falls_through(&self) -> bool {
        use Instruction::*;
        !matches!(
            self,
            Exit | Return
                | Branch { condition: None, .. }
                | Break { condition: None }
                | Continue { condition: None }
        )
    }
}
