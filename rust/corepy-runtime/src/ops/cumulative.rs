//! Running sums and products along an axis.
//!
//! The order is fixed: left to right inside a block of 1,024, on top of a carry that has the totals of
//! all blocks before, added up left to right. So a block's own running totals can be computed anywhere.
//! Where threads share a line, a first pass finds the totals of its blocks, and a second writes the
//! elements of each piece on top of its carry.

use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::generated::abi;
use crate::generated::ops::Cumulative;
use crate::kernels::{self, BLOCK};
use crate::layout::{self, Dims};
use crate::memory::arena::with_arena;
use crate::memory::list::List;
use crate::ops::copy;
use crate::ops::iterate::{Axis, Cursor};
use crate::scalar::Scalar;
use crate::scheduler::{self, Flow, cost};
use crate::tensor::Tensor;
use crate::trace;

/// Columns below which the elements of each are copied together where rows have gaps between them or
/// have to be copied one by one.
const NARROW: usize = 8;
/// Lines of one tile, where they do not have this many blocks themselves: as many as kernels take
/// abreast.
const ABREAST: usize = 8;
/// Columns of a strip: its totals and carries, up to 64 bytes a column, stay in the first-level cache.
const STRIP: usize = 512;
/// Columns of the narrowest strip that is cut for the sake of threads.
const NARROW_STRIP: usize = 64;
/// Elements that are copied together at a time: as many blocks as a kernel takes abreast.
const STAGED: usize = 8 * BLOCK;
/// Work of one tile.
const TILE_NS: f64 = 20_000.0;
/// Elements after which a long line looks for an interrupt: some 100 us.
const POLL: usize = 64 * BLOCK;

/// Estimated ns for one element on one thread, measured with AVX-512 in the second-level cache; of
/// these for converting elements that lie together, and for copying others together.
fn element_ns(dtype: DType) -> f64 {
    match dtype {
        DType::Int64 | DType::Uint64 => 0.25,
        DType::Complex64 | DType::Complex128 => 1.4,
        _ => 0.6,
    }
}
const CAST_NS: f64 = 0.1;
const GATHER_NS: f64 = 0.7;

/// The name of the public function.
fn name(kind: Cumulative) -> &'static str {
    match kind {
        Cumulative::Sum => "cumulative_sum",
        Cumulative::Prod => "cumulative_prod",
    }
}

/// Running totals along `axis`, which may be left out for one axis. `dtype` converts each element
/// first; with `initial` the first of them is that of no element.
pub fn cumulative(
    kind: Cumulative,
    x: &Tensor,
    axis: Option<i64>,
    dtype: Option<DType>,
    initial: bool,
) -> Result<Tensor> {
    let op = name(kind);
    trace::operation(op, |call| _ = call.operands([x]), || untraced(kind, x, axis, dtype, initial))
}

fn untraced(
    kind: Cumulative,
    x: &Tensor,
    axis: Option<i64>,
    dtype: Option<DType>,
    initial: bool,
) -> Result<Tensor> {
    let op = name(kind);
    for dtype in dtype.iter().chain([&x.dtype()]) {
        if !dtype.computes() {
            return Err(Error::StorageDtype { op, dtype: dtype.name() });
        }
    }
    let computed = dtype.unwrap_or(x.dtype());
    copy::check_convertible(op, x.dtype(), computed)?;
    let kept = match computed.kind() {
        Kind::Bool | Kind::Signed => DType::Int64,
        Kind::Unsigned => DType::Uint64,
        _ => computed,
    };
    // As in NumPy, a number is a line of one element.
    let line = match x.ndim() {
        0 => x.view(0, &[1], &[x.itemsize() as i64]),
        _ => x.clone(),
    };
    let axis = match axis {
        Some(axis) => layout::normalize_axis(op, axis, line.ndim())?,
        None if line.ndim() == 1 => 0,
        None => return Err(Error::AxisNeeded { op, ndim: line.ndim() }),
    };
    // What is kept in 64 bits becomes the smaller dtype before it is added.
    let line = match dtype {
        Some(wanted) if wanted != x.dtype() && wanted != kept => copy::astype(&line, wanted, op)?,
        _ => line,
    };
    let mut shape = Dims::new(line.shape());
    shape[axis] += initial as i64;
    let out = Tensor::empty(op, &shape, kept)?;
    let mut body = out.clone();
    if initial {
        shape[axis] = 1;
        let of_none = Scalar::from_i64(matches!(kind, Cumulative::Prod) as i64);
        copy::fill(&out.view(0, &shape, out.strides()), &of_none)?;
        body = out.view(out.strides()[axis], line.shape(), out.strides());
    }
    if body.size() > 0 {
        run(kind, op, &line, &body, axis)?;
    }
    match dtype {
        Some(wanted) if wanted != kept => copy::astype(&out, wanted, op),
        _ => Ok(out),
    }
}

