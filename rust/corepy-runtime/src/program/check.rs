//! The rules on one line at a time: names, types, operands, accesses.

use super::instruction::{Access, Condition, Instruction, Label, Operand, Register};
use super::literal::Literal;
use super::syntax::{Declaration, Mode, Module, Statement, Term, is_name};
use super::value::{Type, TypeSet, Value};
use super::verify::{At, Checked};
use super::{
    ArgumentKind, Buffer, Declared, MAX_AXES, MAX_INSTRUCTIONS, MAX_REGISTERS, MAX_SHARED_BYTES, Param,
    RegisterInfo, Shared,
};
use crate::generated::lanes::{
    ABSENT, Combine, FOREIGN, MEMORY_TYPES, Of, Opcode, Own, REGISTER_TYPES, ROWS, Row, Slot, Suffix,
    Violation,
};
use std::collections::HashMap;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Symbol {
    Param(u16),
    Buffer(u16),
    Shared(u16),
    Label(u32),
    Register(Register),
}

/// An opcode with its types.
#[derive(Clone, Copy)]
struct Form {
    row: &'static Row,
    ty: Type,
    source: Type,
    combine: Option<Combine>,
}

pub(super) struct Checker<'a> {
    pub module: &'a Module,
    pub params: Vec<Param>,
    pub buffers: Vec<Buffer>,
    pub shared: Vec<Shared>,
    pub arguments: Vec<ArgumentKind>,
    pub declared: Vec<Declared>,
    pub registers: Vec<RegisterInfo>,
    /// Each label and the instruction that follows.
    pub labels: Vec<(String, u32)>,
    symbols: HashMap<&'a str, (Symbol, u32)>,
    forms: Vec<Form>,
}

fn spelled(name: &str) -> Result<(), Violation> {
    if is_name(name) { Ok(()) } else { Err(Violation::BadName { name: name.to_owned() }) }
}

