#include "int8_stems.h"

#include <utility>

#include "ops.h"
#include "window_node.h"

namespace sparsebnn {
namespace {

constexpr int32_t kBuiltinDequantize = 6;
constexpr int32_t kBuiltinQuantize = 114;

// Nodes by what they write and read.
class Edges {
 public:
  Edges(TfLiteContext* context, const std::vector<int>& nodes) : context_(context) {
    for (const int index : nodes) {
      const auto [node, registration] = Get(index);
      if (node == nullptr) continue;
      for (int i = 0; node->inputs != nullptr && i < node->inputs->size; ++i) {
        Ends& ends = ends_[node->inputs->data[i]];
        ends.reader = index;
        ++ends.readers;
      }
      for (int i = 0; node->outputs != nullptr && i < node->outputs->size; ++i) {
        Ends& ends = ends_[node->outputs->data[i]];
        ends.writer = index;
        ++ends.writers;
      }
    }
  }

  std::pair<const TfLiteNode*, const TfLiteRegistration*> Get(int index) const {
    TfLiteNode* node = nullptr;
    TfLiteRegistration* registration = nullptr;
    if (context_->GetNodeAndRegistration(context_, index, &node, &registration) != kTfLiteOk ||
        node == nullptr || registration == nullptr) {
      return {nullptr, nullptr};
    }
    return {node, registration};
  }

  bool Is(int index, int32_t code, int inputs) const {
    const auto [node, registration] = Get(index);
    return node != nullptr && IsBuiltin(*node, *registration, code, inputs);
  }

  int Output(int index) const { return Get(index).first->outputs->data[0]; }

  // The only writer of a tensor that has one reader, and its only reader; -1 if it is otherwise.
  int Writer(int tensor) const { return Find(tensor).writer; }
  int Reader(int tensor) const { return Find(tensor).reader; }

 private:
  struct Ends {
    int writers = 0, readers = 0;
    int writer = -1, reader = -1;
  };

  Ends Find(int tensor) const {
    const auto found = ends_.find(tensor);
    if (found == ends_.end() || found->second.writers != 1 || found->second.readers != 1) {
      return {};
    }
    return found->second;
  }

  TfLiteContext* const context_;
  std::map<int, Ends> ends_;
};

}  // namespace

Int8Stems::Int8Stems(TfLiteContext* context, const std::vector<int>& nodes) {
  const Edges edges(context, nodes);
  for (const int index : nodes) {
    if (!edges.Is(index, kBuiltinConv2d, 3)) continue;
    const TfLiteIntArray* const inputs = edges.Get(index).first->inputs;
    const int quantize = edges.Writer(inputs->data[0]);
    if (!edges.Is(quantize, kBuiltinQuantize, 1)) continue;
    Int8StemNodes stem;
    stem.nodes = {quantize, index};
    int next = edges.Reader(edges.Output(index));
    if (edges.Is(next, kBuiltinMaxPool2d, 1)) {
      stem.nodes.push_back(next);
      next = edges.Reader(edges.Output(next));
    }
    if (!edges.Is(next, kBuiltinDequantize, 1)) continue;
    stem.nodes.push_back(next);
    for (const int node : stem.nodes) stem.outputs.push_back(edges.Output(node));
    stem.inputs = {edges.Get(quantize).first->inputs->data[0], inputs->data[1],
                   inputs->data[2]};
    if (MakeInt8Stem(context, stem, stem.nodes.size()) == nullptr) continue;
    for (const int node : stem.nodes) stem_of_[node] = stems_.size();
    stems_.push_back(std::move(stem));
  }
}

const Int8StemNodes* Int8Stems::Of(int node) const {
  const auto found = stem_of_.find(node);
  return found == stem_of_.end() ? nullptr : &stems_[found->second];
}

}  // namespace sparsebnn
