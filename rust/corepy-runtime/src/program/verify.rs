//! The verifier: a module becomes a program, or the first rule that it breaks.

use super::check::Checker;
use super::error::VerifyError;
use super::syntax::{Module, Statement};
use super::{MAX_TEXT_BYTES, Program, control, flow, write};
use crate::generated::lanes::Violation;
use crate::once::Once;

/// Where in a module a rule is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum At {
    Kernel,
    Declaration(usize),
    /// A statement of the body.
    Body(usize),
}

pub(super) type Checked<T> = Result<T, (At, Violation)>;

/// Checks every rule of lane programs.
///
/// # Errors
/// [`VerifyError`] with the line, the instruction and the rule.
pub fn verify(module: Module) -> Result<Program, Box<VerifyError>> {
    checked(&module).map_err(|(at, what)| {
        let (line, instruction) = match at {
            At::Kernel => (module.line, format!(".kernel {}", module.name)),
            At::Declaration(i) => (module.declarations[i].1, module.declarations[i].0.to_string()),
            At::Body(i) => (module.body[i].1, module.body[i].0.to_string()),
        };
        Box::new(VerifyError { kernel: module.name.clone(), line, instruction, what })
    })
}

fn checked(module: &Module) -> Checked<Program> {
    let mut checker = Checker::new(module)?;
    checker.find_registers()?;
    let instructions = checker.resolve()?;
    // Where each instruction stands in the body, for messages and lines.
    let places: Vec<usize> =
        (0..module.body.len()).filter(|&i| matches!(module.body[i].0, Statement::Instruction(..))).collect();
    let at = |instruction: usize| At::Body(places[instruction]);
    let structure = control::Structure::new(&instructions, &checker.labels)
        .map_err(|(i, what)| (i.map_or(At::Kernel, at), in_lines(what, module, &places)))?;
    let code = structure.inline(&instructions).map_err(|what| (At::Kernel, what))?;
    let lines = places.iter().map(|&i| module.body[i].1).collect();
    let mut program = checker.program(instructions, lines, code);
    flow::check(&program).map_err(|(i, what)| (at(i), what))?;
    program.text = write::module(&program).to_string();
    if program.text.len() > MAX_TEXT_BYTES {
        // It could not be read back.
        let (count, limit) = (program.text.len() as u64, MAX_TEXT_BYTES as u64);
        return Err((At::Kernel, Violation::Limit { count, what: "bytes of text", limit }));
    }
    program.digest = blake3::hash(program.text.as_bytes()).to_hex().to_string();
    Ok(program)
}

/// A loop is told apart by its line, which the checks of control flow do not know.
fn in_lines(what: Violation, module: &Module, places: &[usize]) -> Violation {
    match what {
        Violation::LoopJump { name, place, line } => {
            Violation::LoopJump { name, place, line: module.body[places[line as usize]].1 }
        }
        other => other,
    }
}

impl Checker<'_> {
    fn program(self, instructions: Vec<super::Instruction>, lines: Vec<u32>, code: super::Code) -> Program {
        Program {
            name: self.module.name.clone(),
            params: self.params,
            buffers: self.buffers,
            shared: self.shared,
            arguments: self.arguments,
            declared: self.declared,
            registers: self.registers,
            instructions,
            labels: self.labels,
            lines,
            code,
            graph: Once::new(),
            attached: Once::new(),
            text: String::new(),
            digest: String::new(),
        }
    }
}
