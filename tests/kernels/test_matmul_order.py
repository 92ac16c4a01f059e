"""Matrix products have, bit for bit, the definition written out in matmul_order."""

from __future__ import annotations

import numpy as np
import pytest

import corepy as cp
import matmul_order
from inputs import layouts, plain
from ops.dtypes import DTYPE_SETS

# Around the register tiles, around the panel of 256, vectors, single rows and columns, nothing to add.
SHAPES = (
    (1, 1, 1),
    (3, 5, 2),
    (17, 40, 33),
    (2, 255, 3),
    (3, 256, 2),
    (2, 257, 17),
    (1, 700, 2),
    (5, 513, 1),
    (2, 0, 3),
)


@pytest.mark.parametrize("dtype", DTYPE_SETS["numeric"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_has_the_bits_of_the_definition(dtype: str, shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    a, b = plain(dtype, m * k, seed=k).reshape(m, k), plain(dtype, k * n, seed=k + 7).reshape(k, n)
    expected = [
        [matmul_order.bits(v, dtype) for v in row]
        for row in matmul_order.matmul(a.tolist(), b.tolist(), dtype)
    ]
    if k == 0:
        expected = [[0] * n for _ in range(m)]
    for (_, x), (layout, y) in zip(layouts(a), list(layouts(b))[::-1], strict=True):
        got = cp.matmul(cp.asarray(x), cp.asarray(y)).tolist()
        assert [[matmul_order.bits(v, dtype) for v in row] for row in got] == expected, layout
    # The product of a matrix and a vector, and a batch, have the bits of the product around them.
    if n:
        column = cp.matmul(cp.asarray(a), cp.asarray(np.ascontiguousarray(b[:, 0]))).tolist()
        assert [matmul_order.bits(v, dtype) for v in column] == [row[0] for row in expected]
    batch = cp.matmul(cp.asarray(np.stack([a, a, a])), cp.asarray(b))
    assert [[matmul_order.bits(v, dtype) for v in row] for row in batch[2].tolist()] == expected
