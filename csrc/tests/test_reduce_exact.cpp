// Tests of the correctly rounded sums of one level, against a fixed-point number of 2,400 bits.
#include "reductions.h"

#include <algorithm>
#include <limits>

namespace {

// The definition: every float is a whole multiple of 2^-1074, added bit by bit as schoolbooks do.
class Exact {
public:
  void add(double x) {
    all_minus_zero_ = all_minus_zero_ && x == 0 && signbit(x);
    if (isnan(x)) {
      nan_ = true;
    } else if (isinf(x)) {
      (x > 0 ? plus_ : minus_) = true;
    } else if (x != 0) {
      int exponent;
      const double fraction = frexp(fabs(x), &exponent);
      const uint64_t whole = static_cast<uint64_t>(ldexp(fraction, 53));
      // A subnormal has zeros below, which ldexp has put there.
      const int place = exponent - 53 + 1074;
      add_bits(place < 0 ? whole >> -place : whole, place < 0 ? 0 : place, x < 0);
    }
  }

  template <class T>
  T rounded(size_t count) const {
    if (count == 0) {
      return 0;
    }
    if (nan_ || (plus_ && minus_)) {
      return static_cast<T>(NAN);
    }
    if (plus_ || minus_) {
      return static_cast<T>(plus_ ? INFINITY : -INFINITY);
    }
    std::vector<uint8_t> bits = bits_;
    const bool negative = bits.back() != 0;
    if (negative) { // two's complement
      uint8_t over = 1;
      for (uint8_t &bit : bits) {
        bit = static_cast<uint8_t>((bit ^ 1) + over);
        over = bit >> 1;
        bit &= 1;
      }
    }
    int top = static_cast<int>(bits.size()) - 1;
    while (top >= 0 && bits[static_cast<size_t>(top)] == 0) {
      --top;
    }
    if (top < 0) {
      return all_minus_zero_ ? T(-0.0) : T(0);
    }
    const int digits = sizeof(T) == 8 ? 53 : 24;
    const int least = sizeof(T) == 8 ? 0 : 1074 - 149;
    const int low = std::max(top - digits + 1, least);
    uint64_t whole = 0;
    for (int i = top; i >= low; --i) {
      whole = whole << 1 | bits[static_cast<size_t>(i)];
    }
    const bool half = low > 0 && bits[static_cast<size_t>(low - 1)];
    bool rest = false;
    for (int i = 0; i < low - 1; ++i) {
      rest = rest || bits[static_cast<size_t>(i)];
    }
    whole += half && (rest || (whole & 1));
    const long double size = ldexpl(static_cast<long double>(whole), low - 1074);
    const long double limit = sizeof(T) == 8 ? 0x1.fffffffffffffp1023L : 0x1.fffffep127L;
    const T result = size > limit ? static_cast<T>(INFINITY) : static_cast<T>(size);
    return negative ? -result : result;
  }

private:
  void add_bits(uint64_t whole, int place, bool subtract) {
    int over = 0;
    for (size_t i = static_cast<size_t>(place); i < bits_.size(); ++i) {
      if (whole == 0 && over == 0) {
        break;
      }
      const int bit = static_cast<int>(whole & 1);
      whole >>= 1;
      const int total = bits_[i] + (subtract ? -bit : bit) + over;
      bits_[i] = static_cast<uint8_t>(total & 1);
      over = total >> 1;
    }
  }

