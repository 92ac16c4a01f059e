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


def lane_programs() -> cp.Tensor:
    p = cp.lanes.parse(
        ".kernel k\n.param a: f32\n.buffer x: out f32[:, :]\n stg.f32 x[%gid.y, %gid.x], a\n exit"
    )
    x = cp.zeros((3, 2), dtype=cp.float32)
    p[2, 3](1.5, x)
    p.launch(
        2, np.zeros((3, 2), "f4"), lanes=(2, 3), block=64, backend="auto", check_races=True, step_limit=9
    )
    b = cp.lanes.Builder("k").param("a", cp.float32).buffer("x", "in", "i8", 2).shared("s", "f64", (2, 3))
    text: str = b.label("l").emit("mov.f32", "v", 1.5).emit("exit").build().text
    assert text and [(a.name, a.kind, a.ndim) for a in p.arguments]
    places: list[tuple[object, ...]] = []
    try:
        cp.lanes.load("none")
    except (OSError, cp.lanes.ParseError) as e:
        places.append((e.filename,))
    try:
        p[9, 9](1, x)
    except cp.lanes.LaneFault as e:
        places += [e.lane, e.block, e.index or ()]
    return x if len(places) == 4 else cp.zeros(0)


def refused() -> None:
    cp.lanes.parse(b"")  # type: ignore[arg-type]
    cp.lanes.parse(".kernel k\n exit").launch([1])  # type: ignore[call-arg, arg-type]
    cp.lanes.Builder("k").emit("exit", None)  # type: ignore[arg-type]
    cp.sum(cp.eye(2), dim=0)  # type: ignore[call-arg]
    cp.zeros(2, dtype=32)  # type: ignore[arg-type]
    cp.add(None, 2)  # type: ignore[arg-type]
    cp.zeros(2, 3)  # type: ignore[call-arg, arg-type]
