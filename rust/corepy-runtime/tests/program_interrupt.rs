//! A program that never ends stops when the user asks for it. Alone in its process: the hook is the process's.

#[path = "programs/lanes/mod.rs"]
mod lanes;

use corepy_runtime::Error;
use corepy_runtime::backends::{self, LaunchError, Options, launch};
use corepy_runtime::scheduler;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static WANTED: AtomicBool = AtomicBool::new(false);

#[test]
fn an_endless_program_stops() {
    scheduler::set_interrupt_hook(|| WANTED.load(Ordering::Relaxed));
    let usable = backends::all().iter().filter(|b| b.capabilities().reason.is_empty());
    let texts = [
        ".kernel k\nl:\n    bra l",
        ".kernel k\n    loop i, 9223372036854775807\n    endloop\n    exit",
        // More lanes than could ever run.
        ".kernel k\n    exit",
        // Some lanes go round forever, others wait for them.
        ".kernel k\n    seteq.i64 p, %lane, 3\nl:\n    bra p, l\n    exit",
    ];
    for (text, backend) in usable.flat_map(|backend| texts.map(|text| (text, backend.name()))) {
        WANTED.store(false, Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(120));
                WANTED.store(true, Ordering::Relaxed);
            });
            scheduler::interruptible(true);
            let start = Instant::now();
            let done = launch(&lanes::program(text), &[], &Options::lanes(1 << 62), backend);
            assert_eq!(done, Err(LaunchError::Refused(Error::Interrupted {})));
            // Two polls, with room for a machine that is busy.
            let taken = start.elapsed();
            assert!((Duration::from_millis(100)..Duration::from_secs(20)).contains(&taken), "{taken:?}");
        });
    }
}
