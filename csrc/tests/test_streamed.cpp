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

void test_unary(const Level &level) {
  for (int op = 0; op < COREPY_UNARY_OPS; op++)
    for (int dtype = 0; dtype < COREPY_DTYPES; dtype++) {
      corepy_unary plain = level.table.unary[op][dtype];
      corepy_unary streamed = level.table.unary_streamed[op][dtype];
      if (streamed)
        compare(
            "unary", level.name, op, KINDS[dtype], KINDS[dtype].bytes, 1,
            [=](Bytes out, Bytes a, Bytes, size_t n) { plain(out, a, n); },
            [=](Bytes out, Bytes a, Bytes, size_t n) { streamed(out, a, n); });
    }
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
    for (int to = 0; to < COREPY_DTYPES; to++) {
      corepy_cast plain = level.table.cast[from][to];
      corepy_cast streamed = level.table.cast_streamed[from][to];
      if (streamed)
        compare(
            "cast", level.name, from, KINDS[to], KINDS[from].bytes, 1,
            [=](Bytes out, Bytes a, Bytes, size_t n) { plain(out, a, n); },
            [=](Bytes out, Bytes a, Bytes, size_t n) { streamed(out, a, n); });
    }
}

} // namespace

int main() {
  std::vector<Level> all = levels();
  if (all.empty())
    return finish();
  for (const Level &level : all) {
    test_unary(level);
    test_binary(level);
    test_cast(level);
  }
  // Levels without such stores have no such kernels; this machine may run no other level.
  return checks_failed == 0 && checks_passed == 0 ? 0 : finish();
}
