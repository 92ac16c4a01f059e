// Float reductions in the fixed order: 1,024-element blocks of 16 stripes, merged in a binary tree.
//
// Complex elements are two flat lanes, so that a block is 16 (real) or 32 (complex) flat lanes
// wide. A row kernel is the same thing with 16 * cols lanes: element i of column j goes to lane (i
// mod 16, j). Everything below is therefore one loop, `passes`, over different widths.
#pragma once

#include "reduce_runs.h"
#include "reduce_turned.h"

namespace COREPY_NAMESPACE {
namespace {

template <class F>
struct Ordered : Runs<F> {
  using Base = Runs<F>;
  using Base::CENTERED;
  using Base::fill_identity;
  using Base::GROUP;
  using Base::ITEM;
  using Base::NATIVE;
  using Base::PLANES;
  using Base::TWO;
  using Base::VECTORS;
  using Base::WIDTH;
  using typename Base::In;
  using typename Base::Out;
  static constexpr size_t STATE = WIDTH * PLANES; // doubles of a block's state
  static constexpr size_t GROUPS = BLOCK / STRIPES;
  // Blocks at once: more registers hide what an addition takes, as long as they do not spill
  // (float32 and float64 on one thread from the third-level cache: 98 GB/s with one block of
  // AVX-512, 110 with two; with AVX2 100,000 float32 in the second-level cache 59 and 100).
  static constexpr size_t TOGETHER = !TWO && VECTORS * PLANES <= 4 ? 2 : 1;
  // From so many bytes on, which come from memory as a rule, one: in order it takes less
  // (10,000,000 float32 on one thread: 0.9 ms with two blocks, 0.6 with one).
  static constexpr size_t IN_ORDER_BYTES = 2 << 20;

  // Three pages: with two of them 10,000,000 float32 took 0.74 ms instead of 0.63, and of two
  // blocks of float64 the first asked for what the second was reading.
  static constexpr ptrdiff_t BLOCKS_AHEAD = 12288;

  template <size_t N>
  using L = Lanes<PLANES, N>;
  using Base::lane_of_b;
  using Base::next;

  // Lanes i ... i + COUNT * N - 1 of `passes`, in registers over all rows.
  template <size_t N, size_t COUNT>
  static void strip(double *state, size_t plane, const char *a, const char *b, ptrdiff_t stride,
                    size_t rows) {
    L<N> lanes[COUNT];
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      lanes[j] = Base::template read<N>(state + j * N, plane);
    }
    for (size_t row = 0; row < rows; ++row) {
#pragma GCC unroll 8
      for (size_t j = 0; j < COUNT; ++j) {
        Base::template step<N>(lanes[j], a + j * N * sizeof(In), lane_of_b(b, j * N));
      }
      a += stride;
      b = next(b, stride);
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      Base::template write<N>(state + j * N, plane, lanes[j]);
    }
  }

  // Fewer than 2 * N lanes.
  template <size_t N>
  static void strips_below(double *state, size_t plane, size_t lanes, const char *a, const char *b,
                           ptrdiff_t stride, size_t rows) {
    if (lanes >= N) {
      strip<N, 1>(state, plane, a, b, stride, rows);
      state += N;
      a += N * sizeof(In);
      b = lane_of_b(b, N);
      lanes -= N;
    }
    if constexpr (N > F::unit) {
      if (lanes != 0) {
        strips_below<N / 2>(state, plane, lanes, a, b, stride, rows);
      }
    }
  }

