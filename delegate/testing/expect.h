// What the C++ tests check with: conditions by hand, and random cases by their seeds.
#ifndef SPARSEBNN_TESTING_EXPECT_H_
#define SPARSEBNN_TESTING_EXPECT_H_

#include <cstdio>
#include <cstdlib>

namespace sparsebnn {

inline int failures = 0;

#define EXPECT(condition)                                                           \
  do {                                                                              \
    if (!(condition)) {                                                             \
      std::fprintf(stderr, "%s:%d: Expected %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                                   \
    }                                                                               \
  } while (false)

// The end of main(): the exit status.
inline int Outcome() {
  std::printf("%d failures\n", failures);
  return failures != 0;
}

// `program [COUNT [SEED]]`: checks that many random layers, each by its seed; `check` returns its
// failures. Returns the exit status.
template <typename Check>
int CheckSeeds(int argc, char** argv, int count, Check check) {
  const int layers = argc > 1 ? std::atoi(argv[1]) : count;
  const unsigned seed = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1;
  int failed = 0;
  for (int i = 0; i < layers; ++i) failed += check(seed + i);
  std::printf("%d layers from seed %u, %d failures\n", layers, seed, failed);
  return failed > 0;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_EXPECT_H_
