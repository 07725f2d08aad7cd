// Which layers kernels take: none whose scratch memory is out of all proportion to the layer, or
// whose offsets leave 32 bits, and what is refused goes to another kernel.
#include "kernels/bconv2d/kernel_list.h"

#include <cstring>
#include <random>
#include <vector>

#include "kernels/bconv2d/bconv2d_reference.h"
#include "kernels/bconv2d/kernel_choice.h"
#include "kernels/codebook/raster.h"
#include "testing/expect.h"
#include "testing/random_layer.h"

namespace sparsebnn {
namespace {

// A map of one row under a column of taps that lie far apart: every plane has many times its bits.
Geometry TallFilter(int width, int channels, int taps, int dilation) {
  Geometry g;
  g.input_height = g.output_height = 1;
  g.input_width = g.output_width = width;
  g.channels_in = channels;
  g.channels_out = 64;
  g.filter_height = taps;
  g.filter_width = 1;
  g.dilation_height = dilation;
  g.padding_top = (taps - 1) * dilation / 2;
  return g;
}

bool AnyCodebook(const Geometry& g) {
  bool any = false;
  for (const KernelEntry& kernel : kKernels) {
    any |= kernel.kind == KernelKind::kCodebook &&
           KernelSupports(kernel, g, OutputType::kBitpacked);
  }
  return any;
}

void CheckPlanes() {
  // Offsets of 2 GiB and more; a product of 2^32 and a little, that is a little in 32 bits.
  EXPECT(!AnyCodebook(TallFilter(29806, 384, 7, 250)));
  EXPECT(!AnyCodebook(TallFilter(34952, 1, 31, 256)));
  EXPECT(!AnyCodebook(TallFilter(16384, 1, 31, 256)));
  // Sums that leave 32 bits themselves.
  Geometry g = TallFilter(65535, 1, 31, 65535);
  g.input_height = g.output_height = 65535;
  EXPECT(!AnyCodebook(g));
  EXPECT(Raster(g, 512).PlanesBytes(g) > INT32_MAX);
  // A layer of 1024x1024 pixels still fits.
  g = TallFilter(1024, 64, 3, 1);
  g.input_height = g.output_height = 1024;
  EXPECT(AnyCodebook(g));
}

void CheckFilters() {
  Geometry g = TallFilter(14, 1024, 3, 1);
  g.channels_out = 1024;
  EXPECT(AnyCodebook(g));
  g.channels_out = 65535;
  EXPECT(!AnyCodebook(g));
}

void CheckThatAnotherKernelRuns() {
  const Geometry g = TallFilter(29806, 384, 7, 250);
  std::mt19937 random(1);
  const RandomLayer layer(g, 2, OutputType::kBitpacked, &random);
  std::vector<char> expected(layer.OutputBytes()), got(layer.OutputBytes());
  Workspace workspace;
  ThreadPool threads(2);
  std::string error;
  MakeReferenceBconv2d(g, layer.filter, layer.transform, kReadsOnes, &error)
      ->Run(layer.input.data(), expected.data(), &workspace, &threads);
  for (const KernelKind kind : {KernelKind::kAuto, KernelKind::kCodebook}) {
    Bconv2dOptions options;
    options.kernel = kind;
    options.isa = BestIsa();
    const auto bconv = MakeBconv2d(g, layer.filter, layer.transform, options, &error);
    EXPECT((bconv == nullptr) == (kind == KernelKind::kCodebook));
    if (bconv == nullptr) continue;
    EXPECT(bconv->Run(layer.input.data(), got.data(), &workspace, &threads));
    EXPECT(std::memcmp(got.data(), expected.data(), got.size()) == 0);
  }
  EXPECT(error.find("Expected a kernel that computes this layer") == 0);
  EXPECT(workspace.size() < 64 << 20);
}

void CheckReserve() {
  Workspace workspace;
  EXPECT(!workspace.Reserve(UINT64_MAX));
  EXPECT(!workspace.Reserve(uint64_t{1} << 63));
  if (sizeof(size_t) == 4) EXPECT(!workspace.Reserve((uint64_t{1} << 32) + 4096));
  EXPECT(workspace.Reserve(4096));
}

}  // namespace
}  // namespace sparsebnn

int main() {
  sparsebnn::CheckPlanes();
  sparsebnn::CheckFilters();
  sparsebnn::CheckThatAnotherKernelRuns();
  sparsebnn::CheckReserve();
  return sparsebnn::Outcome();
}
