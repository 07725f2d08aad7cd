// The output transform for 8 channels of a pixel at once; equal to output_transform.h.
#ifndef SPARSEBNN_KERNELS_BCONV2D_VECTOR_TRANSFORM_INL_H_
#define SPARSEBNN_KERNELS_BCONV2D_VECTOR_TRANSFORM_INL_H_

#include <cstdint>
#include <cstring>

#include "bconv2d.h"

namespace sparsebnn {
namespace {

typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef float f32x8 __attribute__((vector_size(32)));

inline u16x8 InterleaveLow(u16x8 a, u16x8 b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
inline u16x8 InterleaveHigh(u16x8 a, u16x8 b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

// What TransformToFloat and RoundToInt8 do (output_transform.h), for 8 channels of a pixel.
class VectorTransform {
 public:
  // `popcount_bound`: the greatest popcount.
  VectorTransform(const OutputTransform& transform, int popcount_bound)
      : clamp_min_(transform.clamp_min),
        clamp_max_(transform.clamp_max),
        clamps_(transform.clamp_min > 0 || transform.clamp_max < 2 * popcount_bound) {
    // Twice the multiplier is exact unless it overflows.
    for (const float multiplier : transform.multiplier) {
      clamps_ |= !(multiplier > -1e38f && multiplier < 1e38f);
    }
  }

  static f32x8 LoadFloats(const float* p) {
    f32x8 v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }

  f32x8 LoadMultiplier(const float* p) const {
    return clamps_ ? LoadFloats(p) : LoadFloats(p) * 2.0f;
  }

  // `multiplier` as LoadMultiplier gave it.
  f32x8 ToFloat(u16x8 popcounts, f32x8 multiplier, f32x8 bias) const {
    if (!clamps_) return Widen(popcounts) * multiplier + bias;
    return ToFloat(__builtin_convertvector(popcounts, i32x8), multiplier, bias);
  }

  f32x8 ToFloat(i32x8 popcounts, f32x8 multiplier, f32x8 bias) const {
    if (!clamps_) return __builtin_convertvector(popcounts, f32x8) * multiplier + bias;
    i32x8 x = popcounts * 2;
    x = x < clamp_max_ ? x : i32x8{} + clamp_max_;
    x = x > clamp_min_ ? x : i32x8{} + clamp_min_;
    return __builtin_convertvector(x, f32x8) * multiplier + bias;
  }

  // To float, without the conversions that are slow on many cores: as bits, 0x4B000000 + x is
  // the float 2^23 + x.
  static f32x8 Widen(u16x8 x) {
#if defined(__aarch64__)  // compilers would take two instructions
    typedef uint32_t u32x4 __attribute__((vector_size(16)));
    const u32x4 exponent = u32x4{} + 0x4B000000u;
    u32x4 bits[2];
    asm("uaddw %0.4s, %1.4s, %2.4h" : "=w"(bits[0]) : "w"(exponent), "w"(x));
    asm("uaddw2 %0.4s, %1.4s, %2.8h" : "=w"(bits[1]) : "w"(exponent), "w"(x));
#else
    typedef uint32_t u32x8 __attribute__((vector_size(32)));
    const u32x8 bits = __builtin_convertvector(x, u32x8) + 0x4B000000u;
#endif
    f32x8 shifted;
    std::memcpy(&shifted, &bits, sizeof shifted);
    return shifted - 8388608.0f;
  }

  static i32x8 RoundToInt8(f32x8 y) {
    y = y > -128.0f ? y : f32x8{} - 128.0f;
    y = y < 127.0f ? y : f32x8{} + 127.0f;
    i32x8 rounded = __builtin_convertvector(y, i32x8);  // towards zero
    const f32x8 rest = y - __builtin_convertvector(rounded, f32x8);
    rounded -= reinterpret_cast<i32x8>(rest >= 0.5f);  // a true comparison is -1
    rounded += reinterpret_cast<i32x8>(rest <= -0.5f);
    return rounded;
  }

  // Writes the first `count` of 8 channels.
  static void StorePixel(f32x8 y, float* output, int count) {
    if (count == 8) {
      std::memcpy(output, &y, sizeof y);
    } else {
      for (int i = 0; i < count; ++i) output[i] = y[i];
    }
  }
  static void StorePixel(f32x8 y, int8_t* output, int count) {
    const i32x8 rounded = RoundToInt8(y);
    for (int i = 0; i < count; ++i) output[i] = static_cast<int8_t>(rounded[i]);
  }

 private:
  const int32_t clamp_min_, clamp_max_;
  bool clamps_;
};

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_VECTOR_TRANSFORM_INL_H_
