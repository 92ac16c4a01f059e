"""Writes every file that follows from the op table. `--check` fails when one would change."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ops import emit_c, emit_docs, emit_lanes, emit_python, emit_rust

ROOT = Path(__file__).resolve().parent.parent


def outputs() -> dict[str, str]:
    """Path of each generated file, relative to the root, and its text."""
    files: dict[str, str] = {}
    for emitter in (emit_c, emit_rust, emit_lanes, emit_python, emit_docs):
        files.update(emitter.files())
    return files


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    for name, text in outputs().items():
        path = ROOT / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if check and stale:
        print("not what ops/ generates (run `make generate`):", *stale, sep="\n  ")
        return 1
    print(f"{'stale' if check else 'written'}: {len(stale)} of {len(outputs())} generated files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
