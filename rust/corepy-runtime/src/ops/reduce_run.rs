//! Runs a reduction's plan: over single results or rows of them, shared out among threads.
//!
//! A *unit* is what has one state: one result, or a strip of neighbouring columns. Its elements are
//! cut into blocks of 1,024; any aligned power-of-two group of blocks is a subtree of the fixed tree,
//! so that groups may be computed anywhere and merged afterwards.

use crate::dtype::DType;
use crate::error::Result;
use crate::generated::abi;
use crate::generated::ops::Family;
use crate::kernels::{self, BLOCK, STRIPES};
use crate::memory::arena::{Arena, with_arena};
use crate::ops::iterate::Cursor;
use crate::ops::reduce_cut::Cut;
use crate::ops::reduce_plan::{A, Loop, OUT, Operand, Plan};
use crate::ops::reduce_rows::Strips;
use crate::ops::reduce_runs::Runs;
use crate::scheduler::tuning::Class;
use crate::scheduler::{self, Flow, cost};
use crate::trace;
use std::sync::atomic::Ordering;

/// The least work of a group of blocks where one unit is shared among threads, and work of a unit from
/// which on it is: 100,000 of float64 took 8.5 us as one piece and take 5.9 on two threads, 200,000 of
/// float32 7.3 and 4.5.
const GROUP_NS: f64 = cost::LEAST_TILE_NS;
const GROUPED_NS: f64 = 4.0 * GROUP_NS;

/// The functions of a reduction, all present.
#[derive(Clone, Copy)]
pub(super) struct Kernels {
    pub blocks: abi::reduce_blocks,
    pub rows: abi::reduce_rows,
    pub merge: abi::reduce_merge,
    pub finish: abi::reduce_finish,
    pub each: abi::reduce_each,
    pub columns: abi::reduce_columns,
    /// Not every family has these two.
    pub runs: Option<abi::reduce_runs>,
    pub finish_runs: Option<abi::reduce_finish_runs>,
    pub lane_bytes: usize,
}

impl Kernels {
    pub fn of(family: Family, dtype: DType) -> Option<Kernels> {
        let slot = kernels::reduction(family, dtype);
        Some(Kernels {
            blocks: slot.blocks?,
            rows: slot.rows?,
            merge: slot.merge?,
            finish: slot.finish?,
            each: slot.each?,
            columns: slot.columns?,
            runs: slot.runs,
            finish_runs: slot.finish_runs,
            lane_bytes: slot.lane_bytes,
        })
    }
}

/// One reduction, ready to run.
pub(super) struct Job {
    pub kernels: Kernels,
    /// The first pass of a variance: means in float64.
    pub centers: Option<Kernels>,
    /// The result once a kernel says that no further element can change it.
    pub decided: Option<u8>,
    pub operands: [Operand; 2],
    /// 1, or 2 for products.
    pub count: usize,
    pub out: *mut u8,
    pub written: DType,
    pub n: usize,
    pub divisor: f64,
    pub ns: f64,
    pub plan: Plan,
}

// SAFETY: the addresses are those of tensors that the caller keeps alive; threads write disjoint
// parts of the output.
unsafe impl Sync for Job {}

/// Addresses of the current place in the output and the operands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub out: *mut u8,
    pub operands: [*const u8; 2],
}

impl Place {
    pub fn offset(self, offsets: &[i64; 3]) -> Place {
        let [a, b] = self.operands;
        Place {
            out: self.out.wrapping_offset(offsets[OUT] as isize),
            operands: [a.wrapping_offset(offsets[1] as isize), b.wrapping_offset(offsets[2] as isize)],
        }
    }

    pub fn step(self, along: &Loop, count: usize) -> Place {
        self.offset(&along.strides.map(|s| s * count as i64))
    }
}

