//! What is wrong in a lane: which one it is, and what it was doing.

use super::decode::Access;
use super::machine::Machine;
use crate::backends::fault::{FaultAccess, LaneFault, show};
use crate::generated::lanes::Fault;
use crate::layout;
use crate::program::Instruction;

impl Machine<'_> {
    /// The place of a lane in the grid, and that of its block.
    fn places(&self, lane: usize) -> ([i64; 3], [i64; 3]) {
        let grid = &self.run.grid;
        let block = grid.block_at(self.first + (lane / self.run.block_size) as i64);
        let local = grid.lane_at(lane % self.run.block_size);
        // The lane runs, so that it is in the grid.
        (grid.global(block, local).unwrap_or(local), block)
    }

    fn number(&self, step: u32) -> usize {
        self.run.launch.program().code().steps()[step as usize].instruction as usize
    }

    /// A fault of a lane at a step: it and those above it stop. Lower lanes go on, and may have one that goes before.
    pub fn fail(&mut self, step: u32, lane: usize, what: Fault) {
        let (program, number) = (self.run.launch.program(), self.number(step));
        let (place, block) = self.places(lane);
        self.fault = Some(Box::new(LaneFault {
            kernel: program.name().to_owned(),
            line: program.line(number),
            instruction: program.show(number),
            lane: place,
            block,
            what,
            access: None,
            race: None,
        }));
        self.stop_from(lane);
    }

    pub fn fail_assert(&mut self, step: u32, lane: usize) {
        let instruction = &self.run.launch.program().instructions()[self.number(step)];
        let message = match instruction {
            Instruction::Assert { message, .. } => message.clone(),
            _ => String::new(),
        };
        self.fail(step, lane, Fault::Assertion { message });
    }

    /// An index of a lane is out of bounds.
    pub fn fail_access(&mut self, step: u32, lane: usize, access: &Access) {
        let (launch, program) = (self.run.launch, self.run.launch.program());
        let buffers = program.buffers().len();
        let (name, shape) = match (access.array as usize).checked_sub(buffers) {
            None => {
                let i = access.array as usize;
                (program.buffers()[i].name.clone(), launch.buffers()[i].shape().to_vec())
            }
            Some(i) => (program.shared()[i].name.clone(), program.shared()[i].extents.clone()),
        };
        let index: Vec<i64> = access.index.iter().map(|i| self.index_of(i.from, lane)).collect();
        let shown = match index[..] {
            [one] => one.to_string(),
            _ => layout::show(&index),
        };
        let what = Fault::OutOfBounds { array: name.clone(), index: shown, shape: layout::show(&shape) };
        self.fail(step, lane, what);
        if let Some(fault) = &mut self.fault {
            fault.access = Some(FaultAccess { buffer: name, index, shape });
        }
    }

    /// Lanes wait at different places: a fault of the lowest one.
    pub fn fail_meeting(&mut self) {
        let alive = self.alive;
        let mut waiting = alive.lanes();
        let Some(first) = waiting.next() else { return };
        let Some(at) = self.halted_at(first) else { return };
        let code = self.run.launch.program().code();
        let mut found = None;
        for lane in waiting {
            let Some(step) = self.halted_at(lane) else { continue };
            let same = step == at
                && code.loops_around(at).all(|start| self.counter(start, lane) == self.counter(start, first));
            if !same {
                found = Some((lane, step));
                break;
            }
        }
        let Some((lane, step)) = found else { return };
        let program = self.run.launch.program();
        let number = self.number(step);
        let mut instruction = program.show(number);
        if step == at {
            instruction += ", in another iteration";
        } else if number == self.number(at) {
            instruction += ", in another call";
        }
        let lane = show(self.places(lane).0);
        self.fail(at, first, Fault::Barrier { lane, line: program.line(number), instruction });
    }
}
