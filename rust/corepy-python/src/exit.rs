//! The end of the interpreter: operations of other threads stop, and none returns to Python after it.
//!
//! A thread that takes the GIL while the interpreter is finalised is ended by CPython before 3.14, by
//! unwinding through our frames, which aborts the process. So such threads sleep instead, until the
//! process ends.

use corepy_runtime::scheduler;
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Threads that have let go of the GIL in an operation and mean to take it again. Changed with the
/// GIL held, except by a thread that gives up taking it.
static RELEASED: AtomicUsize = AtomicUsize::new(0);

/// Threads, but for the one that exits, that read Python objects and may run their methods.
static READING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How often this thread is counted in each: its signal handlers may run operations too.
    static OWN: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    /// This thread has let go of the GIL in an operation.
    static WITHOUT_GIL: Cell<bool> = const { Cell::new(false) };
}

/// How long the exit waits for methods of Python objects that some thread is reading: they may wait
/// for what never comes. Our own operations stop, and are waited for without a limit.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs `f` without the GIL.
pub fn released<R: Send>(py: Python<'_>, f: impl FnOnce() -> R + Send) -> R {
    let (released, reading) = OWN.get();
    OWN.set((released + 1, reading));
    RELEASED.fetch_add(1, Ordering::SeqCst);
    let result = py.detach(|| {
        let without = WithoutGil::set(true);
        let result = f();
        drop(without);
        if scheduler::is_stopped() {
            RELEASED.fetch_sub(1, Ordering::SeqCst);
            sleep_forever();
        }
        result
    });
    RELEASED.fetch_sub(1, Ordering::SeqCst);
    OWN.set((released, reading));
    result
}

/// Says whether this thread is without the GIL, until dropped.
pub struct WithoutGil(bool);

impl WithoutGil {
    pub fn set(without: bool) -> WithoutGil {
        WithoutGil(WITHOUT_GIL.replace(without))
    }
}

impl Drop for WithoutGil {
    fn drop(&mut self) {
        WITHOUT_GIL.set(self.0);
    }
}

/// Runs `f`, which may wait for other threads of the interpreter, without the GIL.
pub fn waiting(f: &mut (dyn FnMut() + Send)) {
    // The end of the interpreter does not wait for it: its reader may never come. Counted again, the
    // operation goes on, or sleeps where that end has begun.
    let mut f = || {
        RELEASED.fetch_sub(1, Ordering::SeqCst);
        f();
        RELEASED.fetch_add(1, Ordering::SeqCst);
    };
    if WITHOUT_GIL.get() {
        return f();
    }
    // Attached already: an operation that has not let go of the GIL runs on this thread.
    Python::attach(|py| released(py, f));
}

/// Counts a thread that reads Python objects, until dropped.
pub struct Reading(usize);

impl Reading {
    pub fn new(py: Python<'_>) -> Reading {
        leave_if_over(py);
        let (released, reading) = OWN.get();
        OWN.set((released, reading + 1));
        if reading == 0 {
            READING.fetch_add(1, Ordering::SeqCst);
        }
        Reading(reading)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let (released, _) = OWN.get();
        OWN.set((released, self.0));
        if self.0 == 0 {
            READING.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Ends the part that this thread has in the interpreter, if that is being finalised.
#[inline]
pub fn leave_if_over(py: Python<'_>) {
    if scheduler::is_stopped() {
        leave(py);
    }
}

#[cold]
fn leave(py: Python<'_>) {
    let (_, reading) = OWN.get();
    if reading > 0 {
        READING.fetch_sub(1, Ordering::SeqCst);
    }
    py.detach(|| sleep_forever());
}

fn sleep_forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// What `atexit` calls: stops the operations of all other threads and waits until none is on its way
/// back to Python.
#[pyfunction]
fn _stop(py: Python<'_>) {
    scheduler::stop_other_threads(true);
    let (released, reading) = OWN.get();
    py.detach(|| {
        let start = Instant::now();
        while RELEASED.load(Ordering::SeqCst) > released
            || (READING.load(Ordering::SeqCst) > reading.min(1) && start.elapsed() < PATIENCE)
        {
            std::thread::sleep(Duration::from_micros(200));
        }
    });
}

/// In a child of a fork, only the thread that forked is left.
extern "C" fn child() {
    let (released, reading) = OWN.get();
    RELEASED.store(released, Ordering::SeqCst);
    READING.store(reading.min(1), Ordering::SeqCst);
    scheduler::stop_other_threads(false);
}

/// Connects the module to the end of the interpreter.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    // It fails for want of memory alone; a child of an operation's thread may then wait at its exit.
    // SAFETY: the handler is a function without arguments that lives as long as the process.
    unsafe { libc::pthread_atfork(None, None, Some(child)) };
    let stop = wrap_pyfunction!(_stop, m)?;
    m.py().import("atexit")?.call_method1("register", (stop,))?;
    Ok(())
}
