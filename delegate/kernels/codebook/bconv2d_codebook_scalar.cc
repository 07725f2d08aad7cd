// The bit-sliced convolution on 64-bit general registers.
#include "bit_vector_scalar.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x64__scalar(const Geometry& geometry,
                                                         const FilterReader& filter,
                                                         OutputTransform transform,
                                                         std::string* error) {
  return MakeCodebookBconv2d<BitVectorScalar>(geometry, filter, std::move(transform), "scalar",
                                              MakeXnorBconv2d_2x8__scalar, error);
}

}  // namespace sparsebnn
