"""What the memory statistics are made of: `memory_stats()` and `arena_stats()` give these."""

from __future__ import annotations

from typing import NamedTuple


class MemoryStats(NamedTuple):
    """The pool that tensors live in, in bytes of its blocks, up to a quarter larger than their tensors."""

    in_use: int
    """Bytes of the blocks that tensors have now."""
    cached: int
    """Bytes of free blocks that are kept for new tensors."""
    peak: int
    """The most that in_use has been, to 64 KiB for each thread."""
    limit: int
    """Bytes that may be cached; COREPY_POOL_LIMIT sets them."""
    mappings: int
    """How many pieces of memory the pool has from the system."""
    faults_saved: int
    """Page faults that the reuse of blocks above 128 KiB has spared."""


class ArenaStats(NamedTuple):
    """The arenas for scratch of all threads together, in bytes."""

    used: int
    """Scratch of operations that run now; 0 between operations."""
    capacity: int
    """Size of the arenas of the threads that have one; COREPY_ARENA_SIZE sets that of each."""
    peak: int
    """The most that each thread has used, summed, scratch that did not fit included."""
    overflows: int
    """How often scratch did not fit and came from the pool, since the process began."""
