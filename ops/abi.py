"""The C ABI between the Rust runtime and the C++ kernels, as data.

Every function type and every struct that crosses the boundary is declared here once; the C header
and the Rust bindings are generated from it, and both assert sizes and offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

# Raised whenever a type below changes meaning; checked when a kernel table is loaded.
VERSION = 6


@dataclass(frozen=True)
class Function:
    name: str
    result: str
    parameters: str  # C parameter list
    doc: str


@dataclass(frozen=True)
class Struct:
    name: str
    doc: str
    fields: tuple[tuple[str, str, tuple[str, ...]], ...]  # type, name, array extents


FUNCTIONS = (
    Function(
        "unary",
        "uint64_t",
        "void *out, const void *a, size_t n",
        "n contiguous elements. Returns n, or the index of the first element that faults.",
    ),
    Function(
        "binary",
        "uint64_t",
        "void *out, const void *a, const void *b, size_t n",
        "n contiguous elements; a (form sv) or b (form vs) may be one element. out may be exactly"
        " a or b, and overlaps neither otherwise. Returns n, or the index of the first element"
        " that faults.",
    ),
    Function(
        "select",
        "void",
        "void *out, const void *mask, const void *a, const void *b, size_t n, size_t a_step,"
        " size_t b_step",
        "out[i] = mask[i] ? a[i * a_step] : b[i * b_step]; steps are 0 or 1. All bits are kept.",
    ),
    Function(
        "cast",
        "void",
        "void *out, const void *in, size_t n",
        "Converts n contiguous elements. Float to integer truncates and saturates, NaN gives 0;"
        " integers wrap; to bool is != 0; complex to real takes the real part.",
    ),
    Function(
        "gather",
        "void",
        "void *out, const void *in, size_t n, ptrdiff_t stride",
        "Copies n elements that lie stride bytes apart (any sign, any alignment) to contiguous out.",
    ),
    Function(
        "scatter",
        "void",
        "void *out, const void *in, size_t n, ptrdiff_t stride",
        "Copies n contiguous elements to places stride bytes apart (any sign, any alignment).",
    ),
    Function(
        "copy_rows",
        "void",
        "void *out, const void *in, size_t rows, size_t bytes, ptrdiff_t out_stride,"
        " ptrdiff_t in_stride, uint32_t past_caches",
        "Copies rows of contiguous bytes, which lie strides apart. past_caches: by stores that do"
        " not fetch lines into caches, where the level has them.",
    ),
    Function(
        "transpose",
        "void",
        "void *out, const void *in, size_t rows, size_t columns, ptrdiff_t out_stride,"
        " ptrdiff_t in_stride, uint32_t past_caches",
        "out[r][c] = in[c][r]. Elements of a row of out and of a row of in are contiguous, rows lie"
        " strides apart (any sign, any alignment). past_caches: as for copy_rows.",
    ),
    Function(
        "fill",
        "void",
        "void *out, const void *value, size_t n",
        "Sets n contiguous elements to *value.",
    ),
    Function(
        "take",
        "void",
        "void *out, const void *in, const int64_t *index, size_t n, ptrdiff_t stride",
        "out[i] = the element at in + index[i] * stride. Indices are checked by wrap_indices.",
    ),
    Function(
        "wrap_indices",
        "uint64_t",
        "int64_t *index, size_t n, int64_t extent",
        "Adds extent to negative indices. Returns n, or the place of the first index outside"
        " -extent ... extent - 1.",
    ),
    Function(
        "compress",
        "uint64_t",
        "void *out, const void *in, const void *mask, size_t n, size_t capacity",
        "Copies the elements of contiguous in whose mask byte is not 0, never more than capacity."
        " Returns how many.",
    ),
    Function(
        "count_mask",
        "uint64_t",
        "const void *mask, size_t n",
        "The number of bytes that are not 0.",
    ),
    Function(
        "mask_positions",
        "uint64_t",
        "int64_t *out, const void *mask, size_t n, int64_t first, size_t capacity",
        "Writes first + i for every mask byte i that is not 0, never more than capacity of them."
        " Returns how many.",
    ),
    Function(
        "ramp_integer",
        "void",
        "int64_t *out, int64_t start, int64_t step, int64_t first, size_t n",
        "out[i] = start + (first + i) * step, wrapping.",
    ),
    Function(
        "ramp_float",
        "void",
        "double *out, double start, double step, int64_t first, size_t n",
        "out[i] = start + (first + i) * step, the product rounded, then the sum.",
    ),
    Function(
        "reduce_blocks",
        "uint64_t",
        "void *state, const void *a, const void *b, size_t n, size_t first",
        "Reduces n contiguous elements that start on a block boundary (element number `first` of"
        " the reduction) to one 16-stripe state: blocks of 1,024, merged in the binary tree."
        " b: second operand of a product reduction, one center (float64) of a variance, else"
        " null. Returns 1 when no further element can change the result (any, all), else 0.",
    ),
    Function(
        "reduce_rows",
        "uint64_t",
        "void *state, const void *a, const void *b, size_t rows, ptrdiff_t row_stride,"
        " size_t cols, size_t first",
        "Reduces at most 1,024 rows of cols contiguous elements, row_stride bytes apart, to"
        " 16 * cols lanes of state, [stripe][column] in each plane. The first row is number"
        " `first` of the reduction and starts a block. b: cols centers of a variance, else null."
        " Returns 1 when no further row can change any column.",
    ),
    Function(
        "reduce_merge",
        "void",
        "void *state, const void *right, size_t lanes",
        "state = state o right, lane by lane; lanes is 16 * cols.",
    ),
    Function(
        "reduce_finish",
        "void",
        "void *out, void *state, size_t cols, double divisor",
        "Folds the stripes by +8, +4, +2, +1 and writes cols results. divisor: count of elements"
        " (mean, center), count less correction (variance), else unused.",
    ),
    Function(
        "reduce_each",
        "uint64_t",
        "void *out, const void *a, const void *b, size_t outer, ptrdiff_t a_stride,"
        " ptrdiff_t b_stride, size_t n, double divisor",
        "outer complete reductions of n contiguous elements each, a_stride (b_stride) bytes apart;"
        " out is contiguous. The same bits as blocks and finish. Returns 0.",
    ),
    Function(
        "reduce_columns",
        "void",
        "void *out, const void *a, const void *b, size_t rows, ptrdiff_t row_stride,"
        " size_t cols, double divisor",
        "Complete reductions of cols columns of 1 to 1,024 rows, row_stride bytes apart; b: a second"
        " operand of the same layout, or cols centers, or null (a variance then finds its own)."
        " out is contiguous. The same bits as rows and finish.",
    ),
    Function(
        "reduce_runs",
        "void",
        "void *state, const void *a, const void *b, size_t units, ptrdiff_t unit_stride,"
        " size_t runs, ptrdiff_t run_stride, size_t n, size_t number",
        "Adds runs of n contiguous elements, run_stride bytes apart, to the states of units"
        " reductions, unit_stride bytes apart. The first run begins with element `number` of a block"
        " that has all of them; where that is 0 the states are set first. [unit][stripe] in each"
        " plane. b: a center for each unit, or null.",
    ),
    Function(
        "reduce_finish_runs",
        "void",
        "void *out, void *state, size_t units, double divisor",
        "`finish` for states that lie [unit][stripe] in each plane.",
    ),
    Function(
        "cumulative_start",
        "void",
        "void *carry, void *running, size_t cols",
        "The carry of cols columns that have no block before, and the running totals of a block that"
        " has no element yet. In both, lanes of all columns lie side by side, plane after plane.",
    ),
    Function(
        "cumulative_absorb",
        "void",
        "void *carry, const void *total, size_t cols",
        "Adds the totals of the next block of cols columns to their carry.",
    ),
    Function(
        "cumulative_totals",
        "void",
        "void *totals, const void *in, size_t n",
        "The totals of the blocks of n contiguous elements, one after the other.",
    ),
    Function(
        "cumulative_line",
        "void",
        "void *out, void *carry, const void *in, size_t n",
        "Writes the running totals of n contiguous elements that start a block; carry is that of"
        " all blocks before, and becomes that of these too.",
    ),
    Function(
        "cumulative_lines",
        "void",
        "void *out, ptrdiff_t out_stride, const void *in, ptrdiff_t in_stride, size_t count,"
        " size_t n",
        "The running totals of count lines of n contiguous elements, the lines out_stride and"
        " in_stride bytes apart. The same bits as start and line for each.",
    ),
    Function(
        "cumulative_rows",
        "void",
        "void *out, ptrdiff_t out_stride, const void *carry, void *running, const void *in,"
        " ptrdiff_t in_stride, size_t rows, size_t cols",
        "Adds rows of cols contiguous elements, in_stride bytes apart, to the running totals of"
        " their block and writes what carry and these give; without out, only adds. The rows lie in"
        " one block.",
    ),
    Function(
        "pack",
        "void",
        "void *packed, const void *in, ptrdiff_t lane_stride, ptrdiff_t depth_stride,"
        " size_t lanes, size_t depth",
        "Packs a lanes x depth panel of a matrix for `block`: groups of mr (nr) lanes, each depth"
        " by depth, the last group padded with zeros. Strides are in bytes, any sign, any"
        " alignment.",
    ),
    Function(
        "gemm_block",
        "void",
        "void *c, ptrdiff_t row_stride, const void *a, const void *b, size_t rows, size_t cols,"
        " size_t depth, uint32_t accumulate",
        "c (rows x cols, contiguous columns) = packed a times packed b, one fma chain over depth"
        " from +0; with accumulate, that panel total is added to c. depth is at most one panel.",
    ),
    Function(
        "gemm_vector",
        "void",
        "void *c, ptrdiff_t c_lane, ptrdiff_t c_vector, ptrdiff_t c_panel, const void *x,"
        " ptrdiff_t x_depth, ptrdiff_t x_vector, const void *m, ptrdiff_t lane_stride,"
        " ptrdiff_t depth_stride, size_t lanes, size_t depth, size_t vectors, uint32_t accumulate,"
        " uint32_t matrix_first",
        "c[lane, v] = the chains over depth of x[d, v] * m[lane, d], nothing packed before: the"
        " totals of panels of depth in rising order, added to c with accumulate; or, where c_panel"
        " is not 0, the total of panel p written to c + p * c_panel. At most COREPY_MOST_VECTORS"
        " vectors. matrix_first: the matrix is the left factor (the order of a complex product's"
        " two fma). Strides are in bytes, any sign, any alignment. The same bits as `block`.",
    ),
    Function(
        "gemm_small",
        "void",
        "void *c, const void *a, ptrdiff_t a_row, ptrdiff_t a_column, const void *b,"
        " ptrdiff_t b_row, ptrdiff_t b_column, size_t rows, size_t cols, size_t depth",
        "The whole product of two small matrices, element by element; c is contiguous, strides are"
        " in bytes. The same bits as `block` over all panels.",
    ),
    Function(
        "multiply_add",
        "void",
        "void *out, const void *a, const void *b, const void *c, size_t n",
        "out[i] = a[i] * b[i] + c[i]: floats rounded once, integers wrapping. By its form an operand"
        " is one element. out may be exactly an operand.",
    ),
    Function(
        "multiply_add_chain",
        "void",
        "void *out, const void *a, const void *b, const uint64_t *slots, const int64_t *places,"
        " size_t count, size_t n",
        "out[i] = a[i], of which in turn v * b[i] + c is taken for each of count values c, rounded once"
        " each: c is the element at the beginning of slots[places[k]]. out may be exactly a.",
    ),
    Function(
        "mask_bits",
        "void",
        "uint64_t *bits, const void *mask, size_t n",
        "Bit i is whether mask byte i is not 0; bits from n on, to the end of their word, are 0.",
    ),
    Function(
        "mask_bytes",
        "void",
        "void *mask, const uint64_t *bits, size_t n",
        "Mask byte i is bit i: 0 or 1.",
    ),
    Function(
        "lane_bounds",
        "uint64_t",
        "const int64_t *index, const void *mask, size_t n, int64_t extent",
        "The first i that the mask selects and whose index is not 0 ... extent - 1; n where there is"
        " none. Without a mask (null) all are selected.",
    ),
    Function(
        "lane_gather",
        "void",
        "void *out, const void *in, const int64_t *index, const void *mask, size_t n,"
        " ptrdiff_t stride",
        "out[i] = the element at in + index[i] * stride, of any alignment; where the mask does not"
        " select, out[i] is the element at in. Without a mask (null) all are selected.",
    ),
    Function(
        "lane_scatter",
        "void",
        "void *out, const void *in, size_t step, const int64_t *index, const void *mask, size_t n,"
        " ptrdiff_t stride",
        "The element at out + index[i] * stride, of any alignment, = in[i * step], in rising i, where"
        " the mask selects; nothing else is written. Without a mask (null) all are selected, without"
        " an index (null) it is i.",
    ),
    Function(
        "lane_combine",
        "void",
        "void *out, const void *in, size_t step, const int64_t *index, const void *mask, size_t n,"
        " ptrdiff_t stride, uint32_t atomic",
        "Folds in[i * step] into the element at out + index[i] * stride where the mask selects."
        " Without a mask (null) all are selected, without an index (null) all fold into the element"
        " at out. With atomic other threads may do the same, and elements are aligned.",
    ),
    Function(
        "lane_rows",
        "void",
        "void *out, const void *in, size_t width, size_t rows, ptrdiff_t step, ptrdiff_t stride",
        "out[r * width + i] = the element at in + r * stride + i * step, of any alignment.",
    ),
    Function(
        "lane_count",
        "uint64_t",
        "void *out, const void *value, const int64_t *index, size_t n, int64_t extent",
        "Adds the integer *value to out[index[i]], contiguous and of any alignment, and reads each index"
        " once. Returns n, or less where an index is not 0 ... extent - 1: as many have been added.",
    ),
)

STRUCTS = (
    Struct(
        "reduction",
        "One reduction of one dtype. The functions are null where the op takes no such dtype.",
        (
            ("reduce_blocks", "blocks", ()),
            ("reduce_rows", "rows", ()),
            ("reduce_merge", "merge", ()),
            ("reduce_finish", "finish", ()),
            ("reduce_each", "each", ()),
            ("reduce_columns", "columns", ()),
            # Null where a family has no such kernel; then elements are copied together.
            ("reduce_runs", "runs", ()),
            ("reduce_finish_runs", "finish_runs", ()),
            ("size_t", "lane_bytes", ()),  # bytes of state a lane, over all planes
        ),
    ),
    Struct(
        "cumulative",
        "Running totals of one dtype. Null where running totals are kept in another dtype.",
        (
            ("cumulative_start", "start", ()),
            ("cumulative_absorb", "absorb", ()),
            ("cumulative_totals", "totals", ()),
            ("cumulative_line", "line", ()),
            ("cumulative_lines", "lines", ()),
            ("cumulative_rows", "rows", ()),
            ("size_t", "carry_bytes", ()),  # a column
            ("size_t", "total_bytes", ()),
        ),
    ),
    Struct(
        "gemm",
        "Matrix multiplication of one dtype: register block and panel functions.",
        (
            ("pack", "pack_a", ()),
            ("pack", "pack_b", ()),
            ("gemm_block", "block", ()),
            ("gemm_vector", "vector", ()),
            ("gemm_small", "small", ()),
            ("size_t", "mr", ()),
            ("size_t", "nr", ()),
            ("size_t", "packed_bytes", ()),  # bytes of a packed element
        ),
    ),
    Struct(
        "kernels",
        "All kernels of one SIMD level.",
        (
            ("uint32_t", "abi_version", ()),
            ("uint32_t", "struct_bytes", ()),
            ("unary", "unary", ("UNARY_OPS", "DTYPES")),
            ("binary", "binary", ("BINARY_OPS", "DTYPES", "FORMS")),
            ("cast", "cast", ("DTYPES", "DTYPES")),
            ("select", "select", ("WIDTHS",)),
            # Those that store past the caches, where there are any; out overlaps no operand.
            ("unary", "unary_streamed", ("UNARY_OPS", "DTYPES")),
            ("binary", "binary_streamed", ("BINARY_OPS", "DTYPES", "FORMS")),
            ("cast", "cast_streamed", ("DTYPES", "DTYPES")),
            ("gather", "gather", ("WIDTHS",)),
            ("scatter", "scatter", ("WIDTHS",)),
            ("copy_rows", "copy_rows", ()),
            ("transpose", "transpose", ("WIDTHS",)),
            ("fill", "fill", ("WIDTHS",)),
            ("take", "take", ("WIDTHS",)),
            ("compress", "compress", ("WIDTHS",)),
            ("wrap_indices", "wrap_indices", ()),
            ("count_mask", "count_mask", ()),
            ("mask_positions", "mask_positions", ()),
            ("ramp_integer", "ramp_integer", ()),
            ("ramp_float", "ramp_float", ()),
            ("reduction", "reductions", ("REDUCE_OPS", "DTYPES")),
            ("cumulative", "cumulative", ("CUMULATIVE_OPS", "DTYPES")),
            ("gemm", "gemm", ("DTYPES",)),
            ("multiply_add", "multiply_add", ("DTYPES", "MULTIPLY_ADD_FORMS")),
            ("multiply_add_chain", "multiply_add_chain", ("DTYPES",)),
            ("mask_bits", "mask_bits", ()),
            ("mask_bytes", "mask_bytes", ()),
            ("lane_bounds", "lane_bounds", ()),
            ("lane_gather", "lane_gather", ("LANE_WIDTHS",)),
            ("lane_scatter", "lane_scatter", ("LANE_WIDTHS",)),
            ("lane_combine", "lane_combine", ("COMBINE_OPS", "DTYPES")),
            ("lane_count", "lane_count", ("LANE_WIDTHS",)),
            ("lane_rows", "lane_rows", ("LANE_WIDTHS",)),
        ),
    ),
)

# Running totals, and the dtypes that they are kept in.
CUMULATIVE = ("sum", "prod")
CUMULATIVE_DTYPES = ("int64", "uint64", "float32", "float64", "complex64", "complex128")
# Form of a binary kernel: which operand is one element.
FORMS = ("vv", "vs", "sv")
# Which operands of a * b + c are one element; a and b may change places.
MULTIPLY_ADD_FORMS = ("vvv", "vvs", "vsv", "vss", "ssv")
# Element widths in bytes; a width's number is its log2. Registers of lane programs have no complex numbers.
WIDTHS = (1, 2, 4, 8, 16)
LANE_WIDTHS = WIDTHS[:4]
# The reduction's fixed shape (see ARCHITECTURE.md, "Reduction order").
BLOCK = 1024
STRIPES = 16
# Depth of a matmul panel, the same for every dtype, level and shape.
PANEL = 256
# Vectors that a kernel multiplies by a matrix in one call: their scalars of one panel are 16 KiB of
# float64, which leaves the L1 cache room for the matrix.
MOST_VECTORS = 8
