// The dense convolution: xor, count, add. The lanes of a vector are output channels, so that
// nothing is summed across lanes and the output is written as it lies.
//
//   for a tile of kPixels pixels and kVectors * kLanes output channels:
//     for each tap and input word:
//       count[pixel][o] += popcount(input word of the pixel ^ filter word of o)
//
// The filter is packed as [blocks of kVectors * kLanes channels][taps * words][channels]. A pixel
// reads its taps through pointers; those outside of the image point to zeros, that is to +1.
//
// V gives the vector: Register, kLanes 32-bit lanes, Load, Broadcast, and
//   Add(counts, a, b)   counts + popcount(a ^ b), in lanes that may be narrower than 32 bits and
//                       hold kMaxSteps such sums
//   Widen(counts)       as 32-bit lanes, that AddWide adds and StoreWide stores
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "bconv2d.h"
#include "output_transform.h"

namespace sparsebnn {
namespace {

template <class V>
class XnorBconv2d : public Bconv2d {
  using Register = typename V::Register;
  static constexpr int kPixels = V::kPixels;
  static constexpr int kVectors = V::kVectors;
  static constexpr int kChannels = kVectors * V::kLanes;

 public:
  XnorBconv2d(const Geometry& geometry, OutputTransform transform, const char* isa)
      : g_(geometry), transform_(std::move(transform)), isa_(isa) {
    const size_t padded = g_.channels_out + kChannels;
    if (transform_.type == OutputType::kBitpacked) {
      transform_.thresholds.resize(padded);
    } else {
      transform_.multiplier.resize(padded);
      transform_.bias.resize(padded);
    }
  }

  bool Pack(const FilterReader& filter) {
    const size_t steps = Steps();
    if (!packed_.Reserve(g_.groups * BlocksPerGroup() * steps * kChannels * sizeof(uint32_t)) ||
        !zeros_.Reserve(g_.group_words() * sizeof(uint32_t))) {
      return false;
    }
    std::memset(packed_.data(), 0, packed_.size());
    std::memset(zeros_.data(), 0, zeros_.size());
    std::vector<uint32_t> words(steps);
    for (int o = 0; o < g_.channels_out; ++o) {
      filter.ReadChannel(o, words.data());
      const int group = o / g_.channels_out_per_group(), in_group = o % g_.channels_out_per_group();
      uint32_t* block = reinterpret_cast<uint32_t*>(packed_.data()) +
                        (static_cast<size_t>(group) * BlocksPerGroup() + in_group / kChannels) *
                            steps * kChannels;
      for (size_t step = 0; step < steps; ++step) {
        block[step * kChannels + in_group % kChannels] = words[step];
      }
    }
    return true;
  }

  bool Run(const uint32_t* input, void* output, Workspace*, ThreadPool* threads) const override {
    if (transform_.type == OutputType::kBitpacked && g_.groups > 1) {
      // Groups may share words.
      std::memset(output, 0,
                  static_cast<size_t>(g_.batch) * g_.output_height * g_.output_width *
                      g_.output_words() * sizeof(uint32_t));
    }
    threads->ParallelFor(g_.batch * g_.output_height, [&](int row, int) {
      for (int group = 0; group < g_.groups; ++group) {
        for (int x = 0; x < g_.output_width; x += kPixels) {
          RunPixels(input, output, row, x, group);
        }
      }
    });
    return true;
  }

  const char* kernel() const override { return "xnor"; }
  std::string description() const override {
    return "xnor " + std::to_string(kPixels) + "x" + std::to_string(kChannels) + " " + isa_;
  }

 private:
  size_t Steps() const { return static_cast<size_t>(g_.taps()) * g_.group_words(); }
  int BlocksPerGroup() const {
    return (g_.channels_out_per_group() + kChannels - 1) / kChannels;
  }

  // The first word of a tap, for the group; of zeros if the tap is outside of the image.
  const uint32_t* Tap(const uint32_t* input, int row, int x, int ky, int kx, int group) const {
    const int b = row / g_.output_height, y = row % g_.output_height;
    const int in_y = y * g_.stride_height + ky * g_.dilation_height - g_.padding_top;
    const int in_x = x * g_.stride_width + kx * g_.dilation_width - g_.padding_left;
    if (in_y < 0 || in_y >= g_.input_height || in_x < 0 || in_x >= g_.input_width) {
      return reinterpret_cast<const uint32_t*>(zeros_.data());
    }
    return input +
           ((static_cast<size_t>(b) * g_.input_height + in_y) * g_.input_width + in_x) *
               g_.input_words() +
           group * g_.group_words();
  }

  void RunPixels(const uint32_t* input, void* output, int row, int x, int group) const {
    // Past the end of the row the last pixel is computed again.
    const int count = std::min(kPixels, g_.output_width - x);
    const int channels = g_.channels_out_per_group();
    for (int block = 0; block < BlocksPerGroup(); ++block) {
      alignas(64) uint32_t counts[kPixels][kChannels];
      CountBlock(input, row, x, count, group, block, counts);
      const int first = block * kChannels;
      for (int p = 0; p < count; ++p) {
        const size_t pixel = static_cast<size_t>(row) * g_.output_width + x + p;
        StorePixel(counts[p], pixel, group * channels + first,
                   std::min(kChannels, channels - first), output);
      }
    }
  }

