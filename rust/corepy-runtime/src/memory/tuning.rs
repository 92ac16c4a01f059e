//! How much of a thread's arena the operations of each class plan for: data, one row a class.

use super::arena;

/// Operations that use scratch alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Elementwise,
    Copy,
    Gather,
    Reduction,
    Matmul,
}

/// One class and its part of the arena in bytes; blocks and strips are cut so that they fit it.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub class: Class,
    pub bytes: usize,
}

/// Rows in the order of [`Class`].
pub static SHARES: [Share; 5] = [
    // Up to four operands of 16 bytes an element: 1,024 elements as stored, as computed and turned, and
    // tables of offsets or constants for blocks.
    Share { class: Class::Elementwise, bytes: 320 << 10 },
    // The same for two operands.
    Share { class: Class::Copy, bytes: 192 << 10 },
    // Two blocks of 1,024 offsets, and the counts of a mask's tiles: 8 bytes for 16,384 elements.
    Share { class: Class::Gather, bytes: 512 << 10 },
    // A strip's states on the way up its tree (three quarters) and a block of gathered rows.
    Share { class: Class::Reduction, bytes: 1 << 20 },
    // A block of packed rows and one of packed columns of a tile. What all tiles share, up to 8 MiB, is
    // no thread's own and comes from the pool.
    Share { class: Class::Matmul, bytes: 1 << 20 },
];

/// Bytes that an operation of a class plans for on each thread, with the arena that there is.
pub fn share(class: Class) -> usize {
    SHARES[class as usize].bytes.min(arena::size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fit_the_arena_and_stand_in_order() {
        for (place, row) in SHARES.iter().enumerate() {
            assert_eq!(row.class as usize, place);
            assert!((64 << 10..=arena::DEFAULT_SIZE).contains(&row.bytes), "{row:?}");
        }
    }
}
