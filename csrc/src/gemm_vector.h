// Matrix x a few vectors: chains side by side in lanes, the matrix read where it lies.
#pragma once

#include "gemm_pack.h"

namespace COREPY_NAMESPACE {
namespace {
namespace gemm {

constexpr size_t panel_depth = COREPY_PANEL;

inline corepy_complex64 add(corepy_complex64 a, corepy_complex64 b) {
  return {a.re + b.re, a.im + b.im};
}
inline corepy_complex128 add(corepy_complex128 a, corepy_complex128 b) {
  return {a.re + b.re, a.im + b.im};
}
template <class T>
inline T add(T a, T b) {
  return T(a + b);
}

template <class A>
inline typename A::Element unpacked(const typename A::Packed *from) {
  if constexpr (A::parts == 1)
    return typename A::Element(from[0]);
  else
    return {from[0], from[1]};
}

// Adds the totals of `used` lanes to c, or writes them.
template <class A>
inline void finish(char *c, ptrdiff_t c_lane, const typename A::Packed *total, size_t used,
                   bool accumulate) {
  using T = typename A::Element;
  constexpr ptrdiff_t size = sizeof(T);
  size_t lane = 0;
  if (c_lane == size)
    for (; lane + A::lanes <= used; lane += A::lanes) {
      char *to = c + ptrdiff_t(lane) * size;
      const auto v = load<typename A::V>(total + lane * A::parts);
      A::store_elements(to, accumulate ? A::load_elements(to) + v : v);
    }
  for (; lane < used; lane++) {
    char *to = c + ptrdiff_t(lane) * c_lane;
    const T v = unpacked<A>(total + lane * A::parts);
    store<T>(to, accumulate ? add(load<T>(to), v) : v);
  }
}

// The totals of Vectors vectors, `pitch` of them to a vector.
template <class A, size_t Vectors>
inline void finish_vectors(char *c, ptrdiff_t c_lane, ptrdiff_t c_vector,
                           const typename A::Packed *total, size_t pitch, size_t used,
                           size_t vectors, bool accumulate) {
  for (size_t v = 0; v < Vectors && v < vectors; v++)
    finish<A>(c + ptrdiff_t(v) * c_vector, c_lane, total + v * pitch * A::parts, used, accumulate);
}

// Lanes in a row of totals that stay in the L1 cache: 1,024 of float32 are 4 KiB.
constexpr size_t strip_bytes = 4096;
template <class A, size_t Vectors>
constexpr size_t strip_lanes = strip_bytes / (sizeof(typename A::Packed) * A::parts) / Vectors;

// One panel where lanes are contiguous: whole rows stream through, a few at a time so that the
// totals are read and written once per so many products.
template <class A, size_t Vectors>
COREPY_OUT_OF_LINE void along_lanes(typename A::Packed *total, const typename A::Packed *x,
                                    const char *m, ptrdiff_t depth_stride, size_t used,
                                    size_t depth) {
  using V = typename A::V;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  constexpr size_t strip = strip_lanes<A, Vectors>;
  const size_t whole = used / A::lanes * A::lanes;
  const Part<A> part(used - whole);
  const auto rows = [&]<size_t Count>(Sequence<Count>, size_t d) __attribute__((always_inline)) {
    typename A::Scalar scalars[Count][Vectors];
    for (size_t i = 0; i < Count; i++)
      for (size_t v = 0; v < Vectors; v++)
        scalars[i][v] = A::scalar(x + ((d + i) * Vectors + v) * A::parts);
    const char *row = m + ptrdiff_t(d) * depth_stride;
    const auto step = [&](size_t lane, auto load_lanes) __attribute__((always_inline)) {
      V t[Vectors];
      for (size_t v = 0; v < Vectors; v++)
        t[v] = d == 0 ? V{} : load<V>(total + (v * strip + lane) * A::parts);
      for (size_t i = 0; i < Count; i++) {
        const typename A::Lanes lanes =
            A::prepare(load_lanes(row + ptrdiff_t(i) * depth_stride + ptrdiff_t(lane) * size));
        for (size_t v = 0; v < Vectors; v++)
          t[v] = A::multiply_add(t[v], scalars[i][v], lanes);
      }
      for (size_t v = 0; v < Vectors; v++)
        store(total + (v * strip + lane) * A::parts, t[v]);
    };
    for (size_t lane = 0; lane < whole; lane += A::lanes)
      step(lane, [](const char *p) { return A::load_elements(p); });
    if (whole < used)
      step(whole, [&](const char *p) { return part.load_elements(p); });
  };
  constexpr size_t at_once = 4;
  size_t d = 0;
  for (; d + at_once <= depth; d += at_once)
    rows(Sequence<at_once>{}, d);
  for (; d < depth; d++)
    rows(Sequence<size_t(1)>{}, d);
}

// Panels next to each other where there are no more lanes than a vector has: one panel alone would
// wait for each fma, which takes four cycles.
template <class A, size_t Vectors, size_t Panels>
COREPY_OUT_OF_LINE void narrow(typename A::Packed *total, const typename A::Packed *x,
                               const char *m, ptrdiff_t depth_stride, size_t used, size_t depth) {
  using V = typename A::V;
  const Part<A> part(used);
  V t[Panels][Vectors];
  for (size_t p = 0; p < Panels; p++)
    for (size_t v = 0; v < Vectors; v++)
      t[p][v] = V{};
  for (size_t d = 0; d < depth; d++) {
#pragma GCC unroll 8
    for (size_t p = 0; p < Panels; p++) {
      const size_t at = p * panel_depth + d;
      const auto lanes = A::prepare(part.load_elements(m + ptrdiff_t(at) * depth_stride));
#pragma GCC unroll 4
      for (size_t v = 0; v < Vectors; v++)
        t[p][v] = A::multiply_add(t[p][v], A::scalar(x + (at * Vectors + v) * A::parts), lanes);
    }
  }
  for (size_t p = 0; p < Panels; p++)
    for (size_t v = 0; v < Vectors; v++)
      store(total + (p * Vectors + v) * A::lanes * A::parts, t[p][v]);
}

// Whether elements in memory are words that squares of a vector's lanes can be transposed of.
// Narrow words would take squares of more rows than there are registers.
template <class A>
constexpr bool has_squares = sizeof(typename A::Packed) >= 4 &&
                             sizeof(typename A::Element) == sizeof(typename A::Packed) * A::parts;

template <class A, size_t Packed = sizeof(typename A::Packed) * A::parts,
          size_t Word = (Packed < 8 ? Packed : 8)>
using SquareOf = Square<typename word_of<Word>::type, A::lanes, Packed / Word>;

// A vector of lanes that are contiguous in depth, over as much depth: row[i] becomes the lanes at
// depth i. Lanes from `used` on repeat the last one that exists.
template <class A, bool Whole>
inline __attribute__((always_inline)) void read_square(typename SquareOf<A>::V (&row)[A::lanes],
                                                       const char *from, ptrdiff_t lane_stride,
                                                       size_t used) {
#pragma GCC unroll 16
  for (size_t i = 0; i < A::lanes; i++) {
    row[i] = load<typename SquareOf<A>::V>(from);
    if (Whole || i + 1 < used)
      from += lane_stride;
    // Otherwise GCC 12 computes each address from the first, and runs out of registers.
    asm("" : "+r"(from));
  }
  SquareOf<A>::transpose(row);
}

// The last elements of depth, fewer than a square has: those before them are read again.
template <class A, size_t Vectors>
COREPY_OUT_OF_LINE void last_square(typename A::Packed *total, const typename A::Packed *x,
                                    const char *m, ptrdiff_t lane_stride, size_t used,
                                    size_t left) {
  using V = typename A::V;
  constexpr size_t packed = sizeof(typename A::Packed) * A::parts;
  typename SquareOf<A>::V row[A::lanes];
  const size_t again = A::lanes - left;
  read_square<A, false>(row, m - ptrdiff_t(again * packed), lane_stride, used);
  for (size_t v = 0; v < Vectors; v++) {
    V t = load<V>(total + v * A::lanes * A::parts);
    for (size_t i = 0; i < left; i++)
      t = A::multiply_add(t, A::scalar(x + (i * Vectors + v) * A::parts),
                          A::prepare(__builtin_bit_cast(V, row[again + i])));
    store(total + v * A::lanes * A::parts, t);
  }
}

// Where lanes are contiguous in depth: squares are transposed in registers, for Chains groups of
// lanes (or panels) in turn, because one chain waits four cycles for each fma. A vector's lanes of
// depth must exist before the end. Prefetching was measured to take more time than it saves.
template <class A, size_t Vectors, size_t Chains, bool Whole>
COREPY_OUT_OF_LINE void squares(typename A::Packed *total, const typename A::Packed *x,
                                size_t x_chain, const char *m, ptrdiff_t lane_stride,
                                ptrdiff_t chain_stride, size_t used, size_t depth) {
  using V = typename A::V;
  constexpr size_t side = A::lanes;
  constexpr size_t packed = sizeof(typename A::Packed) * A::parts;
  V t[Chains][Vectors];
  for (size_t chain = 0; chain < Chains; chain++)
    for (size_t v = 0; v < Vectors; v++)
      t[chain][v] = V{};
  size_t d = 0;
  for (; d + side <= depth; d += side)
#pragma GCC unroll 4
    for (size_t chain = 0; chain < Chains; chain++) {
      typename SquareOf<A>::V row[side];
      read_square<A, Whole>(row, m + ptrdiff_t(chain) * chain_stride + ptrdiff_t(d * packed),
                            lane_stride, used);
      const typename A::Packed *scalars = x + (chain * x_chain + d * Vectors) * A::parts;
#pragma GCC unroll 16
      for (size_t i = 0; i < side; i++) {
        const auto lanes = A::prepare(__builtin_bit_cast(V, row[i]));
#pragma GCC unroll 4
        for (size_t v = 0; v < Vectors; v++)
          t[chain][v] = A::multiply_add(t[chain][v],
                                        A::scalar(scalars + (i * Vectors + v) * A::parts), lanes);
      }
    }
  for (size_t chain = 0; chain < Chains; chain++)
    for (size_t v = 0; v < Vectors; v++)
      store(total + (chain * Vectors + v) * A::lanes * A::parts, t[chain][v]);
  if (d < depth)
    for (size_t chain = 0; chain < Chains; chain++)
      last_square<A, Vectors>(total + chain * Vectors * A::lanes * A::parts,
                              x + (chain * x_chain + d * Vectors) * A::parts,
                              m + ptrdiff_t(chain) * chain_stride + ptrdiff_t(d * packed),
                              lane_stride, used, depth - d);
}

// At most Groups vectors of lanes in any layout, packed piece by piece into the L1 cache.
template <class A, size_t Groups>
COREPY_OUT_OF_LINE void packing(typename A::Packed *total, const typename A::Packed *x,
                                const char *m, ptrdiff_t lane_stride, ptrdiff_t depth_stride,
                                size_t used, size_t depth) {
  using V = typename A::V;
  using Packed = typename A::Packed;
  constexpr size_t group = Groups * A::lanes;
  constexpr size_t piece = 64; // 16 KiB of packed elements for four vectors of AVX-512
  alignas(64) Packed packed[group * piece * A::parts];
  V t[Groups];
  for (size_t v = 0; v < Groups; v++)
    t[v] = V{};
  for (size_t first = 0; first < depth; first += piece) {
    const size_t n = depth - first < piece ? depth - first : piece;
    pack_group<A, group>(packed, m + ptrdiff_t(first) * depth_stride, lane_stride, depth_stride,
                         used, n, ptrdiff_t(2 * piece * sizeof(typename A::Element)));
    for (size_t d = 0; d < n; d++) {
      const typename A::Scalar scalar = A::scalar(x + (first + d) * A::parts);
#pragma GCC unroll 4
      for (size_t v = 0; v < Groups; v++)
        t[v] = A::multiply_add(
            t[v], scalar, A::prepare(load<V>(packed + (d * Groups + v) * A::lanes * A::parts)));
    }
  }
  for (size_t v = 0; v < Groups; v++)
    store(total + v * A::lanes * A::parts, t[v]);
}

// A product of a matrix with a few vectors: where the operands and the result lie.
struct Product {
  char *c;
  ptrdiff_t c_lane, c_vector, c_panel;
  const char *m;
  ptrdiff_t lane_stride, depth_stride;
  size_t lanes, depth;
  bool accumulate;
};

// Vectors vectors, of which `vectors` exist, and the panels from `first` on whose scalars x holds:
// `count` panels that end at depth `end`.
template <class A, size_t Vectors>
struct Pass {
  using Packed = typename A::Packed;
  const Product &product;
  const Packed *x;
  size_t first, count, end, vector, vectors;

