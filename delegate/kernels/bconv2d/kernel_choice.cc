// The cost model: a few counts of a layer, times what one of each costs.
//
// codebook, for each block of as many places as a vector has pixels:
//     table entries   built for the groups, each once for all output channels
//     chunk sums      output channels times chunks of 16 groups: 31 full adders each
//     outputs         output channels, for transposing the sums to numbers or words
// xnor, for each output pixel:
//     taps            output channels, rounded up to the tile, times taps
//     steps           taps times input words
//     outputs         output channels
//
// The weights were fitted by benchmarks/speed/fit_cost_model.py to measurements of every kernel
// on many shapes; the script also says how far the model's choice is from the best. Those for
// NEON are the modelled cycles of the compiled kernels' parts on Neoverse N1, Cortex-A72 and
// between Cortex-A53 and A55 (docs/arm-cost.md).
#include "kernel_choice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/codebook/codebook_plan.h"
#include "kernels/codebook/raster.h"

namespace sparsebnn {
namespace {

struct Weights {
  KernelKind kind;
  const char* tile;
  Isa isa;
  Core core;
  // For each table entry or tap, chunk sum or step, output of float or int8, bit-packed output:
  // ns, or cycles for NEON.
  double entry, sum, number, bit;
};

constexpr Weights kWeights[] = {
    {KernelKind::kXnor, "2x8", Isa::kScalar, Core::kOutOfOrder, 0.05717, 0.41, 0.9212, 1.094},
    {KernelKind::kCodebook, "x64", Isa::kScalar, Core::kOutOfOrder, 0.7479, 19.25, 60.12,
     19.81},
    {KernelKind::kXnor, "4x16", Isa::kAvx2, Core::kOutOfOrder, 0.04318, 0.06896, 0.231, 0.3425},
    {KernelKind::kCodebook, "x256", Isa::kAvx2, Core::kOutOfOrder, 0.911, 16.42, 128.3, 33.64},
    {KernelKind::kXnor, "8x32", Isa::kAvx512, Core::kOutOfOrder, 0.03666, 0.0215, 0.1198,
     0.1862},
    {KernelKind::kCodebook, "x128", Isa::kAvx512, Core::kOutOfOrder, 0.6441, 11.83, 66.02,
     26.05},
    {KernelKind::kCodebook, "x256", Isa::kAvx512, Core::kOutOfOrder, 0.8768, 13.28, 112.9,
     28.5},
    {KernelKind::kCodebook, "x512", Isa::kAvx512, Core::kOutOfOrder, 1.696, 19.53, 254, 98.36},
    {KernelKind::kXnor, "4x8", Isa::kNeon, Core::kOutOfOrder, 0, 0.375, 2.5, 2.5},
    {KernelKind::kCodebook, "x128", Isa::kNeon, Core::kOutOfOrder, 2.75, 53, 205, 60},
    {KernelKind::kXnor, "4x8", Isa::kNeon, Core::kCortexA72, 0, 0.375, 4.5, 4.5},
    {KernelKind::kCodebook, "x128", Isa::kNeon, Core::kCortexA72, 5, 83, 410, 110},
    {KernelKind::kXnor, "4x8", Isa::kNeon, Core::kInOrder, 0, 1, 10, 10},
    {KernelKind::kCodebook, "x128", Isa::kNeon, Core::kInOrder, 12.5, 280, 1060, 270},
};

const Weights& WeightsOf(const KernelEntry& kernel) {
  static const Core this_core = ThisCore();
  const Core core = kernel.isa == Isa::kNeon ? this_core : Core::kOutOfOrder;
  for (const Weights& weights : kWeights) {
    if (weights.kind == kernel.kind && weights.isa == kernel.isa && weights.core == core &&
        std::strcmp(weights.tile, kernel.tile) == 0) {
      return weights;
    }
  }
  return kWeights[0];
}

}  // namespace

CostTerms CountCostTerms(const KernelEntry& kernel, const Geometry& g, int patterns) {
  CostTerms terms;
  const double channels_out = g.channels_out_per_group();
  if (kernel.kind == KernelKind::kXnor) {
    const char* cross = std::strchr(kernel.tile, 'x');
    const int tile_pixels = std::atoi(kernel.tile), tile_channels = std::atoi(cross + 1);
    const double pixels =
        std::ceil(static_cast<double>(g.output_width) * g.output_height / tile_pixels) *
        tile_pixels * g.batch * g.groups;
    const double padded =
        (g.channels_out_per_group() + tile_channels - 1) / tile_channels * tile_channels;
    terms.entries = pixels * padded * g.taps();
    terms.sums = terms.entries * g.group_words();
    terms.outputs = pixels * padded;
    return terms;
  }
  const int bits = std::atoi(kernel.tile + 1);
  const Raster raster(g, bits);
  // As in raster.cc.
  const double rest = 2.0 * (g.output_height * g.output_width - raster.pixels) / bits +
                      (raster.half_block ? 0.65 : 0);
  const double blocks = (raster.blocks + rest) * g.batch * g.groups;
  const double tap_groups = g.channels_in_per_group() * (g.taps() / kMaxGroupSize);
  const double pool_size = g.channels_out_per_group() >= 512 ? 7 : 6;
  // Each pool group takes its size of positions and gives one back.
  const double pool_groups = (g.depth() - (kMaxGroupSize - 1) * tap_groups) / (pool_size - 1);
  const auto chunks = [](double groups) { return std::ceil(groups / kChunkGroups); };
  terms.entries =
      blocks * (tap_groups * (patterns + 16) +
                pool_groups * std::min<double>(1 << static_cast<int>(pool_size), channels_out) +
                16 * pool_groups);
  terms.sums = blocks * channels_out * (chunks(tap_groups) + chunks(pool_groups));
  terms.outputs = blocks * channels_out;
  return terms;
}

double EstimateCost(const KernelEntry& kernel, const Geometry& geometry, int patterns,
                    OutputType output) {
  const Weights& weights = WeightsOf(kernel);
  const CostTerms terms = CountCostTerms(kernel, geometry, patterns);
  return weights.entry * terms.entries + weights.sum * terms.sums +
         (output == OutputType::kBitpacked ? weights.bit : weights.number) * terms.outputs;
}

int CountPatterns(const Geometry& g, const FilterReader& filter) {
  if (g.taps() < kMaxGroupSize) return 0;
  const int channels = std::min(kChunkGroups, g.channels_in_per_group());
  std::array<bool, 1 << kMaxGroupSize> seen{};
  std::vector<uint32_t> words(static_cast<size_t>(g.taps()) * g.group_words());
  for (int o = 0; o < g.channels_out_per_group(); ++o) {
    filter.ReadChannel(o, words.data());
    for (int c = 0; c < channels; ++c) {
      int pattern = 0;
      for (int t = 0; t < kMaxGroupSize; ++t) {
        pattern |= static_cast<int>(words[static_cast<size_t>(t) * g.group_words()] >> c & 1)
                   << t;
      }
      seen[pattern] = true;
    }
  }
  return static_cast<int>(std::count(seen.begin(), seen.end(), true));
}

const KernelEntry* ChooseKernel(const Geometry& geometry, const FilterReader& filter,
                                OutputType output, const Bconv2dOptions& options,
                                std::string* error) {
  int count;
  const KernelEntry* kernels = KernelList(&count);
  const int patterns = CountPatterns(geometry, filter);
  const KernelEntry* best = nullptr;
  double best_cost = 0;
  for (const KernelEntry* kernel = kernels; kernel != kernels + count; ++kernel) {
    if (kernel->isa != options.isa || !IsaAvailable(kernel->isa)) continue;
    if (options.kernel != KernelKind::kAuto && kernel->kind != options.kernel) continue;
    if (!KernelSupports(*kernel, geometry, output)) continue;
    const double cost = EstimateCost(*kernel, geometry, patterns, output);
    if (best == nullptr || cost < best_cost) {
      best = kernel;
      best_cost = cost;
    }
  }
  if (best == nullptr) {
    *error = std::string("Expected a kernel that computes this layer on ") +
             IsaName(options.isa) + ", got none. Use kernel=auto and isa=auto";
  }
  return best;
}

}  // namespace sparsebnn
