//! The loop plan that every operation over elements shares: which axes are walked in which order,
//! in runs or blocks, split into tiles for the scheduler.

use crate::kernels::BLOCK;
use crate::layout::Dims;
use crate::memory::list::List;
use crate::scheduler::cost;

/// Elements of a tile of cheap work: some 4 us of it, a thousand times what claiming a tile costs.
pub const TILE: usize = 16 * BLOCK;

/// A block of a crossed walk that is staged: its runs have this many elements and its rows this many
/// bytes, so that the transposed operand is read in pieces of 4 cache lines and the block stays in the
/// 32 KiB of a level-1 cache.
pub const CROSS_RUN: usize = 64;
const CROSS_BYTES: usize = 256;
/// Rows and runs of a crossed block that is moved by itself: within the caches, and past them, where it
/// pays to read each row of the source on for so long that the processor fetches ahead. Copies of
/// transposed float32 on two processors of an AMD EPYC (Zen 5), in us:
///
/// | block | 256 x 64 | 1,024 x 64 | 128 x 256 | 1,024 x 256 |
/// |---|---:|---:|---:|---:|
/// | 1,000 x 1,000 | 45 | 70 | 45 | 51 |
/// | 4,000 x 4,000 | 2,530 | 1,550 | 2,700 | 1,750 |
const MOVED: [(usize, usize); 2] = [(256, 64), (1024, 64)];
/// Tiles of blocks are as wide as the plan where that makes them no more than so many times as large:
/// two threads side by side write to the same cache lines where blocks meet.
const WIDE_TILES: usize = 8;
/// Moves of fewer elements along the last two axes than this are left to longer walks.
const MOVED_BLOCK: i64 = 64;

/// Runs shorter than this are gathered into blocks where that takes no staging: the call of a kernel
/// costs some 8 ns, the work of a hundred elements.
const SHORT_RUN: usize = 64;
/// The same where blocks of contiguous runs have to be staged, at some 0.5 ns an element.
const SHORT_STAGED_RUN: usize = 16;
/// The same where runs have to be staged too.
const SHORT_STRIDED_RUN: usize = 256;

/// One loop: how often, and the bytes from one step to the next in each operand.
#[derive(Clone, Copy, Debug)]
pub struct Axis<const N: usize> {
    pub extent: i64,
    pub strides: [i64; N],
}

// A derived one would ask for it of every array of strides, which only some lengths have.
impl<const N: usize> Default for Axis<N> {
    fn default() -> Axis<N> {
        Axis { extent: 1, strides: [0; N] }
    }
}

impl<const N: usize> Axis<N> {
    /// This axis and the one inside it as one, where every operand walks them as one.
    #[inline]
    pub fn with_inner(&self, inner: &Axis<N>) -> Option<Axis<N>> {
        let one = (0..N).all(|k| inner.strides[k].checked_mul(inner.extent) == Some(self.strides[k]));
        one.then(|| Axis { extent: self.extent * inner.extent, strides: inner.strides })
    }
}

/// Shape and byte strides of an operand; it is stretched to the plan's shape.
#[derive(Clone, Copy)]
pub struct Layout<'a> {
    pub shape: &'a [i64],
    pub strides: &'a [i64],
    pub itemsize: usize,
}

impl<'a> Layout<'a> {
    #[inline]
    pub fn of(tensor: &'a crate::Tensor) -> Layout<'a> {
        Layout { shape: tensor.shape(), strides: tensor.strides(), itemsize: tensor.itemsize() }
    }

    /// One element for every place.
    #[inline]
    pub fn single(itemsize: usize) -> Layout<'static> {
        Layout { shape: &[], strides: &[], itemsize }
    }
}

/// What a plan hands out at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walk {
    /// Pieces of the innermost axis.
    Runs,
    /// At most 1,024 elements over the axes from `first` on: whole multiples of `elements`, the
    /// product of the axes behind `first`, except that a plan of fewer has `first` at its first axis.
    Blocks { first: usize, elements: usize, rows: usize },
    /// Blocks of the last two axes, at most `rows` times `run` elements, for operands whose memory runs
    /// along the last but one.
    Crossed { rows: usize, run: usize },
    /// The same, where the memory of all operands runs along the last axis.
    Rows { rows: usize, run: usize },
}

