//! The floating-point state that kernels run in: round to nearest, subnormals kept, no traps.
//!
//! A library in the same process may have set flush-to-zero or another rounding; results must not
//! depend on that. Sticky exception flags are nobody's promise and stay as they are.

/// Holds the state that kernels need on this thread, and restores the one before when dropped.
/// Where the state is right already this costs reading a register.
#[must_use = "the state before is restored when the guard is dropped"]
pub struct Guard {
    before: Option<register::Word>,
    /// The register belongs to the thread.
    not_send: std::marker::PhantomData<*const ()>,
}

impl Guard {
    #[inline]
    #[allow(clippy::new_without_default)] // a Default would invite making one and dropping it at once
    pub fn new() -> Guard {
        let word = register::read();
        let before = if register::is_right(word) {
            None
        } else {
            register::write(register::right(word));
            Some(word)
        };
        Guard { before, not_send: std::marker::PhantomData }
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        if let Some(word) = self.before {
            register::write(word);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod register {
    use std::arch::asm;

    /// MXCSR: flags in bits 0-5, DAZ 6, masks 7-12, rounding 13-14, FTZ 15.
    pub type Word = u32;
    const FLAGS: Word = 0x3f;
    const MASKS: Word = 0x1f80;

    #[inline]
    pub fn read() -> Word {
        let mut word: Word = 0;
        // SAFETY: stores the 32-bit register to a local.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack, preserves_flags)) };
        word
    }

    #[inline]
    pub fn is_right(word: Word) -> bool {
        word & !FLAGS == MASKS
    }

    #[inline]
    pub fn right(word: Word) -> Word {
        word & FLAGS | MASKS
    }

    #[inline]
    pub fn write(word: Word) {
        // SAFETY: the word has no reserved bit: it was read from the register or made by `right`.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, readonly, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    use std::arch::asm;

    /// FPCR: FIZ 0, AH 1, NEP 2, trap enables 8-12 and 15, FZ16 19, rounding 22-23, FZ 24, DN 25.
    pub type Word = u64;
    const WRONG: Word = 0x7 | 0x1f << 8 | 1 << 15 | 1 << 19 | 0x3 << 22 | 1 << 24 | 1 << 25;

    #[inline]
    pub fn read() -> Word {
        let word: Word;
        // SAFETY: reads the control register.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack, preserves_flags)) };
        word
    }

    #[inline]
    pub fn is_right(word: Word) -> bool {
        word & WRONG == 0
    }

    #[inline]
    pub fn right(word: Word) -> Word {
        word & !WRONG
    }

    #[inline]
    pub fn write(word: Word) {
        // SAFETY: the word was read from the register or has fewer bits set.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    pub type Word = u32;

    pub fn read() -> Word {
        0
    }

    pub fn is_right(_: Word) -> bool {
        true
    }

    pub fn right(word: Word) -> Word {
        word
    }

    pub fn write(_: Word) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn wrong_states_are_corrected_and_restored() {
        let original = register::read();
        // FTZ, DAZ, each rounding, an unmasked inexact exception.
        for wrong in [0x9f80, 0x1fc0, 0x3f80, 0x5f80, 0x7f80, 0x0f80, 0xffc0] {
            register::write(wrong);
            {
                let _guard = Guard::new();
                assert!(register::is_right(register::read()));
                let tiny = std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5);
                assert!(tiny > 0.0, "subnormals are kept");
                {
                    let inner = Guard::new();
                    assert!(inner.before.is_none());
                }
                assert!(register::is_right(register::read()));
            }
            let after = register::read();
            register::write(original);
            assert_eq!(after & !0x3f, wrong & !0x3f, "{wrong:#x}");
        }
    }

    #[test]
    fn right_state_is_left_alone() {
        let _outer = Guard::new();
        assert!(Guard::new().before.is_none());
    }
}
