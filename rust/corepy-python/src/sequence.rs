//! Nested sequences and Python scalars as tensors, read in one pass.

use crate::argument::{show_integer, type_name};
use crate::enter::{enter, error};
use crate::exit::{Reading, leave_if_over};
use crate::functions::convert::{existing, is_scalar};
use crate::tensor::PyTensor;
use corepy_runtime::layout::{self, MAX_AXES};
use corepy_runtime::scheduler::fp_state;
use corepy_runtime::{DType, Error, Kind, Tensor, dtype, ops};
use num_complex::Complex64;
use pyo3::exceptions::{PyException, PyIndexError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyComplex, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use std::ffi::c_int;

/// Elements between two looks at signals: about a millisecond of reading.
const POLL: usize = 1 << 16;

/// Elements read so far, in the widest dtype of their kind.
enum Values {
    Bool(Vec<u8>),
    Int(Vec<i64>),
    Uint(Vec<u64>),
    Float(Vec<f64>),
    Complex(Vec<Complex64>),
}

/// A Python number.
enum Number<'a, 'py> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    /// An int beyond 64 bits.
    Huge(&'a Bound<'py, PyAny>),
    Float(f64),
    Complex(Complex64),
}

impl Number<'_, '_> {
    fn is_true(&self) -> bool {
        match self {
            Number::Bool(v) => *v,
            Number::Int(v) => *v != 0,
            Number::Uint(_) | Number::Huge(_) => true,
            Number::Float(v) => *v != 0.0,
            Number::Complex(v) => v.re != 0.0 || v.im != 0.0,
        }
    }
}

/// Reads one object. Sizes are fixed on the way down to the first element; every element after it is
/// counted against them, so that sequences that change meanwhile are found and never overrun.
pub struct Reader<'py> {
    py: Python<'py>,
    op: &'static str,
    /// The dtype that the caller asked for.
    asked: Option<DType>,
    /// The dtype asked for, or that of all elements so far.
    dtype: Option<DType>,
    shape: Vec<i64>,
    /// Whether the number of axes is known.
    fixed: bool,
    /// Where the element being read is.
    place: Vec<usize>,
    values: Values,
    since_poll: usize,
}

/// CPython's accessor of a list's or a tuple's item: a borrowed reference, or null with IndexError.
type GetItem = unsafe extern "C" fn(*mut ffi::PyObject, ffi::Py_ssize_t) -> *mut ffi::PyObject;

impl Values {
    fn new(kind: Kind) -> Values {
        match kind {
            Kind::Bool => Values::Bool(Vec::new()),
            Kind::Signed => Values::Int(Vec::new()),
            Kind::Unsigned => Values::Uint(Vec::new()),
            Kind::Floating => Values::Float(Vec::new()),
            Kind::Complex => Values::Complex(Vec::new()),
        }
    }

    fn dtype(&self) -> DType {
        match self {
            Values::Bool(_) => DType::Bool,
            Values::Int(_) => DType::Int64,
            Values::Uint(_) => DType::Uint64,
            Values::Float(_) => DType::Float64,
            Values::Complex(_) => DType::Complex128,
        }
    }

    fn len(&self) -> usize {
        match self {
            Values::Bool(v) => v.len(),
            Values::Int(v) => v.len(),
            Values::Uint(v) => v.len(),
            Values::Float(v) => v.len(),
            Values::Complex(v) => v.len(),
        }
    }

    fn as_ptr(&self) -> *const u8 {
        match self {
            Values::Bool(v) => v.as_ptr(),
            Values::Int(v) => v.as_ptr().cast(),
            Values::Uint(v) => v.as_ptr().cast(),
            Values::Float(v) => v.as_ptr().cast(),
            Values::Complex(v) => v.as_ptr().cast(),
        }
    }

    /// Room for more elements; false where there is no memory.
    fn reserve(&mut self, n: usize) -> bool {
        match self {
            Values::Bool(v) => v.try_reserve(n).is_ok(),
            Values::Int(v) => v.try_reserve(n).is_ok(),
            Values::Uint(v) => v.try_reserve(n).is_ok(),
            Values::Float(v) => v.try_reserve(n).is_ok(),
            Values::Complex(v) => v.try_reserve(n).is_ok(),
        }
    }

