// An accumulator that holds any sum of floats exactly, and rounds it once.
//
// The small superaccumulator of R. M. Neal, "Fast exact summation using small and large
// superaccumulators", arXiv:1505.05571, 2015: a fixed-point number that covers every exponent.
#pragma once

#include "lane.h"
#include "reduce_lanes.h"

namespace COREPY_NAMESPACE {
namespace {

class Superaccumulator {
public:
  static constexpr uint64_t SIGN = sign_bit<double>;
  static constexpr uint64_t INFINITE = infinity_bits<double>;
  static constexpr int FRACTION = Element<double>::mantissa_bits;
  static constexpr size_t EXPONENTS = 2048;

  void clear() {
    for (int64_t &digit : digit_) {
      digit = 0;
    }
    marks_ = 0;
  }

  // One element. At most 2^29 of them between two calls of `carry`.
  void add(double x) {
    const uint64_t word = raw(x);
    const uint64_t size = word & ~SIGN;
    marks_ |= word != SIGN ? OTHER_THAN_MINUS_ZERO : 0;
    if (size >= INFINITE) {
      mark(word);
      return;
    }
    add_at(mantissa(word), size >> FRACTION);
  }

  // The fraction with its hidden bit and its sign.
  static int64_t mantissa(uint64_t word) {
    const uint64_t exponent = word >> FRACTION & (EXPONENTS - 1);
    const uint64_t fraction = word & ((uint64_t{1} << FRACTION) - 1);
    const uint64_t size = fraction | uint64_t{exponent != 0} << FRACTION;
    const uint64_t negative = uint64_t{0} - (word >> 63);
    return static_cast<int64_t>((size ^ negative) - negative);
  }

  // mantissa * 2^(exponent - 1075), where exponents 0 and 1 are the same. The same number of calls.
  void add_at(int64_t mantissa, size_t exponent) {
    const size_t place = place_of(exponent);
    add_digits(digits_at(mantissa, place), place);
  }

  // The same for the exponents first ... last, whose mantissas are `step` apart.
  void add_run(const int64_t *mantissas, size_t step, size_t first, size_t last) {
    // The digits of neighbours are added up before they go to memory, where they would wait for one
    // another.
    Digits sum{};
    for (size_t exponent = first; exponent <= last; ++exponent) {
      const size_t place = place_of(exponent);
      const Digits digits = digits_at(mantissas[(exponent - first) * step], place);
      sum = {sum.low + digits.low, sum.middle + digits.middle, sum.high + digits.high};
      if (exponent == last || place_of(exponent + 1) % DIGIT_BITS == 0) {
        add_digits(sum, place);
        sum = {};
      }
    }
  }

  // Remembers that an element was not -0.0.
  void mark_other_than_minus_zero() { marks_ |= OTHER_THAN_MINUS_ZERO; }

  COREPY_OUT_OF_LINE void merge(const Superaccumulator &other) {
    for (size_t k = 0; k < DIGITS; ++k) {
      digit_[k] += other.digit_[k];
    }
    marks_ |= other.marks_;
    carry();
  }

  // Makes every digit but the highest, which has the sign, 0 ... 2^32 - 1.
  COREPY_OUT_OF_LINE void carry() {
    int64_t over = 0;
    for (size_t k = 0; k + 1 < DIGITS; ++k) {
      const int64_t digit = digit_[k] + over;
      over = digit >> DIGIT_BITS;
      digit_[k] = digit & DIGIT_MASK;
    }
    digit_[DIGITS - 1] += over;
  }

