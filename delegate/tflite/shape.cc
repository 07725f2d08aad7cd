#include "shape.h"

#include "kernels/base/decimal.h"

namespace sparsebnn {
namespace {

int ElementBytes(TfLiteType type) {
  switch (type) {
    case kTfLiteFloat32:
    case kTfLiteInt32:
      return 4;
    case kTfLiteUInt16:
      return 2;
    case kTfLiteUInt8:
    case kTfLiteInt8:
    case kTfLiteBool:
      return 1;
  }
  return 0;
}

}  // namespace

bool Shape::operator==(const Shape& other) const {
  if (rank != other.rank) return false;
  for (int i = 0; i < rank; ++i) {
    if (dims[i] != other.dims[i]) return false;
  }
  return true;
}

size_t Shape::Rows() const {
  size_t rows = 1;
  for (int i = 0; i + 1 < rank; ++i) rows *= static_cast<size_t>(dims[i]);
  return rows;
}

bool Shape::Bytes(TfLiteType type, size_t* bytes) const {
  int64_t product = ElementBytes(type);
  for (int i = 0; i < rank; ++i) {
    // Both factors are below 2^31.
    product *= dims[i];
    if (product <= 0 || product > kMaxBytes) return false;
  }
  *bytes = static_cast<size_t>(product);
  return product > 0;
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (int i = 0; i < rank; ++i) text += (i > 0 ? ", " : "") + Decimal(dims[i]);
  return text + "]";
}

bool ShapeOf(const TfLiteIntArray* dims, Shape* shape) {
  *shape = Shape();
  if (dims == nullptr || dims->size < 1 || dims->size > Shape::kMaxRank) return false;
  shape->rank = dims->size;
  for (int i = 0; i < dims->size; ++i) {
    if (dims->data[i] < 1) return false;
    shape->dims[i] = dims->data[i];
  }
  return true;
}

std::string TypeName(TfLiteType type) {
  switch (type) {
    case kTfLiteFloat32:
      return "float32";
    case kTfLiteInt32:
      return "int32";
    case kTfLiteUInt8:
      return "uint8";
    case kTfLiteBool:
      return "bool";
    case kTfLiteInt8:
      return "int8";
    case kTfLiteUInt16:
      return "uint16";
  }
  return "type " + Decimal(static_cast<int>(type));
}

}  // namespace sparsebnn
