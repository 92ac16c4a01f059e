// Tests of the ordered reductions of one level: bits against a scalar transcription of the order.
#include "reductions.h"

namespace {

struct Pair {
  double s, c;
};

// One part of an ordered reduction, as plain recursion over blocks: the definition.
struct Definition {
  bool compensated;
  bool product;

  Pair identity() const { return product ? Pair{1.0, 0.0} : Pair{-0.0, 0.0}; }
  static double error_of_sum(double a, double b) {
    const volatile double sum = a + b;
    const volatile double part = sum - a;
    const volatile double rest = sum - part;
    const volatile double left = a - rest;
    const volatile double right = b - part;
    return left + right;
  }
  Pair merge(Pair a, Pair b) const {
    if (product) {
      return {a.s * b.s, 0.0};
    }
    if (!compensated) {
      return {a.s + b.s, 0.0};
    }
    const double c = a.c + b.c;
    return {a.s + b.s, c + error_of_sum(a.s, b.s)};
  }
  Pair add(Pair a, double x, double error) const {
    if (product) {
      return {a.s * x, 0.0};
    }
    if (!compensated) {
      return {a.s + x, 0.0};
    }
    return {a.s + x, a.c + (error_of_sum(a.s, x) + error)};
  }
};

using Term = std::vector<Pair>; // the terms (value, error) of one element, in order

std::vector<Pair> tree(const Definition &d, const std::vector<Term> &terms, size_t first,
                       size_t blocks) {
  std::vector<Pair> stripes(16, d.identity());
  if (blocks == 1) {
    for (size_t i = first; i < first + 1024 && i < terms.size(); ++i) {
      for (const Pair &term : terms[i]) {
        stripes[i % 16] = d.add(stripes[i % 16], term.s, term.c);
      }
    }
    return stripes;
  }
  size_t left = 1;
  while (left * 2 < blocks) {
    left *= 2;
  }
  const std::vector<Pair> a = tree(d, terms, first, left);
  const std::vector<Pair> b = tree(d, terms, first + left * 1024, blocks - left);
  for (size_t s = 0; s < 16; ++s) {
    stripes[s] = d.merge(a[s], b[s]);
  }
  return stripes;
}

Pair folded(const Definition &d, const std::vector<Term> &terms) {
  std::vector<Pair> stripes = tree(d, terms, 0, (terms.size() + 1023) / 1024);
  for (size_t h = 8; h != 0; h /= 2) {
    for (size_t s = 0; s < h; ++s) {
      stripes[s] = d.merge(stripes[s], stripes[s + h]);
    }
  }
  return stripes[0];
}

double value(Pair p) { return p.c == 0 || !isfinite(p.c) ? p.s : p.s + p.c; }
double quotient(Pair p, double n, bool compensated) {
  const double q = p.s / n;
  const double r = (fma(-q, n, p.s) + p.c) / n;
  return !compensated || r == 0 || !isfinite(r) ? q : q + r;
}

template <class T>
Definition definition(int op) {
  return {sizeof(T) == 8 && op != COREPY_REDUCE_PROD, op == COREPY_REDUCE_PROD};
}

template <class T>
std::vector<Term> terms_of(int op, const T *a, const T *b, size_t n, double m) {
  std::vector<Term> terms(n);
  for (size_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(a[i]);
    if (op == COREPY_REDUCE_VAR || op == COREPY_REDUCE_STD) {
      const double d = x - m;
      const double p = d * d;
      terms[i] = {{p, fma(d, d, -p)}};
    } else if (op == COREPY_REDUCE_VECDOT || op == COREPY_REDUCE_DOT) {
      const double y = static_cast<double>(b[i]);
      terms[i] = {{x * y, fma(x, y, -(x * y))}};
    } else {
      terms[i] = {{x, 0.0}};
    }
  }
  return terms;
}

template <class T>
double expected(int op, const T *a, const T *b, size_t n, double correction) {
  const Definition d = definition<T>(op);
  double m = 0;
  if (op == COREPY_REDUCE_VAR || op == COREPY_REDUCE_STD) {
    m = expected<T>(COREPY_REDUCE_CENTER, a, nullptr, n, 0);
  }
  const Pair total = folded(d, terms_of(op, a, b, n, m));
  const double count = static_cast<double>(n);
  switch (op) {
  case COREPY_REDUCE_MEAN:
  case COREPY_REDUCE_CENTER:
    return quotient(total, count, d.compensated);
  case COREPY_REDUCE_VAR:
    return count - correction > 0 ? quotient(total, count - correction, d.compensated) : NAN;
  case COREPY_REDUCE_STD:
    return count - correction > 0 ? sqrt(quotient(total, count - correction, d.compensated)) : NAN;
  default:
    return d.compensated ? value(total) : total.s;
  }
}

template <class T>
void real_family(int op, int dtype, const char *name) {
  const corepy_reduction &r = table.reductions[op][dtype];
  const bool center = op == COREPY_REDUCE_CENTER;
  const bool centered = op == COREPY_REDUCE_VAR || op == COREPY_REDUCE_STD;
  const bool two = op == COREPY_REDUCE_VECDOT || op == COREPY_REDUCE_DOT;
  const size_t out_bytes = center ? 8 : sizeof(T);
  auto agrees = [&](const char *got, double want) {
    if (center) {
      double bits;
      memcpy(&bits, got, 8);
      return same_float(bits, want);
    }
    T bits;
    memcpy(&bits, got, sizeof bits);
    return same_float(bits, static_cast<T>(want));
  };
  for (int kind = 0; kind < 5; ++kind) {
    for (const size_t n : SIZES) {
      const size_t shift = random_bits() % 3;
      Buffer<T> a(n, shift), b(n, 1);
      for (size_t i = 0; i < n; ++i) {
        a[i] = random_float<T>(kind);
        b[i] = random_float<T>(kind == 2 && op != COREPY_REDUCE_PROD ? 1 : kind);
      }
      const double correction = n % 3 == 0 ? 1.0 : n == 7 ? 7.0 : 0.0;
      const double want = expected<T>(op, a.data(), b.data(), n, correction);
      const double divisor = static_cast<double>(n) - (centered ? correction : 0.0);
      double m = centered ? expected<T>(COREPY_REDUCE_CENTER, a.data(), nullptr, n, 0) : 0;
      const void *second = centered ? static_cast<const void *>(&m)
                           : two    ? static_cast<const void *>(b.data())
                                    : nullptr;
      std::vector<char> out(out_bytes);
      r.each(out.data(), a.data(), second, 1, 0, 0, n, divisor);
      check(agrees(out.data(), want), "each", name, static_cast<long>(n), op * 10 + kind);
      if (centered) {
        r.each(out.data(), a.data(), nullptr, 1, 0, 0, n, divisor);
        check(agrees(out.data(), want), "each, own center", name, static_cast<long>(n), op);
      }
      for (const size_t group : {size_t{1}, size_t{2}, size_t{4}, size_t{64}}) {
        const std::vector<char> got =
            grouped(r, reinterpret_cast<const char *>(a.data()), static_cast<const char *>(second),
                    sizeof(T), two ? sizeof(T) : 0, n, group, divisor, out_bytes);
        check(agrees(got.data(), want), "blocks", name, static_cast<long>(n), op * 10 + kind);
      }
    }
  }
  // Rows: dense and with gaps, upside down, narrow and wide.
  for (const size_t cols : {1, 2, 3, 5, 8, 16, 17, 31, 63, 64, 65, 100, 131}) {
    for (const size_t rows : {1, 15, 16, 17, 63, 64, 65, 100, 1023, 1024, 1040, 2500}) {
      if (cols > 20 && rows > 1100) {
        continue;
      }
      for (int layout = 0; layout < 3; ++layout) {
        const size_t pitch = cols + (layout == 1 ? 3 : 0);
        const size_t size = pitch * (rows - 1) + cols;
        Buffer<T> a(size, 1), b(size, 1);
        const int kind = static_cast<int>(random_bits() % 4);
        for (size_t i = 0; i < size; ++i) {
          a[i] = random_float<T>(kind);
          b[i] = random_float<T>(1);
        }
        ptrdiff_t stride = static_cast<ptrdiff_t>(pitch * sizeof(T));
        const char *start = reinterpret_cast<const char *>(a.data());
        const char *other = reinterpret_cast<const char *>(b.data());
        if (layout == 2) {
          if (two) {
            continue;
          }
          start += stride * static_cast<ptrdiff_t>(rows - 1);
          stride = -stride;
        }
        std::vector<double> want(cols), centers(cols);
        for (size_t j = 0; j < cols; ++j) {
          std::vector<T> x(rows), y(rows);
          for (size_t i = 0; i < rows; ++i) {
            memcpy(&x[i], start + static_cast<ptrdiff_t>(i) * stride + j * sizeof(T), sizeof(T));
            y[i] = b[i * pitch + j];
          }
          want[j] = expected<T>(op, x.data(), y.data(), rows, 0);
          centers[j] = expected<T>(COREPY_REDUCE_CENTER, x.data(), nullptr, rows, 0);
        }
        const char *second = centered ? reinterpret_cast<const char *>(centers.data())
                             : two    ? other
                                      : nullptr;
        const std::vector<char> got = by_rows(r, start, second, stride, two ? pitch * sizeof(T) : 0,
                                              rows, cols, static_cast<double>(rows), out_bytes);
        bool ok = true;
        for (size_t j = 0; j < cols; ++j) {
          ok = ok && agrees(got.data() + j * out_bytes, want[j]);
        }
        check(ok, "rows", name, static_cast<long>(rows), static_cast<long>(cols * 10) + op);
      }
    }
  }
}

// Every reduction through `runs`, against `each` over the same elements: two orders of the loops,
// both signs of the strides, every place in the stripes.
template <class T>
void runs_of(int op, int dtype, const char *name, size_t repeat = 1) {
  const corepy_reduction &r = table.reductions[op][dtype];
  if (r.runs == nullptr) {
    return;
  }
  const bool centered = op == COREPY_REDUCE_VAR || op == COREPY_REDUCE_STD;
  const size_t item = repeat * sizeof(T);
  const size_t out_bytes = op == COREPY_REDUCE_CENTER ? sizeof(double) : item;
  for (const size_t n :
       {size_t{1}, size_t{5}, size_t{40}, size_t{1000}, size_t{1024}, size_t{2500}}) {
    for (const size_t length : {size_t{1}, size_t{3}, size_t{7}, size_t{15}, size_t{16}, size_t{17},
                                size_t{24}, size_t{100}, size_t{500}}) {
      for (int layout = 0; layout < 4; ++layout) {
        const size_t units = 1 + random_bits() % 20;
        const size_t rows = (n + length - 1) / length;
        const bool unit_inside = layout % 2 == 0;
        const bool backward = layout >= 2;
        // Elements from one unit and from one run to the next.
        const size_t unit_step = unit_inside ? length : rows * (length + 1);
        const size_t run_step = unit_inside ? units * length + 1 : length + 1;
        const int kind = static_cast<int>(random_bits() % 4);
        Buffer<T> a(((units - 1) * unit_step + (rows - 1) * run_step + length) * repeat, 1);
        std::vector<T> apart(units * n * repeat);
        for (size_t i = 0; i < a.memory.size() - 1; ++i) {
          a[i] = random_float<T>(kind);
        }
        auto place = [&](size_t unit, size_t row) {
          return (unit_inside ? unit
                  : backward  ? units - 1 - unit
                              : unit) *
                     unit_step +
                 (backward ? rows - 1 - row : row) * run_step;
        };
        for (size_t unit = 0; unit < units; ++unit) {
          for (size_t i = 0; i < n * repeat; ++i) {
            const size_t row = i / repeat / length;
            apart[unit * n * repeat + i] =
                a[place(unit, row) * repeat + (i - row * length * repeat)];
          }
        }
        std::vector<double> centers(units);
        const double divisor = static_cast<double>(n);
        if (centered) {
          table.reductions[COREPY_REDUCE_CENTER][dtype].each(
              centers.data(), apart.data(), nullptr, units, static_cast<ptrdiff_t>(n * item), 0, n,
              divisor);
        }
        std::vector<char> want(units * out_bytes), got(units * out_bytes);
        r.each(want.data(), apart.data(), nullptr, units, static_cast<ptrdiff_t>(n * item), 0, n,
               divisor);
        const ptrdiff_t sign = backward ? -1 : 1;
        const ptrdiff_t run_stride = sign * static_cast<ptrdiff_t>(run_step * item);
        const ptrdiff_t unit_stride =
            (unit_inside ? 1 : sign) * static_cast<ptrdiff_t>(unit_step * item);
        std::vector<std::vector<char>> stack;
        for (size_t first = 0; first < n; first += 1024) {
          stack.emplace_back(16 * units * r.lane_bytes);
          const size_t count = n - first < 1024 ? n - first : 1024;
          for (size_t done = 0; done < count;) {
            const size_t row = (first + done) / length, column = (first + done) % length;
            const size_t left = count - done;
            const size_t whole = column == 0 ? left / length : 0;
            const size_t part = length - column < left ? length - column : left;
            const char *start =
                reinterpret_cast<const char *>(a.data()) + (place(0, row) + column) * item;
            r.runs(stack.back().data(), start, centered ? centers.data() : nullptr, units,
                   unit_stride, whole ? whole : 1, run_stride, whole ? length : part, done);
            done += whole ? whole * length : part;
          }
        }
        for (size_t apart_by = 1; apart_by < stack.size(); apart_by *= 2) {
          for (size_t i = 0; i + apart_by < stack.size(); i += 2 * apart_by) {
            r.merge(stack[i].data(), stack[i + apart_by].data(), 16 * units);
          }
        }
        r.finish_runs(got.data(), stack[0].data(), units, divisor);
        check(same_results(got, want), "runs", name, static_cast<long>(n),
              static_cast<long>(length * 100) + op);
      }
    }
  }
}

// The plain product, except that 1 + 0i leaves the other factor as it is.
C<double> multiply(C<double> a, C<double> b) {
  const C<double> one(1.0, 0.0);
  if (same_bits(a, one)) {
    return b;
  }
  if (same_bits(b, one)) {
    return a;
  }
  const volatile double p = a.real() * b.real(), q = a.imag() * b.imag();
  const volatile double s = a.real() * b.imag(), t = a.imag() * b.real();
  return {p - q, s + t};
}

std::vector<C<double>> product_tree(const std::vector<C<double>> &x, size_t first, size_t blocks) {
  std::vector<C<double>> stripes(16, C<double>(1.0, 0.0));
  if (blocks == 1) {
    for (size_t i = first; i < first + 1024 && i < x.size(); ++i) {
      stripes[i % 16] = multiply(stripes[i % 16], x[i]);
    }
    return stripes;
  }
  size_t left = 1;
  while (left * 2 < blocks) {
    left *= 2;
  }
  const auto a = product_tree(x, first, left);
  const auto b = product_tree(x, first + left * 1024, blocks - left);
  for (size_t s = 0; s < 16; ++s) {
    stripes[s] = multiply(a[s], b[s]);
  }
  return stripes;
}

template <class T>
C<T> complex_expected(int op, const std::vector<C<T>> &a, const std::vector<C<T>> &b) {
  const size_t n = a.size();
  if (op == COREPY_REDUCE_PROD) {
    std::vector<C<double>> x(a.begin(), a.end());
    auto stripes = product_tree(x, 0, (n + 1023) / 1024);
    for (size_t h = 8; h != 0; h /= 2) {
      for (size_t s = 0; s < h; ++s) {
        stripes[s] = multiply(stripes[s], stripes[s + h]);
      }
    }
    return {static_cast<T>(stripes[0].real()), static_cast<T>(stripes[0].imag())};
  }
  const Definition d = definition<T>(op);
  T parts[2];
  for (int part = 0; part < 2; ++part) {
    std::vector<Term> terms(n);
    for (size_t i = 0; i < n; ++i) {
      const double ar = a[i].real(), ai = a[i].imag(), br = b[i].real(), bi = b[i].imag();
      auto term = [](double x, double y) { return Pair{x * y, fma(x, y, -(x * y))}; };
      if (op == COREPY_REDUCE_SUM || op == COREPY_REDUCE_MEAN) {
        terms[i] = {{part == 0 ? ar : ai, 0.0}};
      } else if (op == COREPY_REDUCE_VECDOT) {
        terms[i] = part == 0 ? Term{term(ar, br), term(ai, bi)} : Term{term(ar, bi), term(-ai, br)};
      } else {
        terms[i] = part == 0 ? Term{term(ar, br), term(-ai, bi)} : Term{term(ar, bi), term(ai, br)};
      }
    }
    const Pair total = folded(d, terms);
    parts[part] = static_cast<T>(op == COREPY_REDUCE_MEAN
                                     ? quotient(total, static_cast<double>(n), d.compensated)
                                 : d.compensated ? value(total)
                                                 : total.s);
  }
  return {parts[0], parts[1]};
}

template <class T>
void complex_family(int op, int dtype, const char *name) {
  const corepy_reduction &r = table.reductions[op][dtype];
  const bool two = op == COREPY_REDUCE_VECDOT || op == COREPY_REDUCE_DOT;
  auto agrees = [](const char *got, C<T> want) {
    T parts[2];
    memcpy(parts, got, sizeof parts);
    return same_float(parts[0], want.real()) && same_float(parts[1], want.imag());
  };
  for (int kind = 0; kind < 4; ++kind) {
    for (const size_t n : SIZES) {
      std::vector<C<T>> a(n), b(n);
      for (size_t i = 0; i < n; ++i) {
        a[i] = {random_float<T>(kind), random_float<T>(kind)};
        b[i] = {random_float<T>(1), random_float<T>(kind)};
      }
      if (op == COREPY_REDUCE_PROD && n > 2) {
        a[n / 2] = {1, 0};
        a[n / 3] = {1, -0.0};
      }
      const C<T> want = complex_expected<T>(op, a, b);
      const double divisor = static_cast<double>(n);
      const char *second = two ? reinterpret_cast<const char *>(b.data()) : nullptr;
      std::vector<char> out(sizeof(C<T>));
      r.each(out.data(), a.data(), second, 1, 0, 0, n, divisor);
      check(agrees(out.data(), want), "each", name, static_cast<long>(n), op * 10 + kind);
      for (const size_t group : {size_t{1}, size_t{4}, size_t{64}}) {
        const auto got = grouped(r, reinterpret_cast<const char *>(a.data()), second, sizeof(C<T>),
                                 two ? sizeof(C<T>) : 0, n, group, divisor, sizeof(C<T>));
        check(agrees(got.data(), want), "blocks", name, static_cast<long>(n), op * 10 + kind);
      }
    }
  }
  for (const size_t cols : {1, 2, 3, 8, 31, 32, 33, 70}) {
    for (const size_t rows : {1, 16, 17, 65, 1024, 1100}) {
      for (const size_t gap : {0, 3}) {
        const size_t pitch = cols + gap;
        const size_t size = pitch * (rows - 1) + cols;
        std::vector<C<T>> a(size), b(size);
        for (size_t i = 0; i < size; ++i) {
          a[i] = {random_float<T>(1), random_float<T>(1)};
          b[i] = {random_float<T>(1), random_float<T>(1)};
        }
        const char *second = two ? reinterpret_cast<const char *>(b.data()) : nullptr;
        const auto got =
            by_rows(r, reinterpret_cast<const char *>(a.data()), second,
                    static_cast<ptrdiff_t>(pitch * sizeof(C<T>)), two ? pitch * sizeof(C<T>) : 0,
                    rows, cols, static_cast<double>(rows), sizeof(C<T>));
        bool ok = true;
        for (size_t j = 0; j < cols; ++j) {
          std::vector<C<T>> x(rows), y(rows);
          for (size_t i = 0; i < rows; ++i) {
            x[i] = a[i * pitch + j];
            y[i] = b[i * pitch + j];
          }
          ok = ok && agrees(got.data() + j * sizeof(C<T>), complex_expected<T>(op, x, y));
        }
        check(ok, "rows", name, static_cast<long>(rows), static_cast<long>(cols * 10) + op);
      }
    }
  }
}

template <class T>
void real_families(int dtype, const char *name) {
  for (const int op :
       {COREPY_REDUCE_SUM, COREPY_REDUCE_PROD, COREPY_REDUCE_MEAN, COREPY_REDUCE_VAR,
        COREPY_REDUCE_STD, COREPY_REDUCE_VECDOT, COREPY_REDUCE_DOT, COREPY_REDUCE_CENTER}) {
    real_family<T>(op, dtype, name);
  }
}

template <class T>
void complex_families(int dtype, const char *name) {
  for (const int op : {COREPY_REDUCE_SUM, COREPY_REDUCE_PROD, COREPY_REDUCE_MEAN,
                       COREPY_REDUCE_VECDOT, COREPY_REDUCE_DOT}) {
    complex_family<T>(op, dtype, name);
  }
}

// Many groups at once have the bits of each alone, whatever lies between them.
template <class T>
void many_groups(int op, int dtype, size_t repeat, const char *name) {
  const corepy_reduction &r = table.reductions[op][dtype];
  const bool two = op == COREPY_REDUCE_VECDOT || op == COREPY_REDUCE_DOT;
  const bool centered = op == COREPY_REDUCE_VAR || op == COREPY_REDUCE_STD;
  for (const size_t n : {1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 100, 1023, 1024, 1025}) {
    for (const size_t outer : {2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 130}) {
      if (n > 100 && outer > 20) {
        continue;
      }
      const size_t gap = outer % 2 == 0 ? 0 : 3;
      const size_t pitch = (n + gap) * repeat;
      const int kind = static_cast<int>((n + outer) % 3);
      Buffer<T> a(pitch * outer - gap * repeat, n % 2), b(pitch * outer - gap * repeat, 1);
      for (size_t i = 0; i < a.memory.size() - a.shift; ++i) {
        a[i] = random_float<T>(kind);
        b[i] = random_float<T>(kind == 2 ? 1 : kind);
      }
      std::vector<double> centers(outer);
      for (double &center : centers) {
        center = random_float<double>(0);
      }
      const double divisor = static_cast<double>(n);
      for (const bool back : {false, true}) {
        for (const bool own : {true, false}) {
          if (!own && !centered) {
            continue;
          }
          const ptrdiff_t stride = static_cast<ptrdiff_t>(pitch * sizeof(T)) * (back ? -1 : 1);
          const size_t start = back ? pitch * (outer - 1) : 0;
          const void *second = two    ? static_cast<const void *>(b.data() + start)
                               : !own ? static_cast<const void *>(centers.data())
                                      : nullptr;
          const ptrdiff_t second_stride = two ? stride : own ? 0 : 8;
          std::vector<T> got(outer * repeat), want(repeat);
          r.each(got.data(), a.data() + start, second, outer, stride, second_stride, n, divisor);
          for (size_t group = 0; group < outer; ++group) {
            const ptrdiff_t at = static_cast<ptrdiff_t>(group);
            r.each(want.data(), reinterpret_cast<const char *>(a.data() + start) + at * stride,
                   second == nullptr ? nullptr
                                     : static_cast<const char *>(second) + at * second_stride,
                   1, 0, 0, n, divisor);
            for (size_t part = 0; part < repeat; ++part) {
              check(same_float(got[group * repeat + part], want[part]), "groups", name,
                    static_cast<long>(n), op * 1000 + static_cast<long>(outer));
            }
          }
        }
      }
    }
  }
}

template <class T>
void all_many_groups(int real, int complex, const char *name) {
  for (const int op : {COREPY_REDUCE_SUM, COREPY_REDUCE_PROD, COREPY_REDUCE_MEAN, COREPY_REDUCE_VAR,
                       COREPY_REDUCE_STD, COREPY_REDUCE_VECDOT}) {
    many_groups<T>(op, real, 1, name);
  }
  for (const int op : {COREPY_REDUCE_SUM, COREPY_REDUCE_PROD, COREPY_REDUCE_MEAN,
                       COREPY_REDUCE_VECDOT, COREPY_REDUCE_DOT}) {
    many_groups<T>(op, complex, 2, name);
  }
}

template <class T>
T result_of(int op, int dtype, const std::vector<T> &x) {
  T out;
  table.reductions[op][dtype].each(&out, x.data(), nullptr, 1, 0, 0, x.size(),
                                   static_cast<double>(x.size()));
  return out;
}

// Facts that hold whatever the transcription above says.
void settled_values() {
  const int f64 = COREPY_DTYPE_FLOAT64;
  using V = std::vector<double>;
  auto sum = [&](const V &x) { return result_of(COREPY_REDUCE_SUM, f64, x); };
  check(same_bits(sum({}), 0.0), "empty sum", "float64", 0);
  check(same_bits(sum({-0.0}), -0.0), "sum of -0", "float64", 1);
  check(same_bits(sum(V(3000, -0.0)), -0.0), "sum of many -0", "float64", 3000);
  check(same_bits(sum({-0.0, 0.0}), 0.0), "sum of both zeros", "float64", 2);
  check(sum({1e100, 1.0, -1e100}) == 1.0, "cancelling sum", "float64", 3);
  check(sum({INFINITY, 1.0}) == INFINITY, "infinite sum", "float64", 2);
  check(isnan(sum({INFINITY, -INFINITY})), "inf - inf", "float64", 2);
  check(same_bits(result_of(COREPY_REDUCE_PROD, f64, V{}), 1.0), "empty prod", "float64", 0);
  check(isnan(result_of(COREPY_REDUCE_MEAN, f64, V{})), "empty mean", "float64", 0);
  check(isnan(result_of(COREPY_REDUCE_VAR, f64, V{})), "empty var", "float64", 0);
  check(isnan(result_of(COREPY_REDUCE_STD, f64, V{})), "empty std", "float64", 0);
  check(result_of(COREPY_REDUCE_MEAN, f64, V{INFINITY, 1}) == INFINITY, "mean of inf", "float64",
        2);
  check(same_bits(result_of(COREPY_REDUCE_MEAN, f64, V{-0.0}), -0.0), "mean of -0", "float64", 1);
  check(result_of(COREPY_REDUCE_STD, f64, V{1, 3}) == 1.0, "std", "float64", 2);
  check(same_bits(result_of(COREPY_REDUCE_MIN, f64, V{0.0, -0.0}), -0.0), "min 0", "float64", 2);
  check(same_bits(result_of(COREPY_REDUCE_MAX, f64, V{-0.0, 0.0}), 0.0), "max 0", "float64", 2);
  check(result_of(COREPY_REDUCE_MIN, f64, V{INFINITY}) == INFINITY, "min inf", "float64", 1);
  check(result_of(COREPY_REDUCE_MAX, f64, V{-INFINITY}) == -INFINITY, "max -inf", "float64", 1);
  // Every place of a block can hold the element that decides.
  for (size_t n = 1; n < 300; ++n) {
    for (size_t at = 0; at < n; at += n / 7 + 1) {
      V x(n, 0.0);
      x[at] = -0.0;
      int64_t index = -1;
      table.reductions[COREPY_REDUCE_ARGMIN][f64].each(&index, x.data(), nullptr, 1, 0, 0, n, 0);
      check(index == 0, "argmin of equal zeros", "float64", static_cast<long>(n));
      x[at] = NAN;
      x[n - 1] = NAN;
      table.reductions[COREPY_REDUCE_ARGMAX][f64].each(&index, x.data(), nullptr, 1, 0, 0, n, 0);
      check(index == static_cast<int64_t>(at), "argmax of NaN", "float64", static_cast<long>(n));
    }
  }
  const std::vector<C<float>> infinite{{INFINITY, 0}};
  C<float> out;
  table.reductions[COREPY_REDUCE_PROD][COREPY_DTYPE_COMPLEX64].each(&out, infinite.data(), nullptr,
                                                                    1, 0, 0, 1, 0);
  check(same_bits(out, infinite[0]), "prod of one element", "complex64", 1);
  table.reductions[COREPY_REDUCE_MEAN][COREPY_DTYPE_COMPLEX64].each(&out, nullptr, nullptr, 1, 0, 0,
                                                                    0, 0);
  check(isnan(out.real()) && isnan(out.imag()), "empty mean", "complex64", 0);
  uint8_t truth = 2;
  table.reductions[COREPY_REDUCE_ALL][COREPY_DTYPE_INT8].each(&truth, nullptr, nullptr, 1, 0, 0, 0,
                                                              0);
  check(truth == 1, "empty all", "int8", 0);
  table.reductions[COREPY_REDUCE_ANY][COREPY_DTYPE_INT8].each(&truth, nullptr, nullptr, 1, 0, 0, 0,
                                                              0);
  check(truth == 0, "empty any", "int8", 0);
  // Rows of an outer loop that overlap and run backwards.
  const V data{1, 2, 3, 4, 5, 6};
  double rows[3];
  table.reductions[COREPY_REDUCE_SUM][f64].each(rows, data.data() + 3, nullptr, 3, -8, 0, 3, 0);
  check(rows[0] == 15 && rows[1] == 12 && rows[2] == 9, "backward rows", "float64", 3);
  double centers[2] = {1.0, 4.0};
  table.reductions[COREPY_REDUCE_VAR][f64].each(rows, data.data(), centers, 2, 24, 8, 3, 3.0);
  check(rows[0] == 5.0 / 3 && rows[1] == 5.0 / 3, "given centers", "float64", 2);
}

} // namespace

