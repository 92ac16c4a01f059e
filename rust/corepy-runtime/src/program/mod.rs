//! Lane programs: small kernels that run once for every lane of a grid.
//!
//! A text becomes a [`Module`] ([`parse()`]), which says what is written; [`verify`] looks up every name and
//! checks every rule and makes a [`Program`], which is all that a backend sees. [`Builder`] makes the same
//! module by calls. A program has one canonical text, which is its identity: two programs are equal
//! where their texts are, and its digest is the BLAKE3 of it.
//!
//! ```
//! use corepy_runtime::program::Program;
//!
//! let twice = Program::parse(
//!     ".kernel twice
//!      .buffer x: inout f32[:]
//!          ldg.f32 v, x[%gid]
//!          add.f32 v, v, v
//!          stg.f32 x[%gid], v
//!          exit",
//! )?;
//! assert_eq!(twice.name(), "twice");
//! assert_eq!(twice.instructions().len(), 4);
//! assert_eq!(Program::parse(twice.text())?, twice);
//! # Ok::<(), corepy_runtime::program::ProgramError>(())
//! ```

mod builder;
mod check;
mod code;
mod control;
mod error;
mod flow;
mod graph;
mod instruction;
mod literal;
mod parse;
mod syntax;
mod value;
mod verify;
mod write;

pub use crate::generated::lanes::{Combine, Fault, Syntax, Violation};
pub use builder::Builder;
pub use check::message_operand;
pub use code::{Code, Flow, Step};
pub use error::{ParseError, VerifyError};
pub use graph::{Block, Graph};
pub use instruction::{Access, Condition, Instruction, Label, Operand, Register};
pub use literal::Literal;
pub use parse::{parse, parse_term};
pub use syntax::{Declaration, Mode, Module, Place, Special, Statement, Term, is_name};
pub use value::{Type, TypeSet, Value};
pub use verify::verify;

use crate::once::Once;
use std::any::Any;
use std::sync::Arc;

/// Most instructions of a program, calls inlined.
pub const MAX_INSTRUCTIONS: usize = 65_536;
/// Most bytes of a program's text: 128 for each instruction.
pub const MAX_TEXT_BYTES: usize = 128 * MAX_INSTRUCTIONS;
/// Most registers of a program.
pub const MAX_REGISTERS: usize = 1_024;
/// Most bytes of shared memory of a block.
pub const MAX_SHARED_BYTES: u64 = 48 << 10;
/// Most axes of a buffer or of a shared array.
pub const MAX_AXES: usize = 6;

/// Bytes of memory that it takes at most to make a program of a text, or of so many statements: in the parser 42 for each
/// byte were seen, of lists of indices, and 780 for each instruction in the verifier, of branches.
pub fn memory_to_read(text_bytes: usize, statements: usize) -> usize {
    text_bytes.min(MAX_TEXT_BYTES) * 48 + statements.min(MAX_INSTRUCTIONS) * 1024
}

/// A scalar that a launch is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Param {
    pub name: String,
    pub ty: Type,
}

/// A tensor that a launch is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buffer {
    pub name: String,
    pub mode: Mode,
    pub ty: Type,
    pub axes: usize,
}

/// Memory of a block, zeroed when the block starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shared {
    pub name: String,
    pub ty: Type,
    pub extents: Vec<i64>,
    /// Where its elements begin in the block's memory, at a multiple of their size.
    pub offset: usize,
}

impl Shared {
    /// How many elements it has.
    pub fn size(&self) -> usize {
        self.extents.iter().product::<i64>() as usize
    }
}

/// What a launch argument is, by its place in [`Program::params`] or [`Program::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgumentKind {
    Param(u16),
    Buffer(u16),
}

/// The name and the type of a register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterInfo {
    pub name: String,
    pub ty: Type,
}

/// A verified program. It cannot be changed, and only the verifier makes one.
#[derive(Debug)]
pub struct Program {
    name: String,
    params: Vec<Param>,
    buffers: Vec<Buffer>,
    shared: Vec<Shared>,
    arguments: Vec<ArgumentKind>,
    /// Every declaration in the order of the text.
    declared: Vec<Declared>,
    registers: Vec<RegisterInfo>,
    instructions: Vec<Instruction>,
    /// Name and the instruction that follows, in the order of the text.
    labels: Vec<(String, u32)>,
    lines: Vec<u32>,
    code: Code,
    graph: Once<Graph>,
    attached: Once<Arc<dyn Any + Send + Sync>>,
    text: String,
    digest: String,
}

#[derive(Clone, Copy, Debug)]
enum Declared {
    Param(u16),
    Buffer(u16),
    Shared(u16),
}

/// Why a text is no program that could run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProgramError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Verify(#[from] Box<VerifyError>),
}

impl Program {
    /// Reads and verifies a program.
    ///
    /// # Errors
    /// [`ParseError`] where the text is none, [`VerifyError`] where it breaks a rule.
    pub fn parse(text: &str) -> Result<Program, ProgramError> {
        Ok(verify(parse(text)?)?)
    }

    /// The kernel's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The scalars, in the order of their declarations.
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// The tensors, in the order of their declarations.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// The shared arrays, in the order of their declarations.
    pub fn shared(&self) -> &[Shared] {
        &self.shared
    }

    /// Bytes of shared memory of a block.
    pub fn shared_bytes(&self) -> usize {
        self.shared.last().map_or(0, |s| s.offset + s.size() * s.ty.bytes())
    }

    /// What a launch is given, in order.
    pub fn arguments(&self) -> &[ArgumentKind] {
        &self.arguments
    }

    /// The registers, in the order in which the text first writes them.
    pub fn registers(&self) -> &[RegisterInfo] {
        &self.registers
    }

    /// The instructions in the order of the text.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Each label's name and the number of the instruction that it stands before.
    pub fn labels(&self) -> &[(String, u32)] {
        &self.labels
    }

    /// The line of an instruction in the text that was parsed; of a built program in [`Program::text`].
    pub fn line(&self, instruction: usize) -> u32 {
        self.lines[instruction]
    }

    /// The instruction as the canonical text writes it.
    pub fn show(&self, instruction: usize) -> String {
        write::statement(self, &self.instructions[instruction]).to_string()
    }

    /// The instructions that can be reached, calls inlined, with jumps resolved: what a backend runs.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The control-flow graph of [`Program::code`], made when first asked for.
    pub fn graph(&self) -> &Graph {
        self.graph.get_or_make(|| Graph::new(&self.code))
    }

    /// What a backend has made of the program, so that finding it again takes no lock.
    pub(crate) fn attached<T: Any + Send + Sync>(
        &self,
        make: impl FnOnce() -> Arc<T>,
    ) -> &Arc<dyn Any + Send + Sync> {
        self.attached.get_or_make(|| make())
    }

    /// The canonical text; parsing it gives an equal program.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// BLAKE3 of the canonical text, in hexadecimal: the program's identity in every cache.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The type of a value that an instruction reads.
    pub fn type_of(&self, operand: Operand) -> Type {
        match operand {
            Operand::Register(r) => self.registers[usize::from(r.0)].ty,
            Operand::Param(p) => self.params[usize::from(p)].ty,
            Operand::Special(_) => Type::I64,
            Operand::Constant(value) => value.ty(),
        }
    }
}

/// Programs are equal where their texts are; lines are no part of a program's identity.
impl PartialEq for Program {
    fn eq(&self, other: &Program) -> bool {
        self.text == other.text
    }
}

impl Eq for Program {}
