// Kernels that convert contiguous elements between any two storage dtypes.
#include "functors_cast.h"
#include "vector.h"

namespace COREPY_NAMESPACE {

void fill_casts(corepy_kernels *table);

namespace {

template <class To, class From>
void cast(void *out, const void *in, size_t n) {
  To *results = static_cast<To *>(out);
  const From *x = static_cast<const From *>(in);
#pragma GCC ivdep
#pragma GCC unroll 1
  for (size_t i = 0; i < n; i++)
    results[i] = convert<To>(x[i]);
}

// Stored past the caches where `out` begins with a line.
template <class To, class From>
void streamed_cast(void *out, const void *in, size_t n) {
  if (!is_line(out))
    return cast<To, From>(out, in, n);
  To *to = static_cast<To *>(out);
  const From *x = static_cast<const From *>(in);
  size_t done = stream_lines(to, n, [=](size_t i) { return convert<To>(x[i]); }, x);
  cast<To, From>(to + done, x + done, n - done);
}

template <size_t bytes>
void copy(void *out, const void *in, size_t n) {
  if (n != 0)
    __builtin_memmove(out, in, n * bytes);
}

// Integers of one width convert between each other by keeping their bits; from and to anything
// else, only the signedness of the source matters for integers.
template <class To, class From>
constexpr corepy_cast choose() {
  if constexpr (is_integer<To> && is_integer<From> && sizeof(To) == sizeof(From))
    return copy<sizeof(To)>;
  else if constexpr (__is_same(To, From) && !is_truth<To>)
    return copy<sizeof(To)>;
  else if constexpr (is_integer<To> && is_integer<From> && sizeof(To) < sizeof(From))
    return cast<Raw<To>, Raw<From>>;
  else if constexpr (is_signed_integer<To> && (is_integer<From> || is_truth<From>))
    return cast<Raw<To>, From>;
  else if constexpr (is_truth<To> && is_integer<From>)
    return cast<To, Raw<From>>;
  else
    return cast<To, From>;
}

// Conversions between numbers that are as long as a word or longer, without those that keep the
// bits.
template <class To, class From>
constexpr corepy_cast choose_streamed() {
  constexpr bool words = has_streams && sizeof(To) >= 4 && sizeof(From) >= 4;
  if constexpr (words && is_integer<To> && is_integer<From> && sizeof(To) < sizeof(From))
    return streamed_cast<Raw<To>, Raw<From>>;
  else if constexpr (words && (is_floating<To> || is_integer<To>) &&
                     (is_floating<From> || is_integer<From>) &&
                     is_floating<To> + is_floating<From> > 0 && !__is_same(To, From))
    return streamed_cast<To, From>;
  else
    return nullptr;
}

template <class From>
void fill_from(corepy_cast (&to)[COREPY_DTYPES], corepy_cast (&streamed)[COREPY_DTYPES]) {
#define COREPY_SET_CAST(DTYPE, To)                                                                 \
  to[COREPY_DTYPE_##DTYPE] = choose<To, From>();                                                   \
  streamed[COREPY_DTYPE_##DTYPE] = choose_streamed<To, From>();
  COREPY_STORAGE_DTYPES(COREPY_SET_CAST)
#undef COREPY_SET_CAST
}

} // namespace

void fill_casts(corepy_kernels *table) {
#define COREPY_SET_CASTS(DTYPE, From)                                                              \
  fill_from<From>(table->cast[COREPY_DTYPE_##DTYPE], table->cast_streamed[COREPY_DTYPE_##DTYPE]);
  COREPY_STORAGE_DTYPES(COREPY_SET_CASTS)
#undef COREPY_SET_CASTS
}

} // namespace COREPY_NAMESPACE
