// Running sums and products in the fixed order: left to right inside a block of 1,024, on top of a
// carry that has the totals of all blocks before, added up left to right.
//
// A block's own running total does not depend on what is before it. So the lanes of a vector are as
// many blocks at once, which hides the latency of additions that wait for one another, and the
// carry joins in when an element is written.
#pragma once

#include "reduce_ordered.h"
#include "reduce_turned.h"

namespace COREPY_NAMESPACE {
namespace {

// How running totals and carries of a dtype are added and multiplied. `Block` is the family that
// steps inside a block. A carry joins (`absorb`) whole blocks' totals, and `emit` gives the element
// that is written: the carry and a block's running total in one.
template <class T, size_t REPEAT>
struct RunningSum {
  using Block = Sum<T, REPEAT>;
  static constexpr size_t carry_planes = 2;

  template <size_t N>
  static Lanes<2, N> start() {
    return PairSum::identity<N>();
  }
  template <size_t N>
  static void absorb(Lanes<2, N> &carry, const Lanes<Block::planes, N> &total) {
    if constexpr (Block::planes == 2) {
      PairSum::merge<N>(carry, total);
    } else {
      // Blocks of float32 are exact enough in float64, a long row of them is not.
      const vec<double, N> error = two_sum<N>(carry.plane[0], total.plane[0]);
      carry.plane[1] = carry.plane[1] + error;
    }
  }
  template <size_t N>
  static vec<double, N> emit(const Lanes<2, N> &carry, const Lanes<Block::planes, N> &running) {
    if constexpr (Block::planes == 2) {
      Lanes<2, N> total = carry;
      PairSum::merge<N>(total, running);
      return pair_values<N>(total.plane[0], total.plane[1]);
    } else {
      return pair_values<N>(carry.plane[0], carry.plane[1]) + running.plane[0];
    }
  }
  // What `emit` gives with the carry of no block.
  template <size_t N>
  static vec<double, N> alone(const Lanes<Block::planes, N> &running) {
    if constexpr (Block::planes == 2) {
      return pair_values<N>(running.plane[0], running.plane[1]);
    } else {
      return running.plane[0];
    }
  }
};

template <class FAMILY>
struct RunningProduct {
  using Block = FAMILY;
  static constexpr size_t carry_planes = 1;

  template <size_t N>
  static Lanes<1, N> start() {
    return FAMILY::template identity<N>();
  }
  template <size_t N>
  static void absorb(Lanes<1, N> &carry, const Lanes<1, N> &total) {
    FAMILY::template merge<N>(carry, total);
  }
  template <size_t N>
  static vec<double, N> emit(const Lanes<1, N> &carry, const Lanes<1, N> &running) {
    Lanes<1, N> total = carry;
    FAMILY::template merge<N>(total, running);
    return total.plane[0];
  }
  template <size_t N>
  static vec<double, N> alone(const Lanes<1, N> &running) {
    return running.plane[0];
  }
};

// v[i] becomes what lanes [i] of all vectors were; a lane is UNIT flat lanes.
template <size_t N, size_t UNIT>
inline void transpose(vec<double, N> (&v)[N / UNIT]) {
  constexpr size_t COUNT = N / UNIT;
#if defined(__clang__)
  vec<double, N> result[COUNT];
  for (size_t i = 0; i < COUNT; ++i) {
    for (size_t j = 0; j < N; ++j) {
      result[i][j] = v[j / UNIT][i * UNIT + j % UNIT];
    }
  }
  for (size_t i = 0; i < COUNT; ++i) {
    v[i] = result[i];
  }
#else
  // Blocks of 1, then 2, then 4 lanes change places across the diagonal.
#pragma GCC unroll 4
  for (size_t h = 1; h < COUNT; h *= 2) {
    vec<int64_t, N> low{}, high{};
    for (size_t k = 0; k < N; ++k) {
      const bool upper = (k / UNIT & h) != 0;
      low[k] = static_cast<int64_t>(upper ? N + k - h * UNIT : k);
      high[k] = static_cast<int64_t>(upper ? N + k : k + h * UNIT);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < COUNT; ++i) {
      if ((i & h) == 0) {
        const vec<double, N> a = v[i], b = v[i + h];
        v[i] = __builtin_shuffle(a, b, low);
        v[i + h] = __builtin_shuffle(a, b, high);
      }
    }
  }
#endif
}

template <class R>
struct Running {
  using F = typename R::Block;
  using T = typename F::In;
  static constexpr size_t REPEAT = F::repeat;
  static constexpr size_t NATIVE = VECTOR / sizeof(double);
  // Blocks that are lanes of one vector.
  static constexpr size_t ABREAST = NATIVE / REPEAT;
  static constexpr size_t FLAT = BLOCK * REPEAT; // flat lanes of a block
  static constexpr size_t PLANES = F::planes;
  static constexpr size_t CARRIES = R::carry_planes;

