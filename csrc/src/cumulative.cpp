// Fills the running sums and products of the dtypes that they accumulate in.
#include "cumulative.h"

namespace COREPY_NAMESPACE {
namespace {

void fill_integer(corepy_kernels *table, int dtype) {
  RunningInteger<false>::register_in(&table->cumulative[COREPY_CUMULATIVE_SUM][dtype]);
  RunningInteger<true>::register_in(&table->cumulative[COREPY_CUMULATIVE_PROD][dtype]);
}

template <class T>
void fill_real(corepy_kernels *table, int dtype) {
  Running<RunningSum<T, 1>>::register_in(&table->cumulative[COREPY_CUMULATIVE_SUM][dtype]);
  Running<RunningProduct<Product<T>>>::register_in(
      &table->cumulative[COREPY_CUMULATIVE_PROD][dtype]);
}

template <class T>
void fill_complex(corepy_kernels *table, int dtype) {
  Running<RunningSum<T, 2>>::register_in(&table->cumulative[COREPY_CUMULATIVE_SUM][dtype]);
  Running<RunningProduct<ComplexProduct<T>>>::register_in(
      &table->cumulative[COREPY_CUMULATIVE_PROD][dtype]);
}

} // namespace

void fill_cumulative(corepy_kernels *table) {
  fill_integer(table, COREPY_DTYPE_INT64);
  fill_integer(table, COREPY_DTYPE_UINT64);
  fill_real<float>(table, COREPY_DTYPE_FLOAT32);
  fill_real<double>(table, COREPY_DTYPE_FLOAT64);
  fill_complex<float>(table, COREPY_DTYPE_COMPLEX64);
  fill_complex<double>(table, COREPY_DTYPE_COMPLEX128);
}

} // namespace COREPY_NAMESPACE
