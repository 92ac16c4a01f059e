// Kernels of floor division, remainder and powers, the operations that may fault.
#include "loops.h"

namespace COREPY_NAMESPACE {

void fill_division(corepy_kernels *table) {
  constexpr Family family = Family::division;
  COREPY_BINARY_SLOTS(COREPY_SET_BINARY)
}

} // namespace COREPY_NAMESPACE
