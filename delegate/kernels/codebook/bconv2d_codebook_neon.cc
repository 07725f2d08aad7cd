// The bit-sliced convolution on NEON.
#include "bit_vector_neon.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x128__neon(const Geometry& geometry,
                                                        const FilterReader& filter,
                                                        OutputTransform transform,
                                                        std::string* error) {
  return MakeCodebookBconv2d<BitVectorNeon>(geometry, filter, std::move(transform), "neon",
                                            MakeXnorBconv2d_4x8__neon, error);
}

}  // namespace sparsebnn
