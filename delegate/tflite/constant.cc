#include "constant.h"

#include <cmath>

#include "float_node.h"

namespace sparsebnn {

bool IsScale(float value) { return value > 0.0f && std::isnormal(value); }

const TfLiteAffineQuantization* ReadQuantization(const TfLiteTensor* tensor, bool constant,
                                                 int scales) {
  if (tensor == nullptr || tensor->type != kTfLiteInt8 || tensor->sparsity != nullptr ||
      tensor->is_variable || IsConstant(*tensor) != constant ||
      tensor->quantization.type != kTfLiteAffineQuantization ||
      tensor->quantization.params == nullptr) {
    return nullptr;
  }
  const auto* params =
      static_cast<const TfLiteAffineQuantization*>(tensor->quantization.params);
  const bool complete = params->scale != nullptr && params->zero_point != nullptr &&
                        params->scale->size == scales &&
                        (params->zero_point->size == scales || params->zero_point->size == 1);
  return complete ? params : nullptr;
}

bool IsDenseConstant(const TfLiteTensor* tensor, TfLiteType type, Shape* shape) {
  size_t bytes;
  return tensor != nullptr && tensor->type == type && tensor->sparsity == nullptr &&
         !tensor->is_variable && IsConstant(*tensor) && tensor->data != nullptr &&
         ShapeOf(tensor->dims, shape) && shape->Bytes(type, &bytes) && tensor->bytes >= bytes;
}

const float* FilterScales(const TfLiteTensor* filter, int channels_out) {
  Shape shape;
  const TfLiteAffineQuantization* params = ReadQuantization(filter, true, channels_out);
  if (params == nullptr || params->quantized_dimension != 0 ||
      !IsDenseConstant(filter, kTfLiteInt8, &shape) || shape.dims[0] != channels_out) {
    return nullptr;
  }
  for (int o = 0; o < channels_out; ++o) {
    if (!IsScale(params->scale->data[o])) return nullptr;
  }
  for (int o = 0; o < params->zero_point->size; ++o) {
    if (params->zero_point->data[o] != 0) return nullptr;
  }
  return params->scale->data;
}

void ScaleFilter(const int8_t* integers, const std::vector<float>& scales, size_t per_channel,
                 float* values) {
  for (const float scale : scales) {
    for (size_t i = 0; i < per_channel; ++i)
      *values++ = scale * static_cast<float>(*integers++);
  }
}

}  // namespace sparsebnn
