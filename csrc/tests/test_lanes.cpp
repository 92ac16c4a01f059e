// Tests of the kernels of lane programs: multiply-add, masks, access by index, folds into memory,
// at every level, with indices of lanes that do not run pointing nowhere.
#include "harness.h"

namespace {

std::vector<size_t> some_sizes() {
  std::vector<size_t> all;
  for (size_t n :
       {0, 1, 2, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 128, 129, 255, 257, 1000, 1024})
    all.push_back(n);
  return all;
}

template <class T>
T draw(Random &random) {
  uint64_t bits = random.next();
  if constexpr (is_float_type<T>) {
    constexpr T edges[] = {0,
                           T(-0.0),
                           1,
                           -1,
                           T(1.5),
                           std::numeric_limits<T>::infinity(),
                           -std::numeric_limits<T>::infinity(),
                           std::numeric_limits<T>::quiet_NaN(),
                           std::numeric_limits<T>::denorm_min(),
                           std::numeric_limits<T>::max()};
    if (bits % 4 == 0)
      return edges[bits / 4 % 10];
    return T(int64_t(bits >> 20) % 100000) / T(37);
  } else {
    return T(bits);
  }
}

template <class T>
T product_sum(T a, T b, T c) {
  if constexpr (is_float_type<T>)
    return std::fma(a, b, c);
  else
    return T(uint64_t(a) * uint64_t(b) + uint64_t(c));
}

template <class T>
void test_multiply_add(const Level &level, int dtype) {
  constexpr size_t steps[5][3] = {{1, 1, 1}, {1, 1, 0}, {1, 0, 1}, {1, 0, 0}, {0, 0, 1}};
  Random random{uint64_t(dtype)};
  for (int form = 0; form < COREPY_MULTIPLY_ADD_FORMS; form++) {
    corepy_multiply_add kernel = level.table.multiply_add[dtype][form];
    if (!check(kernel != nullptr, "multiply_add %d form %d of %s", dtype, form, level.name))
      continue;
    for (size_t n : some_sizes())
      // Into memory of its own, and exactly over each operand that is a vector.
      for (int over = -1; over < 3; over++) {
        if (over >= 0 && steps[form][over] == 0)
          continue;
        const size_t *s = steps[form];
        Memory a((s[0] ? n : 1) * sizeof(T), sizeof(T)), b((s[1] ? n : 1) * sizeof(T), 0);
        Memory c((s[2] ? n : 1) * sizeof(T), 3 * sizeof(T)), own(n * sizeof(T), sizeof(T), 64);
        Memory *operands[] = {&a, &b, &c};
        for (int k = 0; k < 3; k++)
          for (size_t i = 0; i < (s[k] ? n : 1); i++)
            operands[k]->as<T>()[i] = draw<T>(random);
        std::vector<T> expected(n);
        for (size_t i = 0; i < n; i++)
          expected[i] = product_sum(a.as<T>()[i * s[0]], b.as<T>()[i * s[1]], c.as<T>()[i * s[2]]);
        Memory &out = over < 0 ? own : *operands[over];
        kernel(out.data(), a.data(), b.data(), c.data(), n);
        bool right = own.guards_intact();
        for (size_t i = 0; i < n; i++)
          right &= same(out.as<T>()[i], expected[i]);
        check(right, "multiply_add %d form %d over %d, n %zu, %s", dtype, form, over, n,
              level.name);
      }
  }
}

template <class T>
void test_chain(const Level &level, int dtype) {
  corepy_multiply_add_chain kernel = level.table.multiply_add_chain[dtype];
  if (!check(kernel != nullptr, "multiply_add_chain %d of %s", dtype, level.name))
    return;
  Random random{uint64_t(dtype) + 100};
  for (size_t n : some_sizes())
    for (size_t count : {1, 2, 5}) {
      Memory a(n * sizeof(T), sizeof(T)), b(n * sizeof(T), 0);
      uint64_t slots[4] = {};
      int64_t places[5];
      for (uint64_t &slot : slots) {
        T value = draw<T>(random);
        std::memcpy(&slot, &value, sizeof value);
      }
      for (int64_t &place : places)
        place = int64_t(random.next() % 4);
      for (size_t i = 0; i < n; i++) {
        a.as<T>()[i] = draw<T>(random);
        b.as<T>()[i] = draw<T>(random);
      }
      std::vector<T> expected(a.as<T>(), a.as<T>() + n);
      for (size_t k = 0; k < count; k++) {
        T value;
        std::memcpy(&value, &slots[places[k]], sizeof value);
        for (size_t i = 0; i < n; i++)
          expected[i] = std::fma(expected[i], b.as<T>()[i], value);
      }
      Memory own(n * sizeof(T), 0, 64);
      kernel(own.data(), a.data(), b.data(), slots, places, count, n);
      kernel(a.data(), a.data(), b.data(), slots, places, count, n);
      bool right = own.guards_intact();
      for (size_t i = 0; i < n; i++)
        right &= same(own.as<T>()[i], expected[i]) && same(a.as<T>()[i], expected[i]);
      check(right, "multiply_add_chain %d, n %zu, count %zu, %s", dtype, n, count, level.name);
    }
}

// Mask bytes of which any but 0 selects.
void draw_mask(Random &random, uint8_t *mask, size_t n, unsigned percent) {
  for (size_t i = 0; i < n; i++)
    mask[i] = random.next() % 100 < percent ? uint8_t(1 + random.next() % 255) : 0;
}

void test_masks(const Level &level) {
  Random random{7};
  for (size_t n : some_sizes())
    for (unsigned percent : {0u, 3u, 50u, 100u}) {
      Memory mask(n, 1), bits((n + 63) / 64 * 8, 0, 64), back(n, 3, 64);
      draw_mask(random, mask.data(), n, percent);
      level.table.mask_bits(bits.as<uint64_t>(), mask.data(), n);
      bool right = bits.guards_intact();
      for (size_t i = 0; i < (n + 63) / 64 * 64; i++)
        right &= (bits.as<uint64_t>()[i / 64] >> (i % 64) & 1) == (i < n && mask.data()[i] != 0);
      check(right, "mask_bits, n %zu, %s", n, level.name);
      level.table.mask_bytes(back.data(), bits.as<uint64_t>(), n);
      right = back.guards_intact();
      for (size_t i = 0; i < n; i++)
        right &= back.data()[i] == (mask.data()[i] != 0);
      check(right, "mask_bytes, n %zu, %s", n, level.name);
    }
}

void test_bounds(const Level &level) {
  Random random{8};
  for (size_t n : some_sizes())
    for (int round = 0; round < 40; round++) {
      Memory mask(n, 1), index(8 * n, 8);
      draw_mask(random, mask.data(), n, 80);
      int64_t extent = round % 4 == 0 ? 0 : int64_t(random.next() % 50);
      int64_t wild[] = {-1, extent, extent + 1, INT64_MIN, INT64_MAX};
      for (size_t i = 0; i < n; i++) {
        bool inside = extent > 0 && random.next() % 200 != 0;
        index.as<int64_t>()[i] =
            inside ? int64_t(random.next() % uint64_t(extent)) : wild[random.next() % 5];
      }
      for (bool masked : {false, true}) {
        uint64_t expected = n;
        for (size_t i = n; i-- > 0;)
          if ((!masked || mask.data()[i]) &&
              (index.as<int64_t>()[i] < 0 || index.as<int64_t>()[i] >= extent))
            expected = i;
        uint64_t got =
            level.table.lane_bounds(index.as<int64_t>(), masked ? mask.data() : nullptr, n, extent);
        check(got == expected, "lane_bounds, n %zu, %s: %llu", n, level.name,
              (unsigned long long)got);
      }
    }
}

template <class T, int width>
void test_access(const Level &level) {
  Random random{9 + width};
  constexpr size_t elements = 37;
  for (size_t n : some_sizes())
    for (ptrdiff_t stride :
         {ptrdiff_t(sizeof(T)), -ptrdiff_t(sizeof(T)), ptrdiff_t(3 * sizeof(T) + 1)})
      for (bool masked : {false, true}) {
        size_t span = size_t(stride < 0 ? -stride : stride) * (elements - 1) + sizeof(T);
        Memory buffer(span, 1, 64), out(n * sizeof(T), 1, 64), index(8 * n, 0), mask(n, 5);
        for (size_t i = 0; i < span; i++)
          buffer.data()[i] = uint8_t(random.next());
        unsigned char *base = buffer.data() + (stride < 0 ? span - sizeof(T) : 0);
        draw_mask(random, mask.data(), n, 60);
        for (size_t i = 0; i < n; i++) {
          bool runs = !masked || mask.data()[i];
          index.as<int64_t>()[i] =
              runs ? int64_t(random.next() % elements) : int64_t(random.next());
        }
        const uint8_t *m = masked ? mask.data() : nullptr;
        level.table.lane_gather[width](out.data(), base, index.as<int64_t>(), m, n, stride);
        bool right = out.guards_intact();
        for (size_t i = 0; i < n; i++) {
          ptrdiff_t at = !m || m[i] ? index.as<int64_t>()[i] * stride : 0;
          right &= std::memcmp(out.data() + i * sizeof(T), base + at, sizeof(T)) == 0;
        }
        check(right, "lane_gather of %zu bytes, n %zu, stride %td, %s", sizeof(T), n, stride,
              level.name);
        for (size_t step : {0, 1})
          for (bool indexed : {false, true}) {
            if (!indexed && n > elements)
              continue;
            std::vector<unsigned char> before(buffer.data(), buffer.data() + span);
            Memory in((step ? n : 1) * sizeof(T), 1);
            for (size_t i = 0; i < (step ? n : 1) * sizeof(T); i++)
              in.data()[i] = uint8_t(random.next());
            std::vector<unsigned char> expected = before;
            for (size_t i = 0; i < n; i++)
              if (!m || m[i]) {
                ptrdiff_t at = (indexed ? index.as<int64_t>()[i] : int64_t(i)) * stride;
                std::memcpy(expected.data() + (base - buffer.data()) + at,
                            in.data() + i * step * sizeof(T), sizeof(T));
              }
            level.table.lane_scatter[width](base, in.data(), step,
                                            indexed ? index.as<int64_t>() : nullptr, m, n, stride);
            check(buffer.guards_intact() && std::memcmp(expected.data(), buffer.data(), span) == 0,
                  "lane_scatter of %zu bytes, n %zu, stride %td, step %zu, %s", sizeof(T), n,
                  stride, step, level.name);
          }
      }
}

template <class T>
T folded(int op, T a, T b) {
  bool least = op == COREPY_COMBINE_MIN;
  if constexpr (is_float_type<T>) {
    if (a != a || b != b)
      return std::numeric_limits<T>::quiet_NaN();
    if (a == b)
      return std::signbit(a) == least ? a : b;
    return (a < b) == least ? a : b;
  } else {
    switch (op) {
    case COREPY_COMBINE_ADD:
      return T(uint64_t(a) + uint64_t(b));
    case COREPY_COMBINE_AND:
      return T(a & b);
    case COREPY_COMBINE_OR:
      return T(a | b);
    case COREPY_COMBINE_XOR:
      return T(a ^ b);
    default:
      return (a < b) == least ? a : b;
    }
  }
}

template <class T>
void test_combine(const Level &level, int dtype) {
  Random random{uint64_t(dtype) + 50};
  constexpr size_t elements = 11;
  for (int op : {COREPY_COMBINE_ADD, COREPY_COMBINE_MIN, COREPY_COMBINE_MAX, COREPY_COMBINE_AND,
                 COREPY_COMBINE_OR, COREPY_COMBINE_XOR}) {
    corepy_lane_combine kernel = level.table.lane_combine[op][dtype];
    bool extreme = op == COREPY_COMBINE_MIN || op == COREPY_COMBINE_MAX;
    if (is_float_type<T> && !extreme) {
      check(kernel == nullptr, "lane_combine %d of %d, %s", op, dtype, level.name);
      continue;
    }
    if (!check(kernel != nullptr, "lane_combine %d of %d, %s", op, dtype, level.name))
      continue;
    for (size_t n : some_sizes())
      for (int variant = 0; variant < 16; variant++) {
        bool masked = variant & 1, indexed = variant & 2, atomic = variant & 4;
        size_t step = variant & 8 ? 1 : 0;
        // Only what is atomic is aligned.
        Memory buffer(elements * sizeof(T), atomic ? 0 : 1, 64), in((step ? n : 1) * sizeof(T), 0);
        Memory index(8 * n, 0), mask(n, 1);
        draw_mask(random, mask.data(), n, 50);
        const uint8_t *m = masked ? mask.data() : nullptr;
        for (size_t i = 0; i < (step ? n : 1); i++)
          in.as<T>()[i] = draw<T>(random);
        T expected[elements];
        for (T &element : expected)
          element = draw<T>(random);
        std::memcpy(buffer.data(), expected, sizeof expected);
        for (size_t i = 0; i < n; i++) {
          bool runs = !m || m[i];
          index.as<int64_t>()[i] =
              runs ? int64_t(random.next() % elements) : int64_t(random.next());
          if (runs) {
            T &element = expected[indexed ? index.as<int64_t>()[i] : 0];
            element = folded(op, element, in.as<T>()[i * step]);
          }
        }
        kernel(buffer.data(), in.data(), step, indexed ? index.as<int64_t>() : nullptr, m, n,
               sizeof(T), atomic);
        T got[elements];
        std::memcpy(got, buffer.data(), sizeof got);
        bool right = buffer.guards_intact();
        for (size_t i = 0; i < elements; i++)
          right &= same(got[i], expected[i]);
        check(right, "lane_combine %d of %d, n %zu, variant %d, %s", op, dtype, n, variant,
              level.name);
      }
  }
}

template <class T, int number>
void test_rows(const Level &level) {
  Random random(number + 9);
  corepy_lane_rows kernel = level.table.lane_rows[number];
  if (!check(kernel != nullptr, "lane_rows %d, %s", number, level.name))
    return;
  for (size_t width : {1, 3, 8, 16, 17, 32, 40})
    for (size_t rows : {1, 2, 16})
      for (ptrdiff_t step : {0, 1, -1, 3})
        for (ptrdiff_t stride : {0, 1, 50, -7}) {
          // From the middle, so that negative distances have room; of any alignment.
          constexpr ptrdiff_t middle = 1000;
          Memory in(2 * middle * sizeof(T), 1), out(width * rows * sizeof(T), 1, 64);
          for (size_t i = 0; i < 2 * middle * sizeof(T); i++)
            in.as<uint8_t>()[i] = uint8_t(random.next());
          const char *at = in.as<char>() + middle * ptrdiff_t(sizeof(T));
          const ptrdiff_t bytes = sizeof(T);
          kernel(out.data(), at, width, rows, step * bytes, stride * bytes);
          bool right = out.guards_intact();
          for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < width; i++)
              right &= std::memcmp(out.as<char>() + (r * width + i) * sizeof(T),
                                   at + (ptrdiff_t(r) * stride + ptrdiff_t(i) * step) * bytes,
                                   sizeof(T)) == 0;
          check(right, "lane_rows %d, %zu x %zu, step %td, stride %td, %s", number, width, rows,
                step, stride, level.name);
        }
}

