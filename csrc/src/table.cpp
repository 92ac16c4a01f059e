// The entry point of one SIMD level: writes the level's kernels over those already in the table.
#include "level.h"

extern "C" void COREPY_JOIN(corepy_fill_, COREPY_LEVEL)(corepy_kernels *table) {
  table->abi_version = COREPY_ABI_VERSION;
  table->struct_bytes = sizeof(corepy_kernels);
  COREPY_NAMESPACE::fill_elementwise(table);
  COREPY_NAMESPACE::fill_moves(table);
  COREPY_NAMESPACE::fill_reductions(table);
  COREPY_NAMESPACE::fill_cumulative(table);
  COREPY_NAMESPACE::fill_gemm(table);
  COREPY_NAMESPACE::fill_lanes(table);
}
