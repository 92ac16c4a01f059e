//! Copies, conversions and fills.

use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::kernels;
use crate::layout;
use crate::memory::list::List;
use crate::ops::iterate::{Layout, Plan, Walk};
use crate::ops::stage::{self, Access, Operand, accesses, execute, is_streamed};
use crate::ops::{Arg, check_storable, empty_as};
use crate::scalar::Scalar;
use crate::scheduler::cost::{self, byte_ns};
use crate::scheduler::tuning::Class;
use crate::scheduler::{self, Flow};
use crate::tensor::Tensor;
use crate::trace;

/// Elements up to which contiguous operands are copied without a plan.
const STRAIGHT: usize = 4096;
/// Bytes from which on the kernel for rows is quicker than the C library's copy: rows of 4,000 bytes took
/// 149 us instead of 289.
const LONG_ROW: usize = 4096;
/// Bytes of a tile of contiguous copying: large enough that the C library's copy of a piece runs at
/// the speed of memory, small enough to share among threads.
const TILE_BYTES: usize = 256 << 10;

/// Fails where elements of a dtype do not convert to another: complex to anything real.
pub(crate) fn check_convertible(op: &'static str, from: DType, to: DType) -> Result<()> {
    if from.kind() != Kind::Complex || matches!(to.kind(), Kind::Complex | Kind::Bool) {
        return Ok(());
    }
    Err(Error::ComplexToReal { op, from: from.name(), to: to.name() })
}

/// The elements converted to a dtype, in new memory with the operand's order of axes.
pub fn astype(x: &Tensor, dtype: DType, op: &'static str) -> Result<Tensor> {
    trace::operation(
        op,
        |call| describe(call, x, dtype),
        || {
            check_convertible(op, x.dtype(), dtype)?;
            let out = empty_as(op, x.shape(), dtype, &[Some(x)])?;
            transfer(&out, x)?;
            Ok(out)
        },
    )
}

fn describe(call: &mut trace::Call, x: &Tensor, to: DType) {
    call.operands([x]).kernel(if x.dtype() == to { "copy" } else { "cast" });
}

/// The elements in new memory with the operand's order of axes.
pub fn copy(x: &Tensor) -> Result<Tensor> {
    astype(x, x.dtype(), "copy")
}

/// The elements in C order and aligned: the tensor itself where it is so, else a copy.
pub fn contiguous(x: &Tensor) -> Result<Tensor> {
    contiguous_for("copy", x)
}

/// The same, on behalf of another operation.
pub fn contiguous_for(op: &'static str, x: &Tensor) -> Result<Tensor> {
    if x.is_plain() { Ok(x.clone()) } else { contiguous_copy(x, x.dtype(), op) }
}

/// The elements in C order, aligned and of a dtype: the tensor itself where it is so, else a copy.
pub fn contiguous_as(x: &Tensor, dtype: DType, op: &'static str) -> Result<Tensor> {
    if x.dtype() == dtype {
        return contiguous_for(op, x);
    }
    check_convertible(op, x.dtype(), dtype)?;
    contiguous_copy(x, dtype, op)
}

fn contiguous_copy(x: &Tensor, dtype: DType, op: &'static str) -> Result<Tensor> {
    trace::operation(
        op,
        |call| describe(call, x, dtype),
        || {
            let out = Tensor::empty(op, x.shape(), dtype)?;
            transfer(&out, x)?;
            Ok(out)
        },
    )
}

/// Sets every element of `dst` from `src`, broadcast to its shape, as if `src` were copied first.
/// A tensor's elements convert to the same kind of number or a more general one; a scalar to any but
/// from complex to real.
pub fn copy_into(op: &'static str, dst: &Tensor, src: Arg) -> Result<()> {
    let kernel = if src.dtype() == dst.dtype() { "copy" } else { "cast" };
    let describe = |call: &mut trace::Call| _ = call.operands([dst.into(), src]).stretches().kernel(kernel);
    trace::operation(op, describe, || copy_into_untraced(op, dst, src))
}

fn copy_into_untraced(op: &'static str, dst: &Tensor, src: Arg) -> Result<()> {
    let src = match src {
        Arg::Scalar(scalar) => return fill_as(op, dst, &scalar),
        Arg::Tensor(src) => src,
    };
    dst.check_writable(op)?;
    check_storable(op, src.dtype(), dst.dtype())?;
    // Leading axes of extent 1 that dst lacks do not matter.
    let extra = src.ndim().saturating_sub(dst.ndim());
    let trimmed;
    let src = if extra > 0 && src.shape()[..extra].iter().all(|&e| e == 1) {
        trimmed = src.view(0, &src.shape()[extra..], &src.strides()[extra..]);
        &trimmed
    } else {
        src
    };
    if layout::broadcast_strides(src.shape(), src.strides(), dst.shape()).is_none() {
        let (a, b) = (layout::show(src.shape()), layout::show(dst.shape()));
        return Err(Error::BroadcastTo { op, a, b });
    }
    if src.may_overlap(dst) {
        return if src.is_same_view(dst) { Ok(()) } else { transfer(dst, &copy(src)?) };
    }
    transfer(dst, src)
}