impl Walk {
    /// The walk's name in the log of operations.
    pub fn name(self) -> &'static str {
        match self {
            Walk::Runs => "runs",
            Walk::Blocks { .. } => "blocks",
            Walk::Crossed { .. } => "crossed",
            Walk::Rows { .. } => "rows",
        }
    }
}

/// Loops over N operands of one shape. Operand 0 is the output.
#[derive(Debug)]
pub struct Plan<const N: usize> {
    /// Outermost first; none where there are no elements.
    axes: List<Axis<N>>,
    /// Bytes from each operand's first element to where its walk starts: reversed axes are turned.
    start: [i64; N],
    size: usize,
    walk: Walk,
    tile: usize,
}

/// Whether an axis with the first strides lies outside one with the second.
#[inline]
fn is_outside<const N: usize>(a: &[i64; N], b: &[i64; N]) -> bool {
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x.unsigned_abs(), y.unsigned_abs());
        if x != y {
            return x > y;
        }
    }
    false
}

impl<const N: usize> Plan<N> {
    /// The plan that walks the output's memory in order. Every operand broadcasts to `shape`.
    pub fn new(shape: &[i64], operands: [Layout; N]) -> Plan<N> {
        let mut plan = Plan::build(shape, operands, true);
        plan.choose_walk(&operands, true);
        plan
    }

    /// The plan that walks elements in logical row-major order: positions are flat indices.
    pub fn logical(shape: &[i64], operands: [Layout; N]) -> Plan<N> {
        let mut plan = Plan::build(shape, operands, false);
        plan.choose_walk(&operands, false);
        plan
    }

    fn build(shape: &[i64], operands: [Layout; N], reorder: bool) -> Plan<N> {
        let ndim = shape.len();
        let mut axes = List::<Axis<N>>::zeros(ndim.max(1));
        let room = &mut axes[..];
        let mut start = [0; N];
        let mut size = 1usize;
        let mut len = 0;
        for (axis, &extent) in shape.iter().enumerate() {
            size *= extent as usize;
            if extent == 1 {
                continue;
            }
            let mut strides = [0i64; N];
            for (stride, operand) in strides.iter_mut().zip(&operands) {
                let back = ndim - axis;
                let own = operand.shape.len();
                if back <= own && operand.shape[own - back] != 1 {
                    *stride = operand.strides[own - back];
                }
            }
            let mut place = len;
            if reorder {
                if strides[0] < 0 {
                    for (offset, stride) in start.iter_mut().zip(&mut strides) {
                        *offset += *stride * (extent - 1);
                        *stride = -*stride;
                    }
                }
                while place > 0 && is_outside(&strides, &room[place - 1].strides) {
                    room[place] = room[place - 1];
                    place -= 1;
                }
            }
            room[place] = Axis { extent, strides };
            len += 1;
        }
        if size == 0 {
            return Plan { axes: List::zeros(0), start: [0; N], size: 0, walk: Walk::Runs, tile: TILE };
        }
        if len == 0 {
            // One element: contiguous by definition, so that kernels read it as it lies.
            let mut strides = [0; N];
            for (stride, operand) in strides.iter_mut().zip(&operands) {
                *stride = operand.itemsize as i64;
            }
            room[0] = Axis { extent: 1, strides };
            len = 1;
        }
        axes.truncate(len);
        axes.merge(Axis::with_inner);
        Plan { axes, start, size, walk: Walk::Runs, tile: TILE }
    }

