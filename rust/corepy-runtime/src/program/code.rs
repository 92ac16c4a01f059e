//! What a backend runs: the reachable instructions in one list, calls inlined, jumps resolved.

use super::instruction::Register;

/// What happens after an instruction. Targets are numbers of steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// The next step follows.
    Next,
    /// The target follows: an unconditional branch, break or continue, a call or a return.
    Jump(u32),
    /// The target follows where the instruction's condition holds, else the next step.
    Branch(u32),
    /// The next step is the loop's first; where the count is 0 or less, `exit` follows.
    Loop { exit: u32 },
    /// Ends an iteration of the loop that starts at the step `start`: the step after that follows, or, after
    /// the last iteration, the next one.
    Again { start: u32 },
    /// The lane ends.
    Exit,
}

/// One instruction of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its number in [`super::Program::instructions`].
    pub instruction: u32,
    pub flow: Flow,
    /// The step of the innermost loop around it, of calling bodies too. A loop is not around its own `loop`, but
    /// around its `endloop`.
    pub inside: Option<u32>,
    /// How many loops are around it.
    pub depth: u32,
}

/// A program's steps. Execution starts at step 0 and never runs off the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code {
    pub(super) steps: Vec<Step>,
}

impl Code {
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps that can follow a step.
    pub fn successors(&self, step: u32) -> impl Iterator<Item = u32> + use<> {
        let (first, second) = match self.steps[step as usize].flow {
            Flow::Next => (Some(step + 1), None),
            Flow::Jump(target) => (Some(target), None),
            Flow::Branch(target) => (Some(step + 1), Some(target)),
            Flow::Loop { exit } => (Some(step + 1), Some(exit)),
            Flow::Again { start } => (Some(start + 1), Some(step + 1)),
            Flow::Exit => (None, None),
        };
        first.into_iter().chain(second)
    }

    /// Whether going from a step to `to` counts against a launch's step limit: a branch that goes back, or an
    /// `endloop` that goes round.
    pub fn counts(&self, step: u32, to: u32) -> bool {
        match self.steps[step as usize].flow {
            Flow::Again { .. } => to <= step,
            Flow::Jump(target) | Flow::Branch(target) => to == target && to <= step,
            _ => false,
        }
    }

    /// The deepest nesting of loops.
    pub fn deepest(&self) -> u32 {
        self.steps.iter().map(|s| s.depth).max().unwrap_or(0)
    }

    /// The steps of the loops around a step, innermost first.
    pub fn loops_around(&self, step: u32) -> impl Iterator<Item = u32> + use<'_> {
        let mut next = self.steps[step as usize].inside;
        std::iter::from_fn(move || {
            let found = next?;
            next = self.steps[found as usize].inside;
            Some(found)
        })
    }
}

/// A set of registers.
pub(super) struct RegisterSet(Box<[u64]>);

impl RegisterSet {
    pub fn from_words(words: impl Iterator<Item = u64>) -> RegisterSet {
        RegisterSet(words.collect())
    }

    pub fn set(&mut self, r: Register, is_member: bool) {
        let (word, bit) = (&mut self.0[usize::from(r.0 / 64)], 1 << (r.0 % 64));
        *word = if is_member { *word | bit } else { *word & !bit };
    }

    pub fn contains(&self, r: Register) -> bool {
        self.0[usize::from(r.0 / 64)] >> (r.0 % 64) & 1 == 1
    }
}
