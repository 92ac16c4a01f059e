// Tests of the elementwise kernels: every slot against an independent oracle, every level against
// the first, every form, size, alignment and aliasing.
#include "oracle_elementwise.h"

namespace {

// Edges of each type, and values around them.
template <class T>
std::vector<T> specials() {
  using L = std::numeric_limits<T>;
  std::vector<T> all;
  if constexpr (is_complex_type<T>) {
    using P = Part<T>;
    using Q = std::numeric_limits<P>;
    const P parts[] = {P(0),
                       P(-0.0),
                       P(1),
                       P(-1),
                       P(0.5),
                       P(-2.5),
                       P(3),
                       Q::max(),
                       Q::min(),
                       -Q::max(),
                       P(1e-30),
                       P(7e25),
                       P(1) / 3,
                       Q::denorm_min(),
                       P(NAN),
                       P(INFINITY),
                       -P(INFINITY),
                       P(1e10),
                       -Q::min() / 4,
                       Q::max() / 2,
                       std::sqrt(Q::max()),
                       std::sqrt(Q::min())};
    for (P re : parts)
      for (P im : parts)
        all.push_back({re, im});
  } else if constexpr (is_float_type<T>) {
    T whole = std::ldexp(T(1), L::digits - 1);
    const T sizes[] = {T(0),
                       T(1),
                       T(0.5),
                       T(1.5),
                       T(2.5),
                       T(2),
                       T(3),
                       T(0.1),
                       T(0.3),
                       T(10),
                       T(1) / 3,
                       T(7.75),
                       L::min(),
                       L::max(),
                       L::denorm_min(),
                       L::min() / 2,
                       L::min() - L::denorm_min(),
                       L::denorm_min() * 3,
                       L::epsilon(),
                       1 + L::epsilon(),
                       1 - L::epsilon() / 2,
                       whole,
                       whole - T(0.5),
                       whole - 1,
                       whole + 1,
                       2 * whole,
                       2 * whole - 1,
                       2 * whole + 2,
                       4 * whole,
                       T(1e9),
                       T(1e30),
                       T(1e-30),
                       T(31),
                       T(1000),
                       T(0.49999997),
                       L::max() / 3,
                       T(INFINITY),
                       T(NAN)};
    for (T size : sizes) {
      all.push_back(size);
      all.push_back(-size);
    }
  } else if constexpr (__is_same(T, corepy_bool)) {
    for (int byte : {0, 1, 2, 3, 0x7f, 0x80, 0xff})
      all.push_back(T(byte));
  } else {
    for (int v = 0; v <= 9; v++) {
      all.push_back(T(v));
      all.push_back(T(-v));
      all.push_back(T(L::max() - T(v)));
      all.push_back(T(L::min() + T(v)));
    }
    for (int bit = 3; bit < int(8 * sizeof(T)); bit++)
      for (int near = -1; near <= 1; near++) {
        all.push_back(T((uint64_t(1) << bit) + uint64_t(near)));
        all.push_back(T(0 - (uint64_t(1) << bit) + uint64_t(near)));
      }
    for (int v : {10, 31, 32, 33, 63, 64, 65, 100, 127})
      all.push_back(T(v));
  }
  return all;
}

// A value of random bits, or, for half of the floats, of moderate size.
template <class T>
T random_value(Random &random) {
  if constexpr (is_complex_type<T>) {
    auto re = random_value<Part<T>>(random);
    return {re, random_value<Part<T>>(random)};
  } else if constexpr (is_float_type<T>) {
    uint64_t word = random.next();
    if (random.next() % 2)
      return T(int64_t(word) >> 20) / T(1 << 20) / T(uint64_t(1) << (word % 40));
    T value;
    std::memcpy(&value, &word, sizeof(T));
    return value;
  } else {
    return T(random.next() >> (random.next() % 64));
  }
}

template <class T>
struct Inputs {
  std::vector<T> a, b;
};

// Every pair of special values (or a sample of the pairs, for complex ones), then random pairs.
template <class T>
Inputs<T> pairs(bool exponents) {
  Inputs<T> in;
  Random random{7};
  std::vector<T> values = specials<T>();
  std::vector<T> right = values;
  if constexpr (is_float_type<T>) {
    if (exponents)
      right = {T(0),
               T(-0.0),
               T(1),
               T(-1),
               T(2),
               T(-2),
               T(3),
               T(0.5),
               T(-7),
               T(-3),
               T(7),
               T(10),
               T(-10),
               T(31),
               T(-31),
               T(32),
               T(100),
               T(-101),
               T(1e9),
               T(-1e9 - 64),
               T(std::ldexp(T(1), 53)),
               T(-std::ldexp(T(1), 63)),
               T(std::ldexp(T(1), 100)),
               T(INFINITY),
               -T(INFINITY),
               T(NAN)};
  } else if constexpr (is_complex_type<T>) {
    if (exponents) {
      right.clear();
      for (int e : {0, 1, 2, 3, -1, -2, 5, 8, -7})
        right.push_back({Part<T>(e), Part<T>(e % 2 ? 0.0 : -0.0)});
      right.push_back({Part<T>(0.5), 0});
      right.push_back({Part<T>(NAN), 0});
    }
  }
  size_t stride = values.size() * right.size() > 20000 ? 37 : 1;
  for (size_t i = 0; i < values.size() * right.size(); i += stride) {
    in.a.push_back(values[i / right.size()]);
    in.b.push_back(right[i % right.size()]);
  }
  for (int i = 0; i < 2500; i++) {
    in.a.push_back(random_value<T>(random));
    in.b.push_back(exponents && !std::numeric_limits<T>::is_integer
                       ? right[random.next() % right.size()]
                       : random_value<T>(random));
  }
  return in;
}

// Holds one result against the oracle; true if it is right. `worst` collects the largest error.
template <class T>
bool agrees(const unsigned char *got, const Wanted &wanted, size_t bytes, double &worst) {
  if (wanted.skip)
    return true;
  if (wanted.bound == 0) {
    if (bytes != sizeof(T)) {
      if constexpr (is_complex_type<T>)
        if (bytes == sizeof(T) / 2) {
          Part<T> x, y;
          std::memcpy(&x, got, bytes);
          std::memcpy(&y, wanted.bytes, bytes);
          return same(x, y);
        }
      return std::memcmp(got, wanted.bytes, bytes) == 0;
    }
    T x, y;
    std::memcpy(&x, got, bytes);
    std::memcpy(&y, wanted.bytes, bytes);
    return same(x, y);
  }
  double error = 0;
  if constexpr (is_complex_type<T>) {
    Part<T> parts[2] = {};
    std::memcpy(parts, got, bytes);
    error = ulps(parts[0], wanted.re);
    if (wanted.whole) {
      Quad x = Quad(parts[0]) - wanted.re, y = Quad(parts[1]) - wanted.im;
      Quad size = wanted.re * wanted.re + wanted.im * wanted.im;
      Quad unit = std::numeric_limits<Part<T>>::epsilon();
      error = double(quad_sqrt((x * x + y * y) / (unit * unit * size)));
      worst = std::fmax(worst, error / wanted.bound);
      return error <= wanted.bound;
    }
    if (bytes == sizeof(T))
      error = std::fmax(error, ulps(parts[1], wanted.im));
  } else if constexpr (is_float_type<T>) {
    T value;
    std::memcpy(&value, got, bytes);
    error = ulps(value, wanted.re);
  }
  worst = std::fmax(worst, error / wanted.bound);
  return error <= wanted.bound;
}

template <class T>
const char *shown(T value) {
  static char text[8][80];
  static int turn = 0;
  char *out = text[turn++ % 8];
  if constexpr (is_complex_type<T>)
    std::snprintf(out, 80, "%a%+aj", double(value.re), double(value.im));
  else if constexpr (is_float_type<T>)
    std::snprintf(out, 80, "%a", double(value));
  else
    std::snprintf(out, 80, "%lld", (long long)value);
  return out;
}

// Equal bits over a range, NaN canonicalised.
template <class T>
bool equal_results(const unsigned char *x, const unsigned char *y, size_t n, size_t bytes) {
  if (n == 0 || std::memcmp(x, y, n * bytes) == 0)
    return true;
  if (bytes == 1)
    return false;
  auto compare = [&](auto zero) {
    using R = decltype(zero);
    for (size_t i = 0; i < n; i++) {
      R p, q;
      std::memcpy(&p, x + i * bytes, sizeof(R));
      std::memcpy(&q, y + i * bytes, sizeof(R));
      if (!same(p, q))
        return false;
    }
    return true;
  };
  if constexpr (is_complex_type<T>)
    if (bytes == sizeof(T) / 2)
      return compare(Part<T>{});
  return compare(T{});
}

// One run of a kernel in a form, over n elements from `first`, in fresh memory that ends where the
// data ends. alias: 0 separate output, 1 output is a, 2 output is b.
template <class T>
bool run_binary(corepy_binary kernel, int form, const std::vector<T> &a, const std::vector<T> &b,
                size_t first, size_t n, size_t bytes, int alias, size_t offset,
                const unsigned char *wanted) {
  size_t a_count = form == COREPY_FORM_SV ? 1 : n, b_count = form == COREPY_FORM_VS ? 1 : n;
  Memory x(a_count * sizeof(T), offset * sizeof(T), 64);
  Memory y(b_count * sizeof(T), (offset + 1) % 3 * sizeof(T), 64);
  Memory z(n * bytes, (offset + 2) % 5 * bytes, 64);
  std::memcpy(x.data(), a.data() + (form == COREPY_FORM_SV ? 0 : first), a_count * sizeof(T));
  std::memcpy(y.data(), b.data() + (form == COREPY_FORM_VS ? 0 : first), b_count * sizeof(T));
  unsigned char *out = alias == 1 ? x.data() : alias == 2 ? y.data() : z.data();
  uint64_t done = kernel(out, x.data(), y.data(), n);
  return done == n && x.guards_intact() && y.guards_intact() && z.guards_intact() &&
         equal_results<T>(out, wanted, n, bytes);
}

template <class T>
void test_binary(const std::vector<Level> &all, const char *name, int op, int dtype) {
  const size_t bytes = result_bytes_binary<T>(op);
  const char *forms[] = {"vv", "vs", "sv"};
  Inputs<T> in = pairs<T>(op == COREPY_BINARY_POW);
  double worst = 0;
  for (int form = 0; form < COREPY_FORMS; form++) {
    // vv takes all pairs at once; the scalar forms take some scalars against all their partners.
    size_t scalars = form == COREPY_FORM_VV                        ? 1
                     : is_float_type<T> && op != COREPY_BINARY_POW ? 24
                                                                   : 12;
    for (size_t turn = 0; turn < scalars; turn++) {
      std::vector<T> a, b;
      std::vector<Wanted> wanted;
      size_t pick = turn * (in.a.size() / scalars) + turn;
      for (size_t i = 0; i < in.a.size(); i++) {
        T left = form == COREPY_FORM_SV ? in.a[pick] : in.a[i];
        T right = form == COREPY_FORM_VS ? in.b[pick] : in.b[i];
        Wanted answer = oracle_binary(op, left, right);
        if (answer.fault)
          continue;
        a.push_back(left);
        b.push_back(right);
        wanted.push_back(answer);
      }
      size_t n = a.size();
      if (n == 0)
        continue;
      std::vector<unsigned char> reference(n * bytes + 1);
      corepy_binary first = all[0].table.binary[op][dtype][form];
      uint64_t done = first(reference.data(), a.data(), b.data(), n);
      check(done == n, "%s dtype %d %s: returned %llu of %zu", name, dtype, forms[form],
            (unsigned long long)done, n);
      size_t wrong = 0;
      for (size_t i = 0; i < n; i++)
        if (!agrees<T>(reference.data() + i * bytes, wanted[i], bytes, worst) && wrong++ == 0) {
          T got{}, want{};
          std::memcpy(&got, reference.data() + i * bytes, bytes);
          std::memcpy(&want, wanted[i].bytes, bytes);
          std::printf("  %s dtype %d %s: f(%s, %s) is %s, not %s (%a, %a)\n", name, dtype,
                      forms[form], shown(a[i]), shown(b[i]), shown(got), shown(want),
                      double(wanted[i].re), double(wanted[i].im));
        }
      check(wrong == 0, "%s dtype %d %s: %zu of %zu differ from the oracle", name, dtype,
            forms[form], wrong, n);
      for (const Level &level : all) {
        corepy_binary kernel = level.table.binary[op][dtype][form];
        check(run_binary(kernel, form, a, b, 0, n, bytes, 0, 1, reference.data()),
              "%s dtype %d %s at %s: other bits", name, dtype, forms[form], level.name);
        if (turn != 0)
          continue;
        size_t start = 0;
        for (size_t size : sizes()) {
          size_t count = size < n ? size : n;
          start = (start + 97) % (n - count + 1);
          for (int alias = 0; alias < 3; alias++) {
            bool possible =
                alias == 0 || (bytes == sizeof(T) && (count == 1 || form == COREPY_FORM_VV ||
                                                      (alias == 1) == (form == COREPY_FORM_VS)));
            // A scalar operand as output has room for one element.
            if (!possible || (alias && count == 0))
              continue;
            check(run_binary(kernel, form, a, b, start, count, bytes, alias, count % 4,
                             reference.data() + start * bytes),
                  "%s dtype %d %s at %s: n = %zu, alias %d", name, dtype, forms[form], level.name,
                  count, alias);
          }
        }
      }
    }
  }
  if (worst > 0)
    std::printf("  %s dtype %d: largest error %.3f of its bound\n", name, dtype, worst);
}

template <class T>
void test_unary(const std::vector<Level> &all, const char *name, int op, int dtype) {
  const size_t bytes = result_bytes_unary<T>(op);
  Random random{11};
  std::vector<T> in = specials<T>();
  for (int i = 0; i < 4000; i++)
    in.push_back(random_value<T>(random));
  size_t n = in.size();
  std::vector<unsigned char> reference(n * bytes);
  check(all[0].table.unary[op][dtype](reference.data(), in.data(), n) == n, "%s dtype %d: count",
        name, dtype);
  size_t wrong = 0;
  double worst = 0;
  for (size_t i = 0; i < n; i++) {
    Wanted wanted = oracle_unary(op, in[i]);
    if (!agrees<T>(reference.data() + i * bytes, wanted, bytes, worst) && wrong++ == 0) {
      T got{};
      std::memcpy(&got, reference.data() + i * bytes, bytes);
      std::printf("  %s dtype %d: f(%s) is %s (%a, %a)\n", name, dtype, shown(in[i]), shown(got),
                  double(wanted.re), double(wanted.im));
    }
  }
  check(wrong == 0, "%s dtype %d: %zu of %zu differ from the oracle", name, dtype, wrong, n);
  if (worst > 0)
    std::printf("  %s dtype %d: largest error %.3f of its bound\n", name, dtype, worst);
  for (const Level &level : all) {
    corepy_unary kernel = level.table.unary[op][dtype];
    std::vector<size_t> all_sizes = sizes();
    all_sizes.push_back(n);
    for (size_t size : all_sizes)
      for (int in_place = 0; in_place <= (bytes == sizeof(T)); in_place++) {
        size_t first = (size * 31) % (n - size + 1);
        Memory x(size * sizeof(T), size % 3 * sizeof(T), 64);
        Memory z(size * bytes, size % 5 * bytes, 64);
        if (size)
          std::memcpy(x.data(), in.data() + first, size * sizeof(T));
        unsigned char *out = in_place ? x.data() : z.data();
        bool right = kernel(out, x.data(), size) == size && x.guards_intact() &&
                     z.guards_intact() &&
                     equal_results<T>(out, reference.data() + first * bytes, size, bytes);
        check(right, "%s dtype %d at %s: n = %zu, in place %d", name, dtype, level.name, size,
              in_place);
      }
  }
}

// The index of the first element that faults, at every place and in every form.
template <class T>
void test_faults(const std::vector<Level> &all, const char *name, int op, int dtype, T good,
                 T bad) {
  for (const Level &level : all)
    for (size_t n : {size_t(1), size_t(2), size_t(7), size_t(64), size_t(200)}) {
      auto &kernels = level.table.binary[op][dtype];
      std::vector<T> a(n, good), out(n);
      for (size_t place = 0; place < n; place++) {
        std::vector<T> b(n, good);
        b[place] = bad;
        if (place + 3 < n)
          b[place + 3] = bad;
        uint64_t at = kernels[COREPY_FORM_VV](out.data(), a.data(), b.data(), n);
        check(at == place, "%s dtype %d at %s: fault at %llu, not %zu", name, dtype, level.name,
              (unsigned long long)at, place);
        at = kernels[COREPY_FORM_SV](out.data(), a.data(), b.data(), n);
        check(at == place, "%s dtype %d sv at %s: fault at %llu, not %zu", name, dtype, level.name,
              (unsigned long long)at, place);
      }
      check(kernels[COREPY_FORM_VS](out.data(), a.data(), &bad, n) == 0, "%s dtype %d vs: fault",
            name, dtype);
      check(kernels[COREPY_FORM_VS](out.data(), a.data(), &bad, 0) == 0, "%s dtype %d vs: none",
            name, dtype);
    }
}

template <class T>
void test_integer_faults(const std::vector<Level> &all, int dtype) {
  if constexpr (std::numeric_limits<T>::is_integer) {
    test_faults<T>(all, "FLOOR_DIVIDE", COREPY_BINARY_FLOOR_DIVIDE, dtype, 3, 0);
    test_faults<T>(all, "REMAINDER", COREPY_BINARY_REMAINDER, dtype, 3, 0);
    if constexpr (std::numeric_limits<T>::is_signed)
      test_faults<T>(all, "POW", COREPY_BINARY_POW, dtype, 3, -1);
  }
}

// Results that the oracle shares a formula with, or that are worth naming.
void test_named(const std::vector<Level> &all) {
  for (const Level &level : all) {
    auto f64 = [&](int op, double a, double b) {
      double out = 0;
      level.table.binary[op][COREPY_DTYPE_FLOAT64][COREPY_FORM_VV](&out, &a, &b, 1);
      return out;
    };
    auto c128 = [&](int op, corepy_complex128 a, corepy_complex128 b) {
      corepy_complex128 out{};
      level.table.binary[op][COREPY_DTYPE_COMPLEX128][COREPY_FORM_VV](&out, &a, &b, 1);
      return out;
    };
    auto is = [&](const char *what, double got, double want) {
      check(same(got, want), "%s at %s is %a, not %a", what, level.name, got, want);
    };
    is("1 // 0.1", f64(COREPY_BINARY_FLOOR_DIVIDE, 1, 0.1), 9);
    is("1 % 0.1", f64(COREPY_BINARY_REMAINDER, 1, 0.1), 0.09999999999999995);
    is("-1e-20 % 1", f64(COREPY_BINARY_REMAINDER, -1e-20, 1), 1);
    is("5 // inf", f64(COREPY_BINARY_FLOOR_DIVIDE, 5, INFINITY), 0);
    is("5 // -inf", f64(COREPY_BINARY_FLOOR_DIVIDE, 5, -INFINITY), -1);
    is("-5 // inf", f64(COREPY_BINARY_FLOOR_DIVIDE, -5, INFINITY), -1);
    is("inf // -2", f64(COREPY_BINARY_FLOOR_DIVIDE, INFINITY, -2), -INFINITY);
    is("-0 // 5", f64(COREPY_BINARY_FLOOR_DIVIDE, -0.0, 5), -0.0);
    is("5 // -0", f64(COREPY_BINARY_FLOOR_DIVIDE, 5, -0.0), -INFINITY);
    is("5 % -inf", f64(COREPY_BINARY_REMAINDER, 5, -INFINITY), -INFINITY);
    is("-5 % -inf", f64(COREPY_BINARY_REMAINDER, -5, -INFINITY), -5);
    is("0 % -3", f64(COREPY_BINARY_REMAINDER, 0, -3), -0.0);
    is("6 % -3", f64(COREPY_BINARY_REMAINDER, 6, -3), -0.0);
    is("1e300 % 7", f64(COREPY_BINARY_REMAINDER, 1e300, 7), 1);
    is("-1e300 % 7", f64(COREPY_BINARY_REMAINDER, -1e300, 7), 6);
    is("nan ** 0", f64(COREPY_BINARY_POW, NAN, 0), 1);
    is("1 ** nan", f64(COREPY_BINARY_POW, 1, NAN), 1);
    is("-1 ** inf", f64(COREPY_BINARY_POW, -1, INFINITY), 1);
    is("-inf ** 0.5", f64(COREPY_BINARY_POW, -INFINITY, 0.5), INFINITY);
    is("-0 ** 0.5", f64(COREPY_BINARY_POW, -0.0, 0.5), 0);
    is("-0 ** -3", f64(COREPY_BINARY_POW, -0.0, -3), -INFINITY);
    is("0.1 ** 2", f64(COREPY_BINARY_POW, 0.1, 2), 0.1 * 0.1);
    is("3 ** 5", f64(COREPY_BINARY_POW, 3, 5), 243);
    is("1.0000001 ** 2**53", f64(COREPY_BINARY_POW, 1.0000001, 0x1p53), INFINITY);
    is("min(-0, 0)", f64(COREPY_BINARY_MINIMUM, 0.0, -0.0), -0.0);
    is("max(-0, 0)", f64(COREPY_BINARY_MAXIMUM, -0.0, 0.0), 0.0);
    is("max(nan, 1)", f64(COREPY_BINARY_MAXIMUM, NAN, 1), NAN);
    is("max(1, -nan)", f64(COREPY_BINARY_MAXIMUM, 1, -NAN), NAN);
    corepy_complex128 huge = c128(COREPY_BINARY_DIVIDE, {1e308, 1e308}, {1e308, -1e308});
    is("re of huge / huge", huge.re, 0);
    is("im of huge / huge", huge.im, 1);
    corepy_complex128 tiny = c128(COREPY_BINARY_DIVIDE, {5e-324, 0}, {5e-324, 5e-324});
    is("re of tiny / tiny", tiny.re, 0.5);
    is("im of tiny / tiny", tiny.im, -0.5);
    corepy_complex128 zero = c128(COREPY_BINARY_DIVIDE, {1, -2}, {0, 0});
    is("re of z / 0", zero.re, INFINITY);
    is("im of z / 0", zero.im, -INFINITY);
  }
}

// Divisors at the powers of two and beside them, dividends at the ends of the range and of
// multiples.
template <class T>
void test_invariant_division(const std::vector<Level> &all, int dtype) {
  using Wide = __int128;
  const Wide least = std::numeric_limits<T>::min(), most = std::numeric_limits<T>::max();
  constexpr size_t n = 300;
  Memory x(n * sizeof(T), 0), out(n * sizeof(T), 0, 64);
  Random random{uint64_t(dtype)};
  auto check_divisor = [&](Wide wide) {
    if (wide < least || wide > most || wide == 0)
      return;
    const T divisor = T(wide);
    for (size_t i = 0; i < n; i++) {
      T any = T(random.next() >> random.next() % 64);
      Wide multiple = Wide(T(random.next())) / wide * wide + Wide(i % 5) - 2;
      Wide end = i % 4 < 2 ? least + Wide(i / 4) : most - Wide(i / 4);
      Wide chosen = i % 3 == 0 ? Wide(any) : i % 3 == 1 ? multiple : end;
      x.template as<T>()[i] = chosen < least || chosen > most ? any : T(chosen);
    }
    for (const Level &level : all)
      for (int op : {int(COREPY_BINARY_FLOOR_DIVIDE), int(COREPY_BINARY_REMAINDER)}) {
        level.table.binary[op][dtype][COREPY_FORM_VS](out.data(), x.data(), &divisor, n);
        bool right = out.guards_intact();
        size_t i = 0;
        for (; i < n && right; i++) {
          Wide a = x.template as<T>()[i], quotient = a / wide;
          if (a % wide != 0 && (a < 0) != (wide < 0))
            quotient--;
          T expected = T(op == COREPY_BINARY_REMAINDER ? a - quotient * wide : quotient);
          right = out.template as<T>()[i] == expected;
        }
        check(right, "op %d by %lld of dtype %d at %s: element %zu, %lld", op, (long long)divisor,
              dtype, level.name, i - 1, i ? (long long)x.template as<T>()[i - 1] : 0);
      }
  };
  for (int power = 0; power < 64; power++)
    for (int beside = -2; beside <= 2; beside++) {
      check_divisor((Wide(1) << power) + beside);
      check_divisor(-(Wide(1) << power) + beside);
    }
  for (int i = 0; i < 500; i++)
    check_divisor(Wide(T(random.next() >> random.next() % 64)));
  for (int i = 1; i < 256; i++)
    check_divisor(i);
  for (int i = 0; i < 3; i++)
    check_divisor(most - i);
}

// One exponent for all bases takes another path than one each; both must give the same bits.
template <class T>
void test_uniform_powers(const std::vector<Level> &all, int dtype) {
  std::vector<T> bases = specials<T>();
  size_t n = bases.size();
  for (const Level &level : all)
    for (double e : {0.0, 1.0, 2.0, 3.0, 7.0, -1.0, -6.0, 0.5, 64.0, 1000.0, -0.0, 1e9}) {
      std::vector<T> exponents, each(n), uniform(n);
      if constexpr (is_complex_type<T>)
        exponents.assign(n, T{Part<T>(e), 0});
      else
        exponents.assign(n, T(e));
      auto &kernels = level.table.binary[COREPY_BINARY_POW][dtype];
      uint64_t x = kernels[COREPY_FORM_VV](each.data(), bases.data(), exponents.data(), n);
      uint64_t y = kernels[COREPY_FORM_VS](uniform.data(), bases.data(), exponents.data(), n);
      check(x == n && y == n, "powers to %g: counts", e);
      for (size_t i = 0; i < n; i++)
        check(same(each[i], uniform[i]), "powers to %g dtype %d at %s: %s", e, dtype, level.name,
              shown(bases[i]));
    }
}

} // namespace

