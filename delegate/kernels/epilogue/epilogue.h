// What happens to a layer's floats before they are in memory: elementwise ops, one after another,
// and signs at last.
//
//   v = layer[pixel, c]
//   for each step:  v = v + x, v - x, x - v, v * x, max(v, x), min(v, x) or v < 0 ? v * x : v
//                   where x is constants[c] or tensor[pixel, c];
//                   or store v; or store its sign
//
// Each operation is rounded to float32 by itself, as when every op is run alone, so the results
// are the same bits. A tile of a layer goes through all steps while it is in registers: a map
// that only the next step reads is never in memory.
//
// Operand layouts: tensors float [pixels, channels]; constants float [channels], filled up with
// zeros to whole chunks of kEpilogueChunk; signs uint32 [pixels, ceil(channels / 32)], as in
// quantize.h.
#ifndef SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_H_
#define SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cpu/isa.h"

namespace sparsebnn {

constexpr int kEpilogueChunk = 32;  // channels that are in registers at once

enum class StepKind {
  kAdd,
  kSubtract,      // v - x
  kSubtractFrom,  // x - v
  kMultiply,
  kMaximum,
  kMinimum,
  kPrelu,
  kStore,
  kStoreSigns,
};

// The pointers that the step's kind has are set: those of what it reads or writes.
struct EpilogueStep {
  StepKind kind;
  const float* constants = nullptr;
  const float* tensor = nullptr;
  float* values = nullptr;    // of kStore
  uint32_t* signs = nullptr;  // of kStoreSigns
};

// `pixels` pixels from `first_pixel` on, numbered through the batch, of `channels` channels from
// `first_channel` on, a multiple of kEpilogueChunk; those of the next pixel are `stride` floats
// on.
struct FloatTile {
  const float* values;
  size_t stride;
  size_t first_pixel;
  int pixels;
  int first_channel, channels;
};

struct Epilogue;
using EpilogueKernel = void (*)(const Epilogue& epilogue, const FloatTile& tile);

struct Epilogue {
  int channels = 0;  // of the layer
  std::vector<EpilogueStep> steps;
  EpilogueKernel kernel = nullptr;

  // Tiles that do not overlap may be run at the same time.
  void Run(const FloatTile& tile) const { kernel(*this, tile); }
};

// For an available `isa`.
EpilogueKernel EpilogueKernelFor(Isa isa);
// One that only stores.
Epilogue StoringEpilogue(int channels, Isa isa, float* output);

void RunEpilogue__scalar(const Epilogue& epilogue, const FloatTile& tile);
void RunEpilogue__avx2(const Epilogue& epilogue, const FloatTile& tile);
void RunEpilogue__avx512(const Epilogue& epilogue, const FloatTile& tile);
void RunEpilogue__neon(const Epilogue& epilogue, const FloatTile& tile);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_EPILOGUE_EPILOGUE_H_
