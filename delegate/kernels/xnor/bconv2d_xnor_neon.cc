// The dense convolution with CNT: three instructions for 128 bits, as in LCE's kernels. The
// counts of eight channels are added in pairs of bytes until two bytes of each are left, so
// that one vector of 16-bit sums holds eight channels. With 64 input channels, a 3x3 kernel is four
// vectors and a half; the half ones of two pixels share a vector.
#include <arm_neon.h>

#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorNeon {
  using Count = uint16_t;
  static constexpr int kPixels = 4, kChannels = 8, kStepWords = 4;
  static constexpr bool kJoinsSteps = false, kHalvesLastStep = true;

  static void CountTile(const uint32_t* rows, size_t row_words, const uint32_t* filter,
                        int words, int, Count (*counts)[kChannels]) {
    uint16x8_t sums[kPixels] = {vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0), vdupq_n_u16(0)};
    const uint32_t *row_0 = rows, *row_1 = rows + row_words, *row_2 = row_1 + row_words,
                   *row_3 = row_2 + row_words;
    uint8x16_t filter_u8x16[kChannels];
    for (; 2 * words > kStepWords; words -= kStepWords) {
      for (int o = 0; o < kChannels; ++o) filter_u8x16[o] = Load(filter + o * kStepWords);
      sums[0] = Add(sums[0], Load(row_0), filter_u8x16);
      sums[1] = Add(sums[1], Load(row_1), filter_u8x16);
      sums[2] = Add(sums[2], Load(row_2), filter_u8x16);
      sums[3] = Add(sums[3], Load(row_3), filter_u8x16);
      filter += kChannels * kStepWords;
      row_0 += kStepWords;
      row_1 += kStepWords;
      row_2 += kStepWords;
      row_3 += kStepWords;
    }
    if (words > 0) {
      for (int o = 0; o < kChannels; ++o) filter_u8x16[o] = Load(filter + o * kStepWords);
      AddHalves(LoadHalves(row_0, row_1), filter_u8x16, &sums[0], &sums[1]);
      AddHalves(LoadHalves(row_2, row_3), filter_u8x16, &sums[2], &sums[3]);
    }
    for (int p = 0; p < kPixels; ++p) vst1q_u16(counts[p], sums[p]);
  }

  static uint8x16_t Load(const uint32_t* p) { return vreinterpretq_u8_u32(vld1q_u32(p)); }
  static uint8x16_t LoadHalves(const uint32_t* low, const uint32_t* high) {
    return vreinterpretq_u8_u32(vcombine_u32(vld1_u32(low), vld1_u32(high)));
  }

  // Two bytes of each channel, at most 64 bits a byte.
  static uint8x16_t Count8Channels(uint8x16_t bits, const uint8x16_t* filter) {
    const auto count = [&](int o) { return vcntq_u8(veorq_u8(bits, filter[o])); };
    const uint8x16_t channels_0_1 = vpaddq_u8(count(0), count(1));
    const uint8x16_t channels_2_3 = vpaddq_u8(count(2), count(3));
    const uint8x16_t channels_4_5 = vpaddq_u8(count(4), count(5));
    const uint8x16_t channels_6_7 = vpaddq_u8(count(6), count(7));
    return vpaddq_u8(vpaddq_u8(channels_0_1, channels_2_3),
                     vpaddq_u8(channels_4_5, channels_6_7));
  }
  static uint16x8_t Add(uint16x8_t sums_u16x8, uint8x16_t bits, const uint8x16_t* filter) {
    return vpadalq_u8(sums_u16x8, Count8Channels(bits, filter));
  }
  // Of two pixels in the halves of `bits`: a byte of each is left.
  static void AddHalves(uint8x16_t bits, const uint8x16_t* filter, uint16x8_t* low_u16x8,
                        uint16x8_t* high_u16x8) {
    const uint16x8_t counts = vreinterpretq_u16_u8(Count8Channels(bits, filter));
    *low_u16x8 = vaddq_u16(*low_u16x8, vandq_u16(counts, vdupq_n_u16(0xFF)));
    *high_u16x8 = vsraq_n_u16(*high_u16x8, counts, 8);
  }
};

}  // namespace

SPARSEBNN_DEFINE_XNOR(XnorNeon, 4, 8, neon)

}  // namespace sparsebnn
