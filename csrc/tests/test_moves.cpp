// Tests of the casts and moves: every dtype pair against an oracle in extended precision, every
// width, stride, alignment and size, at every level.
#include "harness.h"

namespace {

// The 16-bit floats by their definition: precision and exponents.
template <class H>
struct HalfFormat;
template <>
struct HalfFormat<corepy_float16> {
  static constexpr int precision = 11, largest_exponent = 15;
};
template <>
struct HalfFormat<corepy_bfloat16> {
  static constexpr int precision = 8, largest_exponent = 127;
};

template <class H>
long double value_of_half(H h) {
  using F = HalfFormat<H>;
  int fraction_bits = F::precision - 1;
  int exponent = (h.bits & 0x7fff) >> fraction_bits;
  int fraction = h.bits & ((1 << fraction_bits) - 1);
  long double size;
  if (exponent == 2 * F::largest_exponent + 1)
    size = fraction ? NAN : INFINITY;
  else if (exponent == 0)
    size = std::ldexp((long double)fraction, 1 - F::largest_exponent - fraction_bits);
  else
    size = std::ldexp((long double)(fraction + (1 << fraction_bits)),
                      exponent - F::largest_exponent - fraction_bits);
  return h.bits & 0x8000 ? -size : size;
}

// Rounds to a whole number of the quanta at x's exponent; 64 bits of extended precision hold every
// source exactly.
template <class H>
H half_of_value(long double x) {
  using F = HalfFormat<H>;
  int fraction_bits = F::precision - 1;
  uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  uint16_t infinite = uint16_t((2 * F::largest_exponent + 1) << fraction_bits);
  if (std::isnan(x))
    return {uint16_t(infinite | 1 << (fraction_bits - 1))};
  long double size = std::fabs(x);
  if (std::isinf(size))
    return {uint16_t(sign | infinite)};
  if (size == 0)
    return {sign};
  int smallest = 1 - F::largest_exponent;
  int exponent = std::ilogb(size) < smallest ? smallest : std::ilogb(size);
  long double quanta = std::nearbyint(std::ldexp(size, fraction_bits - exponent));
  // Counting quanta from the smallest exponent on is the encoding itself, carries included.
  long double code = quanta + std::ldexp((long double)(exponent - smallest), fraction_bits);
  return {uint16_t(sign | (code >= infinite ? infinite : uint16_t(code)))};
}

template <class T>
bool is_nan_value(T x) {
  if constexpr (is_half_type<T>)
    return std::isnan(value_of_half(x));
  else if constexpr (is_float_type<T>)
    return std::isnan(x);
  else
    return false;
}

template <class T>
bool same_element(T a, T b) {
  if constexpr (is_half_type<T>)
    return a.bits == b.bits || (is_nan_value(a) && is_nan_value(b));
  else
    return same(a, b);
}

// An element as an exact number: the real part for complex, 0 or 1 for bool.
template <class T>
long double number(T x) {
  if constexpr (is_complex_type<T>)
    return x.re;
  else if constexpr (is_half_type<T>)
    return value_of_half(x);
  else if constexpr (__is_same(T, corepy_bool))
    return x != 0;
  else
    return x;
}

template <class To, class From>
To oracle_cast(From x) {
  if constexpr (is_complex_type<To>) {
    using P = decltype(To{}.re);
    if constexpr (is_complex_type<From>)
      return {P(x.re), P(x.im)};
    else
      return {P(number(x)), 0};
  } else if constexpr (__is_same(To, corepy_bool)) {
    if constexpr (is_complex_type<From>)
      return To(x.re != 0 || x.im != 0);
    else
      return To(number(x) != 0);
  } else if constexpr (is_half_type<To>) {
    return half_of_value<To>(number(x));
  } else if constexpr (is_float_type<To>) {
    return To(number(x));
  } else if constexpr (std::numeric_limits<From>::is_integer || __is_same(From, corepy_bool)) {
    return To(__int128(number(x)));
  } else {
    long double v = std::trunc(number(x));
    using L = std::numeric_limits<To>;
    if (std::isnan(v))
      return 0;
    if (v <= (long double)L::min())
      return L::min();
    if (v >= (long double)L::max())
      return L::max();
    return To(v);
  }
}

// Values where a conversion to some dtype changes its mind: powers of two and their neighbours,
// halves between them, limits, special values, random bits.
template <class T>
std::vector<T> cast_inputs() {
  std::vector<T> all;
  Random random{3};
  if constexpr (is_complex_type<T>) {
    using P = decltype(T{}.re);
    std::vector<P> parts = cast_inputs<P>();
    for (size_t i = 0; i < parts.size(); i++)
      all.push_back({parts[i], i % 7 ? parts[(i * 31 + 7) % parts.size()] : P(0)});
    all.push_back({0, 0});
    all.push_back({0, P(-0.0)});
    all.push_back({0, P(NAN)});
  } else if constexpr (is_half_type<T>) {
    for (int bits = 0; bits < 0x10000; bits++)
      all.push_back({uint16_t(bits)});
  } else if constexpr (__is_same(T, corepy_bool)) {
    for (int byte = 0; byte < 256; byte++)
      all.push_back(T(byte));
  } else if constexpr (is_float_type<T>) {
    for (T v : {T(0), T(INFINITY), T(NAN), std::numeric_limits<T>::max(),
                std::numeric_limits<T>::min(), std::numeric_limits<T>::denorm_min()})
      all.push_back(v), all.push_back(-v);
    int least = std::numeric_limits<T>::min_exponent - std::numeric_limits<T>::digits;
    for (int e = least; e <= std::numeric_limits<T>::max_exponent; e++)
      for (double m : {1.0, 1.25, 1.5, 1.75, 1.9999999, 1.00048828125, 1.0009765625, 1.00146484375,
                       1.99951171875, 1.00390625, 1.01171875, 1.998046875, 1.99609375}) {
        T v = std::ldexp(T(m), e);
        for (T near : {v, std::nextafter(v, T(0)), std::nextafter(v, T(INFINITY))})
          all.push_back(near), all.push_back(-near);
      }
    // Every float16 and the points half way to the next one, with both neighbours.
    for (int bits = 0; bits < 0x7c00; bits++) {
      T low = T(value_of_half(corepy_float16{uint16_t(bits)}));
      T high = bits == 0x7bff ? T(65536) : T(value_of_half(corepy_float16{uint16_t(bits + 1)}));
      T tie = low + (high - low) / 2;
      for (T near : {tie, std::nextafter(tie, T(0)), std::nextafter(tie, T(INFINITY))})
        all.push_back(bits % 2 ? -near : near);
    }
    for (int whole = -300; whole <= 70000; whole += whole < 300 ? 1 : 977)
      for (T part : {T(0), T(0.5), T(0.99)})
        all.push_back(T(whole) + part);
    for (int i = 0; i < 20000; i++) {
      uint64_t word = random.next();
      T v;
      std::memcpy(&v, &word, sizeof v);
      all.push_back(v);
    }
  } else {
    using L = std::numeric_limits<T>;
    for (int v = -300; v <= 300; v++)
      for (T base : {T(0), L::min(), L::max(), T(L::max() / 2)})
        all.push_back(T(uint64_t(base) + uint64_t(v)));
    for (int i = 0; i < 20000; i++) {
      // Few leading bits, then zeros or a lone last bit: ties of every narrower float.
      uint64_t word = random.next();
      uint64_t top = (word >> 52) << (random.next() % 53);
      all.push_back(T(i % 3 == 0 ? word >> (word % 64) : i % 3 == 1 ? top : top + 1));
    }
  }
  return all;
}

template <class To, class From>
void test_cast(const std::vector<Level> &all, int to, int from, const std::vector<From> &in) {
  size_t n = in.size();
  std::vector<To> wanted(n);
  for (size_t i = 0; i < n; i++)
    wanted[i] = oracle_cast<To>(in[i]);
  for (const Level &level : all) {
    corepy_cast kernel = level.table.cast[from][to];
    std::vector<To> got(n);
    kernel(got.data(), in.data(), n);
    size_t wrong = 0, first = 0;
    for (size_t i = 0; i < n; i++)
      if (!same_element(got[i], wanted[i]) && wrong++ == 0)
        first = i;
    check(wrong == 0, "cast %d to %d at %s: %zu of %zu differ, first %La at %zu", from, to,
          level.name, wrong, n, n ? number(in[first]) : 0.0L, first);
    size_t start = 0;
    for (size_t size : sizes()) {
      size_t count = size < n ? size : n;
      start = (start + 1009) % (n - count + 1);
      Memory x(count * sizeof(From), size % 3 * sizeof(From), 64);
      Memory z(count * sizeof(To), size % 5 * sizeof(To), 64);
      if (count)
        std::memcpy(x.data(), in.data() + start, count * sizeof(From));
      kernel(z.data(), x.data(), count);
      bool right = z.guards_intact() && x.guards_intact();
      for (size_t i = 0; i < count && right; i++)
        right = same_element(z.as<To>()[i], wanted[start + i]);
      check(right, "cast %d to %d at %s: n = %zu", from, to, level.name, count);
    }
  }
}

template <class From>
void test_casts_from(const std::vector<Level> &all, int from) {
  std::vector<From> in = cast_inputs<From>();
#define COREPY_TEST_CAST(DTYPE, To) test_cast<To, From>(all, COREPY_DTYPE_##DTYPE, from, in);
  COREPY_STORAGE_DTYPES(COREPY_TEST_CAST)
#undef COREPY_TEST_CAST
}

// The moves work on raw bytes, so that one byte pattern tests every bit of every width.
void fill_random(unsigned char *data, size_t bytes, uint64_t seed) {
  Random random{seed};
  for (size_t i = 0; i < bytes; i++)
    data[i] = (unsigned char)random.next();
}

void fill_mask(unsigned char *mask, size_t n, int pattern, uint64_t seed) {
  Random random{seed};
  for (size_t i = 0; i < n; i++)
    switch (pattern) {
    case 0:
      mask[i] = 0;
      break;
    case 1:
      mask[i] = (unsigned char)(1 + random.next() % 255);
      break;
    case 2:
      mask[i] = random.next() % 2 ? (unsigned char)random.next() : 0;
      break;
    default: // long runs and lone ones
      mask[i] = (i / 100) % 2 && i % 37 != 5 ? 0x80 : i % 91 == 17;
    }
}

void test_select(const Level &level, int number, size_t width) {
  for (size_t n : sizes())
    for (int steps = 0; steps < 4; steps++)
      for (int alias = 0; alias < 3; alias++) {
        size_t a_step = steps & 1, b_step = steps >> 1;
        if ((alias == 1 && !a_step) || (alias == 2 && !b_step))
          continue;
        Memory mask(n, n % 7, 64);
        Memory a((a_step ? n : 1) * width, n % 3 * width, 64);
        Memory b((b_step ? n : 1) * width, n % 2 * width, 64);
        Memory out(n * width, n % 5 * width, 64);
        fill_mask(mask.data(), n, 2, n);
        fill_random(a.data(), (a_step ? n : 1) * width, 1);
        fill_random(b.data(), (b_step ? n : 1) * width, 2);
        std::vector<unsigned char> wanted(n * width + 1);
        for (size_t i = 0; i < n; i++)
          std::memcpy(&wanted[i * width],
                      mask.data()[i] ? a.data() + i * a_step * width
                                     : b.data() + i * b_step * width,
                      width);
        Memory &target = alias == 1 ? a : alias == 2 ? b : out;
        level.table.select[number](target.data(), mask.data(), a.data(), b.data(), n, a_step,
                                   b_step);
        check(!std::memcmp(target.data(), wanted.data(), n * width) && target.guards_intact(),
              "select of width %zu at %s: n = %zu, steps %zu %zu, alias %d", width, level.name, n,
              a_step, b_step, alias);
      }
}

void test_strided(const Level &level, int number, size_t width) {
  const ptrdiff_t w = ptrdiff_t(width);
  const ptrdiff_t strides[] = {w,      -w, 2 * w, -2 * w,   3 * w,     4 * w, 5 * w,
                               -3 * w, 0,  w + 1, -(w + 3), 5 * w + 1, 256};
  for (size_t n : sizes())
    for (ptrdiff_t stride : strides)
      for (size_t misaligned : {size_t(0), size_t(1), size_t(3)}) {
        size_t span = n ? (n - 1) * size_t(stride < 0 ? -stride : stride) + width : 0;
        Memory far(span, misaligned, 64);
        Memory near(n * width, n % 3, 64);
        fill_random(far.data(), span, n);
        unsigned char *start = stride < 0 && n ? far.data() + span - width : far.data();
        level.table.gather[number](near.data(), start, n, stride);
        bool right = near.guards_intact() && far.guards_intact();
        for (size_t i = 0; i < n && right; i++)
          right = !std::memcmp(near.data() + i * width, start + ptrdiff_t(i) * stride, width);
        check(right, "gather of width %zu at %s: n = %zu, stride %td, offset %zu", width,
              level.name, n, stride, misaligned);
        if (stride < w && stride > -w)
          continue; // the targets would overlap
        fill_random(near.data(), n * width, n + 1);
        std::vector<unsigned char> before(far.data(), far.data() + span);
        level.table.scatter[number](start, near.data(), n, stride);
        for (size_t i = 0; i < n; i++)
          std::memcpy(before.data() + (start - far.data()) + ptrdiff_t(i) * stride,
                      near.data() + i * width, width);
        check((!span || !std::memcmp(before.data(), far.data(), span)) && far.guards_intact(),
              "scatter of width %zu at %s: n = %zu, stride %td, offset %zu", width, level.name, n,
              stride, misaligned);
      }
}

// Where blocks of registers end and begin, and rows whose ends are not whole lines.
void test_copy_rows(const Level &level) {
  const size_t lengths[] = {0,  1,   2,   3,   5,    8,    15,   16,   31,   33,   63,  64,
                            65, 127, 128, 200, 1023, 1024, 1500, 2047, 2048, 2200, 5000};
  for (size_t bytes : lengths)
    for (size_t rows : {size_t(1), size_t(2), size_t(7)})
      for (ptrdiff_t gap : {ptrdiff_t(0), ptrdiff_t(1), ptrdiff_t(64)})
        for (size_t misaligned : {size_t(0), size_t(1), size_t(32)})
          for (uint32_t past_caches : {0u, 1u}) {
            ptrdiff_t in_stride = ptrdiff_t(bytes) + gap, out_stride = ptrdiff_t(bytes) + 3 * gap;
            // Rows of the source may lie in falling order.
            const bool falls = gap == 1;
            size_t in_span = (rows - 1) * size_t(in_stride) + bytes;
            size_t out_span = (rows - 1) * size_t(out_stride) + bytes;
            Memory in(in_span, misaligned, 64), out(out_span, 3 * misaligned % 64, 64);
            fill_random(in.data(), in_span, bytes);
            std::vector<unsigned char> wanted(out.data(), out.data() + out_span);
            const unsigned char *start =
                falls ? in.data() + (rows - 1) * size_t(in_stride) : in.data();
            if (falls)
              in_stride = -in_stride;
            for (size_t r = 0; r < rows && bytes; r++)
              std::memcpy(&wanted[r * size_t(out_stride)], start + ptrdiff_t(r) * in_stride, bytes);
            level.table.copy_rows(out.data(), start, rows, bytes, out_stride, in_stride,
                                  past_caches);
            check((!out_span || !std::memcmp(out.data(), wanted.data(), out_span)) &&
                      out.guards_intact(),
                  "copy_rows at %s: %zu rows of %zu, gap %td, offset %zu, past caches %u",
                  level.name, rows, bytes, gap, misaligned, past_caches);
          }
}

void test_transpose(const Level &level, int number, size_t width) {
  const size_t extents[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 65, 130};
  for (size_t rows : extents)
    for (size_t columns : extents)
      for (size_t gap : {size_t(0), size_t(1), 64 - columns * width % 64})
        for (size_t misaligned : {size_t(0), size_t(3)}) {
          size_t out_stride = columns * width + gap, in_stride = rows * width + misaligned;
          size_t out_span = rows ? (rows - 1) * out_stride + columns * width : 0;
          size_t in_span = columns ? (columns - 1) * in_stride + rows * width : 0;
          Memory in(in_span, misaligned, 64), out(out_span, misaligned * 5, 64);
          fill_random(in.data(), in_span, rows * 131 + columns);
          std::vector<unsigned char> wanted(out_span + 1, 0xA5);
          for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < columns; c++)
              std::memcpy(&wanted[r * out_stride + c * width],
                          in.data() + c * in_stride + r * width, width);
          for (uint32_t past_caches : {0u, 1u}) {
            std::memset(out.data(), 0xA5, out_span);
            level.table.transpose[number](out.data(), in.data(), rows, columns,
                                          ptrdiff_t(out_stride), ptrdiff_t(in_stride), past_caches);
            check(!std::memcmp(out.data(), wanted.data(), out_span) && out.guards_intact() &&
                      in.guards_intact(),
                  "transpose of width %zu at %s: %zu x %zu, gap %zu, offset %zu, past caches %u",
                  width, level.name, rows, columns, gap, misaligned, past_caches);
          }
        }
}