/// Units of a job, and how their states come about.
pub(super) trait Units: Sync {
    /// Which results are a unit.
    fn cut(&self) -> &Cut<'_>;
    /// Reduces blocks `from..to` of a unit, an aligned group of a power of two or the last one's rest,
    /// to `state`; says whether nothing further can change the result.
    ///
    /// # Safety
    /// `state` has room for the unit's lanes; `centers` holds its means where the kernels want them.
    unsafe fn state(
        &self,
        kernels: &Kernels,
        unit: usize,
        blocks: std::ops::Range<usize>,
        centers: *const u8,
        state: *mut u8,
    ) -> bool;
    /// Writes a unit's results from its state.
    ///
    /// # Safety
    /// `state` is the merged state of all blocks.
    unsafe fn finish(&self, unit: usize, state: *mut u8);
    /// Writes a unit's means in float64 from the state that `kernels` made.
    ///
    /// # Safety
    /// `state` is the merged state of all blocks; there is room for the unit's means.
    unsafe fn centers(&self, kernels: &Kernels, unit: usize, to: *mut u8, state: *mut u8);
    /// Whether elements are copied together first.
    fn is_staged(&self) -> bool;
    /// The kernel that reduces them, in groups of blocks or in whole units.
    fn kernel(&self, grouped: bool) -> &'static str;
    /// Reduces whole units, one after the other.
    fn whole(&self, units: std::ops::Range<usize>);
}

impl Job {
    pub fn run(&self) -> Result<()> {
        match self.plan.columns {
            Some(column) => self.share(&Strips::new(self, column)),
            None => match Runs::of(self) {
                Some(runs) => self.share(&runs),
                None => self.share(&Single::new(self)),
            },
        }
    }

    pub fn origin(&self) -> Place {
        Place { out: self.out, operands: self.operands.map(|o| o.data) }.offset(&self.plan.start)
    }

    pub fn blocks(&self) -> usize {
        self.n.div_ceil(BLOCK)
    }

    /// Whether elements one item apart along a loop can be read by kernels as they lie.
    pub fn direct(&self, along: &Loop) -> bool {
        (0..self.count).all(|k| {
            let operand = &self.operands[k];
            !operand.casts() && along.strides[A + k] == operand.itemsize()
        })
    }

    /// Elements first ... first + count - 1 of the reduction, in the kernel's dtype and contiguous.
    ///
    /// # Safety
    /// They lie inside operand `k` seen from `base`, and the slot has room for them.
    unsafe fn staged(&self, k: usize, base: *const u8, first: usize, count: usize, slot: &Slot) -> *const u8 {
        let operand = &self.operands[k];
        let itemsize = operand.itemsize();
        let reduced = &self.plan.reduced;
        let Some((inner, outer)) = reduced.split_last() else { return base };
        let extent = inner.extent as usize;
        let stride = inner.strides[A + k];
        let column = first % extent;
        if stride == itemsize && column + count <= extent {
            let cursor = Cursor::new(outer, first / extent);
            let start = base.wrapping_offset((cursor.offsets[A + k] + stride * column as i64) as isize);
            if !operand.casts() {
                return start;
            }
            if operand.aligned {
                // SAFETY: `count` contiguous aligned elements, as the caller promises.
                unsafe { kernels::cast(operand.stored, operand.computed)(slot.computed, start, count) };
                return slot.computed;
            }
        }
        // SAFETY: as the caller promises.
        unsafe { self.gather(k, base, first, count, slot.stored) };
        if !operand.casts() {
            return slot.stored;
        }
        // SAFETY: as above; scratch is aligned.
        unsafe { kernels::cast(operand.stored, operand.computed)(slot.computed, slot.stored, count) };
        slot.computed
    }

    /// Copies elements first ... first + count - 1 of the reduction to `to`.
    ///
    /// # Safety
    /// They lie inside operand `k` seen from `base`, and `to` has room for them.
    unsafe fn gather(&self, k: usize, base: *const u8, first: usize, count: usize, to: *mut u8) {
        let Some((inner, outer)) = self.plan.reduced.split_last() else { return };
        let operand = &self.operands[k];
        let gather = kernels::gather(operand.stored);
        let extent = inner.extent as usize;
        let stride = inner.strides[A + k];
        let mut cursor = Cursor::new(outer, first / extent);
        let mut column = first % extent;
        let mut done = 0;
        while done < count {
            let run = (extent - column).min(count - done);
            let start = base.wrapping_offset((cursor.offsets[A + k] + stride * column as i64) as isize);
            // SAFETY: `run` elements of the operand; there is room for `count`.
            unsafe { gather(to.wrapping_add(done * operand.stored.itemsize()), start, run, stride as isize) };
            done += run;
            column = 0;
            cursor.forward();
        }
    }

