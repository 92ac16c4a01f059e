// A table with an integer for each exponent, in front of a superaccumulator: sums of float64 whose
// exponents are far apart.
//
// The large superaccumulator of R. M. Neal, arXiv:1505.05571, 2015: an addition is one 64-bit
// integer addition. Other than there, the integers are of signed mantissas, and a look at them
// after each batch replaces counters: a batch is short enough that none of them can overflow.
#pragma once

#include "superaccumulator.h"

namespace COREPY_NAMESPACE {
namespace {

// Exponents that something is known of; none where first > last.
struct ExponentRange {
  size_t first, last;
};

// Elements take turns between REPEAT sums. Of one sum they take turns between two integers, since
// an addition to memory waits for the one before it to the same place.
template <size_t REPEAT>
class ExponentTable {
public:
  bool empty() const { return all_.first > all_.last; }

  // n elements, a whole number of each sum's, whose exponents lie in the range.
  COREPY_OUT_OF_LINE void add(Superaccumulator (&sum)[REPEAT], const double *x, size_t n,
                              ExponentRange range) {
    if (empty()) {
      __builtin_memset(entry_, 0, sizeof entry_);
    }
    all_.first = range.first < all_.first ? range.first : all_.first;
    all_.last = range.last > all_.last ? range.last : all_.last;
    for (size_t i = 0; i < n; i += BATCH) {
      add_batch(x + i, n - i < BATCH ? n - i : BATCH);
      flush_full(sum, range);
    }
  }

  // Moves everything on.
  void flush(Superaccumulator (&sum)[REPEAT]) { flush(sum, all_); }

private:
  static constexpr size_t EXPONENTS = Superaccumulator::EXPONENTS;
  static constexpr size_t WAYS = 2;
  // An integer is below 2^62 before a batch, which adds 512 mantissas below 2^53.
  static constexpr size_t BATCH = 512 * WAYS;

  void add_batch(const double *x, size_t n) {
    for (size_t i = 0; i < n; i += WAYS) {
#pragma GCC unroll 4
      for (size_t way = 0; way < WAYS; ++way) {
        const uint64_t word = load<uint64_t>(x + i + way);
        entry_[word >> Superaccumulator::FRACTION & (EXPONENTS - 1)][way] +=
            Superaccumulator::mantissa(word);
      }
    }
  }

  // Moves integers of 2^62 and more on. Where the exponents are far apart these are few.
  void flush_full(Superaccumulator (&sum)[REPEAT], ExponentRange range) {
    constexpr size_t GROUP = 8;
    for (size_t group = range.first / GROUP; group * GROUP <= range.last; ++group) {
      const int64_t *const entry = entry_[group * GROUP];
      int64_t full = 0; // negative where the highest two bits of any differ
      for (size_t i = 0; i < GROUP * WAYS; ++i) {
        full |= entry[i] ^ static_cast<int64_t>(static_cast<uint64_t>(entry[i]) << 1);
      }
      if (full < 0) {
        flush(sum, {group * GROUP, group * GROUP + GROUP - 1});
      }
    }
  }

  COREPY_OUT_OF_LINE void flush(Superaccumulator (&sum)[REPEAT], ExponentRange range) {
    if (range.first > range.last) {
      return;
    }
    int64_t *const entry = entry_[range.first];
    for (size_t way = 0; way < WAYS; ++way) {
      sum[way % REPEAT].add_run(entry + way, WAYS, range.first, range.last);
    }
    __builtin_memset(entry, 0, (range.last + 1 - range.first) * sizeof entry_[0]);
  }

  ExponentRange all_ = {EXPONENTS, 0};
  int64_t entry_[EXPONENTS][WAYS];
};

} // namespace
} // namespace COREPY_NAMESPACE
