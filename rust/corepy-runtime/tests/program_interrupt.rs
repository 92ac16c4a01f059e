//! A program that never ends stops when the user asks for it. Alone in its process: the hook is the process's.

#[path = "programs/lanes/mod.rs"]
mod lanes;

use corepy_runtime::Error;
use corepy_runtime::backends::{LaunchError, Options};
use corepy_runtime::scheduler;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static WANTED: AtomicBool = AtomicBool::new(false);

#[test]
fn an_endless_program_stops() {
    scheduler::set_interrupt_hook(|| WANTED.load(Ordering::Relaxed));
    for text in [
        ".kernel k\nl:\n    bra l",
        ".kernel k\n    loop i, 9223372036854775807\n    endloop\n    exit",
        // More lanes than could ever run.
        ".kernel k\n    exit",
    ] {
        WANTED.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(120));
                WANTED.store(true, Ordering::Relaxed);
            });
            scheduler::interruptible(true);
            let start = Instant::now();
            let done = lanes::run(text, &[], &Options::lanes(1 << 62));
            assert_eq!(done, Err(LaunchError::Refused(Error::Interrupted {})));
            // Two polls, with room for a machine that is busy.
            let taken = start.elapsed();
            assert!((Duration::from_millis(100)..Duration::from_secs(20)).contains(&taken), "{taken:?}");
        });
    }
}
