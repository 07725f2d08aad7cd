#include "partition.h"

#include <algorithm>
#include <utility>

#include "float_node.h"
#include "kernels/base/clock.h"
#include "kernels/base/decimal.h"
#include "parallel_rows.h"

namespace sparsebnn {
namespace {

// That an epilogue of a few steps does in a microsecond.
constexpr double kValuesPerLane = 200;

TfLiteTensor* TensorAt(TfLiteContext* context, int index) {
  if (index < 0 || static_cast<size_t>(index) >= context->tensors_size) return nullptr;
  return &context->tensors[index];
}

std::string NameOf(const TfLiteTensor* tensor) {
  if (tensor == nullptr || tensor->name == nullptr) return "";
  const std::string name = tensor->name;
  return name.size() <= 200 ? name : name.substr(0, 200) + "...";
}

// Whether others rely on what is in a tensor: a constant, or a variable.
bool OthersRelyOn(const TfLiteTensor& tensor) {
  return IsConstant(tensor) || tensor.is_variable;
}

bool IsUsable(const void* data) {
  return data != nullptr && reinterpret_cast<uintptr_t>(data) % 4 == 0;
}

bool Resize(TfLiteContext* context, TfLiteTensor* tensor, const Shape& shape) {
  TfLiteIntArray* dims = NewIntArray(shape.rank);  // the runtime frees it
  if (dims == nullptr) return false;
  std::copy_n(shape.dims, shape.rank, dims->data);
  return context->ResizeTensor(context, tensor, dims) == kTfLiteOk;
}

}  // namespace

Partition::~Partition() { delegate_->Leave(this, resources_); }

bool Partition::Report(TfLiteContext* context, const Node& node, const OpError& error) const {
  std::string where = "node " + Decimal(node.index) + " (" + node.name + ")";
  if (error.tensor != nullptr) where += ", tensor '" + NameOf(error.tensor) + "'";
  context->ReportError(context, "sparsebnn: %s: %s.", where.c_str(), error.message.c_str());
  return false;
}

bool Partition::ReadOperand(TfLiteContext* context, const Node& node, size_t input,
                            Operand* operand, OpError* error) const {
  const int tensor = node.inputs[input];
  operand->tensor = nullptr;
  if (tensor == kTfLiteOptionalTensor) return true;
  operand->tensor = TensorAt(context, tensor);
  if (operand->tensor == nullptr) {
    return error->Expected("a tensor below " + Decimal(context->tensors_size), Decimal(tensor));
  }
  if (input < node.producers.size() && node.producers[input] >= 0) {
    const Node& producer = nodes_[static_cast<size_t>(node.producers[input])];
    operand->shape = producer.output_shape;
    operand->channels = producer.output_channels;
    return true;
  }
  if (ShapeOf(operand->tensor->dims, &operand->shape)) return true;
  return error->Set(
      "Expected 1.." + Decimal(Shape::kMaxRank) + " dimensions of at least 1, got others",
      operand->tensor);
}

bool Partition::PrepareNode(TfLiteContext* context, size_t n) {
  Node& node = nodes_[n];
  OpError error;
  std::vector<Operand> inputs(node.inputs.size());
  Operand output;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!ReadOperand(context, node, i, &inputs[i], &error)) {
      return Report(context, node, error);
    }
  }
  output.tensor = TensorAt(context, node.output);
  if (inputs[0].tensor == nullptr || output.tensor == nullptr) {
    error.Expected("an input and an output", "none");
    return Report(context, node, error);
  }
  if (node.output == node.inputs[0] || node.output == node.inputs.back() ||
      OthersRelyOn(*output.tensor)) {
    error.Expected("an output that is neither the input nor a constant", "one", output.tensor);
    return Report(context, node, error);
  }
  // The file may leave the output's shape out; only LceDequantize needs it and then complains.
  ShapeOf(output.tensor->dims, &output.shape);
  const bool prepared =
      ExpectBounded(inputs[0], &error) &&
      (node.op != nullptr ? node.op->Prepare(settings_, inputs, &output, &error)
                          : node.elementwise->Prepare(inputs, &output, &error));
  if (!prepared || !ExpectBounded(output, &error)) return Report(context, node, error);
  node.input_shape = inputs[0].shape;
  node.output_shape = output.shape;
  node.output_channels = output.channels;
  node.input_shape.Bytes(inputs[0].type(), &node.input_bytes);
  node.output_shape.Bytes(output.type(), &node.output_bytes);
  return true;
}

