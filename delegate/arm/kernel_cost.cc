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
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/bconv2d/bconv2d.h"

// The emulator starts to count at one and stops at the other.
extern "C" __attribute__((noinline, used)) void KernelCostBegin() {
  asm volatile("" ::: "memory");
}
extern "C" __attribute__((noinline, used)) void KernelCostEnd() {
  asm volatile("" ::: "memory");
}

namespace {

using namespace sparsebnn;

uint64_t random_state = 1;

uint32_t Random() {
  random_state = random_state * 6364136223846793005u + 1442695040888963407u;
  return static_cast<uint32_t>(random_state >> 32);
}

// Every 3x3 kernel is one of `codewords` different ones, drawn at random.
class CodebookFilter : public FilterReader {
 public:
  CodebookFilter(int channels_in, int channels_out, int codewords)
      : channels_in_(channels_in), kernels_(static_cast<size_t>(channels_in) * channels_out) {
    std::vector<uint16_t> ids(512);
    for (int i = 0; i < 512; ++i) ids[i] = static_cast<uint16_t>(i);
    for (int i = 0; i < codewords; ++i) std::swap(ids[i], ids[i + Random() % (512 - i)]);
    for (uint16_t& kernel : kernels_) kernel = ids[Random() % codewords];
  }

  void ReadChannel(int o, uint32_t* words) const override {
    const int tap_words = WordsFor(channels_in_);
    std::memset(words, 0, 9 * tap_words * sizeof(uint32_t));
    for (int c = 0; c < channels_in_; ++c) {
      const uint32_t kernel = kernels_[static_cast<size_t>(o) * channels_in_ + c];
      for (int tap = 0; tap < 9; ++tap) {
        words[tap * tap_words + c / 32] |= (kernel >> tap & 1) << (c % 32);
      }
    }
  }

 private:
  const int channels_in_;
  std::vector<uint16_t> kernels_;
};

OutputTransform Transform(const Geometry& geometry, OutputType type) {
  OutputTransform transform;
  transform.type = type;
  transform.clamp_min = -(1 << 30);
  transform.clamp_max = 1 << 30;
  for (int o = 0; o < geometry.channels_out; ++o) {
    if (type == OutputType::kBitpacked) {
      const int spread = geometry.depth() / 8;
      transform.thresholds.push_back(geometry.depth() / 2 - spread / 2 +
                                     static_cast<int>(Random() % spread));
    } else {
      transform.multiplier.push_back(-0.5f + static_cast<float>(Random() % 1000) / 1000);
      transform.bias.push_back(static_cast<float>(Random() % 1000) / 100);
    }
  }
  return transform;
}

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

  const CodebookFilter filter(g.channels_in, g.channels_out, codewords);
  const OutputTransform transform =
      Transform(g, packed ? OutputType::kBitpacked : OutputType::kFloat32);
  std::vector<uint32_t> input(static_cast<size_t>(g.input_height) * g.input_width *
                              g.input_words());
  for (uint32_t& word : input) word = Random();
  if (g.channels_in % 32 != 0) {
    for (size_t i = g.input_words() - 1; i < input.size(); i += g.input_words()) {
      input[i] &= (1u << (g.channels_in % 32)) - 1;
    }
  }
  const size_t words = static_cast<size_t>(g.output_height) * g.output_width *
                       (packed ? g.output_words() : g.channels_out);
  std::vector<uint32_t> output(words), expected(words);

  std::string error;
  const auto bconv = MakeBconv2d(g, filter, transform, options, &error);
  if (bconv == nullptr) return Fail(error);
  Workspace workspace;
  ThreadPool threads(1);
  // The first run reserves memory.
  if (!bconv->Run(input.data(), output.data(), &workspace, &threads)) return Fail("no memory");
  KernelCostBegin();
  bconv->Run(input.data(), output.data(), &workspace, &threads);
  KernelCostEnd();
  std::printf("%s\n", bconv->description().c_str());

  if (argc == 10) {
    options.kernel = KernelKind::kReference;
    const auto reference = MakeBconv2d(g, filter, transform, options, &error);
    if (reference == nullptr) return Fail(error);
    if (!reference->Run(input.data(), expected.data(), &workspace, &threads)) {
      return Fail("no memory");
    }
    if (std::memcmp(output.data(), expected.data(), words * sizeof(uint32_t)) != 0) {
      return Fail("the output differs from the reference kernel's");
    }
  }
  return 0;
}
