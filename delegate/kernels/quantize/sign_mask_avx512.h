// AVX-512: comparisons that give the mask themselves.
#ifndef SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_AVX512_H_
#define SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_AVX512_H_

#include <immintrin.h>

#include "quantize.h"

namespace sparsebnn {
namespace {

inline uint32_t NegativeMask_f32x16(const float* v) {
  return _mm512_cmp_ps_mask(_mm512_loadu_ps(v), _mm512_set1_ps(kGreatestNegative), _CMP_LE_OQ);
}

// Bit i: whether v[i] is below zero.
inline uint32_t SignMask_f32x32(const float* v) {
  return NegativeMask_f32x16(v) | NegativeMask_f32x16(v + 16) << 16;
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_AVX512_H_
