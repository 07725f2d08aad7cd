// Filters of float convolutions that the file has in 8 bits:
//
//   constant of int8 -> DEQUANTIZE -> CONV_2D's filter
//
// where nobody else reads what is between: filter = scale_o q. The convolution's op takes the constant
// instead (ReadFilter in op.h). The floats are nowhere but in its kernel, unless the runtime has put the
// DEQUANTIZE, which waits for nothing, into an earlier partition.
#ifndef SPARSEBNN_TFLITE_DEQUANTIZED_FILTERS_H_
#define SPARSEBNN_TFLITE_DEQUANTIZED_FILTERS_H_

#include <cstddef>
#include <map>
#include <vector>

#include "tflite_abi.h"

namespace sparsebnn {

// Whether the node makes a filter of a constant, whoever reads it.
bool ReadDequantizedFilter(const TfLiteContext* context, const TfLiteNode& node,
                           const TfLiteRegistration& registration);

class DequantizedFilters {
 public:
  // Of these nodes; of others it knows nothing.
  DequantizedFilters(TfLiteContext* context, const std::vector<int>& nodes);

  // The constant that a filter is made of, and the node that makes it; -1 for any other tensor.
  int Constant(int filter) const {
    return Find(filter) == nullptr ? -1 : Find(filter)->constant;
  }
  int Node(int filter) const { return Find(filter) == nullptr ? -1 : Find(filter)->node; }

 private:
  struct Source {
    int constant, node;
  };

  const Source* Find(int filter) const;

  std::vector<Source> sources_;
  std::map<int, size_t> source_of_;  // by filter
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_DEQUANTIZED_FILTERS_H_
