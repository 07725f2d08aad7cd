#include "int8_convolutions.h"

#include <utility>

#include "edges.h"
#include "float_node.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {

Int8Convolutions::Int8Convolutions(TfLiteContext* context, const std::vector<int>& nodes) {
  const Edges edges(context, nodes);
  for (const int index : nodes) {
    if (!edges.Is(index, kBuiltinConv2d, 3)) continue;
    const TfLiteIntArray* const inputs = edges.Get(index).first->inputs;
    const int quantize = edges.Writer(inputs->data[0]);
    if (!edges.Is(quantize, kBuiltinQuantize, 1)) continue;
    Int8ConvolutionNodes own;
    own.nodes = {quantize, index};
    int next = edges.Reader(edges.Output(index));
    if (edges.Is(next, kBuiltinMaxPool2d, 1)) {
      own.nodes.push_back(next);
      next = edges.Reader(edges.Output(next));
    }
    if (!edges.Is(next, kBuiltinDequantize, 1)) continue;
    own.nodes.push_back(next);
    for (const int node : own.nodes) own.outputs.push_back(edges.Output(node));
    own.inputs = {edges.Get(quantize).first->inputs->data[0], inputs->data[1], inputs->data[2]};
    if (MakeInt8Convolution(context, own, own.nodes.size(), &own.is_stem) == nullptr) continue;
    for (const int node : own.nodes) place_of_[node] = found_.size();
    found_.push_back(std::move(own));
  }
}

const Int8ConvolutionNodes* Int8Convolutions::Of(int node) const {
  const auto found = place_of_.find(node);
  return found == place_of_.end() ? nullptr : &found_[found->second];
}

}  // namespace sparsebnn
