// Packing of matmul operands: strided elements into groups of lanes, depth by depth.
#pragma once

#include "gemm_lanes.h"

namespace COREPY_NAMESPACE {
namespace {
namespace gemm {

template <class A>
inline void pack_element(typename A::Packed *to, const char *from) {
  if constexpr (sizeof(typename A::Element) == sizeof(typename A::Packed) * A::parts)
    __builtin_memcpy(to, from, sizeof(typename A::Element));
  else
    *to = load<typename A::Element>(from);
}

template <size_t Bytes>
struct word_of {
  using type = uint64_t;
};
template <>
struct word_of<1> {
  using type = uint8_t;
};
template <>
struct word_of<2> {
  using type = uint16_t;
};
template <>
struct word_of<4> {
  using type = uint32_t;
};

// A square of elements of Words words each, transposed in registers. Within pieces of 16 bytes,
// log2 rounds of interleaving halves do it; between pieces, rounds of separating even from odd
// ones. Both are what unpack and 128-bit shuffle instructions do.
template <class Word, size_t Side, size_t Words>
struct Square {
  static constexpr size_t words = Side * Words;
  static constexpr size_t piece = 16 / sizeof(Word) < words ? 16 / sizeof(Word) : words;
  static constexpr size_t inner = piece / Words;  // elements of a piece
  static constexpr size_t pieces = words / piece; // of a row
  using V = Vector<Word, words>;

  template <size_t Half, size_t... I>
  static V interleave(V a, V b, Sequence<I...>) {
    return __builtin_shufflevector(a, b,
                                   (I / piece * piece + Half * piece / 2 +
                                    I % piece / Words / 2 * Words + I % Words +
                                    I / Words % 2 * words)...);
  }
  template <size_t Odd, size_t... I>
  static V separate(V a, V b, Sequence<I...>) {
    return __builtin_shufflevector(
        a, b,
        ((I / piece * 2 + Odd) % pieces * piece + I % piece + I / piece * 2 / pieces * words)...);
  }

  static __attribute__((always_inline)) void interleave_round(V (&row)[Side]) {
    V next[Side];
#pragma GCC unroll 16
    for (size_t group = 0; group < Side; group += inner)
#pragma GCC unroll 16
      for (size_t i = 0; i < inner / 2; i++) {
        const V a = row[group + i], b = row[group + i + inner / 2];
        next[group + 2 * i] = interleave<0>(a, b, sequence<words>{});
        next[group + 2 * i + 1] = interleave<1>(a, b, sequence<words>{});
      }
#pragma GCC unroll 16
    for (size_t i = 0; i < Side; i++)
      row[i] = next[i];
  }
  static __attribute__((always_inline)) void separate_round(V (&row)[Side]) {
    V next[Side];
#pragma GCC unroll 16
    for (size_t c = 0; c < inner; c++)
#pragma GCC unroll 16
      for (size_t g = 0; g < pieces / 2; g++) {
        const V a = row[2 * g * inner + c], b = row[(2 * g + 1) * inner + c];
        next[g * inner + c] = separate<0>(a, b, sequence<words>{});
        next[(g + pieces / 2) * inner + c] = separate<1>(a, b, sequence<words>{});
      }
#pragma GCC unroll 16
    for (size_t i = 0; i < Side; i++)
      row[i] = next[i];
  }