  template <size_t P, size_t N>
  static Lanes<P, N> read(const double *from, size_t plane) {
    Lanes<P, N> lanes;
    for (size_t p = 0; p < P; ++p) {
      lanes.plane[p] = load<vec<double, N>>(from + p * plane);
    }
    return lanes;
  }
  template <size_t P, size_t N>
  static void write(double *to, size_t plane, const Lanes<P, N> &lanes) {
    for (size_t p = 0; p < P; ++p) {
      store(to + p * plane, lanes.plane[p]);
    }
  }
  // Lanes of one element in those of ABREAST blocks.
  template <size_t P>
  static Lanes<P, REPEAT> element(const Lanes<P, NATIVE> &lanes, size_t at) {
    double planes[P * NATIVE];
    write<P, NATIVE>(planes, NATIVE, lanes);
    return read<P, REPEAT>(planes + at * REPEAT, NATIVE);
  }

  // Where ABREAST runs of elements begin, as distances from the first. Those that there are not are
  // the first again, whose results nobody takes.
  struct Starts {
    ptrdiff_t in[ABREAST], out[ABREAST];
    size_t count;
    Starts(ptrdiff_t in_stride, ptrdiff_t out_stride, size_t runs) : count(runs) {
      for (size_t i = 0; i < ABREAST; ++i) {
        const ptrdiff_t at = i < runs ? static_cast<ptrdiff_t>(i) : 0;
        in[i] = at * in_stride;
        out[i] = at * out_stride;
      }
    }
  };
  static constexpr ptrdiff_t BLOCK_BYTES = FLAT * sizeof(T);

  // The next ABREAST elements of each run, as vectors of one element each.
  static void take(vec<double, NATIVE> (&x)[ABREAST], const char *in, const Starts &starts) {
#pragma GCC unroll 8
    for (size_t i = 0; i < ABREAST; ++i) {
      x[i] = convert<double, NATIVE>(load<vec<T, NATIVE>>(in + starts.in[i]));
    }
    transpose<NATIVE, REPEAT>(x);
  }
  static void give(vec<double, NATIVE> (&x)[ABREAST], char *out, const Starts &starts) {
    transpose<NATIVE, REPEAT>(x);
    if (starts.count == ABREAST) {
#pragma GCC unroll 8
      for (size_t i = 0; i < ABREAST; ++i) {
        store(out + starts.out[i], convert<T, NATIVE>(x[i]));
      }
    } else {
      for (size_t i = 0; i < starts.count; ++i) {
        store(out + starts.out[i], convert<T, NATIVE>(x[i]));
      }
    }
  }

  // Totals of whole blocks. What lies behind them, `ahead` bytes, is fetched on the way: 8 places
  // at once are not the stream that the hardware would see.
  COREPY_OUT_OF_LINE static Lanes<PLANES, NATIVE> totals_abreast(const char *in, size_t blocks,
                                                                 size_t ahead) {
    constexpr size_t STEP = ABREAST * NATIVE * sizeof(T);
    const Starts starts(BLOCK_BYTES, 0, blocks);
    const char *const next = in + blocks * BLOCK_BYTES;
    Lanes<PLANES, NATIVE> running = F::template identity<NATIVE>();
    for (size_t i = 0; i < FLAT; i += NATIVE) {
      const size_t fetched = i / NATIVE * STEP;
      if (fetched < ahead) {
#pragma GCC unroll 8
        for (size_t line = 0; line < STEP; line += 64) {
          __builtin_prefetch(next + fetched + line, 0, 2);
        }
      }
      vec<double, NATIVE> x[ABREAST];
      take(x, in + i * sizeof(T), starts);
#pragma GCC unroll 8
      for (size_t k = 0; k < ABREAST; ++k) {
        F::template step<NATIVE>(running, x[k]);
      }
    }
    return running;
  }

