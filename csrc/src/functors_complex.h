// Complex arithmetic of one element: product, quotient, modulus, direction, square root.
#pragma once

#include "lane.h"

namespace COREPY_NAMESPACE {
namespace {

// The textbook formula in the element's own precision, each operation rounded, as NumPy has it.
template <class Z> inline Z product(Z a, Z b) {
  return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
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
  double high = a * b;
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
template <class Z> inline Z direction(Z z) {
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
  x *= scale.up;
  y *= scale.up;
  Pair length = hypotenuse(x, y);
  double whole = length.rounded();
  return {T(x / whole), T(y / whole)};
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
  double far = y_scaled / (2 * near);
  // The square root of the scale: 2**300, 2**-300 or 1.
  double down = scale.down == 1 ? 1 : scale.down > 1 ? 0x1p300 : 0x1p-300;
  near *= down;
  far *= down;
  if (x < 0)
    return {far, with_sign_of(near, y)};
  return {near, with_sign_of(far, y)};
}

// Special values as in C Annex G and the Array API; sqrt(conj(z)) is conj(sqrt(z)).
template <class Z> inline Z square_root_of_complex(Z z) {
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
  corepy_complex128 root = root_of_finite(z.re, z.im);
  return {T(root.re), T(root.im)};
}

inline corepy_complex64 square_root(corepy_complex64 z) { return square_root_of_complex(z); }
inline corepy_complex128 square_root(corepy_complex128 z) { return square_root_of_complex(z); }

// Smith's method (Communications of the ACM 5, 1962) for divisors that are zero and operands that
// are not finite: the standard leaves these open, and this is what NumPy gives.
template <class Z> [[gnu::noinline]] Z special_quotient(Z a, Z b) {
  using T = typename Element<Z>::part;
  T c = magnitude(b.re), d = magnitude(b.im);
  if (c == 0 && d == 0)
    return {a.re / c, a.im / c};
  if (c >= d) {
    T ratio = b.im / b.re;
    T factor = 1 / (b.re + b.im * ratio);
    return {(a.re + a.im * ratio) * factor, (a.im - a.re * ratio) * factor};
  }
  T ratio = b.re / b.im;
  T factor = 1 / (b.re * ratio + b.im);
  return {(a.re * ratio + a.im) * factor, (a.im * ratio - a.re) * factor};
}

template <class Z> inline bool all_finite(Z z) { return is_finite(z.re) && is_finite(z.im); }

// x * 2**exponent for any exponent that can occur, rounded once but for results below the normal
// range: four factors, each of which is a normal number.
inline double scaled(double x, int exponent) {
  for (int step = 4; step > 0; step--) {
    int part = exponent / step;
    exponent -= part;
    x *= bits_as<double>(uint64_t(part + 1023) << 52);
  }
  return x;
}

// Moves z so that its larger part is at least 2**510 and below 2**511, and returns by how much:
// there, products of parts and their errors neither overflow nor underflow unless the other
// product of the same sum is larger by more than the precision.
inline int normalise(corepy_complex128 &z) {
  int moved = 0;
  if (larger_magnitude(z.re, z.im) < 0x1p-1000) {
    moved = 100;
    z = {z.re * 0x1p100, z.im * 0x1p100};
  }
  double largest = larger_magnitude(z.re, z.im);
  if (largest == 0)
    return 0;
  int up = 510 + 1023 - int(raw(largest) >> 52);
  // Two factors: moving 2**-900 up by 2**1410 is more than one normal number can do.
  z = {scaled(z.re, up), scaled(z.im, up)};
  return moved + up;
}

// Each part within 4 units: products are exact, sums of products carry their error terms, and
// scaling keeps every step in range.
[[gnu::noinline, maybe_unused]] corepy_complex128 quotient(corepy_complex128 a, corepy_complex128 b) {
  if (!all_finite(a) || !all_finite(b) || (b.re == 0 && b.im == 0))
    return special_quotient(a, b);
  int a_moved = normalise(a);
  int b_moved = normalise(b);
  Pair norm = sum_of_products(b.re, b.re, b.im, b.im);
  // Near 1, so that the quotients below keep the numerators' range until the last scaling.
  double divisor = norm.rounded() * 0x1p-1020;
  Pair re = sum_of_products(a.re, b.re, a.im, b.im);
  Pair im = sum_of_products(a.im, b.re, -a.re, b.im);
  int back = b_moved - a_moved - 1020;
  return {scaled(re.rounded() / divisor, back), scaled(im.rounded() / divisor, back)};
}

// Each part within 1 unit: float32 products are exact in float64, one sum and one division follow,
// and no intermediate result leaves float64's range.
inline corepy_complex64 quotient(corepy_complex64 a, corepy_complex64 b) {
  if (!all_finite(a) || !all_finite(b) || (b.re == 0 && b.im == 0))
    return special_quotient(a, b);
  double ar = a.re, ai = a.im, br = b.re, bi = b.im;
  double norm = br * br + bi * bi;
  return {float((ar * br + ai * bi) / norm), float((ai * br - ar * bi) / norm)};
}

} // namespace
} // namespace COREPY_NAMESPACE
