// The delegate's options, from strings.
#ifndef SPARSEBNN_TFLITE_DELEGATE_OPTIONS_H_
#define SPARSEBNN_TFLITE_DELEGATE_OPTIONS_H_

#include <string>

#include "kernels/bconv2d/bconv2d.h"

namespace sparsebnn {

struct DelegateOptions {
  static constexpr int kMaxThreads = 256;

  int num_threads = 0;  // 0: as the interpreter recommends
  KernelKind kernel = KernelKind::kAuto;
  bool isa_is_pinned = false;
  Isa isa = Isa::kScalar;
  bool profile = false;
  bool verbose = false;
  bool glue = true;  // whether float ops beside binary ones are claimed and fused
  bool stem = true;  // whether float convolutions are claimed: the first; with glue of 1x1

  // Sets one option. False, with one line in `error`, for an unknown key or value.
  bool Set(const char* key, const char* value, std::string* error);
  // After the last Set: finds the instruction set that is to be used.
  bool Resolve(std::string* error);

 private:
  bool* FindFlag(const char* key);  // null if there is none
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_DELEGATE_OPTIONS_H_
