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

bool ReadFilterScales(const TfLiteTensor* filter, FilterScales* scales) {
  Shape shape;
  if (!IsDenseConstant(filter, kTfLiteInt8, &shape) ||
      filter->quantization.type != kTfLiteAffineQuantization ||
      filter->quantization.params == nullptr) {
    return false;
  }
  const int axis = static_cast<const TfLiteAffineQuantization*>(filter->quantization.params)
                       ->quantized_dimension;
  if (axis != 0 && !(axis == 3 && shape.rank == 4 && shape.dims[0] == 1)) return false;
  const int channels = shape.dims[axis];
  const TfLiteAffineQuantization* params = ReadQuantization(filter, true, channels);
  if (params == nullptr) return false;
  for (int o = 0; o < channels; ++o) {
    if (!IsScale(params->scale->data[o])) return false;
  }
  for (int o = 0; o < params->zero_point->size; ++o) {
    if (params->zero_point->data[o] != 0) return false;
  }
  scales->values.assign(params->scale->data, params->scale->data + channels);
  const size_t count = shape.Rows() * static_cast<size_t>(shape.last());
  scales->step = axis == 0 ? count / static_cast<size_t>(channels) : 1;
  return true;
}

void ScaleFilter(const int8_t* integers, const FilterScales& scales, size_t count,
                 float* values) {
  for (size_t done = 0; done < count;) {
    for (const float scale : scales.values) {
      for (size_t i = 0; i < scales.step; ++i) {
        values[done] = scale * static_cast<float>(integers[done]);
        ++done;
      }
    }
  }
}

}  // namespace sparsebnn
