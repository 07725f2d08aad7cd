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

// The scales of a convolution's filter in 8 bits, one for each output channel; null if it is not
// such a constant of that many channels, or has a zero point.
const float* FilterScales(const TfLiteTensor* filter, int channels_out);

// Integers by the scale of their channel.
void ScaleFilter(const int8_t* integers, const std::vector<float>& scales, size_t per_channel,
                 float* values);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_CONSTANT_H_
