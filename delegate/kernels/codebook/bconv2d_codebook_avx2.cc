// The bit-sliced convolution on AVX2.
#include "bit_vector_avx2.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_CODEBOOK(BitVectorAvx2, 256, avx2, MakeXnorBconv2d_4x16__avx2)

}  // namespace sparsebnn
