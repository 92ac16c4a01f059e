"""Checks of the built kernels and of the extension: which symbols they have, need and import.

Every check fails when a tool or a file that it reads is missing.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTENSION = ROOT / "python" / "corepy" / "_native.abi3.so"
BUILD = ROOT / "target" / "release" / "build"

LEVELS = {"x86_64": ("portable", "x86_64_v3", "x86_64_v4"), "aarch64": ("portable", "aarch64")}

# Of a weak (w, v: undefined or defined) or unique (u) symbol the linker keeps one copy, which may
# be the one that was compiled for a CPU that this machine is not.
WEAK = "WwVvu"

# What a compiler may call by itself, and fma where the portable level has no instruction for it.
KERNELS_MAY_CALL = {"memcpy", "memmove", "memset", "memcmp"}
PORTABLE_MAY_CALL = {"fma", "fmaf"}

# libm functions that the extension imports, each with its reason. All are exact or correctly
# rounded by definition, so that they cannot differ between machines.
LIBM_ALLOWED = {
    "fma": "the portable level",
    "fmaf": "the portable level",
}

LIBRARIES_ALLOWED = ("libc.so.", "libm.so.", "libgcc_s.so.", "libpthread.so.", "libdl.so.", "ld-linux")
NEVER_IMPORTED = {
    "printf", "fprintf", "vprintf", "vfprintf", "puts", "fputs", "putchar", "fwrite", "perror",
    "__printf_chk", "__fprintf_chk", "__vfprintf_chk", "__assert_fail",
}  # fmt: skip


@dataclass(frozen=True)
class Symbol:
    name: str
    kind: str  # nm's letter

    @property
    def undefined(self) -> bool:
        return self.kind in "Uwv"


def output(*command: str) -> str:
    """What a tool prints; a tool that is missing or fails is a failed check."""
    if shutil.which(command[0]) is None:
        raise SystemExit(f"{command[0]} is not installed")
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)}: {answer.stderr.strip()}")
    return answer.stdout


def parse_symbols(text: str) -> list[Symbol]:
    """Symbols of nm's POSIX format: name, letter, and value and size where it is defined."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 2 and len(fields[1]) == 1:
            found.append(Symbol(fields[0], fields[1]))
    return found


def symbols(path: Path, *options: str) -> list[Symbol]:
    if not path.is_file():
        raise SystemExit(f"{path} is missing")
    found = parse_symbols(output("nm", "--format=posix", *options, str(path)))
    if not found:
        raise SystemExit(f"{path}: nm lists no symbol")
    return found


def level_of(archive: Path) -> str:
    return archive.stem.removeprefix("libcorepy_kernels_")


def archives() -> list[Path]:
    """The kernels of the newest build, one archive a level."""
    expected = LEVELS.get(platform.machine(), ("portable",))
    folders = [path.parent for path in BUILD.glob("corepy-runtime-*/out/libcorepy_kernels_portable.a")]
    if not folders:
        raise SystemExit(f"{BUILD} holds no built kernels")
    newest = max(folders, key=lambda folder: (folder / "libcorepy_kernels_portable.a").stat().st_mtime)
    found = sorted(newest.glob("libcorepy_kernels_*.a"))
    if sorted(map(level_of, found)) != sorted(expected):
        raise SystemExit(f"{newest}: levels {[level_of(path) for path in found]}, expected {list(expected)}")
    return found


def kernel_faults(level: str, found: list[Symbol]) -> list[str]:
    """Symbols of one level's objects that must not be there."""
    faults = [f"{level}: weak symbol {s.name}" for s in found if s.kind in WEAK]
    defined = {s.name for s in found if not s.undefined}
    allowed = KERNELS_MAY_CALL | (PORTABLE_MAY_CALL if level == "portable" else set()) | defined
    faults += [f"{level}: needs {s.name}" for s in found if s.kind == "U" and s.name not in allowed]
    entry = f"corepy_fill_{level}"
    if entry not in defined:
        faults.append(f"{level}: {entry} is missing")
    # Mangled names of corepy_LEVEL::..., which no other level has.
    own = f"_ZN{len('corepy_' + level)}corepy_{level}"
    faults += [
        f"{level}: {s.name} is visible to other levels"
        for s in found
        if s.kind.isupper() and not s.undefined and s.name != entry and not s.name.startswith(own)
    ]
    return sorted(set(faults))


def contraction_faults(level: str, disassembly: str) -> list[str]:
    """Multiplications that the compiler fused with alternating additions and subtractions.

    GCC 12 does so for interleaved a*b - c and a*b + c (a complex product) in spite of
    -ffp-contract=off; the portable level cannot, so the levels' bits would differ. No source asks for
    these instructions.
    """
    count = sum(disassembly.count(name) for name in ("vfmaddsub", "vfmsubadd"))
    return [f"{level}: {count} contracted complex products"] if count else []


