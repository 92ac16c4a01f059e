"""Digests of results of every operation, dtype and layout on fixed inputs.

`python tests/golden/digests.py --write` stores them; the tests compare them on every level, with
several thread counts and in every layout, and `--check` compares every layout with every thread count
at the level in use. Stored digests change only with a decision that the numbers themselves change.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import corepy as cp  # noqa: E402
from inputs import Array, bits, layouts, special  # noqa: E402
from ops.dtypes import DTYPE_SETS, DTYPES  # noqa: E402
from ops.table import BINARY, REDUCTIONS, UNARY  # noqa: E402
from oracles import ELEMENTWISE  # noqa: E402

TABLE = Path(__file__).with_name("digests.json")
# Beyond the size at which every operation goes parallel, with a tail in the vector and the block.
LARGE = (3, 137, 1031)
SMALL = (3, 11, 37)

Case = tuple[str, Callable[[str], cp.Tensor]]


def digest(out: cp.Tensor) -> str:
    if out.dtype == cp.bfloat16:
        out = out.astype(cp.float32)
    array = np.asarray(out)
    return hashlib.blake2b(
        bits(array) + str((array.shape, array.dtype.str)).encode(), digest_size=8
    ).hexdigest()


def _views(array: Array) -> dict[str, cp.Tensor]:
    return {name: cp.asarray(view) for name, view in layouts(array)}


def cases(shape: tuple[int, ...]) -> Iterator[tuple[str, dict[str, Callable[[], cp.Tensor]]]]:
    """Name of each case, and for each layout a function that computes it."""
    n = int(np.prod(shape))
    values = {d.name: special(d.name, n).reshape(shape) for d in DTYPES if d.name != "bfloat16"}
    cached: dict[tuple[str, str], dict[str, cp.Tensor]] = {}

    def views(dtype: str, right: str = "") -> dict[str, cp.Tensor]:
        if (dtype, right) not in cached:
            a = values[dtype] if not right else _right(dtype, right, shape)
            cached[dtype, right] = _views(a)
        return cached[dtype, right]

    for row in UNARY:
        function = getattr(cp, row.name)
        for t in DTYPE_SETS[row.dtypes]:
            yield f"{row.name} {t}", {k: lambda f=function, x=x: f(x) for k, x in views(t).items()}
    for row in BINARY:
        function = getattr(cp, row.name)
        for t in DTYPE_SETS[row.dtypes]:
            b = views(t, ELEMENTWISE[row.name].right)
            a, plain_b = views(t), b["contiguous"]
            calls: dict[str, Callable[[], cp.Tensor]] = {
                k: lambda f=function, x=x, y=b[k]: f(x, y) for k, x in views(t).items()
            }
            calls["mixed"] = lambda f=function, x=a["strided"], y=plain_b: f(x, y)
            yield f"{row.name} {t}", calls
    for row in REDUCTIONS:
        function = getattr(cp, row.name)
        for t in DTYPE_SETS[row.dtypes]:
            for axis in (None, 0, 1, 2, *(((0, 2),) if row.axes == "many" else ())):
                yield (
                    f"{row.name} {t} axis={axis}",
                    {k: lambda f=function, x=x, a=axis: f(x, axis=a) for k, x in views(t).items()},
                )
    for t in DTYPE_SETS["any"]:
        for name in ("cumulative_sum", "cumulative_prod", "diff"):
            function = getattr(cp, name)
            for axis in range(len(shape)):
                yield (
                    f"{name} {t} axis={axis}",
                    {k: lambda f=function, x=x, a=axis: f(x, axis=a) for k, x in views(t).items()},
                )
    for t in DTYPE_SETS["numeric"]:
        yield (
            f"matmul {t}",
            {k: lambda x=x: cp.matmul(x[0], cp.matrix_transpose(x[1])) for k, x in views(t).items()},
        )
        yield f"matvec {t}", {k: lambda x=x: cp.matmul(x[0], x[1, 0]) for k, x in views(t).items()}
        yield f"vecdot {t}", {k: lambda x=x: cp.vecdot(x, cp.flip(x)) for k, x in views(t).items()}
    for d in DTYPES:
        if d.name == "bfloat16":
            continue
        for to in DTYPES:
            if d.kind == "c" and to.kind != "c":
                continue
            yield (
                f"astype {d.name} {to.name}",
                {k: lambda x=x, to=to: x.astype(getattr(cp, to.name)) for k, x in views(d.name).items()},
            )
        index = cp.asarray(np.arange(shape[1])[::-2].copy())
        yield (
            f"take {d.name}",
            {k: lambda x=x, i=index: cp.take(x, i, axis=1) for k, x in views(d.name).items()},
        )
        mask = cp.asarray(np.arange(shape[0] * shape[1]).reshape(shape[:2]) % 3 == 0)
        yield f"mask {d.name}", {k: lambda x=x, m=mask: x[m] for k, x in views(d.name).items()}
        yield f"concat {d.name}", {k: lambda x=x: cp.concat([x, x], axis=1) for k, x in views(d.name).items()}
        if d.compute:
            where = views("bool")
            yield (
                f"where {d.name}",
                {k: lambda x=x, m=where[k]: cp.where(m, x, cp.flip(x)) for k, x in views(d.name).items()},
            )


def _right(dtype: str, kind: str, shape: tuple[int, ...]) -> Array:
    n = int(np.prod(shape))
    b = special(dtype, n, seed=7)[::-1].copy()
    if kind == "nonzero" and b.dtype.kind in "iu":
        b[b == 0] = 3
    elif kind == "exponent":
        b = (np.arange(n) % 5).astype(dtype)
        if b.dtype.kind in "fc":
            b[::3] *= -1
    elif kind == "shift":
        b = (np.arange(n) % (8 * b.dtype.itemsize + 3)).astype(dtype)
    return b.reshape(shape)


def table(shape: tuple[int, ...]) -> dict[str, str]:
    with np.errstate(all="ignore"):
        return {name: digest(calls["contiguous"]()) for name, calls in cases(shape)}


def check() -> int:
    """How many digests differ, over all layouts and thread counts."""
    stored = json.loads(TABLE.read_text())
    compared = differing = 0
    for threads in (1, 2, 3, 7):
        cp.set_num_threads(threads)
        for size, shape in (("small", SMALL), ("large", LARGE)):
            for name, calls in cases(shape):
                for layout, call in calls.items():
                    compared += 1
                    if digest(call()) != stored[size][name]:
                        differing += 1
                        print(f"differs: {name}, {layout}, {size}, {threads} threads")
    print(f"{cp.simd_level()}: {differing} of {compared} digests differ")
    return differing


def main() -> int:
    with np.errstate(all="ignore"):
        if sys.argv[1:] == ["--check"]:
            return int(check() > 0)
        if sys.argv[1:] != ["--write"]:
            raise SystemExit("usage: digests.py --write | --check")
        found = {"small": table(SMALL), "large": table(LARGE)}
    TABLE.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n")
    print(f"{sum(map(len, found.values()))} digests at level {cp.simd_level()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
