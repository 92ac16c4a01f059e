//! What is known of a program before it runs: which registers hold one value for all lanes of a tile, where
//! lanes may have parted, and what those that wait still need.
//!
//! Lanes that have parted run lowest step first, so that where some wait at the block of steps Q, others
//! run only blocks below Q. The pairs (P, Q) of a running and a waiting block follow from the branches that may
//! part lanes. A write in P needs to spare the lanes that do not run only where one of these Q may still read
//! what was there. That one question decides which writes are blended, which registers can be kept as one
//! value, or as a first value and a step, and which loads can be read in place.

use super::rename::Renamed;
use crate::generated::ops::{Binary, Unary};
use crate::program::{
    Code, Condition, Flow, Graph, Instruction, Operand, Place, Program, Register, Special, Type,
};

/// How a register's values over the lanes of a tile are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Nothing writes it.
    Unknown,
    /// Lane t has `first + t * step`; with step 0 all lanes have one value, of any type.
    Affine(i64),
    /// Each lane has its own.
    Lanes,
}

impl Class {
    pub const UNIFORM: Class = Class::Affine(0);

    fn join(self, other: Class) -> Class {
        match (self, other) {
            (Class::Unknown, c) | (c, Class::Unknown) => c,
            (a, b) if a == b => a,
            _ => Class::Lanes,
        }
    }
}

/// Sets of registers, one row each.
pub struct Rows {
    words: usize,
    bits: Vec<u64>,
}

impl Rows {
    fn new(rows: usize, members: usize) -> Rows {
        let words = members.div_ceil(64).max(1);
        Rows { words, bits: vec![0; rows * words] }
    }

    /// The same rows, with room for more members.
    fn widened(&self, rows: usize, members: usize) -> Rows {
        let mut wide = Rows::new(rows, members);
        for row in 0..rows {
            wide.row_mut(row)[..self.words].copy_from_slice(self.row(row));
        }
        wide
    }

    fn row(&self, row: usize) -> &[u64] {
        &self.bits[row * self.words..(row + 1) * self.words]
    }

    fn row_mut(&mut self, row: usize) -> &mut [u64] {
        &mut self.bits[row * self.words..(row + 1) * self.words]
    }

    pub fn contains(&self, row: usize, member: usize) -> bool {
        self.row(row)[member / 64] >> (member % 64) & 1 == 1
    }

    /// True where the member is new.
    fn insert(&mut self, row: usize, member: usize) -> bool {
        let word = &mut self.row_mut(row)[member / 64];
        let before = *word;
        *word |= 1 << (member % 64);
        before != *word
    }

    fn remove(&mut self, row: usize, member: usize) {
        self.row_mut(row)[member / 64] &= !(1 << (member % 64));
    }

    /// Adds the members of another row; true where one is new.
    fn add_row(&mut self, row: usize, others: &[u64]) -> bool {
        let mut changed = false;
        for (word, other) in self.row_mut(row).iter_mut().zip(others) {
            changed |= other & !*word != 0;
            *word |= other;
        }
        changed
    }

    pub fn members(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        self.row(row).iter().enumerate().flat_map(|(i, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    64 * i + bit
                })
            })
        })
    }
}

/// Programs of more blocks of steps are not analysed: their pairs would take more time than they save.
const MOST_BLOCKS: usize = 1024;

pub struct Analysis<'a> {
    pub program: &'a Program,
    pub code: &'a Code,
    pub graph: &'a Graph,
    /// Registers of the program; behind them the counts of the loops around a step, one a depth, and those added.
    pub registers: usize,
    pub renamed: Renamed,
    pub classes: Vec<Class>,
    /// Whether the blocks of a tile lie in one row of the grid, so that `%gid.x` is consecutive.
    flat: bool,
    /// Whether a tile is one block.
    pub alone: bool,
    /// By block of steps: what may be read from its start on, and from its end on.
    pub live_in: Rows,
    pub live_out: Rows,
    /// By block of steps: what lanes that wait may still read.
    keep: Rows,
    /// By step that stores a register, branches on one or updates at one: whether nobody reads the register behind it.
    ends: Vec<bool>,
    /// By buffer, and in the last row for all of them: what is live where others may change an element.
    disturbed: Rows,
    /// Whether the sets above say anything; otherwise lanes may wait anywhere and need everything.
    pub is_precise: bool,
}

/// Whether lanes of a block depend on one another: a tile is then one block.
pub fn needs_whole_blocks(program: &Program) -> bool {
    !program.shared().is_empty() || program.instructions().iter().any(Instruction::is_block_wide)
}

