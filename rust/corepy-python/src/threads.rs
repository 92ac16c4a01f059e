//! How many threads operations of a Python thread use, for `with` and for threadpoolctl.

use crate::argument::Argument;
use crate::blocks::{Block, Open};
use crate::enter::{enter, error};
use corepy_runtime::{Error, scheduler};
use pyo3::prelude::*;

thread_local! {
    /// The thread's own number before each block, None for that of the process.
    static OPEN: Open<Option<i64>> = const { Open::new() };
}

/// `with cp.threads(n):` operations that the calling Python thread starts use at most n threads (1
/// to 1,024); other Python threads keep their number. Nests; at the end, also by an exception, the
/// number from before holds again. One object may be used again, and by several threads at once.
///
/// The number belongs to the thread, not to the frame. A generator or coroutine that yields inside
/// the block leaves the number set for whatever the thread runs meanwhile, other tasks of an event
/// loop too; keep the block around calls that do not yield. Threads started inside the block begin
/// with the process's number.
///
/// Raises ValueError for a number out of range, and on leaving a block that another thread has
/// entered.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> with cp.threads(1):
/// ...     cp.get_num_threads()
/// 1
#[pyclass(name = "threads", module = "corepy", frozen)]
pub struct Threads {
    number: i64,
    block: Block,
}

#[pymethods]
impl Threads {
    #[new]
    #[pyo3(signature = (n, /), text_signature = "(n, /)")]
    fn new(py: Python<'_>, n: Argument<i64>) -> PyResult<Threads> {
        let n = n.read(py, "threads", "n")?;
        if !(1..=scheduler::MAX_THREADS as i64).contains(&n) {
            return Err(error(py, Error::Threads { op: "threads", n }));
        }
        Ok(Threads { number: n, block: Block::new() })
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let before = enter(slf.py(), 0, || scheduler::set_own_threads(Some(this.number)))?;
        OPEN.with(|open| open.enter(this.block, before));
        Ok(slf.clone())
    }

    #[pyo3(signature = (kind, value, trace, /), text_signature = "($self, kind, value, trace, /)")]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        trace: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (kind, value, trace);
        match OPEN.with(|open| open.leave(self.block)) {
            None => Err(error(py, Error::ExitWithoutEnter { op: "threads" })),
            Some(None) => Ok(()),
            Some(Some(before)) => enter(py, 0, || scheduler::set_own_threads(before)).map(|_| ()),
        }
    }
}

/// The number of threads of the calling thread, None for that of the process, which it is where both
/// are equal: what threadpoolctl sets and later sets back.
#[pyfunction]
#[pyo3(signature = (n, /), text_signature = "(n, /)")]
pub fn _set_own_threads(py: Python<'_>, n: i64) -> PyResult<()> {
    let own = (n != scheduler::process_threads() as i64).then_some(n);
    enter(py, 0, || scheduler::set_own_threads(own)).map(|_| ())
}

/// Threads that operations of the calling thread may use; also what tells threadpoolctl that a
/// library is corepy.
#[unsafe(no_mangle)]
pub extern "C" fn corepy_get_num_threads() -> std::ffi::c_int {
    std::ffi::c_int::try_from(scheduler::threads()).unwrap_or(std::ffi::c_int::MAX)
}

/// An entry of `sys.meta_path` that finds nothing, but notices when threadpoolctl is imported.
#[pyclass(frozen)]
struct ThreadpoolctlImport;

#[pymethods]
impl ThreadpoolctlImport {
    #[pyo3(signature = (name, path=None, target=None))]
    fn find_spec<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        path: Option<&Bound<'py, PyAny>>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let _ = (path, target);
        if name != "threadpoolctl" {
            return Ok(None);
        }
        slf.py().import("corepy._threadpoolctl")?.call_method1("find_spec", (slf,)).map(Some)
    }
}

/// Registers corepy's controller with threadpoolctl: now if it is imported, else when it will be.
#[pyfunction]
pub fn _register_with_threadpoolctl(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    if let Ok(module) = sys.getattr("modules")?.get_item("threadpoolctl") {
        py.import("corepy._threadpoolctl")?.call_method1("register", (module,))?;
        return Ok(());
    }
    let watch = Bound::new(py, ThreadpoolctlImport)?;
    sys.getattr("meta_path")?.call_method1("insert", (0, watch))?;
    Ok(())
}
