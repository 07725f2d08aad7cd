#include "dequantized_filters.h"

#include "constant.h"
#include "edges.h"
#include "float_node.h"
#include "window_node.h"

namespace sparsebnn {

bool ReadDequantizedFilter(const TfLiteContext* context, const TfLiteNode& node,
                           const TfLiteRegistration& registration) {
  if (!IsBuiltin(node, registration, kBuiltinDequantize, 1)) return false;
  const TfLiteTensor* const floats = TensorAt(context, node.outputs->data[0]);
  const TfLiteTensor* const integers = TensorAt(context, node.inputs->data[0]);
  Shape shape, constant_shape;
  return ReadFloatShape(floats, &shape) && !IsConstant(*floats) &&
         IsDenseConstant(integers, kTfLiteInt8, &constant_shape) && shape == constant_shape &&
         FilterScales(integers, shape.dims[0]) != nullptr;
}

DequantizedFilters::DequantizedFilters(TfLiteContext* context, const std::vector<int>& nodes) {
  const Edges edges(context, nodes);
  for (const int index : nodes) {
    const auto [node, registration] = edges.Get(index);
    if (node == nullptr || !ReadDequantizedFilter(context, *node, *registration)) continue;
    const int filter = edges.Output(index);
    const int reader = edges.Writer(filter) == index ? edges.Reader(filter) : -1;
    if (reader < index || !edges.Is(reader, kBuiltinConv2d, 3) ||
        edges.Get(reader).first->inputs->data[1] != filter) {
      continue;
    }
    source_of_[filter] = sources_.size();
    sources_.push_back({node->inputs->data[0], index});
  }
}

const DequantizedFilters::Source* DequantizedFilters::Find(int filter) const {
  const auto found = source_of_.find(filter);
  return found == source_of_.end() ? nullptr : &sources_[found->second];
}

}  // namespace sparsebnn
