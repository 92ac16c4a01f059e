// Fills the float and complex reductions whose order of operations is fixed.
#include "reduce_fill.h"
#include "reduce_ordered.h"

namespace COREPY_NAMESPACE {
namespace {

template <class F>
void fill(corepy_kernels *table, int op, int dtype) {
  Ordered<F>::register_in(&table->reductions[op][dtype]);
}

template <class T>
void fill_real(corepy_kernels *table, int dtype) {
  fill<Sum<T, 1>>(table, COREPY_REDUCE_SUM, dtype);
  fill<Product<T>>(table, COREPY_REDUCE_PROD, dtype);
  fill<Mean<T, 1>>(table, COREPY_REDUCE_MEAN, dtype);
  fill<Center<T>>(table, COREPY_REDUCE_CENTER, dtype);
  fill<Variance<T>>(table, COREPY_REDUCE_VAR, dtype);
  fill<Deviation<T>>(table, COREPY_REDUCE_STD, dtype);
  fill<Dot<T>>(table, COREPY_REDUCE_VECDOT, dtype);
  fill<Dot<T>>(table, COREPY_REDUCE_DOT, dtype);
}

template <class T>
void fill_complex(corepy_kernels *table, int dtype) {
  fill<Sum<T, 2>>(table, COREPY_REDUCE_SUM, dtype);
  fill<ComplexProduct<T>>(table, COREPY_REDUCE_PROD, dtype);
  fill<Mean<T, 2>>(table, COREPY_REDUCE_MEAN, dtype);
  fill<ComplexDot<T, true>>(table, COREPY_REDUCE_VECDOT, dtype);
  fill<ComplexDot<T, false>>(table, COREPY_REDUCE_DOT, dtype);
}

} // namespace

void fill_float_reductions(corepy_kernels *table) {
  fill_real<float>(table, COREPY_DTYPE_FLOAT32);
  fill_real<double>(table, COREPY_DTYPE_FLOAT64);
  fill_complex<float>(table, COREPY_DTYPE_COMPLEX64);
  fill_complex<double>(table, COREPY_DTYPE_COMPLEX128);
}

} // namespace COREPY_NAMESPACE
