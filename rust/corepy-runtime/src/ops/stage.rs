//! Runs a kernel over a plan: operands that it cannot read or write as they lie go through tiles of
//! 1,024 elements in the arena.

use crate::dtype::DType;
use crate::error::Result;
use crate::kernels::{self, BLOCK};
use crate::memory::arena::{Arena, with_arena};
use crate::ops::Arg;
use crate::ops::iterate::{Cursor, Plan, Walk};
use crate::scheduler::tuning::Class;
use crate::scheduler::{self, Flow, cost};
use crate::tensor::Tensor;
use crate::trace;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory of an operand: its dtype there, and the dtype that the kernel takes or gives.
#[derive(Clone, Copy)]
pub struct Operand {
    pub data: *mut u8,
    pub stored: DType,
    pub computed: DType,
    pub aligned: bool,
}

// SAFETY: an operand is an address with a description; who runs a kernel over it vouches for it.
unsafe impl Send for Operand {}
// SAFETY: as above.
unsafe impl Sync for Operand {}

impl Operand {
    /// The elements of a tensor, converted to or from `computed`.
    #[inline]
    pub fn new(tensor: &Tensor, computed: DType) -> Operand {
        Operand { data: tensor.data(), stored: tensor.dtype(), computed, aligned: tensor.is_aligned() }
    }

    #[inline]
    fn casts(&self) -> bool {
        self.stored != self.computed
    }
}

/// How a kernel gets at an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// As it lies.
    Direct,
    /// Contiguous, but of another dtype.
    Contiguous,
    /// One element for all of a piece; the kernel has a form for that.
    Single,
    /// Elements one stride apart.
    Strided,
    /// In a block: run by run.
    Rows,
    /// In a block: from a table of byte offsets.
    Offsets,
    /// In a block: the same elements for every block, staged once.
    Constant,
    /// In a crossed block: read along the block's rows, turned in the arena.
    Crossed,
}

impl Access {
    /// The access's name in the log of operations.
    fn name(self) -> &'static str {
        match self {
            Access::Direct => "direct",
            Access::Contiguous => "converted",
            Access::Single => "single",
            Access::Strided => "strided",
            Access::Rows => "rows",
            Access::Offsets => "offsets",
            Access::Constant => "constant",
            Access::Crossed => "crossed",
        }
    }
}

/// How each operand of a plan is accessed. Operand 0 is written, the others are read.
#[inline]
pub fn accesses<const N: usize>(
    plan: &Plan<N>,
    operands: &[Operand; N],
    takes_single: [bool; N],
) -> [Access; N] {
    let mut out = [Access::Direct; N];
    for k in 0..N {
        out[k] = access(plan, &operands[k], k, takes_single[k]);
    }
    out
}

/// Whether an operation's results are stored past the caches: they and the operands do not fit, they are
/// not written over an operand, and pieces are long enough that ending them does not show.
pub fn is_streamed<const N: usize>(
    plan: &Plan<N>,
    access: &[Access; N],
    out: &Tensor,
    given: &[Arg],
) -> bool {
    let bytes: usize = given.iter().map(Arg::bytes).sum();
    cost::is_past_caches(bytes.saturating_add(out.size() * out.itemsize()))
        && plan.axes().last().is_some_and(|axis| axis.extent >= BLOCK as i64)
        && access[0] == Access::Direct
        && access[1..].iter().all(|access| matches!(access, Access::Direct | Access::Single))
        && given.iter().all(|arg| arg.tensor().is_none_or(|tensor| !tensor.may_overlap(out)))
}

/// How operand `k` is accessed, by a kernel that has a form for one element or not.
pub fn access<const N: usize>(plan: &Plan<N>, operand: &Operand, k: usize, takes_single: bool) -> Access {
    let itemsize = operand.stored.itemsize() as i64;
    let in_place = if operand.casts() { Access::Contiguous } else { Access::Direct };
    let axes = plan.axes();
    let Walk::Blocks { first, elements, rows } = plan.walk() else {
        return match plan.inner_strides()[k] {
            0 if takes_single => Access::Single,
            stride if stride == itemsize && operand.aligned => in_place,
            _ if k > 0 && matches!(plan.walk(), Walk::Crossed { .. }) && turns(plan, k) => Access::Crossed,
            _ => Access::Strided,
        };
    };
    let block = &axes[first..];
    if takes_single && block.iter().all(|a| a.strides[k] == 0) {
        return Access::Single;
    }
    let mut dense = operand.aligned && (rows == 1 || axes[first].strides[k] == elements as i64 * itemsize);
    let mut expected = itemsize;
    for axis in axes[first + 1..].iter().rev() {
        dense &= axis.strides[k] == expected;
        expected *= axis.extent;
    }
    if dense {
        return in_place;
    }
    // A table or a constant costs about a block's work to make: not worth it for one or two.
    if k == 0 || plan.size() <= 2 * BLOCK {
        Access::Rows
    } else if axes[..=first].iter().all(|a| a.strides[k] == 0) {
        Access::Constant
    } else if operand.aligned {
        Access::Offsets
    } else {
        Access::Rows
    }
}

