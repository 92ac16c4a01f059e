// Conversion of one element between any two storage dtypes.
#pragma once

#include "lane.h"

namespace COREPY_NAMESPACE {
namespace {

// Layouts of the two 16-bit floats.
template <class H>
struct Half;
template <>
struct Half<corepy_float16> {
  static constexpr int mantissa_bits = 10;
  static constexpr int exponent_bias = 15;
};
template <>
struct Half<corepy_bfloat16> {
  static constexpr int mantissa_bits = 7;
  static constexpr int exponent_bias = 127;
};

// 2**exponent of a normal number.
template <class T>
constexpr Raw<T> power_bits(int exponent) {
  return Raw<T>(exponent + Element<T>::exponent_bias) << Element<T>::mantissa_bits;
}

// float32 or float64 to 16 bits with one rounding to nearest, ties to even. Written without
// branches, so that the loop over it vectorises; every level takes this path.
template <class H, class T>
inline H half_from(T x) {
  constexpr int dropped = Element<T>::mantissa_bits - Half<H>::mantissa_bits;
  constexpr int bias = Half<H>::exponent_bias;
  constexpr Raw<T> infinite = Raw<T>(2 * bias + 1) << Half<H>::mantissa_bits;
  constexpr Raw<T> quiet = infinite | Raw<T>(1) << (Half<H>::mantissa_bits - 1);
  Raw<T> size = raw(magnitude(x));
  Raw<T> sign = raw(x) >> (width_of<T> - 16) & 0x8000;
  // Normal: move the exponent, add a half of the last place (less one where that is even), cut.
  Raw<T> odd = size >> dropped & 1;
  Raw<T> normal = size - (Raw<T>(Element<T>::exponent_bias - bias) << Element<T>::mantissa_bits);
  normal = (normal + (Raw<T>(1) << (dropped - 1)) - 1 + odd) >> dropped;
  // Subnormal: the sum with a number whose last place is the smallest subnormal rounds right.
  constexpr Raw<T> anchor =
      power_bits<T>(1 - bias - Half<H>::mantissa_bits + Element<T>::mantissa_bits);
  Raw<T> subnormal = raw(T(bits_as<T>(size) + bits_as<T>(anchor))) - anchor;
  // NaN keeps the upper bits of its payload.
  Raw<T> nan = quiet | (size >> dropped & ((Raw<T>(1) << Half<H>::mantissa_bits) - 1));
  Raw<T> result = size < power_bits<T>(1 - bias) ? subnormal : normal;
  // For bfloat16 from float32, infinity is the first size that is too large; else 2**(bias + 1).
  constexpr Raw<T> limit =
      bias == Element<T>::exponent_bias ? infinity_bits<T> : power_bits<T>(bias + 1);
  result = size >= limit ? infinite : result;
  result = size > infinity_bits<T> ? nan : result;
  return {uint16_t(sign | result)};
}

inline float float_from(corepy_bfloat16 x) { return bits_as<float>(uint32_t(x.bits) << 16); }

inline float float_from(corepy_float16 x) {
  uint32_t size = uint32_t(x.bits & 0x7fff) << 13;
  uint32_t sign = uint32_t(x.bits & 0x8000) << 16;
  uint32_t normal = size + (uint32_t(127 - 15) << 23);
  // Infinities and NaN: the rest of the way to the largest exponent.
  normal += size >= 0x0f800000 ? uint32_t(128 - 16) << 23 : 0;
  // Subnormal: a number with the smallest normal exponent, from which the hidden bit is taken off.
  float subnormal = bits_as<float>(size + power_bits<float>(-14)) - 0x1p-14f;
  return bits_as<float>(sign | (size < 0x00800000 ? raw(subnormal) : normal));
}

// The value as a double that rounds to 16 bits as the integer itself would: all bits below the 53
// that a double holds are folded into the last one (rounding to odd).
template <class T>
inline double sticky_double(T x) {
  if constexpr (sizeof(T) < 8) {
    return double(x);
  } else {
    bool negative = is_signed_integer<T> && x < T(0);
    uint64_t size = negative ? 0 - uint64_t(x) : uint64_t(x);
    uint64_t folded = (size & ~uint64_t(0x7ff)) | uint64_t((size & 0x7ff) != 0) << 11;
    double value = double(size >> 53 ? folded : size);
    return negative ? -value : value;
  }
}

// Truncates; beyond the range of I the nearest end, NaN gives 0.
template <class I, class T>
inline I integer_from(T x) {
  constexpr int bits = width_of<I> - (is_signed_integer<I> ? 1 : 0);
  constexpr I largest = I(Raw<I>(~Raw<I>(0)) >> (width_of<I> - bits));
  constexpr I smallest = I(is_signed_integer<I> ? -largest - 1 : 0);
  // One above the largest: a power of two, which T holds exactly where the largest itself is not.
  constexpr T limit = T(Raw<I>(Raw<I>(1) << (bits - 1))) * 2;
  constexpr T lowest = T(smallest);
  bool inside = (x >= lowest) & (x < limit);
  T safe = inside ? x : T(0);
  I result;
  // Narrow types by way of int32, the only width that every level converts to in vectors. Clamping
  // before the conversion instead measured up to twice as slow: it works at the wider type.
  if constexpr (sizeof(I) < 4)
    result = I(int32_t(safe));
  else
    result = I(safe);
  result = x >= limit ? largest : result;
  return x < lowest ? smallest : result;
}

// 1 or 0 by its bits: GCC 12 does not vectorise the conversion of a comparison's result.
template <class To>
inline To number_of_truth(bool x) {
  if constexpr (is_floating<To>)
    return bits_as<To>(Raw<To>(x ? power_bits<To>(0) : 0));
  else if constexpr (kind_of<To> == Kind::half)
    return {uint16_t(x ? Half<To>::exponent_bias << Half<To>::mantissa_bits : 0)};
  else if constexpr (is_complex<To>)
    return {number_of_truth<typename Element<To>::part>(x), 0};
  else
    return To(x);
}

template <class To, class From>
inline To convert(From x) {
  if constexpr (__is_same(To, From) && !is_truth<From>) {
    return x;
  } else if constexpr (kind_of<From> == Kind::half) {
    return convert<To>(float_from(x));
  } else if constexpr (is_truth<To>) {
    if constexpr (is_complex<From>)
      return To((x.re != 0) | (x.im != 0));
    else
      return To(x != 0);
  } else if constexpr (is_truth<From>) {
    return number_of_truth<To>(x != 0);
  } else if constexpr (is_complex<To>) {
    using Part = typename Element<To>::part;
    if constexpr (is_complex<From>)
      return {Part(x.re), Part(x.im)};
    else
      return {convert<Part>(x), 0};
  } else if constexpr (is_complex<From>) {
    return convert<To>(x.re);
  } else if constexpr (kind_of<To> == Kind::half) {
    if constexpr (is_floating<From>)
      return half_from<To>(x);
    else if constexpr (sizeof(From) < 4)
      return half_from<To>(float(x));
    else
      return half_from<To>(sticky_double(x));
  } else if constexpr (is_integer<To> && is_floating<From>) {
    return integer_from<To>(x);
  } else {
    return To(x);
  }
}

} // namespace
} // namespace COREPY_NAMESPACE
