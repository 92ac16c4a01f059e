"""The libraries that a case runs in: how each makes its own memory, and how its results are read."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import corepy as cp

TITLES = {
    "corepy": "corepy",
    "numpy": "NumPy",
    "torch": "PyTorch",
    "numexpr": "numexpr",
    "fsum": "math.fsum",
    "sum": "corepy's sum",
    "numba": "Numba",
    "parts": "corepy in parts",
    "reference": "the reference interpreter",
    "clock": "the time allowed",
}

# Further ways of corepy's own, for rows that compare it with itself.
OWN = ("sum", "parts", "reference")


@dataclass(frozen=True)
class Peer:
    """`namespace` is what `xp` means in a case's text; each peer works in memory that it has allocated."""

    name: str
    title: str
    version: str
    namespace: Any
    own: Callable[[Any], Any]
    read: Callable[[Any], Any]
    threads: int | None = None


def _numpy() -> Peer | None:
    return Peer("numpy", "NumPy", np.__version__, np, lambda a: a, np.asarray)


def _corepy(name: str = "corepy") -> Peer | None:
    return Peer(
        name,
        TITLES[name],
        cp.__version__,
        cp,
        lambda a: cp.asarray(a, copy=True) if isinstance(a, np.ndarray) else a,
        np.asarray,
        cp.get_num_threads(),
    )


def _torch() -> Peer | None:
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    return Peer(
        "torch",
        "PyTorch",
        torch.__version__,
        torch,
        lambda a: torch.tensor(a) if isinstance(a, np.ndarray) else a,
        np.asarray,
        torch.get_num_threads(),
    )


def _numexpr() -> Peer | None:
    try:
        numexpr = importlib.import_module("numexpr")
    except ImportError:
        return None
    return Peer("numexpr", "numexpr", numexpr.__version__, numexpr, lambda a: a, np.asarray, numexpr.nthreads)


def _fsum() -> Peer | None:
    own: Callable[[Any], Any] = lambda a: a.tolist() if isinstance(a, np.ndarray) else a  # noqa: E731
    return Peer("fsum", "math.fsum", "", math, own, np.asarray, 1)


def _numba() -> Peer | None:
    try:
        numba = importlib.import_module("numba")
    except ImportError:
        return None
    return Peer("numba", "Numba", numba.__version__, numba, lambda a: a, np.asarray, numba.get_num_threads())


MAKERS: dict[str, Callable[[], Peer | None]] = {
    "corepy": _corepy,
    "numpy": _numpy,
    "torch": _torch,
    "numexpr": _numexpr,
    "fsum": _fsum,
    "numba": _numba,
    "sum": lambda: _corepy("sum"),
    "parts": lambda: _corepy("parts"),
    "reference": lambda: _corepy("reference"),
}


def peers(only: tuple[str, ...] = ()) -> dict[str, Peer]:
    """All that are installed, or those named. OWN are corepy, for rows that compare it with itself."""
    present: dict[str, Peer] = {}
    for name, make in MAKERS.items():
        if not only or name in only:
            peer = make()
            if peer is not None:
                present[name] = peer
    return present
