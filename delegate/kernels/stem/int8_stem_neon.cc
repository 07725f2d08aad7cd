// 4 outputs x 4 channels: 16 accumulators, four vectors of weights and one of input; lanes are
// samples, and are added up at the end. Groups of 16 samples: two products of a lane fit into 16
// bits, 2 * 128 * 127 < 2^15, so a product, a product added and one addition to 32 bits do for 16
// multiplications. Reads nothing beyond what the tile needs. Cores: all AArch64.
#include <arm_neon.h>

#include "int8_outputs_neon.h"
#include "int8_stem_row.h"
#include "stem_tiles_inl.h"

namespace sparsebnn {
namespace {

inline int8x16_t Load(const uint8_t* bytes) { return vreinterpretq_s8_u8(vld1q_u8(bytes)); }

// A vector is of two channels.
template <int kPixels, int kVectors>
struct Tile {
  static constexpr int kChannels = 2 * kVectors;

  static void Run(const Int8StemRow& row, const TilePlace<Int8StemRow>& place) {
    int32x4_t acc_s32x4[kPixels][4];  // of channels that are not there, zeros
    for (int p = 0; p < kPixels; ++p) {
      for (int o = 0; o < 4; ++o) acc_s32x4[p][o] = vdupq_n_s32(0);
    }
    const uint8_t* w = place.weights + 8 * kChannels;
    const uint8_t* x = row.input + place.offset;
    for (size_t k = 0; k < row.step; k += 16, x += 16, w += 16 * kChannels) {
      int8x16_t w_s8x16[kChannels];
      for (int o = 0; o < kChannels; ++o) w_s8x16[o] = Load(w + 16 * o);
#pragma GCC unroll 4
      for (int p = 0; p < kPixels; ++p) {
        const int8x16_t x_s8x16 = Load(x + static_cast<size_t>(p) * row.step);
        int16x8_t product_s16x8[kChannels];
        for (int o = 0; o < kChannels; ++o) {
          product_s16x8[o] = vmull_s8(vget_low_s8(x_s8x16), vget_low_s8(w_s8x16[o]));
        }
        for (int o = 0; o < kChannels; ++o) {
          product_s16x8[o] = vmlal_high_s8(product_s16x8[o], x_s8x16, w_s8x16[o]);
        }
        for (int o = 0; o < kChannels; ++o) {
          acc_s32x4[p][o] = vpadalq_s16(acc_s32x4[p][o], product_s16x8[o]);
        }
      }
    }
    Store(acc_s32x4, row, place);
  }

  static void Store(const int32x4_t (&acc_s32x4)[kPixels][4], const Int8StemRow& row,
                    const TilePlace<Int8StemRow>& place) {
    int32_t bias[4] = {};
    float multipliers[4] = {};
    std::memcpy(bias, place.weights, 4 * kChannels);
    std::memcpy(multipliers, place.weights + 4 * kChannels, 4 * kChannels);
    const int32x4_t bias_s32x4 = vld1q_s32(bias);
    const float32x4_t multiplier_f32x4 = vld1q_f32(multipliers);
    const Int8Outputs outputs(row);
    float values[kPixels][4];
    const bool whole = kVectors == 2 && place.channels >= 4 && place.pixels >= kPixels;
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) {
      const int32x4_t sum_s32x4 = vpaddq_s32(vpaddq_s32(acc_s32x4[p][0], acc_s32x4[p][1]),
                                             vpaddq_s32(acc_s32x4[p][2], acc_s32x4[p][3]));
      vst1q_f32(whole ? place.output + p * row.pitch() : values[p],
                outputs.Of(vaddq_s32(sum_s32x4, bias_s32x4), multiplier_f32x4));
    }
    if (!whole) StorePart(values, row, place);
  }
};

}  // namespace

void RunInt8StemRow__neon(const Int8StemRow& row) { RunStemRow<Tile, 2, 4, 2, 1>(row); }

}  // namespace sparsebnn
