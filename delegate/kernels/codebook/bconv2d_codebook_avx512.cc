// The bit-sliced convolution on AVX-512.
#include "bit_vector_avx512.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x128__avx512(const Geometry& geometry,
                                                          const FilterReader& filter,
                                                          OutputTransform transform,
                                                          std::string* error) {
  return MakeCodebookBconv2d<BitVectorAvx512x128>(
      geometry, filter, std::move(transform), "avx512", MakeXnorBconv2d_8x32__avx512, error);
}

std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x256__avx512(const Geometry& geometry,
                                                          const FilterReader& filter,
                                                          OutputTransform transform,
                                                          std::string* error) {
  return MakeCodebookBconv2d<BitVectorAvx512x256>(
      geometry, filter, std::move(transform), "avx512", MakeXnorBconv2d_8x32__avx512, error);
}

std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x512__avx512(const Geometry& geometry,
                                                          const FilterReader& filter,
                                                          OutputTransform transform,
                                                          std::string* error) {
  return MakeCodebookBconv2d<BitVectorAvx512x512>(
      geometry, filter, std::move(transform), "avx512", MakeXnorBconv2d_8x32__avx512, error);
}

}  // namespace sparsebnn
