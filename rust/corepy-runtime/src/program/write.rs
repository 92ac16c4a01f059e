//! The canonical text of a program, by way of the module that would be parsed into it.

use super::instruction::{Access, Condition, Instruction, Label, Operand, Register};
use super::literal::Literal;
use super::syntax::{Declaration, Module, Statement, Term};
use super::value::Type;
use super::{Declared, Program};
use crate::generated::ops::{BINARY, UNARY};

/// The module that is parsed and verified into this program, with the line numbers of its own text.
pub(super) fn module(program: &Program) -> Module {
    let declarations = program.declared.iter().map(|&d| (declaration(program, d), 0)).collect();
    let mut body = Vec::with_capacity(program.instructions.len() + program.labels.len());
    let mut labels = program.labels.iter().peekable();
    for (number, instruction) in (0u32..).zip(&program.instructions) {
        while let Some((name, _)) = labels.next_if(|(_, at)| *at == number) {
            body.push((Statement::Label(name.clone()), 0));
        }
        body.push((statement(program, instruction), 0));
    }
    let mut module = Module { name: program.name.clone(), line: 0, declarations, body };
    module.renumber();
    module
}

fn declaration(program: &Program, declared: Declared) -> Declaration {
    match declared {
        Declared::Param(i) => {
            let p = &program.params[usize::from(i)];
            Declaration::param(&p.name, p.ty)
        }
        Declared::Buffer(i) => {
            let b = &program.buffers[usize::from(i)];
            Declaration::buffer(&b.name, b.mode, b.ty, b.axes)
        }
        Declared::Shared(i) => {
            let s = &program.shared[usize::from(i)];
            Declaration::shared(&s.name, s.ty, &s.extents)
        }
    }
}

/// The instruction as it is written.
pub(super) fn statement(program: &Program, instruction: &Instruction) -> Statement {
    use Instruction::*;
    let to = |r: &Register| Term::name(&program.registers[usize::from(r.0)].name);
    let of = |o: &Operand| operand(program, *o);
    let global = |a: &Access| access(program, &program.buffers[usize::from(a.array)].name, a);
    let shared = |a: &Access| access(program, &program.shared[usize::from(a.array)].name, a);
    let label = |l: &Label| Term::name(&program.labels[l.0 as usize].0);
    let condition = |c: &Option<Condition>| c.iter().map(|c| negatable(program, *c)).collect::<Vec<_>>();
    let typed = |mnemonic: &str, ty: &Type| format!("{mnemonic}.{}", ty.name());
    let (opcode, terms) = match instruction {
        Unary { op, ty, to: d, from } => (typed(UNARY[*op as usize].mnemonic, ty), vec![to(d), of(from)]),
        Binary { op, ty, to: d, left, right } => {
            (typed(BINARY[*op as usize].mnemonic, ty), vec![to(d), of(left), of(right)])
        }
        Move { ty, to: d, from } => (typed("mov", ty), vec![to(d), of(from)]),
        Convert { ty, source, to: d, from } => {
            (format!("cvt.{}.{}", ty.name(), source.name()), vec![to(d), of(from)])
        }
        Fma { ty, to: d, a, b, c } => (typed("fma", ty), vec![to(d), of(a), of(b), of(c)]),
        Mad { ty, to: d, a, b, c } => (typed("mad", ty), vec![to(d), of(a), of(b), of(c)]),
        Round { storage, to: d, from } => (typed("rnd", storage), vec![to(d), of(from)]),
        Select { ty, to: d, condition, a, b } => (typed("sel", ty), vec![to(d), of(condition), of(a), of(b)]),
        Load { ty, to: d, access } => (typed("ldg", ty), vec![to(d), global(access)]),
        Store { ty, access, from } => (typed("stg", ty), vec![global(access), of(from)]),
        Extent { to: d, buffer, axis } => {
            let name = Term::name(&program.buffers[usize::from(*buffer)].name);
            (typed("dim", &Type::I64), vec![to(d), name, Term::integer(i128::from(*axis))])
        }
        LoadShared { ty, to: d, access } => (typed("lds", ty), vec![to(d), shared(access)]),
        StoreShared { ty, access, from } => (typed("sts", ty), vec![shared(access), of(from)]),
        Combine { op, ty, access, from } => {
            (format!("red.{}.{}", op.name(), ty.name()), vec![global(access), of(from)])
        }
        CombineShared { op, ty, access, from } => {
            (format!("redsh.{}.{}", op.name(), ty.name()), vec![shared(access), of(from)])
        }
        Branch { condition: c, label: l } => {
            let mut terms = condition(c);
            terms.push(label(l));
            ("bra".to_owned(), terms)
        }
        Loop { counter, count } => ("loop".to_owned(), vec![to(counter), of(count)]),
        EndLoop => ("endloop".to_owned(), vec![]),
        Break { condition: c } => ("break".to_owned(), condition(c)),
        Continue { condition: c } => ("continue".to_owned(), condition(c)),
        Call { label: l } => ("call".to_owned(), vec![label(l)]),
        Return => ("ret".to_owned(), vec![]),
        Barrier => ("barrier".to_owned(), vec![]),
        Reduce { op, ty, to: d, from } => {
            (format!("reduce.{}.{}", op.name(), ty.name()), vec![to(d), of(from)])
        }
        Scan { op, ty, to: d, from } => (format!("scan.{}.{}", op.name(), ty.name()), vec![to(d), of(from)]),
        Exit => ("exit".to_owned(), vec![]),
        Assert { condition, message } => {
            ("assert".to_owned(), vec![of(condition), Term::Message(message.clone())])
        }
        Fence => ("fence".to_owned(), vec![]),
    };
    Statement::Instruction(opcode, terms)
}

fn operand(program: &Program, operand: Operand) -> Term {
    match operand {
        Operand::Register(r) => Term::name(&program.registers[usize::from(r.0)].name),
        Operand::Param(p) => Term::name(&program.params[usize::from(p)].name),
        Operand::Special(special) => Term::Special(special),
        Operand::Constant(value) => Term::Literal(Literal::of(value)),
    }
}

fn negatable(program: &Program, condition: Condition) -> Term {
    match operand(program, condition.value) {
        Term::Name(name) if condition.negated => Term::Not(name),
        term => term,
    }
}

fn access(program: &Program, name: &str, access: &Access) -> Term {
    Term::Access(name.to_owned(), access.index.iter().map(|&i| operand(program, i)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::lanes::{Opcode, Own, ROWS};

    /// The mnemonics that `statement` writes by hand are those of the table.
    #[test]
    fn every_row_is_sorted_and_named_as_it_is_written() {
        assert!(ROWS.windows(2).all(|w| w[0].mnemonic < w[1].mnemonic));
        for row in &ROWS {
            let own = match row.opcode {
                Opcode::Unary(op) => UNARY[op as usize].mnemonic.to_owned(),
                Opcode::Binary(op) => BINARY[op as usize].mnemonic.to_owned(),
                Opcode::Own(own) => format!("{own:?}").to_lowercase(),
            };
            assert_eq!(row.mnemonic, own);
        }
        assert_eq!(
            Own::Fence as usize + 1,
            ROWS.iter().filter(|r| matches!(r.opcode, Opcode::Own(_))).count()
        );
    }
}
