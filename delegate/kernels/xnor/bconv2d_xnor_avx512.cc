// The dense convolution with VPOPCNTD: three instructions for 512 bits.
#include <immintrin.h>

#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorAvx512 {
  using Count = uint32_t;
  static constexpr int kPixels = 8, kChannels = 32, kStepWords = 1;

  static void CountTile(const uint32_t* rows, size_t row_words, const uint32_t* filter,
                        int steps, Count (*counts)[kChannels]) {
    __m512i counts_u32x16[kPixels][2];
    for (auto& of_pixel : counts_u32x16) of_pixel[0] = of_pixel[1] = _mm512_setzero_si512();
    for (int step = 0; step < steps; ++step, filter += kChannels) {
      const __m512i filter_0 = _mm512_loadu_si512(filter);
      const __m512i filter_1 = _mm512_loadu_si512(filter + 16);
      for (int p = 0; p < kPixels; ++p) {
        const __m512i bits = _mm512_set1_epi32(static_cast<int>(rows[p * row_words + step]));
        counts_u32x16[p][0] = Add(counts_u32x16[p][0], bits, filter_0);
        counts_u32x16[p][1] = Add(counts_u32x16[p][1], bits, filter_1);
      }
    }
    std::memcpy(counts, counts_u32x16, sizeof counts_u32x16);
  }

  static __m512i Add(__m512i counts, __m512i a, __m512i b) {
    return _mm512_add_epi32(counts, _mm512_popcnt_epi32(_mm512_xor_si512(a, b)));
  }
};

}  // namespace

SPARSEBNN_DEFINE_XNOR(XnorAvx512, 8, 32, avx512)

}  // namespace sparsebnn
