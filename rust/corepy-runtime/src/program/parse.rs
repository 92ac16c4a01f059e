//! The parser: text to a module, or the first place where it is none.

use super::error::ParseError;
use super::literal::{self, Literal};
use super::syntax::{AXES, Declaration, Mode, Module, Place, Special, Statement, Term, is_name};
use super::{MAX_INSTRUCTIONS, MAX_TEXT_BYTES};
use crate::generated::lanes::Syntax;

/// Labels and instructions that are read; the verifier counts instructions alone.
const MAX_STATEMENTS: usize = 4 * MAX_INSTRUCTIONS;

type Parsed<T> = Result<T, (usize, Syntax)>;

/// Reads a program. Names, types and opcodes are looked up by the verifier.
///
/// # Errors
/// [`ParseError`] with line, column, the line's text and what was expected.
pub fn parse(text: &str) -> Result<Module, ParseError> {
    if text.len() > MAX_TEXT_BYTES {
        let (count, limit) = (text.len(), MAX_TEXT_BYTES);
        return Err(ParseError::new(1, "", 0, Syntax::TooLong { count, what: "bytes of text", limit }));
    }
    let mut module: Option<Module> = None;
    let mut last = 0;
    for (number, line) in (1..).zip(text.lines()) {
        last = number;
        let mut cursor = Cursor { line, at: 0 };
        let done = parse_line(&mut cursor, number, &mut module);
        done.map_err(|(at, syntax)| ParseError::new(number, line, at, syntax))?;
    }
    module.ok_or_else(|| {
        let found = "the end of the text".to_owned();
        ParseError::new(last + 1, "", 0, Syntax::Expected { expected: ".kernel and a name", found })
    })
}

/// Reads one operand: a name, `!name`, a special register, an immediate, an access or a message in quotes.
///
/// # Errors
/// [`ParseError`] as of [`parse`], on line 1.
pub fn parse_term(text: &str) -> Result<Term, ParseError> {
    let mut cursor = Cursor { line: text, at: 0 };
    let found = cursor.term().and_then(|term| cursor.end().map(|()| term));
    found.map_err(|(at, syntax)| ParseError::new(1, text, at, syntax))
}

fn parse_line(cursor: &mut Cursor<'_>, number: u32, module: &mut Option<Module>) -> Parsed<()> {
    cursor.skip();
    if cursor.is_done() {
        return Ok(());
    }
    let start = cursor.at;
    let directive = cursor.take('.');
    let Some(module) = module else {
        if !directive || cursor.word() != "kernel" {
            cursor.at = start;
            if number == 1 && cursor.line.trim_end().ends_with(".lanes") {
                return Err((start, Syntax::FileName {}));
            }
            return Err(cursor.expected(".kernel and a name"));
        }
        let name = cursor.name("a name")?;
        *module = Some(Module { name, line: number, declarations: Vec::new(), body: Vec::new() });
        return cursor.end();
    };
    if directive {
        if !module.body.is_empty() {
            return Err((start, Syntax::Late {}));
        }
        let declaration = cursor.declaration()?;
        module.declarations.push((declaration, number));
    } else {
        let statement = cursor.statement()?;
        if module.body.len() == MAX_STATEMENTS {
            let (count, limit) = (MAX_STATEMENTS + 1, MAX_STATEMENTS);
            return Err((start, Syntax::TooLong { count, what: "labels and instructions", limit }));
        }
        module.body.push((statement, number));
    }
    cursor.end()
}

