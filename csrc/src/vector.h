// Vectors of a level's registers: their width, loads and stores at any alignment, stores past the
// caches.
#pragma once

#include "fetch.h"
#include "sequence.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace COREPY_NAMESPACE {
namespace {

// Bytes of a vector register; 0 stands for scalar code.
#if defined(__AVX512F__)
constexpr size_t register_bytes = 64;
#elif defined(__AVX2__)
constexpr size_t register_bytes = 32;
#elif defined(__aarch64__)
constexpr size_t register_bytes = 16;
#else
constexpr size_t register_bytes = 0;
#endif

template <class T, size_t N>
struct vector_of {
  typedef T type __attribute__((vector_size(sizeof(T) * N)));
};
template <class T>
struct vector_of<T, 1> {
  typedef T type;
};
template <class T, size_t N>
using Vector = typename vector_of<T, N>::type;

// Reads and writes at any alignment.
template <class V>
inline V load(const void *p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
inline void store(void *p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// Bytes of a cache line.
constexpr size_t line_bytes = 64;

// Whether the level has stores that go past the caches: such a store does not first fetch the line
// that it overwrites, and leaves in the caches what is there.
#if defined(__AVX2__)
constexpr bool has_streams = true;
#else
constexpr bool has_streams = false;
#endif

// Stores a register's bytes past the caches, to an address that is a multiple of their number.
// Whole lines at a time: a processor has room to gather a few lines only.
template <class V>
inline void stream(void *p, V v) {
#if defined(__AVX512F__)
  static_assert(sizeof(V) == 64);
  _mm512_stream_si512(static_cast<__m512i *>(p), (__m512i)v);
#elif defined(__AVX2__)
  static_assert(sizeof(V) == 32);
  _mm256_stream_si256(static_cast<__m256i *>(p), (__m256i)v);
#else
  store(p, v);
#endif
}

// After stores past the caches, before anyone else is told of them: they keep no order with others.
inline void end_streams() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

// Stores value(i), which reads element i of the sources, in the places i of whole lines past the
// caches; `to` begins with a line. Returns how many elements that are.
template <class T, class Value, class... From>
inline size_t stream_lines(T *to, size_t n, Value value, const From *...from) {
  using V = Vector < uint64_t, register_bytes<16 ? 1 : register_bytes / 8>;
  constexpr size_t line = line_bytes / sizeof(T);
  size_t i = 0;
#pragma GCC unroll 2
  for (; n - i >= line; i += line) {
    (fetch_ahead<line * sizeof(From)>(reinterpret_cast<const char *>(from + i)), ...);
    alignas(line_bytes) T results[line];
    // As a loop the vectoriser takes it whole; unrolled first, GCC 12 takes maximum element by
    // element.
#pragma GCC unroll 1
    for (size_t k = 0; k < line; k++)
      results[k] = value(i + k);
#pragma GCC unroll 8
    for (size_t k = 0; k < line; k += sizeof(V) / sizeof(T))
      stream(to + i + k, load<V>(results + k));
  }
  end_streams();
  return i;
}

inline bool is_line(const void *p) { return reinterpret_cast<uintptr_t>(p) % line_bytes == 0; }

} // namespace
} // namespace COREPY_NAMESPACE