    /// Estimated ns to copy one element of each operand together.
    fn staging_ns(&self) -> f64 {
        let one = |operand: &Operand| {
            cost::class_ns(Class::Strided, operand.stored)
                + if operand.casts() { cost::cast_ns(operand.stored, operand.computed) } else { 0.0 }
        };
        self.operands[..self.count].iter().map(one).sum()
    }

    /// Runs over all units: groups of blocks where there are too few units for the threads, else
    /// whole units.
    fn share(&self, units: &impl Units) -> Result<()> {
        trace::path(if units.is_staged() { "gathered" } else { "direct" });
        let ns = if units.is_staged() { self.ns + self.staging_ns() } else { self.ns };
        let each = ns * (self.n * units.cut().width) as f64;
        let cost = each * units.cut().count() as f64;
        let per_block = each / self.n.max(1) as f64 * BLOCK as f64;
        let threads = scheduler::threads();
        let few = each > GROUPED_NS && units.cut().count() < 4 * threads;
        if self.blocks() > 1 && (few || each > cost::LONGEST_TILE_NS) {
            // A power of two; some eight for each thread, so that the last ones even out.
            let even = (self.blocks() * units.cut().count()).div_ceil(8 * threads);
            let least = (GROUP_NS / per_block).ceil() as usize;
            let most = 1 << ((cost::LONGEST_TILE_NS / per_block) as usize).max(1).ilog2();
            let group = even.max(least).max(1).next_power_of_two().min(most);
            if group < self.blocks() {
                trace::kernel(units.kernel(true));
                return self.grouped(units, group, cost);
            }
        }
        // At least four tiles a thread, so that the last ones even out: eight rows of 100,000 in tiles
        // of five and three kept two threads busy for five.
        let least = if threads > 1 { 4 * threads } else { 1 };
        let tile = cost::tile(each, cost::LONG_TILE_NS).min(units.cut().count().div_ceil(least).max(1));
        trace::kernel(units.kernel(false));
        scheduler::run(units.cut().count().div_ceil(tile), cost, &|i| {
            units.whole(i * tile..units.cut().count().min((i + 1) * tile));
            Flow::Continue
        })
    }

    /// Shares the blocks of each unit among threads, then merges and finishes.
    fn grouped(&self, units: &impl Units, group: usize, cost: f64) -> Result<()> {
        with_arena(|arena| {
            let mut centers = std::ptr::null_mut();
            if let Some(kernels) = &self.centers {
                let columns = units.cut().width;
                centers = arena.scratch(units.cut().count() * columns * size_of::<f64>()).as_ptr();
                self.pass(units, kernels, std::ptr::null(), group, cost / 2.0, &|unit, state| {
                    let to = centers.wrapping_add(unit * columns * size_of::<f64>());
                    // SAFETY: a whole state, and room for the unit's centers.
                    unsafe { units.centers(kernels, unit, to, state) };
                })?;
            }
            self.pass(units, &self.kernels, centers, group, cost, &|unit, state| {
                // SAFETY: a whole state.
                unsafe { units.finish(unit, state) };
            })
        })
    }

    /// Reduces every unit in groups of blocks and hands its state to `finish`.
    fn pass(
        &self,
        units: &impl Units,
        kernels: &Kernels,
        centers: *const u8,
        group: usize,
        cost: f64,
        finish: &dyn Fn(usize, *mut u8),
    ) -> Result<()> {
        let groups = self.blocks().div_ceil(group);
        let columns = units.cut().width;
        let bytes = STRIPES * columns * kernels.lane_bytes;
        let count = units.cut().count();
        with_arena(|arena| {
            // Not 0 once a unit is decided.
            let decided = arena.counters(if self.decided.is_some() { count } else { 0 });
            let states = Shared(arena.scratch(count * groups * bytes).as_ptr());
            let centers = Shared(centers.cast_mut());
            scheduler::run(count * groups, cost, &|tile| {
                let (unit, number) = (tile / groups, tile % groups);
                if decided.get(unit).is_some_and(|d| d.load(Ordering::Relaxed) != 0) {
                    return Flow::Continue;
                }
                let first = number * group;
                let blocks = first..self.blocks().min(first + group);
                let state = states.at(tile * bytes);
                let centers = match centers.is_null() {
                    true => std::ptr::null(),
                    false => centers.at(unit * columns * size_of::<f64>()).cast_const(),
                };
                // SAFETY: the tile's own part of the scratch, which outlives the run.
                if unsafe { units.state(kernels, unit, blocks, centers, state) }
                    && let Some(flag) = decided.get(unit)
                {
                    flag.store(1, Ordering::Relaxed);
                    if count == 1 {
                        return Flow::Stop;
                    }
                }
                Flow::Continue
            })?;
            for unit in 0..count {
                if let (Some(value), Some(flag)) = (self.decided, decided.get(unit))
                    && flag.load(Ordering::Relaxed) != 0
                {
                    // Some tiles have not run. The others agree that this is the result.
                    // SAFETY: all tiles are done.
                    unsafe { units.cut().decide(unit, value) };
                    continue;
                }
                let state = |number: usize| states.at((unit * groups + number) * bytes);
                let lanes = STRIPES * units.cut().width_of(unit);
                let mut distance = 1;
                while distance < groups {
                    for left in (0..groups - distance).step_by(2 * distance) {
                        // SAFETY: both states were written by tiles above.
                        unsafe { (kernels.merge)(state(left), state(left + distance), lanes) };
                    }
                    distance *= 2;
                }
                finish(unit, state(0));
            }
            Ok(())
        })
    }
}

