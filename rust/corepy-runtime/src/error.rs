//! The error type of the runtime: the generated catalogue.

pub use crate::generated::errors::Error;

/// Result with an error of the catalogue.
pub type Result<T> = std::result::Result<T, Error>;
