//! Elementwise operations of one and two operands, into new tensors and in place.

use crate::dtype::{DType, Kind, promote};
use crate::error::{Error, Result};
use crate::generated::dtypes::NUMERIC;
use crate::generated::ops::{BINARY, Binary, ComputeRule, Elementwise, Fault, ResultRule, UNARY, Unary};
use crate::kernels::{self, Form};
use crate::layout;
pub use crate::ops::Arg;
use crate::ops::iterate::{Layout, Plan};
use crate::ops::stage::{Access, Operand, accesses, execute, execute_in_order, is_streamed};
use crate::ops::{check_storable, copy, empty_as, select, show_index};
use crate::scalar::Scalar;
use crate::scheduler::cost::{self, hot_ns};
use crate::tensor::Tensor;
use crate::trace;

/// Elements up to which plain operands go straight to the kernel, whatever the operation costs: a few us
/// of work at most.
const STRAIGHT: usize = 4096;

/// Whether plain operands go straight to the kernel: no thread would be asked to help, and the plan
/// would cost some 190 ns, a quarter of adding 10,000 float32.
#[inline]
fn is_straight(row: &Elementwise, dtype: DType, operands: usize, size: usize) -> bool {
    size <= STRAIGHT || cost(row, dtype, operands, size) * (size as f64) < hot_ns()
}

/// Estimated ns for one element on one thread, of an operation on `operands` elements of a dtype at a time.
#[inline]
fn cost(row: &Elementwise, dtype: DType, operands: usize, size: usize) -> f64 {
    cost::element_ns(row.cost, dtype, operands * dtype.itemsize(), size)
}

/// The dtypes that an operation computes in and gives, for operands of two dtypes (the same one twice
/// for one operand).
#[inline]
pub fn compute_dtype(row: &Elementwise, a: DType, b: DType) -> Result<(DType, DType)> {
    let op = row.name;
    for dtype in [a, b] {
        if !dtype.computes() {
            return Err(Error::StorageDtype { op, dtype: dtype.name() });
        }
    }
    let promoted = promote(a, b).ok_or_else(|| Error::NoPromotion { op, a: a.name(), b: b.name() })?;
    let compute = match row.compute {
        ComputeRule::Promote => promoted,
        ComputeRule::Floating if promoted.is_integer() => DType::Float64,
        ComputeRule::Floating => promoted,
        ComputeRule::Bool => DType::Bool,
    };
    if !row.dtypes.contains(compute) {
        // What is accepted, as operands: integers are converted where the kernels take floats.
        let accepted = if row.compute == ComputeRule::Floating { NUMERIC.names } else { row.dtypes.names };
        return Err(Error::DtypeRefused { op, dtype: promoted.name(), accepted });
    }
    Ok((compute, result_dtype(row, compute)))
}

#[inline]
fn result_dtype(row: &Elementwise, compute: DType) -> DType {
    match row.result {
        ResultRule::Bool => DType::Bool,
        ResultRule::Real => compute.real_part(),
        _ => compute,
    }
}

#[cold]
fn no_kernel(op: &'static str, dtype: DType) -> Error {
    Error::Internal { op, what: format!("no kernel for {}", dtype.name()) }
}

/// One operand: `op(x)`, element by element, into a new tensor.
#[inline]
pub fn unary(op: Unary, x: &Tensor) -> Result<Tensor> {
    let describe = |call: &mut trace::Call| _ = call.operands([x]).kernel("v");
    trace::operation(UNARY[op as usize].name, describe, || unary_untraced(op, x))
}

#[inline]
fn unary_untraced(op: Unary, x: &Tensor) -> Result<Tensor> {
    let row = &UNARY[op as usize];
    // A kernel for the operand's own dtype means that nothing is converted.
    if is_straight(row, x.dtype(), 2, x.size())
        && x.is_plain()
        && let Some(kernel) = kernels::unary(op, x.dtype())
    {
        let out = Tensor::empty_like(row.name, x, result_dtype(row, x.dtype()))?;
        // SAFETY: both are contiguous and aligned, of the kernel's dtypes and the same size.
        unsafe { kernel(out.data(), x.data(), x.size()) };
        return Ok(out);
    }
    let (compute, result) = compute_dtype(row, x.dtype(), x.dtype())?;
    let out = empty_as(row.name, x.shape(), result, &[Some(x)])?;
    unary_planned(op, compute, result, &out, x)?;
    Ok(out)
}

