// Filters of float convolutions that the file has in 8 bits:
//
//   constant of int8 -> DEQUANTIZE -> CONV_2D's or DEPTHWISE_CONV_2D's filter
//
// where nobody else reads what is between: filter = scale_o q. The convolution's op takes the constant
// instead (ReadFilter in op.h). The floats are nowhere but in its kernel, unless the runtime has put the
// DEQUANTIZE, which waits for nothing, into an earlier partition.
#ifndef SPARSEBNN_TFLITE_DEQUANTIZED_FILTERS_H_
#define SPARSEBNN_TFLITE_DEQUANTIZED_FILTERS_H_

#include <vector>

#include "edges.h"
#include "tflite_abi.h"

namespace sparsebnn {

// Whether the node makes a filter of a constant, whoever reads it.
bool ReadDequantizedFilter(const TfLiteContext* context, const TfLiteNode& node,
                           const TfLiteRegistration& registration);

class DequantizedFilters {
 public:
  // Of these nodes; of others it knows nothing.
  DequantizedFilters(TfLiteContext* context, const std::vector<int>& nodes)
      : context_(context), edges_(context, nodes) {}

  // The node that makes a filter, and the constant that it makes it of; -1 for any other tensor.
  int Node(int filter) const;
  int Constant(int filter) const;

 private:
  const TfLiteContext* const context_;
  const Edges edges_;
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_DEQUANTIZED_FILTERS_H_
