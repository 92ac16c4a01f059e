// Float reductions in the fixed order: 1,024-element blocks of 16 stripes, merged in a binary tree.
//
// Complex elements are two flat lanes, so that a block is 16 (real) or 32 (complex) flat lanes
// wide. A row kernel is the same thing with 16 * cols lanes: element i of column j goes to lane (i
// mod 16, j). Everything below is therefore one loop, `passes`, over different widths.
#pragma once

#include "reduce_lanes.h"

namespace COREPY_NAMESPACE {
namespace {

// The accumulators of N flat lanes.
template <size_t PLANES, size_t N>
struct Lanes {
  vec<double, N> plane[PLANES];
};

// The float64 value of an exact or compensated total: s + c, or s where c is 0 or not finite.
inline double pair_value(double s, double c) {
  const double difference = c - c; // 0, or NaN where c is not finite
  return c == 0 || difference != 0 ? s : s + c;
}

// (s + c) / n with the remainder of the first division divided again. The quotient alone where the
// correction is 0 or not finite, so that infinities and the sign of a zero survive.
inline double pair_quotient(double s, double c, double n) {
  const double q = s / n;
  return pair_value(q, (__builtin_fma(-q, n, s) + c) / n);
}

enum class Second { none, center, operand };

// Plain float64 lanes: sums whose terms are exact or need no compensation.
struct PlainSum {
  static constexpr size_t planes = 1;
  template <size_t N>
  static Lanes<1, N> identity() {
    return {{splat_double<N>(-0.0)}};
  }
  template <size_t N>
  static void merge(Lanes<1, N> &left, const Lanes<1, N> &right) {
    left.plane[0] = left.plane[0] + right.plane[0];
  }
  static double sum(const double *lane) { return lane[0]; }
  // A float32 mean: the float64 quotient is rounded once more, which no correction could change.
  static double quotient(const double *lane, double n) { return lane[0] / n; }
};

// Compensated float64 lanes: plane 0 is the sum, plane 1 the sum of its rounding errors.
struct PairSum {
  static constexpr size_t planes = 2;
  template <size_t N>
  static Lanes<2, N> identity() {
    return {{splat_double<N>(-0.0), splat_double<N>(0.0)}};
  }
  template <size_t N>
  static void merge(Lanes<2, N> &left, const Lanes<2, N> &right) {
    const vec<double, N> error = two_sum<N>(left.plane[0], right.plane[0]);
    left.plane[1] = (left.plane[1] + right.plane[1]) + error;
  }
  template <size_t N>
  static void add_product(Lanes<2, N> &lanes, vec<double, N> x, vec<double, N> y) {
    const vec<double, N> product = x * y;
    const vec<double, N> product_error = fused<N>(x, y, -product);
    const vec<double, N> sum_error = two_sum<N>(lanes.plane[0], product);
    lanes.plane[1] = lanes.plane[1] + (sum_error + product_error);
  }
  static double sum(const double *lane) { return pair_value(lane[0], lane[1]); }
  static double quotient(const double *lane, double n) {
    return pair_quotient(lane[0], lane[1], n);
  }
};

template <class T>
struct SumOf {
  using type = PairSum;
};
template <>
struct SumOf<float> {
  using type = PlainSum;
};

// What a family adds up, and what one lane's total becomes, are its `step` and `value`.
// REPEAT: flat lanes an element. UNIT: flat lanes that must stay together.
template <class T, size_t REPEAT>
struct Sum : SumOf<T>::type {
  using Base = typename SumOf<T>::type;
  using In = T;
  using Out = T;
  static constexpr size_t repeat = REPEAT;
  static constexpr size_t unit = 1;
  static constexpr Second second = Second::none;
  static constexpr double empty[2] = {0.0, 0.0};
  template <size_t N>
  static void step(Lanes<Base::planes, N> &lanes, vec<double, N> x) {
    if constexpr (Base::planes == 1) {
      lanes.plane[0] = lanes.plane[0] + x;
    } else {
      const vec<double, N> error = two_sum<N>(lanes.plane[0], x);
      lanes.plane[1] = lanes.plane[1] + error;
    }
  }
  // For eight chains or more, which hide that a multiplier takes longer: the adders have the
  // conversions to do.
  template <size_t N>
    requires(Base::planes == 1)
  static void step_of_many(Lanes<1, N> &lanes, vec<double, N> x) {
    lanes.plane[0] = add_by_fma<N>(lanes.plane[0], x);
  }
  static double value(const double *lane, double) { return Base::sum(lane); }
};

template <class T, size_t REPEAT>
struct Mean : Sum<T, REPEAT> {
  static constexpr double empty[2] = {__builtin_nan(""), __builtin_nan("")};
  static double value(const double *lane, double n) { return Mean::Base::quotient(lane, n); }
};

template <class T>
struct Center : Mean<T, 1> {
  using Out = double;
};

template <class T>
struct Variance : SumOf<T>::type {
  using Base = typename SumOf<T>::type;
  using In = T;
  using Out = T;
  static constexpr size_t repeat = 1;
  static constexpr size_t unit = 1;
  static constexpr Second second = Second::center;
  static constexpr double empty[2] = {__builtin_nan(""), __builtin_nan("")};
  template <size_t N>
  static void step(Lanes<Base::planes, N> &lanes, vec<double, N> x, vec<double, N> center) {
    const vec<double, N> deviation = x - center;
    if constexpr (Base::planes == 1) {
      lanes.plane[0] = lanes.plane[0] + deviation * deviation;
    } else {
      Base::template add_product<N>(lanes, deviation, deviation);
    }
  }
  static double value(const double *lane, double divisor) {
    return divisor > 0 ? Base::quotient(lane, divisor) : __builtin_nan("");
  }
};

template <class T>
struct Deviation : Variance<T> {
  static double value(const double *lane, double divisor) {
    return __builtin_sqrt(Variance<T>::value(lane, divisor));
  }
};

template <class T>
struct Product {
  using In = T;
  using Out = T;
  static constexpr size_t planes = 1;
  static constexpr size_t repeat = 1;
  static constexpr size_t unit = 1;
  static constexpr Second second = Second::none;
  static constexpr double empty[2] = {1.0, 0.0};
  template <size_t N>
  static Lanes<1, N> identity() {
    return {{splat_double<N>(1.0)}};
  }
  template <size_t N>
  static void step(Lanes<1, N> &lanes, vec<double, N> x) {
    lanes.plane[0] = lanes.plane[0] * x;
  }
  template <size_t N>
  static void merge(Lanes<1, N> &left, const Lanes<1, N> &right) {
    step<N>(left, right.plane[0]);
  }
  static double value(const double *lane, double) { return lane[0]; }
};

template <class T>
struct ComplexProduct {
  using In = T;
  using Out = T;
  static constexpr size_t planes = 1;
  static constexpr size_t repeat = 2;
  static constexpr size_t unit = 2;
  static constexpr Second second = Second::none;
  static constexpr double empty[2] = {1.0, 0.0};
  template <size_t N>
  static Lanes<1, N> identity() {
    vec<double, N> one{};
    for (size_t i = 0; i < N; i += 2) {
      one[i] = 1.0;
    }
    return {{one}};
  }
  // All ones in both lanes of the pairs that are exactly 1 + 0i.
  template <size_t N>
  static vec<int64_t, N> is_identity(vec<double, N> value) {
    using I = vec<int64_t, N>;
    const I same = bits<I>(value) == bits<I>(identity<N>().plane[0]);
    return same & bits<I>(Pairs<N>::swapped(bits<vec<double, N>>(same)));
  }
  // 1 + 0i leaves the other factor as it is: multiplied out, an absent stripe would turn an
  // infinity into NaN and lose the sign of a zero.
  template <size_t N>
  static void step(Lanes<1, N> &lanes, vec<double, N> x) {
    using P = Pairs<N>;
    const vec<double, N> a = lanes.plane[0];
    const vec<double, N> product =
        P::reals(a) * x + P::negated(P::imaginaries(a) * P::swapped(x), true, false);
    lanes.plane[0] = is_identity<N>(a) ? x : is_identity<N>(x) ? a : product;
  }
  template <size_t N>
  static void merge(Lanes<1, N> &left, const Lanes<1, N> &right) {
    step<N>(left, right.plane[0]);
  }
  static double value(const double *lane, double) { return lane[0]; }
};

template <class T>
struct Dot : SumOf<T>::type {
  using Base = typename SumOf<T>::type;
  using In = T;
  using Out = T;
  static constexpr size_t repeat = 1;
  static constexpr size_t unit = 1;
  static constexpr Second second = Second::operand;
  static constexpr double empty[2] = {0.0, 0.0};
  template <size_t N>
  static void step(Lanes<Base::planes, N> &lanes, vec<double, N> x, vec<double, N> y) {
    if constexpr (Base::planes == 1) {
      // The product of two floats is exact, 24 + 24 bits fit 53, so that fusing changes nothing.
      lanes.plane[0] = multiply_add<N>(x, y, lanes.plane[0]);
    } else {
      Base::template add_product<N>(lanes, x, y);
    }
  }
  static double value(const double *lane, double) { return Base::sum(lane); }
};

// Each part of a complex dot product adds two real products an element: first the one with the
// first operand's real part, then the one with its imaginary part.
template <class T, bool CONJUGATE>
struct ComplexDot : SumOf<T>::type {
  using Base = typename SumOf<T>::type;
  using In = T;
  using Out = T;
  static constexpr size_t repeat = 2;
  static constexpr size_t unit = 2;
  static constexpr Second second = Second::operand;
  static constexpr double empty[2] = {0.0, 0.0};
  template <size_t N>
  static void step(Lanes<Base::planes, N> &lanes, vec<double, N> x, vec<double, N> y) {
    using P = Pairs<N>;
    const vec<double, N> imaginaries = P::negated(P::imaginaries(x), !CONJUGATE, CONJUGATE);
    if constexpr (Base::planes == 1) {
      lanes.plane[0] = lanes.plane[0] + P::reals(x) * y;
      lanes.plane[0] = lanes.plane[0] + imaginaries * P::swapped(y);
    } else {
      Base::template add_product<N>(lanes, P::reals(x), y);
      Base::template add_product<N>(lanes, imaginaries, P::swapped(y));
    }
  }
  static double value(const double *lane, double) { return Base::sum(lane); }
};

template <class F>
struct Ordered {
  using In = typename F::In;
  static constexpr size_t PLANES = F::planes;
  static constexpr size_t WIDTH = STRIPES * F::repeat;      // flat lanes of a block
  static constexpr size_t NATIVE = VECTOR / sizeof(double); // lanes of a vector register
  static constexpr size_t VECTORS = WIDTH / NATIVE;         // registers of a block and plane
  static constexpr size_t STATE = WIDTH * PLANES;           // doubles of a block's state
  static constexpr size_t GROUP = WIDTH * sizeof(In);       // bytes of 16 elements
  static constexpr size_t GROUPS = BLOCK / STRIPES;
  static constexpr bool TWO = F::second == Second::operand;
  static constexpr bool CENTERED = F::second == Second::center;
  // An addition takes 4 cycles on a core that starts two of them each cycle: eight independent
  // registers hide it, four where each has a compensation with it. Four streams of products were
  // slower than two: 0.15 us a thousand of float64 from the L3 cache, and 0.18.
  static constexpr size_t CHAINS = PLANES == 1 ? 8 : TWO ? 1 : 4;
  static constexpr size_t TOGETHER =
      VECTORS >= CHAINS ? 1 : (CHAINS / VECTORS < 4 ? CHAINS / VECTORS : 4);

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
  // b: the second operand's bytes, or the float64 centers of these lanes. MANY: among eight chains.
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

