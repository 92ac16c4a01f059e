"""What users of NumPy and PyTorch write and corepy does not have, with what to write instead.

Errors name the second where the first is met; nothing here is an alias. A name that the op table
gains leaves the lists by itself: the generator drops what exists.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Keyword:
    """A keyword argument of others' functions. None asks for nothing and is let through, so that
    numpy.sum and its kind, which pass on what they were given, can call the methods."""

    name: str
    beside: str  # functions with this parameter, of this kind (reduction, elementwise) or this name know it
    instead: str  # {value} is the argument
    neutral: int | None = None  # another value that asks for nothing


KEYWORDS = (
    Keyword("dim", "axis", "write axis={value}"),
    Keyword("axes", "axis", "write axis={value}"),
    Keyword("keepdim", "keepdims", "write keepdims={value}"),
    Keyword("ddof", "correction", "write correction={value}", neutral=0),
    Keyword("unbiased", "correction", "write correction=1 for True, correction=0 for False"),
    Keyword("dtype", "reduction", "convert first, with astype"),
    Keyword("out", "reduction", "assign the result, out[...] = ..."),
    Keyword("where", "reduction", "choose the elements first, with a mask or where()"),
    Keyword("initial", "reduction", "combine the result with {value}"),
    Keyword("out", "elementwise", "assign the result, out[...] = ..., or use an operator in place, x += y"),
    Keyword("where", "elementwise", "choose among results with where()"),
    Keyword("dtype", "elementwise", "convert first, with astype"),
    Keyword("decimals", "round", "write round(x * 10**{value}) / 10**{value}"),
    Keyword("order", "device", "new tensors are in row-major order"),
    Keyword("order", "copy", "elements are in row-major order; permute_dims gives others"),
)

# Functions whose first keyword others take at another place: NumPy's and PyTorch's diff(x, 2) is n=2.
POSITIONS = {"diff": ("n", "axis", "prepend", "append")}

# Functions and constants of the Array API 2025.12 that are not there yet, without those that are.
_ARRAY_API = """
abs acos acosh add all angle any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh
bitwise_and bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor
broadcast_arrays broadcast_shapes broadcast_to can_cast ceil clip concat conj copysign cos cosh
count_nonzero cumulative_prod cumulative_sum diff divide empty empty_like equal exp expand_dims expm1 eye
fft finfo flip floor floor_divide from_dlpack full full_like greater greater_equal hypot iinfo imag
isdtype isfinite isin isinf isnan less less_equal linalg linspace log log10 log1p log2 logaddexp
logical_and logical_not logical_or logical_xor matmul matrix_transpose max maximum mean meshgrid min
minimum moveaxis multiply negative nextafter nonzero not_equal ones ones_like permute_dims positive pow
prod real reciprocal remainder repeat reshape result_type roll round searchsorted sign signbit sin sinh
sort sqrt square squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile top_k trace
tril triu trunc unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
zeros_like __array_namespace_info__
"""

# Others that a tensor library is expected to have one day.
_PLANNED = """
bincount cross cummax cummin diag digitize einsum fromfile gradient histogram interp kron load loadtxt median
outer pad percentile quantile rand randn random save
savez unique
"""

# Names of NumPy and PyTorch for what is called otherwise here.
NAMES = {
    "cumsum": "cumulative_sum(t, axis=...)",
    "cumprod": "cumulative_prod(t, axis=...)",
    "fsum": "exact_sum",
    "array": "asarray(data, copy=True), or asarray(data), which shares memory where it can",
    "tensor": "asarray(data)",
    "as_tensor": "asarray(data)",
    "asanyarray": "asarray(data)",
    "ascontiguousarray": "asarray(data), or t.copy(), whose elements lie in row-major order",
    "from_numpy": "asarray(data)",
    "frombuffer": "asarray(data)",
    "ndarray": "Tensor",
    "copy": "t.copy()",
    "concatenate": "concat",
    "cat": "concat",
    "hstack": "concat(tensors, axis=1)",
    "vstack": "stack for vectors, concat(tensors, axis=0) for matrices",
    "row_stack": "stack for vectors, concat(tensors, axis=0) for matrices",
    "column_stack": "stack(tensors, axis=1) for vectors",
    "dstack": "stack(tensors, axis=2) for matrices",
    "absolute": "abs",
    "fabs": "abs",
    "amax": "max",
    "amin": "min",
    "alltrue": "all",
    "sometrue": "any",
    "product": "prod",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "true_divide": "divide",
    "power": "pow",
    "mod": "remainder",
    "fmod": "remainder, whose sign is the divisor's",
    "neg": "negative",
    "sgn": "sign",
    "conjugate": "conj",
    "fix": "trunc",
    "rint": "round",
    "around": "round",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "array_equal": "all(a == b)",
    "allclose": "all(abs(a - b) <= tolerance)",
    "isclose": "abs(a - b) <= tolerance",
    "norm": "sqrt(sum(square(x)))",
    "relu": "maximum(x, 0)",
    "invert": "bitwise_invert",
    "bitwise_not": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "transpose": "permute_dims(x, axes), matrix_transpose(x), or x.T for a matrix",
    "permute": "permute_dims",
    "swapaxes": "permute_dims or moveaxis",
    "movedim": "moveaxis",
    "ravel": "reshape(x, -1)",
    "flatten": "reshape(x, -1, copy=True)",
    "unsqueeze": "expand_dims",
    "fliplr": "flip(x, axis=1)",
    "flipud": "flip(x, axis=0)",
    "identity": "eye(n)",
    "inner": "vecdot for the last axes, matmul for all pairs",
    "vdot": "vecdot of the flattened tensors",
    "mm": "matmul",
    "bmm": "matmul",
    "mv": "matmul",
    "numel": "x.size",
    "size": "x.size",
    "shape": "x.shape",
    "ndim": "x.ndim",
    "promote_types": "result_type",
    "issubdtype": "isdtype(dtype, kind)",
    "clamp": "minimum(maximum(x, low), high)",
    "clip": "minimum(maximum(x, low), high)",
    "bool_": "bool",
    "bool8": "bool",
    "int": "int64, or Python's int",
    "int_": "int64",
    "long": "int64",
    "short": "int16",
    "float": "float64, or Python's float",
    "float_": "float64",
    "double": "float64",
    "single": "float32",
    "half": "float16",
    "complex": "complex128, or Python's complex",
    "complex_": "complex128",
    "cfloat": "complex64",
    "cdouble": "complex128",
    "byte": "int8",
    "ubyte": "uint8",
    "dtype": "DType(name), or the dtype itself, as in float32",
    "Inf": "inf",
    "Infinity": "inf",
    "NaN": "nan",
    "NAN": "nan",
    "set_num_interop_threads": "set_num_threads",
    "nan_to_num": "where(isnan(x), 0, x)",
    "nansum": "sum(where(isnan(x), 0, x))",
    "nanmean": "mean(x[~isnan(x)]), or along an axis sum(where(isnan(x), 0, x), axis=...) / count_nonzero(x == x, axis=...)",
    "nanstd": "std(x[~isnan(x)])",
    "nanvar": "var(x[~isnan(x)])",
    "nanmin": "min(where(isnan(x), inf, x))",
    "nanmax": "max(where(isnan(x), -inf, x))",
    "ptp": "max(x) - min(x)",
    "average": "mean(x), or vecdot(x, weights) / sum(weights)",
}

# Names that nothing stands for here, and why.
NEEDLESS_NAMES = {
    "no_grad": "there is no automatic differentiation",
    "cuda": "every tensor is on the cpu",
}

# Attributes of NumPy's and PyTorch's arrays for what is called otherwise here.
ATTRIBUTES = {
    "cumsum": "cumulative_sum(axis=...)",
    "cumprod": "cumulative_prod(axis=...)",
    "transpose": "permute_dims(axes), mT, or T for a matrix",
    "permute": "permute_dims(axes)",
    "swapaxes": "permute_dims(axes) or moveaxis(source, destination)",
    "t": "T",
    "H": "conj().T",
    "flatten": "reshape(-1, copy=True)",
    "ravel": "reshape(-1)",
    "flat": "reshape(-1)",
    "view": "reshape(shape), or astype(dtype) for another dtype",
    "view_as": "reshape(shape)",
    "unsqueeze": "expand_dims(axis=...)",
    "expand": "broadcast_to(shape)",
    "dim": "ndim",
    "numel": "size",
    "element_size": "itemsize",
    "stride": "strides, which are bytes",
    "tobytes": "bytes(memoryview(t))",
    "tofile": "file.write(t)",
    "data": "memoryview(t)",
    "flags": "readonly and strides",
    "fill": "t[...] = value",
    "fill_": "t[...] = value",
    "zero_": "t[...] = 0",
    "copy_": "t[...] = other",
    "add_": "t += other",
    "mul_": "t *= other",
    "numpy": "numpy.asarray(t), which shares the memory",
    "to": "astype(dtype)",
    "type": "astype(dtype)",
    "float": "astype(float32)",
    "double": "astype(float64)",
    "half": "astype(float16)",
    "int": "astype(int32)",
    "long": "astype(int64)",
    "bool": "astype(bool)",
    "clone": "copy()",
    "detach": "copy(): there is no automatic differentiation",
    "contiguous": "copy(), whose elements lie in row-major order",
    "conjugate": "conj()",
    "absolute": "abs()",
    "clip": "minimum(high) and maximum(low)",
    "clamp": "minimum(high) and maximum(low)",
    "amax": "max(axis=...)",
    "amin": "min(axis=...)",
    "mm": "matmul(other) or @",
    "div": "divide(other) or /",
    "mul": "multiply(other) or *",
    "sub": "subtract(other) or -",
    "power": "pow(exponent) or **",
    "eq": "equal(other) or ==",
    "ne": "not_equal(other) or !=",
    "setflags": "broadcast_to(t, t.shape), which is read-only",
    "index_select": "take(indices, axis=...)",
    "masked_select": "t[mask]",
    "ptp": "max(axis=...) - min(axis=...)",
    "resize": "reshape(shape)",
}

# Attributes that nothing stands for here, and why.
NEEDLESS_ATTRIBUTES = {
    "base": "a view keeps its memory alive by itself",
    "cpu": "every tensor is on the cpu",
    "cuda": "every tensor is on the cpu",
    "requires_grad": "there is no automatic differentiation",
    "grad": "there is no automatic differentiation",
    "backward": "there is no automatic differentiation",
    "byteswap": "elements are in the machine's byte order",
}

# Attributes for what is not there yet under any name.
_PLANNED_ATTRIBUTES = """
argpartition argsort choose compress diagonal dump dumps nonzero norm partition put
repeat searchsorted sort topk trace
"""

ARRAY_API, PLANNED, PLANNED_ATTRIBUTES = (names.split() for names in (_ARRAY_API, _PLANNED, _PLANNED_ATTRIBUTES))
