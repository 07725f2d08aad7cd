// libFuzzer: models, options and delegate options from any bytes.
//
//   cmake -S delegate -B build/fuzz -DCMAKE_CXX_COMPILER=clang++ -DSPARSEBNN_FUZZ=ON
//   cmake --build build/fuzz        # and unpacks the seed corpora
//   build/fuzz/fuzz_delegate -max_len=512 build/new_inputs build/fuzz/seeds/fuzz_delegate
#include "testing/fuzz_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sparsebnn::RunFuzzBytes(data, size);
  return 0;
}
