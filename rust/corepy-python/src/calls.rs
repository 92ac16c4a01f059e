//! How functions are called: errors about wrong numbers and names of arguments, in the catalogue's form and
//! with what to write instead of what NumPy or PyTorch would take.
//!
//! Each native function of the op table is entered through `explained`, which looks at a call only after it
//! has failed, so that calls that succeed pay one jump.

use crate::argument::show;
use crate::enter::{error, internal};
use crate::generated::calls::{ENTRIES, EXPLAINED};
use crate::tensor::PyTensor;
use corepy_runtime::Error;
use corepy_runtime::lock::Lock;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyCFunction, PyString, PyTuple, PyType};
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A function as Python calls it: self, the arguments, how many of them are positional, and the names of the
/// others (a tuple or null).
pub type Native = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    ffi::Py_ssize_t,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// What errors about calls of a function say: facts of the op table.
pub struct Call {
    pub op: &'static str,
    pub positional: &'static [Parameter],
    /// Name of a parameter that takes any number of positional arguments, or none.
    pub variadic: &'static str,
    /// What the last positional parameter gathers.
    pub gathers: Gathers,
    pub keywords: &'static [&'static str],
    /// Whether axis may be several axes.
    pub many_axes: bool,
    pub foreign: &'static [Foreign],
}

impl Call {
    /// The names of all parameters.
    fn parameters(&self) -> String {
        let variadic = Some(self.variadic).filter(|name| !name.is_empty());
        let positional = self.positional.iter().map(|p| p.name);
        listed(positional.chain(variadic).chain(self.keywords.iter().copied()))
    }
}

pub struct Parameter {
    pub name: &'static str,
    pub required: bool,
    /// Whether it cannot be given by name.
    pub only: bool,
}

#[derive(PartialEq)]
pub enum Gathers {
    Nothing,
    Integers,
    Tensors,
}

/// A keyword of others' functions.
pub struct Foreign {
    pub name: &'static str,
    pub instead: &'static str,
    /// A value beside None that asks for nothing.
    pub neutral: Option<i64>,
}

/// A function or method behind `explained`.
pub struct Entry {
    call: &'static Call,
    is_method: bool,
    /// The function itself, a `Native`.
    inner: AtomicPtr<()>,
}

impl Entry {
    pub const fn new(call: &'static Call, is_method: bool) -> Entry {
        Entry { call, is_method, inner: AtomicPtr::new(std::ptr::null_mut()) }
    }
}

/// Calls the function of an entry; explains its failure where the arguments do not fit.
///
/// # Safety
/// Python calls it, as a function with the flags METH_FASTCALL and METH_KEYWORDS.
pub unsafe extern "C" fn explained<const ENTRY: usize>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let entry = &ENTRIES[ENTRY];
    // SAFETY: `wrap` has stored a function of this type before Python could get at this one.
    let inner: Native = unsafe { std::mem::transmute(entry.inner.load(Ordering::Relaxed)) };
    // SAFETY: the arguments are those that Python gave for it.
    let result = unsafe { inner(slf, args, count, names) };
    if !result.is_null() {
        return result;
    }
    // SAFETY: Python holds the GIL for the caller, whose references outlive the call.
    unsafe { after_failure(entry, inner, slf, args, count, names) }
}

/// # Safety
/// As `explained`, with an exception set.
#[cold]
unsafe fn after_failure(
    entry: &'static Entry,
    inner: Native,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller is Python, which holds the GIL.
    let py = unsafe { Python::assume_attached() };
    let explain = || {
        let original = PyErr::take(py)?;
        if !original.is_instance_of::<PyTypeError>(py) {
            return Some(Err(original));
        }
        // SAFETY: `args` has `count` arguments and then one for each name.
        let given = unsafe { Given::read(py, args, count, names) };
        let outcome = given.explain(py, entry);
        Some(outcome.unwrap_or(Err(original)))
    };
    let failed = |failure: PyErr| {
        failure.restore(py);
        std::ptr::null_mut()
    };
    match catch_unwind(AssertUnwindSafe(explain)) {
        Ok(Some(Ok(neutral))) => {
            let (args, names) = neutral.parts(py);
            match names {
                // SAFETY: the same arguments without those that ask for nothing.
                Ok(names) => unsafe { inner(slf, args.as_ptr(), count, names.as_ptr()) },
                Err(failure) => failed(failure),
            }
        }
        Ok(Some(Err(failure))) => failed(failure),
        Ok(None) => std::ptr::null_mut(),
        Err(panic) => failed(error(py, internal(panic))),
    }
}

/// The arguments of a call.
struct Given<'py> {
    positional: Vec<Bound<'py, PyAny>>,
    named: Vec<(String, Bound<'py, PyAny>)>,
}

