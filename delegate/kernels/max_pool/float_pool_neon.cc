#include "float_pool_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_FLOAT_POOL(neon)

}  // namespace sparsebnn
