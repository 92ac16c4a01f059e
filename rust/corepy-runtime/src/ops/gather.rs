//! Elements at integer indices and under boolean masks, read and written.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::kernels::{self, BLOCK};
use crate::layout::{self, Dims, MAX_AXES};
use crate::lock::Lock;
use crate::memory::arena::{Arena, with_arena};
use crate::memory::list::List;
use crate::ops::iterate::{Axis, Cursor, Layout, Plan};
use crate::ops::stage::{Access, Operand, accesses, execute};
use crate::ops::{Arg, check_storable, copy};
use crate::scheduler::tuning::Class;
use crate::scheduler::{self, Flow, Pace, cost};
use crate::tensor::Tensor;
use crate::trace;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Estimated ns to divide one 64-bit integer by another.
const DIVIDE_NS: f64 = 6.0;
/// Elements of a tile.
const TILE: usize = 16 * BLOCK;

/// Index tensors over some axes of a tensor, in the shape they broadcast to.
struct Indices<'a> {
    op: &'static str,
    x: &'a Tensor,
    /// Axis of `x`, and contiguous and aligned indices of the common shape.
    tensors: Vec<(usize, Tensor)>,
    shape: Dims,
    count: usize,
}

impl<'a> Indices<'a> {
    fn new(op: &'static str, x: &'a Tensor, given: &[Option<&Tensor>]) -> Result<Indices<'a>> {
        if given.len() > x.ndim() {
            return Err(Error::TooManyIndices { op, given: given.len(), ndim: x.ndim() });
        }
        let mut shape = Dims::zeros(0);
        for tensor in given.iter().flatten() {
            if !tensor.dtype().is_integer() {
                return Err(Error::IndexDtype { op, dtype: tensor.dtype().name() });
            }
            shape = layout::broadcast_shapes(op, &shape, tensor.shape())?;
        }
        let mut tensors = Vec::new();
        for (axis, tensor) in given.iter().enumerate() {
            if let Some(tensor) = tensor {
                let stretched = if tensor.shape() == &shape[..] {
                    (*tensor).clone()
                } else {
                    tensor.broadcast_to(op, &shape)?
                };
                tensors.push((axis, copy::contiguous(&stretched)?));
            }
        }
        let (count, _) = layout::checked_size(op, &shape, DType::Int64)?;
        Ok(Indices { op, x, tensors, shape, count })
    }

    /// Checked indices or byte offsets of places `first .. first + n` (at most 1,024), and what to
    /// multiply them by for bytes in `x`: with one index tensor in `scratch`, else in `offsets`.
    /// Indices are read once, into memory of our own, and checked there. Fails with the place of the
    /// first that is out of range.
    ///
    /// # Safety
    /// `offsets` has room for n entries, `scratch` for n too; both are aligned.
    unsafe fn offsets(
        &self,
        first: usize,
        n: usize,
        offsets: *mut i64,
        scratch: *mut i64,
    ) -> std::result::Result<(*const i64, isize), (usize, Error)> {
        let mut failed: Option<(usize, Error)> = None;
        for (nth, (axis, tensor)) in self.tensors.iter().enumerate() {
            let from = tensor.data().wrapping_add(first * tensor.itemsize());
            let (extent, stride) = (self.x.shape()[*axis], self.x.strides()[*axis]);
            // SAFETY: the tensor has count elements, of which these are some; the rest as promised.
            let (found, wrapped) = unsafe {
                if tensor.dtype() == DType::Int64 {
                    scratch.copy_from_nonoverlapping(from.cast(), n);
                } else {
                    kernels::cast(tensor.dtype(), DType::Int64)(scratch.cast(), from, n);
                }
                let own = std::slice::from_raw_parts_mut(scratch, n);
                // Unsigned numbers from 2**63 on have become negative.
                let beyond =
                    if tensor.dtype() == DType::Uint64 { own.iter().position(|&i| i < 0) } else { None };
                let index = beyond.map(|at| own[at]);
                let ended = kernels::wrap_indices()(scratch, n, extent) as usize;
                (
                    ended.min(beyond.unwrap_or(n)),
                    if beyond.is_some_and(|at| at <= ended) { index } else { None },
                )
            };
            if found < n {
                if failed.as_ref().is_none_or(|(at, _)| found < *at) {
                    // SAFETY: found < n; kernels leave the index that they refuse as it is.
                    let index = unsafe { scratch.add(found).read() };
                    let op = self.op;
                    let index = wrapped.map_or(i128::from(index), |high| i128::from(high as u64));
                    failed =
                        Some((found, Error::IndexRange { op, index, axis: *axis, extent: extent as usize }));
                }
                continue;
            }
            if self.tensors.len() == 1 {
                return Ok((scratch.cast_const(), stride as isize));
            }
            // SAFETY: both have n entries.
            let (sum, own) = unsafe {
                (std::slice::from_raw_parts_mut(offsets, n), std::slice::from_raw_parts(scratch, n))
            };
            for (sum, index) in sum.iter_mut().zip(own) {
                // In range, so that the offset lies inside the tensor and nothing wraps.
                let before = if nth == 0 { 0 } else { *sum };
                *sum = before.wrapping_add(index.wrapping_mul(stride));
            }
        }
        failed.map_or(Ok((offsets.cast_const(), 1)), Err)
    }

    /// Checks all indices in order; the error is that of the first out of range.
    fn check(&self) -> Result<()> {
        with_arena(|arena| {
            let offsets = arena.scratch(BLOCK * size_of::<i64>());
            let scratch = arena.scratch(BLOCK * size_of::<i64>());
            for first in (0..self.count).step_by(BLOCK) {
                scheduler::poll()?;
                let n = BLOCK.min(self.count - first);
                // SAFETY: both hold a block.
                unsafe { self.offsets(first, n, offsets.as_ptr().cast(), scratch.as_ptr().cast()) }
                    .map_err(|(_, error)| error)?;
            }
            Ok(())
        })
    }

    /// Where the indices' axes stand in the result: in place of the indexed axes where those are
    /// adjacent, else in front.
    fn position(&self) -> usize {
        let adjacent = self.tensors.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
        if adjacent { self.tensors.first().map_or(0, |t| t.0) } else { 0 }
    }

    /// Axes of `x` that no index tensor is for.
    fn kept(&self) -> impl Iterator<Item = usize> {
        (0..self.x.ndim()).filter(|axis| self.tensors.iter().all(|(a, _)| a != axis))
    }

    /// Shape of the result.
    fn result_shape(&self) -> Dims {
        let kept = || self.kept().map(|axis| self.x.shape()[axis]);
        let at = self.position();
        kept().take(at).chain(self.shape.iter().copied()).chain(kept().skip(at)).collect()
    }

    /// The loops over the kept axes before and behind the indices in a tensor of the result's shape
    /// (operand 0) together with `x` (operand 1), and the bytes from one index to the next in the
    /// former, whose index axes are contiguous.
    fn loops(&self, result: &Tensor) -> (List<Axis<2>>, List<Axis<2>>, i64) {
        let at = self.position();
        let axes: List<Axis<2>> = self
            .kept()
            .enumerate()
            .map(|(nth, axis)| {
                let own = if nth < at { nth } else { nth + self.shape.len() };
                Axis {
                    extent: self.x.shape()[axis],
                    strides: [result.strides()[own], self.x.strides()[axis]],
                }
            })
            .collect();
        let (before, behind) = axes.split_at(at);
        let step = behind.iter().map(|a| a.extent).product::<i64>() * result.itemsize() as i64;
        (joined(before), joined(behind), step)
    }
}

