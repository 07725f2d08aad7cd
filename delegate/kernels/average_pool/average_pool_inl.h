// The loop over channels of an average, for a file of each instruction set.
#ifndef SPARSEBNN_KERNELS_AVERAGE_POOL_AVERAGE_POOL_INL_H_
#define SPARSEBNN_KERNELS_AVERAGE_POOL_AVERAGE_POOL_INL_H_

#include <cstring>

#include "average_pool.h"

namespace sparsebnn {
namespace {

// `Value` at `c`: a float, or a vector of them.
template <typename Value>
inline void AverageAt(const float* const* taps, size_t c, float scale, float* output) {
  Value v[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&v[i], taps[i] + c, sizeof(Value));
  const Value average = ((v[0] + v[1] + 0.0f) + (v[2] + v[3])) * scale;
  std::memcpy(output + c, &average, sizeof(Value));
}

template <typename Vector>
inline void AverageOf4(const float* const* taps, float scale, size_t channels, float* output) {
  constexpr size_t kLanes = sizeof(Vector) / sizeof(float);
  size_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) AverageAt<Vector>(taps, c, scale, output);
  for (; c < channels; ++c) AverageAt<float>(taps, c, scale, output);
}

}  // namespace
}  // namespace sparsebnn

#define SPARSEBNN_DEFINE_AVERAGE_OF_4(isa, bytes)                                \
  void AverageOf4__##isa(const float* const* taps, float scale, size_t channels, \
                         float* output) {                                        \
    typedef float Vector __attribute__((vector_size(bytes)));                    \
    AverageOf4<Vector>(taps, scale, channels, output);                           \
  }

#endif  // SPARSEBNN_KERNELS_AVERAGE_POOL_AVERAGE_POOL_INL_H_
