//! The only way from Python into the runtime: GIL, floating-point state, panics, errors.

use crate::exit;
use corepy_runtime::scheduler::{self, Flow, fork, fp_state, panics};
use corepy_runtime::{Error, Result, trace};
use pyo3::exceptions::{
    PyAttributeError, PyBufferError, PyIndexError, PyKeyboardInterrupt, PyMemoryError, PyNotImplementedError,
    PyOSError, PyOverflowError, PyRuntimeError, PyTypeError, PyValueError, PyZeroDivisionError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes that an operation may touch before releasing the GIL pays. Release and take again cost
/// about 50 ns alone and up to a switch interval when others wait; 256 KiB take some 10 us.
const RELEASE_BYTES: usize = 256 * 1024;

/// Runs `f`, which touches about `bytes` bytes, in the runtime.
///
/// Long work lets go of the GIL and, on the main thread, stops for signals.
#[inline]
pub fn enter<R: Send>(py: Python<'_>, bytes: usize, f: impl FnOnce() -> Result<R> + Send) -> PyResult<R> {
    let done = if bytes < RELEASE_BYTES { guarded(f) } else { exit::released(py, || interruptibly(f)) };
    done.map_err(|e| error(py, e))
}

#[inline]
fn guarded<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let _state = fp_state::Guard::new();
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(internal(panic)))
}

fn interruptibly<R>(f: impl FnOnce() -> Result<R>) -> Result<R> {
    let before = scheduler::interruptible(is_main_thread());
    let done = guarded(f);
    scheduler::interruptible(before);
    done
}

/// Whether this is the thread that runs Python's signal handlers: that of the process's own id, also
/// in a child that a thread has forked. Asking the system takes 200 ns, so each thread asks once.
fn is_main_thread() -> bool {
    thread_local! {
        /// The answer, and one more than the number of forks before it; 0 where none was asked for.
        static KNOWN: Cell<(usize, bool)> = const { Cell::new((0, false)) };
    }
    fork::register();
    let generation = fork::generation() as usize + 1;
    let (asked, known) = KNOWN.get();
    if asked == generation {
        return known;
    }
    // SAFETY: neither call has preconditions.
    let is_main = unsafe { libc::gettid() == libc::getpid() };
    KNOWN.set((generation, is_main));
    is_main
}

thread_local! {
    /// What a signal handler raised while an operation ran on this thread.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
}

/// Runs Python's pending signal handlers; true when one raised.
fn signal_raised() -> bool {
    let _with_gil = exit::WithoutGil::set(false);
    Python::attach(|py| match py.check_signals() {
        Ok(()) => false,
        Err(raised) => {
            RAISED.set(Some(raised));
            true
        }
    })
}

/// Connects the runtime to the interpreter; called once, by the module's initialisation.
pub fn install() {
    scheduler::set_interrupt_hook(signal_raised);
    trace::set_write_hook(exit::waiting);
    panics::note_places();
}

/// The error behind a panic: one of the catalogue that unwound as itself, else a defect of corepy's own.
#[cold]
pub fn internal(panic: Box<dyn Any + Send>) -> Error {
    let panic = match panic.downcast::<Error>() {
        Ok(error) => return *error,
        Err(other) => other,
    };
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&'static str>().copied())
        .unwrap_or("a panic without a message");
    let place = panics::take_place().unwrap_or_else(|| "somewhere".to_owned());
    Error::Internal { op: "runtime", what: format!("{text} ({place})") }
}

/// The Python exception of an error of the catalogue.
#[cold]
pub fn error(py: Python<'_>, error: Error) -> PyErr {
    if let Error::Interrupted {} = error {
        exit::leave_if_over(py);
        return RAISED.take().unwrap_or_else(|| PyKeyboardInterrupt::new_err(()));
    }
    let message = error.to_string();
    match error.class() {
        "ValueError" => PyValueError::new_err(message),
        "TypeError" => PyTypeError::new_err(message),
        "IndexError" => PyIndexError::new_err(message),
        "MemoryError" => PyMemoryError::new_err(message),
        "OSError" => PyOSError::new_err(message),
        "BufferError" => PyBufferError::new_err(message),
        "OverflowError" => PyOverflowError::new_err(message),
        "ZeroDivisionError" => PyZeroDivisionError::new_err(message),
        "AttributeError" => PyAttributeError::new_err(message),
        "NotImplementedError" => PyNotImplementedError::new_err(message),
        own => own_error(py, own, message),
    }
}

/// An exception of a class declared in corepy.errors.
fn own_error(py: Python<'_>, class: &'static str, message: String) -> PyErr {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || py.import("corepy.errors").map(Bound::unbind));
    let found = module.and_then(|m| Ok(m.bind(py).getattr(class)?.cast_into::<PyType>()?));
    match found {
        Ok(class) => PyErr::from_type(class, message),
        Err(_) => PyRuntimeError::new_err(message),
    }
}

/// Panics in an operation, on the calling thread or, if one helps within ten seconds, on a worker: what
/// tests need to see that the process survives it.
#[pyfunction]
#[pyo3(signature = (on_worker, /), text_signature = "(on_worker, /)")]
pub fn _panic(py: Python<'_>, on_worker: bool) -> PyResult<()> {
    enter(py, RELEASE_BYTES, || {
        let caller = std::thread::current().id();
        let start = Instant::now();
        let wait = |done: &dyn Fn() -> bool| {
            while !done() && start.elapsed() < Duration::from_secs(10) {
                std::thread::yield_now();
            }
        };
        while start.elapsed() < Duration::from_secs(10) {
            let panicking = AtomicBool::new(false);
            scheduler::run(1024, 1e9, &|_| {
                if (std::thread::current().id() != caller) == on_worker {
                    panicking.store(true, Ordering::SeqCst);
                    panic!("a panic that was asked for");
                }
                let patience = Instant::now();
                wait(&|| panicking.load(Ordering::SeqCst) || patience.elapsed() > Duration::from_millis(1));
                Flow::Continue
            })?;
        }
        Ok(())
    })
}