int main() {
  std::vector<Level> all = levels();
  if (all.empty())
    return finish();
#define COREPY_TEST_UNARY(OP, F, DTYPE, T)                                                         \
  test_unary<T>(all, #OP, COREPY_UNARY_##OP, COREPY_DTYPE_##DTYPE);
  COREPY_UNARY_SLOTS(COREPY_TEST_UNARY)
#define COREPY_TEST_BINARY(OP, F, DTYPE, T)                                                        \
  test_binary<T>(all, #OP, COREPY_BINARY_##OP, COREPY_DTYPE_##DTYPE);
  COREPY_BINARY_SLOTS(COREPY_TEST_BINARY)
  test_invariant_division<int8_t>(all, COREPY_DTYPE_INT8);
  test_invariant_division<int16_t>(all, COREPY_DTYPE_INT16);
  test_invariant_division<int32_t>(all, COREPY_DTYPE_INT32);
  test_invariant_division<int64_t>(all, COREPY_DTYPE_INT64);
  test_invariant_division<uint8_t>(all, COREPY_DTYPE_UINT8);
  test_invariant_division<uint16_t>(all, COREPY_DTYPE_UINT16);
  test_invariant_division<uint32_t>(all, COREPY_DTYPE_UINT32);
  test_invariant_division<uint64_t>(all, COREPY_DTYPE_UINT64);
#define COREPY_TEST_INTEGER_FAULTS(DTYPE, T) test_integer_faults<T>(all, COREPY_DTYPE_##DTYPE);
  COREPY_NUMERIC_DTYPES(COREPY_TEST_INTEGER_FAULTS)
  test_faults<float>(all, "POW", COREPY_BINARY_POW, COREPY_DTYPE_FLOAT32, 3, 2.5f);
  test_faults<double>(all, "POW", COREPY_BINARY_POW, COREPY_DTYPE_FLOAT64, 3, -0.5);
  test_faults<corepy_complex64>(all, "POW", COREPY_BINARY_POW, COREPY_DTYPE_COMPLEX64, {3, 0},
                                {2, 1});
  test_faults<corepy_complex128>(all, "POW", COREPY_BINARY_POW, COREPY_DTYPE_COMPLEX128, {3, 0},
                                 {INFINITY, 0});
  test_named(all);
  test_uniform_powers<float>(all, COREPY_DTYPE_FLOAT32);
  test_uniform_powers<double>(all, COREPY_DTYPE_FLOAT64);
  test_uniform_powers<corepy_complex64>(all, COREPY_DTYPE_COMPLEX64);
  test_uniform_powers<corepy_complex128>(all, COREPY_DTYPE_COMPLEX128);
  return finish();
}