/// Whether an operand of a crossed plan lies along the rows of blocks rather than along their runs.
fn turns<const N: usize>(plan: &Plan<N>, k: usize) -> bool {
    let [.., row, run] = plan.axes() else { return false };
    row.strides[k] != 0 && row.strides[k].unsigned_abs() < run.strides[k].unsigned_abs()
}

/// Runs `kernel` over all elements, in parallel where that pays. It is given a pointer per operand
/// and a count, and returns the count or the index of an element that faults; then the result is the
/// walking position of some element that faults. `ns` is the kernel's time for one element.
pub fn execute<const N: usize>(
    plan: &Plan<N>,
    operands: &[Operand; N],
    access: &[Access; N],
    ns: f64,
    kernel: &(impl Fn([*mut u8; N], usize) -> usize + Sync),
) -> Result<Option<usize>> {
    let tiles = plan.tiles();
    trace::path(plan.walk().name());
    trace::access(|| access.map(Access::name).join(","));
    if tiles == 0 {
        return Ok(None);
    }
    let pass = Pass::new(plan, operands, access);
    let in_place =
        |o: &Operand, a: Access| a == Access::Direct || (a == Access::Single && o.aligned && !o.casts());
    if tiles == 1 && operands.iter().zip(access).all(|(o, &a)| in_place(o, a)) {
        trace::tiles(1);
        return Ok(pass.tile(0, &[Slot::NONE; N], kernel));
    }
    with_arena(|arena| {
        let mut pass = pass;
        pass.prepare(arena);
        if tiles == 1 {
            trace::tiles(1);
            return Ok(pass.tile(0, &pass.slots(arena), kernel));
        }
        let mut each = ns;
        for (operand, &access) in operands.iter().zip(access) {
            if matches!(access, Access::Strided | Access::Rows | Access::Offsets | Access::Crossed) {
                each += cost::class_ns(Class::Strided, operand.stored);
            }
            if operand.casts() && access != Access::Single {
                each += cost::cast_ns(operand.stored, operand.computed);
            }
        }
        let fault = AtomicUsize::new(usize::MAX);
        scheduler::run(tiles, each * plan.size() as f64, &|tile| match with_arena(|arena| {
            pass.tile(tile, &pass.slots(arena), kernel)
        }) {
            None => Flow::Continue,
            Some(position) => {
                fault.fetch_min(position, Ordering::Relaxed);
                Flow::Stop
            }
        })?;
        let position = fault.into_inner();
        Ok((position != usize::MAX).then_some(position))
    })
}

/// As `execute`, on the calling thread and in walking order, up to the first element that faults.
pub fn execute_in_order<const N: usize>(
    plan: &Plan<N>,
    operands: &[Operand; N],
    access: &[Access; N],
    kernel: &impl Fn([*mut u8; N], usize) -> usize,
) -> Result<Option<usize>> {
    with_arena(|arena| {
        let mut pass = Pass::new(plan, operands, access);
        pass.prepare(arena);
        let slots = pass.slots(arena);
        for tile in 0..plan.tiles() {
            scheduler::poll()?;
            if let Some(position) = pass.tile(tile, &slots, kernel) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    })
}

#[inline]
fn is_staged(access: Access) -> bool {
    !matches!(access, Access::Direct | Access::Single | Access::Constant)
}

/// Tiles of the arena: elements as stored, and as computed; a crossed block before it is turned.
#[derive(Clone, Copy)]
struct Slot {
    packed: *mut u8,
    stored: *mut u8,
    computed: *mut u8,
}

impl Slot {
    const NONE: Slot =
        Slot { packed: std::ptr::null_mut(), stored: std::ptr::null_mut(), computed: std::ptr::null_mut() };
}

struct Pass<'a, const N: usize> {
    plan: &'a Plan<N>,
    operands: &'a [Operand; N],
    access: &'a [Access; N],
    /// Byte offsets of a block's elements, for operands accessed by them.
    tables: [*const i64; N],
    /// A block's elements, for operands that have the same for every block.
    constants: [*mut u8; N],
    /// The first operand that has the same elements, as in `x * x`: they are staged once.
    twins: [usize; N],
}

