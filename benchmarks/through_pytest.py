"""The table of cases through pytest-benchmark: `make bench-pytest ONLY=sum`.

A thin wrapper: the cases, inputs and checks of `python -m benchmarks`, with pytest-benchmark's statistics.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from benchmarks.cases import Case, select
from benchmarks.measure import check, make_inputs, runner
from benchmarks.peers import Peer, peers

PEERS = peers()
ONLY = tuple(text for text in (os.environ.get("ONLY", ""),) if text)
ROWS = [
    pytest.param(case, peer, id=f"{case.name}-{peer.name}")
    for case in select(ONLY, quick=not ONLY)
    for peer in PEERS.values()
    if case.text_of(peer.name) is not None
]


@pytest.mark.parametrize(("case", "peer"), ROWS)
def test_case(benchmark: Any, case: Case, peer: Peer) -> None:
    benchmark.group = case.name
    made = make_inputs(case)
    try:
        side = runner(case, peer, made)
        expected = runner(case, PEERS["corepy"], made).timed(1)
        benchmark(side.timed, 1)
    except AttributeError as error:
        if "has no attribute" not in str(error):
            raise
        pytest.skip(str(error))
    check(case, peer.name, peer.read(side.timed(1)), PEERS["corepy"].read(expected))