  // Lanes i ... i + COUNT * N - 1 of `passes`, in registers over all rows.
  template <size_t N, size_t COUNT>
  static void strip(double *state, size_t plane, const char *a, const char *b, ptrdiff_t stride,
                    size_t rows) {
    L<N> lanes[COUNT];
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      lanes[j] = read<N>(state + j * N, plane);
    }
    for (size_t row = 0; row < rows; ++row) {
#pragma GCC unroll 8
      for (size_t j = 0; j < COUNT; ++j) {
        step<N>(lanes[j], a + j * N * sizeof(In), lane_of_b(b, j * N));
      }
      a += stride;
      b = next(b, stride);
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      write<N>(state + j * N, plane, lanes[j]);
    }
  }

  // Fewer than 2 * N lanes.
  template <size_t N>
  static void strips_below(double *state, size_t plane, size_t lanes, const char *a, const char *b,
                           ptrdiff_t stride, size_t rows) {
    if (lanes >= N) {
      strip<N, 1>(state, plane, a, b, stride, rows);
      state += N;
      a += N * sizeof(In);
      b = lane_of_b(b, N);
      lanes -= N;
    }
    if constexpr (N > F::unit) {
      if (lanes != 0) {
        strips_below<N / 2>(state, plane, lanes, a, b, stride, rows);
      }
    }
  }

