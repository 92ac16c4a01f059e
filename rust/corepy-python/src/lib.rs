//! corepy._native: the Python bindings of the runtime.