/// Axes with those joined that both operands walk as one; none of extent 1.
fn joined(axes: &[Axis<2>]) -> List<Axis<2>> {
    let mut out: List<Axis<2>> = axes.iter().copied().filter(|a| a.extent != 1).collect();
    out.merge(Axis::with_inner);
    out
}

/// Elements of a run, and bytes of a contiguous one, between two polls.
const RUN: usize = 1 << 16;
const ROW_PIECE: usize = 1 << 20;

/// Calls `f` with the byte offsets of each run of loops, and the run's count and strides: one element
/// where there are no loops. Long runs come in pieces.
fn each_run(
    axes: &[Axis<2>],
    itemsize: usize,
    pace: &mut Pace,
    mut f: impl FnMut([i64; 2], usize, [i64; 2]),
) -> Result<()> {
    let Some((inner, outer)) = axes.split_last() else {
        f([0, 0], 1, [itemsize as i64; 2]);
        return pace.step(itemsize);
    };
    let rows: i64 = outer.iter().map(|a| a.extent).product();
    let mut cursor = Cursor::new(outer, 0);
    for _ in 0..rows {
        for first in (0..inner.extent as usize).step_by(RUN) {
            let count = RUN.min(inner.extent as usize - first);
            f([0, 1].map(|k| cursor.offsets[k] + first as i64 * inner.strides[k]), count, inner.strides);
            pace.step(count * itemsize)?;
        }
        cursor.forward();
    }
    Ok(())
}

