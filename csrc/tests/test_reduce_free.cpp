// Tests of the reductions of one level that do not depend on an order, against plain loops; and of
// the table.
#include "reductions.h"

namespace {

template <class T>
constexpr bool floating = T(0.5) != T(0);

template <class T>
bool below(T a, T b) { // NaN lowest, -0 below +0
  if constexpr (floating<T>) {
    if (a != a || b != b) {
      return a != a && b == b;
    }
    return a < b || (a == b && signbit(a) && !signbit(b));
  } else {
    return a < b;
  }
}
template <class T>
bool above(T a, T b) {
  if constexpr (floating<T>) {
    if (a != a || b != b) {
      return a != a && b == b;
    }
    return a > b || (a == b && !signbit(a) && signbit(b));
  } else {
    return a > b;
  }
}

template <class T, bool BOOL>
uint64_t wide(T x) {
  return BOOL ? x != 0 : static_cast<uint64_t>(static_cast<int64_t>(x));
}

// 8 bytes of the expected result of any order-free family.
template <class T, bool BOOL>
uint64_t free_expected(int op, const std::vector<T> &x, const std::vector<T> &y) {
  uint64_t total = op == COREPY_REDUCE_PROD || op == COREPY_REDUCE_ALL ? 1 : 0;
  T best = BOOL ? T(x[0] != 0) : x[0];
  int64_t place = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const T e = BOOL ? T(x[i] != 0) : x[i];
    switch (op) {
    case COREPY_REDUCE_SUM:
      if constexpr (!floating<T>) {
        total += wide<T, BOOL>(x[i]);
      }
      break;
    case COREPY_REDUCE_PROD:
      if constexpr (!floating<T>) {
        total *= wide<T, BOOL>(x[i]);
      }
      break;
    case COREPY_REDUCE_VECDOT:
    case COREPY_REDUCE_DOT:
      if constexpr (!floating<T>) {
        total += wide<T, BOOL>(x[i]) * wide<T, BOOL>(y[i]);
      }
      break;
    case COREPY_REDUCE_ANY:
      total |= e != 0;
      break;
    case COREPY_REDUCE_ALL:
      total &= e != 0;
      break;
    case COREPY_REDUCE_COUNT_NONZERO:
      total += e != 0;
      break;
    case COREPY_REDUCE_MIN:
      best = below(e, best) ? e : best;
      break;
    case COREPY_REDUCE_MAX:
      best = above(e, best) ? e : best;
      break;
    case COREPY_REDUCE_ARGMIN:
      if ((e != e && best == best) || e < best) {
        best = e;
        place = static_cast<int64_t>(i);
      }
      break;
    case COREPY_REDUCE_ARGMAX:
      if ((e != e && best == best) || e > best) {
        best = e;
        place = static_cast<int64_t>(i);
      }
      break;
    }
  }
  if (op == COREPY_REDUCE_MIN || op == COREPY_REDUCE_MAX) {
    total = 0;
    if (best != best) {
      return UINT64_MAX; // any NaN
    }
    memcpy(&total, &best, sizeof best);
  } else if (op == COREPY_REDUCE_ARGMIN || op == COREPY_REDUCE_ARGMAX) {
    total = static_cast<uint64_t>(place);
  } else if (op == COREPY_REDUCE_VECDOT || op == COREPY_REDUCE_DOT) {
    if (sizeof(T) < 8) {
      total &= (uint64_t{1} << (8 * sizeof(T) % 64)) - 1;
    }
  }
  return total;
}

template <class T>
bool free_agrees(int op, const char *got, size_t bytes, uint64_t want) {
  if constexpr (floating<T>) {
    if (op == COREPY_REDUCE_MIN || op == COREPY_REDUCE_MAX) {
      T value;
      memcpy(&value, got, sizeof value);
      if (value != value) {
        return want == UINT64_MAX;
      }
    }
  }
  uint64_t word = 0;
  memcpy(&word, got, bytes);
  return word == want;
}

