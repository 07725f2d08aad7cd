// The loops of the bit-sliced convolution, for a vector type V of kBits pixels. Included by one
// file for each instruction set; everything here has internal linkage, so that each file has
// its own code.
//
//   planes = the input as bit planes                                          (raster.h)
//   for each block of kBits places:
//     for each chunk of 16 groups:
//       table = (m, h) of each group's patterns; parity of each group         Tables::Build
//       for each output channel:
//         sum[o] += table[its entry of each group]       16 two-bit numbers   Sums::AddChunk
//     transform(2 * sum[o] + last parity) to the output's layout              Finish
#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "bconv2d_codebook.h"
#include "codebook_plan.h"
#include "codebook_sums_inl.h"
#include "codebook_tables_inl.h"
#include "input_planes_inl.h"
#include "kernels/base/decimal.h"
#include "kernels/bconv2d/kernel_list.h"
#include "kernels/bconv2d/output_transform.h"
#include "output_tile_inl.h"
#include "raster.h"

namespace sparsebnn {
namespace {

template <class V>
class CodebookBconv2d : public Bconv2d {
  using Register = typename V::Register;
  using Tables = CodebookTables<V>;
  using Sums = CodebookSums<V>;
  static constexpr int kBytes = V::kBits / 8;

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
        rest_(std::move(rest)),
        plans_(PlanCodebooks(filter, geometry, raster)) {
    PadForVectors(&transform_);
    for (const CodebookPlan& plan : plans_) {
      for (const Chunk& chunk : plan.chunks) {
        table_entries_ = std::max(table_entries_, static_cast<int>(chunk.patterns.size()));
      }
    }
    sum_stride_ = Sums::Stride(plans_[0].chunks.size());
  }

  bool RunTo(const Bconv2dOutput& output, const uint32_t* input, Workspace* workspace,
             ThreadPool* threads) const override {
    if (rest_ != nullptr && !rest_->RunTo(output, input, workspace, threads)) return false;
    const int channels_out = g_.channels_out_per_group();
    const int blocks = raster_.blocks + raster_.half_block;
    const int parts = raster_.ChannelParts(channels_out, threads->threads());
    const int channels_per_part = ((channels_out + 31) / 32 + parts - 1) / parts * 32;
    const size_t scratch_bytes = ScratchBytes(channels_per_part);
    // Planes of its own for each thread: those that another has filled lie in another's cache, and
    // are not there before it has come.
    const size_t planes_bytes = static_cast<size_t>(raster_.PlanesBytes(g_));
    const size_t thread_bytes = sizeof(Planes) + planes_bytes + scratch_bytes;
    if (!workspace->Reserve(static_cast<uint64_t>(threads->threads()) * thread_bytes)) {
      return false;
    }
    const auto planes_of = [&](int thread) {
      return reinterpret_cast<Planes*>(workspace->data() + thread * thread_bytes);
    };

    for (int b = 0; b < g_.batch; ++b) {
      const uint32_t* image =
          input + static_cast<size_t>(b) * g_.input_height * g_.input_width * g_.input_words();
      for (int group = 0; group < g_.groups; ++group) {
        for (int t = 0; t < threads->threads(); ++t) *planes_of(t) = {};
        threads->ParallelFor(blocks * parts, [&](int task, int thread) {
          const int first = task % parts * channels_per_part;
          const int last = std::min(first + channels_per_part, channels_out);
          if (first >= last) return;
          const int block = task / parts;
          Planes* planes = planes_of(thread);
          uint8_t* scratch = planes->data() + planes_bytes;
          const bool whole = block < raster_.blocks;
          FillPlanes(g_, raster_, image, group, block * V::kBits,
                     whole ? V::kBits : V::kBits / 2, planes);
          if (whole) {
            RunBlock<1>(planes->data(), b, group, block, first, last, output, scratch);
          } else {
            RunBlock<2>(planes->data(), b, group, block, first, last, output, scratch);
          }
        });
      }
    }
    return true;
  }

  bool TakesEpilogue() const override {
    return transform_.type == OutputType::kFloat32 &&
           (g_.groups == 1 || g_.channels_out_per_group() % kEpilogueChunk == 0);
  }

  const char* kernel() const override { return "codebook"; }
  std::string description() const override {
    return DescribeCodebook(V::kBits, isa_, plans_[0].chunks[0].patterns.size());
  }

 private:
  // --- Blocks ---------------------------------------------------------------------------

  struct Scratch {
    uint8_t* tables;      // [entries, 2 planes, 16 groups]
    uint8_t* majorities;  // [16 groups, 3 triples, 8 patterns]
    uint8_t* parities;    // [groups]
    uint8_t* sums;        // [channels, sum planes]
    uint8_t* tile;        // OutputTile's
    uint8_t* values;      // [kBits, kEpilogueChunk], for an epilogue; or [kBits, words]
  };