template <class T, int width>
void test_count(const Level &level) {
  constexpr size_t elements = 11;
  Random random(width + 5);
  corepy_lane_count kernel = level.table.lane_count[width];
  if (!check(kernel != nullptr, "lane_count %d, %s", width, level.name))
    return;
  for (size_t n : some_sizes())
    for (int bad = 0; bad < 2; bad++) {
      Memory buffer(elements * sizeof(T), 1, 64), index(8 * n, 0), value(sizeof(T), 0);
      *value.as<T>() = draw<T>(random);
      size_t wrong = bad && n ? random.next() % n : n;
      T expected[elements], got[elements];
      for (T &element : expected)
        element = draw<T>(random);
      std::memcpy(buffer.data(), expected, sizeof expected);
      for (size_t i = 0; i < n; i++)
        index.as<int64_t>()[i] = int64_t(random.next() % elements);
      if (wrong < n)
        index.as<int64_t>()[wrong] = random.next() % 2 ? int64_t(elements) : -1;
      size_t done = kernel(buffer.data(), value.data(), index.as<int64_t>(), n, elements);
      bool right = wrong == n ? done == n : done <= wrong;
      for (size_t i = 0; right && i < done; i++) {
        T &element = expected[index.as<int64_t>()[i]];
        element = T(element + *value.as<T>());
      }
      std::memcpy(got, buffer.data(), sizeof got);
      right &= buffer.guards_intact() && std::memcmp(got, expected, sizeof got) == 0;
      check(right, "lane_count %d, n %zu, wrong %zu, %s", width, n, wrong, level.name);
    }
}