impl<'a> Analysis<'a> {
    /// With `parted` nothing is assumed of where lanes wait: every register is each lane's own.
    pub fn new(program: &'a Program, flat: bool, parted: bool) -> Analysis<'a> {
        let (code, graph) = (program.code(), program.graph());
        let registers = program.registers().len() + code.deepest() as usize;
        let blocks = graph.blocks().len();
        let is_precise = !parted && blocks <= MOST_BLOCKS;
        let rows = if is_precise { blocks } else { 0 };
        let mut analysis = Analysis {
            program,
            code,
            graph,
            registers,
            renamed: Renamed::none(registers),
            classes: Vec::new(),
            flat,
            alone: needs_whole_blocks(program),
            live_in: Rows::new(rows, registers),
            live_out: Rows::new(rows, registers),
            keep: Rows::new(rows, registers),
            ends: Vec::new(),
            disturbed: Rows::new(0, registers),
            is_precise,
        };
        if is_precise {
            analysis.find_liveness();
            analysis.rename();
            analysis.find_ends();
        }
        let class = if is_precise { Class::Unknown } else { Class::Lanes };
        analysis.classes = vec![class; analysis.registers];
        if is_precise {
            analysis.classify();
        }
        analysis
    }

    fn rename(&mut self) {
        self.renamed = Renamed::new(self.program, self.code, self.graph, &self.live_out, self.registers);
        if self.renamed.len() > 0 {
            self.registers += self.renamed.len();
            let blocks = self.graph.blocks().len();
            // None of those added lives from block to block, nor does any other less long than it did.
            self.live_in = self.live_in.widened(blocks, self.registers);
            self.live_out = self.live_out.widened(blocks, self.registers);
            self.keep = Rows::new(blocks, self.registers);
        }
    }

    pub fn instruction(&self, step: u32) -> &Instruction {
        let number = self.code.steps()[step as usize].instruction as usize;
        self.renamed.instruction(step).unwrap_or(&self.program.instructions()[number])
    }

    /// The register of the count of the loop that starts at a step.
    pub fn count_register(&self, start: u32) -> usize {
        self.program.registers().len() + self.code.steps()[start as usize].depth as usize
    }

    pub fn type_of(&self, register: usize) -> Type {
        let register = self.renamed.origin(register).map_or(register, |(register, _)| register);
        self.program.registers().get(register).map_or(Type::I64, |r| r.ty)
    }

    /// Calls `f` with every register that a step reads.
    pub fn reads(&self, step: u32, mut f: impl FnMut(usize)) {
        self.instruction(step).for_each_read(|operand| {
            if let Operand::Register(Register(r)) = operand {
                f(usize::from(r));
            }
        });
        if let Flow::Again { start } = self.code.steps()[step as usize].flow {
            f(self.count_register(start));
            f(self.counter(start));
        }
    }

    /// Calls `f` with every register that a step writes.
    pub fn writes(&self, step: u32, mut f: impl FnMut(usize)) {
        if let Some(Register(r)) = self.instruction(step).writes() {
            f(usize::from(r));
        }
        match self.code.steps()[step as usize].flow {
            Flow::Loop { .. } => f(self.count_register(step)),
            Flow::Again { start } => f(self.counter(start)),
            _ => {}
        }
    }

    pub fn counter(&self, start: u32) -> usize {
        self.instruction(start).writes().map_or(0, |Register(r)| usize::from(r))
    }

    fn find_liveness(&mut self) {
        let blocks = self.graph.blocks();
        let mut used = Rows::new(blocks.len(), self.registers);
        let mut set = Rows::new(blocks.len(), self.registers);
        for (b, block) in blocks.iter().enumerate() {
            for step in block.start..block.end {
                self.reads(step, |r| {
                    if !set.contains(b, r) {
                        used.insert(b, r);
                    }
                });
                self.writes(step, |r| {
                    set.insert(b, r);
                });
            }
        }
        let mut open: Vec<usize> = (0..blocks.len()).collect();
        let mut queued = vec![true; blocks.len()];
        while let Some(b) = open.pop() {
            queued[b] = false;
            let mut changed = false;
            for word in 0..self.live_in.words {
                let out =
                    blocks[b].successors.iter().fold(0, |out, &s| out | self.live_in.row(s as usize)[word]);
                self.live_out.row_mut(b)[word] = out;
                let live = used.row(b)[word] | out & !set.row(b)[word];
                let before = &mut self.live_in.row_mut(b)[word];
                changed |= *before != live;
                *before = live;
            }
            if changed {
                for &p in &blocks[b].predecessors {
                    if !std::mem::replace(&mut queued[p as usize], true) {
                        open.push(p as usize);
                    }
                }
            }
        }
    }

    /// Classes and pairs depend on one another; both only grow, so that this ends.
    fn classify(&mut self) {
        loop {
            while self.grow_classes() {}
            if !self.find_kept() {
                return;
            }
        }
    }

    fn grow_classes(&mut self) -> bool {
        let mut changed = false;
        for step in 0..self.code.steps().len() as u32 {
            let block = self.graph.block_of(step) as usize;
            let mut written = [None; 2];
            self.writes(step, |r| written[usize::from(written[0].is_some())] = Some(r));
            for r in written.into_iter().flatten() {
                let class =
                    if self.keep.contains(block, r) { Class::Lanes } else { self.value_class(step, r) };
                let joined = self.classes[r].join(class);
                changed |= std::mem::replace(&mut self.classes[r], joined) != joined;
            }
        }
        changed
    }

    pub fn class_of(&self, operand: Operand) -> Class {
        match operand {
            Operand::Register(Register(r)) => self.classes[usize::from(r)],
            Operand::Special(special) => self.special_class(special),
            Operand::Param(_) | Operand::Constant(_) => Class::UNIFORM,
        }
    }

    pub fn special_class(&self, special: Special) -> Class {
        match (special.what, special.axis) {
            (Place::Lanes | Place::Blocks | Place::Grid, _) => Class::UNIFORM,
            (Place::Block, _) if self.alone => Class::UNIFORM,
            (Place::Gid, 0) if self.flat => Class::Affine(1),
            (Place::Lane, 0) if self.flat && self.alone => Class::Affine(1),
            (Place::Gid | Place::Lane | Place::Block, 1 | 2) if self.flat => Class::UNIFORM,
            _ => Class::Lanes,
        }
    }

    /// The class of what a step writes to a register.
    fn value_class(&self, step: u32, register: usize) -> Class {
        use Instruction as I;
        let instruction = self.instruction(step);
        let constant = |operand: Operand| match operand {
            Operand::Constant(value) if value.ty() == Type::I64 => Some(value.to_index()),
            _ => None,
        };
        let times = |a: Operand, b: Operand| match (self.class_of(a), self.class_of(b)) {
            (Class::Affine(0), Class::Affine(0)) => Some(Class::UNIFORM),
            (Class::Affine(step), Class::Affine(0)) => {
                constant(b).map(|c| Class::Affine(step.wrapping_mul(c)))
            }
            (Class::Affine(0), Class::Affine(step)) => {
                constant(a).map(|c| Class::Affine(step.wrapping_mul(c)))
            }
            _ => None,
        };
        let plus = |a: Class, b: Class, sign: i64| match (a, b) {
            (Class::Affine(a), Class::Affine(b)) => Some(Class::Affine(a.wrapping_add(b.wrapping_mul(sign)))),
            _ => None,
        };
        let (mut unknown, mut uniform) = (false, true);
        instruction.for_each_read(|operand| {
            unknown |= self.class_of(operand) == Class::Unknown;
            uniform &= self.class_of(operand) == Class::UNIFORM;
        });
        if let Flow::Again { .. } = self.code.steps()[step as usize].flow {
            // One more than before, which another write has decided.
            return self.classes[register];
        }
        if unknown {
            return Class::Unknown;
        }
        let affine = match *instruction {
            I::Loop { .. } if register < self.program.registers().len() => return Class::UNIFORM,
            I::Scan { .. } => return Class::Lanes,
            I::Reduce { .. } | I::Extent { .. } => return Class::UNIFORM,
            I::Move { from, .. } => Some(self.class_of(from)),
            I::Unary { op: Unary::Negative, ty: Type::I64, from, .. } => {
                plus(Class::UNIFORM, self.class_of(from), -1)
            }
            I::Binary { op: Binary::Add, ty: Type::I64, left, right, .. } => {
                plus(self.class_of(left), self.class_of(right), 1)
            }
            I::Binary { op: Binary::Subtract, ty: Type::I64, left, right, .. } => {
                plus(self.class_of(left), self.class_of(right), -1)
            }
            I::Binary { op: Binary::Multiply, ty: Type::I64, left, right, .. } => times(left, right),
            I::Mad { ty: Type::I64, a, b, c, .. } => {
                times(a, b).and_then(|product| plus(product, self.class_of(c), 1))
            }
            _ => None,
        };
        match affine {
            Some(class) => class,
            None if uniform => Class::UNIFORM,
            None => Class::Lanes,
        }
    }

    /// Whether lanes may go different ways after a step.
    pub fn parts(&self, step: u32) -> bool {
        let varies = |class: Class| !matches!(class, Class::UNIFORM | Class::Unknown);
        match self.code.steps()[step as usize].flow {
            Flow::Branch(_) => {
                let mut found = false;
                self.instruction(step).for_each_read(|operand| found |= varies(self.class_of(operand)));
                found
            }
            Flow::Loop { .. } => varies(self.classes[self.count_register(step)]),
            Flow::Again { start } => {
                varies(self.classes[self.count_register(start)]) || varies(self.classes[self.counter(start)])
            }
            _ => false,
        }
    }

    /// Finds the pairs, and from them what is kept; true where that is more than before.
    fn find_kept(&mut self) -> bool {
        let blocks = self.graph.blocks();
        // By running block: the blocks at which others may wait.
        let mut pairs = Rows::new(blocks.len(), blocks.len());
        let mut open: Vec<(u32, u32)> = Vec::new();
        let mut found = |a: u32, b: u32, open: &mut Vec<(u32, u32)>| {
            if a != b && pairs.insert(a.min(b) as usize, a.max(b) as usize) {
                open.push((a.min(b), a.max(b)));
            }
        };
        for block in blocks {
            if let [a, b] = block.successors[..]
                && self.parts(block.end - 1)
            {
                found(a, b, &mut open);
            }
        }
        while let Some((running, waiting)) = open.pop() {
            let block = &blocks[running as usize];
            // Lanes that come to a block-wide instruction while others wait elsewhere run as `parted` from there on.
            if (block.start..block.end).any(|step| self.instruction(step).is_block_wide()) {
                continue;
            }
            for &next in &block.successors {
                found(next, waiting, &mut open);
            }
        }
        let mut changed = false;
        for running in 0..blocks.len() {
            for waiting in pairs.members(running) {
                changed |= self.keep.add_row(running, self.live_in.row(waiting));
            }
        }
        changed
    }

    /// Whether lanes that wait while a step runs may still read what a register held.
    pub fn keeps(&self, step: u32, register: usize) -> bool {
        !self.is_precise || self.keep.contains(self.graph.block_of(step) as usize, register)
    }

    /// What is live after each step, once and for all: a walk back over every block.
    fn find_ends(&mut self) {
        let everywhere = self.program.buffers().len();
        let mut live = Rows::new(1, self.registers);
        let mut ends = vec![false; self.code.steps().len()];
        let mut disturbed = Rows::new(everywhere + 1, self.registers);
        for (b, block) in self.graph.blocks().iter().enumerate() {
            live.row_mut(0).copy_from_slice(self.live_out.row(b));
            for step in (block.start..block.end).rev() {
                let changed = match self.instruction(step) {
                    Instruction::Store { access, .. } | Instruction::Combine { access, .. } => {
                        Some(usize::from(access.array))
                    }
                    instruction => instruction.is_block_wide().then_some(everywhere),
                };
                if let Some(array) = changed {
                    disturbed.add_row(array, live.row(0));
                }
                if let Instruction::Store { from: Operand::Register(Register(r)), .. }
                | Instruction::Branch {
                    condition: Some(Condition { value: Operand::Register(Register(r)), .. }),
                    ..
                } = *self.instruction(step)
                {
                    ends[step as usize] = !live.contains(0, usize::from(r));
                }
                if let Instruction::Combine { access, .. } = self.instruction(step)
                    && let [Operand::Register(Register(r))] = access.index[..]
                {
                    ends[step as usize] = !live.contains(0, usize::from(r));
                }
                self.writes(step, |r| live.remove(0, r));
                self.reads(step, |r| {
                    live.insert(0, r);
                });
            }
        }
        (self.ends, self.disturbed) = (ends, disturbed);
    }

    /// Whether the register that a step stores, branches on or updates at is read no more before it is written again.
    pub fn ends(&self, step: u32) -> bool {
        self.is_precise && self.ends[step as usize]
    }

    /// Whether elements of a buffer may change while a register is live, by this lane or behind a barrier.
    pub fn is_disturbed(&self, buffer: u16, register: usize) -> bool {
        let everywhere = self.program.buffers().len();
        self.disturbed.contains(usize::from(buffer), register)
            || self.disturbed.contains(everywhere, register)
    }
}
