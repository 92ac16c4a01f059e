// Fetching memory before it is read.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {
namespace {

// Asks for the BYTES that lie two pages behind `at`, while those at `at` are read: the processor's
// own prefetching stops at the end of a page. What is asked for may lie outside of any object.
template <size_t BYTES>
inline void fetch_ahead(const char *at) {
  constexpr size_t AHEAD = 8192;
#pragma GCC unroll 8
  for (size_t line = 0; line < BYTES; line += 64) {
    __builtin_prefetch(at + AHEAD + line);
  }
}

} // namespace
} // namespace COREPY_NAMESPACE
