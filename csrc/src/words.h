// Elements as bits, at any alignment: what kernels that move and do not compute work on.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {
namespace {

// Classes, because template arguments and `auto` drop the attributes of a typedef.
typedef uint64_t TwoWords __attribute__((vector_size(16)));
template <size_t bytes>
struct Word;
template <>
struct [[gnu::packed, gnu::may_alias]] Word<1> {
  uint8_t bits;
};
template <>
struct [[gnu::packed, gnu::may_alias]] Word<2> {
  uint16_t bits;
};
template <>
struct [[gnu::packed, gnu::may_alias]] Word<4> {
  uint32_t bits;
};
template <>
struct [[gnu::packed, gnu::may_alias]] Word<8> {
  uint64_t bits;
};
template <>
struct [[gnu::packed, gnu::may_alias]] Word<16> {
  TwoWords bits;
};

template <size_t bytes>
inline Word<bytes> *words(void *p) {
  return static_cast<Word<bytes> *>(p);
}
template <size_t bytes>
inline const Word<bytes> *words(const void *p) {
  return static_cast<const Word<bytes> *>(p);
}

} // namespace
} // namespace COREPY_NAMESPACE
