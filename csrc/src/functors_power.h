// The functor of powers: whole-number exponents by binary powering, and 0.5.
#pragma once

#include "functors_arithmetic.h"

namespace COREPY_NAMESPACE {
namespace {

enum class Power { whole, half, infinite, nan, refused };

struct Exponent {
  Power power;
  bool negative;
  uint64_t count; // |exponent| where it is whole
};

inline Exponent exponent_of(double e) {
  double size = magnitude(e);
  if (is_nan(e))
    return {Power::nan, false, 0};
  if (size == infinity<double>())
    return {Power::infinite, e < 0, 0};
  if (e == 0.5)
    return {Power::half, false, 0};
  if (trunc_of(size) != size)
    return {Power::refused, false, 0};
  // From 2**53 on all are even, and 2**63 already takes every base but 0, 1 and -1 to 0 or
  // infinity: (1 + 2**-52) ** 2**63 is e ** 2048.
  return {Power::whole, e < 0, size < 0x1p63 ? uint64_t(size) : uint64_t(1) << 63};
}

template <class T>
inline Exponent exponent_of_element(T e) {
  if constexpr (is_complex<T>) {
    if (is_nan(e.re) || is_nan(e.im))
      return {Power::nan, false, 0};
    Exponent exponent = exponent_of(double(e.re));
    if (e.im != 0 || exponent.power == Power::infinite)
      return {Power::refused, false, 0};
    return exponent;
  } else if constexpr (is_floating<T>) {
    return exponent_of(double(e));
  } else if constexpr (is_signed_integer<T>) {
    return {e < 0 ? Power::refused : Power::whole, false, uint64_t(e)};
  } else {
    return {Power::whole, false, uint64_t(e)};
  }
}

template <class T>
inline T one() {
  if constexpr (is_complex<T>)
    return {1, 0};
  else
    return T(1);
}

template <class T>
inline T square_root_power(T x) {
  // 0.5 is not sqrt for -0 and -infinity: both lose their sign.
  if constexpr (is_floating<T>)
    return x == 0 ? T(0) : x == -infinity<T>() ? infinity<T>() : square_root(x);
  else if constexpr (is_complex<T>)
    return square_root(x);
  else
    return x;
}

template <class T>
inline T reciprocal(T x) {
  if constexpr (is_integer<T>)
    return x;
  else if constexpr (is_complex<T>)
    return quotient(one<T>(), x);
  else
    return 1 / x;
}

// x to an exponent that is neither whole nor refused.
template <class T>
[[gnu::noinline]] T special_power(T x, Exponent exponent) {
  if constexpr (is_floating<T>) {
    if (exponent.power == Power::half)
      return square_root_power(x);
    if (exponent.power == Power::nan)
      return x == 1 ? x : quiet_nan<T>();
    T size = magnitude(x);
    if (is_nan(x) || size == 1)
      return is_nan(x) ? x : T(1);
    return (size > 1) != exponent.negative ? infinity<T>() : T(0);
  } else if constexpr (is_complex<T>) {
    if (exponent.power == Power::half)
      return square_root_power(x);
    using P = typename Element<T>::part;
    return x.re == 1 && x.im == 0 ? x : T{quiet_nan<P>(), quiet_nan<P>()};
  } else {
    return x;
  }
}

struct Pow : Functor {
  static constexpr Family family = Family::division;
  template <class T>
  static constexpr bool total = false;

  template <class T>
  [[gnu::noinline]] static bool apply(T x, T e, T &out) {
    Exponent exponent = exponent_of_element(e);
    if (exponent.power == Power::refused)
      return false;
    if (exponent.power != Power::whole) {
      out = special_power(x, exponent);
      return true;
    }
    T result = one<T>();
    T power = x;
    // The first factor is taken as it is: 1 * z is not z for complex infinities and zeros.
    bool empty = true;
    for (uint64_t rest = exponent.count; rest != 0;) {
      if (rest & 1) {
        result = empty ? power : Multiply::apply(result, power);
        empty = false;
      }
      rest >>= 1;
      if (rest != 0)
        power = Square::apply(power);
    }
    out = exponent.negative ? reciprocal(result) : result;
    return true;
  }

  // Many bases and one exponent: the same multiplications in the same order, bit by bit of the
  // exponent over a block of bases that the vector units can work on.
  template <class T>
  static uint64_t uniform(T *out, const T *x, T e, size_t n) {
    constexpr size_t block = 512 / sizeof(T);
    Exponent exponent = exponent_of_element(e);
    if (exponent.power == Power::refused)
      return 0;
    if (exponent.power == Power::half) {
#pragma GCC ivdep
      for (size_t i = 0; i < n; i++)
        out[i] = square_root_power(x[i]);
      return n;
    }
    if (exponent.power != Power::whole) {
      for (size_t i = 0; i < n; i++)
        out[i] = special_power(x[i], exponent);
      return n;
    }
    T power[block], result[block];
    for (size_t start = 0; start < n; start += block) {
      size_t count = n - start < block ? n - start : block;
      for (size_t i = 0; i < count; i++) {
        power[i] = x[start + i];
        result[i] = one<T>();
      }
      bool empty = true;
      for (uint64_t rest = exponent.count; rest != 0;) {
        if (rest & 1) {
          for (size_t i = 0; i < count; i++)
            result[i] = empty ? power[i] : Multiply::apply(result[i], power[i]);
          empty = false;
        }
        rest >>= 1;
        if (rest != 0)
          for (size_t i = 0; i < count; i++)
            power[i] = Square::apply(power[i]);
      }
      if (exponent.negative)
        for (size_t i = 0; i < count; i++)
          result[i] = reciprocal(result[i]);
      for (size_t i = 0; i < count; i++)
        out[start + i] = result[i];
    }
    return n;
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
