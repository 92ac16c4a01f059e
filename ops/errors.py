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
    module: str = ""  # the module of corepy that has it; none: corepy itself
    fields: tuple[tuple[str, str, str], ...] = ()  # name, type and default of each attribute


@dataclass(frozen=True)
class Error:
    name: str  # Rust variant
    python: str  # exception class
    message: str  # {field} is filled in
    fields: str = ""  # "name: rust type, ..."; &'static str op is written op


_PLACE = "tuple[int, int, int]"
_NOWHERE = "(0, 0, 0)"

ERROR_CLASSES = (
    ErrorClass("AxisError", ("ValueError", "IndexError"), "An axis is out of range or given twice."),
    ErrorClass("InternalError", ("RuntimeError",), "A defect in corepy itself; the process can go on."),
    ErrorClass("ParseError", ("SyntaxError",), "A text is no lane program: filename, lineno, offset and text say where.", "lanes"),
    ErrorClass(
        "VerifyError",
        ("ValueError",),
        "A lane program breaks a rule: which, and the line of the text with the instruction or declaration on it.",
        "lanes",
        (("kernel", "str", '""'), ("line", "int", "0"), ("instruction", "str", '""'), ("rule", "str", '""')),
    ),
    ErrorClass(
        "LaneFault",
        ("RuntimeError",),
        "A lane did what no lane may. lane is its place in the grid, block that of its block, both (x, y, z). Of an access, buffer is the name of the buffer or shared array, index and shape are its index and that array's shape; else they are None. What the buffers of the launch hold is unspecified.",
        "lanes",
        (
            ("kernel", "str", '""'),
            ("line", "int", "0"),
            ("instruction", "str", '""'),
            ("lane", _PLACE, _NOWHERE),
            ("block", _PLACE, _NOWHERE),
            ("buffer", "str | None", "None"),
            ("index", "tuple[int, ...] | None", "None"),
            ("shape", "tuple[int, ...] | None", "None"),
        ),
    ),
    ErrorClass(
        "RaceError",
        ("LaneFault",),
        "Two lanes accessed one element without a barrier between them. lanes and lines are those of the two accesses; lane and line are those of the second.",
        "lanes",
        (("lanes", f"tuple[{_PLACE}, {_PLACE}]", f"({_NOWHERE}, {_NOWHERE})"), ("lines", "tuple[int, int]", "(0, 0)")),
    ),
)

