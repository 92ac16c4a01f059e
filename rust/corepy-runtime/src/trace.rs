//! The log of operations: one line to standard error for each, where `COREPY_LOG=debug` asks for it.
//!
//! An operation opens a record on its thread; what it does on the way is noted there by whoever
//! decides it, and the outermost operation writes the line. Operations inside it are part of it. While
//! the log is off all of this is one relaxed load and a branch that is not taken.

use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::layout;
use crate::memory::arena;
use crate::ops::Arg;
use crate::scheduler::Flow;
use crate::tensor::Tensor;

/// The environment variable that turns the log on.
pub const VARIABLE: &str = "COREPY_LOG";

static ENABLED: AtomicBool = AtomicBool::new(false);

/// Operands that a line shows; the others are counted.
const SHOWN: usize = 4;
/// Bytes that a pipe takes whole whoever else writes to it (PIPE_BUF on Linux).
const LINE: usize = 4096;

/// Whether operations are logged.
#[inline(always)]
pub fn enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Turns the log on or off.
pub fn enable(on: bool) {
    ENABLED.store(on, Ordering::Relaxed);
}

/// Turns the log on where the environment asks for it, and says what is wrong with the setting.
pub fn settings() -> Result<()> {
    let Some(value) = crate::settings::value(VARIABLE) else { return Ok(()) };
    if value.trim() == "debug" {
        enable(true);
        return Ok(());
    }
    let valid = "debug writes a line for each operation; leave it empty for none".to_owned();
    Err(Error::Setting { name: VARIABLE, value, valid })
}

/// Runs what writes a line, and waits with it for whoever reads a full pipe.
type WriteHook = fn(&mut (dyn FnMut() + Send));

static WRITE_HOOK: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the function that lines are written in. It lets go of locks that a reader in this process may
/// need: the writer would else wait for a reader that waits for the lock.
pub fn set_write_hook(hook: WriteHook) {
    WRITE_HOOK.store(hook as *mut (), Ordering::Release);
}

/// What an operation gives, as far as the log is concerned.
pub trait Outcome {
    /// The tensor that was made.
    fn tensor(&self) -> Option<&Tensor> {
        None
    }

    /// How it ended: `ok`, or the class of an error.
    fn ended(&self) -> &'static str {
        "ok"
    }
}

impl Outcome for () {}

impl Outcome for Tensor {
    fn tensor(&self) -> Option<&Tensor> {
        Some(self)
    }
}

impl Outcome for Vec<Tensor> {
    fn tensor(&self) -> Option<&Tensor> {
        self.first()
    }
}

/// What an operation says about itself before it begins.
#[derive(Default)]
pub struct Call {
    operands: Vec<Seen>,
    left_out: usize,
    /// Operands are stretched to the shape of the result.
    stretches: bool,
    kernel: &'static str,
}

/// An operand as it was given.
struct Seen {
    dtype: &'static str,
    shape: String,
    layout: &'static str,
    size: usize,
}

impl Seen {
    fn new(operand: Arg) -> Seen {
        let (layout, size) = match operand {
            Arg::Tensor(tensor) => (layout_of(tensor), tensor.size()),
            Arg::Scalar(_) => ("scalar", 1),
        };
        Seen { dtype: operand.dtype().name(), shape: shape_of(operand.shape()), layout, size }
    }
}

impl Call {
    /// The operands, in order.
    pub fn operands<'a>(&mut self, operands: impl IntoIterator<Item = impl Into<Arg<'a>>>) -> &mut Call {
        for operand in operands {
            match self.operands.len() < SHOWN {
                true => self.operands.push(Seen::new(operand.into())),
                false => self.left_out += 1,
            }
        }
        self
    }

    /// Operands smaller than the result are stretched to it.
    pub fn stretches(&mut self) -> &mut Call {
        self.stretches = true;
        self
    }

    /// The kernel that a small call goes straight to, where nothing else is noted.
    pub fn kernel(&mut self, name: &'static str) -> &mut Call {
        self.kernel = name;
        self
    }
}

/// A shape as Python writes it, without spaces.
fn shape_of(shape: &[i64]) -> String {
    layout::show(shape).replace(' ', "")
}

/// How the elements of a tensor lie.
fn layout_of(tensor: &Tensor) -> &'static str {
    let axes = || tensor.shape().iter().zip(tensor.strides()).filter(|(extent, _)| **extent != 1);
    if !tensor.is_aligned() {
        "unaligned"
    } else if tensor.is_contiguous() {
        "contiguous"
    } else if axes().any(|(_, &stride)| stride == 0) {
        "broadcast"
    } else {
        let mut steps: Vec<(i64, i64)> = axes().map(|(&extent, &stride)| (stride, extent)).collect();
        steps.sort_unstable();
        let mut dense = tensor.itemsize() as i64;
        for (stride, extent) in steps {
            if stride != dense {
                return "strided";
            }
            dense *= extent;
        }
        "transposed"
    }
}

