// Correctly rounded sums: a compensated sum where its error bound proves the rounding, else a
// superaccumulator.
#pragma once

#include "exact_bins.h"
#include "reduce_ordered.h"

namespace COREPY_NAMESPACE {
namespace {

// The lanes of a compensated sum with a third plane, the sum of the magnitudes of its errors.
//
// s and all errors of TwoSum add up to the sum exactly, whatever was lost (T. Ogita, S. M. Rump and
// S. Oishi, SIAM J. Sci. Comput. 26, 2005). Only adding the errors up rounds: an error passes
// through at most 64 additions in its stripe, 2 in each of at most 54 levels of the tree, and 8 in
// the fold, fewer than 256, so that c is off by less than 2^-45 (1 + 2^-44) times the sum of their
// magnitudes. The third plane has that sum with a relative error of 2^-44; twice the bound covers
// it. An overflow makes an error, and so that plane, infinite or NaN.
template <class T, size_t REPEAT>
struct ProvenSum {
  using In = T;
  using Out = T;
  static constexpr size_t planes = 3;
  static constexpr size_t repeat = REPEAT;
  static constexpr size_t unit = 1;
  static constexpr Second second = Second::none;
  static constexpr double empty[2] = {0.0, 0.0};

  template <size_t N>
  static vec<double, N> size_of(vec<double, N> x) {
    if constexpr (N == 1) {
      return __builtin_fabs(x);
    } else {
      using I = vec<int64_t, N>;
      return bits<vec<double, N>>(bits<I>(x) & INT64_MAX);
    }
  }
  template <size_t N>
  static Lanes<3, N> identity() {
    return {{splat_double<N>(-0.0), splat_double<N>(0.0), splat_double<N>(0.0)}};
  }
  template <size_t N>
  static void step(Lanes<3, N> &lanes, vec<double, N> x) {
    const vec<double, N> error = two_sum<N>(lanes.plane[0], x);
    lanes.plane[1] = lanes.plane[1] + error;
    lanes.plane[2] = lanes.plane[2] + size_of<N>(error);
  }
  template <size_t N>
  static void merge(Lanes<3, N> &left, const Lanes<3, N> &right) {
    const vec<double, N> error = two_sum<N>(left.plane[0], right.plane[0]);
    left.plane[1] = (left.plane[1] + right.plane[1]) + error;
    left.plane[2] = (left.plane[2] + right.plane[2]) + size_of<N>(error);
  }

  // x plus twice its last place or less, away from 0 or toward it: `to` is 1 or -1.
  static double beyond(double x, double to) { return x + to * (__builtin_fabs(x) * 0x1p-52); }

  template <size_t N>
  static vec<double, N> values(const Lanes<3, N> &lanes, double) {
    if constexpr (N == 1) {
      return value(lanes.plane[0], lanes.plane[1], lanes.plane[2]);
    } else {
      vec<double, N> result;
      for (size_t i = 0; i < N; ++i) {
        result[i] = value(lanes.plane[0][i], lanes.plane[1][i], lanes.plane[2][i]);
      }
      return result;
    }
  }

  // The correctly rounded sum, or NaN where it is not proven.
  COREPY_OUT_OF_LINE static double value(double sum, double errors, double sizes) {
    if (sizes == 0) {
      return static_cast<double>(static_cast<T>(sum)); // no error anywhere
    }
    const double bound = sizes * 0x1p-44;
    // The exact sum lies between sum + below and sum + above.
    const double rest = two_sum<1>(sum, errors);
    const double above = beyond(rest + bound, 1);
    const double below = beyond(rest - bound, -1);
    if constexpr (__is_same(T, double)) {
      // Rounding is monotonic: where both ends round to `sum`, all between them does.
      const bool proven = sum + above == sum && sum + below == sum;
      return proven ? sum : __builtin_nan("");
    } else {
      const T high = static_cast<T>(beyond(sum + above, 1));
      const T low = static_cast<T>(beyond(sum + below, -1));
      // A sum that is not only zeros is +0 where it is 0, which adding +0 leaves.
      return high == low ? static_cast<double>(high) + 0.0 : __builtin_nan("");
    }
  }
};

// Exact states: REPEAT superaccumulators a column.
template <class T, size_t REPEAT>
struct Superaccumulation {
  using State = Superaccumulator[REPEAT];
  static constexpr size_t LANE_BYTES = (sizeof(State) + STRIPES * 8 - 1) / (STRIPES * 8) * 8;
  static constexpr size_t STATE_BYTES = STRIPES * LANE_BYTES;

  static State &at(void *state, size_t column) {
    return *reinterpret_cast<State *>(static_cast<char *>(state) + column * STATE_BYTES);
  }
  static const State &at(const void *state, size_t column) {
    return *reinterpret_cast<const State *>(static_cast<const char *>(state) +
                                            column * STATE_BYTES);
  }

  static void write(char *out, const State &sum) {
    for (size_t part = 0; part < REPEAT; ++part) {
      store(out + part * sizeof(T), sum[part].template rounded<T>());
    }
  }

