// Which nodes of a graph are a first layer in 8 bits:
//
//   QUANTIZE -> CONV_2D -> [MAX_POOL_2D ->] DEQUANTIZE
//
// where nobody else reads what is between. They run as one (op_int8_stem.cc).
#ifndef SPARSEBNN_TFLITE_INT8_STEMS_H_
#define SPARSEBNN_TFLITE_INT8_STEMS_H_

#include <cstddef>
#include <map>
#include <vector>

#include "tflite_abi.h"

namespace sparsebnn {

// In the order in which they run; node and output of each. Without a pool there are three.
struct Int8StemNodes {
  std::vector<int> nodes, outputs;
  std::vector<int> inputs;  // image, filter and bias

  bool has_pool() const { return nodes.size() == 4; }
  int convolution() const { return nodes[1]; }
};

class Int8Stems {
 public:
  // Of these nodes; of others it knows nothing.
  Int8Stems(TfLiteContext* context, const std::vector<int>& nodes);

  // The stem that a node belongs to; null for any other node.
  const Int8StemNodes* Of(int node) const;

 private:
  std::vector<Int8StemNodes> stems_;
  std::map<int, size_t> stem_of_;  // by node
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_INT8_STEMS_H_
