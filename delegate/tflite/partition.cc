#include "partition.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

namespace sparsebnn {
namespace {

bool Contains(const TfLiteIntArray* array, int value) {
  for (int i = 0; array != nullptr && i < array->size; ++i) {
    if (array->data[i] == value) return true;
  }
  return false;
}

TfLiteTensor* TensorAt(TfLiteContext* context, int index) {
  if (index < 0 || static_cast<size_t>(index) >= context->tensors_size) return nullptr;
  return &context->tensors[index];
}

std::string NameOf(const TfLiteTensor* tensor) {
  if (tensor == nullptr || tensor->name == nullptr) return "";
  const std::string name = tensor->name;
  return name.size() <= 200 ? name : name.substr(0, 200) + "...";
}

bool Resize(TfLiteContext* context, TfLiteTensor* tensor, const Shape& shape) {
  TfLiteIntArray* dims = NewIntArray(shape.rank);  // the runtime frees it
  if (dims == nullptr) return false;
  std::copy_n(shape.dims, shape.rank, dims->data);
  return context->ResizeTensor(context, tensor, dims) == kTfLiteOk;
}

}  // namespace

Partition::Partition(TfLiteContext* context, std::shared_ptr<DelegateState> delegate,
                     const TfLiteDelegateParams& params)
    : delegate_(std::move(delegate)), resources_(delegate_->ResourcesFor(context)) {
  for (int i = 0; i < params.nodes_to_replace->size; ++i) {
    const int node_index = params.nodes_to_replace->data[i];
    if (!ReadNode(context, node_index, params)) {
      init_error_ = "Expected a delegated node with inputs and one output, got node " +
                    std::to_string(node_index);
      break;
    }
  }
}

Partition::~Partition() { delegate_->RemoveProfile(this); }

bool Partition::ReadNode(TfLiteContext* context, int node_index,
                         const TfLiteDelegateParams& params) {
  TfLiteNode* node = nullptr;
  TfLiteRegistration* registration = nullptr;
  if (context->GetNodeAndRegistration(context, node_index, &node, &registration) != kTfLiteOk ||
      node == nullptr || registration == nullptr || node->inputs == nullptr ||
      node->inputs->size < 1 || node->outputs == nullptr || node->outputs->size != 1) {
    return false;
  }
  Node read;
  read.index = node_index;
  read.op = MakeOp(registration->custom_name, node->custom_initial_data,
                   static_cast<size_t>(std::max(0, node->custom_initial_data_size)));
  if (read.op == nullptr) return false;
  read.name = registration->custom_name;
  read.inputs.assign(node->inputs->data, node->inputs->data + node->inputs->size);
  read.output = node->outputs->data[0];
  read.leaves_partition = Contains(params.output_tensors, read.output);
  FindProducer(&read);
  nodes_.push_back(std::move(read));
  return true;
}

void Partition::FindProducer(Node* node) const {
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n].output == node->inputs[0]) node->producer = static_cast<int>(n);
  }
}

bool Partition::Report(TfLiteContext* context, const Node& node, const OpError& error) const {
  std::string where = "node " + std::to_string(node.index) + " (" + node.name + ")";
  if (error.tensor != nullptr) where += ", tensor '" + NameOf(error.tensor) + "'";
  context->ReportError(context, "sparsebnn: %s: %s.", where.c_str(), error.message.c_str());
  return false;
}

bool Partition::ReadOperand(TfLiteContext* context, const Node& node, int tensor,
                            Operand* operand, OpError* error) const {
  operand->tensor = nullptr;
  if (tensor == kTfLiteOptionalTensor) return true;
  operand->tensor = TensorAt(context, tensor);
  if (operand->tensor == nullptr) {
    return error->Expected("a tensor below " + std::to_string(context->tensors_size),
                           std::to_string(tensor));
  }
  if (node.producer >= 0 && tensor == node.inputs[0]) {
    const Node& producer = nodes_[static_cast<size_t>(node.producer)];
    operand->shape = producer.output_shape;
    operand->channels = producer.output_channels;
    return true;
  }
  if (ShapeOf(operand->tensor->dims, &operand->shape)) return true;
  return error->Set("Expected 1.." + std::to_string(Shape::kMaxRank) +
                        " dimensions of at least 1, got others",
                    operand->tensor);
}

bool Partition::PrepareNode(TfLiteContext* context, size_t n) {
  Node& node = nodes_[n];
  OpError error;
  std::vector<Operand> inputs(node.inputs.size());
  Operand output;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!ReadOperand(context, node, node.inputs[i], &inputs[i], &error)) {
      return Report(context, node, error);
    }
  }
  output.tensor = TensorAt(context, node.output);
  if (inputs[0].tensor == nullptr || output.tensor == nullptr) {
    error.Expected("an input and an output", "none");
    return Report(context, node, error);
  }
  if (node.output == node.inputs[0] || output.tensor->allocation_type == kTfLiteMmapRo ||
      output.tensor->allocation_type == kTfLitePersistentRo) {
    error.Expected("an output that is neither the input nor a constant", "one", output.tensor);
    return Report(context, node, error);
  }
  // The file may leave the output's shape out; only LceDequantize needs it and then complains.
  ShapeOf(output.tensor->dims, &output.shape);
  if (!ExpectBounded(inputs[0], &error) ||
      !node.op->Prepare(settings_, inputs, &output, &error) || !ExpectBounded(output, &error)) {
    return Report(context, node, error);
  }
  node.input_shape = inputs[0].shape;
  node.output_shape = output.shape;
  node.output_channels = output.channels;
  node.input_shape.Bytes(inputs[0].type(), &node.input_bytes);
  node.output_shape.Bytes(output.type(), &node.output_bytes);
  return true;
}

