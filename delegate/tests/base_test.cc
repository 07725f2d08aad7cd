// What stands in for parts of the C++ library does what they do.
#include <cfloat>
#include <climits>
#include <cstdint>
#include <cstdio>
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

template <typename Number>
int CheckDecimal(const std::vector<Number>& values) {
  int failures = 0;
  for (const Number value : values) {
    if (Decimal(value) == std::to_string(value)) continue;
    std::printf("Decimal differs: %s\n", Decimal(value).c_str());
    ++failures;
  }
  return failures;
}

int CheckDecimals() {
  std::mt19937_64 random(1);
  std::vector<int64_t> integers = {0, -1, INT64_MIN, INT64_MAX};
  std::vector<double> reals = {0.0, -0.5, DBL_MAX, -DBL_MAX, DBL_MIN, 1.0 / 0.0};
  for (int i = 0; i < 100; ++i) {
    integers.push_back(static_cast<int64_t>(random()));
    reals.push_back(static_cast<double>(random()) / 1e9);
  }
  return CheckDecimal<int>({INT_MIN, INT_MAX}) + CheckDecimal<uint64_t>({0, UINT64_MAX}) +
         CheckDecimal<float>({0.1f, FLT_MAX}) + CheckDecimal(integers) + CheckDecimal(reals);
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

}  // namespace
}  // namespace sparsebnn

int main() {
  const int failures =
      sparsebnn::CheckDecimals() + sparsebnn::CheckShared() + sparsebnn::CheckMutex();
  std::printf("%d failures\n", failures);
  return failures > 0;
}
