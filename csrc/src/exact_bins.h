// Exact sums of elements whose exponents are not far apart, by vector additions alone.
//
// A bin is a float64 of a fixed exponent, 1.5 * 2^(52 + u) at first, which so holds a multiple of
// 2^u. An element added to the highest bin leaves what is below its last place exactly, which goes
// to the next bin, WIDTH bits lower; the lowest bin's last place is one that no element has bits
// below. These are the bins of J. Demmel and H. D. Nguyen, "Parallel Reproducible Summation", IEEE
// Transactions on Computers 64(7), 2015; other than there they are enough in number to hold every
// bit, and go on to a superaccumulator as integers.
#pragma once

#include "exact_table.h"

namespace COREPY_NAMESPACE {
namespace {

// Elements of REPEAT sums in turn.
template <class T, size_t REPEAT>
class ExactBins {
public:
  using Sums = Superaccumulator[REPEAT];

  // n elements of each of the sums, which are carried afterwards.
  COREPY_OUT_OF_LINE static void add_all(Sums &sum, const T *x, size_t n) {
    n *= REPEAT;
    if (n < WORTH_BINS) {
      add_each(sum, x, n);
      carry(sum);
      return;
    }
    ExponentTable<REPEAT> table;
    const size_t whole = n - n % GROUP;
    for (size_t i = 0; i < whole; i += BATCH) {
      add_batch(sum, table, x + i, whole - i < BATCH ? whole - i : BATCH, n - i);
      // A batch makes at most 2^13 additions.
      if ((i / BATCH + 1) % (size_t{1} << 15) == 0) {
        carry(sum);
      }
    }
    if (whole < n) {
      T rest[GROUP];
      for (T &each : rest) {
        each = -T(0); // changes nothing
      }
      __builtin_memcpy(rest, x + whole, (n - whole) * sizeof(T));
      add_batch(sum, table, rest, GROUP, n - whole);
    }
    table.flush(sum);
    carry(sum);
  }

private:
  static constexpr size_t N = VECTOR / sizeof(double);
  // Elements that are looked at together: 16 KiB of float64, which stay in the first-level cache.
  static constexpr size_t BATCH = 2048;
  // What a batch is a multiple of.
  static constexpr size_t GROUP = 64;
  static constexpr int WIDTH = 42;
  // Fewer elements are added one by one.
  static constexpr size_t WORTH_BINS = VECTOR == 16 ? 4 * GROUP : GROUP;
  // Clearing and emptying the table takes as long as adding this many one by one, and two more for
  // each exponent.
  static constexpr size_t WORTH_A_TABLE = 256;
  static constexpr int FRACTION = Element<double>::mantissa_bits;
  static constexpr int PLACES = Element<T>::mantissa_bits;
  // Largest exponent of a number, and bits from the lowest place of a number to the highest of
  // another, with one for the sign.
  static constexpr size_t HIGHEST = 2 * Element<T>::exponent_bias;
  static constexpr size_t bits_between(size_t least, size_t most) {
    return most - least + PLACES + 2;
  }
  static constexpr size_t bins_for(size_t bits) { return (bits + WIDTH - 1) / WIDTH; }
  // Bins for all float32; for float64 as long as they take less time than the table: exponents 282
  // apart, and 114 where vectors have two lanes.
  static constexpr size_t MOST_BINS = sizeof(T) == 4 ? bins_for(bits_between(1, HIGHEST))
                                      : VECTOR == 16 ? 4
                                                     : 8;

  static void carry(Sums &sum) {
    for (Superaccumulator &part : sum) {
      part.carry();
    }
  }

  // The magnitudes of a batch, as bits.
  struct Extent {
    Raw<T> least[REPEAT]; // of all but zeros, less 1
    Raw<T> most[REPEAT];
    bool other[REPEAT]; // than -0.0
  };

