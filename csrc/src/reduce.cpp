// Fills every reduction of the table.
#include "reduce_fill.h"

namespace COREPY_NAMESPACE {

void fill_reductions(corepy_kernels *table) {
  fill_float_reductions(table);
  fill_exact_reductions(table);
  fill_free_reductions(table);
  fill_index_reductions(table);
}

} // namespace COREPY_NAMESPACE
