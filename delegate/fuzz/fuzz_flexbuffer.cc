// libFuzzer: the reader of op options alone, which sees raw bytes of a model file.
//
//   build/fuzz/fuzz_flexbuffer -max_len=256 build/new_inputs build/fuzz/seeds/fuzz_flexbuffer
#include "testing/flexbuffer_lookup.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sparsebnn::LookUpAllOptions(data, size);
  return 0;
}