    fn choose_walk(&mut self, operands: &[Layout; N], reorder: bool) {
        let len = self.axes.len();
        if len < 2 {
            return;
        }
        let inner = self.axes[len - 1];
        let run = inner.extent as usize;
        if reorder
            && run > CROSS_RUN
            && self.size > TILE
            && let Some(axis) = self.crossing_axis()
        {
            self.axes[axis..len - 1].rotate_left(1);
            let widest = operands.iter().map(|o| o.itemsize).max().unwrap_or(1);
            self.walk = Walk::Crossed { rows: (CROSS_BYTES / widest).min(CROSS_RUN), run: CROSS_RUN };
            return;
        }
        let axes = &self.axes[..];
        let itemsize = |k: usize| operands[k].itemsize as i64;
        let contiguous = (0..N).all(|k| inner.strides[k] == 0 || inner.strides[k] == itemsize(k));
        if run >= if contiguous { SHORT_RUN } else { SHORT_STRIDED_RUN } {
            return;
        }
        let mut first = len - 1;
        let mut elements = 1;
        while first > 0 && elements * axes[first].extent as usize <= BLOCK {
            elements *= axes[first].extent as usize;
            first -= 1;
        }
        let rows = (BLOCK / elements).min(axes[first].extent as usize);
        if contiguous && run >= SHORT_STAGED_RUN {
            let dense = |k: usize| {
                let mut expected = itemsize(k);
                axes[first..].iter().rev().all(|axis| {
                    let fits = axis.strides[k] == expected;
                    expected *= axis.extent;
                    fits
                })
            };
            let constant = |k: usize| axes[..=first].iter().all(|axis| axis.strides[k] == 0);
            if (0..N).any(|k| !dense(k) && !constant(k)) {
                return;
            }
        }
        self.walk = Walk::Blocks { first, elements, rows };
    }

    /// The outer axis along which an operand's memory runs whose innermost steps leave a cache line
    /// each time, if there is one.
    fn crossing_axis(&self) -> Option<usize> {
        const LINE: u64 = 64;
        let axes = &self.axes[..];
        let (inner, outer) = axes.split_last()?;
        for k in 0..N {
            if inner.strides[k].unsigned_abs() < LINE {
                continue;
            }
            let near = (0..outer.len()).filter(|&a| outer[a].strides[k] != 0 && outer[a].extent >= 8);
            let nearest = near.min_by_key(|&a| outer[a].strides[k].unsigned_abs());
            if let Some(axis) = nearest.filter(|&a| outer[a].strides[k].unsigned_abs() < LINE) {
                return Some(axis);
            }
        }
        None
    }

    /// Number of elements.
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    #[inline]
    pub fn walk(&self) -> Walk {
        self.walk
    }

    #[inline]
    pub fn axes(&self) -> &[Axis<N>] {
        &self.axes
    }

    /// Bytes from each operand's first element to where its walk starts.
    #[inline]
    pub fn start(&self) -> &[i64; N] {
        &self.start
    }

    /// Strides along the innermost axis.
    #[inline]
    pub fn inner_strides(&self) -> [i64; N] {
        self.axes.last().map_or([0; N], |a| a.strides)
    }

    /// Makes tiles of about this many elements, in whole blocks.
    pub fn set_tile(&mut self, elements: usize) {
        self.tile = (elements / BLOCK).max(1) * BLOCK;
    }

    /// Elements of a full block, and how many blocks a tile and the plan have.
    fn blocks(&self) -> (usize, usize, usize) {
        let axes = &self.axes[..];
        match self.walk {
            Walk::Runs => (BLOCK, self.tile / BLOCK, self.size.div_ceil(BLOCK)),
            Walk::Blocks { first, elements, rows } => {
                let outer: i64 = axes[..first].iter().map(|a| a.extent).product();
                let chunks = (axes[first].extent as usize).div_ceil(rows);
                (elements * rows, (self.tile / (elements * rows)).max(1), outer as usize * chunks)
            }
            Walk::Crossed { rows, run } | Walk::Rows { rows, run } => {
                let (outer, last) = axes.split_at(axes.len() - 2);
                let count: i64 = outer.iter().map(|a| a.extent).product();
                let down = (last[0].extent as usize).div_ceil(rows);
                let across = (last[1].extent as usize).div_ceil(run);
                let block = rows * run;
                let mut each = (self.tile / block).max(1);
                if across * block <= WIDE_TILES * self.tile {
                    each = each.next_multiple_of(across);
                }
                (block, each, count as usize * down * across)
            }
        }
    }