void test_fill_and_take(const Level &level, int number, size_t width) {
  for (size_t n : sizes()) {
    Memory value(width, 0, 64), out(n * width, n % 5 * width, 64);
    fill_random(value.data(), width, n);
    level.table.fill[number](out.data(), value.data(), n);
    bool right = out.guards_intact();
    for (size_t i = 0; i < n && right; i++)
      right = !std::memcmp(out.data() + i * width, value.data(), width);
    check(right, "fill of width %zu at %s: n = %zu", width, level.name, n);
    for (ptrdiff_t stride : {ptrdiff_t(width), -2 * ptrdiff_t(width), ptrdiff_t(width) + 1}) {
      const size_t extent = 57;
      size_t span = (extent - 1) * size_t(stride < 0 ? -stride : stride) + width;
      Memory source(span, 1, 64);
      fill_random(source.data(), span, 5);
      unsigned char *start = stride < 0 ? source.data() + span - width : source.data();
      Memory index(n * 8, 0, 64);
      Random random{n};
      for (size_t i = 0; i < n; i++)
        index.as<int64_t>()[i] = int64_t(random.next() % extent);
      level.table.take[number](out.data(), start, index.as<int64_t>(), n, stride);
      right = out.guards_intact();
      for (size_t i = 0; i < n && right; i++)
        right =
            !std::memcmp(out.data() + i * width, start + index.as<int64_t>()[i] * stride, width);
      check(right, "take of width %zu at %s: n = %zu, stride %td", width, level.name, n, stride);
    }
  }
}

