// Kernels of add, subtract, multiply, divide, minimum and maximum.
#include "loops.h"

namespace COREPY_NAMESPACE {

void fill_arithmetic(corepy_kernels *table) {
  constexpr Family family = Family::arithmetic;
  COREPY_BINARY_SLOTS(COREPY_SET_BINARY)
}

} // namespace COREPY_NAMESPACE
