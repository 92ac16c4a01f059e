//! The tile interpreter: each instruction runs as a SIMD kernel over the lanes of a tile.
//!
//! [`decode`] turns a program into the form that is run; [`run`] cuts a launch into tiles and spreads them over
//! the threads; [`machine`] runs one tile, with the lanes that have parted in turn.

mod access;
mod analysis;
mod compute;
mod decode;
mod fault;
mod lanes;
mod machine;
mod parted;
mod places;
mod rename;
mod run;
mod setup;

use super::fault::LaunchError;
use super::launch::Launch;
use super::reference::Reference;
use super::{Backend, Capabilities, Executable};
use crate::dtype::DType;
use crate::error::Result;
use crate::kernels::level::{self, Level};
use crate::lock::Lock;
use crate::once::Once;
use crate::ops::{Arg, copy::copy_into};
use crate::program::Program;
use crate::tensor::Tensor;
use decode::Decoded;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The backend.
pub struct Tile;

impl Backend for Tile {
    fn name(&self) -> &'static str {
        "tile"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            description: "SIMD kernels over tiles of lanes, on all threads",
            reason: String::new(),
            automatic: true,
            checks_races: false,
        }
    }

    fn allocate(&self, op: &'static str, shape: &[i64], dtype: DType) -> Result<Tensor> {
        Tensor::empty(op, shape, dtype)
    }

    fn copy(&self, op: &'static str, from: &Tensor, to: &Tensor) -> Result<()> {
        copy_into(op, to, Arg::Tensor(from))
    }

    fn load(&self, program: &Arc<Program>) -> Result<Arc<dyn Executable>> {
        Ok(prepared(program))
    }

    /// Launches are done when they return.
    fn synchronise(&self) -> Result<()> {
        Ok(())
    }
}

/// How many steps have been decoded since the process began.
pub fn decoded_steps() -> u64 {
    decode::DECODED.load(Ordering::Relaxed)
}

/// A program and its decoded forms, each made when it is first needed.
struct Prepared {
    digest: String,
    /// By SIMD level, whether tiles are flat, and whether nothing is assumed of where lanes wait.
    forms: Box<[Once<Decoded>]>,
}

impl Prepared {
    fn new(program: &Program) -> Prepared {
        let forms = (0..4 * level::count()).map(|_| Once::new());
        Prepared { digest: program.digest().to_owned(), forms: forms.collect() }
    }

    /// The form of the program, or of an equal one.
    fn form(&self, program: &Program, level: &'static Level, flat: bool, parted: bool) -> &Decoded {
        let place = 4 * level.number + 2 * usize::from(flat) + usize::from(parted);
        self.forms[place].get_or_make(|| decode::decode(program, flat, parted, level.table))
    }
}

impl Executable for Prepared {
    fn launch(&self, launch: &Launch) -> std::result::Result<(), LaunchError> {
        if launch.check_races() {
            return Reference.load(launch.program())?.launch(launch);
        }
        run::run(self, launch)
    }
}

/// Programs whose decoded forms are kept for equal ones. A program that is alive keeps its own.
const KEPT: usize = 256;

static CACHE: Lock<VecDeque<Arc<Prepared>>> = Lock::new(VecDeque::new());

/// The forms of a program: its own, or those of an equal one, or new ones.
fn prepared(program: &Program) -> Arc<Prepared> {
    let attached = program.attached(|| {
        // Without waiting: in the child of a fork the lock may be held by a thread that does not exist.
        let Some(mut cache) = CACHE.try_lock() else { return Arc::new(Prepared::new(program)) };
        // The one that was used last goes last.
        let known = cache.iter().position(|p| p.digest == program.digest()).and_then(|i| cache.remove(i));
        let found = known.unwrap_or_else(|| Arc::new(Prepared::new(program)));
        if cache.len() == KEPT {
            cache.pop_front();
        }
        cache.push_back(found.clone());
        found
    });
    // Nothing else attaches anything to a program.
    attached.clone().downcast().unwrap_or_else(|_| Arc::new(Prepared::new(program)))
}
