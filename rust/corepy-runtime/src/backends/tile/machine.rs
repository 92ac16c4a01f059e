//! Runs one tile: control flow, and the lanes that have parted in turn.
//!
//! Lanes that are at one step run together. Of lanes at different steps those at the lowest run, until they come to
//! a step where others wait; so they meet again where their ways do. At a block-wide instruction all lanes that are
//! left must meet.

use super::decode::{Decoded, Op, Source, Target, Write};
use super::lanes::{Active, Group, Set};
use super::run::Run;
use crate::backends::fault::LaneFault;
use crate::generated::abi;
use crate::generated::lanes::Fault;
use crate::generated::ops::Binary;
use crate::kernels::Form;
use crate::memory::arena::Arena;
use crate::program::{Combine, Type, Value};
use crate::scheduler;

/// The launch is to stop: the user wants that, or a lower tile has a fault.
pub struct Halt;

/// The lanes that ran have ended: others go on.
pub const NOBODY: u32 = u32::MAX;
/// Steps between two polls: each takes some 0.1 us, and a slow one 10.
const FUEL: i64 = 4096;
/// Steps of one group after which those that wait run for a while, whatever their step: what they do may end the
/// launch, and lanes that go round forever at lower steps must not keep them from it.
const PATIENCE: i64 = 1 << 22;
/// Steps of such a turn.
const TURN: i64 = 4096;
/// Tiles of scratch of eight bytes a lane.
pub const TEMPS: usize = 4;

/// What a comparison says of the active lanes: all the same, or these are those for which it holds.
enum Split {
    None(bool),
    Lanes(Set),
}

/// A buffer or a shared array.
#[derive(Clone, Copy)]
pub struct Array {
    pub data: *mut u8,
    pub extents: [i64; crate::program::MAX_AXES],
    /// In bytes.
    pub strides: [i64; crate::program::MAX_AXES],
    pub aligned: bool,
    /// Whether other threads may update it beside this one.
    pub atomic: bool,
}

/// A decoded form and the memory of its registers.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    pub code: &'a Decoded,
    pub pointers: *mut *mut u8,
    pub slots: *mut u64,
}

/// A sum of which this thread has a copy: the buffer's place and its own array.
#[derive(Clone, Copy)]
pub struct Private {
    pub buffer: usize,
    pub data: *mut u8,
    pub elements: usize,
    pub ty: Type,
    pub op: Combine,
    pub identity: Value,
}

/// Most sums of which a thread keeps copies.
pub const MOST_PRIVATE: usize = 4;
pub struct Machine<'a> {
    pub run: &'a Run<'a>,
    pub table: &'static abi::kernels,
    pub arena: &'a Arena,
    pub frame: Frame<'a>,
    pub precise: Frame<'a>,
    pub parted: Option<Frame<'a>>,
    /// Lanes for which each alias points into a buffer.
    pub alias_lanes: *mut (u32, u32),
    pub temps: [*mut u8; TEMPS],
    /// The active lanes as a mask of bytes, where that has been asked for.
    pub bytes: *mut u8,
    pub has_bytes: bool,
    pub arrays: *mut Array,
    pub shared: *mut u8,
    shared_bytes: usize,
    pub private: [Option<Private>; MOST_PRIVATE],
    groups: *mut Group,
    pub waiting: usize,
    /// Groups at block-wide instructions.
    halted: *mut Group,
    pub parked: usize,
    /// Branches back and rounds of loops of each lane, where they are limited.
    rounds: *mut u64,
    pub active: Active,
    /// All lanes of a whole tile are active.
    is_whole: bool,
    pub alive: Set,
    /// The lowest step at which lanes wait.
    limit: u32,
    /// Lanes that would wait are running for a while.
    detour: bool,
    turn: usize,
    wants_detour: bool,
    patience: i64,
    fuel: i64,
    tile: i64,
    /// The first block of the tile, its place, and how many there are.
    pub first: i64,
    pub place: [i64; 3],
    pub blocks: i64,
    pub fault: Option<Box<LaneFault>>,
}

