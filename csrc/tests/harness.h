// What the kernel tests share: counting, guarded memory, the levels that this machine can run.
#pragma once

#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "../src/level.h"

// A level's functions are weak here: a test runs with whichever levels are linked into it.
#define COREPY_TEST_LEVEL(LEVEL)                                                                   \
  namespace corepy_##LEVEL {                                                                       \
    [[gnu::weak]] void fill_elementwise(corepy_kernels * table);                                   \
    [[gnu::weak]] void fill_moves(corepy_kernels * table);                                         \
    [[gnu::weak]] void fill_lanes(corepy_kernels * table);                                         \
  }
COREPY_TEST_LEVEL(portable)
COREPY_TEST_LEVEL(x86_64_v3)
COREPY_TEST_LEVEL(x86_64_v4)
COREPY_TEST_LEVEL(aarch64)
#undef COREPY_TEST_LEVEL

namespace {

long checks_passed = 0;
long checks_failed = 0;

// Counts a check; the first failures are printed in full.
[[gnu::format(printf, 2, 3), maybe_unused]] bool check(bool holds, const char *format, ...) {
  if (holds) {
    checks_passed++;
    return true;
  }
  if (++checks_failed <= 40) {
    va_list arguments;
    va_start(arguments, format);
    std::printf("FAILED ");
    std::vprintf(format, arguments);
    std::printf("\n");
    va_end(arguments);
  }
  return false;
}

[[maybe_unused]] int finish() {
  std::printf("%ld passed, %ld failed\n", checks_passed, checks_failed);
  return checks_failed != 0 || checks_passed == 0;
}

// Memory that ends where the block ends, so that AddressSanitizer sees a read or write behind it,
// and that starts `offset` elements behind an aligned address. Output carries guard bytes on both
// sides as well, which show a stray write without a sanitizer.
class Memory {
public:
  Memory(size_t bytes, size_t offset_bytes, size_t guard = 0) : bytes_(bytes), guard_(guard) {
    size_t start = (guard + 63) / 64 * 64 + offset_bytes;
    size_t whole = start + bytes + guard;
    // aligned_alloc wants whole multiples of the alignment, posix_memalign does not.
    void *block = nullptr;
    if (posix_memalign(&block, 64, whole) != 0)
      std::abort();
    block_ = static_cast<unsigned char *>(block);
    std::memset(block_, 0xA5, whole);
    data_ = block_ + start;
  }
  ~Memory() { std::free(block_); }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  unsigned char *data() { return data_; }
  template <class T>
  T *as() {
    return reinterpret_cast<T *>(data_);
  }
  bool guards_intact() const {
    for (size_t i = 0; i < guard_; i++)
      if (data_[-1 - ptrdiff_t(i)] != 0xA5 || data_[bytes_ + i] != 0xA5)
        return false;
    return true;
  }

private:
  size_t bytes_, guard_;
  unsigned char *block_, *data_;
};

struct Level {
  const char *name;
  corepy_kernels table;
};

[[maybe_unused]] bool cpu_runs(const char *level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
            __builtin_cpu_supports("bmi2");
  if (!std::strcmp(level, "x86-64-v3"))
    return v3;
  if (!std::strcmp(level, "x86-64-v4"))
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
#endif
  (void)level;
  return true;
}

// The tables of every level that is linked and that the machine runs; the others are reported.
[[maybe_unused]] std::vector<Level> levels() {
  std::vector<Level> found;
  auto add = [&](const char *name, void (*elementwise)(corepy_kernels *),
                 void (*moves)(corepy_kernels *), void (*lanes)(corepy_kernels *)) {
    if (!elementwise || !moves || !lanes)
      return;
    if (!cpu_runs(name)) {
      std::printf("skipped: level %s, which this machine does not run\n", name);
      return;
    }
    Level level{name, {}};
    elementwise(&level.table);
    moves(&level.table);
    lanes(&level.table);
    found.push_back(level);
    std::printf("level %s\n", name);
  };
  add("portable", corepy_portable::fill_elementwise, corepy_portable::fill_moves,
      corepy_portable::fill_lanes);
  add("x86-64-v3", corepy_x86_64_v3::fill_elementwise, corepy_x86_64_v3::fill_moves,
      corepy_x86_64_v3::fill_lanes);
  add("x86-64-v4", corepy_x86_64_v4::fill_elementwise, corepy_x86_64_v4::fill_moves,
      corepy_x86_64_v4::fill_lanes);
  add("aarch64", corepy_aarch64::fill_elementwise, corepy_aarch64::fill_moves,
      corepy_aarch64::fill_lanes);
  return found;
}

// Sizes around vector widths and around the block of 1,024.
[[maybe_unused]] std::vector<size_t> sizes() {
  std::vector<size_t> all;
  for (size_t n = 0; n <= 70; n++)
    all.push_back(n);
  for (size_t n = 1020; n <= 1030; n++)
    all.push_back(n);
  return all;
}

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random {
  uint64_t state = 0;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
};

template <class T>
constexpr bool is_complex_type = requires(T z) { z.re; };
template <class T>
constexpr bool is_float_type = __is_same(T, float) || __is_same(T, double);
template <class T>
constexpr bool is_half_type = requires(T h) { h.bits; };

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

// Equal bits, any NaN being as good as another.
template <class T>
bool same(T a, T b) {
  if constexpr (is_complex_type<T>)
    return same(a.re, b.re) && same(a.im, b.im);
  else if constexpr (is_float_type<T>)
    return same_bits(a, b) || (a != a && b != b);
  else
    return same_bits(a, b);
}

// |got - want| in units of the last place of want; 0 for NaN against NaN and for equal values.
template <class T, class Wide>
double ulps(T got, Wide want) {
  T rounded = T(want);
  if (got != got || rounded != rounded)
    return (got != got) == (rounded != rounded) ? 0 : HUGE_VAL;
  if (got == rounded)
    return 0;
  if (std::isinf(got) || std::isinf(rounded))
    return HUGE_VAL;
  T size = std::fabs(rounded);
  T unit = size - std::nextafter(size, T(0));
  if (unit == 0)
    unit = std::nextafter(T(0), T(1));
  Wide difference = Wide(got) - want;
  return double((difference < 0 ? -difference : difference) / Wide(unit));
}

} // namespace
