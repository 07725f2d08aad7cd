// One row of an int8 stem's outputs: what a kernel of one instruction set computes.
#ifndef SPARSEBNN_KERNELS_STEM_INT8_STEM_ROW_H_
#define SPARSEBNN_KERNELS_STEM_INT8_STEM_ROW_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/isa.h"

namespace sparsebnn {

// Outputs that a kernel computes at once, at most; it may compute as many beyond the row's end, so
// that much input has to be there.
constexpr int kMaxInt8StemPixels = 14;

struct Int8StemRow {
  using Weight = uint8_t;

  const uint8_t* input;  // for each output the samples under the filter, `step` bytes
  size_t step;           // whole groups
  // For each vector of channels, filled up with zeros: int32 bias, float multiplier, then
  // [groups, channels, group] weights as wide as samples; two vectors that a tile takes together
  // lie together.
  const uint8_t* weights;
  float minimum, maximum;  // of an output's steps from its zero point
  float scale;             // of a step
  float* output;           // [pixels, channels]
  int pixels, channels;

  int pitch() const { return channels; }
  // Bytes, with bias and multiplier.
  size_t channel_weights() const { return sizeof(int32_t) + sizeof(float) + step; }
};

struct Int8StemTile {
  const char* name;
  void (*run)(const Int8StemRow& row);
  int lanes;         // channels of a vector; weights of 2 * lanes channels lie together
  int group;         // samples whose products are added up in one lane
  int sample_bytes;  // 1 or 2
  int shift;         // added to int8 samples: 128 if a kernel wants them unsigned
};

// Of an available `isa`, for that many output channels; with `dot_products` if the processor has
// them (cpu/isa.h). `run` is null for the scalar one: XNNPACK has vectors everywhere.
Int8StemTile Int8StemTileFor(Isa isa, bool dot_products, int channels);

// 32 bits of samples, which may lie anywhere.
inline int32_t LoadSamples(const uint8_t* samples) {
  int32_t value;
  std::memcpy(&value, samples, sizeof value);
  return value;
}

void RunInt8StemRow__avx2(const Int8StemRow& row);
void RunInt8StemRow__vnni(const Int8StemRow& row);
void RunInt8StemRow__neon(const Int8StemRow& row);
void RunInt8StemRow__dotprod(const Int8StemRow& row);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_INT8_STEM_ROW_H_