    /// The elements in the widest dtype of a more general kind; false where there is no memory.
    fn widen(&mut self, kind: Kind) -> bool {
        /// The elements of one vector in another.
        fn all<A: Copy, B>(from: &[A], make: impl Fn(A) -> B) -> Option<Vec<B>> {
            let mut to = Vec::new();
            to.try_reserve(from.len()).ok()?;
            let _state = fp_state::Guard::new();
            to.extend(from.iter().map(|&v| make(v)));
            Some(to)
        }
        let wide = match (&*self, kind) {
            (Values::Bool(v), Kind::Signed) => all(v, i64::from).map(Values::Int),
            (Values::Bool(v), Kind::Unsigned) => all(v, u64::from).map(Values::Uint),
            (Values::Bool(v), Kind::Floating) => all(v, f64::from).map(Values::Float),
            (Values::Bool(v), Kind::Complex) => {
                all(v, |x| Complex64::new(x as f64, 0.0)).map(Values::Complex)
            }
            // Unsigned and signed dtypes meet in a signed one only below 64 bits.
            (Values::Uint(v), Kind::Signed) => all(v, |x| x as i64).map(Values::Int),
            (Values::Uint(v), Kind::Floating) => all(v, |x| x as f64).map(Values::Float),
            (Values::Uint(v), Kind::Complex) => {
                all(v, |x| Complex64::new(x as f64, 0.0)).map(Values::Complex)
            }
            (Values::Int(v), Kind::Floating) => all(v, |x| x as f64).map(Values::Float),
            (Values::Int(v), Kind::Complex) => all(v, |x| Complex64::new(x as f64, 0.0)).map(Values::Complex),
            (Values::Float(v), Kind::Complex) => all(v, |x| Complex64::new(x, 0.0)).map(Values::Complex),
            _ => return true,
        };
        match wide {
            Some(wide) => {
                *self = wide;
                true
            }
            None => false,
        }
    }
}

/// Lowest and highest value of an integer dtype.
fn bounds(dtype: DType) -> (i128, i128) {
    let bits = 8 * dtype.itemsize() as u32;
    match dtype.kind() {
        Kind::Signed => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
        _ => (0, (1 << bits) - 1),
    }
}

