// The loops of the epilogue, for a file of one instruction set that says which of 32 floats are
// negative, and what a vector of floats is. Everything here has internal linkage, so that each file
// has its own code.
//
// A chunk of 32 channels goes through all steps in registers, of two pixels where there are two:
// they share what it takes to find the step. The steps are the same for every chunk, so that
// their branches are predicted.
#ifndef SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_INL_H_
#define SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_INL_H_

#include <algorithm>
#include <cstring>

#include "epilogue.h"

namespace sparsebnn {
namespace {

typedef float f32x8 __attribute__((vector_size(32)));
typedef float f32x16 __attribute__((vector_size(64)));

// Up to kEpilogueChunk floats in kVectors vectors. kWhole: all of them count, else `count` do, and
// the others are zeros.
template <typename Vector, int kVectors, bool kWhole>
class Chunk {
  static constexpr size_t kFloats = sizeof(Vector) / sizeof(float) * kVectors;

 public:
  static Chunk Load(const float* from, int count) {
    Chunk chunk;
    if (kWhole) {
      std::memcpy(chunk.v_, from, sizeof chunk.v_);
      return chunk;
    }
    float values[kFloats] = {};
    for (int i = 0; i < count; ++i) values[i] = from[i];
    std::memcpy(chunk.v_, values, sizeof chunk.v_);
    return chunk;
  }

  void Store(float* to, int count) const {
    if (kWhole) {
      std::memcpy(to, v_, sizeof v_);
      return;
    }
    float values[kFloats];
    std::memcpy(values, v_, sizeof v_);
    for (int i = 0; i < count; ++i) to[i] = values[i];
  }

  // Of all that count, bit i: whether it is negative.
  template <uint32_t (*kSignMask)(const float*)>
  uint32_t Signs(int count) const {
    alignas(64) float values[kEpilogueChunk];
    std::memcpy(values, v_, sizeof v_);
    std::memset(values + kFloats, 0, sizeof values - sizeof v_);
    const uint32_t signs = kSignMask(values);
    return kWhole ? signs : signs & ((1u << count) - 1);
  }

  // `all`: whether all of the operands at `from` are there, although only `count` count.
  template <typename Function>
  void Apply(const float* from, bool all, int count, const Function& function) {
    Chunk x;
    if (kWhole || all) {
      std::memcpy(x.v_, from, sizeof x.v_);
    } else {
      x = Load(from, count);
    }
    for (int i = 0; i < kVectors; ++i) v_[i] = function(v_[i], x.v_[i]);
  }

 private:
  Vector v_[kVectors];
};

// Where a chunk is: `at` in a tensor, `word` in the signs, `channel` its first; of the next pixel
// it is `channels` floats and `words` words on, and `stride` floats in the tile.
struct ChunkPlace {
  size_t at, word, channel;
  size_t channels, words, stride;
  int count;
};

template <uint32_t (*kSignMask)(const float*), typename Vector, int kPixels, int kVectors,
          bool kWhole>
inline void RunChunks(const Epilogue& epilogue, const float* values, const ChunkPlace& place) {
  using Values = Chunk<Vector, kVectors, kWhole>;
  Values v[kPixels];
  const int count = place.count;
  for (int p = 0; p < kPixels; ++p) {
    v[p] = Values::Load(values + static_cast<size_t>(p) * place.stride, count);
  }
  const EpilogueStep* const end = epilogue.steps.data() + epilogue.steps.size();
  for (const EpilogueStep* step = epilogue.steps.data(); step != end; ++step) {
    const auto apply = [&](const auto& function) {
      const bool constant = step->constants != nullptr;
      const float* const x =
          constant ? step->constants + place.channel : step->tensor + place.at;
      const size_t next = constant ? 0 : place.channels;
      for (int p = 0; p < kPixels; ++p) {
        v[p].Apply(x + static_cast<size_t>(p) * next, constant, count, function);
      }
    };
    switch (step->kind) {
      case StepKind::kAdd:
        apply([](Vector a, Vector b) { return a + b; });
        break;
      case StepKind::kSubtract:
        apply([](Vector a, Vector b) { return a - b; });
        break;
      case StepKind::kSubtractFrom:
        apply([](Vector a, Vector b) { return b - a; });
        break;
      case StepKind::kMultiply:
        apply([](Vector a, Vector b) { return a * b; });
        break;
      case StepKind::kMaximum:
        apply([](Vector a, Vector b) { return a > b ? a : b; });
        break;
      case StepKind::kMinimum:
        apply([](Vector a, Vector b) { return a < b ? a : b; });
        break;
      case StepKind::kPrelu:
        apply([](Vector a, Vector b) { return a < 0.0f ? a * b : a; });
        break;
      case StepKind::kStore:
        for (int p = 0; p < kPixels; ++p) {
          v[p].Store(step->values + place.at + static_cast<size_t>(p) * place.channels, count);
        }
        break;
      case StepKind::kStoreSigns:
        for (int p = 0; p < kPixels; ++p) {
          step->signs[place.word + static_cast<size_t>(p) * place.words] =
              v[p].template Signs<kSignMask>(count);
        }
        break;
    }
  }
}

template <uint32_t (*kSignMask)(const float*), typename Vector, int kPixels>
inline void RunPixels(const Epilogue& epilogue, const FloatTile& tile, int p) {
  const size_t channels = static_cast<size_t>(epilogue.channels);
  const size_t words = (channels + 31) / 32;
  const float* values = tile.values + static_cast<size_t>(p) * tile.stride;
  const size_t pixel = tile.first_pixel + static_cast<size_t>(p);
  for (int c = 0; c < tile.channels; c += kEpilogueChunk) {
    const size_t channel = static_cast<size_t>(tile.first_channel + c);
    const int count = std::min(kEpilogueChunk, tile.channels - c);
    const ChunkPlace place = {pixel * channels + channel,
                              pixel * words + channel / 32,
                              channel,
                              channels,
                              words,
                              tile.stride,
                              count};
#define SPARSEBNN_CHUNKS(floats, whole)                                                 \
  RunChunks<kSignMask, Vector, kPixels, (floats) / int{sizeof(Vector) / sizeof(float)}, \
            whole>(epilogue, values + c, place)
    if (count == kEpilogueChunk) {
      SPARSEBNN_CHUNKS(kEpilogueChunk, true);
    } else if (count == 16) {
      SPARSEBNN_CHUNKS(16, true);
    } else {
      SPARSEBNN_CHUNKS(kEpilogueChunk, false);
    }
#undef SPARSEBNN_CHUNKS
  }
}

template <uint32_t (*kSignMask)(const float*), typename Vector = f32x8>
void RunEpilogue(const Epilogue& epilogue, const FloatTile& tile) {
  int p = 0;
  for (; p + 2 <= tile.pixels; p += 2) RunPixels<kSignMask, Vector, 2>(epilogue, tile, p);
  if (p < tile.pixels) RunPixels<kSignMask, Vector, 1>(epilogue, tile, p);
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_INL_H_
