//! Why a text is no program, and why a program is refused.

use crate::generated::lanes::{Syntax, Violation};
use std::fmt;

/// A text that is no program; `Display` is the exact message.
#[derive(Clone, Debug, PartialEq)]
pub struct ParseError {
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// The text of the line.
    pub text: String,
    pub what: Syntax,
}

impl ParseError {
    pub(super) fn new(line: u32, text: &str, at: usize, what: Syntax) -> ParseError {
        let column = text[..at].chars().count() as u32 + 1;
        ParseError { line, column, text: text.to_owned(), what }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for ParseError {}

/// A program that the verifier refuses; `Display` is the exact message.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyError {
    pub kernel: String,
    /// The line in the text that was parsed; of a built program in the text that it has.
    pub line: u32,
    /// The instruction, label or declaration.
    pub instruction: String,
    pub what: Violation,
}

impl VerifyError {
    /// The name of the rule that is broken.
    pub fn rule(&self) -> &'static str {
        self.what.rule()
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] line {}: {}: {}", self.kernel, self.line, self.instruction, self.what)
    }
}

impl std::error::Error for VerifyError {}
