// One row of a stem's outputs: what a kernel of one instruction set computes.
#ifndef SPARSEBNN_KERNELS_STEM_STEM_ROW_H_
#define SPARSEBNN_KERNELS_STEM_STEM_ROW_H_

#include <cstddef>
#include <vector>

#include "kernels/cpu/isa.h"

namespace sparsebnn {

// Outputs that a kernel computes at once, at most; it may compute as many beyond the row's end, so
// that much input has to be there.
constexpr int kMaxStemPixels = 14;

struct StemRow {
  using Weight = float;
  // filter_height rows of input, padded: output x begins at x * step, and takes `run` values, `groups`
  // from each to the next.
  const float* const* rows;
  size_t filter_height, run, step;
  // For each vector of channels, filled up with zeros: bias, then [filter_height, run]; two
  // vectors that a tile takes together lie together, [filter_height, run, 2].
  const float* weights;
  float minimum, maximum;
  float* output;  // of pixel x at x * pitch()
  int pixels, channels, groups;

  int pitch() const { return channels * groups; }
  // With the bias.
  size_t channel_weights() const { return filter_height * run + 1; }
};

struct StemTile {
  void (*run)(const StemRow& row);
  int lanes;  // channels of a vector; weights of 2 * lanes channels lie together, as long as there are
  int pixels;  // outputs that are computed at once, of two vectors

  // Multiplications, about.
  double products_per_microsecond() const { return 4000.0 * lanes; }
};

// Of an available `isa`, for that many output channels; `run` is null if it has no fused
// multiply-add.
StemTile StemTileFor(Isa isa, int channels);

// `filter` [channels, depth] and `bias` to what StemRow says.
std::vector<float> PackStemWeights(int channels, int depth, int lanes, const float* filter,
                                   const float* bias);

void RunStemRow__avx2(const StemRow& row);
void RunStemRow__avx512(const StemRow& row);
void RunStemRow__neon(const StemRow& row);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_STEM_ROW_H_
