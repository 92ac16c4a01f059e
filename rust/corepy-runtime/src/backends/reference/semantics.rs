//! What each instruction computes, one value at a time: the definition, in integers and IEEE arithmetic.
//!
//! Arithmetic, rounding, logic and conversions share no code with the C++ kernels, so that each can be tested
//! against the other. No function of the C library is called but `fma`: a float is rounded on its bits.
//! Elementary functions are the kernels themselves, which have the same bits at every level.

use crate::generated::ops::{BINARY, Binary, Fault, ResultRule, UNARY, Unary};
use crate::kernels::{self, Form};
use crate::program::{Combine, Type, Value};
use half::{bf16, f16};

/// Why an elementwise operation has no result.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Refused {
    ZeroDivision,
    /// Of `pow`.
    Exponent(f64),
}

/// A float of type `ty` from a number that it holds exactly.
fn exact(ty: Type, value: f64) -> Value {
    if ty == Type::F32 { Value::single(value as f32) } else { Value::double(value) }
}

/// Computes in the operands' own type, rounding once.
fn rounded(ty: Type, a: Value, b: Value, single: fn(f32, f32) -> f32, double: fn(f64, f64) -> f64) -> Value {
    if ty == Type::F32 {
        Value::single(single(a.to_single(), b.to_single()))
    } else {
        Value::double(double(a.to_double(), b.to_double()))
    }
}

/// An elementwise operation of one operand.
pub fn unary(op: Unary, ty: Type, a: Value) -> Value {
    if ty.is_float() { unary_float(op, ty, a) } else { unary_integer(op, ty, a) }
}

fn unary_integer(op: Unary, ty: Type, a: Value) -> Value {
    let n = a.to_integer();
    match op {
        Unary::Negative => Value::integer(ty, -n),
        Unary::Abs => Value::integer(ty, n.abs()),
        Unary::Square => Value::integer(ty, n.wrapping_mul(n)),
        Unary::Sign => Value::integer(ty, n.signum()),
        Unary::Isnan | Unary::Isinf => Value::truth(false),
        Unary::Isfinite => Value::truth(true),
        Unary::BitwiseInvert if ty == Type::B1 => Value::truth(n == 0),
        Unary::BitwiseInvert => Value::new(ty, !a.bits()),
        Unary::Floor | Unary::Ceil | Unary::Trunc | Unary::Round => a,
        other => unary_kernel(other, ty, a),
    }
}

fn unary_float(op: Unary, ty: Type, a: Value) -> Value {
    let sign = 1 << (8 * ty.bytes() - 1);
    let x = a.to_double();
    match op {
        // Sign and magnitude are bits, of a NaN too.
        Unary::Negative => Value::new(ty, a.bits() ^ sign),
        Unary::Abs => Value::new(ty, a.bits() & !sign),
        Unary::Sqrt if ty == Type::F32 => Value::single(a.to_single().sqrt()),
        Unary::Sqrt => Value::double(x.sqrt()),
        Unary::Square => rounded(ty, a, a, |x, y| x * y, |x, y| x * y),
        Unary::Sign if x.is_nan() => a,
        Unary::Sign => exact(ty, f64::from(i8::from(x > 0.0) - i8::from(x < 0.0))),
        Unary::Floor => exact(ty, floor(x)),
        Unary::Ceil => exact(ty, -floor(-x)),
        Unary::Trunc => exact(ty, truncate(x)),
        Unary::Round => exact(ty, round(x)),
        Unary::Isnan => Value::truth(x.is_nan()),
        Unary::Isinf => Value::truth(x.is_infinite()),
        Unary::Isfinite => Value::truth(x.is_finite()),
        other => unary_kernel(other, ty, a),
    }
}

