#include "codebook_plan.h"

#include <algorithm>
#include <array>

namespace sparsebnn {
namespace {

using Bits = std::vector<uint8_t>;  // one per output channel

// Positions that still have to be grouped, with the filter's bit of each output channel.
struct Pool {
  std::vector<Position> positions;
  std::vector<Bits> bits;
};

int BitLength(int value) {
  int bits = 0;
  for (; value > 0; value >>= 1) ++bits;
  return bits;
}

class Planner {
 public:
  Planner(const FilterReader& filter, int first, int count, int channels_in,
          int planes_per_phase, int plane_bytes, const std::vector<TapSource>& taps,
          int chunks_together)
      : filter_(filter),
        first_(first),
        count_(count),
        channels_in_(channels_in),
        planes_per_phase_(planes_per_phase),
        plane_bytes_(plane_bytes),
        taps_(taps),
        chunks_together_(chunks_together) {}

  CodebookPlan Plan() {
    ReadFilter();
    Pool pool = GroupTaps();
    FillChunk();
    GroupPool(&pool);
    FillChunk();
    plan_.last_group = pool.positions.back().offset;
    plan_.last_parities = pool.bits.back();
    return Finish();
  }

 private:
  int taps() const { return static_cast<int>(taps_.size()); }

  void ReadFilter() {
    const int group_words = WordsFor(channels_in_);
    std::vector<uint32_t> words(static_cast<size_t>(taps()) * group_words);
    bits_.resize(static_cast<size_t>(channels_in_) * taps() * count_);
    for (int o = 0; o < count_; ++o) {
      filter_.ReadChannel(first_ + o, words.data());
      for (int c = 0; c < channels_in_; ++c) {
        for (int t = 0; t < taps(); ++t) {
          const uint32_t word = words[static_cast<size_t>(t) * group_words + c / 32];
          bits_[(static_cast<size_t>(c) * taps() + t) * count_ + o] = word >> (c % 32) & 1;
        }
      }
    }
  }

  const uint8_t* bits(int c, int tap) const {
    return &bits_[(static_cast<size_t>(c) * taps() + tap) * count_];
  }

  Position TapPosition(int c, int tap) const {
    const int plane = taps_[tap].phase * planes_per_phase_ + c;
    return {plane * plane_bytes_ + taps_[tap].shift / 8, taps_[tap].shift % 8, tap};
  }

  // How many patterns channel `c` has at `taps`.
  int CountPatterns(int c, const int* taps, int size) const {
    std::array<bool, 1 << kMaxGroupSize> seen{};
    for (int o = 0; o < count_; ++o) {
      int pattern = 0;
      for (int i = 0; i < size; ++i) pattern |= bits(c, taps[i])[o] << i;
      seen[pattern] = true;
    }
    return static_cast<int>(std::count(seen.begin(), seen.end(), true));
  }

  // The taps that groups are made of, seven each; of a 3x3 filter those with the fewest
  // patterns.
  std::vector<int> ChooseTaps() const {
    std::vector<int> chosen(taps() / kMaxGroupSize * kMaxGroupSize);
    for (size_t i = 0; i < chosen.size(); ++i) chosen[i] = static_cast<int>(i);
    if (taps() != 9) return chosen;
    // A sample of the channels tells, and few patterns are only worth looking for if there are
    // many output channels to share them.
    const int step = std::max(1, channels_in_ / 16);
    int fewest = -1;
    for (int a = 0; a < 9; ++a) {
      for (int b = a + 1; b < 9; ++b) {
        int without[kMaxGroupSize];
        for (int t = 0, i = 0; t < 9; ++t) {
          if (t != a && t != b) without[i++] = t;
        }
        int patterns = 0;
        for (int c = 0; c < channels_in_; c += step) {
          patterns += CountPatterns(c, without, kMaxGroupSize);
        }
        if (fewest < 0 || patterns < fewest) {
          fewest = patterns;
          std::copy(without, without + kMaxGroupSize, chosen.begin());
        }
      }
    }
    return chosen;
  }

  // Adds a group and gives its parity position to `parities`, which may hold its own.
  void AddGroup(const Position* positions, const uint8_t* const* bits, int size,
                Pool* parities) {
    PositionGroup group;
    group.size = size;
    std::copy(positions, positions + size, group.positions);
    Bits parity(count_);
    for (int o = 0; o < count_; ++o) {
      uint8_t pattern = 0;
      for (int i = 0; i < size; ++i) {
        pattern |= bits[i][o] << i;
        parity[o] ^= bits[i][o];
      }
      group_patterns_.push_back(pattern);
    }
    parities->positions.push_back({static_cast<int32_t>(plan_.groups.size()), -1, 0});
    parities->bits.push_back(std::move(parity));
    plan_.groups.push_back(std::move(group));
  }