  std::vector<uint8_t> bits_ = std::vector<uint8_t>(2400);
  bool nan_ = false, plus_ = false, minus_ = false, all_minus_zero_ = true;
};

template <class T>
T drawn(int kind) {
  const uint64_t r = random_bits();
  switch (kind) {
  case 0:
  case 1:
  case 2:
    return random_float<T>(kind);
  case 3: // any bits at all, without infinities and NaN
    for (;;) {
      T x;
      const uint64_t bits = random_bits();
      memcpy(&x, &bits, sizeof x);
      if (isfinite(x)) {
        return x;
      }
    }
  case 4: // sums beyond the largest number on the way
    return static_cast<T>((r & 1 ? 1 : -1) * (sizeof(T) == 8 ? 1.7e308 : 3.3e38));
  case 5: // subnormals
    return static_cast<T>(static_cast<double>(static_cast<int64_t>(r % 4001) - 2000) *
                          (sizeof(T) == 8 ? 0x1p-1074 : 0x1p-149));
  case 6: // halves of the last place of 1: ties
    return static_cast<T>((r & 1 ? 1 : -1) * (r & 2 ? 1.0 : sizeof(T) == 8 ? 0x1p-53 : 0x1p-24));
  default: // the largest mantissas, all of one exponent and sign: the table is full soonest
    return static_cast<T>(sizeof(T) == 8 ? 0x1.fffffffffffffp0 : 0x1.fffffep0);
  }
}

template <class T, size_t PARTS>
std::vector<T> sums(const T *x, size_t rows, size_t pitch, size_t cols) {
  std::vector<T> want(cols * PARTS);
  for (size_t j = 0; j < cols * PARTS; ++j) {
    Exact sum;
    for (size_t i = 0; i < rows; ++i) {
      sum.add(static_cast<double>(x[i * pitch * PARTS + j]));
    }
    want[j] = sum.rounded<T>(rows);
  }
  return want;
}

template <class T>
bool same_parts(const char *got, const std::vector<T> &want, bool or_nan) {
  for (size_t j = 0; j < want.size(); ++j) {
    T value;
    memcpy(&value, got + j * sizeof(T), sizeof value);
    if (!same_float(value, want[j]) && !(or_nan && value != value)) {
      return false;
    }
  }
  return true;
}

template <class T, size_t PARTS>
void exact(int dtype, const char *name) {
  const size_t item = PARTS * sizeof(T);
  for (const int op : {COREPY_REDUCE_EXACT_SUM, COREPY_REDUCE_SUPERACCUMULATOR}) {
    const corepy_reduction &r = table.reductions[op][dtype];
    // What `finish` gives for the first pass is NaN where it is not proven, and never wrong.
    const bool or_nan = op == COREPY_REDUCE_EXACT_SUM;
    for (int kind = 0; kind < 8; ++kind) {
      for (const size_t n :
           {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{15}, size_t{16}, size_t{17},
            size_t{100}, size_t{255}, size_t{256}, size_t{257}, size_t{1023}, size_t{1024},
            size_t{1025}, size_t{2500}, size_t{5000}}) {
        for (const bool cancelling : {false, true}) {
          Buffer<T> x(n * PARTS, random_bits() % 3);
          for (size_t i = 0; i < n * PARTS; ++i) {
            const size_t twin = n * PARTS - 1 - i;
            x[i] = cancelling && twin < i && n > 3 ? -x[twin] : drawn<T>(kind);
          }
          const std::vector<T> want = sums<T, PARTS>(x.data(), n, 1, 1);
          const char *const a = reinterpret_cast<const char *>(x.data());
          std::vector<char> out(item);
          r.each(out.data(), a, nullptr, 1, 0, 0, n, 0);
          check(same_parts(out.data(), want, false), "each", name, static_cast<long>(n),
                op * 10 + kind);
          for (const size_t group : {size_t{1}, size_t{2}, size_t{64}}) {
            if (n > 0) {
              const std::vector<char> got = grouped(r, a, nullptr, item, 0, n, group, 0, item);
              check(same_parts(got.data(), want, or_nan), "blocks", name, static_cast<long>(n),
                    op * 10 + kind);
            }
          }
        }
      }
      for (const size_t cols : {1, 3, 8, 17, 65}) {
        for (const size_t rows : {1, 16, 17, 40, 49, 1024, 1100}) {
          const size_t pitch = cols + rows % 3;
          Buffer<T> x(pitch * rows * PARTS, 1);
          for (size_t i = 0; i < pitch * rows * PARTS; ++i) {
            x[i] = drawn<T>(kind);
          }
          const std::vector<T> want = sums<T, PARTS>(x.data(), rows, pitch, cols);
          const char *const a = reinterpret_cast<const char *>(x.data());
          const ptrdiff_t stride = static_cast<ptrdiff_t>(pitch * item);
          std::vector<std::vector<char>> states;
          for (size_t top = 0; top < rows; top += 1024) {
            states.emplace_back(16 * cols * r.lane_bytes);
            r.rows(states.back().data(), a + static_cast<ptrdiff_t>(top) * stride, nullptr,
                   std::min<size_t>(1024, rows - top), stride, cols, top);
          }
          if (states.size() > 1) {
            r.merge(states[0].data(), states[1].data(), 16 * cols);
          }
          std::vector<char> out(cols * item);
          r.finish(out.data(), states[0].data(), cols, 0);
          check(same_parts(out.data(), want, or_nan), "rows", name, static_cast<long>(rows),
                static_cast<long>(cols * 10) + op);
          if (rows <= 1024) {
            r.columns(out.data(), a, nullptr, rows, stride, cols, 0);
            check(same_parts(out.data(), want, false), "columns", name, static_cast<long>(rows),
                  static_cast<long>(cols * 10) + op);
          }
        }
      }
    }
  }
}

// Elements whose lowest and highest bits lie as far apart as some bins are wide, or one bit more or
// less, somewhere between the least and the largest number; batches of such elements beside others.
template <class T>
class Spread {
public:
  Spread() {
    const int digits = sizeof(T) == 8 ? 53 : 24;
    const int least = sizeof(T) == 8 ? -1074 : -149;
    const int most = sizeof(T) == 8 ? 1023 : 127;
    const int bins = 1 + static_cast<int>(random_bits() % 10);
    const int bits = bins * 42 - digits - 1 + static_cast<int>(random_bits() % 5) - 2;
    const int exponents = std::min(std::max(bits, 0), most - least - digits);
    switch (random_bits() % 4) {
    case 0: // down to subnormals
      low_ = least;
      break;
    case 1: // sums on the way overflow
      low_ = most - exponents;
      break;
    default:
      low_ = least +
             static_cast<int>(random_bits() % static_cast<uint64_t>(most - exponents - least + 1));
    }
    high_ = low_ + exponents;
    kind_ = random_bits() % 6;
  }