/// Writes `op(x)` to `out` of the same shape.
fn unary_planned(op: Unary, compute: DType, result: DType, out: &Tensor, x: &Tensor) -> Result<()> {
    let row = &UNARY[op as usize];
    let mut kernel = kernels::unary(op, compute).ok_or_else(|| no_kernel(row.name, compute))?;
    let mut plan = Plan::new(out.shape(), [Layout::of(out), Layout::of(x)]);
    let operands = [Operand::new(out, result), Operand::new(x, compute)];
    let access = accesses(&plan, &operands, [false, false]);
    if is_streamed(&plan, &access, out, &[Arg::Tensor(x)])
        && let Some(streamed) = kernels::streamed::unary(op, compute)
    {
        kernel = streamed;
    }
    let ns = cost(row, compute, 2, out.size());
    plan.set_tile(cost::elements(ns, out.size()));
    trace::kernel("v");
    // No one-operand kernel faults.
    execute(&plan, &operands, &access, ns, &|[out, x], n| {
        // SAFETY: execute gives n elements of the kernel's dtypes, aligned.
        unsafe { kernel(out, x, n) as usize }
    })?;
    Ok(())
}

/// Two operands: `a op b`, element by element with broadcasting, into a new tensor.
#[inline]
pub fn binary(op: Binary, a: Arg, b: Arg) -> Result<Tensor> {
    if trace::enabled() {
        return binary_traced(op, &a, &b);
    }
    binary_untraced(op, a, b)
}

/// Apart, and by reference: what the log needs costs the path without it 12 instructions like this and
/// 26 as a closure over the operands.
#[cold]
#[inline(never)]
fn binary_traced(op: Binary, a: &Arg, b: &Arg) -> Result<Tensor> {
    let name = BINARY[op as usize].name;
    trace::operation(name, |call| describe(call, *a, *b), || binary_untraced(op, *a, *b))
}

fn describe(call: &mut trace::Call, a: Arg, b: Arg) {
    let form = match (a, b) {
        (Arg::Scalar(_), Arg::Tensor(_)) => Form::ScalarVector,
        (Arg::Tensor(_), Arg::Scalar(_)) => Form::VectorScalar,
        _ => Form::VectorVector,
    };
    call.operands([a, b]).stretches().kernel(form.name());
}

#[inline(always)]
fn binary_untraced(op: Binary, a: Arg, b: Arg) -> Result<Tensor> {
    let row = &BINARY[op as usize];
    // Operands of one dtype that has a kernel need no conversion.
    let straight = |x: &Tensor| is_straight(row, x.dtype(), 3, x.size()) && x.is_plain();
    let straight = match (&a, &b) {
        (Arg::Tensor(x), Arg::Tensor(y)) => {
            let same = straight(x) && y.is_plain() && x.has_shape_of(y);
            same.then(|| (*x, x.data().cast_const(), y.data().cast_const(), Form::VectorVector))
        }
        (Arg::Tensor(x), Arg::Scalar(s)) => {
            straight(x).then(|| (*x, x.data().cast_const(), s.as_ptr(), Form::VectorScalar))
        }
        (Arg::Scalar(s), Arg::Tensor(y)) => {
            straight(y).then(|| (*y, s.as_ptr(), y.data().cast_const(), Form::ScalarVector))
        }
        (Arg::Scalar(_), Arg::Scalar(_)) => None,
    };
    if let Some((like, x, y, form)) = straight
        && a.dtype() == b.dtype()
        && let Some(kernel) = kernels::binary(op, a.dtype(), form)
    {
        let out = Tensor::empty_like(row.name, like, result_dtype(row, a.dtype()))?;
        // SAFETY: all operands are contiguous and aligned, of the kernel's dtypes, and of one size
        // except for a scalar in its form.
        let ended = unsafe { kernel(out.data(), x, y, like.size()) } as usize;
        if ended < like.size() {
            return Err(fault_error(row, like.shape(), ended, a.dtype(), &b));
        }
        return Ok(out);
    }
    binary_general(op, a, b)
}

