// From popcounts to outputs, one value at a time: what every kernel's last step must equal.
#ifndef SPARSEBNN_KERNELS_BCONV2D_OUTPUT_TRANSFORM_H_
#define SPARSEBNN_KERNELS_BCONV2D_OUTPUT_TRANSFORM_H_

#include <cmath>
#include <cstdint>

#include "bconv2d.h"

namespace sparsebnn {

// The product and the sum are rounded one after the other: every file here is compiled without
// contraction to fused multiply-adds, so all instruction sets give the same bits.
inline float TransformToFloat(int32_t popcount, const OutputTransform& transform, int o) {
  int32_t x = 2 * popcount;
  x = x < transform.clamp_max ? x : transform.clamp_max;
  x = x > transform.clamp_min ? x : transform.clamp_min;
  return static_cast<float>(x) * transform.multiplier[o] + transform.bias[o];
}

inline int8_t RoundToInt8(float y) {
  // A float beyond the range of int8 (or NaN, which ends at the lower bound) must not reach the
  // conversion.
  if (!(y > -128.0f)) return -128;
  if (y >= 127.0f) return 127;
  return static_cast<int8_t>(std::round(y));
}

inline int8_t TransformToInt8(int32_t popcount, const OutputTransform& transform, int o) {
  return RoundToInt8(TransformToFloat(popcount, transform, o));
}

inline bool TransformToBit(int32_t popcount, const OutputTransform& transform, int o) {
  return popcount > transform.thresholds[o];
}

// VectorTransform loads 8 numbers at a time.
void PadForVectors(OutputTransform* transform);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_OUTPUT_TRANSFORM_H_
