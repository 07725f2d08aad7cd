// Max pooling of signs: the greatest of some signs is -1 only if all are, so it is a logical
// and.
#ifndef SPARSEBNN_KERNELS_MAX_POOL_MAX_POOL_H_
#define SPARSEBNN_KERNELS_MAX_POOL_MAX_POOL_H_

#include <cstdint>

#include "kernels/cpu/thread_pool.h"

namespace sparsebnn {

struct PoolGeometry {
  int batch = 1;
  int input_height = 0, input_width = 0;
  int output_height = 0, output_width = 0;
  int values = 0;  // of a pixel: words of 32 signs, or floats
  int filter_height = 0, filter_width = 0;
  int stride_height = 1, stride_width = 1;
  int padding_top = 0, padding_left = 0;
};

// input [batch, input_height, input_width, words] -> output [batch, output_height,
// output_width, words]. Places outside of the image do not take part; every window has one
// inside.
void MaxPool(const PoolGeometry& geometry, const uint32_t* input, uint32_t* output,
             ThreadPool* threads);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_MAX_POOL_MAX_POOL_H_
