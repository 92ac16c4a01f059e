//! What operations and hand-offs cost on this machine: measured defaults, or a table that `tune` has stored.
//!
//! Costs decide how many threads help, how large tiles are and which way stores go: times, and never a
//! result. A table is a small text file of the user's, made for one processor model, number of processors
//! and SIMD level, and believed only where every line of it is as it should be.

use crate::error::{Error, Result};
use crate::kernels::level;
use crate::scheduler::cgroup;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};

/// The environment variable that turns tables off, or names the file of one.
pub const VARIABLE: &str = "COREPY_TUNING";
/// Raised whenever a line of the file changes its meaning.
const VERSION: u32 = 1;
/// Bytes of the longest file that is read.
const LONGEST: u64 = 16 << 10;

/// One measured number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// How much longer two threads take for one tile each than one for its own: with a worker that polls, and
    /// with one that sleeps.
    HandOffHot,
    HandOffCold,
    /// Bytes that an operation reads and writes from which on its results are stored past the caches.
    PastCaches,
    /// Reading or writing one byte where an operation's data fit the second-level cache, the third, or none.
    MoveSecond,
    MoveThird,
    MoveMemory,
    /// Adding up one byte of elements, in the second-level cache.
    SumSingle,
    SumDouble,
    SumInteger,
    /// What one element takes beyond moving its bytes: a division or square root (a vector every 5 to 16
    /// cycles), an integer division (6 to 18 cycles, there is no vector instruction), a loop over the bits
    /// of an exponent.
    Root,
    IntegerDivision,
    Power,
}

/// One line of a table: its name, what is shipped, and between what it is believed.
pub struct Line {
    pub cost: Cost,
    pub name: &'static str,
    pub shipped: f64,
    pub least: f64,
    pub most: f64,
}

const fn line(cost: Cost, name: &'static str, shipped: f64, least: f64, most: f64) -> Line {
    Line { cost, name, shipped, least, most }
}

pub const LINES: usize = 12;

/// In the order of [`Cost`]. The shipped numbers were measured on two processors of an AMD EPYC (Zen 5,
/// AVX-512, 1 MiB of second-level and 32 MiB of third-level cache) under KVM; those of `cost` say more.
pub static TABLE: [Line; LINES] = [
    line(Cost::HandOffHot, "hand_off_hot_ns", 1_000.0, 20.0, 1e5),
    line(Cost::HandOffCold, "hand_off_cold_ns", 33_500.0, 1e3, 1e7),
    line(Cost::PastCaches, "past_caches_bytes", 33_554_432.0, 1_048_576.0, 1e15),
    line(Cost::MoveSecond, "move_second_ns", 0.009, 1e-4, 10.0),
    line(Cost::MoveThird, "move_third_ns", 0.009, 1e-4, 10.0),
    line(Cost::MoveMemory, "move_memory_ns", 0.024, 1e-4, 10.0),
    line(Cost::SumSingle, "sum_single_ns", 0.009, 1e-4, 10.0),
    line(Cost::SumDouble, "sum_double_ns", 0.012, 1e-4, 10.0),
    line(Cost::SumInteger, "sum_integer_ns", 0.015, 1e-4, 10.0),
    line(Cost::Root, "root_ns", 0.2, 1e-3, 100.0),
    line(Cost::IntegerDivision, "integer_division_ns", 1.5, 1e-3, 100.0),
    line(Cost::Power, "power_ns", 1.5, 1e-3, 100.0),
];

/// A number for each line.
#[derive(Clone, Debug, PartialEq)]
pub struct Table([f64; LINES]);

static SHIPPED: Table = Table(shipped());

const fn shipped() -> [f64; LINES] {
    let mut values = [0.0; LINES];
    let mut i = 0;
    while i < LINES {
        values[i] = TABLE[i].shipped;
        i += 1;
    }
    values
}

impl Default for Table {
    fn default() -> Table {
        SHIPPED.clone()
    }
}

impl Table {
    pub fn get(&self, cost: Cost) -> f64 {
        self.0[cost as usize]
    }

    /// Sets a number, or the nearest that is believed.
    pub fn set(&mut self, cost: Cost, value: f64) {
        let Line { least, most, .. } = TABLE[cost as usize];
        // NaN becomes the least.
        self.0[cost as usize] = if value > least { value.min(most) } else { least };
    }

