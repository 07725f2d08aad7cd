// Tensor shapes of bounded rank and extent, whose products cannot overflow.
#ifndef SPARSEBNN_TFLITE_SHAPE_H_
#define SPARSEBNN_TFLITE_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "tflite_abi.h"

namespace sparsebnn {

struct Shape {
  static constexpr int kMaxRank = 8;
  // One tensor stays below 2 GiB, so sizes and positions in bytes fit an int32.
  static constexpr int64_t kMaxBytes = INT32_MAX;

  int rank = 0;
  int dims[kMaxRank] = {};

  int last() const { return dims[rank - 1]; }
  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }

  // The product of all dimensions but the last.
  size_t Rows() const;
  // False if the tensor would have no bytes or more than kMaxBytes.
  bool Bytes(TfLiteType type, size_t* bytes) const;
  // "[1, 56, 56, 2]"
  std::string ToString() const;
};

// False if the rank is not in 1..kMaxRank or a dimension is not positive.
bool ShapeOf(const TfLiteIntArray* dims, Shape* shape);

// "int32"; "type 4" for a type that no op here has.
std::string TypeName(TfLiteType type);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_SHAPE_H_