/// Places of the strides in a loop.
const OUT: usize = 0;
const IN: usize = 1;
type Loop = Axis<2>;

/// The functions of a dtype, all present.
#[derive(Clone, Copy)]
struct Kernels {
    start: abi::cumulative_start,
    absorb: abi::cumulative_absorb,
    totals: abi::cumulative_totals,
    line: abi::cumulative_line,
    lines: abi::cumulative_lines,
    rows: abi::cumulative_rows,
    carry_bytes: usize,
    total_bytes: usize,
}

impl Kernels {
    fn of(kind: Cumulative, dtype: DType) -> Option<Kernels> {
        let slot = kernels::cumulative(kind, dtype);
        Some(Kernels {
            start: slot.start?,
            absorb: slot.absorb?,
            totals: slot.totals?,
            line: slot.line?,
            lines: slot.lines?,
            rows: slot.rows?,
            carry_bytes: slot.carry_bytes,
            total_bytes: slot.total_bytes,
        })
    }
}

/// Lines of n elements, each with its own totals, in units of one or of some neighbours.
struct Job {
    kernels: Kernels,
    out: *mut u8,
    data: *const u8,
    stored: DType,
    kept: DType,
    aligned: bool,
    n: usize,
    /// From one element of a line to the next.
    along: [i64; 2],
    /// The loops over units; of strips, without the columns.
    outer: List<Loop>,
    /// The columns of a row, where units are strips of them.
    columns: Option<Loop>,
    /// Columns of a unit, and units across the columns.
    width: usize,
    across: usize,
}

// SAFETY: the addresses are those of tensors that the caller keeps alive; threads write disjoint parts
// of the output.
unsafe impl Sync for Job {}

/// Loops over axes of both tensors, neighbours that are one loop in memory joined.
fn loops(out: &Tensor, x: &Tensor, axes: std::ops::Range<usize>) -> List<Loop> {
    let all =
        axes.map(|axis| Loop { extent: x.shape()[axis], strides: [out.strides()[axis], x.strides()[axis]] });
    let mut loops: List<Loop> = all.filter(|l| l.extent != 1).collect();
    loops.merge(Loop::with_inner);
    loops
}

fn run(kind: Cumulative, op: &'static str, x: &Tensor, out: &Tensor, axis: usize) -> Result<()> {
    let kept = out.dtype();
    let kernels = Kernels::of(kind, kept).ok_or_else(|| Error::Internal {
        op,
        what: format!("no kernel for running totals of {}", kept.name()),
    })?;
    let ndim = x.ndim();
    let n = x.shape()[axis] as usize;
    let columns: i64 = x.shape()[axis + 1..].iter().product();
    let inner = loops(out, x, axis + 1..ndim);
    let dense = |l: &Loop| {
        let item = x.itemsize() as i64;
        l.strides[IN] == item && x.strides()[axis] == columns * item && x.is_aligned()
    };
    let narrow = (columns as usize) < NARROW && !(inner.len() == 1 && dense(&inner[0]));
    let together = columns > 1 && n > 1 && !narrow;
    if together && inner.len() > 1 {
        // Rows whose elements no single loop finds: one copy is cheaper than many short ones.
        return run(kind, op, &copy::contiguous_as(x, kept, op)?, out, axis);
    }
    let threads = scheduler::threads();
    let mut job = Job {
        kernels,
        out: out.data(),
        data: x.data(),
        stored: x.dtype(),
        kept,
        aligned: x.is_aligned(),
        n,
        along: [out.strides()[axis], x.strides()[axis]],
        outer: loops(out, x, 0..axis),
        columns: None,
        width: 1,
        across: 1,
    };
    if together {
        let extent = columns as usize;
        let mut across = extent.div_ceil(STRIP);
        if n <= BLOCK {
            across = across.max((2 * threads).min(extent / NARROW_STRIP));
        }
        job.width = extent.div_ceil(across).next_multiple_of(NARROW).min(extent);
        job.across = extent.div_ceil(job.width);
        job.columns = Some(inner[0]);
    } else {
        for each in &inner[..] {
            job.outer.push(*each);
        }
        job.outer.merge(Loop::with_inner);
    }
    job.share(threads)
}

