// The bit-sliced convolution on AVX-512.
#include "bit_vector_avx512.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_CODEBOOK(BitVectorAvx512x128, 128, avx512, MakeXnorBconv2d_8x32__avx512)
SPARSEBNN_DEFINE_CODEBOOK(BitVectorAvx512x256, 256, avx512, MakeXnorBconv2d_8x32__avx512)
SPARSEBNN_DEFINE_CODEBOOK(BitVectorAvx512x512, 512, avx512, MakeXnorBconv2d_8x32__avx512)

}  // namespace sparsebnn
