//! Matrix products: shapes, and the blocking, packing and threads around the matmul kernels.
//!
//! Every element of a product is a chain over its row and column alone (one per panel of 256, panels
//! added in rising order), so that nothing in this file can change a bit: neither the path taken, nor
//! where blocks are cut, nor how many threads there are. Threads share out rows and columns, never k.

use crate::dtype::{DType, NUMERIC};
use crate::error::{Error, Result};
use crate::generated::abi;
use crate::generated::ops::{Binary, Family};
use crate::kernels::{self, Form, MOST_VECTORS, PANEL};
use crate::layout::{self, Dims};
use crate::memory::arena::{Arena, with_arena};
use crate::ops::reduce;
use crate::scheduler::tuning::Class;
use crate::scheduler::{self, Flow, cost};
use crate::tensor::Tensor;
use crate::trace;

/// Where matrices are cut, per SIMD level.
struct Blocking {
    /// Packed bytes of a block of rows, which stays in the second-level cache.
    rows_bytes: usize,
    /// Packed bytes that tiles share, in the last-level cache.
    shared_bytes: usize,
    /// Columns of a tile where the packed columns are shared, and where each tile packs its own.
    columns: usize,
    own_columns: usize,
    /// Packed bytes of one lane's depth between two synchronisations; bounds the time of a tile.
    depth_bytes: usize,
}

// Measured on 1,000 x 1,000 and 4,000 x 4,000 of float32 and float64 on a core with 48 KiB, 1 MiB and
// 32 MiB of cache: row blocks from 96 to 256 KiB, and 256 to 1,024 columns, lie within 3 %.
const WIDE: Blocking = Blocking {
    rows_bytes: 128 << 10,
    shared_bytes: 8 << 20,
    columns: 512,
    own_columns: 256,
    depth_bytes: 16 << 10,
};
// Without fused multiply-add in hardware a tile of the same size would run for a second.
const PORTABLE: Blocking = Blocking {
    rows_bytes: 64 << 10,
    shared_bytes: 8 << 20,
    columns: 128,
    own_columns: 128,
    depth_bytes: 4 << 10,
};

/// Multiply-adds up to which the kernel without packing is the fastest.
const SMALL: usize = 256;
/// Multiply-adds of one product from which its own rows and columns are shared out among threads;
/// below, whole products of a batch are.
const SHARE_PRODUCT: f64 = 4e6;
/// Least multiply-adds of a tile, so that claiming it (some 20 ns) does not show.
const TILE: f64 = 2e5;
/// Matrix x vectors: bytes of a row in a tile whose lanes are contiguous, and lanes of any other tile.
const VECTOR_ROW: usize = 4 << 10;
const VECTOR_LANES: usize = 256;
/// Least depth of several vectors at once where the matrix is contiguous in depth: the kernel transposes
/// squares of up to 16 elements, and packs shorter rows for each vector.
const VECTORS_DEPTH: usize = 32;
/// Bytes of the matrix times vectors in a kernel call, which no interrupt ends.
const VECTOR_BYTES: usize = 16 << 20;
/// Bytes of scratch up to which vectors are gathered, and panels have totals of their own.
const VECTORS_PACKED: usize = 64 << 20;

/// Estimated ns to read and write as many bytes on one thread.
fn moving_ns(bytes: usize) -> f64 {
    bytes as f64 * cost::byte_ns(bytes)
}

/// A strided matrix in memory; strides are in bytes.
#[derive(Clone, Copy)]
struct Matrix {
    data: *mut u8,
    row: isize,
    column: isize,
}

// SAFETY: an address; the tiles of an operation write different elements.
unsafe impl Send for Matrix {}
// SAFETY: as above.
unsafe impl Sync for Matrix {}

impl Matrix {
    /// The element at a row and a column, which exist.
    fn at(self, row: usize, column: usize) -> *mut u8 {
        self.data.wrapping_offset(row as isize * self.row + column as isize * self.column)
    }

    fn from(self, row: usize, column: usize) -> Matrix {
        Matrix { data: self.at(row, column), ..self }
    }
}

/// Who runs tiles: the scheduler, or the calling thread because tiles are shared out further up.
#[derive(Clone, Copy)]
enum Runner {
    Scheduler,
    Here,
}