  template <size_t Inner = inner, size_t Pieces = pieces>
  static __attribute__((always_inline)) void transpose(V (&row)[Side]) {
    if constexpr (Inner > 1) {
      interleave_round(row);
      transpose<Inner / 2, Pieces>(row);
    } else if constexpr (Pieces > 1) {
      separate_round(row);
      transpose<1, Pieces / 2>(row);
    }
  }
};

// Lanes whose elements are contiguous in depth, square by square. Where the side does not divide
// the lanes or the depth, the last square overlaps the one before it and writes the same again.
template <class A, size_t Group, size_t Side>
inline void pack_squares(typename A::Packed *to, const char *from, ptrdiff_t lane_stride,
                         size_t used, size_t depth, ptrdiff_t ahead) {
  using Packed = typename A::Packed;
  constexpr size_t size = sizeof(typename A::Element), packed = sizeof(Packed) * A::parts;
  constexpr size_t word = packed < 8 ? packed : 8;
  using S = Square<typename word_of<word>::type, Side, packed / word>;
  using V = typename S::V;
  for (size_t lane = 0; lane < used; lane += Side) {
    if (lane + Side > used)
      lane = used - Side;
    for (size_t d = 0; d < depth; d += Side) {
      if (d + Side > depth)
        d = depth - Side;
      const char *in = from + ptrdiff_t(lane) * lane_stride + ptrdiff_t(d * size);
      V row[Side];
#pragma GCC unroll 16
      for (size_t i = 0; i < Side; i++) {
        const char *at = in + ptrdiff_t(i) * lane_stride;
        __builtin_prefetch(at + ahead, 0, 2);
        if constexpr (size == packed)
          row[i] = load<V>(at);
        else
          row[i] = __builtin_convertvector(load<Vector<typename A::Element, Side>>(at), V);
      }
      S::transpose(row);
#pragma GCC unroll 16
      for (size_t i = 0; i < Side; i++)
        store(to + ((d + i) * Group + lane) * A::parts, row[i]);
    }
  }
}

// Side of the squares: a register, at most 16 rows and no more than the lanes of a group.
constexpr size_t square_side(size_t group, size_t packed) {
  size_t side = 16;
  while (side > 1 && (side > group || side * packed > register_bytes))
    side /= 2;
  return side;
}

// One group of at most Group lanes. `used` lanes exist; the rest is zeros, so that the kernels may
// compute whole vectors.
template <class A, size_t Group>
inline void pack_group(typename A::Packed *to, const char *from, ptrdiff_t lane_stride,
                       ptrdiff_t depth_stride, size_t used, size_t depth, ptrdiff_t ahead) {
  using Packed = typename A::Packed;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  constexpr size_t row = Group * A::parts;
  if (used < Group)
    __builtin_memset(to, 0, depth * row * sizeof(Packed));
  if (lane_stride == size) {
    // Inlined twice, once with a constant count.
    auto copy = [&](size_t n) __attribute__((always_inline)) {
      const size_t whole = n / A::lanes * A::lanes;
      for (size_t d = 0; d < depth; d++, to += row, from += depth_stride) {
        for (size_t i = 0; i < whole; i += A::lanes)
          store(to + i * A::parts, A::load_elements(from + ptrdiff_t(i) * size));
        for (size_t i = whole; i < n; i++)
          pack_element<A>(to + i * A::parts, from + ptrdiff_t(i) * size);
      }
    };
    if (used == Group)
      copy(Group);
    else
      copy(used);
    return;
  }
  size_t lane = 0;
  constexpr size_t side = square_side(Group, A::parts * sizeof(Packed));
  if constexpr (side > 1) {
    constexpr size_t half = side > 4 ? 4 : side;
    if (depth_stride == size && used >= half && depth >= half) {
      if (used >= side && depth >= side)
        pack_squares<A, Group, side>(to, from, lane_stride, used, depth, ahead);
      else
        pack_squares<A, Group, half>(to, from, lane_stride, used, depth, ahead);
      lane = used;
    }
  }
  for (; lane < used; lane++) {
    const char *in = from + ptrdiff_t(lane) * lane_stride;
    Packed *out = to + lane * A::parts;
    for (size_t d = 0; d < depth; d++, in += depth_stride, out += row)
      pack_element<A>(out, in);
  }
}

template <class A, size_t Group>
void pack(void *packed, const void *in, ptrdiff_t lane_stride, ptrdiff_t depth_stride, size_t lanes,
          size_t depth) {
  auto *to = static_cast<typename A::Packed *>(packed);
  auto *from = static_cast<const char *>(in);
  for (size_t lane = 0; lane < lanes; lane += Group, to += Group * A::parts * depth)
    pack_group<A, Group>(to, from + ptrdiff_t(lane) * lane_stride, lane_stride, depth_stride,
                         lanes - lane < Group ? lanes - lane : Group, depth, 8 * lane_stride);
}

} // namespace gemm
} // namespace
} // namespace COREPY_NAMESPACE