  // n elements, whole vectors of them, of each run; returns their totals.
  template <bool ALONE>
  COREPY_OUT_OF_LINE static Lanes<PLANES, NATIVE>
  write_abreast(char *out, const Lanes<CARRIES, NATIVE> &carry, const char *in,
                const Starts &starts, size_t n) {
    Lanes<PLANES, NATIVE> running = F::template identity<NATIVE>();
    for (size_t i = 0; i < n * REPEAT; i += NATIVE) {
      vec<double, NATIVE> x[ABREAST];
      take(x, in + i * sizeof(T), starts);
#pragma GCC unroll 8
      for (size_t k = 0; k < ABREAST; ++k) {
        F::template step<NATIVE>(running, x[k]);
        if constexpr (ALONE) {
          x[k] = R::template alone<NATIVE>(running);
        } else {
          x[k] = R::template emit<NATIVE>(carry, running);
        }
      }
      give(x, out + i * sizeof(T), starts);
    }
    return running;
  }

  enum class Write { nothing, alone, on_carry };

  // Elements of one block behind those that `running` has.
  template <Write WRITE>
  COREPY_OUT_OF_LINE static void one_block(T *out, const Lanes<CARRIES, REPEAT> &carry,
                                           Lanes<PLANES, REPEAT> &running, const T *in, size_t n) {
    // Copies, because what is written could else be a part of them.
    const Lanes<CARRIES, REPEAT> before = carry;
    Lanes<PLANES, REPEAT> own = running;
    for (size_t i = 0; i < n * REPEAT; i += REPEAT) {
      F::template step<REPEAT>(own, convert<double, REPEAT>(load<vec<T, REPEAT>>(in + i)));
      if constexpr (WRITE == Write::alone) {
        store(out + i, convert<T, REPEAT>(R::template alone<REPEAT>(own)));
      } else if constexpr (WRITE == Write::on_carry) {
        store(out + i, convert<T, REPEAT>(R::template emit<REPEAT>(before, own)));
      }
    }
    running = own;
  }

  static void start(void *carry, void *running, size_t cols) {
    for (size_t i = 0; i < cols * REPEAT; i += REPEAT) {
      write<CARRIES, REPEAT>(static_cast<double *>(carry) + i, cols * REPEAT,
                             R::template start<REPEAT>());
      write<PLANES, REPEAT>(static_cast<double *>(running) + i, cols * REPEAT,
                            F::template identity<REPEAT>());
    }
  }

  static void absorb(void *carry, const void *total, size_t cols) {
    double *const to = static_cast<double *>(carry);
    const double *const from = static_cast<const double *>(total);
    const size_t lanes = cols * REPEAT;
    for (size_t i = 0; i < lanes; i += REPEAT) {
      Lanes<CARRIES, REPEAT> sum = read<CARRIES, REPEAT>(to + i, lanes);
      R::template absorb<REPEAT>(sum, read<PLANES, REPEAT>(from + i, lanes));
      write<CARRIES, REPEAT>(to + i, lanes, sum);
    }
  }

  // Whole blocks of n elements that go abreast.
  static size_t abreast(size_t n) {
    const size_t blocks = n / BLOCK < ABREAST ? n / BLOCK : ABREAST;
    return blocks > 1 ? blocks : 0;
  }

