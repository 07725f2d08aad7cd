// Int8 stems with random operands, and the obvious implementation.
#ifndef SPARSEBNN_TESTING_INT8_STEM_LAYER_H_
#define SPARSEBNN_TESTING_INT8_STEM_LAYER_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "kernels/stem/int8_stem.h"
#include "testing/stem_layer.h"

namespace sparsebnn {

// Nearest, to even; between two bounds.
inline int RoundedBetween(float value, int minimum, int maximum) {
  if (!(value > static_cast<float>(minimum))) return minimum;
  return value < static_cast<float>(maximum) ? static_cast<int>(std::nearbyint(value))
                                             : maximum;
}

// Of few channels, or 1x1 and of many.
inline StemGeometry DrawInt8Geometry(std::mt19937* random) {
  StemGeometry g = DrawStemGeometry(random);
  if (Draw(random, 0, 3) != 0) return g;
  g.channels_in = Draw(random, 5, 300);
  g.output_height = g.input_height, g.output_width = g.input_width;
  g.filter_height = g.filter_width = g.stride_height = g.stride_width = 1;
  g.padding_top = g.padding_left = 0;
  return g;
}

struct Int8StemLayer {
  StemGeometry g;
  std::vector<float> input, multipliers;
  std::vector<int8_t> filter;
  std::vector<int32_t> bias;
  Int8Range image, output;
  int minimum = -128, maximum = 127;

  Int8StemLayer() = default;

  explicit Int8StemLayer(std::mt19937* random) : g(DrawInt8Geometry(random)) {
    const auto zero_point = [&] {
      constexpr int kEnds[] = {-128, 127, 0};
      const int kind = Draw(random, 0, 5);
      return kind < 3 ? kEnds[kind] : Draw(random, -128, 127);
    };
    image = {std::ldexp(1.0f + static_cast<float>(Draw(random, 0, 99)) / 100, -6),
             zero_point()};
    output = {std::ldexp(1.0f + static_cast<float>(Draw(random, 0, 99)) / 100, -3),
              zero_point()};
    // Beyond what the image's range holds, and halves of steps.
    for (int i = 0; i < g.batch * g.input_height * g.input_width * g.channels_in; ++i) {
      input.push_back(image.scale * static_cast<float>(Draw(random, -600, 600)) / 2);
    }
    if (Draw(random, 0, 3) == 0) input[(*random)() % input.size()] = INFINITY;
    const bool largest = Draw(random, 0, 3) == 0;
    for (int i = 0; i < g.channels_out * g.filter_height * g.run(); ++i) {
      filter.push_back(static_cast<int8_t>(largest ? Draw(random, 0, 1) ? -127 : 127
                                                   : Draw(random, -127, 127)));
    }
    for (int o = 0; o < g.channels_out; ++o) {
      bias.push_back(Draw(random, 0, 9) ? Draw(random, -100000, 100000)
                                        : static_cast<int32_t>((*random)()));
      multipliers.push_back(std::ldexp(1.0f + static_cast<float>(Draw(random, 0, 99)) / 100,
                                       Draw(random, -12, -3)));
    }
    if (Draw(random, 0, 1)) minimum = output.zero_point;
    if (Draw(random, 0, 1)) maximum = std::min(127, minimum + Draw(random, 0, 300));
  }

  Int8StemParameters Parameters() const {
    return {filter.data(), bias.data(), multipliers.data(), image, output, minimum, maximum};
  }

  // The image in int8.
  int Sample(int place) const {
    if (place < 0) return image.zero_point;
    const float steps = input[static_cast<size_t>(place)] * (1.0f / image.scale);
    return RoundedBetween(steps, -128 - image.zero_point, 127 - image.zero_point) +
           image.zero_point;
  }

  std::vector<float> Expected() const {
    return StemOutputs(g, [&](int b, int y, int x, int o) {
      const int depth = g.filter_height * g.run();
      uint32_t sum = static_cast<uint32_t>(bias[static_cast<size_t>(o)]);
      ForEachTap(g, b, y, x, 0, [&](int k, int place) {
        sum += static_cast<uint32_t>(filter[static_cast<size_t>(o * depth + k)] *
                                     (Sample(place) - image.zero_point));
      });
      const float steps =
          static_cast<float>(static_cast<int32_t>(sum)) * multipliers[static_cast<size_t>(o)];
      return output.scale *
             static_cast<float>(RoundedBetween(steps, minimum - output.zero_point,
                                               maximum - output.zero_point));
    });
  }
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TESTING_INT8_STEM_LAYER_H_