impl Runner {
    /// Whether work of this cost may be shared out.
    fn shares(self, cost_ns: f64) -> bool {
        matches!(self, Runner::Scheduler) && cost_ns >= cost::hot_ns()
    }

    fn run(self, tiles: usize, cost_ns: f64, f: &(dyn Fn(usize) -> Flow + Sync)) -> Result<()> {
        match self {
            Runner::Scheduler => scheduler::run(tiles, cost_ns, f),
            // A tile stops for an interrupt alone, which this finds too.
            Runner::Here => (0..tiles).try_for_each(|tile| match f(tile) {
                Flow::Continue => Ok(()),
                Flow::Stop => scheduler::poll(),
            }),
        }
    }
}

/// Ends a tile early where the operation is to stop.
macro_rules! go_on {
    () => {
        if scheduler::poll().is_err() {
            return Flow::Stop;
        }
    };
}

/// The kernels of one dtype at the level in use.
#[derive(Clone, Copy)]
struct Kernels {
    pack_a: abi::pack,
    pack_b: abi::pack,
    block: abi::gemm_block,
    vector: abi::gemm_vector,
    small: abi::gemm_small,
    mr: usize,
    nr: usize,
    /// Bytes of an element, in memory and packed.
    bytes: usize,
    packed: usize,
    dtype: DType,
    blocking: &'static Blocking,
}

fn kernels_of(op: &'static str, dtype: DType) -> Result<Kernels> {
    let gemm = &kernels::table().gemm[dtype.number()];
    match (gemm.pack_a, gemm.pack_b, gemm.block, gemm.vector, gemm.small) {
        (Some(pack_a), Some(pack_b), Some(block), Some(vector), Some(small)) => Ok(Kernels {
            pack_a,
            pack_b,
            block,
            vector,
            small,
            mr: gemm.mr,
            nr: gemm.nr,
            bytes: dtype.itemsize(),
            packed: gemm.packed_bytes,
            dtype,
            blocking: if kernels::level::in_use().name == "portable" { &PORTABLE } else { &WIDE },
        }),
        _ => Err(Error::DtypeRefused { op, dtype: dtype.name(), accepted: NUMERIC.names }),
    }
}

/// The matrix product over the last two axes; other axes broadcast. An operand with one axis is a row
/// (left) or a column (right) and loses that axis in the result. Both operands have one dtype.
pub fn matmul(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    trace::operation(op, |call| _ = call.operands([a, b]).kernel("zero"), || matmul_untraced(op, a, b))
}

