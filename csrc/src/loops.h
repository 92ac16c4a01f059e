// The loops that make kernels of functors, and the choice of kernels for a slot of the table.
#pragma once

#include "functors_arithmetic.h"
#include "functors_bits.h"
#include "functors_compare.h"
#include "functors_division.h"
#include "functors_power.h"
#include "lane.h"
#include "vector.h"

namespace COREPY_NAMESPACE {

// One source file each, so that they compile side by side.
void fill_unary(corepy_kernels *table);
void fill_arithmetic(corepy_kernels *table);
void fill_division(corepy_kernels *table);
void fill_compare(corepy_kernels *table);
void fill_integer(corepy_kernels *table);

namespace {

// Signed and unsigned integers share a kernel where the functor allows it.
template <class F, class T, bool shared = F::sign_agnostic && is_signed_integer<T>>
struct KernelElement {
  using type = T;
};
template <class F, class T>
struct KernelElement<F, T, true> {
  using type = Raw<T>;
};

// In every loop `out` may be exactly an input: element i is read before it is written and no other
// iteration touches it, which is what ivdep promises to the vectoriser. Without unroll 1, GCC 12
// peels each scalar remainder completely, which makes the kernels 1.7 times as large.
#define COREPY_LOOP _Pragma("GCC ivdep") _Pragma("GCC unroll 1")

template <class F, class T>
uint64_t unary(void *out, const void *a, size_t n) {
  using Result = decltype(F::apply(T{}));
  Result *results = static_cast<Result *>(out);
  const T *x = static_cast<const T *>(a);
  COREPY_LOOP
  for (size_t i = 0; i < n; i++)
    results[i] = F::apply(x[i]);
  return n;
}

template <size_t bytes>
uint64_t copy(void *out, const void *a, size_t n) {
  if (n != 0)
    __builtin_memmove(out, a, n * bytes);
  return n;
}

template <class F, class T>
uint64_t constant(void *out, const void *, size_t n) {
  if (n != 0)
    __builtin_memset(out, F::apply(T{}), n);
  return n;
}

// a_step and b_step are 1 for vectors and 0 for operands of one element, which is read before
// anything is written.
template <class F, class T, size_t a_step, size_t b_step>
uint64_t total_loop(void *out, const T *x, const T *y, size_t n) {
  using Result = decltype(F::apply(T{}, T{}));
  Result *results = static_cast<Result *>(out);
  if constexpr (a_step == 0) {
    const T left = *x;
    COREPY_LOOP
    for (size_t i = 0; i < n; i++)
      results[i] = F::apply(left, y[i]);
  } else if constexpr (b_step == 0) {
    const T right = *y;
    COREPY_LOOP
    for (size_t i = 0; i < n; i++)
      results[i] = F::apply(x[i], right);
  } else {
    // Two vectors an iteration: 10,000 float32 in the second-level cache took 545 ns instead of
    // 625.
#pragma GCC ivdep
#pragma GCC unroll 2
    for (size_t i = 0; i < n; i++)
      results[i] = F::apply(x[i], y[i]);
  }
  return n;
}

// A fast formula for most elements, in vectors, and a slow one for those it does not hold for.
template <class F, class T, size_t a_step, size_t b_step>
uint64_t repaired_loop(T *out, const T *x, const T *y, size_t n) {
  constexpr size_t block = 512 / sizeof(T);
  T results[block];
  const T left = *x, right = *y;
  for (size_t start = 0; start < n; start += block) {
    size_t count = n - start < block ? n - start : block;
    const T *a = x + a_step * start;
    const T *b = y + b_step * start;
    uint32_t outside = 0;
    for (size_t i = 0; i < count; i++) {
      T p = a_step ? a[i] : left;
      T q = b_step ? b[i] : right;
      results[i] = F::apply(p, q);
      outside |= F::holds(p, q) ? 0 : 1;
    }
    if (outside)
      for (size_t i = 0; i < count; i++) {
        T p = a_step ? a[i] : left;
        T q = b_step ? b[i] : right;
        if (!F::holds(p, q))
          results[i] = F::otherwise(p, q);
      }
    __builtin_memcpy(out + start, results, count * sizeof(T));
  }
  return n;
}

template <class F, class T, size_t a_step, size_t b_step>
uint64_t faulting_loop(T *out, const T *x, const T *y, size_t n) {
  const T left = *x, right = *y;
  for (size_t i = 0; i < n; i++) {
    T result;
    if (!F::apply(a_step ? x[i] : left, b_step ? y[i] : right, result))
      return i;
    out[i] = result;
  }
  return n;
}

// Elements from which on finding the reciprocal of a divisor, some 100 ns, pays.
constexpr size_t many_dividends = 128;
// Integers that divide by one number quicker as products than in floating point: 1,000,000 int32 in
// 125 us instead of 140, uint32 in 94, int16 in 46 instead of 62.
template <class T>
constexpr bool divides_by_product = is_integer<T> && sizeof(T) <= 4;

template <class F>
constexpr bool is_quotient = __is_same(F, FloorDivide) || __is_same(F, Remainder);

template <class F, class T>
[[gnu::noinline]] uint64_t invariant_loop(T *out, const T *x, T divisor, size_t n) {
  const Invariant<T> invariant(divisor);
  COREPY_LOOP
  for (size_t i = 0; i < n; i++)
    out[i] = F::invariant(invariant, x[i]);
  return n;
}

#if defined(__SSE4_1__) || defined(__aarch64__)
// Blocks in vectors where the functor's `divided` is exact, element by element where it is not or
// where one faults. Another thread may change an element between the two passes: the result of that
// element is then anything, and no instruction traps.
template <class F, class T, size_t a_step, size_t b_step>
uint64_t divided_loop(T *out, const T *x, const T *y, size_t n) {
  constexpr size_t block = 128;
  const T left = *x, right = *y;
  for (size_t start = 0; start < n; start += block) {
    size_t count = n - start < block ? n - start : block;
    const T *a = x + a_step * start;
    const T *b = y + b_step * start;
    T *results = out + start;
    Raw<T> outside = 0;
    for (size_t i = 0; i < count; i++)
      outside |= Divisible<T>::holds(a_step ? a[i] : left, b_step ? b[i] : right) ? 0 : 1;
    if (outside) {
      // 1,000,000 int64 beyond 2**51 by one number in 340 us instead of 2,500.
      if constexpr (a_step == 1 && b_step == 0 && is_quotient<F>)
        if (n >= many_dividends && right > 0) {
          invariant_loop<F, T>(results, a, right, n - start);
          return n;
        }
      for (size_t i = 0; i < count; i++) {
        T result;
        if (!F::apply(a_step ? a[i] : left, b_step ? b[i] : right, result))
          return start + i;
        results[i] = result;
      }
    } else {
      COREPY_LOOP
      for (size_t i = 0; i < count; i++)
        results[i] = F::divided(a_step ? a[i] : left, b_step ? b[i] : right);
    }
  }
  return n;
}
#endif

// Not inlined, so that a swapped kernel is one jump.
template <class F, class T, size_t a_step, size_t b_step>
[[gnu::noinline]] uint64_t binary(void *out, const void *a, const void *b, size_t n) {
  // The operand of one element may be absent memory when there is nothing to compute.
  if (n == 0)
    return 0;
  const T *x = static_cast<const T *>(a);
  const T *y = static_cast<const T *>(b);
  if constexpr (a_step == 1 && b_step == 0 && divides_by_product<T> && is_quotient<F>)
    if (n >= many_dividends && *y > 0)
      return invariant_loop<F, T>(static_cast<T *>(out), x, *y, n);
  if constexpr (a_step == 1 && b_step == 0 && requires { F::uniform((T *)0, x, *y, n); })
    return F::uniform(static_cast<T *>(out), x, *y, n);
#if defined(__SSE4_1__) || defined(__aarch64__)
  else if constexpr (requires { F::divided(*x, *y); } && is_integer<T>)
    return divided_loop<F, T, a_step, b_step>(static_cast<T *>(out), x, y, n);
#endif
  else if constexpr (!F::template total<T>)
    return faulting_loop<F, T, a_step, b_step>(static_cast<T *>(out), x, y, n);
  else if constexpr (requires { F::otherwise(*x, *y); })
    return repaired_loop<F, T, a_step, b_step>(static_cast<T *>(out), x, y, n);
  else
    return total_loop<F, T, a_step, b_step>(out, x, y, n);
}

// Whether an operation has kernels that store past the caches: those that are used on large
// tensors, where the processor has nothing to do but wait for memory. 10,000,000 float32 took 1,282
// us instead of 1,621.
template <class F, class T>
constexpr bool is_streamed = false;
template <class T>
constexpr bool is_word = has_streams && (is_floating<T> || (is_integer<T> && sizeof(T) >= 4));
#define COREPY_IS_STREAMED(F, CONDITION)                                                           \
  template <class T>                                                                               \
  constexpr bool is_streamed<F, T> = is_word<T> && (CONDITION);
COREPY_IS_STREAMED(Negative, true)
COREPY_IS_STREAMED(Abs, true)
COREPY_IS_STREAMED(Square, is_floating<T> || sizeof(T) == 4)
COREPY_IS_STREAMED(Sqrt, true)
COREPY_IS_STREAMED(Floor, is_floating<T>)
COREPY_IS_STREAMED(Ceil, is_floating<T>)
COREPY_IS_STREAMED(Trunc, is_floating<T>)
COREPY_IS_STREAMED(Round, is_floating<T>)
COREPY_IS_STREAMED(Add, true)
COREPY_IS_STREAMED(Subtract, true)
COREPY_IS_STREAMED(Multiply, is_floating<T> || sizeof(T) == 4)
COREPY_IS_STREAMED(Divide, is_floating<T>)
COREPY_IS_STREAMED(Minimum, true)
COREPY_IS_STREAMED(Maximum, true)
COREPY_IS_STREAMED(BitwiseAnd, true)
COREPY_IS_STREAMED(BitwiseOr, true)
COREPY_IS_STREAMED(BitwiseXor, true)
#undef COREPY_IS_STREAMED

// The same as `unary` and `binary`, stored past the caches where `out` begins with a line.
template <class F, class T>
uint64_t streamed_unary(void *out, const void *a, size_t n) {
  if (!is_line(out))
    return unary<F, T>(out, a, n);
  const T *x = static_cast<const T *>(a);
  T *to = static_cast<T *>(out);
  size_t done = stream_lines(to, n, [=](size_t i) { return F::apply(x[i]); }, x);
  unary<F, T>(to + done, x + done, n - done);
  return n;
}

template <class F, class T, size_t a_step, size_t b_step>
uint64_t streamed(void *out, const void *a, const void *b, size_t n) {
  if (!is_line(out) || n == 0)
    return binary<F, T, a_step, b_step>(out, a, b, n);
  const T *x = static_cast<const T *>(a);
  const T *y = static_cast<const T *>(b);
  T *to = static_cast<T *>(out);
  const T left = *x, right = *y;
  const auto value = [=](size_t i) {
    return F::apply(a_step ? x[i] : left, b_step ? y[i] : right);
  };
  size_t done;
  if constexpr (a_step == 0)
    done = stream_lines(to, n, value, y);
  else if constexpr (b_step == 0)
    done = stream_lines(to, n, value, x);
  else
    done = stream_lines(to, n, value, x, y);
  binary<F, T, a_step, b_step>(to + done, x + a_step * done, y + b_step * done, n - done);
  return n;
}

template <corepy_binary kernel>
uint64_t swapped(void *out, const void *a, const void *b, size_t n) {
  return kernel(out, b, a, n);
}

template <Family family, class F, class T>
void set_unary(corepy_unary &slot) {
  if constexpr (F::family == family) {
    if constexpr (is_copy<F, T>)
      slot = copy<sizeof(T)>;
    else if constexpr (is_constant<F, T>)
      slot = constant<F, T>;
    else
      slot = unary<F, typename KernelElement<F, T>::type>;
  }
}

template <Family family, class F, class T>
void set_streamed_unary(corepy_unary &slot) {
  if constexpr (F::family == family && is_streamed<F, T>)
    slot = streamed_unary<F, typename KernelElement<F, T>::type>;
}

template <Family family, class F, class T>
void set_binary(corepy_binary (&slot)[COREPY_FORMS]) {
  if constexpr (F::family == family) {
    if constexpr (requires { typename F::reversed; }) {
      using G = typename F::reversed;
      slot[COREPY_FORM_VV] = swapped<binary<G, T, 1, 1>>;
      slot[COREPY_FORM_VS] = swapped<binary<G, T, 0, 1>>;
      slot[COREPY_FORM_SV] = swapped<binary<G, T, 1, 0>>;
    } else {
      using K = typename KernelElement<F, T>::type;
      slot[COREPY_FORM_VV] = binary<F, K, 1, 1>;
      slot[COREPY_FORM_VS] = binary<F, K, 1, 0>;
      if constexpr (F::commutative)
        slot[COREPY_FORM_SV] = swapped<binary<F, K, 1, 0>>;
      else
        slot[COREPY_FORM_SV] = binary<F, K, 0, 1>;
    }
  }
}

template <Family family, class F, class T>
void set_streamed(corepy_binary (&slot)[COREPY_FORMS]) {
  if constexpr (F::family == family && is_streamed<F, T>) {
    using K = typename KernelElement<F, T>::type;
    slot[COREPY_FORM_VV] = streamed<F, K, 1, 1>;
    slot[COREPY_FORM_VS] = streamed<F, K, 1, 0>;
    if constexpr (F::commutative)
      slot[COREPY_FORM_SV] = swapped<streamed<F, K, 1, 0>>;
    else
      slot[COREPY_FORM_SV] = streamed<F, K, 0, 1>;
  }
}

// Sets the slots of one family: OP, functor, dtype and type come from the slot lists.
#define COREPY_SET_UNARY(OP, F, DTYPE, T)                                                          \
  set_unary<family, F, T>(table->unary[COREPY_UNARY_##OP][COREPY_DTYPE_##DTYPE]);                  \
  set_streamed_unary<family, F, T>(table->unary_streamed[COREPY_UNARY_##OP][COREPY_DTYPE_##DTYPE]);
#define COREPY_SET_BINARY(OP, F, DTYPE, T)                                                         \
  set_binary<family, F, T>(table->binary[COREPY_BINARY_##OP][COREPY_DTYPE_##DTYPE]);               \
  set_streamed<family, F, T>(table->binary_streamed[COREPY_BINARY_##OP][COREPY_DTYPE_##DTYPE]);

} // namespace
} // namespace COREPY_NAMESPACE
