"""Runs the Python tests: those of tests/kernels once per SIMD level in its own process, the rest once.

A level's process asks the library which level it uses before and after its tests, so that a run
that did not take the forced level fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "COREPY_SIMD"
KERNELS = "tests/kernels"


def levels() -> list[str]:
    """The levels of this machine, as the library tells them."""
    code = "import corepy, json; print(json.dumps(corepy.simd_levels()))"
    environment = {key: value for key, value in os.environ.items() if key != NAME}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, cwd=ROOT
    )
    found = json.loads(answer.stdout)
    if not found or "portable" not in found:
        raise SystemExit(f"corepy.simd_levels() is {found}: portable has to be one of them")
    return [str(level) for level in found]


def run_level(level: str, arguments: list[str]) -> int:
    """In the process of one level: proves the level, runs the kernels' tests, proves it again."""
    import pytest

    import corepy

    def prove() -> None:
        used = corepy.simd_level()
        if used != level:
            raise SystemExit(f"{NAME}={level}, but the library uses {used}")

    prove()
    code = int(pytest.main([KERNELS, *arguments]))
    prove()
    return code


def main() -> int:
    if len(sys.argv) > 2 and sys.argv[1] == "--level":
        return run_level(sys.argv[2], sys.argv[3:])
    arguments = sys.argv[1:]
    failed: list[str] = []
    for level in levels():
        print(f"== Python tests of the kernels, level {level}", flush=True)
        command = [sys.executable, __file__, "--level", level, "--quiet", *arguments]
        if subprocess.run(command, env={**os.environ, NAME: level}, cwd=ROOT, check=False).returncode:
            failed.append(level)
    # Before the last run, so that the output ends in that run's own closing lines.
    print(f"== kernels failed at: {', '.join(failed)}" if failed else "== all other Python tests", flush=True)
    rest = subprocess.run(
        [sys.executable, "-m", "pytest", f"--ignore={KERNELS}", *arguments], cwd=ROOT, check=False
    )
    return 1 if failed or rest.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