template <class T>
T random_element(int op, int kind) {
  const uint64_t r = random_bits();
  if (op == COREPY_REDUCE_ANY && kind != 0) {
    return r % 5000 == 0 ? T(3) : T(floating<T> && r & 1 ? -0.0 : 0);
  }
  if (op == COREPY_REDUCE_ALL && kind != 0) {
    return r % 5000 == 0 ? T(0) : T(r % 7 + 1);
  }
  if constexpr (floating<T>) {
    if (kind == 3) {
      return r % 3000 == 0 ? T(NAN) : r % 3001 == 0 ? T(-NAN) : random_float<T>(1);
    }
    return random_float<T>(kind == 2 ? 4 * (r % 64 < 60) : kind);
  }
  switch (kind) {
  case 0:
    return static_cast<T>(r);
  case 1: // the extremes of the type
    return static_cast<T>(r & 1
                              ? static_cast<T>(-1) < T(0) ? (uint64_t{1} << (sizeof(T) * 8 - 1)) : 0
                          : static_cast<T>(-1) < T(0) ? (uint64_t{1} << (sizeof(T) * 8 - 1)) - 1
                                                      : ~uint64_t{0});
  case 2:
    return static_cast<T>(r % 3);
  default:
    return static_cast<T>(r | 1);
  }
}

// Groups of any distance, forwards and backwards.
template <class T, bool BOOL>
void many_groups(int op, int dtype, const char *name, size_t bytes, bool two) {
  const corepy_reduction &r = table.reductions[op][dtype];
  for (const size_t n : {1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 64, 65}) {
    for (const size_t outer : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130, 200}) {
      const size_t pitch = n + (outer % 2 == 0 ? 0 : 3);
      const size_t size = pitch * (outer - 1) + n;
      const int kind = static_cast<int>((n + outer) % 4);
      std::vector<T> a(size), b(size);
      for (size_t i = 0; i < size; ++i) {
        a[i] = random_bits() % 8 == 0 ? random_element<T>(op, 0) : random_element<T>(op, kind);
        b[i] = random_element<T>(op, 0);
        if constexpr (floating<T>) {
          a[i] = random_bits() % 40 == 0 ? T(NAN) : a[i];
        }
      }
      for (const bool back : {false, true}) {
        const size_t start = back ? pitch * (outer - 1) : 0;
        const ptrdiff_t stride = static_cast<ptrdiff_t>(pitch * sizeof(T)) * (back ? -1 : 1);
        std::vector<char> out(outer * bytes + 1, 77);
        r.each(out.data(), a.data() + start, two ? b.data() + start : nullptr, outer, stride,
               two ? stride : 0, n, 0);
        bool ok = out.back() == 77;
        for (size_t group = 0; group < outer; ++group) {
          const size_t first = pitch * (back ? outer - 1 - group : group);
          const std::vector<T> x(&a[first], &a[first] + n), y(&b[first], &b[first] + n);
          ok = ok && free_agrees<T>(op, out.data() + group * bytes, bytes,
                                    free_expected<T, BOOL>(op, x, y));
        }
        check(ok, "groups", name, static_cast<long>(n), static_cast<long>(outer * 100) + op);
      }
    }
  }
}

