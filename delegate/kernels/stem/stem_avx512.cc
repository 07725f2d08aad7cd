// 14 outputs x 32 channels: 28 accumulators, two vectors of weights, and an input that comes with
// the multiplication. Reads nothing beyond what the tile needs. Cores: all with AVX-512.
#include <immintrin.h>

#include "stem_row.h"
#include "stem_tiles_inl.h"

namespace sparsebnn {
namespace {

template <int kPixels, int kVectors>
struct Tile {
  static void Run(const StemRow& row, const TilePlace<StemRow>& place) {
    __m512 acc_f32x16[kPixels][kVectors];
    const float* w = place.weights;
    for (int v = 0; v < kVectors; ++v) {
      const __m512 bias_f32x16 = _mm512_loadu_ps(w + 16 * v);
      for (int p = 0; p < kPixels; ++p) acc_f32x16[p][v] = bias_f32x16;
    }
    w += 16 * kVectors;
    const size_t step = row.step;
    for (size_t ky = 0; ky < row.filter_height; ++ky) {
      const float* x = row.rows[ky] + place.offset;
      for (size_t k = 0; k < row.run; ++k, x += row.groups, w += 16 * kVectors) {
        __m512 w_f32x16[kVectors];
        for (int v = 0; v < kVectors; ++v) w_f32x16[v] = _mm512_loadu_ps(w + 16 * v);
#pragma GCC unroll 14
        for (int p = 0; p < kPixels; ++p) {
          const __m512 x_f32x16 = _mm512_set1_ps(x[static_cast<size_t>(p) * step]);
          for (int v = 0; v < kVectors; ++v) {
            acc_f32x16[p][v] = _mm512_fmadd_ps(x_f32x16, w_f32x16[v], acc_f32x16[p][v]);
          }
        }
      }
    }
    const __m512 minimum = _mm512_set1_ps(row.minimum), maximum = _mm512_set1_ps(row.maximum);
    float values[kPixels][16 * kVectors];
    const bool whole = place.channels >= 16 * kVectors && place.pixels >= kPixels;
#pragma GCC unroll 14
    for (int p = 0; p < kPixels; ++p) {
      float* const to = whole ? place.output + p * row.pitch() : values[p];
      for (int v = 0; v < kVectors; ++v) {
        // In this order of operands a NaN stays one.
        _mm512_storeu_ps(to + 16 * v,
                         _mm512_min_ps(maximum, _mm512_max_ps(minimum, acc_f32x16[p][v])));
      }
    }
    if (!whole) StorePart(values, row, place);
  }
};

}  // namespace

void RunStemRow__avx512(const StemRow& row) { RunStemRow<Tile, 16, 14, 8, 4>(row); }

}  // namespace sparsebnn
