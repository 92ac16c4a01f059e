//! Functions of the op table that are neither elementwise nor reductions, by category.

pub mod configuration;
pub mod conversion;
pub mod convert;
pub mod creation;
pub mod cumulative;
pub mod indexing;
pub mod information;
pub mod linear;
pub mod manipulation;
pub mod memory;
pub mod printing;
