// Which kernel a layer gets.
#ifndef SPARSEBNN_KERNELS_BCONV2D_KERNEL_CHOICE_H_
#define SPARSEBNN_KERNELS_BCONV2D_KERNEL_CHOICE_H_

#include "kernel_list.h"

namespace sparsebnn {

// How much of what a run does: see kernel_choice.cc.
struct CostTerms {
  double entries = 0, sums = 0, outputs = 0;
};

// `patterns`: what CountPatterns gives.
CostTerms CountCostTerms(const KernelEntry& kernel, const Geometry& geometry, int patterns);

// An estimate of what a run on `threads` threads of `core` takes, in nanoseconds or cycles of
// the processors that the model was fitted on; only ratios within one instruction set mean
// anything.
double EstimateCost(const KernelEntry& kernel, const Geometry& geometry, int patterns,
                    OutputType output, Core core, int threads);

// How many patterns of seven taps occur in the first input channels, as many as share a table:
// from a few for a filter of few codewords up to 128.
int CountPatterns(const Geometry& geometry, const FilterReader& filter);

// The cheapest of the kernels that `options` allows. Null, and one line in `error`, if there is
// none.
const KernelEntry* ChooseKernel(const Geometry& geometry, const FilterReader& filter,
                                OutputType output, const Bconv2dOptions& options,
                                std::string* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_BCONV2D_KERNEL_CHOICE_H_
