"""Every level, thread count and layout gives the committed bits."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

import corepy as cp
from golden import digests

STORED = json.loads(digests.TABLE.read_text())


@pytest.fixture(autouse=True)
def _same_threads_afterwards() -> Iterator[None]:
    before = cp.get_num_threads()
    yield
    cp.set_num_threads(before)


def test_every_layout_gives_the_stored_digest() -> None:
    wrong = []
    seen = set()
    with np.errstate(all="ignore"):
        for name, calls in digests.cases(digests.SMALL):
            seen.add(name)
            wrong += [
                f"{name} ({layout})"
                for layout, call in calls.items()
                if digests.digest(call()) != STORED["small"].get(name)
            ]
    assert not wrong, f"{len(wrong)} digests differ: {wrong[:20]}"
    assert seen == set(STORED["small"])


@pytest.mark.skipif(cp.simd_level() == "portable", reason="the portable level is tested at small sizes")
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_every_thread_count_gives_the_stored_digest(threads: int) -> None:
    cp.set_num_threads(threads)
    wrong = []
    layout_of = {1: "contiguous", 2: "permuted", 3: "strided", 7: "contiguous"}
    with np.errstate(all="ignore"):
        for name, calls in digests.cases(digests.LARGE):
            layout = layout_of[threads]
            if digests.digest(calls[layout]()) != STORED["large"].get(name):
                wrong.append(f"{name} ({layout})")
    assert not wrong, f"{len(wrong)} digests differ with {threads} threads: {wrong[:20]}"