/// Elements of `x` at indices along one axis, which the indices' axes take the place of.
pub fn take(x: &Tensor, indices: &Tensor, axis: Option<i64>) -> Result<Tensor> {
    let describe = |call: &mut trace::Call| _ = call.operands([x, indices]);
    trace::operation("take", describe, || take_untraced(x, indices, axis))
}

fn take_untraced(x: &Tensor, indices: &Tensor, axis: Option<i64>) -> Result<Tensor> {
    const OP: &str = "take";
    let axis = match axis {
        Some(axis) => layout::normalize_axis(OP, axis, x.ndim())?,
        None if x.ndim() == 1 => 0,
        None => {
            return Err(Error::AxisNeeded { op: OP, ndim: x.ndim() });
        }
    };
    let mut given = [None; MAX_AXES];
    given[axis] = Some(indices);
    gather(&Indices::new(OP, x, &given[..=axis])?)
}

/// Elements of `x` at integer indices: one entry per axis, `None` for the whole axis; axes left out
/// are whole. Index tensors broadcast together; their axes replace the indexed ones where those are
/// adjacent, and come first otherwise.
pub fn index(x: &Tensor, indices: &[Option<&Tensor>]) -> Result<Tensor> {
    let describe =
        |call: &mut trace::Call| _ = call.operands([x]).operands(indices.iter().copied().flatten());
    trace::operation("getitem", describe, || index_untraced(x, indices))
}

fn index_untraced(x: &Tensor, indices: &[Option<&Tensor>]) -> Result<Tensor> {
    if indices.len() <= x.ndim() && indices.iter().all(Option::is_none) {
        return copy::copy(x);
    }
    gather(&Indices::new("getitem", x, indices)?)
}

struct Addresses {
    to: *mut u8,
    from: *mut u8,
}
// SAFETY: tiles read one tensor and write disjoint parts of another, both held by the caller.
unsafe impl Sync for Addresses {}

