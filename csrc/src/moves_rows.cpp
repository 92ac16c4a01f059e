// Kernels that move two-dimensional blocks: rows to rows, and rows to columns.
#include "transpose.h"
#include "vector.h"

namespace COREPY_NAMESPACE {

void fill_rows(corepy_kernels *table);

namespace {

template <size_t bytes>
inline void move(char *out, const char *in) {
  __builtin_memcpy(out, in, bytes);
}

// ---- rows to rows

// The widest piece that is moved at once.
constexpr size_t widest = register_bytes < 16 ? 16 : register_bytes;

// A row of a line or more. Its ends, which may not be whole lines, are moved by themselves, so that
// every other store is to a whole line: with rows of 4,000 bytes in a table twice as wide, 8 MB in
// all, 149 us where the C library's copy took 289 (AMD EPYC, Zen 5).
template <bool past_caches>
inline void long_row(char *out, const char *in, size_t bytes) {
  using V = Vector<uint64_t, widest / 8>;
  size_t i = -reinterpret_cast<uintptr_t>(out) % line_bytes;
  for (size_t k = 0; k < line_bytes; k += widest)
    move<widest>(out + k, in + k);
#if defined(__AVX512F__)
  // From some 2 KB on the processor's own copy is quicker, since it does not fetch the lines that
  // it overwrites: contiguous 16 MB in 137 us instead of 174. Processors of this level all have it
  // quick.
  if (!past_caches && bytes >= 2048) {
    char *to = out + i;
    const char *from = in + i;
    size_t count = (bytes - i) / line_bytes * line_bytes;
    i += count;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  }
#endif
#pragma GCC unroll 2
  for (; bytes - i >= line_bytes; i += line_bytes) {
    V line[line_bytes / widest];
#pragma GCC unroll 4
    for (size_t k = 0; k < line_bytes / widest; k++)
      line[k] = load<V>(in + i + k * widest);
#pragma GCC unroll 4
    for (size_t k = 0; k < line_bytes / widest; k++)
      if constexpr (past_caches)
        stream(out + i + k * widest, line[k]);
      else
        store(out + i + k * widest, line[k]);
  }
  for (size_t k = line_bytes; k > 0; k -= widest)
    move<widest>(out + bytes - k, in + bytes - k);
}

template <bool past_caches>
void long_rows(char *out, const char *in, size_t rows, size_t bytes, ptrdiff_t out_stride,
               ptrdiff_t in_stride) {
  for (size_t r = 0; r < rows; r++, out += out_stride, in += in_stride)
    long_row<past_caches>(out, in, bytes);
  if constexpr (past_caches)
    end_streams();
}

// Rows of `piece` bytes and more, the last piece overlapping the one before it.
template <size_t piece>
void short_rows(char *out, const char *in, size_t rows, size_t bytes, ptrdiff_t out_stride,
                ptrdiff_t in_stride) {
  for (size_t r = 0; r < rows; r++, out += out_stride, in += in_stride) {
#pragma GCC unroll 1
    for (size_t i = 0; i < bytes - piece; i += piece)
      move<piece>(out + i, in + i);
    move<piece>(out + bytes - piece, in + bytes - piece);
  }
}

void copy_rows(void *to, const void *from, size_t rows, size_t bytes, ptrdiff_t out_stride,
               ptrdiff_t in_stride, uint32_t past_caches) {
  char *out = static_cast<char *>(to);
  const char *in = static_cast<const char *>(from);
  // Shorter rows have few whole lines.
  constexpr size_t streamed = 16 * line_bytes;
  if (bytes == 0)
    return;
  if (has_streams && past_caches && bytes >= streamed)
    long_rows<has_streams>(out, in, rows, bytes, out_stride, in_stride);
  else if (bytes >= line_bytes)
    long_rows<false>(out, in, rows, bytes, out_stride, in_stride);
  else if (bytes >= 32)
    short_rows<32>(out, in, rows, bytes, out_stride, in_stride);
  else if (bytes >= 16)
    short_rows<16>(out, in, rows, bytes, out_stride, in_stride);
  else if (bytes >= 8)
    short_rows<8>(out, in, rows, bytes, out_stride, in_stride);
  else if (bytes >= 4)
    short_rows<4>(out, in, rows, bytes, out_stride, in_stride);
  else if (bytes >= 2)
    short_rows<2>(out, in, rows, bytes, out_stride, in_stride);
  else
    short_rows<1>(out, in, rows, bytes, out_stride, in_stride);
}

// ---- rows to columns

template <size_t bytes>
struct WordOf {
  using type = uint64_t;
};
template <>
struct WordOf<1> {
  using type = uint8_t;
};
template <>
struct WordOf<2> {
  using type = uint16_t;
};
template <>
struct WordOf<4> {
  using type = uint32_t;
};

// A register is `lanes` pieces of 16 bytes: what interleaving instructions work on.
template <size_t lanes>
using Pieces = Vector<uint64_t, 2 * lanes>;

template <class V, size_t... I>
inline auto joined(V a, V b, Sequence<I...>) {
  return __builtin_shufflevector(a, b, I...);
}

// Pieces that lie `stride` bytes apart, in one register.
template <size_t lanes>
inline Pieces<lanes> gather_pieces(const char *in, ptrdiff_t stride) {
  if constexpr (lanes == 1)
    return load<Pieces<1>>(in);
  else
    return joined(gather_pieces<lanes / 2>(in, stride),
                  gather_pieces<lanes / 2>(in + ptrdiff_t(lanes / 2) * stride, stride),
                  sequence<2 * lanes>{});
}

// The lower or upper halves of each pair of pieces, word by word.
template <size_t half, class V, size_t... I>
inline V interleave(V a, V b, Sequence<I...>) {
  constexpr size_t words = sizeof...(I), piece = 16 / sizeof(a[0]);
  return __builtin_shufflevector(
      a, b, (I / piece * piece + I % piece / 2 + half * (piece / 2) + I % 2 * words)...);
}

// A block of 16 / bytes rows and `lanes` times as many columns. Each piece is a square that rounds
// of interleaving transpose, and the pieces of a register lie side by side in the result.
template <size_t bytes, size_t lanes>
struct Block {
  static constexpr size_t rows = 16 / bytes;
  static constexpr size_t columns = rows * lanes;
  using Word = typename WordOf<bytes>::type;
  using V = Vector<Word, 16 * lanes / sizeof(Word)>;

