// The loops of the bit-sliced convolution, for a vector type V of kBits pixels. Included by one
// file for each instruction set; everything here has internal linkage, so that each file has its
// own code.
//
//   planes = the input as bit planes                                          (raster.h)
//   for each block of kBits places:
//     for each chunk of 16 groups:
//       table = (m, h) of each group's patterns; parity of each group         BuildTables
//       for each output channel:
//         sum[o] += table[its entry of each group]       16 two-bit numbers   AddChunk
//     transform(2 * sum[o] + last parity) to the output's layout              Finish
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "bconv2d_codebook.h"
#include "bit_planes_inl.h"
#include "codebook_plan.h"
#include "output_tile_inl.h"
#include "raster.h"

namespace sparsebnn {
namespace {

// The planes of a sum that AddChunk keeps in registers. The upper ones are pairs, see there.
constexpr int kLowPlanes = 6;

template <class V>
class CodebookBconv2d : public Bconv2d {
  using Register = typename V::Register;
  static constexpr int kBytes = V::kBits / 8;
  static constexpr int kEntryBytes = 2 * kBytes;

 public:
  CodebookBconv2d(const Geometry& geometry, const FilterReader& filter,
                  OutputTransform transform, const char* isa)
      : g_(geometry),
        transform_(std::move(transform)),
        vector_transform_(transform_, geometry.depth()),
        raster_(geometry, V::kBits),
        isa_(isa) {
    PadForVectors(&transform_);
    for (int group = 0; group < g_.groups; ++group) {
      plans_.push_back(PlanCodebook(filter, group * g_.channels_out_per_group(),
                                    g_.channels_out_per_group(), g_.channels_in_per_group(),
                                    Raster::PlanesPerPhase(g_), raster_.plane_bytes, raster_.taps));
      for (const Chunk& chunk : plans_.back().chunks) {
        table_entries_ = std::max(table_entries_, chunk.entries);
      }
    }
    int upper_planes = 1;
    while (plans_[0].chunks.size() >> upper_planes != 0) ++upper_planes;
    sum_stride_ = (kLowPlanes + 2 * upper_planes) * kBytes;
  }

  bool Run(const uint32_t* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    // With fewer blocks than threads the output channels are shared out too; each thread then
    // builds all the tables.
    const int channels_out = g_.channels_out_per_group();
    const int tiles = (channels_out + 31) / 32;
    const int tasks_wanted = threads->threads() > raster_.blocks
                                 ? (threads->threads() + raster_.blocks - 1) / raster_.blocks
                                 : 1;
    const int splits = std::min(tasks_wanted, tiles);
    const int tiles_per_split = (tiles + splits - 1) / splits;
    const size_t scratch_bytes = ScratchBytes(tiles_per_split * 32);
    const size_t planes_bytes = raster_.PlanesBytes(g_);
    if (!workspace->Reserve(planes_bytes + threads->threads() * scratch_bytes)) return false;
    uint8_t* planes = workspace->data();

    for (int b = 0; b < g_.batch; ++b) {
      const uint32_t* image =
          input + static_cast<size_t>(b) * g_.input_height * g_.input_width * g_.input_words();
      for (int group = 0; group < g_.groups; ++group) {
        threads->ParallelFor(PlaneTasks(),
                             [&](int task, int) { FillPlanes(image, group, task, planes); });
        threads->ParallelFor(raster_.blocks * splits, [&](int task, int thread) {
          const int first = task % splits * tiles_per_split * 32;
          const int last = std::min(first + tiles_per_split * 32, channels_out);
          if (first >= last) return;
          RunBlock(planes, b, group, task / splits, first, last, output,
                   planes + planes_bytes + thread * scratch_bytes);
        });
      }
    }
    return true;
  }

  const char* kernel() const override { return "codebook"; }
  std::string description() const override {
    return std::string("codebook x") + std::to_string(V::kBits) + " " + isa_ + ", " +
           std::to_string(static_cast<int>(plans_[0].mean_patterns + 0.5)) +
           " patterns of 7 taps";
  }

