// Portable C++; the compiler vectorises the comparisons where it can.
#ifndef SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_SCALAR_H_
#define SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_SCALAR_H_

#include "quantize.h"

namespace sparsebnn {
namespace {

template <typename T, typename IsNegative>
inline uint32_t PackWord(const T* values, const IsNegative& is_negative) {
  uint32_t word = 0;
  for (int i = 0; i < 32; ++i) word |= static_cast<uint32_t>(is_negative(values[i])) << i;
  return word;
}

// Bit i: whether v[i] is below zero.
inline uint32_t SignMask_f32x32(const float* v) {
  return PackWord(v, [](float x) { return x <= kGreatestNegative; });
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_QUANTIZE_SIGN_MASK_SCALAR_H_
