#include "raster.h"

#include <algorithm>

namespace sparsebnn {

Raster::Raster(const Geometry& g, int block_bits) {
  const int last_row = (g.filter_height - 1) * g.dilation_height / g.stride_height;
  const int last_column = (g.filter_width - 1) * g.dilation_width / g.stride_width;
  rows = g.output_height + last_row;
  pitch = g.output_width + last_column;
  if (g.stride_width == 1) {
    const int right = pitch - g.padding_left - g.input_width;
    pitch -= std::max(0, std::min(right, g.padding_left));
  }
  places = (g.output_height - 1) * pitch + g.output_width;
  blocks = (places + block_bits - 1) / block_bits;
  words = (rows * pitch + 31) / 32;
  for (int ky = 0; ky < g.filter_height; ++ky) {
    for (int kx = 0; kx < g.filter_width; ++kx) {
      const int row = ky * g.dilation_height, column = kx * g.dilation_width;
      const Phase phase = {row % g.stride_height, column % g.stride_width};
      TapSource tap;
      while (tap.phase < static_cast<int>(phases.size()) &&
             (phases[tap.phase].row != phase.row || phases[tap.phase].column != phase.column)) {
        ++tap.phase;
      }
      if (tap.phase == static_cast<int>(phases.size())) phases.push_back(phase);
      tap.shift = row / g.stride_height * pitch + column / g.stride_width;
      taps.push_back(tap);
    }
  }
  const int last_bit = blocks * block_bits + last_row * pitch + last_column;
  plane_bytes = (std::max(last_bit / 8 + 16, words * 4) + 63) / 64 * 64;
}

void Raster::ListPixels(const Geometry& g, const Phase& phase, int first, int count,
                        int* pixels) const {
  int row = first / pitch, column = first % pitch;
  for (int i = 0; i < count; ++i) {
    const int y = row * g.stride_height + phase.row - g.padding_top;
    const int x = column * g.stride_width + phase.column - g.padding_left;
    const bool inside = row < rows && y >= 0 && y < g.input_height && x >= 0 && x < g.input_width;
    pixels[i] = inside ? y * g.input_width + x : -1;
    if (++column == pitch) {
      column = 0;
      ++row;
    }
  }
}

}  // namespace sparsebnn
