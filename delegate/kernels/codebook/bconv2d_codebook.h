// What the bit-sliced convolution computes: see codebook_plan.h for its arithmetic, raster.h
// for its operands and bconv2d_codebook_inl.h for its loops.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_BCONV2D_CODEBOOK_H_
#define SPARSEBNN_KERNELS_CODEBOOK_BCONV2D_CODEBOOK_H_

#include "kernels/bconv2d/bconv2d.h"

namespace sparsebnn {

// The depth that fits the 16-bit popcounts of the output stage.
constexpr int kMaxCodebookDepth = 32767;

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_BCONV2D_CODEBOOK_H_
