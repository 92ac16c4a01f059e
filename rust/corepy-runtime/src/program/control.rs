//! Loops, subroutines and the inlining of calls.

use super::MAX_INSTRUCTIONS;
use super::code::{Code, Flow, Step};
use super::instruction::Instruction;
use crate::generated::lanes::Violation;

/// What is known of a program's control flow before calls are inlined. Places are numbers of instructions.
pub(super) struct Structure<'a> {
    labels: &'a [(String, u32)],
    /// The innermost loop around each instruction; its own for an `endloop`.
    inside: Vec<Option<u32>>,
    /// How many loops are around each instruction.
    depth: Vec<u32>,
    /// The `endloop` of each `loop`.
    end: Vec<u32>,
    /// The main body, then a part for each subroutine.
    parts: Vec<Part>,
    /// The part that each call runs.
    callee: Vec<usize>,
}

/// The main body, or a subroutine: the instructions that can be reached from its start, calls stepped over.
struct Part {
    name: String,
    start: u32,
    /// Sorted.
    instructions: Vec<u32>,
    /// Steps before each instruction when the calls before it are inlined, and at the end all of them.
    offsets: Vec<u64>,
}

/// Whether a part has been measured.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Not,
    Open,
    Measured,
}

/// No instruction, or the one that breaks the rule.
type Broken = (Option<usize>, Violation);

const NONE: u32 = u32::MAX;

impl<'a> Structure<'a> {
    pub fn new(instructions: &[Instruction], labels: &'a [(String, u32)]) -> Result<Structure<'a>, Broken> {
        let Loops { inside, depth, end } = match_loops(instructions)?;
        let mut found =
            Structure { labels, inside, depth, end, parts: Vec::new(), callee: vec![0; instructions.len()] };
        found.check_jumps(instructions)?;
        if instructions.last().is_some_and(Instruction::falls_through) {
            return Err((Some(instructions.len() - 1), Violation::FallsOff {}));
        }
        found.find_parts(instructions)?;
        found.measure(instructions)?;
        Ok(found)
    }

    fn target(&self, label: super::Label) -> u32 {
        self.labels[label.0 as usize].1
    }

    /// Branches stay in their loop, and subroutines start outside of loops.
    fn check_jumps(&self, instructions: &[Instruction]) -> Result<(), Broken> {
        for (i, instruction) in instructions.iter().enumerate() {
            let (label, from) = match *instruction {
                Instruction::Branch { label, .. } => (label, self.inside[i]),
                Instruction::Call { label } => (label, None),
                _ => continue,
            };
            let to = self.inside[self.target(label) as usize];
            if from == to {
                continue;
            }
            // The target is in a loop that is not around the branch, or only outside of one that is.
            let entered = to.filter(|&l| !self.loops_around(from).any(|around| around == l));
            let (place, at) = match (entered, from) {
                (Some(l), _) => ("inside", l),
                (None, Some(l)) => ("outside of", l),
                (None, None) => continue,
            };
            let name = self.labels[label.0 as usize].0.clone();
            return Err((Some(i), Violation::LoopJump { name, place, line: at }));
        }
        Ok(())
    }

    fn loops_around(&self, innermost: Option<u32>) -> impl Iterator<Item = u32> + '_ {
        let mut next = innermost;
        std::iter::from_fn(move || {
            let found = next?;
            next = self.inside[found as usize];
            Some(found)
        })
    }

    /// Where an instruction's part goes on, without entering a call.
    fn successors(&self, i: u32, instruction: &Instruction) -> [u32; 2] {
        let innermost = self.inside[i as usize];
        let jump = match *instruction {
            Instruction::Branch { label, .. } => self.target(label),
            Instruction::Loop { .. } => self.end[i as usize] + 1,
            Instruction::EndLoop => innermost.map_or(NONE, |l| l + 1),
            Instruction::Break { .. } => innermost.map_or(NONE, |l| self.end[l as usize] + 1),
            Instruction::Continue { .. } => innermost.map_or(NONE, |l| self.end[l as usize]),
            _ => NONE,
        };
        [if instruction.falls_through() { i + 1 } else { NONE }, jump]
    }

