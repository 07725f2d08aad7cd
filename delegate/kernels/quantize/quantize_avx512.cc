// AVX-512: bytes and floats to masks.
#include "quantize_inl.h"
#include "sign_mask_avx512.h"

namespace sparsebnn {
namespace {

void Float32(const float* values, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, 0.0f, rows, channels, bits, SignMask_f32x32);
}

void Int8(const int8_t* values, int8_t zero_point, size_t rows, int channels, uint32_t* bits) {
  const __m256i zero_i8x32 = _mm256_set1_epi8(zero_point);
  PackRows(values, zero_point, rows, channels, bits, [zero_i8x32](const int8_t* v) {
    const __m256i value_i8x32 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v));
    return static_cast<uint32_t>(_mm256_cmplt_epi8_mask(value_i8x32, zero_i8x32));
  });
}

void Boolean(const uint8_t* values, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, uint8_t{1}, rows, channels, bits, [](const uint8_t* v) {
    const __m256i value_u8x32 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(v));
    return static_cast<uint32_t>(_mm256_cmpeq_epi8_mask(value_u8x32, _mm256_setzero_si256()));
  });
}

}  // namespace

const QuantizeKernels kQuantizeKernels_avx512 = {Float32, Int8, Boolean};

}  // namespace sparsebnn
