//! The Builder class: a program built by calls.

use super::failure;
use super::program::PyProgram;
use crate::argument::{Argument, read_integers, show, wrong_type};
use crate::dtype::PyDType;
use crate::enter::{enter, error};
use corepy_runtime::Error;
use corepy_runtime::lock::{Guard, Lock};
use corepy_runtime::memory::reserve;
use corepy_runtime::program::{
    Builder, Declaration, Literal, Mode, Term, Type, VerifyError, memory_to_read, message_operand, parse_term,
};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple};
use std::sync::Arc;

const OP: &str = "Builder";

/// What an operand can be, for messages.
const OPERANDS: &str = "a string, an integer, a float or a bool";

/// A program in the making: the same as a text, by calls. Each call returns the builder.
///
/// What one line alone has wrong (a name, a type, an opcode, the number or kind of its operands, an
/// immediate) is an error at once, and the line is not added; all other rules are checked by `build`.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> b = cp.lanes.Builder("saxpy")
/// >>> p = (
/// ...     b.param("a", cp.float32)
/// ...     .buffer("x", "in", cp.float32)
/// ...     .buffer("y", "inout", cp.float32)
/// ...     .emit("ldg.f32", "u", "x[%gid]")
/// ...     .emit("ldg.f32", "v", "y[%gid]")
/// ...     .emit("fma.f32", "v", "a", "u", "v")
/// ...     .emit("stg.f32", "y[%gid]", "v")
/// ...     .emit("exit")
/// ...     .build()
/// ... )
/// >>> y = cp.ones(2, dtype=cp.float32)
/// >>> p[2](2.0, cp.asarray([1, 2], dtype=cp.float32), y)
/// >>> y.tolist()
/// [3.0, 5.0]
#[pyclass(name = "Builder", module = "corepy.lanes", frozen)]
pub struct PyBuilder(Lock<Builder>);

impl PyBuilder {
    fn lock(&self) -> Guard<'_, Builder> {
        self.0.lock()
    }

    /// Changes the builder, and says what is wrong with what it has now.
    fn change<'py>(
        slf: &Bound<'py, Self>,
        change: impl FnOnce(&mut Builder) -> Result<(), Box<VerifyError>>,
    ) -> PyResult<Bound<'py, Self>> {
        let changed = change(&mut slf.get().lock());
        changed.map_err(|broken| failure::of_rule(slf.py(), &broken))?;
        Ok(slf.clone())
    }

    fn declare<'py>(slf: &Bound<'py, Self>, declaration: Declaration) -> PyResult<Bound<'py, Self>> {
        Self::change(slf, |builder| builder.declare(declaration).check_declarations())
    }
}

/// The name of a type, or of the type of a dtype, for the verifier to look up.
fn type_text(given: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(dtype) = given.cast::<PyDType>() {
        let found = Type::ALL.iter().find(|ty| ty.dtype() == dtype.get().0);
        return Ok(found.map_or(dtype.get().0.name(), |ty| ty.name()).to_owned());
    }
    text("type", "a type's name or a dtype", given)
}

fn text(argument: &'static str, expected: &'static str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    match given.cast::<PyString>() {
        Ok(text) => Ok(text.to_str()?.to_owned()),
        Err(_) => Err(wrong_type(OP, argument, expected, given)),
    }
}

