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

/// Lets a thread of this process run wherever the calling thread may, but on `processor`: a woken worker
/// stays off its caller's.
///
/// Linux wakes a thread on the processor of its waker when it takes no other for idle, and in a
/// virtual machine it takes none for idle whose virtual processor the host has descheduled. Measured
/// under KVM with two processors, waker at work: a parked thread was woken on the waker's processor in
/// 300 of 300 trials and took turns with it; with that processor out of its mask, in none, and it
/// began 16 to 48 us after the wake. The waker sets the mask: a worker that does so itself knows only
/// where its caller was the time before, and may be left with the one processor that the caller has
/// moved to.
pub fn keep_off(thread: i32, processor: usize) {
    #[cfg(target_os = "linux")]
    mask::keep_off(thread, processor);
    #[cfg(not(target_os = "linux"))]
    let _ = (thread, processor);
}

/// The calling thread's number, for [`keep_off`].
pub fn this_thread() -> i32 {
    #[cfg(target_os = "linux")]
    // SAFETY: it has no arguments and cannot fail.
    return unsafe { libc::gettid() };
    #[cfg(not(target_os = "linux"))]
    0
}

#[cfg(target_os = "linux")]
mod mask {
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

        /// Where a container forbids it, or the thread has ended, nothing changes.
        fn set(&self, thread: i32) {
            // SAFETY: the kernel reads the length given, from the mask.
            _ = unsafe {
                libc::sched_setaffinity(
                    thread,
                    size_of_val(&self.0),
                    self.0.as_ptr().cast::<libc::cpu_set_t>(),
                )
            };
        }

        pub fn count(&self) -> usize {
            self.0.iter().map(|word| word.count_ones() as usize).sum()
        }

        fn without(mut self, processor: usize) -> Mask {
            if let Some(word) = self.0.get_mut(processor / 64) {
                *word &= !(1 << (processor % 64));
            }
            self
        }
    }

    pub fn keep_off(thread: i32, processor: usize) {
        let Some(own) = Mask::of_this_thread() else { return };
        let others = own.clone().without(processor);
        if others.count() > 0 { others } else { own }.set(thread);
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::scheduler::affinity::this_thread;
        use std::sync::mpsc::channel;

        #[test]
        fn a_thread_runs_where_its_caller_may_but_there() {
            let (say, heard) = channel();
            let (ask, asked) = channel::<()>();
            let thread = std::thread::spawn(move || {
                say.send((this_thread(), Mask::of_this_thread().unwrap())).unwrap();
                for () in asked {
                    say.send((this_thread(), Mask::of_this_thread().unwrap())).unwrap();
                }
            });
            let (number, all) = heard.recv().unwrap();
            let processors: Vec<usize> = (0..8192).filter(|n| all.0[n / 64] >> (n % 64) & 1 == 1).collect();
            for &processor in processors.iter().chain([&8191, &usize::MAX]) {
                keep_off(number, processor);
                let expected = all.clone().without(processor);
                let expected = if expected.count() == 0 { &all } else { &expected };
                ask.send(()).unwrap();
                assert!(heard.recv().unwrap().1 == *expected, "{processor}");
            }
            drop(ask);
            thread.join().unwrap();
        }

        #[test]
        fn threads_that_have_ended_do_not_matter() {
            let number = std::thread::spawn(this_thread).join().unwrap();
            let before = Mask::of_this_thread();
            keep_off(number, 0);
            assert!(Mask::of_this_thread() == before);
        }
    }
}
