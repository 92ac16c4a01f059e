// What the kernels of ordered reductions share, and complete reductions of columns whose rows are
// one block.
//
// The whole tree of a strip of columns is evaluated in registers: stripe by stripe, each total
// merged as soon as its neighbour is there. No state is kept in memory, where that of a column of
// float64 would be 256 bytes.
#pragma once

#include "reduce_families.h"

namespace COREPY_NAMESPACE {
namespace {

template <class F>
struct Columns {
  using In = typename F::In;
  using Out = typename F::Out;
  static constexpr size_t PLANES = F::planes;
  static constexpr size_t NATIVE = VECTOR / sizeof(double); // lanes of a vector register
  static constexpr bool TWO = F::second == Second::operand;
  static constexpr bool CENTERED = F::second == Second::center;
  // Registers of a row that are reduced side by side. Up to five totals of each are on the way at
  // once, which fill the 32 registers of AVX-512 and just more than the 16 of the others: one there
  // was slower (8 x 100,000 of float32 47 GB/s instead of 60, of float64 44 and 41).
  static constexpr size_t ABREAST = PLANES == 1 && VECTOR == 64 ? 4 : 2;

  template <size_t N>
  using L = Lanes<PLANES, N>;

  template <size_t N>
  static L<N> read(const double *state, size_t plane) {
    L<N> lanes;
    for (size_t p = 0; p < PLANES; ++p) {
      lanes.plane[p] = load<vec<double, N>>(state + p * plane);
    }
    return lanes;
  }
  template <size_t N>
  static void write(double *state, size_t plane, const L<N> &lanes) {
    for (size_t p = 0; p < PLANES; ++p) {
      store(state + p * plane, lanes.plane[p]);
    }
  }
  // b: the second operand's bytes, or the float64 centers of these lanes. MANY: among eight
  // registers.
  template <size_t N, bool MANY = false>
  static void step(L<N> &lanes, const char *a, const char *b) {
    const vec<double, N> x = convert<double, N>(load<vec<In, N>>(a));
    if constexpr (TWO) {
      F::template step<N>(lanes, x, convert<double, N>(load<vec<In, N>>(b)));
    } else if constexpr (CENTERED) {
      F::template step<N>(lanes, x, load<vec<double, N>>(b));
    } else if constexpr (MANY && requires { F::template step_of_many<N>(lanes, x); }) {
      F::template step_of_many<N>(lanes, x);
    } else {
      F::template step<N>(lanes, x);
    }
  }

  static const char *lane_of_b(const char *b, size_t lane) {
    if constexpr (TWO) {
      return b + lane * sizeof(In);
    } else if constexpr (CENTERED) {
      return b + lane * sizeof(double);
    } else {
      return b;
    }
  }
  static const char *next(const char *b, ptrdiff_t stride) {
    if constexpr (TWO) {
      return b + stride;
    } else {
      return b;
    }
  }

  // lanes is a multiple of 16, and so of every register's lanes.
  static void fill_identity(double *state, size_t lanes) {
    const L<NATIVE> identity = F::template identity<NATIVE>();
    for (size_t i = 0; i < lanes; i += NATIVE) {
      write<NATIVE>(state + i, lanes, identity);
    }
  }

  // The results of N lanes.
  template <size_t N>
  static void emit(char *out, const L<N> &lanes, double divisor) {
    store(out, convert<Out, N>(F::template values<N>(lanes, divisor)));
  }

  static constexpr bool STARTS = requires(double x) { F::template start<1>(x); };
  // The tree in one piece is 3 to 8 KB of code a family, which only sums and means on wide
  // registers pay for (float64 8 x 100,000: 80 GB/s, 60 in four calls).
  static constexpr size_t CALLED = STARTS && VECTOR > 16 ? 0 : 4;

  template <size_t N>
  static L<N> start(const char *a, const char *b) {
    if constexpr (STARTS) {
      return F::template start<N>(convert<double, N>(load<vec<In, N>>(a)));
    } else {
      L<N> lanes = F::template identity<N>();
      step<N>(lanes, a, b);
      return lanes;
    }
  }

  template <size_t N, size_t COUNT>
  struct Strip {
    L<N> lanes[COUNT];
  };

