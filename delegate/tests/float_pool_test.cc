// Max pooling of floats on every instruction set against its definition, of random maps and behind
// random stems, with several numbers of threads.
//
//   float_pool_test [layers] [seed]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "kernels/max_pool/float_pool.h"
#include "testing/expect.h"
#include "testing/stem_layer.h"

namespace sparsebnn {
namespace {

constexpr size_t kSpare = 16;  // elements behind the output, which nobody may touch
constexpr float kUntouched = -77.0f;

PoolGeometry DrawPool(int batch, int height, int width, int channels, std::mt19937* random) {
  PoolGeometry g;
  g.batch = batch, g.input_height = height, g.input_width = width, g.values = channels;
  g.filter_height = Draw(random, 1, std::min(height, 5));
  g.filter_width = Draw(random, 1, std::min(width, 5));
  if (Draw(random, 0, 2) == 0 && height >= 3 && width >= 3)
    g.filter_height = g.filter_width = 3;
  g.stride_height = Draw(random, 1, 4);
  g.stride_width = Draw(random, 1, 4);
  // As much padding as leaves something in every window.
  g.padding_top = Draw(random, 0, g.filter_height - 1);
  g.padding_left = Draw(random, 0, g.filter_width - 1);
  g.output_height = (height - 1 + g.padding_top) / g.stride_height + 1;
  g.output_width = (width - 1 + g.padding_left) / g.stride_width + 1;
  return g;
}

std::vector<float> Expected(const PoolGeometry& g, const std::vector<float>& map) {
  std::vector<float> output;
  for (int i = 0; i < g.batch * g.output_height * g.output_width * g.values; ++i) {
    const int c = i % g.values, x = i / g.values % g.output_width;
    const int y = i / g.values / g.output_width;  // through the batch
    const int top = y % g.output_height * g.stride_height - g.padding_top;
    const int left = x * g.stride_width - g.padding_left;
    float greatest = -INFINITY;
    for (int row = std::max(0, top); row < std::min(g.input_height, top + g.filter_height);
         ++row) {
      for (int column = std::max(0, left);
           column < std::min(g.input_width, left + g.filter_width); ++column) {
        const int pixel = (y / g.output_height * g.input_height + row) * g.input_width + column;
        greatest = std::max(greatest, map[static_cast<size_t>(pixel * g.values + c)]);
      }
    }
    output.push_back(greatest);
  }
  return output;
}

// What `run(epilogue)` stores, and nothing beyond it.
template <typename Run>
bool Stores(const std::vector<float>& expected, int channels, Isa isa, const Run& run) {
  std::vector<float> stored(expected.size() + kSpare, kUntouched);
  Epilogue epilogue;
  epilogue.channels = channels;
  epilogue.kernel = EpilogueKernelFor(isa);
  epilogue.steps = {{StepKind::kStore}};
  epilogue.steps[0].values = stored.data();
  if (!run(epilogue)) return false;
  bool equal = true;  // zeros have no sign here
  for (size_t i = 0; i < stored.size(); ++i) {
    equal &= stored[i] == (i < expected.size() ? expected[i] : kUntouched);
  }
  return equal;
}

// The number of instruction sets and threads that differ.
int CheckLayer(unsigned seed) {
  std::mt19937 random(seed);
  StemLayer layer(&random);
  for (std::vector<float>* values : {&layer.input, &layer.filter, &layer.bias}) {
    for (float& value : *values) value = std::isfinite(value) ? value : 0.5f;
  }
  const std::vector<float> map = layer.Expected();
  const PoolGeometry g = DrawPool(layer.g.batch, layer.g.output_height, layer.g.output_width,
                                  layer.g.channels_out, &random);
  const std::vector<float> expected = Expected(g, map);
  int failures = 0;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (!IsaAvailable(isa)) continue;
    const FloatPool pool(g, isa);
    for (const int threads : {1, 3}) {
      ThreadPool workers(threads);
      Workspace workspace;
      bool agrees = Stores(expected, g.values, isa, [&](const Epilogue& epilogue) {
        return pool.Run(map.data(), epilogue, &workspace, &workers);
      });
      if (StemTileFor(isa, g.values).run != nullptr) {
        const Stem stem(layer.g, layer.filter.data(), layer.bias.data(), layer.minimum,
                        layer.maximum, isa);
        agrees &= Stores(expected, g.values, isa, [&](const Epilogue& epilogue) {
          return stem.RunPooled(layer.input.data(), pool, epilogue, &workspace, &workers);
        });
      }
      if (agrees) continue;
      std::printf(
          "seed %u: max pool %s differs with %d threads: %dx%dx%d, window %dx%d, "
          "stride %dx%d\n",
          seed, IsaName(isa), threads, g.input_height, g.input_width, g.values, g.filter_height,
          g.filter_width, g.stride_height, g.stride_width);
      ++failures;
    }
  }
  return failures;
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  return sparsebnn::CheckSeeds(argc, argv, 300, sparsebnn::CheckLayer);
}
