// Constants as a file says them, and what it says of those in 8 bits.
#ifndef SPARSEBNN_TFLITE_CONSTANT_H_
#define SPARSEBNN_TFLITE_CONSTANT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shape.h"
#include "tflite_abi.h"

namespace sparsebnn {

// Positive and normal.
bool IsScale(float value);

// What an int8 tensor says of its quantization; null if that is not `scales` scales, and as many zero
// points or one for all: some runtimes leave out the others.
const TfLiteAffineQuantization* ReadQuantization(const TfLiteTensor* tensor, bool constant,
                                                 int scales);

// Whether it is a dense constant of that type, all of whose bytes are there; and its shape.
bool IsDenseConstant(const TfLiteTensor* tensor, TfLiteType type, Shape* shape);

// The scales of a convolution's filter in 8 bits, one for each output channel: along the first axis, or
// along the last of four where the first is 1, as depthwise.
struct FilterScales {
  std::vector<float> values;
  size_t step = 1;  // integer i has scale values[i / step % channels]
};

// False if it is no such constant, or has a zero point.
bool ReadFilterScales(const TfLiteTensor* filter, FilterScales* scales);

// `count` integers by the scale of their channel.
void ScaleFilter(const int8_t* integers, const FilterScales& scales, size_t count,
                 float* values);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_CONSTANT_H_