template <class T>
void test_type(const Level &level, int dtype) {
  test_multiply_add<T>(level, dtype);
  test_combine<T>(level, dtype);
}

} // namespace

int main() {
  for (const Level &level : levels()) {
    test_type<int8_t>(level, COREPY_DTYPE_INT8);
    test_type<int16_t>(level, COREPY_DTYPE_INT16);
    test_type<int32_t>(level, COREPY_DTYPE_INT32);
    test_type<int64_t>(level, COREPY_DTYPE_INT64);
    test_type<uint8_t>(level, COREPY_DTYPE_UINT8);
    test_type<uint16_t>(level, COREPY_DTYPE_UINT16);
    test_type<uint32_t>(level, COREPY_DTYPE_UINT32);
    test_type<uint64_t>(level, COREPY_DTYPE_UINT64);
    test_type<float>(level, COREPY_DTYPE_FLOAT32);
    test_type<double>(level, COREPY_DTYPE_FLOAT64);
    test_chain<float>(level, COREPY_DTYPE_FLOAT32);
    test_chain<double>(level, COREPY_DTYPE_FLOAT64);
    test_masks(level);
    test_bounds(level);
    test_access<uint8_t, 0>(level);
    test_access<uint16_t, 1>(level);
    test_access<uint32_t, 2>(level);
    test_access<uint64_t, 3>(level);
    test_rows<uint8_t, 0>(level);
    test_rows<uint16_t, 1>(level);
    test_rows<uint32_t, 2>(level);
    test_rows<uint64_t, 3>(level);
    test_count<uint8_t, 0>(level);
    test_count<uint16_t, 1>(level);
    test_count<uint32_t, 2>(level);
    test_count<uint64_t, 3>(level);
  }
  return finish();
}