 private:
  // --- Planes ---------------------------------------------------------------------------------

  static constexpr int kWordsPerPlaneTask = 16;

  int PlaneTasks() const {
    return static_cast<int>(raster_.phases.size()) *
           ((raster_.words + kWordsPerPlaneTask - 1) / kWordsPerPlaneTask);
  }
  // Fills kWordsPerPlaneTask words of the planes of one phase, all channels; the last task also
  // clears what lies beyond.
  void FillPlanes(const uint32_t* image, int group, int task, uint8_t* planes) const {
    const int tasks_per_phase = PlaneTasks() / static_cast<int>(raster_.phases.size());
    const int phase = task / tasks_per_phase;
    const int first_word = task % tasks_per_phase * kWordsPerPlaneTask;
    const int last_word = std::min(first_word + kWordsPerPlaneTask, raster_.words);
    const int group_words = g_.group_words();
    for (int word = first_word; word < last_word; ++word) {
      int pixels[32];
      raster_.ListPixels(g_, raster_.phases[phase], word * 32, 32, pixels);
      for (int w = 0; w < group_words; w += 4) {
        u32x4 rows[32];
        const int lanes = std::min(4, group_words - w);
        for (int k = 0; k < 32; ++k) {
          rows[k] = u32x4{};
          if (pixels[k] < 0) continue;
          const uint32_t* pixel = image + static_cast<size_t>(pixels[k]) * g_.input_words() +
                                  group * group_words + w;
          if (lanes == 4) {
            std::memcpy(&rows[k], pixel, sizeof rows[k]);
          } else {
            for (int lane = 0; lane < lanes; ++lane) rows[k][lane] = pixel[lane];
          }
        }
        Transpose32x32_x4(rows);
        uint8_t* plane = planes +
                         (static_cast<size_t>(phase) * Raster::PlanesPerPhase(g_) + w * 32) *
                             raster_.plane_bytes +
                         word * 4;
        for (int lane = 0; lane < lanes; ++lane) {
          for (int i = 0; i < 32; ++i) {
            const uint32_t bits = rows[i][lane];
            std::memcpy(plane, &bits, sizeof bits);
            plane += raster_.plane_bytes;
          }
        }
      }
    }
    if (last_word < raster_.words) return;
    for (int c = 0; c < g_.channels_in_per_group(); ++c) {
      uint8_t* plane = planes + (static_cast<size_t>(phase) * Raster::PlanesPerPhase(g_) + c) *
                                    raster_.plane_bytes;
      std::memset(plane + raster_.words * 4, 0, raster_.plane_bytes - raster_.words * 4);
    }
  }

  // --- Blocks ---------------------------------------------------------------------------------

  struct Scratch {
    uint8_t* tables;    // [16, 2 planes, entries]
    uint8_t* patterns;  // [2 halves, 8, 2 planes] counts of three positions
    uint8_t* parities;  // [groups]
    uint8_t* sums;      // [channels, sum planes]
    uint8_t* tile;      // OutputTile's
  };

  static size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

  size_t ScratchBytes(int channels, uint8_t* base = nullptr, Scratch* scratch = nullptr) const {
    size_t groups = 0;
    for (const CodebookPlan& plan : plans_) groups = std::max(groups, plan.groups.size());
    const size_t sizes[] = {static_cast<size_t>(kChunkGroups) * table_entries_ * kEntryBytes,
                            32 * kBytes, groups * kBytes,
                            static_cast<size_t>(channels) * sum_stride_,
                            OutputTile<V>::kScratchBytes};
    size_t offsets[6] = {0};
    for (int i = 0; i < 5; ++i) offsets[i + 1] = offsets[i] + RoundUp(sizes[i]);
    if (scratch != nullptr) {
      *scratch = {base + offsets[0], base + offsets[1], base + offsets[2], base + offsets[3],
                  base + offsets[4]};
    }
    return offsets[5];
  }

