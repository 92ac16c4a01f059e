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
struct word_of<4> {
  using type = uint32_t;
};

// Four lanes of four elements that are contiguous in depth, transposed in registers.
template <class Bits, size_t Group>
inline void transpose4(char *to, const char *from, ptrdiff_t lane_stride) {
  using V = Vector<Bits, 4>;
  const V r0 = load<V>(from), r1 = load<V>(from + lane_stride);
  const V r2 = load<V>(from + 2 * lane_stride), r3 = load<V>(from + 3 * lane_stride);
  const V low01 = __builtin_shufflevector(r0, r1, 0, 4, 2, 6);
  const V high01 = __builtin_shufflevector(r0, r1, 1, 5, 3, 7);
  const V low23 = __builtin_shufflevector(r2, r3, 0, 4, 2, 6);
  const V high23 = __builtin_shufflevector(r2, r3, 1, 5, 3, 7);
  constexpr size_t row = Group * sizeof(Bits);
  store<V>(to, __builtin_shufflevector(low01, low23, 0, 1, 4, 5));
  store<V>(to + row, __builtin_shufflevector(high01, high23, 0, 1, 4, 5));
  store<V>(to + 2 * row, __builtin_shufflevector(low01, low23, 2, 3, 6, 7));
  store<V>(to + 3 * row, __builtin_shufflevector(high01, high23, 2, 3, 6, 7));
}

// One group of at most Group lanes. `used` lanes exist; the rest is zeros, so that the kernels may
// compute whole vectors.
template <class A, size_t Group>
inline void pack_group(typename A::Packed *to, const char *from, ptrdiff_t lane_stride,
                       ptrdiff_t depth_stride, size_t used, size_t depth) {
  using Packed = typename A::Packed;
  constexpr ptrdiff_t size = sizeof(typename A::Element);
  constexpr size_t row = Group * A::parts;
  if (lane_stride == size && used == Group) {
    constexpr size_t whole = Group / A::lanes * A::lanes;
    for (size_t d = 0; d < depth; d++, to += row, from += depth_stride) {
      for (size_t i = 0; i < whole; i += A::lanes)
        store(to + i * A::parts, A::load_elements(from + ptrdiff_t(i) * size));
      for (size_t i = whole; i < Group; i++)
        pack_element<A>(to + i * A::parts, from + ptrdiff_t(i) * size);
    }
    return;
  }
  size_t lane = 0;
  if constexpr (wide && A::parts * sizeof(Packed) == size && (size == 4 || size == 8)) {
    using Word = typename word_of<size_t(size)>::type;
    if (depth_stride == size) {
      for (; lane + 4 <= used; lane += 4) {
        const char *in = from + ptrdiff_t(lane) * lane_stride;
        Packed *out = to + lane * A::parts;
        size_t d = 0;
        for (; d + 4 <= depth; d += 4)
          transpose4<Word, Group>(reinterpret_cast<char *>(out + d * row), in + ptrdiff_t(d) * size,
                                  lane_stride);
        for (; d < depth; d++)
          for (size_t i = 0; i < 4; i++)
            pack_element<A>(out + d * row + i * A::parts,
                            in + ptrdiff_t(d) * size + ptrdiff_t(i) * lane_stride);
      }
    }
  }
  for (; lane < used; lane++) {
    const char *in = from + ptrdiff_t(lane) * lane_stride;
    Packed *out = to + lane * A::parts;
    for (size_t d = 0; d < depth; d++, in += depth_stride, out += row)
      pack_element<A>(out, in);
  }
  if (used < Group)
    for (size_t d = 0; d < depth; d++)
      __builtin_memset(to + d * row + used * A::parts, 0,
                       (Group - used) * A::parts * sizeof(Packed));
}

template <class A, size_t Group>
void pack(void *packed, const void *in, ptrdiff_t lane_stride, ptrdiff_t depth_stride, size_t lanes,
          size_t depth) {
  auto *to = static_cast<typename A::Packed *>(packed);
  auto *from = static_cast<const char *>(in);
  for (size_t lane = 0; lane < lanes; lane += Group, to += Group * A::parts * depth)
    pack_group<A, Group>(to, from + ptrdiff_t(lane) * lane_stride, lane_stride, depth_stride,
                         lanes - lane < Group ? lanes - lane : Group, depth);
}

} // namespace gemm
} // namespace
} // namespace COREPY_NAMESPACE
