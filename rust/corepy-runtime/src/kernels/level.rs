//! SIMD levels: which the machine has, which one is in use, and their kernel tables.

use crate::error::{Error, Result};
use crate::generated::lanes::{self, Opcode, Own, Suffix, Type};
use crate::generated::{abi, dtypes, ops};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The environment variable that forces a level by name.
pub const VARIABLE: &str = "COREPY_SIMD";

type Fill = unsafe extern "C" fn(*mut abi::kernels);

unsafe extern "C" {
    fn corepy_fill_portable(table: *mut abi::kernels);
    #[cfg(target_arch = "x86_64")]
    fn corepy_fill_x86_64_v3(table: *mut abi::kernels);
    #[cfg(target_arch = "x86_64")]
    fn corepy_fill_x86_64_v4(table: *mut abi::kernels);
    #[cfg(target_arch = "aarch64")]
    fn corepy_fill_aarch64(table: *mut abi::kernels);
}

struct Declared {
    name: &'static str,
    fill: Fill,
    supported: fn() -> bool,
}

/// Every level that this build holds, slowest first.
static DECLARED: &[Declared] = &[
    Declared { name: "portable", fill: corepy_fill_portable, supported: || true },
    #[cfg(target_arch = "x86_64")]
    Declared { name: "x86-64-v3", fill: corepy_fill_x86_64_v3, supported: has_x86_64_v3 },
    #[cfg(target_arch = "x86_64")]
    Declared { name: "x86-64-v4", fill: corepy_fill_x86_64_v4, supported: has_x86_64_v4 },
    #[cfg(target_arch = "aarch64")]
    Declared { name: "aarch64", fill: corepy_fill_aarch64, supported: || true },
];

#[cfg(target_arch = "x86_64")]
fn has_x86_64_v3() -> bool {
    // The features of the x86-64-v3 level of the psABI that GCC may use.
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("movbe")
        && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_x86_64_v4() -> bool {
    has_x86_64_v3()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// A level with its kernel table.
pub struct Level {
    /// Its place among all levels of this build.
    pub number: usize,
    pub name: &'static str,
    pub table: &'static abi::kernels,
}

/// How many levels this build has, whether the machine has them or not.
pub fn count() -> usize {
    DECLARED.len()
}

static IN_USE: AtomicPtr<Level> = AtomicPtr::new(std::ptr::null_mut());

/// Names of the levels that this machine can run, slowest first.
pub fn available() -> Vec<&'static str> {
    DECLARED.iter().filter(|d| (d.supported)()).map(|d| d.name).collect()
}

/// Each level that this build holds with the flags that its kernels were compiled with.
pub fn built() -> impl Iterator<Item = (&'static str, &'static str)> {
    // The build script writes `level=flags` with the levels' names as identifiers.
    env!("COREPY_LEVEL_FLAGS").split(';').filter_map(|entry| {
        let (identifier, flags) = entry.split_once('=')?;
        let level = DECLARED.iter().find(|d| d.name.replace('-', "_") == identifier)?;
        Some((level.name, flags))
    })
}

/// The level in use: the one that was chosen, else the machine's widest.
#[inline]
pub fn in_use() -> &'static Level {
    let chosen = IN_USE.load(Ordering::Acquire);
    if chosen.is_null() {
        return choose_widest();
    }
    // SAFETY: only addresses of leaked levels are stored.
    unsafe { &*chosen }
}

#[cold]
fn choose_widest() -> &'static Level {
    let widest = available().pop().expect("portable is always available");
    choose(widest).expect("an available level loads")
}

/// Chooses the level that `COREPY_SIMD` names, else the machine's widest.
pub fn choose_from_environment() -> Result<&'static Level> {
    crate::settings::value(VARIABLE).map_or_else(|| Ok(choose_widest()), |name| choose(&name))
}

/// Uses the level of a name from now on.
pub fn choose(name: &str) -> Result<&'static Level> {
    let names = available();
    if !names.contains(&name) {
        return Err(Error::Setting {
            name: VARIABLE,
            value: name.to_owned(),
            valid: format!("this machine has {}", names.join(", ")),
        });
    }
    let level = load(name)?;
    IN_USE.store(std::ptr::from_ref(level).cast_mut(), Ordering::Release);
    Ok(level)
}

/// The table of an available level, filled and checked once.
pub fn load(name: &str) -> Result<&'static Level> {
    static LOADED: OnceLock<Vec<Level>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| DECLARED.iter().filter(|d| (d.supported)()).map(fill).collect());
    let level = loaded.iter().find(|l| l.name == name);
    let level = level.ok_or_else(|| internal(format!("level {name} is not available")))?;
    check(level)?;
    Ok(level)
}

fn fill(declared: &Declared) -> Level {
    // SAFETY: every field is a number or an optional function pointer, for which zero is valid.
    let mut table: Box<abi::kernels> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: the function writes only slots of the table. Portable first, so that a level may leave
    // a slot to it.
    unsafe {
        corepy_fill_portable(&mut *table);
        (declared.fill)(&mut *table);
    }
    let number = DECLARED.iter().position(|d| d.name == declared.name).unwrap_or(0);
    Level { number, name: declared.name, table: Box::leak(table) }
}

fn internal(what: String) -> Error {
    Error::Internal { op: "kernels", what }
}

/// Fails when a table comes from other sources than this build, or lacks a kernel.
fn check(level: &Level) -> Result<()> {
    let table = level.table;
    if table.abi_version != abi::ABI_VERSION || table.struct_bytes as usize != size_of::<abi::kernels>() {
        return Err(internal(format!(
            "level {} has ABI version {} and {} bytes, not {} and {}",
            level.name,
            table.abi_version,
            table.struct_bytes,
            abi::ABI_VERSION,
            size_of::<abi::kernels>()
        )));
    }
    let missing = missing_slots(table);
    if missing.is_empty() {
        return Ok(());
    }
    Err(internal(format!("level {} lacks kernels: {}", level.name, missing.join(", "))))
}

