//! Backends that this build does not have: listed by name, so that users and tests see what is missing.

use super::{Backend, Capabilities, Executable, unusable};
use crate::dtype::DType;
use crate::error::Result;
use crate::program::Program;
use crate::tensor::Tensor;
use std::sync::Arc;

/// A backend that refuses everything.
pub struct Absent {
    pub name: &'static str,
    pub description: &'static str,
}

pub const LLVM: Absent =
    Absent { name: "llvm", description: "machine code for this processor, made by LLVM" };
pub const CUDA: Absent = Absent { name: "cuda", description: "CUDA C for NVIDIA's graphics processors" };

impl Absent {
    fn refuse<T>(&self, op: &str) -> Result<T> {
        Err(unusable(op, self))
    }
}

impl Backend for Absent {
    fn name(&self) -> &'static str {
        self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            description: self.description,
            reason: "this version of corepy is built without it".to_owned(),
            automatic: false,
            checks_races: false,
        }
    }

    fn allocate(&self, op: &'static str, _: &[i64], _: DType) -> Result<Tensor> {
        self.refuse(op)
    }

    fn copy(&self, op: &'static str, _: &Tensor, _: &Tensor) -> Result<()> {
        self.refuse(op)
    }

    fn load(&self, program: &Arc<Program>) -> Result<Arc<dyn Executable>> {
        self.refuse(program.name())
    }

    fn synchronise(&self) -> Result<()> {
        self.refuse(self.name)
    }
}
