// Binary convolutions with random operands: the only maker of them, for tests, fuzzers and
// benchmarks.
#ifndef SPARSEBNN_TESTING_RANDOM_LAYER_H_
#define SPARSEBNN_TESTING_RANDOM_LAYER_H_

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/bconv2d/bconv2d.h"

namespace sparsebnn {

inline int Draw(std::mt19937* random, int first, int last) {
  return first + static_cast<int>((*random)() % (last - first + 1));
}

// A filter in both ways of storing one. Only filter size, groups and channels of the geometry
// matter.
struct RandomFilter : FilterReader {
  std::vector<uint32_t> words;     // [channels_out, taps, group_words]
  std::vector<uint64_t> codebook;  // bit t of a codeword belongs to tap t
  std::vector<uint16_t> indices;   // [channels_out, channels_in_per_group], into the codebook

  // Kernels out of a codebook of `codewords` different ones, or of all 2^taps; of random bits,
  // without a codebook, if that is 0.
  RandomFilter(const Geometry& g, int codewords, std::mt19937* random)
      : words_per_channel_(static_cast<size_t>(g.taps()) * g.group_words()) {
    DrawCodebook(g.taps(), codewords, random);
    words.resize(g.channels_out * words_per_channel_);
    for (int o = 0; o < g.channels_out; ++o) {
      for (int c = 0; c < g.channels_in_per_group(); ++c) {
        uint64_t kernel;
        if (codewords > 0) {
          indices.push_back(static_cast<uint16_t>((*random)() % codebook.size()));
          kernel = codebook[indices.back()];
        } else {
          kernel = RandomBits(g.taps(), random);
        }
        for (int t = 0; t < g.taps(); ++t) {
          words[o * words_per_channel_ + t * g.group_words() + c / 32] |=
              static_cast<uint32_t>(kernel >> t & 1) << (c % 32);
        }
      }
    }
  }

  void ReadChannel(int o, uint32_t* out) const override {
    std::memcpy(out, &words[o * words_per_channel_], words_per_channel_ * sizeof(uint32_t));
  }

  // The indices as SparsebnnBconv2d stores them: `bits` each, the lowest bit first.
  std::vector<uint8_t> PackedIndices(int bits) const {
    std::vector<uint8_t> bytes((indices.size() * bits + 7) / 8);
    for (size_t i = 0; i < indices.size() * bits; ++i) {
      bytes[i / 8] |= (indices[i / bits] >> i % bits & 1) << i % 8;
    }
    return bytes;
  }

 private:
  void DrawCodebook(int taps, int codewords, std::mt19937* random) {
    if (taps > 12) {  // too many to list, and too many to draw one twice
      for (int i = 0; i < codewords; ++i) codebook.push_back(RandomBits(taps, random));
      return;
    }
    codebook.resize(size_t{1} << taps);
    for (size_t i = 0; i < codebook.size(); ++i) codebook[i] = i;
    const size_t count = std::min(static_cast<size_t>(codewords), codebook.size());
    for (size_t i = 0; i < count; ++i) {
      std::swap(codebook[i], codebook[i + (*random)() % (codebook.size() - i)]);
    }
    codebook.resize(count);
  }

  static uint64_t RandomBits(int count, std::mt19937* random) {
    const uint64_t low = (*random)(), high = (*random)();
    return (high << 32 | low) >> (64 - count);
  }

  size_t words_per_channel_;
};

struct RandomLayer {
  Geometry geometry;
  RandomFilter filter;
  OutputTransform transform;
  std::vector<uint32_t> input;

  // The geometry's padding and output size must have been set.
  RandomLayer(const Geometry& g, int codewords, OutputType output, std::mt19937* random)
      : geometry(g), filter(g, codewords, random) {
    input.resize(static_cast<size_t>(g.batch) * g.input_height * g.input_width *
                 g.input_words());
    for (size_t i = 0; i < input.size(); ++i) {
      input[i] = (*random)();
      const bool last = i % g.input_words() == static_cast<size_t>(g.input_words()) - 1;
      if (last && g.channels_in % 32 != 0) input[i] &= (1u << g.channels_in % 32) - 1;
    }
    transform.type = output;
    transform.clamp_min = 0;
    transform.clamp_max = 2 * g.depth();
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::normal_distribution<float> normal(0, 1);
    for (int o = 0; o < g.channels_out; ++o) {
      if (output == OutputType::kBitpacked) {
        // Of outputs near the middle, and now and then one that all or none exceed.
        const int spread = static_cast<int>(normal(*random) * std::sqrt(g.depth()) / 2);
        const unsigned kind = (*random)() % 16;
        transform.thresholds.push_back(kind == 0   ? -1
                                       : kind == 1 ? g.depth()
                                       : kind == 2 ? INT32_MAX
                                                   : g.depth() / 2 + spread);
      } else {
        transform.multiplier.push_back(uniform(*random) * 100 / g.depth());
        transform.bias.push_back(uniform(*random) * 50);
      }
    }
  }

