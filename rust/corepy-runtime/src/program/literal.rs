//! Immediates: numbers and truth values as they are written, and the values they stand for.

use super::value::{Type, Value};

/// A well-formed immediate. Its type is that of the instruction that it stands in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Literal(String);

impl Literal {
    /// The immediate of a text, or `None` where it is none: `7`, `-1`, `0xff`, `1.5`, `1e-3`, `0x1.8p3`,
    /// `inf`, `-inf`, `nan`, `true`, `false`.
    pub fn new(text: &str) -> Option<Literal> {
        let whole = matches!(text, "true" | "false") || length(text) == Some(text.len());
        whole.then(|| Literal(text.to_owned()))
    }

    pub fn truth(value: bool) -> Literal {
        Literal(value.to_string())
    }

    pub fn integer(value: i128) -> Literal {
        Literal(value.to_string())
    }

    /// A float, exactly: where its decimals would round another way to a narrower type than it does, in hexadecimal.
    pub fn float(value: f64) -> Literal {
        let decimals = format!("{value:?}");
        if value.is_finite() && decimals.parse().is_ok_and(|narrow: f32| narrow == value as f32) {
            return Literal(decimals);
        }
        if value.is_nan() {
            return Literal("nan".to_owned());
        }
        let sign = if value.is_sign_negative() { "-" } else { "" };
        if value.is_infinite() {
            return Literal(format!("{sign}inf"));
        }
        let bits = value.to_bits();
        let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
        Literal(match exponent {
            0 => format!("{sign}0x{fraction:x}p-1074"),
            _ => format!("{sign}0x{:x}p{}", fraction | 1 << 52, exponent - 1075),
        })
    }

    /// The value in the canonical text.
    pub(super) fn of(value: Value) -> Literal {
        Literal(value.to_string())
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// The value as a register type, or `None`: an integer must fit, a float takes the nearest value, `b1`
    /// takes only `true` and `false`.
    pub fn value(&self, ty: Type) -> Option<Value> {
        match ty {
            Type::B1 => self.0.parse().ok().map(Value::truth),
            Type::F32 => self.float_bits(24, 8).map(|bits| match bits {
                Bits::Decimal(text) => Some(Value::single(text.parse().ok()?)),
                Bits::Exact(bits) => Some(Value::new(ty, bits)),
            })?,
            Type::F64 => self.float_bits(53, 11).map(|bits| match bits {
                Bits::Decimal(text) => Some(Value::double(text.parse().ok()?)),
                Bits::Exact(bits) => Some(Value::new(ty, bits)),
            })?,
            _ => {
                let (low, high) = ty.range();
                self.whole().filter(|n| (low..=high).contains(n)).map(|n| Value::integer(ty, n))
            }
        }
    }

    /// The whole number that is written without a point or an exponent, where `i128` holds it.
    pub fn whole(&self) -> Option<i128> {
        let (negative, digits) = unsigned(&self.0);
        let size = match digits.strip_prefix("0x") {
            Some(hex) => i128::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        size.ok().map(|n| if negative { -n } else { n })
    }

    fn float_bits(&self, precision: u32, exponent_bits: u32) -> Option<Bits<'_>> {
        let (negative, digits) = unsigned(&self.0);
        match digits.strip_prefix("0x") {
            Some(hex) => Some(Bits::Exact(hexadecimal(negative, hex, precision, exponent_bits))),
            None if matches!(digits, "true" | "false") => None,
            None => Some(Bits::Decimal(&self.0)),
        }
    }
}

enum Bits<'a> {
    Decimal(&'a str),
    Exact(u64),
}

fn unsigned(text: &str) -> (bool, &str) {
    text.strip_prefix('-').map_or((false, text), |rest| (true, rest))
}

/// How many bytes at the start of `text` are a number, or `None` where there is none.
pub(super) fn length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let run = |from: usize, digit: fn(&u8) -> bool| bytes[from..].iter().take_while(|b| digit(b)).count();
    if bytes[at..].starts_with(b"inf") {
        return Some(at + 3);
    }
    if text.starts_with("nan") {
        return Some(3);
    }
    let hex = bytes[at..].starts_with(b"0x");
    let digit: fn(&u8) -> bool = if hex { u8::is_ascii_hexdigit } else { u8::is_ascii_digit };
    at += if hex { 2 } else { 0 };
    let mut part = run(at, digit);
    if part == 0 {
        return None;
    }
    at += part;
    if bytes.get(at) == Some(&b'.') {
        part = run(at + 1, digit);
        if part == 0 {
            return None;
        }
        at += 1 + part;
    }
    let marks: &[u8] = if hex { b"pP" } else { b"eE" };
    if bytes.get(at).is_some_and(|b| marks.contains(b)) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'-' | b'+')));
        part = run(at, u8::is_ascii_digit);
        if part == 0 {
            return None;
        }
        at += part;
    }
    Some(at)
}

