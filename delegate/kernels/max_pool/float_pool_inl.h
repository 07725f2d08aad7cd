// The loops of float max pooling, for a file of each instruction set. Everything here has internal
// linkage, so that each file has its own code.
#ifndef SPARSEBNN_KERNELS_MAX_POOL_FLOAT_POOL_INL_H_
#define SPARSEBNN_KERNELS_MAX_POOL_FLOAT_POOL_INL_H_

#include <cstring>

#include "float_pool.h"

namespace sparsebnn {
namespace {

typedef float f32x8 __attribute__((vector_size(32)));

// output[i] = max over k of values(k)[i], i < floats. values(0) is there.
template <typename Values>
inline void MaxOf(const Values& values, int count, size_t floats, float* output) {
  size_t i = 0;
  for (; i + 8 <= floats; i += 8) {
    f32x8 greatest, other;
    std::memcpy(&greatest, values(0) + i, sizeof greatest);
    for (int k = 1; k < count; ++k) {
      std::memcpy(&other, values(k) + i, sizeof other);
      greatest = greatest > other ? greatest : other;
    }
    std::memcpy(output + i, &greatest, sizeof greatest);
  }
  for (; i < floats; ++i) {
    float greatest = values(0)[i];
    for (int k = 1; k < count; ++k) greatest = std::max(greatest, values(k)[i]);
    output[i] = greatest;
  }
}

inline void PoolColumns(const PoolGeometry& g, const float* row, float* output) {
  const size_t channels = static_cast<size_t>(g.values);
  for (int x = 0; x < g.output_width; ++x, output += channels) {
    const int left = x * g.stride_width - g.padding_left;
    const int begin = std::max(0, left), end = std::min(g.input_width, left + g.filter_width);
    const float* const window = row + static_cast<size_t>(begin) * channels;
    const auto column = [&](int k) { return window + static_cast<size_t>(k) * channels; };
    if (end - begin == 3) {
      MaxOf(column, 3, channels, output);  // what networks have
    } else {
      MaxOf(column, end - begin, channels, output);
    }
  }
}

inline void PoolRows(const float* const* rows, int count, size_t floats, float* output) {
  const auto row = [rows](int k) { return rows[k]; };
  if (count == 3) {
    MaxOf(row, 3, floats, output);
  } else {
    MaxOf(row, count, floats, output);
  }
}

}  // namespace
}  // namespace sparsebnn

#define SPARSEBNN_DEFINE_FLOAT_POOL(isa)                                                    \
  void PoolColumns__##isa(const PoolGeometry& geometry, const float* row, float* output) {  \
    PoolColumns(geometry, row, output);                                                     \
  }                                                                                         \
  void PoolRows__##isa(const float* const* rows, int count, size_t floats, float* output) { \
    PoolRows(rows, count, floats, output);                                                  \
  }

#endif  // SPARSEBNN_KERNELS_MAX_POOL_FLOAT_POOL_INL_H_