int main() {
  COREPY_NAMESPACE::fill_reductions(&table);
  all_many_groups<float>(COREPY_DTYPE_FLOAT32, COREPY_DTYPE_COMPLEX64, "float32 groups");
  all_many_groups<double>(COREPY_DTYPE_FLOAT64, COREPY_DTYPE_COMPLEX128, "float64 groups");
  settled_values();
  real_families<float>(COREPY_DTYPE_FLOAT32, "float32");
  real_families<double>(COREPY_DTYPE_FLOAT64, "float64");
  complex_families<float>(COREPY_DTYPE_COMPLEX64, "complex64");
  complex_families<double>(COREPY_DTYPE_COMPLEX128, "complex128");
  for (const int op : {COREPY_REDUCE_SUM, COREPY_REDUCE_PROD, COREPY_REDUCE_MEAN,
                       COREPY_REDUCE_CENTER, COREPY_REDUCE_VAR, COREPY_REDUCE_STD}) {
    runs_of<float>(op, COREPY_DTYPE_FLOAT32, "float32");
    runs_of<double>(op, COREPY_DTYPE_FLOAT64, "float64");
  }
  for (const int op : {COREPY_REDUCE_SUM, COREPY_REDUCE_PROD, COREPY_REDUCE_MEAN}) {
    runs_of<float>(op, COREPY_DTYPE_COMPLEX64, "complex64", 2);
    runs_of<double>(op, COREPY_DTYPE_COMPLEX128, "complex128", 2);
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
