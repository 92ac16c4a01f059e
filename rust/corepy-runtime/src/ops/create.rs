//! New tensors from values: constants, diagonals, evenly spaced numbers.

use crate::dtype::{DType, Kind, NUMERIC};
use crate::error::{Error, Result};
use crate::kernels::{self, BLOCK};
use crate::layout;
use crate::memory::arena::with_arena;
use crate::ops::copy;
use crate::scalar::Scalar;
use crate::scheduler::tuning::Class;
use crate::scheduler::{self, Flow, cost};
use crate::tensor::Tensor;
use crate::trace;

/// A tensor of one value, which has the tensor's dtype.
pub fn full(op: &'static str, shape: &[i64], value: &Scalar) -> Result<Tensor> {
    trace::operation(
        op,
        |_| (),
        || {
            let out = Tensor::empty(op, shape, value.dtype())?;
            copy::fill(&out, value)?;
            Ok(out)
        },
    )
}

/// A tensor of zeros.
pub fn zeros(op: &'static str, shape: &[i64], dtype: DType) -> Result<Tensor> {
    full(op, shape, &Scalar::new(dtype, &[0; 16]))
}

/// Ones on the `k`-th diagonal of a matrix of zeros.
pub fn eye(rows: i64, columns: i64, k: i64, dtype: DType) -> Result<Tensor> {
    trace::operation("eye", |_| (), || eye_untraced(rows, columns, k, dtype))
}

fn eye_untraced(rows: i64, columns: i64, k: i64, dtype: DType) -> Result<Tensor> {
    let out = zeros("eye", &[rows, columns], dtype)?;
    let below = k.min(0).unsigned_abs();
    let right = k.max(0).unsigned_abs();
    let length = (rows as u64).saturating_sub(below).min((columns as u64).saturating_sub(right));
    if length > 0 {
        let itemsize = dtype.itemsize() as i64;
        // A diagonal inside the matrix starts inside it, so that nothing here overflows.
        let first = below as i64 * columns + right as i64;
        let diagonal = out.view(first * itemsize, &[length as i64], &[(columns + 1) * itemsize]);
        copy::fill(&diagonal, &Scalar::from_bool(true))?;
    }
    Ok(out)
}

/// An element source: writes elements `first .. first + n` in its dtype to aligned memory.
struct Source<F: Fn(i64, *mut u8, usize) + Sync> {
    dtype: DType,
    write: F,
}

/// Fills a new one-axis tensor from a source, converting where its dtype is another.
fn generate<F: Fn(i64, *mut u8, usize) + Sync>(out: &Tensor, source: &Source<F>) -> Result<()> {
    let (size, to) = (out.size(), out.dtype());
    let cast = kernels::cast(source.dtype, to);
    let data = Address(out.data());
    trace::path("runs");
    trace::kernel("ramp");
    let converting = if source.dtype == to { 0.0 } else { cost::cast_ns(source.dtype, to) };
    let ns = cost::element_ns(Class::Multiplication, source.dtype, to.itemsize(), size) + converting;
    let elements = cost::elements(ns, size).next_multiple_of(BLOCK);
    scheduler::run(size.div_ceil(elements), ns * size as f64, &|tile| {
        let data = &data;
        let begin = tile * elements;
        let end = size.min(begin.saturating_add(elements));
        if source.dtype == to {
            (source.write)(begin as i64, data.0.wrapping_add(begin * to.itemsize()), end - begin);
            return Flow::Continue;
        }
        with_arena(|arena| {
            let scratch = arena.scratch(BLOCK * source.dtype.itemsize());
            for at in (begin..end).step_by(BLOCK) {
                let n = BLOCK.min(end - at);
                (source.write)(at as i64, scratch.as_ptr(), n);
                // SAFETY: scratch holds n elements of the source; out has n from `at` on.
                unsafe { cast(data.0.add(at * to.itemsize()), scratch.as_ptr(), n) };
            }
        });
        Flow::Continue
    })
}

struct Address(*mut u8);
// SAFETY: tiles write disjoint parts of the tensor that the caller holds.
unsafe impl Sync for Address {}

/// An integer's value, or `None` for a scalar of another kind.
fn integer(scalar: &Scalar) -> Option<i128> {
    let mut bytes = [0; 8];
    match scalar.dtype().kind() {
        Kind::Unsigned => {
            bytes.copy_from_slice(scalar.cast(DType::Uint64).bytes());
            Some(u64::from_ne_bytes(bytes).into())
        }
        Kind::Bool | Kind::Signed => {
            bytes.copy_from_slice(scalar.cast(DType::Int64).bytes());
            Some(i64::from_ne_bytes(bytes).into())
        }
        _ => None,
    }
}

/// The real and imaginary parts.
fn parts(scalar: &Scalar) -> (f64, f64) {
    let wide = scalar.cast(DType::Complex128);
    let (mut re, mut im) = ([0; 8], [0; 8]);
    re.copy_from_slice(&wide.bytes()[..8]);
    im.copy_from_slice(&wide.bytes()[8..]);
    (f64::from_ne_bytes(re), f64::from_ne_bytes(im))
}

fn check_real(op: &'static str, scalars: &[&Scalar], to: DType) -> Result<()> {
    match scalars.iter().find(|s| s.dtype().kind() == Kind::Complex) {
        Some(s) => Err(Error::ComplexToReal { op, from: s.dtype().name(), to: to.name() }),
        None => Ok(()),
    }
}

/// `start + i * step` for every i for which it lies before `stop`. Integers are exact; anything else
/// is computed in float64. A dtype other than theirs is converted to.
pub fn arange(start: &Scalar, stop: &Scalar, step: &Scalar, dtype: DType) -> Result<Tensor> {
    trace::operation("arange", |_| (), || arange_untraced(start, stop, step, dtype))
}

