//! Random programs that pass the verifier, end, and have no races: the same result on every backend.
//!
//! What makes them so: a lane stores only to its own element of a `y` buffer; an `acc` buffer sees one kind
//! of `red`; shared arrays are written at the lane's own place, and read between two barriers; barriers
//! stand where all lanes come by; loops count. With `faults`, some indices, divisors and asserts are wild.

use super::Random;
use corepy_runtime::generated::lanes::{Combine, Of, Opcode, ROWS, Row, Slot, Suffix};
use corepy_runtime::program::{Builder, Mode, Place, Program, Special, Term, Type, TypeSet};

/// What the programs are like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Statements of the main body; those in loops and branches come on top.
    pub statements: u64,
    /// Subroutines.
    pub subroutines: u64,
    /// Whether lanes may meet at barriers, reductions and scans.
    pub blocks: bool,
    /// Whether some lanes may end in a fault.
    pub faults: bool,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { statements: 25, subroutines: 2, blocks: true, faults: false }
    }
}

impl Shape {
    pub fn small() -> Shape {
        Shape { statements: 6, subroutines: 1, ..Shape::default() }
    }
}

const REGISTER_TYPES: [Type; 11] = [
    Type::B1,
    Type::I8,
    Type::I16,
    Type::I32,
    Type::I64,
    Type::U8,
    Type::U16,
    Type::U32,
    Type::U64,
    Type::F32,
    Type::F64,
];

/// Elements of each shared array: one for every lane of the largest block.
pub const SHARED: i64 = 1024;
const SHARED_TYPES: [Type; 4] = [Type::F32, Type::I32, Type::U64, Type::U8];

struct Writer<'a> {
    b: Builder,
    random: &'a mut Random,
    shape: Shape,
    /// Registers that are written on every path to here.
    known: Vec<(String, Type)>,
    inputs: Vec<(String, Type, usize)>,
    outputs: Vec<(String, Type)>,
    /// Those of them that can be loaded too.
    own: Vec<(String, Type)>,
    sums: Vec<(String, Type, Combine)>,
    params: Vec<(String, Type)>,
    /// Name, and whether barriers are in it.
    subroutines: Vec<(String, bool)>,
    names: usize,
    depth: usize,
    /// Loops around the place, and whether all lanes of a block run each alike.
    loops: Vec<bool>,
    rank: usize,
}

/// A program for grids of one dimension or, for `y` buffers with three axes, of three.
pub fn generate(random: &mut Random, shape: &Shape) -> Program {
    let b = Builder::new("generated");
    let rank = if random.chance(70) { 1 } else { 3 };
    let mut w = Writer {
        b,
        random,
        shape: shape.clone(),
        known: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        own: Vec::new(),
        sums: Vec::new(),
        params: Vec::new(),
        subroutines: Vec::new(),
        names: 0,
        depth: 0,
        loops: Vec::new(),
        rank,
    };
    w.declarations();
    w.prologue();
    for i in 0..shape.subroutines {
        w.subroutines.push((format!("sub{i}"), shape.blocks && i == 0));
    }
    // A subroutine calls none: the main body's are numbered, and only it calls.
    let main_known = w.known.clone();
    for _ in 0..shape.statements {
        w.statement(true);
    }
    w.epilogue();
    w.emit("exit", vec![]);
    let subroutines = std::mem::take(&mut w.subroutines);
    for (name, uniform) in subroutines {
        w.known.clone_from(&main_known);
        w.b.label(name);
        for _ in 0..3 {
            w.statement(uniform);
        }
        w.emit("ret", vec![]);
    }
    let text = w.b.text();
    w.b.build().unwrap_or_else(|e| panic!("the generator made a wrong program: {e}\n{text}"))
}

fn special(what: Place, axis: u8) -> Term {
    Special { what, axis }.into()
}

fn members(types: TypeSet) -> Vec<Type> {
    Type::ALL.into_iter().filter(|&t| types.contains(t)).collect()
}

