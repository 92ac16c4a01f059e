// Lane types of the matmul kernels: vectors whose width is the level's, with an explicit fma.
#pragma once

#include "vector.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace COREPY_NAMESPACE {
namespace {
namespace gemm {

constexpr size_t at_least(size_t n, size_t least) { return n < least ? least : n; }

inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }

#if defined(__AVX512F__)
inline Vector<float, 16> fma(Vector<float, 16> a, Vector<float, 16> b, Vector<float, 16> c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Vector<double, 8> fma(Vector<double, 8> a, Vector<double, 8> b, Vector<double, 8> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#elif defined(__AVX2__)
inline Vector<float, 8> fma(Vector<float, 8> a, Vector<float, 8> b, Vector<float, 8> c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline Vector<double, 4> fma(Vector<double, 4> a, Vector<double, 4> b, Vector<double, 4> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#elif defined(__aarch64__)
inline Vector<float, 4> fma(Vector<float, 4> a, Vector<float, 4> b, Vector<float, 4> c) {
  return (Vector<float, 4>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
inline Vector<double, 2> fma(Vector<double, 2> a, Vector<double, 2> b, Vector<double, 2> c) {
  return (Vector<double, 2>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#else
// One complex number is two lanes even in scalar code.
inline Vector<float, 2> fma(Vector<float, 2> a, Vector<float, 2> b, Vector<float, 2> c) {
  return Vector<float, 2>{fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1])};
}
inline Vector<double, 2> fma(Vector<double, 2> a, Vector<double, 2> b, Vector<double, 2> c) {
  return Vector<double, 2>{fma(a[0], b[0], c[0]), fma(a[1], b[1], c[1])};
}
#endif

// Shuffles of a vector of complex numbers: (re, im, re, im, ...).
template <class V, size_t... I>
inline V exchange_parts(V v, Sequence<I...>) {
  return __builtin_shufflevector(v, v, (I ^ 1)...);
}
template <class V, size_t... I>
inline V double_real(V v, Sequence<I...>) {
  return __builtin_shufflevector(v, v, (I & ~size_t(1))...);
}
template <class V, size_t... I>
inline V double_imaginary(V v, Sequence<I...>) {
  return __builtin_shufflevector(v, v, (I | 1)...);
}
template <class V, size_t... I>
inline V alternate(V even, V odd, Sequence<I...>) {
  return __builtin_shufflevector(even, odd, ((I & 1) ? I + sizeof...(I) : I)...);
}
template <class V, class U, size_t... I>
inline V negate_real(V v, Sequence<I...>) {
  typedef U Bits __attribute__((vector_size(sizeof(V))));
  constexpr U sign = U(1) << (8 * sizeof(U) - 1);
  return (V)((Bits)v ^ Bits{((I & 1) ? U(0) : sign)...});
}

// An arithmetic: how the elements of one dtype are kept in vectors and multiplied. `Packed` is the
// scalar that vectors and packed panels hold, `parts` of them to an element; a product of one
// element of the left factor (Scalar, the same in every lane) and a vector of elements of the right
// one (Lanes) is added to `total`.

template <class T>
struct Floating {
  using Element = T;
  using Packed = T;
  static constexpr size_t parts = 1;
  static constexpr size_t lanes = at_least(register_bytes / sizeof(T), 1);
  static constexpr size_t mr = register_bytes == 64 ? 14 : register_bytes == 0 ? 4 : 6;
  static constexpr size_t vectors = register_bytes == 0 ? 4 : 2;
  using V = Vector<T, lanes>;
  using Scalar = V;
  using Lanes = V;
  static V load_elements(const void *p) { return load<V>(p); }
  static void store_elements(void *p, V v) { store<V>(p, v); }
  static V broadcast(T x) { return x - V{}; }
  static Scalar scalar(const T *p) { return broadcast(*p); }
  static Lanes prepare(V v) { return v; }
  static V multiply_add(V total, const Scalar &a, const Lanes &b) { return fma(a, b, total); }
};

// Wrapping integers, signed and unsigned alike: the low bits of a sum of products are the same.
// 8-bit elements are computed in 16 bits, the narrowest multiplication there is. Scalar code widens
// to 32 bits, because the product of two uint16_t would be a signed int.
template <class T>
struct Wrapping {
  using Element = T;
  template <bool, class A, class>
  struct choose {
    using type = A;
  };
  template <class A, class B>
  struct choose<false, A, B> {
    using type = B;
  };
  static constexpr bool scalar_code = register_bytes == 0;
  using Packed = typename choose<(scalar_code && sizeof(T) < 4), uint32_t,
                                 typename choose<(sizeof(T) == 1), uint16_t, T>::type>::type;
  static constexpr size_t parts = 1;
  static constexpr size_t lanes = at_least(register_bytes / sizeof(Packed), 1);
  // AVX2 has no 64-bit multiplication; the registers that emulate it are taken from the tile.
  static constexpr size_t mr = register_bytes == 64 ? 12 : sizeof(T) == 8 || scalar_code ? 4 : 6;
  static constexpr size_t vectors = scalar_code ? 4 : 2;
  using V = Vector<Packed, lanes>;
  using Scalar = V;
  using Lanes = V;
  static V load_elements(const void *p) {
    if constexpr (sizeof(T) == sizeof(Packed))
      return load<V>(p);
    else if constexpr (lanes == 1)
      return load<T>(p);
    else
      return __builtin_convertvector(load<Vector<T, lanes>>(p), V);
  }
  static void store_elements(void *p, V v) {
    if constexpr (sizeof(T) == sizeof(Packed))
      store<V>(p, v);
    else if constexpr (lanes == 1)
      store<T>(p, T(v));
    else
      store(p, __builtin_convertvector(v, Vector<T, lanes>));
  }
  static V broadcast(Packed x) { return V{} + x; }
  static Scalar scalar(const Packed *p) { return broadcast(*p); }
  static Lanes prepare(V v) { return v; }
  static V multiply_add(V total, const Scalar &a, const Lanes &b) { return total + a * b; }
};

// Complex numbers, interleaved in vectors as in memory. With b' = (-bi, br), the definition's two
// fma per part are total = fma(ar, b, total), then fma(ai, b', total): -ai * bi and ai * -bi are
// the same number.
template <class C, class T, class U>
struct Complex {
  using Element = C;
  using Packed = T;
  static constexpr size_t parts = 2;
  static constexpr size_t lanes = at_least(register_bytes / sizeof(C), 1);
  static constexpr size_t mr = register_bytes == 64 ? 12 : register_bytes == 0 ? 2 : 4;
  static constexpr size_t vectors = 2;
  using V = Vector<T, 2 * lanes>;
  struct Scalar {
    V first, second;
  };
  using Lanes = Scalar;
  using Order = sequence<2 * lanes>;
  static V load_elements(const void *p) { return load<V>(p); }
  static void store_elements(void *p, V v) { store<V>(p, v); }
  static V broadcast(T x) { return x - V{}; }
  static Scalar scalar(const T *p) { return {broadcast(p[0]), broadcast(p[1])}; }
  static Lanes prepare(V v) { return {v, negate_real<V, U>(exchange_parts(v, Order{}), Order{})}; }
  static V multiply_add(V total, const Scalar &a, const Lanes &b) {
    return fma(a.second, b.second, fma(a.first, b.first, total));
  }
};

// Loads the first few elements of a vector, and nothing behind them; the other lanes are 0.
template <class A>
struct Part {
  using V = typename A::V;
  using Element = typename A::Element;
  using Packed = typename A::Packed;
#if defined(__AVX2__)
  static constexpr bool masked =
      sizeof(Packed) >= 4 && sizeof(Element) == sizeof(Packed) * A::parts;
#else
  static constexpr bool masked = false;
#endif
#if defined(__AVX512F__)
  uint32_t words;
  explicit Part(size_t used)
      : words(uint32_t(uint64_t(1) << used * A::parts) - 1), bytes(used * sizeof(Element)) {}
#elif defined(__AVX2__)
  __m256i words;
  explicit Part(size_t used) : bytes(used * sizeof(Element)) {
    if constexpr (sizeof(Packed) == 4)
      words = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(used * A::parts)),
                                 _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    else
      words = _mm256_cmpgt_epi64(_mm256_set1_epi64x(int64_t(used * A::parts)),
                                 _mm256_setr_epi64x(0, 1, 2, 3));
  }
#else
  explicit Part(size_t used) : bytes(used * sizeof(Element)) {}
#endif
  size_t bytes;

  V load_elements(const void *p) const {
    if constexpr (masked) {
#if defined(__AVX512F__)
      if constexpr (sizeof(Packed) == 4)
        return (V)_mm512_maskz_loadu_epi32(__mmask16(words), p);
      else
        return (V)_mm512_maskz_loadu_epi64(__mmask8(words), p);
#elif defined(__AVX2__)
      if constexpr (sizeof(Packed) == 4)
        return (V)_mm256_maskload_epi32(static_cast<const int *>(p), words);
      else
        return (V)_mm256_maskload_epi64(static_cast<const long long *>(p), words);
#endif
    } else {
      alignas(64) char part[A::lanes * sizeof(Element)] = {};
      __builtin_memcpy(part, p, bytes);
      return A::load_elements(part);
    }
  }
};

// The same product with the left factor in the lanes and the right one as scalar.
template <class A>
struct LeftInLanes : A {};
template <class C, class T, class U>
struct LeftInLanes<Complex<C, T, U>> : Complex<C, T, U> {
  using Base = Complex<C, T, U>;
  using typename Base::Lanes;
  using typename Base::Order;
  using typename Base::Scalar;
  using typename Base::V;
  static Scalar scalar(const T *p) {
    const V re = Base::broadcast(p[0]), im = Base::broadcast(p[1]);
    return {alternate(re, im, Order{}), alternate(-im, re, Order{})};
  }
  static Lanes prepare(V v) { return {double_real(v, Order{}), double_imaginary(v, Order{})}; }
};

} // namespace gemm
} // namespace
} // namespace COREPY_NAMESPACE
