// Kernels that fold lanes' values into elements of memory: `red` and `redsh` of lane programs.
#include "functors_arithmetic.h"
#include "functors_bits.h"
#include "words.h"

namespace COREPY_NAMESPACE {

void fill_combines(corepy_kernels *table);

namespace {

template <class F, class T>
inline void fold_alone(char *at, T value) {
  Word<sizeof(T)> *element = words<sizeof(T)>(at);
  element->bits = raw(F::apply(bits_as<T>(Raw<T>(element->bits)), value));
}

// Relaxed: a launch ends before anyone looks at the elements.
template <class F, class T>
inline void fold_atomic(char *at, T value) {
  Raw<T> *element = reinterpret_cast<Raw<T> *>(at);
  if constexpr (__is_same(F, Add)) {
    __atomic_fetch_add(element, raw(value), __ATOMIC_RELAXED);
  } else {
    Raw<T> seen = __atomic_load_n(element, __ATOMIC_RELAXED);
    for (;;) {
      Raw<T> folded = raw(F::apply(bits_as<T>(seen), value));
      if (folded == seen || __atomic_compare_exchange_n(element, &seen, folded, true,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    }
  }
}

template <class F, class T, bool atomic>
void fold_indexed(char *out, const T *x, size_t step, const int64_t *index, const uint8_t *mask,
                  size_t n, ptrdiff_t stride) {
  for (size_t i = 0; i < n; i++)
    if (!mask || mask[i]) {
      char *at = out + index[i] * stride;
      if constexpr (atomic)
        fold_atomic<F, T>(at, x[i * step]);
      else
        fold_alone<F, T>(at, x[i * step]);
    }
}

// Every lane folds into one element: first into one another, as no order shows.
template <class F, class T>
bool fold_values(const T *x, size_t step, const uint8_t *mask, size_t n, T &total) {
  size_t i = 0;
  while (i < n && mask && !mask[i])
    i++;
  if (i == n)
    return false;
  total = x[i * step];
  for (i++; i < n; i++)
    if (!mask || mask[i])
      total = F::apply(total, x[i * step]);
  return true;
}

template <class F, class T>
void combine(void *out, const void *in, size_t step, const int64_t *index, const void *mask,
             size_t n, ptrdiff_t stride, uint32_t atomic) {
  char *results = static_cast<char *>(out);
  const T *x = static_cast<const T *>(in);
  const uint8_t *m = static_cast<const uint8_t *>(mask);
  if (!index) {
    T total;
    if (!fold_values<F, T>(x, step, m, n, total))
      return;
    if (atomic)
      fold_atomic<F, T>(results, total);
    else
      fold_alone<F, T>(results, total);
  } else if (atomic) {
    fold_indexed<F, T, true>(results, x, step, index, m, n, stride);
  } else {
    fold_indexed<F, T, false>(results, x, step, index, m, n, stride);
  }
}

// Indices are checked and used piece by piece, so that the additions of one piece go on while the
// next one comes from memory.
template <class T>
uint64_t count(void *out, const void *value, const int64_t *index, size_t n, int64_t extent) {
  constexpr size_t piece = 64;
  char *results = static_cast<char *>(out);
  const T added = *static_cast<const T *>(value);
  int64_t own[piece];
  for (size_t start = 0; start < n; start += piece) {
    size_t length = n - start < piece ? n - start : piece;
    uint64_t wrong = 0;
    if (length == piece)
      for (size_t i = 0; i < piece; i++) {
        own[i] = index[start + i];
        wrong |= uint64_t(uint64_t(own[i]) >= uint64_t(extent));
      }
    else
      for (size_t i = 0; i < length; i++) {
        own[i] = index[start + i];
        wrong |= uint64_t(uint64_t(own[i]) >= uint64_t(extent));
      }
    if (wrong)
      return start;
#pragma GCC unroll 4
    for (size_t i = 0; i < length; i++)
      fold_alone<Add, T>(results + own[i] * int64_t(sizeof(T)), added);
  }
  return n;
}

template <class T>
void set_extremes(corepy_kernels *table, size_t dtype) {
  table->lane_combine[COREPY_COMBINE_MIN][dtype] = combine<Minimum, T>;
  table->lane_combine[COREPY_COMBINE_MAX][dtype] = combine<Maximum, T>;
}

template <class T>
void set_integer(corepy_kernels *table, size_t dtype) {
  set_extremes<T>(table, dtype);
  // The bits of these do not depend on the sign.
  table->lane_combine[COREPY_COMBINE_ADD][dtype] = combine<Add, Raw<T>>;
  table->lane_combine[COREPY_COMBINE_AND][dtype] = combine<BitwiseAnd, Raw<T>>;
  table->lane_combine[COREPY_COMBINE_OR][dtype] = combine<BitwiseOr, Raw<T>>;
  table->lane_combine[COREPY_COMBINE_XOR][dtype] = combine<BitwiseXor, Raw<T>>;
}

} // namespace

void fill_combines(corepy_kernels *table) {
  set_integer<int8_t>(table, COREPY_DTYPE_INT8);
  set_integer<int16_t>(table, COREPY_DTYPE_INT16);
  set_integer<int32_t>(table, COREPY_DTYPE_INT32);
  set_integer<int64_t>(table, COREPY_DTYPE_INT64);
  set_integer<uint8_t>(table, COREPY_DTYPE_UINT8);
  set_integer<uint16_t>(table, COREPY_DTYPE_UINT16);
  set_integer<uint32_t>(table, COREPY_DTYPE_UINT32);
  set_integer<uint64_t>(table, COREPY_DTYPE_UINT64);
  set_extremes<float>(table, COREPY_DTYPE_FLOAT32);
  set_extremes<double>(table, COREPY_DTYPE_FLOAT64);
  table->lane_count[0] = count<uint8_t>;
  table->lane_count[1] = count<uint16_t>;
  table->lane_count[2] = count<uint32_t>;
  table->lane_count[3] = count<uint64_t>;
}

} // namespace COREPY_NAMESPACE
