//! Where registers are: one value in a slot, or a tile for as long as they hold something.

use super::analysis::Class;
use super::decode::{Decoder, Target};
use crate::generated::ops::{BINARY, Fault};
use crate::program::{Instruction, Mode, Operand, Register, Special, Type};

/// Who writes a register, and what is done with it.
#[derive(Clone, Copy, Default)]
struct Uses {
    writers: u32,
    writer: u32,
    /// Whether a value that another thread changes between two reads could do harm.
    trusted: bool,
}

/// When a register holds something: from its first to its last half step, reads at even ones and writes at odd.
#[derive(Clone, Copy)]
struct Span {
    first: u64,
    last: u64,
}

impl Decoder<'_> {
    /// Gives every register a place; the answer is the width of each tile, and how many aliases there are.
    pub fn place_registers(&mut self) -> (Vec<u8>, u32) {
        let analysis = self.analysis;
        let mut specials: Vec<Special> = Vec::new();
        for instruction in self.program.instructions() {
            instruction.for_each_read(|operand| {
                if let Operand::Special(special) = operand
                    && analysis.special_class(special) == Class::Lanes
                    && !specials.contains(&special)
                {
                    specials.push(special);
                }
            });
        }
        let mut tiles = vec![8u8; specials.len()];
        self.special_tiles = specials;
        let width = |r: usize| analysis.type_of(r).bytes() as u8;
        let spans = self.spans();
        let mut order: Vec<usize> = (0..analysis.registers)
            .filter(|&r| analysis.classes[r] == Class::Lanes && spans[r].is_some())
            .collect();
        order.sort_by_key(|&r| spans[r].map(|s| s.first));
        let mut place = vec![None; analysis.registers];
        // By tile: until when it is taken.
        let mut taken = vec![u64::MAX; tiles.len()];
        for r in order {
            let Some(span) = spans[r] else { continue };
            let is_free = |&t: &usize| tiles[t] == width(r) && taken[t] < span.first;
            // What is computed from a value that it replaces takes the place of that.
            let replaced =
                analysis.renamed.origin(r).and_then(|(_, writer)| self.replaced(writer, r, &place));
            let free = replaced.filter(is_free).or_else(|| (0..tiles.len()).find(is_free));
            let tile = free.unwrap_or_else(|| {
                tiles.push(width(r));
                taken.push(0);
                tiles.len() - 1
            });
            taken[tile] = span.last;
            place[r] = Some(tile as u32);
        }
        self.holds = vec![Vec::new(); tiles.len()];
        for (r, tile) in place.iter().enumerate() {
            if let Some(tile) = tile {
                self.holds[*tile as usize].push(r as u32);
            }
        }
        let uses = self.uses();
        let mut aliases = 0;
        for r in 0..analysis.registers {
            let class = analysis.classes[r];
            let target = match (class, place[r]) {
                (Class::Affine(_), _) => {
                    self.slots.push(0);
                    Target::Slot(self.slots.len() as u32 - 1)
                }
                (Class::Lanes, Some(tile)) if analysis.is_precise && self.stays_in_place(r, uses[r]) => {
                    aliases += 1;
                    Target::Alias { alias: tiles.len() as u32 + aliases - 1, tile }
                }
                (Class::Lanes, Some(tile)) => Target::Tile(tile),
                _ => Target::Nowhere,
            };
            self.registers.push((target, class, width(r)));
        }
        (tiles, aliases)
    }

    /// The tile of a register that a step reads and that stands for the one that it writes.
    fn replaced(&self, step: u32, register: usize, place: &[Option<u32>]) -> Option<usize> {
        let renamed = &self.analysis.renamed;
        let origin = |r: usize| renamed.origin(r).map_or(r, |(origin, _)| origin);
        let mut found = None;
        self.analysis.reads(step, |r| {
            if origin(r) == origin(register) {
                found = place[r].map(|tile| tile as usize);
            }
        });
        found
    }

    fn spans(&self) -> Vec<Option<Span>> {
        let analysis = self.analysis;
        let mut spans: Vec<Option<Span>> = vec![None; analysis.registers];
        let mut at = |r: usize, half: u64| {
            let span = spans[r].get_or_insert(Span { first: half, last: half });
            span.first = span.first.min(half);
            span.last = span.last.max(half);
        };
        for step in 0..analysis.code.steps().len() as u32 {
            let half = 2 * u64::from(step);
            analysis.reads(step, |r| at(r, half));
            analysis.writes(step, |r| at(r, half + 1));
        }
        if analysis.is_precise {
            for (b, block) in analysis.graph.blocks().iter().enumerate() {
                analysis.live_in.members(b).for_each(|r| at(r, 2 * u64::from(block.start)));
                analysis.live_out.members(b).for_each(|r| at(r, 2 * u64::from(block.end)));
            }
        } else {
            // Each has a tile of its own, so that registers can be moved there at any step.
            spans.iter_mut().for_each(|span| *span = Some(Span { first: 0, last: u64::MAX }));
        }
        spans
    }

    fn uses(&self) -> Vec<Uses> {
        use Instruction as I;
        let analysis = self.analysis;
        let mut uses = vec![Uses::default(); analysis.registers];
        for step in 0..analysis.code.steps().len() as u32 {
            analysis.writes(step, |r| {
                uses[r].writers += 1;
                uses[r].writer = step;
            });
            let mut trust = |operand: &Operand| {
                if let Operand::Register(Register(r)) = *operand {
                    uses[usize::from(r)].trusted = true;
                }
            };
            match analysis.instruction(step) {
                I::Load { access, .. }
                | I::LoadShared { access, .. }
                | I::Store { access, .. }
                | I::StoreShared { access, .. }
                | I::Combine { access, .. }
                | I::CombineShared { access, .. } => access.index.iter().for_each(trust),
                I::Loop { count, .. } => trust(count),
                I::Binary { op, right, .. } if BINARY[*op as usize].fault != Fault::None => trust(right),
                _ => {}
            }
        }
        uses
    }

    /// Whether what is loaded to a register may be read in the buffer: nothing changes it there before the last
    /// use, and nobody relies on reading the same value twice.
    fn stays_in_place(&self, register: usize, uses: Uses) -> bool {
        let Uses { writers: 1, writer, trusted: false } = uses else { return false };
        let analysis = self.analysis;
        let Instruction::Load { ty, access, .. } = analysis.instruction(writer) else { return false };
        if *ty == Type::B1 || *ty != ty.in_register() || analysis.keeps(writer, register) {
            return false;
        }
        let mode = self.program.buffers()[usize::from(access.array)].mode;
        mode == Mode::In || !analysis.is_disturbed(access.array, register)
    }
}
