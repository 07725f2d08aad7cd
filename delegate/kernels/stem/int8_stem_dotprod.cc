// 8 outputs x 8 channels: 16 accumulators, two vectors of weights, and 16 samples of each output,
// four at a time. Groups of 4 samples. Reads nothing beyond what the tile needs. Cores: AArch64 with
// dot products, as Cortex-A76 and, after their first revisions, A55.
#include <arm_neon.h>

#include "int8_outputs_neon.h"
#include "int8_stem_row.h"
#include "stem_tiles_inl.h"

namespace sparsebnn {
namespace {

template <int kPixels, int kVectors>
struct Tile {
  using Accumulators = int32x4_t[kPixels][kVectors];
  using Inputs = int8x16_t[kPixels];

  template <int kLane>
  static inline __attribute__((always_inline)) void MultiplyAdd(const uint8_t* w,
                                                                const Inputs& x,
                                                                Accumulators& acc) {
    int8x16_t w_s8x16[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      w_s8x16[v] = vreinterpretq_s8_u8(vld1q_u8(w + 16 * (kVectors * kLane + v)));
    }
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        acc[p][v] = vdotq_laneq_s32(acc[p][v], w_s8x16[v], x[p], kLane);
      }
    }
  }

  static void Run(const Int8StemRow& row, const TilePlace<Int8StemRow>& place) {
    Accumulators acc_s32x4;
    float32x4_t multiplier_f32x4[kVectors];
    const uint8_t* w = place.weights;
    for (int v = 0; v < kVectors; ++v) {
      const int32x4_t bias_s32x4 = vreinterpretq_s32_u8(vld1q_u8(w + 16 * v));
      multiplier_f32x4[v] = vreinterpretq_f32_u8(vld1q_u8(w + 16 * (kVectors + v)));
      for (int p = 0; p < kPixels; ++p) acc_s32x4[p][v] = bias_s32x4;
    }
    w += 32 * kVectors;
    const uint8_t* x = row.input + place.offset;
    Inputs x_s8x16;
    size_t k = row.step;
    for (; k >= 16; k -= 16, x += 16, w += 64 * kVectors) {
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        x_s8x16[p] = vreinterpretq_s8_u8(vld1q_u8(x + static_cast<size_t>(p) * row.step));
      }
      MultiplyAdd<0>(w, x_s8x16, acc_s32x4);
      MultiplyAdd<1>(w, x_s8x16, acc_s32x4);
      MultiplyAdd<2>(w, x_s8x16, acc_s32x4);
      MultiplyAdd<3>(w, x_s8x16, acc_s32x4);
    }
    for (; k > 0; k -= 4, x += 4, w += 16 * kVectors) {
#pragma GCC unroll 8
      for (int p = 0; p < kPixels; ++p) {
        x_s8x16[p] = vreinterpretq_s8_s32(
            vdupq_n_s32(LoadSamples(x + static_cast<size_t>(p) * row.step)));
      }
      MultiplyAdd<0>(w, x_s8x16, acc_s32x4);
    }
    const Int8Outputs outputs(row);
    float values[kPixels][4 * kVectors];
    const bool whole = place.channels >= 4 * kVectors && place.pixels >= kPixels;
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      float* const to = whole ? place.output + p * row.pitch() : values[p];
      for (int v = 0; v < kVectors; ++v) {
        vst1q_f32(to + 4 * v, outputs.Of(acc_s32x4[p][v], multiplier_f32x4[v]));
      }
    }
    if (!whole) StorePart(values, row, place);
  }
};

}  // namespace

void RunInt8StemRow__dotprod(const Int8StemRow& row) { RunStemRow<Tile, 4, 8, 4, 2>(row); }

}  // namespace sparsebnn
