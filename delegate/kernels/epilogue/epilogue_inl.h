// The loops of the epilogue, for a file of one instruction set that says which of 32 floats are
// negative. Everything here has internal linkage, so that each file has its own code.
//
// A chunk of 32 channels of one pixel goes through all steps in registers. The steps are the same
// for every chunk, so that their branches are predicted.
#ifndef SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_INL_H_
#define SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_INL_H_

#include <algorithm>
#include <cstring>

#include "epilogue.h"

namespace sparsebnn {
namespace {

typedef float f32x8 __attribute__((vector_size(32)));

// Up to kEpilogueChunk floats in kVectors vectors. kWhole: all of them count, else `count` do, and
// the others are zeros.
template <int kVectors, bool kWhole>
class Chunk {
 public:
  static Chunk Load(const float* from, int count) {
    Chunk chunk;
    if (kWhole) {
      std::memcpy(chunk.v_, from, sizeof chunk.v_);
      return chunk;
    }
    float values[8 * kVectors] = {};
    for (int i = 0; i < count; ++i) values[i] = from[i];
    std::memcpy(chunk.v_, values, sizeof chunk.v_);
    return chunk;
  }

  // From where all of them are.
  static Chunk LoadWhole(const float* from) {
    Chunk chunk;
    std::memcpy(chunk.v_, from, sizeof chunk.v_);
    return chunk;
  }

  void Store(float* to, int count) const {
    if (kWhole) {
      std::memcpy(to, v_, sizeof v_);
      return;
    }
    float values[8 * kVectors];
    std::memcpy(values, v_, sizeof v_);
    for (int i = 0; i < count; ++i) to[i] = values[i];
  }

  // Of all that count, bit i: whether it is negative.
  template <uint32_t (*kSignMask)(const float*)>
  uint32_t Signs(int count) const {
    alignas(64) float values[kEpilogueChunk];
    std::memcpy(values, v_, sizeof v_);
    std::memset(values + 8 * kVectors, 0, sizeof values - sizeof v_);
    const uint32_t signs = kSignMask(values);
    return kWhole ? signs : signs & ((1u << count) - 1);
  }

  template <typename Function>
  void Apply(const Chunk& x, const Function& function) {
    for (int i = 0; i < kVectors; ++i) v_[i] = function(v_[i], x.v_[i]);
  }

 private:
  f32x8 v_[kVectors];
};

// `at`: of the chunk in a tensor; `word`: in the signs; `channel`: its first.
template <uint32_t (*kSignMask)(const float*), int kVectors, bool kWhole>
inline void RunChunk(const Epilogue& epilogue, const float* values, size_t at, size_t word,
                     int channel, int count) {
  using Values = Chunk<kVectors, kWhole>;
  Values v = Values::Load(values, count);
  const EpilogueStep* const end = epilogue.steps.data() + epilogue.steps.size();
  for (const EpilogueStep* step = epilogue.steps.data(); step != end; ++step) {
    if (step->kind == StepKind::kStore) {
      v.Store(step->values + at, count);
      continue;
    }
    if (step->kind == StepKind::kStoreSigns) {
      step->signs[word] = v.template Signs<kSignMask>(count);
      continue;
    }
    const Values x = step->constants != nullptr ? Values::LoadWhole(step->constants + channel)
                                                : Values::Load(step->tensor + at, count);
    switch (step->kind) {
      case StepKind::kAdd:
        v.Apply(x, [](f32x8 a, f32x8 b) { return a + b; });
        break;
      case StepKind::kSubtract:
        v.Apply(x, [](f32x8 a, f32x8 b) { return a - b; });
        break;
      case StepKind::kSubtractFrom:
        v.Apply(x, [](f32x8 a, f32x8 b) { return b - a; });
        break;
      case StepKind::kMultiply:
        v.Apply(x, [](f32x8 a, f32x8 b) { return a * b; });
        break;
      case StepKind::kMaximum:
        v.Apply(x, [](f32x8 a, f32x8 b) { return a > b ? a : b; });
        break;
      case StepKind::kMinimum:
        v.Apply(x, [](f32x8 a, f32x8 b) { return a < b ? a : b; });
        break;
      case StepKind::kPrelu:
        v.Apply(x, [](f32x8 a, f32x8 b) { return a < 0.0f ? a * b : a; });
        break;
      case StepKind::kStore:
      case StepKind::kStoreSigns:
        break;
    }
  }
}

template <uint32_t (*kSignMask)(const float*)>
void RunEpilogue(const Epilogue& epilogue, const FloatTile& tile) {
  const size_t channels = static_cast<size_t>(epilogue.channels);
  const size_t words = (channels + 31) / 32;
  for (int p = 0; p < tile.pixels; ++p) {
    const float* values = tile.values + static_cast<size_t>(p) * tile.stride;
    const size_t pixel = tile.first_pixel + static_cast<size_t>(p);
    for (int c = 0; c < tile.channels; c += kEpilogueChunk) {
      const int channel = tile.first_channel + c;
      const size_t at = pixel * channels + static_cast<size_t>(channel);
      const size_t word = pixel * words + static_cast<size_t>(channel) / 32;
      const int count = std::min(kEpilogueChunk, tile.channels - c);
#define SPARSEBNN_CHUNK(vectors, whole) \
  RunChunk<kSignMask, vectors, whole>(epilogue, values + c, at, word, channel, count)
      if (count == kEpilogueChunk) {
        SPARSEBNN_CHUNK(4, true);
      } else if (count == 16) {
        SPARSEBNN_CHUNK(2, true);
      } else {
        SPARSEBNN_CHUNK(4, false);
      }
#undef SPARSEBNN_CHUNK
    }
  }
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_INL_H_
