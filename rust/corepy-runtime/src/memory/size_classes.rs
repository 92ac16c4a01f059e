//! Size classes of the pool: which block a request of some bytes gets.
//!
//! Waste: classes are 64 bytes apart up to 512 bytes, then a quarter of the power of two below (up
//! to 128 KiB), then an eighth: a block is at most 1.25 times its request plus 63 bytes, and 1.125
//! times above 128 KiB. A request above the limit on cached bytes is mapped to whole pages exactly.

use super::{page_size, round_up};

/// Largest block that is carved from a chunk.
pub const SMALL_MAX: usize = 128 << 10;
/// Largest block that fronts keep: above it, work on the block hides the 50 ns that the back takes instead of 7.
pub const FRONT_MAX: usize = 32 << 10;
pub const SMALL_CLASSES: usize = small_class(SMALL_MAX) + 1;
pub const FRONT_CLASSES: usize = small_class(FRONT_MAX) + 1;
/// From 128 KiB to 2**62, eight classes for each power of two.
pub const LARGE_CLASSES: usize = (62 - 17) * 8;
/// Blocks that a front keeps of one class: 64 KiB, at least 2 blocks, at most 64.
const fn front_capacity(class: usize) -> u32 {
    match (64 << 10) / small_size(class) {
        0..2 => 2,
        fit @ 2..64 => fit as u32,
        _ => 64,
    }
}
/// What one front may hold in all: about 1.7 MiB.
pub const FRONT_BUDGET: usize = {
    let mut sum = 0;
    let mut class = 0;
    while class < FRONT_CLASSES {
        sum += front_capacity(class) as usize * small_size(class);
        class += 1;
    }
    sum
};
/// Class of a request of at most [`SMALL_MAX`] bytes.
pub const fn small_class(bytes: usize) -> usize {
    if bytes <= 512 {
        return if bytes == 0 { 0 } else { (bytes - 1) / 64 };
    }
    let last = bytes - 1;
    let power = last.ilog2() as usize;
    8 + (power - 9) * 4 + ((last >> (power - 2)) & 3)
}

/// Bytes of a block of a small class.
pub const fn small_size(class: usize) -> usize {
    if class < 8 {
        return (class + 1) * 64;
    }
    let power = 9 + (class - 8) / 4;
    (1 << power) + (((class - 8) % 4 + 1) << (power - 2))
}

pub static SIZES: [u32; SMALL_CLASSES] = {
    let mut sizes = [0; SMALL_CLASSES];
    let mut class = 0;
    while class < SMALL_CLASSES {
        sizes[class] = small_size(class) as u32;
        class += 1;
    }
    sizes
};
pub static CAPACITIES: [u32; FRONT_CLASSES] = {
    let mut capacities = [0; FRONT_CLASSES];
    let mut class = 0;
    while class < FRONT_CLASSES {
        capacities[class] = front_capacity(class);
        class += 1;
    }
    capacities
};

/// Length of the mapping for a request above [`SMALL_MAX`], and its class where it may be cached.
pub fn large_size(bytes: usize, limit: usize) -> Option<(usize, Option<usize>)> {
    let last = bytes - 1;
    let power = last.ilog2() as usize;
    if power < 62 {
        let step = 1_usize << (power - 3);
        let size = (last / step + 1) * step;
        if size <= limit {
            return Some((size, Some((power - 17) * 8 + ((last >> (power - 3)) & 7))));
        }
    }
    Some((round_up(bytes, page_size())?, None))
}

/// Bytes of a block of a large class.
pub fn large_class_size(class: usize) -> usize {
    let power = 17 + class / 8;
    (1 << power) + ((class % 8 + 1) << (power - 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_classes_are_tight_and_aligned() {
        for bytes in 0..=SMALL_MAX {
            let class = small_class(bytes);
            let size = small_size(class);
            assert!(size >= bytes && size.is_multiple_of(64), "{bytes}: {size}");
            assert!(class == 0 || small_size(class - 1) < bytes, "{bytes} fits a smaller class than {size}");
            assert!(size as f64 <= 1.25 * bytes as f64 + 63.0 || bytes == 0, "{bytes}: {size}");
        }
        assert_eq!(SMALL_CLASSES, 40);
        assert_eq!(small_size(SMALL_CLASSES - 1), SMALL_MAX);
    }

    #[test]
    fn large_classes_are_tight_and_agree_with_their_number() {
        for power in 17..45 {
            for offset in [1_usize, 2, 4095, 4096, 4097, (1 << power) / 8, (1 << power) / 8 + 1, 1 << power] {
                let bytes = (1_usize << power) + offset;
                let (size, class) = large_size(bytes, usize::MAX - 1).unwrap();
                assert_eq!(size, large_class_size(class.unwrap()));
                assert!(
                    size >= bytes && size.is_multiple_of(4096) && size as f64 <= bytes as f64 * 1.125 + 1.0
                );
                // Above the limit: whole pages, no class.
                let (exact, class) = large_size(bytes, 0).unwrap();
                assert!(class.is_none() && exact >= bytes && exact - bytes < page_size());
            }
        }
        assert!(large_size(usize::MAX, 0).is_none());
        let (_, class) = large_size(1 << 62, usize::MAX - 1).unwrap();
        assert!(class.unwrap() < LARGE_CLASSES);
        assert!(large_size((1 << 62) + 1, usize::MAX - 1).unwrap().1.is_none());
    }

    #[test]
    fn fronts_stay_small() {
        const { assert!(FRONT_BUDGET < 2 << 20) };
        assert!((0..FRONT_CLASSES).all(|class| (2..=64).contains(&front_capacity(class))));
    }
}
