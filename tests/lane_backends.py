"""Every backend of lane programs, for tests that all of them have to pass; one that is absent is skipped."""

from __future__ import annotations

import pytest

import corepy as cp

EVERY = [
    pytest.param(
        b.name, marks=pytest.mark.skipif(not b.available, reason=f"backend {b.name} is not here: {b.reason}")
    )
    for b in cp.lanes.backends()
]
every_backend = pytest.mark.parametrize("backend", EVERY)