  size_t OutputBytes() const {
    const size_t pixels =
        static_cast<size_t>(geometry.batch) * geometry.output_height * geometry.output_width;
    switch (transform.type) {
      case OutputType::kFloat32:
        return pixels * geometry.channels_out * sizeof(float);
      case OutputType::kInt8:
        return pixels * geometry.channels_out;
      default:
        return pixels * geometry.output_words() * sizeof(uint32_t);
    }
  }

  std::string Describe() const {
    constexpr const char* kOutputs[] = {"float", "int8", "bit-packed"};
    const Geometry& g = geometry;
    char text[256];
    std::snprintf(text, sizeof text,
                  "%dx%dx%dx%d, filter %dx%d to %d, stride %dx%d, dilation %dx%d, "
                  "padding %d %d, groups %d, codewords %zu, %s",
                  g.batch, g.input_height, g.input_width, g.channels_in, g.filter_height,
                  g.filter_width, g.channels_out, g.stride_height, g.stride_width,
                  g.dilation_height, g.dilation_width, g.padding_top, g.padding_left, g.groups,
                  filter.codebook.size(), kOutputs[static_cast<int>(transform.type)]);
    return text;
  }
};

// Padding as TensorFlow's SAME, or VALID.
inline void SetOutputSize(Geometry* g, bool same) {
  const auto set = [same](int input, int filter, int stride, int dilation, int* output,
                          int* padding) {
    const int extent = (filter - 1) * dilation + 1;
    *output = same ? (input + stride - 1) / stride : (input - extent) / stride + 1;
    *padding = same ? std::max(0, (*output - 1) * stride + extent - input) / 2 : 0;
  };
  set(g->input_height, g->filter_height, g->stride_height, g->dilation_height,
      &g->output_height, &g->padding_top);
  set(g->input_width, g->filter_width, g->stride_width, g->dilation_width, &g->output_width,
      &g->padding_left);
}

// Of small images, with up to `max_channels_out` outputs; `same` is whether it has SAME padding.
inline Geometry DrawGeometry(int max_channels_out, bool* same, std::mt19937* random) {
  Geometry g;
  while (true) {
    g.batch = Draw(random, 1, 2);
    g.input_height = Draw(random, 1, 20);
    g.input_width = Draw(random, 1, 40);
    g.filter_height = Draw(random, 0, 3) ? 3 : Draw(random, 1, 7);
    g.filter_width = Draw(random, 0, 3) ? g.filter_height : Draw(random, 1, 7);
    g.stride_height = Draw(random, 0, 1) ? 1 : Draw(random, 1, 3);
    g.stride_width = Draw(random, 0, 1) ? g.stride_height : Draw(random, 1, 3);
    g.dilation_height = Draw(random, 0, 2) ? 1 : Draw(random, 1, 3);
    g.dilation_width = Draw(random, 0, 2) ? 1 : Draw(random, 1, 3);
    g.groups = Draw(random, 0, 3) ? 1 : Draw(random, 1, 3);
    g.channels_in = g.groups > 1 ? 32 * g.groups * Draw(random, 1, 2) : Draw(random, 1, 200);
    g.channels_out = g.groups * Draw(random, 1, max_channels_out / g.groups);
    *same = Draw(random, 0, 1);
    const auto fits = [](int input, int filter, int dilation) {
      return (filter - 1) * dilation + 1 <= input;
    };
    if (!*same && !(fits(g.input_height, g.filter_height, g.dilation_height) &&
                    fits(g.input_width, g.filter_width, g.dilation_width))) {
      continue;
    }
    SetOutputSize(&g, *same);
    return g;
  }
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_RANDOM_LAYER_H_
