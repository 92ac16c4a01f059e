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

  // Lanes that are not taken hold what changes nothing: an element that is the identity, or the
  // center, whose deviation is 0.
  [[gnu::always_inline]] static inline void add_part(State &state, const char *group,
                                                     const Part &part, vec<double, NATIVE> center) {
#pragma GCC unroll 16
    for (size_t j = 0; j < VECTORS; ++j) {
      const vec<In, NATIVE> rest = convert<In, NATIVE>(F::template identity<NATIVE>().plane[0]);
      const vec<In, NATIVE> x =
          load_taken<In, NATIVE>(group + j * NATIVE * sizeof(In), part.taken[j], rest);
      vec<double, NATIVE> wide = convert<double, NATIVE>(x);
      if constexpr (CENTERED) {
        wide = select_taken<In, NATIVE>(part.taken[j], wide, center);
      }
      step_values(state.lanes[j], wide, center);
    }
  }

  [[gnu::always_inline]] static inline void add(State &state, const char *a, const Shape &shape,
                                                vec<double, NATIVE> center) {
    if (shape.head.any) {
      add_part(state, a - shape.back, shape.head, center);
      a += shape.head_bytes;
    }
    for (size_t group = 0; group < shape.groups; ++group) {
#pragma GCC unroll 16
      for (size_t j = 0; j < VECTORS; ++j) {
        const vec<In, NATIVE> x = load<vec<In, NATIVE>>(a + j * NATIVE * sizeof(In));
        step_values(state.lanes[j], convert<double, NATIVE>(x), center);
      }
      a += GROUP;
    }
    if (shape.tail.any) {
      add_part(state, a, shape.tail, center);
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
    for (size_t unit = 0; unit < units; ++unit) {
      State state = read_state(states, plane);
      add(state, a, at, center_of(centers, unit));
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
    for (size_t unit = 0; unit < units; ++unit) {
      State state = read_state(states, plane);
      const vec<double, NATIVE> center = center_of(centers, unit);
      const char *run = a;
      for (size_t i = 0; i < count; ++i) {
        add(state, run, shape((stripe + i * n) % STRIPES, n), center);
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
