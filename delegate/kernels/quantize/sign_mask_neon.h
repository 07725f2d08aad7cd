// NEON has no mask instruction: comparisons give all ones, which keep one bit each and are
// added pairwise until 8 of them are a byte.
#ifndef SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_NEON_H_
#define SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_NEON_H_

#include <arm_neon.h>

#include "quantize.h"

namespace sparsebnn {
namespace {

constexpr uint8_t kBitOfLane[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};

// Lanes of all ones or all zeros -> 32 bits, lane i of `low` first.
inline uint32_t MaskOfLanes(uint8x16_t low_u8x16, uint8x16_t high_u8x16) {
  const uint8x16_t bit_u8x16 = vld1q_u8(kBitOfLane);
  const uint8x16_t pairs_u8x16 =
      vpaddq_u8(vandq_u8(low_u8x16, bit_u8x16), vandq_u8(high_u8x16, bit_u8x16));
  const uint8x16_t nibbles_u8x16 = vpaddq_u8(pairs_u8x16, pairs_u8x16);
  const uint8x16_t bytes_u8x16 = vpaddq_u8(nibbles_u8x16, nibbles_u8x16);
  return vgetq_lane_u32(vreinterpretq_u32_u8(bytes_u8x16), 0);
}

inline uint16x4_t NegativeLanes_f32x4(const float* v) {
  return vmovn_u32(vcleq_f32(vld1q_f32(v), vdupq_n_f32(kGreatestNegative)));
}

inline uint8x16_t NegativeLanes_f32x16(const float* v) {
  return vcombine_u8(
      vmovn_u16(vcombine_u16(NegativeLanes_f32x4(v), NegativeLanes_f32x4(v + 4))),
      vmovn_u16(vcombine_u16(NegativeLanes_f32x4(v + 8), NegativeLanes_f32x4(v + 12))));
}

// Bit i: whether v[i] is below zero.
inline uint32_t SignMask_f32x32(const float* v) {
  return MaskOfLanes(NegativeLanes_f32x16(v), NegativeLanes_f32x16(v + 16));
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_NEON_H_