/// Without the bits below the binary point; the sign stays.
fn truncate(x: f64) -> f64 {
    let bits = x.to_bits();
    match (bits >> 52 & 0x7ff) as i64 - 1023 {
        ..0 => f64::from_bits(bits & 1 << 63),
        exponent @ 0..52 => f64::from_bits(bits & !((1 << (52 - exponent)) - 1)),
        // Whole, infinite or NaN.
        _ => x,
    }
}

fn floor(x: f64) -> f64 {
    let whole = truncate(x);
    if x < whole { whole - 1.0 } else { whole }
}

/// To the nearest whole number, ties to even.
fn round(x: f64) -> f64 {
    let whole = truncate(x);
    let rest = (x - whole).abs();
    let odd = truncate(whole / 2.0) * 2.0 != whole;
    if rest > 0.5 || rest == 0.5 && odd { whole + 1f64.copysign(x) } else { whole }
}

/// An elementwise operation of two operands.
pub fn binary(op: Binary, ty: Type, a: Value, b: Value) -> Result<Value, Refused> {
    if ty.is_float() { binary_float(op, ty, a, b) } else { binary_integer(op, ty, a, b) }
}

fn binary_integer(op: Binary, ty: Type, a: Value, b: Value) -> Result<Value, Refused> {
    let (m, n) = (a.to_integer(), b.to_integer());
    let width = 8 * ty.bytes() as i128;
    let integer = |value: i128| Value::integer(ty, value);
    Ok(match op {
        Binary::Add => integer(m + n),
        Binary::Subtract => integer(m - n),
        Binary::Multiply => integer(m.wrapping_mul(n)),
        Binary::FloorDivide | Binary::Remainder if n == 0 => return Err(Refused::ZeroDivision),
        Binary::FloorDivide => {
            let towards_zero = m / n;
            integer(towards_zero - i128::from(m % n != 0 && (m < 0) != (n < 0)))
        }
        Binary::Remainder => {
            let rest = m % n;
            integer(if rest != 0 && (rest < 0) != (n < 0) { rest + n } else { rest })
        }
        Binary::Minimum => integer(m.min(n)),
        Binary::Maximum => integer(m.max(n)),
        Binary::Equal => Value::truth(m == n),
        Binary::NotEqual => Value::truth(m != n),
        Binary::Less => Value::truth(m < n),
        Binary::LessEqual => Value::truth(m <= n),
        Binary::Greater => Value::truth(m > n),
        Binary::GreaterEqual => Value::truth(m >= n),
        Binary::BitwiseAnd => Value::new(ty, a.bits() & b.bits()),
        Binary::BitwiseOr => Value::new(ty, a.bits() | b.bits()),
        Binary::BitwiseXor => Value::new(ty, a.bits() ^ b.bits()),
        // A count outside of the width shifts everything out.
        Binary::BitwiseLeftShift if !(0..width).contains(&n) => integer(0),
        Binary::BitwiseLeftShift => Value::new(ty, a.bits() << n),
        Binary::BitwiseRightShift if !(0..width).contains(&n) => integer(if m < 0 { -1 } else { 0 }),
        Binary::BitwiseRightShift => integer(m >> n),
        other => return binary_kernel(other, ty, a, b),
    })
}

fn binary_float(op: Binary, ty: Type, a: Value, b: Value) -> Result<Value, Refused> {
    let (x, y) = (a.to_double(), b.to_double());
    Ok(match op {
        Binary::Add => rounded(ty, a, b, |x, y| x + y, |x, y| x + y),
        Binary::Subtract => rounded(ty, a, b, |x, y| x - y, |x, y| x - y),
        Binary::Multiply => rounded(ty, a, b, |x, y| x * y, |x, y| x * y),
        Binary::Divide => rounded(ty, a, b, |x, y| x / y, |x, y| x / y),
        Binary::FloorDivide => floor_divide(ty, a, b),
        Binary::Remainder => remainder(ty, a, b),
        Binary::Pow => return power(ty, a, b),
        Binary::Minimum | Binary::Maximum if x.is_nan() || y.is_nan() => exact(ty, f64::NAN),
        // Of two zeros the sign decides.
        Binary::Minimum => {
            if x < y || x == y && x.is_sign_negative() {
                a
            } else {
                b
            }
        }
        Binary::Maximum => {
            if x > y || x == y && x.is_sign_positive() {
                a
            } else {
                b
            }
        }
        Binary::Equal => Value::truth(x == y),
        Binary::NotEqual => Value::truth(x != y),
        Binary::Less => Value::truth(x < y),
        Binary::LessEqual => Value::truth(x <= y),
        Binary::Greater => Value::truth(x > y),
        Binary::GreaterEqual => Value::truth(x >= y),
        other => return binary_kernel(other, ty, a, b),
    })
}

