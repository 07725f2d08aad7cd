#include "epilogue.h"

namespace sparsebnn {

EpilogueKernel EpilogueKernelFor(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return RunEpilogue__avx2;
    case Isa::kAvx512:
      return RunEpilogue__avx512;
#elif defined(__aarch64__)
    case Isa::kNeon:
      return RunEpilogue__neon;
#endif
    default:
      return RunEpilogue__scalar;
  }
}

}  // namespace sparsebnn
