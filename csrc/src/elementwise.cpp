// The elementwise kernels of one level: calls the files that hold them.
#include "loops.h"

namespace COREPY_NAMESPACE {

void fill_elementwise(corepy_kernels *table) {
  fill_unary(table);
  fill_arithmetic(table);
  fill_division(table);
  fill_compare(table);
  fill_integer(table);
}

} // namespace COREPY_NAMESPACE