  T drawn() const {
    const uint64_t r = random_bits();
    const uint64_t span = static_cast<uint64_t>(high_ - low_ + 1);
    const T sign = kind_ < 3 && (r & 1) ? T(-1) : T(1);
    const T ones = 2 - std::numeric_limits<T>::epsilon();
    switch (kind_) {
    case 0: // anything
      return sign * ldexp_of(1 + random_float<T>(0) / 2, low_ + static_cast<int>((r >> 8) % span));
    case 1: // both ends
    case 3:
      return sign * ldexp_of(ones, r & 2 ? low_ : high_);
    case 2: // twins that leave nothing but ends
      return sign * ldexp_of(ones, r % 256 < 250 ? high_ : low_);
    case 4: // as much as a bin can be given, of one sign
      return ldexp_of(ones, r % 1024 == 0 ? low_ : high_);
    default: // halves of a bin's last place
      return ldexp_of(1 + ldexp_of(1, -static_cast<int>((r >> 8) % 54)),
                      r % 1024 == 0 ? low_ : high_);
    }
  }

private:
  static T ldexp_of(T x, int exponent) {
    return static_cast<T>(ldexp(static_cast<double>(x), exponent));
  }

  int low_, high_;
  uint64_t kind_;
};

template <class T, size_t PARTS>
void spreads(int dtype, const char *name) {
  constexpr size_t ITEM = PARTS * sizeof(T);
  for (int round = 0; round < 250; ++round) {
    const size_t n = random_bits() % 3 == 0 ? 1 + random_bits() % 5000
                                            : 64 * (1 + random_bits() % 70) - 1 + random_bits() % 3;
    Buffer<T> x(n * PARTS, random_bits() % 3);
    Spread<T> spread[2];
    for (size_t i = 0; i < n; ++i) {
      // Batches are looked at by themselves: not all alike.
      if (i % 1024 == 1000 && random_bits() % 4 == 0) {
        spread[random_bits() % 2] = Spread<T>();
      }
      for (size_t part = 0; part < PARTS; ++part) {
        x[i * PARTS + part] = spread[part].drawn();
      }
    }
    switch (random_bits() % 8) {
    case 0: // nothing is left of most
      for (size_t i = 0; i < n * PARTS / 2 / PARTS * PARTS; i += PARTS) {
        for (size_t part = 0; part < PARTS; ++part) {
          x[(n - 1) * PARTS - i + part] = -x[i + part];
        }
      }
      break;
    case 1: // zeros of both signs
      for (size_t i = 0; i < n * PARTS; ++i) {
        x[i] = random_bits() % 4 == 0 ? T(0) : random_bits() % 2 == 0 ? T(-0.0) : x[i];
      }
      break;
    case 2: // one part has an infinity or NaN, or infinities of both signs
      for (uint64_t i = random_bits() % 3; i > 0; --i) {
        const T values[3] = {static_cast<T>(INFINITY), static_cast<T>(-INFINITY),
                             static_cast<T>(NAN)};
        x[random_bits() % n * PARTS] = values[random_bits() % 3];
      }
      break;
    case 3: // nothing but -0.0 in the last part
      for (size_t i = 0; i < n; ++i) {
        x[i * PARTS + PARTS - 1] = T(-0.0);
      }
      break;
    default:
      break;
    }
    const std::vector<T> want = sums<T, PARTS>(x.data(), n, 1, 1);
    const char *const a = reinterpret_cast<const char *>(x.data());
    std::vector<char> out(ITEM);
    for (const int op : {COREPY_REDUCE_EXACT_SUM, COREPY_REDUCE_SUPERACCUMULATOR}) {
      const corepy_reduction &r = table.reductions[op][dtype];
      r.each(out.data(), a, nullptr, 1, 0, 0, n, 0);
      check(same_parts(out.data(), want, false), "each of a spread", name, static_cast<long>(n),
            round);
    }
    const corepy_reduction &r = table.reductions[COREPY_REDUCE_SUPERACCUMULATOR][dtype];
    const std::vector<char> got = grouped(r, a, nullptr, ITEM, 0, n, 2, 0, ITEM);
    check(same_parts(got.data(), want, false), "blocks of a spread", name, static_cast<long>(n),
          round);
    std::vector<char> state(16 * r.lane_bytes);
    r.rows(state.data(), a, nullptr, n, static_cast<ptrdiff_t>(ITEM), 1, 0);
    r.finish(out.data(), state.data(), 1, 0);
    check(same_parts(out.data(), want, false), "rows of a spread", name, static_cast<long>(n),
          round);
  }
}

// The first pass proves ordinary sums, or it would be of no use.
void proves() {
  std::vector<double> x(100'000);
  for (double &each : x) {
    each = random_float<double>(0) - 0.499;
  }
  const corepy_reduction &r = table.reductions[COREPY_REDUCE_EXACT_SUM][COREPY_DTYPE_FLOAT64];
  std::vector<char> state(16 * r.lane_bytes);
  double out;
  r.blocks(state.data(), x.data(), nullptr, x.size(), 0);
  r.finish(&out, state.data(), 1, 0);
  check(out == out, "proven", "float64", static_cast<long>(x.size()));
}

} // namespace

int main() {
  COREPY_NAMESPACE::fill_reductions(&table);
  proves();
  exact<float, 1>(COREPY_DTYPE_FLOAT32, "float32");
  spreads<float, 1>(COREPY_DTYPE_FLOAT32, "float32");
  exact<double, 1>(COREPY_DTYPE_FLOAT64, "float64");
  spreads<double, 1>(COREPY_DTYPE_FLOAT64, "float64");
  exact<float, 2>(COREPY_DTYPE_COMPLEX64, "complex64");
  spreads<float, 2>(COREPY_DTYPE_COMPLEX64, "complex64");
  exact<double, 2>(COREPY_DTYPE_COMPLEX128, "complex128");
  spreads<double, 2>(COREPY_DTYPE_COMPLEX128, "complex128");
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
