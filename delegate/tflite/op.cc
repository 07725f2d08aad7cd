#include "op.h"

#include <cstring>
#include <utility>

#include "constant.h"
#include "kernels/base/decimal.h"
#include "ops.h"

namespace sparsebnn {
namespace {

struct OpName {
  const char* custom_name;
  std::unique_ptr<Op> (*make)(const void* options, size_t options_size);
};

constexpr OpName kOps[] = {
    {"LceQuantize", MakeQuantize},
    {"LceDequantize", MakeDequantize},
    {"LceBMaxPool2d", MakeMaxPool},
    {"LceBconv2d", MakeLceBconv2d},
    {"SparsebnnBconv2d", MakeCodebookBconv2d},
};

template <typename T>
bool ReadVector(const Operand& operand, TfLiteType type, int elements, std::vector<T>* values,
                OpError* error) {
  Shape shape;
  shape.rank = 1;
  shape.dims[0] = elements;
  if (!ExpectConstant(operand, type, shape, error)) return false;
  values->resize(static_cast<size_t>(elements));
  std::memcpy(values->data(), operand.tensor->data, values->size() * sizeof(T));
  return true;
}

}  // namespace

bool OpError::Set(std::string text, const TfLiteTensor* about) {
  message = std::move(text);
  tensor = about;
  return false;
}

bool OpError::Expected(const std::string& expected, const std::string& got,
                       const TfLiteTensor* about) {
  return Set("Expected " + expected + ", got " + got, about);
}

std::unique_ptr<Op> MakeOp(const char* custom_name, const void* options, size_t options_size) {
  if (custom_name == nullptr) return nullptr;
  for (const OpName& op : kOps) {
    if (std::strcmp(op.custom_name, custom_name) == 0) return op.make(options, options_size);
  }
  return nullptr;
}

bool ExpectInputs(const std::vector<Operand>& inputs, size_t count, OpError* error) {
  if (inputs.size() == count) return true;
  return error->Expected(Decimal(count) + " inputs", Decimal(inputs.size()));
}

bool ExpectType(const Operand& operand, TfLiteType type, OpError* error) {
  if (operand.type() == type) return true;
  return error->Expected(TypeName(type), TypeName(operand.type()), operand.tensor);
}

bool ExpectRank(const Operand& operand, int rank, OpError* error) {
  if (operand.shape.rank == rank) return true;
  return error->Expected(Decimal(rank) + " dimensions", operand.shape.ToString(),
                         operand.tensor);
}

bool ExpectBounded(const Operand& operand, OpError* error) {
  size_t bytes;
  if (operand.shape.Bytes(operand.type(), &bytes)) return true;
  return error->Expected("1.." + Decimal(Shape::kMaxBytes) + " bytes",
                         TypeName(operand.type()) + " " + operand.shape.ToString(),
                         operand.tensor);
}

bool ExpectConstant(const Operand& operand, TfLiteType type, const Shape& shape,
                    OpError* error) {
  const TfLiteTensor* tensor = operand.tensor;
  const std::string expected = "constant " + TypeName(type) + " " + shape.ToString();
  if (tensor == nullptr) return error->Expected(expected, "no tensor");
  size_t bytes;
  if (tensor->type != type || operand.shape != shape || !shape.Bytes(type, &bytes)) {
    return error->Expected(expected, TypeName(tensor->type) + " " + operand.shape.ToString(),
                           tensor);
  }
  if ((tensor->allocation_type != kTfLiteMmapRo &&
       tensor->allocation_type != kTfLitePersistentRo) ||
      tensor->data == nullptr) {
    return error->Expected(expected, "a tensor that is computed when the model runs", tensor);
  }
  if (tensor->bytes < bytes) {
    return error->Expected(expected, Decimal(tensor->bytes) + " bytes", tensor);
  }
  return true;
}

bool ReadConstant(const Operand& operand, int elements, std::vector<float>* values,
                  OpError* error) {
  return ReadVector(operand, kTfLiteFloat32, elements, values, error);
}

bool ReadConstant(const Operand& operand, int elements, std::vector<int32_t>* values,
                  OpError* error) {
  return ReadVector(operand, kTfLiteInt32, elements, values, error);
}

bool ReadFilter(const Operand& operand, const Shape& shape, std::vector<float>* values,
                OpError* error) {
  const bool int8 = operand.tensor != nullptr && operand.type() == kTfLiteInt8;
  if (!ExpectConstant(operand, int8 ? kTfLiteInt8 : kTfLiteFloat32, shape, error)) return false;
  const size_t count = shape.Rows() * static_cast<size_t>(shape.last());
  values->resize(count);
  if (!int8) {
    std::memcpy(values->data(), operand.tensor->data, count * sizeof(float));
    return true;
  }
  FilterScales scales;
  if (!ReadFilterScales(operand.tensor, &scales)) {
    return error->Expected("a scale for each output channel", "others", operand.tensor);
  }
  ScaleFilter(static_cast<const int8_t*>(operand.tensor->data), scales, count, values->data());
  return true;
}

}  // namespace sparsebnn
