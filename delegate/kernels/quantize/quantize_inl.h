// Rows of signs, for a file of one instruction set that packs 32 of them at a time.
//
// Each including file defines its Pack functors in an unnamed namespace; what is shared here is
// templates over those, so no two files define the same function.
#ifndef SPARSEBNN_KERNELS_QUANTIZE_QUANTIZE_INL_H_
#define SPARSEBNN_KERNELS_QUANTIZE_QUANTIZE_INL_H_

#include <cstring>

#include "quantize.h"

namespace sparsebnn {

// pack(values) reads 32 values and returns their word. The last word of a row is packed from a
// copy, because 32 values may not be there; the rest of the copy holds `positive`.
template <typename T, typename Pack>
inline void PackRows(const T* values, T positive, size_t rows, int channels, uint32_t* bits,
                     const Pack& pack) {
  if (channels % 32 == 0) {
    const size_t words = rows * static_cast<size_t>(channels / 32);
    for (size_t w = 0; w < words; ++w) bits[w] = pack(values + 32 * w);
    return;
  }
  const int whole = channels / 32;
  const int rest = channels % 32;
  T last[32];
  for (T& value : last) value = positive;
  for (size_t row = 0; row < rows; ++row) {
    for (int w = 0; w < whole; ++w) *bits++ = pack(values + 32 * w);
    std::memcpy(last, values + 32 * whole, static_cast<size_t>(rest) * sizeof(T));
    *bits++ = pack(static_cast<const T*>(last));
    values += channels;
  }
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_QUANTIZE_QUANTIZE_INL_H_
