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
  const Raster raster(geometry, 512);
  if (raster.PlanesBytes(geometry) > INT32_MAX) return false;
  // Only of absurd filters on large maps, and they are made when the model is loaded.
  constexpr size_t kMaxMaskBytes = 1 << 26;
  if (raster.MaskBytes(512) > kMaxMaskBytes) return false;
  // It writes whole words of 32 channels.
  return output != OutputType::kBitpacked || geometry.groups == 1 ||
         geometry.channels_out_per_group() % 32 == 0;
}

}  // namespace sparsebnn
