// Tests of the running sums and products of one level: bits against a scalar transcription.
#include "reductions.h"

namespace {

struct Pair {
  double s, c;
};

double error_of_sum(double a, double b) {
  const volatile double sum = a + b;
  const volatile double part = sum - a;
  const volatile double rest = sum - part;
  const volatile double left = a - rest;
  const volatile double right = b - part;
  return left + right;
}
double value(Pair p) { return p.c == 0 || !isfinite(p.c) ? p.s : p.s + p.c; }
Pair merge(Pair a, Pair b) {
  const double c = a.c + b.c;
  return {a.s + b.s, c + error_of_sum(a.s, b.s)};
}

using Z = C<double>;
bool is_one(Z z) {
  const Z one(1.0, 0.0);
  return same_bits(z, one);
}
Z times(Z a, Z b, bool complex) {
  if (!complex) {
    return {a.real() * b.real(), 0};
  }
  if (is_one(a) || is_one(b)) {
    return is_one(a) ? b : a;
  }
  const volatile double p = a.real() * b.real(), q = a.imag() * b.imag();
  const volatile double r = a.real() * b.imag(), t = a.imag() * b.real();
  return {p - q, r + t};
}

// The running totals of one line of PARTS-part elements, `step` parts apart.
template <class T, size_t PARTS>
std::vector<T> expected(int op, const T *x, size_t n, size_t step) {
  std::vector<T> out(n * PARTS);
  const bool pairs = sizeof(T) == 8;
  Pair carry[PARTS];
  for (Pair &each : carry) {
    each = {-0.0, 0.0};
  }
  Z product(1.0, 0.0);
  for (size_t first = 0; first < n; first += 1024) {
    Pair running[PARTS];
    for (Pair &each : running) {
      each = {-0.0, 0.0};
    }
    Z own(1.0, 0.0);
    for (size_t i = first; i < n && i < first + 1024; ++i) {
      if (op == COREPY_CUMULATIVE_PROD) {
        own = times(own, Z(x[i * step], PARTS == 2 ? x[i * step + PARTS - 1] : T(0)), PARTS == 2);
        const Z total = times(product, own, PARTS == 2);
        out[i * PARTS] = static_cast<T>(total.real());
        if (PARTS == 2) {
          out[i * PARTS + PARTS - 1] = static_cast<T>(total.imag());
        }
        continue;
      }
      for (size_t p = 0; p < PARTS; ++p) {
        const double term = static_cast<double>(x[i * step + p]);
        const double error = error_of_sum(running[p].s, term);
        running[p] = {running[p].s + term, pairs ? running[p].c + error : 0.0};
        out[i * PARTS + p] = static_cast<T>(pairs ? value(merge(carry[p], running[p]))
                                                  : value(carry[p]) + running[p].s);
      }
    }
    for (size_t p = 0; p < PARTS; ++p) {
      carry[p] = merge(carry[p], running[p]);
    }
    product = times(product, own, PARTS == 2);
  }
  return out;
}

template <class T>
T drawn(int op, int kind) {
  if (op == COREPY_CUMULATIVE_SUM) {
    return random_float<T>(kind);
  }
  const double unit = static_cast<double>(random_bits() >> 11) * 0x1p-53;
  return static_cast<T>((random_bits() & 1 ? 1 : -1) * (0.7 + 0.6 * unit));
}

template <class T, size_t PARTS>
bool agree(const T *got, size_t step, const std::vector<T> &want) {
  for (size_t i = 0; i < want.size(); ++i) {
    if (!same_float(got[i / PARTS * step + i % PARTS], want[i])) {
      return false;
    }
  }
  return true;
}

template <class T, size_t PARTS>
void floats(int dtype, const char *name) {
  for (const int op : {COREPY_CUMULATIVE_SUM, COREPY_CUMULATIVE_PROD}) {
    const corepy_cumulative &k = table.cumulative[op][dtype];
    for (int kind = 0; kind < 5; ++kind) {
      for (const size_t n : {1, 2, 7, 8, 9, 100, 1023, 1024, 1025, 2048, 3000, 8192, 8193, 10000}) {
        Buffer<T> x(n * PARTS, random_bits() % 3), out(n * PARTS, 1);
        for (size_t i = 0; i < n * PARTS; ++i) {
          x[i] = drawn<T>(op, kind);
        }
        const std::vector<T> want = expected<T, PARTS>(op, x.data(), n, PARTS);
        std::vector<char> carry(k.carry_bytes), total(k.total_bytes);
        k.start(carry.data(), total.data(), 1);
        k.line(out.data(), carry.data(), x.data(), n);
        check(agree<T, PARTS>(out.data(), PARTS, want), "line", name, static_cast<long>(n),
              op * 10 + kind);
        // In two passes, from a piece of some blocks on.
        const size_t blocks = (n + 1023) / 1024, half = blocks / 2;
        std::vector<char> totals(blocks * k.total_bytes);
        k.totals(totals.data(), x.data(), n);
        k.start(carry.data(), total.data(), 1);
        for (size_t b = 0; b < half; ++b) {
          k.absorb(carry.data(), totals.data() + b * k.total_bytes, 1);
        }
        const size_t first = half * 1024;
        k.line(out.data() + first * PARTS, carry.data(), x.data() + first * PARTS, n - first);
        check(agree<T, PARTS>(out.data(), PARTS, want), "two passes", name, static_cast<long>(n),
              op * 10 + kind);
      }
    }
    for (const size_t count : {1, 2, 3, 7, 8, 9, 17, 63, 64, 65, 130}) {
      for (const size_t n : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 32, 33, 70, 1024, 1029, 2100, 8300}) {
        if (count > 9 && n > 1100) {
          continue;
        }
        const size_t pitch = n + count % 3;
        Buffer<T> x(((count - 1) * pitch + n) * PARTS, 1);
        Buffer<T> out(count * n * PARTS, 1);
        for (size_t i = 0; i < ((count - 1) * pitch + n) * PARTS; ++i) {
          x[i] = drawn<T>(op, static_cast<int>(count % 3));
        }
        const ptrdiff_t item = PARTS * sizeof(T);
        k.lines(out.data(), static_cast<ptrdiff_t>(n) * item, x.data(),
                static_cast<ptrdiff_t>(pitch) * item, count, n);
        bool ok = true;
        for (size_t j = 0; j < count; ++j) {
          ok =
              ok && agree<T, PARTS>(out.data() + j * n * PARTS, PARTS,
                                    expected<T, PARTS>(op, x.data() + j * pitch * PARTS, n, PARTS));
        }
        check(ok, "lines", name, static_cast<long>(n), static_cast<long>(count * 10) + op);
      }
    }
    for (const size_t cols : {1, 2, 3, 4, 5, 7, 8, 9, 33}) {
      for (const size_t rows : {1, 2, 5, 9, 40, 1024, 1025, 2500}) {
        const size_t gap = rows % 2 == 0 ? 0 : 2;
        const size_t pitch = cols + gap;
        const size_t size = ((rows - 1) * pitch + cols) * PARTS;
        Buffer<T> x(size, 1), out(rows * cols * PARTS, 1);
        for (size_t i = 0; i < size; ++i) {
          x[i] = drawn<T>(op, static_cast<int>(cols % 3));
        }
        const ptrdiff_t item = PARTS * sizeof(T);
        std::vector<char> carry(cols * k.carry_bytes), running(cols * k.total_bytes),
            unused(cols * k.carry_bytes), again(cols * k.total_bytes);
        k.start(carry.data(), running.data(), cols);
        bool totals_agree = true;
        for (size_t first = 0; first < rows; first += 1024) {
          const size_t some = rows - first < 1024 ? rows - first : 1024;
          // In two steps, which may not show.
          k.start(unused.data(), running.data(), cols);
          k.start(unused.data(), again.data(), cols);
          const T *from = x.data() + first * pitch * PARTS;
          k.rows(nullptr, 0, nullptr, again.data(), from, static_cast<ptrdiff_t>(pitch) * item,
                 some, cols);
          const size_t part = some / 3;
          for (const bool behind : {false, true}) {
            const size_t at = behind ? part : 0;
            const size_t many = behind ? some - part : part;
            k.rows(out.data() + (first + at) * cols * PARTS, static_cast<ptrdiff_t>(cols) * item,
                   carry.data(), running.data(), from + at * pitch * PARTS,
                   static_cast<ptrdiff_t>(pitch) * item, many, cols);
          }
          totals_agree = totals_agree && same_results(again, running);
          k.absorb(carry.data(), running.data(), cols);
        }
        bool ok = true;
        for (size_t j = 0; j < cols; ++j) {
          ok = ok &&
               agree<T, PARTS>(out.data() + j * PARTS, cols * PARTS,
                               expected<T, PARTS>(op, x.data() + j * PARTS, rows, pitch * PARTS));
        }
        check(ok, "rows", name, static_cast<long>(rows), static_cast<long>(cols * 10) + op);
        check(totals_agree, "totals of rows", name, static_cast<long>(rows),
              static_cast<long>(cols * 10) + op);
      }
    }
  }
}

