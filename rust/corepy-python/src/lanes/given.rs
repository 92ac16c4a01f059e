//! What a launch is given, as Python has it: tensors, others' memory, numbers, extents.

use crate::argument::{read_integers, type_name, wrong_type};
use crate::enter::error;
use crate::functions::convert::is_scalar;
use crate::operand::Weak;
use crate::tensor::PyTensor;
use crate::{buffer, dlpack};
use corepy_runtime::backends::Argument;
use corepy_runtime::program::{ArgumentKind, Param, Program, Type};
use corepy_runtime::scheduler::fp_state;
use corepy_runtime::{Error, Scalar, Tensor};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt, PyList, PyTuple};

/// The operation that errors about arguments name before the kernel is looked at.
pub const OP: &str = "launch";

/// Reads the arguments of a launch after one another; how many there are has been checked.
pub fn read(program: &Program, args: &Bound<'_, PyTuple>, into: &mut Vec<Argument>) -> PyResult<()> {
    for (i, &kind) in program.arguments().iter().enumerate() {
        let object = args.get_borrowed_item(i)?;
        into.push(match kind {
            ArgumentKind::Buffer(place) => {
                if let Ok(tensor) = object.cast_exact::<PyTensor>() {
                    Argument::Tensor(tensor.get().0.clone())
                } else {
                    Argument::Tensor(memory(program, place, &object)?)
                }
            }
            ArgumentKind::Param(place) => number(program, &program.params()[usize::from(place)], &object)?,
        });
    }
    Ok(())
}

/// A tensor over the memory of an object that is none.
fn memory(program: &Program, place: u16, object: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let (py, declared) = (object.py(), &program.buffers()[usize::from(place)]);
    let (kernel, name) = (program.name().to_owned(), declared.name.clone());
    if is_scalar(object) || object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        let given = if is_scalar(object) { "a number".to_owned() } else { type_name(object) };
        return Err(error(
            py,
            Error::LaneNeedsTensor { kernel, name, dtype: declared.ty.dtype().name(), given },
        ));
    }
    if buffer::exports(object) {
        return match buffer::as_it_lies(OP, object)? {
            (tensor, None) => Ok(tensor),
            (_, Some(why)) => Err(error(py, Error::LaneCopy { kernel, name, why })),
        };
    }
    if dlpack::exports(object) {
        let kind = dlpack::device(OP, object)?;
        if kind != i64::from(dlpack::CPU) {
            return Err(error(py, Error::LaneDevice { kernel, name, kind }));
        }
        return dlpack::import(OP, object, false, Some(false));
    }
    let given = type_name(object);
    Err(error(py, Error::LaneNeedsTensor { kernel, name, dtype: declared.ty.dtype().name(), given }))
}

fn number(program: &Program, param: &Param, object: &Bound<'_, PyAny>) -> PyResult<Argument> {
    let py = object.py();
    let scalar = match Weak::read(object)? {
        Some(Weak::Bool(value)) => Scalar::from_bool(value),
        Some(Weak::Float(value)) => Scalar::from_f64(value),
        Some(Weak::Complex(re, im)) => Scalar::from_complex(re, im),
        Some(Weak::Int(value)) if i64::try_from(value).is_ok() => Scalar::from_i64(value as i64),
        Some(Weak::Int(value)) if u64::try_from(value).is_ok() => Scalar::from_u64(value as u64),
        Some(wide) => {
            let _state = fp_state::Guard::new();
            match (param.ty, wide) {
                // Rounded once, from the integer itself; what is beyond f32 has no float64 that could be halfway.
                (Type::F32, Weak::Int(value)) => Scalar::from_f64(f64::from(value as f32)),
                (Type::F64, Weak::Int(value)) => Scalar::from_f64(value as f64),
                (Type::F32, _) => Scalar::from_f64(f64::from(nearest_single(object)?)),
                (Type::F64, Weak::Huge(value)) => Scalar::from_f64(value),
                // The kind of number is refused, whatever its value.
                (Type::B1, _) => Scalar::from_i64(0),
                _ => {
                    let (kernel, name) = (program.name().to_owned(), param.name.clone());
                    let value = crate::argument::show_integer(object);
                    return Err(error(py, Error::LaneNumber { kernel, value, name, ty: param.ty.name() }));
                }
            }
        }
        None => match scalar_of_numpy(object)? {
            Some(scalar) => scalar,
            None => {
                let array = object.cast::<PyTensor>().is_ok() || buffer::exports(object);
                let given = if array { "a tensor".to_owned() } else { type_name(object) };
                let (kernel, name) = (program.name().to_owned(), param.name.clone());
                return Err(error(py, Error::LaneNeedsNumber { kernel, name, ty: param.ty.name(), given }));
            }
        },
    };
    Ok(Argument::Number(scalar))
}

