// 6 outputs x 16 channels: 12 accumulators, two vectors of weights and one of input. Groups of 2
// samples, samples and weights as int16: products of bytes would saturate. Reads nothing beyond what
// the tile needs. Cores: all with AVX2.
#include <immintrin.h>

#include "int8_stem_row.h"
#include "stem_tiles_inl.h"

namespace sparsebnn {
namespace {

inline __m256i Load(const uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

template <int kPixels, int kVectors>
struct Tile {
  static void Run(const Int8StemRow& row, const TilePlace<Int8StemRow>& place) {
    __m256i acc_i32x8[kPixels][kVectors];
    const uint8_t* w = place.weights;
    for (int v = 0; v < kVectors; ++v) {
      const __m256i bias_i32x8 = Load(w + 32 * v);
      for (int p = 0; p < kPixels; ++p) acc_i32x8[p][v] = bias_i32x8;
    }
    w += 64 * kVectors;
    const uint8_t* x = row.input + place.offset;
    for (size_t k = 0; k < row.step; k += 4, x += 4, w += 32 * kVectors) {
      __m256i w_i16x16[kVectors];
      for (int v = 0; v < kVectors; ++v) w_i16x16[v] = Load(w + 32 * v);
#pragma GCC unroll 6
      for (int p = 0; p < kPixels; ++p) {
        const __m256i x_i16x16 =
            _mm256_set1_epi32(LoadSamples(x + static_cast<size_t>(p) * row.step));
        for (int v = 0; v < kVectors; ++v) {
          acc_i32x8[p][v] =
              _mm256_add_epi32(acc_i32x8[p][v], _mm256_madd_epi16(x_i16x16, w_i16x16[v]));
        }
      }
    }
    const __m256 minimum = _mm256_set1_ps(row.minimum), maximum = _mm256_set1_ps(row.maximum);
    const __m256 scale = _mm256_set1_ps(row.scale);
    const float* const multipliers =
        reinterpret_cast<const float*>(place.weights + 32 * kVectors);
    float values[kPixels][8 * kVectors];
    const bool whole = place.channels >= 8 * kVectors && place.pixels >= kPixels;
#pragma GCC unroll 6
    for (int p = 0; p < kPixels; ++p) {
      float* const to = whole ? place.output + p * row.pitch() : values[p];
      for (int v = 0; v < kVectors; ++v) {
        __m256 y_f32x8 = _mm256_mul_ps(_mm256_cvtepi32_ps(acc_i32x8[p][v]),
                                       _mm256_loadu_ps(multipliers + 8 * v));
        y_f32x8 = _mm256_min_ps(_mm256_max_ps(y_f32x8, minimum), maximum);
        const __m256i steps_i32x8 = _mm256_cvtps_epi32(y_f32x8);
        _mm256_storeu_ps(to + 8 * v, _mm256_mul_ps(_mm256_cvtepi32_ps(steps_i32x8), scale));
      }
    }
    if (!whole) StorePart(values, row, place);
  }
};

}  // namespace

void RunInt8StemRow__avx2(const Int8StemRow& row) { RunStemRow<Tile, 8, 6, 2, 2>(row); }

}  // namespace sparsebnn
