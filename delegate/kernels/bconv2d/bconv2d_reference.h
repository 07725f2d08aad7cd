// The convolution as its equation says: slow, obvious, and what all others are checked against.
#ifndef SPARSEBNN_KERNELS_BCONV2D_BCONV2D_REFERENCE_H_
#define SPARSEBNN_KERNELS_BCONV2D_BCONV2D_REFERENCE_H_

#include "bconv2d.h"

namespace sparsebnn {

// What a tap outside of the image adds to the popcount; kReadsOnes: the filter's bits.
constexpr int kReadsOnes = -1;

std::unique_ptr<Bconv2d> MakeReferenceBconv2d(const Geometry& geometry,
                                              const FilterReader& filter,
                                              OutputTransform transform, int outside_popcount,
                                              std::string* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_BCONV2D_REFERENCE_H_