  static void totals(void *results, const void *input, size_t n) {
    double *to = static_cast<double *>(results);
    const T *in = static_cast<const T *>(input);
    const Lanes<CARRIES, REPEAT> unused = R::template start<REPEAT>();
    while (n > 0) {
      size_t blocks = abreast(n);
      if (blocks > 0) {
        const Lanes<PLANES, NATIVE> all = totals_abreast(reinterpret_cast<const char *>(in), blocks,
                                                         (n - blocks * BLOCK) * REPEAT * sizeof(T));
        for (size_t block = 0; block < blocks; ++block) {
          write<PLANES, REPEAT>(to + block * PLANES * REPEAT, REPEAT, element(all, block));
        }
      } else {
        blocks = 1;
        Lanes<PLANES, REPEAT> running = F::template identity<REPEAT>();
        one_block<Write::nothing>(nullptr, unused, running, in, n < BLOCK ? n : BLOCK);
        write<PLANES, REPEAT>(to, REPEAT, running);
      }
      to += blocks * PLANES * REPEAT;
      in += blocks * FLAT;
      n -= n < blocks * BLOCK ? n : blocks * BLOCK;
    }
  }

  static void line(void *output, void *state, const void *input, size_t n) {
    T *out = static_cast<T *>(output);
    const T *in = static_cast<const T *>(input);
    Lanes<CARRIES, REPEAT> carry =
        read<CARRIES, REPEAT>(static_cast<const double *>(state), REPEAT);
    for (size_t blocks = abreast(n); blocks > 0; blocks = abreast(n)) {
      const char *const from = reinterpret_cast<const char *>(in);
      const Lanes<PLANES, NATIVE> all =
          totals_abreast(from, blocks, (n - blocks * BLOCK) * REPEAT * sizeof(T));
      double carries[CARRIES * NATIVE];
      for (size_t block = 0; block < ABREAST; ++block) {
        write<CARRIES, REPEAT>(carries + block * REPEAT, NATIVE, carry);
        if (block < blocks) {
          R::template absorb<REPEAT>(carry, element(all, block));
        }
      }
      write_abreast<false>(reinterpret_cast<char *>(out), read<CARRIES, NATIVE>(carries, NATIVE),
                           from, Starts(BLOCK_BYTES, BLOCK_BYTES, blocks), BLOCK);
      out += blocks * FLAT;
      in += blocks * FLAT;
      n -= blocks * BLOCK;
    }
    while (n > 0) {
      const size_t count = n < BLOCK ? n : BLOCK;
      Lanes<PLANES, REPEAT> running = F::template identity<REPEAT>();
      one_block<Write::on_carry>(out, carry, running, in, count);
      R::template absorb<REPEAT>(carry, running);
      out += count * REPEAT;
      in += count * REPEAT;
      n -= count;
    }
    write<CARRIES, REPEAT>(static_cast<double *>(state), REPEAT, carry);
  }

  // At most ABREAST lines.
  static void lines_abreast(char *out, const char *in, const Starts &starts, size_t n) {
    Lanes<CARRIES, NATIVE> carry = R::template start<NATIVE>();
    for (size_t first = 0; first < n; first += BLOCK) {
      const size_t count = n - first < BLOCK ? n - first : BLOCK;
      const size_t whole = count / ABREAST * ABREAST;
      Lanes<PLANES, NATIVE> running = first == 0
                                          ? write_abreast<true>(out, carry, in, starts, whole)
                                          : write_abreast<false>(out, carry, in, starts, whole);
      if (whole != count) {
        // The last block: what is left of each line.
        for (size_t i = 0; i < starts.count; ++i) {
          Lanes<PLANES, REPEAT> own = element(running, i);
          const size_t done = whole * REPEAT * sizeof(T);
          one_block<Write::on_carry>(
              reinterpret_cast<T *>(out + starts.out[i] + done), element(carry, i), own,
              reinterpret_cast<const T *>(in + starts.in[i] + done), count - whole);
        }
      }
      R::template absorb<NATIVE>(carry, running);
      out += count * REPEAT * sizeof(T);
      in += count * REPEAT * sizeof(T);
    }
  }

