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

Epilogue StoringEpilogue(int channels, Isa isa, float* output) {
  Epilogue epilogue;
  epilogue.channels = channels;
  epilogue.kernel = EpilogueKernelFor(isa);
  EpilogueStep store = {StepKind::kStore};
  store.values = output;
  epilogue.steps.assign(1, store);
  return epilogue;
}

}  // namespace sparsebnn