void Partition::MakeGroups() {
  std::vector<FusionNode> nodes;
  for (const Node& node : nodes_) {
    FusionRole role = FusionRole::kNone;
    if (node.elementwise != nullptr) {
      role = FusionRole::kElementwise;
    } else if (node.op->float_pool() != nullptr) {
      role = FusionRole::kPool;
    } else if (node.op->average_pool() != nullptr) {
      role = FusionRole::kAveragePool;
    } else if (node.op->TakesAverages()) {
      role = FusionRole::kPixels;
    } else if (node.op->TakesPool()) {
      role = FusionRole::kRows;
    } else if (node.op->TakesEpilogue()) {
      role = FusionRole::kConvolution;
    } else if (node.op->QuantizesFloats()) {
      role = FusionRole::kQuantize;
    }
    nodes.push_back({role, node.producers, node.leaves_partition});
  }
  groups_.clear();
  for (const Group& group : PlanGroups(nodes, delegate_->options().glue)) {
    groups_.push_back(MakeGroup(group));
  }
}

Partition::FusedGroup Partition::MakeGroup(const Group& nodes) const {
  FusedGroup group;
  group.nodes = nodes;
  const Node& head = nodes_[static_cast<size_t>(nodes[0].node)];
  if (nodes.size() == 1 && head.elementwise == nullptr) return group;
  const Node* const second = SecondOf(nodes);
  group.epilogue.channels = (second == nullptr ? head : *second).output_shape.last();
  group.epilogue.kernel = EpilogueKernelFor(settings_.isa);
  std::vector<EpilogueStep>& steps = group.epilogue.steps;
  for (const FusedNode& fused : nodes) {
    const Node& node = nodes_[static_cast<size_t>(fused.node)];
    if (node.elementwise != nullptr) {
      if (node.inputs.size() == 2) {
        group.bindings.push_back({steps.size(), fused.node, 1 - fused.value});
      }
      node.elementwise->AppendSteps(fused.value, &steps);
    }
    if (!fused.stored) continue;
    group.bindings.push_back({steps.size(), fused.node, -1});
    const bool is_head = &fused == &nodes[0];
    const bool signs = !is_head && node.op != nullptr && node.op->QuantizesFloats();
    steps.push_back({signs ? StepKind::kStoreSigns : StepKind::kStore});
  }
  return group;
}

// A tensor is there from the group that stores it to the last one that reads it.
bool Partition::PlanMemory(TfLiteContext* context) {
  std::vector<ArenaTensor> tensors;
  std::vector<size_t> tensor_of_node(nodes_.size(), SIZE_MAX);
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (const FusedNode& fused : groups_[g].nodes) {
      const size_t n = static_cast<size_t>(fused.node);
      for (const int producer : nodes_[n].producers) {
        if (producer >= 0 && tensor_of_node[static_cast<size_t>(producer)] != SIZE_MAX) {
          tensors[tensor_of_node[static_cast<size_t>(producer)]].last_op = static_cast<int>(g);
        }
      }
      if (nodes_[n].leaves_partition || !fused.stored) continue;
      tensor_of_node[n] = tensors.size();
      ArenaTensor tensor;
      tensor.bytes = nodes_[n].output_bytes;
      tensor.first_op = tensor.last_op = static_cast<int>(g);
      tensors.push_back(tensor);
    }
  }
  const uint64_t bytes = PlanArena(&tensors);
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (tensor_of_node[n] != SIZE_MAX) {
      nodes_[n].arena_offset = static_cast<size_t>(tensors[tensor_of_node[n]].offset);
    }
  }
  if (!arena_.Reserve(bytes)) {
    context->ReportError(context, "sparsebnn: Expected %llu bytes for activations, got none.",
                         static_cast<unsigned long long>(bytes));
    return false;
  }
  arena_bytes_ = static_cast<size_t>(bytes);
  return true;
}

bool Partition::ResizeOutputs(TfLiteContext* context) {
  for (const Node& node : nodes_) {
    if (!node.leaves_partition) continue;
    if (!Resize(context, TensorAt(context, node.output), node.output_shape)) {
      OpError error;
      error.Set("Expected memory for " + node.output_shape.ToString() + ", got none",
                TensorAt(context, node.output));
      return Report(context, node, error);
    }
  }
  return true;
}