/// The arguments that `emit` takes for a whole line, as Python writes them; None for an opcode alone.
fn parts(line: &str) -> Option<String> {
    let trimmed = line.trim();
    let Some((opcode, rest)) = trimmed.split_once(char::is_whitespace) else {
        let around = trimmed != line && !trimmed.is_empty();
        return around.then(|| quote(trimmed));
    };
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    // Commas of an index or a message separate nothing.
    let separates = |c: char| {
        match c {
            '"' if !escaped => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth -= 1,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        c == ',' && depth == 0 && !quoted
    };
    let operand = |part: &str| {
        let part = part.trim();
        let message = part.strip_prefix('"').and_then(|part| part.strip_suffix('"'));
        quote(message.unwrap_or(part))
    };
    let operands: Vec<String> = rest.split(separates).map(operand).collect();
    Some(format!("{}, {}", quote(opcode), operands.join(", ")))
}

/// A text of a program as a literal of Python's. Backslashes mean the same in both, but for `\u{hex}`.
fn quote(text: &str) -> String {
    let mut literal = String::from("'");
    let mut escaped = false;
    for c in text.chars() {
        if c == '\'' && !escaped {
            literal.push('\\');
        }
        escaped = c == '\\' && !escaped;
        literal.push(c);
    }
    literal + "'"
}

/// An operand: a number, a truth value, or a text as a program has it.
fn term(given: &Bound<'_, PyAny>) -> PyResult<Term> {
    if let Ok(value) = given.cast::<PyBool>() {
        return Ok(Term::truth(value.is_true()));
    }
    if let Ok(value) = given.cast::<PyFloat>() {
        return Ok(Term::float(value.value()));
    }
    if given.is_instance_of::<PyInt>() {
        return match given.extract::<i128>() {
            Ok(value) => Ok(Term::integer(value)),
            // Beyond every integer type; a float type takes the nearest value.
            Err(_) => {
                let digits: String =
                    given.py().import("builtins")?.call_method1("hex", (given,))?.extract()?;
                match Literal::new(&digits) {
                    Some(literal) => Ok(Term::Literal(literal)),
                    None => Err(wrong_type(OP, "operand", OPERANDS, given)),
                }
            }
        };
    }
    let Ok(text) = given.cast::<PyString>() else {
        return Err(wrong_type(OP, "operand", OPERANDS, given));
    };
    parse_term(text.to_str()?).map_err(|failed| failure::of_syntax(given.py(), &failed, "<operand>"))
}

#[pymethods]
impl PyBuilder {
    #[new]
    #[pyo3(signature = (name, /), text_signature = "(name, /)")]
    fn new(py: Python<'_>, name: Argument<String>) -> PyResult<PyBuilder> {
        let mut builder = Builder::new(name.read(py, OP, "name")?);
        builder.check_declarations().map_err(|broken| failure::of_rule(py, &broken))?;
        Ok(PyBuilder(Lock::new(builder)))
    }

    /// Declares a number that launches are given. type: a type's name, or a dtype.
    #[pyo3(signature = (name, r#type, /), text_signature = "($self, name, type, /)")]
    fn param<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        r#type: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let (name, ty) = (text("name", "a string", name)?, type_text(r#type)?);
        Self::declare(slf, Declaration::Param { name, ty })
    }

    /// Declares a tensor that launches are given. mode: "in", "out" or "inout".
    #[pyo3(signature = (name, mode, r#type, axes=Argument::Given(1), /), text_signature = "($self, name, mode, type, axes=1, /)")]
    fn buffer<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        mode: &Bound<'py, PyAny>,
        r#type: &Bound<'py, PyAny>,
        axes: Argument<i64>,
    ) -> PyResult<Bound<'py, Self>> {
        let name = text("name", "a string", name)?;
        let given = mode.cast::<PyString>().ok().and_then(|m| m.to_str().ok());
        let Some(mode) = Mode::ALL.into_iter().find(|m| Some(m.name()) == given) else {
            return Err(error(slf.py(), Error::BufferMode { op: OP, mode: show(mode) }));
        };
        let ty = type_text(r#type)?;
        let axes = axes.read(slf.py(), OP, "axes")?;
        // Below 0 is refused as 0 is.
        let axes = usize::try_from(axes).unwrap_or(0);
        Self::declare(slf, Declaration::Buffer { name, mode, ty, axes })
    }

    /// Declares memory of a block. extents: an integer, or a tuple of one to six.
    #[pyo3(signature = (name, r#type, extents, /), text_signature = "($self, name, type, extents, /)")]
    fn shared<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        r#type: &Bound<'py, PyAny>,
        extents: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let (name, ty) = (text("name", "a string", name)?, type_text(r#type)?);
        let extents = read_integers(OP, "extents", extents)?;
        let extents = extents.into_iter().map(|e| Literal::integer(i128::from(e))).collect();
        Self::declare(slf, Declaration::Shared { name, ty, extents })
    }

    /// Names the place of the next instruction.
    #[pyo3(signature = (name, /), text_signature = "($self, name, /)")]
    fn label<'py>(slf: &Bound<'py, Self>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Self>> {
        let name = text("name", "a string", name)?;
        Self::change(slf, |builder| builder.label(name).check_last())
    }

    /// Adds an instruction. opcode: with its types, as in a text ("add.f32", "cvt.i64.f32").
    ///
    /// operands: strings as a text has them ("v", "!p", "%gid", "x[i, 3]", "0x1p-3"), or Python's int, float and
    /// bool for immediates. The message of an assert is the string itself, without quotes.
    ///
    /// Raises VerifyError for what the line has wrong, ParseError for an operand that is none.
    #[pyo3(signature = (opcode, /, *operands), text_signature = "($self, opcode, /, *operands)")]
    fn emit<'py>(
        slf: &Bound<'py, Self>,
        opcode: &Bound<'py, PyAny>,
        operands: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, Self>> {
        let opcode = text("opcode", "a string", opcode)?;
        if let Some(parts) = parts(&opcode) {
            return Err(error(slf.py(), Error::EmitLine { op: OP, given: opcode, parts }));
        }
        let message = message_operand(&opcode);
        let mut terms = Vec::new();
        for (i, operand) in operands.iter().enumerate() {
            terms.push(match operand.cast::<PyString>() {
                Ok(text) if message == Some(i) => Term::Message(text.to_str()?.to_owned()),
                _ => term(&operand)?,
            });
        }
        Self::change(slf, |builder| builder.emit(opcode, terms).check_last())
    }

    /// The text so far.
    #[getter]
    fn text(&self) -> String {
        self.lock().text()
    }

    /// How many labels and instructions there are.
    fn __len__(&self) -> usize {
        self.lock().len()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        let builder = self.lock();
        format!("<builder of {}, {} labels and instructions>", builder.name(), builder.len())
    }

    /// The program, verified; the builder stays as it is. Lines are those of `text`.
    ///
    /// Raises VerifyError where it breaks a rule.
    #[pyo3(text_signature = "($self)")]
    fn build(&self, py: Python<'_>) -> PyResult<PyProgram> {
        let builder = self.lock().clone();
        let memory = memory_to_read(0, builder.len());
        let built = enter(py, memory, || {
            reserve::ensure(OP, memory)?;
            Ok(builder.build())
        })?;
        let program = built.map_err(|broken| failure::of_rule(py, &broken))?;
        Ok(PyProgram::new(Arc::new(program)))
    }
}
