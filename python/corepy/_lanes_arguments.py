"""Arguments of `python -m corepy lanes run`: made from texts, and summarised."""

from __future__ import annotations

import ast
import hashlib
import random
import struct
from pathlib import Path
from typing import Any

import corepy as cp
from corepy import DType, Tensor, lanes

Value = Tensor | bool | int | float

_KINDS = ("zeros", "ones", "arange", "random")

# What programs call the dtypes.
_TYPES = {
    "b1": "bool", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
}  # fmt: skip


def values(program: lanes.Program, given: list[str], seed: int) -> list[Value]:
    """What a launch takes, in order, from `name=value` texts.

    Raises ValueError for a text that is none, and for arguments too few or too many.
    """
    texts: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ValueError(f"--arg {text}: write name=value")
        if name in texts:
            raise ValueError(f"--arg {text}: given twice")
        texts[name] = value
    declared = [a.name for a in program.arguments]
    takes = f"{program.name} takes {', '.join(declared) or 'none'}"
    wrong = [f"no argument is named {name}: {takes}" for name in texts if name not in declared]
    wrong += [f"--arg {a.name}={_example(a)} is missing" for a in program.arguments if a.name not in texts]
    if wrong:
        raise ValueError("; ".join(wrong))
    source = random.Random(seed)
    return [_value(a, texts[a.name], source) for a in program.arguments]


def _example(argument: lanes.Argument) -> str:
    """A value that the argument takes."""
    if argument.kind == "param":
        return "true" if argument.dtype is cp.bool else "1"
    kind = "zeros" if argument.kind == "out" else "random"
    return f"{kind}:{'x'.join(['8'] * argument.ndim)}"


def _value(argument: lanes.Argument, text: str, source: random.Random) -> Value:
    what = f"--arg {argument.name}={text}"
    if argument.kind == "param":
        try:
            return _number(text)
        except ValueError:
            declared = f"{argument.name} is a param of {argument.dtype.name}"
            raise ValueError(f"{what}: {declared}: write a number") from None
    if text.endswith(".npy"):
        try:
            return read_npy(Path(text))
        except OSError as error:
            raise ValueError(f"{what}: {error.strerror or error}") from None
    kind, *rest = text.split(":")
    if kind not in _KINDS or not 1 <= len(rest) <= 2:
        shaped = f"zeros, ones, arange or random with a shape, as in {_example(argument)}"
        raise ValueError(f"{what}: write {shaped}, or a .npy file")
    dtype = cp.DType(_TYPES.get(rest[0], rest[0])) if len(rest) == 2 else argument.dtype
    try:
        shape = tuple(int(extent) for extent in rest[-1].split("x"))
    except ValueError:
        raise ValueError(f"{what}: {rest[-1]} is not a shape") from None
    return _tensor(kind, dtype, shape, source)


def _number(text: str) -> bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text, 0)
    except ValueError:
        return float.fromhex(text) if "0x" in text else float(text)


def _tensor(kind: str, dtype: DType, shape: tuple[int, ...], source: random.Random) -> Tensor:
    if kind == "zeros":
        return cp.zeros(shape, dtype=dtype)
    if kind == "ones":
        return cp.ones(shape, dtype=dtype)
    size = 1
    for extent in shape:
        size *= extent
    if size < 0:
        raise ValueError(f"shape {shape} has a negative extent")
    flat = cp.arange(size) if kind == "arange" else _random(dtype, size, source)
    return cp.reshape(cp.astype(flat, dtype), shape)


# Numbers that are drawn at once.
_DRAWN = 1 << 20


def _random(dtype: DType, size: int, source: random.Random) -> Tensor:
    """Floats from 0 to 1 without 1, whole numbers from 0 to 99, truth values: the same for one seed."""
    if not size:
        return cp.zeros(0, dtype=dtype)
    bits = cp.empty(size, dtype="uint64")
    # Python draws fewer than 2**31 bits at once.
    for at in range(0, size, _DRAWN):
        part = min(_DRAWN, size - at)
        bits[at : at + part] = memoryview(source.randbytes(8 * part)).cast("Q")
    if "floating" in dtype.kind:
        # As many bits as the significand has, so that no rounding leads to 1.
        kept = {"float64": 53, "float16": 11, "bfloat16": 8}.get(dtype.name, 24)
        return cp.astype(bits >> (64 - kept), "float64") * 2.0**-kept
    return bits >> 63 if dtype is cp.bool else bits % 100


def read_npy(path: Path) -> Tensor:
    """The tensor of a file in NumPy's format, versions 1 to 3.

    Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
    """
    raw = bytearray(path.read_bytes())
    if raw[:6] != b"\x93NUMPY" or len(raw) < 12:
        raise ValueError(f"{path}: not a file of NumPy's")
    start, form = (10, "<H") if raw[6] == 1 else (12, "<I")
    end = start + struct.unpack_from(form, raw, 8)[0]
    try:
        header = ast.literal_eval(raw[start:end].decode("latin-1"))
        descr, shape, fortran = header["descr"], tuple(header["shape"]), header["fortran_order"]
        code = _CODES.get(descr[1:])
    except (SyntaxError, KeyError, TypeError, ValueError):
        raise ValueError(f"{path}: not a header of NumPy's") from None
    if code is None or descr[0] not in "<|=":
        raise ValueError(f"{path}: elements of {descr} cannot be read, those of {', '.join(_CODES)} can")
    data: Any = memoryview(raw)[end:]
    one: Any = memoryview(bytes(struct.calcsize(code)))
    count = 1
    for extent in shape:
        count *= extent
    if len(data) != count * len(one):
        raise ValueError(f"{path}: {len(data)} bytes for shape {shape} of {descr}")
    # Of no elements there is no buffer; of one there is a dtype.
    flat = cp.asarray(data.cast(code)) if count else cp.asarray(one.cast(code))[:0]
    if not fortran:
        return cp.reshape(flat, shape)
    return cp.permute_dims(cp.reshape(flat, shape[::-1]), tuple(reversed(range(len(shape)))))


# Kinds of elements, and memoryview's formats of them.
_CODES = {
    "?": "?", "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q", "f4": "f", "f8": "d",
}  # fmt: skip


def summary(x: Tensor) -> str:
    """dtype, shape, smallest and largest element, and a digest, which has one NaN for all."""
    text = f"{x.dtype.name}{list(x.shape)}"
    wide = cp.astype(x, "float32") if x.dtype.name in ("float16", "bfloat16") else x
    if x.size and x.dtype is not cp.bool:
        text += f", {cp.min(wide).item()} to {cp.max(wide).item()}"
    if "floating" in x.dtype.kind:
        wide = cp.where(cp.isnan(wide), float("nan"), wide)
    digest = hashlib.blake2b(memoryview(cp.asarray(wide, copy=True)), digest_size=8).hexdigest()
    return f"{text}, digest {digest}"
