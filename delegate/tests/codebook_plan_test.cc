// The plan of the bit-sliced convolution: every position is summed once, groups that are computed
// together do not need one another, and no chunk or table entry is there in vain.
#include "kernels/codebook/codebook_plan.h"

#include <random>
#include <vector>

#include "testing/expect.h"
#include "testing/random_layer.h"

namespace sparsebnn {
namespace {

struct Pool {
  int chunks = 0, entries = 0;  // of what the taps' groups leave
};

Pool CheckPlan(int channels_in, int channels_out, int taps, int together) {
  Geometry g;
  g.channels_in = channels_in;
  g.channels_out = channels_out;
  g.filter_height = 1;
  g.filter_width = taps;
  std::mt19937 random(channels_in);
  const RandomFilter filter(g, 0, &random);
  const CodebookPlan plan = PlanCodebook(filter, 0, channels_out, channels_in, channels_in, 64,
                                         std::vector<TapSource>(taps), together);

  std::vector<int> taps_seen(static_cast<size_t>(channels_in) * taps);
  std::vector<int> parities_seen(plan.groups.size());
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    for (int p = 0; p < plan.groups[i].size; ++p) {
      const Position& position = plan.groups[i].positions[p];
      if (position.bit >= 0) {
        ++taps_seen[static_cast<size_t>(position.offset / 64) * taps + position.tap];
        continue;
      }
      ++parities_seen[position.offset];
      // Computed before, and not in the same pair.
      EXPECT(position.offset / together < static_cast<int>(i) / together);
    }
  }
  for (const int seen : taps_seen) EXPECT(seen == 1);
  for (size_t i = 0; i < plan.groups.size(); ++i) {
    const bool read = plan.groups[i].size > 0 && static_cast<int>(i) != plan.last_group;
    EXPECT(parities_seen[i] == (read ? 1 : 0));
  }

  Pool pool;
  const int tap_groups = channels_in * (taps / kMaxGroupSize);
  for (const Chunk& chunk : plan.chunks) {
    if (chunk.first_group < tap_groups || plan.groups[chunk.first_group].size == 0) continue;
    ++pool.chunks;
    pool.entries += static_cast<int>(chunk.patterns.size());
  }
  const int positions = channels_in * taps - (kMaxGroupSize - 1) * tap_groups;
  EXPECT(pool.chunks <= PoolSizes(positions, PoolGroupSize(channels_out), together).chunks());
  return pool;
}

// The layers of a ResNet-18: as few chunks as with the largest groups, and smaller tables.
void CheckSizes() {
  const auto expect = [](int channels, int together, int chunks, int entries) {
    const Pool pool = CheckPlan(channels, channels, 9, together);
    EXPECT(pool.chunks == chunks);
    EXPECT(pool.entries == entries);
  };
  expect(64, 1, 3, 3 * 32);  // groups of 5
  expect(64, 2, 3, 2 * 64 + 16);
  expect(128, 1, 5, 4 * 64 + 32);
  expect(256, 2, 10, 10 * 64);
  expect(512, 1, 16, 16 * 128);
  expect(512, 2, 17, 12 * 128 + 5 * 64);
}

}  // namespace
}  // namespace sparsebnn

int main() {
  sparsebnn::CheckSizes();
  for (const int together : {1, 2}) {
    for (const int taps : {1, 3, 7, 9, 25}) {
      for (int channels = 1; channels < 100; channels += channels < 20 ? 1 : 7) {
        sparsebnn::CheckPlan(channels, 1 + channels * 7 % 40, taps, together);
      }
    }
  }
  return sparsebnn::Outcome();
}