impl<'a> Checker<'a> {
    /// Checks declarations and labels.
    pub fn new(module: &'a Module) -> Checked<Checker<'a>> {
        let mut checker = Checker::declarations(module)?;
        let total = module.body.iter().filter(|(s, _)| matches!(s, Statement::Instruction(..))).count();
        if total == 0 {
            return Err((At::Kernel, Violation::Empty {}));
        }
        if total > MAX_INSTRUCTIONS {
            let limit = MAX_INSTRUCTIONS as u64;
            return Err((At::Kernel, Violation::Limit { count: total as u64, what: "instructions", limit }));
        }
        let mut number = 0usize;
        for (i, (statement, line)) in module.body.iter().enumerate() {
            match statement {
                Statement::Instruction(..) => number += 1,
                Statement::Label(name) => {
                    let done = checker.label(name, *line, number as u32, number == total);
                    done.map_err(|what| (At::Body(i), what))?;
                }
            }
        }
        Ok(checker)
    }

    /// Checks declarations.
    pub fn declarations(module: &'a Module) -> Checked<Checker<'a>> {
        spelled(&module.name).map_err(|what| (At::Kernel, what))?;
        let mut checker = Checker {
            module,
            params: Vec::new(),
            buffers: Vec::new(),
            shared: Vec::new(),
            arguments: Vec::new(),
            declared: Vec::new(),
            registers: Vec::new(),
            labels: Vec::new(),
            symbols: HashMap::new(),
            forms: Vec::new(),
        };
        for (i, (declaration, line)) in module.declarations.iter().enumerate() {
            checker.declare(declaration, *line).map_err(|what| (At::Declaration(i), what))?;
        }
        Ok(checker)
    }

    /// Checks one statement as far as it can be without the others: what names stand for is unknown.
    pub fn alone(statement: &Statement) -> Result<(), Violation> {
        let (opcode, terms) = match statement {
            Statement::Label(name) => return spelled(name),
            Statement::Instruction(opcode, terms) => (opcode, terms),
        };
        let form = form(opcode)?;
        let absent = form.absent(terms)?;
        for (i, term) in terms.iter().enumerate() {
            let given = |kind: &str| Violation::OperandKind {
                number: i + 1,
                needed: kind.to_owned(),
                given: written(term),
            };
            match (form.row.slots[i + absent], term) {
                (Slot::Write(_), Term::Special(special)) => {
                    return Err(Violation::ReadOnly {
                        name: special.to_string(),
                        what: "a special register",
                    });
                }
                (Slot::Axis, Term::Literal(_)) | (Slot::Message, Term::Message(_)) => {}
                (Slot::Read(of), Term::Special(_)) if form.of(of) == Type::I64 => {}
                (Slot::Condition, Term::Literal(literal)) => immediate(literal, Type::B1).map(|_| ())?,
                (Slot::Read(of), Term::Literal(literal)) => immediate(literal, form.of(of)).map(|_| ())?,
                (Slot::Condition, Term::Not(name)) => spelled(name)?,
                (
                    Slot::Write(_) | Slot::Read(_) | Slot::Condition | Slot::Buffer | Slot::Label,
                    Term::Name(name),
                ) => {
                    spelled(name)?;
                }
                (Slot::Global | Slot::Shared, Term::Access(name, _)) => spelled(name)?,
                (Slot::Write(_), _) => return Err(given("a register")),
                (Slot::Read(of), _) => return Err(given(&value_of(form.of(of)))),
                (Slot::Condition, _) => return Err(given(&value_of(Type::B1))),
                (Slot::Global, _) => return Err(given("an element of a buffer")),
                (Slot::Shared, _) => return Err(given("an element of a shared array")),
                (Slot::Buffer, _) => return Err(given("a buffer")),
                (Slot::Axis, _) => return Err(given("the number of an axis")),
                (Slot::Label, _) => return Err(given("a label")),
                (Slot::Message, _) => return Err(given("a message")),
            }
        }
        Ok(())
    }

    /// Checks that a name is free, and gives it away.
    fn name(&mut self, name: &'a str, symbol: Symbol, line: u32) -> Result<(), Violation> {
        spelled(name)?;
        let Some(&(taken, earlier)) = self.symbols.get(name) else {
            self.symbols.insert(name, (symbol, line));
            return Ok(());
        };
        let name = name.to_owned();
        Err(match (taken, symbol) {
            (Symbol::Label(_), Symbol::Label(_)) => Violation::RepeatedLabel { name, line: earlier },
            _ => Violation::RepeatedName { name, what: what(taken), line: earlier },
        })
    }

    fn declare(&mut self, declaration: &'a Declaration, line: u32) -> Result<(), Violation> {
        let named = |name: &str, ty: &str, types: TypeSet| {
            let found = Type::from_name(ty).ok_or_else(|| no_type(ty))?;
            let refused = || Violation::DeclaredType {
                what: declaration.what().trim_start_matches("a "),
                name: name.to_owned(),
                given: ty.to_owned(),
            };
            if types.contains(found) { Ok(found) } else { Err(refused()) }
        };
        // Places are 16 bits; a program of so many declarations is over every sensible limit.
        let limit = |count: usize, what: &'static str| {
            let most = usize::from(u16::MAX);
            if count < most {
                return Ok(count as u16);
            }
            Err(Violation::Limit { count: count as u64 + 1, what, limit: most as u64 })
        };
        match declaration {
            Declaration::Param { name, ty } => {
                let place = limit(self.params.len(), "params")?;
                self.name(name, Symbol::Param(place), line)?;
                let ty = named(name, ty, REGISTER_TYPES)?;
                self.params.push(Param { name: name.clone(), ty });
                self.arguments.push(ArgumentKind::Param(place));
                self.declared.push(Declared::Param(place));
            }
            Declaration::Buffer { name, mode, ty, axes } => {
                let place = limit(self.buffers.len(), "buffers")?;
                self.name(name, Symbol::Buffer(place), line)?;
                let ty = named(name, ty, MEMORY_TYPES)?;
                if !(1..=MAX_AXES).contains(axes) {
                    return Err(Violation::DeclaredAxes { name: name.clone(), axes: *axes });
                }
                self.buffers.push(Buffer { name: name.clone(), mode: *mode, ty, axes: *axes });
                self.arguments.push(ArgumentKind::Buffer(place));
                self.declared.push(Declared::Buffer(place));
            }
            Declaration::Shared { name, ty, extents } => {
                let place = limit(self.shared.len(), "shared arrays")?;
                self.name(name, Symbol::Shared(place), line)?;
                let ty = named(name, ty, REGISTER_TYPES)?;
                if !(1..=MAX_AXES).contains(&extents.len()) {
                    return Err(Violation::DeclaredAxes { name: name.clone(), axes: extents.len() });
                }
                let mut sizes = Vec::with_capacity(extents.len());
                for extent in extents {
                    let size = extent.whole().filter(|&e| e > 0).and_then(|e| i64::try_from(e).ok());
                    sizes.push(size.ok_or_else(|| Violation::DeclaredExtent {
                        name: name.clone(),
                        given: extent.text().to_owned(),
                    })?);
                }
                self.place(name, ty, sizes)?;
                self.declared.push(Declared::Shared(place));
            }
        }
        Ok(())
    }

    /// Gives a shared array its place in the block's memory.
    fn place(&mut self, name: &str, ty: Type, extents: Vec<i64>) -> Result<(), Violation> {
        let used = self.shared.last().map_or(0, |s| (s.offset + s.size() * s.ty.bytes()) as u64);
        let item = ty.bytes() as u64;
        let offset = used.next_multiple_of(item);
        let bytes = extents.iter().fold(item, |all, &e| all.saturating_mul(e as u64));
        let end = offset.saturating_add(bytes);
        if end > MAX_SHARED_BYTES {
            let what = "bytes of shared memory";
            return Err(Violation::Limit { count: end, what, limit: MAX_SHARED_BYTES });
        }
        self.shared.push(Shared { name: name.to_owned(), ty, extents, offset: offset as usize });
        Ok(())
    }

    fn label(&mut self, name: &'a str, line: u32, at: u32, last: bool) -> Result<(), Violation> {
        self.name(name, Symbol::Label(self.labels.len() as u32), line)?;
        self.labels.push((name.to_owned(), at));
        if last { Err(Violation::LabelAtEnd { name: name.to_owned() }) } else { Ok(()) }
    }

    /// Checks opcodes, types and operand counts, and finds the registers by what writes them.
    pub fn find_registers(&mut self) -> Checked<()> {
        let module = self.module;
        for (i, (statement, line)) in module.body.iter().enumerate() {
            if let Statement::Instruction(opcode, terms) = statement {
                self.writer(opcode, terms, *line).map_err(|what| (At::Body(i), what))?;
            }
        }
        Ok(())
    }

    fn writer(&mut self, opcode: &str, terms: &'a [Term], line: u32) -> Result<(), Violation> {
        let form = form(opcode)?;
        form.absent(terms)?;
        self.forms.push(form);
        let Some(&Slot::Write(of)) = form.row.slots.first() else { return Ok(()) };
        let ty = form.of(of);
        let name = match &terms[0] {
            Term::Name(name) => name,
            Term::Special(special) => {
                return Err(Violation::ReadOnly { name: special.to_string(), what: "a special register" });
            }
            other => return Err(self.kind(0, "a register", other)),
        };
        match self.symbols.get(name.as_str()) {
            None => {
                if self.registers.len() == MAX_REGISTERS {
                    let limit = MAX_REGISTERS as u64;
                    return Err(Violation::Limit { count: limit + 1, what: "registers", limit });
                }
                let register = Register(self.registers.len() as u16);
                self.name(name, Symbol::Register(register), line)?;
                self.registers.push(RegisterInfo { name: name.clone(), ty });
                Ok(())
            }
            Some(&(Symbol::Register(r), first)) => {
                let other = self.registers[usize::from(r.0)].ty;
                if ty == other {
                    return Ok(());
                }
                let name = name.clone();
                Err(Violation::RegisterType { name, given: ty.name(), other: other.name(), line: first })
            }
            Some((Symbol::Param(_), _)) => Err(Violation::ReadOnly { name: name.clone(), what: "a param" }),
            Some(_) => Err(self.kind(0, "a register", &terms[0])),
        }
    }

    /// Looks up every operand, now that every register has its type.
    pub fn resolve(&self) -> Checked<Vec<Instruction>> {
        let mut found = Vec::with_capacity(self.forms.len());
        for (i, (statement, _)) in self.module.body.iter().enumerate() {
            if let Statement::Instruction(_, terms) = statement {
                let form = self.forms[found.len()];
                found.push(self.instruction(form, terms).map_err(|what| (At::Body(i), what))?);
            }
        }
        Ok(found)
    }

    fn instruction(&self, form: Form, terms: &[Term]) -> Result<Instruction, Violation> {
        let mut found = Operands::default();
        // A condition that is left out: the slots move on by one.
        let absent = form.row.slots.len() - terms.len();
        for (i, term) in terms.iter().enumerate() {
            self.operand(form, form.row.slots[i + absent], i, term, &mut found)?;
        }
        Ok(found.instruction(form))
    }

    fn operand(
        &self,
        form: Form,
        slot: Slot,
        i: usize,
        term: &Term,
        found: &mut Operands,
    ) -> Result<(), Violation> {
        match slot {
            Slot::Write(_) => found.to = Some(self.register(term)),
            Slot::Read(of) => found.reads.push(self.value(i, term, form.of(of))?),
            Slot::Condition => {
                let (value, negated) = match term {
                    Term::Not(name) => (self.value(i, &Term::Name(name.clone()), Type::B1)?, true),
                    other => (self.value(i, other, Type::B1)?, false),
                };
                found.condition = Some(Condition { value, negated });
            }
            Slot::Label => match term {
                Term::Name(name) => match self.symbols.get(name.as_str()) {
                    Some(&(Symbol::Label(place), _)) => found.label = Some(Label(place)),
                    Some(_) => return Err(self.kind(i, "a label", term)),
                    None => return Err(Violation::UnknownLabel { name: name.clone() }),
                },
                other => return Err(self.kind(i, "a label", other)),
            },
            Slot::Message => match term {
                Term::Message(text) => found.message = text.clone(),
                other => return Err(self.kind(i, "a message", other)),
            },
            Slot::Buffer => {
                let Term::Name(name) = term else { return Err(self.kind(i, "a buffer", term)) };
                found.array = self.buffer(i, name, term)?;
            }
            Slot::Axis => {
                let Term::Literal(literal) = term else {
                    return Err(self.kind(i, "the number of an axis", term));
                };
                let buffer = &self.buffers[usize::from(found.array)];
                let axis = literal.whole().filter(|a| (0..buffer.axes as i128).contains(a));
                found.axis = axis.ok_or_else(|| Violation::Axis {
                    name: buffer.name.clone(),
                    axes: buffer.axes,
                    given: literal.text().to_owned(),
                })? as u8;
            }
            Slot::Global => {
                let Term::Access(name, index) = term else {
                    return Err(self.kind(i, "an element of a buffer", term));
                };
                let array = self.buffer(i, name, term)?;
                let buffer = &self.buffers[usize::from(array)];
                let own = form.row.opcode;
                let refused = match buffer.mode {
                    Mode::Out if own == Opcode::Own(Own::Ldg) => {
                        Some(Violation::LoadFromOut { buffer: name.clone() })
                    }
                    Mode::In if own == Opcode::Own(Own::Stg) => {
                        Some(Violation::StoreToIn { buffer: name.clone() })
                    }
                    mode @ (Mode::In | Mode::Out) if own == Opcode::Own(Own::Red) => {
                        Some(Violation::RedNeedsInout { buffer: name.clone(), mode: mode.name() })
                    }
                    _ => None,
                };
                refused.map_or(Ok(()), Err)?;
                let index = self.index(i, name, form, (buffer.ty, buffer.axes), index)?;
                found.access = Some(Access { array, index });
            }
            Slot::Shared => {
                let Term::Access(name, index) = term else {
                    return Err(self.kind(i, "an element of a shared array", term));
                };
                let array = match self.symbols.get(name.as_str()) {
                    Some(&(Symbol::Shared(place), _)) => place,
                    Some(_) => return Err(self.kind(i, "an element of a shared array", term)),
                    None => return Err(Violation::UnknownName { name: name.clone(), what: "shared array" }),
                };
                let shared = &self.shared[usize::from(array)];
                let index = self.index(i, name, form, (shared.ty, shared.extents.len()), index)?;
                found.access = Some(Access { array, index });
            }
        }
        Ok(())
    }

    fn buffer(&self, i: usize, name: &str, term: &Term) -> Result<u16, Violation> {
        match self.symbols.get(name) {
            Some(&(Symbol::Buffer(place), _)) => Ok(place),
            Some(_) => Err(self.kind(i, "a buffer", term)),
            None => Err(Violation::UnknownName { name: name.to_owned(), what: "buffer" }),
        }
    }

    /// Checks an access against an array's element type and its number of axes.
    fn index(
        &self,
        i: usize,
        name: &str,
        form: Form,
        (held, axes): (Type, usize),
        index: &[Term],
    ) -> Result<Box<[Operand]>, Violation> {
        if form.ty != held {
            let name = name.to_owned();
            return Err(Violation::ElementType { name, held: held.name(), given: form.ty.name() });
        }
        if index.len() != axes {
            return Err(Violation::Rank { name: name.to_owned(), axes, given: index.len() });
        }
        index.iter().map(|term| self.value(i, term, Type::I64)).collect()
    }

    /// A destination, which `find_registers` has checked.
    fn register(&self, term: &Term) -> Register {
        match term {
            Term::Name(name) => match self.symbols.get(name.as_str()) {
                Some(&(Symbol::Register(r), _)) => r,
                _ => unreachable!("every destination is a register"),
            },
            _ => unreachable!("every destination is a name"),
        }
    }

    /// A value of a type.
    fn value(&self, i: usize, term: &Term, needed: Type) -> Result<Operand, Violation> {
        let (found, ty) = match term {
            Term::Literal(literal) => {
                return immediate(literal, needed).map(Operand::Constant);
            }
            Term::Special(special) => (Operand::Special(*special), Type::I64),
            Term::Name(name) => match self.symbols.get(name.as_str()) {
                Some(&(Symbol::Register(r), _)) => {
                    (Operand::Register(r), self.registers[usize::from(r.0)].ty)
                }
                Some(&(Symbol::Param(p), _)) => (Operand::Param(p), self.params[usize::from(p)].ty),
                Some(_) => return Err(self.kind(i, value_of(needed), term)),
                None => return Err(Violation::Unwritten { name: name.clone() }),
            },
            other => return Err(self.kind(i, value_of(needed), other)),
        };
        if ty == needed { Ok(found) } else { Err(self.kind(i, value_of(needed), term)) }
    }

    /// An operand is of another kind than it is to be.
    fn kind(&self, i: usize, needed: impl Into<String>, term: &Term) -> Violation {
        let given = match term {
            Term::Name(name) => match self.symbols.get(name.as_str()) {
                Some(&(Symbol::Register(r), _)) => {
                    format!("register {name} of {}", self.registers[usize::from(r.0)].ty.name())
                }
                Some(&(Symbol::Param(p), _)) => {
                    format!("param {name} of {}", self.params[usize::from(p)].ty.name())
                }
                Some(&(symbol, _)) => format!("{} {name}", what(symbol).trim_start_matches("a ")),
                None => name.clone(),
            },
            other => written(other),
        };
        Violation::OperandKind { number: i + 1, needed: needed.into(), given }
    }
}

/// An operand for messages, whatever its names stand for.
fn written(term: &Term) -> String {
    match term {
        Term::Name(name) => name.clone(),
        Term::Not(name) => format!("!{name}"),
        Term::Special(special) => format!("special register {special} of i64"),
        Term::Literal(literal) => literal.text().to_owned(),
        Term::Access(array, _) => format!("an element of {array}"),
        Term::Message(_) => "a message".to_owned(),
    }
}

fn immediate(literal: &Literal, needed: Type) -> Result<Value, Violation> {
    let refused = || Violation::Immediate { text: literal.text().to_owned(), needed: needed.name() };
    literal.value(needed).ok_or_else(refused)
}

fn value_of(ty: Type) -> String {
    format!("a value of {}", ty.name())
}

fn what(symbol: Symbol) -> &'static str {
    match symbol {
        Symbol::Param(_) => "a param",
        Symbol::Buffer(_) => "a buffer",
        Symbol::Shared(_) => "a shared array",
        Symbol::Label(_) => "a label",
        Symbol::Register(_) => "a register",
    }
}

