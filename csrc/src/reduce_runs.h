// Sums of elements that lie in runs: every run is added straight from memory, wherever in the
// sixteen stripes it begins.
//
// Sixteen elements of a run go to all stripes at once, as in `blocks`; what a run begins and ends
// with goes through masked loads. Many reductions take their runs in turn, so that memory is read
// in its own order though their elements alternate in it.
#pragma once

#include "reduce_columns.h"

namespace COREPY_NAMESPACE {
namespace {

template <class F>
struct Runs : Columns<F> {
  using Base = Columns<F>;
  using Base::CENTERED;
  using Base::NATIVE;
  using Base::PLANES;
  using typename Base::In;
  using typename Base::Out;
  static constexpr size_t WIDTH = STRIPES * F::repeat;   // flat lanes of a block
  static constexpr size_t VECTORS = WIDTH / NATIVE;      // registers of a block and plane
  static constexpr size_t GROUP = WIDTH * sizeof(In);    // bytes of 16 elements
  static constexpr size_t ITEM = F::repeat * sizeof(In); // bytes of an element
  using L = Lanes<PLANES, NATIVE>;

  struct State {
    L lanes[VECTORS];
  };

  static void step_values(L &lanes, vec<double, NATIVE> x, vec<double, NATIVE> center) {
    if constexpr (CENTERED) {
      F::template step<NATIVE>(lanes, x, center);
    } else {
      F::template step<NATIVE>(lanes, x);
    }
  }

  // Which lanes of a group of sixteen elements a run has.
  struct Part {
    Taken<In, NATIVE> taken[VECTORS];
    bool some[VECTORS]; // by register
    bool any;
  };
  static Part part_between(size_t begin, size_t end) {
    Part part;
#pragma GCC unroll 16
    for (size_t j = 0; j < VECTORS; ++j) {
      const size_t lane = j * NATIVE;
      const size_t from = begin < lane ? 0 : begin - lane < NATIVE ? begin - lane : NATIVE;
      const size_t to = end < lane ? 0 : end - lane < NATIVE ? end - lane : NATIVE;
      part.taken[j] = taken_between<In, NATIVE>(from, to);
      part.some[j] = from < to;
    }
    part.any = begin < end;
    return part;
  }

  // Where the groups of sixteen of a run lie: a part at the head, whole ones, a part at the tail.
  struct Shape {
    Part head, tail;
    ptrdiff_t back;       // bytes from the head's first lane to the run
    ptrdiff_t head_bytes; // bytes of the run that are in the head
    size_t groups;
  };
  [[gnu::always_inline]] static inline Shape shape(size_t stripe, size_t n) {
    const size_t begin = stripe * F::repeat;
    const size_t lanes = n * F::repeat;
    const size_t head = begin == 0 ? 0 : lanes < WIDTH - begin ? lanes : WIDTH - begin;
    Shape shape;
    shape.head = part_between(begin, begin + head);
    shape.back = static_cast<ptrdiff_t>(begin * sizeof(In));
    shape.head_bytes = static_cast<ptrdiff_t>(head * sizeof(In));
    shape.groups = (lanes - head) / WIDTH;
    shape.tail = part_between(0, (lanes - head) % WIDTH);
    return shape;
  }

  // Register j of a group. Lanes that are not taken hold the identity, which changes nothing.
  [[gnu::always_inline]] static inline vec<double, NATIVE>
  taken_values(const char *group, const Part &part, size_t j) {
    const vec<In, NATIVE> rest = convert<In, NATIVE>(F::template identity<NATIVE>().plane[0]);
    const vec<In, NATIVE> x =
        load_taken<In, NATIVE>(group + j * NATIVE * sizeof(In), part.taken[j], rest);
    return convert<double, NATIVE>(x);
  }
  template <size_t COUNT>
  [[gnu::always_inline]] static inline void add_part(State &state, const char *group,
                                                     const Part &part, vec<double, NATIVE> center) {
#pragma GCC unroll 16
    for (size_t j = 0; j < COUNT; ++j) {
      if (!part.some[j]) {
        continue;
      }
      vec<double, NATIVE> from = center;
      if constexpr (CENTERED) {
        // Deviations of lanes that are not taken are 0 whatever the center is, infinities included.
        from = select_taken<In, NATIVE>(part.taken[j], center, vec<double, NATIVE>{});
      }
      step_values(state.lanes[j], taken_values(group, part, j), from);
    }
  }

  [[gnu::always_inline]] static inline void add(State &state, const char *a, const Shape &shape,
                                                vec<double, NATIVE> center, ptrdiff_t ahead) {
    if (shape.head.any) {
      add_part<VECTORS>(state, a - shape.back, shape.head, center);
      a += shape.head_bytes;
    }
    for (size_t group = 0; group < shape.groups; ++group) {
      fetch_ahead<GROUP>(a, ahead);
#pragma GCC unroll 16
      for (size_t j = 0; j < VECTORS; ++j) {
        const vec<In, NATIVE> x = load<vec<In, NATIVE>>(a + j * NATIVE * sizeof(In));
        step_values(state.lanes[j], convert<double, NATIVE>(x), center);
      }
      a += GROUP;
    }
    if (shape.tail.any) {
      add_part<VECTORS>(state, a, shape.tail, center);
    }
  }