/// |a| divided by |b|, both finite, b not 0: the whole quotient modulo 2**64, and the rest, exactly.
fn long_division(a: f64, b: f64) -> (u64, f64) {
    // The mantissa with its leading bit at 2**52, and the exponent of its last bit.
    let parts = |x: f64| {
        let bits = x.abs().to_bits();
        let (exponent, fraction) = ((bits >> 52) as i32, bits & ((1 << 52) - 1));
        let (mantissa, exponent) = if exponent == 0 { (fraction, 1) } else { (fraction | 1 << 52, exponent) };
        let shift = if mantissa == 0 { 0 } else { mantissa.leading_zeros() as i32 - 11 };
        (mantissa << shift, exponent - shift - 1075)
    };
    let ((mut rest, from), (divisor, to)) = (parts(a), parts(b));
    if a.abs() < b.abs() {
        return (0, a.abs());
    }
    // School division, one binary digit of the quotient at a time.
    let mut quotient = 0u64;
    for place in (to..=from).rev() {
        quotient = quotient << 1 | u64::from(rest >= divisor);
        rest -= if rest >= divisor { divisor } else { 0 };
        rest <<= u32::from(place > to);
    }
    // rest * 2**to, in two factors: the power alone may be subnormal.
    let high = to.max(-1022);
    let scaled = rest as f64 * f64::from_bits(((high + 1023) as u64) << 52);
    (quotient, if to < high { scaled * f64::from_bits(((to - high + 1023) as u64) << 52) } else { scaled })
}

/// The largest whole number that is not above a / b. Where the rounded quotient is so large that its type has
/// no room for a fraction and one bit more, it is the quotient itself.
fn floor_divide(ty: Type, a: Value, b: Value) -> Value {
    let ratio = rounded(ty, a, b, |x, y| x / y, |x, y| x / y);
    let (x, y, q) = (a.to_double(), b.to_double(), ratio.to_double());
    let large = if ty == Type::F32 { 24 } else { 53 };
    if q.is_nan() || q.abs() >= (1u64 << large) as f64 {
        return ratio;
    }
    // A finite number by an infinite one: 0, or just below it.
    let (whole, rest) = if y.is_infinite() { (0, x.abs()) } else { long_division(x, y) };
    if whole == 0 && (rest == 0.0 || (x < 0.0) == (y < 0.0)) {
        return exact(ty, 0f64.copysign(q));
    }
    let below = f64::from(u8::from(rest != 0.0));
    exact(ty, if (x < 0.0) == (y < 0.0) { whole as f64 } else { -(whole as f64) - below })
}

/// a - floor(a / b) * b with the sign of b: Python's `%`.
fn remainder(ty: Type, a: Value, b: Value) -> Value {
    let (x, y) = (a.to_double(), b.to_double());
    if !x.is_finite() || y.is_nan() || y == 0.0 {
        return exact(ty, f64::NAN);
    }
    let rest = if y.is_infinite() { x.abs() } else { long_division(x, y).1 };
    if rest == 0.0 {
        return exact(ty, 0f64.copysign(y));
    }
    let rest = exact(ty, rest.copysign(x));
    if (x < 0.0) == (y < 0.0) { rest } else { rounded(ty, rest, b, |x, y| x + y, |x, y| x + y) }
}

