//! The error type of the runtime: the generated catalogue.

pub use crate::generated::errors::Error;

/// Result with an error of the catalogue.
pub type Result<T> = std::result::Result<T, Error>;

/// The noun that goes with a number of things.
pub fn noun<T: PartialEq + From<u8>>(count: &T, one: &'static str, many: &'static str) -> &'static str {
    if *count == T::from(1) { one } else { many }
}