/// Which operand of an instruction is a message, if one is.
pub fn message_operand(opcode: &str) -> Option<usize> {
    let place = ROWS.binary_search_by(|row| row.mnemonic.cmp(opcode)).ok()?;
    ROWS[place].slots.iter().position(|&slot| slot == Slot::Message)
}

/// What is wrong with a name that is no type's; that of a dtype has one.
fn no_type(given: &str) -> Violation {
    let of_dtype = Type::ALL.into_iter().find(|ty| ty.dtype().name() == given);
    let instead = of_dtype.map_or(String::new(), |ty| format!(": write {}", ty.name()));
    Violation::UnknownType { given: given.to_owned(), instead }
}

/// The mnemonic that a name was probably meant to be: what other languages call so, or one that differs in a letter,
/// of longer names in two. Of those equally near, the one that begins most alike.
fn meant(name: &str) -> Option<&'static str> {
    let foreign = FOREIGN.iter().find(|(theirs, _)| *theirs == name);
    if let Some((_, ours)) = foreign {
        return Some(ours);
    }
    let most = match name.len() {
        0 | 1 => return None,
        2..=4 => 1,
        5..=16 => 2,
        _ => return None,
    };
    let alike = |other: &str| name.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let near =
        ROWS.iter().map(|row| (distance(name, row.mnemonic), row.mnemonic)).filter(|(d, _)| *d <= most);
    near.min_by_key(|&(d, other)| (d, std::cmp::Reverse(alike(other)))).map(|(_, other)| other)
}