// SAFETY: tables and constants are written before the pass is shared; for the rest see Operand.
unsafe impl<const N: usize> Sync for Pass<'_, N> {}

impl<'a, const N: usize> Pass<'a, N> {
    fn new(plan: &'a Plan<N>, operands: &'a [Operand; N], access: &'a [Access; N]) -> Pass<'a, N> {
        let (tables, constants) = ([std::ptr::null(); N], operands.map(|o| o.data));
        Pass { plan, operands, access, tables, constants, twins: std::array::from_fn(|k| k) }
    }

    /// Makes the tables and constants, and finds operands that are the same.
    fn prepare(&mut self, arena: &Arena) {
        for k in 2..N {
            self.twins[k] = (1..k).find(|&j| self.are_twins(j, k)).unwrap_or(k);
        }
        let Walk::Blocks { first, elements, rows } = self.plan.walk() else { return };
        let count = elements * rows;
        let axes = self.plan.axes();
        for k in 0..N {
            match self.access[k] {
                Access::Offsets => {
                    let table = arena.scratch(count * size_of::<i64>()).as_ptr().cast::<i64>();
                    let mut cursor = Cursor::new(&axes[first..], 0);
                    for i in 0..count {
                        // SAFETY: the table has `count` entries.
                        unsafe { table.add(i).write(cursor.offsets[k]) };
                        cursor.forward();
                    }
                    self.tables[k] = table;
                }
                Access::Constant => {
                    let operand = &self.operands[k];
                    let start = operand.data.wrapping_offset(self.plan.start()[k] as isize);
                    let mut staged = arena.scratch(count * operand.stored.itemsize()).as_ptr();
                    // SAFETY: the block's elements are the operand's own; scratch has room for them.
                    unsafe { self.gather_rows(k, start, staged, count) };
                    if operand.casts() {
                        let computed = arena.scratch(count * operand.computed.itemsize()).as_ptr();
                        // SAFETY: as above.
                        unsafe { kernels::cast(operand.stored, operand.computed)(computed, staged, count) };
                        staged = computed;
                    }
                    self.constants[k] = staged;
                }
                _ => {}
            }
        }
    }

    /// Whether two operands are the same elements, taken in the same way.
    fn are_twins(&self, j: usize, k: usize) -> bool {
        let (a, b) = (&self.operands[j], &self.operands[k]);
        a.data == b.data
            && (a.stored, a.computed) == (b.stored, b.computed)
            && self.access[j] == self.access[k]
            && self.plan.start()[j] == self.plan.start()[k]
            && self.plan.axes().iter().all(|axis| axis.strides[j] == axis.strides[k])
    }

    fn slots(&self, arena: &Arena) -> [Slot; N] {
        let mut slots = [Slot::NONE; N];
        for (k, (slot, operand)) in slots.iter_mut().zip(self.operands).enumerate() {
            let access = self.access[k];
            if matches!(access, Access::Direct | Access::Constant) || self.twins[k] != k {
                continue;
            }
            let mut count = if access == Access::Single { 1 } else { BLOCK };
            if let (Access::Crossed, Walk::Crossed { rows, run }) = (access, self.plan.walk()) {
                count = rows * run;
                if !self.is_dense_down(k) {
                    slot.packed = arena.scratch(count * operand.stored.itemsize()).as_ptr();
                }
            }
            if access != Access::Contiguous {
                slot.stored = arena.scratch(count * operand.stored.itemsize()).as_ptr();
            }
            if operand.casts() {
                slot.computed = arena.scratch(count * operand.computed.itemsize()).as_ptr();
            }
        }
        slots
    }

    /// Runs the kernel over one tile; gives the walking position of an element that faults.
    #[inline]
    fn tile(
        &self,
        tile: usize,
        slots: &[Slot; N],
        kernel: &impl Fn([*mut u8; N], usize) -> usize,
    ) -> Option<usize> {
        let mut data = [std::ptr::null_mut(); N];
        for (pointer, operand) in data.iter_mut().zip(self.operands) {
            *pointer = operand.data;
        }
        let most = if self.access.iter().any(|&a| is_staged(a)) { BLOCK } else { usize::MAX };
        let strides = self.plan.inner_strides();
        let mut fault = None;
        self.plan.for_each(tile, &data, |position, mut pointers, n, rows| {
            if let Walk::Crossed { .. } = self.plan.walk() {
                // SAFETY: the plan gives addresses of the operands' elements; a row fits the slots.
                let ended = unsafe { self.crossed(pointers, n, rows, slots, kernel) };
                fault = ended.map(|at| position + at);
                return ended.is_none();
            }
            let mut done = 0;
            while done < n {
                let count = (n - done).min(most);
                // SAFETY: the plan gives addresses of the operands' elements; a staged piece is at
                // most the 1,024 elements that slots hold.
                let ended = unsafe { self.piece(&pointers, count, 0, slots, kernel) };
                if ended < count {
                    fault = Some(position + done + ended);
                    return false;
                }
                done += count;
                if done < n {
                    for (pointer, stride) in pointers.iter_mut().zip(&strides) {
                        *pointer = pointer.wrapping_offset((stride * count as i64) as isize);
                    }
                }
            }
            true
        });
        fault
    }

    /// A crossed block of `rows` runs of `n` elements.
    ///
    /// # Safety
    /// As for `piece`, for each row.
    unsafe fn crossed(
        &self,
        mut pointers: [*mut u8; N],
        n: usize,
        rows: usize,
        slots: &[Slot; N],
        kernel: &impl Fn([*mut u8; N], usize) -> usize,
    ) -> Option<usize> {
        let [.., row, run] = self.plan.axes() else { return None };
        for k in 1..N {
            if self.access[k] == Access::Crossed && self.twins[k] == k {
                // SAFETY: as the caller promises; slots hold a block.
                unsafe { self.pack(k, pointers[k], n, rows, row.strides[k], run.strides[k], &slots[k]) };
            }
        }
        for y in 0..rows {
            // SAFETY: as the caller promises.
            let ended = unsafe { self.piece(&pointers, n, y, slots, kernel) };
            if ended < n {
                return Some(ended);
            }
            for (pointer, &stride) in pointers.iter_mut().zip(&row.strides) {
                *pointer = pointer.wrapping_offset(stride as isize);
            }
        }
        None
    }

    /// Whether an operand's elements lie side by side along the rows of crossed blocks.
    fn is_dense_down(&self, k: usize) -> bool {
        let [.., row, _] = self.plan.axes() else { return false };
        row.strides[k] == self.operands[k].stored.itemsize() as i64
    }

    /// Reads a crossed block of an operand along its rows, and turns it in the arena.
    ///
    /// # Safety
    /// `from` addresses `n` runs' starts of `rows` elements; the slot holds a full block.
    #[allow(clippy::too_many_arguments)]
    unsafe fn pack(
        &self,
        k: usize,
        from: *mut u8,
        n: usize,
        rows: usize,
        down: i64,
        across: i64,
        slot: &Slot,
    ) {
        let Walk::Crossed { rows: full, run } = self.plan.walk() else { return };
        let dtype = self.operands[k].stored;
        let pitch = |elements: usize| (elements * dtype.itemsize()) as isize;
        let (mut from, mut across) = (from.cast_const(), across as isize);
        // SAFETY: as the caller promises.
        unsafe {
            if !self.is_dense_down(k) {
                let gather = kernels::gather(dtype);
                for x in 0..n as isize {
                    let column = from.wrapping_offset(x * across);
                    gather(slot.packed.offset(x * pitch(full)), column, rows, down as isize);
                }
                (from, across) = (slot.packed, pitch(full));
            }
            kernels::transpose(dtype)(slot.stored, from, rows, n, pitch(run), across, 0);
        }
    }

    /// # Safety
    /// `pointers` address `n` elements of each operand by its access, in row `y` of a crossed block;
    /// slots have room for them.
    #[inline]
    unsafe fn piece(
        &self,
        pointers: &[*mut u8; N],
        n: usize,
        y: usize,
        slots: &[Slot; N],
        kernel: &impl Fn([*mut u8; N], usize) -> usize,
    ) -> usize {
        let mut given = *pointers;
        for k in 1..N {
            let twin = self.twins[k];
            if twin != k {
                given[k] = given[twin];
            } else if self.access[k] != Access::Direct {
                // SAFETY: as the caller promises.
                given[k] = unsafe { self.load(k, pointers[k], n, y, &slots[k]) };
            }
        }
        if self.access[0] == Access::Direct {
            return kernel(given, n);
        }
        let out = &self.operands[0];
        given[0] = if out.casts() { slots[0].computed } else { slots[0].stored };
        let ended = kernel(given, n);
        if ended == n {
            // SAFETY: as the caller promises; the kernel has set n elements.
            unsafe { self.store(pointers[0], n, &slots[0]) };
        }
        ended
    }

    /// # Safety
    /// As for `piece`.
    unsafe fn load(&self, k: usize, from: *mut u8, n: usize, y: usize, slot: &Slot) -> *mut u8 {
        let operand = &self.operands[k];
        let mut n = n;
        // SAFETY: as the caller promises; gather, take and cast write n elements to slots of 1,024.
        unsafe {
            match self.access[k] {
                Access::Direct => return from,
                Access::Constant => return self.constants[k],
                Access::Contiguous => {
                    kernels::cast(operand.stored, operand.computed)(slot.computed, from, n);
                    return slot.computed;
                }
                Access::Single => {
                    if operand.aligned && !operand.casts() {
                        return from;
                    }
                    n = 1;
                    slot.stored.copy_from_nonoverlapping(from, operand.stored.itemsize());
                }
                Access::Strided => {
                    let stride = self.plan.inner_strides()[k] as isize;
                    kernels::gather(operand.stored)(slot.stored, from, n, stride);
                }
                Access::Offsets => kernels::take(operand.stored)(slot.stored, from, self.tables[k], n, 1),
                Access::Rows => self.gather_rows(k, from, slot.stored, n),
                Access::Crossed => {
                    let Walk::Crossed { run, .. } = self.plan.walk() else { return from };
                    let row = slot.stored.add(y * run * operand.stored.itemsize());
                    if !operand.casts() {
                        return row;
                    }
                    kernels::cast(operand.stored, operand.computed)(slot.computed, row, n);
                    return slot.computed;
                }
            }
            if !operand.casts() {
                return slot.stored;
            }
            kernels::cast(operand.stored, operand.computed)(slot.computed, slot.stored, n);
            slot.computed
        }
    }

    /// # Safety
    /// As for `piece`.
    unsafe fn store(&self, to: *mut u8, n: usize, slot: &Slot) {
        let operand = &self.operands[0];
        // SAFETY: as the caller promises.
        unsafe {
            if operand.casts() {
                let target = if self.access[0] == Access::Contiguous { to } else { slot.stored };
                kernels::cast(operand.computed, operand.stored)(target, slot.computed, n);
            }
            match self.access[0] {
                Access::Strided => {
                    let stride = self.plan.inner_strides()[0] as isize;
                    kernels::scatter(operand.stored)(to, slot.stored, n, stride);
                }
                Access::Rows => {
                    let width = operand.stored.itemsize();
                    let scatter = kernels::scatter(operand.stored);
                    self.each_row(0, to, n, |at, done, count, stride| {
                        scatter(at, slot.stored.add(done * width), count, stride);
                    });
                }
                _ => {}
            }
        }
    }

    /// # Safety
    /// `from` addresses a block of operand `k`, whose first `n` elements fit `to`.
    unsafe fn gather_rows(&self, k: usize, from: *mut u8, to: *mut u8, n: usize) {
        let width = self.operands[k].stored.itemsize();
        let gather = kernels::gather(self.operands[k].stored);
        self.each_row(k, from, n, |at, done, count, stride| {
            // SAFETY: as the caller promises.
            unsafe { gather(to.add(done * width), at, count, stride) };
        });
    }

    /// The innermost runs of the first `n` elements of a block: address, elements before it in the
    /// block, elements, stride.
    fn each_row(&self, k: usize, start: *mut u8, n: usize, mut f: impl FnMut(*mut u8, usize, usize, isize)) {
        let Walk::Blocks { first, .. } = self.plan.walk() else { return };
        let axes = &self.plan.axes()[first..];
        let Some((inner, outer)) = axes.split_last() else { return };
        // A block over one axis is a single run of it.
        let run = if outer.is_empty() { n } else { inner.extent as usize };
        let mut cursor = Cursor::new(outer, 0);
        let mut done = 0;
        while done < n {
            f(start.wrapping_offset(cursor.offsets[k] as isize), done, run, inner.strides[k] as isize);
            done += run;
            cursor.forward();
        }
    }
}
