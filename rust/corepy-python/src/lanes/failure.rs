//! Exceptions of lane programs, with their fields.

use corepy_runtime::backends::LaneFault;
use corepy_runtime::program::{ParseError, ProgramError, VerifyError};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

fn class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyType>> {
    Ok(py.import("corepy.errors")?.getattr(name)?.cast_into()?)
}

/// What was made, or why it could not be: a failure all the same.
fn failed(py: Python<'_>, message: &str, made: PyResult<Bound<'_, PyAny>>) -> PyErr {
    match made {
        Ok(error) => PyErr::from_value(error),
        Err(why) => {
            // Without corepy.errors, or without memory, the message is what is left.
            let message = message.to_owned();
            let error = PyRuntimeError::new_err(message);
            error.set_cause(py, Some(why));
            error
        }
    }
}

/// The exception of a text that is no program.
#[cold]
pub fn of_text(py: Python<'_>, error: ProgramError, filename: &str) -> PyErr {
    match error {
        ProgramError::Parse(error) => of_syntax(py, &error, filename),
        ProgramError::Verify(error) => of_rule(py, &error),
    }
}

#[cold]
pub fn of_syntax(py: Python<'_>, error: &ParseError, filename: &str) -> PyErr {
    let message = error.what.to_string();
    let place = (filename, error.line, error.column, error.text.as_str());
    let made = class(py, "ParseError").and_then(|class| class.call1((&message, place)));
    failed(py, &message, made)
}

#[cold]
pub fn of_rule(py: Python<'_>, error: &VerifyError) -> PyErr {
    let message = error.to_string();
    let made = || {
        let made = class(py, "VerifyError")?.call1((&message,))?;
        made.setattr("kernel", &error.kernel)?;
        made.setattr("line", error.line)?;
        made.setattr("instruction", &error.instruction)?;
        made.setattr("rule", error.rule())?;
        Ok(made)
    };
    failed(py, &message, made())
}

#[cold]
pub fn of_lane(py: Python<'_>, fault: &LaneFault) -> PyErr {
    let message = fault.to_string();
    let made = || {
        let name = if fault.race.is_some() { "RaceError" } else { "LaneFault" };
        let made = class(py, name)?.call1((&message,))?;
        made.setattr("kernel", &fault.kernel)?;
        made.setattr("line", fault.line)?;
        made.setattr("instruction", &fault.instruction)?;
        made.setattr("lane", PyTuple::new(py, fault.lane)?)?;
        made.setattr("block", PyTuple::new(py, fault.block)?)?;
        if let Some(access) = &fault.access {
            made.setattr("buffer", &access.buffer)?;
            made.setattr("index", PyTuple::new(py, &access.index)?)?;
            made.setattr("shape", PyTuple::new(py, &access.shape)?)?;
        }
        if let Some(race) = &fault.race {
            let [first, second] = race.lanes;
            made.setattr("lanes", (PyTuple::new(py, first)?, PyTuple::new(py, second)?))?;
            made.setattr("lines", PyTuple::new(py, race.lines)?)?;
        }
        Ok(made)
    };
    failed(py, &message, made())
}
