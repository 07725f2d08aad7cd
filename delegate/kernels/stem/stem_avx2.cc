// 6 outputs x 16 channels: 12 accumulators, two vectors of weights and one of input. Reads nothing
// beyond what the tile needs. Cores: all with AVX2 and FMA.
#include <immintrin.h>

#include "stem_row.h"
#include "stem_tiles_inl.h"

namespace sparsebnn {
namespace {

template <int kPixels, int kVectors>
struct Tile {
  static void Run(const StemRow& row, const TilePlace<StemRow>& place) {
    __m256 acc_f32x8[kPixels][kVectors];
    const float* w = place.weights;
    for (int v = 0; v < kVectors; ++v) {
      const __m256 bias_f32x8 = _mm256_loadu_ps(w + 8 * v);
      for (int p = 0; p < kPixels; ++p) acc_f32x8[p][v] = bias_f32x8;
    }
    w += 8 * kVectors;
    const size_t step = row.step;
    for (size_t ky = 0; ky < row.filter_height; ++ky) {
      const float* x = row.rows[ky] + place.offset;
      for (size_t k = 0; k < row.run; ++k, x += row.groups, w += 8 * kVectors) {
        __m256 w_f32x8[kVectors];
        for (int v = 0; v < kVectors; ++v) w_f32x8[v] = _mm256_loadu_ps(w + 8 * v);
#pragma GCC unroll 12
        for (int p = 0; p < kPixels; ++p) {
          const __m256 x_f32x8 = _mm256_broadcast_ss(x + static_cast<size_t>(p) * step);
          for (int v = 0; v < kVectors; ++v) {
            acc_f32x8[p][v] = _mm256_fmadd_ps(x_f32x8, w_f32x8[v], acc_f32x8[p][v]);
          }
        }
      }
    }
    const __m256 minimum = _mm256_set1_ps(row.minimum), maximum = _mm256_set1_ps(row.maximum);
    float values[kPixels][8 * kVectors];
    const bool whole = place.channels >= 8 * kVectors && place.pixels >= kPixels;
#pragma GCC unroll 12
    for (int p = 0; p < kPixels; ++p) {
      float* const to = whole ? place.output + p * row.pitch() : values[p];
      for (int v = 0; v < kVectors; ++v) {
        // In this order of operands a NaN stays one.
        _mm256_storeu_ps(to + 8 * v,
                         _mm256_min_ps(maximum, _mm256_max_ps(minimum, acc_f32x8[p][v])));
      }
    }
    if (!whole) StorePart(values, row, place);
  }
};

}  // namespace

void RunStemRow__avx2(const StemRow& row) { RunStemRow<Tile, 8, 6, 4, 2, 12>(row); }

}  // namespace sparsebnn