void integers(int dtype, const char *name) {
  for (const int op : {COREPY_CUMULATIVE_SUM, COREPY_CUMULATIVE_PROD}) {
    const corepy_cumulative &k = table.cumulative[op][dtype];
    auto join = [op](uint64_t a, uint64_t b) {
      return op == COREPY_CUMULATIVE_SUM ? a + b : a * b;
    };
    for (const size_t cols : {1, 2, 3, 4, 5, 17}) {
      for (const size_t n : {1, 3, 4, 7, 1023, 1024, 1025, 3000}) {
        Buffer<uint64_t> x(n * cols, 1), out(n * cols, 1);
        std::vector<uint64_t> want(n * cols);
        for (size_t i = 0; i < n * cols; ++i) {
          x[i] = random_bits() | 1;
          want[i] = i < cols ? x[i] : join(want[i - cols], x[i]);
        }
        std::vector<char> carry(cols * 8), running(cols * 8), unused(cols * 8);
        const ptrdiff_t row = static_cast<ptrdiff_t>(cols * 8);
        k.start(carry.data(), running.data(), cols);
        for (size_t first = 0; first < n; first += 1024) {
          k.start(unused.data(), running.data(), cols);
          k.rows(out.data() + first * cols, row, carry.data(), running.data(),
                 x.data() + first * cols, row, n - first < 1024 ? n - first : 1024, cols);
          k.absorb(carry.data(), running.data(), cols);
        }
        check(!memcmp(out.data(), want.data(), n * cols * 8), "rows", name, static_cast<long>(n),
              static_cast<long>(cols * 10) + op);
        if (cols == 1) {
          k.start(carry.data(), running.data(), 1);
          k.line(out.data(), carry.data(), x.data(), n);
          check(!memcmp(out.data(), want.data(), n * 8), "line", name, static_cast<long>(n), op);
          check(!memcmp(carry.data(), &want[n - 1], 8), "carry", name, static_cast<long>(n), op);
          std::vector<char> totals((n + 1023) / 1024 * 8);
          k.totals(totals.data(), x.data(), n);
          k.start(carry.data(), running.data(), 1);
          for (size_t at = 0; at < totals.size(); at += 8) {
            k.absorb(carry.data(), totals.data() + at, 1);
          }
          check(!memcmp(carry.data(), &want[n - 1], 8), "totals", name, static_cast<long>(n), op);
          k.lines(out.data(), 8, x.data(), 8, n, 1);
          check(!memcmp(out.data(), x.data(), n * 8), "lines", name, static_cast<long>(n), op);
        }
      }
    }
  }
}

} // namespace

int main() {
  COREPY_NAMESPACE::fill_cumulative(&table);
  floats<float, 1>(COREPY_DTYPE_FLOAT32, "float32");
  floats<double, 1>(COREPY_DTYPE_FLOAT64, "float64");
  floats<float, 2>(COREPY_DTYPE_COMPLEX64, "complex64");
  floats<double, 2>(COREPY_DTYPE_COMPLEX128, "complex128");
  integers(COREPY_DTYPE_INT64, "int64");
  integers(COREPY_DTYPE_UINT64, "uint64");
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