fn binary_general(op: Binary, a: Arg, b: Arg) -> Result<Tensor> {
    let row = &BINARY[op as usize];
    let (compute, result) = compute_dtype(row, a.dtype(), b.dtype())?;
    if let (Binary::Pow, Arg::Tensor(x), Arg::Scalar(exponent)) = (op, &a, &b)
        && is_two(exponent)
    {
        // x ** 2 is defined as x * x.
        let out = empty_as(row.name, x.shape(), result, &[Some(x)])?;
        unary_planned(Unary::Square, compute, result, &out, x)?;
        return Ok(out);
    }
    let shape = layout::broadcast_shapes(row.name, a.shape(), b.shape())?;
    if row.comparison && compute == DType::Float64 && a.dtype().is_integer() && b.dtype().is_integer() {
        return compare_integers(op, a, b);
    }
    let out = empty_as(row.name, &shape, result, &[a.tensor(), b.tensor()])?;
    binary_planned(op, compute, result, &out, a, b)?;
    Ok(out)
}

/// Writes `x / divisor` to `out`, which is float64 and may lie where `x` does.
pub(super) fn divide_to(out: &Tensor, x: &Tensor, divisor: f64) -> Result<()> {
    let by = Arg::Scalar(Scalar::from_f64(divisor));
    binary_planned(Binary::Divide, DType::Float64, DType::Float64, out, Arg::Tensor(x), by)
}

/// Compares signed integers with uint64 by value: float64, in which both would meet, takes many of them
/// for one number.
fn compare_integers(op: Binary, a: Arg, b: Arg) -> Result<Tensor> {
    let name = BINARY[op as usize].name;
    let signed_first = b.dtype() == DType::Uint64;
    let own;
    let signed = match if signed_first { a } else { b } {
        Arg::Tensor(tensor) => tensor,
        Arg::Scalar(scalar) => {
            own = Tensor::from_scalar(name, &scalar)?;
            &own
        }
    };
    let wrapped = copy::astype(signed, DType::Uint64, name)?;
    let (x, y) = if signed_first { (Arg::Tensor(&wrapped), b) } else { (a, Arg::Tensor(&wrapped)) };
    let compared = binary(op, x, y)?;
    let zero = Scalar::from_i64(0).cast(signed.dtype());
    let negative = binary(Binary::Less, Arg::Tensor(signed), Arg::Scalar(zero))?;
    let below = match op {
        Binary::Equal => false,
        Binary::NotEqual => true,
        Binary::Less | Binary::LessEqual => signed_first,
        _ => !signed_first,
    };
    select::where_(&negative, Arg::Scalar(Scalar::from_bool(below)), Arg::Tensor(&compared))
}

/// Whether an exponent is 2, in whichever dtype.
fn is_two(exponent: &Scalar) -> bool {
    exponent.cast(DType::Complex128).bytes() == Scalar::from_complex(2.0, 0.0).bytes()
}

/// Writes `a op b` to `out`, whose shape both broadcast to. `out` may be the same view as either and
/// overlaps neither otherwise.
fn binary_planned(op: Binary, compute: DType, result: DType, out: &Tensor, a: Arg, b: Arg) -> Result<()> {
    let row = &BINARY[op as usize];
    // A scalar of another dtype is converted once.
    let convert =
        |arg: Arg<'_>| if let Arg::Scalar(s) = arg { s.cast(compute) } else { Scalar::from_bool(false) };
    let (scalar_a, scalar_b) = (convert(a), convert(b));
    let a = if a.tensor().is_some() { a } else { Arg::Scalar(scalar_a) };
    let b = if b.tensor().is_some() { b } else { Arg::Scalar(scalar_b) };

    let mut plan = Plan::new(out.shape(), [Layout::of(out), a.layout(), b.layout()]);
    let operands = [Operand::new(out, result), a.operand(compute), b.operand(compute)];
    let mut access = accesses(&plan, &operands, [false, true, true]);
    let form = match (access[1], access[2]) {
        (Access::Single, Access::Single) => {
            access[1] = crate::ops::stage::access(&plan, &operands[1], 1, false);
            Form::VectorScalar
        }
        (Access::Single, _) => Form::ScalarVector,
        (_, Access::Single) => Form::VectorScalar,
        _ => Form::VectorVector,
    };
    let mut kernel = kernels::binary(op, compute, form).ok_or_else(|| no_kernel(row.name, compute))?;
    if is_streamed(&plan, &access, out, &[a, b])
        && let Some(streamed) = kernels::streamed::binary(op, compute, form)
    {
        kernel = streamed;
    }
    let ns = cost(row, compute, 3, out.size());
    plan.set_tile(cost::elements(ns, out.size()));
    trace::kernel(form.name());
    let fault = execute(&plan, &operands, &access, ns, &|[out, a, b], n| {
        // SAFETY: execute gives n elements of the kernel's dtypes, aligned; one for a scalar.
        unsafe { kernel(out, a, b, n) as usize }
    })?;
    match fault {
        None => Ok(()),
        Some(position) => Err(locate_fault(op, compute, result, out.shape(), a, b, position)),
    }
}