impl<'py> Given<'py> {
    /// # Safety
    /// `args` has `count` objects and one for each of `names`, which is a tuple of strings or null.
    unsafe fn read(
        py: Python<'py>,
        args: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        names: *mut ffi::PyObject,
    ) -> Given<'py> {
        // SAFETY: as the caller promises.
        let at = |i: usize| unsafe { Bound::from_borrowed_ptr(py, *args.add(i)) };
        let count = count as usize;
        // SAFETY: a borrowed reference or null.
        let names = unsafe { Bound::from_borrowed_ptr_or_opt(py, names) };
        let names: Vec<String> = names
            .and_then(|names| names.cast_into::<PyTuple>().ok())
            .map(|names| {
                let text = |name: Bound<'_, PyAny>| {
                    Some(name.cast::<PyString>().ok()?.to_string_lossy().into_owned())
                };
                names.iter().filter_map(text).collect()
            })
            .unwrap_or_default();
        let named = names.into_iter().enumerate().map(|(i, name)| (name, at(count + i))).collect();
        Given { positional: (0..count).map(at).collect(), named }
    }

    /// The error about a call whose arguments do not fit; the arguments that remain where some only ask for
    /// nothing; None where all fit.
    fn explain(mut self, py: Python<'py>, entry: &Entry) -> Option<PyResult<Given<'py>>> {
        let Entry { call, is_method, .. } = entry;
        let op = call.op;
        let own = &call.positional[usize::from(*is_method)..];
        let most = own.len();
        if self.positional.len() > most && call.variadic.is_empty() {
            let instead = self.instead_of_positional(call, own);
            let given = self.positional.len();
            return Some(Err(error(py, Error::Positional { op, most, given, instead })));
        }
        let before = self.named.len();
        let mut wrong = None;
        self.named.retain(|(name, value)| {
            if call.keywords.contains(&name.as_str()) || own.iter().any(|p| p.name == name) {
                return true;
            }
            let known = call.foreign.iter().find(|foreign| foreign.name == name);
            let neutral = |known: &Foreign| known.neutral.is_some() && known.neutral == value.extract().ok();
            if known.is_some_and(|known| value.is_none() || neutral(known)) {
                return false;
            }
            let instead = known.map_or_else(
                || format!("it takes {}", call.parameters()),
                |known| known.instead.replace("{value}", &shown(value)),
            );
            wrong.get_or_insert((name.clone(), instead));
            true
        });
        if let Some((name, instead)) = wrong {
            return Some(Err(error(py, Error::UnknownKeyword { op, name, instead })));
        }
        let named = |p: &&Parameter| self.named.iter().any(|(name, _)| name == p.name);
        if let Some(parameter) = own.iter().filter(|p| p.only).find(named) {
            return Some(Err(error(py, Error::PositionalOnly { op, name: parameter.name })));
        }
        let missing = own.iter().skip(self.positional.len()).filter(|p| p.required && !named(p));
        let names = listed(missing.map(|p| p.name));
        if !names.is_empty() {
            return Some(Err(error(py, Error::MissingArgument { op, names })));
        }
        (self.named.len() < before).then_some(Ok(self))
    }

    /// What to write in place of positional arguments too many.
    fn instead_of_positional(&self, call: &Call, own: &[Parameter]) -> String {
        let rest = &self.positional[own.len()..];
        let integers = |values: &[Bound<'_, PyAny>]| values.iter().all(is_integer);
        // The last parameter of functions that gather is never self.
        let gathered = &self.positional[own.len().saturating_sub(1)..];
        if call.gathers == Gathers::Integers && integers(gathered) {
            let first: String = own.iter().rev().skip(1).rev().map(|p| format!("{}, ", p.name)).collect();
            return format!("write {}({first}({}))", call.op, listed(gathered.iter().map(shown)));
        }
        if call.gathers == Gathers::Tensors && rest.iter().any(is_tensor) {
            return format!("write {}([{}])", call.op, listed((1..=gathered.len()).map(|n| format!("x{n}"))));
        }
        if call.many_axes && integers(rest) && rest.len() > 1 {
            return format!("write axis=({})", listed(rest.iter().map(shown)));
        }
        if call.keywords.is_empty() {
            return format!("it takes {}", call.parameters());
        }
        // A number is no dtype and a tensor no axis: they were meant for something else.
        let misplaced = call.keywords[0] == "dtype" && is_integer(&rest[0]) || rest.iter().any(is_tensor);
        if misplaced || rest.len() > call.keywords.len() {
            return format!("the keywords are {}", call.keywords.join(", "));
        }
        let pairs = call.keywords.iter().zip(rest);
        format!("write {}", listed(pairs.map(|(name, value)| format!("{name}={}", shown(value)))))
    }

    /// The arguments as Python passes them. The pointers live as long as `self`.
    fn parts(&self, py: Python<'py>) -> (Vec<*mut ffi::PyObject>, PyResult<Names<'py>>) {
        let values = self.positional.iter().chain(self.named.iter().map(|(_, value)| value));
        let args = values.map(|value| value.as_ptr()).collect();
        let names = match self.named.is_empty() {
            true => Ok(Names(None)),
            false => PyTuple::new(py, self.named.iter().map(|(name, _)| PyString::intern(py, name)))
                .map(|names| Names(Some(names))),
        };
        (args, names)
    }
}

/// The names of the arguments that have one.
struct Names<'py>(Option<Bound<'py, PyTuple>>);

