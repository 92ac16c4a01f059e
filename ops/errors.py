"""The error catalogue: every error that corepy raises on purpose, declared once.

The message's fields are filled in by the Rust constructor generated for each row. `python` is the
exception class; a class of corepy's own is generated into corepy/errors.py from its bases.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorClass:
    name: str
    bases: tuple[str, ...]
    doc: str


@dataclass(frozen=True)
class Error:
    name: str  # Rust variant
    python: str  # exception class
    message: str  # {field} is filled in
    fields: str = ""  # "name: rust type, ..."; &'static str op is written op


ERROR_CLASSES = (
    ErrorClass("AxisError", ("ValueError", "IndexError"), "An axis is out of range or given twice."),
    ErrorClass("InternalError", ("RuntimeError",), "A defect in corepy itself; the process can go on."),
)

ERRORS = (
    Error("Broadcast", "ValueError", "[{op}] shapes {a} and {b} do not broadcast: axis {axis} has {x} and {y}", "op, a: String, b: String, axis: usize, x: usize, y: usize"),
    Error("BroadcastTo", "ValueError", "[{op}] shape {a} does not broadcast to {b}", "op, a: String, b: String"),
    Error("Axis", "AxisError", "[{op}] axis {axis} is out of range for a tensor with {ndim} axes", "op, axis: i64, ndim: usize"),
    Error("AxisTwice", "AxisError", "[{op}] axis {axis} is given twice", "op, axis: i64"),
    Error("AxesCount", "ValueError", "[{op}] {given} axes given for a tensor with {ndim}", "op, given: usize, ndim: usize"),
    Error("TooManyAxes", "ValueError", "[{op}] {ndim} axes are more than the 64 that a tensor can have", "op, ndim: usize"),
    Error("DtypeRefused", "TypeError", "[{op}] does not take {dtype}; it takes {accepted}", "op, dtype: &'static str, accepted: &'static str"),
    Error("StorageDtype", "NotImplementedError", "[{op}] does not compute in {dtype}, which is for storage: convert with astype first", "op, dtype: &'static str"),
    Error("NoPromotion", "TypeError", "[{op}] {a} and {b} have no common dtype", "op, a: &'static str, b: &'static str"),
    Error("InPlaceDtype", "TypeError", "[{op}] a result of {from} cannot be stored in {to}", "op, from: &'static str, to: &'static str"),
    Error("ComplexToReal", "TypeError", "[{op}] {from} does not convert to {to}: the imaginary part would be lost", "op, from: &'static str, to: &'static str"),
    Error("ReadOnly", "ValueError", "[{op}] the tensor is read-only: its memory belongs to {owner}", "op, owner: String"),
    Error("ZeroDivision", "ZeroDivisionError", "[{op}] integer division by zero at index {index}", "op, index: String"),
    Error("NegativeExponent", "ValueError", "[{op}] integers to a negative power are not integers: exponent {value} at index {index}", "op, value: String, index: String"),
    Error("Exponent", "NotImplementedError", "[{op}] exponent {value} at index {index}: only whole numbers and 0.5 are supported", "op, value: String, index: String"),
    Error("EmptyReduction", "ValueError", "[{op}] shape {shape} has no elements along the reduced axes, and {op} has no value for none", "op, shape: String"),
    Error("ReshapeSize", "ValueError", "[{op}] {size} elements of shape {from} do not fit shape {to}", "op, size: usize, from: String, to: String"),
    Error("ReshapeUnknown", "ValueError", "[{op}] shape {to} has more than one -1", "op, to: String"),
    Error("ReshapeAny", "ValueError", "[{op}] no elements fit shape {to} with any extent in place of -1", "op, to: String"),
    Error("NegativeExtent", "ValueError", "[{op}] shape {shape} has a negative extent", "op, shape: String"),
    Error("NeedsCopy", "ValueError", "[{op}] copy=False, but {why} needs a copy", "op, why: String"),
    Error("TooLarge", "ValueError", "[{op}] shape {shape} of {dtype} needs more than 2**63 - 1 bytes", "op, shape: String, dtype: &'static str"),
    Error("OutOfMemory", "MemoryError", "[{op}] cannot allocate {bytes} bytes for shape {shape} of {dtype}", "op, bytes: usize, shape: String, dtype: &'static str"),
    Error("IndexRange", "IndexError", "[{op}] index {index} is out of range for axis {axis} with {extent} elements", "op, index: i64, axis: usize, extent: usize"),
    Error("TooManyIndices", "IndexError", "[{op}] {given} indices for a tensor with {ndim} axes", "op, given: usize, ndim: usize"),
    Error("MaskShape", "IndexError", "[{op}] a mask of shape {mask} does not fit shape {shape}", "op, mask: String, shape: String"),
    Error("SizeOne", "ValueError", "[{op}] needs a tensor with one element, not shape {shape}", "op, shape: String"),
    Error("MatmulShapes", "ValueError", "[{op}] shapes {a} and {b} do not fit: {x} columns against {y} rows", "op, a: String, b: String, x: usize, y: usize"),
    Error("NeedsAxes", "ValueError", "[{op}] needs at least {needed} axes, not {ndim}", "op, needed: usize, ndim: usize"),
    Error("ShapeMismatch", "ValueError", "[{op}] shapes {a} and {b} differ outside axis {axis}", "op, a: String, b: String, axis: usize"),
    Error("NothingToJoin", "ValueError", "[{op}] needs at least one tensor", "op"),
    Error("Threads", "ValueError", "[{op}] the number of threads is 1 to 1024, not {n}", "op, n: i64"),
    Error("Setting", "ValueError", "{name}={value:?} is not valid: {valid}", "name: &'static str, value: String, valid: String"),
    Error("Value", "ValueError", "[{op}] {what}", "op, what: String"),
    Error("Type", "TypeError", "[{op}] {what}", "op, what: String"),
    Error("Buffer", "BufferError", "[{op}] {what}", "op, what: String"),
    Error("Overflow", "OverflowError", "[{op}] {what}", "op, what: String"),
    Error("Index", "IndexError", "[{op}] {what}", "op, what: String"),
    Error("Unsupported", "NotImplementedError", "[{op}] {what}", "op, what: String"),
    # Launches of lane programs; `kernel` is the program's name.
    Error("LaneArguments", "TypeError", "[{kernel}] takes {expected} arguments ({names}), not {given}", "kernel: String, expected: usize, names: String, given: usize"),
    Error("LaneNeedsTensor", "TypeError", "[{kernel}] {name} is a buffer: needs a tensor of {dtype}, not a number", "kernel: String, name: String, dtype: &'static str"),
    Error("LaneNeedsNumber", "TypeError", "[{kernel}] {name} is a param: needs a number for {ty}, not a tensor", "kernel: String, name: String, ty: &'static str"),
    Error("LaneKind", "TypeError", "[{kernel}] param {name} of {ty} does not take a number of {given}", "kernel: String, name: String, ty: &'static str, given: &'static str"),
    Error("LaneDtype", "TypeError", "[{kernel}] buffer {name} is of {expected} and does not take a tensor of {given}: tensors are not converted", "kernel: String, name: String, expected: &'static str, given: &'static str"),
    Error("LaneNumber", "ValueError", "[{kernel}] {value} does not fit param {name} of {ty}", "kernel: String, value: String, name: String, ty: &'static str"),
    Error("LaneRank", "ValueError", "[{kernel}] buffer {name} has rank {axes} and does not take a tensor of shape {shape}", "kernel: String, name: String, axes: usize, shape: String"),
    Error("LaneReadOnly", "ValueError", "[{kernel}] {name} is an {mode} buffer, and the tensor is read-only: its memory belongs to {owner}", "kernel: String, name: String, mode: &'static str, owner: String"),
    Error("LaneSelfOverlap", "ValueError", "[{kernel}] {name} is an {mode} buffer, and elements of the tensor share memory", "kernel: String, name: String, mode: &'static str"),
    Error("LaneOverlap", "ValueError", "[{kernel}] the tensors of {a} and {b} share memory, and {written} is an {mode} buffer", "kernel: String, a: String, b: String, written: String, mode: &'static str"),
    Error("LaneGrid", "ValueError", "[{kernel}] lanes {lanes}: extents are 0 or more, at most 2**62 in all", "kernel: String, lanes: String"),
    Error("LaneBlock", "ValueError", "[{kernel}] block {block}: extents are 1 or more, at most 1024 in all", "kernel: String, block: String"),
    Error("LaneBackend", "ValueError", "[{kernel}] there is no backend {name:?} here; there are {known}", "kernel: String, name: String, known: String"),
    # The caller's pending exception, KeyboardInterrupt where nothing else is set, takes its place.
    Error("Interrupted", "KeyboardInterrupt", "interrupted"),
    Error("Internal", "InternalError", "[{op}] {what}", "op, what: String"),
)