fn arange_untraced(start: &Scalar, stop: &Scalar, step: &Scalar, dtype: DType) -> Result<Tensor> {
    const OP: &str = "arange";
    if dtype == DType::Bool {
        return Err(Error::DtypeRefused { op: OP, dtype: dtype.name(), accepted: NUMERIC.names });
    }
    let zero_step = || Error::ZeroStep { op: OP };
    if let (Some(first), Some(last), Some(by)) = (integer(start), integer(stop), integer(step)) {
        let span = last - first;
        let length = if by == 0 {
            return Err(zero_step());
        } else if (span > 0) != (by > 0) {
            0
        } else {
            // The magnitudes are below 2**65.
            (span.abs() + by.abs() - 1) / by.abs()
        };
        let out = Tensor::empty(OP, &[fit(length, dtype)?], dtype)?;
        let kernel = kernels::ramp_integer();
        let computed = match dtype {
            DType::Int64 | DType::Uint64 => dtype,
            _ if first.max(last) > i64::MAX.into() => DType::Uint64,
            _ => DType::Int64,
        };
        // The kernel wraps, as unsigned numbers from 2**63 on need.
        let (first, by) = (first as i64, by as i64);
        let source = Source {
            dtype: computed,
            // SAFETY: the caller gives room for n aligned elements of 8 bytes.
            write: |at, to: *mut u8, n| unsafe { kernel(to.cast(), first, by, at, n) },
        };
        generate(&out, &source)?;
        return Ok(out);
    }
    check_real(OP, &[start, stop, step], dtype)?;
    let (first, last, by) = (parts(start).0, parts(stop).0, parts(step).0);
    if by == 0.0 {
        return Err(zero_step());
    }
    let length = ((last - first) / by).ceil();
    if !length.is_finite() && length != f64::NEG_INFINITY {
        return Err(Error::RangeLength { op: OP, start: first, stop: last, step: by });
    }
    // The conversion saturates.
    let out = Tensor::empty(OP, &[fit(length as i128, dtype)?], dtype)?;
    let kernel = kernels::ramp_float();
    let source = Source {
        dtype: DType::Float64,
        // SAFETY: the caller gives room for n aligned float64.
        write: |at, to: *mut u8, n| unsafe { kernel(to.cast(), first, by, at, n) },
    };
    generate(&out, &source)?;
    Ok(out)
}

/// A length as an extent: not below 0, and an error where no tensor can be that long.
fn fit(length: i128, dtype: DType) -> Result<i64> {
    let length = length.max(0);
    i64::try_from(length).map_err(|_| Error::TooLarge {
        op: "arange",
        shape: format!("({length},)"),
        dtype: dtype.name(),
    })
}

/// `num` evenly spaced numbers from `start` to `stop`, which is the last one with `endpoint` and left
/// out without; computed in float64, part by part for complex ones.
pub fn linspace(start: &Scalar, stop: &Scalar, num: i64, dtype: DType, endpoint: bool) -> Result<Tensor> {
    trace::operation("linspace", |_| (), || linspace_untraced(start, stop, num, dtype, endpoint))
}

fn linspace_untraced(
    start: &Scalar,
    stop: &Scalar,
    num: i64,
    dtype: DType,
    endpoint: bool,
) -> Result<Tensor> {
    const OP: &str = "linspace";
    let complex = dtype.kind() == Kind::Complex;
    if !complex {
        check_real(OP, &[start, stop], dtype)?;
    }
    if num < 0 {
        return Err(Error::NegativeExtent { op: OP, shape: layout::show(&[num]) });
    }
    let out = Tensor::empty(OP, &[num], dtype)?;
    let intervals = (num - endpoint as i64).max(1) as f64;
    let step = |from: f64, to: f64| {
        let span = to - from;
        // The span of two finite numbers may overflow where the steps do not.
        if span.is_infinite() { to / intervals - from / intervals } else { span / intervals }
    };
    let ((re, im), (last_re, last_im)) = (parts(start), parts(stop));
    let (step_re, step_im) = (step(re, last_re), step(im, last_im));
    let kernel = kernels::ramp_float();
    if complex {
        let scatter = kernels::scatter(DType::Float64);
        let write = |at: i64, to: *mut u8, n: usize| {
            with_arena(|arena| {
                let part = arena.scratch(BLOCK * size_of::<f64>()).as_ptr();
                for done in (0..n).step_by(BLOCK) {
                    let count = BLOCK.min(n - done);
                    let first = at + done as i64;
                    // SAFETY: scratch holds a block of float64; `to` has room for n pairs of them.
                    unsafe {
                        let pairs = to.add(done * 2 * size_of::<f64>());
                        kernel(part.cast(), re, step_re, first, count);
                        scatter(pairs, part, count, 16);
                        kernel(part.cast(), im, step_im, first, count);
                        scatter(pairs.add(size_of::<f64>()), part, count, 16);
                    }
                }
            });
        };
        generate(&out, &Source { dtype: DType::Complex128, write })?;
    } else {
        // SAFETY: the caller gives room for n aligned float64.
        let write = |at, to: *mut u8, n| unsafe { kernel(to.cast(), re, step_re, at, n) };
        generate(&out, &Source { dtype: DType::Float64, write })?;
    }
    if endpoint && num > 1 {
        let itemsize = dtype.itemsize();
        let last = stop.cast(dtype);
        // SAFETY: the tensor has num > 1 elements.
        unsafe {
            let to = out.data().add((num as usize - 1) * itemsize);
            to.copy_from_nonoverlapping(last.as_ptr(), itemsize);
        }
    }
    Ok(out)
}
