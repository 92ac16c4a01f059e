// An accumulator that holds any sum of floats exactly, and rounds it once.
//
// R. M. Neal, "Fast exact summation using small and large superaccumulators", arXiv:1505.05571,
// 2015: a fixed-point number that covers every exponent (small), fed from a table with one integer
// for each exponent (large), so that most additions are one 64-bit integer addition. Other than
// there, the table's integers are signed mantissas, and a look at them after each batch replaces
// the counters: a batch is short enough that none of them can overflow.
#pragma once

#include "lane.h"
#include "reduce_lanes.h"

namespace COREPY_NAMESPACE {
namespace {

class Superaccumulator {
public:
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

  // n elements, STEP apart.
  template <size_t STEP, class T>
  COREPY_OUT_OF_LINE void add_all(const T *x, size_t n) {
    if (n < WORTH_A_TABLE) {
      for (size_t i = 0; i < n; ++i) {
        add(element(x + i * STEP));
      }
      carry();
      return;
    }
    int64_t table[EXPONENTS][WAYS];
    __builtin_memset(table, 0, sizeof table);
    Range all = {EXPONENTS, 0};
    for (size_t i = 0; i < n; i += BATCH) {
      const Range range = add_batch<STEP>(table, x + i * STEP, n - i < BATCH ? n - i : BATCH);
      flush_full(table, range);
      all.first = range.first < all.first ? range.first : all.first;
      all.last = range.last > all.last ? range.last : all.last;
      // A batch adds less than 2^40 to a digit.
      if ((i / BATCH + 1) % (size_t{1} << 20) == 0) {
        carry();
      }
    }
    flush(table, all);
    carry();
  }

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
  static constexpr uint64_t SIGN = sign_bit<double>;
  static constexpr uint64_t INFINITE = infinity_bits<double>;
  static constexpr int FRACTION = Element<double>::mantissa_bits;
  static constexpr size_t EXPONENTS = 2048;
  // Elements of one exponent, the usual case, take turns, since an addition to memory waits for
  // the one before it to the same place.
  static constexpr size_t WAYS = 2;
  // An integer of the table is below 2^62 before a batch, which adds 512 mantissas below 2^53.
  static constexpr size_t BATCH = 512 * WAYS;
  // Fewer elements are added one by one: clearing the table takes as long as adding these.
  static constexpr size_t WORTH_A_TABLE = 256;

  static constexpr int DIGIT_BITS = 32;
  static constexpr int64_t DIGIT_MASK = 0xffffffff;
  // Bit 0 of digit 0 is 2^-1074. 2^64 elements of 2^1024 need 2,162 bits and a sign.
  static constexpr size_t DIGITS = 70;

  static constexpr uint64_t OTHER_THAN_MINUS_ZERO = 1;
  static constexpr uint64_t PLUS_INFINITY = 2;
  static constexpr uint64_t MINUS_INFINITY = 4;
  static constexpr uint64_t NOT_A_NUMBER = 8;

  // Exponents that the table may have something for; none where first > last.
  struct Range {
    size_t first, last;
  };

  template <class T>
  static double element(const T *x) {
    return static_cast<double>(load<T>(x));
  }

  // The fraction with its hidden bit and its sign.
  static int64_t mantissa(uint64_t word) {
    const uint64_t exponent = word >> FRACTION & (EXPONENTS - 1);
    const uint64_t fraction = word & ((uint64_t{1} << FRACTION) - 1);
    const uint64_t size = fraction | uint64_t{exponent != 0} << FRACTION;
    const uint64_t negative = uint64_t{0} - (word >> 63);
    return static_cast<int64_t>((size ^ negative) - negative);
  }

  // Remembers an infinity or NaN.
  void mark(uint64_t word) {
    marks_ |= (word & ~SIGN) > INFINITE ? NOT_A_NUMBER
              : word & SIGN             ? MINUS_INFINITY
                                        : PLUS_INFINITY;
  }

  // mantissa * 2^(exponent - 1075), where exponents 0 and 1 are the same; |mantissa| <= 2^64.
  void add_at(__int128 mantissa, size_t exponent) {
    const size_t place = exponent - (exponent != 0);
    const __int128 shifted = mantissa * (__int128{1} << (place % DIGIT_BITS));
    int64_t *const digit = digit_ + place / DIGIT_BITS;
    digit[0] += static_cast<int64_t>(shifted & DIGIT_MASK);
    digit[1] += static_cast<int64_t>(shifted >> DIGIT_BITS & DIGIT_MASK);
    digit[2] += static_cast<int64_t>(shifted >> 2 * DIGIT_BITS);
  }

  // Adds the elements to the table; says which exponents they have.
  template <size_t STEP, class T>
  COREPY_OUT_OF_LINE Range add_batch(int64_t (&table)[EXPONENTS][WAYS], const T *x, size_t n) {
    uint64_t least = UINT64_MAX; // of all but zeros
    uint64_t most = 0;
    uint64_t other = 0;
    for (size_t i = 0; i < n; ++i) {
      const uint64_t word = raw(element(x + i * STEP));
      const uint64_t size = word & ~SIGN;
      least = size - 1 < least ? size - 1 : least;
      most = size > most ? size : most;
      other |= word ^ SIGN;
    }
    marks_ |= other != 0 ? OTHER_THAN_MINUS_ZERO : 0;
    if (most == 0) {
      return {EXPONENTS, 0};
    }
    if (most >= INFINITE) {
      // The result is settled, whatever the others are.
      for (size_t i = 0; i < n; ++i) {
        const uint64_t word = raw(element(x + i * STEP));
        if ((word & ~SIGN) >= INFINITE) {
          mark(word);
        }
      }
      return {EXPONENTS, 0};
    }
    size_t i = 0;
    for (; i + WAYS <= n; i += WAYS) {
#pragma GCC unroll 4
      for (size_t way = 0; way < WAYS; ++way) {
        const uint64_t word = raw(element(x + (i + way) * STEP));
        table[word >> FRACTION & (EXPONENTS - 1)][way] += mantissa(word);
      }
    }
    for (; i < n; ++i) {
      const uint64_t word = raw(element(x + i * STEP));
      table[word >> FRACTION & (EXPONENTS - 1)][0] += mantissa(word);
    }
    return {(least + 1) >> FRACTION, most >> FRACTION};
  }

  // Moves integers of 2^62 and more to the digits. Where the exponents are far apart these are few.
  COREPY_OUT_OF_LINE void flush_full(int64_t (&table)[EXPONENTS][WAYS], Range range) {
    constexpr size_t GROUP = 8;
    for (size_t group = range.first / GROUP; group * GROUP <= range.last; ++group) {
      const int64_t *const entry = table[group * GROUP];
      int64_t full = 0; // negative where the highest two bits of any differ
      for (size_t i = 0; i < GROUP * WAYS; ++i) {
        full |= entry[i] ^ static_cast<int64_t>(static_cast<uint64_t>(entry[i]) << 1);
      }
      if (full < 0) {
        flush(table, {group * GROUP, group * GROUP + GROUP - 1});
      }
    }
  }

  COREPY_OUT_OF_LINE void flush(int64_t (&table)[EXPONENTS][WAYS], Range range) {
    for (size_t exponent = range.first; exponent <= range.last; ++exponent) {
      int64_t *const entry = table[exponent];
      __int128 sum = 0;
      for (size_t way = 0; way < WAYS; ++way) {
        sum += entry[way];
        entry[way] = 0;
      }
      add_at(sum, exponent);
    }
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