fn gather(indices: &Indices) -> Result<Tensor> {
    let x = indices.x;
    let out = Tensor::empty(indices.op, &indices.result_shape(), x.dtype())?;
    if out.size() == 0 {
        indices.check()?;
        return Ok(out);
    }
    let (before, behind, step) = indices.loops(&out);
    let itemsize = x.itemsize();
    let row = behind.iter().map(|a| a.extent).product::<i64>() as usize;
    let outer = before.iter().map(|a| a.extent).product::<i64>() as usize;
    let row_bytes = match behind[..] {
        [] => Some(itemsize),
        [axis] if axis.strides[1] == itemsize as i64 => Some(row * itemsize),
        _ => None,
    };
    // A tile is some indices for some outer places: few of long rows, and as many as make it worth claiming.
    let length = (TILE / row).clamp(1, BLOCK).min(indices.count);
    let pieces = indices.count.div_ceil(length);
    let group = (TILE / (length * row)).clamp(1, outer);
    let tiles = outer.div_ceil(group) * pieces;
    let each = cost::element_ns(Class::Strided, x.dtype(), 2 * itemsize, out.size());
    let taken = cost::class_ns(Class::Taken, x.dtype());
    let ns = out.size() as f64 * if row == 1 { taken } else { each + taken / row as f64 };
    let take = kernels::take(x.dtype());
    let move_run = kernels::gather(x.dtype());
    let failed: Lock<Option<Error>> = Lock::new(None);
    trace::path("gathered");
    trace::kernel(if behind.is_empty() && x.is_aligned() { "take" } else { "copy" });
    let addresses = Addresses { to: out.data(), from: x.data() };
    scheduler::run(tiles, ns, &|tile| {
        let addresses = &addresses;
        let (part, piece) = (tile / pieces, tile % pieces);
        let first = piece * length;
        let n = length.min(indices.count - first);
        with_arena(|arena| {
            let offsets = arena.scratch(BLOCK * size_of::<i64>()).as_ptr().cast::<i64>();
            let scratch = arena.scratch(BLOCK * size_of::<i64>()).as_ptr().cast::<i64>();
            // SAFETY: both hold a block of aligned entries.
            let (places, stride) = match unsafe { indices.offsets(first, n, offsets, scratch) } {
                Ok(checked) => checked,
                Err((_, error)) => {
                    failed.lock().get_or_insert(error);
                    return Flow::Stop;
                }
            };
            let mut cursor = Cursor::new(&before, part * group);
            let mut pace = Pace::new();
            for _ in part * group..outer.min((part + 1) * group) {
                let to = addresses.to.wrapping_offset((cursor.offsets[0] + first as i64 * step) as isize);
                let from = addresses.from.wrapping_offset(cursor.offsets[1] as isize);
                if behind.is_empty() && x.is_aligned() {
                    // SAFETY: checked offsets of elements of x; out has n places from `to` on.
                    unsafe { take(to, from, places, n, stride) };
                    cursor.forward();
                    if pace.step(n * itemsize).is_err() {
                        return Flow::Stop;
                    }
                    continue;
                }
                for i in 0..n {
                    // SAFETY: there are n places, each of a row of x.
                    let at = unsafe { places.add(i).read() } as isize * stride;
                    let (to, from) =
                        (to.wrapping_offset(i as isize * step as isize), from.wrapping_offset(at));
                    if let Some(bytes) = row_bytes {
                        for first in (0..bytes).step_by(ROW_PIECE) {
                            let piece = ROW_PIECE.min(bytes - first);
                            // SAFETY: a part of a contiguous row of x, and its place in out.
                            unsafe { to.add(first).copy_from_nonoverlapping(from.add(first), piece) };
                            if pace.step(piece).is_err() {
                                return Flow::Stop;
                            }
                        }
                        continue;
                    }
                    let done = each_run(&behind, itemsize, &mut pace, |[put, get], count, [_, stride]| {
                        let (to, from) =
                            (to.wrapping_offset(put as isize), from.wrapping_offset(get as isize));
                        // SAFETY: a run of x from a checked offset on, and its places in out, which are
                        // contiguous.
                        unsafe { move_run(to, from, count, stride as isize) };
                    });
                    if done.is_err() {
                        return Flow::Stop;
                    }
                }
                cursor.forward();
            }
            Flow::Continue
        })
    })?;
    if let Some(met) = failed.into_inner() {
        // The first in order, whichever was met first; memory that others change may hold none by now.
        indices.check()?;
        return Err(met);
    }
    Ok(out)
}

/// `x[indices] = value`: where an element is addressed several times, the last value stays. Nothing is
/// written when an index is out of range. Overlapping operands behave as if copied first.
pub fn index_assign(x: &Tensor, indices: &[Option<&Tensor>], value: Arg) -> Result<()> {
    let describe = |call: &mut trace::Call| {
        call.operands([x]).operands([value]).operands(indices.iter().copied().flatten());
    };
    trace::operation("setitem", describe, || index_assign_untraced(x, indices, value))
}