  // Short lines: transposed, so that lines are lanes, and back.
  static void lines_turned(char *out, ptrdiff_t out_stride, const char *in, ptrdiff_t in_stride,
                           size_t count, size_t n) {
    using Item = vec<T, REPEAT>;
    constexpr ptrdiff_t STRIDE = Turned<Item>::STRIDE;
    Turned<Item> turned;
    for (size_t done = 0; done < count; done += TURNED) {
      const size_t some = count - done < TURNED ? count - done : TURNED;
      if (some < TURNED) {
        __builtin_memset(turned.items, 0, n * static_cast<size_t>(STRIDE)); // lanes of no line
      }
      turned.fill(in, some, in_stride, n);
      for (size_t lane = 0; lane < some * REPEAT; lane += NATIVE) {
        Lanes<PLANES, NATIVE> running = F::template identity<NATIVE>();
        char *at = turned.items + lane * sizeof(T);
        for (size_t i = 0; i < n; ++i) {
          F::template step<NATIVE>(running, convert<double, NATIVE>(load<vec<T, NATIVE>>(at)));
          store(at, convert<T, NATIVE>(R::template alone<NATIVE>(running)));
          at += STRIDE;
        }
      }
      COREPY_NAMESPACE::transpose(sizeof(Item), out, turned.items, some, n, out_stride, STRIDE);
      in += static_cast<ptrdiff_t>(some) * in_stride;
      out += static_cast<ptrdiff_t>(some) * out_stride;
    }
  }

  static void lines(void *output, ptrdiff_t out_stride, const void *input, ptrdiff_t in_stride,
                    size_t count, size_t n) {
    char *out = static_cast<char *>(output);
    const char *in = static_cast<const char *>(input);
    // A few lines abreast are as quick where nothing is left of each.
    if (n - 1 < TURNED_LENGTH<vec<T, REPEAT>> && n % ABREAST != 0 && count >= 2 * ABREAST) {
      return lines_turned(out, out_stride, in, in_stride, count, n);
    }
    if (n < ABREAST) {
      const Lanes<CARRIES, REPEAT> unused = R::template start<REPEAT>();
      for (size_t i = 0; i < count; ++i) {
        Lanes<PLANES, REPEAT> running = F::template identity<REPEAT>();
        one_block<Write::alone>(reinterpret_cast<T *>(out), unused, running,
                                reinterpret_cast<const T *>(in), n);
        out += out_stride;
        in += in_stride;
      }
      return;
    }
    // Long lines, and one alone, have blocks enough to go abreast.
    const bool alone = n >= ABREAST * BLOCK;
    for (size_t i = 0; i < count;) {
      const size_t some = alone || count - i == 1 ? 1 : count - i < ABREAST ? count - i : ABREAST;
      if (some == 1) {
        double carry[CARRIES * REPEAT];
        write<CARRIES, REPEAT>(carry, REPEAT, R::template start<REPEAT>());
        line(out, carry, in, n);
      } else {
        lines_abreast(out, in, Starts(in_stride, out_stride, some), n);
      }
      i += some;
      out += static_cast<ptrdiff_t>(some) * out_stride;
      in += static_cast<ptrdiff_t>(some) * in_stride;
    }
  }

  // Lanes i ... i + N - 1 of a row.
  template <size_t N, bool WRITE>
  static void row_part(T *out, const double *carry, double *running, const T *in, size_t i,
                       size_t lanes) {
    Lanes<PLANES, N> total = read<PLANES, N>(running + i, lanes);
    F::template step<N>(total, convert<double, N>(load<vec<T, N>>(in + i)));
    write<PLANES, N>(running + i, lanes, total);
    if constexpr (WRITE) {
      const Lanes<CARRIES, N> before = read<CARRIES, N>(carry + i, lanes);
      store(out + i, convert<T, N>(R::template emit<N>(before, total)));
    }
  }
  template <bool WRITE>
  COREPY_OUT_OF_LINE static void row(T *out, const double *carry, double *running, const T *in,
                                     size_t lanes) {
    size_t i = 0;
    for (; i + NATIVE <= lanes; i += NATIVE) {
      row_part<NATIVE, WRITE>(out, carry, running, in, i, lanes);
    }
    for (; i < lanes; i += REPEAT) {
      row_part<REPEAT, WRITE>(out, carry, running, in, i, lanes);
    }
  }

  template <size_t P>
  static Lanes<P, NATIVE> padded(const double *from, size_t lanes) {
    double planes[P * NATIVE] = {};
    for (size_t p = 0; p < P; ++p) {
      for (size_t i = 0; i < lanes; ++i) {
        planes[p * NATIVE + i] = from[p * lanes + i];
      }
    }
    return read<P, NATIVE>(planes, NATIVE);
  }

