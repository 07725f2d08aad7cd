// A network's first layers: a float 2-D convolution of few input channels, or one of one input channel
// for each output channel (depthwise), prepared once for its filter and run many times.
//
//   acc = bias[o]
//   for each ky, kx, c in this order:
//     acc = fma(input[b, y * stride_h + ky - pad_top, x * stride_w + kx - pad_left, c],
//               filter[o, ky, kx, c], acc)                    0 outside of the image
//   output[b, y, x, o] = min(max(acc, minimum), maximum)
//
// One chain of fused operations for each output, as in XNNPACK's kernels on machines that have
// them: the results are the same bits. Only for such instruction sets.
//
// Depthwise, output channel o reads c = o / (channels_out / channels_in) only.
//
// A general kernel takes the channels of one tap at a time, three of them for an image. Here the
// filter_width * channels_in floats that one filter row covers are one run: they are adjacent in
// the image. Rows of the image are copied into a ring of filter_height rows with their padding, so
// that no output is a special case. A depthwise convolution is channels_in of them side by side, of one
// channel each.
//
// Operand layouts:
//   input   float [batch, input_height, input_width, channels_in]
//   filter  float [channels_out, filter_height, filter_width, channels_in], or 1 depthwise
//   output  float [batch, output_height, output_width, channels_out]
#ifndef SPARSEBNN_KERNELS_STEM_STEM_H_
#define SPARSEBNN_KERNELS_STEM_STEM_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/max_pool/float_pool.h"
#include "stem_geometry.h"
#include "stem_row.h"

namespace sparsebnn {

class Stem {
 public:
  // `filter` and `bias` ([channels_out]) are copied. `isa` is one for which StemTileFor has a tile.
  Stem(const StemGeometry& geometry, const float* filter, const float* bias, float minimum,
       float maximum, Isa isa);

  // To `output`, or, if that is null, to `epilogue`, which says where then. `workspace` is scratch
  // memory that calls of different layers may share, one call at a time. False if memory is short.
  bool Run(const float* input, float* output, const Epilogue* epilogue, Workspace* workspace,
           ThreadPool* threads) const;

  // As Run with an epilogue, of a max pool of the output, whose geometry `pool` has. The output is
  // in memory row by row.
  bool RunPooled(const float* input, const FloatPool& pool, const Epilogue& epilogue,
                 Workspace* workspace, ThreadPool* threads) const;

  // Of the scratch memory of one thread, without a pool's.
  static size_t WorkspaceBytes(const StemGeometry& geometry);

 private:
  class Rows;

  void CopyRow(const float* image, int y, float* row) const;

  const StemGeometry geometry_;
  const StemTile tile_;
  const float minimum_, maximum_;
  std::vector<float> weights_;  // as StemRow has them
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_STEM_H_