  static Extent extent_of(const T *x, size_t n) {
    using S = typename MaskOf<T>::type; // the signed integer of that size
    // SSE2 has no comparison of 64-bit integers: scalars, two in turn.
    constexpr size_t LANES = VECTOR / sizeof(T) <= 2 ? 1 : VECTOR / sizeof(T);
    constexpr size_t TURNS = LANES == 1 ? 2 : 1;
    using I = vec<S, LANES>;
    constexpr S SIZE = static_cast<S>(~sign_bit<T>);
    I least[TURNS], most[TURNS], all[TURNS]; // all: bits that differ from those of -0.0
    for (size_t turn = 0; turn < TURNS; ++turn) {
      least[turn] = splat<S, LANES>(SIZE);
      most[turn] = all[turn] = I{};
    }
    for (size_t i = 0; i < n; i += LANES * TURNS) {
#pragma GCC unroll 2
      for (size_t turn = 0; turn < TURNS; ++turn) {
        const I word = load<I>(x + i + turn * LANES);
        const I size = word & SIZE;
        const I below = (size - 1) & SIZE;
        least[turn] = below < least[turn] ? below : least[turn];
        most[turn] = size > most[turn] ? size : most[turn];
        all[turn] |= word ^ ~SIZE;
      }
    }
    Extent result;
    for (size_t part = 0; part < REPEAT; ++part) {
      S low = SIZE, high = 0, other = 0;
      for (size_t i = part; i < LANES * TURNS; i += REPEAT) {
        const size_t turn = i / LANES;
        const S lane_low = lane<LANES>(least[turn], i);
        const S lane_high = lane<LANES>(most[turn], i);
        low = lane_low < low ? lane_low : low;
        high = lane_high > high ? lane_high : high;
        other |= lane<LANES>(all[turn], i);
      }
      result.least[part] = static_cast<Raw<T>>(low);
      result.most[part] = static_cast<Raw<T>>(high);
      result.other[part] = other != 0;
    }
    return result;
  }

  template <size_t LANES, class V>
  static auto lane(V value, size_t i) {
    if constexpr (LANES == 1) {
      return value;
    } else {
      return value[i % LANES];
    }
  }

  // The exponent field, where 0 and 1 are the same exponent.
  static size_t exponent_of(Raw<T> size) {
    const size_t exponent = size >> PLACES;
    return exponent + (exponent == 0);
  }

  // One by one.
  COREPY_OUT_OF_LINE static void add_each(Sums &sum, const T *x, size_t n) {
    for (size_t i = 0; i < n; i += REPEAT) {
      for (size_t part = 0; part < REPEAT; ++part) {
        sum[part].add(static_cast<double>(load<T>(x + i + part)));
      }
    }
  }

  // A sum with elements that are not finite is settled, whatever its finite ones are.
  COREPY_OUT_OF_LINE static void add_infinite(Superaccumulator &sum, const T *x, size_t n) {
    bool plus = false, minus = false, nan = false;
    for (size_t i = 0; i < n; i += REPEAT) {
      const T element = load<T>(x + i);
      plus |= element == infinity<T>();
      minus |= element == -infinity<T>();
      nan |= is_nan(element);
    }
    if (plus) {
      sum.add(infinity<double>());
    }
    if (minus) {
      sum.add(-infinity<double>());
    }
    if (nan) {
      sum.add(quiet_nan<double>());
    }
  }

