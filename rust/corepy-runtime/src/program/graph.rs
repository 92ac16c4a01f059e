//! The control-flow graph of a program's steps.

use super::code::{Code, Flow};

/// A run of steps that is entered at its first and left after its last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// The first step.
    pub start: u32,
    /// One past the last step.
    pub end: u32,
    /// Blocks that can follow; none where the last step ends the lane. A conditional jump has its fall-through first.
    pub successors: Vec<u32>,
    pub predecessors: Vec<u32>,
}

/// The blocks of a program in the order of their steps; the first is where lanes start. The only blocks that
/// cannot be reached are those behind a call that never returns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Graph {
    blocks: Vec<Block>,
    block_of: Vec<u32>,
}

impl Graph {
    pub(super) fn new(code: &Code) -> Graph {
        let count = code.steps().len();
        let mut starts = vec![false; count + 1];
        starts[0] = true;
        for step in 0..count as u32 {
            if code.steps()[step as usize].flow != Flow::Next {
                starts[step as usize + 1] = true;
                code.successors(step).for_each(|s| starts[s as usize] = true);
            }
        }
        let mut blocks: Vec<Block> = Vec::new();
        let mut block_of = Vec::with_capacity(count);
        for step in 0..count as u32 {
            if starts[step as usize] {
                blocks.push(Block {
                    start: step,
                    end: step,
                    successors: Vec::new(),
                    predecessors: Vec::new(),
                });
            }
            let last = blocks.len() - 1;
            blocks[last].end = step + 1;
            block_of.push(last as u32);
        }
        for b in 0..blocks.len() {
            let mut successors: Vec<u32> =
                code.successors(blocks[b].end - 1).map(|s| block_of[s as usize]).collect();
            successors.dedup();
            for &s in &successors {
                blocks[s as usize].predecessors.push(b as u32);
            }
            blocks[b].successors = successors;
        }
        Graph { blocks, block_of }
    }

    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The block that holds a step.
    pub fn block_of(&self, step: u32) -> u32 {
        self.block_of[step as usize]
    }
}