fn index_assign_untraced(x: &Tensor, indices: &[Option<&Tensor>], value: Arg) -> Result<()> {
    const OP: &str = "setitem";
    if indices.len() <= x.ndim() && indices.iter().all(Option::is_none) {
        return copy::copy_into(OP, x, value);
    }
    x.check_writable(OP)?;
    let indices = Indices::new(OP, x, indices)?;
    let shape = indices.result_shape();
    let dtype = x.dtype();
    // The values in C order and of x's dtype, apart from x.
    let values = match value {
        Arg::Scalar(scalar) => {
            copy::check_convertible(OP, scalar.dtype(), dtype)?;
            Tensor::from_scalar(OP, &scalar.cast(dtype))?.broadcast_to(OP, &shape)?
        }
        Arg::Tensor(tensor) => {
            check_storable(OP, tensor.dtype(), dtype)?;
            if tensor.size() == 1 && tensor.ndim() <= shape.len() {
                copy::contiguous_as(tensor, dtype, OP)?.broadcast_to(OP, &shape)?
            } else {
                let values = Tensor::empty(OP, &shape, dtype)?;
                copy::copy_into(OP, &values, value)?;
                values
            }
        }
    };
    let values = if values.may_overlap(x) { copy::copy(&values)? } else { values };
    let same = values.strides().iter().zip(&shape[..]).all(|(&s, &e)| s == 0 || e == 1);
    // All offsets are checked before the first element is written, from indices read once.
    let places = Tensor::empty(OP, &[indices.count as i64], DType::Int64)?;
    let offsets = places.data().cast::<i64>();
    with_arena(|arena| {
        let scratch = arena.scratch(BLOCK * size_of::<i64>()).as_ptr().cast::<i64>();
        for first in (0..indices.count).step_by(BLOCK) {
            scheduler::poll()?;
            let n = BLOCK.min(indices.count - first);
            // SAFETY: places has count entries, scratch a block.
            unsafe {
                let to = offsets.add(first);
                let (checked, stride) = indices.offsets(first, n, to, scratch).map_err(|(_, error)| error)?;
                for i in 0..n {
                    to.add(i).write(checked.add(i).read() * stride as i64);
                }
            }
        }
        Ok(())
    })?;
    if values.size() == 0 {
        return Ok(());
    }
    let (before, behind, step) = indices.loops(&values);
    let step = if same { 0 } else { step };
    let itemsize = x.itemsize();
    let outer: i64 = before.iter().map(|a| a.extent).product();
    trace::path("scattered");
    trace::kernel("copy");
    trace::tiles(1);
    let mut cursor = Cursor::new(&before, 0);
    let mut pace = Pace::new();
    for _ in 0..outer {
        for i in 0..indices.count {
            // SAFETY: places has count entries.
            let at = unsafe { offsets.add(i).read() };
            let to = x.data().wrapping_offset((cursor.offsets[1] + at) as isize);
            let from = values.data().wrapping_offset((cursor.offsets[0] + i as i64 * step) as isize);
            each_run(&behind, itemsize, &mut pace, |[get, put], count, [get_step, put_step]| {
                let mut to = to.wrapping_offset(put as isize);
                let mut from = from.wrapping_offset(get as isize);
                for _ in 0..count {
                    // SAFETY: an element of the values, and one of x at a checked offset.
                    unsafe { to.copy_from_nonoverlapping(from, itemsize) };
                    to = to.wrapping_offset(put_step as isize);
                    from = from.wrapping_offset(get_step as isize);
                }
            })?;
        }
        cursor.forward();
    }
    Ok(())
}

/// Fails where a mask is no mask of the leading axes of `x`.
fn check_mask(op: &'static str, x: &Tensor, mask: &Tensor) -> Result<()> {
    if mask.dtype() != DType::Bool {
        return Err(Error::DtypeRefused { op, dtype: mask.dtype().name(), accepted: DType::Bool.name() });
    }
    if mask.ndim() > x.ndim() || mask.shape() != &x.shape()[..mask.ndim()] {
        let (mask, shape) = (layout::show(mask.shape()), layout::show(x.shape()));
        return Err(Error::MaskShape { op, mask, shape });
    }
    Ok(())
}

/// Elements counted tile by tile, in private memory: where each tile's results begin, and at last how
/// many there are in all.
fn count_tiles<'a>(mask: &Tensor, arena: &'a Arena) -> Result<&'a [AtomicUsize]> {
    let size = mask.size();
    let tiles = size.div_ceil(TILE);
    let starts = arena.counters(tiles + 1);
    let data = Addresses { to: std::ptr::null_mut(), from: mask.data() };
    let kernel = kernels::count_mask();
    let ns = cost::read_ns(Class::Count, DType::Bool, 1, size);
    scheduler::run(tiles, ns * size as f64, &|tile| {
        let data = &data;
        let begin = tile * TILE;
        // SAFETY: bytes of the contiguous mask.
        let count = unsafe { kernel(data.from.add(begin), TILE.min(size - begin)) };
        starts[tile + 1].store(count as usize, Ordering::Relaxed);
        Flow::Continue
    })?;
    let mut total = 0;
    for start in starts {
        total += start.load(Ordering::Relaxed);
        start.store(total, Ordering::Relaxed);
    }
    Ok(starts)
}

