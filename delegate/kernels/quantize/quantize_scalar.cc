// Portable C++; the compiler vectorises the comparisons where it can.
#include "quantize_inl.h"

namespace sparsebnn {
namespace {

template <typename T, typename IsNegative>
uint32_t PackWord(const T* values, const IsNegative& is_negative) {
  uint32_t word = 0;
  for (int i = 0; i < 32; ++i) word |= static_cast<uint32_t>(is_negative(values[i])) << i;
  return word;
}

void Float32(const float* values, size_t rows, int channels, uint32_t* bits) {
  PackRows(values, 0.0f, rows, channels, bits, [](const float* v) {
    return PackWord(v, [](float x) { return x <= kGreatestNegative; });
  });
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