    /// Cuts the program into its main body and its subroutines.
    fn find_parts(&mut self, instructions: &[Instruction]) -> Result<(), Broken> {
        let mut part_at = vec![NONE; instructions.len()];
        let mut starts = vec![(0, "the main body".to_owned())];
        for (i, instruction) in instructions.iter().enumerate() {
            if let Instruction::Call { label } = *instruction {
                let start = self.target(label);
                if start != 0 && part_at[start as usize] == NONE {
                    part_at[start as usize] = starts.len() as u32;
                    starts.push((start, format!("subroutine {}", self.labels[label.0 as usize].0)));
                }
                self.callee[i] = if start == 0 { 0 } else { part_at[start as usize] as usize };
            }
        }
        let mut owner = vec![NONE; instructions.len()];
        for (part, (start, name)) in starts.into_iter().enumerate() {
            let mut reached = Vec::new();
            let mut open = vec![start];
            while let Some(i) = open.pop() {
                let place = i as usize;
                if owner[place] == part as u32 {
                    continue;
                }
                if owner[place] != NONE {
                    let first = self.parts[owner[place] as usize].name.clone();
                    return Err((Some(place), Violation::SubroutineJump { first, second: name }));
                }
                owner[place] = part as u32;
                reached.push(i);
                if part == 0 && instructions[place] == Instruction::Return {
                    return Err((Some(place), Violation::Return {}));
                }
                let next = self.successors(i, &instructions[place]);
                open.extend(next.into_iter().filter(|&n| n != NONE));
            }
            reached.sort_unstable();
            self.parts.push(Part { name, start, instructions: reached, offsets: Vec::new() });
        }
        Ok(())
    }

    /// Finds recursion, and how many steps each part has with its calls inlined.
    fn measure(&mut self, instructions: &[Instruction]) -> Result<(), Broken> {
        let call = |i: u32| matches!(instructions[i as usize], Instruction::Call { .. });
        // Depth first without recursion of its own: a chain of calls may be as long as the program.
        let mut open: Vec<(usize, usize)> = Vec::new();
        let mut seen = vec![Seen::Not; self.parts.len()];
        for first in 0..self.parts.len() {
            if seen[first] != Seen::Not {
                continue;
            }
            seen[first] = Seen::Open;
            self.parts[first].offsets.push(0);
            open.push((first, 0));
            while let Some((part, at)) = open.pop() {
                let steps = self.parts[part].offsets[at];
                let Some(&i) = self.parts[part].instructions.get(at) else {
                    seen[part] = Seen::Measured;
                    continue;
                };
                let mut size = 1;
                if call(i) {
                    let callee = self.callee[i as usize];
                    if seen[callee] == Seen::Not {
                        seen[callee] = Seen::Open;
                        self.parts[callee].offsets.push(0);
                        open.extend([(part, at), (callee, 0)]);
                        continue;
                    }
                    if seen[callee] == Seen::Open {
                        return Err((Some(i as usize), self.recursion(&open, part, callee)));
                    }
                    size += *self.parts[callee].offsets.last().unwrap_or(&0);
                }
                self.parts[part].offsets.push(steps.saturating_add(size));
                open.push((part, at + 1));
            }
        }
        Ok(())
    }

    fn recursion(&self, open: &[(usize, usize)], part: usize, callee: usize) -> Violation {
        let label = |p: usize| self.parts[p].name.trim_start_matches("subroutine ");
        let around = open.iter().map(|&(p, _)| p).chain([part]);
        let mut path: Vec<&str> = around.skip_while(|&p| p != callee).map(label).collect();
        path.push(label(callee));
        // The beginning and the end of a long way round say enough.
        if path.len() > 8 {
            path.splice(4..path.len() - 3, ["..."]);
        }
        Violation::Recursion { name: self.parts[callee].name.clone(), path: path.join(" -> ") }
    }