/// The shape of the batch of products, or why the shapes of two operands do not fit.
pub fn batch_shape(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Dims> {
    for operand in [a, b] {
        if operand.ndim() == 0 {
            return Err(Error::NeedsAxes { op, needed: 1, ndim: 0 });
        }
    }
    let k = a.shape()[a.ndim() - 1];
    let rows_b = b.shape()[b.ndim().saturating_sub(2)];
    if k != rows_b {
        return Err(Error::MatmulShapes {
            op,
            a: layout::show(a.shape()),
            b: layout::show(b.shape()),
            x: k as usize,
            y: rows_b as usize,
        });
    }
    let batch_a = &a.shape()[..a.ndim().saturating_sub(2)];
    let batch_b = &b.shape()[..b.ndim().saturating_sub(2)];
    layout::broadcast_shapes(op, batch_a, batch_b).map_err(|error| match error {
        // In terms of the whole shapes; the batch axes come first.
        Error::Broadcast { op, axis, x, y, .. } => {
            Error::Broadcast { op, a: layout::show(a.shape()), b: layout::show(b.shape()), axis, x, y }
        }
        other => other,
    })
}

fn matmul_untraced(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let mut batch = batch_shape(op, a, b)?;
    if a.dtype() != b.dtype() {
        return Err(Error::NoPromotion { op, a: a.dtype().name(), b: b.dtype().name() });
    }
    let (row, column) = (a.ndim() == 1, b.ndim() == 1);
    if row && column {
        return reduce::vecdot(op, Family::Dot, a, b);
    }
    let kernels = kernels_of(op, a.dtype())?;

    let k = a.shape()[a.ndim() - 1];
    let m = if row { 1 } else { a.shape()[a.ndim() - 2] };
    let n = if column { 1 } else { b.shape()[b.ndim() - 1] };
    let shape: Dims =
        batch.iter().copied().chain((!row).then_some(m)).chain((!column).then_some(n)).collect();
    let out = Tensor::empty(op, &shape, a.dtype())?;
    if out.size() == 0 {
        return Ok(out);
    }
    if k == 0 {
        // SAFETY: the tensor is new and C-ordered; zero bytes are +0 in every dtype.
        unsafe { out.data().write_bytes(0, out.size() * out.itemsize()) };
        return Ok(out);
    }

    let stride = |t: &Tensor, back: usize| t.strides()[t.ndim() - back] as isize;
    let left = Matrix { data: a.data(), row: if row { 0 } else { stride(a, 2) }, column: stride(a, 1) };
    let right = Matrix {
        data: b.data(),
        row: stride(b, if column { 1 } else { 2 }),
        column: if column { 0 } else { stride(b, 1) },
    };
    let strides = |t: &Tensor, shape: &[i64]| {
        let own = t.ndim().saturating_sub(2);
        layout::broadcast_strides(&t.shape()[..own], &t.strides()[..own], shape)
            .unwrap_or_else(|| Dims::zeros(shape.len()))
    };
    let (mut strides_a, mut strides_b) = (strides(a, &batch), strides(b, &batch));
    let mut product = Product {
        op,
        kernels,
        m: m as usize,
        n: n as usize,
        k: k as usize,
        a: left,
        b: right,
        c: Matrix {
            data: out.data(),
            row: n as isize * kernels.bytes as isize,
            column: kernels.bytes as isize,
        },
    };
    // Many matrices times one are one tall matrix where the rows lie evenly.
    if let Some((rows, stride)) = merge_rows(&batch, &strides_a, &strides_b, m, left.row as i64) {
        product.m = rows;
        product.a.row = stride as isize;
        batch = Dims::zeros(0);
        strides_a = Dims::zeros(0);
        strides_b = Dims::zeros(0);
    }
    if batch.iter().all(|&extent| extent == 1) {
        product.run(Runner::Scheduler)?;
    } else {
        Batch { shape: batch, a: strides_a, b: strides_b }.run(&product)?;
    }
    Ok(out)
}

/// Extent and stride of the batch and row axes of `a` as one axis, where they are one and `b` is the
/// same matrix throughout.
fn merge_rows(batch: &[i64], a: &[i64], b: &[i64], m: i64, row: i64) -> Option<(usize, i64)> {
    let (mut rows, mut stride) = (m, row);
    for axis in (0..batch.len()).rev() {
        if batch[axis] == 1 {
            continue;
        }
        if b[axis] != 0 {
            return None;
        }
        if rows == 1 {
            stride = a[axis];
        } else if stride.checked_mul(rows) != Some(a[axis]) {
            return None;
        }
        rows = rows.checked_mul(batch[axis])?;
    }
    Some((rows as usize, stride))
}

/// The axes that products are repeated over, with the operands' strides along them.
struct Batch {
    shape: Dims,
    a: Dims,
    b: Dims,
}

impl Batch {
    fn run(&self, product: &Product) -> Result<()> {
        let items = self.shape.iter().product::<i64>() as usize;
        let work = product.work();
        trace::path("batch");
        trace::kernel(product.kernel());
        if work >= SHARE_PRODUCT {
            return self.each(product, 0, items, |item| item.run(Runner::Scheduler));
        }
        let per_tile = ((TILE / work) as usize).clamp(1, items);
        // A product this small takes some 50 ns beside its arithmetic.
        let cost = items as f64 * (work / product.speed() + 50.0);
        scheduler::run(items.div_ceil(per_tile), cost, &|tile| {
            let first = tile * per_tile;
            let done = self.each(product, first, per_tile.min(items - first), |item| item.run(Runner::Here));
            match done {
                Ok(()) => Flow::Continue,
                Err(Error::Interrupted {}) => Flow::Stop,
                // Scratch that cannot be had: the error unwinds to the caller, who knows it again.
                Err(error) => std::panic::resume_unwind(Box::new(error)),
            }
        })
    }

    /// Calls `f` with `count` of the products, beginning with number `first`.
    fn each(
        &self,
        product: &Product,
        first: usize,
        count: usize,
        mut f: impl FnMut(&Product) -> Result<()>,
    ) -> Result<()> {
        let axes = self.shape.len();
        let mut index = Dims::zeros(axes);
        let mut rest = first as i64;
        let mut item = *product;
        let step = |matrix: &mut Matrix, by: i64| matrix.data = matrix.data.wrapping_offset(by as isize);
        for axis in (0..axes).rev() {
            index[axis] = rest % self.shape[axis];
            rest /= self.shape[axis];
            step(&mut item.a, index[axis] * self.a[axis]);
            step(&mut item.b, index[axis] * self.b[axis]);
        }
        let bytes = product.m * product.n * product.kernels.bytes;
        item.c.data = item.c.data.wrapping_add(first * bytes);
        for _ in 0..count {
            f(&item)?;
            item.c.data = item.c.data.wrapping_add(bytes);
            for axis in (0..axes).rev() {
                index[axis] += 1;
                step(&mut item.a, self.a[axis]);
                step(&mut item.b, self.b[axis]);
                if index[axis] < self.shape[axis] {
                    break;
                }
                step(&mut item.a, -self.a[axis] * index[axis]);
                step(&mut item.b, -self.b[axis] * index[axis]);
                index[axis] = 0;
            }
        }
        Ok(())
    }
}

/// One matrix product: c (m x n) = a (m x k) times b (k x n); no extent is 0, and c is new and C-ordered.
#[derive(Clone, Copy)]
struct Product {
    op: &'static str,
    kernels: Kernels,
    m: usize,
    n: usize,
    k: usize,
    a: Matrix,
    b: Matrix,
    c: Matrix,
}

/// The length of equal parts of `total` of at most `most`, each but the last a multiple of `unit`.
fn even(total: usize, most: usize, unit: usize) -> usize {
    let most = (most / unit).max(1);
    let units = total.div_ceil(unit);
    units.div_ceil(units.div_ceil(most)) * unit
}

/// First depth and depth of each panel of `depth`.
fn panels(depth: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..depth).step_by(PANEL).map(move |first| (first, PANEL.min(depth - first)))
}

