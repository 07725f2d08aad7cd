// Portable C++.
#include "quantize_inl.h"
#include "sign_mask_scalar.h"

namespace sparsebnn {
namespace {

void Float32(const float* values, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, 0.0f, rows, channels, bits, SignMask_f32x32);
}

void Int8(const int8_t* values, int8_t zero_point, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, zero_point, rows, channels, bits, [zero_point](const int8_t* v) {
    return PackWord(v, [zero_point](int8_t x) { return x < zero_point; });
  });
}

void Boolean(const uint8_t* values, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, uint8_t{1}, rows, channels, bits,
           [](const uint8_t* v) { return PackWord(v, [](uint8_t x) { return x == 0; }); });
}

}  // namespace

const QuantizeKernels kQuantizeKernels_scalar = {Float32, Int8, Boolean};

}  // namespace sparsebnn
