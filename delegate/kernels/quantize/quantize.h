// Between values and bits: packing signs into words, and +-1 from bits.
//
//   bits[row, c / 32] bit c % 32  =  value[row, c] < zero_point  (bool: value is false)
//   value[row, c]                 =  bit ? one : zero
//
// A negative zero and a NaN are not below zero, and neither is a negative denormal: LCE's
// interpreter has the processor flush denormals to zero, stock TFLite does not. Comparing with
// the greatest normal negative number gives LCE's answer in any mode.
// Bits past `channels` are written as 0.
#ifndef SPARSEBNN_KERNELS_QUANTIZE_QUANTIZE_H_
#define SPARSEBNN_KERNELS_QUANTIZE_QUANTIZE_H_

#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa.h"

namespace sparsebnn {

constexpr float kGreatestNegative = -FLT_MIN;

// values [rows, channels] -> bits [rows, ceil(channels / 32)]
using QuantizeFloat = void (*)(const float* values, size_t rows, int channels, uint32_t* bits);
using QuantizeInt8 = void (*)(const int8_t* values, int8_t zero_point, size_t rows,
                              int channels, uint32_t* bits);
// Any byte but 0 is true.
using QuantizeBool = void (*)(const uint8_t* values, size_t rows, int channels, uint32_t* bits);

struct QuantizeKernels {
  QuantizeFloat float32;
  QuantizeInt8 int8;
  QuantizeBool boolean;
};

// The fastest for an available `isa`.
const QuantizeKernels& QuantizeKernelsFor(Isa isa);

extern const QuantizeKernels kQuantizeKernels_scalar;
extern const QuantizeKernels kQuantizeKernels_avx2;
extern const QuantizeKernels kQuantizeKernels_avx512;
extern const QuantizeKernels kQuantizeKernels_neon;

// bits [rows, ceil(channels / 32)] -> values [rows, channels]. The value of a bit is looked up
// four bits at a time, which writes 16 bytes of floats per load on any machine.
void DequantizeFloat(const uint32_t* bits, size_t rows, int channels, float* values);
void DequantizeBytes(const uint32_t* bits, uint8_t zero, uint8_t one, size_t rows, int channels,
                     uint8_t* values);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_QUANTIZE_QUANTIZE_H_
