"""What users write, as a type checker sees it: `make lint` checks it, a test runs it.

A call that the library refuses carries the code of the checker's error; one that the checker let
pass would be an unused comment, which is an error too.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

import corepy as cp
from corepy import Tensor


def standardised(x: Tensor) -> Tensor:
    return (x - cp.mean(x, axis=0)) / cp.std(x, axis=0)


def accepted() -> list[Tensor]:
    x = cp.asarray(np.ones((2, 2)), dtype="float32")
    row: Any = np.ones(2)
    x[0] = np.arange(2.0)
    x[1:] = [3.0, 4.0]
    x[x > 3] = 0
    x += 0.5
    return [
        x + np.ones(2),
        np.ones(2) @ x,
        1 - x / row,
        cp.asarray(array("d", [1.0])),
        cp.asarray([[1, 2]], dtype=float),
        cp.zeros(2, dtype=np.float32),
        cp.zeros(2, dtype=np.dtype("int8")),
        x.astype("float64"),
        cp.sum(x, axis=(0, 1), dtype=cp.float64),
        standardised(x),
    ]


def refused() -> None:
    cp.sum(cp.eye(2), dim=0)  # type: ignore[call-arg]
    cp.zeros(2, dtype=32)  # type: ignore[arg-type]
    cp.add(None, 2)  # type: ignore[arg-type]
    cp.zeros(2, 3)  # type: ignore[call-arg, arg-type]
