#include "elementwise.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "float_node.h"

namespace sparsebnn {
namespace {

// As the schema of .tflite files numbers them.
enum Builtin : int32_t {
  kBuiltinAdd = 0,
  kBuiltinMul = 18,
  kBuiltinRelu = 19,
  kBuiltinReluN1To1 = 20,
  kBuiltinRelu6 = 21,
  kBuiltinSub = 41,
  kBuiltinPrelu = 54,
  kBuiltinMaximum = 55,
  kBuiltinMinimum = 57,
  kBuiltinLeakyRelu = 98,
};

struct BuiltinOp {
  Builtin code;
  const char* name;
  int inputs;
  StepKind kind;
  FusedActivation activation;  // that the op is, if it has one input
  bool has_activation;         // first in its options, as an int
};

constexpr BuiltinOp kBuiltins[] = {
    {kBuiltinAdd, "ADD", 2, StepKind::kAdd, kActNone, true},
    {kBuiltinSub, "SUB", 2, StepKind::kSubtract, kActNone, true},
    {kBuiltinMul, "MUL", 2, StepKind::kMultiply, kActNone, true},
    {kBuiltinMaximum, "MAXIMUM", 2, StepKind::kMaximum, kActNone, false},
    {kBuiltinMinimum, "MINIMUM", 2, StepKind::kMinimum, kActNone, false},
    {kBuiltinPrelu, "PRELU", 2, StepKind::kPrelu, kActNone, false},
    {kBuiltinRelu, "RELU", 1, StepKind::kMaximum, kActRelu, false},
    {kBuiltinRelu6, "RELU6", 1, StepKind::kMaximum, kActRelu6, false},
    {kBuiltinReluN1To1, "RELU_N1_TO_1", 1, StepKind::kMaximum, kActReluN1To1, false},
    {kBuiltinLeakyRelu, "LEAKY_RELU", 1, StepKind::kPrelu, kActNone, false},
};

constexpr int kMaxChannels = 65535;  // constants are spread to as many

const BuiltinOp* FindBuiltin(const TfLiteRegistration& registration) {
  if (registration.custom_name != nullptr) return nullptr;
  for (const BuiltinOp& op : kBuiltins) {
    if (op.code == registration.builtin_code) return &op;
  }
  return nullptr;
}

StepKind Reversed(StepKind kind) {
  return kind == StepKind::kSubtract ? StepKind::kSubtractFrom : kind;
}

}  // namespace

std::unique_ptr<Elementwise> Elementwise::Make(const TfLiteContext* context,
                                               const TfLiteNode& node,
                                               const TfLiteRegistration& registration) {
  const BuiltinOp* op = FindBuiltin(registration);
  if (op == nullptr || node.inputs == nullptr || node.inputs->size != op->inputs ||
      node.outputs == nullptr || node.outputs->size != 1) {
    return nullptr;
  }
  auto made = std::make_unique<Elementwise>();
  made->name_ = op->name;
  int activation = op->activation;
  float slope = 0;
  if (op->has_activation || op->code == kBuiltinLeakyRelu) {
    if (node.builtin_data == nullptr) return nullptr;
    std::memcpy(op->has_activation ? static_cast<void*>(&activation) : &slope,
                node.builtin_data, 4);
  }
  float minimum, maximum;
  if (!ActivationBounds(activation, &minimum, &maximum)) return nullptr;
  const TfLiteTensor* output = TensorAt(context, node.outputs->data[0]);
  Shape shape;
  if (!made->ReadInputs(context, node, op->kind) || !ReadFloatShape(output, &shape) ||
      IsConstant(*output)) {
    return nullptr;
  }
  if (op->code == kBuiltinLeakyRelu) made->AddConstantStep(StepKind::kPrelu, slope);
  if (std::isfinite(minimum)) made->AddConstantStep(StepKind::kMaximum, minimum);
  if (std::isfinite(maximum)) made->AddConstantStep(StepKind::kMinimum, maximum);
  return made;
}

bool Elementwise::ReadInputs(const TfLiteContext* context, const TfLiteNode& node,
                             StepKind kind) {
  kind_ = kind;
  const TfLiteTensor* tensors[2] = {};
  Shape shape, other;
  int computed = 0;
  for (int i = 0; i < node.inputs->size; ++i) {
    tensors[i] = TensorAt(context, node.inputs->data[i]);
    if (tensors[i] == nullptr || tensors[i]->type != kTfLiteFloat32) return false;
    if (IsConstant(*tensors[i])) continue;
    if (!ReadFloatShape(tensors[i], computed == 0 ? &shape : &other)) return false;
    inputs_.push_back(node.inputs->data[i]);
    ++computed;
  }
  if (computed == 0) return false;
  channels_ = shape.last();
  if (channels_ > kMaxChannels) return false;
  if (computed == node.inputs->size) {
    return computed == 1 || (shape == other && kind != StepKind::kPrelu);
  }
  const bool reversed = IsConstant(*tensors[0]);
  if (reversed && kind == StepKind::kPrelu) return false;
  constants_.emplace_back();
  if (!ReadConstant(*tensors[reversed ? 0 : 1], shape, &constants_.back())) return false;
  EpilogueStep step = {reversed ? Reversed(kind) : kind};
  step.constants = constants_.back().data();
  steps_.push_back(step);
  return true;
}

bool Elementwise::ReadConstant(const TfLiteTensor& tensor, const Shape& shape,
                               std::vector<float>* values) {
  if (tensor.dims == nullptr || tensor.dims->size < 0 || tensor.dims->size > shape.rank ||
      tensor.data == nullptr || tensor.sparsity != nullptr) {
    return false;
  }
  // All dimensions but the last are 1, or all.
  int count = 1;
  for (int i = 0; i < tensor.dims->size; ++i) {
    const int dim = tensor.dims->data[i];
    if (dim != 1 && (i + 1 < tensor.dims->size || dim != channels_)) return false;
    count = dim;
  }
  if (tensor.bytes < static_cast<size_t>(count) * sizeof(float)) return false;
  values->resize(static_cast<size_t>(channels_) + kEpilogueChunk);
  std::memcpy(values->data(), tensor.data, static_cast<size_t>(count) * sizeof(float));
  if (count == 1) {
    for (int c = 1; c < channels_; ++c) (*values)[static_cast<size_t>(c)] = (*values)[0];
  }
  return true;
}

void Elementwise::AddConstantStep(StepKind kind, float value) {
  std::vector<float> values(static_cast<size_t>(channels_), value);
  values.resize(values.size() + kEpilogueChunk);
  constants_.push_back(std::move(values));
  EpilogueStep step = {kind};
  step.constants = constants_.back().data();
  steps_.push_back(step);
}

bool Elementwise::Prepare(const std::vector<Operand>& inputs, Operand* output,
                          OpError* error) const {
  for (const Operand& input : inputs) {
    if (!ExpectType(input, kTfLiteFloat32, error)) return false;
    if (input.shape != inputs[0].shape || input.shape.last() != channels_) {
      return error->Set("Expected the shapes that the file has, with one batch for all, got " +
                            inputs[0].shape.ToString() + " and " + input.shape.ToString() +
                            ". Use option glue=0",
                        input.tensor);
    }
  }
  if (!ExpectType(*output, kTfLiteFloat32, error)) return false;
  output->shape = inputs[0].shape;
  return true;
}

void Elementwise::AppendSteps(int value, std::vector<EpilogueStep>* steps) const {
  if (inputs_.size() == 2) steps->push_back({value == 0 ? kind_ : Reversed(kind_)});
  steps->insert(steps->end(), steps_.begin(), steps_.end());
}

}  // namespace sparsebnn
