// Straightforward answers for the elementwise kernels, written independently of them: 128-bit
// integers, quadruple precision and the C library instead of the kernels' formulas.
#pragma once

#include "harness.h"

namespace {

using Quad = __float128;
using Big = __int128;

// How a kernel's result is held against the oracle's: exact bits, or within some ulps.
struct Wanted {
  unsigned char bytes[16] = {};
  bool fault = false;
  bool whole = false;  // the bound is on |got - want| of a complex number, not on each part
  bool skip = false;   // outside what the oracle can say; levels are still compared
  double bound = 0;    // ulps; 0: the same bits
  Quad re = 0, im = 0; // for bounds
};

template <class T>
Wanted exactly(T value) {
  Wanted wanted;
  std::memcpy(wanted.bytes, &value, sizeof(T));
  return wanted;
}
inline Wanted truth(bool value) { return exactly(uint8_t(value)); }
inline Wanted near(Quad re, Quad im, double bound) {
  Wanted wanted;
  wanted.re = re;
  wanted.im = im;
  wanted.bound = bound;
  return wanted;
}
inline Wanted faulty() {
  Wanted wanted;
  wanted.fault = true;
  return wanted;
}
inline Wanted unknown() {
  Wanted wanted;
  wanted.skip = true;
  return wanted;
}

// Newton's step on the extended-precision root doubles its digits.
inline Quad quad_sqrt(Quad x) {
  if (x <= 0)
    return x;
  Quad root = sqrtl((long double)x);
  return (root + x / root) / 2;
}
inline Quad quad_abs(Quad x) { return x < 0 ? -x : x; }

template <class Z>
using Part = decltype(Z{}.re);
template <class Z>
bool finite(Z z) {
  return std::isfinite(z.re) && std::isfinite(z.im);
}

template <class T>
Wanted oracle_unary(int op, T x) {
  constexpr bool truth_value = __is_same(T, corepy_bool);
  if constexpr (is_complex_type<T>) {
    using P = Part<T>;
    Quad a = x.re, b = x.im;
    Quad size = finite(x) ? quad_sqrt(a * a + b * b) : Quad(0);
    switch (op) {
    case COREPY_UNARY_POSITIVE:
      return exactly(x);
    case COREPY_UNARY_NEGATIVE:
      return exactly(T{-x.re, -x.im});
    case COREPY_UNARY_ABS:
      if (std::isinf(x.re) || std::isinf(x.im))
        return exactly(P(INFINITY));
      if (!finite(x))
        return exactly(P(NAN));
      return near(size, 0, 1);
    case COREPY_UNARY_SQRT: {
      if (std::isinf(x.im))
        return exactly(T{P(INFINITY), x.im});
      if (std::isnan(x.re))
        return exactly(T{P(NAN), P(NAN)});
      if (std::isinf(x.re) && x.re > 0)
        return exactly(T{x.re, std::isnan(x.im) ? P(NAN) : std::copysign(P(0), x.im)});
      if (std::isinf(x.re))
        return std::isnan(x.im) ? unknown() // NaN + infinity j, whose sign is open
                                : exactly(T{P(0), std::copysign(P(INFINITY), x.im)});
      if (std::isnan(x.im))
        return exactly(T{P(NAN), P(NAN)});
      if (size == 0)
        return exactly(T{P(0), x.im});
      Quad t = quad_sqrt((quad_abs(a) + size) / 2);
      Quad u = quad_abs(b) / (2 * t);
      Quad re = a < 0 ? u : t, im = a < 0 ? t : u;
      return near(re, std::signbit(x.im) ? -im : im, sizeof(P) == 4 ? 1 : 2);
    }
    case COREPY_UNARY_SQUARE:
      return exactly(T{x.re * x.re - x.im * x.im, x.re * x.im + x.im * x.re});
    case COREPY_UNARY_SIGN:
      if (std::isnan(x.re) || std::isnan(x.im) || (std::isinf(x.re) && std::isinf(x.im)))
        return exactly(T{P(NAN), P(NAN)});
      if (std::isinf(x.re))
        return exactly(T{std::copysign(P(1), x.re), 0});
      if (std::isinf(x.im))
        return exactly(T{0, std::copysign(P(1), x.im)});
      if (size == 0)
        return exactly(T{0, 0});
      return near(a / size, b / size, 2);
    case COREPY_UNARY_CONJ:
      return exactly(T{x.re, std::copysign(x.im, std::signbit(x.im) ? P(1) : P(-1))});
    case COREPY_UNARY_REAL:
      return exactly(x.re);
    case COREPY_UNARY_IMAG:
      return exactly(x.im);
    case COREPY_UNARY_ROUND:
      return exactly(T{std::nearbyint(x.re), std::nearbyint(x.im)});
    case COREPY_UNARY_ISNAN:
      return truth(std::isnan(x.re) || std::isnan(x.im));
    case COREPY_UNARY_ISINF:
      return truth(std::isinf(x.re) || std::isinf(x.im));
    case COREPY_UNARY_ISFINITE:
      return truth(finite(x));
    }
  } else if constexpr (is_float_type<T>) {
    switch (op) {
    case COREPY_UNARY_POSITIVE:
    case COREPY_UNARY_CONJ:
    case COREPY_UNARY_REAL:
      return exactly(x);
    case COREPY_UNARY_NEGATIVE:
      return exactly(std::copysign(x, std::signbit(x) ? T(1) : T(-1)));
    case COREPY_UNARY_ABS:
      return exactly(std::copysign(x, T(1)));
    case COREPY_UNARY_SQRT:
      return exactly(std::sqrt(x));
    case COREPY_UNARY_SQUARE:
      return exactly(T(x * x));
    case COREPY_UNARY_SIGN:
      return exactly(std::isnan(x) ? x : T(x > 0) - T(x < 0));
    case COREPY_UNARY_FLOOR:
      return exactly(std::floor(x));
    case COREPY_UNARY_CEIL:
      return exactly(std::ceil(x));
    case COREPY_UNARY_TRUNC:
      return exactly(std::trunc(x));
    case COREPY_UNARY_ROUND:
      return exactly(std::nearbyint(x));
    case COREPY_UNARY_ISNAN:
      return truth(std::isnan(x));
    case COREPY_UNARY_ISINF:
      return truth(std::isinf(x));
    case COREPY_UNARY_ISFINITE:
      return truth(std::isfinite(x));
    }
  } else if constexpr (truth_value) {
    return truth(x == 0); // logical_not and bitwise_invert
  } else {
    Big v = x;
    switch (op) {
    case COREPY_UNARY_NEGATIVE:
      return exactly(T(-v));
    case COREPY_UNARY_ABS:
      return exactly(T(v < 0 ? -v : v));
    case COREPY_UNARY_SQUARE:
      return exactly(T((unsigned __int128)v * (unsigned __int128)v));
    case COREPY_UNARY_SIGN:
      return exactly(T(v > 0 ? 1 : v < 0 ? -1 : 0));
    case COREPY_UNARY_ISNAN:
    case COREPY_UNARY_ISINF:
      return truth(false);
    case COREPY_UNARY_ISFINITE:
      return truth(true);
    case COREPY_UNARY_BITWISE_INVERT:
      return exactly(T(-v - 1));
    default: // positive, conj, real, floor, ceil, trunc, round
      return exactly(x);
    }
  }
  return unknown();
}

// NumPy's complex division, which is Smith's method, for what the standard leaves open.
template <class Z>
Z open_quotient(Z a, Z b) {
  using P = Part<Z>;
  P c = std::fabs(b.re), d = std::fabs(b.im);
  if (c == 0 && d == 0)
    return {a.re / c, a.im / c};
  bool across = !(c >= d);
  P ratio = across ? b.re / b.im : b.im / b.re;
  P factor = 1 / (across ? b.re * ratio + b.im : b.re + b.im * ratio);
  if (across)
    return {(a.re * ratio + a.im) * factor, (a.im * ratio - a.re) * factor};
  return {(a.re + a.im * ratio) * factor, (a.im - a.re * ratio) * factor};
}

template <class T>
T floor_quotient(T a, T b) {
  T ratio = a / b;
  if (!(std::fabs(ratio) < std::ldexp(T(1), std::numeric_limits<T>::digits)))
    return ratio;
  if (std::isinf(b))
    return a == 0 || std::signbit(a) == std::signbit(b) ? ratio : T(-1);
  T rest = std::fmod(a, b);
  Quad whole = (Quad(a) - rest) / Quad(b); // exact: at most 106 bits
  if (rest != 0 && (rest < 0) != (b < 0))
    whole -= 1;
  return whole == 0 ? std::copysign(T(0), ratio) : T(whole);
}

template <class T>
T python_remainder(T a, T b) {
  T rest = std::fmod(a, b);
  if (rest == 0)
    return std::copysign(T(0), b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

template <class T>
T ordered(T a, T b, bool smaller) {
  if (a != a || b != b)
    return T(NAN);
  if (a == b)
    return std::signbit(a) == smaller ? a : b;
  return (a < b) == smaller ? a : b;
}

template <class T>
Wanted oracle_float_power(T x, T e) {
  if (e == 0) // the C library raises signalling NaN to NaN
    return exactly(T(1));
  if (!std::isfinite(e) || !std::isfinite(x) || x == 0)
    return std::isfinite(e) && e != std::trunc(e) && e != T(0.5) ? faulty()
                                                                 : exactly(T(std::pow(x, e)));
  if (e == T(0.5))
    return exactly(std::sqrt(x));
  if (e != std::trunc(e))
    return faulty();
  T positive = std::pow(x, std::fabs(e));
  // Powers of subnormal size lose bits on the way, and their reciprocals magnify that.
  if (e < 0 && positive != 0 && std::fabs(positive) < std::numeric_limits<T>::min())
    return unknown();
  T result = e < 0 ? 1 / positive : positive;
  if (result == 0 || std::isinf(result))
    return exactly(result);
  return near(result, 0, std::fabs(double(e)) + 4);
}

// Complex powers in quadruple precision, where neither they nor their reciprocals leave the range.
template <class Z>
Wanted oracle_complex_power(Z x, int n) {
  if (!finite(x))
    return unknown();
  Quad re = 1, im = 0, a = x.re, b = x.im;
  for (int i = 0; i < (n < 0 ? -n : n); i++) {
    Quad next = re * a - im * b;
    im = re * b + im * a;
    re = next;
  }
  Quad size = re * re + im * im;
  Quad limit = sizeof(x.re) == 4 ? Quad(1e15) : Quad(1e145);
  if (!(size < limit * limit && size > 1 / (limit * limit)))
    return unknown();
  Wanted wanted = n < 0 ? near(re / size, -im / size, 0) : near(re, im, 0);
  wanted.bound = 3 * std::abs(n) + 4;
  wanted.whole = true;
  return wanted;
}

template <class T>
Wanted oracle_binary(int op, T a, T b) {
  if constexpr (is_complex_type<T>) {
    using P = Part<T>;
    switch (op) {
    case COREPY_BINARY_ADD:
      return exactly(T{a.re + b.re, a.im + b.im});
    case COREPY_BINARY_SUBTRACT:
      return exactly(T{a.re - b.re, a.im - b.im});
    case COREPY_BINARY_MULTIPLY:
      return exactly(T{a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re});
    case COREPY_BINARY_DIVIDE: {
      if (!finite(a) || !finite(b) || (b.re == 0 && b.im == 0))
        return exactly(open_quotient(a, b));
      Quad ar = a.re, ai = a.im, br = b.re, bi = b.im;
      Quad norm = br * br + bi * bi;
      return near((ar * br + ai * bi) / norm, (ai * br - ar * bi) / norm, sizeof(P) == 4 ? 1 : 4);
    }
    case COREPY_BINARY_POW:
      if (std::isnan(b.re) || std::isnan(b.im))
        return a.re == 1 && a.im == 0 ? exactly(a) : exactly(T{P(NAN), P(NAN)});
      if (b.im != 0 || std::isinf(b.re) || (b.re != std::trunc(b.re) && b.re != P(0.5)))
        return faulty();
      if (b.re == P(0.5))
        return oracle_unary(COREPY_UNARY_SQRT, a);
      if (b.re == 0)
        return exactly(T{1, 0});
      if (b.re == 1)
        return exactly(a);
      if (b.re == 2)
        return oracle_unary(COREPY_UNARY_SQUARE, a);
      return oracle_complex_power(a, int(b.re));
    case COREPY_BINARY_EQUAL:
      return truth(a.re == b.re && a.im == b.im);
    case COREPY_BINARY_NOT_EQUAL:
      return truth(!(a.re == b.re && a.im == b.im));
    }
    return unknown();
  } else {
    constexpr bool is_truth_value = __is_same(T, corepy_bool);
    switch (op) { // comparisons of every real type; bool compares truth
    case COREPY_BINARY_EQUAL:
      return truth(is_truth_value ? !a == !b : a == b);
    case COREPY_BINARY_NOT_EQUAL:
      return truth(is_truth_value ? !a != !b : a != b);
    case COREPY_BINARY_LESS:
      return truth(is_truth_value ? !a > !b : a < b);
    case COREPY_BINARY_LESS_EQUAL:
      return truth(is_truth_value ? !a >= !b : a <= b);
    case COREPY_BINARY_GREATER:
      return truth(is_truth_value ? !a < !b : a > b);
    case COREPY_BINARY_GREATER_EQUAL:
      return truth(is_truth_value ? !a <= !b : a >= b);
    }
    if constexpr (is_truth_value) {
      switch (op) {
      case COREPY_BINARY_LOGICAL_AND:
      case COREPY_BINARY_BITWISE_AND:
        return truth(a && b);
      case COREPY_BINARY_LOGICAL_OR:
      case COREPY_BINARY_BITWISE_OR:
        return truth(a || b);
      default:
        return truth(!a != !b);
      }
    } else if constexpr (is_float_type<T>) {
      switch (op) {
      case COREPY_BINARY_ADD:
        return exactly(T(a + b));
      case COREPY_BINARY_SUBTRACT:
        return exactly(T(a - b));
      case COREPY_BINARY_MULTIPLY:
        return exactly(T(a * b));
      case COREPY_BINARY_DIVIDE:
        return exactly(T(a / b));
      case COREPY_BINARY_FLOOR_DIVIDE:
        return exactly(floor_quotient(a, b));
      case COREPY_BINARY_REMAINDER:
        return exactly(python_remainder(a, b));
      case COREPY_BINARY_POW:
        return oracle_float_power(a, b);
      case COREPY_BINARY_MINIMUM:
        return exactly(ordered(a, b, true));
      case COREPY_BINARY_MAXIMUM:
        return exactly(ordered(a, b, false));
      }
    } else {
      constexpr int width = 8 * sizeof(T);
      using U = unsigned __int128;
      Big x = a, y = b;
      switch (op) {
      case COREPY_BINARY_ADD:
        return exactly(T(x + y));
      case COREPY_BINARY_SUBTRACT:
        return exactly(T(x - y));
      case COREPY_BINARY_MULTIPLY:
        return exactly(T(U(x) * U(y)));
      case COREPY_BINARY_FLOOR_DIVIDE:
        if (y == 0)
          return faulty();
        return exactly(T(x / y - ((x % y != 0) && ((x < 0) != (y < 0)))));
      case COREPY_BINARY_REMAINDER:
        if (y == 0)
          return faulty();
        return exactly(T(((x % y) + y) % y));
      case COREPY_BINARY_POW: {
        if (y < 0)
          return faulty();
        U result = 1;
        for (Big bit = Big(1) << 64; bit != 0; bit >>= 1) { // from the highest bit
          result = result * result;
          if (y & bit)
            result *= U(x);
        }
        return exactly(T(result));
      }
      case COREPY_BINARY_MINIMUM:
        return exactly(T(x < y ? x : y));
      case COREPY_BINARY_MAXIMUM:
        return exactly(T(x > y ? x : y));
      case COREPY_BINARY_BITWISE_AND:
        return exactly(T(x & y));
      case COREPY_BINARY_BITWISE_OR:
        return exactly(T(x | y));
      case COREPY_BINARY_BITWISE_XOR:
        return exactly(T(x ^ y));
      case COREPY_BINARY_BITWISE_LEFT_SHIFT:
        return exactly(T(y < 0 || y >= width ? U(0) : U(x) << int(y)));
      case COREPY_BINARY_BITWISE_RIGHT_SHIFT:
        return exactly(T(y < 0 || y >= width ? (x < 0 ? -1 : 0) : x >> int(y)));
      }
    }
    return unknown();
  }
}

// Bytes of a result, given its operand's.
template <class T>
size_t result_bytes_unary(int op) {
  if (op == COREPY_UNARY_ISNAN || op == COREPY_UNARY_ISINF || op == COREPY_UNARY_ISFINITE)
    return 1;
  bool part = op == COREPY_UNARY_ABS || op == COREPY_UNARY_REAL || op == COREPY_UNARY_IMAG;
  return part && is_complex_type<T> ? sizeof(T) / 2 : sizeof(T);
}
template <class T>
size_t result_bytes_binary(int op) {
  return op >= COREPY_BINARY_EQUAL && op <= COREPY_BINARY_LOGICAL_XOR ? 1 : sizeof(T);
}

} // namespace
