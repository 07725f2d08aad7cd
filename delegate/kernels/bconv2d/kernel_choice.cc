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
// Several threads share out the pixels of xnor in small parts, but codebook's whole blocks: what
// the thread that ends last has to do is counted.
//
// The weights are in kernel_list.inc. They were fitted by benchmarks/speed/fit_cost_model.py, which
// also says how far the model's choice is from the best.
#include "kernel_choice.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/codebook/codebook_plan.h"
#include "kernels/codebook/raster.h"

namespace sparsebnn {

CostTerms CountCostTerms(const KernelEntry& kernel, const Geometry& g, int patterns) {
  CostTerms terms;
  const double channels_out = g.channels_out_per_group();
  if (kernel.kind == KernelKind::kXnor) {
    const double pixels =
        std::ceil(static_cast<double>(g.output_width) * g.output_height / kernel.pixels) *
        kernel.pixels * g.batch * g.groups;
    const double padded =
        (g.channels_out_per_group() + kernel.channels - 1) / kernel.channels * kernel.channels;
    terms.entries = pixels * padded * g.taps();
    terms.sums = terms.entries * g.group_words();
    terms.outputs = pixels * padded;
    return terms;
  }
  const Raster raster(g, kernel.pixels);
  const double blocks = raster.CostInBlocks(g, kernel.pixels) * g.batch * g.groups;
  const int tap_groups = g.channels_in_per_group() * (g.taps() / kMaxGroupSize);
  const int chunks = (tap_groups + kChunkGroups - 1) / kChunkGroups;
  terms.entries = blocks * tap_groups * (patterns + 16);
  PoolSizes pool(g.depth() - (kMaxGroupSize - 1) * tap_groups,
                 PoolGroupSize(g.channels_out_per_group()), raster.half_block ? 2 : 1);
  terms.sums = blocks * channels_out * (chunks + pool.chunks());
  while (pool.chunks() > 0) {
    terms.entries +=
        blocks * kChunkGroups * (std::min<double>(1 << pool.Next(1), channels_out) + 16);
  }
  terms.outputs = blocks * channels_out;
  return terms;
}

namespace {

// How long `threads` threads take for tasks of a block each and then some of half a block, in
// whole blocks.
double BlocksOfLastThread(int whole, int half, int threads) {
  const int idle = (threads - whole % threads) % threads;  // in the last round of whole ones
  const int rounds_of_halves = (std::max(0, half - idle) + threads - 1) / threads;
  return (whole + idle) / threads + kHalfBlockCost * rounds_of_halves;
}

}  // namespace

double EstimateCost(const KernelEntry& kernel, const Geometry& geometry, int patterns,
                    OutputType output, Core core, int threads) {
  const KernelWeights& weights = kernel.weights[static_cast<int>(core)];
  const CostTerms terms = CountCostTerms(kernel, geometry, patterns);
  const double tables = weights.entry * terms.entries;
  const double outputs =
      weights.sum * terms.sums +
      (output == OutputType::kBitpacked ? weights.bit : weights.number) * terms.outputs;
  if (kernel.kind == KernelKind::kXnor) return (tables + outputs) / threads;
  const Raster raster(geometry, kernel.pixels);
  const int parts = raster.ChannelParts(geometry.channels_out_per_group(), threads);
  const double blocks =
      BlocksOfLastThread(raster.blocks * parts, raster.half_block * parts, threads);
  const double dense = raster.DenseBlocks(geometry, kernel.pixels) / threads;
  return ((tables + outputs / parts) * blocks + (tables + outputs) * dense) /
         raster.CostInBlocks(geometry, kernel.pixels);
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
  const Core core = ThisCore();
  const int patterns = CountPatterns(geometry, filter);
  const KernelEntry* best = nullptr;
  double best_cost = 0;
  for (const KernelEntry& kernel : kKernels) {
    if (kernel.isa != options.isa || !IsaAvailable(kernel.isa)) continue;
    if (options.kernel != KernelKind::kAuto && kernel.kind != options.kernel) continue;
    if (!KernelSupports(kernel, geometry, output)) continue;
    const double cost = EstimateCost(kernel, geometry, patterns, output, core, options.threads);
    if (best == nullptr || cost < best_cost) {
      best = &kernel;
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
