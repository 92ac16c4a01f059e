// The parts of fill_reductions, one a source file.
#pragma once

#include "level.h"

namespace COREPY_NAMESPACE {
void fill_float_reductions(corepy_kernels *table);
void fill_exact_reductions(corepy_kernels *table);
void fill_free_reductions(corepy_kernels *table);
void fill_index_reductions(corepy_kernels *table);
} // namespace COREPY_NAMESPACE
