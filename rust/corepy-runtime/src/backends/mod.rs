//! Backends run lane programs. Nothing outside this folder knows which one does.
//!
//! ```
//! use corepy_runtime::backends::{Argument, Options, launch};
//! use corepy_runtime::program::Program;
//! use corepy_runtime::{DType, Scalar, Tensor};
//! use std::sync::Arc;
//!
//! let program = Program::parse(
//!     ".kernel count
//!      .param first: i64
//!      .buffer x: out i64[:]
//!          add.i64 v, first, %gid
//!          stg.i64 x[%gid], v
//!          exit",
//! )?;
//! let x = Tensor::empty("example", &[4], DType::Int64)?;
//! let arguments = [Argument::Number(Scalar::from_i64(10)), Argument::Tensor(x)];
//! launch(&Arc::new(program), &arguments, &Options::lanes(4), "reference")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod absent;
mod fault;
mod launch;
mod overlap;
pub mod reference;
pub mod tile;

pub use crate::generated::lanes::Fault;
pub use fault::{FaultAccess, LaneFault, LaunchError, Place, RacePair};
pub use launch::{Argument, Grid, Launch, MAX_BLOCK, MAX_LANES, Options, check_count};
pub use overlap::{share_memory, shares_with_itself};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::program::Program;
use crate::tensor::Tensor;
use crate::trace;
use std::sync::Arc;

/// What a backend is and can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// What it is, in a few words.
    pub description: &'static str,
    /// Why it cannot be used here; empty where it can.
    pub reason: String,
    /// Whether `auto` may choose it.
    pub automatic: bool,
    /// Whether it finds races. A launch that asks for that on another backend runs on `reference`.
    pub checks_races: bool,
}

/// One way to run programs. Tensors that it computes with are its own memory's.
pub trait Backend: Sync {
    /// Its name, by which users choose it.
    fn name(&self) -> &'static str;

    fn capabilities(&self) -> Capabilities;

    /// A C-ordered tensor in the backend's memory, its elements not set.
    fn allocate(&self, op: &'static str, shape: &[i64], dtype: DType) -> Result<Tensor>;

    /// Sets the elements of `to` from `from`; one of them may be in another memory.
    fn copy(&self, op: &'static str, from: &Tensor, to: &Tensor) -> Result<()>;

    /// Makes a program ready to run; cached by the program's digest where that is work.
    fn load(&self, program: &Arc<Program>) -> Result<Arc<dyn Executable>>;

    /// Waits until everything launched is done.
    fn synchronise(&self) -> Result<()>;
}

/// A program that is ready to run.
pub trait Executable: Send + Sync {
    /// Runs every lane. `launch` is of the program that was loaded.
    fn launch(&self, launch: &Launch) -> std::result::Result<(), LaunchError>;
}

/// Every backend, those that cannot be used here included, in the order in which `auto` tries them.
pub fn all() -> &'static [&'static dyn Backend] {
    static ALL: [&dyn Backend; 4] = [&reference::Reference, &tile::Tile, &absent::LLVM, &absent::CUDA];
    &ALL
}

/// What a backend that cannot be used here is asked in vain.
fn unusable(op: &str, backend: &dyn Backend) -> Error {
    let reason = backend.capabilities().reason;
    Error::LaneBackendAbsent { kernel: op.to_owned(), name: backend.name(), reason }
}

/// The backend of a name, or the one that `auto` chooses.
///
/// # Errors
/// [`Error::LaneBackend`] for a name that is unknown, [`Error::LaneBackendAbsent`] for one that cannot be used here.
pub fn find(kernel: &str, name: &str) -> Result<&'static dyn Backend> {
    let usable = |b: &&&'static dyn Backend| b.capabilities().reason.is_empty();
    let found = match name {
        "auto" => all().iter().filter(usable).find(|b| b.capabilities().automatic),
        _ => all().iter().find(|b| b.name() == name),
    };
    if let Some(found) = found.filter(|b| !usable(b)) {
        return Err(unusable(kernel, *found));
    }
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = all().iter().filter(usable).map(|b| b.name()).collect();
        Error::LaneBackend { kernel: kernel.to_owned(), name: name.to_owned(), known: known.join(", ") }
    })
}

/// Runs a program once for every lane of a grid.
///
/// # Errors
/// [`LaunchError::Refused`] where a check of the arguments fails or the user interrupts,
/// [`LaunchError::Fault`] where a lane does, or where races are asked for and there is one.
pub fn launch(
    program: &Arc<Program>,
    arguments: &[Argument],
    options: &Options,
    backend: &str,
) -> std::result::Result<(), LaunchError> {
    launch_taking(program, arguments.iter().cloned(), options, backend)
}

/// As [`launch`], of arguments that the launch keeps.
///
/// # Errors
/// As of [`launch`].
pub fn launch_taking(
    program: &Arc<Program>,
    arguments: impl ExactSizeIterator<Item = Argument>,
    options: &Options,
    backend: &str,
) -> std::result::Result<(), LaunchError> {
    let mut chosen = find(program.name(), backend)?;
    if options.check_races && !chosen.capabilities().checks_races {
        chosen = &reference::Reference;
    }
    let launch = Launch::taking(program, arguments, options)?;
    let ready = chosen.load(program)?;
    let fault = trace::operation(
        "launch",
        |call| {
            call.operands(launch.buffers());
        },
        || {
            trace::path(chosen.name());
            match ready.launch(&launch) {
                Ok(()) => Ok(None),
                Err(LaunchError::Fault(fault)) => Ok(Some(fault)),
                Err(LaunchError::Refused(error)) => Err(error),
            }
        },
    )?;
    fault.map_or(Ok(()), |fault| Err(LaunchError::Fault(fault)))
}