  // Rows shorter than a vector and without gaps: each is read with what follows it, and writes over
  // what the row before has written too much. Leaves the last rows, behind which nothing follows;
  // returns how many are done.
  template <bool WRITE>
  COREPY_OUT_OF_LINE static size_t narrow_rows(char *out, const double *carry, double *running,
                                               const char *in, size_t rows, size_t lanes) {
    const size_t left = (NATIVE + lanes - 1) / lanes;
    if (rows <= left) {
      return 0;
    }
    Lanes<PLANES, NATIVE> total = padded<PLANES>(running, lanes);
    Lanes<CARRIES, NATIVE> before = R::template start<NATIVE>();
    if constexpr (WRITE) {
      before = padded<CARRIES>(carry, lanes);
    }
    for (size_t i = 0; i < rows - left; ++i) {
      F::template step<NATIVE>(total, convert<double, NATIVE>(load<vec<T, NATIVE>>(in)));
      in += lanes * sizeof(T);
      if constexpr (WRITE) {
        store(out, convert<T, NATIVE>(R::template emit<NATIVE>(before, total)));
        out += lanes * sizeof(T);
      }
    }
    double planes[PLANES * NATIVE];
    write<PLANES, NATIVE>(planes, NATIVE, total);
    for (size_t p = 0; p < PLANES; ++p) {
      for (size_t i = 0; i < lanes; ++i) {
        running[p * lanes + i] = planes[p * NATIVE + i];
      }
    }
    return rows - left;
  }

  static void rows(void *output, ptrdiff_t out_stride, const void *carry, void *running,
                   const void *input, ptrdiff_t in_stride, size_t rows, size_t cols) {
    char *out = static_cast<char *>(output);
    const char *in = static_cast<const char *>(input);
    const ptrdiff_t dense = static_cast<ptrdiff_t>(cols * REPEAT * sizeof(T));
    if (cols * REPEAT < NATIVE && in_stride == dense && (out == nullptr || out_stride == dense)) {
      const size_t done =
          out == nullptr
              ? narrow_rows<false>(nullptr, nullptr, static_cast<double *>(running), in, rows,
                                   cols * REPEAT)
              : narrow_rows<true>(out, static_cast<const double *>(carry),
                                  static_cast<double *>(running), in, rows, cols * REPEAT);
      rows -= done;
      in += static_cast<ptrdiff_t>(done) * dense;
      out = out == nullptr ? nullptr : out + static_cast<ptrdiff_t>(done) * dense;
    }
    for (size_t i = 0; i < rows; ++i) {
      const T *const from = reinterpret_cast<const T *>(in);
      if (out == nullptr) {
        row<false>(nullptr, nullptr, static_cast<double *>(running), from, cols * REPEAT);
      } else {
        row<true>(reinterpret_cast<T *>(out), static_cast<const double *>(carry),
                  static_cast<double *>(running), from, cols * REPEAT);
        out += out_stride;
      }
      in += in_stride;
    }
  }

  static void register_in(corepy_cumulative *slot) {
    *slot = {start,
             absorb,
             totals,
             line,
             lines,
             rows,
             REPEAT * CARRIES * sizeof(double),
             REPEAT * PLANES * sizeof(double)};
  }
};

// Integers wrap, and so any order gives the same.
template <bool PRODUCT>
struct RunningInteger {
  using T = uint64_t;

  static T join(T a, T b) { return PRODUCT ? a * b : a + b; }

  static T total(const T *in, size_t n) {
    // Four chains hide the latency of multiplications.
    T part[4] = {PRODUCT, PRODUCT, PRODUCT, PRODUCT};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
      for (size_t k = 0; k < 4; ++k) {
        part[k] = join(part[k], load<T>(in + i + k));
      }
    }
    for (; i < n; ++i) {
      part[0] = join(part[0], load<T>(in + i));
    }
    return join(join(part[0], part[1]), join(part[2], part[3]));
  }

