//! The form in which a program is run: kernels, places of registers, and what needs masks, decided once.

use super::analysis::{Analysis, Class};
use crate::generated::abi;
use crate::generated::lanes::Combine;
use crate::generated::ops::{BINARY, Binary, Fault, UNARY};
use crate::kernels::Form;
use crate::memory::reserve;
use crate::program::{
    self, Condition, Flow, Instruction, Operand, Place, Program, Register, Special, Type, Value,
};
use crate::scheduler::cost;
use crate::scheduler::tuning::Class as Work;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Steps decoded since the process began.
pub static DECODED: AtomicU64 = AtomicU64::new(0);

/// Where a value is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// An element a lane, by its place in the table of pointers.
    Tile(u32),
    /// One value for all lanes.
    Slot(u32),
    /// The `i64` in the slot for lane 0, and `step` more for each next one.
    Affine { slot: u32, step: i64 },
}

impl Source {
    pub fn is_slot(self) -> bool {
        matches!(self, Source::Slot(_))
    }
}

/// Where a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Slot(u32),
    Tile(u32),
    /// A load that may stay where it is: the pointer of `alias` then is the buffer's, else that of `tile`.
    Alias {
        alias: u32,
        tile: u32,
    },
    /// Nobody reads it.
    Nowhere,
}

/// A value that is read, and the bytes of its type.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub from: Source,
    pub bytes: usize,
}

/// A register that is written, and the bytes of its type.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    pub to: Target,
    pub bytes: usize,
    /// Whether lanes that wait may still read what was there.
    pub spares: bool,
    /// Whether the next step stores the value, which nobody else reads.
    pub stored: bool,
}

/// What computes.
#[derive(Clone, Copy)]
pub enum Kernel {
    Unary(abi::unary),
    Binary(abi::binary),
    /// A binary kernel that some values of its second operand stop; 1 in the slot is none of them.
    Partial {
        kernel: abi::binary,
        fault: Fault,
        ty: Type,
        one: u32,
    },
    MultiplyAdd(abi::multiply_add),
    Cast(abi::cast),
    /// To a storage type and back.
    Round(abi::cast, abi::cast),
    Move,
    /// The first operand decides between the other two.
    Select,
}

pub struct Compute {
    pub kernel: Kernel,
    pub to: Write,
    pub reads: [Read; 3],
    /// How many of the reads there are.
    pub count: u8,
}

/// An index of an access, and the special register that it is, whose range the launch knows.
#[derive(Clone, Copy, Debug)]
pub struct Index {
    pub from: Source,
    pub special: Option<Special>,
}

pub struct Access {
    /// Buffers first, then shared arrays.
    pub array: u32,
    pub index: Box<[Index]>,
    /// Bytes of an element.
    pub bytes: usize,
    /// Whether all indices that differ from lane to lane are places on the axes of the block.
    pub by_block: bool,
}

pub enum Op {
    /// Nothing to do: the next step follows.
    Next,
    Jump(u32),
    Exit,
    Branch {
        condition: Source,
        negated: bool,
        target: u32,
    },
    /// A comparison of a value that rises or falls with the lane, and the branch behind it.
    Range {
        op: Binary,
        slot: u32,
        step: i64,
        other: u32,
        negated: bool,
        target: u32,
    },
    Loop {
        counter: Write,
        count: Write,
        from: Source,
        exit: u32,
    },
    Again {
        counter: Write,
        count: Source,
        start: u32,
    },
    Assert(Source),
    Compute(Box<Compute>),
    Chain(Box<Chain>),
    Load {
        access: Box<Access>,
        to: Write,
        cast: Option<abi::cast>,
    },
    Store {
        access: Box<Access>,
        from: Read,
        cast: Option<abi::cast>,
    },
    Combine {
        access: Box<Access>,
        from: Read,
        kernel: abi::lane_combine,
    },
    Count(Box<Count>),
    Barrier,
    /// `reduce`, or with `each` `scan`.
    Fold(Box<Fold>),
}

/// Steps that each multiply a register by the same other one and add a value that all lanes share: polynomials.
pub struct Chain {
    pub kernel: abi::multiply_add_chain,
    /// The last step's write, and the tiles of the register and of what it is multiplied by.
    pub to: Write,
    pub register: u32,
    pub factor: u32,
    /// The slots of the values.
    pub places: Box<[i64]>,
}

