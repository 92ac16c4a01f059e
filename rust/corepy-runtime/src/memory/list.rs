//! A list of small values, one an axis as a rule: inline up to 4, in a block of the pool above.
//!
//! Operations on tensors of up to 4 axes so allocate nothing for their loops, and more axes never reach
//! the Rust heap, which ends the process where memory is exhausted: a list without room unwinds as
//! scratch does, and the caller gets a `MemoryError`.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::{pool, refuse};

/// Values that a list holds without a block.
pub const INLINE: usize = 4;

/// Values of up to 64 axes and a few more.
///
/// A length and a union rather than an enum: every part lies at a multiple of 8 bytes, so that moving
/// a tensor, whose shape and strides are such lists, copies whole words. (As an enum the payload lay at
/// odd offsets, and the failed store forwarding of each move was a third of the time of adding two
/// tensors of one element.)
pub struct List<T: Copy + Default> {
    len: usize,
    values: Values<T>,
}

/// `inline` while the length is at most INLINE, its unused places the default; else `block`, which has
/// room for `room(len)` values.
union Values<T: Copy> {
    inline: [T; INLINE],
    block: NonNull<T>,
}

// SAFETY: the block is owned, as by a Vec.
unsafe impl<T: Copy + Default + Send> Send for List<T> {}
// SAFETY: as above.
unsafe impl<T: Copy + Default + Sync> Sync for List<T> {}

/// Values that the block of a list of `len` has room for.
const fn room(len: usize) -> usize {
    len.next_power_of_two()
}

#[cold]
#[inline(never)]
fn allocate<T>(len: usize) -> NonNull<T> {
    const { assert!(align_of::<T>() <= super::ALIGN) };
    match room(len).checked_mul(size_of::<T>()).map(|bytes| (bytes, pool::allocate(bytes))) {
        Some((_, Some(block))) => block.cast(),
        Some((bytes, None)) => refuse(bytes),
        None => refuse(usize::MAX),
    }
}

/// # Safety
/// The block came from `allocate` for a list of this length and is not used any more.
#[cold]
#[inline(never)]
unsafe fn release<T>(block: NonNull<T>, len: usize) {
    // SAFETY: the caller's promise: allocated with this many bytes.
    unsafe { pool::release(block.cast(), room(len) * size_of::<T>()) };
}

impl<T: Copy + Default> List<T> {
    #[inline]
    pub fn new(values: &[T]) -> List<T> {
        if values.len() > INLINE {
            return List::spilled(values.len(), |block| {
                // SAFETY: the block has room for as many values, and is new.
                unsafe { block.copy_from_nonoverlapping(NonNull::from(values).cast(), values.len()) }
            });
        }
        let mut inline = [T::default(); INLINE];
        for (to, &from) in inline.iter_mut().zip(values) {
            *to = from;
        }
        List { len: values.len(), values: Values { inline } }
    }

    /// `len` default values.
    #[inline]
    pub fn zeros(len: usize) -> List<T> {
        if len > INLINE {
            return List::spilled(len, |block| {
                for i in 0..len {
                    // SAFETY: the block has room for `len` values.
                    unsafe { block.add(i).write(T::default()) };
                }
            });
        }
        List { len, values: Values { inline: [T::default(); INLINE] } }
    }

    /// `fill` sets all values.
    #[cold]
    fn spilled(len: usize, fill: impl FnOnce(NonNull<T>)) -> List<T> {
        let block = allocate(len);
        fill(block);
        List { len, values: Values { block } }
    }

    pub fn push(&mut self, value: T) {
        let len = self.len;
        if len < INLINE {
            // SAFETY: up to INLINE the values are inline.
            unsafe { self.values.inline[len] = value };
        } else {
            if len == INLINE || len == room(len) {
                let longer = allocate::<T>(len + 1);
                // SAFETY: both hold `len` values, and the new block room for one more; the old one, where
                // there is one, is not used any more.
                unsafe {
                    longer.copy_from_nonoverlapping(NonNull::from(&self[..]).cast(), len);
                    if len > INLINE {
                        release(self.values.block, len);
                    }
                }
                self.values = Values { block: longer };
            }
            // SAFETY: above INLINE the values are in the block, which has room for this one.
            unsafe { self.values.block.add(len).write(value) };
        }
        self.len = len + 1;
    }

    /// Takes the value at a place out; those behind move up.
    pub fn remove(&mut self, at: usize) -> T {
        let removed = self[at];
        self.copy_within(at + 1.., at);
        self.truncate(self.len - 1);
        removed
    }