/// What has been noted since the outermost operation of a thread began.
struct Record {
    op: &'static str,
    call: Call,
    began: Instant,
    arena: arena::Peak,
    /// Each entry once, in the order of the first time.
    paths: Vec<&'static str>,
    kernels: Vec<&'static str>,
    accesses: Vec<String>,
    /// Counts notes, so that an operation knows whether it has made any.
    notes: usize,
    tiles: usize,
    threads: usize,
    arena_peak: usize,
}

thread_local! {
    static RECORD: RefCell<Option<Box<Record>>> = const { RefCell::new(None) };
    /// A tile is running on this thread: what it does is a part of the run around it.
    static IN_TILE: Cell<bool> = const { Cell::new(false) };
    /// The run that this thread has taken part in last.
    static TAKEN_PART: Cell<usize> = const { Cell::new(0) };
}

/// Changes the record of the calling thread, if an operation is open and no tile runs.
#[cold]
#[inline(never)]
fn note(change: impl FnOnce(&mut Record)) {
    if IN_TILE.get() {
        return;
    }
    RECORD.with_borrow_mut(|record| {
        if let Some(record) = record {
            record.notes += 1;
            change(record);
        }
    });
}

fn once<T: PartialEq>(entries: &mut Vec<T>, entry: T) {
    if !entries.contains(&entry) {
        entries.push(entry);
    }
}

/// Notes the way through the elements.
#[inline(always)]
pub fn path(name: &'static str) {
    if enabled() {
        note(|record| once(&mut record.paths, name));
    }
}

/// Notes the kernel that computes.
#[inline(always)]
pub fn kernel(name: &'static str) {
    if enabled() {
        note(|record| once(&mut record.kernels, name));
    }
}

/// Notes how the kernel gets at each operand, the one that is written first.
#[inline(always)]
pub fn access(names: impl FnOnce() -> String) {
    if enabled() {
        note(|record| once(&mut record.accesses, names()));
    }
}

/// Notes tiles that run without the scheduler.
#[inline(always)]
pub fn tiles(count: usize) {
    if enabled() {
        note(|record| record.tiles += count);
    }
}

/// Runs an operation; `describe` says what is called with what.
#[inline(always)]
pub fn operation<R: Outcome>(
    op: &'static str,
    describe: impl FnOnce(&mut Call),
    run: impl FnOnce() -> Result<R>,
) -> Result<R> {
    if enabled() {
        return recorded(op, describe, run);
    }
    run()
}

#[cold]
#[inline(never)]
fn recorded<R: Outcome>(
    op: &'static str,
    describe: impl FnOnce(&mut Call),
    run: impl FnOnce() -> Result<R>,
) -> Result<R> {
    if IN_TILE.get() {
        return run();
    }
    let mut call = Call::default();
    describe(&mut call);
    let kernel = call.kernel;
    let scope = Scope::open(op, call);
    let outcome = run();
    if scope.notes() == scope.before && !kernel.is_empty() {
        note(|record| {
            once(&mut record.paths, "straight");
            once(&mut record.kernels, kernel);
            record.tiles += 1;
        });
    }
    if scope.outermost {
        match &outcome {
            Ok(result) => scope.close(result.tensor(), result.ended()),
            Err(error) => scope.close(None, error.class()),
        }
    }
    outcome
}

/// An operation that is open on this thread.
struct Scope {
    outermost: bool,
    /// Notes that were there when it began.
    before: usize,
}

impl Scope {
    fn open(op: &'static str, call: Call) -> Scope {
        RECORD.with_borrow_mut(|record| match record {
            Some(record) => Scope { outermost: false, before: record.notes },
            None => {
                *record = Some(Box::new(Record {
                    op,
                    call,
                    began: Instant::now(),
                    arena: arena::Peak::begin(),
                    paths: Vec::new(),
                    kernels: Vec::new(),
                    accesses: Vec::new(),
                    notes: 0,
                    tiles: 0,
                    threads: 1,
                    arena_peak: 0,
                }));
                Scope { outermost: true, before: 0 }
            }
        })
    }

    fn notes(&self) -> usize {
        RECORD.with_borrow(|record| record.as_ref().map_or(0, |record| record.notes))
    }