  // The total of stripes `stripe`, `stripe + APART`, `stripe + 2 * APART` and so on.
  template <size_t N, size_t COUNT, size_t APART>
  [[gnu::always_inline]] static inline Strip<N, COUNT>
  fold(const char *a, const char *b, size_t stripe, size_t rows, ptrdiff_t stride) {
    if constexpr (APART == STRIPES) {
      const ptrdiff_t first = static_cast<ptrdiff_t>(stripe) * stride;
      const ptrdiff_t apart = static_cast<ptrdiff_t>(STRIPES) * stride;
      Strip<N, COUNT> total;
      a += first;
      b = next(b, first);
#pragma GCC unroll 4
      for (size_t j = 0; j < COUNT; ++j) {
        total.lanes[j] = start<N>(a + j * N * sizeof(In), lane_of_b(b, j * N));
      }
      for (size_t row = stripe + STRIPES; row < rows; row += STRIPES) {
        a += apart;
        b = next(b, apart);
#pragma GCC unroll 4
        for (size_t j = 0; j < COUNT; ++j) {
          step<N>(total.lanes[j], a + j * N * sizeof(In), lane_of_b(b, j * N));
        }
      }
      return total;
    } else {
      constexpr bool CALLS = 2 * APART == CALLED;
      const auto of = [&](size_t s) __attribute__((always_inline)) {
        if constexpr (CALLS) {
          return fold_called<N, COUNT>(a, b, s, rows, stride);
        } else {
          return fold<N, COUNT, 2 * APART>(a, b, s, rows, stride);
        }
      };
      Strip<N, COUNT> total = of(stripe);
      // Merging an absent stripe would change nothing.
      if (stripe + APART < rows) {
        const Strip<N, COUNT> other = of(stripe + APART);
#pragma GCC unroll 4
        for (size_t j = 0; j < COUNT; ++j) {
          F::template merge<N>(total.lanes[j], other.lanes[j]);
        }
      }
      return total;
    }
  }

  template <size_t N, size_t COUNT>
  COREPY_OUT_OF_LINE static Strip<N, COUNT> fold_called(const char *a, const char *b, size_t stripe,
                                                        size_t rows, ptrdiff_t stride) {
    return fold<N, COUNT, CALLED>(a, b, stripe, rows, stride);
  }

  // `count` strips of N * COUNT lanes, side by side.
  template <size_t N, size_t COUNT>
  COREPY_OUT_OF_LINE static void strips(char *out, const char *a, const char *b, size_t rows,
                                        ptrdiff_t stride, size_t count, double divisor) {
    for (; count != 0; --count) {
      double centers[CENTERED ? N * COUNT : 1];
      const char *second = b;
      if constexpr (CENTERED) {
        if (b == nullptr) {
          // Both passes over these columns while they are in the cache.
          char *const own = reinterpret_cast<char *>(centers);
          Columns<Center<In>>::template strips<N, COUNT>(own, a, nullptr, rows, stride, 1,
                                                         static_cast<double>(rows));
          second = own;
        }
      }
      const Strip<N, COUNT> total = fold<N, COUNT, 1>(a, second, 0, rows, stride);
#pragma GCC unroll 4
      for (size_t j = 0; j < COUNT; ++j) {
        emit<N>(out + j * N * sizeof(Out), total.lanes[j], divisor);
      }
      out += N * COUNT * sizeof(Out);
      a += N * COUNT * sizeof(In);
      b = b == nullptr ? nullptr : lane_of_b(b, N * COUNT);
    }
  }

  // Rows up to which a strip's totals stay in registers. Beyond, wider strips take more of each row
  // at a time, and the totals of stripes wait in memory for their neighbours (float64 64 x 16,384:
  // 30 GB/s in strips of 16, 61 in strips of 64; 30 x 30,000 71 and 47).
  static constexpr size_t SHALLOW = 48;
  // Registers of a deep strip, as far as the level has them.
  static constexpr size_t WIDEST =
      PLANES == 1 ? 8 : (VECTOR == 64 ? 16 : 8) / (PLANES == 2 ? 2 : 4);

