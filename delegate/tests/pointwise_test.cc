// Convolutions of 1x1 and average pools on every instruction set against their definitions, on
// random layers and numbers of threads, to memory and through an epilogue, each alone and one behind
// the other: the same bits, but for what a NaN holds and the sign of a zero that was bounded.
//
//   pointwise_test [layers] [seed]
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/pointwise/pointwise.h"
#include "testing/expect.h"
#include "testing/pointwise_layer.h"
#include "testing/stem_layer.h"

namespace sparsebnn {
namespace {

constexpr size_t kSpare = 16;  // elements behind the output, which nobody may touch
constexpr float kUntouched = -77.0f;

// What `run(output)` writes, and nothing beyond it.
template <typename Run>
bool Writes(const std::vector<float>& expected, const Run& run) {
  std::vector<float> got(expected.size() + kSpare, kUntouched);
  bool equal = run(got.data()) && SameFloats(expected.data(), got.data(), expected.size());
  for (size_t i = expected.size(); i < got.size(); ++i) equal &= got[i] == kUntouched;
  return equal;
}

bool SameBits(const std::vector<float>& expected, const std::vector<float>& got) {
  bool same = true;
  for (size_t i = 0; i < expected.size(); ++i) {
    same &= std::isnan(expected[i]) ? std::isnan(got[i])
                                    : std::memcmp(&expected[i], &got[i], sizeof(float)) == 0;
  }
  return same;
}

bool PoolAgrees(const AveragePool& pool, const PointwiseLayer& layer,
                const std::vector<float>& averages, Isa isa, Workspace* workspace,
                ThreadPool* threads) {
  std::vector<float> got(averages.size());
  pool.Run(layer.map.data(), 0, pool.pixels(), got.data());
  return SameBits(averages, got) && Writes(averages, [&](float* output) {
           return pool.Run(layer.map.data(), StoringEpilogue(layer.g.values, isa, output),
                           workspace, threads);
         });
}

bool ConvolutionAgrees(const AveragePool& pool, const PointwiseLayer& layer,
                       const std::vector<float>& averages, const std::vector<float>& expected,
                       Isa isa, Workspace* workspace, ThreadPool* threads) {
  const int channels_in = layer.g.values, channels_out = layer.channels_out;
  const Pointwise pointwise(channels_in, channels_out, layer.filter.data(), layer.bias.data(),
                            layer.minimum, layer.maximum, isa);
  return Writes(expected,
                [&](float* output) {
                  return pointwise.Run(averages.data(), pool.pixels(), output, nullptr,
                                       workspace, threads);
                }) &&
         Writes(expected,
                [&](float* output) {
                  const Epilogue epilogue = StoringEpilogue(channels_out, isa, output);
                  return pointwise.Run(averages.data(), pool.pixels(), nullptr, &epilogue,
                                       workspace, threads);
                }) &&
         Writes(expected, [&](float* output) {
           return pointwise.RunAveraged(layer.map.data(), pool,
                                        StoringEpilogue(channels_out, isa, output), workspace,
                                        threads);
         });
}

// The number of instruction sets and threads that differ.
int CheckLayer(unsigned seed) {
  std::mt19937 random(seed);
  const PointwiseLayer layer(&random);
  const std::vector<float> averages = layer.Averages(), expected = layer.Expected(averages);
  int failures = 0;
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
    if (!IsaAvailable(isa)) continue;
    const AveragePool pool(layer.g, isa);
    for (const int threads : {1, 3}) {
      ThreadPool workers(threads);
      Workspace workspace;
      if (PoolAgrees(pool, layer, averages, isa, &workspace, &workers) &&
          ConvolutionAgrees(pool, layer, averages, expected, isa, &workspace, &workers)) {
        continue;
      }
      std::printf("seed %u: 1x1 %s differs with %d threads: %s\n", seed, IsaName(isa), threads,
                  layer.Describe().c_str());
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