    fn close(&self, result: Option<&Tensor>, outcome: &str) {
        if let Some(record) = RECORD.take() {
            write_line(record.line(result, outcome));
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // Still open only where the operation unwinds.
        if self.outermost && RECORD.with_borrow(Option::is_some) {
            self.close(None, "failed");
        }
    }
}

impl Record {
    fn line(&self, result: Option<&Tensor>, outcome: &str) -> String {
        let ns = self.began.elapsed().as_nanos();
        let peak = self.arena_peak.max(self.arena.reached());
        let made = result.map(|tensor| Seen::new(Arg::Tensor(tensor)));
        let Call { operands, left_out, stretches, .. } = &self.call;
        // What is written in place is stretched to as well as a new result.
        let size = made.as_ref().or(operands.first()).map_or(0, |seen| seen.size);
        let shown = match operands.is_empty() {
            true => made.as_slice(),
            false => operands,
        };
        let listed = |field: &dyn Fn(&Seen) -> String| {
            let mut all: Vec<String> = shown.iter().map(field).collect();
            if *left_out > 0 {
                all.push(format!("+{left_out}"));
            }
            or_none(all.join(";"))
        };
        let layout = |seen: &Seen| match *stretches && seen.size < size && seen.layout != "scalar" {
            true => "broadcast".to_owned(),
            false => seen.layout.to_owned(),
        };
        let (process, thread) = (std::process::id(), thread_id());
        let mut line = String::with_capacity(256);
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "corepy: op={} dtype={} shape={} layout={} result={} path={} kernel={} access={} tiles={} threads={} \
             us={}.{} arena_peak={peak} outcome={outcome} pid={process} tid={thread}",
            self.op,
            listed(&|seen| seen.dtype.to_owned()),
            listed(&|seen| seen.shape.clone()),
            listed(&layout),
            made.as_ref().map_or("none".to_owned(), |seen| format!("{}{}", seen.dtype, seen.shape)),
            or_none(self.paths.join("+")),
            or_none(self.kernels.join("+")),
            or_none(self.accesses.join("+")),
            self.tiles,
            self.threads,
            ns / 1000,
            ns / 100 % 10,
        );
        line
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

/// The calling thread's number, as the system's tools show it; 0 where it has none.
fn thread_id() -> i32 {
    #[cfg(target_os = "linux")]
    // SAFETY: the call has no preconditions.
    return unsafe { libc::gettid() };
    #[cfg(not(target_os = "linux"))]
    0
}

/// Writes a line with one call, so that lines of other threads and processes stay apart from it.
fn write_line(mut line: String) {
    let mut end = line.len().min(LINE - 1);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    line.push('\n');
    let mut write = || {
        // A line that cannot be written is lost; that is no fault of the operation. So is one that a
        // signal interrupts while it waits for its reader.
        // SAFETY: the line's own bytes.
        unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
    };
    let hook = WRITE_HOOK.load(Ordering::Acquire);
    if hook.is_null() {
        return write();
    }
    // SAFETY: only `set_write_hook` writes the pointer, from a function of this type.
    let hook: WriteHook = unsafe { std::mem::transmute(hook) };
    hook(&mut write);
}

type Tile<'a> = &'a (dyn Fn(usize) -> Flow + Sync);

/// Runs tiles by `run` and notes how many there are, who takes part and the scratch that they take.
#[cold]
#[inline(never)]
pub(crate) fn tiled(count: usize, f: Tile, run: &dyn Fn(Tile) -> Result<()>) -> Result<()> {
    static RUNS: AtomicUsize = AtomicUsize::new(1);
    if IN_TILE.get() || RECORD.with_borrow(Option::is_none) {
        return run(f);
    }
    let number = RUNS.fetch_add(1, Ordering::Relaxed);
    let (threads, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let outcome = run(&|tile| {
        if TAKEN_PART.replace(number) != number {
            threads.fetch_add(1, Ordering::Relaxed);
        }
        let _inside = Inside(IN_TILE.replace(true));
        let scratch = arena::Peak::begin();
        let flow = f(tile);
        peak.fetch_max(scratch.reached(), Ordering::Relaxed);
        flow
    });
    note(|record| {
        record.tiles += count;
        record.threads = record.threads.max(threads.into_inner());
        record.arena_peak = record.arena_peak.max(peak.into_inner());
    });
    outcome
}

/// Says that the tile is over, with what held before it, also when it unwinds.
struct Inside(bool);

impl Drop for Inside {
    fn drop(&mut self) {
        IN_TILE.set(self.0);
    }
}