    /// The steps of the main body with every call inlined.
    pub fn inline(&self, instructions: &[Instruction]) -> Result<Code, Violation> {
        let count = *self.parts[0].offsets.last().unwrap_or(&0);
        if count > MAX_INSTRUCTIONS as u64 {
            let what = "instructions with calls inlined";
            return Err(Violation::Limit { count, what, limit: MAX_INSTRUCTIONS as u64 });
        }
        let mut steps: Vec<Step> = Vec::with_capacity(count as usize);
        let mut frames = vec![Frame { part: 0, at: 0, base: 0, back: 0, outer: None, depth: 0 }];
        while let Some(frame) = frames.last_mut() {
            let part = &self.parts[frame.part];
            let Some(&i) = part.instructions.get(frame.at) else {
                frames.pop();
                continue;
            };
            frame.at += 1;
            let frame = *frame;
            let place = |i: u32| self.step_of(&frame, i);
            let inside = self.inside[i as usize].map(place).or(frame.outer);
            let depth = frame.depth + self.depth[i as usize];
            let [_, jump] = self.successors(i, &instructions[i as usize]);
            let jumps = |conditional: bool| {
                if conditional { Flow::Branch(place(jump)) } else { Flow::Jump(place(jump)) }
            };
            let here = steps.len() as u32;
            let flow = match &instructions[i as usize] {
                Instruction::Branch { condition, .. }
                | Instruction::Break { condition }
                | Instruction::Continue { condition } => jumps(condition.is_some()),
                Instruction::Loop { .. } => Flow::Loop { exit: place(jump) },
                Instruction::EndLoop => Flow::Again { start: place(jump - 1) },
                Instruction::Return => Flow::Jump(frame.back),
                Instruction::Exit => Flow::Exit,
                Instruction::Call { .. } => {
                    let callee = self.callee[i as usize];
                    // Of a subroutine that never returns nothing follows the call.
                    let back = here + 1 + *self.parts[callee].offsets.last().unwrap_or(&0) as u32;
                    let inner = Frame { part: callee, at: 0, base: here + 1, back, outer: inside, depth };
                    frames.push(inner);
                    Flow::Jump(self.step_of(&inner, self.parts[callee].start))
                }
                _ => Flow::Next,
            };
            debug_assert_eq!(here, place(i));
            steps.push(Step { instruction: i, flow, inside, depth });
        }
        Ok(Code { steps })
    }

    /// The step of an instruction of a frame's part.
    fn step_of(&self, frame: &Frame, i: u32) -> u32 {
        let part = &self.parts[frame.part];
        // What is jumped to can be reached, so that it is in the part; likewise a loop around what is reached.
        let rank = part.instructions.binary_search(&i).expect("a part holds what it reaches");
        frame.base + part.offsets[rank] as u32
    }
}

/// A call that is being inlined.
#[derive(Clone, Copy)]
struct Frame {
    part: usize,
    /// Instructions of the part that are done.
    at: usize,
    /// The step of the part's first instruction.
    base: u32,
    /// The step after the call.
    back: u32,
    outer: Option<u32>,
    depth: u32,
}

struct Loops {
    inside: Vec<Option<u32>>,
    depth: Vec<u32>,
    end: Vec<u32>,
}

fn match_loops(instructions: &[Instruction]) -> Result<Loops, Broken> {
    let count = instructions.len();
    let mut found = Loops { inside: vec![None; count], depth: vec![0; count], end: vec![NONE; count] };
    let mut open: Vec<u32> = Vec::new();
    for (i, instruction) in instructions.iter().enumerate() {
        found.inside[i] = open.last().copied();
        found.depth[i] = open.len() as u32;
        let opcode = match instruction {
            Instruction::Loop { .. } => {
                open.push(i as u32);
                continue;
            }
            Instruction::EndLoop => "endloop",
            Instruction::Break { .. } => "break",
            Instruction::Continue { .. } => "continue",
            _ => continue,
        };
        let Some(&innermost) = open.last() else {
            return Err((Some(i), Violation::NoLoop { opcode }));
        };
        if opcode == "endloop" {
            found.end[innermost as usize] = i as u32;
            open.pop();
        }
    }
    match open.pop() {
        Some(innermost) => Err((Some(innermost as usize), Violation::OpenLoop {})),
        None => Ok(found),
    }
}