bool Partition::PrepareShapes(TfLiteContext* context) {
  prepared_ = false;
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (!PrepareNode(context, n)) return false;
  }
  microseconds_ = 0;
  for (const Node& node : nodes_) {
    if (node.op != nullptr) microseconds_ += node.op->Microseconds();
  }
  MakeGroups();
  if (!PlanMemory(context) || !ResizeOutputs(context)) return false;
  prepared_ = true;
  UpdateProfile();
  return true;
}

// What the runtime computes and a node reads, in the order of the nodes.
std::vector<const TfLiteTensor*> Partition::ComputedInputs(const TfLiteContext* context) const {
  std::vector<const TfLiteTensor*> inputs;
  for (const Node& node : nodes_) {
    for (size_t i = 0; i < node.producers.size(); ++i) {
      if (node.producers[i] < 0) inputs.push_back(TensorAt(context, node.inputs[i]));
    }
  }
  return inputs;
}

bool Partition::HasDynamicInput(const TfLiteContext* context) const {
  const auto inputs = ComputedInputs(context);
  return std::any_of(inputs.begin(), inputs.end(), [](const TfLiteTensor* input) {
    return input != nullptr && input->allocation_type == kTfLiteDynamic;
  });
}

// For the shapes that are known now. The plan of the last run serves again if they are the same.
bool Partition::PrepareInInvoke(TfLiteContext* context) {
  std::vector<Shape> shapes;
  for (const TfLiteTensor* input : ComputedInputs(context)) {
    Shape shape;  // an empty one if it is not valid
    if (input == nullptr || !ShapeOf(input->dims, &shape)) shape = Shape();
    shapes.push_back(shape);
  }
  if (prepared_ && shapes == shapes_) return ResizeOutputs(context);
  shapes_ = std::move(shapes);
  return PrepareShapes(context);
}

TfLiteStatus Partition::Prepare(TfLiteContext* context) {
  prepared_ = false;
  if (!init_error_.empty()) {
    context->ReportError(context, "sparsebnn: %s.", init_error_.c_str());
    return kTfLiteError;
  }
  const DelegateOptions& options = delegate_->options();
  settings_.kernel = options.kernel;
  settings_.isa = options.isa;
  settings_.threads = options.num_threads > 0 ? options.num_threads
                                              : std::clamp(context->recommended_num_threads, 1,
                                                           DelegateOptions::kMaxThreads);
  shapes_in_invoke_ = HasDynamicInput(context);
  if (!shapes_in_invoke_) {
    if (!PrepareShapes(context)) return kTfLiteError;
    if (options.verbose) LogKernels();
    return kTfLiteOk;
  }
  // The shapes that are known now are not those that will be: outputs get memory in Invoke.
  for (const Node& node : nodes_) {
    TfLiteTensor* tensor = TensorAt(context, node.output);
    if (!node.leaves_partition || tensor == nullptr) continue;
    if (OthersRelyOn(*tensor)) {
      OpError error;
      error.Expected("an output that is no constant", "one", tensor);
      Report(context, node, error);
      return kTfLiteError;
    }
    if (tensor->allocation_type != kTfLiteDynamic) {
      tensor->allocation_type = kTfLiteDynamic;
      tensor->data = nullptr;
    }
  }
  return kTfLiteOk;
}

const void* Partition::InputData(TfLiteContext* context, const Node& node, size_t input) {
  if (node.producers[input] >= 0) {
    return OutputData(context, nodes_[static_cast<size_t>(node.producers[input])]);
  }
  // The inputs of an elementwise op are as large as the first.
  const TfLiteTensor* tensor = TensorAt(context, node.inputs[input]);
  return tensor->bytes >= node.input_bytes ? tensor->data : nullptr;
}

void* Partition::OutputData(TfLiteContext* context, const Node& node) {
  if (!node.leaves_partition) return arena_.data() + node.arena_offset;
  TfLiteTensor* tensor = TensorAt(context, node.output);
  return tensor->bytes >= node.output_bytes ? tensor->data : nullptr;
}

