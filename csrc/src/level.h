// What one SIMD level's objects share: the namespace, the entry points between files, bool.
#pragma once

#include "corepy_kernels.h"
#include "corepy_slots.h"

// The build compiles every source once per level with COREPY_LEVEL set to its identifier
// (portable, x86_64_v3, x86_64_v4, aarch64) and with that level's machine flags. Everything except
// the fill functions below lives in an unnamed namespace, so that no template instance becomes a
// weak symbol that the linker could share between levels.
#ifndef COREPY_LEVEL
#define COREPY_LEVEL portable
#endif

#define COREPY_JOIN_(a, b) a##b
#define COREPY_JOIN(a, b) COREPY_JOIN_(a, b)
#define COREPY_NAMESPACE COREPY_JOIN(corepy_, COREPY_LEVEL)

// Keeps one copy of a loop that several callers share: the kernels of one level stay small.
#define COREPY_OUT_OF_LINE __attribute__((noinline))

// Element of a bool tensor. Imported memory may hold any byte, so a kernel tests it against 0 and
// never assumes 0 or 1; what a kernel writes is 0 or 1.
enum corepy_bool : uint8_t {};

namespace COREPY_NAMESPACE {
void fill_elementwise(corepy_kernels *table);
void fill_moves(corepy_kernels *table);
void fill_reductions(corepy_kernels *table);
void fill_cumulative(corepy_kernels *table);
void fill_gemm(corepy_kernels *table);
void fill_lanes(corepy_kernels *table);
} // namespace COREPY_NAMESPACE