/// An address that threads share; each uses its own part of what lies there.
#[derive(Clone, Copy)]
struct Shared(*mut u8);

// SAFETY: see above.
unsafe impl Sync for Shared {}

impl Shared {
    fn is_null(&self) -> bool {
        self.0.is_null()
    }

    fn at(&self, offset: usize) -> *mut u8 {
        self.0.wrapping_add(offset)
    }
}

/// Room for elements of one operand: as stored, and as computed where that differs.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub stored: *mut u8,
    pub computed: *mut u8,
}

impl Slot {
    pub fn new(arena: &Arena, operand: &Operand, elements: usize) -> Slot {
        let room = |dtype: DType| arena.scratch(elements * dtype.itemsize()).as_ptr();
        let stored = room(operand.stored);
        Slot { stored, computed: if operand.casts() { room(operand.computed) } else { stored } }
    }

    pub fn pair(job: &Job, arena: &Arena, elements: usize) -> [Slot; 2] {
        let first = Slot::new(arena, &job.operands[0], elements);
        [first, if job.count == 2 { Slot::new(arena, &job.operands[1], elements) } else { first }]
    }
}

/// Reduces `blocks` of `n` elements to `state`, as `Units::state` does: `add` writes the state of a block, given its
/// first element and how many it has, and says whether nothing further can change the result.
pub(super) fn blocks_state(
    arena: &Arena,
    kernels: &Kernels,
    columns: usize,
    blocks: std::ops::Range<usize>,
    n: usize,
    state: *mut u8,
    mut add: impl FnMut(usize, usize, *mut u8) -> bool,
) -> bool {
    let mut tree = Tree::new(arena, kernels, columns, blocks.len(), state);
    for block in blocks {
        let first = block * BLOCK;
        if add(first, (n - first).min(BLOCK), tree.leaf()) {
            return true;
        }
        tree.push();
    }
    tree.close();
    false
}

/// The states on the way up the tree of one unit's blocks, merged as a binary counter counts.
struct Tree<'a> {
    kernels: &'a Kernels,
    lanes: usize,
    bytes: usize,
    /// The lowest state, which becomes the result, and the others.
    first: *mut u8,
    others: *mut u8,
    depth: usize,
    done: usize,
}