  void RunBlock(const uint8_t* planes, int b, int group, int block, int first, int last,
                void* output, uint8_t* scratch_bytes) const {
    const CodebookPlan& plan = plans_[group];
    Scratch scratch;
    ScratchBytes(last - first, scratch_bytes, &scratch);
    const uint8_t* block_planes = planes + static_cast<size_t>(block) * kBytes;
    std::memset(scratch.sums, 0, static_cast<size_t>(last - first) * sum_stride_);
    for (size_t k = 0; k < plan.chunks.size(); ++k) {
      const Chunk& chunk = plan.chunks[k];
      BuildTables(plan, chunk, block_planes, scratch);
      const uint8_t* entries =
          &plan.entries[(k * g_.channels_out_per_group() + first) * kChunkGroups];
      const int carried = __builtin_ctz(~static_cast<unsigned>(k));
      switch (chunk.entries) {
        case 16:
          AddChunk<16>(scratch, entries, last - first, carried);
          break;
        case 32:
          AddChunk<32>(scratch, entries, last - first, carried);
          break;
        case 64:
          AddChunk<64>(scratch, entries, last - first, carried);
          break;
        default:
          AddChunk<128>(scratch, entries, last - first, carried);
      }
    }
    Finish(plan, b, group, block, first, last, output, scratch);
  }

  // --- Tables ---------------------------------------------------------------------------------

  static Register LoadPosition(const Position& position, const uint8_t* planes,
                               const uint8_t* parities) {
    if (position.bit < 0) return V::Load(parities + position.offset * kBytes);
    return V::LoadShifted(planes + position.offset, position.bit);
  }

  void BuildTables(const CodebookPlan& plan, const Chunk& chunk, const uint8_t* planes,
                   const Scratch& scratch) const {
    const int high = chunk.entries * kBytes;  // the offset of the entries' high bits
    for (int i = 0; i < kChunkGroups; ++i) {
      const PositionGroup& group = plan.groups[chunk.first_group + i];
      Register x[kMaxGroupSize];
      Register parity = V::Zero();
      for (int p = 0; p < kMaxGroupSize; ++p) {
        x[p] = p < group.size ? LoadPosition(group.positions[p], planes, scratch.parities)
                              : V::Zero();
        parity = V::Xor(parity, x[p]);
      }
      V::Store(scratch.parities + (chunk.first_group + i) * kBytes, parity);
      uint8_t* table = scratch.tables + static_cast<size_t>(i) * chunk.entries * kEntryBytes;
      CountThree(x, scratch.patterns);
      CountThree(x + 3, scratch.patterns + 16 * kBytes);
      const Register sixth[2] = {x[6], V::Not(x[6])};
      if (!group.complete) {
        BuildListed(scratch.patterns, sixth, group.patterns, table, table + high);
      } else if (group.size == kMaxGroupSize) {
        BuildComplete<2>(scratch.patterns, sixth, table, table + high);
      } else {
        BuildComplete<1>(scratch.patterns, sixth, table, table + high);
      }
    }
  }

  // (low, high) bits of (x0 ^ i0) + (x1 ^ i1) + (x2 ^ i2) for the 8 patterns i. Inverting all
  // inverts both bits.
  static void CountThree(const Register* x, uint8_t* counts) {
    const Register differ = V::Xor(x[0], x[1]), same = V::Not(differ), not_0 = V::Not(x[0]);
    const Register odd = V::Xor(differ, x[2]), even = V::Not(odd);
    StoreCount(0, odd, V::Carry(differ, x[0], x[2]), even, counts);
    StoreCount(1, even, V::Carry(same, not_0, x[2]), odd, counts);
    StoreCount(2, even, V::Carry(same, x[0], x[2]), odd, counts);
    StoreCount(3, odd, V::Carry(differ, not_0, x[2]), even, counts);
  }
  static void StoreCount(int pattern, Register low, Register high, Register inverted_low,
                         uint8_t* counts) {
    V::Store(counts + 2 * pattern * kBytes, low);
    V::Store(counts + (2 * pattern + 1) * kBytes, high);
    V::Store(counts + 2 * (7 - pattern) * kBytes, inverted_low);
    V::Store(counts + (2 * (7 - pattern) + 1) * kBytes, V::Not(high));
  }

