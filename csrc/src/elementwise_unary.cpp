// Kernels of the operations on one tensor.
#include "loops.h"

namespace COREPY_NAMESPACE {

void fill_unary(corepy_kernels *table) {
  constexpr Family family = Family::unary;
  COREPY_UNARY_SLOTS(COREPY_SET_UNARY)
}

} // namespace COREPY_NAMESPACE
