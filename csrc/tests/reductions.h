// What the tests of the reduction kernels share: counting, random elements, blocks and rows driven
// as the runtime does.
#pragma once

#include "../src/reduce_fill.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <complex>
#include <vector>

namespace COREPY_NAMESPACE {
void fill_reductions(corepy_kernels *table);
}

namespace {

int passed = 0;
int failed = 0;
corepy_kernels table;

void check(bool ok, const char *what, const char *type, long n, long extra = 0) {
  if (ok) {
    ++passed;
  } else {
    ++failed;
    if (failed < 40) {
      printf("FAILED %s %s n=%ld (%ld)\n", what, type, n, extra);
    }
  }
}

uint64_t random_state = 0x9e3779b97f4a7c15ull;
uint64_t random_bits() {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

// Memory that ends exactly where the elements do, so that AddressSanitizer sees any access beyond,
// and starts `shift` elements into an allocation.
template <class T>
struct Buffer {
  std::vector<T> memory;
  size_t shift;
  explicit Buffer(size_t n, size_t at = 0) : memory(n + at), shift(at) {}
  T *data() { return memory.data() + shift; }
  T &operator[](size_t i) { return memory[shift + i]; }
};

template <class T>
bool same_bits(T a, T b) {
  return memcmp(&a, &b, sizeof a) == 0;
}
template <class T>
bool same_float(T a, T b) {
  return (a != a && b != b) || same_bits(a, b);
}

template <class T>
using C = std::complex<T>;

template <class T>
T random_float(int kind) {
  const uint64_t r = random_bits();
  const double unit = static_cast<double>(r >> 11) * 0x1p-53;
  switch (kind) {
  case 0:
    return static_cast<T>(unit);
  case 1: // cancelling values over many binades
    return static_cast<T>((r & 1 ? 1 : -1) * ldexp(unit, static_cast<int>(r >> 1 & 63) - 32));
  case 2: // edges
    switch (r % 64) {
    case 0:
      return static_cast<T>(INFINITY);
    case 1:
      return static_cast<T>(-INFINITY);
    case 2:
      return static_cast<T>(NAN);
    case 3:
      return static_cast<T>(1e-310);
    default:
      return r & 1 ? T(-0.0) : T(0.0);
    }
  case 3: // overflow, and errors that cancel
    return static_cast<T>((r & 1 ? 1 : -1) * (sizeof(T) == 8 ? 1e308 : 3e38));
  default:
    return static_cast<T>(-0.0);
  }
}

// Reduces through `blocks` in power-of-two groups of blocks, merging as a scheduler would.
[[maybe_unused]] std::vector<char> grouped(const corepy_reduction &r, const char *a, const char *b,
                                           size_t a_item, size_t b_item, size_t n, size_t group,
                                           double divisor, size_t out_bytes) {
  std::vector<std::vector<char>> stack;
  size_t done = 0;
  for (size_t i = 0; i < n; i += group * 1024) {
    const size_t count = n - i < group * 1024 ? n - i : group * 1024;
    stack.emplace_back(16 * r.lane_bytes);
    r.blocks(stack.back().data(), a + i * a_item, b + i * b_item, count, i);
    ++done;
    for (size_t k = done; k % 2 == 0; k /= 2) {
      std::vector<char> right = stack.back();
      stack.pop_back();
      r.merge(stack.back().data(), right.data(), 16);
    }
  }
  while (stack.size() > 1) {
    std::vector<char> right = stack.back();
    stack.pop_back();
    r.merge(stack.back().data(), right.data(), 16);
  }
  std::vector<char> out(out_bytes);
  r.finish(out.data(), stack[0].data(), 1, divisor);
  return out;
}

// NaN payloads aside, which depend on the order of a NaN's operands.
[[maybe_unused]] bool same_results(const std::vector<char> &a, const std::vector<char> &b) {
  if (a == b) {
    return true;
  }
  bool as_double = a.size() % 8 == 0, as_float = a.size() % 4 == 0;
  for (size_t i = 0; as_double && i < a.size(); i += 8) {
    double x, y;
    memcpy(&x, &a[i], 8);
    memcpy(&y, &b[i], 8);
    as_double = same_float(x, y);
  }
  for (size_t i = 0; as_float && i < a.size(); i += 4) {
    float x, y;
    memcpy(&x, &a[i], 4);
    memcpy(&y, &b[i], 4);
    as_float = same_float(x, y);
  }
  return as_double || as_float;
}

// Column `col` of a rows x cols matrix through `rows`, for all columns at once.
[[maybe_unused]] std::vector<char> by_rows(const corepy_reduction &r, const char *a, const char *b,
                                           ptrdiff_t row_stride, size_t b_row, size_t rows,
                                           size_t cols, double divisor, size_t out_bytes,
                                           bool own_centers = false) {
  std::vector<std::vector<char>> stack;
  size_t done = 0;
  for (size_t i = 0; i < rows; i += 1024) {
    const size_t count = rows - i < 1024 ? rows - i : 1024;
    stack.emplace_back(16 * cols * r.lane_bytes);
    r.rows(stack.back().data(), a + static_cast<ptrdiff_t>(i) * row_stride, b + i * b_row, count,
           row_stride, cols, i);
    ++done;
    for (size_t k = done; k % 2 == 0; k /= 2) {
      std::vector<char> right = stack.back();
      stack.pop_back();
      r.merge(stack.back().data(), right.data(), 16 * cols);
    }
  }
  while (stack.size() > 1) {
    std::vector<char> right = stack.back();
    stack.pop_back();
    r.merge(stack.back().data(), right.data(), 16 * cols);
  }
  std::vector<char> out(out_bytes * cols);
  r.finish(out.data(), stack[0].data(), cols, divisor);
  if (rows <= 1024) {
    // The kernel for the rows of one block: with the given centers, and with its own.
    std::vector<char> direct(out_bytes * cols);
    for (const char *second : {b, own_centers ? nullptr : b}) {
      r.columns(direct.data(), a, second, rows, row_stride, cols, divisor);
      check(same_results(direct, out), "columns", "", static_cast<long>(rows),
            static_cast<long>(cols));
    }
  }
  return out;
}

[[maybe_unused]] const size_t SIZES[] = {1,    2,    3,    5,    7,    8,    9,    15,   16,   17,
                                         31,   32,   33,   47,   63,   64,   65,   127,  128,  129,
                                         255,  1000, 1023, 1024, 1025, 1039, 1040, 2047, 2048, 2049,
                                         3072, 4095, 4096, 4097, 5120, 7168, 8191, 9000};

} // namespace
