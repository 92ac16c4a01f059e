//! Calls of kernels over operands in the second-level cache, from whose times costs of elements follow.

use crate::dtype::{DType, Kind};
use crate::error::Result;
use crate::generated::ops::{Binary, Cumulative, Family, Unary};
use crate::kernels::{self, BLOCK, Form, PANEL};
use crate::ops::create;
use crate::scalar::Scalar;
use crate::scheduler::tuning::{Class, Table};
use crate::tensor::Tensor;

/// Bytes of each operand and result: two operands and a result lie in a second-level cache of 256 KiB.
const BYTES: usize = 64 << 10;
/// Elements of a call at most: more of a byte each would take long where each is slow.
const MOST: usize = 16 << 10;
/// From one element to the next of those that lie apart, in elements; nearer ones have a loop of their own.
const STRIDE: usize = 5;
/// Bytes that indices reach over: more than a second-level cache has.
const REACHED: usize = 4 << 20;
/// Bytes of the widest element.
const WIDEST: usize = 16;
/// Elements of a short group and of a long one.
const SHORT_GROUP: usize = 8;
const LONG_GROUP: usize = 50;

/// Operands for every call.
pub(super) struct Probe {
    /// Threes of each dtype, twice, by the dtype's number.
    operands: Vec<[Tensor; 2]>,
    out: Tensor,
    mask: Tensor,
    /// Elements that lie outside the second-level cache, and places all over them.
    far: Tensor,
    index: Tensor,
    /// Packed rows and columns of a matrix product, and the product.
    packed: [Tensor; 3],
}

/// A call of a kernel, and how many elements it counts for.
pub(super) struct Call<'a> {
    kernel: Box<dyn Fn() + 'a>,
    pub elements: usize,
}

impl Call<'_> {
    pub fn run(&self) {
        (self.kernel)();
    }
}

fn filled(op: &'static str, dtype: DType, value: f64, count: usize) -> Result<Tensor> {
    create::full(op, &[count as i64], &Scalar::from_f64(value).cast(dtype))
}

/// Elements of a call.
fn count(dtype: DType) -> usize {
    (BYTES / dtype.itemsize()).min(MOST)
}

impl Probe {
    pub fn new(op: &'static str) -> Result<Probe> {
        let operands: Result<Vec<_>> = crate::dtype::ALL
            .into_iter()
            .map(|dtype| {
                let one = || filled(op, dtype, 3.0, BYTES / dtype.itemsize());
                Ok([one()?, one()?])
            })
            .collect();
        let mask = filled(op, DType::Bool, 0.0, MOST)?;
        let index = filled(op, DType::Int64, 0.0, MOST)?;
        let mut state = 1u32;
        for i in 0..MOST {
            // A linear congruence (W. H. Press and others, Numerical Recipes, section 7.1): no branch or
            // prefetcher foresees its upper bits.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // SAFETY: both hold MOST elements of these dtypes, and nobody else sees them yet.
            unsafe {
                mask.data().add(i).write((state >> 31) as u8);
                index.data().cast::<i64>().add(i).write(i64::from(state >> 8) % (REACHED / WIDEST) as i64);
            }
        }
        let part = || filled(op, DType::Uint8, 0.0, 4 * BYTES);
        Ok(Probe {
            operands: operands?,
            // Running totals keep small dtypes in eight bytes, and sums of groups have eight each.
            out: filled(op, DType::Uint8, 0.0, 8 * MOST)?,
            mask,
            index,
            far: filled(op, DType::Uint8, 0.0, REACHED)?,
            packed: [part()?, part()?, part()?],
        })
    }

