// What this machine can do at most: bandwidth over size, peak multiply-adds and hand-off latency, as JSON.
//
// `limits SECONDS_A_POINT LARGEST_BYTES THREADS PARTS`: PARTS is a text holding "bandwidth", "peak" or "handoff".
// Compiled once per SIMD level; __AVX512F__ and __AVX2__ with __FMA__ choose the width.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr size_t width = 64;
constexpr int chains = 24; // 32 registers, two of them hold the operands
#elif defined(__AVX2__)
constexpr size_t width = 32;
constexpr int chains = 12; // 16 registers; two units with a latency of 4 to 5 cycles need 10
#else
constexpr size_t width = 16;
constexpr int chains = 12;
#endif
constexpr size_t streams = 8; // vectors an iteration, so that the loop itself is free

typedef uint64_t Word __attribute__((vector_size(width), aligned(width)));

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// ---- bandwidth

enum class Pattern { read, write, copy, add };
constexpr const char *pattern_names[] = {"read", "write", "copy", "add"};
constexpr size_t arrays_of[] = {1, 1, 2, 3};

template <bool past_the_cache>
void store(Word *to, Word value) {
#if defined(__AVX512F__)
  if (past_the_cache) {
    _mm512_stream_si512(reinterpret_cast<__m512i *>(to), reinterpret_cast<__m512i>(value));
    return;
  }
#elif defined(__AVX2__)
  if (past_the_cache) {
    _mm256_stream_si256(reinterpret_cast<__m256i *>(to), reinterpret_cast<__m256i>(value));
    return;
  }
#elif defined(__x86_64__)
  if (past_the_cache) {
    _mm_stream_si128(reinterpret_cast<__m128i *>(to), reinterpret_cast<__m128i>(value));
    return;
  }
#endif
  *to = value;
}

// One pass; `n` is in vectors and a multiple of `streams`.
template <Pattern pattern, bool past_the_cache>
Word pass(Word *out, const Word *a, const Word *b, size_t n) {
  Word total[streams] = {};
  const Word one = Word{} + n;
  for (size_t i = 0; i < n; i += streams) {
#pragma GCC unroll 8 // whole, so that the totals live in registers
    for (size_t k = 0; k < streams; ++k) {
      if constexpr (pattern == Pattern::read) total[k] += a[i + k];
      if constexpr (pattern == Pattern::write) store<past_the_cache>(out + i + k, one);
      if constexpr (pattern == Pattern::copy) store<past_the_cache>(out + i + k, a[i + k]);
      if constexpr (pattern == Pattern::add) store<past_the_cache>(out + i + k, a[i + k] + b[i + k]);
    }
  }
#if defined(__x86_64__)
  if (past_the_cache) _mm_sfence();
#endif
  for (size_t k = 1; k < streams; ++k) total[0] += total[k];
  return total[0];
}

using Pass = Word (*)(Word *, const Word *, const Word *, size_t);

Pass pass_of(Pattern pattern, bool past_the_cache) {
  switch (pattern) {
  case Pattern::read:
    return pass<Pattern::read, false>;
  case Pattern::write:
    return past_the_cache ? pass<Pattern::write, true> : pass<Pattern::write, false>;
  case Pattern::copy:
    return past_the_cache ? pass<Pattern::copy, true> : pass<Pattern::copy, false>;
  default:
    return past_the_cache ? pass<Pattern::add, true> : pass<Pattern::add, false>;
  }
}

std::atomic<uint64_t> sink{0};

void use(Word value) { sink.fetch_add(value[0], std::memory_order_relaxed); }

// All threads begin together; the slowest one's time counts.
template <class Work>
double together(int threads, Work work) {
  std::atomic<int> waiting{threads};
  std::vector<double> taken(threads);
  auto body = [&](int id) {
    waiting.fetch_sub(1);
    while (waiting.load() > 0) relax();
    const auto start = Clock::now();
    work(id);
    taken[id] = seconds_since(start);
  };
  std::vector<std::thread> others;
  for (int id = 1; id < threads; ++id) others.emplace_back(body, id);
  body(0);
  for (auto &other : others) other.join();
  return *std::max_element(taken.begin(), taken.end());
}

