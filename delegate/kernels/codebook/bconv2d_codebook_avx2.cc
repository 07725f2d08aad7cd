// The bit-sliced convolution on AVX2.
#include "bit_vector_avx2.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x256__avx2(const Geometry& geometry,
                                                        const FilterReader& filter,
                                                        OutputTransform transform,
                                                        std::string* error) {
  return MakeCodebookBconv2d<BitVectorAvx2>(geometry, filter, std::move(transform), "avx2",
                                            MakeXnorBconv2d_4x16__avx2, error);
}

}  // namespace sparsebnn
