#include "average_pool_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_AVERAGE_OF_4(avx2, 32)

}  // namespace sparsebnn
