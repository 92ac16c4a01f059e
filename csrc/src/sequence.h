// Numbers 0 ... N - 1 as template arguments: what shuffles are written with.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {
namespace {

template <size_t... I>
struct Sequence {};
template <size_t N, size_t... I>
struct MakeSequence : MakeSequence<N - 1, N - 1, I...> {};
template <size_t... I>
struct MakeSequence<0, I...> {
  using type = Sequence<I...>;
};
template <size_t N>
using sequence = typename MakeSequence<N>::type;

} // namespace
} // namespace COREPY_NAMESPACE
