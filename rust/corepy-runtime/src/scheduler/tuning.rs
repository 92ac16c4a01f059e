//! What operations and hand-offs cost on this machine: measured defaults, or a table that `tune` has stored.
//!
//! Costs decide how many threads help, how large tiles are and which way stores go: times, and never a
//! result. A table is a small text file of the user's, made for one processor model, number of processors
//! and SIMD level, and believed only where every line of it is as it should be.

use crate::dtype::DType;
use crate::error::{Error, Result};
pub use crate::generated::costs::{Class, Cost, LINES, Line, ROWS, Row, SHIPPED, Shipped, Table};
use crate::generated::costs::{LEAST, MOST, VERSION};
use crate::generated::dtypes::ALL;
use crate::kernels::level;
use crate::scheduler::cgroup;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The environment variable that turns tables off, or names the file of one.
pub const VARIABLE: &str = "COREPY_TUNING";
/// Bytes of the longest file that is read.
const LONGEST: u64 = 16 << 10;

/// Characters of the column of names and of a dtype's in a file.
const NAMES: usize = 18;
const COLUMN: usize = 10;

/// The table that is shipped for the level in use: for one that has none, that of the widest with
/// registers no longer than its own.
pub fn shipped() -> &'static Shipped {
    let level = level::in_use().name;
    let own = SHIPPED.iter().find(|shipped| shipped.level == level);
    // AArch64's registers of 16 bytes are nearer to AVX2 than to scalar code.
    own.unwrap_or(&SHIPPED[1])
}

impl Table {
    pub fn get(&self, cost: Cost) -> f64 {
        self.costs[cost as usize]
    }

    /// Estimated ns for one element of a dtype that the class takes.
    pub fn element(&self, class: Class, dtype: DType) -> f64 {
        self.elements[class as usize][dtype.number()]
    }

    /// Sets a number, or the nearest that is believed.
    pub fn set(&mut self, cost: Cost, value: f64) {
        let Line { least, most, .. } = LINES[cost as usize];
        self.costs[cost as usize] = within(value, least, most);
    }

    /// Sets the cost of an element, or the nearest that is believed.
    pub fn set_element(&mut self, class: Class, dtype: DType, value: f64) {
        self.elements[class as usize][dtype.number()] = within(value, LEAST, MOST);
    }