impl<'py> Reader<'py> {
    pub fn new(py: Python<'py>, op: &'static str, asked: Option<DType>) -> Reader<'py> {
        let values = Values::new(asked.map_or(Kind::Bool, DType::kind));
        let (shape, place) = (Vec::new(), Vec::new());
        Reader { py, op, asked, dtype: asked, shape, fixed: false, place, values, since_poll: 0 }
    }

    /// The tensor of a scalar or of nested sequences.
    pub fn read(mut self, object: &Bound<'py, PyAny>) -> PyResult<Tensor> {
        let (py, op) = (self.py, self.op);
        let reading = Reading::new(py);
        self.element(object)?;
        drop(reading);
        let held = self.values.dtype();
        let dtype = self.dtype.unwrap_or(DType::Float64);
        let stored = if self.values.len() == 0 { dtype } else { held };
        let out = Tensor::empty(op, &self.shape, stored).map_err(|e| error(py, e))?;
        if out.size() != self.values.len() {
            return Err(self.changed());
        }
        let bytes = out.size() * out.itemsize();
        let values = &self.values;
        enter(py, bytes, || {
            // SAFETY: as many elements of the same size as the new tensor has; both are private.
            unsafe { ops::copy::copy_bytes(out.data(), values.as_ptr(), bytes) }?;
            if stored == dtype { Ok(out) } else { ops::copy::astype(&out, dtype, op) }
        })
    }

    fn element(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        self.poll(1)?;
        if is_scalar(object) {
            self.leaf(object, &[])?;
            return self.scalar(object);
        }
        if !object.is_exact_instance_of::<PyList>()
            && !object.is_exact_instance_of::<PyTuple>()
            && let Some(tensor) = existing(self.op, object, None)?
        {
            self.leaf(object, tensor.shape())?;
            return self.tensor(&tensor);
        }
        if is_sequence(object)? {
            return self.sequence(object);
        }
        let class = type_name(object);
        let op = self.op;
        Err(self.error(if self.place.is_empty() {
            Error::NoNumbers { op, class }
        } else {
            Error::NoNumber { op, place: self.show_place(), class, shown: shown_text(object) }
        }))
    }

    /// Checks the shape of what lies at the current place, which ends the axes of sequences.
    fn leaf(&mut self, object: &Bound<'py, PyAny>, shape: &[i64]) -> PyResult<()> {
        let depth = self.place.len();
        if !self.fixed {
            self.shape.extend_from_slice(shape);
            self.fixed = true;
            if self.shape.len() > MAX_AXES {
                return Err(error(self.py, Error::TooManyAxes { op: self.op, ndim: self.shape.len() }));
            }
        } else if self.shape[depth.min(self.shape.len())..] != *shape || depth > self.shape.len() {
            return Err(self.ragged(object));
        }
        Ok(())
    }

    fn sequence(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        let depth = self.place.len();
        let n = object.len()?;
        if depth == MAX_AXES {
            return Err(self.error(Error::NestedTooDeep { op: self.op }));
        }
        if self.fixed || depth < self.shape.len() {
            if self.shape.get(depth) != Some(&(n as i64)) {
                return Err(self.ragged(object));
            }
        } else {
            self.shape.push(n as i64);
            self.fixed = n == 0;
        }
        let get: Option<GetItem> = if object.is_instance_of::<PyList>() {
            Some(ffi::PyList_GetItem)
        } else if object.is_instance_of::<PyTuple>() {
            Some(ffi::PyTuple_GetItem)
        } else {
            None
        };
        let mut i = 0;
        while i < n {
            if let Some(get) = get
                && self.fixed
                && depth + 1 == self.shape.len()
            {
                let end = n.min(i + POLL);
                if !self.values.reserve(end - i) {
                    return Err(self.out_of_memory());
                }
                let read = self.run(object, get, i, end);
                i += read;
                if read > 0 {
                    self.poll(read)?;
                    continue;
                }
            }
            let item = match get {
                // SAFETY: the GIL is held; a borrowed reference, made an own one before anything runs.
                Some(get) => unsafe {
                    Bound::from_borrowed_ptr_or_opt(self.py, get(object.as_ptr(), i as isize))
                },
                None => match object.get_item(i) {
                    Err(e) if e.is_instance_of::<PyIndexError>(self.py) => return Err(self.changed()),
                    item => Some(item?),
                },
            };
            let Some(item) = item else {
                // Clears the IndexError, in whose place comes one that says more.
                drop(PyErr::take(self.py));
                return Err(self.changed());
            };
            self.place.push(i);
            self.element(&item)?;
            self.place.pop();
            i += 1;
        }
        Ok(())
    }

    /// Reads items as long as they are of the one type that needs no thought. Returns how many. No
    /// Python code runs here, so that borrowed references stay valid.
    fn run(&mut self, sequence: &Bound<'py, PyAny>, get: GetItem, first: usize, end: usize) -> usize {
        // Large integers round when they become floats.
        let _state = fp_state::Guard::new();
        let sequence = sequence.as_ptr();
        let float = &raw mut ffi::PyFloat_Type;
        let long = &raw mut ffi::PyLong_Type;
        // SAFETY: the GIL is held.
        let truth = unsafe { ffi::Py_True() };
        // SAFETY: as above.
        let falsehood = unsafe { ffi::Py_False() };
        let item = |i: usize| {
            // SAFETY: the GIL is held; null past the end.
            let item = unsafe { get(sequence, i as ffi::Py_ssize_t) };
            if item.is_null() {
                // SAFETY: clears the IndexError; the caller finds the end by itself.
                unsafe { ffi::PyErr_Clear() };
                return None;
            }
            // SAFETY: an object is alive as long as its container, and no code runs meanwhile.
            Some((item, unsafe { ffi::Py_TYPE(item) }))
        };
        let integer = |item| {
            let mut overflow: c_int = 0;
            // SAFETY: an exact int; overflow is reported without an exception.
            let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(item, &mut overflow) };
            (overflow == 0).then_some(value)
        };
        let mut i = first;
        match &mut self.values {
            Values::Float(values) if self.asked.is_some() || self.dtype == Some(DType::Float64) => {
                while i < end
                    && let Some((item, class)) = item(i)
                {
                    if class == float {
                        // SAFETY: an exact float.
                        values.push(unsafe { ffi::PyFloat_AsDouble(item) });
                    } else if class == long
                        && let Some(value) = integer(item)
                    {
                        values.push(value as f64);
                    } else {
                        break;
                    }
                    i += 1;
                }
            }
            Values::Int(values) if self.asked.is_some() || self.dtype == Some(DType::Int64) => {
                let (low, high) = bounds(self.asked.unwrap_or(DType::Int64));
                let range = low as i64..=high as i64;
                while i < end
                    && let Some((item, class)) = item(i)
                    && class == long
                    && let Some(value) = integer(item)
                    && range.contains(&value)
                {
                    values.push(value);
                    i += 1;
                }
            }
            Values::Uint(values) if self.asked.is_some() => {
                let high = bounds(self.asked.unwrap_or(DType::Uint64)).1.min(i64::MAX as i128) as i64;
                while i < end
                    && let Some((item, class)) = item(i)
                    && class == long
                    && let Some(value) = integer(item)
                    && (0..=high).contains(&value)
                {
                    values.push(value as u64);
                    i += 1;
                }
            }
            Values::Bool(values) if self.dtype == Some(DType::Bool) => {
                while i < end
                    && let Some((item, _)) = item(i)
                    && (item == truth || item == falsehood)
                {
                    values.push((item == truth) as u8);
                    i += 1;
                }
            }
            _ => {}
        }
        i - first
    }

    fn scalar(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        let number = if let Ok(value) = object.cast::<PyBool>() {
            Number::Bool(value.is_true())
        } else if let Ok(value) = object.cast::<PyFloat>() {
            Number::Float(value.value())
        } else if object.is_instance_of::<PyInt>() {
            if let Ok(value) = object.extract::<i64>() {
                Number::Int(value)
            } else if let Ok(value) = object.extract::<u64>() {
                Number::Uint(value)
            } else {
                Number::Huge(object)
            }
        } else {
            let value = object.cast::<PyComplex>()?;
            Number::Complex(Complex64::new(value.real(), value.imag()))
        };
        if self.asked.is_none() {
            let own = match &number {
                Number::Bool(_) => DType::Bool,
                Number::Int(_) => DType::Int64,
                Number::Uint(_) => DType::Uint64,
                Number::Huge(object) => {
                    let value = show_integer(object);
                    return Err(self.error(Error::NoIntegerDtype { op: self.op, value }));
                }
                Number::Float(_) => DType::Float64,
                Number::Complex(_) => DType::Complex128,
            };
            self.meet(own)?;
        }
        self.push(number)
    }

    /// Makes the elements so far and one of another dtype share a dtype.
    fn meet(&mut self, own: DType) -> PyResult<()> {
        let dtype = match self.dtype {
            Some(dtype) if dtype == own => return Ok(()),
            Some(dtype) => dtype::promote(dtype, own).ok_or_else(|| {
                error(self.py, Error::NoPromotion { op: self.op, a: dtype.name(), b: own.name() })
            })?,
            None => own,
        };
        self.dtype = Some(dtype);
        if self.values.widen(dtype.kind()) { Ok(()) } else { Err(self.out_of_memory()) }
    }

    /// Appends a number, converted as asked.
    fn push(&mut self, number: Number<'_, 'py>) -> PyResult<()> {
        if !self.values.reserve(1) {
            return Err(self.out_of_memory());
        }
        match (&mut self.values, &number) {
            (Values::Bool(values), _) => values.push(number.is_true() as u8),
            (Values::Complex(values), Number::Complex(value)) => values.push(*value),
            (Values::Float(_) | Values::Complex(_), _) => {
                let value = self.real(&number)?;
                match &mut self.values {
                    Values::Complex(values) => values.push(value.into()),
                    Values::Float(values) => values.push(value),
                    _ => {}
                }
            }
            (Values::Int(_) | Values::Uint(_), _) => {
                let value = self.integer(&number)?;
                match &mut self.values {
                    Values::Uint(values) => values.push(value as u64),
                    Values::Int(values) => values.push(value as i64),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// A number as a real one.
    fn real(&self, number: &Number<'_, 'py>) -> PyResult<f64> {
        let _state = fp_state::Guard::new();
        Ok(match number {
            Number::Bool(v) => f64::from(*v),
            Number::Int(v) => *v as f64,
            Number::Uint(v) => *v as f64,
            Number::Float(v) => *v,
            Number::Huge(object) => object.extract().map_err(|_| self.misfit(show_integer(object)))?,
            Number::Complex(_) => return Err(self.imaginary()),
        })
    }

    /// A number as an integer that the dtype holds. Floats go toward zero, as int() does it; where no
    /// integer is near, that is an error and not a wrong number.
    fn integer(&self, number: &Number<'_, 'py>) -> PyResult<i128> {
        let to = self.dtype.unwrap_or(DType::Int64);
        let value = match number {
            Number::Bool(v) => i128::from(*v),
            Number::Int(v) => i128::from(*v),
            Number::Uint(v) => i128::from(*v),
            Number::Huge(object) => return Err(self.misfit(show_integer(object))),
            Number::Float(v) if v.is_nan() => {
                return Err(self.error(Error::NanToInteger { op: self.op, dtype: to.name() }));
            }
            // Below 2**100 the conversion is exact; above, no dtype holds the value.
            Number::Float(v) if v.abs() < 1e30 => v.trunc() as i128,
            Number::Float(v) => return Err(self.misfit(format!("{v:e}"))),
            Number::Complex(_) => return Err(self.imaginary()),
        };
        let (low, high) = bounds(to);
        if (low..=high).contains(&value) { Ok(value) } else { Err(self.misfit(value.to_string())) }
    }

    /// Appends the elements of a tensor.
    fn tensor(&mut self, tensor: &Tensor) -> PyResult<()> {
        let op = self.op;
        if self.asked.is_none() {
            self.meet(tensor.dtype())?;
        }
        let to = self.dtype.unwrap_or(tensor.dtype());
        let wide = self.values.dtype();
        let n = tensor.size();
        self.poll(n)?;
        if !self.values.reserve(n) {
            return Err(self.out_of_memory());
        }
        let elements = enter(self.py, n.saturating_mul(wide.itemsize()), || {
            // To the dtype asked for first, so that there is one rounding.
            let asked = ops::copy::contiguous_as(tensor, to, op)?;
            ops::copy::contiguous_as(&asked, wide, op)
        })?;
        let py = self.py;
        macro_rules! append {
            ($values:expr) => {{
                let len = $values.len();
                let to = Room($values.spare_capacity_mut().as_mut_ptr().cast());
                let bytes = n * elements.itemsize();
                // SAFETY: n elements of the vector's type, into room that was reserved for them.
                enter(py, bytes, || unsafe { ops::copy::copy_bytes(to.at(), elements.data(), bytes) })?;
                // SAFETY: they are there.
                unsafe { $values.set_len(len + n) };
            }};
        }
        match &mut self.values {
            Values::Bool(values) => append!(values),
            Values::Int(values) => append!(values),
            Values::Uint(values) => append!(values),
            Values::Float(values) => append!(values),
            Values::Complex(values) => append!(values),
        }
        Ok(())
    }

    #[inline]
    fn poll(&mut self, read: usize) -> PyResult<()> {
        self.since_poll = self.since_poll.saturating_add(read);
        if self.since_poll >= POLL {
            self.since_poll = 0;
            leave_if_over(self.py);
            self.py.check_signals()?;
        }
        Ok(())
    }

    fn show_place(&self) -> String {
        self.place.iter().map(|i| format!("[{i}]")).collect()
    }

    fn ragged(&self, object: &Bound<'py, PyAny>) -> PyErr {
        let depth = self.place.len().min(self.shape.len());
        let expected = layout::show(&self.shape[depth..]);
        match self.shape_of(object) {
            Ok(found) => self.error(Error::Ragged { op: self.op, place: self.show_place(), found, expected }),
            Err(stopped) => stopped,
        }
    }

    /// The shape that an object seems to have, by its first elements.
    fn shape_of(&self, object: &Bound<'py, PyAny>) -> PyResult<String> {
        let mut shape = Vec::new();
        let mut current = object.clone();
        while shape.len() < MAX_AXES {
            if is_scalar(&current) {
                break;
            }
            if let Some(Some(tensor)) = unless_failed(self.py, existing(self.op, &current, None))? {
                shape.extend_from_slice(tensor.shape());
                break;
            }
            if unless_failed(self.py, is_sequence(&current))? != Some(true) {
                break;
            }
            shape.push(unless_failed(self.py, current.len())?.unwrap_or(0) as i64);
            let Some(first) = unless_failed(self.py, current.get_item(0))? else { break };
            current = first;
        }
        Ok(layout::show(&shape))
    }

    fn changed(&self) -> PyErr {
        self.error(Error::SequenceChanged { op: self.op })
    }

    fn error(&self, what: Error) -> PyErr {
        error(self.py, what)
    }

    /// The error for a number that the dtype does not hold.
    fn misfit(&self, value: String) -> PyErr {
        let dtype = self.dtype.unwrap_or(DType::Float64).name();
        self.error(Error::DoesNotFit { op: self.op, value, dtype })
    }

    fn imaginary(&self) -> PyErr {
        let to = self.dtype.unwrap_or(DType::Float64).name();
        error(self.py, Error::ComplexToReal { op: self.op, from: "complex", to })
    }

    fn out_of_memory(&self) -> PyErr {
        let dtype = self.values.dtype();
        let bytes = self.values.len().saturating_mul(2 * dtype.itemsize());
        let shape = layout::show(&self.shape);
        error(self.py, Error::OutOfMemory { op: self.op, bytes, shape, dtype: dtype.name() })
    }
}

/// Memory that a thread without the GIL writes to.
struct Room(*mut u8);

// SAFETY: an address; the vector that it belongs to waits until it is filled.
unsafe impl Sync for Room {}

impl Room {
    fn at(&self) -> *mut u8 {
        self.0
    }
}

/// What a text holds, for the end of a message: numbers read from a file are often still text.
fn shown_text(object: &Bound<'_, PyAny>) -> String {
    const LENGTH: usize = 40;
    let Ok(text) = object.cast::<PyString>().map(|text| text.to_string_lossy().into_owned()) else {
        return String::new();
    };
    let rest = if text.chars().nth(LENGTH).is_some() { "..." } else { "" };
    let start: String = text.chars().take(LENGTH).collect();
    let quoted =
        PyString::new(object.py(), &start).repr().map_or(start, |r| r.to_string_lossy().into_owned());
    format!(": {quoted}{rest}")
}

/// Whether an object has a length and items by number; text, whose items are text again, does not.
fn is_sequence(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        return Ok(true);
    }
    // SAFETY: the GIL is held and the object is alive.
    let indexed = unsafe { ffi::PySequence_Check(object.as_ptr()) != 0 };
    let other = object.is_instance_of::<PyString>()
        || object.is_instance_of::<PyDict>()
        || object.is_instance_of::<PyTensor>();
    if !indexed || other {
        return Ok(false);
    }
    match object.len() {
        Ok(_) => Ok(true),
        Err(none) if none.is_instance_of::<PyTypeError>(object.py()) => Ok(false),
        Err(raised) => Err(raised),
    }
}

/// What an object says that only a message needs; its own failures give None, but Ctrl-C and the like go on.
fn unless_failed<T>(py: Python<'_>, found: PyResult<T>) -> PyResult<Option<T>> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(failed) if failed.is_instance_of::<PyException>(py) => Ok(None),
        Err(stopped) => Err(stopped),
    }
}