impl Names<'_> {
    fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ref().map_or(std::ptr::null_mut(), |names| names.as_ptr())
    }
}

fn listed<T: AsRef<str>>(parts: impl Iterator<Item = T>) -> String {
    parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join(", ")
}

fn is_integer(value: &Bound<'_, PyAny>) -> bool {
    !value.is_instance_of::<PyBool>() && value.extract::<i64>().is_ok()
}

fn is_tensor(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyTensor>().is_ok()
}

/// An argument as source text, if it is short.
fn shown(value: &Bound<'_, PyAny>) -> String {
    const MOST: usize = 40;
    if is_tensor(value) {
        return "...".to_owned();
    }
    let text = match value.cast::<PyType>() {
        Ok(class) => class.name().map(|name| name.to_string_lossy().into_owned()),
        Err(_) => Ok(show(value)),
    };
    text.ok().filter(|text| text.len() <= MOST && !text.contains('\n')).unwrap_or_else(|| "...".to_owned())
}

/// The function behind `explained`, with its name, signature and documentation.
pub fn wrap<'py>(original: Bound<'py, PyCFunction>, entry: usize) -> PyResult<Bound<'py, PyAny>> {
    let py = original.py();
    let Some(definition) = definition(original.as_any(), original.as_any(), entry)? else {
        return Ok(original.into_any());
    };
    let module = original.getattr("__module__")?;
    // SAFETY: the definition lives for ever; self is borrowed from the original and kept by the new one.
    unsafe {
        let own = ffi::PyCFunction_GetSelf(original.as_ptr());
        Bound::from_owned_ptr_or_err(py, ffi::PyCFunction_NewEx(definition, own, module.as_ptr()))
    }
}

/// Puts the class's methods behind `explained`. A method's native function is found through an instance.
pub fn wrap_methods(instance: &Bound<'_, PyTensor>) -> PyResult<()> {
    let py = instance.py();
    let class = instance.get_type();
    for (number, entry) in ENTRIES.iter().enumerate().filter(|(_, entry)| entry.is_method) {
        let bound = instance.getattr(entry.call.op)?;
        let Some(definition) = definition(&bound, &class.getattr(entry.call.op)?, number)? else { continue };
        // SAFETY: the definition lives for ever; a new reference or null with an exception set.
        let method = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_ptr().cast(), definition))
        }?;
        class.setattr(entry.call.op, method)?;
    }
    Ok(())
}

/// What lives as long as the process, kept where tools that look for lost memory see it.
static DEFINITIONS: Lock<Vec<AtomicPtr<ffi::PyMethodDef>>> = Lock::new(Vec::new());

/// The definition of `explained` for a function, which is stored as the entry's own; None where Python calls
/// it in another way or it is behind `explained` already.
fn definition(
    function: &Bound<'_, PyAny>,
    documented: &Bound<'_, PyAny>,
    entry: usize,
) -> PyResult<Option<*mut ffi::PyMethodDef>> {
    const FLAGS: i32 = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
    // SAFETY: a builtin function, whose callers the GIL keeps apart.
    let (flags, inner) = unsafe {
        (ffi::PyCFunction_GetFlags(function.as_ptr()), ffi::PyCFunction_GetFunction(function.as_ptr()))
    };
    let Some(inner) = inner.filter(|inner| flags == FLAGS && *inner as usize != EXPLAINED[entry] as usize)
    else {
        return Ok(None);
    };
    ENTRIES[entry].inner.store(inner as *mut (), Ordering::Relaxed);
    let text = |name: &str| documented.getattr(name)?.extract::<String>();
    let name = CString::new(text("__name__")?)?;
    let doc = CString::new(format!(
        "{}{}\n--\n\n{}",
        text("__name__")?,
        text("__text_signature__")?,
        text("__doc__")?
    ))?;
    let made = Box::into_raw(Box::new(ffi::PyMethodDef {
        ml_name: name.into_raw(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: EXPLAINED[entry] },
        ml_flags: FLAGS,
        ml_doc: doc.into_raw(),
    }));
    DEFINITIONS.lock().push(AtomicPtr::new(made));
    Ok(Some(made))
}