  template <size_t size>
  static inline void transpose(V (&row)[rows]) {
    if constexpr (size > 1) {
      constexpr size_t words = sizeof(V) / sizeof(Word);
      V next[rows];
#pragma GCC unroll 8
      for (size_t i = 0; i < rows / 2; i++) {
        next[2 * i] = interleave<0>(row[i], row[i + rows / 2], sequence<words>{});
        next[2 * i + 1] = interleave<1>(row[i], row[i + rows / 2], sequence<words>{});
      }
#pragma GCC unroll 16
      for (size_t i = 0; i < rows; i++)
        row[i] = next[i];
      transpose<size / 2>(row);
    }
  }

  template <bool past_caches>
  static inline void move(char *out, const char *in, ptrdiff_t out_stride, ptrdiff_t in_stride) {
    V row[rows];
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
      row[i] = (V)gather_pieces<lanes>(in + ptrdiff_t(i) * in_stride, ptrdiff_t(rows) * in_stride);
    transpose<rows>(row);
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
      if constexpr (past_caches)
        stream(out + ptrdiff_t(i) * out_stride, row[i]);
      else
        store(out + ptrdiff_t(i) * out_stride, row[i]);
  }
};

// Element by element.
template <size_t bytes>
void transpose_elements(char *out, const char *in, size_t rows, size_t columns,
                        ptrdiff_t out_stride, ptrdiff_t in_stride) {
  for (size_t r = 0; r < rows; r++) {
    char *to = out + ptrdiff_t(r) * out_stride;
    const char *from = in + r * bytes;
#pragma GCC unroll 4
    for (size_t c = 0; c < columns; c++)
      move<bytes>(to + c * bytes, from + ptrdiff_t(c) * in_stride);
  }
}

// Strips of a line's width from top to bottom, so that each row of `in` is read on and lines of
// `out` are written whole. The last block of a strip and the last strip overlap those before them
// and store the same again.
template <size_t bytes, size_t lanes, bool past_caches>
void transpose_strips(char *out, const char *in, size_t rows, size_t columns, ptrdiff_t out_stride,
                      ptrdiff_t in_stride) {
  using B = Block<bytes, lanes>;
  auto strip = [=]<size_t blocks, bool past>(size_t c) {
    auto across = [=](size_t r) {
      char *to = out + ptrdiff_t(r) * out_stride + c * bytes;
      const char *from = in + ptrdiff_t(c) * in_stride + r * bytes;
#pragma GCC unroll 4
      for (size_t b = 0; b < blocks; b++)
        B::template move<past>(to + b * B::columns * bytes,
                               from + ptrdiff_t(b * B::columns) * in_stride, out_stride, in_stride);
    };
    size_t r = 0;
    for (; rows - r >= B::rows; r += B::rows)
      across(r);
    if (r < rows)
      across(rows - B::rows);
  };
  constexpr size_t side_by_side = lanes > 1 ? line_bytes / sizeof(typename B::V) : 1;
  size_t c = 0;
  for (; columns - c >= side_by_side * B::columns; c += side_by_side * B::columns)
    strip.template operator()<side_by_side, past_caches>(c);
  for (; columns - c >= B::columns; c += B::columns)
    strip.template operator()<1, false>(c);
  if (c < columns)
    strip.template operator()<1, false>(columns - B::columns);
}

// Pieces of a register at this level. Scalar code has no registers to transpose in.
constexpr size_t most_lanes = register_bytes / 16;
static_assert(transposes_registers == (most_lanes > 0));

template <size_t bytes>
void transpose(void *to, const void *from, size_t rows, size_t columns, ptrdiff_t out_stride,
               ptrdiff_t in_stride, uint32_t past_caches) {
  char *out = static_cast<char *>(to);
  const char *in = static_cast<const char *>(from);
  if constexpr (most_lanes > 0) {
    using Most = Block<bytes, most_lanes>;
    using Least = Block<bytes, 1>;
    if (rows >= Most::rows && columns >= Most::columns) {
      if (has_streams && past_caches && is_line(out) && size_t(out_stride) % line_bytes == 0) {
        transpose_strips<bytes, most_lanes, has_streams>(out, in, rows, columns, out_stride,
                                                         in_stride);
        end_streams();
      } else
        transpose_strips<bytes, most_lanes, false>(out, in, rows, columns, out_stride, in_stride);
      return;
    }
    if (rows >= Least::rows && columns >= Least::columns)
      return transpose_strips<bytes, 1, false>(out, in, rows, columns, out_stride, in_stride);
  }
  transpose_elements<bytes>(out, in, rows, columns, out_stride, in_stride);
}

} // namespace

void transpose(size_t bytes, void *out, const void *in, size_t rows, size_t columns,
               ptrdiff_t out_stride, ptrdiff_t in_stride) {
  const auto by_width = bytes == 1   ? transpose<1>
                        : bytes == 2 ? transpose<2>
                        : bytes == 4 ? transpose<4>
                        : bytes == 8 ? transpose<8>
                                     : transpose<16>;
  by_width(out, in, rows, columns, out_stride, in_stride, 0);
}

void fill_rows(corepy_kernels *table) {
  table->copy_rows = copy_rows;
  table->transpose[0] = transpose<1>;
  table->transpose[1] = transpose<2>;
  table->transpose[2] = transpose<4>;
  table->transpose[3] = transpose<8>;
  table->transpose[4] = transpose<16>;
}

} // namespace COREPY_NAMESPACE
