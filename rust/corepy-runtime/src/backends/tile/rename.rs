//! Gives values that live inside one block of steps registers of their own, where a program uses one register for
//! several: what is known of the one value then does not depend on the others.

use super::analysis::Rows;
use crate::program::{Code, Flow, Graph, Instruction, Operand, Program, Register};

/// Most registers that are added: more would cost more than they bring.
const MOST_ADDED: usize = 1024;

/// Instructions as the tile interpreter runs them, and the registers that were added.
pub struct Renamed {
    /// By step, where it differs from the program's.
    instructions: Vec<Option<Box<Instruction>>>,
    /// Of each register that was added: the one that it stands for, and the step that writes it.
    added: Vec<(u16, u32)>,
    first: usize,
}

/// A value that may be one of its own: the step that writes it, and those that read it.
struct Value {
    writer: u32,
    readers: Vec<u32>,
}

impl Renamed {
    pub fn none(first: usize) -> Renamed {
        Renamed { instructions: Vec::new(), added: Vec::new(), first }
    }

    /// `first` is the number of the first register that may be added.
    pub fn new(program: &Program, code: &Code, graph: &Graph, live_out: &Rows, first: usize) -> Renamed {
        let count = program.registers().len();
        let instruction =
            |step: u32| &program.instructions()[code.steps()[step as usize].instruction as usize];
        let (mut writers, mut counts) = (vec![0u32; count], vec![false; count]);
        for (step, each) in code.steps().iter().enumerate() {
            if let Some(Register(r)) = instruction(step as u32).writes() {
                writers[usize::from(r)] += 1;
                // The ends of loops write their counters too.
                counts[usize::from(r)] |= matches!(each.flow, Flow::Loop { .. });
            }
        }
        let shared = |r: usize| writers[r] > 1 && !counts[r];
        let mut renamed = Renamed::none(first);
        if !(0..count).any(shared) {
            return renamed;
        }
        let mut open: Vec<Option<Value>> = (0..count).map(|_| None).collect();
        for (number, block) in graph.blocks().iter().enumerate() {
            let mut touched = Vec::new();
            for step in block.start..block.end {
                let instruction = instruction(step);
                instruction.for_each_read(|operand| {
                    if let Operand::Register(Register(r)) = operand
                        && let Some(value) = &mut open[usize::from(r)]
                        && value.readers.last() != Some(&step)
                    {
                        value.readers.push(step);
                    }
                });
                if instruction.is_block_wide() {
                    // From here on the tile may go on in a form that knows the program's registers alone.
                    touched.drain(..).for_each(|r: usize| open[r] = None);
                }
                if let Some(Register(r)) = instruction.writes().filter(|r| shared(usize::from(r.0))) {
                    let r = usize::from(r);
                    if let Some(value) = open[r].replace(Value { writer: step, readers: Vec::new() }) {
                        renamed.rename(program, code, r, &value);
                    }
                    touched.push(r);
                }
            }
            for r in touched {
                if let Some(value) = open[r].take()
                    && !live_out.contains(number, r)
                {
                    renamed.rename(program, code, r, &value);
                }
            }
        }
        renamed
    }

    fn rename(&mut self, program: &Program, code: &Code, register: usize, value: &Value) {
        if self.added.len() == MOST_ADDED {
            return;
        }
        let (old, new) = (Register(register as u16), Register((self.first + self.added.len()) as u16));
        self.added.push((register as u16, value.writer));
        self.instructions.resize(code.steps().len(), None);
        if let Some(to) = self.changed(program, code, value.writer).writes_mut() {
            *to = new;
        }
        for &reader in &value.readers {
            self.changed(program, code, reader).for_each_read_mut(|operand| {
                if *operand == Operand::Register(old) {
                    *operand = Operand::Register(new);
                }
            });
        }
    }

    fn changed(&mut self, program: &Program, code: &Code, step: u32) -> &mut Instruction {
        let number = code.steps()[step as usize].instruction as usize;
        let place = &mut self.instructions[step as usize];
        place.get_or_insert_with(|| Box::new(program.instructions()[number].clone()))
    }

    /// The instruction of a step, where it is another one than the program's.
    #[inline]
    pub fn instruction(&self, step: u32) -> Option<&Instruction> {
        self.instructions.get(step as usize)?.as_deref()
    }

    /// The register of the program that one stands for, and the step that writes it, for one that was added.
    pub fn origin(&self, register: usize) -> Option<(usize, u32)> {
        let &(r, writer) = self.added.get(register.checked_sub(self.first)?)?;
        Some((usize::from(r), writer))
    }

    /// How many registers were added.
    pub fn len(&self) -> usize {
        self.added.len()
    }
}