/// A load of indices, and the next step, which adds one value at them.
pub struct Count {
    pub load: Box<Access>,
    pub to: Write,
    pub access: Box<Access>,
    /// The slot of the value.
    pub value: u32,
    pub kernel: abi::lane_count,
}

/// A reduction or scan over a block's lane slots.
pub struct Fold {
    pub each: bool,
    pub kernel: abi::binary,
    /// The type that it runs in.
    pub ty: Type,
    /// To and from that type.
    pub casts: Option<(abi::cast, abi::cast)>,
    pub identity: u32,
    pub from: Read,
    pub to: Write,
}

/// A program for one kind of launch and one SIMD level.
pub struct Decoded {
    pub ops: Box<[Op]>,
    /// Bytes of an element of each tile; the first ones hold special registers.
    pub tiles: Box<[u8]>,
    pub special_tiles: Box<[Special]>,
    pub aliases: u32,
    /// Slots as they are before a launch; those of constants are set.
    pub slots: Box<[u64]>,
    pub params: Box<[(u32, u16)]>,
    pub extents: Box<[(u32, u16, u8)]>,
    /// Special registers that are one value for a tile, or the value of its first lane.
    pub special_slots: Box<[(u32, Special)]>,
    /// Where each register is.
    pub registers: Box<[(Target, Class, u8)]>,
    /// Most groups of lanes that wait at different steps.
    pub groups: usize,
    /// Buffers that see one kind of `red` and nothing else, and its identity.
    pub sums: Box<[(u16, Combine, Type, Value)]>,
    /// Estimated time of a lane.
    pub lane_ns: f64,
    pub alone: bool,
}

pub struct Decoder<'a> {
    pub analysis: &'a Analysis<'a>,
    pub program: &'a Program,
    table: &'static abi::kernels,
    pub slots: Vec<u64>,
    known: HashMap<Key, u32>,
    params: Vec<(u32, u16)>,
    extents: Vec<(u32, u16, u8)>,
    special_slots: Vec<(u32, Special)>,
    pub special_tiles: Vec<Special>,
    pub registers: Vec<(Target, Class, u8)>,
    /// By tile: the registers that it holds at one time or another.
    pub holds: Vec<Vec<u32>>,
}

#[derive(PartialEq, Eq, Hash)]
enum Key {
    Constant(Value),
    Param(u16),
    Extent(u16, u8),
    Special(Special),
}

macro_rules! filled {
    ($slot:expr) => {
        // The verifier lets no instruction pass whose type an operation does not take.
        $slot.expect("a loaded kernel table has no empty slot")
    };
}

/// The bytes of a value as a slot has them: at its beginning, whatever the byte order.
pub fn slot_of(value: Value) -> u64 {
    let mut bytes = [0u8; 8];
    value.store(value.ty(), &mut bytes);
    u64::from_ne_bytes(bytes)
}

/// Most bytes that a decoded step and what is known of it take: one that accesses a buffer of six axes.
const STEP_BYTES: usize = 640;

/// As [`Analysis::new`]. Where there is no memory, unwinds as scratch of an arena does.
pub fn decode(program: &Program, flat: bool, parted: bool, table: &'static abi::kernels) -> Decoded {
    reserve::ensure("launch", program.code().steps().len() * STEP_BYTES)
        .unwrap_or_else(|error| std::panic::resume_unwind(Box::new(error)));
    let analysis = Analysis::new(program, flat, parted);
    let mut decoder = Decoder {
        analysis: &analysis,
        program,
        table,
        slots: Vec::new(),
        known: HashMap::new(),
        params: Vec::new(),
        extents: Vec::new(),
        special_slots: Vec::new(),
        special_tiles: Vec::new(),
        registers: Vec::new(),
        holds: Vec::new(),
    };
    let (tiles, aliases) = decoder.place_registers();
    let count = analysis.code.steps().len() as u32;
    let mut ops: Vec<Op> = Vec::with_capacity(count as usize);
    for step in 0..count {
        ops.push(decoder.step(step));
    }
    if analysis.is_precise {
        let mut step = 0;
        while step < count {
            let chain = decoder.chain(&ops, step);
            let next = step + chain.as_ref().map_or(1, |chain| chain.places.len() as u32);
            if let Some(chain) = chain {
                ops[step as usize] = Op::Chain(Box::new(chain));
            }
            if let Some(count) = decoder.count(step) {
                ops[step as usize] = Op::Count(Box::new(count));
            }
            step = next;
        }
    }
    DECODED.fetch_add(u64::from(count), Ordering::Relaxed);
    let block_wide = (0..count).filter(|&s| analysis.instruction(s).is_block_wide()).count();
    Decoded {
        ops: ops.into(),
        tiles: tiles.into(),
        special_tiles: decoder.special_tiles.into(),
        aliases,
        slots: decoder.slots.into(),
        params: decoder.params.into(),
        extents: decoder.extents.into(),
        special_slots: decoder.special_slots.into(),
        registers: decoder.registers.into(),
        groups: analysis.graph.blocks().len() + block_wide,
        sums: sums(program).into(),
        lane_ns: lane_ns(&analysis),
        alone: analysis.alone,
    }
}

