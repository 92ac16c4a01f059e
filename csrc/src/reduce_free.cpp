// Fills the reductions that do not depend on the order, argmin and argmax aside.
#include "reduce_free.h"
#include "reduce_fill.h"
#include "reduce_products.h"

namespace COREPY_NAMESPACE {
namespace {

template <class F>
void fill(corepy_kernels *table, int op, int dtype) {
  Free<F>::register_in(&table->reductions[op][dtype]);
}

template <class E>
void fill_truth(corepy_kernels *table, int dtype) {
  fill<Truth<E, false>>(table, COREPY_REDUCE_ANY, dtype);
  fill<Truth<E, true>>(table, COREPY_REDUCE_ALL, dtype);
  fill<Count<E>>(table, COREPY_REDUCE_COUNT_NONZERO, dtype);
}

template <class E>
void fill_extremes(corepy_kernels *table, int dtype) {
  fill<Extreme<E, false>>(table, COREPY_REDUCE_MIN, dtype);
  fill<Extreme<E, true>>(table, COREPY_REDUCE_MAX, dtype);
}

template <class E, class WIDE>
void fill_integer(corepy_kernels *table, int dtype) {
  fill<SumInteger<E, WIDE>>(table, COREPY_REDUCE_SUM, dtype);
  fill<ProductInteger<E>>(table, COREPY_REDUCE_PROD, dtype);
  if constexpr (E::boolean) {
    fill<Truth<E, true>>(table, COREPY_REDUCE_MIN, dtype);
    fill<Truth<E, false>>(table, COREPY_REDUCE_MAX, dtype);
  } else {
    fill_extremes<E>(table, dtype);
  }
  fill_truth<E>(table, dtype);
  if constexpr (!E::boolean) {
    using T = typename E::In;
    DotInteger<T>::register_in(&table->reductions[COREPY_REDUCE_VECDOT][dtype]);
    DotInteger<T>::register_in(&table->reductions[COREPY_REDUCE_DOT][dtype]);
  }
}

} // namespace

void fill_free_reductions(corepy_kernels *table) {
  fill_integer<Boolean, uint16_t>(table, COREPY_DTYPE_BOOL);
  fill_integer<Real<int8_t>, int16_t>(table, COREPY_DTYPE_INT8);
  fill_integer<Real<int16_t>, int32_t>(table, COREPY_DTYPE_INT16);
  fill_integer<Real<int32_t>, int64_t>(table, COREPY_DTYPE_INT32);
  fill_integer<Real<int64_t>, uint64_t>(table, COREPY_DTYPE_INT64);
  fill_integer<Real<uint8_t>, uint16_t>(table, COREPY_DTYPE_UINT8);
  fill_integer<Real<uint16_t>, uint32_t>(table, COREPY_DTYPE_UINT16);
  fill_integer<Real<uint32_t>, uint64_t>(table, COREPY_DTYPE_UINT32);
  fill_integer<Real<uint64_t>, uint64_t>(table, COREPY_DTYPE_UINT64);
  fill_extremes<Real<float>>(table, COREPY_DTYPE_FLOAT32);
  fill_extremes<Real<double>>(table, COREPY_DTYPE_FLOAT64);
  fill_truth<Real<float>>(table, COREPY_DTYPE_FLOAT32);
  fill_truth<Real<double>>(table, COREPY_DTYPE_FLOAT64);
  fill_truth<Complex<float>>(table, COREPY_DTYPE_COMPLEX64);
  fill_truth<Complex<double>>(table, COREPY_DTYPE_COMPLEX128);
}

} // namespace COREPY_NAMESPACE
