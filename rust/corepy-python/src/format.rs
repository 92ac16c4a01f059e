//! repr, str and format of tensors, in the layout that NumPy prints arrays in.

use crate::argument::Argument;
use crate::decimal::{FloatColumn, Style, with_own_digits};
use crate::element::{self, Value};
use crate::enter::error;
use crate::functions::printing::{Options, options};
use crate::tensor::PyTensor;
use corepy_runtime::{DType, Error, Kind, Tensor, layout};
use pyo3::prelude::*;

/// What is shown of an axis: so many elements of its start and of its end.
#[derive(Clone, Copy)]
struct Shown {
    head: usize,
    tail: usize,
    dots: bool,
}

/// What is shown of every axis.
fn shown(shape: &[i64], size: usize, options: &Options) -> Vec<Shown> {
    let (edge, summarised) = (options.edgeitems, size > options.threshold);
    let both = edge.saturating_mul(2);
    let mut all: Vec<Shown> = shape
        .iter()
        .map(|&extent| match extent as usize {
            extent if summarised && extent > both => Shown { head: edge, tail: edge, dots: true },
            extent => Shown { head: extent, tail: 0, dots: false },
        })
        .collect();
    // With many axes the edges alone can be a million elements; those of a matrix always show.
    let most = options.threshold.saturating_mul(2).max(both.saturating_mul(both)).max(2000);
    let count = |all: &[Shown]| all.iter().fold(1usize, |n, s| n.saturating_mul(s.head + s.tail));
    for axis in 0..all.len() {
        if count(&all) <= most {
            break;
        }
        all[axis] = Shown { head: 1, tail: 0, dots: shape[axis] > 1 };
    }
    all
}

/// The elements that are shown, in the order in which they are.
fn collect(tensor: &Tensor, shown: &[Shown], axis: usize, at: *const u8, out: &mut Vec<Value>) {
    if axis == shown.len() {
        // SAFETY: the address of an element of the tensor.
        out.push(unsafe { element::read(at, tensor.dtype()) });
        return;
    }
    let (extent, stride) = (tensor.shape()[axis] as usize, tensor.strides()[axis]);
    let Shown { head, tail, .. } = shown[axis];
    for i in (0..head).chain(extent - tail..extent) {
        collect(tensor, shown, axis + 1, at.wrapping_offset((i as i64 * stride) as isize), out);
    }
}

/// Text of every value, padded to one width.
fn words(values: &[Value], dtype: DType, axes: usize, options: &Options) -> Vec<String> {
    let floats = |part: fn(&Value) -> f64, plus: bool| {
        let parts: Vec<f64> = values.iter().map(part).collect();
        let style = Style { precision: options.precision, suppress: options.suppress, plus };
        FloatColumn::new(&parts, dtype.real_part(), style).words()
    };
    let real = |value: &Value| match *value {
        Value::Float(v) | Value::Complex(v, _) => v,
        _ => 0.0,
    };
    let imaginary = |value: &Value| match *value {
        Value::Complex(_, v) => v,
        _ => 0.0,
    };
    match dtype.kind() {
        Kind::Floating => floats(real, false),
        Kind::Complex => {
            let parts = floats(real, false).into_iter().zip(floats(imaginary, true));
            parts
                .map(|(re, im)| {
                    let text = im.trim_end();
                    format!("{re}{text}j{}", " ".repeat(im.len() - text.len()))
                })
                .collect()
        }
        _ => {
            let texts: Vec<String> = values
                .iter()
                .map(|value| match *value {
                    // NumPy leaves room for the longer word always.
                    Value::Bool(true) if axes > 0 => " True".to_owned(),
                    Value::Bool(true) => "True".to_owned(),
                    Value::Bool(false) => "False".to_owned(),
                    Value::Int(v) => v.to_string(),
                    Value::Uint(v) => v.to_string(),
                    _ => String::new(),
                })
                .collect();
            let width = texts.iter().map(String::len).max().unwrap_or(0);
            texts.into_iter().map(|text| format!("{text:>width$}")).collect()
        }
    }
}

/// Writes words into nested brackets.
struct Writer<'a> {
    shown: &'a [Shown],
    words: std::vec::IntoIter<String>,
    separator: &'a str,
}

