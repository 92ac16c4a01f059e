// Kernels of lane programs: multiply-add, masks, access by index.
#include "gemm_lanes.h"
#include "lane.h"
#include "words.h"

namespace COREPY_NAMESPACE {

void fill_combines(corepy_kernels *table);

namespace {

// `out` may be exactly an operand: element i is read before it is written.
#define COREPY_LANES _Pragma("GCC ivdep") _Pragma("GCC unroll 1")

template <class T>
inline T multiply_add_one(T a, T b, T c) {
  if constexpr (is_floating<T>)
    return fused(a, b, c);
  else
    return T(Wide<T>(a) * Wide<T>(b) + Wide<T>(c));
}

// Steps are 1 for vectors and 0 for operands of one element.
template <class T, size_t a_step, size_t b_step, size_t c_step>
void multiply_add(void *out, const void *a, const void *b, const void *c, size_t n) {
  if (n == 0)
    return;
  T *results = static_cast<T *>(out);
  const T *x = static_cast<const T *>(a);
  const T *y = static_cast<const T *>(b);
  const T *z = static_cast<const T *>(c);
  const T p = *x, q = *y, r = *z;
  COREPY_LANES
  for (size_t i = 0; i < n; i++)
    results[i] = multiply_add_one<T>(a_step ? x[i] : p, b_step ? y[i] : q, c_step ? z[i] : r);
}

template <class T>
void set_multiply_add(corepy_multiply_add (&slot)[COREPY_MULTIPLY_ADD_FORMS]) {
  slot[COREPY_MULTIPLY_ADD_VVV] = multiply_add<T, 1, 1, 1>;
  slot[COREPY_MULTIPLY_ADD_VVS] = multiply_add<T, 1, 1, 0>;
  slot[COREPY_MULTIPLY_ADD_VSV] = multiply_add<T, 1, 0, 1>;
  slot[COREPY_MULTIPLY_ADD_VSS] = multiply_add<T, 1, 0, 0>;
  slot[COREPY_MULTIPLY_ADD_SSV] = multiply_add<T, 0, 0, 1>;
}

// Vectors that are on their way at once: enough to hide the latency of a multiply-add, with their
// factors in registers too.
constexpr size_t chains = register_bytes == 32 ? 6 : 8;

template <class T, class V, size_t vectors>
inline void chain(T *out, const T *a, const T *b, const uint64_t *slots, const int64_t *places,
                  size_t count) {
  constexpr size_t lanes = sizeof(V) / sizeof(T);
  V v[vectors], x[vectors];
#pragma GCC unroll 8
  for (size_t j = 0; j < vectors; j++) {
    v[j] = load<V>(a + j * lanes);
    x[j] = load<V>(b + j * lanes);
  }
  for (size_t k = 0; k < count; k++) {
    T value;
    __builtin_memcpy(&value, slots + places[k], sizeof value);
    const V c = value - V{};
#pragma GCC unroll 8
    for (size_t j = 0; j < vectors; j++)
      v[j] = gemm::fma(v[j], x[j], c);
  }
#pragma GCC unroll 8
  for (size_t j = 0; j < vectors; j++)
    store<V>(out + j * lanes, v[j]);
}

template <class T>
void multiply_add_chain(void *out, const void *a, const void *b, const uint64_t *slots,
                        const int64_t *places, size_t count, size_t n) {
  constexpr size_t lanes = gemm::at_least(register_bytes / sizeof(T), 1);
  using V = Vector<T, lanes>;
  T *results = static_cast<T *>(out);
  const T *x = static_cast<const T *>(a);
  const T *y = static_cast<const T *>(b);
  size_t i = 0;
  for (; n - i >= chains * lanes; i += chains * lanes)
    chain<T, V, chains>(results + i, x + i, y + i, slots, places, count);
  for (; n - i >= lanes; i += lanes)
    chain<T, V, 1>(results + i, x + i, y + i, slots, places, count);
  for (; i < n; i++)
    chain<T, T, 1>(results + i, x + i, y + i, slots, places, count);
}

// Mask bytes of one word of bits.
constexpr size_t word_bits = 64;

inline uint64_t word_of(const uint8_t *mask, size_t n) {
  uint64_t word = 0;
  for (size_t i = 0; i < n; i++)
    word |= uint64_t(mask[i] != 0) << i;
  return word;
}

typedef char Bytes32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef char Bytes64 __attribute__((vector_size(64), aligned(1), may_alias));

inline uint64_t whole_word_of(const uint8_t *mask) {
#if defined(__AVX512BW__)
  Bytes64 bytes = *reinterpret_cast<const Bytes64 *>(mask);
  return __builtin_ia32_ptestmb512(bytes, bytes, ~uint64_t(0));
#elif defined(__AVX2__)
  uint64_t word = 0;
  for (size_t half = 0; half < 2; half++) {
    Bytes32 bytes = *reinterpret_cast<const Bytes32 *>(mask + 32 * half);
    word |= uint64_t(uint32_t(__builtin_ia32_pmovmskb256(bytes != 0))) << (32 * half);
  }
  return word;
#else
  return word_of(mask, word_bits);
#endif
}

void mask_bits(uint64_t *bits, const void *mask, size_t n) {
  const uint8_t *m = static_cast<const uint8_t *>(mask);
  size_t i = 0;
  for (; n - i >= word_bits; i += word_bits)
    *bits++ = whole_word_of(m + i);
  if (i < n)
    *bits = word_of(m + i, n - i);
}

void mask_bytes(void *mask, const uint64_t *bits, size_t n) {
  uint8_t *m = static_cast<uint8_t *>(mask);
  size_t i = 0;
#if defined(__AVX512BW__)
  for (; n - i >= word_bits; i += word_bits) {
    Bytes64 ones = {};
    ones += 1;
    *reinterpret_cast<Bytes64 *>(m + i) = __builtin_ia32_cvtmask2b512(bits[i / word_bits]) & ones;
  }
#elif defined(__BMI2__)
  constexpr uint64_t each = 0x0101010101010101;
  for (; n - i >= 8; i += 8)
    words<8>(m + i)->bits =
        __builtin_ia32_pdep_di(bits[i / word_bits] >> (i % word_bits) & 0xff, each);
#endif
  for (; i < n; i++)
    m[i] = uint8_t(bits[i / word_bits] >> (i % word_bits) & 1);
}

uint64_t lane_bounds(const int64_t *index, const void *mask, size_t n, int64_t extent) {
  const uint8_t *m = static_cast<const uint8_t *>(mask);
  constexpr size_t block = 256;
  for (size_t start = 0; start < n; start += block) {
    size_t end = n - start < block ? n : start + block;
    uint64_t wrong = 0;
    if (m)
      for (size_t i = start; i < end; i++)
        wrong |= uint64_t(m[i] != 0) & uint64_t(uint64_t(index[i]) >= uint64_t(extent));
    else
      for (size_t i = start; i < end; i++)
        wrong |= uint64_t(uint64_t(index[i]) >= uint64_t(extent));
    if (wrong)
      for (size_t i = start; i < end; i++)
        if ((!m || m[i] != 0) && uint64_t(index[i]) >= uint64_t(extent))
          return i;
  }
  return n;
}

template <size_t bytes>
void lane_gather(void *out, const void *in, const int64_t *index, const void *mask, size_t n,
                 ptrdiff_t stride) {
  auto *results = words<bytes>(out);
  const char *x = static_cast<const char *>(in);
  const uint8_t *m = static_cast<const uint8_t *>(mask);
  // The index of a lane that is not selected may be anything.
  if (m) {
#pragma GCC ivdep
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
      results[i].bits = words<bytes>(x + (m[i] ? index[i] : 0) * stride)->bits;
  } else {
#pragma GCC ivdep
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
      results[i].bits = words<bytes>(x + index[i] * stride)->bits;
  }
}

// Stores of lanes that are not selected are left out, not repeated with what was there: another
// thread may be storing to that element.
template <size_t bytes>
void lane_scatter(void *out, const void *in, size_t step, const int64_t *index, const void *mask,
                  size_t n, ptrdiff_t stride) {
  auto *x = words<bytes>(in);
  const uint8_t *m = static_cast<const uint8_t *>(mask);
  char *results = static_cast<char *>(out);
  if (!index && stride == ptrdiff_t(bytes) && m) {
    auto *to = words<bytes>(out);
    if (step)
      for (size_t i = 0; i < n; i++) {
        if (m[i])
          to[i].bits = x[i].bits;
      }
    else
      for (size_t i = 0; i < n; i++)
        if (m[i])
          to[i].bits = x->bits;
    return;
  }
  for (size_t i = 0; i < n; i++)
    if (!m || m[i])
      words<bytes>(results + (index ? index[i] : ptrdiff_t(i)) * stride)->bits = x[i * step].bits;
}

// With `fixed` rows of so many elements, for which a loop over them has no head and no rest.
template <size_t bytes, size_t fixed>
void rows_of(Word<bytes> *out, const char *in, size_t width, size_t rows, ptrdiff_t step,
             ptrdiff_t stride) {
  const size_t length = fixed ? fixed : width;
  for (size_t r = 0; r < rows; r++, out += length, in += stride) {
    if (step == ptrdiff_t(bytes)) {
      auto *x = words<bytes>(in);
      COREPY_LANES
      for (size_t i = 0; i < length; i++)
        out[i].bits = x[i].bits;
    } else if (step == 0) {
      const auto value = words<bytes>(in)->bits;
      COREPY_LANES
      for (size_t i = 0; i < length; i++)
        out[i].bits = value;
    } else {
      for (size_t i = 0; i < length; i++)
        out[i].bits = words<bytes>(in + ptrdiff_t(i) * step)->bits;
    }
  }
}

template <size_t bytes>
void lane_rows(void *out, const void *in, size_t width, size_t rows, ptrdiff_t step,
               ptrdiff_t stride) {
  auto *results = words<bytes>(out);
  const char *x = static_cast<const char *>(in);
  if (width == 8)
    rows_of<bytes, 8>(results, x, width, rows, step, stride);
  else if (width == 16)
    rows_of<bytes, 16>(results, x, width, rows, step, stride);
  else if (width == 32)
    rows_of<bytes, 32>(results, x, width, rows, step, stride);
  else
    rows_of<bytes, 0>(results, x, width, rows, step, stride);
}

template <size_t bytes, size_t number>
void fill_lane_width(corepy_kernels *table) {
  table->lane_gather[number] = lane_gather<bytes>;
  table->lane_scatter[number] = lane_scatter<bytes>;
  table->lane_rows[number] = lane_rows<bytes>;
}

} // namespace

void fill_lanes(corepy_kernels *table) {
  // Integers of one width share kernels, whatever their sign.
  set_multiply_add<uint8_t>(table->multiply_add[COREPY_DTYPE_INT8]);
  set_multiply_add<uint16_t>(table->multiply_add[COREPY_DTYPE_INT16]);
  set_multiply_add<uint32_t>(table->multiply_add[COREPY_DTYPE_INT32]);
  set_multiply_add<uint64_t>(table->multiply_add[COREPY_DTYPE_INT64]);
  set_multiply_add<uint8_t>(table->multiply_add[COREPY_DTYPE_UINT8]);
  set_multiply_add<uint16_t>(table->multiply_add[COREPY_DTYPE_UINT16]);
  set_multiply_add<uint32_t>(table->multiply_add[COREPY_DTYPE_UINT32]);
  set_multiply_add<uint64_t>(table->multiply_add[COREPY_DTYPE_UINT64]);
  set_multiply_add<float>(table->multiply_add[COREPY_DTYPE_FLOAT32]);
  set_multiply_add<double>(table->multiply_add[COREPY_DTYPE_FLOAT64]);
  table->multiply_add_chain[COREPY_DTYPE_FLOAT32] = multiply_add_chain<float>;
  table->multiply_add_chain[COREPY_DTYPE_FLOAT64] = multiply_add_chain<double>;
  table->mask_bits = mask_bits;
  table->mask_bytes = mask_bytes;
  table->lane_bounds = lane_bounds;
  fill_lane_width<1, 0>(table);
  fill_lane_width<2, 1>(table);
  fill_lane_width<4, 2>(table);
  fill_lane_width<8, 3>(table);
  fill_combines(table);
}

} // namespace COREPY_NAMESPACE
