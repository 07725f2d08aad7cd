// The last step of the bit-sliced convolution: popcounts, as bit planes of one output channel
// each, become outputs with the channels innermost.
//
// Float and int8 output: the planes of 8 channels become bytes of pixels (a transposition of
// 8x8 bits), these 16-bit numbers, and 8 pixels times 8 channels of them are transposed.
// Bit-packed output: the planes are compared with the threshold as they are, and 32 channels of
// the results are transposed to words.
//
// In both, place 8 b + j of the block is byte b of row j.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_OUTPUT_TILE_INL_H_
#define SPARSEBNN_KERNELS_CODEBOOK_OUTPUT_TILE_INL_H_

#include <cstdint>
#include <cstring>

#include "bit_planes_inl.h"
#include "kernels/bconv2d/bconv2d.h"
#include "kernels/bconv2d/vector_transform_inl.h"

namespace sparsebnn {
namespace {

typedef uint8_t u8x16 __attribute__((vector_size(16)));

inline u8x16 InterleaveLow(u8x16 a, u8x16 b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline u8x16 InterleaveHigh(u8x16 a, u8x16 b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}

// PairBytes makes 16 numbers of their low and high bytes, two vectors: number k is that of the
// bytes PairedByte(k). Transpose8x8 makes columns of rows.
#if defined(__aarch64__)
// By TRN1 and TRN2: a Cortex-A72 takes three times as long for ZIP.
inline void PairBytes(u8x16 low, u8x16 high, u16x8* even, u16x8* odd) {
  *even = reinterpret_cast<u16x8>(__builtin_shufflevector(low, high, 0, 16, 2, 18, 4, 20, 6, 22,
                                                          8, 24, 10, 26, 12, 28, 14, 30));
  *odd = reinterpret_cast<u16x8>(__builtin_shufflevector(low, high, 1, 17, 3, 19, 5, 21, 7, 23,
                                                         9, 25, 11, 27, 13, 29, 15, 31));
}
constexpr int PairedByte(int k) { return k % 8 * 2 + k / 8; }
constexpr int kNumbersUnrolled = 16;

inline void Transpose8x8(u16x8* rows) {
  for (int k = 0; k < 8; k += 2) {
    const u16x8 a = rows[k], b = rows[k + 1];
    rows[k] = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14);
    rows[k + 1] = __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (const int k : {0, 1, 4, 5}) {
    const u32x4 a = reinterpret_cast<u32x4>(rows[k]), b = reinterpret_cast<u32x4>(rows[k + 2]);
    rows[k] = reinterpret_cast<u16x8>(__builtin_shufflevector(a, b, 0, 4, 2, 6));
    rows[k + 2] = reinterpret_cast<u16x8>(__builtin_shufflevector(a, b, 1, 5, 3, 7));
  }
  for (int k = 0; k < 4; ++k) {  // compilers would take ZIP
    const u16x8 a = rows[k], b = rows[k + 4];
    asm("trn1 %0.2d, %1.2d, %2.2d" : "=w"(rows[k]) : "w"(a), "w"(b));
    asm("trn2 %0.2d, %1.2d, %2.2d" : "=w"(rows[k + 4]) : "w"(a), "w"(b));
  }
}
#else
inline void PairBytes(u8x16 low, u8x16 high, u16x8* first, u16x8* last) {
  *first = reinterpret_cast<u16x8>(InterleaveLow(low, high));
  *last = reinterpret_cast<u16x8>(InterleaveHigh(low, high));
}
constexpr int PairedByte(int k) { return k; }
constexpr int kNumbersUnrolled = 1;

// Three perfect shuffles.
inline void Transpose8x8(u16x8* rows) {
  for (int round = 0; round < 3; ++round) {
    u16x8 shuffled[8];
    for (int k = 0; k < 4; ++k) {
      shuffled[2 * k] = InterleaveLow(rows[k], rows[k + 4]);
      shuffled[2 * k + 1] = InterleaveHigh(rows[k], rows[k + 4]);
    }
    std::memcpy(rows, shuffled, sizeof shuffled);
  }
}
#endif

template <class V>
class OutputTile {
  using Register = typename V::Register;
  static constexpr int kBytes = V::kBits / 8;
  static constexpr int kRowBytes = kBytes < 16 ? 16 : kBytes;
  static constexpr int kRowsBytes = 8 * kRowBytes;  // 8 rows of one channel

 public:
  // Low and high bytes of 8 channels; or the bytes of 4 times 8 channels and 32 planes.
  static constexpr size_t kScratchBytes = 16 * kRowsBytes > 4 * kRowsBytes + 32 * kBytes
                                              ? 16 * kRowsBytes
                                              : 4 * kRowsBytes + 32 * kBytes;

  // `planes`: how many bits a popcount has. `offsets`: for each place of the block where the
  // channels of its pixel begin in `output`, or -1.
  OutputTile(const OutputTransform& transform, const VectorTransform& vector_transform,
             int planes, const int64_t* offsets, void* output, uint8_t* scratch)
      : transform_(transform),
        vector_transform_(vector_transform),
        planes_(planes),
        offsets_(offsets),
        output_(output),
        scratch_(scratch) {}

  // Sets channel `i` of the tile, output channel `o`. The popcount's lowest bit is `lowest`,
  // the others are planes - 1 vectors at `others`.
  void SetPopcounts(int i, int o, Register lowest, const uint8_t* others) {
    if (transform_.type == OutputType::kBitpacked) {
      V::Store(scratch_ + 4 * kRowsBytes + i * kBytes, Compare(o, lowest, others));
      return;
    }
    uint8_t* bytes = scratch_ + i * kRowsBytes;
    Register rows[8];
    rows[0] = lowest;
    for (int k = 1; k < 8; ++k) rows[k] = LoadPlane(k, others);
    Transpose8x8<V>(rows);
    for (int j = 0; j < 8; ++j) V::Store(bytes + j * kRowBytes, rows[j]);
    bytes += 8 * kRowsBytes;
    for (int k = 0; k < 4; ++k) rows[k] = LoadPlane(8 + k, others);
    if (planes_ <= 12) {
      Transpose4x8<V>(rows);
    } else {
      for (int k = 4; k < 8; ++k) rows[k] = LoadPlane(8 + k, others);
      Transpose8x8<V>(rows);
    }
    for (int j = 0; j < 8; ++j) V::Store(bytes + j * kRowBytes, rows[j]);
  }

  // Writes the `count` channels from output channel `o` on, at most 8, or 32 if bit-packed;
  // to `column` and those after it, which is `o` unless the output has some channels only.
  void Store(int o, int count, int column) {
    switch (transform_.type) {
      case OutputType::kFloat32:
        return count == 8 ? StoreNumbers<float, true>(o, 8, column)
                          : StoreNumbers<float, false>(o, count, column);
      case OutputType::kInt8:
        return StoreNumbers<int8_t, false>(o, count, column);
      case OutputType::kBitpacked:
        return StoreBits(column, count);
    }
  }

 private:
  // popcount > threshold, from the lowest bit up: where the threshold has a 1 both must be
  // greater, where it has a 0 one will do.
  Register Compare(int o, Register lowest, const uint8_t* others) const {
    const int32_t threshold = transform_.thresholds[o];
    if (threshold < 0) return V::Not(V::Zero());
    if (threshold >= (1 << planes_) - 1) return V::Zero();
    Register greater = V::Zero();
    for (int k = 0; k < planes_; ++k) {
      const Register plane = k == 0 ? lowest : V::Load(others + (k - 1) * kBytes);
      const Register zeros = V::SplatByte(threshold >> k & 1 ? 0x00 : 0xFF);
      greater = V::Select(V::Xor(greater, plane), zeros, plane);
    }
    return greater;
  }

  Register LoadPlane(int k, const uint8_t* others) const {
    return k < planes_ ? V::Load(others + (k - 1) * kBytes) : V::Zero();
  }

  static u8x16 LoadBytes(const uint8_t* p) {
    u8x16 v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }

  template <typename T, bool kWhole>
  void StoreNumbers(int o, int count, int column) {
    const VectorTransform vector_transform = vector_transform_;  // nothing else points to it
    const f32x8 multiplier = vector_transform.LoadMultiplier(&transform_.multiplier[o]);
    const f32x8 bias = VectorTransform::LoadFloats(&transform_.bias[o]);
    T* output = static_cast<T*>(output_) + column;
    for (int j = 0; j < 8; ++j) {
      for (int first = 0; first < kBytes; first += 16) {
        u16x8 numbers[16];
        for (int i = 0; i < 8; ++i) {
          const uint8_t* low = scratch_ + i * kRowsBytes + j * kRowBytes + first;
          PairBytes(LoadBytes(low), LoadBytes(low + 8 * kRowsBytes), &numbers[i],
                    &numbers[8 + i]);
        }
        Transpose8x8(numbers);
        if (kBytes > 8 || PairedByte(8) < 8) Transpose8x8(numbers + 8);
        const auto store = [&](int k) {
          const int byte = first + PairedByte(k);
          const int64_t offset = byte < kBytes ? offsets_[8 * byte + j] : -1;
          if (offset < 0) return;
          const f32x8 y = vector_transform.ToFloat(numbers[k], multiplier, bias);
          VectorTransform::StorePixel(y, output + offset, kWhole ? 8 : count);
        };
        if constexpr (kWhole && kBytes == 16) {
#pragma GCC unroll kNumbersUnrolled
          for (int k = 0; k < 16; ++k) store(k);
        } else {
#pragma GCC unroll 1
          for (int k = 0; k < 16; ++k) store(k);
        }
      }
    }
  }

  void StoreBits(int column, int count) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      Register rows[8];
      for (int k = 0; k < 8; ++k) {
        const int i = quarter * 8 + k;
        rows[k] = i < count ? V::Load(scratch_ + 4 * kRowsBytes + i * kBytes) : V::Zero();
      }
      Transpose8x8<V>(rows);
      for (int j = 0; j < 8; ++j) {
        V::Store(scratch_ + quarter * kRowsBytes + j * kRowBytes, rows[j]);
      }
    }
    uint32_t* output = static_cast<uint32_t*>(output_) + column / 32;
    for (int j = 0; j < 8; ++j) {
      for (int first = 0; first < kBytes; first += 16) {
        u8x16 quarters[4];
        for (int quarter = 0; quarter < 4; ++quarter) {
          quarters[quarter] =
              LoadBytes(scratch_ + quarter * kRowsBytes + j * kRowBytes + first);
        }
        const u8x16 halves[4] = {
            InterleaveLow(quarters[0], quarters[1]), InterleaveLow(quarters[2], quarters[3]),
            InterleaveHigh(quarters[0], quarters[1]), InterleaveHigh(quarters[2], quarters[3])};
        u16x8 packed[4];
        for (int k = 0; k < 4; k += 2) {
          const u16x8 low = reinterpret_cast<u16x8>(halves[k]);
          const u16x8 high = reinterpret_cast<u16x8>(halves[k + 1]);
          packed[k] = InterleaveLow(low, high);
          packed[k + 1] = InterleaveHigh(low, high);
        }
        uint32_t bits[16];
        std::memcpy(bits, packed, sizeof bits);
        for (int b = 0; b < (kBytes < 16 ? kBytes : 16); ++b) {
          const int64_t offset = offsets_[8 * (first + b) + j];
          if (offset >= 0) output[offset] = bits[b];
        }
      }
    }
  }

  const OutputTransform& transform_;
  const VectorTransform& vector_transform_;
  const int planes_;
  const int64_t* const offsets_;
  void* const output_;
  uint8_t* const scratch_;
};

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_OUTPUT_TILE_INL_H_