impl Writer<'_> {
    /// The text of the axes from one on, which starts `indent` columns in and ends before `width`.
    fn nested(&mut self, axis: usize, indent: usize, width: usize) -> String {
        let Some(&Shown { head, tail, dots }) = self.shown.get(axis) else {
            return self.words.next().unwrap_or_default();
        };
        if axis + 1 == self.shown.len() {
            return self.row(head, tail, dots, indent, width);
        }
        let blank_lines = "\n".repeat(self.shown.len() - axis - 1);
        let line_end = format!("{}{blank_lines}{}", self.separator.trim_end(), " ".repeat(indent));
        let mut parts: Vec<String> =
            (0..head).map(|_| self.nested(axis + 1, indent + 1, width.saturating_sub(1))).collect();
        if dots {
            parts.push("...".to_owned());
        }
        parts.extend((0..tail).map(|_| self.nested(axis + 1, indent + 1, width.saturating_sub(1))));
        format!("[{}]", parts.join(&line_end))
    }

    fn row(&mut self, head: usize, tail: usize, dots: bool, indent: usize, width: usize) -> String {
        let mut parts: Vec<String> = self.words.by_ref().take(head).collect();
        if dots {
            parts.push("...".to_owned());
        }
        parts.extend(self.words.by_ref().take(tail));
        let most = width.saturating_sub(self.separator.trim_end().len().max(1));
        let start = " ".repeat(indent);
        let (mut text, mut line) = (String::new(), start.clone());
        let last = parts.len().saturating_sub(1);
        for (i, part) in parts.iter().enumerate() {
            if line.len() + part.len() > most && line.len() > indent {
                text += line.trim_end();
                text.push('\n');
                line.clone_from(&start);
            }
            line += part;
            if i < last {
                line += self.separator;
            }
        }
        text += &line;
        format!("[{}]", &text[indent..])
    }
}

/// Bytes that the text of an element takes while it is made: its parts, its word, its place in a line.
const TEXT_BYTES: usize = 512;

/// The elements in nested brackets, of which the first stands `prefix` columns in.
fn body(
    py: Python<'_>,
    tensor: &Tensor,
    separator: &str,
    prefix: usize,
    width: usize,
    options: &Options,
) -> PyResult<String> {
    if tensor.size() == 0 {
        return Ok("[]".to_owned());
    }
    let shown = shown(tensor.shape(), tensor.size(), options);
    let count = shown.iter().fold(1usize, |n, s| n.saturating_mul(s.head + s.tail));
    let mut values = Vec::new();
    // Options may ask for more than there is memory for. Texts, which cannot fail, come after this.
    let room = Vec::<[u8; TEXT_BYTES]>::new().try_reserve_exact(count);
    if room.is_err() || values.try_reserve_exact(count).is_err() {
        return Err(error(py, Error::PrintMemory { op: "repr", count }));
    }
    collect(tensor, &shown, 0, tensor.data(), &mut values);
    py.check_signals()?;
    let words = words(&values, tensor.dtype(), tensor.ndim(), options).into_iter();
    py.check_signals()?;
    Ok(Writer { shown: &shown, words, separator }.nested(0, prefix + 1, width))
}

/// The text of one number, as Python's own numbers have it: all digits that its dtype needs.
fn number<'py>(py: Python<'py>, value: Value, dtype: DType) -> PyResult<Bound<'py, PyAny>> {
    let own = |part| with_own_digits(part, dtype.real_part());
    match value {
        Value::Float(v) => Value::Float(own(v)),
        Value::Complex(re, im) => Value::Complex(own(re), own(im)),
        other => other,
    }
    .object(py)
}

#[pymethods]
impl PyTensor {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        const PREFIX: &str = "Tensor(";
        let (tensor, options) = (&self.0, options());
        let width = options.linewidth;
        let body = body(py, tensor, ", ", PREFIX.len(), width.saturating_sub(1), &options)?;
        let facts = format!("shape={}, dtype={})", layout::show(tensor.shape()), tensor.dtype().name());
        let text = format!("{PREFIX}{body},");
        let line = text.len() - text.rfind('\n').map_or(0, |end| end + 1);
        let gap = match line + 1 + facts.len() > width {
            true => format!("\n{}", " ".repeat(PREFIX.len())),
            false => " ".to_owned(),
        };
        Ok(format!("{text}{gap}{facts}"))
    }

    fn __str__(&self, py: Python<'_>) -> PyResult<String> {
        match element::only(&self.0) {
            Some(value) if self.0.ndim() == 0 => {
                Ok(number(py, value, self.0.dtype())?.str()?.to_string_lossy().into_owned())
            }
            _ => {
                let options = options();
                body(py, &self.0, " ", 0, options.linewidth, &options)
            }
        }
    }

    fn __format__(slf: &Bound<'_, Self>, py: Python<'_>, spec: Argument<String>) -> PyResult<String> {
        const OP: &str = "format";
        let spec = spec.read(py, OP, "spec")?;
        let tensor = &slf.get().0;
        if spec.is_empty() {
            return slf.get().__str__(py);
        }
        let Some(value) = element::only(tensor) else {
            let shape = layout::show(tensor.shape());
            return Err(error(py, Error::FormatSize { op: OP, spec, shape }));
        };
        value.object(py)?.call_method1("__format__", (spec,))?.extract()
    }
}
