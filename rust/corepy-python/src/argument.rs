//! Arguments as Python gives them: read with errors that name the operation, and shown in messages.

use crate::enter::error;
use corepy_runtime::{DType, Error, layout};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyTuple};

/// Characters of a value that a message shows at most.
const SHOWN: usize = 80;

/// What a parameter takes, for messages, and which methods of an argument its conversion calls: what
/// those raise is the caller's own.
#[derive(Clone, Copy)]
pub struct Kind {
    expected: &'static str,
    methods: &'static [&'static str],
}

const INTEGER: Kind = Kind { expected: "an integer", methods: &["__index__"] };
const INTEGERS: Kind = Kind { expected: "integers", ..INTEGER };
const NUMBER: Kind = Kind { expected: "a number", methods: &["__float__", "__index__"] };

/// The kind of a parameter by its type.
pub trait Expected {
    const KIND: Kind;
}

impl Expected for bool {
    const KIND: Kind = Kind { expected: "a bool", methods: &[] };
}

impl Expected for Option<bool> {
    const KIND: Kind = Kind { expected: "a bool or None", methods: &[] };
}

impl Expected for i64 {
    const KIND: Kind = INTEGER;
}

impl Expected for Option<i64> {
    const KIND: Kind = Kind { expected: "an integer or None", ..INTEGER };
}

impl Expected for f64 {
    const KIND: Kind = NUMBER;
}

impl Expected for String {
    const KIND: Kind = Kind { expected: "a string", methods: &[] };
}

impl Expected for Option<String> {
    const KIND: Kind = Kind { expected: "a string or None", methods: &[] };
}

/// A converted argument, or why there is none. PyO3 converts arguments before the function runs, and
/// its errors name no operation; so this conversion never fails and `read` does in its place.
pub enum Argument<T> {
    Given(T),
    Refused { given: Py<PyAny>, why: PyErr },
}

impl<'a, 'py, T: FromPyObject<'a, 'py>> FromPyObject<'a, 'py> for Argument<T> {
    type Error = std::convert::Infallible;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Argument<T>, Self::Error> {
        Ok(object.extract().map_or_else(
            |why: T::Error| Argument::Refused { given: object.to_owned().unbind(), why: why.into() },
            Argument::Given,
        ))
    }
}

impl<T: Expected> Argument<T> {
    #[inline]
    pub fn read(self, py: Python<'_>, op: &'static str, argument: &'static str) -> PyResult<T> {
        match self {
            Argument::Given(value) => Ok(value),
            Argument::Refused { given, why } => Err(refused(op, argument, T::KIND, given.bind(py), why)),
        }
    }
}

/// The error for an argument that did not convert.
#[cold]
fn refused(
    op: &'static str,
    argument: &'static str,
    kind: Kind,
    given: &Bound<'_, PyAny>,
    why: PyErr,
) -> PyErr {
    let py = given.py();
    if why.is_instance_of::<PyOverflowError>(py) {
        let value = show_integer(given);
        return error(
            py,
            match kind.expected == NUMBER.expected {
                true => Error::DoesNotFit { op, value, dtype: DType::Float64.name() },
                false => Error::IntegerTooLarge { op, argument, value },
            },
        );
    }
    let class = given.get_type();
    let own = kind.methods.iter().any(|name| class.hasattr(*name).unwrap_or(false));
    if own || !why.is_instance_of::<PyTypeError>(py) {
        return why;
    }
    wrong_type(op, argument, kind.expected, given)
}

/// The error for an argument of a wrong type.
#[cold]
pub fn wrong_type(
    op: &'static str,
    argument: &'static str,
    expected: &'static str,
    given: &Bound<'_, PyAny>,
) -> PyErr {
    error(given.py(), Error::ArgumentType { op, argument, expected, given: type_name(given) })
}

