//! The scalar interpreter: the instruction set as code, one lane and one instruction at a time.
//!
//! A block's lanes run one after the other, each until it ends or comes to a block-wide instruction; when all
//! have, they must have met at one place, and go on. Blocks run in the order of their numbers. So the first fault
//! found is the one that is to be reported.

pub mod races;
pub mod semantics;

use super::fault::{FaultAccess, LaneFault, LaunchError, RacePair, show};
use super::launch::Launch;
use super::{Backend, Capabilities, Executable};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::generated::lanes::Fault;
use crate::layout;
use crate::memory::reserve;
use crate::ops::{Arg, copy::copy_into};
use crate::program::{
    Access, Condition, Flow, Instruction, Mode, Operand, Place, Program, Register, Special, Type, Value,
};
use crate::scheduler::Pace;
use crate::tensor::Tensor;
use races::{Event, Kind, Races};
use semantics::Refused;
use std::sync::Arc;

/// The backend: programs run as they are.
pub struct Reference;

impl Backend for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            description: "one lane at a time, written to be read; always checks races",
            reason: String::new(),
            automatic: false,
            checks_races: true,
        }
    }

    fn allocate(&self, op: &'static str, shape: &[i64], dtype: DType) -> Result<Tensor> {
        Tensor::empty(op, shape, dtype)
    }

    fn copy(&self, op: &'static str, from: &Tensor, to: &Tensor) -> Result<()> {
        copy_into(op, to, Arg::Tensor(from))
    }

    fn load(&self, program: &Arc<Program>) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(Interpreted(program.clone())))
    }

    /// Launches are done when they return.
    fn synchronise(&self) -> Result<()> {
        Ok(())
    }
}

struct Interpreted(Arc<Program>);

impl Executable for Interpreted {
    fn launch(&self, launch: &Launch) -> std::result::Result<(), LaunchError> {
        let lane = size_of::<Lane>() + self.0.registers().len() * size_of::<Value>();
        reserve::ensure("launch", launch.grid().block_size() * lane + self.0.shared_bytes())?;
        let mut run =
            Run { program: &self.0, launch, races: Races::default(), first_race: None, pace: Pace::new() };
        for number in 0..launch.grid().block_count() {
            Block::new(&run, number).run(&mut run)?;
        }
        run.first_race.map_or(Ok(()), |race| Err(LaunchError::Fault(race)))
    }
}

/// What a step of one lane counts for between two polls: 4,096 steps are some 100 us.
const STEP_BYTES: usize = 64;

/// One launch.
struct Run<'a> {
    program: &'a Program,
    launch: &'a Launch,
    /// Accesses of buffers that the program writes.
    races: Races,
    /// Reported when no lane faults.
    first_race: Option<Box<LaneFault>>,
    pace: Pace,
}

/// Where a lane is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Running,
    /// At a block-wide instruction.
    Waiting,
    Ended,
}

struct Lane {
    /// In its block, with x fastest.
    number: usize,
    /// In its block.
    local: [i64; 3],
    /// In the grid.
    global: [i64; 3],
    registers: Vec<Value>,
    /// Counter and count of each loop around the step, outermost first.
    loops: Vec<(i64, i64)>,
    step: u32,
    state: State,
    /// Branches back and rounds of loops so far.
    rounds: u64,
}

struct Block {
    number: i64,
    place: [i64; 3],
    /// The lanes that are in the grid, in the order of their numbers.
    lanes: Vec<Lane>,
    shared: Vec<u8>,
    /// Accesses of shared memory.
    races: Races,
    /// Barriers passed.
    interval: u32,
}

impl Block {
    fn new(run: &Run<'_>, number: i64) -> Block {
        let grid = run.launch.grid();
        let place = grid.block_at(number);
        let registers: Vec<Value> = run.program.registers().iter().map(|r| Value::new(r.ty, 0)).collect();
        let lanes = (0..grid.block_size()).filter_map(|number| {
            let local = grid.lane_at(number);
            let global = grid.global(place, local)?;
            let (registers, loops) = (registers.clone(), Vec::new());
            Some(Lane { number, local, global, registers, loops, step: 0, state: State::Running, rounds: 0 })
        });
        Block {
            number,
            place,
            lanes: lanes.collect(),
            shared: vec![0; run.program.shared_bytes()],
            races: Races::default(),
            interval: 0,
        }
    }