impl Writer<'_> {
    fn emit(&mut self, opcode: &str, operands: Vec<Term>) {
        self.b.emit(opcode, operands);
    }

    fn declarations(&mut self) {
        for i in 0..self.random.below(4) {
            let ty = *self.random.pick(&REGISTER_TYPES);
            let name = format!("p{i}");
            self.b.param(name.clone(), ty);
            self.params.push((name, ty));
        }
        for i in 0..1 + self.random.below(3) {
            let ty = *self.random.pick(&Type::ALL);
            // One element for every lane of a row, or a few for all.
            let wide = self.random.chance(40);
            let axes = if wide { 1 } else { 1 + self.random.below(2) as usize };
            let name = if wide { format!("w{i}") } else { format!("x{i}") };
            self.b.buffer(name.clone(), Mode::In, ty, axes);
            self.inputs.push((name, ty, axes));
        }
        for i in 0..1 + self.random.below(3) {
            let ty = *self.random.pick(&Type::ALL);
            let name = format!("y{i}");
            let mode = if self.random.chance(50) { Mode::Out } else { Mode::Inout };
            self.b.buffer(name.clone(), mode, ty, self.rank);
            if mode == Mode::Inout {
                self.own.push((name.clone(), ty));
            }
            self.outputs.push((name, ty));
        }
        let row = ROWS.iter().find(|r| r.mnemonic == "red").expect("there is a red");
        let Suffix::Combine(combines) = row.suffix else { panic!("red combines") };
        for i in 0..self.random.below(3) {
            let (combine, types) = *self.random.pick(combines);
            let ty = *self.random.pick(&members(types));
            let name = format!("acc{i}");
            self.b.buffer(name.clone(), Mode::Inout, ty, 1);
            self.sums.push((name, ty, combine));
        }
        if self.shape.blocks {
            for (i, ty) in SHARED_TYPES.into_iter().enumerate() {
                self.b.shared(format!("t{i}"), ty, &[SHARED]);
            }
        }
    }

    /// Some registers of every type, and the lane's place in its block.
    fn prologue(&mut self) {
        self.emit("mov.i64", vec![Term::name("lin"), special(Place::Lane, 2)]);
        for axis in [1, 0] {
            let term = vec![
                Term::name("lin"),
                Term::name("lin"),
                special(Place::Lanes, axis),
                special(Place::Lane, axis),
            ];
            self.emit("mad.i64", term);
        }
        self.known.push(("lin".to_owned(), Type::I64));
        for ty in REGISTER_TYPES {
            let name = format!("{}_0", ty.name());
            if ty == Type::I64 || ty == Type::B1 {
                let value = self.value(ty);
                self.emit(&format!("mov.{}", ty.name()), vec![Term::name(&name), value]);
            } else {
                self.emit(&format!("cvt.{}.i64", ty.name()), vec![Term::name(&name), special(Place::Gid, 0)]);
            }
            self.known.push((name, ty));
        }
        for i in 0..self.inputs.len() {
            self.load(i);
        }
    }

    /// Stores what was computed.
    fn epilogue(&mut self) {
        for i in 0..self.outputs.len() {
            self.store(i);
        }
    }

    fn literal(&mut self, ty: Type) -> Term {
        if ty == Type::B1 {
            return Term::truth(self.random.chance(50));
        }
        if ty.is_float() {
            const VALUES: [f64; 16] = [
                0.0,
                -0.0,
                1.0,
                -1.0,
                0.5,
                -2.5,
                3.0,
                1e-3,
                1e30,
                -1e300,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                5e-324,
                1e-40,
                16777217.0,
            ];
            return Term::float(*self.random.pick(&VALUES));
        }
        let (low, high) = ty.range();
        let values = [0, 1, 2, 3, 5, 7, 31, 63, 64, 100, low, low + 1, high, high - 1, high / 2];
        Term::integer(*self.random.pick(&values))
    }

    /// A value that is known here.
    fn value(&mut self, ty: Type) -> Term {
        let registers: Vec<&String> = self.known.iter().filter(|(_, t)| *t == ty).map(|(n, _)| n).collect();
        if !registers.is_empty() && self.random.chance(70) {
            return Term::name(*self.random.pick(&registers));
        }
        let params: Vec<&String> = self.params.iter().filter(|(_, t)| *t == ty).map(|(n, _)| n).collect();
        if !params.is_empty() && self.random.chance(40) {
            return Term::name(*self.random.pick(&params));
        }
        if ty == Type::I64 && self.random.chance(50) {
            let what = *self.random.pick(&Place::ALL);
            return special(what, self.random.below(3) as u8);
        }
        self.literal(ty)
    }

    /// A register to write; it is known from here on.
    fn destination(&mut self, ty: Type) -> Term {
        let name = format!("{}_{}", ty.name(), self.random.below(5));
        if !self.known.iter().any(|(n, _)| *n == name) {
            self.known.push((name.clone(), ty));
        }
        Term::name(name)
    }

    fn fresh(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    /// One statement; `uniform` where all lanes of the block that have not exited come by together.
    fn statement(&mut self, uniform: bool) {
        let deep = self.depth >= 3;
        match self.random.below(100) {
            0..=54 => self.compute(uniform),
            55..=62 => {
                let i = self.random.below(self.inputs.len() as u64) as usize;
                self.load(i);
            }
            63..=66 => {
                let i = self.random.below(self.outputs.len() as u64) as usize;
                self.store(i);
            }
            99 => self.load_own(),
            67..=70 if !self.sums.is_empty() => self.update(),
            71..=76 if !deep => self.conditional(uniform),
            77..=78 if !deep => self.guard(),
            79..=84 if !deep => self.counted(uniform),
            85..=87 if !deep => self.backward(),
            88..=90 => self.call(uniform),
            91..=94 if uniform && self.shape.blocks => self.share(),
            95 => self.emit("fence", vec![]),
            96 if self.random.chance(30) && !self.loops.is_empty() => {
                let p = self.value(Type::B1);
                self.leave(p);
            }
            97 => self.maybe_exit(),
            98 => self.check(),
            _ => self.compute(uniform),
        }
    }

    /// A value-to-value instruction of any kind.
    fn compute(&mut self, uniform: bool) {
        let meets = uniform && self.shape.blocks && self.random.chance(30);
        let rows: Vec<&Row> = ROWS
            .iter()
            .filter(|r| !r.slots.is_empty())
            .filter(|r| {
                r.slots
                    .iter()
                    .all(|s| matches!(s, Slot::Write(Of::Own | Of::Truth | Of::Single) | Slot::Read(_)))
            })
            .filter(|r| matches!(r.slots[0], Slot::Write(_)))
            .filter(|r| meets == matches!(r.mnemonic, "reduce" | "scan"))
            .collect();
        let row = *self.random.pick(&rows);
        let (mut ty, mut source, mut opcode) = (Type::I64, Type::I64, row.mnemonic.to_owned());
        match row.suffix {
            Suffix::None => {}
            Suffix::Type => ty = *self.random.pick(&members(row.types)),
            Suffix::Types => {
                ty = *self.random.pick(&members(row.types));
                source = *self.random.pick(&members(row.types));
            }
            Suffix::Combine(combines) => {
                let (combine, types) = *self.random.pick(combines);
                ty = *self.random.pick(&members(types));
                opcode = format!("{opcode}.{}", combine.name());
            }
        }
        opcode = format!("{opcode}.{}", ty.name());
        if row.suffix == Suffix::Types {
            opcode = format!("{opcode}.{}", source.name());
        }
        let of = |slot: Of| match slot {
            Of::Own => ty,
            Of::Source => source,
            Of::Wide => ty.in_register(),
            Of::Truth => Type::B1,
            Of::Index => Type::I64,
            Of::Single => Type::F32,
        };
        let mut reads: Vec<Term> = Vec::new();
        for slot in &row.slots[1..] {
            if let Slot::Read(read) = *slot {
                reads.push(self.value(of(read)));
            }
        }
        let wild = self.shape.faults && self.random.chance(20);
        if matches!(row.opcode, Opcode::Binary(_)) && !wild {
            if row.mnemonic == "pow" {
                const EXPONENTS: [f64; 8] = [0.0, 1.0, 2.0, 3.0, -1.0, 0.5, f64::INFINITY, f64::NAN];
                reads[1] = Term::float(*self.random.pick(&EXPONENTS));
            } else if matches!(row.mnemonic, "floordiv" | "rem") && ty.is_integer() {
                let divisors = if ty.is_signed() { [1, 2, 3, -1, -7] } else { [1, 2, 3, 10, 7] };
                reads[1] = Term::integer(*self.random.pick(&divisors));
            }
        }
        let Slot::Write(write) = row.slots[0] else { return };
        let mut operands = vec![self.destination(of(write))];
        operands.extend(reads);
        self.emit(&opcode, operands);
    }

    /// A register of an index from 0 up to the extent of a buffer's axis, or a wild one.
    fn index(&mut self, buffer: &str, axis: usize) -> Term {
        if self.shape.faults && self.random.chance(4) {
            return self.value(Type::I64);
        }
        let (extent, index) = (self.fresh("e"), self.fresh("k"));
        let value = self.value(Type::I64);
        self.emit("dim.i64", vec![Term::name(&extent), Term::name(buffer), Term::integer(axis as i128)]);
        self.emit("rem.i64", vec![Term::name(&index), value, Term::name(&extent)]);
        Term::name(index)
    }

    fn load(&mut self, i: usize) {
        let (name, ty, axes) = self.inputs[i].clone();
        if name.starts_with('w') && self.random.chance(70) {
            let to = self.destination(ty.in_register());
            let mut index = special(Place::Gid, 0);
            if self.shape.faults && self.random.chance(10) {
                let k = self.fresh("k");
                let by = Term::integer(i128::from(self.random.below(3)) - 1);
                self.emit("add.i64", vec![Term::name(&k), index, by]);
                index = Term::name(k);
            }
            self.emit(&format!("ldg.{}", ty.name()), vec![to, Term::access(name, [index])]);
            return;
        }
        let index: Vec<Term> = (0..axes).map(|axis| self.index(&name, axis)).collect();
        let to = self.destination(ty.in_register());
        self.emit(&format!("ldg.{}", ty.name()), vec![to, Term::access(name, index)]);
    }

    fn store(&mut self, i: usize) {
        let (name, ty) = self.outputs[i].clone();
        let axes: &[u8] = if self.rank == 1 { &[0] } else { &[2, 1, 0] };
        let index: Vec<Term> = axes.iter().map(|&axis| special(Place::Gid, axis)).collect();
        let value = self.value(ty.in_register());
        self.emit(&format!("stg.{}", ty.name()), vec![Term::access(name, index), value]);
    }

    /// Loads the lane's own element of a buffer that it also stores to.
    fn load_own(&mut self) {
        let own: Vec<(String, Type)> = self.own.clone();
        if own.is_empty() {
            return;
        }
        let (name, ty) = self.random.pick(&own).clone();
        let axes: &[u8] = if self.rank == 1 { &[0] } else { &[2, 1, 0] };
        let mut index: Vec<Term> = axes.iter().map(|&axis| special(Place::Gid, axis)).collect();
        if self.random.chance(40) {
            // The same place by way of a register that rises with the lane.
            let (k, moved) = (self.fresh("k"), self.literal(Type::I64));
            let last = index.len() - 1;
            self.emit("add.i64", vec![Term::name(&k), special(Place::Gid, 0), moved.clone()]);
            self.emit("sub.i64", vec![Term::name(&k), Term::name(&k), moved]);
            index[last] = Term::name(k);
        }
        let to = self.destination(ty.in_register());
        self.emit(&format!("ldg.{}", ty.name()), vec![to.clone(), Term::access(name.clone(), index.clone())]);
        if self.random.chance(50) {
            // Changed and stored at once, and used again or not.
            let ty_name = ty.in_register().name();
            let other = self.value(ty.in_register());
            let out = self.destination(ty.in_register());
            let opcode = if ty == Type::B1 { "or" } else { "add" };
            self.emit(&format!("{opcode}.{ty_name}"), vec![out.clone(), to, other]);
            self.emit(&format!("stg.{}", ty.name()), vec![Term::access(name, index), out]);
        }
    }

    /// Leaves the lanes out that lie behind a bound, or before one.
    fn guard(&mut self) {
        let (p, end) = (self.fresh("in"), self.fresh("end"));
        let op = *self.random.pick(&["setlt", "setle", "setgt", "setge"]);
        let lane = special(*self.random.pick(&[Place::Gid, Place::Lane]), 0);
        let bound = if self.random.chance(70) {
            Term::integer(i128::from(self.random.below(80)))
        } else {
            self.value(Type::I64)
        };
        let (a, b) = if self.random.chance(50) { (lane, bound) } else { (bound, lane) };
        self.emit(&format!("{op}.i64"), vec![Term::name(&p), a, b]);
        let negated = self.random.chance(50);
        if self.random.chance(30) {
            // Read again later.
            self.known.push((p.clone(), Type::B1));
        }
        let condition = if negated { Term::Not(p) } else { Term::name(p) };
        self.emit("bra", vec![condition, Term::name(&end)]);
        let count = 1 + self.random.below(4);
        self.nested(false, count);
        self.b.label(end);
        self.emit("fence", vec![]);
    }

    fn update(&mut self) {
        let (name, ty, combine) = self.random.pick(&self.sums).clone();
        let index = self.index(&name, 0);
        let value = self.value(ty);
        self.emit(&format!("red.{}.{}", combine.name(), ty.name()), vec![Term::access(name, [index]), value]);
    }

    /// A condition: a param keeps lanes together, a register may part them.
    fn condition(&mut self) -> (Term, bool) {
        let params: Vec<String> =
            self.params.iter().filter(|(_, t)| *t == Type::B1).map(|(n, _)| n.clone()).collect();
        if !params.is_empty() && self.random.chance(30) {
            let name = self.random.pick(&params).clone();
            return (if self.random.chance(50) { Term::Not(name) } else { Term::Name(name) }, true);
        }
        let registers: Vec<String> =
            self.known.iter().filter(|(_, t)| *t == Type::B1).map(|(n, _)| n.clone()).collect();
        let name = self.random.pick(&registers).clone();
        (if self.random.chance(50) { Term::Not(name) } else { Term::Name(name) }, false)
    }

    fn nested(&mut self, uniform: bool, statements: u64) {
        self.depth += 1;
        let known = self.known.clone();
        for _ in 0..statements {
            self.statement(uniform);
        }
        self.known = known;
        self.depth -= 1;
    }

    fn conditional(&mut self, uniform: bool) {
        let (condition, together) = self.condition();
        let (other, end) = (self.fresh("other"), self.fresh("end"));
        self.emit("bra", vec![condition, Term::name(&other)]);
        let count = 1 + self.random.below(3);
        self.nested(uniform && together, count);
        if self.random.chance(50) {
            self.emit("bra", vec![Term::name(&end)]);
            self.b.label(other);
            let count = 1 + self.random.below(3);
            self.nested(uniform && together, count);
            self.b.label(end);
        } else {
            self.b.label(other);
        }
        // A label needs an instruction behind it.
        self.emit("fence", vec![]);
    }

    fn counted(&mut self, uniform: bool) {
        let counter = self.fresh("c");
        let together = uniform && self.random.chance(50);
        let count = if together || self.random.chance(30) {
            Term::integer(i128::from(self.random.below(4)) - i128::from(self.random.chance(10)))
        } else {
            let (value, count) = (self.value(Type::I64), self.fresh("n"));
            self.emit("rem.i64", vec![Term::name(&count), value, Term::integer(4)]);
            Term::name(count)
        };
        self.emit("loop", vec![Term::name(&counter), count]);
        self.loops.push(together);
        let known = self.known.clone();
        self.known.push((counter, Type::I64));
        let statements = 1 + self.random.below(4);
        self.nested(together, statements);
        self.known = known;
        self.loops.pop();
        self.emit("endloop", vec![]);
    }

    /// A loop by a branch that goes back, a number of times that lanes differ in.
    fn backward(&mut self) {
        let (count, left, start, again) =
            (self.fresh("n"), self.fresh("left"), self.fresh("start"), self.fresh("again"));
        let value = self.value(Type::I64);
        self.emit("rem.i64", vec![Term::name(&count), value, Term::integer(3)]);
        self.emit("mov.i64", vec![Term::name(&left), Term::name(&count)]);
        self.b.label(start.clone());
        let statements = 1 + self.random.below(3);
        // A break would leave a loop that may be around this one.
        let around = std::mem::take(&mut self.loops);
        self.nested(false, statements);
        self.loops = around;
        self.emit("sub.i64", vec![Term::name(&left), Term::name(&left), Term::integer(1)]);
        self.emit("setge.i64", vec![Term::name(&again), Term::name(&left), Term::integer(0)]);
        self.emit("bra", vec![Term::name(again), Term::name(start)]);
    }

    fn leave(&mut self, condition: Term) {
        // Leaving a loop that all lanes run together would part them.
        if self.loops.last() == Some(&false) {
            let opcode = if self.random.chance(50) { "break" } else { "continue" };
            self.emit(opcode, vec![condition]);
        }
    }

    fn call(&mut self, uniform: bool) {
        let callable: Vec<String> =
            self.subroutines.iter().filter(|(_, meets)| uniform || !meets).map(|(n, _)| n.clone()).collect();
        if !callable.is_empty() {
            let name = self.random.pick(&callable).clone();
            self.emit("call", vec![Term::name(name)]);
        }
    }

    /// Stores to shared memory, meets, loads what others stored, meets again.
    fn share(&mut self) {
        let which = self.random.below(SHARED_TYPES.len() as u64) as usize;
        let (name, ty) = (format!("t{which}"), SHARED_TYPES[which]);
        let size = Term::integer(i128::from(SHARED));
        let index = Term::name(self.fresh("k"));
        let own = self.value(Type::I64);
        self.emit("rem.i64", vec![index.clone(), own, size]);
        let value = self.value(ty);
        if ty.is_integer() && self.random.chance(40) {
            let op = *self.random.pick(&["add", "min", "max", "and", "or", "xor"]);
            let to = Term::access(&name, [index.clone()]);
            self.emit(&format!("redsh.{op}.{}", ty.name()), vec![to, value]);
        } else {
            self.emit(&format!("sts.{}", ty.name()), vec![Term::access(&name, [Term::name("lin")]), value]);
        }
        self.emit("barrier", vec![]);
        let to = self.destination(ty);
        self.emit(&format!("lds.{}", ty.name()), vec![to, Term::access(&name, [index])]);
        self.emit("barrier", vec![]);
    }

    fn maybe_exit(&mut self) {
        let (condition, _) = self.condition();
        let on = self.fresh("on");
        self.emit("bra", vec![condition, Term::name(&on)]);
        self.emit("exit", vec![]);
        self.b.label(on);
        self.emit("fence", vec![]);
    }

    fn check(&mut self) {
        let condition = if self.shape.faults && self.random.chance(10) {
            self.value(Type::B1)
        } else {
            Term::truth(true)
        };
        self.emit("assert", vec![condition, Term::Message("as generated".to_owned())]);
    }
}
