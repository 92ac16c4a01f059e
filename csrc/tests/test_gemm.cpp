// Matmul kernels against a scalar chain written from the definition, bit for bit.
// Build with the sources and flags of one level:
//   g++ -std=c++20 -O1 -g -march=x86-64-v3 -ffp-contract=off -fsanitize=address,undefined
//       -DCOREPY_LEVEL=x86_64_v3 -Iinclude -Isrc src/gemm.cpp tests/test_gemm.cpp
#include "level.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace {

size_t passed, failed;
corepy_kernels table;

void check(bool ok, const char *dtype, const char *what, size_t m, size_t n, size_t k) {
  if (ok) {
    passed++;
    return;
  }
  failed++;
  printf("FAILED %s %s: %zu x %zu x %zu\n", dtype, what, m, n, k);
}

uint64_t random_state = 88172645463325252u;
uint64_t random_bits() { // xorshift64, Marsaglia 2003
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

// The definition, one element at a time.
float chain(float t, float a, float b) { return __builtin_fmaf(a, b, t); }
double chain(double t, double a, double b) { return __builtin_fma(a, b, t); }
template <class C>
C complex_chain(C t, C a, C b) {
  const auto re = chain(chain(t.re, a.re, b.re), -a.im, b.im);
  const auto im = chain(chain(t.im, a.re, b.im), a.im, b.re);
  return {re, im};
}
corepy_complex64 chain(corepy_complex64 t, corepy_complex64 a, corepy_complex64 b) {
  return complex_chain(t, a, b);
}
corepy_complex128 chain(corepy_complex128 t, corepy_complex128 a, corepy_complex128 b) {
  return complex_chain(t, a, b);
}
template <class T>
T chain(T t, T a, T b) {
  T product, sum; // the low bits of the exact value are the wrapped result
  __builtin_mul_overflow(a, b, &product);
  __builtin_add_overflow(t, product, &sum);
  return sum;
}
template <class T>
T plus(T a, T b) {
  T sum;
  __builtin_add_overflow(a, b, &sum);
  return sum;
}
template <>
float plus(float a, float b) {
  return a + b;
}
template <>
double plus(double a, double b) {
  return a + b;
}
template <>
corepy_complex64 plus(corepy_complex64 a, corepy_complex64 b) {
  return {a.re + b.re, a.im + b.im};
}
template <>
corepy_complex128 plus(corepy_complex128 a, corepy_complex128 b) {
  return {a.re + b.re, a.im + b.im};
}

enum Values { ordinary, special };

template <class F>
F random_real(Values values) {
  if (values == special) {
    const F list[] = {F(0.0),      F(-0.0),   F(1),       F(-1),    F(__builtin_inf()),
                      F(1.5e-38f), F(1e-45f), F(-1e-45f), F(3e38f), F(-__builtin_inf())};
    // Infinities are rare, so that most results are not NaN.
    const size_t i = random_bits() % 64;
    return i < 10 ? list[i] : list[i % 4];
  }
  return F(int64_t(random_bits()) >> 16) / F(int64_t(1) << 40);
}
template <class T>
T random_value(Values) {
  return T(random_bits());
}
template <>
float random_value<float>(Values v) {
  return random_real<float>(v);
}
template <>
double random_value<double>(Values v) {
  return random_real<double>(v);
}
template <>
corepy_complex64 random_value<corepy_complex64>(Values v) {
  const float re = random_real<float>(v);
  return {re, random_real<float>(v)};
}
template <>
corepy_complex128 random_value<corepy_complex128>(Values v) {
  const double re = random_real<double>(v);
  return {re, random_real<double>(v)};
}

// Bits must agree up to NaN.
bool same(float a, float b) { return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0; }
bool same(double a, double b) { return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0; }
bool same(corepy_complex64 a, corepy_complex64 b) { return same(a.re, b.re) && same(a.im, b.im); }
bool same(corepy_complex128 a, corepy_complex128 b) { return same(a.re, b.re) && same(a.im, b.im); }
template <class T>
bool same(T a, T b) {
  return a == b;
}

template <class T>
T read(const char *p) {
  T v;
  memcpy(&v, p, sizeof v);
  return v;
}

// A rows x cols matrix in memory of exactly the size it needs (so that ASan sees any byte beyond),
// in one of several layouts.
struct Matrix {
  char *memory;
  char *data;
  ptrdiff_t row, column;
};
enum Layout { c_order, f_order, spread, reversed, f_reversed, misaligned, layouts };

template <class T>
Matrix make(size_t rows, size_t cols, Layout layout, Values values) {
  const ptrdiff_t size = sizeof(T), r = ptrdiff_t(rows), c = ptrdiff_t(cols);
  ptrdiff_t row = c * size, column = size, start = 0;
  size_t bytes = rows * cols * sizeof(T);
  if (layout == f_order || layout == f_reversed) {
    row = size;
    column = r * size;
  } else if (layout == spread) {
    column = 2 * size;
    row = (2 * c + 1) * size;
    bytes = size_t(row) * rows;
  } else if (layout == misaligned) {
    start = 1;
    bytes += 1;
  }
  if (layout == reversed || layout == f_reversed) {
    start = (r > 0 && c > 0) ? (r - 1) * row + (c - 1) * column : 0;
    row = -row;
    column = -column;
  }
  Matrix m{static_cast<char *>(malloc(bytes ? bytes : 1)), nullptr, row, column};
  m.data = m.memory + start;
  for (ptrdiff_t i = 0; i < r; i++)
    for (ptrdiff_t j = 0; j < c; j++) {
      const T v = random_value<T>(values);
      memcpy(m.data + i * row + j * column, &v, sizeof v);
    }
  return m;
}

template <class T>
T *expected(const Matrix &a, const Matrix &b, size_t m, size_t n, size_t k) {
  T *c = static_cast<T *>(malloc(m * n * sizeof(T)));
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      T result{};
      for (size_t first = 0; first < k; first += 256) {
        T total{};
        for (size_t p = first; p < k && p < first + 256; p++)
          total = chain(total, read<T>(a.data + ptrdiff_t(i) * a.row + ptrdiff_t(p) * a.column),
                        read<T>(b.data + ptrdiff_t(p) * b.row + ptrdiff_t(j) * b.column));
        result = first == 0 ? total : plus(result, total);
      }
      c[i * n + j] = result;
    }
  return c;
}

