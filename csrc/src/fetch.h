// Fetching memory before it is read.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {
namespace {

// Two pages, the distance at which memory is asked for.
constexpr ptrdiff_t AHEAD = 8192;

// Asks for the BYTES that lie `ahead` bytes after `at`, while those at `at` are read: the
// processor's own prefetching stops at the end of a page. What is asked for may lie outside of any
// object, so that it is a number and no pointer on the way.
template <size_t BYTES>
inline void fetch_ahead(const char *at, ptrdiff_t ahead = AHEAD) {
#pragma GCC unroll 8
  for (size_t line = 0; line < BYTES; line += 64) {
    const uintptr_t place = reinterpret_cast<uintptr_t>(at) + static_cast<uintptr_t>(ahead) + line;
    __builtin_prefetch(reinterpret_cast<const void *>(place));
  }
}

// Of pieces of `bytes`, a stride apart, as many strides as two pages of them are. The stride of a
// single piece may be any number, whose multiples wrap.
inline ptrdiff_t strides_ahead(ptrdiff_t stride, size_t bytes) {
  constexpr size_t two_pages = AHEAD;
  const size_t strides = bytes < two_pages ? two_pages / bytes : 1;
  return static_cast<ptrdiff_t>(static_cast<size_t>(stride) * strides);
}

} // namespace
} // namespace COREPY_NAMESPACE