  // (m, h) of a + b + c for two-bit a and b: the lowest bit of the sum is left out.
  __attribute__((always_inline)) static void AddThree(Register a_low, Register a_high,
                                                      const uint8_t* b, Register c,
                                                      Register* middle, Register* high) {
    const Register carry = V::Carry(V::Xor(a_low, V::Load(b)), a_low, c);
    const Register differ = V::Xor(a_high, V::Load(b + kBytes));
    *middle = V::Xor(differ, carry);
    *high = V::Carry(differ, a_high, carry);
  }

  // All patterns of six positions, or of seven if kSixth is 2.
  template <int kSixth>
  static void BuildComplete(const uint8_t* counts, const Register* sixth, uint8_t* middle,
                            uint8_t* high) {
    const uint8_t* counts_b = counts + 16 * kBytes;
    for (int k = 0; k < kSixth; ++k) {
      const Register c = sixth[k];
      for (int i = 0; i < 8; ++i, middle += 8 * kBytes, high += 8 * kBytes) {
        const Register a_low = V::Load(counts_b + 2 * i * kBytes);
        const Register a_high = V::Load(counts_b + (2 * i + 1) * kBytes);
        // In pairs, which some instruction sets store at once.
        for (int j = 0; j < 8; j += 2) {
          const uint8_t* b = counts + 2 * j * kBytes;
          Register middle_0, middle_1, high_0, high_1;
          AddThree(a_low, a_high, b, c, &middle_0, &high_0);
          AddThree(a_low, a_high, b + 2 * kBytes, c, &middle_1, &high_1);
          V::Store(middle + j * kBytes, middle_0);
          V::Store(middle + (j + 1) * kBytes, middle_1);
          V::Store(high + j * kBytes, high_0);
          V::Store(high + (j + 1) * kBytes, high_1);
        }
      }
    }
  }

  static void BuildListed(const uint8_t* counts, const Register* sixth,
                          const std::vector<uint8_t>& patterns, uint8_t* middle,
                          uint8_t* high) {
    const auto add = [&](unsigned pattern, Register* middle_bits, Register* high_bits) {
      const uint8_t* a = counts + 16 * kBytes + (pattern >> 3 & 7) * (2 * kBytes);
      AddThree(V::Load(a), V::Load(a + kBytes), counts + (pattern & 7) * (2 * kBytes),
               sixth[pattern >> 6], middle_bits, high_bits);
    };
    const uint8_t* pattern = patterns.data();
    const uint8_t* const end = pattern + patterns.size();
    for (; end - pattern >= 2; pattern += 2, middle += 2 * kBytes, high += 2 * kBytes) {
      Register middle_0, middle_1, high_0, high_1;
      add(pattern[0], &middle_0, &high_0);
      add(pattern[1], &middle_1, &high_1);
      V::Store(middle, middle_0);
      V::Store(middle + kBytes, middle_1);
      V::Store(high, high_0);
      V::Store(high + kBytes, high_1);
    }
    if (pattern == end) return;
    Register middle_bits, high_bits;
    add(*pattern, &middle_bits, &high_bits);
    V::Store(middle, middle_bits);
    V::Store(high, high_bits);
  }

  // --- Sums -----------------------------------------------------------------------------------

