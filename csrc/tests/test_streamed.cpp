// Tests that kernels which store past the caches write the bits of those that do not, whether the
// output begins with a line or not.
#include "harness.h"

namespace {

const size_t COUNTS[] = {0, 1, 7, 16, 33, 200, 1029};

struct Kind {
  const char *name;
  size_t bytes;
  bool (*same)(const unsigned char *, const unsigned char *);
};

template <class T>
Kind kind(const char *name) {
  return {name, sizeof(T), [](const unsigned char *a, const unsigned char *b) {
            T x, y;
            std::memcpy(&x, a, sizeof(T));
            std::memcpy(&y, b, sizeof(T));
            return same(x, y);
          }};
}

#define COREPY_KIND(DTYPE, T) kind<T>(#DTYPE),
const Kind KINDS[] = {COREPY_STORAGE_DTYPES(COREPY_KIND)};

void fill_random(Memory &memory, size_t bytes, uint64_t seed) {
  Random random{seed};
  for (size_t i = 0; i < bytes; i++)
    memory.data()[i] = uint8_t(random.next());
}

// Calls both with an output and operands of n elements of some bytes each, at every place of the
// output in its line that matters; the operands lie at any.
template <class Plain, class Streamed>
void compare(const char *what, const char *level, int row, const Kind &to, size_t a_bytes,
             size_t b_bytes, Plain plain, Streamed streamed) {
  for (size_t n : COUNTS)
    for (size_t offset : {size_t(0), to.bytes, size_t(32)}) {
      Memory a((n + 1) * a_bytes, 0), b((n + 1) * b_bytes, b_bytes);
      Memory wanted(n * to.bytes, 0, 64), out(n * to.bytes, offset, 64);
      fill_random(a, (n + 1) * a_bytes, n);
      fill_random(b, (n + 1) * b_bytes, n + 1);
      plain(wanted.data(), a.data(), b.data(), n);
      streamed(out.data(), a.data(), b.data(), n);
      bool right = out.guards_intact();
      for (size_t i = 0; i < n && right; i++)
        right = to.same(out.data() + i * to.bytes, wanted.data() + i * to.bytes);
      check(right, "streamed %s %d to %s at %s: n = %zu, offset %zu", what, row, to.name, level, n,
            offset);
    }
}

using Bytes = unsigned char *;

// Kernels of one operand, by what they are for: operations of a dtype, conversions between two.
template <class Kernel>
void test_one_operand(const char *what, const Level &level, int row, const Kind &to,
                      const Kind &from, Kernel plain, Kernel streamed) {
  if (streamed)
    compare(
        what, level.name, row, to, from.bytes, 1,
        [=](Bytes out, Bytes a, Bytes, size_t n) { plain(out, a, n); },
        [=](Bytes out, Bytes a, Bytes, size_t n) { streamed(out, a, n); });
}

void test_unary(const Level &level) {
  for (int op = 0; op < COREPY_UNARY_OPS; op++)
    for (int dtype = 0; dtype < COREPY_DTYPES; dtype++)
      test_one_operand("unary", level, op, KINDS[dtype], KINDS[dtype], level.table.unary[op][dtype],
                       level.table.unary_streamed[op][dtype]);
}

void test_binary(const Level &level) {
  for (int op = 0; op < COREPY_BINARY_OPS; op++)
    for (int dtype = 0; dtype < COREPY_DTYPES; dtype++)
      for (int form = 0; form < COREPY_FORMS; form++) {
        corepy_binary plain = level.table.binary[op][dtype][form];
        corepy_binary streamed = level.table.binary_streamed[op][dtype][form];
        size_t bytes = KINDS[dtype].bytes;
        if (streamed)
          compare(
              "binary", level.name, op * COREPY_FORMS + form, KINDS[dtype], bytes, bytes,
              [=](Bytes out, Bytes a, Bytes b, size_t n) { plain(out, a, b, n); },
              [=](Bytes out, Bytes a, Bytes b, size_t n) { streamed(out, a, b, n); });
      }
}

void test_cast(const Level &level) {
  for (int from = 0; from < COREPY_DTYPES; from++)
    for (int to = 0; to < COREPY_DTYPES; to++)
      test_one_operand("cast", level, from, KINDS[to], KINDS[from], level.table.cast[from][to],
                       level.table.cast_streamed[from][to]);
}

// Some of every kind are there where the level has such stores, and none elsewhere.
void test_presence(const Level &level) {
  const bool expected = std::strncmp(level.name, "x86-64-v", 8) == 0;
  auto present = [&](const char *what, auto &slots) {
    using Slot = const void *;
    Slot found[sizeof slots / sizeof(Slot)];
    std::memcpy(found, slots, sizeof slots);
    bool any = false;
    for (Slot slot : found)
      any = any || slot;
    check(any == expected, "streamed kernels at %s: %s", level.name, what);
  };
  present("unary", level.table.unary_streamed);
  present("binary", level.table.binary_streamed);
  present("cast", level.table.cast_streamed);
}

} // namespace

int main() {
  for (const Level &level : levels()) {
    test_presence(level);
    test_unary(level);
    test_binary(level);
    test_cast(level);
  }
  return finish();
}