ERRORS = (
    Error("Broadcast", "ValueError", "[{op}] shapes {a} and {b} do not broadcast: axis {axis} has {x} and {y}", "op, a: String, b: String, axis: usize, x: usize, y: usize"),
    Error("BroadcastTo", "ValueError", "[{op}] shape {a} does not broadcast to {b}", "op, a: String, b: String"),
    Error("Axis", "AxisError", "[{op}] axis {axis} is out of range for a tensor with {ndim|axis|axes}", "op, axis: i64, ndim: usize"),
    Error("AxisTwice", "AxisError", "[{op}] axis {axis} is given twice", "op, axis: i64"),
    Error("AxesCount", "ValueError", "[{op}] {given|axis|axes} given for a tensor with {ndim}", "op, given: usize, ndim: usize"),
    Error("TooManyAxes", "ValueError", "[{op}] {ndim} axes are more than the 64 that a tensor can have", "op, ndim: usize"),
    Error("DtypeRefused", "TypeError", "[{op}] does not take {dtype}; it takes {accepted}", "op, dtype: &'static str, accepted: &'static str"),
    Error("StorageDtype", "NotImplementedError", "[{op}] does not compute in {dtype}, which is for storage: convert with astype first", "op, dtype: &'static str"),
    Error("NoPromotion", "TypeError", "[{op}] {a} and {b} have no common dtype", "op, a: &'static str, b: &'static str"),
    Error("InPlaceDtype", "TypeError", "[{op}] {from} cannot be stored in {to}: convert it first", "op, from: &'static str, to: &'static str"),
    Error("ComplexToReal", "TypeError", "[{op}] {from} does not convert to {to}: the imaginary part would be lost", "op, from: &'static str, to: &'static str"),
    Error("ReadOnly", "ValueError", "[{op}] the tensor is read-only: its memory belongs to {owner}", "op, owner: String"),
    Error("ZeroDivision", "ZeroDivisionError", "[{op}] integer division by zero at index {index}", "op, index: String"),
    Error("NegativeExponent", "ValueError", "[{op}] integers to a negative power are not integers: exponent {value} at index {index}", "op, value: String, index: String"),
    Error("Exponent", "NotImplementedError", "[{op}] exponent {value} at index {index}: only whole numbers and 0.5 are supported", "op, value: String, index: String"),
    Error("EmptyReduction", "ValueError", "[{op}] shape {shape} has no elements along the reduced axes, and {op} has no value for none", "op, shape: String"),
    Error("ReshapeSize", "ValueError", "[{op}] shape {from} has {size|element|elements} and does not fit shape {to}", "op, size: usize, from: String, to: String"),
    Error("ReshapeUnknown", "ValueError", "[{op}] shape {to} has more than one -1", "op, to: String"),
    Error("ReshapeAny", "ValueError", "[{op}] no elements fit shape {to} with any extent in place of -1", "op, to: String"),
    Error("NegativeExtent", "ValueError", "[{op}] shape {shape} has a negative extent", "op, shape: String"),
    Error("NeedsCopy", "ValueError", "[{op}] copy=False, but {why} needs a copy", "op, why: String"),
    Error("TooLarge", "ValueError", "[{op}] shape {shape} of {dtype} needs more than 2**63 - 1 bytes", "op, shape: String, dtype: &'static str"),
    Error("OutOfMemory", "MemoryError", "[{op}] cannot allocate {bytes|byte|bytes} for shape {shape} of {dtype}", "op, bytes: usize, shape: String, dtype: &'static str"),
    Error("IndexRange", "IndexError", "[{op}] index {index} is out of range for axis {axis} with {extent|element|elements}", "op, index: i128, axis: usize, extent: usize"),
    Error("TooManyIndices", "IndexError", "[{op}] {given|index|indices} for a tensor with {ndim|axis|axes}", "op, given: usize, ndim: usize"),
    Error("MaskShape", "IndexError", "[{op}] a mask of shape {mask} does not fit shape {shape}", "op, mask: String, shape: String"),
    Error("Positional", "TypeError", "[{op}] takes {most|positional argument|positional arguments}, not {given}: {instead}", "op, most: usize, given: usize, instead: String"),
    Error("UnknownKeyword", "TypeError", "[{op}] has no parameter {name}: {instead}", "op, name: String, instead: String"),
    Error("PositionalOnly", "TypeError", "[{op}] takes {name} by its position, not by name", "op, name: &'static str"),
    Error("MissingArgument", "TypeError", "[{op}] called without {names}", "op, names: String"),
    # in Python's own form, with what to use instead
    Error("AbsentName", "AttributeError", "module 'corepy' has no attribute '{name}': {instead}", "name: String, instead: &'static str"),
    Error("UnknownName", "AttributeError", "module 'corepy' has no attribute '{name}'", "name: String"),
    Error("AbsentAttribute", "AttributeError", "{owner} has no attribute '{name}': {instead}", "owner: &'static str, name: &'static str, instead: &'static str"),
    Error("PrintMemory", "MemoryError", "[{op}] no memory for the text of {count|element|elements}: lower threshold or edgeitems", "op, count: usize"),
    Error("PrintOption", "ValueError", "[{op}] {name} is at least {least}, not {given}", "op, name: &'static str, least: i64, given: i64"),
    Error("SizeOne", "ValueError", "[{op}] needs a tensor with one element, not shape {shape}", "op, shape: String"),
    Error("MatmulShapes", "ValueError", "[{op}] shapes {a} and {b} do not fit: {x|column|columns} against {y|row|rows}", "op, a: String, b: String, x: usize, y: usize"),
    Error("NeedsAxes", "ValueError", "[{op}] needs at least {needed|axis|axes}, not {ndim}", "op, needed: usize, ndim: usize"),
    Error("ShapeMismatch", "ValueError", "[{op}] shapes {a} and {b} differ outside axis {axis}", "op, a: String, b: String, axis: usize"),
    Error("NothingToJoin", "ValueError", "[{op}] needs at least one tensor", "op"),
    Error("TooManyToJoin", "MemoryError", "[{op}] no memory for more than {n} tensors", "op, n: usize"),
    Error("TuneSeconds", "ValueError", "[{op}] seconds is 0 to 600, not {seconds:?}", "op, seconds: f64"),
    Error("TuningFile", "OSError", "[{op}] {path:?} cannot be written: {why}", "op, path: String, why: String"),
    Error("Threads", "ValueError", "[{op}] the number of threads is 1 to 1024, not {n}", "op, n: i64"),
    Error("Allocator", "ValueError", "[{op}] allocator {name:?} is not one of: {valid}", "op, name: String, valid: String"),
    Error("Setting", "ValueError", "{name}={value:?} is not valid: {valid}", "name: &'static str, value: String, valid: String"),
    # arguments of any function
    Error("ArgumentType", "TypeError", "[{op}] {argument} takes {expected}, not {given}", "op, argument: &'static str, expected: &'static str, given: String"),
    Error("IntegerTooLarge", "ValueError", "[{op}] {argument} is {value}, which does not fit 64 bits", "op, argument: &'static str, value: String"),
    Error("NotDtype", "TypeError", "[{op}] {given} is not a dtype; the dtypes are {dtypes}", "op, given: String, dtypes: String"),
    Error("Device", "ValueError", "[{op}] device {given} is not one of: 'cpu'", "op, given: String"),
    Error("Stream", "ValueError", "[{op}] the cpu has no streams: stream is None, not {given}", "op, given: String"),
    Error("NoArguments", "ValueError", "[{op}] takes at least one argument", "op"),
    Error("DoesNotFit", "OverflowError", "[{op}] {value} does not fit {dtype}", "op, value: String, dtype: &'static str"),
    Error("NoIntegerDtype", "OverflowError", "[{op}] {value} does not fit int64 or uint64: give a floating dtype", "op, value: String"),
    Error("KindUnknown", "ValueError", "[{op}] kind {kind} is not one of {kinds}", "op, kind: String, kinds: String"),
    Error("ApiVersion", "ValueError", "[{op}] Array API version {version:?} is not one of {versions}", "op, version: String, versions: String"),
    Error("ExitWithoutEnter", "ValueError", "[{op}] __exit__ without __enter__", "op"),
    # numbers and sequences that become tensors
    Error("NoNumbers", "TypeError", "[{op}] {class} holds no numbers that a tensor could be made of", "op, class: String"),
    Error("NoNumber", "TypeError", "[{op}] {place} is a {class}, which is no number{shown}", "op, place: String, class: String, shown: String"),
    Error("Ragged", "ValueError", "[{op}] ragged: {place} has shape {found}, expected {expected}", "op, place: String, found: String, expected: String"),
    Error("NestedTooDeep", "ValueError", "[{op}] sequences are nested more than 64 deep: does one contain itself?", "op"),
    Error("SequenceChanged", "ValueError", "[{op}] a sequence changed its length while it was read", "op"),
    Error("NanToInteger", "ValueError", "[{op}] NaN does not convert to {dtype}", "op, dtype: &'static str"),
    Error("ComplexRange", "TypeError", "[{op}] complex numbers have no order to count in", "op"),
    Error("ZeroStep", "ValueError", "[{op}] the step is 0", "op"),
    Error("RangeLength", "ValueError", "[{op}] start {start:?}, stop {stop:?} and step {step:?} have no finite number of elements", "op, start: f64, stop: f64, step: f64"),
    # indexing
    Error("IndexTooLarge", "IndexError", "[{op}] index {index} does not fit 64 bits and is out of range for any axis", "op, index: String"),
    Error("NotIndex", "IndexError", "[{op}] {given} is no index: use integers, slices, ..., None, masks (bool) or tensors of integers", "op, given: String"),
    Error("IndexDtype", "IndexError", "[{op}] indices are integers or a mask of bool, not {dtype}", "op, dtype: &'static str"),
    Error("EllipsisTwice", "IndexError", "[{op}] a key has at most one ellipsis (...), not {given}", "op, given: usize"),
    Error("SliceType", "TypeError", "[{op}] slice indices must be integers or None or have an __index__ method", "op"),
    # axes and shapes of one operation or a few
    Error("OneAxis", "TypeError", "[{op}] axis is one integer or None, not {given|axis|axes}", "op, given: usize"),
    Error("AxisNeeded", "ValueError", "[{op}] axis can be left out for one axis only, not for {ndim}", "op, ndim: usize"),
    Error("DifferenceOrder", "ValueError", "[{op}] n is how often differences are taken, 0 or more, not {n}", "op, n: i64"),
    Error("MoveCounts", "ValueError", "[{op}] cannot move {source_count|axis|axes} to {destination_count|place|places}", "op, source_count: usize, destination_count: usize"),
    Error("SqueezeExtent", "ValueError", "[{op}] axis {axis} of shape {shape} has {extent|element|elements}, not 1", "op, axis: usize, shape: String, extent: i64"),
    Error("TransposeAxes", "ValueError", "[{op}] needs a tensor with 2 axes, not {ndim}; use mT or permute_dims(axes)", "op, ndim: usize"),
    Error("NoLength", "TypeError", "[{op}] a tensor without axes has no length", "op"),
    Error("ScalarProduct", "ValueError", "[{op}] a number has no axes to multiply along: use multiply or *", "op"),
    Error("DotAxes", "ValueError", "[{op}] takes tensors with at most 2 axes, not {a} and {b}: use matmul", "op, a: usize, b: usize"),
    Error("VectorLengths", "ValueError", "[{op}] vectors along axis {axis} have {x} and {y|element|elements}", "op, axis: i64, x: i64, y: i64"),
    Error("VectorAxis", "ValueError", "[{op}] axis {axis} is not the same one of tensors with {a} and {b|axis|axes}: count it from the back", "op, axis: i64, a: usize, b: usize"),
    Error("ProductShape", "ValueError", "[{op}] a product of shape {from} cannot be stored in shape {to}", "op, from: String, to: String"),
    Error("Modulus", "TypeError", "[{op}] a modulus is not supported: take the remainder of the power", "op"),
    # tensors as Python objects
    Error("Truth", "ValueError", "[{op}] needs a tensor with one element, not shape {shape}: use any() or all()", "op, shape: String"),
    Error("TensorAsIndex", "TypeError", "[{op}] an index needs one integer without axes, not shape {shape} of {dtype}", "op, shape: String, dtype: &'static str"),
    Error("FormatSize", "TypeError", "[{op}] format {spec:?} needs a tensor with one element, not shape {shape}", "op, spec: String, shape: String"),
    Error("NumpyBfloat16", "TypeError", "[{op}] NumPy has no bfloat16: convert with astype first", "op"),
    Error("PickleBuffer", "TypeError", "[{op}] {class} is no buffer", "op, class: String"),
    Error("PickleSize", "ValueError", "[{op}] {bytes|byte|bytes} for shape {shape} of {dtype}", "op, bytes: usize, shape: String, dtype: &'static str"),
    # others' memory: the buffer protocol
    Error("NotNumbers", "TypeError", "[{op}] {class} holds no numbers", "op, class: String"),
    Error("Characters", "TypeError", "[{op}] {class} holds characters (format {format:?}), not numbers: convert it with bytes() first", "op, class: String, format: String"),
    Error("BufferFormat", "TypeError", "[{op}] {class} holds {what} (format {format:?}), which is no dtype", "op, class: String, what: &'static str, format: String"),
    Error("ArrayDtype", "TypeError", "[{op}] {class} has dtype {dtype}, which is none of corepy's: convert it first", "op, class: String, dtype: String"),
    Error("NoDeletion", "TypeError", "[{op}] elements of a tensor cannot be deleted: index those to keep", "op"),
    Error("BufferItemsize", "TypeError", "[{op}] {class} has format {format:?} and elements of {itemsize|byte|bytes}", "op, class: String, format: String, itemsize: i64"),
    Error("BufferAxes", "BufferError", "[{op}] the buffer of {class} has {ndim|axis|axes}: there are 0 to 64", "op, class: String, ndim: i64"),
    Error("BufferShape", "BufferError", "[{op}] the buffer of {class} has {ndim|axis|axes} and no shape", "op, class: String, ndim: i64"),
    Error("BufferSize", "BufferError", "[{op}] the buffer of {class} has {bytes|byte|bytes} for shape {shape} of {dtype}", "op, class: String, bytes: i64, shape: String, dtype: &'static str"),
    Error("Suboffsets", "BufferError", "[{op}] the buffer of {class} lies behind pointers (suboffsets)", "op, class: String"),
    Error("AddressSpace", "BufferError", "[{op}] the memory of {class} leaves the address space", "op, class: String"),
    # a tensor's memory for others
    Error("NullBuffer", "BufferError", "[{op}] the request comes without a Py_buffer to fill", "op"),
    Error("ExportReadOnly", "BufferError", "[{op}] a writable buffer was asked for, but the tensor is read-only: its memory belongs to {owner}", "op, owner: String"),
    Error("ExportFormat", "BufferError", "[{op}] the buffer protocol has no format for {dtype}", "op, dtype: &'static str"),
    Error("ExportOrder", "BufferError", "[{op}] a buffer in {order} was asked for, but the strides are {strides}: make a copy first", "op, order: &'static str, strides: String"),
    # DLPack, both ways
    Error("ExportStrides", "BufferError", "[{op}] strides {strides} are no multiples of the itemsize {itemsize}: make a copy first", "op, strides: String, itemsize: i64"),
    Error("ExportVersion", "BufferError", "[{op}] the tensor is read-only, which a capsule without version cannot say: ask for max_version=(1, 0)", "op"),
    Error("OnlyDevice", "BufferError", "[{op}] the cpu, (1, 0), is the only device, not {given}", "op, given: String"),
    Error("NoDlpack", "TypeError", "[{op}] {class} has no __dlpack__", "op, class: String"),
    Error("DlpackDevice", "TypeError", "[{op}] __dlpack_device__ of {class} returned {given}, not a pair of integers", "op, class: String, given: String"),
    Error("DlpackElsewhere", "BufferError", "[{op}] the elements are on DLPack device {kind}, not on the cpu (1)", "op, kind: i64"),
    Error("NoCapsule", "TypeError", "[{op}] __dlpack__ of {class} returned {given}, not a capsule", "op, class: String, given: String"),
    Error("DlpackCapsule", "BufferError", "[{op}] the capsule holds no DLPack tensor, or has been used", "op"),
    Error("DlpackVersion", "BufferError", "[{op}] DLPack version {major} is not version 1", "op, major: u32"),
    Error("DlpackDtype", "BufferError", "[{op}] DLPack type code {code} of {bits|bit|bits} and {lanes|lane|lanes} is no dtype", "op, code: u8, bits: u8, lanes: u16"),
    Error("DlpackAxes", "BufferError", "[{op}] a DLPack tensor of {ndim|axis|axes}: there are 0 to 64", "op, ndim: i32"),
    Error("DlpackShape", "BufferError", "[{op}] a DLPack tensor of {ndim|axis|axes} without a shape", "op, ndim: i32"),
    Error("DlpackMemory", "BufferError", "[{op}] a DLPack tensor without memory", "op"),
    Error("ImportUnaligned", "BufferError", "[{op}] the elements of {class} are not aligned", "op, class: String"),
    # launches of lane programs; `kernel` is the program's name.
    Error("LaneArguments", "TypeError", "[{kernel}] takes {expected|argument|arguments} ({names}), not {given}", "kernel: String, expected: usize, names: String, given: usize"),
    Error("LaneCall", "TypeError", "[{kernel}] a launch needs lanes: write p[lanes]({names}), or p.launch({before}lanes=lanes)", "kernel: String, names: String, before: String"),
    Error("LaneKeyword", "TypeError", "[{kernel}] a launch takes no {name} by name: write p[lanes]({names}); by name go {keywords}", "kernel: String, name: String, names: String, keywords: &'static str"),
    Error("EmitLine", "ValueError", "[{op}] emit takes an opcode and each operand by itself, not {given:?}: write emit({parts})", "op, given: String, parts: String"),
    Error("LaneNeedsTensor", "TypeError", "[{kernel}] {name} is a buffer: needs a tensor of {dtype}, not {given}", "kernel: String, name: String, dtype: &'static str, given: String"),
    Error("LaneNeedsNumber", "TypeError", "[{kernel}] {name} is a param: needs a number for {ty}, not {given}", "kernel: String, name: String, ty: &'static str, given: String"),
    Error("LaneKind", "TypeError", "[{kernel}] param {name} of {ty} does not take a number of {given}", "kernel: String, name: String, ty: &'static str, given: &'static str"),
    Error("LaneDtype", "TypeError", "[{kernel}] buffer {name} is of {expected} and does not take a tensor of {given}: tensors are not converted", "kernel: String, name: String, expected: &'static str, given: &'static str"),
    Error("LaneNumber", "ValueError", "[{kernel}] {value} does not fit param {name} of {ty}", "kernel: String, value: String, name: String, ty: &'static str"),
    Error("LaneRank", "ValueError", "[{kernel}] buffer {name} has rank {axes} and does not take a tensor of shape {shape}", "kernel: String, name: String, axes: usize, shape: String"),
    Error("LaneCopy", "ValueError", "[{kernel}] buffer {name} takes memory as it lies, and {why} would need a copy", "kernel: String, name: String, why: &'static str"),
    Error("LaneDevice", "ValueError", "[{kernel}] buffer {name} takes memory of the cpu (1), not of DLPack device {kind}", "kernel: String, name: String, kind: i64"),
    Error("LaneReadOnly", "ValueError", "[{kernel}] {name} is an {mode} buffer, and the tensor is read-only: its memory belongs to {owner}", "kernel: String, name: String, mode: &'static str, owner: String"),
    Error("LaneSelfOverlap", "ValueError", "[{kernel}] {name} is an {mode} buffer, and elements of the tensor share memory", "kernel: String, name: String, mode: &'static str"),
    Error("LaneOverlap", "ValueError", "[{kernel}] the tensors of {a} and {b} share memory, and {a} is an {mode} buffer", "kernel: String, a: String, b: String, mode: &'static str"),
    Error("LaneGrid", "ValueError", "[{kernel}] lanes {lanes}: extents are 0 or more, at most 2**62 in all", "kernel: String, lanes: String"),
    Error("LaneBlock", "ValueError", "[{kernel}] block {block}: extents are 1 or more, at most 1024 in all", "kernel: String, block: String"),
    Error("LaneExtents", "ValueError", "[{kernel}] {argument} has 1 to 3 extents, not {given}", "kernel: String, argument: &'static str, given: usize"),
    Error("LaneSteps", "ValueError", "[{kernel}] step_limit is 0 or more, not {given}", "kernel: String, given: i64"),
    Error("BufferMode", "ValueError", "[{op}] mode {mode} is not one of: 'in', 'out', 'inout'", "op, mode: String"),
    Error("LaneBackend", "ValueError", "[{kernel}] there is no backend {name:?} here; there are {known}", "kernel: String, name: String, known: String"),
    Error("LaneBackendAbsent", "ValueError", "[{kernel}] backend {name:?} cannot be used here: {reason}", "kernel: String, name: &'static str, reason: String"),
    # What the caller's signal handler has raised takes its place; Python's own handler gives no text.
    Error("Interrupted", "KeyboardInterrupt", ""),
    Error("Internal", "InternalError", "[{op}] {what}", "op, what: String"),
)
