// The dense convolution without vectors.
#include "bconv2d_xnor_inl.h"

namespace sparsebnn {
namespace {

struct XnorScalar {
  using Count = uint32_t;
  static constexpr int kPixels = 2, kChannels = 8, kStepWords = 1;
  static constexpr bool kJoinsSteps = false, kHalvesLastStep = false;

  static void CountTile(const uint32_t* rows, size_t row_words, const uint32_t* filter,
                        int steps, int, Count (*counts)[kChannels]) {
    std::memset(counts, 0, kPixels * kChannels * sizeof(Count));
    for (int step = 0; step < steps; ++step, filter += kChannels) {
      for (int p = 0; p < kPixels; ++p) {
        for (int o = 0; o < kChannels; ++o) {
          counts[p][o] += __builtin_popcount(rows[p * row_words + step] ^ filter[o]);
        }
      }
    }
  }
};

}  // namespace

SPARSEBNN_DEFINE_XNOR(XnorScalar, 2, 8, scalar)

}  // namespace sparsebnn
