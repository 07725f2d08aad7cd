#include "dequantized_filters.h"

#include "constant.h"
#include "float_node.h"
#include "window_node.h"

namespace sparsebnn {

bool ReadDequantizedFilter(const TfLiteContext* context, const TfLiteNode& node,
                           const TfLiteRegistration& registration) {
  if (!IsBuiltin(node, registration, kBuiltinDequantize, 1)) return false;
  const TfLiteTensor* const floats = TensorAt(context, node.outputs->data[0]);
  const TfLiteTensor* const integers = TensorAt(context, node.inputs->data[0]);
  Shape shape, constant_shape;
  FilterScales scales;
  return ReadFloatShape(floats, &shape) && !IsConstant(*floats) &&
         IsDenseConstant(integers, kTfLiteInt8, &constant_shape) && shape == constant_shape &&
         ReadFilterScales(integers, &scales);
}

int DequantizedFilters::Node(int filter) const {
  const int writer = edges_.Writer(filter), reader = edges_.Reader(filter);
  // Nodes run in their order.
  if (writer < 0 || reader < writer ||
      !(edges_.Is(reader, kBuiltinConv2d, 3) ||
        edges_.Is(reader, kBuiltinDepthwiseConv2d, 3)) ||
      edges_.Get(reader).first->inputs->data[1] != filter) {
    return -1;
  }
  const auto [node, registration] = edges_.Get(writer);
  return ReadDequantizedFilter(context_, *node, *registration) ? writer : -1;
}

int DequantizedFilters::Constant(int filter) const {
  const int node = Node(filter);
  return node < 0 ? -1 : edges_.Get(node).first->inputs->data[0];
}

}  // namespace sparsebnn