/// Sets every element to a value, converted to the tensor's dtype.
pub fn fill(dst: &Tensor, value: &Scalar) -> Result<()> {
    fill_as("fill", dst, value)
}

fn fill_as(op: &'static str, dst: &Tensor, value: &Scalar) -> Result<()> {
    let describe =
        |call: &mut trace::Call| _ = call.operands([dst.into(), Arg::Scalar(*value)]).kernel("fill");
    trace::operation(op, describe, || fill_untraced(op, dst, value))
}

fn fill_untraced(op: &'static str, dst: &Tensor, value: &Scalar) -> Result<()> {
    dst.check_writable(op)?;
    let dtype = dst.dtype();
    check_convertible(op, value.dtype(), dtype)?;
    let value = value.cast(dtype);
    let kernel = kernels::fill(dtype);
    if dst.size() <= STRAIGHT && dst.is_plain() {
        // SAFETY: contiguous and aligned memory of this many elements.
        unsafe { kernel(dst.data(), value.as_ptr(), dst.size()) };
        return Ok(());
    }
    let mut plan = Plan::new(dst.shape(), [Layout::of(dst)]);
    plan.set_tile(TILE_BYTES / dtype.itemsize());
    let operands = [Operand::new(dst, dtype)];
    let access = accesses(&plan, &operands, [false]);
    trace::kernel("fill");
    let ns = byte_ns(dst.size() * dtype.itemsize()) * dtype.itemsize() as f64;
    execute(&plan, &operands, &access, ns, &|[out], n| {
        // SAFETY: execute gives n elements of this dtype, aligned.
        unsafe { kernel(out, value.as_ptr(), n) };
        n
    })?;
    Ok(())
}

/// Sets every element of `dst` from `src`, which broadcasts to its shape and does not overlap it.
pub(crate) fn transfer(dst: &Tensor, src: &Tensor) -> Result<()> {
    let (from, to) = (src.dtype(), dst.dtype());
    let bytes = (from.itemsize() + to.itemsize()).saturating_mul(dst.size());
    let cast_ns = if from == to { 0.0 } else { cost::cast_ns(from, to) };
    let cost_ns = (byte_ns(bytes) * bytes as f64).max(cast_ns * dst.size() as f64);
    // As for elementwise operations: no thread would be asked to help.
    let short = dst.size() <= STRAIGHT || cost_ns < cost::hot_ns();
    if short && dst.is_plain() && src.is_plain() && dst.shape() == src.shape() {
        // SAFETY: both are contiguous, aligned and of one size, and do not overlap.
        unsafe {
            if from == to {
                let bytes = dst.size() * dst.itemsize();
                if bytes < LONG_ROW {
                    dst.data().copy_from_nonoverlapping(src.data(), bytes);
                } else {
                    kernels::copy_rows()(dst.data(), src.data(), 1, bytes, 0, 0, 0);
                }
            } else {
                kernels::cast(from, to)(dst.data(), src.data(), dst.size());
            }
        }
        return Ok(());
    }
    if from == to {
        let moves = Moves::new(dst, src);
        return match moves.form() {
            Some(_) => moves_together(&[moves]),
            None => move_elements(moves.plan, &[Operand::new(dst, to), Operand::new(src, from)]),
        };
    }
    let plan = Plan::new(dst.shape(), [Layout::of(dst), Layout::of(src)]);
    let operands = [Operand::new(dst, to), Operand::new(src, from)];
    let access = accesses(&plan, &operands, [false; 2]);
    let cast = match kernels::streamed::cast(from, to) {
        Some(streamed) if is_streamed(&plan, &access, dst, &[Arg::Tensor(src)]) => streamed,
        _ => kernels::cast(from, to),
    };
    trace::kernel("cast");
    execute(&plan, &operands, &access, cost_ns / dst.size() as f64, &|[out, x], n| {
        // SAFETY: execute gives n elements of each dtype, aligned.
        unsafe { cast(out, x, n) };
        n
    })?;
    Ok(())
}