  // Adds `rows` rows of `lanes` elements, stride bytes apart, to the state's lanes in rising order.
  COREPY_OUT_OF_LINE static void passes(double *state, size_t plane, size_t lanes, const char *a,
                                        const char *b, ptrdiff_t stride, size_t rows) {
    constexpr size_t WIDE = 4;
    size_t i = 0;
    for (; i + WIDE * NATIVE <= lanes; i += WIDE * NATIVE) {
      strip<NATIVE, WIDE>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride, rows);
    }
    for (; i + NATIVE <= lanes; i += NATIVE) {
      strip<NATIVE, 1>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride, rows);
    }
    if constexpr (NATIVE > F::unit) {
      if (i != lanes) {
        strips_below<NATIVE / 2>(state + i, plane, lanes - i, a + i * sizeof(In), lane_of_b(b, i),
                                 stride, rows);
      }
    }
  }

  // left = left o right over `lanes` lanes of states with the given distances between planes.
  COREPY_OUT_OF_LINE static void merge_lanes(double *left, size_t left_plane, const double *right,
                                             size_t right_plane, size_t lanes) {
    size_t i = 0;
    for (; i + NATIVE <= lanes; i += NATIVE) {
      L<NATIVE> total = Base::template read<NATIVE>(left + i, left_plane);
      F::template merge<NATIVE>(total, Base::template read<NATIVE>(right + i, right_plane));
      Base::template write<NATIVE>(left + i, left_plane, total);
    }
    constexpr size_t N = F::unit;
    for (; i < lanes; i += N) {
      L<N> total = Base::template read<N>(left + i, left_plane);
      F::template merge<N>(total, Base::template read<N>(right + i, right_plane));
      Base::template write<N>(left + i, left_plane, total);
    }
  }

  // COUNT whole blocks, merged in the tree.
  template <size_t COUNT>
  static void whole_blocks(double *state, const char *a, const char *b, const char *center) {
    L<NATIVE> lanes[COUNT][VECTORS];
#pragma GCC unroll 8
    for (size_t k = 0; k < COUNT; ++k) {
#pragma GCC unroll 16
      for (size_t j = 0; j < VECTORS; ++j) {
        lanes[k][j] = F::template identity<NATIVE>();
      }
    }
    for (size_t group = 0; group < GROUPS; ++group) {
#pragma GCC unroll 8
      for (size_t k = 0; k < COUNT; ++k) {
        const size_t block = k * GROUPS * GROUP;
        fetch_ahead<GROUP>(a + block, BLOCKS_AHEAD);
        if constexpr (TWO) {
          fetch_ahead<GROUP>(b + block, BLOCKS_AHEAD);
        }
#pragma GCC unroll 16
        for (size_t j = 0; j < VECTORS; ++j) {
          const size_t offset = block + j * NATIVE * sizeof(In);
          Base::template step<NATIVE, COUNT == 2>(lanes[k][j], a + offset,
                                                  CENTERED ? center
                                                  : TWO    ? b + offset
                                                           : b);
        }
      }
      a += GROUP;
      b = next(b, GROUP);
    }
    if constexpr (COUNT == 2) {
#pragma GCC unroll 16
      for (size_t j = 0; j < VECTORS; ++j) {
        F::template merge<NATIVE>(lanes[0][j], lanes[1][j]);
      }
    }
#pragma GCC unroll 16
    for (size_t j = 0; j < VECTORS; ++j) {
      Base::template write<NATIVE>(state + j * NATIVE, WIDTH, lanes[0][j]);
    }
  }

  // At most one block. centers: one center repeated for a vector register.
  COREPY_OUT_OF_LINE static void part_block(double *state, const char *a, const char *b,
                                            const double *centers, size_t n) {
    fill_identity(state, WIDTH);
    const char *second = CENTERED ? reinterpret_cast<const char *>(centers) : b;
    const size_t groups = n / STRIPES;
    const size_t rest = n % STRIPES * F::repeat;
    if (groups != 0) {
      for (size_t lane = 0; lane < WIDTH; lane += 2 * NATIVE) {
        strip<NATIVE, 2>(state + lane, WIDTH, a + lane * sizeof(In), lane_of_b(second, lane), GROUP,
                         groups);
      }
      a += groups * GROUP;
      second = next(second, static_cast<ptrdiff_t>(groups * GROUP));
    }
    if (rest != 0) {
      passes(state, WIDTH, rest, a, second, 0, 1);
    }
  }

  static uint64_t blocks(void *result, const void *first_a, const void *first_b, size_t n, size_t) {
    double *const state = static_cast<double *>(result);
    const char *a = static_cast<const char *>(first_a);
    const char *b = static_cast<const char *>(first_b);
    double centers[CENTERED ? WIDTH : 1];
    if constexpr (CENTERED) {
      const double center = load<double>(b);
      for (double &each : centers) {
        each = center;
      }
    }
    if (n < BLOCK) {
      part_block(state, a, b, centers, n);
      return 0;
    }
    // Complete subtrees, the largest first, as in a binary counter: with block number `done` the
    // trees that it completes are merged. 2^64 elements have fewer than 64 levels.
    double stack[64][STATE];
    size_t depth = 0;
    size_t done = 0;
    const size_t together = n < IN_ORDER_BYTES / ITEM ? TOGETHER : 1;
    while (n >= BLOCK) {
      const char *const center = reinterpret_cast<const char *>(centers);
      const size_t count = n >= together * BLOCK && done % together == 0 ? together : 1;
      if (count == TOGETHER) {
        whole_blocks<TOGETHER>(stack[depth++], a, b, center);
      } else {
        whole_blocks<1>(stack[depth++], a, b, center);
      }
      done += count;
      for (size_t trees = done / count; trees % 2 == 0; trees /= 2) {
        --depth;
        merge_lanes(stack[depth - 1], WIDTH, stack[depth], WIDTH, WIDTH);
      }
      a += count * GROUPS * GROUP;
      b = next(b, static_cast<ptrdiff_t>(count * GROUPS * GROUP));
      n -= count * BLOCK;
    }
    if (n != 0) {
      part_block(stack[depth++], a, b, centers, n);
    }
    for (; depth > 1; --depth) {
      merge_lanes(stack[depth - 2], WIDTH, stack[depth - 1], WIDTH, WIDTH);
    }
    __builtin_memcpy(state, stack[0], sizeof stack[0]);
    return 0;
  }

  // Rows added at once, so that the state is loaded and stored for every eighth. Their number is a
  // constant: leaving a short loop for each column costs more than the additions in it.
  static constexpr size_t AT_ONCE = 8;
  // Registers of them side by side: a line of the elements, so that it is asked for once.
  static constexpr size_t LINE_REGISTERS = 64 / (NATIVE * sizeof(In));
  static constexpr size_t ACROSS = LINE_REGISTERS < 2 ? PLANES : LINE_REGISTERS < 4 ? 2 : 4;

  // Bytes of each row that are asked for before they are read (20,000 x 512 float64 on one thread:
  // 2.3 ms instead of 2.9).
  static constexpr size_t ROW_AHEAD = 2048;

  // ROWS rows of COUNT registers, stride bytes apart, in rising order.
  template <size_t ROWS, size_t COUNT>
  static void down(double *state, size_t plane, const char *a, const char *b, ptrdiff_t stride,
                   ptrdiff_t ahead) {
    constexpr size_t N = NATIVE;
    L<N> lanes[COUNT];
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      lanes[j] = Base::template read<N>(state + j * N, plane);
    }
