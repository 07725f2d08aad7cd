// Which nodes of a graph the delegate claims.
#ifndef SPARSEBNN_TFLITE_CLAIM_H_
#define SPARSEBNN_TFLITE_CLAIM_H_

#include <vector>

#include "tflite_abi.h"

namespace sparsebnn {

// Appends the binary ops, in the order of the execution plan, and with `glue` the elementwise
// ones (elementwise.h) that are linked to a binary one, directly or through each other: claimed
// alone, an op would only part the runtime's. False if the runtime does not tell.
bool ChooseNodes(TfLiteContext* context, bool glue, std::vector<int>* nodes);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_CLAIM_H_