    fn run(&mut self, run: &mut Run<'_>) -> std::result::Result<(), LaunchError> {
        let mut lanes = std::mem::take(&mut self.lanes);
        loop {
            for lane in lanes.iter_mut().filter(|l| l.state == State::Running) {
                self.run_lane(run, lane)?;
            }
            let mut waiting: Vec<&mut Lane> =
                lanes.iter_mut().filter(|l| l.state == State::Waiting).collect();
            if waiting.is_empty() {
                return Ok(());
            }
            self.meet(run, &mut waiting)?;
        }
    }

    /// All lanes of the block that have not exited are at a block-wide instruction: the same one, or it is a fault.
    fn meet(&mut self, run: &Run<'_>, waiting: &mut [&mut Lane]) -> std::result::Result<(), LaunchError> {
        let first = &waiting[0];
        if let Some(other) = waiting.iter().find(|l| !l.has_met(run, first)) {
            return Err(self.fault(run, first, barrier_fault(run, first, other)).into());
        }
        match run.instruction(first.step) {
            Instruction::Reduce { op, ty, to, from } => {
                let slots = self.slots(run, waiting, *from);
                let result = semantics::scan(*op, *ty, &slots)[slots.len().next_power_of_two() - 1];
                waiting.iter_mut().for_each(|lane| lane.set(*to, result));
            }
            Instruction::Scan { op, ty, to, from } => {
                let slots = self.slots(run, waiting, *from);
                let results = semantics::scan(*op, *ty, &slots);
                waiting.iter_mut().for_each(|lane| lane.set(*to, results[lane.number]));
            }
            _ => self.interval += 1,
        }
        for lane in waiting {
            lane.step += 1;
            lane.state = State::Running;
        }
        Ok(())
    }

    /// The value of each of the block's lane slots; none for lanes that are not there or have exited.
    fn slots(&self, run: &Run<'_>, waiting: &[&mut Lane], from: Operand) -> Vec<Option<Value>> {
        let mut slots = vec![None; run.launch.grid().block_size()];
        for lane in waiting {
            slots[lane.number] = Some(self.value(run, lane, from));
        }
        slots
    }

    /// Runs a lane until it ends or comes to a block-wide instruction.
    fn run_lane(&mut self, run: &mut Run<'_>, lane: &mut Lane) -> std::result::Result<(), LaunchError> {
        let program = run.program;
        loop {
            run.pace.step(STEP_BYTES)?;
            let step = program.code().steps()[lane.step as usize];
            let instruction = &program.instructions()[step.instruction as usize];
            if instruction.is_block_wide() {
                lane.state = State::Waiting;
                return Ok(());
            }
            if let Err(wrong) = self.execute(run, lane, instruction) {
                return Err(self.located(run, lane, *wrong));
            }
            let next = match step.flow {
                Flow::Next => lane.step + 1,
                Flow::Jump(target) => target,
                Flow::Branch(target) => {
                    if self.holds(run, lane, instruction) {
                        target
                    } else {
                        lane.step + 1
                    }
                }
                Flow::Loop { exit } => {
                    let Instruction::Loop { counter, count } = *instruction else { return Ok(()) };
                    let count = self.value(run, lane, count).to_index();
                    lane.loops.truncate(step.depth as usize);
                    lane.loops.push((0, count));
                    lane.set(counter, Value::index(0));
                    if count > 0 { lane.step + 1 } else { exit }
                }
                Flow::Again { start } => {
                    let (counter, count) = &mut lane.loops[step.depth as usize - 1];
                    *counter += 1;
                    let (counter, goes_round) = (*counter, *counter < *count);
                    if let Some(register) = run.instruction(start).writes() {
                        lane.set(register, Value::index(counter));
                    }
                    if goes_round { start + 1 } else { lane.step + 1 }
                }
                Flow::Exit => {
                    lane.state = State::Ended;
                    return Ok(());
                }
            };
            if program.code().counts(lane.step, next) {
                if run.launch.step_limit() == Some(lane.rounds) {
                    let limit = lane.rounds;
                    return Err(self.fault(run, lane, Fault::StepLimit { limit }).into());
                }
                lane.rounds += 1;
            }
            lane.step = next;
        }
    }

