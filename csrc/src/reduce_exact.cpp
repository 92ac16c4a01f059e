// Fills the correctly rounded sums.
#include "reduce_exact.h"
#include "reduce_fill.h"

namespace COREPY_NAMESPACE {
namespace {

template <class T, size_t REPEAT>
void fill(corepy_kernels *table, int dtype) {
  ExactSum<T, REPEAT>::register_in(&table->reductions[COREPY_REDUCE_EXACT_SUM][dtype]);
  Superaccumulation<T, REPEAT>::register_in(
      &table->reductions[COREPY_REDUCE_SUPERACCUMULATOR][dtype]);
}

} // namespace

void fill_exact_reductions(corepy_kernels *table) {
  fill<float, 1>(table, COREPY_DTYPE_FLOAT32);
  fill<double, 1>(table, COREPY_DTYPE_FLOAT64);
  fill<float, 2>(table, COREPY_DTYPE_COMPLEX64);
  fill<double, 2>(table, COREPY_DTYPE_COMPLEX128);
}

} // namespace COREPY_NAMESPACE