  const Packed *scalars(size_t panel) const { return x + panel * panel_depth * Vectors * A::parts; }
  size_t depth(size_t panel) const {
    const size_t begin = (first + panel) * panel_depth;
    return end - begin < panel_depth ? end - begin : panel_depth;
  }
  // The panels from this one on that are whole.
  size_t whole(size_t panel) const {
    return count - panel - (depth(count - 1) < panel_depth ? 1 : 0);
  }
  const char *matrix(size_t lane, size_t panel) const {
    return product.m + ptrdiff_t(lane) * product.lane_stride +
           ptrdiff_t((first + panel) * panel_depth) * product.depth_stride;
  }
  void finish(const Packed *total, size_t pitch, size_t lane, size_t used, size_t panel) const {
    const size_t number = first + panel;
    const bool add = product.accumulate || (product.c_panel == 0 && number > 0);
    char *c = product.c + ptrdiff_t(lane) * product.c_lane + ptrdiff_t(vector) * product.c_vector +
              ptrdiff_t(number) * product.c_panel;
    finish_vectors<A, Vectors>(c, product.c_lane, product.c_vector, total, pitch, used, vectors,
                               add);
  }

  void along(size_t lane, size_t used) const {
    alignas(64) Packed total[strip_lanes<A, Vectors> * Vectors * A::parts];
    for (size_t panel = 0; panel < count; panel++) {
      along_lanes<A, Vectors>(total, scalars(panel), matrix(lane, panel), product.depth_stride,
                              used, depth(panel));
      finish(total, strip_lanes<A, Vectors>, lane, used, panel);
    }
  }

