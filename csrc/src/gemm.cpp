// Matrix multiplication: register tiles over packed panels, matrix x vector, small matrices.
#include "gemm_pack.h"

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

// Adds `used` lanes of totals to c, or writes them.
template <class A>
inline void finish(char *c, const typename A::Packed *total, size_t used, bool accumulate) {
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  size_t lane = 0;
  for (; lane + A::lanes <= used; lane += A::lanes) {
    char *to = c + ptrdiff_t(lane) * size;
    const auto v = load<typename A::V>(total + lane * A::parts);
    A::store_elements(to, accumulate ? A::load_elements(to) + v : v);
  }
  if (lane == used)
    return;
  alignas(64) char part[A::lanes * size] = {};
  char *to = c + ptrdiff_t(lane) * size;
  auto v = load<typename A::V>(total + lane * A::parts);
  if (accumulate) {
    __builtin_memcpy(part, to, (used - lane) * size_t(size));
    v = A::load_elements(part) + v;
  }
  A::store_elements(part, v);
  __builtin_memcpy(to, part, (used - lane) * size_t(size));
}

// Lanes in a row of totals that stay in the L1 cache: 1,024 of float32 are 4 KiB.
constexpr size_t strip_bytes = 4096;

// Matrix x vector where lanes are contiguous: whole rows stream through, four at a time so that the
// totals are read and written once per four products. Needs at least one vector of lanes.
template <class A>
void vector_along_lanes(char *c, const typename A::Packed *x, const char *m, ptrdiff_t depth_stride,
                        size_t lanes, size_t depth, bool accumulate) {
  using V = typename A::V;
  using Packed = typename A::Packed;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  constexpr size_t strip = strip_bytes / (sizeof(Packed) * A::parts);
  constexpr size_t at_once = 4;
  while (lanes > 0) {
    const size_t used = lanes < strip ? lanes : strip;
    const size_t whole = used / A::lanes * A::lanes;
    alignas(64) Packed total[strip * A::parts];
    size_t d = 0;
    for (; d + at_once <= depth; d += at_once) {
      typename A::Scalar scalars[at_once];
      for (size_t i = 0; i < at_once; i++)
        scalars[i] = A::scalar(x + (d + i) * A::parts);
      const char *row = m + ptrdiff_t(d) * depth_stride;
      for (size_t lane = 0; lane < whole; lane += A::lanes) {
        V t = d == 0 ? V{} : load<V>(total + lane * A::parts);
        for (size_t i = 0; i < at_once; i++)
          t = A::multiply_add(t, scalars[i],
                              A::prepare(A::load_elements(row + ptrdiff_t(i) * depth_stride +
                                                          ptrdiff_t(lane) * size)));
        store(total + lane * A::parts, t);
      }
    }
    for (; d < depth; d++) {
      const typename A::Scalar scalar = A::scalar(x + d * A::parts);
      const char *row = m + ptrdiff_t(d) * depth_stride;
      for (size_t lane = 0; lane < whole; lane += A::lanes) {
        V t = d == 0 ? V{} : load<V>(total + lane * A::parts);
        t = A::multiply_add(t, scalar, A::prepare(A::load_elements(row + ptrdiff_t(lane) * size)));
        store(total + lane * A::parts, t);
      }
    }
    finish<A>(c, total, whole, accumulate);
    if (whole < used) {
      // The last lanes once more as part of the vector that ends with them. A strip is a multiple
      // of the vector, so that only the last strip comes here, and it has a vector before it.
      const ptrdiff_t back = ptrdiff_t(used) - ptrdiff_t(A::lanes);
      V t = V{};
      for (size_t k = 0; k < depth; k++)
        t = A::multiply_add(
            t, A::scalar(x + k * A::parts),
            A::prepare(A::load_elements(m + ptrdiff_t(k) * depth_stride + back * size)));
      store(total, t);
      const size_t rest = used - whole;
      alignas(64) Packed last[A::lanes * A::parts] = {};
      __builtin_memcpy(last, total + (A::lanes - rest) * A::parts,
                       rest * A::parts * sizeof(Packed));
      finish<A>(c + ptrdiff_t(whole) * size, last, rest, accumulate);
    }
    c += ptrdiff_t(used) * size;
    m += ptrdiff_t(used) * size;
    lanes -= used;
  }
}