bool Partition::PlanMemory(TfLiteContext* context) {
  std::vector<ArenaTensor> tensors;
  std::vector<size_t> tensor_of_node(nodes_.size(), SIZE_MAX);
  for (size_t n = 0; n < nodes_.size(); ++n) {
    const int producer = nodes_[n].producer;
    if (producer >= 0 && tensor_of_node[static_cast<size_t>(producer)] != SIZE_MAX) {
      tensors[tensor_of_node[static_cast<size_t>(producer)]].last_op = static_cast<int>(n);
    }
    if (nodes_[n].leaves_partition) continue;
    tensor_of_node[n] = tensors.size();
    ArenaTensor tensor;
    tensor.bytes = nodes_[n].output_bytes;
    tensor.first_op = tensor.last_op = static_cast<int>(n);
    tensors.push_back(tensor);
  }
  arena_bytes_ = PlanArena(&tensors);
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (tensor_of_node[n] != SIZE_MAX) {
      nodes_[n].arena_offset = tensors[tensor_of_node[n]].offset;
    }
  }
  if (arena_.Reserve(arena_bytes_)) return true;
  context->ReportError(context, "sparsebnn: Expected %zu bytes for activations, got none.",
                       arena_bytes_);
  return false;
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
  if (!PlanMemory(context) || !ResizeOutputs(context)) return false;
  prepared_ = true;
  UpdateProfile();
  return true;
}

bool Partition::HasDynamicInput(const TfLiteContext* context) const {
  for (const Node& node : nodes_) {
    const TfLiteTensor* input = TensorAt(const_cast<TfLiteContext*>(context), node.inputs[0]);
    if (node.producer < 0 && input != nullptr && input->allocation_type == kTfLiteDynamic) {
      return true;
    }
  }
  return false;
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
    if (tensor->allocation_type != kTfLiteDynamic) {
      tensor->allocation_type = kTfLiteDynamic;
      tensor->data = nullptr;
    }
  }
  return kTfLiteOk;
}

const void* Partition::InputData(TfLiteContext* context, const Node& node) {
  if (node.producer >= 0) {
    const Node& producer = nodes_[static_cast<size_t>(node.producer)];
    return OutputData(context, producer);
  }
  const TfLiteTensor* tensor = TensorAt(context, node.inputs[0]);
  return tensor->bytes >= node.input_bytes ? tensor->data : nullptr;
}

void* Partition::OutputData(TfLiteContext* context, const Node& node) {
  if (!node.leaves_partition) return arena_.data() + node.arena_offset;
  TfLiteTensor* tensor = TensorAt(context, node.output);
  return tensor->bytes >= node.output_bytes ? tensor->data : nullptr;
}

bool Partition::RunNode(TfLiteContext* context, size_t n) {
  Node& node = nodes_[n];
  const void* input = InputData(context, node);
  void* output = OutputData(context, node);
  OpError error;
  const uintptr_t address =
      reinterpret_cast<uintptr_t>(input) | reinterpret_cast<uintptr_t>(output);
  if (input == nullptr || output == nullptr || address % 4 != 0) {
    error.Expected("allocated tensors at multiples of 4 bytes", "others");
    return Report(context, node, error);
  }
  const auto start = std::chrono::steady_clock::now();
  if (!node.op->Run(input, output, &resources_->workspace,
                    resources_->Threads(settings_.threads))) {
    error.Expected("memory to run", "none");
    return Report(context, node, error);
  }
  if (delegate_->options().profile) {
    const auto elapsed = std::chrono::steady_clock::now() - start;
    node.nanoseconds += static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count());
    ++node.runs;
  }
  return true;
}

TfLiteStatus Partition::Invoke(TfLiteContext* context) {
  if (shapes_in_invoke_ && !PrepareShapes(context)) return kTfLiteError;
  if (!prepared_) {
    context->ReportError(context, "sparsebnn: Expected allocated tensors, got none.");
    return kTfLiteError;
  }
  for (size_t n = 0; n < nodes_.size(); ++n) {
    if (!RunNode(context, n)) return kTfLiteError;
  }
  if (delegate_->options().profile) UpdateProfile();
  return kTfLiteOk;
}

void Partition::UpdateProfile() {
  PartitionProfile profile;
  profile.threads = settings_.threads;
  profile.arena_bytes = arena_bytes_;
  for (const Node& node : nodes_) {
    profile.nodes.push_back({node.index, node.name, node.input_shape, node.output_shape,
                             node.op->Description(), node.runs, node.nanoseconds});
  }
  delegate_->SetProfile(this, std::move(profile));
}

void Partition::LogKernels() {
  for (const Node& node : nodes_) {
    std::fprintf(stderr, "sparsebnn: node %d %s %s -> %s: %s, %d threads\n", node.index,
                 node.name.c_str(), node.input_shape.ToString().c_str(),
                 node.output_shape.ToString().c_str(), node.op->Description().c_str(),
                 settings_.threads);
  }
}

}  // namespace sparsebnn
