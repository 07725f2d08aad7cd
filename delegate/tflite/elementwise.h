// The float elementwise ops of TFLite that the delegate claims when they lie beside a binary one.
//
// ADD, SUB, MUL, MAXIMUM, MINIMUM of a float32 tensor and another of the same shape, or a constant
// for each channel or for all; PRELU with such a constant; LEAKY_RELU, RELU, RELU6, RELU_N1_TO_1;
// and fused activations. An op that differs in anything is left to the runtime.
//
// The results are those of the runtime's own ops to the last bit. Where these disagree among
// themselves (the sign of a zero, a NaN, a denormal number: XNNPACK's are not the built-in ones)
// the results are one of theirs.
#ifndef SPARSEBNN_TFLITE_ELEMENTWISE_H_
#define SPARSEBNN_TFLITE_ELEMENTWISE_H_

#include <memory>
#include <string>
#include <vector>

#include "kernels/epilogue/epilogue.h"
#include "op.h"

namespace sparsebnn {

class Elementwise {
 public:
  // Null for every node that is not such an op. Reads what the file says, constants too.
  static std::unique_ptr<Elementwise> Make(const TfLiteContext* context, const TfLiteNode& node,
                                           const TfLiteRegistration& registration);

  const char* name() const { return name_; }
  // The tensors that are computed when the model runs: one or two.
  const std::vector<int>& inputs() const { return inputs_; }

  // Checks that shapes still agree: a resize may change one of them only.
  bool Prepare(const std::vector<Operand>& inputs, Operand* output, OpError* error) const;

  // Appends what makes this op's output of input `value`, 0 or 1. The step that reads the other
  // input, if there is one, is the first, and has its `tensor` still to be set.
  void AppendSteps(int value, std::vector<EpilogueStep>* steps) const;

 private:
  bool ReadInputs(const TfLiteContext* context, const TfLiteNode& node, StepKind kind);
  bool ReadConstant(const TfLiteTensor& tensor, const Shape& shape, std::vector<float>* values);
  void AddConstantStep(StepKind kind, float value);

  const char* name_ = "";
  int channels_ = 0;
  std::vector<int> inputs_;
  StepKind kind_ = StepKind::kAdd;             // of the two inputs
  std::vector<EpilogueStep> steps_;            // those of one input, and of constants
  std::vector<std::vector<float>> constants_;  // what steps_ point to
};

}  // namespace sparsebnn

#endif  // SPARSEBNN_TFLITE_ELEMENTWISE_H_
