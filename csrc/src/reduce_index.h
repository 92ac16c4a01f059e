// argmin and argmax: the lowest index of the best key, or of the first NaN.
//
// A state is a plane of indices and a plane of keys; the lexicographic order of (key, index) makes
// the result independent of how the elements are divided.
#pragma once

#include "reduce_free.h"

namespace COREPY_NAMESPACE {
namespace {

template <class Mask>
inline bool any_lane(Mask mask) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Mask) == 64) {
    return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
  }
#endif
#if defined(__AVX2__)
  if constexpr (sizeof(Mask) == 32) {
    return _mm256_testz_si256((__m256i)mask, (__m256i)mask) == 0;
  }
#endif
  uint64_t words[sizeof(Mask) / 8];
  __builtin_memcpy(words, &mask, sizeof words);
  uint64_t some = 0;
  for (uint64_t word : words) {
    some |= word;
  }
  return some != 0;
}

// Whether vectors of floats held a NaN. Two at a time where an instruction compares two.
template <class In, size_t N>
struct Nans {
  using V = vec<In, N>;
#if defined(__AVX512F__)
  uint32_t found = 0;
  void look(V a, V b) {
    if constexpr (sizeof(In) == 4) {
      found |= _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q);
    } else {
      found |= _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_UNORD_Q);
    }
  }
  bool any() const { return found != 0; }
#else
  using Mask = decltype(V{} == V{});
  Mask found{};
  void look(V a, V b) {
#if defined(__AVX2__)
    if constexpr (sizeof(In) == 4) {
      found |= (Mask)_mm256_cmp_ps((__m256)a, (__m256)b, _CMP_UNORD_Q);
    } else {
      found |= (Mask)_mm256_cmp_pd((__m256d)a, (__m256d)b, _CMP_UNORD_Q);
    }
#else
    found |= (a != a) | (b != b);
#endif
  }
  bool any() const { return any_lane(found); }
#endif
};

template <class E, bool MAX>
struct ArgExtreme {
  using In = typename E::In;
  using K = Keys<E, MAX>;
  using Key = typename K::Key;
  using Row = typename K::Unsigned;
  static constexpr int64_t ABSENT = INT64_MAX;
  static constexpr size_t NATIVE = VECTOR / sizeof(Key);
  static constexpr size_t WIDE = 4;
  // A chunk is searched again when it holds a new best, so it must stay in the L1 cache.
  static constexpr size_t CHUNK = 8192 / sizeof(In);

  static constexpr Key BEST = E::boolean ? MAX : MAX ? K::top : K::bottom;

  // argmin and argmax treat -0.0 and +0.0 as equal, which min and max do not.
  template <size_t N>
  static vec<Key, N> key(const char *a) {
    vec<In, N> x = load<vec<In, N>>(a);
    if constexpr (K::floating) {
      x = x + static_cast<In>(0);
    }
    return K::template encode<N>(x);
  }
  static bool beats(Key a, Key b) { return MAX ? a > b : a < b; }

  // The best key of n >= 1 elements.
  COREPY_OUT_OF_LINE static Key best(const char *a, size_t n) {
    Key total = key<1>(a);
    size_t i = 0;
    if (n >= WIDE * NATIVE) {
      vec<Key, NATIVE> keys[WIDE];
#pragma GCC unroll 8
      for (size_t j = 0; j < WIDE; ++j) {
        keys[j] = key<NATIVE>(a + j * NATIVE * sizeof(In));
      }
      for (i = WIDE * NATIVE; i + WIDE * NATIVE <= n; i += WIDE * NATIVE) {
#pragma GCC unroll 8
        for (size_t j = 0; j < WIDE; ++j) {
          keys[j] =
              K::template better<NATIVE>(keys[j], key<NATIVE>(a + (i + j * NATIVE) * sizeof(In)));
        }
      }
      for (; i + NATIVE <= n; i += NATIVE) {
        keys[0] = K::template better<NATIVE>(keys[0], key<NATIVE>(a + i * sizeof(In)));
      }
      // Some elements are looked at twice, which changes nothing.
      keys[1] = K::template better<NATIVE>(keys[1], key<NATIVE>(a + (n - NATIVE) * sizeof(In)));
      i = n;
      for (size_t j = 1; j < WIDE; ++j) {
        keys[0] = K::template better<NATIVE>(keys[0], keys[j]);
      }
      Key lanes[NATIVE];
      store(lanes, keys[0]);
      for (size_t j = 0; j < NATIVE; ++j) {
        total = K::template better<1>(total, lanes[j]);
      }
    }
    for (; i < n; ++i) {
      total = K::template better<1>(total, key<1>(a + i * sizeof(In)));
    }
    return total;
  }