template <class T, bool BOOL>
void free_family(int op, int dtype, const char *name) {
  const corepy_reduction &r = table.reductions[op][dtype];
  if (r.blocks == nullptr) {
    return;
  }
  const bool two = op == COREPY_REDUCE_VECDOT || op == COREPY_REDUCE_DOT;
  const bool truth = op == COREPY_REDUCE_ANY || op == COREPY_REDUCE_ALL;
  const size_t bytes = op == COREPY_REDUCE_MIN || op == COREPY_REDUCE_MAX || two ? sizeof(T)
                       : truth                                                   ? 1
                                                                                 : 8;
  many_groups<T, BOOL>(op, dtype, name, bytes, two);
  for (int kind = 0; kind < 4; ++kind) {
    for (const size_t n : SIZES) {
      std::vector<T> a(n), b(n);
      for (size_t i = 0; i < n; ++i) {
        a[i] = random_element<T>(op, kind);
        b[i] = random_element<T>(op, 0);
      }
      const uint64_t want = free_expected<T, BOOL>(op, a, b);
      const char *second = two ? reinterpret_cast<const char *>(b.data()) : nullptr;
      std::vector<char> out(bytes);
      r.each(out.data(), a.data(), second, 1, 0, 0, n, 0);
      check(free_agrees<T>(op, out.data(), bytes, want), "each", name, static_cast<long>(n),
            op * 10 + kind);
      for (const size_t group : {size_t{1}, size_t{4}, size_t{64}}) {
        const auto got = grouped(r, reinterpret_cast<const char *>(a.data()), second, sizeof(T),
                                 two ? sizeof(T) : 0, n, group, 0, bytes);
        check(free_agrees<T>(op, got.data(), bytes, want), "blocks", name, static_cast<long>(n),
              op * 10 + kind);
      }
      std::vector<char> state(16 * r.lane_bytes);
      const bool stopped = r.blocks(state.data(), a.data(), second, n, 0) != 0;
      const bool lowest = op == COREPY_REDUCE_ALL || op == COREPY_REDUCE_MIN;
      const bool stops = truth || (BOOL && (op == COREPY_REDUCE_MIN || op == COREPY_REDUCE_MAX));
      check(stopped == (stops && want != lowest), "stop", name, static_cast<long>(n), op);
    }
  }
  for (const size_t cols : {1, 2, 3, 5, 8, 17, 64, 65, 127, 128, 129, 300}) {
    for (const size_t rows : {1, 2, 15, 16, 17, 129, 1024, 1100}) {
      for (int layout = 0; layout < 3; ++layout) {
        if (two && layout == 2) {
          continue;
        }
        const size_t pitch = cols + (layout == 1 ? 3 : 0);
        const size_t size = pitch * (rows - 1) + cols;
        std::vector<T> a(size), b(size);
        const int kind = static_cast<int>(random_bits() % 4);
        for (size_t i = 0; i < size; ++i) {
          a[i] = random_element<T>(op, kind);
          b[i] = random_element<T>(op, 0);
        }
        ptrdiff_t stride = static_cast<ptrdiff_t>(pitch * sizeof(T));
        const char *start = reinterpret_cast<const char *>(a.data());
        if (layout == 2) {
          start += stride * static_cast<ptrdiff_t>(rows - 1);
          stride = -stride;
        }
        const char *second = two ? reinterpret_cast<const char *>(b.data()) : nullptr;
        const auto got =
            by_rows(r, start, second, stride, two ? pitch * sizeof(T) : 0, rows, cols, 0, bytes);
        bool ok = true;
        for (size_t j = 0; j < cols; ++j) {
          std::vector<T> x(rows), y(rows);
          for (size_t i = 0; i < rows; ++i) {
            memcpy(&x[i], start + static_cast<ptrdiff_t>(i) * stride + j * sizeof(T), sizeof(T));
            y[i] = b[i * pitch + j];
          }
          ok = ok &&
               free_agrees<T>(op, got.data() + j * bytes, bytes, free_expected<T, BOOL>(op, x, y));
        }
        check(ok, "rows", name, static_cast<long>(rows), static_cast<long>(cols * 10) + op);
      }
    }
  }
}

template <class T>
void complex_truth(int dtype, const char *name) {
  for (const int op : {COREPY_REDUCE_ANY, COREPY_REDUCE_ALL, COREPY_REDUCE_COUNT_NONZERO}) {
    const corepy_reduction &r = table.reductions[op][dtype];
    const size_t bytes = op == COREPY_REDUCE_COUNT_NONZERO ? 8 : 1;
    auto expected_of = [&](auto element, size_t n) {
      uint64_t count = 0;
      for (size_t i = 0; i < n; ++i) {
        count += element(i) != C<T>(0, 0);
      }
      return op == COREPY_REDUCE_ANY   ? uint64_t{count != 0}
             : op == COREPY_REDUCE_ALL ? uint64_t{count == n}
                                       : count;
    };
    for (const size_t n : SIZES) {
      for (int kind = 0; kind < 3; ++kind) {
        std::vector<C<T>> a(n);
        for (size_t i = 0; i < n; ++i) {
          const uint64_t z = random_bits();
          a[i] = kind == 0   ? C<T>(T(z & 1), T(z >> 1 & 1))
                 : kind == 1 ? C<T>(T(-0.0), T(z % 4000 == 0))
                             : (z % 4000 == 0 ? C<T>(0, -0.0) : C<T>(0, T(NAN)));
        }
        const uint64_t want = expected_of([&](size_t i) { return a[i]; }, n);
        std::vector<char> out(bytes);
        r.each(out.data(), a.data(), nullptr, 1, 0, 0, n, 0);
        check(free_agrees<uint8_t>(op, out.data(), bytes, want), "each", name, static_cast<long>(n),
              op);
        const size_t length = n % 16 + 1, groups = n / length;
        std::vector<char> many(groups * bytes + 1, 77);
        r.each(many.data(), a.data(), nullptr, groups,
               static_cast<ptrdiff_t>(length * sizeof(C<T>)), 0, length, 0);
        bool ok = many.back() == 77;
        for (size_t group = 0; group < groups; ++group) {
          ok = ok && free_agrees<uint8_t>(
                         op, many.data() + group * bytes, bytes,
                         expected_of([&](size_t i) { return a[group * length + i]; }, length));
        }
        check(ok, "groups", name, static_cast<long>(n), op);
        const auto got = grouped(r, reinterpret_cast<const char *>(a.data()), nullptr, sizeof(C<T>),
                                 0, n, 2, 0, bytes);
        check(free_agrees<uint8_t>(op, got.data(), bytes, want), "blocks", name,
              static_cast<long>(n), op);
      }
    }
    for (const size_t cols : {1, 3, 20, 70}) {
      for (const size_t rows : {1, 17, 1030}) {
        std::vector<C<T>> a(rows * cols);
        for (auto &x : a) {
          const uint64_t z = random_bits();
          x = op == COREPY_REDUCE_ANY ? C<T>(0, T(z % 900 == 0))
                                      : C<T>(T(z % 2), T(z % 900 != 0 && z % 2 == 0));
        }
        const auto got =
            by_rows(r, reinterpret_cast<const char *>(a.data()), nullptr,
                    static_cast<ptrdiff_t>(cols * sizeof(C<T>)), 0, rows, cols, 0, bytes);
        bool ok = true;
        for (size_t j = 0; j < cols; ++j) {
          const uint64_t want = expected_of([&](size_t i) { return a[i * cols + j]; }, rows);
          ok = ok && free_agrees<uint8_t>(op, got.data() + j * bytes, bytes, want);
        }
        check(ok, "rows", name, static_cast<long>(rows), static_cast<long>(cols * 10) + op);
      }
    }
  }
}