/// The bits of the float nearest to a hexadecimal number `digits[.digits][p exponent]`, ties to even.
fn hexadecimal(negative: bool, text: &str, precision: u32, exponent_bits: u32) -> u64 {
    let (digits, power) = match text.split_once(['p', 'P']) {
        // An exponent beyond i64 has no digits that could bring the number back into range.
        Some((digits, power)) => {
            let overflow = if power.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
            (digits, power.parse().map_or(overflow, |p: i64| p.clamp(i64::MIN / 4, i64::MAX / 4)))
        }
        None => (text, 0),
    };
    let bias = (1i64 << (exponent_bits - 1)) - 1;
    let sign = u64::from(negative) << (precision - 1 + exponent_bits);
    let infinity = ((1u64 << exponent_bits) - 1) << (precision - 1);
    // mantissa * 2**exponent, with everything that is cut off folded into the last bit.
    let (mut mantissa, mut exponent, mut fraction) = (0u64, power, false);
    for c in digits.chars() {
        let Some(digit) = c.to_digit(16) else {
            fraction = true;
            continue;
        };
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            exponent -= if fraction { 4 } else { 0 };
        } else {
            mantissa |= u64::from(digit != 0);
            exponent += if fraction { 0 } else { 4 };
        }
    }
    if mantissa == 0 {
        return sign;
    }
    exponent -= i64::from(mantissa.leading_zeros());
    mantissa <<= mantissa.leading_zeros();
    let top = exponent + 63;
    if top > bias {
        return sign | infinity;
    }
    let subnormal = (1 - bias - top).max(0);
    let shift = i64::from(64 - precision) + subnormal;
    if shift > 64 {
        return sign;
    }
    let wide = u128::from(mantissa);
    let (kept, cut, half) = ((wide >> shift) as u64, wide & ((1 << shift) - 1), 1u128 << (shift - 1));
    let rounded = kept + u64::from(cut > half || cut == half && kept & 1 == 1);
    // The leading bit adds 1 to the exponent field; a carry of the rounding moves on into it, too.
    let field = if subnormal > 0 { 0 } else { (top + bias - 1) as u64 };
    sign | ((field << (precision - 1)) + rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(text: &str) -> u32 {
        Literal::new(text).unwrap().value(Type::F32).unwrap().bits() as u32
    }

    fn double(text: &str) -> u64 {
        Literal::new(text).unwrap().value(Type::F64).unwrap().bits()
    }

    #[test]
    fn hexadecimal_floats_round_once_to_nearest_even() {
        for (text, expected) in [
            ("0x1.8p3", 12.0f32),
            ("0x10", 16.0),
            ("-0x0p0", -0.0),
            ("0x1p-149", f32::from_bits(1)),
            ("0x1p-150", 0.0),
            ("0x1.000001p-150", f32::from_bits(1)),
            ("0x3p-150", f32::from_bits(2)),
            ("0x0.ffffffp-126", f32::from_bits(0x0080_0000)),
            ("0x1.fffffep127", f32::MAX),
            ("0x1.fffffefp127", f32::MAX),
            ("0x1.ffffffp127", f32::INFINITY),
            ("0x1.000001p0", 1.0),
            ("0x1.0000010000000000000000001p0", f32::from_bits(0x3f80_0001)),
            ("0x1.000003p0", f32::from_bits(0x3f80_0002)),
            ("0x1p99999999999999999999", f32::INFINITY),
            ("-0x1p-99999999999999999999", -0.0),
            ("0x100000000000000000000000000000000p-128", 1.0),
        ] {
            assert_eq!(single(text), expected.to_bits(), "{text}");
        }
        // Exactly between two f32, as a double; through decimals it would round the other way.
        let between = 1.0 + 2f64.powi(-24);
        assert_eq!(single(Literal::float(between).text()), 1.0f32.to_bits());
        for (value, text) in
            [(between, "0x10000010000000p-52"), (0.1, "0.1"), (-0.0, "-0.0"), (1e308, "1e308")]
        {
            assert_eq!(Literal::float(value).text(), text);
        }
    }

    #[test]
    fn every_float_reads_back_from_both_forms() {
        let mut state = 1u64;
        for i in 0..20_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = if i < 64 { 1 << i } else { state ^ state >> 29 };
            let value = f64::from_bits(bits);
            if value.is_nan() {
                continue;
            }
            assert_eq!(double(Literal::float(value).text()), bits, "{value:e}");
            assert_eq!(double(&Value::double(value).to_string()), bits, "{value:e}");
            let narrow = value as f32;
            assert_eq!(single(Literal::float(value).text()), narrow.to_bits(), "{value:e}");
            assert_eq!(single(&Value::single(narrow).to_string()), narrow.to_bits(), "{value:e}");
        }
    }

    #[test]
    fn what_is_a_number() {
        for text in ["7", "-1", "0xff", "1.5", "1e-3", "1E+3", "0x1.8p3", "inf", "-inf", "nan", "true", "-0"]
        {
            assert!(Literal::new(text).is_some(), "{text}");
        }
        for text in ["", "-", "+1", "1.", ".5", "0x", "0x.8", "1e", "0x1p", "-nan", "-true", "1_0", "i", "1 "]
        {
            assert!(Literal::new(text).is_none(), "{text}");
        }
        for (text, ty) in [
            ("128", Type::I8),
            ("-129", Type::I8),
            ("-1", Type::U64),
            ("0x10000", Type::U16),
            ("18446744073709551616", Type::U64),
            ("999999999999999999999999999999999999999999", Type::U64),
            ("1.0", Type::I32),
            ("1e3", Type::I32),
            ("inf", Type::I64),
            ("true", Type::I8),
            ("true", Type::F32),
            ("1", Type::B1),
        ] {
            assert_eq!(Literal::new(text).unwrap().value(ty), None, "{text} {ty:?}");
        }
        assert_eq!(Literal::new("-0x80").unwrap().value(Type::I8).unwrap().to_integer(), -128);
        assert_eq!(Literal::new("0xffffffffffffffff").unwrap().value(Type::U64).unwrap().bits(), u64::MAX);
        assert_eq!(Literal::new("1e400").unwrap().value(Type::F64).unwrap().to_double(), f64::INFINITY);
    }
}
