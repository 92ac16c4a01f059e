//! The Program class: what a program is, and its launches.

use super::{failure, given};
use crate::argument::{Argument, wrong_type};
use crate::dtype::PyDType;
use crate::enter::{enter, error};
use corepy_runtime::Error;
use corepy_runtime::backends::{self, LaunchError, Options, check_count};
use corepy_runtime::error::noun;
use corepy_runtime::program::{ArgumentKind, Flow, Instruction, Operand, Program};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::cell::Cell;
use std::sync::Arc;

/// Lanes of a block where a launch says nothing.
const BLOCK: [i64; 3] = [256, 1, 1];

/// Bytes that an instruction of one lane counts for where it is decided whether a launch lets go of the GIL:
/// the result of the widest type.
const STEP_BYTES: i64 = 8;

/// A verified program: one kernel, to be launched over grids of lanes. `parse`, `load` and
/// `Builder.build` make it.
///
/// Programs are equal where their canonical texts are, hash so, and pickle by that text. len() is the
/// number of instructions. `p[lanes](*args, ...)` is `p.launch(*args, lanes=lanes, ...)`.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> p = cp.lanes.parse(".kernel one\n.buffer x: out f32[:]\n stg.f32 x[%gid], 1\n exit")
/// >>> p.name, len(p)
/// ('one', 2)
/// >>> x = cp.zeros(3, dtype=cp.float32)
/// >>> p[3](x)
/// >>> x.tolist()
/// [1.0, 1.0, 1.0]
// A mapping, so that `iter` does not take `p[0]`, `p[1]`, ... for elements.
#[pyclass(name = "Program", module = "corepy.lanes", frozen, weakref, eq, mapping)]
pub struct PyProgram {
    program: Arc<Program>,
    /// Steps that a lane takes at most, where that is known.
    steps: Option<i64>,
}

impl PartialEq for PyProgram {
    fn eq(&self, other: &PyProgram) -> bool {
        self.program == other.program
    }
}

impl PyProgram {
    pub fn new(program: Arc<Program>) -> PyProgram {
        let steps = most_steps(&program);
        PyProgram { program, steps }
    }

    /// The names of the arguments, as a call has them.
    fn names(&self) -> String {
        let names = self.program.arguments().iter().map(|&kind| match kind {
            ArgumentKind::Param(i) => self.program.params()[usize::from(i)].name.as_str(),
            ArgumentKind::Buffer(i) => self.program.buffers()[usize::from(i)].name.as_str(),
        });
        names.collect::<Vec<_>>().join(", ")
    }

    #[cold]
    fn without_lanes(&self, py: Python<'_>) -> PyErr {
        let names = self.names();
        let before = if names.is_empty() { String::new() } else { format!("{names}, ") };
        error(py, Error::LaneCall { kernel: self.program.name().to_owned(), names, before })
    }

    /// Fails where an argument is given by a name that no launch has.
    fn refuse_names(
        &self,
        py: Python<'_>,
        unknown: Option<&Bound<'_, PyDict>>,
        keywords: &'static str,
    ) -> PyResult<()> {
        let Some((name, _)) = unknown.and_then(|unknown| unknown.iter().next()) else { return Ok(()) };
        // A name may be of a subclass of str, whose __str__ is anything.
        let name = name.cast::<PyString>()?.to_string_lossy().into_owned();
        let kernel = self.program.name().to_owned();
        Err(error(py, Error::LaneKeyword { kernel, name, names: self.names(), keywords }))
    }

    /// Bytes that a launch touches, roughly: how long it will take. Loops may take for ever.
    fn work(&self, lanes: [i64; 3]) -> usize {
        let count = |steps: i64| {
            lanes
                .iter()
                .fold(steps.saturating_mul(STEP_BYTES), |all, &extent| all.saturating_mul(extent.max(0)))
        };
        self.steps.map_or(usize::MAX, |steps| count(steps) as usize)
    }
}

/// How many steps a lane takes at most, where only loops with constant counts make it go back.
fn most_steps(program: &Program) -> Option<i64> {
    let steps = program.code().steps();
    // How often each step runs, and of loops the body. Loops stand before what is in them.
    let mut runs: Vec<(i64, i64)> = Vec::with_capacity(steps.len());
    let mut total = 0i64;
    for (i, step) in steps.iter().enumerate() {
        let own = step.inside.map_or(1, |outer| runs[outer as usize].1);
        let body = match (step.flow, &program.instructions()[step.instruction as usize]) {
            (Flow::Jump(target) | Flow::Branch(target), _) if target as usize <= i => return None,
            (Flow::Loop { .. }, Instruction::Loop { count: Operand::Constant(count), .. }) => {
                own.saturating_mul(count.to_index().max(0))
            }
            (Flow::Loop { .. }, _) => return None,
            _ => own,
        };
        runs.push((own, body));
        total = total.saturating_add(own);
    }
    Some(total)
}

/// What a launch is given besides its arguments and its grid.
struct Given<'a, 'py> {
    block: Option<&'a Bound<'py, PyAny>>,
    backend: Option<&'a Bound<'py, PyAny>>,
    check_races: Argument<bool>,
    step_limit: Option<&'a Bound<'py, PyAny>>,
}

