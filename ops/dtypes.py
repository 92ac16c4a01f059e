"""The dtypes and the promotion table: the one place where either is written down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DType:
    name: str
    kind: str  # b truth value, i signed, u unsigned, f floating, c complex
    itemsize: int
    c: str  # C++ element type
    rust: str  # Rust element type
    format: str  # PEP 3118 format; "" where the struct module has none
    lane: str  # name in lane programs; "" where there is none
    compute: bool  # False: storage only, cast before any arithmetic


# The order is the dtype's number in every table on both sides of the C ABI.
DTYPES = (
    DType("bool", "b", 1, "uint8_t", "u8", "?", "b1", True),
    DType("int8", "i", 1, "int8_t", "i8", "b", "i8", True),
    DType("int16", "i", 2, "int16_t", "i16", "h", "i16", True),
    DType("int32", "i", 4, "int32_t", "i32", "i", "i32", True),
    DType("int64", "i", 8, "int64_t", "i64", "q", "i64", True),
    DType("uint8", "u", 1, "uint8_t", "u8", "B", "u8", True),
    DType("uint16", "u", 2, "uint16_t", "u16", "H", "u16", True),
    DType("uint32", "u", 4, "uint32_t", "u32", "I", "u32", True),
    DType("uint64", "u", 8, "uint64_t", "u64", "Q", "u64", True),
    DType("float16", "f", 2, "corepy_float16", "half::f16", "e", "f16", False),
    DType("bfloat16", "f", 2, "corepy_bfloat16", "half::bf16", "", "bf16", False),
    DType("float32", "f", 4, "float", "f32", "f", "f32", True),
    DType("float64", "f", 8, "double", "f64", "d", "f64", True),
    DType("complex64", "c", 8, "corepy_complex64", "num_complex::Complex32", "Zf", "", True),
    DType("complex128", "c", 16, "corepy_complex128", "num_complex::Complex64", "Zd", "", True),
)

BY_NAME = {d.name: d for d in DTYPES}

# Two arrays' dtype. Rows and columns in the order of the header. Where the Array API standard
# leaves a pair open (integers with floats, bool with numbers, int64 with uint64), it is NumPy 2's
# array result. "-" marks float16 and bfloat16, which have no arithmetic and so no promotion.
_SHORT = {
    "b1": "bool",
    "i1": "int8",
    "i2": "int16",
    "i4": "int32",
    "i8": "int64",
    "u1": "uint8",
    "u2": "uint16",
    "u4": "uint32",
    "u8": "uint64",
    "f4": "float32",
    "f8": "float64",
    "c8": "complex64",
    "cx": "complex128",
}
_PROMOTION = """
     b1 i1 i2 i4 i8 u1 u2 u4 u8 f4 f8 c8 cx
b1   b1 i1 i2 i4 i8 u1 u2 u4 u8 f4 f8 c8 cx
i1   i1 i1 i2 i4 i8 i2 i4 i8 f8 f4 f8 c8 cx
i2   i2 i2 i2 i4 i8 i2 i4 i8 f8 f4 f8 c8 cx
i4   i4 i4 i4 i4 i8 i4 i4 i8 f8 f8 f8 cx cx
i8   i8 i8 i8 i8 i8 i8 i8 i8 f8 f8 f8 cx cx
u1   u1 i2 i2 i4 i8 u1 u2 u4 u8 f4 f8 c8 cx
u2   u2 i4 i4 i4 i8 u2 u2 u4 u8 f4 f8 c8 cx
u4   u4 i8 i8 i8 i8 u4 u4 u4 u8 f8 f8 cx cx
u8   u8 f8 f8 f8 f8 u8 u8 u8 u8 f8 f8 cx cx
f4   f4 f4 f4 f8 f8 f4 f4 f8 f8 f4 f8 c8 cx
f8   f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 cx cx
c8   c8 c8 c8 cx cx c8 c8 cx cx c8 cx c8 cx
cx   cx cx cx cx cx cx cx cx cx cx cx cx cx
"""


def _read_promotion() -> dict[tuple[str, str], str]:
    header, *rows = (line.split() for line in _PROMOTION.strip().splitlines())
    return {
        (_SHORT[row[0]], _SHORT[column]): _SHORT[cell]
        for row in rows
        for column, cell in zip(header, row[1:], strict=True)
    }


PROMOTION = _read_promotion()

# Named sets of dtypes: what an operation accepts is one of these names.
DTYPE_SETS: dict[str, tuple[str, ...]] = {
    "any": tuple(d.name for d in DTYPES if d.compute),
    "storage": tuple(d.name for d in DTYPES),
    "bool": ("bool",),
    "integer": tuple(d.name for d in DTYPES if d.kind in "iu"),
    "signed": tuple(d.name for d in DTYPES if d.kind == "i"),
    "bool_or_integer": tuple(d.name for d in DTYPES if d.kind in "biu"),
    "real_floating": tuple(d.name for d in DTYPES if d.kind == "f" and d.compute),
    "floating": tuple(d.name for d in DTYPES if d.kind in "fc" and d.compute),
    "complex": tuple(d.name for d in DTYPES if d.kind == "c"),
    "real": tuple(d.name for d in DTYPES if d.kind in "iuf" and d.compute),
    "real_or_bool": tuple(d.name for d in DTYPES if d.kind in "biuf" and d.compute),
    "numeric": tuple(d.name for d in DTYPES if d.kind in "iufc" and d.compute),
}
