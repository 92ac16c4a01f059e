// Reductions whose result does not depend on the order: integer sums and products, min, max, any,
// all, count_nonzero. They fill whichever stripes are fastest and leave the others at the identity.
#pragma once

#include "reduce_turned.h"

namespace COREPY_NAMESPACE {
namespace {

template <class SIGNED, class UNSIGNED>
struct Integers {
  using Signed = SIGNED;
  using Unsigned = UNSIGNED;
};
template <size_t BYTES>
struct Integer;
template <>
struct Integer<1> : Integers<int8_t, uint8_t> {};
template <>
struct Integer<2> : Integers<int16_t, uint16_t> {};
template <>
struct Integer<4> : Integers<int32_t, uint32_t> {};
template <>
struct Integer<8> : Integers<int64_t, uint64_t> {};

template <class T>
constexpr bool IS_SIGNED = static_cast<T>(-1) < static_cast<T>(0);
template <class T, bool SIGNED = IS_SIGNED<T>>
struct WiderInteger {
  using type = typename Integer<sizeof(T) == 8 ? 8 : 2 * sizeof(T)>::Unsigned;
};
template <class T>
struct WiderInteger<T, true> {
  using type = typename Integer<sizeof(T) == 8 ? 8 : 2 * sizeof(T)>::Signed;
};
template <class T>
constexpr bool IS_FLOATING = static_cast<T>(0.5) != static_cast<T>(0);

// Element types. A bool is any byte, tested against 0; a complex number is two flat lanes.
template <class T>
struct Real {
  using In = T;
  static constexpr bool boolean = false;
  static constexpr size_t repeat = 1;
};
struct Boolean {
  using In = uint8_t;
  static constexpr bool boolean = true;
  static constexpr size_t repeat = 1;
};
template <class T>
struct Complex {
  using In = T;
  static constexpr bool boolean = false;
  static constexpr size_t repeat = 2;
};

// All ones in the lanes of elements that are not zero, both lanes of a complex one.
template <class E, size_t N>
inline vec<typename Integer<sizeof(typename E::In)>::Unsigned, N>
nonzero(vec<typename E::In, N> x) {
  using U = typename Integer<sizeof(typename E::In)>::Unsigned;
  if constexpr (N == 1) {
    return x != 0 ? static_cast<U>(-1) : static_cast<U>(0);
  } else {
    vec<U, N> mask = bits<vec<U, N>>(x != vec<typename E::In, N>{});
    if constexpr (E::repeat == 2) {
      vec<U, N> swap;
      for (size_t i = 0; i < N; ++i) {
        swap[i] = static_cast<U>(i ^ 1);
      }
#if defined(__clang__)
      vec<U, N> other;
      for (size_t i = 0; i < N; ++i) {
        other[i] = mask[i ^ 1];
      }
      mask |= other;
#else
      mask |= __builtin_shuffle(mask, swap);
#endif
    }
    return mask;
  }
}

// 0 or 1 for bool, the value itself for the other types.
template <class E, size_t N>
inline vec<typename E::In, N> normal(vec<typename E::In, N> x) {
  if constexpr (E::boolean) {
    return nonzero<E, N>(x) & 1;
  } else {
    return x;
  }
}

// Integers in the order of the values: -0.0 below +0.0, NaN at the end that wins (the bottom for
// min, the top for max).
template <class E, bool MAX>
struct Keys {
  using In = typename E::In;
  static constexpr bool floating = IS_FLOATING<In>;
  using Signed = typename Integer<sizeof(In)>::Signed;
  using Unsigned = typename Integer<sizeof(In)>::Unsigned;
  template <class T, bool FLOATING>
  struct KeyOf {
    using type = T;
  };
  template <class T>
  struct KeyOf<T, true> {
    using type = Signed;
  };
  using Key = typename KeyOf<In, floating>::type;
  static constexpr Key top =
      IS_SIGNED<Key> ? static_cast<Key>(static_cast<Unsigned>(-1) >> 1) : static_cast<Key>(-1);
  static constexpr Key bottom = IS_SIGNED<Key> ? static_cast<Key>(-top - 1) : static_cast<Key>(0);
  static constexpr Key identity = MAX ? bottom : top;
  static constexpr Key nan = MAX ? top : bottom;

