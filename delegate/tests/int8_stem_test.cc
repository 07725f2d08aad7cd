// The int8 stem of every instruction set against its definition, on random layers and numbers of
// threads, to memory, through an epilogue and through a max pool: the same bits.
//
//   int8_stem_test [layers] [seed]
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "testing/expect.h"
#include "testing/int8_stem_layer.h"

namespace sparsebnn {
namespace {

constexpr size_t kSpare = 16;  // elements behind the output, which nobody may touch
constexpr float kUntouched = -77.0f;

bool SameBits(const std::vector<float>& expected, const std::vector<float>& got) {
  bool untouched = true;
  for (size_t i = expected.size(); i < got.size(); ++i) untouched &= got[i] == kUntouched;
  return untouched &&
         std::memcmp(expected.data(), got.data(), expected.size() * sizeof(float)) == 0;
}

// Adds 0.25, then stores.
struct AddAndStore {
  AddAndStore(const StemGeometry& g, Isa isa, size_t floats)
      : constants(static_cast<size_t>(g.channels_out) + kEpilogueChunk, 0.25f),
        stored(floats + kSpare, kUntouched) {
    epilogue.channels = g.channels_out;
    epilogue.kernel = EpilogueKernelFor(isa);
    EpilogueStep add = {StepKind::kAdd}, store = {StepKind::kStore};
    add.constants = constants.data();
    store.values = stored.data();
    epilogue.steps = {add, store};
  }
  std::vector<float> constants, stored;
  Epilogue epilogue;
};

std::vector<float> Added(std::vector<float> values) {
  for (float& value : values) value += 0.25f;
  return values;
}

// A 2x2 max pool of stride 1, as the map is too small for another.
PoolGeometry PoolOf(const StemGeometry& g) {
  PoolGeometry pool;
  pool.batch = g.batch;
  pool.input_height = pool.output_height = g.output_height;
  pool.input_width = pool.output_width = g.output_width;
  pool.values = g.channels_out;
  pool.filter_height = pool.filter_width = 2;
  return pool;
}

std::vector<float> Pooled(const StemGeometry& g, const std::vector<float>& map) {
  return StemOutputs(g, [&](int b, int y, int x, int o) {
    float greatest = -INFINITY;
    for (int row = y; row < std::min(y + 2, g.output_height); ++row) {
      for (int column = x; column < std::min(x + 2, g.output_width); ++column) {
        const int pixel = (b * g.output_height + row) * g.output_width + column;
        greatest = std::max(greatest, map[static_cast<size_t>(pixel * g.channels_out + o)]);
      }
    }
    return greatest;
  });
}

// The number of kernels and threads that differ.
int CheckLayer(unsigned seed) {
  std::mt19937 random(seed);
  const Int8StemLayer layer(&random);
  const StemGeometry& g = layer.g;
  const std::vector<float> expected = layer.Expected();
  int failures = 0;
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    for (const bool dot_products : {false, true}) {
      if (!IsaAvailable(isa) || (dot_products && !HasDotProducts(isa))) continue;
      const Int8Stem stem(g, layer.Parameters(), isa, dot_products);
      for (const int threads : {1, 3}) {
        ThreadPool pool(threads);
        Workspace workspace;
        std::vector<float> got(expected.size() + kSpare, kUntouched);
        AddAndStore added(g, isa, expected.size()), pooled(g, isa, expected.size());
        const FloatPool max_pool(PoolOf(g), isa);
        const float* const input = layer.input.data();
        if (stem.Run(input, got.data(), nullptr, &workspace, &pool) &&
            SameBits(expected, got) &&
            stem.Run(input, nullptr, &added.epilogue, &workspace, &pool) &&
            SameBits(Added(expected), added.stored) &&
            stem.RunPooled(input, max_pool, pooled.epilogue, &workspace, &pool) &&
            SameBits(Added(Pooled(g, expected)), pooled.stored)) {
          continue;
        }
        std::printf("seed %u: %s differs with %d threads: %s\n", seed, stem.kernel(), threads,
                    Describe(g).c_str());
        ++failures;
      }
    }
  }
  return failures;
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  return sparsebnn::CheckSeeds(argc, argv, 150, sparsebnn::CheckLayer);
}
