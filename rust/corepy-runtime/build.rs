//! Compiles `csrc/` once per SIMD level into static archives, and tells the library by what.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Level identifier and its machine flags. The first is compiled for the target's baseline.
const X86_64: [(&str, &[&str]); 3] = [
    // Scalar code only: correct everywhere, small, and the reference for the others.
    ("portable", &["-O2", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"]),
    ("x86_64_v3", &["-O3", "-march=x86-64-v3"]),
    // GCC prefers 256-bit vectors on x86-64-v4 unless told otherwise.
    ("x86_64_v4", &["-O3", "-march=x86-64-v4", "-mprefer-vector-width=512"]),
];
const AARCH64: [(&str, &[&str]); 2] =
    [("portable", &["-O2", "-fno-tree-vectorize", "-fno-tree-slp-vectorize"]), ("aarch64", &["-O3"])];
const OTHER: [(&str, &[&str]); 1] = [("portable", &["-O2"])];

fn main() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    say("TARGET", &variable("TARGET"));
    say("PROFILE", &format!("{}, opt-level {}", variable("PROFILE"), variable("OPT_LEVEL")));
    say("RUST", &first_line(&variable("RUSTC")));
    // clippy gives build scripts a build of their own, links nothing, and so needs no kernels.
    println!("cargo:rerun-if-env-changed=RUSTC_WORKSPACE_WRAPPER");
    if std::env::var("RUSTC_WORKSPACE_WRAPPER").is_ok_and(|wrapper| wrapper.contains("clippy")) {
        say("COMPILER", "none");
        say("LEVEL_FLAGS", "");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../csrc");
    println!("cargo:rerun-if-changed={}", root.join("src").display());
    println!("cargo:rerun-if-changed={}", root.join("include").display());
    let sources = cpp_sources(&root.join("src"));
    let levels: &[(&str, &[&str])] = match std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("x86_64") => &X86_64,
        Ok("aarch64") => &AARCH64,
        _ => &OTHER,
    };
    let mut level_flags = Vec::new();
    for (level, flags) in levels {
        let mut build = cc::Build::new();
        build
            .cpp(true)
            .std("c++20")
            .opt_level(2)
            .debug(false)
            .warnings(true)
            .extra_warnings(true)
            .cpp_link_stdlib(None) // freestanding use of the language: no libstdc++ at run time
            .include(root.join("include"))
            .define("COREPY_LEVEL", *level)
            .flag("-fno-exceptions")
            .flag("-fno-rtti")
            .flag("-fno-math-errno")
            .flag("-fno-trapping-math")
            .flag("-ffp-contract=off")
            .flag("-fno-threadsafe-statics")
            .flag("-fvisibility=hidden")
            .flag("-Wno-psabi")
            .files(&sources);
        for flag in *flags {
            build.flag(flag);
        }
        let compiler = build.get_compiler();
        level_flags.push(format!("{level}={}", shown_flags(compiler.args())));
        say("COMPILER", &first_line(&compiler.path().to_string_lossy()));
        build.compile(&format!("corepy_kernels_{level}"));
    }
    say("LEVEL_FLAGS", &level_flags.join(";"));
}

/// Sets `COREPY_<name>` for the library's own compilation.
fn say(name: &str, value: &str) {
    println!("cargo:rustc-env=COREPY_{name}={value}");
}

/// What a compiler calls itself.
fn first_line(program: &str) -> String {
    let answer = Command::new(program).arg("--version").output();
    let text = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_else(|| "unknown".to_owned())
}

/// Flags without those that name folders, which differ from build to build and change no code.
fn shown_flags(flags: &[std::ffi::OsString]) -> String {
    let mut shown = Vec::new();
    let mut flags = flags.iter().map(|flag| flag.to_string_lossy());
    while let Some(flag) = flags.next() {
        if flag == "-I" {
            flags.next();
        } else if !flag.contains('/') {
            shown.push(flag.replace(';', ","));
        }
    }
    shown.join(" ")
}

fn cpp_sources(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("csrc/src is part of the source tree")
        .map(|entry| entry.expect("csrc/src can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "cpp"))
        .collect();
    found.sort();
    found
}