  // The first place of a key that occurs.
  COREPY_OUT_OF_LINE static size_t place(const char *a, size_t n, Key wanted) {
    size_t i = 0;
    const vec<Key, NATIVE> all = splat<Key, NATIVE>(wanted);
    for (; i + NATIVE <= n; i += NATIVE) {
      if (any_lane(key<NATIVE>(a + i * sizeof(In)) == all)) {
        break;
      }
    }
    while (i + 1 < n && key<1>(a + i * sizeof(In)) != wanted) {
      ++i;
    }
    return i;
  }

  static vec<In, NATIVE> further(vec<In, NATIVE> x, vec<In, NATIVE> value) {
    return (MAX ? x > value : x < value) ? x : value;
  }

  // The best of n >= 1 floats, or false where one is NaN; and its first place where nothing is to
  // beat or it does. Comparing floats takes half of the instructions of comparing their keys, and
  // finds zeros of either sign alike.
  COREPY_OUT_OF_LINE static bool ordered(const char *a, size_t n, const Key *to_beat, Key &found,
                                         size_t &where) {
    using Mask = decltype(vec<In, NATIVE>{} == vec<In, NATIVE>{});
    constexpr size_t STEP = WIDE * NATIVE;
    In total = load<In>(a);
    bool nan = total != total;
    size_t i = 0;
    if (n >= NATIVE) {
      vec<In, NATIVE> values[WIDE];
      Nans<In, NATIVE> nans[WIDE / 2];
#pragma GCC unroll 8
      for (size_t j = 0; j < WIDE; ++j) {
        values[j] = load<vec<In, NATIVE>>(a);
      }
      for (; i + STEP <= n; i += STEP) {
#pragma GCC unroll 8
        for (size_t j = 0; j < WIDE; j += 2) {
          const auto x = load<vec<In, NATIVE>>(a + (i + j * NATIVE) * sizeof(In));
          const auto y = load<vec<In, NATIVE>>(a + (i + (j + 1) * NATIVE) * sizeof(In));
          nans[j / 2].look(x, y);
          values[j] = further(x, values[j]);
          values[j + 1] = further(y, values[j + 1]);
        }
      }
      for (; i + NATIVE <= n; i += NATIVE) {
        const auto x = load<vec<In, NATIVE>>(a + i * sizeof(In));
        nans[0].look(x, x);
        values[0] = further(x, values[0]);
      }
      // Some elements are looked at twice, which changes nothing.
      const auto x = load<vec<In, NATIVE>>(a + (n - NATIVE) * sizeof(In));
      nans[0].look(x, x);
      values[1] = further(x, values[1]);
      i = n;
#pragma GCC unroll 8
      for (size_t j = 1; j < WIDE; ++j) {
        values[0] = further(values[j], values[0]);
      }
#pragma GCC unroll 8
      for (size_t j = 0; j < WIDE / 2; ++j) {
        nan |= nans[j].any();
      }
      In lanes[NATIVE];
      store(lanes, values[0]);
      // Halves, because one chain of comparisons through all lanes takes longer than the loop
      // above.
#pragma GCC unroll 8
      for (size_t half = NATIVE / 2; half != 0; half /= 2) {
#pragma GCC unroll 8
        for (size_t j = 0; j < half; ++j) {
          lanes[j] = (MAX ? lanes[j + half] > lanes[j] : lanes[j + half] < lanes[j])
                         ? lanes[j + half]
                         : lanes[j];
        }
      }
      total = (MAX ? lanes[0] > total : lanes[0] < total) ? lanes[0] : total;
    }
    for (; i < n; ++i) {
      const In x = load<In>(a + i * sizeof(In));
      nan |= x != x;
      total = (MAX ? x > total : x < total) ? x : total;
    }
    if (nan) {
      return false;
    }
    const Key best_key = K::template encode<1>(total + static_cast<In>(0));
    found = best_key;
    // Most chunks of many hold nothing better than those before.
    if (to_beat != nullptr && !beats(best_key, *to_beat)) {
      return true;
    }
    const vec<In, NATIVE> all = splat<In, NATIVE>(total);
    for (i = 0; i + STEP <= n; i += STEP) {
      Mask same = load<vec<In, NATIVE>>(a + i * sizeof(In)) == all;
#pragma GCC unroll 8
      for (size_t j = 1; j < WIDE; ++j) {
        same |= load<vec<In, NATIVE>>(a + (i + j * NATIVE) * sizeof(In)) == all;
      }
      if (any_lane(same)) {
        break;
      }
    }
    while (i + NATIVE <= n && !any_lane(load<vec<In, NATIVE>>(a + i * sizeof(In)) == all)) {
      i += NATIVE;
    }
    // The memory may have changed since.
    while (i + 1 < n && load<In>(a + i * sizeof(In)) != total) {
      ++i;
    }
    where = i;
    return true;
  }