  [[gnu::always_inline]] static inline State identities() {
    State state;
#pragma GCC unroll 16
    for (size_t j = 0; j < VECTORS; ++j) {
      state.lanes[j] = F::template identity<NATIVE>();
    }
    return state;
  }

  // Complete reductions whose lanes fill a register.
  static constexpr size_t SIDE_BY_SIDE = NATIVE / F::repeat;

  // The low halves of two registers' pieces of 2 * HALF lanes side by side, or the high halves.
  template <size_t HALF, size_t HIGH>
  static vec<double, NATIVE> halves(vec<double, NATIVE> a, vec<double, NATIVE> b) {
    constexpr size_t PIECES = NATIVE / (2 * HALF);
    vec<int64_t, NATIVE> index{};
    for (size_t i = 0; i < NATIVE; ++i) {
      const size_t piece = i / HALF;
      index[i] = static_cast<int64_t>(piece % PIECES * 2 * HALF + HIGH * HALF + i % HALF +
                                      piece / PIECES * NATIVE);
    }
#if defined(__clang__)
    vec<double, NATIVE> result;
    for (size_t i = 0; i < NATIVE; ++i) {
      const size_t at = static_cast<size_t>(index[i]);
      result[i] = at < NATIVE ? a[at] : b[at - NATIVE];
    }
    return result;
#else
    return __builtin_shuffle(a, b, index);
#endif
  }

  // Stripe s of each reduction and stripe s + COUNT become one, down to one stripe: first registers
  // of one state, then the halves of registers of several.
  template <size_t HALF>
  [[gnu::always_inline]] static inline L fold_halves(L (&lanes)[SIDE_BY_SIDE]) {
    if constexpr (HALF >= F::repeat) {
      constexpr size_t PAIRS = HALF / F::repeat;
#pragma GCC unroll 8
      for (size_t k = 0; k < PAIRS; ++k) {
        L low, high;
        for (size_t p = 0; p < PLANES; ++p) {
          const vec<double, NATIVE> a = lanes[2 * k].plane[p], b = lanes[2 * k + 1].plane[p];
          low.plane[p] = halves<HALF, 0>(a, b);
          high.plane[p] = halves<HALF, 1>(a, b);
        }
        F::template merge<NATIVE>(low, high);
        lanes[k] = low;
      }
      return fold_halves<HALF / 2>(lanes);
    } else {
      return lanes[0];
    }
  }
  template <size_t COUNT>
  [[gnu::always_inline]] static inline L fold_registers(State state) {
#pragma GCC unroll 16
    for (size_t count = COUNT / 2; count != 0; count /= 2) {
#pragma GCC unroll 16
      for (size_t j = 0; j < count; ++j) {
        F::template merge<NATIVE>(state.lanes[j], state.lanes[j + count]);
      }
    }
    return state.lanes[0];
  }

  // The stripes of one reduction that has no elements past COUNT registers, folded into a register.
  template <size_t COUNT>
  [[gnu::always_inline]] static inline L fold_few(const char *a, const Part &part,
                                                  vec<double, NATIVE> center) {
    State state = identities();
    if constexpr (Base::STARTS) {
#pragma GCC unroll 16
      for (size_t j = 0; j < COUNT; ++j) {
        state.lanes[j] = F::template start<NATIVE>(taken_values(a, part, j));
      }
    } else {
      add_part<COUNT>(state, a, part, center);
    }
    return fold_registers<COUNT>(state);
  }

  // Reductions of n elements each, from registers to results; with FEW, of elements that fill at
  // most so many registers. One center for each, if any.
  template <size_t FEW>
  COREPY_OUT_OF_LINE static void whole_of(char *out, const char *a, const char *centers,
                                          size_t count, ptrdiff_t stride, ptrdiff_t center_stride,
                                          size_t n, double divisor) {
    const Shape at = shape(0, n);
    const Part few = part_between(0, FEW != 0 ? n * F::repeat : 0);
    const ptrdiff_t ahead = strides_ahead(stride, n * ITEM);
    for (size_t done = 0; done < count; done += SIDE_BY_SIDE) {
      const size_t present = count - done < SIDE_BY_SIDE ? count - done : SIDE_BY_SIDE;
      L lanes[SIDE_BY_SIDE];
      for (size_t k = 0; k < SIDE_BY_SIDE; ++k) {
        if (k >= present) {
          lanes[k] = F::template identity<NATIVE>();
          continue;
        }
        const vec<double, NATIVE> center = center_of(centers, 0);
        if constexpr (FEW != 0) {
          lanes[k] = fold_few<FEW>(a, few, center);
        } else {
          State state = identities();
          add(state, a, at, center, ahead);
          lanes[k] = fold_registers<VECTORS>(state);
        }
        a += stride;
        centers = CENTERED ? centers + center_stride : centers;
      }
      const L total = fold_halves<NATIVE / 2>(lanes);
      if (present == SIDE_BY_SIDE) {
        Base::template emit<NATIVE>(out, total, divisor);
      } else {
        Out results[NATIVE];
        Base::template emit<NATIVE>(reinterpret_cast<char *>(results), total, divisor);
        __builtin_memcpy(out, results, present * F::repeat * sizeof(Out));
      }
      out += SIDE_BY_SIDE * F::repeat * sizeof(Out);
    }
  }