/// A whole exponent by binary powering from its lowest bit, or 0.5, or what the limits are.
fn power(ty: Type, a: Value, b: Value) -> Result<Value, Refused> {
    let (x, e) = (a.to_double(), b.to_double());
    let times = |a, b| rounded(ty, a, b, |x: f32, y| x * y, |x: f64, y| x * y);
    let one = exact(ty, 1.0);
    if e.is_nan() {
        return Ok(if x == 1.0 { one } else { exact(ty, f64::NAN) });
    }
    if e.is_infinite() {
        let size = x.abs();
        let grows = (size > 1.0) == (e > 0.0);
        let limit = if grows { f64::INFINITY } else { 0.0 };
        return Ok(exact(ty, if x.is_nan() || size == 1.0 { size } else { limit }));
    }
    if e == 0.5 {
        // Not sqrt: -0 gives +0, and -infinity +infinity.
        return Ok(if x == 0.0 {
            exact(ty, 0.0)
        } else if x == f64::NEG_INFINITY {
            exact(ty, f64::INFINITY)
        } else {
            unary_float(Unary::Sqrt, ty, a)
        });
    }
    if truncate(e) != e {
        return Err(Refused::Exponent(e));
    }
    // 2**63 takes every base but 0, 1 and -1 to 0 or infinity, and is even as all above it.
    let mut rest = e.abs().min((1u64 << 63) as f64) as u64;
    let (mut result, mut square) = (one, a);
    while rest != 0 {
        if rest & 1 == 1 {
            result = times(result, square);
        }
        rest >>= 1;
        if rest != 0 {
            square = times(square, square);
        }
    }
    Ok(if e < 0.0 { rounded(ty, one, result, |x, y| x / y, |x, y| x / y) } else { result })
}

/// `a * b + c`: floats are rounded once, integers wrap.
pub fn multiply_add(ty: Type, a: Value, b: Value, c: Value) -> Value {
    match ty {
        Type::F32 => Value::single(a.to_single().mul_add(b.to_single(), c.to_single())),
        Type::F64 => Value::double(a.to_double().mul_add(b.to_double(), c.to_double())),
        _ => Value::new(ty, a.bits().wrapping_mul(b.bits()).wrapping_add(c.bits())),
    }
}

/// A value converted to another type.
pub fn convert(to: Type, a: Value) -> Value {
    let from = a.ty();
    match (to, from.is_float()) {
        (Type::B1, true) => Value::truth(a.to_double() != 0.0),
        (Type::B1, false) => Value::truth(a.bits() != 0),
        (Type::F32, true) => {
            Value::single(if from == Type::F32 { a.to_single() } else { a.to_double() as f32 })
        }
        (Type::F64, true) => Value::double(a.to_double()),
        (Type::F32, false) if from.is_signed() => Value::single(a.to_integer() as i64 as f32),
        (Type::F32, false) => Value::single(a.bits() as f32),
        (Type::F64, false) if from.is_signed() => Value::double(a.to_integer() as i64 as f64),
        (Type::F64, false) => Value::double(a.bits() as f64),
        (_, true) => {
            // Truncates, saturates, and NaN gives 0.
            let (low, high) = to.range();
            Value::integer(to, (a.to_double() as i128).clamp(low, high))
        }
        (_, false) => Value::integer(to, a.to_integer()),
    }
}

/// An `f32` rounded to the values of a storage type.
pub fn round_to(storage: Type, a: Value) -> Value {
    match storage {
        Type::F16 => Value::single(f16::from_f32(a.to_single()).to_f32()),
        _ => Value::single(bf16::from_f32(a.to_single()).to_f32()),
    }
}

/// Two values folded into one. None of these operations refuses a value.
pub fn fold(op: Combine, ty: Type, a: Value, b: Value) -> Value {
    binary(op.binary(), ty, a, b).unwrap_or(a)
}

