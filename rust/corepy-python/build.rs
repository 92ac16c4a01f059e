//! Tells the library the versions of the crates that it is built from.

use std::path::Path;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| {
        let path = root.join(path);
        println!("cargo:rerun-if-changed={}", path.display());
        std::fs::read_to_string(path).expect("manifests and the lock file are part of the source tree")
    };
    let lock = read("Cargo.lock");
    let mut wanted: Vec<String> = ["rust/corepy-runtime/Cargo.toml", "rust/corepy-python/Cargo.toml"]
        .iter()
        .flat_map(|manifest| dependencies(&read(manifest)))
        .collect();
    wanted.sort();
    wanted.dedup();
    let shown: Vec<String> =
        wanted.iter().filter_map(|name| Some(format!("{name}={}", version(&lock, name)?))).collect();
    println!("cargo:rustc-env=COREPY_DEPENDENCIES={}", shown.join(";"));
}

/// Names in a manifest's table of dependencies, those of the workspace itself left out.
fn dependencies(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    lines
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .filter(|name| !name.starts_with("corepy-") && !name.starts_with('#'))
        .collect()
}

/// The version of a package in the lock file.
fn version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let own = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != own);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}