  Pool GroupTaps() {
    const std::vector<int> chosen = ChooseTaps();
    Pool pool;
    for (int c = 0; c < channels_in_; ++c) {
      for (size_t first = 0; first < chosen.size(); first += kMaxGroupSize) {
        Position positions[kMaxGroupSize];
        const uint8_t* group_bits[kMaxGroupSize];
        for (int i = 0; i < kMaxGroupSize; ++i) {
          positions[i] = TapPosition(c, chosen[first + i]);
          group_bits[i] = bits(c, chosen[first + i]);
        }
        AddGroup(positions, group_bits, kMaxGroupSize, &pool);
      }
      for (int t = 0; t < taps(); ++t) {
        if (std::find(chosen.begin(), chosen.end(), t) != chosen.end()) continue;
        pool.positions.push_back(TapPosition(c, t));
        pool.bits.emplace_back(bits(c, t), bits(c, t) + count_);
      }
    }
    return pool;
  }

  // Groups the positions in order, and the parities of these groups after them, until one is left.
  void GroupPool(Pool* pool) {
    PoolSizes sizes(static_cast<int>(pool->positions.size()), PoolGroupSize(count_),
                    chunks_together_);
    size_t next = 0;
    int size = 0;
    do {
      if (plan_.groups.size() % (kChunkGroups * chunks_together_) == 0) {
        size = sizes.Next(chunks_together_);
      }
      // Of a pair, whose first group's parity is not there yet.
      const bool second = plan_.groups.size() % chunks_together_ == 1;
      const size_t end = pool->positions.size() - (second ? 1 : 0);
      const int count = static_cast<int>(std::min<size_t>(size, end - next));
      if (second && count < 2) {
        FillUp(chunks_together_);
        continue;
      }
      const uint8_t* group_bits[kMaxGroupSize];
      for (int i = 0; i < count; ++i) group_bits[i] = pool->bits[next + i].data();
      AddGroup(&pool->positions[next], group_bits, count, pool);
      next += count;
    } while (next + 1 < pool->positions.size());
  }

  // Taps and what is left of them do not share chunks.
  void FillChunk() { FillUp(kChunkGroups * chunks_together_); }

  // Adds empty groups up to a multiple of `count`.
  void FillUp(int count) {
    while (plan_.groups.size() % count != 0) {
      plan_.groups.emplace_back();
      group_patterns_.resize(group_patterns_.size() + count_);
    }
  }

  CodebookPlan Finish() {
    const int depth = taps() * channels_in_;
    plan_.sum_planes = BitLength(depth / 2);
    const int chunks = static_cast<int>(plan_.groups.size()) / kChunkGroups;
    plan_.entries.resize(group_patterns_.size());
    const int groups_together = kChunkGroups * chunks_together_;
    for (int k = 0; k < chunks; k += chunks_together_) {
      const uint8_t* patterns =
          &group_patterns_[static_cast<size_t>(k) * kChunkGroups * count_];
      std::array<int, 1 << kMaxGroupSize> entry;
      entry.fill(-1);
      for (int i = 0; i < groups_together * count_; ++i) entry[patterns[i]] = 0;
      Chunk chunk;
      for (int pattern = 0; pattern < 1 << kMaxGroupSize; ++pattern) {
        if (entry[pattern] < 0) continue;
        entry[pattern] = static_cast<int>(chunk.patterns.size());
        chunk.patterns.push_back(static_cast<uint8_t>(pattern));
      }
      for (int i = 0; i < chunks_together_; ++i) {
        chunk.first_group = (k + i) * kChunkGroups;
        plan_.chunks.push_back(chunk);
      }
      for (int g = k * kChunkGroups; g < k * kChunkGroups + groups_together; ++g) {
        uint8_t* entries =
            &plan_.entries[static_cast<size_t>(g / kChunkGroups) * kChunkGroups * count_];
        for (int o = 0; o < count_; ++o) {
          entries[o * kChunkGroups + g % kChunkGroups] =
              static_cast<uint8_t>(entry[*patterns++]);
        }
      }
    }
    return std::move(plan_);
  }

  const FilterReader& filter_;
  const int first_, count_, channels_in_, planes_per_phase_, plane_bytes_;
  const std::vector<TapSource>& taps_;
  const int chunks_together_;
  Bits bits_;                            // the filter's, [channels_in, taps, count]
  std::vector<uint8_t> group_patterns_;  // [groups, count]
  CodebookPlan plan_;
};

}  // namespace

CodebookPlan::CodebookPlan() = default;
CodebookPlan::CodebookPlan(CodebookPlan&&) noexcept = default;
CodebookPlan::~CodebookPlan() = default;

CodebookPlan PlanCodebook(const FilterReader& filter, int first_channel, int count,
                          int channels_in, int planes_per_phase, int plane_bytes,
                          const std::vector<TapSource>& taps, int chunks_together) {
  return Planner(filter, first_channel, count, channels_in, planes_per_phase, plane_bytes, taps,
                 chunks_together)
      .Plan();
}

}  // namespace sparsebnn