thread_local! {
    /// The list of a launch's arguments, kept for the next one.
    static ARGUMENTS: Cell<Vec<backends::Argument>> = const { Cell::new(Vec::new()) };
}

fn launch(
    py: Python<'_>,
    this: &PyProgram,
    args: &Bound<'_, PyTuple>,
    lanes: [i64; 3],
    given: Given<'_, '_>,
) -> PyResult<()> {
    let program = &this.program;
    let kernel = program.name();
    let block = given.block.map_or(Ok(BLOCK), |block| given::extents(kernel, "block", block))?;
    let check_races = given.check_races.read(py, given::OP, "check_races")?;
    let step_limit = given::step_limit(kernel, given.step_limit)?;
    let options = Options { lanes, block, check_races, step_limit };
    let text = match given.backend {
        None => None,
        Some(name) => match name.cast::<PyString>() {
            Ok(name) => Some(name.to_string_lossy()),
            Err(_) => return Err(wrong_type(given::OP, "backend", "a string", name)),
        },
    };
    let backend = text.as_deref().unwrap_or("auto");
    check_count(program, args.len()).map_err(|e| error(py, e))?;
    let mut arguments = ARGUMENTS.take();
    let done = given::read(program, args, &mut arguments).and_then(|()| {
        enter(py, this.work(lanes), || {
            match backends::launch_taking(program, arguments.drain(..), &options, backend) {
                Ok(()) => Ok(None),
                Err(LaunchError::Refused(refused)) => Err(refused),
                Err(LaunchError::Fault(fault)) => Ok(Some(fault)),
            }
        })
    });
    arguments.clear();
    ARGUMENTS.set(arguments);
    match done? {
        None => Ok(()),
        Some(fault) => Err(failure::of_lane(py, &fault)),
    }
}

#[pymethods]
impl PyProgram {
    /// The kernel's name.
    #[getter]
    fn name(&self) -> &str {
        self.program.name()
    }

    /// What a launch takes, in order: a tuple of Argument.
    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let found =
            self.program.arguments().iter().map(|&kind| Bound::new(py, PyArgument::new(&self.program, kind)));
        PyTuple::new(py, found.collect::<PyResult<Vec<_>>>()?)
    }

    /// The canonical text. Parsing it gives an equal program.
    #[getter]
    fn text(&self) -> &str {
        self.program.text()
    }

    /// BLAKE3 of the canonical text, in hexadecimal.
    #[getter]
    fn digest(&self) -> &str {
        self.program.digest()
    }

    fn __len__(&self) -> usize {
        self.program.instructions().len()
    }

    fn __repr__(&self) -> String {
        let arguments: Vec<String> = self
            .program
            .arguments()
            .iter()
            .map(|&kind| PyArgument::new(&self.program, kind).declared())
            .collect();
        let (count, arguments) = (self.__len__() as u64, arguments.join(", "));
        let noun = noun(&count, "instruction", "instructions");
        format!("<lane program {}({arguments}), {count} {noun}>", self.name())
    }

    fn __hash__(&self) -> u64 {
        // The digest is hexadecimal, and long enough.
        u64::from_str_radix(&self.program.digest()[..16], 16).unwrap_or(0)
    }

    /// Reads the text again.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (&str,))> {
        Ok((py.import("corepy.lanes")?.getattr("parse")?, (self.program.text(),)))
    }

    /// Runs the program once for every lane of a grid, and returns when all are done.
    ///
    /// args: a number for each param, and for each buffer a tensor or anything that exports a buffer or
    /// DLPack, which is used as it lies and written in place. lanes: lanes in the grid, an integer or a tuple of
    /// one to three, x first. block: lanes in a block, at most 1,024. backend: a name of `backends()`, or
    /// "auto". check_races: whether two accesses of one element that nothing orders are an error. step_limit:
    /// how many branches back and rounds of loops a lane may take.
    ///
    /// Raises TypeError for arguments of a wrong number, kind or dtype; ValueError for rank, read-only memory,
    /// tensors that overlap, extents, an unknown backend and numbers that do not fit; LaneFault where a lane
    /// does what it may not, after which what the buffers hold is unspecified; RaceError, where asked for.
    ///
    /// Examples
    /// --------
    /// >>> import corepy as cp
    /// >>> p = cp.lanes.parse('''
    /// ... .kernel scale
    /// ... .param  a: f32
    /// ... .buffer x: inout f32[:]
    /// ...     ldg.f32 v, x[%gid]
    /// ...     mul.f32 v, v, a
    /// ...     stg.f32 x[%gid], v
    /// ...     exit
    /// ... ''')
    /// >>> x = cp.asarray([1.0, 2.0, 3.0], dtype=cp.float32)
    /// >>> p.launch(10, x, lanes=2)
    /// >>> x.tolist()
    /// [10.0, 20.0, 3.0]
    #[pyo3(
        signature = (*args, lanes=None, block=None, backend=None, check_races=Argument::Given(false), step_limit=None, **unknown),
        text_signature = "($self, *args, lanes, block=256, backend='auto', check_races=False, step_limit=None)"
    )]
    #[allow(clippy::too_many_arguments)] // Python's are named.
    fn launch(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        lanes: Option<&Bound<'_, PyAny>>,
        block: Option<&Bound<'_, PyAny>>,
        backend: Option<&Bound<'_, PyAny>>,
        check_races: Argument<bool>,
        step_limit: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        self.refuse_names(py, unknown, "lanes, block, backend, check_races, step_limit")?;
        let Some(lanes) = lanes else { return Err(self.without_lanes(py)) };
        let lanes = given::extents(self.program.name(), "lanes", lanes)?;
        launch(py, self, args, lanes, Given { block, backend, check_races, step_limit })
    }

    /// Says how to launch.
    #[pyo3(signature = (*_args, **_names))]
    fn __call__(
        &self,
        py: Python<'_>,
        _args: &Bound<'_, PyTuple>,
        _names: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        Err(self.without_lanes(py))
    }

    /// What launches the program over so many lanes.
    fn __getitem__(slf: &Bound<'_, Self>, lanes: &Bound<'_, PyAny>) -> PyResult<Launcher> {
        let lanes = given::extents(slf.get().program.name(), "lanes", lanes)?;
        Ok(Launcher { program: slf.clone().unbind(), lanes })
    }
}