  // One strip of N * COUNT lanes over at least 16 rows. Stripes come in the order in which the tree
  // merges them, each total as soon as its neighbour is there, as in a binary counter.
  template <size_t N, size_t COUNT>
  COREPY_OUT_OF_LINE static void deep(char *out, const char *a, const char *b, size_t rows,
                                      ptrdiff_t stride, double divisor) {
    constexpr size_t ORDER[STRIPES] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    double centers[CENTERED ? N * COUNT : 1];
    if constexpr (CENTERED) {
      if (b == nullptr) {
        // Both passes over these columns while they are in the cache.
        char *const own = reinterpret_cast<char *>(centers);
        Columns<Center<In>>::template deep<N, COUNT>(own, a, nullptr, rows, stride,
                                                     static_cast<double>(rows));
        b = own;
      }
    }
    Strip<N, COUNT> waiting[5];
    size_t depth = 0;
    const ptrdiff_t apart = static_cast<ptrdiff_t>(STRIPES) * stride;
    for (size_t done = 0; done < STRIPES; ++done) {
      const ptrdiff_t first = static_cast<ptrdiff_t>(ORDER[done]) * stride;
      const char *row_a = a + first;
      const char *row_b = next(b, first);
      Strip<N, COUNT> total;
#pragma GCC unroll 8
      for (size_t j = 0; j < COUNT; ++j) {
        total.lanes[j] = start<N>(row_a + j * N * sizeof(In), lane_of_b(row_b, j * N));
      }
      for (size_t row = ORDER[done] + STRIPES; row < rows; row += STRIPES) {
        row_a += apart;
        row_b = next(row_b, apart);
#pragma GCC unroll 8
        for (size_t j = 0; j < COUNT; ++j) {
          step<N>(total.lanes[j], row_a + j * N * sizeof(In), lane_of_b(row_b, j * N));
        }
      }
      for (size_t trees = done + 1; trees % 2 == 0; trees /= 2) {
        const Strip<N, COUNT> &left = waiting[--depth];
#pragma GCC unroll 8
        for (size_t j = 0; j < COUNT; ++j) {
          L<N> both = left.lanes[j];
          F::template merge<N>(both, total.lanes[j]);
          total.lanes[j] = both;
        }
      }
      waiting[depth++] = total;
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      emit<N>(out + j * N * sizeof(Out), waiting[0].lanes[j], divisor);
    }
  }

  static const char *second(const char *b, size_t lane) {
    return b == nullptr ? nullptr : lane_of_b(b, lane);
  }

  // Lanes `done` and on, of which there are `lanes`, in strips of COUNT registers and narrower
  // ones.
  template <size_t COUNT>
  static void deep_strips(char *out, const char *a, const char *b, size_t rows, ptrdiff_t stride,
                          size_t done, size_t lanes, double divisor) {
    constexpr size_t N = NATIVE;
    const auto strip = [&](size_t i) {
      deep<N, COUNT>(out + i * sizeof(Out), a + i * sizeof(In), second(b, i), rows, stride,
                     divisor);
    };
    for (; lanes - done >= N * COUNT; done += N * COUNT) {
      strip(done);
    }
    if constexpr (COUNT > 2) {
      deep_strips<COUNT / 2>(out, a, b, rows, stride, done, lanes, divisor);
    } else if (done != lanes) {
      // The last strip overlaps with the one before, and writes the same results again.
      strip(lanes - N * COUNT);
    }
  }

  static void columns(void *first_out, const void *first_a, const void *first_b, size_t rows,
                      ptrdiff_t stride, size_t cols, double divisor) {
    constexpr size_t WIDE = NATIVE * ABREAST;
    char *const out = static_cast<char *>(first_out);
    const char *const a = static_cast<const char *>(first_a);
    const char *const b = static_cast<const char *>(first_b);
    const size_t lanes = cols * F::repeat;
    if (rows > SHALLOW && lanes >= 2 * NATIVE) {
      deep_strips<WIDEST>(out, a, b, rows, stride, 0, lanes, divisor);
      return;
    }
    size_t i = lanes / WIDE * WIDE;
    strips<NATIVE, ABREAST>(out, a, b, rows, stride, lanes / WIDE, divisor);
    for (; i != lanes && lanes >= NATIVE; i += NATIVE) {
      // The last register overlaps with the one before, and writes the same results again.
      i = i + NATIVE <= lanes ? i : lanes - NATIVE;
      strips<NATIVE, 1>(out + i * sizeof(Out), a + i * sizeof(In), second(b, i), rows, stride, 1,
                        divisor);
    }
    if (i != lanes) {
      strips<F::unit, 1>(out, a, b, rows, stride, lanes / F::unit, divisor);
    }
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
