// Which nodes of a graph the delegate claims.
#ifndef SPARSEBNN_TFLITE_CLAIM_H_
#define SPARSEBNN_TFLITE_CLAIM_H_

#include <vector>

#include "delegate_options.h"
#include "tflite_abi.h"

namespace sparsebnn {

// Appends the binary ops, in the order of the execution plan, but for what makes a convolution's
// filter (dequantized_filters.h), which comes right before it; if there are any, with
// `options.stem` and an instruction set for it the float convolutions of few channels (op_stem.cc)
// and those of 8 bits with what makes them float (int8_convolutions.h); with `options.glue` the
// elementwise ops (elementwise.h) and float max pools (op_float_pool.cc), and with both the average
// pools (op_average_pool.cc) and convolutions of 1x1, float (op_pointwise.cc) or in 8 bits, that are
// linked to one of these, directly or through each other: claimed alone, an op would only part the
// runtime's. False if the runtime does not tell.
bool ChooseNodes(TfLiteContext* context, const DelegateOptions& options,
                 std::vector<int>* nodes);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_CLAIM_H_
