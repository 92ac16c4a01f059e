"""Settings of the whole suite: the op table is importable, hypothesis is reproducible."""

from __future__ import annotations

import sys
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# A failure must be repeatable on any machine, however slow; the fuzzing targets draw at random.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in tests/kernels runs once per SIMD level."""
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "kernels"):
            item.add_marker(pytest.mark.kernels)