struct Cursor<'a> {
    line: &'a str,
    /// The byte that comes next.
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes over blanks, and over a comment.
    fn skip(&mut self) {
        while let Some(' ' | '\t' | '\r') = self.next() {
            self.at += 1;
        }
        if self.next() == Some(';') {
            self.at = self.line.len();
        }
    }

    fn is_done(&self) -> bool {
        self.at == self.line.len()
    }

    /// What stands here instead of what should.
    fn expected(&mut self, expected: &'static str) -> (usize, Syntax) {
        self.skip();
        let at = self.at;
        let found = match self.next() {
            None => "the end of the line".to_owned(),
            Some('"') => "a message".to_owned(),
            Some(c) if is_word(c) => {
                format!("`{}`", shortened(self.word()))
            }
            Some(c) if c.is_ascii_graphic() => format!("`{c}`"),
            Some(character) => return (at, Syntax::Character { character }),
        };
        (at, Syntax::Expected { expected, found })
    }

    fn take(&mut self, mark: char) -> bool {
        self.skip();
        let found = self.next() == Some(mark);
        self.at += if found { mark.len_utf8() } else { 0 };
        found
    }

    fn need(&mut self, mark: char, expected: &'static str) -> Parsed<()> {
        if self.take(mark) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn end(&mut self) -> Parsed<()> {
        self.skip();
        if self.is_done() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    /// The letters, digits and underscores that come next; may be none.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn name(&mut self, expected: &'static str) -> Parsed<String> {
        self.skip();
        let start = self.at;
        let word = self.word();
        if is_name(word) {
            return Ok(word.to_owned());
        }
        self.at = start;
        Err(self.expected(expected))
    }

    fn declaration(&mut self) -> Parsed<Declaration> {
        let start = self.at;
        let what = self.word();
        if !matches!(what, "param" | "buffer" | "shared") {
            self.at = start;
            return Err(self.expected("param, buffer or shared"));
        }
        let name = self.name("a name")?;
        self.need(':', "`:`")?;
        if what == "param" {
            return Ok(Declaration::Param { name, ty: self.name("a type")? });
        }
        if what == "shared" {
            let ty = self.name("a type")?;
            self.need('[', "`[`")?;
            let mut extents = vec![self.literal("an extent")?];
            while !self.take(']') {
                self.need(',', "`,` or `]`")?;
                extents.push(self.literal("an extent")?);
            }
            return Ok(Declaration::Shared { name, ty, extents });
        }
        self.skip();
        let start = self.at;
        let word = self.word();
        let Some(mode) = Mode::ALL.into_iter().find(|m| m.name() == word) else {
            self.at = start;
            return Err(self.expected("in, out or inout"));
        };
        let ty = self.name("a type")?;
        self.need('[', "`[`")?;
        self.need(':', "`:`, one for each axis")?;
        let mut axes = 1;
        while !self.take(']') {
            self.need(',', "`,` or `]`")?;
            self.need(':', "`:`, one for each axis")?;
            axes += 1;
        }
        Ok(Declaration::Buffer { name, mode, ty, axes })
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let mut opcode = self.name("an instruction, a label or a declaration")?;
        if self.take(':') {
            return Ok(Statement::Label(opcode));
        }
        while self.next() == Some('.') {
            self.at += 1;
            let part = self.word();
            if part.is_empty() {
                return Err(self.expected("a type"));
            }
            opcode.push('.');
            opcode.push_str(part);
        }
        let mut terms = Vec::new();
        self.skip();
        if !self.is_done() {
            terms.push(self.term()?);
            while self.take(',') {
                terms.push(self.term()?);
            }
            self.skip();
            if !self.is_done() {
                return Err(self.expected("`,` or the end of the line"));
            }
        }
        Ok(Statement::Instruction(opcode, terms))
    }

    fn term(&mut self) -> Parsed<Term> {
        self.skip();
        match self.next() {
            Some('!') => {
                self.at += 1;
                Ok(Term::Not(self.name("a name after `!`")?))
            }
            Some('"') => self.message().map(Term::Message),
            Some('%') => self.special().map(Term::Special),
            Some(_) => {
                let start = self.at;
                let word = self.word();
                if !is_name(word) {
                    self.at = start;
                    return self.literal("an operand").map(Term::Literal);
                }
                if !self.take('[') {
                    return Ok(Term::Name(word.to_owned()));
                }
                let mut index = vec![self.index()?];
                while !self.take(']') {
                    self.need(',', "`,` or `]`")?;
                    index.push(self.index()?);
                }
                Ok(Term::Access(word.to_owned(), index))
            }
            None => Err(self.expected("an operand")),
        }
    }

    /// An index: a name, a special register or a number.
    fn index(&mut self) -> Parsed<Term> {
        self.skip();
        if self.next() == Some('%') {
            return self.special().map(Term::Special);
        }
        let start = self.at;
        let word = self.word();
        if is_name(word) {
            return Ok(Term::Name(word.to_owned()));
        }
        self.at = start;
        self.literal("an index").map(Term::Literal)
    }

    fn special(&mut self) -> Parsed<Special> {
        const KNOWN: &str = "%gid, %lane, %block, %lanes, %blocks or %grid";
        let start = self.at;
        self.at += 1;
        let word = self.word();
        let Some(what) = Place::ALL.into_iter().find(|p| p.name() == word) else {
            return Err((
                start,
                Syntax::Expected { expected: KNOWN, found: format!("`%{}`", shortened(word)) },
            ));
        };
        let mut axis = 0;
        if self.next() == Some('.') {
            self.at += 1;
            let start = self.at;
            let word = self.word();
            let Some(found) = AXES.iter().position(|&a| a == word) else {
                self.at = start;
                return Err(self.expected("x, y or z"));
            };
            axis = found as u8;
        }
        Ok(Special { what, axis })
    }

    fn literal(&mut self, expected: &'static str) -> Parsed<Literal> {
        self.skip();
        let start = self.at;
        let rest = self.rest();
        let first = rest.chars().next();
        if !first.is_some_and(|c| c == '-' || is_word(c)) {
            return Err(self.expected(expected));
        }
        // All that could belong to a number: a sign only in front and in an exponent.
        let bytes = rest.as_bytes();
        let mut length = 1;
        while let Some(&b) = bytes.get(length) {
            let in_exponent =
                matches!(b, b'-' | b'+') && matches!(bytes[length - 1], b'e' | b'E' | b'p' | b'P');
            if !(is_word(b as char) || b == b'.' || in_exponent) {
                break;
            }
            length += 1;
        }
        // A hexadecimal digit e in front of a sign ends the number.
        let text = &rest[..length];
        let text = match literal::length(text) {
            Some(n) if matches!(bytes.get(n), Some(b'-' | b'+')) => &text[..n],
            _ => text,
        };
        self.at += text.len();
        Literal::new(text).ok_or_else(|| (start, Syntax::Number { text: shortened(text) }))
    }

    fn message(&mut self) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(c) = self.next() {
            let place = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(text),
                '\\' => text.push(self.escape(place)?),
                c => text.push(c),
            }
        }
        Err((start, Syntax::Unclosed {}))
    }

    fn escape(&mut self, place: usize) -> Parsed<char> {
        let c = self.next().ok_or((place, Syntax::Unclosed {}))?;
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' => c,
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'u' => {
                let code = self.rest().strip_prefix('{').and_then(|r| r.split_once('}'));
                let found = code.filter(|(hex, _)| {
                    (1..=6).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit())
                });
                let value = found.and_then(|(hex, _)| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
                let (Some((hex, _)), Some(value)) = (found, value) else {
                    return Err((place, Syntax::Escape { escape: "u".to_owned() }));
                };
                self.at += hex.len() + 2;
                value
            }
            other => return Err((place, Syntax::Escape { escape: other.to_string() })),
        })
    }
}

/// A word for a message: it may be as long as the text.
fn shortened(word: &str) -> String {
    let short: String = word.chars().take(40).collect();
    if short.len() < word.len() { short + "..." } else { short }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