/// Buffers that see one kind of `red` and nothing else.
fn sums(program: &Program) -> Vec<(u16, Combine, Type, Value)> {
    let mut found: Vec<Option<(Combine, Type)>> = vec![None; program.buffers().len()];
    let mut other = vec![false; program.buffers().len()];
    for instruction in program.instructions() {
        match instruction {
            Instruction::Load { access, .. } | Instruction::Store { access, .. } => {
                other[usize::from(access.array)] = true;
            }
            Instruction::Combine { op, ty, access, .. } => {
                let seen = &mut found[usize::from(access.array)];
                other[usize::from(access.array)] |= seen.is_some_and(|kind| kind != (*op, *ty));
                *seen = Some((*op, *ty));
            }
            _ => {}
        }
    }
    let sums = found.iter().zip(other).enumerate().filter(|(_, (_, other))| !other);
    sums.filter_map(|(i, (kind, _))| {
        kind.map(|(op, ty)| (i as u16, op, ty, super::super::reference::semantics::identity(op, ty)))
    })
    .collect()
}

/// What an estimate takes a round of a loop for.
const ROUNDS: f64 = 16.0;

/// Estimated ns of a lane's part in beginning an instruction for a tile of some thousand lanes.
const STEP_NS: f64 = 0.03;

fn lane_ns(analysis: &Analysis<'_>) -> f64 {
    let ns = |class, ty: Type| cost::class_ns(class, ty.dtype());
    let steps = analysis.code.steps();
    let mut around = vec![0i32; steps.len() + 1];
    for (i, step) in steps.iter().enumerate() {
        if let Flow::Jump(to) | Flow::Branch(to) | Flow::Again { start: to } = step.flow
            && to as usize <= i
        {
            around[to as usize] += 1;
            around[i + 1] -= 1;
        }
    }
    let (mut depth, mut total) = (0, 0.0);
    for (i, _) in steps.iter().enumerate() {
        depth += around[i];
        let one = STEP_NS
            + match *analysis.instruction(i as u32) {
                Instruction::Load { ty, ref access, .. }
                | Instruction::LoadShared { ty, ref access, .. }
                | Instruction::Store { ty, ref access, .. }
                | Instruction::StoreShared { ty, ref access, .. } => {
                    let gathered = access.index.iter().any(|&i| analysis.class_of(i) == Class::Lanes);
                    ns(if gathered { Work::Taken } else { Work::Selection }, ty)
                }
                // An element is fetched and put back.
                Instruction::Combine { ty, .. } | Instruction::CombineShared { ty, .. } => {
                    2.0 * ns(Work::Taken, ty)
                }
                Instruction::Unary { op, ty, .. } => ns(UNARY[op as usize].cost, ty),
                Instruction::Binary { op, ty, .. } => ns(BINARY[op as usize].cost, ty),
                Instruction::Convert { ty, source, .. } => cost::cast_ns(source.dtype(), ty.dtype()),
                Instruction::Fma { ty, .. } | Instruction::Mad { ty, .. } => ns(Work::Multiplication, ty),
                Instruction::Select { ty, .. } => ns(Work::Selection, ty),
                // Element by element, whatever the type.
                Instruction::Reduce { .. } | Instruction::Scan { .. } => ns(Work::RunningTotal, Type::F64),
                _ => 0.0,
            };
        total += one * ROUNDS.powi(depth.clamp(0, 4));
    }
    total
}