/// A unit of a job: where it starts, and its columns.
#[derive(Clone, Copy)]
struct Unit {
    out: *mut u8,
    data: *const u8,
    columns: usize,
}

impl Job {
    fn units(&self) -> usize {
        self.across * self.outer.iter().map(|l| l.extent as usize).product::<usize>()
    }

    fn unit(&self, number: usize) -> Unit {
        let cursor = Cursor::new(&self.outer, number / self.across);
        let first = number % self.across * self.width;
        let strides = self.columns.map_or([0; 2], |l| l.strides);
        let extent = self.columns.map_or(1, |l| l.extent as usize);
        let offset = |k: usize| (cursor.offsets[k] + strides[k] * first as i64) as isize;
        Unit {
            out: self.out.wrapping_offset(offset(OUT)),
            data: self.data.wrapping_offset(offset(IN)),
            columns: self.width.min(extent - first),
        }
    }

    fn blocks(&self) -> usize {
        self.n.div_ceil(BLOCK)
    }

    fn casts(&self) -> bool {
        self.stored != self.kept
    }

    /// Whether kernels read elements as they lie: one after the other along a line or a row.
    fn reads_directly(&self) -> bool {
        let stride = self.columns.map_or(self.along[IN], |l| l.strides[IN]);
        !self.casts() && self.aligned && stride == self.stored.itemsize() as i64
    }

    fn writes_directly(&self) -> bool {
        self.columns.is_some() || self.along[OUT] == self.kept.itemsize() as i64
    }

    /// Shares the units among threads, or the blocks of each where there are too few units.
    fn share(&self, threads: usize) -> Result<()> {
        let units = self.units();
        let staged = !self.reads_directly() || !self.writes_directly();
        trace::path(if staged { "gathered" } else { "direct" });
        trace::kernel(if self.columns.is_some() { "rows" } else { "line" });
        let item = self.stored.itemsize() as i64;
        let together =
            self.columns.map_or(self.along[IN], |l| l.strides[IN]) == item && self.writes_directly();
        let copying = match staged {
            false => 0.0,
            true if together => CAST_NS,
            true => GATHER_NS,
        };
        let each = (element_ns(self.kept) + copying) * (self.n * self.width) as f64;
        let all = each * units as f64;
        // Two passes pay for threads that are sure to come.
        if threads > 1 && units < 2 * threads && self.blocks() > 1 && all >= cost::cold_ns() {
            let even = (self.blocks() * units).div_ceil(4 * threads);
            let least = (TILE_NS / (each / self.n as f64 * BLOCK as f64)).ceil() as usize;
            let piece = even.max(least).next_multiple_of(STAGED / BLOCK);
            if piece < self.blocks() {
                return self.in_pieces(piece, all);
            }
        }
        let mut tile = ((TILE_NS / each) as usize).clamp(1, units);
        if self.columns.is_none() && self.blocks() < ABREAST && units >= 2 * ABREAST * threads {
            tile = tile.next_multiple_of(ABREAST);
        }
        if !staged && self.columns.is_none() && self.n <= POLL {
            return scheduler::run(units.div_ceil(tile), all, &|i| {
                self.lines(i * tile..units.min((i + 1) * tile));
                Flow::Continue
            });
        }
        scheduler::run(units.div_ceil(tile), all, &|i| {
            with_arena(|arena| {
                let carry = arena.scratch(self.width * self.kernels.carry_bytes).as_ptr();
                let running = arena.scratch(self.width * self.kernels.total_bytes).as_ptr();
                for number in i * tile..units.min((i + 1) * tile) {
                    let unit = self.unit(number);
                    // SAFETY: room for the unit's columns; its own elements.
                    let done = unsafe {
                        (self.kernels.start)(carry, running, unit.columns);
                        self.write(&unit, 0..self.blocks(), carry)
                    };
                    if done.is_err() {
                        return Flow::Stop;
                    }
                }
                Flow::Continue
            })
        })
    }