  COREPY_OUT_OF_LINE static void run(const char *a, size_t n, size_t first, int64_t &index,
                                     Key &found) {
    index = ABSENT;
    found = K::identity;
    // The best key there is, of a NaN for instance, is not beaten.
    for (size_t i = 0; i < n && (index == ABSENT || beats(BEST, found)); i += CHUNK) {
      const size_t count = n - i < CHUNK ? n - i : CHUNK;
      const char *const chunk = a + i * sizeof(In);
      if constexpr (K::floating) {
        Key candidate;
        size_t where = 0;
        if (ordered(chunk, count, index == ABSENT ? nullptr : &found, candidate, where)) {
          if (index == ABSENT || beats(candidate, found)) {
            found = candidate;
            index = static_cast<int64_t>(first + i + where);
          }
          continue;
        }
      }
      const Key candidate = best(chunk, count);
      if (index == ABSENT || beats(candidate, found)) {
        found = candidate;
        index = static_cast<int64_t>(first + i + place(chunk, count, candidate));
      }
    }
  }

  // The index of the best of 1 to NATIVE elements, one after the other.
  static int64_t few(const char *a, size_t n) {
    Key found = key<1>(a);
    size_t where = 0;
    for (size_t i = 1; i < n; ++i) {
      const Key next = key<1>(a + i * sizeof(In));
      where = beats(next, found) ? i : where;
      found = beats(next, found) ? next : found;
    }
    return static_cast<int64_t>(where);
  }

  static int64_t *indices(void *state) { return static_cast<int64_t *>(state); }
  static Key *keys(void *state, size_t lanes) {
    return reinterpret_cast<Key *>(static_cast<int64_t *>(state) + lanes);
  }

  static void clear(void *state, size_t lanes) {
    for (size_t i = 0; i < lanes; ++i) {
      indices(state)[i] = ABSENT;
      keys(state, lanes)[i] = K::identity;
    }
  }

  static uint64_t blocks(void *state, const void *a, const void *, size_t n, size_t first) {
    clear(state, STRIPES);
    run(static_cast<const char *>(a), n, first, indices(state)[0], keys(state, STRIPES)[0]);
    return 0;
  }