template <class T>
bool equal(const T *want, const char *got, ptrdiff_t row, size_t m, size_t n) {
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++)
      if (!same(want[i * n + j], read<T>(got + ptrdiff_t(i) * row + ptrdiff_t(j * sizeof(T)))))
        return false;
  return true;
}

size_t groups(size_t n, size_t group) { return (n + group - 1) / group * group; }

// A matrix with lanes for rows, times `count` columns of x, against `want` = m x n elements of
// which lanes are the rows (matrix_first) or the columns.
template <class T>
void vectors(const corepy_gemm &g, const char *name, const Matrix &matrix, const Matrix &x,
             const T *want, size_t m, size_t n, size_t k, size_t count, bool matrix_first) {
  const size_t size = sizeof(T), lanes = matrix_first ? m : n, panels = (k + 255) / 256;
  const auto wanted = [&](size_t lane, size_t v) {
    return matrix_first ? want[lane * n + v] : want[v * n + lane];
  };
  // Vectors one after the other, and side by side.
  for (int beside = 0; beside < 2; beside++) {
    const ptrdiff_t c_lane = ptrdiff_t(beside ? count * size : size);
    const ptrdiff_t c_vector = ptrdiff_t(beside ? size : lanes * size);
    const size_t bytes = lanes * count * size;
    char *c = static_cast<char *>(malloc(bytes));
    g.vector(c, c_lane, c_vector, 0, x.data, x.row, x.column, matrix.data, matrix.row,
             matrix.column, lanes, k, count, 0, matrix_first);
    bool ok = true;
    for (size_t lane = 0; lane < lanes; lane++)
      for (size_t v = 0; v < count; v++)
        ok = ok &&
             same(read<T>(c + ptrdiff_t(lane) * c_lane + ptrdiff_t(v) * c_vector), wanted(lane, v));
    check(ok, name, matrix_first ? "matrix x vectors" : "vectors x matrix", m, n, k);
    char *each = static_cast<char *>(malloc(bytes * panels));
    g.vector(each, c_lane, c_vector, ptrdiff_t(bytes), x.data, x.row, x.column, matrix.data,
             matrix.row, matrix.column, lanes, k, count, 0, matrix_first);
    // The second panel once more, added to what the first gave.
    if (k > 256)
      g.vector(each, c_lane, c_vector, 0, x.data + 256 * x.row, x.row, x.column,
               matrix.data + 256 * matrix.column, matrix.row, matrix.column, lanes,
               k > 512 ? 256 : k - 256, count, 1, matrix_first);
    ok = true;
    for (size_t lane = 0; lane < lanes; lane++)
      for (size_t v = 0; v < count; v++) {
        const char *at = each + ptrdiff_t(lane) * c_lane + ptrdiff_t(v) * c_vector;
        T sum = read<T>(at);
        for (size_t panel = 2; panel < panels; panel++)
          sum = plus(sum, read<T>(at + ptrdiff_t(panel * bytes)));
        ok = ok && same(sum, wanted(lane, v));
      }
    check(ok, name, "totals of panels", m, n, k);
    free(each);
    free(c);
  }
}