// At most Vectors vectors of lanes in any layout, packed piece by piece into the L1 cache.
template <class A, size_t Vectors>
void vector_group(char *c, const typename A::Packed *x, const char *m, ptrdiff_t lane_stride,
                  ptrdiff_t depth_stride, size_t used, size_t depth, bool accumulate) {
  using V = typename A::V;
  using Packed = typename A::Packed;
  constexpr size_t group = Vectors * A::lanes;
  constexpr size_t piece = 64; // 16 KiB of packed elements for four vectors of AVX-512
  alignas(64) Packed packed[group * piece * A::parts];
  V total[Vectors];
  for (size_t v = 0; v < Vectors; v++)
    total[v] = V{};
  for (size_t first = 0; first < depth; first += piece) {
    const size_t n = depth - first < piece ? depth - first : piece;
    pack_group<A, group>(packed, m + ptrdiff_t(first) * depth_stride, lane_stride, depth_stride,
                         used, n, ptrdiff_t(2 * piece * sizeof(typename A::Element)));
    for (size_t d = 0; d < n; d++) {
      const typename A::Scalar scalar = A::scalar(x + (first + d) * A::parts);
#pragma GCC unroll 4
      for (size_t v = 0; v < Vectors; v++)
        total[v] =
            A::multiply_add(total[v], scalar,
                            A::prepare(load<V>(packed + (d * Vectors + v) * A::lanes * A::parts)));
    }
  }
  alignas(64) Packed totals[group * A::parts];
  for (size_t v = 0; v < Vectors; v++)
    store(totals + v * A::lanes * A::parts, total[v]);
  finish<A>(c, totals, used, accumulate);
}

// Matrix x vector in any layout. A chain waits four cycles for each fma; four vectors of chains
// side by side hide half of that.
template <class A>
void vector_packing(char *c, const typename A::Packed *x, const char *m, ptrdiff_t lane_stride,
                    ptrdiff_t depth_stride, size_t lanes, size_t depth, bool accumulate) {
  constexpr size_t group = 4 * A::lanes;
  for (; lanes > 0; c += group * sizeof(typename A::Element), m += ptrdiff_t(group) * lane_stride) {
    const size_t used = lanes < group ? lanes : group;
    if (used > 2 * A::lanes)
      vector_group<A, 4>(c, x, m, lane_stride, depth_stride, used, depth, accumulate);
    else
      vector_group<A, 2>(c, x, m, lane_stride, depth_stride, used, depth, accumulate);
    lanes -= used;
  }
}

template <class A>
void vector(void *c, const void *x, const void *m, ptrdiff_t lane_stride, ptrdiff_t depth_stride,
            size_t lanes, size_t depth, uint32_t accumulate, uint32_t matrix_first) {
  using Packed = typename A::Packed;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  alignas(64) Packed scalars[COREPY_PANEL * A::parts];
  for (size_t d = 0; d < depth; d++)
    pack_element<A>(scalars + d * A::parts, static_cast<const char *>(x) + ptrdiff_t(d) * size);
  auto *to = static_cast<char *>(c);
  auto *from = static_cast<const char *>(m);
  auto run = [&]<class B>(B *) {
    if (lane_stride == size && lanes >= A::lanes)
      vector_along_lanes<B>(to, scalars, from, depth_stride, lanes, depth, accumulate != 0);
    else
      vector_packing<B>(to, scalars, from, lane_stride, depth_stride, lanes, depth,
                        accumulate != 0);
  };
  // Only the two fma of a complex product depend on which factor comes first.
  if constexpr (A::parts == 1)
    run(static_cast<A *>(nullptr));
  else if (matrix_first)
    run(static_cast<LeftInLanes<A> *>(nullptr));
  else
    run(static_cast<A *>(nullptr));
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
inline corepy_complex64 add(corepy_complex64 a, corepy_complex64 b) {
  return {a.re + b.re, a.im + b.im};
}
inline corepy_complex128 add(corepy_complex128 a, corepy_complex128 b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
inline T add(T a, T b) {
  return T(a + b);
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
          vector<A>,
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