impl<'a> Tree<'a> {
    /// A tree of at most `blocks` leaves whose total will be at `state`.
    fn new(arena: &Arena, kernels: &'a Kernels, columns: usize, blocks: usize, state: *mut u8) -> Tree<'a> {
        let lanes = STRIPES * columns;
        let bytes = lanes * kernels.lane_bytes;
        let others = arena.scratch(blocks.max(1).ilog2() as usize * bytes).as_ptr();
        Tree { kernels, lanes, bytes, first: state, others, depth: 0, done: 0 }
    }

    fn at(&self, level: usize) -> *mut u8 {
        match level {
            0 => self.first,
            _ => self.others.wrapping_add((level - 1) * self.bytes),
        }
    }

    /// Where the next leaf's state goes.
    fn leaf(&self) -> *mut u8 {
        self.at(self.depth)
    }

    fn merge_last(&mut self) {
        self.depth -= 1;
        // SAFETY: both levels hold states of the same lanes.
        unsafe { (self.kernels.merge)(self.at(self.depth - 1), self.at(self.depth), self.lanes) };
    }

    /// Takes the leaf that was written, and merges the subtrees that it completes.
    fn push(&mut self) {
        self.depth += 1;
        self.done += 1;
        for _ in 0..self.done.trailing_zeros() {
            self.merge_last();
        }
    }

    /// Merges what is left; the total is where the first state was.
    fn close(mut self) {
        while self.depth > 1 {
            self.merge_last();
        }
    }
}

/// Reduces whole units to their results, one after the other, by way of their states.
pub(super) fn whole(units: &impl Units, job: &Job, range: std::ops::Range<usize>) {
    for unit in range {
        let columns = units.cut().width_of(unit);
        with_arena(|arena| {
            let blocks = 0..job.blocks();
            let mut centers = std::ptr::null_mut();
            if let Some(kernels) = &job.centers {
                let state = arena.scratch(STRIPES * columns * kernels.lane_bytes).as_ptr();
                centers = arena.scratch(columns * size_of::<f64>()).as_ptr();
                // SAFETY: room for a state and a center of each result.
                unsafe {
                    units.state(kernels, unit, blocks.clone(), std::ptr::null(), state);
                    units.centers(kernels, unit, centers, state);
                }
            }
            let state = arena.scratch(STRIPES * columns * job.kernels.lane_bytes).as_ptr();
            // SAFETY: room for a state; the unit's own results.
            unsafe {
                match (units.state(&job.kernels, unit, blocks, centers, state), job.decided) {
                    (true, Some(value)) => units.cut().decide(unit, value),
                    _ => units.finish(unit, state),
                }
            }
        });
    }
}

/// Units of one result each.
struct Single<'a> {
    job: &'a Job,
    cut: Cut<'a>,
    direct: bool,
}

