// Which nodes of a graph the delegate claims.
#ifndef SPARSEBNN_TFLITE_CLAIM_H_
#define SPARSEBNN_TFLITE_CLAIM_H_

#include <vector>

#include "delegate_options.h"
#include "tflite_abi.h"

namespace sparsebnn {

// Appends what the delegate runs, in the order of the execution plan, but for what makes a
// convolution's filter (dequantized_filters.h), which comes right before it:
//
//   always             binary ops; without one, nothing is claimed
//   options.stem       convolutions of few channels, float (op_stem.cc) or in 8 bits with what makes them
//                      float (int8_convolutions.h), if there is an instruction set for it
//   ... and linked     depthwise ones (op_stem.cc)
//   options.glue       elementwise ops (elementwise.h) and float max pools (op_float_pool.cc), if linked
//   both, and linked   average pools (op_average_pool.cc) and convolutions of 1x1, float
//                      (op_pointwise.cc) or in 8 bits
//
// Linked: to one that is claimed, directly or through each other. Claimed alone, an op would only part
// the runtime's. False if the runtime does not tell.
bool ChooseNodes(TfLiteContext* context, const DelegateOptions& options,
                 std::vector<int>* nodes);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_CLAIM_H_
