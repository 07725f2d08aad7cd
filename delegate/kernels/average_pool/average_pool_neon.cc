#include "average_pool_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_AVERAGE_OF_4(neon, 16)

}  // namespace sparsebnn