/// Writes what `kernel` finds under each tile of a contiguous mask to a new one-axis tensor: it is
/// given the mask's bytes, the first one's number, how many, where to write and for how many elements
/// there is room; it returns how many it wrote. Should the mask change meanwhile, room that is left
/// becomes zero.
fn compact(
    op: &'static str,
    mask: &Tensor,
    dtype: DType,
    kernel: &(dyn Fn(*const u8, usize, usize, *mut u8, usize) -> usize + Sync),
) -> Result<Tensor> {
    trace::path("compacted");
    with_arena(|arena| {
        let starts = count_tiles(mask, arena)?;
        let start = |tile: usize| starts[tile].load(Ordering::Relaxed);
        let size = mask.size();
        let tiles = starts.len() - 1;
        let out = Tensor::empty(op, &[start(tiles) as i64], dtype)?;
        let itemsize = dtype.itemsize();
        let addresses = Addresses { to: out.data(), from: mask.data() };
        let ns = cost::element_ns(Class::Masked, dtype, 1 + itemsize, size);
        scheduler::run(tiles, ns * size as f64, &|tile| {
            let addresses = &addresses;
            let begin = tile * TILE;
            let room = start(tile + 1) - start(tile);
            // SAFETY: the tile's own part of out, and of the mask.
            unsafe {
                let to = addresses.to.add(start(tile) * itemsize);
                let n = TILE.min(size - begin);
                let written = kernel(addresses.from.add(begin), begin, n, to, room).min(room);
                to.add(written * itemsize).write_bytes(0, (room - written) * itemsize);
            }
            Flow::Continue
        })?;
        Ok(out)
    })
}

/// Numbers, in row-major order, of the elements of a mask that are set.
fn positions(op: &'static str, mask: &Tensor) -> Result<Tensor> {
    let mask = copy::contiguous(mask)?;
    let kernel = kernels::mask_positions();
    trace::kernel("positions");
    compact(op, &mask, DType::Int64, &|mask, begin, n, to, room| {
        // SAFETY: compact gives n bytes of mask and room for that many positions.
        unsafe { kernel(to.cast(), mask, n, begin as i64, room) as usize }
    })
}

/// One index tensor per axis of a mask, together the places that are set in row-major order: what a
/// mask stands for among other indices.
pub fn mask_indices(mask: &Tensor) -> Result<Vec<Tensor>> {
    trace::operation("getitem", |call| _ = call.operands([mask]), || mask_indices_untraced(mask))
}

fn mask_indices_untraced(mask: &Tensor) -> Result<Vec<Tensor>> {
    const OP: &str = "getitem";
    check_mask(OP, mask, mask)?;
    let flat = positions(OP, mask)?;
    if mask.ndim() == 1 {
        return Ok(vec![flat]);
    }
    let n = flat.size();
    let out: Result<Vec<Tensor>> =
        mask.shape().iter().map(|_| Tensor::empty(OP, &[n as i64], DType::Int64)).collect();
    let out = out?;
    scheduler::run(n.div_ceil(TILE), DIVIDE_NS * (n * mask.ndim()) as f64, &|tile| {
        for i in tile * TILE..n.min((tile + 1) * TILE) {
            // SAFETY: all tensors have n elements.
            let mut rest = unsafe { flat.data().cast::<i64>().add(i).read() };
            for (tensor, &extent) in out.iter().zip(mask.shape()).rev() {
                // SAFETY: as above. An extent is not 0 where an element is set.
                unsafe { tensor.data().cast::<i64>().add(i).write(rest % extent) };
                rest /= extent;
            }
        }
        Flow::Continue
    })?;
    Ok(out)
}

/// Elements of `x` where a mask of its leading axes is set, in row-major order along one axis, which is
/// followed by the axes that the mask lacks.
pub fn mask(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    trace::operation("getitem", |call| _ = call.operands([x, mask]), || mask_untraced(x, mask))
}