    /// How many tiles the work has.
    #[inline]
    pub fn tiles(&self) -> usize {
        if self.size <= self.tile && self.walk == Walk::Runs {
            return (self.size > 0) as usize;
        }
        if self.size == 0 {
            return 0;
        }
        let (_, each, count) = self.blocks();
        count.div_ceil(each)
    }

    /// Hands the pieces of a tile to `f`: the position in walking order of the first element, each
    /// operand's pointer to it, the number of elements and of rows, which is 1 except in blocks of two
    /// axes. Stops when `f` says false.
    #[inline]
    pub fn for_each(
        &self,
        tile: usize,
        data: &[*mut u8; N],
        mut f: impl FnMut(usize, [*mut u8; N], usize, usize) -> bool,
    ) -> bool {
        let base = advance(*data, &self.start);
        match self.walk {
            Walk::Runs => self.runs(tile, base, &mut f),
            Walk::Blocks { first, elements, rows } => {
                self.row_blocks(tile, base, first, elements, rows, &mut f)
            }
            Walk::Crossed { rows, run } | Walk::Rows { rows, run } => {
                self.plane_blocks(tile, base, rows, run, &mut f)
            }
        }
    }

    #[inline]
    fn runs(
        &self,
        tile: usize,
        base: [*mut u8; N],
        f: &mut impl FnMut(usize, [*mut u8; N], usize, usize) -> bool,
    ) -> bool {
        let Some((inner, outer)) = self.axes.split_last() else { return true };
        let mut position = tile * self.tile;
        let end = self.size.min(position + self.tile);
        let extent = inner.extent as usize;
        if outer.is_empty() {
            return f(position, step(base, &inner.strides, position as i64), end - position, 1);
        }
        let mut column = position % extent;
        let mut cursor = Cursor::new(outer, position / extent);
        while position < end {
            let n = (extent - column).min(end - position);
            let row = advance(base, &cursor.offsets);
            if !f(position, step(row, &inner.strides, column as i64), n, 1) {
                return false;
            }
            position += n;
            column = 0;
            cursor.forward();
        }
        true
    }

    fn row_blocks(
        &self,
        tile: usize,
        base: [*mut u8; N],
        first: usize,
        elements: usize,
        rows: usize,
        f: &mut impl FnMut(usize, [*mut u8; N], usize, usize) -> bool,
    ) -> bool {
        let axes = &self.axes[..];
        let row = axes[first];
        let extent = row.extent as usize;
        let chunks = extent.div_ceil(rows);
        let (_, each, count) = self.blocks();
        let begin = tile * each;
        let mut cursor = Cursor::new(&axes[..first], begin / chunks);
        let mut chunk = begin % chunks;
        for block in begin..count.min(begin + each) {
            let at = chunk * rows;
            let position = (block / chunks * extent + at) * elements;
            let pointers = step(advance(base, &cursor.offsets), &row.strides, at as i64);
            if !f(position, pointers, (extent - at).min(rows) * elements, 1) {
                return false;
            }
            chunk += 1;
            if chunk == chunks {
                chunk = 0;
                cursor.forward();
            }
        }
        true
    }

    fn plane_blocks(
        &self,
        tile: usize,
        base: [*mut u8; N],
        rows: usize,
        columns: usize,
        f: &mut impl FnMut(usize, [*mut u8; N], usize, usize) -> bool,
    ) -> bool {
        let axes = &self.axes[..];
        let (outer, last) = axes.split_at(axes.len() - 2);
        let (row, run) = (last[0], last[1]);
        let (height, width) = (row.extent as usize, run.extent as usize);
        let (down, across) = (height.div_ceil(rows), width.div_ceil(columns));
        let (_, each, count) = self.blocks();
        let begin = tile * each;
        let mut matrix = begin / (down * across);
        let mut cursor = Cursor::new(outer, matrix);
        for block in begin..count.min(begin + each) {
            if block / (down * across) != matrix {
                matrix += 1;
                cursor.forward();
            }
            let (top, left) = (block / across % down * rows, block % across * columns);
            let position = (matrix * height + top) * width + left;
            let column = step(advance(base, &cursor.offsets), &run.strides, left as i64);
            let corner = step(column, &row.strides, top as i64);
            if !f(position, corner, (width - left).min(columns), (height - top).min(rows)) {
                return false;
            }
        }
        true
    }
}

