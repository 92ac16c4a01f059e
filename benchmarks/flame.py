"""A flame graph of one case as SVG: `python -m benchmarks.flame "sum float32 1,000,000"`.

Builds corepy with symbols into build/profile, samples all threads with `perf`, and lets inferno fold and draw
them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.one import find

ROOT = Path(__file__).resolve().parent.parent
PROFILE = ROOT / "build" / "profile"


def build() -> Path:
    """A copy of the package whose native library keeps its symbols and frame pointers."""
    target = PROFILE / "target"
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(target),
        "CARGO_PROFILE_RELEASE_DEBUG": "line-tables-only",
        "CARGO_PROFILE_RELEASE_STRIP": "none",
        "RUSTFLAGS": "-C force-frame-pointers=yes",
        "CXXFLAGS": f"{os.environ.get('CXXFLAGS', '')} -fno-omit-frame-pointer -g1".strip(),
        "PYO3_PYTHON": sys.executable,
        "PYO3_BUILD_EXTENSION_MODULE": "1",
    }
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--package", "corepy-python"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    package = PROFILE / "package" / "corepy"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "python" / "corepy", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    libraries = sorted((target / "release").glob("lib*native*.so")) or sorted(
        (target / "release").glob("lib*.so")
    )
    shutil.copy(libraries[0], package / "_native.abi3.so")
    return package.parent


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.flame", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("case")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--out", type=Path, help="the SVG; benchmarks/report/flame-CASE.svg by default")
    arguments = parser.parse_args()
    case = find(arguments.case)
    tools = ("perf", "inferno-collapse-perf", "inferno-flamegraph")
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        raise SystemExit(
            f"not found: {', '.join(missing)}; `make bench-flame` installs inferno, perf is the system's"
        )
    slug = re.sub(r"\W+", "-", case.name).strip("-")
    out = arguments.out or ROOT / "benchmarks" / "report" / f"flame-{slug}.svg"
    out.parent.mkdir(parents=True, exist_ok=True)
    package = build()
    samples = PROFILE / "perf.data"
    program = [sys.executable, "-m", "benchmarks.one", case.name, "--seconds", str(arguments.seconds)]
    record = ["perf", "record", "--quiet", "--freq", "999", "--call-graph", "fp", "--output", str(samples)]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    subprocess.run([*record, "--", *program], cwd=ROOT, env=environment, check=True)
    script = subprocess.run(
        ["perf", "script", "--input", str(samples)], capture_output=True, check=True
    ).stdout
    folded = subprocess.run(["inferno-collapse-perf"], input=script, capture_output=True, check=True).stdout
    title = ["--title", f"corepy: {case.name}", "--countname", "samples"]
    drawing = subprocess.run(["inferno-flamegraph", *title], input=folded, capture_output=True, check=True)
    out.write_bytes(drawing.stdout)
    print(f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
