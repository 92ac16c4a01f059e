// Functors on the bits of integers and truth values.
#pragma once

#include "functors_arithmetic.h"

namespace COREPY_NAMESPACE {
namespace {

struct Bits : Functor {
  static constexpr Family family = Family::integer;
};

struct BitwiseInvert : Unary {
  static constexpr bool sign_agnostic = true;
  template <class T>
  static auto apply(T x) {
    if constexpr (is_truth<T>)
      return uint8_t(x == 0);
    else
      return T(~x);
  }
};

struct BitwiseAnd : Bits {
  static constexpr bool commutative = true;
  static constexpr bool sign_agnostic = true;
  template <class T>
  static auto apply(T a, T b) {
    if constexpr (is_truth<T>)
      return uint8_t((a != 0) & (b != 0));
    else
      return T(a & b);
  }
};

struct BitwiseOr : Bits {
  static constexpr bool commutative = true;
  static constexpr bool sign_agnostic = true;
  template <class T>
  static auto apply(T a, T b) {
    if constexpr (is_truth<T>)
      return uint8_t((a != 0) | (b != 0));
    else
      return T(a | b);
  }
};

struct BitwiseXor : Bits {
  static constexpr bool commutative = true;
  static constexpr bool sign_agnostic = true;
  template <class T>
  static auto apply(T a, T b) {
    if constexpr (is_truth<T>)
      return uint8_t((a != 0) ^ (b != 0));
    else
      return T(a ^ b);
  }
};

// A negative count is, as an unsigned number, not below the width either.
struct LeftShift : Bits {
  static constexpr bool sign_agnostic = true;
  template <class T>
  static T apply(T a, T b) {
    Wide<T> count = Raw<T>(b);
    Wide<T> moved = Wide<T>(Raw<T>(a)) << (count & (width_of<T> - 1));
    return T(count < Wide<T>(width_of<T>) ? moved : 0);
  }
};

struct RightShift : Bits {
  template <class T>
  static T apply(T a, T b) {
    Wide<T> count = Raw<T>(b);
    if constexpr (is_signed_integer<T>) {
      Wide<T> last = width_of<T> - 1;
      return T(a >> (count < last ? count : last));
    } else {
      Wide<T> moved = Wide<T>(a) >> (count & (width_of<T> - 1));
      return T(count < Wide<T>(width_of<T>) ? moved : 0);
    }
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
