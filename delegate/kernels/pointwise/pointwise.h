// A float convolution of 1x1, as shortcuts have where a network's width grows, prepared once for its
// filter and run many times; perhaps with an average pool before it.
//
//   acc = bias[o]
//   for each c in rising order:  acc = fma(input[pixel, c], filter[o, c], acc)
//   output[pixel, o] = min(max(acc, minimum), maximum)
//
// One chain of fused operations for each output, as in XNNPACK's kernels on machines that have
// them: the results are the same bits. Only for such instruction sets.
//
// Each pixel is an output of a stem's row (stem_row.h), whose filter is all of its channels: the
// tiles are the stem's. A block of pixels is as much as stays in the second-level cache; the pool
// makes a block at a time, so that its map is never in memory.
//
// Operand layouts:
//   input   float [pixels, channels_in], or the pool's map
//   filter  float [channels_out, channels_in]
//   output  float [pixels, channels_out]
#ifndef SPARSEBNN_KERNELS_POINTWISE_POINTWISE_H_
#define SPARSEBNN_KERNELS_POINTWISE_POINTWISE_H_

#include <cstddef>
#include <vector>

#include "kernels/average_pool/average_pool.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/stem/stem_row.h"

namespace sparsebnn {

class Pointwise {
 public:
  // `filter` and `bias` ([channels_out]) are copied. `isa` is one for which StemTileFor has a tile.
  Pointwise(int channels_in, int channels_out, const float* filter, const float* bias,
            float minimum, float maximum, Isa isa);

  // Of `pixels` pixels to `output`, or, if that is null, to `epilogue`, which says where then.
  // `workspace` is scratch memory that calls of different layers may share, one call at a time.
  // False if memory is short.
  bool Run(const float* input, size_t pixels, float* output, const Epilogue* epilogue,
           Workspace* workspace, ThreadPool* threads) const;

  // As Run with an epilogue, of what the pool makes of its map.
  bool RunAveraged(const float* map, const AveragePool& pool, const Epilogue& epilogue,
                   Workspace* workspace, ThreadPool* threads) const;

 private:
  bool RunBlocks(const float* input, const AveragePool* pool, size_t pixels, float* output,
                 const Epilogue* epilogue, Workspace* workspace, ThreadPool* threads) const;
  size_t BlockPixels(size_t pixels, size_t workers) const;

  const int channels_in_, channels_out_;
  const StemTile tile_;
  const float minimum_, maximum_;
  const std::vector<float> weights_;  // as StemRow has them
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_POINTWISE_POINTWISE_H_
