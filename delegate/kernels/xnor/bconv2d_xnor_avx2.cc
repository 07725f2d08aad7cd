// The dense convolution with a table of the bits in half a byte (W. Mula, 2008).
#include <immintrin.h>

#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorAvx2 {
  using Count = uint32_t;
  static constexpr int kPixels = 4, kChannels = 16, kStepWords = 1;
  static constexpr bool kJoinsSteps = false, kHalvesLastStep = false;
  static constexpr int kMaxSteps = 31;  // a byte counts at most 8 bits a step

  static void CountTile(const uint32_t* rows, size_t row_words, const uint32_t* filter,
                        int steps, int, Count (*counts)[kChannels]) {
    __m256i counts_u32x8[kPixels][2];
    for (auto& of_pixel : counts_u32x8) of_pixel[0] = of_pixel[1] = _mm256_setzero_si256();
    for (int step = 0; step < steps;) {
      const int end = std::min(steps, step + kMaxSteps);
      __m256i counts_u8x32[kPixels][2];
      for (auto& of_pixel : counts_u8x32) of_pixel[0] = of_pixel[1] = _mm256_setzero_si256();
      for (; step < end; ++step, filter += kChannels) {
        const __m256i filter_0 = Load(filter), filter_1 = Load(filter + 8);
        for (int p = 0; p < kPixels; ++p) {
          const __m256i bits = _mm256_set1_epi32(static_cast<int>(rows[p * row_words + step]));
          counts_u8x32[p][0] = Add(counts_u8x32[p][0], bits, filter_0);
          counts_u8x32[p][1] = Add(counts_u8x32[p][1], bits, filter_1);
        }
      }
      for (int p = 0; p < kPixels; ++p) {
        for (int v = 0; v < 2; ++v) {
          counts_u32x8[p][v] = _mm256_add_epi32(counts_u32x8[p][v], Widen(counts_u8x32[p][v]));
        }
      }
    }
    std::memcpy(counts, counts_u32x8, sizeof counts_u32x8);
  }

  static __m256i Load(const uint32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static __m256i Add(__m256i counts_u8x32, __m256i a, __m256i b) {
    const __m256i half_byte_counts =
        _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3,
                         1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(0x0F);
    const __m256i differ = _mm256_xor_si256(a, b);
    const __m256i low_counts =
        _mm256_shuffle_epi8(half_byte_counts, _mm256_and_si256(differ, low));
    const __m256i high_counts = _mm256_shuffle_epi8(
        half_byte_counts, _mm256_and_si256(_mm256_srli_epi16(differ, 4), low));
    return _mm256_add_epi8(counts_u8x32, _mm256_add_epi8(low_counts, high_counts));
  }
  static __m256i Widen(__m256i counts_u8x32) {
    const __m256i pairs_u16x16 = _mm256_maddubs_epi16(counts_u8x32, _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs_u16x16, _mm256_set1_epi16(1));
  }
};

}  // namespace

SPARSEBNN_DEFINE_XNOR(XnorAvx2, 4, 16, avx2)

}  // namespace sparsebnn
