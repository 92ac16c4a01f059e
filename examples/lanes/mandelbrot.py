"""Draws the Mandelbrot set with mandelbrot.lanes and writes it as a PNG; corepy is all that it needs."""

from __future__ import annotations

import argparse
import struct
import time
import zlib
from pathlib import Path

import corepy as cp

HERE = Path(__file__).resolve().parent


def counts(width: int, height: int, limit: int) -> cp.Tensor:
    """How many rounds each pixel's point stays; the picture is three wide, around -0.75."""
    program = cp.lanes.load(HERE / "mandelbrot.lanes")
    out = cp.zeros((height, width), dtype=cp.int32)
    step = 3.0 / width
    program[width, height](-2.25, -step * height / 2, step, limit, out)
    return out


def shades(rounds: cp.Tensor, limit: int) -> cp.Tensor:
    """Bytes: black for points that stay, and the brighter the longer the others took."""
    level = cp.sqrt(cp.astype(rounds, cp.float32) / limit) * 255
    return cp.astype(cp.where(rounds == limit, 0.0, level), cp.uint8)


def png(gray: cp.Tensor) -> bytes:
    """A grayscale picture of 8 bits. Source: PNG specification, third edition, https://www.w3.org/TR/png-3/."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = gray.shape
    # A byte in front of each row says how it is filtered: not at all.
    rows = cp.concat([cp.zeros((height, 1), dtype=cp.uint8), gray], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=960)
    parser.add_argument("--height", type=int, default=640)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--out", type=Path, default=HERE / "out" / "mandelbrot.png")
    given = parser.parse_args()
    start = time.perf_counter()
    rounds = counts(given.width, given.height, given.limit)
    seconds = time.perf_counter() - start
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(png(shades(rounds, given.limit)))
    print(f"{given.width} x {given.height}, {given.limit} rounds at most: {seconds:.3f} s; wrote {given.out}")


if __name__ == "__main__":
    main()
