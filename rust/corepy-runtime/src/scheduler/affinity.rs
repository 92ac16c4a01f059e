//! Which processors a thread may run on, and keeping workers off the caller's.

/// Number of processors in the calling thread's affinity mask.
pub fn processors() -> usize {
    #[cfg(target_os = "linux")]
    if let Some(mask) = mask::Mask::of_this_thread() {
        return mask.count();
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Number of the processor that the thread runs on now; None where the system does not say.
pub fn current() -> Option<usize> {
    #[cfg(target_os = "linux")]
    // SAFETY: reads where the thread runs.
    return usize::try_from(unsafe { libc::sched_getcpu() }).ok();
    #[cfg(not(target_os = "linux"))]
    None
}

/// Takes `processor`, where the caller runs that woke workers last, out of the calling worker's mask,
/// and puts the one back that was taken before.
///
/// Linux wakes a thread on the processor of its waker when it takes no other for idle, and in a
/// virtual machine it takes none for idle whose virtual processor the host has descheduled. Measured
/// under KVM with two processors, waker at work: a parked thread was woken on the waker's processor in
/// 300 of 300 trials and took turns with it; with that processor out of its mask, in none, and it
/// began 16 to 48 us after the wake.
pub fn avoid(processor: usize) {
    #[cfg(target_os = "linux")]
    mask::avoid(processor);
    #[cfg(not(target_os = "linux"))]
    let _ = processor;
}

#[cfg(target_os = "linux")]
mod mask {
    use std::cell::RefCell;

    /// Affinity mask of 8,192 processors, the most that Linux can be built for; `cpu_set_t` ends at 1,024.
    #[derive(Clone, PartialEq)]
    pub struct Mask([u64; 128]);

    impl Mask {
        pub fn of_this_thread() -> Option<Mask> {
            let mut mask = Mask([0; 128]);
            // SAFETY: the kernel writes at most the length given, into the mask.
            let result = unsafe {
                libc::sched_getaffinity(
                    0,
                    size_of_val(&mask.0),
                    mask.0.as_mut_ptr().cast::<libc::cpu_set_t>(),
                )
            };
            (result == 0 && mask.count() > 0).then_some(mask)
        }

        /// Fails where a container forbids it; the mask then stays as it is.
        fn set(&self) -> bool {
            // SAFETY: the kernel reads the length given, from the mask.
            unsafe {
                libc::sched_setaffinity(0, size_of_val(&self.0), self.0.as_ptr().cast::<libc::cpu_set_t>())
                    == 0
            }
        }

        pub fn count(&self) -> usize {
            self.0.iter().map(|word| word.count_ones() as usize).sum()
        }

        fn put(&mut self, processor: usize, inside: bool) {
            if let Some(word) = self.0.get_mut(processor / 64) {
                let bit = 1 << (processor % 64);
                *word = if inside { *word | bit } else { *word & !bit };
            }
        }
    }

    thread_local! {
        /// The processor that was taken out, and the mask that was left.
        static TAKEN: RefCell<Option<(usize, Mask)>> = const { RefCell::new(None) };
    }

    pub fn avoid(processor: usize) {
        TAKEN.with_borrow_mut(|taken| {
            if taken.as_ref().is_some_and(|(before, _)| *before == processor) {
                return;
            }
            let Some(mut mask) = Mask::of_this_thread() else { return };
            if let Some((before, left)) = taken.take()
                // Someone else has set the mask since: that holds as it is.
                && left == mask
            {
                mask.put(before, true);
            }
            let all = mask.clone();
            mask.put(processor, false);
            if mask.count() == 0 {
                mask = all;
            }
            if mask.set() {
                *taken = Some((processor, mask));
            }
        });
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn one_processor_is_out_at_a_time_and_one_stays_in() {
            std::thread::spawn(|| {
                let all = Mask::of_this_thread().unwrap();
                let numbers: Vec<usize> = (0..8192).filter(|n| all.0[n / 64] >> (n % 64) & 1 == 1).collect();
                for &number in numbers.iter().chain([&8191, &usize::MAX]) {
                    avoid(number);
                    let mut expected = all.clone();
                    expected.put(number, false);
                    let expected = if expected.count() == 0 { all.clone() } else { expected };
                    assert!(Mask::of_this_thread().unwrap() == expected, "{number}");
                    avoid(number);
                    assert!(Mask::of_this_thread().unwrap() == expected, "{number}");
                }
                // What the user sets in between is kept.
                let mut one = Mask([0; 128]);
                one.put(numbers[0], true);
                assert!(one.set());
                avoid(numbers[0]);
                assert!(Mask::of_this_thread().unwrap() == one);
                if numbers.len() > 1 {
                    avoid(numbers[1]);
                    assert!(Mask::of_this_thread().unwrap() == one);
                }
            })
            .join()
            .unwrap();
        }
    }
}
