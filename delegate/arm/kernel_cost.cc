// One binary 3x3 convolution between two markers, for an emulator that counts instructions.
//
//   kernel_cost CHANNELS_IN CHANNELS_OUT CODEWORDS HEIGHT WIDTH STRIDE KERNEL OUTPUT [check]
//
// HEIGHT and WIDTH are the output's, CODEWORDS = 512 is a dense filter, KERNEL one of auto,
// xnor, codebook, reference, OUTPUT one of float32, bitpacked. Padding is LCE's "same" with
// ones. Prints which kernel ran. With `check` the output is also compared with the reference
// kernel's; the exit status is 1 if they differ.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/bconv2d/bconv2d.h"
#include "testing/random_layer.h"

// The emulator starts to count at one and stops at the other.
extern "C" __attribute__((noinline, used)) void KernelCostBegin() {
  asm volatile("" ::: "memory");
}
extern "C" __attribute__((noinline, used)) void KernelCostEnd() {
  asm volatile("" ::: "memory");
}

namespace {

using namespace sparsebnn;

int Fail(const std::string& message) {
  std::fprintf(stderr, "kernel_cost: %s\n", message.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9 && argc != 10) return Fail("expected 8 arguments, see the source");
  Geometry g;
  g.channels_in = std::atoi(argv[1]);
  g.channels_out = std::atoi(argv[2]);
  const int codewords = std::atoi(argv[3]);
  g.output_height = std::atoi(argv[4]);
  g.output_width = std::atoi(argv[5]);
  g.stride_height = g.stride_width = std::atoi(argv[6]);
  g.input_height = g.output_height * g.stride_height;
  g.input_width = g.output_width * g.stride_width;
  g.filter_height = g.filter_width = 3;
  // As TensorFlow pads: with an even size and stride 2 only below and to the right.
  g.padding_top = g.padding_left = g.stride_height == 1 ? 1 : 0;
  const std::string kernel = argv[7], output_type = argv[8];
  if (g.channels_in < 1 || g.channels_out < 1 || codewords < 1 || codewords > 512) {
    return Fail("expected channels > 0 and 1 to 512 codewords");
  }

  Bconv2dOptions options;
  options.isa = BestIsa();
  if (kernel == "xnor") {
    options.kernel = KernelKind::kXnor;
  } else if (kernel == "codebook") {
    options.kernel = KernelKind::kCodebook;
  } else if (kernel == "reference") {
    options.kernel = KernelKind::kReference;
  } else if (kernel != "auto") {
    return Fail("expected auto, xnor, codebook or reference, got " + kernel);
  }
  const bool packed = output_type == "bitpacked";
  if (!packed && output_type != "float32") {
    return Fail("expected float32 or bitpacked, got " + output_type);
  }

  // 512 codewords are all that there are.
  std::mt19937 random(1);
  const RandomLayer layer(g, codewords, packed ? OutputType::kBitpacked : OutputType::kFloat32,
                          &random);
  std::vector<char> output(layer.OutputBytes()), expected(layer.OutputBytes());

  std::string error;
  const auto bconv = MakeBconv2d(g, layer.filter, layer.transform, options, &error);
  if (bconv == nullptr) return Fail(error);
  Workspace workspace;
  ThreadPool threads(1);
  // The first run reserves memory.
  if (!bconv->Run(layer.input.data(), output.data(), &workspace, &threads))
    return Fail("no memory");
  KernelCostBegin();
  bconv->Run(layer.input.data(), output.data(), &workspace, &threads);
  KernelCostEnd();
  std::printf("%s\n", bconv->description().c_str());

  if (argc == 10) {
    options.kernel = KernelKind::kReference;
    const auto reference = MakeBconv2d(g, layer.filter, layer.transform, options, &error);
    if (reference == nullptr) return Fail(error);
    if (!reference->Run(layer.input.data(), expected.data(), &workspace, &threads)) {
      return Fail("no memory");
    }
    if (output != expected) {
      return Fail("the output differs from the reference kernel's");
    }
  }
  return 0;
}