  static void add_all(State &sum, const T *x, size_t n) {
    for (Superaccumulator &part : sum) {
      part.clear();
    }
    ExactBins<T, REPEAT>::add_all(sum, x, n);
  }

  COREPY_OUT_OF_LINE static void add_column(State &sum, const char *x, size_t n, ptrdiff_t stride) {
    for (Superaccumulator &part : sum) {
      part.clear();
    }
    T together[BLOCK * REPEAT];
    for (size_t done = 0; done < n;) {
      const size_t count = n - done < BLOCK ? n - done : BLOCK;
      for (size_t i = 0; i < count; ++i) {
        __builtin_memcpy(together + i * REPEAT, x, REPEAT * sizeof(T));
        x += stride;
      }
      ExactBins<T, REPEAT>::add_all(sum, together, count);
      done += count;
    }
  }

  // One whole sum.
  COREPY_OUT_OF_LINE static void one(char *out, const char *x, size_t n) {
    State sum;
    add_all(sum, reinterpret_cast<const T *>(x), n);
    write(out, sum);
  }
  COREPY_OUT_OF_LINE static void one_column(char *out, const char *x, size_t n, ptrdiff_t stride) {
    State sum;
    add_column(sum, x, n, stride);
    write(out, sum);
  }

  static uint64_t blocks(void *state, const void *a, const void *, size_t n, size_t) {
    add_all(at(state, 0), static_cast<const T *>(a), n);
    return 0;
  }
  static uint64_t rows(void *state, const void *a, const void *, size_t rows, ptrdiff_t stride,
                       size_t cols, size_t) {
    for (size_t j = 0; j < cols; ++j) {
      add_column(at(state, j), static_cast<const char *>(a) + j * REPEAT * sizeof(T), rows, stride);
    }
    return 0;
  }
  static void merge(void *state, const void *right, size_t lanes) {
    for (size_t j = 0; j < lanes / STRIPES; ++j) {
      for (size_t part = 0; part < REPEAT; ++part) {
        at(state, j)[part].merge(at(right, j)[part]);
      }
    }
  }
  static void finish(void *out, void *state, size_t cols, double) {
    for (size_t j = 0; j < cols; ++j) {
      write(static_cast<char *>(out) + j * REPEAT * sizeof(T), at(state, j));
    }
  }
  static uint64_t each(void *out, const void *a, const void *, size_t outer, ptrdiff_t stride,
                       ptrdiff_t, size_t n, double) {
    for (size_t i = 0; i < outer; ++i) {
      char *const to = static_cast<char *>(out) + i * REPEAT * sizeof(T);
      if (n == 0) {
        Ordered<ProvenSum<T, REPEAT>>::empty(to);
      } else {
        one(to, static_cast<const char *>(a) + static_cast<ptrdiff_t>(i) * stride, n);
      }
    }
    return 0;
  }
  static void columns(void *out, const void *a, const void *, size_t rows, ptrdiff_t stride,
                      size_t cols, double) {
    for (size_t j = 0; j < cols; ++j) {
      const size_t offset = j * REPEAT * sizeof(T);
      one_column(static_cast<char *>(out) + offset, static_cast<const char *>(a) + offset, rows,
                 stride);
    }
  }

  static void register_in(corepy_reduction *slot) {
    *slot = {blocks, rows, merge, finish, each, columns, nullptr, nullptr, LANE_BYTES};
  }
};

// The compensated sum. Whole sums that it does not prove go on to a superaccumulator at once; from
// `finish` they are NaN, and the caller adds their elements up again.
template <class T, size_t REPEAT>
struct ExactSum {
  using Proven = Ordered<ProvenSum<T, REPEAT>>;
  using Exact = Superaccumulation<T, REPEAT>;

  static bool unproven(const char *out) {
    bool any = false;
    for (size_t part = 0; part < REPEAT; ++part) {
      any = any || is_nan(load<T>(out + part * sizeof(T)));
    }
    return any;
  }

  static uint64_t each(void *out, const void *a, const void *, size_t outer, ptrdiff_t stride,
                       ptrdiff_t, size_t n, double divisor) {
    for (size_t i = 0; i < outer; ++i) {
      char *const to = static_cast<char *>(out) + i * REPEAT * sizeof(T);
      const char *const from = static_cast<const char *>(a) + static_cast<ptrdiff_t>(i) * stride;
      Proven::each(to, from, nullptr, 1, 0, 0, n, divisor);
      if (unproven(to)) {
        Exact::one(to, from, n);
      }
    }
    return 0;
  }
  static void columns(void *out, const void *a, const void *, size_t rows, ptrdiff_t stride,
                      size_t cols, double divisor) {
    Proven::columns(out, a, nullptr, rows, stride, cols, divisor);
    for (size_t j = 0; j < cols; ++j) {
      const size_t offset = j * REPEAT * sizeof(T);
      char *const to = static_cast<char *>(out) + offset;
      if (unproven(to)) {
        Exact::one_column(to, static_cast<const char *>(a) + offset, rows, stride);
      }
    }
  }

  static void register_in(corepy_reduction *slot) {
    Proven::register_in(slot);
    slot->each = each;
    slot->columns = columns;
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
