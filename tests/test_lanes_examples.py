"""The programs of examples/lanes against NumPy, on every backend."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import corepy as cp
from inputs import Array, plain
from lane_backends import every_backend

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples/lanes"
PROGRAMS = {path.stem: cp.lanes.load(path) for path in sorted(FOLDER.glob("*.lanes"))}


def mandelbrot(width: int, height: int, left: float, top: float, step: float, limit: int) -> Array:
    """The same steps in NumPy, in float32."""
    f = np.float32

    def line(n: int, start: float) -> Array:
        # Rounded once, as fma does: the product of two float32 is exact in float64.
        return (np.arange(n).astype(f).astype(np.float64) * float(f(step)) + float(f(start))).astype(f)

    cx, cy = np.broadcast_arrays(line(width, left)[None, :], line(height, top)[:, None])
    x, y = np.zeros((2, height, width), f)
    counts, going = np.zeros((height, width), np.int32), np.ones((height, width), bool)
    with np.errstate(all="ignore"):
        for _ in range(limit):
            xx, yy, xy = x * x, y * y, x * y
            going &= ~(xx + yy > 4)
            counts += going
            x, y = np.where(going, xx - yy + cx, x), np.where(going, xy + xy + cy, y)
    return counts


def test_every_program_is_listed_and_in_canonical_form() -> None:
    page = (FOLDER / "README.md").read_text()
    for name in PROGRAMS:
        assert f"`examples/lanes/{name}.lanes`" in page
        assert f"test_{name}" in globals() or name == "saxpy", name
    files = sorted(map(str, FOLDER.glob("*.lanes")))
    done = subprocess.run(
        [sys.executable, "-m", "corepy", "lanes", "fmt", "--check", *files], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@every_backend
@pytest.mark.parametrize("n", [0, 1, 255, 1025, 5000])
def test_vector_add(n: int, backend: str) -> None:
    a, b = plain("float32", n, 1), plain("float32", n, 2)
    out = np.full(n, np.nan, np.float32)
    PROGRAMS["vector_add"].launch(a, b, out, lanes=n, backend=backend, check_races=True)
    assert np.array_equal(out, a + b)
    # Lanes beyond the end of saxpy's tensors do nothing.
    y = b.copy()
    PROGRAMS["saxpy"].launch(1.0, a, y, lanes=n + 300, backend=backend, check_races=True)
    assert np.array_equal(y, a + b)


@every_backend
def test_mandelbrot(backend: str) -> None:
    out = np.full((20, 33), -1, np.int32)
    where = (-2.25, -1.0, 0.09)
    PROGRAMS["mandelbrot"].launch(
        *where, 60, out, lanes=(33, 20), block=(16, 4), backend=backend, check_races=True
    )
    expected = mandelbrot(33, 20, *where, 60)
    assert len(np.unique(expected)) > 15
    assert np.array_equal(out, expected)


@every_backend
@pytest.mark.parametrize(("m", "k", "n"), [(16, 16, 16), (1, 1, 1), (33, 20, 17), (5, 40, 16), (3, 0, 4)])
def test_matmul(m: int, k: int, n: int, backend: str) -> None:
    a = (np.arange(m * k) % 7 - 3).astype(np.float32).reshape(m, k)
    b = (np.arange(k * n) % 5 - 2).astype(np.float32).reshape(k, n)
    out = np.full((m, n), np.nan, np.float32)
    lanes = (-(-n // 16) * 16, -(-m // 16) * 16)
    PROGRAMS["matmul"].launch(a, b, out, lanes=lanes, block=(16, 16), backend=backend, check_races=True)
    assert np.array_equal(out, a @ b)
    # Any layout: the product of the transposed is the transposed of the product.
    again = np.full((m, n), np.nan, np.float32)
    PROGRAMS["matmul"].launch(b.T, a.T, again.T, lanes=lanes[::-1], block=(16, 16), backend=backend)
    assert np.array_equal(again, out)


@every_backend
@pytest.mark.parametrize("n", [0, 1, 4000])
def test_histogram(n: int, backend: str) -> None:
    values = (plain("uint8", n, 3) // 3).astype(np.uint8)
    counts = np.full(256, 5, np.int64)
    PROGRAMS["histogram"].launch(values, counts, lanes=n, backend=backend, check_races=True)
    assert np.array_equal(counts, np.bincount(values, minlength=256) + 5)
    with pytest.raises(cp.lanes.LaneFault, match=r"is out of bounds for counts with shape \(3,\)$"):
        PROGRAMS["histogram"].launch(np.arange(9, dtype=np.uint8), counts[:3], lanes=9, backend=backend)


@every_backend
@pytest.mark.parametrize("n", [1, 256, 1000, 5000])
def test_block_sum(n: int, backend: str) -> None:
    x = (plain("float32", n, 4) * 0 + np.arange(n) % 9).astype(np.float32)
    left = x
    while len(left) > 1 or left is x:
        sums = np.full(-(-len(left) // 256), np.nan, np.float32)
        PROGRAMS["block_sum"].launch(left, sums, lanes=len(left), backend=backend, check_races=True)
        expected = [left[i : i + 256].sum(dtype=np.float64) for i in range(0, len(left), 256)]
        assert np.array_equal(sums, np.array(expected, np.float32))
        left = sums
    assert left[0] == x.sum(dtype=np.float64)


@every_backend
@pytest.mark.parametrize("n", [0, 1, 2, 1000, 1024, 2500])
def test_bitonic_sort(n: int, backend: str) -> None:
    x = plain("float32", n, 5)
    x[: n // 7] = 1.5
    expected = np.concatenate([np.sort(x[i : i + 1024]) for i in range(0, n, 1024)] or [x])
    lanes = -(-n // 1024) * 1024
    PROGRAMS["bitonic_sort"].launch(x, lanes=lanes, block=1024, backend=backend, check_races=True)
    assert np.array_equal(x, expected)


@every_backend
@pytest.mark.parametrize("shape", [(3, 3), (8, 13), (40, 33)])
def test_life(shape: tuple[int, int], backend: str) -> None:
    cells = plain("bool", shape[0] * shape[1], 6).reshape(shape).astype(np.uint8)
    for _ in range(4):
        new = np.full(shape, 9, np.uint8)
        PROGRAMS["life"].launch(
            cells, new, lanes=shape[::-1], block=(16, 8), backend=backend, check_races=True
        )
        turns = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        around = np.sum([np.roll(cells, turn, (0, 1)) for turn in turns], axis=0)
        assert np.array_equal(new, (around == 3) | (around == 2) & (cells == 1))
        cells = new


def test_the_picture(tmp_path: Path) -> None:
    out = tmp_path / "folder" / "picture.png"
    command = [
        sys.executable,
        str(FOLDER / "mandelbrot.py"),
        "--width",
        "60",
        "--height",
        "40",
        "--limit",
        "30",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "60 x 40, 30 rounds at most" in done.stdout
    raw = out.read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(raw):
        size, kind = struct.unpack(">I4s", raw[at : at + 8])
        chunks[kind] = raw[at + 8 : at + 8 + size]
        assert zlib.crc32(kind + chunks[kind]) == struct.unpack(">I", raw[at + 8 + size : at + 12 + size])[0]
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"] and struct.unpack(">II", chunks[b"IHDR"][:8]) == (
        60,
        40,
    )
    pixels = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(40, 61)
    assert not pixels[:, 0].any()
    counts = mandelbrot(60, 40, -2.25, -1.0, 0.05, 30)
    assert np.array_equal(pixels[:, 1:] == 0, (counts == 30) | (counts == 0))