  void CountBlock(const uint32_t* input, int row, int x, int count, int group, int block,
                  uint32_t (*counts)[kChannels]) const {
    const uint32_t* filter = reinterpret_cast<const uint32_t*>(packed_.data()) +
                             (static_cast<size_t>(group) * BlocksPerGroup() + block) * Steps() *
                                 kChannels;
    const int words = g_.group_words();
    Register narrow[kPixels][kVectors], wide[kPixels][kVectors];
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) narrow[p][v] = wide[p][v] = V::Zero();
    }
    int steps_left = V::kMaxSteps;
    for (int ky = 0; ky < g_.filter_height; ++ky) {
      for (int kx = 0; kx < g_.filter_width; ++kx) {
        const uint32_t* taps[kPixels];
        for (int p = 0; p < kPixels; ++p) {
          taps[p] = Tap(input, row, x + std::min(p, count - 1), ky, kx, group);
        }
        for (int w = 0; w < words;) {
          const int steps = std::min(words - w, steps_left);
          steps_left -= steps;
          for (const int end = w + steps; w < end; ++w, filter += kChannels) {
            Register weights[kVectors];
            for (int v = 0; v < kVectors; ++v) weights[v] = V::Load(filter + v * V::kLanes);
            for (int p = 0; p < kPixels; ++p) {
              const Register bits = V::Broadcast(taps[p] + w);
              for (int v = 0; v < kVectors; ++v) {
                narrow[p][v] = V::Add(narrow[p][v], bits, weights[v]);
              }
            }
          }
          if (steps_left > 0) continue;
          steps_left = V::kMaxSteps;
          for (int p = 0; p < kPixels; ++p) {
            for (int v = 0; v < kVectors; ++v) {
              wide[p][v] = V::AddWide(wide[p][v], V::Widen(narrow[p][v]));
              narrow[p][v] = V::Zero();
            }
          }
        }
      }
    }
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        V::StoreWide(&counts[p][v * V::kLanes], V::AddWide(wide[p][v], V::Widen(narrow[p][v])));
      }
    }
  }

  // These loops are over all kChannels, so that compilers make vectors of them.
  void StorePixel(const uint32_t* counts, size_t pixel, int o, int channels, void* output) const {
    if (transform_.type == OutputType::kBitpacked) {
      return StoreBits(counts, static_cast<uint32_t*>(output) + pixel * g_.output_words(), o,
                       channels);
    }
    float y[kChannels];
    for (int i = 0; i < kChannels; ++i) {
      int32_t x = 2 * static_cast<int32_t>(counts[i]);
      x = std::max(std::min(x, transform_.clamp_max), transform_.clamp_min);
      y[i] = static_cast<float>(x) * transform_.multiplier[o + i] + transform_.bias[o + i];
    }
    if (transform_.type == OutputType::kFloat32) {
      std::memcpy(static_cast<float*>(output) + pixel * g_.channels_out + o, y,
                  channels * sizeof(float));
    } else {
      int8_t* values = static_cast<int8_t*>(output) + pixel * g_.channels_out + o;
      for (int i = 0; i < channels; ++i) values[i] = RoundToInt8(y[i]);
    }
  }

  void StoreBits(const uint32_t* counts, uint32_t* words, int o, int channels) const {
    for (int i = 0; i < channels; i += 32) {
      uint32_t bits = 0;
      const int end = std::min(channels - i, 32);
      for (int k = 0; k < end; ++k) {
        bits |= static_cast<uint32_t>(static_cast<int32_t>(counts[i + k]) >
                                      transform_.thresholds[o + i + k])
                << k;
      }
      const int word = (o + i) / 32, shift = (o + i) % 32;
      if (shift == 0 && g_.groups == 1 && kChannels % 32 == 0) {
        words[word] = bits;
        continue;
      }
      // A block may fill only part of a word, or begin inside of one.
      const bool fresh = shift == 0 && g_.groups == 1;
      words[word] = fresh ? bits : words[word] | bits << shift;
      if (shift > 0 && shift + end > 32) words[word + 1] |= bits >> (32 - shift);
    }
  }

  const Geometry g_;
  OutputTransform transform_;
  const char* const isa_;
  AlignedBytes packed_;  // the filter
  AlignedBytes zeros_;   // the words of a tap outside of the image
};

template <class V>
std::unique_ptr<Bconv2d> MakeXnorBconv2d(const Geometry& geometry, const FilterReader& filter,
                                         OutputTransform transform, const char* isa,
                                         std::string* error) {
  auto bconv = std::make_unique<XnorBconv2d<V>>(geometry, std::move(transform), isa);
  if (!bconv->Pack(filter)) {
    *error = "Expected memory for the filter, got none";
    return nullptr;
  }
  return bconv;
}

}  // namespace
}  // namespace sparsebnn