    /// Writes whole lines that are read and written as they lie.
    fn lines(&self, units: std::ops::Range<usize>) {
        let mut number = units.start;
        while number < units.end {
            let unit = self.unit(number);
            // Lines up to the end of the innermost loop are evenly spaced.
            let (count, strides) = match self.outer.last() {
                Some(l) => {
                    let extent = l.extent as usize;
                    ((extent - number % extent).min(units.end - number), l.strides.map(|s| s as isize))
                }
                None => (1, [0; 2]),
            };
            // SAFETY: `count` lines of n contiguous elements each, which nobody else writes.
            unsafe { (self.kernels.lines)(unit.out, strides[OUT], unit.data, strides[IN], count, self.n) };
            number += count;
        }
    }

    /// Finds the totals of all blocks, then the carry of each piece, then writes the pieces.
    fn in_pieces(&self, piece: usize, cost: f64) -> Result<()> {
        let (units, blocks) = (self.units(), self.blocks());
        let pieces = blocks.div_ceil(piece);
        let total = self.width * self.kernels.total_bytes;
        let carry = self.width * self.kernels.carry_bytes;
        let range = |number: usize| number * piece..blocks.min((number + 1) * piece);
        with_arena(|arena| {
            let totals = Shared(arena.scratch(units * blocks * total).as_ptr());
            let carries = Shared(arena.scratch(units * pieces * carry).as_ptr());
            let running = arena.scratch(total).as_ptr();
            // Nobody asks for the totals of a last piece.
            scheduler::run(units * (pieces - 1), cost / 2.0, &|i| {
                let (number, at) = (i / (pieces - 1), i % (pieces - 1));
                let unit = self.unit(number);
                let to = totals.at((number * blocks + range(at).start) * total);
                // SAFETY: the totals of these blocks.
                match unsafe { self.totals(&unit, range(at), to) } {
                    Ok(()) => Flow::Continue,
                    Err(_) => Flow::Stop,
                }
            })?;
            for number in 0..units {
                let columns = self.unit(number).columns;
                let at = |piece: usize| carries.at((number * pieces + piece) * carry);
                // SAFETY: each carry has its own room; the totals were written above.
                unsafe {
                    (self.kernels.start)(at(0), running, columns);
                    for piece in 1..pieces {
                        at(piece).copy_from_nonoverlapping(at(piece - 1), carry);
                        for block in range(piece - 1) {
                            let total = totals.at((number * blocks + block) * total);
                            (self.kernels.absorb)(at(piece), total, columns);
                        }
                    }
                }
            }
            scheduler::run(units * pieces, cost, &|i| {
                let unit = self.unit(i / pieces);
                // SAFETY: the piece's own elements and carry.
                match unsafe { self.write(&unit, range(i % pieces), carries.at(i * carry)) } {
                    Ok(()) => Flow::Continue,
                    Err(_) => Flow::Stop,
                }
            })
        })
    }

    /// Elements of a range of blocks.
    fn elements(&self, blocks: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        blocks.start * BLOCK..self.n.min(blocks.end * BLOCK)
    }

