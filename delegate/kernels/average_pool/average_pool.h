// Average pooling of floats, windows of 2x2:
//
//   output[b, y, x, c] = ((m00 + m10 + 0) + (m01 + m11)) * (1 / n)
//
//   where mij = map[b, y * stride_h + i, x * stride_w + j, c], 0 outside of the map, in which n of
//   the four lie
//
// In XNNPACK's order of additions, the zero included, which makes a sum of negative zeros positive;
// 1 / n is exact. So the results are the same bits.
//
// Operand layouts:
//   map     float [batch, input_height, input_width, values]
//   output  float [batch, output_height, output_width, values]
#ifndef SPARSEBNN_KERNELS_AVERAGE_POOL_AVERAGE_POOL_H_
#define SPARSEBNN_KERNELS_AVERAGE_POOL_AVERAGE_POOL_H_

#include <cstddef>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/max_pool/max_pool.h"

namespace sparsebnn {

// output[c] = ((taps[0][c] + taps[1][c] + 0) + (taps[2][c] + taps[3][c])) * scale.
using AverageKernel = void (*)(const float* const* taps, float scale, size_t channels,
                               float* output);

class AveragePool {
 public:
  // Of a filter of 2x2 and without padding at the top and the left. Not for kScalar.
  AveragePool(const PoolGeometry& geometry, Isa isa);

  // Of the output, through the batch.
  size_t pixels() const;
  int channels() const { return g_.values; }

  // `count` pixels of the output from `first` on.
  void Run(const float* map, size_t first, size_t count, float* output) const;
  // All of them, to the epilogue. False if memory is short.
  bool Run(const float* map, const Epilogue& epilogue, Workspace* workspace,
           ThreadPool* threads) const;

 private:
  const PoolGeometry g_;
  const int lanes_;
  const AverageKernel kernel_;
  const std::vector<float> outside_;  // a pixel of zeros
};

void AverageOf4__avx2(const float* const* taps, float scale, size_t channels, float* output);
void AverageOf4__avx512(const float* const* taps, float scale, size_t channels, float* output);
void AverageOf4__neon(const float* const* taps, float scale, size_t channels, float* output);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_AVERAGE_POOL_AVERAGE_POOL_H_