  // Adds `rows` rows of `lanes` elements, stride bytes apart, to the state's lanes in rising order.
  COREPY_OUT_OF_LINE static void passes(double *state, size_t plane, size_t lanes, const char *a,
                                        const char *b, ptrdiff_t stride, size_t rows) {
    constexpr size_t WIDE = 4;
    size_t i = 0;
    for (; i + WIDE * NATIVE <= lanes; i += WIDE * NATIVE) {
      strip<NATIVE, WIDE>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride, rows);
    }
    for (; i + NATIVE <= lanes; i += NATIVE) {
      strip<NATIVE, 1>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride, rows);
    }
    if constexpr (NATIVE > F::unit) {
      if (i != lanes) {
        strips_below<NATIVE / 2>(state + i, plane, lanes - i, a + i * sizeof(In), lane_of_b(b, i),
                                 stride, rows);
      }
    }
  }

  // left = left o right over `lanes` lanes of states with the given distances between planes.
  COREPY_OUT_OF_LINE static void merge_lanes(double *left, size_t left_plane, const double *right,
                                             size_t right_plane, size_t lanes) {
    size_t i = 0;
    for (; i + NATIVE <= lanes; i += NATIVE) {
      L<NATIVE> total = read<NATIVE>(left + i, left_plane);
      F::template merge<NATIVE>(total, read<NATIVE>(right + i, right_plane));
      write<NATIVE>(left + i, left_plane, total);
    }
    constexpr size_t N = F::unit;
    for (; i < lanes; i += N) {
      L<N> total = read<N>(left + i, left_plane);
      F::template merge<N>(total, read<N>(right + i, right_plane));
      write<N>(left + i, left_plane, total);
    }
  }

  // COUNT whole blocks at once, merged in the tree.
  template <size_t COUNT>
  static void whole_blocks(double *state, const char *a, const char *b, const char *center) {
    L<NATIVE> lanes[COUNT][VECTORS];
#pragma GCC unroll 8
    for (size_t k = 0; k < COUNT; ++k) {
#pragma GCC unroll 16
      for (size_t j = 0; j < VECTORS; ++j) {
        lanes[k][j] = F::template identity<NATIVE>();
      }
    }
    for (size_t group = 0; group < GROUPS; ++group) {
#pragma GCC unroll 8
      for (size_t k = 0; k < COUNT; ++k) {
#pragma GCC unroll 16
        for (size_t j = 0; j < VECTORS; ++j) {
          const size_t offset = k * GROUPS * GROUP + j * NATIVE * sizeof(In);
          step<NATIVE, COUNT * VECTORS >= 8>(lanes[k][j], a + offset,
                                             CENTERED ? center
                                             : TWO    ? b + offset
                                                      : b);
        }
      }
      a += GROUP;
      b = next(b, GROUP);
    }
#pragma GCC unroll 8
    for (size_t distance = 1; distance < COUNT; distance *= 2) {
#pragma GCC unroll 8
      for (size_t k = 0; k < COUNT; k += 2 * distance) {
#pragma GCC unroll 16
        for (size_t j = 0; j < VECTORS; ++j) {
          F::template merge<NATIVE>(lanes[k][j], lanes[k + distance][j]);
        }
      }
    }
#pragma GCC unroll 16
    for (size_t j = 0; j < VECTORS; ++j) {
      write<NATIVE>(state + j * NATIVE, WIDTH, lanes[0][j]);
    }
  }

  // At most one block. centers: one center repeated for a vector register.
  COREPY_OUT_OF_LINE static void part_block(double *state, const char *a, const char *b,
                                            const double *centers, size_t n) {
    fill_identity(state, WIDTH);
    const char *second = CENTERED ? reinterpret_cast<const char *>(centers) : b;
    const size_t groups = n / STRIPES;
    const size_t rest = n % STRIPES * F::repeat;
    if (groups != 0) {
      for (size_t lane = 0; lane < WIDTH; lane += 2 * NATIVE) {
        strip<NATIVE, 2>(state + lane, WIDTH, a + lane * sizeof(In), lane_of_b(second, lane), GROUP,
                         groups);
      }
      a += groups * GROUP;
      second = next(second, static_cast<ptrdiff_t>(groups * GROUP));
    }
    if (rest != 0) {
      passes(state, WIDTH, rest, a, second, 0, 1);
    }
  }

  static uint64_t blocks(void *result, const void *first_a, const void *first_b, size_t n, size_t) {
    double *const state = static_cast<double *>(result);
    const char *a = static_cast<const char *>(first_a);
    const char *b = static_cast<const char *>(first_b);
    double centers[CENTERED ? WIDTH : 1];
    if constexpr (CENTERED) {
      const double center = load<double>(b);
      for (double &each : centers) {
        each = center;
      }
    }
    if (n < BLOCK) {
      part_block(state, a, b, centers, n);
      return 0;
    }
    // Complete subtrees, the largest first, as in a binary counter: with block number `done` the
    // trees that it completes are merged. 2^64 elements have fewer than 64 levels.
    double stack[64][STATE];
    size_t depth = 0;
    size_t done = 0;
    while (n >= BLOCK) {
      size_t count = 1;
      if (TOGETHER > 1 && n >= TOGETHER * BLOCK && done % TOGETHER == 0) {
        count = TOGETHER;
        whole_blocks<TOGETHER>(stack[depth++], a, b, reinterpret_cast<const char *>(centers));
      } else {
        whole_blocks<1>(stack[depth++], a, b, reinterpret_cast<const char *>(centers));
      }
      done += count;
      for (size_t trees = done / count; trees % 2 == 0; trees /= 2) {
        --depth;
        merge_lanes(stack[depth - 1], WIDTH, stack[depth], WIDTH, WIDTH);
      }
      a += count * GROUPS * GROUP;
      b = next(b, static_cast<ptrdiff_t>(count * GROUPS * GROUP));
      n -= count * BLOCK;
    }
    if (n != 0) {
      part_block(stack[depth++], a, b, centers, n);
    }
    for (; depth > 1; --depth) {
      merge_lanes(stack[depth - 2], WIDTH, stack[depth - 1], WIDTH, WIDTH);
    }
    __builtin_memcpy(state, stack[0], sizeof stack[0]);
    return 0;
  }

  // Rows added at once, so that the state is loaded and stored for every eighth. Their number is a
  // constant: leaving a short loop for each column costs more than the additions in it.
  static constexpr size_t AT_ONCE = 8;
  static constexpr size_t ACROSS = PLANES > 1 ? 2 : 1;

  // ROWS rows of COUNT registers, stride bytes apart, in rising order.
  template <size_t ROWS, size_t COUNT>
  static void down(double *state, size_t plane, const char *a, const char *b, ptrdiff_t stride) {
    constexpr size_t N = NATIVE;
    L<N> lanes[COUNT];
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      lanes[j] = read<N>(state + j * N, plane);
    }