  size_t ValuesBytes(int channels) const {
    if (TakesEpilogue()) return V::kBits * kEpilogueChunk * sizeof(float);
    return transform_.type == OutputType::kBitpacked
               ? V::kBits * static_cast<size_t>(WordsFor(channels)) * sizeof(uint32_t)
               : 0;
  }

  static size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

  size_t ScratchBytes(int channels, uint8_t* base = nullptr, Scratch* scratch = nullptr) const {
    size_t groups = 0;
    for (const CodebookPlan& plan : plans_) groups = std::max(groups, plan.groups.size());
    const size_t sizes[] = {static_cast<size_t>(table_entries_) * Tables::kEntryBytes,
                            static_cast<size_t>(kChunkGroups) * Tables::kMajorities,
                            (groups + 1) * kBytes,
                            static_cast<size_t>(channels) * sum_stride_,
                            OutputTile<V>::kScratchBytes,
                            ValuesBytes(channels)};
    size_t offsets[7] = {0};
    for (int i = 0; i < 6; ++i) offsets[i + 1] = offsets[i] + RoundUp(sizes[i]);
    if (scratch != nullptr) {
      *scratch = {base + offsets[0], base + offsets[1], base + offsets[2],
                  base + offsets[3], base + offsets[4], base + offsets[5]};
    }
    return offsets[6];
  }

  // In a half block, kHalves = 2, the halves of a register are the same places for two groups
  // that follow each other, and two chunks are added at once. What is listed by groups, tables
  // and parities, is in memory as before, in units of half a register.
  template <int kHalves>
  void RunBlock(const uint8_t* planes, int b, int group, int block, int first, int last,
                const Bconv2dOutput& output, uint8_t* scratch_bytes) const {
    const CodebookPlan& plan = plans_[group];
    Scratch scratch;
    ScratchBytes(last - first, scratch_bytes, &scratch);
    const uint8_t* block_planes = planes + static_cast<size_t>(block) * kBytes;
    const uint8_t* masks = &masks_[block * raster_.taps.size() * kBytes];
    std::memset(scratch.sums, 0, static_cast<size_t>(last - first) * sum_stride_);
    const size_t chunk_entries =
        static_cast<size_t>(g_.channels_out_per_group()) * kChunkGroups;
    int added = 0;  // chunks, or pairs of them
    for (size_t k = 0; k < plan.chunks.size(); k += kHalves) {
      const Chunk& chunk = plan.chunks[k];
      if (plan.groups[chunk.first_group].size == 0) continue;
      Tables::template Build<kHalves>(plan, chunk, block_planes, masks, scratch.majorities,
                                      scratch.parities, scratch.tables);
      const uint8_t* entries = &plan.entries[k * chunk_entries + first * kChunkGroups];
      const uint8_t* others = entries + (kHalves - 1) * chunk_entries;
      const int carried = __builtin_ctz(~static_cast<unsigned>(added++));
      if (carried == 0) {
        Sums::template AddChunk<kHalves, false>(scratch.tables, entries, others, last - first,
                                                0, sum_stride_, scratch.sums);
      } else {
        Sums::template AddChunk<kHalves, true>(scratch.tables, entries, others, last - first,
                                               carried, sum_stride_, scratch.sums);
      }
    }
    Finish(plan, b, group, block, kHalves, first, last, added, output, scratch);
  }

  // --- Outputs --------------------------------------------------------------------------

  // Places of a block whose pixels follow each other.
  struct PixelRun {
    int place, count;
    size_t pixel;
  };

