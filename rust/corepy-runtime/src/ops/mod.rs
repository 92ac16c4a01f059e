//! The operations: each file plans one class of them and runs its kernels.