void test_compress(const Level &level, int number, size_t width) {
  for (size_t n : sizes())
    for (int pattern = 0; pattern < 4; pattern++) {
      Memory mask(n, n % 7, 64), in(n * width, n % 3 * width, 64);
      fill_mask(mask.data(), n, pattern, n);
      fill_random(in.data(), n * width, n);
      std::vector<unsigned char> kept;
      size_t count = 0;
      for (size_t i = 0; i < n; i++)
        if (mask.data()[i]) {
          kept.insert(kept.end(), in.data() + i * width, in.data() + (i + 1) * width);
          count++;
        }
      for (size_t capacity : {count, count / 2, size_t(0), count + 9}) {
        // The output has room for what may be written and not a byte more.
        size_t room = count < capacity ? count : capacity;
        Memory out(room * width, 0, 64);
        uint64_t done =
            level.table.compress[number](out.data(), in.data(), mask.data(), n, capacity);
        check(done == room && (!room || !std::memcmp(out.data(), kept.data(), room * width)) &&
                  out.guards_intact(),
              "compress of width %zu at %s: n = %zu, pattern %d, capacity %zu", width, level.name,
              n, pattern, capacity);
      }
    }
}

void test_masks(const Level &level) {
  std::vector<size_t> all = sizes();
  for (size_t n : {size_t(255 * 64 - 1), size_t(255 * 64), size_t(255 * 64 + 65), size_t(40000)})
    all.push_back(n);
  for (size_t n : all)
    for (int pattern = 0; pattern < 4; pattern++) {
      Memory mask(n, n % 7, 64);
      fill_mask(mask.data(), n, pattern, n);
      std::vector<int64_t> wanted;
      const int64_t first = int64_t(1) << 40;
      for (size_t i = 0; i < n; i++)
        if (mask.data()[i])
          wanted.push_back(first + int64_t(i));
      check(level.table.count_mask(mask.data(), n) == wanted.size(),
            "count_mask at %s: n = %zu, %d", level.name, n, pattern);
      for (size_t capacity : {wanted.size(), wanted.size() / 3, wanted.size() + 1}) {
        size_t room = capacity < wanted.size() ? capacity : wanted.size();
        Memory out(room * 8, 0, 64);
        uint64_t done =
            level.table.mask_positions(out.as<int64_t>(), mask.data(), n, first, capacity);
        check(done == room && (!room || !std::memcmp(out.data(), wanted.data(), room * 8)) &&
                  out.guards_intact(),
              "mask_positions at %s: n = %zu, pattern %d, capacity %zu", level.name, n, pattern,
              capacity);
      }
    }
}