  template <size_t FEW = 1>
  static void whole(char *out, const char *a, const char *centers, size_t count, ptrdiff_t stride,
                    ptrdiff_t center_stride, size_t n, double divisor) {
    if (n * F::repeat <= FEW * NATIVE) {
      whole_of<FEW>(out, a, centers, count, stride, center_stride, n, divisor);
    } else if constexpr (FEW < VECTORS) {
      whole<2 * FEW>(out, a, centers, count, stride, center_stride, n, divisor);
    } else {
      whole_of<0>(out, a, centers, count, stride, center_stride, n, divisor);
    }
  }

  [[gnu::always_inline]] static inline State read_state(const double *from, size_t plane) {
    State state;
#pragma GCC unroll 16
    for (size_t j = 0; j < VECTORS; ++j) {
      state.lanes[j] = Base::template read<NATIVE>(from + j * NATIVE, plane);
    }
    return state;
  }
  [[gnu::always_inline]] static inline void write_state(double *to, size_t plane,
                                                        const State &state) {
#pragma GCC unroll 16
    for (size_t j = 0; j < VECTORS; ++j) {
      Base::template write<NATIVE>(to + j * NATIVE, plane, state.lanes[j]);
    }
  }

  static vec<double, NATIVE> center_of(const char *centers, size_t unit) {
    if constexpr (CENTERED) {
      return splat_double<NATIVE>(load<double>(centers + unit * sizeof(double)));
    } else {
      return vec<double, NATIVE>{};
    }
  }

  // One run for each unit.
  COREPY_OUT_OF_LINE static void add_one(double *states, size_t plane, const char *a,
                                         const char *centers, size_t units, ptrdiff_t unit_stride,
                                         size_t n, size_t stripe) {
    const Shape at = shape(stripe, n);
    const ptrdiff_t ahead = strides_ahead(unit_stride, n * ITEM);
    for (size_t unit = 0; unit < units; ++unit) {
      State state = read_state(states, plane);
      add(state, a, at, center_of(centers, unit), ahead);
      write_state(states, plane, state);
      states += WIDTH;
      a += unit_stride;
    }
  }

  // `count` runs for each unit, one unit after the other.
  COREPY_OUT_OF_LINE static void add_all(double *states, size_t plane, const char *a,
                                         const char *centers, size_t units, ptrdiff_t unit_stride,
                                         size_t count, ptrdiff_t run_stride, size_t n,
                                         size_t stripe) {
    const ptrdiff_t ahead = strides_ahead(run_stride, n * ITEM);
    for (size_t unit = 0; unit < units; ++unit) {
      State state = read_state(states, plane);
      const vec<double, NATIVE> center = center_of(centers, unit);
      const char *run = a;
      for (size_t i = 0; i < count; ++i) {
        add(state, run, shape((stripe + i * n) % STRIPES, n), center, ahead);
        run += run_stride;
      }
      write_state(states, plane, state);
      states += WIDTH;
      a += unit_stride;
    }
  }

  static void runs(void *result, const void *first, const void *b, size_t units,
                   ptrdiff_t unit_stride, size_t count, ptrdiff_t run_stride, size_t n,
                   size_t number) {
    double *const states = static_cast<double *>(result);
    const char *a = static_cast<const char *>(first);
    const char *const centers = static_cast<const char *>(b);
    const size_t plane = units * WIDTH;
    if (number == 0) {
      Base::fill_identity(states, plane);
    }
    // The nearer loop is the inner one, so that memory is walked in its order.
    const ptrdiff_t unit_size = unit_stride < 0 ? -unit_stride : unit_stride;
    const ptrdiff_t run_size = run_stride < 0 ? -run_stride : run_stride;
    const size_t stripe = number % STRIPES;
    if (unit_size >= run_size) {
      add_all(states, plane, a, centers, units, unit_stride, count, run_stride, n, stripe);
      return;
    }
    for (size_t i = 0; i < count; ++i) {
      add_one(states, plane, a, centers, units, unit_stride, n, (stripe + i * n) % STRIPES);
      a += run_stride;
    }
  }
};

} // namespace
} // namespace COREPY_NAMESPACE
