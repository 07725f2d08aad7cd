// What a partition reads of the nodes that it is handed: the op of each, and who reads what.
#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/base/decimal.h"
#include "known_node.h"
#include "ops.h"
#include "partition.h"

namespace sparsebnn {
namespace {

bool Contains(const TfLiteIntArray* array, int value) {
  for (int i = 0; array != nullptr && i < array->size; ++i) {
    if (array->data[i] == value) return true;
  }
  return false;
}

}  // namespace

Partition::Partition(TfLiteContext* context, Shared<DelegateState> delegate,
                     const TfLiteDelegateParams& params)
    : delegate_(delegate), resources_(delegate_->Join(context)) {
  const std::vector<int> nodes = Elements(params.nodes_to_replace);
  const Int8Convolutions int8_convolutions(context, nodes);
  // A node of another partition may make a filter of this one.
  std::vector<int> known(nodes.empty() ? 0 : *std::max_element(nodes.begin(), nodes.end()) + 1);
  std::iota(known.begin(), known.end(), 0);
  const DequantizedFilters filters(context, known);
  for (const int node_index : nodes) {
    const Int8ConvolutionNodes* const own = int8_convolutions.Of(node_index);
    // Read at its last node: all that it needs is there by then.
    if (own != nullptr && node_index != own->nodes.back()) continue;
    if (!(own == nullptr ? ReadNode(context, node_index, filters, params)
                         : ReadInt8Convolution(context, *own, params))) {
      init_error_ = "Expected a delegated node with inputs and one output, got node " +
                    Decimal(node_index);
      break;
    }
  }
}

bool Partition::ReadNode(TfLiteContext* context, int node_index,
                         const DequantizedFilters& filters,
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
  const int output = node->outputs->data[0];
  // Its convolution takes the constant.
  if (filters.Node(output) == node_index && !Contains(params.output_tensors, output)) {
    return true;
  }
  KnownNode known = ReadKnownNode(context, *node, *registration, filters);
  if (known.kind == NodeKind::kUnknown) return false;
  read.name = std::move(known.name);
  read.op = std::move(known.op);
  read.elementwise = std::move(known.elementwise);
  read.inputs = std::move(known.inputs);
  read.producers.assign(known.computed, -1);
  if (read.op != nullptr) TakeConstant(filters, params, &read);
  Add(std::move(read), output, params);
  return true;
}

// The constant in place of a filter that is made of it.
void Partition::TakeConstant(const DequantizedFilters& filters,
                             const TfLiteDelegateParams& params, Node* node) {
  if (node->inputs.size() < 2 || filters.Node(node->inputs[1]) < 0) return;
  const int filter = std::exchange(node->inputs[1], filters.Constant(node->inputs[1]));
  if (Contains(params.nodes_to_replace, filters.Node(filter)) &&
      !Contains(params.output_tensors, filter)) {
    node->also.emplace_back(filters.Node(filter), "DEQUANTIZE");
  }
}

// As a node of its own whatever is read outside, too: each begins with the map.
bool Partition::ReadInt8Convolution(TfLiteContext* context, const Int8ConvolutionNodes& own,
                                    const TfLiteDelegateParams& params) {
  const size_t last = own.nodes.size() - 1;
  const auto name = [&](size_t i) -> std::string {
    static constexpr const char* kNames[] = {"QUANTIZE", "CONV_2D", "MAX_POOL_2D"};
    return i == last ? "DEQUANTIZE" : kNames[i];
  };
  for (size_t i = 0; i <= last; ++i) {
    if (i < last && !Contains(params.output_tensors, own.outputs[i])) continue;
    Node read;
    read.op = MakeInt8Convolution(context, own, i + 1);
    if (read.op == nullptr) return false;
    const size_t head = i == last ? 1 : i;
    read.index = own.nodes[head];
    read.name = name(head);
    read.inputs = own.inputs;
    read.producers = {-1};
    for (size_t other = 0; i == last && other <= last; ++other) {
      const bool alone = other < last && Contains(params.output_tensors, own.outputs[other]);
      if (other != head && !alone) read.also.emplace_back(own.nodes[other], name(other));
    }
    Add(std::move(read), own.outputs[i], params);
  }
  return true;
}

// Who writes what it reads, and who reads what it writes.
void Partition::Add(Node node, int output, const TfLiteDelegateParams& params) {
  node.output = output;
  node.leaves_partition = Contains(params.output_tensors, output);
  for (size_t i = 0; i < node.producers.size(); ++i) {
    for (size_t n = 0; n < nodes_.size(); ++n) {
      if (nodes_[n].output == node.inputs[i]) node.producers[i] = static_cast<int>(n);
    }
  }
  nodes_.push_back(std::move(node));
}

}  // namespace sparsebnn
