//! Operations on tensors, against plain loops and definitions.

mod copy;
mod elementwise;
mod gather;
#[path = "../layouts/mod.rs"]
mod layouts;
mod matmul;
mod reduce;
