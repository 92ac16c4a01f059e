//! Floating-point numbers as decimal text: shortest digits that read back, and columns of one width.

use corepy_runtime::DType;
use half::{bf16, f16};

/// A column of numbers: each is text before its point, and text from the point on.
pub struct FloatColumn {
    parts: Vec<Parts>,
    before: usize,
    after: usize,
}

enum Parts {
    Finite { before: String, after: String },
    Other(&'static str),
}

/// How numbers become text.
#[derive(Clone, Copy)]
pub struct Style {
    /// Digits after the point at most.
    pub precision: usize,
    /// Small numbers and wide ranges do not lead to scientific notation.
    pub suppress: bool,
    /// Positive numbers have a sign too.
    pub plus: bool,
}

/// Decimal digits of a finite number, and the power of ten of the first.
struct Digits {
    digits: String,
    exponent: i32,
}

impl Digits {
    /// Of text as `{:e}` writes it.
    fn read(text: &str) -> Digits {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let digits = mantissa.chars().filter(|c| *c != '.').collect();
        Digits { digits, exponent: exponent.parse().unwrap_or(0) }
    }

    /// The shortest that read back as the number in its dtype; the nearest of them.
    fn shortest(value: f64, dtype: DType) -> Digits {
        let value = value.abs();
        let text = match dtype {
            DType::Float32 => format!("{:e}", value as f32),
            DType::Float16 | DType::Bfloat16 => short(value, dtype),
            _ => format!("{value:e}"),
        };
        let found = Digits::read(&text);
        // Half-way between two texts both may be right: the even one then, as IEEE 754 rounds.
        let even = Digits::rounded(value, found.digits.len() - 1);
        if even.reads_back(value, dtype) { even } else { found }
    }

    /// Correctly rounded to so many digits after the first.
    fn rounded(value: f64, fraction: usize) -> Digits {
        Digits::read(&format!("{:.fraction$e}", value.abs()))
    }

    fn value(&self) -> f64 {
        let (first, rest) = self.digits.split_at(1);
        format!("{first}.{rest}e{}", self.exponent).parse().unwrap_or(f64::NAN)
    }

    fn reads_back(&self, value: f64, dtype: DType) -> bool {
        match dtype {
            // Not by way of float64, which would round twice.
            DType::Float32 => {
                let (first, rest) = self.digits.split_at(1);
                format!("{first}.{rest}e{}", self.exponent).parse() == Ok(value as f32)
            }
            _ => rounded(self.value(), dtype) == value,
        }
    }
}

/// As `{:e}`, for dtypes that Rust has no formatting of: nine digits tell all apart.
fn short(value: f64, dtype: DType) -> String {
    // Both roundings are exact enough: no decimal of up to nine digits that is not the value itself
    // lies near the middle between two values of 11 or 8 bits.
    let reads_back = |text: &String| text.parse().is_ok_and(|read: f64| rounded(read, dtype) == value);
    let candidates = (0..9).flat_map(|n| {
        let nearest = format!("{value:.n$e}");
        // Above a power of two there is twice the room of below: the next text up may be the only one.
        let Digits { digits, exponent } = Digits::read(&nearest);
        let above = digits.parse::<u64>().map_or(0, |d| d + 1);
        [nearest, format!("{above}e{}", exponent - n as i32)]
    });
    let found = candidates.into_iter().find(reads_back);
    found.map_or_else(|| format!("{value:e}"), |text| format!("{:e}", text.parse().unwrap_or(value)))
}

/// A number rounded to a floating dtype.
fn rounded(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::Float32 => (value as f32).into(),
        DType::Float16 => f16::from_f64(value).to_f64(),
        DType::Bfloat16 => bf16::from_f64(value).to_f64(),
        _ => value,
    }
}

/// The float64 that prints with the digits that a number of a floating dtype has: 0.1 for the float32
/// next to it.
pub fn with_own_digits(value: f64, dtype: DType) -> f64 {
    if !value.is_finite() {
        return value;
    }
    Digits::shortest(value, dtype).value().copysign(value)
}

impl FloatColumn {
    pub fn new(values: &[f64], dtype: DType, style: Style) -> FloatColumn {
        let scientific = is_scientific(values, dtype, style.suppress);
        let fraction = if scientific { mantissa_fraction(values, dtype, style.precision) } else { 0 };
        let mut parts: Vec<Parts> = values
            .iter()
            .map(|&value| {
                if let Some(text) = not_finite(value, style.plus) {
                    return Parts::Other(text);
                }
                let sign = match (value.is_sign_negative(), style.plus) {
                    (true, _) => "-",
                    (false, true) => "+",
                    (false, false) => "",
                };
                if scientific {
                    scientific_parts(value, dtype, sign, fraction)
                } else {
                    positional_parts(value, dtype, sign, style.precision)
                }
            })
            .collect();
        if scientific {
            pad_exponents(&mut parts);
        }
        let finite = || {
            parts.iter().filter_map(|part| match part {
                Parts::Finite { before, after } => Some((before.len(), after.len())),
                Parts::Other(_) => None,
            })
        };
        let after = finite().map(|p| p.1).max().unwrap_or(0);
        let mut before = finite().map(|p| p.0).max().unwrap_or(0);
        for part in &parts {
            if let Parts::Other(text) = part {
                before = before.max(text.len().saturating_sub(after));
            }
        }
        FloatColumn { parts, before, after }
    }