    /// What an instruction does to registers and memory. Where it goes on is no part of it.
    fn execute(
        &mut self,
        run: &mut Run<'_>,
        lane: &mut Lane,
        instruction: &Instruction,
    ) -> std::result::Result<(), Box<Wrong>> {
        use Instruction as I;
        let value = |operand: Operand| self.value(run, lane, operand);
        let (to, result) = match instruction {
            I::Unary { op, ty, to, from } => (to, semantics::unary(*op, *ty, value(*from))),
            I::Binary { op, ty, to, left, right } => {
                (to, semantics::binary(*op, *ty, value(*left), value(*right))?)
            }
            I::Move { to, from, .. } => (to, value(*from)),
            I::Convert { ty, to, from, .. } => (to, semantics::convert(*ty, value(*from))),
            I::Fma { ty, to, a, b, c } | I::Mad { ty, to, a, b, c } => {
                (to, semantics::multiply_add(*ty, value(*a), value(*b), value(*c)))
            }
            I::Round { storage, to, from } => (to, semantics::round_to(*storage, value(*from))),
            I::Select { to, condition, a, b, .. } => {
                (to, if value(*condition).is_true() { value(*a) } else { value(*b) })
            }
            I::Extent { to, buffer, axis } => {
                let shape = run.launch.buffers()[usize::from(*buffer)].shape();
                (to, Value::index(shape[usize::from(*axis)]))
            }
            I::Load { ty, to, access } => {
                let place = self.global(run, lane, access, Kind::Load)?;
                (to, place.load(*ty))
            }
            I::Store { ty, access, from } => {
                let value = value(*from);
                self.global(run, lane, access, Kind::Store)?.store(*ty, value);
                return Ok(());
            }
            I::Combine { op, ty, access, from } => {
                let value = value(*from);
                let place = self.global(run, lane, access, Kind::Red(*op))?;
                place.store(*ty, semantics::fold(*op, *ty, place.load(*ty), value));
                return Ok(());
            }
            I::LoadShared { ty, to, access } => {
                let at = self.shared(run, lane, access, Kind::Load)?;
                (to, Value::load(*ty, &self.shared[at..]))
            }
            I::StoreShared { ty, access, from } => {
                let value = value(*from);
                let at = self.shared(run, lane, access, Kind::Store)?;
                value.store(*ty, &mut self.shared[at..]);
                return Ok(());
            }
            I::CombineShared { op, ty, access, from } => {
                let value = value(*from);
                let at = self.shared(run, lane, access, Kind::Red(*op))?;
                let before = Value::load(*ty, &self.shared[at..]);
                semantics::fold(*op, *ty, before, value).store(*ty, &mut self.shared[at..]);
                return Ok(());
            }
            I::Assert { condition, message } => {
                if value(*condition).is_true() {
                    return Ok(());
                }
                return Err(Fault::Assertion { message: message.clone() }.into());
            }
            // Control flow; a lane's own accesses are in order.
            _ => return Ok(()),
        };
        lane.set(*to, result);
        Ok(())
    }

    /// The value of an operand in a lane.
    fn value(&self, run: &Run<'_>, lane: &Lane, operand: Operand) -> Value {
        match operand {
            Operand::Register(Register(r)) => lane.registers[usize::from(r)],
            Operand::Param(p) => run.launch.params()[usize::from(p)],
            Operand::Constant(value) => value,
            Operand::Special(Special { what, axis }) => {
                let grid = run.launch.grid();
                let place = match what {
                    Place::Gid => lane.global,
                    Place::Lane => lane.local,
                    Place::Block => self.place,
                    Place::Lanes => grid.block,
                    Place::Blocks => grid.blocks,
                    Place::Grid => grid.lanes,
                };
                Value::index(place[usize::from(axis)])
            }
        }
    }