  static void start(void *carry, void *running, size_t cols) {
    for (size_t i = 0; i < cols; ++i) {
      static_cast<T *>(carry)[i] = PRODUCT;
      static_cast<T *>(running)[i] = PRODUCT;
    }
  }
  static void absorb(void *carry, const void *total, size_t cols) {
    for (size_t i = 0; i < cols; ++i) {
      static_cast<T *>(carry)[i] =
          join(static_cast<T *>(carry)[i], static_cast<const T *>(total)[i]);
    }
  }
  static void totals(void *results, const void *input, size_t n) {
    const T *const in = static_cast<const T *>(input);
    for (size_t i = 0; i < n; i += BLOCK) {
      static_cast<T *>(results)[i / BLOCK] = total(in + i, n - i < BLOCK ? n - i : BLOCK);
    }
  }
  static void line(void *output, void *state, const void *input, size_t n) {
    T *const out = static_cast<T *>(output);
    const T *const in = static_cast<const T *>(input);
    T carry = load<T>(state);
    size_t i = 0;
    // One step of the chain for four elements.
    for (; i + 4 <= n; i += 4) {
      const T a = load<T>(in + i);
      const T b = join(a, load<T>(in + i + 1));
      const T c = join(b, load<T>(in + i + 2));
      const T d = join(c, load<T>(in + i + 3));
      store(out + i, join(carry, a));
      store(out + i + 1, join(carry, b));
      store(out + i + 2, join(carry, c));
      carry = join(carry, d);
      store(out + i + 3, carry);
    }
    for (; i < n; ++i) {
      carry = join(carry, load<T>(in + i));
      store(out + i, carry);
    }
    store(state, carry);
  }
  static void lines(void *output, ptrdiff_t out_stride, const void *input, ptrdiff_t in_stride,
                    size_t count, size_t n) {
    for (size_t i = 0; i < count; ++i) {
      const ptrdiff_t at = static_cast<ptrdiff_t>(i);
      T carry = PRODUCT;
      line(static_cast<char *>(output) + at * out_stride, &carry,
           static_cast<const char *>(input) + at * in_stride, n);
    }
  }
  // Few columns, whose totals stay in registers.
  template <size_t COLS>
  static void few_columns(char *out, ptrdiff_t out_stride, const T *before, T *sum, const char *in,
                          ptrdiff_t in_stride, size_t rows) {
    T own[COLS], carry[COLS];
    for (size_t j = 0; j < COLS; ++j) {
      own[j] = sum[j];
      carry[j] = out == nullptr ? T(PRODUCT) : before[j];
    }
    for (size_t i = 0; i < rows; ++i) {
#pragma GCC unroll 8
      for (size_t j = 0; j < COLS; ++j) {
        own[j] = join(own[j], load<T>(in + j * sizeof(T)));
        if (out != nullptr) {
          store(out + j * sizeof(T), join(carry[j], own[j]));
        }
      }
      in += in_stride;
      out = out == nullptr ? nullptr : out + out_stride;
    }
    for (size_t j = 0; j < COLS; ++j) {
      sum[j] = own[j];
    }
  }
  static void rows(void *output, ptrdiff_t out_stride, const void *carry, void *running,
                   const void *input, ptrdiff_t in_stride, size_t rows, size_t cols) {
    char *out = static_cast<char *>(output);
    const char *in = static_cast<const char *>(input);
    T *const sum = static_cast<T *>(running);
    const T *const before = static_cast<const T *>(carry);
    switch (cols) {
    case 2:
      return few_columns<2>(out, out_stride, before, sum, in, in_stride, rows);
    case 3:
      return few_columns<3>(out, out_stride, before, sum, in, in_stride, rows);
    case 4:
      return few_columns<4>(out, out_stride, before, sum, in, in_stride, rows);
    default:
      break;
    }
    for (size_t i = 0; i < rows; ++i) {
      const T *const from = reinterpret_cast<const T *>(in);
      for (size_t j = 0; j < cols; ++j) {
        sum[j] = join(sum[j], from[j]);
      }
      if (out != nullptr) {
        T *const to = reinterpret_cast<T *>(out);
        for (size_t j = 0; j < cols; ++j) {
          to[j] = join(before[j], sum[j]);
        }
        out += out_stride;
      }
      in += in_stride;
    }
  }

  static void register_in(corepy_cumulative *slot) {
    *slot = {start, absorb, totals, line, lines, rows, sizeof(T), sizeof(T)};
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
