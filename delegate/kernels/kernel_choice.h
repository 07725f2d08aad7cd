// Which kernel a layer gets.
#ifndef SPARSEBNN_KERNELS_KERNEL_CHOICE_H_
#define SPARSEBNN_KERNELS_KERNEL_CHOICE_H_

#include "kernel_list.h"

namespace sparsebnn {

// How much of what a run does: see kernel_choice.cc.
struct CostTerms {
  double entries = 0, sums = 0, outputs = 0;
};

// `patterns`: what MeanPatterns gives.
CostTerms CountCostTerms(const KernelEntry& kernel, const Geometry& geometry, double patterns);

// An estimate of what a run costs on one thread, in nanoseconds or cycles of the processors that
// the model was fitted on; only ratios within one instruction set mean anything.
double EstimateCost(const KernelEntry& kernel, const Geometry& geometry, double patterns,
                    OutputType output);

// How many patterns of seven taps a filter has per input channel, on average over a few channels:
// at most n for a filter of n codewords.
double MeanPatterns(const Geometry& geometry, const FilterReader& filter);

// The cheapest of the kernels that `options` allows. Null, and one line in `error`, if there is
// none.
const KernelEntry* ChooseKernel(const Geometry& geometry, const FilterReader& filter,
                                OutputType output, const Bconv2dOptions& options,
                                std::string* error);

}  // namespace sparsebnn

#endif  // SPARSEBNN_KERNELS_KERNEL_CHOICE_H_
