// Integer vecdot and dot: products and sums wrap, so that they are done in the element's own width.
#pragma once

#include "reduce_free.h"

namespace COREPY_NAMESPACE {
namespace {

template <class T>
struct DotInteger {
  using U = typename Integer<sizeof(T)>::Unsigned;
  static constexpr size_t NATIVE = VECTOR / sizeof(U);
  static constexpr size_t WIDE = 4;

  template <size_t N>
  static vec<U, N> step(vec<U, N> sum, const char *a, const char *b) {
    const vec<U, N> x = load<vec<U, N>>(a);
    const vec<U, N> y = load<vec<U, N>>(b);
    if constexpr (N == 1) {
      // In 64 bits, because 16-bit operands would promote to int and overflow it.
      return static_cast<U>(sum + static_cast<uint64_t>(x) * y);
    } else {
      return sum + x * y;
    }
  }

  static U run(const char *a, const char *b, size_t n) {
    U total = 0;
    if (n >= WIDE * NATIVE) {
      vec<U, NATIVE> sums[WIDE] = {};
      for (; n >= WIDE * NATIVE; n -= WIDE * NATIVE) {
#pragma GCC unroll 8
        for (size_t j = 0; j < WIDE; ++j) {
          sums[j] = step<NATIVE>(sums[j], a + j * VECTOR, b + j * VECTOR);
        }
        a += WIDE * VECTOR;
        b += WIDE * VECTOR;
      }
      U lanes[NATIVE];
      store(lanes, (sums[0] + sums[1]) + (sums[2] + sums[3]));
      for (size_t i = 0; i < NATIVE; ++i) {
        total = static_cast<U>(total + lanes[i]);
      }
    }
    for (; n != 0; --n) {
      total = step<1>(total, a, b);
      a += sizeof(U);
      b += sizeof(U);
    }
    return total;
  }

  static uint64_t blocks(void *result, const void *a, const void *b, size_t n, size_t) {
    U *const state = static_cast<U *>(result);
    state[0] = run(static_cast<const char *>(a), static_cast<const char *>(b), n);
    for (size_t i = 1; i < STRIPES; ++i) {
      state[i] = 0;
    }
    return 0;
  }

  static uint64_t rows(void *result, const void *first_a, const void *first_b, size_t rows,
                       ptrdiff_t stride, size_t cols, size_t) {
    U *const state = static_cast<U *>(result);
    const char *a = static_cast<const char *>(first_a);
    const char *b = static_cast<const char *>(first_b);
    for (size_t i = 0; i < STRIPES * cols; ++i) {
      state[i] = 0;
    }
    for (size_t row = 0; row < rows; ++row) {
      size_t i = 0;
      for (; i + NATIVE <= cols; i += NATIVE) {
        const vec<U, NATIVE> sum = load<vec<U, NATIVE>>(state + i);
        store(state + i, step<NATIVE>(sum, a + i * sizeof(U), b + i * sizeof(U)));
      }
      for (; i < cols; ++i) {
        state[i] = step<1>(state[i], a + i * sizeof(U), b + i * sizeof(U));
      }
      a += stride;
      b += stride;
    }
    return 0;
  }

  static void merge(void *state, const void *right, size_t lanes) {
    U *const left = static_cast<U *>(state);
    const U *const other = static_cast<const U *>(right);
    for (size_t i = 0; i < lanes; ++i) {
      left[i] = static_cast<U>(left[i] + other[i]);
    }
  }

  static void finish(void *out, void *partials, size_t cols, double) {
    U *const state = static_cast<U *>(partials);
    for (size_t stripes = STRIPES / 2; stripes != 0; stripes /= 2) {
      merge(state, state + stripes * cols, stripes * cols);
    }
    __builtin_memcpy(out, state, cols * sizeof(U));
  }

  static uint64_t each(void *first_out, const void *first_a, const void *first_b, size_t outer,
                       ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n, double) {
    char *out = static_cast<char *>(first_out);
    const char *a = static_cast<const char *>(first_a);
    const char *b = static_cast<const char *>(first_b);
    for (size_t i = 0; i < outer; ++i) {
      store(out, run(a, b, n));
      out += sizeof(U);
      a += a_stride;
      b += b_stride;
    }
    return 0;
  }

  static void columns(void *first_out, const void *first_a, const void *first_b, size_t rows,
                      ptrdiff_t stride, size_t cols, double) {
    constexpr size_t STRIP = WIDE * NATIVE;
    U *const out = static_cast<U *>(first_out);
    const char *const a = static_cast<const char *>(first_a);
    const char *const b = static_cast<const char *>(first_b);
    const auto at = [stride](size_t row, size_t i) {
      return static_cast<ptrdiff_t>(row) * stride + static_cast<ptrdiff_t>(i * sizeof(U));
    };
    size_t i = 0;
    for (; cols - i >= STRIP; i += STRIP) {
      vec<U, NATIVE> sums[WIDE] = {};
      for (size_t row = 0; row < rows; ++row) {
#pragma GCC unroll 8
        for (size_t j = 0; j < WIDE; ++j) {
          const ptrdiff_t offset = at(row, i + j * NATIVE);
          sums[j] = step<NATIVE>(sums[j], a + offset, b + offset);
        }
      }
      __builtin_memcpy(out + i, sums, sizeof sums);
    }
    if (i != cols) {
      U sums[STRIP] = {};
      for (size_t row = 0; row < rows; ++row) {
        for (size_t j = 0; j < cols - i; ++j) {
          const ptrdiff_t offset = at(row, i + j);
          sums[j] = step<1>(sums[j], a + offset, b + offset);
        }
      }
      __builtin_memcpy(out + i, sums, (cols - i) * sizeof(U));
    }
  }

  static void register_in(corepy_reduction *slot) {
    *slot = {blocks, rows, merge, finish, each, columns, nullptr, nullptr, sizeof(U)};
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