// Sets the pointers of the epilogue's steps. False if one is not what a kernel can use.
bool Partition::Bind(TfLiteContext* context, FusedGroup* group) {
  for (const Binding& binding : group->bindings) {
    const Node& node = nodes_[static_cast<size_t>(binding.node)];
    EpilogueStep& step = group->epilogue.steps[binding.step];
    void* output = binding.input < 0 ? OutputData(context, node) : nullptr;
    const void* input = binding.input < 0
                            ? nullptr
                            : InputData(context, node, static_cast<size_t>(binding.input));
    if (!IsUsable(binding.input < 0 ? output : input)) return false;
    step.tensor = static_cast<const float*>(input);
    step.values = static_cast<float*>(output);
    step.signs = static_cast<uint32_t*>(output);
  }
  return true;
}

ThreadPool* Partition::ThreadsFor(const Node& node) {
  ThreadPool* threads = resources_->Threads(settings_.threads);
  const double microseconds = node.op != nullptr ? node.op->Microseconds() : 0;
  const bool alone = microseconds > 0 && threads->ThreadsFor(microseconds) == 1;
  return alone ? &resources_->caller : threads;
}

// The pool that runs with the convolution before it, or the convolution with the pool before it, if
// there is one.
const Partition::Node* Partition::SecondOf(const Group& nodes) const {
  if (nodes.size() < 2) return nullptr;
  const Node& second = nodes_[static_cast<size_t>(nodes[1].node)];
  return second.op == nullptr || second.op->QuantizesFloats() ? nullptr : &second;
}

bool Partition::RunEpilogue(FusedGroup* group, const void* input) {
  const Node& head = nodes_[static_cast<size_t>(group->nodes[0].node)];
  ThreadPool* threads = ThreadsFor(head);
  const Epilogue& epilogue = group->epilogue;
  if (const Node* second = SecondOf(group->nodes)) {
    Workspace* const workspace = &resources_->workspace;
    if (const AveragePool* pool = head.op->average_pool()) {
      return second->op->RunAveraged(input, *pool, epilogue, workspace, threads);
    }
    return head.op->RunPooled(input, *second->op->float_pool(), epilogue, workspace, threads);
  }
  if (head.op != nullptr) {
    return head.op->RunEpilogue(input, epilogue, &resources_->workspace, threads);
  }
  const int channels = epilogue.channels;
  const double speed = kValuesPerLane * FloatLanes(settings_.isa) / channels;
  ParallelRows(head.output_shape.Rows(), speed, threads, [&](size_t first, size_t rows) {
    const size_t stride = static_cast<size_t>(channels);
    const float* values = static_cast<const float*>(input) + first * stride;
    epilogue.Run({values, stride, first, static_cast<int>(rows), 0, channels});
  });
  return true;
}

bool Partition::RunGroup(TfLiteContext* context, FusedGroup* group) {
  Node& head = nodes_[static_cast<size_t>(group->nodes[0].node)];
  const void* input = InputData(context, head, 0);
  const bool fused = !group->epilogue.steps.empty();
  void* output = fused ? nullptr : OutputData(context, head);
  OpError error;
  if (!IsUsable(input) || (fused ? !Bind(context, group) : !IsUsable(output))) {
    error.Expected("allocated tensors at multiples of 4 bytes", "others");
    return Report(context, head, error);
  }
  const uint64_t start = Nanoseconds();
  const bool done = fused
                        ? RunEpilogue(group, input)
                        : head.op->Run(input, output, &resources_->workspace, ThreadsFor(head));
  if (!done) {
    error.Expected("memory to run", "none");
    return Report(context, head, error);
  }
  if (delegate_->options().profile) {
    head.nanoseconds += Nanoseconds() - start;
    for (const FusedNode& node : group->nodes) ++nodes_[static_cast<size_t>(node.node)].runs;
  }
  return true;
}

TfLiteStatus Partition::Invoke(TfLiteContext* context) {
  if (shapes_in_invoke_ && !PrepareInInvoke(context)) return kTfLiteError;
  if (!prepared_) {
    context->ReportError(context, "sparsebnn: Expected allocated tensors, got none.");
    return kTfLiteError;
  }
  // None of its ops may be worth waking threads for, but all of them together.
  ThreadPool* threads = resources_->Threads(settings_.threads);
  if (threads->ThreadsFor(microseconds_) > 1) threads->Wake();
  for (FusedGroup& group : groups_) {
    if (!RunGroup(context, &group)) return kTfLiteError;
  }
  if (delegate_->options().profile) UpdateProfile();
  return kTfLiteOk;
}

}  // namespace sparsebnn
