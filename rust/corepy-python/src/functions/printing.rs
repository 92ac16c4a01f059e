//! Options of printing: of the process, and of a thread inside `with cp.printoptions(...)`.

use crate::argument::Argument;
use crate::blocks::{Block, Open};
use crate::enter::error;
use corepy_runtime::Error;
use corepy_runtime::lock::Lock;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::cell::Cell;

#[derive(Clone, Copy)]
pub struct Options {
    /// Digits after the point at most.
    pub precision: usize,
    /// Elements up to which all are shown.
    pub threshold: usize,
    /// Elements that are shown at either end of an axis otherwise.
    pub edgeitems: usize,
    /// Columns of a line.
    pub linewidth: usize,
    /// Small numbers and wide ranges are not written in scientific notation.
    pub suppress: bool,
}

/// NumPy's.
static OF_PROCESS: Lock<Options> =
    Lock::new(Options { precision: 8, threshold: 1000, edgeitems: 3, linewidth: 75, suppress: false });

thread_local! {
    static OF_THREAD: Cell<Option<Options>> = const { Cell::new(None) };
    /// The thread's own options before each block, None for those of the process.
    static OPEN: Open<Option<Options>> = const { Open::new() };
}

/// The options that hold for the calling thread.
pub fn options() -> Options {
    OF_THREAD.get().unwrap_or_else(of_process)
}

fn of_process() -> Options {
    *OF_PROCESS.lock()
}

/// Changes to options; None leaves one as it is.
#[derive(Clone, Copy)]
pub struct Changes {
    pub precision: Option<i64>,
    pub threshold: Option<i64>,
    pub edgeitems: Option<i64>,
    pub linewidth: Option<i64>,
    pub suppress: Option<bool>,
}

impl Changes {
    fn apply(self, py: Python<'_>, op: &'static str, to: Options) -> PyResult<Options> {
        let read = |name: &'static str, given: Option<i64>, least: i64, before: usize| match given {
            None => Ok(before),
            Some(given) if given >= least => Ok(given as usize),
            Some(given) => Err(error(py, Error::PrintOption { op, name, least, given })),
        };
        Ok(Options {
            precision: read("precision", self.precision, 0, to.precision)?,
            threshold: read("threshold", self.threshold, 0, to.threshold)?,
            edgeitems: read("edgeitems", self.edgeitems, 0, to.edgeitems)?,
            linewidth: read("linewidth", self.linewidth, 1, to.linewidth)?,
            suppress: self.suppress.unwrap_or(to.suppress),
        })
    }
}

/// Changes the options of the process.
pub fn set_printoptions(
    py: Python<'_>,
    precision: Option<i64>,
    threshold: Option<i64>,
    edgeitems: Option<i64>,
    linewidth: Option<i64>,
    suppress: Option<bool>,
) -> PyResult<()> {
    let changes = Changes { precision, threshold, edgeitems, linewidth, suppress };
    let changed = changes.apply(py, "set_printoptions", of_process())?;
    *OF_PROCESS.lock() = changed;
    Ok(())
}

/// The options of the calling thread by name.
pub fn get_printoptions(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let Options { precision, threshold, edgeitems, linewidth, suppress } = options();
    let found = PyDict::new(py);
    found.set_item("precision", precision)?;
    found.set_item("threshold", threshold)?;
    found.set_item("edgeitems", edgeitems)?;
    found.set_item("linewidth", linewidth)?;
    found.set_item("suppress", suppress)?;
    Ok(found.into_any())
}

/// `with cp.printoptions(precision=3):` prints tensors in the calling thread with other options, which
/// are those of set_printoptions. Nests; at the end the options from before hold again. One object may
/// be used again, and by several threads at once.
///
/// Raises ValueError for an option out of range, and on leaving a block that another thread has
/// entered.
///
/// Examples
/// --------
/// >>> import corepy as cp
/// >>> with cp.printoptions(precision=3):
/// ...     print(cp.asarray([1 / 3, 2.0]))
/// [0.333 2.   ]
#[pyclass(name = "printoptions", module = "corepy", frozen)]
pub struct PrintOptions {
    changes: Changes,
    block: Block,
}

const OP: &str = "printoptions";

#[pymethods]
impl PrintOptions {
    #[new]
    #[pyo3(signature = (precision=Argument::Given(None), threshold=Argument::Given(None), edgeitems=Argument::Given(None), linewidth=Argument::Given(None), suppress=Argument::Given(None)), text_signature = "(precision=None, threshold=None, edgeitems=None, linewidth=None, suppress=None)")]
    fn new(
        py: Python<'_>,
        precision: Argument<Option<i64>>,
        threshold: Argument<Option<i64>>,
        edgeitems: Argument<Option<i64>>,
        linewidth: Argument<Option<i64>>,
        suppress: Argument<Option<bool>>,
    ) -> PyResult<PrintOptions> {
        let changes = Changes {
            precision: precision.read(py, OP, "precision")?,
            threshold: threshold.read(py, OP, "threshold")?,
            edgeitems: edgeitems.read(py, OP, "edgeitems")?,
            linewidth: linewidth.read(py, OP, "linewidth")?,
            suppress: suppress.read(py, OP, "suppress")?,
        };
        changes.apply(py, OP, options())?;
        Ok(PrintOptions { changes, block: Block::new() })
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let this = slf.get();
        let changed = this.changes.apply(slf.py(), OP, options())?;
        let before = OF_THREAD.replace(Some(changed));
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
            None => return Err(error(py, Error::ExitWithoutEnter { op: OP })),
            Some(None) => {}
            Some(Some(before)) => OF_THREAD.set(before),
        }
        Ok(())
    }
}
