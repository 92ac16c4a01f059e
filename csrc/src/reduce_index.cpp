// Fills argmin and argmax.
#include "reduce_index.h"
#include "reduce_fill.h"

namespace COREPY_NAMESPACE {
namespace {

template <class E>
void fill(corepy_kernels *table, int dtype) {
  ArgExtreme<E, false>::register_in(&table->reductions[COREPY_REDUCE_ARGMIN][dtype]);
  ArgExtreme<E, true>::register_in(&table->reductions[COREPY_REDUCE_ARGMAX][dtype]);
}

} // namespace

void fill_index_reductions(corepy_kernels *table) {
  fill<Boolean>(table, COREPY_DTYPE_BOOL);
  fill<Real<int8_t>>(table, COREPY_DTYPE_INT8);
  fill<Real<int16_t>>(table, COREPY_DTYPE_INT16);
  fill<Real<int32_t>>(table, COREPY_DTYPE_INT32);
  fill<Real<int64_t>>(table, COREPY_DTYPE_INT64);
  fill<Real<uint8_t>>(table, COREPY_DTYPE_UINT8);
  fill<Real<uint16_t>>(table, COREPY_DTYPE_UINT16);
  fill<Real<uint32_t>>(table, COREPY_DTYPE_UINT32);
  fill<Real<uint64_t>>(table, COREPY_DTYPE_UINT64);
  fill<Real<float>>(table, COREPY_DTYPE_FLOAT32);
  fill<Real<double>>(table, COREPY_DTYPE_FLOAT64);
}

} // namespace COREPY_NAMESPACE
