//! The thread pool and its one interface.