/// A program and the lanes of its grid: `p[lanes]`, called with the arguments of a launch.
#[pyclass(name = "Launcher", module = "corepy.lanes", frozen)]
pub struct Launcher {
    program: Py<PyProgram>,
    lanes: [i64; 3],
}

#[pymethods]
impl Launcher {
    #[pyo3(signature = (*args, block=None, backend=None, check_races=Argument::Given(false), step_limit=None, **unknown))]
    #[allow(clippy::too_many_arguments)] // Python's are named.
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        block: Option<&Bound<'_, PyAny>>,
        backend: Option<&Bound<'_, PyAny>>,
        check_races: Argument<bool>,
        step_limit: Option<&Bound<'_, PyAny>>,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let program = self.program.get();
        program.refuse_names(py, unknown, "block, backend, check_races, step_limit")?;
        let given = Given { block, backend, check_races, step_limit };
        launch(py, program, args, self.lanes, given)
    }

    fn __repr__(&self) -> String {
        let [x, y, z] = self.lanes;
        format!("<{} over ({x}, {y}, {z}) lanes>", self.program.get().name())
    }
}

/// What a launch takes at one place.
///
/// name: as in the text. kind: "param" for a number; "in", "out" or "inout" for a buffer. dtype: of the
/// tensor's elements or of the number. ndim: a buffer's number of axes, 0 for a param.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> p = cp.lanes.parse(".kernel k\n.param a: f32\n.buffer x: in f64[:, :]\n exit")
/// >>> [(a.name, a.kind, a.dtype, a.ndim) for a in p.arguments]
/// [('a', 'param', corepy.float32, 0), ('x', 'in', corepy.float64, 2)]
#[pyclass(name = "Argument", module = "corepy.lanes", frozen)]
pub struct PyArgument {
    program: Arc<Program>,
    place: ArgumentKind,
}

impl PyArgument {
    fn new(program: &Arc<Program>, place: ArgumentKind) -> PyArgument {
        PyArgument { program: program.clone(), place }
    }

    /// As the text declares it.
    fn declared(&self) -> String {
        match self.place {
            ArgumentKind::Param(i) => {
                let param = &self.program.params()[usize::from(i)];
                format!("{}: {}", param.name, param.ty.name())
            }
            ArgumentKind::Buffer(i) => {
                let buffer = &self.program.buffers()[usize::from(i)];
                let axes = vec![":"; buffer.axes].join(", ");
                format!("{}: {} {}[{axes}]", buffer.name, buffer.mode.name(), buffer.ty.name())
            }
        }
    }
}

#[pymethods]
impl PyArgument {
    #[getter]
    fn name(&self) -> &str {
        match self.place {
            ArgumentKind::Param(i) => &self.program.params()[usize::from(i)].name,
            ArgumentKind::Buffer(i) => &self.program.buffers()[usize::from(i)].name,
        }
    }

    #[getter]
    fn kind(&self) -> &'static str {
        match self.place {
            ArgumentKind::Param(_) => "param",
            ArgumentKind::Buffer(i) => self.program.buffers()[usize::from(i)].mode.name(),
        }
    }

    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDType>> {
        let ty = match self.place {
            ArgumentKind::Param(i) => self.program.params()[usize::from(i)].ty,
            ArgumentKind::Buffer(i) => self.program.buffers()[usize::from(i)].ty,
        };
        crate::dtype::object(py, ty.dtype())
    }

    #[getter]
    fn ndim(&self) -> usize {
        match self.place {
            ArgumentKind::Param(_) => 0,
            ArgumentKind::Buffer(i) => self.program.buffers()[usize::from(i)].axes,
        }
    }

    fn __repr__(&self) -> String {
        format!("<argument {}>", self.declared())
    }
}
