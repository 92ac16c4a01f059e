//! Memory: the pool behind tensors and the arena behind operations.

pub mod pool;
