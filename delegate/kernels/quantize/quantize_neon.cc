// NEON: lanes to masks.
#include "quantize_inl.h"
#include "sign_mask_neon.h"

namespace sparsebnn {
namespace {

void Float32(const float* values, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, 0.0f, rows, channels, bits, SignMask_f32x32);
}

void Int8(const int8_t* values, int8_t zero_point, size_t rows, int channels, uint32_t* bits) {
  const int8x16_t zero_i8x16 = vdupq_n_s8(zero_point);
  PackRows(values, zero_point, rows, channels, bits, [zero_i8x16](const int8_t* v) {
    return MaskOfLanes(vcltq_s8(vld1q_s8(v), zero_i8x16),
                       vcltq_s8(vld1q_s8(v + 16), zero_i8x16));
  });
}

void Boolean(const uint8_t* values, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, uint8_t{1}, rows, channels, bits, [](const uint8_t* v) {
    return MaskOfLanes(vceqzq_u8(vld1q_u8(v)), vceqzq_u8(vld1q_u8(v + 16)));
  });
}

}  // namespace

const QuantizeKernels kQuantizeKernels_neon = {Float32, Int8, Boolean};

}  // namespace sparsebnn
