"""Whether the machine gives this process what it has: waits, and measures again, where it does not.

A virtual processor may share a core with another, or with other guests of its host, for seconds at a
time. Work on all of them then takes twice its time, whatever library does it, while work on one takes
its usual time. Measured on two processors under KVM: the same sum on two threads took 47 us in one
second and 103 us in the next, on one thread 91 us in both.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

# A digest lets go of the interpreter's lock until it is done, and waits for no memory: some 0.6 ms where the
# processor has instructions for it.
WORK = bytes(1 << 20)
# What a moment's scaling may fall below the best that was seen.
ALLOWED = 0.8
START_SECONDS = 1.0
# For a single case, and for all of them together.
CASE_SECONDS = 10.0
ALL_SECONDS = 120.0
PAUSE_SECONDS = 0.1


def work() -> None:
    hashlib.sha256(WORK).digest()


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Scaling:
    """How much more all processors do at once than one of them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads)

    def __call__(self) -> float:
        def run(count: int) -> None:
            for future in [self.pool.submit(work) for _ in range(count)]:
                future.result()

        alone = min(seconds(lambda: run(1)) for _ in range(5))
        together = min(seconds(lambda: run(self.threads)) for _ in range(5))
        return min(1.0, alone / together) * self.threads


@dataclass
class Steady:
    """Measures while the machine scales as it did at its best."""

    scaling: Callable[[], float]
    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    best: float = 0.0
    waited: float = 0.0

    def __post_init__(self) -> None:
        end = self.clock() + START_SECONDS
        while self.clock() < end:
            self.now()

    def now(self) -> bool:
        found = self.scaling()
        self.best = max(self.best, found)
        return found >= ALLOWED * self.best

    def measured(self, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A row that was measured between two moments at which the machine was itself; where there are none
        for too long, the last one that was measured, which says so."""
        end = self.clock() + min(CASE_SECONDS, ALL_SECONDS - self.waited)
        while True:
            start = self.clock()
            before = self.now()
            if not before and self.clock() < end:
                self.sleep(PAUSE_SECONDS)
                self.waited += self.clock() - start
                continue
            row = measure()
            row["steady"] = before and self.now()
            if row["steady"] or self.clock() >= end:
                return row
            self.waited += self.clock() - start
