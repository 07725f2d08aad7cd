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
#include "kernel_list.h"
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
  static constexpr int kRowBytes = kChunkGroups * kBytes;  // a vector of each group of a chunk
  static constexpr int kMajorities = 24 * kBytes;          // of a group

 public:
  // `rest` does the pixels from raster.pixels on, if there are any.
  CodebookBconv2d(const Geometry& geometry, const Raster& raster, const FilterReader& filter,
                  OutputTransform transform, const char* isa, std::unique_ptr<Bconv2d> rest)
      : g_(geometry),
        transform_(std::move(transform)),
        vector_transform_(transform_, geometry.depth()),
        raster_(raster),
        masks_(raster.ColumnMasks(geometry, V::kBits)),
        isa_(isa),
        rest_(std::move(rest)) {
    PadForVectors(&transform_);
    for (int group = 0; group < g_.groups; ++group) {
      plans_.push_back(PlanCodebook(filter, group * g_.channels_out_per_group(),
                                    g_.channels_out_per_group(), g_.channels_in_per_group(),
                                    Raster::PlanesPerPhase(g_), raster_.plane_bytes, raster_.taps,
                                    raster_.half_block ? 2 : 1));
      for (const Chunk& chunk : plans_.back().chunks) {
        table_entries_ = std::max(table_entries_, static_cast<int>(chunk.patterns.size()));
      }
    }
    int upper_planes = 1;
    while (plans_[0].chunks.size() >> upper_planes != 0) ++upper_planes;
    sum_stride_ = (kLowPlanes + 2 * upper_planes) * kBytes;
  }

  bool Run(const uint32_t* input, void* output, Workspace* workspace,
           ThreadPool* threads) const override {
    if (rest_ != nullptr && !rest_->Run(input, output, workspace, threads)) return false;
    // With fewer blocks than threads the output channels are shared out too; each thread then
    // builds all the tables.
    const int channels_out = g_.channels_out_per_group();
    const int tiles = (channels_out + 31) / 32;
    const int blocks = raster_.blocks + raster_.half_block;
    const int tasks_wanted =
        threads->threads() > blocks ? (threads->threads() + blocks - 1) / blocks : 1;
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
        threads->ParallelFor(blocks * splits, [&](int task, int thread) {
          const int first = task % splits * tiles_per_split * 32;
          const int last = std::min(first + tiles_per_split * 32, channels_out);
          if (first >= last) return;
          const int block = task / splits;
          uint8_t* scratch = planes + planes_bytes + thread * scratch_bytes;
          if (block < raster_.blocks) {
            RunBlock<1>(planes, b, group, block, first, last, output, scratch);
          } else {
            RunBlock<2>(planes, b, group, block, first, last, output, scratch);
          }
        });
      }
    }
    return true;
  }

  const char* kernel() const override { return "codebook"; }
  std::string description() const override {
    return std::string("codebook x") + std::to_string(V::kBits) + " " + isa_ + ", " +
           std::to_string(plans_[0].chunks[0].patterns.size()) +
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
    uint8_t* tables;      // [entries, 2 planes, 16 groups]
    uint8_t* majorities;  // [16 groups, 3 triples, 8 patterns]
    uint8_t* parities;    // [groups]
    uint8_t* sums;        // [channels, sum planes]
    uint8_t* tile;        // OutputTile's
  };

  static size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

  size_t ScratchBytes(int channels, uint8_t* base = nullptr, Scratch* scratch = nullptr) const {
    size_t groups = 0;
    for (const CodebookPlan& plan : plans_) groups = std::max(groups, plan.groups.size());
    const size_t sizes[] = {static_cast<size_t>(table_entries_) * 2 * kRowBytes,
                            static_cast<size_t>(kChunkGroups) * kMajorities,
                            (groups + 1) * kBytes,
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

  // In a half block, kHalves = 2, the halves of a register are the same places for two groups
  // that follow each other, and two chunks are added at once. What is listed by groups, tables and
  // parities, is in memory as before, in units of half a register.
  template <int kHalves>
  void RunBlock(const uint8_t* planes, int b, int group, int block, int first, int last,
                void* output, uint8_t* scratch_bytes) const {
    const CodebookPlan& plan = plans_[group];
    Scratch scratch;
    ScratchBytes(last - first, scratch_bytes, &scratch);
    const uint8_t* block_planes = planes + static_cast<size_t>(block) * kBytes;
    const uint8_t* masks = &masks_[block * raster_.taps.size() * kBytes];
    std::memset(scratch.sums, 0, static_cast<size_t>(last - first) * sum_stride_);
    const size_t chunk_entries = static_cast<size_t>(g_.channels_out_per_group()) * kChunkGroups;
    int added = 0;  // chunks, or pairs of them
    for (size_t k = 0; k < plan.chunks.size(); k += kHalves) {
      const Chunk& chunk = plan.chunks[k];
      if (plan.groups[chunk.first_group].size == 0) continue;
      BuildTables<kHalves>(plan, chunk, block_planes, masks, scratch);
      const uint8_t* entries = &plan.entries[k * chunk_entries + first * kChunkGroups];
      const uint8_t* others = entries + (kHalves - 1) * chunk_entries;
      const int carried = __builtin_ctz(~static_cast<unsigned>(added++));
      if (carried == 0) {
        AddChunk<kHalves, false>(scratch, entries, others, last - first, 0);
      } else {
        AddChunk<kHalves, true>(scratch, entries, others, last - first, carried);
      }
    }
    Finish<kHalves>(plan, b, group, block, first, last, added, output, scratch);
  }

  // --- Tables ---------------------------------------------------------------------------------

  template <int kHalves>
  static Register LoadPosition(const Position& position, const uint8_t* planes,
                               const uint8_t* masks, const uint8_t* parities) {
    if (position.bit < 0) return V::Load(parities + position.offset * (kBytes / kHalves));
    return V::And(V::LoadShifted(planes + position.offset, position.bit),
                  V::Load(masks + position.tap * kBytes));
  }

  // With the seven positions in three triples, (x0, x1, x2), (x3, x4, x5) and the parities of
  // these two and x6, the number of a group is
  //   4 h + 2 m + l = 2 * (majority of the first + that of the second + that of the third) + l
  // and each triple has eight majorities, for the eight patterns of the filter's bits in it.
  template <int kHalves>
  void BuildTables(const CodebookPlan& plan, const Chunk& chunk, const uint8_t* planes,
                   const uint8_t* masks, const Scratch& scratch) const {
    for (int i = 0; i < kChunkGroups; ++i) {
      const int g = chunk.first_group + i * kHalves;
      Register x[kMaxGroupSize];
      LoadPositions<kHalves>(plan.groups[g], planes, masks, scratch.parities, x);
      if (kHalves == 2) {
        Register upper[kMaxGroupSize];
        LoadPositions<kHalves>(plan.groups[g + 1], planes, masks, scratch.parities, upper);
        for (int p = 0; p < kMaxGroupSize; ++p) x[p] = LowerHalves(x[p], upper[p]);
      }
      uint8_t* majorities = scratch.majorities + i * kMajorities;
      const Register first = StoreMajorities(x[0], x[1], x[2], majorities);
      const Register second = StoreMajorities(x[3], x[4], x[5], majorities + 8 * kBytes);
      const Register parity = StoreMajorities(first, second, x[6], majorities + 16 * kBytes);
      V::Store(scratch.parities + g * (kBytes / kHalves), parity);
    }
    uint8_t* entry = scratch.tables;
    for (const uint8_t pattern : chunk.patterns) {
      constexpr unsigned kParities = 0x96;  // bit i: the parity of i
      const int first = pattern & 7, second = pattern >> 3 & 7;
      const int third = (kParities >> first & 1) | (kParities >> second & 1) << 1 | pattern >> 6 << 2;
      const uint8_t* a = scratch.majorities + first * kBytes;
      const uint8_t* b = scratch.majorities + (8 + second) * kBytes;
      const uint8_t* c = scratch.majorities + (16 + third) * kBytes;
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

  template <int kHalves>
  static void LoadPositions(const PositionGroup& group, const uint8_t* planes,
                            const uint8_t* masks, const uint8_t* parities, Register* x) {
    for (int p = 0; p < kMaxGroupSize; ++p) {
      x[p] = p < group.size
                 ? LoadPosition<kHalves>(group.positions[p], planes, masks, parities)
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

  // --- Sums -----------------------------------------------------------------------------------

  // sums[o] += the entries of 16 groups, two-bit numbers. 31 full adders and a half adder;
  // each adder takes the running sum last, so that only one operation of it is on the chain from
  // adder to adder.
  //
  // A carry out of the low planes waits until there is a second one to add with it, so that the
  // upper planes cost one adder a chunk: each plane is a pair, bits and a waiting carry. Before
  // the k-th chunk, carries wait in the planes where k has a 1; `carried` is how many of these
  // there are before the first 0, kCarried whether there are any.
  //
  // `others`: the entries of the second chunk, of a half block.
  template <int kHalves, bool kCarried>
  void AddChunk(const Scratch& scratch, const uint8_t* entries, const uint8_t* others,
                int channels, int carried) const {
    uint8_t* sum = scratch.sums;
    for (int o = 0; o < channels; ++o, sum += sum_stride_) {
      Register ones = V::Load(sum);
      Register twos = V::Load(sum + kBytes);
      Register fours = V::Load(sum + 2 * kBytes);
      Register eights = V::Load(sum + 3 * kBytes);
      Register sixteens = V::Load(sum + 4 * kBytes);
      Register thirty_twos = V::Load(sum + 5 * kBytes);
      Register carry[6];  // of weight 8
      AddEightGroups<kHalves, 0>(scratch.tables, entries, &ones, &twos, &fours, carry);
      AddEightGroups<kHalves, 8>(scratch.tables, kHalves == 1 ? entries + 8 : others, &ones, &twos,
                                 &fours, carry + 3);
      entries += kChunkGroups;
      others += kChunkGroups;
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
      for (int plane = 0; kCarried && plane < carried; ++plane, upper += 2 * kBytes) {
        V::Store(upper, V::FullAdd(V::Load(upper), V::Load(upper + kBytes), sixty_four,
                                   &sixty_four));
      }
      V::Store(upper + kBytes, sixty_four);
    }
  }

  // Adds the vectors kFirst to kFirst + 7 of 16, whose first entry is *entries; three carries of
  // weight 8 are left.
  template <int kHalves, int kFirst>
  __attribute__((always_inline)) static void AddEightGroups(const uint8_t* tables,
                                                            const uint8_t* entries,
                                                            Register* ones, Register* twos,
                                                            Register* fours,
                                                            Register* eight_carry) {
    Register carry[6];  // of weight 4
    AddFourGroups<kHalves, kFirst>(tables, entries, ones, twos, carry);
    AddFourGroups<kHalves, kFirst + 4>(tables, entries + 4 * kHalves, ones, twos,
                                       carry + 3);
    *fours = V::FullAdd(carry[0], carry[1], *fours, &eight_carry[0]);
    *fours = V::FullAdd(carry[2], carry[3], *fours, &eight_carry[1]);
    *fours = V::FullAdd(carry[4], carry[5], *fours, &eight_carry[2]);
  }

  // Vector kIndex of the entries of its group, or of its two groups.
  template <int kHalves, int kIndex>
  __attribute__((always_inline)) static void LoadEntry(const uint8_t* tables,
                                                       const uint8_t* entries, Register* middle,
                                                       Register* high) {
    const uint8_t* low = Entry(tables, entries[0]) + kIndex * kBytes;
    if (kHalves == 1) {
      *middle = V::Load(low);
      *high = V::Load(low + kRowBytes);
    } else {
      const uint8_t* upper = Entry(tables, entries[1]) + kIndex * kBytes + kBytes / 2;
      *middle = V::LoadHalves(low, upper);
      *high = V::LoadHalves(low + kRowBytes, upper + kRowBytes);
    }
  }

  // The empty statement keeps compilers from adding a group's offset first, which would want a
  // register for each group, instead of leaving it to the load.
  __attribute__((always_inline)) static const uint8_t* Entry(const uint8_t* tables, int entry) {
    const uint8_t* p = tables + entry * (2 * kRowBytes);
    asm("" : "+r"(p));
    return p;
  }

  template <int kHalves, int kFirst>
  __attribute__((always_inline)) static void AddFourGroups(const uint8_t* tables,
                                                           const uint8_t* entries,
                                                           Register* ones, Register* twos,
                                                           Register* four_carry) {
    Register middle[4], high[4];
    LoadEntry<kHalves, kFirst>(tables, entries, &middle[0], &high[0]);
    LoadEntry<kHalves, kFirst + 1>(tables, entries + kHalves, &middle[1], &high[1]);
    LoadEntry<kHalves, kFirst + 2>(tables, entries + 2 * kHalves, &middle[2], &high[2]);
    LoadEntry<kHalves, kFirst + 3>(tables, entries + 3 * kHalves, &middle[3], &high[3]);
    Register carry[2];  // of weight 2
    *ones = V::FullAdd(middle[0], middle[1], *ones, &carry[0]);
    *ones = V::FullAdd(middle[2], middle[3], *ones, &carry[1]);
    *twos = V::FullAdd(high[0], high[1], *twos, &four_carry[0]);
    *twos = V::FullAdd(high[2], high[3], *twos, &four_carry[1]);
    *twos = V::FullAdd(carry[0], carry[1], *twos, &four_carry[2]);
  }

  // Adds the waiting carries; the planes then follow each other.
  static void SettleCarries(int chunks, uint8_t* sum) {
    uint8_t* plane = sum + kLowPlanes * kBytes;
    Register carry = V::Zero();
    for (const uint8_t* upper = plane; chunks != 0; chunks >>= 1, upper += 2 * kBytes) {
      const Register waiting = chunks & 1 ? V::Load(upper + kBytes) : V::Zero();
      V::Store(plane, V::FullAdd(V::Load(upper), waiting, carry, &carry));
      plane += kBytes;
    }
    V::Store(plane, carry);
  }

  // Adds the upper half of a sum to its lower one.
  static void AddHalves(int planes, uint8_t* sum) {
    Register carry = V::Zero();
    for (int k = 0; k < planes; ++k, sum += kBytes) {
      V::Store(sum, V::FullAdd(V::Load(sum), V::Load(sum + kBytes / 2), carry, &carry));
    }
  }

  // --- Outputs --------------------------------------------------------------------------------

  template <int kHalves>
  void Finish(const CodebookPlan& plan, int b, int group, int block, int first, int last,
              int chunks, void* output, const Scratch& scratch) const {
    // Where the channels of each place of the block begin in the output, -1 for nowhere.
    const bool packed = transform_.type == OutputType::kBitpacked;
    const int stride = packed ? g_.output_words() : g_.channels_out;
    int64_t offsets[V::kBits];
    int y = block * V::kBits / raster_.pitch, x = block * V::kBits % raster_.pitch;
    for (int i = 0; i < V::kBits; ++i) {
      const bool inside =
          y < g_.output_height && x < g_.output_width && i < V::kBits / kHalves;
      const int64_t pixel =
          (static_cast<int64_t>(b) * g_.output_height + y) * g_.output_width + x;
      offsets[i] = inside ? pixel * stride : -1;
      if (++x == raster_.pitch) {
        x = 0;
        ++y;
      }
    }
    OutputTile<V> tile(transform_, vector_transform_, plan.sum_planes + 1, offsets, output,
                       scratch.tile);
    const Register parity = V::Load(scratch.parities + plan.last_group * (kBytes / kHalves));
    const Register parities[2] = {parity, V::Not(parity)};
    const int step = packed ? 32 : 8;
    for (int o = first; o < last; o += step) {
      const int count = std::min(step, last - o);
      for (int i = 0; i < count; ++i) {
        uint8_t* sum = scratch.sums + static_cast<size_t>(o + i - first) * sum_stride_;
        SettleCarries(chunks, sum);
        if (kHalves == 2) AddHalves(plan.sum_planes, sum);
        tile.SetPopcounts(i, o + i + group * g_.channels_out_per_group(),
                          parities[plan.last_parities[o + i]], sum);
      }
      tile.Store(o + group * g_.channels_out_per_group(), count);
    }
  }

  const Geometry g_;
  OutputTransform transform_;
  const VectorTransform vector_transform_;
  const Raster raster_;
  const std::vector<uint8_t> masks_;  // raster_.ColumnMasks
  const char* const isa_;
  const std::unique_ptr<Bconv2d> rest_;
  std::vector<CodebookPlan> plans_;  // one for each group of the convolution
  int table_entries_ = 0;
  int sum_stride_ = 0;               // bytes
};

// `make_dense`: for the pixels that would leave a block almost empty.
template <class V>
std::unique_ptr<Bconv2d> MakeCodebookBconv2d(const Geometry& geometry, const FilterReader& filter,
                                             OutputTransform transform, const char* isa,
                                             Bconv2dFactory make_dense, std::string* error) {
  if (geometry.depth() > kMaxCodebookDepth) {
    *error = "Expected at most " + std::to_string(kMaxCodebookDepth) +
             " taps times input channels for the codebook kernel, got " +
             std::to_string(geometry.depth());
    return nullptr;
  }
  const Raster raster(geometry, V::kBits);
  std::unique_ptr<Bconv2d> rest;
  if (raster.pixels < geometry.output_height * geometry.output_width) {
    Geometry others = geometry;
    others.first_pixel = raster.pixels;
    rest = make_dense(others, filter, transform, error);
    if (rest == nullptr) return nullptr;
  }
  return std::make_unique<CodebookBconv2d<V>>(geometry, raster, filter, std::move(transform), isa,
                                              std::move(rest));
}

}  // namespace
}  // namespace sparsebnn