    /// The file's text, for this machine.
    pub fn text(&self) -> String {
        let mut text = format!("corepy tuning table {VERSION}\n");
        let mut line = |name: &str, value: &str| _ = writeln!(text, "{name:NAMES$} ={value}");
        for (name, value) in Machine::this().lines() {
            line(name, &format!(" {value}"));
        }
        for Line { cost, name, .. } in &LINES {
            line(name, &format!(" {}", self.get(*cost)));
        }
        line("dtype", &columns(|dtype| dtype.name().to_owned()));
        for Row { class, name, dtypes } in &ROWS {
            line(
                name,
                &columns(|dtype| match dtypes.contains(dtype) {
                    true => self.element(*class, dtype).to_string(),
                    false => "-".to_owned(),
                }),
            );
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
        let mut pair = |name: &str| match lines.next().and_then(|line| line.split_once('=')) {
            Some((found, value)) if found.trim_ascii_end() == name => Ok(value.trim_ascii()),
            _ => Err(format!("it has no line for {name} in its place")),
        };
        for (name, own) in Machine::this().lines() {
            let value = pair(name)?;
            if value != own {
                return Err(format!("its {name} is {value:.80}, not {own}"));
            }
        }
        let mut table = shipped().table.clone();
        for (Line { name, least, most, .. }, place) in LINES.iter().zip(&mut table.costs) {
            *place = number(name, pair(name)?, *least, *most)?;
        }
        if !pair("dtype")?.split_ascii_whitespace().eq(ALL.iter().map(|dtype| dtype.name())) {
            return Err("its dtypes are others".to_owned());
        }
        for (Row { name, dtypes, .. }, places) in ROWS.iter().zip(&mut table.elements) {
            let mut values = pair(name)?.split_ascii_whitespace();
            for (dtype, place) in ALL.into_iter().zip(places) {
                let value = values.next().unwrap_or("nothing");
                let name = format!("{name} of {}", dtype.name());
                match dtypes.contains(dtype) {
                    true => *place = number(&name, value, LEAST, MOST)?,
                    false if value == "-" => {}
                    false => return Err(format!("{name} is {value:.40}, not -")),
                }
            }
            if values.next().is_some() {
                return Err(format!("{name} has more numbers than there are dtypes"));
            }
        }
        match lines.next() {
            None => Ok(table),
            Some(_) => Err("it goes on behind its end".to_owned()),
        }
    }
}

/// The nearest number that is believed, a fraction to four digits, as many as are measured; NaN becomes the least.
fn within(value: f64, least: f64, most: f64) -> f64 {
    let rounded = if value.fract() == 0.0 { value } else { format!("{value:.3e}").parse().unwrap_or(least) };
    if rounded > least { rounded.min(most) } else { least }
}

fn number(name: &str, value: &str, least: f64, most: f64) -> std::result::Result<f64, String> {
    let parsed = value.parse().ok().filter(|v| (least..=most).contains(v));
    parsed.ok_or_else(|| format!("{name} is {value:.40}, not a number from {least} to {most}"))
}

/// A column for each dtype.
fn columns(value: impl Fn(DType) -> String) -> String {
    ALL.into_iter().map(|dtype| format!(" {:>COLUMN$}", value(dtype))).collect()
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

/// The table in use.
#[inline]
pub fn in_use() -> &'static Table {
    let chosen = IN_USE.load(Ordering::Acquire);
    // SAFETY: only addresses of tables that are never freed are stored.
    if chosen.is_null() { choose_shipped() } else { unsafe { &*chosen } }
}

#[cold]
fn choose_shipped() -> &'static Table {
    choose(&shipped().table);
    in_use()
}

/// A number of the table in use.
#[inline]
pub fn get(cost: Cost) -> f64 {
    in_use().get(cost)
}

/// Uses a table from now on.
pub fn choose(table: &'static Table) {
    IN_USE.store(std::ptr::from_ref(table).cast_mut(), Ordering::Release);
}

/// A table that can be chosen: some kilobytes, for the few times that this is done.
pub fn keep(table: Table) -> &'static Table {
    Box::leak(Box::new(table))
}