    /// Text of every number, all of one width.
    pub fn words(self) -> Vec<String> {
        let (left, right) = (self.before, self.after);
        let width = left + right;
        self.parts
            .iter()
            .map(|part| match part {
                Parts::Finite { before, after } => format!("{before:>left$}{after:<right$}"),
                Parts::Other(text) => format!("{text:>width$}"),
            })
            .collect()
    }
}

/// NumPy's rule for scientific notation, computed in the dtype as NumPy does.
fn is_scientific(values: &[f64], dtype: DType, suppress: bool) -> bool {
    let sizes = || values.iter().map(|v| v.abs()).filter(|v| v.is_finite() && *v != 0.0);
    let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
    let too_high = match dtype {
        DType::Float16 | DType::Bfloat16 => 1e3,
        DType::Float32 => 1e6,
        _ => 1e8,
    };
    let wide = || low < rounded(1e-4, dtype) || rounded(high / low, dtype) > 1000.0;
    high > 0.0 && (high >= too_high || (!suppress && wide()))
}

fn not_finite(value: f64, plus: bool) -> Option<&'static str> {
    match (value.is_nan(), value.is_infinite(), value > 0.0, plus) {
        (true, _, _, false) => Some("nan"),
        (true, _, _, true) => Some("+nan"),
        (_, true, true, false) => Some("inf"),
        (_, true, true, true) => Some("+inf"),
        (_, true, false, _) => Some("-inf"),
        _ => None,
    }
}

/// Digits after the point that the mantissas of a column need: at most `precision`.
fn mantissa_fraction(values: &[f64], dtype: DType, precision: usize) -> usize {
    let needed = |&value: &f64| {
        let shortest = Digits::shortest(value, dtype);
        let all = match shortest.digits.len() - 1 > precision {
            true => Digits::rounded(value, precision).digits,
            false => shortest.digits,
        };
        all[1..].trim_end_matches('0').len()
    };
    values.iter().filter(|v| v.is_finite()).map(needed).max().unwrap_or(0)
}

/// One digit, `fraction` digits and the exponent. As NumPy does, a number of fewer digits shows further
/// ones of its exact value.
fn scientific_parts(value: f64, dtype: DType, sign: &str, fraction: usize) -> Parts {
    let shortest = Digits::shortest(value, dtype);
    let Digits { digits, exponent } = match shortest.digits.len() - 1 == fraction {
        true => shortest,
        false => Digits::rounded(value, fraction),
    };
    let direction = if exponent < 0 { '-' } else { '+' };
    let after = format!(".{}e{direction}{:02}", &digits[1..], exponent.abs());
    Parts::Finite { before: format!("{sign}{}", &digits[..1]), after }
}

/// Whole digits, and at most `precision` behind the point without zeros at the end.
fn positional_parts(value: f64, dtype: DType, sign: &str, precision: usize) -> Parts {
    let Digits { digits, exponent } = Digits::shortest(value, dtype);
    let fraction = (digits.len() as i64 - 1 - i64::from(exponent)).max(0) as usize;
    if fraction > precision {
        let text = format!("{:.precision$}", value.abs());
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let after = format!(".{}", fraction.trim_end_matches('0'));
        return Parts::Finite { before: format!("{sign}{whole}"), after };
    }
    // Below one: so many zeros stand between the point and the digits.
    if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        return Parts::Finite { before: format!("{sign}0"), after: format!(".{zeros}{digits}") };
    }
    let whole = exponent as usize + 1;
    let fraction = digits.get(whole..).unwrap_or("");
    let digits = &digits[..whole.min(digits.len())];
    Parts::Finite { before: format!("{sign}{digits:0<whole$}"), after: format!(".{fraction}") }
}

/// Gives all exponents as many digits.
fn pad_exponents(parts: &mut [Parts]) {
    let width = |part: &Parts| match part {
        Parts::Finite { after, .. } => after.split_once('e').map(|(_, power)| power.len() - 1),
        Parts::Other(_) => None,
    };
    let most = parts.iter().filter_map(width).max().unwrap_or(0);
    for part in parts {
        if let Parts::Finite { after, .. } = part
            && let Some((fraction, power)) = after.split_once('e')
        {
            let (sign, power) = power.split_at(1);
            *after = format!("{fraction}e{sign}{power:0>most$}");
        }
    }
}
