// Padding with zeros, for a convolution that has padded with ones.
//
// A tap outside of the image read +1 where it should have read 0, so the sum over the filter's
// outside taps is one too many:
//   output[b, y, x, o] += -multiplier[o] * sum over outside taps ky, kx and over c of
//                                          filter[o, ky, kx, c]
// with the filter in {-1, +1}. The sum takes few values: one for each set of outside taps.
#ifndef SPARSEBNN_KERNELS_BCONV2D_ZERO_PADDING_H_
#define SPARSEBNN_KERNELS_BCONV2D_ZERO_PADDING_H_

#include "bconv2d.h"

namespace sparsebnn {

// Wraps `inner`, whose output must be float and which must have one group. A tap has
// `padded_channels` channels, those of its filter bits that are 1 being -1.
std::unique_ptr<Bconv2d> AddZeroPadding(std::unique_ptr<Bconv2d> inner,
                                        const Geometry& geometry, const FilterReader& filter,
                                        int padded_channels, const float* multiplier,
                                        std::string* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_ZERO_PADDING_H_
