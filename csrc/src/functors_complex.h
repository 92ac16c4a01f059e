// Complex arithmetic of one element: product, quotient, modulus, direction, square root.
#pragma once

#include "lane.h"

namespace COREPY_NAMESPACE {
namespace {

// The textbook formula in the element's own precision, each operation rounded, as NumPy has it.
template <class Z>
inline Z product(Z a, Z b) {
  return {rounded_product(a.re, b.re) - rounded_product(a.im, b.im),
          rounded_product(a.re, b.im) + rounded_product(a.im, b.re)};
}

// The exact values of sums and products, as an unevaluated pair.
struct Pair {
  double high, low;
  // A low part of zero must not turn a high part of -0 into +0.
  double rounded() const { return low == 0 ? high : high + low; }
};

// TwoSum: Knuth, The Art of Computer Programming 2, section 4.2.2.
inline Pair exact_sum(double a, double b) {
  double sum = a + b;
  double part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}

inline Pair exact_product(double a, double b) {
  double high = rounded_product(a, b);
  return {high, fused(a, b, -high)};
}

// a * b + c * d with one rounding where the sum does not cancel; an error of about one unit of
// 2**-106 of the larger product where it does.
inline Pair sum_of_products(double a, double b, double c, double d) {
  Pair left = exact_product(a, b);
  Pair right = exact_product(c, d);
  Pair sum = exact_sum(left.high, right.high);
  return {sum.high, sum.low + (left.low + right.low)};
}

// Squares of values from 2**-459 to 2**511, and the errors of those squares, neither overflow nor
// lose bits to underflow. Everything else is moved there by a power of four, so that square roots
// can be moved back.
struct Scale {
  double up, down;
};

inline Scale scale_for_squares(double largest) {
  if (largest >= 0x1p511)
    return {0x1p-600, 0x1p600};
  if (largest < 0x1p-459)
    return {0x1p600, 0x1p-600};
  return {1, 1};
}

// sqrt(x*x + y*y) of scaled values to about 2**-100: the correction is one Newton step on the
// exact residual.
inline Pair hypotenuse(double x, double y) {
  Pair squares = sum_of_products(x, x, y, y);
  double root = __builtin_sqrt(squares.high);
  if (root == 0)
    return {0, 0};
  double residual = fused(-root, root, squares.high) + squares.low;
  return {root, residual / (2 * root)};
}

inline double larger_magnitude(double x, double y) {
  double a = magnitude(x);
  double b = magnitude(y);
  return a > b ? a : b;
}

inline double modulus(corepy_complex128 z) {
  if (is_infinite(z.re) || is_infinite(z.im))
    return infinity<double>();
  if (is_nan(z.re) || is_nan(z.im))
    return quiet_nan<double>();
  Scale scale = scale_for_squares(larger_magnitude(z.re, z.im));
  Pair length = hypotenuse(z.re * scale.up, z.im * scale.up);
  return length.rounded() * scale.down;
}

// Squares of float32 are exact in float64.
inline float modulus(corepy_complex64 z) {
  if (is_infinite(z.re) || is_infinite(z.im))
    return infinity<float>();
  double x = z.re, y = z.im;
  return float(__builtin_sqrt(x * x + y * y));
}

// z / |z|. The standard leaves infinities open; as in NumPy, one infinite part gives its axis and
// two give NaN.
template <class Z>
inline Z direction(Z z) {
  using T = typename Element<Z>::part;
  if (is_nan(z.re) || is_nan(z.im) || (is_infinite(z.re) && is_infinite(z.im)))
    return {quiet_nan<T>(), quiet_nan<T>()};
  if (is_infinite(z.re))
    return {with_sign_of(T(1), z.re), 0};
  if (is_infinite(z.im))
    return {0, with_sign_of(T(1), z.im)};
  if (z.re == 0 && z.im == 0)
    return {0, 0};
  double x = z.re, y = z.im;
  Scale scale = scale_for_squares(larger_magnitude(x, y));
  double length = hypotenuse(x * scale.up, y * scale.up).rounded();
  // Large values: half of z against half of |z|, because a small part would not survive the
  // scaling and |z| may overflow.
  bool large = scale.down > 1;
  double shared = large ? 0.5 : scale.up;
  length *= large ? 0.5 * scale.down : 1;
  return {T(x * shared / length), T(y * shared / length)};
}

// The principal root of finite z: t = sqrt((|x| + |z|) / 2) and |y| / (2 t), in which nothing
// cancels. |x| + |z| is kept as a pair, so that t is within half a unit and a little, the other
// part within 2.
// Not inlined: three kernels share one copy of this and of the divisions below.
[[gnu::noinline, maybe_unused]] corepy_complex128 root_of_finite(double x, double y) {
  if (x == 0 && y == 0)
    return {0, y};
  Scale scale = scale_for_squares(larger_magnitude(x, y));
  double x_scaled = magnitude(x) * scale.up;
  double y_scaled = magnitude(y) * scale.up;
  Pair length = hypotenuse(x_scaled, y_scaled);
  Pair sum = exact_sum(x_scaled, length.high);
  double half = 0.5 * sum.high;
  double rest = 0.5 * (sum.low + length.low);
  double root = __builtin_sqrt(half);
  double near = root + (fused(-root, root, half) + rest) / (2 * root);
  // The square root of the scale: 2**300, 2**-300 or 1.
  near *= scale.down == 1 ? 1 : scale.down > 1 ? 0x1p300 : 0x1p-300;
  // From y itself, of which the scaling may have lost bits.
  double far = magnitude(y) / (2 * near);
  if (x < 0)
    return {far, with_sign_of(near, y)};
  return {near, with_sign_of(far, y)};
}

// Parts of float32: float64 has the range and the bits to spare.
inline corepy_complex64 root_of_finite(float re, float im) {
  double x = magnitude(re), y = magnitude(im);
  double near = __builtin_sqrt(0.5 * (x + __builtin_sqrt(x * x + y * y)));
  double far = near == 0 ? 0 : y / (2 * near);
  if (re < 0)
    return {float(far), with_sign_of(float(near), im)};
  return {float(near), with_sign_of(float(far), im)};
}

// Special values as in C Annex G and the Array API; sqrt(conj(z)) is conj(sqrt(z)).
template <class Z>
inline Z square_root_of_complex(Z z) {
  using T = typename Element<Z>::part;
  if (is_infinite(z.im))
    return {infinity<T>(), z.im};
  if (is_nan(z.re) || (is_nan(z.im) && !is_infinite(z.re)))
    return {quiet_nan<T>(), quiet_nan<T>()};
  if (is_infinite(z.re)) {
    T other = is_nan(z.im) ? z.im : T(0);
    if (z.re > 0)
      return {z.re, is_nan(z.im) ? z.im : with_sign_of(T(0), z.im)};
    return {magnitude(other), with_sign_of(infinity<T>(), z.im)};
  }
  return root_of_finite(z.re, z.im);
}

inline corepy_complex64 square_root(corepy_complex64 z) { return square_root_of_complex(z); }
inline corepy_complex128 square_root(corepy_complex128 z) { return square_root_of_complex(z); }

// Smith's method (Communications of the ACM 5, 1962) for divisors that are zero and operands that
// are not finite: the standard leaves these open, and this is what NumPy gives.
template <class Z>
[[gnu::noinline]] Z special_quotient(Z a, Z b) {
  using T = typename Element<Z>::part;
  T c = magnitude(b.re), d = magnitude(b.im);
  if (c == 0 && d == 0)
    return {a.re / c, a.im / c};
  if (c >= d) {
    T ratio = b.im / b.re;
    T factor = 1 / (b.re + b.im * ratio);
    return {(a.re + rounded_product(a.im, ratio)) * factor,
            (a.im - rounded_product(a.re, ratio)) * factor};
  }
  T ratio = b.re / b.im;
  T factor = 1 / (b.re * ratio + b.im);
  return {(rounded_product(a.re, ratio) + a.im) * factor,
          (rounded_product(a.im, ratio) - a.re) * factor};
}

template <class Z>
inline bool all_finite(Z z) {
  return is_finite(z.re) && is_finite(z.im);
}

// x * 2**exponent for exponents within 4,000, rounded once: in four factors, each of them normal.
inline double scaled(double x, int exponent) {
  exponent = exponent > 4000 ? 4000 : exponent < -4000 ? -4000 : exponent;
  for (int step = 4; step > 0; step--) {
    int part = exponent / step;
    exponent -= part;
    x *= bits_as<double>(uint64_t(part + 1023) << 52);
  }
  return x;
}

// value * 2**exponent. The four parts of a quotient may lie 2,000 binary orders apart, so that no
// common scale keeps them all: each has its own.
struct Scaled {
  double value;
  int exponent;
};
struct ScaledPair {
  Pair value;
  int exponent;
};
// A zero's exponent: below all others, so that it never decides the scale of a sum.
constexpr int exponent_of_zero = -10000;

inline Scaled normalised(double x) {
  if (x == 0)
    return {x, exponent_of_zero};
  int lifted = magnitude(x) < 0x1p-1022 ? 64 : 0;
  x *= lifted ? 0x1p64 : 1;
  int exponent = int(raw(magnitude(x)) >> 52) - 1023;
  uint64_t unit_exponent = uint64_t(1023) << 52;
  uint64_t rest = ~(uint64_t(0x7ff) << 52);
  return {bits_as<double>((raw(x) & rest) | unit_exponent), exponent - lifted};
}

// a * b + c * d, to about 2**-104 of the larger product.
inline ScaledPair sum_of_scaled_products(Scaled a, Scaled b, Scaled c, Scaled d) {
  Pair left = exact_product(a.value, b.value);
  Pair right = exact_product(c.value, d.value);
  int left_exponent = a.exponent + b.exponent;
  int right_exponent = c.exponent + d.exponent;
  int exponent = left_exponent > right_exponent ? left_exponent : right_exponent;
  // Beyond 2**-500 the smaller product cannot be seen in the sum.
  int left_shift = left_exponent - exponent < -500 ? -500 : left_exponent - exponent;
  int right_shift = right_exponent - exponent < -500 ? -500 : right_exponent - exponent;
  double left_factor = bits_as<double>(uint64_t(left_shift + 1023) << 52);
  double right_factor = bits_as<double>(uint64_t(right_shift + 1023) << 52);
  Pair sum = exact_sum(left.high * left_factor, right.high * right_factor);
  double low = sum.low + (left.low * left_factor + right.low * right_factor);
  return {{sum.high, low}, exponent};
}

// Each part within 4 units, whatever the exponents.
[[gnu::noinline, maybe_unused]] corepy_complex128 distant_quotient(corepy_complex128 a,
                                                                   corepy_complex128 b) {
  if (!all_finite(a) || !all_finite(b) || (b.re == 0 && b.im == 0))
    return special_quotient(a, b);
  Scaled ar = normalised(a.re), ai = normalised(a.im);
  Scaled br = normalised(b.re), bi = normalised(b.im);
  ScaledPair norm = sum_of_scaled_products(br, br, bi, bi);
  ScaledPair re = sum_of_scaled_products(ar, br, ai, bi);
  ScaledPair im = sum_of_scaled_products(ai, br, {-ar.value, ar.exponent}, bi);
  double divisor = norm.value.rounded();
  return {scaled(re.value.rounded() / divisor, re.exponent - norm.exponent),
          scaled(im.value.rounded() / divisor, im.exponent - norm.exponent)};
}

// The same without scaling, for parts that are zero or within 2**-240 ... 2**240.
inline corepy_complex128 near_quotient(corepy_complex128 a, corepy_complex128 b) {
  double divisor = sum_of_products(b.re, b.re, b.im, b.im).rounded();
  double re = sum_of_products(a.re, b.re, a.im, b.im).rounded();
  double im = sum_of_products(a.im, b.re, -a.re, b.im).rounded();
  return {re / divisor, im / divisor};
}
inline bool is_near(double x) {
  double size = magnitude(x);
  return (size == 0) | ((size > 0x1p-240) & (size < 0x1p240));
}
inline bool has_near_quotient(corepy_complex128 a, corepy_complex128 b) {
  bool zero = (b.re == 0) & (b.im == 0);
  return is_near(a.re) & is_near(a.im) & is_near(b.re) & is_near(b.im) & !zero;
}

// Each part within 1 unit: float32 products are exact in float64, one sum and one division follow,
// and no intermediate result leaves float64's range.
inline corepy_complex64 near_quotient(corepy_complex64 a, corepy_complex64 b) {
  double ar = a.re, ai = a.im, br = b.re, bi = b.im;
  double norm = rounded_product(br, br) + rounded_product(bi, bi);
  return {float((rounded_product(ar, br) + rounded_product(ai, bi)) / norm),
          float((rounded_product(ai, br) - rounded_product(ar, bi)) / norm)};
}
inline bool has_near_quotient(corepy_complex64 a, corepy_complex64 b) {
  bool zero = (b.re == 0) & (b.im == 0);
  return is_finite(a.re) & is_finite(a.im) & is_finite(b.re) & is_finite(b.im) & !zero;
}
inline corepy_complex64 distant_quotient(corepy_complex64 a, corepy_complex64 b) {
  return special_quotient(a, b);
}

template <class Z>
inline Z quotient(Z a, Z b) {
  return has_near_quotient(a, b) ? near_quotient(a, b) : distant_quotient(a, b);
}

} // namespace
} // namespace COREPY_NAMESPACE
