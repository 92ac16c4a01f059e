"""Ctrl-C in operations that take long: every one of them answers soon."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

import corepy as cp

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")


class Stop(Exception):
    pass


def raise_stop(_number: int, _frame: object) -> None:
    raise Stop


def stretched(n: int, *rest: int) -> cp.Tensor:
    return cp.broadcast_to(cp.zeros(1), (n, *rest))


# Each would take minutes or more.
LONG: dict[str, Callable[[], object]] = {
    "sum": lambda: cp.sum(stretched(2**42)),
    "any": lambda: cp.any(stretched(2**42)),
    "argmax": lambda: cp.argmax(stretched(2**42)),
    "var": lambda: cp.var(stretched(2**42)),
    "sum of rows": lambda: cp.sum(stretched(2**40, 8), axis=0),
    "sum of many long ones": lambda: cp.sum(stretched(64, 2**40), axis=1),
    "vecdot": lambda: cp.vecdot(stretched(2**42), stretched(2**42)),
    "list of tensors": lambda: cp.asarray([stretched(2**22)] * 64),
}


@pytest.mark.parametrize("name", list(LONG))
@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_stops_it(name: str, threads: int) -> None:
    before = signal.signal(signal.SIGALRM, raise_stop)
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with cp.threads(threads), pytest.raises(Stop):
            LONG[name]()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # 100 ms are promised; the rest is for machines that do other work.
    assert time.monotonic() - start < 2.0
