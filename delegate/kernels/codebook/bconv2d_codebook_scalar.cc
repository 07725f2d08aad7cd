// The bit-sliced convolution on 64-bit general registers.
#include "bit_vector_scalar.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_CODEBOOK(BitVectorScalar, 64, scalar, MakeXnorBconv2d_2x8__scalar)

}  // namespace sparsebnn