/// The float32 nearest to an integer of more than 127 bits: its first 100 bits, and one that says whether any
/// other is set, round as all of them do.
fn nearest_single(object: &Bound<'_, PyAny>) -> PyResult<f32> {
    let magnitude = object.call_method0("__abs__")?;
    let bits: i64 = magnitude.call_method0("bit_length")?.extract()?;
    let cut = bits - 100;
    let head = magnitude.rshift(cut)?;
    let rest = magnitude.ne(head.lshift(cut)?)?;
    let head: i128 = head.extract()?;
    let value = (head << 1 | i128::from(rest)) as f32;
    // Beyond 2**128 everything is infinite.
    let scaled = if bits > 128 { f32::INFINITY } else { value * 2f32.powi(cut as i32 - 1) };
    Ok(if object.lt(0)? { -scaled } else { scaled })
}

/// A number of NumPy's, which is a value and no memory.
fn scalar_of_numpy(object: &Bound<'_, PyAny>) -> PyResult<Option<Scalar>> {
    let class = type_name(object);
    let numpys = class.strip_prefix("numpy.").is_some_and(|class| class != "ndarray");
    if !numpys || !buffer::exports(object) {
        return Ok(None);
    }
    let tensor = buffer::import(OP, object, None)?;
    if tensor.ndim() != 0 {
        return Ok(None);
    }
    let mut bytes = [0u8; 16];
    // SAFETY: the one element of a tensor without axes, of at most 16 bytes.
    unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(tensor.data(), tensor.itemsize()) };
    Ok(Some(Scalar::new(tensor.dtype(), &bytes)))
}

/// Refuses truth values where a count is wanted: Python takes them for 0 and 1.
fn no_truth_value(argument: &'static str, expected: &'static str, object: &Bound<'_, PyAny>) -> PyResult<()> {
    if object.is_instance_of::<PyBool>() {
        let given = crate::argument::show(object);
        return Err(error(object.py(), Error::ArgumentType { op: OP, argument, expected, given }));
    }
    Ok(())
}

/// The step limit of a launch.
pub fn step_limit(kernel: &str, object: Option<&Bound<'_, PyAny>>) -> PyResult<Option<u64>> {
    let Some(object) = object else { return Ok(None) };
    no_truth_value("step_limit", "an integer or None", object)?;
    let py = object.py();
    let limit = object.extract::<crate::argument::Argument<Option<i64>>>()?.read(py, OP, "step_limit")?;
    match limit.map(u64::try_from) {
        None => Ok(None),
        Some(Ok(limit)) => Ok(Some(limit)),
        Some(Err(_)) => {
            let (kernel, given) = (kernel.to_owned(), limit.unwrap_or(0));
            Err(error(py, Error::LaneSteps { kernel, given }))
        }
    }
}

/// Extents of a grid or block: an integer, or one to three of them; the missing ones are 1.
pub fn extents(kernel: &str, argument: &'static str, object: &Bound<'_, PyAny>) -> PyResult<[i64; 3]> {
    let py = object.py();
    if object.is_exact_instance_of::<PyInt>()
        && let Ok(x) = object.extract()
    {
        return Ok([x, 1, 1]);
    }
    const EXPECTED: &str = "an integer or a tuple of integers";
    let sequence = object.is_instance_of::<PyTuple>() || object.is_instance_of::<PyList>();
    no_truth_value(argument, EXPECTED, object)?;
    if !sequence && !object.hasattr("__index__")? {
        return Err(wrong_type(OP, argument, EXPECTED, object));
    }
    if sequence {
        for item in object.try_iter()? {
            no_truth_value(argument, "integers", &item?)?;
        }
    }
    let given = read_integers(OP, argument, object)?;
    if !(1..=3).contains(&given.len()) {
        let kernel = kernel.to_owned();
        return Err(error(py, Error::LaneExtents { kernel, argument, given: given.len() }));
    }
    Ok(std::array::from_fn(|axis| given.get(axis).copied().unwrap_or(1)))
}
