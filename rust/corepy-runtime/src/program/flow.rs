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
    let graph = Graph::new(code);
    let known = find_written(program, code, &graph);
    for (b, block) in graph.blocks().iter().enumerate() {
        let Some(mut written) = known.at(b) else { continue };
        for step in block.start..block.end {
            check_reads(program, code, step, &written)?;
            after(program, code, step, |r, is_written| written.set(r, is_written));
        }
    }
    Ok(())
}

/// By block: the registers that every path to its start has written.
struct Written {
    /// 64 registers a row, a block a place.
    words: Vec<Vec<u64>>,
    reached: Vec<bool>,
}

impl Written {
    fn at(&self, block: usize) -> Option<RegisterSet> {
        self.reached[block].then(|| RegisterSet::from_words(self.words.iter().map(|word| word[block])))
    }
}

/// What a block does to 64 registers: `written & !lost | gained`.
#[derive(Clone, Copy)]
struct Change {
    gained: u64,
    lost: u64,
}

impl Change {
    const NONE: Change = Change { gained: 0, lost: 0 };

    fn note(&mut self, word: usize, r: Register, is_written: bool) {
        if usize::from(r.0 / 64) == word {
            let bit = 1 << (r.0 % 64);
            (self.gained, self.lost) = if is_written {
                (self.gained | bit, self.lost & !bit)
            } else {
                (self.gained & !bit, self.lost | bit)
            };
        }
    }

    fn of(self, written: u64) -> u64 {
        written & !self.lost | self.gained
    }
}

/// 64 registers at a time: a set of that many shrinks at most so often, so that no program takes long.
fn find_written(program: &Program, code: &Code, graph: &Graph) -> Written {
    let blocks = graph.blocks();
    let mut found = Written { words: Vec::new(), reached: vec![false; blocks.len()] };
    found.reached[0] = true;
    for word in 0..program.registers().len().div_ceil(64).max(1) {
        let edges: Vec<[Option<(usize, Change)>; 2]> =
            blocks.iter().map(|block| edges(program, code, graph, (block.start, block.end), word)).collect();
        // Nothing is known of a block that no path has reached yet.
        let mut known = vec![u64::MAX; blocks.len()];
        known[0] = 0;
        let mut open = vec![0];
        let mut queued = vec![false; blocks.len()];
        let mut reached = vec![false; blocks.len()];
        reached[0] = true;
        while let Some(b) = open.pop() {
            queued[b] = false;
            for (target, change) in edges[b].into_iter().flatten() {
                let arriving = known[target] & change.of(known[b]);
                let is_new = !std::mem::replace(&mut reached[target], true);
                if (is_new || arriving != known[target]) && !std::mem::replace(&mut queued[target], true) {
                    open.push(target);
                }
                known[target] = arriving;
            }
        }
        found.reached = reached;
        found.words.push(known);
    }
    found
}

/// Where a block leads to, and what it has done to 64 registers on the way there.
fn edges(
    program: &Program,
    code: &Code,
    graph: &Graph,
    (start, end): (u32, u32),
    word: usize,
) -> [Option<(usize, Change)>; 2] {
    let mut change = Change::NONE;
    for step in start..end {
        after(program, code, step, |r, is_written| change.note(word, r, is_written));
    }
    let mut successors = code.successors(end - 1).map(|to| {
        let mut change = change;
        edge(program, code, end - 1, to, |r, is_written| change.note(word, r, is_written));
        (graph.block_of(to) as usize, change)
    });
    [successors.next(), successors.next()]
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
fn after(program: &Program, code: &Code, step: u32, mut note: impl FnMut(Register, bool)) {
    let (_, done) = instruction(program, code, step);
    if let (Some(r), false) = (done.writes(), matches!(done, Instruction::Loop { .. })) {
        note(r, true);
    }
}

/// What becomes of counters when one step follows another: written in their loop, and not after it.
fn edge(program: &Program, code: &Code, from: u32, to: u32, mut note: impl FnMut(Register, bool)) {
    let mut counter = |step: u32, is_written: bool| {
        if let Some(r) = instruction(program, code, step).1.writes() {
            note(r, is_written);
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
