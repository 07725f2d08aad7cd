#include "epilogue_inl.h"
#include "kernels/quantize/sign_mask_avx512.h"

namespace sparsebnn {

void RunEpilogue__avx512(const Epilogue& epilogue, const FloatTile& tile) {
  RunEpilogue<SignMask_f32x32, f32x16>(epilogue, tile);
}

}  // namespace sparsebnn
