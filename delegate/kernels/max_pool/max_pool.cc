#include "max_pool.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace sparsebnn {
namespace {

void PoolRow(const PoolGeometry& g, const uint32_t* image, int y, uint32_t* output) {
  const size_t words = static_cast<size_t>(g.values);
  const int first_y = std::max(0, y * g.stride_height - g.padding_top);
  const int end_y =
      std::min(g.input_height, y * g.stride_height - g.padding_top + g.filter_height);
  for (int x = 0; x < g.output_width; ++x, output += words) {
    const int first_x = std::max(0, x * g.stride_width - g.padding_left);
    const int end_x =
        std::min(g.input_width, x * g.stride_width - g.padding_left + g.filter_width);
    std::memset(output, 0xff, words * sizeof(uint32_t));
    for (int in_y = first_y; in_y < end_y; ++in_y) {
      for (int in_x = first_x; in_x < end_x; ++in_x) {
        const uint32_t* pixel =
            image + (static_cast<size_t>(in_y) * g.input_width + in_x) * words;
        for (size_t w = 0; w < words; ++w) output[w] &= pixel[w];
      }
    }
  }
}

}  // namespace

void MaxPool(const PoolGeometry& g, const uint32_t* input, uint32_t* output,
             ThreadPool* threads) {
  const size_t image = static_cast<size_t>(g.input_height) * g.input_width * g.values;
  const size_t row = static_cast<size_t>(g.output_width) * g.values;
  const auto pool = [&](int i, int) {
    PoolRow(g, input + static_cast<size_t>(i / g.output_height) * image, i % g.output_height,
            output + static_cast<size_t>(i) * row);
  };
  const int rows = g.batch * g.output_height;
  // A few kilobytes are pooled before another thread has woken up.
  if (static_cast<size_t>(rows) * row < 4096) {
    for (int i = 0; i < rows; ++i) pool(i, 0);
  } else {
    threads->ParallelFor(rows, pool);
  }
}

}  // namespace sparsebnn