    /// Whether the condition of a branch, break or continue holds.
    fn holds(&self, run: &Run<'_>, lane: &Lane, instruction: &Instruction) -> bool {
        match *instruction {
            Instruction::Branch { condition: Some(c), .. }
            | Instruction::Break { condition: Some(c) }
            | Instruction::Continue { condition: Some(c) } => {
                let Condition { value, negated } = c;
                self.value(run, lane, value).is_true() != negated
            }
            _ => true,
        }
    }

    /// The index of an access, which must lie in a shape, and the element's number in row-major order.
    fn index(
        &self,
        run: &Run<'_>,
        lane: &Lane,
        (name, shape): (&str, &[i64]),
        access: &Access,
    ) -> std::result::Result<(Vec<i64>, u64), Box<Wrong>> {
        let index: Vec<i64> = access.index.iter().map(|&i| self.value(run, lane, i).to_index()).collect();
        if index.iter().zip(shape).all(|(&i, &extent)| (0..extent).contains(&i)) {
            let number =
                index.iter().zip(shape).fold(0, |number, (&i, &extent)| number * extent as u64 + i as u64);
            return Ok((index, number));
        }
        let what = Fault::OutOfBounds {
            array: name.to_owned(),
            index: show_index(&index),
            shape: layout::show(shape),
        };
        let access = FaultAccess { buffer: name.to_owned(), index, shape: shape.to_vec() };
        Err(Box::new(Wrong::Fault { what, access: Some(access) }))
    }

    /// An element of a buffer.
    fn global(
        &self,
        run: &mut Run<'_>,
        lane: &Lane,
        access: &Access,
        kind: Kind,
    ) -> std::result::Result<Pointer, Box<Wrong>> {
        let buffer = &run.program.buffers()[usize::from(access.array)];
        let tensor = &run.launch.buffers()[usize::from(access.array)];
        let (index, number) = self.index(run, lane, (&buffer.name, tensor.shape()), access)?;
        // What is only read cannot race.
        if buffer.mode != Mode::In && run.first_race.is_none() {
            let event = self.event(run, lane, kind);
            if let Some(earlier) = run.races.access((access.array, number), event)? {
                run.first_race =
                    Some(self.race(run, lane, (&buffer.name, tensor.shape(), index.clone()), earlier));
            }
        }
        let offset: i64 = index.iter().zip(tensor.strides()).map(|(&i, &stride)| i * stride).sum();
        Ok(Pointer(tensor.data().wrapping_offset(offset as isize)))
    }

    /// The offset of an element of a shared array.
    fn shared(
        &mut self,
        run: &mut Run<'_>,
        lane: &Lane,
        access: &Access,
        kind: Kind,
    ) -> std::result::Result<usize, Box<Wrong>> {
        let array = &run.program.shared()[usize::from(access.array)];
        let (index, number) = self.index(run, lane, (&array.name, &array.extents), access)?;
        if run.first_race.is_none() {
            let event = self.event(run, lane, kind);
            if let Some(earlier) = self.races.access((access.array, number), event)? {
                run.first_race = Some(self.race(run, lane, (&array.name, &array.extents, index), earlier));
            }
        }
        Ok(array.offset + number as usize * array.ty.bytes())
    }

    fn event(&self, run: &Run<'_>, lane: &Lane, kind: Kind) -> Event {
        let instruction = run.program.code().steps()[lane.step as usize].instruction;
        Event { block: self.number, interval: self.interval, lane: lane.number as u32, kind, instruction }
    }

    /// The fault of a race of this lane with an earlier access.
    fn race(
        &self,
        run: &Run<'_>,
        lane: &Lane,
        (name, shape, index): (&str, &[i64], Vec<i64>),
        earlier: Event,
    ) -> Box<LaneFault> {
        let grid = run.launch.grid();
        let (block, local) = (grid.block_at(earlier.block), grid.lane_at(earlier.lane as usize));
        // The lane has run, so that it is in the grid.
        let first = grid.global(block, local).unwrap_or(local);
        let line = run.program.line(earlier.instruction as usize);
        let places: Vec<String> = index.iter().map(i64::to_string).collect();
        let element = format!("{name}[{}]", places.join(", "));
        let mut fault = self.fault(run, lane, Fault::Race { element, first: show(first), line });
        fault.race = Some(RacePair { lanes: [first, lane.global], lines: [line, fault.line] });
        fault.access = Some(FaultAccess { buffer: name.to_owned(), index, shape: shape.to_vec() });
        fault
    }