/// How many letters have to be added, taken away, replaced or swapped with the next one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differ = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differ);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Looks up a mnemonic and reads its suffixes.
fn form(opcode: &str) -> Result<Form, Violation> {
    let mut parts = opcode.split('.');
    let mnemonic = parts.next().unwrap_or_default();
    let suffixes: Vec<&str> = parts.collect();
    let Ok(place) = ROWS.binary_search_by(|row| row.mnemonic.cmp(mnemonic)) else {
        let opcode = mnemonic.to_owned();
        let absent = ABSENT.contains(&mnemonic);
        return Err(if absent {
            Violation::AbsentOpcode { opcode }
        } else {
            let instead = meant(mnemonic).map_or(String::new(), |name| format!(": did you mean {name}?"));
            Violation::UnknownOpcode { opcode, instead }
        });
    };
    let row = &ROWS[place];
    let wrong =
        |form: &str| Violation::Suffix { opcode: opcode.to_owned(), form: format!("{mnemonic}{form}") };
    let typed = |name: &str, accepted: TypeSet| {
        let ty = Type::from_name(name).ok_or_else(|| no_type(name))?;
        if accepted.contains(ty) {
            return Ok(ty);
        }
        let opcode = opcode.strip_suffix(name).map_or(mnemonic, |rest| rest.trim_end_matches('.')).to_owned();
        Err(Violation::TypeRefused { opcode, given: ty.name(), accepted: accepted.names() })
    };
    // Instructions without a type compute with none.
    let mut form = Form { row, ty: Type::I64, source: Type::I64, combine: None };
    match (row.suffix, suffixes.as_slice()) {
        (Suffix::None, []) => {}
        (Suffix::Type, [ty]) => form.ty = typed(ty, row.types)?,
        (Suffix::Types, [ty, source]) => {
            form.ty = typed(ty, row.types)?;
            form.source = typed(source, row.types)?;
        }
        (Suffix::Combine(known), [combine, ty]) => {
            let found = known.iter().find(|(c, _)| c.name() == *combine);
            let &(combine, types) = found.ok_or_else(|| Violation::UnknownCombine {
                opcode: row.mnemonic,
                combine: (*combine).to_owned(),
                known: known.iter().map(|(c, _)| c.name()).collect::<Vec<_>>().join(", "),
            })?;
            form.combine = Some(combine);
            form.ty = typed(ty, types)?;
        }
        (Suffix::None, _) => return Err(wrong("")),
        (Suffix::Type, _) => return Err(wrong(".type")),
        (Suffix::Types, _) => return Err(wrong(".to.from")),
        (Suffix::Combine(_), _) => return Err(wrong(".operation.type")),
    }
    Ok(form)
}

