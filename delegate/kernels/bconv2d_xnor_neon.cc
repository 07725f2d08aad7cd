// The dense convolution with CNT: three instructions for 128 bits, as in LCE's kernels.
#include <arm_neon.h>

#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorNeon {
  using Register = uint32x4_t;
  static constexpr int kLanes = 4, kVectors = 4, kPixels = 4;
  static constexpr int kMaxSteps = 31;  // a byte counts at most 8 bits a step

  static Register Zero() { return vdupq_n_u32(0); }
  static Register Load(const uint32_t* p) { return vld1q_u32(p); }
  static Register Broadcast(const uint32_t* p) { return vld1q_dup_u32(p); }
  static Register Add(Register counts_u8x16, Register a, Register b) {
    const uint8x16_t differ = vreinterpretq_u8_u32(veorq_u32(a, b));
    return vreinterpretq_u32_u8(vaddq_u8(vreinterpretq_u8_u32(counts_u8x16), vcntq_u8(differ)));
  }
  static Register Widen(Register counts_u8x16) {
    return vpaddlq_u16(vpaddlq_u8(vreinterpretq_u8_u32(counts_u8x16)));
  }
  static Register AddWide(Register a, Register b) { return vaddq_u32(a, b); }
  static void StoreWide(uint32_t* p, Register counts) { vst1q_u32(p, counts); }
};

}  // namespace

std::unique_ptr<Bconv2d> MakeXnorBconv2d_4x16__neon(const Geometry& geometry,
                                                    const FilterReader& filter,
                                                    OutputTransform transform,
                                                    std::string* error) {
  return MakeXnorBconv2d<XnorNeon>(geometry, filter, std::move(transform), "neon", error);
}

}  // namespace sparsebnn
