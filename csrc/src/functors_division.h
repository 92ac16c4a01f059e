// Functors of floor division and remainder: Python's rules, the Array API's special values.
#pragma once

#include "functors_arithmetic.h"

namespace COREPY_NAMESPACE {
namespace {

struct Division : Functor {
  static constexpr Family family = Family::division;
};

template <class T>
struct Floored {
  T quotient, remainder;
};

// Exact while |a / b| < 2**mantissa_bits * 2, b not zero and a finite. The rounded quotient is
// never below the true one's floor, and at most one above it: rounding cannot cross a whole number
// downwards. a - floor * b is exact in one fused step unless the signs differ and |a| < |b|, where
// it is the one rounding that Python's a % b has.
template <class T>
inline Floored<T> floored(T a, T b, T ratio) {
  bool below = magnitude(a) < magnitude(b);
  T quotient = below ? with_sign_of(T(0), ratio) : floor_of(ratio);
  T remainder = below ? a : fused(-quotient, b, a);
  bool crossed = (remainder < 0) & (b > 0);
  crossed |= (remainder > 0) & (b < 0);
  return {crossed ? quotient - 1 : quotient, remainder == 0 ? with_sign_of(T(0), b)
                                             : crossed      ? remainder + b
                                                            : remainder};
}

// Whether floored() holds; NaN and infinite ratios are outside.
template <class T>
inline bool is_moderate(T ratio) {
  return magnitude(ratio) < 2 * whole_from<T>;
}

// a modulo b with the sign of a, exact, by long division: 11 bits of quotient a step, which is what
// 53 bits of remainder leave of a 64-bit word.
[[gnu::noinline, maybe_unused]] double truncated_remainder(double a, double b) {
  constexpr uint64_t hidden = uint64_t(1) << 52;
  uint64_t a_bits = raw(magnitude(a));
  uint64_t b_bits = raw(magnitude(b));
  if (a_bits < b_bits)
    return a;
  int a_exponent = int(a_bits >> 52);
  int b_exponent = int(b_bits >> 52);
  uint64_t rest = a_exponent ? (a_bits & (hidden - 1)) | hidden : a_bits;
  uint64_t divisor = b_exponent ? (b_bits & (hidden - 1)) | hidden : b_bits;
  // Subnormal numbers have the exponent of the smallest normal ones.
  int steps = (a_exponent ? a_exponent : 1) - (b_exponent ? b_exponent : 1);
  rest %= divisor;
  while (steps > 0 && rest != 0) {
    int bits = steps < 11 ? steps : 11;
    rest = (rest << bits) % divisor;
    steps -= bits;
  }
  if (rest == 0)
    return with_sign_of(0.0, a);
  int exponent = b_exponent ? b_exponent : 1;
  int shift = __builtin_clzll(rest) - 11;
  if (shift >= exponent)
    return with_sign_of(bits_as<double>(rest << (exponent - 1)), a);
  uint64_t fraction = (rest << shift) & (hidden - 1);
  return with_sign_of(bits_as<double>(fraction | (uint64_t(exponent - shift) << 52)), a);
}

// The remainder where the ratio is not moderate. The remainder of two float32 is one, too, so
// float64 serves both.
template <class T>
[[gnu::noinline]] T distant_remainder(T a, T b) {
  if (!is_finite(a) || is_nan(b) || b == 0)
    return quiet_nan<T>();
  T remainder = T(truncated_remainder(a, b));
  if (remainder == 0)
    return with_sign_of(T(0), b);
  return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

// Integers divide in floating point, which has vectors, where that is exact: the quotient of whole
// numbers below 2**51 (float64) or 2**16 (float32) is at least 1 / |b| away from the next whole
// number unless it is one, and rounded by less, so that its floor is the true one. The product with
// b and the difference from a are exact, too. Only 64-bit integers can be outside.
template <bool narrow>
struct Quotient {
  using real = double;
  // 1.5 * 2**52: adding it leaves a whole number in the low bits, a negative one too.
  static constexpr real offset = 0x1.8p52;
};
template <>
struct Quotient<true> {
  using real = float;
  static constexpr real offset = 0x1.8p23f;
};

template <class T>
struct Divisible : Quotient<sizeof(T) <= 2> {
  using real = typename Quotient<sizeof(T) <= 2>::real;
  using bits = Raw<real>;
  using Quotient<sizeof(T) <= 2>::offset;
  static constexpr bits offset_bits = __builtin_bit_cast(bits, offset);
  static constexpr uint64_t range = uint64_t(1) << 51;

  static bool holds(T a, T b) {
    if constexpr (sizeof(T) < 8)
      return b != 0;
    else if constexpr (is_signed_integer<T>)
      return (b != 0) & (Raw<T>(a) + range < 2 * range) & (Raw<T>(b) + range < 2 * range);
    else
      return (b != 0) & (a < range) & (b < range);
  }
  static real from(T x) {
    if constexpr (sizeof(T) <= 2 || (sizeof(T) == 4 && is_signed_integer<T>))
      return real(x);
    else // There is no vector conversion from 64-bit or unsigned integers before AVX-512.
      return bits_as<real>(bits(uint64_t(x) + offset_bits)) - offset;
  }
  static T to(real x) { return T(bits_as<bits>(x + offset) - offset_bits); }
};

// Division of integers by one number above zero, as a product with its reciprocal in fixed point:
// Granlund and Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994,
// figure 4.1. Numbers below zero are turned to the whole numbers beside them: floor(a / d) is ~(~a
// / d).
template <class T>
struct Reciprocal {
  using U = Raw<T>;
  static constexpr int bits = width_of<T>;
  U divisor, factor;
  int first, second;

  explicit Reciprocal(T d) : divisor(U(d)) {
    // The smallest power of two that is not below the divisor.
    int power = divisor == 1 ? 0 : 64 - __builtin_clzll(uint64_t(divisor) - 1);
    first = power > 0 ? 1 : 0;
    second = power > 0 ? power - 1 : 0;
    // factor = 2**bits * (2**power - divisor) / divisor + 1, digit by digit: the dividend has two
    // words.
    uint64_t rest = (power == 64 ? 0 : uint64_t(1) << power) - divisor, quotient = 0;
    for (int i = 0; i < bits; i++) {
      bool carry = rest >> 63;
      rest <<= 1;
      bool fits = carry | (rest >= divisor);
      rest -= fits ? divisor : 0;
      quotient = quotient << 1 | uint64_t(fits);
    }
    factor = U(quotient + 1);
  }

  static U high_product(U a, U b) {
    if constexpr (bits == 64) {
#if defined(__AVX512DQ__)
      // Products of halves, which have vector instructions: 350 us for 1,000,000, one by one 830.
      const uint64_t low = uint32_t(-1);
      uint64_t ll = (a & low) * (b & low), hl = (a >> 32) * (b & low);
      uint64_t lh = (a & low) * (b >> 32), hh = (a >> 32) * (b >> 32);
      uint64_t middle = (ll >> 32) + (hl & low) + (lh & low);
      return U(hh + (hl >> 32) + (lh >> 32) + (middle >> 32));
#else
      U high = U((unsigned __int128)(a)*b >> 64);
      // Keeps GCC from vectors, in which this takes longer.
      asm("" : "+r"(high));
      return high;
#endif
    } else if constexpr (bits == 32)
      return U(uint64_t(a) * b >> 32);
    else
      return U(uint32_t(a) * uint32_t(b) >> bits);
  }
  U divided(U a) const {
    U high = high_product(factor, a);
    return U(U(high + U(U(a - high) >> first)) >> second);
  }
};

// In 16 bits there is room for a factor of 2**16 / divisor, rounded up: it is too large by less
// than the divisor over 2**16, and no dividend below 2**8 makes a whole of that. One has no such
// factor.
template <class T>
  requires(sizeof(T) == 1)
struct Reciprocal<T> {
  using U = Raw<T>;
  U divisor, whole;
  uint16_t factor;

  explicit Reciprocal(T d)
      : divisor(U(d)), whole(d == 1 ? U(~U(0)) : U(0)),
        factor(d == 1 ? uint16_t(0) : uint16_t(65535 / divisor + 1)) {}
  U divided(U a) const { return U(uint16_t(uint32_t(a) * factor >> 16) | (a & whole)); }
};

template <class T>
struct Invariant : Reciprocal<T> {
  using U = Raw<T>;
  using Reciprocal<T>::Reciprocal;

  T floored(T a) const {
    U sign = is_signed_integer<T> && a < 0 ? U(~U(0)) : U(0);
    return T(U(this->divided(U(U(a) ^ sign)) ^ sign));
  }
  T remainder(T a) const {
    return T(U(Wide<T>(U(a)) - Wide<T>(U(floored(a))) * Wide<T>(this->divisor)));
  }
};

// Integers: the fault is division by zero. The smallest integer by -1 wraps, and the processor's
// division instruction would trap on it.
struct FloorDivide : Division {
  template <class T>
  static constexpr bool total = is_floating<T>;
  template <class T>
  static T apply(T a, T b) {
    T ratio = a / b;
    return is_moderate(ratio) ? floored(a, b, ratio).quotient : ratio;
  }
  template <class T>
  static bool apply(T a, T b, T &out) {
    if (b == 0)
      return false;
    if constexpr (is_signed_integer<T>) {
      if (b == -1) {
        out = T(Wide<T>(0) - Wide<T>(a));
        return true;
      }
      T quotient = T(a / b);
      T rest = T(a % b);
      out = T(quotient - ((rest != 0) & ((rest < 0) != (b < 0))));
    } else {
      out = T(a / b);
    }
    return true;
  }
  template <class T>
  static T divided(T a, T b) {
    using D = Divisible<T>;
    return D::to(floor_of(D::from(a) / D::from(b)));
  }
  template <class T>
  static T invariant(const Invariant<T> &divisor, T a) {
    return divisor.floored(a);
  }
};

struct Remainder : Division {
  template <class T>
  static constexpr bool total = is_floating<T>;
  // apply holds where `holds` says so; the loop repairs the other elements with `otherwise`.
  template <class T>
  static T apply(T a, T b) {
    return floored(a, b, a / b).remainder;
  }
  template <class T>
  static bool holds(T a, T b) {
    return is_moderate(a / b);
  }
  template <class T>
  static T otherwise(T a, T b) {
    return distant_remainder(a, b);
  }
  template <class T>
  static bool apply(T a, T b, T &out) {
    if (b == 0)
      return false;
    if constexpr (is_signed_integer<T>) {
      T rest = b == -1 ? T(0) : T(a % b);
      out = T(rest + ((rest != 0) & ((rest < 0) != (b < 0)) ? b : T(0)));
    } else {
      out = T(a % b);
    }
    return true;
  }
  template <class T>
  static T divided(T a, T b) {
    using D = Divisible<T>;
    auto p = D::from(a), q = D::from(b);
    return D::to(p - floor_of(p / q) * q);
  }
  template <class T>
  static T invariant(const Invariant<T> &divisor, T a) {
    return divisor.remainder(a);
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