impl<'a> Single<'a> {
    fn new(job: &'a Job) -> Single<'a> {
        let direct = job.plan.reduced.len() == 1 && job.direct(&job.plan.reduced[0]);
        // A plan has a kept loop.
        Single { job, cut: Cut::new(job, job.plan.kept.len() - 1, 1), direct }
    }

    /// Units up to `end` from one on whose results lie together, as one loop.
    fn run(&self, unit: usize, end: usize) -> (Place, Loop, usize) {
        let place = self.cut.place(unit);
        let inner = self.cut.along;
        let extent = inner.extent as usize;
        let length = match inner.strides[OUT] == self.job.written.itemsize() as i64 {
            true => (extent - unit % extent).min(end - unit),
            false => 1,
        };
        (place, inner, length)
    }

    fn second(&self, place: Place) -> *const u8 {
        if self.job.count == 2 { place.operands[1] } else { std::ptr::null() }
    }

    /// Few elements each: some units are copied together and reduced at once.
    fn batch(&self, units: std::ops::Range<usize>) {
        let job = self.job;
        let n = job.n;
        let item = (n * job.operands[0].computed.itemsize()) as isize;
        with_arena(|arena| {
            let slots = Slot::pair(job, arena, BLOCK);
            let mut unit = units.start;
            while unit < units.end {
                let (place, kept, length) = self.run(unit, units.end);
                let length = length.min(BLOCK / n);
                let mut given = [std::ptr::null(); 2];
                for k in 0..job.count {
                    // SAFETY: at most 1,024 elements of the operand.
                    given[k] = unsafe { self.packed(k, place.operands[k], &kept, length, &slots[k]) };
                }
                // SAFETY: `length` groups of n elements, one after the other, and as many results.
                unsafe {
                    (job.kernels.each)(place.out, given[0], given[1], length, item, item, n, job.divisor)
                };
                unit += length;
            }
        });
    }

    /// The elements of `length` units, one unit after the other.
    ///
    /// # Safety
    /// The units' elements lie inside operand `k`, and the slot has room for them.
    unsafe fn packed(
        &self,
        k: usize,
        start: *const u8,
        kept: &Loop,
        length: usize,
        slot: &Slot,
    ) -> *const u8 {
        let job = self.job;
        let operand = &job.operands[k];
        let (n, item) = (job.n, operand.itemsize());
        let count = length * n;
        let [inner] = &job.plan.reduced[..] else {
            // SAFETY: as the caller promises.
            return unsafe { self.packed_each(k, start, kept, length, slot) };
        };
        let dense = inner.strides[A + k] == item && kept.strides[A + k] == item * n as i64;
        if !dense || !operand.aligned || !operand.casts() {
            // SAFETY: as the caller promises.
            return unsafe { self.packed_each(k, start, kept, length, slot) };
        }
        // SAFETY: the units lie one after the other.
        unsafe { kernels::cast(operand.stored, operand.computed)(slot.computed, start, count) };
        slot.computed
    }

    /// # Safety
    /// As for `packed`.
    unsafe fn packed_each(
        &self,
        k: usize,
        start: *const u8,
        kept: &Loop,
        length: usize,
        slot: &Slot,
    ) -> *const u8 {
        let operand = &self.job.operands[k];
        let (n, item) = (self.job.n, operand.itemsize() as usize);
        for i in 0..length {
            let base = start.wrapping_offset((kept.strides[A + k] * i as i64) as isize);
            // SAFETY: n elements of the operand; the slot has room for those of all units.
            unsafe { self.job.gather(k, base, 0, n, slot.stored.wrapping_add(i * n * item)) };
        }
        if operand.casts() {
            // SAFETY: the elements just gathered; scratch is aligned.
            unsafe {
                kernels::cast(operand.stored, operand.computed)(slot.computed, slot.stored, length * n)
            };
        }
        slot.computed
    }
}

impl Units for Single<'_> {
    fn cut(&self) -> &Cut<'_> {
        &self.cut
    }

    unsafe fn state(
        &self,
        kernels: &Kernels,
        unit: usize,
        blocks: std::ops::Range<usize>,
        centers: *const u8,
        state: *mut u8,
    ) -> bool {
        let job = self.job;
        let place = self.cut.place(unit);
        let first = blocks.start * BLOCK;
        let count = job.n.min(blocks.end * BLOCK) - first;
        if self.direct {
            let at = place.step(&job.plan.reduced[0], first);
            let second = if centers.is_null() { self.second(at) } else { centers };
            // SAFETY: `count` contiguous elements of each operand.
            return unsafe { (kernels.blocks)(state, at.operands[0], second, count, first) } != 0;
        }
        with_arena(|arena| {
            let slots = Slot::pair(job, arena, BLOCK);
            blocks_state(arena, kernels, 1, blocks, job.n, state, |first, count, leaf| {
                let mut given = [std::ptr::null(), centers];
                for k in 0..job.count {
                    // SAFETY: elements of the operand, at most the 1,024 that the slot holds.
                    given[k] = unsafe { job.staged(k, place.operands[k], first, count, &slots[k]) };
                }
                // SAFETY: `count` contiguous elements of each operand.
                unsafe { (kernels.blocks)(leaf, given[0], given[1], count, first) != 0 }
            })
        })
    }

    unsafe fn finish(&self, unit: usize, state: *mut u8) {
        // SAFETY: a whole state, as the caller promises, and the unit's own result.
        unsafe { (self.job.kernels.finish)(self.cut.place(unit).out, state, 1, self.job.divisor) };
    }

    unsafe fn centers(&self, kernels: &Kernels, _: usize, to: *mut u8, state: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { (kernels.finish)(to, state, 1, self.job.n as f64) };
    }

    fn is_staged(&self) -> bool {
        !self.direct
    }

    fn kernel(&self, grouped: bool) -> &'static str {
        let each = if self.direct { !grouped } else { self.job.n <= BLOCK };
        if each { "each" } else { "blocks" }
    }

    fn whole(&self, units: std::ops::Range<usize>) {
        let job = self.job;
        if self.direct {
            let mut unit = units.start;
            while unit < units.end {
                let (place, kept, length) = self.run(unit, units.end);
                let [_, a, b] = kept.strides.map(|s| s as isize);
                // SAFETY: `length` groups of n contiguous elements, and as many results.
                unsafe {
                    (job.kernels.each)(
                        place.out,
                        place.operands[0],
                        self.second(place),
                        length,
                        a,
                        b,
                        job.n,
                        job.divisor,
                    )
                };
                unit += length;
            }
        } else if job.n <= BLOCK {
            self.batch(units);
        } else {
            whole(self, job, units);
        }
    }
}
