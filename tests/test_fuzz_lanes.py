"""Mutated texts of lane programs: an error with its place, or a program that stays within its buffers.

`make fuzz-lanes` draws more, and at random.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import corepy as cp

EXAMPLES = os.environ.get("COREPY_FUZZ_EXAMPLES")
COUNT = int(EXAMPLES or 1500)
FOLDER = Path(__file__).resolve().parent.parent / "examples/lanes"
TEXTS = [cp.lanes.load(path).text for path in sorted(FOLDER.glob("*.lanes"))] + [
    ".kernel k\n.buffer x: inout f64[:]\n.buffer y: out f16[:, :]\n.shared s: b1[3, 2]\n    call sub\n    exit\nsub:\n    ldg.f64 v, x[%lane]\n"
    "    cvt.f32.f64 w, v\n    stg.f16 y[%block, 0], w\n    ret\n",
    '.kernel k\n.param n: i64\n.buffer x: inout u16[:]\n    loop i, n\n        scan.max.u16 v, 7\n        red.xor.u16 x[i], v\n        continue\n'
    '    endloop\n    assert true, "a;b\\u{e9}"\n    fence\n    exit\n',
]  # fmt: skip
WORDS = sorted(
    {word for text in TEXTS for word in text.replace("[", " ").replace("]", " ").replace(",", " ").split()}
)
PIECES = [*WORDS, "", "\n", " ", ",", ":", "[", "]", "!", "%", ".", ";", '"', "\\", "\t", "\r", "\0", "\u00e9", "\u2028", "0", "-1", "9999999999999999999",
          "1e400", "0x", "nan", "inf", "%gid.z", "f32", "i8", "b1", "loop", "endloop", "exit", "call", "ret", ".param q: f64\n", ".shared q: i8[99999]\n"]  # fmt: skip

SIDE = 64


def mutated(text: str, draw: random.Random) -> str:
    for _ in range(draw.randrange(1, 5)):
        at = draw.randrange(len(text) + 1)
        match draw.randrange(6):
            case 0:
                text = text[:at] + text[at + draw.randrange(1, 20) :]
            case 1:
                text = text[:at] + draw.choice(PIECES) + text[at:]
            case 2:
                lines = text.split("\n")
                i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
                lines[i], lines[j] = lines[j], lines[i]
                text = "\n".join(lines)
            case 3:
                lines = text.split("\n")
                lines.insert(draw.randrange(len(lines)), draw.choice(draw.choice(TEXTS).split("\n")))
                text = "\n".join(lines)
            case _:
                old = draw.choice(WORDS)
                text = text.replace(old, draw.choice(PIECES), draw.randrange(1, 3))
    return text


def arguments(p: cp.lanes.Program, draw: random.Random) -> tuple[list[Any], list[Any]]:
    """What a launch takes, each tensor inside of wider memory, and that memory."""
    args: list[Any] = []
    memory: list[Any] = []
    for a in p.arguments:
        if a.kind == "param":
            args.append(True if a.dtype is cp.bool else draw.choice([0, 1, 3, 100]))
            continue
        shape = tuple(draw.choice([0, 1, 3, 9]) for _ in range(a.ndim))
        size = int(np.prod(shape)) * a.dtype.itemsize
        raw = np.full(size + 2 * SIDE, 0xA5, np.uint8)
        raw[SIDE : SIDE + size] = np.frombuffer(draw.randbytes(size), np.uint8) & 1
        if a.dtype is cp.bfloat16:
            args.append(cp.zeros(shape, dtype=a.dtype))
            continue
        args.append(raw[SIDE : SIDE + size].view(a.dtype.name).reshape(shape))
        memory.append(raw)
    return args, memory


def parsed(text: str) -> cp.lanes.Program | None:
    """The program, or None after a look at the error."""
    try:
        return cp.lanes.parse(text)
    except (cp.lanes.ParseError, cp.lanes.VerifyError) as failed:
        error: Any = failed
    lines = text.split("\n")
    if isinstance(error, cp.lanes.ParseError):
        assert error.lineno is not None and error.offset is not None
        assert 1 <= error.lineno <= len(lines) + 1
        if error.lineno <= len(lines):
            assert error.text == lines[error.lineno - 1].removesuffix("\r")
            assert 1 <= error.offset <= len(error.text) + 1
    else:
        assert error.rule and 1 <= error.line <= len(lines)
        assert str(error).startswith(f"[{error.kernel}] line {error.line}: {error.instruction}: ")
    return None


@settings(max_examples=COUNT, derandomize=EXAMPLES is None)
@given(st.integers(0, 2**64 - 1))
def test_texts(seed: int) -> None:
    draw = random.Random(seed)
    text = mutated(draw.choice(TEXTS), draw)
    p = parsed(text)
    if p is None:
        return
    again = cp.lanes.parse(p.text)
    assert again == p and again.text == p.text and again.digest == p.digest
    if sum(a.ndim for a in p.arguments) > 12:
        return
    lanes = draw.choice([0, 1, 5, 40, (3, 2), (7, 2, 3)])
    block = draw.choice([1, 4, 256, (4, 4), 1024])
    start = draw.getstate()
    found: list[tuple[str, object]] = []
    for backend in (b.name for b in cp.lanes.backends() if b.available):
        draw.setstate(start)
        args, memory = arguments(p, draw)
        try:
            p.launch(*args, lanes=lanes, block=block, backend=backend, step_limit=40)
            state = [
                np.asarray(cp.astype(a, cp.float32) if isinstance(a, cp.Tensor) else a)
                for a in args
                if not isinstance(a, int)
            ]
            found.append((backend, [np.nan_to_num(s, nan=7.5).tobytes() for s in state]))
        except cp.lanes.RaceError:
            # What racing lanes leave is not defined.
            return
        except cp.lanes.LaneFault as e:
            found.append((backend, (str(e), vars(e))))
        for raw in memory:
            assert (raw[:SIDE] == 0xA5).all() and (raw[-SIDE:] == 0xA5).all(), backend
    assert all(outcome == found[0][1] for _, outcome in found), (p.text, found)


@settings(max_examples=max(100, COUNT // 10), derandomize=EXAMPLES is None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    for given_text in (
        text,
        f".kernel k\n{text}",
        f".kernel k\nmov.f32 {text}, 1",
        f'.kernel k\nassert true, "{text}"\nexit',
    ):
        try:
            p = cp.lanes.parse(given_text)
        except (cp.lanes.ParseError, cp.lanes.VerifyError):
            continue
        assert cp.lanes.parse(p.text) == p
