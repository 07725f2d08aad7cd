#include "zero_padding.h"

#include <utility>
#include <vector>

namespace sparsebnn {
namespace {

class ZeroPaddedBconv2d : public Bconv2d {
 public:
  ZeroPaddedBconv2d(std::unique_ptr<Bconv2d> inner, const Geometry& geometry,
                    const FilterReader& filter, int padded_channels, const float* multiplier)
      : inner_(std::move(inner)),
        g_(geometry),
        multiplier_(multiplier, multiplier + geometry.channels_out),
        tap_sums_(static_cast<size_t>(geometry.taps()) * geometry.channels_out) {
    std::vector<uint32_t> words(static_cast<size_t>(g_.taps()) * g_.group_words());
    for (int o = 0; o < g_.channels_out; ++o) {
      filter.ReadChannel(o, words.data());
      for (int tap = 0; tap < g_.taps(); ++tap) {
        int negative = 0;
        for (int w = 0; w < g_.group_words(); ++w) {
          negative +=
              __builtin_popcount(words[static_cast<size_t>(tap) * g_.group_words() + w]);
        }
        tap_sums_[static_cast<size_t>(tap) * g_.channels_out + o] =
            padded_channels - 2 * negative;
      }
    }
  }

  bool RunTo(const Bconv2dOutput& output, const uint32_t* input, Workspace* workspace,
             ThreadPool* threads) const override {
    if (!inner_->RunTo(output, input, workspace, threads)) return false;
    const size_t channels = static_cast<size_t>(g_.channels_out);
    const uint64_t threads_count = static_cast<uint64_t>(threads->threads());
    if (!workspace->Reserve(threads_count * channels * sizeof(int32_t))) return false;
    threads->ParallelFor(g_.batch * g_.output_height, [&](int row, int thread) {
      const int y = row % g_.output_height;
      float* pixel = static_cast<float*>(output.data) +
                     static_cast<size_t>(row) * g_.output_width * g_.channels_out;
      int32_t* const sums = reinterpret_cast<int32_t*>(workspace->data()) +
                            static_cast<size_t>(thread) * channels;
      for (int x = 0; x < g_.output_width; ++x, pixel += g_.channels_out) {
        if (!SumOutsideTaps(y, x, sums)) continue;
        for (int o = 0; o < g_.channels_out; ++o) {
          pixel[o] += (-1.0f * multiplier_[o]) * static_cast<float>(sums[o]);
        }
      }
    });
    return true;
  }

  const char* kernel() const override { return inner_->kernel(); }
  std::string description() const override { return inner_->description() + ", zero padding"; }

 private:
  // False if no tap of this output lies outside.
  bool SumOutsideTaps(int y, int x, int32_t* sums) const {
    bool any = false;
    for (int ky = 0; ky < g_.filter_height; ++ky) {
      const int in_y = y * g_.stride_height + ky * g_.dilation_height - g_.padding_top;
      const bool row_outside = in_y < 0 || in_y >= g_.input_height;
      for (int kx = 0; kx < g_.filter_width; ++kx) {
        const int in_x = x * g_.stride_width + kx * g_.dilation_width - g_.padding_left;
        if (!row_outside && in_x >= 0 && in_x < g_.input_width) continue;
        const int32_t* tap =
            tap_sums_.data() + static_cast<size_t>(ky * g_.filter_width + kx) * g_.channels_out;
        for (int o = 0; o < g_.channels_out; ++o) sums[o] = any ? sums[o] + tap[o] : tap[o];
        any = true;
      }
    }
    return any;
  }

  const std::unique_ptr<Bconv2d> inner_;
  const Geometry g_;
  const std::vector<float> multiplier_;
  std::vector<int32_t> tap_sums_;  // [taps, channels_out]
};

}  // namespace

std::unique_ptr<Bconv2d> AddZeroPadding(std::unique_ptr<Bconv2d> inner,
                                        const Geometry& geometry, const FilterReader& filter,
                                        int padded_channels, const float* multiplier,
                                        std::string* error) {
  if (geometry.groups != 1 || multiplier == nullptr) {
    *error = "Expected one group and the op's multipliers for zero padding added to floats";
    return nullptr;
  }
  return std::make_unique<ZeroPaddedBconv2d>(std::move(inner), geometry, filter,
                                             padded_channels, multiplier);
}

}  // namespace sparsebnn
