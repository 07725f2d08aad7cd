// AVX2: one mask instruction per 8 floats.
#ifndef SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_AVX2_H_
#define SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_AVX2_H_

#include <immintrin.h>

#include "quantize.h"

namespace sparsebnn {
namespace {

inline uint32_t NegativeMask_f32x8(const float* v) {
  const __m256 bound_f32x8 = _mm256_set1_ps(kGreatestNegative);
  return static_cast<uint32_t>(
      _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(v), bound_f32x8, _CMP_LE_OQ)));
}

// Bit i: whether v[i] is below zero.
inline uint32_t SignMask_f32x32(const float* v) {
  return NegativeMask_f32x8(v) | NegativeMask_f32x8(v + 8) << 8 |
         NegativeMask_f32x8(v + 16) << 16 | NegativeMask_f32x8(v + 24) << 24;
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_AVX2_H_
