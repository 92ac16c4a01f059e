// The lane type of the reduction kernels: vectors of N elements, where N = 1 is the plain scalar.
#pragma once

#include "fetch.h"
#include "sequence.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace COREPY_NAMESPACE {
namespace {

// Bytes of the level's vector registers.
#if defined(__AVX512F__)
constexpr size_t VECTOR = 64;
#elif defined(__AVX2__)
constexpr size_t VECTOR = 32;
#else
constexpr size_t VECTOR = 16;
#endif

constexpr size_t STRIPES = COREPY_STRIPES;
constexpr size_t BLOCK = COREPY_BLOCK;

template <class T, size_t N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <class T>
struct VectorOf<T, 1> {
  using type = T;
};
template <class T, size_t N>
using vec = typename VectorOf<T, N>::type;

template <class V>
inline V load(const void *from) {
  V value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

template <class V>
inline void store(void *to, V value) {
  __builtin_memcpy(to, &value, sizeof value);
}

template <class T, size_t N>
inline vec<T, N> splat(T value) {
  if constexpr (N == 1) {
    return value;
  } else {
    return vec<T, N>{} + value;
  }
}

// -0.0 + value is value for every value, so that splat keeps the sign of a zero.
template <size_t N>
inline vec<double, N> splat_double(double value) {
  if constexpr (N == 1) {
    return value;
  } else {
    return value - vec<double, N>{};
  }
}

template <class A, class B>
constexpr bool SAME = false;
template <class A>
constexpr bool SAME<A, A> = true;

template <class V>
inline auto first_lane(V value) {
  if constexpr (requires { value[0]; }) {
    return value[0];
  } else {
    return value;
  }
}

// Lanes FROM ... FROM + N / 2 - 1. Through memory, the second half of a register of 64 bytes takes
// 5 ns, as the store has to be done first (AMD EPYC, Zen 5).
template <size_t N, size_t FROM, class V, size_t... I>
inline auto half_lanes(V value, Sequence<I...>) {
  return __builtin_shufflevector(value, value, (FROM + I)...);
}
template <class T, size_t N>
inline vec<T, N / 2> lower_half(vec<T, N> value) {
  if constexpr (N == 2) {
    return value[0];
  } else {
    return half_lanes<N, 0>(value, sequence<N / 2>{});
  }
}
template <class T, size_t N>
inline vec<T, N / 2> upper_half(vec<T, N> value) {
  if constexpr (N == 2) {
    return value[1];
  } else {
    return half_lanes<N, N / 2>(value, sequence<N / 2>{});
  }
}

// GCC 12 converts a vector of float in halves that it takes apart and puts together, which takes
// twice the time of the one instruction that there is.
template <class To, size_t N, class X>
inline vec<To, N> convert(X value) {
  if constexpr (N == 1) {
    return static_cast<To>(value);
#if defined(__AVX2__) && !defined(__clang__)
  } else if constexpr (SAME<To, double> && SAME<X, vec<float, 4>>) {
    return __builtin_ia32_cvtps2pd256(value);
#if defined(__AVX512F__)
  } else if constexpr (SAME<To, double> && SAME<X, vec<float, 8>>) {
    return __builtin_ia32_cvtps2pd512_mask(value, vec<double, 8>{}, -1, 4);
#endif
#endif
  } else {
    return __builtin_convertvector(value, vec<To, N>);
  }
}

template <class To, class From>
inline To bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  __builtin_memcpy(&result, &value, sizeof result);
  return result;
}

// Which lanes of a vector of N elements of type T are taken, as the level's masked loads want it.
template <class T>
struct MaskOf {
  using type = int64_t;
};
template <>
struct MaskOf<float> {
  using type = int32_t;
};
#if defined(__AVX512F__)
template <class T, size_t N>
using Taken = __mmask8;
#else
template <class T, size_t N>
using Taken = vec<typename MaskOf<T>::type, N>;
#endif

// Lanes begin ... end - 1, begin <= end <= N.
template <class T, size_t N>
inline Taken<T, N> taken_between(size_t begin, size_t end) {
#if defined(__AVX512F__)
  return static_cast<__mmask8>((1u << end) - (1u << begin));
#else
  using I = typename MaskOf<T>::type;
  Taken<T, N> number;
  for (size_t i = 0; i < N; ++i) {
    number[i] = static_cast<I>(i);
  }
  return (number >= static_cast<I>(begin)) & (number < static_cast<I>(end));
#endif
}

// a in the taken lanes, b in the others.
template <class T, size_t N>
inline vec<double, N> select_taken(Taken<T, N> taken, vec<double, N> a, vec<double, N> b) {
#if defined(__AVX512F__)
  return _mm512_mask_blend_pd(taken, b, a);
#else
  return convert<int64_t, N>(taken) ? a : b;
#endif
}

// The taken lanes of a vector at `from`; the others are those of `rest`. Only the bytes of taken
// ones are touched, so that the rest may lie outside of any object.
template <class T, size_t N>
inline vec<T, N> load_taken(const void *from, Taken<T, N> taken, vec<T, N> rest) {
#if defined(__AVX512F__)
  static_assert(N == 8);
  if constexpr (sizeof(T) == 4) {
    return _mm256_mask_loadu_ps(rest, taken, from);
  } else {
    return _mm512_mask_loadu_pd(rest, taken, from);
  }
#elif defined(__AVX2__)
  static_assert(N == 4);
  vec<T, N> value;
  if constexpr (sizeof(T) == 4) {
    value = _mm_maskload_ps(static_cast<const float *>(from), bits<__m128i>(taken));
  } else {
    value = _mm256_maskload_pd(static_cast<const double *>(from), bits<__m256i>(taken));
  }
  return taken ? value : rest;
#else
  vec<T, N> value = rest;
  for (size_t i = 0; i < N; ++i) {
    if (taken[i] != 0) {
      value[i] = load<T>(static_cast<const char *>(from) + i * sizeof(T));
    }
  }
  return value;
#endif
}

// a * b + c, rounded once. The vector builtins are the only instructions that GCC does not reach
// from plain vector arithmetic, because contraction is off.
template <size_t N>
inline vec<double, N> fused(vec<double, N> a, vec<double, N> b, vec<double, N> c) {
  if constexpr (N == 1) {
    return __builtin_fma(a, b, c);
#if defined(__clang__)
  } else {
    return __builtin_elementwise_fma(a, b, c);
#else
#if defined(__AVX512F__)
  } else if constexpr (N == 8) {
    return __builtin_ia32_vfmaddpd512_mask(a, b, c, -1, 4); // 4: the rounding mode in force
#endif
#if defined(__FMA__)
  } else if constexpr (N == 4) {
    return __builtin_ia32_vfmaddpd256(a, b, c);
  } else if constexpr (N == 2) {
    return __builtin_ia32_vfmaddpd(a, b, c);
#endif
  } else {
    vec<double, N> result;
    for (size_t i = 0; i < N; ++i) {
      result[i] = __builtin_fma(a[i], b[i], c[i]);
    }
    return result;
#endif
  }
}

// a * b + c where the product is exact, so that it has the same bits with and without fusing.
template <size_t N>
inline vec<double, N> multiply_add(vec<double, N> a, vec<double, N> b, vec<double, N> c) {
#if defined(__FMA__)
  return fused<N>(a, b, c);
#else
  return a * b + c;
#endif
}

// a + b and a - b by the units that multiply: the product with 1 is exact. Cores that add and
// multiply in separate units (AMD's) have idle ones in a compensated sum; where both are the same
// units, nothing changes.
template <size_t N>
inline vec<double, N> add_by_fma(vec<double, N> a, vec<double, N> b) {
  return multiply_add<N>(a, splat_double<N>(1.0), b);
}
template <size_t N>
inline vec<double, N> subtract_by_fma(vec<double, N> a, vec<double, N> b) {
  return multiply_add<N>(b, splat_double<N>(-1.0), a);
}

template <size_t N>
inline vec<double, N> square_roots(vec<double, N> x) {
  if constexpr (N == 1) {
    return __builtin_sqrt(x);
  } else {
    vec<double, N> result;
    for (size_t i = 0; i < N; ++i) {
      result[i] = __builtin_sqrt(x[i]);
    }
    return result;
  }
}

// s becomes the rounded sum of s and x; returns the exact error (Knuth's TwoSum). Three of the six
// additions go to the multipliers; the one that the next step waits for does not, as theirs take
// longer.
template <size_t N>
inline vec<double, N> two_sum(vec<double, N> &s, vec<double, N> x) {
  const vec<double, N> sum = s + x;
  const vec<double, N> part = sum - s;
  const vec<double, N> old = subtract_by_fma<N>(sum, part);
  const vec<double, N> error = add_by_fma<N>(s - old, subtract_by_fma<N>(x, part));
  s = sum;
  return error;
}

// Shuffles of lanes that hold (real, imaginary) pairs.
template <size_t N>
struct Pairs {
  using D = vec<double, N>;
  using I = vec<int64_t, N>;
  static_assert(N % 2 == 0);

  static I index(int even, int odd) {
    I result{};
    for (size_t i = 0; i < N; i += 2) {
      result[i] = static_cast<int64_t>(i) + even;
      result[i + 1] = static_cast<int64_t>(i) + odd;
    }
    return result;
  }
  static D shuffle(D value, int even, int odd) {
#if defined(__clang__)
    D result;
    for (size_t i = 0; i < N; i += 2) {
      result[i] = value[i + even];
      result[i + 1] = value[i + odd];
    }
    return result;
#else
    return __builtin_shuffle(value, index(even, odd));
#endif
  }
  static D reals(D value) { return shuffle(value, 0, 0); }
  static D imaginaries(D value) { return shuffle(value, 1, 1); }
  static D swapped(D value) { return shuffle(value, 1, 0); }
  // Turns the sign of the real (even) or imaginary (odd) lanes.
  static D negated(D value, bool even, bool odd) {
    I sign{};
    for (size_t i = 0; i < N; i += 2) {
      sign[i] = even ? INT64_MIN : 0;
      sign[i + 1] = odd ? INT64_MIN : 0;
    }
    return bits<D>(bits<I>(value) ^ sign);
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