#pragma GCC unroll 8
    for (size_t row = 0; row < ROWS; ++row) {
      const ptrdiff_t offset = static_cast<ptrdiff_t>(row) * stride;
      fetch_ahead<COUNT * N * sizeof(In)>(a + offset, ahead);
      if constexpr (TWO) {
        fetch_ahead<COUNT * N * sizeof(In)>(b + offset, ahead);
      }
#pragma GCC unroll 8
      for (size_t j = 0; j < COUNT; ++j) {
        Base::template step<N>(lanes[j], a + j * N * sizeof(In) + offset,
                               next(lane_of_b(b, j * N), offset));
      }
    }
#pragma GCC unroll 8
    for (size_t j = 0; j < COUNT; ++j) {
      Base::template write<N>(state + j * N, plane, lanes[j]);
    }
  }

  // At most AT_ONCE rows of whole registers; those that are read after them lie `onward` bytes
  // further.
  template <size_t ROWS = AT_ONCE>
  static void across(double *state, size_t plane, size_t lanes, const char *a, const char *b,
                     ptrdiff_t stride, size_t rows, ptrdiff_t onward) {
    if (rows >= ROWS) {
      constexpr size_t AHEAD_LANES = ROW_AHEAD / sizeof(In);
      const size_t turn = lanes > AHEAD_LANES ? lanes - AHEAD_LANES : 0;
      const ptrdiff_t after_turn =
          static_cast<ptrdiff_t>(static_cast<size_t>(onward) - turn * sizeof(In));
      size_t i = 0;
      for (; i + ACROSS * NATIVE <= lanes; i += ACROSS * NATIVE) {
        const ptrdiff_t ahead = i < turn ? static_cast<ptrdiff_t>(ROW_AHEAD) : after_turn;
        down<ROWS, ACROSS>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride, ahead);
      }
      for (; i != lanes; i += NATIVE) {
        down<ROWS, 1>(state + i, plane, a + i * sizeof(In), lane_of_b(b, i), stride, after_turn);
      }
      const ptrdiff_t used = static_cast<ptrdiff_t>(ROWS) * stride;
      a += used;
      b = next(b, used);
      rows -= ROWS;
    }
    if constexpr (ROWS > 1) {
      if (rows != 0) {
        across<ROWS / 2>(state, plane, lanes, a, b, stride, rows, onward);
      }
    }
  }

  // At most AT_ONCE rows.
  static void few_across(double *state, size_t plane, size_t lanes, const char *a, const char *b,
                         ptrdiff_t stride, size_t rows, ptrdiff_t onward) {
    const size_t whole = lanes / NATIVE * NATIVE;
    across(state, plane, whole, a, b, stride, rows, onward);
    if constexpr (NATIVE > F::unit) {
      if (whole != lanes) {
        strips_below<NATIVE / 2>(state + whole, plane, lanes - whole, a + whole * sizeof(In),
                                 lane_of_b(b, whole), stride, rows);
      }
    }
  }

  // Below it a row does not fill the registers of `passes`; the whole block lies in the L1 cache.
  static constexpr size_t NARROW = 64;

  // Sixteen rows without gaps are one row of all the state's lanes, whose memory runs on.
  static void joined(double *state, size_t lanes, const char *a, const char *b, ptrdiff_t step,
                     size_t rows) {
    const size_t plane = STRIPES * lanes;
    const size_t groups = rows / STRIPES;
    double centers[CENTERED ? STRIPES * NARROW : 1];
    if constexpr (CENTERED) {
      for (size_t i = 0; i < plane; ++i) {
        centers[i] = load<double>(b + i % lanes * sizeof(double));
      }
      b = reinterpret_cast<const char *>(centers);
    }
    size_t done = lanes < NARROW ? groups : 0;
    if (done != 0) {
      passes(state, plane, plane, a, b, step, groups);
    }
    for (; done < groups; done += AT_ONCE) {
      const ptrdiff_t offset = static_cast<ptrdiff_t>(done) * step;
      few_across(state, plane, plane, a + offset, next(b, offset), step,
                 groups - done < AT_ONCE ? groups - done : AT_ONCE,
                 static_cast<ptrdiff_t>(AT_ONCE) * step);
    }
    const ptrdiff_t used = static_cast<ptrdiff_t>(groups) * step;
    few_across(state, plane, rows % STRIPES * lanes, a + used, next(b, used), 0, 1, 0);
  }

  static uint64_t rows(void *result, const void *first_a, const void *first_b, size_t rows,
                       ptrdiff_t stride, size_t cols, size_t) {
    double *const state = static_cast<double *>(result);
    const char *const a = static_cast<const char *>(first_a);
    const char *const b = static_cast<const char *>(first_b);
    const size_t lanes = cols * F::repeat;
    const size_t plane = STRIPES * lanes;
    fill_identity(state, plane);
    const ptrdiff_t step = static_cast<ptrdiff_t>(STRIPES) * stride;
    if (stride == static_cast<ptrdiff_t>(lanes * sizeof(In)) && (!CENTERED || lanes < NARROW)) {
      joined(state, lanes, a, b, step, rows);
      return 0;
    }
    for (size_t top = 0; top < rows; top += AT_ONCE * STRIPES) {
      for (size_t stripe = 0; stripe < STRIPES && top + stripe < rows; ++stripe) {
        const size_t left = (rows - top - stripe + STRIPES - 1) / STRIPES;
        const ptrdiff_t offset = static_cast<ptrdiff_t>(top + stripe) * stride;
        few_across(state + stripe * lanes, plane, lanes, a + offset, next(b, offset), step,
                   left < AT_ONCE ? left : AT_ONCE, stride);
      }
    }
    return 0;
  }

  static void merge(void *state, const void *right, size_t lanes) {
    const size_t flat = lanes * F::repeat;
    merge_lanes(static_cast<double *>(state), flat, static_cast<const double *>(right), flat, flat);
  }

  static void finish(void *out, void *partials, size_t cols, double divisor) {
    double *const state = static_cast<double *>(partials);
    const size_t lanes = cols * F::repeat;
    const size_t plane = STRIPES * lanes;
    for (size_t stripes = STRIPES / 2; stripes != 0; stripes /= 2) {
      merge_lanes(state, plane, state + stripes * lanes, plane, stripes * lanes);
    }
    char *const results = static_cast<char *>(out);
    size_t i = 0;
    for (; i + NATIVE <= lanes; i += NATIVE) {
      Base::template emit<NATIVE>(results + i * sizeof(Out),
                                  Base::template read<NATIVE>(state + i, plane), divisor);
    }
    constexpr size_t N = F::unit;
    for (; i < lanes; i += N) {
      Base::template emit<N>(results + i * sizeof(Out), Base::template read<N>(state + i, plane),
                             divisor);
    }
  }

  static void empty(char *out) {
    for (size_t part = 0; part < F::repeat; ++part) {
      store(out + part * sizeof(Out), static_cast<Out>(F::empty[part]));
    }
  }

  // One whole reduction of n >= 1 elements.
  static void one(char *out, const char *a, const char *b, size_t n, double divisor) {
    if (n < STRIPES) {
      few(out, a, b, n, divisor);
      return;
    }
    alignas(64) double state[STATE];
    blocks(state, a, b, n, 0);
    finish(out, state, 1, divisor);
  }

  // Fewer elements than stripes: each is its own stripe, and merging an absent one changes nothing.
  static void few(char *out, const char *a, const char *b, size_t n, double divisor) {
    constexpr size_t N = F::unit;
    for (size_t part = 0; part < F::repeat; part += N) {
      L<N> stripes[STRIPES];
      for (size_t i = 0; i < n; ++i) {
        const size_t flat = i * F::repeat + part;
        stripes[i] = F::template identity<N>();
        Base::template step<N>(stripes[i], a + flat * sizeof(In),
                               CENTERED ? b : lane_of_b(b, flat));
      }
      for (size_t fold = STRIPES / 2; fold != 0; fold /= 2) {
        for (size_t i = 0; i < fold && i + fold < n; ++i) {
          F::template merge<N>(stripes[i], stripes[i + fold]);
        }
      }
      Base::template emit<N>(out + part * sizeof(Out), stripes[0], divisor);
    }
  }

  // Groups of a few elements: turned, they are the rows of `columns`, and lanes are groups.
  COREPY_OUT_OF_LINE static void each_turned(char *out, const char *a, const char *b, size_t outer,
                                             ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n,
                                             double divisor) {
    using Item = vec<In, F::repeat>;
    constexpr ptrdiff_t STRIDE = Turned<Item>::STRIDE;
    constexpr size_t OUT = F::repeat * sizeof(Out);
    if constexpr (TWO) {
      Turned<Item> second;
      in_turns<Item>(out, OUT, a, outer, a_stride, n, [&](char *to, const char *x, size_t count) {
        second.fill(b, count, b_stride, n);
        b += static_cast<ptrdiff_t>(count) * b_stride;
        Base::columns(to, x, second.items, n, STRIDE, count, divisor);
      });
    } else {
      in_turns<Item>(out, OUT, a, outer, a_stride, n, [&](char *to, const char *x, size_t count) {
        Base::columns(to, x, nullptr, n, STRIDE, count, divisor);
      });
    }
  }

  // Groups that `each` folds at a time: two registers of AVX-512.
  static constexpr size_t FOLDED = 16;
  // Without masked loads a block is put together in memory in fewer steps.
  static constexpr bool MASKED = !TWO && VECTOR > 16;

  // Lanes of one state, which go side by side with those of `count` states, as number `place`.
  static void turn_state(double *to, const double *from, size_t place, size_t count, size_t lanes) {
    for (size_t lane = 0; lane < lanes; lane += F::repeat) {
      for (size_t part = 0; part < F::repeat; ++part) {
        to[lane * count + place * F::repeat + part] = from[lane + part];
      }
    }
  }

  // Groups of at most a block: folding several at once takes fewer steps than one, whose sixteen
  // lanes shrink to one.
  COREPY_OUT_OF_LINE static void each_folded(char *out, const char *a, const char *b, size_t outer,
                                             ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n,
                                             double divisor) {
    const bool own = CENTERED && b == nullptr;
    if constexpr (MASKED) {
      if (!own) {
        Base::whole(out, a, b, outer, a_stride, b_stride, n, divisor);
        return;
      }
    }
    for (size_t done = 0; done < outer; done += FOLDED) {
      const size_t count = outer - done < FOLDED ? outer - done : FOLDED;
      double centers[FOLDED];
      if constexpr (CENTERED) {
        if (own) {
          // Both passes over these groups while they are in the cache.
          Ordered<Center<In>>::each(centers, a, nullptr, count, a_stride, 0, n,
                                    static_cast<double>(n));
        }
      }
      const char *const second = own ? reinterpret_cast<const char *>(centers) : b;
      const ptrdiff_t second_stride = own ? static_cast<ptrdiff_t>(sizeof(double)) : b_stride;
      if constexpr (MASKED) {
        Base::whole(out, a, second, count, a_stride, second_stride, n, divisor);
      } else {
        alignas(64) double states[STATE * FOLDED];
        for (size_t group = 0; group < count; ++group) {
          const ptrdiff_t at = static_cast<ptrdiff_t>(group);
          alignas(64) double state[STATE];
          blocks(state, a + at * a_stride,
                 F::second == Second::none ? second : second + at * second_stride, n, 0);
          turn_state(states, state, group, count, STATE);
        }
        finish(out, states, count, divisor);
      }
      out += count * F::repeat * sizeof(Out);
      a += static_cast<ptrdiff_t>(count) * a_stride;
      if (F::second != Second::none && b != nullptr) {
        b += static_cast<ptrdiff_t>(count) * b_stride;
      }
    }
  }

  static uint64_t each(void *first_out, const void *first_a, const void *first_b, size_t outer,
                       ptrdiff_t a_stride, ptrdiff_t b_stride, size_t n, double divisor) {
    char *out = static_cast<char *>(first_out);
    const char *a = static_cast<const char *>(first_a);
    const char *b = static_cast<const char *>(first_b);
    // Below a register of groups both gain nothing.
    if (n - 1 < BLOCK && outer >= NATIVE) {
      if (!MASKED && n <= TURNED_LENGTH<vec<In, F::repeat>> && (!CENTERED || b == nullptr)) {
        each_turned(out, a, b, outer, a_stride, b_stride, n, divisor);
      } else {
        each_folded(out, a, b, outer, a_stride, b_stride, n, divisor);
      }
      return 0;
    }
    for (size_t i = 0; i < outer; ++i) {
      if (n == 0) {
        empty(out);
      } else {
        double center;
        const void *second = b;
        if constexpr (CENTERED) {
          // Both passes over one row while it is in the cache.
          if (b == nullptr) {
            Ordered<Center<In>>::one(reinterpret_cast<char *>(&center), a, nullptr, n,
                                     static_cast<double>(n));
            second = &center;
          }
        }
        one(out, a, static_cast<const char *>(second), n, divisor);
      }
      out += F::repeat * sizeof(Out);
      a += a_stride;
      if (F::second != Second::none && b != nullptr) {
        b += b_stride;
      }
    }
    return 0;
  }

  // The results of states that lie [unit][stripe] in each plane.
  static void finish_runs(void *out, void *states, size_t units, double divisor) {
    const double *const state = static_cast<const double *>(states);
    const size_t plane = units * WIDTH;
    for (size_t done = 0; done < units; done += FOLDED) {
      const size_t count = units - done < FOLDED ? units - done : FOLDED;
      alignas(64) double turned[STATE * FOLDED];
      for (size_t p = 0; p < PLANES; ++p) {
        for (size_t unit = 0; unit < count; ++unit) {
          turn_state(turned + p * count * WIDTH, state + p * plane + (done + unit) * WIDTH, unit,
                     count, WIDTH);
        }
      }
      finish(static_cast<char *>(out) + done * F::repeat * sizeof(Out), turned, count, divisor);
    }
  }

  static void register_in(corepy_reduction *slot) {
    constexpr size_t LANE_BYTES = F::repeat * PLANES * sizeof(double);
    *slot = {blocks, rows, merge, finish, each, Base::columns, nullptr, nullptr, LANE_BYTES};
    if constexpr (MASKED) {
      slot->runs = Base::runs;
      slot->finish_runs = finish_runs;
    }
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
