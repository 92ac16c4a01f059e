//! corepy's runtime: dtypes, layouts, memory, scheduling and operations. Knows no Python.

#![warn(unsafe_op_in_unsafe_fn)]

pub mod backends;
pub mod config;
pub mod dtype;
pub mod error;
#[rustfmt::skip]
#[allow(clippy::all, missing_docs)]
pub mod generated;
pub mod kernels;
pub mod layout;
pub mod lock;
pub mod memory;
mod once;
pub mod ops;
pub mod program;
pub mod scalar;
pub mod scheduler;
pub mod settings;
pub mod storage;
pub mod tensor;
pub mod trace;

pub use dtype::{DType, Kind};
pub use error::{Error, Result};
pub use generated::ops::{Binary, Cumulative, Family, Reduce, Unary};
pub use layout::Dims;
pub use scalar::Scalar;
pub use storage::Storage;
pub use tensor::Tensor;
