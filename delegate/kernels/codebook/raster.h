// The input as bit planes: one per channel, one bit per pixel, so that a vector holds many
// pixels.
//
// The pixels of a plane lie in rows of `pitch` bits, and the outputs are numbered alike: output
// (y, x) is at y * pitch + x. Under a tap it reads the plane at that place plus the tap's
// shift, so a tap of a whole block of outputs is one unaligned load. Places with x >=
// output_width are computed and thrown away; with padding that keeps the width there are none.
//
// There are rows of padding above and below, of bits 0 (+1), but no columns of it: beside a row
// lies another one. A mask for each tap of a block clears what it reads there.
//
// A stride s > 1 makes s * s planes of a channel, its phases: plane (ry, rx) has the padded
// input's pixels (s * y + ry, s * x + rx), so that a tap is a shift again.
//
// The last block may be hardly filled. Its few pixels are then left to the dense kernel, or it
// is a half block, of half as many places.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_RASTER_H_
#define SPARSEBNN_KERNELS_CODEBOOK_RASTER_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "codebook_plan.h"
#include "kernels/bconv2d/bconv2d.h"

namespace sparsebnn {

struct Phase {
  int row = 0, column = 0;  // of the first pixel in the padded input
  int padding = 0;          // columns left of the image, which are not stored
};

// What the end of a raster costs. A pixel that the dense kernel does costs as much as that many
// places of a block, and a half block this part of a whole one: more than half, because it sums
// two chunks at once but lists as many patterns, adds its halves in the end and packs half-filled
// registers. benchmarks/speed/fit_cost_model.py fits them together with the weights of
// kernel_list.inc. These two were set by hand before the script could fit them.
constexpr double kDensePixelPlaces = 2;
#if defined(__aarch64__)  // by the modelled cycles of layers of 7x7
constexpr double kHalfBlockCost = 0.85;
#else
constexpr double kHalfBlockCost = 0.65;
#endif

struct Raster {
  Raster(const Geometry& geometry, int block_bits);

  int pitch = 0;
  int rows = 0;             // of a plane
  int lead = 0;             // bits of a plane before its first row, for taps left of it
  int last_shift = 0;       // the greatest of a tap
  int blocks = 0;           // of block_bits places
  bool half_block = false;  // whether a half block follows them
  int pixels = 0;       // of the output that lie in blocks; the dense kernel does the others
  int words = 0;        // of 32 pixels, that a plane needs to be filled
  int plane_bytes = 0;  // with what the last block reads beyond; INT_MAX if that is too large
  std::vector<Phase> phases;
  std::vector<TapSource> taps;

  // The planes of a phase: those of the channels of a group, and some that are only scratch.
  static int PlanesPerPhase(const Geometry& geometry) {
    return (geometry.channels_in_per_group() + 127) / 128 * 128;
  }
  uint64_t PlanesBytes(const Geometry& geometry) const {
    return uint64_t{phases.size()} * static_cast<uint64_t>(PlanesPerPhase(geometry)) *
           static_cast<uint64_t>(plane_bytes);
  }

  // What an image costs, in whole blocks.
  double CostInBlocks(const Geometry& geometry, int block_bits) const {
    return DenseBlocks(geometry, block_bits) + blocks + (half_block ? kHalfBlockCost : 0);
  }
  // What its dense pixels cost, in whole blocks.
  double DenseBlocks(const Geometry& geometry, int block_bits) const {
    const int dense_pixels = geometry.output_height * geometry.output_width - pixels;
    return kDensePixelPlaces * dense_pixels / block_bits;
  }

  // Into how many parts the output channels of each block are shared out: as many as give every
  // thread at most one. Each part builds all the tables of its block, so a second round would
  // cost more than it saves.
  int ChannelParts(int channels_out, int threads) const {
    const int tiles = (channels_out + 31) / 32;
    return std::clamp(threads / (blocks + half_block), 1, tiles);
  }

  uint64_t MaskBytes(int block_bits) const {
    return static_cast<uint64_t>(blocks + half_block) * taps.size() *
           static_cast<uint64_t>(block_bits / 8);
  }

  // The pixels of the image that `count` bits of a phase hold, from `first` on; -1 for padding.
  void ListPixels(const Geometry& geometry, const Phase& phase, int first, int count,
                  int* pixels) const;
  // [blocks, taps, block_bits / 8]: 1 where the tap's column is inside of the image.
  std::vector<uint8_t> ColumnMasks(const Geometry& geometry, int block_bits) const;
};

// A plan for each group of the convolution.
std::vector<CodebookPlan> PlanCodebooks(const FilterReader& filter, const Geometry& geometry,
                                        const Raster& raster);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_RASTER_H_
