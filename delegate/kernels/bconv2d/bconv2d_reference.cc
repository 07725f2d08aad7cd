#include "bconv2d_reference.h"

#include <utility>

#include "output_transform.h"

namespace sparsebnn {
namespace {

class ReferenceBconv2d : public Bconv2d {
 public:
  ReferenceBconv2d(const Geometry& geometry, OutputTransform transform, int outside_popcount)
      : g_(geometry), transform_(std::move(transform)), outside_popcount_(outside_popcount) {}

  bool ReadFilter(const FilterReader& filter) {
    const size_t words = static_cast<size_t>(g_.taps()) * g_.group_words();
    if (!filter_.Reserve(static_cast<uint64_t>(g_.channels_out) * words * sizeof(uint32_t)))
      return false;
    for (int o = 0; o < g_.channels_out; ++o) filter.ReadChannel(o, channel(o));
    return true;
  }

  bool RunTo(const Bconv2dOutput& output, const uint32_t* input, Workspace*,
             ThreadPool* threads) const override {
    threads->ParallelFor(g_.batch * g_.output_height, [&](int row, int) {
      for (int x = 0; x < g_.output_width; ++x) {
        RunPixel(input, output.data, row / g_.output_height, row % g_.output_height, x);
      }
    });
    return true;
  }

  const char* kernel() const override { return "reference"; }
  std::string description() const override { return "reference"; }

 private:
  uint32_t* channel(int o) const {
    return reinterpret_cast<uint32_t*>(filter_.data()) +
           static_cast<size_t>(o) * g_.taps() * g_.group_words();
  }

  int32_t Popcount(const uint32_t* input, int b, int y, int x, int o) const {
    const int first_word = o / g_.channels_out_per_group() * g_.group_words();
    const uint32_t* filter = channel(o);
    int32_t popcount = 0;
    for (int ky = 0; ky < g_.filter_height; ++ky) {
      for (int kx = 0; kx < g_.filter_width; ++kx, filter += g_.group_words()) {
        const int in_y = y * g_.stride_height + ky * g_.dilation_height - g_.padding_top;
        const int in_x = x * g_.stride_width + kx * g_.dilation_width - g_.padding_left;
        const bool inside =
            in_y >= 0 && in_y < g_.input_height && in_x >= 0 && in_x < g_.input_width;
        if (!inside && outside_popcount_ != kReadsOnes) {
          popcount += outside_popcount_;
          continue;
        }
        const size_t pixel =
            (static_cast<size_t>(b) * g_.input_height + in_y) * g_.input_width + in_x;
        for (int w = 0; w < g_.group_words(); ++w) {
          const uint32_t bits = inside ? input[pixel * g_.input_words() + first_word + w] : 0;
          popcount += __builtin_popcount(bits ^ filter[w]);
        }
      }
    }
    return popcount;
  }

  void RunPixel(const uint32_t* input, void* output, int b, int y, int x) const {
    const size_t pixel = (static_cast<size_t>(b) * g_.output_height + y) * g_.output_width + x;
    uint32_t word = 0;
    for (int o = 0; o < g_.channels_out; ++o) {
      const int32_t popcount = Popcount(input, b, y, x, o);
      const size_t value = pixel * g_.channels_out + o;
      switch (transform_.type) {
        case OutputType::kFloat32:
          static_cast<float*>(output)[value] = TransformToFloat(popcount, transform_, o);
          break;
        case OutputType::kInt8:
          static_cast<int8_t*>(output)[value] = TransformToInt8(popcount, transform_, o);
          break;
        case OutputType::kBitpacked:
          word |= static_cast<uint32_t>(TransformToBit(popcount, transform_, o)) << (o % 32);
          if (o % 32 == 31 || o + 1 == g_.channels_out) {
            static_cast<uint32_t*>(output)[pixel * g_.output_words() + o / 32] = word;
            word = 0;
          }
      }
    }
  }

  const Geometry g_;
  const OutputTransform transform_;
  const int outside_popcount_;
  AlignedBytes filter_;
};

}  // namespace

std::unique_ptr<Bconv2d> MakeReferenceBconv2d(const Geometry& geometry,
                                              const FilterReader& filter,
                                              OutputTransform transform, int outside_popcount,
                                              std::string* error) {
  auto bconv =
      std::make_unique<ReferenceBconv2d>(geometry, std::move(transform), outside_popcount);
  if (!bconv->ReadFilter(filter)) {
    *error = "Expected memory for the filter, got none";
    return nullptr;
  }
  return bconv;
}

}  // namespace sparsebnn
