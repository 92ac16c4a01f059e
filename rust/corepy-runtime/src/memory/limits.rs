//! How much memory may still be taken: a request that exceeds it is refused at once, instead of ending
//! the process when its pages are touched.

use crate::scheduler::cgroup;

/// Requests below this are not looked at: asking takes some 50 us, as long as 128 of their pages' faults.
const LOOKED_AT: usize = 64 << 20;
/// What a large request leaves of the address space, for everything that is not a tensor.
const SPARE: u64 = 16 << 20;

/// Whether the system would let `bytes` more bytes be used, as far as can be known before.
pub fn fits(bytes: usize) -> bool {
    bytes < LOOKED_AT || bytes as u64 <= available()
}

/// Bytes that this process can still take: what the address space, the container and the machine leave.
pub fn available() -> u64 {
    let parts = [address_space(), cgroup::memory_left(), machine()];
    parts.into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// What RLIMIT_AS leaves; None where it is not set.
pub fn address_space() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit fills the struct that it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } != 0
        || limit.rlim_cur == libc::RLIM_INFINITY
    {
        return None;
    }
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().next()?.parse().ok()?;
    let used = pages.saturating_mul(super::page_size() as u64);
    Some(limit.rlim_cur.saturating_sub(used).saturating_sub(SPARE))
}

/// What the machine has without taking it from other processes, its swap included.
pub fn machine() -> Option<u64> {
    left_of(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn left_of(meminfo: &str) -> Option<u64> {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(field("MemAvailable:")?.saturating_add(field("SwapFree:").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_counts_what_is_available_and_swap() {
        let text =
            "MemTotal:  100 kB\nMemFree:  1 kB\nMemAvailable:   50 kB\nSwapTotal: 9 kB\nSwapFree:   7 kB\n";
        assert_eq!(left_of(text), Some(57 << 10));
        assert_eq!(left_of("MemAvailable: 3 kB\n"), Some(3 << 10));
        for text in
            ["", "MemTotal: 5 kB\n", "MemAvailable: many kB\n", "MemAvailable: 99999999999999999999 kB\n"]
        {
            assert_eq!(left_of(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine_has_memory_and_an_end_of_it() {
        assert!(fits(0) && fits(64 << 20));
        assert!(!fits(1 << 60));
        assert!(available() > 64 << 20);
    }
}