/// Names of the slots that a table should fill and does not.
pub fn missing_slots(table: &abi::kernels) -> Vec<String> {
    let mut missing = Vec::new();
    let mut need = |filled: bool, name: String| {
        if !filled {
            missing.push(name);
        }
    };
    for dtype in dtypes::ALL {
        let number = dtype.number();
        for (op, row) in ops::UNARY.iter().enumerate() {
            if row.dtypes.contains(dtype) {
                need(table.unary[op][number].is_some(), format!("{} {}", row.name, dtype.name()));
            }
        }
        for (op, row) in ops::BINARY.iter().enumerate() {
            if row.dtypes.contains(dtype) {
                let filled = table.binary[op][number].iter().all(Option::is_some);
                need(filled, format!("{} {}", row.name, dtype.name()));
            }
        }
        for family in ops::Family::ALL {
            if ops::FAMILY_DTYPES[family as usize].contains(dtype) {
                let kernels = &table.reductions[family as usize][number];
                let filled = kernels.blocks.is_some()
                    && kernels.rows.is_some()
                    && kernels.columns.is_some()
                    && kernels.merge.is_some()
                    && kernels.finish.is_some()
                    && kernels.each.is_some()
                    && kernels.lane_bytes > 0;
                need(filled, format!("reduction {family:?} {}", dtype.name()));
            }
        }
        if ops::CUMULATIVE_DTYPES.contains(&dtype) {
            for op in ops::Cumulative::ALL {
                let kernels = &table.cumulative[op as usize][number];
                let filled = kernels.start.is_some()
                    && kernels.absorb.is_some()
                    && kernels.totals.is_some()
                    && kernels.line.is_some()
                    && kernels.lines.is_some()
                    && kernels.rows.is_some()
                    && kernels.carry_bytes > 0
                    && kernels.total_bytes > 0;
                need(filled, format!("cumulative {op:?} {}", dtype.name()));
            }
        }
        if dtypes::NUMERIC.contains(dtype) {
            let gemm = &table.gemm[number];
            let filled = gemm.pack_a.is_some()
                && gemm.pack_b.is_some()
                && gemm.block.is_some()
                && gemm.vector.is_some()
                && gemm.small.is_some()
                && gemm.mr > 0
                && gemm.nr > 0
                && gemm.packed_bytes > 0;
            need(filled, format!("gemm {}", dtype.name()));
        }
        for to in dtypes::ALL {
            need(table.cast[number][to.number()].is_some(), format!("cast {} {}", dtype.name(), to.name()));
        }
    }
    for ty in Type::ALL {
        let number = ty.dtype().number();
        if ty == ty.in_register() && ty != Type::B1 {
            let filled = table.multiply_add[number].iter().all(Option::is_some);
            need(filled, format!("multiply_add {}", ty.name()));
            let filled = !ty.is_float() || table.multiply_add_chain[number].is_some();
            need(filled, format!("multiply_add_chain {}", ty.name()));
        }
    }
    let red = lanes::ROWS.iter().find(|row| row.opcode == Opcode::Own(Own::Red));
    if let Some(Suffix::Combine(combines)) = red.map(|row| row.suffix) {
        for &(combine, types) in combines {
            for ty in Type::ALL.into_iter().filter(|&ty| types.contains(ty)) {
                let filled = table.lane_combine[combine as usize][ty.dtype().number()].is_some();
                need(filled, format!("lane_combine {} {}", combine.name(), ty.name()));
            }
        }
    }
    for width in 0..abi::LANE_WIDTHS {
        let filled = table.lane_gather[width].is_some()
            && table.lane_scatter[width].is_some()
            && table.lane_rows[width].is_some()
            && table.lane_count[width].is_some();
        need(filled, format!("lane access of {} bytes", 1 << width));
    }
    let filled = table.mask_bits.is_some() && table.mask_bytes.is_some() && table.lane_bounds.is_some();
    need(filled, "mask and bounds kernels".to_owned());
    for width in 0..abi::WIDTHS {
        let filled = table.select[width].is_some()
            && table.gather[width].is_some()
            && table.scatter[width].is_some()
            && table.transpose[width].is_some()
            && table.fill[width].is_some()
            && table.take[width].is_some()
            && table.compress[width].is_some();
        need(filled, format!("moves of {} bytes", 1 << width));
    }
    need(table.copy_rows.is_some(), "copy_rows".to_owned());
    let filled = table.wrap_indices.is_some()
        && table.count_mask.is_some()
        && table.mask_positions.is_some()
        && table.ramp_integer.is_some()
        && table.ramp_float.is_some();
    need(filled, "index and ramp kernels".to_owned());
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_available_level_has_every_kernel() {
        for name in available() {
            let level = load(name).unwrap();
            assert_eq!(level.name, name);
            assert_eq!(missing_slots(level.table), Vec::<String>::new());
        }
    }

    #[test]
    fn an_empty_table_misses_every_slot() {
        // SAFETY: zero is valid for numbers and optional function pointers.
        let table: Box<abi::kernels> = Box::new(unsafe { std::mem::zeroed() });
        let missing = missing_slots(&table);
        assert!(missing.contains(&"add float32".to_owned()));
        assert!(missing.contains(&"index and ramp kernels".to_owned()));
    }

    #[test]
    fn an_unknown_level_is_an_error_that_lists_the_valid_ones() {
        let message = choose("sse9").err().map(|e| e.to_string()).unwrap_or_default();
        assert!(message.contains("sse9") && message.contains("portable"), "{message}");
    }
}