  // The best of a few rows; row number r of this call has index base + r * scale.
  template <size_t N, size_t COUNT>
  static void strip(int64_t *index, Key *found, const char *a, ptrdiff_t stride, size_t rows,
                    int64_t base, int64_t scale) {
    vec<Key, N> key_of[COUNT];
    vec<Row, N> row_of[COUNT];
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      key_of[j] = key<N>(a + j * N * sizeof(In));
      row_of[j] = vec<Row, N>{};
    }
    for (size_t row = 1; row < rows; ++row) {
      a += stride;
#pragma GCC unroll 8
      for (size_t j = 0; j < COUNT; ++j) {
        const vec<Key, N> next = key<N>(a + j * N * sizeof(In));
        const auto better = MAX ? next > key_of[j] : next < key_of[j];
        key_of[j] = better ? next : key_of[j];
        row_of[j] = better ? splat<Row, N>(static_cast<Row>(row)) : row_of[j];
      }
    }
    Key new_keys[COUNT * N];
    Row new_rows[COUNT * N];
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      store(new_keys + j * N, key_of[j]);
      store(new_rows + j * N, row_of[j]);
    }
    for (size_t i = 0; i < COUNT * N; ++i) {
      const bool better = index[i] == ABSENT || beats(new_keys[i], found[i]);
      found[i] = better ? new_keys[i] : found[i];
      index[i] = better ? base + static_cast<int64_t>(new_rows[i]) * scale : index[i];
    }
  }

  // Fewer than 2 * N lanes.
  template <size_t N>
  static void strips_below(int64_t *index, Key *found, size_t lanes, const char *a,
                           ptrdiff_t stride, size_t rows, int64_t base, int64_t scale) {
    if (lanes >= N) {
      strip<N, 1>(index, found, a, stride, rows, base, scale);
      index += N;
      found += N;
      a += N * sizeof(In);
      lanes -= N;
    }
    if constexpr (N > 1) {
      if (lanes != 0) {
        strips_below<N / 2>(index, found, lanes, a, stride, rows, base, scale);
      }
    }
  }

  COREPY_OUT_OF_LINE static void passes(int64_t *index, Key *found, size_t lanes, const char *a,
                                        ptrdiff_t stride, size_t rows, int64_t base,
                                        int64_t scale) {
    if (rows == 0) {
      return;
    }
    size_t i = 0;
    for (; i + WIDE * NATIVE <= lanes; i += WIDE * NATIVE) {
      strip<NATIVE, WIDE>(index + i, found + i, a + i * sizeof(In), stride, rows, base, scale);
    }
    for (; i + NATIVE <= lanes; i += NATIVE) {
      strip<NATIVE, 1>(index + i, found + i, a + i * sizeof(In), stride, rows, base, scale);
    }
    strips_below<NATIVE / 2>(index + i, found + i, lanes - i, a + i * sizeof(In), stride, rows,
                             base, scale);
  }

  static uint64_t rows(void *state, const void *first_a, const void *, size_t rows,
                       ptrdiff_t stride, size_t cols, size_t first) {
    const char *a = static_cast<const char *>(first_a);
    const size_t lanes = STRIPES * cols;
    clear(state, lanes);
    int64_t *const index = indices(state);
    Key *const found = keys(state, lanes);
    const int64_t base = static_cast<int64_t>(first);
    // Sixteen narrow rows without gaps are one row of all the state's lanes.
    constexpr size_t NARROW = 4 * VECTOR;
    if (cols * sizeof(In) < NARROW && stride == static_cast<ptrdiff_t>(cols * sizeof(In))) {
      const size_t groups = rows / STRIPES; // at most 64: its number fits a byte
      const int64_t used = static_cast<int64_t>(groups * STRIPES);
      passes(index, found, lanes, a, static_cast<ptrdiff_t>(STRIPES) * stride, groups, base,
             STRIPES);
      passes(index, found, rows % STRIPES * cols, a + used * stride, stride, rows % STRIPES != 0,
             base + used, 1);
      for (size_t stripe = 0; stripe < STRIPES && stripe < rows; ++stripe) {
        for (size_t i = 0; i < cols; ++i) {
          index[stripe * cols + i] += static_cast<int64_t>(stripe);
        }
      }
      return 0;
    }
    constexpr size_t AT_ONCE = 8;
    for (size_t top = 0; top < rows; top += AT_ONCE) {
      passes(index, found, cols, a + static_cast<ptrdiff_t>(top) * stride, stride,
             rows - top < AT_ONCE ? rows - top : AT_ONCE, base + static_cast<int64_t>(top), 1);
    }
    return 0;
  }

  COREPY_OUT_OF_LINE static void merge_lanes(int64_t *index, Key *found, const int64_t *right_index,
                                             const Key *right_found, size_t lanes) {
    for (size_t i = 0; i < lanes; ++i) {
      const bool better = beats(right_found[i], found[i]) ||
                          (right_found[i] == found[i] && right_index[i] < index[i]);
      found[i] = better ? right_found[i] : found[i];
      index[i] = better ? right_index[i] : index[i];
    }
  }

  static void merge(void *state, const void *right, size_t lanes) {
    const int64_t *const right_index = static_cast<const int64_t *>(right);
    merge_lanes(indices(state), keys(state, lanes), right_index,
                reinterpret_cast<const Key *>(right_index + lanes), lanes);
  }

  static void finish(void *out, void *state, size_t cols, double) {
    int64_t *const index = indices(state);
    Key *const found = keys(state, STRIPES * cols);
    for (size_t stripes = STRIPES / 2; stripes != 0; stripes /= 2) {
      merge_lanes(index, found, index + stripes * cols, found + stripes * cols, stripes * cols);
    }
    __builtin_memcpy(out, index, cols * sizeof(int64_t));
  }

  static uint64_t each(void *first_out, const void *first_a, const void *, size_t outer,
                       ptrdiff_t a_stride, ptrdiff_t, size_t n, double) {
    char *out = static_cast<char *>(first_out);
    const char *a = static_cast<const char *>(first_a);
    if (n - 1 < TURNED_LENGTH<In> && outer >= NATIVE) {
      in_turns<In>(out, sizeof(int64_t), a, outer, a_stride, n,
                   [n](char *to, const char *items, size_t count) {
                     columns(to, items, nullptr, n, Turned<In>::STRIDE, count, 0);
                   });
      return 0;
    }
    for (size_t i = 0; i < outer; ++i) {
      int64_t index = ABSENT;
      if (n - 1 < NATIVE) {
        index = few(a, n);
      } else {
        Key found;
        run(a, n, 0, index, found);
      }
      store(out, index);
      out += sizeof(int64_t);
      a += a_stride;
    }
    return 0;
  }

  static void columns(void *out, const void *first_a, const void *, size_t rows, ptrdiff_t stride,
                      size_t cols, double) {
    constexpr size_t CHUNK = WIDE * NATIVE;
    const char *a = static_cast<const char *>(first_a);
    for (size_t i = 0; i < cols; i += CHUNK) {
      const size_t count = cols - i < CHUNK ? cols - i : CHUNK;
      int64_t index[CHUNK];
      Key found[CHUNK];
      for (size_t j = 0; j < count; ++j) {
        index[j] = ABSENT;
        found[j] = K::identity;
      }
      // The number of a row fits a byte.
      constexpr size_t MOST = 128;
      for (size_t top = 0; top < rows; top += MOST) {
        passes(index, found, count, a + i * sizeof(In) + static_cast<ptrdiff_t>(top) * stride,
               stride, rows - top < MOST ? rows - top : MOST, static_cast<int64_t>(top), 1);
      }
      __builtin_memcpy(static_cast<char *>(out) + i * sizeof(int64_t), index,
                       count * sizeof(int64_t));
    }
  }

  static void register_in(corepy_reduction *slot) {
    *slot = {blocks,  rows,    merge,
             finish,  each,    columns,
             nullptr, nullptr, sizeof(int64_t) + sizeof(Key)};
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