  // The sum, rounded to the nearest T, ties to even. The digits are carried.
  template <class T>
  COREPY_OUT_OF_LINE T rounded() const {
    const bool plus = marks_ & PLUS_INFINITY;
    const bool minus = marks_ & MINUS_INFINITY;
    if ((marks_ & NOT_A_NUMBER) || (plus && minus)) {
      return quiet_nan<T>();
    }
    if (plus || minus) {
      return plus ? infinity<T>() : -infinity<T>();
    }
    Superaccumulator size = *this;
    const bool negative = digit_[DIGITS - 1] < 0;
    if (negative) {
      for (int64_t &digit : size.digit_) {
        digit = -digit;
      }
      size.carry();
    }
    size_t top = DIGITS;
    while (top > 0 && size.digit_[top - 1] == 0) {
      --top;
    }
    if (top == 0) {
      return marks_ & OTHER_THAN_MINUS_ZERO ? T(0) : -T(0);
    }
    const T result = size.template rounded_size<T>(top);
    return negative ? -result : result;
  }

private:
  static constexpr int DIGIT_BITS = 32;
  static constexpr int64_t DIGIT_MASK = 0xffffffff;
  // Bit 0 of digit 0 is 2^-1074. 2^64 elements of 2^1024 need 2,162 bits and a sign.
  static constexpr size_t DIGITS = 70;

  static constexpr uint64_t OTHER_THAN_MINUS_ZERO = 1;
  static constexpr uint64_t PLUS_INFINITY = 2;
  static constexpr uint64_t MINUS_INFINITY = 4;
  static constexpr uint64_t NOT_A_NUMBER = 8;

  static size_t place_of(size_t exponent) { return exponent - (exponent != 0); }

  // What a number is in the digit of its last place and the two above.
  struct Digits {
    int64_t low, middle, high;
  };

  static Digits digits_at(int64_t mantissa, size_t place) {
    const int shift = place % DIGIT_BITS;
    const uint64_t shifted = static_cast<uint64_t>(mantissa) << shift;
    return {static_cast<int64_t>(shifted & DIGIT_MASK), static_cast<int64_t>(shifted >> DIGIT_BITS),
            mantissa >> DIGIT_BITS >> (DIGIT_BITS - shift)};
  }

  void add_digits(Digits digits, size_t place) {
    int64_t *const digit = digit_ + place / DIGIT_BITS;
    digit[0] += digits.low;
    digit[1] += digits.middle;
    digit[2] += digits.high;
  }

  // Remembers an infinity or NaN.
  void mark(uint64_t word) {
    marks_ |= (word & ~SIGN) > INFINITE ? NOT_A_NUMBER
              : word & SIGN             ? MINUS_INFINITY
                                        : PLUS_INFINITY;
  }

  uint64_t bit_range(size_t place, int bits) const {
    // At most 53 bits from bit `place` on: they lie in three digits.
    const size_t k = place / DIGIT_BITS;
    unsigned __int128 word = 0;
    for (size_t i = 3; i-- > 0;) {
      word = word << DIGIT_BITS | (k + i < DIGITS ? static_cast<uint64_t>(digit_[k + i]) : 0);
    }
    return static_cast<uint64_t>(word >> place % DIGIT_BITS) & ((uint64_t{1} << bits) - 1);
  }

  // Rounds a positive number whose highest digit that is not 0 is number top - 1.
  template <class T>
  T rounded_size(size_t top) const {
    constexpr int BITS = Element<T>::mantissa_bits + 1;
    // Place of the lowest bit of a subnormal T.
    constexpr size_t LEAST = Element<double>::exponent_bias + FRACTION -
                             (Element<T>::exponent_bias + Element<T>::mantissa_bits);
    const uint64_t highest = static_cast<uint64_t>(digit_[top - 1]);
    const size_t high = (top - 1) * DIGIT_BITS + 63 - static_cast<size_t>(__builtin_clzll(highest));
    const size_t low = high < LEAST + BITS ? LEAST : high - (BITS - 1);
    // Exponent and fraction side by side: a carry out of the fraction steps the exponent.
    uint64_t result = bit_range(low, BITS) + (uint64_t{low - LEAST} << (BITS - 1));
    if (low > 0 && bit_range(low - 1, 1) != 0) {
      const size_t half = low - 1;
      bool more = bit_range(half / DIGIT_BITS * DIGIT_BITS, half % DIGIT_BITS) != 0;
      for (size_t k = 0; k < half / DIGIT_BITS; ++k) {
        more = more || digit_[k] != 0;
      }
      result += more || (result & 1);
    }
    return result >= infinity_bits<T> ? infinity<T>() : bits_as<T>(static_cast<Raw<T>>(result));
  }

  int64_t digit_[DIGITS];
  uint64_t marks_;
};

} // namespace
} // namespace COREPY_NAMESPACE