/// The value that changes nothing when it is folded.
pub fn identity(op: Combine, ty: Type) -> Value {
    match (op, ty) {
        (Combine::Add, _) if ty.is_float() => exact(ty, -0.0),
        (Combine::Mul, _) if ty.is_float() => exact(ty, 1.0),
        (Combine::Min, _) if ty.is_float() => exact(ty, f64::INFINITY),
        (Combine::Max, _) if ty.is_float() => exact(ty, f64::NEG_INFINITY),
        (Combine::Add | Combine::Or | Combine::Xor, _) => Value::new(ty, 0),
        (Combine::Mul, _) => Value::new(ty, 1),
        (Combine::And, _) => Value::new(ty, u64::MAX),
        (Combine::Min, _) => Value::integer(ty, ty.range().1),
        (Combine::Max, _) => Value::integer(ty, ty.range().0),
    }
}

/// What `scan` gives each slot of a block; absent lanes hold no value. The last slot has what `reduce` gives, once
/// the number of slots is a power of two.
pub fn scan(op: Combine, ty: Type, values: &[Option<Value>]) -> Vec<Value> {
    let wide = ty == Type::F32 && matches!(op, Combine::Add | Combine::Mul);
    let inner = if wide { Type::F64 } else { ty };
    let mut slots: Vec<Value> = values
        .iter()
        .map(|v| v.map_or(identity(op, inner), |v| if wide { convert(inner, v) } else { v }))
        .collect();
    slots.resize(slots.len().next_power_of_two(), identity(op, inner));
    let mut distance = 1;
    while distance < slots.len() {
        // All slots at once: from the last one down, so that none is read after it was written.
        for i in (distance..slots.len()).rev() {
            slots[i] = fold(op, inner, slots[i - distance], slots[i]);
        }
        distance *= 2;
    }
    if wide { slots.into_iter().map(|v| convert(ty, v)).collect() } else { slots }
}

/// Memory of one element for a kernel.
#[repr(align(8))]
struct Element([u8; 8]);

impl Element {
    fn of(value: Value) -> Element {
        let mut element = Element([0; 8]);
        value.store(value.ty(), &mut element.0);
        element
    }
}

/// The type of an operation's result.
fn result_type(rule: ResultRule, ty: Type) -> Type {
    if rule == ResultRule::Bool { Type::B1 } else { ty }
}

/// An operation that is defined by its kernel.
fn unary_kernel(op: Unary, ty: Type, a: Value) -> Value {
    // The verifier lets no instruction pass whose type the operation does not take.
    let Some(kernel) = kernels::unary(op, ty.dtype()) else { return a };
    let (mut result, a) = (Element([0; 8]), Element::of(a));
    // SAFETY: the kernel reads and writes one element of at most eight bytes, and both sides have eight, aligned.
    unsafe { kernel(result.0.as_mut_ptr(), a.0.as_ptr(), 1) };
    Value::load(result_type(UNARY[op as usize].result, ty), &result.0)
}

/// As `unary_kernel`.
fn binary_kernel(op: Binary, ty: Type, a: Value, b: Value) -> Result<Value, Refused> {
    let row = &BINARY[op as usize];
    let Some(kernel) = kernels::binary(op, ty.dtype(), Form::VectorVector) else { return Ok(a) };
    let (mut result, x, y) = (Element([0; 8]), Element::of(a), Element::of(b));
    // SAFETY: as in `unary_kernel`.
    let done = unsafe { kernel(result.0.as_mut_ptr(), x.0.as_ptr(), y.0.as_ptr(), 1) };
    match row.fault {
        Fault::None => {}
        _ if done == 1 => {}
        Fault::ZeroDivision => return Err(Refused::ZeroDivision),
        Fault::Exponent => return Err(Refused::Exponent(b.to_double())),
    }
    Ok(Value::load(result_type(row.result, ty), &result.0))
}