/// As many values as the user's sequence has: memory that they do not fit is a MemoryError, where
/// Rust's own `collect` would end the process. `kind` is what they are, for its message.
pub fn collect<T>(
    py: Python<'_>,
    op: &'static str,
    kind: &'static str,
    values: impl Iterator<Item = PyResult<T>>,
) -> PyResult<Vec<T>> {
    let mut all = Vec::new();
    for value in values {
        if all.try_reserve(1).is_err() {
            let shape = layout::show(&[all.len() as i64 + 1]);
            let bytes = 2 * all.len() * size_of::<T>();
            return Err(error(py, Error::OutOfMemory { op, bytes, shape, dtype: kind }));
        }
        all.push(value?);
    }
    Ok(all)
}

/// One integer or a list or tuple of integers (a shape, axes).
pub fn read_integers(op: &'static str, what: &'static str, given: &Bound<'_, PyAny>) -> PyResult<Vec<i64>> {
    let integer =
        |item: Bound<'_, PyAny>| item.extract::<i64>().map_err(|why| refused(op, what, INTEGERS, &item, why));
    let py = given.py();
    if let Ok(sequence) = given.cast::<PyTuple>() {
        return collect(py, op, "int64", sequence.iter().map(integer));
    }
    if let Ok(sequence) = given.cast::<PyList>() {
        return collect(py, op, "int64", sequence.iter().map(integer));
    }
    Ok(vec![integer(given.clone())?])
}

/// Two integers: a version, a DLPack device.
pub fn pair(op: &'static str, argument: &'static str, given: &Bound<'_, PyAny>) -> PyResult<(i64, i64)> {
    given.extract::<(i64, i64)>().map_err(|why| {
        let py = given.py();
        if why.is_instance_of::<PyTypeError>(py)
            || why.is_instance_of::<PyValueError>(py)
            || why.is_instance_of::<PyOverflowError>(py)
        {
            let given = show(given);
            return error(py, Error::ArgumentType { op, argument, expected: "a pair of integers", given });
        }
        why
    })
}

/// Fails unless a device argument is None or "cpu".
pub fn check_device(op: &'static str, device: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    match device {
        Some(device) if !device.extract::<&str>().is_ok_and(|name| name == crate::tensor::DEVICE) => {
            Err(error(device.py(), Error::Device { op, given: show(device) }))
        }
        _ => Ok(()),
    }
}

/// Fails unless a stream argument is None.
pub fn check_stream(op: &'static str, stream: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    match stream {
        Some(stream) => Err(error(stream.py(), Error::Stream { op, given: show(stream) })),
        None => Ok(()),
    }
}

/// The name of an object's type as messages show it, without `builtins`.
pub fn type_name(object: &Bound<'_, PyAny>) -> String {
    object
        .get_type()
        .fully_qualified_name()
        .map_or_else(|_| "object".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// An object as messages show it; one that cannot say what it is, by its type.
pub fn show(object: &Bound<'_, PyAny>) -> String {
    // The text of an integer takes time in the square of its digits.
    if object.is_instance_of::<PyInt>() && !object.is_instance_of::<PyBool>() {
        return show_integer(object);
    }
    let Ok(text) = object.repr().map(|text| text.to_string_lossy().into_owned()) else {
        return format!("a {}", type_name(object));
    };
    shortened(text, SHOWN)
}

/// An integer, or what gives one by `__index__`, as messages show it.
pub fn show_integer(object: &Bound<'_, PyAny>) -> String {
    if let Ok(value) = object.extract::<i128>() {
        return value.to_string();
    }
    // A hexadecimal text takes time in proportion to the digits, a decimal one their square.
    let hex = object.py().import("builtins").and_then(|b| b.call_method1("hex", (object,)));
    let text = hex.and_then(|h| h.extract::<String>()).unwrap_or_else(|_| "an integer".to_owned());
    shortened(text, 40)
}

/// The text, or so many of its characters and an ellipsis.
fn shortened(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
