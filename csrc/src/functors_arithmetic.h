// Functors of arithmetic: one element of each operation on integers, floats and complex numbers.
#pragma once

#include "functors_complex.h"
#include "lane.h"

namespace COREPY_NAMESPACE {
namespace {

// Which source file compiles a functor's kernels.
enum class Family { unary, arithmetic, division, compare, integer };

// What the loops of loops.h may assume of a functor.
struct Functor {
  static constexpr bool commutative = false;
  // The bits of an integer result do not depend on the operands' signedness.
  static constexpr bool sign_agnostic = false;
  // A result for every element; otherwise apply returns false for an element that faults.
  template <class T>
  static constexpr bool total = true;
};

struct Unary : Functor {
  static constexpr Family family = Family::unary;
};

// The operation that returns its operand: kernels are copies by width.
template <class F, class T>
constexpr bool is_copy = requires { requires F::template copies<T>; };
// A predicate whose answer does not depend on the elements.
template <class F, class T>
constexpr bool is_constant = requires { requires F::template constant<T>; };

struct Positive : Unary {
  template <class T>
  static constexpr bool copies = true;
  template <class T>
  static T apply(T x) {
    return x;
  }
};

struct Negative : Unary {
  static constexpr bool sign_agnostic = true;
  template <class T>
  static T apply(T x) {
    if constexpr (is_complex<T>)
      return {-x.re, -x.im};
    else if constexpr (is_integer<T>)
      return T(Wide<T>(0) - Wide<T>(x));
    else
      return -x;
  }
};

struct Abs : Unary {
  template <class T>
  static constexpr bool copies = kind_of<T> == Kind::unsigned_integer;
  template <class T>
  static auto apply(T x) {
    if constexpr (is_complex<T>)
      return modulus(x);
    else if constexpr (is_signed_integer<T>)
      return x < 0 ? T(Wide<T>(0) - Wide<T>(x)) : x;
    else if constexpr (is_integer<T>)
      return x;
    else
      return magnitude(x);
  }
};

struct Sqrt : Unary {
  template <class T>
  static T apply(T x) {
    return square_root(x);
  }
};

struct Square : Unary {
  static constexpr bool sign_agnostic = true;
  template <class T>
  static T apply(T x) {
    if constexpr (is_complex<T>)
      return product(x, x);
    else if constexpr (is_integer<T>)
      return T(Wide<T>(x) * Wide<T>(x));
    else
      return x * x;
  }
};

struct Sign : Unary {
  template <class T>
  static T apply(T x) {
    if constexpr (is_complex<T>) {
      return direction(x);
    } else if constexpr (is_integer<T>) {
      return T(T(x > 0) - T(x < 0));
    } else {
      T unit = x > 0 ? T(1) : T(-1);
      return x == 0 ? T(0) : is_nan(x) ? x : unit;
    }
  }
};

struct Conjugate : Unary {
  template <class T>
  static constexpr bool copies = !is_complex<T>;
  template <class T>
  static T apply(T x) {
    if constexpr (is_complex<T>)
      return {x.re, -x.im};
    else
      return x;
  }
};

struct RealPart : Unary {
  template <class T>
  static constexpr bool copies = !is_complex<T>;
  template <class T>
  static auto apply(T x) {
    if constexpr (is_complex<T>)
      return x.re;
    else
      return x;
  }
};

struct ImaginaryPart : Unary {
  template <class T>
  static auto apply(T x) {
    return x.im;
  }
};

struct Floor : Unary {
  template <class T>
  static constexpr bool copies = is_integer<T>;
  template <class T>
  static T apply(T x) {
    if constexpr (is_floating<T>)
      return floor_of(x);
    else
      return x;
  }
};

struct Ceil : Unary {
  template <class T>
  static constexpr bool copies = is_integer<T>;
  template <class T>
  static T apply(T x) {
    if constexpr (is_floating<T>)
      return ceil_of(x);
    else
      return x;
  }
};

struct Trunc : Unary {
  template <class T>
  static constexpr bool copies = is_integer<T>;
  template <class T>
  static T apply(T x) {
    if constexpr (is_floating<T>)
      return trunc_of(x);
    else
      return x;
  }
};

struct Round : Unary {
  template <class T>
  static constexpr bool copies = is_integer<T>;
  template <class T>
  static T apply(T x) {
    if constexpr (is_complex<T>)
      return {round_of(x.re), round_of(x.im)};
    else if constexpr (is_floating<T>)
      return round_of(x);
    else
      return x;
  }
};

struct IsNan : Unary {
  template <class T>
  static constexpr bool constant = is_integer<T>;
  template <class T>
  static uint8_t apply(T x) {
    if constexpr (is_complex<T>)
      return is_nan(x.re) | is_nan(x.im);
    else if constexpr (is_floating<T>)
      return is_nan(x);
    else
      return 0;
  }
};

struct IsInf : Unary {
  template <class T>
  static constexpr bool constant = is_integer<T>;
  template <class T>
  static uint8_t apply(T x) {
    if constexpr (is_complex<T>)
      return is_infinite(x.re) | is_infinite(x.im);
    else if constexpr (is_floating<T>)
      return is_infinite(x);
    else
      return 0;
  }
};

struct IsFinite : Unary {
  template <class T>
  static constexpr bool constant = is_integer<T>;
  template <class T>
  static uint8_t apply(T x) {
    if constexpr (is_complex<T>)
      return is_finite(x.re) & is_finite(x.im);
    else if constexpr (is_floating<T>)
      return is_finite(x);
    else
      return 1;
  }
};

struct Arithmetic : Functor {
  static constexpr Family family = Family::arithmetic;
};

struct Add : Arithmetic {
  static constexpr bool commutative = true;
  static constexpr bool sign_agnostic = true;
  template <class T>
  static T apply(T a, T b) {
    if constexpr (is_complex<T>)
      return {a.re + b.re, a.im + b.im};
    else if constexpr (is_integer<T>)
      return T(Wide<T>(a) + Wide<T>(b));
    else
      return a + b;
  }
};

struct Subtract : Arithmetic {
  static constexpr bool sign_agnostic = true;
  template <class T>
  static T apply(T a, T b) {
    if constexpr (is_complex<T>)
      return {a.re - b.re, a.im - b.im};
    else if constexpr (is_integer<T>)
      return T(Wide<T>(a) - Wide<T>(b));
    else
      return a - b;
  }
};

struct Multiply : Arithmetic {
  static constexpr bool commutative = true;
  static constexpr bool sign_agnostic = true;
  template <class T>
  static T apply(T a, T b) {
    if constexpr (is_complex<T>)
      return product(a, b);
    else if constexpr (is_integer<T>)
      return T(Wide<T>(a) * Wide<T>(b));
    else
      return a * b;
  }
};

struct Divide : Arithmetic {
  // Complex: a formula for the vector units, which the loop repairs where it does not hold.
  template <class T>
  static T apply(T a, T b) {
    if constexpr (is_complex<T>)
      return near_quotient(a, b);
    else
      return a / b;
  }
  template <class T>
    requires is_complex<T>
  static bool holds(T a, T b) {
    return has_near_quotient(a, b);
  }
  template <class T>
    requires is_complex<T>
  static T otherwise(T a, T b) {
    return distant_quotient(a, b);
  }
};

// minps and maxps return their second operand for equal zeros and for NaN. Both orders together
// hold every case: their bits differ only in the sign of a zero, or where one of them is NaN, and
// a NaN or-ed with anything is NaN.
struct Minimum : Arithmetic {
  static constexpr bool commutative = true;
  template <class T>
  static T apply(T a, T b) {
    if constexpr (is_floating<T>) {
      T first = a < b ? a : b;
      T second = b < a ? b : a;
      return bits_as<T>(Raw<T>(raw(first) | raw(second)));
    } else {
      return a < b ? a : b;
    }
  }
};

struct Maximum : Arithmetic {
  static constexpr bool commutative = true;
  template <class T>
  static T apply(T a, T b) {
    if constexpr (is_floating<T>) {
      T first = a > b ? a : b;
      T second = b > a ? b : a;
      Raw<T> joined = (raw(first) ^ sign_bit<T>) | (raw(second) ^ sign_bit<T>);
      return bits_as<T>(Raw<T>(joined ^ sign_bit<T>));
    } else {
      return a > b ? a : b;
    }
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
