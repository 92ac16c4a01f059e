// Kernels of bit operations and shifts.
#include "loops.h"

namespace COREPY_NAMESPACE {

void fill_integer(corepy_kernels *table) {
  constexpr Family family = Family::integer;
  COREPY_BINARY_SLOTS(COREPY_SET_BINARY)
}

} // namespace COREPY_NAMESPACE
