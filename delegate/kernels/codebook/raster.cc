#include "raster.h"

#include <algorithm>
#include <climits>

namespace sparsebnn {
namespace {

// Of a raster of an absurd filter, which no kernel takes.
int Bounded(int64_t value) { return static_cast<int>(std::min<int64_t>(value, INT_MAX)); }

}  // namespace

Raster::Raster(const Geometry& g, int block_bits) {
  const int last_row = (g.filter_height - 1) * g.dilation_height / g.stride_height;
  rows = g.output_height + last_row;
  pitch = g.output_width;
  for (int ky = 0; ky < g.filter_height; ++ky) {
    for (int kx = 0; kx < g.filter_width; ++kx) {
      const int row = ky * g.dilation_height, column = kx * g.dilation_width;
      Phase phase = {row % g.stride_height, column % g.stride_width};
      phase.padding =
          std::max(0, (g.padding_left - phase.column + g.stride_width - 1) / g.stride_width);
      TapSource tap;
      while (tap.phase < static_cast<int>(phases.size()) &&
             (phases[tap.phase].row != phase.row || phases[tap.phase].column != phase.column)) {
        ++tap.phase;
      }
      if (tap.phase == static_cast<int>(phases.size())) phases.push_back(phase);
      taps.push_back(tap);
      // The columns that are both in the image and read.
      const int in_image =
          (g.padding_left + g.input_width - phase.column + g.stride_width - 1) / g.stride_width;
      const int read = g.output_width + column / g.stride_width;
      pitch = std::max(pitch, std::min(in_image, read) - phase.padding);
      lead = std::max(lead, phase.padding - column / g.stride_width);
    }
  }
  for (int t = 0; t < g.taps(); ++t) {
    const int row = t / g.filter_width * g.dilation_height / g.stride_height;
    const int column = t % g.filter_width * g.dilation_width / g.stride_width;
    taps[t].shift =
        Bounded(lead + int64_t{row} * pitch + column - phases[taps[t].phase].padding);
    last_shift = std::max(last_shift, taps[t].shift);
  }

  const int64_t places = int64_t{g.output_height - 1} * pitch + g.output_width;
  const int rest = static_cast<int>(places % block_bits);
  blocks = Bounded(places / block_bits);
  // The cheapest of dense pixels, a half block with dense pixels, and a whole block, by
  // kDensePixelPlaces and x86's kHalfBlockCost, to the next eighth.
  const bool dense_rest = rest <= block_bits / 4 && blocks > 0;
  half_block = !dense_rest && rest <= block_bits * 5 / 8;
  if (!dense_rest && !half_block) ++blocks;
  const int64_t end = int64_t{blocks} * block_bits + (half_block ? block_bits / 2 : 0);
  pixels = end >= places ? g.output_height * g.output_width
                         : static_cast<int>(end / pitch * g.output_width +
                                            std::min<int64_t>(end % pitch, g.output_width));
  const int64_t filled = (lead + int64_t{rows} * pitch + 31) / 32;
  words = Bounded(filled);
  const int64_t last_bit = int64_t{blocks + half_block} * block_bits + last_shift;
  plane_bytes = Bounded((std::max(last_bit / 8 + 16, filled * 4) + 63) / 64 * 64);
}

std::vector<CodebookPlan> PlanCodebooks(const FilterReader& filter, const Geometry& geometry,
                                        const Raster& raster) {
  const int channels_out = geometry.channels_out_per_group();
  std::vector<CodebookPlan> plans;
  for (int group = 0; group < geometry.groups; ++group) {
    plans.push_back(PlanCodebook(filter, group * channels_out, channels_out,
                                 geometry.channels_in_per_group(),
                                 Raster::PlanesPerPhase(geometry), raster.plane_bytes,
                                 raster.taps, raster.half_block ? 2 : 1));
  }
  return plans;
}

void Raster::ListPixels(const Geometry& g, const Phase& phase, int first, int count,
                        int* pixels) const {
  int row = std::max(0, first - lead) / pitch, column = first - lead - row * pitch;
  for (int i = 0; i < count; ++i) {
    const int y = row * g.stride_height + phase.row - g.padding_top;
    const int x = (column + phase.padding) * g.stride_width + phase.column - g.padding_left;
    const bool inside =
        column >= 0 && row < rows && y >= 0 && y < g.input_height && x < g.input_width;
    pixels[i] = inside ? y * g.input_width + x : -1;
    if (++column == pitch) {
      column = 0;
      ++row;
    }
  }
}

std::vector<uint8_t> Raster::ColumnMasks(const Geometry& g, int block_bits) const {
  const int places = (blocks + half_block) * block_bits;
  std::vector<uint8_t> masks(MaskBytes(block_bits));
  for (int place = 0; place < places; ++place) {
    for (int t = 0; t < g.taps(); ++t) {
      const int x = place % pitch * g.stride_width + t % g.filter_width * g.dilation_width -
                    g.padding_left;
      if (x < 0 || x >= g.input_width) continue;
      const size_t block = static_cast<size_t>(place / block_bits) * taps.size() + t;
      masks[block * (block_bits / 8) + place % block_bits / 8] |= 1 << place % 8;
    }
  }
  return masks;
}

}  // namespace sparsebnn
