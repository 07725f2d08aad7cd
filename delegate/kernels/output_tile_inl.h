// The last step of the bit-sliced convolution: popcounts, as bit planes of one output channel
// each, become outputs with the channels innermost.
//
// Float and int8 output: the planes of 8 channels become bytes of pixels (a transposition of 8x8
// bits), these 16-bit numbers, and 8 pixels times 8 channels of them are transposed.
// Bit-packed output: the planes are compared with the threshold as they are, and 32 channels of
// the results are transposed to words.
//
// In both, place 8 b + j of the block is byte b of row j.
#ifndef SPARSEBNN_KERNELS_OUTPUT_TILE_INL_H_
#define SPARSEBNN_KERNELS_OUTPUT_TILE_INL_H_

#include <cstdint>
#include <cstring>

#include "bconv2d.h"
#include "bit_planes_inl.h"

namespace sparsebnn {
namespace {

typedef uint8_t u8x16 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
typedef float f32x8 __attribute__((vector_size(32)));

inline u8x16 InterleaveLow(u8x16 a, u8x16 b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline u8x16 InterleaveHigh(u8x16 a, u8x16 b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                 31);
}
inline u16x8 InterleaveLow(u16x8 a, u16x8 b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
inline u16x8 InterleaveHigh(u16x8 a, u16x8 b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

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

// The vectors of a transform are loaded whole.
inline void PadForVectors(OutputTransform* transform) {
  if (transform->type == OutputType::kBitpacked) return;
  transform->multiplier.resize(transform->multiplier.size() + 7);
  transform->bias.resize(transform->bias.size() + 7);
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
    i32x8 x = __builtin_convertvector(popcounts, i32x8) * 2;
    x = x < clamp_max_ ? x : i32x8{} + clamp_max_;
    x = x > clamp_min_ ? x : i32x8{} + clamp_min_;
    return __builtin_convertvector(x, f32x8) * multiplier + bias;
  }

  // To float, without the conversions that are slow on many cores: 0x4B00 in the upper half
  // makes the float 2^23 + x.
  static f32x8 Widen(u16x8 x) {
    const u16x8 exponent = u16x8{} + 0x4B00;
    const u16x8 halves[2] = {InterleaveLow(x, exponent), InterleaveHigh(x, exponent)};
    f32x8 shifted;
    std::memcpy(&shifted, halves, sizeof shifted);
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

 private:
  const int32_t clamp_min_, clamp_max_;
  bool clamps_;
};

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

  // `planes`: how many bits a popcount has. `pixels`: for each place of the block the output
  // pixel, or -1. Multiplier and bias of `transform` must be readable 7 channels past the end.
  OutputTile(const OutputTransform& transform, const VectorTransform& vector_transform,
             int channels_out, int planes, const int32_t* pixels, void* output, uint8_t* scratch)
      : transform_(transform),
        vector_transform_(vector_transform),
        channels_out_(channels_out),
        planes_(planes),
        pixels_(pixels),
        output_(output),
        scratch_(scratch) {}

  // Sets channel `i` of the tile, output channel `o`. The popcount's lowest bit is `lowest`, the
  // others are planes - 1 vectors at `others`.
  void SetPopcounts(int i, int o, Register lowest, const uint8_t* others) {
    if (transform_.type == OutputType::kBitpacked) {
      V::Store(scratch_ + 4 * kRowsBytes + i * kBytes, Compare(o, lowest, others));
      return;
    }
    Register rows[8];
    rows[0] = lowest;
    for (int k = 1; k < 8; ++k) rows[k] = k < planes_ ? V::Load(others + (k - 1) * kBytes) : V::Zero();
    Transpose8x8<V>(rows);
    uint8_t* bytes = scratch_ + i * kRowsBytes;
    for (int j = 0; j < 8; ++j) V::Store(bytes + j * kRowBytes, rows[j]);
    for (int k = 0; k < 8; ++k) {
      rows[k] = 8 + k < planes_ ? V::Load(others + (7 + k) * kBytes) : V::Zero();
    }
    if (planes_ > 12) {
      Transpose8x8<V>(rows);
    } else if (planes_ > 8) {
      Transpose4x8<V>(rows);
    }
    bytes += 8 * kRowsBytes;
    for (int j = 0; j < 8; ++j) V::Store(bytes + j * kRowBytes, rows[j]);
  }

  // Writes the `count` channels from output channel `o` on, at most 8, or 32 if bit-packed.
  void Store(int o, int count) {
    switch (transform_.type) {
      case OutputType::kFloat32:
        return StoreNumbers<float>(o, count);
      case OutputType::kInt8:
        return StoreNumbers<int8_t>(o, count);
      case OutputType::kBitpacked:
        return StoreBits(o, count);
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

  static u8x16 LoadBytes(const uint8_t* p) {
    u8x16 v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }

  template <typename T>
  void StoreNumbers(int o, int count) {
    const f32x8 multiplier = vector_transform_.LoadMultiplier(&transform_.multiplier[o]);
    const f32x8 bias = VectorTransform::LoadFloats(&transform_.bias[o]);
    T* output = static_cast<T*>(output_) + o;
    for (int j = 0; j < 8; ++j) {
      for (int first = 0; first < kBytes; first += 16) {
        u16x8 numbers[16];
        for (int i = 0; i < 8; ++i) {
          const uint8_t* low = scratch_ + i * kRowsBytes + j * kRowBytes + first;
          const u8x16 low_bytes = LoadBytes(low), high_bytes = LoadBytes(low + 8 * kRowsBytes);
          numbers[i] = reinterpret_cast<u16x8>(InterleaveLow(low_bytes, high_bytes));
          numbers[8 + i] = reinterpret_cast<u16x8>(InterleaveHigh(low_bytes, high_bytes));
        }
        Transpose8x8(numbers);
        if (kBytes > 8) Transpose8x8(numbers + 8);
        for (int b = 0; b < (kBytes < 16 ? kBytes : 16); ++b) {
          const int32_t pixel = pixels_[8 * (first + b) + j];
          if (pixel < 0) continue;
          const f32x8 y = vector_transform_.ToFloat(numbers[b], multiplier, bias);
          StorePixel(y, output + static_cast<size_t>(pixel) * channels_out_, count);
        }
      }
    }
  }

  static void StorePixel(f32x8 y, float* output, int count) {
    if (count == 8) {
      std::memcpy(output, &y, sizeof y);
    } else {
      for (int i = 0; i < count; ++i) output[i] = y[i];
    }
  }
  static void StorePixel(f32x8 y, int8_t* output, int count) {
    const i32x8 rounded = VectorTransform::RoundToInt8(y);
    for (int i = 0; i < count; ++i) output[i] = static_cast<int8_t>(rounded[i]);
  }

  void StoreBits(int o, int count) {
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
    uint32_t* output = static_cast<uint32_t*>(output_) + o / 32;
    const size_t words = WordsFor(channels_out_);
    for (int j = 0; j < 8; ++j) {
      for (int first = 0; first < kBytes; first += 16) {
        u8x16 quarters[4];
        for (int quarter = 0; quarter < 4; ++quarter) {
          quarters[quarter] = LoadBytes(scratch_ + quarter * kRowsBytes + j * kRowBytes + first);
        }
        const u8x16 halves[4] = {InterleaveLow(quarters[0], quarters[1]),
                                 InterleaveLow(quarters[2], quarters[3]),
                                 InterleaveHigh(quarters[0], quarters[1]),
                                 InterleaveHigh(quarters[2], quarters[3])};
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
          const int32_t pixel = pixels_[8 * (first + b) + j];
          if (pixel >= 0) output[static_cast<size_t>(pixel) * words] = bits[b];
        }
      }
    }
  }

  const OutputTransform& transform_;
  const VectorTransform& vector_transform_;
  const int channels_out_;
  const int planes_;
  const int32_t* const pixels_;
  void* const output_;
  uint8_t* const scratch_;
};

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_OUTPUT_TILE_INL_H_