void test_wrap_indices(const Level &level) {
  Random random{1};
  for (size_t n : sizes())
    for (int64_t extent : {int64_t(1), int64_t(7), INT64_MAX}) {
      std::vector<int64_t> given(n), wanted(n);
      for (size_t i = 0; i < n; i++) {
        wanted[i] = int64_t(random.next() % uint64_t(extent));
        given[i] = random.next() % 2 ? wanted[i] : wanted[i] - extent;
      }
      std::vector<int64_t> index = given;
      check(level.table.wrap_indices(index.data(), n, extent) == n && index == wanted,
            "wrap_indices at %s: n = %zu, extent %lld", level.name, n, (long long)extent);
      for (size_t place : {size_t(0), n / 2, n - 1})
        for (int64_t wrong : {extent == INT64_MAX ? INT64_MAX : extent, -extent - 1, INT64_MIN}) {
          if (n == 0)
            continue;
          index = given;
          index[place] = wrong;
          index[n - 1] = wrong;
          check(level.table.wrap_indices(index.data(), n, extent) == place && index[place] == wrong,
                "wrap_indices at %s: n = %zu, %lld at %zu", level.name, n, (long long)wrong, place);
        }
    }
  int64_t zero = 0;
  check(level.table.wrap_indices(&zero, 1, 0) == 0, "wrap_indices of extent 0 at %s", level.name);
  check(level.table.wrap_indices(&zero, 0, 0) == 0, "wrap_indices of nothing at %s", level.name);
}

