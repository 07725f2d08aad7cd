// Which nodes of a graph are a convolution in 8 bits between floats, of few channels or of 1x1:
//
//   QUANTIZE -> CONV_2D -> [MAX_POOL_2D ->] DEQUANTIZE
//
// where nobody else reads what is between. They run as one (op_int8_convolution.cc).
#ifndef SPARSEBNN_TFLITE_INT8_CONVOLUTIONS_H_
#define SPARSEBNN_TFLITE_INT8_CONVOLUTIONS_H_

#include <cstddef>
#include <map>
#include <vector>

#include "tflite_abi.h"

namespace sparsebnn {

// In the order in which they run; node and output of each. Without a pool there are three.
struct Int8ConvolutionNodes {
  std::vector<int> nodes, outputs;
  std::vector<int> inputs;  // map, filter and bias
  bool is_stem = false;     // of few channels, as a network begins with

  bool has_pool() const { return nodes.size() == 4; }
  int convolution() const { return nodes[1]; }
};

class Int8Convolutions {
 public:
  // Of these nodes; of others it knows nothing.
  Int8Convolutions(TfLiteContext* context, const std::vector<int>& nodes);

  // The convolution that a node belongs to; null for any other node.
  const Int8ConvolutionNodes* Of(int node) const;

 private:
  std::vector<Int8ConvolutionNodes> found_;
  std::map<int, size_t> place_of_;  // by node
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_INT8_CONVOLUTIONS_H_