  // n elements; `left` are to come with them.
  static void add_batch(Sums &sum, ExponentTable<REPEAT> &table, const T *x, size_t n,
                        size_t left) {
    const Extent extent = extent_of(x, n);
    size_t bins = 0;
    size_t highest = 0;
    size_t base[REPEAT]; // exponents of float64 whose last place is the lowest of any element
    bool infinite = false;
    ExponentRange range = {Superaccumulator::EXPONENTS, 0};
    for (size_t part = 0; part < REPEAT; ++part) {
      base[part] = 1;
      if (extent.other[part]) {
        sum[part].mark_other_than_minus_zero();
      }
      if (extent.most[part] >= infinity_bits<T>) {
        add_infinite(sum[part], x + part, n);
        infinite = true;
      } else if (extent.most[part] != 0) {
        const size_t least = exponent_of(extent.least[part] + 1);
        const size_t most = exponent_of(extent.most[part]);
        const size_t wanted = bins_for(bits_between(least, most));
        bins = wanted > bins ? wanted : bins;
        base[part] = least + Element<double>::exponent_bias + FRACTION - Element<T>::exponent_bias -
                     static_cast<size_t>(PLACES);
        highest = base[part] > highest ? base[part] : highest;
        range.first = least < range.first ? least : range.first;
        range.last = most > range.last ? most : range.last;
      }
    }
    if (bins == 0) {
      return;
    }
    if (infinite) {
      add_each(sum, x, n < left ? n : left);
    } else if (bins <= MOST_BINS && (sizeof(T) == 4 || highest + (bins - 1) * WIDTH <= HIGHEST)) {
      add_bins<1>(bins, sum, x, n, base);
    } else if constexpr (sizeof(T) == 8) {
      if (table.empty() && left < WORTH_A_TABLE + 2 * (range.last - range.first)) {
        add_each(sum, x, n < left ? n : left);
      } else {
        table.add(sum, x, n, {range.first - (range.first == 1), range.last});
      }
    }
  }

  template <size_t BINS>
  static void add_bins(size_t bins, Sums &sum, const T *x, size_t n, const size_t (&base)[REPEAT]) {
    if constexpr (BINS < MOST_BINS) {
      if (bins > BINS) {
        return add_bins<BINS + 1>(bins, sum, x, n, base);
      }
    }
    add_to<BINS>(sum, x, n, base);
  }

  static vec<double, N> empty(size_t k, const size_t (&base)[REPEAT]) {
    vec<uint64_t, N> result;
    for (size_t i = 0; i < N; ++i) {
      result[i] = (base[i % REPEAT] + k * WIDTH) << FRACTION | uint64_t{1} << (FRACTION - 1);
    }
    return bits<vec<double, N>>(result);
  }

  template <size_t BINS>
  COREPY_OUT_OF_LINE static void add_to(Sums &sum, const T *x, size_t n,
                                        const size_t (&base)[REPEAT]) {
    // Bins that wait for their last addition: few bins are added to faster than that takes.
    constexpr size_t SETS = BINS == 1 ? 4 : BINS <= 4 ? 2 : 1;
    // The sum of the elements in a bin stays below half of its number.
    static_assert(BATCH / (N * SETS) <= size_t{1} << (FRACTION - WIDTH));
    static_assert(GROUP % (N * SETS) == 0);
    using D = vec<double, N>;
    using I = vec<int64_t, N>;
    D bin[SETS][BINS];
#pragma GCC unroll 8
    for (size_t k = 0; k < BINS; ++k) {
#pragma GCC unroll 8
      for (size_t set = 0; set < SETS; ++set) {
        bin[set][k] = empty(k, base);
      }
    }
    for (size_t i = 0; i < n; i += N * SETS) {
#pragma GCC unroll 8
      for (size_t set = 0; set < SETS; ++set) {
        D rest = convert<double, N>(load<vec<T, N>>(x + i + set * N));
#pragma GCC unroll 8
        for (size_t k = BINS - 1; k > 0; --k) {
          const D total = bin[set][k] + rest;
          const D part = total - bin[set][k];
          rest = subtract_by_fma<N>(rest, part);
          bin[set][k] = total;
        }
        bin[set][0] = bin[set][0] + rest;
      }
    }
#pragma GCC unroll 8
    for (size_t k = 0; k < BINS; ++k) {
      // The bits of floats of one exponent are their last places' multiples.
      const I before = bits<I>(empty(k, base));
      I total{};
#pragma GCC unroll 8
      for (size_t set = 0; set < SETS; ++set) {
        total += bits<I>(bin[set][k]) - before;
      }
      for (size_t part = 0; part < REPEAT; ++part) {
        int64_t of_part = 0;
        for (size_t i = part; i < N; i += REPEAT) {
          of_part += total[i];
        }
        sum[part].add_at(of_part, base[part] + k * WIDTH);
      }
    }
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