/// The error for the lowest element in row-major order that faults, whichever thread met one first:
/// computes again in that order, keeping no result.
#[cold]
fn locate_fault(
    op: Binary,
    compute: DType,
    result: DType,
    shape: &[i64],
    a: Arg,
    b: Arg,
    position: usize,
) -> Error {
    let row = &BINARY[op as usize];
    let Some(kernel) = kernels::binary(op, compute, Form::VectorVector) else {
        return no_kernel(row.name, compute);
    };
    // Every result is stored in this one element.
    let mut nowhere = 0u128;
    let to = Operand { data: (&raw mut nowhere).cast(), stored: result, computed: result, aligned: true };
    let plan = Plan::logical(shape, [Layout::single(result.itemsize()), a.layout(), b.layout()]);
    let operands = [to, a.operand(compute), b.operand(compute)];
    let access = accesses(&plan, &operands, [false; 3]);
    let found = execute_in_order(&plan, &operands, &access, &|[out, a, b], n| {
        // SAFETY: execute_in_order gives n elements of the kernel's dtypes, aligned.
        unsafe { kernel(out, a, b, n) as usize }
    });
    match found {
        // Memory that others change may have no fault any more: then the place where one was met.
        Ok(found) => fault_error(row, shape, found.unwrap_or(position), compute, &b),
        Err(interrupted) => interrupted,
    }
}

/// What the fault of element number `flat` means.
#[cold]
fn fault_error(row: &Elementwise, shape: &[i64], flat: usize, compute: DType, exponents: &Arg) -> Error {
    let (op, index) = (row.name, show_index(shape, flat));
    if row.fault != Fault::Exponent {
        return Error::ZeroDivision { op, index };
    }
    let value = show_value(&element(exponents, shape, flat).cast(compute));
    if compute.is_integer() {
        Error::NegativeExponent { op, value, index }
    } else {
        Error::Exponent { op, value, index }
    }
}

/// Element number `flat` of an operand stretched to a shape.
fn element(arg: &Arg, shape: &[i64], flat: usize) -> Scalar {
    let tensor = match arg {
        Arg::Scalar(scalar) => return *scalar,
        Arg::Tensor(tensor) => tensor,
    };
    let mut rest = flat as i64;
    let mut offset = 0;
    let added = shape.len() - tensor.ndim();
    for axis in (0..shape.len()).rev() {
        let place = rest % shape[axis].max(1);
        rest /= shape[axis].max(1);
        if axis >= added && tensor.shape()[axis - added] != 1 {
            offset += place * tensor.strides()[axis - added];
        }
    }
    let mut bytes = [0; 16];
    // SAFETY: the offset is that of an element of the tensor.
    unsafe {
        let from = tensor.data().cast_const().wrapping_offset(offset as isize);
        from.copy_to_nonoverlapping(bytes.as_mut_ptr(), tensor.itemsize());
    }
    Scalar::new(tensor.dtype(), &bytes)
}

/// A number as Python writes it.
fn show_value(scalar: &Scalar) -> String {
    let wide = |bytes: &[u8]| {
        let mut held = [0; 8];
        held.copy_from_slice(&bytes[..8]);
        held
    };
    match scalar.dtype().kind() {
        Kind::Unsigned => u64::from_ne_bytes(wide(scalar.cast(DType::Uint64).bytes())).to_string(),
        Kind::Bool | Kind::Signed => i64::from_ne_bytes(wide(scalar.cast(DType::Int64).bytes())).to_string(),
        Kind::Floating => format!("{:?}", f64::from_ne_bytes(wide(scalar.cast(DType::Float64).bytes()))),
        Kind::Complex => {
            let both = scalar.cast(DType::Complex128);
            let re = f64::from_ne_bytes(wide(&both.bytes()[..8]));
            let im = f64::from_ne_bytes(wide(&both.bytes()[8..]));
            format!("({re:?}{im:+?}j)")
        }
    }
}

