"""divmod of tensors: floor_divide and remainder at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import corepy as cp


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float32", "float64"])
def test_divmod_is_pythons(dtype: str) -> None:
    a = np.array([7, 8, 9, 0], dtype)
    b = np.array([2, 5, 9, 3], dtype)
    for left, right in (
        (cp.asarray(a), cp.asarray(b)),
        (cp.asarray(a), 5),
        (17, cp.asarray(b)),
        (cp.asarray(a), [1, 2, 3, 4]),
    ):
        quotient, remainder = divmod(left, right)
        theirs = divmod(np.asarray(left, dtype), np.asarray(right, dtype))
        assert quotient.tolist() == theirs[0].tolist()
        assert remainder.tolist() == theirs[1].tolist()
    assert [t.tolist() for t in divmod(cp.asarray([-7, 7]), cp.asarray([3, -3]))] == [[-3, -3], [2, -2]]


def test_divmod_errors() -> None:
    t: Any = cp.asarray([1, 2])
    with pytest.raises(ZeroDivisionError, match="floor_divide"):
        divmod(t, 0)
    with pytest.raises(TypeError, match="unsupported operand"):
        divmod(t, "x")
    with pytest.raises(TypeError, match="unsupported operand"):
        divmod(object(), t)