struct Memory {
  char *base;
  size_t bytes;
  explicit Memory(size_t wanted) : bytes(wanted) {
    void *got = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (got == MAP_FAILED) {
      std::perror("limits: mmap");
      std::exit(1);
    }
    madvise(got, bytes, MADV_HUGEPAGE);
    std::memset(got, 1, bytes);
    base = static_cast<char *>(got);
  }
  Memory(const Memory &) = delete;
  ~Memory() { munmap(base, bytes); }
};

constexpr int repeats = 7;

void bandwidth(double seconds, size_t largest, int most_threads) {
  // Arrays lie a little apart, so that their lines do not fall into the same sets of a cache.
  constexpr size_t apart = 4096 + 256;
  Memory memory(largest + 3 * apart * most_threads + (1 << 21));
  bool first = true;
  std::printf("\"bandwidth\": [");
  for (int threads : {1, most_threads}) {
    for (size_t size = 4096; size <= largest; size *= 2) {
      for (int index = 0; index < 4; ++index) {
        const auto pattern = static_cast<Pattern>(index);
        for (bool past_the_cache : {false, true}) {
          if (past_the_cache && pattern == Pattern::read) continue;
          const size_t each = size / arrays_of[index] / threads / (width * streams) * streams;
          if (each == 0) continue;
          const size_t bytes = each * width;
          const Pass function = pass_of(pattern, past_the_cache);
          size_t count = 1;
          auto work = [&](int id) {
            char *own = memory.base + id * arrays_of[index] * (bytes + apart) / width * width;
            auto *out = reinterpret_cast<Word *>(own);
            const auto *a = reinterpret_cast<const Word *>(own + (arrays_of[index] > 1 ? bytes + apart : 0));
            const auto *b = reinterpret_cast<const Word *>(own + (arrays_of[index] > 2 ? 2 * (bytes + apart) : 0));
            for (size_t i = 0; i < count; ++i) use(function(out, a, b, each));
          };
          double once = together(threads, work);
          while (once < seconds / 4) {
            count *= 2;
            once = together(threads, work);
          }
          std::vector<double> rates;
          for (int i = 0; i < repeats; ++i)
            rates.push_back(double(count) * threads * bytes * arrays_of[index] / together(threads, work));
          std::printf("%s{\"pattern\": \"%s\", \"past_the_cache\": %s, \"threads\": %d, \"bytes\": %zu, "
                      "\"best\": %.6g, \"median\": %.6g}",
                      first ? "" : ",\n", pattern_names[index], past_the_cache ? "true" : "false", threads,
                      bytes * arrays_of[index] * threads, *std::max_element(rates.begin(), rates.end()),
                      median(rates));
          first = false;
        }
      }
    }
    if (most_threads == 1) break;
  }
  std::printf("]");
}

// ---- peak arithmetic

template <class T>
double multiply_adds(size_t count) {
  typedef T Vector __attribute__((vector_size(width), aligned(width)));
  const Vector factor = Vector{} + T(0.999), term = Vector{} + T(0.001);
  Vector lanes[chains];
  // Every loop over the lanes is unrolled whole, so that they live in registers.
#pragma GCC unroll 24
  for (int k = 0; k < chains; ++k) lanes[k] = Vector{} + T(k);
  for (size_t i = 0; i < count; ++i) {
#pragma GCC unroll 24
    for (int k = 0; k < chains; ++k) {
      Vector lane = lanes[k] * factor + term;
      // The chains stay apart.
#if defined(__AVX512F__)
      asm volatile("" : "+v"(lane));
#elif defined(__x86_64__)
      asm volatile("" : "+x"(lane));
#else
      asm volatile("" : "+w"(lane));
#endif
      lanes[k] = lane;
    }
  }
  T total = 0;
#pragma GCC unroll 24
  for (int k = 0; k < chains; ++k) total += lanes[k][0];
  return double(total);
}