impl Decoder<'_> {
    fn slot(&mut self, key: Key) -> u32 {
        if let Some(&slot) = self.known.get(&key) {
            return slot;
        }
        let slot = self.slots.len() as u32;
        self.slots.push(if let Key::Constant(value) = key { slot_of(value) } else { 0 });
        match key {
            Key::Param(p) => self.params.push((slot, p)),
            Key::Extent(buffer, axis) => self.extents.push((slot, buffer, axis)),
            Key::Special(special) => self.special_slots.push((slot, special)),
            Key::Constant(_) => {}
        }
        self.known.insert(key, slot);
        slot
    }

    fn source(&mut self, operand: Operand) -> Source {
        match operand {
            Operand::Constant(value) => Source::Slot(self.slot(Key::Constant(value))),
            Operand::Param(p) => Source::Slot(self.slot(Key::Param(p))),
            Operand::Special(special) => match self.analysis.special_class(special) {
                Class::Affine(0) => Source::Slot(self.slot(Key::Special(special))),
                Class::Affine(step) => Source::Affine { slot: self.slot(Key::Special(special)), step },
                _ => {
                    // Found in `place_registers`.
                    let tile = self.special_tiles.iter().position(|&s| s == special).unwrap_or(0);
                    Source::Tile(tile as u32)
                }
            },
            Operand::Register(Register(r)) => self.register(usize::from(r)),
        }
    }

    fn register(&self, r: usize) -> Source {
        match self.registers[r] {
            (Target::Slot(slot), Class::Affine(step), _) if step != 0 => Source::Affine { slot, step },
            (Target::Slot(slot), ..) => Source::Slot(slot),
            (Target::Tile(tile), ..) => Source::Tile(tile),
            (Target::Alias { alias, .. }, ..) => Source::Tile(alias),
            // Read nowhere that is reached.
            (Target::Nowhere, ..) => Source::Tile(0),
        }
    }

    fn read(&mut self, operand: Operand) -> Read {
        let ty = match operand {
            Operand::Register(Register(r)) => self.analysis.type_of(usize::from(r)),
            _ => self.program.type_of(operand),
        };
        Read { from: self.source(operand), bytes: ty.bytes() }
    }

    fn write(&self, step: u32, r: usize) -> Write {
        let (to, _, bytes) = self.registers[r];
        let analysis = self.analysis;
        let spares = match to {
            // The tile may be that of other registers too.
            Target::Tile(tile) | Target::Alias { tile, .. } => {
                self.holds[tile as usize].iter().any(|&held| analysis.keeps(step, held as usize))
            }
            _ => false,
        };
        Write { to, bytes: usize::from(bytes), spares, stored: false }
    }

    fn access(&mut self, access: &program::Access, shared: bool, ty: Type) -> Box<Access> {
        let first = if shared { self.program.buffers().len() as u32 } else { 0 };
        let index = access.index.iter().map(|&operand| {
            let special = if let Operand::Special(special) = operand { Some(special) } else { None };
            Index { from: self.source(operand), special }
        });
        let index: Box<[Index]> = index.collect();
        let is_place = |i: &Index| i.special.is_some_and(|s| matches!(s.what, Place::Lane | Place::Gid));
        let is_each = |i: &&Index| matches!(i.from, Source::Tile(_));
        let by_block = index.iter().any(|i| is_each(&i)) && index.iter().filter(is_each).all(is_place);
        Box::new(Access { index, array: first + u32::from(access.array), bytes: ty.bytes(), by_block })
    }

    /// Whether the next step stores what a step writes to a register, and nobody else reads it.
    fn is_stored(&self, step: u32, register: Register, ty: Type) -> bool {
        let analysis = self.analysis;
        let next = step + 1;
        if !analysis.is_precise
            || next as usize >= analysis.code.steps().len()
            || analysis.graph.block_of(next) != analysis.graph.block_of(step)
        {
            return false;
        }
        let Instruction::Store { ty: stored, access, from } = analysis.instruction(next) else {
            return false;
        };
        *from == Operand::Register(register)
            && *stored == ty
            && !access.index.contains(from)
            && analysis.ends(next)
    }

    fn compute(&mut self, step: u32, kernel: Kernel, to: Register, reads: &[Operand]) -> Op {
        let mut all = [Read { from: Source::Slot(0), bytes: 1 }; 3];
        for (at, &operand) in all.iter_mut().zip(reads) {
            *at = self.read(operand);
        }
        let ty = self.analysis.type_of(usize::from(to.0));
        let mut to_write = self.write(step, usize::from(to.0));
        // What may stop half way through has to know its lanes first.
        let total = !matches!(kernel, Kernel::Partial { .. });
        to_write.stored = total && matches!(to_write.to, Target::Tile(_)) && self.is_stored(step, to, ty);
        Op::Compute(Box::new(Compute { kernel, to: to_write, reads: all, count: reads.len() as u8 }))
    }

    /// The form of a binary kernel for two operands; for one lane's values any.
    fn form(&mut self, a: Operand, b: Operand) -> Form {
        match (self.source(a).is_slot(), self.source(b).is_slot()) {
            (false, true) => Form::VectorScalar,
            (true, false) => Form::ScalarVector,
            _ => Form::VectorVector,
        }
    }

    fn multiply_add(&mut self, step: u32, ty: Type, to: Register, [mut a, mut b, c]: [Operand; 3]) -> Op {
        // vvv vvs vsv vss ssv
        let mut is_slot = |operand: Operand| self.source(operand).is_slot();
        if is_slot(a) && !is_slot(b) {
            std::mem::swap(&mut a, &mut b);
        }
        let form = match (is_slot(a), is_slot(b), is_slot(c)) {
            (false, false, false) | (true, true, true) => 0,
            (false, false, true) => 1,
            (false, true, false) => 2,
            (false, true, true) => 3,
            (true, _, _) => 4,
        };
        let kernel = filled!(self.table.multiply_add[ty.dtype().number()][form]);
        self.compute(step, Kernel::MultiplyAdd(kernel), to, &[a, b, c])
    }

    /// The steps from one on that are one polynomial, if it is the first of two or more. They stay as they are behind
    /// it, where nobody comes by.
    fn chain(&self, ops: &[Op], step: u32) -> Option<Chain> {
        let analysis = self.analysis;
        // Register, factor and value of a step that could be part of one.
        let part = |step: u32| {
            let Op::Compute(compute) = ops.get(step as usize)? else { return None };
            let Kernel::MultiplyAdd(_) = compute.kernel else { return None };
            let Instruction::Fma { ty, .. } = analysis.instruction(step) else { return None };
            let Target::Tile(to) = compute.to.to else { return None };
            let [Source::Tile(a), Source::Tile(b), Source::Slot(value)] = compute.reads.map(|r| r.from)
            else {
                return None;
            };
            let factor = if a == to { b } else { a };
            ((a == to) != (b == to)).then_some((*ty, to, factor, value, compute.to))
        };
        let (ty, register, factor, value, mut to) = part(step)?;
        let mut places = vec![i64::from(value)];
        let block = analysis.graph.block_of(step);
        let mut next = step + 1;
        while let Some((_, r, f, value, write)) = part(next)
            && (r, f) == (register, factor)
            && analysis.graph.block_of(next) == block
        {
            places.push(i64::from(value));
            to = write;
            next += 1;
        }
        let kernel = filled!(self.table.multiply_add_chain[ty.dtype().number()]);
        (places.len() > 1).then(|| Chain { kernel, to, register, factor, places: places.into() })
    }

    /// A load and the sum behind it as one step, if nobody else reads the indices.
    fn count(&mut self, step: u32) -> Option<Count> {
        let analysis = self.analysis;
        let next = step + 1;
        if next as usize >= analysis.code.steps().len()
            || analysis.graph.block_of(next) != analysis.graph.block_of(step)
        {
            return None;
        }
        let Instruction::Load { ty: Type::I64, to, access: from } = analysis.instruction(step) else {
            return None;
        };
        let Instruction::Combine { op: Combine::Add, ty, access: sums, from: value } =
            analysis.instruction(next)
        else {
            return None;
        };
        let Source::Slot(value) = self.source(*value) else { return None };
        if *sums.index != [Operand::Register(*to)] || !analysis.ends(next) {
            return None;
        }
        let kernel = filled!(self.table.lane_count[ty.bytes().trailing_zeros() as usize]);
        let (load, access) = (self.access(from, false, Type::I64), self.access(sums, false, *ty));
        Some(Count { load, to: self.write(step, usize::from(to.0)), access, value, kernel })
    }

    fn cast(&self, from: Type, to: Type) -> abi::cast {
        filled!(self.table.cast[from.dtype().number()][to.dtype().number()])
    }

    fn step(&mut self, step: u32) -> Op {
        use Instruction as I;
        let flow = self.analysis.code.steps()[step as usize].flow;
        match *self.analysis.instruction(step) {
            I::Unary { op, ty, to, from } => {
                let kernel = filled!(self.table.unary[op as usize][ty.dtype().number()]);
                self.compute(step, Kernel::Unary(kernel), to, &[from])
            }
            I::Binary { op, ty, to, left, right } => {
                if let Some(range) = self.range(step, op, ty, to, left, right) {
                    return range;
                }
                let form = self.form(left, right);
                let kernel = filled!(self.table.binary[op as usize][ty.dtype().number()][form as usize]);
                let fault = BINARY[op as usize].fault;
                let stops = fault == Fault::Exponent || fault == Fault::ZeroDivision && ty.is_integer();
                let kernel = if stops {
                    let one = if ty.is_integer() {
                        Value::integer(ty, 1)
                    } else if ty == Type::F32 {
                        Value::single(1.0)
                    } else {
                        Value::double(1.0)
                    };
                    Kernel::Partial { kernel, fault, ty, one: self.slot(Key::Constant(one)) }
                } else {
                    Kernel::Binary(kernel)
                };
                self.compute(step, kernel, to, &[left, right])
            }
            I::Move { to, from, .. } => self.compute(step, Kernel::Move, to, &[from]),
            I::Convert { ty, source, to, from } => {
                self.compute(step, Kernel::Cast(self.cast(source, ty)), to, &[from])
            }
            I::Fma { ty, to, a, b, c } | I::Mad { ty, to, a, b, c } => {
                self.multiply_add(step, ty, to, [a, b, c])
            }
            I::Round { storage, to, from } => {
                let kernel = Kernel::Round(self.cast(Type::F32, storage), self.cast(storage, Type::F32));
                self.compute(step, kernel, to, &[from])
            }
            I::Select { to, condition, a, b, .. } => {
                self.compute(step, Kernel::Select, to, &[condition, a, b])
            }
            I::Extent { to, buffer, axis } => {
                let slot = self.slot(Key::Extent(buffer, axis));
                let reads = [Read { from: Source::Slot(slot), bytes: 8 }; 3];
                let to = self.write(step, usize::from(to.0));
                Op::Compute(Box::new(Compute { kernel: Kernel::Move, to, reads, count: 1 }))
            }
            I::Load { ty, to, ref access } => self.load(step, ty, to, access, false),
            I::LoadShared { ty, to, ref access } => self.load(step, ty, to, access, true),
            I::Store { ty, ref access, from } => self.store(ty, access, from, false),
            I::StoreShared { ty, ref access, from } => self.store(ty, access, from, true),
            I::Combine { op, ty, ref access, from } => self.combine(op, ty, access, from, false),
            I::CombineShared { op, ty, ref access, from } => self.combine(op, ty, access, from, true),
            I::Branch { condition, .. } | I::Break { condition } | I::Continue { condition } => {
                match (flow, condition) {
                    (Flow::Branch(target), Some(Condition { value, negated })) => {
                        Op::Branch { condition: self.source(value), negated, target }
                    }
                    (Flow::Jump(target), _) => Op::Jump(target),
                    _ => Op::Next,
                }
            }
            I::Call { .. } | I::Return => match flow {
                Flow::Jump(target) => Op::Jump(target),
                _ => Op::Next,
            },
            I::Loop { counter, count } => {
                let Flow::Loop { exit } = flow else { return Op::Next };
                let count_register = self.analysis.count_register(step);
                Op::Loop {
                    counter: self.write(step, usize::from(counter.0)),
                    count: self.write(step, count_register),
                    from: self.source(count),
                    exit,
                }
            }
            I::EndLoop => {
                let Flow::Again { start } = flow else { return Op::Next };
                let (counter, count) = (self.analysis.counter(start), self.analysis.count_register(start));
                Op::Again { counter: self.write(step, counter), count: self.register(count), start }
            }
            I::Assert { condition, .. } => Op::Assert(self.source(condition)),
            I::Barrier => Op::Barrier,
            I::Reduce { op, ty, to, from } => self.fold(step, op, ty, to, from, false),
            I::Scan { op, ty, to, from } => self.fold(step, op, ty, to, from, true),
            I::Exit => Op::Exit,
            I::Fence => Op::Next,
        }
    }

    /// A comparison whose answer is one for the lower lanes and the other for the upper ones, with the branch.
    fn range(
        &mut self,
        step: u32,
        op: Binary,
        ty: Type,
        to: Register,
        left: Operand,
        right: Operand,
    ) -> Option<Op> {
        let analysis = self.analysis;
        let next = step + 1;
        if ty != Type::I64 || !analysis.is_precise || next as usize >= analysis.code.steps().len() {
            return None;
        }
        // The same comparison with its operands in the other order.
        let turned = match op {
            Binary::Less => Binary::Greater,
            Binary::LessEqual => Binary::GreaterEqual,
            Binary::Greater => Binary::Less,
            Binary::GreaterEqual => Binary::LessEqual,
            _ => return None,
        };
        let (Flow::Branch(target), Instruction::Branch { condition: Some(condition), .. }) =
            (analysis.code.steps()[next as usize].flow, analysis.instruction(next))
        else {
            return None;
        };
        if condition.value != Operand::Register(to)
            || target <= next
            || analysis.graph.block_of(next) != analysis.graph.block_of(step)
            || !analysis.ends(next)
        {
            return None;
        }
        let negated = condition.negated;
        match (self.source(left), self.source(right)) {
            (Source::Affine { slot, step }, Source::Slot(other)) => {
                Some(Op::Range { op, slot, step, other, negated, target })
            }
            (Source::Slot(other), Source::Affine { slot, step }) => {
                Some(Op::Range { op: turned, slot, step, other, negated, target })
            }
            _ => None,
        }
    }

    fn load(&mut self, step: u32, ty: Type, to: Register, access: &program::Access, shared: bool) -> Op {
        // b1 too: every byte but 0 becomes 1.
        let casts = ty != ty.in_register() || ty == Type::B1;
        Op::Load {
            access: self.access(access, shared, ty),
            to: self.write(step, usize::from(to.0)),
            cast: casts.then(|| self.cast(ty, ty.in_register())),
        }
    }

    fn store(&mut self, ty: Type, access: &program::Access, from: Operand, shared: bool) -> Op {
        let casts = ty != ty.in_register();
        Op::Store {
            access: self.access(access, shared, ty),
            from: self.read(from),
            cast: casts.then(|| self.cast(ty.in_register(), ty)),
        }
    }

    fn combine(
        &mut self,
        op: Combine,
        ty: Type,
        access: &program::Access,
        from: Operand,
        shared: bool,
    ) -> Op {
        Op::Combine {
            access: self.access(access, shared, ty),
            from: self.read(from),
            kernel: filled!(self.table.lane_combine[op as usize][ty.dtype().number()]),
        }
    }

    fn fold(&mut self, step: u32, op: Combine, ty: Type, to: Register, from: Operand, each: bool) -> Op {
        let wide = ty == Type::F32 && matches!(op, Combine::Add | Combine::Mul);
        let inner = if wide { Type::F64 } else { ty };
        let identity = super::super::reference::semantics::identity(op, inner);
        let row = op.binary() as usize;
        let vectors = Form::VectorVector as usize;
        Op::Fold(Box::new(Fold {
            each,
            kernel: filled!(self.table.binary[row][inner.dtype().number()][vectors]),
            ty: inner,
            casts: wide.then(|| (self.cast(ty, inner), self.cast(inner, ty))),
            identity: self.slot(Key::Constant(identity)),
            from: self.read(from),
            to: self.write(step, usize::from(to.0)),
        }))
    }
}

/// Whether a special register is the same for all lanes of a launch.
pub fn is_of_launch(special: Special) -> bool {
    matches!(special.what, Place::Lanes | Place::Blocks | Place::Grid)
}