impl<'a> Machine<'a> {
    /// Prepares the calling thread for a number of tiles.
    pub fn new(run: &'a Run<'a>, arena: &'a Arena, tiles: i64) -> Machine<'a> {
        let (code, program) = (run.code, run.launch.program());
        let folds = code.ops.iter().any(|op| matches!(op, Op::Fold(_)));
        let width = if folds { run.lanes.max(run.block_size.next_power_of_two()) } else { run.lanes };
        let width = width.next_multiple_of(64);
        let precise = Machine::frame(run, arena, code);
        let groups = code.groups.min(run.lanes) + 2;
        let scratch = arena.scratch(TEMPS * 8 * width).as_ptr();
        let array_count = program.buffers().len() + program.shared().len();
        let arrays = arena.scratch(array_count * size_of::<Array>()).as_ptr().cast::<Array>();
        let shared = arena.scratch(program.shared_bytes()).as_ptr();
        let rounds = if run.launch.step_limit().is_some() { 8 * run.lanes } else { 0 };
        let mut machine = Machine {
            run,
            table: run.table,
            arena,
            frame: precise,
            precise,
            parted: None,
            alias_lanes: arena.scratch(8 * code.aliases as usize).as_ptr().cast(),
            temps: std::array::from_fn(|i| scratch.wrapping_add(8 * width * i)),
            bytes: arena.scratch(width).as_ptr(),
            has_bytes: false,
            arrays,
            shared,
            shared_bytes: program.shared_bytes(),
            private: [None; MOST_PRIVATE],
            groups: arena.scratch(groups * size_of::<Group>()).as_ptr().cast(),
            waiting: 0,
            halted: arena.scratch(groups * size_of::<Group>()).as_ptr().cast(),
            parked: 0,
            rounds: arena.scratch(rounds).as_ptr().cast(),
            active: Active::NONE,
            is_whole: false,
            alive: Set::NONE,
            limit: NOBODY,
            detour: false,
            turn: 0,
            wants_detour: false,
            patience: PATIENCE,
            fuel: FUEL,
            tile: 0,
            first: 0,
            place: [0; 3],
            blocks: 0,
            fault: None,
        };
        machine.describe_arrays();
        machine.fill_places(precise);
        if run.parallel {
            machine.keep_sums(tiles);
        }
        machine
    }

    /// Runs one tile; the answer is its fault.
    pub fn run(&mut self, tile: i64) -> Result<Option<Box<LaneFault>>, Halt> {
        self.tile = tile;
        (self.first, self.place, self.blocks) = self.run.blocks_of(tile);
        self.frame = self.precise;
        (self.waiting, self.parked, self.limit) = (0, 0, NOBODY);
        (self.detour, self.wants_detour, self.patience) = (false, false, PATIENCE);
        self.fault = None;
        // Sets of lanes are left as they are from one whole tile to the next: copying what has just been written
        // in smaller pieces stalls.
        if !self.run.is_whole(self.place, self.blocks) {
            self.set_active(self.run.present(self.first, self.place, self.blocks));
            self.alive = self.active.set;
        } else if !self.is_whole {
            self.set_active(Active::new(Set::range(0, self.run.lanes)));
            self.alive = self.active.set;
            self.is_whole = true;
        }
        self.fill_tile_specials(self.frame);
        // SAFETY: scratch of as many bytes; counters for every lane where they are limited.
        unsafe {
            if self.shared_bytes > 0 {
                self.shared.write_bytes(0, self.shared_bytes);
            }
            if self.run.launch.step_limit().is_some() {
                self.rounds.write_bytes(0, self.run.lanes);
            }
        }
        self.execute()?;
        Ok(self.fault.take())
    }

    fn execute(&mut self) -> Result<(), Halt> {
        let mut step = 0u32;
        loop {
            self.fuel -= 1;
            if self.fuel < 0 {
                self.poll()?;
            }
            if step >= self.limit {
                match self.change(step) {
                    Some(next) => step = next,
                    None => return Ok(()),
                }
            }
            let code = self.frame.code;
            step = match &code.ops[step as usize] {
                Op::Compute(compute) => self.compute(compute, step),
                Op::Chain(chain) => self.chain(chain, step),
                Op::Load { access, to, cast } => self.load(access, to, *cast, step),
                Op::Store { access, from, cast } => self.store(access, *from, *cast, step),
                Op::Combine { access, from, kernel } => self.combine(access, *from, *kernel, step),
                Op::Count(count) => self.count_indices(count, step),
                Op::Next => step + 1,
                Op::Jump(target) => self.all_go(step, *target),
                Op::Exit if !self.has_parted() => return Ok(()),
                Op::Exit => {
                    self.alive = self.alive.without(&self.active.set);
                    NOBODY
                }
                Op::Branch { condition, negated, target } => self.branch(step, *condition, *negated, *target),
                Op::Range { op, slot, step: by, other, negated, target } => {
                    match self.range(*op, *slot, *by, *other) {
                        Split::None(answer) if answer != *negated => *target,
                        Split::None(_) => step + 2,
                        Split::Lanes(set) => self.go(step + 1, set, *negated, *target, step + 2),
                    }
                }
                Op::Loop { counter, count, from, exit } => {
                    self.begin_loop(counter, count, *from, *exit, step)
                }
                Op::Again { counter, count, start } => self.again(counter, *count, *start, step),
                Op::Assert(condition) => self.assert(*condition, step),
                Op::Barrier | Op::Fold(_) => self.arrive(step),
            };
        }
    }

    pub fn set_active(&mut self, active: Active) {
        self.active = active;
        (self.is_whole, self.has_bytes) = (false, false);
    }

    /// Whether some lanes of the tile wait while others run.
    #[inline]
    pub fn has_parted(&self) -> bool {
        self.waiting + self.parked > 0
    }

    // ---- groups of lanes

    fn group(&mut self, i: usize) -> &mut Group {
        // SAFETY: `i` is below the count of groups that wait, which have been written; nothing else refers to one.
        unsafe { &mut *self.groups.add(i) }
    }

    fn halted_group(&mut self, i: usize) -> &mut Group {
        // SAFETY: as above, of groups at block-wide instructions.
        unsafe { &mut *self.halted.add(i) }
    }

    fn update_limit(&mut self) {
        self.limit = match self.waiting {
            0 => NOBODY,
            _ if self.detour => NOBODY,
            count => self.group(count - 1).step,
        };
    }

    /// Lanes wait at a step. The group at the lowest step is the last one.
    fn wait(&mut self, step: u32, set: Set) {
        let mut place = self.waiting;
        while place > 0 && self.group(place - 1).step < step {
            place -= 1;
        }
        if place > 0 && self.group(place - 1).step == step {
            let group = self.group(place - 1);
            group.set = group.set.or(&set);
            return;
        }
        // SAFETY: groups wait at starts of blocks of steps, each at another one, and there is room for all; of a
        // group that makes room for others at any step there is one.
        unsafe {
            let at = self.groups.add(place);
            at.copy_to(at.add(1), self.waiting - place);
            at.write(Group { step, set });
        }
        self.waiting += 1;
        self.update_limit();
    }

    fn take_group(&mut self, i: usize) -> Group {
        let group = *self.group(i);
        self.waiting -= 1;
        // SAFETY: the groups behind it move down by one.
        unsafe {
            let at = self.groups.add(i);
            at.copy_from(at.add(1), self.waiting - i);
        }
        group
    }

    /// At a step where others wait or behind it, or with nobody left: who runs, and from where.
    fn change(&mut self, step: u32) -> Option<u32> {
        if step == NOBODY {
            (self.detour, self.wants_detour, self.patience) = (false, false, PATIENCE);
            if self.waiting == 0 {
                self.update_limit();
                return if self.parked > 0 { self.meet() } else { None };
            }
            let lowest = self.take_group(self.waiting - 1);
            self.update_limit();
            self.set_active(Active::new(lowest.set));
            return Some(lowest.step);
        }
        if self.wants_detour {
            // The one after the one before, so that all have their turn.
            self.wants_detour = false;
            self.part();
            let set = self.active.set;
            self.turn += 1;
            let chosen = self.take_group(self.turn % self.waiting);
            self.detour = true;
            self.wait(step, set);
            self.update_limit();
            self.patience = TURN;
            self.set_active(Active::new(chosen.set));
            return Some(chosen.step);
        }
        let lowest = self.take_group(self.waiting - 1);
        self.patience = PATIENCE;
        if lowest.step == step {
            self.update_limit();
            let set = self.active.set.or(&lowest.set);
            self.set_active(Active::new(set));
            return Some(step);
        }
        let set = self.active.set;
        self.wait(step, set);
        self.update_limit();
        self.set_active(Active::new(lowest.set));
        Some(lowest.step)
    }

    /// Lanes from this one on stop: after a fault only lower ones matter.
    pub fn stop_from(&mut self, lane: usize) {
        let below = Set::range(0, lane);
        self.alive = self.alive.and(&below);
        let set = self.active.set.and(&below);
        self.set_active(Active::new(set));
        for i in (0..self.waiting).rev() {
            let group = self.group(i);
            group.set = group.set.and(&below);
            if group.set.is_empty() {
                self.take_group(i);
            }
        }
        let mut kept = 0;
        for i in 0..self.parked {
            let Group { step, set } = *self.halted_group(i);
            let set = set.and(&below);
            if !set.is_empty() {
                *self.halted_group(kept) = Group { step, set };
                kept += 1;
            }
        }
        self.parked = kept;
        self.update_limit();
    }

    // ---- control flow

    /// The active lanes where a condition holds.
    fn where_true(&mut self, mask: *const u8) -> Set {
        let mut set = Set::NONE;
        let start = self.active.lo / 64;
        let words = set.0[start..].as_mut_ptr();
        if let Some(kernel) = self.table.mask_bits {
            // SAFETY: the mask has a byte for every lane below `hi`, and the set a bit.
            unsafe { kernel(words, mask.add(64 * start), self.active.hi - 64 * start) };
        }
        set.and(&self.active.set)
    }

    fn branch(&mut self, step: u32, condition: Source, negated: bool, target: u32) -> u32 {
        match condition {
            Source::Slot(slot) => {
                let holds = self.frame.truth(slot) != negated;
                if holds { self.all_go(step, target) } else { step + 1 }
            }
            Source::Tile(tile) => {
                let set = self.where_true(self.frame.pointer(tile));
                self.go(step, set, negated, target, step + 1)
            }
            Source::Affine { .. } => step + 1,
        }
    }

    /// All active lanes go to a step.
    fn all_go(&mut self, step: u32, target: u32) -> u32 {
        if target <= step {
            let set = self.active.set;
            self.count(step, target, set);
            if self.active.is_empty() {
                return NOBODY;
            }
        }
        target
    }

    /// The lanes of a set, or with `negated` those that are not in it, go to `target`, the others to `next`.
    fn go(&mut self, step: u32, set: Set, negated: bool, target: u32, next: u32) -> u32 {
        let mut going = if negated { self.active.set.without(&set) } else { set };
        if going.is_empty() {
            return next;
        }
        if target <= step {
            self.count(step, target, going);
            if self.active.is_empty() {
                return NOBODY;
            }
            going = going.and(&self.active.set);
            if going.is_empty() {
                return next;
            }
        }
        if going == self.active.set {
            return target;
        }
        let staying = self.active.set.without(&going);
        if target == next {
            return next;
        }
        let (now, later) = if target < next {
            ((target, going), (next, staying))
        } else {
            ((next, staying), (target, going))
        };
        self.wait(later.0, later.1);
        self.set_active(Active::new(now.1));
        now.0
    }

    /// Lanes go back: others may get a turn, and each is held against the step limit.
    fn count(&mut self, step: u32, target: u32, going: Set) {
        if self.waiting > 0 {
            self.patience -= i64::from(step - target) + 1;
            if self.patience < 0 {
                // Taken up before the next step.
                self.wants_detour = !self.detour;
                self.detour = false;
                self.patience = PATIENCE;
                self.update_limit();
                if self.wants_detour {
                    self.limit = 0;
                }
            }
        }
        let Some(limit) = self.run.launch.step_limit() else { return };
        for lane in going.lanes() {
            // SAFETY: there is a counter for every lane.
            let rounds = unsafe { &mut *self.rounds.add(lane) };
            if *rounds == limit {
                self.fail(step, lane, Fault::StepLimit { limit });
                return;
            }
            *rounds += 1;
        }
    }

    fn poll(&mut self) -> Result<(), Halt> {
        self.fuel = FUEL;
        if scheduler::poll().is_err() || self.run.is_beyond_fault(self.tile) {
            return Err(Halt);
        }
        Ok(())
    }

    /// The lanes of a comparison of a value that changes with the lane.
    fn range(&mut self, op: Binary, slot: u32, by: i64, other: u32) -> Split {
        let (first, bound) = (self.frame.index(slot), self.frame.index(other));
        let (lo, hi) = (self.active.lo, self.active.hi);
        let value = |lane: usize| first.checked_add(by.checked_mul(lane as i64)?);
        if value(lo).is_none() || value(hi - 1).is_none() {
            // The values wrap: lane by lane.
            let mut set = Set::NONE;
            for lane in self.active.set.lanes() {
                let value = first.wrapping_add(by.wrapping_mul(lane as i64));
                if holds(op, value, bound) {
                    set.add_range(lane, lane + 1);
                }
            }
            return Split::Lanes(set);
        }
        let is = |lane: usize| value(lane).is_some_and(|value| holds(op, value, bound));
        let (start, end) = (is(lo), is(hi - 1));
        let set = match (start, end) {
            (true, true) | (false, false) => return Split::None(start),
            _ => {
                // The first lane whose answer is not that of `lo`.
                let (mut low, mut high) = (lo, hi - 1);
                while high - low > 1 {
                    let middle = (low + high) / 2;
                    if is(middle) == start { low = middle } else { high = middle }
                }
                if start { Set::range(lo, high) } else { Set::range(high, hi) }
            }
        };
        Split::Lanes(set.and(&self.active.set))
    }

    fn begin_loop(&mut self, counter: &Write, count: &Write, from: Source, exit: u32, step: u32) -> u32 {
        const ZERO: i64 = 0;
        let zero = std::ptr::from_ref(&ZERO).cast::<u8>();
        match (count.to, from) {
            (Target::Slot(to), Source::Slot(slot)) => {
                let n = self.frame.index(slot);
                self.frame.set_slot(to, n as u64);
                self.write_value(counter, zero);
                if n > 0 { step + 1 } else { self.all_go(step, exit) }
            }
            _ => {
                let values = self.vector(from, 8, 1);
                self.write_vector(count, values);
                self.write_value(counter, zero);
                let more = self.compare(Binary::Greater, Form::VectorScalar, self.at(count), zero);
                self.go(step, more, true, exit, step + 1)
            }
        }
    }

    fn again(&mut self, counter: &Write, count: Source, start: u32, step: u32) -> u32 {
        const ONE: i64 = 1;
        let (lo, n) = (self.active.lo, self.active.len());
        let (value, counter_is_one) = match counter.to {
            Target::Slot(slot) => {
                let next = self.frame.index(slot).wrapping_add(1);
                self.frame.set_slot(slot, next as u64);
                (self.frame.slot_pointer(slot).cast_const(), true)
            }
            _ => {
                let (at, out) = (self.at(counter), self.out(counter));
                let row = &self.table.binary[Binary::Add as usize][Type::I64.dtype().number()];
                if let Some(add) = row[Form::VectorScalar as usize] {
                    // SAFETY: the counters of the active lanes; scratch for as many.
                    unsafe { add(out, at, std::ptr::from_ref(&ONE).cast(), n) };
                }
                self.settle(counter, out);
                (at.cast_const(), false)
            }
        };
        let more = match (counter_is_one, count) {
            (true, Source::Slot(slot)) => {
                let more = self.frame.index_at(value) < self.frame.index(slot);
                return if more { self.all_go(step, start + 1) } else { step + 1 };
            }
            (true, Source::Tile(tile)) => {
                let counts = self.frame.pointer(tile).wrapping_add(8 * lo);
                self.compare(Binary::Less, Form::ScalarVector, value, counts)
            }
            (false, Source::Slot(slot)) => {
                self.compare(Binary::Less, Form::VectorScalar, value, self.frame.slot_pointer(slot))
            }
            (false, Source::Tile(tile)) => {
                let counts = self.frame.pointer(tile).wrapping_add(8 * lo);
                self.compare(Binary::Less, Form::VectorVector, value, counts)
            }
            (_, Source::Affine { .. }) => Set::NONE,
        };
        self.go(step, more, false, start + 1, step + 1)
    }

    /// The active lanes for which a comparison of `i64` holds; vectors begin at the lane `lo`.
    fn compare(&mut self, op: Binary, form: Form, a: *const u8, b: *const u8) -> Set {
        let truth = self.temps[1];
        if let Some(kernel) = self.table.binary[op as usize][Type::I64.dtype().number()][form as usize] {
            // SAFETY: values of the active lanes, or one; scratch for as many bytes as a tile has lanes.
            unsafe { kernel(truth.add(self.active.lo), a, b, self.active.len()) };
        }
        self.where_true(truth)
    }

    fn assert(&mut self, condition: Source, step: u32) -> u32 {
        let wrong = match condition {
            Source::Slot(slot) if self.frame.truth(slot) => None,
            Source::Tile(tile) => {
                let holds = self.where_true(self.frame.pointer(tile));
                self.active.set.without(&holds).first()
            }
            _ => self.active.set.first(),
        };
        match wrong {
            None => step + 1,
            Some(lane) => {
                self.fail_assert(step, lane);
                if self.active.is_empty() { NOBODY } else { step + 1 }
            }
        }
    }

    // ---- block-wide instructions

    /// The active lanes come to a block-wide instruction.
    fn arrive(&mut self, step: u32) -> u32 {
        if !self.has_parted() && self.fault.is_none() && self.agree(step) {
            return self.block_wide(step);
        }
        // Lanes below may go on while these wait: from here on nothing is assumed of where lanes wait.
        self.part();
        let set = self.active.set;
        // SAFETY: groups park at block-wide instructions, each at another one, and there is room for all.
        unsafe {
            let known = (0..self.parked).find(|&i| (*self.halted.add(i)).step == step);
            match known {
                Some(i) => (*self.halted.add(i)).set = (*self.halted.add(i)).set.or(&set),
                None => {
                    self.halted.add(self.parked).write(Group { step, set });
                    self.parked += 1;
                }
            }
        }
        NOBODY
    }

    /// All lanes that are left wait at block-wide instructions: they go on together, or it is a fault.
    fn meet(&mut self) -> Option<u32> {
        if self.fault.is_some() {
            return None;
        }
        let Group { step, set } = *self.halted_group(0);
        if self.parked > 1 {
            self.fail_meeting();
            return None;
        }
        self.parked = 0;
        self.set_active(Active::new(set));
        if !self.agree(step) {
            self.halted_group(0).set = set;
            self.parked = 1;
            self.fail_meeting();
            return None;
        }
        Some(self.block_wide(step))
    }

    /// Where a lane that waits at a block-wide instruction is.
    pub fn halted_at(&mut self, lane: usize) -> Option<u32> {
        (0..self.parked).map(|i| *self.halted_group(i)).find(|g| g.set.contains(lane)).map(|g| g.step)
    }

    fn counter_place(&self, start: u32) -> Option<Target> {
        let program = self.run.launch.program();
        let instruction = program.code().steps()[start as usize].instruction as usize;
        let register = program.instructions()[instruction].writes()?;
        Some(self.frame.code.registers[usize::from(register.0)].0)
    }

    /// The counter of a loop in a lane.
    pub fn counter(&self, start: u32, lane: usize) -> i64 {
        match self.counter_place(start) {
            Some(Target::Slot(slot)) => self.frame.index(slot),
            Some(Target::Tile(tile)) => self.frame.index_at(self.frame.pointer(tile).wrapping_add(8 * lane)),
            _ => 0,
        }
    }

    /// Whether all active lanes are in the same round of every loop around a step.
    fn agree(&self, step: u32) -> bool {
        let Some(first) = self.active.set.first() else { return true };
        self.run.launch.program().code().loops_around(step).all(|start| {
            // What all lanes share is the same.
            if let Some(Target::Slot(_)) = self.counter_place(start) {
                return true;
            }
            let counter = self.counter(start, first);
            self.active.set.lanes().all(|lane| self.counter(start, lane) == counter)
        })
    }

    fn block_wide(&mut self, step: u32) -> u32 {
        let code = self.frame.code;
        if let Op::Fold(fold) = &code.ops[step as usize] {
            self.fold(fold);
        }
        step + 1
    }
}

fn holds(op: Binary, a: i64, b: i64) -> bool {
    match op {
        Binary::Less => a < b,
        Binary::LessEqual => a <= b,
        Binary::Greater => a > b,
        _ => a >= b,
    }
}

impl Frame<'_> {
    #[inline]
    pub fn pointer(&self, tile: u32) -> *mut u8 {
        debug_assert!((tile as usize) < self.code.tiles.len() + self.code.aliases as usize);
        // SAFETY: decoded operands name places of the table.
        unsafe { *self.pointers.add(tile as usize) }
    }