impl Form {
    /// How many operands are left out in front: a condition, or none.
    fn absent(self, terms: &[Term]) -> Result<usize, Violation> {
        let slots = self.row.slots;
        let optional = usize::from(slots.contains(&Slot::Condition));
        if terms.len() > slots.len() || terms.len() + optional < slots.len() {
            const COUNTS: [&str; 6] =
                ["0 operands", "1 operand", "2 operands", "3 operands", "4 operands", "5 operands"];
            const RANGES: [&str; 3] = ["0 operands", "0 or 1 operand", "1 or 2 operands"];
            let needed = if optional == 1 { RANGES[slots.len()] } else { COUNTS[slots.len()] };
            let opcode = self.row.mnemonic.to_owned();
            return Err(Violation::OperandCount { opcode, needed, given: terms.len() });
        }
        Ok(slots.len() - terms.len())
    }

    fn of(self, of: Of) -> Type {
        match of {
            Of::Own => self.ty,
            Of::Source => self.source,
            Of::Wide => self.ty.in_register(),
            Of::Truth => Type::B1,
            Of::Index => Type::I64,
            Of::Single => Type::F32,
        }
    }
}

/// The operands of one instruction, by what they are.
#[derive(Default)]
struct Operands {
    to: Option<Register>,
    reads: Vec<Operand>,
    condition: Option<Condition>,
    label: Option<Label>,
    access: Option<Access>,
    array: u16,
    axis: u8,
    message: String,
}

