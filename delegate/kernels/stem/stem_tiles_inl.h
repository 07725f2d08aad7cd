// The loops of a stem over a row, for a file of one instruction set that has a tile:
//
//   template <int kPixels, int kVectors> struct Tile: kPixels outputs of kVectors vectors of
//   channels, in registers
//
// A row says what its weights are (Weight), how many of them a channel has (channel_weights()), and
// how many values of input lie from one output to the next (step).
//
// Everything here has internal linkage, so that each file has its own code.
//
// Channels outside, outputs inside: the weights of a tile's channels stay in the first-level cache
// for the whole row, as does the ring of input rows.
#ifndef SPARSEBNN_KERNELS_STEM_STEM_TILES_INL_H_
#define SPARSEBNN_KERNELS_STEM_STEM_TILES_INL_H_

#include <algorithm>
#include <cstring>

namespace sparsebnn {
namespace {

// Where a tile is: input of its first output is `offset` values on, in each row; of what it
// computes, `pixels` x `channels` count.
template <typename Row>
struct TilePlace {
  const typename Row::Weight* weights;
  size_t offset;
  float* output;
  int pixels, channels;
};

// Of a tile's outputs, the part that counts.
template <int kPixels, int kFloats, typename Row>
void StorePart(const float (&values)[kPixels][kFloats], const Row& row,
               const TilePlace<Row>& place) {
  const size_t bytes = static_cast<size_t>(std::min(kFloats, place.channels)) * sizeof(float);
  for (int p = 0; p < std::min(kPixels, place.pixels); ++p) {
    std::memcpy(place.output + p * row.pitch(), values[p], bytes);
  }
}

// All outputs of a row and a block of channels: as many at once as there are registers for, the
// rest with the least tile that holds it.
template <template <int, int> class Tile, int kVectors, int kMost, int kHalf, int kLeast,
          typename Row>
void RunBlock(const Row& row, TilePlace<Row> place) {
  for (int x = 0; x < row.pixels;) {
    place.offset = static_cast<size_t>(x) * row.step;
    place.pixels = row.pixels - x;
    if (place.pixels > kHalf) {
      Tile<kMost, kVectors>::Run(row, place);
      x += kMost;
      place.output += kMost * row.pitch();
    } else if (place.pixels > kLeast) {
      Tile<kHalf, kVectors>::Run(row, place);
      return;
    } else {
      Tile<kLeast, kVectors>::Run(row, place);
      return;
    }
  }
}

// `kMostOfOne`: as kMost, of one vector of channels, for which there are more registers.
template <template <int, int> class Tile, int kLanes, int kMost, int kHalf, int kLeast,
          int kMostOfOne = kMost, typename Row>
void RunStemRow(const Row& row) {
  TilePlace<Row> place = {row.weights, 0, row.output, 0, row.channels};
  while (place.channels > 0) {
    const bool two = place.channels > kLanes;
    if (two) {
      RunBlock<Tile, 2, kMost, kHalf, kLeast>(row, place);
    } else {
      RunBlock<Tile, 1, kMostOfOne, kHalf, kLeast>(row, place);
    }
    const int channels = two ? 2 * kLanes : kLanes;
    place.weights += row.channel_weights() * static_cast<size_t>(channels);
    place.output += channels;
    place.channels -= channels;
  }
}

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_STEM_STEM_TILES_INL_H_