  // Calls f with the number of the next panel, for as many panels at once as a power of two of at
  // most Most; the last one may be short, and comes alone.
  template <size_t Most, class F>
  void panels(F f) const {
    size_t panel = 0;
    while (panel < count) {
      if constexpr (Most > 2) {
        if (whole(panel) >= Most) {
          f(Sequence<Most>{}, panel);
          panel += Most;
          continue;
        }
      }
      if constexpr (Most > 1) {
        if (whole(panel) >= 2) {
          f(Sequence<size_t(2)>{}, panel);
          panel += 2;
          continue;
        }
      }
      f(Sequence<size_t(1)>{}, panel);
      panel++;
    }
  }

  void few_lanes() const {
    constexpr size_t most = 8 / Vectors;
    panels<most>([&]<size_t Panels>(Sequence<Panels>, size_t panel) {
      alignas(64) Packed total[Panels * Vectors * A::lanes * A::parts];
      narrow<A, Vectors, Panels>(total, scalars(panel), matrix(0, panel), product.depth_stride,
                                 product.lanes, depth(panel));
      for (size_t i = 0; i < Panels; i++)
        finish(total + i * Vectors * A::lanes * A::parts, A::lanes, 0, product.lanes, panel + i);
    });
  }

  // Groups vectors of lanes.
  template <size_t Groups>
  void transposing(size_t lane) const {
    const ptrdiff_t chain = ptrdiff_t(A::lanes) * product.lane_stride;
    for (size_t panel = 0; panel < count; panel++) {
      alignas(64) Packed total[Groups * Vectors * A::lanes * A::parts];
      squares<A, Vectors, Groups, true>(total, scalars(panel), 0, matrix(lane, panel),
                                        product.lane_stride, chain, A::lanes, depth(panel));
      for (size_t group = 0; group < Groups; group++)
        finish(total + group * Vectors * A::lanes * A::parts, A::lanes, lane + group * A::lanes,
               A::lanes, panel);
    }
  }
  // One vector of lanes, or fewer lanes than it has, and panels side by side.
  template <size_t Most>
  void transposing_panels(size_t lane, size_t used) const {
    const ptrdiff_t chain = ptrdiff_t(panel_depth) * product.depth_stride;
    panels<Most>([&]<size_t Panels>(Sequence<Panels>, size_t panel) {
      alignas(64) Packed total[Panels * Vectors * A::lanes * A::parts];
      squares<A, Vectors, Panels, false>(total, scalars(panel), panel_depth * Vectors,
                                         matrix(lane, panel), product.lane_stride, chain, used,
                                         depth(panel));
      for (size_t i = 0; i < Panels; i++)
        finish(total + i * Vectors * A::lanes * A::parts, A::lanes, lane, used, panel + i);
    });
  }