#pragma GCC unroll 8
    for (size_t row = 0; row < ROWS; ++row) {
      const ptrdiff_t offset = static_cast<ptrdiff_t>(row) * stride;
#pragma GCC unroll 8
      for (size_t j = 0; j < COUNT; ++j) {
        step<N>(lanes[j], a + j * N * sizeof(In) + offset, next(lane_of_b(b, j * N), offset));
      }
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      write<N>(state + j * N, plane, lanes[j]);
    }
  }

  // At most AT_ONCE rows of whole registers.
  template <size_t ROWS = AT_ONCE>
  static void across(double *state, size_t plane, size_t lanes, const char *a, const char *b,
                     ptrdiff_t stride, size_t rows) {
    if (rows >= ROWS) {
      size_t i = 0;
      for (; i + ACROSS * NATIVE <= lanes; i += ACROSS * NATIVE) {
        down<ROWS, ACROSS>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride);
      }
      if (i != lanes) {
        down<ROWS, 1>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride);
      }
      const ptrdiff_t used = static_cast<ptrdiff_t>(ROWS) * stride;
      a += used;
      b = next(b, used);
      rows -= ROWS;
    }
    if constexpr (ROWS > 1) {
      if (rows != 0) {
        across<ROWS / 2>(state, plane, lanes, a, b, stride, rows);
      }
    }
  }

  // At most AT_ONCE rows.
  static void few_across(double *state, size_t plane, size_t lanes, const char *a, const char *b,
                         ptrdiff_t stride, size_t rows) {
    const size_t whole = lanes / NATIVE * NATIVE;
    across(state, plane, whole, a, b, stride, rows);
    if constexpr (NATIVE > F::unit) {
      if (whole != lanes) {
        strips_below<NATIVE / 2>(state + whole, plane, lanes - whole, a + whole * sizeof(In),
                                 lane_of_b(b, whole), stride, rows);
      }
    }
  }

  // Below it a row does not fill the registers of `passes`; the whole block lies in the L1 cache.
  static constexpr size_t NARROW = 64;

  // Sixteen rows without gaps are one row of all the state's lanes, whose memory runs on.
  static void joined(double *state, size_t lanes, const char *a, const char *b, ptrdiff_t step,
                     size_t rows) {
    const size_t plane = STRIPES * lanes;
    const size_t groups = rows / STRIPES;
    double centers[CENTERED ? STRIPES * NARROW : 1];
    if constexpr (CENTERED) {
      for (size_t i = 0; i < plane; ++i) {
        centers[i] = load<double>(b + i % lanes * sizeof(double));
      }
      b = reinterpret_cast<const char *>(centers);
    }
    size_t done = lanes < NARROW ? groups : 0;
    if (done != 0) {
      passes(state, plane, plane, a, b, step, groups);
    }
    for (; done < groups; done += AT_ONCE) {
      const ptrdiff_t offset = static_cast<ptrdiff_t>(done) * step;
      few_across(state, plane, plane, a + offset, next(b, offset), step,
                 groups - done < AT_ONCE ? groups - done : AT_ONCE);
    }
    const ptrdiff_t used = static_cast<ptrdiff_t>(groups) * step;
    few_across(state, plane, rows % STRIPES * lanes, a + used, next(b, used), 0, 1);
  }

  static uint64_t rows(void *result, const void *first_a, const void *first_b, size_t rows,
                       ptrdiff_t stride, size_t cols, size_t) {
    double *const state = static_cast<double *>(result);
    const char *const a = static_cast<const char *>(first_a);
    const char *const b = static_cast<const char *>(first_b);
    const size_t lanes = cols * F::repeat;
    const size_t plane = STRIPES * lanes;
    fill_identity(state, plane);
    const ptrdiff_t step = static_cast<ptrdiff_t>(STRIPES) * stride;
    if (stride == static_cast<ptrdiff_t>(lanes * sizeof(In)) && (!CENTERED || lanes < NARROW)) {
      joined(state, lanes, a, b, step, rows);
      return 0;
    }
    for (size_t top = 0; top < rows; top += AT_ONCE * STRIPES) {
      for (size_t stripe = 0; stripe < STRIPES && top + stripe < rows; ++stripe) {
        const size_t left = (rows - top - stripe + STRIPES - 1) / STRIPES;
        const ptrdiff_t offset = static_cast<ptrdiff_t>(top + stripe) * stride;
        few_across(state + stripe * lanes, plane, lanes, a + offset, next(b, offset), step,
                   left < AT_ONCE ? left : AT_ONCE);
      }
    }
    return 0;
  }

  static void merge(void *state, const void *right, size_t lanes) {
    const size_t flat = lanes * F::repeat;
    merge_lanes(static_cast<double *>(state), flat, static_cast<const double *>(right), flat, flat);
  }

  static void finish(void *out, void *partials, size_t cols, double divisor) {
    double *const state = static_cast<double *>(partials);
    const size_t lanes = cols * F::repeat;
    const size_t plane = STRIPES * lanes;
    for (size_t stripes = STRIPES / 2; stripes != 0; stripes /= 2) {
      merge_lanes(state, plane, state + stripes * lanes, plane, stripes * lanes);
    }
    using Out = typename F::Out;
    for (size_t i = 0; i < lanes; ++i) {
      double lane[PLANES];
      for (size_t p = 0; p < PLANES; ++p) {
        lane[p] = state[p * plane + i];
      }
      store(static_cast<char *>(out) + i * sizeof(Out), static_cast<Out>(F::value(lane, divisor)));
    }
  }

  static void empty(char *out) {
    using Out = typename F::Out;
    for (size_t part = 0; part < F::repeat; ++part) {
      store(out + part * sizeof(Out), static_cast<Out>(F::empty[part]));
    }
  }

  // One whole reduction of n >= 1 elements.
  static void one(char *out, const char *a, const char *b, size_t n, double divisor) {
    if (n < STRIPES) {
      few(out, a, b, n, divisor);
      return;
    }
    alignas(64) double state[STATE];
    blocks(state, a, b, n, 0);
    finish(out, state, 1, divisor);
  }

  // Fewer elements than stripes: each is its own stripe, and merging an absent one changes nothing.
  static void few(char *out, const char *a, const char *b, size_t n, double divisor) {
    constexpr size_t N = F::unit;
    using Out = typename F::Out;
    for (size_t part = 0; part < F::repeat; part += N) {
      L<N> stripes[STRIPES];
      for (size_t i = 0; i < n; ++i) {
        const size_t flat = i * F::repeat + part;
        stripes[i] = F::template identity<N>();
        step<N>(stripes[i], a + flat * sizeof(In), CENTERED ? b : lane_of_b(b, flat));
      }
      for (size_t fold = STRIPES / 2; fold != 0; fold /= 2) {
        for (size_t i = 0; i < fold && i + fold < n; ++i) {
          F::template merge<N>(stripes[i], stripes[i + fold]);
        }
      }
      double planes[PLANES * N];
      write<N>(planes, N, stripes[0]);
      for (size_t i = 0; i < N; ++i) {
        double lane[PLANES];
        for (size_t p = 0; p < PLANES; ++p) {
          lane[p] = planes[p * N + i];
        }
        store(out + (part + i) * sizeof(Out), static_cast<Out>(F::value(lane, divisor)));
      }
    }
  }

  static uint64_t each(void *first_out, const void *first_a, const void *first_b, size_t outer,
                       ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n, double divisor) {
    char *out = static_cast<char *>(first_out);
    const char *a = static_cast<const char *>(first_a);
    const char *b = static_cast<const char *>(first_b);
    for (size_t i = 0; i < outer; ++i) {
      if (n == 0) {
        empty(out);
      } else {
        double center;
        const void *second = b;
        if constexpr (CENTERED) {
          // Both passes over one row while it is in the cache.
          if (b == nullptr) {
            Ordered<Center<In>>::one(reinterpret_cast<char *>(&center), a, nullptr, n,
                                     static_cast<double>(n));
            second = &center;
          }
        }
        one(out, a, static_cast<const char *>(second), n, divisor);
      }
      out += F::repeat * sizeof(typename F::Out);
      a += a_stride;
      if (F::second != Second::none && b != nullptr) {
        b += b_stride;
      }
    }
    return 0;
  }

  // N lanes of `columns`. Every row is its own stripe, as in `few`.
  template <size_t N>
  static void few_rows(char *out, const char *a, const char *b, size_t rows, ptrdiff_t stride,
                       double divisor) {
    using Out = typename F::Out;
    double centers[N];
    if constexpr (CENTERED) {
      if (b == nullptr) {
        Ordered<Center<In>>::template few_rows<N>(reinterpret_cast<char *>(centers), a, nullptr,
                                                  rows, stride, static_cast<double>(rows));
        b = reinterpret_cast<const char *>(centers);
      }
    }
    L<N> stripes[STRIPES];
    for (size_t i = 0; i < rows; ++i) {
      stripes[i] = F::template identity<N>();
      step<N>(stripes[i], a, b);
      a += stride;
      b = next(b, stride);
    }
    for (size_t fold = STRIPES / 2; fold != 0; fold /= 2) {
      for (size_t i = 0; i < fold && i + fold < rows; ++i) {
        F::template merge<N>(stripes[i], stripes[i + fold]);
      }
    }
    double planes[PLANES * N];
    write<N>(planes, N, stripes[0]);
    Out results[N];
    for (size_t i = 0; i < N; ++i) {
      double lane[PLANES];
      for (size_t p = 0; p < PLANES; ++p) {
        lane[p] = planes[p * N + i];
      }
      results[i] = static_cast<Out>(F::value(lane, divisor));
    }
    __builtin_memcpy(out, results, sizeof results);
  }

  // All lanes, in vectors of N and then of fewer.
  template <size_t N>
  static void columns_by(char *out, const char *a, const char *b, size_t rows, ptrdiff_t stride,
                         size_t lanes, double divisor) {
    size_t i = 0;
    for (; i + N <= lanes; i += N) {
      const char *const second = b == nullptr ? nullptr : lane_of_b(b, i);
      few_rows<N>(out + i * sizeof(typename F::Out), a + i * sizeof(In), second, rows, stride,
                  divisor);
    }
    if constexpr (N > F::unit) {
      if (i != lanes) {
        columns_by<N / 2>(out + i * sizeof(typename F::Out), a + i * sizeof(In),
                          b == nullptr ? nullptr : lane_of_b(b, i), rows, stride, lanes - i,
                          divisor);
      }
    }
  }

  static void columns(void *out, const void *a, const void *b, size_t rows, ptrdiff_t stride,
                      size_t cols, double divisor) {
    columns_by<NATIVE>(static_cast<char *>(out), static_cast<const char *>(a),
                       static_cast<const char *>(b), rows, stride, cols * F::repeat, divisor);
  }

  static void register_in(corepy_reduction *slot) {
    *slot = {blocks, rows, merge, finish, each, columns, F::repeat * PLANES * sizeof(double)};
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
