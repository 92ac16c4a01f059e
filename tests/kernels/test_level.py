"""The level that was asked for is the one that runs; a wrong name is an error that lists the valid ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import corepy as cp


def test_the_forced_level_is_the_one_in_use() -> None:
    forced = os.environ.get("COREPY_SIMD")
    assert cp.simd_level() == (forced if forced else cp.simd_levels()[-1])


def test_levels_start_with_portable() -> None:
    assert cp.simd_levels()[0] == "portable"
    assert len(set(cp.simd_levels())) == len(cp.simd_levels())


@pytest.mark.parametrize("name", ["sse9", "X86-64-V3", " portable"])
def test_an_unknown_level_fails_the_import(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import corepy"],
        env={**os.environ, "COREPY_SIMD": name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ValueError: COREPY_SIMD=" in done.stderr
    assert ", ".join(cp.simd_levels()) in done.stderr
