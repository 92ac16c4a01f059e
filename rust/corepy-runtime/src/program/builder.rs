//! Builds a program by calls instead of by text.

use super::Program;
use super::check::Checker;
use super::error::VerifyError;
use super::syntax::{Declaration, Mode, Module, Statement, Term};
use super::value::Type;
use super::verify::{At, verify};
use crate::generated::lanes::Violation;

/// A program in the making. [`Builder::check_declarations`] and [`Builder::check_last`] tell early what one line
/// alone has wrong; everything is checked by [`Builder::build`].
///
/// ```
/// use corepy_runtime::program::{Builder, Mode, Place, Special, Term, Type};
///
/// let i = || Term::from(Special { what: Place::Gid, axis: 0 });
/// let mut b = Builder::new("negate");
/// b.buffer("x", Mode::In, Type::F32, 1).buffer("y", Mode::Out, Type::F32, 1);
/// b.emit("ldg.f32", [Term::name("v"), Term::access("x", [i()])]);
/// b.emit("neg.f32", [Term::name("v"), Term::name("v")]);
/// b.emit("stg.f32", [Term::access("y", [i()]), Term::name("v")]);
/// b.emit("exit", []);
/// let program = b.build()?;
/// assert!(program.text().contains("    stg.f32 y[%gid.x], v\n"));
/// # Ok::<(), Box<corepy_runtime::program::VerifyError>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    module: Module,
}

impl Builder {
    pub fn new(name: impl Into<String>) -> Builder {
        let module = Module { name: name.into(), line: 1, declarations: Vec::new(), body: Vec::new() };
        Builder { module }
    }

    /// Adds a declaration, whose type is the name that a text would have.
    pub fn declare(&mut self, declaration: Declaration) -> &mut Builder {
        // Messages name the lines of earlier declarations; the first is behind that of the kernel.
        let line = u32::try_from(self.module.declarations.len() + 2).unwrap_or(u32::MAX);
        self.module.declarations.push((declaration, line));
        self
    }

    /// Declares a scalar argument.
    pub fn param(&mut self, name: impl Into<String>, ty: Type) -> &mut Builder {
        self.declare(Declaration::param(name, ty))
    }

    /// Declares a tensor argument.
    pub fn buffer(&mut self, name: impl Into<String>, mode: Mode, ty: Type, axes: usize) -> &mut Builder {
        self.declare(Declaration::buffer(name, mode, ty, axes))
    }

    /// Declares an array in the memory of a block.
    pub fn shared(&mut self, name: impl Into<String>, ty: Type, extents: &[i64]) -> &mut Builder {
        self.declare(Declaration::shared(name, ty, extents))
    }

    /// Names the place of the next instruction.
    pub fn label(&mut self, name: impl Into<String>) -> &mut Builder {
        self.module.body.push((Statement::Label(name.into()), 0));
        self
    }

    /// Adds an instruction: the mnemonic with its types, as in the text, and its operands.
    pub fn emit(&mut self, opcode: impl Into<String>, operands: impl Into<Vec<Term>>) -> &mut Builder {
        self.module.body.push((Statement::Instruction(opcode.into(), operands.into()), 0));
        self
    }

    /// Checks the declarations. Where they break a rule, the last one is taken back.
    ///
    /// # Errors
    /// [`VerifyError`] as of [`Builder::build`].
    pub fn check_declarations(&mut self) -> Result<(), Box<VerifyError>> {
        let Err((at, what)) = Checker::declarations(&self.module) else { return Ok(()) };
        let (line, instruction) = match at {
            At::Declaration(i) => (2 + i, self.module.declarations[i].0.to_string()),
            _ => (1, format!(".kernel {}", self.module.name)),
        };
        self.module.declarations.pop();
        Err(self.broken(line, instruction, what))
    }

    /// Checks the last label or instruction as far as it does not depend on others: opcode, types, number and
    /// kinds of operands, immediates. Where it breaks a rule, it is taken back.
    ///
    /// # Errors
    /// [`VerifyError`] as of [`Builder::build`].
    pub fn check_last(&mut self) -> Result<(), Box<VerifyError>> {
        let Module { declarations, body, .. } = &mut self.module;
        let Some((last, _)) = body.last() else { return Ok(()) };
        let Err(what) = Checker::alone(last) else { return Ok(()) };
        // Before it stand a line for the kernel, one a declaration, and an empty one.
        let (line, instruction) = (2 + declarations.len() + body.len(), last.to_string());
        body.pop();
        Err(self.broken(line, instruction, what))
    }

    fn broken(&self, line: usize, instruction: String, what: Violation) -> Box<VerifyError> {
        let (kernel, line) = (self.module.name.clone(), u32::try_from(line).unwrap_or(u32::MAX));
        Box::new(VerifyError { kernel, line, instruction, what })
    }

    /// The kernel's name.
    pub fn name(&self) -> &str {
        &self.module.name
    }

    /// How many labels and instructions there are.
    pub fn len(&self) -> usize {
        self.module.body.len()
    }

    pub fn is_empty(&self) -> bool {
        self.module.body.is_empty()
    }

    /// The text so far, in the form of programs.
    pub fn text(&self) -> String {
        self.module.to_string()
    }

    /// Verifies the program. Lines are those of [`Builder::text`], which are those of the program's text.
    ///
    /// # Errors
    /// [`VerifyError`] where it breaks a rule.
    pub fn build(mut self) -> Result<Program, Box<VerifyError>> {
        self.module.renumber();
        verify(self.module)
    }
}
