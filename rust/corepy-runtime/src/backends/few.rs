//! A list whose first values lie inline, so that a launch of a few arguments allocates nothing.

use std::fmt;
use std::mem::MaybeUninit;

/// Arguments of a kind that a launch holds without the heap.
const INLINE: usize = 8;

pub struct Few<T> {
    inline: [MaybeUninit<T>; INLINE],
    /// Values in `inline`; all are in `rest` where they do not fit.
    len: usize,
    rest: Vec<T>,
}

impl<T> Few<T> {
    pub fn new() -> Few<T> {
        Few { inline: [const { MaybeUninit::uninit() }; INLINE], len: 0, rest: Vec::new() }
    }

    pub fn push(&mut self, value: T) {
        if self.rest.is_empty() && self.len < INLINE {
            self.inline[self.len].write(value);
            self.len += 1;
            return;
        }
        self.rest.reserve(self.len + 1);
        // The inline values are the vector's from here on.
        for place in &self.inline[..std::mem::take(&mut self.len)] {
            // SAFETY: values below the length were written, and are read once.
            self.rest.push(unsafe { place.assume_init_read() });
        }
        self.rest.push(value);
    }

    pub fn as_slice(&self) -> &[T] {
        if self.rest.is_empty() {
            // SAFETY: values below the length were written.
            unsafe { std::slice::from_raw_parts(self.inline.as_ptr().cast(), self.len) }
        } else {
            &self.rest
        }
    }
}

impl<T> Drop for Few<T> {
    fn drop(&mut self) {
        for place in &mut self.inline[..self.len] {
            // SAFETY: values below the length were written.
            unsafe { place.assume_init_drop() };
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn values_inline_and_beyond() {
        let counted = Arc::new(());
        for len in [0, 1, INLINE, INLINE + 1, 3 * INLINE] {
            let mut few = Few::new();
            for i in 0..len {
                few.push((i, counted.clone()));
            }
            assert_eq!(
                few.as_slice().iter().map(|(i, _)| *i).collect::<Vec<_>>(),
                (0..len).collect::<Vec<_>>()
            );
            assert_eq!(Arc::strong_count(&counted), len + 1);
            drop(few);
            assert_eq!(Arc::strong_count(&counted), 1);
        }
    }
}