impl Plan<2> {
    /// The plan for moving elements of one size as they are: kernels of moves take blocks of two axes, so
    /// that only what fits neither of their forms is walked as [`Plan::new`] does.
    pub fn of_moves(shape: &[i64], operands: [Layout; 2], tile_bytes: usize) -> Plan<2> {
        let mut plan = Plan::build(shape, operands, true);
        let itemsize = operands[0].itemsize;
        plan.set_tile(tile_bytes / itemsize);
        let len = plan.axes.len();
        if len < 2 {
            return plan;
        }
        let dense = itemsize as i64;
        let (outer, inner) = (&plan.axes[..len - 1], plan.axes[len - 1]);
        let run = inner.extent as usize;
        if inner.strides == [dense; 2] {
            if outer[len - 2].extent.saturating_mul(inner.extent) >= MOVED_BLOCK {
                let longest = (plan.tile / run).max(1);
                plan.walk = Walk::Rows { rows: longest, run: run.min(plan.tile) };
                return plan;
            }
        } else if inner.strides[0] == dense
            && let Some(row) = outer.iter().position(|axis| axis.strides[1] == dense)
            && outer[row].extent.saturating_mul(inner.extent) >= MOVED_BLOCK
        {
            plan.axes[row..len - 1].rotate_left(1);
            let (rows, run) = MOVED[usize::from(cost::is_past_caches(2 * itemsize * plan.size))];
            plan.walk = Walk::Crossed { rows, run };
            return plan;
        }
        plan.choose_walk(&operands, true);
        plan
    }
}

#[inline]
fn advance<const N: usize>(mut pointers: [*mut u8; N], offsets: &[i64; N]) -> [*mut u8; N] {
    for (pointer, &offset) in pointers.iter_mut().zip(offsets) {
        *pointer = pointer.wrapping_offset(offset as isize);
    }
    pointers
}

#[inline]
fn step<const N: usize>(mut pointers: [*mut u8; N], strides: &[i64; N], count: i64) -> [*mut u8; N] {
    for (pointer, &stride) in pointers.iter_mut().zip(strides) {
        *pointer = pointer.wrapping_offset((stride * count) as isize);
    }
    pointers
}

/// A place in nested loops, with each operand's byte offset there.
pub struct Cursor<'a, const N: usize> {
    axes: &'a [Axis<N>],
    index: Dims,
    pub offsets: [i64; N],
}

impl<'a, const N: usize> Cursor<'a, N> {
    /// The place that is `flat` steps from the start.
    pub fn new(axes: &'a [Axis<N>], flat: usize) -> Cursor<'a, N> {
        let mut index = Dims::zeros(axes.len());
        let mut offsets = [0; N];
        let mut rest = flat as i64;
        for (axis, place) in axes.iter().zip(index.iter_mut()).rev() {
            if rest == 0 {
                break;
            }
            *place = rest % axis.extent;
            rest /= axis.extent;
            for (offset, stride) in offsets.iter_mut().zip(&axis.strides) {
                *offset += stride * *place;
            }
        }
        Cursor { axes, index, offsets }
    }

    /// Goes one step on; from the last place to the first.
    #[inline]
    pub fn forward(&mut self) {
        for (axis, place) in self.axes.iter().zip(self.index.iter_mut()).rev() {
            *place += 1;
            let around = *place == axis.extent;
            if around {
                *place = 0;
            }
            for (offset, stride) in self.offsets.iter_mut().zip(&axis.strides) {
                *offset += if around { stride * (1 - axis.extent) } else { *stride };
            }
            if !around {
                return;
            }
        }
    }
}