/// Sets the elements of each tensor from its source, as [`transfer`] does: groups of parts as one operation
/// where kernels of moves can do it, so that threads help with parts that are too short for it alone.
pub(crate) fn transfer_all<'a>(mut parts: impl Iterator<Item = (Tensor, &'a Tensor)>) -> Result<()> {
    /// Bounds what is asked of the Rust heap, which ends the process where memory is exhausted.
    const GROUP: usize = 64;
    /// Bytes of a part, in the mean, below which going straight to its elements is quicker than a plan.
    const SMALL: usize = 4096;
    let mut group = Vec::with_capacity(GROUP);
    loop {
        group.extend(parts.by_ref().take(GROUP));
        if group.is_empty() {
            return Ok(());
        }
        transfer_group(&group, SMALL)?;
        group.clear();
    }
}

fn transfer_group(parts: &[(Tensor, &Tensor)], small: usize) -> Result<()> {
    let bytes: usize = parts.iter().map(|(dst, _)| dst.size() * dst.itemsize()).sum();
    if bytes / small > parts.len() && parts.iter().all(|(dst, src)| dst.dtype() == src.dtype()) {
        let moves: Vec<Moves> = parts.iter().map(|(dst, src)| Moves::new(dst, src)).collect();
        if moves.iter().all(|moves| moves.form().is_some()) {
            return moves_together(&moves);
        }
    }
    for (dst, src) in parts {
        scheduler::poll()?;
        transfer(dst, src)?;
    }
    Ok(())
}

/// Elements of one size on their way from one tensor to another.
struct Moves {
    plan: Plan<2>,
    data: [*mut u8; 2],
    dtype: DType,
}

// SAFETY: tiles read and write disjoint parts.
unsafe impl Sync for Moves {}

/// A kernel of moves that takes blocks of two axes.
enum MoveForm {
    Rows,
    Transpose,
}

impl Moves {
    fn new(dst: &Tensor, src: &Tensor) -> Moves {
        let plan = Plan::of_moves(dst.shape(), [Layout::of(dst), Layout::of(src)], TILE_BYTES);
        Moves { plan, data: [dst.data(), src.data()], dtype: dst.dtype() }
    }

    /// The kernel that moves the elements as they lie; None where there is none.
    fn form(&self) -> Option<MoveForm> {
        let dense = self.dtype.itemsize() as i64;
        match self.plan.walk() {
            Walk::Rows { .. } => Some(MoveForm::Rows),
            Walk::Crossed { .. } => {
                let [.., row, run] = self.plan.axes() else { return None };
                (run.strides[0] == dense && row.strides[1] == dense).then_some(MoveForm::Transpose)
            }
            Walk::Runs => (self.plan.inner_strides() == [dense; 2]).then_some(MoveForm::Rows),
            Walk::Blocks { .. } => None,
        }
    }

    fn bytes(&self) -> usize {
        self.plan.size() * self.dtype.itemsize()
    }

    /// Moves the elements of one tile.
    fn tile(&self, tile: usize, past_caches: bool) {
        let strides = match self.plan.axes() {
            [.., row, run] => [row.strides[0], row.strides[1], run.strides[1]],
            _ => [0; 3],
        };
        let [to, down, across] = strides.map(|stride| stride as isize);
        let (rows_kernel, transpose) = (kernels::copy_rows(), kernels::transpose(self.dtype));
        let past_caches = u32::from(past_caches);
        let itemsize = self.dtype.itemsize();
        let crossed = matches!(self.plan.walk(), Walk::Crossed { .. });
        self.plan.for_each(tile, &self.data, |_, [out, x], n, rows| {
            // SAFETY: the plan gives addresses of the tensors' elements, which `form` has found to lie as
            // the kernel takes them; the tensors do not overlap.
            unsafe {
                if crossed {
                    transpose(out, x, rows, n, to, across, past_caches);
                } else {
                    rows_kernel(out, x, rows, n * itemsize, to, down, past_caches);
                }
            }
            true
        });
    }
}

/// Runs moves that have a form, as one operation.
fn moves_together(moves: &[Moves]) -> Result<()> {
    let bytes = moves.iter().fold(0usize, |sum, m| sum.saturating_add(2 * m.bytes()));
    let mut ends = List::<usize>::zeros(moves.len());
    let mut tiles = 0;
    for (end, moves) in ends.iter_mut().zip(moves) {
        tiles += moves.plan.tiles();
        *end = tiles;
    }
    let [first, ..] = moves else { return Ok(()) };
    let crossed = matches!(first.plan.walk(), Walk::Crossed { .. });
    trace::path(first.plan.walk().name());
    trace::kernel(if crossed { "transpose" } else { "copy" });
    trace::access(|| "direct,direct".to_owned());
    let past_caches = cost::is_past_caches(bytes);
    scheduler::run(tiles, byte_ns(bytes) * bytes as f64, &|tile| {
        let part = ends.partition_point(|&end| end <= tile);
        let before = if part == 0 { 0 } else { ends[part - 1] };
        moves[part].tile(tile - before, past_caches);
        Flow::Continue
    })
}