  template <size_t N>
  static vec<Key, N> encode(vec<In, N> x) {
    if constexpr (floating) {
      const vec<Signed, N> word = bits<vec<Signed, N>>(x);
      const vec<Signed, N> sign = word >> (8 * sizeof(In) - 1);
      return x != x ? splat<Signed, N>(nan) : word ^ (sign & top);
    } else {
      return normal<E, N>(x);
    }
  }
  static In decode(Key key) {
    if constexpr (floating) {
      return bits<In>(static_cast<Signed>(key < 0 ? key ^ top : key));
    } else {
      return key;
    }
  }
  template <size_t N>
  static vec<Key, N> better(vec<Key, N> a, vec<Key, N> b) {
    if constexpr (MAX) {
      return b > a ? b : a;
    } else {
      return b < a ? b : a;
    }
  }
};

// A family has Local, the type of the running lanes; State, the type of the stored ones; BATCH, how
// many elements one running lane may take before it must be absorbed into a stored one.

constexpr size_t UNBOUNDED = size_t{1} << 40;

template <class E, class WIDE>
struct SumInteger : E {
  using Element = E;
  using Local = WIDE;
  using State = uint64_t;
  using Out = uint64_t; // the bits of int64 for signed elements
  // 128 elements of 8 bits fit 16 bits, 2^15 of 16 bits fit 32; 64-bit lanes wrap as they should.
  static constexpr size_t BATCH = sizeof(WIDE) == 2 ? 128 : sizeof(WIDE) == 4 ? 32768 : UNBOUNDED;
  static constexpr bool stops = false;
  static constexpr Local local_identity = 0;
  static constexpr State identity = 0;
  static constexpr Out empty = 0;
  template <size_t N>
  static vec<Local, N> step(vec<Local, N> local, vec<typename E::In, N> x) {
    return local + convert<Local, N>(normal<E, N>(x));
  }
  template <size_t N>
  static vec<Local, N> combine(vec<Local, N> a, vec<Local, N> b) {
    return a + b;
  }
  static State absorb(State state, Local local) { return state + static_cast<State>(local); }
  static State merge(State a, State b) { return a + b; }
  static Out value(State state) { return state; }
  static bool decided(State) { return false; }
};

template <class E>
struct ProductInteger : E {
  using Element = E;
  using Local = uint64_t;
  using State = uint64_t;
  using Out = uint64_t;
  static constexpr size_t BATCH = UNBOUNDED;
  static constexpr bool stops = false;
  static constexpr Local local_identity = 1;
  static constexpr State identity = 1;
  static constexpr Out empty = 1;
  template <size_t N>
  static vec<Local, N> step(vec<Local, N> local, vec<typename E::In, N> x) {
    return local * convert<Local, N>(normal<E, N>(x));
  }
  template <size_t N>
  static vec<Local, N> combine(vec<Local, N> a, vec<Local, N> b) {
    return a * b;
  }
  static State absorb(State state, Local local) { return state * local; }
  static State merge(State a, State b) { return a * b; }
  static Out value(State state) { return state; }
  static bool decided(State) { return false; }
};

template <class E, bool MAX>
struct Extreme : E {
  using Element = E;
  using K = Keys<E, MAX>;
  using Local = typename K::Key;
  using State = typename K::Key;
  using Out = typename E::In;
  static constexpr size_t BATCH = UNBOUNDED;
  static constexpr bool stops = false;
  static constexpr Local local_identity = K::identity;
  static constexpr State identity = K::identity;
  static constexpr Out empty = 0; // never asked for: an empty min is an error
  template <size_t N>
  static vec<Local, N> step(vec<Local, N> local, vec<typename E::In, N> x) {
    return K::template better<N>(local, K::template encode<N>(x));
  }
  template <size_t N>
  static vec<Local, N> combine(vec<Local, N> a, vec<Local, N> b) {
    return K::template better<N>(a, b);
  }
  static State absorb(State state, Local local) { return merge(state, local); }
  static State merge(State a, State b) { return K::template better<1>(a, b); }
  static Out value(State state) { return K::decode(state); }
  static bool decided(State) { return false; }
};

template <class E, bool ALL>
struct Truth : E {
  using Element = E;
  using Local = typename Integer<sizeof(typename E::In)>::Unsigned; // a mask
  using State = uint8_t;
  using Out = uint8_t;
  // How much is read beyond the deciding element: at most 128 rows of registers, 32 KB.
  static constexpr size_t BATCH = 128;
  static constexpr bool stops = true;
  static constexpr Local local_identity = ALL ? static_cast<Local>(-1) : 0;
  static constexpr State identity = ALL;
  static constexpr Out empty = ALL;
  template <size_t N>
  static vec<Local, N> step(vec<Local, N> local, vec<typename E::In, N> x) {
    return combine<N>(local, nonzero<E, N>(x));
  }
  template <size_t N>
  static vec<Local, N> combine(vec<Local, N> a, vec<Local, N> b) {
    if constexpr (ALL) {
      return a & b;
    } else {
      return a | b;
    }
  }
  static State absorb(State state, Local local) {
    return merge(state, static_cast<State>(local & 1));
  }
  static State merge(State a, State b) { return static_cast<State>(ALL ? a & b : a | b); }
  static Out value(State state) { return state; }
  static bool decided(State state) { return state != identity; }
};

template <class E>
struct Count : E {
  using Element = E;
  using Local = typename Integer<sizeof(typename E::In)>::Unsigned;
  using State = uint64_t;
  using Out = uint64_t;
  static constexpr size_t BATCH = sizeof(Local) == 1 ? 128 : 32768;
  static constexpr bool stops = false;
  static constexpr Local local_identity = 0;
  static constexpr State identity = 0;
  static constexpr Out empty = 0;
  template <size_t N>
  static vec<Local, N> step(vec<Local, N> local, vec<typename E::In, N> x) {
    return local - nonzero<E, N>(x); // the mask is -1
  }
  template <size_t N>
  static vec<Local, N> combine(vec<Local, N> a, vec<Local, N> b) {
    return a + b;
  }
  static State absorb(State state, Local local) { return state + local; }
  static State merge(State a, State b) { return a + b; }
  static Out value(State state) { return state; }
  static bool decided(State) { return false; }
};

template <class F>
struct Free {
  using In = typename F::In;
  using Local = typename F::Local;
  using State = typename F::State;
  static constexpr size_t UNIT = F::repeat;
  static constexpr size_t NATIVE = VECTOR / sizeof(Local);
  static constexpr size_t WIDE = 4; // registers at once, which hides the latency of a step
  template <size_t N>
  using V = vec<Local, N>;