    #[inline]
    pub fn set_pointer(&self, tile: u32, to: *mut u8) {
        // SAFETY: as above.
        unsafe { self.pointers.add(tile as usize).write(to) };
    }

    #[inline]
    pub fn slot_pointer(&self, slot: u32) -> *mut u8 {
        debug_assert!((slot as usize) < self.code.slots.len());
        self.slots.wrapping_add(slot as usize).cast()
    }

    #[inline]
    pub fn set_slot(&self, slot: u32, bits: u64) {
        // SAFETY: decoded operands name slots that are there.
        unsafe { self.slots.add(slot as usize).write(bits) };
    }

    /// The `i64` in a slot.
    #[inline]
    pub fn index(&self, slot: u32) -> i64 {
        // SAFETY: as above.
        unsafe { *self.slots.add(slot as usize) as i64 }
    }

    /// The `i64` of a lane or slot.
    #[inline]
    pub fn index_at(&self, at: *const u8) -> i64 {
        // SAFETY: callers pass the address of an element of a tile, or a slot.
        unsafe { at.cast::<i64>().read_unaligned() }
    }

    /// The `b1` in a slot.
    #[inline]
    pub fn truth(&self, slot: u32) -> bool {
        // SAFETY: as above; a truth value is one byte.
        unsafe { *self.slot_pointer(slot) != 0 }
    }

    pub fn value_at(&self, ty: Type, at: *const u8) -> Value {
        let mut bytes = [0u8; 8];
        // SAFETY: callers pass the address of an element of this type.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(at, ty.bytes()) };
        Value::load(ty, &bytes)
    }
}
