#include "quantize.h"

#include <cstring>

namespace sparsebnn {
namespace {

// table[nibble] holds the four values of its bits.
template <typename T>
void UnpackRows(const uint32_t* bits, const T (&table)[16][4], size_t rows, int channels,
                T* values) {
  const int whole = channels / 4;  // nibbles
  const int rest = channels % 4;
  const int words = channels / 32 + (channels % 32 != 0);
  for (size_t row = 0; row < rows; ++row, bits += words) {
    for (int n = 0; n < whole; ++n, values += 4) {
      std::memcpy(values, table[bits[n / 8] >> (n % 8 * 4) & 15], sizeof(table[0]));
    }
    if (rest == 0) continue;
    const T* last = table[bits[whole / 8] >> (whole % 8 * 4) & 15];
    std::memcpy(values, last, static_cast<size_t>(rest) * sizeof(T));
    values += rest;
  }
}

template <typename T>
void FillTable(T zero, T one, T (&table)[16][4]) {
  for (int nibble = 0; nibble < 16; ++nibble) {
    for (int i = 0; i < 4; ++i) table[nibble][i] = nibble >> i & 1 ? one : zero;
  }
}

}  // namespace

const QuantizeKernels& QuantizeKernelsFor(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return kQuantizeKernels_avx2;
    case Isa::kAvx512:
      return kQuantizeKernels_avx512;
#elif defined(__aarch64__)
    case Isa::kNeon:
      return kQuantizeKernels_neon;
#endif
    default:
      return kQuantizeKernels_scalar;
  }
}

void DequantizeFloat(const uint32_t* bits, size_t rows, int channels, float* values) {
  float table[16][4];
  FillTable(1.0f, -1.0f, table);
  UnpackRows(bits, table, rows, channels, values);
}

void DequantizeBytes(const uint32_t* bits, uint8_t zero, uint8_t one, size_t rows, int channels,
                     uint8_t* values) {
  uint8_t table[16][4];
  FillTable(zero, one, table);
  UnpackRows(bits, table, rows, channels, values);
}

}  // namespace sparsebnn
