// Element types and the arithmetic that every kernel shares: bit casts, wrapping, rounding.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {
namespace {

enum class Kind { truth, signed_integer, unsigned_integer, floating, half, complex };

// What a kernel needs to know of an element type. `raw` is the unsigned integer of its size;
// `wide` the unsigned type in which integers wrap without the promotion to int that would make
// uint16_t products overflow a signed type.
template <class T>
struct Element;

template <Kind K, class Raw, class Wide = Raw>
struct ElementOf {
  static constexpr Kind kind = K;
  using raw = Raw;
  using wide = Wide;
};

template <>
struct Element<corepy_bool> : ElementOf<Kind::truth, uint8_t, uint32_t> {};
template <>
struct Element<int8_t> : ElementOf<Kind::signed_integer, uint8_t, uint32_t> {};
template <>
struct Element<int16_t> : ElementOf<Kind::signed_integer, uint16_t, uint32_t> {};
template <>
struct Element<int32_t> : ElementOf<Kind::signed_integer, uint32_t> {};
template <>
struct Element<int64_t> : ElementOf<Kind::signed_integer, uint64_t> {};
template <>
struct Element<uint8_t> : ElementOf<Kind::unsigned_integer, uint8_t, uint32_t> {};
template <>
struct Element<uint16_t> : ElementOf<Kind::unsigned_integer, uint16_t, uint32_t> {};
template <>
struct Element<uint32_t> : ElementOf<Kind::unsigned_integer, uint32_t> {};
template <>
struct Element<uint64_t> : ElementOf<Kind::unsigned_integer, uint64_t> {};
template <>
struct Element<corepy_float16> : ElementOf<Kind::half, uint16_t> {};
template <>
struct Element<corepy_bfloat16> : ElementOf<Kind::half, uint16_t> {};
template <>
struct Element<float> : ElementOf<Kind::floating, uint32_t> {
  static constexpr int mantissa_bits = 23;
  static constexpr int exponent_bias = 127;
};
template <>
struct Element<double> : ElementOf<Kind::floating, uint64_t> {
  static constexpr int mantissa_bits = 52;
  static constexpr int exponent_bias = 1023;
};
template <>
struct Element<corepy_complex64> : ElementOf<Kind::complex, uint64_t> {
  using part = float;
};
template <>
struct Element<corepy_complex128> : ElementOf<Kind::complex, unsigned __int128> {
  using part = double;
};

template <class T>
using Raw = typename Element<T>::raw;
template <class T>
using Wide = typename Element<T>::wide;

template <class T>
constexpr Kind kind_of = Element<T>::kind;
template <class T>
constexpr bool is_truth = kind_of<T> == Kind::truth;
template <class T>
constexpr bool is_signed_integer = kind_of<T> == Kind::signed_integer;
template <class T>
constexpr bool is_integer = is_signed_integer<T> || kind_of<T> == Kind::unsigned_integer;
template <class T>
constexpr bool is_floating = kind_of<T> == Kind::floating;
template <class T>
constexpr bool is_complex = kind_of<T> == Kind::complex;

template <class To, class From>
inline To bits_as(From x) {
  return __builtin_bit_cast(To, x);
}

template <class T>
inline Raw<T> raw(T x) {
  return bits_as<Raw<T>>(x);
}

template <class T>
constexpr int width_of = 8 * sizeof(T);
template <class T>
constexpr Raw<T> sign_bit = Raw<T>(Raw<T>(1) << (width_of<T> - 1));
// Bits of +infinity: every exponent bit.
template <class T>
constexpr Raw<T> infinity_bits =
    Raw<T>(Raw<T>(2 * Element<T>::exponent_bias + 1) << Element<T>::mantissa_bits);
// 2 to the power of the mantissa's bits: floats from here on have no fractional part.
template <class T>
constexpr T whole_from = T(uint64_t(1) << Element<T>::mantissa_bits);

template <class T>
inline T infinity() {
  return bits_as<T>(infinity_bits<T>);
}
template <class T>
inline T quiet_nan() {
  return bits_as<T>(Raw<T>(infinity_bits<T> | (Raw<T>(1) << (Element<T>::mantissa_bits - 1))));
}
template <class T>
inline T magnitude(T x) {
  return bits_as<T>(Raw<T>(raw(x) & ~sign_bit<T>));
}
template <class T>
inline T with_sign_of(T x, T sign) {
  return bits_as<T>(Raw<T>((raw(x) & ~sign_bit<T>) | (raw(sign) & sign_bit<T>)));
}
template <class T>
inline bool is_nan(T x) {
  return x != x;
}
template <class T>
inline bool is_infinite(T x) {
  return magnitude(x) == infinity<T>();
}
template <class T>
inline bool is_finite(T x) {
  return magnitude(x) < infinity<T>();
}

inline float square_root(float x) { return __builtin_sqrtf(x); }
inline double square_root(double x) { return __builtin_sqrt(x); }

// One rounding; a library call at the portable level, an instruction at every other.
inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

// a * b, rounded before it is used. GCC 12 turns interleaved lanes of a*b - c and a*b + c into
// fused vfmaddsub even under -ffp-contract=off; it does not look behind this barrier. Needed
// wherever neighbouring results (the parts of a complex number) differ in the sign of a product.
template <class T>
inline T rounded_product(T a, T b) {
#if __has_builtin(__builtin_assoc_barrier)
  return __builtin_assoc_barrier(a * b);
#else
  return a * b;
#endif
}

// Rounding to whole numbers. The sign of a zero result is that of x, as IEEE 754 asks.
#if defined(__SSE4_1__) || defined(__aarch64__)
inline float floor_of(float x) { return __builtin_floorf(x); }
inline double floor_of(double x) { return __builtin_floor(x); }
inline float ceil_of(float x) { return __builtin_ceilf(x); }
inline double ceil_of(double x) { return __builtin_ceil(x); }
inline float trunc_of(float x) { return __builtin_truncf(x); }
inline double trunc_of(double x) { return __builtin_trunc(x); }
// rint, because GCC 12 does not vectorise roundeven; the rounding mode is always to nearest.
inline float round_of(float x) { return __builtin_rintf(x); }
inline double round_of(double x) { return __builtin_rint(x); }
#else
// Adding 2**mantissa_bits leaves no bit for a fraction: the sum is rounded to nearest, ties even.
template <class T>
inline T round_of(T x) {
  T size = magnitude(x);
  T rounded = (size + whole_from<T>)-whole_from<T>;
  return with_sign_of(size < whole_from<T> ? rounded : size, x);
}
template <class T>
inline T floor_of(T x) {
  T rounded = round_of(x);
  return with_sign_of(rounded > x ? rounded - 1 : rounded, x);
}
template <class T>
inline T ceil_of(T x) {
  T rounded = round_of(x);
  return with_sign_of(rounded < x ? rounded + 1 : rounded, x);
}
template <class T>
inline T trunc_of(T x) {
  T rounded = magnitude(round_of(x));
  return with_sign_of(rounded > magnitude(x) ? rounded - 1 : rounded, x);
}
#endif

} // namespace
} // namespace COREPY_NAMESPACE
