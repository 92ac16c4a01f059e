// Groups of a few elements each, turned so that the groups are the lanes of vectors.
#pragma once

#include "reduce_lanes.h"
#include "transpose.h"

namespace COREPY_NAMESPACE {
namespace {

// Elements of the longest groups that are turned. Longer ones are reduced as quickly one by one,
// those of a few bytes only where registers transpose.
template <class Item>
constexpr size_t TURNED_LENGTH = !transposes_registers || sizeof(Item) > 4 ? 16
                                 : sizeof(Item) == 1                       ? 64
                                                                           : 32;
// Groups that are turned at a time: 16 KB of the widest elements.
constexpr size_t TURNED = 64;

// Room for them: element i of group g lies at [i][g].
template <class Item>
struct Turned {
  static constexpr ptrdiff_t STRIDE = TURNED * sizeof(Item); // between elements of a group
  static constexpr size_t SQUARE = 16 / sizeof(Item); // elements a side that registers transpose
  static_assert(SQUARE <= TURNED_LENGTH<Item>);
  alignas(64) char items[TURNED_LENGTH<Item> * TURNED * sizeof(Item)];

  void fill(const char *from, size_t groups, ptrdiff_t stride, size_t n) {
    size_t rows = n, whole = groups;
    if (transposes_registers && n < SQUARE && stride == static_cast<ptrdiff_t>(n * sizeof(Item))) {
      // Of groups end to end, what follows a short one fills its square.
      rows = SQUARE;
      whole = groups * n < SQUARE ? 0 : (groups * n - SQUARE) / n + 1;
    }
    transpose(sizeof(Item), items, from, rows, whole, STRIDE, stride);
    for (size_t g = whole; g < groups; ++g) {
      for (size_t i = 0; i < n; ++i) {
        store(items + (i * TURNED + g) * sizeof(Item),
              load<Item>(from + static_cast<ptrdiff_t>(g) * stride + i * sizeof(Item)));
      }
    }
  }
};

// reduce(out, items, count) for `count` groups at a time, of 1 to TURNED_LENGTH<Item> elements.
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
