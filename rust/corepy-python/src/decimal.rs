//! Floating-point numbers as columns of decimal text, shortest digits that read back the same.

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

/// The shortest decimal digits of a finite number that read back as it in its dtype, and the power of
/// ten of the first.
fn digits(value: f64, dtype: DType) -> (String, i32) {
    let text = match dtype {
        DType::Float32 => format!("{:e}", (value as f32).abs()),
        DType::Float16 | DType::Bfloat16 => short(value.abs(), dtype),
        _ => format!("{:e}", value.abs()),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    while digits.len() > 1 && digits.ends_with('0') {
        digits.pop();
    }
    (digits, exponent.parse().unwrap_or(0))
}

/// As `{:e}`, for dtypes that Rust has no formatting of: nine digits tell all apart.
fn short(value: f64, dtype: DType) -> String {
    // Both roundings are exact enough: no decimal of up to nine digits that is not the value itself
    // lies near the middle between two values of 11 or 8 bits.
    let reads_back = |text: &String| text.parse().is_ok_and(|read: f64| rounded(read, dtype) == value);
    (0..9).map(|n| format!("{value:.n$e}")).find(reads_back).unwrap_or_else(|| format!("{value:e}"))
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

impl FloatColumn {
    /// `plus`: positive numbers have a sign too.
    pub fn new(values: &[f64], dtype: DType, plus: bool) -> FloatColumn {
        let sizes = || values.iter().map(|v| v.abs()).filter(|v| v.is_finite() && *v != 0.0);
        let (low, high) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        // NumPy's rule for scientific notation, computed in the dtype as NumPy does.
        let too_high = match dtype {
            DType::Float16 | DType::Bfloat16 => 1e3,
            DType::Float32 => 1e6,
            _ => 1e8,
        };
        let scientific = high > 0.0
            && (high >= too_high || low < rounded(1e-4, dtype) || rounded(high / low, dtype) > 1000.0);
        let mut parts: Vec<Parts> =
            values.iter().map(|&value| Parts::new(value, dtype, plus, scientific)).collect();
        if scientific {
            pad_mantissas(&mut parts);
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

impl Parts {
    fn new(value: f64, dtype: DType, plus: bool, scientific: bool) -> Parts {
        match (value.is_nan(), value.is_infinite(), value > 0.0, plus) {
            (true, _, _, false) => return Parts::Other("nan"),
            (true, _, _, true) => return Parts::Other("+nan"),
            (_, true, true, false) => return Parts::Other("inf"),
            (_, true, true, true) => return Parts::Other("+inf"),
            (_, true, false, _) => return Parts::Other("-inf"),
            _ => {}
        }
        let sign = match (value.is_sign_negative(), plus) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        let (digits, exponent) = digits(value, dtype);
        if scientific {
            let direction = if exponent < 0 { '-' } else { '+' };
            let after = format!(".{}e{direction}{:02}", &digits[1..], exponent.abs());
            return Parts::Finite { before: format!("{sign}{}", &digits[..1]), after };
        }
        // Below zero: the number of zeros between the point and the digits.
        if exponent < 0 {
            let zeros = "0".repeat((-exponent - 1) as usize);
            return Parts::Finite { before: format!("{sign}0"), after: format!(".{zeros}{digits}") };
        }
        let whole = exponent as usize + 1;
        let fraction = digits.get(whole..).unwrap_or("");
        let digits = &digits[..whole.min(digits.len())];
        Parts::Finite { before: format!("{sign}{digits:0<whole$}"), after: format!(".{fraction}") }
    }
}

/// Gives all mantissas as many digits, and all exponents too.
fn pad_mantissas(parts: &mut [Parts]) {
    fn split(after: &str) -> Option<(&str, &str, &str)> {
        let (fraction, power) = after.split_once('e')?;
        Some((fraction, &power[..1], &power[1..]))
    }
    let widths = |part: &Parts| match part {
        Parts::Finite { after, .. } => split(after).map(|(f, _, p)| (f.len(), p.len())),
        Parts::Other(_) => None,
    };
    let fraction = parts.iter().filter_map(widths).map(|w| w.0).max().unwrap_or(0);
    let power = parts.iter().filter_map(widths).map(|w| w.1).max().unwrap_or(0);
    for part in parts {
        if let Parts::Finite { after, .. } = part
            && let Some((f, sign, p)) = split(after)
        {
            *after = format!("{f:0<fraction$}e{sign}{p:0>power$}");
        }
    }
}