  // sums[o] += the entries of 16 groups, two-bit numbers. 31 full adders and a half adder;
  // each adder takes the running sum last, so that only one operation of it is on the chain from
  // adder to adder.
  //
  // A carry out of the low planes waits until there is a second one to add with it, so that the
  // upper planes cost one adder a chunk: each plane is a pair, bits and a waiting carry. Before
  // the k-th chunk, carries wait in the planes where k has a 1; `carried` is how many of these
  // there are before the first 0.
  template <int kEntries>
  void AddChunk(const Scratch& scratch, const uint8_t* entries, int channels,
                int carried) const {
    uint8_t* sum = scratch.sums;
    for (int o = 0; o < channels; ++o, entries += kChunkGroups, sum += sum_stride_) {
      Register ones = V::Load(sum);
      Register twos = V::Load(sum + kBytes);
      Register fours = V::Load(sum + 2 * kBytes);
      Register eights = V::Load(sum + 3 * kBytes);
      Register sixteens = V::Load(sum + 4 * kBytes);
      Register thirty_twos = V::Load(sum + 5 * kBytes);
      Register carry[6];  // of weight 8
      AddEightGroups<kEntries, 0>(scratch.tables, entries, &ones, &twos, &fours, carry);
      AddEightGroups<kEntries, 8>(scratch.tables, entries, &ones, &twos, &fours, carry + 3);
      V::Store(sum, ones);
      V::Store(sum + kBytes, twos);
      V::Store(sum + 2 * kBytes, fours);
      Register sixteen[3], thirty_two[2], sixty_four;
      eights = V::FullAdd(carry[0], carry[1], eights, &sixteen[0]);
      eights = V::FullAdd(carry[2], carry[3], eights, &sixteen[1]);
      eights = V::FullAdd(carry[4], carry[5], eights, &sixteen[2]);
      V::Store(sum + 3 * kBytes, eights);
      sixteens = V::FullAdd(sixteen[0], sixteen[1], sixteens, &thirty_two[0]);
      thirty_two[1] = V::And(sixteens, sixteen[2]);
      V::Store(sum + 4 * kBytes, V::Xor(sixteens, sixteen[2]));
      thirty_twos = V::FullAdd(thirty_two[0], thirty_two[1], thirty_twos, &sixty_four);
      V::Store(sum + 5 * kBytes, thirty_twos);
      uint8_t* upper = sum + kLowPlanes * kBytes;
      for (int plane = 0; plane < carried; ++plane, upper += 2 * kBytes) {
        V::Store(upper, V::FullAdd(V::Load(upper), V::Load(upper + kBytes), sixty_four,
                                   &sixty_four));
      }
      V::Store(upper + kBytes, sixty_four);
    }
  }

  // Adds groups kFirst to kFirst + 7 of the chunk; three carries of weight 8 are left.
  template <int kEntries, int kFirst>
  __attribute__((always_inline)) static void AddEightGroups(const uint8_t* tables,
                                                            const uint8_t* entries,
                                                            Register* ones, Register* twos,
                                                            Register* fours,
                                                            Register* eight_carry) {
    Register carry[6];  // of weight 4
    AddFourGroups<kEntries, kFirst>(tables, entries, ones, twos, carry);
    AddFourGroups<kEntries, kFirst + 4>(tables, entries, ones, twos, carry + 3);
    *fours = V::FullAdd(carry[0], carry[1], *fours, &eight_carry[0]);
    *fours = V::FullAdd(carry[2], carry[3], *fours, &eight_carry[1]);
    *fours = V::FullAdd(carry[4], carry[5], *fours, &eight_carry[2]);
  }

  // The empty statement keeps compilers from adding a group's offset first, which would want a
  // register for each group, instead of leaving it to the load.
  __attribute__((always_inline)) static const uint8_t* Entry(const uint8_t* tables, int entry) {
    const uint8_t* p = tables + entry * kBytes;
    asm("" : "+r"(p));
    return p;
  }

  template <int kEntries, int kFirst>
  __attribute__((always_inline)) static void AddFourGroups(const uint8_t* tables,
                                                           const uint8_t* entries,
                                                           Register* ones, Register* twos,
                                                           Register* four_carry) {
    constexpr int kHigh = kEntries * kBytes;  // the offset of the entries' high bits
    constexpr int kTable = 2 * kHigh;
    const uint8_t* a = Entry(tables, entries[kFirst]) + kFirst * kTable;
    const uint8_t* b = Entry(tables, entries[kFirst + 1]) + (kFirst + 1) * kTable;
    const uint8_t* c = Entry(tables, entries[kFirst + 2]) + (kFirst + 2) * kTable;
    const uint8_t* d = Entry(tables, entries[kFirst + 3]) + (kFirst + 3) * kTable;
    Register carry_ab, carry_cd;  // of weight 2
    *ones = V::FullAdd(V::Load(a), V::Load(b), *ones, &carry_ab);
    *ones = V::FullAdd(V::Load(c), V::Load(d), *ones, &carry_cd);
    *twos = V::FullAdd(V::Load(a + kHigh), V::Load(b + kHigh), *twos, &four_carry[0]);
    *twos = V::FullAdd(V::Load(c + kHigh), V::Load(d + kHigh), *twos, &four_carry[1]);
    *twos = V::FullAdd(carry_ab, carry_cd, *twos, &four_carry[2]);
  }

