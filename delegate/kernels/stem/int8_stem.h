// A network's first layer in 8 bits: a float image becomes int8, an int8 2-D convolution of few input
// channels runs on it, and its outputs become floats again. Prepared once for its filter.
//
//   q = clamp(round(image / s_in) + z_in, -128, 127)            z_in outside of the image
//   sum = bias[o] + sum over ky, kx, c of filter[o, ky, kx, c] *
//         (q[b, y * stride_h + ky - pad_top, x * stride_w + kx - pad_left, c] - z_in)
//   steps = clamp(round(float(sum) * multiplier[o]), minimum - z_out, maximum - z_out)
//   output[b, y, x, o] = s_out * steps                          multiplier[o] = s_in * s[o] / s_out
//
// Sums are exact, modulo 2^32; round() goes to the nearest integer, to the even one of two; products
// and quotients are rounded to float32, and image / s_in is image * (1 / s_in). This is what
// XNNPACK's QUANTIZE, CONV_2D and DEQUANTIZE compute one after another: the results are the same
// bits, NaNs aside.
//
// Rows of the image become int8 once, with their padding, in a ring of filter_height rows (stem_rows.h).
// For a row of outputs the samples under the filter are copied together, so that a kernel has one
// long sum for each output. Zero points are in the bias: bias[o] - z_in * sum of the filter.
//
// Bound: |sum - bias| <= 4096 * 255 * 127 < 2^27, of a 1x1 convolution; of a stem, with 11x11 taps
// of 4 channels, < 2^24.
//
// Operand layouts:
//   image   float [batch, input_height, input_width, channels_in]
//   filter  int8 [channels_out, filter_height, filter_width, channels_in], -127..127
//   output  float [batch, output_height, output_width, channels_out]
#ifndef SPARSEBNN_KERNELS_STEM_INT8_STEM_H_
#define SPARSEBNN_KERNELS_STEM_INT8_STEM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "int8_stem_row.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/workspace.h"
#include "kernels/epilogue/epilogue.h"
#include "kernels/max_pool/float_pool.h"
#include "stem_geometry.h"

namespace sparsebnn {

// value = scale * (q - zero_point). A scale is positive and normal.
struct Int8Range {
  float scale = 1.0f;
  int zero_point = 0;
};

struct Int8StemParameters {
  const int8_t* filter;
  const int32_t* bias;       // [channels_out]
  const float* multipliers;  // [channels_out]
  Int8Range image, output;
  int minimum = -128, maximum = 127;  // of an output's q
};

// int8 of `count` floats, plus `shift`: the first line above. Sample is an integer that holds it.
template <typename Sample>
void QuantizeSamples(const float* values, size_t count, const Int8Range& range, int shift,
                     Sample* samples);

class Int8Stem {
 public:
  // What the parameters point to is copied. `isa` and `dot_products` are such that Int8StemTileFor
  // has a tile.
  Int8Stem(const StemGeometry& geometry, const Int8StemParameters& parameters, Isa isa,
           bool dot_products);

  // As Stem's.
  bool Run(const float* input, float* output, const Epilogue* epilogue, Workspace* workspace,
           ThreadPool* threads) const;
  bool RunPooled(const float* input, const FloatPool& pool, const Epilogue& epilogue,
                 Workspace* workspace, ThreadPool* threads) const;

  // Of the scratch memory of one thread, without a pool's.
  static size_t WorkspaceBytes(const StemGeometry& geometry);

  const char* kernel() const { return tile_.name; }

 private:
  class Rows;

  template <typename Sample>
  void CopyRow(const float* image, int y, uint8_t* row) const;

  const StemGeometry geometry_;
  const Int8StemTile tile_;
  const Int8Range image_, output_;
  const float minimum_, maximum_;  // steps from the zero point
  std::vector<uint8_t> weights_;   // as Int8StemRow has them
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_INT8_STEM_H_
