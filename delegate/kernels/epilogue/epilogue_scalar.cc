#include "epilogue_inl.h"
#include "kernels/quantize/sign_mask_scalar.h"

namespace sparsebnn {

void RunEpilogue__scalar(const Epilogue& epilogue, const FloatTile& tile) {
  RunEpilogue<SignMask_f32x32>(epilogue, tile);
}

}  // namespace sparsebnn
