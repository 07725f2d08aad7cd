#ifndef SPARSEBNN_KERNELS_BASE_CLOCK_H_
#define SPARSEBNN_KERNELS_BASE_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace sparsebnn {

// Since some moment in the past; never set back.
inline uint64_t Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BASE_CLOCK_H_
