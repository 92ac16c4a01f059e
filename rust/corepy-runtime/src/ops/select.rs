//! Elements of either of two operands by a condition.

use crate::dtype::DType;
use crate::error::Result;
use crate::kernels;
use crate::layout;
use crate::ops::iterate::{Layout, Plan};
use crate::ops::stage::{Access, Operand, accesses, execute};
use crate::ops::{Arg, common_dtype, empty_as};
use crate::scalar::Scalar;
use crate::scheduler::cost;
use crate::scheduler::tuning::Class;
use crate::tensor::Tensor;
use crate::trace;

/// Elements of `a` where `condition` is not zero, else of `b`, all three broadcast, in the dtype that
/// `a` and `b` promote to. Elements of that dtype keep all their bits.
pub fn where_(condition: &Tensor, a: Arg, b: Arg) -> Result<Tensor> {
    let describe = |call: &mut trace::Call| _ = call.operands([condition.into(), a, b]).stretches();
    trace::operation(OP, describe, || where_untraced(condition, a, b))
}

const OP: &str = "where";

fn where_untraced(condition: &Tensor, a: Arg, b: Arg) -> Result<Tensor> {
    let dtype = common_dtype(OP, a.dtype(), b.dtype())?;
    let both = layout::broadcast_shapes(OP, a.shape(), b.shape())?;
    let shape = layout::broadcast_shapes(OP, condition.shape(), &both)?;
    let out = empty_as(OP, &shape, dtype, &[Some(condition), a.tensor(), b.tensor()])?;
    let convert =
        |arg: Arg<'_>| if let Arg::Scalar(s) = arg { s.cast(dtype) } else { Scalar::from_bool(false) };
    let (scalar_a, scalar_b) = (convert(a), convert(b));
    let a = if a.tensor().is_some() { a } else { Arg::Scalar(scalar_a) };
    let b = if b.tensor().is_some() { b } else { Arg::Scalar(scalar_b) };

    let layouts = [Layout::of(&out), Layout::of(condition), a.layout(), b.layout()];
    let mut plan = Plan::new(&shape, layouts);
    let operands =
        [Operand::new(&out, dtype), Operand::new(condition, DType::Bool), a.operand(dtype), b.operand(dtype)];
    let access = accesses(&plan, &operands, [false, false, true, true]);
    let step = |access| (access != Access::Single) as usize;
    let (a_step, b_step) = (step(access[2]), step(access[3]));
    let kernel = kernels::select(dtype);
    let ns = cost::element_ns(Class::Selection, dtype, 1 + 3 * dtype.itemsize(), out.size());
    plan.set_tile(cost::elements(ns, out.size()));
    trace::kernel("select");
    execute(&plan, &operands, &access, ns, &|[out, mask, a, b], n| {
        // SAFETY: execute gives n elements of each, one where the step is 0.
        unsafe { kernel(out, mask, a, b, n, a_step, b_step) };
        n
    })?;
    Ok(out)
}
