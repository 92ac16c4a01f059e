"""What a report was measured on and with: processor, memory, level, threads, versions, build."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import corepy as cp
from benchmarks.limits import caches
from benchmarks.peers import Peer

ROOT = Path(__file__).resolve().parent.parent


def processor() -> str:
    """The processor's model name, as the kernel tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    fields = [line.split(":", 1) for line in lines if ":" in line]
    values = {key.strip(): value.strip() for key, value in fields}
    name = values.get("model name", platform.processor() or platform.machine())
    if "cpu family" in values:
        name += f" (family {values['cpu family']}, model {values['model']})"
    return name


def _first_line(*command: str) -> str:
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.partition("\n")[0]


def build() -> dict[str, str]:
    """Which source and which library: a report of one build must not be taken for another's."""
    built = cp.config()["build"]
    library = Path(importlib.import_module("corepy._native").__file__ or "")
    return {
        "commit": _first_line("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "library": hashlib.sha256(library.read_bytes()).hexdigest()[:16],
        "library_bytes": str(library.stat().st_size),
        "rustc": built["rust"],
        "compiler": built["compiler"],
    }


def describe(peers: dict[str, Peer]) -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "caches": caches(),
        "memory": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "level": cp.simd_level(),
        "threads": {peer.name: peer.threads for peer in peers.values() if peer.threads},
        "versions": {peer.name: peer.version for peer in peers.values() if peer.version},
        "build": build(),
        "load_at_start": os.getloadavg()[0],
    }


def import_seconds(rounds: int) -> list[float]:
    """Seconds that `import corepy` adds to the start of a bare interpreter, sorted."""
    library = str(Path(cp.__file__).resolve().parent.parent)
    timer = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); s = time.perf_counter();"
        "import corepy; print(time.perf_counter() - s)"
    )
    command = [sys.executable, "-I", "-c", timer, library]
    answers = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(rounds)]
    return sorted(float(answer.stdout) for answer in answers)