template <class T>
void peak(const char *dtype, double seconds, int threads, bool first) {
  size_t count = 1000;
  auto work = [&](int) {
    const double total = multiply_adds<T>(count);
    uint64_t bits;
    std::memcpy(&bits, &total, sizeof bits);
    sink.fetch_add(bits, std::memory_order_relaxed);
  };
  double once = together(threads, work);
  while (once < seconds / 2) {
    count *= 2;
    once = together(threads, work);
  }
  std::vector<double> rates;
  for (int i = 0; i < repeats; ++i)
    rates.push_back(2.0 * chains * (width / sizeof(T)) * double(count) * threads / together(threads, work));
  std::printf("%s{\"dtype\": \"%s\", \"threads\": %d, \"best\": %.6g, \"median\": %.6g}", first ? "" : ", ", dtype,
              threads, *std::max_element(rates.begin(), rates.end()), median(rates));
}

// ---- hand-off

void futex(std::atomic<uint32_t> *word, int operation, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(word), operation, value, nullptr, nullptr, 0);
}

// Seconds from publishing a number until another thread has seen it, polling or asleep.
double handoff(bool asleep, int count) {
  std::atomic<uint32_t> request{0}, answer{0};
  std::atomic<int64_t> seen{0};
  auto now = [] { return Clock::now().time_since_epoch().count(); };
  std::thread other([&] {
    for (int i = 1; i <= count; ++i) {
      while (request.load(std::memory_order_acquire) != uint32_t(i)) {
        if (asleep)
          futex(&request, FUTEX_WAIT_PRIVATE, uint32_t(i) - 1);
        else
          relax();
      }
      seen.store(now(), std::memory_order_relaxed);
      answer.store(uint32_t(i), std::memory_order_release);
    }
  });
  std::vector<double> times;
  for (int i = 1; i <= count; ++i) {
    const auto pause = Clock::now();
    // Long enough for the other thread to be in the state that is measured.
    while (seconds_since(pause) < (asleep ? 300e-6 : 2e-6)) relax();
    const auto start = now();
    request.store(uint32_t(i), std::memory_order_release);
    if (asleep) futex(&request, FUTEX_WAKE_PRIVATE, 1);
    while (answer.load(std::memory_order_acquire) != uint32_t(i)) relax();
    times.push_back(double(seen.load(std::memory_order_relaxed) - start) * 1e-9);
  }
  other.join();
  return median(times);
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 5) {
    std::fprintf(stderr, "limits SECONDS_A_POINT LARGEST_BYTES THREADS PARTS\n");
    return 2;
  }
  const double seconds = std::atof(argv[1]);
  const size_t largest = std::strtoull(argv[2], nullptr, 10);
  const int threads = std::max(1, std::atoi(argv[3]));
  const std::string parts = argv[4];
  std::printf("{\"width\": %zu", width);
  if (parts.find("bandwidth") != std::string::npos) {
    std::printf(",\n");
    bandwidth(seconds, largest, threads);
  }
  if (parts.find("peak") != std::string::npos) {
    std::printf(",\n\"peak\": [");
    peak<float>("float32", seconds, 1, true);
    peak<double>("float64", seconds, 1, false);
    if (threads > 1) {
      peak<float>("float32", seconds, threads, false);
      peak<double>("float64", seconds, threads, false);
    }
    std::printf("]");
  }
  // One processor has nobody to hand over to.
  if (parts.find("handoff") != std::string::npos && threads > 1)
    std::printf(",\n\"handoff\": {\"polling\": %.6g, \"asleep\": %.6g}", handoff(false, 2000), handoff(true, 300));
  std::printf("}\n");
  return 0;
}
