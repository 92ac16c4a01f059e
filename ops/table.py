"""The op table: every operation of corepy, declared once.

Standard library only. `generate.py` turns these rows into the Rust enum and metadata, the C ids and
slot lists, the native functions with their signatures and docstrings, methods, operators, stubs and
the operations page of the docs. Tests read the rows directly.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Elementwise:
    """One output element from the input elements at the same place."""

    name: str  # Array API name
    functor: str  # C++ struct in csrc/src/functors_*.h that computes one element
    arity: int
    dtypes: str  # named set of dtypes.py that the kernels take
    doc: str
    mnemonic: str = ""  # lane instruction
    result: str = "same"  # same | bool | real (a complex dtype's real part) as the compute dtype
    compute: str = "promote"  # promote | floating (integers become float64) | bool
    sets: frozenset[str] = field(default_factory=frozenset)
    operator: str = ""  # Python operator, e.g. add for __add__, __radd__, __iadd__
    fault: str = ""  # what a kernel's fault index means: zero_division | exponent
    cost: str = "arithmetic"  # the class of cost_classes.py that says how long an element takes
    ulp: tuple[tuple[str, float], ...] = ()  # error bound per dtype; none: exact or correctly rounded
    notes: str = ""  # further docstring text: special values, accuracy, errors
    example: str = ""
    method: bool = True  # also a method of Tensor; the name may be an attribute's there


@dataclass(frozen=True)
class Reduction:
    """Many elements along axes to one."""

    name: str
    family: str  # the kernel family in csrc/src/reduce_*.h; several rows may share one
    dtypes: str  # what the kernels take
    doc: str
    result: str = "same"  # same | sum (small integers widen to 64 bits) | bool | index | floating
    parameters: str = "axis, keepdims"  # of: axis, dtype, correction, keepdims
    cost: str = "sum"  # the class of cost_classes.py that says how long an element takes
    axes: str = "many"  # many | one
    empty: str = "identity"  # identity | error
    mnemonic: str = ""  # block-wide lane instruction
    ulp: tuple[tuple[str, float], ...] = ()
    condition: str = ""  # what the bounds hold for; nothing: every operand
    notes: str = ""
    example: str = ""


@dataclass(frozen=True)
class Function:
    """Anything else: creation, conversion, manipulation, linear algebra."""

    name: str
    signature: str  # Python parameter list with annotations
    returns: str
    category: str  # creation | conversion | manipulation | indexing | cumulative | linear | information | printing | memory
    doc: str
    method: bool = False  # also a method of Tensor; the first parameter is self
    notes: str = ""
    example: str = ""


def _sets(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ULP_EXACT_ROOT = (("complex64", 1.0), ("complex128", 2.0))

UNARY = (
    Elementwise("positive", "Positive", 1, "numeric", "The same values, copied.", operator="pos", example="cp.positive(cp.asarray([1, -2])).tolist()\n[1, -2]"),
    Elementwise("negative", "Negative", 1, "numeric", "Each element with its sign turned.", "neg", operator="neg", notes="Unsigned integers and the smallest signed integer wrap.", example="cp.negative(cp.asarray([1, -2])).tolist()\n[-1, 2]"),
    Elementwise("abs", "Abs", 1, "numeric", "The absolute value of each element.", "abs", result="real", operator="abs", ulp=(("complex64", 1.0), ("complex128", 1.0)), cost="magnitude", notes="The smallest signed integer wraps to itself.", example="cp.abs(cp.asarray([1, -2])).tolist()\n[1, 2]"),
    Elementwise("sqrt", "Sqrt", 1, "floating", "The principal square root of each element.", "sqrt", compute="floating", ulp=_ULP_EXACT_ROOT, cost="root", notes="Correctly rounded for real dtypes; negative elements give NaN.", example="cp.sqrt(cp.asarray([4.0, 9.0])).tolist()\n[2.0, 3.0]"),
    Elementwise("square", "Square", 1, "numeric", "Each element times itself.", "square", cost="multiplication", example="cp.square(cp.asarray([3, -2])).tolist()\n[9, 4]"),
    Elementwise("sign", "Sign", 1, "numeric", "-1, 0 or 1 by the sign of each element; z / |z| for complex.", "sign", ulp=(("complex64", 2.0), ("complex128", 2.0)), cost="sign", notes="NaN gives NaN; -0.0 and +0.0 give a zero.", example="cp.sign(cp.asarray([3, -2, 0])).tolist()\n[1, -1, 0]"),
    Elementwise("conj", "Conjugate", 1, "numeric", "The complex conjugate of each element.", notes="Real elements are copied.", example="cp.conj(cp.asarray([1 + 2j, 3 - 4j])).tolist()\n[(1-2j), (3+4j)]"),
    Elementwise("real", "RealPart", 1, "numeric", "The real part of each element, copied.", result="real", method=False, notes="The attribute of that name is a view instead.", example="cp.real(cp.asarray([1 + 2j, 3 - 4j])).tolist()\n[1.0, 3.0]"),
    Elementwise("imag", "ImaginaryPart", 1, "complex", "The imaginary part of each element, copied.", result="real", method=False, notes="The attribute of that name is a view instead.", example="cp.imag(cp.asarray([1 + 2j, 3 - 4j])).tolist()\n[2.0, -4.0]"),
    Elementwise("floor", "Floor", 1, "real", "The largest whole number not above each element.", "floor", sets=_sets("rounding"), example="cp.floor(cp.asarray([1.5, -1.5])).tolist()\n[1.0, -2.0]"),
    Elementwise("ceil", "Ceil", 1, "real", "The smallest whole number not below each element.", "ceil", sets=_sets("rounding"), example="cp.ceil(cp.asarray([1.5, -1.5])).tolist()\n[2.0, -1.0]"),
    Elementwise("trunc", "Trunc", 1, "real", "Each element without its fractional part.", "trunc", sets=_sets("rounding"), example="cp.trunc(cp.asarray([1.5, -1.5])).tolist()\n[1.0, -1.0]"),
    Elementwise("round", "Round", 1, "numeric", "The nearest whole number, ties to even.", "round", sets=_sets("rounding"), example="cp.round(cp.asarray([0.5, 1.5, 2.5])).tolist()\n[0.0, 2.0, 2.0]"),
    Elementwise("isnan", "IsNan", 1, "numeric", "True where an element is NaN.", "isnan", result="bool", sets=_sets("predicate"), cost="comparison", example="cp.isnan(cp.asarray([1.0, float('nan')])).tolist()\n[False, True]"),
    Elementwise("isinf", "IsInf", 1, "numeric", "True where an element is an infinity.", "isinf", result="bool", sets=_sets("predicate"), cost="comparison", example="cp.isinf(cp.asarray([1.0, float('-inf')])).tolist()\n[False, True]"),
    Elementwise("isfinite", "IsFinite", 1, "numeric", "True where an element is neither an infinity nor NaN.", "isfinite", result="bool", sets=_sets("predicate"), cost="comparison", example="cp.isfinite(cp.asarray([1.0, float('inf')])).tolist()\n[True, False]"),
    Elementwise("logical_not", "LogicalNot", 1, "bool", "True where an element is zero or False.", compute="bool", sets=_sets("logical"), example="cp.logical_not(cp.asarray([True, False])).tolist()\n[False, True]"),
    Elementwise("bitwise_invert", "BitwiseInvert", 1, "bool_or_integer", "Every bit of each element turned.", "not", operator="invert", sets=_sets("bitwise"), example="cp.bitwise_invert(cp.asarray([0, 5])).tolist()\n[-1, -6]"),
)

BINARY = (
    Elementwise("add", "Add", 2, "numeric", "The sum of two tensors, element by element.", "add", operator="add", sets=_sets("commutative"), notes="Integers wrap.", example="cp.add(cp.asarray([1, 2]), 3).tolist()\n[4, 5]"),
    Elementwise("subtract", "Subtract", 2, "numeric", "The difference of two tensors, element by element.", "sub", operator="sub", notes="Integers wrap.", example="cp.subtract(cp.asarray([1, 2]), 3).tolist()\n[-2, -1]"),
    Elementwise("multiply", "Multiply", 2, "numeric", "The product of two tensors, element by element.", "mul", operator="mul", sets=_sets("commutative"), cost="multiplication", notes="Integers wrap.", example="cp.multiply(cp.asarray([1, 2]), 3).tolist()\n[3, 6]"),
    Elementwise("divide", "Divide", 2, "floating", "The quotient of two tensors, element by element.", "div", compute="floating", operator="truediv", ulp=(("complex64", 2.0), ("complex128", 4.0)), cost="division", notes="Integers are converted to float64 first; correctly rounded for real dtypes.", example="cp.divide(cp.asarray([1, 3]), 2).tolist()\n[0.5, 1.5]"),
    Elementwise("floor_divide", "FloorDivide", 2, "real", "The quotient rounded toward minus infinity.", "floordiv", operator="floordiv", fault="zero_division", cost="floor_division", notes="Raises ZeroDivisionError for an integer division by zero.", example="cp.floor_divide(cp.asarray([7, -7]), 2).tolist()\n[3, -4]"),
    Elementwise("remainder", "Remainder", 2, "real", "The remainder of floor_divide, with the divisor's sign.", "rem", operator="mod", fault="zero_division", cost="floor_division", notes="Raises ZeroDivisionError for an integer division by zero.", example="cp.remainder(cp.asarray([7, -7]), 3).tolist()\n[1, 2]"),
    Elementwise("pow", "Pow", 2, "numeric", "The first tensor's elements raised to the second's.", "pow", operator="pow", fault="exponent", cost="power", notes="Exponents are whole numbers or 0.5, by binary powering from the lowest bit; negative ones are 1 / x**n. The error of x**n grows with n: for real dtypes it was never seen above 0.55 * (n + 4) ulp. Raises ValueError for a negative exponent on integers, NotImplementedError for any other exponent.", example="cp.pow(cp.asarray([2, 3]), 3).tolist()\n[8, 27]"),
    Elementwise("minimum", "Minimum", 2, "real", "The smaller of two elements.", "min", sets=_sets("commutative"), notes="NaN where either is NaN; -0.0 is below +0.0.", example="cp.minimum(cp.asarray([1, 5]), 3).tolist()\n[1, 3]"),
    Elementwise("maximum", "Maximum", 2, "real", "The larger of two elements.", "max", sets=_sets("commutative"), notes="NaN where either is NaN; -0.0 is below +0.0.", example="cp.maximum(cp.asarray([1, 5]), 3).tolist()\n[3, 5]"),
    Elementwise("equal", "Equal", 2, "any", "True where two elements are equal.", "seteq", result="bool", operator="eq", sets=_sets("comparison commutative"), cost="comparison", example="cp.equal(cp.asarray([1, 2]), 2).tolist()\n[False, True]"),
    Elementwise("not_equal", "NotEqual", 2, "any", "True where two elements differ.", "setne", result="bool", operator="ne", sets=_sets("comparison commutative"), cost="comparison", example="cp.not_equal(cp.asarray([1, 2]), 2).tolist()\n[True, False]"),
    Elementwise("less", "Less", 2, "real_or_bool", "True where the first element is below the second.", "setlt", result="bool", operator="lt", sets=_sets("comparison"), cost="comparison", example="cp.less(cp.asarray([1, 2]), 2).tolist()\n[True, False]"),
    Elementwise("less_equal", "LessEqual", 2, "real_or_bool", "True where the first element is at most the second.", "setle", result="bool", operator="le", sets=_sets("comparison"), cost="comparison", example="cp.less_equal(cp.asarray([1, 2]), 1).tolist()\n[True, False]"),
    Elementwise("greater", "Greater", 2, "real_or_bool", "True where the first element is above the second.", "setgt", result="bool", operator="gt", sets=_sets("comparison"), cost="comparison", example="cp.greater(cp.asarray([1, 2]), 1).tolist()\n[False, True]"),
    Elementwise("greater_equal", "GreaterEqual", 2, "real_or_bool", "True where the first element is at least the second.", "setge", result="bool", operator="ge", sets=_sets("comparison"), cost="comparison", example="cp.greater_equal(cp.asarray([1, 2]), 2).tolist()\n[False, True]"),
    Elementwise("logical_and", "LogicalAnd", 2, "bool", "True where both elements are true (not zero).", compute="bool", sets=_sets("logical commutative"), example="cp.logical_and(cp.asarray([True, False]), True).tolist()\n[True, False]"),
    Elementwise("logical_or", "LogicalOr", 2, "bool", "True where either element is true (not zero).", compute="bool", sets=_sets("logical commutative"), example="cp.logical_or(cp.asarray([True, False]), False).tolist()\n[True, False]"),
    Elementwise("logical_xor", "LogicalXor", 2, "bool", "True where exactly one element is true (not zero).", compute="bool", sets=_sets("logical commutative"), example="cp.logical_xor(cp.asarray([True, False]), True).tolist()\n[False, True]"),
    Elementwise("bitwise_and", "BitwiseAnd", 2, "bool_or_integer", "The bits that both elements have.", "and", operator="and", sets=_sets("bitwise commutative"), example="cp.bitwise_and(cp.asarray([6, 5]), 3).tolist()\n[2, 1]"),
    Elementwise("bitwise_or", "BitwiseOr", 2, "bool_or_integer", "The bits that either element has.", "or", operator="or", sets=_sets("bitwise commutative"), example="cp.bitwise_or(cp.asarray([6, 5]), 3).tolist()\n[7, 7]"),
    Elementwise("bitwise_xor", "BitwiseXor", 2, "bool_or_integer", "The bits that exactly one element has.", "xor", operator="xor", sets=_sets("bitwise commutative"), example="cp.bitwise_xor(cp.asarray([6, 5]), 3).tolist()\n[5, 6]"),
    Elementwise("bitwise_left_shift", "LeftShift", 2, "integer", "The first element's bits moved up by the second.", "shl", operator="lshift", sets=_sets("bitwise shift"), cost="shift", notes="A count below 0 or not below the width shifts everything out.", example="cp.bitwise_left_shift(cp.asarray([1, 2]), 3).tolist()\n[8, 16]"),
    Elementwise("bitwise_right_shift", "RightShift", 2, "integer", "The first element's bits moved down by the second, keeping the sign.", "shr", operator="rshift", sets=_sets("bitwise shift"), cost="shift", notes="A count below 0 or not below the width shifts everything out.", example="cp.bitwise_right_shift(cp.asarray([8, -8]), 2).tolist()\n[2, -2]"),
)

_SUM_BOUND = (("float32", 1.0), ("float64", 1.0), ("complex64", 1.0), ("complex128", 1.0))
_SUM_CONDITION = "for condition numbers up to 1e6 (float32) and 1e11 (float64)"
_VAR_BOUND = (("float32", 2.0), ("float64", 2.0))
# Beyond, the rounding of the mean shows: half a unit of it, squared, is 0.3 units of the variance's last place here.
_VAR_CONDITION = "for means of up to 5e7 standard deviations (float64)"
_SUM_NOTES = (
    "float32 is added in float64, float64 with compensation (Knuth's TwoSum; Ogita, Rump and Oishi, SIAM"
    " J. Sci. Comput. 26, 2005). The order of additions is fixed, so the bits do not depend on threads, SIMD or layout."
)

REDUCTIONS = (
    Reduction("sum", "sum", "any", "The sum of the elements along axes.", "sum", "axis, dtype, keepdims", mnemonic="add", ulp=_SUM_BOUND, condition=_SUM_CONDITION, notes=_SUM_NOTES + " Integers and bool add up in 64 bits and wrap.", example="cp.sum(cp.asarray([[1, 2], [3, 4]]), axis=0).tolist()\n[4, 6]"),
    Reduction("exact_sum", "exact_sum", "floating", "The sum of the elements along axes, correctly rounded.", cost="exact_sum", notes="Infinitely precise, then rounded once to the nearest value, ties to even; complex parts each by itself. No order of the elements and no overflow on the way changes it. An infinity or NaN gives what IEEE 754 gives, inf and -inf together NaN; nothing to add gives +0.0, nothing but -0.0 gives -0.0. A compensated sum answers where its error bound proves the rounding; else a superaccumulator (R. M. Neal, Fast exact summation using small and large superaccumulators, arXiv:1505.05571, 2015) does.", example="cp.exact_sum(cp.asarray([1e308, 1e308, -1e308, 1.0])).item()\n1e+308"),
    Reduction("prod", "prod", "any", "The product of the elements along axes.", "sum", "axis, dtype, keepdims", mnemonic="mul", cost="prod", notes="float32 multiplies in float64, float64 in float64; one fixed order. Integers multiply in 64 bits and wrap.", example="cp.prod(cp.asarray([1, 2, 3, 4])).tolist()\n24"),
    Reduction("mean", "mean", "floating", "The arithmetic mean of the elements along axes.", "floating", "axis, keepdims", ulp=_SUM_BOUND, condition=_SUM_CONDITION, notes="Integers and bool are converted to float64 first. The unrounded sum is divided and rounded once. Nothing to average gives NaN.", example="cp.mean(cp.asarray([1.0, 2.0, 4.5])).item()\n2.5"),
    Reduction("var", "var", "real_floating", "The variance of the elements along axes: the sum of squared deviations from the mean over n - correction.", "floating", "axis, correction, keepdims", ulp=_VAR_BOUND, condition=_VAR_CONDITION, cost="var", notes="Two passes, so that a large mean does not cancel. Of n elements the squares are divided by n - correction, NaN where that is not above 0; NumPy's default is 0 too, PyTorch's 1. Integers and bool are converted to float64 first.", example="cp.var(cp.asarray([1.0, 2.0, 3.0]), correction=1.0).item()\n1.0"),
    Reduction("std", "std", "real_floating", "The standard deviation of the elements along axes: the square root of var.", "floating", "axis, correction, keepdims", ulp=_VAR_BOUND, condition=_VAR_CONDITION, cost="var", notes="Two passes, so that a large mean does not cancel. Of n elements the squares are divided by n - correction, NaN where that is not above 0; NumPy's default is 0 too, PyTorch's 1. Integers and bool are converted to float64 first.", example="cp.std(cp.asarray([1.0, 3.0])).item()\n1.0"),
    Reduction("min", "min", "real_or_bool", "The smallest element along axes.", empty="error", mnemonic="min", cost="extremum", notes="NaN where any element is NaN; -0.0 is below +0.0. Raises ValueError where there are no elements.", example="cp.min(cp.asarray([3, 1, 2])).item()\n1"),
    Reduction("max", "max", "real_or_bool", "The largest element along axes.", empty="error", mnemonic="max", cost="extremum", notes="NaN where any element is NaN; -0.0 is below +0.0. Raises ValueError where there are no elements.", example="cp.max(cp.asarray([3, 1, 2])).item()\n3"),
    Reduction("any", "any", "any", "True where some element along axes is not zero.", "bool", mnemonic="or", cost="decision", notes="Stops at the first such element. NaN is not zero.", example="cp.any(cp.asarray([0, 2])).item()\nTrue"),
    Reduction("all", "all", "any", "True where no element along axes is zero.", "bool", mnemonic="and", cost="decision", notes="Stops at the first zero. NaN is not zero.", example="cp.all(cp.asarray([0, 2])).item()\nFalse"),
    Reduction("argmin", "argmin", "real_or_bool", "The index of the smallest element along an axis, or of the flattened tensor.", "index", axes="one", empty="error", cost="index", notes="The lowest index among equals (-0.0 equals +0.0), or of the first NaN. Raises ValueError where there are no elements.", example="cp.argmin(cp.asarray([3, 1, 2])).item()\n1"),
    Reduction("argmax", "argmax", "real_or_bool", "The index of the largest element along an axis, or of the flattened tensor.", "index", axes="one", empty="error", cost="index", notes="The lowest index among equals (-0.0 equals +0.0), or of the first NaN. Raises ValueError where there are no elements.", example="cp.argmax(cp.asarray([3, 1, 2])).item()\n0"),
    Reduction("count_nonzero", "count_nonzero", "any", "How many elements along axes are not zero.", "index", cost="count", notes="NaN counts.", example="cp.count_nonzero(cp.asarray([0, 1, 2])).item()\n2"),
)

# Kernel families that no public reduction carries as its own name.
INTERNAL_REDUCTIONS = (
    Reduction("vecdot", "vecdot", "numeric", "The sum of products of two vectors, the first one conjugated.", cost="dot"),
    Reduction("dot", "dot", "numeric", "The sum of products of two vectors, without conjugation.", cost="dot"),
    Reduction("superaccumulator", "superaccumulator", "floating", "The sum in an accumulator that holds it exactly, for what exact_sum's first pass does not prove.", cost="superaccumulator"),
    Reduction("center", "center", "real_floating", "The mean in float64, for the second pass of var and std."),
)

_LIKE = "x: ArrayLike, /, {fill}*, dtype: DTypeLike | None = None, device: Device | None = None"
_NEW = "*, dtype: DTypeLike | None = None, device: Device | None = None"

_RUNNING = "Integers and bool give int64, unsigned ones uint64, and wrap; dtype converts each element first. axis may be left out for one axis; a tensor without axes counts as one element. include_initial begins each line with the total of no element, so that it is one longer."
_RUNNING_RAISES = " Raises ValueError where axis is left out for several axes, AxisError for an axis out of range, TypeError for complex to real, NotImplementedError for float16 and bfloat16."

_PRINTING = "precision: int | None = None, threshold: int | None = None, edgeitems: int | None = None, linewidth: int | None = None, suppress: bool | None = None"

FUNCTIONS = (
    # creation
    Function("asarray", "obj: ArrayLike, /, *, dtype: DTypeLike | None = None, device: Device | None = None, copy: bool | None = None", "Tensor", "creation", "A tensor over the data of an object, without a copy where dtype and layout allow it.", notes="obj: a tensor, a Python scalar, nested sequences of scalars, or anything that exports a buffer (bytes, bytearray, memoryview, array.array, mmap, NumPy arrays, ctypes) or DLPack. copy: True always copies, False refuses to (ValueError), None copies where it must. dtype converts, and cuts fractions off silently: asarray([1.5], dtype=int32) is [1]. Raises ValueError for ragged sequences, naming the place; TypeError for objects that hold no numbers; OverflowError for integers that dtype cannot hold.", example="cp.asarray([[1, 2], [3, 4]]).shape\n(2, 2)"),
    Function("from_dlpack", "x: SupportsDLPack, /, *, device: Device | None = None, copy: bool | None = None", "Tensor", "creation", "A tensor over the memory of an object with __dlpack__, without a copy.", notes="DLPack version 1, read-only flag included; older capsules are read too. Raises BufferError for devices and dtypes that corepy does not have.", example="cp.from_dlpack(cp.asarray([1, 2])).tolist()\n[1, 2]"),
    Function("empty", "shape: int | tuple[int, ...], " + _NEW, "Tensor", "creation", "A tensor whose elements are not set.", example="cp.empty((2, 3)).shape\n(2, 3)"),
    Function("zeros", "shape: int | tuple[int, ...], " + _NEW, "Tensor", "creation", "A tensor of zeros.", example="cp.zeros(2).tolist()\n[0.0, 0.0]"),
    Function("ones", "shape: int | tuple[int, ...], " + _NEW, "Tensor", "creation", "A tensor of ones.", example="cp.ones(2).tolist()\n[1.0, 1.0]"),
    Function("full", "shape: int | tuple[int, ...], fill_value: Scalar, " + _NEW, "Tensor", "creation", "A tensor of one value.", notes="dtype is by default that of the value.", example="cp.full(2, 7).tolist()\n[7, 7]"),
    Function("eye", "n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: DTypeLike | None = None, device: Device | None = None", "Tensor", "creation", "Ones on the k-th diagonal, zeros elsewhere.", example="cp.eye(2).tolist()\n[[1.0, 0.0], [0.0, 1.0]]"),
    Function("arange", "start: Scalar, /, stop: Scalar | None = None, step: Scalar = 1, " + _NEW, "Tensor", "creation", "start, start + step, ... up to but without stop.", notes="One bound counts from 0. Element i is start + i * step. Raises ValueError for a step of 0.", example="cp.arange(1, 7, 2).tolist()\n[1, 3, 5]"),
    Function("linspace", "start: Scalar, stop: Scalar, /, num: int, *, dtype: DTypeLike | None = None, device: Device | None = None, endpoint: bool = True", "Tensor", "creation", "num evenly spaced numbers from start to stop.", notes="Element i is start + i * step; with endpoint the last is stop itself.", example="cp.linspace(0.0, 1.0, 3).tolist()\n[0.0, 0.5, 1.0]"),
    Function("empty_like", _LIKE.format(fill=""), "Tensor", "creation", "empty with the shape and dtype of another tensor.", example="cp.empty_like(cp.ones(2)).shape\n(2,)"),
    Function("zeros_like", _LIKE.format(fill=""), "Tensor", "creation", "zeros with the shape and dtype of another tensor.", example="cp.zeros_like(cp.ones(2)).tolist()\n[0.0, 0.0]"),
    Function("ones_like", _LIKE.format(fill=""), "Tensor", "creation", "ones with the shape and dtype of another tensor.", example="cp.ones_like(cp.zeros(2)).tolist()\n[1.0, 1.0]"),
    Function("full_like", _LIKE.format(fill="fill_value: Scalar, "), "Tensor", "creation", "full with the shape and dtype of another tensor.", example="cp.full_like(cp.zeros(2), 3).tolist()\n[3.0, 3.0]"),
    # conversion
    Function("astype", "x: ArrayLike, dtype: DTypeLike, /, *, copy: bool = True, device: Device | None = None", "Tensor", "conversion", "The elements converted to a dtype.", method=True, notes="Float to integer truncates and saturates, NaN gives 0; integers wrap. copy=False returns the tensor itself where the dtype is the same. Raises TypeError for complex to real.", example="cp.astype(cp.asarray([1.7, -1.7]), cp.int32).tolist()\n[1, -1]"),
    Function("where", "condition: ArrayLike, x1: ArrayLike, x2: ArrayLike, /", "Tensor", "indexing", "Elements of x1 where condition is true, else of x2.", notes="The three broadcast. condition is bool, or is taken as truth values. The result has the common dtype of x1 and x2; a Python scalar takes that of the other. float16 and bfloat16 meet only themselves and scalars. Raises ValueError where shapes do not broadcast, OverflowError for a Python integer that the dtype cannot hold.", example="cp.where(cp.asarray([True, False]), 1, 2).tolist()\n[1, 2]"),
    # manipulation
    Function("reshape", "x: ArrayLike, /, shape: int | tuple[int, ...], *, copy: bool | None = None", "Tensor", "manipulation", "The elements in row-major order in another shape: a view when possible.", method=True, notes="One extent may be -1. copy=False raises ValueError where a view is impossible.", example="cp.reshape(cp.arange(4), (2, -1)).tolist()\n[[0, 1], [2, 3]]"),
    Function("permute_dims", "x: ArrayLike, /, axes: tuple[int, ...]", "Tensor", "manipulation", "A view with the axes in another order.", method=True, notes="axes names every axis once. Raises AxisError for an axis out of range or twice, ValueError for too few.", example="cp.permute_dims(cp.zeros((2, 3, 4)), (2, 0, 1)).shape\n(4, 2, 3)"),
    Function("matrix_transpose", "x: ArrayLike, /", "Tensor", "manipulation", "A view with the last two axes exchanged.", method=True, example="cp.matrix_transpose(cp.zeros((2, 3, 4))).shape\n(2, 4, 3)"),
    Function("broadcast_to", "x: ArrayLike, /, shape: int | tuple[int, ...]", "Tensor", "manipulation", "A read-only view stretched to a shape.", method=True, notes="Raises ValueError where the shape does not stretch to the other.", example="cp.broadcast_to(cp.asarray([1, 2]), (2, 2)).tolist()\n[[1, 2], [1, 2]]"),
    Function("broadcast_arrays", "*arrays: ArrayLike", "list[Tensor]", "manipulation", "Read-only views of all tensors in their common shape.", example="[t.shape for t in cp.broadcast_arrays(cp.zeros((2, 1)), cp.zeros(3))]\n[(2, 3), (2, 3)]"),
    Function("squeeze", "x: ArrayLike, /, axis: int | tuple[int, ...]", "Tensor", "manipulation", "A view without axes of extent 1.", method=True, notes="Raises ValueError for an axis of another extent, AxisError for one out of range.", example="cp.squeeze(cp.zeros((1, 3)), 0).shape\n(3,)"),
    Function("expand_dims", "x: ArrayLike, /, axis: int | tuple[int, ...] = 0", "Tensor", "manipulation", "A view with new axes of extent 1.", method=True, notes="axis counts in the result. Raises AxisError for one out of range.", example="cp.expand_dims(cp.zeros(3), axis=1).shape\n(3, 1)"),
    Function("flip", "x: ArrayLike, /, *, axis: int | tuple[int, ...] | None = None", "Tensor", "manipulation", "A view with the order along axes reversed.", method=True, notes="None reverses all axes.", example="cp.flip(cp.arange(3)).tolist()\n[2, 1, 0]"),
    Function("moveaxis", "x: ArrayLike, source: int | tuple[int, ...], destination: int | tuple[int, ...], /", "Tensor", "manipulation", "A view with axes moved to other places.", method=True, notes="The other axes keep their order. Raises AxisError for an axis out of range or twice.", example="cp.moveaxis(cp.zeros((2, 3, 4)), 0, -1).shape\n(3, 4, 2)"),
    Function("concat", "arrays: Sequence[ArrayLike], /, *, axis: int | None = 0", "Tensor", "manipulation", "Tensors joined along an existing axis; None joins them flattened.", notes="Shapes agree but for that axis; dtypes are promoted. Raises ValueError for other shapes and for no tensors.", example="cp.concat([cp.asarray([1]), cp.asarray([2, 3])]).tolist()\n[1, 2, 3]"),
    Function("stack", "arrays: Sequence[ArrayLike], /, *, axis: int = 0", "Tensor", "manipulation", "Tensors of one shape joined along a new axis.", notes="axis counts in the result; dtypes are promoted. Raises ValueError for different shapes and for no tensors.", example="cp.stack([cp.asarray([1, 2]), cp.asarray([3, 4])]).tolist()\n[[1, 2], [3, 4]]"),
    Function("take", "x: ArrayLike, indices: ArrayLike, /, *, axis: int | None = None", "Tensor", "indexing", "Elements at integer indices along an axis.", method=True, notes="Negative indices count from the end. Raises IndexError for others out of range. axis may be left out for one axis only.", example="cp.take(cp.asarray([10, 20, 30]), cp.asarray([2, 0])).tolist()\n[30, 10]"),
    # cumulative
    Function("cumulative_sum", "x: ArrayLike, /, *, axis: int | None = None, dtype: DTypeLike | None = None, include_initial: bool = False", "Tensor", "cumulative", "The sums of each element and all before it along an axis.", method=True, notes=_RUNNING + " float32 is added in float64, float64 with compensation (Knuth's TwoSum), left to right inside blocks of 1,024 elements and then block by block: the bits do not depend on threads, SIMD or layout. The last element need not have the bits of sum." + _RUNNING_RAISES, example="cp.cumulative_sum(cp.asarray([1, 2, 3]), include_initial=True).tolist()\n[0, 1, 3, 6]"),
    Function("cumulative_prod", "x: ArrayLike, /, *, axis: int | None = None, dtype: DTypeLike | None = None, include_initial: bool = False", "Tensor", "cumulative", "The products of each element and all before it along an axis.", method=True, notes=_RUNNING + " Floats are multiplied in float64, left to right inside blocks of 1,024 elements and then block by block, so that a block whose own product overflows gives an infinity: the bits do not depend on threads, SIMD or layout." + _RUNNING_RAISES, example="cp.cumulative_prod(cp.asarray([1, 2, 3])).tolist()\n[1, 2, 6]"),
    Function("diff", "x: ArrayLike, /, *, axis: int = -1, n: int = 1, prepend: ArrayLike | None = None, append: ArrayLike | None = None", "Tensor", "cumulative", "Each element less the one before it along an axis.", method=True, notes="n is how often that is done; 0 copies x, and from the extent on nothing is left. prepend and append are joined to x first; their shapes are that of x but for the axis, and one without axes stands for one element of each line. Dtypes are promoted, a Python number as in x + number; integers wrap, bools give where neighbours differ. Raises AxisError for an axis out of range, ValueError for n below 0, a tensor without axes and shapes that do not fit, NotImplementedError for float16 and bfloat16.", example="cp.diff(cp.asarray([1, 4, 9]), prepend=0).tolist()\n[1, 3, 5]"),
    # linear algebra
    Function("matmul", "x1: ArrayLike, x2: ArrayLike, /", "Tensor", "linear", "The matrix product over the last two axes; other axes broadcast.", method=True, notes="One fused multiply-add chain per 256 terms, panels added in rising order: element (i, j) depends on row i and column j alone, whatever the shapes around them. One-axis operands are row or column vectors. Both are converted to their common dtype first, which is any numeric one; integers wrap. Raises ValueError where the columns of x1 are not as many as the rows of x2 or the other axes do not broadcast, TypeError for bool and for Python numbers, NotImplementedError for float16 and bfloat16.", example="cp.matmul(cp.asarray([[1, 2], [3, 4]]), cp.asarray([1, 1])).tolist()\n[3, 7]"),
    Function("dot", "x1: ArrayLike, x2: ArrayLike, /", "Tensor", "linear", "The dot product of two vectors, or the matrix product of tensors with one or two axes.", method=True, notes="For more axes there is matmul. Raises ValueError where the shapes do not fit.", example="cp.dot(cp.asarray([1, 2]), cp.asarray([3, 4])).item()\n11"),
    Function("vecdot", "x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1", "Tensor", "linear", "The dot product along one axis, the first operand conjugated; other axes broadcast.", method=True, notes="Within 1 ulp for the condition numbers of sum: float32 products are exact in float64, float64 products compensated (TwoProduct).", example="cp.vecdot(cp.asarray([1.0, 2.0]), cp.asarray([3.0, 4.0])).item()\n11.0"),
    # dtypes and machine
    Function("result_type", "*arrays_and_dtypes: ArrayLike | DTypeLike", "DType", "information", "The dtype that an operation over the arguments computes in.", example="cp.result_type(cp.int8, cp.uint8)\ncorepy.int16"),
    Function("can_cast", "from_: DTypeLike | Tensor, to: DTypeLike, /", "bool", "information", "Whether promotion leads from one dtype to another.", example="cp.can_cast(cp.int8, cp.int16)\nTrue"),
    Function("isdtype", "dtype: DTypeLike, kind: DType | str | tuple[DType | str, ...]", "bool", "information", "Whether a dtype is of a kind: bool, signed integer, unsigned integer, integral, real floating, complex floating, numeric.", example="cp.isdtype(cp.int8, 'integral')\nTrue"),
    Function("finfo", "type: DTypeLike | Tensor, /", "finfo_object", "information", "Limits of a floating-point dtype.", example="cp.finfo(cp.float32).bits\n32"),
    Function("iinfo", "type: DTypeLike | Tensor, /", "iinfo_object", "information", "Limits of an integer dtype.", example="cp.iinfo(cp.int8).max\n127"),
    Function("simd_levels", "", "tuple[str, ...]", "information", "The SIMD levels that this machine can run, slowest first.", example="'portable' in cp.simd_levels()\nTrue"),
    Function("simd_level", "", "str", "information", "The SIMD level in use; COREPY_SIMD forces one.", example="cp.simd_level() in cp.simd_levels()\nTrue"),
    Function("config", "", "dict[str, Any]", "information", "What corepy found on this machine and chose, as plain values that json can write: version, simd, threads, memory, log, build, dependencies.", notes="Numbers of bytes and of threads say where they come from. The keys are described in docs/observing.md.", example="cp.config()['simd']['level'] == cp.simd_level()\nTrue"),
    Function("show_config", "", "None", "information", "Prints what config gives, for people. `python -m corepy info` does the same.", notes="The text may change; programs read config.", example="cp.show_config()  # doctest: +ELLIPSIS\ncorepy ..."),
    Function("tune", "*, seconds: float = 10.0", "str | None", "information", "Measures what operations and threads cost on this machine, and keeps it for later processes.", notes="The costs decide how many threads help an operation, how large their tiles are and whether results are stored past the caches: times, and never a bit of a result. The file lies in $XDG_CACHE_HOME/corepy or ~/.cache/corepy, one for each processor model, number of processors and SIMD level, and its path is returned. COREPY_TUNING names another file, or is `off`: then nothing is read or written, and None is returned. A file that is damaged, of another machine or of another version is ignored with a warning. Measure while nothing else runs; `python -m corepy tune` does the same. Raises ValueError for seconds out of range, OSError where the file cannot be written.", example="cp.tune(seconds=10.0)  # doctest: +SKIP"),
    Function("get_num_threads", "", "int", "information", "How many threads operations may use.", example="cp.get_num_threads() >= 1\nTrue"),
    Function("set_num_threads", "n: int, /", "None", "information", "Sets how many threads (1 to 1,024) operations of this process may use.", example="cp.set_num_threads(cp.get_num_threads())"),
    # printing
    Function("set_printoptions", _PRINTING, "None", "printing", "Sets how tensors of this process are printed; None leaves an option as it is.", notes="precision: digits after the point at most (8); 17 show every float64 as what it is. threshold: elements up to which all are printed (1000). edgeitems: elements at either end of an axis of larger tensors (3). linewidth: columns of a line (75). suppress: no scientific notation for small numbers and wide ranges (False). `with printoptions(...)` changes them for a while. Raises ValueError for a number out of range.", example="cp.set_printoptions(precision=8)"),
    Function("get_printoptions", "", "dict[str, Any]", "printing", "How the calling thread prints tensors: the options of set_printoptions by name.", example="cp.get_printoptions()['precision']\n8"),
    # memory
    Function("memory_stats", "", "MemoryStats", "memory", "What the pool that tensors live in holds now, as a named tuple of whole numbers.", notes="in_use: bytes of the blocks that tensors have; cached: bytes of free blocks kept for new ones; peak: the most that in_use has been; limit: bytes that may be cached (COREPY_POOL_LIMIT, by default an eighth of the memory limit and at most 1 GiB); mappings: pieces of memory from the system; faults_saved: page faults that reuse has spared. Blocks are up to a quarter larger than their tensors. While other threads allocate the numbers are near one moment, not of one.", example="cp.memory_stats().in_use >= 0\nTrue"),
    Function("arena_stats", "", "ArenaStats", "memory", "What the arenas hold, which give operations their scratch, summed over all threads, as a named tuple of whole numbers.", notes="used: bytes in use, 0 between operations; capacity: bytes of all arenas (COREPY_ARENA_SIZE for each thread, by default 1 MiB, from 4K to 1G); peak: the most that each thread has used; overflows: how often scratch did not fit and came from the pool.", example="cp.arena_stats().used\n0"),
    Function("trim_memory", "", "int", "memory", "Gives the free memory that the pool has kept back to the system, and says how many bytes that were.", notes="Short lists of other threads' small blocks, at most 2 MiB for each thread, stay.", example="cp.trim_memory() >= 0\nTrue"),
    Function("get_allocator", "", "str", "memory", "Where the memory of new tensors comes from: 'pool' or 'system'.", example="cp.get_allocator()\n'pool'"),
    Function("set_allocator", "name: str, /", "None", "memory", "Chooses where the memory of new tensors comes from: 'pool', which keeps freed blocks for reuse, or 'system', the C library's heap, which tools that watch memory know.", notes="Tensors that exist keep their memory, which goes back to where it came from. memory_stats counts the pool alone. Raises TypeError for what is no str, ValueError for another name.", example="cp.set_allocator('pool')"),
)

ELEMENTWISE = UNARY + BINARY
KERNEL_REDUCTIONS = REDUCTIONS + INTERNAL_REDUCTIONS
