// The dense convolution with VPOPCNTD. Of three steps x, y, z a full adder makes two numbers to
// count, eight instructions instead of nine:
//
//   sum = x ^ y ^ z               one exclusive or, since the steps come joined
//   carry = majority(x, y, z)     of x, y and sum, one VPTERNLOGD: sum ? x & y : x | y
//   bits of x, y and z = bits of sum + 2 * bits of carry
#include <immintrin.h>

#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorAvx512 {
  using Count = uint32_t;
  static constexpr int kPixels = 8, kChannels = 32, kStepWords = 1;
  static constexpr bool kJoinsSteps = true, kHalvesLastStep = false;
  // At once: two accumulators each for two vectors of channels.
  static constexpr int kPixelsAtOnce = 4;

  static void CountTile(const uint32_t* rows, size_t row_words, const uint32_t* filter,
                        int steps, int pixels, Count (*counts)[kChannels]) {
    for (int p = 0; p < pixels; p += kPixelsAtOnce) {
      CountPixels(rows + static_cast<size_t>(p) * row_words, row_words, filter, steps,
                  counts + p);
    }
  }

 private:
  static void CountPixels(const uint32_t* rows, size_t row_words, const uint32_t* filter,
                          int steps, Count (*counts)[kChannels]) {
    __m512i sums_u32x16[kPixelsAtOnce][2], carries_u32x16[kPixelsAtOnce][2];
    for (int p = 0; p < kPixelsAtOnce; ++p) {
      for (int v = 0; v < 2; ++v) {
        sums_u32x16[p][v] = carries_u32x16[p][v] = _mm512_setzero_si512();
      }
    }
    int step = 0;
    for (; step + 3 <= steps; step += 3, filter += 3 * kChannels) {
      __m512i filter_u32x16[3][2];
      for (int i = 0; i < 3; ++i) {
        for (int v = 0; v < 2; ++v) {
          filter_u32x16[i][v] = _mm512_loadu_si512(filter + i * kChannels + 16 * v);
        }
      }
      for (int p = 0; p < kPixelsAtOnce; ++p) {
        const uint32_t* const row = rows + static_cast<size_t>(p) * row_words + step;
        const __m512i x_bits = Broadcast(row[0]), y_bits = Broadcast(row[1]),
                      sum_bits = Broadcast(row[2]);
        for (int v = 0; v < 2; ++v) {
          const __m512i x = _mm512_xor_si512(x_bits, filter_u32x16[0][v]);
          const __m512i y = _mm512_xor_si512(y_bits, filter_u32x16[1][v]);
          const __m512i sum = _mm512_xor_si512(sum_bits, filter_u32x16[2][v]);
          const __m512i carry = _mm512_ternarylogic_epi32(sum, x, y, 0x8E);
          sums_u32x16[p][v] = AddBits(sums_u32x16[p][v], sum);
          carries_u32x16[p][v] = AddBits(carries_u32x16[p][v], carry);
        }
      }
    }
    for (; step < steps; ++step, filter += kChannels) {
      for (int p = 0; p < kPixelsAtOnce; ++p) {
        const __m512i bits = Broadcast(rows[static_cast<size_t>(p) * row_words + step]);
        for (int v = 0; v < 2; ++v) {
          const __m512i differ = _mm512_xor_si512(bits, _mm512_loadu_si512(filter + 16 * v));
          sums_u32x16[p][v] = AddBits(sums_u32x16[p][v], differ);
        }
      }
    }
    for (int p = 0; p < kPixelsAtOnce; ++p) {
      for (int v = 0; v < 2; ++v) {
        const __m512i twice = _mm512_slli_epi32(carries_u32x16[p][v], 1);
        _mm512_store_si512(counts[p] + 16 * v, _mm512_add_epi32(sums_u32x16[p][v], twice));
      }
    }
  }

  static __m512i Broadcast(uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  static __m512i AddBits(__m512i counts_u32x16, __m512i bits) {
    return _mm512_add_epi32(counts_u32x16, _mm512_popcnt_epi32(bits));
  }
};

}  // namespace

SPARSEBNN_DEFINE_XNOR(XnorAvx512, 8, 32, avx512)

}  // namespace sparsebnn