    /// The call that stands for a class; None where it has no kernel for a dtype.
    pub fn call(&self, class: Class, dtype: DType) -> Option<Call<'_>> {
        let n = count(dtype);
        let [a, b] = &self.operands[dtype.number()];
        let (a, b, out) = (a.data().cast_const(), b.data().cast_const(), self.out.data());
        let mask = self.mask.data().cast_const();
        let null = std::ptr::null();
        let unary = |op: Unary| {
            let kernel = kernels::unary(op, dtype)?;
            // SAFETY: n elements of the kernel's dtype, and room for as many results.
            Some(Box::new(move || _ = unsafe { kernel(out, a, n) }) as Box<dyn Fn()>)
        };
        let binary = |op: Binary| {
            let kernel = kernels::binary(op, dtype, Form::VectorVector)?;
            // SAFETY: as above.
            Some(Box::new(move || _ = unsafe { kernel(out, a, b, n) }) as Box<dyn Fn()>)
        };
        let cast = |from: DType, to: DType| {
            let (kernel, n) = (kernels::cast(from, to), count(from).min(count(to)));
            let from = self.operands[from.number()][0].data().cast_const();
            // SAFETY: n elements of the one dtype, and room for n of the other.
            let call = move || unsafe { kernel(out, from, n) };
            Some(Call { kernel: Box::new(call), elements: n })
        };
        let groups = |family: Family, groups: usize, n: usize, divisor: f64| {
            let each = kernels::reduction(family, dtype).each?;
            let stride = (n * dtype.itemsize()) as isize;
            let second = if matches!(family, Family::Dot) { b } else { null };
            // SAFETY: as many groups of n elements each, and room for a result of each.
            let call = move || _ = unsafe { each(out, a, second, groups, stride, stride, n, divisor) };
            Some(Box::new(call) as Box<dyn Fn()>)
        };
        let whole = |family: Family| groups(family, 1, n, n as f64);
        let kernel = match class {
            Class::Arithmetic if dtype == DType::Bool => binary(Binary::LogicalAnd)?,
            Class::Arithmetic => binary(Binary::Add)?,
            Class::Comparison => binary(Binary::Equal)?,
            Class::Multiplication => binary(Binary::Multiply)?,
            Class::Division => binary(Binary::Divide)?,
            Class::Root => unary(Unary::Sqrt)?,
            Class::Magnitude => unary(Unary::Abs)?,
            Class::Sign => unary(Unary::Sign)?,
            Class::Shift => binary(Binary::BitwiseLeftShift)?,
            Class::FloorDivision => binary(Binary::FloorDivide)?,
            Class::Power => binary(Binary::Pow)?,
            Class::Selection => {
                let kernel = kernels::select(dtype);
                // SAFETY: n elements of each operand and of the mask, and room for as many results.
                Box::new(move || unsafe { kernel(out, mask, a, b, n, 1, 1) })
            }
            Class::CastFrom => {
                let to = if dtype.kind() == Kind::Complex { DType::Complex64 } else { DType::Int16 };
                return cast(dtype, to);
            }
            Class::CastTo => return cast(DType::Int16, dtype),
            Class::Strided => {
                let (kernel, n) = (kernels::gather(dtype), n / STRIDE);
                let stride = (STRIDE * dtype.itemsize()) as isize;
                // SAFETY: every fourth element of the operand, and room for them.
                let call = move || unsafe { kernel(out, a, n, stride) };
                return Some(Call { kernel: Box::new(call), elements: n });
            }
            Class::Taken => return Some(self.taken(dtype)),
            Class::Masked => {
                let kernel = kernels::compress(dtype);
                // SAFETY: n elements and as many of the mask, and room for all.
                Box::new(move || _ = unsafe { kernel(out, a, mask, n, n) })
            }
            Class::Sum => whole(Family::Sum)?,
            Class::ExactSum => whole(Family::ExactSum)?,
            Class::Superaccumulator => whole(Family::Superaccumulator)?,
            Class::Prod => whole(Family::Prod)?,
            Class::Var => whole(Family::Var)?,
            Class::Extremum => whole(Family::Max)?,
            // Threes are all set, so that every one is looked at.
            Class::Decision => whole(Family::All)?,
            Class::Index => whole(Family::Argmax)?,
            Class::Count => whole(Family::CountNonzero)?,
            Class::Dot => whole(Family::Dot)?,
            Class::ShortGroup | Class::LongGroup => {
                let length = if class == Class::ShortGroup { SHORT_GROUP } else { LONG_GROUP };
                let kernel = groups(Family::Sum, n / length, length, length as f64)?;
                return Some(Call { kernel, elements: n / length });
            }
            Class::RunningTotal => {
                let slot = kernels::cumulative(Cumulative::Sum, dtype);
                let (start, line) = (slot.start?, slot.line?);
                let [carry, running, _] = &self.packed;
                let (carry, running) = (carry.data(), running.data());
                // SAFETY: n elements, room for as many results and for one carry and total.
                Box::new(move || unsafe {
                    start(carry, running, 1);
                    line(out, carry, a, n);
                })
            }
            Class::BlockTotal => {
                let totals = kernels::cumulative(Cumulative::Sum, dtype).totals?;
                let room = self.packed[0].data();
                // SAFETY: n elements, and room for the totals of sixteen blocks, 64 bytes each at most.
                Box::new(move || unsafe { totals(room, a, n) })
            }
            Class::MultiplyAdd => return self.multiply_add(dtype),
        };
        Some(Call { kernel, elements: n })
    }

    /// Elements from all over memory that the second-level cache does not hold.
    fn taken(&self, dtype: DType) -> Call<'_> {
        let kernel = kernels::take(dtype);
        // Elements of every width are as far apart as the widest.
        let stride = WIDEST as isize;
        let index = self.index.data().cast::<i64>().cast_const();
        let (out, far, n) = (self.out.data(), self.far.data().cast_const(), count(dtype));
        // SAFETY: every index is below the number of widest elements there, and there is room for n of them.
        let call = move || unsafe { kernel(out, far, index, n, stride) };
        Call { kernel: Box::new(call), elements: n }
    }

    /// A block of a matrix product, of packed zeros.
    fn multiply_add(&self, dtype: DType) -> Option<Call<'_>> {
        let gemm = &kernels::table().gemm[dtype.number()];
        let block = gemm.block?;
        let [a, b, c] = &self.packed;
        let room = |tensor: &Tensor, bytes: usize| tensor.size() / bytes;
        // A few register tiles that fit their rooms, side by side.
        let panel = PANEL * gemm.packed_bytes;
        let rows = room(a, panel) / gemm.mr * gemm.mr;
        let columns = room(b, panel) / gemm.nr * gemm.nr;
        let rows = rows.min(room(c, columns * dtype.itemsize()));
        if rows == 0 || columns == 0 {
            return None;
        }
        let (a, b, c) = (a.data().cast_const(), b.data().cast_const(), c.data());
        let stride = (columns * dtype.itemsize()) as isize;
        // SAFETY: packed rows and columns of a panel, padded to whole register tiles, and room for the product.
        let call = move || unsafe { block(c, stride, a, b, rows, columns, PANEL, 0) };
        Some(Call { kernel: Box::new(call), elements: rows * columns * PANEL })
    }

    /// The cost of an element of a class, whose call took as much for each: that of a group is what its sum takes
    /// beside its elements.
    pub fn beside(&self, table: &Table, class: Class, dtype: DType, ns: f64) -> f64 {
        match class {
            Class::ShortGroup => ns - SHORT_GROUP as f64 * table.element(Class::Sum, dtype),
            Class::LongGroup => ns - LONG_GROUP as f64 * table.element(Class::Sum, dtype),
            _ => ns,
        }
    }
}

/// Totals of the blocks of a call, at most 64 bytes each, have room in one of the packed parts.
const _: () = assert!(MOST / BLOCK * 64 <= 4 * BYTES);