    /// Adds up blocks of a unit, each by itself.
    ///
    /// # Safety
    /// There is room for the totals of all blocks, those of as many columns as the widest unit has.
    unsafe fn totals(&self, unit: &Unit, blocks: std::ops::Range<usize>, totals: *mut u8) -> Result<()> {
        let elements = self.elements(&blocks);
        let each = self.width * self.kernels.total_bytes;
        with_arena(|arena| {
            if self.columns.is_none() {
                let room = if self.reads_directly() { 0 } else { STAGED.min(elements.len()) };
                let (stored, computed) = self.room(arena, room);
                for first in elements.clone().step_by(STAGED) {
                    let count = STAGED.min(elements.end - first);
                    let to = totals.wrapping_add((first / BLOCK - blocks.start) * each);
                    // SAFETY: elements of the line; scratch has room for as many.
                    unsafe {
                        let data = self.staged(unit.data, first, count, stored, computed);
                        (self.kernels.totals)(to, data, count);
                    }
                    scheduler::poll()?;
                }
                return Ok(());
            }
            let carry = arena.scratch(unit.columns * self.kernels.carry_bytes).as_ptr();
            for block in blocks.clone() {
                let to = totals.wrapping_add((block - blocks.start) * each);
                // SAFETY: rows of the strip; room for its columns.
                unsafe {
                    (self.kernels.start)(carry, to, unit.columns);
                    self.rows(unit, self.elements(&(block..block + 1)), std::ptr::null(), to, false);
                }
                scheduler::poll()?;
            }
            Ok(())
        })
    }

    /// Writes the running totals of blocks of a unit, the first of which begins with `carry`.
    ///
    /// # Safety
    /// `carry` is that of the unit's columns; nobody else writes these elements.
    unsafe fn write(&self, unit: &Unit, blocks: std::ops::Range<usize>, carry: *mut u8) -> Result<()> {
        // SAFETY: as the caller promises.
        unsafe {
            match self.columns {
                None => self.write_line(unit, self.elements(&blocks), carry),
                Some(_) => self.write_strip(unit, blocks, carry),
            }
        }
    }

    /// # Safety
    /// As for `write`.
    unsafe fn write_line(&self, unit: &Unit, elements: std::ops::Range<usize>, carry: *mut u8) -> Result<()> {
        let direct = self.reads_directly() && self.writes_directly();
        let step = if direct { POLL } else { STAGED };
        let item = self.kept.itemsize();
        let room = if direct { 0 } else { STAGED.min(elements.len()) };
        with_arena(|arena| {
            let (stored, computed) = self.room(arena, room);
            let results = arena.scratch(if self.writes_directly() { 0 } else { room * item }).as_ptr();
            for first in elements.clone().step_by(step) {
                let count = step.min(elements.end - first);
                let out = unit.out.wrapping_offset((self.along[OUT] * first as i64) as isize);
                // SAFETY: elements of the line; scratch has room for as many.
                unsafe {
                    let data = self.staged(unit.data, first, count, stored, computed);
                    if self.writes_directly() {
                        (self.kernels.line)(out, carry, data, count);
                    } else {
                        (self.kernels.line)(results, carry, data, count);
                        kernels::scatter(self.kept)(out, results, count, self.along[OUT] as isize);
                    }
                }
                if first + count < elements.end {
                    scheduler::poll()?;
                }
            }
            Ok(())
        })
    }

    /// # Safety
    /// As for `write`.
    unsafe fn write_strip(&self, unit: &Unit, blocks: std::ops::Range<usize>, carry: *mut u8) -> Result<()> {
        with_arena(|arena| {
            let running = arena.scratch(unit.columns * self.kernels.total_bytes).as_ptr();
            let unused = arena.scratch(unit.columns * self.kernels.carry_bytes).as_ptr();
            for block in blocks {
                // SAFETY: rows of the strip; room for its columns.
                unsafe {
                    (self.kernels.start)(unused, running, unit.columns);
                    self.rows(unit, self.elements(&(block..block + 1)), carry, running, true);
                    (self.kernels.absorb)(carry, running, unit.columns);
                }
                scheduler::poll()?;
            }
            Ok(())
        })
    }

