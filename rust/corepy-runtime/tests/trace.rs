//! The log of operations: lines, nesting, failures; and the facts that the library tells of itself.

use corepy_runtime::lock::Lock;
use corepy_runtime::ops::elementwise::{binary, binary_into, unary};
use corepy_runtime::ops::{Arg, copy, create, gather, join, matmul, reduce, select};
use corepy_runtime::scheduler::tuning::Class;
use corepy_runtime::scheduler::{OwnThreads, cost};
use corepy_runtime::{Binary, DType, Reduce, Scalar, Tensor, Unary, config, trace};
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::FromRawFd;

/// The tests turn one log on and take one standard error.
static ALONE: Lock<()> = Lock::new(());

/// The lines of `f`'s operations on standard error, each as its keys and values. Tests beside this one
/// may write there too.
fn lines(f: impl FnOnce()) -> Vec<HashMap<String, String>> {
    let _alone = ALONE.lock();
    let mut ends = [0; 2];
    // SAFETY: descriptors of our own; standard error is put back below.
    let before = unsafe {
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        let before = libc::dup(2);
        assert_eq!(libc::dup2(ends[1], 2), 2);
        libc::close(ends[1]);
        before
    };
    trace::enable(true);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    trace::enable(false);
    let mut text = String::new();
    // SAFETY: as above; the reading end is closed by the file.
    unsafe {
        libc::dup2(before, 2);
        libc::close(before);
        std::fs::File::from_raw_fd(ends[0]).read_to_string(&mut text).unwrap();
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    let pairs = |line: &str| {
        let rest = line.strip_prefix("corepy: ").unwrap_or_else(|| panic!("{line}"));
        rest.split(' ').map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
    };
    // SAFETY: the call has no preconditions.
    let own = unsafe { libc::gettid() }.to_string();
    text.lines().map(pairs).filter(|line: &HashMap<String, String>| line["tid"] == own).collect()
}

/// One line for `f`, of which it shows some values.
fn line(f: impl FnOnce(), keys: &str) -> String {
    let found = lines(f);
    assert_eq!(found.len(), 1, "{found:?}");
    keys.split(' ').map(|key| found[0][key].as_str()).collect::<Vec<_>>().join(" ")
}

fn ones(shape: &[i64]) -> Tensor {
    create::full("ones", shape, &Scalar::from_bool(true).cast(DType::Float32)).unwrap()
}

const WAY: &str = "op layout path kernel access tiles";

#[test]
fn elementwise() {
    let (a, b) = (ones(&[300, 300]), ones(&[300]));
    let small = ones(&[3]);
    let scalar = Arg::Scalar(Scalar::from_i64(2).cast(DType::Float32));
    let two = |x: &Tensor, y: Arg| _ = binary(Binary::Add, x.into(), y).unwrap();
    assert_eq!(line(|| two(&small, (&small).into()), WAY), "add contiguous;contiguous straight vv none 1");
    assert_eq!(line(|| two(&small, scalar), WAY), "add contiguous;scalar straight vs none 1");
    let way = "op layout path kernel access";
    assert_eq!(line(|| two(&a, (&b).into()), way), "add contiguous;broadcast runs vv direct,direct,direct");
    // As many as the costs in use say, of whole rows.
    let tiles: usize = line(|| two(&a, (&b).into()), "tiles").parse().unwrap();
    let ns = cost::element_ns(Class::Arithmetic, DType::Float32, 12, a.size());
    let rows = (cost::elements(ns, a.size()) / 300).max(1);
    assert!(tiles.abs_diff(300_usize.div_ceil(rows)) <= 1, "{tiles} tiles of about {rows} rows");
    let turned = a.view(0, &[300, 300], &[4, 1200]);
    let crossed = line(|| two(&a, (&turned).into()), "layout path access");
    assert_eq!(crossed, "contiguous;transposed crossed direct,direct,crossed");
    assert_eq!(
        line(|| _ = unary(Unary::Sqrt, &a).unwrap(), "op path kernel result"),
        "sqrt runs v float32(300,300)"
    );
    assert_eq!(
        line(|| binary_into(Binary::Multiply, &small, scalar).unwrap(), "op path kernel result"),
        "multiply straight vs none"
    );
    let stretched = a.view(0, &[300, 300], &[0, 4]);
    assert_eq!(line(|| _ = copy::copy(&stretched).unwrap(), "op layout"), "copy broadcast");
    let gaps = a.view(0, &[300, 100], &[1200, 12]);
    assert_eq!(
        line(|| _ = copy::copy(&gaps).unwrap(), "layout kernel access"),
        "strided gather direct,direct"
    );
}

#[test]
fn reductions_and_products() {
    let a = ones(&[300, 300]);
    let sum = |x: &Tensor, axes: Option<&[usize]>| {
        _ = reduce::reduce(Reduce::Sum, x, axes, false, None, 0.0).unwrap();
    };
    // One thread, so that the cut of the work is known.
    let _one = OwnThreads::new(1).unwrap();
    let small = ones(&[4]);
    assert_eq!(line(|| sum(&small, None), WAY), "sum contiguous straight each none 1");
    let large = ones(&[500, 500]);
    assert_eq!(line(|| sum(&large, Some(&[1])), WAY), "sum contiguous direct each none 1");
    assert_eq!(line(|| sum(&a, Some(&[0])), "path kernel"), "direct columns");
    let tall = ones(&[2000, 40]);
    assert_eq!(line(|| sum(&tall, Some(&[0])), "path kernel"), "direct rows");
    let gaps = a.view(0, &[300, 150], &[1200, 8]);
    assert_eq!(line(|| sum(&gaps, None), "layout path kernel threads"), "strided gathered blocks 1");
    let few = a.view(0, &[9, 300], a.strides());
    assert_eq!(line(|| sum(&few, Some(&[0])), "path kernel"), "direct columns");
    let cube = ones(&[60, 5, 20]);
    let runs = line(|| sum(&cube, Some(&[0, 2])), "path kernel");
    // Where a level has no masked loads, elements are copied together.
    assert!(runs == "direct runs" || runs == "gathered blocks", "{runs}");
    // Scratch is that of this operation, not the thread's most so far.
    let product = || _ = matmul::matmul("matmul", &a, &a).unwrap();
    let peak = |f: &dyn Fn()| line(f, "arena_peak").parse::<usize>().unwrap();
    assert!(peak(&product) >= 300 * 300 * 4);
    assert!(peak(&|| sum(&gaps, None)) < 65536);
    assert_eq!(peak(&|| sum(&small, None)), 0);
}

#[test]
fn others() {
    let (a, b) = (ones(&[300, 300]), ones(&[300]));
    assert_eq!(line(|| _ = matmul::matmul("matmul", &a, &a).unwrap(), "path kernel"), "tall gemm");
    assert_eq!(line(|| _ = matmul::matmul("matmul", &a, &b).unwrap(), "path kernel"), "vector vector");
    let joined = || _ = join::concat(&[&b, &b, &b, &b, &b, &b], None).unwrap();
    assert_eq!(line(joined, "op dtype"), "concat float32;float32;float32;float32;+2");
    assert_eq!(line(|| _ = join::stack(&[&b, &b], 0).unwrap(), "op kernel"), "stack copy");
    let mask = binary(Binary::Greater, (&a).into(), (&b).into()).unwrap();
    assert_eq!(line(|| _ = gather::mask(&a, &mask).unwrap(), "op path kernel"), "getitem compacted compress");
    assert_eq!(
        line(|| _ = select::where_(&mask, (&a).into(), (&b).into()).unwrap(), "op kernel"),
        "where select"
    );
    let at = create::arange(&Scalar::from_i64(0), &Scalar::from_i64(3), &Scalar::from_i64(1), DType::Int64)
        .unwrap();
    assert_eq!(line(|| _ = gather::take(&b, &at, None).unwrap(), "op path kernel"), "take gathered take");
    let put = || gather::index_assign(&b, &[Some(&at)], Arg::Tensor(&ones(&[]))).unwrap();
    assert_eq!(lines(put).last().unwrap()["path"], "scattered");
    assert_eq!(line(|| _ = create::eye(3, 3, 0, DType::Float32).unwrap(), "op result"), "eye float32(3,3)");
    // One line for an operation that is made of several.
    let (i, u) = (ones(&[4]), ones(&[4]));
    let (i, u) = (
        copy::astype(&i, DType::Int64, "astype").unwrap(),
        copy::astype(&u, DType::Uint64, "astype").unwrap(),
    );
    let compared = || _ = binary(Binary::Less, (&i).into(), (&u).into()).unwrap();
    assert_eq!(line(compared, "op path kernel"), "less straight+runs cast+vv+vs+select");
}

#[test]
fn failures_and_unwinding() {
    let (a, b) = (ones(&[3]), ones(&[4]));
    assert_eq!(
        line(|| assert!(binary(Binary::Add, (&a).into(), (&b).into()).is_err()), "op outcome result"),
        "add ValueError none"
    );
    let unwinds = || -> corepy_runtime::Result<Tensor> { std::panic::resume_unwind(Box::new(())) };
    let caught = || {
        let run = || trace::operation("outer", |call| _ = call.operands([&a]), unwinds);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
        // The record of the operation that unwound is gone.
        binary(Binary::Add, (&a).into(), (&a).into()).unwrap();
    };
    let found = lines(caught);
    assert_eq!(found.len(), 2);
    assert_eq!((&*found[0]["op"], &*found[0]["outcome"]), ("outer", "failed"));
    assert_eq!((&*found[1]["op"], &*found[1]["outcome"], &*found[1]["path"]), ("add", "ok", "straight"));
}

#[test]
fn a_setting_that_is_not_valid_is_an_error() {
    let _alone = ALONE.lock();
    for (value, valid) in [("", true), (" ", true), ("debug", true), ("trace", false), ("1", false)] {
        // SAFETY: the tests that read the environment hold the lock.
        unsafe { std::env::set_var(trace::VARIABLE, value) };
        trace::enable(false);
        assert_eq!(trace::settings().is_ok(), valid, "{value}");
        assert_eq!(trace::enabled(), value == "debug");
    }
    trace::enable(false);
    // SAFETY: as above.
    unsafe { std::env::remove_var(trace::VARIABLE) };
}

#[test]
fn facts_have_every_section() {
    let _alone = ALONE.lock();
    let facts = config::facts();
    let names: Vec<&str> = facts.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["version", "simd", "threads", "memory", "tuning", "log", "build"]);
    let source = |section: &str| {
        let config::Value::Table(entries) = config::facts().into_iter().find(|f| f.0 == section).unwrap().1
        else {
            panic!("{section} is a table")
        };
        entries.into_iter().find(|(name, _)| name == "source").unwrap().1
    };
    let own = OwnThreads::new(3).unwrap();
    assert_eq!(source("threads"), config::Value::Text("with threads(n)".into()));
    drop(own);
    corepy_runtime::scheduler::set_num_threads(9).unwrap();
    assert_eq!(source("threads"), config::Value::Text("set_num_threads".into()));
}
