#include "kernel_list.h"

#include "kernels/base/decimal.h"
#include "kernels/codebook/bconv2d_codebook.h"
#include "kernels/codebook/raster.h"

namespace sparsebnn {

std::string TileName(const KernelEntry& kernel) {
  const std::string pixels = Decimal(kernel.pixels);
  return kernel.kind == KernelKind::kCodebook ? "x" + pixels
                                              : pixels + "x" + Decimal(kernel.channels);
}

std::string DescribeXnor(int pixels, int channels, const char* isa) {
  return "xnor " + Decimal(pixels) + "x" + Decimal(channels) + " " + isa;
}

std::string DescribeCodebook(int bits, const char* isa, size_t patterns) {
  return "codebook x" + Decimal(bits) + " " + isa + ", " + Decimal(patterns) +
         " patterns of 7 taps";
}

bool KernelSupports(const KernelEntry& kernel, const Geometry& geometry, OutputType output) {
  if (kernel.kind != KernelKind::kCodebook) {
    // The NEON kernel sums 16-bit numbers.
    return kernel.isa != Isa::kNeon || geometry.depth() <= UINT16_MAX;
  }
  if (geometry.depth() > kMaxCodebookDepth) return false;
  // Beyond it is absurd: of a filter, whose plan takes a hundred times its bits; of a thread's
  // planes, which are to lie in a cache, and whose offsets are 32-bit numbers; and of masks. Plans
  // and masks are made when the model is loaded.
  constexpr int64_t kMaxFilterBits = 1 << 24;
  constexpr uint64_t kMaxPlanesBytes = 1 << 25, kMaxMaskBytes = 1 << 26;
  if (int64_t{geometry.depth()} * geometry.channels_out > kMaxFilterBits) return false;
  const Raster raster(geometry, kernel.pixels);
  if (raster.PlanesBytes(geometry) > kMaxPlanesBytes) return false;
  if (raster.MaskBytes(kernel.pixels) > kMaxMaskBytes) return false;
  // It writes whole words of 32 channels.
  return output != OutputType::kBitpacked || geometry.groups == 1 ||
         geometry.channels_out_per_group() % 32 == 0;
}

}  // namespace sparsebnn
