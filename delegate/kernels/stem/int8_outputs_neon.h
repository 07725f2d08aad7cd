// What both int8 stems of AArch64 make of their sums.
#ifndef SPARSEBNN_KERNELS_STEM_INT8_OUTPUTS_NEON_H_
#define SPARSEBNN_KERNELS_STEM_INT8_OUTPUTS_NEON_H_

#include <arm_neon.h>

#include "int8_stem_row.h"

namespace sparsebnn {
namespace {

// Floats of the sums of four outputs.
class Int8Outputs {
 public:
  explicit Int8Outputs(const Int8StemRow& row)
      : minimum_(vdupq_n_f32(row.minimum)),
        maximum_(vdupq_n_f32(row.maximum)),
        scale_(vdupq_n_f32(row.scale)) {}

  float32x4_t Of(int32x4_t sum_s32x4, float32x4_t multiplier_f32x4) const {
    float32x4_t y_f32x4 = vmulq_f32(vcvtq_f32_s32(sum_s32x4), multiplier_f32x4);
    y_f32x4 = vminq_f32(vmaxq_f32(y_f32x4, minimum_), maximum_);
    return vmulq_f32(vcvtq_f32_s32(vcvtnq_s32_f32(y_f32x4)), scale_);
  }

 private:
  const float32x4_t minimum_, maximum_, scale_;
};

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_INT8_OUTPUTS_NEON_H_
