// Times every kernel on the layers that it reads, one a line:
//
//   height width channels_in channels_out filter stride codewords output   (SAME padding)
//
// output is float, int8 or bits; codewords 0 is a filter of random bits. Writes a JSON object a
// line and kernel. Whole runs are timed, with everything from bit-packed input to output. The
// kernels take turns; the median is of at least `seconds` of runs of each.
//
//   kernels_bench [--seconds S] [--threads N] [--isa NAME] < layers
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/base/clock.h"
#include "kernels/bconv2d/kernel_choice.h"
#include "kernels/codebook/raster.h"
#include "testing/random_layer.h"

namespace sparsebnn {
namespace {

double Seconds() { return static_cast<double>(Nanoseconds()) * 1e-9; }

// The blocks that the terms were counted with, and what they are made of.
std::string EndOfRaster(const KernelEntry& kernel, const Geometry& g) {
  if (kernel.kind != KernelKind::kCodebook) return "";
  const Raster raster(g, kernel.pixels);
  char text[200];
  std::snprintf(text, sizeof text,
                ", \"blocks\": %g, \"whole_blocks\": %d, \"half_blocks\": %d, "
                "\"dense_pixels\": %d, \"block_places\": %d",
                raster.CostInBlocks(g, kernel.pixels), raster.blocks, raster.half_block,
                g.output_height * g.output_width - raster.pixels, kernel.pixels);
  return text;
}

struct Timed {
  const KernelEntry* kernel;
  std::unique_ptr<Bconv2d> bconv;
  std::vector<double> seconds;
};

void Bench(const Geometry& g, int codewords, OutputType output, double seconds, int threads,
           const char* isa) {
  std::mt19937 random(1);
  RandomLayer layer(g, codewords, output, &random);
  std::vector<char> result(layer.OutputBytes());
  const int patterns = CountPatterns(g, layer.filter);
  ThreadPool pool(threads);
  Workspace workspace;
  std::vector<Timed> all;
  for (const KernelEntry& kernel : kKernels) {
    if (isa != nullptr && std::strcmp(isa, IsaName(kernel.isa)) != 0) continue;
    if (!IsaAvailable(kernel.isa) || !KernelSupports(kernel, g, output)) continue;
    std::string error;
    auto bconv = kernel.make(g, layer.filter, layer.transform, &error);
    if (bconv != nullptr) all.push_back({&kernel, std::move(bconv), {}});
  }
  for (const double end = Seconds() + seconds * all.size(); Seconds() < end;) {
    for (Timed& timed : all) {
      for (const double turn_end = Seconds() + seconds / 10; Seconds() < turn_end;) {
        const double start = Seconds();
        timed.bconv->Run(layer.input.data(), result.data(), &workspace, &pool);
        timed.seconds.push_back(Seconds() - start);
      }
    }
  }
  const double macs = static_cast<double>(g.output_height) * g.output_width * g.channels_out *
                      g.depth() * g.batch;
  for (Timed& timed : all) {
    const auto first = timed.seconds.begin(), middle = first + timed.seconds.size() / 2;
    std::nth_element(first, middle, timed.seconds.end());
    const double median = *middle, fastest = *std::min_element(first, timed.seconds.end());
    const CostTerms terms = CountCostTerms(*timed.kernel, g, patterns);
    std::printf(
        "{\"kernel\": \"%s\", \"tile\": \"%s\", \"isa\": \"%s\", \"height\": %d, \"width\": "
        "%d, "
        "\"channels_in\": %d, \"channels_out\": %d, \"filter\": %d, \"stride\": %d, "
        "\"codewords\": %d, \"output\": \"%s\", \"threads\": %d, \"patterns\": %d, "
        "\"ns\": %.0f, \"fastest_ns\": %.0f, \"runs\": %zu, \"gmac_per_s\": %.2f, "
        "\"entries\": %.0f, \"sums\": %.0f, \"outputs\": %.0f, \"estimated_ns\": %.0f%s}\n",
        timed.bconv->kernel(), TileName(*timed.kernel).c_str(), IsaName(timed.kernel->isa),
        g.input_height, g.input_width, g.channels_in, g.channels_out, g.filter_height,
        g.stride_height, codewords,
        output == OutputType::kFloat32 ? "float"
        : output == OutputType::kInt8  ? "int8"
                                       : "bits",
        threads, patterns, median * 1e9, fastest * 1e9, timed.seconds.size(),
        macs / median * 1e-9, terms.entries, terms.sums, terms.outputs,
        EstimateCost(*timed.kernel, g, patterns, output, ThisCore(), threads),
        EndOfRaster(*timed.kernel, g).c_str());
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace sparsebnn

int main(int argc, char** argv) {
  using namespace sparsebnn;
  double seconds = 0.2;
  int threads = 1;
  const char* isa = nullptr;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--threads") == 0) threads = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--isa") == 0) isa = argv[i + 1];
  }
  Geometry g;
  int codewords;
  char output[8];
  while (std::scanf("%d %d %d %d %d %d %d %7s", &g.input_height, &g.input_width, &g.channels_in,
                    &g.channels_out, &g.filter_height, &g.stride_height, &codewords,
                    output) == 8) {
    g.filter_width = g.filter_height;
    g.stride_width = g.stride_height;
    SetOutputSize(&g, true);
    Bench(g, codewords,
          std::strcmp(output, "float") == 0  ? OutputType::kFloat32
          : std::strcmp(output, "int8") == 0 ? OutputType::kInt8
                                             : OutputType::kBitpacked,
          seconds, threads, isa);
  }
  return 0;
}
