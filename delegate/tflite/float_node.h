// What the ops of TFLite's own that the delegate claims have in common: how their nodes and float
// tensors are read.
#ifndef SPARSEBNN_TFLITE_FLOAT_NODE_H_
#define SPARSEBNN_TFLITE_FLOAT_NODE_H_

#include "shape.h"
#include "tflite_abi.h"

namespace sparsebnn {

// As TFLite's options have it.
enum FusedActivation : int { kActNone = 0, kActRelu = 1, kActReluN1To1 = 2, kActRelu6 = 3 };

// What the activation keeps a value between, infinities for no bound. False for any other number.
bool ActivationBounds(int activation, float* minimum, float* maximum);

// Null for an index that no tensor has.
const TfLiteTensor* TensorAt(const TfLiteContext* context, int index);

bool IsConstant(const TfLiteTensor& tensor);

// The shape of a dense float32 tensor that is no variable; false for any other.
bool ReadFloatShape(const TfLiteTensor* tensor, Shape* shape);

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_FLOAT_NODE_H_
