// What the float reductions add up: the lanes of each family, its step, its merge and its value.
#pragma once

#include "reduce_lanes.h"

namespace COREPY_NAMESPACE {
namespace {

// The accumulators of N flat lanes.
template <size_t PLANES, size_t N>
struct Lanes {
  vec<double, N> plane[PLANES];
};

// The float64 values of compensated totals: s + c, or s where c is 0 or not finite.
template <size_t N>
inline vec<double, N> pair_values(vec<double, N> s, vec<double, N> c) {
  const vec<double, N> zero{};
  const vec<double, N> difference = c - c; // 0, or NaN where c is not finite
  return (c == zero) | (difference != zero) ? s : s + c;
}

// (s + c) / n with the remainder of the first division divided again. The quotient alone where the
// correction is 0 or not finite, so that infinities and the sign of a zero survive.
template <size_t N>
inline vec<double, N> pair_quotients(vec<double, N> s, vec<double, N> c, double divisor) {
  const vec<double, N> n = splat_double<N>(divisor);
  const vec<double, N> q = s / n;
  return pair_values<N>(q, (fused<N>(-q, n, s) + c) / n);
}

enum class Second { none, center, operand };

// Merging is always inlined: where a kernel has many, GCC calls it, and registers go through memory
// (float64 8 x 100,000: 54 GB/s instead of 80).
//
// Plain float64 lanes: sums whose terms are exact or need no compensation.
struct PlainSum {
  static constexpr size_t planes = 1;
  template <size_t N>
  static Lanes<1, N> identity() {
    return {{splat_double<N>(-0.0)}};
  }
  template <size_t N>
  [[gnu::always_inline]] static void merge(Lanes<1, N> &left, const Lanes<1, N> &right) {
    left.plane[0] = left.plane[0] + right.plane[0];
  }
  // What adding x to the identity gives, up to an error that is NaN where x is not finite; `sums`
  // and `quotients` leave such errors out.
  template <size_t N>
  static Lanes<1, N> first(vec<double, N> x) {
    return {{x}};
  }
  template <size_t N>
  static vec<double, N> sums(const Lanes<1, N> &lanes) {
    return lanes.plane[0];
  }
  // A float32 mean: the float64 quotient is rounded once more, which no correction could change.
  template <size_t N>
  static vec<double, N> quotients(const Lanes<1, N> &lanes, double n) {
    return lanes.plane[0] / splat_double<N>(n);
  }
};

// Compensated float64 lanes: plane 0 is the sum, plane 1 the sum of its rounding errors.
struct PairSum {
  static constexpr size_t planes = 2;
  template <size_t N>
  static Lanes<2, N> identity() {
    return {{splat_double<N>(-0.0), splat_double<N>(0.0)}};
  }
  template <size_t N>
  [[gnu::always_inline]] static void merge(Lanes<2, N> &left, const Lanes<2, N> &right) {
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
  template <size_t N>
  static Lanes<2, N> first(vec<double, N> x) {
    return {{x, splat_double<N>(0.0)}};
  }
  template <size_t N>
  static vec<double, N> sums(const Lanes<2, N> &lanes) {
    return pair_values<N>(lanes.plane[0], lanes.plane[1]);
  }
  template <size_t N>
  static vec<double, N> quotients(const Lanes<2, N> &lanes, double n) {
    return pair_quotients<N>(lanes.plane[0], lanes.plane[1], n);
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

// What a family takes. REPEAT: flat lanes an element. UNIT: flat lanes that must stay together.
template <class T, size_t REPEAT, size_t UNIT, Second SECOND>
struct Taking {
  using In = T;
  using Out = T;
  static constexpr size_t repeat = REPEAT;
  static constexpr size_t unit = UNIT;
  static constexpr Second second = SECOND;
};

// A sum of something, in the accumulators that are right for T.
template <class T, size_t REPEAT, size_t UNIT, Second SECOND>
struct Summing : Taking<T, REPEAT, UNIT, SECOND>, SumOf<T>::type {
  using Base = typename SumOf<T>::type;
  static constexpr double empty[2] = {0.0, 0.0};
  template <size_t N>
  static vec<double, N> values(const Lanes<Base::planes, N> &lanes, double) {
    return Base::template sums<N>(lanes);
  }
};

// What a family adds up, and what totals become, are its `step` and `values`; `start` is a step
// onto the identity, where that is shorter.
template <class T, size_t REPEAT>
struct Sum : Summing<T, REPEAT, 1, Second::none> {
  using Base = typename SumOf<T>::type;
  template <size_t N>
  static void step(Lanes<Base::planes, N> &lanes, vec<double, N> x) {
    if constexpr (Base::planes == 1) {
      lanes.plane[0] = lanes.plane[0] + x;
    } else {
      const vec<double, N> error = two_sum<N>(lanes.plane[0], x);
      lanes.plane[1] = lanes.plane[1] + error;
    }
  }
  template <size_t N>
  static Lanes<Base::planes, N> start(vec<double, N> x) {
    return Base::template first<N>(x);
  }
  // For eight registers or more, which hide that a multiplier takes longer: the adders have the
  // conversions to do.
  template <size_t N>
    requires(Base::planes == 1)
  static void step_of_many(Lanes<1, N> &lanes, vec<double, N> x) {
    lanes.plane[0] = add_by_fma<N>(lanes.plane[0], x);
  }
};

template <class T, size_t REPEAT>
struct Mean : Sum<T, REPEAT> {
  static constexpr double empty[2] = {__builtin_nan(""), __builtin_nan("")};
  template <size_t N>
  static vec<double, N> values(const Lanes<Mean::Base::planes, N> &lanes, double n) {
    return Mean::Base::template quotients<N>(lanes, n);
  }
};

template <class T>
struct Center : Mean<T, 1> {
  using Out = double;
};

template <class T>
struct Variance : Summing<T, 1, 1, Second::center> {
  using Base = typename SumOf<T>::type;
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
  template <size_t N>
  static vec<double, N> values(const Lanes<Base::planes, N> &lanes, double divisor) {
    return divisor > 0 ? Base::template quotients<N>(lanes, divisor)
                       : splat_double<N>(__builtin_nan(""));
  }
};

template <class T>
struct Deviation : Variance<T> {
  template <size_t N>
  static vec<double, N> values(const Lanes<Deviation::Base::planes, N> &lanes, double divisor) {
    return square_roots<N>(Variance<T>::template values<N>(lanes, divisor));
  }
};

// Products: merging is one more step of FAMILY.
template <class FAMILY>
struct Multiplied {
  static constexpr size_t planes = 1;
  static constexpr double empty[2] = {1.0, 0.0};
  template <size_t N>
  static void merge(Lanes<1, N> &left, const Lanes<1, N> &right) {
    FAMILY::template step<N>(left, right.plane[0]);
  }
  template <size_t N>
  static vec<double, N> values(const Lanes<1, N> &lanes, double) {
    return lanes.plane[0];
  }
};

template <class T>
struct Product : Taking<T, 1, 1, Second::none>, Multiplied<Product<T>> {
  template <size_t N>
  static Lanes<1, N> identity() {
    return {{splat_double<N>(1.0)}};
  }
  template <size_t N>
  static void step(Lanes<1, N> &lanes, vec<double, N> x) {
    lanes.plane[0] = lanes.plane[0] * x;
  }
};

template <class T>
struct ComplexProduct : Taking<T, 2, 2, Second::none>, Multiplied<ComplexProduct<T>> {
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
};

template <class T>
struct Dot : Summing<T, 1, 1, Second::operand> {
  using Base = typename SumOf<T>::type;
  template <size_t N>
  static void step(Lanes<Base::planes, N> &lanes, vec<double, N> x, vec<double, N> y) {
    if constexpr (Base::planes == 1) {
      // The product of two floats is exact, 24 + 24 bits fit 53, so that fusing changes nothing.
      lanes.plane[0] = multiply_add<N>(x, y, lanes.plane[0]);
    } else {
      Base::template add_product<N>(lanes, x, y);
    }
  }
};

// Each part of a complex dot product adds two real products an element: first the one with the
// first operand's real part, then the one with its imaginary part.
template <class T, bool CONJUGATE>
struct ComplexDot : Summing<T, 2, 2, Second::operand> {
  using Base = typename SumOf<T>::type;
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
};

} // namespace
} // namespace COREPY_NAMESPACE