    fn located(&self, run: &Run<'_>, lane: &Lane, wrong: Wrong) -> LaunchError {
        match wrong {
            Wrong::Fault { what, access } => {
                let mut fault = self.fault(run, lane, what);
                fault.access = access;
                fault.into()
            }
            Wrong::Refused(error) => error.into(),
        }
    }

    /// A fault of the instruction that a lane is at.
    fn fault(&self, run: &Run<'_>, lane: &Lane, what: Fault) -> Box<LaneFault> {
        let number = run.program.code().steps()[lane.step as usize].instruction as usize;
        Box::new(LaneFault {
            kernel: run.program.name().to_owned(),
            line: run.program.line(number),
            instruction: run.program.show(number),
            lane: lane.global,
            block: self.place,
            what,
            access: None,
            race: None,
        })
    }
}

impl Run<'_> {
    fn instruction(&self, step: u32) -> &Instruction {
        &self.program.instructions()[self.program.code().steps()[step as usize].instruction as usize]
    }
}

impl Lane {
    fn set(&mut self, register: Register, value: Value) {
        self.registers[usize::from(register.0)] = value;
    }

    /// Whether two waiting lanes are at the same place: the same step, which is one call path, and the same
    /// iteration of every loop around it.
    fn has_met(&self, run: &Run<'_>, other: &Lane) -> bool {
        // What is deeper was left behind by loops that have ended.
        let depth = run.program.code().steps()[self.step as usize].depth as usize;
        let counters = |lane: &Lane| lane.loops.iter().take(depth).map(|&(i, _)| i).collect::<Vec<_>>();
        self.step == other.step && counters(self) == counters(other)
    }
}

/// The fault of the lowest waiting lane where another one waits elsewhere.
fn barrier_fault(run: &Run<'_>, first: &Lane, other: &Lane) -> Fault {
    let number = |lane: &Lane| run.program.code().steps()[lane.step as usize].instruction as usize;
    let mut instruction = run.program.show(number(other));
    if first.step == other.step {
        instruction += ", in another iteration";
    } else if number(first) == number(other) {
        instruction += ", in another call";
    }
    Fault::Barrier { lane: show(other.global), line: run.program.line(number(other)), instruction }
}

/// Why an instruction was not executed.
enum Wrong {
    /// What the lane did, before it is known where.
    Fault { what: Fault, access: Option<FaultAccess> },
    /// The launch cannot go on.
    Refused(Error),
}

impl From<Fault> for Box<Wrong> {
    fn from(what: Fault) -> Box<Wrong> {
        Box::new(Wrong::Fault { what, access: None })
    }
}

impl From<Error> for Box<Wrong> {
    fn from(error: Error) -> Box<Wrong> {
        Box::new(Wrong::Refused(error))
    }
}

impl From<Refused> for Box<Wrong> {
    fn from(refused: Refused) -> Box<Wrong> {
        match refused {
            Refused::ZeroDivision => Fault::ZeroDivision {}.into(),
            Refused::Exponent(exponent) => Fault::Exponent { exponent }.into(),
        }
    }
}

fn show_index(index: &[i64]) -> String {
    match index {
        [one] => one.to_string(),
        many => layout::show(many),
    }
}

/// An element of a buffer that was checked to be in bounds, of any alignment.
struct Pointer(*mut u8);

impl Pointer {
    fn load(&self, ty: Type) -> Value {
        let mut bytes = [0u8; 8];
        // SAFETY: `Block::global` has checked the index against the tensor's shape, whose elements are memory
        // that the launch keeps alive; `Launch::new` that they are of the buffer's type.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(self.0, ty.bytes()) };
        Value::load(ty, &bytes)
    }

    fn store(&self, ty: Type, value: Value) {
        let mut bytes = [0u8; 8];
        value.store(ty, &mut bytes);
        // SAFETY: as in `load`; the verifier lets nothing store to an `in` buffer, and `Launch::new` has checked
        // that the others may be written.
        unsafe { self.0.copy_from_nonoverlapping(bytes.as_ptr(), ty.bytes()) };
    }
}