/// In place: `out op= b`, computed in the promoted dtype and stored in that of `out`. `b` may overlap
/// `out`. When an element faults, `out` is as before.
pub fn binary_into(op: Binary, out: &Tensor, b: Arg) -> Result<()> {
    let row = &BINARY[op as usize];
    let describe = |call: &mut trace::Call| describe(call, Arg::Tensor(out), b);
    trace::operation(row.name, describe, || binary_into_untraced(op, out, b))
}

fn binary_into_untraced(op: Binary, out: &Tensor, b: Arg) -> Result<()> {
    let row = &BINARY[op as usize];
    out.check_writable(row.name)?;
    if is_straight(row, out.dtype(), 3, out.size())
        && out.is_plain()
        && out.dtype() == b.dtype()
        && result_dtype(row, out.dtype()) == out.dtype()
        && row.fault == Fault::None
    {
        let straight = match &b {
            Arg::Scalar(scalar) => Some((scalar.as_ptr(), Form::VectorScalar)),
            Arg::Tensor(y) => {
                let fits = y.is_plain() && y.has_shape_of(out);
                let apart = y.data() == out.data() || !y.may_overlap(out);
                (fits && apart).then(|| (y.data().cast_const(), Form::VectorVector))
            }
        };
        if let Some((y, form)) = straight
            && let Some(kernel) = kernels::binary(op, out.dtype(), form)
        {
            // SAFETY: contiguous and aligned, of the kernel's dtypes and one size except for a scalar
            // in its form; the output is exactly an operand or apart from it.
            unsafe { kernel(out.data(), out.data(), y, out.size()) };
            return Ok(());
        }
    }
    let (compute, result) = compute_dtype(row, out.dtype(), b.dtype())?;
    check_storable(row.name, result, out.dtype())?;
    if layout::broadcast_strides(b.shape(), b.shape(), out.shape()).is_none() {
        let (a, b) = (layout::show(b.shape()), layout::show(out.shape()));
        return Err(Error::BroadcastTo { op: row.name, a, b });
    }
    if out.size() == 0 {
        return Ok(());
    }
    if row.fault != Fault::None {
        match b {
            // Whether an element faults is decided by the second operand alone.
            Arg::Scalar(scalar) => {
                let one = Scalar::from_bool(true);
                check_scalar(op, compute, one, scalar, out.shape())?;
            }
            Arg::Tensor(_) if compute.is_integer() || row.fault == Fault::Exponent => {
                let computed = binary(op, Arg::Tensor(out), b)?;
                return copy::copy_into(row.name, out, Arg::Tensor(&computed));
            }
            Arg::Tensor(_) => {}
        }
    }
    if let Arg::Tensor(tensor) = b
        && tensor.may_overlap(out)
        && !tensor.is_same_view(out)
    {
        let copied = copy::copy(tensor)?;
        return binary_planned(op, compute, result, out, Arg::Tensor(out), Arg::Tensor(&copied));
    }
    binary_planned(op, compute, result, out, Arg::Tensor(out), b)
}

/// Fails where a scalar second operand makes every element fault.
fn check_scalar(op: Binary, compute: DType, a: Scalar, b: Scalar, shape: &[i64]) -> Result<()> {
    let row = &BINARY[op as usize];
    let kernel =
        kernels::binary(op, compute, Form::VectorVector).ok_or_else(|| no_kernel(row.name, compute))?;
    let (a, b) = (a.cast(compute), b.cast(compute));
    let mut out = 0u128;
    // SAFETY: one element each, aligned to 16 bytes.
    let ended = unsafe { kernel((&raw mut out).cast(), a.as_ptr(), b.as_ptr(), 1) };
    if ended == 1 { Ok(()) } else { Err(fault_error(row, shape, 0, compute, &Arg::Scalar(b))) }
}
