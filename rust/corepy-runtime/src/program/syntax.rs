//! A program as it is written: names and literals, nothing resolved, nothing checked.

use super::literal::Literal;
use super::value::Type;
use std::fmt::{self, Display, Formatter, Write};

/// What a launch may do with a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    In,
    Out,
    Inout,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::In, Mode::Out, Mode::Inout];

    pub fn name(self) -> &'static str {
        ["in", "out", "inout"][self as usize]
    }
}

/// A special register: which, and of which axis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Special {
    pub what: Place,
    /// 0 to 2 for x, y and z.
    pub axis: u8,
}

/// What a special register tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// The lane in the grid.
    Gid,
    /// The lane in its block.
    Lane,
    /// The block in the grid.
    Block,
    /// Lanes in a full block.
    Lanes,
    /// Blocks in the grid.
    Blocks,
    /// Lanes in the grid.
    Grid,
}

impl Place {
    pub const ALL: [Place; 6] =
        [Place::Gid, Place::Lane, Place::Block, Place::Lanes, Place::Blocks, Place::Grid];

    pub fn name(self) -> &'static str {
        ["gid", "lane", "block", "lanes", "blocks", "grid"][self as usize]
    }
}

pub(super) const AXES: [&str; 3] = ["x", "y", "z"];

impl Display for Special {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}.{}", self.what.name(), AXES[usize::from(self.axis.min(2))])
    }
}

/// An operand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Term {
    /// A register, param, buffer or label.
    Name(String),
    /// `!name`
    Not(String),
    Special(Special),
    Literal(Literal),
    /// `name[index, ...]`
    Access(String, Vec<Term>),
    /// `"message"`
    Message(String),
}

/// One declaration; types are names, which the verifier looks up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Declaration {
    Param { name: String, ty: String },
    Buffer { name: String, mode: Mode, ty: String, axes: usize },
    Shared { name: String, ty: String, extents: Vec<Literal> },
}

/// One line of the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    Label(String),
    /// Mnemonic with its suffixes, and operands.
    Instruction(String, Vec<Term>),
}

/// A whole program as it is written. Each declaration and statement carries the number of its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Module {
    pub name: String,
    pub line: u32,
    pub declarations: Vec<(Declaration, u32)>,
    pub body: Vec<(Statement, u32)>,
}

/// Whether a text can be a name: the four literals that look like names cannot.
pub fn is_name(text: &str) -> bool {
    let mut chars = text.bytes();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == b'_')
        && !matches!(text, "inf" | "nan" | "true" | "false")
}

impl Term {
    pub fn name(name: impl Into<String>) -> Term {
        Term::Name(name.into())
    }

    pub fn access(array: impl Into<String>, index: impl Into<Vec<Term>>) -> Term {
        Term::Access(array.into(), index.into())
    }

    pub fn integer(value: i128) -> Term {
        Term::Literal(Literal::integer(value))
    }

    pub fn float(value: f64) -> Term {
        Term::Literal(Literal::float(value))
    }

    pub fn truth(value: bool) -> Term {
        Term::Literal(Literal::truth(value))
    }
}

impl From<Special> for Term {
    fn from(special: Special) -> Term {
        Term::Special(special)
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Term::Name(name) => f.write_str(name),
            Term::Not(name) => write!(f, "!{name}"),
            Term::Special(special) => special.fmt(f),
            Term::Literal(literal) => f.write_str(literal.text()),
            Term::Access(array, index) => {
                write!(f, "{array}[")?;
                listed(f, index)?;
                f.write_char(']')
            }
            Term::Message(text) => quoted(f, text),
        }
    }
}

fn listed<T: Display>(f: &mut Formatter<'_>, terms: &[T]) -> fmt::Result {
    for (i, term) in terms.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        term.fmt(f)?;
    }
    Ok(())
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            // Line separators would end the line for some readers.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                write!(f, "\\u{{{:x}}}", c as u32)?;
            }
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

impl Display for Declaration {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Declaration::Param { name, ty } => write!(f, ".param {name}: {ty}"),
            Declaration::Buffer { name, mode, ty, axes } => {
                write!(f, ".buffer {name}: {} {ty}[", mode.name())?;
                // More axes than a buffer can have are shown in a message only.
                listed(f, &[":"; 16][..(*axes).min(16)])?;
                f.write_char(']')
            }
            Declaration::Shared { name, ty, extents } => {
                write!(f, ".shared {name}: {ty}[")?;
                let texts: Vec<_> = extents.iter().map(Literal::text).collect();
                listed(f, &texts)?;
                f.write_char(']')
            }
        }
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Label(name) => write!(f, "{name}:"),
            Statement::Instruction(opcode, terms) => {
                f.write_str(opcode)?;
                if !terms.is_empty() {
                    f.write_char(' ')?;
                }
                listed(f, terms)
            }
        }
    }
}

/// The text of the program: declarations, an empty line, the body, loops indented.
impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, ".kernel {}", self.name)?;
        for (declaration, _) in &self.declarations {
            writeln!(f, "{declaration}")?;
        }
        writeln!(f)?;
        // Deeper loops stay at one column, so that the text grows with the program alone.
        const DEEPEST: usize = 16;
        let mut depth = 1usize;
        for (statement, _) in &self.body {
            match statement {
                Statement::Label(_) => writeln!(f, "{statement}")?,
                Statement::Instruction(opcode, _) => {
                    if opcode == "endloop" {
                        depth = (depth - 1).max(1);
                    }
                    writeln!(f, "{:1$}{statement}", "", 4 * depth.min(DEEPEST))?;
                    depth += usize::from(opcode == "loop");
                }
            }
        }
        Ok(())
    }
}

impl Module {
    /// Gives every line the number that it has in the module's own text.
    pub(super) fn renumber(&mut self) {
        self.line = 1;
        let mut line = 1;
        for (_, number) in &mut self.declarations {
            line += 1;
            *number = line;
        }
        line += 1;
        for (_, number) in &mut self.body {
            line += 1;
            *number = line;
        }
    }
}

impl Declaration {
    pub fn param(name: impl Into<String>, ty: Type) -> Declaration {
        Declaration::Param { name: name.into(), ty: ty.name().to_owned() }
    }

    pub fn buffer(name: impl Into<String>, mode: Mode, ty: Type, axes: usize) -> Declaration {
        Declaration::Buffer { name: name.into(), mode, ty: ty.name().to_owned(), axes }
    }

    pub fn shared(name: impl Into<String>, ty: Type, extents: &[i64]) -> Declaration {
        let extents = extents.iter().map(|&e| Literal::integer(i128::from(e))).collect();
        Declaration::Shared { name: name.into(), ty: ty.name().to_owned(), extents }
    }

    pub fn name(&self) -> &str {
        match self {
            Declaration::Param { name, .. }
            | Declaration::Buffer { name, .. }
            | Declaration::Shared { name, .. } => name,
        }
    }

    /// Its kind, for messages.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Declaration::Param { .. } => "a param",
            Declaration::Buffer { .. } => "a buffer",
            Declaration::Shared { .. } => "a shared array",
        }
    }
}
