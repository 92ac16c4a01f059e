// Kernels of comparisons and logic.
#include "loops.h"

namespace COREPY_NAMESPACE {

void fill_compare(corepy_kernels *table) {
  constexpr Family family = Family::compare;
  COREPY_BINARY_SLOTS(COREPY_SET_BINARY)
}

} // namespace COREPY_NAMESPACE
