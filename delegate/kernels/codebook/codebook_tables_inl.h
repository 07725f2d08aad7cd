// The tables of the bit-sliced convolution: for a chunk of 16 groups of positions
// (codebook_plan.h), (m, h) of each pattern of the filter that occurs.
#ifndef SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_TABLES_INL_H_
#define SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_TABLES_INL_H_

#include <cstdint>
#include <vector>

#include "codebook_plan.h"

namespace sparsebnn {
namespace {

template <class V>
class CodebookTables {
  using Register = typename V::Register;

 public:
  static constexpr int kBytes = V::kBits / 8;
  static constexpr int kRowBytes = kChunkGroups * kBytes;  // a vector of each group of a chunk
  static constexpr int kEntryBytes = 2 * kRowBytes;
  static constexpr int kMajorities = 24 * kBytes;  // of a group

  // Fills `tables`, [entries, 2 planes, 16 groups], and the chunk's part of `parities`,
  // [groups]; `all_majorities`, [16 groups, 3 triples, 8 patterns], is scratch memory.
  //
  // With the seven positions in three triples, (x0, x1, x2), (x3, x4, x5) and the parities of
  // these two and x6, the number of a group is
  //   4 h + 2 m + l = 2 * (majority of the first + that of the second + that of the third) + l
  // and each triple has eight majorities, for the eight patterns of the filter's bits in it.
  template <int kHalves>
  static void Build(const CodebookPlan& plan, const Chunk& chunk, const uint8_t* planes,
                    const uint8_t* masks, uint8_t* all_majorities, uint8_t* parities,
                    uint8_t* tables) {
    for (int i = 0; i < kChunkGroups; ++i) {
      const int g = chunk.first_group + i * kHalves;
      Register x[kMaxGroupSize];
      LoadPositions<kHalves>(plan.groups[g], planes, masks, parities, x);
      if (kHalves == 2) {
        Register upper[kMaxGroupSize];
        LoadPositions<kHalves>(plan.groups[g + 1], planes, masks, parities, upper);
        for (int p = 0; p < kMaxGroupSize; ++p) x[p] = LowerHalves(x[p], upper[p]);
      }
      uint8_t* majorities = all_majorities + i * kMajorities;
      const Register first = StoreMajorities(x[0], x[1], x[2], majorities);
      const Register second = StoreMajorities(x[3], x[4], x[5], majorities + 8 * kBytes);
      const Register parity = StoreMajorities(first, second, x[6], majorities + 16 * kBytes);
      V::Store(parities + g * (kBytes / kHalves), parity);
    }
    const int entries = static_cast<int>(chunk.patterns.size());
    if (entries % 8 == 0 && chunk.patterns.back() == entries - 1) {
      BuildComplete(all_majorities, entries, tables);
    } else {
      BuildListed(all_majorities, chunk.patterns, tables);
    }
  }

 private:
  template <int kHalves>
  static Register LoadPosition(const Position& position, const uint8_t* planes,
                               const uint8_t* masks, const uint8_t* parities) {
    if (position.bit < 0) return V::Load(parities + position.offset * (kBytes / kHalves));
    return V::And(V::LoadShifted(planes + position.offset, position.bit),
                  V::Load(masks + position.tap * kBytes));
  }

  static constexpr unsigned kParities = 0x96;  // bit i: the parity of i

  static void BuildListed(const uint8_t* majorities, const std::vector<uint8_t>& patterns,
                          uint8_t* entry) {
    for (const uint8_t pattern : patterns) {
      const int first = pattern & 7, second = pattern >> 3 & 7;
      const int third =
          (kParities >> first & 1) | (kParities >> second & 1) << 1 | pattern >> 6 << 2;
      const uint8_t* a = majorities + first * kBytes;
      const uint8_t* b = majorities + (8 + second) * kBytes;
      const uint8_t* c = majorities + (16 + third) * kBytes;
#pragma GCC unroll 8
      for (int i = 0; i < kChunkGroups; i += 2, entry += 2 * kBytes) {
        Register middle[2], high[2];
        for (int k = 0; k < 2; ++k) {
          const Register a_k = V::Load(a + (i + k) * kMajorities);
          const Register b_k = V::Load(b + (i + k) * kMajorities);
          const Register c_k = V::Load(c + (i + k) * kMajorities);
          const Register differ = V::Xor(a_k, b_k);
          middle[k] = V::Xor(differ, c_k);
          high[k] = V::Carry(differ, a_k, c_k);
        }
        V::StorePair(entry, middle[0], middle[1]);
        V::StorePair(entry + kRowBytes, high[0], high[1]);
      }
      entry += kRowBytes;
    }
  }

