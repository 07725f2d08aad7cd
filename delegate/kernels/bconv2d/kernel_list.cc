#include "kernel_list.h"

#include "kernels/codebook/bconv2d_codebook.h"
#include "kernels/codebook/raster.h"

namespace sparsebnn {

namespace {

constexpr Isa scalar = Isa::kScalar;
[[maybe_unused]] constexpr Isa avx2 = Isa::kAvx2, avx512 = Isa::kAvx512, neon = Isa::kNeon;

#define SPARSEBNN_KERNEL(kind, tile, isa) \
  {KernelKind::k##kind, #tile, isa, Make##kind##Bconv2d_##tile##__##isa},
constexpr KernelEntry kKernels[] = {
#include "kernel_list.inc"
};
#undef SPARSEBNN_KERNEL

}  // namespace

const KernelEntry* KernelList(int* count) {
  *count = sizeof(kKernels) / sizeof(kKernels[0]);
  return kKernels;
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
