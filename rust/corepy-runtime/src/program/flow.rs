//! The rules on paths: loop counters are not written, registers are written before they are read.

use super::Program;
use super::code::{Code, Flow, RegisterSet};
use super::graph::Graph;
use super::instruction::{Instruction, Operand, Register};
use crate::generated::lanes::Violation;

/// Checks every path of the inlined program; the answer is the instruction that breaks a rule.
pub(super) fn check(program: &Program) -> Result<(), (usize, Violation)> {
    let code = program.code();
    check_counters(program, code)?;
    let graph = Graph::of_blocks(code);
    let registers = program.registers().len();
    let mut known: Vec<Option<RegisterSet>> = vec![None; graph.blocks().len()];
    known[0] = Some(RegisterSet::empty(registers));
    // A block whose set shrinks is looked at again; sets only shrink, so this ends.
    let mut open = vec![0u32];
    let mut queued = vec![false; graph.blocks().len()];
    while let Some(b) = open.pop() {
        queued[b as usize] = false;
        let block = &graph.blocks()[b as usize];
        let Some(mut written) = known[b as usize].clone() else { continue };
        for step in block.start..block.end - 1 {
            after(program, code, step, &mut written);
        }
        let last = block.end - 1;
        for to in code.successors(last) {
            let mut arriving = written.clone();
            edge(program, code, last, to, &mut arriving);
            let target = graph.block_of(to) as usize;
            let changed = match &mut known[target] {
                Some(before) => before.intersect(&arriving),
                unknown => {
                    *unknown = Some(arriving);
                    true
                }
            };
            if changed && !queued[target] {
                queued[target] = true;
                open.push(target as u32);
            }
        }
    }
    for (block, known) in graph.blocks().iter().zip(known) {
        let Some(mut written) = known else { continue };
        for step in block.start..block.end {
            check_reads(program, code, step, &written)?;
            after(program, code, step, &mut written);
        }
    }
    Ok(())
}

fn instruction<'a>(program: &'a Program, code: &Code, step: u32) -> (usize, &'a Instruction) {
    let number = code.steps()[step as usize].instruction as usize;
    (number, &program.instructions()[number])
}

fn name(program: &Program, r: Register) -> String {
    program.registers()[usize::from(r.0)].name.clone()
}

/// No instruction writes the counter of a loop around it.
fn check_counters(program: &Program, code: &Code) -> Result<(), (usize, Violation)> {
    for step in 0..code.steps().len() as u32 {
        let (number, written) = instruction(program, code, step);
        let Some(r) = written.writes() else { continue };
        for around in code.loops_around(step) {
            if instruction(program, code, around).1.writes() == Some(r) {
                return Err((number, Violation::ReadOnly { name: name(program, r), what: "a loop counter" }));
            }
        }
    }
    Ok(())
}

fn check_reads(
    program: &Program,
    code: &Code,
    step: u32,
    written: &RegisterSet,
) -> Result<(), (usize, Violation)> {
    let (number, reading) = instruction(program, code, step);
    let mut unwritten = None;
    reading.for_each_read(|operand| {
        if let Operand::Register(r) = operand
            && !written.contains(r)
        {
            unwritten.get_or_insert(r);
        }
    });
    unwritten.map_or(Ok(()), |r| Err((number, Violation::Unwritten { name: name(program, r) })))
}

/// What a step writes, whatever follows it. A loop's counter depends on what follows.
fn after(program: &Program, code: &Code, step: u32, written: &mut RegisterSet) {
    let (_, done) = instruction(program, code, step);
    if let (Some(r), false) = (done.writes(), matches!(done, Instruction::Loop { .. })) {
        written.insert(r);
    }
}

/// What is written when one step follows another: a counter in its loop, and not after it.
fn edge(program: &Program, code: &Code, from: u32, to: u32, written: &mut RegisterSet) {
    after(program, code, from, written);
    let mut counter = |step: u32, is_written: bool| {
        if let Some(r) = instruction(program, code, step).1.writes() {
            if is_written { written.insert(r) } else { written.remove(r) }
        }
    };
    let left = &code.steps()[from as usize];
    if let Flow::Loop { exit } = left.flow {
        counter(from, to != exit);
        return;
    }
    // A jump enters no loop but by its `loop`, so the loops that are left are those that are deeper.
    let leaves = left.depth.saturating_sub(code.steps()[to as usize].depth) as usize;
    code.loops_around(from).take(leaves).for_each(|l| counter(l, false));
}