  void Finish(const CodebookPlan& plan, int b, int group, int block, int halves, int first,
              int last, int chunks, const Bconv2dOutput& output, const Scratch& scratch) const {
    // Where the channels of each place of the block begin in the output, -1 for nowhere.
    const bool packed = transform_.type == OutputType::kBitpacked;
    const int stride = packed ? g_.output_words() : g_.channels_out;
    // Words of a pixel that threads share, for then they have a cache line in common: they come to
    // the output at once in the end.
    const int words = WordsFor(last - first);
    const bool apart = packed && last - first < g_.channels_out_per_group();
    int64_t offsets[V::kBits];
    int64_t pixels[V::kBits];
    PixelRun runs[V::kBits];
    int run_count = 0;
    int y = block * V::kBits / raster_.pitch, x = block * V::kBits % raster_.pitch;
    for (int i = 0; i < V::kBits; ++i) {
      const bool inside = y < g_.output_height && x < g_.output_width && i < V::kBits / halves;
      const int64_t pixel =
          (static_cast<int64_t>(b) * g_.output_height + y) * g_.output_width + x;
      pixels[i] = inside ? pixel : -1;
      offsets[i] = !inside ? -1 : apart ? static_cast<int64_t>(i) * words : pixel * stride;
      if (inside && output.epilogue != nullptr) {
        offsets[i] = i * kEpilogueChunk;
        PixelRun* last_run = runs + std::max(run_count - 1, 0);
        if (run_count > 0 && last_run->place + last_run->count == i) {
          ++last_run->count;
        } else {
          runs[run_count++] = {i, 1, static_cast<size_t>(pixel)};
        }
      }
      if (++x == raster_.pitch) {
        x = 0;
        ++y;
      }
    }
    const bool in_chunks = output.epilogue != nullptr;
    float* const values = reinterpret_cast<float*>(scratch.values);
    OutputTile<V> tile(transform_, vector_transform_, plan.sum_planes + 1, offsets,
                       in_chunks || apart ? values : output.data, scratch.tile);
    const Register parity = V::Load(scratch.parities + plan.last_group * (kBytes / halves));
    const Register parities[2] = {parity, V::Not(parity)};
    const int step = packed ? 32 : 8;
    const int first_channel = group * g_.channels_out_per_group();
    for (int o = first; o < last; o += step) {
      const int count = std::min(step, last - o);
      for (int i = 0; i < count; ++i) {
        uint8_t* sum = scratch.sums + static_cast<size_t>(o + i - first) * sum_stride_;
        Sums::SettleCarries(chunks, sum);
        if (halves == 2) Sums::AddHalves(plan.sum_planes, sum);
        tile.SetPopcounts(i, first_channel + o + i, parities[plan.last_parities[o + i]], sum);
      }
      const int column = (o - first) % kEpilogueChunk;
      tile.Store(first_channel + o, count,
                 in_chunks ? column
                 : apart   ? o - first
                           : first_channel + o);
      if (!in_chunks || (column + step < kEpilogueChunk && o + step < last)) continue;
      for (int r = 0; r < run_count; ++r) {
        output.epilogue->Run({values + runs[r].place * kEpilogueChunk, kEpilogueChunk,
                              runs[r].pixel, runs[r].count, first_channel + o - column,
                              column + count});
      }
    }
    if (!apart) return;
    uint32_t* const output_words =
        static_cast<uint32_t*>(output.data) + (first_channel + first) / 32;
    for (int i = 0; i < V::kBits; ++i) {
      if (pixels[i] < 0) continue;
      std::memcpy(output_words + pixels[i] * stride,
                  scratch.values + static_cast<size_t>(i) * words * sizeof(uint32_t),
                  words * sizeof(uint32_t));
    }
  }

  const Geometry g_;
  OutputTransform transform_;
  const VectorTransform vector_transform_;
  const Raster raster_;
  const std::vector<uint8_t> masks_;  // raster_.ColumnMasks
  const char* const isa_;
  const std::unique_ptr<Bconv2d> rest_;
  const std::vector<CodebookPlan> plans_;  // one for each group of the convolution
  int table_entries_ = 0;
  int sum_stride_ = 0;  // bytes
};

// `make_dense`: for the pixels that would leave a block almost empty.
template <class V>
std::unique_ptr<Bconv2d> MakeCodebookBconv2d(const Geometry& geometry,
                                             const FilterReader& filter,
                                             OutputTransform transform, const char* isa,
                                             Bconv2dFactory make_dense, std::string* error) {
  if (geometry.depth() > kMaxCodebookDepth) {
    *error = "Expected at most " + Decimal(kMaxCodebookDepth) +
             " taps times input channels for the codebook kernel, got " +
             Decimal(geometry.depth());
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
  return std::make_unique<CodebookBconv2d<V>>(geometry, raster, filter, std::move(transform),
                                              isa, std::move(rest));
}

}  // namespace
}  // namespace sparsebnn

// The function that kernel_list.inc names, of a V of as many bits; `make_dense` as above.
#define SPARSEBNN_DEFINE_CODEBOOK(V, bits, isa, make_dense)                                 \
  static_assert(V::kBits == bits, "not the vector of " #V);                                 \
  std::unique_ptr<Bconv2d> MakeCodebookBconv2d_x##bits##__##isa(                            \
      const Geometry& geometry, const FilterReader& filter, OutputTransform transform,      \
      std::string* error) {                                                                 \
    return MakeCodebookBconv2d<V>(geometry, filter, std::move(transform), #isa, make_dense, \
                                  error);                                                   \
  }
