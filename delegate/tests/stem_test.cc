// The stem of every instruction set against its definition, on random layers and numbers of
// threads, to memory and through an epilogue: the same bits, but for what a NaN holds and the sign
// of a zero that was bounded, which differs between instruction sets as it does in XNNPACK.
//
//   stem_test [layers] [seed]
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/quantize/quantize.h"
#include "testing/expect.h"
#include "testing/stem_layer.h"

namespace sparsebnn {
namespace {

constexpr size_t kSpare = 16;  // elements behind the output, which nobody may touch
constexpr float kUntouched = -77.0f;

bool IsUntouched(const std::vector<float>& values, size_t from) {
  bool untouched = true;
  for (size_t i = from; i < values.size(); ++i) untouched &= values[i] == kUntouched;
  return untouched;
}

// Through an epilogue that stores, adds and stores signs.
bool EpilogueAgrees(const StemLayer& layer, const Stem& stem, Isa isa, ThreadPool* pool,
                    Workspace* workspace, const std::vector<float>& expected) {
  const int channels = layer.g.channels_out;
  const size_t words = static_cast<size_t>(WordsFor(channels));
  const size_t pixels = expected.size() / static_cast<size_t>(channels);
  std::vector<float> constants(static_cast<size_t>(channels) + kEpilogueChunk, 0.25f);
  std::vector<float> stored(expected.size() + kSpare, kUntouched), sum = expected;
  std::vector<uint32_t> signs(pixels * words), expected_signs(pixels * words);
  for (float& value : sum) value += 0.25f;
  kQuantizeKernels_scalar.float32(sum.data(), pixels, channels, expected_signs.data());
  Epilogue epilogue;
  epilogue.channels = channels;
  epilogue.kernel = EpilogueKernelFor(isa);
  EpilogueStep store = {StepKind::kStore}, add = {StepKind::kAdd},
               quantize = {StepKind::kStoreSigns};
  store.values = stored.data();
  add.constants = constants.data();
  quantize.signs = signs.data();
  epilogue.steps = {store, add, quantize};
  return stem.Run(layer.input.data(), nullptr, &epilogue, workspace, pool) &&
         SameFloats(expected.data(), stored.data(), expected.size()) &&
         IsUntouched(stored, expected.size()) && signs == expected_signs;
}

// The number of instruction sets and threads that differ.
int CheckLayer(unsigned seed) {
  std::mt19937 random(seed);
  const StemLayer layer(&random);
  const std::vector<float> expected = layer.Expected();
  int failures = 0;
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (!IsaAvailable(isa)) continue;
    const Stem stem(layer.g, layer.filter.data(), layer.bias.data(), layer.minimum,
                    layer.maximum, isa);
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      Workspace workspace;
      std::vector<float> got(expected.size() + kSpare, kUntouched);
      if (stem.Run(layer.input.data(), got.data(), nullptr, &workspace, &pool) &&
          SameFloats(expected.data(), got.data(), expected.size()) &&
          IsUntouched(got, expected.size()) &&
          EpilogueAgrees(layer, stem, isa, &pool, &workspace, expected)) {
        continue;
      }
      std::printf("seed %u: stem %s differs with %d threads: %s\n", seed, IsaName(isa), threads,
                  Describe(layer.g).c_str());
      ++failures;
    }
  }
  return failures;
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  return sparsebnn::CheckSeeds(argc, argv, 400, sparsebnn::CheckLayer);
}