/// Copies plain bytes, in parallel where that pays.
///
/// # Errors
/// [`Error::Interrupted`]: some of the bytes are then not there.
///
/// # Safety
/// `from` and `to` are `bytes` long and do not overlap.
pub unsafe fn copy_bytes(to: *mut u8, from: *const u8, bytes: usize) -> Result<()> {
    struct Addresses(*mut u8, *const u8);
    // SAFETY: tiles read and write disjoint parts.
    unsafe impl Sync for Addresses {}
    let addresses = Addresses(to, from);
    let ns = byte_ns(bytes.saturating_mul(2)) * 2.0 * bytes as f64;
    scheduler::run(bytes.div_ceil(TILE_BYTES), ns, &|tile| {
        let Addresses(to, from) = &addresses;
        let first = tile * TILE_BYTES;
        // SAFETY: as the caller promises.
        unsafe { to.add(first).copy_from_nonoverlapping(from.add(first), TILE_BYTES.min(bytes - first)) };
        Flow::Continue
    })
}

/// Runs a kernel of moves, which cannot fault.
fn finish(
    name: &'static str,
    plan: &Plan<2>,
    operands: &[Operand; 2],
    access: &[Access; 2],
    ns: f64,
    kernel: &(impl Fn([*mut u8; 2], usize) -> usize + Sync),
) -> Result<()> {
    trace::kernel(name);
    execute(plan, operands, access, ns, kernel).map(|_| ())
}

/// Moves elements of one dtype that do not lie as [`Moves`] needs them: the kernels of moves take, outside
/// blocks, a stride of any alignment on one side, so that only a stride on both sides goes through the arena.
fn move_elements(plan: Plan<2>, operands: &[Operand; 2]) -> Result<()> {
    let dtype = operands[0].stored;
    let itemsize = dtype.itemsize();
    let ns = cost::element_ns(Class::Strided, dtype, 2 * itemsize, plan.size());
    let mut operands = *operands;
    let [to, from] = plan.inner_strides();
    let dense = itemsize as i64;
    if matches!(plan.walk(), Walk::Blocks { .. }) {
        let mut access = accesses(&plan, &operands, [false; 2]);
        // Bytes need no alignment.
        for k in 0..2 {
            operands[k].aligned = true;
            if stage::access(&plan, &operands[k], k, false) == Access::Direct {
                access[k] = Access::Direct;
            }
        }
        return finish("copy", &plan, &operands, &access, ns, &|[out, x], n| {
            // SAFETY: execute gives n elements of this size, and staged tiles do not overlap them.
            unsafe { out.copy_from_nonoverlapping(x, n * itemsize) };
            n
        });
    }
    let direct = [Access::Direct; 2];
    if to == dense && from == 0 && operands[0].aligned {
        let kernel = kernels::fill(dtype);
        return finish("fill", &plan, &operands, &direct, ns, &|[out, x], n| {
            // The value is copied first, because the kernel reads it as an aligned element.
            let mut value = 0u128;
            let value = (&raw mut value).cast::<u8>();
            // SAFETY: one element to read, n contiguous and aligned ones to set.
            unsafe {
                value.copy_from_nonoverlapping(x, itemsize);
                kernel(out, value, n);
            }
            n
        });
    }
    if from == dense && operands[1].aligned && to != dense {
        let scatter = kernels::scatter(dtype);
        return finish("scatter", &plan, &operands, &direct, ns, &|[out, x], n| {
            // SAFETY: n contiguous elements to read, n at the stride to set.
            unsafe { scatter(out, x, n, to as isize) };
            n
        });
    }
    let gather = kernels::gather(dtype);
    let in_place = to == dense && operands[0].aligned;
    if stage::access(&plan, &operands[1], 1, false) == Access::Crossed {
        let access = [if in_place { Access::Direct } else { Access::Strided }, Access::Crossed];
        return finish("copy", &plan, &operands, &access, ns, &|[out, x], n| {
            // SAFETY: a row of a staged block to read, n contiguous elements to set.
            unsafe { out.copy_from_nonoverlapping(x, n * itemsize) };
            n
        });
    }
    let access = [if in_place { Access::Direct } else { Access::Strided }, Access::Direct];
    finish("gather", &plan, &operands, &access, ns, &|[out, x], n| {
        // SAFETY: n elements at the stride to read, n contiguous ones to set.
        unsafe { gather(out, x, n, from as isize) };
        n
    })
}