def function_names(found: list[Symbol]) -> set[str]:
    """Names without their version (`fma@GLIBC_2.2.5`)."""
    return {symbol.name.split("@", 1)[0] for symbol in found}


def libm_only() -> set[str]:
    """Names that libm exports and libc does not."""
    exported = {}
    for library in ("libm.so.6", "libc.so.6"):
        path = Path(output("g++", f"-print-file-name={library}").strip())
        if not path.is_absolute():
            raise SystemExit(f"g++ does not know where {library} is")
        exported[library] = function_names(symbols(path, "--dynamic", "--defined-only"))
    names = exported["libm.so.6"] - exported["libc.so.6"]
    if not {"fma", "exp", "sinf"} <= names:
        raise SystemExit("the symbols of libm.so.6 do not look like libm's")
    return names


def import_faults(imported: set[str], libm: set[str]) -> list[str]:
    faults = [f"imports {name} of libm" for name in imported & libm - LIBM_ALLOWED.keys()]
    faults += [f"imports {name}: the library never prints" for name in imported & NEVER_IMPORTED]
    return sorted(faults)


def needed_libraries(text: str) -> list[str]:
    return [line.split("[", 1)[1].rstrip("]") for line in text.splitlines() if "(NEEDED)" in line]


def library_faults(libraries: list[str]) -> list[str]:
    if not any(name.startswith("libc.so.") for name in libraries):
        return [f"needs {libraries}: libc is not among them, so this is no list of libraries"]
    return [f"needs {name}" for name in libraries if not name.startswith(LIBRARIES_ALLOWED)]


def self_test() -> None:
    """Each rule must fail where it should; the first two on objects that a compiler made."""
    with tempfile.TemporaryDirectory() as folder:
        source, objects = Path(folder) / "a.cpp", Path(folder) / "a.o"
        source.write_text(
            'extern "C" int puts(const char *);\n'
            "template <class T> int weak(T x) { return puts(x); }\n"
            'extern "C" void corepy_fill_portable() { weak("x"); }\n'
        )
        output("g++", "-O0", "-c", str(source), "-o", str(objects))
        faults = kernel_faults("portable", symbols(objects))
        if not any("weak symbol" in fault for fault in faults) or "portable: needs puts" not in faults:
            raise SystemExit(f"self-test: a weak symbol and a call of puts gave {faults}")
    clean = [Symbol("corepy_fill_portable", "T"), Symbol("fma", "U"), Symbol("_ZN15corepy_portable1fEv", "T")]
    expect(kernel_faults("portable", clean), 0)
    expect(kernel_faults("x86_64_v3", clean), 4)  # fma, no entry, and two names of another level
    expect(import_faults({"exp", "memcpy"}, {"exp", "fma"}), 1)
    expect(import_faults({"fma", "memcpy"}, {"exp", "fma"}), 0)
    expect(import_faults({"puts"}, set()), 1)
    line = " 0x0000000000000001 (NEEDED)             Shared library: [{}]\n"
    expect(library_faults(needed_libraries(line.format("libc.so.6"))), 0)
    expect(library_faults(needed_libraries(line.format("libc.so.6") + line.format("libstdc++.so.6"))), 1)
    expect(library_faults([]), 1)
    expect(contraction_faults("x86_64_v3", "  12:  vfmaddsub132pd %ymm1,%ymm2,%ymm3"), 1)
    expect(contraction_faults("x86_64_v3", "  12:  vfmadd132pd %ymm1,%ymm2,%ymm3"), 0)


def expect(faults: list[str], count: int) -> None:
    if len(faults) != count:
        raise SystemExit(f"self-test: {faults}, expected {count} faults")


def main() -> int:
    self_test()
    faults: list[str] = []
    for archive in archives():
        level = level_of(archive)
        faults += kernel_faults(level, symbols(archive))
        faults += contraction_faults(
            level, output("objdump", "--disassemble", "--no-show-raw-insn", str(archive))
        )
    imported = function_names(symbols(EXTENSION, "--dynamic", "--undefined-only"))
    libm = libm_only()
    faults += import_faults(imported, libm)
    faults += library_faults(needed_libraries(output("readelf", "--dynamic", "--wide", str(EXTENSION))))
    print(*faults, f"native library: {len(faults)} faults", sep="\n")
    print(f"libm functions imported: {', '.join(sorted(imported & libm)) or 'none'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