  // Adds the waiting carries; the planes then follow each other.
  static void SettleCarries(size_t chunks, uint8_t* sum) {
    uint8_t* plane = sum + kLowPlanes * kBytes;
    Register carry = V::Zero();
    for (const uint8_t* upper = plane; chunks != 0; chunks >>= 1, upper += 2 * kBytes) {
      const Register waiting = chunks & 1 ? V::Load(upper + kBytes) : V::Zero();
      V::Store(plane, V::FullAdd(V::Load(upper), waiting, carry, &carry));
      plane += kBytes;
    }
    V::Store(plane, carry);
  }

  // --- Outputs --------------------------------------------------------------------------------

  void Finish(const CodebookPlan& plan, int b, int group, int block, int first, int last,
              void* output, const Scratch& scratch) const {
    // Where the channels of each place of the block begin in the output, -1 for nowhere.
    const bool packed = transform_.type == OutputType::kBitpacked;
    const int stride = packed ? g_.output_words() : g_.channels_out;
    int64_t offsets[V::kBits];
    int y = block * V::kBits / raster_.pitch, x = block * V::kBits % raster_.pitch;
    for (int64_t& offset : offsets) {
      const bool inside = y < g_.output_height && x < g_.output_width;
      const int64_t pixel =
          (static_cast<int64_t>(b) * g_.output_height + y) * g_.output_width + x;
      offset = inside ? pixel * stride : -1;
      if (++x == raster_.pitch) {
        x = 0;
        ++y;
      }
    }
    OutputTile<V> tile(transform_, vector_transform_, plan.sum_planes + 1, offsets, output,
                       scratch.tile);
    const Register parity = V::Load(scratch.parities + plan.last_group * kBytes);
    const Register parities[2] = {parity, V::Not(parity)};
    const int step = packed ? 32 : 8;
    for (int o = first; o < last; o += step) {
      const int count = std::min(step, last - o);
      for (int i = 0; i < count; ++i) {
        SettleCarries(plan.chunks.size(),
                      scratch.sums + static_cast<size_t>(o + i - first) * sum_stride_);
        tile.SetPopcounts(i, o + i + group * g_.channels_out_per_group(),
                          parities[plan.last_parities[o + i]],
                          scratch.sums + static_cast<size_t>(o + i - first) * sum_stride_);
      }
      tile.Store(o + group * g_.channels_out_per_group(), count);
    }
  }

  const Geometry g_;
  OutputTransform transform_;
  const VectorTransform vector_transform_;
  const Raster raster_;
  const char* const isa_;
  std::vector<CodebookPlan> plans_;  // one for each group of the convolution
  int table_entries_ = 0;
  int sum_stride_ = 0;               // bytes
};

template <class V>
std::unique_ptr<Bconv2d> MakeCodebookBconv2d(const Geometry& geometry, const FilterReader& filter,
                                             OutputTransform transform, const char* isa,
                                             std::string* error) {
  if (geometry.depth() > kMaxCodebookDepth) {
    *error = "Expected at most " + std::to_string(kMaxCodebookDepth) +
             " taps times input channels for the codebook kernel, got " +
             std::to_string(geometry.depth());
    return nullptr;
  }
  return std::make_unique<CodebookBconv2d<V>>(geometry, filter, std::move(transform), isa);
}

}  // namespace
}  // namespace sparsebnn
