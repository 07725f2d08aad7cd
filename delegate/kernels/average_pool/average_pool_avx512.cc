#include "average_pool_inl.h"

namespace sparsebnn {

SPARSEBNN_DEFINE_AVERAGE_OF_4(avx512, 64)

}  // namespace sparsebnn