    /// Room for elements as they are stored, and as they are computed with where that differs.
    fn room(&self, arena: &crate::memory::arena::Arena, elements: usize) -> (*mut u8, *mut u8) {
        let stored = arena.scratch(elements * self.stored.itemsize()).as_ptr();
        let computed = arena.scratch(if self.casts() { elements * self.kept.itemsize() } else { 0 }).as_ptr();
        (stored, if self.casts() { computed } else { stored })
    }

    /// Elements first ... first + count - 1 of a line, contiguous and in the kept dtype.
    ///
    /// # Safety
    /// They lie in the line; unless they are read as they lie, both rooms hold `count` elements.
    unsafe fn staged(
        &self,
        line: *const u8,
        first: usize,
        count: usize,
        stored: *mut u8,
        computed: *mut u8,
    ) -> *const u8 {
        let start = line.wrapping_offset((self.along[IN] * first as i64) as isize);
        if self.reads_directly() {
            return start;
        }
        // SAFETY: as the caller promises.
        unsafe { self.converted(start, count, self.along[IN], stored, computed) };
        computed
    }

    /// Copies `count` elements, `stride` bytes apart, to `computed`, by way of `stored` where need be.
    ///
    /// # Safety
    /// They lie in the operand, and both rooms have place for them.
    unsafe fn converted(
        &self,
        start: *const u8,
        count: usize,
        stride: i64,
        stored: *mut u8,
        computed: *mut u8,
    ) {
        // SAFETY: as the caller promises; scratch is aligned.
        unsafe {
            if self.casts() && self.aligned && stride == self.stored.itemsize() as i64 {
                return kernels::cast(self.stored, self.kept)(computed, start, count);
            }
            kernels::gather(self.stored)(stored, start, count, stride as isize);
            if self.casts() {
                kernels::cast(self.stored, self.kept)(computed, stored, count);
            }
        }
    }

    /// Adds rows of one block to `running`, and writes what they and `carry` give.
    ///
    /// # Safety
    /// The rows lie in the strip; carry and running have its columns.
    unsafe fn rows(
        &self,
        unit: &Unit,
        rows: std::ops::Range<usize>,
        carry: *const u8,
        running: *mut u8,
        write: bool,
    ) {
        let at = |first: usize, k: usize| (self.along[k] * first as i64) as isize;
        let out = |first: usize| match write {
            true => unit.out.wrapping_offset(at(first, OUT)),
            false => std::ptr::null_mut(),
        };
        let [out_stride, in_stride] = self.along.map(|s| s as isize);
        let kernel = self.kernels.rows;
        if self.reads_directly() {
            let data = unit.data.wrapping_offset(at(rows.start, IN));
            let count = rows.len();
            // SAFETY: as the caller promises.
            return unsafe {
                kernel(out(rows.start), out_stride, carry, running, data, in_stride, count, unit.columns)
            };
        }
        let columns = unit.columns;
        let stride = self.columns.map_or(0, |l| l.strides[IN]);
        let step = (STAGED / columns).max(1);
        let (item, row) = (self.stored.itemsize(), columns * self.kept.itemsize());
        with_arena(|arena| {
            let (stored, computed) = self.room(arena, step.min(rows.len()) * columns);
            for first in rows.clone().step_by(step) {
                let count = step.min(rows.end - first);
                let gaps = in_stride != (columns * item) as isize || stride != item as i64;
                let pieces = if gaps { count } else { 1 };
                for i in 0..pieces {
                    let data = unit.data.wrapping_offset(at(first + i, IN));
                    let stored = stored.wrapping_add(i * columns * item);
                    let computed = computed.wrapping_add(i * row);
                    // SAFETY: one row of the strip, or all of them; the rooms hold `step` of them.
                    unsafe { self.converted(data, count / pieces * columns, stride, stored, computed) };
                }
                // SAFETY: the rows that were just copied.
                unsafe {
                    kernel(out(first), out_stride, carry, running, computed, row as isize, count, columns)
                };
            }
        });
    }
}

/// An address that threads share; each uses its own part of what lies there.
#[derive(Clone, Copy)]
struct Shared(*mut u8);

// SAFETY: see above.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.wrapping_add(offset)
    }
}
