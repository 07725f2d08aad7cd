// 8 outputs x 8 channels: 16 accumulators, two vectors of weights, and four floats of input of each
// output, a lane at a time. Reads nothing beyond what the tile needs. Cores: all AArch64.
#include <arm_neon.h>

#include "stem_row.h"
#include "stem_tiles_inl.h"

namespace sparsebnn {
namespace {

template <int kPixels, int kVectors>
struct Tile {
  using Accumulators = float32x4_t[kPixels][kVectors];
  using Inputs = float32x4_t[kPixels];

  template <int kLane>
  static inline __attribute__((always_inline)) void MultiplyAdd(const float* w, const Inputs& x,
                                                                Accumulators& acc) {
    float32x4_t w_f32x4[kVectors];
    for (int v = 0; v < kVectors; ++v) w_f32x4[v] = vld1q_f32(w + 4 * (kVectors * kLane + v));
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        acc[p][v] = vfmaq_laneq_f32(acc[p][v], w_f32x4[v], x[p], kLane);
      }
    }
  }

  static void Run(const StemRow& row, const TilePlace<StemRow>& place) {
    Accumulators acc_f32x4;
    const float* w = place.weights;
    for (int v = 0; v < kVectors; ++v) {
      const float32x4_t bias_f32x4 = vld1q_f32(w + 4 * v);
      for (int p = 0; p < kPixels; ++p) acc_f32x4[p][v] = bias_f32x4;
    }
    w += 4 * kVectors;
    const size_t step = row.step;
    for (size_t ky = 0; ky < row.filter_height; ++ky) {
      const float* x = row.rows[ky] + place.offset;
      Inputs x_f32x4;
      size_t k = row.run;
      for (; k >= 4 && row.groups == 1; k -= 4, x += 4, w += 16 * kVectors) {
#pragma GCC unroll 8
        for (int p = 0; p < kPixels; ++p) {
          x_f32x4[p] = vld1q_f32(x + static_cast<size_t>(p) * step);
        }
        MultiplyAdd<0>(w, x_f32x4, acc_f32x4);
        MultiplyAdd<1>(w, x_f32x4, acc_f32x4);
        MultiplyAdd<2>(w, x_f32x4, acc_f32x4);
        MultiplyAdd<3>(w, x_f32x4, acc_f32x4);
      }
      for (; k > 0; --k, x += row.groups, w += 4 * kVectors) {
#pragma GCC unroll 8
        for (int p = 0; p < kPixels; ++p) {
          x_f32x4[p] = vld1q_dup_f32(x + static_cast<size_t>(p) * step);
        }
        MultiplyAdd<0>(w, x_f32x4, acc_f32x4);
      }
    }
    const float32x4_t minimum = vdupq_n_f32(row.minimum), maximum = vdupq_n_f32(row.maximum);
    float values[kPixels][4 * kVectors];
    const bool whole = place.channels >= 4 * kVectors && place.pixels >= kPixels;
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      float* const to = whole ? place.output + p * row.pitch() : values[p];
      for (int v = 0; v < kVectors; ++v) {
        vst1q_f32(to + 4 * v, vminq_f32(vmaxq_f32(acc_f32x4[p][v], minimum), maximum));
      }
    }
    if (!whole) StorePart(values, row, place);
  }
};

}  // namespace

void RunStemRow__neon(const StemRow& row) { RunStemRow<Tile, 4, 8, 4, 2>(row); }

}  // namespace sparsebnn
