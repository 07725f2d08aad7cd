// What stands in for parts of the C++ library does what they do.
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cfloat>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/base/decimal.h"
#include "kernels/base/mutex.h"
#include "kernels/cpu/thread_pool.h"
#include "tflite/shared.h"

namespace sparsebnn {
namespace {

int CheckText(const std::string& got, const std::string& expected) {
  if (got == expected) return 0;
  std::printf("Decimal: expected %s, got %s\n", expected.c_str(), got.c_str());
  return 1;
}

// As std::to_string: all digits of integers, six behind the point of others.
int CheckDecimals() {
  int failures = CheckText(Decimal(0), "0") + CheckText(Decimal(-1), "-1") +
                 CheckText(Decimal(INT_MIN), "-2147483648") +
                 CheckText(Decimal(INT64_MIN), "-9223372036854775808") +
                 CheckText(Decimal(UINT64_MAX), "18446744073709551615") +
                 CheckText(Decimal(0.1f), "0.100000") + CheckText(Decimal(-0.5), "-0.500000") +
                 CheckText(Decimal(1.0 / 0.0), "inf");
  failures += Decimal(-DBL_MAX).size() != 1 + 309 + 1 + 6;
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i) {
    const int64_t integer = static_cast<int64_t>(random());
    const double real = static_cast<double>(random()) / 1e12;
    failures += std::strtoll(Decimal(integer).c_str(), nullptr, 10) != integer;
    failures += std::fabs(std::strtod(Decimal(real).c_str(), nullptr) - real) > 0.51e-6;
  }
  return failures;
}

struct Counted : Owned {
  explicit Counted(int* deleted) : deleted(deleted) {}
  ~Counted() { ++*deleted; }
  int* const deleted;
};

int CheckShared() {
  int deleted = 0, failures = 0;
  {
    const Shared<Counted> first(new Counted(&deleted));
    {
      const Shared<Counted> second = first;
      failures += second->deleted != &deleted;
    }
    failures += deleted != 0;
  }
  return failures + (deleted != 1);
}

int CheckMutex() {
  Mutex mutex;
  int total = 0;
  ThreadPool pool(4);
  const uint64_t start = Nanoseconds();
  pool.ParallelFor(1000, [&](int, int) {
    MutexLock lock(&mutex);
    total += 1;
  });
  return (total != 1000) + (Nanoseconds() < start);
}

// Threads fall asleep when nothing comes, and are there again some time after a call of Wake.
bool WakesSleepers(ThreadPool* pool) {
  const auto comes = [&](int expected) {
    for (const uint64_t start = Nanoseconds(); Nanoseconds() - start < 10'000'000'000;) {
      if (pool->ThreadsFor(50) == expected) return true;
      usleep(100);
    }
    return false;
  };
  if (!comes(1)) return false;
  if (pool->threads() == 1) return true;
  // They stay for a moment only, and this thread may miss it.
  for (int i = 0; i < 1000; ++i) {
    pool->Wake();
    for (const uint64_t start = Nanoseconds(); Nanoseconds() - start < 1'000'000;) {
      if (pool->ThreadsFor(50) > 1) return true;
      sched_yield();
    }
  }
  return false;
}

// Each of a loop's parts once, and a thread's own first: here nobody takes a second before all have
// one.
int CheckThreadPool() {
  int failures = 0;
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    const int all = pool.threads();
    for (const int count : {0, 1, 2, 3, 7, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      pool.ParallelFor(count, [&](int i, int thread) {
        calls[static_cast<size_t>(i)] += thread >= 0 && thread < all ? 1 : 1000;
      });
      for (const std::atomic<int>& called : calls) failures += called != 1;
    }
    std::atomic<int> come{0}, others{0};
    pool.ParallelFor(all, [&](int i, int thread) {
      others += i != thread;
      for (++come; come < all;) sched_yield();
    });
    failures += others != 0;
    failures += pool.ThreadsFor(1) != 1 || pool.ThreadsFor(1e6) != all;
    const int awake = pool.ThreadsFor(50);
    failures += awake < 1 || awake > all;
    failures += !WakesSleepers(&pool);
  }
  return failures;
}

}  // namespace
}  // namespace sparsebnn

int main() {
  const int failures = sparsebnn::CheckDecimals() + sparsebnn::CheckShared() +
                       sparsebnn::CheckMutex() + sparsebnn::CheckThreadPool();
  std::printf("%d failures\n", failures);
  return failures > 0;
}