    /// The file's text, for this machine.
    pub fn text(&self) -> String {
        let mut text = format!("corepy tuning table {VERSION}\n");
        for (name, value) in Machine::this().lines() {
            _ = writeln!(text, "{name} = {value}");
        }
        for (line, value) in TABLE.iter().zip(&self.0) {
            _ = writeln!(text, "{} = {value}", line.name);
        }
        text
    }

    /// The table of a file's text, or what is wrong with it.
    pub fn parse(text: &str) -> std::result::Result<Table, String> {
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let Some(version) = first.strip_prefix("corepy tuning table ") else {
            return Err("it is no tuning table".to_owned());
        };
        if version != VERSION.to_string() {
            return Err(format!("it is of version {version:.20}, not {VERSION}"));
        }
        let mut pair = |name: &str| match lines.next().map(|line| line.split_once(" = ")) {
            Some(Some((found, value))) if found == name => Ok(value),
            _ => Err(format!("it has no line for {name} in its place")),
        };
        for (name, own) in Machine::this().lines() {
            let value = pair(name)?;
            if value != own {
                return Err(format!("its {name} is {value:.80}, not {own}"));
            }
        }
        let mut table = Table::default();
        for (line, place) in TABLE.iter().zip(&mut table.0) {
            let value = pair(line.name)?;
            *place =
                value.parse().ok().filter(|v| (line.least..=line.most).contains(v)).ok_or_else(|| {
                    format!("{} is {value:.40}, not a number from {} to {}", line.name, line.least, line.most)
                })?;
        }
        match lines.next() {
            None => Ok(table),
            Some(_) => Err("it goes on behind its end".to_owned()),
        }
    }
}

/// What a table is made for.
struct Machine {
    processor: String,
    processors: usize,
    level: &'static str,
}

impl Machine {
    fn this() -> Machine {
        Machine { processor: processor(), processors: cgroup::online(), level: level::in_use().name }
    }

    fn lines(&self) -> [(&'static str, String); 3] {
        [
            ("processor", self.processor.clone()),
            ("processors", self.processors.to_string()),
            ("level", self.level.to_owned()),
        ]
    }

    fn file(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let processor: String = self.processor.chars().map(plain).collect();
        format!("tuning-{processor}-{}-{}.txt", self.processors, self.level)
    }
}

/// What the processor calls itself.
fn processor() -> String {
    let name = processor_name();
    let words: Vec<&str> = name.split_ascii_whitespace().collect();
    if words.is_empty() { std::env::consts::ARCH.to_owned() } else { words.join(" ") }
}

#[cfg(target_arch = "x86_64")]
fn processor_name() -> String {
    use std::arch::x86_64::__cpuid;
    // Its place says how far extended leaves go.
    #[allow(unused_unsafe)]
    // SAFETY: every x86-64 processor has the instruction.
    let leaf = |number: u32| unsafe { __cpuid(number) };
    if leaf(0x8000_0000).eax < 0x8000_0004 {
        return String::new();
    }
    let words = (0x8000_0002..=0x8000_0004).flat_map(|number| {
        let found = leaf(number);
        [found.eax, found.ebx, found.ecx, found.edx]
    });
    let bytes = words.flat_map(u32::to_le_bytes).filter(|b| b.is_ascii_graphic() || *b == b' ');
    bytes.map(char::from).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn processor_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named =
        |key: &str| text.lines().find(|l| l.starts_with(key))?.split_once(':').map(|(_, v)| v.to_owned());
    let name = named("model name").unwrap_or_default();
    // AArch64 has numbers alone.
    let part = named("CPU implementer").zip(named("CPU part")).map(|(a, b)| format!("{a} {b}"));
    let plain = |name: String| name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    plain(if name.is_empty() { part.unwrap_or_default() } else { name })
}

static IN_USE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

/// A number of the table in use.
#[inline]
pub fn get(cost: Cost) -> f64 {
    let chosen = IN_USE.load(Ordering::Acquire);
    // SAFETY: only addresses of leaked tables are stored.
    let table = if chosen.is_null() { &SHIPPED } else { unsafe { &*chosen } };
    table.0[cost as usize]
}

/// Uses a table from now on.
pub fn choose(table: Table) {
    // A few hundred bytes, for the few times that this is done.
    IN_USE.store(Box::leak(Box::new(table)), Ordering::Release);
}

/// The table in use.
pub fn in_use() -> Table {
    let mut table = Table::default();
    for (line, value) in TABLE.iter().zip(&mut table.0) {
        *value = get(line.cost);
    }
    table
}

/// Where this machine's table is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Nowhere: `COREPY_TUNING=off`, or there is no home for it.
    Off,
    File(PathBuf),
}

