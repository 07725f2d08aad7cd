// Transposing bits: pixels of channels to planes of pixels, and back.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_BIT_PLANES_INL_H_
#define SPARSEBNN_KERNELS_CODEBOOK_BIT_PLANES_INL_H_

#include <cstdint>
#include <cstring>

namespace sparsebnn {
namespace {

typedef uint32_t u32x4 __attribute__((vector_size(16)));

// Transposes four 32x32 bit matrices, one in each lane: bit i of rows[k] goes to bit k of
// rows[i].
inline void Transpose32x32_x4(u32x4* rows) {
  uint32_t mask = 0x0000FFFF;
  for (int distance = 16; distance > 0; distance /= 2, mask ^= mask << distance) {
    for (int k = 0; k < 32; k = (k + distance + 1) & ~distance) {
      const u32x4 differ = ((rows[k] >> distance) ^ rows[k + distance]) & mask;
      rows[k + distance] ^= differ;
      rows[k] ^= differ << distance;
    }
  }
}

template <class V, int distance>
inline void SwapBits(typename V::Register* a, typename V::Register* b, uint8_t mask) {
  const typename V::Register mask_v = V::SplatByte(mask);
  const typename V::Register low = V::Select(mask_v, *a, V::template ShiftLeft<distance>(*b));
  *b = V::Select(mask_v, V::template ShiftRight<distance>(*a), *b);
  *a = low;
}

// Transposes the 8x8 bit matrices whose rows are byte b of rows[0..7], for each b: afterwards
// bit k of byte b of rows[j] is what bit j of byte b of rows[k] was.
template <class V>
inline void Transpose8x8(typename V::Register* rows) {
  for (int k = 0; k < 8; k += 2) SwapBits<V, 1>(&rows[k], &rows[k + 1], 0x55);
  for (int k = 0; k < 8; k += 4) {
    SwapBits<V, 2>(&rows[k], &rows[k + 2], 0x33);
    SwapBits<V, 2>(&rows[k + 1], &rows[k + 3], 0x33);
  }
  for (int k = 0; k < 4; ++k) SwapBits<V, 4>(&rows[k], &rows[k + 4], 0x0F);
}

// The same where rows[4..7] are zero.
template <class V>
inline void Transpose4x8(typename V::Register* rows) {
  for (int k = 0; k < 4; k += 2) SwapBits<V, 1>(&rows[k], &rows[k + 1], 0x55);
  SwapBits<V, 2>(&rows[0], &rows[2], 0x33);
  SwapBits<V, 2>(&rows[1], &rows[3], 0x33);
  const typename V::Register low_nibbles = V::SplatByte(0x0F);
  for (int k = 0; k < 4; ++k) {
    rows[k + 4] = V::And(V::template ShiftRight<4>(rows[k]), low_nibbles);
    rows[k] = V::And(rows[k], low_nibbles);
  }
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_BIT_PLANES_INL_H_
