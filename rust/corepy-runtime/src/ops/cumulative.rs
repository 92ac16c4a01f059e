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
use crate::scheduler::tuning::{self, Class, Cost};
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
/// Windows of a third-level cache that threads share a line in: its elements are read from memory once, for both
/// passes. 10,000,000 elements on two threads of an AMD EPYC (Zen 5, 32 MiB) took, one pass on one thread = 1:
///
/// | | `float32` | `float64` | `int64` |
/// |---|---:|---:|---:|
/// | without windows | 0.89 | 1.04 | 1.29 |
/// | windows of 4 MiB | 0.82 | 0.88 | 1.00 |
const WINDOWS: usize = 4;
/// Elements after which a long line looks for an interrupt: some 100 us.
const POLL: usize = 64 * BLOCK;

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
        let mut copying = if self.casts() { cost::cast_ns(self.stored, self.kept) } else { 0.0 };
        if staged && !together {
            copying += cost::class_ns(Class::Strided, self.stored);
        }
        let (elements, bytes) = (self.n * self.width, self.stored.itemsize());
        let moved = bytes + self.kept.itemsize();
        let size = elements.saturating_mul(units);
        let one = copying + cost::element_ns(Class::RunningTotal, self.kept, moved, size);
        let each = one * elements as f64;
        let all = each * units as f64;
        if threads > 1 && units < 2 * threads && self.blocks() > 1 && all >= cost::cold_ns() {
            // Threads that are sure to come pay where they make up for a pass more.
            let twice = one + copying + cost::class_ns(Class::BlockTotal, self.kept);
            let row = units * self.width * BLOCK * bytes;
            let fits = (tuning::get(Cost::ThirdBytes) as usize / WINDOWS / row).max(1);
            let even =
                (self.blocks() * units).div_ceil(4 * threads).min((fits * units).div_ceil(2 * threads));
            let per_block = one * (self.width * BLOCK) as f64;
            let piece = even.max(cost::tile(per_block, cost::LONG_TILE_NS)).next_multiple_of(STAGED / BLOCK);
            if piece < self.blocks() && twice < one * threads as f64 {
                let pieces = (fits / piece).clamp(1, self.blocks().div_ceil(piece));
                return self.in_pieces(piece, pieces, all);
            }
        }
        let mut tile = cost::tile(each, cost::LONG_TILE_NS).min(units);
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

    /// Goes through the blocks in windows of so many pieces, whose elements stay in the cache: finds the totals
    /// of their blocks, then the carry of each piece, then writes the pieces.
    fn in_pieces(&self, piece: usize, pieces: usize, cost: f64) -> Result<()> {
        let (units, blocks) = (self.units(), self.blocks());
        let window = piece * pieces;
        let total = self.width * self.kernels.total_bytes;
        let carry = self.width * self.kernels.carry_bytes;
        with_arena(|arena| {
            let totals = Shared(arena.scratch(units * window.min(blocks) * total).as_ptr());
            // A unit's carries of the pieces of a window, and that of the next one.
            let carries = Shared(arena.scratch(units * (pieces + 1) * carry).as_ptr());
            let running = arena.scratch(total).as_ptr();
            let carry_of = |number: usize, at: usize| carries.at((number * (pieces + 1) + at) * carry);
            for number in 0..units {
                // SAFETY: each carry has its own room.
                unsafe { (self.kernels.start)(carry_of(number, 0), running, self.unit(number).columns) };
            }
            for first in (0..blocks).step_by(window) {
                let last = blocks.min(first + window);
                let (count, part) = (last - first, (last - first) as f64 / blocks as f64);
                let pieces = count.div_ceil(piece);
                let range = |at: usize| first + at * piece..last.min(first + (at + 1) * piece);
                // Nobody asks for the totals of the last piece of all.
                let needed = if last == blocks { pieces - 1 } else { pieces };
                scheduler::run(units * needed, cost * part, &|i| {
                    let (number, at) = (i / needed, i % needed);
                    let to = totals.at((number * count + range(at).start - first) * total);
                    // SAFETY: the totals of these blocks.
                    match unsafe { self.totals(&self.unit(number), range(at), to) } {
                        Ok(()) => Flow::Continue,
                        Err(_) => Flow::Stop,
                    }
                })?;
                for number in 0..units {
                    let columns = self.unit(number).columns;
                    for at in 0..needed {
                        // SAFETY: each carry has its own room; the totals were written above.
                        unsafe {
                            carry_of(number, at + 1).copy_from_nonoverlapping(carry_of(number, at), carry);
                            for block in range(at) {
                                let total = totals.at((number * count + block - first) * total);
                                (self.kernels.absorb)(carry_of(number, at + 1), total, columns);
                            }
                        }
                    }
                }
                scheduler::run(units * pieces, cost * part, &|i| {
                    let (number, at) = (i / pieces, i % pieces);
                    // SAFETY: the piece's own elements and carry.
                    match unsafe { self.write(&self.unit(number), range(at), carry_of(number, at)) } {
                        Ok(()) => Flow::Continue,
                        Err(_) => Flow::Stop,
                    }
                })?;
                if last < blocks {
                    for number in 0..units {
                        // SAFETY: both carries are whole, and all tiles are done.
                        unsafe {
                            carry_of(number, 0).copy_from_nonoverlapping(carry_of(number, needed), carry)
                        };
                    }
                }
            }
            Ok(())
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