/// The file of this machine, by the environment: `COREPY_TUNING`, else a name of its own in
/// `$XDG_CACHE_HOME/corepy` or `~/.cache/corepy`.
pub fn place() -> Place {
    if let Some(value) = crate::settings::value(VARIABLE) {
        return if value == "off" { Place::Off } else { Place::File(PathBuf::from(value)) };
    }
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    cache.map_or(Place::Off, |cache| Place::File(cache.join("corepy").join(Machine::this().file())))
}

/// What came of looking for a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Off,
    /// There is no file, and nobody has asked for one.
    None,
    Used,
    Ignored(String),
}

/// Uses the table that is kept for this machine. One that is not as it should be is ignored.
pub fn load() -> (Place, Found) {
    let place = place();
    let Place::File(path) = &place else { return (place, Found::Off) };
    let found = match read(path) {
        Ok(None) if crate::settings::value(VARIABLE).is_none() => Found::None,
        Ok(None) => Found::Ignored("there is no such file".to_owned()),
        Ok(Some(text)) => match Table::parse(&text) {
            Ok(table) => {
                choose(table);
                Found::Used
            }
            Err(why) => Found::Ignored(why),
        },
        Err(why) => Found::Ignored(why),
    };
    (place, found)
}

/// A file's text; None where there is no file.
fn read(path: &Path) -> std::result::Result<Option<String>, String> {
    let missing = |kind| matches!(kind, std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory);
    // A pipe or a device could keep the reader for ever.
    match std::fs::metadata(path) {
        Ok(about) if !about.is_file() => return Err("it is no file".to_owned()),
        Ok(about) if about.len() > LONGEST => return Err(format!("it has {} bytes", about.len())),
        Ok(_) => {}
        Err(why) if missing(why.kind()) => return Ok(None),
        Err(why) => return Err(why.to_string()),
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    read.map_err(|why| why.to_string())?;
    String::from_utf8(bytes).map(Some).map_err(|_| "it is no text".to_owned())
}

/// Keeps a table for later processes: it appears whole or not at all.
pub fn store(op: &'static str, table: &Table, path: &Path) -> Result<()> {
    let failed = |why: std::io::Error| Error::TuningFile {
        op,
        path: path.display().to_string(),
        why: why.to_string(),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let own = PathBuf::from(name);
    let written = std::fs::write(&own, table.text()).and_then(|()| std::fs::rename(&own, path));
    written.map_err(|why| {
        _ = std::fs::remove_file(&own);
        failed(why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_order_and_shipped_numbers_are_believed() {
        for (place, line) in TABLE.iter().enumerate() {
            assert_eq!(line.cost as usize, place);
            assert!((line.least..=line.most).contains(&line.shipped), "{}", line.name);
        }
        assert_eq!(Table::parse(&Table::default().text()), Ok(Table::default()));
    }

    #[test]
    fn every_wrong_line_is_refused() {
        let text = Table::default().text();
        for number in 0..text.lines().count() {
            let without: Vec<&str> =
                text.lines().enumerate().filter(|(i, _)| *i != number).map(|(_, l)| l).collect();
            assert!(Table::parse(&without.join("\n")).is_err(), "without line {number}");
        }
        for (from, to) in [
            ("table 1", "table 2"),
            ("processors = ", "processors = 9"),
            ("root_ns = 0.2", "root_ns = nan"),
            ("root_ns = 0.2", "root_ns = -1"),
            ("root_ns = 0.2", "root_ns = 1e9"),
            ("root_ns = 0.2", "root_ns ="),
            ("hand_off_hot_ns = 1000", "hand_off_hot_ns = 1"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Table::parse(&text.replace(from, to)).is_err(), "{to}");
        }
        assert!(Table::parse(&(text.clone() + "more = 1\n")).is_err());
        assert!(Table::parse(&text[..text.len() / 2]).is_err());
        assert!(Table::parse("").is_err());
    }

    #[test]
    fn numbers_that_were_measured_are_brought_into_range() {
        let mut table = Table::default();
        for (value, kept) in [(f64::NAN, 1e-3), (-1.0, 1e-3), (1e9, 100.0), (0.5, 0.5)] {
            table.set(Cost::Root, value);
            assert_eq!(table.get(Cost::Root), kept);
        }
    }
}