impl Operands {
    fn instruction(self, form: Form) -> Instruction {
        use Instruction as I;
        const CHECKED: &str = "the operands are those of the row";
        let Form { ty, source, .. } = form;
        let read = |i: usize| self.reads[i];
        let to = || self.to.expect(CHECKED);
        let op = || form.combine.expect(CHECKED);
        let label = || self.label.expect(CHECKED);
        let own = match form.row.opcode {
            Opcode::Unary(op) => return I::Unary { op, ty, to: to(), from: read(0) },
            Opcode::Binary(op) => return I::Binary { op, ty, to: to(), left: read(0), right: read(1) },
            Opcode::Own(own) => own,
        };
        let (a, b, c) = (|| read(0), || read(1), || read(2));
        match own {
            Own::Mov => I::Move { ty, to: to(), from: a() },
            Own::Cvt => I::Convert { ty, source, to: to(), from: a() },
            Own::Fma => I::Fma { ty, to: to(), a: a(), b: b(), c: c() },
            Own::Mad => I::Mad { ty, to: to(), a: a(), b: b(), c: c() },
            Own::Rnd => I::Round { storage: ty, to: to(), from: a() },
            Own::Sel => I::Select { ty, to: to(), condition: a(), a: b(), b: c() },
            Own::Dim => I::Extent { to: to(), buffer: self.array, axis: self.axis },
            Own::Ldg => I::Load { ty, to: to(), access: self.access.expect(CHECKED) },
            Own::Stg => I::Store { ty, from: a(), access: self.access.expect(CHECKED) },
            Own::Lds => I::LoadShared { ty, to: to(), access: self.access.expect(CHECKED) },
            Own::Sts => I::StoreShared { ty, from: a(), access: self.access.expect(CHECKED) },
            Own::Red => I::Combine { op: op(), ty, from: a(), access: self.access.expect(CHECKED) },
            Own::Redsh => I::CombineShared { op: op(), ty, from: a(), access: self.access.expect(CHECKED) },
            Own::Bra => I::Branch { condition: self.condition, label: label() },
            Own::Loop => I::Loop { counter: to(), count: a() },
            Own::Endloop => I::EndLoop,
            Own::Break => I::Break { condition: self.condition },
            Own::Continue => I::Continue { condition: self.condition },
            Own::Call => I::Call { label: label() },
            Own::Ret => I::Return,
            Own::Barrier => I::Barrier,
            Own::Reduce => I::Reduce { op: op(), ty, to: to(), from: a() },
            Own::Scan => I::Scan { op: op(), ty, to: to(), from: a() },
            Own::Exit => I::Exit,
            Own::Assert => I::Assert { condition: a(), message: self.message },
            Own::Fence => I::Fence,
        }
    }
}
