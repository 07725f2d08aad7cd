// The bit-sliced convolution on NEON.
#include "bit_vector_neon.h"

#include "bconv2d_codebook_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_CODEBOOK(BitVectorNeon, 128, neon, MakeXnorBconv2d_4x8__neon)

}  // namespace sparsebnn