template <class T>
void product(const corepy_gemm &g, const char *name, size_t m, size_t n, size_t k, Layout la,
             Layout lb, Values values) {
  const Matrix a = make<T>(m, k, la, values), b = make<T>(k, n, lb, values);
  T *want = expected<T>(a, b, m, n, k);
  // The rows of c lie apart; what lies between must not change.
  const size_t gap = 3 * sizeof(T);
  const size_t row = n * sizeof(T) + gap, bytes = m * row;
  char *c = static_cast<char *>(malloc(bytes));
  memset(c, 0x5a, bytes);
  char *ap = static_cast<char *>(malloc(groups(m, g.mr) * 256 * g.packed_bytes));
  char *bp = static_cast<char *>(malloc(groups(n, g.nr) * 256 * g.packed_bytes));
  for (size_t first = 0; first < k; first += 256) {
    const size_t depth = k - first < 256 ? k - first : 256;
    // Exactly as much as is needed, so that ASan sees a packing that goes beyond.
    ap = static_cast<char *>(realloc(ap, groups(m, g.mr) * depth * g.packed_bytes));
    bp = static_cast<char *>(realloc(bp, groups(n, g.nr) * depth * g.packed_bytes));
    g.pack_a(ap, a.data + ptrdiff_t(first) * a.column, a.row, a.column, m, depth);
    g.pack_b(bp, b.data + ptrdiff_t(first) * b.row, b.column, b.row, n, depth);
    g.block(c, ptrdiff_t(row), ap, bp, m, n, depth, first != 0);
  }
  check(equal(want, c, ptrdiff_t(row), m, n), name, "block", m, n, k);
  bool kept = true;
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < gap; j++)
      kept = kept && c[i * row + n * sizeof(T) + j] == 0x5a;
  check(kept, name, "block keeps what lies between rows", m, n, k);

  char *dense = static_cast<char *>(malloc(m * n * sizeof(T)));
  g.small(dense, a.data, a.row, a.column, b.data, b.row, b.column, m, n, k);
  check(equal(want, dense, ptrdiff_t(n * sizeof(T)), m, n), name, "small", m, n, k);

  // Columns of b after a, and rows of a before b; all panels at once, or the total of each.
  const size_t counts[] = {1, 2, 3, 4, 5, 7, COREPY_MOST_VECTORS};
  for (size_t count : counts) {
    if (count <= n)
      vectors<T>(g, name, a, {nullptr, b.data, b.row, b.column}, want, m, n, k, count, true);
    if (count <= m)
      vectors<T>(g, name, {nullptr, b.data, b.column, b.row}, {nullptr, a.data, a.column, a.row},
                 want, m, n, k, count, false);
  }
  free(dense);
  free(ap);
  free(bp);
  free(c);
  free(want);
  free(a.memory);
  free(b.memory);
}

