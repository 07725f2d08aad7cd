#include "float_pool_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_FLOAT_POOL(avx2)

}  // namespace sparsebnn
