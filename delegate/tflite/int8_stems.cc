#include "int8_stems.h"

#include <utility>

#include "edges.h"
#include "ops.h"
#include "window_node.h"

namespace sparsebnn {

Int8Stems::Int8Stems(TfLiteContext* context, const std::vector<int>& nodes) {
  const Edges edges(context, nodes);
  for (const int index : nodes) {
    if (!edges.Is(index, kBuiltinConv2d, 3)) continue;
    const TfLiteIntArray* const inputs = edges.Get(index).first->inputs;
    const int quantize = edges.Writer(inputs->data[0]);
    if (!edges.Is(quantize, kBuiltinQuantize, 1)) continue;
    Int8StemNodes stem;
    stem.nodes = {quantize, index};
    int next = edges.Reader(edges.Output(index));
    if (edges.Is(next, kBuiltinMaxPool2d, 1)) {
      stem.nodes.push_back(next);
      next = edges.Reader(edges.Output(next));
    }
    if (!edges.Is(next, kBuiltinDequantize, 1)) continue;
    stem.nodes.push_back(next);
    for (const int node : stem.nodes) stem.outputs.push_back(edges.Output(node));
    stem.inputs = {edges.Get(quantize).first->inputs->data[0], inputs->data[1],
                   inputs->data[2]};
    if (MakeInt8Stem(context, stem, stem.nodes.size()) == nullptr) continue;
    for (const int node : stem.nodes) stem_of_[node] = stems_.size();
    stems_.push_back(std::move(stem));
  }
}

const Int8StemNodes* Int8Stems::Of(int node) const {
  const auto found = stem_of_.find(node);
  return found == stem_of_.end() ? nullptr : &stems_[found->second];
}

}  // namespace sparsebnn
