// Convolutions of 1x1 behind average pools with random operands, and the obvious implementation.
#ifndef SPARSEBNN_TESTING_POINTWISE_LAYER_H_
#define SPARSEBNN_TESTING_POINTWISE_LAYER_H_

#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "kernels/max_pool/max_pool.h"
#include "testing/random_layer.h"

namespace sparsebnn {

struct PointwiseLayer {
  PoolGeometry g;  // 2x2
  int channels_out;
  std::vector<float> map, filter, bias;
  float minimum = -INFINITY, maximum = INFINITY;

  explicit PointwiseLayer(std::mt19937* random) {
    g.batch = Draw(random, 1, 3);
    g.values = Draw(random, 1, Draw(random, 0, 1) ? 20 : 150);
    g.filter_height = g.filter_width = 2;
    g.stride_height = Draw(random, 1, 3), g.stride_width = Draw(random, 1, 3);
    // With windows that leave the map, and without.
    const bool same = Draw(random, 0, 1);
    const auto draw = [&](int stride, int* input, int* output) {
      *input = Draw(random, 2, 24);
      *output = ((same ? *input : *input - 1) + stride - 1) / stride;
    };
    draw(g.stride_height, &g.input_height, &g.output_height);
    draw(g.stride_width, &g.input_width, &g.output_width);
    channels_out = Draw(random, 1, 100);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>* values, int count) {
      for (int i = 0; i < count; ++i) values->push_back(normal(*random));
    };
    fill(&map, g.batch * g.input_height * g.input_width * g.values);
    fill(&filter, channels_out * g.values);
    fill(&bias, channels_out);
    // What arithmetic stumbles over; here and there, so that not all is NaN.
    constexpr float kWild[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3e38f};
    for (std::vector<float>* values : {&map, &filter, &bias}) {
      if (Draw(random, 0, 3) == 0) {
        (*values)[(*random)() % values->size()] = kWild[Draw(random, 0, 5)];
      }
    }
    if (Draw(random, 0, 1)) minimum = Draw(random, 0, 1) ? 0.0f : -1.0f;
    if (Draw(random, 0, 1)) maximum = Draw(random, 0, 1) ? 1.0f : 6.0f;
  }

  std::vector<float> Averages() const {
    std::vector<float> averages;
    for (int i = 0; i < g.batch * g.output_height * g.output_width * g.values; ++i) {
      const int c = i % g.values, x = i / g.values % g.output_width * g.stride_width;
      const int row = i / g.values / g.output_width;  // through the batch
      const int y = row % g.output_height * g.stride_height;
      int taps = 0;
      const auto tap = [&](int below, int right) {
        if (y + below >= g.input_height || x + right >= g.input_width) return 0.0f;
        ++taps;
        const int pixel =
            (row / g.output_height * g.input_height + y + below) * g.input_width + x + right;
        return map[static_cast<size_t>(pixel * g.values + c)];
      };
      const float left = tap(0, 0) + tap(1, 0), right = tap(0, 1) + tap(1, 1);
      averages.push_back((left + right + 0.0f) / static_cast<float>(taps));
    }
    return averages;
  }

  // Of any pixels.
  std::vector<float> Expected(const std::vector<float>& input) const {
    std::vector<float> outputs;
    for (size_t pixel = 0; pixel < input.size() / static_cast<size_t>(g.values); ++pixel) {
      for (int o = 0; o < channels_out; ++o) {
        float acc = bias[static_cast<size_t>(o)];
        for (int c = 0; c < g.values; ++c) {
          acc = std::fma(input[pixel * static_cast<size_t>(g.values) + static_cast<size_t>(c)],
                         filter[static_cast<size_t>(o * g.values + c)], acc);
        }
        if (acc < minimum) acc = minimum;
        outputs.push_back(acc > maximum ? maximum : acc);
      }
    }
    return outputs;
  }

  std::string Describe() const {
    char text[160];
    std::snprintf(text, sizeof text, "%d of %dx%dx%d, stride %dx%d, to %dx%dx%d", g.batch,
                  g.input_height, g.input_width, g.values, g.stride_height, g.stride_width,
                  g.output_height, g.output_width, channels_out);
    return text;
  }
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_POINTWISE_LAYER_H_
