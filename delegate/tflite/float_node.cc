#include "float_node.h"

#include <limits>

namespace sparsebnn {

bool ActivationBounds(int activation, float* minimum, float* maximum) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  *minimum = activation == kActNone ? -kInfinity : activation == kActReluN1To1 ? -1.0f : 0.0f;
  *maximum = activation == kActReluN1To1 ? 1.0f : activation == kActRelu6 ? 6.0f : kInfinity;
  return activation >= kActNone && activation <= kActRelu6;
}

const TfLiteTensor* TensorAt(const TfLiteContext* context, int index) {
  if (index < 0 || static_cast<size_t>(index) >= context->tensors_size) return nullptr;
  return &context->tensors[index];
}

bool IsConstant(const TfLiteTensor& tensor) {
  return tensor.allocation_type == kTfLiteMmapRo ||
         tensor.allocation_type == kTfLitePersistentRo;
}

bool ReadFloatShape(const TfLiteTensor* tensor, Shape* shape) {
  size_t bytes;
  return tensor != nullptr && tensor->type == kTfLiteFloat32 && tensor->sparsity == nullptr &&
         !tensor->is_variable && ShapeOf(tensor->dims, shape) &&
         shape->Bytes(kTfLiteFloat32, &bytes);
}

}  // namespace sparsebnn
