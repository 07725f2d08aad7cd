// Stems with random operands, and the obvious implementation.
#ifndef SPARSEBNN_TESTING_STEM_LAYER_H_
#define SPARSEBNN_TESTING_STEM_LAYER_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/stem/stem.h"
#include "testing/random_layer.h"

namespace sparsebnn {

inline StemGeometry DrawStemGeometry(std::mt19937* random) {
  Geometry drawn;
  bool same;
  do {
    drawn = DrawGeometry(70, &same, random);
  } while (drawn.dilation_height > 1 || drawn.dilation_width > 1);
  StemGeometry g;
  g.batch = drawn.batch;
  g.input_height = drawn.input_height, g.input_width = drawn.input_width;
  g.channels_in = Draw(random, 1, 4);
  g.output_height = drawn.output_height, g.output_width = drawn.output_width;
  g.channels_out = drawn.channels_out;
  g.filter_height = drawn.filter_height, g.filter_width = drawn.filter_width;
  g.stride_height = drawn.stride_height, g.stride_width = drawn.stride_width;
  g.padding_top = drawn.padding_top, g.padding_left = drawn.padding_left;
  return g;
}

inline std::string Describe(const StemGeometry& g) {
  char text[160];
  std::snprintf(text, sizeof text, "%dx%dx%d to %d, %d groups, filter %dx%d, stride %dx%d",
                g.input_height, g.input_width, g.channels_in, g.channels_out, g.groups,
                g.filter_height, g.filter_width, g.stride_height, g.stride_width);
  return text;
}

// Calls tap(place in the filter, place in the image) for what output y, x, of image b and a group of
// channels sums up; the latter is -1 outside of the image.
template <typename Tap>
void ForEachTap(const StemGeometry& g, int b, int y, int x, int group, const Tap& tap) {
  const int channels = g.channels_in / g.groups;
  for (int ky = 0; ky < g.filter_height; ++ky) {
    for (int kx = 0; kx < g.filter_width; ++kx) {
      for (int c = 0; c < channels; ++c) {
        const int row = y * g.stride_height + ky - g.padding_top;
        const int column = x * g.stride_width + kx - g.padding_left;
        const bool inside =
            row >= 0 && row < g.input_height && column >= 0 && column < g.input_width;
        const int pixel = (b * g.input_height + row) * g.input_width + column;
        tap(ky * g.run() + kx * channels + c,
            inside ? pixel * g.channels_in + group * channels + c : -1);
      }
    }
  }
}

// output(b, y, x, o) of all, in memory's order.
template <typename Output>
std::vector<float> StemOutputs(const StemGeometry& g, const Output& output) {
  std::vector<float> outputs;
  for (int b = 0; b < g.batch; ++b) {
    for (int y = 0; y < g.output_height; ++y) {
      for (int x = 0; x < g.output_width; ++x) {
        for (int o = 0; o < g.channels_out; ++o) outputs.push_back(output(b, y, x, o));
      }
    }
  }
  return outputs;
}

// Of few channels, or depthwise.
inline StemGeometry DrawFloatGeometry(std::mt19937* random) {
  StemGeometry g = DrawStemGeometry(random);
  if (Draw(random, 0, 3) != 0) return g;
  g.groups = g.channels_in = Draw(random, 2, 9);
  g.channels_out = g.groups * Draw(random, 1, 40);
  return g;
}

struct StemLayer {
  StemGeometry g;
  std::vector<float> input, filter, bias;
  float minimum = -INFINITY, maximum = INFINITY;

  explicit StemLayer(std::mt19937* random) : g(DrawFloatGeometry(random)) {
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>* values, int count) {
      for (int i = 0; i < count; ++i) values->push_back(normal(*random));
    };
    fill(&input, g.batch * g.input_height * g.input_width * g.channels_in);
    fill(&filter, g.channels_out * g.filter_height * g.run());
    fill(&bias, g.channels_out);
    // What arithmetic stumbles over; here and there, so that not all is NaN.
    constexpr float kWild[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3e38f};
    for (std::vector<float>* values : {&input, &filter, &bias}) {
      if (Draw(random, 0, 3) == 0) {
        (*values)[(*random)() % values->size()] = kWild[Draw(random, 0, 5)];
      }
    }
    if (Draw(random, 0, 1)) minimum = Draw(random, 0, 1) ? 0.0f : -1.0f;
    if (Draw(random, 0, 1)) maximum = Draw(random, 0, 1) ? 1.0f : 6.0f;
  }

  std::vector<float> Expected() const {
    return StemOutputs(g, [&](int b, int y, int x, int o) {
      const int depth = g.filter_height * g.run();
      float acc = bias[o];
      ForEachTap(g, b, y, x, o / (g.channels_out / g.groups), [&](int k, int place) {
        acc = std::fma(place >= 0 ? input[place] : 0.0f, filter[o * depth + k], acc);
      });
      if (acc < minimum) acc = minimum;
      return acc > maximum ? maximum : acc;
    });
  }
};

// Whether both are the same, but for the sign of a zero and what a NaN holds.
inline bool SameFloats(const float* a, const float* b, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  }
  return true;
}

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_STEM_LAYER_H_
