// Transposing blocks of words: what moves_rows.cpp gives to other kernels.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {

// Whether registers do it, in squares of 16 bytes a side; scalar code moves word by word.
#if defined(__AVX2__) || defined(__aarch64__)
constexpr bool transposes_registers = true;
#else
constexpr bool transposes_registers = false;
#endif

// out[r][c] = in[c][r] for words of 1, 2, 4, 8 or 16 bytes, which are contiguous along the rows of
// either; rows lie strides apart.
void transpose(size_t bytes, void *out, const void *in, size_t rows, size_t columns,
               ptrdiff_t out_stride, ptrdiff_t in_stride);

} // namespace COREPY_NAMESPACE