  template <size_t N>
  static V<N> step(V<N> local, const char *a) {
    return F::template step<N>(local, load<vec<In, N>>(a));
  }

  template <size_t N>
  static void absorb(State *state, V<N> local) {
    if constexpr (N == 1) {
      *state = F::absorb(*state, local);
    } else {
      Local lanes[N];
      store(lanes, local);
      for (size_t i = 0; i < N; ++i) {
        state[i] = F::absorb(state[i], lanes[i]);
      }
    }
  }

  // Lanes i ... i + COUNT * N - 1 of `passes`; at most BATCH rows. With FETCH, what lies `ahead`
  // bytes after them is asked for.
  template <size_t N, size_t COUNT, bool FETCH = false>
  static void strip(State *state, const char *a, ptrdiff_t stride, size_t rows,
                    ptrdiff_t ahead = 0) {
    V<N> local[COUNT];
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      local[j] = splat<Local, N>(F::local_identity);
    }
    for (size_t row = 0; row < rows; ++row) {
      if constexpr (FETCH) {
        fetch_ahead<COUNT * N * sizeof(In)>(a, ahead);
      }
#pragma GCC unroll 8
      for (size_t j = 0; j < COUNT; ++j) {
        local[j] = step<N>(local[j], a + j * N * sizeof(In));
      }
      a += stride;
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      absorb<N>(state + j * N, local[j]);
    }
  }

  template <size_t N>
  static void strips_below(State *state, size_t lanes, const char *a, ptrdiff_t stride,
                           size_t rows) {
    if (lanes >= N) {
      strip<N, 1>(state, a, stride, rows);
      state += N;
      a += N * sizeof(In);
      lanes -= N;
    }
    if constexpr (N > UNIT) {
      if (lanes != 0) {
        strips_below<N / 2>(state, lanes, a, stride, rows);
      }
    }
  }

  template <bool FETCH = false>
  COREPY_OUT_OF_LINE static void passes(State *state, size_t lanes, const char *a, ptrdiff_t stride,
                                        size_t rows, ptrdiff_t ahead = 0) {
    size_t i = 0;
    for (; i + WIDE * NATIVE <= lanes; i += WIDE * NATIVE) {
      strip<NATIVE, WIDE, FETCH>(state + i, a + i * sizeof(In), stride, rows, ahead);
    }
    for (; i + NATIVE <= lanes; i += NATIVE) {
      strip<NATIVE, 1>(state + i, a + i * sizeof(In), stride, rows);
    }
    if constexpr (NATIVE > UNIT) {
      if (i != lanes) {
        strips_below<NATIVE / 2>(state + i, lanes - i, a + i * sizeof(In), stride, rows);
      }
    }
  }

