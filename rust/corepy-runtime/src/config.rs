//! What the library found and chose: level, threads, memory, and how it was built.

use crate::dtype::{self, DType};
use crate::kernels::level;
use crate::memory::{allocator, arena, limits, pool};
use crate::scheduler::{self, cgroup, tuning};
use crate::{settings, trace};

/// A plain value, for any language's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Number(number as u64)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::None, Into::into)
    }
}

/// A table of named values.
pub fn table<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Table(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// What holds for operations that the calling thread starts now.
pub fn facts() -> Vec<(&'static str, Value)> {
    vec![
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("simd", simd()),
        ("threads", threads()),
        ("memory", memory()),
        ("tuning", tuning()),
        ("log", if trace::enabled() { "debug" } else { "off" }.into()),
        ("build", build()),
    ]
}

/// Where a value comes from: the environment variable that sets it, else what holds without.
fn source(variable: &'static str, default: &str) -> Value {
    settings::value(variable).map_or_else(|| default.into(), |_| variable.into())
}

fn simd() -> Value {
    table([
        ("level", level::in_use().name.into()),
        ("source", source(level::VARIABLE, "widest of this machine")),
        ("levels", Value::List(level::available().into_iter().map(Value::from).collect())),
    ])
}

fn threads() -> Value {
    const VARIABLE: &str = "COREPY_NUM_THREADS";
    let quota = cgroup::cpu_quota();
    let (affinity, online) = (cgroup::affinity(), cgroup::online());
    let process = scheduler::process_threads();
    let begun = scheduler::settings().map_or(process, |settings| settings.threads);
    let found = if scheduler::has_own_threads() {
        "with threads(n)".into()
    } else if process != begun {
        "set_num_threads".into()
    } else if quota.as_ref().is_some_and(|quota| quota.processors < affinity) {
        source(VARIABLE, "cgroup quota")
    } else if affinity < online {
        source(VARIABLE, "affinity")
    } else {
        source(VARIABLE, "processors")
    };
    let quota = quota.map(|quota| {
        table([
            ("processors", quota.processors.into()),
            ("quota_us", quota.quota_us.into()),
            ("period_us", quota.period_us.into()),
            ("path", quota.folder.display().to_string().into()),
        ])
    });
    table([
        ("count", scheduler::threads().into()),
        ("source", found),
        ("quota", quota.unwrap_or(Value::None)),
        ("affinity", affinity.into()),
        ("processors", online.into()),
    ])
}

fn memory() -> Value {
    let group = cgroup::memory_group();
    let physical = cgroup::physical_memory();
    let limit = match &group {
        Some((bytes, _)) if *bytes < physical => "cgroup",
        _ => "physical memory",
    };
    let group = group.map(|(bytes, folder)| {
        table([("bytes", bytes.into()), ("path", folder.display().to_string().into())])
    });
    let pool_limit = pool::settings().map_or(Value::None, |settings| settings.limit.into());
    let arena_size = arena::settings().map_or(Value::None, |settings| settings.size.into());
    table([
        ("allocator", allocator::name().into()),
        ("pool_limit", pool_limit),
        ("pool_limit_source", source("COREPY_POOL_LIMIT", "an eighth of the limit, at most 1 GiB")),
        ("arena_size", arena_size),
        ("arena_size_source", source("COREPY_ARENA_SIZE", "default")),
        ("limit", cgroup::memory_limit().into()),
        ("limit_source", limit.into()),
        ("physical", physical.into()),
        ("cgroup", group.unwrap_or(Value::None)),
        ("available", limits::available().into()),
        ("available_machine", limits::machine().into()),
        ("available_cgroup", cgroup::memory_left().into()),
        ("available_address_space", limits::address_space().into()),
    ])
}

fn tuning() -> Value {
    let (in_use, shipped) = (tuning::in_use(), tuning::shipped());
    let source = if tuning::is_measured() { "measured on this machine" } else { "shipped" };
    let file = match tuning::place() {
        tuning::Place::Off => Value::None,
        tuning::Place::File(path) => path.display().to_string().into(),
    };
    let number = |line: &tuning::Line| (line.name.to_owned(), in_use.get(line.cost).to_string().into());
    let row = |row: &tuning::Row| {
        let dtypes = dtype::ALL.into_iter().filter(|&dtype| row.dtypes.contains(dtype));
        let each =
            |dtype: DType| (dtype.name().to_owned(), in_use.element(row.class, dtype).to_string().into());
        (row.name.to_owned(), Value::Table(dtypes.map(each).collect()))
    };
    let shipped = table([
        ("processor", shipped.processor.into()),
        ("processors", shipped.processors.into()),
        ("level", shipped.level.into()),
    ]);
    table([
        ("source", source.into()),
        ("file", file),
        ("shipped_for", shipped),
        ("costs", Value::Table(tuning::LINES.iter().map(number).collect())),
        ("elements", Value::Table(tuning::ROWS.iter().map(row).collect())),
    ])
}

fn build() -> Value {
    let flags = level::built().map(|(name, flags)| (name.to_owned(), flags.into()));
    table([
        ("commit", option_env!("COREPY_COMMIT").filter(|commit| !commit.is_empty()).into()),
        ("target", env!("COREPY_TARGET").into()),
        ("profile", env!("COREPY_PROFILE").into()),
        ("rust", env!("COREPY_RUST").into()),
        ("compiler", env!("COREPY_COMPILER").into()),
        ("flags", Value::Table(flags.collect())),
    ])
}