/// Whether the table in use was measured on this machine, and not shipped.
pub fn is_measured() -> bool {
    let table = in_use();
    !SHIPPED.iter().any(|shipped| std::ptr::eq(&shipped.table, table))
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
        Ok(None) => Found::Ignored("there is no such file; tune() makes it".to_owned()),
        Ok(Some(text)) => match Table::parse(&text) {
            Ok(table) => {
                choose(keep(table));
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
    let (mut file, own) = new_beside(path).map_err(|why| unwritten(op, path, &why))?;
    let written = file.write_all(table.text().as_bytes()).and_then(|()| std::fs::rename(&own, path));
    written.map_err(|why| {
        _ = std::fs::remove_file(&own);
        unwritten(op, path, &why)
    })
}

/// Fails where `store` would for want of a folder that can be written, before anybody has waited for a table.
pub fn check_storable(op: &'static str, path: &Path) -> Result<()> {
    let tried = new_beside(path).and_then(|(_, own)| std::fs::remove_file(own));
    tried.map_err(|why| unwritten(op, path, &why))
}

fn unwritten(op: &'static str, path: &Path, why: &std::io::Error) -> Error {
    Error::TuningFile { op, path: path.display().to_string(), why: why.to_string() }
}

/// A new file beside another, and its name: nobody else's, whichever threads, processes and containers that
/// share the folder write there at the same time.
fn new_beside(path: &Path) -> std::io::Result<(std::fs::File, PathBuf)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let own = PathBuf::from(name);
        match std::fs::File::options().write(true).create_new(true).open(&own) {
            Ok(file) => return Ok((file, own)),
            Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::costs::{CLASSES, COSTS};

    #[test]
    fn lines_stand_in_order_and_shipped_numbers_are_believed() {
        for (place, line) in LINES.iter().enumerate() {
            assert_eq!(line.cost as usize, place);
            for shipped in &SHIPPED {
                assert!((line.least..=line.most).contains(&shipped.table.costs[place]), "{}", line.name);
            }
        }
        for (place, row) in ROWS.iter().enumerate() {
            assert_eq!(row.class as usize, place);
            for (shipped, dtype) in SHIPPED.iter().flat_map(|s| ALL.map(|dtype| (s, dtype))) {
                let value = shipped.table.element(row.class, dtype);
                let believed = (LEAST..=MOST).contains(&value);
                assert_eq!(believed, row.dtypes.contains(dtype), "{} {}", row.name, dtype.name());
            }
        }
        assert_eq!(Table::parse(&shipped().table.text()).as_ref(), Ok(&shipped().table));
    }

    /// A table in which no two numbers are alike.
    fn different() -> Table {
        let mut table = shipped().table.clone();
        for (place, line) in LINES.iter().enumerate() {
            table.set(line.cost, line.least * (2.0 + place as f64));
        }
        for (place, row) in ROWS.iter().enumerate() {
            for dtype in ALL.into_iter().filter(|&dtype| row.dtypes.contains(dtype)) {
                table.set_element(row.class, dtype, 1.0 + place as f64 + dtype.number() as f64 / 32.0);
            }
        }
        table
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let table = different();
        assert_ne!(table, shipped().table);
        assert_eq!(Table::parse(&table.text()), Ok(table));
    }

    #[test]
    fn stored_by_many_threads_at_once_it_is_whole_and_nobody_fails() {
        let folder = std::env::temp_dir().join(format!("corepy-store-{}", std::process::id()));
        let path = folder.join("table.txt");
        let table = different();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        store("tune", &table, &path).unwrap();
                        assert_eq!(Table::parse(&read(&path).unwrap().unwrap()).as_ref(), Ok(&table));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn every_wrong_line_is_refused() {
        let text = different().text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 3 + COSTS + 1 + CLASSES);
        for number in 0..lines.len() {
            let without: Vec<&str> =
                lines.iter().enumerate().filter(|(i, _)| *i != number).map(|(_, l)| *l).collect();
            assert!(Table::parse(&without.join("\n")).is_err(), "without line {number}");
            // A number or a word less, one more, and what is none.
            let (name, values) = lines[number].rsplit_once(' ').unwrap();
            for wrong in [name.to_owned(), format!("{name} {values} 1"), format!("{name} x{values}")] {
                let mut changed = lines.clone();
                changed[number] = &wrong;
                assert!(Table::parse(&changed.join("\n")).is_err(), "{wrong}");
            }
            if number > 3 {
                for wrong in ["nan", "-1", "0", "1e300", "inf", "", "--"] {
                    let mut changed = lines.clone();
                    let wrong = format!("{name} {wrong}");
                    changed[number] = &wrong;
                    assert!(Table::parse(&changed.join("\n")).is_err(), "{wrong}");
                }
            }
        }
        for (from, to) in
            [("table 2", "table 1"), ("- ", "1 "), ("bool ", "int8 "), ("processors ", "cores ")]
        {
            assert!(text.contains(from), "{from}");
            assert!(Table::parse(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(Table::parse(&(text.clone() + "more = 1\n")).is_err());
        assert!(Table::parse(&text[..text.len() / 2]).is_err());
        assert!(Table::parse("").is_err());
    }

    #[test]
    fn numbers_that_were_measured_are_brought_into_range() {
        let mut table = shipped().table.clone();
        for (value, kept) in [(f64::NAN, LEAST), (-1.0, LEAST), (f64::INFINITY, MOST), (0.5, 0.5)] {
            table.set_element(Class::Root, DType::Float64, value);
            assert_eq!(table.element(Class::Root, DType::Float64), kept);
        }
        for (value, kept) in [(f64::NAN, 1e-4), (-1.0, 1e-4), (1e9, 10.0), (0.5, 0.5)] {
            table.set(Cost::MoveThirdNs, value);
            assert_eq!(table.get(Cost::MoveThirdNs), kept);
        }
    }
}
