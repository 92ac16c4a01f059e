"""A greyscale PNG of labelled 8 x 8 pictures, written with the standard library alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

SIDE = 8  # pixels of one digit, each way
BRIGHTEST = 16  # largest value of a pixel in the data
SCALE = 10  # screen pixels per pixel of a digit
LETTER_SCALE = 3
MARGIN = 12
CAPTION = 5 * LETTER_SCALE + 8
PAPER = 255
INK = 0
GREY = 120

# Three columns, five rows; a bit is a dot, the highest bit is the left column.
GLYPHS = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 2, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    ">": (4, 2, 1, 2, 4),
    " ": (0, 0, 0, 0, 0),
}


class Canvas:
    """A greyscale picture that starts as white paper."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rows = [bytearray([PAPER]) * width for _ in range(height)]

    def fill(self, x: int, y: int, width: int, height: int, shade: int) -> None:
        for row in self.rows[y : y + height]:
            row[x : x + width] = bytes([shade]) * width

    def text(self, x: int, y: int, letters: str, shade: int) -> None:
        for position, letter in enumerate(letters):
            for line, bits in enumerate(GLYPHS[letter]):
                for column in range(3):
                    if bits & (4 >> column):
                        left = x + (4 * position + column) * LETTER_SCALE
                        self.fill(left, y + line * LETTER_SCALE, LETTER_SCALE, LETTER_SCALE, shade)

    def digit(self, x: int, y: int, pixels: Sequence[int]) -> None:
        for place, value in enumerate(pixels):
            shade = PAPER - value * PAPER // BRIGHTEST
            self.fill(x + place % SIDE * SCALE, y + place // SIDE * SCALE, SCALE, SCALE, shade)

    def png(self) -> bytes:
        # Each line starts with the byte of its filter; 0 leaves the line as it is.
        lines = b"".join(b"\x00" + row for row in self.rows)
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 0, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(lines, 9))
            + _chunk(b"IEND", b"")
        )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write(path: Path, pictures: Sequence[tuple[Sequence[int], int, int]], columns: int = 6) -> None:
    """Writes (64 pixels, true digit, predicted digit) triples as a sheet of `true > predicted`."""
    cell_width = SIDE * SCALE + MARGIN
    cell_height = SIDE * SCALE + CAPTION + MARGIN
    rows = max(1, -(-len(pictures) // columns))
    canvas = Canvas(columns * cell_width + MARGIN, rows * cell_height + MARGIN)
    for number, (pixels, true, predicted) in enumerate(pictures):
        x = MARGIN + number % columns * cell_width
        y = MARGIN + number // columns * cell_height
        canvas.fill(x - 1, y - 1, SIDE * SCALE + 2, SIDE * SCALE + 2, GREY)
        canvas.digit(x, y, pixels)
        canvas.text(x, y + SIDE * SCALE + 6, f"{true} > {predicted}", INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canvas.png())