  // The same for the patterns 0 to `count` - 1, a multiple of 8. What only depends on the
  // second and the third triple is computed once for eight of them.
  static void BuildComplete(const uint8_t* majorities, int count, uint8_t* tables) {
    for (int upper = 0; upper < count / 8; ++upper, tables += 16 * kRowBytes) {
      const int second = upper & 7;
      const int third = (kParities >> second & 1) << 1 | upper >> 3 << 2;
      for (int i = 0; i < kChunkGroups; i += 2) {
        const uint8_t* a = majorities + i * kMajorities;
        Register differ[2][2], either[2][2], both[2][2];  // [group, parity of the first triple]
        for (int k = 0; k < 2; ++k) {
          const Register b = V::Load(a + k * kMajorities + (8 + second) * kBytes);
          for (int parity = 0; parity < 2; ++parity) {
            const Register c = V::Load(a + k * kMajorities + (16 + third + parity) * kBytes);
            differ[k][parity] = V::Xor(b, c);
            either[k][parity] = V::Or(b, c);
            both[k][parity] = V::And(b, c);
          }
        }
        uint8_t* entry = tables + i * kBytes;
#pragma GCC unroll 8
        for (int first = 0; first < 8; ++first, entry += 2 * kRowBytes) {
          const int parity = kParities >> first & 1;
          const Register a_0 = V::Load(a + first * kBytes);
          const Register a_1 = V::Load(a + kMajorities + first * kBytes);
          V::StorePair(entry, V::Xor(a_0, differ[0][parity]), V::Xor(a_1, differ[1][parity]));
          V::StorePair(entry + kRowBytes, V::Carry(a_0, both[0][parity], either[0][parity]),
                       V::Carry(a_1, both[1][parity], either[1][parity]));
        }
      }
    }
  }

  template <int kHalves>
  static void LoadPositions(const PositionGroup& group, const uint8_t* planes,
                            const uint8_t* masks, const uint8_t* parities, Register* x) {
#pragma GCC unroll 7
    for (int p = 0; p < kMaxGroupSize; ++p) {
      x[p] = p < group.size ? LoadPosition<kHalves>(group.positions[p], planes, masks, parities)
                            : V::Zero();
    }
  }

  static Register LowerHalves(Register low, Register high) {
    uint8_t bytes[2 * kBytes];
    V::Store(bytes, low);
    V::Store(bytes + kBytes, high);
    return V::LoadHalves(bytes, bytes + kBytes);
  }

  // Stores the majority of (x0 ^ i0, x1 ^ i1, x2 ^ i2) for the 8 patterns i and returns the
  // parity. Inverting all three inverts the majority.
  static Register StoreMajorities(Register x0, Register x1, Register x2, uint8_t* majorities) {
    const Register differ = V::Xor(x0, x1), same = V::Not(differ), not_0 = V::Not(x0);
    const Register m0 = V::Carry(differ, x0, x2), m1 = V::Carry(same, not_0, x2);
    const Register m2 = V::Carry(same, x0, x2), m3 = V::Carry(differ, not_0, x2);
    V::StorePair(majorities, m0, m1);
    V::StorePair(majorities + 2 * kBytes, m2, m3);
    V::StorePair(majorities + 4 * kBytes, V::Not(m3), V::Not(m2));
    V::StorePair(majorities + 6 * kBytes, V::Not(m1), V::Not(m0));
    return V::Xor(differ, x2);
  }
};

}  // namespace
}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_CODEBOOK_CODEBOOK_TABLES_INL_H_
