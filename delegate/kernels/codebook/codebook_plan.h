// A filter, rearranged for the bit-sliced convolution (bconv2d_codebook_inl.h).
//
// The popcount of an output is a sum over `depth` positions, a position being one input channel
// under one tap. With x the input's bits and w the filter's:
//
//   popcount[o] = sum over positions i of  x_i ^ w_oi
//
// Positions are put into groups of at most seven. The part of a group g is a number in 0..7,
// that is three bits, and its lowest bit does not need the filter's pattern:
//
//   N_g = 4 h_g + 2 m_g + l_g,     l_g = (xor of x_i over the group) ^ (parity of w_oi over it)
//
// So the lowest bits of all groups are positions again, "parity positions", of a smaller sum of
// the same kind. They are grouped, and so on until a single one is left:
//
//   popcount[o] = 2 * sum over groups g of (2 h_g + m_g)[pattern of o in g]  +  l_last
//
// For each group, (m, h) is tabulated for the patterns that occur among the output channels of
// it and its neighbours: all 128 for a filter without structure, at most n where the filter
// holds n codewords. An output channel then costs two bits, not nine, for each group: 3 to 3.2
// full adders per 3x3 kernel.
//
// The method of four Russians is V. Arlazarov et al., 1970; counting with carry-save adders is
// R. Harley's and D. Seal's; the recursion over parities is ours.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_PLAN_H_
#define SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_PLAN_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/bconv2d/bconv2d.h"

namespace sparsebnn {

constexpr int kMaxGroupSize = 7;
// Tables are built and used in chunks of this many groups, so that they stay in the first-level
// cache. The number is wired into the adder network of the inner loop.
constexpr int kChunkGroups = 16;
// The greatest size of groups of parities and of other positions that are left. A table of 64
// entries pays for fewer outputs than one of 128, though it takes more adders.
constexpr int PoolGroupSize(int channels_out) { return channels_out >= 512 ? 7 : 6; }

// How such positions are grouped. A group takes its size of them and gives one back, its parity,
// until one is left. They fill as many chunks as they must; in these, groups are no larger than
// they must be, for a smaller group's table has fewer entries.
class PoolSizes {
 public:
  PoolSizes(int positions, int greatest_size, int chunks_together)
      : left_(std::max(positions - 1, 1)),  // a single one makes a group, too
        greatest_(greatest_size - 1),
        spare_(kSpareOfPairs * (chunks_together - 1)),
        chunks_(((left_ + greatest_ - 1) / greatest_ + spare_ + kChunkGroups - 1) /
                kChunkGroups) {}

  int chunks() const { return chunks_; }  // that are still to be filled
  // The size of the groups of the next `count` chunks.
  int Next(int count) {
    const int places = std::max(chunks_ * kChunkGroups - spare_, 1);
    const int size = std::clamp((left_ + places - 1) / places, 1, greatest_);
    left_ = std::max(left_ - count * kChunkGroups * size, 0);
    chunks_ -= count;
    return size + 1;
  }

 private:
  // With two chunks together a group must not need the parity of the one that it is computed
  // with, which leaves places empty where few positions are left: at most this many.
  static constexpr int kSpareOfPairs = 3;

  int left_;  // that groups have to take away
  const int greatest_, spare_;
  int chunks_;
};

// One input of a group: a bit plane of the input, seen through a tap, or a parity.
struct Position {
  // Input planes: the byte of the planes, and the bit in it, that the first output of all
  // reads; the tap. Parities: the group whose parity it is, and -1.
  int32_t offset;
  int32_t bit;
  int32_t tap;
};

struct PositionGroup {
  int size = 0;  // 0 in groups that only fill a chunk up
  Position positions[kMaxGroupSize];
};

// kChunkGroups groups with a table entry each for every pattern that occurs in any of them, or
// in any of two chunks.
struct Chunk {
  int first_group = 0;
  std::vector<uint8_t> patterns;  // bit i for positions[i]
};

// The plan of one group of the convolution (of the whole filter, if it is not grouped).
struct CodebookPlan {
  // Not inline: the files of the instruction sets would each have a copy, of which the linker
  // keeps any.
  CodebookPlan();
  CodebookPlan(CodebookPlan&&) noexcept;
  ~CodebookPlan();

  std::vector<PositionGroup> groups;  // fills whole chunks
  std::vector<Chunk> chunks;
  // [chunks, channels_out, kChunkGroups]: the table entry of each output channel.
  std::vector<uint8_t> entries;
  int last_group = -1;                 // whose parity is the popcount's lowest bit
  std::vector<uint8_t> last_parities;  // [channels_out]: the filter's part in that bit
  int sum_planes = 0;                  // bit planes of (popcount - l_last) / 2
};

// Where a tap finds its bits: the plane (a phase of the input, for strides over one) and the
// shift along the raster.
struct TapSource {
  int phase = 0;
  int shift = 0;
};

// `chunks_together` is 2 if two chunks will be summed at once, as half blocks do it: an even
// chunk and the next one then have the same patterns, and no group needs the parity of another
// one if the two are an even one and the next.
//
// The plan for the output channels [first, first + count) of a filter of `channels_in` input
// channels. The plane of phase f and channel c is f * planes_per_phase + c, each of
// plane_bytes.
CodebookPlan PlanCodebook(const FilterReader& filter, int first_channel, int count,
                          int channels_in, int planes_per_phase, int plane_bytes,
                          const std::vector<TapSource>& taps, int chunks_together);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_PLAN_H_