  // The sum of all elements' lanes, which twice their width holds with each step.
  template <class T, size_t N>
  static State total(vec<T, N> lanes) {
    if constexpr (N == UNIT) {
      return static_cast<State>(first_lane(lanes));
    } else {
      using Wide = typename WiderInteger<T>::type;
      return total<Wide, N / 2>(convert<Wide, N / 2>(lower_half<T, N>(lanes)) +
                                convert<Wide, N / 2>(upper_half<T, N>(lanes)));
    }
  }

  // Every lane of `local` into the first stored lane. By halves, as a chain through all lanes takes
  // longer than a row of a thousand elements.
  template <size_t N>
  static State gathered(State state, V<N> local) {
    if constexpr (F::BATCH != UNBOUNDED && !F::stops) {
      return state + total<Local, N>(local);
    } else {
      if constexpr (N == UNIT) {
        return F::absorb(state, first_lane(local));
      } else {
        return gathered<N / 2>(state, F::template combine<N / 2>(lower_half<Local, N>(local),
                                                                 upper_half<Local, N>(local)));
      }
    }
  }

  // n flat elements into one stored lane.
  COREPY_OUT_OF_LINE static State run(const char *a, size_t n, bool &stop) {
    State total = F::identity;
    // combine adds WIDE lanes up, so a running lane takes BATCH / WIDE elements.
    constexpr size_t ROWS = F::BATCH / WIDE;
    while (n >= WIDE * NATIVE) {
      const size_t whole = n / (WIDE * NATIVE);
      const size_t rows = whole < ROWS ? whole : ROWS;
      V<NATIVE> local[WIDE];
#pragma GCC unroll 8
      for (size_t j = 0; j < WIDE; ++j) {
        local[j] = splat<Local, NATIVE>(F::local_identity);
      }
      for (size_t row = 0; row < rows; ++row) {
        fetch_ahead<WIDE * NATIVE * sizeof(In)>(a);
#pragma GCC unroll 8
        for (size_t j = 0; j < WIDE; ++j) {
          local[j] = step<NATIVE>(local[j], a + j * NATIVE * sizeof(In));
        }
        a += WIDE * NATIVE * sizeof(In);
      }
      n -= rows * WIDE * NATIVE;
      for (size_t distance = WIDE / 2; distance != 0; distance /= 2) {
        for (size_t j = 0; j < distance; ++j) {
          local[j] = F::template combine<NATIVE>(local[j], local[j + distance]);
        }
      }
      total = gathered<NATIVE>(total, local[0]);
      if (F::decided(total)) {
        stop = true;
        return total;
      }
    }
    if (n >= NATIVE) {
      V<NATIVE> local = splat<Local, NATIVE>(F::local_identity);
      for (; n >= NATIVE; n -= NATIVE) {
        local = step<NATIVE>(local, a);
        a += NATIVE * sizeof(In);
      }
      total = gathered<NATIVE>(total, local);
    }
    if (n >= UNIT) {
      V<UNIT> local = splat<Local, UNIT>(F::local_identity);
      for (; n >= UNIT; n -= UNIT) {
        local = step<UNIT>(local, a);
        a += UNIT * sizeof(In);
      }
      Local lanes[UNIT];
      store(lanes, local);
      total = F::absorb(total, lanes[0]);
    }
    stop = F::decided(total);
    return total;
  }

  static uint64_t blocks(void *result, const void *a, const void *, size_t n, size_t) {
    State *const state = static_cast<State *>(result);
    bool stop = false;
    const State total = run(static_cast<const char *>(a), n * F::repeat, stop);
    state[0] = total;
    for (size_t i = 1; i < STRIPES * F::repeat; ++i) {
      state[i] = F::identity;
    }
    return stop;
  }

  static bool all_decided(const State *state, size_t lanes) {
    for (size_t i = 0; i < lanes; i += UNIT) {
      if (!F::decided(state[i])) {
        return false;
      }
    }
    return true;
  }

