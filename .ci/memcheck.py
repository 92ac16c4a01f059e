"""Valgrind's memcheck over the Rust tests and over a Python script that calls every operation.

Fails for every error with one of our functions on its stack, and for every block of ours that is
definitely lost. Builds a library of its own, with symbols, at the level x86-64-v3.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "memcheck"
TARGET = Path(os.environ.get("COREPY_MEMCHECK_TARGET", ROOT / "target" / "memcheck"))
SCRIPT = ROOT / "tests" / "memcheck_operations.py"
OURS = ("_native.abi3.so", str(TARGET))

# Tests of what Valgrind does not do as the processor does it, and one that would take 40 minutes.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "corepy_runtime": ("wrong_states_are_corrected_and_restored",),  # flushing subnormals to zero
    "programs": ("launch::params_take_the_nearest_value",),  # rounding 64-bit integers to float32 once
    "scheduler": ("workers_keep_subnormals_whatever_the_thread_that_made_them_does",),  # the same
    "operations": ("reduce::threads_do_not_change_a_bit",),
}

VALGRIND = (
    "valgrind", "--tool=memcheck", "--xml=yes", "--leak-check=full", "--show-leak-kinds=definite",
    "--num-callers=40", "--error-limit=no", "--fair-sched=yes", "--child-silent-after-fork=yes",
)  # fmt: skip
# CPython 3.11 multiplies the absent digit of the integer 0 by its length, 0, which memcheck follows to
# wherever integers go: errors without a function of ours are Python's own, and are counted only.


# What stays for the life of the process on purpose, by a function on the stack that took it.
KEPT = (
    "pyo3::pyclass::create_type_object::create_type_object",  # the members of a class: one block a class
    "corepy_runtime::memory::allocator::install",  # two words each, which other threads may be reading
)


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "COREPY_SIMD": "x86-64-v3",
        "COREPY_NUM_THREADS": "2",
        "PYTHONMALLOC": "malloc",
        **more,
    }


def cargo(*arguments: str) -> list[dict[str, object]]:
    """Runs cargo, and gives what it says of what it has built."""
    flags = f"-B{ROOT / '.ci' / 'assembler'} -g1"
    env = {
        **os.environ,
        "CXXFLAGS": flags,
        "CARGO_TARGET_DIR": str(TARGET),
        "CARGO_PROFILE_RELEASE_LTO": "off",
    }
    command = ["cargo", *arguments, "--release", "--locked", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def library() -> Path:
    """A folder from which Python imports the package with the library that was built for this."""
    cargo("build", "--package", "corepy-python")
    package = BUILD / "corepy"
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(ROOT / "python" / "corepy", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copyfile(TARGET / "release" / "libcorepy_native.so", package / "_native.abi3.so")
    return BUILD


def tests() -> list[Path]:
    """The programs of the Rust tests."""
    found = []
    for message in cargo("test", "--no-run", "--package", "corepy-runtime"):
        program = message.get("executable")
        profile = message.get("profile")
        if isinstance(program, str) and isinstance(profile, dict) and profile.get("test"):
            found.append(Path(program))
    return found


def ours(error: ET.Element) -> bool:
    """Whether a function of ours is on the stack, and no reason why that is right."""
    frames = list(error.iter("frame"))
    if not any(mine in (frame.findtext("obj") or "") for frame in frames for mine in OURS):
        return False
    leak = error.findtext("kind") == "Leak_DefinitelyLost"
    return not (leak and any((frame.findtext("fn") or "").startswith(KEPT) for frame in frames))


def shown(error: ET.Element) -> str:
    lines = [error.findtext("what") or error.findtext("xwhat/text") or error.findtext("kind") or ""]
    for frame in list(error.iter("frame"))[:25]:
        place = (
            f"{frame.findtext('file')}:{frame.findtext('line')}"
            if frame.findtext("file")
            else frame.findtext("obj")
        )
        lines.append(f"    {frame.findtext('fn') or frame.findtext('ip')} ({place})")
    return "\n".join(lines)


def watch(name: str, command: list[str], env: dict[str, str]) -> bool:
    """Runs a command under memcheck; true when nothing is to be said of ours."""
    report = BUILD / f"{name}.xml"
    start = time.monotonic()
    command = [*VALGRIND, f"--xml-file={report}", *command]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    try:
        errors = list(ET.parse(report).getroot().iter("error"))
    except (ET.ParseError, FileNotFoundError):
        print(f"{name}: Valgrind gave up\n{done.stderr[-4000:]}", flush=True)
        return False
    mine = [error for error in errors if ours(error)]
    print(f"{name}: {len(mine)} errors, {len(errors) - len(mine)} of others, {seconds:.0f} s", flush=True)
    for error in mine:
        print(shown(error))
    if done.returncode:
        print(
            f"{name}: ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}", flush=True
        )
    return not mine and done.returncode == 0


def main() -> int:
    if shutil.which("valgrind") is None:
        print("memcheck: there is no valgrind", file=sys.stderr)
        return 1
    wanted = sys.argv[1:]
    folder = library()
    good = True
    if not wanted or "python" in wanted:
        good &= watch("python", [sys.executable, str(SCRIPT)], environment(PYTHONPATH=str(folder)))
    for program in tests():
        name = program.name.rsplit("-", 1)[0]
        if not wanted or name in wanted:
            skipped = [argument for test in LEFT_OUT.get(name, ()) for argument in ("--skip", test)]
            good &= watch(name, [str(program), "--test-threads=1", *skipped], environment())
    print("memcheck: clean" if good else "memcheck: errors")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
