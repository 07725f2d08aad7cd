// 14 outputs x 32 channels: 28 accumulators, two vectors of weights and one of input. Groups of 4
// samples, unsigned; weights signed. Reads nothing beyond what the tile needs. Cores: all with
// AVX-512 VNNI.
#include <immintrin.h>

#include "int8_stem_row.h"
#include "stem_tiles_inl.h"

namespace sparsebnn {
namespace {

template <int kPixels, int kVectors>
struct Tile {
  static void Run(const Int8StemRow& row, const TilePlace<Int8StemRow>& place) {
    __m512i acc_i32x16[kPixels][kVectors];
    __m512 multiplier_f32x16[kVectors];
    const uint8_t* w = place.weights;
    for (int v = 0; v < kVectors; ++v) {
      const __m512i bias_i32x16 = _mm512_loadu_si512(w + 64 * v);
      multiplier_f32x16[v] = _mm512_loadu_ps(w + 64 * (kVectors + v));
      for (int p = 0; p < kPixels; ++p) acc_i32x16[p][v] = bias_i32x16;
    }
    w += 128 * kVectors;
    const uint8_t* x = row.input + place.offset;
    for (size_t k = 0; k < row.step; k += 4, x += 4, w += 64 * kVectors) {
      __m512i w_i8x64[kVectors];
      for (int v = 0; v < kVectors; ++v) w_i8x64[v] = _mm512_loadu_si512(w + 64 * v);
#pragma GCC unroll 14
      for (int p = 0; p < kPixels; ++p) {
        const __m512i x_u8x64 =
            _mm512_set1_epi32(LoadSamples(x + static_cast<size_t>(p) * row.step));
        for (int v = 0; v < kVectors; ++v) {
          acc_i32x16[p][v] = _mm512_dpbusd_epi32(acc_i32x16[p][v], x_u8x64, w_i8x64[v]);
        }
      }
    }
    const __m512 minimum = _mm512_set1_ps(row.minimum), maximum = _mm512_set1_ps(row.maximum);
    const __m512 scale = _mm512_set1_ps(row.scale);
    float values[kPixels][16 * kVectors];
    const bool whole = place.channels >= 16 * kVectors && place.pixels >= kPixels;
#pragma GCC unroll 14
    for (int p = 0; p < kPixels; ++p) {
      float* const to = whole ? place.output + p * row.pitch() : values[p];
      for (int v = 0; v < kVectors; ++v) {
        __m512 y_f32x16 =
            _mm512_mul_ps(_mm512_cvtepi32_ps(acc_i32x16[p][v]), multiplier_f32x16[v]);
        y_f32x16 = _mm512_min_ps(_mm512_max_ps(y_f32x16, minimum), maximum);
        const __m512i steps_i32x16 = _mm512_cvtps_epi32(y_f32x16);
        _mm512_storeu_ps(to + 16 * v, _mm512_mul_ps(_mm512_cvtepi32_ps(steps_i32x16), scale));
      }
    }
    if (!whole) StorePart(values, row, place);
  }
};

}  // namespace

void RunInt8StemRow__vnni(const Int8StemRow& row) { RunStemRow<Tile, 16, 14, 4, 4>(row); }

}  // namespace sparsebnn
