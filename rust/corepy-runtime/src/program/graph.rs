//! The control-flow graph of a program's steps, and where diverged lanes meet again.

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
    /// The nearest block that every way from here to the end of the lane goes through; none where the end is
    /// all that the ways have in common, or where no way leads there.
    pub post_dominator: Option<u32>,
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
        let mut graph = Graph::of_blocks(code);
        graph.find_post_dominators();
        graph
    }

    /// The graph without post-dominators.
    pub(super) fn of_blocks(code: &Code) -> Graph {
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
                    post_dominator: None,
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

    /// The step where lanes that go different ways after a step are together again; none where they meet only
    /// in the end.
    pub fn reconvergence(&self, step: u32) -> Option<u32> {
        let block = &self.blocks[self.block_of(step) as usize];
        if step + 1 < block.end {
            return Some(step + 1);
        }
        block.post_dominator.map(|p| self.blocks[p as usize].start)
    }

    /// Cooper, Harvey and Kennedy, *A Simple, Fast Dominance Algorithm* (2001), on the reversed graph from a
    /// common end.
    fn find_post_dominators(&mut self) {
        let count = self.blocks.len();
        let end = count;
        let ends: Vec<u32> =
            (0..count as u32).filter(|&b| self.blocks[b as usize].successors.is_empty()).collect();
        // Postorder of the reversed graph; blocks from which no way leads to the end are not in it.
        let mut order = Vec::with_capacity(count);
        let mut seen = vec![false; count];
        let mut open: Vec<(u32, usize)> = Vec::new();
        for &first in &ends {
            seen[first as usize] = true;
            open.push((first, 0));
            while let Some((block, at)) = open.pop() {
                match self.blocks[block as usize].predecessors.get(at) {
                    Some(&p) => {
                        open.push((block, at + 1));
                        if !seen[p as usize] {
                            seen[p as usize] = true;
                            open.push((p, 0));
                        }
                    }
                    None => order.push(block),
                }
            }
        }
        let mut rank = vec![usize::MAX; count + 1];
        for (i, &block) in order.iter().enumerate() {
            rank[block as usize] = i;
        }
        rank[end] = order.len();
        const UNKNOWN: usize = usize::MAX;
        let mut above = vec![UNKNOWN; count + 1];
        above[end] = end;
        let mut changed = true;
        while changed {
            changed = false;
            for &block in order.iter().rev() {
                let successors = &self.blocks[block as usize].successors;
                let mut common = if successors.is_empty() { end } else { UNKNOWN };
                for &s in successors {
                    let mut other = s as usize;
                    if above[other] == UNKNOWN {
                        continue;
                    }
                    if common == UNKNOWN {
                        common = other;
                        continue;
                    }
                    while common != other {
                        while rank[common] < rank[other] {
                            common = above[common];
                        }
                        while rank[other] < rank[common] {
                            other = above[other];
                        }
                    }
                }
                if common != above[block as usize] {
                    above[block as usize] = common;
                    changed = true;
                }
            }
        }
        for (block, &found) in self.blocks.iter_mut().zip(&above) {
            block.post_dominator = (found < end).then_some(found as u32);
        }
    }
}
