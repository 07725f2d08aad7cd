// Binary convolutions with random operands, for the tests and the benchmarks of kernels.
#ifndef SPARSEBNN_TESTING_RANDOM_LAYER_H_
#define SPARSEBNN_TESTING_RANDOM_LAYER_H_

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/bconv2d/bconv2d.h"

namespace sparsebnn {

struct RandomFilter : FilterReader {
  std::vector<uint32_t> words;
  size_t words_per_channel = 0;

  void ReadChannel(int o, uint32_t* out) const override {
    std::memcpy(out, &words[o * words_per_channel], words_per_channel * sizeof(uint32_t));
  }
};

struct RandomLayer {
  Geometry geometry;
  RandomFilter filter;
  OutputTransform transform;
  std::vector<uint32_t> input;

  // A filter of `codewords` kernels out of all 2^taps, or of random bits if that is 0. The
  // geometry's padding and output size must have been set.
  RandomLayer(const Geometry& g, int codewords, OutputType output, std::mt19937* random)
      : geometry(g) {
    filter.words_per_channel = static_cast<size_t>(g.taps()) * g.group_words();
    filter.words.resize(g.channels_out * filter.words_per_channel);
    std::vector<std::vector<bool>> codebook(codewords, std::vector<bool>(g.taps()));
    for (auto& codeword : codebook) Randomise(&codeword, random);
    std::vector<bool> kernel(g.taps());
    for (int o = 0; o < g.channels_out; ++o) {
      for (int c = 0; c < g.channels_in_per_group(); ++c) {
        if (codewords > 0) {
          kernel = codebook[(*random)() % codewords];
        } else {
          Randomise(&kernel, random);
        }
        for (int t = 0; t < g.taps(); ++t) {
          filter.words[o * filter.words_per_channel + t * g.group_words() + c / 32] |=
              static_cast<uint32_t>(kernel[t]) << (c % 32);
        }
      }
    }
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

 private:
  static void Randomise(std::vector<bool>* bits, std::mt19937* random) {
    for (size_t i = 0; i < bits->size(); ++i) (*bits)[i] = (*random)() & 1;
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

inline std::string Describe(const Geometry& g, int codewords, OutputType output) {
  constexpr const char* kOutputs[] = {"float", "int8", "bit-packed"};
  char text[256];
  std::snprintf(text, sizeof text,
                "%dx%dx%dx%d, filter %dx%d to %d, stride %dx%d, dilation %dx%d, padding %d %d, "
                "groups %d, codewords %d, %s",
                g.batch, g.input_height, g.input_width, g.channels_in, g.filter_height,
                g.filter_width, g.channels_out, g.stride_height, g.stride_width,
                g.dilation_height, g.dilation_width, g.padding_top, g.padding_left, g.groups,
                codewords, kOutputs[static_cast<int>(output)]);
  return text;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_RANDOM_LAYER_H_
