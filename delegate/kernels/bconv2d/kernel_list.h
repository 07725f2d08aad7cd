// The kernels as values.
#ifndef SPARSEBNN_KERNELS_BCONV2D_KERNEL_LIST_H_
#define SPARSEBNN_KERNELS_BCONV2D_KERNEL_LIST_H_

#include "bconv2d.h"

namespace sparsebnn {

using Bconv2dFactory = std::unique_ptr<Bconv2d> (*)(const Geometry&, const FilterReader&,
                                                    OutputTransform, std::string* error);

#define SPARSEBNN_KERNEL(kind, tile, isa)                       \
  std::unique_ptr<Bconv2d> Make##kind##Bconv2d_##tile##__##isa( \
      const Geometry&, const FilterReader&, OutputTransform, std::string* error);
#include "kernel_list.inc"
#undef SPARSEBNN_KERNEL

struct KernelEntry {
  KernelKind kind;
  const char* tile;  // "x256": pixels of a vector; "8x32": pixels times channels of a tile
  Isa isa;
  Bconv2dFactory make;
};

// All that were compiled, whether or not this processor runs them.
const KernelEntry* KernelList(int* count);

// Whether the kernel computes such a convolution at all.
bool KernelSupports(const KernelEntry& kernel, const Geometry& geometry, OutputType output);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_KERNEL_LIST_H_