void test_ramps(const Level &level) {
  const int64_t firsts[] = {0,
                            1,
                            -5,
                            1000,
                            int64_t(1) << 31,
                            (int64_t(1) << 52) - 7,
                            (int64_t(1) << 53) - 3,
                            -(int64_t(1) << 52) + 3,
                            INT64_MAX - 1030};
  for (size_t n : sizes())
    for (int64_t first : firsts) {
      for (int64_t step : {int64_t(1), int64_t(-3), INT64_MAX, INT64_MIN}) {
        Memory out(n * 8, n % 3 * 8, 64);
        level.table.ramp_integer(out.as<int64_t>(), INT64_MAX - 2, step, first, n);
        bool right = out.guards_intact();
        for (size_t i = 0; i < n && right; i++)
          right = out.as<int64_t>()[i] ==
                  int64_t(uint64_t(INT64_MAX - 2) + (uint64_t(first) + i) * uint64_t(step));
        check(right, "ramp_integer at %s: n = %zu, first %lld", level.name, n, (long long)first);
      }
      for (double step : {1.0, 0.1, -1e-300, 1e300, 0x1p-1074}) {
        Memory out(n * 8, n % 3 * 8, 64);
        level.table.ramp_float(out.as<double>(), 0.3, step, first, n);
        bool right = out.guards_intact();
        for (size_t i = 0; i < n && right; i++) {
          volatile double product = double(int64_t(uint64_t(first) + i)) * step;
          right = same(out.as<double>()[i], 0.3 + product);
        }
        check(right, "ramp_float at %s: n = %zu, first %lld, step %g", level.name, n,
              (long long)first, step);
      }
    }
}

} // namespace

int main() {
  std::vector<Level> all = levels();
  if (all.empty())
    return finish();
#define COREPY_TEST_CASTS(DTYPE, From) test_casts_from<From>(all, COREPY_DTYPE_##DTYPE);
  COREPY_STORAGE_DTYPES(COREPY_TEST_CASTS)
  for (const Level &level : all) {
    for (int number = 0; number < COREPY_WIDTHS; number++) {
      size_t width = size_t(1) << number;
      test_select(level, number, width);
      test_strided(level, number, width);
      test_transpose(level, number, width);
      test_fill_and_take(level, number, width);
      test_compress(level, number, width);
    }
    test_copy_rows(level);
    test_masks(level);
    test_wrap_indices(level);
    test_ramps(level);
  }
  return finish();
}