  void any_layout(size_t lane, size_t used) const {
    for (size_t panel = 0; panel < count; panel++) {
      alignas(64) Packed total[4 * A::lanes * A::parts];
      const auto run = [&](auto kernel) {
        kernel(total, scalars(panel), matrix(lane, panel), product.lane_stride,
               product.depth_stride, used, depth(panel));
      };
      if (used > 2 * A::lanes)
        run(packing<A, 4>);
      else
        run(packing<A, 2>);
      finish(total, 0, lane, used, panel);
    }
  }
};

template <class A>
inline bool transposes(const Product &product) {
  return has_squares<A> && product.depth_stride == ptrdiff_t(sizeof(typename A::Element)) &&
         product.depth >= A::lanes;
}

// One pass over as many lanes as are finished together.
template <class A, size_t Vectors>
inline void run_pass(const Pass<A, Vectors> &pass, size_t lane, size_t used) {
  const Product &product = pass.product;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  if (product.lanes == 1 || (product.lane_stride == size && product.lanes <= A::lanes))
    return pass.few_lanes();
  if (product.lane_stride == size)
    return pass.along(lane, used);
  if constexpr (has_squares<A>)
    if (transposes<A>(product)) {
      constexpr size_t chains = Vectors == 1 ? 4 : 2;
      // Rows a multiple of 1 KiB apart fall into the same few sets of the L1 cache; a vector of
      // them and panels side by side are fewer rows at once.
      const bool aliased = product.lane_stride % 1024 == 0 && pass.whole(0) >= 2;
      size_t done = 0;
      if (!aliased)
        for (; done + chains * A::lanes <= used; done += chains * A::lanes)
          pass.template transposing<chains>(lane + done);
      for (; done < used; done += A::lanes)
        pass.template transposing_panels<chains>(lane + done,
                                                 used - done < A::lanes ? used - done : A::lanes);
      return;
    }
  if constexpr (Vectors == 1)
    pass.any_layout(lane, used);
}

// Vectors that one pass over the matrix multiplies: for floats all that share its loads.
template <class A>
constexpr size_t most_vectors = 1;
template <class T>
constexpr size_t most_vectors<Floating<T>> = 4;

// Calls f with the number of vectors of each pass as a type, the first of them, and how many of
// them exist; one at a time unless they go together.
template <size_t Most, class F>
inline void each_pass(size_t vectors, bool together, F f) {
  for (size_t v = 0; v < vectors;) {
    const size_t left = vectors - v;
    if constexpr (Most > 1) {
      if (together && left > 2) {
        f(Sequence<size_t(4)>{}, v, left < 4 ? left : 4);
        v += 4;
        continue;
      }
      if (together && left == 2) {
        f(Sequence<size_t(2)>{}, v, left);
        return;
      }
    }
    f(Sequence<size_t(1)>{}, v, 1);
    v++;
  }
}

// The scalars of Vectors vectors, of which `vectors` exist, depth by depth.
template <class A, size_t Vectors>
inline void pack_scalars(typename A::Packed *to, const char *x, ptrdiff_t x_depth,
                         ptrdiff_t x_vector, size_t vectors, size_t depth) {
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  if constexpr (has_squares<A>)
    if (vectors == Vectors && x_depth == ptrdiff_t(Vectors) * size &&
        (Vectors == 1 || x_vector == size)) {
      __builtin_memcpy(to, x, depth * Vectors * size_t(size));
      return;
    }
  for (size_t d = 0; d < depth; d++, x += x_depth, to += Vectors * A::parts)
    for (size_t v = 0; v < Vectors; v++) {
      if (v < vectors)
        pack_element<A>(to + v * A::parts, x + ptrdiff_t(v) * x_vector);
      else
        __builtin_memset(to + v * A::parts, 0, A::parts * sizeof *to);
    }
}

template <class A>
void run_passes(const Product &product, const char *x, ptrdiff_t x_depth, ptrdiff_t x_vector,
                size_t vectors) {
  using Packed = typename A::Packed;
  constexpr size_t most = most_vectors<A>;
  alignas(64) Packed scalars[COREPY_MOST_VECTORS * panel_depth * A::parts];
  const bool along = product.lane_stride == ptrdiff_t(sizeof(typename A::Element));
  const bool together = along || product.lanes == 1 || transposes<A>(product);
  size_t padded = 0, widest = 0;
  each_pass<most>(vectors, together, [&]<size_t Vectors>(Sequence<Vectors>, size_t, size_t) {
    padded += Vectors;
    widest = Vectors > widest ? Vectors : widest;
  });
  // Lanes that are finished before the next ones begin.
  const size_t unit = along ? strip_lanes<A, 1> / widest : 4 * A::lanes;
  const size_t at_once = COREPY_MOST_VECTORS / padded;
  const size_t panels = (product.depth + panel_depth - 1) / panel_depth;
  for (size_t first = 0; first < panels; first += at_once) {
    const size_t count = panels - first < at_once ? panels - first : at_once;
    const size_t begin = first * panel_depth;
    const size_t end = first + count == panels ? product.depth : begin + count * panel_depth;
    Packed *to = scalars;
    each_pass<most>(
        vectors, together, [&]<size_t Vectors>(Sequence<Vectors>, size_t v, size_t exist) {
          pack_scalars<A, Vectors>(to, x + ptrdiff_t(begin) * x_depth + ptrdiff_t(v) * x_vector,
                                   x_depth, x_vector, exist, end - begin);
          to += count * panel_depth * Vectors * A::parts;
        });
    for (size_t lane = 0; lane < product.lanes; lane += unit) {
      const size_t used = product.lanes - lane < unit ? product.lanes - lane : unit;
      const Packed *from = scalars;
      each_pass<most>(
          vectors, together, [&]<size_t Vectors>(Sequence<Vectors>, size_t v, size_t exist) {
            run_pass<A, Vectors>({product, from, first, count, end, v, exist}, lane, used);
            from += count * panel_depth * Vectors * A::parts;
          });
    }
  }
}

template <class A>
void multiply_vectors(void *c, ptrdiff_t c_lane, ptrdiff_t c_vector, ptrdiff_t c_panel,
                      const void *x, ptrdiff_t x_depth, ptrdiff_t x_vector, const void *m,
                      ptrdiff_t lane_stride, ptrdiff_t depth_stride, size_t lanes, size_t depth,
                      size_t vectors, uint32_t accumulate, uint32_t matrix_first) {
  const Product product{static_cast<char *>(c),
                        c_lane,
                        c_vector,
                        c_panel,
                        static_cast<const char *>(m),
                        lane_stride,
                        depth_stride,
                        lanes,
                        depth,
                        accumulate != 0};
  const auto *from = static_cast<const char *>(x);
  // Only the two fma of a complex product depend on which factor comes first.
  if constexpr (A::parts > 1)
    if (matrix_first)
      return run_passes<LeftInLanes<A>>(product, from, x_depth, x_vector, vectors);
  run_passes<A>(product, from, x_depth, x_vector, vectors);
}

} // namespace gemm
} // namespace
} // namespace COREPY_NAMESPACE