impl Product {
    /// Multiply-adds; an operand with a stride of 0 may have any extent, so this may exceed integers.
    fn work(&self) -> f64 {
        self.m as f64 * self.n as f64 * self.k as f64
    }

    /// Multiply-adds per ns of one thread.
    fn speed(&self) -> f64 {
        1.0 / cost::class_ns(Class::MultiplyAdd, self.kernels.dtype)
    }

    /// The kernel that multiplies.
    fn kernel(&self) -> &'static str {
        match self.work() <= SMALL as f64 {
            true => "small",
            false if self.lanes().is_some() => "vector",
            false => "gemm",
        }
    }

    fn run(&self, runner: Runner) -> Result<()> {
        trace::kernel(self.kernel());
        if self.work() <= SMALL as f64 {
            trace::path("small");
            trace::tiles(1);
            // SAFETY: the operands hold m x k and k x n elements at these strides, c m x n contiguous.
            unsafe {
                (self.kernels.small)(
                    self.c.data,
                    self.a.data,
                    self.a.row,
                    self.a.column,
                    self.b.data,
                    self.b.row,
                    self.b.column,
                    self.m,
                    self.n,
                    self.k,
                )
            };
            return Ok(());
        }
        if let Some(lanes) = self.lanes() {
            return self.vectors(lanes, runner);
        }
        let rows =
            even(self.m, self.kernels.blocking.rows_bytes / (PANEL * self.kernels.packed), self.kernels.mr);
        trace::path(if rows >= self.m { "wide" } else { "tall" });
        if rows >= self.m { self.wide(runner) } else { self.tall(rows, runner) }
    }

    /// k between two synchronisations: whole panels.
    fn depth(&self) -> usize {
        (self.kernels.blocking.depth_bytes / self.kernels.packed / PANEL).max(1) * PANEL
    }

    fn out_of_memory(&self, bytes: usize) -> Error {
        Error::OutOfMemory {
            op: self.op,
            bytes,
            shape: layout::show(&[self.m as i64, self.n as i64]),
            dtype: self.kernels.dtype.name(),
        }
    }

    /// Many rows: blocks of columns are packed once and shared by the tiles, each of which packs its
    /// own rows.
    fn tall(&self, rows: usize, runner: Runner) -> Result<()> {
        let Kernels { nr, packed, blocking, .. } = self.kernels;
        let depth = self.depth().min(self.k);
        let shared = even(self.n, blocking.shared_bytes / (depth * packed), nr);
        for column in (0..self.n).step_by(shared) {
            let columns = shared.min(self.n - column);
            for first in (0..self.k).step_by(depth) {
                let depth = depth.min(self.k - first);
                let padded = columns.next_multiple_of(nr);
                let bytes = padded * depth * packed;
                with_arena(|arena| {
                    let scratch = arena.try_scratch(bytes).ok_or_else(|| self.out_of_memory(bytes))?;
                    let b = Matrix { data: scratch.as_ptr(), row: (padded * packed) as isize, column: 0 };
                    self.pack_columns(b, column, columns, first, depth, runner)?;
                    self.multiply_columns(b, column, columns, first, depth, rows, runner)
                })?;
            }
        }
        Ok(())
    }

    /// Packs columns for all tiles: panel after panel, `to.row` bytes per unit of depth.
    fn pack_columns(
        &self,
        to: Matrix,
        column: usize,
        columns: usize,
        first: usize,
        depth: usize,
        runner: Runner,
    ) -> Result<()> {
        let Kernels { pack_b, nr, packed, blocking, bytes, .. } = self.kernels;
        let part = even(columns, blocking.columns, nr);
        let parts = columns.div_ceil(part);
        // Each element is read and written once.
        let cost = moving_ns(columns * depth * (bytes + packed));
        runner.run(parts * depth.div_ceil(PANEL), cost, &|tile| {
            let (panel, skip) = (tile / parts * PANEL, tile % parts * part);
            let panel_depth = PANEL.min(depth - panel);
            let from = self.b.from(first + panel, column + skip);
            let at = to.at(panel, 0).wrapping_add(skip * panel_depth * packed);
            // SAFETY: the panel's part of b exists; the scratch has its place, which no other tile has.
            unsafe { pack_b(at, from.data, from.column, from.row, part.min(columns - skip), panel_depth) };
            Flow::Continue
        })
    }

    /// All rows times packed columns, tile by tile.
    #[allow(clippy::too_many_arguments)]
    fn multiply_columns(
        &self,
        b: Matrix,
        column: usize,
        columns: usize,
        first: usize,
        depth: usize,
        rows: usize,
        runner: Runner,
    ) -> Result<()> {
        let Kernels { pack_a, block, mr, nr, packed, blocking, .. } = self.kernels;
        let part = even(columns, blocking.columns, nr);
        let parts = columns.div_ceil(part);
        // With few columns a block of rows is little work, and a tile takes several.
        let block_work = rows as f64 * part as f64 * depth as f64;
        let tile_rows = rows.saturating_mul(((TILE / block_work) as usize).max(1)).min(self.m);
        let cost = self.m as f64 * columns as f64 * depth as f64 / self.speed();
        runner.run(parts * self.m.div_ceil(tile_rows), cost, &|tile| {
            let skip = tile % parts * part;
            let tile_first = tile / parts * tile_rows;
            let tile_columns = part.min(columns - skip);
            with_arena(|arena| {
                let a = arena.scratch(rows.next_multiple_of(mr) * PANEL.min(depth) * packed).as_ptr();
                for row in (tile_first..self.m.min(tile_first + tile_rows)).step_by(rows) {
                    let count = rows.min(self.m - row).min(tile_first + tile_rows - row);
                    let c = self.c.from(row, column + skip);
                    for (panel, panel_depth) in panels(depth) {
                        go_on!();
                        let from = self.a.from(row, first + panel);
                        let packed_b = b.at(panel, 0).wrapping_add(skip * panel_depth * packed);
                        // SAFETY: the rows of a exist and fit the scratch; the packed columns are
                        // complete, because packing has ended; no other tile has this part of c.
                        unsafe {
                            pack_a(a, from.data, from.row, from.column, count, panel_depth);
                            let add = u32::from(first + panel > 0);
                            block(c.data, c.row, a, packed_b, count, tile_columns, panel_depth, add);
                        }
                    }
                }
                Flow::Continue
            })
        })
    }

    /// Few rows: they are packed once and shared by the tiles, each of which packs its own columns.
    fn wide(&self, runner: Runner) -> Result<()> {
        let Kernels { pack_a, pack_b, block, mr, nr, packed, bytes, blocking, .. } = self.kernels;
        let depth = self.depth().min(self.k);
        let padded = self.m.next_multiple_of(mr);
        let part = even(self.n, blocking.own_columns, nr);
        for first in (0..self.k).step_by(depth) {
            let depth = depth.min(self.k - first);
            let bytes_a = padded * depth * packed;
            with_arena(|arena| {
                let scratch = arena.try_scratch(bytes_a).ok_or_else(|| self.out_of_memory(bytes_a))?;
                let a = Matrix { data: scratch.as_ptr(), row: (padded * packed) as isize, column: 0 };
                let cost = moving_ns(self.m * depth * (bytes + packed));
                runner.run(depth.div_ceil(PANEL), cost, &|tile| {
                    let panel = tile * PANEL;
                    let from = self.a.from(0, first + panel);
                    // SAFETY: the panel of a exists; the scratch has its place, which no other tile has.
                    unsafe {
                        pack_a(
                            a.at(panel, 0),
                            from.data,
                            from.row,
                            from.column,
                            self.m,
                            PANEL.min(depth - panel),
                        )
                    };
                    Flow::Continue
                })?;
                let work = self.m as f64 * self.n as f64 * depth as f64 / self.speed();
                let packing = moving_ns(self.n.saturating_mul(depth * (bytes + packed)));
                runner.run(self.n.div_ceil(part), work + packing, &|tile| {
                    let column = tile * part;
                    let columns = part.min(self.n - column);
                    let c = self.c.from(0, column);
                    with_arena(|arena| {
                        let size = columns.next_multiple_of(nr) * PANEL.min(depth) * packed;
                        let b = arena.scratch(size).as_ptr();
                        for (panel, panel_depth) in panels(depth) {
                            go_on!();
                            let from = self.b.from(first + panel, column);
                            // SAFETY: the columns of b exist and fit the scratch; packing of a has
                            // ended; no other tile has these columns of c.
                            unsafe {
                                pack_b(b, from.data, from.column, from.row, columns, panel_depth);
                                let add = u32::from(first + panel > 0);
                                let rows = a.at(panel, 0);
                                block(c.data, c.row, rows, b, self.m, columns, panel_depth, add);
                            }
                        }
                        Flow::Continue
                    })
                })
            })?;
        }
        Ok(())
    }

    /// The product as a matrix and a few vectors, where it is one: of two operands that would do, the
    /// one with fewer elements is the vectors. More than one vector only where lanes or their depth are
    /// contiguous, because the kernel would pack each time what lies otherwise.
    fn lanes(&self) -> Option<Lanes> {
        let bytes = self.kernels.bytes as isize;
        let of = |matrix: Matrix, count, x: Matrix, vectors, c: Matrix, left| {
            let fits = vectors == 1 || (vectors <= self.most_vectors() && count >= vectors);
            let contiguous = matrix.row == bytes || (matrix.column == bytes && self.k >= VECTORS_DEPTH);
            let lanes = Lanes { matrix, count, x, vectors, c, left };
            let packs =
                lanes.x_in_place(bytes) || self.k.saturating_mul(vectors) <= VECTORS_PACKED / bytes as usize;
            (fits && packs && (vectors == 1 || contiguous)).then_some(lanes)
        };
        let turned = |m: Matrix| Matrix { row: m.column, column: m.row, ..m };
        let left = || of(self.a, self.m, self.b, self.n, self.c, true);
        let right = || of(turned(self.b), self.n, turned(self.a), self.m, turned(self.c), false);
        if self.m >= self.n { left().or_else(right) } else { right().or_else(left) }
    }

    /// Vectors up to which the matrix is read where it lies. Only floats share its loads among vectors.
    fn most_vectors(&self) -> usize {
        if matches!(self.kernels.dtype, DType::Float32 | DType::Float64) { MOST_VECTORS } else { 1 }
    }

    /// Matrix x a few vectors: chains side by side, read where they lie.
    fn vectors(&self, lanes: Lanes, runner: Runner) -> Result<()> {
        let Kernels { vector, nr, bytes, dtype, .. } = self.kernels;
        trace::path("vector");
        let Lanes { matrix, count, vectors, c, left, .. } = lanes;
        let row = if matrix.row == bytes as isize { VECTOR_ROW / bytes } else { VECTOR_LANES };
        let part = even(count, row, 2 * nr);
        let parts = count.div_ceil(part);
        let panels = self.k.div_ceil(PANEL);
        // Bytes of the matrix that one vector's product reads in a kernel call.
        let call_panels = (VECTOR_BYTES / (part * vectors * bytes * PANEL)).max(1);
        let read = count.saturating_mul(self.k.saturating_mul(bytes));
        let cost = read as f64 * cost::read_byte_ns(read);
        // Where lanes alone are few tiles, panels are shared out as well.
        let threads = scheduler::threads();
        let fits = panels.saturating_mul(self.m * self.n) <= VECTORS_PACKED / bytes;
        let few = parts < 2 * threads && fits && runner.shares(cost);
        let wanted = if few { (4 * threads).div_ceil(parts).min(panels) } else { 1 };
        let tile_panels = panels.div_ceil(wanted);
        let groups = panels.div_ceil(tile_panels);
        with_arena(|arena| {
            let x = self.vectors_in_depth(&lanes, arena)?;
            let result = self.m * self.n * bytes;
            let split = groups > 1;
            let size = if split { panels.saturating_mul(result) } else { 0 };
            let totals = arena.try_scratch(size).ok_or_else(|| self.out_of_memory(size))?.as_ptr();
            let c = if split { Matrix { data: totals, ..c } } else { c };
            runner.run(parts * groups, cost, &|tile| {
                let lane = tile % parts * part;
                let first = tile / parts * tile_panels;
                let last = panels.min(first + tile_panels);
                for panel in (first..last).step_by(call_panels) {
                    go_on!();
                    let begin = panel * PANEL;
                    let depth = ((last.min(panel + call_panels)) * PANEL).min(self.k) - begin;
                    let to = if split { panel * result } else { 0 };
                    // SAFETY: the lanes exist in the matrix and in c, where no other tile has them;
                    // totals have a place for each panel.
                    unsafe {
                        vector(
                            c.at(lane, 0).wrapping_add(to),
                            c.row,
                            c.column,
                            if split { result as isize } else { 0 },
                            x.at(begin, 0),
                            x.row,
                            x.column,
                            matrix.at(lane, begin),
                            matrix.row,
                            matrix.column,
                            part.min(count - lane),
                            depth,
                            vectors,
                            u32::from(!split && panel > 0),
                            u32::from(left),
                        )
                    };
                }
                Flow::Continue
            })?;
            if split {
                let add =
                    kernels::binary(Binary::Add, dtype, Form::VectorVector).ok_or(Error::DtypeRefused {
                        op: self.op,
                        dtype: dtype.name(),
                        accepted: NUMERIC.names,
                    })?;
                let out = self.c.data;
                let mut sum = totals;
                for panel in 1..panels {
                    // SAFETY: the totals of every panel are written, and are as many as c's elements.
                    unsafe { add(out, sum, totals.wrapping_add(panel * result), self.m * self.n) };
                    sum = out;
                }
            }
            Ok(())
        })
    }

    /// The vectors, gathered unless each is contiguous or they lie side by side.
    fn vectors_in_depth(&self, lanes: &Lanes, arena: &Arena) -> Result<Matrix> {
        let Lanes { x, vectors, .. } = *lanes;
        let bytes = self.kernels.bytes;
        if lanes.x_in_place(bytes as isize) {
            return Ok(x);
        }
        let size = self.k.saturating_mul(vectors * bytes);
        let scratch = arena.try_scratch(size).ok_or_else(|| self.out_of_memory(size))?;
        let to = Matrix { data: scratch.as_ptr(), row: bytes as isize, column: (self.k * bytes) as isize };
        for vector in 0..vectors {
            // SAFETY: the vectors have these elements, and the scratch room for them.
            unsafe { kernels::gather(self.kernels.dtype)(to.at(0, vector), x.at(0, vector), self.k, x.row) };
        }
        Ok(to)
    }
}

/// A matrix with one chain (lane) to a row, and the vectors it is multiplied by: the columns of `x`.
#[derive(Clone, Copy)]
struct Lanes {
    matrix: Matrix,
    count: usize,
    x: Matrix,
    vectors: usize,
    /// One row to a lane, one column to a vector.
    c: Matrix,
    /// Whether the matrix is the left factor.
    left: bool,
}

impl Lanes {
    /// Whether each vector is contiguous, or they lie side by side.
    fn x_in_place(&self, bytes: isize) -> bool {
        let beside = self.x.column == bytes && self.x.row == self.vectors as isize * bytes;
        self.x.row == bytes || beside
    }
}