fn mask_untraced(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    const OP: &str = "getitem";
    check_mask(OP, x, mask)?;
    let x = copy::contiguous(x)?;
    let itemsize = x.itemsize();
    if mask.ndim() == x.ndim() {
        let mask = copy::contiguous(mask)?;
        let kernel = kernels::compress(x.dtype());
        trace::kernel("compress");
        let data = Addresses { to: std::ptr::null_mut(), from: x.data() };
        return compact(OP, &mask, x.dtype(), &|mask, begin, n, to, room| {
            let data = &data;
            // SAFETY: compact gives n bytes of mask, as many elements of x lie there, and `to` has room.
            unsafe { kernel(to, data.from.add(begin * itemsize), mask, n, room) as usize }
        });
    }
    let flat = positions(OP, mask)?;
    let mut shape = vec![mask.size() as i64];
    shape.extend_from_slice(&x.shape()[mask.ndim()..]);
    let rows = x.view(0, &shape, &layout::contiguous_strides(&shape, itemsize));
    index(&rows, &[Some(&flat)])
}

/// `x[mask] = value` for a mask of the leading axes of `x`. Overlapping operands behave as if copied
/// first.
pub fn mask_assign(x: &Tensor, mask: &Tensor, value: Arg) -> Result<()> {
    let describe = |call: &mut trace::Call| _ = call.operands([x.into(), value, mask.into()]);
    trace::operation("setitem", describe, || mask_assign_untraced(x, mask, value))
}

fn mask_assign_untraced(x: &Tensor, mask: &Tensor, value: Arg) -> Result<()> {
    const OP: &str = "setitem";
    x.check_writable(OP)?;
    check_mask(OP, x, mask)?;
    let dtype = x.dtype();
    let rest = x.ndim() - mask.ndim();
    let value = match value {
        Arg::Scalar(scalar) => {
            copy::check_convertible(OP, scalar.dtype(), dtype)?;
            Tensor::from_scalar(OP, &scalar.cast(dtype))?
        }
        Arg::Tensor(tensor) => {
            check_storable(OP, tensor.dtype(), dtype)?;
            // A value without an axis of its own for the mask's elements is the same for each of them.
            if tensor.ndim() > rest && tensor.size() != 1 {
                let given = mask_indices(mask)?;
                let given: Vec<Option<&Tensor>> = given.iter().map(Some).collect();
                return index_assign(x, &given, value);
            }
            let apart = if tensor.may_overlap(x) { copy::copy(tensor)? } else { tensor.clone() };
            if apart.ndim() > rest { apart.view(0, &[], &[]) } else { apart }
        }
    };
    let fits = &x.shape()[mask.ndim()..];
    if layout::broadcast_strides(value.shape(), value.strides(), fits).is_none() {
        let (a, b) = (layout::show(value.shape()), layout::show(fits));
        return Err(Error::BroadcastTo { op: OP, a, b });
    }
    let mask = if mask.may_overlap(x) { copy::copy(mask)? } else { mask.clone() };
    let mut shape = mask.shape().to_vec();
    shape.resize(x.ndim(), 1);
    let mut strides = mask.strides().to_vec();
    strides.resize(x.ndim(), 0);
    let mask = mask.view(0, &shape, &strides);
    // Every element becomes the value or itself.
    let mut plan =
        Plan::new(x.shape(), [Layout::of(x), Layout::of(&mask), Layout::of(&value), Layout::of(x)]);
    let operands = [
        Operand::new(x, dtype),
        Operand::new(&mask, DType::Bool),
        Operand::new(&value, dtype),
        Operand::new(x, dtype),
    ];
    let access = accesses(&plan, &operands, [false, false, true, false]);
    let step = (access[2] != Access::Single) as usize;
    let kernel = kernels::select(dtype);
    trace::kernel("select");
    let ns = cost::element_ns(Class::Selection, dtype, 1 + 3 * dtype.itemsize(), x.size());
    plan.set_tile(cost::elements(ns, x.size()));
    execute(&plan, &operands, &access, ns, &|[out, mask, a, b], n| {
        // SAFETY: execute gives n elements of each, one of the value where the step is 0; the output
        // is exactly the last operand.
        unsafe { kernel(out, mask, a, b, n, step, 1) };
        n
    })?;
    Ok(())
}
