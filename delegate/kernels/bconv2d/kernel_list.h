// The kernels as values: kernel_list.inc, declared and checked.
#ifndef SPARSEBNN_KERNELS_BCONV2D_KERNEL_LIST_H_
#define SPARSEBNN_KERNELS_BCONV2D_KERNEL_LIST_H_

#include <array>

#include "bconv2d.h"

namespace sparsebnn {

using Bconv2dFactory = std::unique_ptr<Bconv2d> (*)(const Geometry&, const FilterReader&,
                                                    OutputTransform, std::string* error);

// What a kernel costs: see kernel_list.inc.
struct KernelWeights {
  double entry, sum, number, bit;
};
using WeightsByCore = std::array<KernelWeights, kCores>;

constexpr WeightsByCore OnAnyCore(KernelWeights weights) { return {weights, weights, weights}; }
constexpr WeightsByCore OnCores(KernelWeights out_of_order, KernelWeights cortex_a72,
                                KernelWeights in_order) {
  return {out_of_order, cortex_a72, in_order};
}

struct KernelEntry {
  KernelKind kind;
  int pixels;    // of a tile; of a vector, for the codebook kernel
  int channels;  // of a tile; 1 for the codebook kernel
  Isa isa;
  Bconv2dFactory make;
  WeightsByCore weights;
};

#define SPARSEBNN_XNOR(pixels, channels, isa, weights)                     \
  std::unique_ptr<Bconv2d> MakeXnorBconv2d_##pixels##x##channels##__##isa( \
      const Geometry&, const FilterReader&, OutputTransform, std::string* error);
#define SPARSEBNN_CODEBOOK(bits, isa, weights)                   \
  std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x##bits##__##isa( \
      const Geometry&, const FilterReader&, OutputTransform, std::string* error);
#include "kernel_list.inc"
#undef SPARSEBNN_XNOR
#undef SPARSEBNN_CODEBOOK

namespace isas {
constexpr Isa scalar = Isa::kScalar, avx2 = Isa::kAvx2, avx512 = Isa::kAvx512,
              neon = Isa::kNeon;
}  // namespace isas

// All that were compiled, whether or not this processor runs them.
#define SPARSEBNN_XNOR(pixels, channels, isa, weights) \
  {KernelKind::kXnor,                                  \
   pixels,                                             \
   channels,                                           \
   isas::isa,                                          \
   MakeXnorBconv2d_##pixels##x##channels##__##isa,     \
   weights},
#define SPARSEBNN_CODEBOOK(bits, isa, weights) \
  {KernelKind::kCodebook, bits, 1, isas::isa, MakeCodebookBconv2d_x##bits##__##isa, weights},
inline constexpr KernelEntry kKernels[] = {
#include "kernel_list.inc"
};
#undef SPARSEBNN_XNOR
#undef SPARSEBNN_CODEBOOK

// Whether every kernel can be compared with the others on every core.
constexpr bool AllKernelsHaveWeights() {
  for (const KernelEntry& kernel : kKernels) {
    for (const KernelWeights& weights : kernel.weights) {
      if (!(weights.entry >= 0 && weights.sum > 0 && weights.number > 0 && weights.bit > 0)) {
        return false;
      }
    }
  }
  return true;
}
static_assert(AllKernelsHaveWeights(), "a kernel lacks weights for a core");

// "8x32" of a tile, "x256" of a vector.
std::string TileName(const KernelEntry& kernel);

// What Bconv2d::description says.
std::string DescribeXnor(int pixels, int channels, const char* isa);
std::string DescribeCodebook(int bits, const char* isa, size_t patterns);

// Whether the kernel computes such a convolution at all.
bool KernelSupports(const KernelEntry& kernel, const Geometry& geometry, OutputType output);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_KERNEL_LIST_H_