template <class T, bool BOOL = false>
void free_families(int dtype, const char *name) {
  for (const int op :
       {COREPY_REDUCE_SUM, COREPY_REDUCE_PROD, COREPY_REDUCE_MIN, COREPY_REDUCE_MAX,
        COREPY_REDUCE_ANY, COREPY_REDUCE_ALL, COREPY_REDUCE_ARGMIN, COREPY_REDUCE_ARGMAX,
        COREPY_REDUCE_COUNT_NONZERO, COREPY_REDUCE_VECDOT, COREPY_REDUCE_DOT}) {
    const bool ordered = floating<T> && (op == COREPY_REDUCE_SUM || op == COREPY_REDUCE_PROD ||
                                         op == COREPY_REDUCE_VECDOT || op == COREPY_REDUCE_DOT);
    if (!ordered) {
      free_family<T, BOOL>(op, dtype, name);
    }
  }
}

// No slot of the list is empty, no slot outside it is filled.
void slots() {
  corepy_reduction none{};
  static bool listed[COREPY_REDUCE_OPS][COREPY_DTYPES];
#define X(op, family, dtype, type) listed[COREPY_REDUCE_##op][COREPY_DTYPE_##dtype] = true;
  COREPY_REDUCTION_SLOTS(X)
#undef X
  for (int op = 0; op < COREPY_REDUCE_OPS; ++op) {
    for (int dtype = 0; dtype < COREPY_DTYPES; ++dtype) {
      const corepy_reduction &r = table.reductions[op][dtype];
      const bool filled =
          r.blocks && r.rows && r.merge && r.finish && r.each && r.columns && r.lane_bytes;
      check(listed[op][dtype] ? filled : memcmp(&r, &none, sizeof r) == 0, "slot", "", op, dtype);
    }
  }
}

} // namespace

int main() {
  COREPY_NAMESPACE::fill_reductions(&table);
  slots();
  free_families<uint8_t, true>(COREPY_DTYPE_BOOL, "bool");
  free_families<int8_t>(COREPY_DTYPE_INT8, "int8");
  free_families<int16_t>(COREPY_DTYPE_INT16, "int16");
  free_families<int32_t>(COREPY_DTYPE_INT32, "int32");
  free_families<int64_t>(COREPY_DTYPE_INT64, "int64");
  free_families<uint8_t>(COREPY_DTYPE_UINT8, "uint8");
  free_families<uint16_t>(COREPY_DTYPE_UINT16, "uint16");
  free_families<uint32_t>(COREPY_DTYPE_UINT32, "uint32");
  free_families<uint64_t>(COREPY_DTYPE_UINT64, "uint64");
  free_families<float>(COREPY_DTYPE_FLOAT32, "float32");
  free_families<double>(COREPY_DTYPE_FLOAT64, "float64");
  complex_truth<float>(COREPY_DTYPE_COMPLEX64, "complex64");
  complex_truth<double>(COREPY_DTYPE_COMPLEX128, "complex128");
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
