"""Tens of thousands of calls with junk, in processes of their own: only documented exceptions, no crash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("junk.py")
# `make junk` asks for more of both; a seed makes the same calls everywhere.
CALLS = int(os.environ.get("COREPY_JUNK_CALLS", "24000"))
SEEDS = range(1, 1 + int(os.environ.get("COREPY_JUNK_SEEDS", "2")))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its memory as Linux does")
@pytest.mark.parametrize("seed", SEEDS)
def test_junk(seed: int, tmp_path: Path) -> None:
    journal, result = tmp_path / "journal", tmp_path / "result"
    command = [sys.executable, str(PROGRAM), "--seed", str(seed), "--calls", str(CALLS)]
    command += ["--journal", str(journal), "--result", str(result)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=300 + CALLS / 100, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.fail(f"hangs in {last_call(journal)}")
    assert done.returncode == 0, f"died of {done.returncode} in {last_call(journal)}\n{done.stderr[-3000:]}"
    found = json.loads(result.read_text())
    assert not found["undocumented"], "\n".join(found["undocumented"][:10])
    # Nothing is printed, and nothing fails where nobody sees it.
    assert done.stderr == ""
    assert sum(found["outcomes"].values()) > 0.99 * CALLS
    if CALLS >= 20_000:
        # Not all calls end at the first argument, and no target is left out.
        assert len(found["targets"]) == found["all"]
        assert min(found["targets"].values()) >= 5
        assert found["outcomes"]["returned"] > CALLS / 10
        for kind in (
            "TypeError",
            "ValueError",
            "AxisError",
            "IndexError",
            "OverflowError",
            "BufferError",
            "MemoryError",
            "ZeroDivisionError",
            "NotImplementedError",
            "Mine",
        ):
            assert found["outcomes"].get(kind, 0) >= 10, kind


def last_call(journal: Path) -> str:
    return journal.read_bytes().split(b"\0", 1)[0].decode() if journal.exists() else "its start"
