// Groups of a few elements each, turned so that the groups are the lanes of vectors.
#pragma once

#include "reduce_lanes.h"

namespace COREPY_NAMESPACE {
namespace {

// Elements of the longest groups that are turned.
constexpr size_t TURNED_LENGTH = STRIPES;
// Groups that are turned at a time: 16 KB of the widest elements.
constexpr size_t TURNED = 64;

// Room for them: element i of group g lies at [i][g].
template <class Item>
struct Turned {
  static constexpr ptrdiff_t STRIDE = TURNED * sizeof(Item); // between elements of a group
  alignas(64) char items[TURNED_LENGTH * TURNED * sizeof(Item)];

  void fill(const char *from, size_t groups, ptrdiff_t stride, size_t n) {
    for (size_t g = 0; g < groups; ++g) {
      for (size_t i = 0; i < n; ++i) {
        store(items + (i * TURNED + g) * sizeof(Item), load<Item>(from + i * sizeof(Item)));
      }
      from += stride;
    }
  }
};

// reduce(out, items, count) for `count` groups at a time, of 1 to TURNED_LENGTH elements.
template <class Item, class Reduce>
inline void in_turns(char *out, size_t out_size, const char *a, size_t groups, ptrdiff_t stride,
                     size_t n, Reduce reduce) {
  Turned<Item> turned;
  for (size_t done = 0; done < groups; done += TURNED) {
    const size_t count = groups - done < TURNED ? groups - done : TURNED;
    turned.fill(a, count, stride, n);
    reduce(out, turned.items, count);
    out += count * out_size;
    a += static_cast<ptrdiff_t>(count) * stride;
  }
}

} // namespace
} // namespace COREPY_NAMESPACE
