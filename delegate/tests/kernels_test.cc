// Every kernel of the list against the reference, on random layers and numbers of threads: the
// outputs must be the same to the last bit. And what the estimates of their costs have in common.
//
//   kernels_test [layers] [seed]
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/bconv2d/bconv2d_reference.h"
#include "kernels/bconv2d/kernel_choice.h"
#include "testing/expect.h"
#include "testing/random_layer.h"

namespace sparsebnn {
namespace {

// More threads never take longer, nor save more than their share of the work. Returns failures.
int CheckCosts(const Geometry& g, const FilterReader& filter, OutputType output) {
  int failures = 0;
  const int patterns = CountPatterns(g, filter);
  for (const KernelEntry& kernel : kKernels) {
    if (!KernelSupports(kernel, g, output)) continue;
    const double alone = EstimateCost(kernel, g, patterns, output, Core::kOutOfOrder, 1);
    double fewer = alone;
    for (int threads = 2; threads < 10; ++threads) {
      const double cost = EstimateCost(kernel, g, patterns, output, Core::kOutOfOrder, threads);
      if (cost < alone / threads * 0.999 || cost > fewer * 1.001) {
        std::printf("%s: %g on %d threads, %g on one less, %g on one\n",
                    TileName(kernel).c_str(), cost, threads, fewer, alone);
        ++failures;
      }
      fewer = cost;
    }
  }
  return failures;
}

// A map of one block: two threads would both make its tables, so the dense kernel, which shares
// out pixels, gains more.
int CheckOneBlock() {
  Geometry g;
  g.input_height = g.input_width = g.output_height = g.output_width = 16;
  g.channels_in = g.channels_out = 256;
  g.filter_height = g.filter_width = 3;
  g.padding_top = g.padding_left = 1;
  for (const KernelEntry& kernel : kKernels) {
    const auto cost = [&](int threads) {
      return EstimateCost(kernel, g, 28, OutputType::kBitpacked, Core::kOutOfOrder, threads);
    };
    const double part = cost(2) / cost(1);
    const bool shares_tables = kernel.kind == KernelKind::kXnor || kernel.pixels < 256;
    EXPECT(shares_tables ? part == 0.5 : part > 0.55 && part < 0.95);
  }
  return failures;
}

// The number of outputs that differ, and of odd costs.
int CheckLayer(unsigned seed) {
  std::mt19937 random(seed);
  bool same;
  const Geometry g = DrawGeometry(120, &same, &random);
  const int codewords = Draw(&random, 0, 3) ? 1 << Draw(&random, 1, 6) : 0;
  const OutputType output = static_cast<OutputType>(Draw(&random, 0, 2));
  RandomLayer layer(g, codewords, output, &random);
  if (Draw(&random, 0, 2) == 0) {  // a fused activation
    layer.transform.clamp_min = Draw(&random, 0, 2 * g.depth());
    layer.transform.clamp_max = layer.transform.clamp_min + Draw(&random, 0, g.depth());
  }
  std::string error;
  Workspace workspace;
  ThreadPool one(1);
  std::vector<char> expected(layer.OutputBytes()), got(layer.OutputBytes() + 64);
  MakeReferenceBconv2d(g, layer.filter, layer.transform, kReadsOnes, &error)
      ->Run(layer.input.data(), expected.data(), &workspace, &one);
  int failures = CheckCosts(g, layer.filter, output);
  for (const KernelEntry& kernel : kKernels) {
    if (!IsaAvailable(kernel.isa) || !KernelSupports(kernel, g, output)) continue;
    const auto bconv = kernel.make(g, layer.filter, layer.transform, &error);
    if (bconv == nullptr) {
      std::printf("seed %u: %s\n", seed, error.c_str());
      return 1;
    }
    for (const int threads : {1, 3, 4}) {
      ThreadPool pool(threads);
      std::memset(got.data(), 0x5A, got.size());
      bconv->Run(layer.input.data(), got.data(), &workspace, &pool);
      bool equal = std::memcmp(expected.data(), got.data(), expected.size()) == 0;
      for (size_t i = expected.size(); i < got.size(); ++i) equal &= got[i] == 0x5A;
      if (equal) continue;
      std::printf("seed %u: %s differs from the reference with %d threads: %s\n", seed,
                  bconv->description().c_str(), threads, layer.Describe().c_str());
      ++failures;
    }
  }
  return failures;
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  return sparsebnn::CheckOneBlock() +
         sparsebnn::CheckSeeds(argc, argv, 300, sparsebnn::CheckLayer);
}
