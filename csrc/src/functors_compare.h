// Functors that answer true or false: comparisons and logic.
#pragma once

#include "functors_arithmetic.h"

namespace COREPY_NAMESPACE {
namespace {

struct Compare : Functor {
  static constexpr Family family = Family::compare;
};

// Bool bytes may hold any value; a comparison sees 0 or 1.
template <class T>
inline auto comparable(T x) {
  if constexpr (is_truth<T>)
    return uint8_t(x != 0);
  else
    return x;
}

struct Equal : Compare {
  static constexpr bool commutative = true;
  static constexpr bool sign_agnostic = true;
  template <class T>
  static uint8_t apply(T a, T b) {
    if constexpr (is_complex<T>)
      return (a.re == b.re) & (a.im == b.im);
    else
      return comparable(a) == comparable(b);
  }
};

struct NotEqual : Compare {
  static constexpr bool commutative = true;
  static constexpr bool sign_agnostic = true;
  template <class T>
  static uint8_t apply(T a, T b) {
    if constexpr (is_complex<T>)
      return (a.re != b.re) | (a.im != b.im);
    else
      return comparable(a) != comparable(b);
  }
};

struct Less : Compare {
  template <class T>
  static uint8_t apply(T a, T b) {
    return comparable(a) < comparable(b);
  }
};

struct LessEqual : Compare {
  template <class T>
  static uint8_t apply(T a, T b) {
    return comparable(a) <= comparable(b);
  }
};

// a > b is b < a: these have no loops of their own.
struct Greater : Compare {
  using reversed = Less;
};

struct GreaterEqual : Compare {
  using reversed = LessEqual;
};

struct LogicalNot : Unary {
  template <class T>
  static uint8_t apply(T x) {
    return x == 0;
  }
};

struct LogicalAnd : Compare {
  static constexpr bool commutative = true;
  template <class T>
  static uint8_t apply(T a, T b) {
    return (a != 0) & (b != 0);
  }
};

struct LogicalOr : Compare {
  static constexpr bool commutative = true;
  template <class T>
  static uint8_t apply(T a, T b) {
    return (a != 0) | (b != 0);
  }
};

struct LogicalXor : Compare {
  static constexpr bool commutative = true;
  template <class T>
  static uint8_t apply(T a, T b) {
    return (a != 0) ^ (b != 0);
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
