// Fetching memory before it is read.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {
namespace {

// Asks for the BYTES that lie two pages behind `at`, while those at `at` are read: the processor's
// own prefetching stops at the end of a page. What is asked for may lie outside of any object.
constexpr ptrdiff_t AHEAD = 8192;
template <size_t BYTES>
inline void fetch_ahead(const char *at, ptrdiff_t ahead = AHEAD) {
#pragma GCC unroll 8
  for (size_t line = 0; line < BYTES; line += 64) {
    __builtin_prefetch(at + ahead + line);
  }
}

// Of pieces of `bytes`, a stride apart, as many strides as two pages of them are.
inline ptrdiff_t strides_ahead(ptrdiff_t stride, size_t bytes) {
  constexpr size_t two_pages = AHEAD;
  return bytes < two_pages ? stride * static_cast<ptrdiff_t>(two_pages / bytes) : stride;
}

} // namespace
} // namespace COREPY_NAMESPACE
