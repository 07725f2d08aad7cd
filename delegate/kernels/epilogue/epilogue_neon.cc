#include "epilogue_inl.h"
#include "kernels/quantize/sign_mask_neon.h"

namespace sparsebnn {

void RunEpilogue__neon(const Epilogue& epilogue, const FloatTile& tile) {
  RunEpilogue<SignMask_f32x32>(epilogue, tile);
}

}  // namespace sparsebnn