template <class T>
void dtype(const corepy_gemm &g, const char *name) {
  const bool filled = g.pack_a && g.pack_b && g.block && g.vector && g.small && g.mr && g.nr;
  check(filled && g.packed_bytes >= sizeof(T), name, "filled", g.mr, g.nr, g.packed_bytes);
  // Around the register tile, the vector and the panel.
  const size_t rows[] = {1, 2, g.mr - 1, g.mr, g.mr + 1, 2 * g.mr + 5};
  const size_t cols[] = {1, g.nr / 2, g.nr / 2 + 1, g.nr - 1, g.nr, g.nr + 1, 2 * g.nr + 3};
  const size_t depths[] = {1, 3, 64, 255, 256, 257, 513};
  unsigned turn = 0;
  for (size_t m : rows)
    for (size_t n : cols)
      for (size_t k : depths) {
        if (m == 0 || n == 0)
          continue;
        const auto la = Layout(turn % layouts), lb = Layout(turn / layouts % layouts);
        product<T>(g, name, m, n, k, la, lb, turn % 5 == 4 ? special : ordinary);
        turn++;
      }
  for (unsigned la = 0; la < layouts; la++)
    for (unsigned lb = 0; lb < layouts; lb++)
      product<T>(g, name, g.mr + 1, g.nr + 1, 70, Layout(la), Layout(lb), special);
  // More lanes than are transposed at once, panels side by side, and rows a multiple of 1 KiB
  // apart.
  const size_t deep[] = {19, 256, 261, 4 * 256 + 5, 9 * 256 + 40};
  for (size_t k : deep) {
    product<T>(g, name, 4 * g.nr + 3, 2, k, c_order, f_order, special);
    product<T>(g, name, 5, 4 * g.nr + 3, k, c_order, f_order, ordinary);
    product<T>(g, name, 2 * g.nr + 3, 9, k, f_order, c_order, ordinary);
    product<T>(g, name, 9, 3, k, misaligned, misaligned, special);
  }
  product<T>(g, name, 4 * g.nr + 1, 2, 4096 / sizeof(T), c_order, c_order, special);
  // Longer than the strip of totals that `vector` keeps in the L1 cache, with a few lanes after it.
  product<T>(g, name, 2, 4096 / sizeof(T) + 5, 261, c_order, c_order, ordinary);
  product<T>(g, name, 2, 4096 / sizeof(T) + g.nr + 1, 9, f_order, c_order, ordinary);
}

// The order of the chain shows: a result that only a rising fma chain in panels of 256 gives.
void order() {
  const corepy_gemm &g = table.gemm[COREPY_DTYPE_FLOAT32];
  float a[257], b[257], c = -1;
  for (float &v : a)
    v = 0;
  for (float &v : b)
    v = 1;
  a[0] = 16777216.0f; // 2^24: adding 1 to it is lost
  a[1] = 1;
  a[256] = 1;
  g.small(&c, a, 0, sizeof(float), b, sizeof(float), 0, 1, 1, 257);
  check(c == 16777216.0f, "float32", "order of panels", 1, 1, 257);
  a[1] = 0;
  a[255] = 1;
  a[254] = -16777216.0f;
  g.small(&c, a, 0, sizeof(float), b, sizeof(float), 0, 1, 1, 257);
  check(c == 2.0f, "float32", "rising order", 1, 1, 257);
  a[0] = a[254] = a[255] = a[256] = 0;
  a[3] = 16777217.0f / 4096; // fma: the product is not rounded before it is added
  const float e = 1.0f + 1.0f / 4194304;
  a[3] = e;
  b[3] = e;
  a[4] = -1;
  b[4] = 1.0f + 1.0f / 2097152;
  g.small(&c, a, 0, sizeof(float), b, sizeof(float), 0, 1, 1, 5);
  check(c == 0.0f, "float32", "rounded product first", 1, 1, 5);
  a[2] = -1;
  b[2] = 1.0f + 1.0f / 2097152;
  a[4] = 0;
  g.small(&c, a, 0, sizeof(float), b, sizeof(float), 0, 1, 1, 5);
  check(c == 5.684341886080802e-14f, "float32", "product not rounded", 1, 1, 5);
}

} // namespace

int main() {
  COREPY_NAMESPACE::fill_gemm(&table);
#define COREPY_TEST(NAME, T) dtype<T>(table.gemm[COREPY_DTYPE_##NAME], #NAME);
  COREPY_NUMERIC_DTYPES(COREPY_TEST)
#undef COREPY_TEST
  order();
  check(!table.gemm[COREPY_DTYPE_BOOL].block && !table.gemm[COREPY_DTYPE_FLOAT16].block &&
            !table.gemm[COREPY_DTYPE_BFLOAT16].block,
        "bool, float16, bfloat16", "stay empty", 0, 0, 0);
  printf("%zu passed, %zu failed\n", passed, failed);
  return failed != 0;
}