  static uint64_t rows(void *result, const void *first, const void *, size_t rows, ptrdiff_t stride,
                       size_t cols, size_t) {
    State *const state = static_cast<State *>(result);
    const char *a = static_cast<const char *>(first);
    const size_t lanes = cols * F::repeat;
    for (size_t i = 0; i < STRIPES * lanes; ++i) {
      state[i] = F::identity;
    }
    // Sixteen narrow rows without gaps are one row of all the state's lanes.
    constexpr size_t NARROW = 4 * VECTOR;
    if (lanes * sizeof(In) < NARROW && stride == static_cast<ptrdiff_t>(lanes * sizeof(In))) {
      const size_t groups = rows / STRIPES; // at most 64, below every BATCH
      const ptrdiff_t step = static_cast<ptrdiff_t>(STRIPES) * stride;
      passes(state, STRIPES * lanes, a, step, groups);
      passes(state, rows % STRIPES * lanes, a + static_cast<ptrdiff_t>(groups) * step, step, 1);
      if constexpr (F::stops) {
        for (size_t i = lanes; i < STRIPES * lanes; ++i) {
          state[i % lanes] = F::merge(state[i % lanes], state[i]);
        }
        return all_decided(state, lanes);
      }
      return 0;
    }
    // Eight rows at a time, so that the state is loaded and stored for every eighth.
    constexpr size_t AT_ONCE = 8;
    const ptrdiff_t ahead =
        strides_ahead(static_cast<ptrdiff_t>(AT_ONCE * static_cast<size_t>(stride)),
                      AT_ONCE * lanes * sizeof(In));
    for (size_t top = 0; top < rows; top += AT_ONCE) {
      passes<true>(state, lanes, a + static_cast<ptrdiff_t>(top) * stride, stride,
                   rows - top < AT_ONCE ? rows - top : AT_ONCE, ahead);
      if constexpr (F::stops) {
        if (top % (16 * AT_ONCE) == 0 && all_decided(state, lanes)) {
          return 1;
        }
      }
    }
    return F::stops && all_decided(state, lanes);
  }

  COREPY_OUT_OF_LINE static void merge_lanes(State *left, const State *right, size_t lanes) {
    for (size_t i = 0; i < lanes; ++i) {
      left[i] = F::merge(left[i], right[i]);
    }
  }

  static void merge(void *state, const void *right, size_t lanes) {
    merge_lanes(static_cast<State *>(state), static_cast<const State *>(right), lanes * F::repeat);
  }

  static void finish(void *out, void *partials, size_t cols, double) {
    using Out = typename F::Out;
    State *const state = static_cast<State *>(partials);
    const size_t lanes = cols * F::repeat;
    for (size_t stripes = STRIPES / 2; stripes != 0; stripes /= 2) {
      merge_lanes(state, state + stripes * lanes, stripes * lanes);
    }
    for (size_t i = 0; i < cols; ++i) {
      store(static_cast<char *>(out) + i * sizeof(Out), F::value(state[i * F::repeat]));
    }
  }

  static uint64_t each(void *first_out, const void *first_a, const void *, size_t outer,
                       ptrdiff_t a_stride, ptrdiff_t, size_t n, double) {
    using Out = typename F::Out;
    char *out = static_cast<char *>(first_out);
    const char *a = static_cast<const char *>(first_a);
    using Item = vec<In, UNIT>;
    if (n - 1 < TURNED_LENGTH<Item> && outer >= NATIVE) {
      in_turns<Item>(out, sizeof(Out), a, outer, a_stride, n,
                     [n](char *to, const char *items, size_t count) {
                       columns(to, items, nullptr, n, Turned<Item>::STRIDE, count, 0);
                     });
      return 0;
    }
    for (size_t i = 0; i < outer; ++i) {
      bool stop = false;
      store(out, n == 0 ? F::empty : F::value(run(a, n * F::repeat, stop)));
      out += sizeof(Out);
      a += a_stride;
    }
    return 0;
  }

  static void columns(void *first_out, const void *first_a, const void *, size_t rows,
                      ptrdiff_t stride, size_t cols, double) {
    using Out = typename F::Out;
    constexpr size_t CHUNK = WIDE * NATIVE;
    char *out = static_cast<char *>(first_out);
    const char *a = static_cast<const char *>(first_a);
    for (size_t lanes = cols * F::repeat; lanes != 0;) {
      const size_t count = lanes < CHUNK ? lanes : CHUNK;
      State state[CHUNK];
      for (size_t i = 0; i < count; ++i) {
        state[i] = F::identity;
      }
      // A running lane takes BATCH rows.
      constexpr size_t MOST = F::BATCH < BLOCK ? F::BATCH : BLOCK;
      for (size_t top = 0; top < rows; top += MOST) {
        passes(state, count, a + static_cast<ptrdiff_t>(top) * stride, stride,
               rows - top < MOST ? rows - top : MOST);
        if (F::stops && all_decided(state, count)) {
          break;
        }
      }
      for (size_t i = 0; i < count; i += UNIT) {
        store(out + i / UNIT * sizeof(Out), F::value(state[i]));
      }
      out += count / UNIT * sizeof(Out);
      a += count * sizeof(In);
      lanes -= count;
    }
  }

  static void register_in(corepy_reduction *slot) {
    *slot = {
        blocks, rows, merge, finish, each, columns, nullptr, nullptr, F::repeat * sizeof(State)};
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
