// Matrix multiplication: register tiles over packed panels, small matrices, the table's entries.
#include "gemm_vector.h"

namespace COREPY_NAMESPACE {
namespace {
namespace gemm {

// Every element is one fma chain over the panel's depth, from +0 in rising order, whatever tile,
// vector or scalar loop computes it. That is what makes the result independent of shape and level.

// Copies fewer than 2 * Most bytes (a power of two) without a call: the edges of c are a few of
// them.
template <size_t Most>
inline void copy_part(char *to, const char *from, size_t bytes) {
  if (bytes & Most) {
    __builtin_memcpy(to, from, Most);
    to += Most;
    from += Most;
  }
  if constexpr (Most > 1)
    copy_part<Most / 2>(to, from, bytes);
}

// Rows x Vectors accumulators stay in registers over the whole depth.
template <class A, size_t Rows, size_t Vectors>
inline void tile(char *c, ptrdiff_t row_stride, const typename A::Packed *a,
                 const typename A::Packed *b, size_t rows, size_t cols, size_t depth,
                 bool accumulate) {
  using V = typename A::V;
  constexpr size_t columns = Vectors * A::lanes;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  constexpr size_t step_a = A::mr * A::parts, step_b = A::vectors * A::lanes * A::parts;
  const bool whole = rows == Rows && cols == columns;
  // The tile's rows of c lie in different pages; fetching them early hides that behind the loop.
  if (whole)
    for (size_t r = 0; r < Rows; r++)
      __builtin_prefetch(c + ptrdiff_t(r) * row_stride, 1);
  V total[Rows][Vectors];
#pragma GCC unroll 16
  for (size_t r = 0; r < Rows; r++)
#pragma GCC unroll 4
    for (size_t v = 0; v < Vectors; v++)
      total[r][v] = V{};
#pragma GCC unroll 1
  for (size_t d = 0; d < depth; d++, a += step_a, b += step_b) {
    typename A::Lanes lanes[Vectors];
#pragma GCC unroll 4
    for (size_t v = 0; v < Vectors; v++)
      lanes[v] = A::prepare(load<V>(b + v * A::lanes * A::parts));
#pragma GCC unroll 16
    for (size_t r = 0; r < Rows; r++) {
      const typename A::Scalar scalar = A::scalar(a + r * A::parts);
#pragma GCC unroll 4
      for (size_t v = 0; v < Vectors; v++)
        total[r][v] = A::multiply_add(total[r][v], scalar, lanes[v]);
    }
  }
  if (whole) {
#pragma GCC unroll 16
    for (size_t r = 0; r < Rows; r++) {
      char *row = c + ptrdiff_t(r) * row_stride;
#pragma GCC unroll 4
      for (size_t v = 0; v < Vectors; v++) {
        char *to = row + ptrdiff_t(v * A::lanes) * size;
        A::store_elements(to, accumulate ? A::load_elements(to) + total[r][v] : total[r][v]);
      }
    }
    return;
  }
  // An edge: the tile lies beyond c in part. It goes through memory of its own.
  alignas(64) char part[Rows * columns * size];
#pragma GCC unroll 16
  for (size_t r = 0; r < Rows; r++)
#pragma GCC unroll 4
    for (size_t v = 0; v < Vectors; v++)
      A::store_elements(part + ptrdiff_t(r * columns + v * A::lanes) * size, total[r][v]);
  alignas(64) char old[columns * size];
  for (size_t r = 0; r < rows; r++) {
    char *to = c + ptrdiff_t(r) * row_stride;
    char *from = part + ptrdiff_t(r * columns) * size;
    if (accumulate) {
      __builtin_memset(old, 0, sizeof old);
      copy_part<columns * size>(old, to, cols * size_t(size));
      for (size_t v = 0; v < Vectors; v++) {
        const ptrdiff_t at = ptrdiff_t(v * A::lanes) * size;
        A::store_elements(from + at, A::load_elements(old + at) + A::load_elements(from + at));
      }
    }
    copy_part<columns * size>(to, from, cols * size_t(size));
  }
}

// Edges take a tile of fewer rows or one vector where that suffices: it costs less than half.
template <class A>
void block(void *c, ptrdiff_t row_stride, const void *a, const void *b, size_t rows, size_t cols,
           size_t depth, uint32_t accumulate) {
  using Packed = typename A::Packed;
  constexpr size_t nr = A::vectors * A::lanes;
  constexpr size_t few = A::mr > 4 ? 4 : 1;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  auto *bp = static_cast<const Packed *>(b);
  for (size_t j = 0; j < cols; j += nr, bp += nr * A::parts * depth) {
    const size_t tile_cols = cols - j < nr ? cols - j : nr;
    auto *ap = static_cast<const Packed *>(a);
    for (size_t i = 0; i < rows; i += A::mr, ap += A::mr * A::parts * depth) {
      const size_t tile_rows = rows - i < A::mr ? rows - i : A::mr;
      char *to = static_cast<char *>(c) + ptrdiff_t(i) * row_stride + ptrdiff_t(j) * size;
      auto call = [&](auto kernel) {
        kernel(to, row_stride, ap, bp, tile_rows, tile_cols, depth, accumulate != 0);
      };
      if (tile_cols > A::lanes) {
        if (tile_rows > few)
          call(tile<A, A::mr, A::vectors>);
        else
          call(tile<A, few, A::vectors>);
      } else if (tile_rows > few) {
        call(tile<A, A::mr, 1>);
      } else {
        call(tile<A, few, 1>);
      }
    }
  }
}

inline float multiply_add(float total, float a, float b) { return fma(a, b, total); }
inline double multiply_add(double total, double a, double b) { return fma(a, b, total); }
inline corepy_complex64 multiply_add(corepy_complex64 total, corepy_complex64 a,
                                     corepy_complex64 b) {
  return {fma(-a.im, b.im, fma(a.re, b.re, total.re)), fma(a.im, b.re, fma(a.re, b.im, total.im))};
}
inline corepy_complex128 multiply_add(corepy_complex128 total, corepy_complex128 a,
                                      corepy_complex128 b) {
  return {fma(-a.im, b.im, fma(a.re, b.re, total.re)), fma(a.im, b.re, fma(a.re, b.im, total.im))};
}
template <class T>
inline T multiply_add(T total, T a, T b) {
  // In 64 bits, where the product of two small unsigned types cannot be a signed int.
  return T(uint64_t(total) + uint64_t(a) * uint64_t(b));
}
template <class A>
void small(void *c, const void *a, ptrdiff_t a_row, ptrdiff_t a_column, const void *b,
           ptrdiff_t b_row, ptrdiff_t b_column, size_t rows, size_t cols, size_t depth) {
  using T = typename A::Element;
  auto *to = static_cast<char *>(c);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < cols; j++, to += sizeof(T)) {
      const char *left = static_cast<const char *>(a) + ptrdiff_t(i) * a_row;
      const char *right = static_cast<const char *>(b) + ptrdiff_t(j) * b_column;
      T result{};
      for (size_t first = 0; first < depth; first += COREPY_PANEL) {
        const size_t end = depth - first < COREPY_PANEL ? depth : first + COREPY_PANEL;
        T total{};
        for (size_t k = first; k < end; k++)
          total = multiply_add(total, load<T>(left + ptrdiff_t(k) * a_column),
                               load<T>(right + ptrdiff_t(k) * b_row));
        result = first == 0 ? total : add(result, total);
      }
      store(to, result);
    }
}

template <class A>
constexpr corepy_gemm kernels() {
  return {pack<A, A::mr>,
          pack<A, A::vectors * A::lanes>,
          block<A>,
          multiply_vectors<A>,
          small<A>,
          A::mr,
          A::vectors * A::lanes,
          sizeof(typename A::Packed) * A::parts};
}

// Signed integers share the unsigned kernels: wrapping products and sums have the same bits.
template <class T>
struct arithmetic_of;
#define COREPY_ARITHMETIC(T, ...)                                                                  \
  template <>                                                                                      \
  struct arithmetic_of<T> {                                                                        \
    using type = __VA_ARGS__;                                                                      \
  };
COREPY_ARITHMETIC(int8_t, Wrapping<uint8_t>)
COREPY_ARITHMETIC(int16_t, Wrapping<uint16_t>)
COREPY_ARITHMETIC(int32_t, Wrapping<uint32_t>)
COREPY_ARITHMETIC(int64_t, Wrapping<uint64_t>)
COREPY_ARITHMETIC(uint8_t, Wrapping<uint8_t>)
COREPY_ARITHMETIC(uint16_t, Wrapping<uint16_t>)
COREPY_ARITHMETIC(uint32_t, Wrapping<uint32_t>)
COREPY_ARITHMETIC(uint64_t, Wrapping<uint64_t>)
COREPY_ARITHMETIC(float, Floating<float>)
COREPY_ARITHMETIC(double, Floating<double>)
COREPY_ARITHMETIC(corepy_complex64, Complex<corepy_complex64, float, uint32_t>)
COREPY_ARITHMETIC(corepy_complex128, Complex<corepy_complex128, double, uint64_t>)
#undef COREPY_ARITHMETIC

} // namespace gemm
} // namespace

void fill_gemm(corepy_kernels *table) {
#define COREPY_FILL(NAME, T)                                                                       \
  table->gemm[COREPY_DTYPE_##NAME] = gemm::kernels<gemm::arithmetic_of<T>::type>();
  COREPY_NUMERIC_DTYPES(COREPY_FILL)
#undef COREPY_FILL
}

} // namespace COREPY_NAMESPACE
