//! Sets of the lanes of a tile, one bit each.

/// Most lanes of a tile.
pub const MOST: usize = 1024;
const WORDS: usize = MOST / 64;

/// The words that hold the bits of `from .. to`, which is not empty, each with these bits.
fn words(from: usize, to: usize) -> impl Iterator<Item = (usize, u64)> {
    let (first, last) = (from / 64, (to - 1) / 64);
    (first..=last).map(move |i| {
        let mut word = u64::MAX;
        if i == first {
            word &= u64::MAX << (from % 64);
        }
        if i == last {
            word &= u64::MAX >> (63 - (to - 1) % 64);
        }
        (i, word)
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Set(pub [u64; WORDS]);

impl Set {
    pub const NONE: Set = Set([0; WORDS]);

    /// Lanes `from` to `to - 1`.
    pub fn range(from: usize, to: usize) -> Set {
        let mut set = Set::NONE;
        set.add_range(from, to);
        set
    }

    pub fn add_range(&mut self, from: usize, to: usize) {
        if from < to {
            words(from, to).for_each(|(i, word)| self.0[i] |= word);
        }
    }

    /// Whether `from .. to`, which is not empty, is in the set.
    pub fn holds_range(&self, from: usize, to: usize) -> bool {
        words(from, to).all(|(i, word)| self.0[i] & word == word)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.iter().fold(0, |any, word| any | word) == 0
    }

    #[inline]
    pub fn and(&self, other: &Set) -> Set {
        Set(std::array::from_fn(|i| self.0[i] & other.0[i]))
    }

    #[inline]
    pub fn or(&self, other: &Set) -> Set {
        Set(std::array::from_fn(|i| self.0[i] | other.0[i]))
    }

    #[inline]
    pub fn without(&self, other: &Set) -> Set {
        Set(std::array::from_fn(|i| self.0[i] & !other.0[i]))
    }

    #[inline]
    pub fn contains(&self, lane: usize) -> bool {
        self.0[lane / 64] >> (lane % 64) & 1 == 1
    }

    /// The lowest lane.
    pub fn first(&self) -> Option<usize> {
        let word = self.0.iter().position(|&word| word != 0)?;
        Some(64 * word + self.0[word].trailing_zeros() as usize)
    }

    /// The highest lane.
    pub fn last(&self) -> Option<usize> {
        let word = self.0.iter().rposition(|&word| word != 0)?;
        Some(64 * word + 63 - self.0[word].leading_zeros() as usize)
    }

    /// The lanes in rising order.
    pub fn lanes(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(i, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let lane = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    64 * i + lane
                })
            })
        })
    }
}

/// Lanes that run together.
#[derive(Clone, Copy)]
pub struct Active {
    pub set: Set,
    /// The lanes lie in `lo .. hi`.
    pub lo: usize,
    pub hi: usize,
    /// Whether they are all of `lo .. hi`.
    pub dense: bool,
}

impl Active {
    pub const NONE: Active = Active { set: Set::NONE, lo: 0, hi: 0, dense: true };

    pub fn new(set: Set) -> Active {
        match (set.first(), set.last()) {
            (Some(lo), Some(last)) => {
                let hi = last + 1;
                Active { set, lo, hi, dense: set.holds_range(lo, hi) }
            }
            _ => Active::NONE,
        }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.hi - self.lo
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.hi == self.lo
    }
}

/// Lanes that wait at a step.
#[derive(Clone, Copy)]
pub struct Group {
    pub step: u32,
    pub set: Set,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_lanes() {
        for (from, to) in [(0, 0), (0, 1), (0, 64), (63, 65), (64, 128), (5, 1024), (0, 1024), (1023, 1024)] {
            let set = Set::range(from, to);
            assert_eq!(set.lanes().collect::<Vec<_>>(), (from..to).collect::<Vec<_>>());
            let active = Active::new(set);
            assert_eq!((active.len(), active.dense), (to - from, true));
            assert_eq!(
                (set.first(), set.last()),
                ((from < to).then_some(from), to.checked_sub(1).filter(|_| from < to))
            );
        }
        let mut holes = Set::range(3, 9);
        holes.add_range(100, 101);
        let active = Active::new(holes.without(&Set::range(4, 5)));
        assert_eq!((active.lo, active.hi, active.dense), (3, 101, false));
        assert_eq!(active.set.lanes().count(), 6);
        assert!(!active.set.contains(4) && active.set.contains(100));
    }
}