    /// Drops the values from number `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        if self.len > INLINE {
            if len > INLINE && room(len) == room(self.len) {
                self.len = len;
                return;
            }
            // The block of a shorter list is a smaller one.
            *self = List::new(&self[..len]);
            return;
        }
        for unused in &mut self[len..] {
            *unused = T::default();
        }
        self.len = len;
    }

    /// Merges neighbours: `join` may make one value of an outer and an inner one.
    pub fn merge(&mut self, join: impl Fn(&T, &T) -> Option<T>) {
        let mut last = 0;
        for at in 1..self.len {
            match join(&self[last], &self[at]) {
                Some(one) => self[last] = one,
                None => {
                    last += 1;
                    self[last] = self[at];
                }
            }
        }
        if self.len > 0 {
            self.truncate(last + 1);
        }
    }
}

impl<T: Copy + Default> Drop for List<T> {
    #[inline]
    fn drop(&mut self) {
        if self.len > INLINE {
            // SAFETY: above INLINE the values are in a block for this length.
            unsafe { release(self.values.block, self.len) };
        }
    }
}

impl<T: Copy + Default> Clone for List<T> {
    #[inline]
    fn clone(&self) -> List<T> {
        if self.len > INLINE {
            return List::new(self);
        }
        // SAFETY: up to INLINE the values are inline.
        List { len: self.len, values: Values { inline: unsafe { self.values.inline } } }
    }
}

impl<T: Copy + Default> Deref for List<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` says which member of the union holds at least `len` values.
        unsafe {
            let first =
                if self.len <= INLINE { self.values.inline.as_ptr() } else { self.values.block.as_ptr() };
            std::slice::from_raw_parts(first, self.len)
        }
    }
}

impl<T: Copy + Default> DerefMut for List<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in deref; the values are owned.
        unsafe {
            let first =
                if self.len <= INLINE { self.values.inline.as_mut_ptr() } else { self.values.block.as_ptr() };
            std::slice::from_raw_parts_mut(first, self.len)
        }
    }
}

impl<T: Copy + Default> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> List<T> {
        let mut list = List::zeros(0);
        for value in values {
            list.push(value);
        }
        list
    }
}

impl PartialEq for List<i64> {
    #[inline]
    fn eq(&self, other: &List<i64>) -> bool {
        if self.len != other.len || self.len > INLINE {
            return self[..] == other[..];
        }
        // Without a branch per axis, and without a call of memcmp: unused places are equal zeros.
        // SAFETY: both lengths are at most INLINE.
        let (a, b) = unsafe { (&self.values.inline, &other.values.inline) };
        (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
    }
}
impl Eq for List<i64> {}

impl<T: Copy + Default + std::fmt::Debug> std::fmt::Debug for List<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self[..].fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every change, compared with a Vec, around the lengths where values move.
    #[test]
    fn behaves_as_a_vec() {
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % below
        };
        let (mut list, mut vec) = (List::<i64>::zeros(0), Vec::new());
        for step in 0..20_000_i64 {
            match next(8) {
                0..4 => {
                    list.push(step);
                    vec.push(step);
                }
                4 | 5 if !vec.is_empty() => {
                    let at = next(vec.len());
                    assert_eq!(list.remove(at), vec.remove(at));
                }
                6 if next(10) == 0 => {
                    let len = next(vec.len() + 2);
                    list.truncate(len);
                    vec.truncate(len);
                }
                _ => {
                    let copy = list.clone();
                    assert!(
                        copy == list
                            && List::new(&vec) == list
                            && vec.iter().copied().collect::<List<i64>>() == list
                    );
                    list = copy;
                }
            }
            assert_eq!(&list[..], &vec[..]);
        }
    }

    #[test]
    fn lists_differ_by_length_and_value() {
        for n in 0..10_usize {
            let values: Vec<i64> = (0..n as i64).map(|i| i * i).collect();
            let list = List::new(&values);
            assert_eq!(&List::<i64>::zeros(n)[..], &vec![0; n][..]);
            let mut longer = list.clone();
            longer.push(0);
            assert!(longer != list);
            longer.truncate(n);
            assert!(longer == list);
            if n > 0 {
                longer[n - 1] += 1;
                assert!(longer != list);
            }
        }
    }

    #[test]
    fn merging_joins_neighbours() {
        let sum_below_ten = |a: &i64, b: &i64| (a + b < 10).then_some(a + b);
        for (given, merged) in [
            (&[1, 2, 3][..], &[6][..]),
            (&[9, 1, 1, 9], &[9, 2, 9]),
            (&[], &[]),
            (&[4, 5, 6, 3, 7, 1, 1, 8], &[9, 9, 9, 8]),
            (&[10; 7], &[10; 7]),
        ] {
            let mut list = List::new(given);
            list.merge(sum_below_ten);
            assert_eq!(&list[..], merged);
        }
    }
}
